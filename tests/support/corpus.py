"""The corpus of expressions, read here by Python's syntax tree and evaluated with mpmath: nothing of the project."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import mpmath

CORPUS = Path(__file__).parents[1] / "corpus" / "expressions.txt"
CONSTANTS = ("pi", "E")

BINARY: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}


@dataclass(frozen=True)
class Line:
    """One expression and the points at which it is looked at."""

    family: str
    points: tuple[dict[str, float], ...]
    expression: str

    @cached_property
    def tree(self) -> ast.expr:
        return ast.parse(self.expression, mode="eval").body

    @cached_property
    def variables(self) -> tuple[str, ...]:
        called = {id(node.func) for node in ast.walk(self.tree) if isinstance(node, ast.Call)}
        found = {node.id for node in ast.walk(self.tree) if isinstance(node, ast.Name) and id(node) not in called}
        return tuple(sorted(found.difference(CONSTANTS)))

    def operations(self) -> int:
        """Operations as written: every operator and every call is one."""
        return sum(isinstance(node, ast.BinOp | ast.UnaryOp | ast.Call) for node in ast.walk(self.tree))


def read() -> list[Line]:
    lines = []
    for text in CORPUS.read_text().splitlines():
        family, values, expression = text.split(" | ")
        columns = {name: numbers.split(",") for name, numbers in (item.split("=") for item in values.split())}
        count = len(next(iter(columns.values())))
        points = tuple({name: float(column[i]) for name, column in columns.items()} for i in range(count))
        lines.append(Line(family, points, expression))
    return lines


def written(line: Line) -> str:
    values = " ".join(f"{name}={','.join(f'{point[name]:g}' for point in line.points)}" for name in line.variables)
    return f"{line.family} | {values} | {line.expression}"


def value_of(node: ast.expr, names: Mapping[str, Any], number: Callable[[Any], Any], functions: Any) -> Any:
    """What a tree means when `functions` is the module or the object that has the functions as attributes."""

    def value(part: ast.expr) -> Any:
        return value_of(part, names, number, functions)

    match node:
        case ast.Constant(constant):
            return number(constant)
        case ast.Name(name):
            return names[name]
        case ast.UnaryOp(ast.USub(), operand):
            return -value(operand)
        case ast.BinOp(left, op, right):
            return BINARY[type(op)](value(left), value(right))
        case ast.Call(ast.Name(name), args):
            return getattr(functions, name)(*map(value, args))
    raise ValueError(f"not in the corpus' language: {ast.dump(node)}")


def value_and_gradient(line: Line, point: Mapping[str, float]) -> tuple[Any, dict[str, Any]]:
    """Value and gradient to mpmath's precision, by central differences at twice as many digits.

    A decimal number is the float64 it is read as, as everywhere in Python. A value is complex outside the domain.
    """
    digits = mpmath.mp.dps
    with mpmath.workdps(2 * digits):
        x = {name: mpmath.mpf(value) for name, value in point.items()} | {"pi": +mpmath.pi, "E": +mpmath.e}
        step = mpmath.mpf(10) ** (-digits // 2)

        def value(moved: Mapping[str, Any]) -> Any:
            return value_of(line.tree, x | moved, mpmath.mpf, mpmath)

        centre = value({})
        slopes = {name: (value({name: x[name] + step}) - value({name: x[name] - step})) / (2 * step) for name in point}
    return +centre, {name: +slope for name, slope in slopes.items()}
