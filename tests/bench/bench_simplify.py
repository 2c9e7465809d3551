"""How long simplification takes: `python tests/bench/bench_simplify.py [--sample N] [--repeat K]`.

One line per case: nodes of the graph that is simplified, operations before and after, and processor time per node, the
least of K runs, each on a graph of its own. Cases: N expressions of the corpus, value and gradient together; what
`hy.compile` does with a small function, Black–Scholes, the Panda arm and its dynamics, the choice of methods included;
and random graphs of ever more nodes, whose time per node must not grow.
"""

from __future__ import annotations

import argparse
import gc
import os
import random
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "examples"), str(ROOT / "tests" / "support"), str(ROOT / "tests" / "bench")]
os.environ["HYBRID_CACHE"] = "off"

import black_scholes  # noqa: E402 - the paths come first
import inverse_dynamics  # noqa: E402
import panda  # noqa: E402
from bench_first_value import VARIABLES, build, steps  # noqa: E402
from corpus import read  # noqa: E402

import hybrid as hy  # noqa: E402
from hybrid.function import Function  # noqa: E402
from hybrid.parse import define  # noqa: E402
from hybrid.simplify import REAL, operations, simplify  # noqa: E402
from hybrid.together import merge, simplified_together  # noqa: E402

T = TypeVar("T")
Figures = tuple[float, int, int, int]  # seconds; nodes; operations before and after


def timed(action: Callable[[], T]) -> tuple[float, T]:
    gc.collect()
    gc.disable()
    start = time.process_time()
    result = action()
    seconds = time.process_time() - start
    gc.enable()
    return seconds, result


def corpus(sample: int) -> Figures:
    total, nodes, before, after = 0.0, 0, 0, 0
    for line in random.Random(1).sample(read(), sample):
        f = Function.from_definition(define(line.expression, dict.fromkeys(line.variables, ()), "f"))
        graph, roots = f.graph, [*f.nodes, *f.gradient().nodes]
        nodes += len(graph.reach(roots))
        before += operations(graph, roots)
        seconds, new = timed(partial(simplify, graph, roots, REAL))
        total += seconds
        after += operations(graph, new)
    return total, nodes, before, after


def compiled(make: Callable[[], tuple[hy.Function, ...]]) -> Figures:
    functions = make()
    graph, _, roots, _ = merge(functions)
    nodes, before = len(graph.reach(roots)), operations(graph, roots)

    def run() -> int:
        _, _, (graph, _, roots) = simplified_together(functions, "full", "real")
        return operations(graph, roots)

    seconds, after = timed(run)
    return seconds, nodes, before, after


def small() -> tuple[hy.Function, ...]:
    @hy.function(x=(), y=())
    def f(x, y):
        return np.sin(x) * np.exp(-y * y) + x / (1 + y * y)

    return (f.gradient(),)


def random_graph(length: int) -> Callable[[], tuple[hy.Function, ...]]:
    recipe = steps(length)

    def make() -> tuple[hy.Function, ...]:
        @hy.function(x=(VARIABLES,))
        def f(x):
            return build(recipe, [x[i] for i in range(VARIABLES)], np)

        return (f.gradient(),)

    return make


def finance() -> tuple[hy.Function, ...]:
    call = black_scholes.call
    return call, call.gradient(), call.hessian()


def kinematics() -> tuple[hy.Function, ...]:
    return panda.pose, panda.pose.jacobian(wrt=["q"]), panda.miss.hessian(wrt=["q"])


def dynamics() -> tuple[hy.Function, ...]:
    return inverse_dynamics.tau, inverse_dynamics.tau.jacobian(wrt=["q", "qd"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sample", type=int, default=100)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--largest", type=int, default=100_000, help="operations of the largest random graph")
    options = parser.parse_args()
    cases: dict[str, Callable[[], Figures]] = {
        f"corpus, {options.sample} expressions": lambda: corpus(options.sample),
        "small function, gradient": lambda: compiled(small),
        "Black–Scholes, all derivatives": lambda: compiled(finance),
        "Panda, pose and derivatives": lambda: compiled(kinematics),
        "Panda, dynamics and derivatives": lambda: compiled(dynamics),
    }
    for length in (1_000, 10_000, 100_000, 1_000_000):
        if length <= options.largest:
            cases[f"random, {length:,} operations"] = lambda length=length: compiled(random_graph(length))  # type: ignore[misc]
    compiled(small)  # loads what is loaded once
    print(f"{'':<34}{'nodes':>9}{'operations':>12}{'':>3}{'simplified':>10}{'ms':>10}{'µs/node':>9}")
    for name, case in cases.items():
        found = [case() for _ in range(options.repeat if "100,000" not in name else 1)]
        seconds, nodes, before, after = min(found)
        print(f"{name:<34}{nodes:>9,}{before:>12,} → {after:>10,}{1e3 * seconds:>10.1f}{1e6 * seconds / nodes:>9.1f}")


if __name__ == "__main__":
    main()
