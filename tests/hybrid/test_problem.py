"""Optimisation problems: forms they are given in, derivatives handed to solvers, published optima, refusals."""

from __future__ import annotations

import numpy as np
import pytest
import sympy as sp

import hybrid as hy
from hybrid.errors import ArgumentError, InputTypeError, ShapeError, UnsupportedError
from hybrid.problems import ipopt as ipopt_module

x, y = hy.symbols("x y")
disk = hy.Problem([x, y], (1 - x) ** 2 + 100 * (y - x**2) ** 2, [x**2 + y**2 <= 1.5, x + y >= 0], {x: (-2, 0.5)})


def available(solver):
    if solver == "ipopt":
        pytest.importorskip("cyipopt", exc_type=ImportError)
    else:
        pytest.importorskip("scipy.optimize")
    return solver


@pytest.fixture(params=["ipopt", "trust-constr", "SLSQP"])
def solver(request):
    return available(request.param)


# --- published optima -------------------------------------------------------------------------------------------------
def hock_schittkowski_71():
    """Hock & Schittkowski, Test Examples for Nonlinear Programming Codes (1981), problem 71."""
    return hy.Problem(
        {"x": (4,)},
        lambda x: x[0] * x[3] * (x[0] + x[1] + x[2]) + x[2],
        [(lambda x: np.prod(x), 25, None), hy.Constraint(lambda x: x @ x, 40, 40, name="sphere")],
        {"x": (1, 5)},
    )


def test_hock_schittkowski_71(solver):
    result = hock_schittkowski_71().solve([1.0, 5.0, 5.0, 1.0], solver=solver)
    assert result.success
    assert result.objective == pytest.approx(17.0140173, rel=1e-5)
    np.testing.assert_allclose(result["x"], [1, 4.7429994, 3.8211503, 1.3794082], rtol=1e-3)
    assert result.infeasibility < 1e-5
    assert result.solver in str(result)


def test_a_sympy_problem_with_active_bounds(solver):
    """Rosenbrock on [-2, 0.5]: the optimum is at x = 0.5, y = 0.25, on the bound."""
    result = disk.solve({x: 0.25, y: 0.0}, solver=solver)
    assert result.success
    np.testing.assert_allclose([result[x], result["y"]], [0.5, 0.25], atol=2e-3)


def test_largest_value(solver):
    problem = hy.Problem([x, y], x * y, [(x + y, None, 10)], {x: (0, None), y: (0, None)}, maximise=True)
    result = problem.solve(1.0, solver=solver)
    assert result.objective == pytest.approx(25, rel=1e-3)


def test_parameters_are_fixed_when_solving(solver):
    p = sp.Symbol("p", real=True)
    problem = hy.Problem([x, y], (x - p) ** 2 + (y - 1) ** 2, [sp.Eq(x + y, p)], parameters=[p])
    for value in (0.0, 3.0):
        result = problem.solve(0.0, solver=solver, p=value)
        np.testing.assert_allclose(result.x, [value - 0.5, 0.5], atol=1e-4)
    with pytest.raises(ArgumentError, match=r"nothing for the parameters p: solve\(p=...\)"):
        problem.solve(0.0)
    with pytest.raises(ArgumentError, match="no parameter 'q'; they are p"):
        problem.solve(0.0, p=1, q=2)


# --- derivatives ------------------------------------------------------------------------------------------------------
def test_callbacks_are_the_derivatives_in_ipopts_conventions():
    @hy.function(v=(5,), w=())
    def cost(v, w):
        return np.sum(np.sin(v[1:]) * v[:-1] ** 2) * w + w**3

    problem = hy.Problem({"v": (5,), "w": ()}, cost, [(lambda v, w: np.stack([v[0] * w, v[4] ** 3]), -1, [1, 2])])
    calls = problem.callbacks()
    point, weights = np.linspace(0.5, 1.5, 6), np.array([0.25, -2.0])
    v, w = point[:5], point[5]
    np.testing.assert_allclose(calls.objective(point), cost(v, w))
    np.testing.assert_allclose(calls.gradient(point), cost.gradient()(v, w), rtol=1e-14)
    np.testing.assert_allclose(calls.constraints(point), [v[0] * w, v[4] ** 3])
    jacobian = np.zeros((2, 6))
    jacobian[calls.jacobianstructure()] = calls.jacobian(point)
    np.testing.assert_allclose(jacobian, [[w, 0, 0, 0, 0, v[0]], [0, 0, 0, 0, 3 * v[4] ** 2, 0]])
    lower = np.zeros((6, 6))
    lower[calls.hessianstructure()] = calls.hessian(point, weights, 0.5)
    expected = 0.5 * cost.hessian()(v, w)
    expected[0, 5] += weights[0]
    expected[5, 0] += weights[0]
    expected[4, 4] += weights[1] * 6 * v[4]
    np.testing.assert_allclose(lower, np.tril(expected), rtol=1e-13, atol=1e-14)
    calls.constraints(point), calls.jacobian(point)
    assert calls.evaluations == {"values": 1, "derivatives": 1, "Hessians": 1}
    np.testing.assert_array_equal(problem.constraint_limits, [[-1, -1], [1, 2]])


def test_a_problem_without_constraints(solver):
    problem = hy.Problem({"x": (3,)}, lambda x: np.sum((x - np.arange(3)) ** 4 + (x - np.arange(3)) ** 2))
    result = problem.solve(5.0, solver=solver)
    np.testing.assert_allclose(result.x, [0, 1, 2], atol=1e-3)
    assert problem.constraints is None
    assert len(result.constraints) == 0


# --- on the way -------------------------------------------------------------------------------------------------------
def test_a_warm_start_takes_fewer_iterations():
    available("ipopt")
    problem = hock_schittkowski_71()
    first = problem.solve([1.0, 5.0, 5.0, 1.0])
    again = problem.solve(warm=first)
    assert again.iterations < first.iterations
    assert again.objective == pytest.approx(first.objective, rel=1e-8)
    assert len(first.multipliers) == 2
    assert len(first.lower_multipliers) == 4


def test_a_callback_sees_iterations_and_stops_them(solver):
    seen = []

    def stop(iteration):
        seen.append(iteration)
        return iteration.number < 3

    result = disk.solve({x: -1.0, y: 1.0}, solver=solver, callback=stop)
    assert not result.success
    assert [i.number for i in seen][-1] == 3
    assert result.history == tuple(seen)


def test_an_exception_in_a_callback_is_raised(solver):
    def fail(iteration):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        disk.solve(0.0, solver=solver, callback=fail)


def test_iterations_are_shown_when_asked_for(solver, capsys):
    disk.solve(0.0, solver=solver, progress=True)
    shown = capsys.readouterr().err.splitlines()
    assert len(shown) > 2
    assert all("objective" in line for line in shown)
    disk.solve(0.0, solver=solver)
    assert capsys.readouterr().err == ""


# --- refusals ---------------------------------------------------------------------------------------------------------
def cost(x):
    return x @ x


REFUSED = [
    (lambda: hy.Problem("x", x), InputTypeError, "variables must be symbols"),
    (lambda: hy.Problem([], 1), ArgumentError, "at least one variable"),
    (lambda: hy.Problem({"x": (2.5,)}, cost), ShapeError, "whole numbers"),
    (lambda: hy.Problem({"lambda_": (2,)}, cost), ArgumentError, "need names"),
    (lambda: hy.Problem({"x": (2,)}, lambda x: x), ShapeError, r"must be a scalar, but it has shape \(2,\)"),
    (lambda: hy.Problem({"x": (2,)}, lambda z: z), ArgumentError, "takes 'z', which is none of x"),
    (lambda: hy.Problem({"x": (2,)}, x**2), InputTypeError, "the variables were given by shape"),
    (lambda: hy.Problem([x], x + y), ArgumentError, "the outputs use y"),
    (lambda: hy.Problem([x], x**2, x >= 1), InputTypeError, "a list of constraints"),
    (lambda: hy.Problem([x], x**2, [x]), InputTypeError, "alone has no limits"),
    (lambda: hy.Problem([x], x**2, [(x, 1)]), ArgumentError, "got 2 items"),
    (lambda: hy.Problem([x], x**2, [sp.true]), ArgumentError, "does not depend"),
    (lambda: hy.Problem([x], x**2, [sp.Ne(x, 1)]), InputTypeError, "≤, ≥ or ="),
    (lambda: hy.Problem([x], x**2, [(x, 2, 1)]), ArgumentError, r"lower limit 2.0 of element 0 is above"),
    (lambda: hy.Problem([x], x**2, [(x, np.nan, 1)]), ArgumentError, "is NaN"),
    (lambda: hy.Problem([x], x**2, [(x, [1, 2], 3)]), ShapeError, "does not broadcast"),
    (lambda: hy.Problem([x], x**2, bounds={y: (0, 1)}), ArgumentError, "no variable 'y'"),
    (lambda: hy.Problem([x], x**2, bounds={x: 3}), ArgumentError, r"must be \(lower, upper\)"),
    (lambda: hy.Problem([x], x**2, bounds={x: (3, 1)}), ArgumentError, "above the upper"),
    (lambda: hy.Problem([x], x**2, bounds=[(0, 1), (0, 1)]), ShapeError, "a pair for each of the 1"),
    (lambda: hy.Problem([x], x**2, parameters=[x]), ArgumentError, "a variable and a parameter"),
    (lambda: disk.solve([1.0, 2.0, 3.0]), ShapeError, "give 2 numbers"),
    (lambda: disk.solve({x: 1.0}), ArgumentError, "nothing for y"),
    (lambda: disk.solve({x: 1.0, y: np.nan}), ArgumentError, "element 1 is not finite"),
    (lambda: disk.solve(0.0, solver="newton"), ArgumentError, "solver must be one of 'ipopt', 'trust-constr'"),
    (lambda: disk.solve(0.0, warm=3), InputTypeError, "a Result of solve"),
]


@pytest.mark.parametrize(("make", "error", "message"), REFUSED)
def test_refusals(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_unknown_options_of_ipopt():
    available("ipopt")
    with pytest.raises(ArgumentError, match="no option 'speed'"):
        disk.solve(0.0, options={"speed": 3})


def test_a_missing_solver_is_named(monkeypatch):
    class Missing:
        def __getattr__(self, name):
            raise ImportError(name)

    monkeypatch.setattr(ipopt_module, "cyipopt", Missing())
    with pytest.raises(UnsupportedError, match=r"pip install 'hybrid\[ipopt\]'"):
        disk.solve(0.0)


def test_certificates_of_what_was_compiled():
    problem = hock_schittkowski_71()
    assert problem.certificates() == []
    problem.callbacks().objective(np.ones(4))
    assert [certificate.passed for certificate in problem.certificates()] == [True]


# --- rolled -----------------------------------------------------------------------------------------------------------
def test_large_problems_stay_rolled_with_the_same_derivatives():
    def cost(x, y):
        return np.sum((x[1:] - x[:-1] ** 2) ** 2) + np.sum(np.cos(x[::5] * y))

    shapes, limits = {"x": (500,), "y": (100,)}, [(lambda x, y: np.sin(x[:100] * y) + x[1:101], -1, 1)]
    large = hy.Problem(shapes, cost, limits)
    assert large.objective.rolled
    flat = hy.Problem(shapes, cost, limits, verify=False)
    flat.model.define(False)
    assert not flat.objective.rolled
    point = np.random.default_rng(0).normal(size=600)
    one, other = large.callbacks(), flat.callbacks()
    np.testing.assert_allclose(one.objective(point), other.objective(point), rtol=1e-13)
    np.testing.assert_allclose(one.gradient(point), other.gradient(point), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(one.constraints(point), other.constraints(point), rtol=1e-13)
    weights = np.linspace(-1, 1, 100)
    for left, right, values, others in (
        (large.jacobian_pattern, flat.jacobian_pattern, one.jacobian(point), other.jacobian(point)),
        (large.hessian_pattern, flat.hessian_pattern, one.hessian(point, weights, 2), other.hessian(point, weights, 2)),
    ):
        np.testing.assert_allclose(left.array(values), right.array(others), rtol=1e-12, atol=1e-12)
    assert all(certificate.passed for certificate in large.certificates())


def test_what_cannot_be_rolled_is_written_out():
    problem = hy.Problem({"x": (70,)}, lambda x: np.linalg.det(x[:4].reshape(2, 2)) ** 2 + x @ x)
    assert not problem.objective.rolled
