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


def check(function: Callable[..., Any], *arrays: Any, rtol: float = 0.0) -> None:
    """Run on the arrays and traced: shapes and values must agree; a list of results is compared one by one."""
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
        np.testing.assert_allclose(got, np.asarray(want, dtype=float), rtol=rtol, atol=rtol)
