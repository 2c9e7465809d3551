"""Loop nests: the structure of native code for a block, apart from all numbers that may change without recompiling.

One axis, the lane axis, runs in vectors. Kept axes around it are split into chunks, which threads share; reduced axes
and a scan run inside. Writes become *groups*: results that go to one buffer at one stride along the lane axis, which
are put together in registers (shifted by whole instances, interleaved) and stored in one go.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from codegen.blocks.concrete import Where
from codegen.program import Program

# Instances along the lane axis per chunk: what threads share, and what a sum is added up in.
CHUNK = 2048
# Vectors added up plainly before a compensated addition.
RUN = 16
# The largest stride at which results are interleaved in registers.
INTERLEAVED = 8


# What a slot is given: a number, or the address of an element of a buffer.
Word = int | tuple[str, int]


@dataclass(frozen=True)
class Shape:
    """What native code knows of a place: per axis whether its stride is 0, 1, or a number it is given, and which.

    Equal numbers have one name. wide: the index holds int64, else int32. number: it is the loop indices themselves.
    """

    strides: tuple[str, ...]
    index: tuple[str, ...] | None = None
    wide: bool = False
    scale: str = "1"
    number: bool = False

    def varies(self, axis: int) -> bool:
        return self.strides[axis] != "0" or (self.index is not None and self.index[axis] != "0")

    def slots(self, name: str) -> Iterator[str]:
        """The names of the number or the addresses that code with this place is given."""
        yield f"{name}.o" if self.number else f"{name}.p"
        if self.index is not None:
            yield f"{name}.ip"

    def bind(self, name: str, where: Where) -> dict[str, Word]:
        """The values of `slots`."""
        if self.number:
            return {f"{name}.o": where.offset}
        values: dict[str, Word] = {f"{name}.p": (where.buffer, where.offset)}
        if where.index is not None:
            values[f"{name}.ip"] = (where.index, where.index_offset)
        return values


@dataclass
class Numbers:
    """Strides and scales of a nest, and the names of those that are not 0 or 1."""

    names: dict[int, str] = field(default_factory=dict)

    def name(self, number: int) -> str:
        return str(number) if number in (0, 1) else self.names.setdefault(number, f"x{len(self.names)}")

    def shape(self, where: Where, wide: bool = False) -> Shape:
        index = None if where.index is None else tuple(map(self.name, where.index_strides))
        return Shape(tuple(map(self.name, where.strides)), index, wide, self.name(where.scale), not where.buffer)


@dataclass(frozen=True)
class Value:
    """What a write stores: a result of the body, or what it was reduced to."""

    result: int
    reduced: bool = False


@dataclass(frozen=True)
class Group:
    """Values stored together. Instance v of `entries` (value, shift, residue) goes to step·(v + shift) + residue.

    mode: "store", or of contributions that are summed "first" (nothing is there yet) or "add". step is 0 for the
    stride of `shape`, which then has one entry. inner: once per instance of the inner loops.
    """

    shape: Shape
    mode: str
    entries: tuple[tuple[Value, int, int], ...]
    step: int = 0
    inner: bool = False

    @property
    def shifts(self) -> int:
        return max(shift for _, shift, _ in self.entries)

    @property
    def dense(self) -> bool:
        """Whether every element between the first and the last is written."""
        return 0 < self.step == len({residue for _, _, residue in self.entries})

    def shifts_of(self, residue: int) -> list[int]:
        return [shift for _, shift, other in self.entries if other == residue]


@dataclass(frozen=True)
class Reduction:
    """A result reduced; a nest whose lane axis is reduced leaves partial results for each chunk."""

    result: int
    kind: str


@dataclass(frozen=True, eq=False)
class Sink:
    """Where a reduction over the lane axis goes: an element of a buffer for each instance of the outer axes."""

    kind: str
    add: bool
    buffer: str
    positions: NDArray[Any]


@dataclass(frozen=True)
class Nest:
    """A block as loops. `lane` is None for scalar code. Names of numbers it is given: `slots`."""

    width: int
    rank: int
    lane: int | None
    outer: tuple[int, ...]
    inner: tuple[int, ...]
    scan: int | None
    reverse: bool
    reads: tuple[Shape, ...]
    carries: tuple[Shape, ...]
    groups: tuple[Group, ...]
    reductions: tuple[Reduction, ...]
    lane_reduced: bool
    numbers: int

    @property
    def shifts(self) -> int:
        return max((group.shifts for group in self.groups), default=0)

    @property
    def partial(self) -> int:
        """Numbers that a chunk of a reduced lane axis leaves."""
        return 2 * self.width * len(self.reductions) if self.lane_reduced else 0

    def places(self) -> Iterator[tuple[str, Shape]]:
        """Every place by name."""
        yield from ((f"r{k}", shape) for k, shape in enumerate(self.reads))
        yield from ((f"c{k}", shape) for k, shape in enumerate(self.carries))
        yield from ((f"g{k}", group.shape) for k, group in enumerate(self.groups))

    @property
    def slots(self) -> list[str]:
        """The words of the table that the code is given: lengths, counts, then those of each place."""
        lengths = [f"n{axis}" for axis in range(self.rank)] + [f"x{number}" for number in range(self.numbers)]
        return [*lengths, "chunks", "partials", *(slot for name, shape in self.places() for slot in shape.slots(name))]


@dataclass(frozen=True, eq=False)
class Laid:
    """A nest with its body, and the numbers of one binding by slot; addresses are names of buffers."""

    nest: Nest
    body: Program
    values: dict[str, Word]
    chunks: int  # in all, of the kept axes too
    kept: int  # instances of the outer axes
    sinks: tuple[Sink, ...]
