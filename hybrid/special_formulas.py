"""Special functions as straight-line formulas over elementary ones, written once for arrays and for native code.

Every formula takes a `Vocabulary`, which says what `exp`, `select`, … are, and values with Python's operators:
`special.py` runs them on NumPy arrays, `lower_special.py` on instructions. All sides of a `select` are computed, so
each is harmless everywhere. The error of each is measured against 50-digit values by
tests/hybrid/test_special_formulas.py, through NumPy and through kernels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Protocol

INFINITY, NAN = math.inf, math.nan
SQRT_HALF, SQRT_PI = math.sqrt(0.5), math.sqrt(math.pi)
HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)


class Vocabulary(Protocol):
    """The elementary functions a formula may use."""

    exp: Any
    log: Any
    log1p: Any
    sqrt: Any
    sin: Any
    cos: Any
    cosh: Any
    hypot: Any
    erf: Any
    erfc: Any
    gamma: Any
    loggamma: Any
    abs: Any
    rint: Any
    minimum: Any
    maximum: Any
    copysign: Any
    equal: Any
    select: Any


def horner(x: Any, coefficients: Sequence[float]) -> Any:
    """Σ c_k x^k."""
    total: Any = coefficients[-1]
    for coefficient in reversed(coefficients[:-1]):
        total = total * x + coefficient
    return total


def whole_power(x: Any, exponent: int) -> Any:
    """x^exponent for an integer ≥ 1, by squaring."""
    if exponent == 1:
        return x
    half = whole_power(x, exponent // 2)
    return half * half * x if exponent % 2 else half * half


def sech(v: Vocabulary, x: Any) -> Any:
    """1/cosh x; 0 where cosh overflows."""
    return 1.0 / v.cosh(x)


def over_hypot(v: Vocabulary, x: Any, y: Any) -> Any:
    """x/√(x² + y²), 0 at the origin."""
    size = v.hypot(x, y)
    return v.select(v.equal(size, 0.0), 0.0, x / size)


# --- logistic functions -----------------------------------------------------------------------------------------------
def expit(v: Vocabulary, x: Any) -> Any:
    """1/(1 + e^−x), with small relative error in the left tail too."""
    e = v.exp(-v.abs(x))
    return v.select(x < 0.0, e, 1.0) / (1.0 + e)


def expit_slope(v: Vocabulary, x: Any) -> Any:
    """The derivative e^x/(1 + e^x)² of expit, from the exponential that expit has."""
    e = v.exp(-v.abs(x))
    above = 1.0 + e
    return e / (above * above)


def softplus(v: Vocabulary, x: Any) -> Any:
    """log(1 + e^x) without overflow."""
    return v.maximum(x, 0.0) + v.log1p(v.exp(-v.abs(x)))


def logaddexp(v: Vocabulary, x: Any, y: Any) -> Any:
    """log(e^x + e^y) without overflow; two infinities of one sign are themselves."""
    apart = v.select(v.equal(x, y), 0.0, x - y)
    return v.maximum(x, y) + v.log1p(v.exp(-v.abs(apart)))


def logit(v: Vocabulary, x: Any) -> Any:
    """log(x/(1 − x)); around ½, where it is 0, by way of log1p; NaN outside [0, 1]."""
    rest = 1.0 - x
    return v.select(x < 0.25, v.log(x / rest), v.log1p((2.0 * x - 1.0) / rest))


def xlogy(v: Vocabulary, x: Any, y: Any) -> Any:
    """x log y, 0 where x = 0 and y is a number."""
    return v.select(v.equal(x, 0.0) & v.equal(y, y), 0.0, x * v.log(y))


# --- the normal distribution ------------------------------------------------------------------------------------------
def ndtr(v: Vocabulary, x: Any) -> Any:
    """½ erfc(−x/√2)."""
    return 0.5 * v.erfc(x * -SQRT_HALF)


# erfc(x) ~ e^(−x²)/(x √π) Σ (−1)^k (2k−1)!!/(2x²)^k [DLMF 7.12.1]; in 1/x² for erfcx, in 1/t² with t = √2 x below
DOUBLE_FACTORIALS = [math.prod(range(1, 2 * k, 2)) for k in range(9)]
ERFCX_TAIL = [(-1) ** k * d / 2**k for k, d in enumerate(DOUBLE_FACTORIALS)]
NDTR_TAIL = [float((-1) ** k * d) for k, d in enumerate(DOUBLE_FACTORIALS)][1:]


def erfcx(v: Vocabulary, x: Any) -> Any:
    """e^(x²) erfc x; x² in two parts, the first of 26 bits squared and so exact; ∞ below −26.7."""
    y = v.maximum(v.minimum(x, 26.0), -30.0)
    high = v.rint(y * 2.0**20) * 2.0**-20
    near = v.exp(high * high) * v.exp((y - high) * (y + high)) * v.erfc(y)
    inverse = 1.0 / v.maximum(x, 20.0)
    far = inverse * horner(inverse * inverse, ERFCX_TAIL) * (1.0 / SQRT_PI)
    return v.select(x > 25.0, far, near)


def log_ndtr(v: Vocabulary, x: Any) -> Any:
    """log ndtr x; by its asymptotic series below −20, where ndtr would underflow in the end."""
    tail = 0.5 * v.erfc(v.abs(x) * SQRT_HALF)
    size = v.maximum(-x, 10.0)
    inverse = 1.0 / (size * size)
    far = -0.5 * size * size - v.log(size) - HALF_LOG_TWO_PI + v.log1p(inverse * horner(inverse, NDTR_TAIL))
    near = v.select(x > 0.0, v.log1p(-tail), v.log(tail))
    return v.select(x < -20.0, far, near)


RATIO_ORDERS = 6
RATIO_LEVELS, RATIO_FAR = 16, 3.5  # of the continued fraction, and where it is used


def erfc_ratio(v: Vocabulary, order: int, x: Any) -> Any:
    """r_0 = 2/(√π erfcx x) and r_n = 2/(2x + (n + 1) r_(n+1)), so that r_1 = r_0 − 2x: −(log erfc)′ and −(log erfcx)′.

    From RATIO_FAR on, where the recurrence upwards would cancel, the continued fraction is evaluated [DLMF 7.9.1],
    its last level by where it would settle.
    """
    ratio = (2.0 / SQRT_PI) / erfcx(v, x)
    if order == 0:
        return ratio
    near = ratio - 2.0 * x
    for k in range(2, order + 1):
        near = (2.0 / near - 2.0 * x) * (1.0 / k)
    size = v.maximum(x, RATIO_FAR)
    twice = size + size
    far = 2.0 / (size + v.sqrt(size * size + 2.0 * (order + RATIO_LEVELS + 1)))
    for k in range(order + RATIO_LEVELS - 1, order - 1, -1):
        far = 2.0 / (twice + (k + 1.0) * far)
    return v.select(x > RATIO_FAR, far, near)


def erfinv(v: Vocabulary, x: Any) -> Any:
    """The inverse of erf on [−1, 1].

    A guess within 0.2 % [Winitzki, A handy approximation for the error function and its inverse, 2008], then two steps
    of Halley's iteration on erf, or from ½ on, where 1 − |x| is exact, on erfc.
    """
    a = 0.147
    size = v.abs(x)
    logarithm = v.log1p(-(x * x))
    middle = 2.0 / (math.pi * a) + 0.5 * logarithm
    ratio = logarithm * (-1.0 / a)
    y = v.sqrt(ratio / (v.sqrt(middle * middle + ratio) + middle))
    central = size < 0.5
    rest = 1.0 - size
    for _ in range(2):
        excess = v.select(central, v.erf(y) - size, rest - v.erfc(y))
        step = excess * (0.5 * SQRT_PI) * v.exp(y * y)
        y = y - step / (1.0 + y * step)
    return v.copysign(v.select(v.equal(size, 1.0), INFINITY, y), x)


# --- Lambert's function -----------------------------------------------------------------------------------------------
# W(x) = Σ μ_k p^k, p = √(2(e x + 1)) [Corless, Gonnet, Hare, Jeffrey, Knuth, On the Lambert W function, 1996, 4.22]
BRANCH_SERIES = [-1.0, 1.0, -1 / 3, 11 / 72, -43 / 540, 769 / 17280, -221 / 8505, 680863 / 43545600, -1963 / 204120,
                 226287557 / 37623398400]  # fmt: skip
BRANCH_POINT = -0.36787944117144233  # the float64 next to −1/e, a little below it
BRANCH_REST = -1.2428753672788363e-17  # −1/e − BRANCH_POINT is minus this


def lambertw(v: Vocabulary, x: Any) -> Any:
    """W(x) with W e^W = x and W ≥ −1; NaN below −1/e, −1 at the float64 next to it.

    Guesses of 1 % [Winitzki, Uniform approximations for transcendental functions, 2003], then two fourth-order steps
    [Fritsch, Shafer, Crowley, Algorithm 443, 1973]; next to the branch point, the series there.
    """
    above = v.maximum((x - BRANCH_POINT) + BRANCH_REST, 0.0)
    p = v.sqrt(above * (2.0 * math.e))
    left = math.e * x / (1.0 + 1.0 / (1.0 / v.maximum(p, 0.01) + (1.0 / (math.e - 1.0) - SQRT_HALF)))
    logarithm = v.log1p(v.maximum(x, 0.0))
    right = logarithm * (1.0 - v.log1p(logarithm) / (2.0 + logarithm))
    w = v.select(x < 0.0, left, right)
    for _ in range(2):
        z = v.log(x / w) - w
        more = 1.0 + w
        q = 2.0 * more * (more + z * (2.0 / 3.0))
        w = w * (1.0 + z / more * (q - z) / (q - 2.0 * z))
    w = v.select(p < 0.03, horner(p, BRANCH_SERIES), w)
    w = v.select(v.equal(x, 0.0) | v.equal(x, INFINITY), x, w)
    return v.select(x < BRANCH_POINT, NAN, w)


# --- Euler's beta function --------------------------------------------------------------------------------------------
# ln Γ(z) − ((z − ½) ln z − z + ½ ln 2π) = Σ B_2k/(2k (2k − 1) z^(2k−1)) [DLMF 5.11.1]
STIRLING = [1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156, -3617 / 122400]
LARGE = 10.0


def stirling_rest(v: Vocabulary, z: Any) -> Any:
    inverse = 1.0 / v.maximum(z, LARGE)
    return inverse * horner(inverse * inverse, STIRLING)


def betaln(v: Vocabulary, x: Any, y: Any) -> Any:
    """log |B(x, y)|; from 10 on by differences of Stirling's series, which do not cancel.

    The cases are those of [Didonato and Morris, Algorithm 708, 1992].
    """
    small, large = v.minimum(x, y), v.maximum(x, y)
    plain = v.loggamma(small) + v.loggamma(large) - v.loggamma(small + large)
    big = v.maximum(large, LARGE)
    a = v.select(small > 0.0, small, 1.0)
    total = a + big
    rest = stirling_rest(v, big) - stirling_rest(v, total)
    ratio = a / big
    bend = v.log1p(ratio)
    one_large = v.loggamma(a) - ((big + (a - 0.5)) * bend + a * (v.log(big) - 1.0)) + rest
    share = (a - 0.5) * v.log(ratio / (1.0 + ratio)) - big * bend
    both_large = share + (HALF_LOG_TWO_PI - 0.5 * v.log(big)) + (rest + stirling_rest(v, a))
    value = v.select(small >= LARGE, both_large, one_large)
    value = v.select((small > 0.0) & (large >= LARGE), value, plain)
    return v.select((small > 0.0) & v.equal(large, INFINITY), -INFINITY, value)


def beta(v: Vocabulary, x: Any, y: Any) -> Any:
    """B(x, y) = Γ(x) Γ(y)/Γ(x + y); by its logarithm where Γ(x + y) would overflow."""
    small, large = v.minimum(x, y), v.maximum(x, y)
    total = small + large
    lost = (large - total) + small  # Γ(total + lost) is Γ(total) (1 + ψ(total) lost), and ψ(z) is log z, nearly
    direct = v.gamma(small) * (v.gamma(large) / v.gamma(total)) * (1.0 - lost * v.log(v.maximum(total, 1.0)))
    direct = v.select(v.abs(lost) < INFINITY, direct, v.gamma(small) * (v.gamma(large) / v.gamma(total)))
    return v.select((small > 0.0) & (total > 170.0), v.exp(betaln(v, x, y)), direct)


# --- Bessel functions of integer order --------------------------------------------------------------------------------
BESSEL_ORDERS = 24  # largest order |n| of J_n
MODIFIED_ORDERS = 12  # of I_n
SPHERICAL_ORDERS = 8  # of j_n
CHAIN = 66  # where Miller's downward recurrence starts: J_66 and I_66 no longer count below FAR and MODIFIED_FAR
RESCALED, GROWN, SHRINK = 11, 2.0**30, 2.0**-90  # every 11 steps what has grown is made small: float32 ends at 2^128
NEAR, FAR, MODIFIED_FAR = 0.5, 25.0, 30.0


def hankel(order: int, count: int = 24) -> list[float]:
    """a_k(ν) of the asymptotic series of J_ν and I_ν [DLMF 10.17.1]."""
    found = [Fraction(1)]
    for k in range(1, count):
        found.append(found[-1] * (4 * order**2 - (2 * k - 1) ** 2) / (8 * k))
    return [float(a) for a in found]


def power_series(v: Vocabulary, order: int, x: Any, sign: float) -> Any:
    """(x/2)^n Σ (± x²/4)^k/(k! (n + k)!) for |x| ≤ NEAR [DLMF 10.2.2, 10.25.2]."""
    coefficients = [sign**k / (math.factorial(k) * math.factorial(order + k)) for k in range(9)]
    total = horner(x * x * 0.25, coefficients)
    return total * whole_power(x * 0.5, order) if order else total


def downward(v: Vocabulary, order: int, x: Any, sign: float) -> tuple[Any, Any]:
    """f_n and f_0 + 2 Σ (f_2, f_4, … or all) of the recurrence f_(k−1) = 2k/x f_k ∓ f_(k+1) from CHAIN down.

    It is a multiple of J_k (−) or I_k (+) [Miller; Olver, Numerical solution of second-order linear difference
    equations, 1967].
    """
    inverse = 2.0 / x
    above, value = 0.0, x * 0.0 + 1.0
    total, wanted = 0.0 * x, value
    for k in range(CHAIN, 0, -1):
        if sign > 0 or k % 2 == 0:
            total = total + value
        if k == order:
            wanted = value
        step = inverse * float(k) * value
        above, value = value, step - above if sign < 0 else step + above
        if k % RESCALED == 0:
            factor = v.select(v.abs(value) > GROWN, SHRINK, 1.0)
            above, value, total = above * factor, value * factor, total * factor
            wanted = wanted * factor if k <= order else wanted
    return (wanted if order else value), total + total + value


def jv_far(v: Vocabulary, order: int, x: Any) -> Any:
    """Hankel's series for J_0 and J_1 [DLMF 10.17.3], then the recurrence upwards, for x ≥ FAR ≥ n."""
    inverse = 1.0 / x
    square = -(inverse * inverse)
    sine, cosine = v.sin(x), v.cos(x)
    plus, minus = cosine + sine, sine - cosine
    scale = v.sqrt(inverse * (1.0 / math.pi))
    zero, one = hankel(0), hankel(1)
    below = scale * (horner(square, zero[::2]) * plus - inverse * horner(square, zero[1::2]) * minus)
    if order == 0:
        return below
    value = scale * (horner(square, one[::2]) * minus + inverse * horner(square, one[1::2]) * plus)
    for k in range(1, order):
        below, value = value, inverse * (2.0 * k) * value - below
    return value


def jv(v: Vocabulary, order: int, x: Any) -> Any:
    """J_n(x), |n| ≤ BESSEL_ORDERS: power series, Miller's recurrence, Hankel's series by |x|; 0 at ±∞."""
    n, size = abs(order), v.abs(x)
    wanted, total = downward(v, n, v.minimum(v.maximum(size, NEAR), FAR), -1.0)
    value = v.select(size < NEAR, power_series(v, n, size, -1.0), wanted / total)
    value = v.select(size > FAR, jv_far(v, n, v.maximum(size, FAR)), value)
    value = v.select(v.equal(size, INFINITY), 0.0, value)
    if n % 2 == 0:
        return value
    return value * v.copysign(1.0, -x if order < 0 else x)


def iv_far(v: Vocabulary, order: int, x: Any) -> Any:
    """e^x/√(2πx) Σ (−1)^k a_k/x^k [DLMF 10.40.1], e^x in two factors."""
    inverse = 1.0 / x
    half = v.exp(x * 0.5)
    terms = hankel(order, 32)
    return half * (v.sqrt(inverse * (0.5 / math.pi)) * horner(-inverse, terms)) * half


def iv(v: Vocabulary, order: int, x: Any) -> Any:
    """I_n(x), |n| ≤ MODIFIED_ORDERS: power series, Miller's recurrence, asymptotic series by |x|; ±∞ at ±∞."""
    n, size = abs(order), v.abs(x)
    inside = v.minimum(v.maximum(size, NEAR), MODIFIED_FAR)
    wanted, total = downward(v, n, inside, 1.0)
    value = v.select(size < NEAR, power_series(v, n, size, 1.0), wanted * (v.exp(inside) / total))
    far = iv_far(v, n, v.minimum(v.maximum(size, MODIFIED_FAR), 1000.0))
    value = v.select(size > MODIFIED_FAR, far, value)
    return value * v.copysign(1.0, x) if n % 2 else value


def sinc(v: Vocabulary, x: Any) -> Any:
    """sin(x)/x, 1 at 0 and 0 at ±∞: SymPy's, without NumPy's π."""
    value = v.select(v.equal(x, 0.0), 1.0, v.sin(x) / x)
    return v.select(v.equal(v.abs(x), INFINITY), 0.0, value)


def spherical_jn(v: Vocabulary, order: int, x: Any) -> Any:
    """The spherical Bessel function j_n, 0 ≤ n ≤ SPHERICAL_ORDERS, j_0 = sinc; its series [DLMF 10.53.1] near 0."""
    if order == 0:
        return sinc(v, x)
    size = v.abs(x)
    cut = 0.75 * order + 1.5
    inner, outer = v.minimum(size, cut), v.maximum(size, cut)
    coefficients, term = [], Fraction(1, math.prod(range(1, 2 * order + 2, 2)))
    for k in range(1, 25):
        coefficients.append(float(term))
        term = term * Fraction(-1, 2 * k * (2 * order + 2 * k + 1))
    near = whole_power(inner, order) * horner(inner * inner, coefficients)
    inverse = 1.0 / outer
    below = v.sin(outer) * inverse
    value = (below - v.cos(outer)) * inverse
    for k in range(1, order):
        below, value = value, inverse * (2.0 * k + 1.0) * value - below
    result = v.select(v.equal(size, INFINITY), 0.0, v.select(size < cut, near, value))
    return result * v.copysign(1.0, x) if order % 2 else result
