"""asin, acos, atan, atan2."""

from __future__ import annotations

from math import inf, nan

from codegen.vector_math.double_double import Pair, excess, fast_two_sum
from codegen.vector_math.ir import Mask, Vector, at_least, copysign, fma, rare, select, sqrt, with_sign, write_function
from codegen.vector_math.numbers_of import numbers
from codegen.vector_math.polynomial import estrin

UNUSUAL_SYMBOL = "@hy.atan2_unusual"


def large(x: Vector) -> float:
    """From here on reciprocals are no normal numbers."""
    return x.body.module.format.pick(2.0**1000, 2.0**100)


def tiny(x: Vector) -> float:
    """Below, the rounding errors of quotients are no normal numbers."""
    return x.body.module.format.pick(2.0**-900, 2.0**-90)


def octant(y: Vector, x: Vector, low: Mask, high: Mask) -> tuple[Pair, Pair]:
    """atan(y/x) for x, y >= 0 as a constant 0, π/4 or π/2 and a remainder t + u: masks say y/x < 1/2 and y/x > 2.

    t = y/x, (y - x)/(y + x) or -x/y by one division, |t| <= 1/2, and its rounding error is made good; then the minimax
    polynomial ATAN.
    """
    c = numbers(y)
    middle = ~(low | high)
    above = select(low, y, select(high, -x, y - x))
    below, rounding = fast_two_sum(at_least(y, x), select(middle, select(y < x, y, x), 0.0))
    inverse = 1.0 / below
    t = above * inverse
    z = t * t
    correction = -(excess(t, below, above) + t * rounding) * inverse
    u = fma(z * t, estrin(z, c.ATAN), correction)
    quarters = select(low, 0.0, select(high, c.HALF_PI_PAIR[0], c.QUARTER_PI_PAIR[0]))
    rest = select(low, 0.0, select(high, c.HALF_PI_PAIR[1], c.QUARTER_PI_PAIR[1]))
    return Pair(quarters, rest), Pair(t, u)


def atan(x: Vector) -> Vector:
    """atan x; ±π/2 at ±inf."""
    y = abs(x)
    constant, (t, u) = octant(at_most_finite(y), x.body.real(1.0), y < 0.5, y > 2.0)
    leading = fast_two_sum(constant.hi, t)
    return copysign(leading.hi + (leading.lo + (u + constant.lo)), x)


def at_most_finite(y: Vector) -> Vector:
    """y, but `large` from there on: its reciprocal is a normal number."""
    return select(y > large(y), large(y), y)


def atan2(y: Vector, x: Vector) -> Vector:
    """The angle of the point (x, y), with C's values at zeros and infinities."""
    module = x.body.module
    symbol = UNUSUAL_SYMBOL
    module.define(symbol, lambda: write_function(module, symbol, 3, atan2_unusual, "cold noinline nounwind"))
    (angle,) = rare(is_unusual(y, x), symbol, [y, x], [atan2_usual(y, x)])
    return angle


def is_unusual(y: Vector, x: Vector) -> Mask:
    """Where a reciprocal or a rounding error in `atan2_usual` may overflow or underflow."""
    a, b = abs(y), abs(x)
    return (a > large(a)) | (b > large(a)) | ((a < tiny(a)) & ((a > 0.0) | (b < tiny(a))))


def atan2_usual(y: Vector, x: Vector) -> Vector:
    """`atan2` unless `is_unusual`."""
    c = numbers(y)
    a, b = abs(y), abs(x)
    constant, (t, u) = octant(a, b, a < b * 0.5, a > b * 2.0)
    left = x < 0.0
    # left of the axis the angle is π minus the one of (|x|, |y|)
    hi = select(left, c.HALF_PI_PAIR[0] * 2.0 - constant.hi, constant.hi)
    lo = select(left, c.HALF_PI_PAIR[1] * 2.0 - constant.lo, constant.lo)
    sign = x.bits & x.body.module.format.sign
    t, u = (t.bits ^ sign).real, (u.bits ^ sign).real
    leading = fast_two_sum(hi, t)
    return copysign(leading.hi + (leading.lo + (u + lo)), y)


def atan2_unusual(y: Vector, x: Vector, usual: Vector) -> Vector:
    """`usual`, but in the lanes of huge, tiny, zero or infinite points the angle of a scaled or equivalent point."""
    a, b = abs(y), abs(x)
    larger = at_least(a, b)
    factor = select(
        larger > large(x), 2.0**-60, select(larger < 1.0, x.body.module.format.pick(2.0**200, 2.0**50), 1.0)
    )
    up_infinite, right_infinite = a.equals(inf), b.equals(inf)
    both = up_infinite & right_infinite
    # an infinite or zero side is a direction: 1 beside 0
    up = select(both, 1.0, select(up_infinite, 1.0, select(right_infinite, 0.0, a * factor)))
    right = select(both, 1.0, select(right_infinite, 1.0, select(up_infinite, 0.0, b * factor)))
    right = select(a.equals(0.0) & b.equals(0.0), 1.0, right)
    angle = atan2_usual(copysign(up, y), copysign(right, x))
    angle = select(x.is_nan() | y.is_nan(), nan, angle)
    return select(is_unusual(y, x), angle, usual)


def half_angle(y: Vector) -> tuple[Vector, Vector, Vector]:
    """(s, e, p) for 0 <= y <= 1: s = y below 1/2, above s + e = √((1 - y)/2), and asin(s + e) = s + (e + p)."""
    c = numbers(y)
    outer = y > 0.5
    z = select(outer, fma(y, -0.5, 0.5), y * y)
    root = sqrt(z)
    s = select(outer, root, y)
    e = select(outer, excess(root, root, z) * (-0.5 / at_least(root, 2.0**-100)), 0.0)
    return s, e, s * z * estrin(z, c.ASIN)


def asin(x: Vector) -> Vector:
    """asin x = π/2 - 2 asin √((1 - |x|)/2) for |x| > 1/2; the minimax polynomial ASIN; nan outside [-1, 1]."""
    c = numbers(x)
    y = abs(x)
    s, e, p = half_angle(y)
    leading = fast_two_sum(c.HALF_PI_PAIR[0], s * -2.0)
    outer = leading.hi + (leading.lo + fma(e + p, -2.0, c.HALF_PI_PAIR[1]))
    value = select(y > 0.5, outer, s + p)
    return with_sign(select(y <= 1.0, value, nan), x)


def acos(x: Vector) -> Vector:
    """acos x = π/2 - asin x, 2 asin √((1 - x)/2) for x > 1/2, π - 2 asin √((1 + x)/2) for x < -1/2; nan outside [-1,
    1]."""
    c = numbers(x)
    y = abs(x)
    s, e, p = half_angle(y)
    outer, negative = y > 0.5, x < 0.0
    # a constant 0, π/2 or π, minus or plus once or twice the angle
    hi, lo = c.HALF_PI_PAIR
    constant_hi = select(outer, select(negative, 2 * hi, 0.0), hi)
    constant_lo = select(outer, select(negative, 2 * lo, 0.0), lo)
    factor = select(outer, select(negative, -2.0, 2.0), select(negative, 1.0, -1.0))
    leading = fast_two_sum(constant_hi, s * factor)
    value = leading.hi + (leading.lo + fma(e + p, factor, constant_lo))
    return select(y <= 1.0, value, nan)
