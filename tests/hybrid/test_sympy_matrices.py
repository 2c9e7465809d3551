"""SymPy's matrix expressions: values against NumPy, systems instead of expanded inverses, certificates."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sympy as sp

import hybrid as hy

A, B, b = sp.MatrixSymbol("A", 4, 4), sp.MatrixSymbol("B", 4, 4), sp.MatrixSymbol("b", 4, 1)
random = np.random.default_rng(5)
a_, b_, v_ = random.normal(size=(4, 4)), random.normal(size=(4, 4)), random.normal(size=4)
inv = np.linalg.inv(a_)

CASES: list[tuple[Any, Any]] = [
    (A + 2 * B - A.T, a_ + 2 * b_ - a_.T),
    (A * B * b, a_ @ b_ @ v_),
    (A.inv() * b, inv @ v_),
    (A.inv() * B * b, inv @ b_ @ v_),
    (b.T * A.inv() * b, v_ @ inv @ v_),
    (sp.Inverse(A), inv),
    (sp.Inverse(A).T * B, inv.T @ b_),
    (A**3, np.linalg.matrix_power(a_, 3)),
    (A**-2, inv @ inv),
    (sp.HadamardProduct(A, B.T) * b, (a_ * b_.T) @ v_),
    (sp.Determinant(A), np.linalg.det(a_)),
    (sp.Trace(A * B.T), np.trace(a_ @ b_.T)),
    (sp.Determinant(A[0:2, 1:3]) * sp.Trace(A), np.linalg.det(a_[:2, 1:3]) * np.trace(a_)),
    (A * sp.Identity(4) + sp.ZeroMatrix(4, 4), a_),
    (sp.Inverse(sp.BlockMatrix([[A[:2, :2], b[:2, :]], [b[:2, :].T, sp.Identity(1)]])),
     np.linalg.inv(np.block([[a_[:2, :2], v_[:2, None]], [v_[None, :2], np.ones((1, 1))]]))),
    (A[1:3, ::2] * b[2:4, :], a_[1:3, ::2] @ v_[2:]),
]  # fmt: skip


@pytest.mark.parametrize(("expression", "expected"), CASES, ids=[str(case[0])[:40] for case in CASES])
def test_values(expression: Any, expected: Any) -> None:
    f = hy.Function([A, B, b], expression)
    got = hy.compile(f, verify=False)(a_, b_, v_)
    np.testing.assert_allclose(got, np.reshape(expected, np.shape(got)), rtol=1e-11, atol=1e-12)


def test_a_solution_costs_what_it_costs_in_traced_code() -> None:
    f = hy.Function([A, b], A.inv() * b)
    traced = hy.function(A=(4, 4), b=(4,))(lambda A, b: np.linalg.solve(A, b))
    assert hy.compile(f, f.jacobian(), verify=False).operations == (
        hy.compile(traced, traced.jacobian(), verify=False).operations
    )


def test_the_check_runs_the_expressions_themselves() -> None:
    f = hy.Function([A, b], A.inv() * b)
    certificate = hy.compile(f).certificate
    assert certificate.passed
    assert "SymPy expressions" in str(certificate)
