"""Nodes computed from two others that are there anyway, found by value.

Rules see what an expression looks like; this sees what it is worth. For every node, two nodes are looked for whose
product, quotient, sum or difference it is, up to a simple constant: sin 2u beside sin u and cos u, d₁ − σ√T for d₂, and
K·e^(−rT)·φ(d₂) = S·φ(d₁). Where what is then no longer needed costs more than the new operation, the node is computed
that way. Float64 values at sampled points propose, 50 digits confirm, as in identities.py; a way that is less accurate,
or not finite at some point where the node is, is not taken [resubstitution, of logic synthesis: Mishchenko & Brayton,
Scalable Logic Synthesis using a Simple Circuit Structure, IWLS 2006].
"""

from __future__ import annotations

import heapq
import math
from bisect import bisect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
from numpy.typing import NDArray

from hybrid import operations as ops
from hybrid.accuracy import ULP, WIDE, wide_values
from hybrid.evaluate import evaluate_all
from hybrid.graph import Graph
from hybrid.identities import CONFIRMED, DIGITS, EXTREME, POINTS, SPECIAL, hidden, sample, smooth_nodes
from hybrid.operations import CONSTANT, PI, REAL, VARIABLE, Operation
from hybrid.poles import Poles
from hybrid.precise import MEANINGS, evaluate_precise
from hybrid.rewrite import Rewriter, rational, reduced

LARGEST = 1_200  # nodes: all pairs of them are looked at
PROBES = 2
NEAR = 1e-9  # relative agreement at the probes; values at all points are compared with ROUNDED
ROUNDED = 1e-7
OPERATION = 1_000  # the unit of costs: an elementary function costs one more than other operations
ARITHMETIC = frozenset({ops.add, ops.sub, ops.mul, ops.div, ops.pow, ops.sqrt, ops.where})
FREE = frozenset({CONSTANT, VARIABLE, ops.neg})
SEEN_FAR = 1e-4  # disagreement at points from tiny to huge: what is too small to be seen near 1 shows there
FEWEST = 6  # points at which a node must be finite
LOSS = 0.4  # by how much the mean of log(1 + error in ulp) may grow
MOST_PAIRS = 64  # pairs looked at for one node and operation
CONFIRMED_AT = (0, 1, POINTS - 1)
ROUNDS = 4

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Way:
    """`node` is scale · (first ∘ second)."""

    node: int
    op: Operation
    first: int
    second: int
    scale: Any
    reciprocal: bool = False  # scale / second: one division


def resubstitute(graph: Graph, roots: Sequence[int], kept: frozenset[int]) -> list[int]:
    """The roots with nodes computed in cheaper ways, while any is found."""
    current = list(roots)
    for _ in range(ROUNDS):
        binary = in_pairs(graph, current, kept)
        order = graph.reach([*binary, *kept])
        if len(order) > LARGEST:
            return current
        net = Net(graph, binary, kept)
        search = Search(graph, order, kept)
        if not net.improve(search):
            return current
        current = net.result()
    return current


# --- sums and products of two -----------------------------------------------------------------------------------------
def in_pairs(graph: Graph, roots: Sequence[int], kept: frozenset[int]) -> list[int]:
    """Sums and products of more than two written out as lowering does, so that all that is computed is a node."""
    order = graph.reach(roots)
    uses = graph.uses(order, roots)
    rewriter = Rewriter(graph)
    new: dict[int, int] = {}
    for node in order:
        op, args = graph.ops[node], graph.args[node]
        if node in kept or not args:
            new[node] = node
        elif op is ops.mul and len(args) > 1:
            above, below = [], []
            for arg in args:
                power = rewriter.open_power(arg) if graph.ops[arg] is ops.pow and uses[arg] == 1 else None
                if power is not None and isinstance(power[1], int) and power[1] < 0 and arg not in kept:
                    base = new[power[0]]
                    below.append(base if power[1] == -1 else graph.add_node(ops.pow, (base, graph.constant(-power[1]))))
                else:
                    above.append(new[arg])
            top = folded(graph, ops.mul, above) if above else graph.constant(1)
            new[node] = graph.add_node(ops.div, (top, folded(graph, ops.mul, below))) if below else top
        elif op is ops.add:
            plus = [new[arg] for arg in args if rewriter.split(arg)[0] != -1]
            minus = [rewriter.split(arg)[1] for arg in args if rewriter.split(arg)[0] == -1]
            if plus and minus and all(term in new for term in minus):
                total = folded(graph, ops.add, plus)
                for term in minus:
                    total = graph.add_node(ops.sub, (total, new[term]))
                new[node] = total
            else:
                new[node] = folded(graph, ops.add, [new[arg] for arg in args])
        else:
            new[node] = graph.add_node(op, tuple(new[arg] for arg in args))
    return [new[root] for root in roots]


def folded(graph: Graph, op: Operation, args: Sequence[int]) -> int:
    total = args[0]
    for arg in args[1:]:
        total = graph.add_node(op, (total, arg))
    return total


# --- finding ways -----------------------------------------------------------------------------------------------------
class Search:
    """Pairs of nodes with the value of a third, among the nodes of `order`."""

    def __init__(self, graph: Graph, order: Sequence[int], kept: frozenset[int]) -> None:
        self.graph, self.kept = graph, kept
        self.poles = Poles(graph, order)
        variables = [node for node in order if graph.ops[node] is VARIABLE]
        self.samples = dict(zip(variables, sample(len(variables)), strict=True))
        self.points = POINTS + EXTREME + SPECIAL
        self.one = graph.constant(1)
        self.order = graph.reach(smooth_nodes(graph, order))
        self.exact: list[Mapping[int, Any]] = []  # at the points of CONFIRMED_AT, made when first asked for
        rewriter = Rewriter(graph)
        smooth = [node for node in smooth_nodes(graph, order) if not rewriter.is_constant(node)]
        values = evaluate_all(graph, order, self.samples)
        self.wide = wide_values(graph, order, {node: column[:POINTS] for node, column in self.samples.items()})
        finite = [
            node for node in smooth if np.isfinite(np.broadcast_to(values[node], self.points)[:POINTS]).sum() >= FEWEST
        ]
        self.nodes = [*finite, self.one]
        stacked = [np.broadcast_to(values[n], self.points) for n in finite] + [np.ones(self.points)]
        self.values: Values = np.array(stacked)
        usable = (np.isfinite(self.values) & (self.values != 0))[:, :POINTS]
        self.probes = np.argsort(-usable.sum(axis=0), kind="stable")[:PROBES]
        self.row = {node: row for row, node in enumerate(self.nodes)}
        self.targets = [
            row for row, node in enumerate(finite)
            if graph.ops[node] not in FREE and node not in kept and bool(np.all(usable[row, self.probes]))
        ]  # fmt: skip

    def ways(self, wanted: Callable[[int], bool]) -> list[Way]:
        """The ways to nodes that are wanted, as far as float64 values tell, all with scale 1 for now."""
        targets = [row for row in self.targets if wanted(self.nodes[row])]
        if not targets:
            return []
        found: list[Way] = []
        with np.errstate(all="ignore"):
            first, second = self.values[:, self.probes[0]], self.values[:, self.probes[1]]
            rows, columns = np.triu_indices(len(self.nodes))
            slope = second / first
            found += self.matches(targets, ops.mul, rows, columns, slope[rows] * slope[columns])
            total = (second[rows] + second[columns]) / (first[rows] + first[columns])
            found += self.matches(targets, ops.add, rows, columns, total)
            difference = (second[rows] - second[columns]) / (first[rows] - first[columns])
            found += self.matches(targets, ops.sub, rows, columns, difference)
            rows, columns = (side.ravel() for side in np.indices((len(self.nodes),) * 2))
            apart = rows != columns
            rows, columns = rows[apart], columns[apart]
            found += self.matches(targets, ops.div, rows, columns, slope[rows] / slope[columns])
        return found

    def holds(self, way: Way) -> bool:
        """Whether a way holds to 40 of 50 digits, at two points at least."""
        with mpmath.workdps(DIGITS):
            if not self.exact:
                self.exact = [self.exact_values(point) for point in CONFIRMED_AT]
            factor = self.exact_scale(way.scale)
            agreed = 0
            for known in self.exact:
                if way.node not in known or not mpmath.isfinite(known[way.node]):
                    continue
                if way.first not in known or way.second not in known:
                    return False
                made = MEANINGS[way.op.name](known[way.first], known[way.second]) * factor
                if not abs(made - known[way.node]) <= abs(known[way.node]) * mpmath.mpf(10) ** (10 - DIGITS):
                    return False
                agreed += 1
            return agreed >= CONFIRMED

    def exact_values(self, point: int) -> Mapping[int, Any]:
        """Values to 50 digits where they prove something."""
        at = {node: float(column[point]) for node, column in self.samples.items()}
        known = evaluate_precise(self.graph, self.order, at)
        doubtful = hidden(self.graph, self.order, known)
        return {node: value for node, value in known.items() if node not in doubtful} | {self.one: mpmath.mpf(1)}

    def exact_scale(self, scale: Any) -> Any:
        if rational(scale):
            return mpmath.mpf(scale.numerator) / scale.denominator
        return evaluate_precise(self.graph, self.graph.reach([scale]), {})[scale]

    def matches(
        self, targets: Sequence[int], op: Operation, rows: NDArray[Any], columns: NDArray[Any], slopes: Values
    ) -> Iterator[Way]:
        """The ways of one operation: pairs whose slope between the probes is a target's, and whose values agree."""
        order = np.argsort(slopes, kind="stable")
        listed = slopes[order]
        for target in targets:
            slope = float(self.values[target, self.probes[1]] / self.values[target, self.probes[0]])
            low, high = sorted((slope * (1 - NEAR), slope * (1 + NEAR)))
            places = order[np.searchsorted(listed, low) : np.searchsorted(listed, high, "right")]
            places = places[(rows[places] != target) & (columns[places] != target)][:MOST_PAIRS]
            if len(places):
                value, made = self.values[target], op.numpy(self.values[rows[places]], self.values[columns[places]])
                ratios = made / value
                every = np.abs(ratios / ratios[:, self.probes[:1]] - 1)
                spread, far = every[:, :POINTS], every[:, POINTS : POINTS + EXTREME]
                agree = np.all(np.isfinite(made) | ~np.isfinite(value), axis=1)
                agree &= np.count_nonzero(spread < ROUNDED, axis=1) >= FEWEST
                agree &= np.count_nonzero(spread > ROUNDED, axis=1) * 5 <= np.count_nonzero(np.isfinite(value[:POINTS]))
                agree &= ~np.any(far > SEEN_FAR, axis=1)
                for place in places[agree].tolist():
                    first, second = self.nodes[int(rows[place])], self.nodes[int(columns[place])]
                    yield Way(self.nodes[target], op, first, second, 1, op is ops.div and first == self.one)

    def checked(self, way: Way) -> Way | None:
        """A way with its scale, if it has a simple one, brings no pole, is as accurate as the node and holds."""
        divisor = way.second if way.op is ops.div else None
        if not self.poles.stays_finite(way.node, (way.first, way.second), divisor):
            return None
        value, first, second = (self.values[self.row[node]] for node in (way.node, way.first, way.second))
        with np.errstate(all="ignore"):
            made = way.op.numpy(first, second)
            seen = np.isfinite(value[:POINTS]) & (made[:POINTS] != 0) & (value[:POINTS] != 0)
            near = np.flatnonzero(seen)
            ratio = float(np.median(value[near] / made[near]))
            if (scale := simple(self.graph, ratio)) is None:
                return None
            exact = np.broadcast_to(np.asarray(self.wide[way.node], WIDE), POINTS)[near]
            before = np.mean(np.log1p(np.abs(value[near] - exact) / np.abs(exact) / ULP))
            after = np.mean(np.log1p(np.abs(made[near] * ratio - exact) / np.abs(exact) / ULP))
        if after > before + LOSS:
            return None
        found = replace(way, scale=scale)
        return found if self.holds(found) else None


def simple(graph: Graph, ratio: float) -> Any:
    """A rational of small numerator and denominator, or the node of one times a root of 2, π or 2π; None for others."""
    place = bisect(SIZES, abs(ratio) * (1 - EXACT))
    if place == len(SIZES) or SIZES[place] > abs(ratio) * (1 + EXACT):
        return None
    _, fraction, square, turned = SIMPLE[place]
    scale = reduced(fraction if ratio > 0 else -fraction)
    if square == "1":
        return scale
    node = graph.constant(PI if square == "pi" else 2)
    if square == "2 pi":
        node = graph.add_node(ops.mul, (node, graph.constant(PI)))
    node = graph.add_node(ops.sqrt, (node,))
    if turned:
        node = graph.add_node(ops.pow, (node, graph.constant(-1)))
    return node if scale == 1 else graph.add_node(ops.mul, (graph.constant(scale), node))


def simple_numbers() -> list[tuple[float, Fraction, str, bool]]:
    """Numbers that may be a scale: a fraction, times or over the root of 2, π or 2π."""
    fractions = sorted({Fraction(n, d) for n in range(1, 17) for d in (1, 2, 3, 4, 6, 8, 12, 16)})
    found = [(float(fraction), fraction, "1", False) for fraction in fractions]
    for square, value in (("2", 2.0), ("pi", math.pi), ("2 pi", 2 * math.pi)):
        for fraction in (f for f in fractions if f.numerator in (1, 2, 4, 8) and f.denominator in (1, 2, 4, 8)):
            found.append((float(fraction) * math.sqrt(value), fraction, square, False))
            if square != "2":
                found.append((float(fraction) / math.sqrt(value), fraction, square, True))
    return sorted(found)


SIMPLE = simple_numbers()
SIZES = [size for size, _, _, _ in SIMPLE]
EXACT = 1e-11


def written(graph: Graph, way: Way, first: int, second: int) -> int:
    """The node of a way, on the nodes given."""
    scale = way.scale
    if rational(scale) and abs(scale) == 1:
        made = graph.add_node(way.op, (first, second))
        return made if scale == 1 else graph.add_node(ops.mul, (graph.constant(-1), made))
    factor = graph.constant(scale) if rational(scale) else scale
    if way.reciprocal:
        return graph.add_node(ops.div, (factor, second))
    return graph.add_node(ops.mul, (factor, graph.add_node(way.op, (first, second))))


# --- taking ways ------------------------------------------------------------------------------------------------------
@dataclass
class Net:
    """What is computed, with how many users each node has; ways are taken while they free more than they cost."""

    graph: Graph
    roots: Sequence[int]
    kept: frozenset[int]
    users: dict[int, int] = field(default_factory=dict)
    taken: dict[int, Way] = field(default_factory=dict)
    costs: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rewriter = Rewriter(self.graph)
        for root in [*self.roots, *self.kept]:
            self.take(root)

    def inputs(self, node: int) -> tuple[int, ...]:
        way = self.taken.get(node)
        return self.graph.args[node] if way is None else (way.first, way.second)

    def cost(self, node: int) -> int:
        way = self.taken.get(node)
        if way is not None:
            return price(way)
        known = self.costs.get(node)
        if known is None:
            op = self.graph.ops[node]
            free = op in FREE or op.result != REAL or self.rewriter.is_constant(node)
            if op is ops.mul and self.rewriter.number(self.graph.args[node][0]) == -1:
                free = True
            known = self.costs[node] = (
                0 if free else OPERATION * power_cost(self.rewriter, node) + (op not in ARITHMETIC)
            )
        return known

    def take(self, node: int) -> int:
        """One more user; what has to be computed for it that was not."""
        total, stack = 0, [node]
        while stack:
            top = stack.pop()
            self.users[top] = self.users.get(top, 0) + 1
            if self.users[top] == 1:
                total += self.cost(top)
                stack += self.inputs(top)
        return total

    def release(self, node: int) -> int:
        """One user less; what need not be computed any more."""
        total, stack = 0, [node]
        while stack:
            top = stack.pop()
            self.users[top] -= 1
            if self.users[top] == 0:
                total += self.cost(top)
                stack += self.inputs(top)
        return total

    def gain(self, way: Way) -> int:
        """Operations that taking a way saves; the net is left as it was."""
        if not self.users.get(way.node) or way.node in self.taken:
            return 0
        added = price(way) + self.take(way.first) + self.take(way.second)
        freed = self.freed(way.node)
        self.release(way.first)
        self.release(way.second)
        return freed - added

    def needs(self, node: int, other: int) -> bool:
        """Whether a node is computed from another."""
        seen, stack = {node}, [node]
        while stack:
            top = stack.pop()
            if top == other:
                return True
            for arg in self.inputs(top):
                if arg not in seen:
                    seen.add(arg)
                    stack.append(arg)
        return False

    def freed(self, node: int) -> int:
        """Operations that only this node needs, itself among them."""
        total = self.cost(node) + sum(self.release(arg) for arg in self.inputs(node))
        for arg in self.inputs(node):
            self.take(arg)
        return total

    def improve(self, search: Search) -> bool:
        """Take the ways that save most, one after the other."""
        ways = search.ways(lambda node: bool(self.users.get(node)) and self.freed(node) > OPERATION)
        heap = [(-gain, place) for place, way in enumerate(ways) if (gain := self.gain(way)) > 0]
        heapq.heapify(heap)
        passed: set[int] = set()
        while heap:
            before, place = heapq.heappop(heap)
            gain = self.gain(ways[place])
            if gain <= 0:
                continue
            if gain < -before:
                heapq.heappush(heap, (-gain, place))
                continue
            way = ways[place]
            if self.needs(way.first, way.node) or self.needs(way.second, way.node):
                continue
            if place not in passed:
                passed.add(place)
                if (known := search.checked(way)) is not None:
                    ways[place] = known
                    heapq.heappush(heap, (before, place))
                continue
            old = self.inputs(way.node)
            self.take(way.first)
            self.take(way.second)
            for arg in old:
                self.release(arg)
            self.taken[way.node] = way
        return bool(self.taken)

    def result(self) -> list[int]:
        """The roots as graphs."""
        new: dict[int, int] = {}
        stack = list(self.roots)
        while stack:
            top = stack[-1]
            waiting = [arg for arg in self.inputs(top) if arg not in new] if top not in new else []
            if waiting:
                stack += waiting
                continue
            stack.pop()
            if top in new:
                continue
            args = tuple(new[arg] for arg in self.inputs(top))
            way = self.taken.get(top)
            if way is not None:
                new[top] = written(self.graph, way, *args)
            else:
                new[top] = self.graph.add_node(self.graph.ops[top], args) if args and top not in self.kept else top
        return [new[root] for root in self.roots]


def price(way: Way) -> int:
    """Operations of a way, without what it is made from; a sign is free."""
    unscaled = rational(way.scale) and abs(way.scale) == 1
    return OPERATION * (1 if unscaled or way.reciprocal else 2)


def power_cost(rewriter: Rewriter, node: int) -> int:
    """Operations of one node: those of a whole power by halving, else one."""
    power = rewriter.open_power(node) if rewriter.graph.ops[node] is ops.pow else None
    if power is None or not isinstance(power[1], int):
        return 1
    exponent = abs(power[1])
    return max(exponent.bit_length() + exponent.bit_count() - 2, 0) + (1 if power[1] < 0 else 0)
