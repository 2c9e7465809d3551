"""Errors of forms of one expression in float64, against their common value to 50 digits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import mpmath
import numpy as np

from hybrid.evaluate import evaluate
from hybrid.graph import Graph
from hybrid.precise import evaluate_precise

DIGITS = 50


@dataclass(frozen=True)
class Errors:
    """Largest and median error of all values at all points, in units in the last place."""

    largest: float
    median: float


def sample(point: dict[int, float], count: int, seed: int) -> list[dict[int, float]]:
    """Points around one, each variable moved by up to a tenth."""
    rng = np.random.default_rng(seed)
    return [{node: at * (1 + rng.uniform(-0.1, 0.1)) for node, at in point.items()} for _ in range(count)]


def errors(
    graph: Graph, forms: Sequence[Sequence[int]], points: Sequence[dict[int, float]], usual: float = 0.0
) -> list[Errors]:
    """The errors of each form; the first one's value to 50 digits is the exact value.

    A value smaller than the quantile `usual` of its sizes at all points is measured by that: where terms happen to
    cancel, which form loses fewer digits is chance.
    """
    found: list[list[float]] = [[] for _ in forms]
    order = graph.reach(forms[0])
    with mpmath.workdps(DIGITS):
        exact = [evaluate_precise(graph, order, point) for point in points]
        sizes = {root: np.abs([float(known[root]) for known in exact]) for root in forms[0]}
        floors = {
            root: np.quantile(finite, usual, method="lower") if (finite := size[np.isfinite(size)]).size else 0.0
            for root, size in sizes.items()
        }
        for point, known in zip(points, exact, strict=True):
            values = {node: np.float64(at) for node, at in point.items()}
            for form, ulps in zip(forms, found, strict=True):
                for root, value in zip(forms[0], evaluate(graph, form, values), strict=True):
                    if mpmath.isfinite(known[root]) and abs(known[root]) > 1e-290:
                        ulp = np.spacing(max(abs(float(known[root])), floors[root]))
                        ulps.append(float(abs(mpmath.mpf(float(value)) - known[root]) / mpmath.mpf(float(ulp))))
    return [Errors(max(ulps, default=0.0), float(np.median(ulps)) if ulps else 0.0) for ulps in found]
