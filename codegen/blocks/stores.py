"""Results of a nest as LLVM IR: shifted, interleaved, and stored group by group."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from codegen.blocks.accumulators import Accumulators
from codegen.blocks.lanes import between, either, gather, live, load, plus, scatter, scatter_at, steps, store
from codegen.blocks.nest import Group, Value
from codegen.blocks.places import Places

# What stores a group in the middle of the lane axis, and what does at its ends.
Ways = tuple[Callable[[], None], Callable[[], None]]


class Stores(Places):
    """What stores the groups of a nest. `before` has room for the last vector of each value that is shifted."""

    accumulators: list[Accumulators]
    before: dict[tuple[int, int], str]

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

    def _put_apart(self, value: str, pointer: str, stride: str, add: bool, mask: str = "") -> None:
        """Lanes, or those of a mask, to elements `stride` apart."""
        f, width, scalar = self.f, self.nest.width, self.target.scalar
        places = "" if stride == "1" else steps(f, width, stride)
        if add:
            old = gather(f, width, scalar, pointer, places, mask) if places else load(f, width, scalar, pointer, mask)
            value = f.let("sum", f"fadd {self.target.vector} {old}, {value}")
        if places:
            scatter(f, width, scalar, pointer, places, value, mask)
        else:
            store(f, width, scalar, pointer, value, mask)

    def _scattered(self, name: str, group: Group, pointer: str, index_at: str, value: str) -> Ways:
        f, width, scalar = self.f, self.nest.width, self.target.scalar

        def put(mask: str) -> None:
            if not mask and self._in_a_row(group.shape):
                index = f.at(self.slots[f"{name}.ip"], index_at, "i64" if group.shape.wide else "i32")
                scatter_at(f, width, scalar, pointer, index, group.shape.wide, value)
                return
            scatter(f, width, scalar, pointer, self._places(name, group.shape, index_at, mask), value, mask)

        return lambda: put(""), lambda: put(live(f, width, self.left))

    def _strided(self, pointer: str, stride: str, value: str, add: bool) -> Ways:
        def middle() -> None:
            if self.nest.lane is None:
                self._put(self.target.scalar, value, pointer, add)
            else:
                self._put_apart(value, pointer, stride, add)

        def ends() -> None:
            self._put_apart(value, pointer, stride, add, live(self.f, self.nest.width, self.left))

        return middle, ends

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
                mask = between(f, width, start if group.shifts else "0", stop)
                self._put_apart(totals[residue], f.at(pointer, residue, scalar), str(step), add, mask)

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
