"""Elementwise operations: one row each, its meaning in NumPy and one partial per input.

A partial gets the adjoint `g` of the result and gives the adjoint of one input before broadcasting is undone. It is
written in NumPy, so it runs on arrays and on tensors. Conventions at kinks are PyTorch's: |x|′(0) = 0, sign′ = floor′
= 0, mod′ = 1 for the dividend, the derivative of xʸ with respect to y is 0 at x = 0 when y ≥ 0. Where a function is
invalid (log −1) its value is NaN; its derivative there is what the formula of the partial gives, as in PyTorch.

`ELEMENTWISE` has every operation by the name of its instruction, so that a graph or program can be run on the tape.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from hybrid import special
from hybrid.errors import ArgumentError
from hybrid.tape import pieces
from hybrid.tape.mode import is_grad_enabled, quietly
from hybrid.tape.node import Masked, Node
from hybrid.tape.rule import (
    NOTHING,
    Broadcasting,
    Partial,
    Rule,
    check_saved,
    make_node,
    note_broadcasting,
    note_versions,
    parameters,
)
from hybrid.tape.tensor import Tensor, as_tensor, current_edge

Operation = Callable[..., Tensor]
ELEMENTWISE: dict[str, Operation] = {}
# Operations that users define, by the name of their row: a user may call one `sigmoid`, and the tape keeps its own.
USER: dict[str, Any] = {}
UFUNCS: dict[str, Callable[..., Any]] = {}  # by the __name__ of the NumPy or SciPy ufunc that means the same

_NUMBERS = (int, float)
_FLOAT64 = np.float64


class Unary(Rule):
    """Rule of an elementwise operation on one input; reads the input, the result or neither."""

    def __init__(self, title: str, partial: Partial) -> None:
        super().__init__(title, "x", partial, elementwise=True)
        self._call = partial
        self.reads = " ".join(parameters(partial)[1:])
        if not set(self.reads.split()) <= {"x", "out"}:
            raise ValueError(f"the partial of {title} may read x and out, it reads {self.reads}")

    def pull(self, node: Node, g: Any, edges: Any) -> Any:
        if type(g) is Tensor or node.rare is not None or node.saved is None or self.reads == "x out":
            return super().raw(node, g, edges)
        if self.reads == "x":
            x = node.saved[0]
            if x._extra is not None:
                check_saved(node)
            return (pieces.in_pieces(self._call, g, x._data),)
        if self.reads == "out":
            return (pieces.in_pieces(self._call, g, node.saved[1]),)
        return (self._call(g),)


def camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def unary(
    name: str, meaning: Callable[[Any], Any], partial: Partial, *, ufuncs: str = "", title: str = ""
) -> Operation:
    """Define an operation on one input and enter it in the tables."""
    return _enter(name, unary_operation(title or camel(name), meaning, partial), ufuncs)


def unary_operation(title: str, meaning: Callable[[Any], Any], partial: Partial) -> Operation:
    """An operation on one input, in no table."""
    rule = Unary(title, partial)
    reads_x, reads_out, reads = "x" in rule.reads, "out" in rule.reads, rule.reads != ""

    def operation(x: Any) -> Tensor:
        if type(x) is not Tensor:
            x = as_tensor(x)
        data = quietly().run(meaning, x._data)
        edge = x._edge if x._extra is None else current_edge(x)
        if edge is None or not is_grad_enabled():
            return Tensor(data)
        node = Node(rule, (edge,), (x if reads_x else None, data if reads_out else None) if reads else NOTHING)
        if reads_x and x._extra is not None:
            note_versions(node, (x,))
        return Tensor(data, node)

    return operation


# How to call a partial that reads some of x, y and out when all three are at hand.
_CALLS: dict[tuple[str, ...], Callable[[Partial], Partial]] = {
    (): lambda p: lambda g, x, y, out: p(g),
    ("x",): lambda p: lambda g, x, y, out: p(g, x),
    ("y",): lambda p: lambda g, x, y, out: p(g, y),
    ("x", "y"): lambda p: lambda g, x, y, out: p(g, x, y),
    ("x", "out"): lambda p: lambda g, x, y, out: p(g, x, out),
    ("y", "out"): lambda p: lambda g, x, y, out: p(g, y, out),
    ("x", "y", "out"): lambda p: p,
}


class Binary(Broadcasting):
    """Rule of an elementwise operation on two inputs."""

    def __init__(self, title: str, partial_x: Partial, partial_y: Partial, selects: bool) -> None:
        super().__init__(title, "x y", partial_x, partial_y, elementwise=True, selects=selects)
        self._call_x, self._call_y = (_CALLS[parameters(p)[1:]](p) for p in (partial_x, partial_y))

    def raw(self, node: Node, g: Any, edges: Any) -> Any:
        if type(g) is Tensor or node.rare is not None or node.saved is None:
            return super().raw(node, g, edges)
        x, y, out = node.saved if node.saved is not NOTHING else (None, None, None)
        if type(x) is Tensor:
            if x._extra is not None:
                check_saved(node)
            x = x._data
        if type(y) is Tensor:
            if y._extra is not None:
                check_saved(node)
            y = y._data
        x_edge, y_edge = edges
        if y_edge is None:
            return (self._call_x(g, x, y, out), None)
        if x_edge is None:
            return (None, self._call_y(g, x, y, out))
        return (self._call_x(g, x, y, out), self._call_y(g, x, y, out))


def binary(
    name: str, meaning: Callable[[Any, Any], Any], partial_x: Partial, partial_y: Partial,
    *, ufuncs: str = "", title: str = "", selects: bool = False,
) -> Operation:  # fmt: skip
    """Define an operation on two inputs, which broadcast, and enter it in the tables."""
    rule = Binary(title or camel(name), partial_x, partial_y, selects)
    needs_both, needs_x, needs_y = rule.needs((True, True)), rule.needs((True, False)), rule.needs((False, True))

    def operation(x: Any, y: Any) -> Tensor:
        if type(x) is Tensor:
            x_data, x_edge = x._data, (x._edge if x._extra is None else current_edge(x))
        else:
            x, x_data, x_edge = _operand(x)
        if type(y) is Tensor:
            y_data, y_edge = y._data, (y._edge if y._extra is None else current_edge(y))
        else:
            y, y_data, y_edge = _operand(y)
        data = quietly().run(meaning, x_data, y_data)
        if (x_edge is None and y_edge is None) or not is_grad_enabled():
            return Tensor(data)
        keep_x, keep_y, keep_out = (
            needs_both if y_edge is not None is not x_edge else needs_x if y_edge is None else needs_y
        )
        if keep_x or keep_y or keep_out:
            saved: Any = (x if keep_x else None, y if keep_y else None, data if keep_out else None)
        else:
            saved = NOTHING
        node = Node(rule, (x_edge, y_edge), saved)
        if (keep_x and type(x) is Tensor and x._extra is not None) or (
            keep_y and type(y) is Tensor and y._extra is not None
        ):
            note_versions(node, (x, y))
        if type(data) is not _FLOAT64:
            note_broadcasting(node, data.shape, (x_data, y_data))
        return Tensor(data, node)

    return _enter(name, operation, ufuncs)


def _operand(value: Any) -> tuple[Any, Any, Any]:
    """An operand, its data and its edge. Python numbers stay as they are: they do not decide the type."""
    if type(value) in _NUMBERS:
        return value, value, None
    t = as_tensor(value)
    return t, t._data, current_edge(t)


def constant(name: str, meaning: Callable[..., Any], *, ufuncs: str = "") -> Operation:
    """Define a comparison or a logical operation: its result is boolean and has no derivative."""

    def operation(*args: Any) -> Tensor:
        return Tensor(quietly().run(meaning, *[_operand(arg)[1] for arg in args]))

    return _enter(name, operation, ufuncs)


def _enter(name: str, operation: Operation, ufuncs: str) -> Operation:
    operation.__name__ = operation.__qualname__ = name
    ELEMENTWISE[name] = operation
    for ufunc in (name, *ufuncs.split()):
        UFUNCS[ufunc] = operation
    return operation


def in_own_type(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of hybrid.special or special_values, computed in float64 and given back in the type of its inputs."""

    def meaning(*args: Any) -> Any:
        result = function(*args)
        kind = args[0].dtype if len(args) == 1 else np.result_type(*args)
        return result.astype(kind) if kind.kind == "f" and kind != np.float64 else result

    return meaning


_LN2, _LN10, _TWO_OVER_SQRT_PI = math.log(2), math.log(10), 2 / math.sqrt(math.pi)


def _ratio(above: Any, below: Any) -> Any:
    """above/below, 0 where below is 0."""
    return np.where(below == 0, 0.0, above / below)


# --------------------------------------------------------------------------------------------------- arithmetic
add = binary("add", operator.add, lambda g: g, lambda g: g)
sub = binary("sub", operator.sub, lambda g: g, lambda g: -g, ufuncs="subtract")
mul = binary("mul", operator.mul, lambda g, y: g * y, lambda g, x: g * x, ufuncs="multiply")
div = binary("div", operator.truediv, lambda g, y: g / y, lambda g, y, out: -g * (out / y), ufuncs="divide true_divide")
neg = unary("neg", operator.neg, lambda g: -g, ufuncs="negative")
positive = unary("positive", operator.pos, lambda g: g, ufuncs="conjugate")
abs = unary("abs", np.abs, lambda g, x: g * np.sign(x), ufuncs="absolute fabs")
sign = unary("sign", np.sign, lambda g: np.zeros_like(g))
square = unary("square", np.square, lambda g, x: g * (2 * x), title="Square")
reciprocal = unary("reciprocal", np.reciprocal, lambda g, out: -g * (out * out))
sqrt = unary("sqrt", np.sqrt, lambda g, out: g / (2 * out))
rsqrt = unary("rsqrt", lambda x: 1 / np.sqrt(x), lambda g, out: -0.5 * g * (out * out * out))
cbrt = unary("cbrt", np.cbrt, lambda g, out: g / (3 * out * out))
floor = unary("floor", np.floor, lambda g: np.zeros_like(g))
ceil = unary("ceil", np.ceil, lambda g: np.zeros_like(g))
trunc = unary("trunc", np.trunc, lambda g: np.zeros_like(g), ufuncs="fix")
rint = unary("rint", np.rint, lambda g: np.zeros_like(g))
mod = binary("mod", np.mod, lambda g: g, lambda g, x, y: -g * np.floor_divide(x, y), ufuncs="remainder")
fmod = binary("fmod", np.fmod, lambda g: g, lambda g, x, y: -g * np.trunc(x / y))
floor_divide = binary("floor_divide", np.floor_divide, lambda g: np.zeros_like(g), lambda g: np.zeros_like(g))
hypot = binary("hypot", np.hypot, lambda g, x, out: g * _ratio(x, out), lambda g, y, out: g * _ratio(y, out))
copysign = binary(
    "copysign", np.copysign, lambda g, x, out: g * (np.sign(x) * np.sign(out)), lambda g: np.zeros_like(g)
)

# ---------------------------------------------------------------------------------- exponentials and logarithms
exp = unary("exp", np.exp, lambda g, out: g * out)
exp2 = unary("exp2", np.exp2, lambda g, out: g * (out * _LN2))
expm1 = unary("expm1", np.expm1, lambda g, out: g * (out + 1))
log = unary("log", np.log, lambda g, x: g / x)
log2 = unary("log2", np.log2, lambda g, x: g / (x * _LN2))
log10 = unary("log10", np.log10, lambda g, x: g / (x * _LN10))
logaddexp = binary(
    "logaddexp", np.logaddexp, lambda g, x, out: g * np.exp(x - out), lambda g, y, out: g * np.exp(y - out)
)
logaddexp2 = binary(
    "logaddexp2", np.logaddexp2, lambda g, x, out: g * np.exp2(x - out), lambda g, y, out: g * np.exp2(y - out)
)
log1p = unary("log1p", np.log1p, lambda g, x: g / (x + 1))

# ----------------------------------------------------------------------------------- trigonometric, hyperbolic
sin = unary("sin", np.sin, lambda g, x: g * np.cos(x))
cos = unary("cos", np.cos, lambda g, x: -g * np.sin(x))
tan = unary("tan", np.tan, lambda g, out: g * (1 + out * out))
asin = unary("asin", np.arcsin, lambda g, x: g / np.sqrt((1 - x) * (1 + x)), ufuncs="arcsin")
acos = unary("acos", np.arccos, lambda g, x: -g / np.sqrt((1 - x) * (1 + x)), ufuncs="arccos")
atan = unary("atan", np.arctan, lambda g, x: g / (1 + x * x), ufuncs="arctan")
sinh = unary("sinh", np.sinh, lambda g, x: g * np.cosh(x))
cosh = unary("cosh", np.cosh, lambda g, x: g * np.sinh(x))
tanh = unary("tanh", pieces.tanh, lambda g, out: g * (1 - out * out))
asinh = unary("asinh", np.arcsinh, lambda g, x: g / np.sqrt(x * x + 1), ufuncs="arcsinh")
acosh = unary("acosh", np.arccosh, lambda g, x: g / (np.sqrt(x - 1) * np.sqrt(x + 1)), ufuncs="arccosh")
atanh = unary("atanh", np.arctanh, lambda g, x: g / ((1 - x) * (1 + x)), ufuncs="arctanh")
atan2 = binary(
    "atan2", np.arctan2, lambda g, x, y: g * _ratio(y, x * x + y * y), lambda g, x, y: -g * _ratio(x, x * x + y * y),
    ufuncs="arctan2",
)  # fmt: skip
deg2rad = unary("deg2rad", np.deg2rad, lambda g: g * (math.pi / 180), ufuncs="radians")
rad2deg = unary("rad2deg", np.rad2deg, lambda g: g * (180 / math.pi), ufuncs="degrees")

# ------------------------------------------------------------------------------------------- special functions
erf = unary("erf", in_own_type(special.erf), lambda g, x: g * (_TWO_OVER_SQRT_PI * np.exp(-x * x)))
erfc = unary("erfc", in_own_type(special.erfc), lambda g, x: -g * (_TWO_OVER_SQRT_PI * np.exp(-x * x)))
gamma = unary("gamma", in_own_type(special.gamma), lambda g, x, out: g * (out * digamma_of(x)))
loggamma = unary(
    "loggamma", in_own_type(special.loggamma), lambda g, x: g * digamma_of(x), ufuncs="gammaln", title="Lgamma"
)
digamma = unary("digamma", in_own_type(special.digamma), lambda g, x: g * polygamma_of(1, x), ufuncs="psi")
_POLYGAMMA = Rule("Polygamma", "x", lambda g, n, x: g * polygamma_of(n + 1, x), elementwise=True)


def polygamma(n: Any, x: Any) -> Tensor:
    """ψ⁽ⁿ⁾(x), for one integer order n ≥ 0, with derivative ψ⁽ⁿ⁺¹⁾."""
    order = n._data if isinstance(n, Tensor) else n
    if np.size(order) != 1 or float(np.reshape(order, ())) != int(np.reshape(order, ())) or np.any(np.less(order, 0)):
        raise ArgumentError(f"polygamma takes one non-negative integer order, got {order!r}")
    degree = int(np.reshape(order, ()))
    x = as_tensor(x)
    data = in_own_type(lambda values: special.polygamma(degree, values))(x._data)
    return Tensor(data, make_node(_POLYGAMMA, (x,), data, {"n": degree}))


ELEMENTWISE["polygamma"] = UFUNCS["polygamma"] = polygamma


def digamma_of(x: Any) -> Any:
    return digamma(x) if type(x) is Tensor else digamma(x)._data


def polygamma_of(n: int, x: Any) -> Any:
    return polygamma(n, x) if type(x) is Tensor else polygamma(n, x)._data


# ------------------------------------------------------------------------------------------------------- powers
_POW_NUMBER = Rule("Pow", "x", lambda g, x, n: g * power_slope(x, n), elementwise=True)


def power_slope(x: Any, n: float) -> Any:
    """n xⁿ⁻¹, which is 0 for n = 0 and 1 for n = 1 at every x."""
    if n == 0:
        return np.zeros_like(x)
    if n == 1:
        return np.ones_like(x)
    return 2 * x if n == 2 else n * x ** (n - 1)


_pow_general = binary(
    "pow",
    operator.pow,
    lambda g, x, y: g * np.where(y == 0, 0.0, y * x ** (y - 1)),
    lambda g, x, y, out: g * np.where((x == 0) & (y >= 0), 0.0, out * np.log(x)),
    ufuncs="power float_power",
)


def pow(x: Any, y: Any) -> Tensor:
    """xʸ elementwise. An exponent that is a Python number keeps exact derivatives at x = 0."""
    if type(y) not in _NUMBERS or type(x) is not Tensor:
        return _pow_general(_floating(x, y), y)
    base = _floating(x, y)
    data = quietly().run(operator.pow, base._data, y)
    return Tensor(data, make_node(_POW_NUMBER, (x,), data, {"n": y}))


def _floating(x: Any, y: Any) -> Any:
    """Integers to a negative power are an error in NumPy and floats here."""
    if type(y) in _NUMBERS and y < 0 and isinstance(x, Tensor) and x.dtype.kind in "iu":
        return Tensor(x._data.astype(np.float64))
    return x


ELEMENTWISE["pow"] = UFUNCS["pow"] = UFUNCS["power"] = UFUNCS["float_power"] = pow

# --------------------------------------------------------------------------------- selection, comparison, logic


def masked(g: Any, keep: Any) -> Masked:
    """`g` where `keep`, and no dependence elsewhere."""
    keep = keep._data if isinstance(keep, Tensor) else np.asarray(keep)
    return Masked(np.where(keep, g, 0.0), ~keep)


def _winner(g: Any, mine: Any, other: Any, wins: Callable[[Any, Any], Any]) -> Masked:
    """The adjoint of one side of max or min: all of it, half at a tie, none for the loser; NaN reaches both."""
    mine, other = (part._data if isinstance(part, Tensor) else part for part in (mine, other))
    return masked(np.where(np.equal(mine, other), 0.5 * g, g), ~np.asarray(wins(other, mine)))


def _number_wins(g: Any, mine: Any, other: Any, wins: Callable[[Any, Any], Any]) -> Masked:
    """Like `_winner`, but a number wins over NaN."""
    mine, other = (part._data if isinstance(part, Tensor) else part for part in (mine, other))
    loses = wins(other, mine) | (np.isnan(mine) & ~np.isnan(other))
    return masked(np.where(np.equal(mine, other), 0.5 * g, g), ~np.asarray(loses))


maximum = binary(
    "maximum", np.maximum, lambda g, x, y: _winner(g, x, y, np.greater), lambda g, x, y: _winner(g, y, x, np.greater),
    selects=True,
)  # fmt: skip
minimum = binary(
    "minimum", np.minimum, lambda g, x, y: _winner(g, x, y, np.less), lambda g, x, y: _winner(g, y, x, np.less),
    selects=True,
)  # fmt: skip
fmax = binary(
    "fmax", np.fmax,
    lambda g, x, y: _number_wins(g, x, y, np.greater), lambda g, x, y: _number_wins(g, y, x, np.greater), selects=True,
)  # fmt: skip
fmin = binary(
    "fmin", np.fmin,
    lambda g, x, y: _number_wins(g, x, y, np.less), lambda g, x, y: _number_wins(g, y, x, np.less), selects=True,
)  # fmt: skip
heaviside = binary("heaviside", np.heaviside, lambda g: np.zeros_like(g), lambda g, x: masked(g, x == 0), selects=True)
lt = constant("lt", operator.lt, ufuncs="less")
le = constant("le", operator.le, ufuncs="less_equal")
gt = constant("gt", operator.gt, ufuncs="greater")
ge = constant("ge", operator.ge, ufuncs="greater_equal")
eq = constant("eq", operator.eq, ufuncs="equal")
ne = constant("ne", operator.ne, ufuncs="not_equal")
logical_and = constant("and", np.logical_and, ufuncs="logical_and")
logical_or = constant("or", np.logical_or, ufuncs="logical_or")
logical_xor = constant("xor", np.logical_xor, ufuncs="logical_xor")
logical_not = constant("not", np.logical_not, ufuncs="logical_not")
isnan = constant("isnan", np.isnan)
isfinite = constant("isfinite", np.isfinite)
isinf = constant("isinf", np.isinf)
bitwise_and = constant("bitwise_and", operator.and_)
bitwise_or = constant("bitwise_or", operator.or_)
bitwise_xor = constant("bitwise_xor", operator.xor)
invert = constant("invert", operator.invert)
signbit = constant("signbit", np.signbit)

_WHERE = Broadcasting(
    "Where", "c x y", None, lambda g, c: masked(g, c), lambda g, c: masked(g, ~c), elementwise=True, selects=True
)  # fmt: skip


def where(condition: Any, x: Any, y: Any) -> Tensor:
    """`x` where `condition`, else `y`, element by element; the side not taken has no part in value or derivative."""
    condition = as_tensor(condition)
    if condition.dtype != np.bool_:
        condition = Tensor(condition._data != 0)
    data = np.where(condition._data, _operand(x)[1], _operand(y)[1])[()]
    inputs = (condition, as_tensor(x), as_tensor(y))
    node = make_node(_WHERE, inputs, data, None)
    if node is not None and data.shape:
        note_broadcasting(node, data.shape, [t._data for t in inputs])
    return Tensor(data, node)


select = ELEMENTWISE["select"] = where
