"""A program as the C functions that other libraries call back: SciPy's quadrature and image filters, and their like."""

from __future__ import annotations

import ctypes
from typing import Any

from codegen.call import define
from codegen.emit import ending
from codegen.jit import Compiled
from codegen.text import Function, real

_DOUBLES = ctypes.POINTER(ctypes.c_double)
# C signature → what the function is called in the module, its C types, and its IR header behind the name.
_KINDS: dict[str, tuple[str, tuple[Any, ...], str]] = {
    "double (double)": ("d_d", (ctypes.c_double, ctypes.c_double), "double @{0}(double %x)"),
    "double (double, void *)": (
        "d_dv",
        (ctypes.c_double, ctypes.c_double, ctypes.c_void_p),
        "double @{0}(double %x, ptr %data)",
    ),
    "double (int, double *)": ("d_id", (ctypes.c_double, ctypes.c_int, _DOUBLES), "double @{0}(i32 %n, ptr %x)"),
    "double (int, double *, void *)": (
        "d_idv",
        (ctypes.c_double, ctypes.c_int, _DOUBLES, ctypes.c_void_p),
        "double @{0}(i32 %n, ptr %x, ptr %data)",
    ),
    "int (double *, intptr_t, double *, void *)": (
        "i_dndv",
        (ctypes.c_int, _DOUBLES, ctypes.c_ssize_t, _DOUBLES, ctypes.c_void_p),
        "i32 @{0}(ptr %x, i64 %n, ptr %out, ptr %data)",
    ),
}
SIGNATURES = tuple(_KINDS)


def callback(compiled: Compiled, signature: str, numbers: int) -> Any:
    """A ctypes function of a C signature in `SIGNATURES`, which keeps the code alive.

    The elements of all arguments, in order, are first the `numbers` that the caller gives, then those that the `void *`
    points to (float64, as many as are left). The one result has shape (). A caller that gives another number of them
    gets NaN, or the error status 0. Raises ValueError for another signature, more than one result, or a result that
    is an array, and for an element type other than float64.
    """
    program = compiled.program
    if signature not in _KINDS:
        raise ValueError(f"{program.name}: signature {signature!r} is not one of {', '.join(map(repr, SIGNATURES))}")
    if len(program.results) != 1 or program.results[0].shape or compiled.target.element != "float64":
        raise ValueError(f"{program.name}: a callback has one float64 result of shape (), this has {program.results}")
    total = sum(argument.size for argument in program.arguments)
    if signature.startswith("double (double") and numbers != 1:
        raise ValueError(f"{program.name}: signature {signature!r} gives 1 number, not {numbers}")
    if not ("void *" in signature or numbers == total) or not 0 <= numbers <= total:
        raise ValueError(f"{program.name} takes {total} numbers; {signature!r} would give it {numbers}")
    suffix, types, head = _KINDS[signature]
    name = f"{compiled.symbol}_{suffix}_{numbers}"
    define(compiled, name, lambda: _emit(compiled, head.format(name), numbers))
    function: Any = ctypes.CFUNCTYPE(*types)(compiled.address(name))
    function.compiled = compiled
    return function


def _emit(compiled: Compiled, head: str, numbers: int) -> str:
    program = compiled.program
    f = Function(f"define {head} #0")
    sizes = [argument.size for argument in program.arguments]
    total = sum(sizes)
    integer = head.startswith("i32")
    for name, count in (("point", total), ("args", len(sizes) + 1), ("result", 1), ("one", 1)):
        f.do(f"%{name} = alloca [{max(1, count)} x i64], align 16")
    f.store("i64", "1", "%one")
    if "%n" in head:
        kind = "i64" if integer else "i32"
        with f.early_return(f.let("misfit", f"icmp ne {kind} %n, {numbers}")):
            f.do("ret i32 0" if integer else f"ret double {real(float('nan'))}")
    if "ptr %x" in head:
        with f.loop("e", 0, numbers) as e:
            f.store("double", f.load("value", "double", f.at("%x", e, "double")), f.at("%point", e, "double"))
    else:
        f.store("double", "%x", "%point")
    if "%data" in head:
        with f.loop("e", 0, total - numbers) as e:
            place = f.at(f.at("%point", numbers, "double"), e, "double")
            f.store("double", f.load("value", "double", f.at("%data", e, "double")), place)
    for k in range(len(sizes)):
        f.store("ptr", f.at("%point", sum(sizes[:k]), "double"), f.at("%args", k, "ptr"))
    f.store("ptr", "%out" if integer else "%result", f.at("%args", len(sizes), "ptr"))
    f.do(f"call void @{compiled.symbol}_loop(ptr %args, ptr %one, ptr null, ptr null)")
    f.do("ret i32 1" if integer else f"ret double {f.load('value', 'double', '%result')}")
    declaration = f"declare void @{compiled.symbol}_loop(ptr, ptr, ptr, ptr)\n"
    triple = f'target triple = "{compiled.target.triple}"\n'
    return "\n".join([triple, declaration, str(f), ending(compiled.target)])
