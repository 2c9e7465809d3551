"""What NumPy's functions that are not ufuncs mean for symbolic arrays.

Functions that only move elements run as they are on the arrays of nodes. Reductions make one n-ary node per result,
contractions (`@`, `dot`, `einsum`, …) one sum of products per result. Every rule is called as `rule(graph, *args,
**kwargs)` with the arguments of the NumPy function; keywords at their defaults have been taken away.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from hybrid import operations as ops
from hybrid.errors import ShapeError, UnsupportedError
from hybrid.graph import Graph, extreme
from hybrid.operations import MASK, REAL, Operation
from hybrid.symbolic_array import (
    FUNCTIONS,
    UFUNC_METHODS,
    SymbolicArray,
    as_kind,
    common_kind,
    contains_symbolic,
    elementwise,
    full,
    lift,
)

Array = Any  # a SymbolicArray: NumPy's stubs type what its functions return as plain arrays
Rule = Callable[..., Any]
INFINITY = float("inf")


def implements(*functions: Any) -> Callable[[Rule], Rule]:
    """Enter a rule for NumPy functions."""

    def enter(rule: Rule) -> Rule:
        for function in functions:
            FUNCTIONS[function] = rule
        return rule

    return enter


# --- moving elements --------------------------------------------------------------------------------------------------
def wrap(graph: Graph, result: Any, kind: str) -> Any:
    """Arrays of nodes as symbolic arrays, also inside lists."""
    if isinstance(result, list | tuple):
        return type(result)(wrap(graph, part, kind) for part in result)
    return SymbolicArray(graph, np.asarray(result, dtype=np.int64), kind)


def moves(function: Any) -> Rule:
    """A function that moves the elements of its first argument."""

    def rule(graph: Graph, array: Any, *args: Any, **kwargs: Any) -> Any:
        if contains_symbolic(args) or contains_symbolic(list(kwargs.values())):
            raise UnsupportedError(
                f"numpy.{function.__name__} needs shapes and indices that are known, got traced ones"
            )
        array = lift(graph, array)
        return wrap(graph, function(array.nodes, *args, **kwargs), array.kind)

    return rule


def joins(function: Any) -> Rule:
    """A function that puts the arrays of a sequence, its first argument, together."""

    def rule(graph: Graph, arrays: Any, *args: Any, **kwargs: Any) -> Any:
        parts, kind = common_kind([lift(graph, array) for array in arrays])
        return wrap(graph, function([part.nodes for part in parts], *args, **kwargs), kind)

    return rule


def spreads(function: Any) -> Rule:
    """A function whose positional arguments are all arrays, and which gives several back."""

    def rule(graph: Graph, *arrays: Any, **kwargs: Any) -> Any:
        parts, kind = common_kind([lift(graph, array) for array in arrays])
        return wrap(graph, function(*(part.nodes for part in parts), **kwargs), kind)

    return rule


def fills(function: Any) -> Rule:
    """As `moves`, for a function that fills places with zero: nodes are shifted by one, so that 0 is free."""

    def rule(graph: Graph, array: Any, *args: Any, **kwargs: Any) -> Any:
        array = lift(graph, array)
        nodes = np.asarray(function(array.nodes + 1, *args, **kwargs)) - 1
        if (nodes < 0).any():
            nodes[nodes < 0] = graph.constant(False if array.kind == MASK else 0)
        return SymbolicArray(graph, nodes, array.kind)

    return rule


MOVERS: tuple[Any, ...] = (
    np.reshape, np.transpose, np.ravel, np.squeeze, np.expand_dims, np.flip, np.fliplr, np.flipud, np.roll, np.rot90,
    np.rollaxis, np.moveaxis, np.swapaxes, np.tile, np.repeat, np.diagonal, np.broadcast_to, np.array_split, np.split,
    np.hsplit, np.vsplit, np.dsplit, np.resize, np.delete, np.take, np.take_along_axis, np.copy, np.matrix_transpose,
    np.linalg.matrix_transpose, np.linalg.diagonal, np.unstack,
)  # fmt: skip
JOINERS: tuple[Any, ...] = (np.stack, np.concatenate, np.vstack, np.hstack, np.dstack, np.column_stack)
SPREADERS: tuple[Any, ...] = (np.broadcast_arrays, np.meshgrid, np.atleast_1d, np.atleast_2d, np.atleast_3d)
FILLERS: tuple[Any, ...] = (np.diag, np.diagflat, np.tril, np.triu)
for functions, makes_rule in ((MOVERS, moves), (JOINERS, joins), (SPREADERS, spreads), (FILLERS, fills)):
    FUNCTIONS.update({function: makes_rule(function) for function in functions})


@implements(np.pad)
def pad(graph: Graph, array: Any, pad_width: Any, mode: str = "constant") -> Any:
    if mode not in ("constant", "edge", "reflect", "symmetric", "wrap"):
        raise UnsupportedError(f"np.pad with mode={mode!r} is not supported in a traced function; use np.concatenate")
    return fills(np.pad)(graph, array, pad_width, mode)


@implements(np.append)
def append(graph: Graph, array: Any, values: Any, axis: int | None = None) -> Any:
    parts = [lift(graph, array), lift(graph, values)]
    return joins(np.concatenate)(graph, [part.ravel() for part in parts] if axis is None else parts, axis or 0)


@implements(np.block)
def block(graph: Graph, arrays: Any) -> Any:
    """Nested lists, innermost along the last axis."""
    if not isinstance(arrays, list):
        return lift(graph, arrays)

    def depth(item: Any) -> int:
        return 1 + depth(item[0]) if isinstance(item, list) else 0

    def join(item: Any, axis: int, ndim: int) -> Array:
        if not isinstance(item, list):
            array = lift(graph, item)
            return array.like(array.nodes.reshape((1,) * (ndim - array.ndim) + array.shape))
        parts = [join(part, axis + 1, ndim) for part in item]
        joined: Array = joins(np.concatenate)(graph, parts, axis=axis)
        return joined

    def deepest(item: Any) -> int:
        return max(map(deepest, item)) if isinstance(item, list) else lift(graph, item).ndim

    levels = depth(arrays)
    ndim = max(levels, deepest(arrays))
    return join(arrays, ndim - levels, ndim)


@implements(np.compress)
def compress(graph: Graph, condition: Any, array: Any, axis: int | None = None) -> Any:
    return moves(lambda nodes: np.compress(condition, nodes, axis))(graph, array)


@implements(np.fill_diagonal)
def fill_diagonal(graph: Graph, array: Array, value: Any) -> None:
    diagonal = np.zeros(array.shape, dtype=bool)
    np.fill_diagonal(diagonal, True)
    array[diagonal] = value


@implements(np.copyto)
def copy_to(graph: Graph, target: Array, values: Any) -> None:
    target[...] = values


# --- making arrays ----------------------------------------------------------------------------------------------------
@implements(np.array, np.asarray, np.asanyarray, np.ascontiguousarray, np.asfortranarray)
def array(graph: Graph, values: Any, copy: Any = True, ndmin: int = 0) -> Array:
    made = lift(graph, values).copy()
    return made.reshape((1,) * (ndmin - made.ndim) + made.shape)


@implements(np.zeros_like)
def zeros_like(graph: Graph, array: Any, shape: Any = None) -> Array:
    return full(graph, np.shape(array) if shape is None else shape, 0)


@implements(np.ones_like)
def ones_like(graph: Graph, array: Any, shape: Any = None) -> Array:
    return full(graph, np.shape(array) if shape is None else shape, 1)


@implements(np.empty_like)
def empty_like(graph: Graph, array: Any, shape: Any = None) -> Array:
    """NaN until written, so that an element left out is seen."""
    return full(graph, np.shape(array) if shape is None else shape, np.nan)


@implements(np.full_like)
def full_like(graph: Graph, array: Any, value: Any, shape: Any = None) -> Array:
    return full(graph, np.shape(array) if shape is None else shape, value)


@implements(np.full)
def full_of(graph: Graph, shape: Any, value: Any) -> Array:
    return full(graph, shape, value)


def makes(function: Any) -> Rule:
    """A constructor called with `like=` a traced array."""

    def rule(graph: Graph, *args: Any, **kwargs: Any) -> Array:
        return lift(graph, function(*args, **kwargs)).copy()

    return rule


CONSTRUCTORS: tuple[Any, ...] = (np.zeros, np.ones, np.eye, np.identity, np.arange)
FUNCTIONS.update({function: makes(function) for function in CONSTRUCTORS})


@implements(np.empty)
def empty(graph: Graph, shape: Any) -> Array:
    return full(graph, shape, np.nan)


@implements(np.linspace)
def linspace(graph: Graph, start: Any, stop: Any, num: int = 50, endpoint: bool = True, axis: int = 0) -> Any:
    start, stop = lift(graph, start), lift(graph, stop)
    steps = num - 1 if endpoint else num
    points = [start + (stop - start) * i / steps if i else start + 0 * stop for i in range(num)]
    if endpoint and num > 1:
        points[-1] = stop + 0 * start
    return np.stack(points, axis)


# --- about arrays -----------------------------------------------------------------------------------------------------
FUNCTIONS.update(
    {
        np.shape: lambda graph, a: lift(graph, a).shape,
        np.ndim: lambda graph, a: lift(graph, a).ndim,
        np.iscomplexobj: lambda graph, x: False,
        np.isrealobj: lambda graph, x: True,
        np.result_type: lambda graph, *arrays: np.dtype(float),
        np.real: lambda graph, x: x,
        np.real_if_close: lambda graph, x: x,
        np.imag: lambda graph, x: full(graph, np.shape(x), 0),
    }
)


@implements(np.size)
def size(graph: Graph, array: Any, axis: int | None = None) -> int:
    return np.size(lift(graph, array).nodes, axis)


# --- reductions -------------------------------------------------------------------------------------------------------
def rows(array: Array, axis: Any, keepdims: bool) -> tuple[list[list[int]], tuple[int, ...]]:
    """The nodes that meet in each result, and the shape of the results."""
    axes = tuple(range(array.ndim)) if axis is None else normalize_axis_tuple(axis, array.ndim)
    kept = [i for i in range(array.ndim) if i not in axes]
    count = math.prod(array.shape[i] for i in axes)
    shape = tuple(1 if i in axes else array.shape[i] for i in range(array.ndim))
    lanes = array.nodes.transpose(*kept, *axes).reshape(-1, count) if array.size else np.empty((0, count), np.int64)
    if not array.size:
        lanes = np.empty((math.prod(array.shape[i] for i in kept), 0), np.int64)
    return lanes.tolist(), shape if keepdims else tuple(array.shape[i] for i in kept)


def reduction(op: Operation, empty: Any, kind: str = REAL) -> Rule:
    """One result from the elements along axes: one n-ary node, or a chain of a binary operation."""

    def combine(graph: Graph, nodes: list[int]) -> int:
        if not nodes:
            if empty is None:
                raise ValueError(f"{op.name} of no elements has no value: the array has an axis of length 0")
            return graph.constant(empty)
        if op.variadic:
            return nodes[0] if len(nodes) == 1 else graph.add_node(op, tuple(nodes))
        if op in (ops.minimum, ops.maximum):
            return extreme(graph, op, nodes)
        return functools.reduce(lambda x, y: graph.add_node(op, (x, y)), nodes)

    def rule(graph: Graph, array: Any, axis: Any = None, keepdims: bool = False, initial: Any = None) -> Array:
        array = as_kind(lift(graph, array), kind)
        lanes, shape = rows(array, axis, keepdims)
        if initial is not None:
            start = int(as_kind(lift(graph, initial), kind).nodes)
            lanes = [[start, *lane] for lane in lanes]
        nodes = np.array([combine(graph, lane) for lane in lanes], dtype=np.int64)
        return SymbolicArray(graph, nodes.reshape(shape), kind)

    return rule


def running(op: Operation) -> Rule:
    """Cumulative sum, product, …: each result takes one operation."""

    def rule(graph: Graph, array: Any, axis: int | None = None) -> Array:
        array = as_kind(lift(graph, array), REAL)
        array = array.ravel() if axis is None else array
        nodes = np.moveaxis(array.nodes.copy(), axis or 0, 0)
        for i in range(1, len(nodes)):
            nodes[i] = elementwise(op, array.like(nodes[i - 1]), array.like(nodes[i])).nodes
        return array.like(np.moveaxis(nodes, 0, axis or 0))

    return rule


sum_of = implements(np.sum)(reduction(ops.add, 0))
product_of = implements(np.prod)(reduction(ops.mul, 1))
smallest = implements(np.min, np.amin)(reduction(ops.minimum, None))
largest = implements(np.max, np.amax)(reduction(ops.maximum, None))
implements(np.any)(reduction(ops.logical_or, False, MASK))
implements(np.all)(reduction(ops.logical_and, True, MASK))
implements(np.cumsum)(running(ops.add))
implements(np.cumprod)(running(ops.mul))


def reduces(rule: Rule) -> Rule:
    """The `reduce` of a ufunc: along axis 0 unless told."""

    def method(array: Array, axis: Any = 0, **kwargs: Any) -> Any:
        return rule(array.graph, array, axis=axis, **kwargs)

    return method


REDUCERS: dict[np.ufunc, tuple[Any, Operation]] = {
    np.add: (np.sum, ops.add),
    np.multiply: (np.prod, ops.mul),
    np.minimum: (np.min, ops.minimum),
    np.maximum: (np.max, ops.maximum),
    np.logical_or: (np.any, ops.logical_or),
    np.logical_and: (np.all, ops.logical_and),
}
for ufunc, (reducer, op) in REDUCERS.items():
    UFUNC_METHODS[ufunc, "reduce"] = reduces(FUNCTIONS[reducer])
    if op.result == REAL:
        UFUNC_METHODS[ufunc, "accumulate"] = reduces(running(op))


def axis_count(array: Any, axis: Any) -> int:
    shape = np.shape(array)
    return math.prod(shape if axis is None else (shape[i] for i in normalize_axis_tuple(axis, len(shape))))


@implements(np.mean)
def mean(graph: Graph, array: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return sum_of(graph, array, axis, keepdims) / axis_count(array, axis)


@implements(np.average)
def average(graph: Graph, array: Any, axis: Any = None, weights: Any = None, keepdims: bool = False) -> Any:
    if weights is None:
        return mean(graph, array, axis, keepdims)
    array, weights = lift(graph, array), lift(graph, weights)
    if weights.shape != array.shape:
        if axis is None or weights.ndim != 1:
            raise ShapeError(f"np.average needs weights of shape {array.shape}, or 1-D ones along an axis")
        shape = [1] * array.ndim
        shape[axis] = weights.size
        weights = weights.reshape(shape)
    spread = np.broadcast_to(weights, array.shape)
    return sum_of(graph, array * weights, axis, keepdims) / sum_of(graph, spread, axis, keepdims)


@implements(np.var)
def variance(graph: Graph, array: Any, axis: Any = None, ddof: float = 0, keepdims: bool = False) -> Any:
    deviation = lift(graph, array) - mean(graph, array, axis, keepdims=True)
    return sum_of(graph, deviation * deviation, axis, keepdims) / (axis_count(array, axis) - ddof)


@implements(np.std)
def deviation(graph: Graph, array: Any, axis: Any = None, ddof: float = 0, keepdims: bool = False) -> Any:
    return np.sqrt(variance(graph, array, axis, ddof, keepdims))


@implements(np.ptp)
def spread(graph: Graph, array: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return largest(graph, array, axis, keepdims) - smallest(graph, array, axis, keepdims)


@implements(np.count_nonzero)
def count_nonzero(graph: Graph, array: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return sum_of(graph, as_kind(lift(graph, array), MASK), axis, keepdims)


@implements(np.diff)
def diff(graph: Graph, array: Any, n: int = 1, axis: int = -1) -> Any:
    array = lift(graph, array)
    for _ in range(n):
        nodes = np.moveaxis(array.nodes, axis, 0)
        step = array.like(nodes[1:]) - array.like(nodes[:-1])
        array = step.like(np.moveaxis(step.nodes, 0, axis))
    return array


@implements(np.trapezoid)
def trapezoid(graph: Graph, y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    nodes = np.moveaxis(lift(graph, y).nodes, axis, -1)
    y = SymbolicArray(graph, nodes)
    width = dx if x is None else np.diff(x)
    return sum_of(graph, width * (y[..., 1:] + y[..., :-1]) / 2.0, -1)
