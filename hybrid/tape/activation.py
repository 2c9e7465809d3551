"""Clipping and the activation functions of neural networks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hybrid import special_values
from hybrid.tape.elementwise import UFUNCS, in_own_type, masked, unary
from hybrid.tape.mode import quietly
from hybrid.tape.rule import Broadcasting, Rule, make_node, note_broadcasting, record
from hybrid.tape.tensor import Tensor, as_tensor


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def _softplus(x: Any) -> Any:
    return np.logaddexp(x, x.dtype.type(0) if x.dtype.kind == "f" else 0.0)


sigmoid = unary("sigmoid", _sigmoid, lambda g, x, out: g * (out / (1 + np.exp(x))))
softplus = unary("softplus", in_own_type(special_values.softplus), lambda g, x: g * _sigmoid(x))
logit = unary("logit", in_own_type(special_values.logit), lambda g, x: g / (x * (1 - x)))
log_sigmoid = unary("log_sigmoid", lambda x: -_softplus(-x), lambda g, x: g * _sigmoid(-x), ufuncs="log_expit")
silu = unary("silu", lambda x: x * _sigmoid(x), lambda g, x: g * (_sigmoid(x) * (1 + x * (1 - _sigmoid(x)))))

_RELU = Rule("Relu", "x", lambda g, x: masked(g, x > 0), elementwise=True, selects=True)


def relu(x: Any) -> Tensor:
    """max(x, 0), with derivative 0 at 0."""
    x = as_tensor(x)
    return record(_RELU, (x,), quietly().run(np.maximum, x._data, 0))


_CLIP = Broadcasting(
    "Clamp",
    "x low high",
    lambda g, x, low, high: masked(g, (x >= low) & (x <= high)),
    lambda g, x, low, high: masked(g, (x < low) & (low < high)),
    lambda g, x, low, high: masked(g, (x > high) | (low > high)),
    elementwise=True,
    selects=True,
)


def clip(x: Any, low: Any = None, high: Any = None) -> Tensor:
    """min(max(x, low), high); the derivative is 1 where low ≤ x ≤ high. One bound may be None."""
    x = as_tensor(x)
    bounds = []
    for bound, missing in ((low, -math.inf), (high, math.inf)):
        given = as_tensor(missing if bound is None else bound)
        weak = not isinstance(bound, (Tensor, np.ndarray, np.generic))
        bounds.append(Tensor(given._data.astype(x.dtype)) if weak and x.dtype.kind == "f" else given)
    inputs = (x, *bounds)
    if x.dtype.kind != "f" and (low is None or high is None):
        return Tensor(
            np.clip(x._data, None if low is None else bounds[0]._data, None if high is None else bounds[1]._data)
        )
    data = quietly().run(np.minimum, quietly().run(np.maximum, x._data, bounds[0]._data), bounds[1]._data)
    node = make_node(_CLIP, inputs, data, None)
    if node is not None:
        note_broadcasting(node, data.shape, [t._data for t in inputs])
    return Tensor(data, node)


UFUNCS["clip"] = clip
