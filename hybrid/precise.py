"""The meaning of a graph in multiple precision, with mpmath: what float64 results are judged by.

Works at mpmath's current precision (`mpmath.workdps`). Outside the real domain a value is NaN, as in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import mpmath

from hybrid.graph import Graph
from hybrid.operations import CONSTANT, VARIABLE, NamedConstant
from hybrid.precise_special import special_meanings

mp = mpmath.mp
NAN = mpmath.nan


def real(value: Any) -> Any:
    """A real result, or NaN for one with an imaginary part."""
    if isinstance(value, mpmath.mpc):
        return value.real if value.imag == 0 else NAN
    return value


def sign(x: Any) -> Any:
    return x if mpmath.isnan(x) else mpmath.sign(x)


def heaviside(x: Any, at_zero: Any) -> Any:
    if mpmath.isnan(x) or x == 0:
        return at_zero if x == 0 else x
    return mpmath.mpf(1 if x > 0 else 0)


def extreme(choose: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, y: NAN if mpmath.isnan(x) or mpmath.isnan(y) else choose(x, y)


def truncated(x: Any) -> Any:
    return mpmath.floor(x) if x >= 0 else mpmath.ceil(x)


MEANINGS: dict[str, Callable[..., Any]] = {
    "add": lambda *xs: mpmath.fsum(xs),
    "mul": lambda *xs: mpmath.fprod(xs),
    "sub": lambda x, y: x - y,
    "div": lambda x, y: x / y,
    "neg": lambda x: -x,
    "pow": lambda x, y: x**y,
    "sqrt": mpmath.sqrt,
    "cbrt": lambda x: sign(x) * mpmath.cbrt(abs(x)),
    "hypot": mpmath.hypot,
    "exp": mpmath.exp,
    "exp2": lambda x: mpmath.mpf(2) ** x,
    "expm1": mpmath.expm1,
    "log": mpmath.log,
    "log2": lambda x: mpmath.log(x, 2),
    "log10": mpmath.log10,
    "log1p": mpmath.log1p,
    "sin": mpmath.sin,
    "cos": mpmath.cos,
    "tan": mpmath.tan,
    "asin": mpmath.asin,
    "acos": mpmath.acos,
    "atan": mpmath.atan,
    "atan2": mpmath.atan2,
    "sinh": mpmath.sinh,
    "cosh": mpmath.cosh,
    "tanh": mpmath.tanh,
    "asinh": mpmath.asinh,
    "acosh": mpmath.acosh,
    "atanh": mpmath.atanh,
    "erf": mpmath.erf,
    "erfc": mpmath.erfc,
    "gamma": mpmath.gamma,
    "loggamma": lambda x: mpmath.loggamma(x) if x > 0 else mpmath.log(abs(mpmath.gamma(x))),
    "digamma": mpmath.digamma,
    "polygamma": lambda n, x: mpmath.polygamma(int(n), x),
    **special_meanings(mp),
    "abs": abs,
    "sign": sign,
    "minimum": extreme(min),
    "maximum": extreme(max),
    "floor": mpmath.floor,
    "ceil": mpmath.ceil,
    "trunc": truncated,
    "rint": mpmath.nint,
    "mod": lambda x, y: x - y * mpmath.floor(x / y),
    "fmod": lambda x, y: x - y * truncated(x / y),
    "copysign": lambda x, y: abs(x) if y >= 0 else -abs(x),
    "heaviside": heaviside,
    "lt": lambda x, y: x < y,
    "le": lambda x, y: x <= y,
    "gt": lambda x, y: x > y,
    "ge": lambda x, y: x >= y,
    "eq": lambda x, y: x == y,
    "ne": lambda x, y: x != y,
    "and": lambda x, y: x and y,
    "or": lambda x, y: x or y,
    "xor": lambda x, y: x != y,
    "not": lambda x: not x,
    "select": lambda c, x, y: x if c else y,
}


def constant_value(value: Any) -> Any:
    if isinstance(value, bool):
        return value
    if isinstance(value, NamedConstant):
        return mpmath.mpf(value.sympy.evalf(mp.dps + 5)._mpf_)
    if isinstance(value, Fraction):
        return mpmath.mpf(value.numerator) / value.denominator
    return mpmath.mpf(value)


def evaluate_precise(
    graph: Graph, nodes: Sequence[int], values: Mapping[int, Any], known: dict[int, Any] | None = None
) -> dict[int, Any]:
    """Values of all `nodes` (in evaluation order, with all that they need) from the values of the variables.

    A pole or a domain error gives NaN. Values that are `known` are not computed again; new ones are added to them.
    """
    known = {} if known is None else known
    for node in nodes:
        op = graph.ops[node]
        if op is CONSTANT:
            known[node] = constant_value(graph.leaves[node])
        elif op is VARIABLE:
            known[node] = mpmath.mpf(values[node])
        else:
            try:
                known[node] = real(MEANINGS[op.name](*[known[arg] for arg in graph.args[node]]))
            except (ValueError, ZeroDivisionError, OverflowError):
                known[node] = NAN
    return known
