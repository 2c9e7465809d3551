"""How much rounding may change a result: a graph evaluated several times with its roundings drawn at random.

Every inexact operation is given a relative error of up to one unit in the last place, drawn independently per point and
run. The spread of the results is the error that no float64 evaluation of this shape can promise to avoid, cancellation
and ill-conditioned steps included. [Monte Carlo arithmetic: Parker, UCLA CSD-970002, 1997]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.graph import Graph, float_value
from hybrid.operations import CONSTANT, MASK, VARIABLE, NamedConstant

ULP = 2.0**-52
EXACT = frozenset(
    {"neg", "abs", "sign", "floor", "ceil", "trunc", "rint", "fmod", "copysign", "heaviside"}
    | {"minimum", "maximum", "select"}
)
MAY_UNDERFLOW = frozenset({"mul", "div", "pow", "exp", "exp2", "erfc"})
NORMAL, QUANTUM = 2.0**-1022, 2.0**-1073
POOL = 4096  # random roundings are drawn once and read from random places


def rounding_spread(
    graph: Graph,
    roots: Sequence[int],
    values: Mapping[int, NDArray[Any]],
    inexact_input: NDArray[Any],
    runs: int,
    rng: np.random.Generator,
) -> tuple[NDArray[Any], NDArray[Any]]:
    """The undisturbed value of each root and its largest change over `runs` draws, both of shape (points, roots).

    `values` gives every variable node at all points, shape (points,); where `inexact_input` is true the inputs are
    perturbed too. The change is zero where the undisturbed value is not finite, infinite where only a disturbed one
    is not.
    """
    points = inexact_input.shape[0]
    pool = rng.uniform(-ULP, ULP, (runs + 1, POOL + points))
    pool[0] = 0.0
    offsets = rng.integers(0, POOL, 1024)
    results = np.empty((runs + 1, points, len(roots)))
    places: dict[int, list[int]] = {}
    for place, root in enumerate(roots):
        places.setdefault(root, []).append(place)
    nodes = graph.reach(roots)
    left = graph.uses(nodes)
    known: dict[int, Any] = {}
    with np.errstate(all="ignore"):
        for count, node in enumerate(nodes):
            offset = offsets[count & 1023]
            factor = pool[:, offset : offset + points]
            known[node] = _disturbed(graph, node, known, values, inexact_input, factor)
            if node in places:
                results[:, :, places[node]] = np.broadcast_to(known[node], (runs + 1, points))[:, :, None]
            for arg in graph.args[node]:
                left[arg] -= 1
                if not left[arg]:
                    del known[arg]
        change = np.abs(results[1:] - results[0])
        change[~np.isfinite(results[1:])] = np.inf
        spread: NDArray[Any] = change.max(axis=0)
    spread[~np.isfinite(results[0])] = 0.0
    return results[0], spread


def _disturbed(
    graph: Graph,
    node: int,
    known: Mapping[int, Any],
    values: Mapping[int, NDArray[Any]],
    inexact_input: NDArray[Any],
    factor: NDArray[Any],
) -> Any:
    op = graph.ops[node]
    if op is CONSTANT:
        number = graph.leaves[node]
        value = float_value(number)
        return value if isinstance(number, bool) or _is_float(number, value) else value + value * factor
    if op is VARIABLE:
        return values[node] + values[node] * np.where(inexact_input, 0.5 * factor, 0.0)
    args = [known[arg] for arg in graph.args[node]]
    value = op.numpy(*args)
    if op.result == MASK or op.name in EXACT:
        return value
    if op.name in ("add", "sub"):
        return value + factor * np.where(value == 0, 0.0, _sum_of_sizes(args))  # a tie stays a tie
    if op.variadic:
        factor = factor * (len(args) - 1)
    disturbed = value + value * factor
    if op.name in MAY_UNDERFLOW:
        small = np.abs(disturbed) < NORMAL
        if small.any():
            for arg in args[: 1 if op.name in ("div", "pow") else None]:
                small &= np.not_equal(arg, 0)  # zero times something is exact
            disturbed = disturbed + np.where(small, np.sign(factor) * QUANTUM, 0.0)
    return disturbed


def _sum_of_sizes(args: Sequence[Any]) -> Any:
    """What one unit of rounding may change a sum by, in whatever order its terms are added.

    Roundings of equal sign, as sums of many equal terms have, add up to a share of the number of terms.
    [Higham, Accuracy and Stability of Numerical Algorithms, ch. 4]
    """
    return sum((np.abs(arg) for arg in args[1:]), np.abs(args[0])) * max(1.0, len(args) / 32)


def _is_float(number: Any, value: float) -> bool:
    """Whether a stored constant is a float64 as it stands."""
    return not isinstance(number, NamedConstant) and (not np.isfinite(value) or Fraction(number) == Fraction(value))
