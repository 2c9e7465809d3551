"""Programs as native code: every instruction, every width and every cut gives the meaning NumPy gives."""

import ctypes
import dataclasses

import llvmlite.binding as llvm
import numpy as np
import pytest

import codegen
from codegen import INSTRUCTIONS, Array, Program, body, compile, host, layout, make_ufunc
from codegen import emit as emit_module
from codegen.contract import contract, prune
from codegen.emit import emit
from codegen.target import NAMED

# Wider vectors than the machine has are split by LLVM: every width is tested everywhere.
WIDTHS = (1, 2, 4, 8)
EDGES = [0.0, -0.0, 1.0, -1.0, 0.5, 2.5, -2.5, 1e-310, 1e308, -1e308, np.inf, -np.inf, np.nan, 3.0, 7.25]


def at_width(width: int, fma: bool | None = None) -> codegen.Target:
    return dataclasses.replace(host(), width=width, fma=host().fma if fma is None else fma)


def bits(array: np.ndarray) -> np.ndarray:
    """The bits of float64 values, all NaN alike."""
    return np.where(np.isnan(array), np.nan, array).view(np.int64)


def instruction_program(name: str) -> Program:
    kinds = INSTRUCTIONS[name].operands
    loads = [("load", k, 0) for k in range(len(kinds))]
    code, values = list(loads), []
    for k, kind in enumerate(kinds):
        if kind == "mask":
            code.append(("gt", k, (k + 1) % len(kinds)))
            values.append(len(code) - 1)
        else:
            values.append(k)
    if name == "polygamma":
        code.append(("const", 2.0))
        values[0] = len(code) - 1
    code.append((name, *values))
    if INSTRUCTIONS[name].result == "mask":
        code += [("const", 1.0), ("const", -2.0)]
        code.append(("select", len(code) - 3, len(code) - 2, len(code) - 1))
    arguments = tuple(Array(f"x{k}") for k in range(max(1, len(kinds))))
    return Program(name, arguments, (Array("r"),), code, ((len(code) - 1,),))


ROUNDED_ONCE = "add sub mul div minimum maximum copysign neg abs sign sqrt floor ceil trunc rint select"
EXACT = {
    *ROUNDED_ONCE.split(),
    *(name for name, row in INSTRUCTIONS.items() if "mask" in row.operands or row.result == "mask"),
}


@pytest.mark.parametrize("name", INSTRUCTIONS)
def test_every_instruction(name, meaning):
    program = instruction_program(name)
    grid = np.array(EDGES if name in EXACT else [0.1, 0.3, 0.5, 0.9, 0.7])
    points = [axis.ravel() for axis in np.meshgrid(*[grid] * len(program.arguments))]
    result = make_ufunc(compile(program))(*points)
    (expected,) = meaning(program, *points)
    if name in EXACT:
        equal = (result == expected) | np.isnan(result) & np.isnan(expected)
        assert equal.all(), (points, result, expected)
        if name not in ("minimum", "maximum"):  # NumPy leaves open which zero is the smaller
            assert (bits(result) == bits(expected)).all()
    else:
        np.testing.assert_allclose(result, expected, rtol=1e-14, equal_nan=True)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("seed", range(6))
def test_random_programs_without_fma_match_numpy_bit_for_bit(width, seed, programs, sample, meaning):
    program = programs(120, seed, "add sub mul div neg abs sign floor ceil trunc rint sqrt select copysign")
    arguments = sample(program, (37,), seed)
    results = make_ufunc(compile(program, at_width(width, fma=False)))(*arguments)
    for result, expected in zip(results, meaning(program, *arguments), strict=True):
        assert (bits(result) == bits(expected)).all(), str(program)


@pytest.mark.parametrize("seed", range(4))
def test_bits_do_not_depend_on_width_or_cut(seed, programs, sample, monkeypatch):
    program = programs(300, seed, "add sub mul div minimum maximum select sin cos exp tanh")
    arguments = sample(program, (23,), seed)
    expected = make_ufunc(compile(program))(*arguments)
    for part in (1000, 7):
        monkeypatch.setattr(body, "PART", part)
        monkeypatch.setattr(body, "WHOLE", part)
        for width in WIDTHS:
            results = make_ufunc(compile(program, at_width(width)))(*arguments)
            for result, other in zip(results, expected, strict=True):
                assert (bits(result) == bits(other)).all(), (part, width, str(program))


def test_long_programs_are_several_modules(programs, sample, monkeypatch):
    program = programs(300, 2, "add sub mul exp sin cos select", reach=150)
    arguments = sample(program, (11,), 0)
    expected = make_ufunc(compile(program))(*arguments)
    for name in ("PART", "WHOLE"):
        monkeypatch.setattr(body, name, 20)
    monkeypatch.setattr(emit_module, "PARTS_PER_MODULE", 2)
    compiled = compile(program)
    assert len(compiled.objects) == 4
    for result, other in zip(make_ufunc(compiled)(*arguments), expected, strict=True):
        assert (bits(result) == bits(other)).all()
    assert compiled.assembly().count("hy.part.3:") == 1


def test_large_scratch_comes_from_the_heap(programs, sample, meaning, monkeypatch):
    monkeypatch.setattr(layout, "MAX_STACK", 0)
    program = programs(60, 1, "add mul")
    ir = emit(program, host())
    assert "@malloc" in ir
    assert "@free" in ir
    arguments = sample(program, (50,), 1)
    for result, expected in zip(make_ufunc(compile(program))(*arguments), meaning(program, *arguments), strict=True):
        np.testing.assert_allclose(result, expected, rtol=1e-12)


def test_constant_and_argument_as_result():
    results = (Array("a"), Array("b"), Array("c", (3,)), Array("d"))
    program = Program(
        "plain", (Array("x"), Array("q", (2,))), results,
        [("const", -0.0), ("load", 0, 0), ("load", 1, 1), ("const", float("nan"))], ((0,), (1,), (2, 3, 1), (2,)),
    )  # fmt: skip
    x, q = np.arange(9.0), np.arange(18.0).reshape(9, 2) + 0.5
    a, b, c, d = make_ufunc(compile(program))(x, q)
    assert np.signbit(a).all()
    assert (a == 0).all()
    assert (b == x).all()
    assert (d == q[:, 1]).all()
    assert (c[:, 0] == q[:, 1]).all()
    assert np.isnan(c[:, 1]).all()
    assert (c[:, 2] == x).all()


def test_fused_products():
    code = [("load", 0, 0), ("load", 1, 0), ("mul", 0, 1), ("add", 2, 0), ("mul", 0, 3), ("neg", 4), ("sub", 1, 5)]
    program = Program("f", (Array("x"), Array("y")), (Array("r"),), code, ((6,),))
    fused = contract(program)
    assert fused.counts() == {"load": 2, "fma": 2}  # y − −(x·(x·y + x)) needs no negation
    # A product that is used twice, or is a result, stays.
    kept = Program("g", (Array("x"),), (Array("r", (2,)),), [("load", 0, 0), ("mul", 0, 0), ("add", 1, 0)], ((1, 2),))
    assert contract(kept).counts() == {"load": 1, "mul": 1, "add": 1}


@pytest.mark.parametrize("seed", range(5))
def test_contraction_keeps_the_meaning(seed, programs, sample, meaning):
    program = programs(200, seed, "add sub mul neg")
    for passed in (contract(program), prune(program)):
        assert dataclasses.replace(passed) == passed  # which validates it
        arguments = sample(program, (5,), seed)
        for result, expected in zip(meaning(passed, *arguments), meaning(program, *arguments), strict=True):
            np.testing.assert_allclose(result, expected, rtol=1e-9, atol=1e-9)


def test_one_rounding_where_the_target_fuses():
    product = Program(
        "f", (Array("x"), Array("y"), Array("z")), (Array("r"),),
        [("load", 0, 0), ("load", 1, 0), ("load", 2, 0), ("mul", 0, 1), ("add", 3, 2)], ((4,),),
    )  # fmt: skip
    x = 1 + 2.0**-30
    two_roundings = make_ufunc(compile(product, at_width(WIDTHS[-1], fma=False)))(x, x, -1 - 2.0**-29)
    assert two_roundings == 0
    if host().fma:
        assert make_ufunc(compile(product))(x, x, -1 - 2.0**-29) == 2.0**-60
    assert "fma" not in emit(product, at_width(2, fma=False))


def test_sine_and_cosine_share_a_call():
    code = [("load", 0, 0), ("sin", 0), ("cos", 0), ("mul", 1, 2)]
    ir = emit(Program("f", (Array("x"),), (Array("r"),), code, ((3,),)), host())
    part = ir[ir.index("define internal void @hy.part.0") :].split("\n}")[0]
    assert "@hy.sincos" in part
    assert "@hy.sin(" not in part


@pytest.mark.parametrize("name", ["pow", "memcpy", "double", "hy.exp", "2x", "naïve", "", "entry", "x.1", "main"])
def test_no_program_name_collides(name):
    program = Program(name, (Array("%x"), Array("add")), (Array("r"),),
                      [("load", 0, 0), ("load", 1, 0), ("pow", 0, 1)], ((2,),))  # fmt: skip
    assert make_ufunc(compile(program))(2.0, 3.0) == pytest.approx(8.0)


@pytest.mark.parametrize("target", NAMED)
def test_every_named_target_makes_an_object(target, programs):
    target = NAMED[target]
    program = programs(80, 3, "add mul div sqrt exp select")
    from_text = llvm.parse_assembly(emit(program, target))
    from_text.verify()
    assert len(target.machine().emit_object(from_text)) > 1000


def test_polygamma_needs_a_constant_order():
    program = Program("f", (Array("n"), Array("x")), (Array("r"),),
                      [("load", 0, 0), ("load", 1, 0), ("polygamma", 0, 1)], ((2,),))  # fmt: skip
    with pytest.raises(ValueError, match="constant order"):
        emit(program, host())


@pytest.mark.parametrize("width", WIDTHS)
def test_a_single_point_has_constants_too(width):
    results = (Array("a"), Array("c", (2, 2)))
    code = [("const", 2.5), ("load", 0, 0), ("load", 1, 1), ("mul", 1, 2)]
    program = Program("point", (Array("x"), Array("q", (3,)), Array("unused")), results, code, ((0,), (3, 0, 1, 2)))
    compiled = compile(program, at_width(width))
    x, q, a, c = np.array(3.0), np.array([1.0, 7.0, 2.0]), np.zeros(()), np.zeros((2, 2))
    point = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 5)(compiled.address("point"))
    point(x.ctypes.data, q.ctypes.data, None, a.ctypes.data, c.ctypes.data)
    assert a == 2.5
    assert c.tolist() == [[21.0, 2.5], [3.0, 7.0]]
