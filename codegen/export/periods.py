"""Blocks over one axis whose indices repeat with a period, as blocks over two axes without long tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codegen.blocks.concrete import Concrete, Where, positions

Ints = NDArray[Any]

# Instances of a period.
LONGEST = 64


def folded(block: Concrete, indices: dict[str, Ints]) -> Concrete:
    """The block over (repetition, instance of a period), if its indices move evenly from one repetition to the next.

    Short tables of what is not even within a period are added to `indices`. Other blocks are returned as they are.
    """
    places = (*block.reads, *(write.where for write in block.writes))
    gathered = {where for where in places if where.index is not None}
    if len(block.lengths) != 1 or block.scan is not None or not gathered or any(w.reduced for w in block.writes):
        return block
    (length,) = block.lengths
    values = {where: np.broadcast_to(positions(where, block.lengths, indices), (length,)) for where in gathered}
    period = next((p for p in range(2, LONGEST + 1) if length % p == 0 and length > 2 * p and _fits(values, p)), None)
    if period is None:
        return block

    def fold(where: Where) -> Where:
        if where not in values:
            return replace(where, strides=(where.strides[0] * period, where.strides[0]))
        table = values[where].reshape(-1, period)
        outer, inner = int(table[1, 0] - table[0, 0]), np.diff(table[0])
        if (inner == inner[0]).all():
            return Where(where.buffer, int(table[0, 0]), (outer, int(inner[0])))
        name = f"f{len(indices)}"
        indices[name] = table[0].copy()
        return Where(where.buffer, 0, (outer, 0), name, 0, (0, 1), 1)

    writes = tuple(replace(write, where=fold(write.where)) for write in block.writes)
    return replace(block, lengths=(length // period, period), reads=tuple(map(fold, block.reads)), writes=writes)


def _fits(values: Mapping[Where, Ints], period: int) -> bool:
    for one in values.values():
        moves = np.diff(one.reshape(-1, period), axis=0)
        if (moves != moves[0, 0]).any():
            return False
    return True
