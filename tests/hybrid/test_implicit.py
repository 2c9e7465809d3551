"""Functions given by equations, against roots and difference quotients in multiple precision and known formulas."""

from __future__ import annotations

import pickle
from typing import Any

import mpmath
import numpy as np
import pytest
import sympy as sp

import hybrid as hy
from hybrid import ArgumentError, InputTypeError, ShapeError

E, M, e = hy.symbols("E M e")
kepler = hy.Function([E, M, e], E - e * sp.sin(E) - M, name="kepler")
anomaly = hy.implicit(kepler, E, start=M + e * sp.sin(M), name="anomaly")


def exact_anomaly(m: Any, ecc: Any) -> Any:
    return mpmath.findroot(lambda x: x - ecc * mpmath.sin(x) - m, m + ecc * mpmath.sin(m))


def test_kepler_to_the_third_derivative() -> None:
    second = anomaly.hessian()
    kernel = hy.compile(anomaly, anomaly.gradient(), second, second.jacobian())
    assert kernel.certificate.passed
    for m, ecc in ((0.3, 0.2), (2.5, 0.6), (-1.0, 0.8), (5.0, 0.05)):
        with mpmath.workdps(50):
            orders = [(1, 0), (0, 1), (2, 0), (1, 1), (0, 2), (3, 0), (2, 1), (1, 2), (0, 3)]
            exact = {n: float(mpmath.diff(exact_anomaly, (mpmath.mpf(m), mpmath.mpf(ecc)), n)) for n in orders}
            exact[0, 0] = float(exact_anomaly(m, ecc))
        value, gradient, hessian, third = kernel(m, ecc)
        np.testing.assert_allclose(value, exact[0, 0], rtol=1e-15)
        np.testing.assert_allclose(gradient, [exact[1, 0], exact[0, 1]], rtol=1e-14)
        np.testing.assert_allclose(hessian, [[exact[2, 0], exact[1, 1]], [exact[1, 1], exact[0, 2]]], rtol=1e-13)
        expected = [[[exact[3 - k, k] for k in (i + j, i + j + 1)] for j in (0, 1)] for i in (0, 1)]
        np.testing.assert_allclose(third, expected, rtol=1e-12, atol=1e-12)


def test_all_three_roots_of_a_cubic() -> None:
    """The start decides which root: x³ − 3x + c = 0, whose root has the derivative 1/(3 − 3x²)."""
    x, c = hy.symbols("x c")
    cubic = hy.Function([c, x], x**3 - 3 * x + c, name="cubic")
    c_values = np.linspace(-0.9, 0.9, 7)
    for begin in (-2.0, 0.0, 2.0):
        root = hy.implicit(cubic, "x", start=begin)
        found = root(c_values)
        expected = [mpmath.findroot(lambda t, c=c: t**3 - 3 * t + c, begin) for c in c_values]
        np.testing.assert_allclose(found, np.array(expected, dtype=float), rtol=1e-14, atol=1e-16)
        np.testing.assert_allclose(root.gradient()(c_values), 1 / (3 - 3 * found**2), rtol=1e-13)
        np.testing.assert_allclose(
            root.hessian()(c_values), 6 * found / (3 - 3 * found**2) ** 3, rtol=1e-12, atol=1e-15
        )


@pytest.mark.parametrize("several", [False, True])
def test_three_unknowns(several: bool) -> None:
    """One array of three unknowns, or three unknowns of their own."""

    def equations(x: Any, y: Any, z: Any, p: Any) -> list[Any]:
        return [x + y + z - p[0], x * y * z - p[1], x * x + y * y - z - 1]

    if several:
        f = hy.function(p=(2,), x=(), y=(), z=())(lambda p, x, y, z: equations(x, y, z, p))
        g = hy.implicit(f, ["x", "y", "z"], start=[0.5, lambda p: p[0] / 2, 1.0], name="g")
    else:
        f = hy.function(p=(2,), u=(3,))(lambda p, u: equations(*u, p))
        g = hy.implicit(f, "u", start=lambda p: np.stack([0.5 + 0 * p[0], p[0] / 2, 1.0 + 0 * p[0]]), name="g")
    p = np.array([[2.5, 0.3], [2.4, 0.35]])
    kernel = hy.compile(g, g.jacobian(), g.vjp(), g.hessian())
    value, jacobian, pulled, hessian = kernel(p, np.array([1.0, 2.0, -1.0]))
    np.testing.assert_allclose(pulled, np.einsum("i,pij->pj", [1.0, 2.0, -1.0], jacobian), rtol=1e-13)
    with mpmath.workdps(40):
        for point, parameters in enumerate(p):

            def root(a: Any, b: Any, place: int) -> Any:
                found = mpmath.findroot(lambda x, y, z: equations(x, y, z, (a, b)), (0.5, a / 2, 1))
                return found[place]

            a, b = map(mpmath.mpf, parameters)
            for i in range(3):
                np.testing.assert_allclose(value[point, i], float(root(a, b, i)), rtol=1e-14)
                h = mpmath.mpf(10) ** -12
                slopes = [
                    (root(a + h, b, i) - root(a - h, b, i)) / (2 * h),
                    (root(a, b + h, i) - root(a, b - h, i)) / (2 * h),
                ]
                np.testing.assert_allclose(jacobian[point, i], np.array(slopes, dtype=float), rtol=1e-12)
                mixed = root(a + h, b + h, i) - root(a + h, b - h, i) - root(a - h, b + h, i) + root(a - h, b - h, i)
                np.testing.assert_allclose(hessian[point, i, 0, 1], float(mixed / (4 * h * h)), rtol=1e-10)


def black_scholes(forward: Any, strike: Any, time: Any, sigma: Any) -> Any:
    spread = sigma * sp.sqrt(time)
    d = sp.log(forward / strike) / spread + spread / 2
    cdf = lambda x: sp.erfc(-x / sp.sqrt(2)) / 2  # noqa: E731  # a formula
    return forward * cdf(d) - strike * cdf(d - spread)


def test_implied_volatility() -> None:
    """Inverting a price gives back the volatility; its slope by the price is the reciprocal of vega."""
    forward, strike, time, sigma, price = hy.symbols("F K T sigma P", positive=True)
    value = black_scholes(forward, strike, time, sigma)
    residual = hy.Function([price, forward, strike, time, sigma], value - price, name="mispricing")
    begin = sp.sqrt(2 * sp.Abs(sp.log(forward / strike)) / time + sp.Rational(1, 100))
    implied = hy.implicit(residual, sigma, start=begin, name="implied", steps=10)
    f = hy.Function([forward, strike, time, sigma], value, name="price")
    random = np.random.default_rng(3)
    levels, times, strikes = random.uniform(0.1, 0.6, 200), random.uniform(0.2, 2, 200), random.uniform(70, 140, 200)
    prices = f(100.0, strikes, times, levels)
    slopes = f.gradient()(100.0, strikes, times, levels)
    found, gradient = hy.compile(implied, implied.gradient())(prices, 100.0, strikes, times)
    vega = slopes[:, 3]
    conditioned = vega > 1  # below, a price hardly tells a volatility
    np.testing.assert_allclose(found[conditioned], levels[conditioned], rtol=1e-11)
    np.testing.assert_allclose(gradient[conditioned, 0], 1 / vega[conditioned], rtol=1e-9)
    np.testing.assert_allclose(gradient[conditioned, 2], -(slopes[:, 1] / vega)[conditioned], rtol=1e-9)
    volga = hy.compile(f.hessian(wrt="sigma"))(100.0, strikes, times, levels)
    curvature = implied.hessian(wrt="P")(prices, 100.0, strikes, times)
    np.testing.assert_allclose(curvature[conditioned], -(volga / vega**3)[conditioned], rtol=1e-8)


def test_without_convergence_there_is_no_number_there_and_nowhere_else() -> None:
    x, c = hy.symbols("x c")
    root = hy.implicit(hy.Function([x, c], x * x - c), "x", start=1.0, name="root")
    value = root(np.array([4.0, -1.0, 9.0, np.nan]))
    np.testing.assert_allclose(value, [2.0, np.nan, 3.0, np.nan], rtol=1e-15)
    np.testing.assert_allclose(root.gradient()(np.array([4.0, -1.0])), [0.25, np.nan])
    few = hy.implicit(hy.Function([x, c], x * x - c), "x", start=1.0, steps=2)
    assert np.isnan(few(1e6))


def test_inside_other_functions() -> None:
    """In traced code, in another implicit function, simplified, on the tape, as text, and more than once."""

    @hy.function(q=(2,))
    def radius(q):
        return 1 - q[1] * np.cos(anomaly(q[0], q[1]))

    q = np.array([1.2, 0.3])
    slope = radius.gradient()(q)
    np.testing.assert_allclose(hy.tape.jacobian(lambda q: radius(q), hy.tape.tensor(q)), slope, rtol=1e-13)
    np.testing.assert_allclose(radius.simplify().gradient()(q), slope, rtol=1e-13)
    inner = hy.function(m=(), r=(), ecc=())(lambda m, r, ecc: 1 - ecc * np.cos(anomaly(m, ecc)) - r)
    time_of = hy.implicit(inner, "m", start=1.0, name="time_of")
    found = time_of(1.1, 0.3)
    np.testing.assert_allclose(radius(np.array([found, 0.3])), 1.1, rtol=1e-14)
    np.testing.assert_allclose(time_of.gradient(wrt="r")(1.1, 0.3), 1 / radius.gradient()(np.array([found, 0.3]))[0])
    assert r"\operatorname{anomaly}" in radius.latex()
    assert str(anomaly.sympy()) == "anomaly(M, e)"
    twice = hy.function(m=())(lambda m: anomaly(m, 0.3) * anomaly(2 * m, 0.3))
    np.testing.assert_allclose(twice(0.4), anomaly(0.4, 0.3) * anomaly(0.8, 0.3), rtol=1e-15)


def test_it_travels_between_processes() -> None:
    again = pickle.loads(pickle.dumps(anomaly))
    assert again(1.0, 0.3) == anomaly(1.0, 0.3)
    np.testing.assert_array_equal(again.gradient()(1.0, 0.3), anomaly.gradient()(1.0, 0.3))


def test_the_equations_are_solved_once() -> None:
    """Gradient and Hessian add little to what the steps take; one step costs 9 operations here."""
    alone = hy.compile(anomaly, verify=False).operations
    together = hy.compile(anomaly, anomaly.gradient(), anomaly.hessian(), verify=False).operations
    assert alone <= 8 * 9 + 16
    assert together <= alone + 22


@pytest.mark.parametrize(
    ("error", "message", "call"),
    [
        (InputTypeError, "needs a Function", lambda: hy.implicit(E - M, E, start=0)),
        (ArgumentError, "no argument 'z'", lambda: hy.implicit(kepler, "z", start=0)),
        (ArgumentError, "no argument besides", lambda: hy.implicit(hy.Function([E], E * E - 2), E, start=1)),
        (ArgumentError, "whole number from 2 to 100", lambda: hy.implicit(kepler, E, start=0, steps=1)),
        (ArgumentError, "tolerance=", lambda: hy.implicit(kepler, E, start=0, tolerance=2)),
        (ShapeError, "1 elements for 2 unknowns", lambda: hy.implicit(kepler, [E, M], start=[0, 0])),
        (ShapeError, "depends on none of E", lambda: hy.implicit(hy.Function([E, M], M * M), E, start=0)),
        (
            ShapeError,
            "nothing determines it",
            lambda: hy.implicit(hy.Function([E, M, e], [E - e, E + e]), [E, M], start=[0, 0]),
        ),
        (ArgumentError, "start= needs one item", lambda: hy.implicit(hy.Function([E, M, e], [E, M]), [E, M], start=0)),
        (ArgumentError, "E", lambda: hy.implicit(kepler, E, start=E)),
    ],
)
def test_refusals(error: type[Exception], message: str, call: Any) -> None:
    with pytest.raises(error, match=message):
        call()


# --- damping ----------------------------------------------------------------------------------------------------------
y, c = hy.symbols("y c")


def test_damping_finds_roots_where_plain_steps_run_away() -> None:
    logarithm = hy.Function([y, c], sp.exp(y) - c, name="logarithm")
    tangent = hy.Function([y, c], sp.atan(y) - c, name="tangent")
    points = np.array([2.0, 1e3, 1e6, 1e-6])
    angles = np.array([0.1, -1.2])
    for damping, found in ((False, [1, 0, 0, 0]), (True, [1, 1, 1, 1])):
        root = hy.implicit(logarithm, y, start=0, steps=8 if not damping else 30, damping=damping)
        value, slope = (array.reshape(-1) for array in hy.compile(root, root.gradient())(points))
        assert np.isfinite(value).tolist() == [bool(k) for k in found]
        np.testing.assert_allclose(value[np.isfinite(value)], np.log(points)[np.isfinite(value)], rtol=1e-15)
        np.testing.assert_allclose(slope[np.isfinite(value)], 1 / points[np.isfinite(value)], rtol=1e-14)
        np.testing.assert_array_equal(root(points), value)
    # plain steps from 3 grow without end; each dwarfs the one before, and none of that is a solution
    assert np.isnan(hy.implicit(tangent, y, start=3)(angles)).all()
    damped = hy.implicit(tangent, y, start=3, steps=12, damping=True)
    np.testing.assert_allclose(hy.compile(damped)(angles), np.tan(angles), rtol=1e-15)


def test_keplers_equation_near_a_parabola() -> None:
    mean = np.linspace(0.001, 3.0, 200)
    plain, damped = (hy.implicit(kepler, E, start=M, steps=20, damping=d) for d in (False, True))
    assert np.isnan(plain(mean, 0.99)).any()
    found = hy.compile(damped)(mean, 0.99)
    expected = [
        float(mpmath.findroot(lambda x, m=m: x - 0.99 * mpmath.sin(x) - m, (m, m + 1), "anderson")) for m in mean
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-13)


def test_two_diodes_in_series_with_a_resistor() -> None:
    """Currents in milliamperes through 1 kΩ and two junctions, from no voltage at all, against mpmath."""

    def currents(v: Any, supply: Any) -> Any:
        first, second = (1e-9 * (np.exp(u / 0.02585) - 1) for u in (v[0] - v[1], v[1]))
        return np.stack([supply - v[0] - first, first - second])

    circuit = hy.function(v=(2,), supply=())(currents)
    voltages = hy.implicit(circuit, "v", start=0.0, steps=60, damping=True)
    kernel = hy.compile(voltages, voltages.jacobian())
    assert kernel.certificate.passed
    for supply in (0.5, 2.0, 10.0):
        value, jacobian = kernel(supply)
        with mpmath.workdps(30):
            exact = mpmath.findroot(
                lambda u, s=supply: s - 2 * u - mpmath.mpf(1e-9) * (mpmath.exp(u / mpmath.mpf(0.02585)) - 1),
                value[1],
            )
            slope = 1 / (2 + mpmath.mpf(1e-9) / mpmath.mpf(0.02585) * mpmath.exp(exact / mpmath.mpf(0.02585)))
        np.testing.assert_allclose(value, [float(2 * exact), float(exact)], rtol=1e-14)
        np.testing.assert_allclose(jacobian.ravel(), [float(2 * slope), float(slope)], rtol=1e-12)


def test_damping_is_yes_or_no() -> None:
    with pytest.raises(ArgumentError, match=r"damping= must be True or False, got 0\.5"):
        hy.implicit(kepler, E, start=M, damping=0.5)
