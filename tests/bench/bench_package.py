"""The stand-alone Python package beside the kernel it was made of: `python tests/bench/bench_package.py`.

One line per function and batch: ns per point of both, and how much slower the package is: least times of interleaved
calls with one thread on one core, the package for this very processor. `--rounds R`.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import tempfile
import time
from collections.abc import Callable

import numpy as np

import hybrid as hy
from hybrid.loading import examples, import_file

POINTS = (1, 10, 100, 1_000, 10_000, 100_000)


def least(calls: dict[str, Callable[[], object]], rounds: int, repeats: int) -> dict[str, float]:
    """Seconds of one call, the least of interleaved rounds."""
    best = dict.fromkeys(calls, float("inf"))
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            for _ in range(repeats):
                call()
            best[name] = min(best[name], (time.perf_counter() - start) / repeats)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    call = import_file(examples() / "black_scholes.py").call
    pose = import_file(examples() / "panda.py").pose
    random = np.random.default_rng(0)
    tasks = {
        "black_scholes": (hy.compile(call, call.gradient(), call.hessian()), [(), (), (), (), ()]),
        "panda_jacobian": (hy.compile(pose, pose.jacobian()), [(7,)]),
    }
    print(f"{'function':16}{'points':>8}{'kernel ns':>12}{'package ns':>12}{'ratio':>8}")
    for name, (kernel, shapes) in tasks.items():
        with tempfile.TemporaryDirectory() as folder:
            kernel.export(folder, name=f"bench_{name}", formats="python", target="host")
            sys.path.insert(0, f"{folder}/bench_{name}-python")
            package = getattr(importlib.import_module(f"bench_{name}"), f"bench_{name}")
            for n in POINTS:
                arrays = [random.uniform(0.2, 1.2, (n, *shape)) for shape in shapes]
                out = [np.empty((n, *formula.shape)) for formula in kernel.formulas]
                calls = {
                    "kernel": lambda a=arrays, o=out, k=kernel: k(*a, out=o, threads=1),
                    "package": lambda a=arrays, o=out, p=package: p(*a, out=o, threads=1),
                }
                best = least(calls, options.rounds, max(1, 2_000 // n))
                one, other = best["kernel"] / n * 1e9, best["package"] / n * 1e9
                print(f"{name:16}{n:8}{one:12.1f}{other:12.1f}{other / one:8.2f}", flush=True)


if __name__ == "__main__":
    main()
