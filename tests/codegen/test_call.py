"""One point from Python floats."""

import array
import ctypes
import gc
import math
import os
import subprocess
import sys
import weakref

import numpy as np
import pytest

from codegen import Array, Program, compile, layout, make_function, make_ufunc

ARGUMENTS = (Array("x"), Array("y"), Array("unused"))
RESULTS = (Array("value"), Array("g", (2,)), Array("H", (2, 2)))
CODE = [("load", 0, 0), ("load", 1, 0), ("exp", 0), ("mul", 2, 1), ("div", 3, 0), ("const", -0.5), ("sub", 4, 1)]
PROGRAM = Program("f%s", ARGUMENTS, RESULTS, CODE, ((3,), (4, 5), (5, 0, 6, 2)))


@pytest.fixture(scope="module")
def compiled():
    return compile(PROGRAM)


@pytest.fixture(scope="module")
def function(compiled):
    return make_function(compiled, "what it does")


def test_bits_of_the_ufunc(compiled, function):
    ufunc = make_ufunc(compiled)
    for x, y in [(0.3, 0.7), (-2.0, 1e-3), (0.0, -0.0), (math.inf, 1.0), (math.nan, 2.0), (-1.0, -1.0)]:
        value, gradient, hessian = function(x, y, 0.0)
        assert [len(gradient), len(hessian)] == [2, 4]
        for mine, theirs in zip((value, gradient, hessian), ufunc(x, y, 0.0), strict=True):
            a, b = np.atleast_1d(mine), np.ravel(theirs)
            assert ((a.view(np.int64) == b.view(np.int64)) | np.isnan(a) & np.isnan(b)).all()


def test_names_of_cpython_that_others_redefine():
    """Numba tells LLVM that PyExc_TypeError is the exception, where CPython has a pointer to it."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import llvmlite.binding as llvm, codegen\n"
            "for kind in (TypeError, ValueError): llvm.add_symbol(f'PyExc_{kind.__name__}', id(kind))\n"
            "p = codegen.Program('f', (codegen.Array('x'),), (codegen.Array('r'),), [('load', 0, 0)], ((0,),))\n"
            "try: codegen.make_function(codegen.compile(p))(1.0, 2.0)\n"
            "except TypeError as error: print(error)\n",
        ],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "f takes 1 number, got 2\n"


def test_what_counts_as_a_number(function):
    assert function(1, True, np.float32(0)) == function(1.0, 1.0, 0.0)
    for wrong in ("1", None, 1j, np.complex128(1), [1.0]):
        with pytest.raises(TypeError, match=r"real number|float"):
            function(1.0, wrong, 2.0)
    with pytest.raises(TypeError, match="f%s takes 3 numbers, got 2"):
        function(1.0, 2.0)
    with pytest.raises(TypeError):
        function(1.0, y=2.0)
    with pytest.raises(OverflowError):
        function(10**400, 1.0, 1.0)


def test_looks_like_a_builtin(function):
    assert function.__name__ == "f%s"
    assert function.__doc__ == "what it does"
    assert type(function) is type(math.sin)


def test_one_result_is_no_tuple_of_results():
    one = Program("one", (Array("x"),), (Array("r"),), [("load", 0, 0), ("sqrt", 0)], ((1,),))
    assert make_function(compile(one))(4.0) == 2.0
    assert math.isnan(make_function(compile(one))(-1.0))
    constant = Program("constant", (), (Array("r", (2,)),), [("const", 2.5)], ((0, 0),))
    assert make_function(compile(constant))() == (2.5, 2.5)


def test_no_leak(function):
    """References are balanced: the same calls again allocate nothing that stays."""
    x = 1.2345
    before = sys.getrefcount(x)
    for _ in range(1000):
        function(x, x, x)
        with pytest.raises(TypeError):
            function(x, x)
    assert sys.getrefcount(x) == before
    for _ in range(100):
        result = function(x, x, x)
    blocks = sys.getallocatedblocks()
    for _ in range(10_000):
        result = function(x, x, x)
    assert sys.getallocatedblocks() - blocks < 50
    counts = [sys.getrefcount(part) for part in result]
    assert counts == [sys.getrefcount(part) for part in (1.5 * x, (x, x + 1), (x, 2 * x))]


def test_code_lives_as_long_as_the_function():
    compiled = compile(PROGRAM)
    gone = weakref.ref(compiled)
    function = make_function(compiled)
    del compiled
    gc.collect()
    assert function(1.0, 2.0, 3.0)[0] == pytest.approx(2 * math.e)
    del function
    gc.collect()
    assert gone() is None


def test_array_arguments():
    program = Program("g", (Array("q", (3,)), Array("x"), Array("A", (2, 2)), Array("idle", (2,))), (Array("r"),),
                      [("load", 0, 0), ("load", 0, 2), ("load", 1, 0), ("load", 2, 1), ("fma", 0, 1, 2), ("add", 4, 3)],
                      ((5,),))  # fmt: skip
    call = make_function(compile(program))
    matrix, idle = np.arange(4.0).reshape(2, 2), (0.0, 0.0)
    vectors = ([2, 0, 5], (2.0, 0.0, 5.0), np.array([2.0, 0.0, 5.0]), np.float32([2, 0, 5]),
               array.array("d", [2, 0, 5]), np.arange(6.0)[::2], np.array([2, 0, 5]), range(2, 5))  # fmt: skip
    for vector in vectors:
        assert call(vector, 7.0, matrix, idle) == vector[0] * vector[2] + 7.0 + 1.0
    assert call([2, 0, 5], 7.0, [0, 1, 2, 3], idle) == 18.0
    refused = [
        (([1, 2], 7.0, matrix, idle), ValueError, "g: argument q takes 3 numbers, got 2"),
        ((np.ones(4), 7.0, matrix, idle), ValueError, "g: argument q takes 3 numbers, got 4"),
        ((np.ones(3), 7.0, matrix, [1.0]), ValueError, "g: argument idle takes 2 numbers, got 1"),
        ((1.0, 7.0, matrix, idle), TypeError, "g: argument q takes a buffer of float64 or a flat sequence, with 3"),
        ((np.array(1.0), 7.0, matrix, idle), TypeError, "argument q takes a buffer"),
        ((["a", 1, 2], 7.0, matrix, idle), TypeError, "real number|float"),
        (([None] * 3, 7.0, matrix, idle), TypeError, "real number|float"),
        ((np.ones(3), 7.0, matrix.T, idle), ValueError, "argument A takes 4 numbers, got 2"),
        ((np.ones(3, complex), 7.0, matrix, idle), TypeError, "real number|float"),
        ((np.ones(3), 7.0), TypeError, "g takes 4 arguments, got 2"),
    ]
    for arguments, kind, words in refused:
        with pytest.raises(kind, match=words):
            call(*arguments)
    vector = np.ones(3)
    before = sys.getrefcount(vector), sys.getrefcount(matrix)
    for _ in range(1000):
        call(vector, 7.0, matrix, idle)
    vector.resize(5, refcheck=False)
    assert (sys.getrefcount(vector), sys.getrefcount(matrix)) == before


def test_scratch_on_the_heap(monkeypatch):
    monkeypatch.setattr(layout, "MAX_STACK", 0)
    function = make_function(compile(PROGRAM))
    assert function(1.0, 2.0, 3.0)[0] == pytest.approx(2 * math.e)
    with pytest.raises(TypeError):
        function(1.0, "2", 3.0)


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "fesetround"), reason="no fesetround in the C library")
def test_the_rounding_mode_of_the_process_does_not_matter(compiled, function):
    library, upward = ctypes.CDLL(None), 0x800
    third = Program(
        "t", (Array("x"), Array("y")), (Array("r"),), [("load", 0, 0), ("load", 1, 0), ("div", 0, 1)], ((2,),)
    )
    native = compile(third)
    call, ufunc = make_function(native), make_ufunc(native)
    x, y, out = np.array(2.0), np.array(3.0), np.empty(())
    try:
        assert library.fesetround(upward) == 0
        rounded, mine = x / y, call(2.0, 3.0)
        ufunc(x, y, out=out)
        assert library.fegetround() == upward
    finally:
        library.fesetround(0)
    assert mine == float(out) == 2.0 / 3.0
    assert rounded != mine, "the mode was not set: this test shows nothing"
