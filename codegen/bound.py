"""A call on fixed arrays as a builtin without arguments: nothing is looked up, converted or allocated at a call.

What NumPy works out at every call (addresses, strides, the batch) is worked out once. The builtin then only compares
the arrays' own records with what they were, so that an array that was resized since is refused rather than read.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codegen.call import NOARGS, builtin, define, method, text
from codegen.emit import ending
from codegen.jit import Compiled
from codegen.program import Array
from codegen.text import Function

# Operations of a call from which it lets other threads of Python run meanwhile, which costs some 50 ns.
RELEASE = 20_000

# Members of NumPy's PyArrayObject behind the head of every object: data, number of dimensions, shape, strides.
_HEAD = object.__basicsize__
_DATA, _RANK, _SHAPE, _STRIDES = _HEAD, _HEAD + 8, _HEAD + 16, _HEAD + 24
# Words of what is remembered per array: the object, its data and rank, and where its shape and strides are kept.
RECORD = 4
DECLARATIONS = """\
declare ptr @PyTuple_GetItem(ptr, i64)
declare ptr @PyLong_AsVoidPtr(ptr)
declare ptr @PyErr_Format(ptr, ptr, ...)
declare ptr @PyEval_SaveThread()
declare void @PyEval_RestoreThread(ptr)
declare void @Py_IncRef(ptr)
@hy.ValueError = external global i8
"""


@dataclass(frozen=True, eq=False)
class _Frame:
    """What a bound call points to: kept as long as the builtin lives. The views keep the buffers from being resized."""

    compiled: Compiled
    definition: Any
    words: Any
    tables: tuple[Any, ...]
    arrays: tuple[NDArray[Any], ...]
    views: tuple[memoryview, ...]
    result: Any


def bind(compiled: Compiled, inputs: Sequence[NDArray[Any]], outputs: Sequence[NDArray[Any]], doc: str = "") -> Any:
    """A builtin of no arguments that computes `outputs` from `inputs` as they are then, and returns the outputs.

    It returns the one output, or the tuple of them. Arrays are of the element type of `compiled` and of shape
    batch + shape; inputs may have batches that broadcast, outputs have the whole batch. Points must lie at one stride
    (contiguous batches do). The numbers have the bits that the ufunc gives; large calls let other threads run.
    Raises TypeError for other arrays than these, ValueError for shapes and strides that do not fit, arrays that cannot
    be written, and outputs that overlap another array; the builtin raises ValueError when one was resized since.
    """
    program = compiled.program
    declared = (*program.arguments, *program.results)
    arrays = (*inputs, *outputs)
    if len(inputs) != len(program.arguments) or len(outputs) != len(program.results):
        raise ValueError(
            f"{program.name} binds {len(program.arguments)} inputs and {len(program.results)} outputs, "
            f"got {len(inputs)} and {len(outputs)}"
        )
    for declaration, array in zip(declared, arrays, strict=True):
        _check(compiled, declaration, array)
    _check_outputs(program.name, program.results, inputs, outputs)
    count, steps = _points(program.name, declared, arrays, len(inputs))
    steps += [stride for item, array in zip(declared, arrays, strict=True) for stride in _core(item, array.strides)]
    dense = all(array.flags.c_contiguous if item.shape else True for item, array in zip(declared, arrays, strict=True))
    addresses = (ctypes.c_void_p * len(arrays))(*[array.ctypes.data for array in arrays])
    strides = (ctypes.c_int64 * len(steps))(*steps)
    shapes, remembered = records(arrays)
    result = outputs[0] if len(outputs) == 1 else tuple(outputs)
    words = (ctypes.c_int64 * 7)(
        count,
        ctypes.addressof(addresses),
        0 if count == 1 and dense else ctypes.addressof(strides),
        id(result),
        int(count * max(1, program.operations) >= RELEASE),
        len(arrays),
        ctypes.addressof(remembered),
    )
    name = f"{compiled.symbol}_bound"
    define(compiled, name, lambda: _emit(compiled, name))
    definition = method(compiled, name, NOARGS, doc)
    views = tuple(array.data for array in arrays)
    frame = _Frame(compiled, definition, words, (addresses, strides, shapes, remembered), arrays, views, result)
    return builtin(definition, (ctypes.addressof(words), frame))


def records(arrays: Sequence[NDArray[Any]]) -> tuple[list[Any], Any]:
    """What `compare` compares arrays with: their shapes and strides, and a record of each that points to these."""
    shapes = [(ctypes.c_int64 * (2 * array.ndim))(*array.shape, *array.strides) for array in arrays]
    made = (ctypes.c_int64 * max(1, RECORD * len(arrays)))()
    for k, (array, shape) in enumerate(zip(arrays, shapes, strict=True)):
        made[RECORD * k : RECORD * (k + 1)] = [id(array), array.ctypes.data, array.ndim, ctypes.addressof(shape)]
    return shapes, made


def _core(item: Array, whole: tuple[int, ...]) -> tuple[int, ...]:
    return whole[len(whole) - len(item.shape) :]


def _batch(item: Array, whole: tuple[int, ...]) -> tuple[int, ...]:
    return whole[: len(whole) - len(item.shape)]


def _check(compiled: Compiled, item: Array, array: Any) -> None:
    name, element = compiled.program.name, np.dtype(compiled.target.element)
    if not isinstance(array, np.ndarray) or isinstance(array, np.ma.MaskedArray) or array.dtype != element:
        found = f"{type(array).__name__} of {array.dtype}" if isinstance(array, np.ndarray) else type(array).__name__
        raise TypeError(
            f"{name}: {item.name} is bound to a {element} array, which is shared and not copied; got {found}"
        )
    if not array.flags.aligned:
        raise ValueError(f"{name}: the array for {item.name} is not aligned to its numbers; copy it")
    if len(item.shape) > array.ndim or _core(item, array.shape) != item.shape:
        shape = ", ".join(["...", *map(str, item.shape)])
        raise ValueError(f"{name}: {item.name} is bound to an array of shape ({shape}), got {array.shape}")


def _check_outputs(
    name: str, results: Sequence[Array], inputs: Sequence[NDArray[Any]], outputs: Sequence[NDArray[Any]]
) -> None:
    for k, (item, array) in enumerate(zip(results, outputs, strict=True)):
        if not array.flags.writeable:
            raise ValueError(f"{name}: the array for {item.name} is read-only")
        if overlaps_itself(array):
            raise ValueError(
                f"{name}: the array for {item.name} overlaps itself: strides {array.strides} put several elements "
                f"at one place"
            )
        if any(overlap(array, other) for other in (*inputs, *outputs[:k])):
            raise ValueError(f"{name}: the array for {item.name} overlaps another one; a bound call needs them apart")


def overlap(one: NDArray[Any], other: NDArray[Any]) -> bool:
    """Whether two arrays have memory in common; of strided arrays whose answer takes long to find, that they may."""
    if not np.may_share_memory(one, other):
        return False
    try:
        return bool(np.shares_memory(one, other, max_work=1000))  # type: ignore[arg-type]  # any int, says NumPy
    except np.exceptions.TooHardError:
        return True


def overlaps_itself(array: NDArray[Any]) -> bool:
    """Whether two elements of an array have memory in common, as in `as_strided` views; such an array is no output."""
    if array.flags.c_contiguous or array.flags.f_contiguous:
        return False
    reach = array.itemsize
    for stride, extent in sorted((abs(s), n) for s, n in zip(array.strides, array.shape, strict=True) if n != 1):
        if stride < reach:
            break
        reach += stride * (extent - 1)
    else:
        return False
    places = np.zeros((), np.int64)
    for stride, extent in zip(array.strides, array.shape, strict=True):
        places = np.add.outer(places, stride * np.arange(extent))
    flat = np.sort(places, axis=None)
    return bool((np.diff(flat) < array.itemsize).any())


def _points(name: str, declared: Sequence[Array], arrays: Sequence[NDArray[Any]], inputs: int) -> tuple[int, list[int]]:
    """How many points there are, and the distance in bytes between points of each array."""
    batch = np.broadcast_shapes(*(_batch(item, array.shape) for item, array in zip(declared, arrays, strict=True)))
    for item, array in list(zip(declared, arrays, strict=True))[inputs:]:
        if _batch(item, array.shape) != batch:
            raise ValueError(
                f"{name}: the array for {item.name} has shape {array.shape}, expected {batch + item.shape}"
            )
    axes = [k for k, extent in enumerate(batch) if extent != 1]
    steps = []
    for item, array in zip(declared, arrays, strict=True):
        shape, strides = _batch(item, array.shape), _batch(item, array.strides)
        missing = len(batch) - len(shape)
        along = [0 if k < missing or shape[k - missing] == 1 else strides[k - missing] for k in axes]
        extents = [batch[k] for k in axes]
        if any(outer != extent * inner for (outer, inner), extent in zip(pairwise(along), extents[1:], strict=True)):
            raise ValueError(
                f"{name}: the points of {item.name} do not lie at one stride; bind contiguous arrays of the whole batch"
            )
        steps.append(along[-1] if along else 0)
    return prod(batch), steps


def _emit(compiled: Compiled, name: str) -> str:
    """LLVM IR of `PyObject *NAME(PyObject *self, PyObject *)`; the first item of `self` is the address of the words."""
    f = Function(f"define ptr @{name}(ptr %self, ptr %unused) #0")
    number = f.let("number", "call ptr @PyTuple_GetItem(ptr %self, i64 0)")
    words = f.let("words", f"call ptr @PyLong_AsVoidPtr(ptr {number})")
    labels = (
        ("args", "ptr"),
        ("steps", "ptr"),
        ("result", "ptr"),
        ("release", "i64"),
        ("arrays", "i64"),
        ("records", "ptr"),
    )
    args, steps, result, release, arrays, remembered = (
        f.load(label, kind, f.at(words, k + 1, "i64")) for k, (label, kind) in enumerate(labels)
    )
    with f.loop("k", 0, arrays) as k:
        compare(f, f.at(remembered, f.let("record", f"mul i64 {k}, {RECORD}"), "i64"))
    slow = f.let("slow", f"icmp ne i64 {release}, 0")
    with f.early_return(slow):
        state = f.let("state", "call ptr @PyEval_SaveThread()")
        f.do(f"call void @{compiled.symbol}_loop(ptr {args}, ptr {words}, ptr {steps}, ptr null)")
        f.do(f"call void @PyEval_RestoreThread(ptr {state})")
        f.do(f"call void @Py_IncRef(ptr {result})")
        f.do(f"ret ptr {result}")
    f.do(f"call void @{compiled.symbol}_loop(ptr {args}, ptr {words}, ptr {steps}, ptr null)")
    f.do(f"call void @Py_IncRef(ptr {result})")
    f.do(f"ret ptr {result}")
    declarations = DECLARATIONS + f"declare void @{compiled.symbol}_loop(ptr, ptr, ptr, ptr)\n"
    message = text("hy.moved", f"{compiled.program.name}: a bound array was resized or reshaped; bind the arrays again")
    triple = f'target triple = "{compiled.target.triple}"\n'
    return "\n".join([triple, message, declarations, str(f), ending(compiled.target)])


def compare(f: Function, record: str) -> None:
    """Return null with an exception set, by the message `@hy.moved`, if an array is not what it was."""
    array = f.load("array", "ptr", record)
    data = f.load("data", "i64", f.at(array, _DATA))
    rank = f.let("rank", f"sext i32 {f.load('rank', 'i32', f.at(array, _RANK))} to i64")
    moved = f.let("moved", f"icmp ne i64 {data}, {f.load('was', 'i64', f.at(record, 1, 'i64'))}")
    other = f.let("other", f"icmp ne i64 {rank}, {f.load('was', 'i64', f.at(record, 2, 'i64'))}")
    with f.early_return(f.let("changed", f"or i1 {moved}, {other}")):
        _refuse(f)
    expected = f.load("expected", "ptr", f.at(record, 3, "i64"))
    for member, first in ((_SHAPE, "0"), (_STRIDES, rank)):
        now, was = f.load("now", "ptr", f.at(array, member)), f.at(expected, first, "i64")
        with f.loop("axis", 0, rank) as axis:
            one, two = f.load("one", "i64", f.at(now, axis, "i64")), f.load("two", "i64", f.at(was, axis, "i64"))
            with f.early_return(f.let("differs", f"icmp ne i64 {one}, {two}")):
                _refuse(f)


def _refuse(f: Function) -> None:
    f.let("null", "call ptr (ptr, ptr, ...) @PyErr_Format(ptr @hy.ValueError, ptr @hy.moved)")
    f.do("ret ptr null")
