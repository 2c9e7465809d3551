"""Programs as threaded code: a table of steps that native functions walk through, with nothing to compile.

LLVM takes some 40 µs for an instruction of a long program, and the code it makes of 10⁵ instructions no longer fits the
cache. Here every instruction is a record of 20 bytes: the number of a native *step* and the places of its operands. A
step runs its instruction over the vectors of a block and jumps to the next record's step. Steps are compiled once per
process and kept on disk like other code; so a program of any length is ready as soon as its table is written, and a
walk through it reads far fewer bytes than the code would have.

A step is made from the same IR as the instruction in compiled code, and gives the same bits.

Source: J. R. Bell, Threaded code, Communications of the ACM 16 (1973) 370–372.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codegen.body import Body, Cut, Part, part_head, sine_pairs
from codegen.layout import Layout, Operand
from codegen.program import INSTRUCTIONS, MASK, Array, Program
from codegen.target import Target
from codegen.text import Function

# Bytes of scratch that blocks aim for: rows are re-read soon, from the second-level cache, and more points per step
# share the cost of reaching it.
SCRATCH = 256 << 10

COPY, LAST = "copy", "last"  # the steps that are no instructions
FIELDS = 5  # of a record: step, result, then up to three operands; a constant is the complement of its place

_PLAIN = ("load", "const")


@dataclass(frozen=True, eq=False)
class Thread:
    """A program as a table: `records` int32 (n, 5), the names of its steps by number, its constants, and its layout."""

    layout: Layout
    steps: tuple[str, ...]
    records: NDArray[np.int32]
    constants: NDArray[Any]


@dataclass
class _Writer:
    """Gives every value a place, a byte offset into the rows, and writes the records."""

    program: Program
    target: Target
    first: int
    inputs: tuple[Operand, ...]
    outputs: tuple[Operand, ...]
    steps: dict[str, int] = field(default_factory=dict)
    records: list[int] = field(default_factory=list)
    constants: dict[bytes, int] = field(default_factory=dict)
    spills: int = 0

    def write(self) -> None:
        body = self.program.body
        results = self._result_rows()
        last = self._last_uses(results)
        rows: list[int] = [0] * len(body)
        free: list[int] = []
        partners = sine_pairs(self.program)
        done = bytearray(len(body))

        def place(number: int) -> int:
            if number in results:
                return results[number][0]
            if free:
                return free.pop()
            self.spills += 1
            return self.first + self.spills - 1

        for number, (name, *operands) in enumerate(body):
            if name == "load":
                rows[number] = self.inputs[operands[0]].row + operands[1]
                continue
            if name == "const":
                rows[number] = ~self.constant(operands[0])
                continue
            if name == "polygamma":
                name, operands = self._polygamma(operands)
            reads = [rows[operand] for operand in operands]
            for operand in operands:
                if last[operand] == number:
                    last[operand] = -1  # once, if it is read twice
                    free.append(rows[operand])
            if done[number]:
                continue
            rows[number] = place(number)
            pair = partners.get(number)
            if pair is None:
                self.record(name, rows[number], reads)
            else:
                rows[pair], done[pair] = place(pair), 1
                both = (number, pair) if body[number][0] == "sin" else (pair, number)
                self.record("sincos", rows[both[0]], [*reads, rows[both[1]]])
        self._copies(results, rows)
        self.record(LAST, 0, [])

    def _result_rows(self) -> dict[int, list[int]]:
        rows: dict[int, list[int]] = {}
        for operand, values in zip(self.outputs, self.program.outputs, strict=True):
            for element, value in enumerate(values):
                if operand.scalar or self.program.body[value][0] != "const":  # constants of arrays: once per call
                    rows.setdefault(value, []).append(operand.row + element)
        return rows

    def _copies(self, results: dict[int, list[int]], rows: list[int]) -> None:
        for value, places in results.items():
            for row in places[0 if self.program.body[value][0] in _PLAIN else 1 :]:
                self.record(COPY, row, [rows[value]])

    def _last_uses(self, results: Iterable[int]) -> list[int]:
        """Where the row of a value is free again: never that of an argument, a constant, or a result."""
        body = self.program.body
        last = [0] * len(body)
        for number, (name, *operands) in enumerate(body):
            if name not in _PLAIN:
                for operand in operands:
                    last[operand] = number
        for number, instruction in enumerate(body):
            if instruction[0] in _PLAIN:
                last[number] = -1
        for number in results:
            last[number] = -1
        return last

    def _polygamma(self, operands: list[int]) -> tuple[str, list[int]]:
        kind, *order = self.program.body[operands[0]]
        if kind != "const" or order[0] < 0 or order[0] != int(order[0]):
            raise ValueError(f"{self.program.name}: polygamma needs a constant order 0, 1, 2 …, got {kind} {order}")
        return f"polygamma.{int(order[0])}", operands[1:]

    def constant(self, value: float) -> int:
        key = np.float64(value).tobytes()  # keyed by bits: 0.0 == -0.0
        return self.constants.setdefault(key, len(self.constants))

    def record(self, name: str, result: int, operands: list[int]) -> None:
        step = self.steps.setdefault(name, len(self.steps))
        self.records += (step, result, *operands, *(0,) * (FIELDS - 2 - len(operands)))


def thread(program: Program, target: Target) -> Thread:
    """The table of a program. Raises ValueError where its rows take more than 2 GiB."""
    bare = Layout(program, target, 0)
    writer = _Writer(program, target, bare.first_spill, bare.inputs, bare.outputs)
    writer.write()
    layout = Layout(program, target, writer.spills, budget=SCRATCH)
    row, vector = layout.block * target.bytes, target.width * target.bytes
    if layout.rows * row >= 1 << 31:
        raise ValueError(f"{program.name} needs {layout.rows} rows of {row} bytes, too much for threaded code")
    records = np.array(writer.records, dtype=np.int64).reshape(-1, FIELDS)
    places = records[:, 1:]
    places[:] = np.where(places < 0, ~(~places * vector), places * row)
    values = np.frombuffer(b"".join(writer.constants), dtype=np.float64)
    with np.errstate(over="ignore"):
        constants = np.repeat(values.astype(target.element), target.width)
    return Thread(layout, tuple(writer.steps), records.astype(np.int32), aligned(constants))


def aligned(array: NDArray[Any], to: int = 64) -> NDArray[Any]:
    """A copy whose address is a multiple of `to` bytes."""
    room = np.empty(array.nbytes + to, dtype=np.uint8)
    start = -room.ctypes.data % to
    copy = room[start : start + array.nbytes].view(array.dtype)
    copy[:] = array
    return copy


# --- code -------------------------------------------------------------------------------------------------------------
STEPS = "@hy.steps.table"


def _head(name: str, linkage: str = "") -> str:
    return f"{linkage} void @hy.step.{name}(ptr %record, ptr %rows, ptr %constants, i64 %bytes)".lstrip()


def step(name: str, target: Target) -> tuple[str, list[str]]:
    """LLVM IR of a step, and what it calls: names of vector functions. It jumps on to the step of the next record."""
    f = Function(f"define {_head(name, 'dso_local')} #1")
    if name == LAST:
        f.do("ret void")
        return str(f), []
    program, number = _sample(name)
    kinds = _operands(name)
    body = Body(Layout(program, target, 0), Cut([[number]], {}, 0))
    part = Part(body, 0, "internal")
    part.f = f
    results = 2 if name == "sincos" else 1
    vector, align = target.vector, target.bytes * target.width
    places = [_place(f, field) for field in range(1, 1 + results + len(kinds))]
    # Of sincos: sine, operand, cosine; of all others: result, then operands.
    to, sources = ([places[0], places[2]], places[1:2]) if results == 2 else (places[:1], places[1:])
    with f.loop("i", 0, "%bytes", align) as i:
        for operand, (kind, (base, mask)) in enumerate(zip(kinds, sources, strict=True)):
            address = f.at(base, f.let("here", f"and i64 {i}, {mask}"))
            x = f.load("x", vector, address, align)
            part.values[operand] = f.let("m", f"fcmp one {vector} {x}, zeroinitializer") if kind == MASK else x
        if name == COPY:
            made = [part.values[0]]
        else:
            part.define(number)
            made = [part.values[number + k] for k in range(results)]
        for value, (base, _) in zip(made, to, strict=True):
            if name in INSTRUCTIONS and INSTRUCTIONS[name].result == MASK:
                one, zero = f"{vector} {body.number(1.0)}", f"{vector} {body.number(0.0)}"
                value = f.let("r", f"select {body.mask} {value}, {one}, {zero}")
            f.store(vector, value, f.at(base, i), align)
    following = f.at("%record", 4 * FIELDS)
    _jump(f, following, "musttail call")
    f.do("ret void")
    return str(f), list(body.called)


def _place(f: Function, field: int) -> tuple[str, str]:
    """The address of an operand, and what to mask steps along the block with: constants have one vector alone."""
    place = f.load("place", "i32", f.at("%record", 4 * field), 4)
    constant = f.let("constant", f"icmp slt i32 {place}, 0")
    flip = f.let("flip", f"ashr i32 {place}, 31")
    offset = f.let("offset", f"zext i32 {f.let('low', f'xor i32 {place}, {flip}')} to i64")
    base = f.let("base", f"select i1 {constant}, ptr %constants, ptr %rows")
    mask = f.let("mask", f"xor i64 {f.let('wide', f'sext i32 {flip} to i64')}, -1")
    return f.at(base, offset), mask


def _jump(f: Function, record: str, how: str, rows: str = "%rows", constants: str = "%constants") -> None:
    number = f.let("number", f"zext i32 {f.load('step', 'i32', record, 4)} to i64")
    to = f.load("to", "ptr", f.at(STEPS, number, "ptr"))
    f.do(f"{how} void {to}(ptr {record}, ptr {rows}, ptr {constants}, i64 %bytes)")


def _operands(name: str) -> tuple[str, ...]:
    """Kinds of what a step reads."""
    if name in (COPY, "sincos") or name.startswith("polygamma."):
        return ("real",)
    return INSTRUCTIONS[name].operands


def _sample(name: str) -> tuple[Program, int]:
    """A program that holds one instruction, and where: what a step is written from."""
    kinds = _operands(name)
    body: list[tuple[Any, ...]] = [("true",) if kind == MASK else ("load", 0, k) for k, kind in enumerate(kinds)]
    number, operands = len(body), tuple(range(len(body)))
    if name == "sincos":
        body += [("sin", 0), ("cos", 0)]
    elif name.startswith("polygamma."):
        body += [("const", float(name.split(".")[1])), ("polygamma", 1, 0)]
        number += 1
    elif name != COPY:
        body.append((name, *operands))
    return Program("step", (Array("x", (3,)),), (), body, ()), number


def start(thread: Thread) -> str:
    """LLVM IR of `@hy.part.0`, which walks the table, and of the table of its steps."""
    target = thread.layout.target
    f = Function(f"define {part_head(0, 'internal')} #1")
    here = f.at("%rows", "%from", target.scalar)
    f.do(f"%bytes = mul i64 {f.let('points', 'sub i64 %to, %from')}, {target.bytes}")
    for operand in thread.layout.inputs:
        if operand.used and operand.scalar:
            block = f.load("block", "ptr", f.at("%table", operand.number, "ptr"))
            source = f.at(block, "%from", target.scalar)
            row = f.at(here, operand.row * thread.layout.block, target.scalar)
            f.do(f"call void @llvm.memmove.p0.p0.i64(ptr {row}, ptr {source}, i64 %bytes, i1 false)")
    record = f.let("record", f"inttoptr i64 {thread.records.ctypes.data} to ptr")
    constants = f.let("constants", f"inttoptr i64 {thread.constants.ctypes.data} to ptr")
    _jump(f, record, "call", here, constants)
    f.do("ret void")
    pointers = ", ".join(f"ptr @hy.step.{name}" for name in thread.steps)
    table = f"{STEPS} = dso_local constant [{len(thread.steps)} x ptr] [{pointers}], align 8\n"
    declarations = [f"declare {_head(name)}\n" for name in thread.steps]
    return "\n".join([table, *declarations, str(f)])
