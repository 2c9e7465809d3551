"""Blocks without what is stored in between: templates that read what others store get those put in.

Sparse derivatives need templates that read the variables themselves. Where a buffer was joined from parts (`np.stack`,
`np.concatenate`), the instances that read it are divided by which part they read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hybrid.rolled import maps
from hybrid.rolled.maps import Axis, Integers, Map, Shape, View
from hybrid.rolled.model import STORE, Access, Block, Model, Write

MOST_PARTS = 64  # parts that the instances of one block may be divided into
LONGEST = 4_000  # nodes up to which templates may grow


@dataclass(frozen=True)
class Part:
    """A template that fills a part of a buffer: its space, and which instance is at each position (−1: none)."""

    space: Shape
    node: int
    where: Map
    instances: Integers


class Inlining:
    """The blocks of a model, each with the templates that fill what it reads put in."""

    def __init__(self, model: Model, active: set[int]) -> None:
        self.model = model
        self.active = active
        self.parts: dict[int, list[Part] | None] = {}  # by buffer; None where something else than storing is done
        self.done: list[Block] = []

    def run(self, blocks: Sequence[Block]) -> list[Block]:
        for block in blocks:
            made = [block] if block.carries else self.inlined(block)
            self.done += made
            for piece in made:
                for node, write in zip(piece.nodes, piece.writes, strict=True):
                    self.keep(piece, node, write)
        return self.done

    def keep(self, block: Block, node: int, write: Write) -> None:
        buffer = write.to.buffer
        if write.combine != STORE or block.carries:
            self.parts[buffer] = None
            return
        if buffer in self.parts and self.parts[buffer] is None:
            return
        size = self.model.buffers[buffer].size
        instances = np.full(size, -1, dtype=np.int64)
        places = self.model.tables.positions(write.to.map, block.space).reshape(-1)
        instances[places] = np.arange(len(places))
        held = self.parts.setdefault(buffer, [])
        assert held is not None  # seen to above
        held.append(Part(block.space, node, write.to.map, instances))

    def reads(self, block: Block) -> list[int]:
        """The reads of a block that templates can be put in for."""
        accesses = self.model.accesses
        found = [node for node in self.model.reads(block.nodes) if accesses[node].buffer in self.active]
        return [node for node in found if self.parts.get(accesses[node].buffer)]

    def inlined(self, block: Block) -> list[Block]:
        reads = self.reads(block)
        if not reads or not block.instances:
            return [block]
        owners = self.owners(block, reads)
        if owners is None:
            return [block]
        choices, group = owners
        result = []
        for number, choice in enumerate(choices):
            view, space = chosen(block.space, group, number, len(choices))
            made = self.substituted(self.restricted(block, view, space), choice, view, space, block)
            if made is None:
                return [block]
            result.append(made)
        return result

    def owners(self, block: Block, reads: Sequence[int]) -> tuple[list[dict[int, Part]], Integers] | None:
        """The combinations of parts that instances read, and which of them each instance has."""
        model = self.model
        group = np.zeros(block.instances, dtype=np.int64)
        for node in reads:
            access = model.accesses[node]
            parts = self.parts[access.buffer] or []
            owner = np.full(model.buffers[access.buffer].size, -1, dtype=np.int64)
            for number, part in enumerate(parts):
                owner[part.instances >= 0] = number
            mine = owner[model.tables.positions(access.map, block.space).reshape(-1)]
            if (mine < 0).any():
                return None  # an element that nothing has written
            group = group * (len(parts) + 1) + mine
            _, group = np.unique(group, return_inverse=True)
            if group.max() >= MOST_PARTS:
                return None
        first = [int(np.flatnonzero(group == number)[0]) for number in range(int(group.max()) + 1)]
        choices = []
        for instance in first:
            choice = {}
            for node in reads:
                access = model.accesses[node]
                place = model.tables.positions(access.map, block.space).reshape(-1)[instance]
                parts = self.parts[access.buffer] or []
                choice[node] = next(part for part in reversed(parts) if part.instances[place] >= 0)
            choices.append(choice)
        return choices, group

    def restricted(self, block: Block, view: View, space: Shape) -> Block:
        """The block for some of its instances."""
        model, rank = self.model, len(space)
        nodes = model.viewed(block.nodes, view, rank)
        writes = tuple(
            Write(Access(write.to.buffer, model.tables.compose(write.to.map, view, rank)), write.combine)
            for write in block.writes
        )
        return Block(space, tuple(nodes), writes)

    def substituted(
        self, block: Block, choice: dict[int, Part], view: View, space: Shape, whole: Block
    ) -> Block | None:
        """The block with the template of the chosen part in the place of each read."""
        model, rank = self.model, len(space)
        mapping = {}
        for node, part in choice.items():
            access = model.accesses[node]
            where = model.tables.compose(access.map, view, rank)
            instances = part.instances[model.tables.positions(where, space)]
            inner = maps.gathered(part.space, instances) if part.space else ()
            (mapping[model.read(access.buffer, where)],) = model.viewed([part.node], inner, rank)
        nodes = model.graph.substitute(block.nodes, mapping)
        if len(model.graph.reach(nodes)) > LONGEST:
            return None
        return Block(space, tuple(nodes), block.writes)


def chosen(space: Shape, group: Integers, number: int, groups: int) -> tuple[View, Shape]:
    """The view of the instances of one group: a box where they fill one, else a list."""
    if groups == 1:
        return maps.broadcast(space, space), space
    flat = np.flatnonzero(group == number)
    indices = maps.unravelled(flat, space)
    low = [int(index.min()) for index in indices]
    box = tuple(int(index.max()) - start + 1 for index, start in zip(indices, low, strict=True))
    if int(np.prod(box)) == len(flat):
        rank = len(box)
        axes = [
            maps.unit(axis if length != 1 else None, length, rank, start)
            for axis, (length, start) in enumerate(zip(box, low, strict=True))
        ]
        return tuple(axes), box
    return tuple(Axis(axis.offset, axis.strides, axis.gather) for axis in maps.gathered(space, flat)), (len(flat),)
