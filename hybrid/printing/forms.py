"""The shapes a person writes: sums with signs, products over a fraction bar, powers, cases."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import isqrt

from hybrid import operations as ops
from hybrid.graph import Graph
from hybrid.operations import HALF, NamedConstant, Operation

Exponent = int | Fraction
Root = tuple[int, tuple[int, ...]]
NO_ROOT: Root = (1, ())
LARGEST_ROOT = 10**6  # numbers above are not searched for square factors
Cut = Callable[[list[tuple[int, "Exponent"]]], tuple[Sequence[tuple[int, "Exponent"]], int]]


@dataclass(frozen=True)
class Leaf:
    """A constant or a variable."""

    node: int


@dataclass(frozen=True)
class Elided:
    """A part that lies beyond the limits."""


@dataclass(frozen=True)
class Sum:
    """terms: (coefficient, node), where equal terms are counted; `omitted` more stand before the last one."""

    terms: tuple[tuple[Fraction, int], ...]
    omitted: int = 0


@dataclass(frozen=True)
class Product:
    """coefficient · √root · Π node^exponent, over the same; exponents are positive, or 0 as the user wrote it.

    A root is a square-free number and the nodes of named constants under one radical sign.
    """

    coefficient: Fraction
    over: tuple[tuple[int, Exponent], ...]
    under: tuple[tuple[int, Exponent], ...] = ()
    root_over: Root = NO_ROOT
    root_under: Root = NO_ROOT
    omitted: int = 0


@dataclass(frozen=True)
class Power:
    """base^exponent with an exponent that is itself an expression."""

    base: int
    exponent: int


@dataclass(frozen=True)
class Cases:
    """rows: (value, condition); `omitted` more stand before the last one."""

    rows: tuple[tuple[int, int], ...]
    otherwise: int
    omitted: int = 0


@dataclass(frozen=True)
class Apply:
    """Any other operation on its arguments, or on arbitrarily many where it is associative."""

    op: Operation
    args: tuple[int, ...]
    omitted: int = 0


Form = Leaf | Elided | Sum | Product | Power | Cases | Apply


def exact(value: object) -> Exponent | None:
    """The rational number a constant is exactly, floats that are whole numbers included."""
    if isinstance(value, bool | NamedConstant):
        return None
    if isinstance(value, int | Fraction):
        return value
    if isinstance(value, float) and value.is_integer() and 0 < abs(value) < 1e15:
        return int(value)
    return None


def fixed_exponent(graph: Graph, node: int) -> Exponent | None:
    """The exponent of a power with a rational constant exponent."""
    if graph.ops[node] is not ops.pow or not graph.is_constant(graph.args[node][1]):
        return None
    value = graph.leaves[graph.args[node][1]]
    if isinstance(value, float) and not value.is_integer():
        return None  # x^0.3 stays as it was written
    return exact(value) if value != 0 else 0


class Factors:
    """A product being collected: equal bases on one side of the bar are counted, roots of constants merged."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.coefficient: Exponent = 1
        self.radicand = Fraction(1)
        self.constants: dict[int, int] = {}  # named constant -> how many square roots of it, below the bar negative
        self.powers: dict[tuple[int, bool, bool], Exponent] = {}  # (base, below the bar, a root) -> exponent

    def multiply(self, base: int, exponent: Exponent) -> None:
        root = type(exponent) is Fraction and abs(exponent) == HALF
        value = self.graph.leaves[base] if root and self.graph.is_constant(base) else None
        number = exact(value)
        if number is not None and number > 0 and max(number.as_integer_ratio()) < LARGEST_ROOT:
            self.radicand *= number if exponent > 0 else 1 / Fraction(number)
        elif isinstance(value, NamedConstant):
            self.constants[base] = self.constants.get(base, 0) + (1 if exponent > 0 else -1)
        else:
            self._add(base, exponent < 0, -exponent if exponent < 0 else exponent)

    def _add(self, base: int, below: bool, exponent: Exponent) -> None:
        key = (base, below, type(exponent) is Fraction)
        before = self.powers.get(key)
        self.powers[key] = exponent if before is None else before + exponent

    def product(self, cut: Cut) -> Product:
        roots = self._settle_roots()
        for (base, below, root), exponent in list(self.powers.items()):
            if root and exponent.denominator == 1:  # two roots made a whole power
                self._add(base, below, self.powers.pop((base, below, root)).numerator)
        over: list[tuple[int, Exponent]] = []
        under: list[tuple[int, Exponent]] = []
        for (base, below, _), exponent in self.powers.items():
            (under if below else over).append((base, exponent))
        shown, omitted = cut(over)
        shown_under, omitted_under = cut(under)
        return Product(Fraction(self.coefficient), tuple(shown), tuple(shown_under), *roots, omitted + omitted_under)

    def _settle_roots(self) -> tuple[Root, Root]:
        """√2/2 becomes 1/√2, √8 becomes 2√2, √2/√π one fraction of roots; exact, as all radicands are positive."""
        over: list[int] = []
        under: list[int] = []
        for node, count in self.constants.items():
            if abs(count) > 1:
                self._add(node, count < 0, abs(count) // 2)
            if count % 2:
                (over if count > 0 else under).append(node)
        if self.radicand == 1:
            return (1, tuple(over)), (1, tuple(under))
        square = Fraction(self.coefficient) ** 2 * self.radicand
        if square <= 0 or max(square.as_integer_ratio()) > LARGEST_ROOT:
            square, rest = self.radicand, Fraction(self.coefficient)
        else:
            rest = Fraction(1 if self.coefficient > 0 else -1)
        (up, up_root), (down, down_root) = square_factor(square.numerator), square_factor(square.denominator)
        self.coefficient = rest * Fraction(up, down)
        return (up_root, tuple(over)), (down_root, tuple(under))


def square_factor(number: int) -> tuple[int, int]:
    """(k, m) with k²·m = number and m square-free."""
    k = next(k for k in range(isqrt(number), 0, -1) if number % (k * k) == 0)
    return k, number // (k * k)


def parts(form: Form) -> list[int]:
    """The nodes a form is made of, in the order they were written."""
    match form:
        case Sum(terms):
            return [node for _, node in terms]
        case Product(_, over, under, (_, roots), (_, roots_under)):
            return [node for node, _ in (*over, *under)] + [*roots, *roots_under]
        case Power(base, exponent):
            return [base, exponent]
        case Cases(rows, otherwise):
            return [node for row in rows for node in row] + [otherwise]
        case Apply(_, args):
            return list(args)
    return []
