"""Whole powers of one base, computed together: by a short addition chain, and from one shared reciprocal.

x¹² beside x¹¹ is x¹¹·x; 1/x² and 1/x³ beside 1/x are powers of 1/x, with one division. A chain is found greedily: the
exponents in rising order, each from two that are there already, or by halving [Knuth, The Art of Computer Programming,
vol. 2, 4.6.3]. Nothing changes where what `lower` does by itself, power by power, takes as few operations.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from hybrid import operations as ops
from hybrid.graph import Graph
from hybrid.lower import LARGEST_CHAIN
from hybrid.rewrite import Rewriter

Steps = dict[int, tuple[int, int]]  # exponent -> the two that it is the sum of


def share_powers(graph: Graph, roots: Sequence[int], kept: frozenset[int]) -> list[int]:
    """The roots with powers written as products where that saves operations; to be done last, normal forms undo it."""
    order = graph.reach(roots)
    rewriter = Rewriter(graph)
    groups: dict[int, dict[int, int]] = {}
    for node in order:
        if graph.ops[node] is ops.pow:
            exponent = rewriter.number(graph.args[node][1])
            if (type(exponent) is int and 1 < abs(exponent) <= LARGEST_CHAIN) or exponent == -1:
                groups.setdefault(graph.args[node][0], {})[exponent] = node
    groups = {base: powers for base, powers in groups.items() if len(powers) > 1 and kept.isdisjoint(powers.values())}
    if not groups:
        return list(roots)
    alone = lone_factors(graph, order, roots)
    plans: dict[int, tuple[int, Steps, bool]] = {}
    for powers in groups.values():
        if (plan := best_plan(powers, alone)) is not None:
            above, below, inverse = plan
            plans.update((node, (e, above if e > 0 else below, inverse)) for e, node in powers.items())
    new: dict[int, int] = {}
    for node in order:
        args = tuple(new[arg] for arg in graph.args[node])
        planned = plans.get(node)
        if planned is not None:
            new[node] = written(graph, args[0], *planned)
        else:
            new[node] = node if args == graph.args[node] else graph.add_node(graph.ops[node], args)
    return [new[root] for root in roots]


def lone_factors(graph: Graph, order: Sequence[int], roots: Sequence[int]) -> set[int]:
    """The nodes that are used once, in a product: a reciprocal there is a division that costs no more."""
    uses = graph.uses(order, roots)
    return {arg for node in order if graph.ops[node] is ops.mul for arg in graph.args[node] if uses[arg] == 1}


def best_plan(powers: dict[int, int], alone: Collection[int]) -> tuple[Steps, Steps, bool] | None:
    """Steps for positive and negative powers, and whether the negative ones go through 1/x; None for no gain."""
    above = [e for e in powers if e > 0]
    below = [-e for e in powers if e < 0]
    divisions = sum(1 for e in powers if e < 0 and powers[e] not in alone)
    joint = chain([*above, *below])
    usual, together = len(halving([*above, *below])) + divisions, len(joint) + divisions
    if below:
        apart, inverse = chain(above), chain(below)
        if len(apart) + len(inverse) + 1 < min(usual, together):
            return apart, inverse, True
    return (joint, joint, False) if together < usual else None


def halving(exponents: Sequence[int]) -> set[int]:
    """All powers that computing each of them by halving makes."""
    made: set[int] = set()
    for exponent in exponents:
        while exponent > 1:
            made.add(exponent)
            if exponent % 2:
                made.add(exponent - 1)
            exponent //= 2
    return made


def chain(exponents: Sequence[int]) -> Steps:
    steps: Steps = {}
    known = {1}

    def reach(exponent: int) -> None:
        if exponent in known:
            return
        first = next((e for e in sorted(known, reverse=True) if exponent - e in known), None)
        if first is None:
            reach(exponent // 2)
            first = exponent // 2
            if exponent % 2:
                reach(exponent - 1)
                first = exponent - 1
        steps[exponent] = (first, exponent - first)
        known.add(exponent)

    for exponent in sorted(exponents):
        reach(exponent)
    return steps


def written(graph: Graph, base: int, exponent: int, steps: Steps, inverse: bool) -> int:
    """base**exponent as products of products, by the steps."""
    if exponent < 0:
        minus = graph.constant(-1)
        if inverse:
            return written(graph, graph.add_node(ops.pow, (base, minus)), -exponent, steps, False)
        return graph.add_node(ops.pow, (written(graph, base, -exponent, steps, False), minus))
    if exponent == 1:
        return base
    parts = [written(graph, base, part, steps, False) for part in steps[exponent]]
    return graph.add_node(ops.mul, tuple(sorted(parts)))
