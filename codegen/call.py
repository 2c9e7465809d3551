"""One point at a time from Python: a native function as a builtin, floats in and floats out.

NumPy's machinery costs several times what a small program takes for one point. CPython calls a builtin with the
METH_FASTCALL convention by address, with the arguments in an array, so a generated function can read them, run the
body once and make the result, with nothing in between. It goes through CPython's stable C interface alone.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from codegen import environment
from codegen.driver import BODY, constant_rows
from codegen.emit import ending
from codegen.jit import Compiled
from codegen.layout import Layout, Operand
from codegen.moves import splat
from codegen.target import Target
from codegen.text import Function, real, rounded

FASTCALL, NOARGS = 0x0080, 0x0004
# Of every object: where its type is, and where a float has its number.
_HEAD = object.__basicsize__
_TYPE = _HEAD - 8
if float.__basicsize__ != _HEAD + 8:
    raise ImportError("codegen.call knows CPython's floats only as a head with a double behind it")
_DECLARATIONS = """\
declare double @PyFloat_AsDouble(ptr)
declare ptr @PyFloat_FromDouble(double)
declare ptr @PyErr_Occurred()
declare void @PyErr_Clear()
declare ptr @PyErr_Format(ptr, ptr, ...)
declare ptr @PyTuple_New(i64)
declare i32 @PyTuple_SetItem(ptr, i64, ptr)
declare i32 @PyObject_CheckBuffer(ptr)
declare i32 @PyObject_GetBuffer(ptr, ptr, i32)
declare void @PyBuffer_Release(ptr)
declare i64 @PySequence_Size(ptr)
declare ptr @PySequence_GetItem(ptr, i64)
declare ptr @PyMem_RawMalloc(i64)
declare void @PyMem_RawFree(ptr)
declare ptr @PyErr_NoMemory()
declare void @Py_DecRef(ptr)
declare i32 @PyObject_IsInstance(ptr, ptr)
@PyFloat_Type = external global i8
@PyComplex_Type = external global i8
@hy.TypeError = external global i8
@hy.ValueError = external global i8
"""
# Py_buffer, which the stable interface fixes since Python 3.11: its size, and where its members are, in bytes.
_VIEW, _LENGTH, _FORMAT = 80, 16, 40
# PyBUF_C_CONTIGUOUS | PyBUF_FORMAT
_CONTIGUOUS = 0x3C
# The buffer format "d" and the zero behind it, as a number read from memory.
_DOUBLES = ord("d")


class MethodDef(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


@dataclass(frozen=True, eq=False)
class _Owner:
    """What the builtin calls `__self__`: it keeps the code and the method's definition alive."""

    compiled: Compiled
    definition: MethodDef


def make_function(compiled: Compiled, doc: str = "") -> Any:
    """A builtin that takes one value for each argument, by position, and gives the results at that point.

    An argument of shape () is a number. Any other is its elements in C order: a C-contiguous buffer of float64, or a
    flat sequence of numbers. A result of shape () is a float, any other a flat tuple of floats in C order; several
    results are a tuple of these. The numbers have the bits that the ufunc gives.
    The builtin raises TypeError for what is not a number, ValueError for an array of another size.
    """
    layout = compiled.layout
    name = f"{compiled.symbol}_call"
    define(compiled, name, lambda: emit_call(layout, name))
    definition = method(compiled, name, FASTCALL, doc)
    return builtin(definition, _Owner(compiled, definition))


def define(compiled: Compiled, name: str, ir: Callable[[], str]) -> None:
    """Add the module that defines a function, unless that was done before."""
    try:
        compiled.address(name)
    except KeyError:
        compiled.add(ir())


def method(compiled: Compiled, name: str, flags: int, doc: str) -> MethodDef:
    """A native function as CPython wants it described; it must outlive every builtin made of it."""
    return MethodDef(compiled.program.name.encode(), compiled.address(name), flags, doc.encode())


def builtin(definition: MethodDef, owner: Any) -> Any:
    """The builtin; `owner` becomes its `__self__`, and must keep the definition and the code alive."""
    create = ctypes.pythonapi.PyCFunction_NewEx
    create.restype, create.argtypes = ctypes.py_object, (ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p)
    return create(ctypes.addressof(definition), owner, None)


def emit_call(layout: Layout, name: str) -> str:
    """LLVM IR of `PyObject *NAME(PyObject *self, PyObject *const *args, Py_ssize_t count)`."""
    program = layout.program
    count = len(program.arguments)
    f = Function(f"define ptr @{name}(ptr %self, ptr %args, i64 %count) #0")
    if not layout.on_heap:
        f.do(f"%scratch = alloca [{layout.scratch} x i64], align 64")
    with f.early_return(f.let("miscounted", f"icmp ne i64 %count, {count}")):
        f.let(
            "null",
            "call ptr (ptr, ptr, ...) @PyErr_Format(ptr @hy.TypeError, ptr @hy.message, ptr @hy.name, i64 %count)",
        )
        f.do("ret ptr null")
    if layout.on_heap:
        f.do(f"%heap = call ptr @PyMem_RawMalloc(i64 {8 * layout.scratch + 64})")
        with f.early_return(f.let("failed", "icmp eq ptr %heap, null")):
            f.do(f"ret ptr {f.let('null', 'call ptr @PyErr_NoMemory()')}")
        f.do(f"%scratch = call ptr @llvm.ptrmask.p0.i64(ptr {f.at('%heap', 63)}, i64 -64)")
    f.do("%result = call ptr @hy.answer(ptr %scratch, ptr %args)")
    if layout.on_heap:
        f.do("call void @PyMem_RawFree(ptr %heap)")
    f.do("ret ptr %result")
    plural = "" if count == 1 else "s"
    numbers = all(not argument.shape for argument in program.arguments)
    message = f"%s takes {count} {'number' if numbers else 'argument'}{plural}, got %zd"
    texts = text("hy.message", message) + text("hy.name", program.name)
    texts += text("hy.wrong", "%s: argument %s takes a buffer of float64 or a flat sequence, with %zd numbers")
    shown = "; an argument with axes is a C-contiguous buffer of float64, or its numbers in C order in a flat sequence"
    texts += text("hy.size", "%s: argument %s takes %zd numbers, got %zd" + shown)
    texts += "".join(text(f"hy.name.{k}", argument.name) for k, argument in enumerate(program.arguments))
    triple = f'target triple = "{layout.target.triple}"\n'
    texts += text("hy.complex", "%s takes real numbers: a number must be a real number, not complex")
    functions = [str(_as_double()), str(_answer(layout)), str(f)]
    if any(operand.array.shape for operand in layout.inputs):
        functions.append(str(_array(layout)))
    return "\n".join([triple, texts, _DECLARATIONS, *functions, f"declare {BODY}\n", ending(layout.target)])


def text(name: str, content: str) -> str:
    """A C string as a constant."""
    data = content.encode() + b"\0"
    escaped = "".join(chr(byte) if 32 <= byte < 127 and byte not in b'"\\' else f"\\{byte:02X}" for byte in data)
    return f'@{name} = private constant [{len(data)} x i8] c"{escaped}"\n'


def _answer(layout: Layout) -> Function:
    """The results of the arguments, as a new object; null with an exception set if they are not as they should be."""
    f = Function("define internal ptr @hy.answer(ptr %scratch, ptr %args) #0")
    environment.allocate(f, layout.target)
    _read_arguments(f, layout)
    environment.begin(f, layout.target)
    f.do(f"call void @hy.body(ptr %scratch, ptr {_word(f, layout.table)}, i64 0, i64 {layout.target.width})")
    environment.end(f, layout.target, flags=False)
    objects = [_result(f, layout, operand) for operand in layout.outputs]
    value = objects[0] if len(objects) == 1 else _tuple(f, objects)
    f.do(f"ret ptr {value}")
    return f


def _word(f: Function, offset: int) -> str:
    return f.at("%scratch", offset, "i64")


def _row(f: Function, layout: Layout, row: int) -> str:
    return _word(f, row * layout.row_words)


def _read_arguments(f: Function, layout: Layout) -> None:
    for operand in layout.inputs:
        value = f.load("argument", "ptr", f.at("%args", operand.number, "ptr"))
        if operand.array.shape:
            # One that the body does not read is looked at all the same, so that what is wrong is always told.
            row = _row(f, layout, operand.row) if operand.used else "null"
            arguments = f"ptr {value}, ptr {row}, i64 {operand.size}, ptr @hy.name.{operand.number}"
            read = f.let("read", f"call i1 @hy.array({arguments})")
            with f.early_return(f.let("failed", f"xor i1 {read}, true")):
                f.do("ret ptr null")
            continue
        x = _number(f, value, "ret ptr null")
        if operand.used:
            put_everywhere(f, layout, x, _row(f, layout, operand.row))
    for operand in layout.operands:
        if operand.used and operand.scalar:
            f.store("ptr", _row(f, layout, operand.row), _word(f, layout.table + operand.number))


def put_everywhere(f: Function, layout: Layout, x: str, row: str) -> None:
    """A double as the number of every lane of a row's first vector."""
    target = layout.target
    f.store(target.vector, splat(f, target, narrow(f, target, x)), row, target.bytes * target.width)


def _number(f: Function, value: str, on_error: str) -> str:
    x = f.let("x", f"call double @hy.number(ptr {value})")
    # −1 is also how an error is told.
    with f.when(f.let("doubtful", f"fcmp oeq double {x}, -1.0")):
        error = f.let("error", "call ptr @PyErr_Occurred()")
        with f.early_return(f.let("failed", f"icmp ne ptr {error}, null")):
            f.do(on_error)
    return x


def _as_double() -> Function:
    """PyFloat_AsDouble, but quick for a float, and a TypeError for the complex numbers it would cut."""
    f = Function("define internal double @hy.number(ptr %object) #0")
    kind = f.load("kind", "ptr", f.at("%object", _TYPE))
    with f.early_return(f.let("is_float", f"icmp eq ptr {kind}, @PyFloat_Type")):
        f.do(f"ret double {f.load('x', 'double', f.at('%object', _HEAD))}")
    found = f.let("found", "call i32 @PyObject_IsInstance(ptr %object, ptr @PyComplex_Type)")
    with f.early_return(f.let("complex", f"icmp ne i32 {found}, 0")):
        f.let("null", "call ptr (ptr, ptr, ...) @PyErr_Format(ptr @hy.TypeError, ptr @hy.complex, ptr @hy.name)")
        f.do("ret double -1.0")
    f.do(f"ret double {f.let('x', 'call double @PyFloat_AsDouble(ptr %object)')}")
    return f


def _array(layout: Layout) -> Function:
    """The elements of an array argument into its rows (nowhere if `row` is null); false with an exception set."""
    f = Function("define internal i1 @hy.array(ptr %object, ptr %row, i64 %size, ptr %name) #0")
    f.do(f"%view = alloca [{_VIEW} x i8], align 16")
    f.do("%needed = icmp ne ptr %row, null")
    is_buffer = f.let("is_buffer", f"icmp ne i32 {f.let('flag', 'call i32 @PyObject_CheckBuffer(ptr %object)')}, 0")
    with f.when(is_buffer):
        status = f.let("status", f"call i32 @PyObject_GetBuffer(ptr %object, ptr %view, i32 {_CONTIGUOUS})")
        got = f.let("got", f"icmp eq i32 {status}, 0")
        with f.when(got):
            _copy_buffer(f, layout)
        with f.when(f.let("none", f"xor i1 {got}, true")):
            f.do("call void @PyErr_Clear()")
    length = f.let("length", "call i64 @PySequence_Size(ptr %object)")
    with f.early_return(f.let("no_sequence", f"icmp slt i64 {length}, 0")):
        _complain(f, "@hy.TypeError", "ptr @hy.wrong, ptr @hy.name, ptr %name, i64 %size")
    with f.early_return(f.let("misfit", f"icmp ne i64 {length}, %size")):
        _complain(f, "@hy.ValueError", f"ptr @hy.size, ptr @hy.name, ptr %name, i64 %size, i64 {length}")
    with f.loop("e", 0, "%size") as e:
        item = f.let("item", f"call ptr @PySequence_GetItem(ptr %object, i64 {e})")
        with f.early_return(f.let("gone", f"icmp eq ptr {item}, null")):
            f.do("ret i1 false")
        x = f.let("x", f"call double @hy.number(ptr {item})")
        f.do(f"call void @Py_DecRef(ptr {item})")
        with f.when(f.let("doubtful", f"fcmp oeq double {x}, -1.0")):
            error = f.let("error", "call ptr @PyErr_Occurred()")
            with f.early_return(f.let("failed", f"icmp ne ptr {error}, null")):
                f.do("ret i1 false")
        _put(f, layout, e, x)
    f.do("ret i1 true")
    return f


def _complain(f: Function, kind: str, arguments: str) -> None:
    f.do("call void @PyErr_Clear()")
    f.let("null", f"call ptr (ptr, ptr, ...) @PyErr_Format(ptr {kind}, {arguments})")
    f.do("ret i1 false")


def _put(f: Function, layout: Layout, element: str, x: str) -> None:
    with f.when("%needed"):
        row = f.at("%row", f.let("place", f"mul i64 {element}, {layout.row_words}"), "i64")
        put_everywhere(f, layout, x, row)


def _copy_buffer(f: Function, layout: Layout) -> None:
    """Take the elements from a buffer of as many float64 and return; give it back and go on if it is another."""
    form = f.load("form", "ptr", f.at("%view", _FORMAT))
    length = f.load("length", "i64", f.at("%view", _LENGTH))
    base = f.load("base", "ptr", "%view")
    fits = f.let("fits", f"icmp eq i64 {length}, {f.let('bytes', 'mul i64 %size, 8')}")
    with f.when(fits):
        code = f.load("code", "i16", form, 1)
        with f.early_return(f.let("doubles", f"icmp eq i16 {code}, {_DOUBLES}")):
            with f.loop("e", 0, "%size") as e:
                _put(f, layout, e, f.load("x", "double", f.at(base, e, "double")))
            f.do("call void @PyBuffer_Release(ptr %view)")
            f.do("ret i1 true")
    f.do("call void @PyBuffer_Release(ptr %view)")


def narrow(f: Function, target: Target, x: str) -> str:
    """A double as a number of the target's element type."""
    return x if target.element == "float64" else f.let("narrow", f"fptrunc double {x} to {target.scalar}")


def widen(f: Function, target: Target, x: str) -> str:
    """A number of the target's element type as a double."""
    return x if target.element == "float64" else f.let("wide", f"fpext {target.scalar} {x} to double")


def _result(f: Function, layout: Layout, operand: Operand) -> str:
    constants = dict(constant_rows(layout))
    objects = []
    for row in range(operand.row, operand.row + operand.size):
        if row in constants:
            x = real(rounded(constants[row], layout.target.scalar))
        else:
            x = widen(f, layout.target, f.load("r", layout.target.scalar, _row(f, layout, row)))
        objects.append(f.let("object", f"call ptr @PyFloat_FromDouble(double {x})"))
    return objects[0] if operand.scalar else _tuple(f, objects)


def _tuple(f: Function, objects: list[str]) -> str:
    """A tuple that owns `objects`. Returns null if memory runs out."""
    result = f.let("tuple", f"call ptr @PyTuple_New(i64 {len(objects)})")
    with f.early_return(f.let("failed", f"icmp eq ptr {result}, null")):
        f.do("ret ptr null")
    failed = "false"
    for index, item in enumerate(objects):
        f.let("status", f"call i32 @PyTuple_SetItem(ptr {result}, i64 {index}, ptr {item})")
        failed = f.let("failed", f"or i1 {failed}, {f.let('missing', f'icmp eq ptr {item}, null')}")
    with f.early_return(failed):
        f.do(f"call void @Py_DecRef(ptr {result})")
        f.do("ret ptr null")
    return result
