"""jacobian, hessian and products of functions: shapes, nesting, strictness, batches, forward mode; gradcheck."""

import numpy as np
import pytest

from hybrid import tape
from hybrid.errors import ArgumentError

X = np.array([[0.5, 1.5], [2.0, 2.5]])


def pair(x, y):
    return (x * y).sum(), x.exp() * y


def value(x, y):
    return (x * y).sum() ** 2 + (y**3).sum()


def test_shapes_and_nesting():
    x, y = tape.tensor(X), tape.tensor(X[0])
    single = tape.jacobian(tape.log, x)
    assert single.shape == (2, 2, 2, 2)
    np.testing.assert_array_equal(single.numpy().reshape(4, 4), np.diag(1 / X.ravel()))
    (only,) = tape.jacobian(tape.log, (x,))
    assert only.tolist() == single.tolist()
    table = tape.jacobian(pair, (x, y))
    assert [[block.shape for block in row] for row in table] == [[(2, 2), (2,)], [(2, 2, 2, 2), (2, 2, 2)]]
    blocks = tape.hessian(value, (x, y))
    assert [[block.shape for block in row] for row in blocks] == [[(2, 2, 2, 2), (2, 2, 2)], [(2, 2, 2), (2, 2)]]
    assert tape.hessian(lambda t: t**3, tape.tensor(2.0)).item() == 12
    roots = tape.hessian(lambda t: t.sqrt().sum(), x).numpy().reshape(4, 4)
    np.testing.assert_allclose(roots, np.diag(-0.25 * X.ravel() ** -1.5), rtol=1e-15)


def test_the_inputs_are_left_alone():
    x = tape.tensor(X, requires_grad=True)
    result = tape.jacobian(lambda t: t * t, x)
    assert not result.requires_grad
    assert x.grad is None
    kept = tape.jacobian(lambda t: t**3, x, create_graph=True)
    (g,) = tape.grad(kept.sum(), x)
    np.testing.assert_allclose(g.numpy(), 6 * X)
    third = tape.hessian(lambda t: (t**4).sum(), x, create_graph=True)
    np.testing.assert_allclose(tape.grad(third.sum(), x)[0].numpy(), 24 * X)


@pytest.mark.parametrize("strategy", ["reverse-mode", "forward-mode", "auto"])
@pytest.mark.parametrize("vectorize", [True, False])
def test_strategies_agree(strategy, vectorize):
    a = tape.tensor(np.random.default_rng(0).normal(size=(8, 2)))

    def function(t):
        return tape.tanh(a @ t).sin() * tape.where(t[0] > 0, t[1], tape.sqrt(-t[0]))

    rows = tape.jacobian(function, tape.tensor([0.3, 0.7]), strategy=strategy, vectorize=vectorize, create_graph=True)
    expected = tape.jacobian(function, tape.tensor([0.3, 0.7]), strategy="reverse-mode", vectorize=False)
    np.testing.assert_allclose(rows.detach().numpy(), expected.numpy(), rtol=1e-13)
    with pytest.raises(ArgumentError, match="strategy is 'auto'"):
        tape.jacobian(function, tape.tensor([0.3, 0.7]), strategy="sideways")


def passes(monkeypatch, **options):
    calls = []
    original = tape.functional.sweep
    monkeypatch.setattr(tape.functional, "sweep", lambda *args: calls.append(1) or original(*args))
    tape.jacobian(lambda t: tape.stack([t.sum()] * 40) * tape.arange(40.0), tape.tensor([1.0, 2.0]), **options)
    return len(calls)


def test_all_rows_come_from_one_pass(monkeypatch):
    assert passes(monkeypatch, vectorize=True) == 1
    monkeypatch.undo()
    assert passes(monkeypatch, vectorize=False, strategy="reverse-mode") == 40


def test_forward_mode_is_chosen_when_there_are_few_inputs(monkeypatch):
    assert passes(monkeypatch, vectorize=False) == 2


def test_large_jacobians_are_cut_into_passes(monkeypatch):
    monkeypatch.setattr(tape.functional, "_ELEMENTS_PER_PASS", 30)
    x = tape.tensor(np.arange(1.0, 11))
    np.testing.assert_array_equal(tape.jacobian(lambda t: t * t, x).numpy(), np.diag(2 * x.numpy()))


def test_products():
    x, y = tape.tensor(X), tape.tensor(X[0])
    v, w = tape.tensor(X[::-1].copy()), tape.tensor(X[1])
    jx, jy = tape.jacobian(lambda a, b: a.exp() * b, (x, y))
    out, forward = tape.jvp(lambda a, b: a.exp() * b, (x, y), (v, w))
    np.testing.assert_allclose(out.numpy(), np.exp(X) * X[0])
    np.testing.assert_allclose(forward.numpy(), np.einsum("abij,ij", jx.numpy(), v.numpy()) + jy.numpy() @ w.numpy())
    _, (back_x, back_y) = tape.vjp(lambda a, b: a.exp() * b, (x, y), v)
    np.testing.assert_allclose(back_x.numpy(), np.einsum("abij,ab", jx.numpy(), v.numpy()))
    np.testing.assert_allclose(back_y.numpy(), np.einsum("abj,ab", jy.numpy(), v.numpy()))
    ((hxx, hxy), (hyx, hyy)) = tape.hessian(value, (x, y))
    for name in ("vhp", "hvp"):
        out, (px, py) = getattr(tape, name)(value, (x, y), (v, w))
        np.testing.assert_allclose(px.numpy(), np.einsum("abij,ij", hxx.numpy(), v.numpy()) + hxy.numpy() @ w.numpy())
        np.testing.assert_allclose(py.numpy(), np.einsum("aij,ij", hyx.numpy(), v.numpy()) + hyy.numpy() @ w.numpy())
    many, several = tape.jvp(pair, (x, y), (v, w), create_graph=True)
    assert len(many) == len(several) == 2
    assert tape.jvp(tape.sin, tape.tensor(0.0))[1].item() == 1
    assert tape.vjp(tape.sin, tape.tensor(0.0))[1].item() == 1


def test_outputs_that_do_not_depend_on_inputs():
    x, y = tape.tensor(X), tape.tensor(X[0])
    _, second = tape.jacobian(lambda a, b: a.sum(), (x, y))
    assert second.tolist() == [0.0, 0.0]
    assert tape.jacobian(lambda a: tape.ones(3), x).shape == (3, 2, 2)
    assert tape.hessian(lambda a: a.sum(), x).tolist() == np.zeros((2, 2, 2, 2)).tolist()
    for function in (tape.jacobian, tape.hessian):
        with pytest.raises(RuntimeError, match="independent of input"):
            function(lambda a, b: (a * a).sum(), (x, y), strict=True)
    for function in (tape.vjp, tape.jvp, tape.vhp):
        v = {tape.vjp: None}.get(function, (x, y))
        with pytest.raises(RuntimeError, match="strict mode"):
            function(lambda a, b: tape.ones(()), (x, y), v, strict=True)
    assert tape.vjp(lambda a, b: (a * a).sum(), (x, y))[1][1].tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda x: tape.hessian(lambda t: t * 2, x), "should contain a single element, got shape"),
        (lambda x: tape.hessian(lambda t: (t.sum(), t.sum()), x), "should return a single Tensor, got 2"),
        (lambda x: tape.vjp(lambda t: t * 2, x), "v can only be None if the user-provided function has one output"),
        (lambda x: tape.jvp(lambda t: t.sum(), x), "has one input with a single element"),
        (lambda x: tape.jvp(lambda t: t.sum(), x, tape.ones(3)), r"v has shapes \[\(3,\)\], expected \[\(2, 2\)\]"),
    ],
)
def test_misuse(call, text):
    with pytest.raises(RuntimeError, match=text):
        call(tape.tensor(X))


def test_functions_must_return_tensors_of_real_inputs():
    with pytest.raises(TypeError, match="output 0 is float"):
        tape.jacobian(lambda t: 1.0, tape.tensor(X))
    with pytest.raises(ArgumentError, match="input 0 has type int64"):
        tape.jacobian(lambda t: t * 2, tape.tensor([1, 2]))


class WrongCube(tape.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return tape.where(x > 1.2, 2.0, 3.0) * x * x * g


def test_gradcheck_shows_the_entry_that_is_wrong():
    x = tape.tensor([1.0, 1.5], requires_grad=True)
    assert tape.gradcheck(lambda t: t**3, x)
    with pytest.raises(
        tape.GradcheckError,
        match=r"output 0 with respect to input 0: ∂output\[0\]\[1\] / ∂input\[0\]\[1\] is numerically 6.7[45]",
    ) as caught:
        tape.gradcheck(WrongCube.apply, x)
    assert "analytically 4.5; 1 of 4 entries differ" in str(caught.value)
    assert tape.gradcheck(WrongCube.apply, x, raise_exception=False) is False
    with pytest.raises(ValueError, match="at least one input tensor to require gradient"):
        tape.gradcheck(tape.sin, tape.tensor(1.0))


def test_gradgradcheck_finds_a_wrong_second_derivative():
    class ConstantSlope(tape.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, g):
            return 2 * ctx.saved_tensors[0].detach() * g

    x = tape.tensor([1.0, 1.5], requires_grad=True)
    assert tape.gradcheck(ConstantSlope.apply, x)
    with pytest.raises(tape.GradcheckError, match="Jacobian mismatch"):
        tape.gradgradcheck(ConstantSlope.apply, x)
    assert tape.gradgradcheck(lambda t: t**3, x, tape.tensor([1.0, 2.0], requires_grad=True))
