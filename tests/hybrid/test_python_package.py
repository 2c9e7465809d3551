"""Stand-alone Python packages: the numbers and the calls of the kernel, with NumPy alone."""

from __future__ import annotations

import ast
import base64
import copy
import hashlib
import importlib
import json
import os
import pickle
import subprocess
import sys
import tarfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import hybrid as hy
from codegen.export import LinkerNotFound, linker, python_package, wheel
from codegen.target import NAMED, find

x, y = hy.symbols("x y")
ROOT = Path(__file__).parents[2]


@hy.function(q=(3,), A=(2, 2), t=())
def swing(q, A, t):
    return np.array([np.sin(q[0]) * t + np.sum(A @ A), np.exp(q[1]) / t, q[2] * A[0, 1]])


@hy.function(q=(5,))
def chain(q):
    return np.sum((q[1:] - q[:-1] ** 2) ** 2)


def has_linker() -> bool:
    try:
        linker.find_linker(find(None))
    except LinkerNotFound:
        return False
    return True


needs_linker = pytest.mark.skipif(not has_linker(), reason="nothing here links shared libraries: no cc, no ziglang")


def package(kernel, folder: Path, name: str, **options):
    """The exported package, imported from the folder of its project."""
    kernel.export(folder, name=name, formats=["python"], **options)
    sys.path.insert(0, str(folder / f"{name}-python"))
    try:
        importlib.invalidate_caches()
        return importlib.import_module(name)
    finally:
        del sys.path[0]


@pytest.fixture(scope="module")
def kernel():
    return hy.compile(swing, swing.jacobian(wrt="q"), name="swing")


@pytest.fixture(scope="module")
def made(kernel, tmp_path_factory):
    if not has_linker():
        pytest.skip("nothing here links shared libraries: no cc, no ziglang")
    return package(kernel, tmp_path_factory.mktemp("standalone"), "hy_swing")


def arguments(*batches):
    random = np.random.default_rng(3)
    return [random.uniform(0.2, 1.5, (*b, *s)) for b, s in zip(batches, [(3,), (2, 2), ()], strict=True)]


def same(one, other) -> None:
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        assert type(a) is type(b)
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


BATCHES = [
    [(), (), ()],
    [(7,), (7,), (7,)],
    [(4, 1), (5,), ()],
    [(2, 3, 4), (2, 1, 1), (3, 1)],
    [(1, 1), (1,), ()],
    [(0, 3), (3,), (0, 1)],
    [(300, 1), (), (1, 400)],
    [(1, 400), (), (300, 1)],
]


@pytest.mark.parametrize("batches", BATCHES, ids=str)
def test_numbers_are_those_of_the_kernel(kernel, made, batches) -> None:
    arrays = arguments(*batches)
    same(made.hy_swing(*arrays), kernel(*arrays))


def test_every_layout_of_arrays(kernel, made) -> None:
    q, A, t = arguments((40, 30), (40, 30), (40, 30))
    expected = kernel(q, A, t)
    for change in (
        np.asfortranarray,
        lambda a: np.repeat(a, 2, axis=0)[::2],
        lambda a: a.astype(">f8"),
        lambda a: a[::-1].copy()[::-1],
        lambda a: np.frombuffer(b"\0" + a.tobytes(), np.uint8)[1:].view("f8").reshape(a.shape),  # not aligned
    ):
        same(made.hy_swing(change(q), change(A), change(t)), expected)
    for whole in (np.arange(1, 4), [1, 2, 3], np.array([True, False, True])):
        same(made.hy_swing(whole, A[0, 0], 2), kernel(whole, A[0, 0], 2))
    same(made.hy_swing(t=2.0, q=q, A=A), kernel(t=2.0, q=q, A=A))
    half = q.astype(np.float16)
    same(made.hy_swing(half, A, t), kernel(half, A, t))


def test_results_into_given_arrays(kernel, made) -> None:
    q, A, t = arguments((6, 5), (5,), (6, 1))
    expected = kernel(q, A, t)
    for dtype in (np.float64, np.float32, ">f8"):
        first = np.zeros((6, 5, 3), dtype)
        value, slope = made.hy_swing(q, A, t, out=(first, None))
        assert value is first
        np.testing.assert_array_equal(first, expected[0].astype(dtype))
        np.testing.assert_array_equal(slope, expected[1])
    strided = np.zeros((5, 12, 3)).transpose(1, 0, 2)[::2]
    made.hy_swing(q, A, t, out=[strided, None])
    np.testing.assert_array_equal(strided, expected[0])
    over = q.copy()  # an argument may be a result
    made.hy_swing(over, A, t, out=(over, None))
    np.testing.assert_array_equal(over, expected[0])
    tall = np.zeros((2, 6, 5, 3))
    assert made.hy_swing(q, A, t, out=(tall, None))[1].shape == (2, 6, 5, 3, 3)
    np.testing.assert_array_equal(tall[1], expected[0])


def messages(call, *args, **named):
    with pytest.raises((ValueError, TypeError)) as caught:
        call(*args, **named)
    return type(caught.value).__name__, str(caught.value)


def test_errors_are_as_clear_as_the_kernels(kernel, made) -> None:
    q, A, t = arguments((4,), (), ())
    frozen = np.zeros((4, 3))
    frozen.flags.writeable = False
    wrong = [
        ((q[:, :2], A, t), {}),
        ((q, A[0], t), {}),
        ((q, A), {}),
        ((q, A, t, t), {}),
        ((q, A, t), {"t": t}),
        ((q, A), {"s": t}),
        ((q + 1j, A, t), {}),
        (("a", A, t), {}),
        ((None, A, t), {}),
        (([[1.0], [2.0, 3.0]], A, t), {}),
        ((q, A, np.ones(3)), {}),
        ((np.ma.masked_array(q, q > 1), A, t), {}),
        ((q, A, t), {"threads": 0}),
        ((q, A, t), {"threads": "all"}),
        ((q, A, t), {"out": np.zeros((4, 3))}),
        ((q, A, t), {"out": (frozen, None)}),
        ((q, A, t), {"out": (np.zeros((4, 3), int), None)}),
        ((q, A, t), {"out": (np.zeros((4, 2)), None)}),
        ((q, A, t), {"out": (np.zeros((5, 3)), None)}),
        ((q, A, t), {"out": ("text", None)}),
        ((q, A, t), {"out": (np.broadcast_to(np.zeros(3), (4, 3)), None)}),
    ]
    for args, named in wrong:
        kind, text = messages(kernel, *args, **named)
        own, other = messages(made.hy_swing, *args, **named)
        assert own == kind, (text, other)
        assert issubclass(getattr(made, own), (ValueError, TypeError))
        name = next((a for a in ("q", "A", "t") if f" {a} " in text), "hy_swing")
        assert name in other, (text, other)
    whole = np.zeros((4, 3, 3))
    with pytest.raises(made.ArgumentError, match="shares memory with another"):
        made.hy_swing(q, A, t, out=(whole[:, 0], whole))
    view = np.lib.stride_tricks.as_strided
    with pytest.raises(made.ArgumentError, match="several elements at one place"):
        made.hy_swing(q, A, t, out=(view(np.zeros(3), (4, 3), (0, 8)), None))


def test_threads_do_not_change_a_bit(kernel, made) -> None:
    arrays = arguments((60_000,), (), (60_000,))
    expected = kernel(*arrays, threads=1)
    same(made.hy_swing(*arrays, threads=1), expected)
    same(made.hy_swing(*arrays, threads=3), expected)
    small = arguments((50,), (), (50,))
    wanted = kernel(*small)
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(lambda _: made.hy_swing(*small), range(200)):
            same(found, wanted)


def test_pickles_and_copies_are_the_same_object(made) -> None:
    assert pickle.loads(pickle.dumps(made.hy_swing)) is made.hy_swing
    assert copy.deepcopy(made.hy_swing) is made.hy_swing


def test_it_says_what_it_is(kernel, made) -> None:
    function = made.hy_swing
    assert repr(function).startswith("<Kernel hy_swing(q[3], A[2, 2], t) -> swing[3], swing_jacobian[3, 3]: ")
    assert function.operations == kernel.operations
    assert function.certificate["passed"] is True
    assert "seconds" not in function.certificate
    assert str(function.__signature__) == "(q, A, t, *, out=None, threads=None)"
    assert "A : shape (..., 2, 2)" in function.__doc__
    stub = Path(made.__file__).with_name("__init__.pyi").read_text()
    assert "q: ArrayLike" in ast.unparse(ast.parse(stub))


@needs_linker
def test_sparse_results_have_their_places(tmp_path) -> None:
    hessian = chain.hessian(sparse=True)
    kernel = hy.compile(chain, hessian)
    made = package(kernel, tmp_path, "hy_chain")
    q = np.random.default_rng(0).uniform(-1, 1, (2, 5))
    value, entries = made.hy_chain(q)
    same((value, entries), kernel(q))
    pattern = made.hy_chain.patterns["chain_hessian"]
    assert (pattern.rows.tolist(), pattern.columns.tolist()) == (
        hessian.pattern.rows.tolist(),
        hessian.pattern.columns.tolist(),
    )
    np.testing.assert_array_equal(pattern.array(entries), chain.hessian()(q))
    with pytest.raises(made.ShapeError, match=r"values of shape \(..., 13\)"):
        pattern.array(entries[:, 1:])
    pytest.importorskip("scipy")
    np.testing.assert_array_equal(pattern.csr(entries[1]).toarray(), chain.hessian()(q[1]))


@hy.function(a=(2,), x=(), y=())
def loss(a, x, y):
    return (y - a[0] - a[1] * x) ** 2


@needs_linker
@pytest.mark.parametrize("reduce", ["sum", "mean", "max", "logsumexp"])
def test_reductions(tmp_path, reduce: str) -> None:
    functions = [loss] if reduce in ("max", "logsumexp") else [loss, loss.gradient(wrt="a")]
    kernel = hy.compile(*functions, reduce=reduce, shared=["a"])
    name = f"hy_{reduce}"
    made = package(kernel, tmp_path, name)
    function = getattr(made, name)
    a, (x, y) = np.array([0.5, 2.0]), np.random.default_rng(0).uniform(-1, 1, (2, 40, 30))
    for batch in ((x, y), (x.T, y.T), (x[:, :1], y), (x[0, 0], y), (x[0, 0], y[0, 0])):
        found, expected = function(a, *batch), kernel(a, *batch)
        for one, other in zip(*[r if isinstance(r, tuple) else (r,) for r in (found, expected)], strict=True):
            assert np.shape(one) == np.shape(other)
            np.testing.assert_allclose(one, other, rtol=1e-13)
    with pytest.raises(made.ShapeError, match=r"a is shared by all points: shape \(2,\), got \(40, 30, 2\)"):
        function(np.ones((40, 30, 2)), x, y)
    with pytest.raises(made.ArgumentError, match="takes no out="):
        function(a, x, y, out=np.zeros(()))
    if reduce == "max":
        with pytest.raises(made.ArgumentError, match="the maximum of no rows"):
            function(a, x[:0], y[:0])
    assert f"Reduced over the batch: {reduce}" in function.__doc__
    if reduce != "logsumexp":
        return
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"],
        cwd=tmp_path / f"{name}-python",
        capture_output=True,
        text=True,
        check=False,
    )
    assert "6 passed" in done.stdout, done.stdout


@needs_linker
def test_its_tests_find_another_library(kernel, tmp_path) -> None:
    """The stored values are not those of the library they stand beside."""
    kernel.export(tmp_path, name="hy_damaged", formats=["python"])
    stored = tmp_path / "hy_damaged-python" / "tests" / "values.json"
    data = json.loads(stored.read_text())
    data["results"][0][2][1] *= 1 + 1e-6
    stored.write_text(json.dumps(data))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests", "-k", "stored"],
        cwd=tmp_path / "hy_damaged-python",
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 failed" in done.stdout


@needs_linker
def test_float32(tmp_path) -> None:
    kernel = hy.compile(swing, dtype=np.float32)
    made = package(kernel, tmp_path, "hy_single", dtype=np.float32)
    arrays = [a.astype(np.float32) for a in arguments((9,), (9,), (9,))]
    same((made.hy_single(*arrays),), (kernel(*arrays),))
    assert made.hy_single(*arguments((9,), (9,), (9,))).dtype == np.float32


@needs_linker
def test_more_operands_than_numpy_allows_are_operands_here(tmp_path) -> None:
    many = hy.symbols(" ".join(f"v{i}" for i in range(70)))
    sums = hy.Function(list(many), sum(s**2 for s in many), name="sums")
    kernel = hy.compile(sums, sums.gradient())
    made = package(kernel, tmp_path, "hy_many")
    v = np.random.default_rng(0).uniform(-1, 1, (70, 4))
    same(made.hy_many(*v), kernel(*v))
    assert "v69" in str(made.hy_many.__signature__)


@needs_linker
def test_arguments_that_python_cannot_name(tmp_path) -> None:
    import sympy as sp

    a, b, c = sp.symbols("lambda out E")
    made = package(hy.compile(hy.Function([a, b, c], a * b**2 + c)), tmp_path, "hy_names")
    assert made.hy_names(2.0, 3.0, 4.0) == 22.0
    assert made.hy_names(2.0, 3.0, E=4.0) == 22.0
    ast.parse(Path(made.__file__).with_name("__init__.pyi").read_text())


# --- alone ------------------------------------------------------------------------------------------------------------
ALONE = """
import sys
import tarfile
sys.path[:0] = {paths!r}
import numpy as np
from hy_alone import hy_alone
assert not {{"hybrid", "codegen", "sympy", "llvmlite", "scipy"}} & {{name.partition(".")[0] for name in sys.modules}}
for name in ("hybrid", "sympy", "llvmlite"):
    try:
        __import__(name)
    except ImportError:
        continue
    raise SystemExit(name + " can be imported")
q, A, t = np.load({data!r}).values()
for result in hy_alone(q, A, t):
    sys.stdout.buffer.write(result.tobytes())
"""


@needs_linker
def test_numpy_is_all_it_needs(kernel, tmp_path) -> None:
    """In a Python without site packages, where NumPy alone can be found."""
    kernel.export(tmp_path, name="hy_alone", formats=["python"])
    site = tmp_path / "site"
    site.mkdir()
    numpy = Path(np.__file__).parent
    for folder in (numpy, numpy.with_name("numpy.libs")):
        if folder.exists():
            (site / folder.name).symlink_to(folder, target_is_directory=True)
    arrays = arguments((50,), (), (50,))
    np.savez(tmp_path / "data.npz", *arrays)
    script = ALONE.format(paths=[str(tmp_path / "hy_alone-python"), str(site)], data=str(tmp_path / "data.npz"))
    done = subprocess.run([sys.executable, "-I", "-S", "-c", script], capture_output=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout == b"".join(result.tobytes() for result in kernel(*arrays))


@needs_linker
def test_its_own_tests_pass(kernel, tmp_path) -> None:
    kernel.export(tmp_path, name="hy_tested", formats=["python"])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"],
        cwd=tmp_path / "hy_tested-python",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "7 passed" in done.stdout


# --- wheels -----------------------------------------------------------------------------------------------------------
@needs_linker
def test_the_wheel_is_what_pip_makes_of_the_project(kernel, tmp_path) -> None:
    pytest.importorskip("pip")
    *_, wheel = kernel.export(tmp_path / "out", name="hy_wheel", formats=["python", "whl"])
    again = tmp_path / "again"
    done = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--no-index", "--no-deps", "-q", "-w", again, "./hy_wheel-python"],
        cwd=tmp_path / "out",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (again / wheel.name).read_bytes() == wheel.read_bytes()
    with zipfile.ZipFile(wheel) as archive:
        assert archive.testzip() is None
        record = archive.read("hy_wheel-0.1.0.dist-info/RECORD").decode().split()
        for line in record[:-1]:
            path, digest, size = line.split(",")
            data = archive.read(path)
            expected = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            assert (digest, int(size)) == (f"sha256={expected}", len(data))
        assert {path.split(",")[0] for path in record} == set(archive.namelist())
        assert "Requires-Dist: numpy>=" in archive.read("hy_wheel-0.1.0.dist-info/METADATA").decode()


@needs_linker
def test_the_same_kernel_gives_the_same_bytes(kernel, tmp_path) -> None:
    first, second = (
        kernel.export(tmp_path / folder, name="hy_bytes", formats=["python", "whl"]) for folder in ("one", "two")
    )
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
        assert str(tmp_path).encode() not in one.read_bytes()
        assert str(ROOT).encode() not in one.read_bytes()


TAGS = {
    "x86-64-v2": "linux_x86_64",
    "aarch64": "linux_aarch64",
    "riscv64": "linux_riscv64",
    "x86-64-windows": "win_amd64",
    "x86-64-macos": "macosx_11_0_x86_64",
    "aarch64-macos": "macosx_11_0_arm64",
}


@pytest.mark.parametrize("target", TAGS)
def test_the_tag_names_the_target(target: str) -> None:
    """Of a library that needs others."""
    assert python_package.platform_tag(NAMED[target], b"") == TAGS[target]


@needs_linker
def test_a_library_that_needs_no_other_runs_on_every_linux(kernel, tmp_path) -> None:
    [library] = kernel.export(tmp_path, name="hy_tag", formats=["so"])
    content = library.read_bytes()
    if content[:4] != b"\x7fELF" or find(None).arch not in ("x86_64", "aarch64"):
        pytest.skip("not such a Linux")
    assert not python_package.needs_libraries(content)
    assert python_package.needs_libraries(Path(np.linalg._umath_linalg.__file__).read_bytes())
    tag = python_package.platform_tag(find(None), content)
    assert tag == "manylinux_2_17_{0}.musllinux_1_1_{0}".format(find(None).arch)
    tags = pytest.importorskip("packaging.utils").parse_wheel_filename(f"f-0.1.0-py3-none-{tag}.whl")[3]
    assert {tag.platform.partition("_")[0] for tag in tags} == {"manylinux", "musllinux"}


@pytest.mark.long
@pytest.mark.parametrize("target", TAGS)
def test_wheels_for_other_machines(kernel, tmp_path, target: str) -> None:
    try:
        [wheel] = kernel.export(tmp_path, name="hy_tag", formats=["whl"], target=target)
    except LinkerNotFound as error:
        pytest.skip(str(error))
    tags = pytest.importorskip("packaging.utils").parse_wheel_filename(wheel.name)[3]
    plain = TAGS[target].replace("linux_", "manylinux_2_17_")
    assert {tag.platform for tag in tags} & {TAGS[target], plain}


def test_what_a_processor_needs() -> None:
    assert python_package.requires(NAMED["x86-64"]) == []
    assert "avx2" in python_package.requires(NAMED["x86-64-v3"])
    assert "avx512f" in python_package.requires(NAMED["x86-64-v4"])
    assert python_package.requires(NAMED["aarch64"]) == []


@needs_linker
def test_another_machine_is_told_by_name(kernel, tmp_path) -> None:
    kernel.export(tmp_path, name="hy_other", formats=["python"])
    described = tmp_path / "hy_other-python" / "hy_other" / "kernel.json"
    data = json.loads(described.read_text())

    def told(**changes: object) -> str:
        described.write_text(json.dumps({**data, **changes}))
        return subprocess.run(
            [sys.executable, "-c", "import hy_other"],
            cwd=tmp_path / "hy_other-python",
            capture_output=True,
            text=True,
            check=False,
        ).stderr

    if sys.platform == "linux":
        assert "a processor with avx1024, which this one lacks; export it again" in told(requires=["avx1024"])
    assert "hy_other was compiled for another-machine; this is" in told(library="kernel.json", triple="another-machine")


def test_names_that_a_package_cannot_have(kernel, tmp_path) -> None:
    for name in ("lambda", "json", "numpy", "match"):
        with pytest.raises(ValueError, match=f"export name '{name}'"):
            kernel.export(tmp_path, name=name, formats=["python"])
    assert not list(tmp_path.iterdir())
    assert [python_package.project_name(name) for name in ("f", "_f_", "Big_One", "_")] == [
        "f",
        "kernel-f",
        "big_one",
        "kernel-unnamed",
    ]


def test_without_a_linker_it_says_what_to_install(kernel, tmp_path, monkeypatch) -> None:
    def missing(target: object, **options: object) -> list[str]:
        raise LinkerNotFound("no linker here: install a C compiler.")

    monkeypatch.setattr(linker, "find_linker", missing)
    with pytest.raises(LinkerNotFound, match="install a C compiler"):
        kernel.export(tmp_path, name="hy_none", formats=["python"])
    assert not (tmp_path / "hy_none-python").exists()
    assert (tmp_path / "hy_none.o").exists()


@pytest.mark.long
@needs_linker
def test_in_a_new_environment_with_numpy_alone(kernel, tmp_path) -> None:
    """Needs the network: pip gets NumPy and pytest."""
    *_, wheel = kernel.export(tmp_path, name="hy_fresh", formats=["python", "whl"])
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", wheel], check=True)
    command = [python, "-m", "pip", "list", "--format=freeze"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    names = {line.partition("==")[0].replace("-", "_") for line in listed.split()}
    assert names - {"pip", "setuptools"} == {"hy_fresh", "numpy"}
    arrays = arguments((50,), (), (50,))
    np.savez(tmp_path / "data.npz", *arrays)
    script = "import sys, numpy as np; from hy_fresh import hy_fresh as f\n"
    script += f"for r in f(*np.load({str(tmp_path / 'data.npz')!r}).values()): sys.stdout.buffer.write(r.tobytes())"
    done = subprocess.run([python, "-I", "-c", script], capture_output=True, check=True, cwd=tmp_path)
    assert done.stdout == b"".join(result.tobytes() for result in kernel(*arrays))
    subprocess.run([python, "-m", "pip", "install", "-q", "pytest"], check=True)
    tests = tmp_path / "hy_fresh-python" / "tests"
    subprocess.run([python, "-m", "pytest", "-q", "-p", "no:cacheprovider", tests], check=True, cwd=tmp_path)


@needs_linker
def test_c_functions_of_others_are_not_in_a_package(tmp_path) -> None:
    own = hy.elementary("own_square", numpy=np.square, derivative=lambda v: 2 * v, c="own_square")
    f = hy.function(t=())(lambda t: own(t) + 1.0)
    kernel = hy.compile(f, name="hy_own", verify=False)
    with pytest.raises(ValueError, match="hy_own calls own_square, a C function of yours"):
        kernel.export(tmp_path, formats=["python"])


@needs_linker
def test_an_editable_install_points_at_the_project(kernel, tmp_path, monkeypatch) -> None:
    kernel.export(tmp_path, name="hy_edit", formats=["python"])
    monkeypatch.chdir(tmp_path / "hy_edit-python")
    name = wheel.build_editable(str(tmp_path))
    with zipfile.ZipFile(tmp_path / name) as archive:
        assert archive.read("_hy_edit.pth").decode() == f"{tmp_path / 'hy_edit-python'}\n"
        assert not [path for path in archive.namelist() if path.startswith("hy_edit/")]
    sdist = wheel.build_sdist(str(tmp_path))
    with tarfile.open(tmp_path / sdist) as files:
        assert {"hy_edit-0.1.0/pyproject.toml", "hy_edit-0.1.0/hy_edit/kernel.json", "hy_edit-0.1.0/PKG-INFO"} <= set(
            files.getnames()
        )
        assert "hy_edit-0.1.0/tests/values.json" in files.getnames()
