"""Sums of products for symbolic arrays: `@`, dot, tensordot, einsum, cross and their relatives.

Each result is one n-ary sum of products of nodes, so that simplification sees all of its terms at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from hybrid import operations as ops
from hybrid.errors import ShapeError, UnsupportedError
from hybrid.graph import Graph
from hybrid.operations import REAL
from hybrid.symbolic_array import FUNCTIONS, UFUNCS, Nodes, SymbolicArray, as_kind, lift
from hybrid.trace_functions import implements, sum_of

Array = Any  # a SymbolicArray: NumPy's stubs type what its functions return as plain arrays


def sum_products(graph: Graph, operands: Sequence[Nodes], summed: int) -> Nodes:
    """Multiply operands that broadcast, then sum over the last `summed` axes: one sum of products per result."""
    arrays = np.broadcast_arrays(*operands)
    shape = arrays[0].shape
    outer, inner = shape[: len(shape) - summed], math.prod(shape[len(shape) - summed :])
    factors = zip(*(array.reshape(-1).tolist() for array in arrays), strict=True)
    terms = [graph.add_node(ops.mul, nodes) if len(nodes) > 1 else nodes[0] for nodes in factors]
    if not inner:
        return np.full(outer, graph.constant(0), dtype=np.int64)
    if inner > 1:
        terms = [graph.add_node(ops.add, tuple(terms[i : i + inner])) for i in range(0, len(terms), inner)]
    return np.array(terms, dtype=np.int64).reshape(outer)


def numbers(graph: Graph, value: Any) -> Nodes:
    return as_kind(lift(graph, value), REAL).nodes


def matmul(x: Array, y: Array) -> Array:
    """x @ y with NumPy's rules for vectors and stacks of matrices."""
    graph = x.graph
    left, right = numbers(graph, x), numbers(graph, y)
    if not left.ndim or not right.ndim:
        raise ValueError(f"matmul needs arrays with axes, got shapes {left.shape} and {right.shape}; use *")
    rows_of = left[np.newaxis] if left.ndim == 1 else left
    columns = right if right.ndim == 1 else right.swapaxes(-1, -2)
    columns = columns[np.newaxis] if right.ndim == 1 else columns
    if rows_of.shape[-1] != columns.shape[-1]:
        raise ShapeError(
            f"matmul of shapes {left.shape} and {right.shape}: the last axis of the first ({left.shape[-1]}) must "
            f"match the {'only' if right.ndim == 1 else 'second last'} axis of the second ({columns.shape[-1]})"
        )
    result = sum_products(graph, [rows_of[..., :, np.newaxis, :], columns[..., np.newaxis, :, :]], 1)
    if right.ndim == 1:
        result = result[..., 0]
    if left.ndim == 1:
        result = result[..., 0] if right.ndim == 1 else result[..., 0, :]
    return SymbolicArray(graph, result)


@implements(np.dot)
def dot(graph: Graph, x: Any, y: Any) -> Any:
    x, y = lift(graph, x), lift(graph, y)
    if not x.ndim or not y.ndim:
        return x * y
    return tensordot(graph, x, y, ([-1], [-1 if y.ndim == 1 else -2]))


@implements(np.inner)
def inner(graph: Graph, x: Any, y: Any) -> Any:
    x, y = lift(graph, x), lift(graph, y)
    return tensordot(graph, x, y, ([-1], [-1])) if x.ndim and y.ndim else x * y


@implements(np.vdot)
def vdot(graph: Graph, x: Any, y: Any) -> Any:
    return dot(graph, lift(graph, x).ravel(), lift(graph, y).ravel())


@implements(np.outer, np.linalg.outer)
def outer(graph: Graph, x: Any, y: Any) -> Any:
    return lift(graph, x).reshape(-1, 1) * lift(graph, y).reshape(1, -1)


@implements(np.tensordot, np.linalg.tensordot)
def tensordot(graph: Graph, x: Any, y: Any, axes: Any = 2) -> Array:
    left, right = numbers(graph, x), numbers(graph, y)
    if isinstance(axes, int):
        axes = (range(left.ndim - axes, left.ndim), range(axes))
    over_left, over_right = (
        normalize_axis_tuple(tuple(np.atleast_1d(part)), array.ndim)
        for part, array in zip(axes, (left, right), strict=True)
    )
    lengths = [left.shape[i] for i in over_left], [right.shape[i] for i in over_right]
    if lengths[0] != lengths[1]:
        raise ShapeError(
            f"shapes {left.shape} and {right.shape} do not match: the axes summed over have lengths "
            f"{', '.join(map(str, lengths[0]))} and {', '.join(map(str, lengths[1]))}"
        )
    left = np.moveaxis(left, over_left, range(-len(over_left), 0))
    right = np.moveaxis(right, over_right, range(-len(over_right), 0))
    kept = left.ndim - len(over_left)
    spread = left.reshape(left.shape[:kept] + (1,) * (right.ndim - len(over_right)) + left.shape[kept:])
    return SymbolicArray(graph, sum_products(graph, [spread, right], len(over_left)))


@implements(np.kron)
def kron(graph: Graph, x: Any, y: Any) -> Any:
    x, y = lift(graph, x), lift(graph, y)
    ndim = max(x.ndim, y.ndim)
    first = (1,) * (ndim - x.ndim) + x.shape
    second = (1,) * (ndim - y.ndim) + y.shape
    left = x.reshape(tuple(n for length in first for n in (length, 1)))
    right = y.reshape(tuple(n for length in second for n in (1, length)))
    return (left * right).reshape(tuple(a * b for a, b in zip(first, second, strict=True)))


@implements(np.trace, np.linalg.trace)
def trace(graph: Graph, array: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    return sum_of(graph, lift(graph, array).diagonal(offset, axis1, axis2), -1)


@implements(np.linalg.vecdot)
def vecdot(graph: Graph, x: Any, y: Any, axis: int = -1) -> Any:
    arrays: list[Array] = [lift(graph, x), lift(graph, y)]
    return along_vectors(*(np.moveaxis(array, axis, -1) for array in arrays))


def with_axes(name: str, *pairs: tuple[Array, int]) -> None:
    """Raise ShapeError for an array with fewer axes than a product needs."""
    for array, axes in pairs:
        if array.ndim < axes:
            shapes = " and ".join(str(each.shape) for each, _ in pairs)
            raise ShapeError(f"{name} of shapes {shapes}: a vector has 1 axis, a matrix 2; use * for numbers")


def along_vectors(x: Array, y: Array) -> Array:
    with_axes("vecdot", (x, 1), (y, 1))
    if x.shape[-1] != y.shape[-1]:
        raise ShapeError(f"vecdot of shapes {x.shape} and {y.shape}: the vectors must be equally long")
    return sum_of(x.graph, x * y, -1)


def matrix_times_vector(a: Array, x: Array) -> Array:
    with_axes("matvec", (a, 2), (x, 1))
    return matmul(a, x.reshape((*x.shape, 1)))[..., 0]


def vector_times_matrix(x: Array, a: Array) -> Array:
    with_axes("vecmat", (x, 1), (a, 2))
    return matmul(x.reshape((*x.shape[:-1], 1, x.shape[-1])), a)[..., 0, :]


UFUNCS[np.matmul] = matmul
UFUNCS[np.vecdot] = along_vectors
if hasattr(np, "matvec"):  # NumPy 2.2
    UFUNCS[np.matvec] = matrix_times_vector
    UFUNCS[np.vecmat] = vector_times_matrix
FUNCTIONS[np.linalg.matmul] = lambda graph, x, y: matmul(lift(graph, x), lift(graph, y))


@implements(np.cross, np.linalg.cross)
def cross(graph: Graph, x: Any, y: Any, axis: int = -1) -> Any:
    x, y = (array.like(np.moveaxis(array.nodes, axis, -1)) for array in (lift(graph, x), lift(graph, y)))
    if x.shape[-1:] != (3,) or y.shape[-1:] != (3,):
        raise ShapeError(f"np.cross needs vectors of length 3 along the axis, got shapes {x.shape} and {y.shape}")
    x1, x2, x3 = (x[..., i] for i in range(3))
    y1, y2, y3 = (y[..., i] for i in range(3))
    return np.stack([x2 * y3 - x3 * y2, x3 * y1 - x1 * y3, x1 * y2 - x2 * y1], axis)


@implements(np.einsum)
def einsum(graph: Graph, subscripts: Any, *operands: Any, optimize: Any = True) -> Array:
    """Pairs are contracted in the order that `np.einsum_path` finds cheapest."""
    if not isinstance(subscripts, str):
        raise UnsupportedError("np.einsum needs its subscripts as text, such as 'ij,j->i', in a traced function")
    inputs, arrow, result = subscripts.replace(" ", "").partition("->")
    if "." in subscripts:
        raise UnsupportedError(
            f"np.einsum with '...' is not supported in a traced function, got {subscripts!r}; name axes"
        )
    if not arrow:
        result = "".join(sorted(label for label in set(inputs) - {","} if inputs.count(label) == 1))
    arrays = [numbers(graph, operand) for operand in operands]
    labels = inputs.split(",")
    blanks = [np.broadcast_to(0.0, array.shape) for array in arrays]
    path = np.einsum_path(f"{inputs}->{result}", *blanks, optimize="greedy" if len(arrays) > 2 else False)[0][1:]
    for step in path:
        chosen = [(labels[i], arrays[i]) for i in step]
        labels = [label for i, label in enumerate(labels) if i not in step]
        arrays = [array for i, array in enumerate(arrays) if i not in step]
        needed = set(result).union(*labels)
        kept = "".join(sorted(set("".join(label for label, _ in chosen)) & needed)) if arrays else result
        labels.append(kept)
        arrays.append(contract(graph, chosen, kept))
    return SymbolicArray(graph, arrays[0])


def contract(graph: Graph, operands: Sequence[tuple[str, Nodes]], result: str) -> Nodes:
    """Multiply labelled arrays and sum over the labels that the result lacks."""
    summed = sorted(set("".join(label for label, _ in operands)) - set(result))
    order = [*result, *summed]
    spread = []
    for label, array in operands:
        own = sorted(set(label), key=order.index)
        picked = np.einsum(f"{label}->{''.join(own)}", array)  # a view: diagonals and transposes only
        spread.append(picked[tuple(slice(None) if name in label else np.newaxis for name in order)])
    return sum_products(graph, spread, len(summed))
