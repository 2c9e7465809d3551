"""Threaded code gives what compiled code gives, bit for bit (the signs of NaNs aside), for every instruction."""

import ctypes

import numpy as np
import pytest

from codegen import INSTRUCTIONS, Array, Program, compile, host, make_function, make_ufunc
from codegen.external import External
from codegen.threaded import FIELDS, thread

EVERYTHING = " ".join(name for name, row in INSTRUCTIONS.items() if row.result == "real" and name != "polygamma")
BATCHES = [(), (0,), (1,), (7,), (8,), (33,), (3, 100)]


def both(program, target=None):
    return [make_ufunc(compile(program, target, tier=tier)) for tier in ("threaded", "full")]


def same(first, second):
    for a, b in zip(first, second, strict=True):
        assert a.shape == b.shape
        real = ~np.isnan(a)
        np.testing.assert_array_equal(np.isnan(b), ~real)
        assert a[real].tobytes() == b[real].tobytes()


@pytest.mark.parametrize("element", ["float64", "float32"])
def test_every_instruction_in_every_batch(element, programs, sample):
    program = programs(900, 5, EVERYTHING, reach=30)
    assert {name for name, *_ in program.body} >= set(INSTRUCTIONS) - {"polygamma"}
    ufuncs = both(program, host().with_element(element))
    for batch in BATCHES:
        arguments = [3 * array.astype(element) for array in sample(program, batch, 1)]
        same(*(ufunc(*arguments) for ufunc in ufuncs))


def test_sines_in_pairs_polygamma_and_results_that_are_arguments_constants_or_twice_the_same():
    body = [("load", 0, 0), ("load", 1, 1), ("const", 2.0), ("sin", 0), ("mul", 3, 2), ("cos", 0), ("cos", 1)]
    body += [("polygamma", 2, 0), ("add", 4, 5), ("add", 6, 7), ("sin", 1)]
    results = (Array("a"), Array("b"), Array("c", (2,)), Array("d", (5,)))
    outputs = ((0,), (2,), (8, 8), (9, 1, 2, 10, 8))
    program = Program("f", (Array("x"), Array("y", (2,))), results, body, outputs)
    x, y = np.linspace(0.1, 9, 41), np.random.default_rng(0).normal(size=(41, 2))
    for threaded, full in [both(program)]:
        same(threaded(x, y), full(x, y))
        same(threaded(x[::3], y[::-3][:14]), full(x[::3], y[::-3][:14]))
        same(threaded(x[0], y), full(x[0], y))
        out = [np.empty((41, *result.shape)) for result in results]
        threaded(x, y, out=tuple(out))
        same(out, full(x, y))


@pytest.mark.parametrize("seed", range(6))
def test_random_programs_reuse_rows_safely(seed, programs, sample):
    program = programs(3_000, seed, "add sub mul minimum abs sin cos select fma", reach=[4, 20, 200][seed % 3])
    arguments = sample(program, (50,), seed)
    same(*(ufunc(*arguments) for ufunc in both(program)))


def test_a_builtin_for_single_points_and_results_written_over_arguments():
    program = Program("g", (Array("x"), Array("y")), (Array("r"), Array("s")),
                      [("load", 0, 0), ("load", 1, 0), ("sub", 0, 1), ("mul", 0, 1)], ((2,), (3,)))  # fmt: skip
    compiled = compile(program, tier="threaded")
    assert make_function(compiled)(5.0, 3.0) == (2.0, 15.0)
    x, y = np.arange(100.0), np.arange(100.0)[::-1].copy()
    expected = x - y, x * y
    make_ufunc(compiled)(x, y, out=(x, y))
    same((x, y), expected)


def test_long_programs_are_threaded_and_a_chain_needs_few_rows():
    body = [("load", 0, 0), *(("sin", k) for k in range(40_000))]
    compiled = compile(Program("chain", (Array("x"),), (Array("r"),), body, ((40_000,),)))
    assert compiled.tier == "threaded"
    assert compiled.layout.rows <= 4
    assert compiled.assembly is not None
    y = x = np.linspace(-3, 3, 9)
    for _ in range(40_000):
        y = np.sin(y)
    np.testing.assert_allclose(make_ufunc(compiled)(x), y, rtol=1e-9)


def test_the_table_is_what_it_says():
    body = [("load", 0, 0), ("const", 0.0), ("const", -0.0), ("add", 0, 1), ("mul", 3, 2), ("mul", 4, 1)]
    table = thread(Program("t", (Array("x"),), (Array("r"),), body, ((5,),)), host())
    assert table.steps == ("add", "mul", "last")
    assert table.records.shape == (4, FIELDS)
    assert table.constants.reshape(2, -1)[:, 0].tobytes() == np.array([0.0, -0.0]).tobytes()
    assert table.records[:, 0].tolist() == [0, 1, 1, 2]


def test_an_unknown_tier_and_a_bad_order_are_refused():
    program = Program("p", (Array("x"),), (Array("r"),), [("load", 0, 0), ("polygamma", 0, 0)], ((1,),))
    with pytest.raises(ValueError, match="tier must be one of auto, full, quick, threaded, soonest, got 'fast'"):
        compile(program, tier="fast")
    with pytest.raises(ValueError, match="polygamma needs a constant order"):
        compile(program, tier="threaded")


def test_the_soonest_tier_is_threaded_unless_others_are_called():
    arguments, results = (Array("x"),), (Array("r"),)
    body = [("load", 0, 0), ("sin", 0)]
    assert compile(Program("f", arguments, results, body, ((1,),)), tier="soonest").tier == "threaded"
    address = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(lambda x: 2 * x)
    external = External("twice", 1, address=ctypes.cast(address, ctypes.c_void_p).value)
    calling = Program("g", arguments, results, [("load", 0, 0), ("extern.twice", 0)], ((1,),), (external,))
    compiled = compile(calling, tier="soonest")
    assert compiled.tier == "quick"
    assert make_function(compiled)(3.0) == 6.0
    with pytest.raises(ValueError, match="threaded code calls no external functions"):
        compile(calling, tier="threaded")
