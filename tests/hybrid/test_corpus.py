"""The corpus: every first derivative of 1,000 expressions against mpmath, and what simplification does to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import mpmath
import numpy as np
import pytest
from accuracy import errors, sample
from corpus import CORPUS, Line, read, value_and_gradient, written
from corpus_maker import make

from hybrid.evaluate import evaluate
from hybrid.function import Function
from hybrid.graph import Graph
from hybrid.operations import CONSTANT, VARIABLE
from hybrid.parse import define
from hybrid.precise import MEANINGS, constant_value
from hybrid.saturation import unsaturated
from hybrid.simplify import REAL, operations, simplify

LINES = read()
SAMPLE = range(3, 1000, 43)  # all families: 43 and their number have no common factor
DIGITS = 50
RELATIVE = {"as made": 1e-11, "simplified": 1e-12}  # what kernels run is simplified: x − x as written is gone there
ULP = 2.0**-53
DISTURBED = mpmath.mpf(10) ** -48
# Where the derivative of tanh sinh u multiplies 0 by infinity: sinh u overflows, tanh is 1 and its derivative 0.
OVERFLOWS = frozenset({827})
USUAL = 0.25  # of values are smaller than what errors of simplified forms are measured by at least


def test_the_corpus_is_what_its_maker_makes() -> None:
    assert len(LINES) == 1000
    assert len({line.expression for line in LINES}) == 1000
    assert all(5 <= line.operations() <= 500 for line in LINES)
    assert [written(line) for line in make(each=1)] == CORPUS.read_text().splitlines()[:5]


def condition(f: Function, node: int, point: Mapping[str, float]) -> Any:
    """The plain condition of the derivative `node`: how much it changes, relatively, beside relative changes of the
    variables, added up over these. What its arithmetic cancels is not excused."""
    graph = f.graph
    order = graph.reach([node])

    def value(moved: str | None) -> Any:
        variables = {a.nodes[0]: mpmath.mpf(point[a.name]) * (1 + DISTURBED * (a.name == moved)) for a in f.arguments}
        known: dict[int, Any] = {}
        for n in order:
            known[n] = value_of_node(graph, n, known, variables)
        return known[node]

    with mpmath.workdps(2 * DIGITS):
        centre = value(None)
        return sum(abs(value(a.name) / centre - 1) / DISTURBED for a in f.arguments)


def value_of_node(graph: Graph, node: int, held: Mapping[int, Any], variables: Mapping[int, Any]) -> Any:
    op = graph.ops[node]
    if op is CONSTANT:
        return constant_value(graph.leaves[node])
    return variables[node] if op is VARIABLE else MEANINGS[op.name](*map(held.get, graph.args[node]))


def wrong(line: Line) -> list[str]:
    """The derivatives, as made and simplified, that are neither within RELATIVE nor within 8 ulp × condition."""
    f = Function.from_definition(define(line.expression, dict.fromkeys(line.variables, ()), "f"))
    gradient = f.gradient()
    forms = {"as made": gradient.nodes, "simplified": simplify(f.graph, gradient.nodes, REAL)}
    found = []
    for point in line.points:
        values = {a.nodes[0]: np.float64(point[a.name]) for a in f.arguments}
        with mpmath.workdps(DIGITS):
            _, exact = value_and_gradient(line, point)
            for form, nodes in forms.items():
                found_values = evaluate(f.graph, nodes, values)
                for argument, value, made in zip(f.arguments, found_values, gradient.nodes, strict=True):
                    name, slope = argument.name, exact[argument.name]
                    error = abs(mpmath.mpf(float(value)) - slope)
                    if mpmath.isnan(error) and LINES.index(line) in OVERFLOWS:
                        continue
                    if error <= max(RELATIVE[form], 8 * ULP) * abs(slope):
                        continue
                    if not error <= 8 * ULP * condition(f, made, point) * abs(slope):
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
        allowed = operations(f.graph, unsaturated(f.graph, roots, ()))
        assert operations(f.graph, simplify(f.graph, roots, REAL)) <= allowed, line.expression


def test_simplified_forms_are_as_accurate() -> None:
    """Largest errors of value and gradient at random points: simplified beside as made, to 50 digits."""
    ratios, made_medians, new_medians = [], [], []
    for number in SAMPLE:
        f = Function.from_definition(define(LINES[number].expression, dict.fromkeys(LINES[number].variables, ()), "f"))
        roots = [*f.nodes, *f.gradient().nodes]
        points = sample({a.nodes[0]: LINES[number].points[0][a.name] for a in f.arguments}, 6, number)
        made, new = errors(f.graph, [roots, simplify(f.graph, roots, REAL)], points, USUAL)
        ratios.append(max(new.largest, 1.0) / max(made.largest, 1.0))
        made_medians.append(made.median)
        new_medians.append(new.median)
        assert new.largest <= 4.5 * max(made.largest, 2.0), f"{LINES[number].expression}: {made} became {new}"
    assert np.exp(np.mean(np.log(ratios))) < 1.1
    assert np.mean(new_medians) < 1.05 * np.mean(made_medians)
