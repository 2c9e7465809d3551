"""Speed of generated kernels beside `np.copyto` of the same outputs: `python tests/bench/bench_codegen.py`.

Black-Scholes price with its 5 first and 25 second derivatives, written by hand. Figures are ns per point, the least of
interleaved runs on one core.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable

import numpy as np

from codegen import Array, Program, compile, make_ufunc, run


class Value:
    """A number in a program being written; operators append instructions, equal ones once."""

    def __init__(self, body: list[tuple], number: int) -> None:
        self.body, self.number = body, number

    def make(self, name: str, *operands: Value | float) -> Value:
        instruction = (name, *[lift(self.body, operand).number for operand in operands])
        return append(self.body, instruction)

    def __add__(self, other: Value | float) -> Value:
        return self.make("add", self, other)

    def __sub__(self, other: Value | float) -> Value:
        return self.make("sub", self, other)

    def __mul__(self, other: Value | float) -> Value:
        return self.make("mul", self, other)

    def __truediv__(self, other: Value | float) -> Value:
        return self.make("div", self, other)

    def __neg__(self) -> Value:
        return self.make("neg", self)

    def __rmul__(self, other: float) -> Value:
        return lift(self.body, other) * self

    def __rtruediv__(self, other: float) -> Value:
        return lift(self.body, other) / self


def append(body: list[tuple], instruction: tuple) -> Value:
    if instruction not in body:
        body.append(instruction)
    return Value(body, body.index(instruction))


def lift(body: list[tuple], operand: Value | float) -> Value:
    return operand if isinstance(operand, Value) else append(body, ("const", float(operand)))


def black_scholes() -> Program:
    """Price of a European call over (S, K, T, r, sigma), gradient and Hessian; textbook formulas."""
    body: list[tuple] = []
    S, K, T, r, sigma = (append(body, ("load", k, 0)) for k in range(5))
    root = T.make("sqrt", T)
    v = sigma * root
    drift = r + 0.5 * sigma * sigma
    discount = T.make("exp", -r * T)
    d1 = (S.make("log", S / K) + drift * T) / v
    d2 = d1 - v
    N1, N2 = (0.5 * d.make("erfc", d * -math.sqrt(0.5)) for d in (d1, d2))
    n = d1.make("exp", -0.5 * d1 * d1) * (1 / math.sqrt(2 * math.pi))
    Sn, DN, per_v, half = S * n, discount * N2, 1.0 / v, 0.5 / root
    KDN, SnK, Snr = K * DN, Sn / K, Sn * root
    # Partials of d1 (a) and of d2 (b).
    a_S, a_K, a_r, a_sigma = per_v / S, -(per_v / K), root / sigma, -d2 / sigma
    a_T = drift * per_v - d1 * 0.5 / T
    b_sigma, b_T = a_sigma - root, a_T - sigma * half
    vega_slope = d1 * Snr
    KK, KT, Kr, Ks = -SnK * a_K, r * DN - SnK * b_T, T * DN - SnK * a_r, -SnK * b_sigma
    TT = r * (Sn * b_T - r * KDN) - sigma * half * Sn * (d1 * a_T + 0.5 / T)
    Tr, Ts = KDN + T * (Sn * b_T - r * KDN), Sn * half - vega_slope * a_T
    rr, rs, ss = T * (Sn * a_r - T * KDN), T * Sn * b_sigma, -vega_slope * a_sigma
    SS, SK, ST, Sr, Ss = (n * a for a in (a_S, a_K, a_T, a_r, a_sigma))
    value = S * N1 - KDN
    gradient = [N1, -DN, Sn * sigma * half + r * KDN, T * KDN, Snr]
    hessian = [SS, SK, ST, Sr, Ss, SK, KK, KT, Kr, Ks, ST, KT, TT, Tr, Ts, Sr, Kr, Tr, rr, rs, Ss, Ks, Ts, rs, ss]
    arguments = tuple(Array(name) for name in ("S", "K", "T", "r", "sigma"))
    results = (Array("value"), Array("gradient", (5,)), Array("hessian", (5, 5)))
    outputs = tuple(tuple(x.number for x in xs) for xs in ([value], gradient, hessian))
    return Program("black_scholes", arguments, results, body, outputs)


def least(actions: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Least seconds of each action, interleaved."""
    best = dict.fromkeys(actions, math.inf)
    for _ in range(repeats):
        for name, action in actions.items():
            start = time.perf_counter()
            action()
            best[name] = min(best[name], time.perf_counter() - start)
    return best


def contracts(n: int) -> list[np.ndarray]:
    random = np.random.default_rng(1)
    lows, highs = (80, 80, 0.1, 0.0, 0.1), (120, 120, 2.0, 0.08, 0.6)
    return [random.uniform(low, high, n) for low, high in zip(lows, highs, strict=True)]


def measure(kernel: np.ufunc, n: int) -> dict[str, float]:
    """Least seconds for n points into arrays of structures, structures of arrays, and of copying as many numbers."""
    inputs = contracts(n)
    out = (np.empty(n), np.empty((n, 5)), np.empty((n, 5, 5)))
    soa = (np.empty(n), np.empty((5, n)).T, np.empty((5, 5, n)).transpose(2, 0, 1))
    copies = tuple(np.ones_like(array) for array in out)
    actions = {
        "kernel": lambda: kernel(*inputs, out=out),
        "into structures of arrays": lambda: kernel(*inputs, out=soa),
        "np.copyto": lambda: [np.copyto(to, copy) for to, copy in zip(out, copies, strict=True)],
    }
    return least(actions, max(5, min(200, 3_000_000 // n)))


def pin(processors: set[int]) -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, processors)


def main() -> None:
    processors = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else {0}
    pin({max(processors)})
    program = black_scholes()
    start = time.perf_counter()
    compiled = compile(program)
    kernel = make_ufunc(compiled)
    seconds = time.perf_counter() - start
    phases = ", ".join(f"{phase} {1e3 * s:.1f}" for phase, s in compiled.seconds.items())
    print(f"{program.operations} operations, width {compiled.target.width}, {1e3 * seconds:.0f} ms: {phases}")
    for n in (1, 100, 1000, 10_000, 100_000, 1_000_000):
        best = measure(kernel, n)
        times = ", ".join(f"{name} {1e9 * s / n:.1f}" for name, s in best.items())
        print(f"{n:>8} points: {times} ns per point; {best['kernel'] / best['np.copyto']:.2f} of copyto")
    pin(processors)
    inputs, out = contracts(n), (np.empty(n), np.empty((n, 5)), np.empty((n, 5, 5)))
    best = least({f"{t} threads": lambda t=t: run(kernel, inputs, out, threads=t) for t in (1, 2)}, 10)
    print(", ".join(f"{name} {1e9 * s / n:.1f} ns per point" for name, s in best.items()))


if __name__ == "__main__":
    main()
