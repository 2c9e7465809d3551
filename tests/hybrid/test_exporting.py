"""Kernels as files, from the user's side: what `Kernel.export` and `ReducedKernel.export` hand over."""

from __future__ import annotations

import ctypes
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from programs import run, tool

import hybrid as hy
from hybrid.loading import examples, import_file

WARNINGS = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic"]


def check(folder: Path, name: str, linked: str) -> None:
    """Compile and run the test program of a bundle."""
    words = [tool("gcc", "clang"), *WARNINGS, f"{name}_test.c", f"{name}.{linked}", "-Wl,-rpath,$ORIGIN", "-lm"]
    run(*words, "-o", "t", cwd=folder)
    assert run(folder / "t") == "ok\n"


def manifest(folder: Path, name: str) -> dict:
    return json.loads((folder / f"{name}.manifest.json").read_text())


@hy.function(x=(3,), w=(3,))
def loss(x, w):
    return np.log1p(np.exp(np.sum(x * w))) + np.sum(w**2) * np.sin(x[0])


@pytest.fixture(scope="module")
def kernel() -> hy.Kernel:
    return hy.compile(
        loss, loss.gradient(wrt=["w"]), loss.hessian(wrt=["w"], sparse=True, triangle="lower"), name="loss"
    )


def test_a_bundle_says_what_the_kernel_knows(kernel: hy.Kernel, tmp_path: Path) -> None:
    kernel.export(tmp_path, formats=["o", "h", "c", "test"])
    found = manifest(tmp_path, "loss")
    certificate = found["certificate"]
    assert certificate["passed"] is True
    assert "seconds" not in certificate
    assert certificate["entries"] == kernel.certificate.entries
    assert found["versions"]["hybrid"] == hy.__version__
    assert found["operations"]["total"] == kernel.operations
    pattern = loss.hessian(wrt=["w"], sparse=True, triangle="lower").pattern
    sparsity = found["results"][2]["sparsity"]
    assert sparsity["rows"] == pattern.rows.tolist()
    assert sparsity["triangle"] == "lower"
    assert found["target"]["cpu"] == hy.targets()["portable"].cpu
    check(tmp_path, "loss", "c")
    check(tmp_path, "loss", "o")


@pytest.mark.parametrize("linked", ["c", "o"])
def test_reducing_kernels(linked: str, tmp_path: Path) -> None:
    functions = [loss, loss.gradient(wrt=["w"]), loss, loss]
    kinds = ["sum", "mean", "max", "logsumexp"]
    kernel = hy.compile(*functions, name="total", reduce=kinds, shared=["w"])
    kernel.export(tmp_path, formats=["h", "test", linked])
    found = manifest(tmp_path, "total")
    assert [result["reduction"] for result in found["results"]] == kinds
    assert [argument["shared"] for argument in found["arguments"]] == [False, True]
    assert found["certificate"]["passed"] is True
    check(tmp_path, "total", linked)


def test_the_library_of_a_reducing_kernel_adds_up_like_it(tmp_path: Path) -> None:
    tool("cc", "gcc", "clang")
    kernel = hy.compile(loss, loss.gradient(wrt=["w"]), name="total", reduce="sum", shared=["w"])
    (path,) = kernel.export(tmp_path, formats=["so"], target="native")
    rng = np.random.default_rng(1)
    x, w = rng.normal(size=(30_000, 3)), rng.normal(size=3)
    value, slope = np.empty(1), np.empty(3)
    pointers = [ctypes.c_void_p(array.ctypes.data) for array in (x, w, value, slope)]
    ctypes.CDLL(str(path)).total_reduce(ctypes.c_int64(len(x)), *pointers)
    expected = kernel(x, w)
    np.testing.assert_allclose(value[0], expected[0], rtol=1e-15)
    np.testing.assert_allclose(slope, expected[1], rtol=1e-14)


def test_points_of_the_test_lie_in_the_domain(tmp_path: Path) -> None:
    @hy.function(x=(), y=())
    def narrow(x, y):
        return np.log(x - 20) + np.sqrt(y - 3) + np.arccos(x / 100 - y / 8)

    hy.compile(narrow, narrow.gradient()).export(tmp_path, formats=["h", "c", "test"])
    stored = (tmp_path / "narrow_test.c").read_text()
    assert "NAN" not in stored
    check(tmp_path, "narrow", "c")


def test_more_operands_than_a_ufunc_has(tmp_path: Path) -> None:
    """C functions have an argument each, where NumPy is given all side by side."""
    inputs = hy.symbols(" ".join(f"x{k}" for k in range(70)))
    function = hy.Function(list(inputs), sum(k * x for k, x in enumerate(inputs)), name="wide")
    hy.compile(function).export(tmp_path, formats=["h", "c", "test"])
    assert len(manifest(tmp_path, "wide")["arguments"]) == 70
    check(tmp_path, "wide", "c")


def test_long_programs_are_exported_whole(tmp_path: Path) -> None:
    """What runs as threaded code here is compiled for files, in parts and quickly."""

    @hy.function(x=(40,))
    def series(x):
        total = 0.0
        for k in range(300):
            total = total + np.sum(np.sin(x * (1 + k % 7)) * np.cos(total / 1000 + k))
        return total

    kernel = hy.compile(series, tier="quick", verify=False)
    assert kernel.compiled.tier == "threaded"
    kernel.export(tmp_path, formats=["h", "o", "test"])
    check(tmp_path, "series", "o")


SIZES = {"x86-64": 20_000, "x86-64-v3": 20_000, "aarch64": 20_000, "riscv64": 20_000}


@pytest.mark.parametrize("target", SIZES)
def test_the_jacobian_of_an_arm_fits_a_controller(target: str, tmp_path: Path) -> None:
    """Under 20 kB, of code and tables, and nothing of a C library."""
    pose = import_file(examples() / "panda.py").pose
    kernel = hy.compile(pose.jacobian(), name="arm", verify=False)
    (path,) = kernel.export(tmp_path, formats=["o"], target=target, optimise="size")
    assert manifest(tmp_path, "arm")["calls"] == {"library": [], "user": []}
    size = shutil.which("llvm-size") or (shutil.which("size") if "x86" in target else None)
    if size is None:
        pytest.skip("no llvm-size")
    code, data = map(int, run(size, path).splitlines()[1].split()[:2])
    assert 3_000 < code + data < SIZES[target]


def test_targets_are_listed() -> None:
    found = hy.targets()
    wanted = {"portable", "native", "x86-64", "x86-64-v2", "x86-64-v3", "x86-64-v4", "aarch64", "riscv64", "wasm32"}
    wanted |= {"x86-64-windows", "aarch64-windows", "x86-64-macos", "aarch64-macos", "nvptx-sm_70", "nvptx-sm_120"}
    assert wanted <= set(found)
    assert any(name.startswith("amdgpu") for name in found)
    with pytest.raises(ValueError, match="unknown target 'vax'"):
        hy.compile(loss, verify=False).export("nowhere", formats=["h"], target="vax")
    assert not Path("nowhere").exists()


@pytest.mark.parametrize(
    ("options", "text"), [({"optimise": "beauty"}, "speed, size"), ({"formats": ["exe"]}, "'exe'")]
)
def test_options_are_checked(kernel: hy.Kernel, options: dict[str, Sequence[str]], text: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=text):
        kernel.export(tmp_path / "made", **{"formats": ["h"], **options})
    assert not (tmp_path / "made").exists()


def test_reduced_kernels_as_ptx(tmp_path: Path) -> None:
    @hy.function(x=(2,), w=(2,))
    def square(x, w):
        return (w @ x) ** 2

    kernel = hy.compile(square, square.gradient(wrt="w"), reduce=["mean", "sum"], shared="w", name="square")
    for dtype in (np.float64, np.float32):
        kernel.export(tmp_path, formats=["ptx"], dtype=dtype)
        said = json.loads((tmp_path / "square.manifest.json").read_text())
        assert said["element"] == np.dtype(dtype).name
        assert said["gpu"]["reduce"]["accumulate"] == "square_accumulate"
        assert [row["shared"] for row in said["arguments"]] == [False, True]
        assert "int square_cuda_reduce(" in (tmp_path / "square_cuda.h").read_text()
    with pytest.raises(ValueError, match="reductions are computed in float64"):
        kernel.export(tmp_path, formats=["o"], dtype=np.float32)
