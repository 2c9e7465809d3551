"""Polynomials multiplied out where that leaves fewer operations, with coefficients that are rounded once."""

from fractions import Fraction

import numpy as np
import pytest
from corpus import read

from hybrid import operations as ops
from hybrid.evaluate import evaluate
from hybrid.function import Function
from hybrid.graph import Graph, Term
from hybrid.parse import define
from hybrid.polynomials import carried_out, multiplied_out, shapes_of
from hybrid.rewrite import Rewriter
from hybrid.simplify import operations, simplify

NOTHING: frozenset[int] = frozenset()


def one_root(build) -> tuple[Graph, int]:
    graph = Graph()
    x, y = (Term(graph, graph.variable(name)) for name in "xy")
    return graph, graph.lift(build(x, y)).node


FEWER = [
    ("cubes", lambda x, y: (x + 1) ** 3 - (x - 1) ** 3, 3),  # 6x² + 2
    ("an identity", lambda x, y: (x + 2) ** 2 - (x - 2) ** 2 - 7 * x, 0),
    ("in a function", lambda x, y: (ops.sin(x) + 2) ** 3 - (ops.sin(x) - 2) ** 3 - 16, 3),  # 12 sin² x
    ("an inverse", lambda x, y: (1 / x + 1) ** 3 - (1 / x - 1) ** 3 - 2, 2),  # 6/x²
    ("inside another", lambda x, y: ops.exp((x + 1) * (x - 1) - (x + 2) * (x - 2)), 0),
]


@pytest.mark.parametrize(("name", "build", "count"), FEWER, ids=[case[0] for case in FEWER])
def test_fewer(name, build, count) -> None:
    graph, root = one_root(build)
    new = simplify(graph, [root])
    assert operations(graph, new) == count < operations(graph, [root])
    values = {node: np.linspace(0.3, 1.9, 7) * (1 + place) for place, node in enumerate(graph.variables([root]))}
    assert np.allclose(evaluate(graph, [root], values)[0], evaluate(graph, new, values)[0], rtol=1e-12), name


def test_sums_of_many_powers_become_horners_form() -> None:
    """Of value and gradient of a polynomial of degree 8 that the corpus writes with 481 operations, 27 are left."""
    line = read()[430]
    f = Function.from_definition(define(line.expression, dict.fromkeys(line.variables, ()), "f"))
    assert operations(f.graph, simplify(f.graph, [*f.nodes, *f.gradient().nodes])) == 27


STAY = [
    ("several variables", lambda x, y: (x + y) ** 3 - (x - y) ** 3),
    ("nothing to gain", lambda x, y: (x + 1) ** 8 + 1),
    ("a high degree", lambda x, y: (x + 1) ** 64 - (x - 1) ** 64),
    ("no polynomial", lambda x, y: x**0.5 * y + x),
    ("a root of all its terms", lambda x, y: (x - 1) ** 3 + 2 * (x - 1) ** 4 + (x - 1) ** 5),
    ("a root beside the real line", lambda x, y: (x - 3) ** 4 + (x - 3) ** 2 + (x - 3) * (x - 3) ** 2),
]


@pytest.mark.parametrize(("name", "build"), STAY, ids=[case[0] for case in STAY])
def test_what_stays(name, build) -> None:
    graph, root = one_root(build)
    assert multiplied_out(graph, [root], NOTHING) == [root], name


def test_kept_nodes_stay() -> None:
    graph, root = one_root(FEWER[0][1])
    assert multiplied_out(graph, [root], frozenset(graph.reach([root]))) == [root]


def test_coefficients_and_shape() -> None:
    graph, root = one_root(lambda x, y: x * (x - 0.5) ** 2 * 3 - (0.1 - x * x))
    rewriter = Rewriter(graph)
    shapes = shapes_of(rewriter, graph.reach([root]))
    found = carried_out(rewriter, root, shapes, {})
    assert found == [-Fraction(0.1), Fraction(3, 4), -2, 3]
    assert (shapes[root].low, shapes[root].high, shapes[root].atom) == (0, 3, graph.variable("x"))


def test_random_polynomials_are_carried_out_exactly() -> None:
    random = np.random.default_rng(5)
    for _ in range(60):
        graph = Graph()
        x = Term(graph, graph.variable("x"))
        parts = [x]
        for _ in range(8):
            first, second = (parts[k] for k in random.integers(len(parts), size=2))
            kind = random.integers(4)
            number = int(random.integers(-3, 4))
            parts.append([first + second, first - number, first * second, first * number][kind])
        root = parts[-1].node
        rewriter = Rewriter(graph)
        shapes = shapes_of(rewriter, graph.reach([root]))
        if root in shapes:
            found = carried_out(rewriter, root, shapes, {})
            value = evaluate(graph, [root], {graph.variable("x"): np.array([3.0])})[0]
            assert float(sum(c * 3**k for k, c in enumerate(found))) == value
            assert len(found) <= shapes[root].high + 1


def test_coefficients_are_rounded_once() -> None:
    """2.2 + 7 − 8 is 1.2 + 2⁻⁵², and not what rounding twice makes of it."""
    f = Function.from_definition(define("2.2*x**2 + 7*x**2 - 8*x**2", {"x": ()}, "f"))
    new = simplify(f.graph, f.nodes)
    constants = [f.graph.leaves[node] for node in f.graph.reach(new) if f.graph.is_constant(node)]
    assert float(Fraction(2.2) + 7 - 8) in constants
    assert float(Fraction(2.2) + 7 - 8) != 2.2 + 7 - 8
    assert all(type(value) is not Fraction for value in constants)
