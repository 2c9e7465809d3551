"""What an expression costs, read off its graph: quick, close to the count of the lowered program."""

from __future__ import annotations

from collections.abc import Iterable

from hybrid import operations as ops
from hybrid.composite import expand
from hybrid.graph import Graph
from hybrid.operations import CONSTANT, REAL, VARIABLE

FREE = frozenset({CONSTANT, VARIABLE, ops.neg})  # signs travel with values


def graph_cost(graph: Graph, roots: Iterable[int]) -> int:
    """Operations of one joint evaluation of the roots: k − 1 for a sum or product of k, one for anything else.

    Exact up to what lowering folds, shares and rounds off; `hybrid.lower.count_operations` counts that too.
    """
    total = 0
    for node in graph.reach(expand(graph, list(roots))):
        op = graph.ops[node]
        if op is ops.add or op is ops.mul:
            total += len(graph.args[node]) - 1
        elif op not in FREE and op.result == REAL:
            total += 1
    return total
