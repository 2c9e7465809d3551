"""LaTeX of rolled functions keeps sums, indices and cases."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hybrid as hy

n = 50


def rosenbrock(x: Any) -> Any:
    return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


chained = hy.function(rolled=True, x=(n,))(rosenbrock)


def test_a_sum_and_its_gradient_in_cases() -> None:
    assert chained.latex() == (
        r"\mathrm{rosenbrock}(x) = \sum_{i=1}^{49} {(1 - x_{i})^{2} + 100 (x_{i+1} - x_{i}^{2})^{2}}"
    )
    gradient = chained.gradient().latex()
    assert gradient.count(r" \\ ") == 2
    assert "& i = 1 " in gradient
    assert r"& 2 \leq i \leq 49" in gradient
    assert r"200 (x_{i} - x_{i-1}^{2}) & i = 50 \end{cases}" in gradient
    assert chained._repr_latex_() == f"$\\displaystyle {chained.latex()}$"


def test_entries_of_a_hessian_by_row_and_column() -> None:
    text = chained.hessian(sparse=True, triangle="lower").latex()
    assert r"_{i+1, i} &\mathrel{+}= -400 x_{i}, \quad i = 1, \ldots, 49" in text
    assert r"_{i, i} &\mathrel{+}= " in text
    assert r"_{i+1, i+1} &\mathrel{+}= 200" in text


def test_tables_stages_and_recurrences() -> None:
    index = np.random.default_rng(0).integers(0, n, 80)
    body = lambda v, w: hy.scatter_add(n, index, v[index] * np.sum(w**2, axis=1)) - v  # noqa: E731  # short
    scatter = hy.function(rolled=True, v=(n,), w=(80, 3))(body).latex()
    assert r"_{a_{i}} &\mathrel{+}= v_{a_{i}} (w_{i, 1}^{2} + w_{i, 2}^{2} + w_{i, 3}^{2})" in scatter
    total = hy.function(rolled=True, x=(40, n))(lambda x: np.sum(hy.logsumexp(x, axis=1))).latex()
    assert r"_{i} &= \log\sum_{j=1}^{50} e^{x_{i, j}}, \quad i = 1, \ldots, 40" in total
    running = hy.function(rolled=True, x=(40,))(lambda x: np.cumsum(x)).latex()
    assert running == r"f(x)_{i} = x_{i} + f(x)_{i-1}, \quad i = 1, \ldots, 40"
    with pytest.raises(hy.ArgumentError, match="no options, got zero"):
        chained.latex(zero="0")
