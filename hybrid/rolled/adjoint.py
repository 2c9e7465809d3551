"""Reverse mode on blocks: what the transpose of a read, a reduction and a scan is.

Each block is swept once, template by template: the transpose of a read through a map is a sum through the same map,
that of a sum a read; a maximum passes its adjoint to where it is attained, evenly on a tie; a log-sum-exp weights it
by exp(x − result). A scan is transposed by a scan that runs backwards.

Adjoints of buffers stay expressions as long as nothing moves (*lazy*), so that weights of outputs reach the templates
that they weight; otherwise they are summed in a buffer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import prod

import numpy as np

from hybrid.differentiate import MINUS_ONE, ONE
from hybrid.large import reverse
from hybrid.operations import add, eq, exp, mul, sub, where
from hybrid.operations import div as divide
from hybrid.rolled import maps
from hybrid.rolled.maps import Axis, Integers, Map, Shape, Slope, View
from hybrid.rolled.model import LOGSUMEXP, STORE, SUM, Access, Block, Carry, Model, Write

FEW_FLOWS = 16
CHEAP = 12  # nodes of an adjoint up to which it is computed again wherever it is read


@dataclass(frozen=True)
class Flow:
    """What a buffer's adjoint receives: `node` of each instance of a space, at the positions of a map."""

    space: Shape
    node: int
    map: Map


@dataclass(eq=False)
class Adjoints:
    """The adjoints of buffers so far; only those in `active` are kept."""

    model: Model
    active: set[int]
    flows: dict[int, list[Flow]] = field(default_factory=dict)
    thorough: bool = False  # whether to look at every position for what can stay an expression

    def add(self, buffer: int, flow: Flow) -> None:
        if buffer in self.active and self.model.constant(flow.node) != 0:
            self.flows.setdefault(buffer, []).append(flow)

    def at(self, buffer: int, place: Map, space: Shape) -> int | None:
        """The template of the adjoint at the positions of a map, over a space; None where it is zero."""
        flows = self.flows.get(buffer)
        if not flows:
            return None
        model = self.model
        size = model.buffers[buffer].size
        whole = {flow.space for flow in flows if maps.covers(flow.map, flow.space, size)}
        if len(whole) == 1 and all(maps.covers(flow.map, flow.space, size) for flow in flows):
            own = next(iter(whole))
            node = total(model, [flow.node for flow in flows])
            if model.constant(node) is not None:
                return node
            if own == space and maps.covers(place, space, size):
                return node
            small = len(model.graph.reach([node])) <= CHEAP or prod(space) <= prod(own)
            view = seen(model, place, space, own) if small else None
            if view is not None:
                (moved,) = model.viewed([node], view, len(space))
                return moved
        if self.thorough and len(flows) <= FEW_FLOWS:
            found, apart = self.apart(flows, size, model.tables.positions(place, space))
            if found:
                return apart
        return model.read(self.held(buffer), place)

    def apart(self, flows: Sequence[Flow], size: int, wanted: Integers) -> tuple[bool, int | None]:
        """The adjoint at some positions, if each flow has one instance at all of these or at none; None for zero."""
        model = self.model
        nodes = []
        for flow in flows:
            places = model.tables.positions(flow.map, flow.space).reshape(-1)
            instances = np.full(size, -1, dtype=np.int64)
            instances[places] = np.arange(len(places))
            mine = instances[wanted]
            if (mine < 0).all():
                continue
            if (mine < 0).any() or np.count_nonzero(instances >= 0) != len(places):
                return False, None
            view = maps.gathered(flow.space, mine)
            nodes += model.viewed([flow.node], view, wanted.ndim)
        return True, total(model, nodes) if nodes else None

    def held(self, buffer: int, shape: Shape | None = None) -> int:
        """The adjoint summed into a buffer."""
        model, flows = self.model, self.flows.get(buffer, [])
        shape = model.buffers[buffer].shape if shape is None else shape
        size = prod(shape)
        if len(flows) == 1 and maps.covers(flows[0].map, flows[0].space, size):
            access = model.accesses.get(flows[0].node)
            if access is not None and maps.covers(access.map, flows[0].space, size):
                other = model.buffers[access.buffer]
                if other.size == size and other.computed and other.shape == shape:
                    return other.number
        made = model.buffer(shape)
        if not flows:
            nothing = model.number(0)
            model.add(Block(shape, (nothing,), (Write(Access(made.number, maps.identity(shape)), STORE),)))
        single = len(flows) == 1 and maps.covers(flows[0].map, flows[0].space, size)
        for flow in flows:
            model.add(
                Block(flow.space, (flow.node,), (Write(Access(made.number, flow.map), STORE if single else SUM),))
            )
        node = model.read(made.number, maps.identity(shape))
        self.flows[buffer] = [Flow(shape, node, maps.identity(shape))]
        return made.number


def total(model: Model, nodes: Sequence[int]) -> int:
    return nodes[0] if len(nodes) == 1 else model.graph.add_node(add, tuple(nodes))


def seen(model: Model, place: Map, space: Shape, own: Shape) -> View | None:
    """The view of a buffer's own space (C order) that a map over another space makes; None where it is not plain."""
    if not own:
        return ()
    slopes = [Slope(stride, length) if stride else 0 for stride, length in zip(place.strides, space, strict=True)]
    long = [axis for axis, length in enumerate(own) if length != 1]
    if len(long) <= 1:
        table = None if place.gather is None else model.tables[place.gather]
        moving = Axis(place.offset, tuple(slopes), table)
        still = Axis(0, (0,) * len(space))
        return tuple(moving if [axis] == long else still for axis in range(len(own)))
    if place.gather is None and (view := digits(place, space, own)) is not None:
        return view
    return maps.gathered(own, model.tables.positions(place, space)) if space else None


def digits(place: Map, space: Shape, own: Shape) -> View | None:
    """A map's offset and strides written along each axis of a space in C order, if none reaches past its end."""
    axes = []
    offset, strides = place.offset, list(place.strides)
    for stride, length in zip(maps.full_strides(own), own, strict=True):
        start, offset = divmod(offset, stride)
        steps = []
        for number, slope in enumerate(strides):
            step = int(slope / stride) if stride else 0  # towards zero, so that rests keep their sign
            steps.append(step)
            strides[number] = slope - step * stride
        ends = [step * (count - 1) for step, count in zip(steps, space, strict=True)]
        if start + sum(min(end, 0) for end in ends) < 0 or start + sum(max(end, 0) for end in ends) >= length:
            return None
        steps = [Slope(step, count) if step else 0 for step, count in zip(steps, space, strict=True)]
        axes.append(Axis(start, tuple(steps)))
    return tuple(axes)


def swept(model: Model, seeds: Sequence[tuple[int, int]], wanted: Iterable[int]) -> dict[int, int]:
    """Adjoints of variables of a template from weights of its nodes."""
    graph = model.graph
    weights = {1: ONE, -1: MINUS_ONE}
    pairs = []
    for node, weight in seeds:
        value = model.constant(weight)
        pairs.append((node, weights.get(value, weight) if value is not None else weight))
    found = reverse(graph, pairs, frozenset(wanted))
    return {node: bar for node, bar in found.items() if model.constant(bar) != 0}


def pull(adjoints: Adjoints, blocks: Sequence[int]) -> None:
    """Sweep over blocks, backwards: from the adjoints of what they write to those of what they read."""
    model = adjoints.model
    for number in reversed(blocks):
        block = model.blocks[number]
        if block.carries:
            pull_scan(adjoints, block)
            continue
        seeds = seeds_of(adjoints, block)
        reads = [node for node in model.reads(block.nodes) if model.accesses[node].buffer in adjoints.active]
        for node, bar in swept(model, seeds, reads).items():
            access = model.accesses[node]
            adjoints.add(access.buffer, Flow(block.space, bar, access.map))


def seeds_of(adjoints: Adjoints, block: Block) -> list[tuple[int, int]]:
    """The weight of each node of a block, as it comes from what it writes."""
    seeds = []
    for node, write in zip(block.nodes, block.writes, strict=True):
        bar = adjoints.at(write.to.buffer, write.to.map, block.space)
        if bar is not None:
            seeds.append((node, weighted(adjoints.model, block, node, write, bar)))
    return seeds


def weighted(model: Model, block: Block, node: int, write: Write, bar: int) -> int:
    """The adjoint of one instance's value, from that of what it was combined into."""
    graph = model.graph
    if write.combine in (STORE, SUM):
        return bar
    result = model.read(write.to.buffer, write.to.map)
    if write.combine == LOGSUMEXP:
        return graph.add_node(mul, (bar, graph.add_node(exp, (graph.add_node(sub, (node, result)),))))
    attained = graph.add_node(eq, (node, result))
    share = graph.add_node(divide, (bar, ties(model, block, node, write)))
    return graph.add_node(where, (attained, share, model.number(0)))


def ties(model: Model, block: Block, node: int, write: Write) -> int:
    """How many instances attain a maximum, read where the maximum is written."""
    graph = model.graph
    attained = graph.add_node(eq, (node, model.read(write.to.buffer, write.to.map)))
    one = graph.add_node(where, (attained, model.number(1), model.number(0)))
    held = model.reduced(one, block.space, write.to.map, SUM, model.buffers[write.to.buffer].shape)
    return model.read(held.number, write.to.map)


# --- scans ------------------------------------------------------------------------------------------------------------
def before(model: Model, block: Block, carry: Carry) -> Access:
    """Where the values a carry had before each step are: its start, then what each step stored but the last."""
    for node, write in zip(block.nodes, block.writes, strict=True):
        if node == carry.variable and write.combine == STORE:
            return write.to
    store = stored_carry(block, carry)
    steps, lanes = block.space[0], prod(block.space[1:])
    key = ("before", carry)
    known = model.kept.get(key)
    whole = maps.identity(block.space)
    if known is None:
        made = model.buffer((steps, *block.space[1:]))
        first = (
            model.read(carry.start.buffer, Map(carry.start.map.offset, carry.start.map.strides[1:], None))
            if (carry.start.map.gather is None)
            else model.viewed([model.read(carry.start.buffer, carry.start.map)], fixed_step(block.space), 0)[0]
        )
        model.add(Block(block.space[1:], (first,), (Write(Access(made.number, Map(0, whole.strides[1:])), STORE),)))
        later = (steps - 1, *block.space[1:])
        value = model.read(store.buffer, store.map)
        model.add(Block(later, (value,), (Write(Access(made.number, Map(lanes, row_strides(block.space))), STORE),)))
        known = model.kept[key] = made.number
    return Access(known, whole)


def row_strides(space: Shape) -> tuple[int, ...]:
    """Strides in C order, where the first axis is not taken to be fixed even if it has length 1."""
    return (prod(space[1:]), *maps.contiguous(space)[1:])


def fixed_step(space: Shape) -> View:
    """The view of a space at its first step."""
    rank = len(space) - 1
    return (Axis(0, (0,) * rank), *(maps.unit(axis, length, rank) for axis, length in enumerate(space[1:])))


def stored_carry(block: Block, carry: Carry) -> Access:
    for node, write in zip(block.nodes, block.writes, strict=True):
        if node == carry.following and write.combine == STORE:
            return write.to
    raise AssertionError("a scan stores its carries")


def with_stored_carries(model: Model, block: Block, nodes: Sequence[int]) -> list[int]:
    """Templates of a scan in which the carries are read from where they were stored."""
    present = set(model.carried(nodes))
    mapping = {}
    for carry in block.carries:
        if carry.variable in present:
            access = before(model, block, carry)
            mapping[carry.variable] = model.read(access.buffer, access.map)
    return model.graph.substitute(nodes, mapping) if mapping else list(nodes)


def reversed_steps(model: Model, nodes: Sequence[int], steps: int) -> list[int]:
    """Templates over a space whose first axis runs backwards."""
    mapping = {}
    for node in model.reads(nodes):
        access = model.accesses[node]
        mapping[node] = model.read(access.buffer, model.tables.flipped(access.map, steps))
    return model.graph.substitute(nodes, mapping) if mapping else list(nodes)


def pull_scan(adjoints: Adjoints, block: Block) -> None:
    """The transpose of a scan: a scan backwards carries the adjoints of the carries; the rest is elementwise."""
    model, space = adjoints.model, block.space
    seeds = seeds_of(adjoints, block)
    if not seeds:
        return
    incoming = [model.carry() for _ in block.carries]
    seeds += [(carry.following, bar) for carry, bar in zip(block.carries, incoming, strict=True)]
    variables = [carry.variable for carry in block.carries]
    reads = [node for node in model.reads(block.roots) if model.accesses[node].buffer in adjoints.active]
    found = swept(model, seeds, [*variables, *reads])
    zero = model.number(0)
    outgoing = with_stored_carries(model, block, [found.get(variable, zero) for variable in variables])
    start = Access(model.data(np.zeros(1)).number, Map(0, (0,) * len(space)))
    backwards = reversed_steps(model, outgoing, space[0])
    held = [model.buffer(space) for _ in incoming]
    flipped = model.tables.flipped(maps.identity(space), space[0])
    model.add(
        Block(
            space,
            tuple(incoming),
            tuple(Write(Access(buffer.number, flipped), STORE) for buffer in held),
            tuple(Carry(bar, start, after) for bar, after in zip(incoming, backwards, strict=True)),
        )
    )
    known = {bar: model.read(buffer.number, maps.identity(space)) for bar, buffer in zip(incoming, held, strict=True)}
    for carry, node in zip(block.carries, model.graph.substitute(outgoing, known), strict=True):
        (first,) = model.viewed([node], fixed_step(space), len(space) - 1)
        (place,) = model.viewed([model.read(carry.start.buffer, carry.start.map)], fixed_step(space), len(space) - 1)
        adjoints.add(carry.start.buffer, Flow(space[1:], first, model.accesses[place].map))
    contributions = with_stored_carries(model, block, [found[node] for node in reads if node in found])
    contributions = model.graph.substitute(contributions, known)
    for node, bar in zip([node for node in reads if node in found], contributions, strict=True):
        access = model.accesses[node]
        adjoints.add(access.buffer, Flow(space, bar, access.map))
