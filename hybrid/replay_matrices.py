"""SymPy's matrix expressions on the numbers of any algebra, for the check: inverses by cofactors, unlike kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sympy as sp
from sympy.matrices.expressions.hadamard import HadamardPower
from sympy.matrices.expressions.slice import MatrixSlice

from hybrid.errors import UnsupportedError

Rows = list[list[Any]]
LARGEST = 5  # rows of a determinant by expansion, which takes n! products


class Matrices:
    """Values of matrix expressions, each found once; `value` gives that of a scalar expression."""

    def __init__(self, operations: Any, value: Callable[[Any], Any]) -> None:
        self.operations = operations
        self.value = value
        self.known: dict[int, tuple[Any, Rows]] = {}

    def rows(self, matrix: Any) -> Rows:
        found = self.known.get(id(matrix))
        if found is None:
            found = self.known[id(matrix)] = matrix, self._rows(matrix)
        return found[1]

    def _rows(self, matrix: Any) -> Rows:
        if isinstance(matrix, sp.MatMul):
            return self._product(matrix)
        if isinstance(matrix, sp.MatAdd | sp.HadamardProduct):
            name = "add" if isinstance(matrix, sp.MatAdd) else "mul"
            first, *others = map(self.rows, matrix.args)
            for other in others:
                first = [
                    [self.operations[name](x, y) for x, y in zip(*pair, strict=True)]
                    for pair in zip(first, other, strict=True)
                ]
            return first
        if isinstance(matrix, sp.Transpose):
            return [list(row) for row in zip(*self.rows(matrix.arg), strict=True)]
        if isinstance(matrix, sp.Inverse):
            return self._inverse(self.rows(matrix.arg))
        if isinstance(matrix, sp.MatPow) and matrix.exp.is_Integer and matrix.exp != 0:
            rows = self.rows(matrix.base)
            result = rows
            for _ in range(abs(int(matrix.exp)) - 1):
                result = self._times(result, rows)
            return result if matrix.exp > 0 else self._inverse(result)
        if isinstance(matrix, HadamardPower):
            exponent = self.value(matrix.exp)
            return [[self.operations["pow"](x, exponent) for x in row] for row in self.rows(matrix.base)]
        if isinstance(matrix, MatrixSlice):
            rows = self.rows(matrix.parent)
            (a, b, c), (d, e, f) = (map(int, part) for part in (matrix.rowslice, matrix.colslice))
            return [row[d:e:f] for row in rows[a:b:c]]
        if isinstance(matrix, sp.BlockMatrix):
            count, across = matrix.blockshape
            found: Rows = []
            for i in range(count):
                parts = [self.rows(matrix.blocks[i, j]) for j in range(across)]
                found += [[x for piece in pieces for x in piece] for pieces in zip(*parts, strict=True)]
            return found
        explicit = matrix if isinstance(matrix, sp.MatrixBase) else matrix.as_explicit()
        return [[self.value(explicit[i, j]) for j in range(explicit.cols)] for i in range(explicit.rows)]

    def _times(self, left: Rows, right: Rows) -> Rows:
        add, mul = self.operations["add"], self.operations["mul"]
        result = []
        for row in left:
            line = []
            for column in zip(*right, strict=True):
                products = [mul(x, y) for x, y in zip(row, column, strict=True)]
                total = products[0]
                for term in products[1:]:
                    total = add(total, term)
                line.append(total)
            result.append(line)
        return result

    def _product(self, matrix: Any) -> Rows:
        coefficient, factors = matrix.as_coeff_matrices()
        result = self.rows(factors[0])
        for factor in factors[1:]:
            result = self._times(result, self.rows(factor))
        scale = self.value(coefficient)
        return [[self.operations["mul"](scale, x) for x in row] for row in result]

    def determinant(self, rows: Rows) -> Any:
        if len(rows) > LARGEST:
            raise UnsupportedError(f"the check expands no determinant of {len(rows)} rows")
        if len(rows) == 1:
            return rows[0][0]
        total: Any = None
        for j, x in enumerate(rows[0]):
            term = self.operations["mul"](x, self.determinant(minor(rows, 0, j)))
            if j == 0:
                total = term
                continue
            total = self.operations["sub" if j % 2 else "add"](total, term)
        return total

    def _inverse(self, rows: Rows) -> Rows:
        n, operations = len(rows), self.operations
        determinant = self.determinant(rows)
        if n == 1:
            return [[operations["div"](self.value(sp.S.One), determinant)]]
        cofactors = [[self.determinant(minor(rows, j, i)) for j in range(n)] for i in range(n)]
        return [
            [operations["div"](operations["neg"](x) if (i + j) % 2 else x, determinant) for j, x in enumerate(row)]
            for i, row in enumerate(cofactors)
        ]


def minor(rows: Rows, row: int, column: int) -> Rows:
    return [[x for j, x in enumerate(other) if j != column] for i, other in enumerate(rows) if i != row]
