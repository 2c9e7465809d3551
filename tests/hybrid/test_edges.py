"""Conventions at the edges: the same first and second derivatives from kernels, from the graph and on the tape."""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import sympy as sp

import hybrid as hy
from hybrid import tape
from hybrid.evaluate import evaluate

INF, NAN = np.inf, np.nan

# function, point, gradient, Hessian (None: no convention)
EDGES: dict[str, tuple[Callable[..., Any], Sequence[Any], list[float], list[float] | None]] = {
    "x**0": (lambda x: x**0, [0.0], [0], [0]),
    "x**1": (lambda x: x**1, [0.0], [1], [0]),
    "x**2": (lambda x: x**2, [0.0], [0], [2]),
    "x**3": (lambda x: x**3, [0.0], [0], [0]),
    "x**-1": (lambda x: x**-1, [0.0], [-INF], [INF]),
    "x**0.5": (lambda x: x**0.5, [0.0], [INF], [-INF]),
    "x**1.5": (lambda x: x**1.5, [0.0], [0], [INF]),
    "x**2.5": (lambda x: x**2.5, [0.0], [0], [0]),
    "x**y at 0, 0": (lambda x, y: x**y, [0.0, 0.0], [0, 0], [0, 0, 0, 0]),
    "x**y at 0, 1": (lambda x, y: x**y, [0.0, 1.0], [1, 0], None),
    "x**y at 0, 2": (lambda x, y: x**y, [0.0, 2.0], [0, 0], [2, 0, 0, 0]),
    "x**y at 0, 3": (lambda x, y: x**y, [0.0, 3.0], [0, 0], [0, 0, 0, 0]),
    "x**y at 0, ½": (lambda x, y: x**y, [0.0, 0.5], [INF, 0], None),
    "x**y at 0, −1": (lambda x, y: x**y, [0.0, -1.0], [-INF, -INF], [INF, INF, INF, INF]),
    "x**y at −2, 2": (lambda x, y: x**y, [-2.0, 2.0], [-4, NAN], [2, NAN, NAN, NAN]),
    "0**y": (lambda y: 0.0**y, [2.0], [0], [0]),
    "abs": (np.abs, [0.0], [0], [0]),
    "x |x|": (lambda x: x * np.abs(x), [0.0], [0], [0]),
    "maximum": (np.maximum, [1.0, 1.0], [0.5, 0.5], [0, 0, 0, 0]),
    "minimum": (np.minimum, [1.0, 1.0], [0.5, 0.5], [0, 0, 0, 0]),
    "max(x, 0)²": (lambda x: np.maximum(x, 0) ** 2, [0.0], [0], [0.5]),
    "atan2": (np.arctan2, [0.0, 0.0], [0, 0], [0, 0, 0, 0]),
    "hypot": (np.hypot, [0.0, 0.0], [0, 0], [0, 0, 0, 0]),
    "norm": (np.linalg.norm, [np.zeros(2)], [0, 0], [0, 0, 0, 0]),
    "sqrt": (np.sqrt, [0.0], [INF], [-INF]),
    "sqrt not taken": (lambda x: np.where(x > 0, np.sqrt(x), x * x), [-1.0], [-2], [2]),
    "log not taken": (lambda x: np.where(x > 0, np.log(x) * x, 0 * x), [0.0], [0], [0]),
    "sign": (np.sign, [0.0], [0], [0]),
    "clip": (lambda x: np.clip(x, -1, 1), [1.0], [1], [0]),
    "mod": (lambda x: x % 2.0, [4.0], [1], [0]),
    "copysign": (np.copysign, [0.0, 1.0], [0, 0], [0, 0, 0, 0]),
    "xlogy at 0, 0": (hy.xlogy, [0.0, 0.0], [0, NAN], None),
    "xlogy at 0, 2": (hy.xlogy, [0.0, 2.0], [np.log(2), 0], [0, 0.5, 0.5, 0]),
    "sinc": (np.sinc, [0.0], [0], [-(np.pi**2) / 3]),
    "logaddexp": (np.logaddexp, [1.0, 1.0], [0.5, 0.5], [0.25, -0.25, -0.25, 0.25]),
}


def signature(function: Callable[..., Any], count: int) -> Callable[..., Any]:
    return (lambda a: function(a)) if count == 1 else (lambda a, b: function(a, b))


def by_tape(function: Callable[..., Any], points: Sequence[Any]) -> tuple[Any, Any]:
    """Gradient and Hessian by the numeric tape; what depends on nothing has derivative 0."""
    leaves = [tape.tensor(np.asarray(point, float), requires_grad=True) for point in points]
    first = tape.grad(function(*leaves), leaves, create_graph=True, allow_unused=True)
    sizes = [np.size(point) for point in points]
    gradient, rows = [], []
    for slope, size in zip(first, sizes, strict=True):
        entries = [tape.tensor(0.0)] * size if slope is None else list(slope.reshape(-1))
        gradient += [float(np.asarray(entry.detach())) for entry in entries]
        for entry in entries:
            second: Sequence[Any] = [None] * len(leaves)
            with contextlib.suppress(RuntimeError):  # constant
                second = tape.grad(entry, leaves, retain_graph=True, allow_unused=True)
            parts = [
                np.zeros(s) if g is None else np.ravel(g.detach().numpy()) for g, s in zip(second, sizes, strict=True)
            ]
            rows.append(np.concatenate(parts))
    return gradient, np.concatenate(rows)


@pytest.mark.parametrize("name", EDGES)
def test_edges(name: str) -> None:
    function, points, gradient, hessian = EDGES[name]
    shapes = {"ab"[i]: np.shape(point) for i, point in enumerate(points)}
    traced = hy.function(**shapes)(signature(function, len(points)))
    on_tape = by_tape(function, points)
    for derived, want, taped in zip((traced.gradient(), traced.hessian()), (gradient, hessian), on_tape, strict=True):
        if want is None:
            continue
        values = {node: np.ravel(p)[i] for a, p in zip(derived.arguments, points, strict=True)
                  for i, node in enumerate(a.nodes)}  # fmt: skip
        compiled = np.ravel(hy.compile(derived, verify=False)(*points))
        for got in (compiled, evaluate(derived.graph, derived.nodes, values), taped):
            np.testing.assert_allclose(got, want, rtol=1e-15, atol=0, err_msg=name)


def test_logaddexp_and_floor_division_at_infinities_are_numpys() -> None:
    grid = np.array([INF, -INF, 0.0, 2.5, -2.5, NAN])
    a, b = (part.ravel() for part in np.meshgrid(grid, grid))
    with np.errstate(all="ignore"):
        for function in (np.logaddexp, np.logaddexp2, np.floor_divide):
            kernel = hy.compile(hy.function(a=(), b=())(signature(function, 2)), verify=False)
            np.testing.assert_allclose(kernel(a, b), function(a, b), rtol=1e-15, err_msg=str(function))


# --- extremes of several values ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("tied", [1, 2, 3, 4, 5, 7])
@pytest.mark.parametrize("reduce", [np.max, np.min, lambda v: np.linalg.norm(v, np.inf), np.maximum.reduce])
def test_the_tied_extremes_of_an_array_share_evenly(tied, reduce):
    @hy.function(v=(7,))
    def f(v):
        return reduce(v)

    point = np.full(7, 3.0 if reduce is np.min else 1.0)
    point[-tied:] = 2.0
    expected = np.where(point == 2.0, 1 / tied, 0.0)
    np.testing.assert_allclose(f.gradient()(point), expected, rtol=1e-15)
    assert hy.compile(f, f.gradient(), f.hessian()).certificate.special > 0
    tape = hy.tape.tensor(point, requires_grad=True)
    reduce(tape).backward()
    np.testing.assert_allclose(tape.grad.numpy(), expected, rtol=1e-15)


def test_the_tied_extremes_of_a_sympy_expression_share_evenly():
    x, y, z = sp.symbols("x y z", real=True)
    for extreme in (sp.Max, sp.Min):
        f = hy.Function([x, y, z], extreme(x, y, z))
        np.testing.assert_allclose(f.gradient()(1.0, 1.0, 1.0), [1 / 3] * 3, rtol=1e-15)
        np.testing.assert_allclose(pickle.loads(pickle.dumps(f)).gradient()(1.0, 1.0, 1.0), [1 / 3] * 3, rtol=1e-15)
        assert hy.compile(f, f.gradient(), f.hessian()).certificate.special > 0


def test_nested_maxima_split_pair_by_pair():
    @hy.function(x=(), y=(), z=())
    def f(x, y, z):
        return np.maximum(np.maximum(x, y), z)

    np.testing.assert_array_equal(f.gradient()(1.0, 1.0, 1.0), [0.25, 0.25, 0.5])


def test_a_singular_value_that_is_no_extreme_leaves_no_nan():
    @hy.function(v=(3,))
    def f(v):
        return np.max(np.sqrt(v))

    np.testing.assert_array_equal(f.gradient()(np.array([0.0, 1.0, 4.0])), [0.0, 0.0, 0.25])
