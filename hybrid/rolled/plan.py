"""Blocks of a model to blocks of the code generator: fused, simplified, lowered.

Blocks over one space that do not wait for each other become one, so that a function, its gradient and its Hessian share
what they read and compute. Axes that all maps run through together are joined.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codegen import blocks as native
from hybrid import operations as ops
from hybrid.composite import expand
from hybrid.definition import Argument
from hybrid.errors import UnsupportedError
from hybrid.lower import Result, lower
from hybrid.rolled.maps import Integers, Map, Shape
from hybrid.rolled.model import LOGSUMEXP, MAX, STORE, SUM, Access, Block, Buffer, Carry, Model, Write
from hybrid.simplify import RULE_SETS, simplify

MOST_AXES = 4


@dataclass(frozen=True)
class Plan:
    """What is computed, in order, as the code generator takes it, with the arrays it is bound to."""

    form: native.Blocks
    arrays: dict[str, NDArray[Any]]
    blocks: tuple[Block, ...]
    written_by_user: int

    @property
    def operations(self) -> list[tuple[str, int, int]]:
        """Per block: its name, the operations of an instance, and how many instances there are."""
        counts = self.form.operations
        return [
            (block.name, counts[block.name], prod(length.value({}) for length in block.axes))
            for block in self.form.blocks
        ]


def plan(model: Model, outputs: Sequence[int], primal: Sequence[int], name: str, rules: str) -> Plan:
    """The blocks that `outputs` (buffers) need; those that `primal` buffers need are computed as they were written."""
    kept = {node for number in model.needed(primal) for node in model.blocks[number].roots}
    fused = [simplified(model, block, kept, rules) for block in fuse(model, model.needed(outputs))]
    lowering = Lowering(model, set(outputs))
    made = [lowering.block(joined(model, block), f"{name}_{number}") for number, block in enumerate(fused)]
    buffers = tuple(lowering.buffers[key] for key in sorted(lowering.buffers))
    form = native.Blocks(name, buffers, tuple(made))
    return Plan(form, lowering.arrays, tuple(fused), len(kept))


# --- fusion -----------------------------------------------------------------------------------------------------------
def fuse(model: Model, numbers: Sequence[int]) -> list[Block]:
    """The blocks of some numbers, those over one space that can run at once as one."""
    level: dict[int, int] = {}  # of buffers: when they are complete
    groups: dict[Any, list[Block]] = {}
    for number in numbers:
        block = model.blocks[number]
        when = max((level.get(buffer, 0) for buffer in model.read_by(block)), default=0)
        for write in block.writes:
            level[write.to.buffer] = max(level.get(write.to.buffer, 0), when + 1)
        key = (when, block.space, number if block.carries else -1, reduced_axes(block))
        groups.setdefault(key, []).append(block)
    order = sorted(groups, key=lambda key: key[0])
    return [together(model, groups[key]) for key in order]


def reduced_axes(block: Block) -> tuple[Any, ...]:
    """What maxima and log-sum-exps are over: those of one block must agree."""
    found = tuple(
        tuple(stride == 0 for stride in write.to.map.strides)
        for write in block.writes
        if write.combine in (MAX, LOGSUMEXP)
    )
    return found[:1]


def together(model: Model, blocks: Sequence[Block]) -> Block:
    """Several blocks as one; sums that go to the same places are added first."""
    sums: dict[Access, list[int]] = {}
    nodes: list[int] = []
    writes: list[Write] = []
    for block in blocks:
        for node, write in zip(block.nodes, block.writes, strict=True):
            if write.combine == SUM:
                sums.setdefault(write.to, []).append(node)
            elif (node, write) not in zip(nodes, writes, strict=True):
                nodes.append(node)
                writes.append(write)
    for to, parts in sums.items():
        nodes.append(parts[0] if len(parts) == 1 else model.graph.add_node(ops.add, tuple(parts)))
        writes.append(Write(to, SUM))
    carries = tuple(carry for block in blocks for carry in block.carries)
    return Block(blocks[0].space, tuple(nodes), tuple(writes), carries)


def simplified(model: Model, block: Block, kept: set[int], rules: str) -> Block:
    """The block with fewer operations; what the user wrote keeps its rounding."""
    roots = expand(model.graph, list(block.roots))
    keep = expand(model.graph, [root for root in block.roots if root in kept])
    roots = simplify(model.graph, roots, RULE_SETS[rules], keep)
    count = len(block.nodes)
    carries = tuple(
        Carry(carry.variable, carry.start, node) for carry, node in zip(block.carries, roots[count:], strict=True)
    )
    return Block(block.space, tuple(roots[:count]), block.writes, carries)


# --- axes -------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Joined:
    """A block over fewer axes: maps by read, writes and carries, with their tables."""

    block: Block
    space: Shape
    reads: dict[int, tuple[Map, Integers | None]]
    writes: list[tuple[Map, Integers | None]]
    starts: list[tuple[Map, Integers | None]]


def joined(model: Model, block: Block) -> Joined:
    """A block without axes of length 1, and with axes joined that all its maps run through in C order."""
    reads = model.reads(block.roots)
    places = [model.accesses[node].map for node in reads]
    places += [write.to.map for write in block.writes] + [carry.start.map for carry in block.carries]
    tables = [None if place.gather is None else model.tables[place.gather] for place in places]
    strides = [list(place.strides) for place in places]
    space = list(block.space)
    first = 1 if block.carries else 0  # the axis of a scan stays as it is
    for axis in reversed(range(first, len(space))):
        if space[axis] == 1 and len(space) > 1:
            space.pop(axis)
            strides = [[*one[:axis], *one[axis + 1 :]] for one in strides]
            tables = [None if table is None else np.squeeze(table, axis) for table in tables]
    for axis in reversed(range(first, len(space) - 1)):
        inner = space[axis + 1]
        if not all(one[axis] == one[axis + 1] * inner for one in strides):
            continue
        if not all(table is None or joinable(table, axis, space) for table in tables):
            continue
        space[axis : axis + 2] = [space[axis] * inner]
        strides = [[*one[:axis], *one[axis + 1 :]] for one in strides]
        tables = [None if t is None else t.reshape((*t.shape[:axis], -1, *t.shape[axis + 2 :])) for t in tables]
    maps = [(Map(place.offset, tuple(one)), table) for place, one, table in zip(places, strides, tables, strict=True)]
    count, writes = len(reads), len(block.writes)
    return Joined(
        block, tuple(space), dict(zip(reads, maps[:count], strict=True)), maps[count : count + writes],
        maps[count + writes :],
    )  # fmt: skip


def joinable(table: Integers, axis: int, space: Sequence[int]) -> bool:
    """Whether a table depends on both of two axes, or on neither."""
    return table.shape[axis : axis + 2] in ((1, 1), tuple(space[axis : axis + 2]))


# --- lowering ---------------------------------------------------------------------------------------------------------
@dataclass
class Lowering:
    """Buffers and arrays as they come up."""

    model: Model
    outputs: set[int]

    def __post_init__(self) -> None:
        self.buffers: dict[str, native.Buffer] = {}
        self.arrays: dict[str, NDArray[Any]] = {}
        self.indices: dict[tuple[int, ...], list[str]] = {}

    def buffer(self, number: int) -> str:
        held: Buffer = self.model.buffers[number]
        name = f"b{number}"
        if name not in self.buffers:
            kind = "input" if held.is_argument else "data" if held.value is not None else "work"
            if number in self.outputs:
                kind = "output"
            self.buffers[name] = native.Buffer(name, kind, native.size(held.size))
            if held.value is not None:
                self.arrays[name] = held.value.reshape(-1)
        return name

    def index(self, table: Integers) -> str:
        for known in self.indices.setdefault(table.shape, []):
            if np.array_equal(self.arrays[known], table.reshape(-1)):
                return known
        name = f"i{len(self.arrays)}"
        self.indices[table.shape].append(name)
        self.arrays[name] = np.ascontiguousarray(table.reshape(-1))
        self.buffers[name] = native.Buffer(name, "index", native.size(table.size))
        return name

    def place(self, buffer: int, where: Map, table: Integers | None) -> native.Place:
        name = self.buffer(buffer)
        if table is None:
            return native.affine(name, where.offset, *where.strides)
        steps, step = [], 1
        for length in reversed(table.shape):
            steps.append(step if length != 1 else 0)
            step *= length
        index = native.affine(self.index(table), 0, *reversed(steps))
        return native.gathered(name, index, 1, where.offset, where.strides)

    def block(self, made: Joined, name: str) -> native.Block:
        model, block = self.model, made.block
        if len(made.space) > MOST_AXES:
            raise UnsupportedError(
                f"a template of {name} has {len(made.space)} axes of lengths {made.space}, "
                f"at most {MOST_AXES} are supported: join some with reshape, or loop over a short one"
            )
        reads = list(made.reads)
        arguments = [Argument(f"x{number}", (), (node,)) for number, node in enumerate(reads)]
        arguments += [Argument(f"c{number}", (), (carry.variable,)) for number, carry in enumerate(block.carries)]
        results = [Result(f"y{number}", (), (node,)) for number, node in enumerate(block.roots)]
        body = lower(model.graph, arguments, results, name)
        places = [self.place(model.accesses[node].buffer, *made.reads[node]) for node in reads]
        writes = tuple(self.write(write, *where) for write, where in zip(block.writes, made.writes, strict=True))
        starts = tuple(
            self.place(carry.start.buffer, *where) for carry, where in zip(block.carries, made.starts, strict=True)
        )
        axes = tuple(native.size(length) for length in made.space)
        return native.Block(name, axes, body, tuple(places), writes, starts, 0 if block.carries else None)

    def write(self, write: Write, where: Map, table: Integers | None) -> native.Write:
        place = self.place(write.to.buffer, where, table)
        if write.combine == STORE:
            return native.store(place)
        if write.combine == SUM:
            return native.add(place)
        still = tuple(
            axis
            for axis, stride in enumerate(where.strides)
            if stride == 0 and (table is None or table.shape[axis] == 1)
        )
        return native.reduce(write.combine, place, *still)


__all__ = ["Plan", "plan"]
