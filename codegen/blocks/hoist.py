"""Work that is the same along an axis, done once: functions of what varies along few axes become a block before.

exp(q[j]) in a block over i and j is computed for each j into memory, and read there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

from codegen.blocks.concrete import Concrete, Target, Where
from codegen.contract import prune
from codegen.program import INSTRUCTIONS, MASK, Array, Program

# Instances from which a stage more is worth it, and how many of them must do the same work.
MANY, TIMES = 4096, 8
# What costs no more than reading its value would.
CHEAP = frozenset(
    {"load", "const", "add", "sub", "mul", "neg", "abs", "fma", "minimum", "maximum", "copysign", "sign", "floor",
     "ceil", "trunc", "rint", "select", "select_mask", "lt", "le", "gt", "ge", "eq", "ne", "and", "or", "xor", "not",
     "true", "false"}
)  # fmt: skip


@dataclass(frozen=True)
class Hoisted:
    """The blocks in order, and the lengths of the buffers between them."""

    blocks: tuple[Concrete, ...]
    work: dict[str, int]


def hoist(block: Concrete, lane: int | None, name: str) -> Hoisted:
    """A block with what it does over and over in blocks before it. lane: the axis its vectors run along."""
    total = prod(block.lengths)
    if total < MANY or len(block.lengths) < 2:
        return Hoisted((block,), {})
    body = block.body
    varies = _axes(block)
    worth = _worth(block, varies, lane, total)
    leaving: dict[frozenset[int], list[int]] = {}
    outputs = {value for (value,) in body.outputs}
    users: dict[int, set[frozenset[int]]] = {}
    for number, (op, *operands) in enumerate(body.body):
        for operand in operands if op not in ("load", "const") else ():
            users.setdefault(operand, set()).add(varies[number])
    for number, good in enumerate(worth):
        if good and (number in outputs or any(other != varies[number] for other in users.get(number, ()))):
            leaving.setdefault(varies[number], []).append(number)
    if not leaving:
        return Hoisted((block,), {})
    made: list[Concrete] = []
    work: dict[str, int] = {}
    places: dict[int, Where] = {}
    for number, (axes, values) in enumerate(leaving.items()):
        order = sorted(axes, key=lambda axis: (axis == lane, axis))
        lengths = tuple(block.lengths[axis] for axis in order)
        names = [f"{name}.{number}.{place}" for place in range(len(values))]
        work |= dict.fromkeys(names, prod(lengths))
        made.append(_before(block, order, values, names))
        steps = {axis: prod(lengths[place + 1 :]) for place, axis in enumerate(order)}
        strides = tuple(steps.get(axis, 0) for axis in range(len(block.lengths)))
        places |= {value: Where(one, 0, strides) for value, one in zip(values, names, strict=True)}
    return Hoisted((*made, _after(block, places)), work)


def _axes(block: Concrete) -> list[frozenset[int]]:
    """The axes that each value varies along."""
    long = [axis for axis, length in enumerate(block.lengths) if length > 1]
    reads = [frozenset(axis for axis in long if where.varies(axis)) for where in block.reads]
    reads += [frozenset(long)] * len(block.carries)
    varies: list[frozenset[int]] = []
    for op, *operands in block.body.body:
        if op == "load":
            varies.append(reads[operands[0]])
        elif op == "const":
            varies.append(frozenset())
        else:
            varies.append(frozenset().union(*(varies[operand] for operand in operands)))
    return varies


def _worth(block: Concrete, varies: list[frozenset[int]], lane: int | None, total: int) -> list[bool]:
    """Which numbers are worth being made once: they take a function, and not as often as there are instances."""
    reduced = {axis for write in block.writes for axis in write.reduced if axis != lane}
    heavy: list[bool] = []
    found = []
    for number, (op, *operands) in enumerate(block.body.body):
        below = op not in ("load", "const") and any(heavy[operand] for operand in operands)
        heavy.append(op not in CHEAP or below)
        row = INSTRUCTIONS.get(op)
        real = row is None or row.result != MASK
        axes = varies[number]
        # What varies along outer axes alone is made once per chunk anyway.
        again = bool(axes & (reduced | {lane})) and prod(block.lengths[axis] for axis in axes) * TIMES <= total
        found.append(heavy[number] and real and again and op not in ("load", "const"))
    return found


def _before(block: Concrete, order: list[int], values: list[int], names: list[str]) -> Concrete:
    """The block over some axes that stores some values."""
    body = block.body
    results = tuple(Array(f"v{value}") for value in values)
    whole = Program(body.name, body.arguments, results, body.body, tuple((value,) for value in values), body.externals)
    pruned, reads = with_reads(whole, block.reads)
    lengths = tuple(block.lengths[axis] for axis in order)
    strides = tuple(prod(lengths[place + 1 :]) for place in range(len(order)))
    writes = tuple(Target(result, "store", Where(name, 0, strides)) for result, name in enumerate(names))
    projected = tuple(_project(where, order) for where in reads)
    return Concrete(f"{block.name}.before", lengths, pruned, projected, writes, (), None, False)


def _project(where: Where, order: list[int]) -> Where:
    strides = tuple(where.strides[axis] for axis in order)
    steps = tuple(where.index_strides[axis] for axis in order) if where.index is not None else ()
    return replace(where, strides=strides, index_strides=steps)


def _after(block: Concrete, places: dict[int, Where]) -> Concrete:
    """The block that reads some values instead of computing them."""
    body, count = block.body, len(block.reads)
    arguments = (*body.arguments[:count], *(Array(f"v{value}") for value in places), *body.arguments[count:])
    new = {value: count + number for number, value in enumerate(places)}
    lines = []
    for number, line in enumerate(body.body):
        if number in new:
            lines.append(("load", new[number], 0))
        elif line[0] == "load" and line[1] >= count:
            lines.append(("load", line[1] + len(places), 0))
        else:
            lines.append(line)
    program = Program(body.name, arguments, body.results, lines, body.outputs, body.externals)
    pruned, reads = with_reads(program, (*block.reads, *places.values()))
    return replace(block, body=pruned, reads=reads)


def with_reads(body: Program, reads: tuple[Where, ...]) -> tuple[Program, tuple[Where, ...]]:
    """A program without what no result needs, and the reads it then has; arguments beyond the reads stay."""
    pruned = prune(body)
    loaded = sorted({line[1] for line in pruned.body if line[0] == "load"} | {*range(len(reads), len(body.arguments))})
    new = {old: number for number, old in enumerate(loaded)}
    lines = [("load", new[line[1]], 0) if line[0] == "load" else line for line in pruned.body]
    arguments = tuple(body.arguments[number] for number in loaded)
    kept = tuple(reads[number] for number in loaded if number < len(reads))
    return Program(body.name, arguments, body.results, lines, pruned.outputs, body.externals), kept
