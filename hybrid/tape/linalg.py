"""Linear algebra on matrices and stacks of matrices, differentiable any number of times.

Rules are the textbook ones [Giles, An extended collection of matrix derivative results, 2008; Seeger et al.,
Auto-differentiating linear algebra, 2017]. Decompositions need what their derivatives need: separated eigenvalues or
singular values, full rank. A singular matrix raises numpy.linalg.LinAlgError, as NumPy does.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from hybrid.errors import ArgumentError, UnsupportedError
from hybrid.tape.mode import is_grad_enabled
from hybrid.tape.node import sum_to
from hybrid.tape.products import matmul, transposed
from hybrid.tape.rule import Rule, record, record_many
from hybrid.tape.tensor import Tensor, as_tensor


def _square(x: Any, name: str) -> Tensor:
    x = as_tensor(x)
    if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
        raise ArgumentError(f"{name} takes square matrices, of shape (..., n, n), got {x.shape}")
    return x if x.dtype.kind == "f" else x.astype(np.float64)  # type: ignore[no-any-return]


def _diagonal_matrix(d: Any) -> Any:
    """The matrices with the vectors `d` (..., n) on their diagonals."""
    return d.reshape((*d.shape, 1)) * np.eye(d.shape[-1], dtype=d.dtype)


def _symmetric(x: Any) -> Any:
    return (x + transposed(x)) * 0.5


def _reciprocal_gaps(values: Any) -> Any:
    """1/(v_j − v_i) off the diagonal, 0 on it; infinite where two values agree."""
    n = values.shape[-1]
    gaps = values.reshape((*values.shape[:-1], 1, n)) - values.reshape((*values.shape, 1))
    eye = np.eye(n, dtype=bool)
    return np.where(eye, 0.0, 1 / np.where(eye, 1.0, gaps))


# ------------------------------------------------------------------------------------------------ rules
def _solve_joint(g: Any, a: Any, out: Any, a_shape: Any, b_shape: Any, rank: int) -> list[Any]:
    lead = g.ndim - rank
    gb = np.linalg.solve(transposed(a), g)
    return [sum_to(-(gb @ transposed(out)), a_shape, lead), sum_to(gb, b_shape, lead)]


def _cofactors(a: Any, out: Any) -> Any:
    """det(a) a⁻ᵀ; for a singular matrix of numbers from its singular values, where it stays finite."""
    if isinstance(a, Tensor) or np.all(out != 0):
        return out.reshape((*out.shape, 1, 1)) * transposed(np.linalg.inv(a))
    u, s, vh = np.linalg.svd(a)
    n = s.shape[-1]
    others = np.stack([np.prod(np.delete(s, k, axis=-1), axis=-1) for k in range(n)], axis=-1)
    sign = np.linalg.det(u) * np.linalg.det(vh)
    return sign[..., None, None] * ((u * others[..., None, :]) @ vh)


def _cholesky(g: Any, out: Any) -> Any:
    n = out.shape[-1]
    half = np.tril(np.ones((n, n))) - 0.5 * np.eye(n)
    inner = (transposed(out) @ np.tril(g)) * half.astype(out.dtype)
    left = np.linalg.solve(transposed(out), inner)
    return _symmetric(transposed(np.linalg.solve(transposed(out), transposed(left))))


def _eigh_joint(g: Any, out: Any) -> list[Any]:
    values, vectors = out
    inner: Any = 0.0
    if g[0] is not None:
        inner = inner + _diagonal_matrix(g[0])
    if g[1] is not None:
        inner = inner + (transposed(vectors) @ g[1]) * _reciprocal_gaps(values)
    return [vectors @ inner @ transposed(vectors)]


def _svd_joint(g: Any, out: Any) -> list[Any]:
    u, s, vh = out
    gu, gs, gvh = g
    v = transposed(vh)
    m, n, k = u.shape[-2], v.shape[-2], s.shape[-1]
    row, column = s.reshape((*s.shape[:-1], 1, k)), s.reshape((*s.shape, 1))
    inner: Any = 0.0
    outside: Any = 0.0
    if gs is not None:
        inner = inner + _diagonal_matrix(gs)
    if gu is not None:
        turn = transposed(u) @ gu
        inner = inner + ((turn - transposed(turn)) * _reciprocal_gaps(s * s)) * row
        if m > k:
            outside = outside + ((gu - u @ turn) / row) @ vh
    if gvh is not None:
        turn = vh @ transposed(gvh)
        inner = inner + column * ((turn - transposed(turn)) * _reciprocal_gaps(s * s))
        if n > k:
            outside = outside + (u / row) @ (gvh - transposed(turn) @ vh)
    return [u @ inner @ vh + outside]


def _qr_joint(g: Any, out: Any) -> list[Any]:
    q, r = out
    gq, gr = g
    inner: Any = 0.0
    if gr is not None:
        inner = inner + r @ transposed(np.triu(gr))
    if gq is not None:
        inner = inner - transposed(gq) @ q
    n = r.shape[-1]
    lower = np.tril(np.ones((n, n)), -1)
    mixed = inner * (lower + np.eye(n)) + transposed(inner * lower)
    numerator = q @ mixed if gq is None else gq + q @ mixed
    return [transposed(np.linalg.solve(r, transposed(numerator)))]


_SOLVE = Rule("LinalgSolve", "a b", joint=_solve_joint)
_INV = Rule("LinalgInv", "a", lambda g, out: -(transposed(out) @ g @ transposed(out)))
_DET = Rule("LinalgDet", "a", lambda g, a, out: g.reshape((*g.shape, 1, 1)) * _cofactors(a, out))
_LOGDET = Rule("LinalgSlogdet", "a", lambda g, a: g.reshape((*g.shape, 1, 1)) * transposed(np.linalg.inv(a)))
_CHOLESKY = Rule("LinalgCholesky", "a", _cholesky)
_EIGH = Rule("LinalgEigh", "a", joint=_eigh_joint)
_SVD = Rule("LinalgSvd", "a", joint=_svd_joint)
_QR = Rule("LinalgQr", "a", joint=_qr_joint)


# ------------------------------------------------------------------------------------------- operations
def solve(a: Any, b: Any) -> Tensor:
    """x with a x = b; b is a vector, a matrix, or a stack of matrices (as in NumPy)."""
    a, b = _square(a, "solve"), as_tensor(b)
    if b.ndim == 1:
        return solve(a, b.reshape(-1, 1)).squeeze(-1)  # type: ignore[no-any-return]
    data = np.linalg.solve(a._data, b._data)
    return record(_SOLVE, (a, b), data, a_shape=a.shape, b_shape=b.shape, rank=data.ndim)


def inv(a: Any) -> Tensor:
    """The inverse of each matrix."""
    a = _square(a, "inv")
    return record(_INV, (a,), np.linalg.inv(a._data))


def det(a: Any) -> Tensor:
    """The determinant of each matrix; its first derivative, the cofactors, is right for singular matrices too."""
    a = _square(a, "det")
    return record(_DET, (a,), np.linalg.det(a._data))


class SlogdetResult(NamedTuple):
    sign: Tensor
    logabsdet: Tensor


def slogdet(a: Any) -> SlogdetResult:
    """The sign and the logarithm of the size of the determinant of each matrix."""
    a = _square(a, "slogdet")
    sign, size = np.linalg.slogdet(a._data)
    return SlogdetResult(Tensor(sign), record(_LOGDET, (a,), size))


def cholesky(a: Any) -> Tensor:
    """The lower triangular L with L Lᵀ = a, for symmetric positive definite matrices (the lower triangle is read).

    The gradient is that of a symmetric matrix: symmetric.
    """
    a = _square(a, "cholesky")
    return record(_CHOLESKY, (a,), np.linalg.cholesky(a._data))


class EighResult(NamedTuple):
    eigenvalues: Tensor
    eigenvectors: Tensor


def eigh(a: Any) -> EighResult:
    """Eigenvalues, increasing, and eigenvectors of symmetric matrices (the lower triangle is read).

    Derivatives of the vectors need distinct eigenvalues, and functions of them that do not depend on their signs.
    """
    a = _square(a, "eigh")
    values, vectors = np.linalg.eigh(a._data)
    return EighResult(*record_many(_EIGH, (a,), (values, vectors)))


def eigvalsh(a: Any) -> Tensor:
    """The eigenvalues of symmetric matrices, increasing."""
    return eigh(a).eigenvalues


class SvdResult(NamedTuple):
    U: Tensor
    S: Tensor
    Vh: Tensor


def svd(a: Any, full_matrices: bool = False) -> SvdResult:
    """The reduced singular value decomposition a = U diag(S) Vh, singular values decreasing.

    Derivatives of U and Vh need distinct, non-zero singular values, and functions that do not depend on their signs.
    UnsupportedError for full matrices unless `a` is square: their extra columns are arbitrary and have no derivative.
    """
    a = as_tensor(a)
    if full_matrices and a.shape[-1] != a.shape[-2]:
        raise UnsupportedError(
            f"svd of shape {a.shape} with full_matrices=True has no derivative: use full_matrices=False"
        )
    u, s, vh = np.linalg.svd(a._data, full_matrices=False)
    return SvdResult(*record_many(_SVD, (a,), (u, s, vh)))


def svdvals(a: Any) -> Tensor:
    """The singular values, decreasing."""
    return svd(a).S


class QrResult(NamedTuple):
    Q: Tensor
    R: Tensor


def qr(a: Any, mode: str = "reduced") -> QrResult:
    """The reduced decomposition a = Q R of matrices with at least as many rows as columns and full rank."""
    a = as_tensor(a)
    if mode != "reduced" or a.shape[-2] < a.shape[-1]:
        raise UnsupportedError(
            f"qr takes mode 'reduced' and at least as many rows as columns, got mode {mode!r}, shape {a.shape}"
        )
    q, r = np.linalg.qr(a._data)
    return QrResult(*record_many(_QR, (a,), (q, r)))


class LstsqResult(NamedTuple):
    solution: Tensor
    residuals: Tensor
    rank: int
    singular_values: Tensor


def lstsq(a: Any, b: Any, rcond: Any = None) -> LstsqResult:
    """The least-squares solution of a x = b for a matrix of full rank, by QR; the shortest one when there are many.

    a: (m, n), b: (m,) or (m, k). numpy.linalg.LinAlgError when the rank is not full: the solution is then not
        differentiable.
    """
    a, b = as_tensor(a), as_tensor(b)
    if a.ndim != 2:
        raise ArgumentError(f"lstsq takes one matrix, got shape {a.shape}")
    values = np.linalg.svd(a._data, compute_uv=False)
    tolerance = max(a.shape) * np.finfo(a.dtype).eps * (values[0] if values.size else 0.0)
    if np.count_nonzero(values > tolerance) < min(a.shape):
        raise np.linalg.LinAlgError(f"lstsq of a matrix of shape {a.shape} without full rank has no derivative")
    if a.shape[0] >= a.shape[1]:
        q, r = qr(a)
        x = solve(r, transposed(q) @ b)
    else:
        q, r = qr(transposed(a))
        x = q @ solve(transposed(r), b)
    left = matmul(a, x) - b
    return LstsqResult(x, (left * left).sum(axis=0), min(a.shape), Tensor(values))


def pinv(a: Any) -> Tensor:
    """The pseudo-inverse of a matrix of full rank."""
    a = as_tensor(a)
    return lstsq(a, np.eye(a.shape[-2], dtype=a.dtype)).solution


def matrix_power(a: Any, n: int) -> Tensor:
    """The n-th power of square matrices, by repeated squaring; the inverse for negative n."""
    a = _square(a, "matrix_power")
    if n < 0:
        return matrix_power(inv(a), -n)
    result, square = None, a
    while n:
        if n & 1:
            result = square if result is None else matmul(result, square)
        n >>= 1
        if n:
            square = matmul(square, square)
    if result is None:
        eye = np.broadcast_to(np.eye(a.shape[-1], dtype=a.dtype), a.shape)
        return a * 0.0 + eye if a.requires_grad and is_grad_enabled() else Tensor(eye.copy())
    return result  # type: ignore[no-any-return]
