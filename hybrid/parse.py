"""Expressions given as text, such as "exp(-x**2) * q[0]", read by a parser of our own; nothing is ever evaluated.

    text → Python's syntax tree (`ast.parse` runs nothing)
         → steps in postfix order, from a short list of allowed kinds of syntax; anything else is refused by name
         → a Python function that carries the steps out on arrays, traced like any other (trace.py)

Allowed: numbers, names, + - * / % ** @, comparisons, and/or/not, `a if c else b`, indexing with whole numbers and
slices, calls of the elementwise functions, `sum` and `dot`, and lists for several outputs.
"""

from __future__ import annotations

import ast
import difflib
import functools
import inspect
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, NoReturn

import numpy as np

from hybrid import elementwise, trace
from hybrid.definition import Definition, PythonSource
from hybrid.errors import ArgumentError, HybridError, UnsupportedError
from hybrid.operations import NAMED_CONSTANTS, OPERATIONS, REAL, NamedConstant
from hybrid.symbolic_array import SymbolicArray, full

Shape = tuple[int, ...]

LONGEST = 100_000  # characters of text
LARGEST_FOLDED = 1024  # bits of an exact constant; beyond, a power is left to the kernel, which rounds it to infinity

OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.Mod: operator.mod,
    ast.MatMult: operator.matmul,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.And: np.logical_and,
    ast.Or: np.logical_or,
    ast.Not: np.logical_not,
}
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
    for name, pair, many in (("minimum", np.minimum, np.min), ("maximum", np.maximum, np.max)):
        calls[name] = Call(functools.partial(extreme, pair, many), 1, None)
    calls |= {alias: calls[name] for alias, name in ALIASES.items()}
    return calls | {"where": Call(np.where, 3, 3), "sum": Call(np.sum, 1, 1), "dot": Call(np.dot, 2, 2)}


def stack(*parts: Any) -> Any:
    """A list: its items, all of one shape, along a new first axis."""
    shapes = {np.shape(part) for part in parts}
    if len(shapes) > 1:
        raise ArgumentError(f"the items of a list have the shapes {', '.join(map(str, sorted(shapes)))}; they need one")
    return np.stack(parts)


def fold_left(function: Callable[..., Any], *values: Any) -> Any:
    return functools.reduce(function, values)


def extreme(pair: Callable[..., Any], many: Callable[..., Any], *values: Any) -> Any:
    """The minimum or maximum, element by element; of more than two all that are equal share its derivative."""
    return fold_left(pair, *values) if len(values) < 3 else many(np.stack(np.broadcast_arrays(*values)), axis=0)


FUNCTIONS = functions()
RESERVED = frozenset(FUNCTIONS) | frozenset(CONSTANTS)


# --- steps ------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Number:
    value: int | float | NamedConstant


@dataclass(frozen=True)
class Name:
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


Step = Number | Name | Indexed | Apply


@dataclass(frozen=True)
class Parsed:
    """A text as steps in postfix order, its names in order of appearance, and the shapes its indices show."""

    text: str
    steps: tuple[Step, ...]
    names: tuple[str, ...]
    shapes: Mapping[str, Shape] = field(default_factory=dict)

    def __call__(self, *args: Any, **named: Any) -> Any:
        """Carry the steps out on arrays, tensors or symbolic arrays, one per name."""
        values = dict(zip(self.names, args, strict=False)) | named
        symbolic = next((value for value in values.values() if isinstance(value, SymbolicArray)), None)
        stack: list[Any] = []
        for step in self.steps:
            if isinstance(step, Number):
                stack.append(step.value)
            elif isinstance(step, Name):
                stack.append(values[step.name])
            elif isinstance(step, Indexed):
                stack.append(values[step.name][step.place])
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
    if not all(isinstance(operand, int | Fraction) for operand in operands):
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
    if not isinstance(value, int | float | Fraction | NamedConstant):
        return value
    if symbolic is not None:
        return full(symbolic.graph, (), value)
    if isinstance(value, NamedConstant):
        return value.value
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


# --- text → steps -----------------------------------------------------------------------------------------------------
def define(text: str, shapes: Mapping[str, Shape] | None = None, name: str = "f") -> Definition:
    """A function definition from the text of an expression, or of a list of them.

    shapes: argument shapes by name, in order; names that are only indexed with whole numbers get the smallest shape
        that holds the indices, all others are scalars. Arguments come in the order of `shapes`, then of appearance.

    Raises ArgumentError for text that is no expression (with the place), for a shape without a name in the text and
    where there is no name at all; UnsupportedError for syntax and functions outside the list, by name.
    """
    given = dict(shapes or {})
    parsed = parse(text, given)
    missing = [argument for argument in given if argument not in parsed.names]
    if missing:
        raise ArgumentError(f"{text!r} has no name {missing[0]!r} to give a shape to; it has {', '.join(parsed.names)}")
    if not parsed.names:
        raise ArgumentError(f"{text!r} names no variable; an expression such as 'sin(x)' is a function of its names")
    order = [*given, *(argument for argument in parsed.names if argument not in given)]
    function = replace(parsed, names=tuple(order))
    sizes = {argument: given.get(argument, parsed.shapes.get(argument, ())) for argument in order}
    try:
        return replace(trace.define(with_signature(function), sizes, name), source=PythonSource(function))
    except HybridError:
        raise
    except (ValueError, IndexError, TypeError) as error:  # shapes that do not fit, in NumPy's words
        raise ArgumentError(f"{text!r} cannot be computed: {error}") from error


def with_signature(parsed: Parsed) -> Callable[..., Any]:
    def call(**named: Any) -> Any:
        return parsed(**named)

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    call.__signature__ = inspect.Signature([inspect.Parameter(name, kind) for name in parsed.names])  # type: ignore[attr-defined]  # the documented way to state a signature
    return call


def parse(text: str, shapes: Mapping[str, Shape] | None = None) -> Parsed:
    """The steps of a text; see `define` for the errors."""
    if len(text) > LONGEST:
        raise ArgumentError(
            f"the expression has {len(text):,} characters, at most {LONGEST:,} are read; write a Python file"
        )
    text = text.strip()
    try:
        tree = ast.parse(text, mode="eval")
    except SyntaxError as error:
        place = " " * (error.offset or 1) + " ^"
        raise ArgumentError(f"this is no expression: {error.msg}\n  {text}\n{place}") from None
    except (RecursionError, MemoryError, ValueError) as error:
        raise ArgumentError(f"the expression cannot be read ({error}); write a function in a Python file") from None
    return Parser(text, dict(shapes or {})).parse(tree.body)


@dataclass
class Parser:
    """One text being read: `bare` and `extent` tell how each name is used."""

    text: str
    given: Mapping[str, Shape]
    names: dict[str, None] = field(default_factory=dict)
    bare: set[str] = field(default_factory=set)
    extent: dict[str, Shape] = field(default_factory=dict)

    def parse(self, tree: ast.expr) -> Parsed:
        steps: list[Step] = []
        todo: list[ast.expr | Step] = [tree]
        while todo:
            item = todo.pop()
            if isinstance(item, Number | Name | Indexed | Apply):
                steps.append(item)
                continue
            children, step = self.plan(item)
            todo.append(step)
            todo.extend(reversed(children))
        for name in self.extent:
            if name in self.bare and name not in self.given:
                raise ArgumentError(f"{name} is used both whole and with an index; give its shape, such as {name}=3")
        return Parsed(self.text, tuple(steps), tuple(self.names), dict(self.extent))

    def plan(self, node: ast.expr) -> tuple[Sequence[ast.expr], Step]:
        """The parts of a piece of syntax, and the step that puts them together."""
        match node:
            case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
                return (), Number(value)
            case ast.Name(id=name):
                return (), self.name(name)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
                return (left, right), Apply(OPERATORS[type(op)], 2)
            case ast.UnaryOp(op=op, operand=operand) if type(op) in OPERATORS:
                return (operand,), Apply(OPERATORS[type(op)], 1)
            case ast.BoolOp(op=op, values=values):
                return values, Apply(functools.partial(fold_left, OPERATORS[type(op)]), len(values))
            case ast.Compare(left=left, ops=signs, comparators=others) if all(
                type(sign) in OPERATORS for sign in signs
            ):
                return (left, *others), Apply(comparison([OPERATORS[type(sign)] for sign in signs]), len(others) + 1)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return (test, body, orelse), Apply(np.where, 3)
            case ast.List(elts=items) | ast.Tuple(elts=items) if items:
                return items, Apply(stack, len(items))
            case ast.Subscript(value=value, slice=index):
                return self.subscript(value, index)
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
                return arguments, self.call(name, arguments)
        return self.refuse(node)

    def name(self, name: str) -> Step:
        if name in CONSTANTS and name not in self.given:
            return Number(CONSTANTS[name])
        if name in FUNCTIONS and name not in self.given:
            raise ArgumentError(f"{name} is a function: write {name}(…)")
        self.names.setdefault(name)
        self.bare.add(name)
        return Name(name)

    def call(self, name: str, arguments: Sequence[ast.expr]) -> Step:
        if name not in FUNCTIONS:
            close = difflib.get_close_matches(name, FUNCTIONS, 1)
            hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(sorted(FUNCTIONS))}"
            raise UnsupportedError(f"there is no function {name!r} here; {hint}")
        function, count = FUNCTIONS[name], len(arguments)
        if count < function.least or (function.most is not None and count > function.most):
            wanted = f"{function.least}" if function.most == function.least else f"at least {function.least}"
            raise ArgumentError(f"{name} takes {wanted} argument{'s' * (wanted != '1')}, got {count}")
        return Apply(function.apply, count)

    def subscript(self, value: ast.expr, index: ast.expr) -> tuple[Sequence[ast.expr], Step]:
        place = read_index(index)
        step = Apply(lambda array: array[place], 1)
        if not isinstance(value, ast.Name) or value.id in self.given or value.id in FUNCTIONS:
            return (value,), step
        places = place if isinstance(place, tuple) else (place,)
        if not all(isinstance(i, int) and i >= 0 for i in places):
            raise ArgumentError(f"the indices of {value.id} do not show its shape; give it, such as {value.id}=3")
        known = self.extent.get(value.id, (0,) * len(places))
        if len(known) != len(places):
            raise ArgumentError(f"{value.id} is used with {len(known)} and with {len(places)} indices; give its shape")
        self.extent[value.id] = tuple(max(length, i + 1) for length, i in zip(known, places, strict=True))
        self.names.setdefault(value.id)
        return (), Indexed(value.id, place)

    def refuse(self, node: ast.AST) -> NoReturn:
        source = ast.get_source_segment(self.text, node) or type(node).__name__
        shown = source if len(source) <= 40 else f"{source[:40]} …"
        kind: ast.AST = getattr(node, "op", node)
        allowed = "numbers, names, + - * / % ** @, comparisons, if-else, indexing and calls are read"
        raise UnsupportedError(f"{shown!r} is not read here: {HINTS.get(type(kind), allowed)}")


HINTS: dict[type[ast.AST], str] = {
    ast.BitXor: "a power is written x**2",
    ast.BitAnd: "write (a < b) and (c < d)",
    ast.BitOr: "write (a < b) or (c < d)",
    ast.FloorDiv: "write floor(x / y)",
    ast.Constant: "only real numbers are read",
    ast.Call: "only calls of known functions by name, without keywords, are read",
    ast.Attribute: "names have no attributes here; write sin(x), not np.sin(x)",
}


def comparison(signs: Sequence[Callable[..., Any]]) -> Callable[..., Any]:
    """a < b < c as (a < b) and (b < c)."""

    def compare(*values: Any) -> Any:
        pairs = [sign(x, y) for sign, x, y in zip(signs, values, values[1:], strict=False)]
        return fold_left(np.logical_and, *pairs)

    return compare


def read_index(node: ast.expr) -> Any:
    """A whole number, a slice of whole numbers, or several of them."""
    match node:
        case ast.Tuple(elts=items):
            return tuple(read_index(item) for item in items)
        case ast.Slice(lower=lower, upper=upper, step=step):
            return slice(*(None if part is None else read_index(part) for part in (lower, upper, step)))
        case ast.Constant(value=int() as value) if not isinstance(value, bool):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() as value)) if not isinstance(value, bool):
            return -value
    raise UnsupportedError("an index is no whole number; write q[0], q[1, 2] or q[:3]")
