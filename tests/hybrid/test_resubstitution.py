"""Nodes computed from others that are there anyway: what is found, and what must not be taken."""

import numpy as np
import pytest

import hybrid as hy
from hybrid import operations as ops
from hybrid.bridges import bridges, spans
from hybrid.evaluate import evaluate
from hybrid.graph import Graph, Term
from hybrid.known import Known
from hybrid.loading import examples, import_file
from hybrid.resubstitution import Memory, Net, Search, in_pairs, middle, resubstitute, simple
from hybrid.simplify import operations, simplify

NOTHING: frozenset[int] = frozenset()


def roots_of(build) -> tuple[Graph, list[int]]:
    graph = Graph()
    x, y = (Term(graph, graph.variable(name)) for name in "xy")
    return graph, [graph.lift(term).node for term in build(x, y)]


def counts(graph: Graph, roots: list[int]) -> tuple[int, int]:
    """Operations, and how many of them are elementary functions."""
    arithmetic = {ops.add, ops.sub, ops.mul, ops.div, ops.pow, ops.neg}
    moving = [node for node in graph.reach(roots) if graph.variables([node])]
    functions = sum(1 for node in moving if graph.args[node] and graph.ops[node] not in arithmetic)
    return operations(graph, roots), functions


FOUND = [
    (
        "exponentials",
        lambda x, y: [ops.exp(ops.sin(x)), ops.exp(ops.sin(y)), ops.exp(ops.sin(x) + ops.sin(y))],
        (6, 5),
        (5, 4),
    ),
    ("not where products underflow", lambda x, y: [ops.exp(x), ops.exp(y), ops.exp(x + y)], (4, 3), (4, 3)),
    (
        "their quotient",
        lambda x, y: [ops.exp(ops.sin(x)), ops.exp(ops.sin(y)), ops.exp(ops.sin(x) - ops.sin(y))],
        (6, 5),
        (5, 4),
    ),
    ("the tangent", lambda x, y: [ops.sin(x), ops.cos(x), ops.tan(x)], (3, 3), (3, 2)),
    ("the hyperbolic tangent", lambda x, y: [ops.sinh(x * y), ops.cosh(x * y), ops.tanh(x * y)], (4, 3), (4, 2)),
    ("a double angle", lambda x, y: [ops.sin(x), ops.cos(x), ops.sin(2 * x)], (4, 3), (4, 2)),
    (
        "roots",
        lambda x, y: [ops.sqrt(1 + x * x), ops.sqrt(2 + y * y), ops.sqrt((1 + x * x) * (2 + y * y))],
        (8, 3),
        (7, 2),
    ),
    (
        "logarithms",
        lambda x, y: [ops.log(9 + x * x), ops.log(9 + y * y), ops.log((9 + x * x) * (9 + y * y))],
        (8, 3),
        (7, 2),
    ),
    (
        "not where roots of negative numbers meet",
        lambda x, y: [ops.sqrt(x), ops.sqrt(y), ops.sqrt(x * y)],
        (4, 3),
        (4, 3),
    ),
    ("scales with a root", lambda x, y: [ops.exp(x) / y / ops.sqrt(y.graph.lift(2)), ops.exp(x) / y], (3, 1), (3, 1)),
]


@pytest.mark.parametrize(("name", "build", "before", "after"), FOUND, ids=[case[0] for case in FOUND])
def test_what_is_found(name, build, before, after) -> None:
    graph, roots = roots_of(build)
    assert operations(graph, roots) == before[0]
    new = resubstitute(graph, roots, NOTHING)
    found = counts(graph, new)
    assert found == after, name
    values = {node: np.linspace(0.2, 1.4, 9) * (1 + place) for place, node in enumerate(graph.variables(roots))}
    for old, now in zip(evaluate(graph, roots, values), evaluate(graph, new, values), strict=True):
        assert np.allclose(old, now, rtol=1e-14)


def test_nodes_that_are_kept_stay() -> None:
    graph, roots = roots_of(lambda x, y: [ops.exp(x), ops.exp(y), ops.exp(x + y)])
    assert resubstitute(graph, roots, frozenset(graph.reach(roots))) == roots


STAY = [
    ("cancellation", lambda x, y: [ops.exp(x), ops.expm1(x) * 1]),
    ("a sign", lambda x, y: [ops.abs_(x * y), ops.sqrt(x * x * y * y), x * y]),
    ("a pole", lambda x, y: [x * y * y, (x * y * y) * (x * y * y), ops.sin(x * y * y) * x]),
]


@pytest.mark.parametrize(("name", "build"), STAY, ids=[case[0] for case in STAY])
def test_points_stay_finite(name, build) -> None:
    graph, roots = roots_of(build)
    new = simplify(graph, roots)
    values = {node: np.array([0.0, 1.0, -1.0, 1e-200, 1e-9]) for node in graph.variables(roots)}
    for old, now in zip(evaluate(graph, roots, values), evaluate(graph, new, values), strict=True):
        assert np.array_equal(np.isfinite(old), np.isfinite(now)), name
        assert np.allclose(old, now, rtol=1e-13, atol=0), name


def test_nodes_are_made_to_go_through() -> None:
    """No two nodes that are there give e^(u+v+w), but e^u and the product of the other two do."""
    graph, roots = roots_of(
        lambda x, y: [ops.exp(ops.sin(x)), ops.exp(ops.sin(y)), ops.exp(ops.cos(x)),
                      ops.exp(ops.sin(x) + ops.sin(y) + ops.cos(x))]
    )  # fmt: skip
    assert counts(graph, roots) == (9, 7)
    assert counts(graph, resubstitute(graph, roots, NOTHING)) == (8, 6)


def test_bridges_are_those_that_hold() -> None:
    """Every bridge between random numbers is one of values at both points, up to a scale of products."""
    random = np.random.default_rng(3)
    values = random.uniform(0.5, 2.0, (7, 2))
    values = np.concatenate([values, [values[0] * values[1] + values[2], values[3] / values[4] * values[5]]])
    found = bridges(values, [7, 8])
    assert {b.target for b in found} == {7, 8}
    for b in found:
        inner = b.inner.numpy(values[b.first], values[b.second])
        made = b.outer.numpy(*((values[b.third], inner) if b.swapped else (inner, values[b.third])))
        ratio = made / values[b.target]
        if b.outer in (ops.mul, ops.div):
            assert ratio[0] == pytest.approx(ratio[1], rel=1e-8)
    assert any(b.inner is ops.mul and {b.first, b.second} == {0, 1} and b.third == 2 for b in found)


def test_scales_are_exact() -> None:
    graph = Graph()
    assert simple(graph, -0.75) == -3 / 4
    assert simple(graph, 0.1234) is None
    for value in (np.sqrt(2), np.sqrt(2) / 4, np.sqrt(2 * np.pi), 1 / np.sqrt(np.pi), -np.sqrt(np.pi) / 2):
        node = simple(graph, float(value))
        assert evaluate(graph, [node], {})[0] == pytest.approx(value, rel=1e-15)


def test_gains_of_many_ways_are_those_of_each() -> None:
    graph, roots = roots_of(
        lambda x, y: [ops.sin(x) * ops.cos(x), ops.sin(2 * x) / y, ops.tan(x) + ops.exp(x) * y, ops.exp(x + y), x * y]
    )
    net = Net(graph, in_pairs(graph, roots, NOTHING), NOTHING)
    ways = Search(Memory(Known(graph)), graph.reach(net.roots), NOTHING).ways(lambda node: bool(net.users.get(node)))
    gains = list(net.gains(ways))
    assert len(ways) > 5
    assert gains == [net.gain(way) for way in ways]
    assert len(set(gains)) > 2


def test_a_memory_changes_nothing() -> None:
    for name, build, *_ in FOUND:
        graph, roots = roots_of(build)
        memory = Memory(Known(graph))
        first = resubstitute(graph, roots, NOTHING, memory)
        assert resubstitute(graph, first, NOTHING, memory) == first, name
        assert resubstitute(graph, roots, NOTHING, memory) == first == resubstitute(graph, roots, NOTHING), name


def test_spans_and_medians() -> None:
    which, numbers = spans(np.array([3, 5, 7]), np.array([5, 5, 8]))
    assert (which.tolist(), numbers.tolist()) == ([0, 0, 2], [3, 4, 7])
    values = np.random.default_rng(0).normal(size=9)
    assert [middle(values[:n]) for n in (1, 2, 8, 9)] == [np.median(values[:n]) for n in (1, 2, 8, 9)]


def test_operations_of_the_examples() -> None:
    """Exact counts; lower them here and in docs/simplification.md when something better is found."""
    call = import_file(examples() / "black_scholes.py").call
    assert hy.compile(call, call.gradient(), call.hessian(), verify=False).operations == 96
    panda = import_file(examples() / "panda.py")
    kernel = hy.compile(panda.pose, panda.pose.jacobian(), panda.miss.hessian(wrt=["q"]), verify=False)
    assert kernel.operations == 647
