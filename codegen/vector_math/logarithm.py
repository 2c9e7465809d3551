"""log and its relatives: log2, log10, log1p, asinh, acosh, atanh."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, nan
from typing import NamedTuple

from codegen.vector_math.double_double import Pair, excess, fast_two_sum, quotient_terms, two_prod, two_sum
from codegen.vector_math.exponential import power_of_two, shifter
from codegen.vector_math.ir import Vector, fma, select, sqrt, with_sign
from codegen.vector_math.numbers_of import numbers
from codegen.vector_math.polynomial import estrin
from codegen.vector_math.tables import look_up

ROOT_HALF = 0.5**0.5
TABLE_LEAST = 47 / 64  # of the fractions that the tables are for
GETMANT_ONE_TO_TWO = 8  # the fraction in [1, 2), nan for negative numbers
# what becomes of each class of argument, the lowest four bits first: nan, signalling nan, 0, 1, -inf, inf, negative,
# positive; 0 keeps the value, 1 gives the argument, 2 it as a quiet nan, 3 nan, 4 -inf, 5 inf
LOGARITHM_CLASSES = 0x03530421


class Parts(NamedTuple):
    """x = 2^k · m with √½ <= m < √2, or another least m."""

    k: Vector
    m: Vector


def exponent_and_fraction(x: Vector, least: float = ROOT_HALF) -> Parts:
    """x = 2^k · m for positive normal x, without integer-float conversion, which needs AVX-512."""
    if x.body.module.native512:
        return native_parts(x, least)
    format = x.body.module.format
    one, smallest = x.body.real(1.0).bits, x.body.real(least).bits
    moved = x.bits + (one - smallest)
    field = moved >> format.fraction_bits
    m = ((moved & ((1 << format.fraction_bits) - 1)) + smallest).real
    # 2^fraction_bits + field, as a float, has the field in its low bits
    magic = 2.0**format.fraction_bits
    k = (field | x.body.real(magic).bits).real - (magic + format.bias)
    return Parts(k, m)


def native_parts(x: Vector, least: float) -> Parts:
    """`exponent_and_fraction` by AVX-512's instructions for it; of subnormal x too."""
    k, m = x.body.avx512("getexp", x), x.body.avx512("getmant", x, GETMANT_ONE_TO_TWO)
    upper = m >= 2.0 * least
    return Parts(select(upper, k + 1.0, k), select(upper, m * 0.5, m))


def positive_parts(x: Vector, least: float = ROOT_HALF) -> Parts:
    """`exponent_and_fraction` for subnormal x too."""
    if x.body.module.native512:
        return native_parts(x, least)
    format = x.body.module.format
    subnormal = x < format.least_normal
    digits = format.fraction_bits + 2
    parts = exponent_and_fraction(select(subnormal, x * 2.0**digits, x), least)
    return Parts(parts.k - select(subnormal, float(digits), 0.0), parts.m)


def special_logarithms(x: Vector, value: Vector) -> Vector:
    """`value`, but inf at inf, -inf at ±0, nan for x < 0 and nan."""
    if x.body.module.native512:
        table = x.body.integer(LOGARITHM_CLASSES)
        return x.body.avx512("fixupimm", value, x, table, 0)
    value = select(x < inf, value, x)
    return select(x > 0.0, value, select(x.equals(0.0), -inf, nan))


def log(x: Vector) -> Vector:
    """ln x; -inf at 0, nan below.

    x = 2^k (1 + f), s = f/(2 + f), ln(1 + f) = f - f²/2 + s (f²/2 + z R(z)) with z = s² and the minimax polynomial LOG,
    which keeps f exact [the form is that of fdlibm's e_log.c, Sun Microsystems 1993].
    """
    c = numbers(x)
    k, m = positive_parts(x)
    f = m - 1.0
    s = f / (f + 2.0)
    z = s * s
    half = f * f * 0.5
    tail = fma(s, fma(z, estrin(z, c.LOG), half), k * c.LN2[1])
    return special_logarithms(x, fma(k, c.LN2[0], f - (half - tail)))


def log_fraction(m: Vector) -> Pair:
    """ln m to about 2^-60 of itself, for √½ <= m < √2: `log`'s formula with f - f²/2 in two floats."""
    c = numbers(m)
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
    c = numbers(x)
    k, m = positive_parts(x)
    fraction = log_fraction(m)
    total = fast_two_sum(k * c.LN2[0], fraction.hi)
    return Pair(total.hi, total.lo + fma(k, c.LN2[1], fraction.lo))


def log_row(m: Vector, symbol: str, table: Sequence[float]) -> list[Vector]:
    """c near 1/m and the two parts of the logarithm of 1/c, for TABLE_LEAST <= m < 2 TABLE_LEAST; c is 1 next to 1."""
    shift = m.body.module.format.fraction_bits - 4
    return look_up((m.bits + (1 << (shift - 1))) >> shift, symbol, table, columns=3)


def log_rest(m: Vector, c: Vector) -> Vector:
    """m c - 1, which is a float, for c of `log_row`."""
    if m.body.module.fma:
        return fma(m, c, -1.0)
    product = two_prod(m, c)
    return (product.hi - 1.0) + product.lo


def scaled_logarithm(
    x: Vector, symbol: str, table: Sequence[float], inverse: Pair, two: Pair, rest: Sequence[float]
) -> Vector:
    """A logarithm of x = 2^k m = 2^k (1 + r)/c: k `two` + log 1/c by `table` + r `inverse` + r² P(r), P = `rest`."""
    k, m = positive_parts(x, TABLE_LEAST)
    c, hi, lo = log_row(m, symbol, table)
    r = log_rest(m, c)
    linear = two_prod(r, inverse.hi)
    tail = fma(r * r, estrin(r, rest), fma(r, inverse.lo, linear.lo))
    total = fast_two_sum(fma(k, two.hi, hi), linear.hi)
    return special_logarithms(x, total.hi + (total.lo + (fma(k, two.lo, lo) + tail)))


def log2(x: Vector) -> Vector:
    """log₂ x; exact at powers of two; -inf at 0, nan below."""
    c, real = numbers(x), x.body.real
    inverse, two = Pair(*map(real, c.LOG2_E)), Pair(real(1.0), real(0.0))
    return scaled_logarithm(x, "@hy.log2_table", c.LOG2_TABLE, inverse, two, c.LOG2)


def log10(x: Vector) -> Vector:
    """log₁₀ x; -inf at 0, nan below."""
    c, real = numbers(x), x.body.real
    inverse, two = Pair(*map(real, c.LOG10_E)), Pair(*map(real, c.LOG10_2))
    return scaled_logarithm(x, "@hy.log10_table", c.LOG10_TABLE, inverse, two, c.LOG10)


def log_of_sum(f: Vector, g: Vector, k: Vector) -> Vector:
    """ln(1 + f) + g + k ln 2 for √½ <= 1 + f < √2 and g below some ulps of f: `log`'s last steps."""
    c = numbers(f)
    s = f / (f + 2.0)
    z = s * s
    half = f * f * 0.5
    tail = fma(s, fma(z, estrin(z, c.LOG), half), fma(k, c.LN2[1], g))
    return fma(k, c.LN2[0], f - (half - tail))


def log1p(x: Vector) -> Vector:
    """ln(1 + x); -inf at -1, nan below; -0.0 is kept.

    1 + x = 2^k (1 + f + g), f + g the exact rest, which is x itself when k = 0.
    """
    format = x.body.module.format
    u = two_sum(x.body.real(1.0), x)
    k, m = exponent_and_fraction(u.hi)
    # 2^-k in two factors: 2^-1024 is subnormal
    shrink = power_of_two(shifter(x, format.bias + 1) - k)
    f, g = fast_two_sum(m - 1.0, u.lo * shrink * 0.5)
    # ln(1 + f + g) = ln(1 + f) + g/(1 + f); 1 - f is near enough to the last factor
    value = log_of_sum(f, fma(-g, f, g), k)
    value = select(x < inf, value, x)
    return with_sign(select(x > -1.0, value, select(x.equals(-1.0), -inf, nan)), x)


def asinh(x: Vector) -> Vector:
    """asinh x = ln(y + √(y² + 1)) with y = |x|; below 1/2 y + y z P(z), z = y², with the minimax polynomial ASINH."""
    c = numbers(x)
    y = abs(x)
    huge = y > 2.0**30  # 1 no longer counts beside y²
    square = two_prod(y, y)
    total = two_sum(square.hi, x.body.real(1.0))
    t = sqrt(total.hi)
    e = (total.lo + square.lo) - excess(t, t, total.hi)
    # √(y² + 1) = t + e/(2 t), and u + v = t + y exactly: the logarithm of u needs (v + e/(2 t))/u more
    u, v = fast_two_sum(t, y)
    correction = fma(t + t, v, e) / ((t + t) * u)
    k, m = exponent_and_fraction(select(huge, y, u))
    far = log_of_sum(m - 1.0, select(huge, 0.0, correction), k + select(huge, 1.0, 0.0))
    near = fma(square.hi * y, estrin(square.hi, c.ASINH), y)
    value = select(y < 0.5, near, far)
    return with_sign(select(y < inf, value, y), x)


def acosh(x: Vector) -> Vector:
    """acosh x = ln(x + √(x² - 1)); below 3/2 √(2 d) (1 + d P(d)), d = x - 1, with the minimax polynomial ACOSH; nan
    below 1."""
    c = numbers(x)
    huge = x > 2.0**30
    near = x < 1.5
    d = x - 1.0
    square = two_prod(x, x)
    argument = select(near, d + d, square.hi - 1.0)
    rest = select(near, 0.0, (square.hi - (argument + 1.0)) + square.lo)
    t = sqrt(argument)
    e = rest - excess(t, t, argument)
    # near 1 the root is t + e/(2 t), far from it the logarithm of u = x + t needs (v + e/(2 t))/u more
    u = x + t
    v = t - (u - x)
    correction = select(near, e, fma(t + t, v, e)) / ((t + t) * select(near, 1.0, u))
    k, m = exponent_and_fraction(select(huge, x, u))
    far = log_of_sum(m - 1.0, select(huge, 0.0, correction), k + select(huge, 1.0, 0.0))
    value = select(near, t + fma(t * d, estrin(d, c.ACOSH), correction), far)
    value = select(x > 1.0, value, select(x.equals(1.0), 0.0, nan))
    return select(x.equals(inf), inf, value)


def atanh(x: Vector) -> Vector:
    """atanh x = ½ ln((1 + y)/(1 - y)), y = |x|; ±inf at ±1, nan beyond.

    With 1 - y = 2^-k d it is k ln 2/2 + atanh(s), s = (1 + y - d)/(1 + y + d), where k = 0 and s = y below 1/3, with
    the minimax polynomial ATANH.
    """
    c = numbers(x)
    format = x.body.module.format
    y = abs(x)
    inner = y < 1.0 / 3.0
    more, less = fast_two_sum(1.0, y), fast_two_sum(1.0, -y)
    # d in [1.15, 2.3), and 1 + y in [4/3, 2): their quotient is within 1.74 of 1
    centre = x.body.real(1.15).bits
    moved = less.hi.bits - centre
    exponent = moved & -(1 << format.fraction_bits)
    d = (moved - exponent + centre).real
    # k = 0 … 54, made a float by way of the low bits of 2^fraction_bits + k
    magic = x.body.real(2.0**format.fraction_bits).bits
    k = (((0 - exponent) >> format.fraction_bits) | magic).real - 2.0**format.fraction_bits
    k = select(inner, 0.0, k)
    rounding = less.lo * ((format.bias << format.fraction_bits) - exponent).real
    above = Pair(more.hi - d, more.lo - rounding)
    below = fast_two_sum(more.hi, d)
    below = Pair(below.hi, below.lo + (more.lo + rounding))
    s = quotient_terms(above, below)
    s = Pair(select(inner, y, s.hi), select(inner, 0.0, s.lo))
    z = s.hi * s.hi
    tail = fma(z * s.hi, estrin(z, c.ATANH), s.lo)
    leading = fast_two_sum(k * (c.LN2[0] * 0.5), s.hi)
    value = leading.hi + (leading.lo + fma(k, c.LN2[1] * 0.5, tail))
    return with_sign(select(y < 1.0, value, select(y.equals(1.0), inf, nan)), x)
