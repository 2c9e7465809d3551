"""ADBench's Gaussian mixture (`examples/mixture.py`): value and gradient over all parameters, beside JAX and PyTorch.

`taskset -c 1 python tests/bench/bench_mixture.py [N d K]`: one thread each, interleaved minima of one run; the peers'
gradients must agree.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import hybrid as hy

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
import mixture

ROUNDS = 12


def ours(x: Any, parameters: list[Any]) -> tuple[Callable[[], Any], float]:
    shapes = {name: np.shape(p) for name, p in zip(("alphas", "means", "factors"), parameters, strict=True)}
    begin = time.perf_counter()
    f = hy.function(**shapes)(mixture.likelihood(x))
    kernel = hy.compile(f, f.gradient(), verify=False)
    kernel(*parameters)
    return lambda: kernel(*parameters, threads=1), time.perf_counter() - begin


def lower_entries(d: int) -> tuple[Any, Any]:
    """Rows and columns of what stands below the diagonal, by columns."""
    columns, rows = np.triu_indices(d, 1)
    return rows, columns


def by_jax(x: Any, parameters: list[Any]) -> Callable[[], Any] | None:
    try:
        import jax
        import jax.numpy as jnp
    except ImportError:
        return None
    jax.config.update("jax_enable_x64", True)
    count, d = x.shape
    rows, columns = lower_entries(d)

    def f(alphas: Any, means: Any, factors: Any) -> Any:
        q = jnp.zeros((len(alphas), d, d)).at[:, jnp.arange(d), jnp.arange(d)].set(jnp.exp(factors[:, :d]))
        q = q.at[:, rows, columns].set(factors[:, d:])
        turned = jnp.einsum("kij,nkj->nki", q, x[:, None] - means[None])
        inner = alphas + factors[:, :d].sum(1) - 0.5 * (turned**2).sum(2)
        prior = 0.5 * ((jnp.exp(factors[:, :d]) ** 2).sum() + (factors[:, d:] ** 2).sum())
        return jax.scipy.special.logsumexp(inner, 1).sum() - count * jax.scipy.special.logsumexp(alphas) + prior

    both = jax.jit(jax.value_and_grad(f, (0, 1, 2)))
    return lambda: jax.block_until_ready(both(*parameters))


def by_torch(x: Any, parameters: list[Any]) -> Callable[[], Any] | None:
    try:
        import torch
    except ImportError:
        return None
    torch.set_num_threads(1)
    count, d = x.shape
    rows, columns = lower_entries(d)
    points = torch.tensor(x)

    def both() -> Any:
        alphas, means, factors = (torch.tensor(p, requires_grad=True) for p in parameters)
        q = torch.diag_embed(torch.exp(factors[:, :d]))
        q = q.index_put((slice_(len(alphas)), torch.tensor(rows)[None], torch.tensor(columns)[None]), factors[:, d:])
        turned = torch.einsum("kij,nkj->nki", q, points[:, None] - means[None])
        inner = alphas + factors[:, :d].sum(1) - 0.5 * (turned**2).sum(2)
        prior = 0.5 * ((torch.exp(factors[:, :d]) ** 2).sum() + (factors[:, d:] ** 2).sum())
        value = torch.logsumexp(inner, 1).sum() - count * torch.logsumexp(alphas, 0) + prior
        return value, torch.autograd.grad(value, (alphas, means, factors))

    def slice_(length: int) -> Any:
        return torch.arange(length)[:, None]

    return both


def main(count: int = 10_000, d: int = 10, components: int = 25) -> None:
    x, parameters = mixture.data(count, d, components)
    call, ready = ours(x, parameters)
    peers = {"JAX": by_jax(x, parameters), "PyTorch": by_torch(x, parameters)}
    calls = {"hybrid": call} | {name: peer for name, peer in peers.items() if peer is not None}
    expected = flat(call()[1])
    for name, run in calls.items():
        np.testing.assert_allclose(flat(run()[1]), expected, atol=1e-8 * np.abs(expected).max(), err_msg=name)
    least = dict.fromkeys(calls, np.inf)
    for _ in range(ROUNDS):
        for name, run in calls.items():
            begin = time.perf_counter()
            run()
            least[name] = min(least[name], time.perf_counter() - begin)
    size = sum(map(np.size, parameters))
    print(f"N = {count:,}, d = {d}, K = {components}: {size:,} parameters; ready after {ready:.2f} s")
    for name, seconds in least.items():
        print(f"    {name:8s} {seconds * 1e3:9.2f} ms  {seconds / least['hybrid']:6.2f} × ours")


def flat(gradient: Any) -> Any:
    parts = [gradient] if isinstance(gradient, np.ndarray) else list(gradient)
    return np.concatenate([np.ravel(np.asarray(part)) for part in parts])


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
