"""Calls on fixed arrays, and callbacks for other libraries."""

import ctypes
import gc
import sys
import threading
import weakref

import numpy as np
import pytest

from codegen import Array, Program, bind, callback, compile, host, make_ufunc
from codegen.callbacks import SIGNATURES

ARGUMENTS = (Array("x"), Array("q", (3,)), Array("A", (2, 2)))
RESULTS = (Array("r"), Array("J", (2, 3)))
NAMES = "add sub mul div exp select"


@pytest.fixture
def program(programs):
    return programs(60, 4, NAMES, ARGUMENTS, RESULTS)


def test_bits_of_the_ufunc(program, sample):
    compiled = compile(program)
    ufunc = make_ufunc(compiled)
    for batch in ((), (1,), (5,), (3, 4), (100,), (0,)):
        inputs = sample(program, batch, 1)
        outputs = [np.zeros(batch), np.zeros((*batch, 2, 3))]
        call = bind(compiled, inputs, outputs)
        for _ in range(2):
            results = call()
            assert results[0] is outputs[0]
            assert results[1] is outputs[1]
            for result, expected in zip(results, ufunc(*inputs), strict=True):
                np.testing.assert_array_equal(result, expected)
            inputs[0][...] += 0.5


def test_strides_and_broadcasting(program, sample):
    compiled = compile(program)
    ufunc = make_ufunc(compiled)
    x, q, A = sample(program, (6,), 2)
    wide = np.zeros((6, 5))
    wide[:, 1] = x
    outputs = (np.zeros((6, 3))[:, 2], np.zeros((6, 3, 2)).transpose(0, 2, 1))
    for inputs in ((wide[:, 1], q, A), (x[::-1], q, A), (x[:1], q, A[0]), (np.array(0.5), q[2], A), (x, q, A[:1])):
        bind(compiled, inputs, outputs)()
        for result, expected in zip(outputs, ufunc(*inputs), strict=True):
            np.testing.assert_array_equal(result, np.broadcast_to(expected, result.shape))
    single = (np.zeros(()), np.zeros((3, 2)).T)
    bind(compiled, (np.array(0.25), q[1], A.transpose(0, 2, 1)[0]), single)()
    np.testing.assert_array_equal(single[1], ufunc(0.25, q[1], A.transpose(0, 2, 1)[0])[1])


def test_what_is_refused(program, sample):
    compiled = compile(program)
    x, q, A = sample(program, (6,), 2)
    r, J = np.zeros(6), np.zeros((6, 2, 3))
    fixed = np.zeros(6)
    fixed.flags.writeable = False
    cases = [
        ((x, q), (r, J), ValueError, "binds 3 inputs and 2 outputs, got 2 and 2"),
        (([1.0], q, A), (r, J), TypeError, "x is bound to a float64 array, which is shared and not copied; got list"),
        ((x.astype(np.float32), q, A), (r, J), TypeError, "got ndarray of float32"),
        ((x, q.astype(">f8"), A), (r, J), TypeError, "q is bound to a float64 array"),
        ((x, q[:, :2], A), (r, J), ValueError, r"q is bound to an array of shape \(..., 3\), got \(6, 2\)"),
        ((x[:5], q, A), (r, J), ValueError, "broadcast"),
        ((x, q, A), (r[:1], J), ValueError, r"shape \(1,\), expected \(6,\)"),
        ((x, q, A), (fixed, J), ValueError, "read-only"),
        ((x, q, A), (x, J), ValueError, "array for r overlaps another"),
        ((x, q, A), (J[:, 0, 0], J), ValueError, "array for J overlaps another"),
    ]
    for inputs, outputs, kind, words in cases:
        with pytest.raises(kind, match=words):
            bind(compiled, inputs, outputs)
    two = [np.zeros((2, 4)), np.zeros((2, 4, 3)), np.zeros((2, 4, 2, 2))]
    with pytest.raises(ValueError, match="points of x do not lie at one stride"):
        bind(compiled, [np.zeros((2, 8))[:, :4], *two[1:]], (np.zeros((2, 4)), np.zeros((2, 4, 2, 3))))


def test_an_array_that_was_resized_is_refused(program, sample):
    compiled = compile(program)
    for which in range(5):
        arrays = [array.copy() for array in (*sample(program, (6,), 2), np.zeros(6), np.zeros((6, 2, 3)))]
        call = bind(compiled, arrays[:3], arrays[3:])
        call()
        with pytest.raises(ValueError, match=r"resize|references"):
            arrays[which].resize((100, *arrays[which].shape[1:]))
        arrays[which].resize((10_000, *arrays[which].shape[1:]), refcheck=False)
        with pytest.raises(ValueError, match="resized or reshaped; bind the arrays again"):
            call()
    x = np.zeros(6)
    unary = Program("u", (Array("x"),), (Array("r"),), [("load", 0, 0), ("sqrt", 0)], ((1,),))
    call = bind(compile(unary), [x], [np.zeros(6)])
    x.shape = (2, 3)
    with pytest.raises(ValueError, match="reshaped"):
        call()


def test_lives_and_dies(program, sample):
    compiled = compile(program)
    inputs = sample(program, (6,), 2)
    outputs = [np.zeros(6), np.zeros((6, 2, 3))]
    expected = make_ufunc(compiled)(*inputs)[1]
    code, array = weakref.ref(compiled), weakref.ref(inputs[0])
    counts = [sys.getrefcount(output) for output in outputs]
    call = bind(compiled, inputs, outputs)
    del compiled, inputs
    gc.collect()
    for _ in range(1000):
        call()
    np.testing.assert_array_equal(outputs[1], expected)
    with pytest.raises(TypeError):
        call(1)
    del call
    gc.collect()
    assert code() is None
    assert array() is None
    assert [sys.getrefcount(output) for output in outputs] == counts


def test_long_calls_let_other_threads_run():
    program = Program("slow", (Array("x"),), (Array("r"),),
                      [("load", 0, 0), *[("sin", k) for k in range(40)]], ((40,),))  # fmt: skip
    x, r = np.linspace(0, 1, 400_000), np.zeros(400_000)
    call = bind(compile(program), [x], [r])
    ticks, done = [0], threading.Event()

    def tick():
        while not done.is_set():
            ticks[0] += 1

    other = threading.Thread(target=tick)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        other.start()
        before = ticks[0]
        call()
        after = ticks[0]
    finally:
        done.set()
        other.join()
        sys.setswitchinterval(interval)
    assert after > before + 10


def test_float32(program, sample):
    compiled = compile(program, host().with_element("float32"))
    inputs = [array.astype(np.float32) for array in sample(program, (7,), 1)]
    outputs = [np.zeros(7, np.float32), np.zeros((7, 2, 3), np.float32)]
    bind(compiled, inputs, outputs)()
    for result, expected in zip(outputs, make_ufunc(compiled)(*inputs), strict=True):
        np.testing.assert_array_equal(result, expected)
    with pytest.raises(TypeError, match="float32 array"):
        bind(compiled, [inputs[0].astype(float), *inputs[1:]], outputs)


CODE = [("load", 0, 0), ("load", 1, 0), ("load", 1, 1), ("mul", 0, 1), ("exp", 2), ("add", 3, 4)]


def test_callbacks():
    program = Program("f", (Array("x"), Array("q", (2,))), (Array("r"),), CODE, ((5,),))
    compiled = compile(program)
    expected = 2.0 * 3.0 + float(make_ufunc(compiled)(0.0, [0.0, 0.5]))
    numbers = (ctypes.c_double * 3)(2.0, 3.0, 0.5)
    behind = ctypes.cast(ctypes.addressof(numbers) + 8, ctypes.c_void_p)
    assert callback(compiled, "double (int, double *)", 3)(3, numbers) == expected
    assert np.isnan(callback(compiled, "double (int, double *)", 3)(2, numbers))
    assert callback(compiled, "double (int, double *, void *)", 1)(1, numbers, behind) == expected
    assert callback(compiled, "double (double, void *)", 1)(2.0, behind) == expected
    result = (ctypes.c_double * 1)()
    filtered = callback(compiled, "int (double *, intptr_t, double *, void *)", 3)
    assert filtered(numbers, 3, result, None) == 1
    assert result[0] == expected
    assert filtered(numbers, 4, result, None) == 0
    gone = weakref.ref(compiled)
    del compiled
    gc.collect()
    assert filtered(numbers, 3, result, None) == 1
    del filtered
    gc.collect()
    assert gone() is None


def test_callbacks_that_do_not_fit():
    compiled = compile(Program("f", (Array("x"), Array("q", (2,))), (Array("r"),), CODE, ((5,),)))
    for signature, numbers, words in (
        ("float (float)", 1, "is not one of 'double"),
        ("double (double)", 1, "f takes 3 numbers; 'double .double.' would give it 1"),
        ("double (double)", 3, "gives 1 number, not 3"),
        ("double (int, double *)", 2, "would give it 2"),
        ("double (int, double *, void *)", 4, "would give it 4"),
    ):
        with pytest.raises(ValueError, match=words):
            callback(compiled, signature, numbers)
    vector = compile(Program("g", (Array("x"),), (Array("r", (1,)),), [("load", 0, 0)], ((0,),)))
    for signature in SIGNATURES:
        with pytest.raises(ValueError, match=r"one float64 result of shape \(\)"):
            callback(vector, signature, 1)
