"""Real and imaginary parts of functions of a real number beyond their real domain, such as asin(2).

SymPy leaves these parts unevaluated. The values on the branch cuts are those of SymPy's `evalf` (and mpmath), which are
those of the principal branches of DLMF 4.23 and 4.37.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sympy as sp

HALF_PI = sp.pi / 2


def clipped(x: Any) -> Any:
    return sp.Max(-1, sp.Min(1, x))


def beyond(x: Any, below: Any, above: Any) -> Any:
    """`below` for x < −1, `above` for x > 1, 0 between."""
    return sp.Piecewise((below, x < -1), (above, x > 1), (0, True))


def asin(x: Any) -> tuple[Any, Any]:
    return sp.asin(clipped(x)), beyond(x, sp.acosh(-x), -sp.acosh(x))


def acos(x: Any) -> tuple[Any, Any]:
    return sp.acos(clipped(x)), beyond(x, -sp.acosh(-x), sp.acosh(x))


def acosh(x: Any) -> tuple[Any, Any]:
    return sp.acosh(sp.Max(1, x, -x)), sp.acos(clipped(x))


def atanh(x: Any) -> tuple[Any, Any]:
    real = sp.Piecewise((sp.atanh(1 / x), (x < -1) | (x > 1)), (sp.atanh(x), True))
    return real, beyond(x, HALF_PI, -HALF_PI)


def power(base: Any, exponent: Any) -> tuple[Any, Any]:
    size, angle = sp.Abs(base, evaluate=False) ** exponent, sp.pi * exponent
    real = sp.Piecewise((size * sp.cos(angle), base < 0), (base**exponent, True))
    return real, sp.Piecewise((size * sp.sin(angle), base < 0), (0, True))


PARTS: dict[Any, Callable[..., tuple[Any, Any]]] = {
    sp.asin: asin,
    sp.acos: acos,
    sp.acosh: acosh,
    sp.atanh: atanh,
    sp.asec: lambda x: acos(1 / x),
    sp.acsc: lambda x: asin(1 / x),
    sp.asech: lambda x: acosh(1 / x),
    sp.acoth: lambda x: atanh(1 / x),
    sp.log: lambda x: (sp.log(sp.Abs(x)), sp.Piecewise((sp.pi, x < 0), (0, True))),
    sp.Pow: power,
}


def parts_beyond(expression: Any) -> tuple[Any, Any] | None:
    """Both parts of a function of real arguments that may leave its real domain; None for any other expression."""
    find = PARTS.get(expression.func)
    if find is None or (expression.func is sp.Pow and expression.exp.is_integer):
        return None
    return find(*expression.args)
