"""SymPy ↔ graph: `define` makes a definition from SymPy expressions, `to_sympy` writes a graph back, `symbols` helps.

define(inputs, outputs)
  inputs   → arguments       names, shapes, one variable node per symbol
  outputs  → expressions     shape and a flat list of SymPy expressions
  each expression → node     sympy_reader, without recursion
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import sympy as sp
from sympy.core.function import AppliedUndef
from sympy.matrices.expressions.matexpr import MatrixElement

from hybrid import operations as ops
from hybrid.definition import Argument, Definition, SymPySource
from hybrid.errors import ArgumentError, InputTypeError, ShapeError, UnsupportedError
from hybrid.graph import Graph, Term, uncollected
from hybrid.operations import MASK
from hybrid.sympy_reader import Reader
from hybrid.sympy_rules import SurvivingImaginary, real_form
from hybrid.sympy_walk import describe
from hybrid.sympy_writer import sympy_expression, to_sympy

__all__ = ["define", "shaped", "symbols", "sympy_expression", "to_sympy"]

Shape = tuple[int, ...]
LEAVES = (sp.Symbol, sp.Indexed, MatrixElement)


def symbols(names: str, shape: int | Shape | None = None, **assumptions: Any) -> Any:
    """Real SymPy symbols: `x, y = symbols("x y")`, `q = symbols("q", shape=7)`, `a = symbols("a", positive=True)`.

    With `shape`, each name gives a NumPy object array of symbols `q_0, q_1, …`: one array argument of a function.
    Assumptions are SymPy's, `real=True` unless given; note that SymPy takes Symbol("x") and Symbol("x", real=True)
    for different symbols. Raises ShapeError for a shape that is not made of positive integers.
    """
    assumptions.setdefault("real", True)
    if shape is None:
        return sp.symbols(names, **assumptions)
    lengths = (shape,) if isinstance(shape, int) else tuple(shape)
    if not all(isinstance(length, int) and length > 0 for length in lengths):
        raise ShapeError(f"symbols expects a shape of positive integers such as 7 or (3, 3), got {shape!r}")
    arrays = [symbol_array(name, lengths, assumptions) for name in re.split(r"[\s,]+", names.strip(" ,"))]
    return arrays[0] if len(arrays) == 1 else tuple(arrays)


def symbol_array(name: str, shape: Shape, assumptions: Mapping[str, Any]) -> Any:
    array = np.empty(shape, dtype=object)
    for index in np.ndindex(*shape):
        array[index] = sp.Symbol("_".join([name, *map(str, index)]), **assumptions)
    return array


@uncollected()
def define(inputs: Any, outputs: Any, name: str = "f") -> Definition:
    """A function definition from SymPy symbols and expressions.

    inputs: an ordered sequence. A symbol is an argument of shape (). An object array, `sp.Matrix`, nested list of
        symbols, MatrixSymbol or IndexedBase with a concrete shape is one array argument, named by the common stem of
        its symbols (x for x_0, x_1) or `arg<position>`. Items may be `(name, symbols)` pairs; a dict maps names to
        symbols. A matrix with one column is a vector of shape (n,).
    outputs: an expression or number (shape ()), a list or tuple, nested or not, an `sp.Matrix` (one column: shape
        (n,)), an object array, or a matrix expression. Truth values become 1 and 0.

    Symbols stand for real numbers. Raises ArgumentError (duplicate inputs, unknown symbols), InputTypeError (text,
    complex values, an input that is no symbol), ShapeError (ragged lists) and UnsupportedError (a SymPy node without a
    meaning here, named).
    """
    graph = Graph()
    given = read_inputs(inputs)
    names = argument_names(given)
    leaves: dict[Any, int] = {}
    arguments = []
    for argument, (_, shape, items) in zip(names, given, strict=True):
        nodes = graph.variables_of(argument, list(np.ndindex(*shape)))
        arguments.append(Argument(argument, shape, nodes))
        for symbol, node in zip(items, nodes, strict=True):
            if symbol in leaves:
                raise ArgumentError(f"the inputs hold {symbol} twice; every input symbol may appear once: remove one")
            leaves[symbol] = node
    shape, expressions = read_outputs(outputs)
    nodes = tuple(convert_all(graph, leaves, expressions))
    source = SymPySource(tuple(expressions), tuple(tuple(items) for _, _, items in given))
    return Definition(graph, tuple(arguments), nodes, shape, source, name)


def has_arrays(inputs: Any) -> bool:
    """Whether an IndexedBase is among the inputs, by itself or in a pair."""
    if isinstance(inputs, Mapping):
        inputs = list(inputs.values())
    if isinstance(inputs, sp.IndexedBase):
        return True
    if not isinstance(inputs, list | tuple | sp.Tuple):
        return False
    return any(
        isinstance(item, sp.IndexedBase)
        or (isinstance(item, tuple | sp.Tuple) and any(isinstance(part, sp.IndexedBase) for part in item))
        or (isinstance(item, tuple) and len(item) == 2 and isinstance(item[1], tuple) and has_arrays(item[1]))
        for item in inputs
    )


def shaped(expressions: Sequence[Any], shape: Shape) -> Any:
    """SymPy expressions in C order as SymPy writes that shape.

    An expression for (), a column Matrix for (n,), a Matrix for (m, n), else an N-dimensional Array.
    """
    if shape == ():
        return expressions[0]
    if len(shape) <= 2:
        return sp.Matrix(shape[0], shape[1] if len(shape) == 2 else 1, list(expressions))
    return sp.ImmutableDenseNDimArray(list(expressions), shape)


# --- inputs -----------------------------------------------------------------------------------------------------------
Given = tuple[str | None, Shape, list[Any]]


def read_inputs(inputs: Any) -> list[Given]:
    """Name (if one was given), shape and symbols of every argument."""
    if isinstance(inputs, Mapping):
        pairs: list[tuple[Any, Any]] = list(inputs.items())
    elif isinstance(inputs, sp.Basic | sp.MatrixBase | np.ndarray) and not isinstance(inputs, sp.Tuple):
        pairs = [(None, inputs)]
    elif isinstance(inputs, str) or not isinstance(inputs, Iterable) or isinstance(inputs, set | frozenset):
        raise InputTypeError(
            f"the inputs must be a list of SymPy symbols or arrays of symbols, got {inputs!r}; "
            'make symbols with hy.symbols("x y") and list them in order'
        )
    else:
        pairs = [item if is_pair(item) else (None, item) for item in inputs]
    if not pairs:
        raise ArgumentError("a function needs at least one input, got none; list its symbols in order")
    for name, _ in pairs:
        if name is not None and not (isinstance(name, str) and name):
            raise ArgumentError(f"an argument name must be text, got {name!r}")
    return [(name, *read_symbols(item)) for name, item in pairs]


def is_pair(item: Any) -> bool:
    return isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str) and not isinstance(item[1], str)


def read_symbols(item: Any) -> tuple[Shape, list[Any]]:
    """Shape and symbols, in C order, of one input."""
    if isinstance(item, sp.MatrixSymbol):
        if not all(length.is_Integer for length in item.shape):
            raise ShapeError(f"the input {item} needs a concrete shape, got {item.shape}; substitute numbers for it")
        item = sp.Matrix(item.as_explicit())
    elif isinstance(item, sp.IndexedBase):
        if item.shape is None or not all(length.is_Integer for length in item.shape):
            raise ShapeError(
                f"the input {item} is an IndexedBase of shape {item.shape}; give it a concrete one: "
                f"sp.IndexedBase({str(item.label)!r}, shape=(3,))"
            )
        lengths = tuple(int(length) for length in item.shape)
        return lengths, [item[index] for index in np.ndindex(*lengths)]
    shape, items = flatten(item, "inputs")
    if not items:
        raise ArgumentError(f"an input holds no symbols, got {item!r}; leave it out")
    for symbol in items:
        check_symbol(symbol)
    return shape, items


def check_symbol(symbol: Any) -> None:
    if isinstance(symbol, str):
        raise InputTypeError(f"an input must be a SymPy symbol, got the text {symbol!r}; use hy.symbols({symbol!r})")
    if isinstance(symbol, AppliedUndef):
        raise InputTypeError(
            f"an input must be a symbol, got the undefined function {symbol}; replace it in the expressions first: "
            f"expr.subs({symbol}, sp.Symbol({symbol.func.__name__!r}))"
        )
    if not isinstance(symbol, LEAVES):
        raise InputTypeError(
            f"an input must be a SymPy symbol or an array of symbols, got {describe(symbol)} of type "
            f"{type(symbol).__name__}; replace it by a symbol in the expressions first (expr.subs)"
        )
    if symbol.is_commutative is False or symbol.is_extended_real is False:
        raise InputTypeError(
            f"an input must stand for a real number, but {symbol} is declared "
            f"{'non-commutative' if symbol.is_commutative is False else 'not real'}; "
            f"use hy.symbols({symbol.name!r}), and two real symbols for a complex number"
        )


def argument_names(given: list[Given]) -> list[str]:
    """One name per argument: the given one, the symbol's own, the stem its symbols share, or its position."""
    names: list[str | None] = [name or own_name(shape, items) for name, shape, items in given]
    for position, (name, (wanted, shape, items)) in enumerate(zip(names, given, strict=True)):
        clash = names.index(name) < position
        if clash and wanted is None and (shape or isinstance(items[0], sp.Dummy)):
            name = None  # an automatic name gives way
        elif clash:
            raise ArgumentError(
                f"two inputs are called {name!r}; every argument needs its own name: rename a symbol (symbols that "
                'differ only in their assumptions share a name) or give a pair ("name", symbols)'
            )
        names[position] = name or f"arg{position}"
    return [str(name) for name in names]


def own_name(shape: Shape, items: list[Any]) -> str | None:
    texts = {stem(item, bool(shape)) for item in items}
    return texts.pop() or None if len(texts) == 1 else None


def stem(symbol: Any, in_array: bool) -> str:
    if isinstance(symbol, sp.Indexed):
        return str(symbol.base.label)
    if isinstance(symbol, MatrixElement):
        return str(symbol.parent)
    return re.sub(r"[\d_,\s(){}\[\]]*$", "", symbol.name) if in_array else str(symbol.name)


# --- outputs ----------------------------------------------------------------------------------------------------------
def read_outputs(outputs: Any) -> tuple[Shape, list[Any]]:
    """Shape of the outputs and their SymPy expressions in C order."""
    shape, items = flatten(outputs, "outputs")
    if not items:
        raise ArgumentError(f"a function needs at least one output, got {outputs!r}; list its expressions")
    return shape, [read_expression(item) for item in items]


def read_expression(item: Any) -> Any:
    if isinstance(item, str):
        raise InputTypeError(
            f"expected a SymPy expression, got the text {item!r}; text is never evaluated here: parse text that you "
            "trust yourself with sympy.sympify or sympy.parsing.sympy_parser.parse_expr"
        )
    if isinstance(item, bool | np.bool_):
        return sp.true if item else sp.false
    if isinstance(item, Fraction):
        return sp.Rational(item.numerator, item.denominator)
    if isinstance(item, int | float | np.integer | np.floating):
        return sp.sympify(item)
    if isinstance(item, sp.Expr | sp.logic.boolalg.Boolean):
        return item
    raise InputTypeError(
        f"expected a SymPy expression or a real number, got {item!r} of type {type(item).__name__}; "
        "for plain Python code over NumPy use @hy.function"
    )


def flatten(value: Any, place: str) -> tuple[Shape, list[Any]]:
    """Shape and items, in C order, of an expression, array, matrix or nested list; one column is a vector."""
    if isinstance(value, sp.MatrixExpr) and not isinstance(value, sp.MatrixBase):
        if not all(length.is_Integer for length in value.shape):
            raise ShapeError(f"a matrix among the {place} has the shape {value.shape}; substitute numbers for it first")
        if value.has(sp.Inverse, sp.MatPow, sp.Determinant):  # as_explicit would expand these
            rows, columns = map(int, value.shape)
            items = [MatrixElement(value, sp.Integer(i), sp.Integer(j)) for i in range(rows) for j in range(columns)]
            return ((rows,) if columns == 1 else (rows, columns)), items
        value = value.as_explicit()
    if isinstance(value, sp.MatrixBase):
        rows, columns = value.shape
        return ((rows,) if columns == 1 else (rows, columns)), list(value.flat())
    if isinstance(value, sp.NDimArray):
        return tuple(map(int, value.shape)), [value[index] for index in product(*map(range, value.shape))]
    if isinstance(value, np.ndarray):
        return value.shape, list(value.flat)
    if not isinstance(value, list | tuple | sp.Tuple):
        return (), [value]
    parts = [flatten(part, place) for part in value]
    shapes = [shape for shape, _ in parts]
    if any(shape != shapes[0] for shape in shapes):
        raise ShapeError(
            f"the {place} hold a ragged list: its items have the shapes {', '.join(map(str, dict.fromkeys(shapes)))}; "
            "all items of a list need one shape (define several functions for outputs of several shapes)"
        )
    return (len(parts), *(shapes[0] if shapes else ())), [item for _, items in parts for item in items]


# --- conversion -------------------------------------------------------------------------------------------------------
def convert_all(graph: Graph, leaves: Mapping[Any, int], expressions: list[Any]) -> list[int]:
    reader = Reader(graph, leaves)
    nodes = [convert_output(reader, expression) for expression in expressions]
    if reader.unknown:
        raise ArgumentError(unknown_symbols_message(reader.unknown, leaves))
    return nodes


def convert_output(reader: Reader, expression: Any) -> int:
    node = convert_real(reader, expression)
    if reader.context.graph.kind(node) == MASK:
        return ops.where(Term(reader.context.graph, node), 1, 0).node  # type: ignore[no-any-return]  # a term
    return node


def convert_real(reader: Reader, expression: Any) -> int:
    """As it stands; where an imaginary unit is met, with parts taken; at last as the real part if that is all."""
    try:
        return reader.convert(expression)
    except SurvivingImaginary:
        reader.context.imaginary = True
    try:
        return reader.convert(expression)
    except SurvivingImaginary:
        pass
    try:
        return reader.convert(expression.expand())  # (x + i y)(x − i y) has no imaginary unit any more
    except SurvivingImaginary:
        pass
    try:
        return reader.convert(real_form(expression))
    except SurvivingImaginary:
        raise UnsupportedError(
            f"the imaginary unit does not cancel in {describe(expression)}; outputs are real: give sp.re(...) and "
            "sp.im(...) of it, expanded with expr.as_real_imag()"
        ) from None


def unknown_symbols_message(unknown: Iterable[Any], leaves: Mapping[Any, int]) -> str:
    strangers = sorted(unknown, key=str)
    inputs = {str(symbol): symbol for symbol in leaves}
    message = (
        f"the outputs use {', '.join(map(str, strangers))}, which {'is' if len(strangers) == 1 else 'are'} not among "
        f"the inputs ({abbreviated(inputs)}); add to the inputs or substitute a value first"
    )
    for stranger in strangers:
        twin = inputs.get(str(stranger))
        if twin is not None:
            message += (
                f". The input {twin} is another symbol of that name, with other assumptions "
                f"({assumptions(twin)} there, {assumptions(stranger)} in the outputs): use one object for both"
            )
    return message


def abbreviated(names: Iterable[str], limit: int = 12) -> str:
    listed = list(names)
    return ", ".join(listed[:limit]) + (f", … ({len(listed)} in all)" if len(listed) > limit else "")


def assumptions(symbol: Any) -> str:
    declared = getattr(symbol, "_assumptions_orig", None) or {}
    return ", ".join(f"{key}={value}" for key, value in declared.items() if key != "commutative") or "none"
