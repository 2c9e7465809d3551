"""In-place operations and views: write-through, history, version checks."""

import numpy as np
import pytest

from hybrid import tape


def leaf(shape=(3, 4)):
    return tape.tensor(np.arange(1.0, 1 + np.prod(shape, dtype=int)).reshape(shape), requires_grad=True)


VIEWS = {
    "integer": lambda t: t[1], "element": lambda t: t[1, 2], "slice": lambda t: t[::2, 1:],
    "new axis": lambda t: t[:, None],
    "transpose": lambda t: t.T, "permute": lambda t: t.permute(1, 0), "reshape": lambda t: t.reshape(2, 6),
    "view": lambda t: t.view(12),
    "ravel": lambda t: t.ravel(), "squeeze": lambda t: t[:1].squeeze(0), "unsqueeze": lambda t: t.unsqueeze(0),
    "diagonal": lambda t: t.diagonal(),
    "detach": lambda t: t.detach(), "split": lambda t: t.split(2, 1)[1], "unbind": lambda t: t.unbind()[2],
    "of a view": lambda t: t.T[1:][0, ::2],
    "swapaxes": lambda t: t.swapaxes(0, 1), "flatten": lambda t: t.flatten(),
}  # fmt: skip


@pytest.mark.parametrize("name", VIEWS)
def test_views_write_through(name):
    base = tape.tensor(np.arange(12.0).reshape(3, 4))
    view = VIEWS[name](base)
    assert np.shares_memory(view.numpy(), base.numpy())
    before = base.numpy().copy()
    view += 100
    changed = base.numpy() - before
    assert set(np.unique(changed)) <= {0.0, 100.0}
    assert changed.sum() == 100 * view.size
    base.zero_()
    assert not view.numpy().any()


@pytest.mark.parametrize("name", [n for n in VIEWS if n != "detach"])
def test_history_through_views(name):
    """Changing a view changes what its base depends on, and the other way round."""

    def through_view(x):
        base = x * 1.0
        view = VIEWS[name](base)
        view.square_()
        return base * base.sum()

    def through_base(x):
        base = x * 1.0
        view = VIEWS[name](base)
        base *= x
        base[0] = base[1] * 2
        return view * view

    for function in (through_view, through_base):
        assert tape.gradcheck(function, leaf())
        assert tape.gradgradcheck(function, leaf(), atol=1e-4)


UNARY_IN_PLACE = [
    "exp_",
    "sin_",
    "sqrt_",
    "log_",
    "neg_",
    "abs_",
    "tanh_",
    "reciprocal_",
    "square_",
    "sigmoid_",
    "relu_",
    "floor_",
]


@pytest.mark.parametrize("name", UNARY_IN_PLACE)
def test_in_place_functions_are_their_functions(name):
    x = leaf()
    y = x * 0.5
    same = getattr(y, name)()
    assert same is y
    expected = getattr(tape, name[:-1])(x * 0.5)
    np.testing.assert_array_equal(y.detach().numpy(), expected.detach().numpy())
    np.testing.assert_array_equal(tape.grad(y.sum(), x)[0].numpy(), tape.grad(expected.sum(), x)[0].numpy())


@pytest.mark.parametrize("name", ["add", "sub", "mul", "div", "pow", "mod", "maximum", "minimum"])
def test_in_place_operators_are_their_operators(name):
    x, y = leaf(), leaf((4,))
    z = x * 1.0
    getattr(z, f"{name}_")(y)
    expected = getattr(tape, name)(x, y)
    for a, b in zip(tape.grad(z.sum(), (x, y)), tape.grad(expected.sum(), (x, y)), strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_operators_in_place_keep_the_object():
    t = tape.tensor([7.0, 8.0])
    same = t
    t += 1
    t -= 2
    t *= 3
    t /= 2
    t **= 2
    t %= 50
    t //= 2
    assert t is same
    np.testing.assert_array_equal(t.numpy(), (((np.array([7.0, 8.0]) - 1) * 1.5) ** 2 % 50) // 2)


def test_assignment():
    x = leaf((2,))
    t = tape.zeros(3, 2)
    t[0] = x
    t[1, 0] = 5
    t[[2, 2], [0, 1]] = x * 2
    t[t == 5] = 6.0
    assert t.tolist() == [[1.0, 2.0], [6.0, 0.0], [2.0, 4.0]]
    assert t.requires_grad
    np.testing.assert_array_equal(tape.grad((t * t).sum(), x)[0].numpy(), [2 + 8, 4 + 16])
    integers = tape.tensor([1, 2])
    integers[0] = 3.7
    assert integers.tolist() == [3, 2]


def test_fill_zero_copy():
    x = leaf((2,))
    y = x * 3
    assert y.zero_() is y
    assert y.requires_grad
    assert tape.grad((y + x).sum(), x)[0].tolist() == [1.0, 1.0]
    y = x * 3
    y.fill_(2.0)
    assert y.tolist() == [2.0, 2.0]
    y.copy_(x * 4)
    assert tape.grad(y.sum(), x)[0].tolist() == [4.0, 4.0]
    target = tape.zeros(3, 2, dtype=np.float32)
    target.copy_(x.detach())
    assert target.dtype == np.float32
    assert target[2].tolist() == [1.0, 2.0]


def test_an_optimiser_step_between_passes():
    w = leaf((2,))
    for _ in range(3):
        loss = ((w - 5) ** 2).sum()
        loss.backward()
        with tape.no_grad():
            w -= 0.25 * w.grad
        w.grad.zero_()
    np.testing.assert_allclose(w.detach().numpy(), 5 + np.array([-4.0, -3.0]) / 8)
    assert w.is_leaf
    assert w._version == 3


def broken(change):
    x = leaf((3,))
    y = x * 1.0
    view = y[1:]
    z = (y.sin() * y.exp() * x).sum()
    change(y, view)
    z.backward()


@pytest.mark.parametrize(
    "change",
    [
        lambda y, v: y.add_(1),
        lambda y, v: v.add_(1),
        lambda y, v: v[0].zero_(),
        lambda y, v: y.__setitem__(0, 2.0),
        lambda y, v: y.detach().add_(1),
        lambda y, v: y.T.mul_(2),
    ],
)
def test_a_saved_value_that_changed_is_an_error(change):
    with pytest.raises(
        RuntimeError, match=r"modified by an inplace operation: input 0 of shape .* of SinBackward; it is at version 1"
    ):
        broken(change)


def test_a_saved_result_that_changed_is_an_error():
    x = leaf((3,))
    y = x.exp()
    y[0] = 1.0
    with pytest.raises(RuntimeError, match="modified by an inplace operation: its own result of ExpBackward"):
        y.sum().backward()
    values, _ = tape.eigh(x.diag())
    values *= 2
    with pytest.raises(RuntimeError, match="its own result of LinalgEighBackward"):
        values.sum().backward()


def test_a_saved_result_that_changed_through_a_detached_tensor_is_an_error():
    x = leaf((3,))
    y = x.exp()
    z, d = y.sum(), y.detach()
    del y
    d.detach()[0] = 1.0
    with pytest.raises(RuntimeError, match="its own result of ExpBackward"):
        z.backward()


def test_a_detached_tensor_can_get_a_history_of_its_own():
    x = leaf((3,))
    y = x * 1.0
    d = y.detach()
    d[0] = x[1] * 2
    assert d.requires_grad
    assert y.tolist() == [4.0, 2.0, 3.0]
    assert tape.grad((d * d).sum(), x)[0].tolist() == [0.0, 16.0, 0.0]
    assert tape.grad(y.sum(), x)[0].tolist() == [1.0, 1.0, 1.0]


def test_a_change_of_what_no_rule_reads_is_fine():
    x = leaf((3,))
    y = x * 1.0
    z = y + 2
    y *= 3
    z += y
    assert tape.grad(z.sum(), x)[0].tolist() == [4.0, 4.0, 4.0]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda x: x.add_(1), "a leaf Variable that requires grad is being used in an in-place operation"),
        (lambda x: x.__setitem__(0, 1.0), "a leaf Variable that requires grad is being used"),
        (lambda x: x[0].add_(1), "a view of a leaf Variable that requires grad is being used"),
        (lambda x: (x * 1)[0].add_(x), r"output with shape \(4,\) doesn't match the broadcast shape \(3, 4\)"),
        (lambda x: (x[0] * 1).expand(3, 4).add_(1), "read-only"),
        (lambda x: tape.tensor([1, 2]).add_(0.5), "result type float64 can't be cast to the desired output type int64"),
        (lambda x: x[0].detach_(), "Can't detach views in-place"),
    ],
)
def test_changes_that_are_refused(change, text):
    with pytest.raises(RuntimeError, match=text):
        change(leaf())


def test_scalars_can_be_changed_in_place_too():
    x = tape.tensor(2.0, requires_grad=True)
    y = x * 3
    y += x
    y.mul_(x)
    assert y.item() == 16
    assert tape.grad(y, x)[0].item() == 16
    z = (x * 1).reshape(1)
    z[0] = 5.0
    assert z.tolist() == [5.0]


def test_strided_memory():
    memory = np.arange(24.0).reshape(4, 6)
    x = tape.from_numpy(memory[::2, ::3].T)
    y = x[1:]
    y += 100
    assert memory[0, 3] == 103
    x.requires_grad_()
    z = x * 1
    w = z.T[1]
    w.square_()
    assert tape.grad(z.sum(), x)[0].tolist() == [[1.0, 24.0], [1.0, 230.0]]


def test_numpy_functions_with_out():
    t = tape.tensor([1.0, 2.0])
    np.add(t, 1, out=t)
    assert t.tolist() == [2.0, 3.0]
