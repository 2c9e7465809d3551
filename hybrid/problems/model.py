"""Values and derivatives of a problem as a solver asks for them, each compiled once."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.compiling import compile
from hybrid.function import Function, function
from hybrid.lagrangian import FACTOR, MULTIPLIERS, lagrangian
from hybrid.problems.reading import FLAT, Constraint, Part, Shape, Space, limits
from hybrid.sparsity import Pattern

Vector = NDArray[np.float64]


class Model:
    """Objective f and constraints g of one vector x (and parameters), and kernels of them.

    Three kernels serve every solver: (f, g), (∇f, entries of ∂g/∂x), and the entries of the lower triangle of the
    Hessian of obj_factor · f + λᵀg. Each is derived and compiled when it is first called.
    """

    def __init__(
        self,
        variables: Space,
        parameters: Space,
        objective: Part,
        parts: Sequence[Part],
        constraints: Sequence[Constraint],
        name: str,
        options: Mapping[str, Any],
    ) -> None:
        self.variables, self.parameters = variables, parameters
        self.parts = parts
        self.name = name
        self.options = dict(options)
        self.shapes: list[Shape] = []  # of the constraints, in order
        arguments = {self.flat_name: (variables.size,), **parameters.shapes}
        self.objective = self.traced(arguments, lambda named: objective(named), f"{name}_objective")
        self.constraints = self.traced(arguments, self.stacked, f"{name}_constraints") if parts else None
        low, high = [np.empty(0)], [np.empty(0)]
        for constraint, shape in zip(constraints, self.shapes, strict=True):
            below, above = limits(constraint, shape, f"constraint {constraint.name or len(low)}")
            low.append(below)
            high.append(above)
        self.lower, self.upper = np.concatenate(low), np.concatenate(high)

    @property
    def flat_name(self) -> str:
        return FLAT if FLAT not in self.parameters.shapes else f"{FLAT}_"

    def stacked(self, named: Mapping[str, Any]) -> Any:
        values = [part(named) for part in self.parts]
        self.shapes = [np.shape(value) for value in values]
        return np.concatenate([np.ravel(value) for value in values])

    def traced(self, shapes: Mapping[str, Shape], of: Callable[[Mapping[str, Any]], Any], name: str) -> Function:
        def body(*values: Any) -> Any:
            flat, *parameters = values
            return of(self.variables.split(flat) | dict(zip(self.parameters.shapes, parameters, strict=True)))

        body.__name__ = body.__qualname__ = name
        signature = inspect.Signature([inspect.Parameter(n, inspect.Parameter.POSITIONAL_ONLY) for n in shapes])
        body.__signature__ = signature  # type: ignore[attr-defined]  # any function may have one
        made: Function = function(**shapes)(body)
        return made

    # --- derivatives --------------------------------------------------------------------------------------------------
    @cached_property
    def lagrangian(self) -> Function:
        return lagrangian(self.objective, self.constraints) if self.constraints is not None else self.objective

    @cached_property
    def jacobian(self) -> Function | None:
        return None if self.constraints is None else self.constraints.jacobian(wrt=self.flat_name, sparse=True)

    @cached_property
    def hessian(self) -> Function:
        return self.lagrangian.hessian(wrt=self.flat_name, sparse=True, triangle="lower")

    @property
    def jacobian_pattern(self) -> Pattern:
        if self.jacobian is None:
            return Pattern.of([], (0, self.variables.size))
        return self.jacobian.pattern

    @property
    def hessian_pattern(self) -> Pattern:
        return self.hessian.pattern

    @cached_property
    def values_kernel(self) -> Any:
        functions = [self.objective] if self.constraints is None else [self.objective, self.constraints]
        return compile(*functions, name=f"{self.name}_values", **self.options)

    @cached_property
    def slopes_kernel(self) -> Any:
        functions = [self.objective.gradient(wrt=self.flat_name)]
        if self.jacobian is not None:
            functions.append(self.jacobian)
        return compile(*functions, name=f"{self.name}_derivatives", **self.options)

    @cached_property
    def hessian_kernel(self) -> Any:
        return compile(self.hessian, name=f"{self.name}_hessian", **self.options)


class Callbacks:
    """Values and derivatives at points, in the form that cyipopt asks for; each point is evaluated once.

    `objective(x)`, `gradient(x)`, `constraints(x)`, `jacobian(x)` (entries of `jacobianstructure()`), and
    `hessian(x, lagrange, obj_factor)` (entries of `hessianstructure()`, the lower triangle). Vectors are float64.
    `sign` is −1 where the objective is maximised. `evaluations` counts, `seconds` adds up the time spent here.
    """

    def __init__(self, model: Model, parameters: Mapping[str, Any], sign: float = 1.0) -> None:
        self.model = model
        self.named = dict(parameters)
        self.sign = sign
        self.evaluations = {"values": 0, "derivatives": 0, "Hessians": 0}
        self.seconds = 0.0
        self._values: tuple[bytes, float, Vector] | None = None
        self._slopes: tuple[bytes, Vector, Vector] | None = None

    def run(self, kernel: Any, counted: str, **arguments: Any) -> Any:
        begin = time.perf_counter()
        result = kernel(**arguments, **self.named)
        self.evaluations[counted] += 1
        self.seconds += time.perf_counter() - begin
        return result

    def values(self, x: Vector) -> tuple[float, Vector]:
        key = x.tobytes()
        if self._values is None or self._values[0] != key:
            found = self.run(self.model.values_kernel, "values", **{self.model.flat_name: x})
            value, rest = (found, np.empty(0)) if self.model.constraints is None else found
            self._values = key, self.sign * float(value), rest
        return self._values[1], self._values[2]

    def slopes(self, x: Vector) -> tuple[Vector, Vector]:
        key = x.tobytes()
        if self._slopes is None or self._slopes[0] != key:
            found = self.run(self.model.slopes_kernel, "derivatives", **{self.model.flat_name: x})
            slope, rest = (found, np.empty(0)) if self.model.jacobian is None else found
            self._slopes = key, self.sign * slope, rest
        return self._slopes[1], self._slopes[2]

    def objective(self, x: Vector) -> float:
        return self.values(x)[0]

    def gradient(self, x: Vector) -> Vector:
        return self.slopes(x)[0]

    def constraints(self, x: Vector) -> Vector:
        return self.values(x)[1]

    def jacobian(self, x: Vector) -> Vector:
        return self.slopes(x)[1]

    def hessian(self, x: Vector, lagrange: Vector, obj_factor: float) -> Vector:
        arguments: dict[str, Any] = {self.model.flat_name: x}
        if self.model.constraints is None:
            return self.sign * obj_factor * self.run(self.model.hessian_kernel, "Hessians", **arguments)  # type: ignore[no-any-return]  # as the kernel gives it
        arguments |= {FACTOR: self.sign * obj_factor, MULTIPLIERS: lagrange}
        found: Vector = self.run(self.model.hessian_kernel, "Hessians", **arguments)
        return found

    def jacobianstructure(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        pattern = self.model.jacobian_pattern
        return pattern.rows, pattern.columns

    def hessianstructure(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        pattern = self.model.hessian_pattern
        return pattern.rows, pattern.columns
