"""Forms that are more accurate and take an operation less: expm1 and log1p for what is written with exp and log.

Where e^u or 1 + u is needed elsewhere too, nothing changes: it would take as many operations, and more time.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from hybrid import operations as ops
from hybrid.graph import Graph
from hybrid.rewrite import Rewriter


def accurate_forms(graph: Graph, roots: Sequence[int], kept: Collection[int]) -> list[int]:
    """The roots with e^u − 1 as expm1 u, 1 − e^u as −expm1 u and log(1 + u) as log1p u."""
    order = graph.reach(roots)
    if not any(graph.ops[node] in (ops.exp, ops.log) for node in order):
        return list(roots)
    uses = graph.uses(order, roots)
    rewriter = Rewriter(graph)
    new: dict[int, int] = {}
    for node in order:
        op, args = graph.ops[node], graph.args[node]
        if node in kept or not args:
            new[node] = node
            continue
        made = tuple(new[arg] for arg in args)
        number = rewriter.number(args[0])
        if op is ops.add and number in (1, -1) and (at := lone_exponential(rewriter, args, -number, uses)) is not None:
            term = graph.args[rewriter.split(made[at])[1]][0]
            expm1 = rewriter.scaled(graph.add_node(ops.expm1, (term,)), -number)
            rest = [arg for place, arg in enumerate(made) if place not in (0, at)]
            new[node] = graph.add_node(ops.add, (expm1, *rest)) if rest else expm1
        elif op is ops.log and uses[args[0]] == 1 and args[0] not in kept and plus_one(rewriter, made[0]):
            terms = graph.args[made[0]][1:]
            inner = terms[0] if len(terms) == 1 else graph.add_node(ops.add, terms)
            new[node] = graph.add_node(ops.log1p, (inner,))
        else:
            new[node] = node if made == args else graph.add_node(op, made)
    return [new[root] for root in roots]


def lone_exponential(rewriter: Rewriter, args: Sequence[int], sign: int, uses: dict[int, int]) -> int | None:
    """The place of a term ±e^u of this sign whose e^u is used nowhere else."""
    for place, arg in enumerate(args[1:], 1):
        coefficient, monomial = rewriter.split(arg)
        lone = uses.get(monomial, 1) == 1 and uses[arg] == 1
        if lone and coefficient == sign and rewriter.graph.ops[monomial] is ops.exp:
            return place
    return None


def plus_one(rewriter: Rewriter, node: int) -> bool:
    graph = rewriter.graph
    return graph.ops[node] is ops.add and rewriter.number(graph.args[node][0]) == 1
