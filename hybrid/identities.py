"""Identities that no rule finds: nodes with equal values at random points to 50 digits are one node.

Derivatives are full of differences that vanish for reasons far away: in the Black–Scholes delta,
S·φ(d₁) − K·e^(−rT)·φ(d₂) is zero, which takes expanding a logarithm to see. Analytic expressions that agree at a random
point agree wherever that point can be reached without leaving the domain, with probability one [for polynomials:
Schwartz, Fast Probabilistic Algorithms for Verification of Polynomial Identities, J. ACM 27 (1980)]. So float64 values
at sampled points of many sign patterns propose candidates, and 50-digit values confirm them. Nodes that depend on a
kink, a step or a selection take no part: they may agree on one side only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
from numpy.typing import NDArray

from hybrid import operations as ops
from hybrid.evaluate import evaluate, evaluate_all
from hybrid.graph import Graph
from hybrid.operations import OPERATIONS, REAL
from hybrid.precise import evaluate_precise
from hybrid.rewrite import Rewriter, reduced

DIGITS = 50
POINTS = 24  # float64 sample points: nodes must agree at all of them where the one that goes is finite
EXTREME = 16  # further points, from tiny to huge: a node is not replaced by one that overflows where it does not
SPECIAL = 16  # further points of zeros and ones, where many formulas have a pole: roots that are finite there stay so
CONFIRMED = 2  # points at which 50 digits are compared
NEAR = 1e-7  # relative agreement of float64 values that makes a candidate: rounding may have cost half the digits
LEADERS = 8  # how many nodes of one slope a node is compared with
LARGEST = 20_000  # nodes; beyond, the search is left out
SEED = 20  # the samples, and so the result, are the same on every run

BROKEN = frozenset(
    {ops.abs_, ops.sign, ops.minimum, ops.maximum, ops.smallest, ops.largest,
     ops.floor, ops.ceil, ops.trunc, ops.rint, ops.mod, ops.fmod,
     ops.copysign, ops.heaviside, ops.where}
)  # fmt: skip
ABSORBING = frozenset({ops.add, ops.sub, ops.hypot})
SMALLEST_SEEN = mpmath.mpf(10) ** -20  # of the terms of a sum, relative to the largest
SATURATED = {ops.tanh: 20, ops.erf: 6, ops.atan: 1e20, ops.log1p: 1e20, ops.expm1: 40, ops.asinh: 1e20,
             ops.acosh: 1e20, ops.cosh: 40, ops.sinh: 40}  # fmt: skip  # arguments beyond look like their limits
RATIOS = frozenset(Fraction(n, d) for n in range(1, 9) for d in (1, 2, 3, 4, 6, 8))

PRECISE = frozenset(OPERATIONS.values())  # composites and functions of a user's own have no values to 50 digits

Ratio = int | Fraction
Match = tuple[int, Ratio]  # the node that stays, and what to multiply it by


def merge_equal(graph: Graph, roots: Sequence[int], kept: frozenset[int], proven: bool = True) -> list[int]:
    """The roots with nodes that are identically zero, or a simple multiple of an earlier node, replaced.

    Unless `proven`, agreement in float64 is enough: to estimate what merging will leave.
    """
    if len(graph.reach(roots)) > LARGEST:
        return list(roots)
    if not proven:
        return merged_by_value(graph, roots, kept, POINTS + EXTREME, proven)
    merged = merged_by_value(graph, roots, kept, POINTS + EXTREME)
    if not overflows(graph, roots, merged):
        return merged
    return merged_by_value(graph, roots, kept, POINTS + EXTREME + SPECIAL)  # each node finite where it was


def merged_by_value(
    graph: Graph, roots: Sequence[int], kept: frozenset[int], count: int, proven: bool = True
) -> list[int]:
    """`merge_equal`, with nodes that are finite at the first `count` points of the sample staying so."""
    order = graph.reach(roots)
    analytic = smooth_nodes(graph, order)
    variables = [node for node in order if graph.ops[node] is ops.VARIABLE]
    samples = sample(len(variables))
    values = evaluate_all(graph, order, dict(zip(variables, samples, strict=True)))
    shape = samples.shape[1]
    every = {node: np.broadcast_to(np.asarray(values[node], dtype=float), shape)[:count] for node in analytic}
    table = {node: column[:POINTS] for node, column in every.items()}
    candidates = vanishing(graph, analytic, table, kept)
    for node, (leader, ratio) in proportional(analytic, table, kept).items():
        if np.all(np.isfinite(every[leader]) | ~np.isfinite(every[node])):
            candidates[node] = leader, ratio
    if not candidates:
        return list(roots)
    points = dict(zip(variables, samples, strict=True))
    confirmed = confirm(graph, candidates, points, table) if proven else candidates
    return replace(graph, order, roots, kept, confirmed) if confirmed else list(roots)


def overflows(graph: Graph, before: Sequence[int], after: Sequence[int]) -> bool:
    """Whether a form is infinite or NaN at a sampled point, tame or extreme, where the form it replaces is finite."""
    variables = graph.variables([*before, *after])
    samples = dict(zip(variables, sample(len(variables)), strict=True))
    old, new = evaluate(graph, before, samples), evaluate(graph, after, samples)
    return any(bool(np.any(np.isfinite(x) & ~np.isfinite(y))) for x, y in zip(old, new, strict=True))


def smooth_nodes(graph: Graph, order: Sequence[int]) -> list[int]:
    """The real nodes below which no kink, step or selection stands."""
    broken: set[int] = set()
    smooth = []
    for node in order:
        op = graph.ops[node]
        if op in BROKEN or op not in PRECISE or graph.kind(node) != REAL or not broken.isdisjoint(graph.args[node]):
            broken.add(node)
        else:
            smooth.append(node)
    return smooth


def sample(count: int) -> NDArray[np.float64]:
    """Random values of `count` variables at POINTS points, EXTREME points of any size and SPECIAL ones of 0 and ±1.

    The first third of the first two is all positive, the others are of any sign. At a special
    point about half of the variables are 0 or ±1; at the first three all are 0, 1 and −1.
    """
    rng = np.random.default_rng(SEED)
    tame = np.exp(rng.uniform(-1.2, 0.7, (count, POINTS))) * signs(rng, count, POINTS)
    wild = 10.0 ** rng.uniform(-4, 4, (count, EXTREME)) * signs(rng, count, EXTREME)
    plain = rng.random((count, SPECIAL)) < 0.5
    special = np.where(plain, tame[:, :SPECIAL], rng.choice([0.0, 1.0, -1.0], (count, SPECIAL)))
    special[:, :3] = 0.0, 1.0, -1.0
    return np.concatenate([tame, wild, special], axis=1)


def signs(rng: np.random.Generator, count: int, points: int) -> NDArray[np.float64]:
    chosen = rng.choice([-1.0, 1.0], (count, points))
    chosen[:, : points // 3] = 1.0
    return chosen


def vanishing(
    graph: Graph, nodes: Sequence[int], table: Mapping[int, NDArray[np.float64]], kept: frozenset[int]
) -> dict[int, Match]:
    """Sums whose terms cancel at every point where they are finite."""
    found: dict[int, Match] = {}
    zero = graph.constant(0)
    for node in nodes:
        if graph.ops[node] not in (ops.add, ops.sub) or node in kept:
            continue
        size = sum(np.abs(table[arg]) for arg in graph.args[node])
        finite = np.isfinite(size)
        if finite.sum() >= CONFIRMED and np.all(np.abs(table[node][finite]) <= NEAR * np.asarray(size)[finite]):
            found[node] = (zero, 1)
    return found


def proportional(
    nodes: Sequence[int], table: Mapping[int, NDArray[np.float64]], kept: frozenset[int]
) -> dict[int, Match]:
    """Nodes that are a simple multiple of a node that comes before them, by float64 values."""
    found: dict[int, Match] = {}
    order = sorted(nodes, key=lambda node: node)
    values = np.array([table[node] for node in order])
    usable = np.isfinite(values) & (values != 0)
    first, second = np.argsort(-usable.sum(axis=0), kind="stable")[:2]
    rows = np.flatnonzero(usable[:, first] & usable[:, second])
    slope = values[rows, second] / values[rows, first]
    by_slope = rows[np.argsort(slope, kind="stable")]
    for group in close_groups(by_slope, values[by_slope, second] / values[by_slope, first]):
        leaders: list[int] = []
        for row in sorted(group):
            match = None if order[row] in kept else next(
                ((order[leader], ratio) for leader in leaders
                 if (ratio := simple_ratio(values[row], values[leader])) is not None), None)  # fmt: skip
            if match is None:
                leaders = [*leaders[-LEADERS + 1 :], row]
            else:
                found[order[row]] = match
    return found


def close_groups(rows: NDArray[np.intp], slopes: NDArray[np.float64]) -> Iterator[list[int]]:
    """Runs of rows whose sorted slopes are next to each other."""
    group: list[int] = []
    for position, row in enumerate(rows):
        if group and abs(slopes[position] - slopes[position - 1]) > NEAR * abs(slopes[position]):
            if len(group) > 1:
                yield group
            group = []
        group.append(int(row))
    if len(group) > 1:
        yield group


def simple_ratio(value: NDArray[np.float64], leader: NDArray[np.float64]) -> Ratio | None:
    """The constant p/q with value = p/q · leader at every point where value is finite, if it is a simple one."""
    finite = np.isfinite(value)
    if finite.sum() < CONFIRMED or not np.all(np.isfinite(leader[finite])) or np.any(leader[finite] == 0):
        return None
    ratios = value[finite] / leader[finite]
    middle = float(ratios[0])
    if middle == 0 or np.any(np.abs(ratios - middle) > NEAR * abs(middle)):
        return None
    guess = Fraction(middle).limit_denominator(8)
    if abs(guess) not in RATIOS or abs(float(guess) - middle) > NEAR * abs(middle):
        return None
    return reduced(guess)  # type: ignore[no-any-return]  # a Fraction or an int, as it came in


def confirm(
    graph: Graph,
    candidates: Mapping[int, Match],
    samples: Mapping[int, NDArray[np.float64]],
    table: Mapping[int, NDArray[np.float64]],
) -> dict[int, Match]:
    """The candidates that hold to 40 of 50 digits wherever the node that goes is finite (CONFIRMED points at least)."""
    needed = graph.reach([*candidates, *(leader for leader, _ in candidates.values())])
    passed: dict[int, int] = dict.fromkeys(candidates, 0)
    with mpmath.workdps(DIGITS):
        tolerance = mpmath.mpf(10) ** (10 - DIGITS)
        for point in points_to_confirm(candidates, table):
            exact = evaluate_precise(graph, needed, {node: float(column[point]) for node, column in samples.items()})
            doubtful = hidden(graph, needed, exact)
            for node, (leader, ratio) in candidates.items():
                value, other = exact[node], exact[leader]
                if not mpmath.isfinite(value) or node in doubtful or leader in doubtful:
                    continue
                size = max([abs(value)] + [abs(exact[arg]) for arg in graph.args[node] if mpmath.isfinite(exact[arg])])
                target = other * ratio.numerator / ratio.denominator if isinstance(ratio, Fraction) else other * ratio
                agrees = mpmath.isfinite(other) and abs(value - target) <= tolerance * size
                passed[node] += 1 if agrees else -POINTS
    return {node: match for node, match in candidates.items() if passed[node] > 0}


def hidden(graph: Graph, nodes: Sequence[int], exact: Mapping[int, Any], found: set[int] | None = None) -> set[int]:
    """The nodes in which something may be too small to be seen in 50 digits: their agreement proves nothing.

    1 − tanh² u is zero to 50 digits at u = 60, and 1 + e^(−u) is 1 at u = 120. Those `found` among
    earlier nodes stay, and new ones are added to them.
    """
    found = set() if found is None else found
    for node in nodes:
        op, args = graph.ops[node], graph.args[node]
        if not found.isdisjoint(args):
            found.add(node)
        elif op in SATURATED:
            if not abs(exact[args[0]]) < SATURATED[op]:
                found.add(node)
        elif op in ABSORBING:
            sizes = [abs(exact[arg]) for arg in args if exact[arg] != 0]
            if sizes and not min(sizes) > max(sizes) * SMALLEST_SEEN:
                found.add(node)
    return found


def points_to_confirm(candidates: Mapping[int, Match], table: Mapping[int, NDArray[np.float64]]) -> list[int]:
    """Few points: the first, of all-positive values, and the one that lets the most candidates be finite."""
    finite = sum(np.isfinite(table[node]).astype(int) for node in candidates)
    mixed = POINTS // 3 + np.argsort(-np.asarray(finite)[POINTS // 3 :], kind="stable")
    return [0, *(int(point) for point in mixed[: CONFIRMED - 1])]


def replace(
    graph: Graph, order: Sequence[int], roots: Sequence[int], kept: frozenset[int], matches: Mapping[int, Match]
) -> list[int]:
    rewriter = Rewriter(graph, kept)
    new: dict[int, int] = {}
    for node in order:
        if node in kept:
            new[node] = node
        elif node in matches:
            leader, ratio = matches[node]
            new[node] = rewriter.product([(new.get(leader, leader), 1, False)], ratio)
        else:
            args = graph.args[node]
            new[node] = graph.add_node(graph.ops[node], tuple(new[arg] for arg in args)) if args else node
    return [new[root] for root in roots]
