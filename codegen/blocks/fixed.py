"""Bound blocks on fixed arrays as a builtin without arguments: at a call nothing is looked up, checked or allocated.

Addresses are put where native code reads them once; the builtin compares the arrays' own records with what they were,
as `codegen.bound` does, and runs all stages.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from numpy.typing import NDArray

from codegen.blocks.code import WORTH, Bound
from codegen.bound import DECLARATIONS, RECORD, compare, records
from codegen.call import NOARGS, MethodDef, builtin, text
from codegen.emit import ending
from codegen.jit import generate, link
from codegen.target import host
from codegen.text import Function

Reals = NDArray[Any]

# Work of a call from which it lets other threads of Python run meanwhile.
RELEASE = 1 << 16
_WORDS = ("code", "stages", "count", "result", "release", "arrays", "records")


@dataclass(frozen=True)
class Part:
    """Blocks, and the arrays that a call reads and writes, in the order of their buffers."""

    bound: Bound
    inputs: Sequence[Reals]
    outputs: Sequence[Reals]


@dataclass(frozen=True, eq=False)
class _Frame:
    """What the builtin points to, kept as long as it lives."""

    parts: tuple[Part, ...]
    held: tuple[Any, ...]
    definition: MethodDef


def fixed(name: str, parts: Sequence[Part], arrays: Sequence[Reals], result: Any) -> Callable[[], Any]:
    """A builtin that runs the parts, one after the other, and returns `result`.

    arrays: those of a user that must stay as they are; the builtin raises ValueError when one was resized since. Small
    work is done by the calling thread, larger by as many as `Bound.run` takes; the bits are the same.
    Raises ValueError as `Bound.run` does.
    """
    frames = [part.bound.frame_for(part.inputs, part.outputs) for part in parts]
    if max((part.bound.work for part in parts), default=0) >= 2 * WORTH:
        return _shared(parts, result)
    words = [word for frame, part in zip(frames, parts, strict=True) for word in frame.words[: 4 * part.bound.stages]]
    stages = (ctypes.c_int64 * max(1, len(words)))(*words)
    kept, remembered = records(arrays)
    values = {
        "code": parts[0].bound.native.address("hy.stages") if parts else 0,
        "stages": ctypes.addressof(stages),
        "count": len(words) // 4,
        "result": id(result),
        "release": int(sum(part.bound.work for part in parts) >= RELEASE),
        "arrays": len(arrays),
        "records": ctypes.addressof(remembered),
    }
    own = (ctypes.c_int64 * len(_WORDS))(*[values[word] for word in _WORDS])
    definition = MethodDef(name.encode(), _function(), NOARGS, b"")
    views = tuple(array.data for array in arrays)
    frame = _Frame(tuple(parts), (frames, stages, kept, remembered, own, tuple(arrays), views, result), definition)
    made: Callable[[], Any] = builtin(definition, (ctypes.addressof(own), frame))
    return made


def _shared(parts: Sequence[Part], result: Any) -> Callable[[], Any]:
    def run() -> Any:
        for part in parts:
            part.bound.run(part.inputs, part.outputs)
        return result

    return run


@cache
def _function() -> int:
    return int(_engine().get_function_address("hy_fixed"))


@cache
def _engine() -> Any:
    return link([generate(_emit(), host(), {}, quick=True)], host())


def _emit() -> str:
    """LLVM IR of `PyObject *hy_fixed(PyObject *self, PyObject *)`; the first item of `self` is the address of the
    words."""
    f = Function("define ptr @hy_fixed(ptr %self, ptr %unused) #0")
    number = f.let("number", "call ptr @PyTuple_GetItem(ptr %self, i64 0)")
    words = f.let("words", f"call ptr @PyLong_AsVoidPtr(ptr {number})")
    kinds = {"count": "i64", "release": "i64", "arrays": "i64"}
    code, stages, count, result, release, arrays, remembered = (
        f.load(word, kinds.get(word, "ptr"), f.at(words, place, "i64")) for place, word in enumerate(_WORDS)
    )
    with f.loop("k", 0, arrays) as k:
        compare(f, f.at(remembered, f.let("record", f"mul i64 {k}, {RECORD}"), "i64"))
    with f.early_return(f.let("slow", f"icmp ne i64 {release}, 0")):
        state = f.let("state", "call ptr @PyEval_SaveThread()")
        f.do(f"call void {code}(ptr {stages}, i64 {count})")
        f.do(f"call void @PyEval_RestoreThread(ptr {state})")
        f.do(f"call void @Py_IncRef(ptr {result})")
        f.do(f"ret ptr {result}")
    f.do(f"call void {code}(ptr {stages}, i64 {count})")
    f.do(f"call void @Py_IncRef(ptr {result})")
    f.do(f"ret ptr {result}")
    message = text("hy.moved", "a bound array was resized or reshaped; bind the arrays again")
    return "\n".join([f'target triple = "{host().triple}"\n', message, DECLARATIONS, str(f), ending(host())])
