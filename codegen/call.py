"""One point at a time from Python: a native function as a builtin, floats in and floats out.

NumPy's machinery costs several times what a small program takes for one point. CPython calls a builtin with the
METH_FASTCALL convention by address, with the arguments in an array, so a generated function can read them, run the
body once and make the result, with nothing in between. It goes through CPython's stable C interface alone.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

from codegen import environment
from codegen.driver import BODY, constant_rows
from codegen.emit import ending, lay_out
from codegen.jit import Compiled
from codegen.layout import Layout, Operand
from codegen.moves import splat
from codegen.target import Target
from codegen.text import Function, real, rounded

_FASTCALL = 0x0080
_DECLARATIONS = """\
declare double @PyFloat_AsDouble(ptr)
declare ptr @PyFloat_FromDouble(double)
declare ptr @PyErr_Occurred()
declare ptr @PyErr_Format(ptr, ptr, ...)
declare ptr @PyTuple_New(i64)
declare i32 @PyTuple_SetItem(ptr, i64, ptr)
declare void @Py_DecRef(ptr)
@PyExc_TypeError = external global ptr
"""


class _MethodDef(ctypes.Structure):
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
    definition: _MethodDef


def make_function(compiled: Compiled, doc: str = "") -> Any:
    """A builtin that takes a number for each argument, by position, and gives the results at that point.

    A result of shape () is a float, any other a flat tuple of floats in C order; several results are a tuple of these.
    The numbers have the bits that the ufunc gives. Raises ValueError if an argument is an array, or the program is so
    large that its scratch does not fit on the stack; TypeError, when called, for what is not a number.
    """
    layout, _ = lay_out(compiled.program, compiled.target)
    arrays = [argument.name for argument in compiled.program.arguments if argument.shape]
    if arrays or layout.on_heap:
        reason = f"argument {arrays[0]} is an array" if arrays else "it is too large"
        raise ValueError(f"{compiled.program.name} cannot be called with floats: {reason}; use make_ufunc")
    name = f"{compiled.symbol}_call"
    compiled.add(emit_call(layout, name))
    definition = _MethodDef(compiled.program.name.encode(), compiled.address(name), _FASTCALL, doc.encode())
    create = ctypes.pythonapi.PyCFunction_NewEx
    create.restype, create.argtypes = ctypes.py_object, (ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p)
    return create(ctypes.addressof(definition), _Owner(compiled, definition), None)


def emit_call(layout: Layout, name: str) -> str:
    """LLVM IR of `PyObject *NAME(PyObject *self, PyObject *const *args, Py_ssize_t count)`."""
    program = layout.program
    count = len(program.arguments)
    f = Function(f"define ptr @{name}(ptr %self, ptr %args, i64 %count) #0")
    f.do(f"%scratch = alloca [{layout.scratch} x i64], align 64")
    environment.allocate(f, layout.target)
    with f.early_return(f.let("miscounted", f"icmp ne i64 %count, {count}")):
        kind = f.load("kind", "ptr", "@PyExc_TypeError")
        f.let("null", f"call ptr (ptr, ptr, ...) @PyErr_Format(ptr {kind}, ptr @hy.message, ptr @hy.name, i64 %count)")
        f.do("ret ptr null")
    _read_arguments(f, layout)
    environment.begin(f, layout.target)
    f.do(f"call void @hy.body(ptr %scratch, ptr {_word(f, layout.table)}, i64 0, i64 {layout.target.width})")
    environment.end(f, layout.target, flags=False)
    objects = [_result(f, layout, operand) for operand in layout.outputs]
    value = objects[0] if len(objects) == 1 else _tuple(f, objects)
    f.do(f"ret ptr {value}")
    message = f"%s takes {count} number{'' if count == 1 else 's'}, got %zd"
    texts = _text("hy.message", message) + _text("hy.name", program.name)
    triple = f'target triple = "{layout.target.triple}"\n'
    return "\n".join([triple, texts, _DECLARATIONS, str(f), f"declare {BODY}\n", ending(layout.target)])


def _text(name: str, text: str) -> str:
    """A C string as a constant."""
    data = text.encode() + b"\0"
    escaped = "".join(chr(byte) if 32 <= byte < 127 and byte not in b'"\\' else f"\\{byte:02X}" for byte in data)
    return f'@{name} = private constant [{len(data)} x i8] c"{escaped}"\n'


def _word(f: Function, offset: int) -> str:
    return f.at("%scratch", offset, "i64")


def _row(f: Function, layout: Layout, row: int) -> str:
    return _word(f, row * layout.row_words)


def _read_arguments(f: Function, layout: Layout) -> None:
    for operand in layout.inputs:
        number = f.load("argument", "ptr", f.at("%args", operand.number, "ptr"))
        x = f.let("x", f"call double @PyFloat_AsDouble(ptr {number})")
        # −1 is also how an error is told.
        with f.when(f.let("doubtful", f"fcmp oeq double {x}, -1.0")):
            error = f.let("error", "call ptr @PyErr_Occurred()")
            with f.early_return(f.let("failed", f"icmp ne ptr {error}, null")):
                f.do("ret ptr null")
        if operand.used:
            value = splat(f, layout.target, narrow(f, layout.target, x))
            f.store(
                layout.target.vector, value, _row(f, layout, operand.row), layout.target.bytes * layout.target.width
            )
    for operand in layout.operands:
        if operand.used and operand.scalar:
            f.store("ptr", _row(f, layout, operand.row), _word(f, layout.table + operand.number))


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
