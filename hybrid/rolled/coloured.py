"""Sparse derivatives that are no sums over templates: products with several directions at once, read off by colours.

Which variables each element of a buffer depends on follows block by block from the index maps. Where that is sparse
enough, columns without a common row share a direction (see `hybrid.coloured`); the forward or reverse sweep for all
directions is the sweep for one, with an axis more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hybrid.coloured import dependencies
from hybrid.colouring import colours
from hybrid.rolled import maps
from hybrid.rolled.maps import Shape
from hybrid.rolled.model import STORE, Access, Block, Carry, Model, Write
from hybrid.rolled.sparse import Term, dense
from hybrid.sparsity import Pattern, Triangle

Integers = NDArray[np.int64]
MOST_ENTRIES = 4_000_000  # pairs of an element and a variable that are followed in all
MOST_COLOURED = 1_000_000  # entries of a pattern that is coloured
MOST_COLOURS = 128


class DenseError(Exception):
    """Why coloured products do not pay."""


class Rows:
    """Per element of a buffer the variables it depends on: `columns[start[k]:start[k + 1]]`, ascending."""

    def __init__(self, keys: Integers, size: int, columns: int) -> None:
        unique = np.unique(keys)
        rows, self.columns = np.divmod(unique, max(columns, 1))
        self.start = np.zeros(size + 1, dtype=np.int64)
        np.cumsum(np.bincount(rows, minlength=size), out=self.start[1:])

    def keys(self, elements: Integers, places: Integers, count: int) -> Integers:
        """The pairs (place, column) for the columns of each element, as place · count + column."""
        low = self.start[elements]
        lengths = self.start[elements + 1] - low
        ends = np.cumsum(lengths)
        total = int(ends[-1]) if len(ends) else 0
        if total > MOST_ENTRIES:
            raise DenseError("too many pairs of an element and a variable depend on each other")
        inside = np.arange(total) - np.repeat(ends - lengths, lengths)
        columns = self.columns[np.repeat(low, lengths) + inside]
        keys: Integers = np.repeat(places, lengths) * count + columns
        return keys


class Dependence:
    """The variables that buffers depend on; `offsets` says where each argument starts among all `columns`."""

    def __init__(self, model: Model, offsets: Mapping[int, int], columns: int) -> None:
        self.model, self.columns = model, columns
        self.active = model.depending(offsets)
        self.found: dict[int, list[Integers]] = {}
        self.rows: dict[int, Rows] = {}
        self.followed = 0
        for buffer, start in offsets.items():
            own = np.arange(model.buffers[buffer].size)
            self.found[buffer] = [own * columns + start + own]

    def pattern(self, output: int) -> tuple[Integers, Integers]:
        """Rows and columns of what an output depends on. Raises DenseError."""
        for number in self.model.needed([output]):
            block = self.model.blocks[number]
            if not self.active.isdisjoint(self.model.read_by(block)):
                (self.follow_scan if block.carries else self.follow)(block)
        rows = self.of(output)
        return np.repeat(np.arange(len(rows.start) - 1), np.diff(rows.start)), rows.columns

    def of(self, buffer: int) -> Rows:
        if buffer not in self.rows:
            keys = self.found.pop(buffer, [])
            joined = np.concatenate(keys) if keys else np.empty(0, np.int64)
            self.rows[buffer] = Rows(joined, self.model.buffers[buffer].size, self.columns)
        return self.rows[buffer]

    def enter(self, buffer: int, keys: Integers) -> None:
        self.followed += len(keys)
        if self.followed > MOST_ENTRIES:
            raise DenseError("too many pairs of an element and a variable depend on each other")
        self.found.setdefault(buffer, []).append(keys)

    def places(self, access: Access, space: Shape) -> Integers:
        return np.broadcast_to(self.model.tables.positions(access.map, space), space).astype(np.int64)

    def follow(self, block: Block) -> None:
        model = self.model
        reads = [node for node in model.reads(block.nodes) if model.accesses[node].buffer in self.active]
        sources = {node: self.places(model.accesses[node], block.space).reshape(-1) for node in reads}
        for write, needs in zip(block.writes, dependencies(model.graph, block.nodes, reads), strict=True):
            to = self.places(write.to, block.space).reshape(-1)
            for which in sorted(needs):
                rows = self.of(model.accesses[reads[which]].buffer)
                self.enter(write.to.buffer, rows.keys(sources[reads[which]], to, self.columns))

    def follow_scan(self, block: Block) -> None:
        """Step by step: what a carry depends on grows."""
        model, lanes = self.model, block.space[1:]
        reads = [node for node in model.reads(block.roots) if model.accesses[node].buffer in self.active]
        sources = {node: self.places(model.accesses[node], block.space).reshape(block.space[0], -1) for node in reads}
        targets = [self.places(write.to, block.space).reshape(block.space[0], -1) for write in block.writes]
        variables = [carry.variable for carry in block.carries]
        needs = dependencies(model.graph, block.roots, [*reads, *variables])
        lane = np.arange(targets[0].shape[1] if targets else 1)
        state = []
        for carry in block.carries:
            keys = np.empty(0, np.int64)
            if carry.start.buffer in self.active:
                first = self.places(carry.start, (1, *lanes)).reshape(-1)
                keys = self.of(carry.start.buffer).keys(first, lane, self.columns)
            state.append(Rows(keys, len(lane), self.columns))
        for step in range(block.space[0]):
            following = []
            for place, needed in enumerate(needs):
                parts = [np.empty(0, np.int64)]
                for which in sorted(needed):
                    if which < len(reads):
                        rows, elements = self.of(model.accesses[reads[which]].buffer), sources[reads[which]][step]
                    else:
                        rows, elements = state[which - len(reads)], lane
                    parts.append(rows.keys(elements, lane, self.columns))
                found = Rows(np.concatenate(parts), len(lane), self.columns)
                if place < len(block.writes):
                    self.enter(block.writes[place].to.buffer, found.keys(lane, targets[place][step], self.columns))
                else:
                    following.append(found)
            state = following


def dependence(model: Model, output: int, offsets: Mapping[int, int], columns: int, rows: int) -> Pattern:
    """Which elements of an output depend on which variables. Raises DenseError."""
    return Pattern((rows, columns), *Dependence(model, offsets, columns).pattern(output))


def worth_it(pattern: Pattern) -> None:
    """Raises DenseError for a pattern that is not worth colouring."""
    if pattern.nnz > MOST_COLOURED or 2 * pattern.nnz > pattern.shape[0] * pattern.shape[1]:
        raise DenseError(f"{pattern.nnz:,} of {pattern.shape[0]:,} × {pattern.shape[1]:,} entries can be non-zero")


def few_enough(count: int, columns: int) -> None:
    if count > MOST_COLOURS or 2 * count > columns:
        raise DenseError(f"{count:,} products with vectors would be needed for {columns:,} columns")


def directions(model: Model, colour: NDArray[np.intp], seeds: Mapping[int, int]) -> dict[int, int]:
    """Data for all directions at once in the place of each seed: ones where an element has the colour.

    seeds: buffers, and where the elements of each start among all that have a colour.
    """
    found = {}
    count = colours(colour)
    for buffer, start in seeds.items():
        size = model.buffers[buffer].size
        ones = np.zeros((count, size))
        ones[colour[start : start + size], np.arange(size)] = 1.0
        found[buffer] = model.data(ones.reshape(count, *model.buffers[buffer].shape)).number
    return found


def for_all(model: Model, output: int, given: Mapping[int, int], count: int) -> int:
    """What an output is for each of `count` values of some buffers; `given` has these, along a first axis.

    Blocks that depend on the buffers get an axis more: the first, or in a recurrence the one after the steps.
    """
    active = model.depending(given)
    held = dict(given)

    def access(old: Access, axis: int) -> Access:
        where, stride = old.map, 0
        buffer = old.buffer
        if buffer in active:
            if buffer not in held:
                held[buffer] = model.buffer((count, *model.buffers[buffer].shape)).number
            stride, buffer = model.buffers[buffer].size if count > 1 else 0, held[buffer]
        strides = (*where.strides[:axis], stride, *where.strides[axis:])
        table = None if where.gather is None else np.expand_dims(model.tables[where.gather], axis)
        return Access(buffer, model.tables.map(where.offset, strides, table))

    for number in model.needed([output]):
        block = model.blocks[number]
        if active.isdisjoint(write.to.buffer for write in block.writes):
            continue
        axis = 1 if block.carries else 0
        mapping = {}
        for node in model.reads(block.roots):
            moved = access(model.accesses[node], axis)
            mapping[node] = model.read(moved.buffer, moved.map)
        roots = model.graph.substitute(block.roots, mapping) if mapping else list(block.roots)
        split = len(block.nodes)
        carries = tuple(
            Carry(carry.variable, access(carry.start, axis), following)
            for carry, following in zip(block.carries, roots[split:], strict=True)
        )
        writes = tuple(replace(write, to=access(write.to, axis)) for write in block.writes)
        space = (*block.space[:axis], count, *block.space[axis:])
        model.add(Block(space, tuple(roots[:split]), writes, carries))
    return held[output]


def picked(model: Model, products: int, places: Integers) -> int:
    """A buffer of some elements of another, by their positions."""
    values = model.buffer((len(places),))
    node = model.read(products, model.tables.map(0, (0,), places))
    model.add(Block((len(places),), (node,), (Write(Access(values.number, maps.identity(values.shape)), STORE),)))
    return values.number


def spread(model: Model, products: int, places: Integers, pattern: Pattern) -> int:
    """A buffer of the whole matrix, in C order, from the positions of its entries in another."""
    node = model.read(products, model.tables.map(0, (0,), places))
    return dense(model, [Term((len(places),), node, pattern.rows, pattern.columns)], pattern.shape)


def hessian_places(pattern: Pattern, colour: NDArray[np.intp], triangle: Triangle) -> tuple[Pattern, Integers]:
    """The pattern of a Hessian or its triangle, and where each entry is in the products, one row for each colour.

    Entry (i, j) is element i of the product for j's colour, unless another entry of row i has it too; then (j, i) is.
    """
    size = pattern.shape[0]
    both = np.unique(
        np.concatenate([pattern.rows * size + pattern.columns, pattern.columns * size + pattern.rows]).astype(np.int64)
    )
    rows, columns = np.divmod(both, max(size, 1))
    met = np.bincount(rows * colours(colour) + colour[columns])
    if triangle == "lower":
        rows, columns = rows[columns <= rows], columns[columns <= rows]
    crowded = met[rows * colours(colour) + colour[columns]] > 1
    element, other = np.where(crowded, columns, rows), np.where(crowded, rows, columns)
    return Pattern((size, size), rows, columns, triangle), colour[other] * size + element
