"""How fast a kernel is on this machine: a few milliseconds for each way to call it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codegen.threads import default_threads
from hybrid.kernel import Kernel

BUDGET = 8e-3  # seconds for each row
LEAST, MOST = 7, 400  # repetitions
NUMBERS = 500_000  # float64 numbers of inputs and results in a batch
POINTS = 20_000


@dataclass(frozen=True)
class Timing:
    """Seconds per point of one way to call: the median of some runs, and their lower and upper quartile."""

    what: str
    points: int
    runs: int
    median: float
    low: float
    high: float


def measure(kernel: Kernel, point: Sequence[NDArray[Any]]) -> list[Timing]:
    """One point and a batch, on one thread and on all; `point` has one array per argument."""
    size = sum(a.size for a in kernel.arguments) + sum(r.size for r in kernel.program.results)
    count = max(16, min(POINTS, NUMBERS // max(size, 1)))
    batch = [np.repeat(np.asarray(value, dtype=float)[None], count, axis=0) for value in point]
    single = [float(value) if np.ndim(value) == 0 else np.ascontiguousarray(value, dtype=float) for value in point]
    rows = [timed("one point, called from Python", 1, lambda: kernel(*single))]
    rows.append(timed(f"{count:,} points, one thread", count, lambda: kernel(*batch, threads=1)))
    threads = default_threads()
    if threads > 1:
        rows.append(timed(f"{count:,} points, {threads} threads", count, lambda: kernel(*batch, threads=threads)))
    return rows


def timed(what: str, points: int, call: Callable[[], Any]) -> Timing:
    """The median over runs within the budget, after warming up."""
    for _ in range(4):
        call()
    seconds: list[float] = []
    end = time.perf_counter() + BUDGET
    while len(seconds) < LEAST or (len(seconds) < MOST and time.perf_counter() < end):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    low, median, high = np.quantile(seconds, [0.25, 0.5, 0.75]) / points
    return Timing(what, points, len(seconds), float(median), float(low), float(high))


def duration(seconds: float) -> str:
    """`1.23 µs`: three digits and a unit."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"
