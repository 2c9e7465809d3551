"""Derivatives of functions: `jacobian`, `hessian`, `vjp`, `jvp`, `vhp`, `hvp`, as in torch.autograd.functional.

A function takes tensors and returns one tensor or a tuple of them. One input gives one result, a tuple of inputs a
tuple, and tuples of outputs tuples of tuples, output first. All rows of a Jacobian come from one batched pass. Its
seeds are one-hot and marked so: the other outputs have no part in a row, however singular they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hybrid.errors import ArgumentError
from hybrid.tape.autograd import grad
from hybrid.tape.creation import zeros_like
from hybrid.tape.engine import Edge, sweep
from hybrid.tape.mode import enable_grad
from hybrid.tape.node import Masked
from hybrid.tape.shape import concatenate
from hybrid.tape.tensor import Tensor, as_tensor, current_edge

Function = Callable[..., Any]
_ELEMENTS_PER_PASS = 1 << 22  # seeds of one batched pass hold at most this many numbers


def _prepared(inputs: Any, create: bool) -> tuple[list[Tensor], bool]:
    """The inputs as tensors that require grad, cut from the caller's graph unless `create`."""
    several = isinstance(inputs, (tuple, list)) and all(isinstance(x, (Tensor, np.ndarray)) for x in inputs)
    given = [as_tensor(x) for x in inputs] if several else [as_tensor(inputs)]
    ready = []
    for number, x in enumerate(given):
        if x.dtype.kind != "f":
            raise ArgumentError(
                f"derivatives are with respect to floating-point tensors, input {number} has type {x.dtype}"
            )
        ready.append(x.reshape(x.shape) if create and x.requires_grad else x.detach().requires_grad_())
    return ready, several


def _called(function: Function, inputs: list[Tensor]) -> tuple[list[Tensor], bool]:
    result = function(*inputs)
    several = isinstance(result, (tuple, list))
    outputs = list(result) if several else [result]
    for number, output in enumerate(outputs):
        if not isinstance(output, Tensor):
            raise TypeError(f"the function must return tensors, output {number} is {type(output).__name__}")
    return outputs, several


def _like_given(results: Sequence[Any], several: bool) -> Any:
    return tuple(results) if several else results[0]


def _ended(t: Tensor, create: bool) -> Tensor:
    return t if create else t.detach()


def one_hot_rows(size: int, start: int, stop: int, shape: tuple[int, ...], dtype: Any, create: bool) -> Masked:
    """Rows `start` to `stop` of the identity of `size`, each of `shape`, marked as structurally zero off the ones."""
    rows = np.zeros((stop - start, size), dtype)
    rows[np.arange(stop - start), np.arange(start, stop)] = 1
    rows = rows.reshape((stop - start, *shape))
    return Masked(Tensor(rows) if create else rows, rows == 0)


def _batched(output: Tensor, inputs: Sequence[Tensor], create: bool, vectorize: bool) -> list[Tensor | None]:
    """For each input the derivative of each element of `output`, stacked first; None where there is no dependence."""
    edge = current_edge(output)
    if edge is None:
        return [None] * len(inputs)
    targets: list[Edge] = [e for e in map(current_edge, inputs) if e is not None]
    step = max(1, _ELEMENTS_PER_PASS // max(1, output.size)) if vectorize else 1
    parts: list[list[Any]] = [[] for _ in inputs]
    for start in range(0, output.size, step) or [0]:
        stop = min(start + step, output.size)
        seed = one_hot_rows(output.size, start, stop, output.shape, output.dtype, create)
        found = sweep([(edge, seed)], targets, True, create)
        for part, x in zip(parts, inputs, strict=True):
            part.append(found.get(current_edge(x)))  # type: ignore[arg-type]
    return [_joined(part) if part[0] is not None else None for part in parts]


def _joined(parts: list[Any]) -> Tensor:
    whole = [as_tensor(part) for part in parts]
    return whole[0] if len(whole) == 1 else concatenate(whole, 0)


def _forward_rows(output: Tensor, inputs: Sequence[Tensor], create: bool, vectorize: bool) -> list[Tensor | None]:
    """Like `_batched`, one pass per input element: the vector–Jacobian product, itself linear, is differentiated."""
    dummy = zeros_like(output, requires_grad=True)
    with enable_grad():
        products = grad(output, list(inputs), dummy, create_graph=True, allow_unused=True)
    columns: list[Tensor | None] = []
    for product in products:
        column = None if product is None else _batched(product, [dummy], create, vectorize)[0]
        order = range(1, output.ndim + 1)
        columns.append(None if column is None else column.permute(*order, 0))
    return columns


def jacobian(
    func: Function,
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = True,
    strategy: str = "auto",
) -> Any:
    """The Jacobian of `func` at `inputs`: shape output shape + input shape for each pair of output and input.

    strict: RuntimeError instead of zeros when an output does not depend on an input. vectorize: all rows in batched
    passes, else one pass per row. strategy: "reverse-mode", "forward-mode" (one direction per input element), or
    "auto", forward when an output has more than three times as many elements as there are inputs.
    """
    if strategy not in ("auto", "reverse-mode", "forward-mode"):
        raise ArgumentError(f"strategy is 'auto', 'reverse-mode' or 'forward-mode', got {strategy!r}")
    with enable_grad():
        ready, several_inputs = _prepared(inputs, create_graph)
        outputs, several_outputs = _called(func, ready)
    columns = sum(x.size for x in ready)
    table = []
    for number, output in enumerate(outputs):
        forward = strategy == "forward-mode" or (strategy == "auto" and output.size > 3 * columns)
        rows = (_forward_rows if forward else _batched)(output, ready, create_graph, vectorize)
        blocks = []
        for place, (row, x) in enumerate(zip(rows, ready, strict=True)):
            if row is None:
                if strict:
                    raise RuntimeError(
                        f"Output {number} of the user-provided function is independent of input "
                        f"{place}. This is not allowed in strict mode."
                    )
                row = Tensor(np.zeros(output.shape + x.shape, x.dtype))
            block = row.reshape(output.shape + x.shape)
            blocks.append(_ended(block.astype(x.dtype), create_graph))
        table.append(_like_given(blocks, several_inputs))
    return _like_given(table, several_outputs)


def _scalar(outputs: list[Tensor], several: bool, what: str) -> Tensor:
    if several and len(outputs) != 1:
        raise RuntimeError(f"The function given to {what} should return a single Tensor, got {len(outputs)}")
    if outputs[0].size != 1:
        raise RuntimeError(
            f"The Tensor returned by the function given to {what} should contain a single element, "
            f"got shape {outputs[0].shape}"
        )
    return outputs[0].reshape(())  # type: ignore[no-any-return]


def hessian(
    func: Function, inputs: Any, create_graph: bool = False, strict: bool = False, vectorize: bool = True
) -> Any:
    """The second derivatives of a scalar function: shape input shape + input shape for each pair of inputs."""
    with enable_grad():
        ready, several = _prepared(inputs, create_graph)
        output = _scalar(*_called(func, ready), "hessian")
        gradients = (
            grad(output, ready, create_graph=True, allow_unused=True) if output.requires_grad else [None] * len(ready)
        )
    table = []
    for i, (gradient, x) in enumerate(zip(gradients, ready, strict=True)):
        rows = [None] * len(ready) if gradient is None else _batched(gradient, ready, create_graph, vectorize)
        blocks = []
        for j, (row, y) in enumerate(zip(rows, ready, strict=True)):
            if row is None:
                if strict:
                    raise RuntimeError(
                        f"The Hessian of the user-provided function is independent of inputs {i} "
                        f"and {j}. This is not allowed in strict mode."
                    )
                row = Tensor(np.zeros(x.shape + y.shape, x.dtype))
            blocks.append(_ended(row.reshape(x.shape + y.shape), create_graph))
        table.append(_like_given(blocks, several))
    return _like_given(table, several)


def _direction(v: Any, like: list[Tensor], several: bool, what: str) -> list[Tensor]:
    if v is None:
        if len(like) == 1 and like[0].size == 1:
            return [Tensor(np.ones(like[0].shape, like[0].dtype))]
        raise RuntimeError(
            f"{what}: the vector v can only be None if the user-provided function has one "
            f"{'output' if what == 'vjp' else 'input'} with a single element."
        )
    given = [as_tensor(part) for part in v] if several else [as_tensor(v)]
    if len(given) != len(like) or any(a.shape != b.shape for a, b in zip(given, like, strict=True)):
        raise RuntimeError(f"{what}: v has shapes {[a.shape for a in given]}, expected {[b.shape for b in like]}")
    return given


def _filled_in(results: Sequence[Tensor | None], like: Sequence[Tensor], strict: bool, what: str) -> list[Tensor]:
    if strict and any(r is None for r in results):
        raise RuntimeError(
            f"{what}: the output of the user-provided function is independent of an input. "
            "This is not allowed in strict mode."
        )
    return [zeros_like(x) if r is None else r for r, x in zip(results, like, strict=True)]


def vjp(
    func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """The value of `func` and vᵀJ, the product of `v` (of the outputs' shapes) with its Jacobian."""
    with enable_grad():
        ready, several = _prepared(inputs, create_graph)
        outputs, several_outputs = _called(func, ready)
        seeds = _direction(v, outputs, several_outputs, "vjp")
        used = [(o, s) for o, s in zip(outputs, seeds, strict=True) if o.requires_grad]
        products: Sequence[Tensor | None] = [None] * len(ready)
        if used:
            products = grad(
                [o for o, _ in used], ready, [s for _, s in used], create_graph=create_graph, allow_unused=True
            )
    results = _filled_in(products, ready, strict, "vjp")
    return (
        _like_given([_ended(o, create_graph) for o in outputs], several_outputs),
        _like_given([_ended(r, create_graph) for r in results], several),
    )


def jvp(
    func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """The value of `func` and Jv, the product of its Jacobian with `v` (of the inputs' shapes).

    The vector–Jacobian product is linear in its vector; its derivative with respect to that vector is this product.
    """
    with enable_grad():
        ready, several = _prepared(inputs, create_graph)
        outputs, several_outputs = _called(func, ready)
        direction = _direction(v, ready, several, "jvp")
        products: Sequence[Tensor | None] = [None] * len(outputs)
        used = [o for o in outputs if o.requires_grad]
        if used:
            dummies = [zeros_like(o, requires_grad=True) for o in used]
            transposed = grad(used, ready, dummies, create_graph=True, allow_unused=True)
            pairs = [(t, d) for t, d in zip(transposed, direction, strict=True) if t is not None and t.requires_grad]
            columns: Sequence[Tensor | None] = [None] * len(used)
            if pairs:
                columns = grad(
                    [t for t, _ in pairs], dummies, [d for _, d in pairs], create_graph=create_graph, allow_unused=True
                )
            found = dict(zip(map(id, used), columns, strict=True))
            products = [found.get(id(o)) for o in outputs]
    results = _filled_in(products, outputs, strict, "jvp")
    return (
        _like_given([_ended(o, create_graph) for o in outputs], several_outputs),
        _like_given([_ended(r, create_graph) for r in results], several_outputs),
    )


def vhp(
    func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """The value of a scalar function and vᵀH, the product of `v` with its Hessian."""
    with enable_grad():
        ready, several = _prepared(inputs, create_graph)
        output = _scalar(*_called(func, ready), "vhp")
        direction = _direction(v, ready, several, "vhp")
        gradients: Sequence[Tensor | None] = [None] * len(ready)
        if output.requires_grad:
            gradients = grad(output, ready, create_graph=True, allow_unused=True)
        pairs = [(g, d) for g, d in zip(gradients, direction, strict=True) if g is not None and g.requires_grad]
        products: Sequence[Tensor | None] = [None] * len(ready)
        if pairs:
            products = grad(
                [g for g, _ in pairs], ready, [d for _, d in pairs], create_graph=create_graph, allow_unused=True
            )
    results = _filled_in(products, ready, strict, "vhp")
    return _ended(output, create_graph), _like_given([_ended(r, create_graph) for r in results], several)


def hvp(
    func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """The value of a scalar function and Hv. The Hessian is symmetric, so this is `vhp`, the cheaper of the two."""
    return vhp(func, inputs, v, create_graph, strict)
