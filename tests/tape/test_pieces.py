"""Long arrays: what is done piece by piece, or by another method, gives what short arrays give."""

import mpmath
import numpy as np
import pytest

from hybrid import tape
from hybrid.tape import pieces

RANDOM = np.random.default_rng(9)


def test_tanh_of_long_arrays():
    x = np.concatenate(
        [RANDOM.normal(0, 2, pieces.LONG), RANDOM.normal(0, 1e-3, 5000), 10 ** RANDOM.uniform(-320, 3, 5001)]
    )
    value = pieces.tanh(x)
    with mpmath.workdps(40):
        for k in np.linspace(0, x.size - 1, 4000).astype(int).tolist():
            exact = mpmath.tanh(mpmath.mpf(x[k]))
            assert abs(mpmath.mpf(value[k]) - exact) <= 4 * np.spacing(abs(float(exact))), (x[k], value[k])
    steps = np.abs(value - np.tanh(x)) / np.spacing(np.abs(np.tanh(x)))
    assert steps.max() <= 4


def test_special_values_of_tanh_of_long_arrays():
    special = np.array(
        [0.0, -0.0, np.inf, -np.inf, np.nan, 20.0, -20.0, 25.0, 1e308, -1e308, 5e-324, 1 / 512, -1 / 512]
    )
    x = np.tile(special, 1 + pieces.LONG // special.size)
    value, expected = pieces.tanh(x)[-special.size :], np.tanh(special)
    np.testing.assert_allclose(value, expected, rtol=4e-16, atol=0)
    np.testing.assert_array_equal(np.signbit(value), np.signbit(expected))


@pytest.mark.parametrize("name", ["tanh", "atan", "erf", "exp", "asin"])
@pytest.mark.parametrize("layout", ["contiguous", "transposed", "strided", "float32"])
def test_derivatives_of_long_arrays_are_those_of_short_ones(name, layout):
    rows = RANDOM.uniform(-0.9, 0.9, (pieces.LONG // 100, 202))
    data = {"contiguous": rows, "transposed": rows.T, "strided": rows[:, ::2], "float32": rows.astype(np.float32)}[
        layout
    ]
    x = tape.from_numpy(data).requires_grad_()
    (g,) = tape.grad(getattr(tape, name)(x).sum(), x)
    short = tape.tensor(data[:3, :5], requires_grad=True)
    (expected,) = tape.grad(getattr(tape, name)(short).sum(), short)
    tolerance = 1e-5 if layout == "float32" else 1e-14
    np.testing.assert_allclose(g.numpy()[:3, :5], expected.numpy(), rtol=tolerance)
    assert g.dtype == data.dtype


def test_sums_of_many_short_rows():
    rows = RANDOM.normal(size=(100_000, 3))
    bias = tape.zeros(3, requires_grad=True)
    (g,) = tape.grad((tape.tensor(rows) * (bias + np.zeros((100_000, 1)))).sum(), bias)
    np.testing.assert_allclose(g.numpy(), rows.sum(axis=0), rtol=1e-11, atol=1e-11)
