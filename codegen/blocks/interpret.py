"""What blocks mean, by NumPy: the reference for their native code."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codegen.blocks.form import REDUCTIONS, Affine, Block, Blocks, Counter, Place, Read, Write
from codegen.program import Program

Array = NDArray[Any]

MEANING: dict[str, Callable[..., Any]] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "pow": np.power, "mod": np.mod,
    "fmod": np.fmod, "minimum": np.minimum, "maximum": np.maximum, "copysign": np.copysign, "atan2": np.arctan2,
    "hypot": np.hypot, "neg": np.negative, "abs": np.abs, "sign": np.sign, "sqrt": np.sqrt, "cbrt": np.cbrt,
    "floor": np.floor, "ceil": np.ceil, "trunc": np.trunc, "rint": np.rint, "exp": np.exp, "exp2": np.exp2,
    "expm1": np.expm1, "log": np.log, "log2": np.log2, "log10": np.log10, "log1p": np.log1p, "sin": np.sin,
    "cos": np.cos, "tan": np.tan, "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "sinh": np.sinh,
    "cosh": np.cosh, "tanh": np.tanh, "asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh,
    "erf": np.vectorize(math.erf, otypes=[float]), "erfc": np.vectorize(math.erfc, otypes=[float]),
    "gamma": np.vectorize(math.gamma, otypes=[float]), "loggamma": np.vectorize(math.lgamma, otypes=[float]),
    "fma": lambda a, b, c: a * b + c, "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal,
    "eq": np.equal, "ne": np.not_equal, "and": np.logical_and, "or": np.logical_or, "xor": np.logical_xor,
    "not": np.logical_not, "true": lambda: np.True_, "false": lambda: np.False_, "select": np.where,
    "select_mask": np.where,
}  # fmt: skip


def interpret(blocks: Blocks, sizes: Mapping[str, int], arrays: Mapping[str, Array]) -> dict[str, Array]:
    """All buffers after one run, by name; arrays of inputs, data and indices are given, flat.

    Raises ValueError for an instruction NumPy has no function for, IndexError for an element outside its buffer.
    """
    dtype = np.dtype(blocks.element)
    buffers: dict[str, Array] = {}
    for buffer in blocks.buffers:
        length = buffer.length.value(sizes)
        if buffer.kind in ("work", "output"):
            buffers[buffer.name] = np.full(length, 0 if buffer.name in blocks.added_to else np.nan, dtype)
            continue
        given = np.asarray(arrays[buffer.name])
        buffers[buffer.name] = given.astype(np.int64 if buffer.kind == "index" else dtype).reshape(length)
    for block in blocks.blocks:
        shape = tuple(axis.value(sizes) for axis in block.axes)
        if block.scan is None:
            results = evaluate(block.body, [_read(read, shape, sizes, buffers) for read in block.reads], dtype)
            for write, value in zip(block.writes, results, strict=True):
                _write(write, np.broadcast_to(value, shape), shape, sizes, buffers)
        else:
            _scan(block, shape, sizes, buffers, dtype)
    return buffers


def evaluate(program: Program, arguments: list[Array], dtype: Any = np.float64) -> list[Array]:
    """The results of a program of numbers for arrays of arguments."""
    values: list[Array] = []
    with np.errstate(all="ignore"):
        for name, *operands in program.body:
            match name:
                case "const":
                    values.append(np.asarray(operands[0], dtype))
                case "load":
                    values.append(arguments[operands[0]])
                case _ if name in MEANING:
                    values.append(MEANING[name](*[values[operand] for operand in operands]))
                case _:
                    raise ValueError(f"{program.name}: the interpreter has no function for {name!r}")
    return [values[value].astype(dtype) for (value,) in program.outputs]


def offsets(at: Affine, shape: tuple[int, ...], sizes: Mapping[str, int]) -> Array:
    """The number `at` for all instances, of the shape of the index space but for axes it does not depend on."""
    total: Array = np.full((1,) * len(shape), at.offset.value(sizes), np.int64)
    for axis, (stride, length) in enumerate(zip(at.strides, shape, strict=True)):
        if factor := stride.value(sizes):
            along = [length if other == axis else 1 for other in range(len(shape))]
            total = total + factor * np.arange(length).reshape(along)
    return total


def positions(place: Place, shape: tuple[int, ...], sizes: Mapping[str, int], buffers: Mapping[str, Array]) -> Array:
    """The element of its buffer that a place is, for all instances, in the shape `offsets` has."""
    at = offsets(place.at, shape, sizes)
    if place.index is None or place.index_at is None:
        return at
    where = offsets(place.index_at, shape, sizes)
    _inside(f"{place}: the index", where, len(buffers[place.index]))
    return at + place.scale.value(sizes) * buffers[place.index][where].astype(np.int64)


def _inside(what: str, where: Array, length: int) -> None:
    if where.size and not (where.min() >= 0 and where.max() < length):
        raise IndexError(f"{what} reaches from element {where.min()} to {where.max()}, outside [0, {length})")


def _read(read: Read, shape: tuple[int, ...], sizes: Mapping[str, int], buffers: Mapping[str, Array]) -> Array:
    if isinstance(read, Counter):
        return offsets(read.at, shape, sizes).astype(float)
    if 0 in shape:
        return np.zeros(shape)
    where = positions(read, shape, sizes, buffers)
    _inside(str(read), where, len(buffers[read.buffer]))
    return buffers[read.buffer][where]


def _write(
    write: Write, values: Array, shape: tuple[int, ...], sizes: Mapping[str, int], buffers: Mapping[str, Array]
) -> None:
    array = buffers[write.place.buffer]
    if write.kind in REDUCTIONS:
        values = _reduced(write, values)
        shape = values.shape
    if 0 in shape:
        return
    where = np.broadcast_to(positions(write.place, shape, sizes, buffers), shape)
    _inside(str(write.place), where, len(array))
    if write.kind == "add":
        np.add.at(array, where, values)
    else:
        array[where] = values


def _reduced(write: Write, values: Array) -> Array:
    with np.errstate(all="ignore"):
        total: Array
        if write.kind == "sum":
            total = np.sum(values, axis=write.axes, keepdims=True)
            return total
        largest: Array = np.max(values, axis=write.axes, keepdims=True, initial=-np.inf)
        if write.kind == "max":
            return largest
        shift = np.where(np.isfinite(largest), largest, 0)
        total = np.log(np.sum(np.exp(values - shift), axis=write.axes, keepdims=True)) + shift
        return total


def _scan(
    block: Block, shape: tuple[int, ...], sizes: Mapping[str, int], buffers: Mapping[str, Array], dtype: Any
) -> None:
    axis = block.scan
    assert axis is not None
    one = (*shape[:axis], 1, *shape[axis + 1 :])
    carried = [np.broadcast_to(_read(start, one, sizes, buffers), one) for start in block.carries]
    reads = [np.broadcast_to(_read(read, shape, sizes, buffers), shape) for read in block.reads]
    kept = [np.empty(shape, dtype) for _ in block.writes]
    order = range(shape[axis])
    for t in reversed(order) if block.reverse else order:
        now = (*(slice(None),) * axis, slice(t, t + 1))
        results = evaluate(block.body, [*(read[now] for read in reads), *carried], dtype)
        for whole, value in zip(kept, results, strict=False):
            whole[now] = value
        carried = [np.broadcast_to(value, one) for value in results[len(kept) :]]
    for write, whole in zip(block.writes, kept, strict=True):
        _write(write, whole, shape, sizes, buffers)
