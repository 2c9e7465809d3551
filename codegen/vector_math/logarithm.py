"""log and its relatives."""

from __future__ import annotations

from math import inf, nan, sqrt

from codegen.vector_math import coefficients as c
from codegen.vector_math.ir import Vector, fma, select
from codegen.vector_math.polynomial import estrin


def exponent_and_fraction(x: Vector) -> tuple[Vector, Vector]:
    """(e, m) with x = 2^e · m, √½ <= m < √2, for positive finite x, subnormal or not."""
    format = x.body.module.format
    subnormal = x < 2.0 ** (1 - format.bias)
    raised = select(subnormal, x * 2.0 ** (format.fraction_bits + 2), x)
    one, root_half = x.body.real(1.0).bits, x.body.real(sqrt(0.5)).bits
    moved = raised.bits + (one - root_half)
    m = ((moved & ((1 << format.fraction_bits) - 1)) + root_half).real
    # the exponent field becomes a float without an integer conversion: it is the low bits of 2^fraction_bits + field
    magic = 2.0**format.fraction_bits
    field = ((moved >> format.fraction_bits) | x.body.real(magic).bits).real
    offset = magic + format.bias
    return field - select(subnormal, offset + format.fraction_bits + 2, offset), m


def special_logarithms(x: Vector, value: Vector) -> Vector:
    """`value`, but inf at inf, -inf at ±0, nan for x < 0 and nan."""
    value = select(x < inf, value, x)
    return select(x > 0.0, value, select(x.equals(0.0), -inf, nan))


def log(x: Vector) -> Vector:
    """ln x; -inf at 0, nan below.

    x = 2^k (1 + f), s = f/(2 + f), ln(1 + f) = f - f²/2 + s (f²/2 + z R(z)) with z = s² and the minimax polynomial
    LOG, which keeps f exact [the form is fdlibm's e_log.c, Sun 1993].
    """
    k, m = exponent_and_fraction(x)
    f = m - 1.0
    s = f / (f + 2.0)
    z = s * s
    half = f * f * 0.5
    ln2_hi, ln2_lo = c.LN2
    tail = fma(s, fma(z, estrin(z, c.LOG), half), k * ln2_lo)
    return special_logarithms(x, fma(k, ln2_hi, f - (half - tail)))
