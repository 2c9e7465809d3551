"""Indexing: reading, gathering and scattering, and the rule that reads a view back from its changed base."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hybrid.tape.rule import Rule, record
from hybrid.tape.shape import pick, place, view_of
from hybrid.tape.tensor import Tensor, as_tensor, memory


def _plain_index(index: Any) -> Any:
    """The index with tensors and lists as arrays, in a form NumPy reads as PyTorch does."""
    if isinstance(index, Tensor):
        return index._data
    if isinstance(index, tuple):
        return tuple([_plain_index(part) for part in index])
    return np.asarray(index) if isinstance(index, list) else index


def _is_basic(index: Any) -> bool:
    parts = index if isinstance(index, tuple) else (index,)
    return all(part is None or part is Ellipsis or isinstance(part, (int, slice, np.integer)) for part in parts)


def positions_of(index: Any, shape: tuple[int, ...]) -> Any:
    """The flat positions of `index` in an array of `shape`, in the shape of the result."""
    return np.arange(math.prod(shape)).reshape(shape)[index]


def put(g: Any, index: Any, shape: tuple[int, ...], rank: int) -> Any:
    """Zeros of `shape` with `g` added at `index`: the dual of reading. `rank`: axes of one reading."""
    if isinstance(g, Tensor):
        return record(_PUT, (g,), put(g._data, index, shape, rank), index=index, shape=shape)
    lead = g.shape[: g.ndim - rank]
    if lead:
        positions = positions_of(index, shape)
        flat = place(g.reshape((*lead, positions.size)), positions.reshape(-1), math.prod(shape))
        return flat.reshape(lead + shape)
    result = np.zeros(shape, g.dtype)
    if _is_basic(index) or _is_mask(index):
        result[index] = g
    else:
        np.add.at(result, index, g)
    return result


def _is_mask(index: Any) -> bool:
    return isinstance(index, np.ndarray) and index.dtype == np.bool_


def get(g: Any, index: Any, shape: tuple[int, ...]) -> Any:
    """Read `index` from the last axes, of `shape`, of g."""
    lead = g.shape[: g.ndim - len(shape)]
    if not lead:
        return g[index]
    return pick(g.reshape((*lead, math.prod(shape))), positions_of(index, shape))


_GET = Rule("Index", "x", lambda g, index, shape, rank: put(g, index, shape, rank), moves=True)
_PUT = Rule("Put", "x", lambda g, index, shape: get(g, index, shape), moves=True)
_TAKE_ALONG = Rule("Gather", "x", lambda g, positions, shape, rank: put_flat(g, positions, shape, rank), moves=True)


def put_flat(g: Any, positions: Any, shape: tuple[int, ...], rank: int) -> Any:
    lead = g.shape[: g.ndim - rank]
    return place(g.reshape((*lead, positions.size)), positions.reshape(-1), math.prod(shape)).reshape(lead + shape)


def getitem(x: Tensor, index: Any) -> Tensor:
    """x[index]: a view for integers and slices, a copy for boolean and integer arrays."""
    index = _plain_index(index)
    data = memory(x)
    if _is_basic(index):
        whole = index if isinstance(index, tuple) else (index,)
        result = data[whole] if any(part is Ellipsis for part in whole) else data[(*whole, ...)]
        return view_of(_GET, x, result, index=index, shape=x.shape, rank=result.ndim)
    result = data[index]
    return record(_GET, (x,), result, index=index, shape=x.shape, rank=result.ndim)


def take_along_axis(x: Any, indices: Any, axis: int = -1) -> Tensor:
    """The element at `indices` along `axis`, for every position of the other axes (PyTorch's `gather`)."""
    x = as_tensor(x)
    chosen = np.asarray(indices._data if isinstance(indices, Tensor) else indices)
    positions = np.take_along_axis(np.arange(x.size).reshape(x.shape), chosen, axis)
    data = np.take_along_axis(x._data, chosen, axis)
    return record(_TAKE_ALONG, (x,), data, positions=positions, shape=x.shape, rank=data.ndim)


def take(x: Any, indices: Any, axis: int | None = None) -> Tensor:
    """The slices at `indices` along `axis` (None: of the flattened tensor)."""
    x = as_tensor(x)
    chosen = np.asarray(indices._data if isinstance(indices, Tensor) else indices)
    if axis is None:
        return getitem(x.reshape(-1), chosen)
    return getitem(x, (slice(None),) * (axis % x.ndim) + (chosen,))


def narrow(x: Any, dim: int, start: int, length: int) -> Tensor:
    """The part of `length` from `start` along `dim`, a view."""
    x = as_tensor(x)
    return getitem(x, (*(slice(None),) * (dim % x.ndim), slice(start, start + length)))


def index_add(x: Any, index: Any, values: Any) -> Tensor:
    """A copy of `x` with `values` added at `index`, repeated indices adding up (`np.add.at`)."""
    x, values = as_tensor(x), as_tensor(values)
    index = _plain_index(index)
    shape = positions_of(index, x.shape).shape
    spread = values if values.shape == shape else values.broadcast_to(shape)
    return x + put(spread.astype(x.dtype), index, x.shape, len(shape))  # type: ignore[no-any-return]


def scatter_add(x: Any, axis: int, indices: Any, source: Any) -> Tensor:
    """PyTorch's scatter_add: a copy of `x` with source[i] added at the position `indices[i]` along `axis`."""
    x, source = as_tensor(x), as_tensor(source)
    chosen = np.asarray(indices._data if isinstance(indices, Tensor) else indices)
    source = source[tuple([slice(0, n) for n in chosen.shape])]
    grids = list(np.ix_(*[np.arange(n) for n in chosen.shape]))
    grids[axis % x.ndim] = chosen
    return index_add(x, tuple(grids), source)
