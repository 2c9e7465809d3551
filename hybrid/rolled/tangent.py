"""Forward mode on blocks: tangents of buffers, block by block."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from hybrid.differentiate import forward
from hybrid.operations import div as divide
from hybrid.operations import eq, exp, mul, sub, where
from hybrid.rolled.adjoint import ties, with_stored_carries
from hybrid.rolled.maps import Map
from hybrid.rolled.model import LOGSUMEXP, STORE, SUM, Access, Block, Carry, Model, Write


def push(model: Model, blocks: Sequence[int], seeds: Mapping[int, int]) -> dict[int, int]:
    """Tangents of all buffers that depend on the seeded ones, as buffers; `seeds` has those of the arguments."""
    tangents = dict(seeds)
    active = model.depending(seeds)
    for number in blocks:
        block = model.blocks[number]
        if active.isdisjoint(write.to.buffer for write in block.writes):
            continue  # what writes only a part of an active buffer has a tangent of zero there, though
        (push_scan if block.carries else push_map)(model, block, tangents)
    return tangents


def directions(model: Model, nodes: Sequence[int], tangents: Mapping[int, int]) -> dict[int, int]:
    """The tangent of each read."""
    found = {}
    for node in model.reads(nodes):
        access = model.accesses[node]
        if access.buffer in tangents:
            found[node] = model.read(tangents[access.buffer], access.map)
    return found


def target(model: Model, buffer: int, tangents: dict[int, int]) -> int:
    if buffer not in tangents:
        tangents[buffer] = model.buffer(model.buffers[buffer].shape).number
    return tangents[buffer]


def push_map(model: Model, block: Block, tangents: dict[int, int]) -> None:
    seeds = directions(model, block.nodes, tangents)
    found = forward(model.graph, model.graph.reach(block.nodes), seeds)
    partly = {write.to.buffer for write in block.writes if len(model.writers[write.to.buffer]) > 1}
    for node, write in zip(block.nodes, block.writes, strict=True):
        tangent = found.get(node)
        if tangent is None:
            if write.to.buffer not in partly:
                continue
            tangent = model.number(0)  # another block may write the rest of this buffer
        node_dot, combine = pushed_through(model, block, node, tangent, write)
        to = Access(target(model, write.to.buffer, tangents), write.to.map)
        model.add(Block(block.space, (node_dot,), (Write(to, combine),)))


def pushed_through(model: Model, block: Block, node: int, tangent: int, write: Write) -> tuple[int, str]:
    """What is combined into the tangent of a result, and how."""
    graph = model.graph
    if write.combine in (STORE, SUM):
        return tangent, write.combine
    result = model.read(write.to.buffer, write.to.map)
    if write.combine == LOGSUMEXP:
        weight = graph.add_node(exp, (graph.add_node(sub, (node, result)),))
        return graph.add_node(mul, (weight, tangent)), SUM
    share = graph.add_node(divide, (tangent, ties(model, block, node, write)))
    return graph.add_node(where, (graph.add_node(eq, (node, result)), share, model.number(0))), SUM


def push_scan(model: Model, block: Block, tangents: dict[int, int]) -> None:
    """The tangent of a scan: a scan of the tangents of its carries, along the values that were stored."""
    moving = [model.carry() for _ in block.carries]
    seeds = directions(model, block.roots, tangents)
    seeds |= {carry.variable: dot for carry, dot in zip(block.carries, moving, strict=True)}
    found = forward(model.graph, model.graph.reach(block.roots), seeds)
    zero = model.number(0)
    nodes = with_stored_carries(model, block, [found.get(node, zero) for node in block.nodes])
    following = with_stored_carries(model, block, [found.get(carry.following, zero) for carry in block.carries])
    nothing = Access(model.data(np.zeros(1)).number, Map(0, (0,) * len(block.space)))
    carries = []
    for carry, dot, node in zip(block.carries, moving, following, strict=True):
        held = tangents.get(carry.start.buffer)
        carries.append(Carry(dot, nothing if held is None else Access(held, carry.start.map), node))
    writes = tuple(
        Write(Access(target(model, write.to.buffer, tangents), write.to.map), write.combine) for write in block.writes
    )
    model.add(Block(block.space, tuple(nodes), writes, tuple(carries)))
