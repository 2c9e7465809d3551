"""Random programs over arrays: everything derived from them rolled against the same written out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hybrid as hy
from hybrid.evaluate import evaluate

SIZES = (3, 18, 20)  # arrays shorter and longer than what is written out


def program(seed: int) -> tuple[Any, dict[str, Any]]:
    """A function of two vectors and a scalar, and their shapes; the same choices at every call."""
    sizes = np.random.default_rng(seed)
    shapes: dict[str, Any] = {"x": (int(sizes.choice(SIZES)),), "y": (int(sizes.choice(SIZES)),), "a": ()}

    def body(x: Any, y: Any, a: Any) -> Any:
        random = np.random.default_rng(seed + 1)
        pool = [x, y, x * a]
        for _ in range(int(random.integers(2, 6))):
            pool.append(step(random, pool, a))
        last = pool[-1]
        return np.sum(last * np.cos(last)) + a * np.sum(pool[-2] ** 2) if random.random() < 0.6 else last * a + last**2

    return body, shapes


def step(random: np.random.Generator, pool: list[Any], a: Any) -> Any:
    """One more vector."""
    u, v = (pool[int(random.integers(len(pool)))] for _ in range(2))
    n, length = len(u), int(random.integers(2, 20))
    gather = random.integers(0, n, length)
    other = random.integers(0, len(v), length)
    kind = int(random.integers(11))
    if kind == 0:
        return np.sin(u[1:]) * u[:-1] if n > 1 else u
    if kind == 1:
        return u[gather] * v[other] + a
    if kind == 2:
        return np.concatenate([u * u, v[::-1], u[:1] * v[-1:]])[:25]
    if kind == 3:
        return np.stack([u[gather], v[other] * a], axis=int(random.integers(2))).reshape(-1)[:22]
    if kind == 4:
        return u * np.tanh(np.sum(v * v) / len(v))
    if kind == 5:
        return hy.scatter_add(int(gather.max()) + 2, gather, np.exp(v[other] / 2))
    if kind == 6:
        return hy.scan(lambda s, e: s * 0.5 + np.sin(e) * a, a, u)
    if kind == 7:
        first, second = hy.scan(lambda s, e: (s[0] - 0.1 * s[1] * e, s[1] + 0.2 * s[0]), (v[0], 1.0), u)
        return first * second
    if kind == 8:
        table = u[gather][:, None] * v[None, :4]
        return np.sum(table * table, axis=int(random.integers(2)))
    if kind == 9:
        return np.where(u > 0.1, u**2, np.cos(u)) - hy.logsumexp(u) / 4
    return u + np.max(v) * np.cumsum(u)


def check(seed: int) -> None:
    body, shapes = program(seed)
    rolled: Any = hy.function(rolled=True, **shapes)(body)
    flat = hy.function(rolled=False, **shapes)(body)
    random = np.random.default_rng(seed + 2)
    arrays = [random.uniform(0.2, 0.9, shape) * random.choice([-1.0, 1.0], shape) for shape in shapes.values()]
    dots = [random.normal(size=shape) for shape in shapes.values()]
    direction = np.concatenate([np.ravel(dot) for dot in dots])
    bar = random.normal(size=rolled.shape)
    jacobian = written_out(flat.jacobian(), arrays).reshape(flat.size, -1)
    same(rolled.reference(*arrays), written_out(flat, arrays), f"value, {seed}")
    same(rolled.jvp().reference(*arrays, *dots), jacobian @ direction, f"jvp, {seed}")
    same(rolled.vjp().reference(*arrays, bar), np.ravel(bar) @ jacobian, f"vjp, {seed}")
    matrix(rolled.jacobian, jacobian, arrays, f"jacobian, {seed}")
    if rolled.shape == ():
        hessian = written_out(flat.hessian(method="forward"), arrays).reshape(len(direction), -1)
        same(rolled.gradient().reference(*arrays), jacobian, f"gradient, {seed}")
        same(rolled.hvp().reference(*arrays, *dots), hessian @ direction, f"hvp, {seed}")
        matrix(rolled.hessian, hessian, arrays, f"hessian, {seed}")
        matrix(rolled.hessian, np.tril(hessian), arrays, f"lower hessian, {seed}", triangle="lower")


def matrix(derive: Any, wanted: Any, arrays: list[Any], what: str, **options: Any) -> None:
    """A sparse derivative, unless it is refused for its structure."""
    try:
        ours = derive(sparse=True, **options)
    except hy.UnsupportedError as error:
        if "not sparse by structure" not in str(error):
            raise
        return
    same(ours.pattern.array(ours.reference(*arrays)), wanted, what)


def written_out(flat: Any, arrays: list[Any]) -> Any:
    variables = {
        node: number
        for argument, array in zip(flat.arguments, arrays, strict=True)
        for node, number in zip(argument.nodes, np.ravel(array).tolist(), strict=True)
    }
    return np.array(evaluate(flat.graph, flat.nodes, variables), dtype=float)


def same(ours: Any, theirs: Any, what: str) -> None:
    scale = max(float(np.max(np.abs(theirs), initial=0.0)), 1e-30)
    np.testing.assert_allclose(np.ravel(ours) / scale, np.ravel(theirs) / scale, rtol=0, atol=1e-11, err_msg=what)


@pytest.mark.parametrize("seed", range(12))
def test_random_programs(seed: int) -> None:
    check(1000 * seed)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(200))
def test_many_random_programs(seed: int) -> None:
    check(1000 * seed + 500_000)
