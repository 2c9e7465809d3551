"""pow."""

from __future__ import annotations

from math import inf, nan

from codegen.vector_math.double_double import Pair, fast_two_sum, multiply, quotient_terms, two_prod
from codegen.vector_math.exponential import exp_of_pair, exp_unscaled, scale_by_normal
from codegen.vector_math.ir import Mask, Vector, at_least, at_most, copysign, fma, rare, select, write_function
from codegen.vector_math.logarithm import Parts, exponent_and_fraction, positive_parts
from codegen.vector_math.numbers_of import numbers
from codegen.vector_math.polynomial import estrin

UNUSUAL_SYMBOL = "@hy.pow_unusual"


def largest_exponent(y: Vector) -> float:
    """|ln x| >= 2^-53 (2^-24 in float32) unless it is 0: beyond this size of y x^y is 0, 1 or infinite."""
    return y.body.module.format.pick(2.0**70, 2.0**35)


def log_pair(parts: Parts) -> Pair:
    """ln x to about 2^-65 of itself, for x = 2^k m in `parts`.

    m = 1 + f, s = f/(2 + f) to twice the precision, ln(1 + f) = 2 s + s z (2/3 + z R(z)), z = s², with the minimax
    polynomial LOG_PAIR.
    """
    c = numbers(parts.m)
    k, m = parts
    body = m.body
    f = m - 1.0
    s = quotient_terms(Pair(f, body.real(0.0)), fast_two_sum(2.0, f))
    square = two_prod(s.hi, s.hi)
    z = Pair(square.hi, fma(s.hi + s.hi, s.lo, square.lo))
    third_hi, third_lo, *rest = c.LOG_PAIR
    inner = fast_two_sum(third_hi, z.hi * estrin(z.hi, rest))
    inner = Pair(inner.hi, inner.lo + third_lo)
    product = two_prod(z.hi, inner.hi)
    product = Pair(product.hi, fma(z.hi, inner.lo, fma(z.lo, inner.hi, product.lo)))
    outer = fast_two_sum(2.0, product.hi)
    fraction = multiply(s, Pair(outer.hi, outer.lo + product.lo))
    total = fast_two_sum(k * c.LN2[0], fraction.hi)
    return Pair(total.hi, total.lo + fma(k, c.LN2[1], fraction.lo))


def pow(x: Vector, y: Vector) -> Vector:
    """x^y with C's values for zeros, infinities, nan and negative x (nan unless y is an integer): e^(y ln x)."""
    module = x.body.module
    symbol = UNUSUAL_SYMBOL
    module.define(symbol, lambda: write_function(module, symbol, 3, pow_unusual, "cold noinline nounwind"))
    logarithm = log_pair(exponent_and_fraction(x))
    product = two_prod(logarithm.hi, y)
    low = fma(logarithm.lo, y, product.lo)
    power, n, shifted = exp_unscaled(Pair(product.hi, low), module.format.bias)
    (value,) = rare(~is_usual(x, y, product.hi), symbol, [x, y], [scale_by_normal(power, n, shifted)])
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
    logarithm = log_pair(positive_parts(a))
    product = two_prod(logarithm.hi, bounded)
    low = fma(logarithm.lo, bounded, product.lo)
    # where the exponential overflows or vanishes the low part is not small
    return exp_of_pair(Pair(product.hi, at_least(at_most(low, 0.25), -0.25)))


def pow_unusual(x: Vector, y: Vector, usual: Vector) -> Vector:
    """`usual`, but the value by C's rules in the lanes for which `pow` is not made."""
    value = pow_by_rules(x, y)
    product = log_pair(exponent_and_fraction(x)).hi * y
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
