"""`gradcheck` and `gradgradcheck`: derivatives of the tape against central differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hybrid.tape.autograd import grad
from hybrid.tape.engine import sweep
from hybrid.tape.functional import one_hot_rows
from hybrid.tape.mode import enable_grad, no_grad
from hybrid.tape.tensor import Tensor, as_tensor, current_edge


class GradcheckError(RuntimeError):
    """A derivative differs from its central difference; the message shows the entry that is furthest off."""


def _sequence(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (tuple, list)) else [value]


def _outputs(func: Callable[..., Any], inputs: Sequence[Tensor]) -> list[Tensor]:
    return [o for o in map(as_tensor, _sequence(func(*inputs))) if o.dtype.kind == "f"]


def _numerical(func: Callable[..., Any], inputs: list[Tensor], which: int, eps: float) -> list[Any]:
    """For each output the matrix (output elements, elements of input `which`) of central differences."""
    x = np.array(inputs[which]._data)
    columns = []
    with no_grad():
        for k in range(x.size):
            ends = []
            for step in (eps, -eps):
                moved = x.copy()
                moved.reshape(-1)[k] += step
                shifted = [Tensor(moved) if i == which else Tensor(np.array(t._data)) for i, t in enumerate(inputs)]
                ends.append([np.array(o._data).reshape(-1) for o in _outputs(func, shifted)])
            columns.append([(a - b) / (2 * eps) for a, b in zip(*ends, strict=True)])
    count = len(_outputs(func, inputs))
    return [np.stack([c[o] for c in columns], axis=-1) if columns else None for o in range(count)]


def _analytical(output: Tensor, inputs: list[Tensor], batched: bool) -> list[Any]:
    edge = current_edge(output)
    if edge is None:
        return [np.zeros((output.size, x.size)) for x in inputs]
    targets = [e for e in map(current_edge, inputs) if e is not None]
    rows: list[Any] = []
    for k in range(output.size):
        seed = one_hot_rows(output.size, k, k + 1, output.shape, output.dtype, False)
        found = sweep([(edge, seed.value if batched else seed.value[0])], targets, True, False)
        rows.append(
            [
                np.zeros(x.size) if e not in found else np.asarray(found[e]).reshape(-1)
                for e, x in zip(map(current_edge, inputs), inputs, strict=True)
            ]
        )
    return [np.stack([row[i] for row in rows]) if rows else np.zeros((0, x.size)) for i, x in enumerate(inputs)]


def _compare(
    a: Any, n: Any, output: Tensor, x: Tensor, numbers: tuple[int, int], atol: float, rtol: float
) -> str | None:
    wrong = ~(np.abs(a - n) <= atol + rtol * np.abs(n)) & ~(np.isnan(a) & np.isnan(n))
    if not wrong.any():
        return None
    excess = np.where(np.isfinite(a - n), np.abs(a - n) - rtol * np.abs(n), np.inf)
    row, column = np.unravel_index(np.argmax(np.where(wrong, excess, -np.inf)), a.shape)
    at_output = tuple(int(i) for i in np.unravel_index(row, output.shape)) if output.ndim else ()
    at_input = tuple(int(i) for i in np.unravel_index(column, x.shape)) if x.ndim else ()
    return (
        f"Jacobian mismatch for output {numbers[0]} with respect to input {numbers[1]}: "
        f"∂output[{numbers[0]}]{list(at_output)} / "
        f"∂input[{numbers[1]}]{list(at_input)} is numerically {n[row, column]:.12g}, "
        f"analytically {a[row, column]:.12g}; "
        f"{int(wrong.sum())} of {wrong.size} entries differ by more than atol={atol:g} + rtol={rtol:g}·|numerical|.\n"
        f"numerical:\n{n}\nanalytical:\n{a}"
    )


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    check_batched_grad: bool = True,
) -> bool:
    """Compare the Jacobian of `func` from the tape with central differences; True when every entry agrees.

    inputs: one tensor or a tuple; those that require grad are checked, float64 is expected. check_batched_grad:
    batched passes must give the same numbers. GradcheckError (False without `raise_exception`) shows the entry that
    is furthest off.
    """
    given = [as_tensor(x) for x in _sequence(inputs)]
    checked = [i for i, x in enumerate(given) if x.requires_grad]
    if not checked:
        raise ValueError(
            "gradcheck expects at least one input tensor to require gradient, "
            "but none of the them have requires_grad=True."
        )
    with enable_grad():
        outputs = _outputs(func, given)
    problem = None
    numerical = {i: _numerical(func, given, i, eps) for i in checked}
    targets = [given[i] for i in checked]
    for o, output in enumerate(outputs):
        single = _analytical(output, targets, False)
        batched = _analytical(output, targets, True) if check_batched_grad else single
        for i, a, b in zip(checked, single, batched, strict=True):
            n = numerical[i][o]
            problem = problem or (None if n is None else _compare(a, n, output, given[i], (o, i), atol, rtol))
            if problem is None and not np.allclose(a, b, rtol=1e-12, atol=1e-12, equal_nan=True):
                problem = (
                    f"Batched gradient mismatch for output {o} with respect to input {i}: one by one\n{a}\nbatched\n{b}"
                )
    if problem and raise_exception:
        raise GradcheckError(problem)
    return problem is None


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    check_batched_grad: bool = True,
) -> bool:
    """`gradcheck` of the gradient of `func`, for random `grad_outputs` unless given: checks second derivatives."""
    given = [as_tensor(x) for x in _sequence(inputs)]
    with enable_grad():
        outputs = [o for o in _outputs(func, given) if o.requires_grad]
    if grad_outputs is None:
        random = np.random.default_rng(0)
        seeds = [Tensor(np.asarray(random.normal(size=o.shape)).astype(o.dtype)).requires_grad_() for o in outputs]
    else:
        seeds = [as_tensor(s) for s in _sequence(grad_outputs)]
    count = len(given)
    wanted = [i for i, x in enumerate(given) if x.requires_grad]

    def gradient(*args: Tensor) -> Any:
        with enable_grad():
            xs = [a if a.requires_grad or i not in wanted else a.requires_grad_() for i, a in enumerate(args[:count])]
            results = [o for o in _outputs(func, xs) if o.requires_grad]
            return grad(
                results,
                [xs[i] for i in wanted],
                list(args[count:]),
                create_graph=True,
                allow_unused=True,
                materialize_grads=True,
            )

    return gradcheck(gradient, (*given, *seeds), eps, atol, rtol, raise_exception, check_batched_grad)
