"""The NumPy meaning of blocks: the reference that native code is compared with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.evaluate import evaluate as evaluate_graph
from hybrid.rolled.maps import Map, Shape
from hybrid.rolled.model import LOGSUMEXP, MAX, START, STORE, Block, Model

Values = dict[int, NDArray[np.float64]]


def evaluate(model: Model, wanted: Iterable[int], arguments: Mapping[int, Any]) -> list[NDArray[np.float64]]:
    """The values of buffers, in their shapes, from those of the arguments (by number of the buffer)."""
    numbers = list(wanted)
    values: Values = {}
    for buffer in model.buffers:
        if buffer.value is not None:
            values[buffer.number] = buffer.value.reshape(-1)
        elif buffer.number in arguments:
            values[buffer.number] = np.asarray(arguments[buffer.number], dtype=np.float64).reshape(-1)
    for number in model.needed(numbers):
        run(model, model.blocks[number], values)
    return [values[number].reshape(model.buffers[number].shape) for number in numbers]


def run(model: Model, block: Block, values: Values) -> None:
    """Carry out one block."""
    for write in block.writes:
        buffer = write.to.buffer
        if buffer not in values:
            values[buffer] = np.full(model.buffers[buffer].size, START[write.combine])
    reads = {
        node: held(model, values, model.accesses[node].buffer, model.accesses[node].map, block.space)
        for node in model.reads(block.roots)
    }
    if not block.carries:
        results = evaluate_graph(model.graph, block.nodes, reads)
        for write, result in zip(block.writes, results, strict=True):
            spread = np.broadcast_to(result, block.space)
            combine(values[write.to.buffer], model.tables.positions(write.to.map, block.space), spread, write.combine)
        return
    carried = {
        carry.variable: held(model, values, carry.start.buffer, carry.start.map, (1, *block.space[1:]))[0]
        for carry in block.carries
    }
    steps: list[list[Any]] = []
    for step in range(block.space[0]):
        now = {node: value[step] for node, value in reads.items()} | carried
        results = evaluate_graph(model.graph, block.roots, now)
        steps.append([np.broadcast_to(result, block.space[1:]) for result in results[: len(block.nodes)]])
        carried = {
            carry.variable: result for carry, result in zip(block.carries, results[len(block.nodes) :], strict=True)
        }
    for place, write in enumerate(block.writes):
        whole = np.stack([step[place] for step in steps])
        combine(values[write.to.buffer], model.tables.positions(write.to.map, block.space), whole, write.combine)


def held(model: Model, values: Values, buffer: int, where: Map, space: Shape) -> NDArray[np.float64]:
    return values[buffer][model.tables.positions(where, space)]


def combine(target: NDArray[np.float64], places: Any, values: Any, how: str) -> None:
    if how == STORE:
        target[places] = values
    elif how == MAX:
        np.maximum.at(target, places, values)
    elif how == LOGSUMEXP:
        largest = np.full(len(target), -np.inf)
        np.maximum.at(largest, places, values)
        shift = np.where(np.isfinite(largest), largest, 0)
        total = np.zeros(len(target))
        with np.errstate(all="ignore"):
            np.add.at(total, places, np.exp(values - shift[places]))
            target[...] = np.logaddexp(target, np.log(total) + shift)
    else:
        np.add.at(target, places, values)
