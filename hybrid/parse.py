"""Expressions given as text, such as "exp(-x**2) * q[0]", read by a parser of our own; nothing is ever evaluated.

    text → Python's syntax tree (`ast.parse` runs nothing)
         → steps in postfix order, from a short list of allowed kinds of syntax; anything else is refused by name
         → a Python function that carries the steps out on arrays (text_steps.py), traced like any other (trace.py)

Allowed: numbers, names, + - * / % ** @, comparisons, and/or/not, `a if c else b`, `Piecewise((a, c), (b, True))`,
indexing with whole numbers and slices, calls of the elementwise functions, `sum` and `dot`, lists for several outputs,
and before the expression assignments, `r = hypot(x, y); r*exp(-r)`, one on a line or with semicolons between.
"""

from __future__ import annotations

import ast
import difflib
import functools
import keyword
import operator
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf, prod
from typing import Any, NoReturn

import numpy as np

from hybrid import trace
from hybrid.definition import Definition, PythonSource
from hybrid.errors import ArgumentError, HybridError, UnsupportedError
from hybrid.graph import Graph
from hybrid.text_steps import (
    ALIASES,
    CONSTANTS,
    FUNCTIONS,
    RESERVED,
    Apply,
    Call,
    Indexed,
    Name,
    Number,
    Parsed,
    Shape,
    Step,
    Store,
    fold_left,
    pieces,
    stack,
)

__all__ = ["ALIASES", "CONSTANTS", "FUNCTIONS", "LONGEST", "RESERVED", "Call", "Parsed", "define", "parse"]

LONGEST = 100_000  # characters of text
LARGEST_NUMBER = 4096  # bits of a whole number
LARGEST_ARGUMENT = 1_000_000  # elements of an argument whose shape is given
LARGEST_SHOWN = 100_000  # elements of an argument whose shape its indices show
WIDTH = 100  # characters of a line that an error shows

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
# What SymPy prints for `and`, `or` and `not`; of comparisons only, since they bind more tightly than these.
LOGICAL: dict[type[ast.AST], Callable[..., Any]] = {
    ast.BitAnd: np.logical_and,
    ast.BitOr: np.logical_or,
    ast.Invert: np.logical_not,
}
# Python's words that may be names here, such as lambda: for Python's parser their first letter is another one.
WORDS = frozenset(keyword.kwlist) - {"and", "or", "not", "if", "else", "True", "False", "None", "is", "in", "for"}
DISGUISE = "\N{LATIN LETTER RETROFLEX CLICK}"
WORD = re.compile(r"(?<![\w.])(" + "|".join(sorted(WORDS)) + r")\b(?!\s*:|\s+\w)")


# --- text → function --------------------------------------------------------------------------------------------------
def define(text: str, shapes: Mapping[str, Shape] | None = None, name: str = "f") -> Definition:
    """A function definition from the text of an expression, or of a list of them.

    shapes: argument shapes by name, in order; names that are only indexed with whole numbers get the smallest shape
        that holds the indices, all others are scalars. Arguments come in the order of `shapes`, then of appearance.

    Raises ArgumentError for text that is no expression, for a shape without a name in the text and where there is no
    name at all; UnsupportedError for syntax and functions outside the list, by name. Errors show the place.
    """
    given = dict(shapes or {})
    parsed = parse(text, given)
    missing = [argument for argument in given if argument not in parsed.names]
    if missing:
        close = difflib.get_close_matches(missing[0], parsed.names, 1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise ArgumentError(
            f"{shorten(text)!r} has no name {missing[0]!r} to give a shape to; it has {', '.join(parsed.names)}{hint}"
        )
    if not parsed.names:
        raise ArgumentError(
            f"{shorten(text)!r} names no variable; an expression such as 'sin(x)' is a function of its names"
        )
    order = (*given, *(argument for argument in parsed.names if argument not in given))
    function = replace(parsed, names=order)
    sizes = {argument: given.get(argument, parsed.shapes.get(argument, ())) for argument in order}
    graph = Graph()
    arguments = tuple(trace.make_argument(graph, argument, tuple(size)) for argument, size in sizes.items())
    try:
        result = function(*(trace.argument_array(graph, argument) for argument in arguments))
        output = trace.read_result(graph, result, name)
    except HybridError:
        raise
    except (ValueError, IndexError, TypeError, OverflowError) as error:  # shapes that do not fit, in NumPy's words
        raise ArgumentError(f"{shorten(text)!r} cannot be computed: {error}") from error
    nodes = tuple(output.nodes.reshape(-1).tolist())
    return Definition(graph, arguments, nodes, output.shape, PythonSource(Text(text, given, function)), name)


@dataclass(frozen=True)
class Text:
    """The function of a text; it is pickled as the text."""

    text: str
    given: Mapping[str, Shape]
    parsed: Parsed

    def __call__(self, *args: Any) -> Any:
        return self.parsed(*args)

    def __reduce__(self) -> tuple[Any, ...]:
        return text_again, (self.text, dict(self.given), self.parsed.names)


def text_again(text: str, given: Mapping[str, Shape], names: tuple[str, ...]) -> Text:
    return Text(text, given, replace(parse(text, given), names=names))


def parse(text: str, shapes: Mapping[str, Shape] | None = None) -> Parsed:
    """The steps of a text; see `define` for the errors."""
    if len(text) > LONGEST:
        raise ArgumentError(
            f"the expression has {len(text):,} characters, at most {LONGEST:,} are read; write a Python file"
        )
    for name, shape in (shapes or {}).items():
        if prod(shape) > LARGEST_ARGUMENT:
            raise ArgumentError(f"{name} has {prod(shape):,} elements; at most {LARGEST_ARGUMENT:,} are read here")
    text = "\n".join(line.strip() for line in text.strip().splitlines()) if "\n" in text else text.strip()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Python about its own syntax, such as 2if
            tree = ast.parse(disguised(text))
    except SyntaxError as error:
        raise ArgumentError(unreadable(text, error)) from None
    except (RecursionError, MemoryError, ValueError) as error:
        raise ArgumentError(f"the expression cannot be read ({error}); write a function in a Python file") from None
    return Parser(text, dict(shapes or {})).parse(tree.body)


# --- where something is wrong -----------------------------------------------------------------------------------------
def shorten(text: str) -> str:
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 2]} …"


def pointed(text: str, message: str, line: int, start: int, end: int) -> str:
    """A message with the line of the text it is about, and a mark under the characters from `start` to `end`."""
    lines = text.splitlines() or [""]
    shown = lines[min(line, len(lines)) - 1]
    if not shown.strip():
        return message
    start = min(start, len(shown))
    first = max(0, min(start - WIDTH // 2, len(shown) - WIDTH))
    head, tail = "… " if first else "", " …" if first + WIDTH < len(shown) else ""
    marks = "^" * max(1, min(end, first + WIDTH) - start)
    # A tab or a wide character under which the mark is to stand is as wide in the line of the mark.
    before = "".join("\t" if character == "\t" else " " for character in head + shown[first:start])
    return f"{message}\n  {head}{shown[first : first + WIDTH]}{tail}\n  {before}{marks}"


def unreadable(text: str, error: SyntaxError) -> str:
    """What is wrong with a text that Python's parser refuses."""
    line, start = error.lineno or 1, (error.offset or 1) - 1
    shown = (text.splitlines() or [""])[min(line, len(text.splitlines()) or 1) - 1]
    around = shown[max(0, start - 20) : start + 20]
    reason = error.msg.partition(". Perhaps")[0]
    hint = ""
    if re.search(r"\d[^\W\d]", around) and "decimal" in error.msg:
        hint = "; a product is written 2*x"
    elif re.search(r"\w\s+\w", around) and not re.search(r"\b(if|else|and|or|not|is|in)\b", around):
        hint = "; a product is written x*y, a call sin(x)"
    elif error.msg.startswith("Exceeds the limit"):
        reason = "a number has too many digits"
    elif "assign" in error.msg or "'='" in error.msg:
        hint = "; equality is written =="
    end = error.end_offset - 1 if error.end_offset and error.end_lineno == line else start + 1
    return pointed(text, f"this is no expression: {reason}{hint}", line, start, max(end, start + 1))


HINTS: dict[type[ast.AST], str] = {
    ast.BitXor: "a power is written x**2",
    ast.BitAnd: "write (a < b) and (c < d)",
    ast.BitOr: "write (a < b) or (c < d)",
    ast.FloorDiv: "write floor(x / y)",
    ast.Constant: "only real numbers are read",
    ast.Call: "only calls of known functions by name, without keywords, are read",
    ast.Attribute: "names have no attributes here; write sin(x), not np.sin(x)",
    ast.Import: "nothing is imported; functions such as sin are known already",
    ast.ImportFrom: "nothing is imported; functions such as sin are known already",
    ast.AugAssign: "write a = a + 1 under another name",
    ast.AnnAssign: "write a = x*y",
}


def is_condition(node: ast.expr) -> bool:
    match node:
        case ast.Compare() | ast.BoolOp() | ast.UnaryOp(op=ast.Not()):
            return True
        case ast.BinOp(left=left, op=ast.BitAnd() | ast.BitOr(), right=right):
            return is_condition(left) and is_condition(right)
        case ast.UnaryOp(op=ast.Invert(), operand=operand):
            return is_condition(operand)
    return False


# --- text → steps -----------------------------------------------------------------------------------------------------
@dataclass
class Parser:
    """One text being read: `bare` and `extent` tell how each name is used, `stored` what assignments have named."""

    text: str
    given: Mapping[str, Shape]
    names: dict[str, None] = field(default_factory=dict)
    bare: set[str] = field(default_factory=set)
    extent: dict[str, Shape] = field(default_factory=dict)
    stored: set[str] = field(default_factory=set)

    def parse(self, body: Sequence[ast.stmt]) -> Parsed:
        if not body:
            raise ArgumentError("this is no expression: there is nothing but space and comments")
        steps: list[Step] = []
        for statement in body[:-1]:
            match statement:
                case ast.Assign(targets=[ast.Name() as target], value=value):
                    steps += self.expression(value)
                    steps.append(Store(self.target(target)))
                case ast.Expr():
                    self.fail(
                        ArgumentError,
                        statement,
                        "this is no expression: only the last one is the function; write a list for several outputs",
                    )
                case _:
                    self.refuse(statement)
        match body[-1]:
            case ast.Expr(value=value):
                steps += self.expression(value)
            case ast.Assign():
                self.fail(
                    ArgumentError,
                    body[-1],
                    "this is no expression: after assignments comes the expression that is the function",
                )
            case _:
                self.refuse(body[-1])
        for name in self.extent:
            if name in self.bare and name not in self.given:
                raise ArgumentError(f"{name} is used both whole and with an index; give its shape, such as {name}=3")
        return Parsed(self.text, tuple(steps), tuple(self.names), dict(self.extent))

    def expression(self, tree: ast.expr) -> list[Step]:
        steps: list[Step] = []
        todo: list[ast.expr | Step] = [tree]
        while todo:
            item = todo.pop()
            if isinstance(item, Number | Name | Indexed | Apply | Store):
                steps.append(item)
                continue
            children, step = self.plan(item)
            todo.append(step)
            todo.extend(reversed(children))
        return steps

    def plan(self, node: ast.expr) -> tuple[Sequence[ast.expr], Step]:
        """The parts of a piece of syntax, and the step that puts them together."""
        match node:
            case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
                return (), self.number(node, value)
            case ast.Name():
                return (), self.name(node)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
                return (left, right), Apply(OPERATORS[type(op)], 2)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in LOGICAL and is_condition(node):
                return (left, right), Apply(LOGICAL[type(op)], 2)
            case ast.UnaryOp(op=op, operand=operand) if type(op) in OPERATORS:
                return (operand,), Apply(OPERATORS[type(op)], 1)
            case ast.UnaryOp(op=ast.Invert(), operand=operand) if is_condition(node):
                return (operand,), Apply(np.logical_not, 1)
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
            case ast.Subscript():
                return self.subscript(node)
            case ast.Call(func=ast.Name(id="Piecewise"), args=arguments, keywords=[]) if arguments:
                return self.piecewise(arguments)
            case ast.Call(func=ast.Name() as function, args=arguments, keywords=[]):
                return arguments, self.call(function, arguments)
        return self.refuse(node)

    def number(self, node: ast.expr, value: int | float) -> Step:
        if isinstance(value, int) and value.bit_length() > LARGEST_NUMBER:
            self.fail(ArgumentError, node, f"a whole number has at most {LARGEST_NUMBER} bits here")
        if value == inf:
            self.fail(ArgumentError, node, "this number is beyond float64, whose largest is 1.8e308")
        return Number(value)

    def name(self, node: ast.Name) -> Step:
        name = own(node.id)
        if name in self.stored:
            return Name(name)
        if name in CONSTANTS and name not in self.given:
            return Number(CONSTANTS[name])
        if name in RESERVED and name not in self.given:
            self.fail(ArgumentError, node, f"{name} is a function: write {name}(…)")
        self.names.setdefault(name)
        self.bare.add(name)
        return Name(name)

    def target(self, node: ast.Name) -> str:
        """The name of an assignment: none that is an argument or a constant, and none twice."""
        name = own(node.id)
        for known, what in (
            (self.names, "an argument already"),
            (self.stored, "named already"),
            (CONSTANTS, "a constant"),
        ):
            if name in known:
                self.fail(ArgumentError, node, f"{name} is {what}; give what is assigned another name")
        if name in self.given:
            self.fail(ArgumentError, node, f"{name} has a shape, so it is an argument; it cannot be assigned")
        self.stored.add(name)
        return name

    def call(self, node: ast.Name, arguments: Sequence[ast.expr]) -> Step:
        name = own(node.id)
        if name not in FUNCTIONS:
            close = difflib.get_close_matches(name, RESERVED - CONSTANTS.keys(), 1)
            hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(sorted(FUNCTIONS))}"
            if name in self.stored or name in self.names or len(name) == 1:
                hint = f"a product is written {name}*(…)"
            self.fail(UnsupportedError, node, f"there is no function {name!r} here; {hint}")
        function, count = FUNCTIONS[name], len(arguments)
        if count < function.least or (function.most is not None and count > function.most):
            wanted = f"{function.least}" if function.most == function.least else f"at least {function.least}"
            if function.most is not None and function.most != function.least:
                wanted = f"{function.least} to {function.most}"
            self.fail(ArgumentError, node, f"{name} takes {wanted} argument{'s' * (wanted != '1')}, got {count}")
        return Apply(function.apply, count)

    def piecewise(self, arguments: Sequence[ast.expr]) -> tuple[Sequence[ast.expr], Step]:
        parts: list[ast.expr] = []
        for piece in arguments:
            match piece:
                case ast.Tuple(elts=[value, ast.Constant(value=True)]):
                    zero = ast.copy_location(ast.Constant(0), piece)
                    parts += [value, ast.copy_location(ast.Compare(zero, [ast.Eq()], [zero]), piece)]
                case ast.Tuple(elts=[value, condition]) if is_condition(condition):
                    parts += [value, condition]
                case _:
                    self.fail(ArgumentError, piece, "write Piecewise((value, condition), …, (value, True))")
        return parts, Apply(pieces, len(parts))

    def subscript(self, node: ast.Subscript) -> tuple[Sequence[ast.expr], Step]:
        value, place = node.value, self.index(node.slice)
        step = Apply(functools.partial(element, place), 1)
        if not isinstance(value, ast.Name) or own(value.id) in (*self.given, *self.stored, *RESERVED):
            return (value,), step
        name = own(value.id)
        places = place if isinstance(place, tuple) else (place,)
        if not all(isinstance(i, int) and i >= 0 for i in places):
            self.fail(ArgumentError, node, f"the indices of {name} do not show its shape; give it, such as {name}=3")
        known = self.extent.get(name, (0,) * len(places))
        if len(known) != len(places):
            self.fail(
                ArgumentError, node, f"{name} is used with {len(known)} and with {len(places)} indices; give its shape"
            )
        self.extent[name] = tuple(max(length, i + 1) for length, i in zip(known, places, strict=True))
        if prod(self.extent[name]) > LARGEST_SHOWN:
            self.fail(
                ArgumentError,
                node,
                f"these indices show {prod(self.extent[name]):,} elements; give the shape of {name} if it has so many",
            )
        self.names.setdefault(name)
        return (), Indexed(name, place)

    def index(self, node: ast.expr) -> Any:
        """A whole number, a slice of whole numbers, or several of them."""
        match node:
            case ast.Tuple(elts=items):
                return tuple(self.index(item) for item in items)
            case ast.Slice(lower=lower, upper=upper, step=step):
                return slice(*(None if part is None else self.index(part) for part in (lower, upper, step)))
            case ast.Constant(value=int() as value) if not isinstance(value, bool):
                return value
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() as value)) if not isinstance(value, bool):
                return -value
        return self.fail(UnsupportedError, node, "an index is no whole number; write q[0], q[1, 2] or q[:3]")

    def refuse(self, node: ast.AST) -> NoReturn:
        source = ast.get_source_segment(self.text, node) or type(node).__name__
        shown = source if len(source) <= 40 else f"{source[:40]} …"
        kind: ast.AST = getattr(node, "op", node)
        allowed = "numbers, names, + - * / % ** @, comparisons, if-else, indexing and calls are read"
        self.fail(
            UnsupportedError,
            node,
            f"{shown!r} is not read here: {HINTS.get(type(node), HINTS.get(type(kind), allowed))}",
        )

    def fail(self, kind: type[HybridError], node: ast.AST, message: str) -> NoReturn:
        """Raise an error that shows where in the text a piece of syntax stands."""
        line = getattr(node, "lineno", 1)
        lines = self.text.splitlines()
        shown = lines[line - 1] if line <= len(lines) else ""
        # The tree counts bytes of UTF-8, in which disguised words are a byte longer.
        encoded = disguised(shown).encode()
        ends_here = getattr(node, "end_lineno", line) == line
        start, end = getattr(node, "col_offset", 0), getattr(node, "end_col_offset", 0) if ends_here else len(encoded)
        places = [len(encoded[:place].decode(errors="ignore")) for place in (start, end)]
        raise kind(pointed(self.text, message, line, *places))


def disguised(text: str) -> str:
    """The text with Python's words that are names here as names that Python reads."""
    return WORD.sub(lambda match: DISGUISE + match[0][1:], text)


def own(name: str) -> str:
    """A name as the text has it."""
    if name.startswith(DISGUISE):
        return next((word for word in WORDS if word[1:] == name[1:]), name)
    return name


def element(place: Any, array: Any) -> Any:
    return array[place]


def comparison(signs: Sequence[Callable[..., Any]]) -> Callable[..., Any]:
    """a < b < c as (a < b) and (b < c)."""

    def compare(*values: Any) -> Any:
        pairs = [sign(x, y) for sign, x, y in zip(signs, values, values[1:], strict=False)]
        return fold_left(np.logical_and, *pairs)

    return compare
