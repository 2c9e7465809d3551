"""gamma, loggamma, digamma, polygamma."""

from __future__ import annotations

from collections.abc import Callable
from math import factorial, inf, pi

from codegen.vector_math import coefficients as c
from codegen.vector_math.double_double import fast_two_sum
from codegen.vector_math.exponential import round_to_integer
from codegen.vector_math.ir import Vector, fma, select
from codegen.vector_math.logarithm import log
from codegen.vector_math.polynomial import horner
from codegen.vector_math.trigonometric import cos_reduced, sin_reduced

MAX_ORDER = 12  # of polygamma
SHIFT = 16  # the asymptotic series is used from here on


def cotangent_of_pi(x: Vector) -> Vector:
    """cot(π x), by the exact distance to the nearest integer."""
    large = abs(x) > 2.0**51
    n, _ = round_to_integer(select(large, 0.0, x))
    f = select(large, 0.0, x) - n
    over = abs(f) > 0.25
    folded = select(over, select(f < 0.0, -0.5 - f, 0.5 - f), f)
    angle = fast_two_sum(folded * pi, fma(folded, pi, -(folded * pi)))
    s, k = sin_reduced(*angle), cos_reduced(*angle)
    return select(over, s, k) / select(over, k, s)


def digamma(x: Vector) -> Vector:
    """ψ(x); nan at the poles 0, -1, -2, … but -inf at +0 and inf at -0.

    Upwards by ψ(x + 1) = ψ(x) + 1/x to x >= SHIFT, then the asymptotic series; ψ(1 - x) - ψ(x) = π cot(π x) for x < 0
    [DLMF 5.5, 5.11].
    """
    return polygamma(0)(x)


def polygamma(order: int) -> Callable[[Vector], Vector]:
    """The builder of ψ⁽ⁿ⁾(x) for n = `order`: upwards recurrence, asymptotic series, reflection [DLMF 5.15]."""

    def build(x: Vector) -> Vector:
        reflected = x < 0.0
        y = select(reflected, 1.0 - x, x)
        value = positive_polygamma(order, y)
        mirror = cotangent_derivative(order, cotangent_of_pi(x))
        below = (value if order % 2 == 0 else -value) - mirror
        return select(reflected, below, value)

    return build


def cotangent_derivative(order: int, cot: Vector) -> Vector:
    """dⁿ/dxⁿ π cot(π x) = π^(n+1) P_n(cot π x), P_0 = c, P_(n+1) = -(1 + c²) P_n'."""
    p = [0, 1]
    for _ in range(order):
        slope = [k * a for k, a in enumerate(p)][1:]
        p = [-(a + b) for a, b in zip([*slope, 0, 0], [0, 0, *slope], strict=True)]
    return horner(cot, [pi ** (order + 1) * a for a in p])


def positive_polygamma(order: int, x: Vector) -> Vector:
    sign = 1.0 if order % 2 else -1.0
    small = x < SHIFT
    total = x.body.real(0.0)
    for k in range(SHIFT):
        inverse = 1.0 / (x + float(k))
        power = inverse
        for _ in range(order):
            power = power * inverse
        total = total + power
    w = select(small, x + float(SHIFT), x)
    recurrence = select(small, total, 0.0)
    inverse = 1.0 / w
    square = inverse * inverse
    # (-1)^(n+1) ψ⁽ⁿ⁾ = (n-1)!/x^n + n!/(2 x^(n+1)) + Σ B_2j (2j+n-1)!/((2j)! x^(2j+n))
    series = [b * factorial(2 * j + order - 1) / factorial(2 * j) for j, b in enumerate(c.BERNOULLI, 1)]
    tail = fma(horner(square, series), square, inverse * (factorial(order) / 2))
    if order == 0:
        result = log(w) - (tail + recurrence)
        return select(x.equals(inf), inf, result)
    tail = tail + float(factorial(order - 1))
    for _ in range(order):
        tail = tail * inverse
    return sign * fma(recurrence, float(factorial(order)), tail)
