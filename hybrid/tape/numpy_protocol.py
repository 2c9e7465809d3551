"""NumPy's own functions on tensors: `np.sin(t)`, `np.sum(t, axis=0)`, `array @ t` stay on the tape.

Two tables say which operation stands for which NumPy function; a function outside them is an error that names it,
never a silent conversion to an array without history.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from hybrid.errors import UnsupportedError
from hybrid.tape import activation, creation, elementwise, indexing, linalg, products, reductions, shape
from hybrid.tape import numpy_functions as composed
from hybrid.tape.elementwise import ELEMENTWISE, UFUNCS, USER
from hybrid.tape.inplace import check_writable, replace
from hybrid.tape.tensor import Tensor, as_tensor

UFUNCS.update(
    matmul=products.matmul, matvec=composed.matrix_vector, vecmat=composed.vector_matrix, vecdot=composed.vector_dot,
    divmod=composed.divide_with_remainder, modf=composed.fraction_and_whole, ldexp=composed.scale_by_power_of_two,
)  # fmt: skip
REDUCE: dict[str, Callable[..., Tensor]] = {
    "add": reductions.sum, "multiply": reductions.prod, "maximum": reductions.amax, "minimum": reductions.amin,
    "logical_and": reductions.all, "logical_or": reductions.any,
}  # fmt: skip
ACCUMULATE: dict[str, Callable[..., Tensor]] = {"add": reductions.cumsum, "multiply": reductions.cumprod}


def array_ufunc(self: Tensor, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
    out = kwargs.pop("out", None)
    name = ufunc.__name__
    kwargs = {key: value for key, value in kwargs.items() if value is not None and value is not np._NoValue}
    if method == "__call__" and name in UFUNCS and not kwargs:
        result = UFUNCS[name](*inputs)
    elif method == "reduce" and name in REDUCE:
        result = REDUCE[name](inputs[0], kwargs.pop("axis", 0), **kwargs)
    elif method == "accumulate" and name in ACCUMULATE:
        result = ACCUMULATE[name](inputs[0], kwargs.pop("axis", 0), **kwargs)
    elif method == "outer" and name in UFUNCS and not kwargs:
        x, y = map(as_tensor, inputs)
        result = UFUNCS[name](x.reshape(x.shape + (1,) * y.ndim), y)
    else:
        what = name if method == "__call__" else f"{name}.{method}"
        options = f" with {', '.join(kwargs)}" if kwargs else ""
        raise UnsupportedError(f"np.{what}{options} has no meaning on tensors; known: {', '.join(sorted(UFUNCS))}")
    if out is None:
        return result
    (target,) = out
    if not isinstance(target, Tensor):
        raise TypeError(
            "a NumPy array cannot take a tensor's result in place: use tensor.detach().numpy(), "
            "or make the array a tensor"
        )
    check_writable(target)
    return replace(target, result)


def _numpy_var(
    x: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: float = 0, keepdims: bool = False
) -> Tensor:
    return reductions.var(x, axis, ddof, keepdims)


def _numpy_std(
    x: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: float = 0, keepdims: bool = False
) -> Tensor:
    return reductions.std(x, axis, ddof, keepdims)


def _numpy_norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Tensor:
    x = as_tensor(x)
    if x.ndim == 2 and axis is None and ord not in (None, "fro"):
        raise UnsupportedError(
            f"np.linalg.norm of a matrix with ord={ord!r} has no meaning on tensors; use None or 'fro', or give axis"
        )
    return reductions.norm(x, 2 if ord is None else ord, axis, keepdims)


def _numpy_where(condition: Any, x: Any = None, y: Any = None) -> Any:
    if x is None and y is None:
        return tuple(Tensor(part) for part in np.nonzero(as_tensor(condition)._data))
    return elementwise.where(condition, x, y)


def _numpy_round(x: Any, decimals: int = 0) -> Tensor:
    return elementwise.rint(x) if decimals == 0 else elementwise.rint(x * 10.0**decimals) / 10.0**decimals


def _matrix_trace(x: Any, offset: int = 0) -> Tensor:
    return shape.diagonal(x, offset, -2, -1).sum(axis=-1)  # type: ignore[no-any-return]


FUNCTIONS: dict[Any, Callable[..., Any]] = {
    np.sum: reductions.sum, np.mean: reductions.mean, np.prod: reductions.prod, np.var: _numpy_var, np.std: _numpy_std,
    np.max: reductions.amax, np.min: reductions.amin, np.amax: reductions.amax, np.amin: reductions.amin,
    np.argmax: reductions.argmax, np.argmin: reductions.argmin, np.all: reductions.all, np.any: reductions.any,
    np.cumsum: reductions.cumsum, np.cumprod: reductions.cumprod, np.linalg.norm: _numpy_norm,
    np.where: _numpy_where, np.clip: activation.clip, np.round: _numpy_round, np.around: _numpy_round,
    np.dot: products.dot, np.vdot: lambda x, y: products.dot(as_tensor(x).reshape(-1), as_tensor(y).reshape(-1)),
    np.inner: products.inner, np.outer: products.outer, np.tensordot: products.tensordot, np.einsum: products.einsum,
    np.reshape: shape.reshape, np.ravel: shape.ravel,
    np.transpose: lambda x, axes=None: shape.permute(x, *axes) if axes is not None else shape.transpose(x),
    np.swapaxes: shape.swapaxes, np.moveaxis: shape.moveaxis, np.squeeze: shape.squeeze,
    np.expand_dims: shape.unsqueeze, np.broadcast_to: shape.broadcast_to, np.flip: shape.flip, np.roll: shape.roll,
    np.concatenate: shape.concatenate, np.stack: shape.stack, np.split: shape.array_split,
    np.array_split: shape.array_split, np.tile: shape.tile, np.repeat: shape.repeat, np.pad: shape.pad,
    np.diagonal: shape.diagonal, np.diag: shape.diag, np.trace: shape.trace, np.tril: shape.tril, np.triu: shape.triu,
    np.take: indexing.take, np.take_along_axis: indexing.take_along_axis, np.copy: shape.clone,
    np.zeros_like: creation.zeros_like, np.ones_like: creation.ones_like, np.full_like: creation.full_like,
    np.empty_like: creation.empty_like,
    np.shape: lambda x: x.shape, np.ndim: lambda x: x.ndim, np.size: lambda x: x.size,
    np.vstack: composed.vstack, np.hstack: composed.hstack, np.dstack: composed.dstack,
    np.column_stack: composed.column_stack, np.block: composed.block, np.append: composed.append,
    np.delete: composed.delete, np.compress: composed.compress, np.resize: composed.resize,
    np.vsplit: composed.split_along(0), np.hsplit: composed.split_along(1), np.dsplit: composed.split_along(2),
    np.unstack: lambda x, axis=0: shape.unbind(x, axis), np.broadcast_arrays: composed.broadcast_arrays,
    np.meshgrid: composed.meshgrid, np.atleast_1d: composed.at_least(1), np.atleast_2d: composed.at_least(2),
    np.atleast_3d: composed.at_least(3), np.fliplr: lambda x: shape.flip(x, 1), np.flipud: lambda x: shape.flip(x, 0),
    np.rot90: composed.rot90, np.rollaxis: composed.rollaxis, np.diagflat: lambda x, k=0: shape.diag(shape.ravel(x), k),
    np.matrix_transpose: products.transposed, np.diff: composed.diff, np.trapezoid: composed.trapezoid,
    np.average: composed.average, np.ptp: composed.peak_to_peak, np.sort: composed.sort,
    np.argsort: lambda x, axis=-1, kind=None: Tensor(np.argsort(as_tensor(x)._data, axis, kind)),
    np.cross: composed.cross, np.linalg.cross: lambda a, b, axis=-1: composed.cross(a, b, axis=axis),
    np.kron: composed.kron, np.convolve: composed.convolve, np.polyval: composed.polyval, np.interp: composed.interp,
    np.select: composed.select, np.piecewise: composed.piecewise, np.nan_to_num: composed.nan_to_num,
    np.sinc: composed.sinc, np.fix: elementwise.trunc, np.linspace: composed.linspace, np.isclose: composed.is_close,
    np.real: as_tensor, np.real_if_close: lambda x, tol=100: as_tensor(x), np.imag: creation.zeros_like,
    np.iscomplexobj: lambda x: False, np.isrealobj: lambda x: True,
    np.result_type: lambda *xs: np.result_type(*[x.dtype if isinstance(x, Tensor) else x for x in xs]),
    np.linalg.matmul: products.matmul, np.linalg.outer: products.outer, np.linalg.trace: _matrix_trace,
    np.linalg.tensordot: products.tensordot, np.linalg.vecdot: composed.vector_dot,
    np.linalg.multi_dot: composed.multi_dot, np.linalg.matrix_transpose: products.transposed,
    np.linalg.diagonal: lambda x, offset=0: shape.diagonal(x, offset, -2, -1),
    np.linalg.solve: linalg.solve, np.linalg.inv: linalg.inv, np.linalg.det: linalg.det,
    np.linalg.slogdet: linalg.slogdet, np.linalg.cholesky: linalg.cholesky, np.linalg.eigh: linalg.eigh,
    np.linalg.eigvalsh: linalg.eigvalsh, np.linalg.svd: lambda a, full_matrices=True: linalg.svd(a, full_matrices),
    np.linalg.svdvals: linalg.svdvals, np.linalg.qr: linalg.qr, np.linalg.lstsq: linalg.lstsq,
    np.linalg.pinv: linalg.pinv, np.linalg.matrix_power: linalg.matrix_power,
    np.array_equal: lambda x, y: np.array_equal(as_tensor(x)._data, as_tensor(y)._data),
    np.allclose: lambda x, y, **kwargs: np.allclose(as_tensor(x)._data, as_tensor(y)._data, **kwargs),
    np.count_nonzero: lambda x, axis=None: Tensor(np.count_nonzero(as_tensor(x)._data, axis=axis)),
}  # fmt: skip


def array_function(self: Tensor, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
    if function not in FUNCTIONS:
        raise UnsupportedError(
            f"np.{function.__name__} has no meaning on tensors; use t.detach().numpy() for its values alone"
        )
    return FUNCTIONS[function](*args, **kwargs)


def hybrid_elementwise(self: Tensor, name: str, *args: Any) -> Tensor:
    """The hook other modules use to run an elementary operation by its name on whatever its arguments are."""
    operation = USER.get(name, ELEMENTWISE.get(name))
    if operation is None:
        raise UnsupportedError(
            f"{name!r} is no elementwise operation of the tape; known: {', '.join(sorted(ELEMENTWISE))}"
        )
    result: Tensor = operation(*args)
    return result
