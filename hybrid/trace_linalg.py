"""`np.linalg` of small matrices of fixed size, for symbolic arrays.

Up to 3×3, determinants and inverses are written out with cofactors: right for every regular matrix, and cheapest.
Larger systems go through Gaussian elimination with partial pivoting, where a row exchange is a selection per element,
so that the factorisation is as stable as LAPACK's and its derivatives follow the pivots that were chosen.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from hybrid.errors import ShapeError, UnsupportedError
from hybrid.graph import Graph
from hybrid.operations import REAL
from hybrid.symbolic_array import as_kind, full, lift, select
from hybrid.trace_functions import implements, largest, smallest, sum_of
from hybrid.trace_products import matmul

Array = Any  # a SymbolicArray: NumPy's stubs type what its functions return as plain arrays
COFACTORS = 3  # the largest size for which cofactors are written out


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


def minor(matrix: Array, row: int, column: int) -> Array:
    nodes = np.delete(np.delete(matrix.nodes, row, 0), column, 1)
    return small_determinant(matrix.like(nodes))


def small_determinant(matrix: Array) -> Array:
    """By expansion along the first row."""
    if not len(matrix):
        return lift(matrix.graph, 1)
    if len(matrix) == 1:
        return matrix[0, 0]
    if len(matrix) == 2:
        return matrix[0, 0] * matrix[1, 1] - matrix[0, 1] * matrix[1, 0]
    terms = [(1 if j % 2 == 0 else -1, matrix[0, j] * minor(matrix, 0, j)) for j in range(len(matrix))]
    plus = [term for sign, term in terms if sign > 0]
    less = [term for sign, term in terms if sign < 0]
    return functools.reduce(lambda x, y: x + y, plus) - functools.reduce(lambda x, y: x + y, less)


def small_inverse(matrix: Array) -> Array:
    """Transposed cofactors over the determinant."""
    n = len(matrix)
    if n == 1:
        return 1 / matrix
    cofactors = [
        [minor(matrix, i, j) if (i + j) % 2 == 0 else -minor(matrix, i, j) for j in range(n)] for i in range(n)
    ]
    determinant = sum_of(matrix.graph, matrix[0] * lift(matrix.graph, cofactors[0]))
    adjugate: Array = lift(matrix.graph, cofactors).T
    return adjugate / determinant


def eliminate(matrix: Array, right: Array) -> tuple[Array, Array, Array]:
    """Upper triangle, transformed right-hand sides and the sign of the row exchanges."""
    upper, right = matrix.copy(), right.copy()
    sign = lift(matrix.graph, 1)
    n = len(upper)
    for k in range(n):
        for i in range(k + 1, n):
            exchange = np.abs(upper[i, k]) > np.abs(upper[k, k])
            for rows in (upper, right):
                first, second = rows[k].copy(), rows[i].copy()
                rows[k], rows[i] = select(exchange, second, first), select(exchange, first, second)
            sign = select(exchange, -sign, sign)
        for i in range(k + 1, n):
            factor = upper[i, k] / upper[k, k]
            upper[i, k + 1 :] = upper[i, k + 1 :] - factor * upper[k, k + 1 :]
            right[i] = right[i] - factor * right[k]
    return upper, right, sign


def back_substitute(upper: Array, right: Array) -> Array:
    solution = right.copy()
    for k in reversed(range(len(upper))):
        value = right[k]
        for j in range(k + 1, len(upper)):
            value = value - upper[k, j] * solution[j]
        solution[k] = value / upper[k, k]
    return solution


def determinant(matrix: Array) -> Array:
    if len(matrix) <= COFACTORS:
        return small_determinant(matrix)
    upper, _, sign = eliminate(matrix, full(matrix.graph, (len(matrix), 0), 0))
    return functools.reduce(lambda x, y: x * y, upper.diagonal(), sign)


def solve_system(matrix: Array, right: Array) -> Array:
    if len(matrix) <= COFACTORS:
        return matmul(small_inverse(matrix), right)
    upper, transformed, _ = eliminate(matrix, right)
    return back_substitute(upper, transformed)


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
    if matrix.shape[-1] <= COFACTORS:
        return stacked(small_inverse, (matrix, 2))
    return stacked(solve_system, (matrix, 2), (lift(graph, np.eye(matrix.shape[-1], dtype=int)), 2))


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
