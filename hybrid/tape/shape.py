"""Operations that move elements: reshaping, permuting, repeating, joining, splitting, padding.

Where NumPy gives a view, so does this: the result shares memory, and an in-place change of either is one of both.
"""

from __future__ import annotations

import builtins
import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from hybrid.errors import ArgumentError
from hybrid.tape.mode import is_grad_enabled
from hybrid.tape.node import sum_to
from hybrid.tape.rule import Rule, make_node, record
from hybrid.tape.tensor import Tensor, as_tensor, memory, share, stack_nested


def _lead(g: Any, rank: int) -> tuple[int, ...]:
    return g.shape[: g.ndim - rank]  # type: ignore[no-any-return]


def permuted(g: Any, axes: tuple[int, ...]) -> Any:
    """`g` with its last axes permuted by negative numbers, behind its leading axes."""
    lead = g.ndim - len(axes)
    return np.transpose(g, (*range(lead), *[a + g.ndim for a in axes]))


def _inverse(axes: tuple[int, ...]) -> tuple[int, ...]:
    rank = len(axes)
    order = sorted(range(rank), key=lambda i: axes[i])
    return tuple([i - rank for i in order])


def _split_joint(g: Any, axis: int, sizes: list[int]) -> list[Any]:
    parts, start, behind = [], 0, (slice(None),) * (-axis - 1)
    for n in sizes:
        parts.append(g[(..., slice(start, start + n), *behind)])
        start += n
    return parts


def _embedded(g: Any, shape: tuple[int, ...], offset: int, axes: tuple[int, int]) -> Any:
    """Zeros of `shape` with `g` on one diagonal."""
    rank = len(shape)
    lead = _lead(g, rank - 1)
    positions = np.diagonal(np.arange(math.prod(shape)).reshape(shape), offset, *axes)
    flat = g.reshape((*lead, positions.size))
    return place(flat, positions.reshape(-1), math.prod(shape)).reshape(lead + shape)


_RESHAPE = Rule("View", "x", lambda g, shape, rank: g.reshape(_lead(g, rank) + shape), moves=True)
_PERMUTE = Rule("Permute", "x", lambda g, axes: permuted(g, _inverse(axes)), moves=True)
_EXPAND = Rule("Expand", "x", lambda g, shape, rank: sum_to(g, shape, g.ndim - rank), moves=True)
_FLIP = Rule("Flip", "x", lambda g, axes: np.flip(g, axes), moves=True)
_ROLL = Rule("Roll", "x", lambda g, shifts, axes: np.roll(g, tuple([-s for s in shifts]), axes), moves=True)
_CONCATENATE = Rule("Cat", "*xs", joint=lambda g, axis, sizes: _split_joint(g, axis, sizes), moves=True)
_DIAGONAL = Rule("Diagonal", "x", lambda g, shape, offset, axes: _embedded(g, shape, offset, axes), moves=True)
_TRIL = Rule("Tril", "x", lambda g, k: np.tril(g, k), moves=True)
_TRIU = Rule("Triu", "x", lambda g, k: np.triu(g, k), moves=True)
_CLONE = Rule("Clone", "x", lambda g: g, elementwise=True)
_CAST = Rule("ToCopy", "x", lambda g, dtype: g.astype(dtype), elementwise=True)
_PLACE = Rule("Place", "x", lambda g, positions: pick(g, positions), moves=True)
_PICK = Rule("Pick", "x", lambda g, positions, size: place(g, positions, size), moves=True)


def view_of(rule: Rule, x: Tensor, data: Any, **args: Any) -> Tensor:
    """A recorded result that shares memory with `x` when `data` does."""
    node = make_node(rule, (x,), data, args)
    if not isinstance(data, np.ndarray) or not np.may_share_memory(data, memory(x)):
        return Tensor(data, node)
    return share(x, data, node)


def place(x: Any, positions: Any, size: int) -> Any:
    """Along the last axis: zeros of length `size` with x added at `positions`, which may repeat. Dual of `pick`."""
    if isinstance(x, Tensor):
        return record(_PLACE, (x,), place(x._data, positions, size), positions=positions)
    result = np.zeros((*x.shape[: x.ndim - 1], size), x.dtype)
    where: Any = (..., positions)
    np.add.at(result, where, x)
    return result


def pick(x: Any, positions: Any) -> Any:
    """Along the last axis: the elements at `positions`, which may repeat. The dual of `place`."""
    if isinstance(x, Tensor):
        flat = positions.reshape(-1)
        picked = record(_PICK, (x,), x._data[..., flat], positions=flat, size=x.shape[-1])
        return picked if positions.ndim == 1 else reshape(picked, x.shape[:-1] + positions.shape)
    return x[..., positions]


def _sizes(shape: tuple[Any, ...]) -> tuple[int, ...]:
    if len(shape) == 1 and not isinstance(shape[0], (int, np.integer, Tensor)):
        shape = tuple(shape[0])
    return tuple([int(n) for n in shape])


def reshape(x: Any, *shape: Any) -> Tensor:
    """The elements in C order with another shape (one size may be −1); a view where strides allow it."""
    x = as_tensor(x)
    data = memory(x).reshape(_sizes(shape))
    return view_of(_RESHAPE, x, data, shape=x.shape, rank=data.ndim)


def ravel(x: Any) -> Tensor:
    """All elements along one axis, a view where strides allow it."""
    return reshape(x, -1)


def flatten(x: Any, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Join the axes from `start_dim` to `end_dim` into one."""
    x = as_tensor(x)
    if x.ndim == 0:
        return reshape(x, 1)
    first, last = start_dim % x.ndim, end_dim % x.ndim
    return reshape(x, (*x.shape[:first], -1 if x.size else math.prod(x.shape[first : last + 1]), *x.shape[last + 1 :]))


def permute(x: Any, *axes: Any) -> Tensor:
    """The axes in another order, a view."""
    x = as_tensor(x)
    order = tuple([a - x.ndim if a >= 0 else a for a in _sizes(axes)])
    if sorted(order) != list(range(-x.ndim, 0)):
        raise ArgumentError(f"permute takes every axis of shape {x.shape} once, got {_sizes(axes)}")
    return view_of(_PERMUTE, x, np.transpose(memory(x), order), axes=order)


def transpose(x: Any, *axes: Any) -> Tensor:
    """With two axes of PyTorch's kind they are exchanged; with none, or all (NumPy's kind), the axes are permuted."""
    x = as_tensor(x)
    if not axes or axes == (None,):
        return permute(x, *range(x.ndim)[::-1]) if x.ndim else x
    if len(axes) == 2:
        return swapaxes(x, *axes)
    return permute(x, *axes)


def swapaxes(x: Any, first: int, second: int) -> Tensor:
    """Two axes exchanged, a view."""
    x = as_tensor(x)
    order = list(range(-x.ndim, 0))
    if x.ndim:
        order[first], order[second] = order[second], order[first]
    return permute(x, *order)


def moveaxis(x: Any, source: Any, destination: Any) -> Tensor:
    """The axes `source` moved to the places `destination`, the others in order."""
    x = as_tensor(x)
    sizes = np.moveaxis(np.broadcast_to(0, tuple(range(1, x.ndim + 1))), source, destination).shape
    return permute(x, *[n - 1 for n in sizes])


def squeeze(x: Any, axis: Any = None) -> Tensor:
    """Without axes of length one: all of them, or those in `axis` (others are kept, as in PyTorch)."""
    x = as_tensor(x)
    chosen = range(x.ndim) if axis is None else [a % max(x.ndim, 1) for a in np.atleast_1d(axis).tolist()]
    return reshape(x, tuple([n for i, n in enumerate(x.shape) if n != 1 or i not in chosen]))


def unsqueeze(x: Any, axis: Any) -> Tensor:
    """With a new axis of length one at `axis`."""
    x = as_tensor(x)
    return reshape(x, np.expand_dims(memory(x), axis).shape)


def broadcast_to(x: Any, *shape: Any) -> Tensor:
    """Repeated along new axes and axes of length one; −1 keeps a size, as in PyTorch's `expand`."""
    x = as_tensor(x)
    sizes = _sizes(shape)
    extra = len(sizes) - x.ndim
    full = tuple([x.shape[i - extra] if n == -1 and i >= extra else n for i, n in enumerate(sizes)])
    return view_of(_EXPAND, x, np.broadcast_to(memory(x), full), shape=x.shape, rank=len(full))


def flip(x: Any, axis: Any = None) -> Tensor:
    """In reverse order along `axis` (None: all axes)."""
    x = as_tensor(x)
    axes = (
        tuple(range(-x.ndim, 0))
        if axis is None
        else tuple([a - x.ndim if a >= 0 else a for a in np.atleast_1d(axis).tolist()])
    )
    return record(_FLIP, (x,), np.flip(x._data, axes).copy() if x.ndim else x._data, axes=axes)


def roll(x: Any, shift: Any, axis: Any = None) -> Tensor:
    """Shifted cyclically along `axis` (None: the flattened tensor)."""
    x = as_tensor(x)
    if axis is None:
        return reshape(roll(reshape(x, -1), shift, 0), x.shape)
    axes = tuple([a - x.ndim if a >= 0 else a for a in np.atleast_1d(axis).tolist()])
    shifts = tuple(np.broadcast_to(shift, len(axes)).tolist())
    return record(_ROLL, (x,), np.roll(x._data, shifts, axes), shifts=shifts, axes=axes)


def concatenate(tensors: Sequence[Any], axis: int | None = 0) -> Tensor:
    """Joined along an existing axis (None: flattened first)."""
    xs = [as_tensor(t) for t in tensors]
    if axis is None:
        xs, axis = [reshape(x, -1) for x in xs], 0
    data = np.concatenate([x._data for x in xs], axis)
    a = axis - data.ndim if axis >= 0 else axis
    return record(_CONCATENATE, xs, data, axis=a, sizes=[x.shape[a] for x in xs])


def stack(tensors: Sequence[Any], axis: int = 0) -> Tensor:
    """Joined along a new axis."""
    xs = [as_tensor(t) for t in tensors]
    if len({x.shape for x in xs}) > 1:
        raise RuntimeError(f"stack expects each tensor to be equal size, but got {[x.shape for x in xs]}")
    return concatenate([unsqueeze(x, axis) for x in xs], axis)


stack_nested.append(stack)


def split(x: Any, sections: Any, axis: int = 0) -> list[Tensor]:
    """PyTorch's split: pieces of length `sections` (the last may be shorter), or of the lengths in that list."""
    x = as_tensor(x)
    n = x.shape[axis]
    if isinstance(sections, (int, np.integer)):
        sizes = [min(int(sections), n - start) for start in range(0, n, int(sections))] or [0]
    else:
        sizes = [int(s) for s in sections]
        if builtins.sum(sizes) != n:
            raise RuntimeError(f"split_with_sizes expects split_sizes to sum exactly to {n}, but got {sizes}")
    return _pieces(x, np.cumsum([0, *sizes]).tolist(), axis)


def chunk(x: Any, chunks: int, axis: int = 0) -> list[Tensor]:
    """At most `chunks` pieces of equal length; the last may be shorter."""
    return split(x, max(1, -(-as_tensor(x).shape[axis] // chunks)), axis)


def array_split(x: Any, sections: Any, axis: int = 0) -> list[Tensor]:
    """NumPy's split: `sections` pieces, or cuts at the given places."""
    x = as_tensor(x)
    bounds = [part.shape[0] for part in np.array_split(np.empty(x.shape[axis]), sections)]
    return _pieces(x, np.cumsum([0, *bounds]).tolist(), axis)


def _pieces(x: Tensor, cuts: list[int], axis: int) -> list[Tensor]:
    behind = (slice(None),) * (x.ndim - 1 - axis % x.ndim)
    return [x[(..., slice(a, b), *behind)] for a, b in itertools.pairwise(cuts)]


def unbind(x: Any, axis: int = 0) -> tuple[Tensor, ...]:
    """The slices along `axis`, without it."""
    x = as_tensor(x)
    behind = (slice(None),) * (x.ndim - 1 - axis % x.ndim)
    return tuple([x[(..., i, *behind)] for i in range(x.shape[axis])])


def tile(x: Any, *reps: Any) -> Tensor:
    """Repeated `reps` times along each axis, as a whole (PyTorch's `repeat`, NumPy's `tile`)."""
    x = as_tensor(x)
    counts = _sizes(reps)
    rank = max(x.ndim, len(counts))
    shape = (1,) * (rank - x.ndim) + x.shape
    counts = (1,) * (rank - len(counts)) + counts
    paired = [n for pair in zip([1] * rank, shape, strict=True) for n in pair]
    repeated = [n for pair in zip(counts, shape, strict=True) for n in pair]
    whole = tuple([c * n for c, n in zip(counts, shape, strict=True)])
    return reshape(broadcast_to(reshape(x, paired), repeated), whole)


def repeat(x: Any, repeats: Any, axis: int | None = None) -> Tensor:
    """Each element `repeats` times in a row along `axis` (NumPy's `repeat`, PyTorch's `repeat_interleave`)."""
    x = as_tensor(x)
    if axis is None:
        x, axis = reshape(x, -1), 0
    chosen = np.repeat(np.arange(x.shape[axis]), repeats)
    return x[(slice(None),) * (axis % x.ndim) + (chosen,)]  # type: ignore[no-any-return]


def pad(x: Any, width: Any, mode: str = "constant", value: float = 0.0) -> Tensor:
    """NumPy's pad: widths as (before, after) per axis; modes constant, edge, reflect, symmetric, wrap."""
    x = as_tensor(x)
    if mode not in ("constant", "edge", "reflect", "symmetric", "wrap"):
        raise ArgumentError(f"pad has the modes constant, edge, reflect, symmetric and wrap, got {mode!r}")
    pairs = np.broadcast_to(np.asarray(width), (x.ndim, 2)).tolist()
    if mode == "constant":
        for a, (before, after) in enumerate(pairs):
            ends = [
                np.full([n if i == a else m for i, m in enumerate(x.shape)], value, x.dtype) for n in (before, after)
            ]
            if before or after:
                x = concatenate([ends[0], x, ends[1]], a)
        return x  # type: ignore[no-any-return]
    for a, (before, after) in enumerate(pairs):
        chosen = np.pad(np.arange(x.shape[a]), (before, after), mode=mode)  # type: ignore[call-overload]
        x = x[(slice(None),) * a + (chosen,)]
    return x  # type: ignore[no-any-return]


def diagonal(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """The diagonal of the plane of two axes, as a last axis; a view."""
    x = as_tensor(x)
    axes = (axis1 % x.ndim, axis2 % x.ndim)
    plane = np.moveaxis(memory(x), axes, (-2, -1))[..., max(-offset, 0) :, max(offset, 0) :]
    *front, down, right = plane.strides
    length = builtins.min(plane.shape[-2:])
    # np.diagonal gives a read-only view; this one can be written through
    data = np.lib.stride_tricks.as_strided(plane, (*plane.shape[:-2], length), (*front, down + right))
    return view_of(_DIAGONAL, x, data, shape=x.shape, offset=offset, axes=axes)


def diag(x: Any, k: int = 0) -> Tensor:
    """The diagonal of a matrix, or a square matrix with a vector on its diagonal."""
    x = as_tensor(x)
    if x.ndim == 2:
        return diagonal(x, k)
    if x.ndim != 1:
        raise ArgumentError(f"diag takes a vector or a matrix, got shape {x.shape}")
    n = x.shape[0] + builtins.abs(k)
    positions = np.diagonal(np.arange(n * n).reshape(n, n), k)
    return reshape(place(x, positions, n * n), n, n)


def trace(x: Any, offset: int = 0) -> Tensor:
    """The sum of the diagonal of a matrix (of the first two axes)."""
    return diagonal(x, offset).sum(axis=-1)  # type: ignore[no-any-return]


def tril(x: Any, k: int = 0) -> Tensor:
    """The matrix with zeros above the k-th diagonal."""
    x = as_tensor(x)
    return record(_TRIL, (x,), np.tril(x._data, k), k=k)


def triu(x: Any, k: int = 0) -> Tensor:
    """The matrix with zeros below the k-th diagonal."""
    x = as_tensor(x)
    return record(_TRIU, (x,), np.triu(x._data, k), k=k)


def clone(x: Any) -> Tensor:
    """A copy that stays on the tape."""
    x = as_tensor(x)
    return record(_CLONE, (x,), np.array(x._data)[()] if x.ndim == 0 else x._data.copy())


def astype(x: Any, dtype: Any, copy: bool = False) -> Tensor:
    """In another type; the tensor itself when it has that type. Gradients flow between floating-point types."""
    x = as_tensor(x)
    kind = np.dtype(dtype)
    if x.dtype == kind:
        return clone(x) if copy else x
    data = x._data.astype(kind)
    if kind.kind != "f" or not is_grad_enabled():
        return Tensor(data)
    return record(_CAST, (x,), data, dtype=x.dtype)
