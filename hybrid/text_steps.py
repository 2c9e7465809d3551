"""A text as steps in postfix order, and carrying them out on arrays, tensors or symbolic arrays."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from hybrid import elementwise
from hybrid.errors import ArgumentError
from hybrid.operations import NAMED_CONSTANTS, OPERATIONS, REAL, NamedConstant
from hybrid.symbolic_array import SymbolicArray, full

Shape = tuple[int, ...]

LARGEST_FOLDED = 1024  # bits of an exact constant; beyond, a power is left to the kernel, which rounds it to infinity

EXACT: tuple[Callable[..., Any], ...] = (
    operator.add,
    operator.sub,
    operator.mul,
    operator.truediv,
    operator.neg,
    operator.pos,
)
WRITTEN = ("sub", "div", "neg", "select")  # rows that are written with operators, or as `where`
CONSTANTS: dict[str, NamedConstant] = {constant.name: constant for constant in NAMED_CONSTANTS}
# Other names of rows: NumPy's, and those that SymPy prints.
ALIASES = {
    "ln": "log",
    "arcsin": "asin",
    "arccos": "acos",
    "arctan": "atan",
    "arctan2": "atan2",
    "arcsinh": "asinh",
    "arccosh": "acosh",
    "arctanh": "atanh",
    "ceiling": "ceil",
    "min": "minimum",
    "max": "maximum",
    "Abs": "abs",
    "Min": "minimum",
    "Max": "maximum",
    "Mod": "mod",
    "Heaviside": "heaviside",
    "LambertW": "lambertw",
    "besselj": "jv",
    "besseli": "iv",
}


@dataclass(frozen=True)
class Call:
    """A function and how many arguments it takes; at most `most` (None: any number)."""

    apply: Callable[..., Any]
    least: int
    most: int | None


def functions() -> dict[str, Call]:
    """The functions a text may call: the rows of the table under their names and aliases, `where`, `sum` and `dot`."""
    calls = {
        name: Call(getattr(elementwise, name, row.numpy), row.arity, row.arity)
        for name, row in OPERATIONS.items()
        if row.arity and row.result == REAL and name not in WRITTEN
    }
    calls["heaviside"] = Call(elementwise.heaviside, 1, 2)
    for name, fold in (("minimum", np.minimum), ("maximum", np.maximum)):
        calls[name] = Call(functools.partial(fold_left, fold), 1, None)
    calls |= {alias: calls[name] for alias, name in ALIASES.items()}
    return calls | {"where": Call(np.where, 3, 3), "sum": Call(np.sum, 1, 1), "dot": Call(np.dot, 2, 2)}


def stack(*parts: Any) -> Any:
    """A list: its items, all of one shape, along a new first axis."""
    shapes = {np.shape(part) for part in parts}
    if len(shapes) > 1:
        raise ArgumentError(f"the items of a list have the shapes {', '.join(map(str, sorted(shapes)))}; they need one")
    return np.stack(parts)


def pieces(*flat: Any) -> Any:
    """Values and conditions by turns: the first value whose condition holds, else NaN."""
    result: Any = float("nan")
    for value, condition in reversed(list(zip(flat[::2], flat[1::2], strict=True))):
        result = np.where(condition, value, result)
    return result


def fold_left(function: Callable[..., Any], *values: Any) -> Any:
    return functools.reduce(function, values)


FUNCTIONS = functions()
RESERVED = frozenset(FUNCTIONS) | frozenset(CONSTANTS) | {"Piecewise"}


# --- steps ------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Number:
    value: int | float | bool | NamedConstant


@dataclass(frozen=True)
class Name:
    """An argument, or what an assignment before gave a name to."""

    name: str


@dataclass(frozen=True)
class Apply:
    """Take `count` values from the stack, put one back."""

    apply: Callable[..., Any]
    count: int


@dataclass(frozen=True)
class Indexed:
    """An element or part of an argument."""

    name: str
    place: Any


@dataclass(frozen=True)
class Store:
    """Take a value from the stack and give it a name."""

    name: str


Step = Number | Name | Indexed | Apply | Store


@dataclass(frozen=True)
class Parsed:
    """A text as steps in postfix order, its arguments in order, and the shapes that its indices show."""

    text: str
    steps: tuple[Step, ...]
    names: tuple[str, ...]
    shapes: Mapping[str, Shape] = field(default_factory=dict)

    def __call__(self, *args: Any) -> Any:
        """Carry the steps out on arrays, tensors or symbolic arrays, one per name."""
        values = dict(zip(self.names, args, strict=True))
        symbolic = next((value for value in args if isinstance(value, SymbolicArray)), None)
        stack: list[Any] = []
        for step in self.steps:
            if isinstance(step, Number):
                stack.append(step.value)
            elif isinstance(step, Name):
                stack.append(values[step.name])
            elif isinstance(step, Indexed):
                stack.append(values[step.name][step.place])
            elif isinstance(step, Store):
                values[step.name] = stack.pop()
            else:
                operands = stack[-step.count :]
                del stack[-step.count :]
                stack.append(carry_out(step.apply, operands, symbolic))
        return number(stack[0], symbolic)


def carry_out(apply: Callable[..., Any], operands: Sequence[Any], symbolic: SymbolicArray | None) -> Any:
    folded = fold(apply, operands)
    return apply(*(number(operand, symbolic) for operand in operands)) if folded is None else folded


def fold(apply: Callable[..., Any], operands: Sequence[Any]) -> Fraction | int | None:
    """Arithmetic of whole numbers, exactly; None for anything else, and where the result would be huge."""
    if not all(isinstance(operand, int | Fraction) and not isinstance(operand, bool) for operand in operands):
        return None
    exact = [Fraction(operand) for operand in operands]
    if apply is operator.pow:
        base, exponent = exact
        size = max(base.numerator.bit_length(), base.denominator.bit_length())
        if exponent.denominator != 1 or not base or abs(exponent) * size > LARGEST_FOLDED:
            return None
        return whole(base ** int(exponent))
    if apply not in EXACT or (apply is operator.truediv and not exact[1]):
        return None
    result = Fraction(apply(*exact))
    return (
        whole(result) if max(result.numerator.bit_length(), result.denominator.bit_length()) <= LARGEST_FOLDED else None
    )


def whole(value: Fraction) -> Fraction | int:
    return int(value) if value.denominator == 1 else value


def number(value: Any, symbolic: SymbolicArray | None) -> Any:
    """A constant as an operand: exact on a graph, rounded to float64 elsewhere. Arrays stay as they are."""
    if not isinstance(value, int | float | Fraction | NamedConstant) or isinstance(value, bool):
        return value
    if symbolic is not None:
        return full(symbolic.graph, (), value)
    if isinstance(value, NamedConstant):
        return value.value
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")
