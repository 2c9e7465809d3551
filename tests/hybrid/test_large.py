"""Native sweeps make what the sweeps in Python make, at any shape and size of graph."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from random_expressions import Maker
from scipy import optimize

import hybrid as hy
from codegen.routine import Library
from hybrid import differentiate, large, store, sweeps
from hybrid import operations as ops
from hybrid.differentiate import ONE, hessian_reverse
from hybrid.evaluate import evaluate
from hybrid.graph import Graph, Term
from hybrid.operations import OPERATIONS, REAL
from hybrid.store import Store

ROWS = [op for op in OPERATIONS.values() if op.result == REAL and op.guards is None and op is not ops.VARIABLE
        and op is not ops.CONSTANT]  # fmt: skip


def smooth(seed: int, operations: int) -> tuple[Graph, int, list[int]]:
    """A random expression without selections."""
    maker = Maker(seed, 4)
    plain = maker.step
    choices: list[Callable[[Term, Term], Term]] = [
        lambda x, y: x * y * ops.sin(x) * 3,
        lambda x, y: (x * x + 1) ** ops.tanh(y),
        lambda x, y: 2 * x - x,
        lambda x, y: maker.graph.apply(ops.add, x, y, x, 3, 4),
        lambda x, y: 5 * (x / 4) ** 2,
    ]

    def step(terms: list[Term]) -> Term:
        x, y = maker.pick(terms), maker.pick(terms)
        if maker.rng.random() < 0.4:
            return ops.tanh(choices[maker.rng.integers(len(choices))](ops.tanh(x), ops.tanh(y)))
        found = plain(terms)
        return found if maker.graph.ops[found.node].guards is None else x + y

    maker.step = step  # type: ignore[method-assign]
    root = maker.grow(operations)
    return maker.graph, root.node, [variable.node for variable in maker.variables]


def values_of(graph: Graph, variables: list[int]) -> dict[int, np.float64]:
    return {node: np.float64(0.4 + 0.3 * i) for i, node in enumerate(variables)}


def check_hessian(graph: Graph, root: int, variables: list[int], rtol: float = 1e-9) -> None:
    found = large.hessian(graph, root, variables)
    assert found is not None
    assert (found.rows >= found.columns).all()
    keys = list(zip(found.rows.tolist(), found.columns.tolist(), strict=True))
    assert keys == sorted(set(keys))
    expected = {place: node for place, node in hessian_reverse(graph, root, variables).items() if place[0] >= place[1]}
    values = values_of(graph, variables)
    got = dict(zip(keys, evaluate(graph, found.nodes.tolist(), values), strict=True))
    want = dict(zip(expected, evaluate(graph, list(expected.values()), values), strict=True))
    scale = max(map(abs, want.values()), default=1.0)
    for place in got.keys() | want.keys():
        np.testing.assert_allclose(got.get(place, 0.0), want.get(place, 0.0), rtol=rtol, atol=rtol * scale)


@pytest.mark.parametrize("seed", range(25))
def test_adjoints_are_the_same_nodes(seed: int) -> None:
    graph, root, variables = smooth(seed, 10 + 7 * seed)
    inside = [node for node in graph.reach([root]) if graph.ops[node] is not ops.CONSTANT]
    wanted = [*variables, *inside[:: 1 + seed % 5]]
    expected = differentiate.reverse(graph, [(root, ONE), (variables[0], root)], wanted)
    found = large.native_reverse(graph, [(root, ONE), (variables[0], root)], np.array(wanted))
    assert found is not None
    assert {node: int(found[node]) for node in wanted if found[node] >= 0} == expected


@pytest.mark.parametrize("seed", range(25))
def test_hessians_by_edge_pushing(seed: int) -> None:
    check_hessian(*smooth(100 + seed, 4 + 2 * seed), rtol=1e-8)


@pytest.mark.parametrize("op", ROWS, ids=lambda op: op.name)
def test_every_row(op: ops.Operation) -> None:
    """First and second partials of each operation, with a constant at every argument, and inside a product."""
    graph = Graph()
    x, y = Term(graph, graph.variable("x")), Term(graph, graph.variable("y"))
    inner = [ops.exp(x * y) / 9 + 1, y * y + x] if op.arity != 1 else [ops.tanh(x * y) / 3 + 0.5]
    if op is ops.acosh:
        inner = [2 + x * y]
    if op is ops.copysign or (op.arity == 2 and op.partials[0] is None):  # type: ignore[index]  # one per argument
        inner[0] = graph.lift(2)  # the order of a family of functions
    terms = [op(*inner) * x]
    if not op.variadic and op.arity == 2:
        terms += [op(graph.lift(2), inner[1]), op(inner[0], graph.lift(3))]
    root = graph.apply(ops.add, *terms).node
    variables = [x.node, y.node]
    found = large.native_reverse(graph, [(root, ONE)], np.array(variables))
    assert found is not None
    expected = differentiate.reverse(graph, [(root, ONE)], variables)
    assert found[variables].tolist() == [expected.get(variable, -1) for variable in variables]
    check_hessian(graph, root, variables)


def test_repeated_arguments_and_wide_products() -> None:
    graph = Graph()
    x = [Term(graph, graph.variable(f"x{i}")) for i in range(5)]
    cube = graph.apply(ops.mul, x[0], x[0], x[0])
    product = graph.apply(ops.mul, *x, x[1], 2)
    ratio = ops.div(x[2] * x[2], x[2]) + ops.hypot(x[3], x[3])
    root = (cube + ops.exp(product / 8) + ratio**2).node
    check_hessian(graph, root, [term.node for term in x])


def test_selections_are_left_to_python() -> None:
    graph = Graph()
    x = Term(graph, graph.variable("x"))
    free = ops.maximum(graph.lift(2), graph.lift(3)) * x * x  # a selection that does not depend on x is no obstacle
    held = ops.maximum(x, graph.lift(1)) * x
    assert large.native_reverse(graph, [(free.node, ONE)], np.array([x.node])) is not None
    assert large.native_reverse(graph, [(held.node, ONE)], np.array([x.node])) is None
    assert large.hessian(graph, held.node, [x.node]) is None


def test_a_variable_that_does_not_matter() -> None:
    graph = Graph()
    x, y = graph.variable("x"), graph.variable("y")
    root = graph.add_node(ops.sin, (x,))
    found = large.hessian(graph, root, [y, x])
    assert found is not None
    assert (found.rows.tolist(), found.columns.tolist()) == ([1], [1])
    assert found.gradient[0] == -1
    nothing = large.hessian(graph, root, [y])
    assert nothing is not None
    assert not len(nothing.nodes)


def test_variables_made_after_the_expression() -> None:
    """The order of the columns is that of `wrt`, whatever the order of the nodes."""
    graph = Graph()
    x = Term(graph, graph.variable("x"))
    inner = ops.sin(x) * ops.exp(x)
    y = Term(graph, graph.variable("y"))
    check_hessian(graph, (inner * y * y + ops.cos(inner)).node, [y.node, x.node])
    check_hessian(graph, (inner * y * y + ops.cos(inner)).node, [x.node, y.node])


def test_rooms_that_are_too_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep that runs out of room goes on where it stopped."""
    expected = large.hessian(*smooth(7, 300))
    stops = []

    def tight(sweep: sweeps.Sweep, more: int) -> None:
        stops.append(sweep.position)
        sweep.reserve(40, 40)
        sweep.room, sweep.flat_room = sweep.size + 40 * len(stops), int(sweep.start[sweep.size]) + 160 * len(stops)
        plain(sweep, more)
        sweep.flow_room = min(sweep.flow_room, sweep.flows + 60 * len(stops))

    plain = large.make_room
    monkeypatch.setattr(large, "make_room", tight)
    graph, root, variables = smooth(7, 300)
    found = large.hessian(graph, root, variables)
    assert expected is not None
    assert found is not None
    assert len(set(stops)) > 2
    assert found.nodes.tolist() == expected.nodes.tolist()


def interpreted(self: Library, routine: Callable[..., int], *arguments: object) -> int:
    with np.errstate(over="ignore"):  # integers wrap around in both
        return routine(*(a.reshape(-1) if isinstance(a, np.ndarray) else a for a in arguments))


def test_the_routines_as_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """Native code and the same functions run by Python make the same graph."""
    graph, root, variables = smooth(3, 60)
    native = large.hessian(graph, root, variables)
    again, root, variables = smooth(3, 60)
    monkeypatch.setattr(Library, "__call__", interpreted)
    plain = large.install
    monkeypatch.setattr(large, "install", lambda *args: [array.reshape(-1) for array in plain(*args)])
    slow = large.hessian(again, root, variables)
    assert native is not None
    assert slow is not None
    assert native.nodes.tolist() == slow.nodes.tolist()
    assert graph.ops == again.ops
    assert graph.args == again.args


@pytest.mark.parametrize(("depth", "by_square"), [(100_000, False), (10_000, True)])
def test_deep_expressions(depth: int, by_square: bool) -> None:
    graph = Graph()
    x = Term(graph, graph.variable("x"))
    y = x
    for _ in range(depth):
        y = ops.sin(y) * 0.5 + y if by_square else ops.sin(y + 1)
    size = len(graph)
    found = large.hessian(graph, y.node, [x.node])
    assert found is not None
    assert len(found.nodes) == 1
    assert len(graph) < 20 * size
    if depth > 10_000:
        return
    value, first, second = np.float64(0.3), 1.0, 0.0
    for _ in range(depth):
        inner = value if by_square else value + 1
        slope, bend = (0.5 * np.cos(inner) + 1, -0.5 * np.sin(inner)) if by_square else (np.cos(inner), -np.sin(inner))
        value = np.sin(inner) * 0.5 + value if by_square else np.sin(inner)
        first, second = first * slope, second * slope + bend * first * first
    roots = [y.node, int(found.gradient[0]), int(found.nodes[0])]
    assert evaluate(graph, roots, {x.node: np.float64(0.3)}) == pytest.approx([value, first, second], rel=1e-6)


def test_wide_expressions() -> None:
    """A sum and a product of 10⁵ terms, with a Hessian that is an arrow."""
    n = 100_000
    graph = Graph()
    x = np.array([graph.variable("x", (i,)) for i in range(n)])
    shared = np.full(n - 1, x[0])
    terms = graph.add_many(ops.mul, [x[1:], graph.add_many(ops.sin, [graph.add_many(ops.mul, [x[1:], shared])])])
    root = graph.add_node(ops.add, tuple(terms.tolist()))
    found = large.hessian(graph, root, x)
    assert found is not None
    assert len(found.nodes) == 2 * n - 1
    product = graph.add_node(ops.mul, tuple(x[:5_000].tolist()))
    adjoints = large.native_reverse(graph, [(product, ONE)], x)
    assert adjoints is not None
    values = dict.fromkeys(x.tolist(), np.float64(1)) | {int(x[3]): np.float64(2)}
    assert evaluate(graph, adjoints[x[2:5]].tolist(), values) == [2, 1, 2]


def test_reverse_of_a_large_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    graph, root, variables = smooth(1, large.LARGE)
    expected = differentiate.reverse(graph, [(root, ONE)], variables)
    with monkeypatch.context() as patch:
        patch.setattr(differentiate, "reverse", None)
        assert large.reverse(graph, [(root, ONE)], variables) == expected


# --- functions --------------------------------------------------------------------------------------------------------
def rosenbrock(x: np.ndarray) -> np.ndarray:
    return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


@pytest.mark.parametrize("n", [700, 6_000])
def test_rosenbrock_of_any_size(n: int) -> None:
    """9 operations a variable for the gradient, 10 for the Hessian's lower triangle; SciPy has both by hand."""
    f = hy.function(rolled=False, x=(n,))(rosenbrock)
    gradient, hessian = f.gradient(), f.hessian(sparse=True, triangle="lower")
    assert hessian.derivation is not None
    assert hessian.derivation.method == "edge-pushing"
    assert gradient.operations() <= 9 * n
    assert hessian.operations() <= 10 * n
    assert hessian.pattern.nnz == 2 * n - 1
    full = f.hessian(sparse=True)
    assert full.pattern == hessian.pattern.full()[0]
    x = np.linspace(-1, 1, n)
    known = dict(zip(f.arguments[0].nodes, x, strict=True))
    np.testing.assert_allclose(evaluate(f.graph, gradient.nodes, known), optimize.rosen_der(x), rtol=1e-12, atol=1e-9)
    if n < 1_000:
        found = full.pattern.array(evaluate(f.graph, full.nodes, known))
        np.testing.assert_allclose(found, optimize.rosen_hess(x), rtol=1e-12)


def test_edge_pushing_may_be_asked_for() -> None:
    f = hy.function(x=(3,))(lambda x: np.exp(x[0] * x[1]) + x[2])
    assert f.hessian(method="edge-pushing").operations() <= f.hessian(method="reverse").operations()
    kinked = hy.function(x=(3,))(lambda x: np.maximum(x[0], x[1]) * x[2])
    with pytest.raises(hy.ArgumentError, match="method 'edge-pushing' does not follow where"):
        kinked.hessian(method="edge-pushing")


def test_a_large_function_with_selections() -> None:
    n = 1_500
    f = hy.function(rolled=False, x=(n,))(lambda x: np.sum(np.maximum(x[1:], 0.5) * np.sin(x[:-1]) + x[1:] ** 2))
    x = np.linspace(0, 1.001, n)
    known = dict(zip(f.arguments[0].nodes, x, strict=True))
    expected = np.zeros(n)
    expected[1:] += (x[1:] > 0.5) * np.sin(x[:-1]) + 2 * x[1:]
    expected[:-1] += np.maximum(x[1:], 0.5) * np.cos(x[:-1])
    np.testing.assert_allclose(evaluate(f.graph, f.gradient().nodes, known), expected, rtol=1e-12)
    hessian = f.hessian(sparse=True, triangle="lower")
    assert hessian.pattern.nnz == 2 * n - 1
    bends = dict(
        zip(
            zip(hessian.pattern.rows, hessian.pattern.columns, strict=True),
            evaluate(f.graph, hessian.nodes, known),
            strict=True,
        )
    )
    assert bends[7, 7] == pytest.approx(2 - np.maximum(x[8], 0.5) * np.sin(x[7]))
    assert bends[n - 1, n - 2] == pytest.approx(np.cos(x[n - 2]))
    assert bends[8, 7] == 0


# --- the two forms of a graph -----------------------------------------------------------------------------------------
def test_lists_and_arrays_follow_each_other() -> None:
    graph, python = Graph(), Graph()
    for n in range(60):
        for g in (graph, python):
            x = [g.variable("x", (i,)) for i in range(n % 7 + 2)]
            two, number = g.constant(2), g.constant(n if n % 2 else n / 4)
            rows = [(x[i], x[-1 - i]) for i in range(len(x))] + [(x[0], two), (number, x[1]), (len(g) - 1, two)]
            if g is graph and n % 3:
                made = g.add_many(ops.mul, [np.array(column) for column in zip(*rows, strict=True)]).tolist()
            else:
                made = [g.add_node(ops.mul, row) for row in rows]
            g.add_node(ops.sin, (made[-1],))
        assert len(graph) == len(python)
    assert graph.ops == python.ops
    assert graph.args == python.args
    assert graph.leaves == python.leaves
    assert graph.add_node(python.ops[-1], python.args[-1]) == len(graph) - 1
    fresh = Store()
    fresh.extend(python.ops, python.args, python.leaves)
    assert np.array_equal(fresh.ops[: fresh.size], graph.store().ops[: fresh.size])
    assert np.array_equal(fresh.flat[: fresh.start[fresh.size]], graph.store().flat[: fresh.start[fresh.size]])


def test_lists_that_a_loop_holds_follow() -> None:
    """A pass may hold the lists while it adds nodes and leaves one by one, also right after a native sweep."""
    graph = Graph()
    x = np.array([graph.variable("x", (i,)) for i in range(1_000)])
    graph.add_many(ops.mul, [x, x[::-1]])
    held_ops, held_args = graph.ops, graph.args
    for i in range(200):  # natively at first, by the dictionary once it pays
        node = graph.add_node(ops.sub, (int(x[i]), graph.constant(i + 0.5)))
        assert held_ops[node] is ops.sub
        assert held_args[node][0] == x[i]
        assert held_ops[held_args[node][1]] is ops.CONSTANT
    assert not graph.behind


def test_equal_sums_of_arguments_are_still_found() -> None:
    """Nodes are first looked for by the sum of their arguments, which an outer product makes collide."""
    graph = Graph()
    x = np.array([graph.variable("x", (i,)) for i in range(300)])
    columns = [np.repeat(x, 300), np.tile(x, 300)]
    made = graph.add_many(ops.mul, columns)
    assert len(set(made.tolist())) == 90_000
    assert np.array_equal(made, graph.add_many(ops.mul, columns))


def test_reach_is_the_same_in_both_forms() -> None:
    graph, root, _ = smooth(11, 200)
    roots = [root, root - 3, 2]
    assert graph.store().reach(np.array(roots)).tolist() == graph.reach(roots)
    assert not len(graph.store().reach(np.empty(0, np.int64)))
    assert store.payload(True) == store.payload(2.0) == store.payload(1 << 40) == ()
