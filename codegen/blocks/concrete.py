"""Blocks with the sizes and indices of one binding put in: places as integers, their bounds checked.

An index that turns out to rise evenly along every axis is no index: its place becomes affine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codegen.blocks.form import REDUCTIONS, Affine, Block, Blocks, Counter, Place
from codegen.program import Program

Ints = NDArray[Any]


@dataclass(frozen=True)
class Where:
    """A place in integers: offset + strides·(axes) [+ scale·index[index_offset + index_strides·(axes)]]."""

    buffer: str
    offset: int
    strides: tuple[int, ...]
    index: str | None = None
    index_offset: int = 0
    index_strides: tuple[int, ...] = ()
    scale: int = 1

    def varies(self, axis: int) -> bool:
        return self.strides[axis] != 0 or (self.index is not None and self.index_strides[axis] != 0)


@dataclass(frozen=True)
class Target:
    """A write in integers. `reduced`: the axes it is reduced over; `kind` is "store" or "add", after `reduction`."""

    result: int
    kind: str
    where: Where
    reduction: str | None = None
    reduced: tuple[int, ...] = ()


@dataclass(frozen=True)
class Concrete:
    """A block in integers; a read of the loop indices has no buffer."""

    name: str
    lengths: tuple[int, ...]
    body: Program
    reads: tuple[Where, ...]
    writes: tuple[Target, ...]
    carries: tuple[Where, ...]
    scan: int | None
    reverse: bool


def concrete(blocks: Blocks, sizes: Mapping[str, int], indices: Mapping[str, Ints]) -> list[Concrete]:
    """Every block in integers.

    Raises IndexError for a place outside its buffer, ValueError for a store that meets itself through an index.
    """
    made = []
    for block in blocks.blocks:
        try:
            made.append(_Binding(blocks, sizes, indices).block(block))
        except (IndexError, ValueError) as error:
            raise type(error)(f"{blocks.name}, block {block.name}: {error}") from None
    return made


@dataclass(frozen=True)
class _Binding:
    blocks: Blocks
    sizes: Mapping[str, int]
    indices: Mapping[str, Ints]

    def block(self, block: Block) -> Concrete:
        lengths = tuple(axis.value(self.sizes) for axis in block.axes)
        if lengths and min(lengths) < 0:
            raise ValueError(f"an axis has length {min(lengths)} for sizes {dict(self.sizes)}")
        reads = tuple(self.read(read, lengths) for read in block.reads)
        first = tuple(1 if axis == block.scan else length for axis, length in enumerate(lengths))
        carries = tuple(self.place(start, first) for start in block.carries)
        writes = []
        for result, write in enumerate(block.writes):
            space = tuple(1 if axis in write.axes else length for axis, length in enumerate(lengths))
            where = self.place(write.place, space)
            reduction = write.kind if write.kind in REDUCTIONS else None
            reduced = write.axes
            if write.kind == "add" and block.scan is None:
                reduced = tuple(axis for axis, n in enumerate(lengths) if n != 1 and not where.varies(axis))
                reduction = "sum" if reduced else None
            if write.kind == "store":
                self.check_store(where, lengths)
            writes.append(Target(result, "add" if write.kind == "add" else "store", where, reduction, reduced))
        return Concrete(block.name, lengths, block.body, reads, tuple(writes), carries, block.scan, block.reverse)

    def read(self, read: Place | Counter, lengths: tuple[int, ...]) -> Where:
        if isinstance(read, Counter):
            return Where("", *self.numbers(read.at))
        return self.place(read, lengths)

    def numbers(self, at: Affine) -> tuple[int, tuple[int, ...]]:
        return at.offset.value(self.sizes), tuple(stride.value(self.sizes) for stride in at.strides)

    def place(self, place: Place, lengths: tuple[int, ...]) -> Where:
        offset, strides = self.numbers(place.at)
        where = Where(place.buffer, offset, strides)
        if place.index is not None and place.index_at is not None:
            start, steps = self.numbers(place.index_at)
            where = replace(where, index=place.index, index_offset=start, index_strides=steps)
            where = replace(where, scale=place.scale.value(self.sizes))
            if 0 not in lengths:
                low, high = span(start, steps, lengths)
                self.inside(f"{place}: the index", low, high, len(self.indices[place.index]))
                where = straightened(where, lengths, self.indices)
        if 0 not in lengths:
            low, high = span(where.offset, where.strides, lengths)
            if where.index is not None:
                values = self.indices[where.index][offsets(where.index_offset, where.index_strides, lengths)]
                ends = sorted((int(values.min()) * where.scale, int(values.max()) * where.scale))
                low, high = low + ends[0], high + ends[1]
            self.inside(str(place), low, high, self.blocks.buffer(place.buffer).length.value(self.sizes))
        return where

    @staticmethod
    def inside(what: str, low: int, high: int, length: int) -> None:
        if low < 0 or high >= length:
            raise IndexError(f"{what} reaches from element {low} to {high}, outside [0, {length})")

    def check_store(self, where: Where, lengths: tuple[int, ...]) -> None:
        """That no two instances store in one place."""
        if 0 in lengths or prod(lengths) == 1:
            return
        if where.index is None and apart(1, list(zip(where.strides, lengths, strict=True))):
            return
        every = np.broadcast_to(positions(where, lengths, self.indices), lengths).ravel()
        if len(np.unique(every)) != len(every):
            raise ValueError(f"instances store in the same element of {where.buffer}; a sum of them is an `add`")


def span(offset: int, strides: tuple[int, ...], lengths: tuple[int, ...]) -> tuple[int, int]:
    """The smallest and largest value of offset + strides·(axes)."""
    ends = [stride * (length - 1) for stride, length in zip(strides, lengths, strict=True)]
    return offset + sum(min(end, 0) for end in ends), offset + sum(max(end, 0) for end in ends)


def apart(width: int, axes: list[tuple[int, int]]) -> bool:
    """Whether runs of `width` elements, repeated along axes of (stride, length), are sure not to meet."""
    for stride, length in sorted((abs(stride), length) for stride, length in axes):
        if length > 1 and stride < width:
            return False
        width += stride * (max(length, 1) - 1)
    return True


def offsets(offset: int, strides: tuple[int, ...], lengths: tuple[int, ...]) -> Ints:
    """offset + strides·(axes) as an array with an axis for each, of length 1 where nothing depends on it."""
    total: Ints = np.full((1,) * len(lengths), offset, np.int64)
    for axis, (stride, length) in enumerate(zip(strides, lengths, strict=True)):
        if stride:
            along = [length if other == axis else 1 for other in range(len(lengths))]
            total = total + stride * np.arange(length).reshape(along)
    return total


def positions(where: Where, lengths: tuple[int, ...], indices: Mapping[str, Ints]) -> Ints:
    """The element for each instance, in the shape `offsets` has."""
    at = offsets(where.offset, where.strides, lengths)
    if where.index is None:
        return at
    index = indices[where.index][offsets(where.index_offset, where.index_strides, lengths)]
    total: Ints = at + where.scale * index.astype(np.int64)
    return total


def straightened(where: Where, lengths: tuple[int, ...], indices: Mapping[str, Ints]) -> Where:
    """The same place without its index, if that rises evenly along every axis."""
    if where.index is None:
        return where
    at = offsets(where.index_offset, where.index_strides, lengths)
    index = indices[where.index]
    # Most indices that are none of this show it in their first elements.
    for axis, length in enumerate(at.shape):
        if length > 2:
            a, b, c = index[np.moveaxis(at, axis, 0).reshape(length, -1)[:3, 0]]
            if int(b) - int(a) != int(c) - int(b):
                return where
    values = index[at].astype(np.int64)
    strides = list(where.strides)
    for axis, length in enumerate(values.shape):
        if length > 1:
            steps = np.diff(values, axis=axis)
            step = int(steps.flat[0])
            if (steps != step).any():
                return where
            strides[axis] += where.scale * step
    return Where(where.buffer, where.offset + where.scale * int(values.flat[0]), tuple(strides))
