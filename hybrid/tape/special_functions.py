"""Logistic, normal, Lambert, beta and Bessel functions on the tape; rules of its own, as in `elementwise.py`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from hybrid import special_values as values
from hybrid.tape.elementwise import (
    ELEMENTWISE,
    UFUNCS,
    Operation,
    binary,
    digamma_of,
    in_own_type,
    unary,
    unary_operation,
)
from hybrid.tape.rule import Rule, make_node
from hybrid.tape.tensor import Tensor, as_tensor

_HALF_SQRT_PI, _SQRT_TWO_PI = math.sqrt(math.pi) / 2, math.sqrt(2 * math.pi)


def _spherical(n: int, x: Any) -> Any:
    return _of(ELEMENTWISE["spherical_jn"], n, x)


def _scale(x: Any, y: Any) -> Any:
    """1/(x² + y²), 0 at the origin."""
    size = _of(ELEMENTWISE["hypot"], x, y)
    return np.where(size == 0, 0.0, 1 / (size * size))


def _of(operation: Operation, *args: Any) -> Any:
    """An operation on what a partial is given: tensors or plain arrays."""
    result = operation(*args)
    return result if any(type(arg) is Tensor for arg in args) else result._data


sech = unary("sech", in_own_type(values.sech), lambda g, x, out: -g * (out * np.tanh(x)))
# tanh with a derivative that keeps its digits where tanh is ±1, which reads x too and takes an exponential; for checks.
steep_tanh = unary_operation("Tanh", np.tanh, lambda g, x: g * _of(sech, x) ** 2)
over_hypot = binary(
    "over_hypot", in_own_type(values.over_hypot),
    lambda g, x, y, out: g * (_of(ELEMENTWISE["over_hypot"], y, x) * (y * _scale(x, y))),
    lambda g, x, y, out: -g * (out * (y * _scale(x, y))),
)  # fmt: skip
expit = unary("expit", in_own_type(values.expit), lambda g, x, out: g * (out / (1 + np.exp(x))))
expit_slope = unary("expit_slope", in_own_type(values.expit_slope), lambda g, x, out: -g * (out * np.tanh(0.5 * x)))
xlogy = binary(
    "xlogy", in_own_type(values.xlogy),
    lambda g, x, y: g * np.where((x == 0) & (y <= 0), 0.0, np.log(y)), lambda g, x, y: g * (x / y),
)  # fmt: skip
erfcx = unary("erfcx", in_own_type(values.erfcx), lambda g, x, out: g * (2 * x * out - 1 / _HALF_SQRT_PI))
ndtr = unary("ndtr", in_own_type(values.ndtr), lambda g, x: g * (np.exp(-0.5 * x * x) / _SQRT_TWO_PI))
log_ndtr = unary(
    "log_ndtr", in_own_type(values.log_ndtr), lambda g, x: g / (_SQRT_TWO_PI / 2 * _of(erfcx, -x * math.sqrt(0.5)))
)
erfinv = unary("erfinv", in_own_type(values.erfinv), lambda g, out: g * (_HALF_SQRT_PI * np.exp(out * out)))
sinc = unary("sinc", in_own_type(values.sinc), lambda g, x: -g * _spherical(1, x), title="SineOverX")
lambertw = unary("lambertw", in_own_type(values.lambertw), lambda g, out: g / (np.exp(out) * (1 + out)))
beta = binary(
    "beta", in_own_type(values.beta), lambda g, x, y, out: g * (out * (digamma_of(x) - digamma_of(x + y))),
    lambda g, x, y, out: g * (out * (digamma_of(y) - digamma_of(x + y))),
)  # fmt: skip
betaln = binary(
    "betaln", in_own_type(values.betaln), lambda g, x, y: g * (digamma_of(x) - digamma_of(x + y)),
    lambda g, x, y: g * (digamma_of(y) - digamma_of(x + y)),
)  # fmt: skip


def _ordered(name: str, meaning: Callable[..., Any], slope: Callable[[Operation, int, Any], Any]) -> Operation:
    """Enter an operation whose first argument is one integer order."""
    rule = Rule(name.title(), "x", lambda g, n, x: g * slope(operation, n, x), elementwise=True)

    def operation(n: Any, x: Any) -> Tensor:
        order = values.whole_order(name, n._data if isinstance(n, Tensor) else n)
        x = as_tensor(x)
        data = in_own_type(lambda array: meaning(order, array))(x._data)
        return Tensor(data, make_node(rule, (x,), data, {"n": order}))

    operation.__name__ = operation.__qualname__ = name
    ELEMENTWISE[name] = UFUNCS[name] = operation
    return operation


jv = _ordered("jv", values.jv, lambda f, n, x: (_of(f, n - 1, x) - _of(f, n + 1, x)) * 0.5)
iv = _ordered("iv", values.iv, lambda f, n, x: (_of(f, n - 1, x) + _of(f, n + 1, x)) * 0.5)


def _erfc_ratio_slope(f: Operation, n: int, x: Any) -> Any:
    here, above = _of(f, n, x), _of(f, n + 1, x)
    return here * (n * here - (n + 1) * above) if n else here * above


erfc_ratio = _ordered("erfc_ratio", values.erfc_ratio, _erfc_ratio_slope)


def _spherical_slope(f: Operation, n: int, x: Any) -> Any:
    above = _of(f, n + 1, x) * (n + 1)
    return (_of(f, n - 1, x) * n - above) * (1 / (2 * n + 1)) if n else -above


spherical_jn = _ordered("spherical_jn", values.spherical_jn, _spherical_slope)
