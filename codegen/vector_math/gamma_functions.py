"""gamma and loggamma."""

from __future__ import annotations

from math import inf, nan
from typing import NamedTuple

from codegen.vector_math import coefficients as c
from codegen.vector_math.double_double import (
    Pair,
    fast_two_sum,
    multiply,
    multiply_add,
    product_terms,
    quotient,
    scale,
    sum_terms,
)
from codegen.vector_math.exponential import exp_parts, scale_by_power
from codegen.vector_math.ir import Mask, Vector, at_most, copysign, fma, rare, select, write_function
from codegen.vector_math.logarithm import TABLE_LEAST, exponent_and_fraction, log_sum
from codegen.vector_math.polynomial import careful, horner
from codegen.vector_math.power import log_pair
from codegen.vector_math.trigonometric import cos_terms, sin_terms

ASYMPTOTIC = 8.0  # Stirling's series is used from here on
SMALL = 2.0**-60  # below, gamma(x) is 1/x
GAMMA_SYMBOL, LOGGAMMA_SYMBOL = "@hy.gamma_negative", "@hy.loggamma_negative"
COLD = "cold noinline nounwind"


class PiMultiple(NamedTuple):
    """sin(π y) and cos(π y) without their common sign, (-1)^`odd`; `whole` says that y is an integer."""

    sin: Pair
    cos: Pair
    odd: Mask
    whole: Mask


def of_pi_times(y: Vector) -> PiMultiple:
    """sin and cos of π y for y >= 0, reduced exactly: relative accuracy near integers too."""
    large = y >= 2.0**52
    shifted = y + 2.0**52
    f = select(large, 0.0, y - (shifted - 2.0**52))
    odd = (shifted.bits & 1).equals(1)
    outer = abs(f) > 0.25
    # sin(π f) = ± cos(π (1/2 - |f|)), cos(π f) = sin(π (1/2 - |f|))
    folded = select(outer, 0.5 - abs(f), f)
    angle = scale(Pair(*map(y.body.real, c.PI_PAIR)), folded)
    a, b = sin_terms(*angle)
    s, k = fast_two_sum(a, -b), fast_two_sum(*cos_terms(*angle))
    sine = Pair(copysign(select(outer, k.hi, abs(s.hi)), f), flip(select(outer, k.lo, flip(s.lo, f)), f))
    cosine = Pair(select(outer, s.hi, k.hi), select(outer, s.lo, k.lo))
    return PiMultiple(sine, cosine, odd, f.equals(0.0))


def flip(x: Vector, sign: Vector) -> Vector:
    """x, negated where the sign bit of `sign` is set."""
    return (x.bits ^ (sign.bits & (1 << (x.body.module.format.bits - 1)))).real


def negate_where(mask: Mask, x: Vector) -> Vector:
    return select(mask, -x, x)


class Stirling(NamedTuple):
    """Γ(x) = e^exponent / product."""

    exponent: Pair
    product: Pair


def stirling(x: Vector) -> Stirling:
    """For 0 < x < 200, to about 2^-58: ln Γ(w) = (w - 1/2) ln w - w + ln(2 π)/2 + S(1/w²)/w [DLMF 5.11.1].

    Below ASYMPTOTIC, w = x + 8 and Γ(x) = Γ(w)/(x (x + 1) … (x + 7)), with u = x² + 7 x the product u (u + 6) (u +
    10) (u + 12).
    """
    body = x.body
    small = x < ASYMPTOTIC
    w = select(small, x + ASYMPTOTIC, x)
    rounding = select(small, x - (w - ASYMPTOTIC), 0.0)
    inverse = 1.0 / w
    logarithm = log_pair(exponent_and_fraction(w, TABLE_LEAST))
    main = sum_terms(sum_terms(product_terms(logarithm, Pair(w - 0.5, body.real(0.0))), -w), c.HALF_LOG_TWO_PI[0])
    # the derivative ψ(w) ≈ ln w - 1/(2 w) carries the rounding of w
    moved = rounding * fma(inverse, -0.5, logarithm.hi)
    tail = fma(inverse, horner(inverse * inverse, c.STIRLING), moved + c.HALF_LOG_TWO_PI[1])
    exponent = fast_two_sum(main.hi, main.lo + tail)

    product = u = quadratic(x)
    for offset in (6.0, 10.0, 12.0):
        product = product_terms(product, sum_terms(u, offset))
    return Stirling(exponent, Pair(select(small, product.hi, 1.0), select(small, product.lo, 0.0)))


def quadratic(x: Vector) -> Pair:
    """x (x + 7) to about 2^-104, for 0 < x < 8."""
    return product_terms(Pair(x, x.body.real(0.0)), fast_two_sum(7.0, x))


def exp_pair(x: Pair) -> tuple[Pair, Vector, Vector]:
    """e^x as a pair times the power of two of the other values (for `scale_by_power`), for |x| < 1000."""
    power = exp_parts(x, 2 * x.hi.body.module.format.bias)
    return power.pair, power.n, power.shifted


def gamma(x: Vector) -> Vector:
    """Γ(x); inf above 171.62, ±inf at ±0, nan at negative integers and -inf; exact factorials."""
    module = x.body.module
    module.define(GAMMA_SYMBOL, lambda: write_function(module, GAMMA_SYMBOL, 2, gamma_negative, COLD))
    exponent, product = stirling(at_most(x, 175.0))
    power, n, shifted = exp_pair(exponent)
    value = select(abs(x) < SMALL, 1.0 / x, scale_by_power(quotient(power, product), n, shifted))
    (value,) = rare(x < 0.0, GAMMA_SYMBOL, [x], [value])
    return value


def gamma_negative(x: Vector, usual: Vector) -> Vector:
    """`usual`, but for x < 0 it is -π/(y sin(π y) Γ(y)) with y = -x."""
    y = abs(x)
    bounded = at_most(y, 190.0)
    exponent, product = stirling(bounded)
    power, n, shifted = exp_pair(Pair(-exponent.hi, -exponent.lo))
    sine, _, odd, whole = of_pi_times(y)
    above = multiply(multiply(power, product), Pair(*map(x.body.real, c.PI_PAIR)))
    value = scale_by_power(quotient(above, scale(sine, -bounded)), n, shifted)
    value = select(whole, nan, negate_where(odd, value))
    return select(x < -SMALL, value, select(x < 0.0, 1.0 / x, usual))


def loggamma(x: Vector) -> Vector:
    """ln |Γ(x)|; inf at 0, negative integers and ±inf. Relative accuracy at the zeros 1 and 2."""
    module = x.body.module
    module.define(LOGGAMMA_SYMBOL, lambda: write_function(module, LOGGAMMA_SYMBOL, 2, loggamma_negative, COLD))
    positive = loggamma_positive(x)
    (value,) = rare(x < 0.0, LOGGAMMA_SYMBOL, [x], [positive.hi + positive.lo])
    return value


def loggamma_positive(x: Vector) -> Pair:
    """Stirling's series from ASYMPTOTIC on; below, ln Γ(2 + t) = t (1 + t) P(t), |t| <= 1/2, and the recurrence.

    Unrounded: the sum of the pair is ln Γ(x). The steps of the recurrence give one product, whose logarithm is added
    (x > 5/2) or taken off (x < 3/2).
    """
    asymptotic = x >= ASYMPTOTIC
    below, far_below = x < 1.5, x < 0.5
    t = select(far_below, x, select(below, x - 1.0, x - 2.0))
    product = select(far_below, fma(x, x, x), select(below, x, 1.0))
    for _ in range(6):
        above = t > 0.5
        product = select(above, product * (t + 1.0), product)
        t = select(above, t - 1.0, t)
    logarithm = log_sum(select(asymptotic, x, product))
    sign = select(below, -1.0, 1.0)
    factor_of_near, ratio = multiply_add(t, t, t), careful(t, c.LOGGAMMA)
    near = fma(factor_of_near.hi, ratio, logarithm.hi * sign)
    inverse = 1.0 / x
    correction = fma(inverse, horner(inverse * inverse, c.STIRLING), c.HALF_LOG_TWO_PI[0] - 0.5)
    factor = x - 0.5
    far = factor * (logarithm.hi - 1.0)
    hi = select(x > 0.0, select(asymptotic, far, near), inf)
    near_rest = fma(factor_of_near.lo, ratio, logarithm.lo * sign)
    lo = select(asymptotic, fma(factor, logarithm.lo, correction), near_rest)
    return Pair(select(x < inf, hi, x), select((x > 0.0) & (x < inf), lo, 0.0))


def loggamma_negative(x: Vector, usual: Vector) -> Vector:
    """`usual`, but for x < 0 it is -ln(y |sin(π y)|/π) - ln Γ(y) with y = -x."""
    y = abs(x)
    sine, _, _, whole = of_pi_times(y)
    ratio = quotient(scale(Pair(abs(sine.hi), flip(sine.lo, sine.hi)), y), Pair(*map(x.body.real, c.PI_PAIR)))
    # where y² underflows ln Γ(-y) is -ln y
    small = y < SMALL
    logarithm, mirrored = log_sum(select(small, y, ratio)), loggamma_positive(y)
    hi = logarithm.hi + select(small, 0.0, mirrored.hi)
    lo = logarithm.lo + select(small, 0.0, mirrored.lo)
    return select(x < 0.0, select(whole, inf, -(hi + lo)), usual)
