"""Sparse derivatives of rolled functions by coloured products, where the structure is no sum over templates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hybrid as hy
from hybrid.evaluate import evaluate

numbers = np.random.default_rng(3)
GROUPS, WIDE = 3, 17  # groups of coupled elements, of more than are written out


def shares(x: Any) -> Any:
    """A softmax along each row."""
    return np.exp(x - hy.logsumexp(x, axis=1, keepdims=True)) * x


def walks(x: Any, start: Any) -> Any:
    """Short recurrences side by side."""
    place, speed = hy.scan(
        lambda s, u: (s[0] + 0.1 * s[1], s[1] + 0.1 * u - 0.2 * np.sin(s[0])), (start, start * 0.5), x
    )
    return place**2 + speed


CASES: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "softmax in rows": (shares, {"x": (GROUPS, WIDE)}),
    "norms of rows": (lambda x: np.sum(np.sqrt(1 + np.sum(x * x, axis=1)) ** 3), {"x": (GROUPS, WIDE)}),
    "log-sum-exp of rows": (lambda x: np.sum(hy.logsumexp(x * x, axis=1) ** 2), {"x": (GROUPS, WIDE)}),
    "maxima of rows": (lambda x: np.sum(np.max(x * x, axis=1) ** 2), {"x": (GROUPS, WIDE)}),
    "one row for each maximum": (lambda x: np.max(x * x, axis=1), {"x": (GROUPS, WIDE)}),
    "columns": (lambda x: np.sum(np.exp(np.sum(x**2, axis=0) / 9)) + np.sum(x**3), {"x": (WIDE, GROUPS)}),
    "recurrences": (walks, {"x": (4, 15), "start": (15,)}),
    "a cost of recurrences": (lambda x, start: np.sum(walks(x, start) ** 2), {"x": (4, 15), "start": (15,)}),
    "backwards": (
        lambda x: np.sum(hy.scan(lambda s, u: np.cos(s) * u + u * u, np.zeros(18), x, reverse=True) ** 2),
        {"x": (5, 18)},
    ),
    "running sums of rows": (lambda x: np.sum(np.sin(np.cumsum(x, axis=1))), {"x": (15, 5)}),
    "two arguments": (
        lambda x, w: np.sum(np.tanh(np.sum(x * w[:, None], axis=1)) ** 2),
        {"x": (GROUPS, WIDE), "w": (GROUPS,)},
    ),
    "scattered, then squared": (
        lambda x: np.sum(np.exp(hy.scatter_add(8, np.arange(40) // 5, np.sin(x)))),
        {"x": (40,)},
    ),
}


def pair(name: str) -> tuple[Any, Any, list[Any]]:
    body, shapes = CASES[name]
    arrays = [numbers.uniform(0.2, 0.9, shape) * numbers.choice([-1.0, 1.0], shape) for shape in shapes.values()]
    return hy.function(rolled=True, **shapes)(body), hy.function(rolled=False, **shapes)(body), arrays


def evaluated(flat: Any, arrays: list[Any]) -> Any:
    """The outputs of a function that is written out, without compiling it."""
    variables = {
        node: number
        for argument, array in zip(flat.arguments, arrays, strict=True)
        for node, number in zip(argument.nodes, np.ravel(array).tolist(), strict=True)
    }
    return np.array(evaluate(flat.graph, flat.nodes, variables))


@pytest.mark.parametrize("name", CASES)
def test_coloured_matrices(name: str) -> None:
    rolled, flat, arrays = pair(name)
    if rolled.shape:
        ours, theirs = rolled.jacobian(sparse=True), flat.jacobian(sparse=True)
    else:
        ours, theirs = rolled.hessian(sparse=True), flat.hessian(sparse=True)
        lower = rolled.hessian(sparse=True, triangle="lower")
        full = theirs.pattern.array(evaluated(theirs, arrays))
        np.testing.assert_allclose(lower.pattern.array(lower.reference(*arrays)), np.tril(full), rtol=1e-9, atol=1e-11)
    assert ours.origin.method == "coloured"
    wanted = theirs.pattern.array(evaluated(theirs, arrays))
    np.testing.assert_allclose(ours.pattern.array(ours.reference(*arrays)), wanted, rtol=1e-9, atol=1e-11)
    assert 2 * ours.pattern.nnz <= ours.pattern.shape[0] * ours.pattern.shape[1]


@pytest.mark.parametrize("name", ["softmax in rows", "a cost of recurrences", "maxima of rows", "backwards"])
def test_native(name: str) -> None:
    rolled, _, arrays = pair(name)
    derived = rolled.jacobian(sparse=True) if rolled.shape else rolled.hessian(sparse=True, triangle="lower")
    kernel = hy.compile(rolled, derived)
    assert kernel.certificate is not None
    assert kernel.certificate.passed
    result = kernel(*arrays)[1]
    np.testing.assert_allclose(result, derived.reference(*arrays), rtol=1e-10, atol=1e-12)
    assert np.array_equal(result, kernel(*arrays, threads=2)[1])


def test_it_is_told_which_method() -> None:
    f = hy.function(rolled=True, x=(1000, 20))(shares)
    jacobian = f.jacobian(sparse=True)
    assert jacobian.pattern.nnz == 1000 * 20 * 20
    told: Any = jacobian.explain()
    assert told.method == "coloured"
    assert "20 colours, forward" in str(told)
    assert told.operations == jacobian.kernel.operations
    rows = hy.function(rolled=True, x=(500, 20))(lambda x: np.max(x * x, axis=1)).jacobian(sparse=True)
    assert "1 colours, reverse" in str(rows.explain())
    chain = hy.function(rolled=True, x=(3000,))(lambda x: np.sum((x[1:] - x[:-1] ** 2) ** 2))
    told = chain.hessian(sparse=True).explain()
    assert told.method == "templates"
    assert "8,998 of 3,000 × 3,000 entries" in str(told)
    assert {times for _, _, times in told.counts} == {2999}


def test_what_is_dense_is_refused() -> None:
    softmax = hy.function(rolled=True, x=(3000,))(lambda x: np.exp(x - hy.logsumexp(x)))
    with pytest.raises(hy.UnsupportedError, match=r"not sparse by structure: .*log-sum-exp.*, and "):
        softmax.jacobian(sparse=True)
    running = hy.function(rolled=True, x=(20_000,))(lambda x: np.sum(np.sin(np.cumsum(x))))
    with pytest.raises(hy.UnsupportedError, match="pairs of an element and a variable"):
        running.hessian(sparse=True)
