"""Jacobians by vertex elimination in an order that pays: neither forward nor backward, but across.

The derivative of a function is a sum over the paths from its variables to its outputs of the product of the partials
on each path. Removing a node v joins every edge into it with every edge out of it, and all orders of removal give the
same sum at different cost [Griewank & Walther, Evaluating Derivatives, 2nd ed., ch. 9 and 10]. A node that all paths of
a part of the graph go through is a dominator, and factoring the sum there is removing what lies between first
[Guenter, Efficient Symbolic Differentiation for Graphics Applications, SIGGRAPH 2007].

Here nodes are removed while that makes a sweep over what is left cheaper than it was, the most profitable first; then
the sweep is made. What a sweep costs is known before: an edge is used once for every output it leads to, backwards, or
for every variable it comes from, forwards.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field

from hybrid.differentiate import (
    ONE,
    Entries,
    Flow,
    Partials,
    Path,
    dependents,
    merge,
    multiply,
    reverse,
    settle,
    under,
)
from hybrid.graph import Graph

Edge = list[tuple[Path, Flow]]  # parallel edges not merged yet, each with the conditions under which it counts

# Which way the final sweep goes (True: from the outputs), and by how many operations a removal must pay.
VARIANTS = ((True, 1), (True, 5), (False, 1), (True, 0), (False, 0))


@dataclass
class Linearised:
    """The graph of local partials between `wrt` and some outputs, every output hanging on a sink of its own.

    `into[v]` holds the edges into v by where they come from, `out[v]` the nodes that edges from v lead to. Nodes are
    those of the graph, sinks are negative. `outputs` says per node how many outputs depend on it, `inputs` on how many
    variables it depends itself.
    """

    graph: Graph
    wrt: Sequence[int]
    sinks: dict[int, int] = field(default_factory=dict)
    into: dict[int, dict[int, Edge]] = field(default_factory=dict)
    out: dict[int, dict[int, None]] = field(default_factory=dict)
    outputs: dict[int, int] = field(default_factory=dict)
    inputs: dict[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, graph: Graph, roots: Sequence[int], wrt: Sequence[int]) -> Linearised:
        linear = cls(graph, wrt)
        partials, variables = Partials(graph), set(wrt)
        order = graph.reach(roots)
        active = dependents(graph, order, wrt)
        for node in order:
            if node in active and node not in variables:
                linear.connect(node, partials, active)
        for number, root in enumerate(dict.fromkeys(roots)):
            if root in active:
                sink = linear.sinks[root] = -1 - number
                linear.into[sink] = {root: [((), ONE)]}
                linear.out.setdefault(root, {})[sink] = None
        linear.count()
        return linear

    def connect(self, node: int, partials: Partials, active: set[int]) -> None:
        edges = self.into[node] = {}
        for arg, partial, guard in zip(self.graph.args[node], partials(node), partials.guards(node), strict=True):
            if arg in active and partial is not None:
                edges.setdefault(arg, []).append((guard, partial))
        for arg in edges:
            self.out.setdefault(arg, {})[node] = None

    def count(self) -> None:
        """How many outputs and variables each node is connected with."""
        inner = sorted(node for node in self.into if node >= 0)
        leads_to = {sink: 1 << -1 - sink for sink in self.sinks.values()}
        for node in [*reversed(inner), *self.wrt]:
            found = 0
            for user in self.out.get(node, ()):
                found |= leads_to[user]
            leads_to[node] = found
        comes_from = {variable: 1 << column for column, variable in enumerate(self.wrt)}
        for node in [*inner, *self.sinks.values()]:
            found = 0
            for arg in self.into[node]:
                found |= comes_from[arg]
            comes_from[node] = found
        self.outputs = {node: mask.bit_count() for node, mask in leads_to.items()}
        self.inputs = {node: mask.bit_count() for node, mask in comes_from.items()}

    def edge(self, node: int, arg: int) -> tuple[Path, Flow]:
        edges = self.into[node][arg]
        if len(edges) > 1:
            edges = self.into[node][arg] = [merge(self.graph, edges)]
        return edges[0]

    def gain(self, node: int, backwards: bool) -> int:
        """How many operations removing a node saves: in the sweep, less those of the removal."""
        weight = self.outputs if backwards else self.inputs
        saved = 0
        for arg, edge in self.into[node].items():
            saved += weight[node if backwards else arg] * (1 if is_unit(edge) else 2)
        for user in self.out.get(node, ()):
            link = self.into[user][node]
            free = is_unit(link)
            saved += weight[user if backwards else node] * (1 if free else 2)
            for arg, edge in self.into[node].items():
                uses = weight[user if backwards else arg]
                there = self.into[user].get(arg)
                unit = is_unit(edge)
                saved -= not (free or unit)
                if there is None:
                    saved -= uses * (1 if free and unit else 2)
                else:
                    saved -= 1 + (uses if is_unit(there) else 0)
        return saved

    def remove(self, node: int) -> set[int]:
        """Join the edges into a node with those out of it; the nodes whose edges have changed."""
        changed = set(self.into[node])
        for user in self.out.pop(node, {}):
            path, outer = self.edge(user, node)
            del self.into[user][node]
            changed.add(user)
            for arg in self.into[node]:
                guard, inner = self.edge(node, arg)
                joined: Path | None = path
                for condition in guard:
                    joined = under(self.graph, joined, (condition,)) if joined is not None else None
                flow = multiply(self.graph, outer, inner)
                if joined is not None and flow is not None:
                    self.into[user].setdefault(arg, []).append((joined, flow))
                    self.out[arg][user] = None
        for arg in self.into.pop(node):
            del self.out[arg][node]
        return changed

    def preaccumulate(self, backwards: bool, least: int) -> None:
        """Remove nodes while one saves at least `least` operations."""
        gains = {node: self.gain(node, backwards) for node in self.into if node >= 0}
        heap = [(-gain, node) for node, gain in gains.items()]
        heapq.heapify(heap)
        while heap and -heap[0][0] >= least:
            gain, node = heapq.heappop(heap)
            if gains.get(node) != -gain:
                continue
            del gains[node]
            changed = self.remove(node)
            near = set(changed)
            for other in changed:
                near.update(self.into.get(other, ()), self.out.get(other, ()))
            for other in near & gains.keys():
                fresh = self.gain(other, backwards)
                if fresh != gains[other]:
                    gains[other] = fresh
                    heapq.heappush(heap, (-fresh, other))

    def sweep(self, backwards: bool) -> None:
        for node in sorted((node for node in self.into if node >= 0), reverse=backwards):
            self.remove(node)

    def rows(self) -> dict[int, dict[int, int]]:
        """Once all inner nodes are gone: the derivatives of each output, by column."""
        columns = {variable: column for column, variable in enumerate(self.wrt)}
        return {
            root: {columns[arg]: settle(self.graph, *self.edge(sink, arg)) for arg in self.into[sink]}
            for root, sink in self.sinks.items()
        }


def is_unit(edge: Edge) -> bool:
    """Whether a product with an edge is free: its partial is 1 or −1."""
    return len(edge) == 1 and edge[0][1] < 0


def jacobian_eliminated(
    graph: Graph, roots: Sequence[int], wrt: Sequence[int], backwards: bool = True, least: int = 1
) -> Entries:
    """The Jacobian after removing what saves at least `least` operations of the sweep that follows."""
    linear = Linearised.of(graph, roots, wrt)
    linear.preaccumulate(backwards, least)
    linear.sweep(backwards)
    rows = linear.rows()
    return {(row, column): node for row, root in enumerate(roots) for column, node in rows.get(root, {}).items()}


def hessian_eliminated(
    graph: Graph, root: int, wrt: Sequence[int], backwards: bool = True, least: int = 1, lower: bool = True
) -> Entries:
    """The Hessian as one triangle of the eliminated Jacobian of the gradient, mirrored."""
    gradient = reverse(graph, [(root, ONE)], set(wrt))
    present = [column for column, variable in enumerate(wrt) if variable in gradient]
    found = jacobian_eliminated(graph, [gradient[wrt[column]] for column in present], wrt, backwards, least)
    entries: Entries = {}
    for (position, column), node in found.items():
        row = present[position]
        if row == column or (column < row) == lower:
            entries[row, column] = entries[column, row] = node
    return entries
