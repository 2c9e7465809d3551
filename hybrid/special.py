"""The NumPy meaning of the functions NumPy lacks: error, gamma and polygamma functions.

Values only; no derivative rule lives here, so the symbolic side and the numeric tape can both use these without sharing
anything else. Every function takes anything NumPy can turn into float64, works element by element, returns float64 (a
NumPy scalar for a scalar), and never warns: invalid points give NaN and poles what IEEE 754 and C's math library give.
Accuracy is measured against 50-digit values by tests/hybrid/test_special.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["digamma", "erf", "erfc", "gamma", "heaviside", "loggamma", "polygamma"]

Values = NDArray[np.float64]

# Bernoulli numbers B_2, B_4, …, B_32 [Abramowitz & Stegun, table 23.2].
_BERNOULLI = (
    1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798, -174611 / 330,
    854513 / 138, -236364091 / 2730, 8553103 / 6, -23749461029 / 870, 8615841276005 / 14322, -7709321041217 / 510,
)  # fmt: skip
_EULER_GAMMA = 0.57721566490153286060651209
_ONE_MINUS_GAMMA = 0.42278433509846713939348791
_HALF_LOG_2PI = 0.91893853320467274178032974


def _elementwise(function: Callable[[Values], Values]) -> Callable[[ArrayLike], Any]:
    """Convert to float64, silence NumPy's warnings, and give scalars back for scalars."""

    def apply(x: ArrayLike) -> Any:
        values = np.asarray(x, dtype=np.float64)
        with np.errstate(all="ignore"):
            return function(values.reshape(-1)).reshape(values.shape)[()]

    apply.__name__ = apply.__qualname__ = function.__name__
    apply.__doc__ = function.__doc__
    return apply


def _from_scalar(function: Callable[[float], float], values: Values) -> Values:
    return np.fromiter(map(function, values.tolist()), np.float64, count=values.size)


@_elementwise
def erf(x: Values) -> Values:
    """2/√π ∫₀ˣ e^(−t²) dt; ±1 at ±∞. The C library's function, at most 1 ulp."""
    return _from_scalar(math.erf, x)


@_elementwise
def erfc(x: Values) -> Values:
    """1 − erf x without cancellation for large x. The C library's function, at most 3 ulp."""
    return _from_scalar(math.erfc, x)


def _gamma_of_float(x: float) -> float:
    try:
        return math.gamma(x)
    except OverflowError:  # negative arguments that large are integers, hence poles
        return math.inf
    except ValueError:
        return math.copysign(math.inf, x) if x == 0 else math.nan


@_elementwise
def gamma(x: Values) -> Values:
    """Γ(x); ±∞ at ±0, NaN at negative integers and −∞, ∞ on overflow (x > 171.62). At most 8 ulp."""
    return _from_scalar(_gamma_of_float, x)


def _zeta_minus_one(s: int) -> float:
    """ζ(s) − 1 for an integer s ≥ 2 by Euler–Maclaurin from n = 12."""
    n = 12.0
    total = math.fsum(float(k) ** -s for k in range(2, 12)) + n ** (1 - s) / (s - 1) + 0.5 * n**-s
    factor = s * n ** (-s - 1)
    for k, bernoulli in enumerate(_BERNOULLI[:8], start=1):
        total += bernoulli / math.factorial(2 * k) * factor
        factor *= (s + 2 * k - 1) * (s + 2 * k) / n**2
    return float(total)


# log Γ(2 + z) = (1 − γ) z + Σ_{k≥2} (−1)^k (ζ(k) − 1) z^k / k for |z| < 2 [Abramowitz & Stegun, 6.1.33].
_SERIES_AT_TWO = [_ONE_MINUS_GAMMA] + [(-1) ** k * _zeta_minus_one(k) / k for k in range(2, 44)]


def _log_gamma_near_two(z: Values) -> Values:
    total: Values = np.zeros_like(z)
    for coefficient in reversed(_SERIES_AT_TWO):
        total = total * z + coefficient
    return total * z


def _log_gamma_stirling(x: Values) -> Values:
    inverse = 1 / x
    square = inverse * inverse
    total = np.zeros_like(x)
    for k in range(8, 0, -1):
        total = total * square + _BERNOULLI[k - 1] / (2 * k * (2 * k - 1))
    value: Values = (x - 0.5) * (np.log(x) - 1) + (_HALF_LOG_2PI - 0.5 + total * inverse)
    return value


def _log_gamma_positive(x: Values) -> Values:
    """log Γ for x ≥ 1/2: the series at 2, the recurrence down to it below 9, and Stirling's series above."""
    result = _log_gamma_stirling(np.maximum(x, 9.0))
    low = x < 9
    z, product = x[low], np.ones(int(low.sum()))
    for _ in range(7):
        shift = z > 2.5
        z = np.where(shift, z - 1, z)
        product = np.where(shift, product * z, product)
    below = z < 1.25
    z = np.where(below, z - 1, z - 2)
    result[low] = _log_gamma_near_two(z) + np.where(below, -np.log1p(z), np.log(product))
    result[x == np.inf] = np.inf
    return result


def _sin_pi(x: Values) -> Values:
    sine: Values = np.sin(np.pi * (x - np.rint(x)))
    return sine


@_elementwise
def loggamma(x: Values) -> Values:
    """log |Γ(x)|; ∞ at 0, negative integers and ±∞.

    At most 5 ulp for x > 0, where it keeps relative accuracy at its zeros 1 and 2; for negative x at most 4 ulp of the
    larger of 1 and the value (between −2.5 and −18 the function has zeros next to the poles).
    """
    size = np.abs(x)
    small = size < 0.5
    z = np.where(small, x, 0.0)
    near_zero = _log_gamma_near_two(z) - np.log1p(z) - np.log(size)
    positive = _log_gamma_positive(np.where(small, 1.0, size))
    reflected = np.log(np.pi / np.abs(size * _sin_pi(size))) - positive
    result = np.where(small, near_zero, np.where(x > 0, positive, reflected))
    pole = (x <= 0) & (x == np.floor(x))
    return np.where(np.isnan(x), x, np.where(pole | np.isinf(x), np.inf, result))


def _polygamma_positive(n: int, x: Values) -> Values:
    """(−1)^(n+1) ψ⁽ⁿ⁾(x) for x > 0: the recurrence up to 12 + n, then the asymptotic series [A&S 6.3.18, 6.4.11]."""
    total = np.zeros_like(x)
    factorial = float(math.factorial(n))
    for _ in range(12 + n):
        shift = x < 12 + n
        total = total + np.where(shift, factorial * x ** (-n - 1.0), 0.0)
        x = np.where(shift, x + 1, x)
    inverse = 1 / x
    square = inverse * inverse
    series = np.zeros_like(x)
    for k in range(12, 0, -1):
        rising = math.prod(range(2 * k + 1, 2 * k + n)) if n else 1 / (2 * k)
        series = series * square + _BERNOULLI[k - 1] * rising
    if n == 0:
        return total - (np.log(x) - 0.5 * inverse - series * square)
    leading = math.factorial(n - 1) * inverse**n
    return total + leading + inverse**n * (0.5 * factorial * inverse + series * square)


def _cotangent_derivative(n: int) -> list[float]:
    """Coefficients, lowest first, of the polynomial P with dⁿ/duⁿ cot u = P(cot u)."""
    polynomial = [0.0, 1.0]
    for _ in range(n):
        slope = [k * c for k, c in enumerate(polynomial)][1:]
        polynomial = [-a - b for a, b in zip([*slope, 0.0, 0.0], [0.0, 0.0, *slope], strict=True)]
    return polynomial


def _polygamma(n: int, x: Values) -> Values:
    sign = 1.0 if n % 2 else -1.0
    negative = x < 0
    pole = (x <= 0) & (x == np.floor(x))
    # ψ⁽ⁿ⁾(x) = (−1)ⁿ ψ⁽ⁿ⁾(1 − x) − πⁿ⁺¹ cot⁽ⁿ⁾(πx) [A&S 6.4.7]
    result = sign * _polygamma_positive(n, np.where(negative, 1 - x, x))
    offset = np.pi * (x - np.rint(x))
    cotangent = np.polynomial.polynomial.polyval(np.cos(offset) / np.sin(offset), _cotangent_derivative(n))
    result = np.where(negative, -sign * result - np.pi ** (n + 1) * cotangent, result)
    near_zero = np.abs(x) < 1e-30  # one term of the recurrence is all of it; the reflection would meet ∞ − ∞
    result = np.where(near_zero, sign * math.factorial(n) * np.where(near_zero, x, 1.0) ** (-n - 1.0), result)
    at_pole = np.full_like(x, np.inf) if n % 2 else np.where(x == 0, np.copysign(np.inf, -x), np.nan)
    result = np.where(pole, at_pole, result)
    result = np.where(x == np.inf, np.inf if n == 0 else sign * 0.0, result)
    return np.where(x == -np.inf, np.nan, result)


@_elementwise
def digamma(x: Values) -> Values:
    """ψ(x) = Γ′(x)/Γ(x); ∓∞ at ±0, NaN at negative integers and −∞. At most 10 ulp of the larger of 1 and |ψ|."""
    return _polygamma(0, x)


def polygamma(n: Any, x: ArrayLike) -> Any:
    """ψ⁽ⁿ⁾(x), the n-th derivative of digamma, for one integer order n ≥ 0 (`n = 0` is digamma).

    At a pole: ∞ for odd n; for even n, ∓∞ at ±0 and NaN at negative integers, where the two sides differ.
    Within 8 ulp for x > 0 and n ≤ 6; ValueError for an order that is not one non-negative integer.
    """
    order = np.asarray(n, dtype=np.float64).reshape(-1).tolist()
    if len(order) != 1 or not order[0].is_integer() or order[0] < 0:
        raise ValueError(f"polygamma takes one non-negative integer order, got {n!r}")
    degree = int(order[0])
    return _elementwise(lambda values: _polygamma(degree, values))(x)


def heaviside(x: ArrayLike, at_zero: ArrayLike = 0.5) -> Any:
    """0 for x < 0, 1 for x > 0, `at_zero` at ±0 and NaN for NaN. The default is SymPy's ½."""
    return np.heaviside(np.asarray(x, dtype=np.float64), np.asarray(at_zero, dtype=np.float64))
