"""Derivatives of tanh where it is ±1 to the last bit: right to the last digits, and never NaN."""

import mpmath
import numpy as np
import pytest

import hybrid as hy

POINTS = [0.0, 1e-9, 0.3, -1.7, 5.0, 18.9, -25.0, 60.0, -150.0, 170.0]


@hy.function(x=())
def saturated(x):
    return np.tanh(x)


@hy.function(x=(), y=())
def network(x, y):
    return np.tanh(x * 3 + np.tanh(y)) * y


def test_value_gradient_and_hessian_of_tanh() -> None:
    kernel = hy.compile(saturated, saturated.gradient(), saturated.hessian())
    value, slope, curvature = kernel(np.array(POINTS))
    with mpmath.workdps(400):
        for at, one, two, three in zip(POINTS, value, slope, curvature, strict=True):
            x = mpmath.mpf(at)
            for got, exact in (
                (one, mpmath.tanh(x)),
                (two, mpmath.sech(x) ** 2),
                (three, -2 * mpmath.tanh(x) * mpmath.sech(x) ** 2),
            ):
                assert float(got) == pytest.approx(float(exact), rel=8 * 2.0**-52, abs=0), at


def test_no_nan_far_out() -> None:
    far = np.array([-1e300, -720.0, -400.0, 356.0, 711.0, 5000.0, np.inf])
    for result in hy.compile(saturated, saturated.gradient(), saturated.hessian())(far):
        assert np.all(np.isfinite(result))
    for result in hy.compile(network, network.gradient(), network.hessian())(far[:-1], 1.0):
        assert np.all(np.isfinite(result))


def test_a_network_at_saturation() -> None:
    kernel = hy.compile(network.gradient(), network.hessian())
    gradient, hessian = kernel(11.0, 1.5)
    with mpmath.workdps(60):
        f = lambda x, y: mpmath.tanh(3 * x + mpmath.tanh(y)) * y  # noqa: E731 - two lines below use it
        exact = mpmath.diff(f, (11.0, 1.5), (1, 0)), mpmath.diff(f, (11.0, 1.5), (2, 0))
    assert gradient[0] == pytest.approx(float(exact[0]), rel=1e-13, abs=0)
    assert hessian[0, 0] == pytest.approx(float(exact[1]), rel=1e-13, abs=0)
