"""From a graph to the first value of its gradient: `python tests/bench/bench_first_value.py [1000 10000 …] [--peers]`.

Random graphs of + − × ÷ sin exp sqrt over 50 variables, the same for everyone: what is timed starts with the graph in
each system's own form and ends with the gradient at one point. Processor time of one process, compilers run by it
included. Nothing comes from a cache. Then the time per call, at one point and in a batch of 64.

The peers at their best: CasADi's interpreter, and its C code compiled by gcc -O0 (the quickest to be ready); heyoka;
JAX. A peer is left out above the length where it needs more than two minutes.
"""

from __future__ import annotations

import ctypes
import os
import random
import resource
import subprocess
import sys
import tempfile
import timeit
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

os.environ["HYBRID_CACHE"] = "off"
import hybrid as hy

VARIABLES = 50
LONGEST = {"casadi": 1_000_000, "casadi gcc -O0": 100_000, "heyoka": 10_000, "jax": 1_000}
Step = tuple[str, int, int]


def steps(length: int) -> list[Step]:
    """A recipe: each step reads one or two of the last 2,000 values. What is read is kept in range."""
    source = random.Random(1)
    made = []
    for number in range(VARIABLES, VARIABLES + length):
        name = source.choice(["add", "sub", "mul", "div", "sin", "exp", "sqrt"])
        made.append((name, *(source.randrange(max(0, number - 2000), number) for _ in range(2))))
    return made


def build(recipe: list[Step], variables: list[Any], f: Any) -> Any:
    """The recipe in the arithmetic of one system: `f` holds its sin, exp and sqrt."""
    values = list(variables)
    for name, a, b in recipe:
        x, y = values[a], values[b]
        if name == "add":
            value = 0.5 * x + y
        elif name == "sub":
            value = x - 0.5 * y
        elif name == "mul":
            value = x * y / (1.0 + x * x)
        elif name == "div":
            value = x / (1.5 + y * y)
        elif name == "sin":
            value = f.sin(x)
        elif name == "exp":
            value = f.exp(-x * x)
        else:
            value = f.sqrt(1.0 + x * x)
        values.append(value)
    total = values[-1]
    for value in values[-100:-1]:
        total = total + value
    return total


def seconds() -> float:
    """Processor time of this process and of the compilers it ran."""
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


POINT = np.full(VARIABLES, 0.7)
BATCH = np.random.default_rng(0).uniform(0.5, 1, (64, VARIABLES))
Prepared = tuple[Callable[[], Callable[[Any], Any]], bool]  # makes the gradient; whether it takes a batch


def ours(recipe: list[Step], verify: bool = False, **options: Any) -> Prepared:
    @hy.function(x=(VARIABLES,))
    def f(x):
        return build(recipe, [x[i] for i in range(VARIABLES)], np)

    return lambda: hy.compile(f.gradient(), verify=verify, **options), True


def casadi_interpreter(recipe: list[Step]) -> Prepared:
    import casadi

    x = casadi.SX.sym("x", VARIABLES)
    f = build(recipe, casadi.vertsplit(x), casadi)
    return lambda: casadi.Function("g", [x], [casadi.gradient(f, x)]), False


def casadi_gcc(recipe: list[Step]) -> Prepared:
    import casadi

    x = casadi.SX.sym("x", VARIABLES)
    f = build(recipe, casadi.vertsplit(x), casadi)

    def make() -> Callable[[Any], Any]:
        folder = Path(tempfile.mkdtemp())
        function = casadi.Function("g", [x], [casadi.gradient(f, x)])
        here = os.getcwd()
        os.chdir(folder)
        function.generate("g.c")
        os.chdir(here)
        subprocess.run(["gcc", "-O0", "-shared", "-fPIC", "-o", folder / "g.so", folder / "g.c"], check=True)
        native = ctypes.CDLL(str(folder / "g.so")).g
        result = np.empty(VARIABLES)
        pointers = [ctypes.c_void_p * 1, ctypes.c_void_p * 1]
        work = np.empty(function.sz_w() + 1)

        def call(point: Any) -> Any:
            native(
                pointers[0](point.ctypes.data),
                pointers[1](result.ctypes.data),
                None,
                ctypes.c_void_p(work.ctypes.data),
                0,
            )
            return result

        return call

    return make, False


def heyoka_functions(recipe: list[Step]) -> Prepared:
    import heyoka

    x = [heyoka.expression(f"x{i}") for i in range(VARIABLES)]
    f = build(recipe, x, heyoka)

    def make() -> Callable[[Any], Any]:
        tensors = heyoka.diff_tensors([f], x)
        return heyoka.cfunc(tensors.gradient, x)

    return make, False


def jax_jit(recipe: list[Step]) -> Prepared:
    import jax

    jax.config.update("jax_enable_x64", True)
    gradient = jax.grad(lambda x: build(recipe, [x[i] for i in range(VARIABLES)], jax.numpy))
    return lambda: jax.jit(gradient), False


PEERS = {
    "casadi": casadi_interpreter,
    "casadi gcc -O0": casadi_gcc,
    "heyoka": heyoka_functions,
    "jax": jax_jit,
}


def measure(label: str, length: int, prepared: Prepared, note: Callable[[Any], str] = lambda call: "") -> Any:
    make, batched = prepared
    start = seconds()
    call = make()
    value = np.array(call(POINT), dtype=float).ravel()
    ready = seconds() - start
    single = min(timeit.repeat(lambda: call(POINT), number=1, repeat=5))
    line = f"{label:16} {length:>8} operations: first value {ready:8.3f} s, a call {1e6 * single:10.1f} µs"
    if batched:
        call(BATCH)
        many = min(timeit.repeat(lambda: call(BATCH), number=1, repeat=5)) / len(BATCH)
        line += f", of 64 points {1e6 * many:9.2f} µs each"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"{line}, {peak:.2f} GB at most so far{note(call)}", flush=True)
    return value


def stages(kernel: hy.Kernel) -> str:
    parts = ", ".join(f"{stage} {took:.2f}" for stage, took in kernel.seconds.items())
    return f" [{kernel.operations} operations, {kernel.compiled.tier}; {parts}]"


def main() -> None:
    numbers = [int(word) for word in sys.argv[1:] if word.isdigit()] or [1_000, 10_000, 100_000]
    peers = "--peers" in sys.argv
    ours(steps(10))[0]()(POINT)  # LLVM, the driver and NumPy's interface are loaded once
    for length in numbers:
        recipe = steps(length)
        value = measure("hybrid", length, ours(recipe), stages)
        measure("hybrid, checked", length, ours(recipe, verify=True), stages)
        measure("hybrid, quick", length, ours(recipe, tier="quick"), stages)
        for label, prepare in PEERS.items() if peers else ():
            if length > LONGEST[label]:
                continue
            try:
                found = measure(label, length, prepare(recipe))
            except ImportError:
                print(f"{label:16} is not installed")
                continue
            np.testing.assert_allclose(found, value, rtol=1e-6, atol=1e-9, err_msg=label)


if __name__ == "__main__":
    sys.setrecursionlimit(100_000)
    main()
