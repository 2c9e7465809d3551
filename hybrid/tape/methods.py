"""Operators and methods of tensors, attached from the tables and modules that define them."""

from __future__ import annotations

from typing import Any

import numpy as np

from hybrid.tape import (
    activation,
    autograd,
    elementwise,
    indexing,
    inplace,
    linalg,
    numpy_protocol,
    products,
    reductions,
    shape,
)
from hybrid.tape.elementwise import ELEMENTWISE
from hybrid.tape.tensor import Tensor, as_tensor

_BINARY = {
    "add": "add", "sub": "sub", "mul": "mul", "truediv": "div", "pow": "pow", "mod": "mod", "floordiv": "floor_divide",
    "and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor",
}  # fmt: skip
_COMPARISONS = ("lt", "le", "gt", "ge", "eq", "ne")


def _operator(operation: Any) -> Any:
    def apply(self: Tensor, other: Any) -> Any:
        try:
            return operation(self, other)
        except TypeError:
            if isinstance(other, (Tensor, np.ndarray, np.generic, int, float, list, tuple)):
                raise
            return NotImplemented

    return apply


def _reflected(operation: Any) -> Any:
    def apply(self: Tensor, other: Any) -> Any:
        return operation(other, self)

    return apply


def _attach(name: str, function: Any) -> None:
    setattr(Tensor, name, function)


for _name, _row in _BINARY.items():
    _attach(f"__{_name}__", ELEMENTWISE[_row])
    _attach(f"__r{_name}__", _reflected(ELEMENTWISE[_row]))
    _attach(f"__i{_name}__", inplace.in_place(ELEMENTWISE[_row]))
for _name in _COMPARISONS:
    _attach(f"__{_name}__", ELEMENTWISE[_name])
_attach("__neg__", elementwise.neg)
_attach("__pos__", elementwise.positive)
_attach("__abs__", elementwise.abs)
_attach("__invert__", elementwise.invert)
_attach("__matmul__", products.matmul)
_attach("__rmatmul__", _reflected(products.matmul))
_attach("__getitem__", indexing.getitem)
_attach("__setitem__", inplace.setitem)
_attach("__hash__", object.__hash__)  # assigning __eq__ must not take it away
_attach("__array_ufunc__", numpy_protocol.array_ufunc)
_attach("__array_function__", numpy_protocol.array_function)
_attach("__hybrid_elementwise__", numpy_protocol.hybrid_elementwise)

# Every elementwise operation of one or two inputs is a method, and with an underscore its in-place form.
for _name, _operation in ELEMENTWISE.items():
    if _name not in ("and", "or", "xor", "not", "select", "polygamma", "heaviside", "hypot"):
        _attach(_name, _operation)
        _attach(f"{_name}_", inplace.in_place(_operation))
for _alias, _name in {
    "subtract": "sub", "multiply": "mul", "divide": "div", "true_divide": "div", "negative": "neg", "absolute": "abs",
    "arcsin": "asin", "arccos": "acos", "arctan": "atan", "arcsinh": "asinh", "arccosh": "acosh", "arctanh": "atanh",
    "arctan2": "atan2", "lgamma": "loggamma", "remainder": "mod", "round": "rint", "hypot": "hypot",
    "heaviside": "heaviside", "logical_and": "and", "logical_or": "or", "logical_xor": "xor", "logical_not": "not",
}.items():  # fmt: skip
    _attach(_alias, ELEMENTWISE[_name])


def with_dim(function: Any) -> Any:
    """Accept PyTorch's `dim=` and `keepdim=` for NumPy's `axis=` and `keepdims=`."""

    def method(self: Tensor, *args: Any, **kwargs: Any) -> Any:
        if kwargs:
            for theirs, ours in (("dim", "axis"), ("keepdim", "keepdims"), ("ddof", "correction")):
                if theirs in kwargs:
                    kwargs[ours] = kwargs.pop(theirs)
            if "unbiased" in kwargs:
                kwargs["correction"] = int(kwargs.pop("unbiased"))
            kwargs.pop("out", None)
        return function(self, *args, **kwargs)

    method.__name__ = function.__name__
    method.__doc__ = function.__doc__
    return method


def _extreme_method(values: Any, positions: Any, pairwise: Any) -> Any:
    def method(self: Tensor, *args: Any, **kwargs: Any) -> Any:
        """The extremum of all elements or along `axis`; with `dim=`, as in PyTorch, a pair of values and positions."""
        if args and isinstance(args[0], Tensor):
            return pairwise(self, *args)
        if "dim" not in kwargs:
            return with_dim(values)(self, *args, **kwargs)
        if self.ndim == 0:
            return shape.clone(self), positions(self)
        axis, keep = kwargs["dim"], kwargs.get("keepdim", False)
        where = positions(self, axis, True)
        found = indexing.take_along_axis(self, where, axis)
        return (found, where) if keep else (found.squeeze(axis), where.squeeze(axis))

    return method


_function: Any
for _function in (
    reductions.sum, reductions.mean, reductions.prod, reductions.amax, reductions.amin, reductions.argmax,
    reductions.argmin, reductions.all, reductions.any, reductions.cumsum, reductions.cumprod, reductions.var,
    reductions.std, reductions.logsumexp, reductions.softmax, reductions.log_softmax, shape.squeeze, shape.unsqueeze,
    shape.flip, shape.roll, shape.split, shape.chunk, shape.unbind, indexing.take_along_axis,
):  # fmt: skip
    _attach(_function.__name__, with_dim(_function))
_attach("norm", with_dim(reductions.norm))
_attach("max", _extreme_method(reductions.amax, reductions.argmax, elementwise.maximum))
_attach("min", _extreme_method(reductions.amin, reductions.argmin, elementwise.minimum))
for _function in (
    shape.reshape, shape.ravel, shape.flatten, shape.permute, shape.transpose, shape.swapaxes, shape.moveaxis,
    shape.broadcast_to, shape.tile, shape.diagonal, shape.diag, shape.trace, shape.tril, shape.triu, shape.clone,
    shape.astype, indexing.take, indexing.index_add, indexing.scatter_add, products.matmul, products.dot,
    products.outer, products.inner, products.tensordot, activation.clip, activation.relu, activation.sigmoid,
    activation.softplus,
    inplace.fill_, inplace.zero_, inplace.copy_, autograd.retain_grad, autograd.register_hook, autograd.backward,
):  # fmt: skip
    _attach(_function.__name__, _function)
for _function in (linalg.solve, linalg.inv, linalg.det, linalg.slogdet, linalg.cholesky, linalg.svd, linalg.qr):
    _attach(_function.__name__, _function)
_attach("narrow", indexing.narrow)
_attach("select", lambda self, dim, index: shape.unbind(self, dim)[index])
_attach("index_select", lambda self, dim, index: indexing.take(self, index, dim))
_attach("masked_select", lambda self, mask: self[mask])
_attach("contiguous", lambda self: self if np.asarray(self._data).flags.c_contiguous else shape.clone(self))
_attach("type_as", lambda self, other: shape.astype(self, as_tensor(other).dtype))
_attach("view", shape.reshape)
_attach("expand", shape.broadcast_to)
_attach("repeat", shape.tile)
_attach("repeat_interleave", shape.repeat)
_attach("copy", shape.clone)
_attach("to", shape.astype)
_attach("type", shape.astype)
_attach("clamp", activation.clip)
_attach("clip_", inplace.in_place(activation.clip))
_attach("clamp_", inplace.in_place(activation.clip))
_attach("relu_", inplace.in_place(activation.relu))
_attach("sigmoid_", inplace.in_place(activation.sigmoid))
_attach("where", lambda self, condition, other: elementwise.where(condition, self, other))
_attach("masked_fill", lambda self, mask, value: elementwise.where(mask, value, self))
_attach("masked_fill_", inplace.in_place(lambda self, mask, value: elementwise.where(mask, value, self)))
_attach("gather", lambda self, dim, index: indexing.take_along_axis(self, index, dim))
_attach("t", lambda self: shape.transpose(self))
_attach("T", property(lambda self: shape.transpose(self)))
_attach("mT", property(lambda self: shape.swapaxes(self, -1, -2)))
_attach("float", lambda self: shape.astype(self, np.float32))
_attach("double", lambda self: shape.astype(self, np.float64))
_attach("long", lambda self: shape.astype(self, np.int64))
_attach("bool", lambda self: shape.astype(self, np.bool_))
_attach("view_as", lambda self, other: shape.reshape(self, as_tensor(other).shape))
_attach("expand_as", lambda self, other: shape.broadcast_to(self, as_tensor(other).shape))
