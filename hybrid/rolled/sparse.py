"""Sparse derivatives of rolled functions: each template differentiated once, patterns from index maps.

Where every template reads the variables directly, a Hessian is a sum over templates and instances of little Hessians,
and a Jacobian one of little Jacobians. Rows and columns are what the maps of the reads say; places that come up more
than once are found by sorting, once, and the values are then added up through a table, or plain strides where it is
affine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from hybrid.methods import HESSIANS, JACOBIANS, derive
from hybrid.operations import add, mul
from hybrid.rolled import maps
from hybrid.rolled.adjoint import Adjoints, Flow, seeds_of, swept
from hybrid.rolled.maps import Map, Shape
from hybrid.rolled.model import STORE, SUM, Access, Block, Model, Write
from hybrid.sparsity import Pattern, Triangle


class NotSeparableError(Exception):
    """Why a derivative is no sum over templates of the variables."""


@dataclass(frozen=True)
class Term:
    """Entries of a matrix: `node` of each instance of a space, at some row and column."""

    space: Shape
    node: int
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]


@dataclass(frozen=True)
class Weighted:
    """The templates of a block, each with its weight; the sum of their products is what is differentiated."""

    block: Block
    seeds: tuple[tuple[int, int], ...]


def weighted_blocks(adjoints: Adjoints, blocks: Sequence[Block]) -> list[Weighted]:
    """The blocks that matter, with the weights of their templates; sweeps through them all."""
    model = adjoints.model
    found = []
    for block in reversed(blocks):
        if block.carries:
            raise NotSeparableError("it has a recurrence (hy.scan or a running sum)")
        seeds = seeds_of(adjoints, block)
        if not seeds:
            continue
        if any(write.combine not in (STORE, SUM) for write in block.writes):
            raise NotSeparableError("it has a maximum or a log-sum-exp of many elements")
        found.append(Weighted(block, tuple(seeds)))
        reads = active_reads(adjoints, block.nodes)
        for node, bar in swept(model, seeds, reads).items():
            access = model.accesses[node]
            adjoints.add(access.buffer, Flow(block.space, bar, access.map))
    return found


def active_reads(adjoints: Adjoints, nodes: Sequence[int]) -> list[int]:
    model = adjoints.model
    return [node for node in model.reads(nodes) if model.accesses[node].buffer in adjoints.active]


def hessian_terms(
    adjoints: Adjoints, blocks: Sequence[Block], offsets: Mapping[int, int], triangle: Triangle
) -> list[Term]:
    """The Hessian, or its lower triangle, of what the adjoints are of; `offsets` says where each argument starts.

    Raises NotSeparableError.
    """
    model = adjoints.model
    found_blocks = weighted_blocks(adjoints, blocks)
    dependent = model.depending(offsets)  # with what the sweep has made
    terms = []
    for weighted in found_blocks:
        space = weighted.block.space
        for _, bar in weighted.seeds:
            if any(model.accesses[node].buffer in dependent for node in model.reads([bar])):
                raise NotSeparableError("what a sum over instances gives goes into a function that is not linear")
        reads = active_reads(adjoints, weighted.block.nodes)
        root = weighted_sum(model, weighted.seeds)
        entries = derive(HESSIANS, "auto", "reverse", model.graph, [root], reads).entries
        for (first, second), node in entries.items():
            if second > first or model.constant(node) == 0:
                continue
            places = [variable_place(model, reads[which], space, offsets) for which in (first, second)]
            if triangle == "lower":
                terms.append(lower_entry(model, space, node, places[0], places[1], first != second))
                continue
            terms.append(Term(space, node, places[0], places[1]))
            if first != second:
                terms.append(Term(space, node, places[1], places[0]))
    return terms


def weighted_sum(model: Model, seeds: Sequence[tuple[int, int]]) -> int:
    products = [node if model.constant(bar) == 1 else model.graph.add_node(mul, (bar, node)) for node, bar in seeds]
    return products[0] if len(products) == 1 else model.graph.add_node(add, tuple(products))


def variable_place(model: Model, read: int, space: Shape, offsets: Mapping[int, int]) -> NDArray[np.int64]:
    """Which variable each instance reads."""
    access = model.accesses[read]
    if access.buffer not in offsets:
        raise NotSeparableError("a template that is not linear reads what another block computes")
    return model.tables.positions(access.map, space) + offsets[access.buffer]


def lower_entry(
    model: Model, space: Shape, node: int, first: NDArray[np.int64], second: NDArray[np.int64], mixed: bool
) -> Term:
    """An entry of a little Hessian as one of the lower triangle; where both variables are one it counts twice."""
    if mixed:
        same = first == second
        if same.any():
            weight = model.data(np.where(same, 2.0, 1.0))
            node = model.graph.add_node(mul, (model.read(weight.number, maps.identity(space)), node))
    return Term(space, node, np.maximum(first, second), np.minimum(first, second))


def jacobian_terms(adjoints: Adjoints, blocks: Sequence[Block], weights: int, offsets: Mapping[int, int]) -> list[Term]:
    """The Jacobian by the arguments in `offsets` of the output that the buffer `weights` weighs.

    It is the mixed second derivative of the weighted sum of outputs by weights and arguments. Raises NotSeparableError.
    """
    model = adjoints.model
    found_blocks = weighted_blocks(adjoints, blocks)
    dependent = model.depending([weights])  # with what the sweep has made
    terms = []
    for weighted in found_blocks:
        space = weighted.block.space
        bars = [bar for _, bar in weighted.seeds]
        rows = [node for node in model.reads(bars) if model.accesses[node].buffer in dependent]
        if any(model.accesses[node].buffer != weights for node in rows):
            raise NotSeparableError("several instances meet in a value that further templates read at many places")
        reads = [
            node for node in active_reads(adjoints, weighted.block.nodes) if model.accesses[node].buffer in offsets
        ]
        found = swept(model, weighted.seeds, reads)
        reads = [node for node in reads if node in found]
        nodes = [found[node] for node in reads]
        if not nodes or not rows:
            continue
        entries = derive(JACOBIANS, "auto", "forward", model.graph, nodes, rows).entries
        for (which, row), node in entries.items():
            if model.constant(node) == 0:
                continue
            outputs = model.tables.positions(model.accesses[rows[row]].map, space)
            terms.append(Term(space, node, outputs, variable_place(model, reads[which], space, offsets)))
    return terms


# --- patterns ---------------------------------------------------------------------------------------------------------
def assemble(model: Model, terms: Sequence[Term], shape: tuple[int, int], triangle: Triangle) -> tuple[Pattern, int]:
    """The pattern of some terms, and a buffer of its values, in order; blocks for them are added to the model."""
    keys = [(term.rows * shape[1] + term.columns).reshape(-1) for term in terms]
    unique, slots = distinct(keys)
    rows, columns = np.divmod(unique, max(shape[1], 1))
    pattern = Pattern(shape, rows, columns, triangle)
    values = model.buffer((len(unique),))
    for term, slot in zip(terms, slots, strict=True):
        where = model.tables.map(0, (0,) * len(term.space), slot.reshape(term.space))
        model.add(Block(term.space, (term.node,), (Write(Access(values.number, where), SUM),)))
    if not terms:
        model.add(Block((0,), (model.number(0),), (Write(Access(values.number, Map(0, (1,))), STORE),)))
    return pattern, values.number


def distinct(keys: Sequence[NDArray[np.int64]]) -> tuple[NDArray[np.int64], list[NDArray[np.int64]]]:
    """The different keys, sorted, and where each of the given ones is among them."""
    if not keys:
        return np.empty(0, np.int64), []
    every = np.concatenate(keys)
    order = np.argsort(every, kind="stable")  # merges runs, and keys mostly come in such
    ordered = every[order]
    new = np.empty(len(ordered), dtype=bool)
    new[:1] = True
    np.not_equal(ordered[1:], ordered[:-1], out=new[1:])
    slots = np.empty(len(ordered), dtype=np.int64)
    slots[order] = np.cumsum(new) - 1
    ends = np.cumsum([len(part) for part in keys])
    return ordered[new], np.split(slots, ends[:-1])


def sizes(model: Model, buffers: Sequence[int]) -> tuple[dict[int, int], int]:
    """Where each argument starts among all variables, and how many these are."""
    offsets, start = {}, 0
    for buffer in buffers:
        offsets[buffer] = start
        start += prod(model.buffers[buffer].shape)
    return offsets, start


def dense(model: Model, terms: Sequence[Term], shape: tuple[int, int]) -> int:
    """A buffer of a whole matrix, in C order, from its terms."""
    values = model.buffer(shape)
    zero = Block(shape, (model.number(0),), (Write(Access(values.number, maps.identity(shape)), SUM),))
    model.add(zero)
    for term in terms:
        places = np.broadcast_to(term.rows * shape[1] + term.columns, term.space)
        where = model.tables.map(0, (0,) * len(term.space), np.array(places))
        model.add(Block(term.space, (term.node,), (Write(Access(values.number, where), SUM),)))
    return values.number
