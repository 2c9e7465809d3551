"""Rolled functions: from function to derivatives, and evaluation, against NumPy by hand, JAX and CasADi.

PYTHONPATH=. taskset -c 1 python tests/bench/bench_rolled.py [n …]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import hybrid as hy

LARGEST_FOR_CASADI = 100_000  # beyond, deriving takes minutes


def rosenbrock(x: Any) -> Any:
    return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def by_hand(x: Any) -> Any:
    """Gradient and lower triangle of the Hessian, as diagonal and off-diagonal."""
    a, b = x[:-1], x[1:]
    r = b - a * a
    gradient = np.zeros_like(x)
    gradient[:-1] = -400 * a * r - 2 * (1 - a)
    gradient[1:] += 200 * r
    diagonal = np.zeros_like(x)
    diagonal[:-1] = 1200 * a * a - 400 * b + 2
    diagonal[1:] += 200
    return gradient, diagonal, -400 * a


def by_jax(n: int) -> Callable[[Any], Any] | None:
    """Gradient and Hessian by three products with a hand-made colouring."""
    try:
        import jax
        import jax.numpy as jnp
    except ImportError:
        return None
    jax.config.update("jax_enable_x64", True)

    def f(x: Any) -> Any:
        return jnp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)

    seeds = [jnp.array((np.arange(n) % 3 == colour).astype(float)) for colour in range(3)]
    slope = jax.grad(f)
    both = jax.jit(lambda x: (slope(x), *[jax.jvp(slope, (x,), (seed,))[1] for seed in seeds]))
    return lambda x: jax.block_until_ready(both(x))


def by_casadi(n: int) -> Callable[[Any], Any] | None:
    """Gradient and lower triangle of the sparse Hessian by CasADi's virtual machine, on fixed arrays as solvers do."""
    try:
        import casadi as ca
    except ImportError:
        return None
    x = ca.SX.sym("x", n)
    f = ca.sum1(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)
    hessian, gradient = ca.hessian(f, x)
    both = ca.Function("f", [x], [gradient, ca.tril(hessian)])
    point, out = np.zeros(n), [np.zeros(both.nnz_out(i)) for i in range(2)]
    buffer, trigger = both.buffer()
    buffer.set_arg(0, memoryview(point))
    for place, array in enumerate(out):
        buffer.set_res(place, memoryview(array))

    def run(at: Any) -> Any:
        point[:] = at
        trigger()
        return buffer, out

    return run


def best(calls: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """The least time of each, taken in turns, in seconds."""
    least = dict.fromkeys(calls, float("inf"))
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            least[name] = min(least[name], time.perf_counter() - start)
    return least


def ready(n: int) -> tuple[Any, float]:
    start = time.perf_counter()
    f = hy.function(rolled=True, x=(n,))(rosenbrock)
    kernel = hy.compile(f.gradient(), f.hessian(sparse=True, triangle="lower"))
    kernel(np.zeros(n))
    return kernel, time.perf_counter() - start


def main(sizes: list[int]) -> None:
    _, first = ready(1_000)
    print(f"first function of the process, n = 1,000: {first:.3f} s")
    for n in sizes:
        kernel, seconds = ready(n)
        x = np.random.default_rng(0).normal(size=n)
        out = tuple(np.empty(formula.shape) for formula in kernel.formulas)
        calls = {"rolled": lambda k=kernel, x=x, out=out: k(x, out=out, threads=1), "NumPy": lambda x=x: by_hand(x)}
        peer = by_jax(n)
        if peer is not None:
            calls["JAX"] = lambda peer=peer, x=x: peer(x)
            calls["JAX"]()
        if n <= LARGEST_FOR_CASADI and (peer := by_casadi(n)) is not None:
            calls["CasADi"] = lambda peer=peer, x=x: peer(x)
        times = best(calls, max(10, 20_000_000 // n // 10))
        ours = times.pop("rolled")
        ratios = ", ".join(f"{ours / other:.2f}× {name} ({other * 1e3:.3f} ms)" for name, other in times.items())
        print(f"n = {n:>9,}: function to first derivatives {seconds:.3f} s; both {ours * 1e3:.3f} ms = {ratios}")


if __name__ == "__main__":
    main([int(float(text)) for text in sys.argv[1:]] or [1_000, 10_000, 100_000, 1_000_000])
