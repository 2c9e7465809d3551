"""A program whose results are reduced over the points of a call: summed, or their maximum or log-sum-exp taken.

The points of a call are cut into chunks of `CHUNK`, chunks into groups of `GROUP` vectors. Within a group each lane of
a vector is reduced by itself in the order of the points; groups are added to the chunk, lanes and chunks to each other,
in double-double arithmetic. Where the cuts are depends on the number of a point alone, so the bits do not depend on who
computes which chunk. A sum of n numbers errs by at most GROUP·2⁻⁵³·Σ|xᵢ|, however large n is, and one rounding.

A block of points is computed in two steps. The body (body.py) computes *factors* into rows: every number that a result
is, or the two whose product it is, if nothing else needs the product. Then results are accumulated in *tiles*: as many
at a time as there are registers for, those together that read the same factors, over all vectors of the block. The
derivative of a layer of a network is an outer product of two short vectors, so that a tile of m × n reads m + n rows,
and a product and its sum are one instruction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from codegen.contract import contract, count_uses, prune
from codegen.layout import PLACE, Layout, Operand
from codegen.program import INSTRUCTIONS, MASK, Array, Program
from codegen.schedule import schedule
from codegen.target import Target

# Points of a chunk: a multiple of those of a group. Long enough that its end costs nothing, short enough to share out.
CHUNK = 1 << 13
# Vectors of a group: at most so many numbers are added in a row without compensation.
GROUP = 64
# Bytes of rows of a block. Rows and accumulators together need not fit the first-level cache: both are read in order,
# and long blocks load and store the accumulators less often (369 of them: 24 KiB 116 ns a row, 48 KiB 112, 96 KiB 110).
ROWS = 48 << 10
# Reductions of one result element. A mean is a sum, divided by whoever knows the number of points.
KINDS = ("sum", "max", "logsumexp")

# What is accumulated, as phase two reads it: ("row", row), ("load", argument, element) or ("const", number).
Factor = tuple[Any, ...]


@dataclass(frozen=True)
class Term:
    """One element of a result: the number or the product of two numbers that is reduced, and where it belongs."""

    factors: tuple[Factor, ...]
    place: int


@dataclass(frozen=True)
class ReductionLayout(Layout):
    """Behind the areas of a block: the accumulators of a group, those of a chunk, and the number of live lanes."""

    direct: frozenset[int] = frozenset()
    sums: int = 0
    maxima: int = 0
    exponentials: int = 0

    @cached_property
    def inputs(self) -> tuple[Operand, ...]:
        loaded = {instruction[1] for instruction in self.program.body if instruction[0] == "load"}
        return self._operands(self.program.arguments, 0, 0, (loaded | self.direct) - self.shared)

    @cached_property
    def block(self) -> int:
        """Points per block: a power of two of vectors, as many as fit."""
        points = self.target.width
        while points < self.target.width * GROUP and 2 * points * 8 * self.rows <= ROWS:
            points *= 2
        return points

    @cached_property
    def _areas(self) -> tuple[list[int], list[int], int]:
        """No result leaves, so there is no staging; else as in `Layout`."""
        end = (self.rows + self.target.width) * self.block
        offsets = []
        for operand in self.operands:
            offsets.append(end)
            end += operand.size if operand.in_rows else 0
        return [0] * len(offsets), offsets, end

    @property
    def pointers(self) -> int:
        return self.places + (PLACE + 1) * len(self.operands)

    @cached_property
    def live(self) -> int:
        """The word that says how many lanes of a last, partial vector count."""
        return self.pointers + len(self.inputs)

    @cached_property
    def group(self) -> int:
        """Accumulators of a group: a vector per sum and per maximum, two (largest, scaled sum) per log-sum-exp."""
        return -(-(self.live + 1) // 8) * 8

    @cached_property
    def chunk(self) -> int:
        """Accumulators of a chunk: two vectors per sum (high, low), three per log-sum-exp (largest, high, low)."""
        return self.group + self.target.width * (self.sums + self.maxima + 2 * self.exponentials)

    @property
    def scratch(self) -> int:
        return self.chunk + self.target.width * (2 * self.sums + 3 * self.exponentials)

    @property
    def partial(self) -> int:
        """Doubles that a chunk leaves: high and low per sum; per lane, the maxima, and three per log-sum-exp."""
        return 2 * self.sums + self.target.width * (self.maxima + 3 * self.exponentials)


@dataclass(frozen=True)
class Plan:
    """What is computed per point, and what is reduced.

    body: the program that computes the factors, as rows of its one result. terms: by kind, in the order of the
    accumulators; `Term.place` is the number of the result element, counted through all results.
    """

    body: Program
    shared: frozenset[int]
    terms: dict[str, list[Term]]

    @property
    def direct(self) -> frozenset[int]:
        """Arguments that are accumulated as they are."""
        every = [factor for terms in self.terms.values() for term in terms for factor in term.factors]
        return frozenset(factor[1] for factor in every if factor[0] == "load")

    def layout(self, target: Target, spills: int) -> ReductionLayout:
        counts = [len(self.terms[kind]) for kind in KINDS]
        return ReductionLayout(self.body, target, spills, self.shared, self.direct, *counts)


def plan(program: Program, kinds: Sequence[str], shared: Iterable[int], *, fma: bool) -> Plan:
    """Split a program into factors and terms. `kinds` holds one of `KINDS` per result, `shared` argument numbers."""
    for kind in kinds:
        if kind not in KINDS:
            raise ValueError(f"{program.name}: a reduction must be one of {', '.join(KINDS)}, got {kind!r}")
    program = contract(program) if fma else prune(program)
    count = count_uses(program)
    rows: dict[int, int] = {}

    def factor(value: int) -> Factor:
        instruction = program.body[value]
        return instruction if instruction[0] in ("load", "const") else ("row", rows.setdefault(value, len(rows)))

    terms: dict[str, list[Term]] = {kind: [] for kind in KINDS}
    place = 0
    for kind, values in zip(kinds, program.outputs, strict=True):
        for value in values:
            name, *operands = program.body[value]
            is_product = kind == "sum" and name == "mul" and count[value] == 1
            terms[kind].append(Term(tuple(map(factor, operands if is_product else [value])), place))
            place += 1
    factors = Array("factors", (len(rows),))
    body = Program(program.name, program.arguments, (factors,), program.body, (tuple(rows),), program.externals)
    return Plan(schedule(prune(body)), frozenset(shared), terms)


def tiles(terms: Sequence[Term], most: int) -> list[list[int]]:
    """Numbers of terms, at most `most` together; a tile grows by the factor that most of its factors wait for."""
    by_factor: dict[Factor, list[int]] = {}
    for number, term in enumerate(terms):
        for factor in set(term.factors):
            by_factor.setdefault(factor, []).append(number)
    left = dict.fromkeys(range(len(terms)))
    found = []
    while left:
        tile: list[int] = []
        held: set[Factor] = set()
        waiting: Counter[Factor] = Counter(dict.fromkeys(terms[next(iter(left))].factors, 0))
        while waiting and len(tile) < most:
            new = max(waiting, key=waiting.__getitem__)
            del waiting[new]
            held.add(new)
            for number in by_factor[new]:
                if number not in left or len(tile) == most:
                    continue
                missing = [factor for factor in terms[number].factors if factor not in held]
                if not missing:
                    tile.append(number)
                    del left[number]
                else:
                    waiting[missing[0]] += 1
        if not tile:
            raise AssertionError("a tile takes the term it starts with")
        found.append(tile)
    return found


def uniform_part(program: Program, shared: Iterable[int]) -> tuple[Program | None, Program]:
    """What depends on shared arguments alone, computed once per call, and the rest.

    The first program has all the arguments and one result, "uniform", of shape (count,); the second has that as its
    last argument, which is shared. The first is None if there is nothing to compute, the second then the program.
    """
    same = set(shared)
    uniform = [False] * len(program.body)
    leaf = [name in ("load", "const", "true", "false") for name, *_ in program.body]
    real = [name in ("load", "const") or INSTRUCTIONS[name].result != MASK for name, *_ in program.body]
    for number, (name, *operands) in enumerate(program.body):
        match name:
            case "load":
                uniform[number] = operands[0] in same
            case "const" | "true" | "false":
                uniform[number] = True
            case _:
                uniform[number] = all(uniform[value] for value in operands)
    wanted: dict[int, int] = {}

    def want(value: int) -> None:
        stack = [value]
        while stack:
            value = stack.pop()
            if not uniform[value] or leaf[value]:
                continue
            if real[value]:
                wanted.setdefault(value, len(wanted))
            else:  # a mask is made again of what it compares
                stack += program.body[value][1:]

    for number, (name, *operands) in enumerate(program.body):
        if not leaf[number] and not uniform[number] and name != "polygamma":
            for value in operands:
                want(value)
        elif name == "polygamma" and not uniform[number]:
            want(operands[1])
    for values in program.outputs:
        for value in values:
            want(value)
    if not wanted:
        return None, program
    table = Array("uniform", (len(wanted),))
    first = prune(Program(program.name, program.arguments, (table,), program.body, (tuple(wanted),), program.externals))
    last = len(program.arguments)
    body = [
        ("load", last, wanted[number]) if number in wanted else instruction
        for number, instruction in enumerate(program.body)
    ]
    arguments = (*program.arguments, table)
    return first, prune(Program(program.name, arguments, program.results, body, program.outputs, program.externals))
