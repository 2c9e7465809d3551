"""SymPy sums over indexed arrays: rolled against written out, by SymPy itself and by the graph."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sympy as sp

import hybrid as hy

i, j = sp.symbols("i j", integer=True)
n, m = sp.symbols("n m", integer=True, positive=True)
a = sp.Symbol("a", real=True)
X, Y = sp.IndexedBase("x", shape=(n,)), sp.IndexedBase("y", shape=(n - 1,))
A, W = sp.IndexedBase("A", shape=(m, n)), sp.IndexedBase("w")
numbers = np.random.default_rng(11)
MATRIX = numbers.normal(size=(7, 6))
GATHER = numbers.integers(0, 6, 7).astype(float)

CHAIN = sp.Sum(100 * (X[i + 1] - X[i] ** 2) ** 2 + (1 - X[i]) ** 2, (i, 0, n - 2))
SQUARES = sp.Sum((sp.Sum(A[i, j] * X[j], (j, 0, n - 1)) - a) ** 2, (i, 0, m - 1))
CASES: dict[str, tuple[list[Any], Any]] = {
    "chain": ([(X, 6)], CHAIN),
    "two arrays": ([(X, 6), (Y, 5), a], sp.Sum(sp.sin(X[i]) * Y[i] * a, (i, 0, n - 2)) + a**2 * X[0]),
    "indices as numbers": ([(X, 6)], sp.Sum((-1) ** i * i * X[i] ** 2 / (i + 1), (i, 0, n - 1))),
    "strides": ([(X, 6)], sp.Sum(X[2 * i] * sp.exp(X[2 * i + 1]), (i, 0, n / 2 - 1))),
    "two indices": ([(X, 6)], sp.Sum(sp.cos(X[i] - X[j]), (i, 0, n - 1), (j, 0, n - 1))),
    "least squares, a matrix of variables": ([(A, (7, 6)), (X, 6), a], SQUARES),
    "a sum inside a function": ([(X, 6)], sp.exp(sp.Sum(X[i], (i, 0, n - 1)) / 10) * CHAIN),
    "cases": ([(X, 6)], sp.Sum(sp.Piecewise((X[i] ** 2, i < 3), (X[i] ** 3, True)), (i, 0, n - 1))),
    "a triangle": (
        [(X, 6)],
        sp.Sum(sp.Piecewise((X[i] * X[j], sp.Le(j, i)), (0, True)), (i, 0, n - 1), (j, 0, n - 1)),
    ),
    "limits the wrong way round": ([(X, 6)], sp.Sum(X[i] ** 2, (i, 4, 1)) + sp.Sum(X[i], (i, 3, 2))),
    "several outputs": ([(X, 6)], [CHAIN, sp.Sum(X[i] ** 2, (i, 1, n - 1)), X[3] * X[2]]),
    "places that are no line": ([(X, 6)], sp.Sum(X[sp.Mod(i * i, 5)] * X[i], (i, 0, n - 1))),
}


@pytest.mark.parametrize("name", CASES)
def test_rolled_and_written_out(name: str) -> None:
    inputs, outputs = CASES[name]
    rolled, flat = hy.Function(inputs, outputs, rolled=True), hy.Function(inputs, outputs, rolled=False)
    assert rolled.rolled
    assert not flat.rolled
    assert isinstance(rolled, hy.Function)
    assert [(x.name, x.shape) for x in rolled.arguments] == [(x.name, x.shape) for x in flat.arguments]
    point = [numbers.uniform(0.2, 0.9, argument.shape) for argument in rolled.arguments]
    np.testing.assert_allclose(rolled.reference(*point), flat(*point), rtol=1e-12)  # type: ignore[attr-defined]  # of rolled ones
    pairs = [(rolled.jacobian(), flat.jacobian())]
    if rolled.shape == ():
        pairs.append((rolled.gradient(), flat.gradient()))
        if name not in ("a sum inside a function",):
            pairs.append((rolled.hessian(), flat.hessian()))
    for ours, theirs in pairs:
        np.testing.assert_allclose(ours.reference(*point), theirs(*point), rtol=1e-10, atol=1e-10)  # type: ignore[attr-defined]


def test_data_and_gathers() -> None:
    """Least squares with data, one index read from data; the value by NumPy."""
    data, place = sp.IndexedBase("D", shape=(m, n)), sp.IndexedBase("p")
    residual = sp.Sum(data[i, j] * X[j], (j, 0, n - 1)) - X[place[i]]
    f = hy.Function([X, (data, MATRIX), (place, GATHER)], sp.Sum(residual**2, (i, 0, m - 1)))
    assert f.rolled
    x = numbers.normal(size=6)
    wanted = np.sum((MATRIX @ x - x[GATHER.astype(int)]) ** 2)
    np.testing.assert_allclose(f(x), wanted, rtol=1e-13)
    design = MATRIX.copy()
    design[np.arange(7), GATHER.astype(int)] -= 1
    np.testing.assert_allclose(f.gradient()(x), 2 * design.T @ (design @ x), rtol=1e-12)
    np.testing.assert_allclose(f.hessian()(x), 2 * design.T @ design, rtol=1e-12, atol=1e-14)
    other = f.with_data(D=2 * MATRIX)  # type: ignore[attr-defined]
    np.testing.assert_allclose(other(x), np.sum((2 * MATRIX @ x - x[GATHER.astype(int)]) ** 2), rtol=1e-13)


def test_large_ones_are_rolled_and_change_their_length() -> None:
    f = hy.Function([(X, 20_000)], CHAIN, name="chain")
    gradient, hessian = f.gradient(), f.hessian(sparse=True, triangle="lower")
    assert f.rolled
    assert hessian.pattern.nnz == 2 * 20_000 - 1
    kernel = hy.compile(f, gradient, hessian)
    assert kernel.certificate is not None
    assert kernel.certificate.passed
    x = numbers.normal(size=20_000)
    value, slope, _ = kernel(x)
    np.testing.assert_allclose(value, np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2), rtol=1e-12)
    wanted = np.zeros_like(x)
    wanted[1:] += 200 * (x[1:] - x[:-1] ** 2)
    wanted[:-1] -= 400 * x[:-1] * (x[1:] - x[:-1] ** 2) + 2 * (1 - x[:-1])
    np.testing.assert_allclose(slope, wanted, rtol=1e-10, atol=1e-9)
    np.testing.assert_allclose(f.with_data(x=(5,))(np.full(5, 2.0)), 4 * (400 + 1), rtol=1e-14)  # type: ignore[attr-defined]
    assert "\\sum_{i=1}^{19999}" in f.latex()
    assert not hy.Function([(X, 5)], CHAIN).rolled
    short = sp.IndexedBase("x", shape=(5,))
    assert not hy.Function([short], CHAIN.subs(n, 5).xreplace({X.subs(n, 5): short})).rolled
    assert hy.Function([(W, 50_000)], sp.Sum(W[i] ** 2, (i, 0, 49_999))).rolled


def test_errors_say_what_is_wrong() -> None:
    def make(inputs: Any, outputs: Any) -> Any:
        return hy.Function(inputs, outputs, rolled=True)

    with pytest.raises(hy.ShapeError, match=r"read at 1 … 6 for i = 0 … 5, but x has elements 0 … 5"):
        make([(X, 6)], sp.Sum(X[i] + X[i + 1], (i, 0, n - 1)))
    with pytest.raises(hy.ShapeError, match=r"give it a concrete one"):
        make([X], CHAIN)
    with pytest.raises(hy.ShapeError, match=r"cannot be \(6,\) with n = 6"):
        make([(X, 6), (Y, 6)], CHAIN)
    with pytest.raises(hy.UnsupportedError, match=r"limits of the sum over j are 0 and i, which depend"):
        make([(X, 6)], sp.Sum(sp.Sum(X[j], (j, 0, i)) ** 2, (i, 0, n - 1)))
    with pytest.raises(hy.UnsupportedError, match=r"0 and m, not whole numbers"):
        make([(X, 6)], sp.Sum(X[0] * i, (i, 0, m)))
    with pytest.raises(hy.ArgumentError, match=r"use a, which is not among the inputs \(x\)"):
        make([(X, 6)], a * CHAIN)
    with pytest.raises(hy.ArgumentError, match=r"array w, which is not among"):
        make([(X, 6)], sp.Sum(X[i] * W[i], (i, 0, n - 1)))
    with pytest.raises(hy.UnsupportedError, match=r"product over i"):
        make([(X, 6)], sp.Product(X[i], (i, 0, n - 1)))
    with pytest.raises(hy.UnsupportedError, match=r"depends on a"):
        make([(X, 6), a], sp.Sum(X[i + a], (i, 0, 2)))
    with pytest.raises(hy.UnsupportedError, match="IndexedBase"):
        make([a], a**2)
    with pytest.raises(hy.InputTypeError, match="takes a shape such as"):
        make([(X, "six")], CHAIN)
    with pytest.raises(hy.ShapeError, match="positive lengths"):
        make([(X, 0)], CHAIN)
    with pytest.raises(hy.ArgumentError, match="twice"):
        make([(X, 6), ("z", X.subs(n, 6))], CHAIN)
