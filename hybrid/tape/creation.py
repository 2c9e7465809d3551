"""Making tensors that do not come from data."""

from __future__ import annotations

from typing import Any

import numpy as np

from hybrid.tape.tensor import Tensor, as_tensor


def _made(data: Any, requires_grad: bool) -> Tensor:
    return Tensor(data).requires_grad_() if requires_grad else Tensor(data)


def _shape(shape: tuple[Any, ...]) -> Any:
    return shape[0] if len(shape) == 1 and not isinstance(shape[0], (int, np.integer)) else shape


def zeros(*shape: Any, dtype: Any = np.float64, requires_grad: bool = False) -> Tensor:
    """Zeros of a shape, given as numbers or as one tuple."""
    return _made(np.zeros(_shape(shape), dtype), requires_grad)


def ones(*shape: Any, dtype: Any = np.float64, requires_grad: bool = False) -> Tensor:
    """Ones of a shape, given as numbers or as one tuple."""
    return _made(np.ones(_shape(shape), dtype), requires_grad)


def full(shape: Any, value: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """One value, in every element."""
    return _made(np.full(shape, value, dtype), requires_grad)


def eye(n: int, m: int | None = None, dtype: Any = np.float64, requires_grad: bool = False) -> Tensor:
    """The identity matrix, or its first `m` columns."""
    return _made(np.eye(n, m, dtype=dtype), requires_grad)


def arange(*args: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """`start, stop, step` as NumPy's arange."""
    return _made(np.arange(*args, dtype=dtype), requires_grad)


def linspace(start: Any, stop: Any, num: int = 50, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """`num` evenly spaced points, both ends included."""
    return _made(np.linspace(start, stop, num, dtype=dtype), requires_grad)


def zeros_like(t: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros of the shape and type of `t`."""
    return _made(np.zeros_like(np.asarray(as_tensor(t)._data), dtype), requires_grad)


def ones_like(t: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones of the shape and type of `t`."""
    return _made(np.ones_like(np.asarray(as_tensor(t)._data), dtype), requires_grad)


def full_like(t: Any, value: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """One value, in the shape and type of `t`."""
    return _made(np.full_like(np.asarray(as_tensor(t)._data), value, dtype), requires_grad)


def empty_like(t: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros: memory without values is never handed out."""
    return zeros_like(t, dtype, requires_grad)
