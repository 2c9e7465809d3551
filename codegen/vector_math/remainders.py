"""fmod and mod."""

from __future__ import annotations

from codegen.vector_math.fallback import c_library
from codegen.vector_math.ir import Vector, copysign, select


def fmod(x: Vector, y: Vector) -> Vector:
    """x - trunc(x / y) y, exactly, with the sign of x."""
    return c_library("fmod")(x, y)


def mod(x: Vector, y: Vector) -> Vector:
    """x - floor(x / y) y with the sign of y (Python's and NumPy's), from the exact `fmod`: rounded once."""
    truncated = fmod(x, y)
    moved = select((y < 0.0) ^ (truncated < 0.0), truncated + y, truncated)
    return select(truncated.equals(0.0) & y.differs(0.0), copysign(0.0, y), moved)
