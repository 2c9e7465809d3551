"""What a problem is given: variables, constraints and bounds as people write them, made arrays and functions."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from hybrid.errors import ArgumentError, InputTypeError, ShapeError
from hybrid.function import Function
from hybrid.lagrangian import FACTOR, MULTIPLIERS, evaluated

Shape = tuple[int, ...]
FLAT = "x"  # the one argument into which all variables are flattened
INFINITY = math.inf


@dataclass(frozen=True)
class Constraint:
    """lower ≤ function ≤ upper, element by element.

    `function` is a SymPy expression (or list or matrix), a Function, or a Python function of variables and parameters
    by name. `lower` and `upper` are numbers, or arrays that broadcast to the function's shape; equal ones make an
    equation.
    """

    function: Any
    lower: Any = -INFINITY
    upper: Any = INFINITY
    name: str | None = None


@dataclass(frozen=True)
class Space:
    """Named arrays flattened one after the other, each in C order."""

    shapes: Mapping[str, Shape]

    @property
    def size(self) -> int:
        return sum(math.prod(shape) for shape in self.shapes.values())

    def split(self, flat: Any) -> dict[str, Any]:
        """The arrays, as views of the last axis where that is possible; a symbolic array is split likewise."""
        pieces, start = {}, 0
        for name, shape in self.shapes.items():
            stop = start + math.prod(shape)
            pieces[name] = flat[start:stop].reshape(shape) if shape else flat[start]
            start = stop
        return pieces

    def join(self, values: Any, what: str) -> NDArray[np.float64]:
        """One flat vector from it, from a mapping of all arrays by name, or from one number for everything."""
        if isinstance(values, Mapping):
            named = {str(name): value for name, value in values.items()}
            if unknown := [name for name in named if name not in self.shapes]:
                raise ArgumentError(f"{what}: no variable {unknown[0]!r}; they are {', '.join(self.shapes)}")
            if missing := [name for name in self.shapes if name not in named]:
                raise ArgumentError(f"{what}: nothing for {', '.join(missing)}; give a value for each variable")
            parts = [spread(named[name], shape, f"{what}: {name}").ravel() for name, shape in self.shapes.items()]
            return np.concatenate(parts) if parts else np.empty(0)
        array = real_array(values, what)
        if array.ndim == 0 or array.size == self.size:
            return np.array(np.broadcast_to(array.reshape(-1) if array.ndim else array, (self.size,)))
        raise ShapeError(
            f"{what} has shape {array.shape}; give {self.size} numbers, one for all, or a dictionary by variable: "
            f"{', '.join(f'{name} {shape}' for name, shape in self.shapes.items())}"
        )


def real_array(value: Any, what: str) -> NDArray[np.float64]:
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputTypeError(f"{what} must be real numbers, got {value!r}") from error
    return array


def spread(value: Any, shape: Shape, what: str) -> NDArray[np.float64]:
    array = real_array(value, what)
    try:
        return np.array(np.broadcast_to(array, shape))
    except ValueError as error:
        raise ShapeError(f"{what} has shape {array.shape}, which does not broadcast to {shape}") from error


# --- variables and parameters -----------------------------------------------------------------------------------------
def read_space(given: Any, what: str) -> tuple[Space, Sequence[Any] | None]:
    """Named shapes, and the symbols where the names were given as symbols (as inputs of a Function)."""
    if isinstance(given, Mapping) and not isinstance(given, sp.Basic):
        return Space({check_name(name, what): read_shape(shape, name) for name, shape in given.items()}), None
    inputs = list(given) if isinstance(given, Sequence | np.ndarray) and not isinstance(given, str) else [given]
    if not inputs:
        return Space({}), []
    if any(isinstance(item, str) for item in inputs):
        raise InputTypeError(
            f"{what} must be symbols, such as hybrid.symbols('x y'), or a dictionary of shapes, such as {{'x': (3,)}}; "
            f"got {given!r}"
        )
    arguments = Function(inputs, sp.Integer(0), name=what).arguments
    return Space({check_name(argument.name, what): argument.shape for argument in arguments}), inputs


def read_shape(shape: Any, name: Any) -> Shape:
    lengths = tuple(shape) if isinstance(shape, Sequence) and not isinstance(shape, str) else (shape,)
    if any(isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 0 for n in lengths):
        raise ShapeError(f"the shape of {name} must be whole numbers such as (3,) or (), got {shape!r}")
    return tuple(int(n) for n in lengths)


def check_name(name: Any, what: str) -> str:
    if not isinstance(name, str) or not name.isidentifier() or name in (FACTOR, MULTIPLIERS):
        raise ArgumentError(
            f"{what} need names that are Python identifiers, not {FACTOR!r} or {MULTIPLIERS!r}; got {name!r}"
        )
    return name


# --- functions --------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Part:
    """An objective or a constraint as something that can be called with arrays by name."""

    function: Any
    names: Sequence[str]

    def __call__(self, named: Mapping[str, Any]) -> Any:
        values = [named[name] for name in self.names]
        if isinstance(self.function, Function):
            return evaluated(self.function, values)
        return self.function(*values)


def read_part(item: Any, shapes: Mapping[str, Shape], symbols: Sequence[Any] | None, what: str) -> Part:
    """Refuses what cannot be evaluated with these variables and parameters."""
    if isinstance(item, Function):
        for argument in item.arguments:
            if shapes.get(argument.name) != argument.shape:
                have = shapes.get(argument.name)
                raise ArgumentError(
                    f"{what} {item.name} takes {argument.name} of shape {argument.shape}, "
                    + (
                        f"but {argument.name} has shape {have} here"
                        if have is not None
                        else "which is no variable here"
                    )
                    + f"; there are {', '.join(f'{name} {shape}' for name, shape in shapes.items())}"
                )
        return Part(item, [argument.name for argument in item.arguments])
    if callable(item) and not isinstance(item, sp.Basic):
        return Part(item, parameters_of(item, shapes, what))
    if symbols is None:
        raise InputTypeError(
            f"{what} is {item!r}, but the variables were given by shape; give a Python function of them, a Function, "
            "or the variables as symbols"
        )
    function = Function(symbols, item, name="part")
    return Part(function, [argument.name for argument in function.arguments])


def parameters_of(function: Callable[..., Any], shapes: Mapping[str, Shape], what: str) -> list[str]:
    names = []
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.KEYWORD_ONLY):
            raise ArgumentError(
                f"{what}: its arguments are variables by name, and *args, **kwargs and keywords are none"
            )
        if name in shapes:
            names.append(name)
        elif parameter.default is parameter.empty:
            raise ArgumentError(
                f"{what} takes {name!r}, which is none of {', '.join(shapes)}; write it as one of these"
            )
        else:
            break  # it and what follows keep their defaults
    return names


def read_constraint(item: Any) -> Constraint:
    """`Constraint`, (function, lower, upper), or a SymPy relation such as x + y <= 1 or sp.Eq(x, y)."""
    if isinstance(item, Constraint):
        return item
    if isinstance(item, tuple):
        if len(item) != 3:
            raise ArgumentError(f"a constraint is (function, lower, upper), got {len(item)} items: {item!r}")
        function, lower, upper = item
        return Constraint(function, -INFINITY if lower is None else lower, INFINITY if upper is None else upper)
    if isinstance(item, sp.core.relational.Relational):
        return read_relation(item)
    if item in (sp.true, sp.false, True, False):
        raise ArgumentError(f"a constraint is {item}: it does not depend on any variable")
    raise InputTypeError(
        f"a constraint must be a SymPy relation, (function, lower, upper) or hybrid.Constraint, got {item!r}; a "
        "function alone has no limits"
    )


def read_relation(item: Any) -> Constraint:
    left, right = item.lhs, item.rhs
    if left.is_number and not right.is_number:
        item = item.reversed
        left, right = item.lhs, item.rhs
    function, limit = (left, float(right)) if right.is_number else (left - right, 0.0)
    if isinstance(item, sp.Eq):
        return Constraint(function, limit, limit)
    if isinstance(item, sp.LessThan | sp.StrictLessThan):
        return Constraint(function, -INFINITY, limit)
    if isinstance(item, sp.GreaterThan | sp.StrictGreaterThan):
        return Constraint(function, limit, INFINITY)
    raise InputTypeError(f"a constraint is ≤, ≥ or =, got {item}")


def limits(constraint: Constraint, shape: Shape, what: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lower and upper limits as flat vectors; refuses NaN and a lower limit above the upper one."""
    lower = spread(constraint.lower, shape, f"{what}: lower").ravel()
    upper = spread(constraint.upper, shape, f"{what}: upper").ravel()
    check_order(lower, upper, what)
    return lower, upper


def check_order(lower: NDArray[np.float64], upper: NDArray[np.float64], what: str) -> None:
    for side in (lower, upper):
        if np.isnan(side).any():
            raise ArgumentError(
                f"{what}: element {int(np.argmax(np.isnan(side)))} is NaN; use -inf or inf for no limit"
            )
    wrong = lower > upper
    if wrong.any():
        k = int(np.argmax(wrong))
        raise ArgumentError(f"{what}: the lower limit {lower[k]} of element {k} is above the upper one {upper[k]}")


def read_bounds(space: Space, bounds: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """`{name or symbol: (lower, upper)}`, or one (lower, upper) for each variable element; None is no bound."""
    lower, upper = np.full(space.size, -INFINITY), np.full(space.size, INFINITY)
    if bounds is None:
        return lower, upper
    if not isinstance(bounds, Mapping):
        bounds = list(bounds)
        if len(bounds) != space.size:
            raise ShapeError(f"bounds= needs a pair for each of the {space.size} variable elements, got {len(bounds)}")
        for k, pair in enumerate(bounds):
            lower[k], upper[k] = (real_array(side, "bounds=") for side in read_pair(pair, f"element {k}"))
    else:
        named = {str(name): pair for name, pair in bounds.items()}
        if unknown := [name for name in named if name not in space.shapes]:
            raise ArgumentError(f"bounds=: no variable {unknown[0]!r}; they are {', '.join(space.shapes)}")
        for name, pieces in space.split(np.arange(space.size)).items():
            if name in named:
                for side, value in zip((lower, upper), read_pair(named[name], name), strict=True):
                    side[pieces] = spread(value, space.shapes[name], f"the bounds of {name}")
    check_order(lower, upper, "bounds=")
    return lower, upper


def read_pair(pair: Any, what: str) -> tuple[Any, Any]:
    try:
        low, high = pair
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"the bounds of {what} must be (lower, upper), None for none, got {pair!r}") from error
    return (-INFINITY if low is None else low), (INFINITY if high is None else high)
