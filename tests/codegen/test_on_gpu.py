"""Kernels on an NVIDIA GPU: the bits of the kernel here, through every launcher. Skipped where there is no GPU."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fake_reduce import arrays, rows, simulated
from ptx_cases import KINDS, MIXED, close, every_instruction, expected, points, same_bits, written

from codegen import Program
from codegen.export import Reduction, cuda_launch
from codegen.export.cuda_launch import CudaError, Driver, Kernel, load

ELEMENTS = ("float64", "float32")


def loaded(folder: Path) -> Kernel:
    """The kernel `f.ptx` of a folder on the first GPU; skips the test if there is none."""
    try:
        Driver()("cuInit", 0)
    except CudaError as error:
        pytest.skip(f"no GPU: {error}")
    return load(folder / "f.ptx")


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"no {name}")
    return found


@pytest.fixture
def small(programs) -> Program:
    return replace(programs(90, 11, "add sub mul div exp log sin cos sqrt select minimum"), name="f")


@pytest.mark.parametrize("element", ELEMENTS)
def test_every_instruction_has_the_bits_of_the_kernel_here(element: str, tmp_path: Path) -> None:
    program = every_instruction()
    written(tmp_path, program, "nvptx-sm_70", element)
    arrays = points(program, 1_000_003, element)
    with loaded(tmp_path) as kernel:
        made = kernel(*arrays)
    for one, right in zip(made, expected(program, arrays, element), strict=True):
        assert same_bits(one, right)


def test_a_long_program(programs, tmp_path: Path) -> None:
    program = replace(programs(9000, 3, "add sub mul div exp sin minimum"), name="f")
    written(tmp_path, program)
    arrays = points(program, 10_001, "float64")
    with loaded(tmp_path) as kernel:
        made = kernel(*arrays)
    for one, right in zip(made, expected(program, arrays, "float64"), strict=True):
        assert same_bits(one, right)


@pytest.mark.parametrize("element", ELEMENTS)
def test_arrays_and_streams_of_cupy(element: str, small: Program, tmp_path: Path) -> None:
    cupy = pytest.importorskip("cupy")
    written(tmp_path, small, element=element)
    n = 70_001
    x, y, q = points(small, n, element)
    value, jacobian = expected(small, [x, y, q], element)
    with loaded(tmp_path) as kernel:
        first, rest = cupy.full(n, 7, element), cupy.full((2, 3, n), 7, element)
        stream = cupy.cuda.Stream(non_blocking=True)
        given = [cupy.asarray(x), cupy.asarray(y), cupy.asarray(np.ascontiguousarray(q.T)).T]
        cupy.cuda.get_current_stream().synchronize()
        kernel(*given, out=[first, cupy.moveaxis(rest, -1, 0)], stream=stream.ptr)
        stream.synchronize()
        assert same_bits(cupy.asnumpy(first), value)
        assert same_bits(np.ascontiguousarray(np.moveaxis(cupy.asnumpy(rest), -1, 0)), jacobian)
        # One point's numbers for all, host memory beside the GPU's, no points.
        shared = expected(small, [x, np.full_like(y, y[1]), q], element)
        both = kernel(given[0], y[1], q)
        assert all(same_bits(a, b) for a, b in zip(both, shared, strict=True))
        assert kernel(x[:0], y[:0], q[:0])[1].shape == (0, 2, 3)


@pytest.mark.parametrize("element", ELEMENTS)
def test_reductions_have_the_bits_of_their_text_whatever_the_grid(
    element: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path, MIXED, element=element, reduction=Reduction(KINDS, frozenset({0})))
    loaded(tmp_path).close()
    cases = {f"n{n}": arrays(MIXED, n, element, (0,), n) for n in (1, 65, 5003, 140_001)}
    special = arrays(MIXED, 70_001, element, (0,))
    special[2][5:9] = np.inf, -np.inf, np.nan, np.inf
    cases["special"] = special
    right = simulated(tmp_path, cases)
    for threads, blocks in ((128, 32), (32, 1), (96, 3)):
        monkeypatch.setattr(cuda_launch, "THREADS", threads)
        monkeypatch.setattr(cuda_launch, "BLOCKS", blocks)
        with loaded(tmp_path) as kernel:
            for name, given in cases.items():
                for made, one in zip(kernel.reduce(*given), right[name], strict=True):
                    assert same_bits(made, one), (name, threads, blocks)
    given = cases["n140001"]
    for kind, made, values in zip(KINDS, right["n140001"], rows(MIXED, given, 140_001, element), strict=True):
        assert close(kind, made, values), kind


def test_reductions_of_arrays_and_streams_of_cupy(tmp_path: Path) -> None:
    cupy = pytest.importorskip("cupy")
    written(tmp_path, MIXED, reduction=Reduction(KINDS, frozenset({0})))
    a, x, y = arrays(MIXED, 300_001, "float64", (0,))
    with loaded(tmp_path) as kernel:
        right = kernel.reduce(a, x, y)
        given = [cupy.asarray(a), cupy.asarray(np.ascontiguousarray(x.T)).T, cupy.asarray(y)]
        outs = [cupy.full(r.shape, 7.0) for r in right]
        streams = [cupy.cuda.Stream(non_blocking=True) for _ in range(2)]
        cupy.cuda.get_current_stream().synchronize()
        for stream in (*streams, *streams):
            kernel.reduce(*given, out=outs, stream=stream.ptr)
            stream.synchronize()
            assert all(same_bits(cupy.asnumpy(out), r) for out, r in zip(outs, right, strict=True))


def test_a_driver_that_refuses_says_why(small: Program, tmp_path: Path) -> None:
    written(tmp_path, small)
    loaded(tmp_path).close()
    with pytest.raises(CudaError, match=r"cuDeviceGet: .*\(CUDA error 101\)"):
        load(tmp_path / "f.ptx", device=99)
    text = (tmp_path / "f.ptx").read_text()
    (tmp_path / "f.ptx").write_text(text.replace("add.rn.f64", "add.nonsense.f64", 1))
    with pytest.raises(CudaError, match=r"cuModuleLoadData: .*PTX"):
        load(tmp_path / "f.ptx")


CALLER = """\
#include "f_cuda.h"
#include <stdio.h>
#include <string.h>
#define N 5003
static TYPE x[N], y[N], q[N][3], r[N], J[N][6];
int main(void)
{
    char message[300];
    f_cuda *gpu = f_cuda_open(99, message, sizeof message);
    if (gpu != NULL || !strstr(message, "cuDeviceGet: "))
        return 1;
    gpu = f_cuda_open(0, message, sizeof message);
    if (gpu == NULL) {
        puts(message);
        return 2;
    }
    if (fread(x, sizeof x, 1, stdin) != 1 || fread(y, sizeof y, 1, stdin) != 1 || fread(q, sizeof q, 1, stdin) != 1)
        return 3;
    if (f_cuda_batch(gpu, N, x, y, q[0], r, J[0]) || f_cuda_batch(gpu, 0, x, y, q[0], r, J[0])) {
        puts(f_cuda_message(gpu));
        return 4;
    }
    f_cuda_close(gpu);
    fwrite(r, sizeof r, 1, stdout);
    fwrite(J, sizeof J, 1, stdout);
    return 0;
}
"""

# A kernel of the user's own that calls the device function for two neighbouring points and adds what it gives.
OWN = """\
#include "f_cuda.h"
#include <cstdio>
#include <vector>
#define N 5002
__global__ void pairs(const TYPE *x, const TYPE *y, const TYPE *q, TYPE *sums)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= N / 2)
        return;
    TYPE r[2], J[2][6];
    for (int k = 0; k < 2; k++)
        f(&x[2 * i + k], &y[2 * i + k], &q[3 * (2 * i + k)], &r[k], J[k]);
    sums[7 * i] = r[0] + r[1];
    for (int j = 0; j < 6; j++)
        sums[7 * i + 1 + j] = J[0][j] + J[1][j];
}
int main()
{
    static TYPE given[5 * N], sums[7 * (N / 2)];
    TYPE *there, *made;
    if (fread(given, sizeof given, 1, stdin) != 1)
        return 1;
    if (cudaMalloc(&there, sizeof given) || cudaMalloc(&made, sizeof sums))
        return 2;
    cudaMemcpy(there, given, sizeof given, cudaMemcpyHostToDevice);
    pairs<<<(N / 2 + 127) / 128, 128>>>(there, there + N, there + 2 * N, made);
    if (cudaMemcpy(sums, made, sizeof sums, cudaMemcpyDeviceToHost))
        return 3;
    fwrite(sums, sizeof sums, 1, stdout);
    return 0;
}
"""


def run(folder: Path, arrays: list[np.ndarray], element: str) -> np.ndarray:
    sent = b"".join(array.tobytes() for array in arrays)
    done = subprocess.run(["./caller"], cwd=folder, input=sent, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, (done.returncode, done.stdout[:300], done.stderr)
    return np.frombuffer(done.stdout, element)


@pytest.mark.parametrize("element", ELEMENTS)
def test_the_launcher_in_c(element: str, small: Program, tmp_path: Path) -> None:
    written(tmp_path, small, element=element)
    loaded(tmp_path).close()
    (tmp_path / "caller.c").write_text(CALLER.replace("TYPE", "double" if element == "float64" else "float"))
    command = [tool("gcc"), "-std=c99", "-Wall", "-Werror", "-O2", "caller.c", "f_cuda.c", "-ldl", "-o", "caller"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=120)
    arrays = points(small, 5003, element)
    value, jacobian = expected(small, arrays, element)
    numbers = run(tmp_path, arrays, element)
    assert same_bits(numbers[:5003], value)
    assert same_bits(numbers[5003:], jacobian.reshape(-1))


@pytest.mark.parametrize("element", ELEMENTS)
def test_the_device_function_in_cuda(element: str, small: Program, tmp_path: Path) -> None:
    """Compiled and linked wherever there is `nvcc`; run where there is a GPU."""
    written(tmp_path, small, element=element)
    (tmp_path / "caller.cu").write_text(OWN.replace("TYPE", "double" if element == "float64" else "float"))
    nvcc = [tool("nvcc"), "-arch=sm_80", "-Werror", "all-warnings"]
    for command in (["-dc", "f.ptx", "-o", "f.o"], ["-std=c++17", "-rdc=true", "caller.cu", "f.o", "-o", "caller"]):
        subprocess.run([*nvcc, *command], cwd=tmp_path, check=True, timeout=300)
    loaded(tmp_path).close()
    arrays = points(small, 5002, element)
    value, jacobian = expected(small, arrays, element)
    with np.errstate(all="ignore"):
        sums = np.concatenate([value[:, None], jacobian.reshape(5002, 6)], axis=1).reshape(-1, 2, 7).sum(axis=1)
    assert same_bits(run(tmp_path, arrays, element), sums.reshape(-1))
