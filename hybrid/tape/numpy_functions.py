"""NumPy functions on tensors that are made of others: differences, selections, joins, polynomials and the like.

Each has NumPy's arguments and meaning; derivatives of every order follow from what it is made of.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hybrid.errors import ArgumentError
from hybrid.tape.elementwise import isfinite, isinf, isnan, where
from hybrid.tape.indexing import take, take_along_axis
from hybrid.tape.products import matmul
from hybrid.tape.reductions import amax, amin, mean
from hybrid.tape.shape import array_split, concatenate, flip, moveaxis, place, stack, swapaxes, unbind
from hybrid.tape.special_functions import sinc as sine_over
from hybrid.tape.tensor import Tensor, as_tensor


def values_of(x: Any) -> Any:
    return x._data if isinstance(x, Tensor) else np.asarray(x)


def at_least(rank: int) -> Callable[..., Any]:
    """np.atleast_1d, 2d or 3d, for one or several arguments."""

    def one(x: Any) -> Tensor:
        x = as_tensor(x)
        shape = np.broadcast_to(0, x.shape)
        return x.reshape({1: np.atleast_1d, 2: np.atleast_2d, 3: np.atleast_3d}[rank](shape).shape)  # type: ignore[no-any-return]

    def several(*xs: Any) -> Any:
        return one(xs[0]) if len(xs) == 1 else tuple(map(one, xs))

    return several


_at_least_1d, _at_least_2d, _at_least_3d = at_least(1), at_least(2), at_least(3)


def vstack(xs: Sequence[Any]) -> Tensor:
    return concatenate([_at_least_2d(x) for x in xs], 0)


def hstack(xs: Sequence[Any]) -> Tensor:
    whole = [_at_least_1d(x) for x in xs]
    return concatenate(whole, 0 if whole[0].ndim == 1 else 1)


def dstack(xs: Sequence[Any]) -> Tensor:
    return concatenate([_at_least_3d(x) for x in xs], 2)


def column_stack(xs: Sequence[Any]) -> Tensor:
    whole = [as_tensor(x) for x in xs]
    return concatenate([x if x.ndim >= 2 else x.reshape(-1, 1) for x in whole], 1)


def block(parts: Any) -> Tensor:
    """Nested lists of blocks, the innermost joined along the last axis."""

    def depth(part: Any) -> int:
        return 1 + depth(part[0]) if isinstance(part, list) else 0

    def join(part: Any, level: int, rank: int) -> Tensor:
        if not isinstance(part, list):
            x = as_tensor(part)
            return x.reshape((1,) * (rank - x.ndim) + x.shape)  # type: ignore[no-any-return]
        return concatenate([join(p, level - 1, rank) for p in part], -level)

    def ranks(part: Any) -> list[int]:
        return [r for p in part for r in ranks(p)] if isinstance(part, list) else [as_tensor(part).ndim]

    levels = depth(parts)
    return join(parts, levels, max([levels, *ranks(parts)]))


def append(x: Any, values: Any, axis: int | None = None) -> Tensor:
    return concatenate([x, values], axis)


def delete(x: Any, index: Any, axis: int | None = None) -> Tensor:
    x = as_tensor(x)
    if axis is None:
        x, axis = x.reshape(-1), 0
    return take(x, np.delete(np.arange(x.shape[axis]), index), axis)


def compress(condition: Any, x: Any, axis: int | None = None) -> Tensor:
    return take(x, np.flatnonzero(values_of(condition)), axis)


def resize(x: Any, shape: Any) -> Tensor:
    x = as_tensor(x)
    return take(x, np.resize(np.arange(x.size), shape))


def split_along(axis: int) -> Callable[..., list[Tensor]]:
    """np.vsplit, hsplit, dsplit."""

    def split(x: Any, sections: Any) -> list[Tensor]:
        x = as_tensor(x)
        return array_split(x, sections, 0 if axis == 1 and x.ndim == 1 else axis)

    return split


def broadcast_arrays(*xs: Any) -> tuple[Tensor, ...]:
    whole = [as_tensor(x) for x in xs]
    shape = np.broadcast_shapes(*[x.shape for x in whole])
    return tuple([x.broadcast_to(shape) for x in whole])


def meshgrid(*xs: Any, indexing: str = "xy", sparse: bool = False, copy: bool = True) -> tuple[Tensor, ...]:
    whole = [as_tensor(x).reshape(-1) for x in xs]
    axes = list(range(len(whole)))
    if indexing == "xy" and len(whole) > 1:
        axes[0], axes[1] = 1, 0
    grids = [x.reshape([-1 if i == a else 1 for i in range(len(whole))]) for x, a in zip(whole, axes, strict=True)]
    return tuple(grids) if sparse else broadcast_arrays(*grids)


def rot90(x: Any, k: int = 1, axes: tuple[int, int] = (0, 1)) -> Tensor:
    x = as_tensor(x)
    for _ in range(k % 4):
        x = flip(swapaxes(x, *axes), axes[0])
    return x  # type: ignore[no-any-return]


def rollaxis(x: Any, axis: int, start: int = 0) -> Tensor:
    x = as_tensor(x)
    axis, start = axis % x.ndim, start + x.ndim if start < 0 else start
    return moveaxis(x, axis, start - 1 if axis < start else start)


def diff(x: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Tensor:
    """Differences of neighbours along `axis`, n times."""
    x = as_tensor(x)
    ends = [None if end is None else as_tensor(end) for end in (prepend, append)]
    shape = list(x.shape)
    shape[axis] = 1
    whole = [
        x if end is None else end.broadcast_to(shape) if end.ndim == 0 else end for end in (ends[0], None, ends[1])
    ]
    kept = [part for part, end in zip(whole, (ends[0], x, ends[1]), strict=True) if end is not None]
    x = concatenate(kept, axis) if len(kept) > 1 else x
    behind = (slice(None),) * (x.ndim - 1 - axis % x.ndim)
    for _ in range(n):
        x = x[(..., slice(1, None), *behind)] - x[(..., slice(None, -1), *behind)]
    return x  # type: ignore[no-any-return]


def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Tensor:
    """The integral of samples by the trapezoidal rule."""
    y = as_tensor(y)
    if x is not None:
        x = as_tensor(x)
        steps = diff(x) if x.ndim == 1 else diff(x, axis=axis)
        dx = steps.reshape([-1 if i == axis % y.ndim else 1 for i in range(y.ndim)]) if x.ndim == 1 else steps
    behind = (slice(None),) * (y.ndim - 1 - axis % y.ndim)
    pairs = y[(..., slice(1, None), *behind)] + y[(..., slice(None, -1), *behind)]
    return (pairs * dx / 2.0).sum(axis=axis)  # type: ignore[no-any-return]


def average(x: Any, axis: Any = None, weights: Any = None, returned: bool = False, keepdims: bool = False) -> Any:
    """The mean, or Σwx/Σw with weights."""
    x = as_tensor(x)
    if weights is None:
        result, total = mean(x, axis, keepdims), as_tensor(float(x.size))
    else:
        w = as_tensor(weights)
        if w.shape != x.shape:
            w = w.reshape([-1 if axis is not None and i == axis % x.ndim else 1 for i in range(x.ndim)])
        w = w.broadcast_to(x.shape)
        total = w.sum(axis=axis, keepdims=keepdims)
        result = (x * w).sum(axis=axis, keepdims=keepdims) / total
    return (result, total.broadcast_to(result.shape)) if returned else result


def peak_to_peak(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    return amax(x, axis, keepdims) - amin(x, axis, keepdims)


def sort(x: Any, axis: int | None = -1, kind: Any = None) -> Tensor:
    """In increasing order; the gradient follows each element to its place."""
    x = as_tensor(x)
    if axis is None:
        x, axis = x.reshape(-1), 0
    return take_along_axis(x, np.argsort(x._data, axis=axis, kind="stable"), axis)


def cross(a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Tensor:
    """The vector product of three-dimensional vectors."""
    axisa, axisb, axisc = (axisa, axisb, axisc) if axis is None else (axis,) * 3
    x, y = moveaxis(a, axisa, -1), moveaxis(b, axisb, -1)
    if x.shape[-1] != 3 or y.shape[-1] != 3:
        raise ArgumentError(f"cross takes vectors of three components, got {x.shape[-1]} and {y.shape[-1]}")
    (x0, x1, x2), (y0, y1, y2) = unbind(x, -1), unbind(y, -1)
    product = stack([x1 * y2 - x2 * y1, x2 * y0 - x0 * y2, x0 * y1 - x1 * y0], -1)
    return moveaxis(product, -1, axisc) if product.ndim > 1 else product


def kron(a: Any, b: Any) -> Tensor:
    """The Kronecker product."""
    a, b = as_tensor(a), as_tensor(b)
    rank = max(a.ndim, b.ndim)
    left, right = ((1,) * (rank - x.ndim) + x.shape for x in (a, b))
    pairs = [n for pair in zip(left, (1,) * rank, strict=True) for n in pair]
    others = [n for pair in zip((1,) * rank, right, strict=True) for n in pair]
    whole = a.reshape(pairs) * b.reshape(others)
    return whole.reshape([m * n for m, n in zip(left, right, strict=True)])  # type: ignore[no-any-return]


def convolve(a: Any, v: Any, mode: str = "full") -> Tensor:
    """The discrete convolution of two vectors."""
    a, v = as_tensor(a).reshape(-1), as_tensor(v).reshape(-1)
    n, m = a.size, v.size
    where_to = (np.arange(n)[:, None] + np.arange(m)).reshape(-1)
    full = place((a.reshape(-1, 1) * v.reshape(1, -1)).reshape(-1), where_to, n + m - 1)
    if mode == "full":
        return full  # type: ignore[no-any-return]
    if mode not in ("same", "valid"):
        raise ArgumentError(f"convolve has the modes full, same and valid, got {mode!r}")
    short, long = sorted((n, m))
    start = (short - 1) // 2 if mode == "same" else short - 1
    return full[start : start + (long if mode == "same" else long - short + 1)]  # type: ignore[no-any-return]


def polyval(p: Any, x: Any) -> Tensor:
    """The polynomial with coefficients p, highest first, at x, by Horner's rule."""
    result: Any = 0.0
    for coefficient in unbind(as_tensor(p)):
        result = result * x + coefficient
    return as_tensor(result)


def interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None) -> Tensor:
    """Piecewise linear interpolation, constant outside unless `left` and `right` say otherwise."""
    x, xp, fp = as_tensor(x), as_tensor(xp), as_tensor(fp)
    start = np.clip(np.searchsorted(xp._data, x._data, side="right") - 1, 0, max(xp.size - 2, 0))
    end = np.minimum(start + 1, xp.size - 1)
    inside = take(fp, start) + (x - take(xp, start)) * (
        (take(fp, end) - take(fp, start)) / (take(xp, end) - take(xp, start))
    )
    below = where(x < xp[0], fp[0] if left is None else left, inside)
    return where(x > xp[-1], fp[-1] if right is None else right, where(x == xp[-1], fp[-1], below))


def select(conditions: Sequence[Any], choices: Sequence[Any], default: Any = 0) -> Tensor:
    """The choice of the first condition that holds."""
    if len(conditions) != len(choices):
        raise ArgumentError(f"select takes as many choices as conditions, got {len(choices)} and {len(conditions)}")
    pairs = list(zip(conditions, choices, strict=True))
    return functools.reduce(lambda rest, pair: where(pair[0], pair[1], rest), reversed(pairs), as_tensor(default))


def piecewise(x: Any, conditions: Any, functions: Sequence[Any], *args: Any, **kwargs: Any) -> Tensor:
    """The function (or number) of the last condition that holds; one more of them than conditions is the default."""
    given = conditions if isinstance(conditions, (list, tuple)) else [conditions]
    pieces = [f(x, *args, **kwargs) if callable(f) else f for f in functions]
    result = as_tensor(pieces[len(given)] if len(pieces) > len(given) else 0.0)
    for condition, piece in zip(given, pieces, strict=False):
        result = where(condition, piece, result)
    return result.broadcast_to(as_tensor(x).shape)  # type: ignore[no-any-return]


def nan_to_num(x: Any, copy: bool = True, nan: float = 0.0, posinf: Any = None, neginf: Any = None) -> Tensor:
    """NaN and infinities replaced by numbers."""
    x = as_tensor(x)
    top = float(np.finfo(x.dtype).max)
    big = where(x > 0, top if posinf is None else posinf, -top if neginf is None else neginf)
    return where(isnan(x), nan, where(isinf(x), big, x))


def sinc(x: Any) -> Tensor:
    """sin(πx)/(πx), 1 at 0."""
    return sine_over(as_tensor(x) * math.pi)


def linspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True) -> Tensor:
    """Evenly spaced points along a new first axis, between tensors."""
    start, stop = as_tensor(start), as_tensor(stop)
    fractions = np.linspace(0.0, 1.0, num, endpoint=endpoint)
    fractions = fractions.reshape((-1,) + (1,) * max(start.ndim, stop.ndim))
    return start * (1 - fractions) + stop * fractions  # type: ignore[no-any-return]


def matrix_vector(a: Any, x: Any) -> Tensor:
    return matmul(a, as_tensor(x).unsqueeze(-1)).squeeze(-1)  # type: ignore[no-any-return]


def vector_matrix(x: Any, a: Any) -> Tensor:
    return matmul(as_tensor(x).unsqueeze(-2), a).squeeze(-2)  # type: ignore[no-any-return]


def vector_dot(x: Any, y: Any, axis: int = -1) -> Tensor:
    return (as_tensor(x) * y).sum(axis=axis)  # type: ignore[no-any-return]


def multi_dot(matrices: Sequence[Any]) -> Tensor:
    """The product of several matrices, from the left."""
    return as_tensor(functools.reduce(matmul, matrices))


def is_close(x: Any, y: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Tensor:
    return Tensor(np.isclose(values_of(x), values_of(y), rtol, atol, equal_nan))


def divide_with_remainder(x: Any, y: Any) -> tuple[Any, Any]:
    x = as_tensor(x)
    return x // y, x % y


def fraction_and_whole(x: Any) -> tuple[Tensor, Tensor]:
    """np.modf: the fraction, with derivative 1, and the whole part, both with the sign of x."""
    x = as_tensor(x)
    whole = x.trunc()
    return where(isfinite(x), x - whole, where(isinf(x), 0.0 * whole.sign(), x)), whole


def scale_by_power_of_two(x: Any, n: Any) -> Tensor:
    """np.ldexp for integers n."""
    return as_tensor(x) * np.exp2(values_of(n))  # type: ignore[no-any-return]
