"""digamma and polygamma."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import count
from math import comb, factorial, inf, nan, pi

from codegen.vector_math import coefficients as c
from codegen.vector_math.double_double import (
    Pair,
    product_terms,
    quotient,
    quotient_terms,
    sum_terms,
    two_sum,
)
from codegen.vector_math.gamma_functions import ASYMPTOTIC, COLD, SMALL, of_pi_times, quadratic
from codegen.vector_math.ir import Vector, copysign, fma, rare, select, write_function
from codegen.vector_math.logarithm import log_sum
from codegen.vector_math.polynomial import horner

MAX_ORDER = 16
DIGAMMA_SYMBOL = "@hy.digamma_negative"


def reciprocals(x: Vector) -> Pair:
    """Σ 1/(x + k), k = 0 … 7, as a pair, for 0 < x < 8.

    With u = x² + 7 x it is (2 x + 7) (1/u + 1/(u + 6) + 1/(u + 10) + 1/(u + 12)), by one division.
    """
    u = quadratic(x)
    six, ten, twelve = (sum_terms(u, offset) for offset in (6.0, 10.0, 12.0))
    outer, inner = product_terms(u, twelve), product_terms(six, ten)
    double = Pair(u.hi + u.hi, u.lo + u.lo)
    first, second = product_terms(sum_terms(double, 12.0), inner), product_terms(sum_terms(double, 16.0), outer)
    above = two_sum(first.hi, second.hi)
    above = Pair(above.hi, above.lo + (first.lo + second.lo))
    slope = two_sum(x.body.real(7.0), x + x)
    return quotient_terms(product_terms(slope, above), product_terms(outer, inner))


def digamma_positive(x: Vector) -> Vector:
    """ψ(w) = ln w - 1/(2 w) - D(1/w²)/w² with the minimax polynomial DIGAMMA [form: DLMF 5.11.2], for x > 0.

    Below ASYMPTOTIC w = x + 8, and `reciprocals` are taken off, unrounded because of the zero at 1.4616.
    """
    small = x < ASYMPTOTIC
    w = select(small, x + ASYMPTOTIC, x)
    rounding = select(small, x - (w - ASYMPTOTIC), 0.0)
    inverse = 1.0 / w
    square = inverse * inverse
    tail = fma(square, horner(square, c.DIGAMMA), inverse * 0.5 - rounding * inverse)
    logarithm = log_sum(w)
    # below 2^-500 the sum is 1/x and its steps may underflow
    tiny = x < 2.0**-500
    steps = reciprocals(select(small, select(tiny, 1.0, x), 1.0))
    recurrence = Pair(select(tiny, 1.0 / x, steps.hi), select(tiny, 0.0, steps.lo))
    near = (logarithm.hi - recurrence.hi) + (logarithm.lo - recurrence.lo - tail)
    return select(small, near, logarithm.hi + (logarithm.lo - tail))


def digamma(x: Vector) -> Vector:
    """ψ(x) = Γ'(x)/Γ(x); ∓inf at ±0, nan at negative integers and -inf."""
    module = x.body.module
    module.define(DIGAMMA_SYMBOL, lambda: write_function(module, DIGAMMA_SYMBOL, 2, digamma_negative, COLD))
    (value,) = rare(~(x > 0.0), DIGAMMA_SYMBOL, [x], [digamma_positive(x)])
    return select(x < inf, value, x)


def digamma_negative(x: Vector, usual: Vector) -> Vector:
    """`usual`, but for x < 0 it is ψ(y) + 1/y + π cot(π y) with y = -x [DLMF 5.5.2, 5.5.4]."""
    y = abs(x)
    sine, cosine, _, whole = of_pi_times(y)
    value = digamma_positive(y) + 1.0 / y + quotient(cosine, sine) * pi
    value = select(whole, nan, select(y < SMALL, 1.0 / y, value))
    return select(x < 0.0, value, select(x.equals(0.0), copysign(inf, -x), usual))


def bernoulli(number: int) -> Fraction:
    """The Bernoulli number B_n, from Σ C(m + 1, k) B_k = 0."""
    known = [Fraction(1)]
    for m in range(1, number + 1):
        known.append(-sum((comb(m + 1, k) * known[k] for k in range(m)), Fraction(0)) / (m + 1))
    return known[number]


def series(order: int, start: float) -> list[float]:
    """Coefficients n!/2 · 2 B_2j (2j + n - 1)!/((2j)! n!) of x^(-2j - n), until they no longer count at x = start."""
    terms: list[float] = []
    for j in count(1):
        term = float(bernoulli(2 * j) * factorial(2 * j + order - 1) / factorial(2 * j))
        if abs(term) < 2.0**-58 * factorial(order - 1) * start ** (2 * j):
            return terms
        terms.append(term)
    raise AssertionError("unreachable: the count is endless")


def power(x: Vector, exponent: int) -> Vector:
    """x^exponent for a positive integer, by squaring."""
    if exponent == 1:
        return x
    half = power(x, exponent // 2)
    return half * half * x if exponent % 2 else half * half


def polygamma_positive(order: int, x: Vector) -> Vector:
    """ψ⁽ⁿ⁾(x) for x > 0 by the recurrence up to x >= 12 + n, then the asymptotic series [DLMF 5.15.5, 5.15.9]."""
    steps = 12 + order
    small = x < float(steps)
    total = x.body.real(0.0)
    for k in reversed(range(steps)):
        total = total + power(1.0 / (x + float(k)), order + 1)
    w = select(small, x + float(steps), x)
    inverse = 1.0 / w
    square = inverse * inverse
    leading = fma(square, horner(square, series(order, steps)), inverse * (factorial(order) / 2))
    asymptotic = (leading + float(factorial(order - 1))) * power(inverse, order)
    value = fma(select(small, total, 0.0), float(factorial(order)), asymptotic)
    return value if order % 2 else -value


def cotangent_derivative(order: int) -> list[int]:
    """P_n with dⁿ/duⁿ cot u = P_n(cot u): P_0 = c, P_(n+1) = -(1 + c²) P_n'."""
    p = [0, 1]
    for _ in range(order):
        slope = [k * a for k, a in enumerate(p)][1:]
        p = [-(a + b) for a, b in zip([*slope, 0, 0], [0, 0, *slope], strict=True)]
    return p


def polygamma(order: int) -> Callable[[Vector], Vector]:
    """The builder of ψ⁽ⁿ⁾(x), n = `order`: at poles inf for odd n; for even n ∓inf at ±0 and nan at negative
    integers."""
    if order == 0:
        return digamma

    def build(x: Vector) -> Vector:
        module, symbol = x.body.module, f"@hy.polygamma_negative.{order}"
        module.define(symbol, lambda: write_function(module, symbol, 2, negative, COLD))
        (value,) = rare(~(x > 0.0), symbol, [x], [polygamma_positive(order, x)])
        return value

    def negative(x: Vector, usual: Vector) -> Vector:
        """With y = -x: ψ⁽ⁿ⁾(x) = (-1)ⁿ ψ⁽ⁿ⁾(1 + y) - π^(n+1) P_n(-cot(π y)) [DLMF 5.15.6]."""
        y = abs(x)
        sine, cosine, _, whole = of_pi_times(y)
        sign = 1.0 if order % 2 == 0 else -1.0
        leading = power(1.0 / y, order + 1) * float(factorial(order))
        mirrored = sign * polygamma_positive(order, y) + leading
        cotangent = -quotient(cosine, sine)
        value = mirrored - horner(cotangent, [float(a) for a in cotangent_derivative(order)]) * pi ** (order + 1)
        value = select(whole, inf if order % 2 else nan, select(y < SMALL, leading, value))
        at_zero = x.body.real(inf) if order % 2 else copysign(inf, -x)
        value = select(x < 0.0, value, select(x.equals(0.0), at_zero, usual))
        return select(x.equals(-inf), nan, value)

    return build
