"""Linear systems: values against LAPACK and 50 digits, derivatives against closed forms and PyTorch, exact counts."""

from __future__ import annotations

import itertools
from typing import Any

import mpmath
import numpy as np
import pytest

import hybrid as hy
from hybrid.composite import expand


def system(n: int) -> Any:
    @hy.function(a=(n, n), b=(n,))
    def x(a, b):
        return np.linalg.solve(a, b)

    return x


def inverse(n: int) -> Any:
    return hy.function(a=(n, n))(lambda a: np.linalg.inv(a))


def problems(n: int, count: int = 5) -> tuple[Any, Any]:
    random = np.random.default_rng(n)
    return random.normal(size=(count, n, n)), random.normal(size=(count, n))


@pytest.mark.parametrize("n", range(1, 8))
def test_values_and_jacobian_of_a_solution(n: int) -> None:
    a, b = problems(n)
    f = system(n)
    value, by_matrix, by_right = hy.compile(f, f.jacobian(wrt="a"), f.jacobian(wrt="b"), verify=n < 6)(a, b)
    inverses = np.linalg.inv(a)
    solution = np.linalg.solve(a, b[..., None])[..., 0]
    np.testing.assert_allclose(value, solution, rtol=1e-9)
    np.testing.assert_allclose(by_right, inverses, rtol=1e-9)
    np.testing.assert_allclose(by_matrix, -np.einsum("pik,pl->pikl", inverses, solution), rtol=1e-9)


@pytest.mark.parametrize(
    ("n", "value", "both", "inverse_value", "inverse_both"),
    [(2, 12, 28, 9, 22), (3, 51, 94, 43, 96), (4, 136, 320, 248, 520), (5, 250, 618, 496, 1146),
     (6, 412, 1059, 870, 2202), (7, 630, 1671, 1396, 3846)],
)  # fmt: skip
def test_operations_of_value_and_full_jacobian(
    n: int, value: int, both: int, inverse_value: int, inverse_both: int
) -> None:
    """The Jacobian adds what the inverse lacks and one product per entry: n³ or n⁴ of them."""
    f, g = system(n), inverse(n)
    assert hy.compile(f, verify=False).operations <= value
    assert hy.compile(f, f.jacobian(), verify=False).operations <= both
    assert hy.compile(g, verify=False).operations <= inverse_value
    if n < 6:
        assert hy.compile(g, g.jacobian(), verify=False).operations <= inverse_both


def dynamics(n: int) -> Any:
    """A system whose matrix and right-hand side depend on q."""

    def acceleration(q):
        mass = np.cos(np.outer(q, q)) / 4 + np.diag(2 + np.sin(q))
        return np.linalg.solve(mass, np.exp(-q) * q[::-1])

    return acceleration


@pytest.mark.parametrize("n", [3, 4])
def test_second_derivatives_against_the_tape(n: int) -> None:
    plain = dynamics(n)
    f = hy.function(q=(n,))(plain)
    total = hy.function(q=(n,))(lambda q: np.sum(plain(q)))
    q = np.linspace(-0.5, 0.9, n)
    expected = hy.tape.jacobian(plain, hy.tape.tensor(q))
    for method in ("forward", "reverse"):
        kernel = hy.compile(f.jacobian(method=method), total.hessian(method=method), verify=False)
        jacobian, hessian = kernel(q)
        np.testing.assert_allclose(jacobian, expected, rtol=1e-12)
        np.testing.assert_allclose(hessian, hy.tape.hessian(lambda q: plain(q).sum(), hy.tape.tensor(q)), rtol=1e-10)
    vjp, jvp = (hy.compile(g, verify=False) for g in (f.vjp(), f.jvp()))
    np.testing.assert_allclose(vjp(q, np.arange(n) + 1.0), (np.arange(n) + 1.0) @ expected, rtol=1e-12)
    np.testing.assert_allclose(jvp(q, np.arange(n) + 1.0), expected @ (np.arange(n) + 1.0), rtol=1e-12)
    if n == 4:
        assert hy.compile(f, f.jacobian(), total.hessian()).certificate.passed


def test_third_derivatives_of_an_inverse() -> None:
    """d³/dt³ of (A + tB)⁻¹ at 0 is −6 (A⁻¹B)³A⁻¹."""
    f = hy.function(t=(), a=(4, 4), b=(4, 4))(lambda t, a, b: np.linalg.inv(a + t * b))
    a, b = problems(4)[0][:2]
    third = hy.compile(f.jacobian(wrt="t").jacobian(wrt="t").jacobian(wrt="t"), verify=False)
    step = np.linalg.inv(a) @ b
    np.testing.assert_allclose(third(0.0, a, b), -6 * step @ step @ step @ np.linalg.inv(a), rtol=1e-7)


def test_derivatives_against_torch() -> None:
    torch = pytest.importorskip("torch")
    a, b = problems(4, 1)
    given = [torch.tensor(x[0], dtype=torch.float64) for x in (a, b)]

    def outcome(a: Any, b: Any, linalg: Any, stack: Any) -> Any:
        inverse = linalg.inv(a)
        sign, size = linalg.slogdet(a)
        lower = linalg.cholesky(a @ a.T + 0 * sign)
        return stack([linalg.solve(a, b)[1] ** 2, inverse[0, 2], linalg.det(a), size, lower[3, 1], linalg.norm(b)])

    f = hy.function(a=(4, 4), b=(4,))(lambda a, b: outcome(a, b, np.linalg, np.stack))
    expected = torch.autograd.functional.jacobian(lambda a, b: outcome(a, b, torch.linalg, torch.stack), tuple(given))
    for name, want in zip("ab", expected, strict=True):
        jacobian = hy.compile(f.jacobian(wrt=name), verify=False)
        np.testing.assert_allclose(jacobian(a[0], b[0]), want.numpy(), rtol=1e-10, atol=1e-12)
    scalar = hy.function(a=(4, 4))(lambda a: np.linalg.solve(a, np.ones(4)).prod() + np.linalg.inv(a)[0, 2])
    second = torch.autograd.functional.hessian(
        lambda a: torch.linalg.solve(a, torch.ones(4, dtype=a.dtype)).prod() + torch.linalg.inv(a)[0, 2], given[0]
    )
    hessian = hy.compile(scalar.hessian(), verify=False)
    np.testing.assert_allclose(hessian(a[0]), second.numpy(), rtol=1e-7, atol=1e-9)


def test_a_zero_pivot_is_exchanged() -> None:
    """Every permutation matrix of 4 and 5 rows: without pivoting almost all of them divide by zero."""
    for n in (4, 5):
        f = hy.compile(system(n), verify=False)
        permutations = np.eye(n)[np.array(list(itertools.permutations(range(n))))]
        right = np.broadcast_to(np.arange(1.0, n + 1), (len(permutations), n))
        np.testing.assert_array_equal(f(permutations, right), np.linalg.solve(permutations, right[..., None])[..., 0])


@pytest.mark.parametrize("n", [2, 3, 4, 6])
def test_error_is_that_of_lapack(n: int) -> None:
    """On Hilbert-like and graded matrices the error against 50 digits is at most ten times LAPACK's bound."""
    f = hy.compile(system(n), verify=False)
    hilbert = 1 / (np.arange(n)[:, None] + np.arange(n) + 1.0)
    graded = problems(n, 1)[0][0] * 10.0 ** (3 * np.arange(n))[:, None]
    tiny = np.eye(n)[::-1] + 1e-18 * problems(n, 1)[0][0]
    for matrix in (hilbert, graded, tiny):
        right = np.ones(n)
        with mpmath.workdps(60):
            exact = mpmath.lu_solve(mpmath.matrix(matrix.tolist()), mpmath.matrix(right.tolist()))
            expected = np.array([float(x) for x in exact])
        error = np.abs(f(matrix, right) - expected).max() / np.abs(expected).max()
        scaled = matrix / np.abs(matrix).max(axis=1, keepdims=True)
        assert error <= 10 * np.finfo(float).eps * np.linalg.cond(scaled)


def test_a_singular_matrix_gives_no_number_there_and_nowhere_else() -> None:
    for n in (2, 4):
        a, b = problems(n)
        a[2] = 0.0
        got = system(n)(a, b)
        assert not np.isfinite(got[2]).any()
        regular = np.arange(5) != 2
        np.testing.assert_allclose(got[regular], np.linalg.solve(a[regular], b[regular, :, None])[..., 0], rtol=1e-9)


def test_determinant_has_a_gradient_at_matrices_of_rank_one_less() -> None:
    f = hy.function(a=(4, 4))(lambda a: np.linalg.det(a))
    a = np.diag([1.0, 2.0, 3.0, 0.0])
    np.testing.assert_allclose(f.gradient()(a), np.diag([0.0, 0.0, 0.0, 6.0]), atol=1e-15)


def test_structure_is_used() -> None:
    """A triangular matrix needs no exchange; Cholesky factors solve a symmetric system without any."""
    f = hy.function(a=(5, 5), b=(5,))(lambda a, b: np.linalg.solve(np.tril(a), b))
    counts = hy.compile(f, verify=False).program.counts()
    assert counts["select"] == counts["gt"] == 0
    assert hy.compile(f, verify=False).operations == 5 + 5 + 2 * 10  # reciprocals, products with them, substitution

    @hy.function(a=(5, 5), b=(5,))
    def positive(a, b):
        lower = np.linalg.cholesky(a)
        return np.linalg.solve(lower.T, np.linalg.solve(lower, b))

    assert hy.compile(positive, verify=False).program.counts()["select"] == 0
    a, b = problems(5)
    a = a @ a.mT + np.eye(5)
    np.testing.assert_allclose(positive(a, b), np.linalg.solve(a, b[..., None])[..., 0], rtol=1e-10)


def test_signs_and_logarithms_of_determinants() -> None:
    f = hy.function(a=(4, 4))(lambda a: np.stack(np.linalg.slogdet(a)))
    a, _ = problems(4)
    np.testing.assert_allclose(f(a), np.stack(np.linalg.slogdet(a), axis=-1), rtol=1e-12)
    huge = f(a * 1e200)
    np.testing.assert_allclose(huge, np.stack(np.linalg.slogdet(a * 1e200), axis=-1), rtol=1e-12)
    slopes = hy.function(a=(4, 4))(lambda a: np.linalg.slogdet(a).logabsdet).gradient()
    np.testing.assert_allclose(slopes(a), np.linalg.inv(a).mT, rtol=1e-9)


def test_a_branch_that_is_not_taken_keeps_a_singular_system_out() -> None:
    @hy.function(t=())
    def f(t):
        matrix = np.stack([np.stack([t, t - t]), np.stack([1 + t, t])])
        return np.where(t > 0, np.linalg.solve(matrix, [1, t])[1], t)  # 1 - (1 + t)/t**2

    np.testing.assert_allclose(f.gradient()(np.array([-1.0, 0.0, 2.0])), [1.0, 1.0, 0.5])


def test_everything_a_function_can_do() -> None:
    """Simplified and differentiated in either order, written as LaTeX, SymPy and Python, and called on a tape."""
    f = hy.function(q=(2,))(dynamics(2))
    q = np.array([0.3, 0.8])
    expected = f.jacobian()(q)
    np.testing.assert_allclose(f.simplify().jacobian()(q), expected, rtol=1e-12)
    np.testing.assert_allclose(f.jacobian().simplify()(q), expected, rtol=1e-12)
    assert r"^{-1}" in f.latex()
    symbols = list(f.sympy().free_symbols)
    found = f.sympy().subs({s: q[int(s.name[-1])] for s in symbols})
    np.testing.assert_allclose(np.array(found.evalf(20), dtype=float)[:, 0], f(q), rtol=1e-12)
    np.testing.assert_allclose(hy.tape.jacobian(lambda q: f(q), hy.tape.tensor(q)), expected, rtol=1e-12)
    assert all(f.graph.ops[node].composite is None for node in f.graph.reach(expand(f.graph, f.nodes)))
