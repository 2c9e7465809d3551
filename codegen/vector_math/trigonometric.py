"""sin, cos, tan: one reduction modulo π/2, shared by all."""

from __future__ import annotations

from itertools import pairwise
from math import inf, nan, pi

from codegen.vector_math import coefficients
from codegen.vector_math.double_double import Pair, add, fast_two_sum, multiply, quotient, two_sum
from codegen.vector_math.exponential import round_to_integer, shifter
from codegen.vector_math.float32 import call_wide
from codegen.vector_math.ir import FLOAT64, Integer, Mask, Module, Vector, fma, rare, select, write_function
from codegen.vector_math.numbers_of import numbers
from codegen.vector_math.polynomial import estrin

COLD = "cold noinline nounwind"
HUGE_SYMBOL = "@hy.reduce_huge"


def small(x: Vector) -> float:
    """Up to here n has few enough bits for `reduce_small`."""
    return x.body.module.format.pick(2.0**20, 2.0**11)


def reduce_small(x: Vector) -> tuple[Vector, Vector, Vector]:
    """(r, t, q) with x = n π/2 + r + t, |r| <= π/4, t far below r, n in the low bits of q, for |x| <= `small`.

    With fused multiply-add x - n P is exact for the leading part P [Boldo, Daumas, Li, Formally verified argument
    reduction with a fused multiply-add, 2009], and n times the second part is a float; without it all but the last are
    short.
    """
    c = numbers(x)
    n, quadrant = round_to_integer(x * (2 / pi))
    if x.body.module.fma:
        p1, p2, p3 = c.HALF_PI
        a = fma(n, -p1, x)
        r = fma(n, -p2, a)
        t = fma(n, -p2, a - r)
        return r, fma(n, -p3, t), quadrant
    p1, p2, p3, p4 = c.HALF_PI_SHORT
    first = two_sum(x - n * p1, n * -p2)
    second = two_sum(first.hi, n * -p3)
    r, t = fast_two_sum(second.hi, second.lo + (first.lo - n * p4))
    # n = 0 must keep -0.0
    return select(n.equals(0.0), x, r), select(n.equals(0.0), 0.0, t), quadrant


def reduce(x: Vector) -> tuple[Vector, Vector, Vector]:
    """`reduce_small`, and for lanes beyond `small` the exact reduction, in a cold function."""
    module = x.body.module
    exact = reduce_huge if module.format == FLOAT64 else reduce_huge_by_float64
    module.define(HUGE_SYMBOL, lambda: write_function(module, HUGE_SYMBOL, 4, exact, COLD))
    r, t, quadrant = rare(abs(x) > small(x), HUGE_SYMBOL, [x], reduce_small(x))
    return r, t, quadrant


def reduce_huge(x: Vector, r: Vector, t: Vector, quadrant: Vector) -> tuple[Vector, Vector, Vector]:
    """x modulo π/2 for |x| > 2^20 by multiplication with 2/π in 32-bit digits [Payne and Hanek 1983]; nan at ±inf.

    |x| = M 2^(e - 1075). Of 2/π = Σ w_j 2^(-32 (j + 1)) only digits of weight below 4 / M's unit matter; six, shifted
    so that the first has unit 2^-30, leave an error below 2^-136, and no float64 is nearer than 2^-62 to a multiple
    of π/2.
    """
    c = numbers(x)
    body = x.body
    huge = abs(x) > small(x)
    bits = select(huge, abs(x), small(x)).bits
    position = (bits >> 52) - (1075 - 62)
    fraction = (bits & ((1 << 52) - 1)) | (1 << 52)
    low, high = fraction & 0xFFFFFFFF, fraction >> 32
    words = load_words(body.module, position >> 5, 7)
    shift = position & 31
    digits = [((first << shift) | (second >> (32 - shift))) & 0xFFFFFFFF for first, second in pairwise(words)]

    product = product_digits(low, high, digits)
    quarter = (product[0] << 32) | product[1]
    nearest = (quarter + (1 << 61)) >> 62
    # the fraction of π/2, in [-1/2, 1/2), as four digits of which the first is signed
    top = ((quarter << 2) & -(1 << 32)).signed_real() * 2.0**-64
    following = [*product[1:], body.integer(0)]
    rest = [(((d << 2) | (e >> 30)) & 0xFFFFFFFF).signed_real() for d, e in pairwise(following)]
    value = fast_two_sum(rest[0] * 2.0**-64, rest[1] * 2.0**-96)
    value = add(fast_two_sum(top, value.hi), Pair(value.lo, rest[2] * 2.0**-128))
    value = multiply(value, Pair(*map(body.real, c.HALF_PI_PAIR)))

    negative = x < 0.0
    exact_r = select(negative, -value.hi, value.hi)
    exact_t = select(negative, -value.lo, value.lo)
    exact_quadrant = select(negative, (0 - nearest).real, nearest.real)
    return (
        select(huge, select(abs(x).equals(inf), nan, exact_r), r),
        select(huge, exact_t, t),
        select(huge, exact_quadrant, quadrant),
    )


def reduce_in_three(x: Vector) -> tuple[Vector, Vector, Vector]:
    """x = n π/2 + r + t with r of 24 bits and n as a number 0 … 3."""
    whole, rest, quadrant = reduce(x)
    r = (whole.bits & -(1 << 29)).real
    return r, (whole - r) + rest, (quadrant.bits & 3).signed_real()


def reduce_huge_by_float64(x: Vector, r: Vector, t: Vector, quadrant: Vector) -> tuple[Vector, Vector, Vector]:
    """`reduce_huge` for float32: the float64 reduction is exact enough, and its r and n become float32 numbers."""
    huge = abs(x) > small(x)
    exact_r, exact_t, number = call_wide("@hy.reduce", reduce_in_three, x, results=3)
    return select(huge, exact_r, r), select(huge, exact_t, t), select(huge, number + shifter(x), quadrant)


def load_words(module: Module, index: Integer, count: int) -> list[Integer]:
    """Digits index, …, index + count − 1 of the table of 2/π."""
    table, body = coefficients.TWO_OVER_PI, index.body
    symbol, typ = "@hy.two_over_pi", f"[{len(table)} x i32]"
    words = ", ".join(f"i32 {word}" for word in table)
    module.define(symbol, lambda: f"{symbol} = internal unnamed_addr constant {typ} [{words}]\n")
    loaded: list[list[str]] = []
    for lane in body.lanes(index):
        start = body.append(f"getelementptr i32, ptr {symbol}, i64 {lane}")
        pointers = [body.append(f"getelementptr i32, ptr {start}, i64 {k}") for k in range(count)]
        loaded.append([body.append(f"zext i32 {body.append(f'load i32, ptr {p}, align 4')} to i64") for p in pointers])
    return [body.from_lanes(Integer, [words[k] for words in loaded]) for k in range(count)]


def product_digits(low: Integer, high: Integer, digits: list[Integer]) -> list[Integer]:
    """The first four 32-bit digits of (high 2^32 + low) · Σ digits[k] 2^(-32 k), the digits before the first
    dropped."""
    mask = 0xFFFFFFFF
    result: list[Integer] = []
    carry: Integer | None = None
    for k in reversed(range(len(digits) - 1)):
        column = (low * digits[k] & mask) + (high * digits[k + 1] & mask) + (low * digits[k + 1] >> 32)
        if k + 2 < len(digits):
            column = column + (high * digits[k + 2] >> 32)
        if carry is not None:
            column = column + carry
        result.insert(0, column & mask)
        carry = column >> 32
    return result[:4]


def sin_terms(r: Vector, t: Vector) -> tuple[Vector, Vector]:
    """sin(r + t) = a - b for |r| <= π/4, |t| below an ulp of r, a = r, with the minimax polynomial SIN."""
    c = numbers(r)
    z = r * r
    cube = z * r
    # the signs are such that r = -0.0 gives b = +0.0
    return r, fma(cube, -c.SIN[0], fma(z, fma(-cube, estrin(z, c.SIN[1:]), t * 0.5), -t))


def cos_terms(r: Vector, t: Vector) -> tuple[Vector, Vector]:
    """cos(r + t) = a + b for |r| <= π/4, |t| below an ulp of r, a = 1 - r²/2 rounded, with the minimax polynomial
    COS."""
    c = numbers(r)
    z = r * r
    half = z * 0.5
    a = 1.0 - half
    return a, ((1.0 - a) - half) + fma(z * z, estrin(z, c.COS), -(r * t))


def sin_reduced(r: Vector, t: Vector) -> Vector:
    a, b = sin_terms(r, t)
    return a - b


def cos_reduced(r: Vector, t: Vector) -> Vector:
    a, b = cos_terms(r, t)
    return a + b


def is_odd(quadrant: Vector) -> Mask:
    return (quadrant.bits << (quadrant.body.module.format.bits - 1)).is_negative()


def sincos(x: Vector) -> tuple[Vector, Vector]:
    """(sin x, cos x) from one reduction; the bits are those of `sin` and `cos`."""
    r, t, quadrant = reduce(x)
    s, k, odd = sin_reduced(r, t), cos_reduced(r, t), is_odd(quadrant)
    sin_sign = (quadrant.bits & 2) << (x.body.module.format.bits - 2)
    cos_sign = ((quadrant.bits + 1) & 2) << (x.body.module.format.bits - 2)
    return (select(odd, k, s).bits ^ sin_sign).real, (select(odd, s, k).bits ^ cos_sign).real


def sin(x: Vector) -> Vector:
    """sin x; nan at ±inf."""
    return sincos(x)[0]


def cos(x: Vector) -> Vector:
    """cos x; nan at ±inf."""
    return sincos(x)[1]


def tan(x: Vector) -> Vector:
    """tan x = sin x / cos x, or -cos/sin in odd quadrants: the quotient of two unrounded sums; nan at ±inf."""
    r, t, quadrant = reduce(x)
    a, b = sin_terms(r, t)
    s, k, odd = fast_two_sum(a, -b), fast_two_sum(*cos_terms(r, t)), is_odd(quadrant)
    above = Pair(select(odd, k.hi, s.hi), select(odd, k.lo, s.lo))
    below = Pair(select(odd, s.hi, k.hi), select(odd, s.lo, k.lo))
    value = quotient(above, below)
    return (value.bits ^ (quadrant.bits << (quadrant.body.module.format.bits - 1))).real
