"""The corpus: every first derivative of 1,000 expressions against mpmath, and what simplification does to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import mpmath
import numpy as np
import pytest
from corpus import CORPUS, Line, read, value_and_gradient, written
from corpus_maker import make

from hybrid.evaluate import evaluate
from hybrid.function import Function
from hybrid.parse import define
from hybrid.simplify import REAL, operations, simplify

LINES = read()
SAMPLE = range(3, 1000, 43)  # all families: 43 and their number have no common factor
DIGITS = 50
RELATIVE = 1e-12
ULP = 2.0**-53
DISTURBED = mpmath.mpf(10) ** -20


def test_the_corpus_is_what_its_maker_makes() -> None:
    assert len(LINES) == 1000
    assert len({line.expression for line in LINES}) == 1000
    assert all(5 <= line.operations() <= 500 for line in LINES)
    assert [written(line) for line in make(each=1)] == CORPUS.read_text().splitlines()[:5]


def condition(line: Line, point: Mapping[str, float], name: str) -> Any:
    """Σ |x ∂g/∂x| / |g| over the variables, for g the derivative by `name`, by mpmath's differences."""
    slope = value_and_gradient(line, point)[1][name]
    total = mpmath.mpf(1)
    for moved in point:
        shifted = {**point, moved: mpmath.mpf(point[moved]) * (1 + DISTURBED)}
        total += abs(value_and_gradient(line, shifted)[1][name] - slope) / DISTURBED / abs(slope)
    return total


def wrong(line: Line) -> list[str]:
    """The derivatives, as made and simplified, that are neither within 1e-12 nor within 8 ulp × condition."""
    f = Function.from_definition(define(line.expression, dict.fromkeys(line.variables, ()), "f"))
    gradient = f.gradient()
    forms = {"as made": gradient.nodes, "simplified": simplify(f.graph, gradient.nodes, REAL)}
    found = []
    for point in line.points:
        values = {a.nodes[0]: np.float64(point[a.name]) for a in f.arguments}
        with mpmath.workdps(DIGITS):
            _, exact = value_and_gradient(line, point)
            for form, nodes in forms.items():
                for argument, value in zip(f.arguments, evaluate(f.graph, nodes, values), strict=True):
                    name, slope = argument.name, exact[argument.name]
                    error = abs(mpmath.mpf(float(value)) - slope)
                    if error > RELATIVE * abs(slope) and error > 8 * ULP * condition(line, point, name) * abs(slope):
                        found.append(f"{form}: d/d{name} = {value}, not {mpmath.nstr(slope, 20)} at {point}")
    return found


def check(lines: Sequence[Line]) -> None:
    failures = [f"{line.expression}\n    {problem}" for line in lines for problem in wrong(line)]
    assert not failures, f"{len(failures)} wrong derivatives:\n" + "\n".join(failures)


def test_derivatives_of_a_sample() -> None:
    check([LINES[number] for number in SAMPLE])


@pytest.mark.long
@pytest.mark.parametrize("start", range(0, 1000, 50))
def test_every_derivative(start: int) -> None:
    check(LINES[start : start + 50])


def test_simplification_never_grows() -> None:
    for number in SAMPLE:
        line = LINES[number]
        f = Function.from_definition(define(line.expression, dict.fromkeys(line.variables, ()), "f"))
        roots = [*f.nodes, *f.gradient().nodes]
        assert operations(f.graph, simplify(f.graph, roots, REAL)) <= operations(f.graph, roots), line.expression
