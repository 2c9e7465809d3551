"""Blocks as native code that is called with arrays."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codegen.blocks.form import Blocks
from codegen.blocks.native import Linked, assembly, linked
from codegen.blocks.records import Binding, binding, numbers, records
from codegen.target import Target, find, host
from codegen.threads import default_threads, pool

Reals = NDArray[Any]

TIERS = ("full", "quick")
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
        bound = binding(self.blocks, dict(arrays or {}), dict(sizes or {}), self.target.width)
        nests = bound.nests
        key = tuple(nests)
        if key not in self._linked:
            self._linked[key] = linked(nests, self.target, self.tier == "quick")
        return Bound(self, bound, self._linked[key])


@dataclass(eq=False)
class Frame:
    """What one call at a time works with: the words that stages read, and memory of its own."""

    words: Any
    memory: Reals
    arrays: Sequence[Reals] = ()


class Bound:
    """Blocks bound to lengths, data and indices: `run` computes. Made by `RolledCode.bind`; threads may share it."""

    def __init__(self, code: RolledCode, made: Binding, native: Linked) -> None:
        self.code, self.native = code, native
        self.sizes, self.layout, self.lengths, self._arrays = made.sizes, made.layout, made.lengths, made.arrays
        blocks = code.blocks
        self.inputs, self.outputs = blocks.of_kind("input"), blocks.of_kind("output")
        self._dtype = np.dtype(blocks.element)
        self._given = [*(buffer.name for buffer in self.inputs), *(buffer.name for buffer in self.outputs)]
        self._frames: list[Frame] = []
        self._records = records(made, code.target.width)
        self._codes = [native.address(stage.code) for stage in self._records.stages]
        self.weights = [stage.weight for stage in self._records.stages]
        self.places = self._places()
        self._run = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(native.address("hy.stages"))
        self._sized = [self.lengths[name] for name in self._given]
        self._bytes = [length * self._dtype.itemsize for length in self._sized]

    def _places(self) -> list[tuple[tuple[int, int], ...]]:
        """For each array of a call the words that hold an address in it, and how far into it that is."""
        places: dict[str, list[tuple[int, int]]] = {name: [] for name in self._given}
        for start, stage in zip(self._records.tables, self._records.stages, strict=True):
            for number, word in enumerate(stage.table):
                if isinstance(word, tuple) and word[0] in places:
                    places[word[0]].append((start + number, word[1] * self._dtype.itemsize))
        return [tuple(places[name]) for name in self._given]

    @cached_property
    def work(self) -> int:
        """Of the longest stage, in instructions times instances."""
        return max(self.weights, default=0)

    @property
    def stages(self) -> int:
        return len(self._records.stages)

    def give_frame(self, frame: Frame) -> None:
        """Let a frame be used again."""
        self._frames.append(frame)

    def take_frame(self) -> Frame:
        """A frame that no other call uses."""
        try:
            return self._frames.pop()
        except IndexError:
            pass
        every = self._records
        words = (ctypes.c_int64 * max(1, every.words))()
        memory = np.empty(every.memory + 64, np.uint8)
        base = memory.ctypes.data + 63 & -64
        here = ctypes.addressof(words)
        for number, (start, stage, code) in enumerate(zip(every.tables, every.stages, self._codes, strict=True)):
            words[4 * number : 4 * number + 4] = [code, here + 8 * start, 0, stage.chunks]
            for place, word in enumerate(stage.table, start):
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
        return base + self._records.offsets.get(name, 0) + element * self._dtype.itemsize

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
            self._run(frame.words, self.stages)
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
            fitted = numbers(self.code.blocks.name, name, array, self._dtype)
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
        while number < self.stages:
            alone = number
            while alone < self.stages and self._parts(alone, threads) == 1:
                alone += 1
            if alone > number:
                self._run(start + 32 * number, alone - number)
                number = alone
                continue
            self._in_parts(frame, number, self._parts(number, threads))
            number += 1

    def _parts(self, number: int, threads: int) -> int:
        return max(1, min(threads, self._records.stages[number].chunks, self.weights[number] // WORTH))

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
