"""Python over NumPy → graph: run the user's function once on symbolic arrays.

define(function, shapes)
  signature + shapes → arguments       one variable node per element
  function(symbolic arrays) → result   symbolic_array, trace_ufuncs, trace_functions, trace_linalg
  result → nodes, shape                numbers, arrays, nested lists of either
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

# imported for what they enter into the tables of symbolic_array
from hybrid import trace_functions, trace_linalg, trace_products, trace_selection, trace_ufuncs
from hybrid.definition import Argument, Definition, PythonSource
from hybrid.errors import ArgumentError, HybridError, InputTypeError, ShapeError
from hybrid.graph import Graph, uncollected
from hybrid.operations import REAL
from hybrid.symbolic_array import FUNCTIONS, UFUNCS, SymbolicArray, as_kind, lift

__all__ = ["SymbolicArray", "define", "inline", "supported"]

Shape = tuple[int, ...]
TABLES = (trace_ufuncs, trace_functions, trace_products, trace_selection, trace_linalg)


def define(function: Callable[..., Any], shapes: Mapping[str, Any], name: str | None = None) -> Definition:
    """A function definition from plain Python over NumPy.

    function: called once, with a symbolic array for every parameter in `shapes`; others keep their defaults. May
        return a number or array, or a list or tuple of them, nested or not.
    shapes: per parameter, () for a scalar, (n, …) for an array; an integer n means (n,).
    name: the function's own unless given.

    Raises ArgumentError (a parameter without shape or default, a shape without parameter), InputTypeError (text,
    complex values, `if` and `float()` on traced values), UnsupportedError (a NumPy function without a meaning here).
    """
    title = name or own_name(function)
    graph = Graph()
    sizes = {parameter: read_shape(title, parameter, shape) for parameter, shape in shapes.items()}
    order, call = read_signature(function, sizes, title)
    arguments = [make_argument(graph, parameter, sizes[parameter]) for parameter in order]
    traced = {argument.name: argument_array(graph, argument) for argument in arguments}
    try:
        with uncollected():
            result = call(traced)
            output = read_result(graph, result, title)
    except Exception as raised:
        # NumPy hides the reason when it cannot store a traced value in an array of floats
        error = raised.__cause__ if isinstance(raised.__cause__, HybridError) else raised
        listed = ", ".join(f"{argument.name}: {argument.shape}" for argument in arguments)
        if isinstance(error, TypeError) and "dtype('O')" in str(error):
            error.add_note("NumPy made an array of objects here: build it with np.stack([...]), not np.array([...])")
        error.add_note(f"while tracing {title} with symbolic arguments of the shapes {listed}")
        raise error from error.__cause__
    nodes = tuple(output.nodes.reshape(-1).tolist())
    return Definition(graph, tuple(arguments), nodes, output.shape, PythonSource(function), title)


def inline(
    arguments: Sequence[Argument], graph: Graph, nodes: Sequence[int], shape: Shape, values: Sequence[Any]
) -> SymbolicArray:
    """A function that already exists, called inside a function being traced: its graph is copied in.

    `values` has one entry per argument, of the argument's shape; at least one is a symbolic array, the others may be
    numbers. Raises ShapeError for another shape.
    """
    here = next(value.graph for value in values if isinstance(value, SymbolicArray))
    mapping: dict[int, int] = {}
    for argument, value in zip(arguments, values, strict=True):
        array = as_kind(lift(here, value), REAL)
        if array.shape != argument.shape:
            raise ShapeError(
                f"the argument {argument.name} has shape {argument.shape}, got {array.shape}; inside a traced function "
                "call it point by point, for instance np.stack([f(row) for row in x])"
            )
        mapping.update(zip(argument.nodes, array.nodes.reshape(-1).tolist(), strict=True))
    copied = here.copy_from(graph, list(nodes), mapping)
    return SymbolicArray(here, np.array(copied, dtype=np.int64).reshape(shape))


def supported() -> list[str]:
    """The names of the NumPy functions a traced function may use."""
    ufuncs = {f"numpy.{ufunc.__name__}" for ufunc in UFUNCS}
    return sorted(ufuncs | {f"{function.__module__}.{function.__name__}" for function in FUNCTIONS})


# --- arguments --------------------------------------------------------------------------------------------------------
def own_name(function: Callable[..., Any]) -> str:
    name = getattr(function, "__name__", "")
    return name if name.isidentifier() else "f"


def read_shape(title: str, parameter: str, shape: Any) -> Shape:
    lengths = (shape,) if isinstance(shape, int | np.integer) and not isinstance(shape, bool) else shape
    if not isinstance(lengths, tuple | list) or not all(
        isinstance(n, int | np.integer) and not isinstance(n, bool) and n >= 0 for n in lengths
    ):
        raise ArgumentError(
            f"{title} got the shape {shape!r} for {parameter!r}; a shape is a tuple of whole numbers such as (), (7,) "
            "or (3, 3), without the batch axes"
        )
    return tuple(int(n) for n in lengths)


def read_signature(
    function: Callable[..., Any], sizes: Mapping[str, Shape], title: str
) -> tuple[list[str], Callable[[Mapping[str, Any]], Any]]:
    """The traced parameters in order, and how to call the function with them."""
    if not callable(function):
        raise InputTypeError(f"expected a Python function, got {function!r}")
    if not sizes:
        raise ArgumentError(
            f"{title} needs the shape of at least one argument, for instance x=(3,) or x=() for a scalar"
        )
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except ValueError:  # written in C without a signature: positional, in the order of the shapes
        return list(sizes), lambda traced: function(*traced.values())
    open_names = any(p.kind is p.VAR_KEYWORD for p in parameters)
    named = [p for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    check_parameters(title, named, sizes, open_names)
    order = [p.name for p in named if p.name in sizes]
    order += [name for name in sizes if name not in order]
    positional = [p for p in named if p.kind is p.POSITIONAL_ONLY]

    def call(traced: Mapping[str, Any]) -> Any:
        first = [traced.get(p.name, p.default) for p in positional]
        skip = {p.name for p in positional}
        return function(*first, **{name: value for name, value in traced.items() if name not in skip})

    return order, call


def check_parameters(
    title: str, named: Sequence[inspect.Parameter], sizes: Mapping[str, Shape], open_names: bool
) -> None:
    names = [p.name for p in named]
    unknown = [name for name in sizes if name not in names]
    if unknown and not open_names:
        close = difflib.get_close_matches(unknown[0], names, 1)
        raise ArgumentError(
            f"{title} has no parameter {unknown[0]!r} to give a shape to; it has {', '.join(names) or 'none'}"
            + (f" (did you mean {close[0]!r}?)" if close else "")
        )
    missing = [p.name for p in named if p.name not in sizes and p.default is p.empty]
    if missing:
        raise ArgumentError(
            f"{title} has no shape for its parameter {missing[0]!r}; give {missing[0]}=() for a scalar, "
            f"{missing[0]}=(n,) for an array, or a default value to keep it constant"
        )


def make_argument(graph: Graph, name: str, shape: Shape) -> Argument:
    return Argument(name, shape, graph.variables_of(name, list(np.ndindex(*shape))))


def argument_array(graph: Graph, argument: Argument) -> SymbolicArray:
    nodes = np.array(argument.nodes, dtype=np.int64).reshape(argument.shape)
    nodes.flags.writeable = False  # a function of its arguments does not change them
    return SymbolicArray(graph, nodes)


# --- results ----------------------------------------------------------------------------------------------------------
def read_result(graph: Graph, result: Any, title: str) -> SymbolicArray:
    """The returned value as one array of numbers; truth values become 1 and 0."""
    if result is None:
        raise InputTypeError(f"{title} returned None; end it with `return` and the value")
    if isinstance(result, str | dict | set) or inspect.isgenerator(result):
        raise InputTypeError(
            f"{title} returned {type(result).__name__}; return a number, an array, or a list or tuple of them"
        )
    try:
        output = as_kind(lift(graph, result), REAL)
    except HybridError as error:
        error.add_note(f"in what {title} returned")
        raise
    if not output.size:
        raise ShapeError(f"{title} returned an array of shape {output.shape} without elements; return at least one")
    return output
