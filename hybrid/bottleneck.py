"""The Hessian through a bottleneck: where a function is f(r(x)) with few r, the chain rule of second order.

∇²f = Σ_k λ_k ∇²r_k + Jᵀ F J, with λ = ∂f/∂r, F = ∂²f/∂r² and J = ∂r/∂x. A sum of squares, a norm, an energy of a few
coordinates: adjoint sweeps carry the tangents of every λ back through all of r, where here they meet in one product.
It is a case of elimination in another order than forward or backward [Griewank & Walther, Evaluating Derivatives,
2nd ed., ch. 10].
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from hybrid import operations as ops
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


def bottleneck(graph: Graph, root: int, wrt: Sequence[int]) -> list[int]:
    """The narrowest set of nodes through which `root` depends on `wrt`, the lowest of equally narrow ones.

    Sets are those that come up when the newest node is replaced by its arguments, over and over. Empty where none is
    narrower than half of `wrt`, or where a selection stands above it (its guards belong to one sweep).
    """
    variables = frozenset(wrt)
    active = dependents(graph, graph.reach([root]), variables)
    best: list[int] = []
    if root not in active:
        return best
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
        if len(present) <= min(limit, len(best) or limit) and present.isdisjoint(variables):
            best = sorted(present)
    return best


def selects(graph: Graph, node: int) -> bool:
    """Whether a node selects between its arguments, or its partials do: x**y does where both are 0."""
    return graph.ops[node].guards is not None or (
        graph.ops[node] is ops.pow and not graph.is_constant(graph.args[node][1])
    )


def hessian_chain(graph: Graph, root: int, wrt: Sequence[int]) -> Entries:
    """The Hessian by the chain rule through the function's bottleneck; forward over reverse if it has none."""
    cut = bottleneck(graph, root, wrt)
    if not cut:
        return hessian_forward(graph, root, wrt)
    outer = reverse(graph, [(root, ONE)], frozenset(cut), active=above(graph, root, cut).__contains__)
    cut = [node for node in cut if node in outer]  # the others do not matter: the function is flat in them
    slopes = [outer[node] for node in cut]
    shape = jacobian_reverse(graph, slopes, cut)
    rows = [gradient_rows(graph, node, wrt) for node in cut]
    weighted = [weighted_row(graph, [(shape.get((k, m)), rows[m]) for m in range(len(cut))]) for k in range(len(cut))]
    terms: dict[tuple[int, int], list[int]] = {}
    for k, node in enumerate(cut):
        for (i, j), second in smaller(graph, node, wrt).items():
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


def gradient_rows(graph: Graph, node: int, wrt: Sequence[int]) -> dict[int, int]:
    """∂node/∂wrt by column, by whichever sweep makes fewer nodes."""
    found = [{column: entry for (_, column), entry in sweep(graph, [node], wrt).items()}
             for sweep in (jacobian_forward, jacobian_reverse)]  # fmt: skip
    return min(found, key=lambda row: len(graph.reach(row.values())))


def smaller(graph: Graph, node: int, wrt: Sequence[int]) -> Entries:
    found = [build(graph, node, wrt) for build in (hessian_forward, hessian_reverse)]
    return min(found, key=lambda entries: len(graph.reach(entries.values())))


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
