"""Identities that no rule finds: nodes with equal values at random points to 50 digits are one node.

Derivatives are full of differences that vanish for reasons far away: in the Black–Scholes delta,
S·φ(d₁) − K·e^(−rT)·φ(d₂) is zero, which takes expanding a logarithm to see. Analytic expressions that agree at a random
point agree wherever that point can be reached without leaving the domain, with probability one [for polynomials:
Schwartz, Fast Probabilistic Algorithms for Verification of Polynomial Identities, J. ACM 27 (1980)]. So float64 values
at sampled points of many sign patterns propose candidates, and 50-digit values confirm them. Nodes that depend on a
kink, a step or a selection take no part: they may agree on one side only.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import chain, pairwise

import mpmath
import numpy as np
from numpy.typing import NDArray

from hybrid import operations as ops
from hybrid.graph import Graph
from hybrid.known import DIGITS, Known
from hybrid.points import EVERY, EXTREME, POINTS
from hybrid.rewrite import reduced

CONFIRMED = 2  # points at which 50 digits are compared
NEAR = 1e-7  # relative agreement of float64 values that makes a candidate: rounding may have cost half the digits
LEADERS = 8  # how many nodes of one slope a node is compared with
LARGEST = 20_000  # nodes; beyond, the search is left out

Ratio = int | Fraction
RATIOS: list[Ratio] = [reduced(r) for r in sorted({Fraction(n, d) for n in range(1, 9) for d in (1, 2, 3, 4, 6, 8)})]
SIZES = list(map(float, RATIOS))

Match = tuple[int, Ratio]  # the node that stays, and what to multiply it by
Table = NDArray[np.float64]  # values of nodes, one row each


def merge_equal(
    graph: Graph, roots: Sequence[int], kept: frozenset[int], proven: bool = True, known: Known | None = None
) -> list[int]:
    """The roots with nodes that are identically zero, or a simple multiple of an earlier node, replaced.

    Unless `proven`, agreement in float64 is enough: to estimate what merging will leave.
    """
    known = known or Known(graph)
    if len(known.reach(roots)) > LARGEST:
        return list(roots)
    merged = merged_by_value(known, roots, kept, POINTS + EXTREME, proven)
    if not proven or not overflows(graph, roots, merged, known):
        return merged
    return merged_by_value(known, roots, kept, EVERY)  # each node finite where it was


def merged_by_value(
    known: Known, roots: Sequence[int], kept: frozenset[int], count: int, proven: bool = True
) -> list[int]:
    """`merge_equal`, with nodes that are finite at the first `count` points of the sample staying so."""
    order = known.reach(roots)
    known.values.learn(order)
    analytic = known.smooth_nodes(order)
    every = known.values.of(analytic)[:, :count]
    row = {node: number for number, node in enumerate(analytic)}
    candidates = vanishing(known.graph, row, every[:, :POINTS], kept)
    for node, (leader, ratio) in proportional(known.graph, analytic, every[:, :POINTS], kept).items():
        if np.all(np.isfinite(every[row[leader]]) | ~np.isfinite(every[row[node]])):
            candidates[node] = leader, ratio
    if candidates and proven:
        candidates = confirm(known, candidates, every[[row[node] for node in candidates], :POINTS])
    return replace(known, order, roots, kept, candidates) if candidates else list(roots)


def overflows(graph: Graph, before: Sequence[int], after: Sequence[int], known: Known | None = None) -> bool:
    """Whether a form is infinite or NaN at a sampled point, tame or extreme, where the form it replaces is finite."""
    known = known or Known(graph)
    known.values.learn(known.reach(before))
    known.values.learn(known.reach(after))
    pairs = [pair for pair in zip(before, after, strict=True) if pair[0] != pair[1] and pair[0] in known.values.rows]
    if not pairs:
        return False
    old, new = (known.values.of(side) for side in zip(*pairs, strict=True))
    return bool(np.any(np.isfinite(old) & ~np.isfinite(new)))


def vanishing(graph: Graph, row: Mapping[int, int], table: Table, kept: frozenset[int]) -> dict[int, Match]:
    """Sums whose terms cancel at every point where they are finite."""
    sums = [node for node in row if graph.ops[node] in (ops.add, ops.sub) and node not in kept]
    if not sums:
        return {}
    terms = [graph.args[node] for node in sums]
    starts = np.cumsum([0, *map(len, terms[:-1])])
    with np.errstate(over="ignore"):
        size = np.add.reduceat(np.abs(table[[row[arg] for arg in chain.from_iterable(terms)]]), starts)
        finite = np.isfinite(size)
        small = np.abs(table[[row[node] for node in sums]]) <= NEAR * size
    found = (finite.sum(axis=1) >= CONFIRMED) & np.all(small | ~finite, axis=1)
    zero = graph.constant(0)
    return {sums[place]: (zero, 1) for place in np.flatnonzero(found).tolist()}


def proportional(graph: Graph, nodes: Sequence[int], table: Table, kept: frozenset[int]) -> dict[int, Match]:
    """Nodes that are a simple multiple of a node that comes before them, by float64 values; `nodes` rise."""
    found: dict[int, Match] = {}
    usable = np.isfinite(table) & (table != 0)
    first, second = np.argsort(-usable.sum(axis=0), kind="stable")[:2]
    rows = np.flatnonzero(usable[:, first] & usable[:, second])
    with np.errstate(over="ignore"):
        slope = table[rows, second] / table[rows, first]
    at_first = table[:, first].tolist()
    order = np.argsort(slope, kind="stable")
    for group in close_groups(rows[order], slope[order]):
        leaders: list[int] = []
        monomials: set[tuple[int, ...]] = set()
        for row in sorted(group):
            monomial = monomial_of(graph, nodes[row])
            if monomial in monomials:
                continue  # a multiple of an earlier one as it is written
            match = None if nodes[row] in kept else next(
                ((nodes[leader], ratio) for leader in leaders
                 if may_be_simple(at_first[row], at_first[leader])
                 and (ratio := simple_ratio(table[row], table[leader])) is not None), None)  # fmt: skip
            if match is None:
                leaders = [*leaders[-LEADERS + 1 :], row]
                monomials.add(monomial)
            else:
                found[nodes[row]] = match
    return found


def monomial_of(graph: Graph, node: int) -> tuple[int, ...]:
    """The factors of a node in normal form, without its coefficient."""
    op, args = graph.ops[node], graph.args[node]
    if op is not ops.mul:
        return (node,)
    return args[1:] if graph.is_constant(args[0]) else args


def close_groups(rows: NDArray[np.intp], slopes: NDArray[np.float64]) -> Iterator[list[int]]:
    """Runs of rows whose sorted slopes are next to each other."""
    with np.errstate(invalid="ignore"):
        apart = np.abs(np.diff(slopes)) > NEAR * np.abs(slopes[1:])
    ends = [0, *(np.flatnonzero(apart) + 1).tolist(), len(rows)]
    listed = rows.tolist()
    for start, end in pairwise(ends):
        if end - start > 1:
            yield listed[start:end]


def may_be_simple(value: float, leader: float) -> bool:
    """Whether a ratio at one point is near one of RATIOS: most are not, and need not be looked at in full."""
    ratio = abs(value / leader)
    place = bisect(SIZES, ratio * (1 - 4 * NEAR))
    return place < len(SIZES) and SIZES[place] <= ratio * (1 + 4 * NEAR)


def simple_ratio(value: Table, leader: Table) -> Ratio | None:
    """The constant p/q with value = p/q · leader at every point where value is finite, if it is a simple one."""
    finite = np.isfinite(value)
    if finite.sum() < CONFIRMED or not np.all(np.isfinite(leader[finite])) or np.any(leader[finite] == 0):
        return None
    ratios = value[finite] / leader[finite]
    middle = float(ratios[0])
    if middle == 0 or np.any(np.abs(ratios - middle) > NEAR * abs(middle)):
        return None
    place = bisect(SIZES, abs(middle) * (1 - NEAR))
    if place == len(SIZES) or SIZES[place] > abs(middle) * (1 + NEAR):
        return None
    return RATIOS[place] if middle > 0 else -RATIOS[place]


def confirm(known: Known, candidates: Mapping[int, Match], values: Table) -> dict[int, Match]:
    """The candidates that hold to 40 of 50 digits wherever the node that goes is finite (CONFIRMED points at least).

    values : of the candidates, as float64.
    """
    graph = known.graph
    needed = [*candidates, *(leader for leader, _ in candidates.values())]
    passed: dict[int, int] = dict.fromkeys(candidates, 0)
    with mpmath.workdps(DIGITS):
        tolerance = mpmath.mpf(10) ** (10 - DIGITS)
        for point in points_to_confirm(values):
            exact, doubtful = known.values.to_digits(point, needed)
            for node, (leader, ratio) in candidates.items():
                value, other = exact[node], exact[leader]
                if not mpmath.isfinite(value) or node in doubtful or leader in doubtful:
                    continue
                size = max([abs(value)] + [abs(exact[arg]) for arg in graph.args[node] if mpmath.isfinite(exact[arg])])
                target = other * ratio.numerator / ratio.denominator if isinstance(ratio, Fraction) else other * ratio
                agrees = mpmath.isfinite(other) and abs(value - target) <= tolerance * size
                passed[node] += 1 if agrees else -POINTS
    return {node: match for node, match in candidates.items() if passed[node] > 0}


def points_to_confirm(values: Table) -> list[int]:
    """Few points: the first, of all-positive values, and the one that lets the most candidates be finite."""
    finite = np.isfinite(values).sum(axis=0)
    mixed = POINTS // 3 + np.argsort(-finite[POINTS // 3 :], kind="stable")
    return [0, *(int(point) for point in mixed[: CONFIRMED - 1])]


def replace(
    known: Known, order: Sequence[int], roots: Sequence[int], kept: frozenset[int], matches: Mapping[int, Match]
) -> list[int]:
    graph, rewriter = known.graph, known.rewriter(kept)
    new: dict[int, int] = {}
    for node in order:
        if node in kept:
            new[node] = node
        elif node in matches:
            leader, ratio = matches[node]
            new[node] = rewriter.product([(new.get(leader, leader), 1, False)], ratio)
        else:
            args = graph.args[node]
            made = tuple([new[arg] for arg in args])
            new[node] = node if made == args else graph.add_node(graph.ops[node], made)
    return [new[root] for root in roots]
