"""The kernel beside NumPy, and beside the memory, in one run: interleaved, the least of several."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from codegen.threads import default_threads
from hybrid import special
from hybrid.kernel import Kernel

NUMPY = "NumPy, sympy.lambdify(cse=True)"
COPY = "copying the outputs alone"

ROUNDS = 5
SECONDS = 2.0  # after which no further round is begun
SLOW_POINTS = 100_000  # for NumPy, whose several hundred temporaries of 10⁶ points do not fit into memory

# SymPy writes these names; NumPy itself has no such functions. SciPy's, which are compiled, are used if it is there.
OWN_SPECIAL = {"erf": special.erf, "erfc": special.erfc, "gamma": special.gamma, "loggamma": special.loggamma}


@dataclass(frozen=True)
class Race:
    """All results, and the largest difference between what NumPy and the kernel computed.

    The difference of an output is relative to its largest value over all points.
    """

    results: tuple[Result, ...]
    difference: float


@dataclass(frozen=True)
class Result:
    """The best time of one contestant."""

    name: str
    points: int
    seconds: float

    @property
    def nanoseconds(self) -> float:
        """Per point."""
        return 1e9 * self.seconds / self.points


def race(
    kernel: Kernel, expressions: Sequence[Any], symbols: Sequence[Any], inputs: Sequence[NDArray[np.float64]]
) -> Race:
    """The least time of each: the kernel on one thread, on all, copying the outputs, and `lambdify(cse=True)`."""
    points = len(inputs[0])
    fewer = min(points, SLOW_POINTS)
    outputs = [np.empty((points, *formula.shape)) for formula in kernel.formulas]
    written = kernel(*inputs, out=outputs, threads=1)
    copies = [np.ones_like(array) for array in (written if isinstance(written, tuple) else (written,))]
    compare = numpy_function(symbols, expressions)
    columns = [np.ascontiguousarray(column[:fewer]) for array in inputs for column in array.reshape(points, -1).T]
    contestants: dict[str, tuple[int, Callable[[], object]]] = {
        "this kernel, 1 thread": (points, lambda: kernel(*inputs, out=outputs, threads=1))
    }
    if (threads := default_threads()) > 1:
        contestants[f"this kernel, {threads} threads"] = (points, lambda: kernel(*inputs, out=outputs))
    contestants[NUMPY] = (fewer, lambda: compare(*columns))
    contestants[COPY] = (points, lambda: copy(outputs, copies))
    best = dict.fromkeys(contestants, math.inf)
    start = time.perf_counter()
    for _ in range(ROUNDS):
        for name, (_, action) in contestants.items():
            best[name] = min(best[name], clocked(action))
        if time.perf_counter() - start > SECONDS:
            break
    values = kernel(*(array[:fewer] for array in inputs), threads=1)
    own = np.concatenate(
        [np.reshape(value, (fewer, -1)) for value in (values if isinstance(values, tuple) else (values,))], 1
    )
    results = tuple(Result(name, count, best[name]) for name, (count, _) in contestants.items())
    return Race(results, difference(own, compare(*columns)))


def difference(own: NDArray[np.float64], others: Sequence[Any]) -> float:
    """The largest of the outputs' differences, each relative to the largest value of that output."""
    largest = 0.0
    for mine, other in zip(own.T, others, strict=True):
        scale = float(np.max(np.abs(mine))) or 1.0
        largest = max(largest, float(np.max(np.abs(mine - other))) / scale)
    return largest


def copy(to: Sequence[NDArray[np.float64]], arrays: Sequence[NDArray[np.float64]]) -> None:
    for target, array in zip(to, arrays, strict=True):
        np.copyto(target, array)


def clocked(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def numpy_function(symbols: Sequence[Any], expressions: Sequence[Any]) -> Callable[..., Any]:
    """What SymPy makes for NumPy of the same outputs, its common subexpressions named once."""
    functions = OWN_SPECIAL | scipy_special()
    return sp.lambdify(symbols, expressions, modules=[functions, "numpy"], cse=True)  # type: ignore[no-any-return]


def scipy_special() -> dict[str, Callable[..., Any]]:
    """SciPy's compiled error and gamma functions, none where SciPy is not installed."""
    try:
        from scipy import special as scipy
    except ImportError:
        return {}
    return {"erf": scipy.erf, "erfc": scipy.erfc, "gamma": scipy.gamma, "loggamma": scipy.gammaln}
