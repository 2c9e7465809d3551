"""Logistic, normal, Lambert, beta and Bessel functions against 50-digit values, through NumPy and through kernels."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import mpmath
import numpy as np
import pytest
from mpmath import mp, mpf

import hybrid as hy
from hybrid import special_values
from hybrid.operations import OPERATIONS
from hybrid.precise_special import special_meanings

RANDOM = np.random.default_rng(11)
INF, NAN = np.inf, np.nan


def plain(low: float, high: float, count: int = 60) -> np.ndarray:
    return RANDOM.uniform(low, high, count)


def scaled(low: float, high: float, count: int = 60) -> np.ndarray:
    """Between powers of ten, evenly in the logarithm."""
    return 10 ** RANDOM.uniform(low, high, count)


def both(points: np.ndarray) -> np.ndarray:
    return points * RANDOM.choice([-1.0, 1.0], points.shape)


def spherical(n: int) -> Callable[[Any], Any]:
    def value(x: Any) -> Any:
        size = abs(x)
        return mp.sqrt(mp.pi / (2 * size)) * mp.besselj(n + mpf(1) / 2, size) * mp.sign(x) ** n

    return value


def log_normal(x: Any) -> Any:
    return mp.log(mp.erfc(-x / mp.sqrt(2)) / 2) if x < 0 else mp.log1p(-mp.erfc(x / mp.sqrt(2)) / 2)


def log_beta(x: Any, y: Any) -> Any:
    return mp.loggamma(x) + mp.loggamma(y) - mp.loggamma(x + y)


# name (with an order after a dot): meaning, points, allowed error in ulp for each unit of the condition number
CASES: dict[str, tuple[Callable[..., Any], list[np.ndarray], float]] = {
    "expit": (lambda x: 1 / (1 + mp.exp(-x)), [np.r_[plain(-700, 40), both(scaled(-300, 1))]], 2),
    "expit_slope": (lambda x: mp.sech(x / 2) ** 2 / 4, [np.r_[plain(-700, 700), both(scaled(-300, 1))]], 3),
    "sech": (mp.sech, [np.r_[plain(-700, 700), both(scaled(-300, 1))]], 3),
    "over_hypot": (
        lambda x, y: x / mp.hypot(x, y),
        [both(scaled(-100, 100)), np.r_[both(scaled(-100, 100, 30)), both(plain(0, 3, 30))]],
        2,
    ),
    "softplus": (lambda x: mp.log1p(mp.exp(x)), [np.r_[plain(-700, 800), both(scaled(-300, 1))]], 2),
    "logit": (
        lambda x: mp.log(x / (1 - x)),
        [np.r_[plain(0, 1), scaled(-308, 0), 0.5 + both(scaled(-16, -1)), 1 - scaled(-15, -1)]],
        2,
    ),
    "xlogy": (lambda x, y: x * mp.log(y), [both(scaled(-100, 100)), np.r_[scaled(-100, 100, 30), plain(0, 3, 30)]], 2),
    "ndtr": (lambda x: mp.erfc(-x / mp.sqrt(2)) / 2, [np.r_[plain(-37, 8), both(scaled(-300, 1))]], 3),
    "log_ndtr": (log_normal, [np.r_[plain(-60, 30), both(scaled(-300, 1)), -scaled(1, 5)]], 4),
    "erfcx": (lambda x: mp.exp(x * x) * mp.erfc(x), [np.r_[plain(-26, 60), both(scaled(-300, 1)), scaled(1, 3)]], 4),
    "erfinv": (mp.erfinv, [np.r_[both(plain(0, 1)), both(scaled(-320, 0)), both(1 - scaled(-16, -1))]], 3),
    "lambertw": (
        lambda x: mp.lambertw(x).real,
        [np.r_[plain(-0.3678, 1), scaled(-320, 300), -scaled(-320, -1), scaled(-16, -1) - 0.36787944117144228]],
        4,
    ),
    "sinc": (lambda x: mp.sin(x) / x, [np.r_[plain(-50, 50), both(scaled(-300, 3))]], 2),
    "beta": (mp.beta, [np.r_[scaled(-5, 2.5), scaled(-1, 4)], np.r_[scaled(-5, 2.5), scaled(-5, 1)]], 40),
    "betaln": (log_beta, [np.r_[scaled(-5, 3), scaled(1, 12)], np.r_[scaled(-5, 3), scaled(1, 12)]], 12),
}
for order in (0, 1, -3, 12, 24):
    CASES[f"jv.{order}"] = (
        lambda x, n=order: mp.besselj(n, x),
        [np.r_[plain(-60, 60), both(scaled(-6, 4, 30)), plain(0.4, 0.6, 20), plain(24, 26, 20)]],
        10,
    )
for order in (0, 1, 2, 4):
    CASES[f"erfc_ratio.{order}"] = (
        lambda x, n=order: special_meanings(mp)["erfc_ratio"](n, x),
        [np.r_[plain(-26, 40), both(scaled(-300, 1)), scaled(1, 5)]],
        {0: 4, 1: 90}.get(order, 1e4),
    )
for order in (0, 1, -3, 12):
    CASES[f"iv.{order}"] = (
        lambda x, n=order: mp.re(mp.besseli(n, x)),
        [np.r_[plain(-100, 100), both(scaled(-6, 2, 30)), plain(0.4, 0.6, 20), plain(29, 31, 20)]],
        4,
    )
for order in (1, 2, 5, 8):
    CASES[f"spherical_jn.{order}"] = (
        spherical(order),
        [np.r_[plain(-60, 60), both(scaled(-6, 4, 30)), plain(1, 9, 50)]],
        8,
    )


def meaning(name: str) -> Callable[..., Any]:
    row, _, order = name.partition(".")
    function = getattr(special_values, row)
    return (lambda x: function(int(order), x)) if order else function


@cache
def kernel(name: str) -> Any:
    row, _, order = name.partition(".")
    public = getattr(hy, row)
    shapes = dict.fromkeys("xy"[: OPERATIONS[row].arity - bool(order)], ())
    traced = hy.function(**shapes)((lambda x: public(int(order), x)) if order else public_of(public, len(shapes)))
    return hy.compile(traced, verify=False)


def public_of(public: Any, count: int) -> Any:
    return (lambda x: public(x)) if count == 1 else (lambda x, y: public(x, y))


@pytest.mark.parametrize("name", CASES)
def test_values_against_fifty_digits(name: str) -> None:
    reference, points, allowed = CASES[name]
    results = meaning(name)(*points), kernel(name)(*points)
    with mp.workdps(50):
        for *arguments, numpy_value, native in zip(*(p.tolist() for p in points), *results, strict=True):
            exact = [mpf(a) for a in arguments]
            want = reference(*exact)
            if not 1e-305 < abs(want) < 1e307:
                continue
            condition = 1.0
            for i, a in enumerate(exact):
                moved = [*exact]
                moved[i] = a * (1 + mpf(10) ** -20)
                condition = max(condition, float(abs((reference(*moved) - want) / want) * mpf(10) ** 20))
            bound = allowed * condition * np.spacing(abs(float(want)))
            assert abs(numpy_value - want) <= bound, (name, arguments, numpy_value, float(want))
            assert abs(native - want) <= bound, (name, arguments, native, float(want))


EDGES = {
    "expit": [(INF, 1.0), (-INF, 0.0), (0.0, 0.5), (-800.0, 0.0), (NAN, NAN)],
    "softplus": [(INF, INF), (-INF, 0.0), (0.0, np.log(2)), (1000.0, 1000.0), (NAN, NAN)],
    "logit": [(0.0, -INF), (1.0, INF), (0.5, 0.0), (-0.1, NAN), (1.5, NAN), (NAN, NAN), (INF, NAN)],
    "ndtr": [(INF, 1.0), (-INF, 0.0), (0.0, 0.5), (NAN, NAN)],
    "log_ndtr": [(INF, 0.0), (-INF, -INF), (0.0, np.log(0.5)), (-1e200, -INF), (NAN, NAN)],
    "erfcx": [(INF, 0.0), (-INF, INF), (0.0, 1.0), (-27.0, INF), (NAN, NAN)],
    "erfinv": [(0.0, 0.0), (-0.0, -0.0), (1.0, INF), (-1.0, -INF), (1.5, NAN), (-2.0, NAN), (NAN, NAN)],
    "lambertw": [(0.0, 0.0), (-0.0, -0.0), (INF, INF), (-0.36787944117144233, -1.0), (-0.3678794411714424, NAN),
                 (-1.0, NAN), (-INF, NAN), (NAN, NAN), (np.e, 1.0)],
    "sinc": [(0.0, 1.0), (-0.0, 1.0), (INF, 0.0), (-INF, 0.0), (NAN, NAN)],
    "jv.0": [(0.0, 1.0), (INF, 0.0), (-INF, 0.0), (NAN, NAN)],
    "jv.1": [(0.0, 0.0), (-0.0, -0.0), (INF, 0.0), (NAN, NAN), (1e-320, 5e-321)],
    "jv.2": [(0.0, 0.0), (-0.0, 0.0), (1e-200, 0.0)],
    "iv.0": [(0.0, 1.0), (INF, INF), (-INF, INF), (800.0, INF), (NAN, NAN)],
    "iv.1": [(0.0, 0.0), (-0.0, -0.0), (INF, INF), (-INF, -INF), (NAN, NAN)],
    "spherical_jn.0": [(0.0, 1.0), (INF, 0.0)],
    "spherical_jn.1": [(0.0, 0.0), (-0.0, -0.0), (INF, 0.0), (NAN, NAN)],
}  # fmt: skip


@pytest.mark.parametrize("name", EDGES)
def test_edges(name: str) -> None:
    points, want = map(np.array, zip(*EDGES[name], strict=True))
    for got in (meaning(name)(points), kernel(name)(points)):
        np.testing.assert_allclose(got, want, rtol=4e-16, atol=0)
        odd = (want == 0) & (points == 0)
        np.testing.assert_array_equal(np.signbit(got[odd]), np.signbit(want[odd]))


def test_edges_of_two_arguments() -> None:
    pairs = [(0.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, NAN, NAN), (1.0, -1.0, NAN), (2.0, 0.0, -INF), (0.0, INF, 0.0)]
    x, y, want = map(np.array, zip(*pairs, strict=True))
    for got in (special_values.xlogy(x, y), kernel("xlogy")(x, y)):
        np.testing.assert_array_equal(got, want)
    pairs = [(1e300, 1e300, -INF), (INF, 1.0, -INF), (1.0, INF, -INF), (1.0, 1.0, 0.0), (1e-300, 5.0, 300 * np.log(10))]
    x, y, want = map(np.array, zip(*pairs, strict=True))
    for got in (special_values.betaln(x, y), kernel("betaln")(x, y)):
        np.testing.assert_allclose(got[1:], want[1:], rtol=1e-15)
        assert got[0] == pytest.approx(-1e300 * 2 * np.log(2), rel=1e-14)
    assert special_values.beta(1e-300, 1000.0) == pytest.approx(1e300, rel=1e-13)
    assert special_values.beta(400.0, 500.0) == pytest.approx(float(mpmath.beta(400, 500)), rel=1e-12)


def test_derivatives_keep_their_digits_in_the_tails() -> None:
    """Where the plain formulas 1 − s, φ/Φ and (x cos x − sin x)/x² cancel or underflow."""
    cases = [
        (hy.expit, 40.0, lambda x: mp.exp(-x) / (1 + mp.exp(-x)) ** 2),
        (hy.expit, -800.0, lambda x: mpf(0)),
        (hy.log_ndtr, -50.0, lambda x: mp.npdf(x) / mp.ncdf(x)),
        (hy.log_ndtr, -1e6, lambda x: 1 / (-1 / x + 1 / x**3 - 3 / x**5)),
        (hy.sinc, 1e-5, lambda x: (x * mp.cos(x) - mp.sin(x)) / x**2),
        (hy.lambertw, 1e-300, lambda x: mpf(1)),
        (hy.lambertw, 0.0, lambda x: mpf(1)),
        (hy.erfinv, 1 - 2.0**-40, lambda x: mp.sqrt(mp.pi) / 2 * mp.exp(mp.erfinv(x) ** 2)),
    ]
    for function, at, slope in cases:
        derivative = hy.function(x=())(public_of(function, 1)).gradient()
        with mp.workdps(50):
            want = float(slope(mpf(at)))
        assert float(derivative(at)) == pytest.approx(want, rel=3e-15, abs=1e-320), (function.__name__, at)


def test_a_kernel_of_them_all_is_verified() -> None:
    @hy.function(x=())
    def f(x):
        total = hy.lambertw(x) + hy.jv(2, x) + hy.log_ndtr(-x) + hy.beta(x, 2.0) + hy.betaln(x, 30.0) + hy.sinc(x)
        total = total + hy.erfinv(x / 9) + hy.iv(1, x) + hy.expit(x) * hy.softplus(x) + hy.logit(x / 9)
        return total + hy.xlogy(x, x) + hy.ndtr(x) * hy.erfcx(x) + hy.j0(x) * hy.i0(x)

    kernel = hy.compile(f, f.gradient(), f.hessian())
    assert kernel.certificate.passed
