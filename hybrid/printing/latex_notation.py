"""The LaTeX notation: how numbers, fractions, powers, functions and cases are set.

Functions are set by the template of their row in the table of operations: a place between braces or parentheses takes
any argument, any other place takes parentheses where the argument needs them. A row added to the table prints without
an edit here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import cache
from itertools import pairwise
from string import Formatter
from typing import Any

from hybrid import operations as ops
from hybrid.graph import Variable
from hybrid.operations import MASK, NamedConstant, Operation
from hybrid.printing.forms import Exponent, exact
from hybrid.printing.naming import LaTeXNames, escape
from hybrid.printing.typeset import Level, Notation, Piece, Rank, mask_level

OPENING = ("{", r"\left(", r"\left|", r"\left\lfloor", r"\left\lceil", ",")
CLOSING = ("}", r"\right", ",")
LONGEST_EXPONENT = 30  # symbols; beyond that e^{…} is set as exp(…)
LONGEST_INTEGER = 60  # digits
LETTER = re.compile(r"\\(?:Gamma|psi|Phi|theta)(?![a-z])")  # what functions are called that variables may be
WORDS = ("sin", "cos", "tan", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "exp", "log", "min", "max")

NumberFormat = int | str | Callable[[float], str] | None
NUMBER_FORMATS = ("rational", "scientific", "engineering")


@dataclass(frozen=True)
class Template:
    """A row's LaTeX cut at its places: literals[0] place literals[1] place …"""

    literals: tuple[str, ...]
    places: tuple[int, ...]
    delimited: tuple[bool, ...]
    small: tuple[bool, ...]

    @property
    def head(self) -> str:
        """The function's symbol, if its argument follows bare: \\sin of \\sin {0}."""
        bare = len(self.places) == 1 and not self.delimited[0] and self.literals[1] == ""
        return self.literals[0].rstrip() if bare else ""


@cache
def template(op: Operation) -> Template:
    literals, places = [""], []
    for literal, field, _, _ in Formatter().parse(op.latex):
        literals[-1] += literal  # an escaped brace ends a literal without a place
        if field is not None:
            places.append(int(field))
            literals.append("")
    around = list(pairwise(literals))
    delimited = tuple(a.rstrip().endswith(OPENING) and b.lstrip().startswith(CLOSING) for a, b in around)
    return Template(tuple(literals), tuple(places), delimited, tuple(a.endswith("^{") for a, _ in around))


class LaTeX(Notation):
    """LaTeX that KaTeX, MathJax and amsmath read."""

    scripts = True
    draws_out = True
    root_level = Level.ATOM
    roots = (2, 4, 6, 8)

    def __init__(self, names: LaTeXNames, number_format: NumberFormat = None) -> None:
        self.names = names
        self.number_format = number_format
        self.euler_is_free = "e" not in names.taken

    def number(self, value: int | Fraction | float, script: bool) -> Piece:
        if isinstance(value, float):
            return self._float(value, script)
        if isinstance(value, Fraction) and value.denominator != 1:
            above, below = integer(abs(value.numerator)), integer(value.denominator)
            text = f"{above}/{below}" if script else rf"\frac{{{above}}}{{{below}}}"
            level = Level.PRODUCT if script else Level.FRACTION
            return Piece(text, level, Rank.NUMBER, negative=value < 0, tall=not script, monomial=())
        return Piece(integer(abs(int(value))), rank=Rank.NUMBER, negative=value < 0, monomial=())

    def _float(self, value: float, script: bool) -> Piece:
        negative = math.copysign(1.0, value) < 0
        size = abs(value)
        if math.isnan(size):
            return Piece(r"\text{NaN}", rank=Rank.NUMBER)
        if math.isinf(size):
            return Piece(r"\infty", rank=Rank.NUMBER, negative=negative)
        if callable(self.number_format):
            return Piece(self.number_format(size), Level.FUNCTION, Rank.NUMBER, negative=negative, monomial=())
        if self.number_format == "rational":
            simple = simplest_fraction(size)
            return self.number(-simple if negative else simple, script).but(negative=negative)
        text = written(size, self.number_format)
        digits, _, exponent = text.partition("e")
        digits = digits.removesuffix(".0")
        if not exponent:
            return Piece(digits, rank=Rank.NUMBER, negative=negative, monomial=())
        power = f"10^{{{int(exponent)}}}"
        if digits == "1":
            return Piece(power, Level.POWER, Rank.NUMBER, negative=negative, monomial=())
        return Piece(rf"{digits} \times {power}", Level.PRODUCT, Rank.NUMBER, negative=negative, monomial=())

    def named_constant(self, constant: NamedConstant) -> str:
        return r"\mathrm{e}" if constant is ops.E and not self.euler_is_free else constant.latex

    def truth(self, value: bool) -> str:
        return rf"\text{{{str(value).lower()}}}"

    def variable(self, variable: Variable) -> str:
        return self.names.variable(variable)

    def temporary(self, number: int) -> str:
        return self.names.temporary(number)

    def parens(self, piece: Piece) -> str:
        return rf"\left({piece.full}\right)" if piece.tall else f"({piece.full})"

    def power(self, base: str, exponent: str) -> str:
        return f"{base}^{{{exponent}}}"

    def root(self, piece: Piece, index: int = 2) -> str:
        return rf"\sqrt{{{piece.full}}}" if index == 2 else rf"\sqrt[{index}]{{{piece.full}}}"

    def fraction(self, over: Piece, under: Piece, script: bool) -> Piece:
        rank = max(over.rank, under.rank)
        if not script:
            text = rf"\frac{{{over.full}}}{{{under.full}}}"
            return Piece(text, Level.FRACTION, rank, tall=True)
        above = over.text if over.level >= Level.PRODUCT else self.parens(over)
        below = under.text if under.level > Level.PRODUCT else self.parens(under)
        text = f"{above}/{below}"
        return Piece(text, Level.PRODUCT, rank)

    def juxtapose(self, factors: Sequence[Piece]) -> str:
        parts = [factors[0].text]
        for before, factor in pairwise(factors):
            if factor.text[0].isdigit():
                parts.append(r"\cdot")
            elif before.upright or factor.upright:
                parts.append(r"\,")
            parts.append(factor.text)
        return " ".join(parts)

    def argument_scripts(self, op: Operation, args: Sequence[int], weight: Any) -> tuple[bool, ...]:
        if op is ops.exp:
            return (weight(args[0], 1) <= LONGEST_EXPONENT and self.euler_is_free,)
        form = template(op)
        small = dict(zip(form.places, form.small, strict=True))
        return tuple(small.get(i, False) for i in range(len(args)))

    def _template(self, op: Operation) -> Template:
        """The row's own, or the function by its name where its letter is a variable: θ(x + 1) could be a product."""
        form = template(op)
        letter = LETTER.search(form.literals[0]) if form.literals[0] else None
        if letter is None or letter[0] not in self.names.taken:
            return form
        between = (", ",) * (op.arity - 1)
        literals = (rf"\operatorname{{{escape(op.name)}}}\left(", *between, r"\right)")
        return Template(literals, tuple(range(op.arity)), (True,) * op.arity, (False,) * op.arity)

    def apply(self, op: Operation, args: Sequence[Piece], omitted: int) -> Piece:
        form = self._template(op)
        if op is ops.exp and not (self.euler_is_free and self._fits_exponent(args[0])):
            form = Template((r"\exp ", ""), (0,), (False,), (False,))
        if form.head and op.result != MASK:
            return self._function(form.head, args[0])
        texts = [self._argument(op, form, i, arg) for i, arg in enumerate(args)]
        if omitted:
            texts.insert(-1, self.omitted(omitted, "arguments"))
        tall = any(arg.tall for arg in args) or any(r"\begin" in literal for literal in form.literals)
        if len(texts) > len(form.places) == 2:  # an associative operation on more than two
            texts = [form.literals[1].join(texts)]
            form = Template((form.literals[0], form.literals[2]), (0,), (True,), (False,))
        text = form.literals[0] + "".join(
            texts[place] + literal for place, literal in zip(form.places, form.literals[1:], strict=True)
        )
        if not tall:
            text = re.sub(r"\\(?:left|right)(?=[()]|\\[lr](?:floor|ceil))", "", text)
        if op.result == MASK:
            return Piece(text, mask_level(op), tall=tall)
        if not all(form.delimited):
            return Piece(text, Level.INFIX, tall=tall)
        return self._delimited(op, form, text, tall)

    def _fits_exponent(self, piece: Piece) -> bool:
        return not piece.tall and self.length(piece.text) <= 2 * LONGEST_EXPONENT

    def _argument(self, op: Operation, form: Template, i: int, arg: Piece) -> str:
        position = form.places.index(i) if i in form.places else 0
        if form.delimited[position]:
            return arg.full
        if op.result == MASK:
            prefix = len(form.places) == 1
            needed = Level.ATOM if prefix else Level.RELATION if op.operands[0] == MASK else Level.SUM
            return arg.full if arg.full_level >= needed else self.parens(arg)
        return arg.full if arg.full_level >= Level.FUNCTION else self.parens(arg)

    def _function(self, head: str, arg: Piece) -> Piece:
        """\\sin x, \\sin\\frac{x}{2}, \\sin(x + y), \\operatorname{erf}(x)."""
        single = arg.full_level == Level.ATOM and arg.rank < Rank.GROUP
        bare = (single or arg.full_level == Level.FRACTION) and not head.startswith(r"\operatorname")
        tail = " " + arg.full if bare else self.parens(arg)
        return Piece(head + tail, Level.FUNCTION, Rank.FUNCTION, tall=arg.tall, head=head, tail=tail)

    def _delimited(self, op: Operation, form: Template, text: str, tall: bool) -> Piece:
        first = form.literals[0]
        if any(form.small) or "^" in first:
            return Piece(text, Level.POWER, Rank.POWER, tall=tall)
        commands = re.sub(r"\\left\\?[a-z|(]*|\\operatorname\{[^}]+\}|\\sqrt(\[\d\])?", "", first).count("\\")
        level = Level.FUNCTION if commands > 1 else Level.ATOM
        rank = Rank.ROOT if first.startswith(r"\sqrt") else Rank.ATOM
        return Piece(text, level, rank, tall=tall or r"\frac" in first)

    def cases(self, rows: Sequence[tuple[Piece, Piece]], otherwise: Piece, omitted: int) -> str:
        lines = [rf"{value.full} & \text{{if }} {condition.full}" for value, condition in rows]
        if omitted:
            lines.insert(-1, rf"{self.omitted(omitted, 'cases')} &")
        lines.append(rf"{otherwise.full} & \text{{otherwise}}")
        body = r" \\ ".join(lines)
        return rf"\begin{{cases}} {body} \end{{cases}}"

    def over_index(self, term: Piece, index: str, first: str, last: str) -> Piece:
        inside = term.full if term.full_level >= Level.PRODUCT else self.parens(term)
        return Piece(rf"\sum_{{{index}={first}}}^{{{last}}} {inside}", Level.INFIX, Rank.GROUP, tall=True)

    def omitted(self, count: int, what: str) -> str:
        return rf"\underbrace{{\cdots}}_{{{thousands(count)} \text{{ more {what}}}}}"

    def elided(self) -> str:
        return r"\cdots"

    def length(self, text: str) -> int:
        return visible_length(text)


def written(size: float, how: int | str | None) -> str:
    """A positive float in decimal: with `how` digits, or with a power of ten where Python does that or if asked."""
    if isinstance(how, int):
        return f"{size:.{how}g}"
    shortest = repr(size)
    if how is None or size == 0:
        return shortest
    digits, exponent = Decimal(shortest).normalize().as_tuple()[1:]
    power = len(digits) - 1 + int(exponent)
    if how == "engineering":
        power -= power % 3
    mantissa = Decimal(shortest).scaleb(-power)
    text = f"{mantissa:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return f"{text}e{power}" if power else text


def simplest_fraction(size: float) -> Fraction:
    """The fraction of the smallest denominator that is this float once rounded: 1/3 of 0.333…, 1/10 of 0.1."""
    exact = Fraction(size)
    low, high = 1, exact.denominator
    while low < high:
        middle = (low + high) // 2
        if float(exact.limit_denominator(middle)) == size:
            high = middle
        else:
            low = middle + 1
    return exact.limit_denominator(low)


def as_fraction(value: object) -> Exponent | None:
    """A constant as the rational number it is printed as when all floats are."""
    if isinstance(value, float) and math.isfinite(value) and value:
        return simplest_fraction(abs(value)) * (1 if value > 0 else -1)
    return exact(value)


def visible_length(text: str) -> int:
    """About how many symbols wide LaTeX is once set; the two halves of a fraction count once."""
    text = re.sub(r"\\(?:left|right|begin\{\w+\}|end\{\w+\}|mathrm|mathbf|text|operatorname|,|cdot)", "", text)
    text = re.sub(r"\\([A-Za-z]+)|\\.", lambda match: match[1] if match[1] in WORDS else "c", text)
    return len(re.sub(r"[{}_^ &]", "", text))


def thousands(count: int) -> str:
    return f"{count:,}".replace(",", r"\,")


def integer(value: int) -> str:
    """All digits, or for a number no one can read its leading digits and its size."""
    digits = int(value.bit_length() * math.log10(2)) + 1
    if digits <= LONGEST_INTEGER:
        return str(value)
    leading = value // 10 ** (digits - 12)
    text = str(leading)
    return rf"{text[0]}.{text[1:10]}\ldots \times 10^{{{digits - 12 + len(text) - 1}}}"
