"""Ipopt through cyipopt. [Wächter & Biegler, Mathematical Programming 106 (2006) 25–57]"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.deferred import Deferred
from hybrid.errors import ArgumentError, UnsupportedError
from hybrid.problems.model import Callbacks
from hybrid.problems.result import Iteration, Result

cyipopt = Deferred("cyipopt")

Vector = NDArray[np.float64]
STATUS = {
    0: "optimal",
    1: "acceptable",
    2: "infeasible",
    3: "search direction too small",
    4: "diverging",
    5: "stopped",
    6: "feasible point",
    -1: "iteration limit",
    -2: "restoration failed",
    -3: "step failed",
    -4: "time limit",
    -13: "invalid number",
}
QUIET = {"print_level": 0, "sb": "yes"}
WARM = {
    "warm_start_init_point": "yes",
    "warm_start_bound_push": 1e-9,
    "warm_start_mult_bound_push": 1e-9,
    "mu_init": 1e-6,
}


class Watched(Callbacks):
    """Callbacks with Ipopt's report of every iteration; an exception stops the solver and is raised after it."""

    report: Callable[[Iteration], bool] = staticmethod(lambda iteration: True)
    iterations = 0
    error: BaseException | None = None

    def intermediate(
        self,
        alg_mod: int,
        iter_count: int,
        obj_value: float,
        inf_pr: float,
        inf_du: float,
        mu: float,
        d_norm: float,
        regularization_size: float,
        alpha_du: float,
        alpha_pr: float,
        ls_trials: int,
    ) -> bool:
        self.iterations = iter_count
        try:
            return self.report(Iteration(iter_count, self.sign * obj_value, inf_pr, inf_du))
        except BaseException as error:  # Ipopt's C code must not be unwound; KeyboardInterrupt goes the same way
            self.error = error
            return False


def solve(
    callbacks: Watched,
    start: Vector,
    bounds: tuple[Vector, Vector],
    report: Callable[[Iteration], bool],
    options: Mapping[str, Any],
    warm: Result | None,
) -> dict[str, Any]:
    try:
        problem_class = cyipopt.Problem
    except ImportError as error:
        raise UnsupportedError(
            "solver='ipopt' needs cyipopt and Ipopt: pip install 'hybrid[ipopt]' (Debian also has Ipopt itself, "
            "coinor-libipopt-dev); solver='trust-constr' needs SciPy only"
        ) from error
    model = callbacks.model
    callbacks.report = report
    problem = problem_class(
        n=len(start),
        m=len(model.lower),
        problem_obj=callbacks,
        lb=bounds[0],
        ub=bounds[1],
        cl=model.lower,
        cu=model.upper,
    )
    for name, value in {**QUIET, **(WARM if warm is not None else {}), **options}.items():
        try:
            problem.add_option(name, value)
        except TypeError as error:
            raise ArgumentError(f"Ipopt has no option {name!r} with a value like {value!r}: {error}") from error
    multipliers = {}
    if warm is not None:
        wanted = (("lagrange", warm.multipliers), ("zl", warm.lower_multipliers), ("zu", warm.upper_multipliers))
        multipliers = {name: value for name, value in wanted if value is not None}
    x, info = problem.solve(start, **multipliers)
    if callbacks.error is not None:
        raise callbacks.error
    message = info["status_msg"]
    return {
        "x": x,
        "success": info["status"] in (0, 1, 6),
        "status": STATUS.get(info["status"], f"error {info['status']}"),
        "message": message.decode() if isinstance(message, bytes) else str(message),
        "iterations": callbacks.iterations,
        "multipliers": np.array(info["mult_g"]),
        "lower_multipliers": np.array(info["mult_x_L"]),
        "upper_multipliers": np.array(info["mult_x_U"]),
    }
