"""Nodes that nothing needs yet, through which others would be cheaper: t = (a ∘ b) ∘ c, found by value.

Resubstitution computes a node from two that are there. Here one of the two is made: what t would have to be computed
from beside c, for all t and c, is looked up among the products, quotients, sums and differences of all pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hybrid import operations as ops
from hybrid.operations import Operation

NEAR = 1e-9  # relative agreement between the two points compared
MOST = 500  # bridges of one inner operation whose values at all points are looked at
FEWEST, MOST_BITS = 10, 24  # of the number of buckets that slopes are told apart by
IGNORED = 26  # bits: values that differ by NEAR twice have the same leading ones, or neighbouring ones

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Bridge:
    """target = (first `inner` second) `outer` third, or with `swapped` third `outer` (first `inner` second); rows."""

    target: int
    inner: Operation
    first: int
    second: int
    outer: Operation
    third: int
    swapped: bool


def bridges(values: Values, targets: Sequence[int]) -> list[Bridge]:
    """Of the nodes with these values at two points, a row each, the bridges to targets, up to a scale of products."""
    with np.errstate(all="ignore"):
        slope = values[:, 1] / values[:, 0]
        of = np.array(targets)
        wanted, kinds = needed(values, slope, of)
        order = np.argsort(wanted, axis=None)
        listed = wanted.ravel()[order]
        order, listed = order[np.isfinite(listed)], listed[np.isfinite(listed)]
        around = np.stack([listed * (1 - NEAR), listed * (1 + NEAR)])
        known = np.sort(slope)
        found: list[Bridge] = []
        for inner, table in pairs(values, slope):
            sought = table.ravel()
            rows, columns = np.divmod(close := close_to(around, sought), len(values))
            sought = sought[close]
            usable = np.isfinite(sought) & (rows != columns if inner is ops.div else rows <= columns)
            usable &= ~near(known, sought)  # is there already, or a multiple of it
            rows, columns, sought = rows[usable], columns[usable], sought[usable]
            ends = np.sort([sought * (1 - NEAR), sought * (1 + NEAR)], axis=0)
            pair, position = spans(np.searchsorted(listed, ends[0]), np.searchsorted(listed, ends[1], "right"))
            kind, row, third = np.unravel_index(order[position], wanted.shape)
            target, first, second = of[row], rows[pair], columns[pair]
            apart = np.flatnonzero((target != third) & (target != first) & (target != second))[:MOST]
            for k, t, i, j, c in np.stack([kind, target, first, second, third])[:, apart].T.tolist():
                found.append(Bridge(t, inner, i, j, kinds[k][0], c, kinds[k][1]))
    return found


def needed(
    values: Values, slope: Values, targets: NDArray[np.intp]
) -> tuple[Values, tuple[tuple[Operation, bool], ...]]:
    """By way, target and third node: the slope of what the target would be computed from; and the ways."""
    of_target = slope[targets][:, None]
    total, third = values[targets][:, None, :], values[None, :, :]
    ways = ((ops.mul, False), (ops.div, False), (ops.div, True), (ops.add, False), (ops.sub, False), (ops.sub, True))
    rest = [total - third, total + third, third - total]
    found = [of_target / slope, of_target * slope, slope / of_target, *(r[..., 1] / r[..., 0] for r in rest)]
    return np.stack(found), ways


def pairs(values: Values, slope: Values) -> list[tuple[Operation, Values]]:
    first, second = values[:, 0], values[:, 1]
    return [
        (ops.mul, np.multiply.outer(slope, slope)),
        (ops.div, np.divide.outer(slope, slope)),
        (ops.add, np.add.outer(second, second) / np.add.outer(first, first)),
        (ops.sub, np.subtract.outer(second, second) / np.subtract.outer(first, first)),
    ]


def near(listed: Values, sought: Values) -> NDArray[np.bool_]:
    """Whether a sorted list has a number close to each that is sought."""
    place = np.searchsorted(listed, sought)
    below, above = listed[np.maximum(place - 1, 0)], listed[np.minimum(place, len(listed) - 1)]
    found: NDArray[np.bool_] = np.minimum(np.abs(sought - below), np.abs(sought - above)) <= NEAR * np.abs(sought)
    return found


def close_to(ends: Values, slopes: Values) -> NDArray[np.intp]:
    """The places of slopes that may lie between two ends, columns of `ends`: by their leading bits, so as not to sort
    all of them."""
    buckets = 1 << min(max((16 * (ends.size + slopes.size)).bit_length(), FEWEST), MOST_BITS)
    marked = np.zeros(buckets, np.bool_)
    marked[bucket(ends, buckets)] = True
    return np.flatnonzero(marked[bucket(slopes, buckets)])


def bucket(values: Values, buckets: int) -> NDArray[np.int64]:
    """A number that few values share but those with the same leading bits, which tell less apart than NEAR does."""
    return (values.view(np.int64) >> IGNORED) & (buckets - 1)


def spans(low: NDArray[np.intp], high: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The numbers from low[k] to high[k], for all k one after the other, and of each its k."""
    counts = high - low
    which = np.repeat(np.arange(len(counts)), counts)
    return which, np.arange(len(which)) + np.repeat(low - np.cumsum(counts) + counts, counts)
