"""Function: shapes of derivatives, composition, the agreement of all ways to differentiate, and its doors' errors."""

import numpy as np
import pytest
import sympy as sp

import hybrid as hy
from hybrid.evaluate import evaluate

x, y, z = hy.symbols("x y z")


def values(function: hy.Function, *arrays: object) -> np.ndarray:
    """The NumPy meaning of a function, without a kernel."""
    point = {}
    for argument, array in zip(function.arguments, arrays, strict=True):
        point.update(zip(argument.nodes, np.asarray(array, dtype=float).ravel(), strict=True))
    found = evaluate(function.graph, function.nodes, point)
    return np.array([float(value) for value in found]).reshape(function.shape)


@hy.function(a=(2, 3), b=())
def grid(a, b):
    return np.exp(a * b) @ np.array([1.0, -2.0, 0.5])


@hy.function(q=(4,))
def bowl(q):
    """Sum of squared logarithms."""
    return np.sum(np.log(q) ** 2)


SHAPES = [
    (hy.Function([x], sp.sin(x)), "gradient", None, ()),
    (hy.Function([x], [x, x**2, 1]), "jacobian", None, (3,)),
    (hy.Function([x, y], x * y), "gradient", None, (2,)),
    (hy.Function([x, y], x * y), "hessian", None, (2, 2)),
    (hy.Function([x, y], [x * y, x, y]), "jacobian", None, (3, 2)),
    (hy.Function([x, y], [x * y, x, y]), "jacobian", [y], (3,)),
    (hy.Function([x, y], [x * y, x, y]), "hessian", None, (3, 2, 2)),
    (hy.Function([x, y], sp.Matrix([[x, y], [y, x]])), "jacobian", None, (2, 2, 2)),
    (hy.Function([x, y], sp.Matrix([x, y])), "jacobian", None, (2, 2)),
    (grid, "jacobian", None, (2, 7)),
    (grid, "jacobian", "a", (2, 2, 3)),
    (grid, "jacobian", "b", (2,)),
    (grid, "hessian", "a", (2, 2, 3, 2, 3)),
    (bowl, "gradient", None, (4,)),
    (bowl, "hessian", None, (4, 4)),
    (bowl, "hvp", None, (4,)),
    (bowl, "jvp", None, ()),
    (bowl, "vjp", None, (4,)),
    (grid, "jvp", None, (2,)),
    (grid, "vjp", "a", (2, 3)),
]


@pytest.mark.parametrize(("function", "kind", "wrt", "shape"), SHAPES)
def test_shapes(function: hy.Function, kind: str, wrt, shape: tuple[int, ...]) -> None:
    derived = getattr(function, kind)(wrt=wrt)
    assert derived.shape == shape
    assert derived.derivation.kind == kind
    assert derived.name == f"{function.name}_{kind}"


def test_log_over_a_matrix_has_the_jacobian_of_the_manual() -> None:
    @hy.function(m=(2, 2))
    def logs(m):
        return np.log(m)

    jacobian = logs.jacobian()
    at = np.array([[1.0, 2.0], [4.0, 5.0]])
    expected = np.zeros((2, 2, 2, 2))
    for i, j in np.ndindex(2, 2):
        expected[i, j, i, j] = 1 / at[i, j]
    assert jacobian.shape == (2, 2, 2, 2)
    assert np.array_equal(values(jacobian, at), expected)


def test_all_ways_to_a_derivative_agree() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.uniform(0.5, 1.5, (2, 3)), 0.7
    u, v = rng.normal(size=(2, 3)), rng.normal()
    w = rng.normal(size=2)
    jacobian = values(grid.jacobian(), a, b)
    assert np.allclose(values(grid.jacobian(method="forward"), a, b), jacobian, rtol=1e-14)
    assert np.allclose(values(grid.jacobian(method="reverse"), a, b), jacobian, rtol=1e-14)
    direction = np.append(u.ravel(), v)
    assert np.allclose(values(grid.jvp(), a, b, u, v), jacobian @ direction, rtol=1e-13)
    assert np.allclose(values(grid.vjp(), a, b, w), w @ jacobian, rtol=1e-13)
    q, p = rng.uniform(0.5, 2, 4), rng.normal(size=4)
    hessian = values(bowl.hessian(), q)
    for method in ("forward", "reverse"):
        assert np.allclose(values(bowl.hessian(method=method), q), hessian, rtol=1e-14)
    assert np.allclose(values(bowl.gradient().jacobian(), q), hessian, rtol=1e-14)
    assert np.allclose(values(bowl.hvp(), q, p), hessian @ p, rtol=1e-13)
    third = values(bowl.hessian().jacobian(), q)
    assert third.shape == (4, 4, 4)
    assert np.allclose(np.diagonal(np.diagonal(third)), (4 * np.log(q) - 6) / q**3, rtol=1e-12)


CHAINS = [
    ("norm", lambda q: np.sqrt(np.sum((np.sin(q[:3]) * q[1:] - 0.5) ** 2))),
    ("exp of a product", lambda q: np.exp(q[0] * q[1] * q[2]) * 2.0),
    ("two energies", lambda q: np.log(np.sum(q**2) + 1) * np.prod(np.cos(q))),
    ("no bottleneck", lambda q: np.sum(np.sin(q))),
    ("selected", lambda q: np.maximum(np.sum(q**2), 0.1) ** 2),
]


@pytest.mark.parametrize(("name", "body"), CHAINS, ids=[case[0] for case in CHAINS])
def test_the_hessian_through_a_bottleneck(name: str, body) -> None:
    f = hy.function(q=(4,))(body)
    at = np.array([0.3, -0.7, 1.1, 0.4])
    expected = values(f.hessian(method="reverse"), at)
    for method in ("auto", "chain"):
        assert np.allclose(values(f.hessian(method=method), at), expected, rtol=1e-13, atol=1e-15), name
    assert f.hessian().operations() <= f.hessian(method="forward").operations()


@pytest.mark.parametrize("method", ["forward", "reverse"])
def test_an_invalid_partial_of_an_untaken_branch_stays_out(method: str) -> None:
    f = hy.Function([x, y], (x - 2) ** sp.cos(sp.Max(0, x + y)))
    hessian = values(f.hessian(method=method), 0.7, -6.7)
    assert np.array_equal(hessian, np.zeros((2, 2))), "log(x − 2) is NaN, but the exponent is constant there"


def test_against_sympy_to_third_order() -> None:
    expression = sp.exp(x * y) * sp.sin(z) / (1 + x**2) + sp.atan2(y, z) * sp.sqrt(x)
    f = hy.Function([x, y, z], expression)
    point = dict(zip((x, y, z), (sp.Rational(3, 5), sp.Rational(6, 5), sp.Rational(-7, 10)), strict=True))
    at = [float(value) for value in point.values()]
    third = values(f.hessian().jacobian(), *at)
    for i, a in enumerate((x, y, z)):
        assert np.isclose(values(f.gradient(), *at)[i], float(expression.diff(a).subs(point)), rtol=1e-14)
        for j, b in enumerate((x, y, z)):
            assert np.isclose(values(f.hessian(), *at)[i, j], float(expression.diff(a, b).subs(point)), rtol=1e-13)
            for k, c in enumerate((x, y, z)):
                assert np.isclose(third[i, j, k], float(expression.diff(a, b, c).subs(point)), rtol=1e-12)


def test_names_of_the_extra_arguments() -> None:
    f = hy.Function([x, y], x * y, name="f")
    assert [a.name for a in f.jvp().arguments] == ["x", "y", "x_dot", "y_dot"]
    assert [a.name for a in f.vjp().arguments] == ["x", "y", "f_bar"]
    clash = hy.Function([x, sp.Symbol("x_dot", real=True)], x * sp.Symbol("x_dot", real=True))
    assert [a.name for a in clash.hvp(wrt="x").arguments] == ["x", "x_dot", "x_dot_"]


def test_simplify_never_adds_and_keeps_the_source() -> None:
    f = hy.Function([x, y], x * y**2 * 3 + sp.sin(x + y) ** 2 + sp.cos(x + y) ** 2)
    short = f.simplify()
    assert short.operations() < f.operations()
    assert short.source is f.source
    assert sp.simplify(short.sympy() - 3 * x * y**2 - 1) == 0
    assert short.gradient()(3.0, 4.0).tolist() == [48.0, 72.0]


def test_back_to_sympy() -> None:
    f = hy.Function([x, y], [sp.exp(x) / y, sp.Abs(x), sp.Piecewise((x, x > 0), (y, True))])
    matrix = f.jacobian().sympy()
    assert matrix.shape == (3, 2)
    assert sp.simplify(matrix[0, 1] + sp.exp(x) / y**2) == 0


def test_sparsity() -> None:
    pattern = bowl.hessian().sparsity
    assert pattern.shape == (4, 4)
    assert np.array_equal(pattern.toarray(), np.eye(4, dtype=bool))
    assert grid.jacobian().sparsity.shape == (2, 7)


def test_metadata_of_a_traced_function() -> None:
    assert bowl.name == "bowl"
    assert bowl.__doc__ == "Sum of squared logarithms."
    assert repr(bowl) == "<Function bowl(q(4,)) -> ()>"
    assert "log" in str(bowl)
    assert bowl._repr_latex_().startswith("$")


ERRORS = [
    (
        lambda: hy.Function([x, y], [x, y]).gradient(),
        hy.ShapeError,
        r"output shape \(2,\); use jacobian\(\) or vjp\(\)",
    ),
    (lambda: hy.Function([x, y], [x, y]).hvp(), hy.ShapeError, "needs a scalar function"),
    (lambda: bowl.gradient(wrt="p"), hy.ArgumentError, "no argument 'p' to differentiate by; it has q"),
    (lambda: bowl.gradient(wrt=[]), hy.ArgumentError, "at least one argument"),
    (lambda: bowl.gradient(wrt=["q", "q"]), hy.ArgumentError, "each once"),
    (lambda: bowl.jacobian(method="sideways"), hy.ArgumentError, "'auto' or one of"),
    (lambda: hy.Function([x], x, name="a b"), hy.ArgumentError, "ASCII identifier"),
    (lambda: hy.Function([x], x, name="ψ"), hy.ArgumentError, "ASCII identifier"),
]


@pytest.mark.parametrize(("call", "error", "text"), ERRORS)
def test_errors(call, error, text: str) -> None:
    with pytest.raises(error, match=text):
        call()


def test_very_wide_and_very_deep_functions() -> None:
    @hy.function(rolled=False, v=(30_000,))
    def wide(v):
        return np.sum(np.sin(v) * v)

    gradient = wide.gradient()
    at = np.linspace(-2, 2, 30_000)
    assert np.allclose(values(gradient, at), np.sin(at) + at * np.cos(at), rtol=1e-14)
    assert len(str(gradient)) < 20_000
    assert len(gradient.latex()) < 20_000

    @hy.function(v=())
    def deep(v):
        for _ in range(30_000):
            v = v / 2 + 1
        return v

    assert values(deep, 3.0) == 2.0
    assert values(deep.gradient(), 3.0) == 0.5**30_000
    assert len(deep.latex()) < 100_000


def test_both_orders_of_a_product_or_sum_are_computed_once() -> None:
    f = hy.function(a=(), b=())(lambda a, b: np.stack([a * b, b * a, a + b, b + a, a - b, b - a]))
    assert f.operations() == 4
    assert f(2.0, 3.0).tolist() == [6.0, 6.0, 5.0, 5.0, -1.0, 1.0]


@pytest.mark.parametrize("exponent", [sp.pi, sp.EulerGamma, sp.GoldenRatio, sp.Catalan])
def test_a_power_to_a_named_constant_differentiates(exponent) -> None:
    x = sp.Symbol("x", positive=True)
    f = hy.Function([x], x**exponent)
    for order, derivative in ((1, f.gradient()), (2, f.hessian())):
        expected = float(sp.diff(x**exponent, x, order).subs(x, 2))
        assert np.ravel(derivative(2.0))[0] == pytest.approx(expected, rel=1e-14)
