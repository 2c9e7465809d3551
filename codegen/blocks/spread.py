"""Buffers that instances add to through indices: which elements one contribution alone reaches.

The entries of a sparse matrix mostly get one contribution each. Such are stored where they belong at once; only where
several meet are they kept aside and summed up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codegen.blocks.concrete import Concrete, Target, Where, positions

Ints = NDArray[Any]

# The part of a write's instances that must be alone at their element for all to be stored there at once: of the others
# any stands there until their sum does.
MOSTLY = 0.5
# Contributions up to which this is looked at without any index too.
FEW = 4096


@dataclass(frozen=True, eq=False)
class Spread:
    """All that adds to one buffer. counts: contributions to each element. shares: of each write, by its place and the
    lengths of its space, the part of its instances that are alone at their element."""

    counts: Ints
    shares: Mapping[tuple[Where, tuple[int, ...]], float]

    @property
    def whole(self) -> bool:
        """Whether every element gets something."""
        return bool((self.counts > 0).all())

    def share(self, block: Concrete, write: Target) -> float:
        return self.shares[write.where, space(block, write)]

    def at_once(self, block: Concrete, write: Target) -> bool:
        return self.share(block, write) >= MOSTLY

    def aside(self, block: Concrete, write: Target) -> bool:
        return self.share(block, write) < 1


def space(block: Concrete, write: Target) -> tuple[int, ...]:
    """The lengths of the axes that a write keeps."""
    return tuple(1 if axis in write.reduced else n for axis, n in enumerate(block.lengths))


def spreads(
    blocks: Sequence[Concrete], lengths: Mapping[str, int], zeroed: frozenset[str], indices: Mapping[str, Ints]
) -> dict[str, Spread]:
    """The buffers, of those in `zeroed`, that get most of what they get through indices, some of it alone.

    Small ones too that get nothing through indices, but all of it alone.
    """
    read: dict[str, int] = {}
    written: dict[str, list[tuple[int, Concrete, Target]]] = {}
    for number, block in enumerate(blocks):
        for where in (*block.reads, *block.carries):
            read.setdefault(where.buffer, number)
        for write in block.writes:
            written.setdefault(write.where.buffer, []).append((number, block, write))
    found = {}
    for name in sorted(zeroed):
        writes = written.get(name, [])
        gathered = any(write.where.index is not None for _, _, write in writes)
        if not gathered and sum(prod(space(block, write)) for _, block, write in writes) > FEW:
            continue
        if any(write.kind != "add" or read.get(name, len(blocks)) < number for number, _, write in writes):
            continue
        made = _spread([(block, write) for _, block, write in writes], lengths[name], indices)
        if made is not None and (gathered or min(made.shares.values()) == 1):
            found[name] = made
    return found


def _spread(writes: Sequence[tuple[Concrete, Target]], length: int, indices: Mapping[str, Ints]) -> Spread | None:
    counts = np.zeros(length, np.int64)
    places = {}
    for block, write in writes:
        lengths = space(block, write)
        at = np.zeros(0, np.int64)
        if prod(lengths):
            at = np.broadcast_to(positions(write.where, lengths, indices), lengths).reshape(-1)
        counts += np.bincount(at, minlength=length)
        places[write.where, lengths] = at
    shares = {key: float(np.mean(counts[at] == 1)) if len(at) else 1.0 for key, at in places.items()}
    made = Spread(counts, shares)
    # What meets at a fixed distance is put together in registers, which is better than any of this.
    fixed = sum(prod(space(block, write)) for block, write in writes
                if write.where.index is None and made.aside(block, write))  # fmt: skip
    if 2 * fixed > counts.sum() or not any(made.at_once(block, write) for block, write in writes):
        return None
    if any(write.reduced and made.aside(block, write) for block, write in writes):
        return None
    return made
