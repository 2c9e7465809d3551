"""Reductions over points on graphics processors: their text, their numbers run without a GPU, and the launchers."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fake_cuda import fake_driver
from fake_reduce import RUN, arrays, rows, simulated
from ptx_cases import KINDS, MIXED, close, same_bits, written

from codegen import Array, Program, host
from codegen.export import Details, Reduction, export, gpu_reduce
from codegen.export.gpu_lanes import FAN, LEAST, MOST, Lanes
from codegen.export.interface import Interface
from codegen.export.symbols import undefined
from codegen.reducer import compile_reduction
from codegen.target import GPUS

ELEMENTS = ("float64", "float32")
WARNINGS = ["-Wall", "-Wextra", "-Werror", "-pedantic"]


# --- the numbers ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("element", ELEMENTS)
@pytest.mark.parametrize("shared", [(), (0,), (0, 2)])
def test_every_kind_is_exact_but_for_rounding_whatever_the_grid(
    shared: tuple[int, ...], element: str, tmp_path: Path
) -> None:
    written(tmp_path, MIXED, element=element, reduction=Reduction(KINDS, frozenset(shared)))
    cases = {f"n{n}": arrays(MIXED, n, element, shared, n) for n in (1, 2, 63, 64, 65, 4097, 5003)}
    made = simulated(tmp_path, cases, [(128, 32), (96, 3), (1, 1), (7, 5)])
    for name, given in cases.items():
        each = rows(MIXED, given, int(name[1:]), element)
        for kind, result, values in zip(KINDS, made[name], each, strict=True):
            assert result.dtype == element
            assert close(kind, result, values), (name, kind)


def test_more_points_than_lanes_against_the_reduction_of_this_machine(tmp_path: Path) -> None:
    """Sums that cancel: the exact one is a millionth of the largest number."""
    body = [("load", 0, 0), ("const", 3.0), ("mul", 0, 1), ("sub", 2, 0)]
    program = Program("f", (Array("x"),), (Array("r", (2,)), Array("l")), body, ((0, 3), (0,)))
    kinds = ("sum", "logsumexp")
    written(tmp_path, program, reduction=Reduction(kinds))
    n = 2 * MOST + 4321
    x = np.random.default_rng(3).normal(size=n)
    x[n // 2 :] = -x[: n - n // 2] * (1 + 1e-9)
    x *= 1e6
    (sums, logarithm) = simulated(tmp_path, {"all": [x]}, [(128, 32), (512, 7)])["all"]
    assert close("sum", sums, np.stack([x, 2 * x], axis=-1))
    there = compile_reduction(program, kinds, (), replace(host(), fma=True))([x])
    assert np.abs(there[0].sum(axis=-1) - sums).max() <= 64 * 2.0**-53 * np.abs(3 * x).sum()
    assert logarithm == pytest.approx(float(there[1]), rel=1e-14)


COLUMNS = {
    "nan": [1.0, np.nan, 3.0, np.inf],
    "infinite": [1.0, np.inf, 3.0, -7.0],
    "negative": [1.0, -np.inf, 3.0, -np.inf],
    "both": [np.inf, 5.0, -np.inf, 1.0],
    "lowest": [-np.inf] * 3,
    "large": [1e300, 1e308, -1e308, 7.0],
    "overflow": [1.7e308, 1.7e308, 1.0, 2.0],
    "far": [-2000.0, -2001.0, -1999.5],
    "after": [800.0, np.inf, 800.0, 1.0, np.nan],
    "again": [np.inf, 800.0, 900.0, np.inf],
    "zeros": [-0.0, -0.0],
}


@pytest.mark.parametrize("element", ELEMENTS)
def test_special_values_are_what_numpy_says(element: str, tmp_path: Path) -> None:
    kinds = ("sum", "mean", "max", "logsumexp")
    program = Program("f", (Array("x"),), tuple(Array(kind) for kind in kinds), [("load", 0, 0)], ((0,),) * 4)
    written(tmp_path, program, element=element, reduction=Reduction(kinds))
    with np.errstate(over="ignore"):
        cases = {name: [np.array(column, element)] for name, column in COLUMNS.items()}
    # the same in one lane each, lanes that are added up, and both
    cases |= {f"{name}Long": [np.tile(x, 70)] for name, (x,) in list(cases.items())}
    made = simulated(tmp_path, cases)
    for name, (x,) in cases.items():
        total, mean, largest, logarithm = made[name]
        finite = bool(np.isfinite(x).all())
        with np.errstate(all="ignore"):
            wide = x.astype(np.longdouble)
            shift = wide.max() if np.isfinite(wide.max()) else np.longdouble(0)
            right = [wide.sum(), wide.mean(), wide.max(), np.log(np.exp(wide - shift).sum()) + shift]
            right = [np.asarray(value).astype(element) for value in right]
        if finite and name.startswith("overflow"):
            assert not np.isfinite(total) or element == "float32"
            right[:2] = [total, mean]
        np.testing.assert_array_equal(largest, right[2], name)
        scale = 0 if not finite else float(np.finfo(element).eps) * 8 * np.abs(x).max()
        for got, value in zip((total, mean, logarithm), (*right[:2], right[3]), strict=True):
            np.testing.assert_allclose(
                got, value, rtol=1e-6 if element == "float32" else 1e-14, atol=scale, err_msg=name
            )


@pytest.mark.parametrize("element", ELEMENTS)
def test_of_no_points_a_sum_is_zero_a_mean_nan_and_a_log_sum_exp_lowest(element: str, tmp_path: Path) -> None:
    kinds = ("sum", "mean", "logsumexp")
    program = Program(
        "f",
        (Array("w"), Array("x")),
        tuple(map(Array, kinds)),
        [("load", 0, 0), ("load", 1, 0), ("mul", 0, 1)],
        ((2,),) * 3,
    )
    written(tmp_path, program, element=element, reduction=Reduction(kinds, frozenset({0})))
    total, mean, logarithm = simulated(tmp_path, {"none": [np.array(2.0, element), np.empty(0, element)]})["none"]
    assert same_bits(total, np.zeros((), element))
    assert np.isnan(mean)
    assert logarithm == -np.inf


def many(count: int, length: int = 0, of: str = "sin") -> Program:
    """A program of so many sines or others, which share `length` instructions."""
    body: list[tuple] = [("load", 0, 0), ("load", 1, 0), ("load", 1, 1), ("exp", 1), ("mul", 0, 3), ("add", 4, 2)]
    for _ in range(length):
        body.append(("mul" if len(body) % 2 else "add", len(body) - 1, 2))
    shared, outputs = len(body) - 1, []
    for k in range(count):
        body += [("const", 1.0 + k / 7), ("mul", shared, len(body)), (of, len(body) + 1)]
        outputs.append(len(body) - 1)
    arguments = (Array("x"), Array("w", (2,)))
    return Program("f", arguments, (Array("r", (count,)),), body, (tuple(outputs),))


@pytest.mark.parametrize("element", ELEMENTS)
@pytest.mark.parametrize("kind", ["sum", "logsumexp"])
def test_tiles_and_memory_give_the_same_bits(
    kind: str, element: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, reduction = many(110), Reduction((kind,), frozenset({1}))
    given = {"all": arrays(program, 777, element, (1,))}
    (tmp_path / "tiles").mkdir()
    text = written(tmp_path / "tiles", program, element=element, reduction=reduction)
    assert "hy_$_lane_$_point" not in text
    (tiles,) = simulated(tmp_path / "tiles", given)["all"]
    assert close(kind, tiles, rows(program, given["all"], 777, element)[0])
    monkeypatch.setattr(gpu_reduce, "REPEATED", 0)
    assert "hy_$_lane_$_point" in written(tmp_path, program, element=element, reduction=reduction)
    (memory,) = simulated(tmp_path, given, [(128, 32), (64, 1)])["all"]
    assert same_bits(tiles, memory)


def test_a_long_program_is_accumulated_in_memory(tmp_path: Path) -> None:
    program = many(60, 8400)
    text = written(tmp_path, program, reduction=Reduction(("sum",), frozenset({1})))
    assert len(re.findall(r"call\.uni[^;]*hy_\$_lane_\$_point,", text)) == 1
    given = [np.random.default_rng(1).normal(size=300), np.array([0.5, 1e-3])]
    (made,) = simulated(tmp_path, {"all": given})["all"]
    assert close("sum", made, rows(program, given, 300, "float64")[0])


def test_shared_numbers_are_computed_once_or_for_each_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program, reduction = many(3), Reduction(("sum",), frozenset({1}))
    given = {"all": arrays(program, 300, "float64", (1,))}
    texts, made = [], []
    for kept in (gpu_reduce.KEPT, 0):
        monkeypatch.setattr(gpu_reduce, "KEPT", kept)
        folder = tmp_path / str(kept)
        folder.mkdir()
        text = written(folder, program, reduction=reduction)
        start = text.index(".entry f_accumulate(")
        texts.append(text[start : text.find(".entry", start + 9)])
        made.append(simulated(folder, given)["all"][0])
    # Before the loop over points there is the exponential, or nothing.
    loops = [text.index("bra", text.index("setp")) for text in texts]
    assert loops
    assert same_bits(*made)
    for text, kept in zip(texts, (True, False), strict=True):
        first_fma = text.index("fma.rn")
        last_label = [match.start() for match in re.finditer(r"^\$L", text, re.MULTILINE)]
        inside = sum(label < first_fma for label in last_label)
        assert (inside <= 2) == kept, inside


# --- the text ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("element", ELEMENTS)
def test_the_text_rounds_as_ieee_does_and_uses_no_atomics(element: str, tmp_path: Path) -> None:
    text = written(tmp_path, MIXED, element=element, reduction=Reduction(KINDS, frozenset({0})))
    assert set(re.findall(r"\.visible \.entry (\w+)\(", text)) == {
        f"f_{name}" for name in ("batch", "accumulate", "combine", "finish")
    }
    operations = re.findall(r"\t((?:add|sub|mul|fma|div|sqrt|rcp|mad)\.[\w.]*f(?:32|64))\b", text)
    assert {operation for operation in operations if ".rn." not in operation} == set()
    assert not re.search(r"\b(atom|red|bar|shfl|membar)\b|\.local|\.shared|\.ftz|\.approx", text)
    said = json.loads((tmp_path / "f.manifest.json").read_text())["gpu"]["reduce"]
    words = 2 * (2 + 2 + 4) + 1 + 3 * 2
    names = {name: f"f_{name}" for name in ("accumulate", "combine", "finish")}
    assert said == {**names, "lanes": MOST, "words": words, "fan": FAN}


def test_lanes_are_fewer_where_they_are_long() -> None:
    def lanes(count: int, kind: str) -> Lanes:
        return Lanes.of(Interface(many(count), "float64", {}, Reduction((kind,))))

    assert lanes(21, "sum").lanes == MOST
    assert lanes(1000, "sum").lanes == 1 << 13
    assert lanes(100_000, "max").lanes == LEAST
    for kind, width in (("sum", 2), ("max", 1), ("logsumexp", 3)):
        for count in (1, 7, 23, 24, 25, 49, 64, 200):
            tiles = lanes(count, kind).tiles(48)
            assert [k for tile in tiles for k in tile] == list(range(count))
            assert max(map(len, tiles)) * width <= 48
            assert len(tiles) == math.ceil(count / (48 // width))


def test_all_arguments_shared_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="all arguments are shared, so there is nothing to reduce over"):
        written(tmp_path, many(2), reduction=Reduction(("sum",), frozenset({0, 1})))


def test_float32_has_no_native_code_that_reduces(tmp_path: Path) -> None:
    """But PTX and C source of a host's bundle."""
    details = Details(reduction=Reduction(("sum",)))
    single = host().with_element("float32")
    export(many(2), tmp_path, "f", ["ptx", "c", "h"], single, details=details)
    with pytest.raises(ValueError, match="reductions are computed in float64, got float32"):
        export(many(2), tmp_path, "f", ["o"], single, details=details)


@pytest.mark.parametrize("element", ELEMENTS)
@pytest.mark.parametrize("arch", ["sm_75", "sm_90", "sm_120"])
def test_ptxas_keeps_sums_in_registers(arch: str, element: str, tmp_path: Path) -> None:
    program = shutil.which("ptxas")
    if program is None:
        pytest.skip("no ptxas")
    for case, shared, kinds in (
        (MIXED, {0}, KINDS),
        (many(24, of="exp"), {1}, ("sum",)),
        (many(90, of="tanh"), {1}, ("sum",)),
    ):
        written(tmp_path, case, f"nvptx-{arch}", element, Reduction(kinds, frozenset(shared)))
        command = [program, "-v", "-arch", arch, tmp_path / "f.ptx", "-o", tmp_path / "f.cubin"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        said = done.stdout + done.stderr
        assert done.returncode == 0, said
        spills = re.findall(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", said)
        assert len(spills) >= 4
        assert set(spills) == {("0", "0", "0")}, said
        assert not re.search("warning|undefined|unresolved|error", said, re.IGNORECASE), said


@pytest.mark.parametrize(("element", "repeated"), [("float64", gpu_reduce.REPEATED), ("float32", 0)])
def test_amd_objects_have_the_kernels(
    element: str, repeated: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu_reduce, "REPEATED", repeated)
    target = GPUS["amdgpu-gfx90a"].with_element(element)
    for program, shared, kinds in ((MIXED, {0}, KINDS), (many(50), {1}, ("sum",))):
        details = Details(reduction=Reduction(kinds, frozenset(shared)))
        files = export(program, tmp_path, "f", ["o", "s"], target, details=details)
        code, text = (path.read_bytes() for path in files[:2])
        assert undefined(code) == ()
        for name in ("batch", "accumulate", "combine", "finish"):
            assert f"f_{name}.kd\0".encode() in code
        assert not re.search(rb"atomic|\tv_ma[dc]_f(?:32|64)", text)


# --- the launchers ----------------------------------------------------------------------------------------------------
PYTHON = """\
import ctypes, importlib.util, sys
import numpy as np
spec = importlib.util.spec_from_file_location("f_cuda", sys.argv[1] + "/f_cuda.py")
f_cuda = importlib.util.module_from_spec(spec)
spec.loader.exec_module(f_cuda)
fake = ctypes.CDLL("libcuda.so.1")

class OnDevice:
    def __init__(self, array):
        self.array = array
        self.__cuda_array_interface__ = dict(array.__array_interface__)
        self.__cuda_array_interface__["strides"] = array.strides

def refused(kind, text, call, *arguments, **named):
    try:
        call(*arguments, **named)
    except kind as error:
        assert text in str(error), error
    else:
        raise AssertionError(text)

def same(a, b):
    return len(a) == len(b) and all(np.array_equal(x, y, equal_nan=True) for x, y in zip(a, b))

source = np.random.default_rng(1)
a, x, y = source.normal(size=2), source.normal(size=(300, 3)), source.normal(size=300)
kernel = f_cuda.load(sys.argv[1] + "/f.ptx")
before = fake.fake_live()
right = kernel.reduce(a, x, y)
assert [r.shape for r in right] == [(2,), (), (2,), (2,), (2, 2)], right
assert isinstance(kernel.reduce(a, x, y), tuple) and fake.fake_live() == before + 1

# points broadcast and lie in any way; one row of the shared argument is as good as none
assert same(right, kernel.reduce(a[None], x.reshape(20, 15, 3), y.reshape(20, 15)))
assert same(right, kernel.reduce(list(a), np.asfortranarray(x), y[::-1][::-1]))
assert same(kernel.reduce(a, x, y[0]), kernel.reduce(a, x, np.full(300, y[0])))
assert same(kernel.reduce(a, x[0], y[0]), kernel.reduce(a, x[:1], y[:1]))

# on the device, as structures of arrays, in any stream; results there or here
out = [np.empty(r.shape) for r in right]
given = OnDevice(a), OnDevice(np.ascontiguousarray(x.T).T), OnDevice(y)
for stream in (5, 5, 6):
    for r in out:
        r[...] = 7
    made = kernel.reduce(*given, out=[OnDevice(r) for r in out], stream=stream)
    assert len(made) == 5 and same(out, right)
spread = np.full((2, 4), 7.0)
kernel.reduce(*given, out=[*map(OnDevice, [spread.T[:2, 0].T, *out[1:4], np.empty((2, 2))])])
host = [np.empty(r.shape) for r in right]
assert kernel.reduce(*given, out=host)[2] is host[2] and same(host, right)
apart = np.full(8, 7.0)
kernel.reduce(*given, out=[OnDevice(apart[::4]), *map(OnDevice, out[1:])])
assert same([apart[::4]], right[:1]) and (apart.reshape(2, 4)[:, 1:] == 7).all()
assert fake.fake_live() == before + 1

# memory grows and stays, and is given back
some = kernel._lane_bytes
kernel.reduce(a, np.tile(x, (3, 1)), np.tile(y, 3))
assert kernel._lane_bytes == 3 * some
assert same(right, kernel.reduce(a, x, y)) and kernel._lane_bytes == 3 * some and fake.fake_live() == before + 1

refused(TypeError, "takes 3 arguments", kernel.reduce, x)
refused(ValueError, "a[2] is the same for all points: it must have one, got (300,)", kernel.reduce,
        np.tile(a, (300, 1)), x, y)
refused(ValueError, "the maximum of no points is not defined; the points are (0,)", kernel.reduce, a, x[:0], y[:0])
refused(ValueError, "out for r[2] must have the shape (2,), got (300, 2)", kernel.reduce, a, x, y,
        out=[np.empty((300, 2)), *host[1:]])
refused(TypeError, "needs 8 places", kernel.launch_reduce, 1, [])

# whichever step fails says so, and nothing is left behind
fake.fake_fail(2)
refused(f_cuda.CudaError, "cuMemAlloc_v2: out of memory (CUDA error 2)", kernel.reduce, a, x, y)
fake.fake_fail(3)
refused(f_cuda.CudaError, "cuLaunchKernel: something else (CUDA error 701)", kernel.reduce, a, x, y)
fake.fake_fail(0)
kernel.close()
assert fake.fake_live() == 0
failed = 0
while True:
    kernel = f_cuda.load(sys.argv[1] + "/f.ptx")
    before = fake.fake_live()
    fake.fake_fail(10 + failed)
    try:
        made = kernel.reduce(a, x, y)
        break
    except f_cuda.CudaError:
        assert fake.fake_live() <= before + 1
        fake.fake_fail(0)
        assert same(right, kernel.reduce(a, x, y))
        kernel.close()
        assert fake.fake_live() == 0, fake.fake_live()
        failed += 1
# three arguments, five results, lanes, accumulate, two combines, finish
assert failed == 13 and same(made, right), failed
fake.fake_fail(0)
kernel.close()
kernel.close()
refused(f_cuda.CudaError, "closed", kernel.reduce, a, x, y)
assert fake.fake_live() == 0, fake.fake_live()
print("passed")
"""


def test_the_launcher_in_python(tmp_path: Path) -> None:
    written(tmp_path, MIXED, reduction=Reduction(KINDS, frozenset({0})))
    fake_driver(tmp_path)
    environment = os.environ | {"LD_LIBRARY_PATH": str(tmp_path)}
    command = [sys.executable, "-c", PYTHON, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (0, "passed\n"), done.stderr


def test_a_kernel_that_does_not_reduce_says_so(tmp_path: Path) -> None:
    written(tmp_path, MIXED)
    fake_driver(tmp_path)
    script = "import importlib.util, sys\n" + RUN.split("\n", 2)[1] + "\n" + "\n".join(RUN.split("\n")[2:5])
    script += "\ntry:\n    f_cuda.load().reduce([1, 2], [1, 2, 3], 4)\nexcept TypeError as error:\n    print(error)\n"
    environment = os.environ | {"LD_LIBRARY_PATH": str(tmp_path)}
    command = [sys.executable, "-c", script, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout == "the kernel does not reduce: export one that was compiled with reduce=\n"
    assert "reduce" not in (tmp_path / "f_cuda.h").read_text()


CALLER = """\
#include "f_cuda.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define N 5003
#ifdef __cplusplus
extern "C" {
#endif
int fake_live(void);
void fake_fail(int which);
#ifdef __cplusplus
}
#endif
static TYPE a[2], x[N][3], y[N], X[3][N], r[11], s[8 * 11];
#define AT(p) (uint64_t)(uintptr_t)(p)
int main(void)
{
    char message[300];
    int i, j, failed;
    f_cuda *gpu = f_cuda_open(0, message, sizeof message);
    if (gpu == NULL || message[0]) {
        puts(message);
        return 2;
    }
    if (fread(a, sizeof a, 1, stdin) != 1 || fread(x, sizeof x, 1, stdin) != 1 || fread(y, sizeof y, 1, stdin) != 1)
        return 3;
    if (f_cuda_reduce(gpu, N, a, x[0], y, r, r + 2, r + 3, r + 5, r + 7))
        return 4;
    fwrite(r, sizeof r, 1, stdout);
    for (i = 0; i < N; i++)
        for (j = 0; j < 3; j++)
            X[j][i] = x[i][j];
    for (i = 0; i < 2; i++) {
        memset(s, 0, sizeof s);
        if (f_cuda_launch_reduce(gpu, i ? &i : NULL, N, AT(a), 1, AT(X), 1, N, AT(y), 1, 1, AT(s), 1, AT(s + 2), 1,
                                 AT(s + 3), 1, AT(s + 5), 1, AT(s + 7), 8))
            return 5;
        if (memcmp(r, s, 7 * sizeof *r))
            return 6;
        for (j = 0; j < 4; j++)
            if (memcmp(r + 7 + j, s + 7 + 8 * j, sizeof *r))
                return 7;
    }
    /* of no points */
    for (i = 0; i >= -7; i -= 7) {
        if (f_cuda_reduce(gpu, i, a, x[0], y, s, s + 2, s + 3, s + 5, s + 7))
            return 8;
        if (s[0] != 0 || s[1] != 0 || s[2] > -1e38 || s[3] > -1e38 || s[5] == s[5] || s[6] == s[6] || s[10] != 0)
            return 9;
    }
    f_cuda_close(gpu);
    if (fake_live())
        return 10;
    /* whichever step fails */
    for (failed = 0;; failed++) {
        int live;
        gpu = f_cuda_open(0, message, sizeof message);
        if (gpu == NULL)
            return 11;
        live = fake_live();
        fake_fail(10 + failed);
        i = f_cuda_reduce(gpu, N, a, x[0], y, s, s + 2, s + 3, s + 5, s + 7);
        fake_fail(0);
        if (fake_live() > live + 1)
            return 12;
        if (i && strcmp(f_cuda_message(gpu), i == 2 ? "cuMemAlloc: out of memory (CUDA error 2)"
                                                    : "cuLaunchKernel: something else (CUDA error 701)"))
            return 13;
        if (i && f_cuda_reduce(gpu, N, a, x[0], y, s, s + 2, s + 3, s + 5, s + 7))
            return 14;
        if (memcmp(r, s, sizeof r))
            return 15;
        f_cuda_close(gpu);
        if (fake_live())
            return 16;
        if (i == 0)
            break;
    }
    return failed == 14 ? 0 : 17;
}
"""


@pytest.mark.parametrize(("language", "element"), [("c", "float64"), ("c++", "float32")])
def test_the_launcher_in_c(language: str, element: str, tmp_path: Path) -> None:
    written(tmp_path, MIXED, element=element, reduction=Reduction(KINDS, frozenset({0})))
    fake_driver(tmp_path)
    compiler = shutil.which("gcc" if language == "c" else "g++")
    if compiler is None:
        pytest.skip("no gcc")
    (tmp_path / "caller.c").write_text(CALLER.replace("TYPE", "double" if element == "float64" else "float"))
    standard = ["-std=c99"] if language == "c" else []
    command = [compiler, "-x", language, *standard, *WARNINGS, "-O2", "caller.c", "f_cuda.c", "-x", "none"]
    subprocess.run([*command, "libcuda.so.1", "-ldl", "-o", "caller"], cwd=tmp_path, check=True, timeout=120)
    given = arrays(MIXED, 5003, element, (0,))
    sent = b"".join(array.tobytes() for array in given)
    environment = os.environ | {"LD_LIBRARY_PATH": str(tmp_path)}
    done = subprocess.run(["./caller"], cwd=tmp_path, input=sent, env=environment, capture_output=True, check=False)
    assert done.returncode == 0
    numbers = np.frombuffer(done.stdout, element)
    each = rows(MIXED, given, 5003, element)
    for kind, made, values in zip(KINDS, np.split(numbers, [2, 3, 5, 7]), each, strict=True):
        assert close(kind, made.reshape(values.shape[1:]), values), kind
    assert all(
        same_bits(a, b.reshape(-1))
        for a, b in zip(np.split(numbers, [2, 3, 5, 7]), simulated(tmp_path, {"all": given})["all"], strict=True)
    )
