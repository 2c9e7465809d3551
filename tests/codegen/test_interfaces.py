"""Interfaces for C++, Eigen, Ceres, Fortran and SciPy, compiled and run (docs/interfaces.md)."""

from __future__ import annotations

import ctypes
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from programs import run as run_program
from programs import tool

import hybrid as hy
from codegen import Array, Program
from codegen.export import Details, Pattern, Reduction, export

WARNINGS = ["-Wall", "-Wextra", "-Werror", "-pedantic", "-Wshadow"]
CPP = ["g++", "clang++"]


run = partial(run_program, limit=180)


@hy.function(x=(2,), a=(2, 3), t=())
def matrix(x, a, t):
    return np.stack([np.sin(x[0]) * a[0] + t, x[1] * a[1] * a[0] ** 2])


@hy.function(x=(2,), a=(2, 3), t=())
def number(x, a, t):
    return np.exp(x[0] * a[1, 2]) + x[1] ** 2 * a[0, 1] + t


@pytest.fixture(scope="module")
def kernel():
    derivatives = [matrix.jacobian(sparse=True), number.gradient(), number.hessian(sparse=True)]
    return hy.compile(matrix, number, *derivatives, name="k")


X, A, T = np.array([0.25, -0.5]), np.array([[1.0, 2, 3], [4, 5, 6]]) / 8, 0.75
GIVEN = "{0.25, -0.5}, {0.125, 0.25, 0.375, 0.5, 0.625, 0.75}, 0.75"


def compiled(compiler: str, folder: Path, main: str, *options: str) -> str:
    """Compile with all warnings, link the C source, run: what it prints."""
    (folder / "main.cpp").write_text(main)
    run(tool("gcc", "clang"), "-std=c99", "-O1", "-c", "k.c", cwd=folder)
    run(tool(compiler), "-std=c++17", *WARNINGS, "-O1", "main.cpp", "k.o", *options, "-lm", "-o", "main", cwd=folder)
    return run("./main", cwd=folder)


def numbers(text: str) -> np.ndarray:
    return np.array(text.split(), float)


# --- C++17 ------------------------------------------------------------------------------------------------------------
PLAIN = """\
#include "k.hpp"
#include <cstdio>
#include <vector>

template <class Numbers>
void print(const Numbers &numbers)
{
    for (const double x : numbers)
        std::printf("%.17g\\n", x);
}

int main()
{
    const auto r = k_cpp::evaluate(GIVEN);
    print(r.matrix);
    print(std::array<double, 1>{r.number});
    print(r.matrix_jacobian);
    print(r.number_gradient);

    const std::vector<double> x{0.25, -0.5, 1, 2, 0.25, -0.5}, a(18, 0.5);
    std::array<double, 3> t{1, 2, 3};
    std::vector<double> m(18), v(3), J(3 * k_cpp::size_matrix_jacobian), g(27), H(3 * k_cpp::size_number_hessian);
    k_cpp::batch(3, x, a, t, m, v, J, codegen::Span<double>(g.data(), g.size()), H);
    print(v);
    try {
        m.pop_back();
        k_cpp::batch(3, x, a, t, m, v, J, g, H);
        return 1;
    } catch (const std::length_error &error) {
        if (std::string(error.what()) != "k: matrix is too short")
            return 2;
    }
    m.resize(18);
    using codegen::by_element, codegen::by_point, codegen::same;
    std::vector<double> turned(18);
    k_cpp::strided(
        3, by_point(x.data(), 2), same(a.data()), by_point(t.data(), 1), by_element(turned.data(), 3),
        by_point(v.data(), 1), by_point(J.data(), k_cpp::size_matrix_jacobian), by_element(g.data(), 3),
        by_point(H.data(), k_cpp::size_number_hessian));
    k_cpp::batch(3, x, a, t, m, v, J, g, H);
    for (int i = 0; i < 3; i++)
        for (int e = 0; e < 6; e++)
            if (turned[static_cast<std::size_t>(3 * e + i)] != m[static_cast<std::size_t>(6 * i + e)])
                return 3;
    const auto s = k_cpp::sparsity_number_hessian();
    for (std::int64_t i = 0; i < s.nnz; i++)
        std::printf("%d %d\\n", s.row[i], s.column[i]);
    static_assert(k_cpp::size_a == 6);
    return s.rows == 9 && s.columns == 9 && s.row_starts[9] == s.nnz ? 0 : 4;
}
"""


@pytest.mark.parametrize("compiler", CPP)
def test_cpp(compiler: str, kernel, tmp_path: Path) -> None:
    kernel.export(tmp_path, formats=["h", "c", "hpp"])
    main = PLAIN.replace("GIVEN", GIVEN).replace("#include <vector>", "#include <string>\n#include <vector>")
    got = numbers(compiled(compiler, tmp_path, main))
    value, scalar, jacobian, gradient, _ = kernel(X, A, T)
    xs = np.array([[0.25, -0.5], [1, 2], [0.25, -0.5]])
    batch = number(xs, np.full((3, 2, 3), 0.5), np.array([1.0, 2, 3]))
    head = np.concatenate([value.ravel(), [scalar], np.ravel(jacobian), gradient, batch])
    np.testing.assert_allclose(got[: len(head)], head, rtol=1e-14)
    pattern = number.hessian(sparse=True).pattern
    np.testing.assert_array_equal(got[len(head) :].reshape(-1, 2), np.column_stack([pattern.rows, pattern.columns]))


# Names that C++ or the wrappers use for something else.
ODD = ("std", "Results", "codegen", "evaluate", "odd_cpp", "size", "Eigen", "parameters", "residuals", "jacobians", "r")


@pytest.mark.parametrize("compiler", CPP)
def test_odd_names_and_reductions(compiler: str, tmp_path: Path) -> None:
    compiler = tool(compiler)
    arguments = tuple(Array(name, (2,) if k % 2 else ()) for k, name in enumerate(ODD))
    body: list[tuple] = [("load", k, 0) for k in range(len(ODD))]
    for k in range(1, len(ODD)):
        body.append(("add", len(ODD) + k - 2 if k > 1 else 0, k))
    results = (Array("data"), Array("array", (2,)), Array("ceres"))
    last = len(body) - 1
    program = Program("odd", arguments, results, body, ((last,), (0, last), (1,)))
    pattern, reduction = Pattern((2, 2), (0, 1), (1, 0)), Reduction(("sum", "mean", "max"), frozenset({0}))
    details = Details(sparsity={"array": pattern}, reduction=reduction)
    export(program, tmp_path, "odd", ["h", "c", "hpp", "eigen", "f90", "casadi"], details=details)
    includes = '#include "odd.hpp"\n'
    if Path("/usr/include/eigen3").is_dir():
        includes += '#include "odd_eigen.hpp"\n'
    spans = ", ".join(["codegen::Span<const double>(w, 6)"] * len(ODD))
    call = f"""
int main()
{{
    double w[6] = {{1, 1, 1, 1, 1, 1}}, s[2], a[2], m[2];
    odd_cpp::reduce(3, {spans}, codegen::Span<double>(s, 1), a, m);
    return s[0] == {3 * len(ODD)} && a[0] == 1 && a[1] == {len(ODD)} && m[0] == 1 ? 0 : 1;
}}
"""
    (tmp_path / "main.cpp").write_text(includes + call)
    words = [compiler, "-std=c++17", *WARNINGS[:4], "-isystem", "/usr/include/eigen3", "-O1"]
    run(*words, "main.cpp", "-x", "c++", "odd.c", "odd_casadi.c", "-lm", "-o", "main", cwd=tmp_path)
    run("./main", cwd=tmp_path)
    if gfortran := shutil.which("gfortran"):
        run(gfortran, "-std=f2008", "-Wall", "-Wextra", "-Werror", "-pedantic", "-c", "odd.f90", cwd=tmp_path)


# --- Eigen and Ceres --------------------------------------------------------------------------------------------------
EIGEN = """\
#include "k_eigen.hpp"
#include <iostream>

int main()
{
    std::cout.precision(17);
    Eigen::Matrix<double, 2, 3> a; /* by columns: converted */
    a << 0.125, 0.25, 0.375, 0.5, 0.625, 0.75;
    const auto r = k_eigen::evaluate(Eigen::Vector2d(0.25, -0.5), a, 0.75);
    std::cout << r.matrix << "\\n" << r.number << "\\n";
    const Eigen::MatrixXd J = k_eigen::map_matrix_jacobian(r.matrix_jacobian.data());
    std::cout << J << "\\n";
    const Eigen::VectorXd Hx = k_eigen::map_number_hessian(r.number_hessian.data()) * r.number_gradient;
    std::cout << Hx << "\\n";
    k_eigen::matrix_matrix m = 2 * r.matrix;
    return k_eigen::map_matrix(m.data())(1, 2) == 2 * r.matrix(1, 2) ? 0 : 1;
}
"""


@pytest.mark.parametrize("compiler", CPP)
def test_eigen(compiler: str, kernel, tmp_path: Path) -> None:
    tool(compiler)
    if not Path("/usr/include/eigen3/Eigen/Core").exists():
        pytest.skip("no Eigen")
    kernel.export(tmp_path, formats=["h", "c", "eigen"])
    got = numbers(compiled(compiler, tmp_path, EIGEN, "-isystem", "/usr/include/eigen3"))
    jacobian = matrix.jacobian()(X, A, T).reshape(6, 9)
    product = number.hessian()(X, A, T) @ number.gradient()(X, A, T)
    want = np.concatenate([matrix(X, A, T).ravel(), [number(X, A, T)], jacobian.ravel(), product])
    np.testing.assert_allclose(got, want, rtol=1e-13, atol=1e-15)


CERES = """\
#include "k_ceres.hpp"
#include <cmath>
#include <cstdio>

int main()
{
    const double x[] = {0.25, -0.5}, a[] = {0.125, 0.25, 0.375, 0.5, 0.625, 0.75}, t[] = {0.75};
    const double *given[] = {x, a, t};
    double r[6], Jx[12], Ja[36], *J[] = {Jx, Ja, nullptr};
    const k_ceres::matrix_cost cost;
    const k_ceres::number_cost other;
    if (!cost.Evaluate(given, r, J) || !cost.Evaluate(given, r, nullptr) || cost.num_residuals() != 6)
        return 1;
    for (const double v : r)
        std::printf("%.17g ", v);
    for (const double v : Jx)
        std::printf("%.17g ", v);
    for (const double v : Ja)
        std::printf("%.17g ", v);
    if (!other.Evaluate(given, r, J))
        return 2;
    std::printf("%.17g %.17g %.17g ", r[0], Jx[0], Jx[1]);
    for (int k = 0; k < 6; k++)
        std::printf("%.17g ", Ja[k]);
    const double outside[] = {std::nan(""), 0};
    given[0] = outside;
    return cost.Evaluate(given, r, J) ? 3 : 0;
}
"""


@pytest.mark.parametrize("compiler", CPP)
def test_ceres(compiler: str, kernel, tmp_path: Path) -> None:
    tool(compiler)
    if not Path("/usr/include/ceres/ceres.h").exists():
        pytest.skip("no Ceres")
    kernel.export(tmp_path, formats=["h", "c", "ceres"])
    got = numbers(compiled(compiler, tmp_path, CERES, "-isystem", "/usr/include/eigen3", "-lceres", "-lglog"))
    jacobian = matrix.jacobian()(X, A, T).reshape(6, 9)
    gradient = number.gradient()(X, A, T)
    parts = [matrix(X, A, T), jacobian[:, :2], jacobian[:, 2:8], [number(X, A, T)], gradient[:8]]
    np.testing.assert_allclose(got, np.concatenate([np.ravel(part) for part in parts]), rtol=1e-13, atol=1e-15)


def test_ceres_needs_derivatives(tmp_path: Path) -> None:
    for functions in ([number], [number, number.gradient("x")]):
        with pytest.raises(ValueError, match=r"compile f, f.jacobian\(\)"):
            hy.compile(*functions, name="k").export(tmp_path, formats=["ceres"])


# --- Fortran ----------------------------------------------------------------------------------------------------------
FORTRAN = """\
program main
  use, intrinsic :: iso_c_binding
  use k_fortran
  implicit none
  real(c_double) :: x(2, 3), a(3, 2, 3), t(3), m(3, 2, 3), v(3), J(k_size_6, 3), g(9, 3), H(k_size_8, 3)
  real(c_double) :: turned(3, 6)
  integer(c_int64_t), pointer :: s(:)
  type(c_ptr) :: address
  integer :: i
  x = spread([0.25d0, -0.5d0], 2, 3)
  a = spread(reshape([0.125d0, 0.25d0, 0.375d0, 0.5d0, 0.625d0, 0.75d0], [3, 2]), 3, 3)
  t = [0.75d0, 1d0, 2d0]
  call k(x(:, 1), a(:, :, 1), t(1), m(:, :, 1), v(1), J(:, 1), g(:, 1), H(:, 1))
  ! the first row of C is the first column here
  print '(ES25.17)', m(:, 1, 1), m(:, 2, 1), v(1), J(:, 1), g(:, 1)
  call k_batch(3_c_int64_t, x, a, t, m, v, J, g, H)
  print '(ES25.17)', v
  call k_strided(3_c_int64_t, x, 2_c_int64_t, 1_c_int64_t, a, 0_c_int64_t, 1_c_int64_t, t, 1_c_int64_t, 1_c_int64_t, &
      turned, 1_c_int64_t, 3_c_int64_t, v, 1_c_int64_t, 1_c_int64_t, J, int(k_size_6, c_int64_t), 1_c_int64_t, &
      g, 9_c_int64_t, 1_c_int64_t, H, int(k_size_8, c_int64_t), 1_c_int64_t)
  do i = 1, 3
    if (any(abs(turned(i, :) - reshape(m(:, :, i), [6])) > 0)) stop 1
  end do
  if (k_abi_version() /= 1 .or. k_arguments() /= 3) stop 2
  address = k_sparsity(5_c_int64_t)
  call c_f_pointer(address, s, [3])
  print '(I5)', s
end program main
"""


def test_fortran(kernel, tmp_path: Path) -> None:
    compiler = tool("gfortran")
    kernel.export(tmp_path, formats=["f90", "o"])
    (tmp_path / "main.f90").write_text(FORTRAN)
    words = ["-std=f2008", "-Wall", "-Wextra", "-Werror", "-pedantic"]
    run(compiler, *words, "k.f90", "main.f90", "k.o", "-lm", "-o", "main", cwd=tmp_path)
    got = numbers(run("./main", cwd=tmp_path))
    value, scalar, jacobian, gradient, _ = kernel(X, A, T)
    batch = number(X, A, np.array([0.75, 1, 2]))
    pattern = matrix.jacobian(sparse=True).pattern
    want = np.concatenate([value.ravel(), [scalar], np.ravel(jacobian), gradient, batch, [6, 9, len(pattern.rows)]])
    np.testing.assert_allclose(got, want, rtol=1e-14)


def test_fortran_tells_names_apart_without_case(tmp_path: Path) -> None:
    program = Program(
        "F", (Array("A"), Array("a")), (Array("f"),), [("load", 0, 0), ("load", 1, 0), ("sub", 0, 1)], ((2,),)
    )
    (path,) = export(program, tmp_path, "F", ["f90"])
    assert "A, &\n        a_2, &\n        f_2" in path.read_text()
    with pytest.raises(ValueError, match="63 characters"):
        export(program, tmp_path, "F" * 60, ["f90"])


# --- SciPy ------------------------------------------------------------------------------------------------------------
def test_scipy_integrates_exported_code(tmp_path: Path) -> None:
    scipy = pytest.importorskip("scipy")
    integrate = pytest.importorskip("scipy.integrate")
    tool("cc", "gcc", "clang")

    @hy.function(x=(), y=(), c=(2,))
    def wave(x, y, c):
        return np.exp(-c[0] * x * y) * np.sin(c[1] * x)

    kernel = hy.compile(wave, wave.gradient("c"), name="wave")
    (library, _) = kernel.export(tmp_path, formats=["so", "scipy"])
    code = ctypes.CDLL(str(library))
    code.wave_scipy_wave.restype = ctypes.c_double
    code.wave_scipy_wave.argtypes = [ctypes.c_int, ctypes.POINTER(ctypes.c_double)]
    integrand = scipy.LowLevelCallable(code.wave_scipy_wave)
    got, _ = integrate.quad(integrand, 0, 2, args=(0.5, 1.5, 3.0))
    want, _ = integrate.quad(lambda x: float(wave(x, 0.5, np.array([1.5, 3.0]))), 0, 2)
    assert got == pytest.approx(want, rel=1e-12)
    twice, _ = integrate.nquad(integrand, [(0, 1), (0, 2)], args=(1.5, 3.0))
    own, _ = integrate.dblquad(lambda y, x: np.exp(-1.5 * x * y) * np.sin(3 * x), 0, 1, 0, 2)
    assert twice == pytest.approx(own, rel=1e-9)
    assert np.isnan(code.wave_scipy_wave(2, (ctypes.c_double * 2)(1, 1)))  # too few arguments


def test_functions_of_somebody_else(tmp_path: Path) -> None:
    """Sources that are cut down to some results declare what they call, and nothing else."""
    twist = hy.elementary("twist", numpy=lambda u: np.sin(u) + u, derivative=lambda u: np.cos(u) + 1, c="twist_in_c")

    @hy.function(x=(2,))
    def f(x):
        return twist(x[0]) * hy.digamma(x[1])

    kernel = hy.compile(f, f.gradient(), name="k")
    kernel.export(tmp_path, formats=["c", "casadi", "scipy"])
    own = "#include <math.h>\ndouble twist_in_c(double u);\ndouble twist_in_c(double u) { return sin(u) + u; }\n"
    (tmp_path / "own.c").write_text(own)
    words = [tool("gcc", "clang"), "-std=c99", *WARNINGS, "-O1", "-fPIC", "-shared"]
    run(*words, "k.c", "k_casadi.c", "k_scipy.c", "own.c", "-lm", "-o", "k.so", cwd=tmp_path)
    call = ctypes.CDLL(str(tmp_path / "k.so")).k_scipy_f
    call.restype = ctypes.c_double
    want = f(np.array([0.3, 1.5]))
    assert call(2, (ctypes.c_double * 2)(0.3, 1.5)) == pytest.approx(float(want), rel=1e-13)
    assert np.isnan(call(1, (ctypes.c_double * 2)(0.3, 1.5)))


def test_scipy_source_is_clean_c(kernel, tmp_path: Path) -> None:
    kernel.export(tmp_path, formats=["scipy", "casadi"])
    for words in ([tool("gcc", "clang"), "-std=c99"], [tool("g++", "clang++"), "-std=c++17", "-x", "c++"]):
        for file in ("k_scipy.c", "k_casadi.c"):
            run(*words, *WARNINGS, "-c", file, cwd=tmp_path)
    with pytest.raises(ValueError, match="no result of the kernel is one number"):
        hy.compile(matrix, name="k").export(tmp_path, formats=["scipy"])


@pytest.mark.parametrize("fmt", ["ceres", "scipy"])
def test_float32_is_refused_where_it_cannot_be(fmt: str, kernel, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="numbers of type float64, got float32"):
        kernel.export(tmp_path, formats=[fmt], dtype=np.float32)


@pytest.mark.parametrize("compiler", CPP)
def test_headers_compile_in_float32(compiler: str, kernel, tmp_path: Path) -> None:
    compiler = tool(compiler)
    kernel.export(tmp_path, formats=["h", "hpp", "eigen", "f90"], dtype=np.float32)
    eigen = '#include "k_eigen.hpp"\n' if Path("/usr/include/eigen3/Eigen/Core").exists() else ""
    (tmp_path / "main.cpp").write_text(
        f'#include "k.hpp"\n{eigen}static_assert(sizeof(k_cpp::Results::number) == 4);\n'
    )
    run(compiler, "-std=c++17", *WARNINGS, "-isystem", "/usr/include/eigen3", "-c", "main.cpp", cwd=tmp_path)
    if gfortran := shutil.which("gfortran"):
        run(gfortran, "-std=f2008", "-Wall", "-Wextra", "-Werror", "-c", "k.f90", cwd=tmp_path)
