"""What SymPy's nodes mean here, node by node, against complex arithmetic, SymPy's numbers and SciPy."""

from __future__ import annotations

import cmath
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
import sympy as sp

import hybrid as hy
from hybrid.errors import InputTypeError, UnsupportedError

x, y = hy.symbols("x y")
k, n = sp.symbols("k n", integer=True)
X, Y = 1.3, 0.7
Z, z = X + 1j * Y, x + sp.I * y

VALUES: list[tuple[Any, float]] = [
    *((constant * x, float(constant) * X) for constant in (
        sp.pi, sp.E, sp.EulerGamma, sp.GoldenRatio, sp.Catalan, sp.TribonacciConstant)),
    (x / 3 + sp.Rational(2, 7), X / 3 + 2 / 7),
    (x * sp.Rational(10**400, 10**399 + 1), 10 * X),
    (x + 10**400, np.inf),
    (x - 10**400, -np.inf),
    (sp.Sum(x**k / sp.factorial(k), (k, 0, 10)), sum(X**i / np.prod(np.arange(1.0, i + 1)) for i in range(11))),
    (sp.Product(x + k, (k, 1, 5)), np.prod(X + np.arange(1, 6))),
    (sp.Derivative(sp.Sum(x**k, (k, 0, 4)), x), 1 + 2 * X + 3 * X**2 + 4 * X**3),
    (sp.Subs(sp.Derivative(sp.exp(x * k), k), k, y), X * np.exp(X * Y)),
    (sp.Lambda((k, n), k * n + x)(x, y), X * Y + X),
    (sp.Nand(x > 0, y > 0), 0),
    (sp.Nor(x > 2, y > 1), 1),
    (sp.ITE(x > 0, y > 1, x > 2), 0),
    (sp.re(z**2), (Z**2).real),
    (sp.im(z**2), (Z**2).imag),
    (sp.Abs(z), abs(Z)),
    (sp.Abs(z**2), abs(Z) ** 2),
    (sp.arg(z), cmath.phase(Z)),
    (sp.arg(z**2), cmath.phase(Z**2)),
    (sp.arg(-x), np.pi),
    (z * sp.conjugate(z), abs(Z) ** 2),
    (sp.exp(sp.I * x) + sp.exp(-sp.I * x), 2 * np.cos(X)),
    (sp.re(sp.exp(z)), cmath.exp(Z).real),
    (sp.re(sp.log(z)), cmath.log(Z).real),
    (sp.im(sp.sqrt(z)), cmath.sqrt(Z).imag),
    (sp.re(1 / z), (1 / Z).real),
    (sp.re(sp.sin(z)), cmath.sin(Z).real),
    (sp.beta(x, y), float(mpmath.beta(X, Y))),
    (sp.erfinv(y), float(mpmath.erfinv(Y))),
    (sp.LambertW(x), float(mpmath.lambertw(X).real)),
    (sp.LambertW(x, 0), float(mpmath.lambertw(X).real)),
    (sp.besselj(1, x), float(mpmath.besselj(1, X))),
    (sp.besselj(-3, x), float(mpmath.besselj(-3, X))),
    (sp.besseli(2, x), float(mpmath.besseli(2, X))),
    (sp.jn(1, x), np.sin(X) / X**2 - np.cos(X) / X),
    (sp.sinc(x), np.sin(X) / X),
    (sp.binomial(200 * x, 100 * y), float(mpmath.binomial(mpmath.mpf(200 * X), mpmath.mpf(100 * Y)))),
    (sp.rf(x + 200, y), float(mpmath.rf(mpmath.mpf(X + 200), mpmath.mpf(Y)))),
    (sp.ff(x + 200, y), float(mpmath.ff(mpmath.mpf(X + 200), mpmath.mpf(Y)))),
]  # fmt: skip


@pytest.mark.parametrize("case", VALUES, ids=lambda case: type(case[0]).__name__)
def test_values(case: tuple[Any, float]) -> None:
    expression, want = case
    function = hy.Function([x, y], expression)
    assert float(function(X, Y)) == pytest.approx(want, rel=1e-12)
    assert np.all(np.isfinite(function.gradient()(X, Y)))


def test_an_indexed_base_is_an_array_argument() -> None:
    a = sp.IndexedBase("a", shape=(3,))
    function = hy.Function([a], sp.Sum(a[k] ** 2, (k, 0, 2)))
    np.testing.assert_allclose(function.gradient()(np.array([1.0, 2.0, 3.0])), [2.0, 4.0, 6.0])


@pytest.mark.parametrize(
    ("expression", "error", "text"),
    [
        (sp.re(sp.sign(z)), UnsupportedError, "SymPy cannot split sign.*write the re of it out"),
        (sp.I * x, InputTypeError, "imaginary part is x"),
        (sp.Integral(k * x, (k, 0, 1)), UnsupportedError, "integrate first"),
        (sp.Limit(sp.sin(k * x) / k, k, 0), UnsupportedError, "take the limit first"),
        (x + sp.zoo, UnsupportedError, "division by zero"),
    ],
)
def test_what_has_no_real_meaning_is_refused(expression: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        hy.Function([x, y], expression)


def nan_outside(function: Callable[..., Any], at: float) -> bool:
    return bool(np.all(np.isnan(function(at))))


def test_a_piecewise_without_a_default_is_nan_outside_and_so_are_its_derivatives() -> None:
    function = hy.Function([x], sp.Piecewise((x**2, x > 0), (sp.sin(x), x < -1)))
    for derived in (function, function.gradient(), function.hessian()):
        assert nan_outside(derived, -0.5)
        assert not nan_outside(derived, 0.5)
        assert not nan_outside(derived, -1.5)


BEYOND = [sp.asin, sp.acos, sp.acosh, sp.atanh, sp.acoth, sp.asec, sp.acsc, sp.asech, sp.log, sp.sqrt, lambda x: x**0.3]


@pytest.mark.parametrize("function", BEYOND)
@pytest.mark.parametrize("part", [sp.re, sp.im])
def test_parts_of_functions_beyond_their_real_domain(function, part):
    x = sp.Symbol("x", real=True)
    f = hy.Function([x], part(function(2 * x)))
    for value in (-1.75, -0.25, 0.25, 1.75):
        expected = complex(part(function(sp.Float(2 * value, 30))).evalf(20)).real
        assert f(value) == pytest.approx(expected, rel=1e-14, abs=1e-15), value
    assert hy.compile(f, f.gradient()).certificate.passed


@pytest.mark.parametrize("exponent", [sp.Rational(1, 3), sp.Rational(1, 2), 0.3])
def test_the_size_of_a_power_of_a_negative_number(exponent):
    x = sp.Symbol("x", real=True)
    f = hy.Function([x], sp.Abs(x**exponent))
    assert f(-8.0) == pytest.approx(8.0 ** float(exponent), rel=1e-15)
    assert f.gradient()(-8.0) == pytest.approx(-float(exponent) * 8.0 ** (float(exponent) - 1), rel=1e-15)
    assert hy.compile(f, f.gradient()).certificate.passed
