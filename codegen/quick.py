"""The short way through a ufunc for one point: no iterator, no type resolution, the same object and the same bits.

NumPy calls a ufunc by a pointer that every ufunc has of its own (CPython's vectorcall protocol). For calls with float64
arrays of exactly the operands' own shapes, or Python's floats, a native function runs the loop once on their memory;
any other call (batches, strides, other types, subclasses, keywords) goes on to NumPy's function. NumPy's way costs
1 µs for a gufunc or several results, and 5 µs from floats.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np

from codegen.call import FASTCALL, MethodDef, builtin
from codegen.emit import ending
from codegen.jit import Compiled, generate, link
from codegen.program import Array
from codegen.target import host
from codegen.text import Function

_HEAD = object.__basicsize__
_TYPE = _HEAD - 8
# Members of NumPy's PyArrayObject behind the head, and flags an operand must have, of its stable interface.
_DATA, _RANK, _SHAPE, _DESCR, _FLAGS = _HEAD, _HEAD + 8, _HEAD + 16, _HEAD + 40, _HEAD + 48
_READABLE, _WRITEABLE = 0x0101, 0x0501
_DOUBLE = 12
# Indices into the table of NumPy's array interface.
_ARRAY_TYPE, _DESCR_FROM_TYPE, _SCALAR, _NEW = 2, 45, 60, 93
# Where CPython's type objects say how far into an instance its vectorcall pointer is.
_VECTORCALL_OFFSET = ctypes.sizeof(ctypes.c_void_p) * 4 + _HEAD + 8
_MOST = 16  # operands; more are left to NumPy, whose costs they hide

# What the native function knows of a ufunc, in words, before a (rank, address of the extents) per operand.
_WORDS = ("inputs", "results", "loop", "slow", "new", "scalar", "array_type", "descr", "float_type")


@dataclass(frozen=True, eq=False)
class Record:
    """The words of one ufunc, and what they point to."""

    words: Any
    extents: tuple[Any, ...]
    address: int


def record(compiled: Compiled) -> Record | None:
    """What a ufunc with the loop of `compiled` needs for the short way; None where it cannot be had."""
    program = compiled.program
    operands: tuple[Array, ...] = (*program.arguments, *program.results)
    if compiled.target.element != "float64" or len(operands) > _MOST or not _known():
        return None
    extents = tuple((ctypes.c_int64 * max(1, len(array.shape)))(*array.shape) for array in operands)
    values = {
        "inputs": len(program.arguments),
        "results": len(program.results),
        "loop": compiled.address(f"{compiled.symbol}_loop"),
        "slow": _vectorcall(np.add),
        "new": _array_interface(_NEW),
        "scalar": _array_interface(_SCALAR),
        "array_type": id(np.ndarray),
        "descr": id(np.dtype(np.float64)),
        "float_type": id(np.float64),
    }
    words = [values[name] for name in _WORDS]
    for array, extent in zip(operands, extents, strict=True):
        words += [len(array.shape), ctypes.addressof(extent)]
    held = (ctypes.c_int64 * len(words))(*words)
    return Record(held, extents, ctypes.addressof(held))


def install(ufunc: np.ufunc) -> None:
    """Let the short way be tried; the ufunc's loop data must be the address of its record."""
    ctypes.c_void_p.from_address(id(ufunc) + _offset()).value = _function()


@cache
def _known() -> bool:
    """Whether everything is where it is looked for."""
    probe = np.zeros((2, 3))

    def member(kind: Any, offset: int) -> int:
        return kind.from_address(id(probe) + offset).value or 0

    try:
        return (
            member(ctypes.c_void_p, _DATA) == probe.ctypes.data
            and member(ctypes.c_int, _RANK) == 2
            and member(ctypes.c_void_p, _DESCR) == id(probe.dtype)
            and member(ctypes.c_int, _FLAGS) & _WRITEABLE == _WRITEABLE
            and _offset() > 0
            and _vectorcall(np.add) == _vectorcall(np.exp) != 0
            and _array_interface(_ARRAY_TYPE) == id(np.ndarray)
            and float.__basicsize__ == _HEAD + 8
        )
    except (AttributeError, ImportError):
        return False


def _offset() -> int:
    return ctypes.c_ssize_t.from_address(id(np.ufunc) + _VECTORCALL_OFFSET).value


def _vectorcall(ufunc: np.ufunc) -> int:
    return ctypes.c_void_p.from_address(id(ufunc) + _offset()).value or 0


@cache
def _array_interface(index: int) -> int:
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
    table = pointer(import_module("numpy._core._multiarray_umath")._ARRAY_API, None)
    return ctypes.c_void_p.from_address(table + index * ctypes.sizeof(ctypes.c_void_p)).value or 0


@cache
def _engine() -> Any:
    return link([generate(emit(), host(), {}, quick=True)], host())


@cache
def _function(name: str = "hy_quick") -> int:
    return int(_engine().get_function_address(name))


def attempt(compiled: Compiled) -> Any:
    """The short way as a builtin of its own, which returns NotImplemented where the ufunc would go on to NumPy's.

    None where there is no short way.
    """
    own = record(compiled)
    if own is None:
        return None
    definition = MethodDef(compiled.program.name.encode(), _function("hy_attempt"), FASTCALL, b"")
    return builtin(definition, (own.address, own, compiled, definition))


_DECLARATIONS = """\
declare ptr @PyTuple_New(i64)
declare i32 @PyTuple_SetItem(ptr, i64, ptr)
declare void @Py_IncRef(ptr)
declare void @Py_DecRef(ptr)
declare ptr @PyTuple_GetItem(ptr, i64)
declare ptr @PyLong_AsVoidPtr(ptr)
@_Py_NotImplementedStruct = external global i8
@PyFloat_Type = external global i8
"""


def emit() -> str:
    """LLVM IR of `PyObject *hy_quick(PyObject *self, PyObject *const *args, size_t count, PyObject *names)`."""
    triple = f'target triple = "{host().triple}"\n'
    functions = [_address(), _made(), _quick(), _attempt()]
    return "\n".join([triple, _DECLARATIONS, *map(str, functions), ending(host())])


def _word(f: Function, name: str, kind: str = "ptr") -> str:
    return f.load(name, kind, f.at("%record", _WORDS.index(name), "i64"))


def _address() -> Function:
    """Where the numbers of an operand are; null if it is no float64 array of the operand's shape, and no float."""
    f = Function("define internal ptr @hy.numbers(ptr %record, ptr %object, i64 %number, i32 %flags) #0")
    shape = f.at("%record", f.let("place", f"add i64 {f.let('twice', 'shl i64 %number, 1')}, {len(_WORDS)}"), "i64")
    rank = f.load("rank", "i64", shape)
    kind = f.load("kind", "ptr", f.at("%object", _TYPE))
    is_array = f.let("is_array", f"icmp eq ptr {kind}, {_word(f, 'array_type')}")
    with f.early_return(f.let("other", f"xor i1 {is_array}, true")):
        python = f.let("python", f"icmp eq ptr {kind}, @PyFloat_Type")
        numpy = f.let("numpy", f"icmp eq ptr {kind}, {_word(f, 'float_type')}")
        number = f.let("number", f"or i1 {python}, {numpy}")
        scalar = f.let("scalar", f"icmp eq i64 {rank}, 0")
        input_ = f.let("input", f"icmp eq i32 %flags, {_READABLE}")
        fits = f.let("fits", f"and i1 {number}, {f.let('both', f'and i1 {scalar}, {input_}')}")
        value = f.at("%object", _HEAD)
        f.do(f"ret ptr {f.let('value', f'select i1 {fits}, ptr {value}, ptr null')}")
    own = f.let("own", f"sext i32 {f.load('own', 'i32', f.at('%object', _RANK))} to i64")
    descr = f.let("descr", f"icmp eq ptr {f.load('descr', 'ptr', f.at('%object', _DESCR))}, {_word(f, 'descr')}")
    flags = f.let("flags", f"and i32 {f.load('flags', 'i32', f.at('%object', _FLAGS))}, %flags")
    fits = f.let("same", f"icmp eq i64 {own}, {rank}")
    for condition in (descr, f.let("good", f"icmp eq i32 {flags}, %flags")):
        fits = f.let("fits", f"and i1 {fits}, {condition}")
    with f.early_return(f.let("misfit", f"xor i1 {fits}, true")):
        f.do("ret ptr null")
    extents, given = f.load("extents", "ptr", f.at(shape, 1, "i64")), f.load("given", "ptr", f.at("%object", _SHAPE))
    with f.loop("axis", 0, rank) as axis:
        one, two = (f.load("extent", "i64", f.at(place, axis, "i64")) for place in (extents, given))
        with f.early_return(f.let("differs", f"icmp ne i64 {one}, {two}")):
            f.do("ret ptr null")
    f.do(f"ret ptr {f.load('data', 'ptr', f.at('%object', _DATA))}")
    return f


def _made() -> Function:
    """A new array for a result; null, with an exception set, if memory runs out."""
    f = Function("define internal ptr @hy.made(ptr %record, i64 %number) #0")
    shape = f.at("%record", f.let("place", f"add i64 {f.let('twice', 'shl i64 %number, 1')}, {len(_WORDS)}"), "i64")
    rank = f.let("rank", f"trunc i64 {f.load('rank', 'i64', shape)} to i32")
    extents = f.load("extents", "ptr", f.at(shape, 1, "i64"))
    kinds = f"ptr {_word(f, 'array_type')}, i32 {rank}, ptr {extents}, i32 {_DOUBLE}"
    arguments = f"{kinds}, ptr null, ptr null, i32 0, i32 0, ptr null"
    new = _word(f, "new")
    f.do(f"ret ptr {f.let('array', f'call ptr {new}({arguments})')}")
    return f


def _quick() -> Function:
    f = Function("define ptr @hy_quick(ptr %self, ptr %args, i64 %count, ptr %names) #0")
    # PyUFuncObject: four ints after the head, the loops' addresses, their data.
    data = f.load("data", "ptr", f.at("%self", _HEAD + 24))
    f.do(f"%record = load ptr, ptr {data}, align 8")
    _call(f, _slow)
    return f


def _attempt() -> Function:
    f = Function("define ptr @hy_attempt(ptr %self, ptr %args, i64 %count) #0")
    number = f.let("number", "call ptr @PyTuple_GetItem(ptr %self, i64 0)")
    f.do(f"%record = call ptr @PyLong_AsVoidPtr(ptr {number})")
    f.do("%names = select i1 true, ptr null, ptr null")

    def leave(f: Function) -> None:
        f.do("call void @Py_IncRef(ptr @_Py_NotImplementedStruct)")
        f.do("ret ptr @_Py_NotImplementedStruct")

    _call(f, leave)
    return f


def _call(f: Function, leave: Callable[[Function], None]) -> None:
    """One call for `%record`, with the arguments at `%args`; `leave` returns where it is no call of this kind."""
    for name in ("numbers", "objects"):
        f.do(f"%{name} = alloca [{_MOST} x ptr], align 16")
    f.do(f"%values = alloca [{_MOST} x double], align 16")
    f.do("%one = alloca i64, align 8")
    f.store("i64", "1", "%one")
    inputs, results = _word(f, "inputs", "i64"), _word(f, "results", "i64")
    operands = f.let("operands", f"add i64 {inputs}, {results}")
    given = f.let("given", f"and i64 %count, {(1 << 63) - 1}")
    with_out, without = (f.let("is", f"icmp eq i64 {given}, {number}") for number in (operands, inputs))
    positional = f.let("positional", f"and i1 {f.let('any', f'or i1 {with_out}, {without}')}, "
                       f"{f.let('bare', 'icmp eq ptr %names, null')}")  # fmt: skip
    with f.early_return(f.let("special", f"xor i1 {positional}, true")):
        leave(f)
    with f.loop("k", 0, given) as k:
        thing = f.load("object", "ptr", f.at("%args", k, "ptr"))
        is_input = f.let("is_input", f"icmp slt i64 {k}, {inputs}")
        flags = f.let("flags", f"select i1 {is_input}, i32 {_READABLE}, i32 {_WRITEABLE}")
        address = f.let("address", f"call ptr @hy.numbers(ptr %record, ptr {thing}, i64 {k}, i32 {flags})")
        with f.early_return(f.let("unfit", f"icmp eq ptr {address}, null")):
            leave(f)
        f.store("ptr", address, f.at("%numbers", k, "ptr"))
        f.store("ptr", thing, f.at("%objects", k, "ptr"))
    _make_results(f, without, inputs, operands)
    f.do(f"call void {_word(f, 'loop')}(ptr %numbers, ptr %one, ptr null, ptr null)")
    with f.loop("k", inputs, operands) as k:
        place = f.at("%objects", k, "ptr")
        with f.when(with_out):
            f.do(f"call void @Py_IncRef(ptr {f.load('out', 'ptr', place)})")
        is_scalar = f.let("is_scalar", f"icmp eq ptr {f.load('object', 'ptr', place)}, null")
        with f.when(is_scalar):
            value = f.load("number", "ptr", f.at("%numbers", k, "ptr"))
            arguments = f"ptr {value}, ptr {_word(f, 'descr')}, ptr null"
            f.store("ptr", f.let("scalar", f"call ptr {_word(f, 'scalar')}({arguments})"), place)
    first = f.load("first", "ptr", f.at("%objects", inputs, "ptr"))
    with f.early_return(f.let("alone", f"icmp eq i64 {results}, 1")):
        f.do(f"ret ptr {first}")
    whole = f.let("tuple", f"call ptr @PyTuple_New(i64 {results})")
    with f.early_return(f.let("failed", f"icmp eq ptr {whole}, null")):
        f.do("ret ptr null")
    with f.loop("k", 0, results) as k:
        item = f.load("item", "ptr", f.at("%objects", f.let("from", f"add i64 {inputs}, {k}"), "ptr"))
        with f.early_return(f.let("missing", f"icmp eq ptr {item}, null")):
            f.do(f"call void @Py_DecRef(ptr {whole})")
            f.do("ret ptr null")
        f.let("status", f"call i32 @PyTuple_SetItem(ptr {whole}, i64 {k}, ptr {item})")
    f.do(f"ret ptr {whole}")


def _make_results(f: Function, without: str, inputs: str, operands: str) -> None:
    """Room for results that no array was given for: new arrays, and for single numbers a place on the stack."""
    stop = f.let("stop", f"select i1 {without}, i64 {operands}, i64 0")
    with f.loop("k", inputs, stop) as k:
        place = f.let("place", f"add i64 {f.let('twice', f'shl i64 {k}, 1')}, {len(_WORDS)}")
        rank = f.load("rank", "i64", f.at("%record", place, "i64"))
        f.store("ptr", "null", f.at("%objects", k, "ptr"))
        f.store("ptr", f.at("%values", k, "double"), f.at("%numbers", k, "ptr"))
        with f.when(f.let("has_axes", f"icmp ne i64 {rank}, 0")):
            array = f.let("array", f"call ptr @hy.made(ptr %record, i64 {k})")
            with f.early_return(f.let("failed", f"icmp eq ptr {array}, null")):
                f.do("ret ptr null")
            f.store("ptr", array, f.at("%objects", k, "ptr"))
            f.store("ptr", f.load("data", "ptr", f.at(array, _DATA)), f.at("%numbers", k, "ptr"))


def _slow(f: Function) -> None:
    call = f"call ptr {_word(f, 'slow')}(ptr %self, ptr %args, i64 %count, ptr %names)"
    f.do(f"ret ptr {f.let('answer', call)}")
