"""Plain text of functions in Unicode, one line per output: `∂f/∂x = y·exp(x·y) + cos(x)`."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from hybrid import operations as ops
from hybrid.graph import Variable
from hybrid.operations import MASK, NamedConstant, Operation
from hybrid.printing.captions import Printable, ancestry, derivatives_of_entry, unravel
from hybrid.printing.layout import UNLIMITED, Layout, Limit, is_zero
from hybrid.printing.naming import TextNames
from hybrid.printing.typeset import Level, Notation, Piece, Rank, Typesetter, mask_level

SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
CONSTANTS = {"pi": "π", "E": "e", "EulerGamma": "γ", "GoldenRatio": "φ"}
SHORT_NAMES = {"minimum": "min", "maximum": "max", "select": "where"}
BETWEEN = {"lt": "<", "le": "≤", "gt": ">", "ge": "≥", "eq": "=", "ne": "≠", "and": "∧", "or": "∨", "xor": "⊻"}
AROUND = {"abs": ("|", "|"), "floor": ("⌊", "⌋"), "ceil": ("⌈", "⌉")}
LONGEST_INTEGER = 40  # digits

TEXT_LIMIT = Limit(terms=20, definitions=24, nodes=20_000)


class PlainText(Notation):
    """Unicode on one line: x², √(x + 1), a/(b·c), a if x < 0 else b."""

    scripts = False
    draws_out = False
    root_level = Level.POWER
    roots = (2,)

    def __init__(self, names: TextNames) -> None:
        self.names = names

    def number(self, value: int | Fraction | float, script: bool) -> Piece:
        if isinstance(value, float):
            negative = math.copysign(1.0, value) < 0
            text = "∞" if math.isinf(value) else repr(abs(value)).removesuffix(".0")
            level = Level.POWER if "e" in text else Level.ATOM
            return Piece(text, level, Rank.NUMBER, negative=negative, monomial=())
        if isinstance(value, Fraction) and value.denominator != 1:
            text = f"{integer(abs(value.numerator))}/{integer(value.denominator)}"
            return Piece(text, Level.PRODUCT, Rank.NUMBER, negative=value < 0, monomial=())
        return Piece(integer(abs(int(value))), rank=Rank.NUMBER, negative=value < 0, monomial=())

    def named_constant(self, constant: NamedConstant) -> str:
        letter = CONSTANTS.get(constant.name, constant.name)
        return constant.name if letter in self.names.names.values() else letter

    def truth(self, value: bool) -> str:
        return str(value)

    def variable(self, variable: Variable) -> str:
        return self.names.variable(variable)

    def temporary(self, number: int) -> str:
        return self.names.temporary(number)

    def parens(self, piece: Piece) -> str:
        return f"({piece.full})"

    def power(self, base: str, exponent: str) -> str:
        if exponent.isdecimal():
            return base + exponent.translate(SUPERSCRIPTS)
        return f"{base}^{exponent}" if re.fullmatch(r"\w+", exponent) else f"{base}^({exponent})"

    def root(self, piece: Piece, index: int = 2) -> str:
        bare = piece.level == Level.ATOM and not piece.negative and piece.rank <= Rank.SYMBOL
        return f"√{piece.text}" if bare else f"√({piece.full})"

    def fraction(self, over: Piece, under: Piece, script: bool) -> Piece:
        above = over.text if over.level >= Level.PRODUCT else self.parens(over)
        below = under.text if under.level > Level.PRODUCT else self.parens(under)
        text = f"{above}/{below}"
        return Piece(text, Level.PRODUCT, max(over.rank, under.rank))

    def juxtapose(self, factors: Sequence[Piece]) -> str:
        return "·".join(factor.text for factor in factors)

    def argument_scripts(self, op: Operation, args: Sequence[int], weight: Any) -> tuple[bool, ...]:
        return (False,) * len(args)

    def apply(self, op: Operation, args: Sequence[Piece], omitted: int) -> Piece:
        texts = [arg.full for arg in args]
        if op.result == MASK:
            return self._mask(op, args, omitted)
        if omitted:
            texts.insert(-1, self.omitted(omitted, "arguments"))
        if op.name in AROUND:
            left, right = AROUND[op.name]
            text = f"{left}{texts[0]}{right}"
        else:
            text = f"{SHORT_NAMES.get(op.name, op.name)}({', '.join(texts)})"
        return Piece(text, rank=Rank.POWER if op in (ops.exp, ops.exp2) else Rank.FUNCTION)

    def _mask(self, op: Operation, args: Sequence[Piece], omitted: int) -> Piece:
        if op is ops.logical_not:
            return Piece("¬" + (args[0].full if args[0].level == Level.ATOM else self.parens(args[0])), Level.RELATION)
        needed = Level.RELATION if op.operands[0] == MASK else Level.SUM
        texts = [arg.full if arg.full_level >= needed else self.parens(arg) for arg in args]
        if omitted:
            texts.insert(-1, self.omitted(omitted, "conditions"))
        text = f" {BETWEEN[op.name]} ".join(texts) if op.name in BETWEEN else f"{op.name}({', '.join(texts)})"
        return Piece(text, mask_level(op))

    def cases(self, rows: Sequence[tuple[Piece, Piece]], otherwise: Piece, omitted: int) -> str:
        texts = []
        for value, condition in rows:
            branch = value.full if value.full_level > Level.LOOSE else self.parens(value)
            texts.append(f"{branch} if {condition.full}")
        if omitted:
            texts.insert(-1, self.omitted(omitted, "cases"))
        return " else ".join([*texts, otherwise.full])

    def over_index(self, term: Piece, index: str, first: str, last: str) -> Piece:
        inside = term.full if term.full_level >= Level.PRODUCT else self.parens(term)
        return Piece(f"Σ[{index} = {first}, …, {last}] {inside}", Level.INFIX, Rank.GROUP)

    def omitted(self, count: int, what: str) -> str:
        return f"… ({count:,} more {what}) …"

    def elided(self) -> str:
        return "…"

    def length(self, text: str) -> int:
        return len(text)


def integer(value: int) -> str:
    digits = int(value.bit_length() * math.log10(2)) + 1
    if digits <= LONGEST_INTEGER:
        return str(value)
    leading = str(value // 10 ** (digits - 12))
    return f"{leading[0]}.{leading[1:10]}…e{digits - 12 + len(leading) - 1}"


def text(function: Printable, *, where: bool | str = "auto", limit: Limit | None = TEXT_LIMIT) -> str:
    """The function in plain Unicode, one line per output, then a line per named part.

    Derivatives are named ∂f/∂x; their structural zeros are counted, not written. Names are as in Python, so elements
    are counted from 0, and Greek letters are letters. `where` and `limit` are those of `hybrid.printing.latex.latex`.
    """
    limit = limit or UNLIMITED
    zero = {node for node in set(function.nodes) if is_zero(function.graph, node)}
    outputs = [i for i, node in enumerate(function.nodes) if node not in zero]
    shown = outputs[: limit.definitions]
    layout = Layout(function.graph, [function.nodes[i] for i in shown], where, limit)
    names = TextNames([argument.name for argument in function.arguments], [ancestry(function)[-1].name])
    typesetter = Typesetter(layout, PlainText(names))
    lines = [
        f"{left_side(function, unravel(i, function.shape), names)} = {typesetter.entry(function.nodes[i]).full}"
        for i in shown
    ]
    lines += definitions(layout, typesetter, names, limit)
    lines += notes(function, len(outputs), len(shown), layout)
    return "\n".join(lines)


def left_side(function: Printable, index: tuple[int, ...], names: TextNames) -> str:
    base, index, variables = derivatives_of_entry(function, index)
    place = f"[{', '.join(map(str, index))}]" if index else ""
    steps = len(ancestry(base)) - 1
    if steps or not variables:
        return f"{base.name}({names.arguments([argument.name for argument in base.arguments])}){place}"
    order = str(len(variables)).translate(SUPERSCRIPTS) if len(variables) > 1 else ""
    counted = {variable: variables.count(variable) for variable in variables}
    below = "".join(
        f"∂{names.variable(variable)}{str(n).translate(SUPERSCRIPTS) if n > 1 else ''}"
        for variable, n in counted.items()
    )
    return f"∂{order}{base.name}{place}/{below}"


def definitions(layout: Layout, typesetter: Typesetter, names: TextNames, limit: Limit) -> list[str]:
    lines = []
    before = 0
    for number, node in layout.definitions(limit.definitions):
        if number > before + 1:
            lines.append(f"      ⋮  ({number - before - 1:,} more)")
        before = number
        start = "where " if number == 1 else "      "
        lines.append(f"{start}{names.temporary(number)} = {typesetter.body(node).full}")
    return lines


def notes(function: Printable, outputs: int, shown: int, layout: Layout) -> list[str]:
    lines = []
    zeros = len(function.nodes) - outputs
    if shown < outputs:
        lines.append(f"… {outputs - shown:,} more outputs")
    if zeros:
        lines.append(f"{zeros:,} {'output is' if zeros == 1 else 'outputs are'} 0")
    if layout.elided:
        lines.append(f"({layout.operations:,} operations in all)")
    return lines
