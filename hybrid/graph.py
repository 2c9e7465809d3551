"""The hash-consed expression graph: integer nodes in flat arrays that only grow.

Arguments always come before the node that uses them, so node order is an evaluation order: a pass is a loop, a reverse
sweep is the loop backwards, and a chain 10⁵ deep needs no stack. Equal expressions are one node. Building never
simplifies: `x + 0` stays a sum until someone asks.
"""

from __future__ import annotations

import contextlib
import gc
import math
import struct
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid import operations as ops
from hybrid.errors import InputTypeError
from hybrid.operations import CONSTANT, MASK, REAL, VARIABLE, NamedConstant, Operation
from hybrid.store import CODES, LIBRARY, Store, add_rows, code_of, payload

LATE = 20  # nodes entered into the dictionary in the time one node is made natively
QUICK = 20_000  # nodes that Python walks through before native code does it

Number = int | Fraction | float | NamedConstant


@dataclass(frozen=True)
class Variable:
    """A leaf: element `index` of the argument `name` (an empty index for a scalar)."""

    name: str
    index: tuple[int, ...] = ()

    def __str__(self) -> str:
        return f"{self.name}[{', '.join(map(str, self.index))}]" if self.index else self.name


def constant_key(value: Number | bool) -> object:
    """What makes two constants the same: floats by their bits, because 0.0 == -0.0 and nan != nan."""
    if isinstance(value, float):
        return struct.pack("<d", value)
    return (type(value), value)


def exact_number(value: Any) -> Number | bool:
    """A Python, NumPy or named number as the graph stores it: int, Fraction, float, bool or NamedConstant.

    Raises InputTypeError for complex numbers, text and anything else that is not a real number.
    """
    if isinstance(value, NamedConstant | bool | int | float | Fraction) and type(value) is not np.float64:
        return int(value) if isinstance(value, Fraction) and value.denominator == 1 else value
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, np.floating):
        return float(value)
    raise InputTypeError(f"expected a real number, got {value!r} of type {type(value).__name__}")


def float_value(value: Number | bool) -> float | bool:
    """The float64 nearest to a stored constant; a mask constant stays a bool; beyond the range it is an infinity."""
    if isinstance(value, bool):
        return value
    if isinstance(value, NamedConstant):
        return value.value
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


class Graph:
    """Append-only expression graph: node `n` is `ops[n]` of the nodes `args[n]`; `leaves` holds the data of leaves.

    A graph has two forms, and each is brought up to date from the other when it is asked for: lists and a dictionary,
    which Python walks, and a `Store` of integers, which native code walks and extends. While the lists are behind the
    store their attributes are absent, so that asking for one comes to `__getattr__`.
    """

    __slots__ = (
        "_args", "_index", "_indexed", "_late", "_ops", "_store", "args", "behind", "index", "leaf_index", "leaves",
        "lock", "numbers", "ops"
    )  # fmt: skip

    ops: list[Operation]
    args: list[tuple[int, ...]]
    index: dict[object, int]

    def __init__(self) -> None:
        self._ops = self.ops = []
        self._args = self.args = []
        self._index = self.index = {}
        self._store: Store | None = None
        self.behind = False
        self._indexed = 0  # while behind: how many nodes the dictionary covers, and how many were added one by one
        self._late = 0
        self.leaves: dict[int, Any] = {}
        self.leaf_index: dict[object, int] = {}
        self.numbers: dict[type, dict[int | float, int]] = {int: {}, float: {}}
        self.lock = threading.RLock()

    def __len__(self) -> int:
        return self._store.size if self.behind and self._store is not None else len(self._ops)

    def __getattr__(self, name: str) -> Any:
        if name not in ("ops", "args", "index"):
            raise AttributeError(f"a graph has no attribute {name!r}")
        with self.lock:
            store, first = self._store, len(self._ops)
            if store is not None and store.size > first:
                ops, args = store.lists(first)
                self._ops += ops
                self._args += args
            if name == "index":
                done = self._indexed
                keys = zip(islice(self._ops, done, None), islice(self._args, done, None), strict=True)
                self._index.update(zip(keys, range(done, len(self._ops)), strict=True))
                self.index, self.behind = self._index, False
            self.ops, self.args = self._ops, self._args
        return getattr(self, name)

    def store(self) -> Store:
        """The arrays of this graph, up to date."""
        with self.lock:
            if self._store is None:
                self._store = Store()
            if not self.behind:
                self._store.extend(self._ops, self._args, self.leaves)
            return self._store

    def overtaken(self, first: int) -> None:
        """The store has new nodes from `first` on: register its constants, and let the lists follow when asked for."""
        store = self._store
        if store is None or store.size == first:
            return
        for node in (first + np.flatnonzero(store.ops[first : store.size] == CODES[CONSTANT])).tolist():
            value = int(store.flat[store.start[node]])
            self.leaves[node] = value
            self.leaf_index[CONSTANT, constant_key(value)] = node
        self._retire(first)

    def _retire(self, first: int) -> None:
        if not self.behind:
            self.behind, self._indexed, self._late = True, first, 0
        for name in ("ops", "args", "index"):
            with contextlib.suppress(AttributeError):
                delattr(self, name)

    def __reduce__(self) -> tuple[Any, ...]:
        with self.lock:
            rows = list(dict.fromkeys(self.ops))
            code = {row: number for number, row in enumerate(rows)}
            codes = np.array([code[op] for op in self.ops], np.int32)
            counts = np.array([len(args) for args in self.args], np.int32)
            flat = np.fromiter(chain.from_iterable(self.args), np.int64, int(counts.sum()))
            return restored, (rows, codes, counts, flat, dict(self.leaves))

    def add_node(self, op: Operation, args: tuple[int, ...]) -> int:
        """The node of `op` on `args`, made if it is new. Checks nothing: the public doors do."""
        if self.behind and (made := self._add_late(op, args)) is not None:
            return made
        key = (op, args)
        node = self.index.get(key)
        if node is None:
            with self.lock:
                index, every = self.index, self.ops
                node = index.setdefault(key, len(every))
                if node == len(every):
                    self.args.append(args)
                    every.append(op)
        return node

    def _add_late(self, op: Operation, args: tuple[int, ...]) -> int | None:
        """One node while the lists are behind; None where so many were made that the lists had better follow."""
        with self.lock:
            self._late += 1
            if not self.behind or self._late * LATE > len(self) - self._indexed:
                return None
            listed = self._listed()
            node = int(self.add_many(op, [np.array([arg]) for arg in args])[0])
            self._follow(listed, op, args)
            return node

    def _listed(self) -> bool:
        """Whether the lists have all nodes."""
        return len(self._ops) == len(self)

    def _follow(self, listed: bool, op: Operation, args: tuple[int, ...]) -> None:
        """After the store got at most one node: a loop that holds the lists finds it there, if it found all before."""
        if listed and self.behind:
            if not self._listed():
                self._ops.append(op)
                self._args.append(args)
            self.ops, self.args = self._ops, self._args

    def add_many(self, op: Operation, columns: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
        """One node of `op` per row of the columns of arguments, which are as long as each other."""
        with self.lock:
            store = self.store()
            rows, first = len(columns[0]), store.size
            store.reserve(rows, (rows + 1) * len(columns))
            result = np.empty(rows, np.int64)
            flat = np.concatenate(columns, dtype=np.int64)
            LIBRARY(add_rows, store, code_of(op), len(columns), flat, rows, result)
            self.overtaken(first)
        return result

    def _leaf(self, op: Operation, key: object, data: object) -> int:
        node = self.leaf_index.get((op, key))
        if node is not None:
            return node
        with self.lock:
            node = self.leaf_index.get((op, key))
            if node is None:
                node = len(self)
                self.leaves[node] = data
                if self.behind:
                    value, listed = payload(data) if op is CONSTANT else (), self._listed()
                    self.store().append(np.array([code_of(op)]), np.array([len(value)]), np.array(value, np.int64))
                    self._retire(node)
                    self._follow(listed, op, ())
                else:
                    self.args.append(())
                    self.ops.append(op)
                self.leaf_index[op, key] = node  # last: others look here without the lock
            return node

    def constant(self, value: Number | bool) -> int:
        return self._leaf(CONSTANT, constant_key(value), value)

    def number(self, value: int | float) -> int:
        """`constant` of a Python number (no truth value), quickly when it comes again."""
        known = self.numbers[type(value)]
        node = known.get(value)
        if node is None:
            node = self.constant(value)
            if value:  # 0.0 equals -0.0
                known[value] = node
        return node

    def variable(self, name: str, index: tuple[int, ...] = ()) -> int:
        node = self.leaf_index.get((VARIABLE, (name, index)))
        return self._leaf(VARIABLE, (name, index), Variable(name, index)) if node is None else node

    def variables_of(self, name: str, indices: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
        """The variables of an argument, one per index."""
        with self.lock:
            keys = [(VARIABLE, (name, index)) for index in indices]
            if self.behind or not self.leaf_index.keys().isdisjoint(keys):
                return tuple(self.variable(name, index) for index in indices)
            first = len(self._ops)
            nodes = range(first, first + len(keys))
            self.leaf_index.update(zip(keys, nodes, strict=True))
            self.leaves.update(zip(nodes, [Variable(name, index) for index in indices], strict=True))
            self._ops += [VARIABLE] * len(keys)
            self._args += [()] * len(keys)
            return tuple(nodes)

    def apply(self, op: Operation, *operands: Any) -> Term:
        """Build `op` on terms of this graph and plain numbers."""
        args = [
            operand.node if type(operand) is Term and operand.graph is self else self.lift(operand).node
            for operand in operands
        ]
        return Term(self, self.add_node(op, tuple(args)))

    def lift(self, value: Any) -> Term:
        """A term of this graph from a term or a real number."""
        if isinstance(value, Term):
            if value.graph is not self:
                raise ValueError("terms of two graphs met; bring one over with Graph.copy_from first")
            return value
        if type(value) is int:
            return Term(self, self.number(value))
        return Term(self, self.constant(exact_number(value)))

    def is_constant(self, node: int) -> bool:
        return self.ops[node] is CONSTANT

    def kind(self, node: int) -> str:
        """Whether a node is a number or a mask."""
        if self.ops[node] is CONSTANT:
            return MASK if isinstance(self.leaves[node], bool) else REAL
        return self.ops[node].result

    def reach(self, roots: Iterable[int]) -> list[int]:
        """All nodes the roots need, in evaluation order."""
        wanted = list(roots)
        if not self.behind:  # else the lists would have to be made
            args = self.args
            seen = set(wanted)
            stack = list(seen)
            for _ in range(QUICK):
                if not stack:
                    return sorted(seen)
                for arg in args[stack.pop()]:
                    if arg not in seen:
                        seen.add(arg)
                        stack.append(arg)
        found: list[int] = self.store().reach(np.array(wanted, dtype=np.int64)).tolist()
        return found

    def uses(self, nodes: Iterable[int], roots: Iterable[int] = ()) -> dict[int, int]:
        """How many arguments (and roots) refer to each node."""
        count: dict[int, int] = {}
        for node in nodes:
            for arg in self.args[node]:
                count[arg] = count.get(arg, 0) + 1
        for root in roots:
            count[root] = count.get(root, 0) + 1
        return count

    def copy_from(self, other: Graph, roots: Sequence[int], mapping: Mapping[int, int] | None = None) -> list[int]:
        """Bring expressions of another graph (or this one) over; `mapping` replaces nodes of `other` by nodes here."""
        new: dict[int, int] = dict(mapping or {})
        for node in other.reach(roots) if not new else other.reach_below(roots, new):
            op = other.ops[node]
            if op is CONSTANT:
                new[node] = self.constant(other.leaves[node])
            elif op is VARIABLE:
                variable = other.leaves[node]
                new[node] = self.variable(variable.name, variable.index)
            else:
                new[node] = self.add_node(op, tuple(new[arg] for arg in other.args[node]))
        return [new[root] for root in roots]

    def substitute(self, roots: Sequence[int], mapping: Mapping[int, int]) -> list[int]:
        """The roots with every node of `mapping` replaced, at once."""
        return self.copy_from(self, roots, mapping)

    def reach_below(self, roots: Iterable[int], stop: Mapping[int, Any]) -> list[int]:
        """As `reach`, without the nodes in `stop` and without what only they need."""
        seen = {root for root in roots if root not in stop}
        stack = list(seen)
        while stack:
            for arg in self.args[stack.pop()]:
                if arg not in seen and arg not in stop:
                    seen.add(arg)
                    stack.append(arg)
        return sorted(seen)

    def variables(self, roots: Iterable[int]) -> list[int]:
        """The variable leaves that the roots depend on."""
        return [node for node in self.reach(roots) if self.ops[node] is VARIABLE]


class Term:
    """A node with Python's operators: what partial derivatives, rules and traced code are written in."""

    __slots__ = ("graph", "node")
    __array_ufunc__ = None  # a NumPy array of terms is handled by trace.py, never elementwise by accident

    def __init__(self, graph: Graph, node: int) -> None:
        self.graph = graph
        self.node = node

    @property
    def constant(self) -> Any:
        """The number this term is, or None if it is not a constant."""
        return self.graph.leaves[self.node] if self.graph.ops[self.node] is CONSTANT else None

    def __add__(self, other: Any) -> Term:
        return self.graph.apply(ops.add, self, other)

    def __radd__(self, other: Any) -> Term:
        return self.graph.apply(ops.add, other, self)

    def __sub__(self, other: Any) -> Term:
        return self.graph.apply(ops.sub, self, other)

    def __rsub__(self, other: Any) -> Term:
        return self.graph.apply(ops.sub, other, self)

    def __mul__(self, other: Any) -> Term:
        return self.graph.apply(ops.mul, self, other)

    def __rmul__(self, other: Any) -> Term:
        return self.graph.apply(ops.mul, other, self)

    def __truediv__(self, other: Any) -> Term:
        return self.graph.apply(ops.div, self, other)

    def __rtruediv__(self, other: Any) -> Term:
        return self.graph.apply(ops.div, other, self)

    def __pow__(self, other: Any) -> Term:
        return self.graph.apply(ops.pow, self, other)

    def __rpow__(self, other: Any) -> Term:
        return self.graph.apply(ops.pow, other, self)

    def __neg__(self) -> Term:
        return self.graph.apply(ops.neg, self)

    def __repr__(self) -> str:
        return f"<term %{self.node} {self.graph.ops[self.node].name}>"


def restored(
    rows: list[Operation], codes: NDArray[np.int32], counts: NDArray[np.int32], flat: NDArray[np.int64], leaves: Any
) -> Graph:
    """The graph that a pickle holds."""
    graph = Graph()
    ends = np.cumsum(counts).tolist()
    numbers = flat.tolist()
    for node, (code, count, end) in enumerate(zip(codes.tolist(), counts.tolist(), ends, strict=True)):
        op, args = rows[code], tuple(numbers[end - count : end])
        graph.ops.append(op)
        graph.args.append(args)
        if node not in leaves:
            graph.index[op, args] = node
            continue
        leaf = graph.leaves[node] = leaves[node]
        key = (leaf.name, leaf.index) if op is VARIABLE else constant_key(leaf)
        graph.leaf_index[op, key] = node
    return graph


def extreme(graph: Graph, op: Operation, nodes: Sequence[int]) -> int:
    """The minimum or maximum (`op`) of any number of values; equal ones get the same share of its derivative."""
    if len(nodes) > 2:
        op = ops.smallest if op is ops.minimum else ops.largest
    while len(nodes) > 1:  # a tree: as deep as its shares are long
        pairs = [graph.add_node(op, (x, y)) for x, y in zip(nodes[::2], nodes[1::2], strict=False)]
        nodes = [*pairs, *nodes[len(pairs) * 2 :]]
    return nodes[0]


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Without garbage collection: the data of passes has no cycles, and walking over it takes a sixth of their time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
