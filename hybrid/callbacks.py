"""Python functions and compiled ones as C functions that kernels call."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from hybrid.errors import InputTypeError

NAN = math.nan
FUNCTION: Any = ctypes.CFUNCTYPE(None).__mro__[1]  # what all ctypes functions are, however they were declared


def as_address(native: Any) -> tuple[Any, int]:
    """What must stay alive, and the address, of compiled code: an integer, a ctypes function or a Numba cfunc."""
    address = getattr(native, "address", None)
    if isinstance(address, int):
        return native, address
    if isinstance(native, int) and not isinstance(native, bool) and native > 0:
        return native, native
    found = ctypes.cast(native, ctypes.c_void_p).value if isinstance(native, FUNCTION) else None
    if not found:
        raise InputTypeError(f"native= must be an address, a ctypes function or a Numba cfunc, got {native!r}")
    return native, found


def scalar_callback(values: Callable[..., Any], arguments: int) -> tuple[Any, int]:
    """`double f(double, …)` that calls Python. An exception cannot leave a kernel: it makes the result NaN."""

    def call(*args: float) -> float:
        try:
            return float(values(*args))
        except Exception:
            return NAN

    function = ctypes.CFUNCTYPE(ctypes.c_double, *[ctypes.c_double] * arguments)(call)
    return as_address(function)


def array_callback(values: Callable[..., Any], arguments: int, results: int) -> tuple[Any, int]:
    """`void f(const double *, double *)` that calls Python with one array and takes one back."""

    def call(given: Any, made: Any) -> None:
        target = np.ctypeslib.as_array(made, (results,))
        try:
            target[:] = values(np.ctypeslib.as_array(given, (arguments,)).copy())
        except Exception:
            target[:] = NAN

    pointer = ctypes.POINTER(ctypes.c_double)
    return as_address(ctypes.CFUNCTYPE(None, pointer, pointer)(call))
