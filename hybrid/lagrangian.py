"""The Lagrangian of a constrained problem, in the convention of Ipopt: obj_factor · f + Σ lambda · g."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from hybrid.compose import composable
from hybrid.deferred import Deferred
from hybrid.definition import PythonSource
from hybrid.errors import ArgumentError, InputTypeError, ShapeError
from hybrid.function import Function, check_name

trace = Deferred("hybrid.trace")
rolled_trace = Deferred("hybrid.rolled.trace")
rolled_function = Deferred("hybrid.rolled.function")

FACTOR, MULTIPLIERS = "obj_factor", "lambda_"


def lagrangian(objective: Function, constraints: Function, name: str = "lagrangian") -> Function:
    """obj_factor · objective + Σ lambda_ · constraints, a scalar function.

    Its arguments are those of the objective, then those only the constraints have (arguments of one name are one), then
    `obj_factor`, a scalar, and `lambda_`, of the constraints' output shape. (`lambda` alone is no name in Python.)

    `.hessian(wrt="x", sparse=True, triangle="lower")` is what Ipopt asks for as the Hessian of the Lagrangian: by the
    variables only, its lower triangle, both factors as arguments.

    Raises ShapeError for an objective that is no scalar or arguments of one name and two shapes, ArgumentError where a
    name is taken, InputTypeError for anything but two Functions.
    """
    for function in (objective, constraints):
        if not isinstance(function, Function):
            raise InputTypeError(
                f"lagrangian takes two Functions, the objective and the constraints, got {function!r} of type "
                f"{type(function).__name__}; make one with hybrid.Function(inputs, outputs) or @hybrid.function"
            )
    if objective.shape != ():
        raise ShapeError(f"the objective must be a scalar, but {objective.name} has output shape {objective.shape}")
    shapes = arguments_of(objective, constraints) | {FACTOR: (), MULTIPLIERS: constraints.shape}
    body = weighted_sum(objective, constraints, list(shapes))
    if objective.rolled or constraints.rolled:
        made: Function = rolled_function.RolledFunction.make(rolled_trace.define(body, shapes, check_name(name)))
        return made
    return Function.from_definition(trace.define(body, shapes, check_name(name)))


def arguments_of(*functions: Function) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for function in functions:
        for argument in function.arguments:
            if argument.name in (FACTOR, MULTIPLIERS):
                raise ArgumentError(
                    f"{function.name} has an argument {argument.name!r}, which lagrangian adds; rename it"
                )
            if shapes.setdefault(argument.name, argument.shape) != argument.shape:
                raise ShapeError(
                    f"argument {argument.name!r} has shape {shapes[argument.name]} in {functions[0].name} and "
                    f"{argument.shape} in {function.name}; rename one of them"
                )
    return shapes


def weighted_sum(objective: Function, constraints: Function, names: Sequence[str]) -> Callable[..., Any]:
    """The Lagrangian as plain Python over NumPy, with a signature of the names."""

    def body(*values: Any) -> Any:
        named = dict(zip(names, values, strict=True))
        value = evaluated(objective, [named[argument.name] for argument in objective.arguments])
        residual = evaluated(constraints, [named[argument.name] for argument in constraints.arguments])
        weighted = named[MULTIPLIERS] * residual
        return named[FACTOR] * value + (np.sum(weighted) if constraints.shape else weighted)

    return with_parameters(body, names)


def with_parameters(body: Callable[..., Any], names: Iterable[str]) -> Callable[..., Any]:
    """A function of *args that says it takes arguments of these names, in order."""
    parameters = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_ONLY) for name in names]
    body.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # any function may have one
    return body


def evaluated(function: Function, values: Sequence[Any]) -> Any:
    """The function of symbolic arrays, tensors or whatever else its Python source can be run on."""
    known = any(map(composable, values))
    if not known and function.derivation is None and isinstance(function.source, PythonSource):
        return np.asarray(function.source.function(*values))
    return function(*values)
