"""Changing tensors in place: `t += 1`, `t[i] = v`, `zero_`, `exp_` …, with PyTorch's version counting.

The result of an in-place operation is computed out of place, written into the tensor's memory, and the tensor takes
the place of the result in the graph. When the tensor is a view, its base gets a node "base with this part replaced",
and every other view of that base reads its own node back from the base when it is next used.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from hybrid.tape.indexing import _plain_index, put_flat
from hybrid.tape.mode import is_grad_enabled
from hybrid.tape.node import OUTPUT, Leaf, Node, sum_to
from hybrid.tape.rule import NOTHING, Rule
from hybrid.tape.shape import pick
from hybrid.tape.tensor import Edge, Tensor, as_tensor, current_edge, extra_of, memory, rebuild_view_edge, root_of


def _without(g: Any, positions: Any, shape: tuple[int, ...]) -> Any:
    keep = np.ones(math.prod(shape), dtype=bool)
    keep[positions.reshape(-1)] = False
    return np.where(keep.reshape(shape), g, 0.0)


def _part(g: Any, positions: Any, shape: tuple[int, ...], part_shape: tuple[int, ...]) -> Any:
    lead = g.shape[: g.ndim - len(shape)]
    picked = pick(g.reshape((*lead, math.prod(shape))), positions)
    return sum_to(picked, part_shape, len(lead))


_COPY_SLICES = Rule("CopySlices", "base part", _without, _part, moves=True)
_AS_STRIDED = Rule("AsStrided", "x", lambda g, positions, shape, rank: put_flat(g, positions, shape, rank), moves=True)
_FILL = Rule("Fill", "x", lambda g: np.zeros_like(g), elementwise=True)


def _view_positions(view: Any, base: Any) -> Any:
    """For each element of `view` its flat position in `base`, whose memory it shares; read off the strides."""
    low, high = np.lib.array_utils.byte_bounds(base)
    marks = np.full(high - low, -1, dtype=np.intp)  # one mark per byte: strides need no common divisor
    step = np.intp(0).itemsize

    def laid_over(array: Any) -> Any:
        offset = (array.__array_interface__["data"][0] - low) * step
        return np.ndarray(array.shape, np.intp, marks, offset, tuple([s * step for s in array.strides]))

    laid_over(base)[...] = np.arange(base.size).reshape(base.shape)
    return laid_over(view).copy()


def _rebuilt(view: Tensor, base: Tensor) -> Edge:
    """The edge of a view whose base changed: the view's elements of the base as it is now."""
    args = {"positions": _view_positions(memory(view), memory(base)), "shape": base.shape, "rank": view.ndim}
    return Node(_AS_STRIDED, (base._edge,), NOTHING, args)


rebuild_view_edge.append(_rebuilt)


def check_writable(t: Tensor) -> None:
    """RuntimeError where PyTorch has one: an in-place change of a leaf that requires grad, or of a view of one."""
    if not memory(t).flags.writeable:
        raise RuntimeError(
            "unsupported operation: the tensor's memory is read-only (it is expanded, or shared with a "
            "read-only array). "
            "Please clone() the tensor before performing the operation."
        )
    if not is_grad_enabled():
        return
    root = root_of(t)
    if isinstance(root._edge, Leaf):
        what = "a leaf Variable that requires grad" if root is t else "a view of a leaf Variable that requires grad"
        raise RuntimeError(f"{what} is being used in an in-place operation.")


def bump(t: Tensor) -> None:
    """Note that the memory of `t` changed: for nodes that saved a tensor of it, and for the node that made it."""
    root = root_of(t)
    extra = extra_of(root)
    if extra.counter is None:
        extra.counter = [0]
    extra.counter[0] += 1
    for node in (root._edge, extra.origin() if extra.origin is not None else None):
        if isinstance(node, Node):
            node.rarely().overwritten = True
            if node.rule is OUTPUT:
                node.edges[0].rarely().overwritten = True


def replace(t: Tensor, result: Tensor) -> Tensor:
    """Make `t` hold what `result` holds, value and history."""
    if result.shape != t.shape:
        raise RuntimeError(f"output with shape {t.shape} doesn't match the broadcast shape {result.shape}")
    if not np.can_cast(result.dtype, t.dtype, "same_kind"):
        raise RuntimeError(f"result type {result.dtype} can't be cast to the desired output type {t.dtype}")
    if result.dtype != t.dtype:
        result = result.astype(t.dtype)
    if is_grad_enabled() and root_of(t) is not t:
        _assign(t, (), result)
        return t
    bump(t)
    np.copyto(memory(t), result._data)
    if is_grad_enabled():
        t._edge = result._edge
    return t


def _assign(t: Tensor, index: Any, value: Tensor) -> None:
    """t[index] = value, recorded on the tensor that owns the memory."""
    root = root_of(t)
    data = memory(t)
    root_edge, value_edge = root._edge, current_edge(value)
    record = is_grad_enabled() and not (root_edge is None and value_edge is None)
    positions = None
    if record:
        positions = np.arange(t.size).reshape(t.shape) if root is t else _view_positions(data, memory(root))
        positions = positions[index]
    source = value._data.copy() if np.may_share_memory(value._data, data) else value._data
    bump(t)
    data[index] = source
    if record:
        args = {"positions": positions, "shape": root.shape, "part_shape": value.shape}
        root._edge = Node(_COPY_SLICES, (root_edge, value_edge), NOTHING, args)


def setitem(t: Tensor, index: Any, value: Any) -> None:
    """t[index] = value, with broadcasting; through views to the tensor that owns the memory."""
    check_writable(t)
    value = as_tensor(value)
    if not np.can_cast(value.dtype, t.dtype, "same_kind") and value.dtype.kind == "f":
        value = value.astype(t.dtype)
    _assign(t, _plain_index(index), value)


def in_place(operation: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The in-place form of an operation: its first argument takes its result."""

    def change(t: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        check_writable(t)
        old = Tensor(np.array(t._data), current_edge(t)) if is_grad_enabled() else t
        return replace(t, operation(old, *args, **kwargs))

    change.__name__ = change.__qualname__ = f"{operation.__name__}_"
    change.__doc__ = f"`{operation.__name__}`, in place."
    return change


def _filled(t: Tensor, value: Any) -> Tensor:
    result = Tensor(np.full(t.shape, value, t.dtype))
    edge = current_edge(t)
    if edge is not None and is_grad_enabled():
        result._edge = Node(_FILL, (edge,), NOTHING)
    return result


def fill_(t: Tensor, value: Any) -> Tensor:
    """Every element becomes `value`."""
    check_writable(t)
    return replace(t, _filled(t, value._data if isinstance(value, Tensor) else value))


def zero_(t: Tensor) -> Tensor:
    """Every element becomes 0."""
    return fill_(t, 0)


def copy_(t: Tensor, source: Any) -> Tensor:
    """Take the values, broadcast and converted, and the history of `source`."""
    check_writable(t)
    source = as_tensor(source)
    return replace(t, source.broadcast_to(t.shape).astype(t.dtype).clone())


__all__ = ["bump", "copy_", "fill_", "in_place", "replace", "setitem", "zero_"]
