"""Time from a program to its first value, and per call: `python tests/bench/bench_codegen_compile.py [10000 100000 …]`.

Random graphs of + − × ÷ sin exp sqrt over 50 arguments. Nothing comes from the object cache unless said.
"""

from __future__ import annotations

import math
import os
import random
import sys
import tempfile
import time
import timeit

import numpy as np

from codegen import Array, Program, compile, make_function, make_ufunc


def random_graph(length: int) -> Program:
    source = random.Random(1)
    body: list[tuple] = [("load", 0, element) for element in range(50)]
    while len(body) < length:
        name = source.choice(["add", "sub", "mul", "div", "sin", "exp", "sqrt"])
        count = 2 if name in ("add", "sub", "mul", "div") else 1
        body.append((name, *[source.randrange(max(0, len(body) - 2000), len(body)) for _ in range(count)]))
    return Program("graph", (Array("x", (50,)),), (Array("g", (50,)),), body, (tuple(range(length - 50, length)),))


def first_value(program: Program) -> tuple[float, dict[str, float], np.ufunc]:
    start = time.perf_counter()
    compiled = compile(program)
    ufunc = make_ufunc(compiled)
    ufunc(*[np.full(argument.shape, 0.7) for argument in program.arguments])
    return time.perf_counter() - start, compiled.seconds, ufunc


def report(label: str, seconds: float, phases: dict[str, float]) -> None:
    print(f"{label}: {1e3 * seconds:.1f} ms (" + ", ".join(f"{k} {1e3 * s:.1f}" for k, s in phases.items()) + ")")


def small() -> Program:
    """Three numbers in, a gradient out."""
    code = [("load", 0, 0), ("load", 1, 0), ("load", 2, 0), ("mul", 0, 1), ("exp", 3), ("mul", 4, 2)]
    code += [("mul", 5, 1), ("mul", 5, 0)]
    return Program("small", (Array("x"), Array("y"), Array("z")), (Array("g", (3,)),), code, ((6, 7, 4),))


def calls() -> None:
    compiled = compile(small())
    ufunc, function = make_ufunc(compiled), make_function(compiled)
    x, out = np.array(0.3), np.empty(3)
    cases = {
        "builtin, floats to tuple": "function(0.3, 0.4, 0.5)",
        "math.sin of a float": "sin(0.3)",
        "gufunc, arrays, out": "ufunc(x, x, x, out)",
        "np.multiply, arrays, out": "multiply(x, x, y)",
    }
    names = {"function": function, "ufunc": ufunc, "x": x, "out": out, "y": np.empty(())}
    names |= {"sin": math.sin, "multiply": np.multiply}
    for label, code in cases.items():
        print(f"  {label}: {1e4 * min(timeit.repeat(code, number=100_000, repeat=7, globals=names)):.0f} ns")


def main() -> None:
    os.environ["HYBRID_CACHE"] = "off"
    report("first kernel of the process, 8 instructions", *first_value(small())[:2])
    report("the same again", *min((first_value(small())[:2] for _ in range(5)), key=lambda pair: pair[0]))
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HYBRID_CACHE"] = folder
        first_value(small())
        report("the same from the cache", *min((first_value(small())[:2] for _ in range(5)), key=lambda pair: pair[0]))
    os.environ["HYBRID_CACHE"] = "off"
    for length in map(int, sys.argv[1:] or ("1000", "10000", "100000")):
        program = random_graph(length)
        seconds, phases, ufunc = first_value(program)
        report(f"random graph of {length}", seconds, phases)
        x = np.random.default_rng(0).uniform(0.5, 1, (64, 50))
        ufunc(x)
        print(f"  {1e6 * min(timeit.repeat(lambda u=ufunc, x=x: u(x), number=1, repeat=5)) / 64:.2f} µs per point")
    calls()


if __name__ == "__main__":
    main()
