"""Values of hybrid.special against 50-digit values, and their IEEE special values."""

import mpmath
import numpy as np
import pytest

from hybrid import special

RANDOM = np.random.default_rng(20)
INF, NAN = np.inf, np.nan
POSITIVE = np.concatenate(
    [
        10 ** RANDOM.uniform(-9, 3, 200),
        RANDOM.uniform(0.5, 10, 300),
        1 + 10 ** RANDOM.uniform(-12, -1, 50),
        2 + 10 ** RANDOM.uniform(-12, -1, 50),
        2 - 10 ** RANDOM.uniform(-12, -1, 50),
    ]
)
NEGATIVE = -np.concatenate([10 ** RANDOM.uniform(-5, 2, 150), RANDOM.uniform(0, 20, 150)])


def log_abs_gamma(x):
    return mpmath.log(abs(mpmath.gamma(x)))


#       function, reference, points, allowed error in ulp, of the value or of the larger of 1 and the value
ACCURACY = {
    "erf": (special.erf, mpmath.erf, RANDOM.normal(0, 3, 400), 1, 0.0),
    "erfc": (special.erfc, mpmath.erfc, RANDOM.uniform(-5, 26, 400), 3, 0.0),
    "gamma": (special.gamma, mpmath.gamma, np.concatenate([POSITIVE[POSITIVE < 171], NEGATIVE]), 8, 0.0),
    "loggamma": (special.loggamma, mpmath.loggamma, POSITIVE, 5, 0.0),
    "loggamma, negative": (special.loggamma, log_abs_gamma, NEGATIVE, 4, 1.0),
    "digamma": (special.digamma, mpmath.digamma, np.concatenate([POSITIVE, NEGATIVE]), 10, 1.0),
} | {
    f"polygamma {n}": (lambda x, n=n: special.polygamma(n, x), lambda x, n=n: mpmath.psi(n, x), POSITIVE[::4], 8, 0.0)
    for n in range(1, 7)
}


@pytest.mark.parametrize("name", ACCURACY)
def test_accuracy(name):
    function, reference, points, allowed, floor = ACCURACY[name]
    with mpmath.workdps(50):
        for x, value in zip(points.tolist(), function(points).tolist(), strict=True):
            exact = reference(mpmath.mpf(x))
            ulp = np.spacing(max(abs(float(exact)), floor, np.finfo(float).tiny))
            assert abs(mpmath.mpf(value) - exact) <= allowed * ulp, (name, x, value, float(exact))


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_polygamma_reflects_to_negative_arguments(n):
    with mpmath.workdps(50):
        for x, value in zip(NEGATIVE[::3].tolist(), special.polygamma(n, NEGATIVE[::3]).tolist(), strict=True):
            exact = mpmath.psi(n, mpmath.mpf(x))
            scale = abs(exact) + abs(x * mpmath.psi(n + 1, mpmath.mpf(x)))
            assert abs(value - exact) <= 1e-14 * scale, (n, x, value)


SPECIAL_POINTS = [0.0, -0.0, -1.0, INF, -INF, NAN, 400.0, -2.0]
SPECIAL_VALUES = {
    special.erf: [0.0, -0.0, special.erf(-1.0), 1.0, -1.0, NAN, 1.0, special.erf(-2.0)],
    special.erfc: [1.0, 1.0, special.erfc(-1.0), 0.0, 2.0, NAN, 0.0, special.erfc(-2.0)],
    special.gamma: [INF, -INF, NAN, INF, NAN, NAN, INF, NAN],
    special.loggamma: [INF, INF, INF, INF, INF, NAN, special.loggamma(400.0), INF],
    special.digamma: [-INF, INF, NAN, INF, NAN, NAN, special.digamma(400.0), NAN],
    lambda x: special.polygamma(1, x): [INF, INF, INF, 0.0, NAN, NAN, special.polygamma(1, 400.0), INF],
    lambda x: special.polygamma(2, x): [-INF, INF, NAN, -0.0, NAN, NAN, special.polygamma(2, 400.0), NAN],
    lambda x: special.heaviside(x, 0.5): [0.5, 0.5, 0.0, 1.0, 0.0, NAN, 1.0, 0.0],
}


@pytest.mark.parametrize("function", SPECIAL_VALUES)
def test_special_values(function):
    got, expected = function(np.array(SPECIAL_POINTS)), np.array(SPECIAL_VALUES[function])
    np.testing.assert_array_equal(got, expected)
    finite = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(got[finite]), np.signbit(expected[finite]))


@pytest.mark.parametrize("function", SPECIAL_VALUES)
@pytest.mark.parametrize("shape", [(), (0,), (2, 3), (1, 0, 2)])
def test_shapes_and_types(function, shape):
    for dtype in (np.float32, np.float64, np.int64):
        result = function(np.full(shape, 2, dtype=dtype))
        assert result.shape == shape
        assert result.dtype == np.float64
    strided = np.arange(1.0, 13.0).reshape(3, 4).T[::2]
    np.testing.assert_array_equal(function(strided), function(strided.copy()))


@pytest.mark.parametrize("order", [-1, 0.5, [1, 2], NAN])
def test_polygamma_refuses_other_orders(order):
    with pytest.raises(ValueError, match="one non-negative integer order, got"):
        special.polygamma(order, 1.0)


def test_polygamma_of_order_zero_is_digamma():
    np.testing.assert_array_equal(special.polygamma(0, POSITIVE), special.digamma(POSITIVE))
