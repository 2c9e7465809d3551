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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
from numpy.typing import NDArray

from hybrid import operations as ops
from hybrid.accuracy import ULP, WIDE, wide_values
from hybrid.bridges import bridges, close_to, spans
from hybrid.graph import Graph
from hybrid.identities import CONFIRMED
from hybrid.known import DIGITS, Known
from hybrid.operations import CONSTANT, PI, REAL, VARIABLE, Operation
from hybrid.points import EVERY, EXTREME, POINTS
from hybrid.poles import Poles
from hybrid.precise import MEANINGS, evaluate_precise
from hybrid.rewrite import Rewriter, rational, reduced

LARGEST = 1_200  # nodes: all pairs of them are looked at
LARGEST_BRIDGED = 300  # nodes: also through pairs of them
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
AT_ONCE = 2_048  # pairs whose values are compared at once
CONFIRMED_AT = (0, POINTS - 1, 1)  # of positive values, of any sign, and one more if one of these says nothing
ROUNDS = 4
UNKNOWN = -1  # gains may differ where the scale is known now

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

    @property
    def key(self) -> tuple[int, Operation, int, int]:
        return self.node, self.op, self.first, self.second


def resubstitute(graph: Graph, roots: Sequence[int], kept: frozenset[int], memory: Memory | None = None) -> list[int]:
    """The roots with nodes computed in cheaper ways, while any is found. `memory` spares what calls have in common."""
    memory = memory or Memory(Known(graph))
    current = list(roots)
    for _ in range(ROUNDS):
        binary = in_pairs(graph, current, kept, memory.known)
        order = memory.known.reach([*binary, *kept])
        if len(order) > LARGEST or tuple(binary) in memory.settled:
            return current
        net = Net(graph, binary, kept, costs=memory.costs, constants=memory.known.constants)
        search = Search(memory, order, kept)
        found = net.improve(search, search.ways(net.may_gain))
        if not found and len(order) <= LARGEST_BRIDGED:
            found = net.improve(search, search.bridged(net.worth_two))
        if not found:
            memory.settled.add(tuple(binary))
            return current
        current = net.result()
    return current


# --- sums and products of two -----------------------------------------------------------------------------------------
def in_pairs(graph: Graph, roots: Sequence[int], kept: frozenset[int], known: Known | None = None) -> list[int]:
    """Sums and products of more than two written out as lowering does, so that all that is computed is a node."""
    known = known or Known(graph)
    order = known.reach(roots)
    uses = graph.uses(order, roots)
    rewriter = known.rewriter()
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
class Memory:
    """What is known of the nodes of a graph, for all searches in forms of one expression: beside values of 53 bits and
    50 digits, those of 64 bits, errors, poles, and which ways were checked."""

    def __init__(self, known: Known) -> None:
        self.known, self.graph = known, known.graph
        self.one = self.graph.constant(1)
        self.poles = Poles(self.graph, ())
        self.costs: dict[int, int] = {}
        self.settled: set[tuple[int, ...]] = set()  # forms in which nothing was found
        self.edition = 0
        self.forget()

    def forget(self) -> None:
        self.wide: dict[int, Any] = {}
        self.errors: dict[int, float] = {}
        self.checked: dict[tuple[int, Operation, int, int], Way | None] = {}

    def learn(self, order: Sequence[int]) -> None:
        """Values in float64 and poles of nodes in evaluation order."""
        values = self.known.values
        values.learn(order)
        if values.edition != self.edition:
            self.edition = values.edition
            self.forget()
        self.poles.extend(order)

    def wide_value(self, node: int) -> Any:
        if node not in self.wide:
            near = {variable: column[:POINTS] for variable, column in self.known.values.samples.items()}
            self.wide = wide_values(self.graph, self.graph.reach([node]), near, self.wide)
        return np.broadcast_to(np.asarray(self.wide[node], WIDE), POINTS)

    def error(self, node: int, near: NDArray[Any], values: Values) -> float:
        """The mean of log(1 + error in ulp) of float64 values of a node at some points."""
        exact = self.wide_value(node)[near]
        return float(np.mean(np.log1p(np.abs(values - exact) / np.abs(exact) / ULP)))

    def exact_values(self, point: int, nodes: Sequence[int]) -> list[Any]:
        """Values of nodes to 50 digits at one point; None where they prove nothing."""
        exact, doubtful = self.known.values.to_digits(point, nodes)
        return [None if node in doubtful else exact[node] for node in nodes]


class Search:
    """Pairs of nodes with the value of a third, among the nodes of `order`."""

    def __init__(self, memory: Memory, order: Sequence[int], kept: frozenset[int]) -> None:
        graph = self.graph = memory.graph
        self.memory, self.one = memory, memory.one
        memory.learn(order)
        rewriter, values = memory.known.rewriter(), memory.known.values
        smooth = [node for node in memory.known.smooth_nodes(order) if not rewriter.is_constant(node)]
        stacked = np.concatenate([values.of(smooth), np.ones((1, EVERY))])
        often = np.isfinite(stacked[:, :POINTS]).sum(axis=1) >= FEWEST
        self.nodes = [node for node, enough in zip([*smooth, self.one], often, strict=True) if enough]
        self.values: Values = stacked[often]
        usable = (np.isfinite(self.values) & (self.values != 0))[:, :POINTS]
        self.probes = np.argsort(-usable.sum(axis=0), kind="stable")[:PROBES]
        self.row = {node: row for row, node in enumerate(self.nodes)}
        self.below = self.all_below(order)
        seen = np.all(usable[:, self.probes], axis=1)
        self.targets = [
            row for row, node in enumerate(self.nodes[:-1])
            if seen[row] and graph.ops[node] not in FREE and node not in kept
        ]  # fmt: skip

    def all_below(self, order: Sequence[int]) -> NDArray[np.bool_]:
        """Whether a node, by row, is computed from another, by column, or is the same."""
        found = np.zeros((len(order) + 1, len(self.nodes)), np.bool_)
        place = {node: number for number, node in enumerate(order)}
        for node, row in zip(order, found, strict=False):
            for arg in self.graph.args[node]:
                row |= found[place[arg]]
            if node in self.row:
                row[self.row[node]] = True
        return found[[place.get(node, -1) for node in self.nodes]]

    def ways(self, wanted: Callable[[int], bool]) -> list[Way]:
        """The ways to nodes that are wanted, as far as float64 values tell, all with scale 1 for now."""
        targets = [row for row in self.targets if wanted(self.nodes[row])]
        if not targets:
            return []
        found: list[Way] = []
        with np.errstate(all="ignore"):
            first, second = self.values[:, self.probes[0]], self.values[:, self.probes[1]]
            slope = second / first
            found += self.matches(targets, ops.mul, np.multiply.outer(slope, slope))
            found += self.matches(targets, ops.add, np.add.outer(second, second) / np.add.outer(first, first))
            difference = np.subtract.outer(second, second) / np.subtract.outer(first, first)
            found += self.matches(targets, ops.sub, difference)
            found += self.matches(targets, ops.div, np.divide.outer(slope, slope))
        return found

    def bridged(self, wanted: Callable[[int], bool]) -> list[Way]:
        """As `ways`, through nodes that are made for it."""
        targets = [row for row in self.targets if wanted(self.nodes[row])]
        if not targets:
            return []
        found = bridges(self.values[:, self.probes], targets)
        made = [self.graph.add_node(b.inner, (self.nodes[b.first], self.nodes[b.second])) for b in found]
        new = sorted({node for node in made if node not in self.row})
        self.memory.learn(sorted([*new, self.one]))
        self.row |= {node: row for row, node in enumerate(new, len(self.nodes))}
        self.nodes += new
        self.values = np.concatenate([self.values, self.memory.known.values.of(new)])
        ways = []
        for start in range(0, len(found), AT_ONCE):
            some = found[start : start + AT_ONCE]
            inner = self.values[[self.row[node] for node in made[start : start + AT_ONCE]]]
            third = self.values[[b.third for b in some]]
            with np.errstate(all="ignore"):
                sides = [(t, m) if b.swapped else (m, t) for b, m, t in zip(some, inner, third, strict=True)]
                values = np.array([b.outer.numpy(*pair) for b, pair in zip(some, sides, strict=True)])
                agree = self.agree(np.array([b.target for b in some]), values)
            for place in np.flatnonzero(agree):
                b, first, second = some[place], made[start + place], self.nodes[some[place].third]
                if b.swapped:
                    first, second = second, first
                ways.append(Way(self.nodes[b.target], b.outer, first, second, 1))
        return ways

    def holds(self, way: Way) -> bool:
        """Whether a way holds to 40 of 50 digits, at two points at least."""
        with mpmath.workdps(DIGITS):
            factor = self.exact_scale(way.scale)
            agreed = 0
            for point in CONFIRMED_AT:
                target, first, second = self.memory.exact_values(point, (way.node, way.first, way.second))
                if target is None or not mpmath.isfinite(target):
                    continue
                if first is None or second is None:
                    return False
                made = MEANINGS[way.op.name](first, second) * factor
                if not abs(made - target) <= abs(target) * mpmath.mpf(10) ** (10 - DIGITS):
                    return False
                agreed += 1
                if agreed == CONFIRMED:
                    return True
            return False

    def exact_scale(self, scale: Any) -> Any:
        if rational(scale):
            return mpmath.mpf(scale.numerator) / scale.denominator
        return evaluate_precise(self.graph, self.graph.reach([scale]), {})[scale]

    def matches(self, targets: Sequence[int], op: Operation, table: Values) -> Iterator[Way]:
        """The ways of one operation: pairs whose slope between the probes is a target's, and whose values agree.

        table : the slopes of all pairs.
        """
        wanted = np.array(targets)
        slope = self.values[wanted, self.probes[1]] / self.values[wanted, self.probes[0]]
        ends = np.sort([slope * (1 - NEAR), slope * (1 + NEAR)], axis=0)
        slopes = table.ravel()
        near = close_to(ends, slopes)
        rows, columns = np.divmod(near, len(self.nodes))
        once = rows != columns if op is ops.div else rows <= columns
        rows, columns, slopes = rows[once], columns[once], slopes[near[once]]
        order = np.argsort(slopes)
        listed = slopes[order]
        low, high = np.searchsorted(listed, ends[0]), np.searchsorted(listed, ends[1], "right")
        which, position = spans(low, high)
        places = order[position]
        target = wanted[which]
        other = ~(self.below[rows[places], target] | self.below[columns[places], target])
        which, places = which[other], places[other]
        by_slope = np.lexsort((places, slopes[places], which))
        which, places = which[by_slope], places[by_slope]
        rank = np.arange(len(which)) - np.searchsorted(which, which)
        which, places = which[rank < MOST_PAIRS], places[rank < MOST_PAIRS]
        for start in range(0, len(which), AT_ONCE):
            some, at = wanted[which[start : start + AT_ONCE]], places[start : start + AT_ONCE]
            agree = self.agree(some, op.numpy(self.values[rows[at]], self.values[columns[at]]))
            for target, row, column in np.stack([some[agree], rows[at[agree]], columns[at[agree]]], axis=1).tolist():
                first, second = self.nodes[row], self.nodes[column]
                yield Way(self.nodes[target], op, first, second, 1, op is ops.div and first == self.one)

    def agree(self, targets: NDArray[Any], made: Values) -> NDArray[np.bool_]:
        """Whether values are multiples of those of targets, as far as rounding lets it be seen."""
        value = self.values[targets]
        ratios = made / value
        scale = ratios[:, self.probes[:1]]
        every = np.abs(ratios / scale - 1)
        spread, far = every[:, :POINTS], every[:, POINTS : POINTS + EXTREME]
        finite = np.isfinite(value)
        agree: NDArray[np.bool_] = np.all(np.isfinite(made) | ~finite, axis=1)
        agree &= np.count_nonzero(spread < ROUNDED, axis=1) >= FEWEST
        agree &= np.count_nonzero(spread > ROUNDED, axis=1) * 5 <= np.count_nonzero(finite[:, :POINTS], axis=1)
        agree &= ~np.any(far > SEEN_FAR, axis=1)
        return agree & near_simple(1 / scale[:, 0])

    def checked(self, way: Way) -> Way | None:
        """A way with its scale, if it has a simple one, brings no pole, is as accurate as the node and holds."""
        known = self.memory.checked
        if way.key not in known:
            known[way.key] = self.judged(way)
        return known[way.key]

    def judged(self, way: Way) -> Way | None:
        divisor = way.second if way.op is ops.div else None
        if not self.memory.poles.stays_finite(way.node, (way.first, way.second), divisor):
            return None
        value, first, second = (self.values[self.row[node], :POINTS] for node in (way.node, way.first, way.second))
        with np.errstate(all="ignore"):
            made = way.op.numpy(first, second)
            near = np.flatnonzero(np.isfinite(value) & (made != 0) & (value != 0))
            ratio = middle(value[near] / made[near])
            if (scale := simple(self.graph, ratio)) is None:
                return None
            if (before := self.memory.errors.get(way.node)) is None:
                before = self.memory.errors[way.node] = self.memory.error(way.node, near, value[near])
            if self.memory.error(way.node, near, made[near] * ratio) > before + LOSS:
                return None
        found = replace(way, scale=scale)
        return found if self.holds(found) else None


def middle(values: Values) -> float:
    """The median."""
    listed, half = np.sort(values), len(values) // 2
    return float(listed[half]) if len(listed) % 2 else float(listed[half - 1] + listed[half]) / 2


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


def near_simple(ratios: Values) -> NDArray[np.bool_]:
    """Whether ratios at one point may be one of SIMPLE, as far as rounding lets it be seen."""
    sizes = np.abs(ratios)
    above = LISTED[np.searchsorted(LISTED, sizes * (1 - 2 * ROUNDED))]
    found: NDArray[np.bool_] = above <= sizes * (1 + 2 * ROUNDED)
    return found


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
LISTED = np.array([*SIZES, np.inf])
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
    bits: dict[int, int] = field(default_factory=dict)
    below: dict[int, int] = field(default_factory=dict)
    alone: dict[int, tuple[int, set[int]]] = field(default_factory=dict)
    constants: dict[int, bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rewriter = Rewriter(self.graph, constants=self.constants)
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
        return self.new_cost(node) if known is None else known

    def new_cost(self, node: int) -> int:
        op = self.graph.ops[node]
        free = op in FREE or op.result != REAL or self.rewriter.is_constant(node)
        if op is ops.mul and self.rewriter.number(self.graph.args[node][0]) == -1:
            free = True
        cost = 0 if free else OPERATION * power_cost(self.rewriter, node) + (op not in ARITHMETIC)
        self.costs[node] = cost
        return cost

    def take(self, node: int) -> int:
        """One more user; what has to be computed for it that was not."""
        users, total, stack = self.users, 0, [node]
        while stack:
            top = stack.pop()
            count = users.get(top, 0)
            users[top] = count + 1
            if not count:
                total += self.cost(top)
                stack += self.inputs(top)
        return total

    def release(self, node: int, gone: set[int] | None = None) -> int:
        """One user less; what need not be computed any more, with its nodes in `gone`."""
        users, total, stack = self.users, 0, [node]
        while stack:
            top = stack.pop()
            count = users[top] = users[top] - 1
            if not count:
                total += self.cost(top)
                stack += self.inputs(top)
                if gone is not None:
                    gone.add(top)
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

    def gains(self, ways: Sequence[Way]) -> Iterator[int]:
        """The gain of each way: at once where it uses what is computed and stays, whatever becomes of its node."""
        for way in ways:
            node = way.node
            total, gone = self.alone_for(node)
            stays = {way.first, way.second} & gone
            if total <= price(way) + sum(map(self.cost, stays)):
                yield 0
            elif stays or not self.users.get(way.first) or not self.users.get(way.second) or node in self.taken:
                yield self.gain(way)
            else:
                yield total - price(way)

    def alone_for(self, node: int) -> tuple[int, set[int]]:
        """Operations that only a node needs, and the nodes computed by them, before any way is taken."""
        found = self.alone.get(node)
        if found is None:
            gone = {node}
            found = self.alone[node] = self.freed(node, gone), gone
        return found

    def may_gain(self, node: int) -> bool:
        """Whether more than one operation may be computed for a node alone."""
        if not self.users.get(node):
            return False
        inputs = self.inputs(node)
        return self.cost(node) > OPERATION or any(self.users[arg] <= inputs.count(arg) for arg in inputs)

    def needs(self, node: int, other: int) -> bool:
        """Whether a node is computed from another."""
        below = self.all_below(node)
        return other in self.bits and below & self.bits[other] != 0

    def all_below(self, node: int) -> int:
        """What a node is computed from, and itself, as bits; known until a way is taken."""
        below, stack = self.below, [node]
        while stack:
            top = stack[-1]
            if top not in below:
                waiting = [arg for arg in self.inputs(top) if arg not in below]
                if waiting:
                    stack += waiting
                    continue
                found = self.bits.setdefault(top, 1 << len(self.bits))
                for arg in self.inputs(top):
                    found |= below[arg]
                below[top] = found
            stack.pop()
        return below[node]

    def freed(self, node: int, gone: set[int] | None = None) -> int:
        """Operations that only this node needs, itself among them."""
        total = self.cost(node) + sum(self.release(arg, gone) for arg in self.inputs(node))
        for arg in self.inputs(node):
            self.take(arg)
        return total

    def worth_two(self, node: int) -> bool:
        """Whether more than two operations are computed for a node alone."""
        return bool(self.users.get(node)) and self.alone_for(node)[0] > 2 * OPERATION

    def improve(self, search: Search, found: Sequence[Way]) -> bool:
        """Take the ways that save most, one after the other."""
        ways = [way for way in found if search.memory.checked.get(way.key, way) is not None]
        heap = [(-gain, place, 0) for place, gain in enumerate(self.gains(ways)) if gain > 0]
        heapq.heapify(heap)
        passed: set[int] = set()
        while heap:
            before, place, when = heapq.heappop(heap)
            way, now = ways[place], len(self.taken)
            gain = -before if when == now else self.gain(way)
            if gain <= 0:
                continue
            if gain < -before:
                heapq.heappush(heap, (-gain, place, now))
                continue
            if self.needs(way.first, way.node) or self.needs(way.second, way.node):
                continue
            if place not in passed:
                passed.add(place)
                if (known := search.checked(way)) is not None:
                    ways[place] = known
                    heapq.heappush(heap, (before, place, UNKNOWN))
                continue
            old = self.inputs(way.node)
            self.take(way.first)
            self.take(way.second)
            for arg in old:
                self.release(arg)
            self.taken[way.node] = way
            bit = self.bits.get(way.node, 0)
            self.below = {node: below for node, below in self.below.items() if not below & bit}
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
