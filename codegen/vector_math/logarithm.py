"""log and its relatives: log2, log10, log1p, asinh, acosh, atanh."""

from __future__ import annotations

from math import inf, nan, sqrt
from typing import NamedTuple

from codegen.vector_math import coefficients as c
from codegen.vector_math.double_double import (
    Pair,
    add_number,
    fast_two_sum,
    quotient_pair,
    root_pair,
    two_prod,
    two_sum,
)
from codegen.vector_math.ir import Integer, Vector, fma, select
from codegen.vector_math.polynomial import estrin


class Parts(NamedTuple):
    """x = 2^k · m with √½ <= m < √2; `field` is the integer k + bias."""

    k: Vector
    m: Vector
    field: Integer


def exponent_and_fraction(x: Vector, offset: float = 0.0) -> Parts:
    """x = 2^(k + offset) · m for positive normal x, without integer-float conversion, which needs AVX-512."""
    format = x.body.module.format
    one, root_half = x.body.real(1.0).bits, x.body.real(sqrt(0.5)).bits
    moved = x.bits + (one - root_half)
    field = moved >> format.fraction_bits
    m = ((moved & ((1 << format.fraction_bits) - 1)) + root_half).real
    # 2^fraction_bits + field, as a float, has the field in its low bits
    magic = 2.0**format.fraction_bits
    k = (field | x.body.real(magic).bits).real - (magic + format.bias + offset)
    return Parts(k, m, field)


def positive_parts(x: Vector) -> Parts:
    """`exponent_and_fraction` for subnormal x too."""
    format = x.body.module.format
    subnormal = x < 2.0 ** (1 - format.bias)
    digits = format.fraction_bits + 2
    parts = exponent_and_fraction(select(subnormal, x * 2.0**digits, x))
    return Parts(parts.k - select(subnormal, float(digits), 0.0), parts.m, parts.field)


def special_logarithms(x: Vector, value: Vector) -> Vector:
    """`value`, but inf at inf, -inf at ±0, nan for x < 0 and nan."""
    value = select(x < inf, value, x)
    return select(x > 0.0, value, select(x.equals(0.0), -inf, nan))


def log(x: Vector) -> Vector:
    """ln x; -inf at 0, nan below.

    x = 2^k (1 + f), s = f/(2 + f), ln(1 + f) = f - f²/2 + s (f²/2 + z R(z)) with z = s² and the minimax polynomial LOG,
    which keeps f exact [the form is that of fdlibm's e_log.c, Sun Microsystems 1993].
    """
    k, m, _ = positive_parts(x)
    f = m - 1.0
    s = f / (f + 2.0)
    z = s * s
    half = f * f * 0.5
    tail = fma(s, fma(z, estrin(z, c.LOG), half), k * c.LN2[1])
    return special_logarithms(x, fma(k, c.LN2[0], f - (half - tail)))


def log_fraction(m: Vector) -> Pair:
    """ln m to about 2^-60 of itself, for √½ <= m < √2: `log`'s formula with f - f²/2 in two floats."""
    f = m - 1.0
    s = f / (f + 2.0)
    z = s * s
    square = two_prod(f, f)
    half = Pair(square.hi * 0.5, square.lo * 0.5)
    leading = fast_two_sum(f, -half.hi)
    tail = fma(s, fma(z, estrin(z, c.LOG), half.hi), leading.lo - half.lo)
    return fast_two_sum(leading.hi, tail)


def log_sum(x: Vector) -> Pair:
    """ln x to about 2^-59 of the larger of 1 and itself, for positive finite x; lo can reach 2^-33, k of ln 2's
    parts."""
    k, m, _ = positive_parts(x)
    fraction = log_fraction(m)
    total = fast_two_sum(k * c.LN2[0], fraction.hi)
    return Pair(total.hi, total.lo + fma(k, c.LN2[1], fraction.lo))


def scaled_logarithm(x: Vector, one: Pair, two: Pair) -> Vector:
    """`one` · ln m + `two` · k for x = 2^k m, where `two.hi` · k is exact."""
    k, m, _ = positive_parts(x)
    fraction = log_fraction(m)
    product = two_prod(fraction.hi, one.hi)
    low = fma(fraction.hi, one.lo, fma(fraction.lo, one.hi, product.lo))
    total = fast_two_sum(k * two.hi, product.hi)
    return special_logarithms(x, total.hi + (total.lo + fma(k, two.lo, low)))


def log2(x: Vector) -> Vector:
    """log₂ x; exact at powers of two; -inf at 0, nan below."""
    return scaled_logarithm(x, Pair(*map(x.body.real, c.LOG2_E)), Pair(*map(x.body.real, (1.0, 0.0))))


def log10(x: Vector) -> Vector:
    """log₁₀ x; -inf at 0, nan below."""
    return scaled_logarithm(x, Pair(*map(x.body.real, c.LOG10_E)), Pair(*map(x.body.real, c.LOG10_2)))


def log1p_pair(a: Pair, exponent: Vector | None = None) -> Vector:
    """ln(1 + a.hi + a.lo) (+ exponent · ln 2) for 1 + a.hi >= 2^-54 finite, with small relative error near a = 0 too.

    1 + a = 2^k (1 + f + g), f + g a pair that is `a` itself when k = 0.
    """
    format = a.hi.body.module.format
    u = two_sum(a.hi.body.real(1.0), a.hi)
    k, m, field = exponent_and_fraction(u.hi)
    # 2^-k in two factors: 2^-1024 is subnormal
    shrink = ((2 * format.bias + 1 - field) << format.fraction_bits).real
    f, g = fast_two_sum(m - 1.0, (u.lo + a.lo) * 0.5 * shrink)
    if exponent is not None:
        k = k + exponent
    s = f / (f + 2.0)
    z = s * s
    half = f * f * 0.5
    # ln(1 + f + g) = ln(1 + f) + g/(1 + f), and 1 - f + f²/… is enough of the last
    low = fma(k, c.LN2[1], fma(-g, f - half - half, g))
    tail = fma(s, fma(z, estrin(z, c.LOG), half), low)
    return fma(k, c.LN2[0], f - (half - tail))


def with_sign(magnitude: Vector, x: Vector) -> Vector:
    """`magnitude`, which has the sign of x or is +0, with the sign bit of x set: keeps -0.0."""
    top = 1 << (x.body.module.format.bits - 1)
    return (magnitude.bits | (x.bits & top)).real


def log1p(x: Vector) -> Vector:
    """ln(1 + x); -inf at -1, nan below; -0.0 is kept."""
    value = log1p_pair(Pair(x, x.body.real(0.0)))
    value = select(x < inf, value, x)
    return with_sign(select(x > -1.0, value, select(x.equals(-1.0), -inf, nan)), x)


def asinh(x: Vector) -> Vector:
    """asinh x = ln(1 + a), a = |x| + x²/(1 + √(1 + x²)) to twice the precision; ln|x| + ln 2 for huge |x|."""
    y = abs(x)
    huge = y > 2.0**54
    small = select(huge, 1.0, y)
    square = two_prod(small, small)
    root = root_pair(add_number(square, x.body.real(1.0)))
    excess = quotient_pair(square, add_number(root, x.body.real(1.0)))
    a = add_number(excess, small)
    value = log1p_pair(Pair(select(huge, y, a.hi), select(huge, 0.0, a.lo)), select(huge, 1.0, 0.0))
    value = select(y < 2.0**-28, y, value)
    return with_sign(select(y < inf, value, y), x)


def acosh(x: Vector) -> Vector:
    """acosh x = ln(1 + a), a = d + √(d² + 2 d) with d = x - 1, to twice the precision; nan below 1."""
    huge = x > 2.0**54
    d = select(huge, 1.0, x) - 1.0
    square = two_prod(d, d)
    root = root_pair(add_number(square, d * 2.0))
    a = add_number(root, d)
    value = log1p_pair(Pair(select(huge, x, a.hi), select(huge, 0.0, a.lo)), select(huge, 1.0, 0.0))
    value = select(x > 1.0, value, select(x.equals(1.0), 0.0, nan))
    return select(x.equals(inf), inf, value)


def atanh(x: Vector) -> Vector:
    """atanh x = ln(1 + a)/2, a = 2 |x|/(1 - |x|) to twice the precision; ±inf at ±1, nan beyond."""
    y = abs(x)
    inside = select(y < 1.0, y, 0.0)
    a = quotient_pair(Pair(inside * 2.0, x.body.real(0.0)), fast_two_sum(1.0, -inside))
    value = log1p_pair(a) * 0.5
    value = select(y < 2.0**-28, y, value)
    return with_sign(select(y < 1.0, value, select(y.equals(1.0), inf, nan)), x)
