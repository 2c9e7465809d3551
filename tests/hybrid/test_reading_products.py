"""Signs and sizes of rational coefficients survive reading SymPy products with and without denominators."""

import itertools

import numpy as np
import pytest
import sympy as sp

import hybrid as hy
from hybrid.evaluate import evaluate

x, y = hy.symbols("x y")
SHAPES = [x, x * y, x / y, 1 / y, x / y**2, x * sp.sqrt(y) / (x + y), sp.Integer(1), (x + y) / sp.pi]
COEFFICIENTS = [sp.Rational(c, d) for c, d in itertools.product([-3, -2, -1, 1, 2], [1, 2, 3])]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_coefficients(shape: sp.Expr) -> None:
    for coefficient in COEFFICIENTS:
        for expression in (coefficient * shape, 1 + coefficient * shape):
            f = hy.Function([x, y], expression)
            nodes = [argument.nodes[0] for argument in f.arguments]
            [found] = evaluate(f.graph, f.nodes, dict(zip(nodes, (1.3, 0.7), strict=True)))
            assert np.isclose(found, float(expression.subs({x: 1.3, y: 0.7})), rtol=1e-15), expression
