"""`np.linalg` of small matrices of fixed size, for symbolic arrays.

Solutions and inverses are systems of linear equations (`hybrid.systems`), which differentiate by their factors.
Determinants up to 3×3 are written out with cofactors, larger ones are products of the pivots of the same elimination;
their derivatives follow the pivots that were chosen, and are right at matrices of rank n − 1 too.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from hybrid import operations as ops
from hybrid.errors import ShapeError, UnsupportedError
from hybrid.graph import Graph, Term
from hybrid.operations import REAL
from hybrid.symbolic_array import as_kind, full, lift, select
from hybrid.systems import COFACTORS, factorise, linear_system, small_determinant
from hybrid.trace_functions import implements, largest, smallest, sum_of
from hybrid.trace_products import matmul

Array = Any  # a SymbolicArray: NumPy's stubs type what its functions return as plain arrays


class SlogdetResult(NamedTuple):
    """As NumPy's result of that name."""

    sign: Array
    logabsdet: Array


def square(graph: Graph, matrix: Any, name: str) -> Array:
    matrix = as_kind(lift(graph, matrix), REAL)
    if matrix.ndim < 2 or matrix.shape[-1] != matrix.shape[-2]:
        raise ShapeError(f"np.linalg.{name} needs a square matrix, or a stack of them, got shape {matrix.shape}")
    return matrix


def stacked(rule: Callable[..., Array], *arrays: tuple[Array, int]) -> Array:
    """Apply a rule for single arrays along the leading axes of arrays given with their number of own axes."""
    batches = [array.shape[: array.ndim - own] for array, own in arrays]
    batch = np.broadcast_shapes(*batches)
    if not batch:
        return rule(*(array for array, _ in arrays))
    spread = [
        array.like(np.broadcast_to(array.nodes, batch + array.shape[array.ndim - own :])) for array, own in arrays
    ]
    results = [rule(*(array[index] for array in spread)) for index in np.ndindex(*batch)]
    joined: Array = np.stack(results)
    return joined.reshape(batch + results[0].shape)


def entries(matrix: Array) -> list[list[int]]:
    rows: list[list[int]] = matrix.nodes.tolist()
    return rows


def determinant(matrix: Array) -> Array:
    if len(matrix) <= COFACTORS:
        return matrix.like(small_determinant(matrix.graph, entries(matrix)))
    return matrix.like(factorise(matrix.graph, entries(matrix)).determinant())


def solve_system(matrix: Array, right: Array) -> Array:
    """One composite operation per right-hand side; they share the matrix and so its factors."""
    system = linear_system(len(matrix))
    given = tuple(matrix.nodes.reshape(-1).tolist())
    columns = right.nodes.reshape(len(matrix), -1).T.tolist()
    found = [system.nodes(matrix.graph, (*given, *column)) for column in columns]
    if not found or not given:
        return right.copy()
    return matrix.like(np.array(found, dtype=np.int64).reshape(-1, len(matrix)).T.reshape(right.shape))


def sign_and_logarithm(matrix: Array) -> Array:
    """The sign of the determinant and the logarithm of its size, from the pivots, whose product may overflow."""
    graph = matrix.graph
    factors = factorise(graph, entries(matrix))
    pivots = [Term(graph, factors.upper[k][k]) for k in range(len(matrix))]
    size = functools.reduce(lambda x, y: x + y, [ops.log(ops.abs_(pivot)) for pivot in pivots])
    sign = functools.reduce(lambda x, y: x * y, [ops.sign(pivot) for pivot in pivots])
    for step in factors.steps:
        for _, mask in step.exchanges:
            sign = -sign if mask is None else ops.where(Term(graph, mask), -sign, sign)
    return matrix.like([sign.node, size.node])


def cholesky_factor(matrix: Array) -> Array:
    """Lower triangle L with L·Lᵀ = matrix; NaN where the matrix is not positive definite."""
    n = len(matrix)
    lower = full(matrix.graph, (n, n), 0)
    for j in range(n):
        for i in range(j, n):
            value = matrix[i, j]
            for k in range(j):
                value = value - lower[i, k] * lower[j, k]
            lower[i, j] = np.sqrt(value) if i == j else value / lower[j, j]
    return lower


@implements(np.linalg.det)
def det(graph: Graph, matrix: Any) -> Array:
    return stacked(determinant, (square(graph, matrix, "det"), 2))


@implements(np.linalg.inv)
def inv(graph: Graph, matrix: Any) -> Array:
    matrix = square(graph, matrix, "inv")
    return stacked(solve_system, (matrix, 2), (lift(graph, np.eye(matrix.shape[-1], dtype=int)), 2))


@implements(np.linalg.slogdet)
def slogdet(graph: Graph, matrix: Any) -> tuple[Array, Array]:
    pair = stacked(sign_and_logarithm, (square(graph, matrix, "slogdet"), 2))
    return SlogdetResult(pair[..., 0], pair[..., 1])


@implements(np.linalg.solve)
def solve(graph: Graph, matrix: Any, right: Any) -> Array:
    """One right-hand side is a vector if it has one axis, else a matrix, as in NumPy 2."""
    matrix, right = square(graph, matrix, "solve"), as_kind(lift(graph, right), REAL)
    own = 1 if right.ndim == 1 else 2
    if right.ndim == 0 or right.shape[right.ndim - own] != matrix.shape[-1]:
        raise ShapeError(
            f"np.linalg.solve needs a right-hand side of length {matrix.shape[-1]}, got shape {right.shape}"
        )
    return stacked(solve_system, (matrix, 2), (right, own))


@implements(np.linalg.cholesky)
def cholesky(graph: Graph, matrix: Any) -> Array:
    return stacked(cholesky_factor, (square(graph, matrix, "cholesky"), 2))


@implements(np.linalg.matrix_power)
def matrix_power(graph: Graph, matrix: Any, n: int) -> Array:
    """By repeated squaring."""
    matrix = square(graph, matrix, "matrix_power")
    if n < 0:
        matrix, n = inv(graph, matrix), -n
    result = lift(graph, np.broadcast_to(np.eye(matrix.shape[-1], dtype=int), matrix.shape)) if n == 0 else None
    while n:
        if n % 2:
            result = matrix if result is None else matmul(result, matrix)
        n //= 2
        matrix = matmul(matrix, matrix) if n else matrix
    assert result is not None  # n > 0 sets it in its last round
    return result


@implements(np.linalg.multi_dot)
def multi_dot(graph: Graph, arrays: Any) -> Array:
    return functools.reduce(matmul, [lift(graph, array) for array in arrays])


@implements(np.linalg.norm)
def norm(graph: Graph, x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """The 2-norm of all elements or along an axis, the Frobenius norm, and 1, p and infinity norms of vectors."""
    x = as_kind(lift(graph, x), REAL)
    axes = axis if axis is None or isinstance(axis, tuple) else (axis,)
    vectors = (x.ndim if axes is None else len(axes)) == 1
    if ord is None or ord == "fro" or (ord == 2 and vectors):
        squares = sum_of(graph, x * x, axes, keepdims)
        return select(squares == 0, lift(graph, 0), np.sqrt(squares))  # at 0 the derivative is 0, as in PyTorch
    size = np.abs(x)
    if not vectors:
        return matrix_norm(graph, size, ord, axes, keepdims)
    if ord == math.inf:
        return largest(graph, size, axes, keepdims)
    if ord == -math.inf:
        return smallest(graph, size, axes, keepdims)
    if ord == 0:
        return sum_of(graph, x != 0, axes, keepdims)
    if ord == 1:
        return sum_of(graph, size, axes, keepdims)
    return sum_of(graph, size**ord, axes, keepdims) ** (1 / ord)


def matrix_norm(graph: Graph, size: Array, ord: Any, axes: Any, keepdims: bool) -> Any:
    """The largest or smallest sum of sizes along columns (±1) or rows (±inf)."""
    if ord not in (1, -1, math.inf, -math.inf) or keepdims:
        raise UnsupportedError(
            f"np.linalg.norm of a matrix with ord={ord!r} is not supported here; use 'fro', 1 or inf"
        )
    row, column = (0, 1) if axes is None else axes
    if not all(0 <= axis < 2 for axis in (row, column)) or size.ndim != 2:
        raise UnsupportedError("np.linalg.norm with ord= takes one matrix in a traced function; loop over the stack")
    sums = sum_of(graph, size, row if abs(ord) == 1 else column)
    return largest(graph, sums) if ord > 0 else smallest(graph, sums)
