"""A graph as arrays of integers: what passes over very many nodes work on, as native code.

Node `n` has the operation of code `ops[n]` and the arguments `flat[start[n]:start[n + 1]]`. A hash table finds equal
nodes. Variables have no arguments; neither have constants, but for whole numbers, whose only "argument" is their value,
so that routines can make them and compute with them exactly.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

import numpy as np

from codegen.routine import Ints, Library, Record
from hybrid import operations
from hybrid.operations import Operation

# Codes that routines know; every other operation gets the next one when it is first seen.
VARIABLE, CONSTANT, ADD, MUL, NEG = range(5)
BY_CODE: list[Operation] = [
    operations.VARIABLE, operations.CONSTANT, operations.add, operations.mul, operations.neg
]  # fmt: skip
CODES: dict[Operation, int] = {op: code for code, op in enumerate(BY_CODE)}
SMALL = 1 << 31  # whole numbers below this are kept by value: a product of two cannot overflow
WORD, LOW = 0xFFFFFFFF, 0x7FFFFFFF
FACTOR = 0x9E3779B1  # 2³²/golden ratio, rounded to an odd number [Knuth, TAOCP 3, 6.4]


class Store(Record):
    ops: Ints
    start: Ints
    flat: Ints
    table: Ints  # (node + 1) << 32 | hash, or 0; the first eight places tried lie in one line of the cache
    mask: int  # slots of the table, less one
    size: int
    room: int  # nodes that fit
    flat_room: int

    def __init__(self) -> None:
        self.ops = np.empty(0, np.int64)
        self.start = np.zeros(1, np.int64)
        self.flat = np.empty(0, np.int64)
        self.table = np.zeros(8, np.int64)
        self.mask, self.size, self.room, self.flat_room = 7, 0, 0, 0

    def reserve(self, nodes: int, arguments: int) -> None:
        """Make room for so many more nodes with so many more arguments in all.

        Arrays are made much longer than needed: memory that is not written to costs nothing. The table is scattered
        over all of its slots, and so is no larger than it must be.
        """
        if self.size + nodes > self.room:
            self.room = self.size + max(8 * nodes, self.size)
            self.ops = enlarged(self.ops, self.size, self.room)
            self.start = enlarged(self.start, self.size + 1, self.room + 1)
        used = int(self.start[self.size])
        if used + arguments > self.flat_room:
            self.flat_room = used + max(8 * arguments, used)
            self.flat = enlarged(self.flat, used, self.flat_room)
        if 2 * (self.size + nodes) > self.mask:
            slots = max(16, 1 << (2 * (self.size + nodes)).bit_length())
            self.table = np.zeros(slots, np.int64)
            self.mask = slots - 1
            LIBRARY(enter, self, 0)

    def append(self, codes: Ints, counts: Ints, arguments: Ints) -> None:
        """Nodes that are known to be new."""
        self.reserve(len(codes), len(arguments))
        first, used = self.size, int(self.start[self.size])
        self.size += len(codes)
        self.ops[first : self.size] = codes
        np.cumsum(counts, out=self.start[first + 1 : self.size + 1])
        self.start[first + 1 : self.size + 1] += used
        self.flat[used : used + len(arguments)] = arguments
        LIBRARY(enter, self, first)

    def extend(self, ops: Sequence[Operation], args: Sequence[tuple[int, ...]], leaves: dict[int, Any]) -> None:
        """The nodes that these lists have and this has not."""
        first, last = self.size, len(ops)
        if first == last:
            return
        new = ops[first:] if first else ops
        for op in set(new):
            code_of(op)
        codes = np.fromiter(map(CODES.__getitem__, new), np.int64, last - first)
        groups: Iterable[tuple[int, ...]] = args[first:] if first else args
        constants = np.flatnonzero(codes == CONSTANT).tolist()
        if constants:
            groups = list(groups)
            for position in constants:
                groups[position] = payload(leaves[first + position])
        counts = np.fromiter(map(len, groups), np.int64, last - first)
        self.append(codes, counts, np.fromiter(chain.from_iterable(groups), np.int64, int(counts.sum())))

    def lists(self, first: int) -> tuple[list[Operation], list[tuple[int, ...]]]:
        """The operations and arguments of the nodes from `first` on."""
        codes = self.ops[first : self.size]
        bounds = self.start[first : self.size + 1]
        flat = self.flat[bounds[0] : bounds[-1]].tolist()
        ends = (bounds[1:] - bounds[0]).tolist()
        begins = (bounds[:-1] - bounds[0]).tolist()
        args = [tuple(flat[begin:end]) for begin, end in zip(begins, ends, strict=True)]
        for position in np.flatnonzero(codes == CONSTANT).tolist():
            args[position] = ()
        return list(map(BY_CODE.__getitem__, codes.tolist())), args

    def reach(self, roots: Ints) -> Ints:
        """All nodes the roots need, in evaluation order."""
        found = np.zeros(int(roots.max()) + 1 if len(roots) else 0, np.int64)
        stack = np.empty(len(found) + len(roots), np.int64)
        LIBRARY(mark, self, np.ascontiguousarray(roots), len(roots), found, stack)
        return np.flatnonzero(found)


def enlarged(array: Ints, used: int, size: int) -> Ints:
    new = np.empty(size, np.int64)
    new[:used] = array[:used]
    return new


def code_of(op: Operation) -> int:
    code = CODES.get(op)
    if code is None:
        code = CODES[op] = len(BY_CODE)
        BY_CODE.append(op)
    return code


def payload(value: Any) -> tuple[int, ...]:
    """The value of a whole number that routines may compute with."""
    return (value,) if type(value) is int and abs(value) < SMALL else ()


# --- routines ---------------------------------------------------------------------------------------------------------
def hash_of(g: Store, op: int, first: int, last: int) -> int:
    """The sum of the arguments, above 32 bits of hash of all there is."""
    h = op * FACTOR & WORD
    base = 0
    flat = g.flat
    for i in range(first, last):
        arg = flat[i] & WORD
        base += arg
        h = (h ^ arg) * FACTOR & WORD
        h = h ^ h >> 15
    return (base & LOW) << 32 | h


def line_of(g: Store, key: int) -> int:
    """Where a node is looked for first: nodes that are made one after the other lie in memory as near as that."""
    return ((key >> 32) * 8 ^ (key & 15) << 3) & g.mask & -8


def intern(g: Store, op: int, count: int) -> int:
    """The node of `op` on the `count` arguments that stand after the last used ones in `flat`, made if it is new."""
    flat = g.flat
    start = g.start
    table = g.table
    mask = g.mask
    size = g.size
    end = start[size]
    key = hash_of(g, op, end, end + count)
    h = key & WORD
    place = line_of(g, key)
    probes = 0
    entry = table[place]
    while entry != 0:
        if entry & WORD == h:
            node = (entry >> 32) - 1
            first = start[node]
            if g.ops[node] == op and start[node + 1] - first == count:
                i = 0
                while i < count and flat[first + i] == flat[end + i]:
                    i += 1
                if i == count:
                    return node
        place = (place + 1) & mask
        probes += 1
        if probes == 8:
            place = h & mask
        entry = table[place]
    table[place] = (size + 1) << 32 | h
    g.ops[size] = op
    start[size + 1] = end + count
    g.size = size + 1
    return size


def enter(g: Store, first: int) -> int:
    """Put the nodes from `first` on, which are known to differ, into the table."""
    start = g.start
    ops = g.ops
    table = g.table
    mask = g.mask
    for node in range(first, g.size):
        if start[node + 1] > start[node] or ops[node] > CONSTANT:
            key = hash_of(g, ops[node], start[node], start[node + 1])
            place = line_of(g, key)
            probes = 0
            while table[place] != 0:
                place = (place + 1) & mask
                probes += 1
                if probes == 8:
                    place = key & mask
            table[place] = (node + 1) << 32 | key & WORD
    return 0


def mark(g: Store, roots: Ints, count: int, found: Ints, stack: Ints) -> int:
    """Set `found` for all nodes that the roots need."""
    top = 0
    for i in range(count):
        if found[roots[i]] == 0:
            found[roots[i]] = 1
            stack[top] = roots[i]
            top += 1
    while top > 0:
        top -= 1
        node = stack[top]
        if g.ops[node] > CONSTANT:
            for i in range(g.start[node], g.start[node + 1]):
                arg = g.flat[i]
                if found[arg] == 0:
                    found[arg] = 1
                    stack[top] = arg
                    top += 1
    return top


def add_rows(g: Store, op: int, count: int, columns: Ints, rows: int, result: Ints) -> int:
    """One node of `op` per row; `columns` holds the arguments of all rows, one column after the other."""
    for row in range(rows):
        end = g.start[g.size]
        for i in range(count):
            g.flat[end + i] = columns[i * rows + row]
        result[row] = intern(g, op, count)
    return 0


LIBRARY = Library([hash_of, line_of, intern, enter, mark, add_rows])
