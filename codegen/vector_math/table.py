"""The table of vector functions: one row each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from codegen.program import INSTRUCTIONS, REAL
from codegen.vector_math import (
    error_function,
    exponential,
    gamma_functions,
    inverse_trigonometric,
    logarithm,
    polygamma_functions,
    power,
    remainders,
    roots,
    trigonometric,
)

# instructions of a program that are LLVM instructions or intrinsics
PLAIN_INSTRUCTIONS = frozenset(
    {"add", "sub", "mul", "div", "minimum", "maximum", "copysign", "neg", "abs", "sign", "sqrt", "floor", "ceil",
     "trunc", "rint", "fma", "select"}
)  # fmt: skip
Builder = Callable[..., Any]  # vectors to a vector or a tuple of them; of polygamma, the order to such a builder


@dataclass(frozen=True)
class VectorFunction:
    """One row: name, number of arguments, largest error in ulp, where it is defined, what writes its body.

    `ulp` is a bound for finite results of float64 and float32, with fused multiply-add or without, that the tests hold
    up against 50-digit values and, in their long form, against over 10⁷ points of higher precision. Where
    `conditioned`, it is for each unit of the condition number |x f'(x)/f(x)|, at least one, which is without bound
    next to a zero of the function. `by_float64`: over float32 it is the rounded float64 value; the others are computed
    in float32.
    """

    name: str
    arity: int
    ulp: float
    domain: str
    build: Builder
    results: int = 1
    conditioned: bool = False
    by_float64: bool = False

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise ValueError(f"vector function {self.name!r}: the name must be an identifier")
        if self.arity not in (1, 2) or self.results not in (1, 2):
            raise ValueError(f"vector function {self.name!r}: {self.arity} arguments, {self.results} results")
        if not 0.5 <= self.ulp <= 5:
            raise ValueError(
                f"vector function {self.name!r}: an error of {self.ulp} ulp is not one this package may state"
            )


ROWS = [
    VectorFunction("exp", 1, 0.8, "all reals", exponential.exp),
    VectorFunction("exp2", 1, 0.8, "all reals", exponential.exp2),
    VectorFunction("expm1", 1, 0.95, "all reals", exponential.expm1),
    VectorFunction("log", 1, 0.9, "x >= 0", logarithm.log),
    VectorFunction("log2", 1, 0.65, "x >= 0", logarithm.log2),
    VectorFunction("log10", 1, 0.65, "x >= 0", logarithm.log10),
    VectorFunction("log1p", 1, 0.9, "x >= -1", logarithm.log1p),
    VectorFunction("cbrt", 1, 0.51, "all reals", roots.cbrt),
    VectorFunction("pow", 2, 0.8, "x >= 0, or y an integer", power.pow),
    VectorFunction("sin", 1, 0.85, "finite", trigonometric.sin),
    VectorFunction("cos", 1, 0.85, "finite", trigonometric.cos),
    VectorFunction("sincos", 1, 0.85, "finite", trigonometric.sincos, results=2),
    VectorFunction("tan", 1, 1.05, "finite", trigonometric.tan),
    VectorFunction("asin", 1, 0.75, "-1 <= x <= 1", inverse_trigonometric.asin),
    VectorFunction("acos", 1, 0.75, "-1 <= x <= 1", inverse_trigonometric.acos),
    VectorFunction("atan", 1, 0.85, "all reals", inverse_trigonometric.atan),
    VectorFunction("atan2", 2, 1.3, "all reals", inverse_trigonometric.atan2),
    VectorFunction("sinh", 1, 0.95, "all reals", exponential.sinh),
    VectorFunction("cosh", 1, 0.9, "all reals", exponential.cosh),
    VectorFunction("tanh", 1, 0.9, "all reals", exponential.tanh),
    VectorFunction("asinh", 1, 0.85, "all reals", logarithm.asinh),
    VectorFunction("acosh", 1, 0.85, "x >= 1", logarithm.acosh),
    VectorFunction("atanh", 1, 0.9, "-1 <= x <= 1", logarithm.atanh),
    VectorFunction("logistic", 1, 0.8, "all reals", exponential.logistic),
    VectorFunction("rsqrt", 1, 0.51, "x >= 0", roots.rsqrt),
    VectorFunction("hypot", 2, 1.25, "all reals", roots.hypot),
    VectorFunction("erf", 1, 1.25, "all reals", error_function.erf),
    VectorFunction("erfc", 1, 1.75, "all reals", error_function.erfc),
    VectorFunction("gamma", 1, 0.95, "not 0, -1, -2, …", gamma_functions.gamma, by_float64=True),
    VectorFunction("loggamma", 1, 5, "not 0, -1, -2, …", gamma_functions.loggamma, conditioned=True, by_float64=True),
    VectorFunction("digamma", 1, 5, "not 0, -1, -2, …", polygamma_functions.digamma, conditioned=True, by_float64=True),
    VectorFunction(
        "polygamma",
        2,
        5,
        "order 0, 1, …, MAX_ORDER; not 0, -1, -2, …",
        polygamma_functions.polygamma,
        conditioned=True,
        by_float64=True,
    ),
    VectorFunction("fmod", 2, 0.5, "x finite, y not 0", remainders.fmod),
    VectorFunction("mod", 2, 0.5, "x finite, y not 0", remainders.mod),
]

FUNCTIONS: dict[str, VectorFunction] = {row.name: row for row in ROWS}

_missing = {
    row.name
    for row in INSTRUCTIONS.values()
    if row.result == REAL and row.name not in FUNCTIONS and row.name not in PLAIN_INSTRUCTIONS
}
if len(FUNCTIONS) != len(ROWS) or _missing:
    raise ValueError(f"vector functions: {len(ROWS)} rows, {len(FUNCTIONS)} names; no row for {sorted(_missing)}")
