"""Rule sets keep their promise and never add operations."""

import signal
import time
from fractions import Fraction

import mpmath
import numpy as np
import pytest
import sympy as sp
from random_expressions import Maker, points

import hybrid as hy
from hybrid import operations as ops
from hybrid.differentiate import hessian_forward, hessian_reverse, jacobian_forward, jacobian_reverse
from hybrid.evaluate import evaluate
from hybrid.function import Function
from hybrid.graph import Graph, Term
from hybrid.identities import merge_equal, overflows
from hybrid.known import Known
from hybrid.lower import Result, lower
from hybrid.parse import define
from hybrid.precise import evaluate_precise
from hybrid.saturation import unsaturated
from hybrid.simplify import BITWISE, REAL, operations, simplify
from hybrid.watch import Budget


def graph_of(*names: str) -> tuple[Graph, list[Term]]:
    graph = Graph()
    return graph, [Term(graph, graph.variable(name)) for name in names]


def simplified(build, *names: str, rules=REAL) -> tuple[Graph, int, int]:
    graph, terms = graph_of(*names)
    root = graph.lift(build(*terms)).node
    return graph, root, simplify(graph, [root], rules)[0]


VANISH = [
    ("x - x", lambda x, y: x - x, 0),
    ("x/x", lambda x, y: x / x, 1),
    ("x*y/(y*x)", lambda x, y: x * y / (y * x), 1),
    ("sin² + cos²", lambda x, y: ops.sin(x) ** 2 + ops.cos(x) * ops.cos(x), 1),
    ("cosh² - sinh²", lambda x, y: ops.cosh(x) ** 2 - ops.sinh(x) ** 2, 1),
    ("(x+y)² expanded", lambda x, y: (x + y) ** 2 - x**2 - 2 * x * y - y**2, 0),
    ("log of a product", lambda x, y: ops.log(x * x * y * y + 1) - ops.log(1 + (x * y) ** 2), 0),
    ("exp of a sum", lambda x, y: ops.exp(x) * ops.exp(y) - ops.exp(x + y), 0),
    ("double angle", lambda x, y: 2 * ops.sin(x) * ops.cos(x) - ops.sin(2 * x), 0),
    ("odd", lambda x, y: ops.sin(x - y) + ops.sin(y - x), 0),
    ("thirds", lambda x, y: x * Fraction(1, 3) + x * Fraction(2, 3) - x, 0),
]


@pytest.mark.parametrize(("name", "build", "constant"), VANISH, ids=[case[0] for case in VANISH])
def test_identities(name, build, constant) -> None:
    graph, _, new = simplified(build, "x", "y")
    assert graph.ops[new] is ops.CONSTANT, name
    assert graph.leaves[new] == constant


STAY = [
    ("|x| is not x", lambda x, y: ops.abs_(x) - x),
    ("√(x²) is not x", lambda x, y: ops.sqrt(x**2) - x),
    ("max is not its first", lambda x, y: ops.maximum(x, y) - x),
    ("where is not its branch", lambda x, y: ops.where(ops.gt(x, -3), x, y) - x),
    ("floor", lambda x, y: ops.floor(x) - ops.floor(x + Fraction(1, 10**9))),
    ("asin(sin x) is not x", lambda x, y: ops.asin(ops.sin(x)) - x),
    ("tanh is nearly 1", lambda x, y: 1 - ops.tanh(x + 200) ** 2),
    ("erf is nearly 1", lambda x, y: 1 - ops.erf(x + 40)),
    ("e^x is nearly 0", lambda x, y: (1 + ops.exp(x - 300)) - 1),
    ("cosh is nearly half an exp", lambda x, y: 2 * ops.cosh(x + 200) - ops.exp(x + 200)),
    ("nearly equal", lambda x, y: ops.sin(x) * (1 + Fraction(1, 10**20)) - ops.sin(x)),
]


@pytest.mark.parametrize(("name", "build"), STAY, ids=[case[0] for case in STAY])
def test_what_is_no_identity_stays(name, build) -> None:
    graph, _, new = simplified(build, "x", "y")
    assert graph.ops[new] is not ops.CONSTANT, name


def sample_roots(seed: int) -> tuple[Maker, list[int]]:
    maker = Maker(seed)
    root = maker.grow(12)
    variables = [term.node for term in maker.variables]
    hessian = (hessian_reverse if seed % 2 else hessian_forward)(maker.graph, root.node, variables)
    jacobian = (jacobian_forward if seed % 2 else jacobian_reverse)(maker.graph, [root.node], variables)
    return maker, [root.node, *jacobian.values(), *hessian.values()]


@pytest.mark.parametrize("seed", range(30))
def test_random_expressions_keep_their_values_and_never_grow(seed: int) -> None:
    maker, roots = sample_roots(seed)
    graph = maker.graph
    new = simplify(graph, roots, REAL)
    assert operations(graph, new) <= operations(graph, unsaturated(graph, roots, ()))
    with mpmath.workdps(50):
        for values in zip(*points(seed, 3, 3), strict=True):
            point = {t.node: float(value) for t, value in zip(maker.variables, values, strict=True)}
            exact = evaluate_precise(graph, graph.reach([*roots, *new]), point)
            for old_root, new_root in zip(roots, new, strict=True):
                before, after = exact[old_root], exact[new_root]
                if mpmath.isfinite(before):
                    assert abs(before - after) <= mpmath.mpf(10) ** -35 * max(1, abs(before)), (seed, point)


@pytest.mark.parametrize("seed", range(20))
def test_bitwise_keeps_every_bit(seed: int) -> None:
    maker, roots = sample_roots(seed)
    new = simplify(maker.graph, roots, BITWISE)
    special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 5e-324, 1.0, -2.5])
    values = {t.node: np.roll(special, i) for i, t in enumerate(maker.variables)}
    before, after = evaluate(maker.graph, roots, values), evaluate(maker.graph, new, values)
    for old, now in zip(before, after, strict=True):
        assert np.broadcast_to(old, 8).tobytes() == np.broadcast_to(now, 8).tobytes()


@pytest.mark.parametrize(
    ("build", "same"),
    [
        (lambda x: x * 1, True),
        (lambda x: x / 1, True),
        (lambda x: ops.neg(ops.neg(x)), True),
        (lambda x: ops.where(ops.gt(x, 0), x, x), True),
        (lambda x: x + 0, False),
        (lambda x: x * 0, False),
        (lambda x: x - x, False),
    ],
)
def test_bitwise_rules(build, same: bool) -> None:
    graph, [x] = graph_of("x")
    assert (simplify(graph, [build(x).node], BITWISE) == [x.node]) is same


def test_kept_nodes_stay_as_written() -> None:
    graph, [x, y] = graph_of("x", "y")
    value = (x - x) + y * 0
    new = simplify(graph, [value.node, (value * 2 - value - value).node], REAL, keep=[value.node])
    assert new[0] == value.node
    assert graph.leaves[new[1]] == 0


def test_merge_equal_leaves_points_outside_the_domain_to_the_original() -> None:
    graph, [x] = graph_of("x")
    wide, narrow = ops.log(x * x).node, (2 * ops.log(x)).node
    assert merge_equal(graph, [wide, narrow], frozenset()) == [wide, wide], "log x² is defined wherever 2 log x is"
    graph, [x] = graph_of("x")
    narrow, wide = (2 * ops.log(x)).node, ops.log(x * x).node
    assert merge_equal(graph, [narrow, wide], frozenset()) == [narrow, wide], "but not the other way round"


def test_wide_and_deep_expressions_take_linear_time() -> None:
    graph, [x] = graph_of("x")
    deep = x
    for _ in range(4_000):
        deep = ops.sin(deep) * x + 1
    wide = graph.apply(ops.add, *[ops.sin(x * i) for i in range(4_000)])
    new = simplify(graph, [deep.node, wide.node])
    assert operations(graph, new) <= operations(graph, [deep.node, wide.node])


def test_conditions_that_are_known_go() -> None:
    f = Function.from_definition(define("(2 + sin(x))**(-1.5)", {"x": ()}))
    program = lower(f.graph, f.arguments, [Result("g", (), tuple(simplify(f.graph, f.gradient().nodes)))])
    assert not {"select", "eq", "and"} & program.counts().keys()


def count_of(build, *names: str) -> tuple[int, int]:
    """Operations before and after."""
    graph, terms = graph_of(*names)
    roots = [graph.lift(term).node for term in build(*terms)]
    return operations(graph, roots), operations(graph, simplify(graph, roots))


FEWEST = [
    ("Horner's form", lambda x, y: [sum((n + 2) * x**n for n in range(1, 20)) + 1], 38),
    ("powers that build on each other", lambda x, y: [x**11, x**12, x**13], 7),
    ("one division for several powers", lambda x, y: [1 / x, x**-2, y * x**-3, x**-3], 4),
    ("a factor that flows into many", lambda x, y: [lifted(ops.sin(x), y)], 8),
    ("expm1", lambda x, y: [ops.exp(x * y) - 1, 2 - 2 * ops.exp(y)], 4),
    ("log1p", lambda x, y: [ops.log(1 + x * x), ops.log(x + y + 1)], 4),
    ("no expm1 where e^x is needed too", lambda x, y: [ops.exp(x) - 1, ops.exp(x) * y], 3),
    ("signs in constants", lambda x, y: [-(2 * ops.sin(x) * y)], 3),
]


def lifted(h: Term, y: Term) -> Term:
    a, b = h * y, h * ops.cos(y)
    return a * ops.exp(y) + b + a * y + b * y  # h·(y·(e^y + y + cos y) + cos y)


@pytest.mark.parametrize(("name", "build", "fewest"), FEWEST, ids=[case[0] for case in FEWEST])
def test_operation_counts(name: str, build, fewest: int) -> None:
    before, after = count_of(build, "x", "y")
    assert after <= fewest <= before, name


def test_a_budget_is_kept_and_never_costs_operations() -> None:
    maker = Maker(5)
    root = maker.grow(400)
    variables = [term.node for term in maker.variables]
    roots = [root.node, *jacobian_reverse(maker.graph, [root.node], variables).values()]
    before = operations(maker.graph, unsaturated(maker.graph, roots, ()))
    for seconds in (1e-9, 0.05, 1.0):
        start = time.monotonic()
        with Budget(seconds=seconds) as budget:
            new = simplify(maker.graph, roots, watch=budget)
        assert operations(maker.graph, new) <= before
        assert time.monotonic() - start < 60 * max(seconds, 1), "the budget is looked at between nodes"


def test_an_interrupt_keeps_what_was_reached() -> None:
    started_with = signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background it may be ignored
    try:
        interrupted()
    finally:
        signal.signal(signal.SIGINT, started_with)


def interrupted() -> None:
    x, y = hy.symbols("x y")
    f = hy.Function([x, y], sp.sin(x) * y + sp.sin(x) * sp.exp(y) + 3 * sp.sin(x))
    with Budget(seconds=100.0) as budget:
        signal.raise_signal(signal.SIGINT)
        assert budget.interrupted
        nodes = simplify(f.graph, f.nodes, watch=budget)
    assert operations(f.graph, nodes) <= f.operations()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert f.simplify(budget=5).operations() == 5 < f.operations()
    with pytest.raises(hy.ArgumentError, match="positive number of seconds"):
        f.simplify(budget=0)


def test_no_form_is_taken_that_overflows() -> None:
    graph, [x, y] = graph_of("x", "y")
    safe = [(ops.exp(x) / (1 + ops.exp(x))).node]
    risky = [(ops.exp(x * 2) / (ops.exp(x) * (1 + ops.exp(x)))).node]
    assert overflows(graph, safe, risky)
    assert not overflows(graph, risky, safe)
    assert not overflows(graph, [ops.log(x).node], [(ops.log(x * 2) - ops.log(y.graph.lift(2))).node])


def test_forms_are_counted_in_one_program_as_each_by_itself():
    f = Function.from_definition(define("exp(-x*y)/(1 + x**2)**3 - y/(1 + x**2) + 3*sin(-x)", {"x": (), "y": ()}, "f"))
    graph, roots = f.graph, [*f.nodes, *f.hessian().nodes]
    known = Known(graph)
    forms = [roots, simplify(graph, roots, BITWISE), simplify(graph, roots, REAL, known=known)]
    for form in [*forms, roots[:2], roots[2:], [forms[2][0], roots[3]]]:
        assert known.counting.count(form, graph.reach(form)) == operations(graph, form)


def test_what_is_known_changes_nothing():
    def derivatives() -> tuple[Graph, list[int]]:
        text = "exp(-x*y)/(1 + x**2)**3 - y/(1 + x**2) + sin(x)**2*y"
        f = Function.from_definition(define(text, {"x": (), "y": ()}, "f"))
        return f.graph, [*f.nodes, *f.hessian().nodes]

    graph, roots = derivatives()
    alone = operations(graph, simplify(graph, roots, REAL))
    graph, roots = derivatives()
    known = Known(graph)
    kept = simplify(graph, roots, REAL, keep=roots[:1], known=known)  # forms of other kept nodes are not taken
    first, again = (simplify(graph, roots, REAL, known=known) for _ in range(2))
    assert kept[0] == roots[0]
    assert first == again
    assert operations(graph, first) <= alone
