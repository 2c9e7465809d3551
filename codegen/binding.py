"""Native loop → NumPy ufunc, through the table of NumPy's own C interface; no compiler involved."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np

from codegen import quick
from codegen.jit import Compiled
from codegen.program import MAX_OPERANDS, Array

# Indices into the table, and constants, of numpy/__ufunc_api.h and numpy/ufuncobject.h; part of NumPy's stable ABI.
_FROM_FUNC_AND_DATA_AND_SIGNATURE = 31
_NO_IDENTITY = -1
_TYPES = {"float32": 11, "float64": 12}


class _UfuncObject(ctypes.Structure):
    """The head of NumPy's PyUFuncObject, up to the member that keeps an object alive as long as the ufunc."""

    _fields_ = (
        ("head", ctypes.c_byte * object.__basicsize__),
        ("nin", ctypes.c_int),
        ("nout", ctypes.c_int),
        ("nargs", ctypes.c_int),
        ("identity", ctypes.c_int),
        ("functions", ctypes.c_void_p),
        ("data", ctypes.c_void_p),
        ("ntypes", ctypes.c_int),
        ("reserved", ctypes.c_int),
        ("name", ctypes.c_char_p),
        ("types", ctypes.c_void_p),
        ("doc", ctypes.c_char_p),
        ("ptr", ctypes.c_void_p),
        ("obj", ctypes.c_void_p),
    )


@dataclass(frozen=True, eq=False)
class _Owned:
    """What a ufunc points to and does not own itself."""

    loops: tuple[Compiled, ...]
    record: quick.Record | None
    functions: Any
    data: Any
    types: Any
    name: bytes
    doc: bytes


def signature(arguments: tuple[Array, ...], results: tuple[Array, ...]) -> str:
    """NumPy's gufunc signature with fixed sizes: "(),(7)->(12,7)"."""
    inputs, outputs = (
        ",".join(f"({','.join(str(n) for n in array.shape)})" for array in arrays) for arrays in (arguments, results)
    )
    return f"{inputs}->{outputs}"


def make_ufunc(compiled: Compiled | Sequence[Compiled], doc: str = "", *, short: bool = True) -> np.ufunc:
    """A real ufunc if every argument and result is a number per point, else a gufunc with fixed core dimensions.

    It takes and gives float64, or the element type `compiled` was made for. Several compilations of one program for
    different element types become the loops of one ufunc, of which NumPy takes the narrowest that holds the arguments:
    float32 for float32, float64 once one argument is. It broadcasts, and knows all that a ufunc knows, `out=`,
    `dtype=`, `casting=` and, if every operand is a number per point, `where=`; it keeps its native code alive. It
    raises no floating-point warnings: a point outside the domain gives NaN at that point.
    short: give it the short way for single points (quick.py) at once, whose code takes a process a few milliseconds the
    first time; `shorten` does it later.
    Raises ValueError for more than 64 operands (a limit of NumPy), no argument, or a zero in a shape.
    """
    given = (compiled,) if isinstance(compiled, Compiled) else tuple(compiled)
    # NumPy takes the first loop that the arguments can be cast to safely.
    loops = tuple(sorted(given, key=lambda loop: _TYPES[loop.target.element]))
    program = loops[0].program
    operands = (*program.arguments, *program.results)
    if len(operands) > MAX_OPERANDS:
        raise ValueError(
            f"{program.name} has {len(program.arguments)} arguments and {len(program.results)} results; NumPy ufuncs "
            f"allow {MAX_OPERANDS} in all: gather scalars into an array argument"
        )
    if not program.arguments or not program.results or any(array.size == 0 for array in operands):
        raise ValueError(f"{program.name}: a ufunc needs an argument, a result, and no empty shape; got {operands}")
    # The loop for float64 is the last.
    record = quick.record(loops[-1])
    owned = _Owned(
        loops,
        record,
        (ctypes.c_void_p * len(loops))(*[loop.address(f"{loop.symbol}_loop") for loop in loops]),
        (ctypes.c_void_p * len(loops))(*[record.address if record else None for _ in loops]),
        (ctypes.c_byte * (len(loops) * len(operands)))(
            *[_TYPES[loop.target.element] for loop in loops for _ in operands]
        ),
        program.name.encode(),
        doc.encode(),
    )
    create = _from_func_and_data_and_signature()
    core = any(array.shape for array in operands)
    ufunc: np.ufunc = create(
        ctypes.addressof(owned.functions),
        ctypes.addressof(owned.data),
        ctypes.addressof(owned.types),
        len(loops),
        len(program.arguments),
        len(program.results),
        _NO_IDENTITY,
        owned.name,
        owned.doc,
        0,
        signature(program.arguments, program.results).encode() if core else None,
    )
    _keep_alive(ufunc, owned)
    if short:
        shorten(ufunc)
    return ufunc


def shorten(ufunc: np.ufunc) -> None:
    """Give a ufunc of `make_ufunc` the short way for single points, where it can have one."""
    owned: Any = ctypes.cast(_UfuncObject.from_address(id(ufunc)).obj, ctypes.py_object).value
    if isinstance(owned, _Owned) and owned.record is not None:
        quick.install(ufunc)


def _keep_alive(ufunc: np.ufunc, owned: _Owned) -> None:
    """Hand a reference to `owned` to the ufunc, which drops it when it is deallocated, as it does for frompyfunc."""
    head = _UfuncObject.from_address(id(ufunc))
    if head.obj is not None or head.nargs != ufunc.nargs or head.name != owned.name:
        raise RuntimeError(f"NumPy {np.__version__} lays out ufuncs in a way this version of codegen does not know")
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(owned))
    head.obj = id(owned)


@cache
def _from_func_and_data_and_signature() -> Any:
    """PyUFunc_FromFuncAndDataAndSignature; a null signature makes a plain ufunc."""
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
    # The extension module that owns the table is no public name, but C code finds it here and nowhere else.
    table = pointer(import_module("numpy._core._multiarray_umath")._UFUNC_API, None)
    entry = ctypes.c_size_t.from_address(table + _FROM_FUNC_AND_DATA_AND_SIGNATURE * ctypes.sizeof(ctypes.c_void_p))
    prototype = ctypes.PYFUNCTYPE(
        ctypes.py_object,
        *[ctypes.c_void_p] * 3,
        *[ctypes.c_int] * 4,
        *[ctypes.c_char_p] * 2,
        ctypes.c_int,
        ctypes.c_char_p,
    )
    return prototype(entry.value)
