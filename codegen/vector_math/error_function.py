"""erf and erfc."""

from __future__ import annotations

from codegen.vector_math import coefficients as c
from codegen.vector_math.double_double import Pair, fast_two_sum, quotient_terms, two_prod
from codegen.vector_math.exponential import LOG2_E, power_of_two, reduce, round_to_integer, scale_by_power
from codegen.vector_math.ir import Vector, at_most, copysign, fma, select
from codegen.vector_math.polynomial import careful, estrin

ERF_SPLIT, ERFC_SPLIT = 1.2, 0.85
ERF_END, ERFC_END = 5.95, 27.3  # from here on 1 - erf is below 2^-54, erfc below 2^-1075
ERF_POLE = 3.0
# taken off the variables of the polynomials, so that their terms hardly cancel
ERF_CENTRE, ERF_MIDDLE, ERFC_MIDDLE = 0.17, 0.72, 0.36
ERFC_POLE, ERFC_NEAR_POLE = 3.5, 0.4375


def erf(x: Vector) -> Vector:
    """erf x = x + x P(x² - 0.72) below 1.2, 1 - e^(-x²) t Q(t) with t = 1/(x + 3) above; minimax polynomials
    ERF_SMALL, ERF_LARGE."""
    y = at_most(abs(x), ERF_END)
    square = two_prod(y, y)
    z = square.hi
    u = (z - ERF_MIDDLE) + square.lo
    small = fma(y, careful(u, c.ERF_SMALL, steps=2), y)
    n, shifted = round_to_integer(z * -LOG2_E, x.body.module.format.bias)
    r = fma(n, -c.LN2[1], fma(n, -c.LN2[0], -z)) - square.lo
    growth = fma(r * r, estrin(r, c.EXP), r)
    t = 1.0 / (y + ERF_POLE)
    tail = t * power_of_two(shifted) * careful(t - ERF_CENTRE, c.ERF_LARGE)
    large = 1.0 - fma(tail, growth, tail)
    return copysign(select(y < ERF_SPLIT, small, large), x)


def erfc(x: Vector) -> Vector:
    """erfc x with small relative error up to 26.54, where it becomes subnormal; 0 above 27.23.

    Beyond 0.85 it is e^(-x²) c (1 + t Q(t))/(x + a), t = (x - k)/(x + k), with the minimax polynomial ERFC_LARGE [the
    variable is that of Shepherd and Laframboise 1981; with this a the rest is nearly constant]; x² and c/(x + a) in
    two floats. 2 - erfc(-x) on the other side, 1 - erf x between.
    """
    y = at_most(abs(x), ERFC_END)
    square = two_prod(y, y)
    n, shifted = round_to_integer(square.hi * -LOG2_E, 2 * x.body.module.format.bias)
    reduced = reduce(-square.hi, n)
    r = fast_two_sum(reduced.hi, reduced.lo - square.lo)
    curved = fma(r.hi * r.hi, estrin(r.hi, c.EXP), r.lo)
    constant_hi, constant_lo, *rest = c.ERFC_LARGE
    t = (y - ERFC_POLE) / (y + ERFC_POLE)
    change = t * careful(t, rest, steps=2)
    factor = quotient_terms(
        Pair(*map(x.body.real, (constant_hi, constant_lo))), fast_two_sum(y, x.body.real(ERFC_NEAR_POLE))
    )
    # (1 + growth)(1 + change) with growth = r + curved, but r stays apart for the last sum
    both = curved + fma(r.hi + curved, change, change)
    low = fma(factor.lo, r.hi + both, factor.lo)
    rest_of_it = fma(factor.hi, r.hi, fma(factor.hi, both, low))
    large = scale_by_power(factor.hi + rest_of_it, shifted)
    ratio = careful((square.hi - ERFC_MIDDLE) + square.lo, c.ERFC_SMALL, steps=2)
    one = fast_two_sum(1.0, -x)
    small = one.hi + fma(-x, ratio, one.lo)
    outside = select(x < 0.0, 2.0 - large, large)
    return select(y < ERFC_SPLIT, small, outside)
