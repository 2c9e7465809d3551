"""Every row of vector_math against 50-digit values, at every width, with and without fused multiply-add."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable
from fractions import Fraction
from functools import cache

import llvmlite.binding as llvm
import mpmath
import numpy as np
import pytest
from mpmath import mp, mpf
from vector_points import NAMES, ORDERS, narrow_samples, quiet, samples

from codegen.program import INSTRUCTIONS
from codegen.target import NAMED, Target, host
from codegen.vector_math import FUNCTIONS, MAX_ORDER, VectorFunction, define, derive
from codegen.vector_math import coefficients as stored
from codegen.vector_math import coefficients32 as stored32
from codegen.vector_math.double_double import multiply_add, two_prod, two_sum
from codegen.vector_math.remez import minimax
from codegen.vector_math.table import PLAIN_INSTRUCTIONS
from codegen.vector_math.trial import Trial, loop, shape_of

WIDTHS = (1, 2, 4, 8)
PLAIN = NAMED["x86-64"]  # SSE2, no fused multiply-add

needs_fma = pytest.mark.skipif(not host().fma, reason="this machine has no fused multiply-add")


@cache
def trial(width: int, fma: bool) -> Trial:
    """All functions at one width; without fused multiply-add in the instructions of the first x86-64 where that
    runs."""
    target = PLAIN if host().is_x86 and not fma else host()
    return Trial(NAMES, target=target, width=width, fma=fma)


def row_of(name: str) -> VectorFunction:
    return FUNCTIONS[name.partition(".")[0]]


# What each name means in multiple precision; None where the function is not defined.
def _real_power(x: mpf, y: mpf) -> mpf | None:
    if x > 0:
        return x**y
    return None if x == 0 or y != int(y) else x ** int(y)


def _remainder(x: mpf, y: mpf) -> mpf | None:
    if y == 0:
        return None
    rest = Fraction(float(abs(x))) % Fraction(float(abs(y)))
    return mp.sign(x) * (mpf(rest.numerator) / mpf(rest.denominator))


def _floor_remainder(x: mpf, y: mpf) -> mpf | None:
    rest = _remainder(x, y)
    return rest if rest is None or rest * y >= 0 else rest + y


def _pole(x: mpf) -> bool:
    return bool(x <= 0 and x == int(x))


def _log_gamma(x: mpf) -> mpf:
    """ln |Γ(x)|, by reflection left of 0, where mpmath would give a complex number."""
    if x > 0:
        return mp.loggamma(x)
    return mp.log(mp.pi / abs(x * mp.sinpi(x))) - mp.loggamma(-x)


def _polygamma(n: int) -> Callable[[mpf], mpf | None]:
    return lambda x: None if _pole(x) or x < -500 else mp.polygamma(n, x)


MEANING: dict[str, Callable[..., mpf | None]] = {
    "exp": mp.exp,
    "exp2": lambda x: mpf(2) ** x,
    "expm1": lambda x: mp.expm1(x) if abs(x) < 1000 else mp.exp(x) - 1,
    "log": lambda x: mp.log(x) if x > 0 else None,
    "log2": lambda x: mp.log(x, 2) if x > 0 else None,
    "log10": lambda x: mp.log10(x) if x > 0 else None,
    "log1p": lambda x: mp.log1p(x) if x > -1 else None,
    "cbrt": lambda x: mp.sign(x) * mp.cbrt(abs(x)),
    "pow": _real_power,
    "sin": mp.sin,
    "cos": mp.cos,
    "sincos": mp.sin,
    "tan": mp.tan,
    "asin": lambda x: mp.asin(x) if abs(x) <= 1 else None,
    "acos": lambda x: mp.acos(x) if abs(x) <= 1 else None,
    "atan": mp.atan,
    "atan2": mp.atan2,
    "sinh": mp.sinh,
    "cosh": mp.cosh,
    "tanh": mp.tanh,
    "asinh": lambda x: mp.sign(x) * mp.asinh(abs(x)),
    "acosh": lambda x: mp.acosh(x) if x >= 1 else None,
    "atanh": lambda x: mp.atanh(x) if abs(x) < 1 else None,
    "logistic": lambda x: 1 / (1 + mp.exp(-x)) if x > -2000 else mpf(0),
    "rsqrt": lambda x: 1 / mp.sqrt(x) if x > 0 else None,
    "hypot": mp.hypot,
    "erf": mp.erf,
    "erfc": lambda x: mp.erfc(x) if abs(x) < 100 else mpf(0 if x > 0 else 2),
    "gamma": lambda x: None if _pole(x) else mp.gamma(x) if abs(x) < 300 else mpf("1e999") if x > 0 else mpf(0),
    "loggamma": lambda x: None if _pole(x) else _log_gamma(x),
    "digamma": lambda x: None if _pole(x) or x < -500 else mp.digamma(x),
    "fmod": _remainder,
    "mod": _floor_remainder,
} | {f"polygamma.{n}": _polygamma(n) for n in ORDERS}

# f' where the error is stated for each unit of the condition number |x f'(x)/f(x)|
SLOPE: dict[str, Callable[[mpf], mpf]] = {
    "loggamma": mp.digamma,
    "digamma": lambda x: mp.polygamma(1, x),
} | {f"polygamma.{n}": lambda x, n=n: mp.polygamma(n + 1, x) for n in ORDERS}


def as_float(value: mpf) -> float:
    return math.copysign(math.inf, value) if abs(value) >= mpf(2) ** 1024 else float(value)


def error(got: float, want: mpf) -> float:
    """|got - want| in units of the last place of the float next to `want`; 0 for the right infinity."""
    nearest = as_float(want)
    if math.isinf(nearest):
        return 0.0 if got == nearest or abs(got) == np.finfo(float).max else math.inf
    if not math.isfinite(got):
        # rounding to infinity from within an ulp of the largest float
        return 1.0 if abs(nearest) == np.finfo(float).max and math.copysign(math.inf, nearest) == got else math.inf
    return float(abs(mpf(got) - want) / mpf(math.ulp(nearest)))


def worst(name: str, points: list[np.ndarray], got: np.ndarray) -> tuple[float, str]:
    """The largest error over the points, relative to what the row allows, and where it is."""
    meaning, slope, row = MEANING[name], SLOPE.get(name), row_of(name)
    largest, where = 0.0, "nowhere"
    with mp.workdps(50):
        for *arguments, result in zip(*(p.tolist() for p in points), got.tolist(), strict=True):
            exact = [mpf(a) for a in arguments]
            want = meaning(*exact)
            if want is None:
                continue
            allowed = row.ulp
            if slope is not None and want != 0:
                allowed *= max(1.0, float(abs(exact[0] * slope(exact[0]) / want)))
            found = error(result, want) / allowed
            if not found <= largest:
                largest, where = found, f"{name}{tuple(arguments)} = {result!r}, but {as_float(want)!r}"
                where += f" ({found * allowed:.3f} ulp, allowed {allowed:.3f})"
    return largest, where


def size_for(name: str) -> int:
    """Fewer points where the 50-digit value is slow."""
    return 12 if name in SLOPE else 60 if row_of(name).arity == 2 else 250


def first(result: np.ndarray | tuple[np.ndarray, ...]) -> np.ndarray:
    return result[0] if isinstance(result, tuple) else result


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("fma", [pytest.param(True, marks=needs_fma), False])
def test_error_is_within_the_row(name: str, fma: bool) -> None:
    points = samples(shape_of(name)[0], size_for(name), seed=len(name) + fma)
    if name in SLOPE:
        points = [p[np.abs(p) < 1e6] for p in points]
    got = first(trial(4 if fma else 2, fma)(name, *points))
    largest, where = worst(name, points, got)
    assert largest <= 1, where


def test_hard_arguments_of_the_reduction() -> None:
    """Multiples of π/2 rounded to float64, among them the one nearest to a multiple [Muller, Elementary Functions,
    11.2]."""
    multiples = [
        float(mp.mpf(k) * mpf(2) ** e * mp.pi / 2) for k in range(1, 60) for e in (0, 3, 14, 19, 21, 60, 400, 900)
    ]
    points = [np.array([*multiples, math.ldexp(6381956970095103, 797), math.ldexp(6381956970095103, 796)])]
    for name, fma in itertools.product(("sin", "cos", "tan"), {host().fma, False}):
        largest, where = worst(name, points, first(trial(2, fma)(name, *points)))
        assert largest <= 1, where


@pytest.mark.parametrize("name", NAMES)
def test_every_width_gives_the_same_bits(name: str) -> None:
    points = samples(shape_of(name)[0], 40, seed=3)
    for fma in {host().fma, False}:
        results = [np.atleast_2d(trial(width, fma)(name, *points)) for width in (WIDTHS if fma else (1, 2))]
        for result in results[1:]:
            same = (result.view(np.int64) == results[0].view(np.int64)) | (np.isnan(result) & np.isnan(results[0]))
            assert same.all(), f"{name} at {[p[~same[0]][:3] for p in points]}"


@pytest.mark.parametrize("name", NAMES)
def test_a_lane_does_not_depend_on_the_others(name: str) -> None:
    points = samples(shape_of(name)[0], 30, seed=4)
    order = np.random.default_rng(0).permutation(points[0].size)
    run = trial(4, host().fma)
    straight = np.atleast_2d(run(name, *points))[:, order]
    shuffled = np.atleast_2d(run(name, *(p[order] for p in points)))
    np.testing.assert_array_equal(straight, shuffled)


def test_sincos_gives_the_bits_of_sin_and_cos() -> None:
    (points,) = samples(1, 200, seed=5)
    run = trial(4, host().fma)
    sine, cosine = run("sincos", points)
    np.testing.assert_array_equal(sine, run("sin", points))
    np.testing.assert_array_equal(cosine, run("cos", points))


SPECIAL = [0.0, math.inf, math.nan, 5e-324, 1e-310, 2.2250738585072014e-308, 0.5, 1.0, 1.5, 2.0, 3.0, 2.0**52 + 1,
           2.0**53, 1e300, 1.7976931348623157e308]  # fmt: skip
SPECIAL += [-x for x in SPECIAL]
NUMPY = {"asin": "arcsin", "acos": "arccos", "atan": "arctan", "atan2": "arctan2", "asinh": "arcsinh"}
NUMPY |= {"acosh": "arccosh", "atanh": "arctanh", "pow": "power"}
WITH_NUMPY = [name for name in NAMES if hasattr(np, NUMPY.get(name, name))]


# the widest vectors of this machine too: they may have instructions of their own
ENDS = [pytest.param(2, False), *(pytest.param(width, True, marks=needs_fma) for width in (2, host().width))]


@pytest.mark.parametrize("name", WITH_NUMPY)
@pytest.mark.parametrize(("width", "fma"), ENDS)
def test_special_values_are_numpy_s(name: str, width: int, fma: bool) -> None:
    """NaN, infinity, zero and the sign of each agree with NumPy, that is C99's Annex F; the rest is near."""
    grid = np.array(list(itertools.product(SPECIAL, repeat=shape_of(name)[0]))).T
    with np.errstate(all="ignore"):
        want = getattr(np, NUMPY.get(name, name))(*grid)
        got = trial(width, fma)(name, *grid)
        regular = np.isfinite(want) & (want != 0) & (np.abs(want) < np.finfo(float).max)
        near = np.abs(got - want) <= 4 * np.spacing(np.abs(want))
    same = (np.isnan(want) & np.isnan(got)) | ((got == want) & (np.signbit(got) == np.signbit(want)))
    wrong = ~np.where(regular, near, same)
    assert not wrong.any(), f"{name}{grid.T[wrong][:3]} = {got[wrong][:3]}, NumPy {want[wrong][:3]}"


SPECIAL_VALUES = {
    "logistic": [(0.0, 0.5), (math.inf, 1.0), (-math.inf, 0.0), (40.0, 1.0), (-744.0, 1e-309), (math.nan, math.nan)],
    "rsqrt": [(0.0, math.inf), (-0.0, -math.inf), (math.inf, 0.0), (4.0, 0.5), (-1.0, math.nan), (-math.inf, math.nan)],
    "erf": [(0.0, 0.0), (-0.0, -0.0), (math.inf, 1.0), (-math.inf, -1.0), (6.0, 1.0), (math.nan, math.nan)],
    "erfc": [(0.0, 1.0), (math.inf, 0.0), (-math.inf, 2.0), (27.3, 0.0), (26.6, 1e-309), (math.nan, math.nan)],
    "gamma": [(0.0, math.inf), (-0.0, -math.inf), (-1.0, math.nan), (-math.inf, math.nan), (math.inf, math.inf),
              (171.7, math.inf), (-200.5, -0.0), (-201.5, 0.0), (-1e300, math.nan), (math.nan, math.nan)],
    "loggamma": [(0.0, math.inf), (-0.0, math.inf), (-3.0, math.inf), (1.0, 0.0), (2.0, 0.0), (math.inf, math.inf),
                 (-math.inf, math.inf), (1e308, math.inf), (math.nan, math.nan)],
    "digamma": [(0.0, -math.inf), (-0.0, math.inf), (-2.0, math.nan), (math.inf, math.inf), (-math.inf, math.nan),
                (5e-324, -math.inf), (-5e-324, math.inf), (math.nan, math.nan)],
    "polygamma.1": [(0.0, math.inf), (-0.0, math.inf), (-2.0, math.inf), (math.inf, 0.0), (-math.inf, math.nan),
                    (-5e-324, math.inf), (math.nan, math.nan)],
    "polygamma.2": [(0.0, -math.inf), (-0.0, math.inf), (-2.0, math.nan), (math.inf, -0.0), (-5e-324, math.inf)],
}  # fmt: skip


@pytest.mark.parametrize("name", SPECIAL_VALUES)
@pytest.mark.parametrize(("width", "fma"), ENDS)
def test_special_values(name: str, width: int, fma: bool) -> None:
    points, want = map(np.array, zip(*SPECIAL_VALUES[name], strict=True))
    got = trial(width, fma)(name, points)
    tiny = np.abs(want) == 1e-309  # stands for any subnormal number
    np.testing.assert_array_equal(np.where(tiny, np.where((got > 0) & (got < 2.3e-308), want, got), got), want)
    np.testing.assert_array_equal(np.signbit(got)[~np.isnan(want)], np.signbit(want)[~np.isnan(want)])


SINGLE = [name for name in NAMES if "polygamma" not in name] + ["polygamma.2"]


@cache
def single(width: int, fma: bool) -> Trial:
    """`trial` for float32, at twice the lanes (but one for one)."""
    return Trial(SINGLE, target=PLAIN if host().is_x86 and not fma else host(), width=width, fma=fma, dtype="float32")


def narrow_errors(name: str, points: list[np.ndarray], fma: bool, width: int = 4) -> tuple[float, str]:
    """The largest error of float32 results in ulp against the float64 ones, which are tested against 50 digits."""
    got, want = (np.atleast_2d(run(name, *points)) for run in (single(width, fma), trial(4, host().fma)))
    with np.errstate(over="ignore", invalid="ignore"):
        nearest = want.astype(np.float32)
        ulp = np.spacing(np.abs(nearest)).astype(float)
        errors = np.abs(got.astype(float) - want) / ulp
    largest = np.finfo(np.float32).max
    special = ~np.isfinite(nearest) | (nearest == 0)
    same = (np.isnan(nearest) & np.isnan(got)) | ((got == nearest) & (np.signbit(got) == np.signbit(nearest)))
    rounded_down = np.isinf(nearest) & (np.abs(got) == largest)
    rounded_up = (np.abs(nearest) == largest) & (got == np.copysign(np.inf, nearest))
    errors = np.where(special, np.where(same | rounded_down, 0.0, np.inf), np.where(rounded_up, 1.0, errors))
    errors = np.where(np.isnan(errors), np.inf, errors)
    where = np.unravel_index(errors.argmax(), errors.shape)
    arguments = [p[where[1]] for p in points]
    return float(errors[where]), f"{name}{arguments} = {got[where]}, but {want[where]}: {errors[where]:.3f} ulp"


@pytest.mark.parametrize("name", SINGLE)
@pytest.mark.parametrize("fma", [pytest.param(True, marks=needs_fma), False])
def test_float32_is_within_the_row(name: str, fma: bool) -> None:
    """All magnitudes, subnormal and special values among them; float64 results stand for the exact ones."""
    points = narrow_samples(shape_of(name)[0], 20_000, seed=8)
    found, where = narrow_errors(name, points, fma)
    # functions made by way of float64 are rounded once
    assert found <= (0.5 + 2**-24 if row_of(name).by_float64 else row_of(name).ulp), where


@pytest.mark.parametrize(("width", "fma"), ENDS)
def test_float32_special_values(width: int, fma: bool) -> None:
    edges = [
        0.0,
        1.0,
        0.5,
        2.0,
        3.0,
        np.inf,
        np.nan,
        1e-45,
        1.1754942e-38,
        1.1754944e-38,
        3.4028235e38,
        88.72284,
        103.9,
    ]
    edges += [-x for x in edges]
    for name in SINGLE:
        grid = np.array(list(itertools.product(edges, repeat=shape_of(name)[0])), dtype=np.float32).T
        found, where = narrow_errors(name, list(grid), fma, width)
        assert found <= row_of(name).ulp, where


@pytest.mark.parametrize("name", SINGLE)
def test_float32_has_the_same_bits_at_every_width(name: str) -> None:
    points = narrow_samples(shape_of(name)[0], 500, seed=9)
    for fma in {host().fma, False}:
        results = [np.atleast_2d(single(width, fma)(name, *points)) for width in (WIDTHS if fma else (1, 2))]
        for result in results[1:]:
            same = (result.view(np.int32) == results[0].view(np.int32)) | (np.isnan(result) & np.isnan(results[0]))
            assert same.all(), f"{name} at {[p[~same[0]][:3] for p in points]}"


@pytest.mark.long
@pytest.mark.parametrize("name", SINGLE)
@pytest.mark.parametrize("fma", [pytest.param(True, marks=needs_fma), False])
def test_float32_at_ten_million_points(name: str, fma: bool) -> None:
    """Every 331st of all float32 numbers, or 10⁷ pairs."""
    if shape_of(name)[0] == 1:
        batches = [[quiet(part)] for part in np.array_split(np.arange(5, 2**32, 331, dtype=np.uint32), 8)]
    else:
        batches = [narrow_samples(2, 500_000, seed=seed) for seed in range(6)]
    for points in batches:
        found, where = narrow_errors(name, points, fma)
        assert found <= row_of(name).ulp, where


def test_factorials_and_powers_are_exact() -> None:
    whole = np.arange(1.0, 23.0)
    for fma in {host().fma, False}:
        run = trial(2, fma)
        np.testing.assert_array_equal(run("gamma", whole), [math.factorial(int(n) - 1) for n in whole])
        np.testing.assert_array_equal(run("exp2", whole - 11), 2.0 ** (whole - 11))
        np.testing.assert_array_equal(run("log2", 2.0 ** (whole - 11)), whole - 11)
        np.testing.assert_array_equal(run("cbrt", whole**3), whole)
        np.testing.assert_array_equal(run("log10", 10.0**whole), whole)
        for power in range(-1, 12):
            np.testing.assert_array_equal(run("pow", whole, np.full(22, float(power))), whole**power)


def test_every_instruction_has_a_row() -> None:
    names = {row.name for row in INSTRUCTIONS.values() if row.result == "real"}
    assert names - PLAIN_INSTRUCTIONS == set(FUNCTIONS) - {"sincos", "logistic", "rsqrt"}


def test_definitions_stand_alone() -> None:
    """Each symbol once, nothing but LLVM's intrinsics outside, and no library call in what x86-64 makes of them."""
    for width, fma in ((4, True), (1, True), (2, False)):
        text = define(NAMES, width=width, fma=fma)
        symbols = re.findall(r"^define .* (@[\w.]+)\(", text, re.MULTILINE)
        assert len(symbols) == len(set(symbols))
        assert {f"@hy.{name}" for name in NAMES} <= set(symbols)
        assert not re.search(r"\b(declare|fast|contract|reassoc)\b", text)
        called = {symbol for symbol in re.findall(r"call [^@]*(@[\w.]+)\(", text) if not symbol.startswith("@llvm.")}
        assert called <= set(symbols)


@pytest.mark.parametrize("name", ["x86-64", "x86-64-v4", "aarch64", "wasm32"])
def test_no_library_call_is_left(name: str) -> None:
    """LLVM turns some intrinsics into calls of the C library where a target has no instruction; none of ours."""
    target = NAMED[name]
    machine = target.machine(opt=1)
    module = llvm.parse_assembly(define(NAMES, width=target.width, fma=target.fma) + kept(NAMES, target))
    module.triple, module.data_layout = target.triple, str(machine.target_data)
    passes = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=1))
    passes.getModulePassManager().run(module, passes)
    called = set(re.findall(r"\b(?:bl|callq|call|jmp)\s+([A-Za-z_][\w.$]*)", machine.emit_assembly(module)))
    assert {symbol for symbol in called if not symbol.startswith(("hy.", "loop_"))} == set()


def kept(names: list[str], target: Target) -> str:
    """Loops that call the functions, which are internal and would go otherwise."""
    return "".join(loop(name, target) for name in names)


def test_define_names_what_it_does_not_know() -> None:
    with pytest.raises(ValueError, match="no vector function 'sec'; known: exp"):
        define(["sec"], width=4, fma=True)
    with pytest.raises(ValueError, match=f"an order from 0 to {MAX_ORDER}"):
        define([f"polygamma.{MAX_ORDER + 1}"], width=4, fma=True)
    with pytest.raises(ValueError, match="needs its order"):
        define(["polygamma"], width=4, fma=True)
    with pytest.raises(ValueError, match="width must be at least 1, got 0"):
        define(["exp"], width=0, fma=True)
    with pytest.raises(ValueError, match="dtype 'int8'"):
        define(["exp"], width=4, fma=True, dtype="int8")


def test_a_row_checks_itself() -> None:
    with pytest.raises(ValueError, match="an error of 9 ulp"):
        VectorFunction("sec", 1, 9, "all reals", lambda x: x)
    with pytest.raises(ValueError, match="3 arguments"):
        VectorFunction("sec", 3, 1, "all reals", lambda x: x)
    with pytest.raises(ValueError, match="identifier"):
        VectorFunction("se c", 1, 1, "all reals", lambda x: x)


def test_error_free_transformations(monkeypatch: pytest.MonkeyPatch) -> None:
    for build in (two_sum, two_prod, multiply_add):
        row = VectorFunction(build.__name__, 2, 1, "", lambda a, b, build=build: pair(build, a, b), results=2)
        monkeypatch.setitem(FUNCTIONS, build.__name__, row)
    rng = np.random.default_rng(6)
    a, b = rng.uniform(-1, 1, (2, 500)) * np.exp2(rng.integers(-40, 40, (2, 500)))
    for fma in {host().fma, False}:
        run = Trial(["two_sum", "two_prod", "multiply_add"], width=2, fma=fma)
        exact = {"two_sum": Fraction.__add__, "two_prod": Fraction.__mul__, "multiply_add": lambda x, y: x * y + 2**90}
        for name, operation in exact.items():
            high, low = run(name, a, b)
            for x, y, h, t in zip(a, b, high, low, strict=True):
                found, want = Fraction(h) + Fraction(t), operation(Fraction(x), Fraction(y))
                assert abs(found - want) <= (Fraction(abs(h)) / 2**104 if name == "multiply_add" else 0), (name, x, y)


def pair(build: Callable, a: object, b: object) -> tuple:
    return tuple(build(a, b, a.body.real(2.0**90)) if build is multiply_add else build(a, b))  # type: ignore[attr-defined]


def test_remez_finds_the_known_line() -> None:
    """e^x on [-1, 1]: slope (e - 1/e)/2, error 0.27880 [Muller, Elementary Functions, 3.2]."""
    (_, slope), level = minimax(mpmath.exp, (-1, 1), [0, 1])
    assert abs(slope - math.sinh(1)) < 1e-3
    assert abs(level - 0.2788) < 1e-4


FILES = [(derive.WIDE, stored), (derive.NARROW, stored32)]
DERIVED = ("LN2", "EXP", "SIN", "CBRT_GUESS", "HALF_PI_SHORT")


def test_coefficients_are_those_derived() -> None:
    for name, (precision, numbers) in itertools.product(DERIVED, FILES):
        found = tuple(derive.SETS[name](precision)[0])
        assert found == getattr(numbers, name), f"{name}: run codegen/vector_math/derive.py"
    assert tuple(derive.two_over_pi_words()) == stored.TWO_OVER_PI
    assert {n for n in vars(stored) if n.isupper()} == {*derive.SETS, "TWO_OVER_PI"}
    assert {n for n in vars(stored32) if n.isupper()} == set(derive.SETS) - derive.ONLY_WIDE


@pytest.mark.long
def test_the_whole_files_are_derived_again() -> None:
    for precision in (derive.WIDE, derive.NARROW):
        assert derive.text(precision) == precision.file.read_text(encoding="utf-8")


# 64-bit significands of the C library's long double show the error to 2^-11 ulp.
LONG_DOUBLE = {
    "exp": (np.exp, -745, 709.7), "exp2": (np.exp2, -1074, 1023.9), "expm1": (np.expm1, -40, 709.7),
    "log": (np.log, 0, 4), "log2": (np.log2, 0, 4), "log10": (np.log10, 0, 4), "log1p": (np.log1p, -1, 4),
    "cbrt": (np.cbrt, 1, 8), "sin": (np.sin, -50, 50), "cos": (np.cos, -50, 50), "tan": (np.tan, -50, 50),
    "asin": (np.arcsin, -1, 1), "acos": (np.arccos, -1, 1), "atan": (np.arctan, -4, 4),
    "sinh": (np.sinh, -30, 30), "cosh": (np.cosh, -30, 30), "tanh": (np.tanh, -20, 20),
    "asinh": (np.arcsinh, -4, 4), "acosh": (np.arccosh, 1, 4), "atanh": (np.arctanh, -1, 1),
    "hypot": (np.hypot, -4, 4), "atan2": (np.arctan2, -4, 4), "pow": (np.power, 0, 20),
}  # fmt: skip


@pytest.mark.long
@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 63, reason="needs an 80-bit long double")
@pytest.mark.parametrize("name", LONG_DOUBLE)
@pytest.mark.parametrize("fma", [pytest.param(True, marks=needs_fma), False])
def test_ten_million_points(name: str, fma: bool) -> None:
    reference, low, high = LONG_DOUBLE[name]
    rng = np.random.default_rng(7)
    run = trial(4 if fma else 2, fma)
    for part in range(10):
        arguments = [rng.uniform(low, high, 10**6) for _ in range(shape_of(name)[0])]
        if part % 2:  # all digits of small arguments too
            arguments = [np.clip(a * np.exp2(rng.uniform(-12, 0, a.size)), low, high) for a in arguments]
        got = run(name, *arguments)
        want = reference(*(a.astype(np.longdouble) for a in arguments))
        nearest = want.astype(float)
        with np.errstate(invalid="ignore"):
            errors = np.abs((got - want) / np.spacing(np.abs(nearest)))
        errors = errors[np.isfinite(nearest) & (nearest != 0)]
        assert errors.max() <= row_of(name).ulp, f"{name}: {errors.max()} ulp"
