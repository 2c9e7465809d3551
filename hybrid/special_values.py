"""The NumPy meaning of the rows that `special_formulas` gives: logistic, normal, Lambert, beta and Bessel functions.

Every function takes anything NumPy can turn into float64, works element by element, broadcasts, returns float64 (a
NumPy scalar for scalars), and never warns. Values only, as in `special.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hybrid import special_formulas as formulas
from hybrid.special import erf, erfc, gamma, loggamma

ORDER_LIMITS = {
    "jv": (-formulas.BESSEL_ORDERS, formulas.BESSEL_ORDERS),
    "iv": (-formulas.MODIFIED_ORDERS, formulas.MODIFIED_ORDERS),
    "erfc_ratio": (0, formulas.RATIO_ORDERS),
    "spherical_jn": (0, formulas.SPHERICAL_ORDERS),
}


class ArrayVocabulary:
    """The elementary functions over NumPy arrays."""

    exp = staticmethod(np.exp)
    log = staticmethod(np.log)
    log1p = staticmethod(np.log1p)
    sqrt = staticmethod(np.sqrt)
    sin = staticmethod(np.sin)
    cos = staticmethod(np.cos)
    cosh = staticmethod(np.cosh)
    hypot = staticmethod(np.hypot)
    erf = staticmethod(erf)
    erfc = staticmethod(erfc)
    gamma = staticmethod(gamma)
    loggamma = staticmethod(loggamma)
    abs = staticmethod(np.abs)
    rint = staticmethod(np.rint)
    minimum = staticmethod(np.minimum)
    maximum = staticmethod(np.maximum)
    copysign = staticmethod(np.copysign)
    equal = staticmethod(np.equal)
    select = staticmethod(np.where)


ARRAYS = ArrayVocabulary()


def elementwise(formula: Callable[..., Any], name: str, summary: str) -> Callable[..., Any]:
    """A formula as a function of arrays."""

    def apply(*args: ArrayLike) -> Any:
        with np.errstate(all="ignore"):
            return np.asarray(formula(ARRAYS, *(np.asarray(arg, dtype=np.float64) for arg in args)), dtype=np.float64)[
                ()
            ]

    apply.__name__ = apply.__qualname__ = name
    apply.__doc__ = summary
    return apply


def whole_order(name: str, order: Any) -> int:
    """The order of a Bessel function as an int; ValueError unless it is one integer within ORDER_LIMITS."""
    low, high = ORDER_LIMITS[name]
    flat = np.asarray(order, dtype=np.float64).reshape(-1).tolist()
    if len(flat) != 1 or not flat[0].is_integer() or not low <= flat[0] <= high:
        raise ValueError(f"{name} takes one integer order from {low} to {high}, got {order}")
    return int(flat[0])


def ordered(formula: Callable[..., Any], name: str, summary: str) -> Callable[..., Any]:
    """A formula whose first argument is an order."""

    def apply(order: Any, x: ArrayLike) -> Any:
        degree = whole_order(name, order)
        with np.errstate(all="ignore"):
            return np.asarray(formula(ARRAYS, degree, np.asarray(x, dtype=np.float64)), dtype=np.float64)[()]

    apply.__name__ = apply.__qualname__ = name
    apply.__doc__ = summary
    return apply


sech = elementwise(formulas.sech, "sech", "1/cosh x.")
over_hypot = elementwise(formulas.over_hypot, "over_hypot", "x/√(x² + y²), 0 at the origin.")
expit = elementwise(formulas.expit, "expit", "1/(1 + e^−x).")
expit_slope = elementwise(formulas.expit_slope, "expit_slope", "Its derivative.")
softplus = elementwise(formulas.softplus, "softplus", "log(1 + e^x).")
logit = elementwise(formulas.logit, "logit", "log(x/(1 − x)).")
xlogy = elementwise(formulas.xlogy, "xlogy", "x log y, 0 where x = 0.")
ndtr = elementwise(formulas.ndtr, "ndtr", "The normal distribution function.")
log_ndtr = elementwise(formulas.log_ndtr, "log_ndtr", "Its logarithm.")
erfcx = elementwise(formulas.erfcx, "erfcx", "e^(x²) erfc x.")
erfinv = elementwise(formulas.erfinv, "erfinv", "The inverse of erf.")
lambertw = elementwise(formulas.lambertw, "lambertw", "The principal branch of Lambert's W.")
beta = elementwise(formulas.beta, "beta", "Euler's beta function.")
betaln = elementwise(formulas.betaln, "betaln", "log |B(x, y)|.")
sinc = elementwise(formulas.sinc, "sinc", "sin(x)/x.")
erfc_ratio = ordered(formulas.erfc_ratio, "erfc_ratio", "2/(√π erfcx x), and the tails of its continued fraction.")
jv = ordered(formulas.jv, "jv", "The Bessel function J_n of integer order.")
iv = ordered(formulas.iv, "iv", "The modified Bessel function I_n of integer order.")
spherical_jn = ordered(formulas.spherical_jn, "spherical_jn", "The spherical Bessel function j_n.")
