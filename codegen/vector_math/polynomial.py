"""Polynomial evaluation; coefficients ascending."""

from __future__ import annotations

from collections.abc import Sequence

from codegen.vector_math.ir import Vector, fma


def horner(x: Vector, coefficients: Sequence[float | Vector]) -> Vector:
    """Σ c_k x^k with one fused multiply-add per coefficient, each waiting for the one before."""
    *rest, total = coefficients
    for coefficient in reversed(rest):
        total = fma(total, x, coefficient)
    return total if isinstance(total, Vector) else x.body.real(total)


def estrin(x: Vector, coefficients: Sequence[float | Vector]) -> Vector:
    """Σ c_k x^k by pairs: a few more multiplications than `horner`, but a chain only log₂ as long [Estrin 1960]."""
    terms: Sequence[float | Vector] = coefficients
    while len(terms) > 1:
        paired: list[float | Vector] = [fma(high, x, low) for low, high in zip(terms[::2], terms[1::2], strict=False)]
        terms = [*paired, *terms[2 * len(paired) :]]
        if len(terms) > 1:
            x = x * x
    (total,) = terms
    return total if isinstance(total, Vector) else x.body.real(total)


def careful(x: Vector, coefficients: Sequence[float | Vector], steps: int = 1) -> Vector:
    """Σ c_k x^k with the last `steps` operations Horner's: only those round at the size of the sum, the others of a
    part."""
    first, rest = list(coefficients[:steps]), coefficients[steps:]
    return horner(x, [*first, estrin(x, rest)])
