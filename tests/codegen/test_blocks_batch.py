"""Bound blocks at many points: any strides, any number of threads, the bits of single points."""

import numpy as np
import pytest
from block_cases import SMALL
from numpy.lib.stride_tricks import as_strided

from codegen.blocks import Block, Blocks, Buffer, add, affine, compile_blocks, gathered, reduce, run_batch, size

n = size("n")


def bound_for(length: int):
    reads = (affine("x", 0, 1), gathered("p", affine("at", 0, 1)), affine("x", 0, 1))
    writes = (add(affine("y", 0, 1)), add(gathered("z", affine("at", 0, 1))), reduce("sum", affine("s", 0, 0), 0))
    names = (
        ("x", "input", n),
        ("p", "input", size(3)),
        ("at", "index", n),
        ("y", "output", n),
        ("z", "output", size(3)),
    )
    buffers = (*(Buffer(*one) for one in names), Buffer("s", "output", size(1)))
    one = Block("one", (n,), SMALL, reads, (*writes[:2], add(affine("y", 0, 1))))
    two = Block("two", (n,), SMALL, reads, writes[2:] * 3)
    code = compile_blocks(Blocks("b", buffers, (one, two)))
    return code.bind({"at": np.random.default_rng(0).integers(0, 3, length)})


@pytest.mark.parametrize("batch", [(), (1,), (5,), (2, 3), (3, 1, 2), (0,), (4, 0)])
@pytest.mark.parametrize("threads", [1, 2, 5, None])
def test_every_point_has_the_bits_of_its_own_call(batch, threads):
    rng, bound = np.random.default_rng(1), bound_for(40)
    x = np.moveaxis(rng.normal(size=(*batch[::-1], 40)), range(len(batch)), range(len(batch))[::-1])  # turned around
    p = np.broadcast_to(rng.normal(size=3), (*batch, 3))
    outputs = [np.full((*batch, 2 * width), np.nan)[..., :width] for width in (40, 3, 1)]
    run_batch(bound, [x, p], outputs, batch, threads)
    for point in np.ndindex(*batch):
        for whole, alone in zip(outputs, bound.run([x[point], p[point]], threads=1), strict=True):
            np.testing.assert_array_equal(whole[point], alone)


def test_few_large_points_share_their_instances():
    bound = bound_for(400_000)
    x, p = np.random.default_rng(2).normal(size=(2, 400_000)), np.ones((2, 3))
    found = [[np.empty((2, width)) for width in (400_000, 3, 1)] for _ in range(2)]
    for outputs, threads in zip(found, (1, 5), strict=True):
        run_batch(bound, [x, p], outputs, (2,), threads)
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_does_not_fit_is_refused():
    bound = bound_for(4)
    x, p, outputs = np.ones((2, 4)), np.ones((2, 3)), [np.empty((2, width)) for width in (4, 3, 1)]
    with pytest.raises(ValueError, match="takes 2 inputs and 3 outputs"):
        run_batch(bound, [x], outputs, (2,))
    with pytest.raises(ValueError, match=r"x must be an aligned float64 array of shape \(2, 4\), got float32"):
        run_batch(bound, [x.astype(np.float32), p], outputs, (2,))
    with pytest.raises(ValueError, match="must lie in a row"):
        run_batch(bound, [np.ones((4, 2)).T, p], outputs, (2,))
    with pytest.raises(ValueError, match="y shares memory"):
        run_batch(bound, [x, p], [x, *outputs[1:]], (2,))
    with pytest.raises(ValueError, match="z cannot be written"):
        run_batch(bound, [x, p], [outputs[0], as_strided(np.empty(3), (2, 3), (0, 8)), outputs[2]], (2,))
    with pytest.raises(ValueError, match="threads must be at least 1"):
        run_batch(bound, [x, p], outputs, (2,), 0)
