"""What passes find out about the nodes of a graph, kept for the passes that come after.

A graph only grows and its nodes never change, so what is known of a node stays true: its values at sampled points, its
normal form, how many operations some roots take. Passes over forms of one expression, and over combinations of the same
derivatives, meet mostly nodes that earlier ones met.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mpmath
import numpy as np
from numpy.typing import NDArray

from hybrid import operations as ops
from hybrid.counting import Counting
from hybrid.evaluate import node_value
from hybrid.graph import Graph
from hybrid.operations import CONSTANT, MASK, OPERATIONS, VARIABLE
from hybrid.points import EVERY, sample
from hybrid.precise import evaluate_precise
from hybrid.rewrite import Form, Rewriter

LARGEST = 50_000  # nodes of one expression up to which forms are kept

WEIGHED = 100_000  # elementary functions are worth one operation
QUICK = frozenset({CONSTANT, VARIABLE, ops.add, ops.sub, ops.mul, ops.div, ops.neg, ops.pow, ops.sqrt, ops.where})

DIGITS = 50
BROKEN = frozenset(
    {ops.abs_, ops.sign, ops.minimum, ops.maximum, ops.smallest, ops.largest,
     ops.floor, ops.ceil, ops.trunc, ops.rint, ops.mod, ops.fmod,
     ops.copysign, ops.heaviside, ops.where}
)  # fmt: skip
PRECISE = frozenset(OPERATIONS.values())  # composites and functions of a user's own have no values to 50 digits
ABSORBING = frozenset({ops.add, ops.sub, ops.hypot})
SMALLEST_SEEN = mpmath.mpf(10) ** -20  # of the terms of a sum, relative to the largest
SATURATED = {ops.tanh: 20, ops.erf: 6, ops.atan: 1e20, ops.log1p: 1e20, ops.expm1: 40, ops.asinh: 1e20,
             ops.acosh: 1e20, ops.cosh: 40, ops.sinh: 40}  # fmt: skip  # arguments beyond look like their limits

Forms = dict[object, Form]


class Known:
    """Of the nodes of `graph`; what depends on which nodes are kept as they are is known for each such set."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.values = Values(graph)
        self.counting = Counting(graph)
        self.constants: dict[int, bool] = {}  # whether no variable is below a node
        self.splits: dict[int, tuple[Any, int]] = {}  # a node as coefficient times monomial
        self.smooth: dict[int, bool] = {}
        self.orders: dict[tuple[int, ...], list[int]] = {}
        self.prices: dict[tuple[int, ...], float] = {}
        self.forms: dict[tuple[str, frozenset[int]], Any] = {}

    def reach(self, roots: Sequence[int]) -> list[int]:
        """All nodes the roots need, in evaluation order; not to be changed."""
        key = tuple(roots)
        found = self.orders.get(key)
        if found is None:
            found = self.graph.reach(roots)
            if len(found) <= LARGEST:
                self.orders[key] = found
        return found

    def rewriter(self, kept: frozenset[int] = frozenset(), uses: dict[int, int] | None = None) -> Rewriter:
        return Rewriter(self.graph, kept, {} if uses is None else uses, self.constants, self.splits)

    def of(self, what: str, kept: frozenset[int]) -> Any:
        """A dictionary for what one pass knows where these nodes are kept."""
        found = self.forms.get((what, kept))
        if found is None:
            found = self.forms[what, kept] = {}
        return found

    def price(self, roots: Sequence[int]) -> float:
        """Operations, and a little for each elementary function: of as many operations, products are quicker."""
        key = tuple(roots)
        found = self.prices.get(key)
        if found is None:
            graph_ops, order = self.graph.ops, self.reach(roots)
            functions = sum([graph_ops[node] not in QUICK for node in order])
            found = self.prices[key] = self.counting.count(roots, order) + functions / WEIGHED
        return found

    def smooth_nodes(self, order: Sequence[int]) -> list[int]:
        """The real nodes below which no kink, step or selection stands."""
        smooth, graph = self.smooth, self.graph
        for node in order:
            if node not in smooth:
                op = graph.ops[node]
                smooth[node] = not (op in BROKEN or op not in PRECISE or graph.kind(node) == MASK) and all(
                    smooth[arg] for arg in graph.args[node]
                )
        return [node for node in order if smooth[node]]


class Values:
    """Values of nodes at the sampled points: in float64 as rows of a table, and to 50 digits at some of them."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.samples: dict[int, NDArray[np.float64]] = {}
        self.edition = 0  # counts how often all was forgotten
        self.forget()

    def forget(self) -> None:
        self.rows: dict[int, int] = {}
        self.table = np.empty((0, EVERY))
        self.other: dict[int, Any] = {}  # masks, and what is a number by itself
        self.exact: dict[int, tuple[dict[int, Any], set[int]]] = {}
        self.edition += 1

    def learn(self, order: Sequence[int]) -> None:
        """Float64 values of nodes in evaluation order."""
        graph, rows, other = self.graph, self.rows, self.other
        new = [node for node in order if node not in rows and node not in other]
        if not new:
            return
        if any(graph.ops[node] is VARIABLE for node in new):
            variables = sorted({*self.samples, *(node for node in new if graph.ops[node] is VARIABLE)})
            if not self.samples.keys() >= set(variables):
                self.samples = dict(zip(variables, sample(len(variables)), strict=True))
                self.forget()
                rows, other, new = self.rows, self.other, list(order)
        used = len(rows)
        if used + len(new) > len(self.table):
            table = np.empty((2 * (used + len(new)), EVERY))
            table[:used] = self.table[:used]
            self.table = table
        table = self.table
        known: dict[int, Any] = {}
        with np.errstate(all="ignore"):
            for node in new:
                for arg in graph.args[node]:
                    if arg not in known:
                        known[arg] = other[arg] if arg in other else table[rows[arg]]
                value = known[node] = node_value(graph, node, known, self.samples)
                mask = graph.kind(node) == MASK
                if not mask:
                    row = rows[node] = len(rows)
                    table[row] = value
                if mask or np.ndim(value) == 0:
                    other[node] = value

    def of(self, nodes: Sequence[int]) -> NDArray[np.float64]:
        """Values of real nodes that are known, of shape (nodes, points)."""
        return self.table[[self.rows[node] for node in nodes]]

    def to_digits(self, point: int, nodes: Sequence[int]) -> tuple[dict[int, Any], set[int]]:
        """Values to 50 digits at one point, of these nodes among others, at mpmath's precision of 50 digits; and those
        that prove nothing."""
        known, doubtful = self.exact.setdefault(point, ({}, set()))
        if not all(node in known for node in nodes):
            new = self.graph.reach_below(nodes, known)
            at = {node: float(column[point]) for node, column in self.samples.items()}
            evaluate_precise(self.graph, new, at, known)
            hidden(self.graph, new, known, doubtful)
        return known, doubtful


def hidden(graph: Graph, nodes: Sequence[int], exact: dict[int, Any], found: set[int]) -> None:
    """Add to `found` the nodes in which something may be too small to be seen in 50 digits: agreement proves nothing.

    1 − tanh² u is zero to 50 digits at u = 60, and 1 + e^(−u) is 1 at u = 120. Those found among earlier nodes stay.
    """
    for node in nodes:
        op, args = graph.ops[node], graph.args[node]
        if not found.isdisjoint(args):
            found.add(node)
        elif op in SATURATED:
            if not abs(exact[args[0]]) < SATURATED[op]:
                found.add(node)
        elif op in ABSORBING:
            sizes = [abs(exact[arg]) for arg in args if exact[arg] != 0]
            if sizes and not min(sizes) > max(sizes) * SMALLEST_SEEN:
                found.add(node)
