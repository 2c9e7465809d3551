"""Every NumPy and SciPy function that traced code may use, against NumPy itself."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.special as special
from traced import check

from hybrid import function, trace
from hybrid.errors import ShapeError
from hybrid.operations import LINE, MASK, OPERATIONS, Operation

VECTOR = np.array([0.3, -1.25, 2.5, 0.0])
OTHER = np.array([1.5, -0.75, 2.5, -3.0])
POSITIVE = np.array([0.3, 1.25, 2.5, 4.0])
MATRIX = np.array([[2.0, -1.0, 0.5], [0.25, 3.0, -1.5], [1.0, 0.75, -2.0]])
SECOND = np.array([[0.5, 1.0, -2.0], [1.5, -0.25, 3.0], [-1.0, 2.0, 0.125]])
CUBE = np.arange(24.0).reshape(2, 3, 4) - 11.5


# --- the table --------------------------------------------------------------------------------------------------------
ROWS = [op for op in OPERATIONS.values() if op.domain and not op.variadic]


def samples(op: Operation, position: int) -> Any:
    if op.operands[position] == MASK:
        return None
    low, high = op.domain[position]
    if (low, high) == LINE:
        return VECTOR if position % 2 == 0 else OTHER
    points = np.array([0.2, 0.45, 0.8, 0.95])
    if math.isinf(high):
        return max(low, -1.0) + 3 * points
    return low + (high - low) * points


@pytest.mark.parametrize("op", [op for op in ROWS if isinstance(op.numpy, np.ufunc)], ids=lambda op: op.name)
def test_every_row_with_a_ufunc_comes_in_through_it(op: Operation) -> None:
    arrays = [samples(op, i) for i in range(op.arity)]
    if MASK in op.operands:
        arrays = [VECTOR, OTHER][: op.arity]
        check(lambda *args: op.numpy(*(arg > 0 for arg in args)), *arrays)
    else:
        check(op.numpy, *arrays)


def test_every_row_is_reached_by_some_numpy_or_scipy_function() -> None:
    def every(x: Any) -> Any:
        return [
            x + x * x, np.where(x > 0, x, -x), special.erf(x), special.erfc(x), special.gamma(x), special.gammaln(x),
            special.psi(x), special.erfcx(x), special.erfinv(x), special.ndtr(x), special.log_ndtr(x), special.expit(x),
            special.logit(x), special.log_expit(x), special.xlogy(x, x), special.beta(x, x), special.betaln(x, x),
            special.j0(x), special.i1(x), np.sinc(x), special.softplus(x),
        ]  # fmt: skip

    definition = trace.define(every, {"x": ()})
    used = {op.name for op in definition.graph.ops}
    by_ufunc = {op.name for op in ROWS if isinstance(op.numpy, np.ufunc)}
    # these have no ufunc of real numbers in SciPy: hy.polygamma and the like make them (test_elementwise)
    without = {
        "polygamma",
        "lambertw",
        "spherical_jn",
        "erfc_ratio",
        "expit_slope",
        "sech",
        "over_hypot",
        "variable",
        "constant",
    }
    assert used | by_ufunc >= {op.name for op in OPERATIONS.values()} - without


# --- elementwise ------------------------------------------------------------------------------------------------------
UNARY: list[Callable[[Any], Any]] = [
    np.positive,
    np.negative,
    np.abs,
    np.fabs,
    np.square,
    np.reciprocal,
    np.conjugate,
    np.rint,
    np.fix,
    np.sinc,
    np.deg2rad,
    np.rad2deg,
    np.radians,
    np.degrees,
    np.isnan,
    np.isinf,
    np.isfinite,
    np.signbit,
    np.nan_to_num,
    np.round,
    lambda x: np.round(x, 1),
    lambda x: np.round(x, -1),
    lambda x: round(x[0]),
    math.floor,
    math.ceil,
    math.trunc,
    np.logical_not,
    lambda x: ~(x > 0),
    lambda x: +x,
    lambda x: -x,
    abs,
    lambda x: x.copy(),
    lambda x: x.astype(float),
    lambda x: (x > 0).astype(float),
    lambda x: x.astype(bool),
    np.real,
    np.imag,
    lambda x: x.real + x.imag,
    lambda x: x.clip(-1, 1),
    lambda x: x.round(),
    lambda x: np.clip(x, -1, None),
    lambda x: np.clip(x, a_min=None, a_max=0.3),
    lambda x: np.clip(x, 1, -1),
    lambda x: np.ldexp(x, 3),
    lambda x: np.interp(x, [-1.0, 0.0, 2.0], [3.0, 1.0, 2.0]),
    lambda x: np.polyval([2.0, -1.0, 0.5], x),
    lambda x: np.where(x, 1.0, 2.0),
    lambda x: np.modf(x),
    lambda x: x // 0.3,
    lambda x: x % 0.7,
    lambda x: 2 // (x + 3),
    lambda x: divmod(x, 0.1),
    lambda x: 3 % (x + 3),
    lambda x: 2**x,
    lambda x: x**3,
    lambda x: x**-2,
    lambda x: x**1.5,
    lambda x: x / 3,
    lambda x: 1 - x,
    lambda x: 3 / (x + 5),
    lambda x: np.float64(2) * x,
    lambda x: [1, 2, 3, 4] * x,
    lambda x: np.array([1, 2, 3, 4]) / (x + 5),
    lambda x: x == 0,
    lambda x: x != 2.5,
    lambda x: x > 1,
    lambda x: (x > 0) + (x < 1),
    lambda x: (x > 0) * (x < 1),
    lambda x: (x > 0) * x,
    lambda x: np.maximum(x > 0, x < 1),
    lambda x: np.isclose(x, 0.3),
]


@pytest.mark.parametrize("index", range(len(UNARY)))
def test_unary(index: int) -> None:
    function = UNARY[index]
    check(function, 1.75 if function in (math.floor, math.ceil, math.trunc) else VECTOR)


BINARY: list[Any] = [
    np.add,
    np.subtract,
    np.multiply,
    np.divide,
    np.true_divide,
    np.power,
    np.float_power,
    np.maximum,
    np.minimum,
    np.fmax,
    np.fmin,
    np.hypot,
    np.arctan2,
    np.mod,
    np.remainder,
    np.fmod,
    np.copysign,
    np.heaviside,
    np.floor_divide,
    np.divmod,
    np.less,
    np.less_equal,
    np.greater,
    np.greater_equal,
    np.equal,
    np.not_equal,
    np.logical_and,
    np.logical_or,
    np.logical_xor,
    lambda x, y: (x > 0) & (y > 0),
    lambda x, y: (x > 0) | (y > 0),
    lambda x, y: (x > 0) ^ (y > 0),
    lambda x, y: np.where(x > y, x, y),
    lambda x, y: np.where(x > y, x > 0, y > 0),
    lambda x, y: np.select([x > 1, y > 1], [x, y], default=-1),
    lambda x, y: np.select([x > 1], [y]),
    lambda x, y: np.piecewise(x, [x < 0, x > 1], [lambda t: t * t, 3.0, -1.0]),
    lambda x, y: np.piecewise(x, x < 0, [lambda t: -t]),
]


@pytest.mark.parametrize("index", range(len(BINARY)))
def test_binary(index: int) -> None:
    check(BINARY[index], VECTOR, OTHER)


@pytest.mark.parametrize("function", [np.maximum, np.minimum, np.fmax, np.fmin, np.floor_divide, np.mod, np.clip])
def test_not_a_number_and_infinity(function: Any) -> None:
    grid = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -2.5])
    x, y = (part.ravel() for part in np.meshgrid(grid, grid))
    if function is np.clip:
        check(lambda t: np.clip(t, -1.0, 2.0), grid)
    elif function in (np.floor_divide, np.mod):
        finite = np.isfinite(x) & np.isfinite(y)
        check(function, x[finite], y[finite])
    else:
        check(function, x, y)


def test_floor_division_rounds_as_numpy_does() -> None:
    assert math.floor(1.0 / 0.1) == 10  # the quotient is rounded up
    check(lambda x, y: x // y, np.array([1.0, 0.3, -1.0, 5.7]), np.array([0.1, 0.1, 0.1, -1.9]))


SPECIAL: list[Any] = [
    special.erf,
    special.erfc,
    special.gamma,
    special.gammaln,
    special.psi,
    special.digamma,
    special.expit,
    special.log_expit,
    special.entr,
    special.ndtr,
    special.exp10,
    special.exp2,
    special.expm1,
    special.log1p,
    special.cbrt,
    special.cosm1,
    special.sindg,
    special.cosdg,
    special.tandg,
    special.round,
    lambda x: special.logit(x / 5),
    lambda x: special.xlogy(x, x),
    lambda x: special.xlog1py(x - 0.3, x),
    lambda x: special.rel_entr(x, 2.0),
    lambda x: special.kl_div(x, 2.0),
    lambda x: special.beta(x, 2.5),
    lambda x: special.betaln(x, 2.5),
    lambda x: special.boxcox(x, 0.5),
    lambda x: special.huber(1.0, x),
    lambda x: special.pseudo_huber(1.0, x),
    lambda x: np.logaddexp(x, 2.5),
    lambda x: np.logaddexp2(x, 2.5),
    lambda x: np.logaddexp(x * 500, -x * 500),
    special.loggamma,
    special.erfcx,
    lambda x: special.erfinv(x / 5),
    special.log_ndtr,
    lambda x: special.betaln(x + 20, 2.5 * x),
    special.j0,
    special.j1,
    special.i0,
    special.i1,
]


@pytest.mark.parametrize("index", range(len(SPECIAL)))
def test_special(index: int) -> None:
    check(SPECIAL[index], POSITIVE, rtol=2e-14)


# --- moving elements --------------------------------------------------------------------------------------------------
MOVES: list[Callable[[Any], Any]] = [
    lambda a: a[1],
    lambda a: a[-1, 0],
    lambda a: a[..., 1:3],
    lambda a: a[:, ::-1],
    lambda a: a[None],
    lambda a: a[[1, 0]],
    lambda a: a[:, [0, 2], 1],
    lambda a: a[np.array([True, False])],
    lambda a: a[0, np.array([True, False, True])],
    lambda a: a.T,
    lambda a: a.mT,
    lambda a: a.reshape(4, 6),
    lambda a: a.reshape((3, -1)),
    lambda a: a.reshape(6, 4, order="F"),
    lambda a: a.ravel(),
    lambda a: a.flatten("F"),
    lambda a: a.transpose(2, 0, 1),
    lambda a: a.swapaxes(0, 2),
    lambda a: a[:1].squeeze(),
    lambda a: a.repeat(2, axis=0),
    lambda a: a.take([0, 5]),
    lambda a: a.diagonal(),
    lambda a: np.reshape(a, 24),
    lambda a: np.transpose(a),
    lambda a: np.ravel(a),
    lambda a: np.squeeze(a[:, :1], 1),
    lambda a: np.expand_dims(a, (0, 2)),
    lambda a: np.flip(a),
    lambda a: np.flip(a, 1),
    lambda a: np.fliplr(a),
    lambda a: np.flipud(a),
    lambda a: np.roll(a, 2),
    lambda a: np.roll(a, 1, axis=1),
    lambda a: np.rot90(a[0]),
    lambda a: np.moveaxis(a, 0, -1),
    lambda a: np.swapaxes(a, 0, 1),
    lambda a: np.tile(a, (2, 1)),
    lambda a: np.repeat(a, [1, 2], axis=0),
    lambda a: np.broadcast_to(a[0], (5, 3, 4)),
    lambda a: np.delete(a, 1, axis=1),
    lambda a: np.take(a, [1, 1], axis=2),
    lambda a: np.split(a, 2),
    lambda a: np.array_split(a, 2, axis=2),
    lambda a: np.hsplit(a, [1]),
    lambda a: np.stack([a, a + 1], axis=1),
    lambda a: np.concatenate([a, np.ones((1, 3, 4))]),
    lambda a: np.vstack([a[0], [1, 2, 3, 4]]),
    lambda a: np.hstack([a[0], a[1]]),
    lambda a: np.dstack([a[0], a[1]]),
    lambda a: np.column_stack([a[0, 0], a[1, 1]]),
    lambda a: np.block([[a[0], a[1]], [a[1], np.zeros((3, 4))]]),
    lambda a: np.append(a[0], a[1]),
    lambda a: np.append(a[0], [[9, 9, 9, 9]], axis=0),
    lambda a: np.atleast_2d(a[0, 0]),
    lambda a: np.meshgrid(a[0, 0], a[1, 1, :2]),
    lambda a: np.broadcast_arrays(a[0], a[0, 0]),
    lambda a: np.diag(a[0]),
    lambda a: np.diag(a[0, 0]),
    lambda a: np.diag(a[0, 0], 1),
    lambda a: np.tril(a),
    lambda a: np.triu(a, 1),
    lambda a: np.pad(a[0], 1),
    lambda a: np.pad(a[0], ((0, 1), (2, 0)), mode="edge"),
    lambda a: np.copy(a),
    lambda a: np.compress([True, False], a, axis=0),
    lambda a: np.resize(a, (2, 2)),
    lambda a: list(a),
    lambda a: list(a[0]),
    lambda a: np.where(np.tri(3, 4) > 0, a[0], 0),
    lambda a: a.item(3),
    lambda a: np.array([a[0, 0, 0], a[1, 2, 3] * 2, 1.0]),
    lambda a: np.asarray(a) * 2,
    lambda a: np.exp(np.asarray(a[0]) / 9),
    lambda a: np.array([[a[0, 0, 0], 0], [1, a[0, 1, 1]]]) @ a[0, :2],
    lambda a: np.array([a[0, 0], a[1, 1]]).T,
    lambda a: np.array([1.0, 2.0, 3.0, 4.0], like=a) * a,
    lambda a: np.zeros_like(a) + np.ones_like(a),
    lambda a: np.full_like(a, 2.5),
    lambda a: np.zeros((2, 2), like=a),
    lambda a: np.eye(3, like=a),
    lambda a: np.linspace(0, a[0, 0], 5),
    lambda a: np.linspace(a[0, 0], 1.0, 3, axis=-1),
    lambda a: (a, a.size, a.ndim, len(a)),
    lambda a: (*np.shape(a), np.size(a), np.ndim(a)),
    lambda a: a.tolist()[0][1],
    lambda a: np.linalg.matrix_transpose(a),
]


@pytest.mark.parametrize("index", range(len(MOVES)))
def test_moves(index: int) -> None:
    check(MOVES[index], CUBE)


# --- reductions and products ------------------------------------------------------------------------------------------
REDUCTIONS: list[Callable[[Any], Any]] = [
    np.sum,
    np.prod,
    np.mean,
    np.max,
    np.min,
    np.ptp,
    np.var,
    np.std,
    np.average,
    np.any,
    np.all,
    np.count_nonzero,
    lambda a: a.sum(0),
    lambda a: a.sum(axis=(0, 2)),
    lambda a: a.sum(axis=-1, keepdims=True),
    lambda a: a.mean(1),
    lambda a: a.prod(axis=2),
    lambda a: a.max(axis=1, keepdims=True),
    lambda a: a.min(0),
    lambda a: np.var(a, axis=1, ddof=1),
    lambda a: a.std(axis=(0, 1)),
    lambda a: np.sum(a > 0),
    lambda a: np.mean(a > 0, axis=0),
    lambda a: np.any(a > 3, axis=0),
    lambda a: np.all(a > -9, axis=(0, 1)),
    lambda a: np.sum(a, initial=2.0),
    lambda a: np.max(a, initial=5.0),
    lambda a: np.cumsum(a),
    lambda a: np.cumsum(a, axis=1),
    lambda a: a.cumprod(axis=0),
    lambda a: np.diff(a),
    lambda a: np.diff(a, n=2, axis=1),
    lambda a: np.add.reduce(a),
    lambda a: np.multiply.reduce(a, axis=2),
    lambda a: np.maximum.reduce(a, axis=1),
    lambda a: np.add.accumulate(a, axis=2),
    lambda a: np.maximum.accumulate(a),
    lambda a: np.logical_and.reduce(a > 0),
    lambda a: np.average(a, axis=0, weights=[1.0, 3.0]),
    lambda a: np.trapezoid(a),
    lambda a: np.trapezoid(a, dx=0.5, axis=0),
    lambda a: np.trapezoid(a, [0.0, 1.0, 3.0, 4.0]),
    lambda a: sum(a),
    lambda a: np.sum([]) + a,
    lambda a: a[:, :0].sum(),
    lambda a: np.sum([a[0, 0], a[1, 1]], axis=0),
    lambda a: np.linalg.norm(a),
    lambda a: np.linalg.norm(a, axis=1),
    lambda a: np.linalg.norm(a[0, 0], ord=1),
    lambda a: np.linalg.norm(a, np.inf, axis=2),
    lambda a: np.linalg.norm(a[0, 0], 3),
    lambda a: np.linalg.norm(a[0], "fro"),
    lambda a: np.linalg.norm(a[0], 1),
    lambda a: np.linalg.norm(a[0], np.inf),
    lambda a: np.linalg.norm(a[0, 0], 0),
    lambda a: np.linalg.norm(a, axis=-1, keepdims=True),
]


@pytest.mark.parametrize("index", range(len(REDUCTIONS)))
def test_reductions(index: int) -> None:
    check(REDUCTIONS[index], CUBE, rtol=1e-14)  # NumPy adds pairwise


PRODUCTS: list[Callable[[Any, Any], Any]] = [
    lambda a, b: a @ b,
    lambda a, b: a @ b[0],
    lambda a, b: a[0] @ b,
    lambda a, b: a[0] @ b[0],
    np.dot,
    np.inner,
    lambda a, b: np.dot(a, b[1]),
    lambda a, b: a.dot(b),
    lambda a, b: np.dot(2.0, a),
    lambda a, b: np.outer(a[0], b[1]),
    lambda a, b: np.vdot(a, b),
    lambda a, b: np.tensordot(a, b),
    lambda a, b: np.tensordot(a, b, axes=([0], [1])),
    lambda a, b: np.tensordot(a, b, 0),
    np.kron,
    np.cross,
    lambda a, b: np.cross(a, b, axis=0),
    lambda a, b: np.trace(a @ b),
    lambda a, b: np.trace(a, offset=1),
    lambda a, b: np.matmul(np.stack([a, b]), b),
    lambda a, b: np.stack([a, b]) @ b[0],
    lambda a, b: np.vecdot(a, b),
    lambda a, b: np.linalg.vecdot(a, b, axis=0),
    lambda a, b: np.multiply.outer(a, b[0]),
    lambda a, b: np.subtract.outer(a[0], b[0]),
    lambda a, b: np.einsum("ij,jk->ik", a, b),
    lambda a, b: np.einsum("ij,jk", a, b),
    lambda a, b: np.einsum("ii", a),
    lambda a, b: np.einsum("ii->i", a),
    lambda a, b: np.einsum("ij->ji", a),
    lambda a, b: np.einsum("ij,ij->", a, b),
    lambda a, b: np.einsum("ij,jk,kl->il", a, b, a),
    lambda a, b: np.einsum("ij,kj,k->i", a, b, b[0]),
    lambda a, b: np.einsum("i,j->ij", a[0], b[0]),
    lambda a, b: np.einsum("ij->j", a),
    lambda a, b: np.convolve(a[0], b.ravel()),
    lambda a, b: a @ np.eye(3),
    lambda a, b: np.convolve(b.ravel(), a[0], "same"),
    lambda a, b: np.convolve(b.ravel(), a[0], mode="valid"),
    lambda a, b: np.linalg.multi_dot([a, b, a[0]]),
    lambda a, b: np.linalg.matrix_power(a, 3),
    lambda a, b: np.eye(3) @ b,
    lambda a, b: np.linalg.matrix_power(a, 0),
    lambda a, b: np.linalg.matrix_power(a, -2),
    lambda a, b: np.linalg.det(a),
    lambda a, b: np.linalg.inv(a),
    lambda a, b: np.linalg.solve(a, b),
    lambda a, b: np.linalg.solve(a, b[0]),
    lambda a, b: np.linalg.det(np.stack([a, b])),
    lambda a, b: np.linalg.inv(np.stack([a, b])),
    lambda a, b: np.linalg.solve(np.stack([a, b]), b),
    lambda a, b: np.linalg.det(a[:2, :2]),
    lambda a, b: np.linalg.inv(a[:1, :1]),
    lambda a, b: np.linalg.cholesky(a @ a.T + np.eye(3)),
    lambda a, b: np.linalg.det(np.kron(a, b)),
    lambda a, b: np.linalg.inv(np.kron(a, b)[:5, :5]),
    lambda a, b: np.linalg.solve(np.kron(a, b)[:5, :5], np.arange(5.0)),
    lambda a, b: np.linalg.outer(a[0], b[0]),
    lambda a, b: np.linalg.cross(a, b),
    lambda a, b: np.linalg.trace(a),
]


@pytest.mark.parametrize("index", range(len(PRODUCTS)))
def test_products(index: int) -> None:
    check(PRODUCTS[index], MATRIX, SECOND, rtol=2e-13)


def test_elimination_exchanges_rows() -> None:
    """A regular matrix with zeros on the diagonal: without pivoting every result would be NaN."""
    shift = np.roll(np.eye(4), 1, axis=1) * np.array([2.0, 3.0, 5.0, 7.0])
    check(np.linalg.det, shift, rtol=1e-15)
    check(np.linalg.inv, shift, rtol=1e-15)
    check(lambda a, b: np.linalg.solve(a, b), shift, np.arange(4.0), rtol=1e-15)


@pytest.mark.skipif(not hasattr(np, "matvec"), reason="np.matvec came with NumPy 2.2")
def test_matvec_and_vecmat() -> None:
    check(lambda a, b: np.matvec(a, b), np.stack([MATRIX, SECOND]), SECOND[0], rtol=1e-15)
    check(lambda a, b: np.vecmat(b, a), np.stack([MATRIX, SECOND]), SECOND[0], rtol=1e-15)


@pytest.mark.parametrize(
    ("name", "shapes", "message"),
    [
        ("vecdot", ((3,), (1,)), "vecdot of shapes .3,. and .1,.: the vectors must be equally long"),
        ("vecdot", ((), ()), "vecdot of shapes .. and ..: a vector has 1 axis"),
        ("matvec", ((3,), (3,)), "matvec of shapes .3,. and .3,.: a vector has 1 axis, a matrix 2"),
        ("vecmat", ((), ()), "vecmat of shapes .. and ..: a vector has 1 axis"),
    ],
)
def test_products_of_wrong_shapes_are_refused(name: str, shapes: tuple, message: str) -> None:
    product = getattr(np, name, None)
    if product is None:
        pytest.skip(f"no np.{name} in this NumPy")
    with pytest.raises(ShapeError, match=message):
        function(a=shapes[0], b=shapes[1])(lambda a, b: product(a, b)).graph  # noqa: B018 - traced when asked for
