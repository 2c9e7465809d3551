"""How names are written, and that no two are written alike."""

import pytest
from katex_strict import refused
from printed import function

from hybrid import operations as ops
from hybrid.errors import ArgumentError
from hybrid.operations import NAMED_CONSTANTS
from hybrid.printing.latex import latex, text
from hybrid.printing.naming import LaTeXNames, Variable, natural_key

NAMES = {
    "x": "x", "x1": "x_{1}", "x_12": "x_{12}", "alpha": r"\alpha", "sigma2": r"\sigma_{2}", "Omega": r"\Omega",
    "lambda_": r"\lambda", "q_dot": r"\dot{q}", "q1_ddot": r"\ddot{q}_{1}", "f_bar": r"\bar{f}",
    "theta_dot": r"\dot{\theta}", "x_i": "x_{i}", "x_i_j": "x_{i,j}", "T_max": r"T_{\mathrm{max}}",
    "k_alpha": r"k_{\alpha}", "rate": r"\mathrm{rate}", "T_max_dot": r"\dot{T}_{\mathrm{max}}",
    "vol_2": r"\mathrm{vol}_{2}", "x_{3}": "x_{3}", r"\beta": r"\beta", "σ": r"\sigma", "x₁": "x_{1}", "é": r"\text{é}",
    "_x": r"\texttt{\_x}", "a__b": r"\texttt{a\_\_b}", "100%": r"\texttt{100\%}", "a b": r"\text{a b}",
    r"\input{x}": r"\texttt{\textbackslash input\{x\}}", "x^2": r"\texttt{x\textasciicircum 2}", "$": r"\texttt{\$}",
    "x1y": r"\texttt{x1y}", "😀": r"\text{U+1F600}", "hbar": r"\hbar", "a~b#c&d": r"\texttt{a\textasciitilde b\#c\&d}",
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_names(name):
    assert LaTeXNames([(name, ())]).variable(Variable(name)) == NAMES[name]


def test_names_that_look_alike_stay_apart():
    names = LaTeXNames([("x_1", ()), ("x1", ()), ("x", (2,)), ("π", ()), ("pi", ())], constants=[r"\pi"])
    written = [names.variable(v) for v in map(Variable, ("x_1", "x1", "pi", "π"))] + [
        names.variable(Variable("x", (0,)))
    ]
    assert written[0] == "x_{1}"
    assert written[1] == r"\texttt{x1}"
    assert len(set(written)) == len(written)
    assert r"\pi" not in written


def test_elements_count_from_one_unless_asked():
    f = function(lambda q, A: q[0] * A[0, 1], q=(2,), A=(2, 2))
    assert latex(f) == r"f(\boldsymbol{q}, \boldsymbol{A}) = A_{1,2} q_{1}"
    assert latex(f, first_index=0, lhs=False) == "A_{0,1} q_{0}"
    assert text(f) == "f(q, A) = A[0, 1]·q[0]"


def test_own_names():
    f = function(lambda q, s: q[0] * s + q[1], q=(2,), s=())
    own = {"q": r"\theta", "q[1]": "w", "s": r"s_\star"}
    assert latex(f, symbol_names=own, lhs=False) == r"\theta_{1} s_\star + w"
    with pytest.raises(ArgumentError, match=r"symbol_names\['s'\] is '\{s': expected LaTeX with balanced braces"):
        latex(f, symbol_names={"s": "{s"})


def test_names_of_parts_never_meet_the_users():
    def build(t, u, x):
        part = ops.sin(t * u * x + 1) * 3
        return part**2 + part

    printed = latex(function(build, t=(), u=(), x=()), where=True)
    assert r"\text{where} \quad w_{1} &=" in printed
    shadowed = function(lambda t1, u_2, x: build(t1, u_2, x), t1=(), u_2=(), x=())
    assert r"\text{where} \quad w_{1} &=" in latex(shadowed, where=True)
    assert "where w1 = " in text(shadowed, where=True)
    called = function(lambda x: build(x, x + 1, x), name="t", x=())
    assert r"\text{where} \quad u_{1} &=" in latex(called, where=True)
    assert "where u1 = " in text(called, where=True)


def test_a_variable_e_is_not_the_constant():
    f = function(lambda e, x: ops.exp(x) * e + NAMED_CONSTANTS[1] * ops.exp(e), e=(), x=())
    assert latex(f, lhs=False) == r"\mathrm{e} \exp e + e \exp x"
    assert text(f) == "f(e, x) = E·exp(e) + e·exp(x)"


def test_a_variable_is_not_a_function_of_the_same_letter():
    f = function(lambda theta, x: ops.heaviside(x, 1) * theta * (x + 1), theta=(), x=())
    assert latex(f, lhs=False) == r"\theta (x + 1) \operatorname{heaviside}(x, 1)"
    g = function(lambda psi, x: ops.digamma(x) + ops.polygamma(x.graph.lift(2), psi), psi=(), x=())
    assert latex(g, lhs=False) == r"\operatorname{digamma}(x) + \operatorname{polygamma}(2, \psi)"
    h = function(lambda Phi, x: ops.log_ndtr(x) * Phi, Phi=(), x=())
    assert latex(h, lhs=False) == r"\Phi \operatorname{log\_ndtr}(x)"
    assert refused([latex(f), latex(g), latex(h)]) == []


def test_natural_order():
    assert sorted(["x10", "x2", "B", "a"], key=natural_key) == ["a", "B", "x2", "x10"]


def test_katex_reads_every_name():
    names = [LaTeXNames([(name, ())]).variable(Variable(name)) for name in NAMES]
    names += [LaTeXNames([(name, (2,))]).argument(name, (2,)) for name in NAMES]
    names += [LaTeXNames([]).function(name) for name in NAMES]
    assert refused(names) == []
