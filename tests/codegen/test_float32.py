"""float32 programs: NumPy's meaning in float32, the same bits on every path, loops chosen as NumPy chooses them."""

import dataclasses
import itertools

import llvmlite.binding as llvm
import numpy as np
import pytest

from codegen import Array, Program, body, compile, host, make_function, make_ufunc, run, threads
from codegen.emit import emit
from codegen.target import NAMED

WIDTHS = (2, 4, 8, 16)
ARGUMENTS = (Array("x"), Array("q", (7,)), Array("y"), Array("A", (2, 3)))
RESULTS = (Array("r"), Array("J", (5, 3)), Array("g", (2,)), Array("s"), Array("H", (1, 4)))


def at_width(width: int, fma: bool | None = None):
    return dataclasses.replace(host().with_element("float32"), width=width, fma=host().fma if fma is None else fma)


def same_bits(a, b) -> bool:
    a, b = (np.where(np.isnan(array), np.float32(np.nan), array) for array in (a, b))
    return a.dtype == b.dtype == np.float32 and a.shape == b.shape and (a.view(np.int32) == b.view(np.int32)).all()


def narrow(arrays):
    return [array.astype(np.float32) for array in arrays]


def test_targets():
    for name, target in NAMED.items():
        single = target.with_element("float32")
        assert single.width == 2 * target.width, name
        assert single.with_element("float64") == target
        assert single.attributes.count("vector-width") == target.attributes.count("vector-width")
    with pytest.raises(ValueError, match="float64, float32, got 'float16'"):
        host().with_element("float16")
    with pytest.raises(ValueError, match="2, 4, 8 or 16 float32 lanes, got 1"):
        at_width(1)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("seed", range(3))
def test_without_fma_numpy_bit_for_bit(width, seed, programs, sample, meaning):
    program = programs(120, seed, "add sub mul div neg abs sign floor ceil trunc rint sqrt select copysign")
    arguments = narrow(sample(program, (37,), seed))
    results = make_ufunc(compile(program, at_width(width, fma=False)))(*arguments)
    for result, expected in zip(results, meaning(program, *arguments, dtype=np.float32), strict=True):
        assert same_bits(result, expected), str(program)


@pytest.mark.parametrize("seed", range(2))
def test_bits_do_not_depend_on_width_or_cut(seed, programs, sample, monkeypatch):
    program = programs(200, seed, "add sub mul div minimum maximum select sin cos exp tanh")
    arguments = narrow(sample(program, (23,), seed))
    expected = make_ufunc(compile(program, at_width(16)))(*arguments)
    for part in (1000, 7):
        monkeypatch.setattr(body, "PART", part)
        monkeypatch.setattr(body, "WHOLE", part)
        for width in WIDTHS:
            results = make_ufunc(compile(program, at_width(width)))(*arguments)
            assert all(map(same_bits, results, expected)), (part, width, str(program))


def test_every_layout_and_size_gives_the_same_bits(programs, sample):
    program = programs(150, 5, "add sub mul div exp select", ARGUMENTS, RESULTS)
    compiled = compile(program, at_width(host().width * 2))
    ufunc = make_ufunc(compiled)
    whole = narrow(sample(program, (531,), 1))
    expected = ufunc(*whole)
    for count in (0, 1, 2, 15, 16, 17, 63, 100, 530):
        results = ufunc(*[array[:count] for array in whole])
        assert all(same_bits(result, full[:count]) for result, full in zip(results, expected, strict=True)), count
    strided = [np.repeat(array, 3, axis=0)[::3] for array in whole]
    backwards = [np.asfortranarray(array[::-1])[::-1] for array in whole]
    unaligned = []
    for array in whole:
        place = np.empty(array.nbytes + 1, np.uint8)[1:].view(np.float32).reshape(array.shape)
        place[...] = array
        unaligned.append(place)
    for arrays in (strided, backwards, unaligned):
        assert all(map(same_bits, ufunc(*arrays), expected))
    # Arrays that start four bytes after a multiple of eight are aligned for float32.
    shifted = [np.empty(array.size + 1, np.float32)[1:].reshape(array.shape) for array in expected]
    ufunc(*whole, out=tuple(shifted))
    assert all(map(same_bits, shifted, expected))


def test_streaming_and_threads(programs, sample, monkeypatch):
    program = programs(60, 7, "add sub mul div exp select", ARGUMENTS, RESULTS)
    ufunc = make_ufunc(compile(program, at_width(host().width * 2)))
    streaming = make_ufunc(compile(program, dataclasses.replace(at_width(host().width * 2), cache=1 << 12)))
    arguments = narrow(sample(program, (3001,), 2))
    expected = ufunc(*arguments)
    assert all(map(same_bits, streaming(*arguments), expected))
    for first in (1, 2, 3):
        out = [np.empty(array.size + first, np.float32)[first:].reshape(array.shape) for array in expected]
        assert all(map(same_bits, streaming(*arguments, out=tuple(out)), expected)), first
    monkeypatch.setattr(threads, "WORTH", 1 << 10)
    assert all(map(same_bits, run(ufunc, arguments, threads=3), expected))


@pytest.fixture(scope="module")
def both():
    program = Program("f", (Array("x"), Array("y")), (Array("r"),),
                      [("load", 0, 0), ("load", 1, 0), ("mul", 0, 1), ("exp", 2), ("const", 0.1), ("add", 3, 4)],
                      ((5,),))  # fmt: skip
    return make_ufunc([compile(program), compile(program, host().with_element("float32"))], "two loops")


def test_numpy_chooses_the_loop(both):
    assert both.types == ["ff->f", "dd->d"]
    kinds = [np.float16, np.float32, np.float64, np.int8, np.int32, np.int64, np.bool_]
    for left, right in itertools.product(kinds, kinds):
        found = both(np.ones(3, left), np.ones(3, right)).dtype
        like = np.logaddexp(np.ones(3, left), np.ones(3, right)).dtype  # a ufunc of NumPy with float loops
        assert found == (np.float32 if like == np.float16 else like), (left, right)
    assert both(np.float32(1), 2.0).dtype == np.float32
    assert both(1.0, 2.0).dtype == np.float64
    assert both(np.ones(2), np.ones(2), dtype=np.float32, casting="same_kind").dtype == np.float32
    out = np.zeros(2)
    assert both(np.float32([1, 2]), np.float32([1, 2]), out=out) is out
    np.testing.assert_array_equal(out, both(np.float32([1, 2]), np.float32([1, 2])))
    with pytest.raises(TypeError):
        both(np.ones(2, complex), 1.0)


def test_threads_allocate_the_type_of_the_loop(both, monkeypatch):
    monkeypatch.setattr(threads, "WORTH", 64)
    x = np.linspace(0, 1, 1000, dtype=np.float32)
    for y in (x, x.astype(float)):
        (result,) = run(both, [x, y], threads=3)
        assert result.dtype == y.dtype
        np.testing.assert_array_equal(result, both(x, y))


def test_single_points_have_the_bits_of_the_ufunc(both):
    program = Program("f", (Array("x"),), (Array("r", (3,)),),
                      [("load", 0, 0), ("exp", 0), ("const", 0.1)], ((0, 1, 2),))  # fmt: skip
    compiled = compile(program, host().with_element("float32"))
    call, ufunc = make_function(compiled), make_ufunc(compiled)
    for x in (0.1, 1.7, -3.3, 200.0):
        assert call(x) == tuple(ufunc(np.float32(x)).tolist())
    assert call(0.1)[2] == np.float32(0.1)


def test_constants_beyond_the_range_are_infinite():
    program = Program("f", (Array("x"),), (Array("r", (2,)),), [("load", 0, 0), ("const", 1e300), ("mul", 0, 1)],
                      ((1, 2),))  # fmt: skip
    ufunc = make_ufunc(compile(program, host().with_element("float32")))
    np.testing.assert_array_equal(ufunc(np.float32([2, -2])), np.float32([[np.inf, np.inf], [np.inf, -np.inf]]))


@pytest.mark.parametrize("target", NAMED)
def test_every_named_target_makes_an_object(target, programs):
    target = NAMED[target].with_element("float32")
    program = programs(80, 3, "add mul div sqrt exp select atan2", ARGUMENTS, RESULTS)
    text = emit(program, target)
    assert "x double>" not in text  # these functions are computed in float32
    assert len(compile_object(text, target)) > 1000


def compile_object(text, target):
    module = llvm.parse_assembly(text)
    module.verify()
    return target.machine().emit_object(module)
