"""pow."""

from __future__ import annotations

from math import inf, nan

from codegen.vector_math.double_double import Pair, fast_two_sum, two_prod
from codegen.vector_math.exponential import exp_of_pair, exp_parts, scale_by_normal
from codegen.vector_math.ir import Mask, Vector, at_least, at_most, copysign, fma, rare, select, write_function
from codegen.vector_math.logarithm import TABLE_LEAST, Parts, exponent_and_fraction, log_rest, log_row, positive_parts
from codegen.vector_math.numbers_of import numbers
from codegen.vector_math.polynomial import estrin

UNUSUAL_SYMBOL = "@hy.pow_unusual"


def largest_exponent(y: Vector) -> float:
    """|ln x| >= 2^-53 (2^-24 in float32) unless it is 0: beyond this size of y x^y is 0, 1 or infinite."""
    return y.body.module.format.pick(2.0**70, 2.0**35)


def log_pair(parts: Parts) -> Pair:
    """ln x to about 2^-65 of itself (2^-34 in float32), for x = 2^k m with m at least TABLE_LEAST.

    With c near 1/m from a table and r = m c - 1, a float, it is k ln 2 + ln 1/c + r - r²/2 + r³ P(r), with the
    minimax polynomial LOG_PAIR. The first three are added up without error.
    """
    k, m = parts
    numbers_ = numbers(m)
    c, hi, lo = log_row(m, "@hy.log_table", numbers_.LOG_TABLE)
    r = log_rest(m, c)
    square = two_prod(r, r)
    tail = fma(square.hi * r, estrin(r, numbers_.LOG_PAIR), fma(square.lo, -0.5, fma(k, numbers_.LN2[1], lo)))
    first = fast_two_sum(fma(k, numbers_.LN2[0], hi), r)
    second = fast_two_sum(first.hi, square.hi * -0.5)
    return fast_two_sum(second.hi, (first.lo + second.lo) + tail)


def pow(x: Vector, y: Vector) -> Vector:
    """x^y with C's values for zeros, infinities, nan and negative x (nan unless y is an integer): e^(y ln x)."""
    module = x.body.module
    symbol = UNUSUAL_SYMBOL
    module.define(symbol, lambda: write_function(module, symbol, 3, pow_unusual, "cold noinline nounwind"))
    logarithm = log_pair(exponent_and_fraction(x, TABLE_LEAST))
    product = two_prod(logarithm.hi, y)
    low = fma(logarithm.lo, y, product.lo)
    power = exp_parts(Pair(product.hi, low), module.format.bias)
    usual = scale_by_normal(power.hi + power.lo, power.n, power.shifted)
    (value,) = rare(~is_usual(x, y, product.hi), symbol, [x, y], [usual])
    return value


def is_usual(x: Vector, y: Vector, product: Vector) -> Mask:
    """x positive and normal, the result too, and y small enough for exact products (it may be any for x = 1)."""
    format = x.body.module.format
    return (
        (x >= format.least_normal)
        & (x < inf)
        & (abs(product) < format.pick(708.0, 87.0))
        & (abs(y) < largest_exponent(y))
    )


def size_of_power(a: Vector, y: Vector) -> Vector:
    """a^y for positive finite a and finite y, overflow and underflow included."""
    bounded = at_least(at_most(y, largest_exponent(y)), -largest_exponent(y))
    logarithm = log_pair(positive_parts(a, TABLE_LEAST))
    product = two_prod(logarithm.hi, bounded)
    low = fma(logarithm.lo, bounded, product.lo)
    # where the exponential overflows or vanishes the low part is not small
    return exp_of_pair(Pair(product.hi, at_least(at_most(low, 0.25), -0.25)))


def pow_unusual(x: Vector, y: Vector, usual: Vector) -> Vector:
    """`usual`, but the value by C's rules in the lanes for which `pow` is not made."""
    value = pow_by_rules(x, y)
    product = log_pair(exponent_and_fraction(x, TABLE_LEAST)).hi * y
    return select(is_usual(x, y, product), usual, value)


def pow_by_rules(x: Vector, y: Vector) -> Vector:
    """x^y for all arguments [C17, F.10.4.4]."""
    a, b = abs(x), abs(y)
    value = size_of_power(a, y)
    grows = (a > 1.0) ^ (y < 0.0)
    limit = select(grows, inf, 0.0)
    extreme = a.equals(0.0) | a.equals(inf) | b.equals(inf)
    value = select(extreme, select(b.equals(inf) & a.equals(1.0), 1.0, limit), value)
    # b + 2^fraction_bits has b's unit bit last, and above that b itself has
    whole = 2.0**x.body.module.format.fraction_bits
    shifted = b + whole
    integer = (b >= whole) | (shifted - whole).equals(b)
    last = select(b >= whole, b, shifted).bits & 1
    odd = integer & last.equals(1) & (b < whole * 2.0)
    value = select(odd, copysign(value, x), value)
    value = select((x < 0.0) & ~integer & (a < inf), nan, value)
    value = select(x.is_nan() | y.is_nan(), nan, value)
    return select(y.equals(0.0) | x.equals(1.0), x.body.real(1.0), value)
