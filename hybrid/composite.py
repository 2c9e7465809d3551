"""Composite operations: several results that are found together, such as the unknowns of a system of equations.

Each result is an operation with a node of its own on the same arguments. Derivatives are taken of all results at once,
with the results at hand, before anything is written out: that is what keeps the factors of a matrix, or the solution of
an equation, shared by value and derivatives of any order. `expand` then writes every such node with elementary ones.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from codegen.external import External
from hybrid import operations as ops
from hybrid.graph import Graph, Term
from hybrid.operations import LINE, Operation

Nodes = tuple[int, ...]
Weights = Sequence[int | None]  # one node per result or argument; None is a structural zero


class Composite(ABC):
    """Several results of the same arguments.

    `name`, `results` and `arity` are fixed; two composites are the same only if they are one object. All nodes of one
    group are made together (`nodes`), which puts them next to each other in the order of evaluation. `written_out` says
    whether it also becomes elementary operations in SymPy, where anything else is an undefined function of its name.
    """

    written_out = False
    external: tuple[External, Any] | None = None  # code that kernels call for all results; it is not written out

    def __init__(self, name: str, results: int, arity: int) -> None:
        self.name = name
        self.results = results
        self.arity = arity

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "members"}

    @cached_property
    def members(self) -> tuple[Operation, ...]:
        return tuple(self._member(place) for place in range(self.results))

    def _member(self, place: int) -> Operation:
        def partials(out: Any, *terms: Any) -> list[Any]:
            graph, args = out.graph, tuple(term.node for term in terms)
            weights: list[int | None] = [None] * self.results
            weights[place] = graph.constant(1)
            pulled = self.pull(graph, args, self.nodes(graph, args), weights)
            return [None if node is None else Term(graph, node) for node in pulled]

        name = self.name if self.results == 1 else f"{self.name}_{place + 1}"
        return Operation(
            name,
            lambda *values: self.values(*values)[place],
            partials,
            self.latex(place),
            (LINE,) * self.arity,
            instruction=self.external[0].instructions[place] if self.external is not None else None,
            composite=(self, place),
            external=self.external,
        )

    def nodes(self, graph: Graph, args: Nodes) -> Nodes:
        """The node of every result."""
        return tuple(graph.add_node(member, args) for member in self.members)

    def latex(self, place: int) -> str:
        arguments = ", ".join("{" + str(k) + "}" for k in range(self.arity))
        index = f"_{{{{{place + 1}}}}}" if self.results > 1 else ""
        return rf"{upright(self.name)}{index}\left({arguments}\right)"

    @abstractmethod
    def values(self, *args: Any) -> Sequence[Any]:
        """Float64 values of all results from those of the arguments, which broadcast; NaN where there are none."""

    @abstractmethod
    def expand(self, graph: Graph, args: Nodes) -> Sequence[int]:
        """All results in terms of other operations."""

    @abstractmethod
    def pull(self, graph: Graph, args: Nodes, outs: Nodes, weights: Weights) -> Sequence[int | None]:
        """Σ weight · ∂result/∂argument for each argument."""

    @abstractmethod
    def push(self, graph: Graph, args: Nodes, outs: Nodes, tangents: Weights) -> Sequence[int | None]:
        """Σ ∂result/∂argument · tangent for each result."""


def upright(name: str) -> str:
    """A name as an operator in the LaTeX of a row, where braces are doubled."""
    return rf"\operatorname{{{{{name.replace('_', chr(92) + '_')}}}}}"


def expand(graph: Graph, roots: Sequence[int], every: bool = True) -> list[int]:
    """The roots with every composite operation (or only those that SymPy sees `written_out`) in terms of others."""
    order = graph.reach(roots)
    if all(op.composite is None for op in set(map(graph.ops.__getitem__, order))):
        return list(roots)
    new: dict[int, int] = {}
    groups: dict[tuple[Any, Nodes], Sequence[int]] = {}
    for node in order:
        op, args = graph.ops[node], tuple(new[arg] for arg in graph.args[node])
        if op.composite is not None and op.external is None and (every or op.composite[0].written_out):
            composite, place = op.composite
            group = groups.get((composite, args))
            if group is None:
                group = groups[composite, args] = expand(graph, list(composite.expand(graph, args)), every)
            new[node] = group[place]
        else:
            new[node] = graph.add_node(op, args) if args else node
    return [new[root] for root in roots]


# --- arithmetic that knows structural zeros ---------------------------------------------------------------------------
def is_number(graph: Graph, node: int, value: int) -> bool:
    """Whether a node is the exact or floating number, and no truth value."""
    if not graph.is_constant(node):
        return False
    number = graph.leaves[node]
    return not isinstance(number, bool) and bool(number == value)


def times(graph: Graph, x: int, y: int) -> int:
    for one, other in ((x, y), (y, x)):
        if is_number(graph, one, 0):
            return one
        if is_number(graph, one, 1):
            return other
    return graph.add_node(ops.mul, (x, y))


def minus(graph: Graph, x: int, y: int) -> int:
    if is_number(graph, y, 0):
        return x
    return negative(graph, y) if is_number(graph, x, 0) else graph.add_node(ops.sub, (x, y))


def plus(graph: Graph, terms: Sequence[int]) -> int:
    kept = tuple(term for term in terms if not is_number(graph, term, 0))
    if not kept:
        return graph.constant(0)
    return kept[0] if len(kept) == 1 else graph.add_node(ops.add, kept)


def negative(graph: Graph, x: int) -> int:
    if is_number(graph, x, 0):
        return x
    return graph.args[x][0] if graph.ops[x] is ops.neg else graph.add_node(ops.neg, (x,))


def chosen(graph: Graph, condition: int, yes: int, no: int) -> int:
    return yes if yes == no else graph.add_node(ops.where, (condition, yes, no))


def weighted_sum(graph: Graph, pairs: Sequence[tuple[int | None, int | None]]) -> int | None:
    """Σ x·y, or None where nothing is left."""
    terms = [times(graph, x, y) for x, y in pairs if x is not None and y is not None]
    terms = [term for term in terms if not is_number(graph, term, 0)]
    return plus(graph, terms) if terms else None
