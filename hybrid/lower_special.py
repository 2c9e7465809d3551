"""The rows that `special_formulas` gives, lowered: their formulas run on instructions instead of numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hybrid import operations as ops
from hybrid import special_formulas as formulas
from hybrid.special_values import whole_order

Emit = Callable[..., int]

FORMULAS: dict[ops.Operation, Callable[..., Any]] = {
    ops.sech: formulas.sech,
    ops.over_hypot: formulas.over_hypot,
    ops.expit: formulas.expit,
    ops.expit_slope: formulas.expit_slope,
    ops.softplus: formulas.softplus,
    ops.logit: formulas.logit,
    ops.logaddexp: formulas.logaddexp,
    ops.xlogy: formulas.xlogy,
    ops.ndtr: formulas.ndtr,
    ops.log_ndtr: formulas.log_ndtr,
    ops.erfcx: formulas.erfcx,
    ops.erfinv: formulas.erfinv,
    ops.lambertw: formulas.lambertw,
    ops.beta: formulas.beta,
    ops.betaln: formulas.betaln,
    ops.sinc: formulas.sinc,
}
ORDERED: dict[ops.Operation, Callable[..., Any]] = {
    ops.erfc_ratio: formulas.erfc_ratio,
    ops.jv: formulas.jv,
    ops.iv: formulas.iv,
    ops.spherical_jn: formulas.spherical_jn,
}


class Value:
    """A value of the program being written; an operator appends one instruction."""

    __slots__ = ("emit", "number")

    def __init__(self, emit: Emit, number: int) -> None:
        self.emit = emit
        self.number = number

    def apply(self, name: str, *operands: Any) -> Value:
        numbers = (part.number if isinstance(part, Value) else self.emit("const", float(part)) for part in operands)
        return Value(self.emit, self.emit(name, *numbers))

    def __add__(self, other: Any) -> Value:
        return self.apply("add", self, other)

    def __radd__(self, other: Any) -> Value:
        return self.apply("add", other, self)

    def __sub__(self, other: Any) -> Value:
        return self.apply("sub", self, other)

    def __rsub__(self, other: Any) -> Value:
        return self.apply("sub", other, self)

    def __mul__(self, other: Any) -> Value:
        return self.apply("mul", self, other)

    def __rmul__(self, other: Any) -> Value:
        return self.apply("mul", other, self)

    def __truediv__(self, other: Any) -> Value:
        return self.apply("div", self, other)

    def __rtruediv__(self, other: Any) -> Value:
        return self.apply("div", other, self)

    def __neg__(self) -> Value:
        return self.apply("neg", self)

    def __lt__(self, other: Any) -> Value:
        return self.apply("lt", self, other)

    def __gt__(self, other: Any) -> Value:
        return self.apply("gt", self, other)

    def __ge__(self, other: Any) -> Value:
        return self.apply("ge", self, other)

    def __and__(self, other: Value) -> Value:
        return self.apply("and", self, other)

    def __or__(self, other: Value) -> Value:
        return self.apply("or", self, other)


class InstructionVocabulary:
    """The elementary functions of `special_formulas.Vocabulary` as instructions."""

    def __getattr__(self, name: str) -> Callable[..., Value]:
        instruction = {"equal": "eq"}.get(name, name)

        def apply(*operands: Any) -> Value:
            first = next(operand for operand in operands if isinstance(operand, Value))
            return first.apply(instruction, *operands)

        return apply


INSTRUCTIONS = InstructionVocabulary()


def write(emit: Emit, op: ops.Operation, operands: list[int], order: Any = None) -> int:
    """Append the formula of a row; `order` is the constant first argument of the rows in ORDERED."""
    values = [Value(emit, operand) for operand in operands]
    if op in ORDERED:
        result: Value = ORDERED[op](INSTRUCTIONS, whole_order(op.name, order), *values)
    else:
        result = FORMULAS[op](INSTRUCTIONS, *values)
    return result.number
