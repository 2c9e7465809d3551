"""A factor that flows into many products is multiplied once, where the flow comes out.

Reverse sweeps multiply an adjoint into every branch of what lies below: h·a + h·b·c + … The nodes that h divides, term
by term, form a region. Where more products take h up inside the region than values leave it, the region is computed
without h and its exits are multiplied by h: (a + b·c + …)·h. This is the elimination of a vertex of the linearised
graph in another order [Griewank & Walther, Evaluating Derivatives, 2nd ed., ch. 9].
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from hybrid import operations as ops
from hybrid.graph import Graph
from hybrid.known import Known
from hybrid.rewrite import Rewriter

LARGEST_REGION = 300  # nodes; beyond, a factor stays where it is
VISITS = 40  # nodes looked at per node of the graph, so that the pass stays linear


@dataclass
class Region:
    """What h divides: `chosen` maps a product to the argument that carries h; `full` are the nodes needed with h."""

    factor: int
    nodes: list[int]
    chosen: dict[int, int]
    full: set[int]

    def gain(self) -> int:
        """Products inside that h drops out of, less those that it enters at the exits."""
        dropped = sum(1 for arg in self.chosen.values() if arg == self.factor)
        return dropped - len(self.full)


def lift_factors(graph: Graph, roots: Sequence[int], kept: Collection[int], known: Known | None = None) -> list[int]:
    """The roots with factors moved to the exits of their regions, where that takes fewer products."""
    order = (known or Known(graph)).reach(roots)
    users: dict[int, list[int]] = {}
    products: dict[int, int] = {}
    for node in order:
        for arg in dict.fromkeys(graph.args[node]):
            users.setdefault(arg, []).append(node)
            if graph.ops[node] is ops.mul and not graph.is_constant(arg):
                products[arg] = products.get(arg, 0) + 1
    outputs = frozenset(roots)
    left = VISITS * len(order)
    found: list[tuple[int, Region]] = []
    for factor, count in products.items():
        if count < 2 or left <= 0:
            continue
        region = divisible(graph, users, outputs, kept, factor)
        if region is not None:
            left -= len(region.nodes)
            if (gain := region.gain()) > 0:
                found.append((gain, region))
        else:
            left -= LARGEST_REGION
    return rebuild(graph, order, roots, disjoint(found)) if found else list(roots)


def divisible(
    graph: Graph, users: Mapping[int, Sequence[int]], outputs: Collection[int], kept: Collection[int], factor: int
) -> Region | None:
    """The region of a factor, or None if it is too large."""
    inside = {factor}
    chosen: dict[int, int] = {}
    full: set[int] = set()
    carried: dict[int, list[int]] = {}  # users met so far -> their arguments in the region
    waiting: list[int] = []

    def enter(node: int) -> None:
        inside.add(node)
        for user in users.get(node, ()):
            if user not in carried:
                carried[user] = []
                heapq.heappush(waiting, user)
            carried[user].append(node)

    enter(factor)
    while waiting:
        node = heapq.heappop(waiting)
        op, carriers = graph.ops[node], carried[node]
        whole = op is ops.add and len(carriers) == len(graph.args[node])
        if node in kept or not (op is ops.mul or op is ops.neg or whole):
            full.update(carriers)
            continue
        if op is ops.mul:
            chosen[node] = factor if factor in carriers else carriers[0]
            full.update(arg for arg in carriers if arg != chosen[node])
        enter(node)
        if len(inside) > LARGEST_REGION:
            return None
    full.update(node for node in inside if node in outputs)
    full.discard(factor)
    return Region(factor, sorted(inside), chosen, full)


def disjoint(found: list[tuple[int, Region]]) -> list[Region]:
    """The most profitable regions that do not touch each other."""
    taken: set[int] = set()
    regions = []
    for _, region in sorted(found, key=lambda pair: (-pair[0], len(pair[1].nodes), pair[1].factor)):
        inside = region.nodes[1:]
        if taken.isdisjoint(inside):
            taken.update(inside)
            regions.append(region)
    return regions


def rebuild(graph: Graph, order: Sequence[int], roots: Sequence[int], regions: Sequence[Region]) -> list[int]:
    owner = {node: region for region in regions for node in region.nodes if node != region.factor}
    rewriter = Rewriter(graph)
    one = graph.constant(1)
    new: dict[int, int] = {}
    bare: dict[int, int] = {}  # nodes of a region without its factor

    def without(region: Region, arg: int) -> int:
        return one if arg == region.factor else bare[arg]

    for node in order:
        op, args = graph.ops[node], graph.args[node]
        region = owner.get(node)
        if region is None:
            new[node] = graph.add_node(op, tuple(new[arg] for arg in args)) if args else node
            continue
        if op is ops.mul:
            carrier = region.chosen[node]
            rest = list(args)
            rest.remove(carrier)
            parts = [without(region, carrier), *(new[arg] for arg in rest)]
            bare[node] = rewriter.product((part, 1, False) for part in parts)
        else:
            bare[node] = graph.add_node(op, tuple(without(region, arg) for arg in args))
        if node in region.full:
            new[node] = rewriter.product([(bare[node], 1, True), (new[region.factor], 1, False)])
    return [new[root] for root in roots]
