"""Kernels for graphics processors: what their text holds, that `ptxas` takes it, its arithmetic, and the launchers."""

from __future__ import annotations

import ctypes
import json
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
from ptx_cases import every_instruction, expected, points, same_bits, written

from codegen import Array, Program, host
from codegen.export import FORMATS, export
from codegen.export.cuda_launch import CudaError, Operand, even, load
from codegen.export.gpu import gpu_ir, undefined_in_ptx
from codegen.export.interface import Interface
from codegen.export.symbols import undefined
from codegen.external import External
from codegen.target import GPUS

WARNINGS = ["-Wall", "-Wextra", "-Werror", "-pedantic"]
ELEMENTS = ("float64", "float32")


@pytest.fixture
def small(programs) -> Program:
    return replace(programs(90, 11, "add sub mul div exp log sin cos sqrt select minimum"), name="f")


# --- the text ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("element", ELEMENTS)
def test_the_text_holds_a_function_and_a_kernel_and_rounds_as_the_host_does(element: str, tmp_path: Path) -> None:
    text = written(tmp_path, every_instruction(), element=element)
    assert text.count(".visible .entry f_batch(") == 1
    assert text.count(".visible .func f(") == 1
    assert len(re.findall(r"\.visible", text)) == 2
    assert undefined_in_ptx(text) == ()
    kernel = text[text.index(".visible .entry f_batch(") :]
    assert kernel[: kernel.index("{")].count(".param .") == 1 + 3 * 5
    for name in ("tid", "ctaid", "ntid", "nctaid"):
        assert f"%{name}.x" in kernel
    # Without .rn, ptxas may fuse a product into a sum; .ftz and .approx are other arithmetic.
    operations = re.findall(r"\t((?:add|sub|mul|fma|div|sqrt|rcp|mad)\.[\w.]*f(?:32|64))\b", text)
    assert len(operations) > 100
    assert {operation for operation in operations if ".rn." not in operation} == set()
    assert ".ftz" not in text
    assert ".approx" not in text
    # Tables and arguments are read from global memory, and nothing is on the stack.
    assert ".global .align" in text
    assert "ld.global" in kernel
    assert ".local" not in text


def test_targets_and_versions(small: Program, tmp_path: Path) -> None:
    for name, target in GPUS.items():
        if target.arch == "nvptx64":
            assert f".target {name.removeprefix('nvptx-')}" in written(tmp_path, small, name)
    assert ".target sm_70" in written(tmp_path, small, host())
    manifest = json.loads((tmp_path / "f.manifest.json").read_text())
    assert manifest["gpu"] == {"triple": "nvptx64-nvidia-cuda", "cpu": "sm_70", "kernel": "f_batch", "function": "f"}
    first = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    written(tmp_path, small, host())
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == first


def test_a_long_program_is_one_function_that_both_call(programs, tmp_path: Path) -> None:
    long = replace(programs(9000, 3, "add sub mul minimum"), name="f")
    text = written(tmp_path, long)
    assert len(re.findall(r"call\.uni[^;]*hy_\$_point,", text, re.DOTALL)) == 2
    assert runs_as_here(long, tmp_path, points(long, 200, "float64"), "float64")


def test_what_cannot_be_made_is_refused_by_name(tmp_path: Path) -> None:
    x = (Array("x"),)
    own = Program("f", x, (Array("r"),), [("load", 0, 0), ("extern.my_f", 0)], ((1,),), (External("my_f", 1),))
    with pytest.raises(ValueError, match=r"f calls my_f, which nvptx64-nvidia-cuda does not have"):
        export(own, tmp_path, "f", ["ptx"])
    many = tuple(Array(f"r{k}") for k in range(170))
    with pytest.raises(ValueError, match="171 arguments and results; a kernel can have 170"):
        export(Program("f", x, many, [("load", 0, 0)], ((0,),) * 170), tmp_path, "f", ["ptx"])
    with pytest.raises(ValueError, match=r"no format 'ptx' for amdgcn.*there are o, h, ll, bc, s"):
        export(Program("f", x, x, [("load", 0, 0)], ((0,),)), tmp_path, "f", ["ptx"], "amdgpu-gfx90a")
    with pytest.raises(ValueError, match=r"no format 'o' for nvptx64"):
        export(Program("f", x, x, [("load", 0, 0)], ((0,),)), tmp_path, "f", ["o"], "nvptx-sm_90")
    with pytest.raises(ValueError, match="PTX has a constant called WARP_SZ"):
        export(Program("f", x, x, [("load", 0, 0)], ((0,),)), tmp_path, "WARP_SZ", ["ptx"])
    assert list(tmp_path.iterdir()) == []
    assert undefined_in_ptx(".extern .func  (.param .b64 func_retval0) sin\n(\n)\n;\n.extern .func g()\n;") == (
        "g",
        "sin",
    )


def ptxas(path: Path, arch: str) -> str:
    program = shutil.which("ptxas")
    if program is None:
        pytest.skip("no ptxas")
    done = subprocess.run(
        [program, "-v", "-arch", arch, path, "-o", path.with_suffix(".cubin")],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arch", "element"), [("sm_75", "float64"), ("sm_90", "float64"), ("sm_120", "float64"), ("sm_90", "float32")]
)
def test_ptxas_assembles_it_without_a_word(arch: str, element: str, tmp_path: Path) -> None:
    written(tmp_path, every_instruction(), f"nvptx-{arch}", element)
    said = ptxas(tmp_path / "f.ptx", arch)
    assert f"Compiling entry function 'f_batch' for '{arch}'" in said
    assert not re.search("warning|undefined|unresolved|error", said, re.IGNORECASE), said


def test_the_oldest_text_is_assembled_for_later_machines(small: Program, tmp_path: Path) -> None:
    written(tmp_path, small, host())
    for arch in ("sm_80", "sm_90", "sm_120"):
        assert "0 bytes spill stores" in ptxas(tmp_path / "f.ptx", arch)


@pytest.mark.parametrize("name", ["amdgpu-gfx90a", "amdgpu-gfx1100"])
@pytest.mark.parametrize("element", ELEMENTS)
def test_amd_objects(name: str, element: str, small: Program, tmp_path: Path) -> None:
    target = GPUS[name].with_element(element)
    assert FORMATS["o"].serves(target)
    code, text = (path.read_bytes() for path in export(small, tmp_path, "f", ["o", "s", "ll", "bc"], target)[:2])
    assert code[:4] == b"\x7fELF"
    assert int.from_bytes(code[18:20], "little") == 224  # EM_AMDGPU
    assert undefined(code) == ()
    assert b"f_batch.kd\0" in code
    assert b".amdhsa_kernel f_batch" in text
    body = text[text.index(b"\nf_batch:") : text.index(b".amdhsa_kernel f_batch")]
    assert b"global_load" in body
    assert b"global_store" in body
    # Subnormals stay, rounding is to nearest, and no multiply-add is there that flushes them.
    assert text.count(b".amdhsa_float_denorm_mode_32 3\n") == text.count(b".amdhsa_float_denorm_mode_16_64 3\n") == 1
    assert text.count(b".amdhsa_float_round_mode_32 0\n") == text.count(b".amdhsa_float_round_mode_16_64 0\n") == 1
    assert not re.search(rb"\tv_ma[dc]_f(?:32|64)", text)
    manifest = json.loads((tmp_path / "f.manifest.json").read_text())
    assert manifest["gpu"]["cpu"] == name.removeprefix("amdgpu-")
    assert manifest["calls"]["library"] == []
    pytest.importorskip("ziglang")
    command = [sys.executable, "-m", "ziglang", "ld.lld", "-shared", "--no-undefined", "f.o", "-o", "f.hsaco"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=120)


# --- the arithmetic: the text, run without a GPU ----------------------------------------------------------------------
LAUNCH = """\
import importlib.util, sys
import numpy as np
spec = importlib.util.spec_from_file_location("f_cuda", sys.argv[1] + "/f_cuda.py")
f_cuda = importlib.util.module_from_spec(spec)
spec.loader.exec_module(f_cuda)
given = np.load(sys.argv[1] + "/given.npz")
arrays = [given[name] for name in given.files]
with f_cuda.load() as kernel:
    np.savez(sys.argv[1] + "/made.npz", *kernel(*arrays))
"""


def in_python(folder: Path, script: str) -> str:
    """Runs a script with the driver of the folder; gives what it prints."""
    environment = os.environ | {"LD_LIBRARY_PATH": str(folder)}
    command = [sys.executable, "-c", script, str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("element", ELEMENTS)
def test_every_instruction_has_the_bits_of_the_kernel_here(element: str, tmp_path: Path) -> None:
    program = every_instruction()
    written(tmp_path, program, element=element)
    # more points than the 4,096 threads of the largest grid
    assert runs_as_here(program, tmp_path, points(program, 5003, element), element)


def runs_as_here(program: Program, folder: Path, arrays: list[np.ndarray], element: str) -> bool:
    """Whether `f.ptx` of the folder, run without a GPU, gives the bits of the kernel here."""
    fake_driver(folder)
    np.savez(folder / "given.npz", *arrays)
    in_python(folder, LAUNCH)
    made = np.load(folder / "made.npz")
    right = expected(program, arrays, element)
    return all(same_bits(made[name], one) for name, one in zip(made.files, right, strict=True))


def test_the_translation_to_c_can_tell_a_wrong_kernel(small: Program, tmp_path: Path) -> None:
    text = written(tmp_path, small)
    kernel = text.index(".visible .entry")
    wrong = text[:kernel] + text[kernel:].replace("sub.rn.f64", "add.rn.f64", 1)
    assert wrong != text
    (tmp_path / "f.ptx").write_text(wrong)
    assert not runs_as_here(small, tmp_path, points(small, 300, "float64"), "float64")


PYTHON = """\
import ctypes, importlib.util, sys
import numpy as np
spec = importlib.util.spec_from_file_location("f_cuda", sys.argv[1] + "/f_cuda.py")
f_cuda = importlib.util.module_from_spec(spec)
spec.loader.exec_module(f_cuda)
fake = ctypes.CDLL("libcuda.so.1")

class OnDevice:
    def __init__(self, array, strides=True):
        self.array = array
        self.__cuda_array_interface__ = dict(array.__array_interface__)
        self.__cuda_array_interface__["strides"] = array.strides if strides else None

def refused(kind, text, call, *arguments, **named):
    try:
        call(*arguments, **named)
    except kind as error:
        assert text in str(error), error
    else:
        raise AssertionError(text)

def same(a, b):
    return all(np.array_equal(x, y, equal_nan=True) for x, y in zip(a, b))

source = np.random.default_rng(1)
x, y, q = source.normal(size=300), source.normal(size=300), source.normal(size=(300, 3))
kernel = f_cuda.load(sys.argv[1] + "/f.ptx")
right = kernel(x, y, q)
assert right[0].shape == (300,) and right[1].shape == (300, 2, 3)

# points broadcast, types are converted, and memory may lie in any way
assert same(kernel(x.reshape(20, 15), y.reshape(20, 15), q.reshape(20, 15, 3)),
            [right[0].reshape(20, 15), right[1].reshape(20, 15, 2, 3)])
assert same(kernel(x, y[0], q[:1]), kernel(x, np.full(300, y[0]), np.tile(q[0], (300, 1))))
assert same(kernel(x[::2], y[::2], np.asfortranarray(q)[::2]), [r[::2] for r in right])
assert same(kernel(1, 2.0, [1, 2, 3]), [r[0] for r in kernel([1.0], [2.0], [[1.0, 2, 3]])])
assert [r.shape for r in kernel(x[:0], 1, q[0])] == [(0,), (0, 2, 3)]

# arrays on the device, as structures of arrays
soa = [np.empty(300), np.empty((6, 300))]
out = [OnDevice(soa[0]), OnDevice(np.lib.stride_tricks.as_strided(soa[1], (300, 2, 3), (8, 3 * 2400, 2400)))]
kernel(OnDevice(x, strides=False), OnDevice(y[:1]), OnDevice(np.ascontiguousarray(q.T).T), out=out, stream=5)
assert same([soa[0], soa[1].T.reshape(300, 2, 3)], kernel(x, y[0], q))
host = [np.empty(300), np.empty((300, 2, 3))]
assert kernel(x, y, OnDevice(q), out=host)[1] is host[1] and same(host, right)

refused(TypeError, "takes 3 arguments", kernel, x)
refused(TypeError, "cannot read an array of complex128", kernel, x * 1j, y, q)
refused(TypeError, "must be float64, got float32", kernel, OnDevice(x.astype("f4")), y, q)
refused(ValueError, "must have a shape that ends in (3,), got (3, 300)", kernel, x, y, q.T.copy())
refused(ValueError, "broadcast", kernel, x, y[:7], q)
refused(ValueError, "does not lie evenly", kernel, x.reshape(20, 15), y.reshape(20, 15),
        OnDevice(np.empty((20, 30, 3))[:, :15]))
refused(ValueError, "it must have one, or (20, 15)", kernel, x.reshape(20, 15), OnDevice(y[:15]), q[0])
refused(TypeError, "out must be 2 arrays", kernel, x, y, q, out=[x])
refused(ValueError, "must have the shape (300, 2, 3)", kernel, x, y, q, out=[host[0], host[1][:7]])
refused(ValueError, "in C order", kernel, x, y, q, out=[host[0][::-1], host[1]])
refused(ValueError, "in C order", kernel, x, y, q, out=[host[0].astype("f4"), host[1]])
refused(TypeError, "needs 5 places", kernel.launch, 1, [])

# what fails says so, and nothing is left behind
fake.fake_fail(2)
refused(f_cuda.CudaError, "cuMemAlloc_v2: out of memory (CUDA error 2)", kernel, x, y, q)
fake.fake_fail(3)
refused(f_cuda.CudaError, "cuLaunchKernel: something else (CUDA error 701)", kernel, x, y, q)
fake.fake_fail(1)
refused(f_cuda.CudaError, "cuModuleLoadData", f_cuda.load, sys.argv[1] + "/f.ptx")
fake.fake_fail(0)
refused(f_cuda.CudaError, "cuDeviceGet: ", f_cuda.load, sys.argv[1] + "/f.ptx", device=3)
kernel.close()
kernel.close()
refused(f_cuda.CudaError, "closed", kernel, x, y, q)
assert fake.fake_live() == 0, fake.fake_live()
print("passed")
"""


def test_the_launcher_in_python(small: Program, tmp_path: Path) -> None:
    written(tmp_path, small)
    fake_driver(tmp_path)
    assert in_python(tmp_path, PYTHON) == "passed\n"


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
static TYPE x[N], y[N], q[N][3], r[N], J[N][6], s[N], K[6][N];
#define AT(p) (uint64_t)(uintptr_t)(p)
int main(void)
{
    char message[300];
    int i, j;
    f_cuda *gpu = f_cuda_open(3, message, sizeof message);
    if (gpu != NULL || !strstr(message, "cuDeviceGet: "))
        return 1;
    gpu = f_cuda_open(0, message, sizeof message);
    if (gpu == NULL || message[0]) {
        puts(message);
        return 2;
    }
    if (fread(x, sizeof x, 1, stdin) != 1 || fread(y, sizeof y, 1, stdin) != 1 || fread(q, sizeof q, 1, stdin) != 1)
        return 3;
    if (f_cuda_batch(gpu, N, x, y, q[0], r, J[0]) || f_cuda_batch(gpu, 0, x, y, q[0], r, J[0]))
        return 4;
    if (f_cuda_launch(gpu, NULL, N, AT(x), 1, 1, AT(y), 1, 1, AT(q), 3, 1, AT(s), 1, 1, AT(K), 1, N))
        return 5;
    for (i = 0; i < N; i++) {
        if (memcmp(&r[i], &s[i], sizeof *r))
            return 6;
        for (j = 0; j < 6; j++)
            if (memcmp(&J[i][j], &K[j][i], sizeof *r))
                return 7;
    }
    fake_fail(2);
    if (f_cuda_batch(gpu, N, x, y, q[0], r, J[0]) != 2)
        return 8;
    if (strcmp(f_cuda_message(gpu), "cuMemAlloc: out of memory (CUDA error 2)"))
        return 8;
    f_cuda_close(gpu);
    f_cuda_close(NULL);
    if (fake_live())
        return 9;
    fwrite(r, sizeof r, 1, stdout);
    fwrite(J, sizeof J, 1, stdout);
    return 0;
}
"""


@pytest.mark.parametrize(("language", "element"), [("c", "float64"), ("c++", "float32")])
def test_the_launcher_in_c(language: str, element: str, small: Program, tmp_path: Path) -> None:
    written(tmp_path, small, element=element)
    fake_driver(tmp_path)
    compiler = shutil.which("gcc" if language == "c" else "g++")
    if compiler is None:
        pytest.skip("no gcc")
    (tmp_path / "caller.c").write_text(CALLER.replace("TYPE", "double" if element == "float64" else "float"))
    standard = ["-std=c99"] if language == "c" else []
    command = [compiler, "-x", language, *standard, *WARNINGS, "-O2", "caller.c", "f_cuda.c", "-x", "none"]
    linked = [*command, "libcuda.so.1", "-ldl", "-o", "caller"]
    subprocess.run(linked, cwd=tmp_path, check=True, timeout=120)
    arrays = points(small, 5003, element)
    sent = b"".join(array.tobytes() for array in arrays)
    environment = os.environ | {"LD_LIBRARY_PATH": str(tmp_path)}
    done = subprocess.run(["./caller"], cwd=tmp_path, input=sent, env=environment, capture_output=True, check=False)
    assert done.returncode == 0
    value, jacobian = expected(small, arrays, element)
    numbers = np.frombuffer(done.stdout, element)
    assert same_bits(numbers[:5003], value)
    assert same_bits(numbers[5003:], jacobian.reshape(-1))


def has_driver() -> bool:
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


@pytest.mark.skipif(has_driver(), reason="there is a CUDA driver")
def test_without_a_driver_the_launchers_say_what_is_missing(small: Program, tmp_path: Path) -> None:
    written(tmp_path, small)
    with pytest.raises(CudaError, match=r"no CUDA driver: (libcuda|nvcuda).*comes with NVIDIA's driver"):
        load(tmp_path / "f.ptx")
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("no gcc")
    main = '#include <stdio.h>\n#include "f_cuda.h"\n'
    main += "int main(void) { char m[99]; f_cuda *g = f_cuda_open(0, m, sizeof m); puts(m); return g != NULL; }\n"
    (tmp_path / "main.c").write_text(main)
    command = [compiler, "-std=c99", *WARNINGS, "main.c", "f_cuda.c", "-ldl", "-o", "main"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=120)
    said = subprocess.run(["./main"], cwd=tmp_path, check=True, capture_output=True, text=True, timeout=60).stdout
    assert said.startswith("no CUDA driver: libcuda.so.1 cannot be loaded")


@pytest.mark.parametrize(
    ("shape", "strides", "distance"), [((), (), 1), ((3,), (16,), 2), ((1, 1), (0, 7), 1), ((2, 3), (24, 8), 1)]
)
def test_distances(shape: tuple[int, ...], strides: tuple[int, ...], distance: int) -> None:
    assert even(Operand("x", shape), shape, strides, 8) == distance


def test_the_ir_says_nothing_of_a_library(small: Program) -> None:
    text = gpu_ir(Interface(small), GPUS["nvptx-sm_90"])
    assert "declare" not in text
    assert FORMATS["ptx"].serves(host())
