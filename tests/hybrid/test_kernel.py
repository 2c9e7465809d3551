"""Kernels: every operation and random functions against the NumPy meaning, calls like NumPy, joint compilation."""

import mpmath
import numpy as np
import pytest
import sympy as sp
from random_expressions import Maker, points

import hybrid as hy
from hybrid import operations as ops
from hybrid.definition import Argument, Definition, SymPySource
from hybrid.evaluate import evaluate
from hybrid.operations import MASK, OPERATIONS, REAL
from hybrid.precise import evaluate_precise

x, y, z = hy.symbols("x y z")
f = hy.Function([x, y], sp.exp(x * y) + sp.sin(x), name="f")
EDGES = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 5e-324, -5e-324, 1.0, -1.0, 0.5, 2.0, -3.5, 1e300, -1e-300, 7.0])


def wrapped(maker: Maker, roots: list[int], name: str = "f") -> hy.Function:
    """A function straight from a graph."""
    arguments = tuple(Argument(str(maker.graph.leaves[term.node]), (), (term.node,)) for term in maker.variables)
    source = SymPySource((), ())
    return hy.Function.from_definition(Definition(maker.graph, arguments, tuple(roots), (len(roots),), source, name))


ROWS = [row for row in OPERATIONS.values() if row.result == REAL and MASK not in row.operands and row.domain]


# The NumPy meaning of ψ is the less accurate side: 10 ulp of the larger of 1 and the value; Bessel functions and betaln
# are so accurate only away from their zeros; ratios of erfc lose digits in their recurrence.
ROUGH = (ops.digamma, ops.polygamma, ops.jv, ops.spherical_jn, ops.betaln, ops.erfc_ratio)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_operation_at_the_edges(row: ops.Operation) -> None:
    maker = Maker(0, row.arity)
    nodes = [term.node for term in maker.variables]
    if row.ordered:
        nodes[0] = maker.graph.constant(2)
    root = maker.graph.add_node(row, tuple(nodes))
    kernel = hy.compile(wrapped(maker, [root]), verify=False)
    grids = np.meshgrid(*[EDGES] * row.arity)
    found = kernel(*grids)[..., 0]
    [expected] = evaluate(maker.graph, [root], {t.node: g for t, g in zip(maker.variables, grids, strict=True)})
    expected = np.broadcast_to(expected, found.shape)
    same_kind = (np.isnan(found) == np.isnan(expected)) & (np.isinf(found) == np.isinf(expected))
    assert same_kind.all(), [(float(g[~same_kind][0])) for g in grids]
    finite = np.isfinite(expected)
    rough = {"rtol": 1e-12, "atol": 1e-14} if row in ROUGH else {"rtol": 1e-14, "atol": 5e-324}
    close = np.isclose(found[finite], expected[finite], **rough)
    assert close.all()
    zero = finite & (expected == 0)
    assert np.array_equal(np.signbit(found[zero]), np.signbit(expected[zero])), "signed zeros"


@pytest.mark.parametrize("seed", range(25))
def test_random_functions_against_fifty_digits(seed: int) -> None:
    maker = Maker(seed + 100)
    root = maker.grow(10)
    g = wrapped(maker, [root.node])
    jacobian = g.jacobian()
    kernel = hy.compile(g, jacobian, verify=False)
    columns = points(seed, 3, 5)
    value, slope = kernel(*columns)
    for index in range(5):
        point = {t.node: float(c[index]) for t, c in zip(maker.variables, columns, strict=True)}
        with mpmath.workdps(50):
            nodes = maker.graph.reach([root.node, *jacobian.nodes])
            exact = evaluate_precise(maker.graph, nodes, point)
            size = max(abs(float(exact[n])) for n in nodes if maker.graph.kind(n) == REAL)
            for found, node in zip([value[index, 0], *slope[index].ravel()], [root.node, *jacobian.nodes], strict=True):
                assert abs(found - exact[node]) <= 1e-13 * size, (seed, index)


def test_one_kernel_shares_subexpressions() -> None:
    g, h = f.gradient(), f.hessian()
    joint = hy.compile(f, g, h)
    alone = sum(hy.compile(part, verify=False).operations for part in (f, g, h))
    assert joint.operations < alone
    assert joint.operations <= joint.operations_before
    value, gradient, hessian = joint(0.5, 2.0)
    assert isinstance(value, float)
    assert gradient.shape == (2,)
    assert hessian.shape == (2, 2)
    e = np.exp(1.0)
    assert np.allclose(hessian, [[4 * e - np.sin(0.5), 2 * e], [2 * e, 0.25 * e]], rtol=1e-15)
    assert "verified" in repr(joint)
    assert joint.certificate.passed


def test_functions_of_different_origin_compile_together() -> None:
    @hy.function(y=(), w=(2,))
    def g(y, w):
        return w * y

    kernel = hy.compile(f, g)
    assert [argument.name for argument in kernel.arguments] == ["x", "y", "w"]
    first, second = kernel(0.5, 2.0, [1.0, 3.0])
    assert first == f(0.5, 2.0)
    assert second.tolist() == [2.0, 6.0]


def test_an_argument_must_have_one_shape() -> None:
    @hy.function(x=(2,))
    def g(x):
        return x[0]

    with pytest.raises(hy.ArgumentError, match="'x' has shape"):
        hy.compile(f, g)


def test_calls_like_numpy() -> None:
    a, b = np.random.default_rng(0).uniform(-1, 1, (2, 5, 7))
    expected = f(a, b)
    assert expected.shape == (5, 7)
    assert np.array_equal(f(x=a, y=b), expected)
    assert np.array_equal(f(a, y=b), expected)
    assert f(a[:, :1], b[:1]).shape == (5, 7)
    assert np.array_equal(f(a.T, b.T), expected.T)
    assert np.array_equal(f(a[::-2, ::3], b[::-2, ::3]), expected[::-2, ::3])
    assert f(np.empty((0, 3)), 1.0).shape == (0, 3)
    out = np.empty((5, 7))
    assert f(a, b, out=out) is out
    assert np.array_equal(out, expected)
    assert f(1, True) == f(1.0, 1.0)
    assert f(np.longdouble(0.5), np.float32(2)) == f(0.5, 2.0)
    assert type(f(np.ma.array([1.0, 2.0]), 1.0)) is np.ndarray
    assert f(a, b, dtype=np.float32).dtype == np.float32
    assert isinstance(f.kernel.ufunc, np.ufunc)
    assert np.array_equal(f.kernel.ufunc(a, b), expected)


def test_threads_do_not_change_a_bit() -> None:
    a, b = np.random.default_rng(1).uniform(-1, 1, (2, 300_001))
    g = hy.compile(f, f.gradient(), f.hessian())
    for one, two in zip(g(a, b, threads=1), g(a, b, threads=2), strict=True):
        assert one.tobytes() == two.tobytes()


def test_more_arguments_than_numpy_takes() -> None:
    many = sp.symbols("a0:80")
    g = hy.Function(many, sum(s**2 for s in many), name="many")
    batch = [np.full((3, 1), float(i)) for i in range(79)] + [np.ones((1, 2))]
    assert np.array_equal(g(*batch), np.full((3, 2), sum(i**2 for i in range(79)) + 1.0))
    assert g.gradient()(*range(80)).tolist() == [2.0 * i for i in range(80)]


def test_invalid_points_stay_where_they_are() -> None:
    g = hy.Function([x], sp.log(x) * x)
    found = g(np.array([1.0, -1.0, 2.0, np.nan]))
    assert np.isnan(found).tolist() == [False, True, False, True]


def test_a_branch_not_taken_does_not_poison() -> None:
    g = hy.Function([x], sp.Piecewise((sp.sqrt(x), x > 0), (x, True)))
    kernel = hy.compile(g, g.gradient(), g.hessian())
    value, slope, curvature = kernel(np.array([-1.0, 4.0]))
    assert value.tolist() == [-1.0, 2.0]
    assert slope.tolist() == [1.0, 0.25]
    assert curvature.tolist() == [0.0, -0.03125]


def test_values_are_computed_as_written() -> None:
    @hy.function(a=(), b=())
    def two_sum_error(a, b):
        s = a + b
        t = s - a
        return (a - (s - t)) + (b - t)

    assert two_sum_error(1e16, 1.0) == 1.0, "reassociation would give 0"

    @hy.function(a=())
    def signed(a):
        return a + 0.0

    assert np.signbit(signed(-0.0)) == np.signbit(-0.0 + 0.0)


ERRORS = [
    (lambda: f(1.0), hy.ArgumentError, r"takes 2 arguments \(x, y\); missing: y"),
    (lambda: f(1, 2, 3), hy.ArgumentError, "got 3"),
    (lambda: f(1, z=2), hy.ArgumentError, "unknown: z"),
    (lambda: f(1, 2, x=2), hy.ArgumentError, "given twice: x"),
    (lambda: f(1j, 2), hy.InputTypeError, "complex"),
    (lambda: f("1", 2), hy.InputTypeError, "real numbers"),
    (lambda: f([[1, 2], [3]], 2), hy.ShapeError, "not one array"),
    (lambda: f(np.ones(3), np.ones(4)), hy.ShapeError, "broadcast"),
    (lambda: f(np.ma.array([1.0, 2.0], mask=[True, False]), 1.0), hy.InputTypeError, "masked elements"),
    (lambda: f(1.0, 2.0, threads=0), hy.ArgumentError, "threads must be at least 1"),
    (lambda: f(np.ones(3), 1.0, out=np.empty(3, int)), hy.InputTypeError, "float64"),
    (lambda: f(np.ones(3), 1.0, out=(np.empty(3), np.empty(3))), hy.ArgumentError, "holds 2 arrays"),
    (lambda: f(np.ones(3), 1.0, out=read_only(3)), hy.ArgumentError, "read-only"),
    (lambda: hy.compile(), hy.ArgumentError, "at least one Function"),
    (lambda: hy.compile(sp.sin), hy.InputTypeError, "takes Functions"),
    (lambda: hy.compile(f, rules="fast"), hy.ArgumentError, "rules must be one of"),
]


def read_only(size: int) -> np.ndarray:
    array = np.empty(size)
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(("call", "error", "text"), ERRORS)
def test_errors(call, error, text: str) -> None:
    with pytest.raises(error, match=text):
        call()


def test_black_scholes_takes_few_operations() -> None:
    s, k, t, r, v = hy.symbols("S K T r sigma", positive=True)
    d = (sp.log(s / k) + (r + v**2 / 2) * t) / (v * sp.sqrt(t))
    price = (
        s * (1 + sp.erf(d / sp.sqrt(2))) / 2 - k * sp.exp(-r * t) * (1 + sp.erf((d - v * sp.sqrt(t)) / sp.sqrt(2))) / 2
    )
    g = hy.Function([s, k, t, r, v], price)
    assert hy.compile(g, g.gradient(), g.hessian()).operations <= 140


def test_a_stable_branch_is_not_replaced_by_one_that_overflows() -> None:
    f = hy.function(x=(), y=())(lambda x, y: np.logaddexp(x, y))
    kernel = hy.compile(f, f.gradient(), f.hessian())
    for value, slope, curvature in [kernel(800.0, 1.0), kernel(1.0, 800.0), kernel(-800.0, 3.0)]:
        assert np.isfinite(value)
        assert sorted(slope) == [0.0, 1.0]
        assert np.array_equal(np.abs(curvature), np.zeros((2, 2)))


def test_clip_at_its_bounds() -> None:
    slope = hy.function(x=())(lambda x: np.clip(x, 1, 2)).gradient()
    assert slope(np.array([0.5, 1.0, 1.5, 2.0, 2.5])).tolist() == [0.0, 1.0, 1.0, 1.0, 0.0]


def test_names_that_no_identifier_has() -> None:
    symbols = [sp.Symbol(name) for name in ("1x", "a b", "%", "λ")]
    assert hy.Function(symbols, sum(s**2 for s in symbols))(1.0, 2.0, 3.0, 4.0) == 30.0


def test_large_beta_functions() -> None:
    assert np.isclose(hy.Function([x, y], sp.beta(x, y))(100.0, 90.0), 3.0238531916564250e-58, rtol=1e-12)


def test_more_functions_than_a_ufunc_has_operands() -> None:
    functions = [hy.Function([x], [x + i, x * i] if i % 3 == 0 else x + i, name=f"f{i}") for i in range(80)]
    kernel = hy.compile(*functions)
    a = np.linspace(-1, 1, 6).reshape(2, 3)
    for values in (kernel(a), kernel(a, out=[np.zeros(a.shape + f.shape) for f in functions])):
        assert len(values) == 80
        for i, value in enumerate(values):
            expected = np.stack([a + i, a * i], axis=-1) if i % 3 == 0 else a + i
            assert np.array_equal(value, expected)
    assert kernel(2.0)[1] == 3.0
    assert kernel.point(2.0)[:3] == ((2.0, 0.0), 3.0, 4.0)


def test_tiers_agree_and_large_functions_are_quick() -> None:
    @hy.function(x=(3,), p=())
    def f(x, p):
        for _ in range(40):
            x = np.sin(x) * p + np.exp(-x * x)
        return np.sum(x)

    g = f.gradient()
    full, quick = (hy.compile(g, tier=tier) for tier in ("full", "quick"))
    assert (full.compiled.tier, quick.compiled.tier) == ("full", "threaded")
    assert hy.compile(g).compiled.tier == "full"
    assert quick.operations_before == full.operations_before
    x = np.random.default_rng(0).normal(size=(100, 3))
    np.testing.assert_allclose(quick(x, 0.9), full(x, 0.9), rtol=1e-9)
    assert np.array_equal(quick.point(x[0], 0.9), quick(x[0], 0.9))
    with pytest.raises(hy.ArgumentError, match="tier must be one of 'auto', 'full', 'quick', got 'slow'"):
        hy.compile(g, tier="slow")


def test_tens_of_thousands_of_operations_from_graph_to_checked_gradient() -> None:
    @hy.function(x=(20,))
    def f(x):
        values = list(x)
        for k in range(2_000):
            values.append(0.5 * np.sin(values[k]) * np.cos(values[-1]) + values[k + 7] / (3 + values[k + 3] ** 2))
        return sum(values[-20:])

    kernel = hy.compile(f.gradient())
    assert kernel.compiled.tier == "threaded"
    assert kernel.certificate is not None
    assert kernel.certificate.passed


def test_export_says_what_is_wrong(tmp_path) -> None:
    kernel = hy.compile(f)
    assert [path.name for path in kernel.export(tmp_path, formats="h")] == ["f.h"]
    for wrong, kind, words in (
        ({"formats": "exe"}, ValueError, "unknown export format 'exe'; known: o, h"),
        ({"formats": ["h", "H"]}, ValueError, "unknown export format 'H'"),
        ({"name": "a b"}, ValueError, "'a b' cannot be a C function"),
        ({"name": "int"}, ValueError, "'int' cannot be a C function"),
        ({"target": "pdp11"}, ValueError, "unknown target 'pdp11'; known: host"),
        ({"dtype": int}, hy.InputTypeError, "dtype must be float64 or float32, got int64"),
        ({"dtype": "float33"}, hy.InputTypeError, "dtype must be float64 or float32, got 'float33'"),
        ({"optimise": "fast"}, ValueError, "optimise must be one of speed, size"),
    ):
        with pytest.raises(kind, match=words):
            kernel.export(tmp_path / "none", **{"formats": ["h"], **wrong})
    assert not (tmp_path / "none").exists()
