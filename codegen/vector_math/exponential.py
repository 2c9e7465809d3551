"""exp and its relatives: exp2, expm1, sinh, cosh, tanh."""

from __future__ import annotations

from math import log
from typing import NamedTuple

from codegen.vector_math.double_double import Pair, fast_two_sum, multiply_add, quotient, two_sum
from codegen.vector_math.ir import Vector, at_least, at_most, copysign, fma, select
from codegen.vector_math.numbers_of import numbers
from codegen.vector_math.polynomial import estrin
from codegen.vector_math.tables import look_up

LOG2_E = 1 / log(2)
LINEAR = 2.0**-28  # below, sinh x is x
EIGHTH = 3  # binary digits of n after the point


def shifter(x: Vector, offset: int = 0) -> float:
    """Adding this number rounds x to an integer n, and leaves n + offset in the low bits of the sum."""
    return 1.5 * 2.0**x.body.module.format.fraction_bits + offset


def round_to_integer(x: Vector, offset: int = 0) -> tuple[Vector, Vector]:
    """x rounded to an integer n (ties to even), and a float whose low bits are n + offset; |n| < 2^(fraction bits −
    1)."""
    shifted = x + shifter(x, offset)
    return shifted - shifter(x, offset), shifted


def power_of_two(shifted: Vector) -> Vector:
    """2^n from the second result of `round_to_integer(…, bias)`, for normal 2^n."""
    return (shifted.bits << shifted.body.module.format.fraction_bits).real


def scale_by_normal(x: Vector, n: Vector, shifted: Vector) -> Vector:
    """x · 2^⌊n⌋ rounded once, for n in eighths of `exp_parts` with offset bias, and normal 2^⌊n⌋."""
    if x.body.module.native512:
        return x.body.avx512("scalef", x, n)
    bits = x.body.module.format.fraction_bits
    return x * ((shifted.bits << (bits - EIGHTH)) & -(1 << bits)).real


def scale_by_power(x: Vector, n: Vector, shifted: Vector) -> Vector:
    """x · 2^⌊n⌋ rounded once, for n in eighths of `exp_parts` with offset 2·bias, between about −2·bias and bias + 1.

    2^⌊n⌋ itself may overflow or be subnormal: so two factors, of which the first keeps x · 2^⌊n/2⌋ normal.
    """
    if x.body.module.native512:
        return x.body.avx512("scalef", x, n)
    bits = x.body.module.format.fraction_bits
    whole = (shifted.bits << (bits - EIGHTH)) & -(1 << bits)
    first = (shifted.bits << (bits - EIGHTH - 1)) & -(1 << bits)
    return x * first.real * (whole - first).real


def reduce(x: Vector, n: Vector) -> Pair:
    """x - n ln 2 as a pair, with ln 2 in two parts of which the first times n is exact [Cody and Waite 1980]."""
    c = numbers(x)
    a = fma(n, -c.LN2[0], x)
    r = fma(n, -c.LN2[1], a)
    return Pair(r, fma(n, -c.LN2[1], a - r))


class Power(NamedTuple):
    """(hi + lo) · 2^⌊n⌋, |lo| below hi/20; ⌊n⌋ + an offset is also in the bits of `shifted`."""

    hi: Vector
    lo: Vector
    n: Vector
    shifted: Vector

    @property
    def pair(self) -> Pair:
        """hi + lo, added up."""
        return fast_two_sum(self.hi, self.lo)

    @property
    def value(self) -> Vector:
        """The power itself, rounded to little more than half an ulp."""
        return scale_by_power(self.hi + self.lo, self.n, self.shifted)


def round_to_eighth(x: Vector, offset: int) -> tuple[Vector, Vector]:
    """x rounded to n in eighths, and a float whose low bits are 8 (n + offset)."""
    unit = 2.0 ** (x.body.module.format.fraction_bits - EIGHTH)
    return (shifted := x + (1.5 * unit + offset)) - (1.5 * unit + offset), shifted


def exp_of_rest(r: Vector, n: Vector, shifted: Vector) -> Power:
    """e^r 2^n for n in eighths, |r| <= ln 2 / 16: 2^(i/8) from a table, and e^r = 1 + r + r² Q(r), minimax polynomial
    EXP."""
    c = numbers(r)
    hi, lo = look_up(shifted.bits, "@hy.exp_table", c.EXP_TABLE, columns=2)
    growth = fma(r * r, estrin(r, c.EXP), r)
    return Power(hi, fma(hi, growth, lo), n, shifted)


def exp_parts(x: Pair | Vector, offset: int) -> Power:
    """e^x, or e^(x.hi + x.lo) for |x.lo| <= 1/4, to about 2^-58 (2^-28 in float32); `offset` is 2·bias for
    `scale_by_power`."""
    hi = x if isinstance(x, Vector) else x.hi
    c = numbers(hi)
    n, shifted = round_to_eighth(hi * LOG2_E, offset)
    r = fma(n, -c.LN2[1], fma(n, -c.LN2[0], hi))
    return exp_of_rest(r if isinstance(x, Vector) else r + x.lo, n, shifted)


def exp(x: Vector) -> Vector:
    """e^x; inf above 709.78, subnormal below -708.4, 0 below -745.13, nan is kept."""
    format = x.body.module.format
    x = at_least(at_most(x, format.overflow), format.underflow)
    return exp_parts(x, 2 * format.bias).value


def exp2(x: Vector) -> Vector:
    """2^x = 2^n e^(r ln 2), where x = n + r is exact, n in eighths."""
    c, format = numbers(x), x.body.module.format
    x = at_least(at_most(x, format.bias + 2.0), -(format.bias + format.fraction_bits + 1.0))
    n, shifted = round_to_eighth(x, 2 * format.bias)
    return exp_of_rest((x - n) * c.LN2_FULL[0], n, shifted).value


def exp_of_pair(x: Pair) -> Vector:
    """e^(x.hi + x.lo), |x.lo| <= 1/4; overflow, underflow and nan as `exp` for x.hi; little above half an ulp."""
    format = x.hi.body.module.format
    bounded = Pair(at_least(at_most(x.hi, format.overflow + 1.0), format.underflow), x.lo)
    return exp_parts(bounded, 2 * format.bias).value


# expm1 rounds x/ln 2 - EXPM1_SHIFT, so that r lies in [-0.251, 0.4423]: then 2^n e^r - 1 cancels little at n = 1; and
# n = -1 begins below x = -0.25, where x is no finer than r's last place
EXPM1_SHIFT = 0.138


def expm1(x: Vector) -> Vector:
    """e^x - 1, relative accuracy near 0 too; -1 below -37.5, inf above 709.78, nan and -0.0 are kept.

    e^x - 1 = 2^n ((1 - 2^-n) + r + r²/2 + r³ Q(r)), the first sum exact, with the minimax polynomial EXPM1.
    """
    c = numbers(x)
    format = x.body.module.format
    y = at_least(at_most(x, format.overflow), format.pick(-40.0, -20.0))
    n, shifted = round_to_integer(fma(y, LOG2_E, -EXPM1_SHIFT), format.bias - 1)
    r = reduce(y, n)
    square = r.hi * r.hi
    tail = fma(square, 0.5, fma(square * r.hi, estrin(r.hi, c.EXPM1), fma(r.lo, r.hi, r.lo)))
    # beyond n = 60, 2^-n does not matter
    low = at_most(shifted, shifter(x, format.bias - 1) + 60.0).bits << format.fraction_bits
    inverse = ((2 * format.bias - 1 << format.fraction_bits) - low).real
    less = fast_two_sum(1.0, -inverse)
    whole = two_sum(less.hi, r.hi)
    # · 2 · 2^(n-1): 2^1024 would overflow, and doubling first keeps subnormals
    value = (whole.hi + (whole.lo + less.lo + tail)) * 2.0
    if x.body.module.native512:
        return copysign(x.body.avx512("scalef", value, n - 1.0), x)
    value = value * power_of_two(shifted)
    return copysign(value, x)


class Hyperbolic(NamedTuple):
    """2^(n-2) e^r ± 2^(-n-2) e^-r: half of sinh and cosh, unrounded."""

    sinh: Pair
    cosh: Pair


def half_hyperbolic(x: Vector) -> Hyperbolic:
    """sinh(x)/2 and cosh(x)/2 for 0 <= x <= 711, each to about 2^-60.

    With x = n ln 2 + r, S = (2^n - 2^-n)/4 and C = (2^n + 2^-n)/4 it is S cosh r + C sinh r and C cosh r + S sinh r,
    with one minimax polynomial in r² for each of sinh r and cosh r.
    """
    c = numbers(x)
    format = x.body.module.format
    n, shifted = round_to_integer(x * LOG2_E, format.bias - 2)
    r = reduce(x, n)
    z = r.hi * r.hi
    cosh_tail = fma(z, estrin(z, c.COSH), r.hi * r.lo)
    sinh_tail = fma(z * r.hi, estrin(z, c.SINH), r.lo)
    grown = power_of_two(shifted)
    low = at_most(shifted, shifter(x, format.bias - 2) + 60.0).bits << format.fraction_bits
    shrunk = ((2 * format.bias - 4 << format.fraction_bits) - low).real
    s, k = fast_two_sum(grown, -shrunk), fast_two_sum(grown, shrunk)

    def combine(constant: Pair, linear: Pair) -> Pair:
        leading = multiply_add(linear.hi, r.hi, constant.hi)
        low = fma(linear.lo, r.hi, leading.lo + constant.lo)
        tail = fma(linear.hi, sinh_tail, fma(constant.hi, cosh_tail, low))
        return fast_two_sum(leading.hi, tail)

    return Hyperbolic(combine(s, k), combine(k, s))


def sinh(x: Vector) -> Vector:
    """sinh x; ±inf beyond ±710.4758."""
    hi, lo = half_hyperbolic(at_most(abs(x), x.body.module.format.overflow + 0.6)).sinh
    magnitude = (hi + lo) * 2.0
    return copysign(select(abs(x) < LINEAR, abs(x), magnitude), x)


def cosh(x: Vector) -> Vector:
    """cosh x; inf beyond ±710.4758."""
    hi, lo = half_hyperbolic(at_most(abs(x), x.body.module.format.overflow + 0.6)).cosh
    return (hi + lo) * 2.0


def tanh(x: Vector) -> Vector:
    """tanh x = E/(E + 2), E = e^(2|x|) - 1; ±1 beyond ±19.07.

    With 2|x| = n ln 2 + r and e^r = 1 + p it is ((1 - 2^-n) + p)/((1 + 2^-n) + p), both unrounded, p = r + r²/2 + r³
    Q(r) with the minimax polynomial TANH.
    """
    c = numbers(x)
    format = x.body.module.format
    y = at_most(abs(x), format.pick(22.0, 11.0)) * 2.0
    n, shifted = round_to_integer(y * LOG2_E)
    r = reduce(y, n)
    square = r.hi * r.hi
    curved = fma(square, 0.5, fma(square * r.hi, estrin(r.hi, c.TANH), fma(r.lo, r.hi, r.lo)))
    shrunk = ((format.bias << format.fraction_bits) - (shifted.bits << format.fraction_bits)).real
    # from n = 53 on 1 + 2^-n is rounded, and both take part in that
    more = 1.0 + shrunk
    above, below = fast_two_sum(fma(shrunk, -2.0, more), r.hi), fast_two_sum(more, r.hi)
    magnitude = quotient(fast_two_sum(above.hi, above.lo + curved), fast_two_sum(below.hi, below.lo + curved))
    return copysign(magnitude, x)


def logistic(x: Vector) -> Vector:
    """1/(1 + e^-x), with small relative error in the left tail too: e^x/(1 + e^x) there, as a quotient of unrounded
    sums."""
    format = x.body.module.format
    power = exp_parts(at_least(-abs(x), format.underflow), 2 * format.bias)
    above, n, shifted = power.pair, power.n, power.shifted
    e = Pair(scale_by_power(above.hi, n, shifted), scale_by_power(above.lo, n, shifted))
    below = fast_two_sum(1.0, e.hi)
    left = x < 0.0
    value = quotient(Pair(select(left, above.hi, 1.0), select(left, above.lo, 0.0)), Pair(below.hi, below.lo + e.lo))
    unit = 1.5 * 2.0 ** (format.fraction_bits - EIGHTH) + 2 * format.bias
    return scale_by_power(value, select(left, n, 0.0), select(left, shifted, unit))
