"""Expressions as text: what they mean, and what is refused."""

from __future__ import annotations

import math
import operator
import pickle

import numpy as np
import pytest
import sympy as sp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hybrid import Function, compile
from hybrid.errors import ArgumentError, HybridError, UnsupportedError
from hybrid.operations import OPERATIONS
from hybrid.parse import FUNCTIONS, LONGEST, define, parse


def function(text: str, **shapes: tuple[int, ...]) -> Function:
    return Function.from_definition(define(text, shapes))


def value(text: str, **values: object) -> np.ndarray:
    """The traced expression, evaluated by a kernel that was checked against the text run on the tape."""
    shapes = {name: np.shape(array) for name, array in values.items() if np.ndim(array)}
    return np.asarray(function(text, **shapes)(**values))


X, Y = 0.7, 1.3
MEANINGS = {
    "x + y - 2": X + Y - 2,
    "x*y/3": X * Y / 3,
    "-x**2 + y": -(X**2) + Y,
    "2**-x*y": 2**-X * Y,
    "x**-2 + y": X**-2 + Y,
    "x**(1/2)*y": X**0.5 * Y,
    "x % y": X % Y,
    "exp(-x**2) * sin(y)": math.exp(-(X**2)) * math.sin(Y),
    "ln(x) + log(y)": math.log(X) + math.log(Y),
    "pi*x + E*y": math.pi * X + math.e * Y,
    "max(x, y, 1) + min(x, y)": max(X, Y, 1) + min(X, Y),
    "x if x < y else y": X,
    "x if 0 < y < 1 else 10*y": 10 * Y,
    "x if x > 0 and not y < 0 else 0": X,
    "x if x > 1 or y > 1 else 0": X,
    "where(x >= y, x, y)": Y,
    "atan2(y, x) + hypot(x, y)": math.atan2(Y, X) + math.hypot(X, Y),
    "heaviside(x) + heaviside(-y, 1)": 1.0,
    "erf(x) + gamma(y)": math.erf(X) + math.gamma(Y),
    "abs(-x) + sqrt(2)*y": X + math.sqrt(2) * Y,
    "1e3*x + .5*y": 1e3 * X + 0.5 * Y,
    "+x + (y)": X + Y,
}


@pytest.mark.parametrize("text", MEANINGS)
def test_means_what_python_means(text: str) -> None:
    np.testing.assert_allclose(value(text, x=X, y=Y), MEANINGS[text], rtol=4e-16, atol=4e-16)


def test_every_elementwise_row_can_be_called() -> None:
    for name, call in FUNCTIONS.items():
        if name in ("sum", "dot", "polygamma"):
            continue
        names = ["a", "b", "c"][: max(1, call.least)]
        condition = ["a > 0", *names[1:]] if name == "where" else names
        assert function(f"{name}({', '.join(condition)})").shape == (), name
    assert {name for name, row in OPERATIONS.items() if row.arity == 1 and row.result == "real"} - set(FUNCTIONS) == {
        "neg"
    }
    assert value("polygamma(1, x)", x=1.0) == pytest.approx(math.pi**2 / 6)


def test_arrays_and_indices() -> None:
    q = np.array([0.3, 0.5, 0.7])
    assert value("sum(log(q)**2)", q=q) == pytest.approx(np.sum(np.log(q) ** 2))
    assert value("q @ q + dot(q, q)", q=q) == pytest.approx(2 * q @ q)
    assert value("q[-1] + sum(q[:2])", q=q) == pytest.approx(q.sum())
    a = np.arange(6.0).reshape(2, 3)
    assert value("a[1, 2] - a[0, 1]", a=a) == 4.0


def test_lists_are_several_outputs() -> None:
    assert function("[x*y, x, 1]").shape == (3,)
    assert function("[[x, y], [y, x]]").shape == (2, 2)
    np.testing.assert_array_equal(value("x, 2*x, 3", x=1.5), [1.5, 3.0, 3.0])
    with pytest.raises(ArgumentError, match=r"items of a list have the shapes"):
        function("[x, [y, 1]]")


def test_arguments_in_order_with_shapes_from_their_indices() -> None:
    f = function("b[2] * a + c[0, 1] * b[0]")
    assert [(a.name, a.shape) for a in f.arguments] == [("b", (3,)), ("a", ()), ("c", (1, 2))]
    assert [a.name for a in function("x + y", y=(), x=()).arguments] == ["y", "x"]


def test_constants_stay_exact() -> None:
    assert str(function("(1/3)*x")) == "f(x) = x/3"
    assert str(function("(2/6 + 1/3)*x**(1/2)")) == "f(x) = 2·√x/3"
    assert str(function("2*pi*x")) == "f(x) = 2·π·x"
    assert "√2" in str(function("sqrt(2)*x"))


def test_a_huge_power_is_not_carried_out() -> None:
    assert value("9**9**9 + x", x=1.0) == math.inf
    assert value("x*10**400", x=1.0) == math.inf


def test_a_name_that_has_a_shape_is_no_constant() -> None:
    assert [a.name for a in function("E + x").arguments] == ["x"]
    assert function("E + 1", E=())(E=2.0) == 3.0


def test_derivatives_are_checked_against_the_text() -> None:
    f = function("sum(exp(q)*sin(q[0]*q[1])) / (1 + q[2]**2)", q=(3,))
    kernel = compile(f, f.gradient(), f.hessian())
    assert kernel.certificate is not None
    assert kernel.certificate.passed
    assert "Python function" in kernel.certificate.witness


REFUSED = {
    "__import__('os').system('true')": "only calls of known functions by name",
    "().__class__": "names have no attributes",
    "np.sin(x)": "only calls of known functions by name",
    "open('f')": "no function 'open'",
    "eval('x')": "no function 'eval'",
    "lambda: x": "is not read here",
    "[y for y in x]": "is not read here",
    "x := 3": "no expression",
    "(x := 3)": "is not read here",
    "f'{x}'": "is not read here",
    "'text'": "only real numbers",
    "2j*x": "only real numbers",
    "True*x": "only real numbers",
    "{x: 1}": "is not read here",
    "x ^ 2": r"a power is written x\*\*2",
    "x & y": "write",
    "x // y": "floor",
    "x << 2": "is not read here",
    "sin(x, base=2)": "without keywords",
    "sin(*x)": "is not read here",
    "sin(x, y)": "sin takes 1 argument, got 2",
    "sine(x)": "did you mean sin",
    "sin + x": "sin is a function",
    "x[y]": "no whole number",
    "x[True]": "no whole number",
    "x[1.5]": "no whole number",
    "q[-1]": "do not show its shape",
    "q[0] + sum(q)": "both whole and with an index",
    "q[0] + q[0, 1]": "1 and with 2 indices",
    "x +": "no expression",
    "import os": "nothing is imported",
    "from os import system": "nothing is imported",
    "x; y": "only the last one is the function",
    "a = x": "comes the expression that is the function",
    "a = x; a = 2*x; a": "a is named already",
    "y = x; x = 2; y": "x is an argument already",
    "pi = 3; pi*x": "pi is a constant",
    "a, b = x, y; a": "is not read here",
    "a += x; a": "write a = a",
    "x.y = 3; x": "is not read here",
    "def f(x): return x": "is not read here",
    "# nothing": "nothing but space and comments",
    "2x": r"a product is written 2\*x",
    "sin x": r"a call sin\(x\)",
    "x = y = 2; x": "is not read here",
    "x(y + 1)": "a product is written x",
    "Piecewise(x, y)": "write Piecewise",
    "Piecewise((x, y))": "write Piecewise",
    "Piecewise()": "no function 'Piecewise'",
    "q[1000000000]": "these indices show 1,000,000,001 elements",
    "q[100000, 100000]": "these indices show",
    "1e999*x": "beyond float64",
    "x*" + "9" * 5000: "too many digits",
    "x*0x" + "f" * 2000: "at most 4096 bits",
    "heaviside(x, y, z)": "takes 1 to 2 arguments",
    "": "no expression",
    "3": "names no variable",
    "x is y": "is not read here",
    "x in y": "is not read here",
    "x\0": "cannot be read|no expression",
    "(" * 500 + "x" + ")" * 500: "cannot be read|no expression",
    "x" + "+x" * 30_000: "cannot be read|no expression|^$",
}


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: text[:24])
def test_everything_else_is_refused_by_name(text: str) -> None:
    if len(text) > 50_000:  # deep, but within what some versions of Python read: then it must work
        try:
            assert function(text).shape == ()
        except HybridError:
            return
        return
    with pytest.raises(HybridError, match=REFUSED[text]):
        function(text)


def test_text_that_is_too_long_is_refused() -> None:
    with pytest.raises(ArgumentError, match="at most"):
        parse("x" * (LONGEST + 1))


def test_a_shape_needs_its_name() -> None:
    with pytest.raises(ArgumentError, match="no name 'z'"):
        define("x + y", {"z": (3,)})


def test_nothing_runs(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnsupportedError):
        define("open('made', 'w')")
    assert not list(tmp_path.iterdir())


def test_any_text_is_a_function_or_a_message() -> None:
    """Random strings of plausible pieces: nothing but a function or one of our errors comes out."""
    pieces = [
        "x",
        "y",
        "q[0]",
        "q",
        "2",
        "0.5",
        "1/3",
        "+",
        "-",
        "*",
        "/",
        "**",
        "%",
        "@",
        "(",
        ")",
        "[",
        "]",
        ",",
        " ",
    ]
    pieces += [
        "sin(",
        "sum(",
        "where(",
        "max(",
        "<",
        "==",
        " and ",
        " not ",
        " if ",
        " else ",
        "pi",
        "^",
        ".",
        ":",
        "'",
    ]
    random = np.random.default_rng(5)
    outcomes = {True: 0, False: 0}
    for _ in range(1500):
        text = "".join(random.choice(pieces, random.integers(1, 9)))
        try:
            made = function(text)
        except HybridError:
            outcomes[False] += 1
        else:
            assert made.arguments, text
            outcomes[True] += 1
    assert min(outcomes.values()) > 30, outcomes


# --- assignments, words, pieces ---------------------------------------------------------------------------------------
def test_assignments_name_what_is_used_again() -> None:
    f = function("r = hypot(x, y); s = r**2; [r*exp(-s), s]")
    assert [a.name for a in f.arguments] == ["x", "y"]
    np.testing.assert_allclose(f(3.0, 4.0), [5 * math.exp(-25.0), 25.0])
    lines = "# a comment\n  a = x*2   # and another\n\n  b = [a, y]\n  b[0] - sum(b)\n"
    assert function(lines)(x=1.5, y=2.0) == -2.0
    assert function("gamma = 2*x; gamma + gamma(3)*0")(x=1.5) == 3.0  # a name may be that of a function


def test_lines_may_go_on_inside_brackets() -> None:
    assert function("sin(x\n   + 0)")(x=0.5) == math.sin(0.5)


def test_words_of_python_are_names() -> None:
    f = function("lambda*x + class**2 + from")
    assert [a.name for a in f.arguments] == ["lambda", "x", "class", "from"]
    assert f(2.0, 3.0, 4.0, 5.0) == 27.0
    assert f(**{"lambda": 2.0, "x": 3.0, "class": 4.0, "from": 5.0}) == 27.0
    assert f.gradient()(2.0, 3.0, 4.0, 5.0).tolist() == [3.0, 2.0, 8.0, 1.0]
    assert function("self*args")(2.0, 3.0) == 6.0


def test_names_may_be_in_any_alphabet() -> None:
    f = function("θ*sin(φ) + \N{MICRO SIGN}")  # which Python reads as the letter
    assert [a.name for a in f.arguments] == ["θ", "φ", "\N{GREEK SMALL LETTER MU}"]
    assert f(2.0, 0.5, 1.0) == pytest.approx(2 * math.sin(0.5) + 1)


def test_what_sympy_prints_is_read() -> None:
    x, y = sp.symbols("x y")
    for expression in (
        sp.Piecewise((x**2, x < 0), (sp.sin(x), (x > 1) & (y < 2)), (y, True)),
        sp.Piecewise((x + y, ~((x > 2) | (x < -1)))),
        sp.Abs(x) + sp.Max(x, y, 1) - sp.Min(x, 2) + sp.Heaviside(y),
        sp.Mod(x, 3) + sp.ceiling(y) + sp.besselj(1, x),
    ):
        text, direct = function(str(expression)), Function([x, y], expression)
        by_name = {"x": X, "y": Y}
        got = text(**{a.name: by_name[a.name] for a in text.arguments})
        np.testing.assert_allclose(got, direct(X, Y), rtol=1e-14)
    assert math.isnan(function("Piecewise((x, x > 1))")(0.5))


def test_a_text_is_pickled_as_text() -> None:
    f = pickle.loads(pickle.dumps(function("q[0]*sin(q[1]) if q[0] > 0 else b", b=(), q=(3,))))
    assert [(a.name, a.shape) for a in f.arguments] == [("b", ()), ("q", (3,))]
    assert f(1.0, [2.0, 0.5, 0.0]) == 2 * math.sin(0.5)
    assert compile(f, f.gradient()).certificate.passed


# --- where the error is -----------------------------------------------------------------------------------------------
MARKED = {
    "x + sine(y)": ("sine", "did you mean sin"),
    "θ*ω + sine(y)": ("sine", "did you mean sin"),
    "lambda*from + y^2": ("lambda*from + y^2", "a power is written"),
    "a = x\nb = 2*y\na + b[y]": ("y", "no whole number"),
    "a = (x\n  + foo(y))\na": ("foo", "no function 'foo'"),
    "x" + " + x" * 200 + " + sine(x)" + " + x" * 200: ("sine", "did you mean sin"),
    "sin(x, y)": ("sin", "takes 1 argument"),
    "q[0] + q[0, 1]": ("q[0, 1]", "indices"),
}


@pytest.mark.parametrize("text", MARKED, ids=lambda text: text[:20])
def test_errors_stand_under_what_is_wrong(text: str) -> None:
    with pytest.raises(HybridError) as caught:
        function(text)
    message, line, mark = str(caught.value).split("\n")
    marked, words = MARKED[text]
    assert words in message
    assert len(line) < 110
    start = len(mark) - len(mark.lstrip())
    assert line[start : len(mark)] == marked


def test_a_shape_for_a_name_that_is_not_there_has_a_suggestion() -> None:
    with pytest.raises(ArgumentError, match=r"no name 'theta_1' .*did you mean 'theta_l'"):
        define("theta_l*x", {"theta_1": (3,)})
    with pytest.raises(ArgumentError, match="at most 1,000,000"):
        define("sum(q)", {"q": (10**9,)})


# --- fuzzing ----------------------------------------------------------------------------------------------------------
# No 0: as a whole number it has no sign, as a float64 it has, and atan2 sees it.
LEAVES = st.one_of(
    st.sampled_from(["x", "y"]).map(lambda name: (name, lambda x, y: {"x": x, "y": y}[name])),
    st.integers(1, 99).map(lambda n: (str(n), lambda x, y: float(n))),
    st.floats(0.01, 50, allow_nan=False).map(lambda a: (repr(a), lambda x, y: a)),
)
UNARY = {"sin": math.sin, "cos": math.cos, "atan": math.atan, "abs": abs, "-": operator.neg, "tanh": math.tanh}
BINARY = {"+": operator.add, "-": operator.sub, "*": operator.mul}
PAIRS = {"max": max, "min": min, "hypot": math.hypot, "atan2": math.atan2}


def grow(inner):
    def unary(name, one):
        return (f"{name}({one[0]})", lambda x, y: UNARY[name](one[1](x, y)))

    def binary(sign, one, two):
        return (f"({one[0]}) {sign} ({two[0]})", lambda x, y: BINARY[sign](one[1](x, y), two[1](x, y)))

    def pair(name, one, two):
        return (f"{name}({one[0]}, {two[0]})", lambda x, y: PAIRS[name](one[1](x, y), two[1](x, y)))

    def choice(one, two, three, four):
        text = f"({one[0]} if {two[0]} < {three[0]} else {four[0]})"
        return (text, lambda x, y: one[1](x, y) if two[1](x, y) < three[1](x, y) else four[1](x, y))

    return st.one_of(
        st.builds(unary, st.sampled_from(sorted(UNARY)), inner),
        st.builds(binary, st.sampled_from(sorted(BINARY)), inner, inner),
        st.builds(pair, st.sampled_from(sorted(PAIRS)), inner, inner),
        st.builds(choice, inner, inner, inner, inner),
    )


def check_meaning(expression) -> None:
    text, meaning = expression
    parsed = parse(text)
    at = {"x": 0.7, "y": -1.3}
    with np.errstate(all="ignore"):
        found = float(parsed(*(at[name] for name in parsed.names)))
    np.testing.assert_allclose(found, meaning(**at), rtol=1e-9, atol=1e-9)


@settings(max_examples=100, deadline=None)
@given(st.recursive(LEAVES, grow, max_leaves=12))
def test_texts_mean_what_they_say(expression) -> None:
    check_meaning(expression)


ALPHABET = "xyqπθ0129.eEjJ()[]{}<>=!+-*/%@,:;~&|^'\"\\#_ \n\tλ\0\u2028ſªa"
WORDS = [
    "lambda",
    "for",
    "in",
    "is",
    "not",
    "and",
    "or",
    "if",
    "else",
    "class",
    "def",
    "True",
    "None",
    "__import__",
    "sin(",
    "sum(",
    "where(",
    "Piecewise(",
    "max(",
    "pi",
    "q[0]",
    "q[1,2]",
    "q[:2]",
    "1e308",
    "0x10",
    "1_000",
    "9**9**9",
    "(x<y)",
    "x=y;",
    "a=x\n",
    "...",
    "f'{x}'",
    "await",
    "yield",
    "*",
    "**",
    ":=",
    "->",
    "async",
]
PIECES = st.lists(st.one_of(st.text(ALPHABET, max_size=6), st.sampled_from(WORDS)), max_size=12).map("".join)


def check_any_text(text: str) -> None:
    try:
        made = function(text)
    except HybridError:
        return
    assert made.arguments


@settings(max_examples=250, deadline=None)
@given(PIECES)
def test_any_text_is_read_or_refused(text: str) -> None:
    check_any_text(text)


@pytest.mark.long
@settings(max_examples=30_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.one_of(PIECES, st.text(max_size=60)))
def test_any_text_is_read_or_refused_for_long(text: str) -> None:
    check_any_text(text)


@pytest.mark.long
@settings(max_examples=5_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.recursive(LEAVES, grow, max_leaves=60))
def test_texts_mean_what_they_say_for_long(expression) -> None:
    check_meaning(expression)


HEAVY = [
    *[
        "9**9**9**9*x",
        "x**10**18",
        "(x+1)**100000",
        "x**-(10**300)",
        "sum(q[:0])+x",
        "1/0*x",
        "0**-1*x",
        "x%0",
        "q[0][1][2]",
        "[[x],[y]]@[[x],[y]]",
        "where(1,x,2)",
        "x<y",
        "max(x)",
        "polygamma(10**9,x)",
        "jv(1000,x)",
        "[x]*3",
    ],
    *("(" * 90 + "x" + ")" * 90, "-" * 3000 + "x", "x" + "[0]" * 2000, "[" * 80 + "x" + "]" * 80),
]


@pytest.mark.parametrize("text", HEAVY, ids=lambda text: text[:20])
def test_heavy_texts_take_no_time(text: str) -> None:
    check_any_text(text)
