"""Contributions through indices that are alone at their element, and blocks on fixed arrays."""

import numpy as np
import pytest
from block_cases import SMALL, agree, program

from codegen.blocks import Block, Blocks, Buffer, Part, add, affine, compile_blocks, fixed, gathered, size
from codegen.blocks.lay import Sums

n, m = size("n"), size("m")


def scattering(kinds: int) -> Blocks:
    """A block that adds `kinds` results through an index each."""
    lines = [("load", 0, 0), ("load", 1, 0), ("mul", 0, 1), ("add", 0, 2), ("sin", 3)]
    body = program("a b", " ".join("rst"[:kinds]), lines, [2, 3, 4][:kinds])
    writes = tuple(add(gathered("z", affine(f"i{k}", 0, 1))) for k in range(kinds))
    block = Block("block", (n,), body, (affine("x", 0, 1), affine("x", 1, 1)), writes)
    indices = tuple(Buffer(f"i{k}", "index", n) for k in range(kinds))
    return Blocks("scattering", (Buffer("x", "input", n + 1), Buffer("z", "output", m), *indices), (block,))


def stages(blocks: Blocks, arrays: dict, sizes: dict) -> list:
    given = {name: array for name, array in arrays.items() if name != "x"}
    return compile_blocks(blocks).bind(given, sizes).layout.stages


@pytest.mark.parametrize("length", [1, 7, 8, 9, 100, 2049, 5000])
@pytest.mark.parametrize("gap", [0, 3])
def test_what_is_alone_is_stored_at_once(length, gap):
    rng = np.random.default_rng(length)
    places = rng.permutation(3 * length + gap)
    arrays = {f"i{k}": places[k * length : (k + 1) * length] for k in range(3)} | {"x": rng.normal(size=length + 1)}
    sizes = {"n": length, "m": 3 * length + gap}
    assert not any(isinstance(stage, Sums) for stage in stages(scattering(3), arrays, sizes))
    agree(scattering(3), sizes, arrays)


@pytest.mark.parametrize("length", [9, 300, 5000])
@pytest.mark.parametrize("meeting", [0.01, 0.2, 0.45])
def test_the_few_that_meet_are_summed(length, meeting):
    rng = np.random.default_rng(length)
    places = rng.permutation(2 * length)
    arrays = {"i0": places[:length].copy(), "i1": places[length:].copy(), "x": rng.normal(size=length + 1)}
    some = rng.integers(0, length, max(2, int(meeting * length)))
    arrays["i0"][some] = arrays["i1"][rng.integers(0, length, len(some))]  # within a write and between two
    agree(scattering(2), {"n": length, "m": 2 * length}, arrays)


def test_one_write_is_alone_where_another_is_not():
    """Some elements of a write that mostly meets others are reached by nothing else: they are not forgotten."""
    rng = np.random.default_rng(2)
    length = 400
    arrays = {"i0": np.arange(length), "i1": rng.integers(0, length // 2, length), "x": rng.normal(size=length + 1)}
    arrays["i1"][-9:] = length + np.arange(9)
    agree(scattering(2), {"n": length, "m": length + 9}, arrays)


def test_long_segments_beside_short_ones():
    rng = np.random.default_rng(3)
    into = np.concatenate([np.zeros(1000, int), np.repeat(np.arange(1, 200), 3), np.full(40, 210)])
    agree(scattering(1), {"n": len(into), "m": 220}, {"i0": rng.permutation(into), "x": rng.normal(size=len(into) + 1)})


def test_blocks_on_fixed_arrays():
    squares = Block("one", (n,), SMALL, (affine("x", 0, 1),) * 3, (add(affine("y", 0, 1)),) * 3)
    blocks = Blocks("b", (Buffer("x", "input", n), Buffer("y", "output", n)), (squares,))
    bound = compile_blocks(blocks).bind(sizes={"n": 50})
    x, first, second = np.linspace(0, 1, 50), np.empty(50), np.empty(50)
    result = (first, second)
    step = fixed("b", [Part(bound, [x], [first]), Part(bound, [x], [second])], [x, first, second], result)
    for shift in range(3):
        x += shift
        assert step() is result
        np.testing.assert_array_equal(first, bound.run([x])[0])
        np.testing.assert_array_equal(second, first)
    with pytest.raises(ValueError, match="share memory"):
        fixed("b", [Part(bound, [x], [x])], [x], x)
    x.shape = (5, 10)
    with pytest.raises(ValueError, match="resized or reshaped"):
        step()
