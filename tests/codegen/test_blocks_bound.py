"""Blocks bound to arrays: threads, other lengths, what is refused, and what is done for speed when arrays are bound."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from block_cases import SMALL, agree, program

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
from codegen.blocks.segments import levels

n, m = size("n"), size("m")


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
    length = 600_000
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
    assert (group.mode, group.step, group.dense, group.shape.index) == ("store", 3, True, None)
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
    with pytest.raises(ValueError, match="the output y must be a writable C-contiguous float64 array of 4 elements"):
        bound.run([np.zeros(4)], [np.zeros(8)[::2]])
    with pytest.raises(ValueError, match=r"takes 1 inputs \(x\) and 1 outputs \(y\), got 2 and 1"):
        bound.run([np.zeros(4), np.zeros(4)])
    with pytest.raises(ValueError, match="threads must be at least 1"):
        bound.run([np.zeros(4)], threads=0)
    for wrong in (np.zeros(4, complex), ["a", "b", "c", "d"], [None] * 4):
        with pytest.raises(ValueError, match="x must hold real numbers, got"):
            bound.run([wrong])
    fixed = np.zeros(4)
    fixed.flags.writeable = False
    with pytest.raises(ValueError, match="must be a writable"):
        bound.run([np.zeros(4)], [fixed])
    np.testing.assert_array_equal(bound.run([fixed])[0], 0)
    odd = np.zeros(33, np.uint8)[1:].view(float)
    np.testing.assert_array_equal(bound.run([odd])[0], 0)
    np.testing.assert_array_equal(bound.run([np.arange(4, dtype=">f8")])[0], range(4))
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


@pytest.mark.parametrize("shape", [(1, 1), (3, 20), (8, 8)])
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


@pytest.mark.parametrize("shape", [(3, 5), (70, 90), (1, 6000), (4100, 2)])
def test_functions_of_one_axis_are_computed_once(shape):
    """exp(v[i]), log and a comparison of it, and sin(w[j]), in a sum over either axis and a scan."""
    body = program(
        "v w x",
        "p q",
        [
            *[("load", 0, 0), ("load", 1, 0), ("load", 2, 0), ("exp", 0), ("sin", 1), ("mul", 3, 4), ("lt", 3, 4)],
            *[("mul", 3, 3), ("log", 7), ("select", 6, 8, 2), ("add", 5, 9)],
        ],
        (10, 3),
    )
    reads = (affine("v", 0, 1, 0), affine("w", 0, 0, 1), affine("x", 0, n, 1))
    first = Block("first", (m, n), body, reads, (add(affine("a", 0, 1, 0)), store(affine("e", 0, n, 1))))
    second = Block(
        "second", (m, n), body, reads, (reduce("sum", affine("b", 0, 0, 1), 0), reduce("max", affine("c", 0, 0, 1), 0))
    )
    third = Block("third", (m, n), body, reads[:2], (store(affine("s", 0, n, 1)),), (affine("v", 0, 1, 0),), 1)
    buffers = (
        Buffer("v", "input", m),
        Buffer("w", "input", n),
        Buffer("x", "input", m * n),
        *(
            Buffer(name, "output", length)
            for name, length in (("a", m), ("e", m * n), ("b", n), ("c", n), ("s", m * n))
        ),
    )
    blocks = Blocks("hoisted", buffers, (first, second, third))
    sizes = dict(zip("mn", shape, strict=True))
    rng = np.random.default_rng(14)
    arrays = {b.name: rng.normal(size=b.length.value(sizes)) for b in buffers[:3]}
    agree(blocks, sizes, arrays)
    names = [
        stage.body.results[0].name
        for stage in compile_blocks(blocks).bind(sizes=sizes).layout.stages
        if hasattr(stage, "nest")
    ]
    assert ("v3" in names) == (shape == (70, 90))


def test_data_is_laid_out_for_vectors():
    """A table of rows, and what an index takes from another, are read as plain vectors."""
    reads = (affine("rows", 2, 5), gathered("table", affine("at", 0, 1)), affine("x", 0, 1))
    block = Block("b", (n,), SMALL, reads, tuple(store(affine(name, 0, 1)) for name in "pde"))
    buffers = (
        Buffer("rows", "data", 5 * n),
        Buffer("table", "data", size(7)),
        Buffer("at", "index", n),
        Buffer("x", "input", n),
        *(Buffer(name, "output", n) for name in "pde"),
    )
    blocks = Blocks("laid", buffers, (block,))
    rng = np.random.default_rng(15)
    arrays = {
        "rows": rng.normal(size=500),
        "table": rng.normal(size=7),
        "at": rng.integers(0, 7, 100),
        "x": rng.normal(size=100),
    }
    agree(blocks, {"n": 100}, arrays)
    bound = compile_blocks(blocks).bind({name: arrays[name] for name in ("rows", "table", "at")})
    assert {read.strides for read in bound.layout.stages[0].nest.reads} == {("1",)}


def test_more_contributions_than_an_int32_counts_are_refused():
    with pytest.raises(ValueError, match="at most 2,147,483,647 contributions"):
        levels(np.zeros(0, np.int64), np.zeros(0, np.int64), 1, 2**31, 8)


def test_segments_of_uneven_length_are_sorted():
    """Rows of 1 and 9 terms in turn: sorted, hardly a lane is idle; rows of 3 terms stay in their order."""
    counts = np.tile([1, 9], 500)
    into = np.repeat(np.arange(1000), counts)
    (level,) = levels(into, np.arange(len(into)), 1000, len(into), 8)
    assert len(level.terms) <= 1.1 * len(into)
    np.testing.assert_array_equal(np.sort(level.order), np.arange(1000))
    found = np.zeros(1000)
    for number, (start, stop) in enumerate(zip(level.starts, level.starts[1:], strict=False)):
        terms = level.terms[8 * start : 8 * stop].reshape(-1, 8)
        found[level.order[8 * number : 8 * number + 8]] = (terms < len(into)).sum(axis=0)
    np.testing.assert_array_equal(found, counts)
    (level,) = levels(np.repeat(np.arange(1000), 3), np.arange(3000), 1000, 3000, 8)
    assert level.order is None
