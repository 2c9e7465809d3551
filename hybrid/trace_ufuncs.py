"""What NumPy's and SciPy's ufuncs mean for symbolic arrays: rows of the table, and formulas over them.

A ufunc that is the NumPy meaning of a row is that row. Each of the others is a formula, written for values that agree
with NumPy's and for derivatives that are right at ties and on the branch not taken.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from hybrid import operations as ops
from hybrid.errors import UnsupportedError
from hybrid.graph import Term, float_value
from hybrid.operations import MASK, OPERATIONS, PI, Operation
from hybrid.special_values import ORDER_LIMITS
from hybrid.symbolic_array import SPECIAL_UFUNCS, UFUNC_METHODS, UFUNCS, SymbolicArray, elementwise, full, lift
from hybrid.unknown import HINTS

HALF = Fraction(1, 2)
INFINITY = float("inf")
Array = SymbolicArray


def row(op: Operation) -> Callable[..., Array]:
    return functools.partial(elementwise, op)


ROWS: dict[str, Callable[..., Any]] = {name: row(op) for name, op in OPERATIONS.items()}


def of_kind(numbers: Operation, masks: Operation) -> Callable[[Array, Array], Array]:
    """An operation that NumPy carries out as logic when both operands are truth values."""

    def rule(x: Array, y: Array) -> Array:
        return elementwise(masks if x.kind == MASK and y.kind == MASK else numbers, x, y)

    return rule


def constant(x: Array, value: Any) -> Any:
    return lift(x.graph, value)


def bitwise(op: Operation) -> Callable[..., Array]:
    """& | ^ ~ on truth values; on numbers NumPy refuses them too."""

    def rule(*operands: Array) -> Array:
        if any(operand.kind != MASK for operand in operands):
            raise TypeError(
                "& | ^ ~ need truth values such as (x > 0) & (y > 0), got numbers; compare first, or use np.logical_and"
            )
        return elementwise(op, *operands)

    return rule


def floor_divide(x: Any, y: Any) -> Any:
    """⌊x/y⌋ as NumPy rounds it: (x − x mod y)/y is a whole number up to rounding; x/y where y = 0."""
    quotient = np.rint((x - x % y) / y)
    if not finite(y):  # −1 or 0 of a finite number
        below = np.where((x < 0) == (y < 0), 0.0, np.where(x == 0, 0.0, -1.0))
        quotient = np.where(np.abs(y) == INFINITY, np.where(np.abs(x) < INFINITY, below, np.nan), quotient)
    return np.where(y == 0, x / y, quotient)


def finite(x: Array) -> bool:
    """Whether all elements are constants, none infinite."""
    values = (Term(x.graph, node).constant for node in x.nodes.ravel().tolist())
    return all(value is not None and abs(float_value(value)) < INFINITY for value in values)


def log_add_exp2(x: Any, y: Any) -> Any:
    """log₂(2ˣ + 2ʸ) without overflow, through the natural logarithm."""
    scale = np.log(full(x.graph, (), 2))
    return np.logaddexp(x * scale, y * scale) / scale


def fmax(x: Any, y: Any) -> Any:
    """The larger one; the other where one is NaN."""
    return np.where(x != x, y, np.where(y != y, x, np.maximum(x, y)))


def fmin(x: Any, y: Any) -> Any:
    return np.where(x != x, y, np.where(y != y, x, np.minimum(x, y)))


def sign_bit(x: Any) -> Any:
    return np.copysign(constant(x, 1), x) < 0


def modf(x: Any) -> tuple[Any, Any]:
    whole = np.trunc(x)
    return x - whole, whole


def x_log_1p_y(x: Any, y: Any) -> Any:
    return np.where((x == 0) & (y == y), 0, x * np.log1p(y))


def entropy(x: Any) -> Any:
    """−x·log x, zero at 0, −∞ below."""
    return np.where(x == 0, 0, np.where(x < 0, -INFINITY, -(x * np.log(x))))


def relative_entropy(x: Any, y: Any) -> Any:
    """x·log(x/y) for positive x and y, zero for x = 0 and y ≥ 0, ∞ elsewhere."""
    inside = np.where((x == 0) & (y >= 0), 0, INFINITY)
    return np.where((x > 0) & (y > 0), x * np.log(x / y), inside)


def box_cox(x: Any, power: Any) -> Any:
    return np.where(power == 0, np.log(x), np.expm1(power * np.log(x)) / power)


def gamma_log(x: Any) -> Any:
    return ROWS["loggamma"](x)


def of_order(name: str, order: int) -> Callable[[Array], Any]:
    return lambda x: ROWS[name](constant(x, order), x)


def of_given_order(name: str) -> Callable[[Array, Array], Any]:
    """A Bessel function whose order is one constant integer."""

    def rule(order: Array, x: Array) -> Any:
        low, high = ORDER_LIMITS[name]
        terms = {Term(order.graph, node).constant for node in order.nodes.ravel().tolist()}
        value = terms.pop() if len(terms) == 1 else None
        if not isinstance(value, int | float) or value != round(value) or not low <= value <= high:
            raise UnsupportedError(f"{name} needs one constant integer order from {low} to {high}; give a number")
        return ROWS[name](constant(x, int(value)), x)

    return rule


def degrees_per_radian(x: Array) -> Any:
    return constant(x, 180) / constant(x, PI)


def radians_per_degree(x: Array) -> Any:
    return constant(x, PI) / constant(x, 180)


UFUNCS.update({op.numpy: row(op) for op in OPERATIONS.values() if isinstance(op.numpy, np.ufunc)})
UFUNCS.update(
    {
        np.add: of_kind(ops.add, ops.logical_or),
        np.multiply: of_kind(ops.mul, ops.logical_and),
        np.maximum: of_kind(ops.maximum, ops.logical_or),
        np.minimum: of_kind(ops.minimum, ops.logical_and),
        np.bitwise_and: bitwise(ops.logical_and),
        np.bitwise_or: bitwise(ops.logical_or),
        np.bitwise_xor: bitwise(ops.logical_xor),
        np.invert: bitwise(ops.logical_not),
        np.positive: lambda x: x.copy(),
        np.fabs: row(ops.abs_),
        np.conjugate: lambda x: x,
        np.float_power: row(ops.pow),
        np.square: lambda x: x**2,
        np.reciprocal: lambda x: 1 / x,
        np.floor_divide: floor_divide,
        np.divmod: lambda x, y: (x // y, x % y),
        np.logaddexp2: log_add_exp2,
        np.fmax: fmax,
        np.fmin: fmin,
        np.deg2rad: lambda x: x * radians_per_degree(x),
        np.radians: lambda x: x * radians_per_degree(x),
        np.rad2deg: lambda x: x * degrees_per_radian(x),
        np.degrees: lambda x: x * degrees_per_radian(x),
        np.isnan: lambda x: x != x,
        np.isinf: lambda x: np.abs(x) == INFINITY,
        np.isfinite: lambda x: np.abs(x) < INFINITY,
        np.signbit: sign_bit,
        np.modf: modf,
        np.ldexp: lambda x, n: x * np.exp2(n),
    }
)

SPECIAL_UFUNCS.update(
    {
        "erf": ROWS["erf"],
        "erfc": ROWS["erfc"],
        "erfcx": ROWS["erfcx"],
        "erfinv": ROWS["erfinv"],
        **{f"{name[0]}{n}": of_order(name, n) for name in ("jv", "iv") for n in (0, 1)},
        "jv": of_given_order("jv"),
        "iv": of_given_order("iv"),
        "gamma": ROWS["gamma"],
        "gammaln": gamma_log,
        "loggamma": lambda x: np.where(x < 0, np.nan, gamma_log(x)),
        "psi": ROWS["digamma"],
        "digamma": ROWS["digamma"],
        "beta": ROWS["beta"],
        "betaln": ROWS["betaln"],
        "cbrt": ROWS["cbrt"],
        "exp2": ROWS["exp2"],
        "exp10": lambda x: 10**x,
        "expm1": ROWS["expm1"],
        "log1p": ROWS["log1p"],
        "cosm1": lambda x: -2 * np.sin(x / 2) ** 2,
        "expit": ROWS["expit"],
        "logit": ROWS["logit"],
        "log_expit": lambda x: -ROWS["softplus"](-x),
        "softplus": ROWS["softplus"],
        "xlogy": ROWS["xlogy"],
        "xlog1py": x_log_1p_y,
        "entr": entropy,
        "rel_entr": relative_entropy,
        "kl_div": lambda x, y: relative_entropy(x, y) - np.where((x > 0) & (y > 0), x - y, -y),
        "boxcox": box_cox,
        "ndtr": ROWS["ndtr"],
        "log_ndtr": ROWS["log_ndtr"],
        "round": ROWS["rint"],
        "cosdg": lambda x: np.cos(np.deg2rad(x)),
        "sindg": lambda x: np.sin(np.deg2rad(x)),
        "tandg": lambda x: np.tan(np.deg2rad(x)),
        "huber": lambda d, r: np.where(np.abs(r) <= d, r * r * HALF, d * (np.abs(r) - d * HALF)),
        "pseudo_huber": lambda d, r: d * d * (np.sqrt(1 + (r / d) ** 2) - 1),
    }
)

HINTS.update(
    {
        "where": "use np.where(mask, f(x), other)",
        "nextafter": "it has no derivative; leave it away",
        "spacing": "it has no derivative; leave it away",
        "frexp": "use np.log2 and np.floor",
        "left_shift": "multiply by 2**n",
        "right_shift": "use np.floor(x / 2**n)",
        "gcd": "it needs whole numbers",
        "lcm": "it needs whole numbers",
        "ndtri": "it has no row yet; make its value an input",
        "zeta": "scipy.special.polygamma and zeta do not pass through NumPy's protocols; use hy.polygamma",
        "at": "use np.where or build the array with np.stack",
    }
)


def outer_of(rule: Callable[..., Any]) -> Callable[..., Any]:
    def method(x: Array, y: Array) -> Any:
        return rule(x.reshape(x.shape + (1,) * y.ndim), y)

    return method


UFUNC_METHODS.update({(ufunc, "outer"): outer_of(rule) for ufunc, rule in UFUNCS.items() if ufunc.nin == 2})
