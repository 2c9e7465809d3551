"""Tracing: the same Python function run on arrays and traced, then evaluated, gives the same numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.special as special
import sympy as sp
from traced import check, value

from hybrid import trace
from hybrid.definition import PythonSource
from hybrid.errors import ArgumentError, InputTypeError, ShapeError, UnsupportedError
from hybrid.function import Function

VECTOR = np.array([0.3, -1.25, 2.5, 0.0])


# --- writing ----------------------------------------------------------------------------------------------------------
def write_elements(x: Any) -> Any:
    out = np.zeros_like(x)
    out[0] = x[1] * 2
    out[1:3] = x[:2]
    out[-1] = 7
    return out


def write_through_views(x: Any) -> Any:
    out = x.copy()
    view = out[1:]
    view[0] = 5.0
    view += 1
    return out


def write_masked(x: Any) -> Any:
    out = x.copy()
    out[out < 0] = 0.0
    out[x > 2] = 2
    return out


def accumulate(x: Any) -> Any:
    total = 0.0
    first = x[0]
    kept = first
    for element in x:
        total += element**2
        first += 1  # numbers do not change under another name
    return total + kept


def in_place(x: Any) -> Any:
    y = x + 1
    y *= 2
    y -= x
    y /= 3
    y **= 2
    np.fill_diagonal(z := np.outer(y, y), 1.0)
    np.add(x, y, out=y)
    return z @ y


@pytest.mark.parametrize("function", [write_elements, write_through_views, write_masked, accumulate, in_place])
def test_writing_follows_numpy(function: Any) -> None:
    check(function, VECTOR, rtol=1e-15)


# --- the definition ---------------------------------------------------------------------------------------------------
def test_arguments_follow_the_signature() -> None:
    def energy(q: Any, /, p: Any, scale: float = 2.0, *, offset: Any, power: int = 2) -> Any:
        """Documented."""
        return np.sum(q) ** power * p * scale + offset

    definition = trace.define(energy, {"offset": (), "q": (7,), "p": 2})
    assert [(a.name, a.shape) for a in definition.arguments] == [("q", (7,)), ("p", (2,)), ("offset", ())]
    assert definition.name == "energy"
    assert definition.shape == (2,)
    assert isinstance(definition.source, PythonSource)
    assert definition.source.function is energy
    got = value(definition, {"q": np.arange(7), "p": [1.0, 2.0], "offset": 0.5})
    np.testing.assert_array_equal(got, energy(np.arange(7), np.array([1.0, 2.0]), offset=0.5))


def test_a_default_with_a_shape_is_an_argument() -> None:
    definition = trace.define(lambda x, y=3.0: x * y, {"x": (), "y": ()})
    assert [a.name for a in definition.arguments] == ["x", "y"]
    assert definition.name == "f"


def test_extra_keywords_and_functions_without_a_signature() -> None:
    assert trace.define(lambda **parts: parts["u"] + parts["v"], {"u": (), "v": (2,)}).shape == (2,)
    with pytest.raises(InputTypeError, match=r"np\.maximum"):  # Python's max has no signature, and compares
        trace.define(max, {"x": (), "y": ()})


def test_nested_outputs_and_truth_values() -> None:
    definition = trace.define(lambda x: [[x[0], 1], (x[1] > 0, np.float64(2.5))], {"x": (2,)})
    assert definition.shape == (2, 2)
    np.testing.assert_array_equal(value(definition, {"x": [3.0, 4.0]}), [[3.0, 1.0], [1.0, 2.5]])


def test_constants_stay_exact() -> None:
    definition = trace.define(lambda x: x * 3 + np.array([1, 2]) + 0.5, {"x": (2,)})
    constants = {repr(data) for data in definition.graph.leaves.values() if not hasattr(data, "name")}
    assert constants == {"3", "1", "2", "0.5"}


def test_signed_zero_constants_are_two() -> None:
    definition = trace.define(lambda x: x * np.array([0.0, -0.0]), {"x": ()})
    assert definition.nodes[0] != definition.nodes[1]


def test_equal_python_numbers_of_other_kinds_are_other_constants() -> None:
    definition = trace.define(lambda x: [x[0] + 1, x[0] + 1.0, x[0] + True, x[0] + 1], {"x": (2,)})
    graph = definition.graph
    added = [graph.leaves[graph.args[node][1]] for node in (*definition.nodes[:2], definition.nodes[3])]
    assert [(type(number), number) for number in added] == [(int, 1), (float, 1.0), (int, 1)]
    assert definition.nodes[0] == definition.nodes[3] != definition.nodes[1]


def elements_are_numbers(x: Any) -> Any:
    a, b, *rest = x
    shaped = a.reshape(1) * 1
    shaped[0] = 7
    c = a
    c -= b
    total = np.sin(a) + 2.0**b - (-c) / b + a.item() ** 2 + 1 / (b * b) + (3 - a) + np.float64(0.5) * b
    total += np.arctan2(a, 2.0) + np.where(a > b, a, b) + np.maximum(a, 0.25) + abs(b) + a // 1 + a % 2
    return total + sum(rest) + np.array([1.0, 2.0]) * a


def test_elements_behave_as_numpy_scalars() -> None:
    check(elements_are_numbers, VECTOR)


def test_an_element_shares_no_memory_with_its_array() -> None:
    def write(x: Any) -> Any:
        out = x.copy()
        first = out[0]
        assert (first.shape, first.ndim, first.size, first.nodes.shape) == ((), 0, 1, ())
        first[()] = out[1] * 3
        first.reshape(1)[0] = 9
        return [first, out[0]]

    assert value(trace.define(write, {"x": (2,)}), {"x": [2.0, 5.0]}).tolist() == [15.0, 2.0]


def test_inline_a_function_in_another() -> None:
    inner = trace.define(lambda x, y: [np.sum(x) * y, y], {"x": (2,), "y": ()})

    def outer(z: Any) -> Any:
        return trace.inline(inner.arguments, inner.graph, inner.nodes, inner.shape, [z**2, 3.0]) + z

    definition = trace.define(outer, {"z": (2,)})
    np.testing.assert_array_equal(value(definition, {"z": [1.0, 2.0]}), [16.0, 5.0])
    with pytest.raises(ShapeError, match=r"argument x has shape \(2,\), got \(3,\)"):
        trace.define(lambda z: trace.inline(inner.arguments, inner.graph, inner.nodes, (2,), [z, 1.0]), {"z": (3,)})


def test_deep_and_wide() -> None:
    def deep(x: Any) -> Any:
        for _ in range(50_000):
            x = np.sin(x) + 1
        return x

    assert len(trace.define(deep, {"x": ()}).graph) == 100_002
    wide = trace.define(lambda q: np.sum(q * q), {"q": (100_000,)})
    assert len(wide.graph.args[wide.nodes[0]]) == 100_000


def test_derivatives_at_ties_and_kinks() -> None:
    """log(eˣ + eʸ) is smooth across x = y; a norm has derivative 0 at 0; a bound of clip counts as inside."""
    smooth = Function.from_definition(trace.define(lambda x: np.logaddexp(x[0], x[1]), {"x": (2,)}))
    np.testing.assert_array_equal(value(smooth.gradient(), {"x": [1.0, 1.0]}), [0.5, 0.5])
    np.testing.assert_array_equal(value(smooth.hessian(), {"x": [1.0, 1.0]}), [[0.25, -0.25], [-0.25, 0.25]])
    length = Function.from_definition(trace.define(np.linalg.norm, {"x": (2,)}))
    np.testing.assert_array_equal(value(length.gradient(), {"x": [0.0, 0.0]}), [0.0, 0.0])
    np.testing.assert_allclose(value(length.gradient(), {"x": [3.0, 4.0]}), [0.6, 0.8], rtol=1e-15)
    bounded = Function.from_definition(trace.define(lambda x: np.clip(x, 0.0, 1.0), {"x": ()}))
    assert [float(value(bounded.gradient(), {"x": v})) for v in (-0.5, 0.0, 0.5, 1.0, 1.5)] == [0, 1, 1, 1, 0]


def test_supported_lists_names() -> None:
    names = trace.supported()
    assert {"numpy.exp", "numpy.einsum", "numpy.linalg.solve", "numpy.where"} <= set(names)
    assert len(names) > 200


# --- errors -----------------------------------------------------------------------------------------------------------
def fill_plain_array(x: Any) -> Any:
    out = np.zeros(3)
    out[0] = x[0]
    return out


def add_in_place_to_plain_array(x: Any) -> Any:
    out = np.zeros(4)
    out += x
    return out


ERRORS: list[tuple[Callable[[Any], Any], type[Exception], str]] = [
    (lambda x: 1 if x[0] > 0 else 2, InputTypeError, "np.where"),
    (lambda x: max(x[0], x[1]), InputTypeError, "np.maximum"),
    (lambda x: x[0] > 0 and x[1] > 0, InputTypeError, "& \\| ~"),
    (lambda x: 0 in x, InputTypeError, "np.any"),
    (lambda x: math.sin(x[0]), InputTypeError, "np.sin"),
    (lambda x: float(x[0]), InputTypeError, "no number yet"),
    (lambda x: int(x[0]), InputTypeError, "np.trunc"),
    (lambda x: complex(x[0]), InputTypeError, "two real arrays"),
    (lambda x: range(x[0]), InputTypeError, "give it a default value"),
    (fill_plain_array, InputTypeError, "np.zeros_like"),
    (add_in_place_to_plain_array, InputTypeError, "plain NumPy array of shape"),
    (lambda x: np.array(x, dtype=float), InputTypeError, "leave the dtype away"),
    (lambda x: np.sort(x), UnsupportedError, "numpy.sort is not supported in a traced function; np.minimum"),
    (lambda x: np.fft.fft(x), UnsupportedError, "numpy.fft.fft is not supported"),
    (lambda x: np.median(x), UnsupportedError, "use np.mean"),
    (lambda x: x.argmax(), UnsupportedError, "numpy.argmax is not supported"),
    (lambda x: np.linalg.svd(np.outer(x, x)), UnsupportedError, "numpy.linalg.svd"),
    (lambda x: special.ellipk(x), UnsupportedError, "ellipk is not supported"),
    (lambda x: special.jv(0.5, x), UnsupportedError, "jv needs one constant integer order from -24 to 24"),
    (lambda x: special.iv(x, x), UnsupportedError, "iv needs one constant integer order"),
    (lambda x: np.log(x, where=x > 0), UnsupportedError, r"numpy.log with where=.*np.where\(mask"),
    (lambda x: np.sum(x, where=x > 0), UnsupportedError, "sum with where="),
    (lambda x: np.sum(x, dtype=np.float32), UnsupportedError, "sum with dtype="),
    (lambda x: np.add.reduceat(x, [0, 2]), UnsupportedError, "add.reduceat"),
    (lambda x: np.where(x > 0), UnsupportedError, r"np.where\(condition, a, b\)"),
    (lambda x: x[x > 0], UnsupportedError, r"np.where\(mask, x, 0\)"),
    (lambda x: x.__setitem__(0, 1.0), UnsupportedError, r"x = x.copy\(\)"),
    (lambda x: x.copy().__setitem__(x > 0, x), UnsupportedError, r"x = np.where\(mask, values, x\)"),
    (lambda x: x.astype(int), UnsupportedError, "np.trunc"),
    (lambda x: np.pad(x, 1, constant_values=3), UnsupportedError, "pad with constant_values="),
    (lambda x: np.pad(x, 1, mode="mean"), UnsupportedError, "mode='mean'"),
    (lambda x: np.interp(0.5, x, x), UnsupportedError, "known 1-D points"),
    (lambda x: np.einsum("...i->...", x), UnsupportedError, "einsum with '...'"),
    (lambda x: x.frobnicate, AttributeError, "no attribute 'frobnicate'"),
    (lambda x: x & 1, TypeError, "need truth values"),
    (lambda x: x + 1j, InputTypeError, r"got 1j of type complex"),
    (lambda x: x + "1", InputTypeError, "got '1' of type str"),
    (lambda x: x + sp.Symbol("a"), InputTypeError, "hy.Function"),
    (lambda x: None, InputTypeError, "end it with `return`"),
    (lambda x: "x**2", InputTypeError, "returned str"),
    (lambda x: {"y": x}, InputTypeError, "returned dict"),
    (lambda x: [x, x[0]], ShapeError, r"items of one shape, got \(4,\), \(\)"),
    (lambda x: x[:0], ShapeError, "without elements"),
    (lambda x: x[:2] + x[:3], ValueError, "shape mismatch"),
    (lambda x: x @ x[:3], ShapeError, r"matmul of shapes \(4,\) and \(3,\)"),
    (lambda x: np.dot(x, x[:3]), ShapeError, "lengths 4 and 3"),
    (lambda x: np.max(x[:0]), ValueError, "no elements"),
    (lambda x: np.linalg.inv(x), ShapeError, r"square matrix, or a stack of them, got shape \(4,\)"),
    (lambda x: np.cross(x, x), ShapeError, "vectors of length 3"),
    (lambda x: x[9], IndexError, "out of bounds"),
]


@pytest.mark.parametrize(("function", "error", "text"), ERRORS)
def test_errors_say_what_to_do(function: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text) as caught:
        trace.define(function, {"x": (4,)})
    assert any("with symbolic arguments of the shapes x: (4,)" in note for note in caught.value.__notes__)


@pytest.mark.parametrize(
    ("shapes", "text"),
    [
        ({}, "at least one argument"),
        ({"x": ()}, "no shape for its parameter 'y'; give y=\\(\\)"),
        ({"x": (), "y": (), "z": ()}, "no parameter 'z' to give a shape to; it has x, y"),
        ({"x": (), "yy": ()}, "did you mean 'y'"),
        ({"x": (), "y": "3"}, "got the shape '3' for 'y'"),
        ({"x": (), "y": (-1,)}, "whole numbers"),
        ({"x": (), "y": (2.0,)}, "whole numbers"),
        ({"x": (), "y": True}, "whole numbers"),
    ],
)
def test_shapes_are_checked(shapes: dict[str, Any], text: str) -> None:
    with pytest.raises(ArgumentError, match=text):
        trace.define(lambda x, y: x, shapes)


def test_something_that_is_no_function() -> None:
    with pytest.raises(InputTypeError, match="expected a Python function"):
        trace.define("x**2", {"x": ()})  # type: ignore[arg-type]


def test_values_of_another_trace_are_refused() -> None:
    kept: list[Any] = []
    trace.define(lambda x: kept.append(x) or x, {"x": ()})  # type: ignore[func-returns-value]
    with pytest.raises(ValueError, match="outside of the function that made it"):
        trace.define(lambda x: x + kept[0], {"x": ()})
