"""Operations of one's own: Function with its context, and kernels (pairs of array functions) as operations."""

import gc
import weakref

import numpy as np
import pytest

from hybrid import tape
from hybrid.errors import ArgumentError


class Cube(tape.Function):
    @staticmethod
    def forward(ctx, x, power=3):
        ctx.save_for_backward(x)
        ctx.power = power
        return x**power

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return ctx.power * x ** (ctx.power - 1) * g, None


class Exponential(tape.Function):
    """Saves its result."""

    @staticmethod
    def forward(ctx, x):
        result = x.exp()
        ctx.save_for_backward(result)
        return result

    @staticmethod
    def backward(ctx, g):
        (result,) = ctx.saved_tensors
        return g * result


class SumAndProduct(tape.Function):
    """Two results, two inputs, and the newer style with setup_context."""

    @staticmethod
    def forward(x, y):
        return x + y, x * y

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, g_sum, g_product):
        x, y = ctx.saved_tensors
        return g_sum + g_product * y, (g_sum + g_product * x).sum(axis=0) if ctx.needs_input_grad[1] else None


def leaf(*values):
    return tape.tensor(values, requires_grad=True)


@pytest.mark.parametrize(
    "function", [lambda x: Cube.apply(x, 3), Exponential.apply, lambda x: Exponential.apply(Cube.apply(x, 2)) * x]
)
def test_derivatives_of_every_order(function):
    x = leaf(0.5, 1.0)
    assert tape.gradcheck(function, x)
    assert tape.gradgradcheck(function, x)
    assert tape.jacobian(function, x).shape == (2, 2)
    assert function(x).grad_fn.name() in ("CubeBackward", "ExponentialBackward", "MulBackward")


def test_several_results_and_broadcasting_adjoints():
    x, y = tape.tensor(np.arange(1.0, 7).reshape(3, 2), requires_grad=True), leaf(2.0, 3.0)
    for function in (lambda a, b: SumAndProduct.apply(a, b), lambda a, b: SumAndProduct.apply(a, b)[1]):
        assert tape.gradcheck(function, (x, y))
        assert tape.gradgradcheck(function, (x, y))
    total, _ = SumAndProduct.apply(x, y)
    gx, gy = tape.grad(total.sum(), (x, y))
    assert gx.tolist() == [[1.0, 1.0]] * 3
    assert gy.tolist() == [3.0, 3.0]


def test_missing_adjoints_can_stay_missing():
    seen = []

    class Pair(tape.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.set_materialize_grads(False)
            whole = tape.tensor([1, 2])
            ctx.mark_non_differentiable(whole)
            return x * 2, x * 3, whole

        @staticmethod
        def backward(ctx, *grads):
            seen.append(grads)
            return grads[1] * 3

    x = leaf(1.0, 2.0)
    _, second, whole = Pair.apply(x)
    assert not whole.requires_grad
    second.sum().backward()
    assert seen[0][0] is None
    assert seen[0][2] is None
    assert x.grad.tolist() == [3.0, 3.0]


def test_without_recording_nothing_is_kept():
    assert not Cube.apply(tape.tensor([1.0]), 3).requires_grad
    with tape.no_grad():
        assert not Cube.apply(leaf(1.0), 3).requires_grad


def test_saved_tensors_are_checked_and_freed():
    x = leaf(1.0, 2.0)
    y = x * 1.0
    z = Cube.apply(y, 3)
    y += 1
    with pytest.raises(RuntimeError, match=r"modified by an inplace operation: input 0 .* of CubeBackward"):
        z.sum().backward()
    z = Exponential.apply(x)
    z.mul_(2)
    with pytest.raises(RuntimeError, match="its own result of ExponentialBackward"):
        z.sum().backward()
    z = Cube.apply(x, 3).sum()
    z.backward()
    with pytest.raises(RuntimeError, match="Trying to backward through the graph a second time"):
        z.backward()


def test_a_saved_result_makes_no_reference_cycle():
    gc.disable()
    try:
        x = leaf(1.0, 2.0)
        z = Exponential.apply(x)
        node = weakref.ref(z.grad_fn)
        del z
        assert node() is None
    finally:
        gc.enable()


class Broken(tape.Function):
    result: object = None

    @staticmethod
    def forward(ctx, x, y):
        return x * y

    @staticmethod
    def backward(ctx, g):
        return Broken.result


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (tape.ones(2), r"BrokenBackward returned an incorrect number of gradients \(expected 2, got 1\)"),
        (
            (tape.ones(2), tape.ones(3)),
            r"invalid gradient at index 1 - got \[3\] but expected shape compatible with \[2\]",
        ),
    ],
)
def test_wrong_backwards_are_named(result, text):
    Broken.result = result
    with pytest.raises(RuntimeError, match=text):
        Broken.apply(leaf(1.0, 2.0), leaf(1.0, 2.0)).sum().backward()


def test_misuse():
    class NoTensor(tape.Function):
        @staticmethod
        def forward(ctx, x):
            return 1.0

    class Saves(tape.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(3)

    class Empty(tape.Function):
        pass

    with pytest.raises(TypeError, match=r"NoTensor.forward must return tensors, got float"):
        NoTensor.apply(leaf(1.0))
    with pytest.raises(TypeError, match="can only save variables"):
        Saves.apply(leaf(1.0))
    with pytest.raises(NotImplementedError, match="forward"):
        Empty.apply(leaf(1.0))


def test_once_differentiable():
    class Numbers(tape.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        @tape.once_differentiable
        def backward(ctx, g):
            return tape.tensor(2 * ctx.saved_tensors[0].detach().numpy() * g.detach().numpy())

    x = leaf(1.0, 3.0)
    assert tape.grad(Numbers.apply(x).sum(), x)[0].tolist() == [2.0, 6.0]
    (g,) = tape.grad((Numbers.apply(x) ** 2).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="marked with @once_differentiable"):
        g.sum().backward()


# A kernel: f(x, p) = p sum(x²) for x of shape batch + (3,), p of shape batch + (), in plain arrays.
def value(x, p):
    return p * np.sum(x * x, axis=-1)


def vjp(x, p, g):
    return 2 * (g * p)[..., None] * x, g * np.sum(x * x, axis=-1)


def vjp_of_vjp(x, p, g, u, v):
    """The adjoints of x, p and g for adjoints u, v of the two results of `vjp`."""
    return (
        2 * (g * p)[..., None] * u + 2 * (v * g)[..., None] * x,
        2 * g * np.sum(u * x, axis=-1),
        2 * p * np.sum(u * x, axis=-1) + v * np.sum(x * x, axis=-1),
    )


@pytest.mark.parametrize("shapes", [((3,), ()), ((4, 3), (4,)), ((4, 3), ()), ((3,), (4,))])
def test_a_kernel_is_a_node(shapes):
    operation = tape.from_kernel(value, tape.from_kernel(vjp, tape.from_kernel(vjp_of_vjp)), name="Energy")
    random = np.random.default_rng(0)
    x, p = (tape.tensor(random.uniform(0.5, 1.5, s), requires_grad=True) for s in shapes)
    result = operation(x, p)
    np.testing.assert_array_equal(result.detach().numpy(), value(x.detach().numpy(), p.detach().numpy()))
    assert result.grad_fn.name() == "EnergyBackward"
    assert tape.gradcheck(operation, (x, p))
    assert tape.gradgradcheck(operation, (x, p))
    assert tape.gradcheck(lambda a, b: tape.sin(operation(a * 2, b)), (x, p))


def test_a_kernel_with_several_results():
    operation = tape.from_kernel(lambda x: (np.sin(x), np.cos(x)), lambda x, g, h: g * np.cos(x) - h * np.sin(x))
    x = leaf(0.3, 0.8)
    assert tape.gradcheck(operation, x)
    assert tape.gradcheck(lambda t: operation(t)[1], x)


def test_kernels_that_cannot_be_differentiated_say_so():
    x = leaf(0.3, 0.8)
    with pytest.raises(RuntimeError, match="Kernel has no vector-Jacobian product"):
        tape.from_kernel(np.sin)(x).sum().backward()
    once = tape.from_kernel(np.sin, lambda a, g: g * np.cos(a), name="Sine")
    with pytest.raises(RuntimeError, match="Sine can be differentiated once"):
        tape.grad(once(x).sum(), x, create_graph=True)
    with pytest.raises(ArgumentError, match="must return 1 adjoints, got 2"):
        tape.from_kernel(np.sin, lambda a, g: (g, g))(x).sum().backward()
