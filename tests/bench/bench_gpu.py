"""Kernels on an NVIDIA GPU beside other tools: `python tests/bench/bench_gpu.py [--points N] [--rounds R]`.

Needs an NVIDIA GPU with its driver, and CuPy for arrays there; JAX and PyTorch are compared where they are installed
and see the GPU. All arrays stay on the GPU. One line per tool and number type: ns per point (of ten runs in a row
between two CUDA events, the least of interleaved rounds), the ratio to this kernel, the bytes that must move per
nanosecond (GB/s), the operations per nanosecond (Gop/s; an elementary function is one), and the largest difference from
this kernel on the processor, relative to the largest number of the result.

Black–Scholes: the 21 distinct numbers of value, gradient and Hessian, points last. Peers: copying as many bytes, the
C written by hand and SymPy's common subexpressions of `bench_black_scholes.py` as CUDA C by NVRTC, JAX's
`jit(vmap(...))` and `torch.func`, by `torch.compile` where it takes it, which write all 31. The Panda arm: pose,
Jacobian and Hessian of a squared distance; torques and their Jacobian. Peers: JAX.

`--sums N`: the sums of the 21 numbers over N contracts (10⁷), by `kernel.reduce`; peers are the batch kernel and CuPy's
sum of what it wrote, CuPy's sum alone, and JAX's `jit` of `vmap` and a sum of each, which fuses them where it can.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from bench_black_scholes import BY_HAND, EXAMPLE, c_over_sympy
from bench_panda import DYNAMICS, PANDA, jax_dynamics, jax_kinematics

import hybrid as hy
from codegen.export.cuda_launch import load

THREADS = 128
BURST = 10
HALF_ROOT = 0.5**0.5


@dataclass
class Case:
    """A tool: what it launches, and what it has computed, rows of points last (None: not comparable)."""

    name: str
    run: Callable[[], object]
    rows: Callable[[], np.ndarray] | None = None
    operations: int = 0
    wait: Callable[[], object] = lambda: None
    room: Any = None


@dataclass
class Task:
    name: str
    kernel: Any
    points: Callable[[int], Sequence[np.ndarray]]
    peers: Sequence[Callable[[Any, Task, Sequence[Any], type], Case]]
    jax: Callable[..., Any] | None = None

    @property
    def sizes(self) -> list[int]:
        return [result.size for result in self.kernel.program.results]


# --- this library -----------------------------------------------------------------------------------------------------
def this(cp: Any, task: Task, x: Sequence[Any], dtype: type) -> Case:
    n = x[0].shape[-1]
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        path = task.kernel.export(folder, formats=["ptx"], dtype=dtype)[0]
        made = time.perf_counter() - start
        start = time.perf_counter()
        kernel = load(path)
        print(f"{task.name}: PTX made in {made:.2f} s, taken by the driver in {time.perf_counter() - start:.2f} s")
    room = cp.empty((sum(task.sizes), n), dtype)
    outs, at = [], 0
    for result in task.kernel.program.results:
        rows = room[at : at + result.size]
        # (size, n) seen as (n, shape): the distance between elements is n.
        outs.append(cp.moveaxis(rows.reshape(*result.shape, n), -1, 0))
        at += result.size
    arguments = [cp.moveaxis(array, -1, 0) for array in x]
    return Case(
        "this kernel",
        lambda: kernel(*arguments, out=outs),
        lambda: cp.asnumpy(room),
        task.kernel.program.operations,
        room=room,
    )


def copying(cp: Any, task: Task, x: Sequence[Any], dtype: type) -> Case:
    """As many bytes read and written as the kernel reads and writes together."""
    n = x[0].shape[-1]
    numbers = (sum(task.sizes) + sum(array.size // n for array in x)) * n // 2
    source, target = cp.ones(numbers, dtype), cp.empty(numbers, dtype)
    return Case("copying as many bytes", lambda: cp.copyto(target, source))


# --- peers ------------------------------------------------------------------------------------------------------------
def as_cuda(source: str, dtype: type) -> str:
    """A loop `void peer(const double *const *x, double *r, long n)` in C as a kernel with a thread for each point."""
    body = source[source.index("for (long i") :]
    body = body[body.index("{") + 1 : body.rindex("}", 0, body.rindex("}"))]
    for text, number in (("M_SQRT2", 2**0.5), ("pow(M_PI, -1.0/2.0)", np.pi**-0.5), ("M_PI", np.pi)):
        body = body.replace(text, repr(number))
    body = re.sub(r"pow\((\w+), ([2-4])\)", lambda match: "(" + "*".join([match[1]] * int(match[2])) + ")", body)
    names = "SKTRV" if "given" not in source else ""
    head = "".join(f"const double *{name} = a{k};\n" for k, name in enumerate(names))
    if not names:
        head = "const double *given[5] = {a0, a1, a2, a3, a4};\n"
    result = "r" if names else "results"
    arguments = ", ".join(f"const double *__restrict__ a{k}" for k in range(5))
    text = (
        f'extern "C" __global__ void peer({arguments}, double *__restrict__ {result}, long long n) {{\n{head}'
        f"long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;\nif (i < n) {{\n{body}\n}} }}\n"
    )
    return text if dtype is np.float64 else single(text)


def single(text: str) -> str:
    """The same in float: types, literals and functions."""
    text = re.sub(r"(?<![\w.])(\d+\.\d*(?:e-?\d+)?)(?![\w.])", r"\1f", text.replace("double", "float"))
    return re.sub(r"\b(sqrt|log|exp|erf|pow)\(", r"\1f(", text)


def nvrtc(name: str, source: Callable[[], str]) -> Callable[[Any, Task, Sequence[Any], type], Case]:
    def make(cp: Any, task: Task, x: Sequence[Any], dtype: type) -> Case:
        n = x[0].shape[-1]
        function = cp.RawKernel(as_cuda(source(), dtype), "peer")
        room = cp.empty((21, n), dtype)
        arguments = (*x, room, np.int64(n))
        blocks = -(-n // THREADS)
        return Case(name, lambda: function((blocks,), (THREADS,), arguments), lambda: cp.asnumpy(room))

    make.__name__ = name
    return make


def jax_vmap(axis: int, cp: Any, task: Task, x: Sequence[Any], dtype: type) -> Case:
    import jax

    if jax.default_backend() != "gpu":
        raise ImportError("JAX sees no GPU")
    jax.config.update("jax_enable_x64", True)
    assert task.jax is not None
    every = jax.jit(jax.vmap(task.jax, in_axes=axis, out_axes=axis))
    arguments = [jax.device_put(np.moveaxis(cp.asnumpy(array), -1, axis)) for array in x]
    start = time.perf_counter()
    jax.block_until_ready(every(*arguments))
    print(f"{task.name}: JAX compiled in {time.perf_counter() - start:.1f} s")
    made: list[Any] = []

    def run() -> None:
        made[:] = [every(*arguments)]

    name = "points last" if axis else "points first"
    return Case(f"JAX, jit(vmap), {name}", run, wait=lambda: jax.block_until_ready(made))


def jax_last(*given: Any) -> Case:
    return jax_vmap(-1, *given)


def jax_first(*given: Any) -> Case:
    return jax_vmap(0, *given)


def jax_prices(*p: Any) -> Any:
    import jax
    import jax.numpy as jnp

    def price(*p: Any) -> Any:
        S, K, T, r, sigma = p
        d1 = (jnp.log(S / K) + (r + sigma**2 / 2) * T) / (sigma * jnp.sqrt(T))
        d2 = d1 - sigma * jnp.sqrt(T)
        normal = [(1 + jax.scipy.special.erf(d * HALF_ROOT)) / 2 for d in (d1, d2)]
        return S * normal[0] - K * jnp.exp(-r * T) * normal[1]

    places = tuple(range(5))
    return price(*p), jax.grad(price, places)(*p), jax.hessian(price, places)(*p)


def torch_func(cp: Any, task: Task, x: Sequence[Any], dtype: type) -> Case:
    import torch

    if not torch.cuda.is_available():
        raise ImportError("PyTorch sees no GPU")

    def price(p: Any) -> Any:
        S, K, T, r, sigma = p.unbind()
        d1 = (torch.log(S / K) + (r + sigma**2 / 2) * T) / (sigma * torch.sqrt(T))
        d2 = d1 - sigma * torch.sqrt(T)
        normal = [(1 + torch.erf(d * HALF_ROOT)) / 2 for d in (d1, d2)]
        return S * normal[0] - K * torch.exp(-r * T) * normal[1]

    def all_three(p: Any) -> Any:
        return price(p), torch.func.grad(price)(p), torch.func.hessian(price)(p)

    every = torch.func.vmap(all_three, in_dims=-1, out_dims=-1)
    arguments = torch.stack([torch.as_tensor(cp.asnumpy(array), device="cuda") for array in x])
    name = "PyTorch, vmap"
    try:
        fast = torch.compile(every)
        start = time.perf_counter()
        fast(arguments)
        print(f"{task.name}: torch.compile in {time.perf_counter() - start:.1f} s")
        every, name = fast, "PyTorch, torch.compile(vmap)"
    except Exception as error:  # it takes some derivatives of derivatives and not others
        print(f"torch.compile: {type(error).__name__}; PyTorch runs without", file=sys.stderr)

    def run() -> None:
        every(arguments)

    return Case(name, run, wait=torch.cuda.synchronize)


# --- measuring --------------------------------------------------------------------------------------------------------
def tasks() -> list[Task]:
    call, tau = EXAMPLE.call, DYNAMICS.tau
    market = hy.compile(call, call.gradient(), call.hessian(sparse=True, triangle="lower"), name="black_scholes")
    arm = hy.compile(PANDA.pose, PANDA.pose.jacobian(), PANDA.miss.hessian(wrt="q"), name="panda")
    dynamics = hy.compile(tau, tau.jacobian(wrt=["q", "qd"]), name="panda_dynamics")
    hand, cse = nvrtc("CUDA C by hand", lambda: BY_HAND), nvrtc("CUDA C of SymPy's cse", c_over_sympy)
    return [
        Task("Black–Scholes", market, EXAMPLE.contracts, [copying, hand, cse, jax_last, torch_func], jax_prices),
        Task("Panda kinematics", arm, PANDA.postures, [copying, jax_last, jax_first], jax_kinematics),
        Task("Panda dynamics", dynamics, DYNAMICS.motions, [copying, jax_last, jax_first], jax_dynamics),
    ]


def timed(cp: Any, case: Case) -> float:
    """Seconds of one of several runs in a row, between two events on the GPU, so that launching overlaps computing."""
    first, last = cp.cuda.Event(), cp.cuda.Event()
    cp.cuda.runtime.deviceSynchronize()
    first.record()
    for _ in range(BURST):
        case.run()
    case.wait()
    last.record()
    last.synchronize()
    return float(cp.cuda.get_elapsed_time(first, last)) * 1e-3 / BURST


def fastest(cp: Any, cases: Sequence[Case], rounds: int) -> dict[str, float]:
    """Least seconds of interleaved rounds by name, after one that is not counted."""
    best = dict.fromkeys((case.name for case in cases), np.inf)
    for number in range(rounds + 1):
        for case in cases:
            seconds = timed(cp, case)
            if number:
                best[case.name] = min(best[case.name], seconds)
    return best


def measure(cp: Any, task: Task, n: int, rounds: int, dtype: type) -> None:
    given = [np.ascontiguousarray(np.moveaxis(array, 0, -1)).astype(dtype) for array in task.points(n)]
    x = [cp.asarray(array) for array in given]
    cases = [this(cp, task, x, dtype)]
    for make in task.peers:
        try:
            cases.append(make(cp, task, x, dtype))
        except Exception as error:  # a peer that fails for any reason is named and left out
            print(f"left out: {make.__name__}, {type(error).__name__}: {str(error)[:300]}", file=sys.stderr)
    best = fastest(cp, cases, rounds)
    few = min(n, 2000)
    exact = task.kernel(*[np.moveaxis(array[..., :few], -1, 0).astype(np.float64) for array in given])
    exact = np.concatenate([np.moveaxis(r, 0, -1).reshape(-1, few) for r in exact])
    # of a result's largest number: entries that are zero but for rounding have no size of their own
    ends = np.cumsum(task.sizes)
    blocks = [exact[end - size : end] for end, size in zip(ends, task.sizes, strict=True)]
    scale = np.concatenate([np.full((len(block), 1), np.abs(block).max()) for block in blocks])
    moved = (sum(task.sizes) + sum(array.size // n for array in x)) * np.dtype(dtype).itemsize
    print(f"\n{task.name}, {np.dtype(dtype).name}, {n:,} points, {moved} bytes per point")
    print(f"{'':<42}{'ns':>10}{'× this':>9}{'GB/s':>9}{'Gop/s':>9}{'difference':>12}")
    for case in cases:
        ns = best[case.name] * 1e9 / n
        apart = ""
        if case.rows is not None:
            rows = case.rows()[:, :few]
            apart = f"{(np.abs(rows - exact) / scale).max():.1e}"
        rate = f"{case.operations / ns:.0f}" if case.operations else ""
        ratio = ns * n * 1e-9 / best["this kernel"]
        print(f"{case.name:<42}{ns:>10.4f}{ratio:>9.2f}{moved / ns:>9.0f}{rate:>9}{apart:>12}", flush=True)


# --- sums -------------------------------------------------------------------------------------------------------------
def sums(cp: Any, n: int, rounds: int, dtype: type) -> None:
    """Value, gradient and Hessian of n contracts, each summed."""
    call = EXAMPLE.call
    functions = (call, call.gradient(), call.hessian(sparse=True, triangle="lower"))
    each = Task("sums", hy.compile(*functions, name="black_scholes"), EXAMPLE.contracts, [])
    given = [np.ascontiguousarray(array).astype(dtype) for array in each.points(n)]
    x = [cp.asarray(array) for array in given]
    with tempfile.TemporaryDirectory() as folder:
        reduced = hy.compile(*functions, reduce="sum", name="black_scholes_sums")
        kernel = load(reduced.export(folder, formats=["ptx"], dtype=dtype)[0])
    outs = [cp.empty(result.shape, dtype) for result in reduced.program.results]
    batch = this(cp, each, x, dtype)
    batch.run()
    room = batch.room
    total = cp.empty(len(room), dtype)

    def after() -> None:
        batch.run()
        cp.sum(room, axis=1, out=total)

    cases = [
        Case("this kernel, reduce", lambda: kernel.reduce(*x, out=outs)),
        Case("this kernel, batch; sum by CuPy", after),
        Case("CuPy's sum alone", lambda: cp.sum(room, axis=1, out=total)),
    ]
    try:
        cases.append(jax_sums(x, cp))
    except Exception as error:  # a peer that fails for any reason is named and left out
        print(f"left out: JAX, {type(error).__name__}: {str(error)[:300]}", file=sys.stderr)
    best = fastest(cp, cases, rounds)
    exact = np.concatenate([np.ravel(r) for r in reduced(*[array.astype(np.float64) for array in given])])
    size = np.concatenate([np.full(r.size, np.abs(np.ravel(cp.asnumpy(r))).max()) for r in outs])
    mine = np.concatenate([np.ravel(cp.asnumpy(r)) for r in outs])
    print(f"\nSums over {n:,} contracts, {np.dtype(dtype).name}")
    print(f"{'':<42}{'ms':>10}{'× this':>9}{'difference':>12}")
    apart = {"this kernel, reduce": mine, "this kernel, batch; sum by CuPy": cp.asnumpy(total)}
    for case in cases:
        differs = f"{(np.abs(apart[case.name] - exact) / size).max():.1e}" if case.name in apart else ""
        ratio = best[case.name] / best["this kernel, reduce"]
        print(f"{case.name:<42}{best[case.name] * 1e3:>10.4f}{ratio:>9.2f}{differs:>12}", flush=True)


def jax_sums(x: Sequence[Any], cp: Any) -> Case:
    import jax
    import jax.numpy as jnp

    if jax.default_backend() != "gpu":
        raise ImportError("JAX sees no GPU")
    jax.config.update("jax_enable_x64", True)
    every = jax.vmap(jax_prices)
    summed = jax.jit(lambda *p: jax.tree.map(lambda values: jnp.sum(values, axis=0), every(*p)))
    arguments = [jax.device_put(cp.asnumpy(array)) for array in x]
    jax.block_until_ready(summed(*arguments))
    made: list[Any] = []

    def run() -> None:
        made[:] = [summed(*arguments)]

    return Case("JAX, jit(vmap) and sums", run, wait=lambda: jax.block_until_ready(made))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=4_000_000)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--sums", type=int, metavar="N", help="only the sums over N contracts")
    options = parser.parse_args()
    try:
        import cupy as cp
    except ImportError as error:
        raise SystemExit("CuPy is needed for arrays on the GPU: pip install cupy-cuda13x") from error
    print(f"{cp.cuda.runtime.getDeviceProperties(0)['name'].decode()}")
    if options.sums is not None:
        for dtype in (np.float64, np.float32):
            sums(cp, options.sums, options.rounds, dtype)
        return
    for task in tasks():
        for dtype in (np.float64, np.float32):
            measure(cp, task, options.points, options.rounds, dtype)


if __name__ == "__main__":
    main()
