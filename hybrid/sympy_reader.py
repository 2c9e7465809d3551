"""SymPy expressions → graph nodes: one walk without recursion.

The walk knows no SymPy class but sums and products over an index; what every other node needs and becomes is said by
`sympy_rules`. Subexpressions are told apart by identity, because equality of deep SymPy trees recurses; the graph makes
equal ones one node anyway.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import sympy as sp

from hybrid import sympy_matrices  # noqa: F401  # its rules enter the table of sympy_rules
from hybrid.errors import UnsupportedError
from hybrid.graph import Graph, Term
from hybrid.sympy_rules import (
    FUNCTIONS,
    RULES,
    Context,
    Plan,
    apply_formula,
    combine_sum,
    instead,
    product,
    refuse,
    structure_rule,
)
from hybrid.sympy_walk import postorder

__all__ = ["Reader"]

# Nodes that may be walked with an index standing for a number; in others SymPy puts the number in.
TRANSPARENT = frozenset({sp.Add, sp.Mul, sp.Pow, sp.Piecewise, *FUNCTIONS.keys() - RULES.keys()})


class Reader:
    """Converts SymPy expressions onto one graph. `leaves` maps the input symbols to their variable nodes."""

    def __init__(self, graph: Graph, leaves: Mapping[Any, int]) -> None:
        self.context = Context(graph, leaves)
        self.bindings: dict[Any, Any] = {}
        self.nodes: dict[int, int] = {}
        self.alive: list[Any] = []  # keeps the identities in `nodes` from being used again

    @property
    def unknown(self) -> Sequence[Any]:
        """Symbols met that are no inputs."""
        return list(self.context.unknown)

    def convert(self, root: Any) -> int:
        """The node of a SymPy expression. Symbols that are not inputs are collected in `unknown`."""
        graph, leaves = self.context.graph, self.context.leaves
        nodes, plans = self.nodes, dict[int, Plan]()
        self.alive.append(root)
        stack = [root]
        while stack:
            expression = stack[-1]
            key = id(expression)
            if key in nodes:
                stack.pop()
                continue
            plan = plans.get(key)
            if plan is None:
                if not expression.args:
                    leaf = leaves.get(expression)
                    if leaf is None and isinstance(expression, sp.Integer):
                        leaf = graph.number(int(expression.p))
                    if leaf is not None:
                        nodes[key] = leaf
                        stack.pop()
                        continue
                plan = plans[key] = self.plan(expression)
                self.alive.append(plan.children)
                waiting = [child for child in plan.children if id(child) not in nodes]
                if waiting:
                    stack.extend(waiting)
                    continue
            made = plan.combine(*[Term(graph, nodes[id(child)]) for child in plan.children])
            nodes[key] = made.node if type(made) is Term else graph.lift(made).node
            del plans[key]
            stack.pop()
        return nodes[id(root)]

    def plan(self, expression: Any) -> Plan:
        """The children an expression needs and how their terms combine."""
        if id(expression) in self.context.substituted:
            return instead(expression.xreplace(self.bindings))
        cls = type(expression)
        if cls is sp.Sum:
            return self.plan_over_index(expression, combine_sum, lambda term: -term, 0)
        if cls is sp.Product:
            return self.plan_over_index(expression, lambda *terms: product(terms), lambda term: 1 / term, 1)
        rule = structure_rule(cls)
        if rule is not None:
            return rule(self.context, expression)
        formula = FUNCTIONS.get(cls)
        if formula is not None:
            return Plan(expression.args, functools.partial(apply_formula, expression, formula))
        return refuse(expression)

    def plan_over_index(
        self, expression: Any, combine: Callable[..., Any], invert: Callable[[Term], Any], empty: int
    ) -> Plan:
        """A `Sum` or `Product` with concrete limits, written out; limits the wrong way round as SymPy has them.

        What does not depend on the index is converted once, what depends on nothing else is computed exactly.
        """
        *inner, (index, lower, upper) = expression.limits
        if not (lower.is_Integer and upper.is_Integer):
            raise UnsupportedError(
                f"{type(expression).__name__} over {index} needs integer limits, got {lower} to {upper}; "
                "substitute numbers for the limits first"
            )
        body = expression.func(expression.function, *inner) if inner else expression.function
        low, high = int(lower), int(upper)
        reverse = high < low - 1  # [Karr, Summation in finite terms, 1981], as in SymPy
        numbers = range(high + 1, low) if reverse else range(low, high + 1)
        if not numbers:
            return self.context.number(empty)
        outside, substituted = split_body(body, index)
        self.alive.append(body)

        def written_out(*terms: Term) -> Any:
            known = {id(part): term.node for part, term in zip(outside, terms, strict=True)}
            nodes = [self.bound(index, number, substituted, known).convert(body) for number in numbers]
            result = combine(*(Term(self.context.graph, node) for node in nodes))
            return invert(result) if reverse else result

        return Plan(outside, written_out)

    def bound(self, index: Any, number: int, substituted: frozenset[int], known: Mapping[int, int]) -> Reader:
        """A reader of a body in which the index is a number and some parts are known."""
        reader = Reader(self.context.graph, self.context.leaves)
        reader.context = replace(self.context, substituted=substituted)
        reader.bindings = {index: sp.Integer(number)}
        reader.nodes = dict(known)
        return reader


def split_body(body: Any, index: Any) -> tuple[list[Any], frozenset[int]]:
    """The largest parts of a body without the index, and the identities of those that SymPy rewrites for each index."""
    depends: dict[int, bool] = {}
    only_index: dict[int, bool] = {}
    order = list(postorder(body))
    for part in order:
        args = getattr(part, "args", ())
        depends[id(part)] = part == index if not args else any(depends[id(arg)] for arg in args)
        leaf = depends[id(part)] or bool(getattr(part, "is_number", False))
        only_index[id(part)] = leaf if not args else all(only_index[id(arg)] for arg in args)
    substituted = frozenset(
        id(part)
        for part in order
        if depends[id(part)] and (only_index[id(part)] or not (type(part) in TRANSPARENT or is_part(part)))
    )
    outside: dict[int, Any] = {}
    stack = [body]
    visited: set[int] = set()
    while stack:
        part = stack.pop()
        if id(part) in visited or id(part) in substituted:
            continue
        visited.add(id(part))
        if depends[id(part)]:
            stack.extend(part.args)
        elif not is_part(part) and isinstance(part, sp.Expr | sp.logic.boolalg.Boolean):
            outside[id(part)] = part
    return list(outside.values()), substituted


def is_part(expression: Any) -> bool:
    """The (value, condition) pairs of a Piecewise are no expressions of their own."""
    return isinstance(expression, sp.functions.elementary.piecewise.ExprCondPair)
