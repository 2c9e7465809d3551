"""Functions of a user's own: in SymPy, traced code, text, the tape, kernels and exported C; what is refused."""

from __future__ import annotations

import ctypes
import math
import re
import shutil
import subprocess
from typing import Any

import numpy as np
import pytest
import sympy as sp

import hybrid as hy
from hybrid import ArgumentError, InputTypeError, ShapeError, UnsupportedError, parse

gd = hy.elementary(
    "gd", numpy=lambda x: 2 * np.arctan(np.tanh(x / 2)), derivative=lambda x: 1 / hy.cosh(x), c="gudermann"
)
blend = hy.elementary(
    "blend",
    numpy=lambda x, y: x / (1 + np.abs(y)),
    derivative=[lambda x, y: 1 / (1 + hy.absolute(y)), lambda x, y: -x * hy.sign(y) / (1 + hy.absolute(y)) ** 2],
    c="({0} / (1 + fabs({1})))",
    domain=[(-2, 2), (0.1, 2)],
)
swish = hy.elementary("swish", expression=lambda x: x / (1 + np.exp(-x)))
x, y = hy.symbols("x y")


def test_it_works_wherever_functions_do() -> None:
    points = np.linspace(-1, 1.5, 7)
    expected = 2 * np.arctan(np.tanh(points / 2))
    np.testing.assert_allclose(gd(points), expected)
    np.testing.assert_allclose(hy.function(x=())(lambda x: gd(x))(points), expected, rtol=1e-15)
    np.testing.assert_allclose(hy.Function([x], gd(x))(points), expected, rtol=1e-15)
    text = hy.Function.from_definition(parse.define("gd(x)"))
    np.testing.assert_allclose(text(points), expected, rtol=1e-15)
    t = hy.tape.tensor(points, requires_grad=True)
    gd(t).sum().backward()
    np.testing.assert_allclose(t.grad, 1 / np.cosh(points), rtol=1e-14)
    assert sp.diff(gd(x**2), x) == 2 * x / sp.cosh(x**2)


def test_derivatives_of_every_order_are_certified() -> None:
    f = hy.Function([x, y], gd(x * y) * blend(x, y) + swish(y) ** 2, name="f")
    kernel = hy.compile(f, f.gradient(), f.hessian())
    assert kernel.certificate.passed
    plain = hy.Function(
        [x, y],
        2 * sp.atan(sp.tanh(x * y / 2)) * x / (1 + sp.Abs(y)) + (y / (1 + sp.exp(-y))) ** 2,
    )
    points = np.random.default_rng(1).uniform(0.2, 1.5, (2, 20))
    for got, want in zip(kernel(*points), (plain, plain.gradient(), plain.hessian()), strict=True):
        np.testing.assert_allclose(got, want(*points), rtol=1e-12, atol=1e-13)
    third = f.hessian().jacobian(wrt="x")
    np.testing.assert_allclose(third(*points), plain.hessian().jacobian(wrt="x")(*points), rtol=1e-10, atol=1e-12)
    assert kernel.program.counts()["extern.gd"] == 1  # value and derivatives share the call


def test_a_derivative_may_hold_the_function_itself() -> None:
    sigmoid = hy.elementary(
        "sigmoid", numpy=lambda x: 1 / (1 + np.exp(-x)), derivative=lambda x: sigmoid(x) * (1 - sigmoid(x))
    )
    f = hy.Function([x], sigmoid(x))
    kernel = hy.compile(f, f.gradient(), f.hessian())
    s = 1 / (1 + math.exp(-0.7))
    np.testing.assert_allclose(kernel(0.7), [s, s * (1 - s), s * (1 - s) * (1 - 2 * s)], rtol=1e-14)
    wrong = hy.elementary("wrong_self", numpy=np.sin, derivative=lambda x: wrong(x))
    with pytest.raises(ArgumentError, match="derivative= by argument 1 does not fit"):
        hy.Function([x], wrong(x)).gradient()


def test_compiled_code_is_called_by_its_address() -> None:
    library = ctypes.CDLL(None)
    library.j0.restype, library.j0.argtypes = ctypes.c_double, [ctypes.c_double]
    library.j1.restype, library.j1.argtypes = ctypes.c_double, [ctypes.c_double]
    first = hy.elementary("own_j1", native=library.j1)
    zeroth = hy.elementary("own_j0", native=library.j0, derivative=lambda x: -first(x), c="j0")
    f = hy.Function([x], zeroth(x) ** 2)
    value, slope = hy.compile(f, f.gradient())(np.array([0.5, 2.0, 7.0]))
    mpmath = pytest.importorskip("mpmath")
    exact = [(float(mpmath.besselj(0, t)), float(mpmath.besselj(1, t))) for t in (0.5, 2, 7)]
    np.testing.assert_allclose(value, [a * a for a, _ in exact], rtol=1e-13)
    np.testing.assert_allclose(slope, [-2 * a * b for a, b in exact], rtol=1e-13)


def test_numba_functions_are_compiled_code() -> None:
    numba = pytest.importorskip("numba")

    @numba.cfunc("float64(float64)")
    def cube(x):
        return x * x * x

    f = hy.elementary("nb_cube", numpy=lambda x: x**3, native=cube, derivative=lambda x: 3 * x**2)
    np.testing.assert_array_equal(hy.Function([x], f(x))(np.arange(20.0)), np.arange(20.0) ** 3)


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler: cc")
def test_exported_c_calls_the_users_function(tmp_path) -> None:
    f = hy.Function([x, y], gd(x) + blend(x, y) + swish(y), name="f")
    kernel = hy.compile(f, f.gradient())
    kernel.export(tmp_path, "user_f", ["c", "h", "o"])
    source = (tmp_path / "user_f.c").read_text()
    assert "extern double gudermann(double);" in source
    assert re.search(r"\(\(codegen_0 / \(1 \+ fabs\(codegen_1\)\)\)\)", source)
    main = tmp_path / "main.c"
    main.write_text(
        '#include <math.h>\n#include <stdio.h>\n#include "user_f.h"\n'
        "double gudermann(double x) { return 2 * atan(tanh(x / 2)); }\n"
        "int main(void) { double x = 0.4, y = 1.1, f, g[2]; user_f(&x, &y, &f, g);\n"
        ' printf("%.17g %.17g %.17g", f, g[0], g[1]); return 0; }\n'
    )
    program = tmp_path / "main"
    subprocess.run(["cc", "-O1", "-Wall", "-Werror", main, tmp_path / "user_f.c", "-o", program, "-lm"], check=True)
    printed = subprocess.run([program], capture_output=True, text=True, check=True).stdout.split()
    value, gradient = kernel(0.4, 1.1)
    np.testing.assert_allclose([float(p) for p in printed], [value, *gradient], rtol=1e-14)


wrong_sine = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(math.cos)
WRONG = [
    ("is a function of this package already", "sin", {"numpy": np.sin}),
    ("give expression= .* or numpy=", "u1", {}),
    ("must be an ASCII identifier", "not a name", {"numpy": np.sin}),
    ("derivative= by argument 1 does not fit", "u2", {"numpy": np.sin, "derivative": lambda x: hy.sin(x)}),
    ("needs 1 functions", "u3", {"numpy": np.sin, "derivative": [np.cos, np.sin]}),
    ("real numbers of its arguments' shape", "u4", {"numpy": lambda x: 1.0 * np.sum(x)}),
    ("no finite value", "u5", {"numpy": lambda x: np.log(-x), "domain": (1, 2)}),
    ("must be fixed", "u6", {"numpy": lambda *x: x[0]}),
    ("interval", "u7", {"numpy": np.sin, "domain": (2, 1)}),
    ("native= does not fit", "u8", {"numpy": np.sin, "native": wrong_sine}),
]


@pytest.mark.parametrize(("message", "name", "given"), WRONG)
def test_wrong_definitions_are_refused(message: str, name: str, given: Any) -> None:
    with pytest.raises(ArgumentError, match=message):
        hy.elementary(name, **given)


def test_without_a_derivative_it_says_so() -> None:
    f = hy.elementary("no_slope", numpy=np.floor)
    with pytest.raises(UnsupportedError, match="no_slope was defined without derivative="):
        hy.Function([x], f(x)).gradient()
    with pytest.raises(InputTypeError, match="native= must be an address"):
        hy.elementary("u9", numpy=np.sin, native="sin")


# --- opaque functions -------------------------------------------------------------------------------------------------
class Weighted(hy.tape.Function):
    @staticmethod
    def forward(ctx: Any, x: Any, y: Any) -> Any:
        ctx.save_for_backward(x, y)
        return x * y * y

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        x, y = ctx.saved_tensors
        return g * y * y, 2 * g * x * y


def test_a_tape_function_differentiates_twice_inside_kernels() -> None:
    f = hy.opaque(Weighted, {"x": (2,), "y": (2,)}, name="weighted")
    s = hy.function(x=(2,), y=(2,))(lambda x, y: np.sum(np.exp(f(x, y))))
    t = hy.function(x=(2,), y=(2,))(lambda x, y: np.sum(np.exp(x * y * y)))
    kernel = hy.compile(f, s, s.gradient(), verify=False)
    given = np.array([[0.3, 0.5], [0.1, 0.9]]), np.array([0.7, -1.1])
    np.testing.assert_allclose(kernel(*given)[0], given[0] * given[1] ** 2, rtol=1e-15)
    np.testing.assert_allclose(kernel(*given)[2], t.gradient()(*given), rtol=1e-14)
    hessian = hy.compile(s.hessian(), verify=False)(*given)
    np.testing.assert_allclose(hessian, t.hessian()(*given), rtol=1e-13)


def test_declared_jacobians_and_products() -> None:
    f = hy.opaque(
        lambda q, p: np.array([q @ q * p, math.sin(q[0]), p]),
        {"q": (2,), "p": ()},
        jacobian=lambda q, p: np.array([[2 * q[0] * p, 2 * q[1] * p, q @ q], [math.cos(q[0]), 0, 0], [0, 0, 1]]),
        name="declared",
    )
    kernel = hy.compile(f, f.jacobian(), f.vjp(), f.jvp())
    assert kernel.certificate.passed
    q, p = np.array([0.4, 0.9]), 2.0
    jacobian = np.array([[1.6, 3.6, 0.97], [math.cos(0.4), 0, 0], [0, 0, 1]])
    value, slopes, pulled, pushed = kernel(q, p, np.array([1.0, 2.0, 3.0]), np.array([1.0, -1.0]), 0.5)
    np.testing.assert_allclose(value, [1.94, math.sin(0.4), 2.0], rtol=1e-15)
    np.testing.assert_allclose(slopes, jacobian, rtol=1e-15)
    np.testing.assert_allclose(pulled, [1.0, 2.0, 3.0] @ jacobian, rtol=1e-14)
    np.testing.assert_allclose(pushed, jacobian @ [1.0, -1.0, 0.5], rtol=1e-14)
    with pytest.raises(UnsupportedError, match="declared_jacobian is Python code without a derivative"):
        f.hessian()
    g = hy.opaque(lambda q: float(q @ q), {"q": (2,)}, vjp=lambda q, w: 2 * q * w, name="product")
    np.testing.assert_allclose(hy.compile(g.gradient())(np.ones((3, 2))), 2 * np.ones((3, 2)))


def test_opaque_refusals_and_failures_inside_kernels() -> None:
    with pytest.raises(ArgumentError, match="central differences give"):
        hy.opaque(lambda q: q * q, {"q": (2,)}, jacobian=lambda q: np.diag(q), name="o1")
    with pytest.raises(ShapeError, match=r"must give shape \(2, 2\)"):
        hy.opaque(lambda q: q * q, {"q": (2,)}, jacobian=lambda q: q, name="o2")
    with pytest.raises(ArgumentError, match="give sample= where it works"):
        hy.opaque(lambda q: math.log(q[0] - 1), {"q": (1,)}, name="o3")
    f = hy.opaque(lambda q: [math.log(q[0]), 1.0], {"q": (1,)}, name="o4")
    value = hy.compile(f, verify=False)(np.array([[1.0], [-1.0], [2.0]]))
    np.testing.assert_allclose(value, [[0, 1], [np.nan, np.nan], [math.log(2), 1]])


def test_a_name_that_the_tape_has_too_leaves_the_tape_alone() -> None:
    silu = hy.elementary("silu", numpy=lambda x: 3 * x, derivative=lambda x: 3)
    (x,) = hy.symbols("x,")
    assert hy.Function([x], silu(x)).gradient()(2.0) == 3
    assert hy.Function([x], silu(x))(hy.tape.tensor(2.0)).item() == 6
    t = hy.tape.tensor(np.float32(2.0))
    assert hy.tape.silu(t).item() == pytest.approx(2 / (1 + np.exp(-2)), rel=1e-6)
    assert hy.tape.ELEMENTWISE["silu"] is hy.tape.silu


def test_python_code_stays_in_this_process_and_out_of_reductions(tmp_path) -> None:
    second = hy.opaque(
        lambda q: float(np.sort(q)[-2]),
        {"q": (4,)},
        vjp=lambda q, w: w * (q == np.sort(q)[-2]),
        sample=[np.arange(4.0)],
        name="second",
    )
    value, gradient = hy.compile(second, second.gradient(), tier="quick")(np.arange(4.0))
    assert value == 2
    assert gradient.tolist() == [0, 0, 1, 0]
    with pytest.raises(hy.UnsupportedError, match="Python code of this process, which no file can hold"):
        hy.compile(second).export(tmp_path, formats=["c", "h"])
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(hy.UnsupportedError, match="a kernel that reduces cannot"):
        hy.compile(second, reduce="sum")
