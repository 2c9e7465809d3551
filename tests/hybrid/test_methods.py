"""Every method to a derivative gives the same numbers; elimination takes fewer operations; the choice is told."""

import numpy as np
import pytest
import sympy as sp
from random_expressions import Maker

import hybrid as hy
from hybrid.choice import alternatives
from hybrid.coloured import dependency_pattern
from hybrid.differentiate import jacobian_reverse
from hybrid.elimination import VARIANTS, jacobian_eliminated
from hybrid.evaluate import evaluate
from hybrid.lower import count_operations
from hybrid.methods import HESSIANS, JACOBIANS

x, y, z = hy.symbols("x y z")
rng = np.random.default_rng(5)


def values(function: hy.Function, *arrays: object) -> np.ndarray:
    point = {}
    for argument, array in zip(function.arguments, arrays, strict=True):
        point.update(zip(argument.nodes, np.asarray(array, dtype=float).ravel(), strict=True))
    return np.array([float(v) for v in evaluate(function.graph, function.nodes, point)]).reshape(function.shape)


@hy.function(q=(5,))
def chain_of_turns(q):
    point = np.array([1.0, 0.5])
    for angle in q:
        c, s = np.cos(angle), np.sin(angle)
        point = np.array([c * point[0] - s * point[1] + 0.3, s * point[0] + c * point[1]])
    return point


@hy.function(v=(12,))
def band(v):
    return np.sin(v[1:] * v[:-1]) + v[1:] ** 2


@hy.function(v=(4,))
def selected(v):
    return np.stack([np.maximum(v[0] * v[1], v[2]) ** 2, np.where(v[3] > 0, np.sqrt(v[3]) * v[0], v[1] ** 2), v[2]])


@hy.function(q=(4,))
def energy(q):
    return np.sqrt(np.sum((np.sin(q[:3]) * q[1:] - 0.5) ** 2)) + 0.0 * q[0]


@hy.function(v=(9,))
def sums(v):
    return np.sum(np.exp(v[1:] * v[:-1])) + v[4] ** 2


POINTS = {
    "chain_of_turns": rng.normal(size=5),
    "band": rng.normal(size=12),
    "selected": np.array([0.4, -0.7, 0.3, -1.2]),
    "energy": rng.normal(size=4),
    "sums": rng.normal(size=9),
}


@pytest.mark.parametrize("method", [name for name in JACOBIANS if name != "reverse"])
@pytest.mark.parametrize("function", [chain_of_turns, band, selected], ids=lambda f: f.name)
def test_jacobians_by_every_method_agree(function: hy.Function, method: str) -> None:
    at = POINTS[function.name]
    expected = values(function.jacobian(method="reverse"), at)
    assert np.allclose(values(function.jacobian(method=method), at), expected, rtol=1e-13, atol=1e-15)
    sparse = function.jacobian(method=method, sparse=True)
    assert sparse.derivation.method == method
    assert np.allclose(sparse.pattern.array(values(sparse, at)), expected, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("method", [name for name in HESSIANS if name != "reverse"])
@pytest.mark.parametrize("function", [energy, sums], ids=lambda f: f.name)
def test_hessians_by_every_method_agree(function: hy.Function, method: str) -> None:
    at = POINTS[function.name]
    expected = values(function.hessian(method="reverse"), at)
    assert np.allclose(values(function.hessian(method=method), at), expected, rtol=1e-12, atol=1e-14)
    lower = function.hessian(method=method, sparse=True, triangle="lower")
    assert np.allclose(lower.pattern.array(values(lower, at)), np.tril(expected), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("seed", range(60))
def test_elimination_of_random_functions(seed: int) -> None:
    maker = Maker(seed)
    graph, roots = maker.graph, [maker.grow(15).node, maker.grow(10).node]
    wrt = [variable.node for variable in maker.variables]
    point = dict(zip(wrt, np.random.default_rng(seed).uniform(0.2, 1.5, 3), strict=True))

    def matrix(entries: dict[tuple[int, int], int]) -> np.ndarray:
        found = np.zeros((2, 3))
        for place, value in zip(entries, evaluate(graph, list(entries.values()), point), strict=True):
            found[place] = value
        return found

    expected = matrix(jacobian_reverse(graph, roots, wrt))
    good = np.isfinite(expected)
    for variant in VARIANTS:
        assert np.allclose(matrix(jacobian_eliminated(graph, roots, wrt, *variant))[good], expected[good], rtol=1e-9)


def test_an_untaken_branch_stays_out_of_every_method() -> None:
    f = hy.Function([x, y], [sp.Piecewise((sp.sqrt(x) * y, x > 0), (y**2, True)), sp.Max(x, 2) * y])
    for method in JACOBIANS:
        assert np.array_equal(values(f.jacobian(method=method), -1.0, 3.0), [[0.0, 6.0], [0.0, 2.0]]), method


def test_elimination_across_takes_fewer_operations() -> None:
    count = {candidate.method: candidate.simplified for candidate in chain_of_turns.jacobian().explain().candidates}
    assert count["cross-country"] < min(count["forward"], count["reverse"])
    assert count["coloured"] == count["forward"], "colours save sweeps, not operations"


def test_a_kernel_takes_the_method_of_the_fewest_operations() -> None:
    f = chain_of_turns
    kernel = hy.compile(f, f.jacobian())
    for method in JACOBIANS:
        assert kernel.operations <= hy.compile(f, f.jacobian(method=method), verify=False).operations
    assert kernel.formulas[1].derivation.method == "cross-country"
    assert hy.compile(f, f.jacobian(method="forward")).formulas[1].derivation.method == "forward", "as asked"
    assert not alternatives(f.jacobian().simplify()), "simplified by the user, compiled as it is"


def test_explain() -> None:
    told = chain_of_turns.jacobian().explain()
    assert {c.method for c in told.candidates} == set(JACOBIANS)
    count = {candidate.method: candidate for candidate in told.candidates}
    assert told.chosen == "cross-country"
    assert count[told.chosen].simplified == min(c.simplified for c in told.candidates)
    kernel = hy.compile(chain_of_turns, chain_of_turns.jacobian())
    assert count[told.chosen].simplified == kernel.operations
    forward = chain_of_turns.jacobian(method="forward")
    both = count_operations(forward.graph, (*chain_of_turns.nodes, *forward.nodes))
    assert count["forward"].derived == both
    text = str(told)
    assert "chain_of_turns_jacobian: jacobian of chain_of_turns, 2 outputs, 5 variables" in text
    assert "10 of 10 entries can be non-zero (100 %)" in text
    assert "← chosen" in text
    assert str(forward.explain()).endswith("chosen: forward, as asked")
    assert "one adjoint sweep" in str(sums.gradient().explain())
    assert "chain" in str(energy.hessian().explain())
    assert hy.Function([x, y], [x * y, sp.sin(x)]).hessian().explain().pattern.shape == (4, 2)
    with pytest.raises(hy.ArgumentError, match=r"try sums.jacobian\(\).explain\(\)"):
        sums.explain()
    with pytest.raises(hy.ArgumentError, match="is none"):
        sums.hvp().explain()


def test_methods_by_name() -> None:
    with pytest.raises(
        hy.ArgumentError, match=r"'auto' or one of \['coloured', 'cross-country', 'forward', 'reverse'\]"
    ):
        band.jacobian(method="backward")
    with pytest.raises(hy.ArgumentError, match="got 'chain'"):
        sums.gradient(method="chain")
    for method in ("forward", "reverse", "cross-country"):
        assert np.allclose(values(sums.gradient(method=method), POINTS["sums"]), sums.gradient()(POINTS["sums"]))


def test_dependencies_are_the_pattern() -> None:
    for function in (chain_of_turns, band, selected):
        found = dependency_pattern(function.graph, function.nodes, function._variables([0]))
        assert found == function.jacobian(sparse=True).pattern
    assert np.array_equal(band.jacobian(sparse=True).pattern.colour_columns()[:4] % 2, [0, 1, 0, 1])


def test_large_functions_are_not_tried_in_other_ways() -> None:
    @hy.function(rolled=False, v=(3_000,))
    def large(v):
        return np.sum(np.sin(v[1:] * v[:-1]))

    hessian = large.hessian(sparse=True)
    assert not alternatives(hessian)
    told = hessian.explain()
    assert [candidate.method for candidate in told.candidates] == ["edge-pushing"]
    assert "a guess" in str(told)


def test_a_bottleneck_whose_nodes_depend_on_each_other_is_none() -> None:
    @hy.function(q=(4,))
    def nested(q):
        first = np.sin(q[0] * q[1]) + q[2] * q[3]
        second = np.exp(first) * np.sin(first) * q[0]
        return second**2 * first + np.cos(first * second)

    at = np.array([0.3, 0.7, -0.4, 1.1])
    expected = values(nested.hessian(method="reverse"), at)
    for method in HESSIANS:
        assert np.allclose(values(nested.hessian(method=method), at), expected, rtol=1e-12, atol=1e-14), method


@pytest.mark.parametrize("seed", [5673, *range(20)])
def test_hessians_of_random_functions(seed: int) -> None:
    maker = Maker(seed, 4)
    graph, root = maker.graph, maker.grow(12).node
    wrt = [variable.node for variable in maker.variables]
    point = dict(zip(wrt, np.random.default_rng(seed).uniform(0.2, 1.8, 4), strict=True))

    def matrix(entries) -> np.ndarray:
        found = np.zeros((4, 4))
        for place, value in zip(entries, evaluate(graph, list(entries.values()), point), strict=True):
            found[place] = value
        return found

    expected = matrix(HESSIANS["reverse"][0](graph, [root], wrt))
    good = np.isfinite(expected)
    for method, builds in HESSIANS.items():
        for build in builds:
            entries = build(graph, [root], wrt)
            if entries is not None:
                assert np.allclose(matrix(dict(entries.items()))[good], expected[good], rtol=1e-7, atol=1e-9), method
