"""LaTeX and plain text: typography of expressions, names, matrices, options, big things, KaTeX, goldens.

Set UPDATE_GOLDENS=1 to write the goldens anew; review the difference.
"""

import json
import os
import re
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from katex_strict import refused
from printed import black_scholes, function, made

import hybrid as hy
from hybrid import operations as ops
from hybrid.definition import Argument
from hybrid.errors import ArgumentError
from hybrid.graph import Graph, Term
from hybrid.operations import MASK, NAMED_CONSTANTS, OPERATIONS
from hybrid.printing.latex import Limit, latex, text

GOLDENS = Path(__file__).parent / "goldens" / "latex.json"


def expression(build, **options):
    """LaTeX of a scalar expression in x, y, z, without a left-hand side."""
    return latex(function(build, x=(), y=(), z=()), **{"lhs": False, "where": False, **options})


def plain(build):
    return text(function(build, x=(), y=(), z=())).removeprefix("f(x, y, z) = ")


both, either = ops.logical_and, ops.logical_or

# --- how people write: expression, LaTeX, plain text ------------------------------------------------------------------
WRITTEN = {
    "a number before symbols before functions": (
        lambda x, y, z: ops.sin(y) * x**2 * 3, r"3 x^{2} \sin y", "3·x²·sin(y)"),
    "symbols alphabetically": (lambda x, y, z: z * y * x, "x y z", "x·y·z"),
    "constants first": (lambda x, y, z: x * NAMED_CONSTANTS[0] * 2, r"2 \pi x", "2·π·x"),
    "sums before functions": (lambda x, y, z: ops.cos(x) * (y + 1), r"(y + 1) \cos x", "(y + 1)·cos(x)"),
    "sums before powers of e": (lambda x, y, z: ops.exp(-x) * (y + 1), "(y + 1) e^{-x}", "(y + 1)·exp(-x)"),
    "repeated factors": (lambda x, y, z: x * x * ops.sin(y) * ops.sin(y), r"x^{2} \sin^{2} y", "x²·sin(y)²"),
    "minus one as a sign": (lambda x, y, z: x * -1, "-x", "-x"),
    "signs multiply": (lambda x, y, z: (-x) * (-y) * -2, "-2 x y", "-2·x·y"),
    "falling degree": (lambda x, y, z: 1 + x + x**3 + x**2, "x^{3} + x^{2} + x + 1", "x³ + x² + x + 1"),
    "one degree alphabetically": (
        lambda x, y, z: y**2 + 2 * x * y + x**2, "x^{2} + 2 x y + y^{2}", "x² + 2·x·y + y²"),
    "a positive term first": (lambda x, y, z: 1 - x**2, "1 - x^{2}", "1 - x²"),
    "polynomial terms before others": (
        lambda x, y, z: ops.sin(x) - y + x**2, r"x^{2} - y + \sin x", "x² - y + sin(x)"),
    "all negative": (lambda x, y, z: -x - ops.sin(y), r"-x - \sin y", "-x - sin(y)"),
    "a difference of sums": (lambda x, y, z: x - (y + z), "x - (y + z)", "x - (y + z)"),
    "a difference of differences": (lambda x, y, z: x - (y - z), "x - y + z", "x - y + z"),
    "nested sums": (lambda x, y, z: x + (y - z), "x + y - z", "x + y - z"),
    "minus a difference": (lambda x, y, z: -(x - y), "y - x", "y - x"),
    "a sign into the parentheses": (lambda x, y, z: -2 * x * (y - z), "2 x (z - y)", "2·x·(z - y)"),
    "negative powers below": (lambda x, y, z: x * y**-1 * z**-2, r"\frac{x}{y z^{2}}", "x/(y·z²)"),
    "quotients flatten": (lambda x, y, z: x / (y / z), r"\frac{x z}{y}", "x·z/y"),
    "rational coefficients": (lambda x, y, z: Fraction(3, 4) * x, r"\frac{3 x}{4}", "3·x/4"),
    "a long product behind its coefficient": (
        lambda x, y, z: Fraction(1, 2) * ops.exp(x / y) * ops.erf(x / y),
        r"\frac{1}{2} e^{x/y} \operatorname{erf}\left(\frac{x}{y}\right)", "exp(x/y)·erf(x/y)/2"),
    "a rational": (lambda x, y, z: x + Fraction(-2, 3), r"x - \frac{2}{3}", "x - 2/3"),
    "roots": (lambda x, y, z: x ** Fraction(1, 2) * ops.sqrt(y + 1), r"\sqrt{x} \sqrt{y + 1}", "√x·√(y + 1)"),
    "a root below": (lambda x, y, z: x ** Fraction(-1, 2), r"\frac{1}{\sqrt{x}}", "1/√x"),
    "a root twice": (lambda x, y, z: y / (ops.sqrt(x) * ops.sqrt(x)), r"\frac{y}{x}", "y/x"),
    "a power of a root": (lambda x, y, z: ops.sqrt(x) ** 3, r"\sqrt{x}^{3}", "(√x)³"),
    "roots of constants": (
        lambda x, y, z: ops.sqrt(x.graph.lift(2)) * x / (2 * ops.sqrt(x.graph.lift(NAMED_CONSTANTS[0]))),
        r"\frac{x}{\sqrt{2 \pi}}", "x/√(2·π)"),
    "square factors leave a root": (lambda x, y, z: x * ops.sqrt(x.graph.lift(8)), r"2 \sqrt{2} x", "2·√2·x"),
    "a product as exponent": (lambda x, y, z: x ** (y * z), "x^{y z}", "x^(y·z)"),
    "other rational powers": (lambda x, y, z: x ** Fraction(3, 2), "x^{3/2}", "x^(3/2)"),
    "a cube root is not a power of 1/3": (lambda x, y, z: ops.cbrt(x), r"\sqrt[3]{x}", "cbrt(x)"),
    "a power of a power": (lambda x, y, z: (x**y) ** 2, "(x^{y})^{2}", "(x^y)²"),
    "a power of a sum": (lambda x, y, z: (x + y) ** 2, "(x + y)^{2}", "(x + y)²"),
    "a power of a negative": (lambda x, y, z: (-x) ** 2, "x^{2}", "x²"),
    "a power of a fraction": (lambda x, y, z: (x / y) ** 2, r"\left(\frac{x}{y}\right)^{2}", "(x/y)²"),
    "an expression as exponent": (lambda x, y, z: x ** (y / 2 + 1), "x^{y/2 + 1}", "x^(y/2 + 1)"),
    "exponents with a solidus": (
        lambda x, y, z: ops.exp(-(x**2) / (2 * y)), "e^{-x^{2}/(2 y)}", "exp(-x²/(2·y))"),
    "a function of an atom": (lambda x, y, z: ops.sin(x), r"\sin x", "sin(x)"),
    "a function of a fraction": (lambda x, y, z: ops.log(x / y), r"\log \frac{x}{y}", "log(x/y)"),
    "a function of a product": (lambda x, y, z: ops.sin(x * y), r"\sin(x y)", "sin(x·y)"),
    "a function of a tall sum": (
        lambda x, y, z: ops.cos(x / y + 1), r"\cos\left(1 + \frac{x}{y}\right)", "cos(1 + x/y)"),
    "an operator keeps its parentheses": (lambda x, y, z: ops.erf(x), r"\operatorname{erf}(x)", "erf(x)"),
    "one over a function is no inverse": (lambda x, y, z: ops.sin(x) ** -1, r"\frac{1}{\sin x}", "1/sin(x)"),
    "absolute value": (lambda x, y, z: ops.abs_(x - y), r"\left|x - y\right|", "|x - y|"),
    "floor": (lambda x, y, z: ops.floor(x) + ops.ceil(y),
              r"\lceil y \rceil + \lfloor x \rfloor", "⌈y⌉ + ⌊x⌋"),
    "minimum of many": (lambda x, y, z: ops.minimum(ops.minimum(x, y), z), r"\min(x, y, z)", "min(x, y, z)"),
    "gamma and its kin": (lambda x, y, z: ops.gamma(x) * ops.polygamma(1, y), r"\psi^{(1)}(y) \Gamma(x)",
                          "gamma(x)·polygamma(1, y)"),
    "remainder": (lambda x, y, z: ops.mod(x + 1, y) * z, r"z ((x + 1) \bmod y)", "z·mod(x + 1, y)"),
    "floats": (lambda x, y, z: 0.5 * x + 1e-5 * y + 2.5e-7 * z,
               r"0.5 x + 10^{-5} y + 2.5 \times 10^{-7} z", "0.5·x + 1e-05·y + 2.5e-07·z"),
    "whole floats": (lambda x, y, z: 2.0 * x, "2 x", "2·x"),
    "a number before a number": (lambda x, y, z: 3 * x.graph.lift(2) ** x, r"3 \cdot 2^{x}", "3·2^x"),
    "infinity": (lambda x, y, z: ops.minimum(x, float("inf")), r"\min(x, \infty)", "min(x, ∞)"),
    "cases": (lambda x, y, z: ops.where(ops.lt(x, 0), -x, ops.where(ops.ge(x, 1), y, 2)),
              r"\begin{cases} -x & \text{if } x < 0 \\ y & \text{if } x \geq 1 \\ 2 & \text{otherwise} \end{cases}",
              "-x if x < 0 else y if x ≥ 1 else 2"),
    "logic": (lambda x, y, z: ops.where(either(both(ops.lt(x, y), ops.lt(y, z)), ops.eq(x, z)), 1, 0),
              r"\begin{cases} 1 & \text{if } (x < y \wedge y < z) \vee x = z \\ 0 & \text{otherwise} \end{cases}",
              "1 if (x < y ∧ y < z) ∨ x = z else 0"),
    "negation": (lambda x, y, z: ops.where(both(ops.logical_not(ops.lt(x, y)), ops.lt(y, z)), 1, 0),
                 r"\begin{cases} 1 & \text{if } \neg (x < y) \wedge y < z \\ 0 & \text{otherwise} \end{cases}",
                 "1 if ¬(x < y) ∧ y < z else 0"),
    "cases in a product": (
        lambda x, y, z: 2 * ops.where(ops.lt(x, 0), x, y),
        r"2 \left(\begin{cases} x & \text{if } x < 0 \\ y & \text{otherwise} \end{cases}\right)",
        "2·(x if x < 0 else y)"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRITTEN)
def test_written_as_people_write(case):
    build, expected, expected_text = WRITTEN[case]
    assert expression(build) == expected
    assert plain(build) == expected_text


# --- matrices and left-hand sides -------------------------------------------------------------------------------------
def waves():
    return function(lambda x, y: x * ops.sin(y), x=(), y=())


def pair():
    return function(lambda x, y: [x * y, ops.sin(x)], x=(), y=())


def test_gradient_jacobian_hessian():
    f, g = waves(), pair()
    assert latex(f.gradient()) == r"\nabla f(x, y) = \begin{bmatrix} \sin y \\ x \cos y \end{bmatrix}"
    row = latex(f.gradient(), gradient="row", matrix="pmatrix", lhs=False)
    assert row == r"\begin{pmatrix} \sin y & x \cos y \end{pmatrix}"
    assert latex(f.hessian()) == (
        r"\nabla^{2} f(x, y) = \begin{bmatrix} 0 & \cos y \\ \cos y & -x \sin y \end{bmatrix}"
    )
    assert latex(g.jacobian()) == r"J_{f}(x, y) = \begin{bmatrix} y & x \\ \cos x & 0 \end{bmatrix}"
    assert latex(f.gradient().jacobian()).startswith(r"J_{\nabla f}(x, y) = ")
    assert latex(f.gradient(wrt="y")).startswith(r"\nabla_{y} f(x, y) = ")
    assert latex(g.jacobian(wrt="x")).startswith(r"\partial_{x} f(x, y) = ")


def test_left_hand_sides():
    f, g = waves(), pair()
    assert latex(f.hessian(), lhs="H").startswith(r"H = \begin{bmatrix}")
    assert latex(f.gradient(), lhs="partial").startswith(r"\frac{\partial f}{\partial (x, y)} = ")
    assert latex(g.jacobian(), lhs="partial").startswith(r"\frac{\partial (f_{1}, f_{2})}{\partial (x, y)} = ")
    assert latex(f.hessian(), lhs="partial").startswith(r"\frac{\partial^{2} f}{\partial (x, y)^{2}} = ")
    many = function(lambda *xs: xs[0], **{f"x{i}": () for i in range(20)})
    assert latex(many) == r"f(x_{0}, x_{1}, x_{2}, \ldots, x_{19}) = x_{0}"
    energy = function(lambda q: q[0], name="energy", q=(1,))
    assert latex(energy) == r"\operatorname{energy}(\boldsymbol{q}) = q_{1}"
    snake = function(lambda x: x, name="black_scholes", x=())
    assert latex(snake) == r"\operatorname{black\_scholes}(x) = x"


def test_directional_left_hand_sides():
    f = waves()
    assert latex(f.jvp()).startswith(r"\mathrm{D} f(x, y)[\dot{x}, \dot{y}] = ")
    assert latex(f.hvp()).startswith(r"\nabla^{2} f(x, y)[\dot{x}, \dot{y}] = ")
    assert latex(f.vjp()).startswith(r"J_{f}^{\mathsf{T}}(x, y) \, \bar{f} = ")


def test_entries_named_by_partials():
    lines = latex(waves().hessian(), form="entries").splitlines()
    assert lines[1] == r"\frac{\partial^{2} f}{\partial x \, \partial y} &= \cos y \\[4pt]"
    assert lines[-2] == r"\frac{\partial^{2} f}{\partial y^{2}} &= -x \sin y"
    assert len(lines) == 5
    third = waves().hessian().jacobian()
    assert r"\frac{\partial^{3} f}{\partial y^{3}} &= -x \cos y" in latex(third, form="entries")
    matrix = function(lambda A: A @ A, A=(2, 2))
    assert r"\frac{\partial f_{2,1}}{\partial A_{2,2}} &= A_{2,1}" in latex(matrix.jacobian(), form="entries")
    assert text(waves().hessian()).splitlines() == [
        "∂²f/∂x∂y = cos(y)", "∂²f/∂y∂x = cos(y)", "∂²f/∂y² = -x·sin(y)", "1 output is 0"]  # fmt: skip


def test_blocks_of_blocks():
    matrix = function(lambda A: A @ A, A=(2, 2))
    printed = latex(matrix.jacobian())
    assert printed.count(r"\begin{bmatrix}") == 5
    assert printed.startswith(r"J_{f}(\boldsymbol{A}) = \begin{bmatrix} \begin{bmatrix} 2 A_{1,1} & A_{2,1} \\ ")
    rank_three = pair().hessian()
    assert latex(rank_three).count(r"\begin{bmatrix}") == 3


def test_empty_outputs():
    empty = made(Graph(), (), (), (0, 3))
    assert latex(empty) == r"f = \left[\,\right]_{0 \times 3}"
    assert text(empty) == ""


def test_wide_matrices_fit_amsmath():
    f = function(lambda q: [q * 2], q=(12,))
    assert r"\left[\begin{array}{cccccccccccc}" in latex(f)
    assert r"\left(\begin{array}" in latex(f, matrix="pmatrix")
    assert r"\begin{bmatrix}" in latex(function(lambda q: [q * 2], q=(10,)))


# --- options of matrices ----------------------------------------------------------------------------------------------
def energy():
    def build(q, q_dot, m):
        return m * (q_dot[0] ** 2 + q_dot[1] ** 2 * ops.cos(q[0])) / 2

    return function(build, name="E", q=(2,), q_dot=(2,), m=())


def test_matrix_styles():
    g = pair()
    assert latex(g, matrix="cases", lhs=False) == r"\left\{\begin{array}{l} x y \\ \sin x \end{array}\right."
    assert latex(g, matrix="array", lhs=False) == r"\left[\begin{array}{c} x y \\ \sin x \end{array}\right]"
    assert latex(g, matrix="smallmatrix", lhs="v") == (
        r"v = \left[\begin{smallmatrix} x y \\ \sin x \end{smallmatrix}\right]"
    )
    with pytest.raises(ArgumentError, match='matrix="cases" is for vectors; f_jacobian has shape'):
        latex(g.jacobian(), matrix="cases")


def test_bars_between_arguments():
    f = energy()
    assert r"\left[\begin{array}{cc|cc|c}" in latex(f.hessian())
    assert latex(f.hessian()).count(r"\hline") == 2
    assert r"\left[\begin{array}{cc|cc|c}" in latex(f.gradient(), gradient="row")
    assert latex(f.gradient()).count(r"\hline") == 2
    assert "hline" not in latex(waves().hessian())  # scalars need no bars
    assert "array" not in latex(f.hessian(wrt="q"))


def test_labels():
    printed = latex(energy().hessian(wrt=["q", "m"]), labels=True)
    assert r"\begin{array}{r|cc|c} & q_{1} & q_{2} & m \\ \hline q_{1} & " in printed
    assert r"\hline m & " in printed
    jacobian = latex(pair().jacobian(), labels=True, lhs=False)
    assert jacobian == (r"\begin{array}{r|cc} & x & y \\ \hline f_{1} & y & x \\ f_{2} & \cos x & 0 \end{array}")
    assert latex(waves().gradient(), labels=True, lhs=False) == (
        r"\begin{array}{r|c} x & \sin y \\ y & x \cos y \end{array}"
    )


def test_labels_of_a_corner():
    f = function(lambda x: sum(x[i] * x[i + 1] for i in range(19)), x=(20,)).hessian()
    printed = latex(f, labels=True, limit=Limit(rows=4, columns=4), picture=False, lhs=False)
    assert printed.startswith(r"\begin{array}{r|cccc} & x_{1} & x_{2} & \cdots & x_{20} \\ \hline x_{1} & 0 & 1 ")
    assert r"\vdots & \vdots & \vdots & \ddots & \vdots \\ x_{20} & " in printed
    empty = function(lambda x: x[0] + x[1], x=(2,)).hessian(sparse=True)
    assert latex(empty, lhs=False) == r"\begin{bmatrix} 0 & 0 \\ 0 & 0 \end{bmatrix}"


def test_blocks_by_argument():
    f = energy()
    lines = latex(f.hessian(wrt=["q", "m"]), form="blocks").splitlines()
    mixed = r"\frac{\partial^{2} E}{\partial \boldsymbol{q} \, \partial m}"
    assert rf"\left({mixed}\right)^{{\mathsf{{T}}}}" in lines[1]
    assert [line.split(" &=")[0] for line in lines[2:5]] == [
        r"\frac{\partial^{2} E}{\partial \boldsymbol{q}^{2}}",
        mixed,
        r"\frac{\partial^{2} E}{\partial m^{2}}",
    ]
    jacobian = latex(f.gradient(wrt="q").jacobian(wrt=["q", "q_dot"]), form="blocks").splitlines()
    assert r"\frac{\partial \nabla_{\boldsymbol{q}} E}{\partial \dot{\boldsymbol{q}}}" in jacobian[1]
    assert latex(waves(), form="blocks") == latex(waves())  # nothing to take apart
    assert r"\frac{\partial E}{\partial m} &= \frac{\dot{q}_{1}^{2}" in latex(f.gradient(), form="blocks")


def test_sparse_derivatives_are_matrices():
    def chain(x):
        return sum(x[i] * x[i + 1] ** 2 for i in range(len(x) - 1))

    small = function(chain, x=(4,))
    dense = latex(small.hessian())
    assert latex(small.hessian(sparse=True)) == dense
    assert latex(small.hessian(sparse=True, triangle="lower")) == dense
    assert latex(small.gradient().jacobian(sparse=True), lhs=False) == latex(small.hessian(), lhs=False)
    large = function(chain, x=(100,)).hessian(sparse=True)
    assert r"\text{297 of 10\,000 entries can be non-zero:}" in latex(large)
    assert latex(large).count(r"\rule") > 60
    assert "rule" not in latex(large, picture=False)
    assert latex(large, form="entries", picture=False).count(r"\partial^{2}") == 16 * 12
    assert latex(large, form="entries", limit=None).count(r"\partial^{2}") == 297
    assert "rule" in latex(small.hessian(), picture=True)


def test_equal_terms_are_counted():
    assert expression(lambda x, y, z: x + y + x) == "2 x + y"
    assert expression(lambda x, y, z: 3 * x * y + 3 * x * y - ops.sin(z) - ops.sin(z)) == r"6 x y - 2 \sin z"
    assert expression(lambda x, y, z: x + 2 * x + x * y * 3 - 4 * y * x - y * x / 2) == (
        r"3 x y - \frac{9 x y}{2} + 3 x"
    )
    assert expression(lambda x, y, z: y * (x + x) / z) == r"\frac{2 x y}{z}"
    assert expression(lambda x, y, z: ops.sqrt(x.graph.lift(2)) * x + x) == r"\sqrt{2} x + x"
    assert expression(lambda x, y, z: x - x) == "x - x"  # NaN where x is infinite
    assert expression(lambda x, y, z: (x / y) + (x / y)) == r"\frac{2 x}{y}"
    assert plain(lambda x, y, z: x / 2 + x / 2 - y - y) == "x - 2·y"
    shared = expression(lambda x, y, z: (lambda p: p + p + p**2)(ops.exp(x * y * z) + ops.log(x + y)), where=True)
    assert r"t_{1}^{2} + 2 t_{1}" in shared


# --- where blocks and lines -------------------------------------------------------------------------------------------
def repeated(x, y, z):
    part = ops.exp(x * y) + ops.sin(x)
    return part * z + ops.log(part) + part**2 * ops.cos(y)


def test_where_names_repeated_parts_once():
    everything = expression(repeated, where=False)
    assert everything.count(r"\sin x") == 3
    for where in ("auto", True):
        named = expression(repeated, where=where)
        assert named.count(r"\sin x") == 1
        assert r"\text{where} \quad t_{1} &= e^{x y} + \sin x" in named
    assert "where" not in expression(lambda x, y, z: ops.sin(x) * y + ops.sin(x), where=True)


def test_definitions_come_before_their_use():
    def build(x, y, z):
        first = ops.sin(x * y * z + 1)
        second = ops.cos(first * x + first * first + y)
        return second**2 + second * x * y + second

    printed = expression(build, where=True).partition(r"\text{where}")[2].replace("&=", "=")
    defined = []
    for definition in re.split(r", \\quad|\\\\(?:\[4pt\])?\n", printed.removesuffix("\n\\end{aligned}")):
        name, value = definition.replace(r"\quad", "").split("=")
        assert set(re.findall(r"t_\{\d+\}", value)) <= set(defined)
        defined.append(name.strip())
    assert defined == ["t_{1}", "t_{2}"]


def test_long_sums_break():
    f = function(lambda q: sum(q[1:] ** 2, q[0] ** 2), q=(30,))
    lines = latex(f, width=60).splitlines()
    assert lines[0] == r"\begin{aligned}"
    assert all(line.startswith(r"&\quad + ") for line in lines[2:-1])
    assert len(lines) > 4
    assert latex(f, width=None).count("\n") == 0


def test_styles():
    f = waves()
    assert latex(f, style="equation", label="eq:f") == (
        "\\begin{equation}\\label{eq:f}\nf(x, y) = x \\sin y\n\\end{equation}"
    )
    aligned = latex(f.hessian(), form="entries", style="align", label="eq:h").splitlines()
    assert aligned[0] == r"\begin{align}"
    assert aligned[1].endswith(r"\label{eq:h} \\[4pt]")
    assert all(r"\notag" in line for line in aligned[2:-1])


def test_styles_without_numbers():
    assert latex(waves(), style="equation*") == "\\begin{equation*}\nf(x, y) = x \\sin y\n\\end{equation*}"
    lines = latex(waves().hessian(), form="entries", style="align*").splitlines()
    assert (lines[0], lines[-1]) == (r"\begin{align*}", r"\end{align*}")
    assert "notag" not in "".join(lines)
    with pytest.raises(ArgumentError, match="label is 'a' without a numbered style"):
        latex(waves(), style="align*", label="a")


def test_even_roots():
    assert expression(lambda x, y, z: x ** Fraction(1, 4) / y ** Fraction(1, 6)) == (r"\frac{\sqrt[4]{x}}{\sqrt[6]{y}}")
    assert expression(lambda x, y, z: x ** Fraction(1, 3)) == "x^{1/3}"


def test_number_format():
    assert expression(lambda x, y, z: x * 0.123456789, number_format=3) == "0.123 x"
    assert expression(lambda x, y, z: x * 0.1, number_format="rational") == r"\frac{x}{10}"
    assert expression(lambda x, y, z: ops.exp(x * -0.1), number_format="rational") == "e^{-x/10}"
    assert expression(lambda x, y, z: ops.exp(x * -0.0), number_format="rational") == "e^{-0 x}"
    assert expression(lambda x, y, z: x + 1 / 3, number_format="rational") == r"x + \frac{1}{3}"
    assert expression(lambda x, y, z: x - 1234.5, number_format="scientific") == r"x - 1.2345 \times 10^{3}"
    assert expression(lambda x, y, z: x + 12345.5, number_format="engineering") == r"x + 12.3455 \times 10^{3}"
    assert expression(lambda x, y, z: x * 2.5e-7, number_format="engineering") == r"250 \times 10^{-9} x"
    assert expression(lambda x, y, z: x * 0.5, number_format=lambda value: rf"\mathbf{{{value}}}") == r"\mathbf{0.5} x"


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("matrix", "brackets", "matrix is 'brackets': expected one of 'bmatrix', 'pmatrix'"),
        ("style", "tikz", "style is 'tikz': expected one of 'plain', 'equation', 'equation*', 'align', 'align*'"),
        ("where", "always", "where is 'always': expected one of True, False, 'auto'"),
        ("form", 3, "form is 3: expected one of 'matrix', 'blocks', 'entries'"),
        ("gradient", "both", "gradient is 'both': expected one of 'column', 'row'"),
        ("picture", "yes", "picture is 'yes': expected one of True, False, 'auto'"),
        ("number_format", 0, "number_format is 0: expected a positive number of digits, 'rational'"),
        ("label", "eq:1", "label is 'eq:1' without a numbered style"),
    ],
)
def test_options_are_checked(option, value, message):
    with pytest.raises(ArgumentError, match=re.escape(message)):
        latex(waves(), **{option: value})


# --- functions of a user's own ----------------------------------------------------------------------------------------
def test_partial_derivatives_of_opaque_functions():
    sample = [np.array([0.3, 0.4])]
    twice = hy.opaque(lambda q: q[0] * q[1], {"q": (2,)}, jacobian=lambda q: q[::-1], name="one_value", sample=sample)
    printed = latex(twice.gradient(), lhs=False)
    name = r"\operatorname{one\_value}(q_{1}, q_{2})"
    assert printed == rf"\begin{{bmatrix}} \partial_{{1}} {name} \\ \partial_{{2}} {name} \end{{bmatrix}}"
    assert latex(twice, lhs=False) == name
    pair_of = hy.opaque(
        lambda q: np.array([q[0] * q[1], q[0]]), {"q": (2,)}, jacobian=lambda q: np.array([q[::-1], [1.0, 0.0]]),
        name="pair", sample=sample,
    )  # fmt: skip
    entries = latex(pair_of.jacobian(), lhs=False)
    assert r"\partial_{2} \operatorname{pair}_{1}(q_{1}, q_{2})" in entries
    assert refused([printed, entries]) == []


# --- big things -------------------------------------------------------------------------------------------------------
BIG = 100_000
MANY = 20_000


def binary_sum(q):
    total = q[0]
    for x in q[1:]:
        total = total + ops.sin(x)
    return total


def chain(x):
    for _ in range(BIG):
        x = ops.sin(x) + 1
    return x


def shared(x):
    for _ in range(MANY):
        x = ops.sin(x) * x
    return x


def nested_cases(x):
    result = x
    for i in range(MANY):
        result = ops.where(ops.lt(x, i), x * i, result)
    return result


def masks(x):
    mask = ops.lt(x, 0)
    for _ in range(MANY):
        mask = ops.logical_xor(mask, ops.logical_not(mask))
    return ops.where(mask, x, 1)


HUGE = {
    "sum": (lambda q: q[0].graph.apply(ops.add, *(q * q)), (BIG,), r"\underbrace{\cdots}_{99\,960 \text{ more terms}}"),
    "binary sum": (binary_sum, (MANY,), r"\underbrace{\cdots}_{19\,960 \text{ more terms}} + \sin q_{20000}"),
    "product": (lambda q: q[0].graph.apply(ops.mul, *q), (MANY,), r"19\,960 \text{ more factors}"),
    "chain": (chain, (), r"\vdots"),
    "shared": (shared, (), r"\vdots"),
    "cases": (nested_cases, (), r"19\,960 \text{ more cases}"),
    "masks": (masks, (), r"\vdots"),
}


@pytest.mark.parametrize("name", HUGE)
def test_huge_things_print_in_part_and_fast(name):
    build, shape, expected = HUGE[name]
    f = function(build, q=shape)
    start = time.process_time()
    printed, in_text, all_in_place = latex(f), text(f), latex(f, where=False)
    assert time.process_time() - start < 15
    assert expected in printed
    assert re.search(r"\\text\{\(\d+(\\,\d+)* operations in all", printed)
    assert re.search(r"\([\d,]+ operations in all\)", in_text)
    assert max(map(len, (printed, in_text, all_in_place))) < 200_000
    assert balanced(printed)
    assert balanced(all_in_place)


def test_big_matrices_show_a_corner():
    f = function(lambda q: q * q, q=(200,)).jacobian()
    printed = latex(f)
    assert printed.count(r"\ddots") == 1
    assert r"_{200 \times 200}" in printed
    assert r"\cdot & \cdot" in printed
    assert "0 & 0" in latex(f, zero="0")
    assert r"\vdots" in latex(function(lambda q: q * 2, q=(50,)))
    assert latex(function(lambda q: q * 2, q=(50,)), limit=None).count(r"\\") == 49
    assert "… 176 more outputs" in text(f)
    assert latex(f, limit=Limit(rows=4, columns=4), picture=False).count("&") == 12


def test_big_integers_show_their_size():
    printed = expression(lambda x, y, z: x + 10**5000 // 7)
    assert r"1.428571428\ldots \times 10^{4999}" in printed


# --- every row, every string ------------------------------------------------------------------------------------------
def balanced(printed):
    depth = 0
    for brace in re.findall(r"(?<!\\)[{}]", printed):
        depth += 1 if brace == "{" else -1
        assert depth >= 0
    lefts, rights = (len(re.findall(rf"\\{side}(?![a-z])", printed)) for side in ("left", "right"))
    begins, ends = (re.findall(rf"\\{side}\{{(\w+)\}}", printed) for side in ("begin", "end"))
    return depth == 0 and lefts == rights and sorted(begins) == sorted(ends)


def of_row(name):
    op, graph = OPERATIONS[name], Graph()
    x, y, z = (Term(graph, graph.variable(v)) for v in "xyz")
    operands = [
        ops.lt(a, b) if kind == MASK else a + b for kind, a, b in zip(op.operands, (x, y, z), (y, z, x), strict=False)
    ]
    if op is ops.polygamma:
        operands[0] = graph.lift(2)
    result = op(*operands)
    arguments = tuple(Argument(v, (), (graph.variable(v),)) for v in "xyz")
    nodes = [result.node] if op.result == MASK else [(result**2 * x).node, (1 / result).node, (result - 1).node]
    return made(graph, arguments, nodes, (len(nodes),))


ROWS = [name for name, op in OPERATIONS.items() if not op.variadic]


@pytest.mark.parametrize("name", ROWS)
def test_every_row_prints(name):
    f = of_row(name)
    printed = latex(f)
    assert balanced(printed)
    assert printed.count(r"\begin{bmatrix}") == 1
    assert text(f).startswith("f(x, y, z)[0] = ")


def examples():
    """What KaTeX reads: rows, conventions, matrices, styles, big things."""
    found = [latex(of_row(name)) for name in ROWS] + [expression(build) for build, _, _ in WRITTEN.values()]
    scalar, vector = waves(), pair()
    for f in (scalar, vector, scalar.gradient(), scalar.hessian(), vector.jacobian()):
        found += [latex(f, **options) for options in ({}, {"lhs": "partial"}, {"form": "entries"}, {"style": "align"})]
    found += [expression(repeated, where=where, style="equation") for where in (True, False)]
    sparse = function(lambda x, y: sum(x[i] * x[i + 1] * y for i in range(29)), x=(30,), y=()).hessian(sparse=True)
    found += [latex(sparse, **options) for options in ({}, {"labels": True}, {"form": "blocks"}, {"picture": True})]
    found += [latex(energy().hessian(), matrix=m) for m in ("array", "smallmatrix", "matrix", "Bmatrix", "vmatrix")]
    found += [latex(vector, matrix="cases"), latex(scalar, style="equation*"), latex(scalar.hessian(), style="align*")]
    found += [latex(function(lambda A: A @ A, A=(2, 2)).jacobian()), latex(made(Graph(), (), (), (0, 3)))]
    found += [latex(function(lambda q: q * q, q=(200,)).jacobian(), matrix=m) for m in ("bmatrix", "Vmatrix")]
    found += [latex(function(HUGE[name][0], q=HUGE[name][1])) for name in ("binary sum", "product", "cases")]
    return found


def test_katex_reads_everything_in_strict_mode():
    strings = examples()
    assert refused(strings) == []
    assert len(strings) > 120


# --- goldens ----------------------------------------------------------------------------------------------------------
def pendulum():
    def energy(q, q_dot, m, g):
        return m * (q_dot[0] ** 2 / 2 + g * (1 - ops.cos(q[0])) + ops.maximum(q[1], 0) * q_dot[1] ** 2)

    return function(energy, name="H", q=(2,), q_dot=(2,), m=(), g=())


def rotations():
    def chain(q, L):
        s, c = [ops.sin(x) for x in q], [ops.cos(x) for x in q]
        first, second = c[0] * c[1] - s[0] * s[1], s[0] * c[1] + c[0] * s[1]
        return [[first, -second, L[0] * c[0] + L[1] * first], [second, first, L[0] * s[0] + L[1] * second], [0, 0, 1]]

    return function(chain, name="T", q=(2,), L=(2,))


def goldens():
    """Functions built by hand: a golden changes when the printer does, not with derivatives or rules of algebra."""
    found = {}
    for f in (black_scholes(), pendulum(), rotations()):
        found[f.name] = {"latex": latex(f).splitlines(), "text": text(f).splitlines()}
    found["T, entries"] = {"latex": latex(rotations(), form="entries", where=True).splitlines()}
    return found


def test_goldens():
    found = goldens()
    if os.environ.get("UPDATE_GOLDENS"):
        GOLDENS.parent.mkdir(exist_ok=True)
        GOLDENS.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    assert found == json.loads(GOLDENS.read_text(encoding="utf-8"))
