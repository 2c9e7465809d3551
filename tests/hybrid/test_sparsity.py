"""Sparse derivatives: their patterns and values against the dense ones, their matrices, their check, their errors."""

import sys

import numpy as np
import pytest
import sympy as sp
from scipy import sparse
from scipy.sparse import csgraph, linalg

import hybrid as hy
from hybrid.definition import Derivation
from hybrid.sparsity import Pattern

x, y, z = hy.symbols("x y z")
rng = np.random.default_rng(11)


@hy.function(v=(8,))
def rosenbrock(v):
    return np.sum(100 * (v[1:] - v[:-1] ** 2) ** 2 + (1 - v[:-1]) ** 2)


@hy.function(a=(2, 3), b=())
def products(a, b):
    return np.stack([a[0] * b, np.sin(a[1])])


@hy.function(v=(6,))
def arrow(v):
    return np.exp(v[0] * np.sum(v[1:])) + v[5] ** 3


@hy.function(v=(7,))
def differences(v):
    return np.cos(v[1:] - v[:-1])


def point(function: hy.Function, batch: tuple[int, ...] = ()) -> list[np.ndarray]:
    return [rng.uniform(0.3, 1.2, batch + argument.shape) for argument in function.arguments]


JACOBIANS = [products, differences, hy.Function([x, y, z], [x * y, 1, sp.sin(z)]), rosenbrock, rosenbrock.gradient()]
HESSIANS = [rosenbrock, arrow, hy.Function([x, y, z], sp.exp(x * y) + z), hy.Function([x, y], sp.Max(x, y) ** 2 * x)]


@pytest.mark.parametrize("function", JACOBIANS, ids=lambda f: f.name)
def test_a_sparse_jacobian_holds_the_entries_of_the_dense_one(function: hy.Function) -> None:
    values, batch = function.jacobian(sparse=True), point(function, (5,))
    dense = function.jacobian()(*batch).reshape(5, function.size, -1)
    pattern = values.pattern
    assert values.shape == (pattern.nnz,)
    assert pattern.shape == dense.shape[1:]
    assert np.array_equal(pattern.array(values(*batch)), dense)
    assert np.array_equal(pattern.array(np.ones(pattern.nnz)) != 0, (dense != 0).any(axis=0)), "no entry too many"


@pytest.mark.parametrize("triangle", ["full", "lower"])
@pytest.mark.parametrize("function", HESSIANS, ids=lambda f: f.name)
def test_a_sparse_hessian_holds_the_entries_of_the_dense_one(function: hy.Function, triangle: str) -> None:
    values, batch = function.hessian(sparse=True, triangle=triangle), point(function, (3, 2))
    dense = function.hessian()(*batch)
    pattern = values.pattern
    assert pattern.triangle == triangle
    numbers = values(*batch)
    assert np.allclose(pattern.array(numbers), dense if triangle == "full" else np.tril(dense), rtol=1e-14)
    full, places = pattern.full()
    assert np.allclose(full.array(numbers[..., places]), dense, rtol=1e-14)
    assert full.lower()[0] == function.hessian(sparse=True, triangle="lower").pattern


def test_by_some_arguments_only() -> None:
    by_b = products.jacobian(wrt="b", sparse=True)
    assert by_b.pattern.shape == (6, 1)
    assert by_b.pattern.nnz == 3
    assert products.jacobian(wrt=["b", "a"], sparse=True).pattern.columns.tolist() == [0, 1, 0, 2, 0, 3, 4, 5, 6]


def test_the_pattern_of_a_dense_derivative_is_the_same() -> None:
    assert rosenbrock.hessian().pattern == rosenbrock.hessian(sparse=True).pattern
    assert products.jacobian().pattern == products.jacobian(sparse=True).pattern
    for wrt in ("a", "b"):
        assert products.jacobian(wrt=wrt).pattern == products.jacobian(wrt=wrt, sparse=True).pattern
    total = hy.function(a=(2, 3))(lambda a: np.sum(a[0] ** 2))
    assert total.gradient().pattern == total.jacobian(sparse=True).pattern
    assert total.gradient().pattern.shape == (1, 6)
    assert total.hessian().pattern == total.hessian(sparse=True).pattern
    assert products.pattern.shape == (2, 3), "a function that is a matrix"
    assert total.pattern.shape == (1, 1)
    assert np.array_equal(rosenbrock.hessian(sparse=True).sparsity.toarray(), rosenbrock.hessian().sparsity.toarray())


def test_matrices_of_scipy() -> None:
    values = differences.jacobian(sparse=True)
    pattern, batch = values.pattern, point(differences, (4,))
    numbers, dense = values(*batch), differences.jacobian()(*batch)
    for make, kind in (
        (pattern.csr, sparse.csr_array),
        (pattern.csc, sparse.csc_array),
        (pattern.coo, sparse.coo_array),
    ):
        matrices = make(numbers)
        assert len(matrices) == 4
        for matrix, expected in zip(matrices, dense, strict=True):
            assert isinstance(matrix, kind)
            assert matrix.has_canonical_format
            assert np.array_equal(matrix.toarray(), expected)
        assert np.allclose(matrices[1] @ np.ones(7), dense[1].sum(axis=1))
    first, second = pattern.csr(numbers[:2])
    assert np.shares_memory(first.indices, second.indices), "one structure for all"


def test_new_values_for_a_matrix_that_exists() -> None:
    values = rosenbrock.hessian(sparse=True)
    pattern, at = values.pattern, point(rosenbrock, (2,))[0]
    for make in (pattern.csr, pattern.csc, pattern.coo):
        matrix = make(values(at[0]))
        data = matrix.data
        pattern.update(matrix, values(at[1]))
        assert matrix.data is data
        assert np.array_equal(matrix.toarray(), rosenbrock.hessian()(at[1]))
    with pytest.raises(hy.ArgumentError, match="made by this <Pattern 8 × 8"):
        pattern.update(sparse.csr_array(np.eye(8)), values(at[1]))
    with pytest.raises(hy.ShapeError, match=r"values of shape \(22,\), got \(2, 22\)"):
        pattern.update(pattern.csr(values(at[0])), values(at))


def test_patterns_need_no_scipy(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy", None)
    pattern = rosenbrock.hessian(sparse=True).pattern
    assert pattern.array(np.arange(22)).shape == (8, 8)
    for make in (pattern.csr, pattern.csc, pattern.coo):
        with pytest.raises(ImportError, match=r"pip install 'hybrid\[scipy\]'"):
            make(np.arange(22))
    with pytest.raises(ImportError, match="hybrid"):
        _ = rosenbrock.hessian().sparsity


def test_nothing_at_all() -> None:
    constant = hy.Function([x, y], [sp.Integer(1), sp.Integer(2)]).jacobian(sparse=True)
    assert constant.shape == (0,)
    assert constant(1.0, 2.0).shape == (0,)
    assert constant.pattern.csr(np.zeros(0)).toarray().tolist() == [[0, 0], [0, 0]]
    plane = hy.Function([x, y], x + 2 * y)
    value, curvature = hy.compile(plane, plane.hessian(sparse=True))(np.ones(3), 2.0)
    assert value.tolist() == [5.0, 5.0, 5.0]
    assert curvature.shape == (3, 0)
    with pytest.raises(hy.ArgumentError, match="nothing to reduce"):
        hy.compile(plane, plane.hessian(sparse=True), reduce="sum")


def test_derivatives_of_sparse_derivatives_are_checked_too() -> None:
    hessian = rosenbrock.hessian(sparse=True, triangle="lower")
    third, at = hessian.jacobian(sparse=True), point(rosenbrock)[0]
    dense = rosenbrock.hessian().jacobian()(at)
    rows, columns = hessian.pattern.rows, hessian.pattern.columns
    assert np.allclose(third.pattern.array(third(at)), dense[rows, columns], rtol=1e-13)
    assert third.kernel.certificate.passed
    assert "∂³rosenbrock/∂v[" in third.kernel.certificate.where
    weights = rng.normal(size=hessian.pattern.nnz)
    assert np.allclose(hessian.vjp()(at, weights), weights @ dense[rows, columns], rtol=1e-12)
    assert np.allclose(hessian.jvp()(at, at), dense[rows, columns] @ at, rtol=1e-12)


@pytest.mark.parametrize("size", [8, 120])
def test_the_check_finds_an_entry_that_the_pattern_lacks(size: int) -> None:
    @hy.function(rolled=False, v=(size,))
    def chain(v):
        return np.sum(np.sin(v[1:] * v[:-1]))

    good = chain.hessian(sparse=True)
    assert good.kernel.certificate.passed
    pattern = good.pattern
    short = Pattern(pattern.shape, pattern.rows[:-3], pattern.columns[:-3])
    bad = chain.hessian(sparse=True)
    bad.nodes, bad.shape = bad.nodes[:-3], (short.nnz,)
    bad.derivation = Derivation("hessian", chain, (0,), short)
    with pytest.raises(hy.VerificationError, match=r"∂²chain/∂v|random combination"):
        hy.compile(bad)


def test_names_of_the_entries() -> None:
    hessian = hy.Function([x, y, z], sp.exp(x * y) + z, name="f").hessian(sparse=True, triangle="lower")
    assert [line.split(" = ")[0] for line in str(hessian).splitlines()[:3]] == ["∂²f/∂x²", "∂²f/∂y∂x", "∂²f/∂y²"]
    assert hessian.latex().startswith(r"\nabla^{2} f(x, y, z) = \begin{bmatrix}")


ERRORS = [
    (lambda: products.hessian(sparse=True), hy.ShapeError, r"output shape \(2, 3\); use hybrid.lagrangian"),
    (lambda: rosenbrock.hessian(triangle="lower"), hy.ArgumentError, "goes with sparse=True"),
    (lambda: rosenbrock.hessian(sparse=True, triangle="upper"), hy.ArgumentError, "'full' or 'lower', got 'upper'"),
    (lambda: Pattern((2, 2), np.array([0, 2]), np.array([0, 0])), hy.ArgumentError, "must be in 0 … 1"),
    (lambda: Pattern((2, 2), np.array([1, 0]), np.array([0, 0])), hy.ArgumentError, "sorted by row"),
    (lambda: Pattern((2, 2), np.array([1]), np.array([0, 0])), hy.ShapeError, "two vectors of one length"),
    (lambda: Pattern.dense(np.ones(3)), hy.ShapeError, "that of a matrix"),
    (lambda: Pattern.dense(np.eye(3)).csr(np.ones(4)), hy.ShapeError, r"shape \(..., 3\), got \(4,\)"),
    (lambda: Pattern.dense(np.ones((2, 3))).colour_star(), hy.ShapeError, r"symmetric matrix, got shape \(2, 3\)"),
]


@pytest.mark.parametrize(("call", "error", "text"), ERRORS)
def test_errors(call, error, text: str) -> None:
    with pytest.raises(error, match=text):
        call()


# --- colourings -------------------------------------------------------------------------------------------------------
def random_pattern(rows: int, columns: int, density: float, seed: int) -> Pattern:
    return Pattern.dense(np.random.default_rng(seed).random((rows, columns)) < density)


def symmetric_pattern(size: int, density: float, seed: int) -> Pattern:
    half = np.random.default_rng(seed).random((size, size)) < density
    return Pattern.dense(half | half.T | np.eye(size, dtype=bool))


@pytest.mark.parametrize("seed", range(5))
def test_columns_of_one_colour_share_no_row(seed: int) -> None:
    pattern = random_pattern(15, 20, 0.15, seed)
    present = pattern.array(np.ones(pattern.nnz))
    columns = pattern.colour_columns()
    for colour in range(columns.max() + 1):
        assert present[:, columns == colour].sum(axis=1).max() <= 1
    rows = pattern.colour_rows()
    for colour in range(rows.max() + 1):
        assert present[rows == colour].sum(axis=0).max() <= 1


@pytest.mark.parametrize("seed", range(8))
def test_star_and_acyclic_colourings(seed: int) -> None:
    pattern = symmetric_pattern(14, 0.12, seed)
    edges = [(i, j) for i, j in zip(pattern.rows, pattern.columns, strict=True) if i > j]
    near = {v: {j for i, j in edges if i == v} | {i for i, j in edges if j == v} for v in range(14)}
    star, acyclic = pattern.colour_star(), pattern.colour_acyclic()
    for colouring in (star, acyclic):
        assert all(colouring[i] != colouring[j] for i, j in edges)
    for a, b in [*edges, *((j, i) for i, j in edges)]:  # no path a – b – c – d with two colours
        for c in near[b] - {a}:
            for d in near[c] - {b}:
                assert not (star[a] == star[c] and star[b] == star[d])
    for first in range(acyclic.max() + 1):
        for second in range(first):
            two = [(i, j) for i, j in edges if {acyclic[i], acyclic[j]} == {first, second}]
            vertices = {v for edge in two for v in edge}
            forest = sparse.coo_array((np.ones(len(two)), np.array(two).reshape(-1, 2).T), shape=(14, 14))
            count, _ = csgraph.connected_components(forest, directed=False)
            assert len(two) == len(vertices) - (count - (14 - len(vertices))), "a cycle of two colours"
    assert star.max() <= pattern.colour_columns().max()


def test_colours_of_a_band() -> None:
    band = Pattern.dense(np.abs(np.subtract.outer(np.arange(50), np.arange(50))) <= 1)
    assert band.colour_columns().max() + 1 == 3
    assert band.colour_star().max() + 1 == 3
    assert band.colour_acyclic().max() + 1 == 2
    arrowhead = np.eye(30, dtype=bool)
    arrowhead[0] = arrowhead[:, 0] = True
    pattern = Pattern.dense(arrowhead)
    assert pattern.colour_columns().max() + 1 == 30
    assert pattern.colour_star().max() + 1 == 2


# --- beside other libraries -------------------------------------------------------------------------------------------
def test_patterns_and_values_are_those_of_casadi() -> None:
    casadi = pytest.importorskip("casadi")
    v = casadi.SX.sym("v", 12)

    def body(v, sin, exp, stack):
        return stack([sin(v[i] * v[i + 1]) + v[i + 2] ** 2 for i in range(10)] + [exp(v[0] * v[11]) + 3, 2.0 * v[5]])

    rows = hy.function(v=(12,))(lambda v: body(v, np.sin, np.exp, np.stack))
    theirs = body(v, casadi.sin, casadi.exp, lambda parts: casadi.vertcat(*parts))
    total = hy.function(v=(12,))(lambda v: np.sum(body(v, np.sin, np.exp, np.stack) ** 3))
    at = rng.uniform(0.3, 1.2, 12)
    jacobian = casadi.jacobian(theirs, v)
    hessian, _ = casadi.hessian(casadi.sum1(theirs**3), v)
    for own, other in (
        (rows.jacobian(sparse=True), jacobian),
        (total.hessian(sparse=True), hessian),
        (total.hessian(sparse=True, triangle="lower"), casadi.tril(hessian)),
    ):
        column_major = own.pattern.csc(np.arange(own.pattern.nnz))
        assert column_major.indptr.tolist() == list(other.sparsity().colind())
        assert column_major.indices.tolist() == list(other.sparsity().row())
        expected = casadi.Function("f", [v], [other])(at)
        assert np.allclose(own.pattern.array(own(at)), expected.full(), rtol=1e-12)


def test_solving_with_a_sparse_hessian() -> None:
    hessian, gradient = rosenbrock.hessian(sparse=True), rosenbrock.gradient()
    v = np.full(8, 0.9)
    matrix = hessian.pattern.csc(hessian(v))
    for _ in range(8):
        hessian.pattern.update(matrix, hessian(v))
        v = v - linalg.spsolve(matrix, gradient(v))
    assert np.allclose(v, 1.0, atol=1e-12), "Newton's method finds the minimum"


def test_the_shared_structure_cannot_be_changed_through_a_matrix() -> None:
    pattern = rosenbrock.hessian(sparse=True).pattern
    matrix = pattern.csr(np.zeros(pattern.nnz))
    with pytest.raises(ValueError, match="read-only"):
        matrix.indices[0] = 3
    assert matrix.copy().indices.flags.writeable, "a copy may be"
