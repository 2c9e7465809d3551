"""How long a derivative sheet takes to make, and how large it is: python tests/bench/bench_report.py

Without the start of Python and the import of the library, which the first case pays.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import hybrid as hy

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))

from black_scholes import call
from panda import miss, pose


def chain(n: int) -> hy.Function:
    """A chain whose sparse Hessian has some 40 nodes for each of its n variables."""

    @hy.function(rolled=False, x=(n,))
    def chain(x: Any) -> Any:
        near = np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)
        return near + np.sum(np.exp(np.sin(x[2:] * x[:-2])))

    return chain


CASES: dict[str, Callable[[], hy.Function]] = {
    "Black–Scholes": lambda: call,
    "Panda, distance": lambda: miss,
    "Panda, pose": lambda: pose,
    "chain of 4,000": lambda: chain(4_000),
}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        call.report(Path(folder) / "first.html")
        for name, make in CASES.items():
            function = make()
            before, cpu = time.perf_counter(), time.process_time()
            path = function.report(Path(folder) / "sheet.html")
            seconds, used = time.perf_counter() - before, time.process_time() - cpu
            print(f"{name:<16} {seconds:6.2f} s ({used:5.2f} s of processor)  {path.stat().st_size / 1e6:5.2f} MB")
        hessian = chain(4_000).hessian(sparse=True)
        print(f"the Hessian of the chain has {len(hessian.graph.reach(hessian.nodes)):,} nodes")


if __name__ == "__main__":
    main()
