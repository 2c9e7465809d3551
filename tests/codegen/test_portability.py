"""Vector mathematics and kernels on other machines: run under qemu's user mode, or here where this machine can.

With a fused multiply-add every machine gives the bits of this one; without it, those of this one's code without it.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import llvmlite.binding as llvm
import numpy as np
import pytest
from vector_points import NAMES, narrow_samples, samples

from codegen.emit import emit
from codegen.jit import compile
from codegen.program import INSTRUCTIONS, Array, Program
from codegen.target import NAMED, Target, host
from codegen.vector_math.trial import Trial, lanes, object_code, shape_of

FOREIGN = ("aarch64", "riscv64")
X86 = ("x86-64", "x86-64-v2", "x86-64-v3", "x86-64-v4")
SCALAR = {"float64": "double", "float32": "float"}
# the instructions without the slowest under qemu
KERNEL = " ".join(name for name, row in INSTRUCTIONS.items() if row.result == "real" and name != "polygamma")


def tools(name: str) -> tuple[str, str]:
    """The C compiler for a foreign target and the program that runs what it links; skips the test without them."""
    compiler = shutil.which(f"{name}-linux-gnu-gcc")
    runner = shutil.which(f"qemu-{name}") or shutil.which(f"qemu-{name}-static")
    if compiler is None or runner is None:
        pytest.skip(f"needs {name}-linux-gnu-gcc and qemu-{name} (Debian: gcc-{name}-linux-gnu, qemu-user)")
    return compiler, runner


def run(name: str, folder: Path, code: bytes, source: str, inputs: list[np.ndarray]) -> bytes:
    """What the C program `source`, linked with an object file, writes when it reads the inputs one after the other."""
    compiler, runner = tools(name)
    (folder / "code.o").write_bytes(code)
    (folder / "main.c").write_text(source, encoding="utf-8")
    command = [compiler, "-static", "-O1", "main.c", "code.o", "-o", "main"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=120)
    sent = b"".join(np.ascontiguousarray(x).tobytes() for x in inputs)
    return subprocess.run(
        [runner, "./main"], cwd=folder, input=sent, check=True, capture_output=True, timeout=120
    ).stdout


def loops_in_c(sizes: dict[str, int], scalar: str) -> str:
    """A C program that calls the loop of each function over its number of points from standard input."""
    lines = ["#include <stdio.h>", "#include <stdlib.h>"]
    calls = []
    for name, size in sizes.items():
        arity, results = shape_of(name)
        symbol = f"loop_{name.replace('.', '_')}"
        parameters = ", ".join(["long", "long"] + ["void *"] * (arity + results))
        lines.append(f'void {symbol}({parameters}) __asm__("loop_{name}");')
        arrays = "".join(f", v + {i} * {size}L" for i in range(arity + results))
        calls += [
            f"  if (fread(v, sizeof *v, {arity} * {size}L, stdin) != {arity} * {size}L) return 1;",
            f"  {symbol}(1, {size}{arrays});",
            f"  fwrite(v + {arity} * {size}L, sizeof *v, {results} * {size}L, stdout);",
        ]
    room = 4 * max(sizes.values())
    return "\n".join(
        [*lines, "int main(void) {", f"  {scalar} *v = malloc({room} * sizeof *v);", *calls, "  return 0;", "}", ""]
    )


def points_of(name: str, dtype: str) -> list[np.ndarray]:
    arity = shape_of(name)[0]
    points = narrow_samples(arity, 60, seed=20) if dtype == "float32" else samples(arity, 12, seed=20)
    size = points[0].size // 16 * 16
    return [p[:size] for p in points]


def assert_same_bits(name: str, found: np.ndarray, expected: np.ndarray, points: list[np.ndarray]) -> None:
    kind = f"i{found.itemsize}"
    same = (found.view(kind) == expected.view(kind)) | (np.isnan(found) & np.isnan(expected))
    where = ~same.reshape(-1, points[0].size).all(axis=0)
    assert same.all(), f"{name} at {[p[where][:3] for p in points]}: {found[~same][:3]}, here {expected[~same][:3]}"


@pytest.mark.skipif(not host().fma, reason="this machine has no fused multiply-add to compare with")
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", FOREIGN)
def test_vector_functions_have_the_same_bits_elsewhere(name: str, dtype: str, tmp_path: Path) -> None:
    tools(name)
    target = NAMED[name]
    points = {function: points_of(function, dtype) for function in NAMES}
    sizes = {function: x[0].size for function, x in points.items()}
    code = object_code(NAMES, target, dtype)
    inputs = [x for arguments in points.values() for x in arguments]
    written = np.frombuffer(run(name, tmp_path, code, loops_in_c(sizes, SCALAR[dtype]), inputs), dtype=dtype)
    here = Trial(NAMES, width=2, dtype=dtype)
    start = 0
    for function, arguments in points.items():
        expected = np.concatenate(np.atleast_2d(here(function, *arguments)))
        found = written[start : start + expected.size]
        start += expected.size
        assert_same_bits(function, found, expected, arguments)
    assert start == written.size


@pytest.mark.skipif(not host().fma, reason="this machine has no fused multiply-add to compare with")
@pytest.mark.parametrize("element", ["float64", "float32"])
@pytest.mark.parametrize("name", FOREIGN)
def test_kernels_have_the_same_bits_elsewhere(
    name: str, element: str, tmp_path: Path, programs: Callable[..., Program]
) -> None:
    tools(name)
    count, scalar = 37, SCALAR[element]
    program = programs(150, 5, KERNEL, (Array("x"), Array("q", (3,))), (Array("r"), Array("J", (2, 3))))
    target = NAMED[name].with_element(element)
    code = bytes(target.machine().emit_object(llvm.parse_assembly(emit(program, target))))
    rng = np.random.default_rng(2)
    x, q = rng.uniform(-2, 2, count).astype(element), rng.uniform(-2, 2, (count, 3)).astype(element)
    symbol = compile(program, host().with_element(element)).symbol
    source = f"""
#include <stdio.h>
void {symbol}_batch(long n, {scalar} *x, {scalar} *q, {scalar} *r, {scalar} *J);
static {scalar} x[{count}], q[3 * {count}], r[{count}], J[6 * {count}];
int main(void) {{
  if (fread(x, sizeof x, 1, stdin) != 1 || fread(q, sizeof q, 1, stdin) != 1) return 1;
  {symbol}_batch({count}, x, q, r, J);
  fwrite(r, sizeof r, 1, stdout);
  fwrite(J, sizeof J, 1, stdout);
  return 0;
}}
"""
    found = np.frombuffer(run(name, tmp_path, code, source, [x, q]), dtype=element)
    expected = batch_here(program, element, [x, q], [(count,), (count, 6)])
    assert_same_bits("kernel", found, expected, [np.arange(found.size)])


def batch_here(program: Program, element: str, inputs: list[np.ndarray], shapes: list[tuple[int, ...]]) -> np.ndarray:
    """The results of a kernel on this machine, one after the other."""
    compiled = compile(program, host().with_element(element))
    outputs = [np.empty(shape, dtype=element) for shape in shapes]
    pointers = [ctypes.c_void_p(a.ctypes.data) for a in [*inputs, *outputs]]
    prototype = ctypes.CFUNCTYPE(None, ctypes.c_int64, *[ctypes.c_void_p] * len(pointers))
    prototype(compiled.address(f"{compiled.symbol}_batch"))(len(inputs[0]), *pointers)
    return np.concatenate([a.ravel() for a in outputs])


def runs_here(target: Target) -> bool:
    """Whether this machine has the instructions of an x86-64 target."""
    flags = llvm.get_host_cpu_features()
    needed = {"x86-64-v3": ("avx2", "fma", "bmi2"), "x86-64-v4": ("avx512f", "avx512dq", "avx512vl", "avx512bw")}
    return host().is_x86 and all(flags.get(flag) for flag in needed.get(target.cpu, ()))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n == "x86-64-v3" else pytest.mark.long) for n in X86])
def test_older_x86_gives_the_same_bits(name: str, dtype: str) -> None:
    """SSE2 and SSE4 those of scalar code without fused multiply-add, AVX2 and AVX-512 those of scalar code with it."""
    target = NAMED[name]
    if not runs_here(target):
        pytest.skip(f"this machine does not run {name}")
    wide = Trial(NAMES, target=target, dtype=dtype)
    one = Trial(NAMES, target=replace(target, width=1), dtype=dtype)
    assert wide.lanes == lanes(target, dtype)
    for function in NAMES:
        points = points_of(function, dtype)
        found, expected = (np.concatenate(np.atleast_2d(t(function, *points))) for t in (wide, one))
        assert_same_bits(function, found, expected, points)
