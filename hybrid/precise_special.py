"""What the rows of special functions mean in multiple precision, for any context of mpmath."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def special_meanings(mp: Any) -> dict[str, Callable[..., Any]]:
    """The table by the names of the rows; complex results and poles are the caller's to turn into NaN."""
    zero, one = mp.mpf(0), mp.mpf(1)

    def normal_tail(x: Any) -> Any:
        return mp.erfc(x / mp.sqrt(2)) / 2

    def spherical_jn(n: Any, x: Any) -> Any:
        if x == 0:
            return one if n == 0 else zero
        size = abs(x)
        return mp.sqrt(mp.pi / (2 * size)) * mp.besselj(n + mp.mpf(1) / 2, size) * (mp.sign(x) if n % 2 else 1)

    def erfc_ratio(n: int, x: Any) -> Any:
        with mp.extraprec(40 + 4 * (n + 1) * max(0, int(mp.mag(x)) if x else 0)):  # each step may cancel
            tail = mp.erfc(x)
            found = 2 * mp.exp(-x * x) / (mp.sqrt(mp.pi) * tail) if tail else mp.inf
            for k in range(1, n + 1):
                found = ((found if k == 1 else 2 / found) - 2 * x) / k
        return +found

    def xlogy(x: Any, y: Any) -> Any:
        if x == 0:
            return zero if not mp.isnan(y) else y
        return x * mp.log(y)

    def logit(x: Any) -> Any:
        if 0 < x < 1:
            return mp.log(x / (1 - x))
        return mp.inf if x == 1 else -mp.inf if x == 0 else mp.nan

    def inside(x: Any, function: Callable[[Any], Any]) -> Any:
        """A function on [−1, 1]."""
        if abs(x) == 1:
            return mp.inf * x
        return function(x) if abs(x) < 1 else mp.nan

    return {
        "sech": mp.sech,
        "over_hypot": lambda x, y: x / mp.hypot(x, y) if x else zero,
        "expit": lambda x: 1 / (1 + mp.exp(-x)),
        "expit_slope": lambda x: mp.sech(x / 2) ** 2 / 4,
        "softplus": lambda x: mp.log1p(mp.exp(x)) if x < 0 else x + mp.log1p(mp.exp(-x)),
        "logit": logit,
        "logaddexp": lambda x, y: max(x, y) + (mp.log1p(mp.exp(-abs(x - y))) if x != y else mp.log(2)),
        "xlogy": xlogy,
        "ndtr": lambda x: normal_tail(-x),
        "log_ndtr": lambda x: mp.log(normal_tail(-x)) if x < 0 else mp.log1p(-normal_tail(x)),
        "erfcx": lambda x: mp.exp(x * x) * mp.erfc(x),
        "erfinv": lambda x: inside(x, mp.erfinv),
        "sinc": lambda x: one if x == 0 else zero if mp.isinf(x) else mp.sin(x) / x,
        "lambertw": mp.lambertw,
        "beta": mp.beta,
        "betaln": lambda x, y: mp.loggamma(x) + mp.loggamma(y) - mp.loggamma(x + y),
        "erfc_ratio": lambda n, x: erfc_ratio(int(n), x),
        "jv": lambda n, x: mp.besselj(int(n), x),
        "iv": lambda n, x: mp.besseli(int(n), x),
        "spherical_jn": lambda n, x: spherical_jn(int(n), x),
    }
