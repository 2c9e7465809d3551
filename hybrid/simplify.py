"""Fewer operations for the same values. Rule sets are named by what they promise.

`BITWISE`: every float64 result keeps its bits. `REAL`: equal for finite reals wherever the original is defined (it may
be defined at more points; rounding differs). `ACCURATE`: values in the forms that lose the fewest digits, which may
take more operations (accurate_values.py). The steps of `REAL`: a normal form (rewrite.py), common factors pulled out
of sums, common sub-products and sub-sums named once (factor.py), factors that flow into many products moved to where
the flow comes out (lifting.py), powers of one base computed together (powers.py), over and over while the operation
count falls. What is returned never takes more operations than what came in, but for one more for each tanh whose
derivative is made to keep its digits (saturation.py).

Identities that no rule sees are found by value (identities.py).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from hybrid import operations as ops
from hybrid.accuracy import MEASURABLE, Yardstick
from hybrid.accurate import accurate_forms
from hybrid.accurate_values import accurate_values
from hybrid.factor import factor_sums, share_pairs
from hybrid.graph import Graph, float_value
from hybrid.identities import LARGEST, merge_equal, overflows
from hybrid.known import PRECISE, Known
from hybrid.lifting import lift_factors
from hybrid.lower import count_operations
from hybrid.operations import CONSTANT, MASK, VARIABLE, Operation
from hybrid.polynomials import multiplied_out
from hybrid.powers import share_powers
from hybrid.resubstitution import Memory, resubstitute
from hybrid.rewrite import Rewriter, rational, settled
from hybrid.saturation import unsaturated
from hybrid.watch import UNWATCHED, OutOfTime, Watch

ROUNDS, FEW_ROUNDS = 6, 2  # at most, where each gains something
MERGING = 2  # rounds that look for nodes of equal value
POLISHED = 4  # times that nodes are looked for in each other, with a round in between
OTHER_FORMS = 6  # forms looked at for outputs that are less accurate in the cheapest one
DEAR, SLACK = 1.02, 2.0  # accuracy that costs more operations than this factor is given up if less than so much is lost
DOUBT = 1.03  # a form that was opened first is followed up if it is cheaper by so much
SMALL = 10_000  # nodes up to which sums are factored in two orders and the cheaper form is kept
LARGE = 300_000  # nodes above which one round is made instead of rounds until nothing is gained


Counted = tuple[float, list[int]]  # its price, and a form


@dataclass(frozen=True)
class Rules:
    """A named set of rewrites; `promise` says what stays the same."""

    name: str
    promise: str


BITWISE = Rules("bitwise", "every float64 result keeps its bits")
REAL = Rules("real", "equal for finite reals wherever the original is defined")
ACCURATE = Rules("accurate", "equal for finite reals; of several forms the one of the smallest measured errors")
RULE_SETS: dict[str, Rules] = {rules.name: rules for rules in (BITWISE, REAL, ACCURATE)}


def simplify(
    graph: Graph,
    roots: Sequence[int],
    rules: Rules = REAL,
    keep: Collection[int] = (),
    watch: Watch = UNWATCHED,
    thorough: bool = True,
    known: Known | None = None,
) -> list[int]:
    """Equal expressions with at most as many operations. Nodes in `keep`, and all they need, stay as they are.

    Unless `thorough`, the result is there to be counted, and sooner: fewer rounds are made, nodes are not
    looked for in each other (resubstitution.py), and outputs that lost accuracy stay. `known` spares what several
    simplifications on a graph have in common.

    Where `watch` has a time budget, rounds go on until they gain nothing or the budget is spent; what was reached by
    then is returned.
    """
    if rules is ACCURATE:
        return accurate_values(graph, roots)
    kept = frozenset(graph.reach(keep))
    if kept.issuperset(roots):
        return list(roots)
    given = bitwise(graph, roots, kept)
    if rules is BITWISE:
        return given
    given = unsaturated(graph, given, kept)
    known = known or Known(graph)
    best, forms = given, []
    cost = known.price(best)
    size = len(graph.reach(roots))
    rounds = watch.rounds or (1 if size > LARGE else ROUNDS if thorough else FEW_ROUNDS)
    current = best
    try:
        for number in range(rounds):
            watch.round(number, cost)
            finished, current = one_round(known, current, kept, watch, merging=number < MERGING, opening=number == 0)
            old_cost, new_cost = cost, finished[0][0]
            forms += finished
            if new_cost < cost:
                if size <= LARGEST and overflows(graph, best, finished[0][1], known):
                    break
                best, cost = finished[0][1], new_cost
            stalled = new_cost > old_cost * watch.worthwhile
            if stalled and (number > 0 or new_cost <= old_cost):  # the first round may open more than it closes
                break
        if thorough:
            forms += polished(known, best, kept, watch)
    except OutOfTime:
        pass
    best = min([(cost, best), *forms], key=itemgetter(0))[1]
    if not thorough:
        return best
    return as_accurate(known, given, [best, *(form for _, form in sorted(forms))])


def polished(known: Known, roots: list[int], kept: frozenset[int], watch: Watch) -> list[Counted]:
    """Forms in which nodes are computed from others that are there anyway, while they get cheaper."""
    found: list[Counted] = []
    graph, current, cost = known.graph, roots, known.price(roots)
    memory = Memory(known)
    for _ in range(POLISHED):
        watch.round(0, cost)
        changed = resubstitute(graph, current, kept, memory)
        if changed == current:
            break
        found.append((known.price(changed), changed))
        rounded, _ = one_round(known, changed, kept, watch, merging=False, both=False)
        found += rounded
        least, current = min(found)
        if least >= cost:
            break
        cost = least
    return [(count, form) for count, form in found if not overflows(graph, roots, form, known)]


def as_accurate(known: Known, given: list[int], forms: Sequence[list[int]]) -> list[int]:
    """The first form, with outputs that are less accurate in it than as given taken from another, or as given.

    Where that takes many more operations, outputs that are only a little less accurate stay.
    """
    graph, best = known.graph, forms[0]
    order = known.reach(given)
    if not MEASURABLE or best == given or len(order) > LARGEST or not PRECISE.issuperset(graph.ops[n] for n in order):
        return best
    yardstick = Yardstick(graph, given)
    if not (worse := yardstick.worse(best)):
        return best
    others = [form for form in dict.fromkeys(map(tuple, forms[1:])) if form != tuple(best)][:OTHER_FORMS]
    bad = {form: yardstick.worse(form) for form in others}
    found = []
    for form, places in [(tuple(best), worse), *bad.items()]:
        mixed = list(form)
        for place in places:
            mixed[place] = next((other for other in others if place not in bad[other]), given)[place]
        found.append((known.price(mixed), mixed))
    count, mixed = min(found)
    if count > DEAR * known.price(best):
        bad_places = yardstick.worse(best, SLACK)
        trial = [(given if place in bad_places else best)[place] for place in range(len(given))]
        count, mixed = min((count, mixed), (known.price(trial), trial))
    return mixed if count < known.price(given) and not overflows(graph, given, mixed, known) else given


def one_round(
    known: Known,
    roots: Sequence[int],
    kept: frozenset[int],
    watch: Watch,
    merging: bool,
    both: bool = True,
    opening: bool = False,
) -> tuple[list[Counted], list[int]]:
    """The forms that one round finds, the cheapest first, and the form that the next round starts from.

    Sums are factored in two orders, or in one unless `both`. When `opening`, forms with polynomials multiplied out, and
    with products opened that are used more than once, are tried as well.
    """
    rounds, key = known.of("rounds", kept), (tuple(roots), merging, both, opening)
    if key not in rounds:
        rounds[key] = new_round(known, roots, kept, watch, merging, both, opening)
    finished, start = rounds[key]
    return list(finished), start


def new_round(
    known: Known, roots: Sequence[int], kept: frozenset[int], watch: Watch, merging: bool, both: bool, opening: bool
) -> tuple[list[Counted], list[int]]:
    graph = known.graph
    normal = normalise(graph, roots, kept, watch, known)
    merged = merge_equal(graph, normal, kept, known=known) if merging else normal
    if merged != normal:
        merged = normalise(graph, merged, kept, watch, known)
    forms = [factor_sums(graph, merged, kept, watch, known=known)]
    small = len(known.reach(merged)) <= SMALL
    if both and small:
        forms.append(factor_sums(graph, merged, kept, watch, variables_last=True, known=known))
    forms = distinct(forms)
    forms = distinct([*forms, *(lift_factors(graph, form, kept, known) for form in forms)])
    usual = len(forms)
    if opening and small:
        multiplied = normalise(graph, multiplied_out(graph, merged, kept), kept, watch, known)
        flat = normalise(graph, merged, kept, watch, known, flat=True)
        others = [form for form in (multiplied, flat) if form != merged]
        forms = distinct([*forms, *(factor_sums(graph, form, kept, watch, known=known) for form in others)])
    shared = [share_pairs(graph, form, kept, watch, known) for form in forms]
    finished = [accurate_forms(graph, share_powers(graph, form, kept), kept) for form in shared]
    costs = [known.price(form) for form in finished]
    weighed = [cost * (DOUBT if number >= usual else 1) for number, cost in enumerate(costs)]
    cheapest = weighed.index(min(weighed))
    order = sorted(range(len(costs)), key=lambda place: (costs[place], place))
    return [(costs[place], finished[place]) for place in order], shared[cheapest]


def distinct(forms: Sequence[list[int]]) -> list[list[int]]:
    return [list(form) for form in dict.fromkeys(map(tuple, forms))]


def estimate(
    graph: Graph, roots: Sequence[int], rules: Rules = REAL, keep: Collection[int] = (), known: Known | None = None
) -> int:
    """About how many operations `simplify` will leave, within a tenth or so, in a fourth of the time."""
    if rules is BITWISE:
        return operations(graph, roots)
    known = known or Known(graph)
    kept = frozenset(known.reach(list(keep)))
    normal = normalise(graph, roots, kept, known=known)
    merged = merge_equal(graph, normal, kept, proven=False, known=known)
    return int(known.price(share_pairs(graph, normalise(graph, merged, kept, known=known), kept, known=known)))


def operations(graph: Graph, roots: Sequence[int]) -> int:
    """Operations of one joint evaluation of the roots."""
    return count_operations(graph, roots)


# --- BITWISE ----------------------------------------------------------------------------------------------------------
def bitwise(graph: Graph, roots: Sequence[int], kept: Collection[int]) -> list[int]:
    """1·x -> x, x/1 -> x, −(−x) -> x, where(c, x, x) -> x, and where with a constant condition."""
    new: dict[int, int] = {}
    for node in graph.reach(roots):
        if node in kept:
            new[node] = node
            continue
        op, args = graph.ops[node], tuple(new[arg] for arg in graph.args[node])
        new[node] = keep_bits(graph, op, args, node)
    return [new[root] for root in roots]


def keep_bits(graph: Graph, op: Operation, args: tuple[int, ...], node: int) -> int:
    if op is CONSTANT or op is VARIABLE:
        return node
    if op is ops.mul:
        factors = tuple(
            arg
            for arg in args
            if not (graph.is_constant(arg) and graph.leaves[arg] is not True and graph.leaves[arg] == 1)
        )
        if len(factors) < 2:
            return factors[0] if factors else args[0]
        return graph.add_node(op, factors)
    if op is ops.div and graph.is_constant(args[1]) and graph.leaves[args[1]] == 1:
        return args[0]
    if op is ops.neg and graph.ops[args[0]] is ops.neg:
        return graph.args[args[0]][0]
    if op.result == MASK:
        return fold_mask(graph, op, args)
    if op is ops.where:
        if graph.is_constant(args[0]):
            return args[1] if graph.leaves[args[0]] else args[2]
        if args[1] == args[2]:
            return args[1]
    return graph.add_node(op, args)


def fold_mask(graph: Graph, op: Operation, args: tuple[int, ...]) -> int:
    """Comparisons of constants, and `and` and `or` with a constant."""
    if all(map(graph.is_constant, args)):
        return graph.constant(bool(op.numpy(*(float_value(graph.leaves[arg]) for arg in args))))
    if op is ops.logical_and or op is ops.logical_or:
        decided = op is ops.logical_or  # the constant that decides by itself
        for constant, other in (args, args[::-1]):
            if graph.is_constant(constant):
                return constant if graph.leaves[constant] is decided else other
    return graph.add_node(op, args)


# --- REAL: normal form ------------------------------------------------------------------------------------------------
def normalise(
    graph: Graph,
    roots: Sequence[int],
    kept: frozenset[int],
    watch: Watch = UNWATCHED,
    known: Known | None = None,
    flat: bool = False,
) -> list[int]:
    """Every node in normal form, bottom up; with `flat`, products that are used more than once are opened too."""
    known = known or Known(graph)
    order = known.reach(roots)
    rewriter = known.rewriter(kept, graph.uses(order, roots))
    rewriter.flat = flat
    forms = known.of("flat forms" if flat else "normal forms", kept) if len(order) <= SMALL else {}
    uses, shared = rewriter.uses, rewriter.shared
    graph_ops, graph_args = graph.ops, graph.args
    new: dict[int, int] = {}
    for node in watch.over(order):
        op, args = graph_ops[node], graph_args[node]
        if not args or node in kept:
            new[node] = node
            continue
        targets = tuple([new[arg] for arg in args])
        free = tuple([not shared(arg) and target not in kept for arg, target in zip(args, targets, strict=True)])
        key = op, targets, free
        made = rewriter.recall(forms, key)
        if made is None:
            made = RULES.get(op, rebuild)(rewriter, op, targets, free)
            rewriter.remember(forms, key, made)
        new[node] = made
        if made != node:
            uses[made] = uses.get(made, 0) + uses.get(node, 0)
    return settled(graph, [new[root] for root in roots], kept)


Targets = tuple[int, ...]


def rebuild(r: Rewriter, op: Operation, args: Targets, free: Sequence[bool]) -> int:
    if op.result == MASK:
        return fold_mask(r.graph, op, args)
    if len(args) == 1:
        return unary(r, op, args[0])
    return r.graph.add_node(op, args)


def normal_add(r: Rewriter, op: Operation, args: Targets, free: Sequence[bool]) -> int:
    return r.sum((arg, 1, f) for arg, f in zip(args, free, strict=True))


def normal_sub(r: Rewriter, op: Operation, args: Targets, free: Sequence[bool]) -> int:
    return r.sum([(args[0], 1, free[0]), (args[1], -1, free[1])])


def normal_mul(r: Rewriter, op: Operation, args: Targets, free: Sequence[bool]) -> int:
    return r.product((arg, 1, f) for arg, f in zip(args, free, strict=True))


def normal_div(r: Rewriter, op: Operation, args: Targets, free: Sequence[bool]) -> int:
    return r.product([(args[0], 1, free[0]), (args[1], -1, free[1])])


def normal_neg(r: Rewriter, op: Operation, args: Targets, free: Sequence[bool]) -> int:
    if free[0] and r.open_sum(args[0]) is not None:
        return r.sum([(args[0], -1, True)])
    return r.product([(args[0], 1, free[0])], -1)


def normal_pow(r: Rewriter, op: Operation, args: Targets, free: Sequence[bool]) -> int:
    exponent = r.number(args[1])
    if isinstance(exponent, float) and (2 * exponent).is_integer():
        exponent = int(exponent) if exponent.is_integer() else ops.HALF * int(2 * exponent)
    if not rational(exponent):
        return r.graph.add_node(op, args)
    if exponent == 0:
        return r.graph.constant(1)
    return r.product([(args[0], exponent, free[0])])


def normal_sqrt(r: Rewriter, op: Operation, args: Targets, free: Sequence[bool]) -> int:
    return r.product([(args[0], ops.HALF, False)])


def normal_sech(r: Rewriter, op: Operation, args: Targets, free: Sequence[bool]) -> int:
    return r.product([(unary(r, ops.cosh, args[0]), -1, False)])


def normal_over_hypot(r: Rewriter, op: Operation, args: Targets, free: Sequence[bool]) -> int:
    """x/h with h = √(x² + y²), 0 at the origin."""
    size, zero = r.graph.add_node(ops.hypot, args), r.graph.constant(0)
    quotient = r.product([(args[0], 1, False), (size, -1, False)])
    return r.graph.add_node(ops.where, (r.graph.add_node(ops.eq, (size, zero)), zero, quotient))


def normal_where(r: Rewriter, op: Operation, args: Targets, free: Sequence[bool]) -> int:
    return keep_bits(r.graph, op, args, -1)


RULES: dict[Operation, Callable[[Rewriter, Operation, Targets, Sequence[bool]], int]] = {
    ops.add: normal_add,
    ops.sub: normal_sub,
    ops.mul: normal_mul,
    ops.div: normal_div,
    ops.neg: normal_neg,
    ops.pow: normal_pow,
    ops.sqrt: normal_sqrt,
    ops.sech: normal_sech,
    ops.over_hypot: normal_over_hypot,
    ops.where: normal_where,
}

INVERSES: dict[Operation, Operation] = {ops.exp: ops.log, ops.log: ops.exp}  # both defined where the inner one is
ODD = frozenset(
    {ops.sin, ops.tan, ops.asin, ops.atan, ops.sinh, ops.tanh, ops.asinh, ops.atanh, ops.erf, ops.cbrt, ops.sign}
)
EVEN = frozenset({ops.cos, ops.cosh, ops.abs_})
AT_ZERO: dict[Operation, int] = {ops.exp: 1, ops.cos: 1, ops.cosh: 1, ops.erfc: 1, ops.exp2: 1} | dict.fromkeys(
    ODD | {ops.expm1, ops.log1p, ops.abs_}, 0
)


def unary(r: Rewriter, op: Operation, arg: int) -> int:
    """f⁻¹(f(x)) -> x, exact values at 0 and 1, parity."""
    inner, number = r.graph.ops[arg], r.number(arg)
    if rational(number):
        if number == 0 and op in AT_ZERO:
            return r.graph.constant(AT_ZERO[op])
        if number == 1 and op is ops.log:
            return r.graph.constant(0)
    if INVERSES.get(op) is inner:
        return r.graph.args[arg][0]
    if (op in ODD or op in EVEN) and (positive := without_sign(r, arg)) is not None:
        value = r.graph.add_node(op, (positive,))
        return value if op in EVEN else r.product([(value, 1, False)], -1)
    return r.graph.add_node(op, (arg,))


def without_sign(r: Rewriter, node: int) -> int | None:
    """The negation of a node whose normal form starts with a minus, else None."""
    terms = r.graph.args[node] if r.graph.ops[node] is ops.add else (node,)
    leading: Any = r.split(terms[0])[0]
    if not leading < 0:
        return None
    return r.sum((term, -1, False) for term in terms)
