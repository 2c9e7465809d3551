"""Where to check: points at which a function is finite, on both sides of its switches, and the special points.

Candidates are drawn from several ranges, the function's own constants included, and evaluated through the graph; where
few are finite, the best are bred further. Those with finite outputs are kept, first the ones that take a comparison, a
sign or a maximum to a side not yet seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.definition import Formula
from hybrid.evaluate import evaluate_all
from hybrid.graph import Graph, float_value
from hybrid.operations import CONSTANT, MASK, REAL

RANGES = (
    (0.1, 2.0), (-2.0, 2.0), (0.9, 1.1), (1.0, 10.0), (0.01, 0.5), (-0.5, 0.5), (-10.0, 10.0), (-0.99, -0.01),
    (20.0, 200.0), (0.3, 0.7),
)  # fmt: skip
CANDIDATES = 512
ATTEMPTS = 6
LARGE = 1e50
NEVER_ZERO = frozenset({"exp", "exp2", "erfc"})  # but by underflow
LARGEST_TABLE = 2_000_000  # candidate values held at once
MOST_FEATURES = 256
MOST_HINTS = 8
SIDED = frozenset({"abs", "sign", "heaviside", "minimum", "maximum", "copysign"})


@dataclass(frozen=True)
class Points:
    """Sampled points, all arguments side by side: shape (points, elements). The last `special` rows are special."""

    values: NDArray[Any]
    special: int

    @property
    def regular(self) -> NDArray[Any]:
        """Which rows are ordinary points."""
        return np.arange(len(self.values)) < len(self.values) - self.special


def draw(count: int, elements: int, hints: Sequence[float], rng: np.random.Generator) -> NDArray[Any]:
    """Candidates: one from each range, then every other one from a single range, the others from one per element."""
    ranges = [*RANGES, *((h - width, h + width) for h in hints for width in (0.3, 0.03 * max(1.0, abs(h))))]
    ranges += pairwise(sorted(hints))
    low, high = np.array(ranges).T
    choice = rng.integers(0, len(ranges), (count, elements))
    uniform = np.arange(count)
    uniform = np.concatenate([uniform[: len(ranges)], uniform[len(ranges) :: 2]])
    choice[uniform] = (np.arange(len(uniform)) % len(ranges))[:, None]
    table: NDArray[Any] = low[choice] + (high - low)[choice] * rng.random((count, elements))
    return table


def breed(table: NDArray[Any], score: NDArray[Any], count: int, rng: np.random.Generator) -> NDArray[Any]:
    """New candidates from the best: each element from one of two parents, moved a little."""
    best = table[np.argsort(-score, kind="stable")[: max(4, len(table) // 16)]]
    parents = best[rng.integers(0, len(best), (2, count))]
    child = np.where(rng.random((count, table.shape[1])) < 0.5, parents[0], parents[1])
    moved: NDArray[Any] = child * (1 + 0.1 * rng.normal(size=child.shape))
    return moved


def constants_of(graph: Graph, roots: Sequence[int]) -> list[float]:
    """The constants that switches and domains may depend on, most-used first."""
    nodes = graph.reach(roots)
    uses = graph.uses(nodes)
    values: dict[float, int] = {}
    for node in nodes:
        if graph.ops[node] is CONSTANT and not isinstance(graph.leaves[node], bool):
            value = float(float_value(graph.leaves[node]))
            if 0 < abs(value) < 1e6 and abs(value) != 1:
                values[value] = values.get(value, 0) + uses.get(node, 0)
    return sorted(values, key=lambda value: -values[value])[:MOST_HINTS]


def features_of(graph: Graph, roots: Sequence[int]) -> list[tuple[str, int]]:
    """The decisions of a function: mask nodes, and the operations whose argument has two sides."""
    found = []
    for node in graph.reach(roots):
        op = graph.ops[node]
        if (op.result == MASK and graph.args[node]) or op.name in SIDED or op.name == "select":
            found.append((op.name, node))
    return found[:MOST_FEATURES]


def sides(
    graph: Graph, roots: Sequence[int], features: Sequence[tuple[str, int]], values: Mapping[int, Any], count: int
) -> NDArray[Any]:
    """Which sides of each decision are seen at each candidate, shape (2, candidates, features).

    A decision in a branch that is not taken is not seen on either side.
    """
    nodes = graph.reach(roots)
    known = evaluate_all(graph, nodes, values)
    live = live_points(graph, roots, nodes, known, count)
    table = np.zeros((2, count, len(features)), dtype=bool)
    for column, (name, node) in enumerate(features):
        if name in ("minimum", "maximum"):
            left, right = (known[arg] for arg in graph.args[node])
            side = np.greater(left, right)
        elif name in SIDED:
            side = np.greater(known[graph.args[node][-1 if name == "copysign" else 0]], 0)
        else:
            side = known[graph.args[node][0]] if name == "select" else known[node]
        table[1, :, column] = live[node] & side
        table[0, :, column] = live[node] & np.logical_not(side)
    return table


def live_points(
    graph: Graph, roots: Sequence[int], nodes: Sequence[int], known: Mapping[int, Any], count: int
) -> dict[int, NDArray[Any]]:
    """Where each node takes part in the result: everywhere but in branches that are not taken."""
    live = {root: np.ones(count, dtype=bool) for root in roots}
    for node in reversed(nodes):
        here, args = live[node], graph.args[node]
        parts = [here] * len(args)
        if graph.ops[node].name == "select":
            parts = [here, here & known[args[0]], here & np.logical_not(known[args[0]])]
        for arg, part in zip(args, parts, strict=True):
            live[arg] = live[arg] | part if arg in live else part
    return live


@dataclass
class Sampler:
    """Chooses points for the functions at the start of the checked formulas; `columns` places arguments' elements."""

    roots: Sequence[Formula]
    columns: Mapping[str, range]
    elements: int
    rng: np.random.Generator
    found: bool = False  # whether a sample had a point with a finite output

    def values(self, root: Formula, table: NDArray[Any]) -> dict[int, NDArray[Any]]:
        """Variable nodes of a function → their values at the candidates."""
        return {
            node: table[:, column]
            for argument in root.arguments
            for node, column in zip(argument.nodes, self.columns[argument.name], strict=True)
        }

    def quality(self, table: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """The shares of finite outputs and finite steps, and whether powers of steps neither over- nor underflow."""
        finite, steps, count = np.zeros(len(table)), np.zeros(len(table)), 0
        tame = np.ones(len(table), dtype=bool)
        for root in self.roots:
            graph = root.graph
            nodes = [node for node in graph.reach(root.nodes) if graph.kind(node) == REAL]
            known = evaluate_all(graph, graph.reach(root.nodes), self.values(root, table))
            for node in nodes:
                size = np.abs(known[node])
                steps += np.isfinite(size)
                smallest = -1.0 if graph.ops[node].name in NEVER_ZERO else 0.0
                tame &= ~((size > LARGE) | ((size < 1 / LARGE) & (size > smallest)))
            for node in root.nodes:
                finite += np.isfinite(known[node])
            count += len(nodes)
        outputs = sum(len(root.nodes) for root in self.roots)
        return finite / outputs, steps / max(count, 1), tame

    def draw(self, count: int) -> NDArray[Any]:
        """Candidates from all ranges, the functions' own constants among them."""
        hints = list(dict.fromkeys(h for root in self.roots for h in constants_of(root.graph, root.nodes)))[:MOST_HINTS]
        return draw(count, self.elements, hints, self.rng)

    def sample(self, wanted: int) -> NDArray[Any]:
        """Up to `wanted` candidates (or somewhat more, to see every side) where the outputs are finite."""
        work = max(self.elements, sum(len(root.graph) for root in self.roots) // 16, 1)
        size = max(min(CANDIDATES, LARGEST_TABLE // (8 * work)), 2 * wanted)
        table = self.draw(size)
        for attempt in range(ATTEMPTS):
            finite, steps, tame = self.quality(table)
            score = finite + np.where(tame & (finite == 1), 2.0, 0.0)
            enough = int((score == 3).sum())
            if enough >= wanted or attempt == ATTEMPTS - 1:
                break
            order = np.argsort(-(score + steps), kind="stable")[:size]  # the best so far live on
            table = np.concatenate([table[order], breed(table, score + steps, size, self.rng)])
        self.found = bool(score.max() > 0)
        best = score.max() if enough == 0 or enough >= min(wanted, 4) else 1.0
        good: NDArray[Any] = table[score >= best]
        return np.take(good, self._varied(good, wanted), axis=0)

    def _varied(self, good: NDArray[Any], wanted: int) -> NDArray[Any]:
        """Indices of points that see both sides of as many decisions as possible, filled up in order."""
        chosen: list[int] = []
        for root in self.roots:
            features = features_of(root.graph, root.nodes)
            if not features:
                continue
            seen = sides(root.graph, root.nodes, features, self.values(root, good), len(good))
            missing: NDArray[Any] = np.logical_not(seen[:, chosen].any(axis=1))
            while len(chosen) < 2 * wanted:
                gain = (seen & missing[:, None]).sum(axis=(0, 2))
                best = int(gain.argmax())
                if gain[best] == 0:
                    break
                chosen.append(best)
                missing &= ~seen[:, best]
        rest = [index for index in range(len(good)) if index not in set(chosen)]
        fill = max(wanted - len(chosen), wanted // 2)
        return np.array(sorted([*chosen, *rest[:fill]]), dtype=int)

    def special(self, ordinary: NDArray[Any]) -> NDArray[Any]:
        """Zeros, ±1, ties, the constants of comparisons, and ordinary points with one element at zero."""
        rows = [np.full(self.elements, value) for value in (0.0, -1.0, 1.0, 0.75)]
        switches: list[float] = []
        for root in self.roots:
            for _, node in features_of(root.graph, root.nodes):
                leaves = [root.graph.leaves[arg] for arg in root.graph.args[node] if root.graph.ops[arg] is CONSTANT]
                switches += [float(float_value(leaf)) for leaf in leaves if not isinstance(leaf, bool)]
        rows += [
            np.full(self.elements, value) for value in list(dict.fromkeys(switches))[:3] if value not in (0, 1, -1)
        ]
        for element in range(min(self.elements, 2) if len(ordinary) else 0):
            rows.append(ordinary[0].copy())
            rows[-1][element] = 0.0
        return np.array(rows)
