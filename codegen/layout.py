"""Where the data of a call lives: operands, rows and the scratch area of a block."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from codegen.program import Array, Program
from codegen.target import Target

# Words of state per operand during a call; driver.py says which.
PLACE = 8
# Bytes of scratch the blocks of a call aim for; a block of few vectors may take twice as many. That is more than half a
# first-level cache, but rows are read in order, and the ends of a block cost more than the second level does.
SCRATCH = 48 << 10
FEW = 4
MAX_BLOCK = 256
# Words of a cache line, which holds any vector.
LINE_WORDS = 8
# Scratch beyond this comes from malloc: threads may have small stacks.
MAX_STACK = 64 << 10


@dataclass(frozen=True)
class Operand:
    """An argument or result of the loop: its number, its array, its first row, and whether the body touches it."""

    number: int
    array: Array
    row: int
    used: bool

    @property
    def scalar(self) -> bool:
        return not self.array.shape

    @property
    def in_rows(self) -> bool:
        """The body reaches it through rows alone."""
        return self.used and not self.scalar

    @property
    def size(self) -> int:
        return self.array.size


@dataclass(frozen=True)
class Layout:
    """Where everything lives during a call. Rows are numbered: arguments, results, then values kept between parts.

    Arguments whose number is in `shared` are the same at every point: they have no rows, and are read where they are.
    Scratch beyond `stack` bytes, by default `MAX_STACK`, comes from malloc.
    """

    program: Program
    target: Target
    spills: int
    shared: frozenset[int] = frozenset()
    budget: int = field(default=SCRATCH, kw_only=True)
    stack: int | None = field(default=None, kw_only=True)

    @cached_property
    def inputs(self) -> tuple[Operand, ...]:
        loaded = {instruction[1] for instruction in self.program.body if instruction[0] == "load"}
        return self._operands(self.program.arguments, 0, 0, loaded - self.shared)

    @cached_property
    def outputs(self) -> tuple[Operand, ...]:
        first = len(self.inputs)
        row = sum(operand.size for operand in self.inputs if operand.used)
        return self._operands(self.program.results, first, row, set(range(len(self.program.results))))

    @staticmethod
    def _operands(arrays: tuple[Array, ...], first: int, row: int, used: set[int]) -> tuple[Operand, ...]:
        operands = []
        for index, array in enumerate(arrays):
            operands.append(Operand(first + index, array, row, index in used and array.size > 0))
            row += array.size if index in used else 0
        return tuple(operands)

    @property
    def operands(self) -> tuple[Operand, ...]:
        return self.inputs + self.outputs

    @cached_property
    def first_spill(self) -> int:
        return sum(operand.size for operand in self.operands if operand.used)

    @cached_property
    def rows(self) -> int:
        return self.first_spill + self.spills

    @cached_property
    def block(self) -> int:
        """Points per block: a power of two, at least one vector."""
        points = self.target.width
        bytes_per_point = self.target.bytes * (self.rows + sum(operand.size for operand in self.outputs))
        few = FEW * self.target.width
        while points < MAX_BLOCK and 2 * points * bytes_per_point <= self.budget * (2 if 2 * points <= few else 1):
            points *= 2
        return points

    @property
    def row_words(self) -> int:
        """Words of a row."""
        return self.block * self.target.bytes // 8

    @cached_property
    def _areas(self) -> tuple[list[int], list[int], int]:
        """Starts of the staging areas and of the tables of element offsets, by operand, and where the last ends.

        Behind the rows are W spare ones, read by a transpose of fewer than W rows. A staging area holds a block of
        whole points, a partial cache line before it, and a vector of room: a point of fewer than W elements is
        transposed past its end.
        """
        end = (self.rows + self.target.width) * self.row_words
        staging, offsets = [], []
        for operand in self.operands:
            staging.append(end)
            if operand.number >= len(self.inputs):
                end += operand.size * self.row_words + 2 * LINE_WORDS
        for operand in self.operands:
            offsets.append(end)
            end += operand.size if operand.in_rows else 0
        return staging, offsets, end

    def staging(self, operand: Operand) -> int:
        """Where whole points of a result are put together, in words from the start of the scratch area."""
        return self._areas[0][operand.number]

    def offsets(self, operand: Operand) -> int:
        """Where the byte offsets of an array's elements are kept, in words from the start of the scratch area."""
        return self._areas[1][operand.number]

    @property
    def places(self) -> int:
        """Where the state of the operands during a call is kept, `PLACE` words each."""
        return self._areas[2]

    @property
    def table(self) -> int:
        """Where the body finds the address of each scalar operand's current block."""
        return self.places + PLACE * len(self.operands)

    @property
    def pointers(self) -> int:
        """Where the body finds the address of each shared argument."""
        return self.table + len(self.operands)

    @property
    def scratch(self) -> int:
        """Words of scratch in all."""
        return self.pointers + (len(self.inputs) if self.shared else 0)

    @property
    def on_heap(self) -> bool:
        return 8 * self.scratch > (MAX_STACK if self.stack is None else self.stack)

    def first_stride(self, operand: Operand) -> int:
        """Index of an array's first core stride among the steps of a gufunc inner loop."""
        return len(self.operands) + sum(len(other.array.shape) for other in self.operands[: operand.number])
