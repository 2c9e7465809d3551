"""A loop nest as LLVM IR: `void @NAME(ptr table, i64 first, i64 last)` runs chunks of it.

The body is written once, at the full width. At the ends of the lane axis, reads fill missing lanes with zeros and
writes leave them out, by calls that the middle jumps over. What depends on no inner axis is computed outside.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from codegen.blocks.accumulators import Accumulators
from codegen.blocks.lanes import (
    live,
    plus,
    times,
)
from codegen.blocks.nest import CHUNK, RUN, Nest, Shape
from codegen.blocks.stores import Stores
from codegen.emit import contracted, declared, ending, functions_called, triple_line
from codegen.moves import splat
from codegen.program import Program
from codegen.schedule import schedule
from codegen.target import Target
from codegen.text import Function

# Reads that are the same in all lanes up to which their vectors are kept in registers over a chunk.
KEPT = 16


def emit_nest(nest: Nest, body: Program, target: Target, name: str) -> str:
    """The module of a nest."""
    target = replace(target, width=nest.width)
    writer = _Writer(nest, schedule(contracted(body, target)), target, name)
    function = writer.write()
    start = [triple_line(target), *declared(writer.body)]
    return "\n".join([*start, str(function), functions_called(writer.body), ending(target)])


class _Writer(Stores):
    """The loops of a nest, and its body in them."""

    def __init__(self, nest: Nest, program: Program, target: Target, name: str) -> None:
        super().__init__(nest, program, target, name)
        self.levels = self._levels()

    # --- levels: 0 once per chunk, 1 per vector, 2 per instance of the inner loops ------------------------------------
    def level_of(self, shape: Shape) -> int:
        nest = self.nest
        inner = any(shape.varies(axis) for axis in nest.inner)
        lanes = nest.lane is not None and shape.varies(nest.lane)
        if not inner and not lanes:
            return 0
        return 2 if inner or nest.lane_reduced else 1

    def _levels(self) -> list[int]:
        reads = [self.level_of(shape) for shape in self.nest.reads] + [2] * len(self.nest.carries)
        levels: list[int] = []
        for op, *operands in self.program.body:
            if op == "load":
                levels.append(reads[operands[0]])
            elif op == "const":
                levels.append(0)
            else:
                levels.append(max((levels[operand] for operand in operands), default=0))
        return levels

    # --- the function -------------------------------------------------------------------------------------------------
    def write(self) -> Function:
        nest = self.nest
        f = self.f
        self.accumulators = [
            Accumulators(f, self.body, reduction.kind, (self.room(), self.room(), self.room()))
            for reduction in nest.reductions
        ]
        self.carried = [self.room() for _ in nest.carries]
        self.before = {
            (g, e): self.room()
            for g, group in enumerate(nest.groups)
            for e, (_, shift, _) in enumerate(group.entries)
            if shift
        }
        with f.loop("chunk", "%first", "%last") as chunk:
            self._chunk(chunk)
        f.do("ret void")
        f.lines[2:2] = self.part.rooms
        return f

    def _decode(self, rest: str) -> None:
        """The counters of the outer axes from their common one."""
        outer = self.nest.outer
        for axis in reversed(outer):
            if axis == outer[0]:
                self.index[axis] = rest
            else:
                length = self.slots[f"n{axis}"]
                self.index[axis] = self.f.let("axis", f"urem i64 {rest}, {length}")
                rest = self.f.let("rest", f"udiv i64 {rest}, {length}")

    def _chunk(self, chunk: str) -> None:
        nest, f, width = self.nest, self.f, self.nest.width
        self.length = "1" if nest.lane is None else self.slots[f"n{nest.lane}"]
        along = chunk
        if nest.outer:
            along = f.let("along", f"urem i64 {chunk}, {self.slots['chunks']}")
            self._decode(f.let("kept", f"udiv i64 {chunk}, {self.slots['chunks']}"))
        self.start = times(f, along, str(CHUNK))
        end = plus(f, self.length, str(nest.shifts))
        stop = f.let("stop", f"call i64 @llvm.smin.i64(i64 {end}, i64 {plus(f, self.start, str(CHUNK))})")
        begin = self.start
        if nest.shifts:
            # One vector earlier, for what is shifted into the first.
            earlier = f.let("earlier", f"sub i64 {self.start}, {width}")
            begin = f.let("begin", f"call i64 @llvm.smax.i64(i64 {earlier}, i64 0)")
        for room in self.before.values():
            f.store(self.target.vector, "zeroinitializer", room, 64)
        self.v = "0"
        self._bases()
        self.part.values.clear()
        self.uniform = {k: self.scalar(f"r{k}", s) for k, s in enumerate(nest.reads) if self.level_of(s) == 0}
        self._splats()
        self._define(0)
        if not nest.lane_reduced:
            with f.loop("v", begin, stop, width) as v:
                self._vector(v)
            return
        for accumulator in self.accumulators:
            accumulator.clear()
        with (
            self._loops(nest.inner),
            self._runs("run", begin, stop, RUN * width) as (first, last),
            f.loop("v", first, last, width) as v,
        ):
            self._at(v)
            self._instance()
        step = nest.partial
        at = f.at(self.slots["partials"], times(f, chunk, str(step)), self.target.scalar)
        for number, accumulator in enumerate(self.accumulators):
            accumulator.keep(f.at(at, 2 * width * number, self.target.scalar))

    @contextmanager
    def _loops(self, axes: Sequence[int]) -> Iterator[None]:
        if not axes:
            yield
            return
        with self.f.loop("inner", 0, self.slots[f"n{axes[0]}"]) as counter:
            self.index[axes[0]] = counter
            with self._loops(axes[1:]):
                yield

    @contextmanager
    def _runs(self, name: str, start: str, stop: str, step: int) -> Iterator[tuple[str, str]]:
        """`for first in range(start, stop, step)`, what is added up in it added to the whole behind it."""
        with self.f.loop(name, start, stop, step) as first:
            end = plus(self.f, first, str(step))
            last = self.f.let("last", f"call i64 @llvm.smin.i64(i64 {end}, i64 {stop})")
            for accumulator in self.accumulators:
                accumulator.begin_run()
            yield first, last
            for accumulator in self.accumulators:
                accumulator.end_run()

    def _at(self, v: str) -> None:
        """Go to a vector of the lane axis."""
        self.v = v
        self._forget()
        if self.nest.lane is not None:
            self.left = self.f.let("left", f"sub i64 {self.length}, {v}")
            self.full = self.f.let("full", f"icmp sge i64 {self.left}, {self.nest.width}")

    def _vector(self, v: str) -> None:
        """A vector of a nest whose lane axis is kept, with the loops inside."""
        nest, f = self.nest, self.f
        self._at(v)
        self._splats()
        self._fetch(1)
        self._define(1)
        if not nest.inner:
            self._groups(inner=False)
            return
        for accumulator in self.accumulators:
            accumulator.clear()
        if nest.scan is not None:
            self._begin_scan()
            with f.loop("t", 0, self.slots[f"n{nest.scan}"]) as t:
                last = plus(f, self.slots[f"n{nest.scan}"], "-1")
                self.index[nest.scan] = f.let("t", f"sub i64 {last}, {t}") if nest.reverse else t
                self._instance()
            return
        innermost = nest.inner[-1]
        with (
            self._loops(nest.inner[:-1]),
            self._runs("run", "0", self.slots[f"n{innermost}"], RUN) as (first, last),
            f.loop("inner", first, last) as counter,
        ):
            self.index[innermost] = counter
            self._instance()
        self._forget()
        self._groups(inner=False)

    def _begin_scan(self) -> None:
        starts = self._read([(f"c{k}", shape) for k, shape in enumerate(self.nest.carries)])
        for room, start in zip(self.carried, starts, strict=True):
            self.f.store(self.target.vector, start, room, 64)

    def _instance(self) -> None:
        """The body at an instance of the innermost loop, and what is done with its results."""
        nest, f, vector = self.nest, self.f, self.target.vector
        if nest.inner:
            self._forget()
        self._splats()
        self._fetch(2)
        for k, room in enumerate(self.carried):
            self._set(len(nest.reads) + k, f.load("carry", vector, room, 64))
        self._define(2)
        with self._own():
            mask = live(f, nest.width, self.left) if nest.lane_reduced else None
            for reduction, accumulator in zip(nest.reductions, self.accumulators, strict=True):
                accumulator.add(self.result(reduction.result), mask)
        self._groups(inner=True)
        if nest.lane_reduced:
            self._groups(inner=False)
        new = [self.result(len(self.program.outputs) - len(self.carried) + k) for k in range(len(self.carried))]
        for room, value in zip(self.carried, new, strict=True):
            f.store(vector, value, room, 64)

    # --- the body -----------------------------------------------------------------------------------------------------
    def _set(self, argument: int, value: str) -> None:
        for number, line in enumerate(self.program.body):
            if line[0] == "load" and line[1] == argument:
                self.part.values[number] = value

    def _splats(self) -> None:
        """The vectors of reads that are the same in all lanes; where there are many, made anew where they are used."""
        for k, scalar in self.uniform.items():
            if len(self.uniform) > KEPT or not self._known(k):
                self._set(k, splat(self.f, self.target, scalar))

    def _known(self, argument: int) -> bool:
        return any(
            line[0] == "load" and line[1] == argument and number in self.part.values
            for number, line in enumerate(self.program.body)
        )

    def _fetch(self, level: int) -> None:
        places = [(k, shape) for k, shape in enumerate(self.nest.reads) if self.level_of(shape) == level]
        for (k, _), value in zip(places, self._read([(f"r{k}", shape) for k, shape in places]), strict=True):
            self._set(k, value)

    def _define(self, level: int) -> None:
        """Write the instructions of a level; a sine that came with its cosine is not written again."""
        done: set[int] = set()
        for number in self.numbers:
            if self.levels[number] == level and number not in done:
                self.part.define(number)
                done |= {number, self.body.partners.get(number, number)}
