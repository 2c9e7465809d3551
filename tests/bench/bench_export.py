"""Exported kernels beside CasADi's C, and the library beside the kernel: `python tests/bench/bench_export.py`.

Both C sources are compiled by gcc with the same options, `-O2` and `-O2 -march=native -ffp-contract=fast`, and called
point after point over the same arrays. CasADi's function is that of its best form (dense outputs, its own common
subexpressions removed). One line per case: ns per point (least processor time of interleaved runs on one core), and how
much slower than the exported C source, whose rows are 1. Then the exported shared library, called through ctypes,
beside the native code of the kernel in Python, at one and at 10,000 points. `--rounds R`, `--case NAME`.
"""

from __future__ import annotations

import argparse
import ctypes
import math
import os
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[variable] = "1"

import casadi  # noqa: E402 - after the environment
import numpy as np  # noqa: E402
from bench_panda import DYNAMICS, PANDA, CasADi  # noqa: E402
from peers import Case, function_source, measure, show, values  # noqa: E402

import hybrid as hy  # noqa: E402
from hybrid.loading import examples, import_file  # noqa: E402

OPTIONS = (["-O2"], ["-O2", "-march=native", "-ffp-contract=fast"])
POINTS = 2_000  # of the C sources: they fit the second-level cache
MARKET = import_file(examples() / "black_scholes.py")


@dataclass(frozen=True)
class Task:
    """A kernel, its arguments, and the same outputs as CasADi's expressions of one vector of symbols."""

    name: str
    kernel: Any
    points: Callable[[int], Sequence[np.ndarray]]
    outputs: Callable[[Sequence[Any]], list[Any]]


# --- what is compared -------------------------------------------------------------------------------------------------
def black_scholes() -> Task:
    call = MARKET.call

    def outputs(x: Sequence[Any]) -> list[Any]:
        S, K, T, r, sigma = x
        d1 = (casadi.log(S / K) + (r + sigma**2 / 2) * T) / (sigma * casadi.sqrt(T))
        normal = [(1 + casadi.erf(d / math.sqrt(2))) / 2 for d in (d1, d1 - sigma * casadi.sqrt(T))]
        price = S * normal[0] - K * casadi.exp(-r * T) * normal[1]
        hessian, gradient = casadi.hessian(price, casadi.vertcat(*x))
        return [price, gradient, *[hessian[i, j] for i in range(5) for j in range(5)]]

    kernel = hy.compile(call, call.gradient(), call.hessian(), name="market")
    return Task("Black-Scholes", kernel, MARKET.contracts, outputs)


def panda() -> Task:
    pose = PANDA.pose

    def outputs(x: Sequence[Any]) -> list[Any]:
        place = values(PANDA.forward_kinematics(CasADi(casadi).array(x)))
        return [*place, *CasADi(casadi).jacobian(place, x)]

    kernel = hy.compile(pose, pose.jacobian(), name="panda")
    return Task("Panda", kernel, lambda n: PANDA.postures(n)[:1], outputs)


def inverse_dynamics() -> Task:
    tau = DYNAMICS.tau

    def outputs(x: Sequence[Any]) -> list[Any]:
        torques = values(DYNAMICS.inverse_dynamics(*[CasADi(casadi).array(x[k : k + 7]) for k in (0, 7, 14)]))
        return [*torques, *CasADi(casadi).jacobian(torques, x[:14])]

    kernel = hy.compile(tau, tau.jacobian(wrt=["q", "qd"]), name="panda_dynamics")
    return Task("inverse dynamics", kernel, DYNAMICS.motions, outputs)


def rosenbrock() -> Task:
    @hy.function(x=(), y=())
    def banana(x: Any, y: Any) -> Any:
        return (1 - x) ** 2 + 100 * (y - x**2) ** 2

    def outputs(x: Sequence[Any]) -> list[Any]:
        value = (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2
        hessian, gradient = casadi.hessian(value, casadi.vertcat(*x))
        return [value, gradient, *[hessian[i, j] for i in range(2) for j in range(2)]]

    kernel = hy.compile(banana, banana.gradient(), banana.hessian(), name="banana")
    random = np.random.default_rng(3)
    return Task("Rosenbrock, 2", kernel, lambda n: list(random.uniform(-2, 2, (2, n))), outputs)


TASKS = {"black-scholes": black_scholes, "panda": panda, "dynamics": inverse_dynamics, "rosenbrock": rosenbrock}


# --- C sources --------------------------------------------------------------------------------------------------------
def library(source: str, options: Sequence[str]) -> ctypes.CDLL:
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    (folder / "code.c").write_text(source)
    command = ["gcc", "-std=c99", *options, "-fPIC", "-shared", "code.c", "-o", "code.so", "-lm"]
    subprocess.run(command, cwd=folder, check=True)
    return ctypes.CDLL(str(folder / "code.so"))


def peer_source(task: Task) -> str:
    symbols = [casadi.SX.sym(f"x{k}") for k in range(sum(a.size for a in task.kernel.program.arguments))]
    outputs = casadi.densify(casadi.vertcat(*task.outputs(symbols)))
    function = casadi.Function("peer_graph", [casadi.vertcat(*symbols)], [outputs], {"cse": True})
    loop = (
        f"\nvoid peer(const double *x, double *r, long n) {{ static double w[{max(function.sz_w(), 1)}]; long i;\n"
        f" for (i = 0; i < n; i++) {{ const double *in[1]; double *out[1];\n"
        f" in[0] = x + {len(symbols)}*i; out[0] = r + {outputs.numel()}*i; peer_graph(in, out, 0, w, 0); }} }}\n"
    )
    return function_source(function) + loop


def address(array: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def sources(task: Task, rounds: int) -> None:
    x = [np.ascontiguousarray(array) for array in task.points(POINTS)]
    expected = task.kernel(*x)
    results = [np.empty_like(array) for array in expected]
    table = np.ascontiguousarray(np.concatenate([array.reshape(POINTS, -1) for array in x], axis=1))
    flat = np.concatenate([array.reshape(POINTS, -1) for array in expected], axis=1)
    rows = np.empty_like(flat)
    with tempfile.TemporaryDirectory() as folder:
        task.kernel.export(folder, name="ours", formats=["c"])
        text = (Path(folder) / "ours.c").read_text()
    theirs = peer_source(task)
    for options in OPTIONS:
        ours, peer = library(text, options), library(theirs, options)
        arguments = [address(array) for array in (*x, *results)]
        n = ctypes.c_int64(POINTS)
        given = [address(table), address(rows), n]
        cases = [
            Case("exported C", partial(ours.ours_batch, n, *arguments), task.kernel.operations),
            Case("CasADi's C", partial(peer.peer, *given)),
        ]
        figures = measure(cases, POINTS, rounds)
        found = np.concatenate([array.reshape(POINTS, -1) for array in results], axis=1)
        for name, array in (("exported C", found), ("CasADi's C", rows)):
            apart = np.abs(array - flat).max() / np.abs(flat).max()
            if not apart < 1e-10:
                raise AssertionError(f"{name} differs from the kernel by {apart:.1e}")
        show(f"{task.name}, gcc {' '.join(options)}", cases, figures, "exported C")


# --- the library ------------------------------------------------------------------------------------------------------
def shared_library(task: Task, rounds: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (path,) = task.kernel.export(folder, name="ours", formats=["so"], target="native")
        code = ctypes.CDLL(str(path))
    for points in (1, 10_000):
        x = [np.ascontiguousarray(array) for array in task.points(points)]
        results = [np.empty_like(array) for array in task.kernel(*x)]
        arguments = [ctypes.c_int64(points), *[address(array) for array in (*x, *results)]]
        kernel = ctypes.CFUNCTYPE(None)(task.kernel.batch_address)
        cases = [
            Case("kernel in Python", partial(kernel, *arguments)),
            Case("exported library", partial(code.ours_batch, *arguments)),
        ]
        show(f"{task.name}, {points:,} points", cases, measure(cases, points, rounds), "kernel in Python")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--case", choices=list(TASKS), action="append")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    for name in options.case or TASKS:
        task = TASKS[name]()
        sources(task, options.rounds)
        shared_library(task, options.rounds)


if __name__ == "__main__":
    main()
