"""Operations of A⁻¹b with its full Jacobian by A and b, n = 2 … 7: exact counts, so no clock is read.

Columns: this package; the same elimination written as plain code and differentiated operation by operation, without
pivoting; cofactors written out; CasADi's `solve` with its Jacobian and `cse`, by
instructions other than inputs, outputs and constants.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import hybrid as hy

try:
    import casadi
except ImportError:  # the column is left empty
    casadi = None


def plain_elimination(a: Any, b: Any) -> Any:
    n = len(b)
    rows, right = [list(a[i]) for i in range(n)], list(b)
    for k in range(n):
        for i in range(k + 1, n):
            factor = rows[i][k] / rows[k][k]
            for j in range(k + 1, n):
                rows[i][j] = rows[i][j] - factor * rows[k][j]
            right[i] = right[i] - factor * right[k]
    for k in reversed(range(n)):
        for j in range(k + 1, n):
            right[k] = right[k] - rows[k][j] * right[j]
        right[k] = right[k] / rows[k][k]
    return np.stack(right)


def determinant(a: Any) -> Any:
    if len(a) == 1:
        return a[0][0]
    total = 0
    for j in range(len(a)):
        smaller = [[x for k, x in enumerate(row) if k != j] for row in a[1:]]
        total = total + (-1) ** j * a[0][j] * determinant(smaller)
    return total


def cofactors(a: Any, b: Any) -> Any:
    n = len(b)
    rows = [list(a[i]) for i in range(n)]
    whole = determinant(rows)
    replaced = [[[b[i] if j == k else rows[i][j] for j in range(n)] for i in range(n)] for k in range(n)]
    return np.stack([determinant(part) / whole for part in replaced])


def count(code: Any, n: int) -> int:
    f = hy.function(a=(n, n), b=(n,))(code)
    return hy.compile(f, f.jacobian(), verify=False).operations


def casadi_count(n: int) -> int:
    a, b = casadi.SX.sym("a", n, n), casadi.SX.sym("b", n)
    x = casadi.solve(a, b)
    inputs = casadi.vertcat(casadi.vec(a), b)
    f = casadi.Function("f", [a, b], casadi.cse([x, casadi.jacobian(x, inputs)]))
    free = {casadi.OP_INPUT, casadi.OP_OUTPUT, casadi.OP_CONST}
    return sum(f.instruction_id(k) not in free for k in range(f.n_instructions()))


def main() -> None:
    print(f"{'n':>2} {'here':>7} {'elimination':>12} {'cofactors':>10} {'CasADi':>8}")
    for n in range(2, 8):
        here = count(lambda a, b: np.linalg.solve(a, b), n)
        plain = count(plain_elimination, n) if n <= 5 else None
        written = count(cofactors, n) if n <= 4 else None
        peer = casadi_count(n) if casadi is not None else None
        columns = zip((here, plain, written, peer), (7, 12, 10, 8), strict=True)
        row = [f"{'-' if value is None else value:>{width}}" for value, width in columns]
        print(f"{n:>2} {' '.join(row)}", flush=True)


if __name__ == "__main__":
    main()
