"""Random blocks: native code against NumPy's meaning, whatever is read, computed, added, reduced and carried."""

import dataclasses
import random

import numpy as np
import pytest
from block_cases import WIDTHS

from codegen import Array, Program, host
from codegen.blocks import (
    Block,
    Blocks,
    Buffer,
    add,
    affine,
    compile_blocks,
    counter,
    gathered,
    interpret,
    reduce,
    size,
    store,
)
from codegen.blocks.concrete import span
from codegen.target import NAMED

LENGTHS = (1, 1, 2, 3, 5, 8, 9, 17, 40, 70, 300)


class Maker:
    """Draws buffers, blocks and arrays; every number is bounded, so that sums differ by rounding alone."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.rng = np.random.default_rng(seed)
        self.lengths: dict[str, int] = {}
        self.kinds: dict[str, str] = {}
        self.arrays: dict[str, np.ndarray] = {}
        self.written: list[str] = []

    def buffer(self, kind: str, length: int) -> str:
        name = f"{kind}{len(self.lengths)}"
        self.lengths[name], self.kinds[name] = length, kind
        return name

    def strides(self, axes: list[int], *, apart: bool) -> list[int]:
        """Strides of an affine place; `apart` if no two instances may meet."""
        if not apart:
            return [self.draw.choice((0, 0, 1, 1, 2, 3, -1, 7)) for _ in axes]
        order, strides, step = list(range(len(axes))), [0] * len(axes), self.draw.choice((1, 1, 1, 2, 3, 9))
        self.draw.shuffle(order)
        for axis in order:
            strides[axis] = step * self.draw.choice((1, 1, -1))
            step *= axes[axis] + self.draw.choice((0, 0, 1))
        return strides

    def place(self, name_of, axes: list[int], strides: list[int]):
        """A place with these strides in a buffer that is long enough."""
        low, high = span(0, tuple(strides), tuple(axes))
        more = self.draw.choice((0, 0, 1, 4))
        return affine(name_of(high - low + 1 + more + self.draw.choice((0, 0, 3))), more - low, *strides)

    def index(self, axes: list[int], limit: int, *, apart: bool):
        """An index over the axes, and where to read it."""
        shape = [n if apart or self.draw.random() < 0.7 else 1 for n in axes]
        count = int(np.prod(shape))
        values = self.rng.permutation(limit)[:count] if apart else self.rng.integers(0, limit, count)
        if self.draw.random() < 0.2:
            values = np.arange(count) % limit
        name = self.buffer("index", count)
        self.arrays[name] = values.astype(self.draw.choice((np.int32, np.int64)))
        strides, step = [0] * len(axes), 1
        for axis in reversed(range(len(axes))):
            strides[axis] = step if shape[axis] > 1 else 0
            step *= shape[axis]
        return affine(name, 0, *strides)

    def source(self, length: int) -> str:
        old = [name for name in self.written if self.lengths[name] >= length]
        if old and self.draw.random() < 0.5:
            return self.draw.choice(old)
        return self.buffer(self.draw.choice(("input", "data")), length)

    def read(self, axes: list[int]):
        kind = self.draw.random()
        if kind < 0.1:
            return counter(self.draw.randrange(3), *(self.draw.choice((0, 1, -2)) for _ in axes))
        if kind < 0.7:
            return self.place(self.source, axes, self.strides(axes, apart=False))
        limit, scale, more = self.draw.choice((3, 50)), self.draw.choice((1, 1, 2)), self.draw.randrange(3)
        strides = [self.draw.choice((0, 0, 1)) for _ in axes]
        length = scale * limit + more + sum(s * n for s, n in zip(strides, axes, strict=True))
        return gathered(self.source(length), self.index(axes, limit, apart=False), scale, more, tuple(strides))

    def target(self, length: int, new: list[str], *, shared: list[str]) -> str:
        old = [name for name in shared if self.lengths[name] >= length]
        if old and self.draw.random() < 0.5:
            return self.draw.choice(old)
        name = self.buffer(self.draw.choice(("work", "output")), length)
        new.append(name)
        return name

    def write(self, axes: list[int], over: tuple[int, ...], new: list[str], sums: list[str]):
        kind = self.draw.random()
        rest = [1 if axis in over else n for axis, n in enumerate(axes)]
        if over and kind < 0.4:
            strides = [0 if axis in over else s for axis, s in enumerate(self.strides(rest, apart=True))]
            place = self.place(lambda length: self.target(length, new, shared=[]), rest, strides)
            return reduce(self.draw.choice(("sum", "max", "logsumexp")), place, *over)
        if kind < 0.55:
            return store(self.place(lambda n: self.target(n, new, shared=[]), axes, self.strides(axes, apart=True)))
        if kind < 0.62:
            count = int(np.prod(axes))
            return store(gathered(self.target(count + 3, new, shared=[]), self.index(axes, count + 3, apart=True)))

        def sum_into(length: int) -> str:
            fresh: list[str] = []
            name = self.target(length, fresh, shared=sums)
            sums.extend(fresh)
            new.extend(fresh)
            return name

        if kind < 0.85:
            return add(self.place(sum_into, axes, self.strides(axes, apart=False)))
        limit = self.draw.choice((1, 4, 60, 3000))
        return add(gathered(sum_into(limit), self.index(axes, limit, apart=False)))

    def body(self, inputs: int, outputs: int) -> Program:
        lines: list[tuple] = [("load", k, 0) for k in range(inputs)]
        # Sums may be large: an exponential of one would make a difference of rounding anything.
        lines += [("const", 0.75), *(("sin", k) for k in range(inputs))]
        usable = list(range(inputs, len(lines)))
        for _ in range(self.draw.randrange(3, 14)):
            a, b = self.draw.choice(usable), self.draw.choice(usable)
            name = self.draw.choice(("add", "sub", "mul", "sin", "cos", "exp", "minimum", "atan2"))
            lines.append((name, a) if name in ("sin", "cos", "exp") else (name, a, b))
            lines.append(("sin", len(lines) - 1))
            usable += [len(lines) - 2, len(lines) - 1] if name != "exp" else [len(lines) - 1]
        values = [(self.draw.choice(usable),) for _ in range(outputs)]
        names = [tuple(Array(f"{letter}{k}") for k in range(n)) for letter, n in (("x", inputs), ("y", outputs))]
        return Program("body", names[0], names[1], lines, tuple(values))

    def block(self, number: int, sums: list[str]) -> Block:
        axes = [self.draw.choice(LENGTHS) for _ in range(self.draw.choice((0, 1, 1, 1, 2, 2, 3)))]
        while np.prod(axes) > 20_000:
            axes.pop()
        scan = self.draw.randrange(len(axes)) if axes and self.draw.random() < 0.2 else None
        if scan is not None:
            axes[scan] = min(axes[scan], 9)  # a recurrence makes differences of rounding grow
        over = tuple(axis for axis in range(len(axes)) if self.draw.random() < 0.5) if scan is None else ()
        reads = tuple(self.read(axes) for _ in range(self.draw.randrange(1, 5)))
        carries: tuple = ()
        if scan is not None:
            first = [1 if axis == scan else n for axis, n in enumerate(axes)]
            strides = [0 if axis == scan else self.draw.choice((0, 1)) for axis in range(len(axes))]
            carries = (self.place(self.source, first, strides),)
        taken = {read.buffer for read in (*reads, *carries) if hasattr(read, "buffer")}
        new: list[str] = []
        mine = [name for name in sums if name not in taken]
        writes = tuple(self.write(axes, over, new, mine) for _ in range(self.draw.randrange(1, 5)))
        sums.extend(name for name in mine if name not in sums)
        self.written += new
        body = self.body(len(reads) + len(carries), len(writes) + len(carries))
        reverse = scan is not None and self.draw.random() < 0.5
        return Block(f"block{number}", tuple(map(size, axes)), body, reads, writes, carries, scan, reverse)

    def blocks(self) -> Blocks:
        sums: list[str] = []
        made = tuple(self.block(number, sums) for number in range(self.draw.randrange(1, 5)))
        buffers = tuple(Buffer(name, kind, size(self.lengths[name])) for name, kind in self.kinds.items())
        for name, kind in self.kinds.items():
            if kind in ("input", "data"):
                self.arrays[name] = self.rng.uniform(-1, 1, self.lengths[name])
        return Blocks("fuzz", buffers, made)


def check(seed: int) -> None:
    maker = Maker(seed)
    blocks = maker.blocks()
    # What nothing has written may be anything: it must not be read.
    expected = interpret(blocks, {}, maker.arrays)
    if any(np.isnan(array).any() for array in expected.values()):
        read = set().union(*(block.read_from() for block in blocks.blocks))
        if any(np.isnan(expected[name]).any() for name in read):
            return
    # Besides the host's vectors those of a machine without masks, gathers and fused products, if it can run here.
    targets = [dataclasses.replace(host(), width=width) for width in WIDTHS]
    target = maker.draw.choice([*targets, NAMED["x86-64"]] if host().arch == "x86_64" else targets)
    bound = compile_blocks(blocks, target=target).bind(maker.arrays)
    for threads in (1, 2):
        found = bound.run(maker.arrays, threads=threads)
        for buffer, array in zip(bound.outputs, found, strict=True):
            other = expected[buffer.name]
            known = ~np.isnan(other)
            scale = np.abs(other[known]).max(initial=1)
            np.testing.assert_allclose(
                array[known], other[known], rtol=0, atol=1e-9 * scale, err_msg=f"seed {seed}, {buffer.name}\n{blocks}"
            )


@pytest.mark.parametrize("seed", range(25))
def test_random_blocks(seed):
    check(seed)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(25, 2000))
def test_more_random_blocks(seed):
    check(seed)
