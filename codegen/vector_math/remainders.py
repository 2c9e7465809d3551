"""fmod and mod."""

from __future__ import annotations

from math import inf, nan

from codegen.vector_math.double_double import excess
from codegen.vector_math.exponential import round_to_integer
from codegen.vector_math.ir import Mask, Vector, copysign, rare, select, write_function

FAR_SYMBOL = "@hy.fmod_far"


def near_bits(x: Vector) -> int:
    """Quotients below 2 to this are whole numbers without error."""
    return x.body.module.format.fraction_bits - 2


def remainder_near(x: Vector, y: Vector) -> Vector:
    """x - floor(x / y) y exactly, for x >= 0, y > 0 and x/y <= 2^near_bits."""
    n, _ = round_to_integer(x / y)
    format = x.body.module.format
    if x.body.module.fma:
        rest = -excess(n, y, x)
    else:
        # the steps of an exact product could overflow
        large = x > format.pick(2.0**960, 2.0**90)
        factor = select(large, 2.0**-60, 1.0)
        rest = -excess(n, y * factor, x * factor) * select(large, 2.0**60, 1.0)
    return select(x < y, x, select(rest < 0.0, rest + y, rest))


def is_far(a: Vector, b: Vector) -> Mask:
    return ~(a / b <= 2.0 ** near_bits(a))


def remainder_far(x: Vector, y: Vector, usual: Vector) -> Vector:
    """`usual`, but in lanes where |x/y| is large |x| mod |y| by `near_bits` of the quotient at a time.

    The first step's multiple of the least number is within 2^near_bits of the largest."""
    format, bits = x.body.module.format, near_bits(x)
    steps = -(-(2 * format.bias + format.fraction_bits) // bits)
    a, b = abs(x), abs(y)
    rest = a
    for step in range(steps * bits, -1, -bits):
        third = step // 3
        multiple = b * 2.0**third * 2.0**third * 2.0 ** (step - 2 * third)
        rest = select(multiple < inf, remainder_near(rest, multiple), rest)
    # Not b >= 0, which NVIDIA's assembler takes to be true of every |y|, of NaN too.
    rest = select((a < inf) & ~b.is_nan(), rest, nan)
    return select(is_far(a, b), rest, usual)


def fmod(x: Vector, y: Vector) -> Vector:
    """x - trunc(x / y) y, exactly, with the sign of x; nan for infinite x or zero y."""
    module = x.body.module
    symbol = FAR_SYMBOL
    module.define(symbol, lambda: write_function(module, symbol, 3, remainder_far, "cold noinline nounwind"))
    a, b = abs(x), abs(y)
    (rest,) = rare(is_far(a, b), symbol, [x, y], [remainder_near(a, b)])
    return copysign(rest, x)


def mod(x: Vector, y: Vector) -> Vector:
    """x - floor(x / y) y with the sign of y (Python's and NumPy's), from the exact `fmod`: rounded once."""
    truncated = fmod(x, y)
    moved = select((y < 0.0) ^ (truncated < 0.0), truncated + y, truncated)
    return select(truncated.equals(0.0), copysign(0.0, y), moved)
