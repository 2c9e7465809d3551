"""Reductions, shapes, indexing, products, linear algebra: one function on arrays and tensors, derivatives checked."""

import numpy as np
import pytest

from hybrid import tape
from hybrid.errors import ArgumentError, UnsupportedError

RANDOM = np.random.default_rng(11)
WHERE = np.array([[True, False, True], [False, True, True]])


def spd(a):
    return a @ np.swapaxes(a, -1, -2) + 2 * np.eye(a.shape[-1])


# Each case is plain NumPy and must give on tensors what it gives on arrays.
NUMPY_CASES = {
    "sum": (np.sum, (2, 3)), "sum axis": (lambda a: np.sum(a, axis=1, keepdims=True), (2, 3)),
    "sum axes": (lambda a: a.sum(axis=(0, -1)), (2, 3, 2)), "mean": (lambda a: np.mean(a, axis=0), (2, 3)),
    "prod": (lambda a: np.prod(a, axis=1), (2, 5)), "prod all": (np.prod, (2, 3)),
    "max": (lambda a: np.max(a, axis=0), (4, 2)),
    "min": (np.min, (4, 2)), "var": (lambda a: np.var(a, axis=0), (4, 2)),
    "std": (lambda a: np.std(a, axis=1, ddof=1), (2, 4)),
    "norm": (np.linalg.norm, (3,)), "norm 1": (lambda a: np.linalg.norm(a, 1, axis=1), (2, 3)),
    "cumsum": (lambda a: np.cumsum(a, axis=1), (2, 3)), "cumsum flat": (np.cumsum, (2, 3)),
    "cumprod": (lambda a: np.cumprod(a, axis=0), (5, 2)),
    "matmul": (np.matmul, (2, 3), (3, 2)), "matmul stack": (lambda a, b: a @ b, (2, 2, 3), (3, 2)),
    "matmul stacks": (np.matmul, (2, 1, 2, 3), (2, 3, 2)),
    "matrix vector": (np.matmul, (2, 3), (3,)), "vector matrix": (np.matmul, (3,), (3, 2)),
    "vectors": (np.matmul, (3,), (3,)),
    "stack vector": (np.matmul, (2, 2, 3), (3,)), "vector stack": (np.matmul, (2,), (2, 2, 3)),
    "dot": (np.dot, (2, 3), (3,)),
    "inner": (np.inner, (2, 3), (4, 3)), "outer": (np.outer, (2,), (3,)),
    "tensordot": (lambda a, b: np.tensordot(a, b, 2), (2, 2, 3), (2, 3, 2)),
    "tensordot axes": (lambda a, b: np.tensordot(a, b, ([0], [1])), (2, 3), (3, 2)),
    "einsum": (lambda a, b: np.einsum("ij,jk->ki", a, b), (2, 3), (3, 2)),
    "einsum implicit": (lambda a, b: np.einsum("ij,jk", a, b), (2, 3), (3, 2)),
    "einsum diagonal": (lambda a: np.einsum("ii->i", a), (3, 3)),
    "einsum trace": (lambda a: np.einsum("iij->j", a), (3, 3, 2)),
    "einsum ellipsis": (lambda a, b: np.einsum("...ij,j->...i", a, b), (2, 2, 3), (3,)),
    "einsum sums out": (lambda a, b: np.einsum("ij,k->k", a, b), (2, 3), (2,)),
    "einsum three": (lambda a, b, c: np.einsum("i,ij,j->", a, b, c), (2,), (2, 3), (3,)),
    "solve": (lambda a, b: np.linalg.solve(spd(a), b), (3, 3), (3, 2)),
    "solve vector": (lambda a, b: np.linalg.solve(spd(a), b), (2, 2), (2,)),
    "solve stack": (lambda a, b: np.linalg.solve(spd(a), b), (2, 2, 2), (2, 1)),
    "inv": (lambda a: np.linalg.inv(spd(a)), (2, 2, 2)),
    "det": (np.linalg.det, (3, 3)), "det stack": (lambda a: np.linalg.det(spd(a)), (2, 2, 2)),
    "slogdet": (lambda a: np.linalg.slogdet(spd(a))[1], (3, 3)),
    "cholesky": (lambda a: np.linalg.cholesky(spd(a)), (3, 3)),
    "eigvalsh": (lambda a: np.linalg.eigvalsh(spd(a)), (3, 3)),
    "eigh": (lambda a: np.linalg.eigh(spd(a))[1] ** 2, (3, 3)),
    "svd": (lambda a: np.linalg.svd(a, full_matrices=False)[1], (3, 2)),
    "svd tall": (lambda a: np.linalg.svd(a, full_matrices=False)[0] ** 2, (4, 2)),
    "svd wide": (lambda a: np.linalg.svd(a, full_matrices=False)[2] ** 2, (2, 4)),
    "svd rebuilt": (lambda a: (lambda u, s, v: (u * s**1.5) @ v)(*np.linalg.svd(a, full_matrices=False)), (3, 3)),
    "qr": (lambda a: (lambda q, r: q @ (r * r))(*np.linalg.qr(a)), (4, 3)),
    "lstsq": (lambda a, b: np.linalg.lstsq(a, b, rcond=None)[0], (4, 2), (4,)),
    "lstsq wide": (lambda a, b: np.linalg.lstsq(a, b, rcond=None)[0], (2, 4), (2, 2)), "pinv": (np.linalg.pinv, (4, 2)),
    "matrix power": (lambda a: np.linalg.matrix_power(a, 3), (2, 2)),
    "inverse power": (lambda a: np.linalg.matrix_power(spd(a), -2), (2, 2)),
    "trace": (np.trace, (3, 3)), "reshape": (lambda a: np.reshape(a, (3, -1)), (2, 3)), "ravel": (np.ravel, (2, 3)),
    "transpose": (np.transpose, (2, 3)),
    "transpose axes": (lambda a: np.transpose(a, (2, 0, 1)), (2, 3, 2)), "T": (lambda a: a.T, (2, 3)),
    "swapaxes": (lambda a: np.swapaxes(a, 0, 2), (2, 3, 2)),
    "moveaxis": (lambda a: np.moveaxis(a, 0, -1), (2, 3, 2)), "squeeze": (np.squeeze, (1, 3, 1)),
    "expand_dims": (lambda a: np.expand_dims(a, 1), (2, 3)),
    "broadcast_to": (lambda a: np.broadcast_to(a, (4, 3, 2)), (3, 1)), "flip": (np.flip, (2, 3)),
    "roll": (lambda a: np.roll(a, (1, 2), (0, 1)), (2, 3)),
    "roll flat": (lambda a: np.roll(a, 2), (2, 3)),
    "concatenate": (lambda a, b: np.concatenate([a, b], -1), (2, 3), (2, 1)),
    "stack": (lambda a, b: np.stack([a, b], -1), (2, 3), (2, 3)),
    "vstack": (lambda a, b: np.vstack([a, b]), (3,), (2, 3)), "hstack": (lambda a, b: np.hstack([a, b]), (3,), (2,)),
    "split": (lambda a: np.split(a, [1, 3], 1)[1], (2, 5)),
    "array_split": (lambda a: np.array_split(a, 2, 1)[0], (2, 5)), "tile": (lambda a: np.tile(a, (2, 1, 2)), (2, 3)),
    "repeat": (lambda a: np.repeat(a, 2, axis=1), (2, 3)), "pad": (lambda a: np.pad(a, ((1, 0), (0, 2))), (2, 3)),
    "pad reflect": (lambda a: np.pad(a, 1, mode="reflect"), (3, 3)),
    "pad wrap": (lambda a: np.pad(a, ((0, 1), (2, 0)), mode="wrap"), (3, 3)),
    "diagonal": (lambda a: np.diagonal(a, 1), (3, 4)),
    "diagonal axes": (lambda a: np.diagonal(a, -1, 1, 2), (2, 3, 4)), "diag": (lambda a: np.diag(a, 1), (3,)),
    "tril": (lambda a: np.tril(a, -1), (3, 3)), "triu": (np.triu, (3, 4)),
    "slice": (lambda a: a[1:, ::-2], (3, 4)), "integer": (lambda a: a[-1], (3, 4)),
    "new axis": (lambda a: a[None, ..., 0], (3, 2)), "boolean": (lambda a: a[WHERE], (2, 3)),
    "integers": (lambda a: a[[0, 2, 0], 1:], (3, 4)), "integers apart": (lambda a: a[[0, 1], :, [1, 0]], (2, 3, 2)),
    "take": (lambda a: np.take(a, [[0, 2], [2, 2]], axis=1), (2, 3)),
    "take flat": (lambda a: np.take(a, [5, 0, 5]), (2, 3)),
    "take_along_axis": (lambda a: np.take_along_axis(a, np.array([[0, 0], [1, 2]]), 1), (2, 3)),
    "where": (lambda a, b: np.where(WHERE, a, b), (2, 3), (3,)), "clip": (lambda a: np.clip(a, 0.8, 1.5), (4, 2)),
    "copy": (np.copy, (2,)),
    "add.reduce": (lambda a: np.add.reduce(a, axis=1), (2, 3)),
    "multiply.outer": (np.multiply.outer, (2,), (2, 3)), "maximum.reduce": (np.maximum.reduce, (3, 2)),
    "cross terms": (lambda a, b: np.exp(a) * b - b / a + a**b, (2, 3), (3,)),
}  # fmt: skip
COMPOSED_CASES = {
    "vstack 1d": (lambda a, b: np.vstack([a, b]), (3,), (3,)),
    "dstack": (lambda a, b: np.dstack([a, b]), (2, 3), (2, 3)),
    "column_stack": (lambda a, b: np.column_stack([a, b]), (3,), (3, 2)),
    "block": (lambda a, b: np.block([[a, b], [b.T, np.eye(2)]]), (3, 3), (3, 2)),
    "append": (lambda a, b: np.append(a, b), (2, 2), (3,)),
    "delete": (lambda a: np.delete(a, 1, axis=1), (2, 3)),
    "compress": (lambda a: np.compress([True, False, True], a, axis=1), (2, 3)),
    "resize": (lambda a: np.resize(a, (3, 3)), (2, 2)), "hsplit": (lambda a: np.hsplit(a, 2)[1], (2, 4)),
    "vsplit": (lambda a: np.vsplit(a, [1])[1], (3, 2)),
    "dsplit": (lambda a: np.dsplit(a, 2)[0], (2, 2, 2)), "unstack": (lambda a: np.unstack(a, axis=1)[1], (2, 3)),
    "broadcast_arrays": (lambda a, b: np.broadcast_arrays(a, b)[1] * a, (2, 3), (3,)),
    "meshgrid": (lambda a, b: np.meshgrid(a, b)[0] * np.meshgrid(a, b)[1], (2,), (3,)),
    "meshgrid ij": (lambda a, b: np.add(*np.meshgrid(a, b, indexing="ij", sparse=True)), (2,), (3,)),
    "atleast_3d": (np.atleast_3d, (2, 3)),
    "atleast_1d": (lambda a: np.atleast_1d(a[0]), (2,)), "fliplr": (np.fliplr, (2, 3)), "flipud": (np.flipud, (2, 3)),
    "rot90": (lambda a: np.rot90(a, 3), (2, 3)),
    "rot90 once": (np.rot90, (2, 3)), "rollaxis": (lambda a: np.rollaxis(a, 2, 1), (2, 3, 2)),
    "diagflat": (np.diagflat, (2, 2)), "matrix_transpose": (np.matrix_transpose, (2, 3)),
    "diff": (lambda a: np.diff(a, n=2, axis=0), (4, 2)),
    "diff ends": (lambda a: np.diff(a, prepend=0.0, append=1.0), (2, 3)),
    "trapezoid": (lambda a, b: np.trapezoid(a, np.cumsum(b)), (2, 3), (3,)),
    "trapezoid dx": (lambda a: np.trapezoid(a, dx=0.5, axis=0), (3, 2)),
    "average": (lambda a, b: np.average(a, axis=0, weights=b), (3, 2), (3,)),
    "ptp": (lambda a: np.ptp(a, axis=1), (2, 4)),
    "sort": (lambda a: np.sort(a, axis=0), (4, 2)), "sort flat": (lambda a: np.sort(a, axis=None), (2, 2)),
    "cross": (np.cross, (2, 3), (3,)), "cross axis": (lambda a, b: np.cross(a, b, axis=0), (3, 2), (3, 2)),
    "kron": (np.kron, (2, 2), (1, 3)), "kron vectors": (np.kron, (2,), (3,)), "convolve": (np.convolve, (4,), (2,)),
    "convolve same": (lambda a, b: np.convolve(a, b, "same"), (4,), (3,)),
    "convolve valid": (lambda a, b: np.convolve(a, b, "valid"), (2,), (4,)), "polyval": (np.polyval, (3,), (2,)),
    "interp": (lambda x, f: np.interp(x, [0.0, 0.9, 1.4, 3.0], f), (3,), (4,)),
    "interp outside": (lambda x, f: np.interp(x - 2, [0.0, 0.5], f, left=7.0), (4,), (2,)),
    "select": (lambda a: np.select([a > 1.5, a > 1], [a * a, np.sin(a)], a), (6,)),
    "piecewise": (lambda a: np.piecewise(a, [a < 1, a >= 1], [np.square, lambda t: 3 * t]), (5,)),
    "nan_to_num": (lambda a: np.nan_to_num(a) * a, (3,)), "sinc": (np.sinc, (4,)),
    "linspace": (lambda a, b: np.linspace(a, b, 5), (2,), (2,)), "logaddexp": (np.logaddexp, (2, 3), (3,)),
    "fmax": (np.fmax, (2, 3), (3,)), "divmod": (lambda a, b: np.divmod(a, b)[1], (3,), (3,)),
    "modf": (lambda a: np.modf(a)[0] * np.modf(a)[1], (4,)), "ldexp": (lambda a: np.ldexp(a, np.array([1, -2])), (2,)),
    "matvec": (np.matvec, (2, 2, 3), (3,)), "vecmat": (np.vecmat, (2,), (2, 2, 3)),
    "vecdot": (np.vecdot, (2, 3), (3,)),
    "multi_dot": (lambda a, b, c: np.linalg.multi_dot([a, b, c]), (2, 3), (3, 2), (2,)),
    "linalg trace": (lambda a: np.linalg.trace(a), (2, 3, 3)),
    "linalg diagonal": (lambda a: np.linalg.diagonal(a), (2, 3, 3)), "linalg cross": (np.linalg.cross, (3,), (3,)),
    "real": (lambda a: np.real(a) + np.imag(a) + np.conjugate(a), (2,)), "fix": (lambda a: np.fix(a) + a, (3,)),
}  # fmt: skip
NUMPY_CASES |= COMPOSED_CASES
TAPE_CASES = {
    "logsumexp": (lambda a: tape.logsumexp(a, 1), (2, 3)), "softmax": (tape.softmax, (2, 3)),
    "log_softmax": (lambda a: tape.log_softmax(a, 0), (3, 2)),
    "norm 3": (lambda a: tape.norm(a, 3, 1), (2, 3)),
    "norm inf": (lambda a: tape.norm(a, np.inf), (3,)), "norm 0.5": (lambda a: tape.norm(a, 0.5), (3,)),
    "max dim": (lambda a: a.max(dim=1)[0], (3, 3)), "relu": (lambda a: tape.relu(a - 1), (3, 2)),
    "clip tensors": (tape.clip, (2, 3), (3,), (2, 1)),
    "index_add": (lambda a, b: tape.index_add(a, [0, 0, 1], b), (2, 3), (3, 3)),
    "scatter_add": (lambda a, b: tape.scatter_add(a, 1, np.array([[0, 0], [1, 2]]), b), (2, 3), (2, 2)),
    "split": (lambda a: tape.split(a, 2, 1)[2], (2, 5)), "unbind": (lambda a: tape.unbind(a, 1)[1], (2, 3)),
    "flatten": (lambda a: a.flatten(1), (2, 2, 2)),
    "masked_fill": (lambda a: a.masked_fill(WHERE, 2.0), (2, 3)),
    "cast": (lambda a: (a.to(np.longdouble) ** 2).to(np.float64), (3,)),
    "method chain": (lambda a: a.reshape(3, 2).T.unsqueeze(0).expand(2, 2, 3).permute(2, 0, 1).tril(), (6,)),
}  # fmt: skip
CASES = NUMPY_CASES | TAPE_CASES


def inputs_of(name):
    return [RANDOM.uniform(0.5, 2, shape) for shape in CASES[name][1:]]


@pytest.mark.parametrize("name", NUMPY_CASES)
def test_one_function_on_arrays_and_tensors(name):
    function = CASES[name][0]
    arrays = inputs_of(name)
    expected = function(*arrays)
    result = function(*[tape.tensor(a) for a in arrays])
    assert isinstance(result, tape.Tensor)
    assert result.shape == np.shape(expected)
    np.testing.assert_allclose(result.numpy(), expected, rtol=1e-13, atol=1e-13)
    half = function(*[tape.tensor(a.astype(np.float32), requires_grad=True) for a in arrays])
    np.testing.assert_allclose(half.detach().numpy(), expected, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("name", CASES)
def test_first_and_second_derivatives_one_by_one_and_batched(name):
    tensors = tuple(tape.tensor(a, requires_grad=True) for a in inputs_of(name))
    assert tape.gradcheck(CASES[name][0], tensors)
    assert tape.gradgradcheck(CASES[name][0], tensors, atol=2e-5)


@pytest.mark.parametrize("name", CASES)
def test_forward_and_reverse_jacobians_agree(name):
    tensors = tuple(tape.tensor(a) for a in inputs_of(name))
    results = [
        tape.jacobian(CASES[name][0], tensors, strategy=strategy, vectorize=vectorize)
        for strategy, vectorize in (("reverse-mode", True), ("forward-mode", True), ("reverse-mode", False))
    ]
    for reverse, forward, looped in zip(*results, strict=True):
        np.testing.assert_allclose(forward.numpy(), reverse.numpy(), rtol=1e-10, atol=1e-11)
        np.testing.assert_allclose(looped.numpy(), reverse.numpy(), rtol=1e-12, atol=1e-12)


def test_products_with_zeros_among_the_factors():
    for zeros in ([1], [1, 3]):
        values = RANDOM.uniform(0.5, 2, 5)
        values[zeros] = 0
        x = tape.tensor(values, requires_grad=True)
        assert tape.gradcheck(tape.prod, x)
        assert tape.gradgradcheck(tape.prod, x)
        assert tape.gradgradcheck(lambda a: tape.cumprod(a, 0), x)


def test_the_determinant_of_a_singular_matrix_has_cofactors():
    a = RANDOM.uniform(0.5, 2, (3, 3))
    a[2] = a[0] + a[1]
    a[0, 0] = float(np.float64(a[0, 0]))
    exact = np.array(
        [[(-1) ** (i + j) * np.linalg.det(np.delete(np.delete(a, i, 0), j, 1)) for j in range(3)] for i in range(3)]
    )
    zero = np.array([[1.0, 2.0], [2.0, 4.0]])
    (g,) = tape.grad(tape.det(x := tape.tensor(zero, requires_grad=True)), x)
    np.testing.assert_allclose(g.numpy(), [[4, -2], [-2, 1]], rtol=1e-14)
    (g,) = tape.grad(tape.det(x := tape.tensor(a, requires_grad=True)), x)
    np.testing.assert_allclose(g.numpy(), exact, rtol=1e-9, atol=1e-12)


def test_norm_at_zero_has_subgradient_zero():
    x = tape.tensor([0.0, 0.0], requires_grad=True)
    np.testing.assert_array_equal(tape.grad(tape.norm(x), x)[0].numpy(), [0.0, 0.0])


def test_ties_of_extrema_split_evenly():
    x = tape.tensor([[3.0, 1.0, 3.0], [2.0, 2.0, 2.0]], requires_grad=True)
    np.testing.assert_allclose(tape.grad(tape.amax(x, 1).sum(), x)[0].numpy(), [[0.5, 0, 0.5], [1 / 3] * 3])
    np.testing.assert_array_equal(tape.grad(x.max(dim=1)[0].sum(), x)[0].numpy(), [[1, 0, 0], [1, 0, 0]])
    assert x.argmax(dim=1).tolist() == [0, 0]


def test_softmax_and_logsumexp_do_not_overflow():
    x = tape.tensor([1000.0, 1000.0, -np.inf], requires_grad=True)
    assert tape.logsumexp(x).item() == pytest.approx(1000 + np.log(2))
    np.testing.assert_allclose(tape.grad(tape.logsumexp(x), x)[0].numpy(), [0.5, 0.5, 0])
    np.testing.assert_allclose(tape.softmax(x).detach().numpy(), [0.5, 0.5, 0])
    assert tape.logsumexp(tape.tensor([-np.inf, -np.inf])).item() == -np.inf


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0)])
def test_empty_tensors(shape):
    x = tape.zeros(shape, requires_grad=True)
    total = (x.sin() * 2 + x**2).sum() + x.prod()
    assert total.item() == 1.0
    assert tape.grad(total, x)[0].shape == shape
    assert tape.jacobian(lambda a: a * 2, x).shape == shape + shape
    assert np.isnan(x.mean().item())
    for function in (tape.amax, tape.argmax):
        with pytest.raises(ValueError, match=r"zero-size|empty"):
            function(x)


ERRORS = [
    (lambda x: x.sum(axis=2), IndexError, "axis 2 is out of range for a tensor with 2 axes"),
    (lambda x: x.sum(axis=(0, 0)), ArgumentError, "name an axis twice"),
    (lambda x: x.permute(0, 0), ArgumentError, r"takes every axis of shape \(2, 3\) once"),
    (lambda x: tape.einsum("ij", x, x), ArgumentError, "1 terms for 2 operands"),
    (lambda x: tape.einsum("ijk", x), ArgumentError, "as many indices"),
    (lambda x: tape.einsum("ij,ik", x, x.T), ArgumentError, "index i has sizes"),
    (lambda x: tape.inv(x), ArgumentError, r"square matrices, of shape \(\.\.\., n, n\), got \(2, 3\)"),
    (lambda x: tape.qr(x), UnsupportedError, "at least as many rows as columns"),
    (lambda x: tape.svd(x, True), UnsupportedError, "full_matrices=False"),
    (lambda x: tape.lstsq(x * 0, x[:, 0]), np.linalg.LinAlgError, "without full rank"),
    (lambda x: tape.solve(tape.zeros(2, 2), x), np.linalg.LinAlgError, "Singular"),
    (lambda x: tape.pad(x, 1, mode="mean"), ArgumentError, "got 'mean'"),
    (lambda x: tape.norm(x, "nuc"), ArgumentError, "got 'nuc'"),
    (lambda x: tape.stack([x, x[0]]), RuntimeError, "expects each tensor to be equal size"),
    (lambda x: tape.split(x, [1, 1], 1), RuntimeError, "sum exactly to 3"),
    (lambda x: tape.diag(x.reshape(1, 2, 3)), ArgumentError, "vector or a matrix"),
    (lambda x: np.percentile(x, 50), UnsupportedError, "np.percentile has no meaning on tensors"),
    (lambda x: np.frexp(x), UnsupportedError, "np.frexp has no meaning on tensors"),
    (lambda x: np.linalg.norm(x, 2), UnsupportedError, "ord=2"),
    (lambda x: x + "1", TypeError, "."),
    (lambda x: x + 1j, TypeError, "complex128"),
    (lambda x: tape.tensor("abc"), TypeError, "real floating-point"),
    (lambda x: tape.tensor([[1.0], [1.0, 2.0]]), ValueError, "inhomogeneous"),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(ERRORS)))
def test_errors_say_what_is_wrong(number):
    function, kind, text = ERRORS[number]
    with pytest.raises(kind, match=text):
        function(tape.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], requires_grad=True))


@pytest.mark.parametrize(
    "join",
    [
        lambda w: np.concatenate([[w[1] - w[0]], w[2:]]),
        lambda w: np.concatenate([[[w[0], 1.0]], w.reshape(2, 2)]),
        lambda w: np.append(w, (w[0], w[3])),
        lambda w: np.where(w > 2.5, [w[0], 1, 2, w[2]], w),
        lambda w: w[:2] * [w[0], w[1]],
        lambda w: np.outer([w[0], 1], w),
        lambda w: np.column_stack([[w[0], w[1]], w[2:]]),
        lambda w: np.einsum("i,i->", [w[0], w[1]], w[:2]),
    ],
)
def test_tensors_in_lists_keep_their_history(join):
    point = np.array([1.0, 2.0, 3.0, 4.0])
    step = 1e-6
    slopes = [(join(point + step * e) - join(point - step * e)) / (2 * step) for e in np.eye(4)]
    found = tape.jacobian(join, tape.tensor(point)).numpy()
    np.testing.assert_allclose(found, np.moveaxis(slopes, 0, -1), atol=1e-8)
