"""Every row of the table: NumPy meaning and partials against multiple precision; edges and kinks by convention."""

import math

import mpmath
import numpy as np
import pytest

from codegen.program import INSTRUCTIONS
from hybrid import operations as ops
from hybrid.differentiate import ONE, Partials, reverse
from hybrid.evaluate import evaluate
from hybrid.graph import Graph, Term
from hybrid.lower import RULES
from hybrid.operations import CONSTANT, MASK, OPERATIONS, REAL, VARIABLE, Operation, op
from hybrid.precise import MEANINGS, evaluate_precise

ROWS = [row for row in OPERATIONS.values() if row not in (CONSTANT, VARIABLE)]
SMOOTH = [row for row in ROWS if row.result == REAL and MASK not in row.operands]


def inside(interval: tuple[float, float], rng: np.random.Generator) -> float:
    low, high = max(interval[0], -3.0), min(interval[1], 3.0)
    return float(low + (high - low) * rng.uniform(0.05, 0.95))


def arguments(row: Operation, rng: np.random.Generator) -> list[float]:
    if row.ordered:
        return [float(rng.integers(1, 5)), inside((0.3, 4.0), rng)]
    domain = row.domain or ((-3.0, 3.0),) * 3
    return [inside(interval, rng) for interval in domain]


def build(row: Operation, values: list[float]) -> tuple[Graph, list[int], int]:
    """A graph of one application; the order of a polygamma is a constant."""
    graph = Graph()
    nodes = [
        graph.constant(int(value)) if row.ordered and position == 0 else graph.variable(f"x{position}")
        for position, value in enumerate(values)
    ]
    return graph, nodes, graph.add_node(row, tuple(nodes))


@pytest.mark.parametrize("row", SMOOTH, ids=lambda row: row.name)
def test_numpy_meaning_is_the_precise_one(row: Operation) -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        values = arguments(row, rng)
        graph, nodes, root = build(row, values)
        [found] = evaluate(graph, [root], dict(zip(nodes, values, strict=True)))
        with mpmath.workdps(50):
            exact = evaluate_precise(graph, graph.reach([root]), dict(zip(nodes, values, strict=True)))[root]
            floor = {ops.betaln: 1.0, ops.erfc_ratio: 1e3}.get(
                row, 1e-300
            )  # a difference of logarithms, zero where B is 1
            assert abs(found - exact) <= 8 * np.spacing(max(abs(float(exact)), floor)) * 4, (row.name, values)


@pytest.mark.parametrize("row", SMOOTH, ids=lambda row: row.name)
def test_partials_against_precise_differences(row: Operation) -> None:
    rng = np.random.default_rng(2)
    for _ in range(10):
        values = arguments(row, rng)
        graph, nodes, root = build(row, values)
        variables = [node for node in nodes if graph.ops[node] is VARIABLE]
        adjoints = reverse(graph, [(root, ONE)], set(variables))
        with mpmath.workdps(50):
            step = mpmath.mpf(10) ** -18
            point = {node: mpmath.mpf(value) for node, value in zip(nodes, values, strict=True)}
            for variable in variables:
                sides = []
                for sign in (1, -1):
                    moved = dict(point)
                    moved[variable] = point[variable] + sign * step
                    sides.append(evaluate_precise(graph, graph.reach([root]), moved)[root])
                difference = (sides[0] - sides[1]) / (2 * step)
                node = adjoints.get(variable)
                exact = 0 if node is None else evaluate_precise(graph, graph.reach([node]), point)[node]
                assert abs(exact - difference) <= 1e-15 * max(1, abs(difference)), (row.name, values)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_row_is_complete(row: Operation) -> None:
    assert row.name in MEANINGS
    if row.instruction is None:
        assert row in RULES, "a row without an instruction needs a rule of lowering"
    else:
        instruction = INSTRUCTIONS[row.instruction]
        assert instruction.result == row.result
        if not row.variadic:
            assert instruction.operands == row.operands


def test_a_malformed_row_is_refused() -> None:
    with pytest.raises(ValueError, match="needs 1 partials"):
        Operation("bad", np.sin, [], "{0}")
    with pytest.raises(ValueError, match="defined twice"):
        op("sin", np.sin, [None], "{0}")
    with pytest.raises(ValueError, match="guards"):
        Operation("bad", np.sin, [None], "{0}", guards=(None, None))
    assert "bad" not in OPERATIONS


def derivative(build_term, at: float) -> float:
    graph = Graph()
    x = Term(graph, graph.variable("x"))
    root = graph.lift(build_term(x)).node
    node = reverse(graph, [(root, ONE)], {x.node}).get(x.node, graph.constant(0))
    return float(evaluate(graph, [node], {x.node: at})[0])


KINKS = [
    ("abs at 0", lambda x: ops.abs_(x), 0.0, 0.0),
    ("abs at -0", lambda x: ops.abs_(x), -0.0, 0.0),
    ("sign", lambda x: ops.sign(x), 0.5, 0.0),
    ("floor", lambda x: ops.floor(x), 0.5, 0.0),
    ("heaviside", lambda x: ops.heaviside(x, 0.5), 0.5, 0.0),
    ("max tie", lambda x: ops.maximum(x, 1), 1.0, 0.5),
    ("min tie", lambda x: ops.minimum(1, x), 1.0, 0.5),
    ("max of equals", lambda x: ops.maximum(x, x), 2.0, 1.0),
    ("max above", lambda x: ops.maximum(x, 1), 2.0, 1.0),
    ("max below", lambda x: ops.maximum(x, 1), 0.0, 0.0),
    ("mod", lambda x: ops.mod(x, 3), -1.0, 1.0),
    ("hypot at 0", lambda x: ops.hypot(x, 2 * x), 0.0, 0.0),
    ("atan2 at 0", lambda x: ops.atan2(x, 2 * x), 0.0, 0.0),
    ("xlogy at 0", lambda x: ops.xlogy(x, 0), 0.0, 0.0),
    ("mod divisor", lambda x: ops.mod(7, x), 2.0, -3.0),
    ("x**0", lambda x: x**0, 0.0, 0.0),
    ("x**1", lambda x: x**1, 0.0, 1.0),
    ("x**2", lambda x: x**2, 0.0, 0.0),
    ("0**x", lambda x: 0**x, 2.0, 0.0),
    ("where", lambda x: ops.where(ops.gt(x, 0), ops.sqrt(x), x * x), -1.0, -2.0),
    ("nested where", lambda x: ops.where(ops.gt(x, 1), ops.log(x - 1),
                                         ops.where(ops.lt(x, -1), ops.sqrt(-1 - x), 3 * x)), 0.0, 3.0),
    ("shared singular", lambda x: ops.where(ops.gt(x, 0), ops.sqrt(x) * x, 1)
                                  + ops.where(ops.gt(x, 1), ops.sqrt(x), 2), -4.0, 0.0),
    ("max hides a pole", lambda x: ops.maximum(2 * x, ops.where(ops.gt(x, 0), -ops.sqrt(x), -1)), 0.0, 2.0),
]  # fmt: skip


@pytest.mark.parametrize(("name", "term", "at", "expected"), KINKS, ids=[kink[0] for kink in KINKS])
def test_conventions_at_kinks(name, term, at: float, expected: float) -> None:
    assert derivative(term, at) == expected


def test_an_invalid_point_stays_invalid() -> None:
    assert math.isnan(derivative(lambda x: ops.log(x) * x, -1.0))
    assert math.isnan(derivative(lambda x: ops.sqrt(x), -1.0))


def test_partials_are_shared_between_sweeps() -> None:
    graph = Graph()
    x = Term(graph, graph.variable("x"))
    root = ops.sin(x * x).node
    partials = Partials(graph)
    first, size = partials(root), len(graph)
    assert partials(root) is first
    assert len(graph) == size
