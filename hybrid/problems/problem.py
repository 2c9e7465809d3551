"""`Problem`: minimise an objective under constraints and bounds, with exact sparse derivatives."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hybrid.deferred import Deferred
from hybrid.errors import ArgumentError, InputTypeError, ShapeError
from hybrid.function import Function
from hybrid.problems import ipopt, scipy_solvers
from hybrid.problems.model import Model
from hybrid.problems.reading import read_bounds, read_constraint, read_part, read_space, spread
from hybrid.problems.result import Iteration, Result
from hybrid.sparsity import Pattern

rich_console = Deferred("rich.console")
rich_status = Deferred("rich.status")

Vector = NDArray[np.float64]
SOLVERS = ("ipopt", "trust-constr", "SLSQP")


class Problem:
    """Minimise objective(variables) subject to lower ≤ constraints ≤ upper and bounds on the variables.

    Parameters
    ----------
    variables : symbols, as the inputs of a `Function` (symbols, arrays of symbols, (name, array) pairs), or a
        dictionary of shapes, {"x": (3,), "t": ()}, for code over arrays.
    objective : a scalar SymPy expression of the symbols, a Function, or a Python function over NumPy whose arguments
        are variables (and parameters) by name.
    constraints : a list of SymPy relations (x + y <= 1, sp.Eq(x, y)), tuples (function, lower, upper) and
        `hybrid.Constraint`s; functions are given as the objective is, with any shape. None is no limit.
    bounds : {variable: (lower, upper)} with numbers or arrays, or one pair for each element; None is no bound.
    parameters : what `solve` fixes, in the forms of `variables`.
    maximise : look for the largest value instead.
    verify, tier : as for `hybrid.compile`; code that is soon ready is the default, for problems that are solved once.

    The functions are traced once. Derivatives are exact: the gradient, the sparse Jacobian of the constraints and the
    sparse lower triangle of the Hessian of the Lagrangian, each with one pattern, compiled when they are first needed.

    Raises InputTypeError, ArgumentError or ShapeError for what is no variable, function, limit or bound.
    """

    def __init__(
        self,
        variables: Any,
        objective: Any,
        constraints: Sequence[Any] = (),
        bounds: Any = None,
        *,
        parameters: Any = (),
        maximise: bool = False,
        name: str = "problem",
        verify: bool = True,
        tier: str = "quick",
    ) -> None:
        self.variables, symbols = read_space(variables, "variables")
        if not self.variables.size:
            raise ArgumentError("a problem needs at least one variable element")
        self.parameters, more = read_space(parameters, "parameters")
        if taken := [name for name in self.parameters.shapes if name in self.variables.shapes]:
            raise ArgumentError(f"{taken[0]!r} is a variable and a parameter; it can be one of them")
        shapes = {**self.variables.shapes, **self.parameters.shapes}
        every = None if symbols is None or more is None else [*symbols, *more]
        if isinstance(constraints, str | Mapping) or not isinstance(constraints, Sequence):
            raise InputTypeError(f"constraints= is a list of constraints, got {constraints!r}")
        listed = [read_constraint(item) for item in constraints]
        parts = [
            read_part(item.function, shapes, every, f"constraint {item.name or place}")
            for place, item in enumerate(listed)
        ]
        self.lower, self.upper = read_bounds(self.variables, bounds)
        self.sign = -1.0 if maximise else 1.0
        self.name = name
        whole = read_part(objective, shapes, every, "the objective")
        options = {"verify": verify, "tier": tier}
        self.model = Model(self.variables, self.parameters, whole, parts, listed, name, options)
        if self.model.objective.shape != ():
            raise ShapeError(
                f"the objective must be a scalar, but it has shape {self.model.objective.shape}; add its elements up"
            )

    # --- what it consists of ------------------------------------------------------------------------------------------
    @property
    def objective(self) -> Function:
        """The objective as a Function of the flat vector of variables, and of the parameters."""
        return self.model.objective

    @property
    def constraints(self) -> Function | None:
        """All constraint functions in one vector, as a Function of the flat vector of variables; None without any."""
        return self.model.constraints

    @property
    def constraint_limits(self) -> tuple[Vector, Vector]:
        """Lower and upper limits of `constraints`."""
        return self.model.lower, self.model.upper

    @property
    def jacobian_pattern(self) -> Pattern:
        """Where the Jacobian of the constraints can be non-zero."""
        return self.model.jacobian_pattern

    @property
    def hessian_pattern(self) -> Pattern:
        """Where the lower triangle of the Hessian of the Lagrangian can be non-zero."""
        return self.model.hessian_pattern

    def certificates(self) -> list[Any]:
        """The certificates of the kernels that have been compiled; empty with verify=False."""
        return [kernel.certificate for kernel in self.model.compiled() if kernel.certificate is not None]

    def __repr__(self) -> str:
        count = len(self.model.lower)
        return f"<Problem {self.name}: {self.variables.size} variables, {count} constraints>"

    # --- solving ------------------------------------------------------------------------------------------------------
    def callbacks(self, **parameters: ArrayLike) -> ipopt.Watched:
        """The functions a solver calls, in the form of `cyipopt.Problem(problem_obj=...)`."""
        return ipopt.Watched(self.model, self.given(parameters), self.sign)

    def given(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        shapes = self.parameters.shapes
        if wrong := [name for name in parameters if name not in shapes]:
            raise ArgumentError(f"no parameter {wrong[0]!r}; they are {', '.join(shapes) or 'none'}")
        if missing := [name for name in shapes if name not in parameters]:
            raise ArgumentError(f"nothing for the parameters {', '.join(missing)}: solve({missing[0]}=...)")
        return {name: spread(parameters[name], shape, f"parameter {name}") for name, shape in shapes.items()}

    def start_at(self, start: Any, warm: Result | None) -> Vector:
        if start is None and warm is not None:
            start = warm.x
        if start is None:
            low, high = (
                np.where(np.isfinite(self.lower), self.lower, 0),
                np.where(np.isfinite(self.upper), self.upper, 0),
            )
            both = np.isfinite(self.lower) & np.isfinite(self.upper)
            start = np.where(both, 0.5 * (low + high), np.clip(0.0, self.lower, self.upper))
        flat = self.variables.join(start, "start")
        if not np.isfinite(flat).all():
            raise ArgumentError(f"start: element {int(np.argmax(~np.isfinite(flat)))} is not finite")
        return flat

    def solve(
        self,
        start: Any = None,
        *,
        solver: str = "ipopt",
        warm: Result | None = None,
        options: Mapping[str, Any] | None = None,
        callback: Callable[[Iteration], bool | None] | None = None,
        progress: bool | None = None,
        **parameters: ArrayLike,
    ) -> Result:
        """Look for a local minimum.

        Parameters
        ----------
        start : {variable: array}, one vector of all, or a number; by default the result given as `warm`, else the
            middle of the bounds (0, moved inside them, where one is missing).
        solver : "ipopt" (`pip install 'hybrid[ipopt]'`), or "trust-constr" or "SLSQP" of SciPy (`'hybrid[scipy]'`).
            The first two use the sparse Hessian of the Lagrangian; SLSQP is for small problems.
        warm : an earlier Result: its point and multipliers are where Ipopt begins.
        options : handed to the solver, under its own names.
        callback : called with every `Iteration`; the solver stops where it returns False.
        progress : show each iteration on standard error; by default a line that changes, on a terminal.
        parameters : a value for each parameter.

        Returns a `Result`, also where the solver did not succeed: look at `success` and `status`. Raises
        UnsupportedError where the solver is not installed, ArgumentError for unknown options or parameters.
        """
        if solver not in SOLVERS:
            raise ArgumentError(f"solver must be one of {', '.join(map(repr, SOLVERS))}, got {solver!r}")
        if warm is not None and not isinstance(warm, Result):
            raise InputTypeError(f"warm= takes a Result of solve, got {warm!r}")
        callbacks = self.callbacks(**parameters)
        point = self.start_at(start, warm)
        bounds = self.lower, self.upper
        begin = time.perf_counter()
        with Screen(self.name, progress) as screen:
            history: list[Iteration] = []

            def report(iteration: Iteration) -> bool:
                history.append(iteration)
                screen.show(iteration)
                return callback is None or callback(iteration) is not False

            if solver == "ipopt":
                found = ipopt.solve(callbacks, point, bounds, report, options or {}, warm)
            else:
                found = scipy_solvers.solve(solver, callbacks, point, bounds, report, options or {})
        seconds = time.perf_counter() - begin
        x = found.pop("x")
        return Result(
            x=x,
            values=self.variables.split(x),
            objective=self.sign * callbacks.objective(x),
            constraints=callbacks.constraints(x).copy(),
            infeasibility=scipy_solvers.violation(callbacks, x, bounds),
            solver=solver,
            evaluations=dict(callbacks.evaluations),
            seconds=seconds,
            seconds_in_functions=callbacks.seconds,
            history=tuple(history),
            **found,
        )


class Screen:
    """Iterations on standard error: each a line, or one line that changes on a terminal, or nothing."""

    def __init__(self, title: str, wanted: bool | None) -> None:
        self.title = title
        self.lines = wanted is True
        self.changing = wanted is None and sys.stderr is not None and sys.stderr.isatty()

    @cached_property
    def status(self) -> Any:
        return rich_status.Status(self.title, console=rich_console.Console(stderr=True))

    def __enter__(self) -> Screen:
        if self.changing:
            self.status.start()
        return self

    def show(self, iteration: Iteration) -> None:
        if self.lines:
            print(iteration, file=sys.stderr)
        elif self.changing:
            self.status.update(f"{self.title}: {iteration}")

    def __exit__(self, *error: object) -> None:
        if self.changing:
            self.status.stop()
