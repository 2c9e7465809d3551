"""Values and derivatives of a problem as a solver asks for them, each compiled once."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.compiling import compile
from hybrid.errors import UnsupportedError
from hybrid.function import Function, function
from hybrid.lagrangian import FACTOR, MULTIPLIERS, lagrangian, with_parameters
from hybrid.problems.reading import FLAT, Constraint, Part, Shape, Space, limits
from hybrid.sparsity import Pattern

Vector = NDArray[np.float64]
NOTHING = np.empty(0)
# Variables from which on arrays stay rolled, and up to which what cannot be rolled is written out one by one.
SMALLEST_ROLLED, LARGEST_FLAT = 8, 50_000


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
        self.whole = objective
        rolled = variables.size >= SMALLEST_ROLLED
        try:
            self.define(rolled)
        except UnsupportedError:
            if not rolled or variables.size > LARGEST_FLAT:
                raise
            self.define(False)
        low, high = [np.empty(0)], [np.empty(0)]
        for constraint, shape in zip(constraints, self.shapes, strict=True):
            below, above = limits(constraint, shape, f"constraint {constraint.name or len(low)}")
            low.append(below)
            high.append(above)
        self.lower, self.upper = np.concatenate(low), np.concatenate(high)

    def define(self, rolled: bool) -> None:
        """Trace objective and constraints, rolled or written out, and derive what solvers need."""
        for name in ("lagrangian", "jacobian", "hessian", "both_triangles"):
            self.__dict__.pop(name, None)  # of an earlier definition
        arguments = {self.flat_name: (self.variables.size,), **self.parameters.shapes}
        self.objective = self.traced(arguments, self.whole, f"{self.name}_objective", rolled)
        self.constraints: Function | None = None
        if self.parts:
            self.constraints = self.traced(arguments, self.stacked, f"{self.name}_constraints", rolled)
        if rolled and self.objective.shape == ():
            self.jacobian, self.hessian  # noqa: B018 - derived here, where what cannot be rolled is written out instead

    @property
    def flat_name(self) -> str:
        return FLAT if FLAT not in self.parameters.shapes else f"{FLAT}_"

    def stacked(self, named: Mapping[str, Any]) -> Any:
        values = [part(named) for part in self.parts]
        self.shapes = [np.shape(value) for value in values]
        return np.concatenate([np.ravel(value) for value in values])

    def traced(
        self,
        shapes: Mapping[str, Shape],
        of: Callable[[Mapping[str, Any]], Any],
        name: str,
        rolled: bool,
    ) -> Function:
        def body(*values: Any) -> Any:
            flat, *parameters = values
            return of(self.variables.split(flat) | dict(zip(self.parameters.shapes, parameters, strict=True)))

        body.__name__ = body.__qualname__ = name
        made: Function = function(rolled=rolled, **shapes)(with_parameters(body, shapes))
        return made

    # --- derivatives --------------------------------------------------------------------------------------------------
    @functools.cached_property
    def lagrangian(self) -> Function:
        return lagrangian(self.objective, self.constraints) if self.constraints is not None else self.objective

    @functools.cached_property
    def jacobian(self) -> Function | None:
        return None if self.constraints is None else self.constraints.jacobian(wrt=self.flat_name, sparse=True)

    @functools.cached_property
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

    @functools.cached_property
    def both_triangles(self) -> tuple[Pattern, NDArray[np.intp]]:
        """The whole of the Hessian's pattern, and which entry of the lower triangle each of its entries is."""
        return self.hessian_pattern.full()

    def compile(self, *functions: Function, name: str) -> Any:
        options = self.options | ({"tier": "auto"} if functions[0].rolled else {})
        return compile(*functions, name=f"{self.name}_{name}", **options)

    @functools.cached_property
    def values_kernel(self) -> Any:
        functions = [self.objective] if self.constraints is None else [self.objective, self.constraints]
        return self.compile(*functions, name="values")

    @functools.cached_property
    def slopes_kernel(self) -> Any:
        functions = [self.objective.gradient(wrt=self.flat_name)]
        if self.jacobian is not None:
            functions.append(self.jacobian)
        return self.compile(*functions, name="derivatives")

    @functools.cached_property
    def hessian_kernel(self) -> Any:
        return self.compile(self.hessian, name="hessian")

    def compiled(self) -> list[Any]:
        """The kernels that have been asked for."""
        names = ("values_kernel", "slopes_kernel", "hessian_kernel")
        return [self.__dict__[name] for name in names if name in self.__dict__]


class Callbacks:
    """Values and derivatives at points, in the form that cyipopt asks for; each point is evaluated once.

    `objective(x)`, `gradient(x)`, `constraints(x)`, `jacobian(x)` (entries of `jacobianstructure()`), and
    `hessian(x, lagrange, obj_factor)` (entries of `hessianstructure()`, the lower triangle). Vectors are float64; those
    returned are overwritten by the next evaluation of their kind, which is what Ipopt expects: copy what you keep.
    `sign` is −1 where the objective is maximised. `evaluations` counts, `seconds` adds up the time spent here.
    """

    def __init__(self, model: Model, parameters: Mapping[str, Any], sign: float = 1.0) -> None:
        self.model = model
        self.sign = sign
        self.evaluations = {"values": 0, "derivatives": 0, "Hessians": 0}
        self.seconds = 0.0
        # What the compiled kernels read, by argument; a call writes the point here.
        self.point = np.empty(model.variables.size)
        self.factor, self.weights = np.ones(()), np.zeros(len(model.lower))
        self.arrays = {model.flat_name: self.point, FACTOR: self.factor, MULTIPLIERS: self.weights}
        self.arrays |= {name: np.array(value, dtype=np.float64, order="C") for name, value in parameters.items()}
        self.steps: dict[str, Callable[[], Any]] = {}
        # The points of the latest values and slopes, as bytes; none compares equal to the bytes of a point.
        self._values_at = self._slopes_at = self._point_at = b"none"
        self._value, self._constraints = 0.0, NOTHING
        self._gradient, self._jacobian = NOTHING, NOTHING

    def step(self, counted: str) -> Callable[[], Any]:
        """The kernel of one kind as a function without arguments, bound to this object's arrays; compiled here."""
        step = self.steps.get(counted)
        if step is None:
            kernel = {
                "values": lambda: self.model.values_kernel,
                "derivatives": lambda: self.model.slopes_kernel,
                "Hessians": lambda: self.model.hessian_kernel,
            }[counted]()
            step = kernel.bind({argument.name: self.arrays[argument.name] for argument in kernel.arguments})
            self.steps[counted] = step
        return step

    def run(self, counted: str, x: Vector, at: bytes) -> Any:
        """A kernel at a point, of which `at` are the bytes; its results are overwritten by the next call."""
        begin = perf_counter()
        if at != self._point_at:
            self.point[:] = x
            self._point_at = at
        result = (self.steps.get(counted) or self.step(counted))()
        self.evaluations[counted] += 1
        self.seconds += perf_counter() - begin
        return result

    def values(self, x: Vector) -> tuple[float, Vector]:
        at = x.tobytes()
        if at != self._values_at:
            found = self.run("values", x, at)
            value, self._constraints = (found, NOTHING) if self.model.constraints is None else found
            self._value, self._values_at = self.sign * float(value), at
        return self._value, self._constraints

    def slopes(self, x: Vector) -> tuple[Vector, Vector]:
        at = x.tobytes()
        if at != self._slopes_at:
            found = self.run("derivatives", x, at)
            self._gradient, self._jacobian = (found, NOTHING) if self.model.jacobian is None else found
            if self.sign < 0:
                np.negative(self._gradient, out=self._gradient)
            self._slopes_at = at
        return self._gradient, self._jacobian

    def objective(self, x: Vector) -> float:
        return self.values(x)[0]

    def gradient(self, x: Vector) -> Vector:
        return self.slopes(x)[0]

    def constraints(self, x: Vector) -> Vector:
        return self.values(x)[1]

    def jacobian(self, x: Vector) -> Vector:
        return self.slopes(x)[1]

    def hessian(self, x: Vector, lagrange: Vector, obj_factor: float) -> Vector:
        if self.model.constraints is None:
            scaled: Vector = np.multiply(self.run("Hessians", x, x.tobytes()), self.sign * obj_factor)
            return scaled
        self.factor[()] = self.sign * obj_factor
        self.weights[:] = lagrange
        found: Vector = self.run("Hessians", x, x.tobytes())
        return found

    def jacobianstructure(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        pattern = self.model.jacobian_pattern
        return pattern.rows, pattern.columns

    def hessianstructure(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        pattern = self.model.hessian_pattern
        return pattern.rows, pattern.columns
