"""A Gaussian mixture fitted by its likelihood: the objective of ADBench, its gradient over all parameters.

The logarithm of the likelihood of points x under K Gaussians with inverse covariance factors Q, and a Wishart prior on
them, as in F. Srajer, Z. Kukelova and A. Fitzgibbon, "A benchmark of selected algorithmic differentiation tools on some
problems in computer vision and machine learning", Optimization Methods and Software 33 (2018), section 3.1. Q is lower
triangular, with exp(q) on its diagonal.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

import hybrid as hy


def log_sum_exp(values: Any, axis: int) -> Any:
    largest = np.max(values, axis=axis, keepdims=True)
    return np.squeeze(largest, axis) + np.log(np.sum(np.exp(values - largest), axis=axis))


def likelihood(x: NDArray[np.float64], gamma: float = 1.0, freedom: int = 0) -> Callable[[Any, Any, Any], Any]:
    """The objective for points (N, d), as a function of alphas (K,), means (K, d) and factors (K, d (d + 1)/2)."""
    count, d = x.shape
    # Where each entry of Q is in [0, exp of the diagonal, what is below it by columns].
    place = np.zeros((d, d), dtype=np.int64)
    place[np.diag_indices(d)] = 1 + np.arange(d)
    below = [(i, j) for j in range(d) for i in range(j + 1, d)]
    for k, (i, j) in enumerate(below):
        place[i, j] = 1 + d + k

    def objective(alphas: Any, means: Any, factors: Any) -> Any:
        components = np.shape(alphas)[0]
        diagonal = np.exp(factors[:, :d])
        entries = np.concatenate([np.zeros((components, 1)), diagonal, factors[:, d:]], axis=1)
        apart = x[:, None, :] - means[None, :, :]
        turned = np.einsum("kij,nkj->nki", entries[:, place], apart)
        weights = alphas + np.sum(factors[:, :d], axis=1)
        inner = log_sum_exp(weights - 0.5 * np.sum(turned**2, axis=2), 1)
        squares = np.sum(diagonal**2, axis=1) + np.sum(factors[:, d:] ** 2, axis=1)
        degrees = d + freedom + 1
        prior = np.sum(0.5 * gamma**2 * squares - freedom * np.sum(factors[:, :d], axis=1))
        constant = components * (
            degrees * d * (math.log(gamma) - 0.5 * math.log(2)) - sum(math.lgamma((degrees - j) / 2) for j in range(d))
            - 0.25 * d * (d - 1) * math.log(math.pi)
        )  # fmt: skip
        fixed = -count * d * 0.5 * math.log(2 * math.pi)
        return fixed + np.sum(inner) - count * log_sum_exp(alphas, 0) + prior - constant

    return objective


def data(count: int, d: int, components: int, seed: int = 0) -> tuple[NDArray[np.float64], list[NDArray[np.float64]]]:
    """Points around random centres, and parameters to start from."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(0, 3, (components, d))
    x = centres[rng.integers(components, size=count)] + rng.normal(0, 1, (count, d))
    factors = np.concatenate(
        [rng.normal(0, 0.1, (components, d)), rng.normal(0, 0.1, (components, d * (d - 1) // 2))], 1
    )
    return x, [rng.normal(0, 0.1, components), centres + rng.normal(0, 0.5, centres.shape), factors]


def main(count: int = 200, d: int = 3, components: int = 4) -> None:
    x, parameters = data(count, d, components)
    shapes = {name: np.shape(p) for name, p in zip(("alphas", "means", "factors"), parameters, strict=True)}
    begin = time.perf_counter()
    f = hy.function(**shapes)(likelihood(x))
    kernel = hy.compile(f, f.gradient(), tier="quick")
    value, _ = kernel(*parameters)
    print(f"log-likelihood {value:.6f}, gradient of {sum(map(np.size, parameters))} parameters")
    print(f"ready after {time.perf_counter() - begin:.3f} s; {str(kernel.certificate).splitlines()[0]}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
