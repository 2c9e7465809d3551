"""Operations of one's own: PyTorch's `Function`, and compiled kernels as operations.

A kernel enters as plain callables on arrays, so nothing here knows what compiled it:
`from_kernel(forward, from_kernel(vjp, from_kernel(vjp_of_vjp)))` is differentiable twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hybrid.errors import ArgumentError
from hybrid.tape.mode import is_grad_enabled, no_grad
from hybrid.tape.node import Node, output_node, sum_to
from hybrid.tape.rule import NOTHING, Rule, check_saved, lifted, plain, record, record_many
from hybrid.tape.tensor import Tensor, as_tensor, current_edge, version_of


class Context:
    """What `forward` leaves for `backward`: saved tensors, and any attribute set on it."""

    def __init__(self, needs_input_grad: tuple[bool, ...]) -> None:
        self.needs_input_grad = needs_input_grad
        self._saved: tuple[Any, ...] = ()
        self._not_differentiable: tuple[Tensor, ...] = ()
        self._materialize = True
        self._node: Node | None = None

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep inputs or results for `backward`, as `ctx.saved_tensors`, checked against in-place changes."""
        for t in tensors:
            if t is not None and not isinstance(t, Tensor):
                raise TypeError(
                    f"save_for_backward can only save variables, but argument is of type {type(t).__name__}"
                )
        self._saved = tensors

    def mark_non_differentiable(self, *outputs: Tensor) -> None:
        self._not_differentiable = outputs

    def set_materialize_grads(self, value: bool) -> None:
        """False: `backward` gets None, not zeros, for results without adjoint."""
        self._materialize = value

    @property
    def saved_tensors(self) -> tuple[Tensor | None, ...]:
        if self._node is None:
            return self._saved
        check_saved(self._node)
        return tuple([
            Tensor(part.data, _output_edge(self._node, part.number)) if isinstance(part, _SavedOutput) else part
            for part in self._node.saved[:-1]
        ])  # fmt: skip


class _SavedOutput:
    """A result saved for backward: its data and number, not the tensor, which owns the node that saves it."""

    def __init__(self, data: Any, number: int) -> None:
        self.data = data
        self.number = number


def _output_edge(node: Node, number: int) -> Node:
    return output_node(node, number) if node.args["several"] else node


class _FunctionRule:
    """Sends adjoints through a `Function`'s `backward`."""

    elementwise = moves = selects = False

    def __init__(self, function: type[Function]) -> None:
        self.function = function
        self.title = function.__name__

    def pull(self, node: Node, g: Any, edges: Sequence[Any]) -> list[Any]:
        check_saved(node)
        args = node.args
        given = list(g) if args["several"] else [g]
        lead = next(
            part.ndim - len(shape) for part, shape in zip(given, args["shapes"], strict=True) if part is not None
        )
        if lead == 0:
            return self._one(node, given, edges)
        count = next(part.shape[0] for part in given if part is not None)
        rows = [self._one(node, [None if p is None else p[i] for p in given], edges) for i in range(count)]
        return [None if column[0] is None else np.stack(column) for column in zip(*rows, strict=True)]

    def _one(self, node: Node, given: list[Any], edges: Sequence[Any]) -> list[Any]:
        args = node.args
        context: Context = args["context"]
        on_tape = any(isinstance(part, Tensor) for part in given)
        if context._materialize:
            given = [
                np.zeros(s, d) if p is None else p
                for p, s, d in zip(given, args["shapes"], args["dtypes"], strict=True)
            ]
        tensors = [p if p is None or isinstance(p, Tensor) else Tensor(p) for p in given]
        context._node = node
        try:
            results = self.function.backward(context, *tensors)
        finally:
            context._node = None
        results = tuple(results) if isinstance(results, (tuple, list)) else (results,)
        expected = len(node.edges)
        if len(results) > expected and all(r is None for r in results[expected:]):
            results = results[:expected]
        if len(results) != expected:
            raise RuntimeError(
                f"function {self.title}Backward returned an incorrect number of gradients "
                f"(expected {expected}, got {len(results)})"
            )
        return [
            None if edge is None else self._checked(r, k, node, on_tape)
            for k, (r, edge) in enumerate(zip(results, edges, strict=True))
        ]

    def _checked(self, result: Any, number: int, node: Node, on_tape: bool) -> Any:
        if result is None:
            return None
        t = as_tensor(result)
        shape = node.args["input_shapes"][number]
        if t.shape != shape:
            try:
                t = sum_to(t, shape, 0)
            except (ValueError, IndexError):
                t = as_tensor(result)
        if t.shape != shape:
            raise RuntimeError(
                f"function {self.title}Backward returned an invalid gradient at index {number} - "
                f"got {list(t.shape)} but "
                f"expected shape compatible with {list(shape)}"
            )
        return t if on_tape else t._data

    raw = pull


class Function:
    """A differentiable operation defined by static methods, as torch.autograd.Function.

    forward(ctx, *args) computes on tensors, without recording, and returns one tensor or a tuple; backward(ctx,
    *grads) gets one adjoint per result and returns one adjoint per argument, None for those that need none. Call it
    as `MyFunction.apply(*args)`. With a static `setup_context(ctx, inputs, output)`, forward gets no ctx. Derivatives
    of any order work when backward uses tape operations.
    """

    _rule: _FunctionRule

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._rule = _FunctionRule(cls)

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError("You must implement the forward function for custom autograd.Function.")

    @staticmethod
    def backward(ctx: Context, *grads: Any) -> Any:
        raise NotImplementedError("You must implement the backward method for your custom autograd.Function to use it.")

    @classmethod
    def apply(cls, *args: Any) -> Any:
        edges = tuple([current_edge(a) if isinstance(a, Tensor) else None for a in args])
        context = Context(tuple([edge is not None for edge in edges]))
        with no_grad():
            if hasattr(cls, "setup_context"):
                result = cls.forward(*args)
                cls.setup_context(context, args, result)
            else:
                result = cls.forward(context, *args)
        several = isinstance(result, tuple)
        outputs = list(result) if several else [result]
        for output in outputs:
            if not isinstance(output, Tensor):
                raise TypeError(f"{cls.__name__}.forward must return tensors, got {type(output).__name__}")
        if not any(context.needs_input_grad) or not is_grad_enabled():
            return result
        node = _function_node(cls, context, args, edges, outputs, several)
        wrapped = [
            Tensor(
                o._data,
                _output_edge(node, k)
                if o.dtype.kind == "f" and not any(o is n for n in context._not_differentiable)
                else None,
            )
            for k, o in enumerate(outputs)
        ]
        return tuple(wrapped) if several else wrapped[0]


def _function_node(
    cls: type[Function],
    context: Context,
    args: Sequence[Any],
    edges: tuple[Any, ...],
    outputs: list[Tensor],
    several: bool,
) -> Node:
    saved: list[Any] = []
    for t in context._saved:
        number = next((k for k, o in enumerate(outputs) if o is t), None)
        if t is not None and number is not None and not any(t is a for a in args):
            saved.append(_SavedOutput(t._data, number))
        else:
            saved.append(t)
    context._saved = ()
    keeps_result = True if any(isinstance(t, _SavedOutput) for t in saved) else None
    node = Node(cls._rule, edges, (*saved, keeps_result) if saved else NOTHING)
    versions = tuple([version_of(t) if isinstance(t, Tensor) else 0 for t in saved])
    if any(versions):
        node.rarely().versions = versions
    node.args = {
        "context": context,
        "several": several,
        "count": len(outputs),
        "shapes": [o.shape for o in outputs],
        "dtypes": [o.dtype for o in outputs],
        "input_shapes": [a.shape if isinstance(a, Tensor) else None for a in args],
    }
    return node


def once_differentiable(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator for a `backward` that uses plain arrays: differentiating its results is an error, not silently zero."""

    def guarded(context: Context, *grads: Tensor) -> Any:
        with no_grad():
            results = backward(context, *grads)
        if not any(g is not None and g.requires_grad for g in grads):
            return results
        given = results if isinstance(results, tuple) else (results,)
        blocked = tuple([None if r is None else _Blocked.apply(r, *[g for g in grads if g is not None]) for r in given])
        return blocked if isinstance(results, tuple) else blocked[0]

    return guarded


class _Blocked(Function):
    @staticmethod
    def forward(ctx: Context, result: Tensor, *grads: Tensor) -> Tensor:
        return Tensor(result._data)

    @staticmethod
    def backward(ctx: Context, *grads: Any) -> Any:
        raise RuntimeError("trying to differentiate twice a function that was marked with @once_differentiable")


def _reads_inputs(g: Any, xs: Any) -> list[Any]:
    """Declares to `Rule` that a kernel's vector–Jacobian product reads the inputs."""
    raise NotImplementedError


class KernelOperation(Rule):
    """A pair of array functions as an operation on tensors, and its rule; made by `from_kernel`."""

    def __init__(self, forward: Callable[..., Any], vjp: Callable[..., Any] | None, name: str) -> None:
        super().__init__(name, "*xs", joint=_reads_inputs)
        self.forward = forward
        self.vjp = vjp

    def __call__(self, *inputs: Any) -> Any:
        tensors = [as_tensor(x) for x in inputs]
        result = self.forward(*[t._data for t in tensors])
        several = isinstance(result, (tuple, list))
        arrays = [np.asarray(part)[()] for part in (result if several else (result,))]
        args = {
            "shapes": [a.shape for a in arrays],
            "dtypes": [a.dtype for a in arrays],
            "input_shapes": [t.shape for t in tensors],
        }
        if several:
            return tuple(record_many(self, tensors, arrays, **args))
        return record(self, tensors, arrays[0], **args)

    def raw(self, node: Node, g: Any, edges: Sequence[Any]) -> list[Any]:
        if self.vjp is None:
            raise RuntimeError(f"{self.title} has no vector-Jacobian product: give from_kernel one to differentiate it")
        given = list(g) if isinstance(g, list) else [g]
        on_tape = any(isinstance(part, Tensor) for part in given)
        if on_tape and not isinstance(self.vjp, KernelOperation):
            raise RuntimeError(
                f"{self.title} can be differentiated once: its vector-Jacobian product is a plain function. Wrap that "
                "in from_kernel, with a vector-Jacobian product of its own, to differentiate again"
            )
        xs = (lifted(node) if on_tape else plain(node))[:-1]
        shapes, dtypes = node.args["shapes"], node.args["dtypes"]
        front = next(p.shape[: p.ndim - len(s)] for p, s in zip(given, shapes, strict=True) if p is not None)
        adjoints = [np.zeros(front + s, d) if p is None else p for p, s, d in zip(given, shapes, dtypes, strict=True)]
        function = self.vjp.forward if isinstance(self.vjp, KernelOperation) and not on_tape else self.vjp
        results = function(*xs, *adjoints)
        results = list(results) if isinstance(results, (tuple, list)) else [results]
        if len(results) != len(xs):
            raise ArgumentError(
                f"the vector-Jacobian product of {self.title} must return {len(xs)} adjoints, got {len(results)}"
            )
        return [_fitted(r, s, front) for r, s in zip(results, node.args["input_shapes"], strict=True)]


def _fitted(result: Any, shape: tuple[int, ...], front: tuple[int, ...]) -> Any:
    """An adjoint with the leading axes `front`, summed over the axes along which the kernel broadcast its input."""
    result = result if isinstance(result, Tensor) else np.asarray(result)
    if result.ndim < len(front) + len(shape):  # it does not depend on the seed
        return np.broadcast_to(result, front + shape)
    return sum_to(result, shape, len(front))


def from_kernel(
    forward: Callable[..., Any], vjp: Callable[..., Any] | None = None, name: str = "Kernel"
) -> KernelOperation:
    """An operation on tensors from functions on arrays, such as compiled kernels.

    forward(*arrays) returns an array or a tuple of arrays. vjp(*arrays, *adjoints), with one adjoint per result,
    returns one adjoint per input; it must accept adjoints with leading batch axes, as kernels that broadcast do, for
    batched passes. When vjp is itself made by `from_kernel` the operation can be differentiated again, once per
    level.
    """
    return KernelOperation(forward, vjp, name)
