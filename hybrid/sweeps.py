"""Derivative sweeps over very large graphs, as native code: what `differentiate.py` says, for millions of nodes.

`reverse` makes the same nodes as `differentiate.reverse`. `hessian` is edge pushing: one sweep from the root that
carries, beside the adjoints, the second derivatives by pairs of nodes not yet passed, so that every entry of a sparse
Hessian is made once and both triangles are one [Gower & Mello, A new framework for the computation of Hessians,
Optimization Methods and Software 27 (2012) 251–273]. Flows under a condition (`where`, `minimum`, `maximum`) are not
followed here: `supported` tells, and such graphs take the sweeps in Python.
"""

from __future__ import annotations

import numpy as np

from codegen.routine import Ints, Library
from hybrid.store import (
    ADD,
    CONSTANT,
    MUL,
    NEG,
    SMALL,
    Store,
    hash_of,
    intern,
    line_of,
)

ONE, MINUS_ONE, ABSENT = -1, -2, -3  # as in differentiate and templates
OUT = 16
PASSIVE, RULE_ADD, RULE_MUL, GUARDED = -1, -2, -3, -4  # rules of nodes that have no template


class Sweep(Store):
    """A store, and the state of one sweep over it."""

    rule: Ints  # per node: a template, or one of the rules above
    active: Ints  # per node: whether a variable of interest is below it
    order: Ints  # nodes in evaluation order
    position: int  # the next place in `order`, from its end
    adjoint: Ints  # per node, where it has one
    firsts: Ints  # template, argument -> place in `tapes`
    seconds: Ints  # template, pair of arguments -> place in `tapes`
    tapes: Ints
    constants: Ints  # the nodes of the constants of the tapes
    longest: int  # instructions of the longest tape
    temporary: Ints
    suffixes: Ints
    partials: Ints  # of the node being passed, by argument
    ones: Ints  # the nodes of 1, −1 and 2
    head: Ints  # per node: its first flow, 0 for none
    tail: Ints
    flow: Ints  # flows, linked in lists; place 0 is not used
    following: Ints
    flows: int
    flow_room: int
    rank: Ints  # Hessian: the order in which nodes are passed, per node; variables first
    pair_head: Ints  # Hessian: per node, the second derivatives by it and a node of lower rank
    pair_tail: Ints
    other: Ints  # per flow: the other node of its pair
    group: Ints  # Hessian: per node, its flows among those of the node being passed
    group_tail: Ints
    members: Ints
    seen: Ints
    targets: Ints
    rows: Ints  # Hessian: the entries found
    columns: Ints
    entries: Ints
    found: int
    found_room: int

    def __init__(self, store: Store) -> None:
        for name, is_array in self.fields().items():
            setattr(self, name, np.empty(0, np.int64) if is_array else 0)
        vars(self).update(vars(store))


def mark_active(g: Sweep, order: Ints, count: int) -> int:
    """Which nodes depend on an active one through real numbers; how many of them carry guards."""
    guarded = 0
    for i in range(count):
        node = order[i]
        if g.active[node] == 0 and g.rule[node] != PASSIVE:
            for k in range(g.start[node], g.start[node + 1]):
                if g.active[g.flat[k]] != 0:
                    g.active[node] = 1
                    break
            if g.active[node] != 0 and g.rule[node] == GUARDED:
                guarded += 1
    return guarded


def unary(g: Sweep, op: int, a: int) -> int:
    g.flat[g.start[g.size]] = a
    return intern(g, op, 1)


def binary(g: Sweep, op: int, a: int, b: int) -> int:
    end = g.start[g.size]
    g.flat[end] = a
    g.flat[end + 1] = b
    return intern(g, op, 2)


def is_whole(g: Sweep, node: int) -> int:
    """Whether a node is a whole number that is known by value."""
    if g.ops[node] == CONSTANT and g.start[node + 1] > g.start[node]:
        return 1
    return 0


def whole(g: Sweep, value: int) -> int:
    g.flat[g.start[g.size]] = value
    return intern(g, CONSTANT, 1)


def node_of(g: Sweep, flow: int) -> int:
    if flow >= 0:
        return flow
    return g.ones[-1 - flow]


def multiply(g: Sweep, flow: int, partial: int) -> int:
    """flow · partial; whole numbers are multiplied together, also where the partial is one times something."""
    if flow == ONE:
        return partial
    if partial == ONE:
        return flow
    if partial == MINUS_ONE:
        if flow == MINUS_ONE:
            return ONE
        if is_whole(g, flow):
            return whole(g, -g.flat[g.start[flow]])
        return unary(g, NEG, flow)
    if flow == MINUS_ONE:
        if is_whole(g, partial):
            return whole(g, -g.flat[g.start[partial]])
        return unary(g, NEG, partial)
    if is_whole(g, flow):
        factor = g.flat[g.start[flow]]
        if is_whole(g, partial):
            product = factor * g.flat[g.start[partial]]
            if product > -SMALL and product < SMALL:
                return whole(g, product)
        elif g.ops[partial] == MUL and g.start[partial + 1] - g.start[partial] == 2:
            first = g.flat[g.start[partial]]
            if is_whole(g, first):
                product = factor * g.flat[g.start[first]]
                if product > -SMALL and product < SMALL:
                    rest = g.flat[g.start[partial] + 1]
                    return binary(g, MUL, whole(g, product), rest)
    return binary(g, MUL, flow, partial)


def total(g: Sweep, first: int) -> int:
    """The sum of the flows of a list as one node; whole numbers are added up first."""
    following = g.following
    if following[first] == 0:
        return g.flow[first]
    value = 0
    numbers = 0
    place = first
    while place != 0:
        flow = node_of(g, g.flow[place])
        if is_whole(g, flow):
            value += g.flat[g.start[flow]]
            numbers += 1
        place = following[place]
    folded = 0
    if numbers > 1 and value > -SMALL and value < SMALL:
        folded = 1
    number = ABSENT
    if folded and value != 0:
        number = whole(g, value)
    end = g.start[g.size]
    count = 0
    if number != ABSENT:
        g.flat[end] = number
        count = 1
    place = first
    while place != 0:
        flow = node_of(g, g.flow[place])
        if folded == 0 or is_whole(g, flow) == 0:
            g.flat[end + count] = flow
            count += 1
        place = following[place]
    if count == 0:
        return whole(g, 0)
    if count == 1:
        return g.flat[end]
    return intern(g, ADD, count)


def resolve(g: Sweep, node: int, ref: int) -> int:
    """The node that a reference of a tape stands for."""
    if ref < 0:
        return g.constants[-1 - ref]
    if ref < OUT:
        return g.flat[g.start[node] + ref]
    if ref == OUT:
        return node
    return g.temporary[ref - OUT]


def replay(g: Sweep, node: int, tape: int) -> int:
    """The partial that a tape says, for one node."""
    tapes = g.tapes
    place = tape + 1
    for i in range(tapes[tape]):
        count = tapes[place + 1]
        end = g.start[g.size]
        for k in range(count):
            g.flat[end + k] = resolve(g, node, tapes[place + 2 + k])
        g.temporary[i + 1] = intern(g, tapes[place], count)
        place += 2 + count
    if tapes[place] < 0:
        return tapes[place]
    return resolve(g, node, tapes[place + 1])


def product_partials(g: Sweep, node: int, count: int) -> int:
    """The partials of a product into `partials`, by prefix and suffix products as in operations.py."""
    first = g.start[node]
    partials = g.partials
    if count == 1:
        partials[0] = ONE
        return 0
    prefix = g.temporary
    suffix = g.suffixes
    prefix[0] = g.flat[first]
    suffix[0] = g.flat[first + count - 1]
    for i in range(1, count - 1):
        prefix[i] = binary(g, MUL, prefix[i - 1], g.flat[first + i])
        suffix[i] = binary(g, MUL, g.flat[first + count - 1 - i], suffix[i - 1])
    partials[0] = suffix[count - 2]
    partials[count - 1] = prefix[count - 2]
    for i in range(1, count - 1):
        partials[i] = binary(g, MUL, prefix[i - 1], suffix[count - 2 - i])
    return 0


def find_partials(g: Sweep, node: int, count: int) -> int:
    """The partials by all active arguments into `partials`; by the others something that is not to be used."""
    rule = g.rule[node]
    first = g.start[node]
    if rule == RULE_MUL:
        return product_partials(g, node, count)
    for k in range(count):
        if rule == RULE_ADD:
            g.partials[k] = ONE
        elif g.active[g.flat[first + k]]:
            g.partials[k] = replay(g, node, g.firsts[rule * OUT + k])
        else:
            g.partials[k] = ABSENT
    return 0


def push(g: Sweep, node: int, flow: int) -> int:
    """A flow into a node."""
    g.flows += 1
    place = g.flows
    g.flow[place] = flow
    g.following[place] = 0
    if g.head[node] == 0:
        g.head[node] = place
    else:
        g.following[g.tail[node]] = place
    g.tail[node] = place
    return 0


def length(g: Sweep, place: int) -> int:
    count = 0
    while place != 0:
        count += 1
        place = g.following[place]
    return count


def fits(g: Sweep, nodes: int, arguments: int, flows: int) -> int:
    if g.size + nodes > g.room or g.start[g.size] + arguments > g.flat_room or 2 * (g.size + nodes) > g.mask:
        return 0
    if g.flows + flows >= g.flow_room:
        return 0
    return 1


def sweep_reverse(g: Sweep) -> int:
    """Adjoints of the active nodes of `order`, from the last to the first; 1 where it stops for want of room."""
    while g.position >= 0:
        node = g.order[g.position]
        if g.head[node] != 0:
            count = g.start[node + 1] - g.start[node]
            if g.ops[node] <= CONSTANT:
                count = 0
            nodes = 4 + (g.longest + 6) * count
            if fits(g, nodes, 4 * nodes + length(g, g.head[node]), count + 1) == 0:
                return 1
            flow = total(g, g.head[node])
            g.adjoint[node] = node_of(g, flow)
            needed = 0
            for k in range(count):
                if g.active[g.flat[g.start[node] + k]]:
                    needed = 1
            if needed:
                find_partials(g, node, count)
                for k in range(count):
                    arg = g.flat[g.start[node] + k]
                    if g.active[arg] and g.partials[k] != ABSENT:
                        push(g, arg, multiply(g, flow, g.partials[k]))
        g.position -= 1
    return 0


# --- second order -----------------------------------------------------------------------------------------------------
def push_pair(g: Sweep, a: int, b: int, flow: int) -> int:
    """A second derivative by two nodes, kept with the one that is passed first."""
    if g.rank[a] < g.rank[b]:
        swapped = a
        a = b
        b = swapped
    g.flows += 1
    place = g.flows
    g.flow[place] = flow
    g.other[place] = b
    g.following[place] = 0
    if g.pair_head[a] == 0:
        g.pair_head[a] = place
    else:
        g.following[g.pair_tail[a]] = place
    g.pair_tail[a] = place
    return 0


def group_pairs(g: Sweep, node: int) -> int:
    """Sort the pairs of a node by their other node into lists; how many others there are."""
    members = 0
    place = g.pair_head[node]
    while place != 0:
        after = g.following[place]
        other = g.other[place]
        g.following[place] = 0
        if g.group[other] == 0:
            g.group[other] = place
            g.members[members] = other
            members += 1
        else:
            g.following[g.group_tail[other]] = place
        g.group_tail[other] = place
        place = after
    return members


def distinct(g: Sweep, node: int, count: int) -> int:
    """The active arguments, each once, into `targets`, with the sums of their partials in `partials`."""
    targets = 0
    for k in range(count):
        arg = g.flat[g.start[node] + k]
        partial = g.partials[k]
        if g.active[arg] == 0 or partial == ABSENT:
            continue
        same = targets
        if g.seen[arg] != 0:
            same = g.seen[arg] - 1
            g.flows += 1
            g.flow[g.flows] = g.partials[same]
            g.following[g.flows] = g.flows + 1
            g.flows += 1
            g.flow[g.flows] = partial
            g.following[g.flows] = 0
            g.flows -= 2
            g.partials[same] = total(g, g.flows + 1)
        else:
            g.partials[targets] = partial
            g.targets[targets] = arg
            targets += 1
            g.seen[arg] = targets
    for k in range(targets):
        g.seen[g.targets[k]] = 0
    return targets


def push_seconds(g: Sweep, node: int, count: int, adjoint: int) -> int:
    """adjoint · ∂²node/∂arg∂arg for every pair of arguments."""
    rule = g.rule[node]
    first = g.start[node]
    if rule == RULE_ADD:
        return 0
    for k in range(count):
        a = g.flat[first + k]
        if g.active[a] == 0:
            continue
        between = ONE
        if rule == RULE_MUL:
            for i in range(k):
                between = multiply(g, between, g.flat[first + i])
        for m in range(k, count):
            b = g.flat[first + m]
            second = ABSENT
            if rule == RULE_MUL:
                if m > k:
                    second = between
                    for i in range(m + 1, count):
                        second = multiply(g, second, g.flat[first + i])
                    between = multiply(g, between, b)
            elif g.active[b]:
                second = replay(g, node, g.seconds[(rule * OUT + k) * OUT + m])
            if g.active[b] and second != ABSENT:
                second = multiply(g, adjoint, second)
                if m > k and a == b:
                    second = multiply(g, g.ones[2], second)
                push_pair(g, a, b, second)
    return 0


def eliminate(g: Sweep, node: int, count: int, adjoint: int) -> int:
    """Hand the adjoint of a node and its second derivatives on to its arguments."""
    if adjoint != ABSENT:
        push_seconds(g, node, count, adjoint)
    find_partials(g, node, count)
    targets = distinct(g, node, count)
    members = group_pairs(g, node)
    for i in range(members):
        other = g.members[i]
        weight = total(g, g.group[other])
        g.group[other] = 0
        for k in range(targets):
            part = multiply(g, weight, g.partials[k])
            if other == node:
                for m in range(k, targets):
                    push_pair(g, g.targets[k], g.targets[m], multiply(g, part, g.partials[m]))
            elif g.targets[k] == other:
                push_pair(g, other, other, multiply(g, g.ones[2], part))
            else:
                push_pair(g, g.targets[k], other, part)
    if adjoint != ABSENT:
        for k in range(targets):
            push(g, g.targets[k], multiply(g, adjoint, g.partials[k]))
    return 0


def collect(g: Sweep, node: int) -> int:
    """The entries of the row of a variable: all that is left are pairs of variables."""
    members = group_pairs(g, node)
    for i in range(members):
        other = g.members[i]
        g.rows[g.found] = g.rank[node]
        g.columns[g.found] = g.rank[other]
        g.entries[g.found] = node_of(g, total(g, g.group[other]))
        g.group[other] = 0
        g.found += 1
    return members


def hessian_room(g: Sweep, node: int, count: int, pairs: int) -> int:
    """Whether passing a node is sure to find room."""
    square = 0
    place = g.pair_head[node]
    while place != 0:
        if g.other[place] == node:
            square = count * count
        place = g.following[place]
    if g.rule[node] != RULE_ADD:
        square = count * count
    flows = (pairs + 2) * count + 2 * square + 4
    nodes = 2 * pairs + 4 * flows + (g.longest + 8) * (count + 1)
    if g.rule[node] == RULE_MUL:
        nodes += square * (count + 2)
    elif square > 0:
        nodes += square * (g.longest + 2)
    if g.found + pairs > g.found_room:
        return 0
    return fits(g, nodes, 4 * nodes + pairs + length(g, g.head[node]), flows)


def sweep_hessian(g: Sweep) -> int:
    """Adjoints and second derivatives, as `sweep_reverse` goes; 1 where it stops for want of room."""
    while g.position >= 0:
        node = g.order[g.position]
        if g.head[node] != 0 or g.pair_head[node] != 0:
            count = g.start[node + 1] - g.start[node]
            if g.ops[node] <= CONSTANT:
                count = 0
            if hessian_room(g, node, count, length(g, g.pair_head[node])) == 0:
                return 1
            adjoint = ABSENT
            if g.head[node] != 0:
                adjoint = total(g, g.head[node])
                g.adjoint[node] = node_of(g, adjoint)
            if count > 0:
                eliminate(g, node, count, adjoint)
            else:
                collect(g, node)
        g.position -= 1
    return 0


LIBRARY = Library(
    [hash_of, line_of, intern, mark_active, unary, binary, is_whole, whole, node_of, multiply, total, resolve, replay,
     product_partials, find_partials, push, length, fits, sweep_reverse, push_pair, group_pairs, distinct, push_seconds,
     eliminate, collect, hessian_room, sweep_hessian]
)  # fmt: skip
