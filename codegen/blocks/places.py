"""Places of a nest as LLVM IR: where an element is, and reading it into vectors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from codegen.blocks.lanes import (
    either,
    gather,
    gather_at,
    integer,
    integers,
    live,
    load,
    plus,
    plus_vectors,
    splat_integer,
    steps,
    times,
    vector,
)
from codegen.blocks.nest import Nest, Shape
from codegen.body import Body, Cut, Part
from codegen.layout import Layout
from codegen.moves import splat
from codegen.program import Program
from codegen.target import Target
from codegen.text import Function


class Places:
    """A nest while it is written: its function, the numbers it is given, and where in the index space it stands.

    `index` is the counter of each axis but the lane axis, whose is `v`; `left` lanes are left from there on, and `full`
    says whether a whole vector is.
    """

    def __init__(self, nest: Nest, program: Program, target: Target, name: str) -> None:
        self.nest, self.program, self.target, self.name = nest, program, target, name
        numbers = [number for number, (op, *_) in enumerate(program.body) if op not in ("load", "const")]
        self.body = Body(Layout(program, target, 0), Cut([numbers], {}, 0))
        self.numbers = numbers
        self.index: dict[int, str] = {}
        self.sums: dict[tuple[tuple[int, str], ...], str] = {}
        self.outer_sums: dict[tuple[tuple[int, str], ...], str] = {}
        self.along: dict[str, str] = {}
        self.v, self.left, self.full, self.start = "0", "1", "true", "0"
        self.f = Function(f"define dso_local void @{self.name}(ptr noalias readonly %table, i64 %first, i64 %last) #1")
        self.slots: dict[str, str] = {}
        for number, slot in enumerate(self.nest.slots):
            kind = "ptr" if slot == "partials" or slot.endswith((".p", ".ip")) else "i64"
            self.slots[slot] = self.f.load(_clean(slot), kind, self.f.at("%table", number, "i64"))
        self.part = Part(self.body, 0, "internal")
        self.part.f = self.f

    def room(self) -> str:
        name = f"%{self.f.unique('room')}"
        self.part.rooms.append(f"  {name} = alloca {self.target.vector}, align 64")
        return name

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
                mask = live(self.f, nest.width, self.left)
                return [self._plain(*places[k], *elements[k], mask) for k in lanes]

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

    def _plain(self, name: str, shape: Shape, at: str, index_at: str, mask: str = "") -> str:
        """The elements of all lanes, or of those of a mask."""
        f, scalar, axis, width = self.f, self.target.scalar, self.nest.lane, self.nest.width
        assert axis is not None
        base = f.at(self.slots[f"{name}.p"], at, scalar)
        if shape.strides[axis] == "1" and not index_at:
            return load(f, width, scalar, base, mask)
        if index_at and not mask and self._in_a_row(shape):
            index = f.at(self.slots[f"{name}.ip"], index_at, "i64" if shape.wide else "i32")
            return gather_at(f, width, scalar, base, index, shape.wide)
        return gather(f, width, scalar, base, self._places(name, shape, index_at, mask), mask)

    def _in_a_row(self, shape: Shape) -> bool:
        """Whether each lane's element is said by an index alone, and these lie in a row."""
        axis = self.nest.lane
        if axis is None or shape.index is None:
            return False
        return shape.index[axis] == "1" and shape.scale == "1" and shape.strides[axis] == "0"

    def _places(self, name: str, shape: Shape, index_at: str, mask: str = "") -> str:
        """For each lane, how far its element is from where `element` says that the first is."""
        f, axis, width = self.f, self.nest.lane, self.nest.width
        assert axis is not None
        along = steps(f, width, self.number(shape.strides[axis]))
        if not index_at or shape.index is None:
            return along
        base = f.at(self.slots[f"{name}.ip"], index_at, "i64" if shape.wide else "i32")
        found = integers(f, width, base, self.number(shape.index[axis]), shape.wide, mask)
        if shape.scale != "1":
            scale = splat_integer(f, width, self.number(shape.scale))
            found = f.let("scaled", f"mul {vector(width, 'i64')} {found}, {scale}")
        return plus_vectors(f, width, found, along)


def _clean(slot: str) -> str:
    return slot.replace(".", "_")
