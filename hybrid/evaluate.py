"""The NumPy meaning of a graph: the reference that every back end is compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hybrid.graph import Graph, float_value
from hybrid.operations import CONSTANT, VARIABLE


def evaluate(graph: Graph, roots: Sequence[int], values: Mapping[int, Any]) -> list[Any]:
    """Float64 values of the roots, from the values of the variable nodes (numbers or arrays that broadcast).

    A node's value is dropped after its last use, so memory follows the width of the graph and not its size. Invalid
    points give NaN without a warning. Raises KeyError for a variable without a value.
    """
    nodes = graph.reach(roots)
    left = graph.uses(nodes, roots)
    known: dict[int, Any] = {}
    with np.errstate(all="ignore"):
        for node in nodes:
            known[node] = node_value(graph, node, known, values)
            for arg in graph.args[node]:
                left[arg] -= 1
                if not left[arg]:
                    del known[arg]
    return [known[root] for root in roots]


def evaluate_all(graph: Graph, nodes: Sequence[int], values: Mapping[int, Any]) -> dict[int, Any]:
    """Float64 values of all `nodes`, which are in evaluation order and hold all that they need."""
    known: dict[int, Any] = {}
    with np.errstate(all="ignore"):
        for node in nodes:
            known[node] = node_value(graph, node, known, values)
    return known


def node_value(graph: Graph, node: int, known: Mapping[int, Any], values: Mapping[int, Any]) -> Any:
    """The value of one node from the known values of its arguments."""
    op = graph.ops[node]
    if op is CONSTANT:
        value = float_value(graph.leaves[node])
        return np.bool_(value) if isinstance(value, bool) else np.float64(value)
    if op is VARIABLE:
        return values[node]
    return op.numpy(*[known[arg] for arg in graph.args[node]])
