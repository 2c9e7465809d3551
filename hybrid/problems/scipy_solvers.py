"""`trust-constr` and `SLSQP` of SciPy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.deferred import Deferred
from hybrid.errors import UnsupportedError
from hybrid.problems.model import Callbacks
from hybrid.problems.result import Iteration
from hybrid.sparsity import Pattern

optimize = Deferred("scipy.optimize")

Vector = NDArray[np.float64]


def violation(callbacks: Callbacks, x: Vector, bounds: tuple[Vector, Vector]) -> float:
    """How far x is outside of the limits of constraints and bounds, at the worst."""
    model, (low, high) = callbacks.model, bounds
    g = callbacks.constraints(x)
    sides = (model.lower - g, g - model.upper, low - x, x - high)
    return float(max((side.max(initial=0.0) for side in sides), default=0.0))


def solve(
    method: str,
    callbacks: Callbacks,
    start: Vector,
    bounds: tuple[Vector, Vector],
    report: Callable[[Iteration], bool],
    options: Mapping[str, Any],
) -> dict[str, Any]:
    try:
        minimize = optimize.minimize
    except ImportError as error:
        raise UnsupportedError(f"solver={method!r} needs SciPy: pip install 'hybrid[scipy]'") from error
    count = 0

    def watch(x: Vector, state: Any = None) -> bool:
        nonlocal count
        count += 1
        point = np.asarray(x, dtype=np.float64)
        optimality = getattr(state, "optimality", None)
        value = callbacks.sign * callbacks.objective(point)
        going = report(Iteration(count, value, violation(callbacks, point, bounds), optimality))
        if not going and method == "SLSQP":
            raise StopIteration
        return not going

    arguments: dict[str, Any] = {
        "method": method,
        "jac": lambda x: callbacks.gradient(x).copy(),
        "bounds": optimize.Bounds(*bounds),
        "constraints": constraints_of(method, callbacks),
        "callback": watch if method == "trust-constr" else lambda x: watch(x) and None,
        "options": dict(options),
    }
    if method == "trust-constr":
        arguments["hess"] = lambda x: hessian_matrix(callbacks, x, np.zeros(len(callbacks.model.lower)), 1.0)
    found = minimize(callbacks.objective, start, **arguments)
    multipliers = None
    if method == "trust-constr" and len(callbacks.model.lower):
        multipliers = np.asarray(found.v[0], dtype=np.float64)
    return {
        "x": np.asarray(found.x, dtype=np.float64),
        "success": bool(found.status in (1, 2) if method == "trust-constr" else found.success),
        "status": {True: "optimal", False: "not converged"}[bool(found.status in (1, 2) or found.success)],
        "message": str(found.message),
        "iterations": int(found.nit),
        "multipliers": multipliers,
        "lower_multipliers": None,
        "upper_multipliers": None,
    }


def constraints_of(method: str, callbacks: Callbacks) -> list[Any]:
    model = callbacks.model
    if not len(model.lower):
        return []
    pattern = model.jacobian_pattern
    if method == "SLSQP":
        return dense_constraints(callbacks, pattern)
    return [
        optimize.NonlinearConstraint(
            lambda x: callbacks.constraints(x).copy(),
            model.lower,
            model.upper,
            jac=lambda x: pattern.csr(callbacks.jacobian(x).copy()),
            hess=lambda x, weights: hessian_matrix(callbacks, x, weights, 0.0),
        )
    ]


def dense_constraints(callbacks: Callbacks, pattern: Pattern) -> list[dict[str, Any]]:
    """SLSQP's form: equations are zero, inequalities at least zero."""
    low, high = callbacks.model.lower, callbacks.model.upper
    equal = low == high
    rows = [
        ("eq", np.flatnonzero(equal), 1.0, low),
        ("ineq", np.flatnonzero(~equal & np.isfinite(low)), 1.0, low),
        ("ineq", np.flatnonzero(~equal & np.isfinite(high)), -1.0, high),
    ]

    def one(kind: str, chosen: NDArray[np.intp], sign: float, limit: Vector) -> dict[str, Any]:
        return {
            "type": kind,
            "fun": lambda x: sign * (callbacks.constraints(x)[chosen] - limit[chosen]),
            "jac": lambda x: sign * pattern.array(callbacks.jacobian(x))[chosen],
        }

    return [one(*row) for row in rows if len(row[1])]


def hessian_matrix(callbacks: Callbacks, x: Vector, weights: Vector, factor: float) -> Any:
    """Both triangles, as a CSR matrix."""
    full, places = callbacks.model.both_triangles
    return full.csr(callbacks.hessian(x, weights, factor)[places])
