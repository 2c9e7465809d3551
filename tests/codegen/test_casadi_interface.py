"""The C interface of CasADi: loaded by CasADi, and differentiated by it through our Jacobian."""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np
import pytest
from programs import run, tool

import hybrid as hy
from codegen.export import LinkerNotFound, linker
from codegen.target import NAMED

WARNINGS = ["-Wall", "-Wextra", "-Werror", "-pedantic"]


@hy.function(x=(2,), a=(2, 3), t=())
def matrix(x, a, t):
    return np.stack([np.sin(x[0]) * a[0] + t, x[1] * a[1] * a[0] ** 2, np.exp(a[0] * t), a[1] + 0 * a[0]])


@hy.function(x=(2,), a=(2, 3), t=())
def number(x, a, t):
    return np.exp(x[0] * a[1, 2]) + x[1] ** 2 * a[0, 1]


def in_casadi(casadi):
    """The same written in CasADi."""
    x, a, t = casadi.SX.sym("x", 2), casadi.SX.sym("a", 2, 3), casadi.SX.sym("t")
    rows = [
        casadi.sin(x[0]) * a[0, :] + t,
        x[1] * a[1, :] * a[0, :] ** 2,
        casadi.exp(a[0, :] * t),
        a[1, :],
    ]
    scalar = casadi.exp(x[0] * a[1, 2]) + x[1] ** 2 * a[0, 1]
    return casadi.Function("own", [x, a, t], [casadi.vertcat(*rows), scalar], ["x", "a", "t"], ["matrix", "number"])


def compiled(kernel, folder: Path, how: str) -> str:
    if how == "so":
        tool("cc", "gcc", "clang")
        kernel.export(folder, formats=["so", "casadi", "h"])
        return str(folder / f"{kernel.name}.so")
    kernel.export(folder, formats=["c", "casadi"])
    words = [tool("gcc", "clang"), "-std=c99"] if how == "c" else [tool("g++", "clang++"), "-x", "c++"]
    library = folder / "made.so"
    sources = [f"{kernel.name}.c", f"{kernel.name}_casadi.c"]
    run(*words, *WARNINGS, "-O1", "-fPIC", "-shared", *sources, "-lm", "-o", library, cwd=folder)
    return str(library)


DERIVATIVES = {
    "dense": lambda: [matrix.jacobian(), number.gradient()],
    "sparse": lambda: [number.jacobian(sparse=True), matrix.jacobian(sparse=True)],
    "in parts": lambda: [
        matrix.jacobian("a"),
        matrix.jacobian(["x", "t"]),
        number.gradient(["t", "a"]),
        number.gradient("x"),
    ],
}


@pytest.mark.parametrize("how", ["c", "c++", "so"])
@pytest.mark.parametrize("derivatives", DERIVATIVES)
def test_casadi_differentiates_through_our_jacobian(derivatives: str, how: str, tmp_path: Path) -> None:
    casadi = pytest.importorskip("casadi")
    kernel = hy.compile(matrix, *DERIVATIVES[derivatives](), number, name="k")
    library = compiled(kernel, tmp_path, how)
    ours, own = casadi.external("k_casadi", library), in_casadi(casadi)
    assert ours.name_in() == own.name_in()
    assert ours.name_out() == own.name_out()
    rng = np.random.default_rng(3)
    x, a, t = rng.uniform(0.2, 1, 2), rng.uniform(0.2, 1, (2, 3)), 0.7
    for got, want in zip(ours(x, a, t), own(x, a, t), strict=True):
        assert got.shape == want.shape
        np.testing.assert_allclose(got.full(), want.full(), rtol=1e-13)
    jacobian = ours.jacobian()
    assert jacobian.class_name() == ours.class_name() != own.class_name()
    assert jacobian.name_out() == own.jacobian().name_out()
    for got, want in zip(jacobian(x, a, t, 0, 0), own.jacobian()(x, a, t, 0, 0), strict=True):
        assert got.shape == want.shape
        np.testing.assert_allclose(got.full(), want.full(), rtol=1e-12, atol=1e-14)
    if derivatives == "sparse":  # nothing more than CasADi finds
        assert [s.nnz() for s in map(jacobian.sparsity_out, range(6))] == [
            s.nnz() for s in map(own.jacobian().sparsity_out, range(6))
        ]
    # A gradient and a product through a graph of CasADi's in which the external is a node.
    for wrt in ("x", "a", "t"):
        answers = []
        for function in (ours, own):
            s = {"x": casadi.MX.sym("x", 2), "a": casadi.MX.sym("a", 2, 3), "t": casadi.MX.sym("t")}
            value = function(s["x"] ** 2, s["a"], casadi.sin(s["t"]))
            total = casadi.sumsqr(value[0]) + value[1]
            f = casadi.Function(
                "f", list(s.values()), [casadi.gradient(total, s[wrt]), casadi.jtimes(value[0], s[wrt], s[wrt])]
            )
            answers.append(f(x, a, t))
        for got, want in zip(*answers, strict=True):
            np.testing.assert_allclose(got.full(), want.full(), rtol=1e-11)


SECOND = {
    "dense": lambda: [number.gradient(), number.hessian()],
    "sparse": lambda: [number.gradient(), number.hessian(sparse=True)],
    "lower": lambda: [number.jacobian(sparse=True), number.hessian(sparse=True, triangle="lower")],
    "of a Jacobian": lambda: [number.gradient(), number.gradient(["t", "a", "x"]).jacobian(sparse=True)],
}


@pytest.mark.parametrize("hessian", SECOND)
def test_second_derivatives(hessian: str, tmp_path: Path) -> None:
    casadi = pytest.importorskip("casadi")
    derivatives = [matrix.jacobian(), matrix.jacobian().jacobian(sparse=True), *SECOND[hessian]()]
    library = compiled(hy.compile(matrix, number, *derivatives, name="k"), tmp_path, "c")
    ours, own = casadi.external("k_casadi", library), in_casadi(casadi)
    x, a, t = np.array([0.3, 0.7]), np.arange(1.0, 7).reshape(2, 3) / 8, 0.6
    twice, want = ours.jacobian().jacobian(), own.jacobian().jacobian()
    assert twice.class_name() == ours.class_name()
    assert (twice.name_in(), twice.name_out()) == (want.name_in(), want.name_out())
    rest = [0] * (twice.n_in() - 3)
    for got, expected in zip(twice(x, a, t, *rest), want(x, a, t, *rest), strict=True):
        assert got.shape == expected.shape
        np.testing.assert_allclose(got.full(), expected.full(), rtol=1e-12, atol=1e-14)


def test_ipopt_solves_with_our_second_derivatives(tmp_path: Path) -> None:
    """As many iterations as with CasADi's own."""
    casadi = pytest.importorskip("casadi")

    @hy.function(x=(3,))
    def rosenbrock(x):
        return 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2 + 100 * (x[2] - x[1] ** 2) ** 2 + (1 - x[1]) ** 2

    @hy.function(x=(3,))
    def circle(x):
        return x[0] ** 2 + x[1] ** 2 + x[2] ** 2 + 0.1 * np.sin(x[0] * x[1])

    functions = [rosenbrock, circle]
    more = [d for f in functions for d in (f.gradient(), f.hessian(sparse=True, triangle="lower"))]
    ours = casadi.external("nlp_casadi", compiled(hy.compile(*functions, *more, name="nlp"), tmp_path, "so"))
    x = casadi.MX.sym("x", 3)
    own = 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2 + 100 * (x[2] - x[1] ** 2) ** 2 + (1 - x[1]) ** 2
    limit = casadi.sumsqr(x) + 0.1 * casadi.sin(x[0] * x[1])
    answers = []
    for f, g in (ours(x), (own, limit)):
        options = {"print_time": False, "ipopt": {"print_level": 0, "sb": "yes", "tol": 1e-10}}
        solver = casadi.nlpsol("s", "ipopt", {"x": x, "f": f, "g": g}, options)
        found = solver(x0=[-1, 1, 1], ubg=2, lbg=0)
        assert solver.stats()["success"]
        answers.append((found["x"].full(), solver.stats()["iter_count"]))
    np.testing.assert_allclose(answers[0][0], answers[1][0], rtol=1e-8)
    assert answers[0][1] == answers[1][1]


def test_all_results_and_sparse_ones(tmp_path: Path) -> None:
    casadi = pytest.importorskip("casadi")
    kernel = hy.compile(number, number.gradient(), number.hessian(sparse=True), name="k")
    f = casadi.external("k_casadi_all", compiled(kernel, tmp_path, "so"))
    x, a, t = np.array([0.3, 0.4]), np.arange(1.0, 7).reshape(2, 3) / 7, 0.5
    value, gradient, hessian = f(x, a, t)
    want = number.hessian()(x, a, t)
    assert hessian.shape == want.shape
    assert hessian.nnz() == np.count_nonzero(want) < want.size
    np.testing.assert_allclose(hessian.full(), want, rtol=1e-13)
    np.testing.assert_allclose(gradient.full()[:, 0], number.gradient()(x, a, t), rtol=1e-13)
    np.testing.assert_allclose(float(value), number(x, a, t), rtol=1e-13)


def test_null_is_zero_or_not_wanted(tmp_path: Path) -> None:
    kernel = hy.compile(matrix, matrix.jacobian(sparse=True), number, number.gradient(), name="k")
    code = ctypes.CDLL(compiled(kernel, tmp_path, "so"))
    sizes = [ctypes.c_longlong() for _ in range(4)]
    assert code.jac_k_casadi_work(*map(ctypes.byref, sizes)) == 0
    assert [size.value for size in sizes[:3]] == [5, 6, 0]
    room = np.full(sizes[3].value + 1, -7.0)
    out = np.full(13, -7.0)
    double_p = ctypes.POINTER(ctypes.c_double)
    arg = (double_p * 5)(None, np.ascontiguousarray([1.0, 2, 3, 4, 5, 6]).ctypes.data_as(double_p))
    res = (double_p * 2)(out.ctypes.data_as(double_p))
    assert code.k_casadi(arg, res, None, room.ctypes.data_as(double_p), 0) == 0
    want = matrix(np.zeros(2), np.array([[1.0, 3, 5], [2, 4, 6]]), 0.0)
    np.testing.assert_allclose(out[:12], want.T.ravel())
    assert out[12] == room[-1] == -7
    assert code.k_casadi(arg, (double_p * 2)(), None, room.ctypes.data_as(double_p), 0) == 0
    code.k_casadi_name_in.restype = ctypes.c_char_p
    code.k_casadi_name_in.argtypes = [ctypes.c_longlong]
    assert [code.k_casadi_name_in(k) for k in (-1, 0, 2, 3)] == [None, b"x", b"t", None]


def test_functions_compute_what_is_wanted_alone(tmp_path: Path) -> None:
    """And a function that is linear has second derivatives, all zero."""
    casadi = pytest.importorskip("casadi")

    @hy.function(x=(2,))
    def wave(x):
        return np.sin(x[0]) * np.exp(x[1])

    @hy.function(x=(2,))
    def line(x):
        return x[0] - 2 * x[1]

    derivatives = [wave.gradient(), wave.hessian(), line.gradient(), line.hessian(sparse=True)]
    kernel = hy.compile(wave, line, *derivatives, name="k")
    library = compiled(kernel, tmp_path, "c")
    text = (tmp_path / "k_casadi.c").read_text()
    value = text[text.index("static void codegen_k_casadi(") :].split("}")[0]
    jacobian = text[text.index("static void codegen_jac_k_casadi(") :].split("}")[0]
    assert (value.count("cos("), value.count("exp("), jacobian.count("cos("), jacobian.count("exp(")) == (0, 1, 1, 1)
    twice = casadi.external("k_casadi", library).jacobian().jacobian()
    x = np.array([0.3, 0.4])
    found = dict(zip(twice.name_out(), twice(x, *[0] * (twice.n_in() - 1)), strict=True))
    np.testing.assert_allclose(found["jac_jac_wave_x_x"].full(), wave.hessian()(x), rtol=1e-13)
    assert found["jac_jac_line_x_x"].nnz() == 0


def test_without_all_derivatives_there_is_no_jacobian(tmp_path: Path) -> None:
    """CasADi says so, instead of taking derivatives for zero."""
    casadi = pytest.importorskip("casadi")
    kernel = hy.compile(number, number.gradient(["x", "a"]), name="k")
    f = casadi.external("k_casadi", compiled(kernel, tmp_path, "so"))
    assert "no jac_k_casadi" in (tmp_path / "k_casadi.c").read_text()
    with pytest.raises(RuntimeError, match="jacobian"):
        f.jacobian()


def test_what_cannot_be_is_refused(tmp_path: Path, monkeypatch) -> None:
    kernel = hy.compile(number, name="k")
    with pytest.raises(ValueError, match=r"numbers of type float64, got float32"):
        kernel.export(tmp_path, formats=["casadi"], dtype=np.float32)
    with pytest.raises(ValueError, match="export another name"):
        kernel.export(tmp_path, "a__b", formats=["casadi"])
    monkeypatch.setattr(linker.shutil, "which", lambda name: "/bin/ld" if name == "ld" else None)
    monkeypatch.setattr(linker.importlib.util, "find_spec", lambda name: None)
    assert linker.find_linker(NAMED["x86-64-v3"])[0] == "/bin/ld"
    with pytest.raises(LinkerNotFound):
        linker.find_linker(NAMED["x86-64-v3"], compiles=True)


def test_the_same_bytes_each_time(tmp_path: Path) -> None:
    tool("cc", "gcc", "clang")
    kernel = hy.compile(matrix, matrix.jacobian(sparse=True), name="k")
    for folder in ("a", "b"):
        kernel.export(tmp_path / folder, formats=["casadi", "so"])
    for file in ("k_casadi.c", "k.so", "k.manifest.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
