"""Speed and error of the vector functions beside NumPy, SciPy and PyTorch: `python tests/bench/bench_vector_math.py
[names]`.

ns per value over 1,024 values (in the L1 cache) on one core, the least of interleaved runs; theirs with the call,
ours without; a ratio above 1 says how many times as long the other takes. The error is the largest seen against
50-digit values, in ulp.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from mpmath import mp, mpf
from scipy import special

from codegen.vector_math.trial import Trial, shape_of

try:
    import torch
except ImportError:
    torch = None  # type: ignore[assignment]

sys.path.insert(0, str(Path(__file__).parents[1] / "codegen"))
sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
from test_vector_math import MEANING, NUMPY, error, first
from vector_points import NAMES

SIZE, ROUNDS, REPEATS, CHECKED = 1024, 60, 10, 1000
RANGES: dict[str, tuple[float, float]] = {
    "log": (1e-3, 1e3), "log2": (1e-3, 1e3), "log10": (1e-3, 1e3), "log1p": (-0.9, 100), "acosh": (1, 100),
    "asin": (-1, 1), "acos": (-1, 1), "atanh": (-1, 1), "exp": (-20, 20), "erf": (-4, 4), "erfc": (-4, 10),
    "gamma": (0.1, 20), "loggamma": (0.1, 50), "digamma": (0.1, 50), "pow": (0.01, 10),
}  # fmt: skip
SCIPY = {
    "logistic": "expit",
    "loggamma": "gammaln",
    "digamma": "digamma",
    "gamma": "gamma",
    "erf": "erf",
    "erfc": "erfc",
}
TORCH = {"logistic": "sigmoid", "gamma": None, "loggamma": "lgamma", "mod": "remainder"}


def others(name: str, arguments: list[np.ndarray]) -> dict[str, Callable[[], object]]:
    """The same function elsewhere, into an array made before."""
    found: dict[str, Callable[[], object]] = {}
    out = np.empty(SIZE)
    function = getattr(np, NUMPY.get(name, name), None)
    if function is not None:
        found["NumPy"] = lambda: function(*arguments, out=out)
    elif name in SCIPY:
        scipy_function = getattr(special, SCIPY[name])
        found["SciPy"] = lambda: scipy_function(*arguments, out=out)
    elif name.startswith("polygamma."):
        order = int(name.partition(".")[2])
        found["SciPy"] = lambda: special.polygamma(order, arguments[0])
    counterpart = getattr(torch, TORCH.get(name, name) or "absent", None) if torch is not None else None
    if counterpart is not None:
        tensors, result = [torch.from_numpy(a) for a in arguments], torch.empty(SIZE, dtype=torch.float64)
        found["PyTorch"] = lambda: counterpart(*tensors, out=result)
    return found


def least_times(runs: dict[str, Callable[[], object]]) -> dict[str, float]:
    """ns per value of each, the least over rounds in which all take turns."""
    least = dict.fromkeys(runs, float("inf"))
    for _ in range(ROUNDS):
        for label, run in runs.items():
            start = time.perf_counter_ns()
            for _ in range(1 if label == "ours" else REPEATS):
                run()
            least[label] = min(least[label], (time.perf_counter_ns() - start) / REPEATS / SIZE)
    return least


def largest_error(name: str, arguments: list[np.ndarray], got: np.ndarray) -> float:
    checked = CHECKED if shape_of(name)[0] == 1 and "gamma" not in name else CHECKED // 10
    largest = 0.0
    with mp.workdps(50):
        for *values, result in zip(*(a[:checked].tolist() for a in arguments), got[:checked].tolist(), strict=True):
            want = MEANING[name](*map(mpf, values))
            if want is not None:
                largest = max(largest, error(result, want))
    return largest


def main(names: list[str]) -> None:
    if torch is not None:
        torch.set_num_threads(1)
    trial = Trial(names)
    one = np.ones(1)
    calls = {"NumPy": partial(np.sin, one, out=one)}
    if torch is not None:
        single = torch.from_numpy(one)
        calls["PyTorch"] = partial(torch.sin, single, out=single)
    included = ", ".join(f"{label} {time:.2f}" for label, time in least_times(calls).items())
    print(f"{trial.target.cpu}, {trial.target.width} lanes; ns per value, of which the call: {included}")
    for name in names:
        rng = np.random.default_rng(1)
        arguments = [rng.uniform(*RANGES.get(name, (-10, 10)), SIZE) for _ in range(shape_of(name)[0])]
        outputs = [np.empty(SIZE) for _ in range(shape_of(name)[1])]
        addresses = [a.ctypes.data for a in [*arguments, *outputs]]
        times = least_times(
            {"ours": partial(trial.function(name), REPEATS, SIZE, *addresses)} | others(name, arguments)
        )
        ours = times.pop("ours")
        ulp = largest_error(name, arguments, first(trial(name, *arguments)))
        beside = "".join(f"   {label} {time:6.2f} ({time / ours:4.1f}×)" for label, time in times.items())
        print(f"{name:12s} {ours:6.2f}   {ulp:5.2f} ulp{beside}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or NAMES)
