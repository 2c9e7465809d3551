"""The reverse sweep: one loop over the recorded nodes, newest first. No recursion, no rules of its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from heapq import heappop, heappush
from operator import attrgetter
from typing import Any

import numpy as np

from hybrid.tape.mode import set_grad_enabled
from hybrid.tape.node import OUTPUT, Leaf, Masked, Node, all_to, sum_to
from hybrid.tape.tensor import Tensor

Adjoint = Any  # an array, a Tensor when derivatives of the result are wanted, or Masked around either
Edge = Node | Leaf


def sweep(
    seeds: Sequence[tuple[Edge, Adjoint]], targets: Iterable[Edge] | None, retain: bool, create: bool
) -> dict[Edge, Adjoint]:
    """Adjoints of the `targets` (None: of every leaf reached) given adjoints of the seeds' edges.

    Targets that the seeds do not depend on are missing from the answer. Values that nodes saved are freed unless
    `retain`; with `create` the adjoints are tensors with a graph of their own.
    """
    with np.errstate(all="ignore"), set_grad_enabled(create):
        ends = None if targets is None else set(targets)
        wanted = None if ends is None else _leading_to(ends, [edge for edge, _ in seeds])
        adjoints: dict[Edge, Adjoint] = {}
        found: dict[Edge, Adjoint] = {}
        frontier: list[tuple[int, Node]] = []  # a heap: the newest node that has an adjoint comes first
        for edge, seed in seeds:
            if type(edge) is Node and edge not in adjoints:
                heappush(frontier, (edge.order, edge))
            _accumulate(adjoints, edge, seed)
        while frontier:
            node = heappop(frontier)[1]
            g = adjoints.pop(node)
            if node.rare is not None and node.rare.hooks:
                g = run_hooks(node.rare.hooks, g, create)
            edges: Sequence[Any] = node.edges
            if ends is not None and wanted is not None:
                if node in ends:
                    found[node] = g
                edges = [edge if edge in wanted else None for edge in edges]
                if not any(edges):
                    continue
            rule = node.rule
            if rule.selects or type(g) is Masked:
                if rule is OUTPUT:
                    if node.edges[0] not in adjoints:
                        heappush(frontier, (node.edges[0].order, node.edges[0]))
                    _collect_output(adjoints, node, g)
                    continue
                grads = _pull_masked(node, g, edges)
            else:
                grads = rule.pull(node, g, edges)
            if not retain and type(node.saved) is tuple:
                node.saved = None
            for edge, a in zip(edges, grads):  # noqa: B905 - a `strict` keyword costs as much as the loop
                if edge is None or a is None:
                    continue
                before = adjoints.get(edge)
                if before is None:
                    adjoints[edge] = a
                    if type(edge) is Node:
                        heappush(frontier, (edge.order, edge))
                elif type(a) is Masked or type(before) is Masked:
                    _accumulate(adjoints, edge, a)
                else:
                    adjoints[edge] = before + a
        for leaf, a in adjoints.items():  # what is left has no node to go on to
            if ends is None or leaf in ends:
                found[leaf] = run_hooks(leaf.hooks, a, create) if leaf.hooks else a
        return {edge: a.value if type(a) is Masked else a for edge, a in found.items()}


def _leading_to(targets: set[Edge], roots: Iterable[Edge]) -> set[Edge]:
    """The targets and every node below the roots that has a target among what it depends on."""
    nodes: list[Node] = []
    seen: set[Edge] = set()
    pending: Iterable[Any] = roots
    walked = 0
    while True:
        for edge in pending:
            if type(edge) is Node and edge not in seen:
                seen.add(edge)
                nodes.append(edge)
        if walked == len(nodes):
            break
        pending = nodes[walked].edges
        walked += 1
    nodes.sort(key=attrgetter("order"), reverse=True)
    wanted = set(targets)
    for node in nodes:
        if node not in wanted and not wanted.isdisjoint(node.edges):
            wanted.add(node)
    return wanted


def _accumulate(adjoints: dict[Edge, Adjoint], edge: Edge, a: Adjoint) -> None:
    before = adjoints.get(edge)
    if before is None:
        adjoints[edge] = a
    elif type(a) is Masked and type(before) is Masked:
        adjoints[edge] = Masked(before.value + a.value, before.dead & a.dead)
    else:
        a = a.value if type(a) is Masked else a
        before = before.value if type(before) is Masked else before
        adjoints[edge] = before + a


def _collect_output(adjoints: dict[Edge, Adjoint], node: Node, g: Adjoint) -> None:
    """Put the adjoint of one result of a many-result node into the list its rule will get."""
    parent = node.edges[0]
    parts = adjoints.setdefault(parent, [None] * parent.args["count"])
    g = g.value if type(g) is Masked else g
    parts[node.args] = g if parts[node.args] is None else parts[node.args] + g


def _pull_masked(node: Node, g: Adjoint, edges: Sequence[Any]) -> Sequence[Adjoint]:
    """Pull an adjoint some elements of which are structurally zero, through a rule that may add such elements."""
    value, dead = (g.value, g.dead) if type(g) is Masked else (g, None)
    rule = node.rule
    grads = rule.raw(node, value, edges)
    if rule.elementwise:
        rank, shapes = node.args if type(node.args) is tuple else (value.ndim, [None] * len(grads))
        lead = value.ndim - rank
        return [None if a is None else _mask_one(a, dead, shape, lead) for a, shape in zip(grads, shapes, strict=True)]
    if rule.moves and dead is not None:
        live = np.broadcast_to(~dead, value.shape).astype(np.float64)
        lives = rule.pull(node, live, edges)
        return [None if a is None else Masked(a, alive == 0) for a, alive in zip(grads, lives, strict=True)]
    return grads  # type: ignore[no-any-return]


def _mask_one(a: Adjoint, dead: Any, shape: tuple[int, ...] | None, lead: int) -> Adjoint:
    value, own = (a.value, a.dead) if type(a) is Masked else (a, None)
    if dead is not None:
        value = np.where(dead, 0.0, value)
        own = dead if own is None else own | dead
    if own is None:
        return value if shape is None else sum_to(value, shape, lead)
    if shape is None:
        return Masked(value, own)
    return Masked(sum_to(value, shape, lead), all_to(np.broadcast_to(own, value.shape), shape, lead))


def run_hooks(hooks: Sequence[Any], g: Adjoint, create: bool) -> Adjoint:
    """The adjoint after the hooks of a tensor; each may return another one."""
    value = g.value if type(g) is Masked else g
    for hook in list(hooks):
        given = value if type(value) is Tensor else Tensor(value)
        result = hook(given)
        if result is None:
            continue
        if not isinstance(result, Tensor):
            raise TypeError(f"a gradient hook returns a tensor or None, got {type(result).__name__}")
        if result.shape != given.shape:
            raise RuntimeError(f"hook has changed the size of value: got {result.shape}, expected {given.shape}")
        value = result if create else result._data
        g = value
    return g
