"""Four chained problems of any size: the objective and every constraint look at a few neighbours only.

From L. Lukšan and J. Vlček, "Sparse and partially separable test problems for unconstrained and equality constrained
optimization", Report 767, Institute of Computer Science, Academy of Sciences of the Czech Republic, 1999: problems 5.1
to 5.4. Each is two functions over slices of one vector; derivatives are made once per pattern, whatever the size.

    python -m hybrid.examples.chained [SIZE]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import hybrid as hy

Vector = NDArray[np.float64]


def rosenbrock(x: Any) -> Any:
    """Chained Rosenbrock function (5.1)."""
    return np.sum(100 * (x[:-1] ** 2 - x[1:]) ** 2 + (x[:-1] - 1) ** 2)


def trigonometric_exponential(x: Any) -> Any:
    """Trigonometric-exponential constraints (5.1)."""
    a, b, c = x[:-2], x[1:-1], x[2:]
    return 3 * b**3 + 2 * c - 5 + np.sin(b - c) * np.sin(b + c) + 4 * b - a * np.exp(a - b) - 3


def quadruples(x: Any) -> tuple[Any, Any, Any, Any]:
    """x₁ x₂ x₃ x₄, x₃ x₄ x₅ x₆, …: four neighbours at every second place."""
    return x[:-3:2], x[1:-2:2], x[2:-1:2], x[3::2]


def wood(x: Any) -> Any:
    """Chained Wood function (5.2); an even number of variables."""
    a, b, c, d = quadruples(x)
    terms = 100 * (a**2 - b) ** 2 + (a - 1) ** 2 + 90 * (c**2 - d) ** 2 + (c - 1) ** 2
    return np.sum(terms + 10 * (b + d - 2) ** 2 + (b - d) ** 2 / 10)


def broyden_banded(x: Any) -> Any:
    """Broyden banded constraints (5.2): each has up to eight variables."""
    terms = np.concatenate([np.zeros(5), x * (1 + x)])
    middle = x[5:-2]
    count = middle.shape[0]
    return (2 + 5 * middle**2) * middle + 1 + sum(terms[k : k + count] for k in range(7))


def powell(x: Any) -> Any:
    """Chained Powell singular function (5.3); an even number of variables."""
    a, b, c, d = quadruples(x)
    return np.sum((a + 10 * b) ** 2 + 5 * (c - d) ** 2 + (b - 2 * c) ** 4 + 10 * (a - 10 * d) ** 4)


def two_ends(x: Any) -> Any:
    """Simplified trigonometric-exponential constraints (5.3), at both ends of the chain."""
    first = 3 * x[0] ** 3 + 2 * x[1] - 5 + np.sin(x[0] - x[1]) * np.sin(x[0] + x[1])
    last = 4 * x[-1] - x[-2] * np.exp(x[-2] - x[-1]) - 3
    return np.stack([first, last])


def cragg_levy(x: Any) -> Any:
    """Chained Cragg–Levy function (5.4); an even number of variables."""
    a, b, c, d = quadruples(x)
    return np.sum((np.exp(a) - b) ** 4 + 100 * (b - c) ** 6 + np.tan(c - d) ** 4 + a**8 + (d - 1) ** 2)


def tridiagonal(x: Any) -> Any:
    """Tridiagonal constraints (5.4)."""
    a, b, c = x[:-2], x[1:-1], x[2:]
    return 8 * b * (b**2 - a) - 2 * (1 - b) + 4 * (b - c**2)


@dataclass(frozen=True)
class Chain:
    """An objective, equations, and the start, which repeats."""

    objective: Callable[[Any], Any]
    equations: Callable[[Any], Any]
    start: tuple[float, ...]

    def problem(self, size: int, **options: Any) -> hy.Problem:
        return hy.Problem({"x": (size,)}, self.objective, [(self.equations, 0, 0)], **options)

    def begin(self, size: int) -> Vector:
        return np.resize(np.array(self.start), size)


CHAINS = {
    "5.1 Rosenbrock, trigonometric-exponential": Chain(rosenbrock, trigonometric_exponential, (-1.2, 1.0)),
    "5.2 Wood, Broyden banded": Chain(wood, broyden_banded, (-2.0, 1.0)),
    "5.3 Powell singular, at both ends": Chain(powell, two_ends, (3.0, -1.0, 0.0, 1.0)),
    "5.4 Cragg-Levy, tridiagonal": Chain(cragg_levy, tridiagonal, (1.0, 2.0, 2.0, 2.0)),
}


def main(size: int = 100) -> None:
    for name, chain in CHAINS.items():
        begin = time.perf_counter()
        problem = chain.problem(size)
        point = chain.begin(size)
        calls = problem.callbacks()
        calls.gradient(point), calls.hessian(point, np.ones(len(problem.constraint_limits[0])), 1.0)
        seconds = time.perf_counter() - begin
        checked = all(certificate.passed for certificate in problem.certificates())
        print(f"{name}: {'verified' if checked else 'wrong'}, first derivatives after {seconds:.3f} s")
        print(f"  Hessian {problem.hessian_pattern}")
        try:
            result = problem.solve(point)
        except hy.UnsupportedError as error:
            print(f"  not solved: {error}")
        else:
            print(f"  {result.objective:.8g} after {result.iterations} iterations, {result.seconds:.2f} s")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
