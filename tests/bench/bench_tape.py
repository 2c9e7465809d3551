"""The numeric tape beside HIPS autograd and PyTorch, one thread each: `python tests/bench/bench_tape.py`.

One line per task and size: microseconds (the least of interleaved runs) for each tool, and the tape's time divided by
theirs, with the bound where one is promised: a chain of 1,000 scalar operations at most 0.5× autograd and 1.0×
PyTorch, the gradient of an MLP 4-16-16-1 with tanh over 100,000 rows at most 1.3× PyTorch. Then time and memory of a
graph of 10⁶ nodes: at most 400 bytes per node beyond the data. Tools that are not installed are left out.
`--rounds R` (default 15).
"""

from __future__ import annotations

import argparse
import importlib
import os
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

# One thread for all: pools of threads read these when they are imported.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import numpy as np  # noqa: E402 - after the environment

from hybrid import tape  # noqa: E402

Run = Callable[[], Any]
RANDOM = np.random.default_rng(0)


def installed(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        print(f"{name} is not installed: left out")
        return None


torch, autograd = installed("torch"), installed("autograd")
if torch is not None:
    torch.set_num_threads(1)
autograd_numpy = None if autograd is None else importlib.import_module("autograd.numpy")


@dataclass(frozen=True)
class Task:
    """The same calculation in each tool, each returning a number to compare, and the promised bounds by tool."""

    name: str
    runs: dict[str, Run]
    bounds: dict[str, float] = field(default_factory=dict)


def chain(x: Any, sin: Callable[[Any], Any], count: int) -> Any:
    start = x
    for _ in range(count // 4):
        x = sin(x)
        x = x * 0.9
        x = x + start
        x = x / 2.0
    return x


def chain_task(count: int) -> Task:
    def hybrid() -> float:
        x = tape.tensor(0.5, requires_grad=True)
        chain(x, tape.sin, count).backward()
        return x.grad.item()  # type: ignore[union-attr]

    runs: dict[str, Run] = {"hybrid": hybrid}
    if torch is not None:

        def by_torch() -> float:
            x = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
            chain(x, torch.sin, count).backward()
            return x.grad.item()  # type: ignore[no-any-return]

        runs["torch"] = by_torch
    if autograd is not None:
        derivative = autograd.grad(lambda x: chain(x, autograd_numpy.sin, count))
        runs["autograd"] = lambda: float(derivative(0.5))
    return Task(f"chain of {count:,} scalar operations", runs, {"torch": 1.0, "autograd": 0.5} if count == 1000 else {})


def mlp(rows: Any, weights: list[Any], tanh: Callable[[Any], Any]) -> Any:
    w1, b1, w2, b2, w3, b3 = weights
    out = tanh(tanh(rows @ w1 + b1) @ w2 + b2) @ w3 + b3
    return out * out


def mlp_task(count: int) -> Task:
    rows = RANDOM.normal(size=(count, 4))
    weights = [RANDOM.normal(size=s) / 2 for s in ((4, 16), (16,), (16, 16), (16,), (16, 1), (1,))]

    def hybrid() -> float:
        ws = [tape.tensor(w, requires_grad=True) for w in weights]
        mlp(tape.from_numpy(rows), ws, tape.tanh).mean().backward()
        return ws[0].grad.numpy()[0, 0]  # type: ignore[union-attr,no-any-return]

    runs: dict[str, Run] = {"hybrid": hybrid}
    if torch is not None:
        their_rows = torch.from_numpy(rows)

        def by_torch() -> float:
            ws = [torch.tensor(w, requires_grad=True) for w in weights]
            mlp(their_rows, ws, torch.tanh).mean().backward()
            return float(ws[0].grad[0, 0])

        runs["torch"] = by_torch
    if autograd is not None:
        derivative = autograd.grad(lambda ws: autograd_numpy.mean(mlp(rows, ws, autograd_numpy.tanh)))
        runs["autograd"] = lambda: float(derivative(weights)[0][0, 0])
    return Task(f"MLP gradient, {count:,} rows", runs, {"torch": 1.3} if count == 100_000 else {})


def hessian_task(count: int) -> Task:
    data = RANDOM.uniform(0.5, 1.5, count)

    def hybrid() -> float:
        return float(tape.hessian(lambda x: (x.exp() * x.roll(1, 0)).sum() ** 2, tape.tensor(data)).numpy()[0, 1])

    runs: dict[str, Run] = {"hybrid": hybrid}
    if torch is not None:
        point = torch.from_numpy(data)

        def by_torch() -> float:
            function = lambda x: (x.exp() * x.roll(1, 0)).sum() ** 2  # noqa: E731 - as in the run above
            return float(torch.autograd.functional.hessian(function, point, vectorize=True)[0, 1])

        runs["torch"] = by_torch
    return Task(f"Hessian, {count} variables, batched", runs)


def measure(task: Task, rounds: int) -> None:
    best = dict.fromkeys(task.runs, float("inf"))
    answers = {tool: run() for tool, run in task.runs.items()}
    for tool, answer in answers.items():
        if abs(answer - answers["hybrid"]) > 1e-9 * abs(answer):
            raise SystemExit(f"{task.name}: {tool} gives {answer!r}, hybrid {answers['hybrid']!r}")
    for _ in range(rounds):
        for tool, run in task.runs.items():
            start = time.perf_counter()
            run()
            best[tool] = min(best[tool], time.perf_counter() - start)
    parts = [f"{task.name:38s} hybrid {best['hybrid'] * 1e6:10,.0f} µs"]
    for tool, seconds in best.items():
        if tool != "hybrid":
            ratio = best["hybrid"] / seconds
            bound = task.bounds.get(tool)
            verdict = "" if bound is None else f" (at most {bound}: {'yes' if ratio <= bound else 'NO'})"
            parts.append(f"{tool} {seconds * 1e6:10,.0f} µs  ratio {ratio:.2f}{verdict}")
    print("   ".join(parts))


def large_graph(count: int) -> None:
    """Time to record and walk a graph of `count` nodes; and its memory, on a smaller one because tracing is slow."""
    start = time.perf_counter()
    x = tape.tensor(0.5, requires_grad=True)
    y = x
    for _ in range(count):
        y = y * 1.0000001
    recorded = time.perf_counter()
    y.backward()
    walked = time.perf_counter()
    del y
    freed = time.perf_counter()
    print(
        f"graph of {count:,} nodes: recorded {recorded - start:.2f} s, walked {walked - recorded:.2f} s, "
        f"freed {freed - walked:.2f} s"
    )
    nodes = count // 10
    tracemalloc.start()
    y = x
    for _ in range(nodes):
        y = tape.sin(y)
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    y.backward()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    number = np.float64(0).nbytes + 24  # the data of a scalar: an object of 32 bytes
    verdict = "yes" if peak / nodes - number <= 400 else "NO"
    print(
        f"memory beyond the data: {held / nodes - number:.0f} bytes per node recorded, {peak / nodes - number:.0f} at "
        f"the peak of the pass (at most 400: {verdict})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    for task in (
        *map(chain_task, (100, 1000, 10_000)),
        *map(mlp_task, (100, 1000, 100_000)),
        *map(hessian_task, (10, 100)),
    ):
        measure(task, rounds)
    large_graph(1_000_000)


if __name__ == "__main__":
    main()
