"""The short way through a ufunc: the same objects, bits and errors as NumPy's way."""

import gc
import itertools
import sys
import weakref

import numpy as np
import pytest

from codegen import Array, Program, attempt, compile, host, make_ufunc, quick

CODE = [("load", 0, 0), ("load", 1, 0), ("load", 1, 2), ("mul", 0, 1), ("exp", 2), ("add", 3, 4), ("const", 0.5)]
MIXED = Program("f", (Array("x"), Array("q", (3,))), (Array("r"), Array("J", (2, 2))), CODE, ((5,), (3, 4, 5, 6)))
PLAIN = Program("p", (Array("x"), Array("y")), (Array("r"),), [("load", 0, 0), ("load", 1, 0), ("div", 0, 1)], ((2,),))


def numpys_way(compiled):
    """A ufunc that never takes the short way."""
    ufunc = make_ufunc(compiled)
    offset = quick._offset()
    quick.ctypes.c_void_p.from_address(id(ufunc) + offset).value = quick._vectorcall(np.add)
    return ufunc


@pytest.fixture(scope="module", params=[MIXED, PLAIN], ids=["gufunc", "ufunc"])
def pair(request):
    compiled = compile(request.param)
    return make_ufunc(compiled), numpys_way(compiled)


@pytest.fixture(scope="module")
def gufunc():
    return make_ufunc(compile(MIXED))


def test_it_is_there(pair):
    assert quick._vectorcall(pair[0]) == quick._function() != quick._vectorcall(pair[1])


FIRST = [0.5, 2, True, np.float64(0.25), np.float32(0.5), np.array(0.75), np.array(2), np.linspace(0, 1, 3), [1.0, 2.0],
         np.array(0.5, ">f8"), np.array([0.5]), np.array(0.5, np.float32), "x", None, 1j]  # fmt: skip
ROW = np.linspace(0, 2, 3)
SECOND = [ROW, ROW[::-1], np.repeat(ROW, 2)[::2], list(ROW), ROW.astype(np.float32), np.stack([ROW, ROW]), ROW[:2],
          0.5, ROW.astype(">f8"), np.arange(6.0).reshape(2, 3).T, np.array(0.5), ROW[None]]  # fmt: skip


def outcome(ufunc, *arguments, **options):
    try:
        result = ufunc(*arguments, **options)
    except Exception as error:
        return type(error)
    return [(type(r), r.dtype, r.shape, r.tobytes()) for r in (result if isinstance(result, tuple) else (result,))]


def test_whatever_is_given(pair):
    quick_one, slow_one = pair
    for first, second in itertools.product(FIRST, SECOND):
        assert outcome(quick_one, first, second) == outcome(slow_one, first, second), (first, second)
    for arguments in ((), (1.0,), (1.0, ROW, 1.0), (1.0, ROW, 1.0, 1.0, 1.0)):
        assert outcome(quick_one, *arguments) == outcome(slow_one, *arguments)
    for options in ({"dtype": float}, {"casting": "no"}, {"dtype": complex}, {"where": False}, {"axes": [(), (0,)]}):
        if "where" not in options:  # what is left out is whatever was in memory
            assert outcome(quick_one, 0.5, ROW, **options) == outcome(slow_one, 0.5, ROW, **options), options


def test_out(gufunc):
    r, J = np.empty(()), np.empty((2, 2))
    expected = [np.array(part) for part in gufunc(0.5, ROW)]
    for options in ({"out": (r, J)}, {}):
        r[...], J[...] = 0, 0
        results = gufunc(0.5, ROW, **options) if options else gufunc(0.5, ROW, r, J)
        assert results[0] is r
        assert results[1] is J
        assert np.array_equal(r, expected[0])
        assert np.array_equal(J, expected[1])
    fixed = np.empty((2, 2))
    fixed.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        gufunc(0.5, ROW, r, fixed)
    with pytest.raises(TypeError):
        gufunc(0.5, ROW, 1.0, J)
    turned = np.empty((2, 2)).T
    assert np.array_equal(gufunc(0.5, ROW, r, turned)[1], expected[1])
    assert np.array_equal(gufunc(0.5, ROW, r, np.empty((2, 2), np.float32))[1], expected[1].astype(np.float32))
    again = np.array([1.0, 2.0, 3.0, 4.0])  # an argument that is also a result
    want = [np.array(part) for part in gufunc(0.5, again[:3].copy())]
    assert np.array_equal(gufunc(0.5, again[:3], np.empty(()), again.reshape(2, 2))[1], want[1])


def test_subclasses_and_overrides(gufunc):
    class Own(np.ndarray):
        pass

    class Decides:
        def __array_ufunc__(self, *args, **options):
            return "decided"

    assert type(gufunc(0.5, ROW.view(Own))[1]) is Own
    assert gufunc(Decides(), ROW) == "decided"
    assert gufunc(0.5, Decides()) == "decided"


def test_references(gufunc):
    x, q, r, J = np.array(0.5), ROW.copy(), np.empty(()), np.empty((2, 2))
    counts = [sys.getrefcount(thing) for thing in (x, q, r, J)]
    for _ in range(1000):
        gufunc(x, q)
        gufunc(x, q, r, J)
        gufunc(0.5, q)
    assert [sys.getrefcount(thing) for thing in (x, q, r, J)] == counts
    _, matrix = gufunc(x, q)
    assert sys.getrefcount(matrix) == 2
    assert matrix.flags.owndata
    assert matrix.flags.writeable
    blocks = sys.getallocatedblocks()
    for _ in range(10_000):
        gufunc(x, q)
    assert sys.getallocatedblocks() - blocks < 50


def test_the_code_lives_and_dies_with_the_ufunc():
    compiled = compile(MIXED)
    gone = weakref.ref(compiled)
    ufunc, short = make_ufunc(compiled), attempt(compiled)
    del compiled
    gc.collect()
    assert short(0.5, ROW)[0] == ufunc(0.5, ROW)[0]
    del ufunc
    gc.collect()
    assert short(0.5, ROW)[1].shape == (2, 2)
    del short
    gc.collect()
    assert gone() is None


def test_attempt():
    compiled = compile(MIXED)
    short = attempt(compiled)
    assert short(0.5, ROW)[0] == make_ufunc(compiled)(0.5, ROW)[0]
    for arguments in (
        (1, ROW),
        (0.5, list(ROW)),
        (0.5, ROW[::-1]),
        (0.5,),
        (),
        (0.5, np.stack([ROW, ROW])),
        ("x", ROW),
    ):
        assert short(*arguments) is NotImplemented
    assert attempt(compile(MIXED, host().with_element("float32"))) is None


def test_with_a_loop_for_float32():
    compiled = [compile(PLAIN), compile(PLAIN, host().with_element("float32"))]
    ufunc = make_ufunc(compiled)
    assert ufunc(1.0, 3.0) == 1.0 / 3.0
    assert ufunc(np.array(1.0), np.array(3.0)).dtype == np.float64
    assert ufunc(np.float32(1), np.float32(3)).dtype == np.float32
    assert ufunc(np.float32(1), 3.0).dtype == np.float32


def test_where_numpy_is_not_as_expected(monkeypatch):
    monkeypatch.setattr(quick, "_known", lambda: False)
    compiled = compile(MIXED)
    ufunc = make_ufunc(compiled)
    assert quick._vectorcall(ufunc) == quick._vectorcall(np.add)
    assert attempt(compiled) is None
    assert ufunc(0.5, ROW)[1].shape == (2, 2)
