"""The LLVM IR of an exported program: its functions, with what callers may ask about them; nothing allocates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod

from codegen.body import Body
from codegen.driver import driver, table
from codegen.emit import ending, lay_out, program_text
from codegen.export.interface import ABI_VERSION, Interface
from codegen.layout import SCRATCH, Layout
from codegen.target import Target
from codegen.text import Function

# Bytes of stack that a call may take. What needs more is computed with narrower vectors; what needs more even with
# single numbers takes its room from malloc, and the manifest says so.
STACK = 512 << 10
SMALL = "minsize optsize"


def fitting(interface: Interface, target: Target, *, size: bool) -> Layout:
    """Where data lives during a call; in the widest vectors of the target for which it fits the stack."""
    narrowest = 8 // target.bytes
    if size:
        target = replace(target, width=narrowest)
    while True:
        layout = replace(lay_out(interface.program, target)[0], stack=STACK, budget=min(SCRATCH, STACK // 4))
        if not layout.on_heap or target.width <= narrowest:
            return layout
        target = replace(target, width=target.width // 2)


def library_ir(interface: Interface, target: Target, version: str, *, size: bool = False) -> str:
    """IR text of all functions of the interface but `NAME_reduce`.

    size: small code instead of fast code, in single numbers instead of vectors.
    """
    layout = fitting(interface, target, size=size)
    target = layout.target
    _, pieces = lay_out(interface.program, target)
    text = [
        *program_text(Body(layout, pieces), interface.name, "internal", inline=False if size else None),
        str(strided(interface, layout)),
        *queries(interface, version),
        *tables(interface),
        *map(str, driver(target)),
    ]
    return "\n".join([*text, ending(target, SMALL if size else "")])


def strided(interface: Interface, layout: Layout) -> Function:
    """`@NAME_strided`: two distances per array, in numbers, become the steps of a gufunc inner loop, in bytes."""
    size = layout.target.bytes
    arrays = [parameter.array for parameter in interface.parameters]
    head = ", ".join(["i64 %n", *(f"ptr %a{k}, i64 %p{k}, i64 %e{k}" for k in range(len(arrays)))])
    f = Function(f"define void @{interface.name}_strided({head}) #0")
    core = sum(len(array.shape) for array in arrays)
    f.do(f"%args = alloca [{max(1, len(arrays))} x ptr], align 16")
    f.do(f"%steps = alloca [{max(1, len(arrays) + core)} x i64], align 16")
    place = len(arrays)
    for k, array in enumerate(arrays):
        f.store("ptr", f"%a{k}", f.at("%args", k, "ptr"))
        f.store("i64", f.let("step", f"mul i64 %p{k}, {size}"), f.at("%steps", k, "i64"))
        for axis in range(len(array.shape)):
            apart = size * prod(array.shape[axis + 1 :])
            f.store("i64", f.let("step", f"mul i64 %e{k}, {apart}"), f.at("%steps", place, "i64"))
            place += 1
    f.do("call void @hy.enter(i64 %n, ptr %args, ptr %steps)")
    f.do("ret void")
    return f


def queries(interface: Interface, version: str) -> list[str]:
    """The query functions, over constant tables without addresses in them."""
    name, program = interface.name, interface.program
    names = [[*parameter.name.encode(), 0] for parameter in interface.parameters]
    return [
        _number(f"{name}_abi_version", ABI_VERSION),
        text_table("hy.version", [*version.encode(), 0]),
        f"define ptr @{name}_version() #0 {{\n  ret ptr @hy.version\n}}\n",
        _number(f"{name}_arguments", len(program.arguments)),
        _number(f"{name}_results", len(program.results)),
        *_entry(f"{name}_parameter", "hy.names", names, "i8"),
        *_entry(f"{name}_shape", "hy.shapes", interface.shapes(), "i64"),
        *_entry(f"{name}_sparsity", "hy.sparsities", interface.sparsities(), "i64"),
    ]


def tables(interface: Interface) -> list[str]:
    """The index tables of sparse results, which callers may read by their names."""
    texts = []
    for symbol, values in interface.tables.items():
        elements = ", ".join(f"i32 {value}" for value in values) or "i32 0"
        texts.append(f"@{symbol} = constant [{max(1, len(values))} x i32] [{elements}], align 4\n")
    return texts


def _number(symbol: str, value: int) -> str:
    return f"define i64 @{symbol}() #0 {{\n  ret i64 {value}\n}}\n"


def text_table(name: str, values: Sequence[int]) -> str:
    elements = ", ".join(f"i8 {value}" for value in values) or "i8 0"
    return f"@{name} = private unnamed_addr constant [{max(1, len(values))} x i8] [{elements}], align 1\n"


def _entry(symbol: str, name: str, entries: Sequence[Sequence[int]], kind: str) -> list[str]:
    """`@SYMBOL(k)`: where entry k begins in a table of them all; null if it is empty or there is none."""
    starts: list[int] = []
    values: list[int] = []
    for entry in entries:
        starts.append(len(values) if entry else -1)
        values += entry
    texts = [text_table(name, values) if kind == "i8" else table(name, values or [0])]
    f = Function(f"define ptr @{symbol}(i64 %k) #0")
    if not starts or max(starts) < 0:
        f.do("ret ptr null")
        return [str(f)]
    texts.append(table(f"{name}.starts", starts))
    with f.early_return(f.let("outside", f"icmp uge i64 %k, {len(starts)}")):
        f.do("ret ptr null")
    start = f.load("start", "i64", f.at(f"@{name}.starts", "%k", "i64"))
    with f.early_return(f.let("nothing", f"icmp slt i64 {start}, 0")):
        f.do("ret ptr null")
    f.do(f"ret ptr {f.at(f'@{name}', start, kind)}")
    return [*texts, str(f)]
