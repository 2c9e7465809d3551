"""Several functions on one graph: merged, simplified together in the forms that fit best, and written as a program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import codegen
from codegen.program import MAX_OPERANDS
from hybrid import calling
from hybrid.choice import economical
from hybrid.composite import expand
from hybrid.definition import Argument, Formula
from hybrid.errors import ArgumentError, InputTypeError
from hybrid.graph import Graph
from hybrid.known import Known
from hybrid.lower import Result, lower
from hybrid.simplify import RULE_SETS, estimate, operations, simplify

LARGEST_FULL = 20_000  # nodes of a graph up to which compiling takes all the time it needs

Parts = tuple[Graph, tuple[Argument, ...], list[int]]  # of functions on one graph: it, their arguments, all outputs


def simplified_together(
    functions: tuple[Formula, ...], tier: str, rules: str
) -> tuple[str, tuple[Formula, ...], Parts]:
    """The tier to compile in, the functions in their cheapest forms, and these on one graph, simplified."""
    graph, _, roots, _ = merge(functions)
    if tier == "auto":
        tier = "quick" if len(graph.reach(roots)) > LARGEST_FULL else "full"
    if tier != "full":
        return tier, functions, Together("bitwise")(functions).parts
    together = Together(rules)
    functions = economical(functions, lambda trial: together(trial, thorough=False).operations, together.estimate)
    return tier, functions, Together(rules)(functions).parts


def written(
    functions: Sequence[Formula],
    parts: Parts,
    gathered: calling.Gathered | None,
    name: str,
    names: Mapping[int, str] | None = None,
) -> codegen.Program:
    """The program of simplified functions; where NumPy allows fewer operands, they are gathered into arrays."""
    graph, arguments, roots = parts
    results, at = [], 0
    for function, unique in zip(functions, unique_names(functions), strict=True):
        own = tuple(roots[at : at + len(function.nodes)])
        # C has no empty arrays: one zero stands for a result without entries, such as the Hessian of a plane
        results.append(Result(unique, function.shape, own) if own else Result(unique, (1,), (graph.constant(0),)))
        at += len(function.nodes)
    if gathered is not None and gathered.arguments:
        nodes = sum((a.nodes for a in arguments), ()) or (graph.variable("nothing"),)
        arguments = (Argument("arguments", (len(nodes),), nodes),)
    if gathered is not None and gathered.results:
        results = [Result("results", (len(roots),), tuple(roots))]
    return lower(graph, arguments, results, name, names)


def as_compiled(functions: Sequence[Formula], parts: Parts) -> list[Formula]:
    """The functions with the nodes that a kernel computes."""
    graph, arguments, roots = parts
    named = {argument.name: argument for argument in arguments}
    found, at = [], 0
    for function in functions:
        shown = Formula()
        shown.graph, shown.arguments = graph, tuple(named[argument.name] for argument in function.arguments)
        shown.nodes = shown.primal = tuple(roots[at : at + len(function.nodes)])
        shown.shape, shown.source, shown.name = function.shape, function.source, function.name
        shown.derivation = function.derivation
        at += len(function.nodes)
        found.append(shown)
    return found


def operations_shared(functions: Sequence[Formula]) -> int:
    """Operations of one joint evaluation of functions as they stand."""
    graph, _, roots, _ = merge(functions)
    return operations(graph, roots)


@dataclass(frozen=True)
class Simplified:
    """Several functions on one graph: it, their arguments, the simplified nodes of all outputs; and what they cost."""

    parts: Parts

    @cached_property
    def operations(self) -> int:
        graph, _, roots = self.parts
        return operations(graph, roots)


class Together:
    """Functions simplified together, each combination of forms once. All combinations have one graph, and what is
    known of its nodes in common."""

    def __init__(self, rules: str) -> None:
        self.rules = RULE_SETS[rules]
        self.known: Known | None = None
        self.found: dict[tuple[bool, tuple[tuple[int, ...], ...]], Simplified] = {}

    def __call__(self, functions: Sequence[Formula], thorough: bool = True) -> Simplified:
        key = thorough, tuple(function.nodes for function in functions)
        if key not in self.found:
            known, arguments, roots, keep = self.merged(functions)
            new = simplify(known.graph, roots, self.rules, keep, thorough=thorough, known=known)
            self.found[key] = Simplified((known.graph, arguments, new))
        return self.found[key]

    def estimate(self, functions: Sequence[Formula]) -> int:
        """About how many operations simplifying them will leave."""
        known, _, roots, keep = self.merged(functions)
        return estimate(known.graph, roots, self.rules, keep, known)

    def merged(self, functions: Sequence[Formula]) -> tuple[Known, tuple[Argument, ...], list[int], list[int]]:
        """`merge`, with operations of several results written out."""
        graph, arguments, roots, keep = merge(functions, None if self.known is None else self.known.graph)
        if self.known is None or self.known.graph is not graph:
            self.known = Known(graph)
        expanded = expand(graph, [*roots, *keep])
        return self.known, arguments, expanded[: len(roots)], expanded[len(roots) :]


def gathering(functions: Sequence[Formula], arguments: Sequence[Argument]) -> calling.Gathered | None:
    """What to put side by side so that a ufunc can have it: at most `MAX_OPERANDS` operands, none without numbers."""
    results = len(functions) >= MAX_OPERANDS
    operands = len(arguments) + (1 if results else len(functions))
    side_by_side = operands > MAX_OPERANDS or not arguments or not all(argument.size for argument in arguments)
    return calling.Gathered(side_by_side, results) if side_by_side or results else None


def check_functions(functions: Sequence[Any], rules: str) -> None:
    if not functions:
        raise ArgumentError("compile needs at least one Function, got none")
    for function in functions:
        if not isinstance(function, Formula):
            raise InputTypeError(
                f"compile takes Functions, got {function!r} of type {type(function).__name__}; "
                f"make one with hybrid.Function(inputs, outputs) or @hybrid.function"
            )
    if rules not in RULE_SETS:
        raise ArgumentError(f"rules must be one of {', '.join(map(repr, RULE_SETS))}, got {rules!r}")


def unique_names(functions: Sequence[Formula]) -> list[str]:
    names: list[str] = []
    for function in functions:
        name, number = function.name, 2
        while name in names:
            name, number = f"{function.name}_{number}", number + 1
        names.append(name)
    return names


def merge(
    functions: Sequence[Formula], into: Graph | None = None
) -> tuple[Graph, tuple[Argument, ...], list[int], list[int]]:
    """One graph for all: it, the arguments in order of appearance, all outputs, and the nodes to keep as written.

    The graph is the functions' own if they share one, else a new one or `into`.
    """
    first = functions[0].graph
    graph = first if all(function.graph is first for function in functions) else Graph() if into is None else into
    arguments: dict[str, Argument] = {}
    roots: list[int] = []
    keep: list[int] = []
    for function in functions:
        for argument in function.arguments:
            known = arguments.get(argument.name)
            if known is None:
                nodes = graph.copy_from(function.graph, argument.nodes) if graph is not first else argument.nodes
                arguments[argument.name] = Argument(argument.name, argument.shape, tuple(nodes))
            elif known.shape != argument.shape:
                raise ArgumentError(
                    f"argument {argument.name!r} has shape {known.shape} in one function and {argument.shape} in "
                    f"{function.name}; rename one of them"
                )
        same = function.graph is graph
        roots += (
            function.nodes if same else graph.copy_from(function.graph, function.nodes, mapping(function, arguments))
        )
        keep += (
            function.primal if same else graph.copy_from(function.graph, function.primal, mapping(function, arguments))
        )
    return graph, tuple(arguments.values()), roots, keep


def mapping(function: Formula, arguments: dict[str, Argument]) -> dict[int, int]:
    """The function's own variables → the merged ones, by argument and position."""
    return {
        node: target
        for argument in function.arguments
        for node, target in zip(argument.nodes, arguments[argument.name].nodes, strict=True)
    }
