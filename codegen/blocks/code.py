"""Blocks as native code that is called with arrays."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codegen.blocks.concrete import concrete
from codegen.blocks.form import REDUCTIONS, Blocks, Buffer
from codegen.blocks.hoist import CHEAP
from codegen.blocks.lay import Fill, Layout, Stage, Sums, lay_out
from codegen.blocks.native import Linked, assembly, linked, symbol
from codegen.blocks.nest import Laid, Word
from codegen.blocks.stages import FILLED, SLICES
from codegen.target import Target, find, host
from codegen.threads import default_threads, pool

Reals = NDArray[Any]

TIERS = ("full", "quick")
_INT32 = np.iinfo(np.int32)
# Work per thread, in `weight`s times instances, below which sharing costs more than it gains: about a tenth of a
# millisecond, of which a hand-over takes half.
WORTH = 1 << 22
# Where NumPy's array object keeps the address of its elements: behind the head of every object.
_DATA = object.__basicsize__


def compile_blocks(blocks: Blocks, tier: str = "full", target: Target | str | None = None) -> RolledCode:
    """Native code for `blocks`; LLVM runs when arrays are bound, and again only where their structure differs.

    tier: "full", or "quick": code made faster and about 1.4 times slower.
    Raises ValueError for another tier, or a target that this machine cannot run.
    """
    if tier not in TIERS:
        raise ValueError(f"tier must be one of {', '.join(TIERS)}, got {tier!r}")
    found = find(target)
    if found.arch != host().arch:
        raise ValueError(f"cannot run code for {found.triple} on {host().triple}")
    return RolledCode(blocks, tier, found.with_element(blocks.element))


@dataclass(eq=False)
class RolledCode:
    """Blocks to be bound to arrays. Made by `compile_blocks`."""

    blocks: Blocks
    tier: str
    target: Target
    _linked: dict[tuple[str, ...], Linked] = field(default_factory=dict, repr=False)

    @property
    def operations(self) -> dict[str, int]:
        """Instructions per instance, by block."""
        return self.blocks.operations

    def bind(self, arrays: Mapping[str, Reals] | None = None, sizes: Mapping[str, int] | None = None) -> Bound:
        """Fix the lengths, the data and the indices.

        arrays: those of kind "data" (of the element type) and "index" (int32 or int64), by name; flat or of any shape
        in C order. They are kept as they are, or copied if they do not fit. sizes: the values of the named sizes; one
        that is the length of a given array may be left out.
        Every place is checked here: IndexError if one is outside its buffer, ValueError for arrays of wrong lengths,
        missing arrays or sizes, or a store through an index that has an element twice.
        """
        given = dict(arrays or {})
        known = _sizes(self.blocks, given, dict(sizes or {}))
        kept = {
            buffer.name: _fixed(self.blocks, buffer, given, buffer.length.value(known))
            for buffer in self.blocks.of_kind("data", "index")
        }
        lengths = {buffer.name: buffer.length.value(known) for buffer in self.blocks.buffers}
        if negative := [name for name, length in lengths.items() if length < 0]:
            raise ValueError(f"{self.blocks.name}: {negative[0]} has length {lengths[negative[0]]} for sizes {known}")
        indices = {buffer.name: kept[buffer.name] for buffer in self.blocks.of_kind("index")}
        made = concrete(self.blocks, known, indices)
        data = {buffer.name: kept[buffer.name] for buffer in self.blocks.of_kind("data")}
        layout = lay_out(made, lengths, self.blocks.added_to, indices, data, self.target.width)
        return Bound(self, known, lengths, layout, kept | layout.arrays, self._native(layout))

    def _native(self, layout: Layout) -> Linked:
        nests = {
            symbol(stage.nest, stage.body, self.blocks.element): (stage.nest, stage.body)
            for stage in layout.stages
            if isinstance(stage, Laid)
        }
        key = tuple(nests)
        if key not in self._linked:
            self._linked[key] = linked(nests, self.target, self.tier == "quick")
        return self._linked[key]


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
        return _numbers(blocks.name, buffer.name, array, np.dtype(blocks.element)).reshape(-1)
    if array.dtype.kind not in "iu":
        raise ValueError(f"{blocks.name}: the index {buffer.name} must hold integers, got {array.dtype}")
    wide = array.size and (array.max() > _INT32.max or array.min() < _INT32.min)
    return np.ascontiguousarray(array, np.int64 if wide else np.int32).reshape(-1)


def _numbers(blocks: str, name: str, array: Any, dtype: np.dtype[Any]) -> Reals:
    """An array as native code reads it."""
    given = np.asarray(array)
    if not np.can_cast(given.dtype, dtype, "same_kind"):
        raise ValueError(f"{blocks}: {name} must hold real numbers, got {given.dtype}")
    return np.require(given, dtype, ["C", "A"])


def weight(stage: Laid) -> int:
    """Instructions of an instance, a function taken as twenty, and numbers read and written."""
    functions = sum(line[0] not in CHEAP for line in stage.body.body)
    return len(stage.body.body) + 19 * functions + len(stage.nest.reads) + len(stage.nest.groups)


@dataclass(eq=False)
class Frame:
    """What one call at a time works with: the words that stages read, and memory of its own."""

    words: Any
    memory: Reals
    arrays: Sequence[Reals] = ()


class Bound:
    """Blocks bound to lengths, data and indices: `run` computes. Made by `RolledCode.bind`; threads may share it."""

    def __init__(
        self,
        code: RolledCode,
        sizes: dict[str, int],
        lengths: dict[str, int],
        layout: Layout,
        arrays: dict[str, Reals],
        native: Linked,
    ) -> None:
        self.code, self.sizes, self.layout, self.native = code, sizes, layout, native
        blocks = code.blocks
        self.inputs, self.outputs = blocks.of_kind("input"), blocks.of_kind("output")
        self.lengths = lengths
        self._arrays = arrays
        self._dtype = np.dtype(blocks.element)
        self._given = [*(buffer.name for buffer in self.inputs), *(buffer.name for buffer in self.outputs)]
        self._frames: list[Frame] = []
        self._prepare()

    # --- what a call needs, worked out once ---------------------------------------------------------------------------
    def _prepare(self) -> None:
        lengths = {buffer.name: self.lengths[buffer.name] for buffer in self.code.blocks.of_kind("work")}
        self._offsets: dict[str, int] = {}
        size = 0
        for name, length in (lengths | self.layout.work).items():
            self._offsets[name] = size
            size += -(-length * self._dtype.itemsize // 64) * 64
        self._memory = size
        # Words: the records of the stages, then their tables. A word is a number, a buffer, or the place of a table.
        self._records: list[tuple[int, list[Word | Reals], int, int]] = []
        self.weights: list[int] = []
        for stage in self.layout.stages:
            self._stage(stage)
        self._table_at: list[int] = []
        at = 4 * len(self._records)
        for _, table, _, _ in self._records:
            self._table_at.append(at)
            at += len(table)
        self._words = at
        places: dict[str, list[tuple[int, int]]] = {name: [] for name in self._given}
        for start, (_, table, _, _) in zip(self._table_at, self._records, strict=True):
            for number, word in enumerate(table):
                if isinstance(word, tuple) and word[0] in places:
                    places[word[0]].append((start + number, word[1] * self._dtype.itemsize))
        self.places = [tuple(places[name]) for name in self._given]
        self._run = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(self.native.address("hy.stages"))
        self._sized = [self.lengths[name] for name in self._given]
        self._bytes = [length * self._dtype.itemsize for length in self._sized]

    def _stage(self, stage: Stage) -> None:
        words: list[Word | Reals]
        if isinstance(stage, Fill):
            chunks = -(-(stage.stop - stage.start) // FILLED)
            self._add("hy.fill", [(stage.buffer, 0), stage.start, stage.stop], chunks, stage.stop - stage.start)
        elif isinstance(stage, Sums):
            level = stage.level
            order = 0 if level.order is None else level.order
            words = [(stage.source, 0), (stage.into, 0), level.starts, level.terms, level.rows, int(stage.add), order]
            self._add("hy.sums", words, -(-(len(level.starts) - 1) // SLICES), len(level.terms) + level.rows)
        else:
            name = symbol(stage.nest, stage.body, self.code.blocks.element)
            table = [stage.values[slot] for slot in stage.nest.slots]
            each = weight(stage) * self.code.target.width // stage.nest.width
            instances = 1
            for axis in range(stage.nest.rank):
                length = stage.values[f"n{axis}"]
                instances *= length if isinstance(length, int) else 1
            self._add(name, table, stage.chunks, each * instances)
            if stage.nest.lane_reduced:
                words = [stage.values["partials"], stage.values["chunks"], stage.nest.partial, len(stage.sinks)]
                for sink in stage.sinks:
                    words += [REDUCTIONS.index(sink.kind), int(sink.add), (sink.buffer, 0), sink.positions]
                self._add(f"hy.finish.{stage.nest.width}", words, stage.kept, 0)

    def _add(self, name: str, table: Sequence[Word | Reals], chunks: int, weight: int) -> None:
        self._records.append((self.native.address(name), list(table), 0, chunks))
        self.weights.append(weight)

    @cached_property
    def work(self) -> int:
        """Of the longest stage, in instructions times instances."""
        return max(self.weights, default=0)

    @property
    def stages(self) -> int:
        return len(self._records)

    def give_frame(self, frame: Frame) -> None:
        """Let a frame be used again."""
        self._frames.append(frame)

    def take_frame(self) -> Frame:
        """A frame that no other call uses."""
        try:
            return self._frames.pop()
        except IndexError:
            pass
        words = (ctypes.c_int64 * max(1, self._words))()
        memory = np.empty(self._memory + 64, np.uint8)
        base = memory.ctypes.data + 63 & -64
        here = ctypes.addressof(words)
        for number, (start, (address, table, first, last)) in enumerate(
            zip(self._table_at, self._records, strict=True)
        ):
            words[4 * number : 4 * number + 4] = [address, here + 8 * start, first, last]
            for place, word in enumerate(table, start):
                if isinstance(word, tuple):
                    words[place] = self._address(*word, base)
                else:
                    words[place] = word.ctypes.data if isinstance(word, np.ndarray) else word
        return Frame(words, memory)

    def _address(self, name: str, element: int, base: int) -> int:
        """Of an element of a buffer that is bound, or of memory of a frame's own."""
        if name in self._arrays:
            array = self._arrays[name]
            return int(array.ctypes.data) + element * array.itemsize
        return base + self._offsets.get(name, 0) + element * self._dtype.itemsize

    # --- calls --------------------------------------------------------------------------------------------------------
    def run(
        self,
        inputs: Mapping[str, Reals] | Sequence[Reals],
        outputs: Mapping[str, Reals] | Sequence[Reals] | None = None,
        threads: int | None = None,
    ) -> list[Reals]:
        """The outputs for some inputs, in the order of the buffers.

        inputs: by name or in order, of any shape with as many elements, in C order; others are copied. outputs: where
        to put them, C-contiguous arrays of the element type that share no memory with anything else; made if None.
        threads: how many share the work, by default `default_threads()` where it is worth it; the bits are the same.
        Raises ValueError for arrays that do not fit.
        """
        given = [inputs[buffer.name] for buffer in self.inputs] if isinstance(inputs, Mapping) else list(inputs)
        if outputs is None:
            made = [np.empty(self.lengths[buffer.name], self._dtype) for buffer in self.outputs]
        elif isinstance(outputs, Mapping):
            made = [outputs[buffer.name] for buffer in self.outputs]
        else:
            made = list(outputs)
        if threads is not None and threads < 1:
            raise ValueError(f"threads must be at least 1, got {threads}")
        every = self._every(given, made)
        frame = self.take_frame()
        self._fill(frame, every, len(given))
        if threads == 1 or (threads is None and self.work < 2 * WORTH):
            self._run(frame.words, len(self._records))
        else:
            self._share(frame, threads or default_threads())
        self.give_frame(frame)
        return made

    def frame_for(self, inputs: Sequence[Reals], outputs: Sequence[Reals]) -> Frame:
        """A frame of its own for some arrays, which must stay alive. Raises ValueError as `run` does."""
        every = self._every(inputs, outputs)
        frame = self.take_frame()
        self._fill(frame, every, len(inputs))
        frame.arrays = every
        return frame

    def _every(self, given: Sequence[Reals], made: Sequence[Reals]) -> list[Reals]:
        """Inputs, copied where they have to be, and outputs; raises ValueError for arrays that do not fit."""
        if len(given) != len(self.inputs) or len(made) != len(self.outputs):
            self._refuse_counts(len(given), len(made))
        dtype, count = self._dtype, len(given)
        every = [*given, *made]
        for number, array in enumerate(every):
            if (
                type(array) is not np.ndarray
                or array.dtype != dtype
                or array.size != self._sized[number]
                or not (array.flags.carray if number >= count else array.flags.c_contiguous and array.flags.aligned)
            ):
                every[number] = self._fitted(number, array, number < count)
        return every

    def _fill(self, frame: Frame, every: Sequence[Reals], count: int) -> None:
        """Put the addresses of arrays, of which the first `count` are inputs, where stages read them."""
        addresses = [ctypes.c_int64.from_address(id(array) + _DATA).value for array in every]
        self._check_apart(addresses, count)
        words = frame.words
        for address, places in zip(addresses, self.places, strict=True):
            for place, offset in places:
                words[place] = address + offset

    def _check_apart(self, addresses: Sequence[int], count: int) -> None:
        """That no output shares memory with another array of the call."""
        end, last = 0, -1
        for address, number in sorted(zip(addresses, range(len(addresses)), strict=True)):
            size = self._bytes[number]
            if not size:
                continue
            if address < end and max(number, last) >= count:
                one, other = self._given[last], self._given[number]
                raise ValueError(f"{self.code.blocks.name}: {one} and {other} share memory; an output must be apart")
            if address + size > end:
                end, last = address + size, number

    def _fitted(self, number: int, array: Any, is_input: bool) -> Reals:
        name, length = self._given[number], self._sized[number]
        if is_input:
            fitted = _numbers(self.code.blocks.name, name, array, self._dtype)
            if fitted.size == length:
                return fitted
            raise ValueError(f"{self.code.blocks.name}: {name} has {fitted.size} elements, expected {length}")
        raise ValueError(
            f"{self.code.blocks.name}: the output {name} must be a writable C-contiguous {self._dtype} array of "
            f"{length} elements, got {type(array).__name__} {getattr(array, 'dtype', '')} {np.shape(array)}"
        )

    def _refuse_counts(self, given: int, made: int) -> None:
        names = [buffer.name for buffer in self.inputs], [buffer.name for buffer in self.outputs]
        raise ValueError(
            f"{self.code.blocks.name} takes {len(names[0])} inputs ({', '.join(names[0])}) and {len(names[1])} outputs "
            f"({', '.join(names[1])}), got {given} and {made}"
        )

    def _share(self, frame: Frame, threads: int) -> None:
        """Stage by stage, the chunks of large ones shared by threads."""
        start = ctypes.addressof(frame.words)
        number = 0
        while number < len(self._records):
            alone = number
            while alone < len(self._records) and self._parts(alone, threads) == 1:
                alone += 1
            if alone > number:
                self._run(start + 32 * number, alone - number)
                number = alone
                continue
            self._in_parts(frame, number, self._parts(number, threads))
            number += 1

    def _parts(self, number: int, threads: int) -> int:
        return max(1, min(threads, self._records[number][3], self.weights[number] // WORTH))

    def _in_parts(self, frame: Frame, number: int, parts: int) -> None:
        code, table, _, chunks = frame.words[4 * number : 4 * number + 4]
        cuts = [chunks * part // parts for part in range(parts + 1)]
        records = [(ctypes.c_int64 * 4)(code, table, cuts[part], cuts[part + 1]) for part in range(parts)]
        pending = [pool().submit(self._run, record, 1) for record in records[1:]]
        self._run(records[0], 1)
        for future in pending:
            future.result()

    # --- looking inside -----------------------------------------------------------------------------------------------
    def ir(self) -> str:
        """The LLVM IR of all nests, before optimisation."""
        return "\n".join(self.native.modules.values())

    def assembly(self) -> str:
        """The optimised native code of all nests, made anew at each call."""
        return "\n".join(assembly(ir, self.native.target) for ir in self.native.modules.values())
