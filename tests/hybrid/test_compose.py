"""Functions inside traced functions and on tensors of the numeric tape."""

import numpy as np
import pytest
import sympy as sp

import hybrid as hy

x, y = hy.symbols("x y")
wave = hy.Function([x, y], [sp.sin(x) * y, sp.Piecewise((sp.sqrt(x), x > 0), (y, True)), 2], name="wave")


@hy.function(q=(3,))
def inner(q):
    return np.stack([np.sum(q**2), q[0] * hy.erf(q[1])])


def test_a_function_inside_a_traced_function() -> None:
    @hy.function(q=(3,), s=())
    def outer(q, s):
        a = inner(q * s)
        return a[0] * wave(a[1], s)[0] + inner.jacobian()(q)[1, 2]

    q, s = np.array([0.3, 0.7, -1.1]), 1.3
    a = inner(q * s)
    assert np.isclose(outer(q, s), a[0] * wave(a[1], s)[0], rtol=1e-14)
    assert hy.compile(outer, outer.gradient()).certificate.passed


@pytest.mark.parametrize("at", [0.4, -0.4])
def test_a_sympy_function_on_tensors(at: float) -> None:
    t, u = (hy.tape.tensor(value, requires_grad=True) for value in (at, 1.5))
    result = wave(t, u)
    assert result.shape == (3,)
    assert np.allclose(result.detach().numpy(), wave(at, 1.5), rtol=1e-15)
    slopes = hy.tape.jacobian(lambda a, b: wave(a, b), (t, u))
    assert np.allclose([s.numpy() for s in slopes], wave.jacobian()(at, 1.5).T, rtol=1e-14)


def test_a_derivative_on_tensors() -> None:
    q = hy.tape.tensor([0.3, 0.7, -1.1], requires_grad=True)
    slopes = inner.jacobian()(q)
    assert np.allclose(slopes.detach().numpy(), inner.jacobian()(q.detach().numpy()), rtol=1e-14)
    curvature = hy.tape.jacobian(inner.jacobian(), q)
    assert np.allclose(curvature.numpy(), inner.hessian()(q.detach().numpy()), rtol=1e-13)


def test_named_arguments_and_errors() -> None:
    t = hy.tape.tensor(0.5, requires_grad=True)
    assert wave(t, y=2.0)[0].item() == pytest.approx(np.sin(0.5) * 2)
    with pytest.raises(hy.ArgumentError, match="missing: y"):
        wave(t)


def test_a_kernel_on_the_tape_to_second_order() -> None:
    f = hy.Function([x, y], sp.exp(x * y) + sp.sin(x), name="f")
    kernel = hy.compile(f, f.gradient())
    a = hy.tape.tensor([0.3, -0.2, 0.9], requires_grad=True)
    b = hy.tape.tensor(1.4, requires_grad=True)

    def through(a, b):
        value, slope = kernel(a, b)
        return (value * slope[:, 1]).sum()

    def plain(a, b):
        value = np.exp(a * b) + np.sin(a)
        return (value * (a * np.exp(a * b))).sum()

    for found, expected in zip(hy.tape.grad(through(a, b), [a, b]), hy.tape.grad(plain(a, b), [a, b]), strict=True):
        assert found.shape == expected.shape
        assert np.allclose(found.numpy(), expected.numpy(), rtol=1e-13)
    for found, expected in zip(hy.tape.hessian(through, (a, b)), hy.tape.hessian(plain, (a, b)), strict=True):
        for block, same in zip(found, expected, strict=True):
            assert np.allclose(block.numpy(), same.numpy(), rtol=1e-12)


def test_a_kernel_on_the_tape_takes_no_out() -> None:
    kernel = hy.compile(hy.Function([x], sp.sin(x)))
    with pytest.raises(hy.ArgumentError, match="do not go with tensors"):
        kernel(hy.tape.tensor(1.0), out=np.empty(()))
