"""Elementary and special functions as LLVM IR text, for any number of lanes, with no library behind them.

`define(["exp", "sin"], width=4, fma=True)` gives the IR of `@hy.exp` and `@hy.sin`; `FUNCTIONS` lists what there is,
with the error each row promises. The mathematics is in exponential.py, logarithm.py, trigonometric.py, …, written
over the operands of ir.py; the numbers in coefficients.py come from derive.py.
"""

from __future__ import annotations

from collections.abc import Iterable

from codegen.vector_math.float32 import define_wide
from codegen.vector_math.ir import FLOAT32, FLOAT64, Module, write_function
from codegen.vector_math.polygamma_functions import MAX_ORDER, polygamma
from codegen.vector_math.table import FUNCTIONS, Builder, VectorFunction

__all__ = ["FUNCTIONS", "MAX_ORDER", "VectorFunction", "define"]

ATTRIBUTES = "alwaysinline nounwind"


FORMATS = {"float64": FLOAT64, "float32": FLOAT32}


def define(
    names: Iterable[str], *, width: int, fma: bool, dtype: str = "float64", avx512: bool = False, inline: bool = True
) -> str:
    """LLVM IR text defining `@hy.<name>` for each name, and what they need, each symbol once.

    The functions take and give `<width x double>`, or `<width x float>` for dtype "float32" (the scalar type for width
    1); sincos gives the struct of both. polygamma needs its order in the name: "polygamma.3" defines
    `@hy.polygamma.3(x)`, up to MAX_ORDER. They are `internal`, touch no memory but constant tables, and no lane's bits
    depend on the other lanes, the width or the rest of the program. `fma`: the target has fused multiply-add.
    `avx512`: it has x86's AVX-512F, whose instructions vectors of 512 bits then use; the bits are the same.
    `inline=False` leaves out `alwaysinline`.

    Nothing is declared: no library is called, and LLVM's parser knows the intrinsics.
    """
    if width < 1:
        raise ValueError(f"define: width must be at least 1, got {width}")
    if dtype not in FORMATS:
        raise ValueError(f"define: dtype {dtype!r} is not one of {', '.join(FORMATS)}")
    module = Module(width, fma, FORMATS[dtype], avx512=avx512)
    attributes = ATTRIBUTES if inline else "nounwind"
    for name in sorted(set(names)):
        symbol = f"@hy.{name}"
        row, arity, build = _function(name)
        if module.format == FLOAT32 and row.by_float64:
            define_wide(module, symbol, arity, row.results, build, attributes)
        else:
            _define(module, symbol, arity, build, attributes)
    return "\n".join(module.definitions.values())


def _define(module: Module, symbol: str, arity: int, build: Builder, attributes: str) -> None:
    module.define(symbol, lambda: write_function(module, symbol, arity, build, attributes))


def _function(name: str) -> tuple[VectorFunction, int, Builder]:
    """Row, number of arguments and builder of a name."""
    if name.startswith("polygamma."):
        return FUNCTIONS["polygamma"], 1, polygamma(_order(name))
    if name == "polygamma":
        raise ValueError('define: "polygamma" needs its order: "polygamma.1"')
    if name not in FUNCTIONS:
        raise ValueError(f"define: no vector function {name!r}; known: {', '.join(FUNCTIONS)}")
    row = FUNCTIONS[name]
    return row, row.arity, row.build


def _order(name: str) -> int:
    text = name.removeprefix("polygamma.")
    if not text.isdecimal() or int(text) > MAX_ORDER:
        raise ValueError(f"define: {name!r} must end in an order from 0 to {MAX_ORDER}")
    return int(text)
