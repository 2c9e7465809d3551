"""Black–Scholes with 5 first and 25 second derivatives beside other tools: `python tests/bench/bench_black_scholes.py`.

Outputs are arrays of shape (N,), (N, 5), (N, 5, 5) in float64, computed by one core, every output written to memory.
One line per tool: ns per point (least processor time of interleaved runs), the ratio to copying the outputs and to this
kernel in the same run, and the operation count where the tool tells one. The last lines are the 21 distinct numbers, as
arrays with points last. Tools that are not installed are named and left out: SciPy (for NumPy's erf), Numba, JAX,
CasADi, heyoka, gcc. `--points N`, `--rounds R`, `--json`.

Each tool differentiates as it does best: SymPy's `diff` for NumPy and Numba, `jax.grad` and `jax.hessian` under `vmap`
and `jit`, CasADi's `hessian`, heyoka's `diff_tensors`. Tools that write 31 separate arrays have them copied into the
three arrays, as a user of those would.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

# One core for all: pools of threads read these when they are imported.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[variable] = "1"
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import numpy as np  # noqa: E402 - after the environment
import sympy as sp  # noqa: E402
from peers import compiled  # noqa: E402

import hybrid as hy  # noqa: E402
from hybrid.loading import examples, import_file  # noqa: E402

EXAMPLE = import_file(examples() / "black_scholes.py")
SYMBOLS = (EXAMPLE.S, EXAMPLE.K, EXAMPLE.T, EXAMPLE.r, EXAMPLE.sigma)
SMALL = 100_000  # for tools that keep hundreds of temporaries of N numbers

Outputs = Sequence[np.ndarray]
Run = Callable[[Sequence[np.ndarray], Outputs], object]


@dataclass(frozen=True)
class Case:
    """A tool: what it runs, on how many points at most, and its operation count if known."""

    name: str
    run: Run
    points: int | None = None
    operations: int | None = None


@dataclass(frozen=True)
class Line:
    name: str
    points: int
    ns_per_point: float
    beside_copy: float
    beside_kernel: float
    operations: int | None
    difference: float


# --- the tools --------------------------------------------------------------------------------------------------------
def this_kernel() -> Iterable[Case]:
    start = time.perf_counter()
    call = EXAMPLE.call
    kernel = hy.compile(call, call.gradient(), call.hessian())
    seconds = time.perf_counter() - start
    print(f"this kernel: checked after {seconds:.2f} s, {kernel.operations_before} → {kernel.operations} operations")
    yield Case("this kernel", lambda x, out: kernel(*x, out=out, threads=1), None, kernel.operations)


def copying() -> Iterable[Case]:
    kept: list[np.ndarray] = []

    def run(x: Sequence[np.ndarray], out: Outputs) -> None:
        if not kept:
            kept.extend(np.ones_like(array) for array in out)
        for to, array in zip(out, kept, strict=True):
            np.copyto(to, array)

    yield Case("np.copyto", run)


def expressions() -> list[Any]:
    (price,) = EXAMPLE.call.source.expressions
    gradient = [sp.diff(price, symbol) for symbol in SYMBOLS]
    return [price, *gradient, *(sp.diff(slope, symbol) for slope in gradient for symbol in SYMBOLS)]


def spread(values: Sequence[Any], out: Outputs) -> None:
    """31 arrays into the three of the outputs."""
    out[0][...] = values[0]
    for column in range(5):
        out[1][:, column] = values[1 + column]
    for entry in range(25):
        out[2][:, entry // 5, entry % 5] = values[6 + entry]


def numpy_lambdify() -> Iterable[Case]:
    import scipy.special

    entries = expressions()
    names, reduced = sp.cse(entries)
    operations = sum(int(sp.count_ops(e)) for _, e in names) + sum(int(sp.count_ops(e)) for e in reduced)
    function = sp.lambdify(SYMBOLS, entries, modules=[{"erf": scipy.special.erf}, "numpy"], cse=True)
    yield Case("NumPy, lambdify(cse=True)", lambda x, out: spread(function(*x), out), SMALL, operations)


def numba_loop() -> Iterable[Case]:
    import numba

    scalar = numba.njit(sp.lambdify(SYMBOLS, expressions(), modules="math", cse=True))

    @numba.njit
    def loop(S, K, T, r, sigma, value, gradient, hessian):  # type: ignore[no-untyped-def]  # compiled by Numba
        for i in range(len(S)):
            v = scalar(S[i], K[i], T[i], r[i], sigma[i])
            value[i] = v[0]
            for a in range(5):
                gradient[i, a] = v[1 + a]
                for b in range(5):
                    hessian[i, a, b] = v[6 + 5 * a + b]

    yield Case("Numba, a loop over SymPy's cse", lambda x, out: loop(*x, *out))


def jax_vmap() -> Iterable[Case]:
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)

    def price(p: Any) -> Any:
        S, K, T, r, sigma = p
        d1 = (jnp.log(S / K) + (r + sigma**2 / 2) * T) / (sigma * jnp.sqrt(T))
        d2 = d1 - sigma * jnp.sqrt(T)
        normal = [(1 + jax.scipy.special.erf(d / math.sqrt(2))) / 2 for d in (d1, d2)]
        return S * normal[0] - K * jnp.exp(-r * T) * normal[1]

    every = jax.jit(jax.vmap(lambda p: (price(p), jax.grad(price)(p), jax.hessian(price)(p))))

    def run(x: Sequence[np.ndarray], out: Outputs) -> None:
        for to, value in zip(out, every(np.stack(x, axis=1)), strict=True):
            np.copyto(to, np.asarray(value))

    yield Case("JAX, jit(vmap(grad, hessian))", run)


def casadi_map() -> Iterable[Case]:
    import casadi

    symbols = [casadi.SX.sym(str(symbol)) for symbol in SYMBOLS]
    S, K, T, r, sigma = symbols
    d1 = (casadi.log(S / K) + (r + sigma**2 / 2) * T) / (sigma * casadi.sqrt(T))
    normal = [(1 + casadi.erf(d / math.sqrt(2))) / 2 for d in (d1, d1 - sigma * casadi.sqrt(T))]
    price = S * normal[0] - K * casadi.exp(-r * T) * normal[1]
    hessian, gradient = casadi.hessian(price, casadi.vertcat(*symbols))
    function = casadi.Function("f", [casadi.vertcat(*symbols)], [price, gradient, hessian], {"cse": True})

    def run(x: Sequence[np.ndarray], out: Outputs) -> None:
        n = len(x[0])
        value, first, second = function(np.stack(x))
        out[0][...] = np.asarray(value).reshape(n)
        out[1][...] = np.asarray(first).reshape(5, n).T
        out[2][...] = np.asarray(second).reshape(5, n, 5).transpose(1, 2, 0)

    yield Case("CasADi, its virtual machine", run, SMALL, function.n_instructions())


def heyoka_function(lower: bool) -> Any:
    import heyoka

    symbols = heyoka.make_vars(*map(str, SYMBOLS))
    S, K, T, r, sigma = symbols
    d1 = (heyoka.log(S / K) + (r + sigma**2.0 / 2.0) * T) / (sigma * heyoka.sqrt(T))
    normal = [(1.0 + heyoka.erf(d / math.sqrt(2))) / 2.0 for d in (d1, d1 - sigma * heyoka.sqrt(T))]
    price = S * normal[0] - K * heyoka.exp(-r * T) * normal[1]
    tensors = heyoka.diff_tensors([price], diff_args=symbols, diff_order=2)
    rows = enumerate(tensors.hessian(0))
    second = [entry for k, row in rows for entry in (row[: k + 1] if lower else row)]
    return heyoka.cfunc([price, *tensors.gradient, *second], symbols)


def heyoka_cfunc() -> Iterable[Case]:
    function = heyoka_function(lower=False)
    yield Case("heyoka, cfunc", lambda x, out: spread(function(np.stack(x)), out))


# --- 21 distinct numbers, points last ---------------------------------------------------------------------------------
BY_HAND = """
#include <math.h>
void peer(const double *const *x, double *r, long n) {
  const double *S = x[0], *K = x[1], *T = x[2], *R = x[3], *V = x[4];
  #pragma GCC ivdep
  for (long i = 0; i < n; i++) {
    double s = S[i], k = K[i], t = T[i], rate = R[i], v = V[i];
    double root = sqrt(t), w = v * root, iw = 1 / w, is = 1 / s, ik = 1 / k, it = 1 / t, iv = 1 / v;
    double d1 = (log(s * ik) + (rate + 0.5 * v * v) * t) * iw, d2 = d1 - w;
    double n1 = 0.5 + 0.5 * erf(d1 * 0.70710678118654752), n2 = 0.5 + 0.5 * erf(d2 * 0.70710678118654752);
    double e = exp(-rate * t), p = 0.39894228040143268 * exp(-0.5 * d1 * d1), ke = k * e, sp = s * p;
    double gamma = p * is * iw, vega = sp * root, m = ke * n2;
    double c1 = (rate + 0.5 * v * v) * iw - 0.5 * d1 * it; /* d(d1)/dT */
    double decay = 0.5 * v * sp * root * it;
    double dv1 = root - d1 * iv, dv2 = -d1 * iv; /* d(d1)/dv, d(d2)/dv */
    double dr1 = root * iv, c2 = c1 - 0.5 * v * root * it;
    r[i] = s * n1 - m;
    r[n + i] = n1;
    r[2 * n + i] = -e * n2;
    r[3 * n + i] = decay + rate * m;
    r[4 * n + i] = t * m;
    r[5 * n + i] = vega;
    r[6 * n + i] = gamma;
    r[7 * n + i] = -s * gamma * ik;
    r[8 * n + i] = s * s * gamma * ik * ik;
    r[9 * n + i] = p * c1;
    r[10 * n + i] = rate * e * n2 - sp * ik * c2;
    r[11 * n + i] = -decay * (d1 * c1 + 0.5 * it) + rate * (sp * c2 - rate * m);
    r[12 * n + i] = p * dr1;
    r[13 * n + i] = t * e * n2 - sp * ik * dr1;
    r[14 * n + i] = m + t * (sp * c2 - rate * m);
    r[15 * n + i] = t * (sp * dr1 - t * m);
    r[16 * n + i] = p * dv1;
    r[17 * n + i] = -sp * ik * dv2;
    r[18 * n + i] = vega * (0.5 * it - d1 * c1);
    r[19 * n + i] = t * sp * dv2;
    r[20 * n + i] = vega * d1 * d2 * iv;
  }
}
"""


def c_over_sympy() -> str:
    """SymPy's common subexpressions as a C loop."""
    entries = expressions()
    lower = [entries[6 + 5 * i + j] for i in range(5) for j in range(i + 1)]
    names, reduced = sp.cse([*entries[:6], *lower])
    lines = [f"double {symbol} = given[{k}][i];" for k, symbol in enumerate(SYMBOLS)]
    lines += [f"double {name} = {sp.ccode(e)};" for name, e in names]
    lines += [f"results[{k} * n + i] = {sp.ccode(e)};" for k, e in enumerate(reduced)]
    body = "\n".join(lines)
    return (
        "#include <math.h>\nvoid peer(const double *const *given, double *results, long n) {\n"
        f"#pragma GCC ivdep\nfor (long i = 0; i < n; i++) {{\n{body}\n}} }}\n"
    )


def points_last() -> Iterable[Case]:
    """The distinct numbers alone, points last: this kernel, and C by gcc -O3 -ffast-math with libmvec."""
    call = EXAMPLE.call
    kernel = hy.compile(call, call.gradient(), call.hessian(sparse=True, triangle="lower"))
    kept: list[np.ndarray] = []

    def results(n: int) -> np.ndarray:
        if not kept or kept[0].shape[1] != n:
            kept[:] = [np.ones((21, n)), np.ones((21, n))]
        return kept[0]

    def this(x: Sequence[np.ndarray], out: Outputs) -> None:
        r = results(len(x[0]))
        kernel(*x, out=[r[0], r[1:6].T, r[6:].T], threads=1)
        kept[1] = kept[1] if kept[1][0, 0] != 1 else r.copy()

    def peer(source: str) -> Run:
        library = compiled(source)

        def run(x: Sequence[np.ndarray], out: Outputs) -> None:
            r = results(len(x[0]))
            pointers = (ctypes.c_void_p * 5)(*[array.ctypes.data for array in x])
            library.peer(pointers, ctypes.c_void_p(r.ctypes.data), ctypes.c_long(len(x[0])))
            apart = np.abs(r[:, :99] - kept[1][:, :99]).max(axis=1) / np.abs(kept[1][:, :99]).max(axis=1)
            assert apart.max() < 1e-9, f"rows {np.flatnonzero(apart >= 1e-9)} of C are wrong: {apart.max():.1e}"

        return run

    yield Case("21 alone: this kernel", this, None, kernel.operations)
    yield Case("21 alone: np.copyto", lambda x, out: np.copyto(kept[0], kept[1]))
    function = heyoka_function(lower=True)
    yield Case("21 alone: heyoka, cfunc", lambda x, out: function(np.stack(x), outputs=results(len(x[0]))))
    yield Case("21 alone: C by hand, libmvec", peer(BY_HAND))
    yield Case("21 alone: gcc over SymPy's cse", peer(c_over_sympy()))


TOOLS = (this_kernel, copying, numpy_lambdify, numba_loop, jax_vmap, casadi_map, heyoka_cfunc, points_last)


# --- measuring --------------------------------------------------------------------------------------------------------
def gather() -> list[Case]:
    cases: list[Case] = []
    for tool in TOOLS:
        try:
            cases += tool()
        except ImportError as error:
            print(f"left out: {tool.__name__}, {error}", file=sys.stderr)
    return cases


def measure(cases: Sequence[Case], points: int, rounds: int) -> list[Line]:
    inputs = EXAMPLE.contracts(points)
    exact: Outputs = []
    best: dict[str, float] = dict.fromkeys((case.name for case in cases), math.inf)
    differences: dict[str, float] = {}
    for number in range(rounds):
        for case in cases:
            count = min(points, case.points or points)
            x = [array[:count] for array in inputs]
            out = buffers(count)
            if number == 0:
                case.run(x, out)  # compiles what is compiled on first use
                exact = exact or [array.copy() for array in out]
                differences[case.name] = 0.0 if case.name.startswith("21") else difference(out, exact)
            start = time.process_time()
            case.run(x, out)
            best[case.name] = min(best[case.name], (time.process_time() - start) / count)
    copy, kernel = best["np.copyto"], best["this kernel"]
    return [
        Line(
            case.name,
            min(points, case.points or points),
            1e9 * best[case.name],
            best[case.name] / copy,
            best[case.name] / kernel,
            case.operations,
            differences[case.name],
        )
        for case in cases
    ]


BUFFERS: dict[int, Outputs] = {}


def buffers(count: int) -> Outputs:
    """Output arrays, touched once so that no run pays for the first use of their pages."""
    if count not in BUFFERS:
        BUFFERS[count] = [np.ones((count, *shape)) for shape in ((), (5,), (5, 5))]
    return BUFFERS[count]


def difference(out: Outputs, exact: Outputs) -> float:
    """Largest difference from this kernel, relative to the largest entry of each output array."""
    pairs = [(a, b[: len(a)]) for a, b in zip(out, exact, strict=True)]
    return max(float(np.max(np.abs(a - b)) / np.max(np.abs(b))) for a, b in pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--points", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    lines = measure(gather(), options.points, options.rounds)
    print(f"{'':<32}{'points':>10}{'ns':>10}{'× copy':>9}{'× kernel':>10}{'operations':>12}{'difference':>12}")
    for line in lines:
        operations = "" if line.operations is None else str(line.operations)
        apart = "" if line.name in ("np.copyto", "this kernel") else f"{line.difference:.0e}"
        print(
            f"{line.name:<32}{line.points:>10,}{line.ns_per_point:>10.1f}{line.beside_copy:>9.2f}"
            f"{line.beside_kernel:>10.2f}{operations:>12}{apart:>12}"
        )
    if options.json:
        options.json.write_text(json.dumps([asdict(line) for line in lines], indent=2))


if __name__ == "__main__":
    main()
