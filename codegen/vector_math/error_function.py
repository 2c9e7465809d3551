"""erf and erfc."""

from __future__ import annotations

from typing import NamedTuple

from codegen.vector_math.double_double import Pair, fast_two_sum, quotient_terms, two_prod
from codegen.vector_math.exponential import exp_parts, scale_by_normal, scale_by_power
from codegen.vector_math.ir import FLOAT32, FLOAT64, Format, Vector, at_most, copysign, fma, select
from codegen.vector_math.numbers_of import numbers
from codegen.vector_math.polynomial import careful


class Cuts(NamedTuple):
    """Where one formula ends and the next begins, and what their variables are made of.

    From erf_end on 1 - erf, from erfc_end on erfc no longer counts. The middles and the centre are taken off the
    variables of the polynomials, so that their terms hardly cancel.
    """

    erf: float
    erfc: float
    erf_end: float
    erfc_end: float
    erf_pole: float = 3.0
    erf_centre: float = 0.17
    erf_middle: float = 0.72
    erfc_middle: float = 0.36
    erfc_pole: float = 3.5
    erfc_near_pole: float = 0.4375


CUTS = {FLOAT64: Cuts(1.2, 0.85, 5.95, 27.3), FLOAT32: Cuts(1.2, 0.85, 3.95, 10.2)}


def cuts_of(format: Format) -> Cuts:
    return CUTS[format]


def erf(x: Vector) -> Vector:
    """erf x = x + x P(x² - 0.72) below 1.2, 1 - e^(-x²) t Q(t) with t = 1/(x + 3) above; minimax polynomials
    ERF_SMALL, ERF_LARGE."""
    c, cuts = numbers(x), cuts_of(x.body.module.format)
    y = at_most(abs(x), cuts.erf_end)
    square = two_prod(y, y)
    z = square.hi
    u = (z - cuts.erf_middle) + square.lo
    small = fma(y, careful(u, c.ERF_SMALL, steps=2), y)
    power = exp_parts(Pair(-z, -square.lo), x.body.module.format.bias)
    t = 1.0 / (y + cuts.erf_pole)
    tail = scale_by_normal(t, power.n, power.shifted) * careful(t - cuts.erf_centre, c.ERF_LARGE)
    large = 1.0 - fma(tail, power.lo, tail * power.hi)
    return copysign(select(y < cuts.erf, small, large), x)


def erfc(x: Vector) -> Vector:
    """erfc x with small relative error up to 26.54, where it becomes subnormal; 0 above 27.23.

    Beyond 0.85 it is e^(-x²) c (1 + t Q(t))/(x + a), t = (x - k)/(x + k), with the minimax polynomial ERFC_LARGE [the
    variable is that of Shepherd and Laframboise 1981; with this a the rest is nearly constant]; x² and c/(x + a) in
    two floats. 2 - erfc(-x) on the other side, 1 - erf x between.
    """
    c, cuts = numbers(x), cuts_of(x.body.module.format)
    y = at_most(abs(x), cuts.erfc_end)
    square = two_prod(y, y)
    power = exp_parts(Pair(-square.hi, -square.lo), 2 * x.body.module.format.bias)
    constant_hi, constant_lo, *rest = c.ERFC_LARGE
    t = (y - cuts.erfc_pole) / (y + cuts.erfc_pole)
    change = t * careful(t, rest, steps=2)
    factor = quotient_terms(
        Pair(*map(x.body.real, (constant_hi, constant_lo))), fast_two_sum(y, x.body.real(cuts.erfc_near_pole))
    )
    # (hi + lo)(1 + change) = hi + rest, times the factor, whose product with hi is exact
    rest_of_power = fma(power.hi + power.lo, change, power.lo)
    leading = two_prod(factor.hi, power.hi)
    low = fma(factor.hi, rest_of_power, fma(factor.lo, power.hi + rest_of_power, leading.lo))
    large = scale_by_power(leading.hi + low, power.n, power.shifted)
    ratio = careful((square.hi - cuts.erfc_middle) + square.lo, c.ERFC_SMALL, steps=2)
    one = fast_two_sum(1.0, -x)
    small = one.hi + fma(-x, ratio, one.lo)
    outside = select(x < 0.0, 2.0 - large, large)
    return select(y < cuts.erfc, small, outside)
