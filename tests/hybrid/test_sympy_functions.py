"""Special functions on SymPy expressions stay the rows they are: no overflow, no lost digits, in any derivative."""

import mpmath
import numpy as np
import pytest
import sympy as sp

import hybrid as hy

x, y = hy.symbols("x y")
POINTS = {
    "log_ndtr": [-50.0, -38.0, 0.3, 8.0],
    "softplus": [-100.0, 0.5, 1000.0],
    "erfcx": [-3.0, 0.2, 100.0],
    "expit": [-700.0, -30.0, 0.1, 40.0],
    "logit": [1e-300, 0.25, 0.5 + 1e-12],
}
EXACT = {
    "log_ndtr": lambda x: mpmath.log(mpmath.ncdf(x)),
    "softplus": lambda x: mpmath.log(1 + mpmath.exp(x)),
    "erfcx": lambda x: mpmath.exp(x * x) * mpmath.erfc(x),
    "expit": lambda x: 1 / (1 + mpmath.exp(-x)),
    "logit": lambda x: mpmath.log(x / (1 - x)),
}


@pytest.mark.parametrize("name", POINTS)
def test_values_and_slopes_keep_their_digits(name) -> None:
    f = hy.Function([x], getattr(hy, name)(x))
    g = f.gradient()
    with mpmath.workdps(400):
        for point in POINTS[name]:
            exact, step = EXACT[name](mpmath.mpf(point)), mpmath.mpf(10) ** -320
            slope = (EXACT[name](mpmath.mpf(point) + step) - EXACT[name](mpmath.mpf(point) - step)) / (2 * step)
            assert f(point) == pytest.approx(float(exact), rel=1e-14)
            assert g(point) == pytest.approx(float(slope), rel=1e-11)


def test_sympy_differentiates_substitutes_and_evaluates_them() -> None:
    assert sp.diff(hy.softplus(x**2), x) == 2 * x * hy.expit(x**2)
    assert float(hy.log_ndtr(x).subs(x, -50).evalf()) == pytest.approx(-1254.8313611394201)
    f = hy.Function([x, y], hy.logaddexp(x, y))
    np.testing.assert_allclose(f.gradient()(1000.0, 999.0), [0.7310585786300049, 0.2689414213699951], rtol=1e-15)
    assert f.hessian().kernel.certificate.passed
