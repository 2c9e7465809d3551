"""Hash-consing, constants by bits, walks without recursion, copies and substitution."""

from fractions import Fraction

import numpy as np
import pytest

from hybrid import operations as ops
from hybrid.errors import InputTypeError
from hybrid.evaluate import evaluate
from hybrid.graph import Graph, Term, exact_number
from hybrid.operations import PI


def variable(graph: Graph, name: str) -> Term:
    return Term(graph, graph.variable(name))


def test_equal_expressions_are_one_node() -> None:
    graph = Graph()
    x, y = variable(graph, "x"), variable(graph, "y")
    assert ((x + y) * ops.sin(x)).node == ((x + y) * ops.sin(x)).node
    assert (x + y).node != (y + x).node, "building does not even reorder"


def test_building_never_simplifies() -> None:
    graph = Graph()
    x = variable(graph, "x")
    assert graph.ops[(x + 0).node] is ops.add
    assert graph.ops[(0 * x).node] is ops.mul
    assert graph.ops[ops.neg(ops.neg(x)).node] is ops.neg


@pytest.mark.parametrize(
    ("first", "second"), [(0.0, -0.0), (1, 1.0), (True, 1), (Fraction(1, 2), 0.5), (PI, PI.value), (0.1, 0.2)]
)
def test_constants_that_differ_stay_apart(first, second) -> None:
    graph = Graph()
    assert graph.constant(first) != graph.constant(second)
    assert graph.constant(first) == graph.constant(first)


def test_nan_is_one_constant() -> None:
    graph = Graph()
    assert graph.constant(float("nan")) == graph.constant(float("nan"))


def test_arguments_come_first() -> None:
    graph = Graph()
    x = variable(graph, "x")
    root = (ops.exp(x * x) + x).node
    order = graph.reach([root])
    for position, node in enumerate(order):
        assert set(graph.args[node]) <= set(order[:position])


def test_a_deep_chain_needs_no_stack() -> None:
    graph = Graph()
    x = variable(graph, "x")
    y = x
    for _ in range(100_000):
        y = ops.sin(y + 1)
    assert len(graph.reach([y.node])) == 200_002
    [value] = evaluate(graph, [y.node], {x.node: np.float64(0.3)})
    expected = 0.3
    for _ in range(100_000):
        expected = np.sin(expected + 1)
    assert value == expected


def test_copy_and_substitute() -> None:
    graph, other = Graph(), Graph()
    x, y = variable(graph, "x"), variable(graph, "y")
    root = (ops.sin(x) * y + pi_term(graph)).node
    [copied] = other.copy_from(graph, [root])
    values = {n: {"x": 0.3, "y": 2.0}[other.leaves[n].name] for n in other.variables([copied])}
    assert evaluate(other, [copied], values)[0] == evaluate(graph, [root], {x.node: 0.3, y.node: 2.0})[0]
    [replaced] = graph.substitute([root], {x.node: (y * y).node, y.node: x.node})
    assert evaluate(graph, [replaced], {x.node: 2.0, y.node: 0.5})[0] == np.sin(0.25) * 2.0 + np.pi


def pi_term(graph: Graph) -> Term:
    return graph.lift(PI)


@pytest.mark.parametrize("value", ["1", 1j, None, object(), np.complex128(1)])
def test_only_real_numbers_are_constants(value) -> None:
    with pytest.raises(InputTypeError, match="expected a real number"):
        exact_number(value)


def test_terms_of_two_graphs_do_not_mix() -> None:
    with pytest.raises(ValueError, match="two graphs"):
        variable(Graph(), "x") + variable(Graph(), "y")
