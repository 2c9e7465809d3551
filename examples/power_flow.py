"""AC optimal power flow in polar form: the cheapest generation that a grid can carry.

Cases come in MATPOWER's format; the model is that of the Power Grid Library [Babaeinejadsarookolaee et al., "The Power
Grid Library for Benchmarking AC Optimal Power Flow Algorithms", arXiv:1908.02788, model 1], with its branch equations
from MATPOWER's manual [Zimmerman & Murillo-Sánchez, section 3.2]. Quantities are per unit of `baseMVA`, angles radians.

The whole grid is a few lines of NumPy over arrays of buses, generators and branches: values are gathered at the ends of
the branches, flows are added up at the buses.

    python -m hybrid.examples.power_flow [CASE.m ...]
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import hybrid as hy

CASES = Path(__file__).parent / "pglib"
Numbers = NDArray[np.float64]
Indices = NDArray[np.int64]

# Columns of MATPOWER's tables (its manual, appendix B).
BUS_NUMBER, BUS_TYPE, P_LOAD, Q_LOAD, G_SHUNT, B_SHUNT, V_HIGH, V_LOW = 0, 1, 2, 3, 4, 5, 11, 12
GEN_BUS, Q_HIGH, Q_LOW, GEN_ON, P_HIGH, P_LOW = 0, 3, 4, 7, 8, 9
FROM, TO, R, X, CHARGING, RATING, RATIO, SHIFT, BRANCH_ON, ANGLE_LOW, ANGLE_HIGH = 0, 1, 2, 3, 4, 5, 8, 9, 10, 11, 12
REFERENCE, ISOLATED, POLYNOMIAL = 3, 4, 2


@dataclass(frozen=True)
class Grid:
    """A case as arrays: per bus, per generator, per branch."""

    name: str
    load: Numbers  # complex power drawn, (buses, 2)
    shunt: Numbers  # conductance and susceptance, (buses, 2)
    voltage: Numbers  # limits, (buses, 2)
    reference: Indices
    generator: Indices  # the bus of each generator
    output: Numbers  # limits of active and reactive power, (generators, 2, 2)
    cost: Numbers  # c0 + c1 p + c2 p², (generators, 3)
    ends: Indices  # (branches, 2)
    admittance: Numbers  # series g and b, and the charging at either end, (branches, 3)
    tap: Numbers  # complex ratio of the transformer, (branches, 2)
    rating: Numbers  # largest apparent power, infinite where none is given
    angle: Numbers  # limits of the difference of angles, (branches, 2)


def read_tables(text: str) -> dict[str, Any]:
    """The assignments `mpc.name = number;` and `mpc.name = [rows];` of a case file."""
    text = re.sub(r"%.*", "", text)
    tables: dict[str, Any] = {}
    for name, body in re.findall(r"mpc\.(\w+)\s*=\s*\[(.*?)\]\s*;", text, re.DOTALL):
        rows = [row.split() for row in re.split(r"[;\n]", body) if row.strip()]
        width = max(map(len, rows), default=0)
        tables[name] = np.array([[float(item) for item in row] + [0.0] * (width - len(row)) for row in rows])
    for name, number in re.findall(r"mpc\.(\w+)\s*=\s*([-+.\deE]+)\s*;", text):
        tables[name] = float(number)
    return tables


def read_case(path: str | Path) -> Grid:
    """A grid from a file in MATPOWER's case format, version 2; costs are polynomials of up to second order."""
    path = Path(path)
    tables = read_tables(path.read_text())
    missing = [name for name in ("baseMVA", "bus", "gen", "branch", "gencost") if name not in tables]
    if missing:
        raise ValueError(f"{path} is no MATPOWER case: it has no mpc.{missing[0]}")
    base = tables["baseMVA"]
    bus = tables["bus"][tables["bus"][:, BUS_TYPE] != ISOLATED]
    row = {int(number): place for place, number in enumerate(bus[:, BUS_NUMBER])}
    on = tables["gen"][:, GEN_ON] > 0
    gen, cost = tables["gen"][on], tables["gencost"][: len(on)][on]
    if np.any(cost[:, 0] != POLYNOMIAL) or np.any(cost[:, 3] > 3):
        raise ValueError(f"{path}: costs must be polynomials of at most three coefficients")
    branch = tables["branch"][tables["branch"][:, BRANCH_ON] > 0]
    series = 1 / (branch[:, R] + 1j * branch[:, X])
    ratio = np.where(branch[:, RATIO] == 0, 1.0, branch[:, RATIO]) * np.exp(1j * np.radians(branch[:, SHIFT]))
    coefficients = np.zeros((len(cost), 3))
    for place, line in enumerate(cost):
        count = int(line[3])
        coefficients[place, :count] = line[4 : 4 + count][::-1]
    return Grid(
        name=path.stem,
        load=bus[:, [P_LOAD, Q_LOAD]] / base,
        shunt=bus[:, [G_SHUNT, B_SHUNT]] / base,
        voltage=bus[:, [V_LOW, V_HIGH]],
        reference=np.flatnonzero(bus[:, BUS_TYPE] == REFERENCE),
        generator=np.array([row[int(number)] for number in gen[:, GEN_BUS]], dtype=np.int64),
        output=gen[:, [[P_LOW, P_HIGH], [Q_LOW, Q_HIGH]]] / base,
        cost=coefficients * base ** np.arange(3),
        ends=np.array([[row[int(end)] for end in pair] for pair in branch[:, [FROM, TO]]], dtype=np.int64),
        admittance=np.stack([series.real, series.imag, branch[:, CHARGING] / 2], axis=1),
        tap=np.stack([ratio.real, ratio.imag], axis=1),
        rating=np.where(branch[:, RATING] == 0, np.inf, branch[:, RATING]) / base,
        angle=np.radians(branch[:, [ANGLE_LOW, ANGLE_HIGH]]),
    )


def flows(grid: Grid, angle: Any, voltage: Any) -> tuple[Any, Any, Any, Any]:
    """Active and reactive power into each branch at its first end, then at its second end."""
    g, b, charging = grid.admittance.T
    real, imaginary = grid.tap.T
    square = real**2 + imaginary**2
    first, second = grid.ends.T
    v, w = voltage[first], voltage[second]
    difference = angle[first] - angle[second]
    cosine, sine = v * w * np.cos(difference), v * w * np.sin(difference)
    a, c = (-g * real + b * imaginary) / square, (-b * real - g * imaginary) / square
    d, e = (-g * real - b * imaginary) / square, (-b * real + g * imaginary) / square
    return (
        g / square * v**2 + a * cosine + c * sine,
        -(b + charging) / square * v**2 - c * cosine + a * sine,
        g * w**2 + d * cosine - e * sine,
        -(b + charging) * w**2 - e * cosine - d * sine,
    )


def problem(grid: Grid, **options: Any) -> hy.Problem:
    """Costs in $/h; balance at every bus, ratings at both ends of every branch, limits of angles."""
    buses, generators = len(grid.load), len(grid.generator)
    first, second = grid.ends.T
    limited = np.flatnonzero(np.isfinite(grid.rating))

    def cost(p: Any) -> Any:
        c0, c1, c2 = grid.cost.T
        return np.sum(c0 + c1 * p + c2 * p**2)

    def balance(angle: Any, voltage: Any, p: Any, q: Any) -> Any:
        """What flows into the branches and shunts and is drawn, less what is generated, at each bus."""
        p_first, q_first, p_second, q_second = flows(grid, angle, voltage)
        square = voltage**2
        at = np.concatenate([first, second, grid.generator])
        active = hy.scatter_add(buses, at, np.concatenate([p_first, p_second, -p]))
        reactive = hy.scatter_add(buses, at, np.concatenate([q_first, q_second, -q]))
        drawn, shunt = grid.load, grid.shunt
        return np.concatenate(
            [active + drawn[:, 0] + shunt[:, 0] * square, reactive + drawn[:, 1] - shunt[:, 1] * square]
        )

    def apparent(angle: Any, voltage: Any) -> Any:
        p_first, q_first, p_second, q_second = flows(grid, angle, voltage)
        return np.concatenate([(p_first**2 + q_first**2)[limited], (p_second**2 + q_second**2)[limited]])

    rating = np.tile(grid.rating[limited] ** 2, 2)
    constraints = [
        hy.Constraint(balance, 0, 0, name="balance"),
        hy.Constraint(lambda angle: angle[first] - angle[second], *grid.angle.T, name="angles"),
        hy.Constraint(lambda angle: angle[grid.reference], 0, 0, name="reference"),
    ]
    if len(limited):
        constraints.insert(1, hy.Constraint(apparent, -np.inf, rating, name="ratings"))
    bounds = {"voltage": grid.voltage.T, "p": grid.output[:, 0].T, "q": grid.output[:, 1].T}
    variables = {"angle": (buses,), "voltage": (buses,), "p": (generators,), "q": (generators,)}
    return hy.Problem(variables, cost, constraints, bounds, name=re.sub(r"\W", "_", grid.name), **options)


def start(grid: Grid) -> dict[str, Any]:
    """The usual start: no angles, voltages of 1, generation in the middle of its limits."""
    return {
        "angle": np.zeros(len(grid.load)),
        "voltage": np.ones(len(grid.load)),
        "p": grid.output[:, 0].mean(axis=1),
        "q": grid.output[:, 1].mean(axis=1),
    }


def main(paths: list[str]) -> None:
    for path in paths or [str(CASES / "pglib_opf_case5_pjm.m"), str(CASES / "pglib_opf_case14_ieee.m")]:
        grid = read_case(path)
        opf = problem(grid)
        calls = opf.callbacks()
        point = opf.start_at(start(grid), None)
        calls.jacobian(point), calls.hessian(point, np.ones(len(opf.constraint_limits[0])), 1.0)
        print(opf, "verified" if all(c.passed for c in opf.certificates()) else "wrong")
        print(f"  Jacobian {opf.jacobian_pattern}, Hessian {opf.hessian_pattern}")
        try:
            print(opf.solve(start(grid)))
        except hy.UnsupportedError as error:
            print(f"  not solved: {error}")


if __name__ == "__main__":
    main(sys.argv[1:])
