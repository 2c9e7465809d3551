"""Repeated structure in an expression that was written out: the loop that somebody unrolled, found again.

Nodes get a hash bottom up: two nodes have the same if they are the same operation on nodes of the same hashes, which
for leaves means variables of one argument, or numbers. Long sums are cut into their terms; what many nodes share, and
the sums themselves, are leaves of what uses them. Terms, shared nodes and outputs of one hash are instances of one
template; where its leaves differ, the elements they are become an index map, and numbers become data.

All of this is done on the arrays of the graph's store, a depth of the graph at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid import operations as ops
from hybrid.composite import expand
from hybrid.graph import Graph, constant_key, float_value
from hybrid.operations import CONSTANT, REAL, VARIABLE
from hybrid.rolled.maps import Shape
from hybrid.rolled.model import STORE, SUM, Access, Block, Buffer, Model, Write
from hybrid.store import BY_CODE, CODES

LONG = 32  # terms from which on a sum is cut
SHARED = 16  # uses from which on a node is computed once, beside the templates
LARGEST = 2_000  # operations of a template, written as a tree
DEEPEST = 400  # operations on top of each other, beyond which nothing is looked for
FEWER = 10  # how many times smaller all templates together must be than what they stand for
LEVELS = 20  # sums over sums
Nodes = NDArray[np.int64]
EXACT = frozenset({ops.pow, *(op for op in ops.OPERATIONS.values() if op.ordered)})


class IrregularError(Exception):
    """Nothing repeats enough."""


@dataclass(frozen=True)
class Edges:
    """Which node uses which, at which place of its arguments; a term of a long sum may be subtracted."""

    users: Nodes
    used: Nodes
    places: Nodes
    minus: NDArray[np.bool_]

    def of(self, chosen: NDArray[np.bool_]) -> Edges:
        return Edges(self.users[chosen], self.used[chosen], self.places[chosen], self.minus[chosen])


def code(op: ops.Operation) -> int:
    return CODES.get(op, -1)


class Search:
    """Hashes of nodes, and what is cut, of some outputs of a graph. Raises IrregularError."""

    def __init__(self, graph: Graph, roots: Sequence[int], arguments: Sequence[Any]) -> None:
        store = graph.store()
        self.graph = graph
        self.size = store.size
        self.codes = store.ops[: self.size]
        self.start, self.flat = store.start, store.flat
        self.roots = np.array(roots, dtype=np.int64)
        self.order = store.reach(self.roots)
        self.argument, self.element = np.zeros((2, self.size), dtype=np.int64)
        for number, argument in enumerate(arguments):
            nodes = np.array(argument.nodes, dtype=np.int64)
            self.argument[nodes], self.element[nodes] = number, np.arange(len(nodes))
        counts = self.start[self.order + 1] - self.start[self.order]
        counts[self.codes[self.order] == code(CONSTANT)] = 0  # whole numbers keep their value there
        self.arity = np.zeros(self.size, dtype=np.int64)
        self.arity[self.order] = counts
        every = self.edges(self.order)
        self.uses = np.bincount(every.used, minlength=self.size) + np.bincount(self.roots, minlength=self.size)
        self.long, self.inside, self.terms = self.long_sums(every)
        real = np.array([op.result == REAL for op in BY_CODE])
        shared = (self.uses >= SHARED) & (self.arity > 0) & real[self.codes] & ~self.long & ~self.inside
        self.cut = self.long | shared
        self.level, self.hashes, self.leaves = self.hashed(every)

    def edges(self, nodes: Nodes) -> Edges:
        counts = self.arity[nodes]
        users = np.repeat(nodes, counts)
        places = np.arange(len(users)) - np.repeat(np.cumsum(counts) - counts, counts)
        minus = (self.codes[users] == code(ops.neg)) | ((self.codes[users] == code(ops.sub)) & (places == 1))
        return Edges(users, self.flat[self.start[users] + places], places, minus)

    def long_sums(self, every: Edges) -> tuple[NDArray[np.bool_], NDArray[np.bool_], Edges]:
        """The nodes that are long sums, the additions inside of these, and their terms."""
        is_sum = np.isin(self.codes, [c for c in map(code, (ops.add, ops.sub, ops.neg)) if c >= 0])
        parent = np.full(self.size, -1, dtype=np.int64)
        minus = np.zeros(self.size, dtype=bool)
        parent[every.used], minus[every.used] = every.users, every.minus
        inside = is_sum & (self.uses == 1) & (parent >= 0) & is_sum[parent]
        top = np.where(inside, parent, np.arange(self.size))
        minus &= inside
        while True:  # each round doubles how far one has come
            further = top[top]
            if np.array_equal(further, top):
                break
            minus = minus ^ (minus[top] & (top != np.arange(self.size)))
            top = further
        terms = every.of(is_sum[every.users] & ~inside[every.used])
        sums = Edges(top[terms.users], terms.used, terms.places, terms.minus ^ minus[terms.users])
        long = np.bincount(sums.users, minlength=self.size) >= LONG
        return long, inside & long[top], sums.of(long[sums.users])

    def hashed(self, every: Edges) -> tuple[Nodes, NDArray[np.uint64], NDArray[np.uint64]]:
        """Per node: how many cuts are below, its hash, and its hash as a leaf of what uses it."""
        normal = every.of(~self.inside[every.users] & ~self.long[every.users])
        users = np.concatenate([normal.users, self.terms.users])
        used = np.concatenate([normal.used, self.terms.used])
        by_user = np.argsort(users, kind="stable")
        users, used = users[by_user], used[by_user]
        depth = self.depths(users, used)
        level, size = np.zeros((2, self.size), dtype=np.int64)
        hashes = np.zeros(self.size, dtype=np.uint64)
        values = self.leaf_hashes(hashes)
        leaves = hashes.copy()
        nodes = self.order[(depth[self.order] > 0) & ~self.inside[self.order]]
        first = np.searchsorted(users, nodes)
        degree = np.bincount(users, minlength=self.size)
        for chosen in by_key(depth[nodes]):
            now = nodes[chosen]
            begins = first[chosen]
            ends = begins + degree[now]
            level[now] = highest(level, used, begins, ends)
            self.combine(now[~self.long[now]], hashes, leaves, values, size)
            cut = now[self.cut[now]]
            level[cut] += 1
            leaves[now] = hashes[now]
            leaves[cut] = mixed(self.long[cut] + np.uint64(77), level[cut].astype(np.uint64))
            size[cut] = 0
            if (size[now] > LARGEST).any() or (level[now] > LEVELS).any():
                raise IrregularError
        return level, hashes, leaves

    def depths(self, users: Nodes, used: Nodes) -> Nodes:
        """The longest way down from each node. Raises IrregularError for very deep ones."""
        depth = np.zeros(self.size, dtype=np.int64)
        if not len(users):
            return depth
        starts = np.flatnonzero(np.concatenate([[True], users[1:] != users[:-1]]))
        parents = users[starts]
        for _ in range(DEEPEST):
            new = np.maximum.reduceat(depth[used], starts) + 1
            if np.array_equal(new, depth[parents]):
                return depth
            depth[parents] = new
        raise IrregularError

    def leaf_hashes(self, hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Fill in the hashes of leaves; returns those of numbers by their value."""
        values = np.zeros(self.size, dtype=np.uint64)
        variables = self.order[self.codes[self.order] == code(VARIABLE)]
        hashes[variables] = mixed(np.full(len(variables), 11, np.uint64), self.argument[variables].astype(np.uint64))
        for node in self.order[self.codes[self.order] == code(CONSTANT)].tolist():
            value = self.graph.leaves[node]
            values[node] = hash(constant_key(value)) & 0xFFFFFFFFFFFFFFFF
            hashes[node] = 5 + value if isinstance(value, bool) else 7
        return values

    def combine(
        self,
        nodes: Nodes,
        hashes: NDArray[np.uint64],
        leaves: NDArray[np.uint64],
        values: NDArray[np.uint64],
        size: Nodes,
    ) -> None:
        """Hashes and sizes of operations whose arguments have theirs."""
        for chosen in by_key(self.codes[nodes] * (1 << 32) + self.arity[nodes]):
            now = nodes[chosen]
            op = BY_CODE[int(self.codes[now[0]])]
            if op.external is not None:
                raise IrregularError
            total = np.full(len(now), int(self.codes[now[0]]) + 1000, dtype=np.uint64)
            cost = np.ones(len(now), dtype=np.int64)
            for place in range(int(self.arity[now[0]])):
                arg = self.flat[self.start[now] + place]
                total = mixed(total, leaves[arg])
                if op in EXACT:  # an exponent or an order is part of the structure
                    total = mixed(total, values[arg])
                cost += size[arg]
            hashes[now], size[now] = total, cost


def mixed(first: NDArray[np.uint64], second: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A hash of two numbers, which depends on their order [splitmix64, S. Vigna]."""
    z = first * np.uint64(0x9E3779B97F4A7C15) + second + np.uint64(0x632BE59BD9B4E019)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def by_key(keys: Any) -> Iterator[Nodes]:
    """The places of each key, in the order of keys."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    cuts = np.flatnonzero(ordered[1:] != ordered[:-1]) + 1
    yield from (part for part in np.split(order, cuts) if len(part))


def highest(level: Nodes, used: Nodes, begins: Nodes, ends: Nodes) -> Nodes:
    """The largest level among the used of each node."""
    bounds = np.stack([begins, np.maximum(ends, begins + 1)], axis=1).reshape(-1)
    padded = np.append(level[used], 0)
    found: Nodes = np.maximum.reduceat(padded, np.minimum(bounds, len(used)))[::2]
    return found


@dataclass(eq=False)
class Rolling:
    """The model of what a search found."""

    search: Search
    model: Model = field(default_factory=Model)
    arguments: list[Buffer] = field(default_factory=list)
    levels: dict[tuple[int, bool], Buffer] = field(default_factory=dict)  # by height, and whether of long sums
    written: int = 0  # nodes of all templates

    def __post_init__(self) -> None:
        self.place = np.zeros(self.search.size, dtype=np.int64)  # of cut nodes, in the buffer of their level

    def add(self, nodes: Nodes, buffer: int, places: Nodes, how: str, minus: bool = False, own: bool = False) -> None:
        """The block of a template for some instances, written to places of a buffer."""
        node = self.template(nodes, own)
        if minus:
            node = self.model.graph.add_node(ops.neg, (node,))
        where = self.model.tables.map(0, (0,), places)
        self.model.add(Block((len(nodes),), (node,), (Write(Access(buffer, where), how),)))
        self.written += len(self.model.graph.reach([node]))
        if self.written > max(len(self.search.order) // FEWER, 200):
            raise IrregularError

    def template(self, column: Nodes, own: bool) -> int:
        """The template whose instances are the nodes of a column; `own`: of cut nodes, what they are computed from."""
        search, done = self.search, dict[bytes, int]()
        top = column.tobytes() if own else b""
        stack = [column]
        while stack:
            nodes = stack[-1]
            key = nodes.tobytes()
            if key in done:
                stack.pop()
                continue
            first = int(nodes[0])
            if (search.codes[nodes] != search.codes[first]).any() or (search.arity[nodes] != search.arity[first]).any():
                raise IrregularError  # two structures of one hash
            leaf = self.leaf(nodes, first) if key != top else None
            if leaf is not None:
                done[key] = leaf
                stack.pop()
                continue
            parts = [search.flat[search.start[nodes] + place] for place in range(int(search.arity[first]))]
            keys = [part.tobytes() for part in parts]
            missing = [part for part, name in zip(parts, keys, strict=True) if name not in done]
            if missing:
                stack += missing
                continue
            op = BY_CODE[int(search.codes[first])]
            done[key] = self.model.graph.add_node(op, tuple(done[name] for name in keys))
            stack.pop()
        return done[column.tobytes()]

    def leaf(self, nodes: Nodes, first: int) -> int | None:
        """What a column of leaves reads; None for operations."""
        search, model = self.search, self.model
        if search.cut[first]:
            buffer, places = self.levels[int(search.level[first]), bool(search.long[first])].number, self.place[nodes]
        elif search.codes[first] == code(VARIABLE):
            buffer, places = self.arguments[int(search.argument[first])].number, search.element[nodes]
        elif search.codes[first] == code(CONSTANT):
            leaves = search.graph.leaves
            if (nodes == first).all():
                return model.graph.constant(leaves[first])
            values = np.array([float_value(leaves[node]) for node in nodes.tolist()])
            buffer, places = model.data(values).number, np.arange(len(nodes))
        else:
            return None
        return model.read(buffer, model.tables.map(0, (0,), places))

    def make_level(self, height: int) -> None:
        """Blocks for the long sums and shared nodes of a level."""
        search = self.search
        members = search.order[search.cut[search.order] & (search.level[search.order] == height)]
        sums, shared = members[search.long[members]], members[~search.long[members]]
        if len(sums):
            held = self.levels[height, True] = self.model.buffer((len(sums),))
            self.place[sums] = np.arange(len(sums))
            terms = search.terms.of(search.level[search.terms.users] == height)
            for chosen in by_key(search.leaves[terms.used] * np.uint64(2) + terms.minus):
                minus = bool(terms.minus[chosen[0]])
                self.add(terms.used[chosen], held.number, self.place[terms.users[chosen]], SUM, minus)
        if len(shared):
            held = self.levels[height, False] = self.model.buffer((len(shared),))
            self.place[shared] = np.arange(len(shared))
            for chosen in by_key(search.hashes[shared]):
                self.add(shared[chosen], held.number, self.place[shared[chosen]], STORE, own=True)

    def make_output(self, shape: Shape) -> int:
        """The buffer of the outputs."""
        search = self.search
        root = int(search.roots[0])
        held = self.levels.get((int(search.level[root]), bool(search.long[root])))
        if shape == () and search.cut[root] and held is not None and held.size == 1:
            held.shape = ()
            return held.number
        output = self.model.buffer(shape)
        for chosen in by_key(search.leaves[search.roots]):
            self.add(search.roots[chosen], output.number, chosen, STORE)
        return output.number


def roll(graph: Graph, arguments: Sequence[Any], roots: Sequence[int], shape: Shape) -> tuple[Rolling, int] | None:
    """The rolled form of some outputs, and the buffer of the output; None where too little repeats.

    arguments: with a name, a shape and their nodes.
    """
    try:
        with np.errstate(over="ignore"):  # of hashes
            rolling = Rolling(Search(graph, expand(graph, list(roots)), arguments))
        rolling.arguments = [rolling.model.argument(argument.name, argument.shape) for argument in arguments]
        search = rolling.search
        for height in np.unique(search.level[search.order[search.cut[search.order]]]).tolist():
            rolling.make_level(height)
        output = rolling.make_output(shape)
        return (rolling, output) if 2 * rolling.written <= len(search.order) else None
    except IrregularError:
        return None
