"""cbrt, rsqrt and hypot."""

from __future__ import annotations

from math import inf

from codegen.vector_math.double_double import excess, two_prod
from codegen.vector_math.ir import Vector, at_least, copysign, fma, select, sqrt
from codegen.vector_math.numbers_of import numbers
from codegen.vector_math.polynomial import horner


def inverse_cube_root_guess(a: Vector) -> Vector:
    """a^(-1/3) within 4 %, for normal a: a linear map of the exponent and leading fraction, in the top bits.

    The product by 1/3 is made in floating point: those bits, 32 of float64 and 24 of float32, are the low ones of
    2^fraction_bits + bits.
    """
    c = numbers(a)
    format = a.body.module.format
    below = int(format.pick(32, 8))
    magic = 2.0**format.fraction_bits
    top = ((a.bits >> below) | a.body.real(magic).bits).real - magic
    guess = fma(top, -1.0 / 3.0, magic + c.CBRT_GUESS[0])
    return (guess.bits << below).real


def cbrt(x: Vector) -> Vector:
    """x^(1/3) with the sign of x; ±0, ±inf and nan are kept.

    r = a^(-1/3): a guess, then r · P(1 - a r³) with the minimax polynomial CBRT, then one Newton step; y = a r²,
    corrected by the exact residual a - y³. No division.
    """
    c = numbers(x)
    size = abs(x)
    format = x.body.module.format
    tiny = size < format.pick(2.0**-900, 2.0**-60)
    a = size * select(tiny, format.pick(2.0**162, 2.0**81), 2.0**-30)
    r = inverse_cube_root_guess(a)
    r = r * horner(1.0 - (a * r) * (r * r), c.CBRT)
    e = fma(-(a * r), r * r, 1.0)
    r = fma(r * (1 / 3), e, r)
    square = r * r
    y = a * square
    y_square = two_prod(y, y)
    too_much = fma(y_square.lo, y, excess(y_square.hi, y, a))
    y = fma(square * (-1 / 3), too_much, y) * select(tiny, format.pick(2.0**-54, 2.0**-27), 2.0**10)
    regular = (size > 0.0) & (size < inf)
    return select(regular, copysign(y, x), x)


def rsqrt(x: Vector) -> Vector:
    """1/√x, corrected by the exact residual 1 - x y²; ±inf at ±0, 0 at inf, nan below 0."""
    y = 1.0 / sqrt(x)
    a, b = x, y
    if not x.body.module.fma:
        # the steps of an exact product of the largest numbers would overflow
        a, b = select(x > 1.0, x * 0.25, x), select(x > 1.0, y * 4.0, y)
    product = two_prod(a, y)
    residual = fma(product.lo, b, excess(product.hi, b, x.body.real(1.0)))
    return select((x > 0.0) & (x < inf), fma(y * -0.5, residual, y), y)


def hypot(x: Vector, y: Vector) -> Vector:
    """√(x² + y²) without overflow or underflow between; inf if either is infinite, even beside nan."""
    a, b = abs(x), abs(y)
    larger = at_least(a, b)
    format = x.body.module.format
    up, down = larger < format.pick(2.0**-400, 2.0**-40), larger > format.pick(2.0**500, 2.0**60)
    more, less = format.pick(2.0**600, 2.0**86), format.pick(2.0**-600, 2.0**-70)
    factor = select(up, more, select(down, less, 1.0))
    p, q = a * factor, b * factor
    value = sqrt(fma(p, p, q * q)) * select(up, 1 / more, select(down, 1 / less, 1.0))
    return select(a.equals(inf) | b.equals(inf), inf, value)
