"""Systems of linear equations of small fixed size: one factorisation serves the solution and all its derivatives.

`A x = b` is a composite operation on the entries of A and b. Its derivative is dx = A⁻¹(db − dA x), again the solution
of a system with the same A, and Aᵀ in reverse mode: derivatives of any order need the factors that are there already.
[Giles, Collected matrix derivative results for forward and reverse mode AD, 2008, 2.3]

Written out, a system of up to 3 unknowns uses cofactors, a larger one Gaussian elimination with partial pivoting, where
an exchange of rows is a selection: as stable as LAPACK's. [Golub & Van Loan, Matrix Computations, 4th ed., 3.4]
Entries that are the constant 0 cost nothing, and a matrix with only zeros above the diagonal is not pivoted.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from hybrid import operations as ops
from hybrid.composite import (
    Composite,
    Nodes,
    Weights,
    chosen,
    is_number,
    minus,
    negative,
    plus,
    times,
    weighted_sum,
)
from hybrid.graph import Graph

COFACTORS = 3  # the largest size for which cofactors are written out
Rows = list[list[int]]


@dataclass(frozen=True)
class Step:
    """Column k of an elimination: row k is exchanged with row i where a mask holds (None: always); factors by row."""

    exchanges: list[tuple[int, int | None]]
    factors: dict[int, int]


@dataclass(frozen=True)
class Factors:
    """L, U and the exchanges of a matrix: upper rows, reciprocals of the diagonal, one step per column.

    Of a lower triangular matrix they are those of its transpose, which needs no steps.
    """

    graph: Graph
    upper: Rows
    reciprocals: list[int]
    steps: list[Step]
    flipped: bool = False

    def solve(self, right: Sequence[int], transposed: bool = False) -> list[int]:
        return self.backward(right) if transposed == self.flipped else self.forward(right)

    def backward(self, right: Sequence[int]) -> list[int]:
        graph, x = self.graph, list(right)
        for k, step in enumerate(self.steps):
            for i, mask in step.exchanges:
                x[k], x[i] = exchange(graph, mask, x[k], x[i])
            for i, factor in step.factors.items():
                x[i] = minus(graph, x[i], times(graph, factor, x[k]))
        for k in reversed(range(len(x))):
            for j in range(k + 1, len(x)):
                x[k] = minus(graph, x[k], times(graph, self.upper[k][j], x[j]))
            x[k] = times(graph, x[k], self.reciprocals[k])
        return x

    def forward(self, right: Sequence[int]) -> list[int]:
        graph, x = self.graph, list(right)
        for k in range(len(x)):
            for j in range(k):
                x[k] = minus(graph, x[k], times(graph, self.upper[j][k], x[j]))
            x[k] = times(graph, x[k], self.reciprocals[k])
        for k, step in reversed(list(enumerate(self.steps))):
            for i, factor in step.factors.items():
                x[k] = minus(graph, x[k], times(graph, factor, x[i]))
            for i, mask in reversed(step.exchanges):
                x[k], x[i] = exchange(graph, mask, x[k], x[i])
        return x

    def determinant(self) -> int:
        """The product of the pivots, negated for every exchange made."""
        graph = self.graph
        product = self.upper[0][0]
        for k in range(1, len(self.upper)):
            product = times(graph, product, self.upper[k][k])
        for step in self.steps:
            for _, mask in step.exchanges:
                flipped = negative(graph, product)
                product = flipped if mask is None else chosen(graph, mask, flipped, product)
        return product


def exchange(graph: Graph, mask: int | None, x: int, y: int) -> tuple[int, int]:
    if mask is None:
        return y, x
    return chosen(graph, mask, y, x), chosen(graph, mask, x, y)


def factorise(graph: Graph, matrix: Rows) -> Factors:
    """P A = L U; the pivot of a column is its largest entry, the first of equal ones."""
    rows = [list(row) for row in matrix]
    n = len(rows)
    flipped = all(is_number(graph, rows[i][j], 0) for i in range(n) for j in range(i + 1, n))
    if flipped:
        rows = [list(column) for column in zip(*rows, strict=True)]
    steps, reciprocals = [], []
    for k in range(n):
        step = Step([], {})
        below = [i for i in range(k + 1, n) if not is_number(graph, rows[i][k], 0)]
        for i in below:
            mask = None
            if not is_number(graph, rows[k][k], 0):
                sizes = [graph.add_node(ops.abs_, (rows[row][k],)) for row in (i, k)]
                mask = graph.add_node(ops.gt, tuple(sizes))
            for j in range(k, n):
                rows[k][j], rows[i][j] = exchange(graph, mask, rows[k][j], rows[i][j])
            step.exchanges.append((i, mask))
        reciprocal = rows[k][k]
        if not is_number(graph, reciprocal, 1):
            reciprocal = graph.add_node(ops.div, (graph.constant(1), reciprocal))
        reciprocals.append(reciprocal)
        for i in range(k + 1, n):
            if not is_number(graph, rows[i][k], 0):
                factor = step.factors[i] = times(graph, rows[i][k], reciprocal)
                for j in range(k + 1, n):
                    rows[i][j] = minus(graph, rows[i][j], times(graph, factor, rows[k][j]))
        steps.append(step)
    return Factors(graph, rows, reciprocals, steps, flipped)


# --- cofactors --------------------------------------------------------------------------------------------------------
def small_determinant(graph: Graph, rows: Rows) -> int:
    """By expansion along the first row."""
    if not rows:
        return graph.constant(1)
    result = graph.constant(0)
    for j, entry in enumerate(rows[0]):
        term = times(graph, entry, small_determinant(graph, minor(rows, 0, j)))
        result = minus(graph, result, term) if j % 2 else plus(graph, (result, term))
    return result


def minor(rows: Rows, row: int, column: int) -> Rows:
    return [[entry for j, entry in enumerate(other) if j != column] for i, other in enumerate(rows) if i != row]


def adjugate(graph: Graph, rows: Rows) -> Rows:
    """The transposed matrix of cofactors."""
    n = len(rows)
    return [
        [
            negative(graph, part) if (i + j) % 2 else part
            for j in range(n)
            for part in [small_determinant(graph, minor(rows, j, i))]
        ]
        for i in range(n)
    ]


def brackets(rows: Sequence[str]) -> str:
    """A LaTeX matrix of rows, for a template: its braces are escaped."""
    return r"\begin{{bmatrix}} " + r" \\ ".join(rows) + r" \end{{bmatrix}}"


# --- the operation ----------------------------------------------------------------------------------------------------
class LinearSystem(Composite):
    """x with A x = b, or with Aᵀ x = b: the arguments are the n² entries of A in C order, then those of b."""

    written_out = True

    def __init__(self, size: int, transposed: bool) -> None:
        self.size = size
        self.transposed = transposed
        super().__init__("solve_transposed" if transposed else "solve", size, size * (size + 1))

    @property
    def adjoint(self) -> LinearSystem:
        return linear_system(self.size, not self.transposed)

    def nodes(self, graph: Graph, args: Nodes) -> Nodes:
        if self.size == 1:
            return (graph.add_node(ops.div, (args[1], args[0])),)
        return super().nodes(graph, args)

    def rows(self, args: Sequence[int]) -> Rows:
        return [list(args[row * self.size : (row + 1) * self.size]) for row in range(self.size)]

    def latex(self, place: int) -> str:
        n = self.size
        place_of = "{{{}}}".format
        rows = [" & ".join(place_of(i * n + j) for j in range(n)) for i in range(n)]
        left = brackets(rows)
        right = brackets([place_of(n * n + i) for i in range(n)])
        power = r"-\mathsf{{T}}" if self.transposed else "-1"
        return rf"\left({left}^{{{{{power}}}}} {right}\right)_{{{{{place + 1}}}}}"

    def values(self, *args: Any) -> Sequence[Any]:
        n = self.size
        spread = np.stack(np.broadcast_arrays(*args), axis=-1).astype(np.float64)
        matrix = spread[..., : n * n].reshape(*spread.shape[:-1], n, n)
        matrix = matrix.swapaxes(-1, -2) if self.transposed else matrix
        right = spread[..., n * n :, np.newaxis]
        try:
            solution = np.linalg.solve(matrix, right)
        except np.linalg.LinAlgError:  # of a stack of matrices one is singular: NaN there and nowhere else
            solution = np.full(right.shape, np.nan)
            for point in np.ndindex(*right.shape[:-2]):
                with suppress(np.linalg.LinAlgError):
                    solution[point] = np.linalg.solve(matrix[point], right[point])
        return [solution[..., i, 0] for i in range(n)]

    def expand(self, graph: Graph, args: Nodes) -> Sequence[int]:
        rows, right = self.rows(args), args[self.size**2 :]
        if self.size > COFACTORS:
            return factorise(graph, rows).solve(right, self.transposed)
        inverse = adjugate(graph, rows)
        determinant = small_determinant(graph, rows)
        scale = graph.add_node(ops.div, (graph.constant(1), determinant))
        columns = zip(*inverse, strict=True) if self.transposed else inverse
        return [
            times(graph, plus(graph, [times(graph, x, y) for x, y in zip(row, right, strict=True)]), scale)
            for row in columns
        ]

    def solve(self, graph: Graph, matrix: Sequence[int], right: Weights) -> list[int | None]:
        """The solution for one right-hand side; for a single entry a multiple of a column of the inverse."""
        zero = graph.constant(0)
        entries = [(k, node) for k, node in enumerate(right) if node is not None and not is_number(graph, node, 0)]
        if not entries:
            return [None] * self.size
        if len(entries) > 1:
            full = tuple(zero if node is None else node for node in right)
            return list(self.nodes(graph, (*matrix, *full)))
        place, weight = entries[0]
        if self.size == 1:
            return list(self.nodes(graph, (matrix[0], weight)))
        unit = tuple(graph.constant(int(k == place)) for k in range(self.size))
        return [times(graph, weight, node) for node in self.nodes(graph, (*matrix, *unit))]

    def pull(self, graph: Graph, args: Nodes, outs: Nodes, weights: Weights) -> Sequence[int | None]:
        n = self.size
        adjoint = self.adjoint.solve(graph, args[: n * n], weights)
        negated = [None if node is None else negative(graph, node) for node in adjoint]
        first, second = (outs, negated) if self.transposed else (negated, outs)
        matrix: list[int | None] = []
        for k in range(n):
            for j in range(n):
                constant = graph.is_constant(args[k * n + j])
                matrix.append(None if constant else weighted_sum(graph, [(first[k], second[j])]))
        return [*matrix, *adjoint]

    def push(self, graph: Graph, args: Nodes, outs: Nodes, tangents: Weights) -> Sequence[int | None]:
        n = self.size
        right: list[int | None] = []
        for k in range(n):
            own = [tangents[j * n + k] if self.transposed else tangents[k * n + j] for j in range(n)]
            moved, given = weighted_sum(graph, list(zip(own, outs, strict=True))), tangents[n * n + k]
            if moved is None:
                right.append(given)
            else:
                right.append(negative(graph, moved) if given is None else minus(graph, given, moved))
        return self.solve(graph, args[: n * n], right)

    def __reduce__(self) -> tuple[Any, ...]:
        return linear_system, (self.size, self.transposed)  # of one size there is one


@cache
def linear_system(size: int, transposed: bool = False) -> LinearSystem:
    return LinearSystem(size, transposed)
