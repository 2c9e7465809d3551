"""Results in every layout, of calls that stream past the cache and of those that do not: the same bits."""

import dataclasses

import numpy as np
import pytest

from codegen import Array, Program, compile, host, make_ufunc

PROGRAM = Program(
    "layouts",
    (Array("x"), Array("y", (3,))),
    (Array("s"), Array("r", (2, 2)), Array("wide", (11,))),
    [
        ("load", 0, 0),
        *[("load", 1, k) for k in range(3)],
        *[("mul", 0, k % 4) for k in range(8)],
        *[("add", k, k % 4) for k in range(4, 12)],
    ],
    ((4,), (5, 6, 7, 8), tuple(range(9, 20))),
)


@pytest.fixture(scope="module")
def ufuncs():
    """The program for a machine whose cache holds everything, and for one whose cache holds next to nothing."""
    return [make_ufunc(compile(PROGRAM, dataclasses.replace(host(), cache=size))) for size in (1 << 40, 1 << 10)]


def shifted(shape: tuple[int, ...], offset: int) -> np.ndarray:
    """An array of NaN that starts `offset` numbers after a cache line."""
    count = int(np.prod(shape))
    room = np.full(count + 32, np.nan)
    start = (-room.ctypes.data % 64) // 8 + offset
    return room[start : start + count].reshape(shape)


def outputs(n: int, offset: int, layout: str) -> list[np.ndarray]:
    shapes = [array.shape for array in PROGRAM.results]
    match layout:
        case "points":
            return [shifted((n, *shape), offset) for shape in shapes]
        case "elements":
            return [np.moveaxis(shifted((*shape, n), offset), -1, 0) for shape in shapes]
        case "padded":
            return [np.moveaxis(shifted((*shape, n + 5), offset), -1, 0)[:n] for shape in shapes]
        case "reversed":
            return [np.moveaxis(shifted((*shape, n), offset), -1, 0)[::-1] for shape in shapes]
        case _:
            mixed = [outputs(n, offset, kind) for kind in ("elements", "points", "elements")]
            return [mixed[k][k] for k in range(3)]


@pytest.mark.parametrize("layout", ["points", "elements", "padded", "reversed", "mixed"])
@pytest.mark.parametrize("offset", [0, 1, 2, 7])
def test_layouts_agree(ufuncs, layout, offset):
    rng = np.random.default_rng(offset)
    for n in (1, 2, 7, 8, 9, 63, 64, 130, 515, 1000):
        x, y = rng.normal(size=n), rng.normal(size=(n, 3))
        expected = ufuncs[0](x, y)
        for ufunc in ufuncs:
            out = outputs(n, offset, layout)
            ufunc(x, y, out=tuple(out))
            for a, b in zip(out, expected, strict=True):
                assert np.array_equal(a, b), (n, layout, offset)


def test_nothing_outside_the_results_is_written(ufuncs):
    n = 333
    for ufunc in ufuncs:
        frame = np.full((11 + 4, n + 16), 7.0)
        inner = frame[2:13, 3 : 3 + n]
        ufunc(np.ones(n), np.ones((n, 3)), out=(None, None, inner.T))
        assert not (inner == 7).any()
        frame[2:13, 3 : 3 + n] = 7.0
        assert (frame == 7).all()
