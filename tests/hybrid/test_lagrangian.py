"""The Lagrangian: its arguments, its Hessian against weighted sums of Hessians, its check, its errors."""

import numpy as np
import pytest
import sympy as sp

import hybrid as hy

x, y, z = hy.symbols("x y z")
rng = np.random.default_rng(4)


@hy.function(v=(5,), p=())
def cost(v, p):
    return np.sum(v[:-1] * v[1:]) * p + np.exp(v[0])


@hy.function(v=(5,), shift=(3,))
def limits(v, shift):
    return np.sin(v[:3]) * v[2:] - shift


def test_arguments_and_values() -> None:
    lagrangian = hy.lagrangian(cost, limits)
    assert [(a.name, a.shape) for a in lagrangian.arguments] == [
        ("v", (5,)),
        ("p", ()),
        ("shift", (3,)),
        ("obj_factor", ()),
        ("lambda_", (3,)),
    ]
    v, p, shift, weights = rng.normal(size=5), 0.3, rng.normal(size=3), rng.normal(size=3)
    expected = 0.7 * cost(v, p) + weights @ limits(v, shift)
    assert np.isclose(lagrangian(v, p, shift, 0.7, weights), expected, rtol=1e-14)
    assert lagrangian.kernel.certificate.witness.startswith("Python function")


def test_the_hessian_is_the_lower_triangle_of_the_weighted_sum() -> None:
    hessian = hy.lagrangian(cost, limits).hessian(wrt="v", sparse=True, triangle="lower")
    v, shift, factor, weights = rng.normal(size=(6, 5)), np.zeros(3), rng.normal(size=6), rng.normal(size=(6, 3))
    values = hessian(v, 0.3, shift, factor, weights)
    dense = factor[:, None, None] * cost.hessian(wrt="v")(v, 0.3)
    dense += np.einsum("pi,pijk->pjk", weights, limits.hessian(wrt="v")(v, shift))
    pattern = hessian.pattern
    assert (pattern.columns <= pattern.rows).all()
    assert np.allclose(pattern.array(values), np.tril(dense), rtol=1e-12, atol=1e-14)


def test_of_sympy_functions_and_one_constraint() -> None:
    f, g = hy.Function([x, y], sp.exp(x * y), name="f"), hy.Function([x, z], x * z**2, name="g")
    lagrangian = hy.lagrangian(f, g, name="L")
    assert [a.name for a in lagrangian.arguments] == ["x", "y", "z", "obj_factor", "lambda_"]
    assert lagrangian.arguments[-1].shape == ()
    assert np.isclose(lagrangian(0.2, 0.3, 2.0, 1.0, -0.5), np.exp(0.06) - 0.5 * 0.2 * 4.0)
    assert lagrangian.hessian(wrt=["x", "y", "z"]).kernel.certificate.passed


ERRORS = [
    (lambda: hy.lagrangian(limits, limits), hy.ShapeError, r"limits has output shape \(3,\)"),
    (lambda: hy.lagrangian(cost, np.sin), hy.InputTypeError, "takes two Functions"),
    (
        lambda: hy.lagrangian(cost, hy.Function([sp.Symbol("v", real=True)], 1)),
        hy.ShapeError,
        r"shape \(5,\) in cost and \(\) in f",
    ),
    (lambda: hy.lagrangian(hy.lagrangian(cost, limits), limits), hy.ArgumentError, "'obj_factor', which lagrangian"),
]


@pytest.mark.parametrize(("call", "error", "text"), ERRORS)
def test_errors(call, error, text: str) -> None:
    with pytest.raises(error, match=text):
        call()
