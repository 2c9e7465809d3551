"""The one rewriter: expressions in a normal form of n-ary sums and products with exact coefficients.

A sum is `add(constant, terms…)` with one term per monomial; a product is `mul(constant, factors…)` with one factor per
base. Shared subexpressions are opened only where something cancels, so that sharing survives. A subtree without
variables is a constant: it is kept exact, and numbers met on the way are combined as rationals.

What a rewrite may assume is said by the rule set; see `hybrid.simplify`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from hybrid import operations as ops
from hybrid.graph import Graph
from hybrid.operations import CONSTANT, VARIABLE, NamedConstant, Operation

Exponent = int | Fraction
Coefficient = int | Fraction | float
Factors = dict[int, Exponent]  # base node -> exponent
Terms = dict[int, Coefficient]  # monomial node -> coefficient
Form = tuple[int, tuple[tuple[int, bool], ...]]  # what was made of something, and the answers that this depended on

WIDEST_OPENED = 64  # a nested sum or product with more arguments stays closed: opening at every level is quadratic
LARGEST_EXACT = 1 << 128  # beyond, an exact power is left to floating point
FLOAT_BITS = 1 << 20  # a denominator with this factor is that of a float


def rational(value: Any) -> bool:
    """Whether a stored constant is an exact number that arithmetic on coefficients may use."""
    return type(value) is int or type(value) is Fraction


def reduced(value: Any) -> Any:
    """A Fraction with denominator 1 as an int."""
    return int(value) if type(value) is Fraction and value.denominator == 1 else value


def added(first: Any, second: Any) -> Any:
    """The sum of two coefficients, rounded nowhere: with a float, of many bits, it is a Fraction until `settled`."""
    if type(first) is float or type(second) is float:
        if not (math.isfinite(first) and math.isfinite(second)):
            return first + second
        first, second = Fraction(first), Fraction(second)
    return reduced(first + second)


def settled(graph: Graph, roots: Sequence[int], kept: frozenset[int]) -> list[int]:
    """The roots with coefficients that came from floats rounded to one, once."""
    order = graph.reach(roots)
    rounded = {
        node: graph.constant(float(value))
        for node in order
        if type(value := graph.leaves.get(node)) is Fraction
        and value.denominator % FLOAT_BITS == 0
        and abs(value) < LARGEST_EXACT
    }
    if not rounded:
        return list(roots)
    for node in order:
        if node in kept:
            rounded[node] = node
        elif node not in rounded:
            args = graph.args[node]
            rounded[node] = graph.add_node(graph.ops[node], tuple(rounded[arg] for arg in args)) if args else node
    return [rounded[root] for root in roots]


@dataclass
class Rewriter:
    """Builds normal forms on `graph`. `keep` are nodes that must stay as they are; `uses` counts references by node.

    With `flat`, products are opened however many uses they have: what they share is then found anew.
    """

    graph: Graph
    keep: frozenset[int] = frozenset()
    uses: dict[int, int] = field(default_factory=dict)
    constants: dict[int, bool] = field(default_factory=dict)
    splits: dict[int, tuple[Coefficient, int]] = field(default_factory=dict)
    asked: dict[int, bool] | None = None  # while something is remembered: which nodes were found to be shared
    flat: bool = False

    # --- remembering ----------------------------------------------------------------------------------------------
    def recall(self, forms: dict[object, Form], key: object) -> int | None:
        """What was made of this before, if whatever was asked about uses then has the same answer now."""
        found = forms.get(key)
        if found is not None:
            for node, answer in found[1]:
                if self.shared(node) is not answer:
                    break
            else:
                return found[0]
        self.asked = {}
        return None

    def remember(self, forms: dict[object, Form], key: object, made: int) -> None:
        assert self.asked is not None  # `recall` came before
        forms[key] = made, tuple(self.asked.items())
        self.asked = None

    # --- reading nodes ------------------------------------------------------------------------------------------------
    def number(self, node: int) -> Any:
        """The numeric constant a node is, or None (masks and named constants are None)."""
        if self.graph.ops[node] is not CONSTANT:
            return None
        value = self.graph.leaves[node]
        return None if isinstance(value, bool | NamedConstant) else value

    def is_constant(self, node: int) -> bool:
        """Whether a node has no variable below it; decided for each node once."""
        known = self.constants.get(node)
        if known is not None:
            return known
        stack = [node]
        while stack:
            top = stack[-1]
            op, args = self.graph.ops[top], self.graph.args[top]
            open_args = [arg for arg in args if arg not in self.constants]
            if open_args and op is not VARIABLE:
                stack.extend(open_args)
                continue
            self.constants[top] = op is CONSTANT or (op is not VARIABLE and all(self.constants[arg] for arg in args))
            stack.pop()
        return self.constants[node]

    def shared(self, node: int) -> bool:
        if self.flat and self.graph.ops[node] not in SUMS:
            return node in self.keep
        answer = self.uses.get(node, 0) > 1 or node in self.keep
        if self.asked is not None:
            self.asked[node] = answer
        return answer

    def stands_for(self, new: int, old: int) -> None:
        """The rewritten node is referred to wherever the old one was."""
        if new != old:
            self.uses[new] = self.uses.get(new, 0) + self.uses.get(old, 0)

    def open_product(self, node: int) -> list[tuple[int, Exponent]] | None:
        """The factors of a node that is a product in any spelling, else None."""
        op, args = self.graph.ops[node], self.graph.args[node]
        if op is ops.mul:
            return [(arg, 1) for arg in args]
        if op is ops.div:
            return [(args[0], 1), (args[1], -1)]
        if op is ops.neg:
            return [(self.graph.constant(-1), 1), (args[0], 1)]
        return None

    def open_sum(self, node: int) -> list[tuple[int, Coefficient]] | None:
        """The terms of a node that is a sum in any spelling, else None."""
        op, args = self.graph.ops[node], self.graph.args[node]
        if op is ops.add:
            return [(arg, 1) for arg in args]
        if op is ops.sub:
            return [(args[0], 1), (args[1], -1)]
        return None

    def open_power(self, node: int) -> tuple[int, Exponent] | None:
        """Base and exponent of a node that is a power with a rational exponent, else None."""
        op = self.graph.ops[node]
        if op is ops.sqrt:
            return self.graph.args[node][0], ops.HALF
        if op is ops.pow:
            args = self.graph.args[node]
            exponent = self.number(args[1])
            if isinstance(exponent, float) and (2 * exponent).is_integer():
                exponent = reduced(Fraction(exponent))
            if rational(exponent):
                return args[0], exponent
        return None

    # --- products -----------------------------------------------------------------------------------------------------
    def product(self, parts: Iterable[tuple[int, Exponent, bool]], coefficient: Coefficient = 1) -> int:
        """The normal form of coefficient · Π node**exponent; a part flagged True may be opened."""
        coefficient, factors = self.gather(parts, coefficient)
        self.cancel_shared(factors)
        if any(self.number(node) is not None for node in factors):
            more, factors = self.gather([(node, e, False) for node, e in factors.items()], 1)
            coefficient = coefficient * more
        return self.build_product(reduced(coefficient), factors)

    def gather(
        self, parts: Iterable[tuple[int, Exponent, bool]], coefficient: Coefficient
    ) -> tuple[Coefficient, Factors]:
        """Coefficient and factors of a product, nested products and powers opened where allowed."""
        factors: Factors = {}
        ops_of, args_of = self.graph.ops, self.graph.args
        stack = list(parts)[::-1]
        while stack:
            node, exponent, may_open = stack.pop()
            op = ops_of[node]
            if op in QUOTIENTS:
                if (
                    type(exponent) is int
                    and len(args_of[node]) <= WIDEST_OPENED
                    and (may_open or self.is_constant(node))
                ):
                    nested = []
                    for arg, e in self.open_product(node) or ():
                        if ops_of[arg] in COMPOUND:
                            nested.append((arg, e * exponent, False))
                        else:
                            self.raise_exponent(factors, arg, e * exponent)
                    stack += reversed(nested)
                    continue
            elif op is CONSTANT:
                number = self.number(node)
                if number is not None and type(exponent) is int and self.fits(number, exponent):
                    if exponent == 1:
                        coefficient = coefficient * number
                    else:
                        coefficient = coefficient * (Fraction(number) if rational(number) else number) ** exponent
                    continue
            elif op in POWERS:
                power = self.open_power(node)
                if power is not None and self.powers_combine(power[1], exponent):
                    stack.append((power[0], reduced(power[1] * exponent), not self.shared(power[0])))
                    continue
            self.raise_exponent(factors, node, exponent)
        return reduced(coefficient), factors

    @staticmethod
    def raise_exponent(factors: Factors, base: int, exponent: Exponent) -> None:
        total = factors.get(base, 0) + exponent
        if total:
            factors[base] = total if type(total) is int else reduced(total)
        else:
            factors.pop(base, None)

    @staticmethod
    def powers_combine(inner: Exponent, outer: Exponent) -> bool:
        """(x**inner)**outer is x**(inner·outer) wherever the left is defined, but for √(x²) = |x| and its like."""
        return isinstance(outer, int) or isinstance(inner, Fraction) or inner % 2 == 1

    @staticmethod
    def fits(number: Any, exponent: int) -> bool:
        """Whether number**exponent can be carried exactly, or is a float that stays finite."""
        if exponent == 1:
            return True
        if number == 0:
            return exponent > 0
        if not rational(number):
            return exponent in (1, -1)
        size = max(abs(Fraction(number).numerator), Fraction(number).denominator)
        return abs(exponent) == 1 or (abs(exponent) < 128 and size ** abs(exponent) < LARGEST_EXACT)

    def cancel_shared(self, factors: Factors) -> None:
        """Open a shared product where one of its factors meets its own inverse."""
        ops_of = self.graph.ops
        changed = len(factors) > 1
        while changed:
            changed = False
            for node, exponent in list(factors.items()):
                if ops_of[node] not in QUOTIENTS:
                    continue
                opened = self.open_product(node) if isinstance(exponent, int) else None
                if opened is None or len(opened) > WIDEST_OPENED:
                    continue
                if any(self.meets_inverse(factors, arg, e * exponent) for arg, e in opened):
                    del factors[node]
                    for arg, e in opened:
                        self.accumulate(factors, arg, e * exponent)
                    changed = True
                    break

    def base_of(self, node: int, exponent: Exponent) -> tuple[int, Exponent]:
        power = self.open_power(node)
        if power is not None and self.powers_combine(power[1], exponent):
            return power[0], reduced(power[1] * exponent)
        return node, exponent

    def meets_inverse(self, factors: Factors, node: int, exponent: Exponent) -> bool:
        base, exponent = self.base_of(node, exponent)
        return factors.get(base, 0) * exponent < 0

    def accumulate(self, factors: Factors, node: int, exponent: Exponent) -> None:
        self.raise_exponent(factors, *self.base_of(node, exponent))

    def build_product(self, coefficient: Coefficient, factors: Factors) -> int:
        """The node coefficient · Π base**exponent. Constant factors are grouped, so that they fold into one number."""
        if coefficient == 0:
            return self.graph.constant(0)
        fixed: list[int] = []
        moving: list[int] = []
        for base, exponent in factors.items():
            group = fixed if self.is_constant(base) else moving
            group += self.power_atoms(base, exponent)
        moving.sort()
        if fixed:
            fixed.sort()
            if coefficient != 1:
                fixed.insert(0, self.graph.constant(coefficient))
            moving.insert(0, self.multiply(fixed))
        elif coefficient != 1 or not moving:
            moving.insert(0, self.graph.constant(coefficient))
        return self.multiply(moving)

    def multiply(self, atoms: Sequence[int]) -> int:
        return atoms[0] if len(atoms) == 1 else self.graph.add_node(ops.mul, tuple(atoms))

    def power_atoms(self, base: int, exponent: Exponent) -> list[int]:
        """base**exponent as factors: a half-integer power is a whole power times a root."""
        if isinstance(exponent, int):
            return [self.power(base, exponent)]
        if exponent.denominator != 2:
            return [self.graph.add_node(ops.pow, (base, self.graph.constant(exponent)))]
        root = self.graph.add_node(ops.sqrt, (base,))
        whole = int(exponent)  # towards zero
        atoms = [self.power(root, 1 if exponent > 0 else -1)]
        return [self.power(base, whole), *atoms] if whole else atoms

    def power(self, base: int, exponent: int) -> int:
        if exponent == 1:
            return base
        return self.graph.add_node(ops.pow, (base, self.graph.constant(exponent)))

    def split(self, node: int) -> tuple[Coefficient, int]:
        """A node as coefficient times monomial."""
        found = self.splits.get(node)
        if found is None:
            found = self.splits[node] = self.taken_apart(node)
        return found

    def taken_apart(self, node: int) -> tuple[Coefficient, int]:
        op = self.graph.ops[node]
        if op is CONSTANT and (number := self.number(node)) is not None:
            return number, self.graph.constant(1)
        if op is ops.mul:
            args = self.graph.args[node]
            number = self.number(args[0])
            if number is not None:
                inner, rest = self.split(self.multiply(args[1:]))
                return number * inner, rest
            if self.graph.ops[args[0]] is ops.mul and self.is_constant(args[0]):
                inner, rest = self.split(args[0])
                if rest != args[0]:
                    return inner, self.multiply((rest, *args[1:]))
        return 1, node

    # --- sums ---------------------------------------------------------------------------------------------------------
    def sum(self, parts: Iterable[tuple[int, Coefficient, bool]]) -> int:
        """The normal form of Σ coefficient · node; a part flagged True may be opened."""
        terms: Terms = {}
        stack = list(parts)[::-1]
        while stack:
            node, coefficient, may_open = stack.pop()
            scale, monomial = self.split(node)
            may_open = may_open and (monomial == node or not self.shared(monomial))
            open_to = self.graph.ops[monomial] in SUMS and (may_open or self.is_constant(monomial))
            opened = self.open_sum(monomial) if open_to else None
            if opened is not None and len(opened) <= WIDEST_OPENED:
                weight = reduced(coefficient * scale)
                stack += [(arg, weight * c, False) for arg, c in reversed(opened)]
                continue
            self.collect(terms, monomial, coefficient * scale)
        self.cancel_shared_terms(terms)
        if len(terms) > 1:
            self.pythagoras(terms)
        return self.build_sum(terms)

    @staticmethod
    def collect(terms: Terms, monomial: int, coefficient: Coefficient) -> None:
        total = added(terms[monomial], coefficient) if monomial in terms else reduced(coefficient)
        if total == 0:
            terms.pop(monomial, None)
        else:
            terms[monomial] = total

    def cancel_shared_terms(self, terms: Terms) -> None:
        """Open a shared sum where that leaves fewer terms."""
        for node, coefficient in list(terms.items()):
            if self.graph.ops[node] not in SUMS:
                continue
            opened = self.open_sum(node)
            if opened is None or len(opened) > WIDEST_OPENED or node not in terms:
                continue
            trial: Terms = {}
            for arg, c in opened:
                scale, monomial = self.split(arg)
                self.collect(trial, monomial, coefficient * scale * c)
            gone = sum(1 for monomial, c in trial.items() if terms.get(monomial, 0) == -c)
            met = sum(1 for monomial in trial if monomial in terms)
            if gone and len(trial) - met - gone < 1:
                del terms[node]
                for monomial, c in trial.items():
                    self.collect(terms, monomial, c)

    def pythagoras(self, terms: Terms) -> None:
        """c·m·sin²u + c·m·cos²u -> c·m, and c·m·cosh²u − c·m·sinh²u -> c·m.  loses: NaN at an infinite u"""
        for monomial in list(terms):
            if monomial not in terms or not self.may_hold_square(monomial):
                continue
            coefficient, factors = self.gather([(monomial, 1, True)], 1)
            for base, exponent in list(factors.items()):
                twin = TWINS.get(self.graph.ops[base])
                if twin is None or not isinstance(exponent, int) or exponent < 2 or monomial not in terms:
                    continue
                other, sign = twin
                rest = dict(factors)
                self.accumulate(rest, base, -2)
                partner = dict(rest)
                self.accumulate(partner, self.graph.add_node(other, self.graph.args[base]), 2)
                pair = self.build_product(1, partner)
                if terms.get(pair) == sign * terms[monomial]:
                    weight = terms.pop(monomial)
                    del terms[pair]
                    scale, remaining = self.split(self.build_product(coefficient, rest))
                    self.collect(terms, remaining, weight * scale)

    def may_hold_square(self, monomial: int) -> bool:
        """Whether one of the factors of a term may be cos²u or cosh²u."""
        ops_of, args_of = self.graph.ops, self.graph.args
        if ops_of[monomial] is ops.pow:
            return ops_of[args_of[monomial][0]] in SQUARED
        if ops_of[monomial] is not ops.mul:
            return False
        powers = [args_of[arg][0] for arg in args_of[monomial] if ops_of[arg] is ops.pow]
        return any(ops_of[base] in SQUARED for base in powers)

    def build_sum(self, terms: Terms) -> int:
        if not terms:
            return self.graph.constant(0)
        one = self.graph.constant(1)
        nodes: list[int] = []
        for monomial, coefficient in sorted(terms.items()):
            if monomial == one:
                nodes.insert(0, self.graph.constant(coefficient))
            else:
                nodes.append(self.scaled(monomial, coefficient))
        return nodes[0] if len(nodes) == 1 else self.graph.add_node(ops.add, tuple(nodes))

    def scaled(self, monomial: int, coefficient: Coefficient) -> int:
        """coefficient · monomial in normal form, for a monomial without a number of its own."""
        if coefficient == 1:
            return monomial
        if self.graph.ops[monomial] is ops.mul and monomial not in self.keep:
            args = self.graph.args[monomial]
            if self.is_constant(args[0]):
                inner, factors = self.gather([(args[0], 1, True)], coefficient)
                fixed = self.build_product(reduced(inner), factors)
                return self.multiply((fixed, *args[1:]) if self.number(fixed) != 1 else args[1:])
            return self.multiply((self.graph.constant(coefficient), *args))
        return self.multiply((self.graph.constant(coefficient), monomial))


QUOTIENTS = frozenset({ops.mul, ops.div, ops.neg})  # what `open_product` opens
SUMS = frozenset({ops.add, ops.sub})  # what `open_sum` opens
COMPOUND = QUOTIENTS | {CONSTANT, ops.pow, ops.sqrt}  # what in a product is more than a factor
POWERS = frozenset({ops.pow, ops.sqrt})  # what `open_power` opens
TWINS: dict[Operation, tuple[Operation, int]] = {ops.cos: (ops.sin, 1), ops.cosh: (ops.sinh, -1)}
SQUARED = frozenset(TWINS) | QUOTIENTS | POWERS  # bases of powers in which a squared cosine can be
