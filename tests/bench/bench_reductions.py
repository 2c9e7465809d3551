"""Gradients summed over rows beside other tools: `python tests/bench/bench_reductions.py [--rows N] [--rounds R]`.

A network 4-16-16-1 with tanh (369 parameters) and squared errors: the loss and its gradient by all parameters, summed
over 10⁵ rows. One line per tool: ns per row on one core (least processor time of interleaved runs), ratio to this one.

Peers: JAX on the whole batch, and in blocks of rows by `lax.scan`; PyTorch; NumPy with a gradient written by hand. The
last lines are this kernel's sums beside `np.sum`: of x, of x·y, log-sum-exp.
"""

from __future__ import annotations

import argparse
import os
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import numpy as np  # noqa: E402 - after the environment
from peers import Case, gather, measure, show  # noqa: E402

import hybrid as hy  # noqa: E402

PARAMETERS = ["W1", "b1", "W2", "b2", "w3", "b3"]
BLOCK = 500  # rows of a block for JAX: the best of 100 to 5,000 here


@hy.function(x=(4,), y=(), W1=(16, 4), b1=(16,), W2=(16, 16), b2=(16,), w3=(16,), b3=())
def loss(x, y, W1, b1, W2, b2, w3, b3):  # type: ignore[no-untyped-def]  # traced
    hidden = np.tanh(W2 @ np.tanh(W1 @ x + b1) + b2)
    return (w3 @ hidden + b3 - y) ** 2


def data(rows: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    weights = {
        "W1": rng.normal(size=(16, 4)) / 2,
        "b1": rng.normal(size=16),
        "W2": rng.normal(size=(16, 16)) / 4,
        "b2": rng.normal(size=16),
        "w3": rng.normal(size=16) / 4,
        "b3": np.array(0.3),
    }
    return {"x": rng.normal(size=(rows, 4)), "y": rng.normal(size=rows)} | weights


def cases(given: dict[str, np.ndarray]) -> list[Case]:
    kernel = hy.compile(loss, loss.gradient(wrt=PARAMETERS), reduce="sum", shared=PARAMETERS)
    _, expected = kernel(**given)

    def agree(name: str, parts: Any) -> None:
        found = np.concatenate([np.ravel(np.asarray(part)) for part in parts])
        apart = np.abs(found - expected).max() / np.abs(expected).max()
        if not apart < 1e-10:
            raise AssertionError(f"{name} differs from this kernel by {apart:.1e}")

    x, y = given["x"], given["y"]
    parameters = tuple(given[name] for name in PARAMETERS)

    def this_kernel() -> Case:
        return Case("this kernel", lambda: kernel(**given, threads=1), kernel.operations)

    def numpy_by_hand() -> Case:
        def run() -> list[np.ndarray]:
            W1, b1, W2, b2, w3, b3 = parameters
            first = np.tanh(x @ W1.T + b1)
            second = np.tanh(first @ W2.T + b2)
            error = 2 * (second @ w3 + b3 - y)
            back = error[:, None] * w3 * (1 - second**2)
            further = (back @ W2) * (1 - first**2)
            return [further.T @ x, further.sum(0), back.T @ first, back.sum(0), error @ second, error.sum()]

        agree("NumPy", run())
        return Case("NumPy, gradient by hand", run)

    def jax_loss() -> Any:
        import jax
        import jax.numpy as jnp

        jax.config.update("jax_enable_x64", True)

        def total(p: Any, x: Any, y: Any) -> Any:
            W1, b1, W2, b2, w3, b3 = p
            hidden = jnp.tanh(jnp.tanh(x @ W1.T + b1) @ W2.T + b2)
            return jnp.sum((hidden @ w3 + b3 - y) ** 2)

        return jax, jax.value_and_grad(total)

    def jax_whole() -> Case:
        jax, slope = jax_loss()
        every = jax.jit(slope)
        agree("JAX", every(parameters, x, y)[1])
        return Case("JAX, whole batch", lambda: jax.block_until_ready(every(parameters, x, y)))

    def jax_blocks() -> Case:
        jax, slope = jax_loss()
        blocks = len(x) // BLOCK

        @jax.jit
        def every(p: Any, x: Any, y: Any) -> Any:
            def step(total: Any, rows: Any) -> Any:
                return jax.tree.map(lambda a, b: a + b, total, slope(p, *rows)), None

            start = jax.tree.map(lambda part: part * 0.0, (0.0, p))
            rows = (x.reshape(blocks, BLOCK, 4), y.reshape(blocks, BLOCK))
            return jax.lax.scan(step, start, rows)[0]

        agree("JAX in blocks", every(parameters, x, y)[1])
        return Case(f"JAX, blocks of {BLOCK}", lambda: jax.block_until_ready(every(parameters, x, y)))

    def pytorch() -> Case:
        import torch

        torch.set_num_threads(1)
        leaves = [torch.tensor(part, requires_grad=True) for part in parameters]
        rows, targets = torch.tensor(x), torch.tensor(y)

        def run() -> Any:
            W1, b1, W2, b2, w3, b3 = leaves
            hidden = torch.tanh(torch.tanh(rows @ W1.T + b1) @ W2.T + b2)
            return torch.autograd.grad(torch.sum((hidden @ w3 + b3 - targets) ** 2), leaves)

        agree("PyTorch", run())
        return Case("PyTorch", run)

    return gather([this_kernel, numpy_by_hand, jax_whole, jax_blocks, pytorch])


def small(rows: int, rounds: int) -> None:
    """Reductions of next to no arithmetic, at the speed of memory."""
    import sympy as sp

    a, b = hy.symbols("a b")
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=rows), rng.normal(size=rows)
    total = hy.compile(hy.Function([a], a, name="total"), reduce="sum")
    product = hy.compile(hy.Function([a, b], a * b, name="product"), reduce="sum")
    exponential = hy.compile(hy.Function([a], sp.sin(a), name="sines"), reduce="logsumexp")
    every = [
        Case("sum of x", lambda: total(x, threads=1)),
        Case("np.sum", lambda: np.sum(x)),
        Case("sum of x·y", lambda: product(x, y, threads=1)),
        Case("np.dot", lambda: np.dot(x, y)),
        Case("np.sum(x * y)", lambda: np.sum(x * y)),
        Case("log-sum-exp of sin x", lambda: exponential(x, threads=1)),
        Case("np.log(np.sum(np.exp(np.sin(x))))", lambda: np.log(np.sum(np.exp(np.sin(x))))),
    ]
    show(f"small sums, {rows:,} rows", every, measure(every, rows, rounds), "sum of x")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    every = cases(data(options.rows))
    title = f"network 4-16-16-1, 369 parameters, {options.rows:,} rows"
    show(title, every, measure(every, options.rows, options.rounds), "this kernel")
    small(options.rows, options.rounds)


if __name__ == "__main__":
    main()
