"""Concrete blocks → stages: loop nests, zeroing, and segmented sums for what adds through an index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codegen.blocks.concrete import Concrete, Target, Where, apart, positions
from codegen.blocks.hoist import hoist, with_reads
from codegen.blocks.nest import CHUNK, INTERLEAVED, Group, Laid, Nest, Numbers, Reduction, Shape, Sink, Value, Word
from codegen.blocks.segments import Level, levels
from codegen.blocks.spread import Spread, spreads
from codegen.program import Program

Ints = NDArray[Any]
Reals = NDArray[Any]

# Elements of data, beyond four times those there are, up to which a copy is made that is contiguous.
COPIED = 1 << 16
# Of up to so many instances, a block with more places than this that are no plain vectors becomes scalar code.
FEW, GATHERS = 64, 16


@dataclass(frozen=True)
class Fill:
    """Zeros from one element of a buffer to another."""

    buffer: str
    start: int
    stop: int


@dataclass(frozen=True, eq=False)
class Sums:
    """One level of segmented sums, from a buffer into another."""

    source: str
    into: str
    level: Level
    add: bool


Stage = Laid | Fill | Sums


@dataclass
class Layout:
    """The stages of a binding, in order, and the lengths of work buffers and the arrays that they need besides."""

    stages: list[Stage] = field(default_factory=list)
    work: dict[str, int] = field(default_factory=dict)
    arrays: dict[str, Reals] = field(default_factory=dict)


@dataclass
class _Pending:
    """Contributions to a buffer that are kept aside: where each goes, and where in the temporary buffer it is."""

    temporary: str
    length: int = 0
    into: list[Ints] = field(default_factory=list)
    at: list[Ints] = field(default_factory=list)


def lay_out(
    blocks: Sequence[Concrete],
    lengths: Mapping[str, int],
    zeroed: frozenset[str],
    indices: Mapping[str, Ints],
    data: Mapping[str, Reals],
    width: int,
) -> Layout:
    """lengths: of the buffers. zeroed: those that start as zeros. width: lanes of a vector."""
    laying = _Laying(lengths, zeroed, indices, data, width)
    laying.spread(blocks)
    for block in blocks:
        for part in parted(block):
            lane = choose_lane(part, width, data)
            whole = hoist(part, lane, f"before.{len(laying.layout.work)}")
            laying.layout.work |= whole.work
            for one in whole.blocks:
                laying.block(one)
    laying.flush(list(laying.pending))
    for name in sorted(laying.untouched):
        laying.zero(name)
    return laying.layout


def parted(block: Concrete) -> list[Concrete]:
    """The block as several, so that all reductions of each are over the same axes."""
    kinds = sorted({write.reduced for write in block.writes if write.reduced}, key=len, reverse=True)
    if len(kinds) <= 1:
        return [block]
    parts = []
    for kind in kinds:
        here = (kind,) if kind != kinds[0] else ((), kind)
        wanted = [number for number, write in enumerate(block.writes) if write.reduced in here]
        writes = tuple(replace(block.writes[number], result=place) for place, number in enumerate(wanted))
        outputs = tuple(block.body.outputs[number] for number in wanted)
        results = tuple(block.body.results[number] for number in wanted)
        whole = block.body
        body, reads = with_reads(
            Program(whole.name, whole.arguments, results, whole.body, outputs, whole.externals), block.reads
        )
        parts.append(replace(block, body=body, reads=reads, writes=writes))
    return parts


class _Laying:
    def __init__(
        self,
        lengths: Mapping[str, int],
        zeroed: frozenset[str],
        indices: Mapping[str, Ints],
        data: Mapping[str, Reals],
        width: int,
    ) -> None:
        self.lengths, self.indices, self.data, self.width = lengths, indices, data, width
        self.layout = Layout()
        self.untouched = set(zeroed)
        self.pending: dict[str, _Pending] = {}
        self.temporaries = 0
        self.spreads: dict[str, Spread] = {}

    def spread(self, blocks: Sequence[Concrete]) -> None:
        """Find the buffers whose elements mostly get one contribution; they are zero, or all written, from here on."""
        self.spreads = spreads(blocks, self.lengths, frozenset(self.untouched), self.indices)
        for name, found in self.spreads.items():
            self.untouched.discard(name)
            if not found.whole:
                self.zero(name)

    # --- buffers that are added to ------------------------------------------------------------------------------------
    def zero(self, buffer: str, start: int = 0, stop: int | None = None) -> None:
        stop = self.lengths[buffer] if stop is None else stop
        if stop > start:
            self.layout.stages.append(Fill(buffer, start, stop))

    def touch(self, buffer: str) -> None:
        """Zero a buffer that something other than a first sum is about to change or read."""
        if buffer in self.untouched:
            self.untouched.discard(buffer)
            self.zero(buffer)

    def flush(self, buffers: Sequence[str]) -> None:
        """Sum up what is kept aside for some buffers."""
        for name in buffers:
            aside, spread = self.pending.pop(name), self.spreads.get(name)
            add = name not in self.untouched and spread is None
            self.untouched.discard(name)
            into = np.concatenate([np.zeros(0, np.int64), *(part.ravel() for part in aside.into)])
            at = np.concatenate([np.zeros(0, np.int64), *(part.ravel() for part in aside.at)])
            # One element more, which stays zero: where a sum has fewer terms than its neighbours.
            self.layout.work[aside.temporary] = aside.length + 1
            self.zero_end(aside.temporary, aside.length)
            sources = [aside.temporary]
            every = spread is None and not add
            for level in levels(into, at, self.lengths[name], aside.length, self.width, every):
                target = name if level.final else f"{aside.temporary}.{len(sources)}"
                self.layout.stages.append(Sums(sources[level.source], target, level, add and level.final))
                if not level.final:
                    sources.append(target)
                    self.layout.work[target] = level.rows + 1
                    self.zero_end(target, level.rows)

    def zero_end(self, temporary: str, length: int) -> None:
        self.layout.stages.append(Fill(temporary, length, length + 1))

    def aside(self, buffer: str, count: int) -> tuple[_Pending, int]:
        """Room for `count` contributions to a buffer: where they go from there on."""
        if buffer not in self.pending:
            self.pending[buffer] = _Pending(f"kept.{self.temporaries}")
            self.temporaries += 1
        found = self.pending[buffer]
        start, found.length = found.length, found.length + count
        return found, start

    # --- blocks -------------------------------------------------------------------------------------------------------
    def block(self, block: Concrete) -> None:
        read = {where.buffer for where in (*block.reads, *block.carries)}
        stored = {write.where.buffer for write in block.writes if write.kind == "store"}
        self.flush([name for name in self.pending if name in read | stored])
        for name in sorted(read | stored):
            self.touch(name)
        nest = _NestMaker(self, block)
        made = nest.make()
        for fill in nest.fills:
            self.zero(*fill)
        self.layout.stages.append(made)


class _NestMaker:
    """One block on its way to a nest."""

    def __init__(self, laying: _Laying, block: Concrete) -> None:
        self.laying, self.block = laying, block
        self.lengths = block.lengths
        self.reduced = next((write.reduced for write in block.writes if write.reduced), ())
        self.lane = choose_lane(block, laying.width, laying.data)
        self.width = laying.width if self.lane is not None else 1
        self.lane_reduced = self.lane in self.reduced
        axes = range(len(self.lengths))
        self.inner = tuple(axis for axis in axes if axis != self.lane and (axis in self.reduced or axis == block.scan))
        self.outer = tuple(axis for axis in axes if axis != self.lane and axis not in self.inner)
        self.fills: list[tuple[str, int, int]] = []
        self.numbers = Numbers()
        self.groups: list[tuple[Group, Where]] = []
        self.sinks: dict[int, Sink] = {}

    @property
    def lane_length(self) -> int:
        return 1 if self.lane is None else self.lengths[self.lane]

    def stride(self, where: Where) -> int:
        return 0 if self.lane is None else where.strides[self.lane]

    def make(self) -> Laid:
        for write in self.block.writes:
            if write.reduced and self.lane_reduced:
                self.sink(write)
        # What adds directly: the largest group of each buffer. The rest is kept aside.
        direct: dict[str, list[list[Target]]] = {}
        for alike in self.alike():
            direct.setdefault(alike[0].where.buffer, []).append(alike)
        for buffer, every in direct.items():
            if buffer in self.laying.spreads:
                for alike in every:
                    self.spread(self.laying.spreads[buffer], alike)
                continue
            adding = [alike for alike in every if alike[0].kind == "add"]
            best = max((alike for alike in adding if self.may_add(alike)), key=len, default=None)
            for alike in every:
                if alike[0].kind == "store":
                    self.store(alike)
                elif alike is best:
                    self.add(buffer, alike)
                else:
                    for write in alike:
                        self.keep_aside(write)
        return self.finish()

    def finish(self) -> Laid:
        block, groups = self.block, tuple(group for group, _ in self.groups)
        reductions = tuple(Reduction(write.result, write.reduction or "") for write in block.writes if write.reduced)
        read = [self.relaid(where) for where in block.reads]
        reads = tuple(self.shape(where) for where in read)
        carries = tuple(self.shape(where) for where in block.carries)
        nest = Nest(
            self.width,
            len(self.lengths),
            self.lane,
            self.outer,
            self.inner,
            block.scan,
            block.reverse,
            reads,
            carries,
            groups,
            reductions,
            self.lane_reduced,
            len(self.numbers.names),
        )
        per_lane = -(-(self.lane_length + nest.shifts) // CHUNK) if self.lane_length else 0
        kept = prod(self.lengths[axis] for axis in self.outer)
        partials = f"partials.{len(self.laying.layout.stages)}"
        values: dict[str, Word] = {f"n{axis}": length for axis, length in enumerate(self.lengths)}
        values |= {name: number for number, name in self.numbers.names.items()}
        values |= {"chunks": per_lane, "partials": (partials, 0) if nest.partial else 0}
        if nest.partial:
            self.laying.layout.work[partials] = max(1, kept * per_lane * nest.partial)
        wheres = [*read, *block.carries, *(where for _, where in self.groups)]
        for (name, shape), where in zip(nest.places(), wheres, strict=True):
            values |= shape.bind(name, where)
        sinks = tuple(self.sinks[reduction.result] for reduction in reductions if self.sinks)
        return Laid(nest, block.body, values, kept * per_lane, kept, sinks)

    def relaid(self, where: Where) -> Where:
        """The place in a copy of its data that is contiguous along the lane axis, if it is no plain vector as it is."""
        laying, lane = self.laying, self.lane
        data = laying.data.get(where.buffer)
        if data is None or lane is None or is_plain(where, lane) or 0 in self.lengths:
            return where
        lengths = tuple(n if where.varies(axis) else 1 for axis, n in enumerate(self.lengths))
        if prod(lengths) > COPIED + 4 * len(data):
            return where
        name = f"{where.buffer} {where} {lane} {lengths}"
        if name not in laying.layout.arrays:
            values = np.broadcast_to(positions(where, lengths, laying.indices), lengths)
            laying.layout.arrays[name] = np.moveaxis(data[values], lane, -1).reshape(-1)
        strides, step = [0] * len(lengths), 1
        for axis in (lane, *(axis for axis in reversed(range(len(lengths))) if axis != lane)):
            strides[axis], step = step if lengths[axis] > 1 else 0, step * lengths[axis]
        return Where(name, 0, tuple(strides))

    def shape(self, where: Where) -> Shape:
        wide = where.index is not None and self.laying.indices[where.index].dtype.itemsize == 8
        return self.numbers.shape(where, wide)

    # --- writes -------------------------------------------------------------------------------------------------------
    def sink(self, write: Target) -> None:
        """A reduction over the lane axis: written once all chunks are done, by one thread."""
        buffer, mode = write.where.buffer, write.kind
        if buffer in self.laying.spreads:
            mode = "store"  # it is alone there
        elif mode == "add" and buffer in self.laying.untouched and self.is_whole(write):
            self.laying.untouched.discard(buffer)
            mode = "store"
        elif mode == "add":
            self.laying.touch(buffer)
        kept = tuple(n if axis in self.outer else 1 for axis, n in enumerate(self.lengths))
        whole = np.zeros(0, np.int64)
        if 0 not in kept:
            whole = np.broadcast_to(positions(write.where, kept, self.laying.indices), kept).reshape(-1).copy()
        self.sinks[write.result] = Sink(write.reduction or "", mode == "add", buffer, whole)

    def is_whole(self, write: Target) -> bool:
        """Whether a reduction over the lane axis is all that this block adds to a buffer, and reaches all of it."""
        where = write.where
        alone = sum(other.where.buffer == where.buffer for other in self.block.writes) == 1
        kept = self.kept_axes()
        whole = prod(n for _, n in kept) == self.laying.lengths[where.buffer]
        return alone and whole and where.index is None and apart(1, [(where.strides[axis], n) for axis, n in kept])

    def is_inner(self, write: Target) -> bool:
        return bool(self.inner) and not write.reduced

    def alike(self) -> list[list[Target]]:
        """Writes that one group could hold, together."""
        found: dict[object, list[Target]] = {}
        for write in self.block.writes:
            if write.result in self.sinks:
                continue
            where, inner = write.where, self.is_inner(write)
            together = where.index is None and not inner and 0 < self.stride(where) <= INTERLEAVED
            key = (write.kind, where.buffer, where.strides) if together else (write.result,)
            found.setdefault(key, []).append(write)
        return list(found.values())

    def entries(self, alike: Sequence[Target]) -> list[tuple[Target, int, int]]:
        """Each write with its shift and residue, counted from the smallest offset."""
        base, step = min(write.where.offset for write in alike), max(1, abs(self.stride(alike[0].where)))
        return [(write, *divmod(write.where.offset - base, step)) for write in alike]

    def kept_axes(self) -> list[tuple[int, int]]:
        return [(axis, self.lengths[axis]) for axis in self.outer]

    def may_add(self, alike: Sequence[Target]) -> bool:
        """Whether no two instances, of one lane axis apart, add to the same element, and shifts fit a vector."""
        where = alike[0].where
        if where.index is not None or any(self.is_inner(write) for write in alike):
            return False
        if self.lane is None:
            return len(alike) == 1 and apart(1, [(where.strides[axis], n) for axis, n in self.kept_axes()])
        outer = [(where.strides[axis], n) for axis, n in self.kept_axes()]
        if len(alike) == 1:
            return apart(1, [*outer, (self.stride(where), self.lane_length)])
        if max(shift for _, shift, _ in self.entries(alike)) > self.width:
            return False
        low, high, _ = self.coverage(alike)
        return apart(high - low, outer)

    def coverage(self, alike: Sequence[Target]) -> tuple[int, int, int]:
        """Of one lane axis: the first element written, the one behind the last, and how many there are."""
        step = abs(self.stride(alike[0].where)) if self.lane is not None else 1
        base = min(write.where.offset for write in alike)
        if self.stride(alike[0].where) < 0:
            base += self.stride(alike[0].where) * (self.lane_length - 1)
        shifts: dict[int, list[int]] = {}
        for _, shift, residue in self.entries(alike):
            shifts.setdefault(residue, []).append(shift)
        spans = {residue: (min(all_), self.lane_length + max(all_)) for residue, all_ in shifts.items()}
        low = min(step * first + residue for residue, (first, _) in spans.items())
        high = max(step * (last - 1) + residue + 1 for residue, (_, last) in spans.items())
        # Shifts that are far apart leave elements between them that only zeros reach: they are written all the same.
        return base + low, base + high, sum(last - first for first, last in spans.values())

    def store(self, alike: Sequence[Target]) -> None:
        entries = self.entries(alike)
        residues = {residue for _, _, residue in entries}
        step = self.stride(alike[0].where)
        fits = max(shift for _, shift, _ in entries) <= self.width
        if len(alike) > 1 and fits and len(residues) == len(entries) == step:
            self.group(alike, "store")
        else:
            for write in alike:
                self.group([write], "store")

    def add(self, buffer: str, alike: Sequence[Target]) -> None:
        laying, first = self.laying, buffer in self.laying.untouched
        low, high, count = self.coverage(alike)
        kept = prod(n for _, n in self.kept_axes())
        whole = self.lane_length > 0 and kept > 0 and all(n > 0 for n in self.lengths)
        if first and whole and kept == 1 and count == high - low:
            laying.untouched.discard(buffer)
            self.fills += [(buffer, 0, low), (buffer, high, laying.lengths[buffer])]
            self.group(alike, "first")
        elif first and whole and kept * count == laying.lengths[buffer]:
            laying.untouched.discard(buffer)
            self.group(alike, "first")
        else:
            laying.touch(buffer)
            self.group(alike, "add")

    def group(self, alike: Sequence[Target], mode: str) -> None:
        entries = self.entries(alike)
        base = min(alike, key=lambda write: write.where.offset).where
        placed = tuple((Value(write.result, bool(write.reduced)), shift, residue) for write, shift, residue in entries)
        step = self.stride(base)
        fixed = base.index is None and 0 < step <= INTERLEAVED and (len(alike) > 1 or step == 1)
        group = Group(self.shape(base), mode, placed, step if fixed else 0, self.is_inner(alike[0]))
        self.groups.append((group, base))

    def spread(self, spread: Spread, alike: Sequence[Target]) -> None:
        """Store contributions where they belong, and aside where some of them meet others."""
        if not any(spread.aside(self.block, write) for write in alike):
            self.store([replace(write, kind="store") for write in alike])
            return
        for write in alike:
            at_once = spread.at_once(self.block, write)
            if at_once:
                self.group([replace(write, kind="store")], "store")
            if spread.aside(self.block, write):
                self.keep_aside(write, spread.counts if at_once else None)

    def keep_aside(self, write: Target, counts: Ints | None = None) -> None:
        """Store contributions one after the other, to be summed up later; with counts where several meet."""
        lengths = tuple(1 if axis in write.reduced else n for axis, n in enumerate(self.lengths))
        found, start = self.laying.aside(write.where.buffer, prod(lengths))
        order = [axis for axis in range(len(lengths)) if axis != self.lane and axis not in write.reduced]
        order += [self.lane] if self.lane is not None and self.lane not in write.reduced else []
        strides, step = [0] * len(lengths), 1
        for axis in reversed(order):
            strides[axis], step = step, step * lengths[axis]
        if prod(lengths):
            into = np.broadcast_to(positions(write.where, lengths, self.laying.indices), lengths)
            temporary = Where(found.temporary, start, tuple(strides))
            at = np.broadcast_to(positions(temporary, lengths, {}), lengths)
            meeting = ... if counts is None else counts[into] > 1
            found.into.append(into[meeting])
            found.at.append(at[meeting])
        where = Where(found.temporary, start, tuple(strides))
        self.group([replace(write, kind="store", where=where)], "store")


def is_plain(where: Where, axis: int) -> bool:
    """Whether lanes along an axis are one number or one vector in memory."""
    return where.strides[axis] in (0, 1) and (where.index is None or where.index_strides[axis] == 0)


def choose_lane(block: Concrete, width: int, data: Mapping[str, Reals]) -> int | None:
    """The axis for the lanes of vectors: where reads and writes are plain, and few lanes are idle."""
    best, least = None, 0.0
    reduced = next((write.reduced for write in block.writes if write.reduced), ())
    places = (*block.reads, *(write.where for write in block.writes))
    for axis, length in enumerate(block.lengths):
        if axis == block.scan:
            continue
        cost = 8.0
        for where in places:
            gathers = where.index is not None and where.index_strides[axis] != 0 and where.buffer not in data
            plain = where.strides[axis] in (0, 1) or where.buffer in data
            cost += 2 * width if gathers else 1 if plain else width
        cost *= -(-max(length, 1) // width) * width / max(length, 1)
        if axis in reduced:
            cost += 30.0 * sum(bool(write.reduced) for write in block.writes) / max(length, 1)
        # Of equals the last axis: it is the one that is contiguous most often.
        if best is None or cost <= least:
            best, least = axis, cost
    apart_ = sum(where.index is not None or where.strides[best] not in (0, 1) for where in places if best is not None)
    # Gathers are long code, not worth making for a few instances.
    return None if apart_ > GATHERS and prod(block.lengths) <= FEW else best
