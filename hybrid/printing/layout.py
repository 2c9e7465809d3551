"""From graph nodes to the shapes a person writes: sums with signs, products over a fraction bar, powers, cases.

Decides what is shown, what is named once in a "where" block and what is written in place, before a character is set.
Every pass is a loop over nodes; a chain 10⁵ deep or a sum of 10⁵ terms costs what its nodes cost.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TypeVar

from hybrid import operations as ops
from hybrid.graph import Graph
from hybrid.operations import CONSTANT, MASK, VARIABLE, Operation
from hybrid.printing.forms import (
    NO_ROOT,
    Apply,
    Cases,
    Elided,
    Exponent,
    Factors,
    Form,
    Leaf,
    Power,
    Product,
    Sum,
    exact,
    fixed_exponent,
    parts,
)


@dataclass(frozen=True)
class Limit:
    """How much is shown before parts are left out and counted; the default fits a page.

    rows, columns: of a matrix, after which dots follow; terms: of one sum, product or list of cases; definitions: in
    the where block; symbols, depth: of an expression written without a where block; nodes: of the graph looked at, from
    the outputs inwards.
    """

    rows: int = 16
    columns: int = 12
    terms: int = 40
    definitions: int = 200
    symbols: int = 5_000
    depth: int = 40
    nodes: int = 50_000


UNLIMITED = Limit(*[2**62] * 7)

# Weights count symbols on paper. A repeated part is named when it is not SHORT; with where="auto" only when that also
# saves SAVING symbols over the whole. A part is named though used once when it is LONG or nested DEEP: unreadable.
SHORT, SAVING, LONG, DEEP, HUGE = 4, 10, 120, 12, 10**9


SUMS = (ops.add, ops.sub)
PRODUCTS = (ops.mul, ops.div, ops.neg, ops.sqrt)
NESTS = (SUMS, PRODUCTS, (ops.where,))
CHAINS = (ops.minimum, ops.maximum, ops.smallest, ops.largest, ops.logical_and, ops.logical_or)


T = TypeVar("T")


class Layout:
    """The forms of the nodes that `roots` need, and which of them are named."""

    def __init__(
        self,
        graph: Graph,
        roots: Sequence[int],
        where: bool | str = "auto",
        limit: Limit = UNLIMITED,
        longest_root: int | None = None,
        number: Callable[[object], Exponent | None] = exact,
    ) -> None:
        self.graph = graph
        self.limit = limit
        self.roots = dict.fromkeys(roots)
        self.where = where
        self.longest_root = longest_root
        self.exact = number  # what joins the coefficient of a product
        self.named: set[int] = set()
        self.weight: dict[int, int] = {}
        self.depth: dict[int, int] = {}
        self.forms: dict[int, Form] = {}
        self._explore()
        self.number: dict[int, int] = self._number() if self.named else {}

    # --- what is looked at, and what is named -------------------------------------------------------------------------
    def _explore(self) -> None:
        reached = self.graph.reach(self.roots)
        self.operations = sum(self.graph.ops[node] not in (CONSTANT, VARIABLE) for node in reached)
        self.users = self.graph.uses(reached, self.roots)
        budget = self.limit.nodes if self.where is not False else min(self.limit.nodes, self.limit.symbols)
        while True:
            self.explored = self._nearest(budget)
            self._weigh()
            size = sum(self.weight[root] for root in self.roots)
            deep = max((self.depth[root] for root in self.roots), default=0)
            if self.where is not False or (size <= self.limit.symbols and deep <= self.limit.depth):
                return
            budget = min(budget, len(self.explored)) // 2

    def shown_args(self, node: int) -> tuple[int, ...]:
        args = self.graph.args[node]
        return args if len(args) <= self.limit.terms else (*args[: self.limit.terms - 1], args[-1])

    def _nearest(self, budget: int) -> set[int]:
        """The nodes nearest to the roots, at most about `budget` of them."""
        seen = set(self.roots)
        queue = deque(self.roots)
        looked = 0
        while queue and looked < budget:
            looked += 1
            node = queue.popleft()
            operands, _ = self._cut(self._operands(node, seen), 2 if self.graph.ops[node] is ops.where else 1)
            for arg in operands:
                if arg not in seen:
                    seen.add(arg)
                    queue.append(arg)
        return seen

    def _operands(self, start: int, seen: set[int]) -> list[int]:
        """Arguments; those of a nested sum, product or selection through all its levels, which join `seen` at once."""
        graph = self.graph
        joins = next((group for group in NESTS if graph.ops[start] in group), ())
        if not joins:
            return list(graph.args[start])
        found: list[int] = []
        stack = list(reversed(graph.args[start]))
        while stack:
            node = stack.pop()
            if graph.ops[node] in joins and self.users[node] == 1:
                seen.add(node)
                stack.extend(reversed(graph.args[node]))
            else:
                found.append(node)
        return found

    def _weigh(self) -> None:
        graph, explored = self.graph, self.explored
        order = sorted(explored)
        uses, parent = self._count_uses(order)
        self.named.clear()
        self.forms.clear()
        depth = self.depth
        depth.clear()
        for node in order:
            args = [arg for arg in self.shown_args(node) if arg in explored]
            op = graph.ops[node]
            below = [2 if arg in self.named else self.weight[arg] for arg in args]
            own = self._own_weight(node) if len(args) == len(graph.args[node]) else 0
            self.weight[node] = weight = min(own + sum(below), HUGE)
            absorbed = self._absorbed(node, parent.get(node))
            nested = max((0 if arg in self.named else depth[arg] for arg in args), default=0)
            depth[node] = nested + (0 if absorbed or is_transparent(graph, node) else 1)
            if self.where is False or op is CONSTANT or op is VARIABLE:
                continue
            if is_transparent(graph, node) and node not in self.roots:
                continue
            wide = node in self.roots and self.longest_root is not None and weight > self.longest_root
            part = not absorbed and (node not in self.roots or uses.get(node, 0) > 1)
            unreadable = part and (weight > LONG or depth[node] > DEEP)
            if wide or unreadable or self._repeats(node, weight, uses.get(node, 0)):
                self.named.add(node)

    def _repeats(self, node: int, weight: int, uses: int) -> bool:
        if uses < 2 or weight < SHORT or self.graph.ops[node].result == MASK:
            return False
        return self.where is True or (uses - 1) * (weight - 1) >= SAVING

    def _own_weight(self, node: int) -> int:
        graph = self.graph
        op = graph.ops[node]
        if op is CONSTANT:
            value = graph.leaves[node]
            return min(len(repr(value)), 20) if isinstance(value, float) else digits(value)
        if op is VARIABLE:
            return 1 if not graph.leaves[node].index else 2
        if op is ops.add:
            return len(self.shown_args(node)) - 1
        if op is ops.mul:
            return 0
        return {ops.sub: 1, ops.neg: 1, ops.div: 0, ops.pow: 0, ops.exp: 1, ops.where: 6}.get(op, 2)

    def _count_uses(self, order: Sequence[int]) -> tuple[dict[int, int], dict[int, int | None]]:
        """Places each node is written in, counted through signs and coefficients; and the only parent, or None."""
        graph = self.graph
        uses = dict.fromkeys(self.roots, 1)
        parent: dict[int, int | None] = dict.fromkeys(self.roots)
        for node in reversed(order):
            places = uses.get(node, 1) if is_transparent(graph, node) else 1
            for arg in set(self.shown_args(node)):
                uses[arg] = uses.get(arg, 0) + places
                parent[arg] = None if arg in parent else node
        return uses, parent

    def _absorbed(self, node: int, parent: int | None) -> bool:
        """Whether the only user takes this node's operands into its own sum, product or list."""
        if parent is None:
            return False
        op, above = self.graph.ops[node], self.graph.ops[parent]
        first = self.graph.args[parent][0]
        if op in SUMS:
            return above is ops.add or (above is ops.sub and first == node)
        if op is ops.where:
            return above is ops.where and self.graph.args[parent][2] == node
        if op in CHAINS:
            return above is op
        return op in (ops.mul, ops.div) and above in (ops.mul, ops.div, ops.neg)

    def _number(self) -> dict[int, int]:
        """Numbers the named nodes as they are read: each after those it needs, from the first output on."""
        number: dict[int, int] = {}
        seen: set[int] = set()
        stack = [(root, False) for root in reversed(list(self.roots))]
        while stack:
            node, done = stack.pop()
            if done:
                number[node] = len(number) + 1
            elif node not in seen:
                seen.add(node)
                if node in self.named:
                    stack.append((node, True))
                stack.extend((part, False) for part in reversed(parts(self.form(node))))
        return number

    @property
    def elided(self) -> bool:
        """Whether a part lies beyond the limits."""
        return any(isinstance(form, Elided) or getattr(form, "omitted", 0) for form in self.forms.values())

    def definitions(self, most: int) -> list[tuple[int, int]]:
        """(number, node) of what is named, in reading order; of more than `most` the first and the last."""
        numbered = [(number, node) for node, number in self.number.items()]
        if len(numbered) <= most:
            return numbered
        return [*numbered[: most - most // 2], *numbered[len(numbered) - most // 2 :]]

    # --- forms --------------------------------------------------------------------------------------------------------
    def form(self, node: int) -> Form:
        form = self.forms.get(node)
        if form is None:
            form = self.forms[node] = self._build(node)
        return form

    def _build(self, node: int) -> Form:
        graph = self.graph
        op, args = graph.ops[node], graph.args[node]
        if node not in self.explored:
            return Elided()
        if op is CONSTANT or op is VARIABLE:
            return Leaf(node)
        if op in SUMS:
            return self._sum(node)
        if op in PRODUCTS or is_multiple(graph, node) or fixed_exponent(graph, node) is not None:
            return self._product(node)
        if op is ops.pow:
            return Power(*args)
        if op is ops.where:
            return self._cases(node)
        if op in CHAINS:
            shown, omitted = self._cut(self._chain(node, op))
            return Apply(op, tuple(shown), omitted)
        return Apply(op, args)

    def _open(self, node: int, start: int) -> bool:
        """Whether the node is written in place, so that its operands may join those of its user."""
        return node == start or (node in self.explored and node not in self.named)

    def _cut(self, items: Sequence[T], each: int = 1) -> tuple[Sequence[T], int]:
        """What is shown of a long list whose items take `each` places, and how many are left out before the last."""
        most = self.limit.terms * each
        return (items, 0) if len(items) <= most else ([*items[: most - 1], items[-1]], len(items) - most)

    def _chain(self, start: int, op: Operation) -> list[int]:
        found: list[int] = []
        stack = [start]
        while stack:
            node = stack.pop()
            if self._open(node, start) and self.graph.ops[node] is op:
                stack.extend(reversed(self.graph.args[node]))
            else:
                found.append(node)
        distinct = list(dict.fromkeys(found))
        return distinct if len(distinct) > 1 else found

    def _sum(self, start: int) -> Sum:
        """Terms of nested sums; x + 2x is counted as 3x, while x − x stays what it is."""
        graph = self.graph
        terms: list[tuple[int, int]] = []
        stack = [(1, start)]
        while stack:
            sign, node = stack.pop()
            op, args = graph.ops[node], graph.args[node]
            open_ = self._open(node, start)
            if open_ and op is ops.neg:
                stack.append((-sign, args[0]))
            elif open_ and op in SUMS and sign > 0:
                signs = (1,) * len(args) if op is ops.add else (1, -1)
                stack.extend(reversed(list(zip(signs, args, strict=True))))
            else:
                terms.append((sign, node))
        shown, omitted = self._cut(terms)
        found = [(Fraction(sign), node) for sign, node in shown] if omitted else self._collected(shown)
        return Sum(tuple(found), omitted)

    def _collected(self, terms: Sequence[tuple[int, int]]) -> list[tuple[Fraction, int]]:
        """Terms of equal factors and sign as one: how many times the first of them, and it."""
        totals: dict[tuple[object, ...], Fraction] = {}
        first: dict[tuple[object, ...], tuple[int, int, Fraction]] = {}
        for sign, node in terms:
            own = Fraction(1)
            factors: tuple[object, ...] = (frozenset([(node, 1)]), frozenset())
            form = None if node in self.named or node not in self.explored else self.form(node)
            if isinstance(form, Product) and not form.omitted and form.coefficient:
                own = form.coefficient
                factors = (frozenset(form.over), frozenset(form.under), form.root_over, form.root_under)
            if factors[2:] == (NO_ROOT, NO_ROOT):
                factors = factors[:2]
            key = (sign * own > 0, *factors)
            totals[key] = totals.get(key, Fraction(0)) + abs(own)
            first.setdefault(key, (sign, node, abs(own)))
        return [(sign * totals[key] / own, node) for key, (sign, node, own) in first.items()]

    def multiple(self, count: Fraction, node: int) -> Product:
        """A term that occurs several times, as a product of its own coefficient."""
        if node in self.named or node not in self.explored:
            return Product(Fraction(abs(count)), ((node, 1),))
        product = self._product(node)
        return replace(product, coefficient=product.coefficient * abs(count))

    def _product(self, start: int) -> Product:
        """Factors of nested products, quotients and fixed powers; equal ones are counted, numbers multiplied."""
        graph = self.graph
        factors = Factors(graph)
        stack: list[tuple[int, int]] = [(start, 1)]
        while stack:
            node, side = stack.pop()
            op, args = graph.ops[node], graph.args[node]
            base = node
            exponent: Exponent = side
            if self._open(node, start):
                if op is ops.mul:
                    stack.extend((arg, side) for arg in reversed(args))
                    continue
                if op is ops.div:
                    stack.extend([(args[1], -side), (args[0], side)])
                    continue
                if op is ops.neg:
                    factors.coefficient *= -1
                    stack.append((args[0], side))
                    continue
                if is_multiple(graph, node):
                    factors.coefficient *= len(args) if side > 0 else Fraction(1, len(args))
                    stack.append((args[0], side))
                    continue
                number = self.exact(graph.leaves[node]) if op is CONSTANT else None
                if number is not None and (number or side > 0):
                    factors.coefficient *= number if side > 0 else 1 / Fraction(number)
                    continue
                if op is ops.sqrt:
                    base, exponent = args[0], Fraction(side, 2)
                elif (power := fixed_exponent(graph, node)) is not None:
                    base, exponent = args[0], power * side
                    if (exponent == 1 or exponent == -1) and self._open(base, start):
                        stack.append((base, int(exponent)))
                        continue
            factors.multiply(base, exponent)
        return factors.product(self._cut)

    def _cases(self, start: int) -> Cases:
        rows: list[tuple[int, int]] = []
        node = start
        while self._open(node, start) and self.graph.ops[node] is ops.where:
            condition, value, node_else = self.graph.args[node]
            rows.append((value, condition))
            node = node_else
        shown, omitted = self._cut(rows)
        return Cases(tuple(shown), node, omitted)


def is_multiple(graph: Graph, node: int) -> bool:
    """Whether a node is a sum of one term with itself, as derivatives make them: x + x is written 2x."""
    return graph.ops[node] is ops.add and len(set(graph.args[node])) == 1


def digits(value: object) -> int:
    """How wide a constant is that is no float, at most 20."""
    if isinstance(value, Fraction):
        return max(digits(abs(value.numerator)), digits(value.denominator))
    return min(int(value.bit_length() * 0.302) + 1, 20) if type(value) is int else 1


def is_transparent(graph: Graph, node: int) -> bool:
    """A sign, a coefficient or a reciprocal: what it stands before is named, not the node itself."""
    op, args = graph.ops[node], graph.args[node]
    if op is ops.neg or is_multiple(graph, node):
        return True
    if op is ops.mul:
        return len(args) == 2 and (graph.is_constant(args[0]) or graph.is_constant(args[1]))
    if op is ops.div:
        return graph.is_constant(args[0]) or graph.is_constant(args[1])
    return fixed_exponent(graph, node) == -1


def is_zero(graph: Graph, node: int) -> bool:
    """Whether a node is a structural zero of a derivative."""
    return graph.is_constant(node) and type(graph.leaves[node]) is int and graph.leaves[node] == 0
