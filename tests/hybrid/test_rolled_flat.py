"""Templates found in what was written out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sympy as sp

import hybrid as hy
from hybrid.rolled import flat

n = 300
WEIGHTS = np.random.default_rng(2).normal(size=n)


def chained(x: Any) -> Any:
    total = 0
    for i in range(n - 1):
        total = total + 100 * (x[i + 1] - x[i] ** 2) ** 2 - (1 - x[i]) ** 3
    return total


def mixed(x: Any, a: Any) -> Any:
    """Outputs of three structures: with a factor that all share, with numbers that differ, and a sum."""
    scale = np.exp(a)
    rows = [scale * np.sin(x[i]) * WEIGHTS[i] + x[(i + 1) % n] * x[i - 1] for i in range(n)]
    return np.stack([*rows, sum(np.cos(x[i]) * WEIGHTS[i] for i in range(n)), x[0] / a])


def nested(x: Any) -> Any:
    """A sum over rows of squares of sums."""
    return sum(sum(x[i] * x[(i + j) % n] for j in range(40)) ** 2 for i in range(50))


@pytest.mark.parametrize(("body", "shapes", "templates"), [
    (chained, {"x": (n,)}, 3), (mixed, {"x": (n,), "a": ()}, 6), (nested, {"x": (n,)}, 4),
])  # fmt: skip
def test_loops_are_found_again(body: Any, shapes: dict[str, Any], templates: int) -> None:
    written = hy.function(rolled=False, **shapes)(body)
    found = written.roll()
    assert found.rolled
    assert len(found.model.needed([found.output])) <= templates
    arrays = [np.random.default_rng(0).uniform(0.5, 1.5, shape) for shape in shapes.values()]
    derived = [found, found.vjp()] + ([found.gradient(), found.hvp()] if found.shape == () else [])
    if body is not nested:
        derived.append(found.jacobian(sparse=True))
    if body is chained:
        derived.append(found.hessian(sparse=True, triangle="lower"))
        assert derived[-1].pattern == written.hessian(sparse=True, triangle="lower").pattern
    kernel = hy.compile(*derived)
    assert kernel.certificate.passed
    assert "node by node" in kernel.certificate.witness
    np.testing.assert_allclose(found(*arrays), body(*arrays), rtol=1e-12)


def test_sums_of_sympy() -> None:
    x = sp.symbols(f"x:{n}")
    f = hy.Function([("x", np.array(x, dtype=object))], sp.Add(*[sp.sin(x[i]) * x[i + 1] ** 2 for i in range(n - 1)]))
    rolled = f.roll()
    assert len(rolled.model.needed([rolled.output])) == 1
    at = np.linspace(0, 1, n)
    np.testing.assert_allclose(rolled(at), np.sum(np.sin(at[:-1]) * at[1:] ** 2), rtol=1e-13)
    gradient = hy.compile(rolled.gradient())
    np.testing.assert_allclose(gradient(at), f.gradient()(at), rtol=1e-12)


def test_large_functions_are_rolled_when_they_are_traced_and_compiled() -> None:
    def many(x: Any) -> Any:
        return sum((x[i + 1] - x[i] ** 2) ** 2 + np.exp(x[i]) for i in range(3_499))

    traced = hy.function(x=(3_500,))(many)
    assert traced.rolled
    plain = hy.function(rolled=False, x=(3_500,))(many)
    kernel = hy.compile(plain, plain.gradient(), plain.hessian(sparse=True))
    assert type(kernel).__name__ == "RolledKernel"
    assert len(kernel.templates) <= 3
    x = np.linspace(-1, 1, 3_500)
    np.testing.assert_allclose(kernel(x)[1], traced.gradient()(x), rtol=1e-13)


def test_what_does_not_repeat_stays_as_it_is() -> None:
    def irregular(x: Any) -> Any:
        value = x[0]
        for i in range(1, 30):
            value = np.sin(value) * x[i] if i % 2 else np.exp(value) + x[i]
        return value

    f = hy.function(x=(30,))(irregular)
    with pytest.raises(hy.UnsupportedError, match="too little that repeats"):
        f.roll()
    with pytest.raises(hy.UnsupportedError, match="roll what it is of"):
        f.gradient().roll()
    assert flat.roll(f.graph, f.arguments, f.nodes, f.shape) is None
