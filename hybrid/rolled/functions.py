"""What NumPy's functions that are not ufuncs mean for rolled arrays.

Functions that move elements run once on an array of flat positions, which becomes an index map. Reductions are blocks,
or are written out where few elements meet in each result. Contractions (`@`, `einsum`, …) are products and a reduction.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from hybrid import operations as ops
from hybrid import symbolic_array, trace_selection  # the latter enters rules into the tables of the former
from hybrid.errors import ShapeError, UnsupportedError
from hybrid.operations import MASK, REAL
from hybrid.rolled import maps
from hybrid.rolled.array import (
    FUNCTIONS,
    UFUNC_METHODS,
    RolledArray,
    aligned,
    as_kind,
    entered,
    lift,
    pointwise,
    wrapped,
)
from hybrid.rolled.maps import Map, Shape
from hybrid.rolled.model import LOGSUMEXP, MAX, STORE, SUM, Access, Block, Model, Write
from hybrid.symbolic_array import SymbolicArray
from hybrid.trace_functions import axis_count

Rule = Callable[..., Any]
FEW = 16  # elements that meet in one result up to which a reduction is written out
LONGEST = 600  # nodes of a template up to which it may be repeated
assert trace_selection.clip in symbolic_array.FUNCTIONS.values()


def implements(*functions: Any) -> Callable[[Rule], Rule]:
    def enter(rule: Rule) -> Rule:
        for function in functions:
            FUNCTIONS[function] = rule
        return rule

    return enter


# --- moving elements --------------------------------------------------------------------------------------------------
def moves(function: Any) -> Rule:
    """A function that moves the elements of its first argument."""

    def rule(model: Model, array: Any, *args: Any, **kwargs: Any) -> Any:
        rolled = lift(model, array)
        places = function(np.arange(rolled.size, dtype=np.int64).reshape(rolled.shape), *args, **kwargs)
        if isinstance(places, list | tuple):
            return type(places)(rolled.moved(part) for part in places)
        return rolled.moved(places)

    return rule


for moving in (
    np.moveaxis, np.rollaxis, np.squeeze, np.expand_dims, np.flip, np.fliplr, np.flipud, np.roll, np.rot90, np.tile,
    np.repeat, np.take, np.take_along_axis, np.diagonal, np.split, np.array_split, np.hsplit, np.vsplit, np.dsplit,
    np.atleast_1d, np.atleast_2d, np.atleast_3d, np.resize, np.delete, np.lib.stride_tricks.sliding_window_view,
):  # fmt: skip
    implements(moving)(moves(moving))


@implements(np.reshape)
def reshape(model: Model, array: Any, /, shape: Any, order: Any = "C") -> Any:
    return lift(model, array).reshape(shape, order=order)


@implements(np.ravel)
def ravel(model: Model, array: Any, order: Any = "C") -> Any:
    return lift(model, array).reshape(-1, order=order)


@implements(np.transpose)
def transpose(model: Model, array: Any, axes: Any = None) -> Any:
    return lift(model, array).transpose(axes)


implements(np.swapaxes)(lambda model, array, first, second: lift(model, array).swapaxes(first, second))
implements(np.copy)(lambda model, array: lift(model, array).copy())
implements(np.shape)(lambda model, array: lift(model, array).shape)
implements(np.ndim)(lambda model, array: lift(model, array).ndim)


@implements(np.size)
def size(model: Model, array: Any, axis: int | None = None) -> int:
    rolled = lift(model, array)
    return rolled.size if axis is None else rolled.shape[axis]


@implements(np.broadcast_to)
def broadcast_to(model: Model, array: Any, shape: Any) -> Any:
    return lift(model, array).broadcast_to((shape,) if isinstance(shape, int) else tuple(shape))


@implements(np.broadcast_arrays)
def broadcast_arrays(model: Model, *arrays: Any) -> Any:
    return tuple(aligned([lift(model, array) for array in arrays])[0])


@implements(np.array, np.asarray, np.ascontiguousarray)
def array_of(model: Model, values: Any, copy: Any = True) -> Any:
    return lift(model, values)


def fills(value: Any) -> Rule:
    def rule(model: Model, array: Any, shape: Any = None) -> Any:
        wanted = lift(model, array).shape if shape is None else shape
        return lift(model, value).broadcast_to((wanted,) if isinstance(wanted, int) else tuple(wanted))

    return rule


implements(np.zeros_like)(fills(0))
implements(np.empty_like)(fills(0))
implements(np.ones_like)(fills(1))


@implements(np.full_like)
def full_like(model: Model, array: Any, value: Any) -> Any:
    return lift(model, value).broadcast_to(lift(model, array).shape)


# --- joining ----------------------------------------------------------------------------------------------------------
@implements(np.concatenate)
def concatenate(model: Model, arrays: Any, axis: Any = 0) -> Any:
    """One buffer, into which a block writes each part."""
    parts = [as_kind(lift(model, array), REAL) for array in arrays]
    if axis is None:
        parts, axis = [part.reshape(-1) for part in parts], 0
    shapes = [part.shape for part in parts]
    place = normalize_axis_index(axis, len(shapes[0]))
    if len({shape[:place] + shape[place + 1 :] for shape in shapes}) > 1:
        raise ValueError(f"np.concatenate along axis {axis} needs shapes that agree elsewhere, got {shapes}")
    parts = [part for part in parts if part.size] or parts[:1]
    if len(parts) == 1:
        return parts[0]
    total = sum(shape[place] for shape in shapes)
    return pieces(model, parts, (*shapes[0][:place], total, *shapes[0][place + 1 :]), place)


def pieces(model: Model, parts: Sequence[RolledArray], shape: Shape, axis: int) -> RolledArray:
    if any(part.loop for part in parts):
        raise UnsupportedError("np.concatenate and np.stack inside hy.scan: return a tuple of arrays instead")
    strides = maps.contiguous(shape)
    held = model.buffer(shape)
    start = 0
    for part in parts:
        own = tuple(
            0 if length == 1 else stride for length, stride in zip(part.shape, maps.full_strides(shape), strict=True)
        )
        where = Map(start * maps.full_strides(shape)[axis], own)
        model.add(Block(part.shape, (part.node,), (Write(Access(held.number, where), STORE),)))
        start += part.shape[axis]
    return RolledArray(model, model.read(held.number, Map(0, strides)), shape)


@implements(np.stack)
def stack(model: Model, arrays: Any, axis: int = 0) -> Any:
    parts = [lift(model, array) for array in arrays]
    if len({part.shape for part in parts}) != 1:
        raise ShapeError(f"np.stack needs arrays of one shape, got {', '.join(str(part.shape) for part in parts)}")
    place = normalize_axis_index(axis, parts[0].ndim + 1)
    index = (slice(None),) * place + (None,)
    return concatenate(model, [part[index] for part in parts], place)


@implements(np.vstack)
def vstack(model: Model, arrays: Any) -> Any:
    parts = [lift(model, array) for array in arrays]
    return concatenate(model, [part if part.ndim > 1 else part.reshape(1, -1) for part in parts], 0)


@implements(np.hstack)
def hstack(model: Model, arrays: Any) -> Any:
    parts = [lift(model, array) for array in arrays]
    parts = [part if part.ndim else part.reshape(1) for part in parts]
    return concatenate(model, parts, 0 if parts[0].ndim == 1 else 1)


@implements(np.column_stack)
def column_stack(model: Model, arrays: Any) -> Any:
    parts = [lift(model, array) for array in arrays]
    return concatenate(model, [part if part.ndim > 1 else part.reshape(-1, 1) for part in parts], 1)


@implements(np.append)
def append(model: Model, array: Any, values: Any, axis: int | None = None) -> Any:
    return concatenate(model, [array, values], axis)


@implements(np.pad)
def pad(model: Model, array: Any, pad_width: Any, mode: str = "constant", constant_values: Any = 0) -> Any:
    rolled = lift(model, array)
    if mode != "constant":
        places = np.pad(np.arange(rolled.size).reshape(rolled.shape), pad_width, mode)  # type: ignore[call-overload]  # any mode
        return rolled.moved(places)
    widths = np.broadcast_to(np.asarray(pad_width), (rolled.ndim, 2)).tolist()
    for axis, (before, after) in enumerate(widths):
        shape = list(rolled.shape)
        ends = []
        for width in (before, after):
            shape[axis] = width
            ends.append(lift(model, constant_values).broadcast_to(tuple(shape)))
        rolled = concatenate(model, [ends[0], rolled, ends[1]], axis)
    return rolled


# --- elementwise functions that are no ufuncs -------------------------------------------------------------------------
def scalar_rule(function: Any, *fixed: int) -> Rule:
    """The rule for symbolic arrays, applied to templates; arguments at the places `fixed` stay as they are."""
    rule = symbolic_array.FUNCTIONS[function]

    def rolled_rule(model: Model, *args: Any, **kwargs: Any) -> Any:
        found: list[RolledArray] = []

        def collect(value: Any) -> Any:
            if isinstance(value, list):
                return [collect(item) for item in value]
            if isinstance(value, RolledArray | np.ndarray):
                found.append(lift(model, value))
                return len(found) - 1
            return None

        places = [None if number in fixed else collect(arg) for number, arg in enumerate(args)]
        named = {key: collect(value) for key, value in kwargs.items()}
        spread, loop, shape = aligned(found)

        def place(where: Any, value: Any) -> Any:
            if isinstance(where, list):
                return [place(one, item) for one, item in zip(where, value, strict=True)]
            if where is None:
                return value
            return SymbolicArray(model.graph, np.array(spread[where].node, dtype=np.int64), spread[where].kind)

        result = rule(
            model.graph,
            *(place(where, arg) for where, arg in zip(places, args, strict=True)),
            **{key: place(named[key], value) for key, value in kwargs.items()},
        )
        return wrapped(model, result, loop, shape)

    return rolled_rule


for function in (np.where, np.select, np.clip, np.round, np.around, np.fix, np.sinc, np.nan_to_num, np.isclose):
    if function in symbolic_array.FUNCTIONS:
        implements(function)(scalar_rule(function))
implements(np.interp)(scalar_rule(np.interp, 1, 2))
implements(np.polyval)(scalar_rule(np.polyval, 0))


# --- reductions -------------------------------------------------------------------------------------------------------
def reduced(model: Model, array: RolledArray, axes: Sequence[int], combine: str) -> RolledArray:
    """An array reduced over axes, which are taken away: written out where few elements meet, else a block."""
    kept = tuple(axis for axis in range(array.ndim) if axis not in axes)
    shape = tuple(array.shape[axis] for axis in kept)
    count = math.prod(array.shape[axis] for axis in axes)
    if not count or not math.prod(shape):
        if combine != SUM and not count:
            raise ValueError("a maximum, minimum or log-sum-exp of no elements has no value")
        return lift(model, 0).broadcast_to(shape)
    nodes = len(model.graph.reach([array.node]))
    written_out = count <= FEW and nodes * count <= LONGEST and (math.prod(shape) >= count or array.size <= FEW)
    if written_out or array.loop:
        if count > 10 * FEW:
            raise UnsupportedError("a reduction over many elements inside hy.scan: do it before the scan or after it")
        result: RolledArray = written(model, array, axes, kept, combine)
        return result
    if (value := model.constant(array.node)) is not None and combine == SUM:
        return lift(model, value * count).broadcast_to(shape)
    strides = [0] * array.ndim
    for axis, stride in zip(kept, maps.contiguous(shape), strict=True):
        strides[axis] = stride
    held = model.reduced(array.node, array.shape, Map(0, tuple(strides)), combine, shape)
    return RolledArray(model, model.read(held.number, maps.identity(shape)), shape)


def written(model: Model, array: RolledArray, axes: Sequence[int], kept: Sequence[int], combine: str) -> Any:
    parts: list[Any] = []
    for place in np.ndindex(*(array.shape[axis] for axis in axes)):
        index: list[Any] = [slice(None)] * array.ndim
        for axis, number in zip(axes, place, strict=True):
            index[axis] = number
        parts.append(array[tuple(index)])
    if combine == SUM:
        return parts[0] if len(parts) == 1 else pointwise(add_all, *parts)
    if combine == MAX:
        return functools.reduce(np.maximum, parts)
    return functools.reduce(np.logaddexp, parts)


def add_all(*parts: SymbolicArray) -> SymbolicArray:
    graph = parts[0].graph
    return SymbolicArray(graph, np.array(graph.add_node(ops.add, tuple(int(part.nodes) for part in parts))))


def axes_of(array: RolledArray, axis: Any) -> tuple[int, ...]:
    return tuple(range(array.ndim)) if axis is None else normalize_axis_tuple(axis, array.ndim)


def reduction(combine: str, kind: str = REAL) -> Rule:
    def rule(model: Model, array: Any, axis: Any = None, keepdims: bool = False, initial: Any = None) -> RolledArray:
        rolled = as_kind(lift(model, array), kind)
        axes = axes_of(rolled, axis)
        result = reduced(model, rolled, axes, combine) if axes else rolled
        if keepdims:
            result = result.reshape(tuple(1 if i in axes else length for i, length in enumerate(rolled.shape)))
        if initial is not None:
            result = result + initial if combine == SUM else np.maximum(result, initial)
        return result

    return rule


sum_of = implements(np.sum)(reduction(SUM))


@implements(np.prod)
def product(model: Model, array: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Written out where few elements meet, else the last of the running products."""
    rolled = as_kind(lift(model, array), REAL)
    axes = axes_of(rolled, axis)
    order = [*axes, *(i for i in range(rolled.ndim) if i not in axes)]
    kept = tuple(rolled.shape[i] for i in order[len(axes) :])
    rows = rolled.transpose(order).reshape((-1, *kept))
    if len(rows) <= FEW:
        result = functools.reduce(lambda x, y: x * y, [rows[i] for i in range(len(rows))], lift(model, 1))
    else:
        result = FUNCTIONS[np.cumprod](model, rows, 0)[-1]
    shape = tuple(1 if i in axes else length for i, length in enumerate(rolled.shape)) if keepdims else kept
    return result.broadcast_to(kept).reshape(shape)


largest = implements(np.max, np.amax)(reduction(MAX))
log_sum_exp = reduction(LOGSUMEXP)


@implements(np.min, np.amin)
def smallest(model: Model, array: Any, axis: Any = None, keepdims: bool = False, initial: Any = None) -> Any:
    opposite = None if initial is None else -initial
    return -largest(model, -as_kind(lift(model, array), REAL), axis, keepdims, opposite)


@implements(np.any)
def any_of(model: Model, array: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return largest(model, as_kind(as_kind(lift(model, array), MASK), REAL), axis, keepdims) > 0


@implements(np.all)
def all_of(model: Model, array: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return smallest(model, as_kind(as_kind(lift(model, array), MASK), REAL), axis, keepdims) > 0


@implements(np.count_nonzero)
def count_nonzero(model: Model, array: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return sum_of(model, as_kind(lift(model, array), MASK), axis, keepdims)


@implements(np.mean)
def mean(model: Model, array: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return sum_of(model, array, axis, keepdims) / axis_count(array, axis)


@implements(np.average)
def average(model: Model, array: Any, axis: Any = None, weights: Any = None, keepdims: bool = False) -> Any:
    if weights is None:
        return mean(model, array, axis, keepdims)
    rolled, factors = lift(model, array), lift(model, weights)
    if factors.shape != rolled.shape:
        if axis is None or factors.ndim != 1:
            raise ShapeError(f"np.average needs weights of shape {rolled.shape}, or 1-D ones along an axis")
        shape = [1] * rolled.ndim
        shape[axis] = factors.size
        factors = factors.reshape(tuple(shape)).broadcast_to(rolled.shape)
    return sum_of(model, rolled * factors, axis, keepdims) / sum_of(model, factors, axis, keepdims)


@implements(np.var)
def variance(model: Model, array: Any, axis: Any = None, ddof: float = 0, keepdims: bool = False) -> Any:
    away = lift(model, array) - mean(model, array, axis, keepdims=True)
    return sum_of(model, away * away, axis, keepdims) / (axis_count(array, axis) - ddof)


@implements(np.std)
def deviation(model: Model, array: Any, axis: Any = None, ddof: float = 0, keepdims: bool = False) -> Any:
    return np.sqrt(variance(model, array, axis, ddof, keepdims))


@implements(np.ptp)
def spread(model: Model, array: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return largest(model, array, axis, keepdims) - smallest(model, array, axis, keepdims)


@implements(np.diff)
def diff(model: Model, array: Any, n: int = 1, axis: int = -1) -> Any:
    rolled = lift(model, array)
    place = normalize_axis_index(axis, rolled.ndim)
    for _ in range(n):
        later = (slice(None),) * place + (slice(1, None),)
        sooner = (slice(None),) * place + (slice(None, -1),)
        rolled = rolled[later] - rolled[sooner]
    return rolled


@implements(np.trapezoid)
def trapezoid(model: Model, y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    rolled: Any = FUNCTIONS[np.moveaxis](model, y, axis, -1)
    width = dx if x is None else np.diff(x)
    return sum_of(model, width * (rolled[..., 1:] + rolled[..., :-1]) / 2.0, -1)


@implements(np.linalg.norm)
def norm(model: Model, x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """The 2-norm of all elements or along axes; at 0 its derivative is 0."""
    rolled = as_kind(lift(model, x), REAL)
    vectors = (rolled.ndim if axis is None else len(np.atleast_1d(axis))) == 1
    if not (ord is None or ord == "fro" or (ord == 2 and vectors)):
        if ord in (1, math.inf) and vectors:
            return (sum_of if ord == 1 else largest)(model, np.abs(rolled), axis, keepdims)
        raise UnsupportedError(f"np.linalg.norm with ord={ord!r} of a large array; write it with np.sum and np.max")
    squares = sum_of(model, rolled * rolled, axis, keepdims)
    return np.where(squares == 0, 0, np.sqrt(squares))


# --- ufunc methods ----------------------------------------------------------------------------------------------------
def reduces(rule: Rule) -> Rule:
    """The `reduce` of a ufunc: along axis 0 unless told."""
    return lambda model, array, axis=0, **kwargs: rule(model, array, axis=axis, **kwargs)


for ufunc, rule in {
    np.add: sum_of, np.maximum: largest, np.minimum: smallest, np.logaddexp: log_sum_exp, np.logical_or: any_of,
    np.logical_and: all_of,
}.items():  # fmt: skip
    UFUNC_METHODS[ufunc, "reduce"] = reduces(rule)
for binary in symbolic_array.UFUNCS:
    if binary.nin == 2 and binary.nout == 1:
        UFUNC_METHODS[binary, "outer"] = functools.partial(
            lambda model, x, y, ufunc: ufunc(lift(model, x).reshape(np.shape(x) + (1,) * np.ndim(y)), y), ufunc=binary
        )

__all__ = ["entered", "largest", "log_sum_exp", "smallest", "sum_of"]
