"""Unevaluated sums hi + lo of two floats, |lo| at most half an ulp of hi unless said otherwise.

Error-free transformations [Dekker 1971; Knuth, TAOCP 2, 4.2.2] and the arithmetic made of them [Joldes, Muller,
Popescu, Tight and rigorous error bounds for basic building blocks of double-word arithmetic, 2017].
"""

from __future__ import annotations

from typing import NamedTuple

from codegen.vector_math.ir import Vector, fma


class Pair(NamedTuple):
    hi: Vector
    lo: Vector


def two_sum(a: Vector, b: Vector) -> Pair:
    """a + b exactly."""
    s = a + b
    t = s - a
    return Pair(s, (a - (s - t)) + (b - t))


def fast_two_sum(a: Vector | float, b: Vector) -> Pair:
    """a + b exactly, if |a| >= |b| or a is zero."""
    s = b + a
    return Pair(s, b - (s - a))


def two_prod(a: Vector, b: Vector) -> Pair:
    """a · b exactly, unless the low part is subnormal (or, without fused multiply-add, |a| or |b| above 2^996)."""
    p = a * b
    if a.body.module.fma:
        return Pair(p, fma(a, b, -p))
    (a1, a2), (b1, b2) = split(a), split(b)
    return Pair(p, ((a1 * b1 - p) + a1 * b2 + a2 * b1) + a2 * b2)


def multiply_add(a: Vector, b: Vector, c: Vector) -> Pair:
    """a · b + c to about 2^-105, if |c| >= |a · b| or c is zero."""
    if a.body.module.fma:
        hi = fma(a, b, c)
        return Pair(hi, fma(a, b, c - hi))
    p = two_prod(a, b)
    s = fast_two_sum(c, p.hi)
    return Pair(s.hi, s.lo + p.lo)


def split(a: Vector) -> Pair:
    """a as two floats of half the bits each, whose products are exact; by bits, not by Veltkamp's products: no
    overflow."""
    half = (a.body.module.format.fraction_bits + 2) // 2
    rounded = a.bits + (1 << (half - 1))
    high = (rounded & -(1 << half)).real
    return Pair(high, a - high)


def add(x: Pair, y: Pair) -> Pair:
    """x + y with relative error at most 3 · 2^-106 (AccurateDWPlusDW)."""
    s, t = two_sum(x.hi, y.hi), two_sum(x.lo, y.lo)
    v = fast_two_sum(s.hi, s.lo + t.hi)
    return fast_two_sum(v.hi, t.lo + v.lo)


def multiply(x: Pair, y: Pair) -> Pair:
    """x · y with relative error at most 5 · 2^-106 (DWTimesDW2)."""
    p = two_prod(x.hi, y.hi)
    return fast_two_sum(p.hi, p.lo + fma(x.hi, y.lo, x.lo * y.hi))


def product_terms(x: Pair, y: Pair) -> Pair:
    """x · y to about 2^-102 as a sum with |lo| some ulps of hi; x and y may be such sums."""
    p = two_prod(x.hi, y.hi)
    return Pair(p.hi, fma(x.hi, y.lo, fma(x.lo, y.hi, p.lo)))


def sum_terms(x: Pair, y: Vector | float) -> Pair:
    """x + y to about 2^-102 as a sum with |lo| some ulps of hi, if nothing cancels."""
    s = two_sum(x.hi, y if isinstance(y, Vector) else x.hi.body.real(y))
    return Pair(s.hi, s.lo + x.lo)


def scale(x: Pair, y: Vector) -> Pair:
    """x · y with relative error at most 2^-104."""
    p = two_prod(x.hi, y)
    return fast_two_sum(p.hi, fma(x.lo, y, p.lo))


def excess(q: Vector, divisor: Vector, dividend: Vector) -> Vector:
    """q · divisor - dividend, rounded once: exact when q is their rounded quotient; +0.0 if q and dividend are -0.0."""
    if q.body.module.fma:
        return fma(q, divisor, -dividend)
    p = two_prod(q, divisor)
    return (p.hi - dividend) + p.lo


def quotient_terms(x: Pair, y: Pair) -> Pair:
    """x / y to about 2^-100 as a sum with |lo| some ulps of hi, with one division."""
    inverse = 1.0 / y.hi
    q = x.hi * inverse
    too_much = excess(q, y.hi, x.hi) + fma(q, y.lo, -x.lo)
    return Pair(q, -too_much * inverse)


def quotient(x: Pair, y: Pair) -> Vector:
    """x / y rounded to little more than half an ulp, with one division; keeps -0.0."""
    inverse = 1.0 / y.hi
    q = x.hi * inverse
    too_much = excess(q, y.hi, x.hi) + fma(q, y.lo, -x.lo)
    return fma(-too_much, inverse, q)
