"""The derived numbers for the format that a function is written in."""

from __future__ import annotations

from types import ModuleType

from codegen.vector_math import coefficients, coefficients32
from codegen.vector_math.ir import FLOAT64, Vector


def numbers(x: Vector) -> ModuleType:
    """coefficients.py for float64, coefficients32.py for float32: the same names, fewer terms."""
    return coefficients if x.body.module.format == FLOAT64 else coefficients32
