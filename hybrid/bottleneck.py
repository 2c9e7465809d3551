"""The Hessian through a bottleneck: where a function is f(r(x)) with few r, the chain rule of second order.

∇²f = Σ_k λ_k ∇²r_k + Jᵀ F J, with λ = ∂f/∂r, F = ∂²f/∂r² and J = ∂r/∂x. A sum of squares, a norm, an energy of a few
coordinates: adjoint sweeps carry the tangents of every λ back through all of r, where here they meet in one product.
It is a case of elimination in another order than forward or backward [Griewank & Walther, Evaluating Derivatives,
2nd ed., ch. 10].
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence

from hybrid import operations as ops
from hybrid.cost import graph_cost
from hybrid.differentiate import (
    ONE,
    Entries,
    dependents,
    hessian_forward,
    hessian_reverse,
    jacobian_forward,
    jacobian_reverse,
    reverse,
)
from hybrid.graph import Graph
from hybrid.operations import CONSTANT

MOST_CUTS = 20  # of the narrowest sets, how many are looked at for one whose nodes do not depend on each other


def bottleneck(graph: Graph, root: int, wrt: Sequence[int]) -> list[int]:
    """The narrowest set of nodes through which `root` depends on `wrt`, the lowest of equally narrow ones.

    Sets are those that come up when the newest node is replaced by its arguments, over and over. Empty where none is
    narrower than half of `wrt`, or where a selection stands above it (its guards belong to one sweep). No node of the
    set depends on another: the chain rule takes them for variables that move on their own.
    """
    variables = frozenset(wrt)
    active = dependents(graph, graph.reach([root]), variables)
    narrow: list[list[int]] = []  # ever narrower, or as narrow and lower
    if root not in active:
        return []
    limit = max(1, len(variables) // 2)
    heap, present = [-root], {root}
    while heap:
        node = -heapq.heappop(heap)
        present.discard(node)
        if node in variables or selects(graph, node):
            break
        for arg in graph.args[node]:
            if arg in active and arg not in present:
                present.add(arg)
                heapq.heappush(heap, -arg)
        if len(present) <= (len(narrow[-1]) if narrow else limit) and present.isdisjoint(variables):
            narrow.append(sorted(present))
    return next((cut for cut in narrow[: -MOST_CUTS - 1 : -1] if independent(graph, cut)), [])


def independent(graph: Graph, cut: Sequence[int]) -> bool:
    """Whether no node of a set depends on another one."""
    below = graph.reach(arg for node in cut for arg in graph.args[node])
    return set(cut).isdisjoint(below)


def selects(graph: Graph, node: int) -> bool:
    """Whether a node selects between its arguments, or its partials do: x**y does where both are 0."""
    return graph.ops[node].guards is not None or (
        graph.ops[node] is ops.pow and not graph.is_constant(graph.args[node][1])
    )


Jacobian = Callable[[Graph, Sequence[int], Sequence[int]], Entries]
Hessian = Callable[[Graph, int, Sequence[int]], Entries]

SWEPT_JACOBIANS: tuple[Jacobian, ...] = (jacobian_forward, jacobian_reverse)
SWEPT_HESSIANS: tuple[Hessian, ...] = (hessian_forward, hessian_reverse)


def hessian_chain(
    graph: Graph,
    root: int,
    wrt: Sequence[int],
    jacobians: Sequence[Jacobian] = SWEPT_JACOBIANS,
    hessians: Sequence[Hessian] = SWEPT_HESSIANS,
) -> Entries:
    """The Hessian by the chain rule through the function's bottleneck; forward over reverse if it has none.

    The derivatives of what the bottleneck is made of are the cheapest that `jacobians` and `hessians` give.
    """
    cut = bottleneck(graph, root, wrt)
    if not cut:
        return hessian_forward(graph, root, wrt)
    outer = reverse(graph, [(root, ONE)], frozenset(cut), active=above(graph, root, cut).__contains__)
    cut = [node for node in cut if node in outer]  # the others do not matter: the function is flat in them
    slopes = [outer[node] for node in cut]
    shape = jacobian_reverse(graph, slopes, cut)
    rows = rows_of(cheapest(graph, [build(graph, cut, wrt) for build in jacobians]), len(cut))
    weighted = [weighted_row(graph, [(shape.get((k, m)), rows[m]) for m in range(len(cut))]) for k in range(len(cut))]
    terms: dict[tuple[int, int], list[int]] = {}
    for k, node in enumerate(cut):
        for (i, j), second in cheapest(graph, [build(graph, node, wrt) for build in hessians]).items():
            if i <= j:
                terms.setdefault((i, j), []).append(times(graph, slopes[k], second))
        for i, first in rows[k].items():
            for j, other in weighted[k].items():
                if i <= j:
                    terms.setdefault((i, j), []).append(times(graph, first, other))
    entries: Entries = {}
    for (i, j), found in terms.items():
        entries[i, j] = entries[j, i] = plus(graph, found)
    return entries


def above(graph: Graph, root: int, cut: Sequence[int]) -> set[int]:
    """The nodes between the cut and the root, both included, that depend on the cut."""
    between = graph.reach_below([root], dict.fromkeys(cut))
    return dependents(graph, between, cut)


def rows_of(entries: Entries, count: int) -> list[dict[int, int]]:
    rows: list[dict[int, int]] = [{} for _ in range(count)]
    for (row, column), node in entries.items():
        rows[row][column] = node
    return rows


def cheapest(graph: Graph, found: Sequence[Entries]) -> Entries:
    return min(found, key=lambda entries: graph_cost(graph, entries.values()))


def weighted_row(graph: Graph, parts: Sequence[tuple[int | None, dict[int, int]]]) -> dict[int, int]:
    """Σ weight · row, by column; an absent weight is zero."""
    columns: dict[int, list[int]] = {}
    for weight, row in parts:
        if weight is not None:
            for column, entry in row.items():
                columns.setdefault(column, []).append(times(graph, weight, entry))
    return {column: plus(graph, found) for column, found in columns.items()}


def times(graph: Graph, first: int, second: int) -> int:
    for factor, other in ((first, second), (second, first)):
        if graph.ops[factor] is CONSTANT and graph.leaves[factor] == 1:
            return other
    return graph.add_node(ops.mul, (first, second))


def plus(graph: Graph, terms: Sequence[int]) -> int:
    return terms[0] if len(terms) == 1 else graph.add_node(ops.add, tuple(terms))
