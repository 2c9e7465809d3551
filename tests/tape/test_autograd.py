"""backward and grad: accumulation, graphs freed and kept, hooks, modes, tensors, and the errors of misuse."""

import threading

import numpy as np
import pytest

from hybrid import tape
from hybrid.errors import InputTypeError


def leaf(values=(1.0, 2.0)):
    return tape.tensor(values, requires_grad=True)


def test_gradients_accumulate_until_zeroed():
    x = leaf()
    assert x.grad is None
    for count in (1, 2, 3):
        (x * x).sum().backward()
        np.testing.assert_array_equal(x.grad.numpy(), count * np.array([2.0, 4.0]))
    x.grad.zero_()
    assert x.grad.tolist() == [0.0, 0.0]
    (x * x).sum().backward()
    assert x.grad.tolist() == [2.0, 4.0]
    x.grad = None
    assert x.grad is None
    (x * x).sum().backward()
    kept = x.grad
    tape.zero_grad([x], set_to_none=False)
    assert x.grad.tolist() == [0.0, 0.0]
    tape.zero_grad(x)
    assert x.grad is None
    assert kept.tolist() == [2.0, 4.0]


def test_the_gradient_of_two_leaves_is_not_one_array():
    x, y = leaf(), leaf()
    (x + y).sum().backward()
    x.grad.zero_()
    assert y.grad.tolist() == [1.0, 1.0]


def test_backward_takes_a_gradient_and_inputs():
    x, y = leaf(), leaf()
    z = x * y
    z.backward(tape.tensor([1.0, 10.0]), retain_graph=True)
    assert x.grad.tolist() == [1.0, 20.0]
    tape.zero_grad([x, y])
    z.backward(np.array([1.0, 1.0]), inputs=[x])
    assert x.grad.tolist() == [1.0, 2.0]
    assert y.grad is None
    middle = x * 2
    (middle * middle).sum().backward(inputs=middle)
    assert middle.grad.tolist() == [4.0, 8.0]
    with pytest.raises(RuntimeError, match="'inputs' argument to backward cannot be empty"):
        z.backward(inputs=[])


def test_backward_of_several_tensors_adds_up():
    x = leaf()
    tape.backward([x.sum(), x * x], [None, tape.tensor([1.0, 0.5])])
    assert x.grad.tolist() == [3.0, 3.0]


def test_backward_that_creates_a_graph():
    x = leaf(3.0)
    (x**3).backward(create_graph=True)
    assert x.grad.item() == 27
    first = x.grad
    x.grad = None
    first.backward()
    assert x.grad.item() == 18


def test_grad_leaves_grad_alone_and_sums_over_outputs():
    x, y = leaf(), leaf((3.0, 4.0))
    (gx, gy) = tape.grad([(x * y).sum(), y * 2], [x, y], [None, tape.tensor([1.0, 1.0])])
    assert gx.tolist() == [3.0, 4.0]
    assert gy.tolist() == [3.0, 4.0]
    assert x.grad is None
    assert tape.grad(x.sum(), x)[0].tolist() == [1.0, 1.0]


def test_grad_of_inputs_that_are_no_leaves():
    x = leaf()
    middle = x.exp()
    end = (middle * middle).sum()
    g_middle, g_x = tape.grad(end, [middle, x])
    np.testing.assert_allclose(g_middle.numpy(), 2 * np.exp([1.0, 2.0]))
    np.testing.assert_allclose(g_x.numpy(), 2 * np.exp([2.0, 4.0]))


def test_grad_walks_only_what_leads_to_the_inputs():
    x, y = leaf(), leaf()
    calls = []
    branch = y * 2
    branch.register_hook(lambda g: calls.append(g))
    tape.grad((x * branch).sum(), x)
    assert calls == []


def test_unused_inputs():
    x, y = leaf(), leaf()
    with pytest.raises(RuntimeError, match=r"not have been used in the graph: inputs\[1\].*allow_unused=True"):
        tape.grad(x.sum(), [x, y])
    assert tape.grad(x.sum(), [x, y], allow_unused=True)[1] is None
    assert tape.grad(x.sum(), [x, y], materialize_grads=True)[1].tolist() == [0.0, 0.0]
    with pytest.raises(ValueError, match="materialize_grads=True"):
        tape.grad(x.sum(), y, allow_unused=False, materialize_grads=True)
    with pytest.raises(RuntimeError, match=r"does not require grad: inputs\[0\]"):
        tape.grad(x.sum(), tape.tensor([1.0]))


def test_batched_grad_outputs_give_all_products_in_one_pass():
    x = leaf((1.0, 2.0, 3.0))
    y = tape.stack([x.prod(), (x * x).sum()])
    (rows,) = tape.grad(y, x, tape.tensor(np.eye(2)), is_grads_batched=True)
    np.testing.assert_array_equal(rows.numpy(), [[6, 3, 2], [2, 4, 6]])
    with pytest.raises(RuntimeError, match="Mismatch in shape"):
        tape.grad(x * 2, x, tape.tensor([1.0, 1.0]), is_grads_batched=True)


def test_freed_and_kept_graphs():
    x = leaf()
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    with pytest.raises(RuntimeError, match=r"Trying to backward through the graph a second time.*retain_graph=True"):
        y.backward()
    z = (x + 1).sum()  # saves nothing, so nothing is freed
    z.backward()
    z.backward()
    assert x.grad.tolist() == [6.0, 10.0]


MISUSE = [
    (lambda x: (x * 2).backward(), r"implicitly created only for scalar outputs; output 0 has shape \(2,\)"),
    (lambda x: tape.tensor([1.0]).sum().backward(), "element 0 of tensors does not require grad"),
    (lambda x: (x * 2).backward(tape.ones(3)), r"Mismatch in shape: grad_output\[0\] has a shape of \(3,\).*\(2,\)"),
    (lambda x: tape.grad([x.sum(), x.sum()], x, [None]), "got 2 tensors and 1 gradients"),
    (lambda x: x.numpy(), r"Can't call numpy\(\) on Tensor that requires grad. Use tensor.detach\(\).numpy\(\)"),
    (lambda x: np.asarray(x), r"Use tensor.detach\(\).numpy\(\)"),
    (lambda x: tape.tensor([1, 2], requires_grad=True), "only Tensors of floating point dtype can require.*got int64"),
    (lambda x: (x * 2).requires_grad_(False), "you can only change requires_grad flags of leaf variables"),
    (lambda x: x.detach().retain_grad(), "can't retain_grad on Tensor that has requires_grad=False"),
    (lambda x: x.detach().register_hook(print), "cannot register a hook on a tensor that doesn't require gradient"),
    (lambda x: setattr(x, "grad", tape.ones(3)), r"a different size: got shape \(3,\), expected \(2,\)"),
    (lambda x: setattr(x, "grad", tape.ones(2, dtype=np.float32)), "different type: got float32, expected float64"),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(MISUSE)))
def test_errors_of_misuse(number):
    function, text = MISUSE[number]
    with pytest.raises(RuntimeError, match=text):
        function(leaf())


def test_hooks_see_and_replace_gradients():
    x = leaf()
    seen = []
    middle = x * 3
    handle = middle.register_hook(seen.append)
    middle.register_hook(lambda g: g * 2)
    x.register_hook(lambda g: g + 1)
    middle.sum().backward(retain_graph=True)
    assert [g.tolist() for g in seen] == [[1.0, 1.0]]
    assert x.grad.tolist() == [7.0, 7.0]
    handle.remove()
    (middle + 0).sum().backward()
    assert len(seen) == 1
    broken = x * 2
    broken.register_hook(lambda g: g.sum())
    with pytest.raises(RuntimeError, match="hook has changed the size of value"):
        broken.sum().backward()
    broken = x * 2
    broken.register_hook(lambda g: 1.0)
    with pytest.raises(TypeError, match="a gradient hook returns a tensor or None, got float"):
        broken.sum().backward()


def test_hooks_take_part_in_second_derivatives():
    x = leaf(2.0)
    y = x**3
    y.register_hook(lambda g: g * x)
    (g,) = tape.grad(y, x, create_graph=True)
    assert g.item() == 3 * 4 * 2
    assert tape.grad(g, x)[0].item() == 9 * 4


def test_retained_gradients():
    x = leaf()
    middle = x * 3
    middle.retain_grad()
    middle.retain_grad()
    (middle * middle).sum().backward()
    assert middle.grad.tolist() == [6.0, 12.0]
    with pytest.warns(UserWarning, match="grad attribute of a Tensor that is not a leaf"):
        assert (x * 2).grad is None


def test_modes_as_contexts_and_decorators():
    x = leaf()
    with tape.no_grad():
        assert not (x * 2).requires_grad
        with tape.enable_grad():
            assert (x * 2).requires_grad
        assert not tape.is_grad_enabled()
    assert tape.is_grad_enabled()

    @tape.no_grad()
    def silent(t):
        return t * 2

    @tape.no_grad
    def silent_too(t):
        return t * 2

    @tape.set_grad_enabled(False)
    def silent_three(t):
        return t * 2

    assert tape.is_grad_enabled()
    for function in (silent, silent_too, silent_three):
        assert not function(x).requires_grad
        assert function.__name__.startswith("silent")
    with tape.set_grad_enabled(False):
        assert not (x * 2).requires_grad
        assert tape.enable_grad()(lambda: (x * 2).requires_grad)()
    tape.set_grad_enabled(False)
    assert not (x * 2).requires_grad
    tape.set_grad_enabled(True)
    with pytest.raises(ZeroDivisionError), tape.no_grad():
        1 / 0  # noqa: B018
    assert tape.is_grad_enabled()


def test_modes_and_passes_belong_to_their_thread():
    x = leaf()
    results = []
    with tape.no_grad():
        threads = [
            threading.Thread(target=lambda: results.append(tape.grad((x * x).sum(), x)[0].tolist())) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert results == [[2.0, 4.0]] * 8


def test_numpys_error_state_is_the_users():
    x = leaf((-1.0, 0.0))
    with np.errstate(all="raise"):
        y = tape.log(x).sum()
        y.backward()
        with pytest.raises(FloatingPointError):
            np.log(np.array(-1.0))
    assert x.grad.tolist() == [-1.0, np.inf]


def test_what_a_tensor_says_about_itself():
    x = leaf()
    assert repr(x) == "tensor([1., 2.], requires_grad=True)"
    assert repr(x * 2) == "tensor([2., 4.], grad_fn=<MulBackward>)"
    assert repr(tape.tensor([1, 2])) == "tensor([1, 2])"
    assert repr(tape.tensor([1.5], dtype=np.float32)) == "tensor([1.5], dtype=float32)"
    assert x.is_leaf
    assert x.grad_fn is None
    y = (x * 2).sum()
    assert not y.is_leaf
    assert y.grad_fn.name() == "SumBackward"
    assert [node.name() for node, _ in y.grad_fn.next_functions] == ["MulBackward"]
    assert y.grad_fn.next_functions[0][0].next_functions[0][0].name() == "AccumulateGrad"
    assert (x.shape, x.dtype, x.ndim, x.size, len(x), x.numel(), x.dim()) == ((2,), np.float64, 1, 2, 2, 2, 1)
    assert tape.linalg.__name__ == "hybrid.tape.linalg"
    values, vectors = tape.eigh(tape.tensor(np.eye(2), requires_grad=True))
    assert (values.output_nr, vectors.output_nr) == (0, 1)
    assert values.grad_fn is vectors.grad_fn


def test_numbers_out_of_tensors():
    assert tape.tensor(2.5).item() == 2.5
    assert float(leaf(2.5)) == 2.5
    assert int(tape.tensor(3)) == 3
    assert [1, 2, 3][tape.tensor(1)] == 2
    assert bool(tape.tensor(1.0) > 0)
    assert f"{leaf(2.5):.2f}" == "2.50"
    assert leaf().tolist() == [1.0, 2.0]
    with pytest.raises(ValueError, match="only a tensor with one element"):
        leaf().item()
    with pytest.raises(ValueError, match="ambiguous"):
        bool(leaf() > 0)
    with pytest.raises(TypeError, match="only integer tensors"):
        [1, 2][tape.tensor(1.0)]
    with pytest.raises(TypeError, match="0-d tensor"):
        list(tape.tensor(1.0))


def test_data_in_and_out():
    array = np.array([1.0, 2.0])
    shared, copied = tape.from_numpy(array), tape.tensor(array)
    array[0] = 7
    assert shared.tolist() == [7.0, 2.0]
    assert copied.tolist() == [1.0, 2.0]
    shared.numpy()[1] = 8
    assert array.tolist() == [7.0, 8.0]
    assert tape.tensor([tape.tensor(1.0), 2]).tolist() == [1.0, 2.0]
    assert tape.tensor([1, 2]).dtype == np.int64
    assert tape.tensor(True).dtype == np.bool_
    assert tape.zeros(2, 3).shape == tape.ones((2, 3)).shape == tape.zeros_like(tape.ones(2, 3)).shape
    assert tape.full((2,), 3.0).tolist() == [3.0, 3.0] == tape.full_like(tape.zeros(2), 3).tolist()
    assert tape.arange(3).tolist() == [0, 1, 2]
    assert tape.eye(2).tolist() == [[1, 0], [0, 1]]
    assert tape.linspace(0, 1, 3).tolist() == [0, 0.5, 1]
    assert tape.ones_like(tape.zeros(2), requires_grad=True).requires_grad
    for wrong in ("text", [1j], [object()], np.array(["a"])):
        with pytest.raises(InputTypeError, match="takes real floating-point, integer or boolean data"):
            tape.tensor(wrong)
    with pytest.raises(InputTypeError, match="from_numpy takes a NumPy array, got list"):
        tape.from_numpy([1.0])


def test_arrays_and_numbers_on_the_left_stay_on_the_tape():
    x = leaf()
    array = np.array([3.0, 4.0])
    for result in (array * x, array + x, array - x, array / x, array**x, array % x, np.float64(2) * x, 2 * x,
                   [1.0, 1.0] * x, np.maximum(array, x), np.sin(x), np.where(array > 3, array, x)):  # fmt: skip
        assert isinstance(result, tape.Tensor)
        assert result.requires_grad
    assert (np.ones((3, 2)) @ x).shape == (3,)
    assert (array < x).tolist() == [False, False]
    array_target = np.zeros(2)
    with pytest.raises(TypeError, match="a NumPy array cannot take a tensor's result in place"):
        array_target += x


def test_detached_and_constant_tensors():
    x = leaf()
    y = x * 2
    d = y.detach()
    assert not d.requires_grad
    assert d.grad_fn is None
    assert np.shares_memory(d.numpy(), y.data.numpy())
    z = leaf()
    z.detach_()
    assert not (z * 2).requires_grad
    assert x.requires_grad_(False) is x
    assert not (x * 2).requires_grad
    assert x.requires_grad_().requires_grad


def test_a_flag_changed_after_the_fact_does_not_change_the_graph():
    x, c = leaf(), tape.tensor([3.0, 4.0])
    y = (x * c).sum()
    c.requires_grad_()
    y.backward()
    assert c.grad is None
    assert x.grad.tolist() == [3.0, 4.0]


def test_gradients_have_the_type_of_their_input():
    x = tape.tensor([1.0, 2.0], dtype=np.float32, requires_grad=True)
    (x.to(np.float64) * np.array([1.0, 2.0])).sum().backward()
    assert x.grad.dtype == np.float32
    assert x.double().dtype == np.float64
    assert x.float() is x
    assert x.long().dtype == np.int64
