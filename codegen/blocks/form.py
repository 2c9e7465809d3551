"""Blocks: straight-line programs mapped over index spaces, as plain data.

A `Blocks` is a list of named buffers (flat arrays) and an ordered list of blocks. A block runs a `Program` of scalar
arguments and results once per instance, which is a point of an index space of up to four axes: its reads say where
each argument comes from, its writes where each result goes. All lengths, strides and offsets are polynomials of named
sizes (`Size`), whose values are known when arrays are bound, so nothing here depends on how long anything is.

    >>> from codegen.program import Array
    >>> n = size("n")
    >>> body = Program("square", (Array("x"),), (Array("y"),), [("load", 0, 0), ("mul", 0, 0)], ((1,),))
    >>> block = Block("square", (n,), body, (affine("x", 0, 1),), (store(affine("y", 0, 1)),))
    >>> print(Blocks("squares", (Buffer("x", "input", n), Buffer("y", "output", n)), (block,)))
    blocks squares(n), float64
      input x[n]
      output y[n]
      square: i < n
        x = x[i]
        y[i] <- y
"""

from __future__ import annotations

from collections import Counter as Count
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import prod

from codegen.program import Program

AXES = ("i", "j", "k", "l")
BUFFER_KINDS = ("input", "data", "index", "work", "output")
REDUCTIONS = ("sum", "max", "logsumexp")
WRITE_KINDS = ("store", "add", *REDUCTIONS)
ELEMENTS = ("float64", "float32")


@dataclass(frozen=True)
class Size:
    """A polynomial of named sizes with integer coefficients: `terms` maps each product of names to its coefficient.

    Made by `size`; `+`, `-` and `*` take sizes, names and integers. Equal polynomials are equal.
    """

    terms: tuple[tuple[tuple[str, ...], int], ...] = ()

    def __add__(self, other: Length) -> Size:
        total = Count(dict(self.terms))
        for names, coefficient in size(other).terms:
            total[names] += coefficient
        return _collected(total)

    def __mul__(self, other: Length) -> Size:
        total: Count[tuple[str, ...]] = Count()
        for names, coefficient in self.terms:
            for others, factor in size(other).terms:
                total[tuple(sorted(names + others))] += coefficient * factor
        return _collected(total)

    def __neg__(self) -> Size:
        return self * -1

    def __sub__(self, other: Length) -> Size:
        return self + -size(other)

    def __rsub__(self, other: Length) -> Size:
        return size(other) - self

    __radd__ = __add__
    __rmul__ = __mul__

    @property
    def constant(self) -> int | None:
        """Its value if that depends on no size, else None."""
        if not self.terms:
            return 0
        (names, coefficient), *rest = self.terms
        return coefficient if not names and not rest else None

    @property
    def names(self) -> set[str]:
        return {name for names, _ in self.terms for name in names}

    def value(self, sizes: Mapping[str, int]) -> int:
        """Its value for values of the names."""
        return sum(coefficient * prod(sizes[name] for name in names) for names, coefficient in self.terms)

    def __str__(self) -> str:
        text = ""
        for names, coefficient in sorted(self.terms, key=lambda term: (-len(term[0]), term[0])):
            product = "·".join(names)
            number = "" if abs(coefficient) == 1 and names else str(abs(coefficient))
            sign = ("-" if coefficient < 0 else "") if not text else (" - " if coefficient < 0 else " + ")
            text += sign + number + product
        return text or "0"


Length = Size | int | str


def size(given: Length) -> Size:
    """A size from a name, an integer, or a size."""
    match given:
        case Size():
            return given
        case str():
            if not given.isidentifier():
                raise ValueError(f"the name of a size must be an identifier, got {given!r}")
            return Size((((given,), 1),))
    return Size((((), int(given)),)) if given else Size()


def _collected(total: Count[tuple[str, ...]]) -> Size:
    return Size(tuple(sorted((names, coefficient) for names, coefficient in total.items() if coefficient)))


@dataclass(frozen=True)
class Buffer:
    """A flat array: "input" and "output" are given at each call, "data" and "index" bound once, "work" is ours.

    An index holds integers (int32 or int64), everything else numbers of the blocks' element type. A work or output
    buffer that any block adds to is zero when a call begins; of others, what nothing has written is undefined.
    """

    name: str
    kind: str
    length: Size

    def __post_init__(self) -> None:
        if self.kind not in BUFFER_KINDS:
            raise ValueError(f"buffer {self.name!r}: kind must be one of {', '.join(BUFFER_KINDS)}, got {self.kind!r}")
        if not self.name.isidentifier():
            raise ValueError(f"buffer {self.name!r}: the name must be an identifier")


@dataclass(frozen=True)
class Affine:
    """offset + Σ strides[k]·(index along axis k); one stride per axis of the block."""

    offset: Size
    strides: tuple[Size, ...]

    def __str__(self) -> str:
        parts = []
        for axis, stride in zip(AXES, self.strides, strict=False):
            if stride.terms:
                factor = f"({stride})" if len(stride.terms) > 1 else str(stride)
                parts.append(axis if stride.constant == 1 else f"{factor}·{axis}")
        if self.offset.terms or not parts:
            parts.append(str(self.offset))
        return " + ".join(parts).replace("+ -", "- ")


@dataclass(frozen=True)
class Place:
    """An element of a buffer for each instance: at + scale·index[index_at], or just `at` without an index.

    Made by `affine` and `gathered`.
    """

    buffer: str
    at: Affine
    index: str | None = None
    index_at: Affine | None = None
    scale: Size = field(default_factory=lambda: size(1))

    def __str__(self) -> str:
        if self.index is None:
            return f"{self.buffer}[{self.at}]"
        factor = "" if self.scale.constant == 1 else f"({self.scale})·"
        rest = "" if str(self.at) == "0" else f" + {self.at}"
        return f"{self.buffer}[{factor}{self.index}[{self.index_at}]{rest}]"


@dataclass(frozen=True)
class Counter:
    """A read of the loop indices themselves, as a number: `at`."""

    at: Affine

    def __str__(self) -> str:
        return str(self.at)


Read = Place | Counter


@dataclass(frozen=True)
class Write:
    """Where a result goes, by kind.

    "store": there; no two instances may have the same place. "add": added to what is there; places may coincide.
    "sum", "max", "logsumexp": over the axes in `axes` (all instances that agree along the others), stored there; the
    place must not depend on these axes. Of nothing a sum is 0, a maximum or a log-sum-exp −inf.
    """

    kind: str
    place: Place
    axes: tuple[int, ...] = ()

    def __str__(self) -> str:
        match self.kind:
            case "store":
                return f"{self.place} <-"
            case "add":
                return f"{self.place} +="
        return f"{self.place} <- {self.kind} over {', '.join(AXES[axis] for axis in self.axes)} of"


@dataclass(frozen=True)
class Block:
    """A program run once per instance of an index space.

    axes: the lengths, at most four; none for a single instance. body: all arguments and results have shape (); its
    arguments are `reads`, then `carries`; its results `writes`, then the new values of `carries`. Reductions of one
    block are over the same axes. A block must not read a buffer that it writes.

    scan: the axis along which instances run one after the other, upwards, or downwards if `reverse`. `carries` are
    the places of the values that the first of them takes; they must not depend on that axis.
    """

    name: str
    axes: tuple[Size, ...]
    body: Program
    reads: tuple[Read, ...]
    writes: tuple[Write, ...]
    carries: tuple[Place, ...] = ()
    scan: int | None = None
    reverse: bool = False

    @cached_property
    def reduced(self) -> tuple[int, ...]:
        """The axes that reductions are over."""
        return next((write.axes for write in self.writes if write.kind in REDUCTIONS), ())

    def places(self) -> Iterator[Place]:
        yield from (read for read in self.reads if isinstance(read, Place))
        yield from (write.place for write in self.writes)
        yield from self.carries

    def read_from(self) -> set[str]:
        """The buffers, but indices, that it reads."""
        return {read.buffer for read in (*self.reads, *self.carries) if isinstance(read, Place)}

    def written_to(self) -> set[str]:
        return {write.place.buffer for write in self.writes}

    def __str__(self) -> str:
        space = ", ".join(f"{axis} < {length}" for axis, length in zip(AXES, self.axes, strict=False)) or "once"
        along = f", along {AXES[self.scan]}{' downwards' if self.reverse else ''}" if self.scan is not None else ""
        names = [argument.name for argument in self.body.arguments]
        results = [result.name for result in self.body.results]
        lines = [f"{self.name}: {space}{along}"]
        lines += [f"  {name} = {read}" for name, read in zip(names, self.reads, strict=False)]
        for name, start, new in zip(names[len(self.reads) :], self.carries, results[len(self.writes) :], strict=False):
            lines.append(f"  {name} = {start}, then {new}")
        lines += [f"  {write} {name}" for name, write in zip(results, self.writes, strict=False)]
        return "\n".join(lines)


@dataclass(frozen=True)
class Blocks:
    """Buffers and the blocks that run over them, one after the other.

    Raises ValueError for anything that has no meaning, with the block and what is wrong.
    """

    name: str
    buffers: tuple[Buffer, ...]
    blocks: tuple[Block, ...]
    element: str = "float64"

    def __post_init__(self) -> None:
        if self.element not in ELEMENTS:
            raise ValueError(f"{self.name}: element must be one of {', '.join(ELEMENTS)}, got {self.element!r}")
        if len(self.by_name) != len(self.buffers):
            repeated = [name for name, times in Count(buffer.name for buffer in self.buffers).items() if times > 1]
            raise ValueError(f"{self.name}: two buffers have the name {repeated[0]!r}")
        for block in self.blocks:
            try:
                self._check(block)
            except ValueError as error:
                raise ValueError(f"{self.name}, block {block.name}: {error}") from None

    def _check(self, block: Block) -> None:
        body, rank = block.body, len(block.axes)
        if rank > len(AXES):
            raise ValueError(f"at most {len(AXES)} axes, got {rank}")
        if shaped := [array.name for array in (*body.arguments, *body.results) if array.shape]:
            raise ValueError(f"arguments and results of a body are numbers, but {shaped[0]} has a shape")
        if len(body.arguments) != len(block.reads) + len(block.carries):
            given = f"{len(block.reads)} reads and {len(block.carries)} carries"
            raise ValueError(f"{len(body.arguments)} arguments, but {given}")
        if len(body.results) != len(block.writes) + len(block.carries):
            given = f"{len(block.writes)} writes and {len(block.carries)} carries"
            raise ValueError(f"{len(body.results)} results, but {given}")
        if (block.scan is None) == bool(block.carries) or block.scan not in (None, *range(rank)):
            raise ValueError(f"carries need a scan axis below {rank}, and a scan axis needs carries")
        for read in block.reads:
            self._check_read(read, rank)
        for start in block.carries:
            self._check_read(start, rank)
            if block.scan is not None and depends(start, block.scan):
                raise ValueError(f"the start {start} of a carry depends on the axis it is carried along")
        for write in block.writes:
            self._check_write(block, write)
        if both := block.read_from() & block.written_to():
            raise ValueError(f"it reads and writes {min(both)}")

    def _check_read(self, read: Read, rank: int) -> None:
        if isinstance(read, Counter):
            _check_rank(read.at, rank)
            return
        if self.buffer(read.buffer).kind == "index":
            raise ValueError(f"{read} reads indices as numbers")
        self._check_place(read, rank)

    def _check_place(self, place: Place, rank: int) -> None:
        _check_rank(place.at, rank)
        if (place.index is None) != (place.index_at is None):
            raise ValueError(f"{place} needs both an index and where to read it, or neither")
        if place.index is not None and place.index_at is not None:
            _check_rank(place.index_at, rank)
            if self.buffer(place.index).kind != "index":
                raise ValueError(f"{place.index} is a buffer of numbers, not of indices")

    def _check_write(self, block: Block, write: Write) -> None:
        if write.kind not in WRITE_KINDS:
            raise ValueError(f"the kind of a write must be one of {', '.join(WRITE_KINDS)}, got {write.kind!r}")
        if self.buffer(write.place.buffer).kind not in ("work", "output"):
            raise ValueError(f"it writes {write.place.buffer}, which is {self.buffer(write.place.buffer).kind}")
        self._check_place(write.place, len(block.axes))
        if write.kind not in REDUCTIONS:
            if write.axes:
                raise ValueError(f"a {write.kind!r} has no axes, got {write.axes}")
            return
        if tuple(sorted(set(write.axes))) != write.axes or not set(write.axes) <= set(range(len(block.axes))):
            raise ValueError(f"axes of a reduction must be increasing and below {len(block.axes)}, got {write.axes}")
        if not write.axes or write.axes != block.reduced:
            raise ValueError(f"reductions of a block are over the same axes, at least one; got {write.axes}")
        if block.scan is not None:
            raise ValueError("a block that scans cannot reduce; reduce what it stores in a further block")
        if any(depends(write.place, axis) for axis in write.axes):
            raise ValueError(f"{write.place} depends on an axis that it is reduced over")

    @cached_property
    def by_name(self) -> dict[str, Buffer]:
        return {buffer.name: buffer for buffer in self.buffers}

    def buffer(self, name: str) -> Buffer:
        if name not in self.by_name:
            raise ValueError(f"there is no buffer {name!r}; there are {', '.join(self.by_name)}")
        return self.by_name[name]

    def of_kind(self, *kinds: str) -> tuple[Buffer, ...]:
        return tuple(buffer for buffer in self.buffers if buffer.kind in kinds)

    @cached_property
    def sizes(self) -> tuple[str, ...]:
        """The names of all sizes, in alphabetical order."""
        return tuple(sorted(set().union(*(length.names for length in self._lengths()))))

    def _lengths(self) -> Iterator[Size]:
        yield from (buffer.length for buffer in self.buffers)
        for block in self.blocks:
            yield from block.axes
            for place in block.places():
                yield place.scale
                for at in (place.at, place.index_at):
                    yield from (at.offset, *at.strides) if at is not None else ()
            for read in block.reads:
                if isinstance(read, Counter):
                    yield from (read.at.offset, *read.at.strides)

    @property
    def operations(self) -> dict[str, int]:
        """Instructions per instance, by block."""
        return {block.name: block.body.operations for block in self.blocks}

    @cached_property
    def added_to(self) -> frozenset[str]:
        """The buffers that are zero when a call begins, since some block adds to them."""
        return frozenset(w.place.buffer for block in self.blocks for w in block.writes if w.kind == "add")

    def __str__(self) -> str:
        lines = [f"blocks {self.name}({', '.join(self.sizes)}), {self.element}"]
        lines += [f"  {buffer.kind} {buffer.name}[{buffer.length}]" for buffer in self.buffers]
        for block in self.blocks:
            lines += [f"  {line}" for line in str(block).splitlines()]
        return "\n".join(lines)


def _check_rank(at: Affine, rank: int) -> None:
    if len(at.strides) != rank:
        raise ValueError(f"the place {at} has {len(at.strides)} strides for {rank} axes")


def depends(place: Place, axis: int) -> bool:
    """Whether a place may differ between instances along an axis."""
    ways = [place.at, place.index_at] if place.index_at is not None else [place.at]
    return any(at.strides[axis].terms for at in ways)


def affine(buffer: str, offset: Length = 0, *strides: Length) -> Place:
    """The element offset + Σ strides[k]·(index along axis k)."""
    return Place(buffer, Affine(size(offset), tuple(map(size, strides))))


def gathered(
    buffer: str, index: Place, scale: Length = 1, offset: Length = 0, strides: tuple[Length, ...] | None = None
) -> Place:
    """The element scale·(element of an index) + offset + Σ strides[k]·(index along axis k); strides default to 0."""
    if index.index is not None:
        raise ValueError(f"{index} is gathered itself; an index must be read at an affine place")
    every = (0,) * len(index.at.strides) if strides is None else strides
    return Place(buffer, Affine(size(offset), tuple(map(size, every))), index.buffer, index.at, size(scale))


def counter(offset: Length = 0, *strides: Length) -> Counter:
    """The number offset + Σ strides[k]·(index along axis k)."""
    return Counter(Affine(size(offset), tuple(map(size, strides))))


def store(place: Place) -> Write:
    return Write("store", place)


def add(place: Place) -> Write:
    return Write("add", place)


def reduce(kind: str, place: Place, *axes: int) -> Write:
    return Write(kind, place, tuple(axes))
