"""Derivatives by accumulation on the shared graph: reverse and forward sweeps with structural zeros.

A sweep visits each node once. An adjoint or tangent that is absent is zero and makes no node. Selections (`where`,
`minimum`, `maximum`) are followed by *guards*: what flows into a branch carries the condition under which that branch
is taken, and the condition is applied where flows meet again, after all products. So 0 · inf never arises from a
branch that is not taken, however singular its partials are there.

Sources: Griewank & Walther, Evaluating Derivatives, 2nd ed., ch. 3 (sweeps) and ch. 7 (Hessians).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hybrid import operations as ops
from hybrid.graph import Graph, Term
from hybrid.operations import CONSTANT, REAL
from hybrid.store import SMALL

Path = tuple[int, ...]  # the conditions (mask nodes) under which a flow counts, outermost first; () is always
Flow = int  # the node of an adjoint, tangent or partial, or one of:
ONE: Flow = -1
MINUS_ONE: Flow = -2


@dataclass
class Partials:
    """Partial derivatives of nodes, built on demand and kept: several sweeps over one graph share them.

    Per argument a `Flow`, or None for a structural zero.
    """

    graph: Graph
    known: dict[int, Sequence[Flow | None]] = field(default_factory=dict)
    conditions: dict[int, Sequence[Path]] = field(default_factory=dict)

    def __call__(self, node: int) -> Sequence[Flow | None]:
        partials = self.known.get(node)
        if partials is None:
            partials = self.known[node] = self._build(node)
        return partials

    def _build(self, node: int) -> Sequence[Flow | None]:
        graph = self.graph
        op, args = graph.ops[node], graph.args[node]
        if op is ops.add:
            return (ONE,) * len(args)
        if op.result != REAL:
            return (None,) * len(args)
        out = Term(graph, node)
        terms = [Term(graph, arg) for arg in args]
        if callable(op.partials):
            return [self._flow(partial) for partial in op.partials(out, *terms)]
        return [
            self._flow(partial(out, *terms)) if partial is not None and graph.ops[arg] is not CONSTANT else None
            for partial, arg in zip(op.partials, args, strict=True)
        ]

    def _flow(self, partial: Any) -> Flow | None:
        if isinstance(partial, Term):
            return partial.node
        if partial is None or partial == 0:
            return None
        return ONE if partial == 1 else MINUS_ONE if partial == -1 else self.graph.constant(partial)

    def guards(self, node: int) -> Sequence[Path]:
        """Per argument, the condition under which it decides the result."""
        graph = self.graph
        guards, args = graph.ops[node].guards, graph.args[node]
        if guards is None:
            return ((),) * len(args)
        paths = self.conditions.get(node)
        if paths is None:
            terms = [Term(graph, arg) for arg in args]
            paths = [(guard(*terms).node,) if guard is not None else () for guard in guards]
            self.conditions[node] = paths
        return paths


def multiply(graph: Graph, flow: Flow, partial: Flow | None) -> Flow | None:
    """flow · partial, or None for a structural zero."""
    if partial is None:
        return None
    if flow == ONE:
        return partial
    if partial == ONE:
        return flow
    if partial == MINUS_ONE:
        return ONE if flow == MINUS_ONE else negative(graph, flow)
    if flow == MINUS_ONE:
        return negative(graph, partial)
    if (factor := whole(graph, flow)) is not None:
        other, args = whole(graph, partial), graph.args[partial]
        if other is not None and abs(factor * other) < SMALL:
            return graph.constant(factor * other)
        first = whole(graph, args[0]) if graph.ops[partial] is ops.mul and len(args) == 2 else None
        if first is not None and abs(factor * first) < SMALL:
            return graph.add_node(ops.mul, (graph.constant(factor * first), args[1]))
    return graph.add_node(ops.mul, (flow, partial))


def whole(graph: Graph, node: int) -> int | None:
    """The value of a node that is a whole number: such factors and terms are put together, which is exact."""
    value = graph.leaves[node] if graph.ops[node] is CONSTANT else None
    return value if type(value) is int and abs(value) < SMALL else None


def negative(graph: Graph, node: int) -> int:
    value = whole(graph, node)
    return graph.add_node(ops.neg, (node,)) if value is None else graph.constant(-value)


def node_of(graph: Graph, flow: Flow) -> int:
    """The node of a flow that may be one of the numbers."""
    return flow if flow >= 0 else graph.constant(1 if flow == ONE else -1)


def total(graph: Graph, flows: Sequence[Flow]) -> Flow:
    """The sum of flows as one n-ary node; of several whole numbers among them there comes one, the first term."""
    if len(flows) == 1:
        return flows[0]
    nodes = [node_of(graph, flow) for flow in flows]
    numbers = [value for node in nodes if (value := whole(graph, node)) is not None]
    if len(numbers) > 1 and abs(number := sum(numbers)) < SMALL:
        nodes = [node for node in nodes if whole(graph, node) is None]
        if number or not nodes:
            nodes.insert(0, graph.constant(number))
    return nodes[0] if len(nodes) == 1 else graph.add_node(ops.add, tuple(nodes))


def opposite(graph: Graph, first: int, second: int) -> bool:
    """Whether one mask is written as the negation of the other."""
    return (graph.ops[first] is ops.logical_not and graph.args[first][0] == second) or (
        graph.ops[second] is ops.logical_not and graph.args[second][0] == first
    )


def under(graph: Graph, path: Path, guard: Path) -> Path | None:
    """The path that also asks for the guard's condition; None where the path already excludes it."""
    if not guard or guard[0] in path:
        return path
    if any(opposite(graph, condition, guard[0]) for condition in path):
        return None
    return path + guard


def conjunction(graph: Graph, path: Path) -> int:
    condition = path[0]
    for other in path[1:]:
        condition = graph.add_node(ops.logical_and, (condition, other))
    return condition


def choose(graph: Graph, condition: int, if_true: Flow, if_false: Flow | None) -> Flow:
    """where(condition, …), None being zero; a negated condition is written as its positive form."""
    true = node_of(graph, if_true)
    false = graph.constant(0) if if_false is None else node_of(graph, if_false)
    if graph.ops[condition] is ops.logical_not:
        condition, true, false = graph.args[condition][0], false, true
    return graph.add_node(ops.where, (condition, true, false))


def merge(graph: Graph, flows: Sequence[tuple[Path, Flow]]) -> tuple[Path, Flow]:
    """One flow from several: the weakest condition that covers them all, and the sum of what counts under it."""
    if len(flows) == 1:
        return flows[0]
    groups: dict[Path, list[Flow]] = {}
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


def merge_overlapping(graph: Graph, merged: Mapping[Path, Flow]) -> tuple[Path, Flow]:
    """Flows under conditions that are not plainly complementary: each is selected, the sum counts under any of them."""
    prefix = next(iter(merged))
    for path in merged:
        same = 0
        while same < min(len(prefix), len(path)) and prefix[same] == path[same]:
            same += 1
        prefix = prefix[:same]
    flows: list[Flow] = []
    conditions: list[int] = []
    for path, flow in merged.items():
        rest = path[len(prefix) :]
        if rest:
            conditions.append(conjunction(graph, rest))
            flow = choose(graph, conditions[-1], flow, None)
        flows.append(flow)
    if len(conditions) < len(merged):  # one of the flows counts wherever the prefix holds
        return prefix, total(graph, flows)
    either = conditions[0]
    for condition in conditions[1:]:
        either = graph.add_node(ops.logical_or, (either, condition))
    return (*prefix, either), total(graph, flows)


def settle(graph: Graph, path: Path, flow: Flow) -> int:
    """The node of a finished adjoint or tangent: its condition, if any, applied last."""
    return node_of(graph, choose(graph, conjunction(graph, path), flow, None) if path else flow)


def dependents(graph: Graph, nodes: Iterable[int], sources: Iterable[int]) -> set[int]:
    """Those of `nodes` (in evaluation order) that depend on a source through real numbers."""
    active = set(sources)
    for node in nodes:
        if node not in active and graph.ops[node].result == REAL and not active.isdisjoint(graph.args[node]):
            active.add(node)
    return active


def reverse(
    graph: Graph,
    seeds: Sequence[tuple[int, Flow]],
    wanted: Collection[int],
    partials: Partials | None = None,
    active: Callable[[int], bool] | None = None,
) -> dict[int, int]:
    """Adjoint sweep: d(Σ seed·root)/d(wanted) for each wanted node on which the roots depend; the others are absent.

    `seeds` pairs a root with its weight (a node, or `ONE`). `active` tells whether a node depends on a variable of
    interest; it is found here when not given.
    """
    partials = partials or Partials(graph)
    order = graph.reach(root for root, _ in seeds)
    if active is None:
        active = dependents(graph, order, wanted).__contains__
    flows: dict[int, list[tuple[Path, Flow]]] = {}
    for root, seed in seeds:
        if active(root):
            flows.setdefault(root, []).append(((), seed))
    result: dict[int, int] = {}
    for place in reversed(range(len(order))):
        node = order[place]
        incoming = flows.pop(node, None)
        if incoming is None:
            continue
        path, flow = merge(graph, incoming)
        if node in wanted:
            result[node] = settle(graph, path, flow)
        args = graph.args[node]
        if not any(map(active, args)):
            continue
        if graph.ops[node].composite is not None:
            group = {node: (path, flow)}
            for sibling in siblings(graph, order, place):
                if sibling in flows:
                    group[sibling] = merge(graph, flows.pop(sibling))
                    if sibling in wanted:
                        result[sibling] = settle(graph, *group[sibling])
            for arg, outer, pull in pulled(graph, group):
                if active(arg):
                    flows.setdefault(arg, []).append((outer, pull))
            continue
        for arg, partial, guard in zip(args, partials(node), partials.guards(node), strict=True):
            if not active(arg) or (inner := under(graph, path, guard)) is None:
                continue
            if (contribution := multiply(graph, flow, partial)) is not None:
                flows.setdefault(arg, []).append((inner, contribution))
    return result


def forward(
    graph: Graph,
    nodes: Sequence[int],
    seeds: Mapping[int, Flow],
    partials: Partials | None = None,
) -> dict[int, int]:
    """Tangent sweep over `nodes` (in evaluation order): tangents of the nodes that depend on the seeded variables."""
    partials = partials or Partials(graph)
    tangents: dict[int, tuple[Path, Flow]] = {node: ((), flow) for node, flow in seeds.items()}
    for node in nodes:
        args = graph.args[node]
        if node in tangents or graph.ops[node].result != REAL or tangents.keys().isdisjoint(args):
            continue
        if graph.ops[node].composite is not None:
            tangents |= pushed(graph, node, tangents)
            continue
        flows: list[tuple[Path, Flow]] = []
        for arg, partial, guard in zip(args, partials(node), partials.guards(node), strict=True):
            if arg not in tangents:
                continue
            path, flow = tangents[arg]
            inner, contribution = under(graph, path, guard), multiply(graph, flow, partial)
            if inner is not None and contribution is not None:
                flows.append((inner, contribution))
        if flows:
            tangents[node] = merge(graph, flows)
    return {node: settle(graph, path, flow) for node, (path, flow) in tangents.items()}


# --- composite operations: all results at once ------------------------------------------------------------------------
def siblings(graph: Graph, order: Sequence[int], place: int) -> Iterable[int]:
    """The results of the same composite operation right before one of them: nothing between needs any of them."""
    node = order[place]
    family = graph.ops[node].composite
    assert family is not None  # the caller has looked
    while place:
        place -= 1
        other = graph.ops[order[place]].composite
        if other is None or other[0] is not family[0] or graph.args[order[place]] != graph.args[node]:
            return
        yield order[place]


def shared_path(graph: Graph, flows: Sequence[tuple[Path, Flow]]) -> tuple[Path, list[int]]:
    """The path that all flows have, and their nodes; with several paths each condition is applied."""
    if len({path for path, _ in flows}) == 1:
        return flows[0][0], [node_of(graph, flow) for _, flow in flows]
    return (), [settle(graph, path, flow) for path, flow in flows]


def family_place(graph: Graph, member: int) -> int:
    """Which of the results of its composite operation a node is."""
    family = graph.ops[member].composite
    assert family is not None  # callers have looked
    return family[1]


def pulled(graph: Graph, group: Mapping[int, tuple[Path, Flow]]) -> Iterable[tuple[int, Path, Flow]]:
    """What the arguments of a composite operation receive from the adjoints of some of its results."""
    node = next(iter(group))
    family, args = graph.ops[node].composite, graph.args[node]
    assert family is not None  # the caller has looked
    path, nodes = shared_path(graph, list(group.values()))
    weights: list[int | None] = [None] * family[0].results
    for member, weight in zip(group, nodes, strict=True):
        weights[family_place(graph, member)] = weight
    contributions = family[0].pull(graph, args, family[0].nodes(graph, args), weights)
    return [(arg, path, flow) for arg, flow in zip(args, contributions, strict=True) if flow is not None]


def pushed(graph: Graph, node: int, tangents: Mapping[int, tuple[Path, Flow]]) -> dict[int, tuple[Path, Flow]]:
    """The tangents of all results of a composite operation from those of its arguments."""
    family, args = graph.ops[node].composite, graph.args[node]
    assert family is not None  # the caller has looked
    present = [place for place, arg in enumerate(args) if arg in tangents]
    path, nodes = shared_path(graph, [tangents[args[place]] for place in present])
    given: list[int | None] = [None] * len(args)
    for place, tangent in zip(present, nodes, strict=True):
        given[place] = tangent
    outs = family[0].nodes(graph, args)
    found = family[0].push(graph, args, outs, given)
    return {out: (path, flow) for out, flow in zip(outs, found, strict=True) if flow is not None}


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
            sweeps[root] = reverse(graph, [(root, ONE)], columns, partials, active) if active(root) else {}
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
        tangents = forward(graph, nodes, {variable: ONE}, partials)
        for node in nodes:
            if node in rows and node in tangents:
                entries.update({(row, column): tangents[node] for row in rows[node]})
    return entries


def hessian_reverse(graph: Graph, root: int, wrt: Sequence[int]) -> Entries:
    """Reverse over reverse; the sweep of row i keeps to variables i, i+1, …, and the other triangle is its mirror."""
    columns = {variable: column for column, variable in enumerate(wrt)}
    gradient = reverse(graph, [(root, ONE)], columns)
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
        sweep = reverse(graph, [(gradient[variable], ONE)], columns, partials, reaching(latest, row))
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
    gradient = reverse(graph, [(root, ONE)], set(wrt))
    rows = [gradient.get(variable) for variable in wrt]
    present = [row for row, node in enumerate(rows) if node is not None]
    found = jacobian_forward(graph, [gradient[wrt[row]] for row in present], wrt)
    entries: Entries = {}
    for (position, column), node in found.items():
        row = present[position]
        if column <= row:
            entries[row, column] = entries[column, row] = node
    return entries
