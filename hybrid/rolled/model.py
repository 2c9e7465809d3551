"""What a rolled function is: buffers, and blocks that compute templates over index spaces.

A *template* is an ordinary scalar graph whose leaves are reads: element `map(i)` of a buffer, for instance i of an
index space. A *block* evaluates templates at all instances of a space and writes the values through maps as well:
stored, or added up, or reduced by maximum or log-sum-exp, where several instances write one position. A reduction over
an axis is a write that does not move along it. A block with *carries* runs along its first axis: a carry is a variable
that holds what the template gave at the step before.

A `Model` holds the blocks of a function and of all its derivatives, in an order of evaluation. Each buffer is written
before it is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.graph import Graph
from hybrid.operations import CONSTANT, MASK, REAL, VARIABLE, where
from hybrid.rolled.maps import Map, Shape, Tables, View, covers, identity

READ, CARRY = "read", "carry"
STORE, SUM, MAX, LOGSUMEXP = "store", "sum", "max", "logsumexp"
START = {STORE: np.nan, SUM: 0.0, MAX: -np.inf, LOGSUMEXP: -np.inf}  # what a buffer holds before it is written


@dataclass(eq=False)
class Buffer:
    """A flat array of float64 of a shape: an argument, data (with a value), or something computed."""

    number: int
    shape: Shape
    name: str = ""
    value: NDArray[np.float64] | None = None
    is_argument: bool = False

    @property
    def size(self) -> int:
        return prod(self.shape)

    @property
    def computed(self) -> bool:
        return self.value is None and not self.is_argument


@dataclass(frozen=True)
class Access:
    """Element `map(i)` of a buffer, for instance i."""

    buffer: int
    map: Map


@dataclass(frozen=True)
class Write:
    """Where the values of a template go, and how those that meet there are combined."""

    to: Access
    combine: str = STORE


@dataclass(frozen=True)
class Carry:
    """What runs through the steps of a scan: its variable, where it starts, and the node of its next value.

    `start` is read with the map of the block's space; it does not move along the first axis.
    """

    variable: int
    start: Access
    following: int


@dataclass(frozen=True)
class Block:
    """Templates over an index space: node k goes to write k. With carries, a scan along the first axis."""

    space: Shape
    nodes: tuple[int, ...]
    writes: tuple[Write, ...]
    carries: tuple[Carry, ...] = ()

    @property
    def roots(self) -> tuple[int, ...]:
        return self.nodes + tuple(carry.following for carry in self.carries)

    @property
    def instances(self) -> int:
        return prod(self.space)


@dataclass(eq=False)
class Model:
    """The shared graph of all templates, the buffers, and the blocks in order."""

    graph: Graph = field(default_factory=Graph)
    tables: Tables = field(default_factory=Tables)
    buffers: list[Buffer] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    accesses: dict[int, Access] = field(default_factory=dict)  # by the node of the read
    writers: dict[int, list[int]] = field(default_factory=dict)  # blocks by buffer
    _nodes: dict[Access, int] = field(default_factory=dict)
    _data: dict[Any, int] = field(default_factory=dict)
    kept: dict[Any, int] = field(default_factory=dict)  # buffers by what they hold
    carries: int = 0
    picked: int = 0  # single elements taken out of arrays

    # --- buffers ------------------------------------------------------------------------------------------------------
    def buffer(self, shape: Shape, name: str = "") -> Buffer:
        made = Buffer(len(self.buffers), shape, name)
        self.buffers.append(made)
        return made

    def argument(self, name: str, shape: Shape) -> Buffer:
        made = self.buffer(shape, name)
        made.is_argument = True
        return made

    def data(self, value: NDArray[Any], name: str = "") -> Buffer:
        """The buffer of some numbers; equal ones are one buffer."""
        array = np.array(value, dtype=np.float64, order="C")
        key = (array.shape, hash(array.tobytes()))
        known = self._data.get(key)
        if known is not None and not name:
            held = self.buffers[known].value
            if held is not None and held.tobytes() == array.tobytes():
                return self.buffers[known]
        made = self.buffer(array.shape, name)
        array.flags.writeable = False
        made.value = array
        self._data[key] = made.number
        return made

    # --- reads --------------------------------------------------------------------------------------------------------
    def read(self, buffer: int, where: Map) -> int:
        """The node of a read."""
        access = Access(buffer, where)
        node = self._nodes.get(access)
        if node is None:
            node = self._nodes[access] = self.graph.variable(READ, (len(self.accesses),))
            self.accesses[node] = access
        return node

    def carry(self) -> int:
        self.carries += 1
        return self.graph.variable(CARRY, (self.carries - 1,))

    def reads(self, nodes: Iterable[int]) -> list[int]:
        """The reads in some templates, in a fixed order."""
        return [node for node in self.graph.variables(nodes) if node in self.accesses]

    def carried(self, nodes: Iterable[int]) -> list[int]:
        return [node for node in self.graph.variables(nodes) if node not in self.accesses]

    def viewed(self, nodes: Sequence[int], view: View, rank: int) -> list[int]:
        """Templates over another space, whose instances see those of the old one through a view."""
        mapping = {}
        for node in self.reads(nodes):
            access = self.accesses[node]
            mapping[node] = self.read(access.buffer, self.tables.compose(access.map, view, rank))
        if all(new == old for old, new in mapping.items()):
            return list(nodes)
        return self.graph.substitute(nodes, mapping)

    # --- blocks -------------------------------------------------------------------------------------------------------
    def add(self, block: Block) -> None:
        for write in block.writes:
            self.writers.setdefault(write.to.buffer, []).append(len(self.blocks))
        self.blocks.append(block)

    def stored(self, node: int, space: Shape, shape: Shape | None = None) -> Buffer:
        """A buffer of a template at every instance, in C order; a plain read of a whole buffer is that buffer."""
        access = self.accesses.get(node)
        if access is not None and shape in (None, self.buffers[access.buffer].shape):
            held = self.buffers[access.buffer]
            if covers(access.map, space, held.size) and held.computed:
                return held
        return self.reduced(node, space, identity(space), STORE, space if shape is None else shape)

    def reduced(self, node: int, space: Shape, where: Map, combine: str, shape: Shape) -> Buffer:
        """A new buffer with what a template gives, combined where instances meet."""
        key = (node, space, where, combine, shape)
        if (known := self.kept.get(key)) is not None:
            return self.buffers[known]
        made = self.buffer(shape)
        block = Block(space, (node,), (Write(Access(made.number, where), combine),))
        self.add(block)
        self.kept[key] = made.number
        return made

    def combine_of(self, buffer: int) -> str:
        """How a computed buffer is written."""
        block = self.blocks[self.writers[buffer][0]]
        return next(write.combine for write in block.writes if write.to.buffer == buffer)

    def needed(self, buffers: Iterable[int]) -> list[int]:
        """The blocks that some buffers need, in order."""
        wanted = list(buffers)
        seen = set(wanted)
        found: set[int] = set()
        while wanted:
            for number in self.writers.get(wanted.pop(), ()):
                if number in found:
                    continue
                found.add(number)
                for buffer in self.read_by(self.blocks[number]):
                    if buffer not in seen:
                        seen.add(buffer)
                        wanted.append(buffer)
        return sorted(found)

    def read_by(self, block: Block) -> set[int]:
        """The buffers a block reads."""
        found = {self.accesses[node].buffer for node in self.reads(block.roots)}
        return found | {carry.start.buffer for carry in block.carries}

    def depending(self, sources: Iterable[int]) -> set[int]:
        """The buffers that depend on some others, these included."""
        active = set(sources)
        for block in self.blocks:
            if not active.isdisjoint(self.read_by(block)):
                active.update(write.to.buffer for write in block.writes)
        return active

    # --- numbers and masks --------------------------------------------------------------------------------------------
    def number(self, value: Any) -> int:
        return self.graph.constant(value)

    def constant(self, node: int) -> Any:
        """The number a template is at every instance, or None."""
        return self.graph.leaves[node] if self.graph.ops[node] is CONSTANT else None

    def as_real(self, node: int) -> int:
        """Truth values as 1 and 0."""
        if self.graph.kind(node) != MASK:
            return node
        return self.graph.add_node(where, (node, self.number(1), self.number(0)))

    def is_variable(self, node: int) -> bool:
        return self.graph.ops[node] is VARIABLE


__all__ = ["LOGSUMEXP", "MAX", "REAL", "STORE", "SUM", "Access", "Block", "Buffer", "Carry", "Model", "Write"]
