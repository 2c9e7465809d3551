"""Printing as the graph grows: `python tests/bench/bench_latex.py [--rounds R] [--black-scholes]`.

Gradients and sparse Hessians of chains of n coupled terms, printed as a reader gets them (in part, the size noted),
as text, as MathML, and every entry with every part named. One line per case: nodes of the graph that is printed, least
processor time of the rounds, time per node, symbols written. A printer that is linear keeps the time per node. SymPy's
printer on the same function, without sharing, stands beside it where it ends within seconds.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import sympy as sp

import hybrid as hy
from hybrid.loading import examples, import_file

SIZES = (100, 1_000, 10_000)
SYMPY_LARGEST = 100


def chain(n: int) -> hy.Function:
    """Σ sin(x_i x_(i+1)) + x_i² exp(−x_(i+1)/2), a scalar of n + 1 variables whose Hessian is tridiagonal."""

    @hy.function(rolled=False, x=(n + 1,))
    def f(x: Any) -> Any:
        return np.sum(np.sin(x[:-1] * x[1:]) + x[:-1] ** 2 * np.exp(-x[1:] / 2))

    return f


def nested(depth: int) -> hy.Function:
    """x ← sin(x) + x y, `depth` times over: as a tree it has 2^depth leaves."""

    @hy.function(x=(), y=())
    def f(x: Any, y: Any) -> Any:
        for _ in range(depth):
            x = np.sin(x) + x * y
        return x

    return f


def least(run: Callable[[], str], rounds: int) -> tuple[float, int]:
    """The least processor time of a call, and the length of what it gives."""
    found = []
    text = ""
    for _ in range(rounds):
        gc.collect()
        start = time.process_time()
        text = run()
        found.append(time.process_time() - start)
    return min(found), len(text)


def show(case: str, nodes: int, seconds: float, symbols: int) -> None:
    print(
        f"{case:<42}{nodes:>10,} nodes {seconds:>9.3f} s {1e6 * seconds / nodes:>8.2f} µs/node {symbols:>12,} symbols"
    )


def measure(name: str, function: hy.Function, rounds: int) -> None:
    nodes = len(function.graph.reach(function.nodes))
    for how, run in {
        "latex": function.latex,
        "mathml": function.mathml,
        "text": function.text,
        "every entry": lambda: function.latex(form="entries", limit=None, where=True),
    }.items():
        show(f"{name}, {how}", nodes, *least(run, rounds))


def sympy_latex(n: int) -> str:
    x = sp.symbols(f"x0:{n + 1}")
    total = sp.Add(*(sp.sin(a * b) + a**2 * sp.exp(-b / 2) for a, b in pairwise(x)))
    return str(sp.latex(sp.Matrix([total.diff(v) for v in x])))


def black_scholes() -> None:
    """Symbols of the Hessian of examples/black_scholes.py: here, and as SymPy prints it, simplified (a minute)."""
    example = import_file(examples() / "black_scholes.py")
    symbols = [example.S, example.K, example.T, example.r, example.sigma]
    hessian = sp.hessian(example.call.sympy(), symbols)
    ours = example.call.hessian()
    print(f"as derived: {len(ours.latex()):,}, simplified: {len(ours.simplify().latex()):,} symbols")
    print(f"SymPy {sp.__version__}: {len(sp.latex(hessian)):,}", flush=True)
    print(f"SymPy, simplified: {len(sp.latex(sp.simplify(hessian))):,}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--black-scholes", action="store_true", help="only the symbols of its Hessian, beside SymPy")
    arguments = parser.parse_args()
    if arguments.black_scholes:
        black_scholes()
        return
    rounds = arguments.rounds
    for n in SIZES:
        f = chain(n)
        measure(f"gradient, n = {n:,}", f.gradient(), rounds)
        if n <= SYMPY_LARGEST:
            seconds, symbols = least(lambda n=n: sympy_latex(n), 1)
            print(f"{f'gradient, n = {n:,}, SymPy, differentiation too':<58}{seconds:>9.3f} s {symbols:>31,} symbols")
        measure(f"sparse Hessian, n = {n:,}", f.hessian(sparse=True), rounds)
    for depth in SIZES:
        measure(f"nested {depth:,} deep, gradient", nested(depth).gradient(), rounds)


if __name__ == "__main__":
    main()
