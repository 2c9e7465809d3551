"""Elementary and special functions as LLVM IR text, for any number of lanes, with no library behind them.

`define(["exp", "sin"], width=4, fma=True)` gives the IR of `@hy.exp` and `@hy.sin`; `FUNCTIONS` lists what there is,
with the error each row promises. The mathematics is in exponential.py, logarithm.py, trigonometric.py, …, written
over the operands of ir.py; the numbers in coefficients.py come from derive.py.
"""

from __future__ import annotations

from collections.abc import Iterable

from codegen.vector_math import gamma_family
from codegen.vector_math.gamma_family import MAX_ORDER
from codegen.vector_math.ir import FORMATS, Module, Vector, write_function
from codegen.vector_math.table import FUNCTIONS, VectorFunction

__all__ = ["FUNCTIONS", "MAX_ORDER", "VectorFunction", "define"]

ATTRIBUTES = "alwaysinline nounwind"


def define(names: Iterable[str], *, width: int, fma: bool, dtype: str = "float64", inline: bool = True) -> str:
    """LLVM IR text defining `@hy.<name>` for each name, and what they need, each symbol once.

    The functions take and give `<width x double>` (`double` for width 1; `float` for dtype "float32"); sincos gives
    the struct of both. `@hy.polygamma(i32 order, x)` needs 0 <= order <= MAX_ORDER; the name "polygamma.3" defines
    `@hy.polygamma.3(x)`, one order alone. They are `internal`, touch no memory but constant tables, and no lane's
    bits depend on the other lanes, the width or the rest of the program. `fma`: the target has fused multiply-add.
    `inline=False` leaves out `alwaysinline`.

    Intrinsics are not declared: LLVM's parser knows them. C library functions are, when a row still needs one.
    """
    if width < 1:
        raise ValueError(f"define: width must be at least 1, got {width}")
    if dtype not in FORMATS:
        raise ValueError(f"define: dtype {dtype!r} is not one of {', '.join(FORMATS)}")
    module = Module(width, fma, FORMATS[dtype])
    attributes = ATTRIBUTES if inline else "nounwind"
    for name in sorted(set(names)):
        _define(module, name, attributes)
    return "\n".join(module.definitions.values())


def _define(module: Module, name: str, attributes: str) -> None:
    symbol = f"@hy.{name}"
    if name == "polygamma":
        for order in range(MAX_ORDER + 1):
            _define(module, f"polygamma.{order}", attributes)
        module.define(symbol, lambda: _polygamma_dispatch(module, attributes))
    elif name.startswith("polygamma."):
        build = gamma_family.polygamma(_order(name))
        module.define(symbol, lambda: write_function(module, symbol, 1, build, attributes))
    elif name in FUNCTIONS:
        row = FUNCTIONS[name]
        module.define(symbol, lambda: write_function(module, symbol, row.arity, row.build, attributes))
    else:
        raise ValueError(f"define: no vector function {name!r}; known: {', '.join(FUNCTIONS)}")


def _order(name: str) -> int:
    text = name.removeprefix("polygamma.")
    if not text.isdecimal() or int(text) > MAX_ORDER:
        raise ValueError(f"define: {name!r} must end in an order from 0 to {MAX_ORDER}")
    return int(text)


def _polygamma_dispatch(module: Module, attributes: str) -> str:
    """A switch over the orders, which a constant order folds away; nan for an order out of range."""
    typ = module.type_of(Vector)
    orders = range(MAX_ORDER + 1)
    scalar = module.format.real
    nan = f"{scalar} 0x7FF8000000000000"
    lines = [f"define internal {typ} @hy.polygamma(i32 %order, {typ} %x0) {attributes} {{", "entry:"]
    cases = " ".join(f"i32 {k}, label %order{k}" for k in orders)
    lines.append(f"  switch i32 %order, label %none [ {cases} ]")
    for k in orders:
        lines += [f"order{k}:", f"  %v{k} = call {typ} @hy.polygamma.{k}({typ} %x0)", f"  ret {typ} %v{k}"]
    lines += ["none:", f"  ret {typ} {nan if module.width == 1 else f'splat ({nan})'}", "}", ""]
    return "\n".join(lines)
