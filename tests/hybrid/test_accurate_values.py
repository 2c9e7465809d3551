"""`rules="accurate"`: forms that keep their digits, measured with all first and second derivatives against mpmath."""

import itertools

import mpmath
import numpy as np
import pytest

import hybrid as hy
from hybrid.errors import ArgumentError

ULP = 2.0**-53


def log_sum_exp(lib, x, y):
    return lib.log(lib.exp(x) + lib.exp(y))


CASES = {
    "1 - cos": (lambda lib, x: 1 - lib.cos(x), (1e-7,)),
    "y - y cosh": (lambda lib, x, y: y - y * lib.cosh(x), (1e-6, 3.0)),
    "log(exp + exp)": (log_sum_exp, (1000.0, 999.0)),
    "log(exp + exp), far down": (log_sum_exp, (-1000.0, -1001.0)),
    "sqrt(x² + y²)": (lambda lib, x, y: lib.sqrt(x**2 + y**2), (3e200, 4e200)),
    "sqrt(x² + y²), tiny": (lambda lib, x, y: lib.sqrt(x * x + y * y), (3e-200, 4e-200)),
    "sqrt(1 + x) - 1": (lambda lib, x: lib.sqrt(1 + x) - 1, (1e-9,)),
    "sqrt(x + 1) - sqrt(x)": (lambda lib, x: lib.sqrt(x + 1) - lib.sqrt(x), (1e12,)),
    "x² - y²": (lambda lib, x, y: x**2 - y**2, (3.0, 3.000000001)),
    "1/x - 1/(x + 1)": (lambda lib, x: 1 / x - 1 / (x + 1), (1e9,)),
    "softplus": (lambda lib, x: lib.log(1 + lib.exp(x)), (-60.0,)),
    "logistic": (lambda lib, x: 1 / (1 + lib.exp(-x)), (-800.0 + 150,)),
    "expm1": (lambda lib, x: (lib.exp(x) - 1) * x, (1e-9,)),
    "1 - tanh²": (lambda lib, x: 1 - lib.tanh(x) ** 2, (25.0,)),
}


@pytest.mark.parametrize("name", CASES)
def test_values_and_derivatives_keep_their_digits(name) -> None:
    formula, point = CASES[name]
    count = len(point)
    traced = (lambda x: formula(np, x)) if count == 1 else (lambda x, y: formula(np, x, y))
    f = hy.function(**dict.fromkeys("xy"[:count], ()))(traced)
    kernel = hy.compile(f, f.gradient(), f.hessian(), rules="accurate")
    assert kernel.certificate.passed
    orders = [(0,) * count]
    orders += [tuple(int(i == k) for k in range(count)) for i in range(count)]
    orders += [
        tuple(int(i == k) + int(j == k) for k in range(count)) for i, j in itertools.product(range(count), repeat=2)
    ]
    with mpmath.workdps(700):
        at = [mpmath.mpf(x) for x in point]
        moved = lambda *shares: formula(mpmath, *(x * (1 + share) for x, share in zip(at, shares, strict=True)))  # noqa: E731
        for value, order in zip(np.concatenate([np.ravel(v) for v in kernel(*point)]), orders, strict=True):
            slope = mpmath.diff(moved, (0,) * count, order, h=mpmath.mpf(10) ** -50) if any(order) else moved(*order)
            exact = slope / mpmath.fprod(x**power for x, power in zip(at, order, strict=True))
            if abs(exact) < 1e-290:
                assert abs(value) < 1e-289
                continue
            assert abs(mpmath.mpf(float(value)) / exact - 1) < 1e-12, (order, value, mpmath.nstr(exact, 20))


def test_what_gains_nothing_stays() -> None:
    for formula in (lambda x, y: x * y + np.sin(x) * y**3, lambda x, y: np.exp(x) * np.log(y), lambda x, y: x / y - 2):
        f = hy.function(x=(), y=())(formula)
        assert f.simplify("accurate").nodes == f.nodes


def test_derivatives_of_every_kind_are_those_of_the_accurate_form() -> None:
    f = hy.function(x=(2,))(lambda x: np.log(np.sum(np.exp(x))))
    g = f.simplify("accurate")
    at = np.array([1000.0, 999.0])
    for made, wanted in (
        (f.jacobian(), g.jacobian()),
        (f.hessian(sparse=True, triangle="lower"), None),
        (f.hvp(), None),
    ):
        kernel = hy.compile(made, rules="accurate")
        values = kernel(at, at) if made.derivation.kind == "hvp" else kernel(at)
        assert np.all(np.isfinite(values))
        if wanted is not None:
            assert np.array_equal(values, wanted(at))


def test_what_it_refuses() -> None:
    f = hy.function(x=())(lambda x: np.cos(x))
    with pytest.raises(ArgumentError, match="'accurate', got 'exact'"):
        f.simplify("exact")
