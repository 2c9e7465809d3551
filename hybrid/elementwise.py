"""Elementary functions for one source that runs on everything: numbers, arrays, traced code, the tape and SymPy.

    hy.erf(0.5)                 a float64
    hy.erf(np.linspace(0, 1))   an array
    hy.erf(x) in @hy.function   a symbolic array
    hy.erf(hy.tape.tensor(1.))  a tensor
    hy.erf(sp.Symbol("x"))      a SymPy expression

One function per row of the table of operations that is not plain arithmetic; what it means, where it is real, and its
conventions at kinks stand in the row. Arrays of objects (of symbols, of traced values) are mapped element by element.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import sympy as sp

from hybrid.errors import InputTypeError, UnsupportedError
from hybrid.operations import HALF, OPERATIONS, Operation
from hybrid.sympy_writer import sympy_expression

__all__ = [  # noqa: RUF022  # grouped as in the table
    "sqrt", "cbrt", "hypot", "over_hypot", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p",
    "sin", "cos", "tan", "asin", "acos", "atan", "atan2", "sinh", "cosh", "tanh", "sech", "asinh", "acosh", "atanh",
    "erf", "erfc", "erfcx", "erfinv", "ndtr", "log_ndtr", "erfc_ratio", "gamma", "loggamma", "digamma", "polygamma",
    "beta", "betaln",
    "expit", "expit_slope", "logit", "softplus", "logaddexp", "xlogy", "sinc", "lambertw",
    "jv", "j0", "j1", "iv", "i0", "i1", "spherical_jn",
    "absolute", "sign", "minimum", "maximum", "floor", "ceil", "trunc", "rint", "mod", "fmod", "copysign", "heaviside",
    "where",
]  # fmt: skip

Elementwise = Callable[..., Any]


def apply(op: Operation, *args: Any) -> Any:
    """One row on arguments of any supported kind; they broadcast.

    Raises InputTypeError for text and complex numbers, UnsupportedError if a symbolic or tape argument lacks the row.
    """
    for arg in args:
        method = getattr(type(arg), "__hybrid_elementwise__", None)
        if method is not None:
            by_row = op.name not in OPERATIONS and (hasattr(arg, "nodes") or hasattr(arg, "takes_rows"))
            result = method(arg, op if by_row else op.name, *args)
            if result is NotImplemented:
                raise UnsupportedError(f"{op.name} is not defined for {type(arg).__name__}; {op.name} takes {args!r}")
            return result
    if any(isinstance(arg, sp.Basic) for arg in args) and not any(isinstance(arg, np.ndarray) for arg in args):
        return sympy_expression(op, *(arg if isinstance(arg, sp.Basic) else sympy_operand(arg) for arg in args))
    arrays = [np.asarray(float(arg) if isinstance(arg, Fraction) else arg) for arg in args]
    if any(array.dtype == object and array.ndim for array in arrays):
        return map_objects(op, arrays)
    for arg, array in zip(args, arrays, strict=True):
        if array.dtype.kind not in "fiub":
            raise InputTypeError(
                f"{op.name} expects real numbers, arrays, traced arrays, tensors or SymPy expressions, got {arg!r}"
            )
    with np.errstate(all="ignore"):  # invalid points give NaN, as everywhere
        return op.numpy(*(array[()] for array in arrays))


def sympy_operand(value: Any) -> Any:
    if isinstance(value, str | complex):
        raise InputTypeError(f"expected a SymPy expression or a real number, got {value!r}; text is never evaluated")
    return sp.sympify(value)


def map_objects(op: Operation, arrays: list[Any]) -> Any:
    """Element by element over arrays of objects, which may hold anything `apply` takes."""
    spread = np.broadcast_arrays(*arrays)
    result = np.empty(spread[0].shape, dtype=object)
    for index in np.ndindex(*result.shape):
        result[index] = apply(op, *(array[index] for array in spread))
    return result[()]


def function(name: str, domain: str = "", public: str = "") -> Elementwise:
    """The public function of a row, under the row's name or another."""
    op, title = OPERATIONS[name], public or name

    def elementwise(*args: Any) -> Any:
        if len(args) != op.arity:
            raise TypeError(f"{title} takes {op.arity} argument{'s' if op.arity > 1 else ''}, got {len(args)}")
        return apply(op, *args)

    elementwise.__name__ = elementwise.__qualname__ = title
    elementwise.__doc__ = (
        f"{title}({', '.join('xyz'[: op.arity])}), element by element, on numbers, arrays, traced arrays, tape tensors "
        f"and SymPy expressions.{' ' + domain if domain else ''}"
    )
    return elementwise


sqrt = function("sqrt", "NaN for x < 0.")
cbrt = function("cbrt", "The real root, also for x < 0.")
hypot = function("hypot", "√(x² + y²) without overflow on the way.")
over_hypot = function("over_hypot", "x/√(x² + y²) without overflow on the way, 0 at the origin; hypot's derivative.")
exp = function("exp")
exp2 = function("exp2")
expm1 = function("expm1", "eˣ − 1 without cancellation near 0.")
log = function("log", "NaN for x < 0, −∞ at 0.")
log2 = function("log2", "NaN for x < 0, −∞ at 0.")
log10 = function("log10", "NaN for x < 0, −∞ at 0.")
log1p = function("log1p", "log(1 + x) without cancellation near 0; NaN for x < −1.")
sin = function("sin", "x in radians.")
cos = function("cos", "x in radians.")
tan = function("tan", "x in radians.")
asin = function("asin", "In radians; NaN outside of [−1, 1].")
acos = function("acos", "In radians; NaN outside of [−1, 1].")
atan = function("atan", "In radians.")
atan2 = function("atan2", "The angle of the point (second, first argument), in radians, −π to π.")
sinh = function("sinh")
cosh = function("cosh")
tanh = function("tanh")
sech = function("sech", "1/cosh(x), without overflow.")
asinh = function("asinh")
acosh = function("acosh", "NaN for x < 1.")
atanh = function("atanh", "NaN outside of [−1, 1].")
erf = function("erf", "2/√π ∫₀ˣ exp(−t²) dt.")
erfc = function("erfc", "1 − erf(x) without cancellation for large x.")
gamma = function("gamma", "NaN at negative integers.")
loggamma = function("loggamma", "log |Γ(x)|.")
digamma = function("digamma", "Γ′(x)/Γ(x).")
polygamma = function("polygamma", "The first argument, the order, is one non-negative integer.")
erfcx = function("erfcx", "exp(x²) erfc(x) without underflow for large x; ∞ below −26.7.")
erfinv = function("erfinv", "The inverse of erf; ±∞ at ±1, NaN outside of [−1, 1].")
ndtr = function("ndtr", "The distribution function of the standard normal distribution.")
log_ndtr = function("log_ndtr", "log(ndtr(x)), also where ndtr underflows or rounds to 1.")
erfc_ratio = function(
    "erfc_ratio",
    "2/(√π erfcx x) for order 0, 2x less for order 1; the first argument, the order, is one integer from 0 to 6.",
)
beta = function("beta", "Γ(x) Γ(y)/Γ(x + y).")
betaln = function("betaln", "log |B(x, y)|, without cancellation for large arguments.")
expit = function("expit", "1/(1 + exp(−x)).")
expit_slope = function("expit_slope", "The derivative of expit, exp(x)/(1 + exp(x))².")
logit = function("logit", "log(x/(1 − x)); ∓∞ at 0 and 1, NaN outside.")
logaddexp = function("logaddexp", "log(exp(x) + exp(y)) without overflow.")
softplus = function("softplus", "log(1 + exp(x)) without overflow.")
xlogy = function("xlogy", "x log(y), 0 where x = 0.")
sinc = function("sinc", "sin(x)/x, 1 at 0: SymPy's; np.sinc(x) is sinc(πx).")
lambertw = function("lambertw", "The real solution w ≥ −1 of w exp(w) = x; NaN for x < −1/e.")
jv = function("jv", "Bessel's J; the first argument, the order, is one integer from −24 to 24.")
iv = function("iv", "The modified Bessel function I; the first argument, the order, is one integer from −12 to 12.")
spherical_jn = function(
    "spherical_jn", "The spherical Bessel function j; the first argument, the order, is one integer from 0 to 8."
)
absolute = function("abs", "|x|; derivative 0 at 0.", "absolute")
sign = function("sign", "−1, 0 or 1; derivative 0.")
minimum = function("minimum", "NaN if either is NaN; at a tie the derivative splits evenly.")
maximum = function("maximum", "NaN if either is NaN; at a tie the derivative splits evenly.")
floor = function("floor", "Derivative 0.")
ceil = function("ceil", "Derivative 0.")
trunc = function("trunc", "Towards zero; derivative 0.")
rint = function("rint", "To the nearest integer, ties to even; derivative 0.")
mod = function("mod", "With the sign of the divisor, as NumPy's and SymPy's.")
fmod = function("fmod", "With the sign of the dividend, as C's.")
copysign = function("copysign", "The size of x with the sign of y.")
where = function("select", "Where x holds y, else z; the branch that is not taken never matters.", "where")


def heaviside(x: Any, at_zero: Any = HALF) -> Any:
    """0 for x < 0, 1 for x > 0, `at_zero` at 0 (SymPy's ½ unless given), element by element; derivative 0."""
    return apply(OPERATIONS["heaviside"], x, at_zero)


def of_order(name: str, order: int) -> Elementwise:
    """A function of a row whose first argument is fixed."""
    op, title = OPERATIONS[name], f"{name[0]}{order}"

    def elementwise(x: Any) -> Any:
        return apply(op, order, x)

    elementwise.__name__ = elementwise.__qualname__ = title
    elementwise.__doc__ = f"{name}({order}, x), element by element."
    return elementwise


j0, j1, i0, i1 = (of_order(name, order) for name in ("jv", "iv") for order in (0, 1))


if incomplete := [name for name in __all__ if not callable(globals().get(name))]:
    raise ValueError(f"elementwise functions named but not defined: {incomplete}")
