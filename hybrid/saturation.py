"""Derivatives of saturated functions, which come out as differences of nearly equal numbers.

tanh′ = 1 − tanh² costs the fewest operations and loses its digits where tanh is nearly ±1: all of them beyond |x| = 19.
1/cosh² keeps them, and is zero where it underflows; it takes at most one operation more.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from hybrid import operations as ops
from hybrid.graph import Graph


def unsaturated(graph: Graph, roots: Sequence[int], kept: Collection[int]) -> list[int]:
    """The roots with 1 − tanh²u, as differentiation writes it, as 1/cosh²u."""
    order = graph.reach(roots)
    if not any(graph.ops[node] is ops.tanh for node in order):
        return list(roots)
    one, new = graph.constant(1), dict[int, int]()
    for node in order:
        op, args = graph.ops[node], graph.args[node]
        if node in kept or not args:
            new[node] = node
        elif op is ops.sub and args[0] == one and (inner := squared_tanh(graph, args[1])) is not None:
            new[node] = graph.add_node(ops.pow, (graph.add_node(ops.cosh, (new[inner],)), graph.constant(-2)))
        else:
            new[node] = graph.add_node(op, tuple(new[arg] for arg in args))
    return [new[root] for root in roots]


def squared_tanh(graph: Graph, node: int) -> int | None:
    """u, for tanh u · tanh u."""
    args = graph.args[node]
    if graph.ops[node] is not ops.mul or len(args) != 2 or args[0] != args[1] or graph.ops[args[0]] is not ops.tanh:
        return None
    return graph.args[args[0]][0]
