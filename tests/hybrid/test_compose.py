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
