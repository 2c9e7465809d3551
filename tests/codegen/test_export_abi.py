"""What exported functions promise their callers (docs/abi.md), kept in every format on every machine here."""

from __future__ import annotations

import ctypes
import dataclasses
import functools
import hashlib
import json
import math
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from programs import run, tool

from codegen import INSTRUCTIONS, Array, Program, compile, host, make_ufunc
from codegen import body as body_module
from codegen.export import Details, Interface, Pattern, Reduction, bundle, export
from codegen.export import library as library_module
from codegen.export.c_source import c_source
from codegen.export.symbols import undefined
from codegen.program import MASK
from codegen.reduction import CHUNK
from codegen.target import GPUS, NAMED, find, portable

WARNINGS = ["-Wall", "-Wextra", "-Werror", "-pedantic"]
PATTERN = Pattern((3, 3), (0, 0, 1, 2), (0, 2, 1, 0))
FOREIGN = {"aarch64": "aarch64", "riscv64": "riscv64"}


def sample_program(name: str = "f") -> Program:
    """exp, log, sin and a square root of q and x; results of every kind: a number, a matrix, sparse values."""
    body: list[tuple] = [("load", 0, 0), *[("load", 1, k) for k in range(3)]]
    body += [
        ("mul", 0, 1),
        ("exp", 2),
        ("add", 4, 5),
        ("sin", 6),
        ("sqrt", 5),
        ("log", 8),
        ("div", 7, 8),
        ("fma", 1, 2, 9),
    ]
    body += [("const", 2.5), ("floor", 6), ("sub", 13, 10)]
    outputs = ((7,), (4, 5, 6, 12, 9, 10), (11, 14, 8, 0))
    return Program(
        name, (Array("x"), Array("q", (3,))), (Array("v"), Array("J", (2, 3)), Array("H", (4,))), body, outputs
    )


DETAILS = Details(sparsity={"H": PATTERN}, versions={"tests": "1"})
REDUCED = dataclasses.replace(DETAILS, reduction=Reduction(("sum", "mean", "max"), frozenset({1})))
LOG_SUM = dataclasses.replace(DETAILS, reduction=Reduction(("logsumexp", "sum", "logsumexp")))
EVERY = {"plain": DETAILS, "reduced": REDUCED, "log-sum-exp": LOG_SUM}


# --- the test program, compiled and run in every way ------------------------------------------------------------------
COMPILERS = ("gcc -std=c99", "g++ -std=c++17 -x c++", "clang -std=c99", "clang++ -std=c++17 -x c++")
WAYS = [
    pytest.param(linked, compiler, details, marks=[] if details == usual else pytest.mark.long)
    for linked in ("c", "o", "a", "so")
    for compiler, usual in zip(COMPILERS, ("reduced", "log-sum-exp", "plain", "reduced"), strict=True)
    for details in EVERY
]


@pytest.fixture(scope="module")
def bundles(tmp_path_factory) -> Callable[[str], Path]:
    """The folder of a bundle of every format that C programs link, by the name of its details; each is made once."""

    @functools.cache
    def made(details: str) -> Path:
        folder = tmp_path_factory.mktemp(details)
        formats = ["h", "test", "c", "o", "a", *(["so"] if shutil.which("cc") else [])]
        export(sample_program(), folder, "f", formats, details=EVERY[details])
        return folder

    return made


@pytest.mark.parametrize(("linked", "compiler", "details"), WAYS)
def test_stored_values_agree(linked: str, compiler: str, details: str, tmp_path: Path, bundles) -> None:
    words = [tool(compiler.split()[0]), *compiler.split()[1:], *WARNINGS]
    tool("cc")
    link(words, tmp_path, bundles(details), linked)
    assert run(tmp_path / "t") == "ok\n"


def link(words: Sequence[str], folder: Path, bundle: Path, linked: str) -> None:
    code = [bundle / "f.c"] if linked == "c" else ["-x", "none", bundle / f"f.{linked}"]
    rest = [f"-Wl,-rpath,{bundle}", "-lm", "-o", folder / "t"]
    run(*words, "-O1", f"-I{bundle}", bundle / "f_test.c", *code, *rest, cwd=folder)


@pytest.mark.parametrize("linked", ["c", "o", "so"])
def test_stored_values_agree_in_float32(linked: str, tmp_path: Path) -> None:
    export(sample_program(), tmp_path, "f", ["h", "test", linked], find("portable").with_element("float32"))
    link([tool("gcc", "clang"), "-std=c99", *WARNINGS], tmp_path, tmp_path, linked)
    assert run(tmp_path / "t", cwd=tmp_path) == "ok\n"


def test_the_test_program_finds_what_is_wrong(tmp_path: Path) -> None:
    """Each function that is made wrong is noticed."""
    export(sample_program(), tmp_path, "f", ["h", "test", "c"], details=REDUCED)
    right = (tmp_path / "f.c").read_text()
    changes = [
        ("    v[0] = ", "    v[0] = 1.0000001 * "),
        ("v + codegen_i,", "v,"),
        ("codegen_e * v_element] =", "codegen_e * v_element + 1] ="),
        ("/ (double)n", "/ (n + 1.0)"),
        ("    return 1;\n", "    return 2;\n"),
        ("f_H_row_starts[4] = {0, 2, 3, 4}", "f_H_row_starts[4] = {0, 2, 3, 3}"),
    ]
    compiler = tool("gcc", "clang")
    for old, new in changes:
        assert old in right, old
        (tmp_path / "f.c").write_text(right.replace(old, new, 1))
        run(compiler, "-std=c99", "f_test.c", "f.c", "-lm", "-o", "t", cwd=tmp_path)
        done = subprocess.run([tmp_path / "t"], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 1, (old, done.stdout)
        assert done.stdout.endswith("FAILED\n")


@pytest.mark.parametrize("element", ["float64", "float32"])
@pytest.mark.parametrize("linked", ["c", "o", "a"])
@pytest.mark.parametrize("name", FOREIGN)
def test_stored_values_agree_on_other_machines(name: str, linked: str, element: str, tmp_path: Path) -> None:
    compiler = tool(f"{name}-linux-gnu-gcc")
    runner = tool(f"qemu-{name}", f"qemu-{name}-static")
    details = REDUCED if element == "float64" else DETAILS
    export(sample_program(), tmp_path, "f", ["h", "test", linked], NAMED[name].with_element(element), details=details)
    code = f"f.{linked}"
    run(compiler, "-static", "-std=c99", *WARNINGS, "-O1", "f_test.c", code, "-lm", "-o", "t", cwd=tmp_path)
    assert run(runner, "./t", cwd=tmp_path) == "ok\n"


@pytest.mark.parametrize("optimise", ["speed", "size"])
@pytest.mark.parametrize("target", ["x86-64", "x86-64-v2", "x86-64-v3", "native"])
def test_stored_values_agree_for_every_level_that_runs_here(target: str, optimise: str, tmp_path: Path) -> None:
    if not host().is_x86 and target != "native":
        pytest.skip("this machine is no x86-64")
    if target == "x86-64-v3" and not host().fma:
        pytest.skip("this machine does not run x86-64-v3")
    export(sample_program(), tmp_path, "f", ["h", "test", "o"], target, optimise=optimise, details=LOG_SUM)
    link([tool("gcc", "clang"), "-std=c99"], tmp_path, tmp_path, "o")
    assert run(tmp_path / "t", cwd=tmp_path) == "ok\n"


# --- functions --------------------------------------------------------------------------------------------------------
def library(folder: Path, details: Details = DETAILS, program: Program | None = None, **options: object) -> ctypes.CDLL:
    tool("cc", "gcc", "clang")
    (path,) = export(program or sample_program(), folder, "f", ["so"], "native", details=details, **options)
    return ctypes.CDLL(str(path))


def address(array: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


@pytest.mark.parametrize("n", [0, 1, 7, 64, 300])
def test_strided_takes_any_distances(n: int, tmp_path: Path) -> None:
    """Points of arrays, arrays of points, one point for all, every other number, backwards; with the kernel's bits."""
    code = library(tmp_path)
    rng = np.random.default_rng(n)
    x, q = rng.uniform(0.5, 1, (2 * n + 1, 1)), rng.uniform(0.5, 1, (3, n))
    v, by_element, h = np.full((n, 1), -9.0), np.full((6, n), -9.0), np.full((4, 2 * n), -9.0)
    last = h[:, -1:] if n else h
    call = code.f_strided
    call.argtypes = [ctypes.c_int64, *[ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64] * 5]
    call(n, *(x.ctypes.data, 2, 1), *(q.ctypes.data, 1, n), *(v.ctypes.data, 1, 1), *(by_element.ctypes.data, 1, n),
         *(last.ctypes.data, -2, 2 * n))  # fmt: skip
    expected = make_ufunc(compile(sample_program()))(x[: 2 * n : 2, 0], q.T)
    np.testing.assert_array_equal(v[:, 0], expected[0])
    np.testing.assert_array_equal(by_element.T, expected[1].reshape(n, 6))
    np.testing.assert_array_equal(h[:, ::-1][:, ::2].T, expected[2])
    assert (h[:, ::2] == -9).all()


def test_one_point_for_all(tmp_path: Path) -> None:
    code = library(tmp_path)
    x, q, v, j, h = np.linspace(0.5, 1, 9), np.array([0.6, 0.7, 0.8]), np.empty(9), np.empty((9, 6)), np.empty((9, 4))
    call = code.f_strided
    call.argtypes = [ctypes.c_int64, *[ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64] * 5]
    parts = [(x, 1, 1), (q, 0, 1), (v, 1, 1), (j, 6, 1), (h, 4, 1)]
    call(9, *[word for array, *steps in parts for word in (array.ctypes.data, *steps)])
    expected = make_ufunc(compile(sample_program()))(x, q)
    np.testing.assert_array_equal(v, expected[0])
    np.testing.assert_array_equal(h, expected[2])


def test_queries(tmp_path: Path) -> None:
    code = library(tmp_path)
    for name in ("version", "parameter"):
        getattr(code, f"f_{name}").restype = ctypes.c_char_p
    for name in ("shape", "sparsity"):
        getattr(code, f"f_{name}").restype = ctypes.POINTER(ctypes.c_int64)
    assert code.f_abi_version() == 1
    assert code.f_version() == b"tests 1"
    assert (code.f_arguments(), code.f_results()) == (2, 3)
    names = [code.f_parameter(ctypes.c_int64(k)) for k in (-1, 0, 1, 2, 3, 4, 5, 1 << 40)]
    assert names == [None, b"x", b"q", b"v", b"J", b"H", None, None]
    shapes = [code.f_shape(ctypes.c_int64(k)) for k in range(5)]
    assert [shape[: 1 + shape[0]] for shape in shapes] == [[0], [1, 3], [0], [2, 2, 3], [1, 4]]
    assert not code.f_shape(ctypes.c_int64(5))
    assert not any(code.f_sparsity(ctypes.c_int64(k)) for k in (-1, 0, 1, 2, 3, 5))
    assert code.f_sparsity(ctypes.c_int64(4))[:11] == [3, 3, 4, 0, 0, 1, 2, 0, 2, 1, 0]


def test_sparse_tables_are_those_of_scipy(tmp_path: Path) -> None:
    sparse = pytest.importorskip("scipy.sparse")
    code = library(tmp_path)

    def table(name: str, size: int) -> np.ndarray:
        return np.array((ctypes.c_int32 * size).in_dll(code, f"f_H_{name}"))

    values = np.array([1.0, 2.0, 3.0, 4.0])
    matrix = sparse.coo_array((values, (table("rows", 4), table("columns", 4))), shape=(3, 3))
    by_row, by_column = matrix.tocsr(), matrix.tocsc()
    np.testing.assert_array_equal(table("row_starts", 4), by_row.indptr)
    np.testing.assert_array_equal(table("columns", 4), by_row.indices)
    np.testing.assert_array_equal(table("column_starts", 4), by_column.indptr)
    np.testing.assert_array_equal(table("by_column_rows", 4), by_column.indices)
    np.testing.assert_array_equal(values[table("by_column", 4)], by_column.data)


@pytest.mark.parametrize("bad", [((2, 2), (0, 2), (0, 0)), ((2, 2), (1, 0), (0, 0)), ((2, 2), (0, 0), (1, 1))])
def test_patterns_that_are_none(bad: tuple) -> None:
    with pytest.raises(ValueError, match="inside it, by row"):
        Pattern(*bad)


def test_patterns_and_reductions_must_fit(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a pattern of 4 places for 'J', of size 6"):
        export(sample_program(), tmp_path, "f", ["h"], details=Details(sparsity={"J": PATTERN}))
    with pytest.raises(ValueError, match="2 reductions of 3 results"):
        export(sample_program(), tmp_path, "f", ["h"], details=Details(reduction=Reduction(("sum", "sum"))))
    with pytest.raises(ValueError, match="one of sum, mean, max, logsumexp, got 'product'"):
        Reduction(("product",))
    with pytest.raises(ValueError, match="in float64"):
        export(sample_program(), tmp_path, "f", ["o"], host().with_element("float32"), details=REDUCED)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("optimise", ["speed", "size", "c"])
@pytest.mark.parametrize("n", [0, 1, 5, CHUNK - 1, CHUNK, 2 * CHUNK + 77])
def test_reductions(n: int, optimise: str, tmp_path: Path) -> None:
    """Against sums of rows without rounding."""
    code = reducing(tmp_path, REDUCED, optimise)
    rng = np.random.default_rng(n)
    x, q = rng.uniform(0.5, 3, n), np.array([0.6, 0.7, 0.8])
    got = [np.full(size, -9.0) for size in (1, 6, 4)]
    code.f_reduce(ctypes.c_int64(n), *[address(array) for array in (x, q, *got)])
    rows = [array.reshape(n, len(g)) for array, g in zip(make_ufunc(compile(sample_program()))(x, q), got, strict=True)]
    sums, means = (np.array([math.fsum(column) for column in array.T.tolist()]) for array in rows[:2])
    tolerance = 2.0**-46 * np.abs(rows[0]).sum(axis=0) + 1e-300
    assert (np.abs(got[0] - sums) <= tolerance).all()
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(got[1], means / np.float64(n), rtol=1e-13)
    largest = rows[2].max(axis=0) if n else np.full(4, -np.inf)
    np.testing.assert_allclose(got[2], largest, rtol=0 if optimise != "c" else 1e-13)


def reducing(folder: Path, details: Details, optimise: str) -> ctypes.CDLL:
    if optimise != "c":
        return library(folder, details, optimise=optimise)
    export(sample_program(), folder, "f", ["c"], details=details)
    run(tool("gcc", "clang"), "-std=c99", "-O2", "-fPIC", "-shared", "f.c", "-lm", "-o", "f.so", cwd=folder)
    return ctypes.CDLL(str(folder / "f.so"))


@pytest.mark.parametrize("optimise", ["speed", "size", "c"])
def test_log_sum_exp(optimise: str, tmp_path: Path) -> None:
    special = pytest.importorskip("scipy.special")
    code = reducing(tmp_path, LOG_SUM, optimise)
    kernel = make_ufunc(compile(sample_program()))
    got = [np.full(size, -9.0) for size in (1, 6, 4)]
    inf, nan = np.inf, np.nan
    cases = [
        [],
        [0.5],
        [-inf, 0.5, 1],
        [inf, 0.5],
        [nan, 0.5],
        [0.5, nan],
        [-inf],
        *np.random.default_rng(3).uniform(0.5, 700, (1, 20_000)),
    ]
    for case in cases:
        x = np.array(case, float)
        q = np.tile([0.6, 0.7, 0.8], (len(x), 1))
        code.f_reduce(ctypes.c_int64(len(x)), *[address(array) for array in (x, q, *got)])
        rows = kernel(x, q)
        with np.errstate(all="ignore"):
            for result, table in ((got[0], rows[0].reshape(-1, 1)), (got[2], rows[2])):
                expected = special.logsumexp(table, axis=0) if len(x) else np.full(result.shape, -inf)
                np.testing.assert_allclose(result, expected, rtol=1e-12)


def test_nothing_is_shared_out_if_everything_is_shared(tmp_path: Path) -> None:
    details = Details(reduction=Reduction(("sum",) * 3, frozenset({0, 1})))
    with pytest.raises(ValueError, match="nothing to reduce over"):
        export(sample_program(), tmp_path, "f", ["o"], details=details)


# --- what objects need and hold ---------------------------------------------------------------------------------------
def every_instruction(only: Sequence[str] = tuple(INSTRUCTIONS)) -> Program:
    body: list[tuple] = [("load", k, 0) for k in range(3)] + [("lt", 0, 1), ("gt", 1, 2), ("const", 1.0)]
    outputs = []
    for name in only:
        reals, masks = iter([0, 1, 2]), iter([3, 4, 3])
        operands = [next(masks) if kind == "mask" else next(reals) for kind in INSTRUCTIONS[name].operands]
        body.append((name, *([5, 0] if name == "polygamma" else operands)))
        if INSTRUCTIONS[name].result == MASK:
            body.append(("select", len(body) - 1, 0, 1))
        outputs.append(len(body) - 1)
    return Program("f", (Array("x"), Array("y"), Array("z")), (Array("r", (len(outputs),)),), body, (tuple(outputs),))


WITHOUT_FMA = [name for name in INSTRUCTIONS if name != "fma"]


@pytest.mark.parametrize("element", ["float64", pytest.param("float32", marks=pytest.mark.long)])
@pytest.mark.parametrize("name", NAMED)
def test_the_manifest_lists_the_calls_of_the_c_library(name: str, element: str, tmp_path: Path) -> None:
    """All of them, which are none but where Windows grows the stack; compared with llvm-nm where it is."""
    target = NAMED[name].with_element(element)
    (path,) = export(every_instruction(WITHOUT_FMA), tmp_path, "f", ["o"], target)
    manifest = json.loads((tmp_path / "f.manifest.json").read_text())
    assert manifest["calls"] == {
        "library": ["__chkstk"] if name == "x86-64-windows" or name == "aarch64-windows" else [],
        "user": [],
    }
    assert manifest["target"]["allocates"] is False
    nm = shutil.which("llvm-nm")
    if nm is None:
        pytest.skip("no llvm-nm")
    words = [
        line.split()[-1] for line in run(nm, "--undefined-only", path).splitlines() if line.split()[-2:-1] == ["U"]
    ]
    words = [word.removeprefix("_") if "macos" in name else word for word in words]
    linkers = {"__stack_pointer", "__indirect_function_table", "__memory_base", "__table_base", "_GLOBAL_OFFSET_TABLE_"}
    assert sorted(set(words) - linkers) == manifest["calls"]["library"]


def test_calls_that_remain_are_listed_or_refused(tmp_path: Path) -> None:
    fma = every_instruction(["fma"])
    (path,) = export(fma, tmp_path, "f", ["o"], "x86-64")
    assert json.loads((tmp_path / "f.manifest.json").read_text())["calls"]["library"] == ["fma"]
    assert undefined(path.read_bytes()) == ("fma",)
    with pytest.raises(ValueError, match="f needs fma of the C library, which wasm32-unknown-unknown does not have"):
        export(fma, tmp_path / "wasm", "f", ["o"], "wasm32")
    assert not (tmp_path / "wasm").exists()
    with pytest.raises(ValueError, match="no known format"):
        undefined(b"something else")


@pytest.mark.parametrize("name", [name for name in NAMED if "windows" in name or "macos" in name])
def test_objects_of_windows_and_macos_hold_the_functions(name: str, tmp_path: Path) -> None:
    readobj, nm = tool("llvm-readobj"), tool("llvm-nm")
    (path,) = export(sample_program(), tmp_path, "f", ["o"], name, details=REDUCED)
    said = run(readobj, "--file-headers", "--sections", path)
    assert ("Format: COFF" in said) == ("windows" in name)
    assert ("Format: Mach-O" in said) == ("macos" in name)
    assert re.search("IMAGE_FILE_MACHINE_(AMD64|ARM64)|Arch: (x86_64|aarch64)", said)
    under = "_" if "macos" in name else ""
    interface = Interface(sample_program(), "float64", DETAILS.sparsity, REDUCED.reduction)
    defined = {line.split()[-1] for line in run(nm, "--defined-only", "--extern-only", path).splitlines() if line}
    assert {f"{under}{symbol}" for symbol in [*interface.functions, *interface.tables]} <= defined
    others = {name for name in defined if not re.match(r"__(real|xmm|ymm)@|\.weak\._fltused|_fltused", name)}
    assert others <= {f"{under}{s}" for s in [*interface.functions, *interface.tables]}


@pytest.mark.parametrize("name", ["x86-64-v3", "aarch64-macos", "x86-64-windows"])
def test_archives_have_an_index(name: str, tmp_path: Path) -> None:
    nm = tool("llvm-nm")
    (path,) = export(sample_program(), tmp_path, "f", ["a"], name, details=DETAILS)
    listed = run(nm, "--print-armap", "--defined-only", path)
    index = listed[listed.index("Archive map") :].split("\n\n")[0]
    under = "_" if "macos" in name else ""
    interface = Interface(sample_program(), "float64", DETAILS.sparsity)
    for symbol in [*interface.functions, *interface.tables]:
        assert f"{under}{symbol} in kernel.o" in index
    assert path.stat().st_size % 2 == 0


@pytest.mark.long
@pytest.mark.parametrize("linked", ["a", "so"])
@pytest.mark.parametrize("name", ["aarch64-macos", "x86-64-macos", "x86-64-windows", "aarch64", "riscv64", "x86-64-v2"])
def test_ziglang_links_programs_for_other_machines(name: str, linked: str, tmp_path: Path) -> None:
    """The test program, with the archive or the library that ziglang made: everything is found."""
    pytest.importorskip("ziglang")
    system = {"macos": "macos", "windows": "windows-gnu"}.get(name.rpartition("-")[2], "linux-gnu")
    arch = NAMED[name].arch.replace("arm64", "aarch64")
    (path,) = export(sample_program(), tmp_path, "f", ["h", "test", linked], name, details=REDUCED)[2:]
    words = [sys.executable, "-m", "ziglang", "cc", "-target", f"{arch}-{system}", "f_test.c", path.name, "-o", "t"]
    run(*words, cwd=tmp_path, limit=600)  # ziglang compiles the C library of a target when it is first used
    assert (tmp_path / "t").stat().st_size > 0


@pytest.mark.parametrize("element", ["float64", "float32"])
def test_rounding_without_an_instruction_for_it(element: str) -> None:
    """SSE2 has none: whole numbers come of additions, with the sign of zero."""
    if not host().is_x86:
        pytest.skip("this machine is no x86-64")
    names = ["floor", "ceil", "trunc", "rint"]
    target = NAMED["x86-64"].with_element(element)
    assert not target.rounds
    assert all(NAMED[name].rounds for name in NAMED if name != "x86-64")
    program = every_instruction(names)
    largest = 2.0**52 if element == "float64" else 2.0**23
    x = np.array(
        [0.0, 0.3, 0.5, 0.7, 1.0, 1.5, 2.5, 5e-324, 1e-40, 1e300, largest - 0.5, largest, largest + 1, 2 * largest]
    )
    with np.errstate(over="ignore", under="ignore"):
        x = np.concatenate([x, -x, [np.inf, -np.inf, np.nan], np.random.default_rng(1).normal(0, 3, 100)]).astype(
            element
        )
    got = make_ufunc(compile(program, target))(x, x, x)
    expected = np.stack([getattr(np, name)(x) for name in names], axis=-1)
    np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(np.signbit(got)[~np.isnan(got)], np.signbit(expected)[~np.isnan(got)])


def test_c_source_has_the_values_of_the_kernel_at_the_edges(tmp_path: Path) -> None:
    """Every function of numbers, and polygamma of every order up to 5, at infinities, zeros, poles, huge and tiny."""
    x = [0.0, 5e-324, 1e-300, 1e-8, 0.5, 1, 2, 2.5, 3, 20, 171, 171.5, 1e10, 1e300, 1e308, math.inf]
    points = np.array([*x, *(-value for value in x), math.nan])
    a, b = (grid.ravel() for grid in np.meshgrid(points, points))
    body: list[tuple] = [("load", 0, 0), ("load", 1, 0), ("const", 1.0), ("const", 0.0)]
    labels, outputs = [], []
    for name, row in INSTRUCTIONS.items():
        if "mask" in row.operands or row.operands == () or name == "fma":
            continue
        for order in range(6) if name == "polygamma" else [0]:
            body.append(("const", float(order)))
            body.append((name, len(body) - 1, 0) if name == "polygamma" else (name, *range(len(row.operands))))
            if row.result == MASK:
                body.append(("select", len(body) - 1, 2, 3))
            labels.append(f"{name} {order}")
            outputs.append(len(body) - 1)
    program = Program("f", (Array("x"), Array("y")), (Array("r", (len(outputs),)),), body, (tuple(outputs),))
    (tmp_path / "f.c").write_text(c_source(Interface(program)))
    run(tool("gcc", "clang"), "-std=c99", "-O1", "-fPIC", "-shared", "f.c", "-lm", "-o", "f.so", cwd=tmp_path)
    found = np.empty((len(a), len(outputs)))
    ctypes.CDLL(str(tmp_path / "f.so")).f_batch(ctypes.c_int64(len(a)), address(a), address(b), address(found))
    expected = make_ufunc(compile(program))(a, b)
    with np.errstate(all="ignore"):
        both = np.isnan(found) & np.isnan(expected)
        near = np.abs(found - expected) <= 1e-13 * np.abs(expected) + 5e-323
        good = both | (((found == expected) | near) & (np.signbit(found) == np.signbit(expected)))
    wrong = [(labels[k], a[i], b[i], found[i, k], expected[i, k]) for i, k in zip(*np.nonzero(~good), strict=True)]
    assert not wrong, wrong[:5]


def test_polygamma_of_other_orders_is_refused_in_c() -> None:
    body = [("load", 0, 0), ("const", 17.0), ("polygamma", 1, 0)]
    with pytest.raises(ValueError, match=r"constant order 0, 1 … 16, got const \[17.0\]"):
        c_source(Interface(Program("f", (Array("x"),), (Array("r"),), body, ((2,),))))


def test_names_that_meet_those_of_the_functions(tmp_path: Path) -> None:
    """A parameter called codegen_i was renamed for ever; x_point would be the distance of x."""
    names = ["codegen_i", "x", "x_point", "x_element", "n", "k", "CODEGEN_POINTS", "f", "restrict", "i", "e", "wrong"]
    instructions: list[tuple] = [("load", k, 0) for k in range(len(names))]
    for k in range(1, len(names)):
        instructions.append(("add", k, 0 if k == 1 else len(instructions) - 1))
    results = (Array("x_point"), Array("steps"))
    outputs = ((len(instructions) - 1,), (len(instructions) - 2,))
    program = Program("f", tuple(map(Array, names)), results, instructions, outputs)
    export(program, tmp_path, "f", ["h", "test", "c"])
    link([tool("gcc", "clang"), "-std=c99", *WARNINGS], tmp_path, tmp_path, "c")
    assert run(tmp_path / "t") == "ok\n"


def test_long_programs_are_written_in_parts(tmp_path: Path, programs, monkeypatch) -> None:
    monkeypatch.setattr(body_module, "WHOLE", 100)
    monkeypatch.setattr(body_module, "PART", 80)
    program = dataclasses.replace(programs(600, 4), name="f")
    parts = c_source(Interface(program)).count("static void codegen_f_")
    assert parts > 3
    export(program, tmp_path, "f", ["h", "test", "c", "o"])
    for linked in ("c", "o"):
        link([tool("gcc", "clang"), "-std=c99", *WARNINGS], tmp_path, tmp_path, linked)
        assert run(tmp_path / "t", cwd=tmp_path) == "ok\n"


def test_room_on_the_stack_and_no_more(tmp_path: Path, monkeypatch) -> None:
    """Wide results are computed in narrower vectors where that keeps them on the stack; else malloc is listed."""
    body = [("load", 0, 0), ("exp", 0)]
    program = Program("f", (Array("x"),), (Array("r", (300,)),), body, ((1,) * 300,))
    for stack, lanes in ((library_module.STACK, 8), (20_000, 2), (4_000, 1)):
        monkeypatch.setattr(library_module, "STACK", stack)
        export(program, tmp_path, "f", ["o"], "x86-64-v4")
        manifest = json.loads((tmp_path / "f.manifest.json").read_text())
        assert manifest["target"]["lanes"] == lanes
        assert manifest["target"]["allocates"] is (stack == 4_000)
        assert manifest["calls"]["library"] == (["free", "malloc"] if stack == 4_000 else [])
        assert (manifest["target"]["scratch_bytes"] > stack) is (stack == 4_000)


# --- files ------------------------------------------------------------------------------------------------------------
def test_the_manifest(tmp_path: Path) -> None:
    details = dataclasses.replace(REDUCED, certificate={"passed": True, "largest": 0.5})
    paths = export(sample_program(), tmp_path, "f", ["c", "h", "o"], "x86-64-v3", details=details)
    text = (tmp_path / "f.manifest.json").read_text()
    manifest = json.loads(text)
    assert (manifest["schema"], manifest["abi"], manifest["name"], manifest["element"]) == (1, 1, "f", "float64")
    assert manifest["functions"]["f"] == "void f(const double *x, const double *q, double *v, double *J, double *H)"
    assert [a["name"] for a in manifest["arguments"]] == ["x", "q"]
    assert [a["shared"] for a in manifest["arguments"]] == [False, True]
    assert [r["shape"] for r in manifest["results"]] == [[], [2, 3], [4]]
    assert [r["reduction"] for r in manifest["results"]] == ["sum", "mean", "max"]
    assert manifest["results"][2]["sparsity"]["columns"] == [0, 2, 1, 0]
    counts = sample_program().counts()
    by_kind = manifest["operations"]["by_kind"]
    assert by_kind == {name: counts[name] for name in sorted(counts) if name not in ("load", "const")}
    assert manifest["operations"]["total"] == sum(by_kind.values()) == sample_program().operations
    assert manifest["certificate"] == {"passed": True, "largest": 0.5}
    assert manifest["target"]["triple"] == "x86_64-unknown-linux-gnu"
    assert set(manifest["versions"]) == {"tests", "llvmlite", "llvm"}
    for path, entry in zip(paths, manifest["files"], strict=True):
        assert entry["name"] == path.name
        assert entry["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert entry["bytes"] == path.stat().st_size
    header = (tmp_path / "f.h").read_text()
    for prototype in manifest["functions"].values():
        assert re.sub(r"\s+", "", prototype) in re.sub(r"\s+|CODEGEN_RESTRICT", "", header)


def test_nothing_changes_if_writing_fails(tmp_path: Path, monkeypatch) -> None:
    program = sample_program()
    export(program, tmp_path, "f", ["c", "h"])
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    rename, renamed = os.replace, []

    def replace(source: Path, to: Path) -> None:
        if str(to).endswith("f.h") and not str(source).endswith("-old"):
            raise OSError("no more")
        renamed.append(to)
        rename(source, to)

    monkeypatch.setattr(bundle.os, "replace", replace)
    other = dataclasses.replace(program, outputs=((6,), *program.outputs[1:]))
    with pytest.raises(OSError, match="no more"):
        export(other, tmp_path, "f", ["c", "h"])
    assert any(path.name == "f.c" for path in renamed)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    with pytest.raises(OSError, match="no more"):
        export(other, tmp_path / "new" / "folder", "f", ["c", "h"])
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(before)


REPEAT = """
import sys
from pathlib import Path
sys.path[:0] = [{root!r}, {tests!r}, {support!r}]
import test_export_abi as here
from codegen.export import export
formats = ["o", "a", "h", "c", "ll", "bc", "s", "test", "cmake", "pc"]
for name in ("x86-64-v3", "x86-64-windows"):
    export(here.sample_program(), Path.cwd() / name, "f", formats, name, details=here.REDUCED)
export(here.every_instruction(["pow", "digamma", "erf"]), "aarch64", "g", ["o", "c"], "aarch64", optimise="size")
"""


def test_the_same_bytes_from_other_processes(tmp_path: Path) -> None:
    """Whatever the order of sets, the folder, the user, the time zone."""
    found = []
    for number, seed in enumerate(("0", "4711")):
        folder = tmp_path / f"run{number}" / ("deeper" * number)
        folder.mkdir(parents=True)
        root, tests = Path(__file__).parents[2], Path(__file__).parent
        text = REPEAT.format(root=str(root), tests=str(tests), support=str(root / "tests" / "support"))
        environment = os.environ | {
            "PYTHONHASHSEED": seed,
            "HYBRID_CACHE": "off",
            "USER": f"u{seed}",
            "TZ": f"UTC{number}",
        }
        run(sys.executable, "-c", text, cwd=folder, env=environment)
        found.append({str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()})
    assert len(found[0]) == 2 * (11 + 1) + 3
    assert found[0] == found[1]
    for content in found[0].values():
        for trace in (b"/tmp", b"/home", str(Path.home()).encode() + b"/", str(tmp_path).encode()):
            assert trace not in content


def test_by_default_files_are_not_for_this_processor_alone(monkeypatch) -> None:
    assert portable() in NAMED.values()
    assert find("portable") == portable()
    assert portable().arch == host().arch


def test_graphics_processors_take_what_is_for_them(tmp_path: Path) -> None:
    for name in ("nvptx-sm_90", "amdgpu-gfx90a"):
        assert GPUS[name].is_gpu
        with pytest.raises(ValueError, match=r"no format 'so' for (nvptx64|amdgcn).*there are (o, )?h, ll"):
            export(sample_program(), tmp_path, "f", ["so"], name)


# --- build systems ----------------------------------------------------------------------------------------------------
CMAKE = """\
cmake_minimum_required(VERSION 3.16)
project(user C)
find_package(f 1 EXACT REQUIRED PATHS "{folder}" NO_DEFAULT_PATH)
add_executable(user main.c "{folder}/f_test.c")
set_source_files_properties("{folder}/f_test.c" PROPERTIES COMPILE_DEFINITIONS main=f_test)
target_link_libraries(user f::f)
"""
USER = '#include "f.h"\nint f_test(void);\nint main(void) { return f_test() || f_abi_version() != F_ABI_VERSION; }\n'


@pytest.mark.parametrize("linked", ["so", "c", *(pytest.param(fmt, marks=pytest.mark.long) for fmt in ("a", "o"))])
def test_cmake_finds_the_package(linked: str, tmp_path: Path) -> None:
    cmake, folder = tool("cmake"), tmp_path / "bundle"
    tool("cc", "gcc", "clang")
    export(sample_program(), folder, "f", [linked, "h", "test", "cmake"], details=REDUCED)
    (tmp_path / "CMakeLists.txt").write_text(CMAKE.format(folder=folder))
    (tmp_path / "main.c").write_text(USER)
    run(cmake, "-S", ".", "-B", "made", cwd=tmp_path)
    run(cmake, "--build", "made", cwd=tmp_path)
    assert run(tmp_path / "made" / "user") == "ok\n"


@pytest.mark.parametrize("linked", ["so", "a", "o"])
def test_pkg_config_knows_the_library(linked: str, tmp_path: Path) -> None:
    pkg, compiler = tool("pkg-config", "pkgconf"), tool("gcc", "clang")
    export(sample_program(), tmp_path, "f", [linked, "h", "test", "pc"])
    environment = os.environ | {"PKG_CONFIG_PATH": str(tmp_path)}
    words = run(pkg, "--cflags", "--libs", "f", env=environment).split()
    assert run(pkg, "--modversion", "f", env=environment).strip() == "1"
    run(compiler, tmp_path / "f_test.c", *words, f"-Wl,-rpath,{tmp_path}", "-o", tmp_path / "t")
    assert run(tmp_path / "t") == "ok\n"


def test_build_files_need_something_to_link(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="something to link beside them: one of so, a, o, c"):
        export(sample_program(), tmp_path, "f", ["h", "cmake"])
    with pytest.raises(ValueError, match="describes libraries"):
        export(sample_program(), tmp_path, "f", ["c", "pc"])
    assert list(tmp_path.iterdir()) == []
