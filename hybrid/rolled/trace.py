"""Python over NumPy → blocks: run the user's function once on rolled arrays.

`define` is what `hy.function` calls for arrays that are large. What a rolled array cannot do raises UnsupportedError
with the name of the operation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from hybrid import trace
from hybrid.definition import Formula, PythonSource, SymPySource
from hybrid.errors import ArgumentError, HybridError, InputTypeError, ShapeError, UnsupportedError
from hybrid.operations import REAL
from hybrid.rolled import combinators, functions, maps, products
from hybrid.rolled.array import ElementwiseError, RolledArray, as_kind, has_rolled, lift
from hybrid.rolled.maps import Shape
from hybrid.rolled.model import Model

TABLES = (functions, products, combinators)  # imported for the rules that they enter for NumPy's functions
LARGE = 2_000  # elements of all arguments together from which on a function is traced rolled
FLAT = 3_000  # elementary operations, written out, up to which a function is not worth rolling
WORTH_TRYING = 256  # elements from which on a function is rolled if it works on much data: more than LONG operations
LONG = 100_000


@dataclass(frozen=True)
class Rolled:
    """A model, its arguments (buffers by name), output buffer and source; `flat`: what it was found in, if so."""

    model: Model
    arguments: tuple[tuple[str, int], ...]
    output: int
    shape: Shape
    source: PythonSource | SymPySource
    name: str
    flat: Formula | None = None


def define(function: Callable[..., Any], shapes: Mapping[str, Any], name: str | None = None) -> Rolled:
    """A rolled function from plain Python over NumPy; `shapes` as in `hybrid.function`.

    Raises ArgumentError and InputTypeError as `hybrid.trace.define` does, UnsupportedError for what cannot stay rolled.
    """
    title = name or trace.own_name(function)
    model = Model()
    sizes = {parameter: trace.read_shape(title, parameter, shape) for parameter, shape in shapes.items()}
    order, call = trace.read_signature(function, sizes, title)
    buffers = {parameter: model.argument(parameter, sizes[parameter]) for parameter in order}
    traced = {
        parameter: RolledArray(model, model.read(buffer.number, maps.identity(buffer.shape)), buffer.shape)
        for parameter, buffer in buffers.items()
    }
    try:
        output = read_result(model, call(traced), title)
    except Exception as raised:
        error = raised.__cause__ if isinstance(raised.__cause__, HybridError) else raised
        listed = ", ".join(f"{parameter}: {sizes[parameter]}" for parameter in order)
        error.add_note(f"while tracing {title} over whole arrays, with arguments of the shapes {listed}")
        raise error from error.__cause__
    held = model.stored(output.node, output.shape, output.shape)
    arguments = tuple((parameter, buffers[parameter].number) for parameter in order)
    return Rolled(model, arguments, held.number, output.shape, PythonSource(function), title)


def read_result(model: Model, result: Any, title: str) -> RolledArray:
    """The returned value as one array of numbers; parts of a list or tuple that differ in shape are an error."""
    if result is None:
        raise InputTypeError(f"{title} returned None; end it with `return` and the value")
    if isinstance(result, str | dict | set):
        raise InputTypeError(
            f"{title} returned {type(result).__name__}; return a number, an array, or a list or tuple of them"
        )
    if isinstance(result, list | tuple) and has_rolled(result):
        result = functions.stack(model, list(result))
    output = as_kind(lift(model, result), REAL)
    if output.loop:
        raise InputTypeError(f"{title} returned a value from inside of hy.scan; return what hy.scan returns")
    if not output.size:
        raise ShapeError(f"{title} returned an array of shape {output.shape} without elements; return at least one")
    return output


def operations_written_out(rolled: Rolled) -> int:
    """About how many operations the function would take without arrays."""
    model = rolled.model
    return sum(
        model.blocks[number].instances * len(model.graph.reach(model.blocks[number].roots))
        for number in model.needed([rolled.output])
    )


def rolled_or_none(
    function: Callable[..., Any], shapes: Mapping[str, Any], name: str, rolled: bool | None
) -> Rolled | None:
    """The function rolled, or None where it had better be written out.

    rolled: True or False as asked for; None decides by cost: what is large is rolled, and what cannot be rolled is
        written out if it is small enough. Raises UnsupportedError, naming the operation, for what can be neither.
    """
    if rolled is False:
        return None
    large = is_large(shapes, LARGE)
    if rolled is None and not is_large(shapes, WORTH_TRYING):
        return None
    try:
        made = define(function, shapes, name)
    except UnsupportedError as error:
        if rolled:
            raise
        elements = total_size(shapes)
        if elements > MOST_FLAT and not isinstance(error, ElementwiseError):
            error.add_note(
                f"{name} has {elements:,} variables, too many to write out one by one; rolled=False does it anyway"
            )
            raise
        return None
    except Exception:
        if rolled or large:
            raise
        return None  # tried in case it is long; what is wrong, if anything, is told when it is written out
    if rolled is None and operations_written_out(made) <= (FLAT if large else LONG):
        return None
    return made


MOST_FLAT = 50_000  # variables up to which a function that cannot be rolled is written out


def total_size(shapes: Mapping[str, Any]) -> int:
    return sum(prod(shape if isinstance(shape, tuple | list) else (shape,)) for shape in shapes.values())


def is_large(shapes: Mapping[str, Any], size: int) -> bool:
    try:
        return total_size(shapes) >= size
    except TypeError:  # no shape: told by `trace.define`
        return False


__all__ = ["ArgumentError", "Rolled", "define", "rolled_or_none"]
