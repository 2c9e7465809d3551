"""SymPy in and out: every row and every rule against SymPy's own values, shapes, names, sizes, errors."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import pytest
import sympy as sp
from sympy.codegen import cfunctions
from traced import value

from hybrid import sympy_bridge
from hybrid.definition import Definition, SymPySource
from hybrid.errors import ArgumentError, InputTypeError, ShapeError, UnsupportedError
from hybrid.evaluate import evaluate
from hybrid.graph import Graph
from hybrid.operations import LINE, MASK, OPERATIONS, Operation
from hybrid.sympy_bridge import define, shaped, symbols, sympy_expression, to_sympy

x, y, z = symbols("x y z")
k, n = sp.symbols("k n", integer=True)
POINTS = [(0.3, 1.75, -2.5), (1.2, 0.4, 3.0), (-0.6, 2.25, 0.7), (0.0, 1.0, -0.5), (-1.5, 0.5, 2.0)]
ROWS = [op for op in OPERATIONS.values() if op.name not in ("variable", "constant")]


def at(definition: Definition, *point: float) -> Any:
    return value(definition, dict(zip("xyz", point, strict=False)))


def exact(expression: Any, point: tuple[float, ...]) -> float:
    """SymPy's value at 30 digits; NaN where it is not a real number."""
    substituted = expression.subs({s: sp.Rational(v) for s, v in zip((x, y, z), point, strict=True)})
    if substituted in (sp.true, sp.false):
        return float(bool(substituted))
    number = substituted.evalf(30)
    return float(number) if number.is_extended_real else math.nan


# --- the table --------------------------------------------------------------------------------------------------------
def sample(op: Operation, position: int) -> float:
    low, high = op.domain[position] if op.domain else LINE
    if (low, high) == LINE:
        return [0.7, -1.3, 0.4][position]
    return low + 0.37 * (high - low) if math.isfinite(high) else max(low, -1.0) + 1.7 + position


@pytest.mark.parametrize("op", ROWS, ids=lambda op: op.name)
def test_every_row_comes_in(op: Operation) -> None:
    """The row's SymPy form is read as that row or its formula, with SymPy's value."""
    count = op.arity or 3
    point = [sample(op, i) for i in range(count)]
    arguments: list[Any] = [x, y, z][:count]
    if op.ordered:
        arguments, point = [sp.Integer(2), y], [0.0, 1.7]
    arguments = [a > 0 if kind == MASK else a for a, kind in zip(arguments, op.operands or "rrr", strict=False)]
    expression = sympy_expression(op, *arguments)
    if op.result == MASK:
        expression = sp.Piecewise((2, expression), (5, True))
    point += [0.5] * (3 - len(point))
    wanted = exact(expression, tuple(point))
    assert math.isfinite(wanted)
    # a tail of the continued fraction of erfcx is a small rest of a difference, and has 12 digits at worst
    tolerance = 1e-12 if op.name == "erfc_ratio" else 2e-15
    np.testing.assert_allclose(at(define([x, y, z], expression), *point), wanted, rtol=tolerance, atol=1e-15)


@pytest.mark.parametrize("op", [op for op in ROWS if op.sympy is not None and not op.variadic], ids=lambda op: op.name)
def test_the_class_of_a_row_is_read_as_that_row(op: Operation) -> None:
    if op.name == "pow":
        arguments: list[Any] = [x, y]
    elif op.ordered:
        arguments = [sp.Integer(2), x]
    elif op.operands[0] == MASK:
        arguments = [x > 0, y > 0][: op.arity]
    else:
        arguments = [x, y][: op.arity]
    made = op.sympy(*arguments) if op.name != "digamma" else sp.digamma(x)
    outputs = sp.Piecewise((1, made), (0, True)) if op.result == MASK else made
    if op.name == "not":  # SymPy turns ¬(x > 0) round
        outputs = sp.Piecewise((1, sp.Not(sp.Contains(x, sp.Interval(0, 1)), evaluate=False)), (0, True))
    definition = define([x, y], outputs)
    assert op in definition.graph.ops


@pytest.mark.parametrize("op", ROWS, ids=lambda op: op.name)
def test_every_row_survives_the_round_trip(op: Operation) -> None:
    graph = Graph()
    nodes = [graph.variable(name) for name in "xyz"]
    operands = [
        graph.add_node(OPERATIONS["lt"], (nodes[i], graph.constant(0))) if kind == MASK else nodes[i]
        for i, kind in enumerate(op.operands or ("real",) * 3)
    ]
    if op.ordered:
        operands[0] = graph.constant(1)
    root = graph.add_node(op, tuple(operands))
    if op.result == MASK:
        root = graph.add_node(OPERATIONS["select"], (root, graph.constant(2), graph.constant(5)))
    (expression,) = to_sympy(graph, [root])
    again = define(list(symbols("x y z")), expression)
    for point in [*POINTS, (0.5, -2.5, 1.5), (2.5, -0.7, 1.5), (-2.5, 0.7, 0.0), (-7.25, -2.0, 1.0)]:
        (want,) = evaluate(graph, [root], dict(zip(nodes, map(np.float64, point), strict=True)))
        np.testing.assert_allclose(at(again, *point), want, rtol=4e-15, atol=4e-15, err_msg=str(expression))


# --- rules ------------------------------------------------------------------------------------------------------------
EXPRESSIONS: list[Any] = [
    x + y - z, -x - y, -2 * x - 3 * y, x - 1, 1 - x, x / 2, x / 3, -x / 3, 2 * x / (3 * y**2), -x / y, 1 / y, -1 / y,
    sp.Rational(22, 7) * x, sp.Float("0.1") * x, sp.Integer(10) ** 30 * x, x * y * z, -x * y, x**2, x**-2, y**-2 / x,
    sp.sqrt(y), 1 / sp.sqrt(y), y ** sp.Rational(2, 3), sp.cbrt(y), y**x, y**-x, 2**x, sp.exp(x * y), sp.E**x,
    sp.Pow(sp.E, x, evaluate=False), sp.exp(-x) / y, x**0.5, sp.log(y, 2), sp.log(y, 10), sp.pi * x, sp.E,
    sp.GoldenRatio,
    sp.EulerGamma + x, sp.Catalan, sp.TribonacciConstant, sp.exp(1), sp.oo, -sp.oo, sp.nan, sp.Float("1e400"),
    sp.sec(x), sp.csc(y), sp.cot(y), sp.asec(y + 1), sp.acsc(y + 1), sp.acot(y), sp.sech(x), sp.csch(y), sp.coth(y),
    sp.asech(y / 3), sp.acsch(y), sp.acoth(y + 1), sp.sinc(x), sp.frac(x), sp.Heaviside(x), sp.Heaviside(x, 1),
    sp.Heaviside(x, y), sp.sign(x), sp.Abs(x), sp.floor(x), sp.ceiling(x), sp.Mod(z, y), sp.Mod(-x, 2),
    sp.Max(x, y, z), sp.Min(x, y, z), sp.Max(x, 0), sp.erf(x), sp.erfc(x), sp.erf2(x, y), sp.gamma(y), sp.loggamma(y),
    sp.digamma(y), sp.trigamma(y), sp.polygamma(3, y), sp.factorial(y), sp.beta(y, 2), sp.binomial(x, 3),
    sp.binomial(x, 0),
    sp.binomial(y, y / 2), sp.KroneckerDelta(x, 0), sp.RisingFactorial(y, sp.Rational(1, 2)),
    sp.FallingFactorial(x, 3), sp.catalan(y), sp.re(x), sp.im(x), sp.conjugate(x),
    sp.UnevaluatedExpr(x) + 1, cfunctions.fma(x, y, z), cfunctions.hypot(x, y), sp.real_root(y, 3),
    sp.Derivative(sp.sin(x * y), x), sp.Derivative(x**3 * y, x, 2), sp.Subs(x**2 + y, x, 3),
    sp.Subs(sp.Derivative(k**2 * x, k), k, y), sp.Sum(k * x**k, (k, 1, 5)), sp.Sum(x / k**2, (k, 1, 20)),
    sp.Sum(k * n * x, (k, 1, n), (n, 1, 4)), sp.Sum(sp.sin(k * x) / sp.factorial(k), (k, 0, 6)), sp.Sum(y, (k, 1, 3)),
    sp.Sum(k, (k, 3, 2)), sp.Sum(k * y, (k, 5, 2)), sp.Product(x + k, (k, 1, 4)), sp.Product(k + y, (k, 5, 2)),
    sp.Product(k, (k, 1, 0)), sp.Sum(sp.Sum(x**k * n, (n, 1, k)), (k, 1, 3)), sp.Sum(sp.polygamma(k, y), (k, 0, 2)),
    sp.Sum(sp.Piecewise((x, k > 2), (y, True)), (k, 1, 4)), sp.Sum(sp.binomial(4, k) * x**k, (k, 0, 4)),
    sp.Sum(sp.Derivative(sp.sin(k * x), x), (k, 1, 2)), sp.SingularityFunction(x, 0, 2),
    sp.Piecewise((x, x > 0)), sp.Piecewise((x, x > 0), (y, x < -1)), sp.Piecewise((sp.log(x), x > 0), (y, True)),
    sp.Piecewise((1, (x > 0) & (y < 2)), (2, (x < -1) | (z > 0)), (3, True)),
    sp.Piecewise((1, sp.Xor(x > 0, y > 1)), (2, True)),
    sp.Piecewise((1, ~((x > 0) & (y < 2))), (2, True)), sp.Piecewise((1, sp.Eq(x, 0)), (2, sp.Ne(y, 1)), (3, True)),
    sp.Piecewise((1, sp.Implies(x > 0, y > 1)), (2, True)),
    sp.Piecewise((1, sp.Equivalent(x > 0, y > 1, z > 0)), (2, True)),
    sp.Piecewise((1, sp.ITE(x > 0, y > 1, z > 0)), (2, True)), sp.Piecewise((1, sp.Nand(x > 0, y > 1)), (2, True)),
    sp.Piecewise((1, sp.Nor(x > 0, y > 2)), (2, True)), sp.Piecewise((1, sp.Interval(0, 1).contains(x)), (2, True)),
    sp.Piecewise((1, sp.Contains(x, sp.Interval.open(-1, 1), evaluate=False)), (2, True)), sp.Abs(sp.sin(x)) ** y,
    (x > 0), sp.true, sp.Eq(x, 0), sp.re(sp.exp(sp.I * x)), sp.im((x + sp.I * y) ** 3), sp.Abs(x + sp.I * y),
    (1 + sp.I) * (1 - sp.I) * x, sp.exp(sp.I * x) * sp.exp(-sp.I * x), sp.expand((x + sp.I) * (x - sp.I)),
]  # fmt: skip


@pytest.mark.parametrize("index", range(len(EXPRESSIONS)))
def test_every_rule_has_the_value_of_sympy(index: int) -> None:
    expression = sp.sympify(EXPRESSIONS[index])
    definition = define([x, y, z], expression)
    reference = carried_out(expression)
    for point in POINTS:
        want, got = exact(reference, point), at(definition, *point)
        if math.isnan(want):
            assert not np.isfinite(got), (expression, point)  # SymPy has one complex infinity, float64 has two
        else:
            np.testing.assert_allclose(got, want, rtol=4e-14, atol=2e-15, err_msg=f"{expression} {point}")


def carried_out(expression: Any) -> Any:
    """What SymPy does not evaluate by itself."""
    if expression.has(sp.Sum, sp.Product, sp.Derivative, sp.Subs, sp.UnevaluatedExpr):
        expression = expression.doit()
    expression = expression.replace(cfunctions.fma, lambda a, b, c: a * b + c)
    return expression.replace(cfunctions.hypot, lambda a, b: sp.sqrt(a**2 + b**2)).rewrite(sp.erf2, sp.erf)


def test_functions_of_whole_numbers() -> None:
    definition = define([x], [sp.factorial2(x), sp.factorial(x), sp.binomial(x, 2), sp.rf(x, 3), sp.ff(x, x)])
    np.testing.assert_allclose(value(definition, {"x": 5.0}), [15, 120, 10, 210, 120], rtol=1e-15)


def test_argument_of_real_numbers() -> None:
    definition = define([x], sp.arg(x))
    assert [float(value(definition, {"x": v})) for v in (-2.0, 0.0, 3.0)] == [math.pi, 0.0, 0.0]


def test_plain_symbols_stand_for_real_numbers() -> None:
    a, b = sp.symbols("a b")
    definition = define([a, b], [sp.re(a), sp.im(a), sp.conjugate(a * b), sp.Abs(a), sp.sqrt(a**2)])
    np.testing.assert_array_equal(value(definition, {"a": -3.0, "b": 2.0}), [-3.0, 0.0, -6.0, 3.0, 3.0])
    circle = define([a], sp.Abs(sp.exp(sp.I * a)) ** 2 + sp.re(sp.exp(sp.I * a)))
    np.testing.assert_allclose(value(circle, {"a": 0.7}), 1 + math.cos(0.7), rtol=1e-15)


def test_numbers_stay_exact() -> None:
    definition = define([x], sp.Rational(1, 3) * x + sp.Integer(2) ** 200 + sp.pi)
    constants = set(map(repr, definition.graph.leaves.values()))
    assert repr(Fraction(1, 3)) in constants
    assert str(2**200) in constants
    assert any("NamedConstant(name='pi'" in text for text in constants)


def test_building_does_not_simplify() -> None:
    definition = define([x], sp.Add(x, 0, sp.Mul(x, 1, evaluate=False), evaluate=False))
    (expression,) = to_sympy(definition.graph, definition.nodes)
    assert expression == 2 * x  # SymPy does, by itself
    assert [op.name for op in definition.graph.ops].count("add") == 1


def test_sums_products_and_quotients_read_naturally() -> None:
    def operations(expression: Any) -> list[str]:
        definition = define([x, y, z], expression)
        nodes = definition.graph.reach(definition.nodes)
        return sorted(definition.graph.ops[node].name for node in nodes if definition.graph.args[node])

    assert operations(x - y) == ["sub"]
    assert operations(x + y + z) == ["add"]
    assert operations(-x) == ["neg"]
    assert operations(x / y) == ["div"]
    assert operations(x * y / (z * sp.sqrt(y + 1))) == ["add", "div", "mul", "mul", "sqrt"]
    assert operations(x - 2 * y) == ["mul", "sub"]
    assert operations(-2 * x) == ["mul"]
    assert operations(1 / x) == ["div"]
    assert operations(x**-2) == ["div", "pow"]


# --- inputs and outputs -----------------------------------------------------------------------------------------------
def test_names_and_shapes_of_inputs() -> None:
    q = symbols("q", shape=3)
    matrix = sp.Matrix(2, 2, sp.symbols("m:2:2"))
    vector = sp.Matrix(sp.symbols("v1:4"))
    block = sp.MatrixSymbol("B", 2, 3)
    column = sp.MatrixSymbol("c", 2, 1)
    base = sp.IndexedBase("u", shape=(2, 2))
    mixed = np.array([sp.Symbol("a"), sp.Symbol("b")], dtype=object)
    definition = define([x, q, matrix, vector, block, column, base, mixed, ("named", [y, z])], x)
    assert [(a.name, a.shape) for a in definition.arguments] == [
        ("x", ()), ("q", (3,)), ("m", (2, 2)), ("v", (3,)), ("B", (2, 3)), ("c", (2,)), ("u", (2, 2)), ("arg7", (2,)),
        ("named", (2,)),
    ]  # fmt: skip
    assert str(definition.graph.leaves[definition.arguments[2].nodes[1]]) == "m[0, 1]"
    by_name = define({"left": x, "right": [y, z]}, x)
    assert [(a.name, a.shape) for a in by_name.arguments] == [("left", ()), ("right", (2,))]
    assert define(x, x**2).arguments[0].name == "x"
    assert [a.name for a in define(symbols("p", shape=(2, 2)), 1).arguments] == ["p"]


def test_a_stem_gives_way_to_a_name_in_use() -> None:
    definition = define([sp.Symbol("x"), sp.symbols("x:2")], 1)
    assert [a.name for a in definition.arguments] == ["x", "arg1"]


def test_shapes_of_outputs() -> None:
    def shape(outputs: Any) -> tuple[int, ...]:
        return define([x, y], outputs).shape

    assert shape(x) == ()
    assert shape(3) == ()
    assert shape([x, 2, 0.5]) == (3,)
    assert shape((x, y)) == (2,)
    assert shape([[x, y], [y, x], [1, 2]]) == (3, 2)
    assert shape(sp.Matrix([x, y])) == (2,)
    assert shape(sp.Matrix([[x, y]])) == (1, 2)
    assert shape(sp.ImmutableMatrix([[x, y], [y, x]])) == (2, 2)
    assert shape(np.array([[x], [y]], dtype=object)) == (2, 1)
    assert shape(sp.Array([[[x, y]], [[y, x]]])) == (2, 1, 2)
    assert shape([sp.Matrix([x, y]), sp.Matrix([y, x])]) == (2, 2)
    assert shape(np.array(x, dtype=object)) == ()


def test_outputs_keep_their_order() -> None:
    definition = define([x, y], sp.Matrix([[x, y, 1], [x + y, 2, x * y]]))
    np.testing.assert_array_equal(at(definition, 3.0, 5.0), [[3.0, 5.0, 1.0], [8.0, 2.0, 15.0]])
    assert isinstance(definition.source, SymPySource)
    assert definition.source.expressions == (x, y, sp.Integer(1), x + y, sp.Integer(2), x * y)
    assert definition.source.symbols == ((x,), (y,))


def test_matrix_expressions_are_made_explicit() -> None:
    a, b = sp.MatrixSymbol("A", 2, 2), sp.MatrixSymbol("b", 2, 1)
    numbers = {"A": np.array([[2.0, 1.0], [-1.0, 3.0]]), "b": np.array([0.5, 4.0])}
    A, B = numbers["A"], numbers["b"]
    for expression, want in [
        (a * b, A @ B), (a.T * a + a, A.T @ A + A), (a.I * b, np.linalg.solve(A, B)),
        (sp.Trace(a * a), np.trace(A @ A)),
        (sp.Determinant(a), np.linalg.det(A)), ((b.T * a * b)[0, 0], B @ A @ B), (a[0, 1] * b[1], A[0, 1] * B[1]),
        (sp.HadamardProduct(a, a), A * A), (a**2, A @ A), (sp.Identity(2) + a, np.eye(2) + A),
    ]:  # fmt: skip
        np.testing.assert_allclose(value(define([a, b], expression), numbers), want, rtol=1e-14)


def test_indexed_symbols() -> None:
    u = sp.IndexedBase("u", shape=(3,))
    i = sp.Symbol("i", integer=True)
    definition = define([u], sp.Sum(u[i] ** 2 * (i + 1), (i, 0, 2)))
    assert value(definition, {"u": [1.0, 2.0, 3.0]}) == 1 + 8 + 27
    with pytest.raises(ShapeError, match="shape="):
        define([sp.IndexedBase("w")], 1)


# --- back to SymPy ----------------------------------------------------------------------------------------------------
def test_round_trip_gives_the_expression_back() -> None:
    for expression in [
        x + y - z, sp.exp(x * y) + sp.sin(x), sp.sqrt(x) / y, sp.Max(x, y), sp.Piecewise((x, x > 0), (y, True)),
        sp.Piecewise((x, (x > 0) & (y < 1))), sp.Rational(1, 3) * x**2, sp.pi * sp.erf(x), sp.Heaviside(x), -x,
        x**y, sp.log(x), sp.atan2(x, y), sp.polygamma(2, x), sp.digamma(x), sp.loggamma(x), sp.Mod(x, y), 2 * x - 3 * y,
        sp.Float(0.1) * x, sp.Abs(x), sp.Min(x, y), cfunctions.expm1(x), cfunctions.log1p(x),
    ]:  # fmt: skip
        definition = define([x, y, z], expression)
        assert to_sympy(definition.graph, definition.nodes) == [expression]


def test_names_on_the_way_back() -> None:
    graph = Graph()
    nodes = [graph.variable("q", (0,)), graph.variable("q", (1,)), graph.variable("m", (1, 2)), graph.variable("q_1")]
    assert list(map(str, to_sympy(graph, nodes))) == ["q_0", "q[1]", "m_1_2", "q_1"]
    total = graph.add_node(OPERATIONS["add"], tuple(nodes))
    (expression,) = to_sympy(graph, [total])
    assert len(expression.free_symbols) == 4
    (given,) = to_sympy(graph, [nodes[0]], {nodes[0]: sp.Symbol("mine")})
    assert given == sp.Symbol("mine")


def test_names_that_would_meet_stay_apart() -> None:
    graph = Graph()
    element, scalar = graph.variable("q", (1,)), graph.variable("q_1")
    deep = graph.variable("q_1", (0,)), graph.variable("q", (1, 0))
    everything = to_sympy(graph, [element, scalar, *deep])
    assert len(set(everything)) == 4


def test_shaped() -> None:
    parts = [x, y, z, x * y]
    assert shaped(parts[:1], ()) == x
    assert shaped(parts, (4,)) == sp.Matrix(parts)
    assert shaped(parts, (2, 2)) == sp.Matrix([[x, y], [z, x * y]])
    assert shaped(parts, (2, 1, 2)).shape == (2, 1, 2)


def test_values_of_the_way_back_are_those_of_mpmath() -> None:
    """The formulas for rows SymPy has no class for, on numbers."""
    rounding = sympy_expression(OPERATIONS["rint"], x)
    for number in (-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 0.3, -0.3, 7.0):
        assert rounding.subs(x, sp.Rational(number)) == round(number)
    root = sympy_expression(OPERATIONS["cbrt"], x)
    assert math.isclose(root.subs(x, -5).evalf(30), -float(mpmath.cbrt(5)), rel_tol=1e-15)


# --- symbols ----------------------------------------------------------------------------------------------------------
def test_symbols() -> None:
    a, b = symbols("a b")
    assert a.is_real
    assert b.name == "b"
    assert symbols("t", positive=True).is_positive
    q = symbols("q", shape=(2, 3))
    assert q.shape == (2, 3)
    assert q[1, 2].name == "q_1_2"
    first, second = symbols("u, v", shape=2)
    assert (first[0].name, second[1].name) == ("u_0", "v_1")
    for shape in ((0,), (2.0,), (-1,)):
        with pytest.raises(ShapeError, match="positive integers"):
            symbols("q", shape=shape)


# --- size -------------------------------------------------------------------------------------------------------------
def test_chains_a_hundred_thousand_deep() -> None:
    graph = Graph()
    node, other = graph.variable("x"), graph.variable("y")
    for _ in range(50_000):
        node = graph.add_node(OPERATIONS["sin"], (graph.add_node(OPERATIONS["add"], (node, other)),))
    (expression,) = to_sympy(graph, [node])
    assert len(define([x, y], expression).graph) == 100_002


@pytest.mark.parametrize("op", ROWS, ids=lambda op: op.name)
def test_every_row_can_be_deep(op: Operation) -> None:
    """Out and in again, 3,000 levels: no recursion, time linear in the depth."""
    graph = Graph()
    node, other = graph.variable("x"), graph.variable("y")
    for _ in range(1_500):
        mask = graph.add_node(OPERATIONS["lt"], (node, other))
        if op.result == MASK:
            mask = graph.add_node(op, tuple(mask if kind == MASK else node for kind in op.operands))
            node = graph.add_node(OPERATIONS["select"], (mask, graph.add_node(OPERATIONS["sin"], (node,)), other))
        else:
            operands = [mask if kind == MASK else node for kind in op.operands or ("real", "real")]
            if op.ordered:
                operands[0] = graph.constant(2)
            node = graph.add_node(OPERATIONS["sin"], (graph.add_node(op, tuple(operands)),))
    (expression,) = to_sympy(graph, [node])
    assert len(define([x, y], expression).graph) >= 2_900  # SymPy evaluates the first levels


def test_sums_of_a_hundred_thousand_terms() -> None:
    terms = tuple(x**i for i in range(1_000)) * 100
    definition = define([x], sp.Add(*terms, evaluate=False))
    (root,) = definition.nodes
    assert len(definition.graph.args[root]) == 100_000
    (back,) = to_sympy(definition.graph, [root])
    assert len(back.args) == 100_000


def test_a_large_sum_over_an_index() -> None:
    definition = define([x], sp.Sum(sp.sin(k * x) * y.subs(y, 2), (k, 1, 2_000)))
    (root,) = definition.nodes
    assert len(definition.graph.args[root]) == 2_000


# --- errors -----------------------------------------------------------------------------------------------------------
f = sp.Function("f")
w = sp.Symbol("w")
BAD_OUTPUTS: list[tuple[Any, type[Exception], str]] = [
    (w + x, ArgumentError, r"the outputs use w, which is not among the inputs \(x, y\)"),
    ([w, k], ArgumentError, "the outputs use k, w, which are not"),
    (sp.Symbol("x") + 1, ArgumentError, r"another symbol of that name.*real=True there, none in the outputs"),
    ("x + y", InputTypeError, r"the text 'x \+ y'; text is never evaluated.*sympify"),
    (["x"], InputTypeError, "text is never evaluated"),
    (np.array(["x", "y"]), InputTypeError, "text is never evaluated"),
    (sp.I, InputTypeError, "imaginary part is 1"),
    (sp.I * x + y, InputTypeError, r"imaginary part is x; outputs are real, so give sp.re\(...\) and sp.im"),
    (1j, InputTypeError, "got 1j of type complex"),
    (object(), InputTypeError, "of type object"),
    (None, InputTypeError, "of type NoneType"),
    (lambda t: t, InputTypeError, "@hy.function"),
    (sp.zoo, UnsupportedError, "ComplexInfinity is not supported here, got zoo; it is a division by zero"),
    (sp.Integral(sp.exp(x * k), (k, 0, 1)), UnsupportedError, "SymPy's Integral is not supported.*doit"),
    (sp.Limit(k * x, k, 0), UnsupportedError, "SymPy's Limit"),
    (f(x), UnsupportedError, r"got f\(x\); it is an undefined function"),
    (sp.Derivative(f(x), x), UnsupportedError, "SymPy's Derivative.*undefined"),
    (sp.Subs(sp.Derivative(f(x), x), x, 0), UnsupportedError, "SymPy's Subs"),
    (sp.bessely(0, x), UnsupportedError, r"SymPy's bessely is not supported here, got bessely\(0, x\); rewrite"),
    (sp.besselj(y, x), UnsupportedError, "besselj needs an integer order from -24 to 24, got y"),
    (sp.besselj(99, x), UnsupportedError, "besselj needs an integer order from -24 to 24, got 99"),
    (sp.besseli(sp.Rational(1, 3), x), UnsupportedError, "besseli needs an integer order"),
    (sp.LambertW(x, -1), UnsupportedError, "LambertW on the branch -1 is not supported"),
    (sp.erfi(x), UnsupportedError, "erfi"),
    (sp.DiracDelta(x), UnsupportedError, "DiracDelta.*step counts as zero"),
    (x + sp.O(x**2), UnsupportedError, "Order.*removeO"),
    (sp.Lambda(k, k**2), UnsupportedError, "Lambda.*call it"),
    (sp.Sum(x, (k, 1, n)), UnsupportedError, "Sum over k needs integer limits, got 1 to n"),
    (sp.Sum(x**k, (k, 0, sp.oo)), UnsupportedError, "needs integer limits, got 0 to oo"),
    (sp.polygamma(y, x), UnsupportedError, "polygamma needs a non-negative integer order, got y"),
    (sp.Piecewise((1, sp.Symbol("x", real=True)), (2, True)), UnsupportedError, "Piecewise got a number.*sp.Ne"),
    ([[x, y], [x]], ShapeError, r"ragged list: its items have the shapes \(2,\), \(1,\)"),
    ([x, [y]], ShapeError, r"shapes \(\), \(1,\)"),
    ([], ArgumentError, "at least one output"),
    (sp.MatrixSymbol("M", k, 2), ShapeError, "substitute numbers"),
]


@pytest.mark.parametrize("index", range(len(BAD_OUTPUTS)))
def test_bad_outputs(index: int) -> None:
    outputs, error, text = BAD_OUTPUTS[index]
    with pytest.raises(error, match=text):
        define([x, y], outputs)


BAD_INPUTS: list[tuple[Any, type[Exception], str]] = [
    ([x, x], ArgumentError, "two inputs are called 'x'|hold x twice"),
    ([x, [y, x]], ArgumentError, "hold x twice; every input symbol may appear once"),
    ([x, sp.Symbol("x")], ArgumentError, "two inputs are called 'x'"),
    ([("a", x), ("a", y)], ArgumentError, "two inputs are called 'a'"),
    ("x y", InputTypeError, r"got 'x y'; make symbols with hy.symbols"),
    (["x"], InputTypeError, r"got the text 'x'; use hy.symbols\('x'\)"),
    ([3], InputTypeError, "must be a SymPy symbol.*got 3 of type int"),
    ([x + 1], InputTypeError, r"got x \+ 1 of type Add"),
    ([f(x)], InputTypeError, "undefined function f"),
    ([np.array([1.0, 2.0])], InputTypeError, "must be a SymPy symbol"),
    ([sp.Symbol("c", imaginary=True)], InputTypeError, "declared not real"),
    ([sp.Symbol("c", commutative=False)], InputTypeError, "declared non-commutative"),
    ([[x, [y, z]]], ShapeError, "the inputs hold a ragged list"),
    ([], ArgumentError, "at least one input"),
    ([[]], ArgumentError, "holds no symbols"),
    ({x, y}, InputTypeError, "in order"),
    ({1: x}, ArgumentError, "argument name must be text"),
    (None, InputTypeError, "list of SymPy symbols"),
    ([sp.MatrixSymbol("M", k, 2)], ShapeError, "concrete shape"),
]


@pytest.mark.parametrize("index", range(len(BAD_INPUTS)))
def test_bad_inputs(index: int) -> None:
    inputs, error, text = BAD_INPUTS[index]
    with pytest.raises(error, match=text):
        define(inputs, 1)


def test_a_number_used_as_a_truth_value_is_refused() -> None:
    with pytest.raises(UnsupportedError, match=r"And got a number .*use sp.Ne\(x, 0\)|not.* got a number"):
        define([w], sp.Piecewise((1, sp.And(w, w > 1)), (2, True)))


def test_text_is_never_evaluated(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("text reached sympify")

    monkeypatch.setattr(sympy_bridge.sp, "sympify", forbidden)
    with pytest.raises(InputTypeError):
        define([x], "__import__('os')")
