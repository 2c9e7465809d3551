"""Derivatives by accumulation on the shared graph: reverse and forward sweeps with structural zeros.

A sweep visits each node once. An adjoint or tangent that is absent is zero and makes no node. Selections (`where`,
`minimum`, `maximum`) are followed by *guards*: what flows into a branch carries the condition under which that branch is
taken, and the condition is applied where flows meet again, after all products. So 0 · inf never arises from a branch
that is not taken, however singular its partials are there.

Sources: Griewank & Walther, Evaluating Derivatives, 2nd ed., ch. 3 (sweeps) and ch. 7 (Hessians).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hybrid import operations as ops
from hybrid.graph import Graph, Term
from hybrid.operations import CONSTANT, REAL, VARIABLE

Path = tuple[int, ...]  # the conditions (mask nodes) under which a flow counts, outermost first; () is always


@dataclass
class Partials:
    """Partial derivatives of nodes as terms, built on demand and kept: several sweeps over one graph share them."""

    graph: Graph
    known: dict[int, list[Any]] = field(default_factory=dict)
    conditions: dict[int, list[Path]] = field(default_factory=dict)

    def __call__(self, node: int) -> list[Any]:
        partials = self.known.get(node)
        if partials is None:
            partials = self.known[node] = self._build(node)
        return partials

    def _build(self, node: int) -> list[Any]:
        graph = self.graph
        op = graph.ops[node]
        if op.result != REAL or op is CONSTANT or op is VARIABLE:
            return [None] * len(graph.args[node])
        out = Term(graph, node)
        args = [Term(graph, arg) for arg in graph.args[node]]
        if callable(op.partials):
            return list(op.partials(out, *args))
        return [
            partial(out, *args) if partial is not None and not graph.is_constant(arg.node) else None
            for partial, arg in zip(op.partials, args, strict=True)
        ]

    def guards(self, node: int) -> list[Path]:
        """Per argument, the condition under which it decides the result."""
        graph = self.graph
        op = graph.ops[node]
        if op.guards is None:
            return [()] * len(graph.args[node])
        paths = self.conditions.get(node)
        if paths is None:
            args = [Term(graph, arg) for arg in graph.args[node]]
            paths = [(guard(*args).node,) if guard is not None else () for guard in op.guards]
            self.conditions[node] = paths
        return paths


def multiply(flow: Any, partial: Any) -> Any:
    """flow · partial as a term or number, or None for a structural zero."""
    if partial is None or (isinstance(partial, int) and partial == 0):
        return None
    if isinstance(flow, int) and flow == 1:
        return partial
    if isinstance(partial, int) and partial == 1:
        return flow
    if isinstance(partial, int) and partial == -1:
        return -flow
    return flow * partial


def total(graph: Graph, flows: Sequence[Any]) -> Any:
    """The sum of flows as one n-ary node."""
    return flows[0] if len(flows) == 1 else graph.apply(ops.add, *flows)


def opposite(graph: Graph, first: int, second: int) -> bool:
    """Whether one mask is written as the negation of the other."""
    return (graph.ops[first] is ops.logical_not and graph.args[first][0] == second) or (
        graph.ops[second] is ops.logical_not and graph.args[second][0] == first
    )


def conjunction(graph: Graph, path: Path) -> Term:
    condition = Term(graph, path[0])
    for other in path[1:]:
        condition = ops.logical_and(condition, Term(graph, other))
    return condition


def choose(graph: Graph, condition: int, if_true: Any, if_false: Any) -> Any:
    """where(condition, …), with a negated condition written as its positive form."""
    if graph.ops[condition] is ops.logical_not:
        condition, if_true, if_false = graph.args[condition][0], if_false, if_true
    return graph.apply(ops.where, Term(graph, condition), if_true, if_false)


def merge(graph: Graph, flows: Sequence[tuple[Path, Any]]) -> tuple[Path, Any]:
    """One flow from several: the weakest condition that covers them all, and the sum of what counts under it."""
    groups: dict[Path, list[Any]] = {}
    for path, flow in flows:
        groups.setdefault(path, []).append(flow)
    merged = {path: total(graph, group) for path, group in groups.items()}
    while len(merged) > 1:
        deepest = max(merged, key=len)
        partner = next(
            (p for p in merged if p != deepest and len(p) == len(deepest) and p[:-1] == deepest[:-1]
             and opposite(graph, p[-1], deepest[-1])), None)  # fmt: skip
        if partner is None:
            return merge_overlapping(graph, merged)
        first, second = merged.pop(deepest), merged.pop(partner)
        flow, outer = choose(graph, deepest[-1], first, second), deepest[:-1]
        merged[outer] = total(graph, [merged[outer], flow]) if outer in merged else flow
    return next(iter(merged.items()))


def merge_overlapping(graph: Graph, merged: Mapping[Path, Any]) -> tuple[Path, Any]:
    """Flows under conditions that are not plainly complementary: each is selected, the sum counts under any of them."""
    prefix = next(iter(merged))
    for path in merged:
        same = 0
        while same < min(len(prefix), len(path)) and prefix[same] == path[same]:
            same += 1
        prefix = prefix[:same]
    flows, conditions = [], []
    for path, flow in merged.items():
        rest = path[len(prefix) :]
        if rest:
            condition = conjunction(graph, rest)
            conditions.append(condition)
            flow = choose(graph, condition.node, flow, 0)
        else:
            conditions.append(None)
        flows.append(flow)
    if None in conditions:
        return prefix, total(graph, flows)
    either = conditions[0]
    for condition in conditions[1:]:
        either = ops.logical_or(either, condition)
    return (*prefix, either.node), total(graph, flows)


def settle(graph: Graph, flows: Sequence[tuple[Path, Any]]) -> int:
    """The node of a finished adjoint or tangent: its condition, if any, applied last."""
    path, flow = merge(graph, flows)
    if path:
        flow = choose(graph, conjunction(graph, path).node, flow, 0)
    return graph.lift(flow).node


def dependents(graph: Graph, nodes: Iterable[int], sources: Iterable[int]) -> set[int]:
    """Those of `nodes` (in evaluation order) that depend on a source through real numbers."""
    active = set(sources)
    for node in nodes:
        if node not in active and graph.ops[node].result == REAL and not active.isdisjoint(graph.args[node]):
            active.add(node)
    return active


def reverse(
    graph: Graph,
    seeds: Sequence[tuple[int, Any]],
    wanted: Collection[int],
    partials: Partials | None = None,
    active: Callable[[int], bool] | None = None,
) -> dict[int, int]:
    """Adjoint sweep: d(Σ seed·root)/d(wanted) for each wanted node on which the roots depend; the others are absent.

    `seeds` pairs a root with its weight (the number 1 or a term). `active` tells whether a node depends on a variable
    of interest; it is found here when not given.
    """
    partials = partials or Partials(graph)
    order = graph.reach(root for root, _ in seeds)
    if active is None:
        active = dependents(graph, order, wanted).__contains__
    flows: dict[int, list[tuple[Path, Any]]] = {}
    for root, seed in seeds:
        if active(root):
            flows.setdefault(root, []).append(((), seed))
    result: dict[int, int] = {}
    for node in reversed(order):
        incoming = flows.pop(node, None)
        if incoming is None:
            continue
        if node in wanted:
            result[node] = settle(graph, incoming)
        args = graph.args[node]
        if not any(active(arg) for arg in args):
            continue
        path, flow = merge(graph, incoming)
        guards = partials.guards(node)
        for arg, partial, guard in zip(args, partials(node), guards, strict=True):
            if active(arg) and (contribution := multiply(flow, partial)) is not None:
                flows.setdefault(arg, []).append((path + guard, contribution))
    return result


def forward(
    graph: Graph,
    nodes: Sequence[int],
    seeds: Mapping[int, Any],
    partials: Partials | None = None,
) -> dict[int, Any]:
    """Tangent sweep over `nodes` (in evaluation order): tangents of the nodes that depend on the seeded variables."""
    partials = partials or Partials(graph)
    tangents: dict[int, Any] = dict(seeds)
    for node in nodes:
        args = graph.args[node]
        if node in tangents or graph.ops[node].result != REAL or tangents.keys().isdisjoint(args):
            continue
        flows = [
            (guard, flow)
            for arg, partial, guard in zip(args, partials(node), partials.guards(node), strict=True)
            if arg in tangents and (flow := multiply(tangents[arg], partial)) is not None
        ]
        if flows:
            tangents[node] = Term(graph, settle(graph, flows))
    return tangents


def users_of(graph: Graph, nodes: Iterable[int]) -> dict[int, list[int]]:
    users: dict[int, list[int]] = {}
    for node in nodes:
        for arg in set(graph.args[node]):
            users.setdefault(arg, []).append(node)
    return users


def downstream(users: Mapping[int, Sequence[int]], source: int) -> list[int]:
    """All nodes that depend on `source`, in evaluation order."""
    seen, stack = {source}, [source]
    while stack:
        for user in users.get(stack.pop(), ()):
            if user not in seen:
                seen.add(user)
                stack.append(user)
    return sorted(seen)


Entries = dict[tuple[int, int], int]  # (row, column) -> node; absent entries are structural zeros


def jacobian_reverse(graph: Graph, roots: Sequence[int], wrt: Sequence[int]) -> Entries:
    """One adjoint sweep per distinct output."""
    partials = Partials(graph)
    active = dependents(graph, graph.reach(roots), wrt).__contains__
    columns = {node: column for column, node in enumerate(wrt)}
    sweeps: dict[int, dict[int, int]] = {}
    entries: Entries = {}
    for row, root in enumerate(roots):
        if root not in sweeps:
            sweeps[root] = reverse(graph, [(root, 1)], columns, partials, active) if active(root) else {}
        for variable, node in sweeps[root].items():
            entries[row, columns[variable]] = node
    return entries


def jacobian_forward(graph: Graph, roots: Sequence[int], wrt: Sequence[int]) -> Entries:
    """One tangent sweep per variable, over the nodes that depend on it only."""
    partials = Partials(graph)
    users = users_of(graph, graph.reach(roots))
    rows: dict[int, list[int]] = {}
    for row, root in enumerate(roots):
        rows.setdefault(root, []).append(row)
    entries: Entries = {}
    for column, variable in enumerate(wrt):
        nodes = downstream(users, variable)
        tangents = forward(graph, nodes, {variable: 1}, partials)
        for node in nodes:
            if node in rows and node in tangents:
                value = graph.lift(tangents[node]).node
                entries.update({(row, column): value for row in rows[node]})
    return entries


def hessian_reverse(graph: Graph, root: int, wrt: Sequence[int]) -> Entries:
    """Reverse over reverse; the sweep of row i keeps to variables i, i+1, …, and the other triangle is its mirror."""
    columns = {variable: column for column, variable in enumerate(wrt)}
    gradient = reverse(graph, [(root, 1)], columns)
    roots = [gradient[variable] for variable in wrt if variable in gradient]
    latest = dict(columns)
    for node in graph.reach(roots):
        if node not in latest and graph.ops[node].result == REAL:
            latest[node] = max((latest.get(arg, -1) for arg in graph.args[node]), default=-1)
    partials = Partials(graph)
    entries: Entries = {}
    for row, variable in enumerate(wrt):
        if variable not in gradient:
            continue
        sweep = reverse(graph, [(gradient[variable], 1)], columns, partials, reaching(latest, row))
        for other, node in sweep.items():
            column = columns[other]
            if column >= row:
                entries[row, column] = entries[column, row] = node
    return entries


def reaching(latest: Mapping[int, int], row: int) -> Callable[[int], bool]:
    """Whether a node depends on variable `row` or a later one."""
    return lambda node: latest.get(node, -1) >= row


def hessian_forward(graph: Graph, root: int, wrt: Sequence[int]) -> Entries:
    """Forward over reverse, mirrored from the lower triangle."""
    gradient = reverse(graph, [(root, 1)], set(wrt))
    rows = [gradient.get(variable) for variable in wrt]
    present = [row for row, node in enumerate(rows) if node is not None]
    found = jacobian_forward(graph, [gradient[wrt[row]] for row in present], wrt)
    entries: Entries = {}
    for (position, column), node in found.items():
        row = present[position]
        if column <= row:
            entries[row, column] = entries[column, row] = node
    return entries
