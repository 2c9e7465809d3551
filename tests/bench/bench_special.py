"""Special functions natively beside SciPy's ufuncs: nanoseconds per element on one core, minima of interleaved rounds.

Run with `python tests/bench/bench_special.py`; needs SciPy.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import scipy.special as scipy

import hybrid as hy

SIZE, ROUNDS = 20_000, 25
CASES: dict[str, tuple[Callable[..., Any], Callable[..., Any], tuple[float, float]]] = {
    "expit": (hy.expit, scipy.expit, (-20, 20)),
    "logit": (hy.logit, scipy.logit, (0, 1)),
    "softplus": (hy.softplus, lambda x: np.logaddexp(x, 0.0), (-20, 20)),
    "ndtr": (hy.ndtr, scipy.ndtr, (-8, 8)),
    "log_ndtr": (hy.log_ndtr, scipy.log_ndtr, (-30, 8)),
    "erfcx": (hy.erfcx, scipy.erfcx, (-5, 50)),
    "erfinv": (hy.erfinv, scipy.erfinv, (-1, 1)),
    "lambertw": (hy.lambertw, lambda x: scipy.lambertw(x).real, (-0.3, 20)),
    "beta": (lambda x: hy.beta(x, 2.5), lambda x: scipy.beta(x, 2.5), (0.1, 50)),
    "betaln": (lambda x: hy.betaln(x, 2.5), lambda x: scipy.betaln(x, 2.5), (0.1, 50)),
    "j0": (hy.j0, scipy.j0, (0, 50)),
    "j1": (hy.j1, scipy.j1, (0, 50)),
    "jv(5)": (lambda x: hy.jv(5, x), lambda x: scipy.jv(5, x), (0, 50)),
    "i0": (hy.i0, scipy.i0, (0, 50)),
    "sinc": (hy.sinc, lambda x: np.sinc(x / np.pi), (-20, 20)),
}


def seconds(run: Callable[[], Any]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def main() -> None:
    rng = np.random.default_rng(0)
    print(f"{'function':10s} {'kernel':>8s} {'SciPy':>8s} {'ratio':>6s}   ns per element, {SIZE} elements, one thread")
    for name, (ours, theirs, (low, high)) in CASES.items():
        points = rng.uniform(low, high, SIZE)
        kernel = hy.compile(hy.function(x=())(lambda x, f=ours: f(x)), verify=False)
        kernel(points, threads=1)
        native = partial(kernel, points, threads=1)
        pairs = [(seconds(native), seconds(partial(theirs, points))) for _ in range(ROUNDS)]
        fast, slow = (min(column) / SIZE * 1e9 for column in zip(*pairs, strict=True))
        print(f"{name:10s} {fast:8.2f} {slow:8.2f} {slow / fast:6.1f}")


if __name__ == "__main__":
    main()
