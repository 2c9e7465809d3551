"""Native code of blocks against their meaning by NumPy: every read and write, every width and length, any threads."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
from block_cases import LENGTHS, SMALL, WIDTHS, agree, program

from codegen import host
from codegen.blocks import (
    Block,
    Blocks,
    Buffer,
    add,
    affine,
    compile_blocks,
    counter,
    gathered,
    reduce,
    size,
    store,
)

n, m = size("n"), size("m")


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(
    "steps",
    [
        (1, (0, 0, 1)),
        (1, (0, 1, 2)),
        (2, (0, 1, 3)),
        (3, (0, 1, 2)),
        (3, (2, 5, 0)),
        (2, (0, 2, 4)),
        (5, (4, 0, 9)),
        (9, (0, 1, 2)),
        (-2, (0, 1, 3)),
    ],
)
def test_sums_at_affine_places(width, steps):
    step, places = steps
    start = 10 if step > 0 else 10 - step * n
    writes = tuple(add(affine("y", start + place, step)) for place in places)
    block = Block("b", (n,), SMALL, (affine("x", 0, 1), affine("x", 1, 1), affine("z", 0, 0)), writes)
    buffers = (
        Buffer("x", "input", n + 1),
        Buffer("z", "input", size(1)),
        Buffer("y", "output", abs(step) * n + 40),
    )
    blocks = Blocks("sums", buffers, (block,))
    code = compile_blocks(blocks, target=dataclasses.replace(host(), width=width))
    rng = np.random.default_rng(0)
    for length in LENGTHS:
        agree(blocks, {"n": length}, {"x": rng.normal(size=length + 1), "z": rng.normal(size=1)}, code=code)


def test_affine_sums_of_whole_buffers_are_one_pass():
    block = Block("b", (n,), SMALL, (affine("x", 0, 1),) * 3, tuple(add(affine("y", k, 2)) for k in range(3)))
    blocks = Blocks("sums", (Buffer("x", "input", n), Buffer("y", "output", 2 * n + 1)), (block,))
    bound = compile_blocks(blocks).bind(sizes={"n": 1000})
    assert len(bound.layout.stages) == 1
    assert [group.mode for group in bound.layout.stages[0].nest.groups] == ["first"]


@pytest.mark.parametrize("width", WIDTHS)
def test_reads_and_stores_of_every_kind(width):
    block = Block(
        "b",
        (m, n),
        SMALL,
        (affine("x", 0, 1, m), gathered("v", affine("at", 2, n, 1), 2, 1, (1, 0)), counter(-3, 10, -1)),
        (
            store(affine("p", 0, n, 1)),
            store(affine("d", 0, 1, m)),
            store(gathered("e", affine("into", 0, 0, 1), 1, 0, (n, 0))),
        ),
    )
    buffers = (
        Buffer("x", "input", n * m),
        Buffer("v", "input", size(60)),
        Buffer("at", "index", n * m + 2),
        Buffer("into", "index", n),
        *(Buffer(name, "output", n * m) for name in "pde"),
    )
    blocks = Blocks("every", buffers, (block,))
    code = compile_blocks(blocks, target=dataclasses.replace(host(), width=width))
    rng = np.random.default_rng(1)
    for rows, columns in itertools.product((0, 1, 3, 9), (0, 1, 8, 13, 70)):
        for kind in (np.int32, np.int64):
            arrays = {
                "x": rng.normal(size=rows * columns),
                "v": rng.normal(size=60),
                "at": rng.integers(0, 25, rows * columns + 2).astype(kind),
                "into": rng.permutation(columns).astype(kind),
            }
            agree(blocks, {"n": columns, "m": rows}, arrays, code=code)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("axes", [(0,), (1,), (0, 1), (0, 2), (1, 2), (0, 1, 2)])
def test_reductions_over_any_axes(width, axes):
    lengths = (n, m, size("k"))
    kept = [axis for axis in range(3) if axis not in axes]
    strides, whole = [size(0)] * 3, size(1)
    for axis in reversed(kept):
        strides[axis], whole = whole, whole * lengths[axis]
    writes = (
        *(reduce(kind, affine(name, 0, *strides), *axes) for kind, name in (("sum", "s"), ("max", "t"))),
        reduce("logsumexp", affine("l", 0, *strides), *axes),
    )
    k = lengths[2]
    reads = (affine("x", 0, m * k, k, 1), affine("y", 0, 0, 1, 0), affine("z", 0, 1, 0, n))
    buffers = (
        Buffer("x", "input", n * m * k),
        Buffer("y", "input", m),
        Buffer("z", "input", n * k),
        *(Buffer(name, "output", whole) for name in "stl"),
    )
    body = program(
        "x y z",
        "p d e",
        [("load", 0, 0), ("load", 1, 0), ("load", 2, 0), ("mul", 0, 1), ("add", 3, 2), ("sin", 1), ("mul", 5, 0)],
        (4, 6, 4),
    )
    blocks = Blocks("reductions", buffers, (Block("b", lengths, body, reads, writes),))
    code = compile_blocks(blocks, target=dataclasses.replace(host(), width=width))
    rng = np.random.default_rng(2)
    for shape in ((3, 4, 5), (40, 3, 2), (2, 37, 9), (1, 1, 1), (17, 16, 33), (4, 0, 3), (5000, 2, 1)):
        sizes = dict(zip("nmk", shape, strict=True))
        arrays = {b.name: rng.normal(size=b.length.value(sizes)) for b in buffers[:3]}
        agree(blocks, sizes, arrays, code=code)


def test_sums_that_are_reductions_add_up_over_blocks():
    one = Block("one", (n,), SMALL, (affine("x", 0, 1),) * 3, tuple(add(affine("f", k, 0)) for k in (0, 1, 0)))
    two = Block(
        "two",
        (m, n),
        SMALL,
        (affine("x", 0, 0, 1),) * 3,
        tuple(add(affine("f", k, p, q)) for k, p, q in ((0, 0, 0), (1, 1, 0), (0, 0, 1))),
    )
    blocks = Blocks("f", (Buffer("x", "input", n), Buffer("f", "output", n + m + 2)), (one, two))
    rng = np.random.default_rng(3)
    for length, rows in ((1, 1), (9, 3), (300, 40), (3000, 5)):
        agree(blocks, {"n": length, "m": rows}, {"x": rng.normal(size=length)})


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("spread", [1, 3, 50, 4000])
def test_sums_through_an_index(width, spread):
    """Segments of every length: all in one element, or hardly any together."""
    reads = (gathered("v", affine("from", 0, 1)), gathered("v", affine("to", 0, 1)), affine("x", 0, 1))
    writes = (
        add(gathered("p", affine("from", 0, 1))),
        add(gathered("p", affine("to", 0, 1))),
        add(gathered("q", affine("to", 0, 1), 2, 1)),
    )
    buffers = (
        Buffer("v", "input", m),
        Buffer("x", "input", n),
        Buffer("from", "index", n),
        Buffer("to", "index", n),
        Buffer("p", "output", m),
        Buffer("q", "output", 2 * m),
    )
    blocks = Blocks("flows", buffers, (Block("b", (n,), SMALL, reads, writes),))
    code = compile_blocks(blocks, target=dataclasses.replace(host(), width=width))
    rng = np.random.default_rng(4)
    for length in LENGTHS:
        arrays = {
            "v": rng.normal(size=spread),
            "x": rng.normal(size=length),
            "from": rng.integers(0, spread, length),
            "to": rng.integers(0, spread, length).astype(np.int32),
        }
        agree(blocks, {"n": length, "m": spread}, arrays, code=code)


def test_sums_of_several_blocks_and_a_read_between():
    first = Block(
        "first",
        (n,),
        SMALL,
        (affine("x", 0, 1),) * 3,
        (add(affine("w", 0, 1)), add(gathered("w", affine("at", 0, 1))), store(affine("e", 0, 1))),
    )
    second = Block(
        "second",
        (n,),
        SMALL,
        (affine("w", 0, 1), affine("e", 0, 1), affine("x", 0, 1)),
        (add(gathered("y", affine("at", 0, 1))), add(affine("y", 1, 1)), add(affine("w2", 0, 1))),
    )
    third = Block(
        "third",
        (n,),
        SMALL,
        (affine("x", 0, 1),) * 3,
        (add(gathered("w", affine("at", 0, 1))), add(affine("y", 0, 1)), add(gathered("y", affine("at", 0, 1)))),
    )
    buffers = (
        Buffer("x", "input", n),
        Buffer("at", "index", n),
        Buffer("w", "work", n),
        Buffer("e", "work", n),
        Buffer("w2", "output", n),
        Buffer("y", "output", n + 1),
        Buffer("untouched", "output", n),
    )
    last = Block(
        "last",
        (n,),
        SMALL,
        (affine("w", 0, 1),) * 3,
        (store(affine("untouched", 0, 1)), add(affine("y", 0, 0)), add(affine("y", 1, 0))),
    )
    blocks = Blocks("several", buffers, (first, second, third, last))
    rng = np.random.default_rng(5)
    for length in (1, 5, 64, 3000):
        arrays = {"x": rng.normal(size=length) / 9, "at": rng.integers(0, length, length)}
        agree(blocks, {"n": length}, arrays, rtol=1e-11)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("scan", [0, 1])
def test_recurrences(width, reverse, scan):
    """y ← x·y + z, w ← sin y + w along an axis, of which both are stored and one is summed through an index."""
    body = program(
        "x z y w",
        "s t u y w",
        [
            ("load", 0, 0),
            ("load", 1, 0),
            ("load", 2, 0),
            ("load", 3, 0),
            ("mul", 0, 2),
            ("add", 4, 1),
            ("sin", 2),
            ("add", 6, 3),
        ],
        (5, 7, 7, 5, 7),
    )
    along = [size(0), size(0)]
    along[1 - scan] = size(1)
    block = Block(
        "b",
        (m, n),
        body,
        (affine("x", 0, n, 1), affine("z", 0, 0, 1)),
        (store(affine("s", 0, n, 1)), store(affine("t", 0, 1, m)), add(affine("u", 0, *along))),
        (affine("y", 0, *along), affine("y", 1, *along)),
        scan,
        reverse,
    )
    buffers = (
        Buffer("x", "input", m * n),
        Buffer("z", "input", n),
        Buffer("y", "input", n + m + 1),
        Buffer("s", "output", m * n),
        Buffer("t", "output", m * n),
        Buffer("u", "output", n + m),
    )
    blocks = Blocks("recurrence", buffers, (block,))
    code = compile_blocks(blocks, target=dataclasses.replace(host(), width=width))
    rng = np.random.default_rng(6)
    for shape in ((1, 1), (3, 7), (9, 2), (40, 33), (0, 3), (3, 0)):
        sizes = dict(zip("mn", shape, strict=True))
        arrays = {b.name: rng.normal(size=b.length.value(sizes)) / 3 for b in buffers[:3]}
        agree(blocks, sizes, arrays, code=code)


def test_a_cumulative_sum_is_scalar_code():
    body = program("x c", "y c", [("load", 0, 0), ("load", 1, 0), ("add", 0, 1)], (2, 2))
    block = Block("b", (n,), body, (affine("x", 0, 1),), (store(affine("y", 0, 1)),), (affine("zero", 0, 0),), 0)
    blocks = Blocks(
        "cumsum", (Buffer("x", "input", n), Buffer("zero", "data", size(1)), Buffer("y", "output", n)), (block,)
    )
    x = np.random.default_rng(7).normal(size=1000)
    (y,) = agree(blocks, {"n": 1000}, {"x": x, "zero": np.zeros(1)})
    np.testing.assert_array_equal(y, np.cumsum(x))


def test_a_single_instance():
    block = Block(
        "b", (), SMALL, (affine("x", 0), affine("x", 1), affine("x", 2)), tuple(store(affine("y", k)) for k in range(3))
    )
    blocks = Blocks("once", (Buffer("x", "input", size(3)), Buffer("y", "output", size(3))), (block,))
    agree(blocks, {}, {"x": np.array([1.5, -2.0, 0.25])})


def special(kind, values):
    body = program("x", "r", [("load", 0, 0)], (0,))
    block = Block("b", (n,), body, (affine("x", 0, 1),), (reduce(kind, affine("r", 0, 0), 0),))
    blocks = Blocks("special", (Buffer("x", "input", n), Buffer("r", "output", size(1))), (block,))
    ((found,),) = compile_blocks(blocks).bind(sizes={"n": len(values)}).run([np.array(values, float)])
    return found


@pytest.mark.parametrize("length", [1, 3, 8, 20, 5000])
def test_reductions_of_special_values(length):
    inf, nan, rest = np.inf, np.nan, [1.0] * (length - 1)
    assert special("sum", [inf, *rest]) == inf
    assert special("sum", [*rest, -inf]) == -inf
    assert np.isnan(special("sum", [inf, -inf, *rest]))
    for kind in ("sum", "max", "logsumexp"):
        assert np.isnan(special(kind, [*rest, nan]))
        assert np.isnan(special(kind, [nan, *rest]))
    assert special("max", [-inf] * length) == -inf
    assert special("logsumexp", [-inf] * length) == -inf
    assert special("logsumexp", [inf, *rest]) == inf
    assert special("logsumexp", [1000.0] * length) == pytest.approx(1000 + np.log(length), rel=1e-15)
    assert special("logsumexp", [-inf, *[-2000.0] * length]) == pytest.approx(-2000 + np.log(length), rel=1e-15)


def test_reductions_of_nothing():
    assert special("sum", []) == 0
    assert special("max", []) == -np.inf
    assert special("logsumexp", []) == -np.inf


def test_sums_are_compensated():
    rng = np.random.default_rng(8)
    x = rng.normal(size=1 << 17) * np.exp(rng.normal(size=1 << 17) * 5)
    exact = math.fsum(x)
    assert abs(special("sum", x) - exact) <= 1e-16 * np.abs(x).sum()
