"""MathML: well-formed, of known elements, and read back by a reader that knows nothing of the printer."""

import re
import xml.etree.ElementTree as ET

import mathml_reader
import numpy as np
import pytest
from printed import black_scholes, function

from hybrid import operations as ops
from hybrid.errors import ArgumentError
from hybrid.evaluate import evaluate
from hybrid.operations import OPERATIONS, VARIABLE
from hybrid.printing.latex import latex
from hybrid.printing.latex_notation import LaTeX
from hybrid.printing.mathml import mathml, translate
from hybrid.printing.naming import LaTeXNames, TextNames
from hybrid.printing.text import PlainText
from hybrid.printing.typeset import Level, Piece

CORE = {"math", "mfrac", "mi", "mn", "mo", "mover", "mroot", "mrow", "mspace", "msqrt", "msub", "msubsup", "msup",
        "mtable", "mtd", "mtext", "mtr", "munder", "munderover"}  # fmt: skip
CHILDREN = {"mfrac": 2, "mroot": 2, "msub": 2, "msup": 2, "mover": 2, "munder": 2, "msubsup": 3, "munderover": 3,
            "mtd": 1}  # fmt: skip


def checked(markup):
    """The tree, if every element is one of MathML Core with as many children as it takes."""
    root = ET.fromstring(markup)
    for element in root.iter():
        name = mathml_reader.tag(element)
        assert name in CORE, name
        assert len(element) == CHILDREN.get(name, len(element)), ET.tostring(element)
        if name in ("mi", "mn", "mo", "mtext"):
            assert len(element) == 0
            assert element.text
        else:
            assert not (element.text or "").strip(), ET.tostring(element)
        assert not (element.tail or "").strip(), ET.tostring(element)
    return root


def check_value(f, symbols, values, **options):
    markup = mathml(f, **options)
    checked(markup)
    with np.errstate(all="ignore"):
        got = np.reshape(mathml_reader.read(markup, symbols), f.shape)
        expected = np.array(evaluate(f.graph, f.nodes, values)).reshape(f.shape)
    np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-12, err_msg=markup)


def at_random(f, seed=0):
    random = np.random.default_rng(seed)
    values = {n: random.uniform(0.2, 1.8) for n in range(len(f.graph)) if f.graph.ops[n] is VARIABLE}
    symbols = {}
    for node, value in values.items():
        leaf = f.graph.leaves[node]
        index = ",".join(str(i + 1) for i in leaf.index)
        name = {"sigma": "σ"}.get(leaf.name, leaf.name)
        symbols[f"{name}_{index}" if index else name] = np.float64(value)
    return symbols, values


def test_shapes_of_elements():
    f = function(lambda x, y: ops.sin(x) ** 2 / y, x=(), y=())
    inside = mathml(f, lhs=False).removeprefix('<math xmlns="http://www.w3.org/1998/Math/MathML" display="block">')
    assert inside == (
        "<mfrac><mrow><msup><mi>sin</mi><mn>2</mn></msup><mo>&#x2061;</mo>"
        '<mspace width="0.17em"/><mi>x</mi></mrow><mi>y</mi></mfrac></math>'
    )
    assert 'display="inline"' in mathml(f, display="inline")


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (r"\dot{q}_{1}", '<msub><mover><mi>q</mi><mo stretchy="false">˙</mo></mover><mn>1</mn></msub>'),
        (r"\boldsymbol{q}", '<mi>𝒒</mi>'),
        (r"\boldsymbol{\theta}", '<mi>𝜽</mi>'),
        (r"\mathcal{L}", "<mi>ℒ</mi>"),
        (r"\mathsf{T}", "<mi>𝖳</mi>"),
        (r"\text{a < b}", "<mtext>a\N{NO-BREAK SPACE}&lt;\N{NO-BREAK SPACE}b</mtext>"),
        (r"\texttt{a\_b\textasciicircum 2}", '<mtext style="font-family: monospace">a_b^2</mtext>'),
        ("x_2^3", "<msubsup><mi>x</mi><mn>2</mn><mn>3</mn></msubsup>"),
        (r"s_\star", '<msub><mi>s</mi><mi mathvariant="normal">⋆</mi></msub>'),
        (r"\unheardof{x}", r"<mrow><mtext>\unheardof</mtext><mo>&#x2062;</mo><mi>x</mi></mrow>"),
        ("-x", '<mrow><mo form="prefix">−</mo><mi>x</mi></mrow>'),
        (r"\sqrt[3]{x}", "<mroot><mi>x</mi><mn>3</mn></mroot>"),
    ],
)  # fmt: skip
def test_translation(written, expected):
    markup = translate(written)
    checked(markup)
    assert re.sub(r"</?math[^>]*>", "", markup) == expected.replace(">𝒒", ' mathvariant="normal">𝒒').replace(
        ">𝜽", ' mathvariant="normal">𝜽'
    ).replace(">ℒ", ' mathvariant="normal">ℒ').replace(">𝖳", ' mathvariant="normal">𝖳')


@pytest.mark.parametrize(
    "broken", ["x(", "{x", "x}", r"\left(x", r"\frac{x}", "^2", ")", r"\sqrt", "a & b", r"\end{x}", ""]
)
def test_latex_of_a_users_own_that_is_broken_stays_xml(broken):
    checked(translate(broken))


def test_deep_nesting_takes_no_recursion():
    depth = 5000
    markup = translate(r"\frac{1}{" * depth + "x" + "}" * depth)
    assert markup.count("<mfrac>") == depth


@pytest.mark.parametrize("name", [name for name, op in OPERATIONS.items() if not op.variadic])
def test_every_operation_is_read_back(name):
    op = OPERATIONS[name]

    def build(x, y, z):
        operands = [ops.lt(a, b) if kind == "mask" else a for kind, a, b in
                    zip(op.operands, (x, y, z), (y, z, x), strict=False)]  # fmt: skip
        operands = [
            ops.atan(a) * 0.5 + (low + 0.1 if low > -np.inf else 0) if kind != "mask" else a
            for a, kind, (low, _) in zip(operands, op.operands, op.domain, strict=True)
        ]
        if op.ordered:
            operands[0] = x.graph.lift(2)
        inner = op(*operands)
        if op.result == "mask":
            inner = ops.where(inner, x, 2)
        return [inner, -inner, inner**2, 1 / inner, x * inner * y, ops.sin(inner) - inner]

    f = function(build, x=(), y=(), z=())
    check_value(f, *at_random(f))


def test_black_scholes_is_read_back():
    price = black_scholes()
    for f in (price, price.gradient(), price.hessian().simplify()):
        for where in ("auto", True, False):
            check_value(f, *at_random(f), where=where)


def test_matrices_blocks_and_cases():
    f = function(lambda A: A @ A, A=(2, 2))
    check_value(f, *at_random(f))
    checked(mathml(f.jacobian()))
    checked(mathml(function(lambda q: q * q, q=(200,)).jacobian()))
    checked(mathml(function(lambda q: [q * 2], q=(12,))))
    g = function(lambda x, y: ops.where(ops.lt(x, 0), -x, ops.where(ops.ge(y, 1), y, 2)), x=(), y=())
    for seed in range(4):
        check_value(g, *at_random(g, seed))


def test_sums_over_an_index():
    names = LaTeXNames([("x", (9,))])
    notation = LaTeX(names)
    term = Piece("x_{i}^{2} + 1", Level.SUM)
    written = notation.over_index(term, "i", "1", "n")
    assert written.text == r"\sum_{i=1}^{n} (x_{i}^{2} + 1)"
    assert written.level == Level.INFIX  # a factor beside it takes parentheses
    root = checked(translate(written.text))
    large = next(root.iter(f"{mathml_reader.SPACE}munderover"))
    assert large[0].text == "∑"
    assert PlainText(TextNames(["x"])).over_index(term, "i", "1", "n").text == "Σ[i = 1, …, n] (x_{i}^{2} + 1)"


def test_options():
    f = black_scholes().gradient()
    assert mathml(f, matrix="pmatrix").count('<mo fence="true" stretchy="true">(</mo>') >= 1
    with pytest.raises(ArgumentError, match="MathML has no numbered equations"):
        mathml(f, style="align")
    with pytest.raises(ArgumentError, match="display is 'page': expected 'block' or 'inline'"):
        mathml(f, display="page")
    assert f.mathml(lhs="g") == mathml(f, lhs="g")
    assert f.text() == str(f)
    assert latex(f) == f.latex()
