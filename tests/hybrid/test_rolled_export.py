"""Rolled kernels as files: machine code with the kernel's bits, C source that any compiler takes, patterns in full."""

from __future__ import annotations

import ctypes
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hybrid as hy
from codegen.export import Pattern
from codegen.export.patterns import read, runs

GCC = shutil.which("gcc")
needs_gcc = pytest.mark.skipif(GCC is None, reason="needs gcc")
RNG = np.random.default_rng(11)
ENDS = RNG.integers(0, 40, (2, 90))
CLOUD = RNG.normal(size=(70, 3))
MATRIX = RNG.normal(size=(9, 12))


def chain(x: Any) -> Any:
    return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def steps(x: Any) -> Any:
    return x[1:] - x[:-1] - 0.1 * np.sin(x[1:]) * x[1:, ::-1]


def flows(v: Any, w: Any) -> Any:
    flow = np.tanh(v[ENDS[0]] * w[ENDS[1]])
    return hy.scatter_add(40, ENDS[0], flow) - hy.scatter_add(40, ENDS[1], flow * v[ENDS[1]]) + w


def mixture(mean: Any, weight: Any) -> Any:
    distance = -0.5 * np.sum((CLOUD[:, None, :] - mean[None]) ** 2, axis=2) + weight[None]
    return np.sum(hy.logsumexp(distance, axis=1)) + np.max(mean) * np.sum(np.max(CLOUD @ mean.T, axis=1))


def path(push: Any, start: Any) -> Any:
    place, speed = hy.scan(
        lambda state, u: (state[0] + 0.1 * state[1], state[1] + 0.1 * u * state[0]), (start, 0.0), push
    )
    return hy.sum_over(lambda k: place[k + 1] * speed[k], 29)


def heat(u: Any, t: Any) -> Any:
    lap = u[1:-1, 1:-1] * 4 - u[:-2, 1:-1] - u[2:, 1:-1] - u[1:-1, :-2] - u[1:-1, 2:]
    return np.where(lap > 0, np.sin(lap) * t, np.exp(-np.abs(lap)))


def layers(x: Any) -> Any:
    return np.sum(np.tanh(MATRIX.T @ np.tanh(MATRIX @ np.cumsum(x))) ** 2)


def kernel_of(name: str) -> Any:
    """Kernels with what their loops differ in: shifts, indices, reductions, recurrences, stages, two axes."""
    made: dict[str, Any] = {
        "chain": lambda f: [f, f.gradient(), f.hessian(sparse=True, triangle="lower"), f],
        "steps": lambda f: [f.jacobian(wrt="x", sparse=True)],
        "flows": lambda f: [f, f.jacobian(wrt="v", sparse=True), f.vjp()],
        "mixture": lambda f: [f, f.gradient()],
        "path": lambda f: [f, f.gradient(), f.hvp()],
        "heat": lambda f: [f.jacobian(wrt="u", sparse=True)],
        "layers": lambda f: [f, f.gradient(), f.hvp()],
    }
    shapes: dict[str, dict[str, Any]] = {
        "chain": {"x": (50,)},
        "steps": {"x": (200, 3)},
        "flows": {"v": (40,), "w": (40,)},
        "mixture": {"mean": (4, 3), "weight": (4,)},
        "path": {"push": (30,), "start": ()},
        "heat": {"u": (9, 13), "t": ()},
        "layers": {"x": (12,)},
    }
    return hy.compile(*made[name](hy.function(rolled=True, **shapes[name])(globals()[name])), name=name)


NAMES = ("chain", "steps", "flows", "mixture", "path", "heat", "layers")


def addresses(arrays: Any) -> list[ctypes.c_void_p]:
    return [ctypes.c_void_p(array.ctypes.data) for array in arrays]


def called(library: Path, kernel: Any, points: list[Any]) -> list[Any]:
    """What the functions of a library give at a point, and that a batch gives the same."""
    loaded = ctypes.CDLL(str(library))
    results = [np.full(formula.shape, np.nan) for formula in kernel.formulas]
    getattr(loaded, kernel.name)(*addresses([*points, *results]))
    many = [np.stack([np.full_like(point, 0.5), point, point]) for point in points]
    whole = [np.full((3, *formula.shape), np.nan) for formula in kernel.formulas]
    getattr(loaded, f"{kernel.name}_batch")(ctypes.c_int64(3), *addresses([*many, *whole]))
    for alone, batch in zip(results, whole, strict=True):
        np.testing.assert_array_equal(batch[1], alone)
        np.testing.assert_array_equal(batch[2], alone)
    return results


def patterns(library: Path, folder: Path, kernel: Any) -> None:
    """The functions that write patterns, and the tables, say what Python says."""
    loaded = ctypes.CDLL(str(library))
    manifest = json.loads((folder / f"{kernel.name}.manifest.json").read_text())
    sparsity = getattr(loaded, f"{kernel.name}_sparsity")
    sparsity.restype = ctypes.POINTER(ctypes.c_int64)
    for place, (told, formula) in enumerate(zip(manifest["results"], kernel.formulas, strict=True)):
        pattern = formula.fixed_pattern
        number = len(kernel.arguments) + place
        assert bool(sparsity(number)) == (pattern is not None and pattern.nnz <= 4096)
        if pattern is None:
            continue
        rows, columns = np.full((2, pattern.nnz), -1, np.int32)
        getattr(loaded, f"{kernel.name}_{told['parameter']}_pattern")(*addresses([rows, columns]))
        np.testing.assert_array_equal(rows, pattern.rows)
        np.testing.assert_array_equal(columns, pattern.columns)
        assert told["sparsity"]["nnz"] == pattern.nnz
        if pattern.nnz <= 4096:
            listed = np.array(sparsity(number)[: 3 + 2 * pattern.nnz])
            np.testing.assert_array_equal(listed, [*pattern.shape, pattern.nnz, *pattern.rows, *pattern.columns])


def points_of(kernel: Any) -> list[Any]:
    return [np.array(RNG.normal(size=argument.shape)) for argument in kernel.arguments]


@needs_gcc
@pytest.mark.parametrize("name", NAMES)
def test_machine_code_has_the_bits_of_the_kernel(name: str, tmp_path: Path) -> None:
    kernel = kernel_of(name)
    kernel.export(tmp_path, formats=["o", "so", "a", "h", "ll", "s", "bc", "cmake", "pc"], target="native")
    points = points_of(kernel)
    wanted = kernel(*points)
    found = called(tmp_path / f"{name}.so", kernel, points)
    for mine, theirs in zip(found, wanted if isinstance(wanted, tuple) else (wanted,), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    patterns(tmp_path / f"{name}.so", tmp_path, kernel)
    manifest = json.loads((tmp_path / f"{name}.manifest.json").read_text())
    assert manifest["calls"] == {"library": [], "user": []}
    assert manifest["operations"]["total"] == kernel.operations
    assert manifest["certificate"]["passed"]


@needs_gcc
@pytest.mark.parametrize("name", NAMES)
def test_c_source_is_clean_and_agrees(name: str, tmp_path: Path) -> None:
    kernel = kernel_of(name)
    kernel.export(tmp_path, formats=["c", "h"])
    library = tmp_path / "library.so"
    flags = ["-O2", "-Wall", "-Wextra", "-Werror", "-pedantic", "-shared", "-fPIC"]
    source = tmp_path / f"{name}.c"
    subprocess.run([str(GCC), "-std=c99", *flags, str(source), "-o", str(library), "-lm"], check=True)
    subprocess.run([str(GCC), "-x", "c++", *flags, str(source), "-o", str(tmp_path / "cpp.so")], check=True)
    points = points_of(kernel)
    wanted = kernel(*points)
    found = called(library, kernel, points)
    for mine, theirs in zip(found, wanted if isinstance(wanted, tuple) else (wanted,), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-12, atol=1e-12 * np.abs(theirs).max())
    patterns(library, tmp_path, kernel)


@needs_gcc
@pytest.mark.parametrize(
    ("target", "compiler", "emulator"),
    [
        ("x86-64", "gcc", None),
        ("portable", "gcc", None),
        ("aarch64", "aarch64-linux-gnu-gcc", "qemu-aarch64"),
        ("riscv64", "riscv64-linux-gnu-gcc", "qemu-riscv64"),
    ],
)
def test_other_machines(target: str, compiler: str, emulator: str | None, tmp_path: Path) -> None:
    if shutil.which(compiler) is None or (emulator and shutil.which(emulator) is None):
        pytest.skip(f"needs {compiler} and {emulator}")
    kernel = kernel_of("flows")
    points = points_of(kernel)
    kernel.export(tmp_path, formats=["a", "h"], target=target, optimise="size" if target == "x86-64" else "speed")
    lines = ['#include "flows.h"', "#include <math.h>", "#include <stdio.h>"]
    wanted = kernel(*points)
    for word, arrays in (("given", points), ("want", wanted)):
        for place, array in enumerate(arrays):
            numbers = ", ".join(repr(float(x)) for x in np.ravel(array))
            lines.append(f"static const double {word}{place}[] = {{{numbers}}};")
    lines += [f"static double got{place}[{array.size}];" for place, array in enumerate(wanted)]
    names = [f"given{k}" for k in range(len(points))] + [f"got{k}" for k in range(len(wanted))]
    lines += ["int main(void) {", "    int i, bad = 0;", f"    flows({', '.join(names)});"]
    lines += [
        f"    for (i = 0; i < {array.size}; i++) bad += !(fabs(got{k}[i] - want{k}[i]) < 1e-12);"
        for k, array in enumerate(wanted)
    ]
    lines += ['    printf("%d wrong\\n", bad);', "    return bad != 0;", "}"]
    (tmp_path / "main.c").write_text("\n".join(lines))
    program = tmp_path / "main"
    static = ["-static"] if emulator else []
    command = [compiler, *static, f"-I{tmp_path}", str(tmp_path / "main.c"), str(tmp_path / "flows.a"), "-lm"]
    subprocess.run([*command, "-o", str(program)], check=True)
    subprocess.run([*([emulator] if emulator else []), str(program)], check=True)


@needs_gcc
def test_a_large_problem_is_little_code(tmp_path: Path) -> None:
    """10⁵ variables: the pattern of the Hessian and everything between the loops takes no table, and room is asked for
    where the stack would not do."""
    n = 100_000
    f = hy.function(x=(n,))(lambda x: np.sum(np.diff(np.cumsum(x)) ** 2 * x[1:]) + chain(x))
    kernel = hy.compile(f.gradient(), f.hvp(), name="stages", verify=False)
    g = hy.function(x=(n,))(chain)
    sparse = hy.compile(g, g.gradient(), g.hessian(sparse=True, triangle="lower"), name="sparse", verify=False)
    for made in (kernel, sparse):
        made.export(tmp_path, formats=["o", "c", "so"], target="native")
        assert (tmp_path / f"{made.name}.c").stat().st_size < 20_000
        assert (tmp_path / f"{made.name}.o").stat().st_size < 60_000
        points = points_of(made)
        for mine, theirs in zip(called(tmp_path / f"{made.name}.so", made, points), made(*points), strict=True):
            np.testing.assert_array_equal(mine, theirs)
    patterns(tmp_path / "sparse.so", tmp_path, sparse)
    manifest = json.loads((tmp_path / "stages.manifest.json").read_text())
    assert manifest["target"]["allocates"]
    assert set(manifest["calls"]["library"]) == {"malloc", "free"}
    subprocess.run(
        [str(GCC), "-O1", "-shared", "-fPIC", str(tmp_path / "stages.c"), "-o", str(tmp_path / "c.so"), "-lm"],
        check=True,
    )
    points = points_of(kernel)
    for mine, theirs in zip(called(tmp_path / "c.so", kernel, points), kernel(*points), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-9 * np.abs(theirs).max())


@needs_gcc
def test_indices_that_repeat_take_no_long_tables(tmp_path: Path) -> None:
    kernel_of("steps").export(tmp_path, formats=["c"])
    tables = re.findall(r"steps_index\w*\[(\d+)\] =", (tmp_path / "steps.c").read_text())
    assert all(int(length) <= 64 for length in tables)


@needs_gcc
def test_functions_of_several_models_and_of_somebody_else(tmp_path: Path) -> None:
    cube = hy.elementary(
        "cube_in_c", numpy=lambda x: x**3, derivative=lambda x: 3 * x**2, c="cube_in_c", domain=(-2, 2)
    )
    one = hy.function(rolled=True, x=(20,))(lambda x: np.sum(cube(x)))
    two = hy.function(rolled=True, x=(20,))(lambda x: np.cumsum(x))
    kernel = hy.compile(one, one.gradient(), two, name="both")
    kernel.export(tmp_path, formats=["c", "h", "a"], target="native")
    (tmp_path / "cube.c").write_text("double cube_in_c(double x) { return x * x * x; }")
    points = points_of(kernel)
    for made in ("both.c", "both.a"):
        library = tmp_path / f"{made}.so"
        files = ["-Wl,--whole-archive", str(tmp_path / made), "-Wl,--no-whole-archive", str(tmp_path / "cube.c")]
        subprocess.run([str(GCC), "-O2", "-shared", "-fPIC", *files, "-lm", "-o", str(library)], check=True)
        for mine, theirs in zip(called(library, kernel, points), kernel(*points), strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-14)


def test_what_is_refused(tmp_path: Path) -> None:
    kernel = kernel_of("chain")
    with pytest.raises(ValueError, match="not exported as 'ptx'"):
        kernel.export(tmp_path, formats=["ptx"])
    with pytest.raises(ValueError, match="unknown export format 'exe'"):
        kernel.export(tmp_path, formats=["exe"])
    with pytest.raises(ValueError, match="not compiled for wasm32"):
        kernel.export(tmp_path, formats=["o"], target="wasm32")
    with pytest.raises(ValueError, match="cannot be a C function"):
        kernel.export(tmp_path, name="for", formats=["c"])
    assert not list(tmp_path.iterdir())


def test_patterns_are_what_their_runs_stand_for() -> None:
    for seed in range(40):
        rng = np.random.default_rng(seed)
        dense = np.zeros((0, 0), bool)
        for _ in range(rng.integers(1, 5)):
            block = rng.random((rng.integers(1, 4), rng.integers(1, 4))) < 0.7
            tiled = np.kron(np.eye(rng.integers(1, 9), dtype=bool), block)
            grown = np.zeros((dense.shape[0] + tiled.shape[0], dense.shape[1] + tiled.shape[1]), bool)
            grown[: dense.shape[0], : dense.shape[1]] = dense
            grown[dense.shape[0] :, dense.shape[1] :] = tiled
            dense = grown
        if seed % 2:
            dense = np.hstack([dense, dense[:, ::-1]])
        rows, columns = np.nonzero(dense)
        pattern = Pattern(dense.shape, tuple(rows.tolist()), tuple(columns.tolist()))
        assert read(runs(pattern)) == (rows.tolist(), columns.tolist())
    n = 10_000
    places = [(k, column) for k in range(n) for column in (k, n + k)]
    band = Pattern((n, 2 * n), *(tuple(axis) for axis in zip(*places, strict=True)))
    assert len(runs(band)) < 20
