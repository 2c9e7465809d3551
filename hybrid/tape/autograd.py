"""`backward` and `grad`: PyTorch's two doors to the reverse sweep, and its bookkeeping."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hybrid.tape.engine import Edge, sweep
from hybrid.tape.node import Leaf, Node
from hybrid.tape.tensor import Tensor, as_tensor, current_edge, extra_of

Tensors = Tensor | Sequence[Tensor]


def _sequence(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _seeds(outputs: list[Tensor], seeds: list[Any], batched: bool, create: bool) -> list[tuple[Edge, Any]]:
    if len(outputs) != len(seeds):
        raise RuntimeError(f"got {len(outputs)} tensors and {len(seeds)} gradients")
    pairs: list[tuple[Edge, Any]] = []
    for number, (output, seed) in enumerate(zip(outputs, seeds, strict=True)):
        edge = current_edge(output)
        if edge is None:
            raise RuntimeError(f"element {number} of tensors does not require grad and does not have a grad_fn")
        if seed is None:
            if output.size != 1:
                raise RuntimeError(
                    f"grad can be implicitly created only for scalar outputs; "
                    f"output {number} has shape {output.shape}: "
                    "give the gradient argument (grad_outputs), or reduce it first, as with sum()"
                )
            seed = np.ones(output.shape, output.dtype)[()]
        given = seed if isinstance(seed, Tensor) else as_tensor(seed)
        shape = given.shape[1:] if batched else given.shape
        if shape != output.shape or (batched and given.ndim == 0):
            expected = f"(batch, *{output.shape})" if batched else f"{output.shape}"
            raise RuntimeError(
                f"Mismatch in shape: grad_output[{number}] has a shape of {given.shape} and "
                f"output[{number}] has a shape of "
                f"{output.shape}; expected {expected}"
            )
        pairs.append((edge, given if create else given._data))
    return pairs


def _finish(value: Any, like: Any, lead: int) -> Tensor:
    """An adjoint as a tensor of the input's type. RuntimeError when a rule made the wrong shape."""
    result = value if isinstance(value, Tensor) else Tensor(value)
    if result.shape[lead:] != like.shape:
        raise RuntimeError(
            f"a backward rule returned an adjoint of shape {result.shape} for an input of shape {like.shape}"
        )
    return result if result.dtype == like.dtype else result.astype(like.dtype)


def backward(
    tensors: Tensors,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Tensors | None = None,
) -> None:
    """Add the gradients of the sum of `tensors`, weighted by `grad_tensors`, to `.grad` of the leaves.

    Only to `inputs` when they are given. The graph's saved values are freed unless `retain_graph` (by default the
    value of `create_graph`); with `create_graph` the gradients can be differentiated again. RuntimeError, with
    PyTorch's texts, for a tensor without graph, for a non-scalar tensor without gradient, for a second pass through a
    freed graph, and when a value that the pass needs was changed in place.
    """
    outputs = _sequence(tensors)
    seeds = [None] * len(outputs) if grad_tensors is None else _sequence(grad_tensors)
    targets: list[Edge] | None = None
    if inputs is not None:
        chosen = _sequence(inputs)
        if not chosen:
            raise RuntimeError("'inputs' argument to backward cannot be empty.")
        targets = []
        for number, t in enumerate(chosen):
            edge = current_edge(t)
            if edge is None:
                raise RuntimeError(f"One of the differentiated Tensors does not require grad: inputs[{number}]")
            targets.append(edge)
            if isinstance(edge, Node):
                _retained(t)
    retain = create_graph if retain_graph is None else retain_graph
    found = sweep(_seeds(outputs, seeds, False, create_graph), targets, retain, create_graph)
    for edge, value in found.items():
        if isinstance(edge, Leaf):
            accumulate_grad(edge, value, create_graph)
    if inputs is not None:
        for t in _sequence(inputs):
            edge = current_edge(t)
            if isinstance(edge, Node) and edge in found and not _retains(t):
                accumulate_grad(_retained(t), found[edge], create_graph)


def accumulate_grad(leaf: Leaf, value: Any, create: bool) -> None:
    """Add to a leaf's gradient: in place, or as a recorded sum when the gradient is to be differentiated."""
    adjoint = _finish(value, leaf, 0)
    if leaf.grad is None:
        leaf.grad = adjoint if create else Tensor(np.array(adjoint._data))
    elif create or leaf.grad._edge is not None or not isinstance(leaf.grad._data, np.ndarray):
        leaf.grad = leaf.grad + adjoint
    else:
        leaf.grad._data += adjoint._data


def _retained(t: Tensor) -> Leaf:
    extra = extra_of(t)
    if extra.leaf is None:
        extra.leaf = Leaf(t.shape, t.dtype)
    return extra.leaf


class _Retain:
    """The hook behind `retain_grad`: puts the adjoint where the tensor's `.grad` is read."""

    def __init__(self, leaf: Leaf) -> None:
        self.leaf = leaf

    def __call__(self, g: Tensor) -> None:
        accumulate_grad(self.leaf, g, g._edge is not None)


def _retains(t: Tensor) -> bool:
    edge = current_edge(t)
    return isinstance(edge, Node) and any(isinstance(hook, _Retain) for hook in edge.hooks or ())


def retain_grad(t: Tensor) -> None:
    """Keep the gradient of a tensor that is not a leaf in its `.grad`."""
    edge = current_edge(t)
    if edge is None:
        raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
    if isinstance(edge, Node) and not _retains(t):
        edge.hooks = [*(edge.hooks or ()), _Retain(_retained(t))]


class RemovableHandle:
    """`remove()` takes a hook off again."""

    def __init__(self, edge: Edge, hook: Callable[[Tensor], Any]) -> None:
        self._edge, self._hook = edge, hook

    def remove(self) -> None:
        self._edge.hooks = [h for h in self._edge.hooks or () if h is not self._hook] or None


def register_hook(t: Tensor, hook: Callable[[Tensor], Any]) -> RemovableHandle:
    """Call `hook` with the gradient of `t` whenever it is computed; what it returns, unless None, replaces it."""
    edge = current_edge(t)
    if edge is None:
        raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
    kept = [h for h in edge.hooks or () if not isinstance(h, _Retain)]
    last = [h for h in edge.hooks or () if isinstance(h, _Retain)]
    edge.hooks = [*kept, hook, *last]
    return RemovableHandle(edge, hook)


def grad(
    outputs: Tensors,
    inputs: Tensors,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool | None = None,
    materialize_grads: bool = False,
    is_grads_batched: bool = False,
) -> tuple[Tensor | None, ...]:
    """The sum over outputs of vector–Jacobian products with each input; `.grad` is not touched.

    grad_outputs: one tensor of the output's shape each, None for 1 with scalar outputs; with `is_grads_batched` they
    have a leading axis, and so have the results: all products come from one pass. allow_unused: None for inputs the
    outputs do not depend on (zeros with `materialize_grads`) instead of a RuntimeError.
    """
    if allow_unused is None:
        allow_unused = materialize_grads
    if materialize_grads and not allow_unused:
        raise ValueError(
            "Expected allow_unused to be True or not passed when materialize_grads=True, but got: allow_unused=False."
        )
    out_list, in_list = _sequence(outputs), _sequence(inputs)
    seeds = [None] * len(out_list) if grad_outputs is None else _sequence(grad_outputs)
    edges = [current_edge(t) for t in in_list]
    for number, edge in enumerate(edges):
        if edge is None:
            raise RuntimeError(f"One of the differentiated Tensors does not require grad: inputs[{number}]")
    retain = create_graph if retain_graph is None else retain_graph
    pairs = _seeds(out_list, seeds, is_grads_batched, create_graph)
    found = sweep(pairs, [edge for edge in edges if edge is not None], retain, create_graph)
    lead = 1 if is_grads_batched else 0
    results: list[Tensor | None] = []
    for number, (edge, t) in enumerate(zip(edges, in_list, strict=True)):
        if edge in found:
            results.append(_finish(found[edge], t, lead))
        elif materialize_grads:
            batch = pairs[0][1].shape[:lead] if pairs else ()
            results.append(Tensor(np.zeros(batch + t.shape, t.dtype)))
        elif allow_unused:
            results.append(None)
        else:
            raise RuntimeError(
                f"One of the differentiated Tensors appears to not have been used in the graph: inputs[{number}]. "
                "Set allow_unused=True if this is the desired behavior."
            )
    return tuple(results)


def zero_grad(tensors: Tensors, set_to_none: bool = True) -> None:
    """Forget the gradients of `tensors`, or with `set_to_none=False` fill them with zeros, cut from any graph."""
    for t in _sequence(tensors):
        leaf = None if t._extra is None else t._extra.leaf
        if leaf is None or leaf.grad is None:
            continue
        leaf.grad = None if set_to_none else Tensor(np.zeros(leaf.shape, leaf.dtype))
