"""Derivatives of large graphs: which sweep takes which graph, and what the native ones need to start."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from codegen.routine import Ints
from hybrid import differentiate, sweeps
from hybrid import operations as ops
from hybrid.graph import Graph, constant_key
from hybrid.operations import REAL
from hybrid.sparsity import Triplets
from hybrid.store import ADD, BY_CODE, CONSTANT, MUL, VARIABLE
from hybrid.sweeps import GUARDED, LIBRARY, OUT, PASSIVE, RULE_ADD, RULE_MUL, Sweep
from hybrid.templates import ABSENT, Template, inspected, template

LARGE = 2_000  # nodes of a graph from which on its sweeps are native
MOST_TEMPLATES = 1_000  # as many different constant exponents, say; more are left to Python


@dataclass(frozen=True)
class SparseHessian:
    """The lower triangle of a Hessian: `nodes[k]` is the entry at `rows[k]` ≥ `columns[k]`, sorted by row and column.

    `gradient` has the first derivative by each variable, −1 where it is zero.
    """

    rows: Ints
    columns: Ints
    nodes: Ints
    gradient: Ints


def is_large(graph: Graph, roots: Sequence[int], nodes: int) -> bool:
    """Whether the roots need more than so many nodes."""
    return len(graph) > nodes and len(graph.store().reach(np.array(roots, dtype=np.int64))) > nodes


def reverse(graph: Graph, seeds: Sequence[tuple[int, int]], wanted: Collection[int]) -> dict[int, int]:
    """`differentiate.reverse`, natively where the graph is large and no selection stands in the way: the same nodes."""
    if len(graph) < LARGE:
        return differentiate.reverse(graph, seeds, wanted)
    targets = np.fromiter(wanted, np.int64, len(wanted))
    with graph.lock:
        adjoints = native_reverse(graph, seeds, targets)
    if adjoints is None:
        return differentiate.reverse(graph, seeds, wanted)
    found = adjoints[targets]
    present = found >= 0
    return dict(zip(targets[present].tolist(), found[present].tolist(), strict=True))


def jacobian_reverse(graph: Graph, roots: Sequence[int], wrt: Sequence[int]) -> Mapping[tuple[int, int], int]:
    """`differentiate.jacobian_reverse`, natively for one output of a large graph."""
    if len(roots) > 1 or len(graph) < LARGE:
        return differentiate.jacobian_reverse(graph, roots, wrt)
    variables = np.array(wrt, dtype=np.int64)
    with graph.lock:
        adjoints = native_reverse(graph, [(roots[0], differentiate.ONE)], variables)
    if adjoints is None:
        return differentiate.jacobian_reverse(graph, roots, wrt)
    columns = np.flatnonzero(adjoints[variables] >= 0)
    return Triplets(np.zeros(len(columns), np.intp), columns, adjoints[variables[columns]])


def hessian_pushed(graph: Graph, root: int, wrt: Sequence[int]) -> Mapping[tuple[int, int], int] | None:
    """Both triangles of the Hessian by edge pushing; None where a selection stands in the way."""
    found = hessian(graph, root, wrt)
    if found is None:
        return None
    off = np.flatnonzero(found.rows != found.columns)
    return Triplets(
        np.concatenate([found.rows, found.columns[off]]),
        np.concatenate([found.columns, found.rows[off]]),
        np.concatenate([found.nodes, found.nodes[off]]),
    )


def native_reverse(graph: Graph, seeds: Sequence[tuple[int, int]], wanted: Ints) -> Ints | None:
    """The adjoint of every node, −1 for zero; None where a selection stands between the roots and the variables."""
    roots = np.array([root for root, _ in seeds], dtype=np.int64)
    prepared = prepare(graph, roots, wanted)
    if prepared is None:
        return None
    sweep, first = prepared
    for root, seed in seeds:
        if sweep.active[root]:
            make_room(sweep, 1)
            LIBRARY(sweeps.push, sweep, root, seed)
    run(graph, sweep, sweeps.sweep_reverse, first)
    return sweep.adjoint


def hessian(graph: Graph, root: int, wrt: Sequence[int]) -> SparseHessian | None:
    """The sparse Hessian of one node by edge pushing; None where a selection stands in the way.

    Time and memory follow the size of the graph and the second derivatives that arise on the way.
    """
    variables = np.array(wrt, dtype=np.int64)
    with graph.lock:
        prepared = prepare(graph, np.array([root]), variables)
        if prepared is None:
            return None
        sweep, first = prepared
        if not sweep.active[root]:
            nothing = np.empty(0, np.int64)
            return SparseHessian(nothing, nothing, nothing, np.full(len(variables), -1))
        prepare_pairs(sweep, variables)
        LIBRARY(sweeps.push, sweep, root, sweeps.ONE)
        run(graph, sweep, sweeps.sweep_hessian, first)
        rows, columns, nodes = (a[: sweep.found] for a in (sweep.rows, sweep.columns, sweep.entries))
        order = np.lexsort((columns, rows))
        return SparseHessian(rows[order], columns[order], nodes[order], sweep.adjoint[variables])


# --- getting ready ----------------------------------------------------------------------------------------------------
def prepare(graph: Graph, roots: Ints, wanted: Ints) -> tuple[Sweep, int] | None:
    """A sweep over what the roots need, and how many nodes the graph had before it."""
    for value in (0, 1, -1, 2):
        graph.constant(value)
    store = graph.store()
    order = store.reach(roots)
    rules, templates = assign_rules(graph, order)
    if templates is None:
        return None
    tapes, firsts, seconds, constants = install(graph, templates)
    store = graph.store()
    first = store.size
    sweep = Sweep(store)
    sweep.order, sweep.position = order, len(order) - 1
    sweep.rule = np.full(first, PASSIVE)
    sweep.rule[order] = rules
    sweep.active = np.zeros(first, np.int64)
    sweep.active[wanted] = 1
    sweep.tapes, sweep.firsts, sweep.seconds, sweep.constants = tapes, firsts, seconds, constants
    if LIBRARY(sweeps.mark_active, sweep, order, len(order)):
        return None
    counts = np.diff(store.start[: first + 1])[order]
    widest = int(counts.max(initial=0)) + 2
    sweep.longest = max((tape[0] for t in templates for tape in (*t.first, *t.second.values())), default=0)
    sweep.temporary = np.empty(max(widest, sweep.longest + 2), np.int64)
    sweep.suffixes, sweep.partials, sweep.targets = (np.empty(widest, np.int64) for _ in range(3))
    sweep.ones = np.array([graph.constant(1), graph.constant(-1), graph.constant(2)])
    sweep.adjoint = np.full(first, -1)
    sweep.head, sweep.tail = np.zeros(first, np.int64), np.zeros(first, np.int64)
    sweep.flow_room = 8 * int(counts.sum()) + 64  # more than is likely: memory that is not written to costs nothing
    sweep.flow, sweep.following = np.empty(sweep.flow_room, np.int64), np.empty(sweep.flow_room, np.int64)
    return sweep, first


def prepare_pairs(sweep: Sweep, variables: Ints) -> None:
    """What the sweep of second order needs: the variables come last, in the order of the columns."""
    size = len(sweep.head)
    inside = sweep.order[np.isin(sweep.order, variables, invert=True) & (sweep.active[sweep.order] != 0)]
    sweep.rank = np.full(size, -1)
    sweep.rank[variables] = np.arange(len(variables))
    sweep.rank[inside] = len(variables) + np.arange(len(inside))
    sweep.order = np.concatenate([variables, inside])
    sweep.position = len(sweep.order) - 1
    sweep.pair_head, sweep.pair_tail, sweep.group, sweep.group_tail, sweep.seen = (
        np.zeros(size, np.int64) for _ in range(5)
    )
    sweep.members = np.empty(size, np.int64)
    sweep.other = np.empty(sweep.flow_room, np.int64)
    sweep.found_room = 32 * len(variables) + 64
    sweep.rows, sweep.columns, sweep.entries = (np.empty(sweep.found_room, np.int64) for _ in range(3))


def assign_rules(graph: Graph, order: Ints) -> tuple[Ints, list[Template] | None]:
    """The rule of each node, and the templates they refer to; None for more templates than are worth making."""
    store = graph.store()
    codes = store.ops[order]
    rules = np.full(len(order), PASSIVE)
    templates: list[Template] = []
    for code in np.unique(codes).tolist():
        op, here = BY_CODE[code], np.flatnonzero(codes == code)
        if code in (VARIABLE, CONSTANT) or op.result != REAL:
            continue
        if op.variadic or op.guards is not None or op.arity >= OUT:
            rules[here] = RULE_ADD if code == ADD else RULE_MUL if code == MUL else GUARDED
            continue
        asked = inspected(op)
        args = store.start[order[here]][:, None] + np.array(asked, dtype=np.int64)
        constant = np.where(store.ops[store.flat[args]] == CONSTANT, store.flat[args], -1)
        keys, which = different(constant)
        if len(templates) + len(keys) > MOST_TEMPLATES:
            return rules, None
        rules[here] = len(templates) + which
        templates += [find_template(graph, op, dict(zip(asked, key.tolist(), strict=True))) for key in keys]
    return rules, templates


def different(rows: Ints) -> tuple[Ints, Ints | int]:
    """The different rows, and which of them each row is."""
    if (rows == rows[0]).all():
        return rows[:1], 0
    if rows.shape[1] > 1:
        keys, which = np.unique(rows, axis=0, return_inverse=True)
        return keys, np.reshape(which, -1)
    values = np.unique(rows[:, 0])
    return values[:, None], np.searchsorted(values, rows[:, 0])


def find_template(graph: Graph, op: ops.Operation, constants: dict[int, int]) -> Template:
    values: list[Any] = [None] * op.arity
    for position, node in constants.items():
        values[position] = graph.leaves[node] if node >= 0 else None
    key = tuple(None if value is None else constant_key(value) for value in values)
    return template(op, key, values)


def install(graph: Graph, templates: Sequence[Template]) -> tuple[Ints, Ints, Ints, Ints]:
    """The tapes of all templates in one array, where each begins, and the nodes of their constants in this graph."""
    tapes: list[int] = [0, ABSENT, 0]  # place 0: a zero
    firsts = np.zeros((len(templates), OUT), np.int64)
    seconds = np.zeros((len(templates), OUT, OUT), np.int64)
    constants: list[int] = []
    for number, made in enumerate(templates):
        base = len(constants)
        constants += [graph.constant(value) for value in made.constants]
        for k, tape in enumerate(made.first):
            firsts[number, k] = len(tapes)
            tapes += moved(tape, base)
        for (k, m), tape in made.second.items():
            seconds[number, k, m] = len(tapes)
            tapes += moved(tape, base)
    return np.array(tapes), firsts, seconds, np.array(constants, np.int64)


def moved(tape: Sequence[int], base: int) -> list[int]:
    """A tape whose constants stand `base` places further on."""
    new, place = [tape[0]], 1
    for _ in range(tape[0]):
        end = place + 2 + tape[place + 1]
        new += [*tape[place : place + 2], *(ref - base if ref < 0 else ref for ref in tape[place + 2 : end])]
        place = end
    kind, ref = tape[place:]
    return [*new, kind, ref - base if ref < 0 and kind == 0 else ref]


# --- running ----------------------------------------------------------------------------------------------------------
def run(graph: Graph, sweep: Sweep, routine: Any, first: int) -> None:
    """Carry a sweep out, with more room whenever it asks for some, and give the graph its new nodes."""
    more = 2 * len(sweep.order) + 64
    make_room(sweep, more)
    while LIBRARY(routine, sweep):
        more *= 2
        make_room(sweep, more)
    store = graph.store()
    for name in type(store).fields():
        setattr(store, name, getattr(sweep, name))
    graph.overtaken(first)


def make_room(sweep: Sweep, more: int) -> None:
    sweep.reserve(more, 3 * more)
    if sweep.flows + more >= sweep.flow_room:
        sweep.flow_room = max(2 * sweep.flow_room, sweep.flows + more + 1)
        for name in ("flow", "following", "other"):
            if len(getattr(sweep, name, ())):
                setattr(sweep, name, enlarge(getattr(sweep, name), sweep.flow_room))
    if sweep.found_room and sweep.found + more > sweep.found_room:
        sweep.found_room = max(2 * sweep.found_room, sweep.found + more)
        for name in ("rows", "columns", "entries"):
            setattr(sweep, name, enlarge(getattr(sweep, name), sweep.found_room))


def enlarge(array: Ints, size: int) -> Ints:
    new = np.empty(max(size, len(array)), np.int64)
    new[: len(array)] = array
    return new
