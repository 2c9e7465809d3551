"""`NAME_reduce` as LLVM IR: the loop over chunks of points, and what they leave put together, on the stack alone.

The chunks are those of reducer.py, in whose place this stands where there is no Python. They are added in their order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import inf, prod

import llvmlite.binding as llvm

from codegen import vector_math
from codegen.accumulate import two_sum
from codegen.contract import contract
from codegen.emit import emit, emit_driver, ending, triple_line
from codegen.export.interface import Interface
from codegen.export.library import SMALL, STACK
from codegen.program import Array, Program
from codegen.reducer import emit_reduction
from codegen.reduction import CHUNK, plan, uniform_part
from codegen.target import Target
from codegen.text import Function, real

# What accumulators hold of no points: a sum and its error, a maximum, the largest, the scaled sum and its error.
EMPTY = {"sum": (0.0, 0.0), "max": (-inf,), "logsumexp": (-inf, 0.0, 0.0)}


class Reducing:
    """Writes the modules of one reduction."""

    def __init__(self, interface: Interface, target: Target, *, size: bool) -> None:
        reduction = interface.reduction
        if reduction is None:
            raise AssertionError("an interface without a reduction has no function for it")
        if target.element != "float64":
            raise ValueError(f"{interface.name}: reductions are computed in float64, got {target.element}")
        program = interface.program
        if not set(range(len(program.arguments))) - reduction.shared:
            raise ValueError(f"{program.name}: all arguments are shared, so there is nothing to reduce over")
        self.interface, self.reduction = interface, reduction
        self.kinds = ["sum" if kind == "mean" else kind for kind in reduction.kinds]
        self.attributes = SMALL if size else ""
        self.target = replace(target, width=1) if size else target
        # no C function can have a name with a dot in it
        inner = Program("hy.inner", program.arguments, program.results, program.body, program.outputs)
        inner = contract(inner) if target.fma else inner
        self.uniform, rest = uniform_part(inner, reduction.shared)
        self.arguments: list[Array] = list(rest.arguments)
        shared = [*reduction.shared, *([len(program.arguments)] if self.uniform is not None else [])]
        while True:
            planned = plan(rest, self.kinds, shared, fma=target.fma)
            self.layout, self.texts = emit_reduction(planned, self.target)
            if 8 * self.layout.scratch <= STACK or self.target.width == 1:
                break
            self.target = replace(self.target, width=self.target.width // 2)
        self.shared = frozenset(shared)

    def module(self) -> llvm.ModuleRef:
        """`@NAME_reduce` and everything it needs; nothing else is visible."""
        texts = [*self.texts, *emit_driver(self.target)]
        if self.uniform is not None:
            texts.append(emit(replace(self.uniform, name="hy.uniform"), self.target))
        module = llvm.parse_assembly(self.entry_text())
        for text in texts:
            module.link_in(llvm.parse_assembly(text))
        for function in module.functions:
            if not function.is_declaration and function.name != f"{self.interface.name}_reduce":
                function.linkage = "internal"
        return module

    # --- the entry ----------------------------------------------------------------------------------------------------
    def entry_text(self) -> str:
        needs = ["declare void @hy_inner_reduce(i64, i64, i64, ptr, ptr, ptr, ptr)\n"]
        if self.uniform is not None:
            pointers = ", ".join(["ptr"] * len(self.arguments))
            needs.append(f"declare void @hy_uniform({pointers})\n")
        functions = [self._merge(), self._entry()]
        helpers = ""
        if "logsumexp" in self.kinds:
            helpers = vector_math.define(["exp", "log"], width=1, fma=self.target.fma, inline=False)
        parts = [triple_line(self.target), *needs, helpers, *map(str, functions), ending(self.target, self.attributes)]
        return "\n".join(parts)

    def _entry(self) -> Function:
        interface, layout = self.interface, self.layout
        count = len(interface.program.arguments)
        names = [f"%x{k}" for k in range(count)] + [f"%r{k}" for k in range(len(interface.program.results))]
        head = ", ".join(["i64 %n", *(f"ptr {name}" for name in names)])
        f = Function(f"define void @{interface.name}_reduce({head}) #1")
        size = max(1, layout.partial)
        f.do(f"%scratch = alloca [{layout.scratch + 8} x i64], align 64")
        f.do(f"%partial = alloca [{size} x double], align 64")
        f.do(f"%total = alloca [{size} x double], align 64")
        core = sum(len(array.shape) for array in self.arguments)
        f.do(f"%args = alloca [{len(self.arguments)} x ptr], align 16")
        f.do(f"%steps = alloca [{len(self.arguments) + 1 + core} x i64], align 16")
        pointers = names[:count]
        if self.uniform is not None:
            f.do(f"%uniform = alloca [{self.arguments[-1].size} x double], align 64")
            pointers.append("%uniform")
        self._arguments(f, pointers)
        for place, value in enumerate(self._empty()):
            f.store("double", real(value), f.at("%total", place, "double"))
        if self.uniform is not None:
            with f.when(f.let("some", "icmp sgt i64 %n, 0")):
                f.do(f"call void @hy_uniform({', '.join(f'ptr {pointer}' for pointer in pointers)})")
        with f.loop("start", 0, "%n", CHUNK) as start:
            chunk = f.let("chunk", f"udiv i64 {start}, {CHUNK}")
            after = f.let("after", f"add i64 {chunk}, 1")
            f.do(
                f"call void @hy_inner_reduce(i64 {chunk}, i64 {after}, i64 %n, ptr %args, ptr %steps, ptr %scratch, "
                "ptr %partial)"
            )
            f.do("call void @hy.merge(ptr %total, ptr %partial)")
        self._finish(f)
        f.do("ret void")
        return f

    def _arguments(self, f: Function, pointers: Sequence[str]) -> None:
        """Addresses, and steps in bytes as in a gufunc's loop, with one more for the factors."""
        steps: list[int] = []
        core: list[int] = []
        for k, array in enumerate(self.arguments):
            steps.append(0 if k in self.shared else 8 * array.size)
            core += [8 * prod(array.shape[axis + 1 :]) for axis in range(len(array.shape))]
        for place, pointer in enumerate(pointers):
            f.store("ptr", pointer, f.at("%args", place, "ptr"))
        for place, step in enumerate([*steps, 0, *core]):
            f.store("i64", str(step), f.at("%steps", place, "i64"))

    def _empty(self) -> list[float]:
        layout, width = self.layout, self.layout.target.width
        values = [*EMPTY["sum"]] * layout.sums + [*EMPTY["max"]] * (width * layout.maxima)
        for _ in range(layout.exponentials):
            for value in EMPTY["logsumexp"]:
                values += [value] * width
        return values

    # --- chunks -------------------------------------------------------------------------------------------------------
    def _merge(self) -> Function:
        """Add what a chunk left to what there is."""
        layout, width = self.layout, self.layout.target.width
        f = Function("define internal void @hy.merge(ptr noalias %total, ptr noalias %partial) #1")
        with f.loop("k", 0, 2 * layout.sums, 2) as k:
            self._add(f, f.at("%total", k, "double"), f.at("%partial", k, "double"))
        maxima = 2 * layout.sums
        with f.loop("k", maxima, maxima + width * layout.maxima) as k:
            total, new = f.at("%total", k, "double"), f.at("%partial", k, "double")
            f.store("double", larger(f, f.load("a", "double", total), f.load("b", "double", new)), total)
        start = maxima + width * layout.maxima
        if layout.exponentials:
            end = start + 3 * width * layout.exponentials
            with f.loop("k", start, end, 3 * width) as k, f.loop("lane", 0, width) as lane:
                place = f.let("place", f"add i64 {k}, {lane}")
                self._merge_exponential(f, f.at("%total", place, "double"), f.at("%partial", place, "double"), width)
        f.do("ret void")
        return f

    @staticmethod
    def _add(f: Function, total: str, new: str) -> None:
        low_at = f.at(total, 1, "double")
        high, error = two_sum(f, "double", f.load("h", "double", total), f.load("x", "double", new))
        rest = f.let("rest", f"fadd double {error}, {f.load('l', 'double', f.at(new, 1, 'double'))}")
        f.store("double", high, total)
        f.store("double", f.let("low", f"fadd double {f.load('l', 'double', low_at)}, {rest}"), low_at)

    def _merge_exponential(self, f: Function, total: str, new: str, apart: int) -> None:
        """(largest, high, low) of both, `apart` numbers from each other, about the larger of the largest."""
        read = [[f.load("x", "double", f.at(p, k * apart, "double")) for k in range(3)] for p in (total, new)]
        top = larger(f, read[0][0], read[1][0])
        shift = finite_or_zero(f, top, top)
        sums: list[list[str]] = []
        for largest, high, low in read:
            distance = f.let("distance", f"fsub double {largest}, {shift}")
            weight = f.let("weight", f"call double @hy.exp(double {distance})")
            kept = finite_or_zero(f, high, low)
            sums.append([f.let("part", f"fmul double {x}, {weight}") for x in (high, kept)])
        high, error = two_sum(f, "double", sums[0][0], sums[1][0])
        low = f.let("low", f"fadd double {sums[0][1]}, {sums[1][1]}")
        low = f.let("low", f"fadd double {low}, {finite_or_zero(f, high, error)}")
        for k, value in enumerate((top, high, low)):
            f.store("double", value, f.at(total, k * apart, "double"))

    # --- the end ------------------------------------------------------------------------------------------------------
    def _finish(self, f: Function) -> None:
        layout, width = self.layout, self.layout.target.width
        starts = {"sum": 0, "max": 2 * layout.sums}
        starts["logsumexp"] = starts["max"] + width * layout.maxima
        each = {"sum": 2, "max": width, "logsumexp": 3 * width}
        for k, (array, asked) in enumerate(zip(self.interface.program.results, self.reduction.kinds, strict=True)):
            kind = self.kinds[k]
            with f.loop("e", 0, array.size) as e:
                place = f.let("place", f"mul i64 {e}, {each[kind]}")
                address = f.at(f.at("%total", starts[kind], "double"), place, "double")
                value = self._value(f, kind, address, width)
                if asked == "mean":
                    value = f.let("mean", f"fdiv double {value}, {f.let('n', 'sitofp i64 %n to double')}")
                f.store("double", value, f.at(f"%r{k}", e, "double"))
            starts[kind] += each[kind] * array.size

    def _value(self, f: Function, kind: str, address: str, width: int) -> str:
        if kind == "sum":
            high, low = f.load("h", "double", address), f.load("l", "double", f.at(address, 1, "double"))
            return f.let("sum", f"fadd double {high}, {finite_or_zero(f, high, low)}")
        if kind == "max":
            with f.loop("lane", 1, width) as lane:
                other = f.load("x", "double", f.at(address, lane, "double"))
                f.store("double", larger(f, f.load("m", "double", address), other), address)
            return f.load("max", "double", address)
        with f.loop("lane", 1, width) as lane:
            self._merge_exponential(f, address, f.at(address, lane, "double"), width)
        top, high, low = (f.load("x", "double", f.at(address, k * width, "double")) for k in range(3))
        total = f.let("total", f"fadd double {high}, {finite_or_zero(f, high, low)}")
        logarithm = f.let("log", f"call double @hy.log(double {total})")
        return f.let("result", f"fadd double {logarithm}, {finite_or_zero(f, top, top)}")


def larger(f: Function, a: str, b: str) -> str:
    """The larger of two numbers; NaN if either is."""
    more = f.let("more", f"fcmp ogt double {a}, {b}")
    best = f.let("best", f"select i1 {more}, double {a}, double {b}")
    return f.let("larger", f"select i1 {f.let('nan', f'fcmp uno double {a}, {a}')}, double {a}, double {best}")


def finite_or_zero(f: Function, of: str, value: str) -> str:
    """`value` where `of` is finite, else zero."""
    none = f.let("none", f"fsub double {of}, {of}")
    return f.let("kept", f"select i1 {f.let('finite', f'fcmp oeq double {none}, 0.0')}, double {value}, double 0.0")
