"""`compile(..., reduce=)`: like rows and an exact sum, for every batch; checked; refused where senseless."""

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import sympy as sp
from scipy.special import logsumexp

import hybrid as hy
from codegen import reducer as native
from codegen.reduction import CHUNK
from hybrid import reduced

x, y = hy.symbols("x y")
f = hy.Function([x, y], sp.exp(x) * y + sp.sin(x * y), name="f")


@hy.function(x=(3,), y=(), w=(2, 3), v=(2,))
def loss(x, y, w, v):
    return (v @ np.tanh(w @ x) - y) ** 2


PARAMETERS = ["w", "v"]


@pytest.fixture(scope="module")
def summed():
    return hy.compile(loss, loss.gradient(wrt=PARAMETERS), reduce="sum", shared=PARAMETERS)


@pytest.fixture(scope="module")
def per_row():
    return hy.compile(loss, loss.gradient(wrt=PARAMETERS))


def data(n, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 3)), rng.normal(size=n), rng.normal(size=(2, 3)), rng.normal(size=2)


@pytest.mark.parametrize("n", [1, 2, 7, 8, 9, 1000, CHUNK + 1])
def test_sums_are_those_of_the_rows(summed, per_row, n):
    arguments = data(n, n)
    value, gradient = summed(*arguments)
    rows, slopes = per_row(*arguments)
    assert gradient.shape == (8,)
    assert abs(value - math.fsum(rows)) <= 2e-15 * math.fsum(rows)
    for got, column in zip(gradient, slopes.T, strict=True):
        assert abs(got - math.fsum(column)) <= 1e-14 * math.fsum(abs(column))


def test_an_outcome_has_the_same_bits_however_it_is_asked_for(summed):
    X, Y, w, v = data(3 * CHUNK)
    value, gradient = summed(X, Y, w, v, threads=1)
    shaped = X.reshape(3, 2, -1, 3)
    wide = np.zeros((len(X), 5))
    wide[:, 1:4] = X
    asked = {
        "threads": summed(X, Y, w, v, threads=2),
        "names": summed(v=v, w=w, y=Y, x=X),
        "batch of several axes": summed(shaped, Y.reshape(3, 2, -1), w, v),
        "parameters with a batch of their own": summed(X, Y, w[None], np.broadcast_to(v, (len(X), 2))),
        "parameters that vary": summed(X, Y, np.repeat(w[None], len(X), axis=0), v),
        "strides": summed(wide[:, 1:4], Y[::-1].copy()[::-1], w, v),
        "Fortran order": summed(np.asfortranarray(X), Y, w, v),
        "transposed batch": summed(shaped.swapaxes(0, 1).copy().swapaxes(0, 1), Y.reshape(3, 2, -1), w, v),
    }
    for how, (other, slopes) in asked.items():
        assert (other, slopes.tobytes()) == (value, gradient.tobytes()), how
    assert len(summed.certificates) >= 2
    assert all(c.passed for c in summed.certificates.values())


def test_batches_broadcast():
    kernel = hy.compile(f, reduce=["sum"])
    a, b = np.linspace(-1, 1, 30)[:, None], np.linspace(0, 2, 41)
    grid = np.exp(a) * b + np.sin(a * b)
    assert kernel(a, b) == pytest.approx(math.fsum(grid.ravel()), rel=1e-15)
    assert kernel(a, b) == kernel(*[array.copy() for array in np.broadcast_arrays(a, b)])


def test_every_reduction_of_one_function():
    kernel = hy.compile(f, f, f, f, reduce=["sum", "mean", "max", "logsumexp"])
    a = np.random.default_rng(1).normal(size=1001)
    rows = np.exp(a) * 0.5 + np.sin(a * 0.5)
    total, mean, largest, exponential = kernel(a, 0.5)
    assert total == pytest.approx(math.fsum(rows), rel=1e-15)
    assert mean == pytest.approx(total / 1001, rel=1e-15)
    assert largest == pytest.approx(rows.max(), rel=1e-15)
    assert exponential == pytest.approx(logsumexp(rows), rel=1e-15)
    assert kernel(0.0, 0.0) == (0.0, 0.0, 0.0, 0.0)


def test_any_array_of_numbers_will_do(summed):
    X, Y, w, v = data(700)
    value, gradient = summed(X, Y, w, v)
    table = np.zeros(700, dtype=np.dtype([("odd", np.int8), ("x", np.float64, 3), ("y", np.float64)]))
    table["x"], table["y"] = X, Y
    swapped = X.astype(X.dtype.newbyteorder())
    asked = [
        summed(X.tolist(), Y.tolist(), w.tolist(), v.tolist()),
        summed(table["x"], table["y"], w, v),
        summed(swapped, Y, w, v),
        summed(X[None, :, None], Y[:, None], w, v),
    ]
    for other, slopes in asked:
        assert (other, slopes.tobytes()) == (value, gradient.tobytes())
    assert summed(np.ones((4, 3), int), np.ones(4, bool), w, v)[0] == summed(np.ones((4, 3)), np.ones(4), w, v)[0]


def test_threads_of_the_caller_may_share_a_kernel():
    kernel = hy.compile(loss, reduce="sum", shared=PARAMETERS)
    X, Y, w, v = data(2 * CHUNK)
    varying = np.repeat(w[None], len(X), axis=0)  # compiled by whoever comes first
    with ThreadPoolExecutor(4) as pool:
        found = [call.result() for call in [pool.submit(kernel, X, Y, varying, v) for _ in range(4)]]
    assert set(found) == {kernel(X, Y, w, v)}


def test_no_rows():
    kernel = hy.compile(f, f, f, reduce=["sum", "mean", "logsumexp"])
    total, mean, exponential = kernel(np.zeros(0), 1.0)
    assert total == 0
    assert np.isnan(mean)
    assert exponential == -np.inf
    with pytest.raises(hy.ArgumentError, match="maximum of no rows"):
        hy.compile(f, reduce="max")(np.zeros((3, 0)), 1.0)


def test_a_row_that_is_nan_or_infinite():
    kernel = hy.compile(f, f.gradient(), reduce="sum")
    a = np.zeros(1000)
    a[333] = np.nan
    value, gradient = kernel(a, 1.0)
    assert np.isnan(value)
    assert np.isnan(gradient).all()
    a[333] = 1000.0
    assert kernel(a, 1.0)[0] == np.inf


def test_derivatives_of_parameters_alone():
    """Terms that do not depend on the data count once for every row."""

    @hy.function(x=(), w=())
    def ridge(x, w):
        return np.exp(w) + w * x

    kernel = hy.compile(ridge, ridge.gradient(wrt="w"), reduce="sum")
    value, slope = kernel(np.arange(10.0), 0.5)
    assert value == pytest.approx(10 * np.exp(0.5) + 22.5)
    assert slope == pytest.approx(10 * np.exp(0.5) + 45)


def test_many_arguments():
    """NumPy's limit of 64 operands does not apply."""
    names = hy.symbols(" ".join(f"a{k}" for k in range(70)))
    kernel = hy.compile(hy.Function(names, sum(names), name="many"), reduce="sum")
    assert kernel(np.arange(10.0), *range(69)) == 45 + 10 * sum(range(69))


@pytest.mark.parametrize(
    ("functions", "options", "message"),
    [
        ([f], {"reduce": "median"}, "one of 'sum', 'mean', 'max', 'logsumexp'"),
        ([f], {"reduce": 5}, "one of 'sum', 'mean', 'max', 'logsumexp'"),
        ([f], {"reduce": [["sum"]]}, "one of 'sum', 'mean', 'max', 'logsumexp'"),
        ([f], {"reduce": {"f": "sum"}}, "list with one per function"),
        ([f], {"reduce": "sum", "shared": 3}, "list of argument names, got 3"),
        ([f, f], {"reduce": ["sum"]}, "1 reductions for 2 functions"),
        ([f.gradient()], {"reduce": "max"}, "has no meaning"),
        ([f.hessian()], {"reduce": "logsumexp"}, "has no meaning"),
        ([f], {"reduce": "sum", "shared": ["z"]}, "the arguments are x, y"),
        ([f], {"reduce": "sum", "shared": ["x", "y"]}, "at least one must vary"),
        ([f], {"shared": ["x"]}, "goes with reduce="),
    ],
)
def test_refused_when_compiled(functions, options, message):
    with pytest.raises(hy.ArgumentError, match=message):
        hy.compile(*functions, **options)


def test_refused_when_called(summed):
    X, Y, w, v = data(10)
    with pytest.raises(hy.ShapeError, match="do not broadcast"):
        summed(X, Y[:7], w, v)
    with pytest.raises(hy.ShapeError, match="expects w of shape"):
        summed(X, Y, w.T, v)
    with pytest.raises(hy.InputTypeError, match="complex"):
        summed(X, Y * 1j, w, v)
    with pytest.raises(hy.ArgumentError, match="threads must be at least 1"):
        summed(X, Y, w, v, threads=0)
    with pytest.raises(hy.ArgumentError, match="not tensors"):
        summed(X, Y, w, hy.tape.tensor(v))


def test_the_check_finds_rows_that_are_wrong(monkeypatch):
    def tampered(*args, **options):
        program = args[0]
        body = [("sub", *i[1:]) if i[0] == "add" else i for i in program.body]
        return native.compile_reduction(
            type(program)(*[program.name, program.arguments, program.results, body, program.outputs]),
            *args[1:],
            **options,
        )

    monkeypatch.setattr(reduced, "compile_reduction", tampered)
    with pytest.raises(hy.VerificationError, match="is wrong and was not returned"):
        hy.compile(f, reduce="sum")


def test_the_check_finds_sums_that_are_wrong(monkeypatch):
    whole = native.Reducer.results

    def lossy(self, partials):
        return whole(self, partials[:1])

    monkeypatch.setattr(native.Reducer, "results", lossy)
    with pytest.raises(hy.VerificationError, match="its rows give"):
        hy.compile(f, reduce="sum")
