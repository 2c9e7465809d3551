"""exp and its relatives."""

from __future__ import annotations

from math import log

from codegen.vector_math import coefficients as c
from codegen.vector_math.ir import Vector, at_least, at_most, fma
from codegen.vector_math.polynomial import estrin

LOG2_E = 1 / log(2)


def shifter(x: Vector, offset: int = 0) -> float:
    """Adding this number rounds x to an integer n and leaves n + offset in the low bits of the sum (|n + offset| <
    2^50)."""
    return 1.5 * 2.0**x.body.module.format.fraction_bits + offset


def round_to_integer(x: Vector, offset: int = 0) -> tuple[Vector, Vector]:
    """x rounded to an integer n (ties to even), and a float whose low bits are n + offset."""
    shifted = x + shifter(x, offset)
    return shifted - shifter(x, offset), shifted


def scale_by_power(x: Vector, shifted: Vector) -> Vector:
    """x · 2^n rounded once, for n of `round_to_integer(…, 2·bias)` between about −2·bias and bias + 1.

    2^n itself may overflow or be subnormal: so two factors, of which the first keeps x · 2^⌊n/2⌋ normal.
    """
    format = x.body.module.format
    whole = shifted.bits << format.fraction_bits
    first = (shifted.bits << (format.fraction_bits - 1)) & -(1 << format.fraction_bits)
    return x * first.real * (whole - first).real


def exp(x: Vector) -> Vector:
    """e^x.

    x = n ln 2 + r with ln 2 in two parts [Cody and Waite 1980], |r| <= ln 2 / 2, then e^r = 1 + r + r² Q(r) with the
    minimax polynomial EXP. inf above 709.78, subnormal below -708.4, 0 below -745.13; nan is kept.
    """
    x = at_least(at_most(x, 710.0), -746.0)
    n, shifted = round_to_integer(x * LOG2_E, 2 * x.body.module.format.bias)
    ln2_hi, ln2_lo = c.LN2
    r = fma(n, -ln2_lo, fma(n, -ln2_hi, x))
    return scale_by_power(1.0 + fma(r * r, estrin(r, c.EXP), r), shifted)
