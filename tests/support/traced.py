"""The same Python function run on arrays and traced, then evaluated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from hybrid import trace
from hybrid.definition import Definition
from hybrid.evaluate import evaluate


def value(definition: Definition, values: dict[str, Any]) -> Any:
    """The outputs of a definition, evaluated, in their shape."""
    known: dict[int, Any] = {}
    for argument in definition.arguments:
        known.update(zip(argument.nodes, np.ravel(values[argument.name]).astype(float), strict=True))
    results = evaluate(definition.graph, definition.nodes, known)
    return np.array(results, dtype=float).reshape(definition.shape)


# Operations that IEEE 754 rounds correctly, or that only select, compare or cut: NumPy's bits are the same everywhere.
EXACT = {
    *("variable", "constant", "add", "sub", "mul", "div", "neg", "sqrt", "abs", "sign", "minimum", "maximum"),
    *("floor", "ceil", "trunc", "rint", "mod", "fmod", "copysign", "heaviside"),
    *("lt", "le", "gt", "ge", "eq", "ne", "and", "or", "xor", "not", "select"),
}
ULPS = 4  # what NumPy's loops for elementary functions promise; which one runs depends on the processor and the ufunc


def near(got: Any, want: Any, ulps: int) -> bool:
    """Whether both are NaN, or equal, or finite and at most `ulps` units in the last place apart, elementwise."""
    got, want = np.broadcast_arrays(np.asarray(got, dtype=float), np.asarray(want, dtype=float))
    equal = (got == want) | (np.isnan(got) & np.isnan(want))
    finite = np.isfinite(got) & np.isfinite(want)
    distance = np.abs(np.where(finite, got, 0) - np.where(finite, want, 0))
    return bool(np.all(equal | finite & (distance <= ulps * np.spacing(np.abs(np.where(finite, want, 1))))))


def check(function: Callable[..., Any], *arrays: Any, rtol: float = 0.0) -> None:
    """Run on the arrays and traced: shapes and values must agree; a list of results is compared one by one.

    Without a tolerance the bits must agree where every operation traced is EXACT, and values within ULPS otherwise:
    NumPy computes `power` and `float_power`, arrays and single numbers, by different code.
    """
    names = [f"a{i}" for i in range(len(arrays))]
    values = dict(zip(names, arrays, strict=True))
    with np.errstate(all="ignore"):
        expected = function(*(np.array(array) if np.ndim(array) else np.float64(array) for array in arrays))
    several = isinstance(expected, list | tuple)
    for i, want in enumerate(expected if several else [expected]):

        def traced(position: int = i, **kwargs: Any) -> Any:
            result = function(*kwargs.values())
            return result[position] if several else result

        definition = trace.define(traced, {name: np.shape(array) for name, array in values.items()})
        got = value(definition, values)
        assert got.shape == np.shape(want)
        if rtol:
            np.testing.assert_allclose(got, np.asarray(want, dtype=float), rtol=rtol, atol=rtol)
        else:
            reached = {definition.graph.ops[node].name for node in definition.graph.reach(definition.nodes)}
            ulps = 0 if reached <= EXACT else ULPS
            assert near(got, want, ulps), f"{got} is more than {ulps} ulp from {want}"
