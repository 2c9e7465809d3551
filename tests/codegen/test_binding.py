"""Generated ufuncs behave like NumPy's own, whatever lies in memory, with the same bits on every path."""

import ctypes
import dataclasses
import gc
import itertools
import mmap
import os
import subprocess
import sys
import threading
import time
import weakref

import numpy as np
import pytest

import codegen
from codegen import Array, Program, binding, compile, host, make_ufunc, run, threads

NAMES = "add sub mul div exp select"


@pytest.fixture(scope="module")
def kernels():
    """A gufunc with every kind of operand, and a plain ufunc, with their programs; compiled once."""
    return {}


@pytest.fixture
def mixed(kernels, programs):
    if "mixed" not in kernels:
        arguments = (Array("x"), Array("q", (7,)), Array("y"), Array("A", (2, 3)))
        results = (Array("r"), Array("J", (5, 3)), Array("g", (2,)), Array("s"), Array("H", (1, 4)))
        program = programs(150, 5, NAMES, arguments, results)
        kernels["mixed"] = program, make_ufunc(compile(program))
    return kernels["mixed"]


@pytest.fixture
def plain(kernels, programs):
    if "plain" not in kernels:
        program = programs(40, 2, NAMES, (Array("x"), Array("y")), (Array("r"), Array("s")))
        kernels["plain"] = program, make_ufunc(compile(program), "documentation")
    return kernels["plain"]


def same_bits(a, b) -> bool:
    return (
        a.shape == b.shape and (np.ascontiguousarray(a).view(np.int64) == np.ascontiguousarray(b).view(np.int64)).all()
    )


def one_by_one(ufunc, arguments, cores):
    """The same points, one call each."""
    batch = arguments[0].shape[: arguments[0].ndim - cores[0]]
    points = [ufunc(*[argument[index] for argument in arguments]) for index in np.ndindex(batch)]
    return [np.array(column) for column in zip(*points, strict=True)]


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 5, 7, 8, 9, 31, 33, 64, 65, 100, 257])
def test_every_batch_size_has_the_bits_of_single_points(n, mixed, sample):
    program, ufunc = mixed
    arguments = sample(program, (n,), n)
    results = ufunc(*arguments)
    assert [result.shape for result in results] == [(n, *array.shape) for array in program.results]
    for result, point in zip(results, one_by_one(ufunc, arguments, [0]) if n else results, strict=True):
        assert same_bits(result, point)


def layouts(array: np.ndarray) -> dict[str, np.ndarray]:
    """The same numbers in other places and orders."""
    wide = np.zeros((array.shape[0], *[2 * n for n in array.shape[1:]]))
    wide[(slice(None), *[slice(None, None, 2)] * (array.ndim - 1))] = array
    swapped = np.array(array.T, order="C").T
    frozen = array.copy()
    frozen.flags.writeable = False
    raw = np.zeros(array.nbytes + 1, np.uint8)
    unaligned = raw[1:].view(array.dtype).reshape(array.shape)
    unaligned[...] = array
    padded = np.zeros((array.shape[0], array[0].size + 3))
    padded[:, : array[0].size] = array.reshape(array.shape[0], -1)
    rows = np.lib.stride_tricks.as_strided(padded, array.shape, (padded.strides[0], *array.strides[1:]))
    return {
        "C": array,
        "Fortran": np.asfortranarray(array),
        "reversed": array[::-1].copy()[::-1],
        "every third": np.repeat(array, 3, axis=0)[::3],
        "strided core": wide[(slice(None), *[slice(None, None, 2)] * (array.ndim - 1))],
        "reversed core": array[..., ::-1].copy()[..., ::-1],
        "structure of arrays": swapped,
        "read-only": frozen,
        "unaligned": unaligned,
        "padded rows": rows,
        "big-endian": array.astype(">f8"),
    }


@pytest.mark.parametrize("n", [3, 9, 70])
def test_input_layouts(n, mixed, sample):
    program, ufunc = mixed
    arguments = sample(program, (n,), 1)
    expected = ufunc(*arguments)
    for position in range(len(arguments)):
        for name, array in layouts(arguments[position]).items():
            changed = [*arguments[:position], array, *arguments[position + 1 :]]
            for result, other in zip(ufunc(*changed), expected, strict=True):
                assert same_bits(result, other), (position, name)


@pytest.mark.parametrize("n", [1, 3, 9, 70])
@pytest.mark.parametrize("stream", [False, True])
def test_output_layouts(n, stream, mixed, sample):
    program, _ = mixed
    target = dataclasses.replace(host(), cache=0 if stream else 1 << 40)
    ufunc = make_ufunc(compile(program, target))
    arguments = sample(program, (n,), 1)
    expected = ufunc(*arguments)
    for position in range(len(expected)):
        for name, array in layouts(np.full_like(expected[position], 7.5)).items():
            if name == "read-only":
                continue
            out = tuple(array if k == position else None for k in range(len(expected)))
            results = ufunc(*arguments, out=out)
            assert results[position] is array
            for result, other in zip(results, expected, strict=True):
                assert same_bits(np.asarray(result, "<f8"), other), (position, name)


def test_only_results_are_written(mixed, sample):
    """Streaming, transposing and padding never touch a neighbour."""
    program, _ = mixed
    for cache, n, shift in itertools.product((0, 1 << 40), (1, 5, 8, 67), range(3)):
        ufunc = make_ufunc(compile(program, dataclasses.replace(host(), cache=cache)))
        rooms, out = [], []
        for array in program.results:
            room = np.full(n * array.size + 40, 123.25)
            rooms.append(room)
            out.append(room[16 + shift : 16 + shift + n * array.size].reshape(n, *array.shape))
        ufunc(*sample(program, (n,), 2), out=tuple(out))
        for room, array in zip(rooms, program.results, strict=True):
            assert (room[: 16 + shift] == 123.25).all()
            assert (room[16 + shift + n * array.size :] == 123.25).all()


def test_read_only_output_is_refused(plain):
    frozen = np.zeros(3)
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        plain[1](np.ones(3), np.ones(3), out=(frozen, None))


def test_broadcasting(mixed, sample):
    program, ufunc = mixed
    x, q, y, a = sample(program, (5, 1), 3)
    y, a = np.array(0.25), a[:1, :1]
    x = np.broadcast_to(x, (5, 6))
    q = np.random.default_rng(0).normal(size=(1, 6, 7))
    full = [np.broadcast_to(v, (5, 6, *c.shape)).copy() for v, c in zip((x, q, y, a), program.arguments, strict=True)]
    for result, other in zip(ufunc(x, q, y, a), ufunc(*full), strict=True):
        assert result.shape[:2] == (5, 6)
        assert same_bits(result, other)


def test_overlapping_arrays(plain, mixed, sample):
    program, ufunc = plain
    x, y = sample(program, (100,), 4)
    r, s = ufunc(x, y)
    for into in (slice(0, 80), slice(1, 81), slice(7, 87)):
        memory = x.copy()
        result = ufunc(memory[:80], y[:80], out=(memory[into], None))
        assert same_bits(result[0], r[:80]), into
        assert same_bits(result[1], s[:80]), into
    memory = x.copy()
    assert same_bits(ufunc(memory[::-1], y, out=(memory, None))[0], ufunc(x[::-1].copy(), y)[0])
    program, gufunc = mixed
    arguments = sample(program, (40,), 5)
    expected = gufunc(*arguments)
    inside = arguments[1][:, :2]  # the result of shape (2,) over the first two of seven elements
    results = gufunc(*arguments, out=(None, None, inside, None, None))
    for result, other in zip(results, expected, strict=True):
        assert same_bits(result, other)


def test_in_place_across_parts(programs, sample, monkeypatch):
    monkeypatch.setattr("codegen.body.PART", 5)
    monkeypatch.setattr("codegen.body.WHOLE", 5)
    program = programs(60, 3, NAMES, (Array("x"), Array("y")), (Array("r"), Array("s")))
    ufunc = make_ufunc(compile(program))
    x, y = sample(program, (50,), 0)
    expected = ufunc(x, y)
    results = ufunc(x, y, out=(x, y))
    for result, other in zip(results, expected, strict=True):
        assert same_bits(result, other)


def test_ufunc_arguments(plain):
    _, ufunc = plain
    x, y = np.arange(1.0, 7.0), np.arange(3.0, 9.0)
    r, s = ufunc(x, y)
    where = np.array([True, False] * 3)
    out = (np.full(6, -1.0), np.full(6, -1.0))
    ufunc(x, y, out=out, where=where)
    assert same_bits(out[0][where], r[where])
    assert (out[0][~where] == -1).all()
    assert same_bits(ufunc(x.astype(np.float32), y.astype(np.int16))[0], r)
    assert ufunc(2.0, 3.0)[1].dtype == np.float64
    assert ufunc(x, y, dtype=np.float64)[0].shape == (6,)
    with pytest.raises(TypeError, match="casting"):
        ufunc(x + 1j, y)
    with pytest.raises(ValueError, match="broadcast"):
        ufunc(x, y[:4])
    assert "documentation" in ufunc.__doc__
    assert s.shape == (6,)


def test_gufunc_names_its_core_dimensions(mixed):
    program, ufunc = mixed
    assert ufunc.signature == "(),(7),(),(2,3)->(),(5,3),(2),(),(1,4)"
    assert ufunc.__name__ == program.name
    assert isinstance(ufunc, np.ufunc)
    with pytest.raises(ValueError, match="core dimension"):
        ufunc(1.0, np.ones(6), 1.0, np.ones((2, 3)))


def test_no_warnings_and_untouched_environment():
    code = [("load", 0, 0), ("const", 0.0), ("div", 0, 1), ("sqrt", 0), ("add", 2, 3)]
    ufunc = make_ufunc(compile(Program("f", (Array("x"),), (Array("r"),), code, ((4,),))))
    with np.errstate(all="raise"):
        assert np.isnan(ufunc(np.array([-1.0, 0.0]))).all()
        assert np.isinf(ufunc(1.0))


def test_what_is_no_ufunc_is_refused():
    body = [("load", k, 0) for k in range(65)]
    many = Program("many", tuple(Array(f"x{k}") for k in range(65)), (Array("r"),), body, ((0,),))
    with pytest.raises(ValueError, match="64 in all"):
        make_ufunc(compile(many))
    constant = Program("constant", (), (Array("r"),), [("const", 2.0)], ((0,),))
    with pytest.raises(ValueError, match="needs an argument"):
        make_ufunc(compile(constant))
    empty = Program("empty", (Array("x"),), (Array("r", (0,)),), [("load", 0, 0)], ((),))
    with pytest.raises(ValueError, match="no empty shape"):
        make_ufunc(compile(empty))


def test_native_code_lives_as_long_as_its_ufunc(programs, sample):
    program = programs(30, 1, NAMES)
    compiled = compile(program)
    gone = weakref.ref(compiled)
    arguments = sample(program, (10,), 0)
    ufunc = make_ufunc(compiled)
    expected = ufunc(*arguments)
    del compiled
    gc.collect()
    assert gone() is not None
    for result, other in zip(ufunc(*arguments), expected, strict=True):
        assert same_bits(result, other)
    del ufunc
    gc.collect()
    assert gone() is None


def test_interpreter_exit_with_live_ufuncs():
    code = (
        "from codegen import *\n"
        "p = Program('f', (Array('x'),), (Array('r'),), [('load', 0, 0), ('exp', 0)], ((1,),))\n"
        "keep = [make_ufunc(compile(p)) for _ in range(3)]\n"
        "keep.append(keep)\n"
        "run(keep[0], [__import__('numpy').ones(500_000)], threads=2)\n"
        "print(keep[0](0.0))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "1.0\n", "")


def test_direct_entries(mixed, sample):
    """`NAME` and `NAME_batch` by address: the bits of the ufunc."""
    program, ufunc = mixed
    compiled = compile(program)
    for n in (1, 6, 50):
        arguments = sample(program, (n,), 6)
        expected = ufunc(*arguments)
        results = [np.full_like(array, -3.0) for array in expected]
        pointers = [array.ctypes.data for array in (*arguments, *results)]
        batch = ctypes.CFUNCTYPE(None, ctypes.c_int64, *[ctypes.c_void_p] * len(pointers))
        batch(compiled.address(f"{compiled.symbol}_batch"))(n, *pointers)
        assert all(map(same_bits, results, expected))
    point = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * len(pointers))
    first = [np.array(array[0]) for array in arguments]
    results = [np.full(array.shape, -3.0) for array in program.results]
    point(compiled.address(compiled.symbol))(*[array.ctypes.data for array in (*first, *results)])
    assert all(same_bits(a, np.array(b[0])) for a, b in zip(results, expected, strict=True))
    with pytest.raises(KeyError, match="no function"):
        compiled.address("other")


@pytest.mark.parametrize("workers", [2, 3, 7])
def test_threads_have_the_bits_of_one(workers, mixed, sample, monkeypatch):
    program, ufunc = mixed
    monkeypatch.setattr(threads, "WORTH", 100)
    monkeypatch.setattr(threads, "SMALL", 0)
    arguments = sample(program, (3, 500), 7)
    arguments[2] = arguments[2][:, :1]  # broadcast along the axis that is split
    expected = ufunc(*arguments)
    for out in (None, tuple(np.full_like(array, 2.5) for array in expected)):
        results = run(ufunc, arguments, out, workers)
        assert all(map(same_bits, results, expected))
        assert out is None or all(a is b for a, b in zip(results, out, strict=True))
    in_place = [arguments[0].copy(), *arguments[1:]]
    assert same_bits(run(ufunc, in_place, (in_place[0], None, None, None, None), workers)[0], expected[0])
    with pytest.raises(ValueError, match="out array has shape"):
        run(ufunc, arguments, (np.empty((3, 4)), *[None] * 4), workers)


def test_number_of_threads(monkeypatch):
    monkeypatch.setenv("HYBRID_NUM_THREADS", "3")
    assert threads.default_threads() == 3
    monkeypatch.setenv("HYBRID_NUM_THREADS", "none")
    with pytest.raises(ValueError, match="positive integer"):
        threads.default_threads()
    monkeypatch.delenv("HYBRID_NUM_THREADS")
    if hasattr(os, "sched_getaffinity"):
        assert threads.default_threads() == len(os.sched_getaffinity(0))
    with pytest.raises(ValueError, match="at least 1"):
        run(np.add, [1.0, 2.0], threads=0)


def test_the_lock_is_released_inside_loops():
    """While a long call runs in one thread, another keeps running Python."""
    code = [("load", 0, 0)]
    for step in range(60):
        code.append(("sqrt", step))
    arguments, results = (Array("x"), Array("q", (2,))), (Array("r"), Array("s", (2,)))
    ufunc = make_ufunc(compile(Program("slow", arguments, results, code, ((60,), (60, 60)))))
    x, q = np.ones(400_000), np.ones((400_000, 2))
    finished: list[float] = []
    worker = threading.Thread(target=lambda: (ufunc(x, q), finished.append(time.perf_counter())))
    ticks = []
    worker.start()
    while not finished:
        ticks.append(time.perf_counter())
    worker.join()
    assert len(ticks) > 1000, "the main thread hardly ran while the loop did"


def test_signature_text():
    arrays = (Array("x"), Array("q", (7,)))
    assert binding.signature(arrays, (Array("J", (12, 7)),)) == "(),(7)->(12,7)"
    assert codegen.threads.core_shapes(np.add) == ((), (), ())


@pytest.mark.parametrize("width", [1, 2, 8])
def test_other_widths_move_the_same_bits(width, mixed, sample):
    """Transposes, tails and streams at widths that are not the host's."""
    program, ufunc = mixed
    for n, cache in itertools.product((1, 3, 8, 21, 70), (0, 1 << 40)):
        arguments = sample(program, (n,), n)
        other = make_ufunc(compile(program, dataclasses.replace(host(), width=width, cache=cache)))
        strided = [np.repeat(array, 2, axis=0)[::2] for array in arguments]
        for result, same, expected in zip(other(*arguments), other(*strided), ufunc(*arguments), strict=True):
            assert same_bits(result, expected)
            assert same_bits(same, expected)


@pytest.fixture
def cliff():
    """Arrays that end where memory ends: reading or writing one byte further kills the process."""
    if sys.platform != "linux":
        pytest.skip("needs mprotect")
    library, page = ctypes.CDLL(None, use_errno=True), mmap.PAGESIZE
    kept = []

    def place(array: np.ndarray) -> np.ndarray:
        size = -(-max(array.nbytes, 1) // page) * page
        memory = mmap.mmap(-1, size + page)
        start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        assert library.mprotect(ctypes.c_void_p(start + size), page, 0) == 0
        copy = np.frombuffer(memory, np.uint8)[size - array.nbytes : size].view(array.dtype).reshape(array.shape)
        copy[...] = array
        kept.append((memory, start + size))
        return copy

    yield place
    for _, end in kept:
        library.mprotect(ctypes.c_void_p(end), page, 3)


@pytest.mark.parametrize("n", [1, 2, 5, 8, 33, 70])
@pytest.mark.parametrize("cache", [0, 1 << 40])
def test_nothing_beyond_the_arrays_is_touched(n, cache, mixed, sample, cliff):
    program, ufunc = mixed
    for width in (1, 2, 4, 8):
        other = make_ufunc(compile(program, dataclasses.replace(host(), width=width, cache=cache)))
        arguments = sample(program, (n,), n)
        out = tuple(cliff(np.zeros((n, *array.shape))) for array in program.results)
        results = other(*map(cliff, arguments), out=out)
        for result, expected in zip(results, ufunc(*arguments), strict=True):
            assert same_bits(result, expected)
