"""Segmented sums: what was kept aside, summed up for each element it goes to, in an order that never changes.

Elements are taken in slices of one vector each. A slice lists, term by term, where each lane's next term is; lanes
with fewer terms read a zero. Segments longer than `LONGEST` are cut, and the sums of the pieces summed in turn: that is
as deep as a logarithm, whatever the lengths are, and rounds like a pairwise sum.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[Any]

# Contributions whose places fit an int32.
MOST = 2**31 - 1
# Slices that rows are sorted in, and the part of all terms that this must save to be worth a scatter.
WINDOW, SORTED = 32, 0.3
# Terms of a segment that one level adds up.
LONGEST = 16


@dataclass(frozen=True, eq=False)
class Level:
    """rows: how many sums. starts: for each slice the first vector of `terms`, and one more; terms: int32 places.

    order: where the sum of each lane goes, if they do not lie in a row. source: what is summed, the contributions (0)
    or the sums of the n-th level that is not final. final: the sums go where they belong; those of other levels are
    pieces, which lie in a row.
    """

    rows: int
    starts: Ints
    terms: Ints
    order: Ints | None = None
    source: int = 0
    final: bool = True


def levels(into: Ints, at: Ints, rows: int, zero: int, width: int, every: bool = True) -> list[Level]:
    """into: the element, below `rows`, that each contribution goes to; at: where it is; zero: where a zero is.

    Contributions to one element are added in the order they are given. every: elements that nothing goes to become
    zero, else they stay as they are. Raises ValueError for more than fit an int32.
    """
    if zero > MOST:
        raise ValueError(f"at most {MOST:,} contributions can be added through indices to one buffer, got {zero:,}")
    order = np.argsort(into, kind="stable")
    at = at[order]
    counts = np.bincount(into, minlength=rows)
    firsts = np.cumsum(counts) - counts
    wanted = np.arange(rows) if every else np.flatnonzero(counts)
    is_long = counts[wanted] > LONGEST
    made = []
    if not is_long.all():
        short = wanted[~is_long]
        where = None if len(short) == rows else short
        made.append(_level(counts[short], at[_runs(firsts[short], counts[short])], zero, width, where))
    if is_long.any():
        long = wanted[is_long]
        made += _cut(long, counts[long], at[_runs(firsts[long], counts[long])], zero, width)
    return made


def _cut(wanted: Ints, counts: Ints, at: Ints, zero: int, width: int) -> list[Level]:
    """The levels of segments that are all longer than `LONGEST`; wanted: the elements that they go to."""
    made: list[Level] = []
    while counts.max() > LONGEST:
        pieces = -(-counts // LONGEST)
        # Pieces of a segment: all of LONGEST terms but the last.
        owner = np.repeat(np.arange(len(counts)), pieces)
        number = np.arange(len(owner)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
        sizes = np.minimum(counts[owner] - LONGEST * number, LONGEST)
        made.append(_level(sizes, at, zero, width, None, len(made), final=False))
        at, zero, counts = np.arange(len(owner)), len(owner), pieces
    made.append(_level(counts, at, zero, width, wanted, len(made)))
    return made


def _runs(firsts: Ints, counts: Ints) -> Ints:
    """The numbers of runs, one after the other."""
    inside = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
    runs: Ints = np.repeat(firsts, counts) + inside
    return runs


def _level(
    counts: Ints, at: Ints, zero: int, width: int, where: Ints | None, source: int = 0, *, final: bool = True
) -> Level:
    """Sums of runs of `counts` terms out of `at`, which go to `where`, or lie in a row."""
    rows = len(counts)
    if where is not None and rows == where[-1] + 1:
        where = None
    order = None
    padding = _padded(counts, width) - len(at)
    if where is not None or padding > SORTED * len(at):
        order = np.lexsort((-counts, np.arange(rows) // (WINDOW * width)))
        if where is None and padding - (_padded(counts[order], width) - len(at)) < SORTED * len(at):
            order = None
    if order is not None:
        # Segments in their new order, and with them their terms.
        at = at[_runs((np.cumsum(counts) - counts)[order], counts[order])]
        counts = counts[order]
        where = order if where is None else where[order]
    slices = -(-rows // width)
    padded = np.zeros(slices * width, np.int64)
    padded[:rows] = counts
    longest = padded.reshape(slices, width).max(axis=1, initial=0) if slices else np.zeros(0, np.int64)
    starts = np.zeros(slices + 1, np.int64)
    np.cumsum(longest, out=starts[1:])
    terms = np.full(int(starts[-1]) * width, zero, np.int32)
    row = np.repeat(np.arange(rows), counts)
    term = np.arange(len(at)) - np.repeat(np.cumsum(counts) - counts, counts)
    terms[(starts[row // width] + term) * width + row % width] = at
    return Level(rows, starts, terms, None if where is None else where.astype(np.int32), source, final)


def _padded(counts: Ints, width: int) -> int:
    """Terms of all slices, those that lanes with fewer read as zeros too."""
    starts = np.arange(0, len(counts), width)
    return width * int(np.maximum.reduceat(counts, starts).sum()) if len(counts) else 0
