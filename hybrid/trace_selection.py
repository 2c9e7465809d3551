"""Selections and other pointwise functions of NumPy that are no ufuncs, for symbolic arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hybrid import operations as ops
from hybrid.errors import ShapeError, UnsupportedError
from hybrid.graph import Graph
from hybrid.operations import PI
from hybrid.symbolic_array import SymbolicArray, as_kind, elementwise, full, lift, select
from hybrid.trace_functions import implements
from hybrid.unknown import HINTS

Array = Any  # a SymbolicArray: NumPy's stubs type what its functions return as plain arrays
INFINITY = float("inf")


@implements(np.where)
def where(graph: Graph, condition: Any, *choices: Any) -> Array:
    if len(choices) != 2:
        raise UnsupportedError(
            "np.where(condition) alone gives indices that depend on values; use np.where(condition, a, b)"
        )
    return select(lift(graph, condition), lift(graph, choices[0]), lift(graph, choices[1]))


@implements(np.select)
def select_first(graph: Graph, conditions: Sequence[Any], choices: Sequence[Any], default: Any = 0) -> Array:
    """The first choice whose condition holds."""
    if len(conditions) != len(choices):
        raise ShapeError(f"np.select got {len(conditions)} conditions and {len(choices)} choices; give as many of each")
    result = lift(graph, default)
    for condition, choice in reversed(list(zip(conditions, choices, strict=True))):
        result = select(lift(graph, condition), lift(graph, choice), result)
    return result


@implements(np.piecewise)
def piecewise(graph: Graph, x: Any, conditions: Any, functions: Sequence[Any], *args: Any, **kwargs: Any) -> Array:
    """A later condition wins over an earlier one; one function more than conditions is the default."""
    x = lift(graph, x)
    listed = list(conditions) if isinstance(conditions, list | tuple) or np.ndim(conditions) > x.ndim else [conditions]

    def value(item: Any) -> Array:
        return lift(graph, item(x, *args, **kwargs) if callable(item) else item)

    extra = len(functions) - len(listed)
    if extra not in (0, 1):
        raise ShapeError(f"np.piecewise got {len(listed)} conditions and {len(functions)} functions")
    result = value(functions[-1]) if extra else lift(graph, 0)
    for condition, item in zip(listed, functions, strict=False):
        result = select(lift(graph, condition), value(item), result)
    return result + full(graph, x.shape, 0) if result.shape != x.shape else result


@implements(np.clip)
def clip(
    graph: Graph, x: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None
) -> Array:  # `min` and `max` are NumPy's names
    """At a bound the derivative is 1, as in PyTorch; NaN stays NaN."""
    result = lift(graph, x)
    low, high = (a_min if min is None else min), (a_max if max is None else max)
    if low is not None:
        result = select(result < low, lift(graph, low), result)
    if high is not None:
        result = select(result > high, lift(graph, high), result)
    return result


@implements(np.round)
def round_to(graph: Graph, x: Any, decimals: int = 0) -> Any:
    x = as_kind(lift(graph, x), ops.REAL)
    if not decimals:
        return elementwise(ops.rint, x)
    scale = 10.0 ** abs(decimals)
    return np.rint(x * scale) / scale if decimals > 0 else np.rint(x / scale) * scale


@implements(np.fix)
def fix(graph: Graph, x: Any) -> Any:
    return np.trunc(lift(graph, x))


@implements(np.sinc)
def sinc(graph: Graph, x: Any) -> Array:
    """sin(πx)/(πx), 1 at 0."""
    angle = lift(graph, x) * lift(graph, PI)
    return elementwise(ops.sinc, angle)


@implements(np.nan_to_num)
def nan_to_num(graph: Graph, x: Any, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Array:
    x = lift(graph, x)
    largest = float(np.finfo(float).max)
    result = select(x == INFINITY, lift(graph, largest if posinf is None else posinf), x)
    result = select(x == -INFINITY, lift(graph, -largest if neginf is None else neginf), result)
    return select(x != x, lift(graph, nan), result)


@implements(np.isclose)
def isclose(graph: Graph, x: Any, y: Any, rtol: float = 1e-5, atol: float = 1e-8) -> Any:
    x, y = lift(graph, x), lift(graph, y)
    return (x == y) | (np.abs(x - y) <= atol + rtol * np.abs(y)) & np.isfinite(y)


@implements(np.interp)
def interp(graph: Graph, x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None) -> Array:
    """Straight lines between known points; the values at the ends outside of them."""
    x, heights = lift(graph, x), lift(graph, fp)
    points = np.asarray(xp, dtype=float) if not isinstance(xp, SymbolicArray) else None
    if points is None or points.ndim != 1 or points.shape != heights.shape:
        raise UnsupportedError("np.interp in a traced function needs known 1-D points xp, and fp of the same shape")
    result = select(x > points[-1], heights[-1] if right is None else lift(graph, right), x)
    result = select(x == points[-1], heights[-1], result)
    for i in reversed(range(len(points) - 1)):
        slope = (heights[i + 1] - heights[i]) / (points[i + 1] - points[i])
        result = select(x < points[i + 1], slope * (x - points[i]) + heights[i], result)
    return select(x < points[0], heights[0] if left is None else lift(graph, left), result)


@implements(np.polyval)
def polyval(graph: Graph, coefficients: Any, x: Any) -> Array:
    """Horner's scheme, highest power first."""
    x, parts = lift(graph, x), list(lift(graph, coefficients))
    result = full(graph, x.shape, parts[0])
    for part in parts[1:]:
        result = result * x + part
    return result


@implements(np.convolve)
def convolve(graph: Graph, x: Any, y: Any, mode: str = "full") -> Array:
    x, y = lift(graph, x), lift(graph, y)
    if len(y) > len(x):
        x, y = y, x
    n, m = len(x), len(y)
    sums = [
        np.sum(np.stack([x[i] * y[k - i] for i in range(max(0, k - m + 1), min(n, k + 1))])) for k in range(n + m - 1)
    ]
    result = lift(graph, sums)
    starts = {"full": 0, "same": (m - 1) // 2, "valid": m - 1}
    if mode not in starts:
        raise UnsupportedError(f"np.convolve with mode={mode!r}; use 'full', 'same' or 'valid'")
    return result[starts[mode] : len(result) - {"full": 0, "same": m - 1 - (m - 1) // 2, "valid": m - 1}[mode]]


HINTS.update(
    {
        "sort": "np.minimum and np.maximum sort two values; the order of many depends on values that are not known",
        "argsort": "the order depends on values that are not known; use np.minimum and np.maximum",
        "argmax": "the position depends on values that are not known; use np.max, or np.where(x == np.max(x), ...)",
        "argmin": "the position depends on values that are not known; use np.min, or np.where(x == np.min(x), ...)",
        "median": "the order depends on values that are not known; use np.mean, or np.minimum and np.maximum",
        "nonzero": "the shape would depend on values; use np.where(mask, a, b)",
        "argwhere": "the shape would depend on values; use np.where(mask, a, b)",
        "extract": "the shape would depend on values; use np.where(mask, x, 0)",
        "unique": "the shape would depend on values; it has no meaning here",
        "searchsorted": "use np.interp or comparisons with np.where",
        "digitize": "use np.interp or comparisons with np.where",
        "histogram": "the counts depend on values; use comparisons with np.sum",
        "array_equal": "use np.all(a == b)",
        "allclose": "use np.all(np.isclose(a, b))",
        "apply_along_axis": "write a loop with np.stack([f(row) for row in x])",
        "eig": "write out what you need of a small matrix, or use np.linalg.solve, det, inv",
        "eigh": "write out what you need of a small matrix, or use np.linalg.solve, det, inv",
        "svd": "write out what you need of a small matrix, or use np.linalg.solve, det, inv",
        "qr": "use np.linalg.solve, np.linalg.inv or np.linalg.cholesky",
        "lstsq": "solve the normal equations: np.linalg.solve(A.T @ A, A.T @ b)",
        "pinv": "use np.linalg.solve(A.T @ A, A.T)",
        "gradient": "use slices: (x[2:] - x[:-2]) / (2 * h)",
        "nansum": "use np.sum(np.where(np.isnan(x), 0, x))",
        "nanmean": "use np.where(np.isnan(x), 0, x) and np.sum",
        "fft": "write the sum out",
        "roots": "its roots depend on values; solve small polynomials by formula",
    }
)
