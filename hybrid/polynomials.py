"""Polynomials in one variable multiplied out where that leaves fewer operations: (x + 1)³ − (x − 1)³ is 6x² + 2.

Sums of products of polynomials in one variable have few different powers, however many factors they are written with;
what they are is carried out with exact coefficients and factored again by `factor_sums`, into Horner's form. The
variable may be any node that is no sum, product or whole power, such as sin u, or 1/x.

(x − 1)³ keeps its digits near 1 and x³ − 3x² + 3x − 1 does not, which points at random hardly show. So both forms are
evaluated where the polynomial is small, around its roots and the real parts of those that are complex, beside exact
values; what would be less accurate there stays as it is.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid import operations as ops
from hybrid.graph import Graph
from hybrid.rewrite import Rewriter, rational, reduced

HIGHEST = 24  # degree of a polynomial that is multiplied out
NUMBER = -1  # the atom of numbers
ASIDE = (1e-2, -1e-2, 1e-4, -1e-4, 1e-6, -1e-6, 1e-8, -1e-8)  # by how much off a root, relative to it, one looks
SLACK = 3.0  # by which the largest error near a root may be larger; it is compared with 1 + that as written, in ulp
ULP = 2.0**-53

Coefficients = list[Fraction]  # by exponent
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Shape:
    """A polynomial before it is multiplied out: its atom, the range of its exponents, its operations as written."""

    atom: int
    low: int
    high: int
    written: int

    @property
    def cost(self) -> int:
        """Operations of its Horner's form, if all its coefficients are there."""
        return 2 * (self.high - self.low) + (1 if self.low else 0)


def multiplied_out(graph: Graph, roots: Sequence[int], kept: Collection[int]) -> list[int]:
    """The roots with sums that are polynomials in one atom as sums of monomials, where that may be shorter."""
    order = graph.reach(roots)
    rewriter = Rewriter(graph, frozenset(kept))
    shapes = shapes_of(rewriter, order)
    chosen = {
        node for node, shape in shapes.items()
        if graph.ops[node] in (ops.add, ops.sub) and shape.high > 0 and shape.cost < shape.written and node not in kept
    }  # fmt: skip
    if not chosen:
        return list(roots)
    known: dict[int, Coefficients] = {}
    new: dict[int, int] = {}
    stack = list(roots)
    while stack:  # from above, so that a polynomial inside another is not written on its own
        top = stack[-1]
        if top in chosen and top not in known:
            coefficients = carried_out(rewriter, top, shapes, known)
            if not as_accurate(rewriter, top, shapes, coefficients):
                chosen.remove(top)
        if top in chosen:
            needed: Sequence[int] = (shapes[top].atom,)
        else:
            needed = () if top in kept else graph.args[top]
        waiting = [node for node in needed if node not in new] if top not in new else []
        if waiting:
            stack += waiting
            continue
        stack.pop()
        if top in new:
            continue
        if top in chosen:
            new[top] = written(rewriter, known[top], new[shapes[top].atom])
        else:
            new[top] = graph.add_node(graph.ops[top], tuple(new[arg] for arg in needed)) if needed else top
    return [new[root] for root in roots]


# --- which nodes are polynomials --------------------------------------------------------------------------------------
def shapes_of(rewriter: Rewriter, order: Sequence[int]) -> dict[int, Shape]:
    """The shapes of the sums, products and whole powers that are polynomials in one atom."""
    graph, shapes = rewriter.graph, dict[int, Shape]()

    def shape(node: int) -> Shape | None:
        if node in shapes:
            return shapes[node]
        op = graph.ops[node]
        if op in (ops.add, ops.sub, ops.mul, ops.neg) or (op is ops.pow and exponent_of(rewriter, node)):
            return None  # in several atoms, or of a high degree
        return Shape(NUMBER, 0, 0, 0) if is_number(rewriter, node) else Shape(node, 1, 1, 0)

    for node in order:
        op, args = graph.ops[node], graph.args[node]
        exponent = exponent_of(rewriter, node) if op is ops.pow else int(op in (ops.add, ops.sub, ops.mul, ops.neg))
        if not exponent:
            continue
        parts = [part for part in map(shape, args[:1] if op is ops.pow else args) if part is not None]
        atoms = {part.atom for part in parts} - {NUMBER}
        if len(atoms) > 1 or len(parts) != (1 if op is ops.pow else len(args)):
            continue
        lows, highs = [part.low for part in parts], [part.high for part in parts]
        operations = sum(part.written for part in parts)
        if op is ops.mul or op is ops.pow:
            low, high = exponent * sum(lows), exponent * sum(highs)
            signs = 1 if rewriter.number(args[0]) == -1 else 0
            operations += len(args) - 1 - signs if op is ops.mul else exponent.bit_length() + exponent.bit_count() - 2
        else:
            low, high, operations = min(lows), max(highs), operations + len(args) - 1
        if high <= HIGHEST:
            shapes[node] = Shape(atoms.pop() if atoms else NUMBER, low, high, operations)
    return shapes


def exponent_of(rewriter: Rewriter, node: int) -> int:
    """The exponent of a power if it is a small positive integer, else 0."""
    exponent = rewriter.number(rewriter.graph.args[node][1])
    return exponent if type(exponent) is int and 1 < exponent <= HIGHEST else 0


def is_number(rewriter: Rewriter, node: int) -> bool:
    number = rewriter.number(node)
    return rational(number) or (type(number) is float and abs(number) < float("inf"))


# --- multiplying out --------------------------------------------------------------------------------------------------
def carried_out(
    rewriter: Rewriter, root: int, shapes: dict[int, Shape], known: dict[int, Coefficients]
) -> Coefficients:
    """The coefficients of a polynomial, exactly; those of its parts are `known` afterwards too."""
    graph, stack = rewriter.graph, [root]
    while stack:
        node = stack[-1]
        op, args = graph.ops[node], graph.args[node]
        if node not in shapes and node not in known:
            known[node] = [Fraction(rewriter.number(node))] if is_number(rewriter, node) else [Fraction(0), Fraction(1)]
        waiting = (
            [arg for arg in (args[:1] if op is ops.pow else args) if arg not in known] if node not in known else []
        )
        if waiting:
            stack += waiting
            continue
        stack.pop()
        if node in known:
            continue
        parts = [known[args[0]]] * exponent_of(rewriter, node) if op is ops.pow else [known[arg] for arg in args]
        total = parts[0]
        if op is ops.neg:
            total = [-c for c in total]
        for part in parts[1:]:
            if op is ops.mul or op is ops.pow:
                total = times(total, part)
            else:
                total = plus(total, part, -1 if op is ops.sub else 1)
        known[node] = total
    return known[root]


def times(first: Coefficients, second: Coefficients) -> Coefficients:
    found = [Fraction(0)] * (len(first) + len(second) - 1)
    for i, a in enumerate(first):
        if a:
            for j, b in enumerate(second):
                if b:
                    found[i + j] += a * b
    return found


def plus(first: Coefficients, second: Coefficients, sign: int) -> Coefficients:
    length = max(len(first), len(second))
    padded = [[*part, *[Fraction(0)] * (length - len(part))] for part in (first, second)]
    return [a + sign * b for a, b in zip(*padded, strict=True)]


def written(rewriter: Rewriter, coefficients: Coefficients, atom: int) -> int:
    """The sum of monomials."""
    return rewriter.sum(
        (rewriter.product([(atom, exponent, False)]), reduced(coefficient), False)
        for exponent, coefficient in enumerate(coefficients)
        if coefficient
    )


# --- accuracy ---------------------------------------------------------------------------------------------------------
def as_accurate(rewriter: Rewriter, node: int, shapes: dict[int, Shape], coefficients: Coefficients) -> bool:
    """Whether Horner's form loses no more digits than the form as written, around the roots too."""
    rounded = np.array([float(c) for c in coefficients])
    if not np.all(np.isfinite(rounded)) or not np.any(rounded):
        return not np.any(rounded)
    places = [1.0, -1.0, *np.roots(np.trim_zeros(rounded, "b")[::-1]).real]
    points = np.array([place * (1 + off) for place in places for off in ASIDE])
    exact = [horner(coefficients, Fraction(float(x))) for x in points]
    with np.errstate(all="ignore"):
        before = errors(values_as_written(rewriter, node, shapes, points), exact)
        after = errors(horner(rounded, points), exact)
    before, after = (np.max(found.reshape(len(places), len(ASIDE)), axis=1) for found in (before, after))
    return bool(np.all(after <= SLACK * (1 + before)))


def horner(coefficients: Any, x: Any) -> Any:
    """The value at a Fraction, or at an array of floats."""
    total = coefficients[-1] + 0 * x
    for coefficient in coefficients[-2::-1]:
        total = total * x + coefficient
    return total


def errors(values: Values, exact: Sequence[Fraction]) -> Values:
    """Relative errors in units of 2⁻⁵³; 0 where the exact value is 0."""
    return np.array([
        float(abs(Fraction(float(value)) - true) / abs(true)) / ULP if true and np.isfinite(value) else float(true != 0)
        for value, true in zip(values, exact, strict=True)
    ])  # fmt: skip


def values_as_written(rewriter: Rewriter, root: int, shapes: dict[int, Shape], points: Values) -> Values:
    """Float64 values of the polynomial in the form that it has."""
    graph = rewriter.graph
    known: dict[int, Values] = {shapes[root].atom: points}
    for node in graph.reach_below([root], known):
        if node in known:
            continue
        args = graph.args[node]
        if not args:
            known[node] = np.full(len(points), float(rewriter.number(node)))
        elif graph.ops[node] is ops.pow:
            known[node] = known[args[0]] ** exponent_of(rewriter, node)
        else:
            known[node] = graph.ops[node].numpy(*(known[arg] for arg in args))
    return known[root]
