"""Loop nests: the structure of native code for a block, apart from all numbers that may change without recompiling.

One axis, the lane axis, runs in vectors. Kept axes around it are split into chunks, which threads share; reduced axes
and a scan run inside. Writes become *groups*: results that go to one buffer at one stride along the lane axis, which
are put together in registers (shifted by whole instances, interleaved) and stored in one go.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from codegen.blocks.concrete import Where
from codegen.program import Program

# Instances along the lane axis per chunk: what threads share, and what a sum is added up in.
CHUNK = 2048
# Vectors added up plainly before a compensated addition.
RUN = 16
# The largest stride at which results are interleaved in registers.
INTERLEAVED = 8


@dataclass(frozen=True)
class Shape:
    """What native code knows of a place: per axis whether its stride is 0, 1 or anything else, and its index.

    wide: the index holds int64, else int32. scaled: the scale is not 1. number: it is the loop indices themselves.
    """

    strides: tuple[str, ...]
    index: tuple[str, ...] | None = None
    wide: bool = False
    scaled: bool = False
    number: bool = False

    def varies(self, axis: int) -> bool:
        return self.strides[axis] != "0" or (self.index is not None and self.index[axis] != "0")

    def slots(self, name: str) -> Iterator[str]:
        """The names of the numbers and addresses that code with this place is given."""
        yield from () if self.number else (f"{name}.p",)
        yield f"{name}.o"
        yield from (f"{name}.s{axis}" for axis, stride in enumerate(self.strides) if stride == "x")
        if self.index is not None:
            yield f"{name}.ip"
            yield f"{name}.io"
            yield from (f"{name}.is{axis}" for axis, stride in enumerate(self.index) if stride == "x")
            if self.scaled:
                yield f"{name}.scale"

    def bind(self, name: str, where: Where) -> dict[str, int | str]:
        """The values of `slots`: numbers, and for addresses the name of the buffer."""
        values: dict[str, int | str] = {f"{name}.p": where.buffer, f"{name}.o": where.offset}
        values |= {f"{name}.s{axis}": stride for axis, stride in enumerate(where.strides)}
        if where.index is not None:
            values |= {f"{name}.ip": where.index, f"{name}.io": where.index_offset, f"{name}.scale": where.scale}
            values |= {f"{name}.is{axis}": stride for axis, stride in enumerate(where.index_strides)}
        return {slot: values[slot] for slot in self.slots(name)}


def shape_of(where: Where, wide: bool = False) -> Shape:
    def kinds(strides: Sequence[int]) -> tuple[str, ...]:
        return tuple(str(stride) if stride in (0, 1) else "x" for stride in strides)

    index = None if where.index is None else kinds(where.index_strides)
    return Shape(kinds(where.strides), index, wide, where.scale != 1, not where.buffer)


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
    """A result reduced. In a nest whose lane axis is reduced, `sink` is where it goes, and `mode` is store or add."""

    result: int
    kind: str
    sink: Shape | None = None
    mode: str = "store"


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
        yield from ((f"m{k}", red.sink) for k, red in enumerate(self.reductions) if red.sink is not None)

    @property
    def slots(self) -> list[str]:
        """The words of the table that the code is given: lengths, counts, then those of each place."""
        lengths = [f"n{axis}" for axis in range(self.rank)]
        return [*lengths, "chunks", "partials", *(slot for name, shape in self.places() for slot in shape.slots(name))]


@dataclass(frozen=True, eq=False)
class Laid:
    """A nest with its body, and the numbers of one binding by slot; addresses are names of buffers."""

    nest: Nest
    body: Program
    values: dict[str, int | str]
    chunks: int  # in all, of the kept axes too
    kept: int  # instances of the outer axes
