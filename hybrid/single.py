"""The check of a kernel's float32 code: against its float64 code, which the tape has certified, at the same points.

How far the two may be apart is what float32 roundings do to the function: the spread of its float64 roundings, scaled,
and a few units in the last place for each operation. Where NumPy, evaluating the same graph in float32, is farther off
than that, or leaves the range in which float32 is precise, no float32 code can be judged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.comparison import FLOOR, SLOPE, SPREADS
from hybrid.composite import expand
from hybrid.definition import Formula
from hybrid.errors import VerificationError
from hybrid.graph import Graph, float_value
from hybrid.operations import CONSTANT, VARIABLE
from hybrid.rounding import ULP, rounding_spread
from hybrid.verify import Check, Subject

SINGLE_ULP = 2.0**-23
SMALLEST, LARGEST = 1e-12, 1e12  # values on the way between which float32 neither overflows nor loses digits


def check(subject: Subject, single: Any, double: Any, seed: int = 0) -> str:
    """Say how well float32 and float64 code agree: a line for the certificate.

    `single` and `double` take one array per argument, of shape (points,) + argument shape, and return one per formula.
    Raises VerificationError where the float32 code is off, naming the entry and the point.
    """
    sampler = Check(subject, seed)
    with np.errstate(all="ignore"):
        table = sampler.points(None).values.astype(np.float32)
        table = table[np.isfinite(table).all(axis=1)]
        narrow = [array.astype(np.float32) for array in sampler.arrays(table).values()]
        wide = [array.astype(np.float64) for array in narrow]
        entries = judged = 0
        worst = 0.0
        for formula, found, truth in zip(subject.formulas, single(*narrow), double(*wide), strict=True):
            values = _variables(formula, sampler.arrays(table.astype(np.float64)))
            found, truth = (np.asarray(a, np.float64).reshape(len(table), -1) for a in (found, truth))
            ulps, judge = _compare(formula, values, found, truth, sampler.rng)
            entries, judged = entries + ulps.size, judged + int(judge.sum())
            if judge.any():
                worst = max(worst, float(ulps[judge].max()))
    return (
        f"float32 code within {worst:.1f} ulp of the float64 code in {judged:,} numbers; {entries - judged:,} more lie "
        f"beyond the range or the precision of float32"
    )


def _variables(formula: Formula, arrays: Mapping[str, NDArray[Any]]) -> dict[int, NDArray[Any]]:
    return {
        node: arrays[argument.name].reshape(-1, argument.size)[:, place]
        for argument in formula.arguments
        for place, node in enumerate(argument.nodes)
    }


def _compare(
    formula: Formula,
    values: Mapping[int, NDArray[Any]],
    found: NDArray[Any],
    truth: NDArray[Any],
    rng: np.random.Generator,
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Differences in float32 ulp, and which of them say something. Raises VerificationError for one too large."""
    points = len(found)
    roots = expand(formula.graph, formula.nodes)
    graph, nodes = formula.graph, formula.graph.reach(roots)
    numpy, in_range = _in_float32(graph, roots, nodes, values, points)
    _, spread = rounding_spread(graph, roots, values, np.zeros(points, bool), rng)
    floor = (FLOOR + len(nodes) / SLOPE) * SINGLE_ULP
    allowed = SPREADS * spread * (SINGLE_ULP / ULP) + floor * np.maximum(np.abs(truth), 2.0**-100)
    judge = in_range[:, None] & np.isfinite(truth) & (np.abs(numpy - truth) <= allowed)
    difference = np.where(judge, np.abs(found - truth), 0.0)
    wrong = judge & ~(difference <= allowed)
    if wrong.any():
        point, entry = (int(place[0]) for place in np.nonzero(wrong))
        raise VerificationError(
            f"float32 code of {formula.name} is wrong: entry {entry} is {found[point, entry]!r}, float64 code gives "
            f"{truth[point, entry]!r}, at {[float(value[point]) for value in values.values()]}"
        )
    return difference / (np.maximum(np.abs(truth), 2.0**-100) * SINGLE_ULP), judge


def _in_float32(
    graph: Graph, roots: Sequence[int], nodes: Sequence[int], values: Mapping[int, NDArray[Any]], points: int
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """The roots by NumPy in float32, shape (points, roots), and at which points every value on the way is in range."""
    known: dict[int, Any] = {}
    in_range = np.ones(points, bool)
    for node in nodes:
        op = graph.ops[node]
        if op is CONSTANT:
            number = float_value(graph.leaves[node])
            known[node] = np.bool_(number) if isinstance(number, bool) else np.float32(number)
            continue
        value: Any = values[node] if op is VARIABLE else op.numpy(*[known[arg] for arg in graph.args[node]])
        if np.asarray(value).dtype != np.bool_:
            value = np.asarray(value).astype(np.float32)
            size = np.abs(value)
            in_range &= (size == 0) | ((size > SMALLEST) & (size < LARGEST))
        known[node] = value
    columns = [np.broadcast_to(known[root], points) for root in roots]
    return np.stack(columns, axis=-1).astype(np.float64) if columns else np.empty((points, 0)), in_range
