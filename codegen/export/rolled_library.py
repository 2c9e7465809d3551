"""Rolled code as one LLVM module: nests, the stages that walk through them, their tables, and the functions around."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from numpy.typing import NDArray

from codegen.blocks.emit import emit_nest
from codegen.blocks.records import Records, binding, records
from codegen.blocks.stages import emit_finish, emit_finish_exponential, emit_shared
from codegen.emit import ending, triple_line
from codegen.export.library import queries, tables
from codegen.export.rolled_interface import RolledInterface
from codegen.target import Target
from codegen.text import Function

# Bytes that a call may take from the stack; what needs more takes its room from malloc, and the manifest says so.
STACK = 512 << 10


class RolledLibrary:
    """The parts of the module. `memory`: bytes that a call works in; `on_heap`: whether these come from malloc."""

    def __init__(self, interface: RolledInterface, target: Target, version: str) -> None:
        self.interface, self.target, self.version = interface, target, version
        self.bound = [binding(run.blocks, run.arrays, {}, target.width) for run in interface.rolled.runs]
        self.records = [records(one, target.width) for one in self.bound]
        self.words = sum(one.words for one in self.records)
        self.memory = max((one.memory for one in self.records), default=0) + 64 + 8 * self.words
        self.on_heap = self.memory > STACK
        self.constants: dict[int, tuple[str, NDArray[Any]]] = {}

    def module(self) -> llvm.ModuleRef:
        """Everything linked into one module, in which only the functions of the interface are seen from outside."""
        nests = {name: nest for one in self.bound for name, nest in one.nests.items()}
        texts = [emit_nest(nest, body, self.target, name) for name, (nest, body) in nests.items()]
        texts.append(emit_shared(self.target, library=True))
        for width in sorted({nest.width for nest, _ in nests.values() if nest.lane_reduced}):
            narrow = replace(self.target, width=width)
            texts += [emit_finish(narrow), emit_finish_exponential(narrow)]
        module = llvm.parse_assembly(self.entries())
        for text in texts:
            module.link_in(llvm.parse_assembly(text))
        for function in module.functions:
            if function.name.startswith("hy.") and not function.is_declaration:
                function.linkage = "internal"
        module.verify()
        return module

    # --- the functions around -----------------------------------------------------------------------------------------
    def entries(self) -> str:
        """The module of all functions that callers know."""
        interface, name = self.interface, self.interface.name
        functions = [self.enter(), self.entry(name, "1"), self.entry(f"{name}_batch", "%n")]
        functions += [self.prepare(number) for number in range(len(self.records))]
        functions += [self.place(number) for number in range(len(self.records))]
        texts = [triple_line(self.target), *map(str, functions)]
        declared = {stage.code for one in self.records for stage in one.stages}
        texts += [f"declare void @{code}(ptr, i64, i64)\n" for code in sorted(declared)]
        texts.append("declare void @hy.stages(ptr, i64)\n")
        word = self.target.word
        if self.on_heap:
            texts.append(f"declare noalias ptr @malloc({word})\ndeclare void @free(ptr)\n")
        texts += [constant(symbol, array) for symbol, array in self.constants.values()]
        for parameter, words in interface.written_patterns.items():
            texts.append(constant(f"hy.runs.{parameter}", np.array(words, np.int32)))
            f = Function(f"define void @{name}_{parameter}_pattern(ptr %rows, ptr %columns) #0")
            f.do(f"call void @hy.pattern(ptr @hy.runs.{parameter}, ptr %rows, ptr %columns)")
            f.do("ret void")
            texts.append(str(f))
        if interface.patterns:
            texts.append(str(pattern()))
        return "\n".join([*texts, *queries(interface, self.version), *tables(interface), ending(self.target)])

    def entry(self, symbol: str, n: str) -> Function:
        count = len(self.interface.parameters)
        heads = [*(["i64 %n"] if n == "%n" else []), *(f"ptr %a{k}" for k in range(count))]
        f = Function(f"define void @{symbol}({', '.join(heads)}) #0")
        f.do(f"%args = alloca [{max(1, count)} x ptr], align 16")
        for k in range(count):
            f.store("ptr", f"%a{k}", f.at("%args", k, "ptr"))
        f.do(f"call void @hy.enter(i64 {n}, ptr %args)")
        f.do("ret void")
        return f

    def enter(self) -> Function:
        """`n` points, one after the other; the pointers at %args are moved along."""
        f, word = Function("define internal void @hy.enter(i64 %n, ptr %args) #1"), self.target.word
        if not self.on_heap:
            f.do(f"%room = alloca [{self.memory} x i8], align 64")
        with f.early_return(f.let("empty", "icmp slt i64 %n, 1")):
            f.do("ret void")
        if self.on_heap:
            f.do(f"%heap = call ptr @malloc({word} {self.memory})")
            with f.when(f.let("failed", "icmp eq ptr %heap, null")):
                f.do("call void @llvm.trap()")
            f.do(f"%room = call ptr @llvm.ptrmask.p0.{word}(ptr {f.at('%heap', 63)}, {word} -64)")
        words = []
        at = max((one.memory for one in self.records), default=0)
        for number, one in enumerate(self.records):
            words.append(f.at("%room", at))
            at += 8 * one.words
            f.do(f"call void @hy.prepare.{number}(ptr {words[-1]}, ptr %room)")
        with f.loop("point", 0, "%n"):
            for number, one in enumerate(self.records):
                f.do(f"call void @hy.place.{number}(ptr {words[number]}, ptr %args)")
                f.do(f"call void @hy.stages(ptr {words[number]}, i64 {len(one.stages)})")
            for to, source in self.interface.rolled.copies:
                self.copy(f, to, source)
            for k, parameter in enumerate(self.interface.parameters):
                here = f.at("%args", k, "ptr")
                f.store("ptr", f.at(f.load("arg", "ptr", here), parameter.array.size, self.target.scalar), here)
        if self.on_heap:
            f.do("call void @free(ptr %heap)")
        f.do("ret void")
        return f

    def copy(self, f: Function, to: int, source: int) -> None:
        one, other = (f.load("arg", "ptr", f.at("%args", k, "ptr")) for k in (to, source))
        scalar = self.target.scalar
        with f.loop("e", 0, self.interface.parameters[to].array.size) as e:
            f.store(scalar, f.load("x", scalar, f.at(other, e, scalar)), f.at(one, e, scalar))

    # --- words --------------------------------------------------------------------------------------------------------
    def prepare(self, number: int) -> Function:
        """Everything but what depends on the arrays of a call: numbers, and addresses of code, tables and memory."""
        made, run, bound = self.records[number], self.interface.rolled.runs[number], self.bound[number]
        f = Function(f"define internal void @hy.prepare.{number}(ptr %words, ptr %room) #1")
        numbers = np.zeros(max(1, made.words), np.int64)
        for stage, at in enumerate(made.tables):
            numbers[4 * stage + 3] = made.stages[stage].chunks
            for place, word in enumerate(made.stages[stage].table, at):
                if isinstance(word, int | np.integer):
                    numbers[place] = word
        template = self.constant(numbers)
        with f.loop("k", 0, made.words) as k:
            f.store("i64", f.load("word", "i64", f.at(f"@{template}", k, "i64")), f.at("%words", k, "i64"))
        for stage, at in enumerate(made.tables):
            self.address(f, 4 * stage, f"@{made.stages[stage].code}")
            self.address(f, 4 * stage + 1, f.at("%words", at, "i64"))
            for place, word in enumerate(made.stages[stage].table, at):
                if isinstance(word, np.ndarray):
                    self.address(f, place, f"@{self.constant(word)}")
                elif isinstance(word, tuple) and word[0] not in run.places:
                    self.address(f, place, self.element(f, made, bound.arrays, *word))
        f.do("ret void")
        return f

    def element(self, f: Function, made: Records, arrays: dict[str, NDArray[Any]], name: str, element: int) -> str:
        """The address of an element of data, or of memory that a call works in."""
        if name in arrays:
            array = arrays[name]
            return f.at(f"@{self.constant(array)}", element * array.itemsize)
        return f.at("%room", made.offsets.get(name, 0) + element * self.target.bytes)

    def place(self, number: int) -> Function:
        """The addresses in the arrays of a call."""
        made, run = self.records[number], self.interface.rolled.runs[number]
        f = Function(f"define internal void @hy.place.{number}(ptr %words, ptr %args) #1")
        bases: dict[int, str] = {}
        for at, stage in zip(made.tables, made.stages, strict=True):
            for place, word in enumerate(stage.table, at):
                if isinstance(word, tuple) and word[0] in run.places:
                    k = run.places[word[0]]
                    if k not in bases:
                        bases[k] = f.load("arg", "ptr", f.at("%args", k, "ptr"))
                    self.address(f, place, f.at(bases[k], word[1], self.target.scalar))
        f.do("ret void")
        return f

    @staticmethod
    def address(f: Function, place: int, pointer: str) -> None:
        f.store("ptr", pointer, f.at("%words", place, "i64"))

    def constant(self, array: NDArray[Any]) -> str:
        known = self.constants.get(id(array))
        if known is None:
            known = self.constants[id(array)] = f"hy.c.{len(self.constants)}", array
        return known[0]


def constant(symbol: str, array: NDArray[Any]) -> str:
    """LLVM IR of an array of numbers that does not change; reals are written as the integers of their bits."""
    flat = np.ascontiguousarray(array).reshape(-1)
    size = flat.dtype.itemsize
    bits = flat.view(f"i{size}")
    elements = ", ".join(f"i{8 * size} {value}" for value in bits.tolist()) or f"i{8 * size} 0"
    return f"@{symbol} = private unnamed_addr constant [{max(1, len(bits))} x i{8 * size}] [{elements}], align 64\n"


def pattern() -> Function:
    """`@hy.pattern(runs, rows, columns)`: a pattern from its runs (patterns.py)."""
    f = Function("define internal void @hy.pattern(ptr %runs, ptr %rows, ptr %columns) #1")
    for name in ("at", "to"):
        f.do(f"%{name} = alloca i64, align 8")
    f.store("i64", "1", "%at")
    f.store("i64", "0", "%to")

    def word(at: str, more: str | int) -> str:
        place = f.let("place", f"add i64 {at}, {more}")
        return f.let("word", f"sext i32 {f.load('word', 'i32', f.at('%runs', place, 'i32'))} to i64")

    total = f.let("total", f"sext i32 {f.load('total', 'i32', '%runs')} to i64")
    with f.loop("run", 0, total):
        at = f.load("at", "i64", "%at")
        entries, times, step = word(at, 0), word(at, 1), word(at, 2)
        first = f.let("first", f"add i64 {at}, 3")
        second = f.let("second", f"add i64 {first}, {entries}")
        third = f.let("third", f"add i64 {second}, {entries}")
        with f.loop("again", 0, times) as again, f.loop("e", 0, entries) as e:
            to = f.load("to", "i64", "%to")
            row = f.let("row", f"add i64 {word(first, e)}, {f.let('moved', f'mul i64 {step}, {again}')}")
            moved = f.let("moved", f"mul i64 {word(third, e)}, {again}")
            column = f.let("column", f"add i64 {word(second, e)}, {moved}")
            for value, array in ((row, "%rows"), (column, "%columns")):
                f.store("i32", f.let("short", f"trunc i64 {value} to i32"), f.at(array, to, "i32"))
            f.store("i64", f.let("to", f"add i64 {to}, 1"), "%to")
        f.store("i64", f.let("at", f"add i64 {third}, {entries}"), "%at")
    f.do("ret void")
    return f
