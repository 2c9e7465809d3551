"""Patterns of large sparse matrices, written as what repeats in them: a few numbers instead of two per entry.

Rows repeat with a period: row r + q has as many entries as row r, each moved by an amount of its own that stays the
same. A run is such a period and how often it is repeated; its entries are listed once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from codegen.export.interface import Pattern

Ints = NDArray[Any]

# Rows that may make up a period.
PERIODS = 24


def runs(pattern: Pattern) -> list[int]:
    """The entries, the repetitions and the step of rows of each run, then its rows, its columns, and their steps.

    They come one after the other, behind the number of runs.
    """
    rows, columns = np.array(pattern.rows, np.int64), np.array(pattern.columns, np.int64)
    lines, starts, counts = np.unique(rows, return_index=True, return_counts=True)
    reach = [_reach(lines, starts, counts, columns, period) for period in range(1, PERIODS + 1)]
    found: list[int] = [0]
    at = 0
    while at < len(lines):
        period, times = 1, 1
        for number, following in enumerate(reach, 1):
            more = 1 + (int(following[at]) - at) // number if at < len(following) else 1
            if more > 1 and more * number > times * period:
                period, times = number, more
        first, last = int(starts[at]), int(starts[at + period - 1] + counts[at + period - 1])
        row_step, steps = 0, np.zeros(last - first, np.int64)
        if times > 1:
            row_step = int(lines[at + period] - lines[at])
            steps = columns[starts[at + period] :][: last - first] - columns[first:last]
        found += [last - first, times, row_step]
        found += [*rows[first:last].tolist(), *columns[first:last].tolist(), *steps.tolist()]
        found[0] += 1
        at += period * times
    return found


def _reach(lines: Ints, starts: Ints, counts: Ints, columns: Ints, period: int) -> Ints:
    """For each line, a row with entries, the first from there on that does not go on repeating with a period."""
    number = len(lines) - period
    if number <= 0:
        return np.zeros(0, np.int64)
    # A line comes again a period later if that has as many entries; all lines of a run are as far from those.
    again = counts[:number] == counts[period:]
    apart = lines[period:] - lines[:number]
    other = np.ones(number, dtype=bool)
    other[:-1] = apart[1:] != apart[:-1]
    # How far its entries move, and whether they move as far another period later.
    owner = np.repeat(np.arange(number), counts[:number])
    inside = np.arange(len(owner)) - starts[owner]
    moves = columns[np.minimum(starts[period:][owner] + inside, len(columns) - 1)] - columns[: len(owner)]
    even = np.ones(number, dtype=bool)
    if number > period:
        both = np.arange(starts[number - period]) if number - period < len(starts) else np.arange(0)
        later = np.minimum(starts[owner[both] + period] + inside[both], len(moves) - 1)
        uneven = owner[both][moves[later] != moves[both]]
        even[: number - period] = np.bincount(uneven, minlength=number - period)[: number - period] == 0
    reach: Ints = np.minimum(_first(~again), np.minimum(_first(~even) + period, _first(other) + 1))
    whole: Ints = np.minimum(reach, number)
    return whole


def _first(marked: Ints) -> Ints:
    """The first place from each on that is marked; their number where there is none."""
    places = np.where(marked, np.arange(len(marked)), len(marked))
    first: Ints = np.minimum.accumulate(places[::-1])[::-1]
    return first


def read(words: list[int]) -> tuple[list[int], list[int]]:
    """The rows and columns that runs stand for."""
    rows: list[int] = []
    columns: list[int] = []
    at = 1
    for _ in range(words[0]):
        count, times, row_step = words[at : at + 3]
        own = [words[at + 3 + part * count : at + 3 + (part + 1) * count] for part in range(3)]
        for again in range(times):
            rows += [row + again * row_step for row in own[0]]
            columns += [column + again * step for column, step in zip(own[1], own[2], strict=True)]
        at += 3 + 3 * count
    return rows, columns
