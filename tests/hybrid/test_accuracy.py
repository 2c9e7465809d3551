"""Errors of forms, measured at many points at once, against 50 digits and by what they must find out."""

import mpmath
import numpy as np
import pytest

from hybrid import operations as ops
from hybrid.accuracy import MEASURABLE, Yardstick, exceeds, kernel_values, wide_values
from hybrid.evaluate import evaluate
from hybrid.graph import Graph, Term
from hybrid.precise import evaluate_precise
from hybrid.simplify import operations, simplify

pytestmark = pytest.mark.skipif(not MEASURABLE, reason="longdouble is float64 on this machine")


def graph_of(*names: str) -> tuple[Graph, list[Term]]:
    graph = Graph()
    return graph, [Term(graph, graph.variable(name)) for name in names]


def test_wide_values_have_more_digits() -> None:
    graph, [x, y] = graph_of("x", "y")
    root = (ops.exp(x * y) - ops.erf(y) + ops.log(x + 2) / ops.ndtr(x) + ops.sqrt(x) * graph.lift(ops.PI)).node
    point = {x.node: 0.7, y.node: -1.3}
    order = graph.reach([root])
    wide = wide_values(graph, order, {node: np.array([value]) for node, value in point.items()})[root]
    with mpmath.workdps(50):
        exact = evaluate_precise(graph, order, point)[root]
    assert abs(np.longdouble(mpmath.nstr(exact, 25)) / wide[0] - 1) < 2.0**-53  # erf itself is of float64


WORSE = [
    ("expm1", lambda x, y: ops.expm1(x), lambda x, y: ops.exp(x) - 1),
    ("difference of squares", lambda x, y: (x - y) * (x + y), lambda x, y: x * x - y * y),
    ("saturated", lambda x, y: 4 / (ops.exp(x) + ops.exp(-x)) ** 2 * y, lambda x, y: (1 - ops.tanh(x) ** 2) * y),
]


@pytest.mark.parametrize(("name", "good", "bad"), WORSE, ids=[case[0] for case in WORSE])
def test_what_is_less_accurate_is_found(name, good, bad) -> None:
    graph, [x, y] = graph_of("x", "y")
    roots = [good(x, y).node, bad(x, y).node, x.node]
    assert Yardstick(graph, [roots[0], x.node]).worse([roots[1], x.node]) == {0}, name
    assert not Yardstick(graph, [roots[1], x.node]).worse([roots[0], x.node]), name


def test_forms_that_round_differently_are_no_worse() -> None:
    graph, [x, y] = graph_of("x", "y")
    for first, second in [
        ((x + y) * 3, x * 3 + y * 3),
        (ops.exp(x) / y / x, ops.exp(x) / (x * y)),
        (x**7 * y, y * (x * x) * (x * x) * (x * x * x)),
    ]:
        yardstick = Yardstick(graph, [first.node])
        assert not yardstick.worse([second.node])
        [(near, _)] = yardstick.given
        assert 0 < near.typical < 3


def test_kernel_values_are_what_kernels_compute() -> None:
    graph, [x, y] = graph_of("x", "y")
    at = {x.node: np.array([1.7, -0.3, 2.0]), y.node: np.array([0.5, 3.0, -7.0])}
    for term, meant in [
        (x**5, lambda a, b: a * a * (a * a) * a),
        (y**-2, lambda a, b: 1 / (b * b)),
        (-x + y, lambda a, b: b - a),
    ]:
        [value] = kernel_values(graph, [term.node], at)
        assert np.array_equal(value, meant(at[x.node], at[y.node]))
        assert np.allclose(value, evaluate(graph, [term.node], at)[0])


def test_one_ulp_more_is_no_loss_but_ten_are() -> None:
    graph, [x] = graph_of("x")
    [given] = Yardstick(graph, [ops.exp(x).node]).given
    near, far = given
    off = type(near)(near.typical + 10, near.high + 10, near.largest + 10)
    assert not exceeds(given, given, 1.0)
    assert exceeds((off, far), given, 1.0)


def test_simplify_does_not_lose_digits_to_save_an_operation() -> None:
    graph, [x, y] = graph_of("x", "y")
    roots = [(ops.expm1(x) * y).node, (ops.exp(x) - 1).node, ops.exp(x).node]
    new = simplify(graph, roots)
    assert operations(graph, new) <= operations(graph, roots)
    assert not Yardstick(graph, roots).worse(new)
