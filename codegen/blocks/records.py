"""The stages of a binding as the words that `@hy.stages` walks through: plain data, before anything has an address."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codegen.blocks.concrete import concrete
from codegen.blocks.form import REDUCTIONS, Blocks, Buffer
from codegen.blocks.hoist import CHEAP
from codegen.blocks.lay import Fill, Layout, Stage, Sums, lay_out
from codegen.blocks.native import symbol
from codegen.blocks.nest import Laid, Nest, Word
from codegen.blocks.stages import FILLED, SLICES
from codegen.program import Program

Reals = NDArray[Any]

_INT32 = np.iinfo(np.int32)


@dataclass(frozen=True)
class Binding:
    """Blocks with lengths, data and indices, laid out for vectors of some width.

    lengths: of the buffers. arrays: those bound, and the copies that the layout made of them.
    """

    blocks: Blocks
    sizes: dict[str, int]
    lengths: dict[str, int]
    layout: Layout
    arrays: dict[str, Reals]

    @property
    def nests(self) -> dict[str, tuple[Nest, Program]]:
        """What native code is needed for, by its name."""
        return {
            symbol(stage.nest, stage.body, self.blocks.element): (stage.nest, stage.body)
            for stage in self.layout.stages
            if isinstance(stage, Laid)
        }


def binding(blocks: Blocks, arrays: Mapping[str, Reals], sizes: Mapping[str, int], width: int) -> Binding:
    """Fix lengths, data and indices; raises ValueError and IndexError as `RolledCode.bind` does."""
    known = _sizes(blocks, arrays, dict(sizes))
    kept = {
        buffer.name: _fixed(blocks, buffer, arrays, buffer.length.value(known))
        for buffer in blocks.of_kind("data", "index")
    }
    lengths = {buffer.name: buffer.length.value(known) for buffer in blocks.buffers}
    if negative := [name for name, length in lengths.items() if length < 0]:
        raise ValueError(f"{blocks.name}: {negative[0]} has length {lengths[negative[0]]} for sizes {known}")
    indices = {buffer.name: kept[buffer.name] for buffer in blocks.of_kind("index")}
    made = concrete(blocks, known, indices)
    data = {buffer.name: kept[buffer.name] for buffer in blocks.of_kind("data")}
    layout = lay_out(made, lengths, blocks.added_to, indices, data, width)
    return Binding(blocks, known, lengths, layout, kept | layout.arrays)


def _sizes(blocks: Blocks, arrays: Mapping[str, Reals], sizes: dict[str, int]) -> dict[str, int]:
    for buffer in blocks.buffers:
        if buffer.name in arrays and len(buffer.length.terms) == 1:
            ((names, factor),) = buffer.length.terms
            if len(names) == 1 and factor == 1:
                sizes.setdefault(names[0], int(np.size(arrays[buffer.name])))
    if missing := sorted(set(blocks.sizes) - set(sizes)):
        raise ValueError(f"{blocks.name}: sizes are missing: {', '.join(missing)}")
    return {name: int(sizes[name]) for name in blocks.sizes}


def _fixed(blocks: Blocks, buffer: Buffer, arrays: Mapping[str, Reals], length: int) -> Reals:
    if buffer.name not in arrays:
        raise ValueError(f"{blocks.name}: the {buffer.kind} array {buffer.name} is missing")
    array = np.asarray(arrays[buffer.name])
    if array.size != length:
        raise ValueError(f"{blocks.name}: {buffer.name} has {array.size} elements, expected {buffer.length} = {length}")
    if buffer.kind == "data":
        return numbers(blocks.name, buffer.name, array, np.dtype(blocks.element)).reshape(-1)
    if array.dtype.kind not in "iu":
        raise ValueError(f"{blocks.name}: the index {buffer.name} must hold integers, got {array.dtype}")
    wide = array.size and (array.max() > _INT32.max or array.min() < _INT32.min)
    return np.ascontiguousarray(array, np.int64 if wide else np.int32).reshape(-1)


def numbers(blocks: str, name: str, array: Any, dtype: np.dtype[Any]) -> Reals:
    """An array as native code reads it."""
    given = np.asarray(array)
    if not np.can_cast(given.dtype, dtype, "same_kind"):
        raise ValueError(f"{blocks}: {name} must hold real numbers, got {given.dtype}")
    return np.require(given, dtype, ["C", "A"])


def weight(stage: Laid) -> int:
    """Instructions of an instance, a function taken as twenty, and numbers read and written."""
    functions = sum(line[0] not in CHEAP for line in stage.body.body)
    return len(stage.body.body) + 19 * functions + len(stage.nest.reads) + len(stage.nest.groups)


@dataclass(frozen=True, eq=False)
class Record:
    """A stage: the name of its code, its table, how many chunks it has, and the work it is.

    A word of a table is a number, an element of a buffer, or an array.
    """

    code: str
    table: Sequence[Word | Reals]
    chunks: int
    weight: int


@dataclass(frozen=True, eq=False)
class Records:
    """All stages, and the memory they work in: where each buffer of that starts, in bytes, and how much it is.

    The words are four for each stage (its code, its table, the first chunk and the one behind the last), then the
    tables; `tables` says where each starts, `words` how many there are.
    """

    stages: tuple[Record, ...]
    offsets: dict[str, int]
    memory: int
    tables: tuple[int, ...] = field(init=False)
    words: int = field(init=False)

    def __post_init__(self) -> None:
        starts, at = [], 4 * len(self.stages)
        for stage in self.stages:
            starts.append(at)
            at += len(stage.table)
        object.__setattr__(self, "tables", tuple(starts))
        object.__setattr__(self, "words", at)


def records(bound: Binding, width: int) -> Records:
    """The stages of a binding. width: lanes of the target's vectors."""
    itemsize = np.dtype(bound.blocks.element).itemsize
    lengths = {buffer.name: bound.lengths[buffer.name] for buffer in bound.blocks.of_kind("work")}
    offsets: dict[str, int] = {}
    size = 0
    for name, length in (lengths | bound.layout.work).items():
        offsets[name] = size
        size += -(-length * itemsize // 64) * 64
    every = [record for stage in bound.layout.stages for record in _records(stage, bound.blocks.element, width)]
    return Records(tuple(every), offsets, size)


def _records(stage: Stage, element: str, width: int) -> list[Record]:
    words: list[Word | Reals]
    if isinstance(stage, Fill):
        chunks = -(-(stage.stop - stage.start) // FILLED)
        return [Record("hy.fill", [(stage.buffer, 0), stage.start, stage.stop], chunks, stage.stop - stage.start)]
    if isinstance(stage, Sums):
        level = stage.level
        order = 0 if level.order is None else level.order
        words = [(stage.source, 0), (stage.into, 0), level.starts, level.terms, level.rows, int(stage.add), order]
        return [Record("hy.sums", words, -(-(len(level.starts) - 1) // SLICES), len(level.terms) + level.rows)]
    instances = weight(stage) * width // stage.nest.width
    for axis in range(stage.nest.rank):
        length = stage.values[f"n{axis}"]
        instances *= length if isinstance(length, int) else 1
    table = [stage.values[slot] for slot in stage.nest.slots]
    made = [Record(symbol(stage.nest, stage.body, element), table, stage.chunks, instances)]
    if stage.nest.lane_reduced:
        words = [stage.values["partials"], stage.values["chunks"], stage.nest.partial, len(stage.sinks)]
        for sink in stage.sinks:
            words += [REDUCTIONS.index(sink.kind), int(sink.add), (sink.buffer, 0), sink.positions]
        made.append(Record(f"hy.finish.{stage.nest.width}", words, stage.kept, 0))
    return made
