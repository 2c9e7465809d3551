"""Sums, means, products, extrema and other reductions along axes.

Axes follow NumPy and PyTorch at once: `axis=` (or `dim=`) an integer, a tuple or None for all; `keepdims=` (or
`keepdim=`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from hybrid.errors import ArgumentError
from hybrid.tape.elementwise import exp, masked, sqrt, where
from hybrid.tape.mode import quietly
from hybrid.tape.rule import Rule, record
from hybrid.tape.shape import concatenate
from hybrid.tape.tensor import Tensor, as_tensor

Axis = int | Sequence[int] | None


def negative_axes(axis: Axis, rank: int) -> tuple[int, ...]:
    """The axes counted from the end, in increasing order, so that leading axes of adjoints do not move them."""
    if axis is None:
        return tuple(range(-rank, 0))
    axes = [axis] if isinstance(axis, (int, np.integer)) else list(axis)
    result = []
    for a in axes:
        if not -max(rank, 1) <= a < max(rank, 1):
            raise IndexError(f"axis {a} is out of range for a tensor with {rank} axes: expected {-rank} to {rank - 1}")
        if rank:
            result.append(int(a) - rank if a >= 0 else int(a))
    if len(set(result)) != len(result):
        raise ArgumentError(f"axes {tuple(axes)} name an axis twice")
    return tuple(sorted(result))


def spread(g: Any, shape: tuple[int, ...], axes: tuple[int, ...], keep: bool) -> Any:
    """Undo a reduction: repeat `g` along the reduced axes of `shape`, behind its leading axes."""
    rank = len(shape)
    if not keep and axes:
        lead = g.ndim - (rank - len(axes))
        kept = iter(g.shape[lead:])
        g = g.reshape(g.shape[:lead] + tuple([1 if i - rank in axes else next(kept) for i in range(rank)]))
    lead = g.ndim - rank
    return np.broadcast_to(g, g.shape[:lead] + shape)


def keep_axes(out: Any, axes: tuple[int, ...], rank: int, keep: bool) -> Any:
    """`out` with the reduced axes of length one, so that it broadcasts against the input."""
    if keep or not axes:
        return out
    kept = iter(out.shape)
    return out.reshape(tuple([1 if i - rank in axes else next(kept) for i in range(rank)]))


_SUM = Rule("Sum", "x", lambda g, shape, axes, keep: spread(g, shape, axes, keep), moves=True)
_MEAN = Rule("Mean", "x", lambda g, shape, axes, keep, count: spread(g, shape, axes, keep) / count, moves=True)
_CUMSUM = Rule("Cumsum", "x", lambda g, axis: np.flip(np.cumsum(np.flip(g, axis), axis), axis), moves=True)
_LOGSUMEXP = Rule(
    "Logsumexp", "x",
    lambda g, x, out, shape, axes, keep: (
        spread(g, shape, axes, keep) * np.exp(x - keep_axes(out, axes, len(shape), keep))
    ),
)  # fmt: skip
_SOFTMAX = Rule("Softmax", "x", lambda g, out, axis: out * (g - (g * out).sum(axis=axis, keepdims=True)))
_LOG_SOFTMAX = Rule("LogSoftmax", "x", lambda g, out, axis: g - np.exp(out) * g.sum(axis=axis, keepdims=True))


def _extreme(g: Any, x: Any, out: Any, shape: Any, axes: Any, keep: bool) -> Any:
    """The adjoint of an extremum goes to the elements that attain it, in equal parts."""
    value = out._data if isinstance(out, Tensor) else out
    data = x._data if isinstance(x, Tensor) else x
    value = keep_axes(value, axes, len(shape), keep)
    attains = (data == value) | (np.isnan(data) & np.isnan(value))
    return masked(spread(g, shape, axes, keep) / attains.sum(axis=axes, keepdims=True), attains)


def _norm(g: Any, x: Any, out: Any, shape: Any, axes: Any, keep: bool) -> Any:
    """x/‖x‖, and PyTorch's subgradient 0 where the norm is 0."""
    length = keep_axes(out, axes, len(shape), keep)
    return masked(spread(g, shape, axes, keep) * (x / length), np.broadcast_to(_plain(length) != 0, shape))


def _plain(value: Any) -> Any:
    return value._data if isinstance(value, Tensor) else value


_AMAX = Rule("Amax", "x", _extreme, selects=True)
_AMIN = Rule("Amin", "x", _extreme, selects=True)
_NORM = Rule("Norm", "x", _norm, selects=True)


def sum(x: Any, axis: Axis = None, keepdims: bool = False, dtype: Any = None) -> Tensor:
    """The sum of all elements, or along `axis`."""
    x = as_tensor(x)
    axes = negative_axes(axis, x.ndim)
    data = quietly().run(np.sum, x._data, axes, dtype, None, keepdims)
    return record(_SUM, (x,), data, shape=x.shape, axes=axes, keep=keepdims)


def mean(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The arithmetic mean; NaN over no elements."""
    x = as_tensor(x)
    axes = negative_axes(axis, x.ndim)
    count = math.prod([x.shape[a] for a in axes])
    data = quietly().run(np.divide, quietly().run(np.sum, x._data, axes, None, None, keepdims), count)
    if x.dtype.kind == "f":
        data = data.astype(x.dtype)
    return record(_MEAN, (x,), data, shape=x.shape, axes=axes, keep=keepdims, count=count)


def amax(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The largest element; a tie splits the gradient evenly, NaN propagates. ValueError over no elements."""
    x = as_tensor(x)
    axes = negative_axes(axis, x.ndim)
    data = quietly().run(np.max, x._data, axes, None, keepdims)
    return record(_AMAX, (x,), data, shape=x.shape, axes=axes, keep=keepdims)


def amin(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The smallest element; a tie splits the gradient evenly, NaN propagates. ValueError over no elements."""
    x = as_tensor(x)
    axes = negative_axes(axis, x.ndim)
    data = quietly().run(np.min, x._data, axes, None, keepdims)
    return record(_AMIN, (x,), data, shape=x.shape, axes=axes, keep=keepdims)


def argmax(x: Any, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """The position of the first largest element, an integer tensor."""
    return Tensor(np.argmax(as_tensor(x)._data, axis=axis, keepdims=keepdims))


def argmin(x: Any, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """The position of the first smallest element, an integer tensor."""
    return Tensor(np.argmin(as_tensor(x)._data, axis=axis, keepdims=keepdims))


def all(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Whether every element is true (non-zero)."""
    return Tensor(np.all(as_tensor(x)._data, axis=axis, keepdims=keepdims))  # type: ignore[arg-type]


def any(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Whether some element is true (non-zero)."""
    return Tensor(np.any(as_tensor(x)._data, axis=axis, keepdims=keepdims))  # type: ignore[arg-type]


def cumsum(x: Any, axis: int | None = None) -> Tensor:
    """Running sums along `axis` (None: of the flattened tensor)."""
    x = as_tensor(x)
    if axis is None:
        x, axis = x.reshape(-1), 0
    along = negative_axes(axis, x.ndim)
    if not along:
        return x.clone()  # type: ignore[no-any-return]
    return record(_CUMSUM, (x,), quietly().run(np.cumsum, x._data, along[0]), axis=along[0])


def _at(x: Tensor, axis: int, part: slice) -> Tensor:
    return x[(..., part, *(slice(None),) * (-axis - 1))]


def prod(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The product, multiplied in pairs, so that every derivative is exact with zeros among the factors too."""
    x = as_tensor(x)
    axes = negative_axes(axis, x.ndim)
    for a in axes:
        while x.shape[a] > 1:
            half = x.shape[a] // 2
            pairs = _at(x, a, slice(0, half)) * _at(x, a, slice(half, 2 * half))
            x = pairs if x.shape[a] % 2 == 0 else concatenate([pairs, _at(x, a, slice(2 * half, None))], a)
        if x.shape[a] == 0:
            x = Tensor(np.ones([1 if i - x.ndim == a else n for i, n in enumerate(x.shape)], x.dtype))
    return x if keepdims else x.squeeze(axes)  # type: ignore[no-any-return]


def cumprod(x: Any, axis: int | None = None) -> Tensor:
    """Running products along `axis`, by doubling steps of products, exact with zeros in every derivative."""
    x = as_tensor(x)
    if axis is None:
        x, axis = x.reshape(-1), 0
    (a,) = negative_axes(axis, x.ndim) or (-1,)
    step = 1
    while x.ndim and step < x.shape[a]:
        x = concatenate([_at(x, a, slice(0, step)), _at(x, a, slice(step, None)) * _at(x, a, slice(0, -step))], a)
        step *= 2
    return x  # type: ignore[no-any-return]


def var(x: Any, axis: Axis = None, correction: float = 1, keepdims: bool = False) -> Tensor:
    """The variance with divisor n − `correction`; 1 by default as in PyTorch (`np.var` uses 0, here too)."""
    x = as_tensor(x)
    axes = negative_axes(axis, x.ndim)
    count = math.prod([x.shape[a] for a in axes])
    deviation = x - mean(x, axes, True)
    freedom = np.maximum(np.float64(count - correction), 0.0)
    return (deviation * deviation).sum(axis=axes, keepdims=keepdims) / Tensor(freedom.astype(deviation.dtype))  # type: ignore[no-any-return]


def std(x: Any, axis: Axis = None, correction: float = 1, keepdims: bool = False) -> Tensor:
    """The square root of `var`."""
    return sqrt(var(x, axis, correction, keepdims))


def norm(x: Any, ord: Any = 2, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The p-norm of all elements or along `axis`: (Σ|x|ᵖ)^(1/p), the largest |x| for inf, the number of non-zeros for
    0.

    The gradient of the 2-norm at 0 is 0, as in PyTorch.
    """
    x = as_tensor(x)
    axes = negative_axes(axis, x.ndim)
    if ord in (2, None, "fro"):
        data = quietly().run(np.sqrt, quietly().run(np.sum, np.square(x._data), axes, None, None, keepdims))
        return record(_NORM, (x,), data, shape=x.shape, axes=axes, keep=keepdims)
    if isinstance(ord, str):
        raise ArgumentError(f"norm takes a number, inf or 'fro' as its order, got {ord!r}")
    size = x.abs()
    if ord == 1:
        return sum(size, axes, keepdims)
    if ord in (np.inf, -np.inf):
        return (amax if ord > 0 else amin)(size, axes, keepdims)
    if ord == 0:
        return sum(where(x == 0, 0.0, 1.0), axes, keepdims)
    return sum(size**ord, axes, keepdims) ** (1 / ord)  # type: ignore[no-any-return]


def logsumexp(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """log Σ eˣ without overflow; −∞ over elements that all are −∞."""
    x = as_tensor(x)
    axes = negative_axes(axis, x.ndim)
    top = np.max(x._data, axis=axes, keepdims=True, initial=-np.inf)
    top = np.where(np.isfinite(top), top, 0.0).astype(x.dtype if x.dtype.kind == "f" else np.float64)
    total = np.sum(quietly().run(np.exp, quietly().run(np.subtract, x._data, top)), axis=axes, keepdims=True)
    data = quietly().run(np.log, total) + top
    data = data if keepdims else np.squeeze(data, axes)
    return record(_LOGSUMEXP, (x,), data[()], shape=x.shape, axes=axes, keep=keepdims)


def log_softmax(x: Any, axis: int = -1) -> Tensor:
    """x − log Σ eˣ along `axis`."""
    x = as_tensor(x)
    (a,) = negative_axes(axis, x.ndim) or (None,)
    if a is None:
        return x - x  # type: ignore[no-any-return]
    return record(_LOG_SOFTMAX, (x,), x._data - logsumexp(x._data, a, True)._data, axis=a)


def softmax(x: Any, axis: int = -1) -> Tensor:
    """eˣ / Σ eˣ along `axis`."""
    x = as_tensor(x)
    (a,) = negative_axes(axis, x.ndim) or (None,)
    if a is None:
        return exp(x - x)
    shifted = quietly().run(
        np.exp, quietly().run(np.subtract, x._data, np.max(x._data, axis=a, keepdims=True, initial=-np.inf))
    )
    return record(_SOFTMAX, (x,), quietly().run(np.divide, shifted, shifted.sum(axis=a, keepdims=True)), axis=a)
