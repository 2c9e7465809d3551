"""Index maps: where each instance of a template reads or writes in a flat buffer.

An instance i = (i₀, i₁, …) of an index space reads position `offset + Σ strides[a]·i[a] + gather[i]`, where `gather` is
a table of integers that may be absent, and has length 1 along axes that it does not depend on. Slices, broadcasting,
transposition, reshaping and gathers of arrays all become new maps, found once, symbolically where they are affine and
in the tables otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Map:
    """Positions of the instances of a space in a flat buffer; `gather` is the number of a table in `Tables`."""

    offset: int
    strides: tuple[int, ...]
    gather: int | None = None


@dataclass(frozen=True)
class Axis:
    """Where along one old axis each instance of a new space reads: affine in the new axes, plus a table."""

    offset: int
    strides: tuple[int, ...]
    gather: Integers | None = None


View = tuple[Axis, ...]  # one entry per axis of the old space


class Tables:
    """Integer tables, each kept once."""

    def __init__(self) -> None:
        self.arrays: list[Integers] = []
        self._known: dict[tuple[Shape, int], list[int]] = {}

    def __getitem__(self, number: int) -> Integers:
        return self.arrays[number]

    def number(self, array: Integers) -> int:
        array = np.ascontiguousarray(array, dtype=np.int64)
        key = (array.shape, hash(array.tobytes()))
        for known in self._known.setdefault(key, []):
            if np.array_equal(self.arrays[known], array):
                return known
        array.flags.writeable = False
        self.arrays.append(array)
        self._known[key].append(len(self.arrays) - 1)
        return len(self.arrays) - 1

    def map(self, offset: int, strides: Sequence[int], table: Integers | None) -> Map:
        """The map of an offset, strides and a table, whose affine part goes into offset and strides."""
        if table is None:
            return Map(int(offset), tuple(map(int, strides)))
        start, slopes, rest = affine_part(table)
        strides = [int(stride) + slope for stride, slope in zip(strides, slopes, strict=True)]
        return Map(int(offset) + start, tuple(strides), None if rest is None else self.number(rest))

    def compose(self, inner: Map, view: View, rank: int) -> Map:
        """The map of a view: `inner` is a map of the old space, `view` says where new instances are in it."""
        offset, strides = inner.offset, [0] * rank
        table: Integers | None = None
        for stride, axis in zip(inner.strides, view, strict=True):
            if not stride:
                continue
            offset += stride * axis.offset
            strides = [total + stride * slope for total, slope in zip(strides, axis.strides, strict=True)]
            if axis.gather is not None:
                table = sum_of(table, stride * axis.gather)
        if inner.gather is not None:
            old = self.arrays[inner.gather]
            places = [coordinates(axis, self_length, rank) for axis, self_length in zip(view, old.shape, strict=True)]
            table = sum_of(table, old[tuple(places)].reshape((1,) * rank) if not rank else old[tuple(places)])
        return self.map(offset, strides, table)

    def positions(self, where: Map, space: Shape) -> Integers:
        """The position of every instance, as an array of the space's shape."""
        result: Integers = np.full((1,) * len(space), where.offset, dtype=np.int64)
        for axis, (stride, length) in enumerate(zip(where.strides, space, strict=True)):
            if stride:
                result = result + along(np.arange(length, dtype=np.int64) * stride, axis, len(space))
        if where.gather is not None:
            result = result + self.arrays[where.gather]
        return np.broadcast_to(result, space)

    def flipped(self, where: Map, length: int) -> Map:
        """The map with its first axis, of that length, run through backwards."""
        strides = (-where.strides[0], *where.strides[1:])
        offset = where.offset + where.strides[0] * (length - 1)
        if where.gather is None or len(self.arrays[where.gather]) == 1:
            return Map(offset, strides, where.gather)
        return self.map(offset, strides, self.arrays[where.gather][::-1])


def sum_of(first: Integers | None, second: Integers) -> Integers:
    return second if first is None else first + second


def along(values: Integers, axis: int, rank: int) -> Integers:
    """A vector as an array of some rank that depends on one axis."""
    shape = [1] * rank
    shape[axis] = len(values)
    return values.reshape(shape)


def coordinates(axis: Axis, length: int, rank: int) -> Any:
    """Indices along an old axis as an array over the new space; an axis of length 1 does not depend on it."""
    if length == 1:
        return np.zeros((1,) * rank, dtype=np.int64)
    result = np.full((1,) * rank, axis.offset, dtype=np.int64)
    for number, stride in enumerate(axis.strides):
        if stride:
            if not isinstance(stride, Slope):
                raise AssertionError("an affine axis over a table needs to know how long the new axis is")
            result = result + along(np.arange(stride.length, dtype=np.int64) * int(stride), number, rank)
    return result if axis.gather is None else result + axis.gather


class Slope(int):
    """A stride along a new axis, together with how long that axis is."""

    length: int

    def __new__(cls, value: int, length: int) -> Slope:
        made = super().__new__(cls, value)
        made.length = length
        return made


def affine_part(table: Integers) -> tuple[int, list[int], Integers | None]:
    """A table as start + Σ slope·i + a rest that depends on fewer axes; None where nothing is left."""
    if not table.size:
        return 0, [0] * table.ndim, None
    slopes = [0] * table.ndim
    for axis in range(table.ndim):
        if table.shape[axis] == 1:
            continue
        first = table.take([0], axis)
        step = table.take([1], axis) - first
        slope = int(step.flat[0])
        line = along(np.arange(table.shape[axis], dtype=np.int64) * slope, axis, table.ndim)
        if step.size > 1 and not (step == slope).all():
            continue
        if (table - line == first).all():
            slopes[axis] = slope
            table = first
    if table.size == 1:
        return int(table.flat[0]), slopes, None
    return 0, slopes, table


def contiguous(shape: Shape) -> tuple[int, ...]:
    """Strides of an array in C order, in elements; 0 along axes of length 1."""
    strides, step = [], 1
    for length in reversed(shape):
        strides.append(step if length != 1 else 0)
        step *= length
    return tuple(reversed(strides))


def full_strides(shape: Shape) -> tuple[int, ...]:
    """Strides in C order, also along axes of length 1."""
    strides, step = [], 1
    for length in reversed(shape):
        strides.append(step)
        step *= length
    return tuple(reversed(strides))


def identity(shape: Shape) -> Map:
    return Map(0, contiguous(shape))


def covers(where: Map, space: Shape, size: int) -> bool:
    """Whether a map goes through a whole buffer of that size in C order, each element once."""
    return where.gather is None and where.offset == 0 and prod(space) == size and where.strides == contiguous(space)


# --- views ------------------------------------------------------------------------------------------------------------
def unit(new_axis: int | None, length: int, rank: int, offset: int = 0, step: int = 1) -> Axis:
    """An old axis that follows a new one: offset + step·i; without a new axis it is fixed."""
    strides: list[int] = [0] * rank
    if new_axis is not None:
        strides[new_axis] = Slope(step, length)
    return Axis(offset, tuple(strides))


def broadcast(old: Shape, new: Shape) -> View:
    """The view that spreads an array to a larger shape, as NumPy broadcasts."""
    shift = len(new) - len(old)
    return tuple(
        unit(number + shift if length != 1 else None, new[number + shift], len(new))
        for number, length in enumerate(old)
    )


def spreads(view: View, old: Shape, new: Shape) -> bool:
    """Whether a view only broadcasts, and so leaves each element at the instance it belongs to."""
    plain = broadcast(old, new) if len(new) >= len(old) else None
    return plain is not None and all(
        axis.gather is None and axis.offset == 0 and axis.strides == other.strides
        for axis, other in zip(view, plain, strict=True)
    )


def transposed(old: Shape, axes: Sequence[int]) -> View:
    """The view after a transposition: new axis k is old axis axes[k]."""
    rank = len(old)
    place = {axis: number for number, axis in enumerate(axes)}
    return tuple(unit(place[axis], old[axis], rank) for axis in range(rank))


def unravelled(places: Integers, shape: Shape) -> list[Integers]:
    """Indices along each axis of flat positions in C order.

    np.unravel_index of NumPy 2.4 is wrong beyond element 8192 of an array of two axes.
    """
    indices: list[Integers] = []
    for length in reversed(shape):
        places, index = np.divmod(places, length)
        indices.append(index)
    return indices[::-1]


def gathered(old: Shape, places: Integers) -> View:
    """The view whose instances are at flat positions (C order) of the old space."""
    rank = places.ndim
    indices = unravelled(places, old)
    axes = []
    for index in indices:
        start, slopes, rest = affine_part(np.asarray(index, dtype=np.int64))
        strides = tuple(
            Slope(slope, length) if slope else 0 for slope, length in zip(slopes, places.shape, strict=True)
        )
        axes.append(Axis(start, strides or (0,) * rank, rest))
    return tuple(axes)


def split(old: Shape, new: Shape) -> View | None:
    """The view of a reshape that only splits axes, or adds and removes axes of length 1; None for any other."""
    rank, at = len(new), 0
    axes = []
    for length in old:
        if length == 1:
            axes.append(Axis(0, (0,) * rank))
            continue
        taken, first = 1, at
        while at < rank and taken < length:
            taken *= new[at]
            at += 1
        if taken != length:
            return None
        strides: list[int] = [0] * rank
        step = 1
        for number in range(at - 1, first - 1, -1):
            strides[number] = Slope(step, new[number]) if new[number] != 1 else 0
            step *= new[number]
        axes.append(Axis(0, tuple(strides)))
    return tuple(axes) if all(length == 1 for length in new[at:]) else None


def indexed(old: Shape, index: Any) -> tuple[View, Shape]:
    """The view and shape of `array[index]` for an array of shape `old`; indices are numbers, slices and integer arrays.

    Raises IndexError as NumPy does.
    """
    items = expand_index(old, index if isinstance(index, tuple) else (index,))
    advanced = [np.asarray(item) for item in items if isinstance(item, np.ndarray)]
    joint = np.broadcast_shapes(*(array.shape for array in advanced)) if advanced else ()
    shape, place = result_shape(old, items, joint)
    rank = len(shape)
    axes: list[Axis] = []
    spent = bool(advanced) and place_is_front(items)
    new, axis = len(joint) if spent else 0, 0
    for item in items:
        if item is None:
            new += 1
            continue
        if isinstance(item, np.ndarray):
            table = np.where(item < 0, item + old[axis], item).astype(np.int64)
            if table.size and (table.min() < 0 or table.max() >= old[axis]):
                raise IndexError(
                    f"index {int(item.min())} … {int(item.max())} is out of bounds for an axis of {old[axis]}"
                )
            spread = np.broadcast_to(table, joint) if joint != table.shape and table.ndim != len(joint) else table
            before, after = place, rank - place - len(joint)
            whole = spread.reshape((1,) * before + spread.shape + (1,) * after) if rank else spread.reshape(())
            start, slopes, rest = affine_part(whole)
            strides = tuple(Slope(s, n) if s else 0 for s, n in zip(slopes, shape, strict=True))
            axes.append(Axis(start, strides, rest))
            if not spent:
                new += len(joint)
                spent = True
        else:
            start, step, length = item
            axes.append(unit(new if length is not None else None, length or 1, rank, start, step))
            new += length is not None
        axis += 1
    return tuple(axes), shape


def place_is_front(items: Sequence[Any]) -> bool:
    """Whether the axes of integer arrays come first because other indices stand between them."""
    where = [number for number, item in enumerate(items) if isinstance(item, np.ndarray) or is_fixed(item)]
    return bool(where) and where[-1] - where[0] + 1 != len(where)


def is_fixed(item: Any) -> bool:
    return isinstance(item, tuple) and item[2] is None


def result_shape(old: Shape, items: Sequence[Any], joint: Shape) -> tuple[Shape, int]:
    """The shape of the result, and at which axis those of the integer arrays start."""
    has_arrays = any(isinstance(item, np.ndarray) for item in items)
    front = has_arrays and place_is_front(items)
    shape: list[int] = []
    place = 0 if front else -1
    for item in items:
        if item is None:
            shape.append(1)
        elif isinstance(item, np.ndarray):
            if place < 0:
                place = len(shape)
        elif item[2] is not None:
            shape.append(item[2])
        elif has_arrays and place < 0:
            place = len(shape)
    place = max(place, 0)
    return (*shape[:place], *joint, *shape[place:]), place


def expand_index(old: Shape, index: tuple[Any, ...]) -> list[Any]:
    """One item per old axis, and None per new one: (start, step, length), length None for a number, or an array."""
    flat: list[Any] = []
    for item in index:
        array: Any
        array = (
            item if item is None or item is Ellipsis or isinstance(item, slice | int | np.integer) else np.asarray(item)
        )
        if isinstance(item, bool | np.bool_) or (isinstance(array, np.ndarray) and array.dtype == bool):
            flat.extend(np.nonzero(array))
        else:
            flat.append(array)
    used = sum(1 for item in flat if item is not None and item is not Ellipsis)
    if used > len(old):
        raise IndexError(f"too many indices: an array of shape {old} got {used}")
    if not any(item is Ellipsis for item in flat):
        flat.append(Ellipsis)
    items: list[Any] = []
    axis = 0
    for item in flat:
        if item is Ellipsis:
            for _ in range(len(old) - used):
                items.append((0, 1, old[axis]))
                axis += 1
        elif item is None:
            items.append(None)
        else:
            items.append(expand_item(item, old[axis]))
            axis += 1
    return items


def expand_item(item: Any, length: int) -> Any:
    if isinstance(item, slice):
        start, stop, step = item.indices(length)
        return start, step, len(range(start, stop, step))
    if isinstance(item, np.ndarray) and item.ndim:
        if item.dtype.kind not in "iu":
            if item.size:
                raise IndexError(
                    f"an index must be whole numbers, truth values or a slice, got an array of {item.dtype}"
                )
            item = item.astype(np.int64)
        return item.astype(np.int64)
    number = int(item)
    if not -length <= number < length:
        raise IndexError(f"index {number} is out of bounds for an axis of {length}")
    return number % length, 1, None


def merged(old: Shape, new: Shape, where: Sequence[Map], depth: int) -> View | None:
    """The view of a reshape that joins axes, if every map (behind `depth` axes of a loop) runs through them in C order.

    The axes that are joined are then one: the last of them counts on past its length.
    """
    runs = joined(old, new)
    if runs is None:
        return None
    for one in where:
        if one.gather is not None:
            return None
        for run in runs:
            moving = [axis for axis in run if old[axis] != 1]
            for outer, inner in pairwise(moving):
                if one.strides[depth + outer] != one.strides[depth + inner] * old[inner]:
                    return None
    rank = len(new)
    axes: list[Axis] = [Axis(0, (0,) * rank)] * len(old)
    places = [place for place, length in enumerate(new) if length != 1]
    for place, run in zip(places, runs, strict=True):
        last = [axis for axis in run if old[axis] != 1][-1]
        axes[last] = unit(place, new[place], rank)
    return tuple(axes)


def joined(old: Shape, new: Shape) -> list[list[int]] | None:
    """The old axes that make each new axis longer than 1; None if an old axis would have to be split."""
    runs: list[list[int]] = []
    at = 0
    for length in new:
        if length == 1:
            continue
        run, taken = [], 1
        while at < len(old) and taken < length:
            run.append(at)
            taken *= old[at]
            at += 1
        if taken != length:
            return None
        runs.append(run)
    return runs
