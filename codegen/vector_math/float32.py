"""float32 functions made of float64 ones: two halves widened, computed, and rounded once.

So are those whose formulas need more digits than two float32 numbers have, at the error of one rounding, 0.5 + 2^-28
ulp; the others are written in float32 by the source that writes float64.
"""

from __future__ import annotations

from collections.abc import Callable

from codegen.vector_math.ir import Module, Vector, write_function


def define_wide(
    module: Module, symbol: str, arity: int, results: int, build: Callable[..., object], attributes: str
) -> None:
    """Define `symbol` over float32 by a float64 function that `build` writes."""
    wide = module.wide()
    wide.define(symbol, lambda: write_function(wide, symbol, arity, build, attributes))
    inner = symbol + wide.suffix
    module.define(symbol, lambda: widened(symbol, inner, module.width, wide.width, arity, results, attributes))


def call_wide(symbol: str, build: Callable[..., object], x: Vector, results: int) -> tuple[Vector, ...]:
    """What a float64 function that `build` writes makes of float32 numbers, rounded."""
    define_wide(x.body.module, symbol, 1, results, build, "cold noinline nounwind")
    return x.body.call(symbol, x, results=results)


def vector(scalar: str, width: int) -> str:
    return scalar if width == 1 else f"<{width} x {scalar}>"


def indices(first: int, count: int) -> str:
    return f"<{count} x i32> <" + ", ".join(f"i32 {i}" for i in range(first, first + count)) + ">"


def widened(symbol: str, inner: str, width: int, half: int, arity: int, results: int, attributes: str) -> str:
    """The IR of `symbol` over `width` lanes of float32, calling `inner` over `half` lanes of float64."""
    outer, single, double = vector("float", width), vector("float", half), vector("double", half)
    result, inner_result = outer, double
    if results > 1:
        result, inner_result = ("{ " + ", ".join([kind] * results) + " }" for kind in (outer, double))
    parameters = ", ".join(f"{outer} %x{i}" for i in range(arity))
    lines = [f"define internal {result} {symbol}({parameters}) {attributes} {{", "entry:"]
    parts = range(width // half)
    for part in parts:
        for i in range(arity):
            source = f"%x{i}"
            if half < width:
                source = f"%half{part}.{i}"
                lines.append(f"  {source} = shufflevector {outer} %x{i}, {outer} poison, {indices(part * half, half)}")
            lines.append(f"  %wide{part}.{i} = fpext {single} {source} to {double}")
        arguments = ", ".join(f"{double} %wide{part}.{i}" for i in range(arity))
        lines.append(f"  %y{part} = call {inner_result} {inner}({arguments})")
        for r in range(results):
            value = f"%y{part}"
            if results > 1:
                value = f"%y{part}.{r}"
                lines.append(f"  {value} = extractvalue {inner_result} %y{part}, {r}")
            lines.append(f"  %narrow{part}.{r} = fptrunc {double} {value} to {single}")
    text = "poison"
    for r in range(results):
        joined = f"%narrow0.{r}"
        if half < width:
            joined = f"%joined{r}"
            lines.append(
                f"  {joined} = shufflevector {single} %narrow0.{r}, {single} %narrow1.{r}, {indices(0, width)}"
            )
        if results == 1:
            text = joined
        else:
            lines.append(f"  %pair{r} = insertvalue {result} {text}, {outer} {joined}, {r}")
            text = f"%pair{r}"
    return "\n".join([*lines, f"  ret {result} {text}", "}", ""])
