"""The forms of values that lose the fewest digits: what `rules="accurate"` makes of a function before it is derived.

Sums that cancel, exponentials that overflow on the way, and squares that do, each have a form that does not. For every
node the forms of it are listed; each is measured in float64 against 50 digits, on values that its operands take at
points from tiny to huge, with some variables nearly equal. A form is taken if its errors are smaller; it may take more
operations.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import mpmath
import numpy as np
from numpy.typing import NDArray

from hybrid import operations as ops
from hybrid.accurate_patterns import Forms
from hybrid.evaluate import node_value
from hybrid.graph import Graph
from hybrid.known import PRECISE
from hybrid.operations import CONSTANT, MASK, VARIABLE
from hybrid.precise import evaluate_precise

DIGITS = 50  # for values of ordinary size; where some are not, more, for sums of tiny and huge parts
ORDINARY, MORE, MOST = (1e-12, 8.0), 350, 700
ALGEBRAIC = frozenset({CONSTANT, ops.add, ops.sub, ops.mul, ops.div, ops.neg, ops.pow, ops.sqrt, ops.hypot})
ULP = 2.0**-53
ROWS = frozenset({ops.expit, ops.softplus})  # taken where they are as good: their derivatives overflow nowhere
WORST = 2.0**60  # errors in ulp count up to here; also for what is infinite or NaN without need
GAIN = 0.2  # by which the mean of log2(1 + error in ulp) must fall
LOST = 10.0  # log2(1 + error in ulp) that a form may have at a point only if the node has no less there
SEED = 7
PER_KIND, KINDS = 8, 10  # points of each kind

Values = NDArray[np.float64]


def accurate_values(graph: Graph, roots: Sequence[int]) -> list[int]:
    """The roots with every node in the form whose measured errors are smallest."""
    forms = Forms(graph)
    order = graph.reach(roots)
    variables = [node for node in order if graph.ops[node] is VARIABLE]
    measure = Measure(graph, dict(zip(variables, sample(len(variables)), strict=True)))
    new: dict[int, int] = {}
    for node in order:
        args = graph.args[node]
        made = graph.add_node(graph.ops[node], tuple(new[arg] for arg in args)) if args else node
        if args and graph.ops[node].result != MASK:
            as_written = [] if made == node else [form for form, _ in forms.of(node)]  # before its arguments changed
            made = best_form(forms, measure, made, as_written)
        new[node] = made
    return [new[root] for root in roots]


def best_form(forms: Forms, measure: Measure, node: int, others: Sequence[int] = ()) -> int:
    """The form of a node, of its own or of `others`, with the smallest errors; the forms of that one are looked at too,
    as long as it gains."""
    graph, looked = measure.graph, {node}
    found: list[tuple[int, Sequence[int]]] = [(form, graph.variables([form])) for form in others]
    while True:
        found += [(form, operands) for form, operands in forms.of(node) if form not in looked]
        scored = [(measure.compare(node, form, operands), form) for form, operands in found]
        better = [(gain, form) for gain, form in scored if gain > (-0.1 if graph.ops[form] in ROWS else GAIN)]
        if not better:
            return node
        node = max(better)[1]
        looked.add(node)
        found = []


# --- measuring --------------------------------------------------------------------------------------------------------
def sample(count: int) -> Values:
    """Values of `count` variables: ordinary, tiny, larger, large, of any size, huge, near ±1 and nearly equal ones."""
    rng = np.random.default_rng(SEED)

    def sized(low: float, high: float, positive: float = 0.5) -> Values:
        signs = np.where(rng.random((count, PER_KIND)) < positive, 1.0, -1.0)
        return np.asarray(10.0 ** rng.uniform(low, high, (count, PER_KIND)) * signs)

    near = (
        10.0 ** rng.uniform(-1, 1, (1, PER_KIND)) * (1 + sized(-12, -3)) * np.where(rng.random(PER_KIND) < 0.3, -1, 1)
    )
    ones = np.where(rng.random((count, PER_KIND)) < 0.8, 1.0, -1.0) * (1 + sized(-12, -2))
    ordinary = [sized(-0.5, 0.5, 1.0), sized(-0.5, 0.5), sized(0.4, 1.5), sized(0.4, 1.5, 1.0)]
    kinds = [*ordinary, sized(-12, -3), sized(1.3, 4), sized(-6, 6), sized(150, 200), ones, near]
    return np.concatenate(kinds, axis=1)


class Measure:
    """Errors of forms of a node, on float64 values of the nodes that both are computed from."""

    def __init__(self, graph: Graph, samples: dict[int, Values]) -> None:
        self.graph, self.samples = graph, samples
        self.known: dict[int, Any] = {}
        self.shape = (KINDS * PER_KIND,)

    def values(self, node: int) -> Values:
        with np.errstate(all="ignore"):
            for needed in self.graph.reach([node]):
                if needed not in self.known:
                    self.known[needed] = node_value(self.graph, needed, self.known, self.samples)
        return np.broadcast_to(np.asarray(self.known[node], dtype=float), self.shape)

    def compare(self, node: int, form: int, operands: Sequence[int]) -> float:
        """By how much the mean of log2(1 + error in ulp) is smaller for a form, both computed from the operands.

        Negative where the form is infinite or NaN at a point at which the node is not.
        """
        graph = self.graph
        held = list(dict.fromkeys(operands))
        order = within(graph, [node, form], held)
        if any(graph.ops[n] is VARIABLE for n in order):
            held = graph.variables([node, form])
            order = within(graph, [node, form], held)
        if not PRECISE.issuperset(graph.ops[n] for n in order):
            return -1.0
        columns = {operand: self.values(operand) for operand in held}
        finite = np.flatnonzero(np.all([np.isfinite(column) for column in columns.values()], axis=0))
        if not finite.size:
            return -1.0
        known: dict[int, Any] = {operand: column[finite] for operand, column in columns.items()}
        with np.errstate(all="ignore"):
            for n in order:
                known[n] = node_value(graph, n, known, {})
        old, new = (np.broadcast_to(np.asarray(known[n], dtype=float), finite.shape) for n in (node, form))
        exact = self.exact(node, order, held, [known[operand] for operand in held])
        losses = [(loss(a, e), loss(b, e), a, b) for a, b, e in zip(old, new, exact, strict=True) if e is not None]
        if not losses or any(math.isfinite(a) and not math.isfinite(b) for _, _, a, b in losses):
            return -1.0
        if any(after > max(before + 1, LOST) for before, after, _, _ in losses):
            return -1.0
        return float(np.mean([before - after for before, after, _, _ in losses]))

    def exact(self, node: int, order: Sequence[int], held: Sequence[int], columns: Sequence[Values]) -> list[Any]:
        """Exact values of a node; None where it is 0, has none, or float64 could not hold it."""
        found: list[Any] = []
        more = MOST if ALGEBRAIC.issuperset(self.graph.ops[n] for n in order) else MORE
        low, high = ORDINARY
        for point in zip(*columns, strict=True):
            ordinary = all(value == 0 or low < abs(value) < high for value in point)
            with mpmath.workdps(DIGITS if ordinary else more):
                known = {operand: mpmath.mpf(float(value)) for operand, value in zip(held, point, strict=True)}
                value = evaluate_precise(self.graph, order, {}, known)[node]
                fits = mpmath.isfinite(value) and 1e-290 < abs(value) < 1e300
                found.append(+value if fits else None)
        return found


def within(graph: Graph, roots: Sequence[int], held: Sequence[int]) -> list[int]:
    """The nodes that the roots are computed by from those that are held, in order."""
    found, stack = set(held), [root for root in roots if root not in held]
    wanted: set[int] = set()
    while stack:
        node = stack.pop()
        if node not in found:
            found.add(node)
            wanted.add(node)
            stack += graph.args[node]
    return sorted(wanted)


def loss(value: float, exact: Any) -> float:
    """log2 of 1 + the error in ulp."""
    if not math.isfinite(value):
        return math.log2(WORST)
    return math.log2(1 + min(float(abs(mpmath.mpf(value) / exact - 1)) / ULP, WORST))
