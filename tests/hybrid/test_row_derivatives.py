"""First and second derivatives of every row of the table, from tiny to huge arguments and next to the ends of domains.

As differentiation makes them and in a compiled kernel, they are within 8 ulp × condition or 1e-12 of what differences
of the row's meaning give in many digits. The condition is the plain one of a derivative g, Σ |x_i ∂g/∂x_i|/|g| or 1.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import mpmath
import numpy as np
import pytest

import hybrid as hy
from hybrid.elementwise import apply
from hybrid.evaluate import evaluate
from hybrid.function import Function
from hybrid.operations import MASK, OPERATIONS, Interval, Operation
from hybrid.precise import MEANINGS

ULP = 2.0**-53
RELATIVE, WITHIN = 1e-12, 8
DIGITS = 250
STEP = 45  # of differences, in decimal places
SMALLEST, LARGEST = 1e-290, 1e300  # what is smaller or larger than these may underflow or overflow
ORDERS = (0, 1, 3)
BROKEN = {"sign", "floor", "ceil", "trunc", "rint", "heaviside", "abs", "minimum", "maximum", "mod", "fmod", "copysign"}
ROWS = [
    row
    for row in OPERATIONS.values()
    if not row.variadic and row.result != MASK and MASK not in row.operands and row.name not in BROKEN | {"sub", "neg"}
]
SIZES = [1e-300, 1e-20, 1e-8, 1e-3, 0.3, 1.0, 2.7, 5.9, 12.0, 19.5, 40.0, 300.0, 1e4, 1e8, 1e20, 1e160, 1e300]
FEWER = [-1e160, -300.0, -2.7, -1e-8, 1e-300, 1e-8, 0.3, 2.7, 40.0, 1e4, 1e160]
# What varies over 1, however large its argument is: differences keep to a part of that.
VARIES = {
    "sin", "cos", "tan", "sinc", "jv", "spherical_jn", "iv", "exp", "exp2", "expm1", "sinh", "cosh", "tanh", "sech",
    "erf", "erfc", "erfcx", "ndtr", "log_ndtr", "gamma", "expit", "expit_slope", "softplus", "logaddexp",
}  # fmt: skip


def extreme(low: float, high: float) -> Callable[..., bool]:
    return lambda *x: not all(low < abs(value) < high for value in x)


# Where more is lost, by the arguments.
LESS_ACCURATE: dict[str, Callable[..., bool]] = {
    # 1 + x² and x² + y² overflow, or underflow
    "asinh": extreme(0, 1e150),
    "acosh": extreme(0, 1e150),
    "atan2": extreme(1e-150, 1e150),
    "over_hypot": extreme(1e-150, 1e150),
    "logit": lambda x: x < 1e-300,
    # differences of digamma functions of nearly equal values
    "beta": lambda x, y: min(x, y) < 1e-3 * max(x, y) or max(x, y) < 1e-3,
    "betaln": lambda x, y: min(x, y) < 1e-3 * max(x, y) or max(x, y) < 1e-3,
}
# Kernels compute simplified forms, which may multiply what in the derivative as made is divided one by one.
IN_KERNELS = extreme(1e-60, 1e60)


def inside(interval: Interval) -> list[float]:
    """Points of any size in an interval, and next to its ends."""
    low, high = interval
    if high == math.inf:
        points = [-size for size in SIZES] + SIZES if low == -math.inf else [low + size for size in SIZES]
    else:
        shares = (1e-300, 1e-20, 1e-8, 1e-3, 0.2, 0.45, 0.5 - 1e-8)
        points = [low + (high - low) * s for s in shares] + [high - (high - low) * s for s in shares] + [1e-300, 1e-12]
    ends = [float(np.nextafter(low, high)), float(np.nextafter(high, low))]
    return sorted({point for point in points + [end for end in ends if abs(end) < 1e300] if low < point < high})


def points_of(row: Operation) -> Iterator[tuple[float, ...]]:
    if row.ordered:
        orders = ORDERS[1:] if row.name == "polygamma" else ORDERS
        yield from ((float(order), x) for order in orders for x in inside(row.domain[1])[::2])
    elif row.arity == 1:
        yield from ((x,) for x in inside(row.domain[0]))
    else:
        yield from itertools.product(*([x for x in FEWER if low < x < high] for low, high in row.domain))


class Reference:
    """Derivatives of a row's meaning at a point by central differences in many digits."""

    def __init__(self, row: Operation, point: Sequence[float]) -> None:
        self.meaning, self.point = MEANINGS[row.name], [mpmath.mpf(x) for x in point]
        self.steps = [self.step(row, place) for place in range(len(point))]
        self.known: dict[tuple[int, ...], Any] = {}

    def step(self, row: Operation, place: int) -> Any:
        x = self.point[place]
        ends = [-mpmath.exp(-1) if row.name == "lambertw" and end < 0 else mpmath.mpf(end) for end in row.domain[place]]
        distances = [abs(x - end) for end in ends if mpmath.isfinite(end)] + [abs(x)]
        return min(distances + [mpmath.mpf(1)] * (row.name in VARIES)) * mpmath.mpf(10) ** -STEP

    def derivative(self, *places: int) -> Any:
        """By the arguments at these places; None where it cannot be seen in so many digits."""
        key = tuple(sorted(places))
        if key not in self.known:
            total = largest = mpmath.mpf(0)
            for signs in itertools.product((1, -1), repeat=len(key)):
                moved = list(self.point)
                for place, sign in zip(key, signs, strict=True):
                    moved[place] += sign * self.steps[place]
                try:
                    value = mpmath.re(self.meaning(*moved))
                except (OverflowError, ZeroDivisionError):
                    value = mpmath.nan
                total, largest = total + math.prod(signs) * value, max(largest, abs(value))
            seen = mpmath.isfinite(total) and abs(total) > largest * mpmath.mpf(10) ** (30 - DIGITS)
            self.known[key] = total / math.prod(2 * self.steps[place] for place in key) if seen else None
        return self.known[key]

    def condition(self, wanted: Sequence[int], places: Sequence[int]) -> Any:
        slopes = [(place, self.derivative(*wanted, place)) for place in places]
        return sum(abs(self.point[p] * slope) for p, slope in slopes if slope is not None) / abs(
            self.derivative(*wanted)
        )


def problem(value: float, exact: Any, condition: Callable[[], Any]) -> str | None:
    """What is wrong with a value of a derivative, None if nothing is."""
    if exact is None:
        return "NaN" if math.isnan(value) else None
    if abs(exact) < SMALLEST:
        return None if abs(value) <= 2 * SMALLEST else f"{value}, not {mpmath.nstr(exact, 17)}"
    if abs(exact) > LARGEST:
        return None if abs(value) > LARGEST / 2 else f"{value}, not {mpmath.nstr(exact, 17)}"
    error = abs(mpmath.mpf(value) / exact - 1) if math.isfinite(value) else mpmath.inf
    if error <= RELATIVE or error <= WITHIN * ULP * max(1, condition()):
        return None
    return f"{value}, not {mpmath.nstr(exact, 17)}, {float(error / ULP / max(1, condition())):.3g} ulp × condition"


def function_of(row: Operation, order: float | None) -> Function:
    """One application of a row, as a function of one argument for each of its own but an order."""
    names = "xy"[: row.arity - row.ordered]

    def called(**args: Any) -> Any:
        values = [args[name] for name in names]
        return apply(row, *([int(order)] if order is not None else []), *values)

    if len(names) == 1:
        return hy.function(x=())(lambda x: called(x=x))
    return hy.function(x=(), y=())(lambda x, y: called(x=x, y=y))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_derivatives_of_a_row(row: Operation) -> None:
    points = list(points_of(row))
    found = []
    for order in sorted({point[0] for point in points}) if row.ordered else [None]:
        f = function_of(row, order)
        chosen = [point for point in points if order is None or point[0] == order]
        places = list(range(int(row.ordered), row.arity))
        columns = [np.array([point[place] for point in chosen]) for place in places]
        wanted = [(place,) for place in places] + list(itertools.product(places, repeat=2))
        wanted = wanted[:1] if row.name == "erfc_ratio" else wanted  # itself made for first derivatives
        first, second = f.gradient(), f.hessian()
        made = evaluate(
            f.graph, [*first.nodes, *second.nodes], dict(zip([a.nodes[0] for a in f.arguments], columns, strict=True))
        )
        kernel = [r.reshape(len(chosen), -1).T for r in hy.compile(first, second, verify=False)(*columns)]
        for number, point in enumerate(chosen):
            if LESS_ACCURATE.get(row.name, lambda *x: False)(*point[int(row.ordered) :]):
                continue
            with mpmath.workdps(DIGITS):
                reference = Reference(row, point)
                for entry, (which, values, run) in enumerate(zip(wanted, made, np.concatenate(kernel), strict=False)):
                    exact = reference.derivative(*which)
                    condition = functools.partial(reference.condition, which, places)
                    forms = {"as made": np.broadcast_to(values, len(chosen))[number], "compiled": run[number]}
                    if IN_KERNELS(*point[int(row.ordered) :]):
                        del forms["compiled"]
                    for form, value in forms.items():
                        if (wrong := problem(float(value), exact, condition)) is not None:
                            found.append(f"{form}, derivative {entry} by {which} at {point}: {wrong}")
    assert not found, f"{row.name}: {len(found)} derivatives\n" + "\n".join(found[:20])
