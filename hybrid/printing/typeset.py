"""Sets the forms of a layout in a notation: signs, order, precedence, fraction bars, alike for LaTeX and plain text.

Order is a person's: in a product numbers, constants, symbols alphabetically, roots, sums in parentheses, powers,
functions (last, so that nothing that follows can be read as an argument); in a sum polynomial terms by falling degree,
then the rest, with a positive term first where there is one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from fractions import Fraction
from typing import Any

from hybrid.graph import Variable
from hybrid.operations import CONSTANT, MASK, NamedConstant, Operation
from hybrid.printing.forms import Apply, Cases, Elided, Exponent, Form, Leaf, Power, Product, Root, Sum, parts
from hybrid.printing.layout import Layout
from hybrid.printing.naming import SortKey, natural_key


class Level(IntEnum):
    """How tightly a piece holds together; in a place that asks for more it gets parentheses."""

    LOOSE = 0
    LOGIC = 1
    RELATION = 2
    SUM = 3
    INFIX = 4
    PRODUCT = 5
    FUNCTION = 6
    POWER = 7
    FRACTION = 8
    ATOM = 9


class Rank(IntEnum):
    """The place of a factor in a product."""

    NUMBER = 0
    CONSTANT = 1
    SYMBOL = 2
    ROOT = 3
    GROUP = 4
    POWER = 5
    ATOM = 6
    FUNCTION = 7


SymbolKey = tuple[SortKey, tuple[int, ...]]
Monomial = tuple[tuple[SymbolKey, int], ...]  # (key of a symbol, −exponent), sorted: compares x² before x·y before y²


@dataclass(frozen=True)
class Piece:
    """A set part of an expression: the text of its absolute value, its sign, and what its neighbours must know.

    `head` and `tail` split a function so that a power can be put between them (sin²x). `terms` are the signed terms of
    a sum, where a line may break, and `signed` the same as pieces, of the absolute value where a sign stands before it.
    `monomial` tells the powers of symbols when the piece is a number times such powers.
    """

    text: str
    level: Level = Level.ATOM
    rank: Rank = Rank.ATOM
    key: SymbolKey | tuple[()] = ()
    negative: bool = False
    tall: bool = False
    monomial: Monomial | None = None
    head: str = ""
    tail: str = ""
    terms: tuple[str, ...] = ()
    signed: tuple[tuple[int, Piece], ...] = ()
    upright: bool = False

    def but(self, **changes: Any) -> Piece:
        """The piece with some fields changed: `dataclasses.replace`, in a fifth of its time."""
        piece = object.__new__(Piece)
        piece.__dict__.update(self.__dict__, **changes)
        return piece

    @property
    def full(self) -> str:
        return "-" + self.text if self.negative else self.text

    @property
    def full_level(self) -> Level:
        return min(self.level, Level.SUM) if self.negative else self.level

    @property
    def degree(self) -> int:
        return -sum(exponent for _, exponent in self.monomial or ())


class Notation(ABC):
    """What LaTeX and plain text do differently."""

    scripts: bool  # whether exponents are set small
    draws_out: bool  # whether a tall numerator reads better behind its fraction
    root_level: Level  # whether a root can be raised to a power without parentheses
    roots: tuple[int, ...]  # which roots have a sign

    @abstractmethod
    def number(self, value: int | Fraction | float, script: bool) -> Piece: ...

    @abstractmethod
    def named_constant(self, constant: NamedConstant) -> str: ...

    @abstractmethod
    def truth(self, value: bool) -> str: ...

    @abstractmethod
    def variable(self, variable: Variable) -> str: ...

    @abstractmethod
    def temporary(self, number: int) -> str: ...

    @abstractmethod
    def parens(self, piece: Piece) -> str: ...

    @abstractmethod
    def power(self, base: str, exponent: str) -> str: ...

    @abstractmethod
    def root(self, piece: Piece, index: int = 2) -> str: ...

    @abstractmethod
    def fraction(self, over: Piece, under: Piece, script: bool) -> Piece: ...

    @abstractmethod
    def juxtapose(self, factors: Sequence[Piece]) -> str: ...

    @abstractmethod
    def apply(self, op: Operation, args: Sequence[Piece], omitted: int) -> Piece: ...

    @abstractmethod
    def argument_scripts(self, op: Operation, args: Sequence[int], weight: Any) -> tuple[bool, ...]: ...

    @abstractmethod
    def cases(self, rows: Sequence[tuple[Piece, Piece]], otherwise: Piece, omitted: int) -> str: ...

    @abstractmethod
    def over_index(self, term: Piece, index: str, first: str, last: str) -> Piece:
        """Σ over an index: the sum of `term` for index = first, …, last, for printers of rolled sums."""

    @abstractmethod
    def omitted(self, count: int, what: str) -> str: ...

    @abstractmethod
    def elided(self) -> str: ...

    @abstractmethod
    def length(self, text: str) -> int: ...


State = tuple[int, bool]  # a node, and whether it stands in an exponent

LONG_NUMERATOR = 16  # a fraction with a plain number below is pulled out in front of more than this


class Typesetter:
    """Sets nodes of a layout; a node is set once for each size, however often it appears."""

    def __init__(self, layout: Layout, notation: Notation) -> None:
        self.layout = layout
        self.graph = layout.graph
        self.notation = notation
        self.done: dict[State, Piece] = {}

    def body(self, start: int) -> Piece:
        """The node written out, with named parts as references."""
        stack: list[State] = [(start, False)]
        while stack:
            state = stack[-1]
            if state in self.done:
                stack.pop()
                continue
            form = self.layout.form(state[0])
            missing = [
                part
                for part in self._parts(form, state[1])
                if part not in self.done and part[0] not in self.layout.named
            ]
            if missing:
                stack.extend(missing)
            else:
                self.done[state] = self._set(form, state[1])
                stack.pop()
        return self.done[start, False]

    def entry(self, node: int) -> Piece:
        """The node as an output shows it: by its name if it has one."""
        return self._reference(node) if node in self.layout.named else self.body(node)

    def _piece(self, node: int, script: bool) -> Piece:
        return self._reference(node) if node in self.layout.named else self.done[node, script]

    def _reference(self, node: int) -> Piece:
        number = self.layout.number[node]
        key = (natural_key("t"), (number,))
        return Piece(self.notation.temporary(number), rank=Rank.SYMBOL, key=key, monomial=((key, -1),))

    def _parts(self, form: Form, script: bool) -> list[State]:
        match form:
            case Power(base, exponent):
                return [(base, script), (exponent, self.notation.scripts)]
            case Sum(terms) if any(abs(count) != 1 for count, _ in terms):
                return [
                    (part, script)
                    for count, node in terms
                    for part in ([node] if abs(count) == 1 else parts(self.layout.multiple(count, node)))
                ]
            case Apply(op, args):
                scripts = self.notation.argument_scripts(op, args, self.layout.weight.get)
                return [(arg, script or small) for arg, small in zip(args, scripts, strict=True)]
        return [(node, script) for node in parts(form)]

    def _set(self, form: Form, script: bool) -> Piece:
        match form:
            case Leaf(node):
                return self._leaf(node, script)
            case Elided():
                return Piece(self.notation.elided())
            case Sum():
                return self._sum(form, script)
            case Product():
                return self._product(form, script)
            case Power(base, exponent):
                return self._power(self._piece(base, script), self._piece(exponent, self.notation.scripts))
            case Cases(rows, otherwise, omitted):
                set_rows = [(self._piece(value, script), self._piece(mask, script)) for value, mask in rows]
                text = self.notation.cases(set_rows, self._piece(otherwise, script), omitted)
                return Piece(text, Level.LOOSE, Rank.GROUP, tall=True)
            case Apply(op, _, omitted):
                args = [self._piece(*part) for part in self._parts(form, script)]
                return self.notation.apply(op, args, omitted)
        raise AssertionError(form)

    def _leaf(self, node: int, script: bool) -> Piece:
        value = self.graph.leaves[node]
        if self.graph.ops[node] is not CONSTANT:
            text = self.notation.variable(value)
            key: SymbolKey = (natural_key(value.name), value.index)
            upright = text.startswith(("\\mathrm", "\\text"))
            return Piece(text, rank=Rank.SYMBOL, key=key, monomial=((key, -1),), upright=upright)
        if isinstance(value, bool):
            return Piece(self.notation.truth(value))
        if isinstance(value, NamedConstant):
            text = self.notation.named_constant(value)
            return Piece(text, rank=Rank.CONSTANT, monomial=())
        return self.notation.number(value, script)

    # --- sums ---------------------------------------------------------------------------------------------------------
    def _sum(self, form: Sum, script: bool) -> Piece:
        terms: list[tuple[int, Piece]] = []
        dots = self.notation.elided()
        for count, node in form.terms:
            several = abs(count) != 1
            piece = self._product(self.layout.multiple(count, node), script) if several else self._piece(node, script)
            sign = 1 if count > 0 else -1
            sign = -sign if piece.negative else sign
            mixed = any(inner < 0 for inner, _ in piece.signed)  # x − (y − z) reads better as x − y + z
            if piece.signed and (sign > 0 or mixed):
                terms.extend((sign * inner, term) for inner, term in piece.signed)
            elif piece.text != dots or all(other.text != dots for _, other in terms):
                terms.append((sign, piece))
        return self._added(terms if form.omitted else in_order(terms), form.omitted)

    def _added(self, terms: list[tuple[int, Piece]], omitted: int = 0) -> Piece:
        texts = [self._term(sign, piece, first=not i) for i, (sign, piece) in enumerate(terms)]
        if omitted:
            texts.insert(-1, "+ " + self.notation.omitted(omitted, "terms"))
        tall = any(piece.tall for _, piece in terms)
        text = " ".join(texts)
        signed = () if omitted else tuple(terms)
        return Piece(text, Level.SUM, Rank.GROUP, tall=tall, terms=tuple(texts), signed=signed)

    def _turned(self, piece: Piece, negative: bool) -> Piece | None:
        """The negated sum, if the product then reads better: −x(b − c) as x(c − b), x(−b − c) as −x(b + c)."""
        minuses = sum(sign < 0 for sign, _ in piece.signed)
        if not minuses or (2 * minuses < len(piece.signed) if negative else minuses < len(piece.signed)):
            return None
        return self._added(in_order([(-sign, term) for sign, term in piece.signed]))

    def _term(self, sign: int, piece: Piece, first: bool) -> str:
        text = piece.text if piece.level > Level.INFIX else self.notation.parens(piece.but(negative=False))
        if first:
            return text if sign > 0 else "-" + text
        return ("+ " if sign > 0 else "- ") + text

    # --- products -----------------------------------------------------------------------------------------------------
    def _product(self, form: Product, script: bool) -> Piece:
        negative = form.coefficient < 0
        over: list[Piece] = []
        under: list[Piece] = []
        dots = self.notation.elided()
        for half, factors in ((over, form.over), (under, form.under)):
            for node, exponent in factors:
                factor = self._raise(self._piece(node, script), exponent)
                if factor.signed and not factor.negative and (turned := self._turned(factor, negative)) is not None:
                    negative, factor = not negative, turned
                negative ^= factor.negative
                if factor.text != dots or all(other.text != dots for other in half):
                    half.append(factor.but(negative=False))
        for half, root in ((over, form.root_over), (under, form.root_under)):
            if (radical := self._radical(root, script)) is not None:
                half.append(radical)
        if not form.omitted:
            over.sort(key=factor_order)
            under.sort(key=factor_order)
        else:
            more = Piece(self.notation.omitted(form.omitted, "factors"))
            (over if len(over) >= len(under) else under).insert(-1, more)
        size = abs(form.coefficient)
        result = self._quotient(size.numerator, size.denominator, over, under, script)
        if negative and result.level <= Level.INFIX:
            result = result.but(text=self.notation.parens(result), level=Level.ATOM, terms=())
        return result.but(negative=negative, monomial=merged(over) if not under else None)

    def _radical(self, root: Root, script: bool) -> Piece | None:
        number, constants = root
        if number == 1 and not constants:
            return None
        factors = [self._piece(node, script) for node in constants]
        if number != 1:
            factors.insert(0, self.notation.number(number, script))
        inside = self._joined(sorted(factors, key=factor_order))
        return Piece(self.notation.root(inside), self.notation.root_level, Rank.CONSTANT, monomial=())

    def _quotient(self, p: int, q: int, over: list[Piece], under: list[Piece], script: bool) -> Piece:
        """p·over / q·under, with what is tall or long drawn out behind the fraction."""
        if q == 1 and not under:
            return self._scaled(p, over, script)
        below = self._scaled(q, under, script)
        above = self._scaled(p, over, script)
        if script or not self.notation.draws_out or len(over) + (p != 1) < (2 if under else 1):
            return self.notation.fraction(above, below, script)
        plain = all(factor.rank <= Rank.CONSTANT for factor in under)
        heavy = [factor for factor in over if factor.rank >= Rank.GROUP]
        if not heavy or not (above.tall or (plain and self.notation.length(above.text) > LONG_NUMERATOR)):
            return self.notation.fraction(above, below, script)
        light = [factor for factor in over if factor.rank < Rank.GROUP]
        front = self.notation.fraction(self._scaled(p, light, script), below, script)
        return self._joined([front.but(rank=Rank.NUMBER), *heavy])

    def _scaled(self, number: int, factors: list[Piece], script: bool) -> Piece:
        return self._joined([self.notation.number(number, script), *factors] if number != 1 or not factors else factors)

    def _joined(self, factors: list[Piece]) -> Piece:
        if len(factors) == 1:
            return factors[0]
        held = [
            factor if holds(factor, first=not i) else factor.but(text=self.notation.parens(factor), level=Level.ATOM)
            for i, factor in enumerate(factors)
        ]
        text = self.notation.juxtapose(held)
        rank = max(factor.rank for factor in factors)
        return Piece(text, Level.PRODUCT, rank, tall=any(factor.tall for factor in factors))

    # --- powers -------------------------------------------------------------------------------------------------------
    def _raise(self, base: Piece, exponent: Exponent) -> Piece:
        """base^exponent for a positive rational exponent (or 0). Even roots have a sign; odd ones would take x < 0."""
        if exponent == 1:
            return base
        if isinstance(exponent, int):
            sign = base.negative and exponent % 2 == 1
            base = base.but(negative=False)
            small = self.notation.number(exponent, True).text
            if base.head and exponent > 0:
                text = self.notation.power(base.head, small) + base.tail
                return Piece(text, base.level, base.rank, negative=sign, tall=base.tall)
            text = self.notation.power(self._base(base), small)
            monomial = None
            if base.monomial and len(base.monomial) == 1 and exponent > 0:
                monomial = ((base.monomial[0][0], base.monomial[0][1] * exponent),)
            rank = base.rank if base.rank in (Rank.CONSTANT, Rank.SYMBOL, Rank.GROUP) else Rank.POWER
            return Piece(text, Level.POWER, rank, base.key, sign, base.tall, monomial)
        if exponent.numerator == 1 and exponent.denominator in self.notation.roots:
            text = self.notation.root(base, exponent.denominator)
            return Piece(text, self.notation.root_level, Rank.ROOT, tall=base.tall)
        text = self.notation.power(self._base(base), self.notation.number(exponent, True).full)
        return Piece(text, Level.POWER, Rank.POWER, tall=base.tall)

    def _power(self, base: Piece, exponent: Piece) -> Piece:
        text = self.notation.power(self._base(base), exponent.full)
        return Piece(text, Level.POWER, Rank.POWER, tall=base.tall)

    def _base(self, base: Piece) -> str:
        return base.text if base.full_level == Level.ATOM else self.notation.parens(base)


def holds(factor: Piece, first: bool) -> bool:
    """Whether a factor needs no parentheses beside others: 2½ is no product, so a fraction may only stand first."""
    return factor.level >= Level.PRODUCT if first else factor.level > Level.PRODUCT and factor.level != Level.FRACTION


def factor_order(piece: Piece) -> tuple[Any, ...]:
    return (piece.rank, piece.key, len(piece.text), piece.text)


def merged(factors: Sequence[Piece]) -> Monomial | None:
    """The monomial of a product, or None if a factor is not a power of symbols."""
    powers: dict[SymbolKey, int] = {}
    for factor in factors:
        if factor.monomial is None:
            return None
        for key, exponent in factor.monomial:
            powers[key] = powers.get(key, 0) + exponent
    return tuple(sorted(powers.items()))


def in_order(terms: Sequence[tuple[int, Piece]]) -> list[tuple[int, Piece]]:
    """Polynomial terms by falling degree, then the others; a positive term first where there is one."""
    polynomial = [term for term in terms if term[1].monomial is not None]
    others = [term for term in terms if term[1].monomial is None]
    polynomial.sort(key=lambda term: (-term[1].degree, term[1].monomial, term[1].text))
    others.sort(key=lambda term: (term[1].rank, term[1].text))
    if polynomial and polynomial[0][0] < 0 < polynomial[-1][0]:
        polynomial.reverse()  # 1 − x², not −x² + 1
    ordered = [*polynomial, *others]
    first = next((i for i, (sign, _) in enumerate(ordered) if sign > 0), 0)
    return [ordered[first], *ordered[:first], *ordered[first + 1 :]]


def mask_level(op: Operation) -> Level:
    """Connectives hold looser than relations; a negation takes one relation in parentheses and holds like one."""
    return Level.LOGIC if op.operands == (MASK, MASK) else Level.RELATION
