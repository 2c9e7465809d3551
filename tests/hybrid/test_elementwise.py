"""The elementary functions run on numbers, arrays, traced arrays, tensors and SymPy expressions, with one meaning."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import sympy as sp
from traced import value

from hybrid import elementwise, tape, trace
from hybrid.errors import InputTypeError, UnsupportedError
from hybrid.operations import MASK, OPERATIONS, Operation
from hybrid.sympy_bridge import define, symbols

NAMES = {"absolute": "abs", "where": "select"}
ARITHMETIC = {"add", "mul", "sub", "div", "neg", "pow", "variable", "constant"}  # Python's operators write these
OF_ORDER = {"j0": "jv", "j1": "jv", "i0": "iv", "i1": "iv"}  # rows with their first argument fixed
PUBLIC = [
    name for name in elementwise.__all__ if name not in OF_ORDER and not OPERATIONS[NAMES.get(name, name)].ordered
]


def row(name: str) -> Operation:
    return OPERATIONS[NAMES.get(name, name)]


def arguments(name: str) -> list[Any]:
    """Two points inside the domain for every argument."""
    points = []
    for kind, (low, high) in zip(row(name).operands, row(name).domain, strict=True):
        if kind == MASK:
            points.append(np.array([True, False]))
        elif math.isinf(high):
            points.append(np.array([0.25, 1.5]) + (max(low, -1.0) if math.isfinite(low) else 0.0) + len(points))
        else:
            points.append(low + (high - low) * np.array([0.2, 0.7]))
    return points


def test_every_row_but_arithmetic_and_logic_has_a_function() -> None:
    rows = {op.name for op in OPERATIONS.values() if op.result != MASK}
    assert {NAMES.get(name, OF_ORDER.get(name, name)) for name in elementwise.__all__} == rows - ARITHMETIC


@pytest.mark.parametrize("name", PUBLIC)
def test_numbers_and_arrays_have_the_meaning_of_the_row(name: str) -> None:
    function, points = getattr(elementwise, name), arguments(name)
    want = row(name).numpy(*points)
    np.testing.assert_array_equal(function(*points), want)
    np.testing.assert_array_equal(function(*(point.tolist() for point in points)), want)
    single = function(*(point[1].item() for point in points))
    assert np.ndim(single) == 0
    assert single == want[1]


@pytest.mark.parametrize("name", PUBLIC)
def test_traced_arrays(name: str) -> None:
    function, points = getattr(elementwise, name), arguments(name)
    named = {f"a{i}": point for i, point in enumerate(points)}
    definition = trace.define(lambda **args: function(*args.values()), dict.fromkeys(named, (2,)))
    assert row(name) in definition.graph.ops
    np.testing.assert_array_equal(value(definition, named), row(name).numpy(*points))


@pytest.mark.parametrize("name", PUBLIC)
def test_sympy_expressions(name: str) -> None:
    function, points = getattr(elementwise, name), arguments(name)
    inputs = list(symbols("u v w")[: len(points)])
    operands = [symbol > 0 if kind == MASK else symbol for symbol, kind in zip(inputs, row(name).operands, strict=True)]
    definition = define(inputs, function(*operands))
    for i in range(2):
        known = dict(zip("uvw", (float(point[i]) for point in points), strict=False))
        want = row(name).numpy(*points)[i]
        np.testing.assert_allclose(value(definition, known), want, rtol=4e-16 * 8, atol=1e-15)


@pytest.mark.parametrize("name", PUBLIC)
def test_tensors(name: str) -> None:
    function, points = getattr(elementwise, name), arguments(name)
    result = function(*(tape.tensor(point) for point in points))
    assert isinstance(result, tape.Tensor)
    np.testing.assert_allclose(result.numpy(), row(name).numpy(*points), rtol=1e-15)


def test_arrays_of_objects_are_mapped() -> None:
    a, b = symbols("a b")
    assert elementwise.erf(np.array([a, b])).tolist() == [sp.erf(a), sp.erf(b)]
    assert elementwise.maximum(np.array([[a], [b]]), np.array([1, a])).shape == (2, 2)
    definition = trace.define(lambda q: elementwise.erf(np.array([q[0], 0.5])), {"q": (2,)})
    np.testing.assert_array_equal(value(definition, {"q": [1.0, 2.0]}), [math.erf(1.0), math.erf(0.5)])


def test_numbers_meet_traced_arrays_and_expressions() -> None:
    definition = trace.define(lambda q: elementwise.maximum(0.5, q) + elementwise.where(q > 1, q, 0), {"q": (2,)})
    np.testing.assert_array_equal(value(definition, {"q": [0.25, 2.0]}), [0.5, 4.0])
    a = sp.Symbol("a")
    assert elementwise.maximum(2, a) == sp.Max(2, a)
    assert elementwise.hypot(a, Fraction(1, 2)) == sp.sqrt(a**2 + sp.Rational(1, 4))


def test_heaviside() -> None:
    a = sp.Symbol("a")
    assert elementwise.heaviside(a) == sp.Heaviside(a)
    assert elementwise.heaviside(a, 1) == sp.Heaviside(a, 1)
    assert elementwise.heaviside([-1.0, 0.0, 2.0]).tolist() == [0.0, 0.5, 1.0]
    assert elementwise.heaviside([-1.0, 0.0, 2.0], 1).tolist() == [0.0, 1.0, 1.0]


def test_polygamma() -> None:
    a = sp.Symbol("a", real=True)
    assert elementwise.polygamma(2, a) == sp.polygamma(2, a)
    want = OPERATIONS["polygamma"].numpy(1, np.array([0.5, 2.0]))
    np.testing.assert_array_equal(elementwise.polygamma(1, [0.5, 2.0]), want)
    definition = trace.define(lambda q: elementwise.polygamma(1, q), {"q": (2,)})
    np.testing.assert_array_equal(value(definition, {"q": [0.5, 2.0]}), want)
    np.testing.assert_array_equal(elementwise.polygamma(1, tape.tensor([0.5, 2.0])).numpy(), want)


@pytest.mark.parametrize("name", ["jv", "iv", "spherical_jn"])
def test_bessel_functions(name: str) -> None:
    function, a = getattr(elementwise, name), sp.Symbol("a", real=True)
    assert function(2, a) == OPERATIONS[name].sympy(2, a)
    want = OPERATIONS[name].numpy(2, np.array([0.5, 30.0]))
    np.testing.assert_array_equal(function(2, [0.5, 30.0]), want)
    definition = trace.define(lambda q: function(2, q), {"q": (2,)})
    np.testing.assert_array_equal(value(definition, {"q": [0.5, 30.0]}), want)
    np.testing.assert_array_equal(function(2, tape.tensor([0.5, 30.0])).numpy(), want)
    with pytest.raises(ValueError, match=f"{name} takes one integer order from .* got .*0.5"):
        function(0.5, 1.0)
    with pytest.raises(ValueError, match="got 99"):
        function(99, 1.0)


@pytest.mark.parametrize("name", OF_ORDER)
def test_bessel_functions_of_order_zero_and_one(name: str) -> None:
    points = np.array([0.25, 2.0])
    np.testing.assert_array_equal(
        getattr(elementwise, name)(points), getattr(elementwise, OF_ORDER[name])(int(name[1]), points)
    )


def test_invalid_points_give_nan_without_a_warning() -> None:
    assert np.isnan(elementwise.log(-1.0))
    assert elementwise.log(0.0) == -math.inf
    assert np.isnan(elementwise.sqrt([-1.0, 4.0])).tolist() == [True, False]


def test_names_and_documentation() -> None:
    for name in elementwise.__all__:
        function = getattr(elementwise, name)
        assert function.__name__ == name
        assert len(function.__doc__) > 20


class Foreign:
    """Something with the protocol that lacks the row."""

    def __hybrid_elementwise__(self, name: str, *args: Any) -> Any:
        return NotImplemented


def test_errors() -> None:
    with pytest.raises(InputTypeError, match=r"erf expects real numbers.*got 'x'"):
        elementwise.erf("x")
    with pytest.raises(InputTypeError, match="got 1j"):
        elementwise.exp(1j)
    with pytest.raises(InputTypeError, match="text is never evaluated"):
        elementwise.maximum(sp.Symbol("a"), "b")
    with pytest.raises(InputTypeError, match="erf expects real numbers"):
        elementwise.erf(object())
    with pytest.raises(UnsupportedError, match="erf is not defined for Foreign"):
        elementwise.erf(Foreign())
    with pytest.raises(TypeError, match="hypot takes 2 arguments, got 1"):
        elementwise.hypot(1.0)
