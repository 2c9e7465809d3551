"""Native code of blocks against their meaning by NumPy: every read and write, every width and length, any threads."""

import dataclasses
import itertools
import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

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

n, m = size("n"), size("m")
WIDTHS = [width for width in (1, 2, 4, 8) if width <= host().width]


def program(arguments, results, body, outputs, name="b"):
    return Program(
        name,
        tuple(Array(a) for a in arguments.split()),
        tuple(Array(r) for r in results.split()),
        body,
        tuple((value,) for value in outputs),
    )


def agree(blocks, sizes, arrays, *, width=None, threads=1, rtol=1e-12, code=None):
    """Run natively and by NumPy; gives the native outputs."""
    target = host() if width is None else dataclasses.replace(host(), width=width)
    code = code or compile_blocks(blocks, target=target)
    bound = code.bind({b.name: arrays[b.name] for b in blocks.of_kind("data", "index")}, sizes)
    found = bound.run(arrays, threads=threads)
    expected = interpret(blocks, sizes, arrays)
    for buffer, array in zip(bound.outputs, found, strict=True):
        kept = ~np.isnan(expected[buffer.name]) if buffer.name not in blocks.added_to else slice(None)
        scale = np.abs(expected[buffer.name][kept]).max(initial=1)
        np.testing.assert_allclose(
            array[kept], expected[buffer.name][kept], rtol=rtol, atol=rtol * scale, err_msg=buffer.name
        )
    return found


LENGTHS = (0, 1, 2, 7, 8, 9, 31, 2047, 2048, 2049, 2056, 5000)
# x·y + z, x - y, exp of the latter
SMALL = program(
    "x y z",
    "p d e",
    [("load", 0, 0), ("load", 1, 0), ("load", 2, 0), ("mul", 0, 1), ("add", 3, 2), ("sub", 0, 1), ("exp", 5)],
    (4, 5, 6),
)


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


def test_the_bits_do_not_depend_on_threads():
    reads = (affine("x", 0, 1), affine("x", 1, 1), gathered("x", affine("at", 0, 1)))
    writes = (
        add(affine("y", 0, 3)),
        add(affine("y", 4, 3)),
        add(gathered("z", affine("at", 0, 1))),
    )
    again = (
        reduce("sum", affine("s", 0, 0), 0),
        reduce("max", affine("s", 1, 0), 0),
        reduce("logsumexp", affine("s", 2, 0), 0),
    )
    buffers = (
        Buffer("x", "input", n + 1),
        Buffer("at", "index", n),
        Buffer("y", "output", 3 * n + 4),
        Buffer("z", "output", n),
        Buffer("s", "output", size(3)),
    )
    blocks = Blocks("b", buffers, (Block("one", (n,), SMALL, reads, writes), Block("two", (n,), SMALL, reads, again)))
    rng = np.random.default_rng(9)
    length = 300_000
    x, at = rng.normal(size=length + 1), rng.integers(0, length, length)
    bound = compile_blocks(blocks).bind({"at": at}, {"n": length})
    first = bound.run([x], threads=1)
    for threads in (2, 3, 7, None):
        for one, other in zip(first, bound.run([x], threads=threads), strict=True):
            np.testing.assert_array_equal(one, other)
    expected = interpret(blocks, {"n": length}, {"x": x, "at": at})
    for buffer, found in zip(bound.outputs, first, strict=True):
        np.testing.assert_allclose(found, expected[buffer.name], rtol=1e-12, atol=1e-11)


def test_calls_side_by_side():
    block = Block(
        "b",
        (n,),
        SMALL,
        (affine("x", 0, 1),) * 3,
        (add(gathered("y", affine("at", 0, 1))), store(affine("w", 0, 1)), reduce("sum", affine("s", 0, 0), 0)),
    )
    buffers = (
        Buffer("x", "input", n),
        Buffer("at", "index", n),
        Buffer("y", "output", n),
        Buffer("w", "work", n),
        Buffer("s", "output", size(1)),
    )
    bound = compile_blocks(Blocks("b", buffers, (block,))).bind({"at": np.arange(3000)[::-1] // 2})
    inputs = [np.random.default_rng(k).normal(size=3000) for k in range(8)]
    alone = [bound.run([x]) for x in inputs]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(20):
            for one, other in zip(alone, pool.map(lambda x: bound.run([x]), inputs), strict=True):
                np.testing.assert_array_equal(one[0], other[0])
                np.testing.assert_array_equal(one[1], other[1])


def test_arrays_are_replaced_without_new_code():
    block = Block(
        "b",
        (n,),
        SMALL,
        (gathered("x", affine("at", 0, 1)), affine("d", 0, 1), affine("d", 0, 0)),
        (add(gathered("y", affine("at", 0, 1))), add(affine("z", 0, 1)), add(affine("z", 1, 1))),
    )
    buffers = (
        Buffer("x", "input", n),
        Buffer("at", "index", n),
        Buffer("d", "data", n),
        Buffer("y", "output", n),
        Buffer("z", "output", n + 1),
    )
    blocks = Blocks("b", buffers, (block,))
    code = compile_blocks(blocks)
    rng = np.random.default_rng(10)
    native = set()
    for length in (50, 51, 4000, 9):
        arrays = {"x": rng.normal(size=length), "d": rng.normal(size=length), "at": rng.permutation(length) // 2}
        arrays["at"][:3] = 0, 3, 1  # no even rise
        bound = code.bind({"at": arrays["at"], "d": arrays["d"]})
        native.add(bound.native)
        for found, name in zip(bound.run({"x": arrays["x"]}), "yz", strict=True):
            np.testing.assert_allclose(found, interpret(blocks, {"n": length}, arrays)[name], rtol=1e-12, atol=1e-12)
    assert len(native) == 1


def test_an_index_that_rises_evenly_is_none():
    block = Block(
        "b",
        (n,),
        SMALL,
        (gathered("x", affine("at", 0, 1)), affine("x", 0, 1), affine("x", 0, 1)),
        (
            add(gathered("y", affine("at", 0, 1), 3)),
            add(gathered("y", affine("at", 0, 1), 3, 1)),
            add(gathered("y", affine("at", 0, 1), 3, 2)),
        ),
    )
    buffers = (Buffer("x", "input", n), Buffer("at", "index", n), Buffer("y", "output", 3 * n))
    blocks = Blocks("b", buffers, (block,))
    bound = compile_blocks(blocks).bind({"at": np.arange(1000)})
    (stage,) = bound.layout.stages
    (group,) = stage.nest.groups
    assert (group.mode, group.step, group.dense, group.shape.index) == ("first", 3, True, None)
    assert stage.nest.reads[0].index is None
    agree(blocks, {"n": 1000}, {"x": np.random.default_rng(11).normal(size=1000), "at": np.arange(1000)})


def test_float32():
    block = Block(
        "b",
        (n,),
        SMALL,
        (affine("x", 0, 1), affine("x", 1, 1), counter(0, 1)),
        (add(affine("y", 0, 1)), add(affine("y", 1, 1)), reduce("sum", affine("s", 0, 0), 0)),
    )
    buffers = (Buffer("x", "input", n + 1), Buffer("y", "output", n + 1), Buffer("s", "output", size(1)))
    blocks = Blocks("b", buffers, (block,), "float32")
    for length in (5, 100, 3000):
        x = np.random.default_rng(12).normal(size=length + 1).astype(np.float32)
        y, s = compile_blocks(blocks).bind(sizes={"n": length}).run([x])
        expected = interpret(dataclasses.replace(blocks, element="float64"), {"n": length}, {"x": x})
        assert (y.dtype, s.dtype) == (np.float32, np.float32)
        np.testing.assert_allclose(y, expected["y"], rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(s, expected["s"], rtol=3e-7)


COPY = program("x", "y", [("load", 0, 0)], (0,))


def copying(read, write, *more):
    buffers = (Buffer("x", "input", n), Buffer("y", "output", n), *more)
    return compile_blocks(Blocks("copying", buffers, (Block("copy", (n,), COPY, (read,), (write,)),)))


def test_what_does_not_fit_is_refused():
    plain = copying(affine("x", 0, 1), store(affine("y", 0, 1)))
    with pytest.raises(ValueError, match="sizes are missing: n"):
        plain.bind()
    bound = plain.bind(sizes={"n": 4})
    with pytest.raises(ValueError, match="x has 3 elements, expected 4"):
        bound.run([np.zeros(3)])
    with pytest.raises(ValueError, match="the output y must be a C-contiguous float64 array of 4 elements"):
        bound.run([np.zeros(4)], [np.zeros(8)[::2]])
    with pytest.raises(ValueError, match=r"takes 1 inputs \(x\) and 1 outputs \(y\), got 2 and 1"):
        bound.run([np.zeros(4), np.zeros(4)])
    with pytest.raises(ValueError, match="threads must be at least 1"):
        bound.run([np.zeros(4)], threads=0)
    x = np.arange(8.0)
    with pytest.raises(ValueError, match="x and y share memory"):
        bound.run([x[:4]], [x[3:7]])
    np.testing.assert_array_equal(bound.run([x[:4]], [x[4:]])[0], range(4))
    np.testing.assert_array_equal(bound.run([range(4)])[0], range(4))
    np.testing.assert_array_equal(bound.run({"x": np.arange(8.0)[::2]})[0], [0, 2, 4, 6])
    with pytest.raises(IndexError, match=r"copying, block copy: x\[i \+ 1\] reaches from element 1 to 4, outside"):
        copying(affine("x", 1, 1), store(affine("y", 0, 1))).bind(sizes={"n": 4})
    with pytest.raises(ValueError, match="tier must be one of"):
        compile_blocks(plain.blocks, tier="best")


def test_indices_are_checked_when_they_are_bound():
    at = Buffer("at", "index", n)
    code = copying(gathered("x", affine("at", 0, 1)), store(affine("y", 0, 1)), at)
    with pytest.raises(ValueError, match="the index array at is missing"):
        code.bind(sizes={"n": 3})
    with pytest.raises(ValueError, match="must hold integers, got float64"):
        code.bind({"at": np.zeros(3)})
    for wrong in ([0, 3, 1], [0, -1, 2]):
        with pytest.raises(IndexError, match="outside"):
            code.bind({"at": np.array(wrong)})
    code = copying(affine("x", 0, 1), store(gathered("y", affine("at", 0, 1))), at)
    with pytest.raises(ValueError, match="instances store in the same element of y"):
        code.bind({"at": np.array([2, 0, 2])})
    np.testing.assert_array_equal(code.bind({"at": np.array([2, 0, 1])}).run([np.array([1.0, 2, 3])])[0], [2, 3, 1])


def test_looking_inside():
    bound = copying(affine("x", 0, 1), store(affine("y", 0, 1))).bind(sizes={"n": 4})
    assert "define dso_local void @hy.nest." in bound.ir()
    assert "hy.nest." in bound.assembly()
    assert bound.code.operations == {"copy": 0}


def test_the_quick_tier():
    bound = compile_blocks(copying(affine("x", 0, 1), store(affine("y", 0, 1))).blocks, "quick").bind(sizes={"n": 100})
    x = np.arange(100.0)
    np.testing.assert_array_equal(bound.run([x])[0], x)


@pytest.mark.parametrize("shape", [(1, 1), (3, 40), (16, 16)])
def test_few_instances_of_many_gathers_are_scalar_code(shape):
    """r[i] = Σ_j Σ_k x[3 (20 i + k)] y[7 (j + k)], the k written out."""
    body = [("load", k, 0) for k in range(40)] + [("mul", k, 20 + k) for k in range(20)]
    body.append(("add", 40, 41))
    body += [("add", 58 + k, 40 + k) for k in range(2, 20)]
    dot = program(" ".join(f"a{k}" for k in range(40)), "r r2", body, (len(body) - 1, 40))
    reads = [affine("x", 3 * k, 60, 0) for k in range(20)] + [affine("y", 7 * k, 0, 7) for k in range(20)]
    writes = (reduce("sum", affine("r", 0, 2, 0), 1), add(affine("s", 0, 0, 0)))
    buffers = (
        Buffer("x", "input", 60 * m),
        Buffer("y", "input", 7 * (n + 20)),
        Buffer("r", "output", 2 * m),
        Buffer("s", "output", size(1)),
    )
    blocks = Blocks("dot", buffers, (Block("b", (m, n), dot, tuple(reads), writes),))
    sizes = dict(zip("mn", shape, strict=True))
    bound = compile_blocks(blocks).bind(sizes=sizes)
    assert 1 in {stage.nest.width for stage in bound.layout.stages if hasattr(stage, "nest")}
    rng = np.random.default_rng(13)
    agree(blocks, sizes, {b.name: rng.normal(size=b.length.value(sizes)) for b in buffers[:2]})
