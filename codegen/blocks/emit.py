"""A loop nest as LLVM IR: `void @NAME(ptr table, i64 first, i64 last)` runs chunks of it.

The body is written once, at the full width. At the ends of the lane axis, reads fill missing lanes with zeros and
writes leave them out, by calls that the middle jumps over. What depends on no inner axis is computed outside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from codegen.blocks.accumulators import Accumulators
from codegen.blocks.lanes import (
    either,
    gather,
    helpers,
    integer,
    integers,
    live,
    plus,
    plus_vectors,
    scatter,
    splat_integer,
    steps,
    times,
)
from codegen.blocks.nest import CHUNK, RUN, Group, Nest, Shape, Value
from codegen.body import Body, Cut, Part
from codegen.emit import contracted, declared, ending, functions_called, triple_line
from codegen.layout import Layout
from codegen.moves import splat
from codegen.program import Program
from codegen.schedule import schedule
from codegen.target import Target
from codegen.text import Function

Ways = tuple[Callable[[], None], Callable[[], None]]

# Reads that are the same in all lanes up to which their vectors are kept in registers over a chunk.
KEPT = 16


def emit_nest(nest: Nest, body: Program, target: Target, name: str) -> str:
    """The module of a nest, which needs `stages.emit_helpers` of its width."""
    target = replace(target, width=nest.width)
    writer = _Writer(nest, schedule(contracted(body, target)), target, name)
    function = writer.write()
    needed = [helper.declaration() for helper in helpers(target) if helper.name in function.calls()]
    start = [triple_line(target), *declared(writer.body), *needed]
    return "\n".join([*start, str(function), functions_called(writer.body), ending(target)])


class _Writer:
    """A nest while it is written. `index` is the counter of each axis but the lane axis, whose is `v`."""

    def __init__(self, nest: Nest, program: Program, target: Target, name: str) -> None:
        self.nest, self.program, self.target, self.name = nest, program, target, name
        numbers = [number for number, (op, *_) in enumerate(program.body) if op not in ("load", "const")]
        self.body = Body(Layout(program, target, 0), Cut([numbers], {}, 0))
        self.numbers = numbers
        self.levels = self._levels()
        self.index: dict[int, str] = {}
        self.sums: dict[tuple[tuple[int, str], ...], str] = {}
        self.outer_sums: dict[tuple[tuple[int, str], ...], str] = {}
        self.along: dict[str, str] = {}
        self.v, self.left, self.full = "0", "1", "true"

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
    def _open(self) -> None:
        self.f = Function(f"define dso_local void @{self.name}(ptr noalias readonly %table, i64 %first, i64 %last) #1")
        self.slots: dict[str, str] = {}
        for number, slot in enumerate(self.nest.slots):
            kind = "ptr" if slot == "partials" or slot.endswith((".p", ".ip")) else "i64"
            self.slots[slot] = self.f.load(_clean(slot), kind, self.f.at("%table", number, "i64"))

    def room(self) -> str:
        name = f"%{self.f.unique('room')}"
        self.part.rooms.append(f"  {name} = alloca {self.target.vector}, align 64")
        return name

    def write(self) -> Function:
        nest = self.nest
        self._open()
        f = self.f
        self.part = Part(self.body, 0, "internal")
        self.part.f = f
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

    @contextmanager
    def _own(self) -> Iterator[None]:
        """Run the body of the `with` only if this vector is this chunk's, not one taken for what it shifts."""
        if not self.nest.shifts:
            yield
            return
        known = dict(self.sums), dict(self.along)
        with self.f.when(self.f.let("own", f"icmp sge i64 {self.v}, {self.start}")):
            yield
        self.sums, self.along = known

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

    def result(self, number: int) -> str:
        (value,) = self.program.outputs[number]
        return self.part.read(value)

    # --- reading ------------------------------------------------------------------------------------------------------
    def number(self, kind: str) -> str:
        """A stride or scale."""
        return self.slots[kind] if kind.startswith("x") else kind

    def _sum(self, kinds: Sequence[str], axes: Sequence[int]) -> str:
        """What some axes add to a place; made once for all places with the same strides."""
        key = tuple((axis, kinds[axis]) for axis in axes if kinds[axis] != "0")
        if key not in self.sums:
            self.sums[key] = plus(self.f, *(times(self.f, self.number(kind), self.index[axis]) for axis, kind in key))
        return self.sums[key]

    def _along(self, kind: str) -> str:
        """What the lane axis adds to a place, at the first lane."""
        if kind not in self.along:
            self.along[kind] = times(self.f, self.number(kind), self.v)
        return self.along[kind]

    def _forget(self) -> None:
        """Sums made from here on are not known outside; those of the outer axes are known everywhere."""
        self.sums, self.along = dict(self.outer_sums), {}

    def _bases(self) -> None:
        """What the outer axes add to places."""
        self.sums, self.along = {}, {}
        for _, shape in self.nest.places():
            for kinds in (shape.strides, shape.index or ()):
                if kinds:
                    self._sum(kinds, self.nest.outer)
        self.outer_sums = dict(self.sums)

    def _offset(self, kinds: Sequence[str], inner: Sequence[int]) -> str:
        lanes = self.nest.lane
        along = "0" if lanes is None else self._along(kinds[lanes])
        return plus(self.f, self._sum(kinds, self.nest.outer), self._sum(kinds, inner), along)

    def element(self, name: str, shape: Shape, inner: Sequence[int]) -> tuple[str, str]:
        """How far the element of the first lane is from the place's address, and where the index for it is, or "".

        Without what the index adds, unless that is the same for all lanes.
        """
        f, lanes = self.f, self.nest.lane
        at = self._offset(shape.strides, inner)
        if shape.number:
            return plus(f, at, self.slots[f"{name}.o"]), ""
        if shape.index is None:
            return at, ""
        place = self._offset(shape.index, inner)
        if lanes is not None and shape.index[lanes] != "0":
            return at, place
        index = integer(f, self.slots[f"{name}.ip"], place, shape.wide)
        return plus(f, at, times(f, index, self.number(shape.scale))), ""

    def scalar(self, name: str, shape: Shape) -> str:
        """A read that is the same in all lanes and inner loops."""
        f, scalar = self.f, self.target.scalar
        at, _ = self.element(name, shape, ())
        if shape.number:
            return f.let("number", f"sitofp i64 {at} to {scalar}")
        return f.load("x", scalar, f.at(self.slots[f"{name}.p"], at, scalar))

    def _read(self, places: Sequence[tuple[str, Shape]]) -> list[str]:
        """Vectors of some places at the current instance; those with lanes of their own by one branch for all."""
        nest = self.nest
        own = [nest.lane is not None and shape.varies(nest.lane) and not shape.number for _, shape in places]
        elements = [self.element(name, shape, nest.inner if self._inside(shape) else ()) for name, shape in places]
        values = [""] * len(places)
        lanes = [k for k, mine in enumerate(own) if mine]
        for k, (name, shape) in enumerate(places):
            if not own[k]:
                values[k] = self._same(name, shape, elements[k][0])
        if lanes:

            def plain() -> list[str]:
                return [self._plain(*places[k], *elements[k]) for k in lanes]

            def tail() -> list[str]:
                return [self._tail(*places[k], *elements[k]) for k in lanes]

            for k, value in zip(lanes, either(self.f, self.full, plain, tail, self.target.vector), strict=True):
                values[k] = value
        return values

    def _inside(self, shape: Shape) -> bool:
        return any(shape.varies(axis) for axis in self.nest.inner)

    def _same(self, name: str, shape: Shape, at: str) -> str:
        """A place without lanes of its own, or a number."""
        f, width, scalar = self.f, self.nest.width, self.target.scalar
        if not shape.number:
            return splat(f, self.target, f.load("x", scalar, f.at(self.slots[f"{name}.p"], at, scalar)))
        kind = "i64" if width == 1 else f"<{width} x i64>"
        axis = self.nest.lane
        every = splat_integer(f, width, at)
        if axis is not None:
            every = plus_vectors(f, width, every, steps(f, width, self.number(shape.strides[axis])))
        return f.let("number", f"sitofp {kind} {every} to {self.target.vector}")

    def _plain(self, name: str, shape: Shape, at: str, index_at: str) -> str:
        f, scalar, axis = self.f, self.target.scalar, self.nest.lane
        assert axis is not None
        base = f.at(self.slots[f"{name}.p"], at, scalar)
        stride = self.number(shape.strides[axis])
        if stride == "1" and not index_at:
            return f.load("x", self.target.vector, base)
        return gather(f, self.target, base, self._places(name, shape, index_at))

    def _places(self, name: str, shape: Shape, index_at: str) -> str:
        """For each lane, how far its element is from where `element` says that the first is."""
        f, axis, width = self.f, self.nest.lane, self.nest.width
        assert axis is not None
        along = steps(f, width, self.number(shape.strides[axis]))
        if not index_at or shape.index is None:
            return along
        step = self.number(shape.index[axis])
        found = integers(f, width, self.slots[f"{name}.ip"], index_at, step, shape.wide)
        if shape.scale != "1":
            kind = "i64" if width == 1 else f"<{width} x i64>"
            found = f.let("scaled", f"mul {kind} {found}, {splat_integer(f, width, self.number(shape.scale))}")
        return plus_vectors(f, width, found, along)

    def _tail(self, name: str, shape: Shape, at: str, index_at: str) -> str:
        f, axis, vector = self.f, self.nest.lane, self.target.vector
        assert axis is not None
        stride = self.number(shape.strides[axis])
        pointer = f.at(self.slots[f"{name}.p"], at, self.target.scalar)
        if not index_at:
            return f.let("x", f"call {vector} @hy.tail.{self.nest.width}(ptr {pointer}, i64 {stride}, i64 {self.left})")
        arguments = f"ptr {pointer}, {self._index_arguments(name, shape, index_at)}, i64 {stride}, i64 {self.left}"
        return f.let("x", f"call {vector} @hy.tail{64 if shape.wide else 32}.{self.nest.width}({arguments})")

    def _index_arguments(self, name: str, shape: Shape, index_at: str) -> str:
        axis = self.nest.lane
        assert axis is not None
        assert shape.index is not None
        index = self.f.at(self.slots[f"{name}.ip"], index_at, "i64" if shape.wide else "i32")
        step = self.number(shape.index[axis])
        return f"ptr {index}, i64 {step}, i64 {self.number(shape.scale)}"

    # --- writing ------------------------------------------------------------------------------------------------------
    def value(self, value: Value) -> str:
        if not value.reduced:
            return self.result(value.result)
        number = [reduction.result for reduction in self.nest.reductions].index(value.result)
        return self.accumulators[number].result()

    def _groups(self, *, inner: bool) -> None:
        nest, f, vector = self.nest, self.f, self.target.vector
        here = [(g, group) for g, group in enumerate(nest.groups) if group.inner == inner]
        values = {(g, e): self.value(value) for g, group in here for e, (value, _, _) in enumerate(group.entries)}
        if nest.shifts:
            mask = live(f, nest.width, self.left)
            for (g, e), value in values.items():
                if nest.groups[g].mode != "store":
                    kinds = f"{self.body.mask} {mask}, {vector} {value}, {vector} zeroinitializer"
                    values[g, e] = f.let(
                        "live",
                        f"select {kinds}"
                        if nest.width > 1
                        else f"select i1 {mask}, {vector} {value}, {vector} {self.body.number(0.0)}",
                    )
        with self._own():
            self._write_groups([(g, group, [values[g, e] for e in range(len(group.entries))]) for g, group in here])
        for (g, e), room in self.before.items():
            if (g, e) in values:
                f.store(vector, values[g, e], room, 64)

    def _write_groups(self, groups: Sequence[tuple[int, Group, list[str]]]) -> None:
        """Store groups: whole vectors in the middle of the lane axis, by one branch for all; lanes at its ends."""
        nest, f = self.nest, self.f
        ways = [self._group(g, group, values) for g, group, values in groups]
        if nest.lane is None:
            for middle, _ in ways:
                middle()
            return
        inside = self.full
        if shifts := max((group.shifts for _, group, _ in groups), default=0):
            late = f.let("late", f"icmp sge i64 {self.v}, {shifts}")
            inside = f.let("inside", f"and i1 {late}, {self.full}")

        def run(place: int) -> list[str]:
            for way in ways:
                way[place]()
            return []

        if ways:
            either(f, inside, lambda: run(0), lambda: run(1), "i64")

    def _group(self, g: int, group: Group, values: list[str]) -> Ways:
        """What stores a group in the middle, and what at the ends."""
        name = f"g{g}"
        at, index_at = self.element(name, group.shape, self.nest.inner if group.inner else ())
        pointer = self.f.at(self.slots[f"{name}.p"], at, self.target.scalar)
        if index_at:
            return self._scattered(name, group, pointer, index_at, values[0])
        if group.step == 0:
            axis = self.nest.lane
            stride = "0" if axis is None else self.number(group.shape.strides[axis])
            return self._strided(pointer, stride, values[0], group.mode == "add")
        return self._interleaved(g, group, pointer, values)

    def _put(self, kind: str, value: str, pointer: str, add: bool) -> None:
        f = self.f
        if add:
            old = f.load("old", kind, pointer, self.target.bytes)
            value = f.let("sum", f"fadd {kind} {old}, {value}")
        f.store(kind, value, pointer, self.target.bytes)

    def _put_apart(self, value: str, pointer: str, stride: str, add: bool) -> None:
        """Lanes to elements `stride` apart."""
        places = steps(self.f, self.nest.width, stride)
        if add:
            old = gather(self.f, self.target, pointer, places)
            value = self.f.let("sum", f"fadd {self.target.vector} {old}, {value}")
        scatter(self.f, self.target, pointer, places, value)

    def _edge(self, pointer: str, value: str, stride: str, start: str, stop: str, add: bool) -> None:
        numbers = f"i64 {stride}, i64 {start}, i64 {stop}, i1 {str(add).lower()}"
        self.f.do(f"call void @hy.edge.{self.nest.width}(ptr {pointer}, {self.target.vector} {value}, {numbers})")

    def _scattered(self, name: str, group: Group, pointer: str, index_at: str, value: str) -> Ways:
        f, shape, axis = self.f, group.shape, self.nest.lane
        assert axis is not None

        def middle() -> None:
            scatter(f, self.target, pointer, self._places(name, shape, index_at), value)

        def ends() -> None:
            stride = self.number(shape.strides[axis])
            arguments = f"{self._index_arguments(name, shape, index_at)}, i64 {stride}, i64 {self.left}"
            edge = f"@hy.edge{64 if shape.wide else 32}.{self.nest.width}"
            f.do(f"call void {edge}(ptr {pointer}, {self.target.vector} {value}, {arguments})")

        return middle, ends

    def _strided(self, pointer: str, stride: str, value: str, add: bool) -> Ways:
        def middle() -> None:
            if self.nest.lane is None:
                self._put(self.target.scalar, value, pointer, add)
            else:
                self._put_apart(value, pointer, stride, add)

        return middle, lambda: self._edge(pointer, value, stride, "0", self.left, add)

    def _interleaved(self, g: int, group: Group, pointer: str, values: list[str]) -> Ways:
        f, scalar, width, step = self.f, self.target.scalar, self.nest.width, group.step
        residues = sorted({residue for _, _, residue in group.entries})
        totals = {residue: self._total(g, group, residue, values) for residue in residues}
        add = group.mode == "add"

        def middle() -> None:
            if group.dense:
                for number, vector in enumerate(self._woven([totals[residue] for residue in residues])):
                    self._put(self.target.vector, vector, f.at(pointer, width * number, scalar), add)
                return
            for residue in residues:
                self._put_apart(totals[residue], f.at(pointer, residue, scalar), str(step), add)

        def ends() -> None:
            for residue in residues:
                shifts = group.shifts_of(residue)
                start = f.let("start", f"sub i64 {min(shifts)}, {self.v}")
                stop = plus(f, self.left, str(max(shifts)))
                self._edge(f.at(pointer, residue, scalar), totals[residue], str(step), start, stop, add)

        return middle, ends

    def _total(self, g: int, group: Group, residue: int, values: list[str]) -> str:
        f, total = self.f, ""
        for e, (_, shift, other) in enumerate(group.entries):
            if other == residue:
                x = self._shifted(values[e], self.before[g, e], shift) if shift else values[e]
                total = f.let("sum", f"fadd {self.target.vector} {total}, {x}") if total else x
        return total

    def _shifted(self, value: str, room: str, shift: int) -> str:
        """Lanes moved up by some, those of the vector before coming in below."""
        f, width, vector = self.f, self.nest.width, self.target.vector
        before = f.load("before", vector, room, 64)
        if width == 1 or shift == width:
            return before
        lanes = ", ".join(f"i32 {width - shift + number}" for number in range(width))
        return f.let("shifted", f"shufflevector {vector} {before}, {vector} {value}, <{width} x i32> <{lanes}>")

    def _woven(self, vectors: list[str]) -> list[str]:
        """Vectors whose elements in turn are those of the given ones."""
        f, width, kind, step = self.f, self.nest.width, self.target.vector, len(vectors)
        if step == 1 or width == 1:
            return vectors
        woven = []
        for number in range(step):
            places = [divmod(number * width + lane, step) for lane in range(width)]
            made = vectors[0]
            for other in range(1, step):
                lanes = []
                for position, (source, residue) in enumerate(places):
                    before = source if other == 1 else position
                    lanes.append(
                        f"i32 {before}"
                        if residue < other
                        else f"i32 {width + source}"
                        if residue == other
                        else "i32 poison"
                    )
                mask = f"<{width} x i32> <{', '.join(lanes)}>"
                made = f.let("woven", f"shufflevector {kind} {made}, {kind} {vectors[other]}, {mask}")
            woven.append(made)
        return woven


def _clean(slot: str) -> str:
    return slot.replace(".", "_")
