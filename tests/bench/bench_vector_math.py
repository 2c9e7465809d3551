"""Speed and error of the vector functions beside NumPy, SciPy, PyTorch and libmvec: `python
tests/bench/bench_vector_math.py [names]`, one line per function; with `--table` it rewrites the table in
docs/vector-math.md.

ns per value over 1,024 values (in the L1 cache) on one core, the least of interleaved runs. What a call of NumPy, SciPy
or PyTorch costs on eight values is taken off theirs; libmvec is a C loop made by gcc -O3 -ffast-math -march=native. The
error is the largest seen against 50-digit values, in ulp. The ratio is the time of the fastest of the others that errs
by at most 1 ulp, or no more than we promise, over ours: above 1 we are faster. float32 is beside NumPy's.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from mpmath import mp, mpf
from scipy import special

from codegen.vector_math.table import FUNCTIONS
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
PAGE = Path(__file__).parents[2] / "docs" / "vector-math.md"
BEGIN, END = "<!-- table -->", "<!-- end of table -->"
Run = Callable[[int], object]  # over so many values
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


LIBMVEC = (
    "exp exp2 expm1 log log2 log10 log1p sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh cbrt erf erfc"
)
LIBMVEC_OF_TWO = "pow atan2 hypot"


def c_loops() -> ctypes.CDLL | None:
    """C loops over gcc's vector library."""
    compiler = shutil.which("gcc")
    if compiler is None:
        return None
    lines = ["#include <math.h>"]
    for name in LIBMVEC.split():
        lines.append(f"void c_{name}(long n, double *restrict r, const double *restrict x) {{")
        lines.append(f"  for (long i = 0; i < n; i++) r[i] = {name}(x[i]);\n}}")
    for name in LIBMVEC_OF_TWO.split():
        lines.append(
            f"void c_{name}(long n, double *restrict r, const double *restrict x, const double *restrict y) {{"
        )
        lines.append(f"  for (long i = 0; i < n; i++) r[i] = {name}(x[i], y[i]);\n}}")
    folder = Path(tempfile.mkdtemp())
    (folder / "loops.c").write_text("\n".join(lines) + "\n", encoding="utf-8")
    options = ["-O3", "-ffast-math", "-march=native", "-mprefer-vector-width=512", "-shared", "-fPIC"]
    subprocess.run([compiler, *options, "loops.c", "-o", "loops.so", "-lm"], cwd=folder, check=True)
    return ctypes.CDLL(str(folder / "loops.so"))


def others(
    name: str, arguments: list[np.ndarray], loops: ctypes.CDLL | None
) -> dict[str, tuple[Run, Callable[[], np.ndarray]]]:
    """The same function elsewhere, into an array made before, and that array."""
    found: dict[str, tuple[Run, Callable[[], np.ndarray]]] = {}

    def add(label: str, call: Callable[..., object], out: np.ndarray) -> None:
        found[label] = (lambda n: call(*(a[:n] for a in arguments), out=out[:n]), lambda: out)

    function, scipy_name = getattr(np, NUMPY.get(name, name), None), SCIPY.get(name)
    if function is not None:
        add("NumPy", function, np.empty(SIZE, arguments[0].dtype))
    elif scipy_name is not None:
        add("SciPy", getattr(special, scipy_name), np.empty(SIZE, arguments[0].dtype))
    elif name.startswith("polygamma."):
        order, out = int(name.partition(".")[2]), np.empty(SIZE)
        found["SciPy"] = (lambda n: np.copyto(out[:n], special.polygamma(order, arguments[0][:n])), lambda: out)
    counterpart = getattr(torch, TORCH.get(name, name) or "absent", None) if torch is not None else None
    if counterpart is not None:
        result = np.empty(SIZE, arguments[0].dtype)
        tensors, target = [torch.from_numpy(a) for a in arguments], torch.from_numpy(result)
        sliced = {n: ([x[:n] for x in tensors], target[:n]) for n in (8, SIZE)}
        found["PyTorch"] = (lambda n: counterpart(*sliced[n][0], out=sliced[n][1]), lambda: result)
    loop = getattr(loops, f"c_{name}", None)
    if loop is not None and arguments[0].dtype == np.float64:
        values = np.empty(SIZE)
        pointers = [ctypes.c_void_p(a.ctypes.data) for a in [values, *arguments]]
        found["libmvec"] = (lambda n: loop(ctypes.c_long(n), *pointers), lambda: values)
    return found


def least_times(runs: dict[str, Run], size: int) -> dict[str, float]:
    """ns of each over `size` values, the least over rounds in which all take turns."""
    least = dict.fromkeys(runs, float("inf"))
    for _ in range(ROUNDS):
        for label, run in runs.items():
            start = time.perf_counter_ns()
            for _ in range(REPEATS):
                run(size)
            least[label] = min(least[label], (time.perf_counter_ns() - start) / REPEATS)
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


def points(name: str, dtype: str) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [rng.uniform(*RANGES.get(name, (-10, 10)), SIZE).astype(dtype) for _ in range(shape_of(name)[0])]


def timed(
    name: str, trial: Trial, arguments: list[np.ndarray], peers: dict[str, tuple[Run, Callable[[], np.ndarray]]]
) -> dict[str, float]:
    """ns per value of ours and of the others without their calls."""
    outputs = [np.empty(SIZE, trial.dtype) for _ in range(shape_of(name)[1])]
    addresses = [a.ctypes.data for a in [*arguments, *outputs]]
    ours = partial(trial.function(name), REPEATS, SIZE, *addresses)
    runs: dict[str, Run] = {label: run for label, (run, _) in peers.items()}
    calls = least_times(runs, 8)
    times = least_times({"ours": lambda n: ours(), **runs}, SIZE)
    net = {label: (t - (0 if label == "libmvec" else calls.get(label, 0))) / SIZE for label, t in times.items()}
    net["ours"] = times["ours"] / REPEATS / SIZE
    return net


def main(arguments: list[str]) -> None:
    names = [a for a in arguments if a != "--table"] or NAMES
    if torch is not None:
        torch.set_num_threads(1)
    wide, narrow, loops = Trial(names), Trial(names, dtype="float32"), c_loops()
    rows = []
    print(f"{wide.target.cpu}, {wide.target.width} lanes; ns per value / ulp")
    for name in names:
        values = points(name, "float64")
        peers = others(name, values, loops)
        times = timed(name, wide, values, peers)
        ulp = {label: largest_error(name, values, result()) for label, (_, result) in peers.items()}
        ulp["ours"] = largest_error(name, values, first(wide(name, *values)))
        bound = max(1.0, FUNCTIONS[name.partition(".")[0]].ulp)
        rivals = [times[label] for label in peers if ulp[label] <= bound]
        single = points(name, "float32")
        beside = {label: peer for label, peer in others(name, single, None).items() if label == "NumPy"}
        float32 = timed(name, narrow, single, beside)
        rows.append((name, times, ulp, min(rivals) / times["ours"] if rivals else None, float32))
        print(line(*rows[-1]), flush=True)
    if "--table" in arguments:
        text = PAGE.read_text(encoding="utf-8")
        start, end = text.index(BEGIN) + len(BEGIN), text.index(END)
        PAGE.write_text(text[:start] + "\n" + table(rows) + text[end:], encoding="utf-8")


Row = tuple[str, dict[str, float], dict[str, float], "float | None", dict[str, float]]


def line(
    name: str, times: dict[str, float], ulp: dict[str, float], ratio: float | None, single: dict[str, float]
) -> str:
    cells = "".join(f"   {label} {times[label]:6.2f}/{ulp[label]:.2f}" for label in times)
    fastest = "      " if ratio is None else f"{ratio:5.2f}×"
    return f"{name:12s} {fastest}{cells}   float32 {single['ours']:.2f} (NumPy {single.get('NumPy', float('nan')):.2f})"


def table(rows: list[Row]) -> str:
    """The rows in Markdown."""
    lines = [
        "| | promised ulp | ns / ulp | NumPy, SciPy | PyTorch | libmvec | ratio | float32 ns | NumPy |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, times, ulp, ratio, single in rows:
        row = FUNCTIONS[name.partition(".")[0]]

        def cell(*labels: str, times: dict[str, float] = times, ulp: dict[str, float] = ulp) -> str:
            return next((f"{times[k]:.2f} / {ulp[k]:.2f}" for k in labels if k in times), "")

        promised = f"{row.ulp:g}{' × condition' if row.conditioned else ''}"
        fastest = "" if ratio is None else f"{ratio:.2f}"
        cells = [f"`{name}`", promised, cell("ours"), cell("NumPy", "SciPy"), cell("PyTorch"), cell("libmvec"), fastest]
        cells += [f"{single['ours']:.2f}", f"{single['NumPy']:.2f}" if "NumPy" in single else ""]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main(sys.argv[1:])
