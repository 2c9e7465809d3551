"""Partial derivatives of first and second order of an operation, once, as short lists of integers.

A row of the table gives its partials as Python functions over terms. Here each is carried out once on a small graph of
its own, differentiated again there, and written down as a *tape* that native sweeps replay for every node of the
operation: `[number of instructions, (operation, number of arguments, *references)…, kind, reference]`. A reference
below 0 is a constant (`-1 - place` in the template's list), below `OUT` an argument, `OUT` the node itself, above it an
earlier result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hybrid import differentiate
from hybrid.differentiate import MINUS_ONE, ONE
from hybrid.graph import Graph, Number, Term
from hybrid.operations import CONSTANT, REAL, Operation
from hybrid.store import code_of

OUT = 16  # more arguments than any row that is not variadic has
ABSENT = -3  # no flow at all, next to differentiate.ONE and MINUS_ONE

Key = tuple[Any, ...]  # per argument, the constant that the partials depend on, or None


@dataclass
class Template:
    """The partials of one operation; `first[k]` and `second[k, l]`, k ≤ l, are tapes."""

    arity: int
    constants: list[Number | bool] = field(default_factory=list)
    first: list[list[int]] = field(default_factory=list)
    second: dict[tuple[int, int], list[int]] = field(default_factory=dict)


class Probe(Term):
    """An argument that notices when a partial asks whether it is a constant."""

    __slots__ = ("asked",)

    def __init__(self, graph: Graph, node: int) -> None:
        super().__init__(graph, node)
        self.asked = False

    @property
    def constant(self) -> Any:
        self.asked = True
        return super().constant


_inspected: dict[Operation, tuple[int, ...]] = {}
_templates: dict[tuple[Operation, Key], Template] = {}


def inspected(op: Operation) -> tuple[int, ...]:
    """The arguments whose constant values the partials of `op` depend on: the exponent of a power, for instance."""
    found = _inspected.get(op)
    if found is None:
        graph = Graph()
        args = [Probe(graph, graph.variable(f"x{i}")) for i in range(op.arity)]
        out = Term(graph, graph.add_node(op, tuple(arg.node for arg in args)))
        for partial in op.partials if not callable(op.partials) else ():
            try:
                if partial is not None:
                    partial(out, *args)
            except TypeError:
                if not any(arg.asked for arg in args):
                    raise
        found = _inspected[op] = tuple(i for i, arg in enumerate(args) if arg.asked)
    return found


def template(op: Operation, key: Key, values: Sequence[Number | None]) -> Template:
    """The partials of `op`, where `values` has the constants among its arguments that they depend on."""
    found = _templates.get((op, key))
    if found is None:
        found = _templates[op, key] = make(op, values)
    return found


def make(op: Operation, values: Sequence[Number | None]) -> Template:
    graph = Graph()
    nodes = [graph.variable(f"x{i}") if v is None else graph.constant(v) for i, v in enumerate(values)]
    out = graph.add_node(op, tuple(nodes))
    partials = differentiate.Partials(graph)(out)
    writer = Writer(graph, Template(op.arity), {out: OUT, **{node: i for i, node in enumerate(nodes)}})
    for k, partial in enumerate(partials):
        writer.result.first.append(writer.tape(partial))
        if partial is None or partial < 0 or graph.ops[partial].result != REAL:
            continue
        wanted = [node for node in nodes[k:] if graph.ops[node] is not CONSTANT]
        found = differentiate.reverse(graph, [(partial, ONE)], frozenset(wanted))
        for node, second in found.items():
            writer.result.second[k, nodes.index(node)] = writer.tape(second)
    return writer.result


@dataclass
class Writer:
    """Writes nodes of a small graph as tapes; `places` are its arguments and its result."""

    graph: Graph
    result: Template
    places: dict[int, int]

    def tape(self, flow: int | None) -> list[int]:
        if flow is None:
            return [0, ABSENT, 0]
        if flow in (ONE, MINUS_ONE):
            return [0, flow, 0]
        graph = self.graph
        known: dict[int, int] = {}
        body: list[int] = []
        count = 0
        for node in graph.reach_below([flow], self.places):
            if graph.ops[node] is CONSTANT:
                known[node] = -1 - self.constant(graph.leaves[node])
                continue
            refs = [self.places.get(arg, known.get(arg, 0)) for arg in graph.args[node]]
            body += [code_of(graph.ops[node]), len(refs), *refs]
            count += 1
            known[node] = OUT + count
        return [count, *body, 0, self.places.get(flow, known.get(flow, 0))]

    def constant(self, value: Number | bool) -> int:
        self.result.constants.append(value)
        return len(self.result.constants) - 1
