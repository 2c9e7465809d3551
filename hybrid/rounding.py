"""How much rounding may change a result: a graph evaluated several times with its roundings drawn at random.

Every inexact operation is given a relative error of up to one unit in the last place, drawn independently per point and
run. The spread of the results is the error that no float64 evaluation of this shape can promise to avoid, cancellation
and ill-conditioned steps included. [Monte Carlo arithmetic: Parker, UCLA CSD-970002, 1997]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.composite import expand
from hybrid.graph import Graph, float_value
from hybrid.operations import CONSTANT, MASK, VARIABLE, NamedConstant

ULP = 2.0**-52
EXACT = frozenset(
    {"neg", "abs", "sign", "floor", "ceil", "trunc", "rint", "fmod", "copysign", "heaviside"}
    | {"minimum", "maximum", "select"}
)
MAY_UNDERFLOW = frozenset({"mul", "div", "pow", "exp", "exp2", "erfc"})
NORMAL, QUANTUM = 2.0**-1022, 2.0**-1073
POOL = 256  # random roundings are drawn once and used in random order
DRAWS, FEW_DRAWS = 6, 2
MANY = 1_000_000  # nodes × points from which on few draws must do
MANY_NODES = 50_000


def rounding_spread(
    graph: Graph,
    roots: Sequence[int],
    values: Mapping[int, NDArray[Any]],
    inexact_input: NDArray[Any],
    rng: np.random.Generator,
) -> tuple[NDArray[Any], NDArray[Any]]:
    """The undisturbed value of each root and its largest change over several draws, both of shape (points, roots).

    `values` gives every variable node at all points, shape (points,); where `inexact_input` is true the inputs are
    perturbed too. The change is zero where the undisturbed value is not finite, infinite where only a disturbed one
    is not.
    """
    points = inexact_input.shape[0]
    roots = expand(graph, roots)
    nodes = graph.reach(roots)
    runs = DRAWS if (len(nodes) + len(roots)) * points < MANY else FEW_DRAWS
    factors = rng.uniform(-ULP, ULP, (POOL, runs + 1, points))
    factors[:, 0] = 0.0
    factors = factors.reshape(POOL, -1)
    drawn = rng.integers(0, POOL, len(nodes))
    disturb = Disturbance(graph, values, np.tile(inexact_input, runs + 1), runs + 1, len(nodes) < MANY_NODES)
    places: dict[int, list[int]] = {}
    for place, root in enumerate(roots):
        places.setdefault(root, []).append(place)
    results = np.empty((runs + 1, points, len(roots)))
    left = graph.uses(nodes)
    known: dict[int, Any] = {}
    with np.errstate(all="ignore"):
        for node, draw in zip(nodes, drawn, strict=True):
            known[node] = disturb(node, known, factors[draw])
            if node in places:
                flat = np.broadcast_to(known[node], factors.shape[1:])
                results[:, :, places[node]] = flat.reshape(runs + 1, points, 1)
            for arg in graph.args[node]:
                left[arg] -= 1
                if not left[arg]:
                    del known[arg]
        change = np.abs(results[1:] - results[0])
        change[~np.isfinite(results[1:])] = np.inf
        spread: NDArray[Any] = change.max(axis=0)
    spread[~np.isfinite(results[0])] = 0.0
    return results[0], spread


@dataclass(frozen=True)
class Disturbance:
    """Values of nodes with a relative error each: all draws and points side by side, shape (copies × points,)."""

    graph: Graph
    values: Mapping[int, NDArray[Any]]
    inexact_input: NDArray[Any]
    copies: int
    sees_underflow: bool

    def __call__(self, node: int, known: Mapping[int, Any], factor: NDArray[Any]) -> Any:
        op = self.graph.ops[node]
        if op is CONSTANT:
            number = self.graph.leaves[node]
            value = float_value(number)
            return value if isinstance(number, bool) or _is_float(number, value) else value + value * factor
        if op is VARIABLE:
            given = np.tile(self.values[node], self.copies)
            return given + given * np.where(self.inexact_input, 0.5 * factor, 0.0)
        args = [known[arg] for arg in self.graph.args[node]]
        value = op.numpy(*args)
        if op.result == MASK or op.name in EXACT:
            return value
        if op.name in ("add", "sub"):
            return value + factor * (_sum_of_sizes(args) * (value != 0))  # a tie stays a tie
        if op.variadic:
            factor = factor * (len(args) - 1)
        disturbed = value + value * factor
        if self.sees_underflow and op.name in MAY_UNDERFLOW:
            return self._underflow(op.name, args, disturbed, factor)
        return disturbed

    def _underflow(self, name: str, args: Sequence[Any], disturbed: Any, factor: NDArray[Any]) -> Any:
        """With an absolute error where a result is too small for full precision."""
        small = np.abs(disturbed) < NORMAL
        if not small.any():
            return disturbed
        for arg in args[: 1 if name in ("div", "pow") else None]:
            small &= np.not_equal(arg, 0)  # zero times something is exact
        return disturbed + np.where(small, np.sign(factor) * QUANTUM, 0.0)


def _sum_of_sizes(args: Sequence[Any]) -> Any:
    """What one unit of rounding may change a sum by, in whatever order its terms are added.

    Roundings of equal sign, as sums of many equal terms have, add up to a share of the number of terms.
    [Higham, Accuracy and Stability of Numerical Algorithms, ch. 4]
    """
    size = np.abs(args[0])
    for arg in args[1:]:
        size = size + np.abs(arg)
    return size if len(args) < 32 else size * (len(args) / 32)


def _is_float(number: Any, value: float) -> bool:
    """Whether a stored constant is a float64 as it stands."""
    return not isinstance(number, NamedConstant) and (not np.isfinite(value) or Fraction(number) == Fraction(value))
