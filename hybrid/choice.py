"""Which method a derivative is made by: chosen by counting operations, and told.

A kernel holds a function and several derivatives of it, and what one of them computes another may use. So when they
are compiled, each derivative that was not asked to be made in a certain way is tried in the others that are about as
cheap, and the kernel keeps the combination of the fewest operations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hybrid.composite import expand
from hybrid.cost import graph_cost
from hybrid.definition import Derivation, Formula
from hybrid.errors import ArgumentError
from hybrid.graph import Graph
from hybrid.lower import count_operations
from hybrid.methods import GRADIENTS, HESSIANS, JACOBIANS, LARGE, Methods, Way, ways
from hybrid.simplify import estimate, simplify
from hybrid.sparsity import Pattern

METHODS: dict[str, Methods] = {"gradient": GRADIENTS, "jacobian": JACOBIANS, "hessian": HESSIANS}
LARGEST = 10_000  # operations of a derivative beyond which no other method is tried
TIGHT = 1.5  # a derivative of less than this many times its function's operations leaves nothing to gain
CLOSE = 1.4  # ways are tried in a kernel if their graphs are at most this much larger than the smallest one
TRIED, MOST_TRIED = 3_000, 10  # operations of all ways to a derivative together that are tried; and how many ways
MOST_IN_ALL = 20_000  # operations of all combinations that are tried in one kernel
PROMISING, COUNTED = 1.05, 3  # forms are counted if estimated at most this much above the lowest; and how many
EQUAL = (
    1.005  # counts by less than this apart say nothing: the smaller graph is taken, beside other things it shares more
)


def alternatives(formula: Formula) -> list[tuple[str, list[int]]]:
    """Other ways to a derivative that may be cheaper in a kernel, as method and nodes, the smallest graph first.

    None for what is no Jacobian or Hessian of a scalar, was asked for by method, or is too large to try.
    """
    derivation = formula.derivation
    if derivation is None or derivation.asked or not is_tried(formula, derivation):
        return []
    graph, of = formula.graph, derivation.of
    own = graph_cost(graph, [*of.nodes, *formula.nodes])
    found = []
    for way in every_way(derivation, leave_out=("coloured",)):  # never fewer operations than forward
        nodes = placed(formula, derivation, way)
        if nodes is not None and nodes != list(formula.nodes):
            found.append((graph_cost(graph, [*of.nodes, *nodes]), way.method, nodes))
    found.sort(key=lambda one: one[0])
    least = min([own, *(cost for cost, _, _ in found)])
    count = min(max(TRIED // max(least, 1), 1), MOST_TRIED)
    first = {method: position for position, (_, method, _) in reversed([*enumerate(found)])}  # the best of each method
    order = sorted(range(len(found)), key=lambda position: (first[found[position][1]] != position, position))
    close = [found[position] for position in order if found[position][0] <= CLOSE * least]
    return [(method, nodes) for _, method, nodes in close[:count]]


def is_tried(formula: Formula, derivation: Derivation) -> bool:
    of = derivation.of
    if derivation.kind not in ("jacobian", "hessian") or (derivation.kind == "hessian" and of.shape != ()):
        return False
    if len(of.graph.reach(of.nodes)) > LARGE:
        return False
    own, function = graph_cost(of.graph, formula.nodes), graph_cost(of.graph, of.nodes)
    return TIGHT * function < own <= LARGEST


def every_way(derivation: Derivation, root: int | None = None, leave_out: Sequence[str] = ()) -> list[Way]:
    """All ways to a derivative, or to that of one output."""
    of = derivation.of
    composite = any(of.graph.ops[node].composite is not None for node in of.graph.reach(of.nodes))
    methods = {
        name: builds[:1] if composite else builds  # results that are found together are swept together
        for name, builds in METHODS[derivation.kind].items()
        if name not in leave_out and not (composite and name == "cross-country")
    }
    variables = [node for position in derivation.wrt for node in of.arguments[position].nodes]
    return list(ways(methods, of.graph, of.nodes if root is None else [root], variables))


def dense(way: Way, columns: int, size: int, zero: int) -> list[int]:
    nodes = [zero] * size
    for (row, column), node in way.entries.items():
        nodes[row * columns + column] = node
    return nodes


def placed(formula: Formula, derivation: Derivation, way: Way) -> list[int] | None:
    """The entries in the order of the formula's outputs; None where its pattern has no place for one."""
    zero = formula.graph.constant(0)
    pattern = derivation.pattern
    if pattern is None:
        return dense(way, derivation.columns, len(formula.nodes), zero)
    places = list(zip(pattern.rows.tolist(), pattern.columns.tolist(), strict=True))
    wanted = {(r, c) for (r, c), node in way.entries.items() if node != zero and (pattern.triangle == "full" or c <= r)}
    return [way.entries.get(place, zero) for place in places] if wanted <= set(places) else None


def economical(
    functions: Sequence[Formula],
    cost: Callable[[Sequence[Formula]], int],
    estimate: Callable[[Sequence[Formula]], int],
) -> tuple[Formula, ...]:
    """The functions, each derivative in the form that takes the fewest operations together with the others.

    All forms are estimated, and those of the lowest estimates counted. Of something large, the smallest graph is taken
    without trying it.
    """
    chosen = list(functions)
    estimated = 0
    for place, function in enumerate(functions):
        forms = function.forms()
        if forms and (size := graph_cost(function.graph, forms[0].nodes)) > TRIED:
            if size < graph_cost(function.graph, function.nodes):
                chosen[place] = forms[0]
            continue
        found: list[tuple[int, int, list[Formula]]] = []
        for number, form in enumerate([function, *forms] if forms else []):
            trial = [*chosen[:place], form, *chosen[place + 1 :]]
            found.append((estimate(trial), number, trial))
            estimated += found[-1][0]
            if estimated > MOST_IN_ALL:
                break
        if not found:
            continue
        least = min(found)[0]
        close = sorted(one for one in found if one[0] <= PROMISING * least)[:COUNTED]
        costs = [cost(trial) for _, _, trial in close] if len(close) > 1 else [0]
        chosen = min(one[1:] for one, exact in zip(close, costs, strict=True) if exact <= EQUAL * min(costs))[1]
    return tuple(chosen)


# --- telling ----------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Candidate:
    """What a method would take, together with the values of the function: `derived` as it is derived, `simplified` in a
    kernel. None where it was not counted."""

    method: str
    derived: int | None
    simplified: int | None


@dataclass(frozen=True)
class Explanation:
    """How a derivative was made. Prints as a table."""

    name: str
    what: str
    pattern: Pattern
    candidates: tuple[Candidate, ...]
    chosen: str
    reason: str

    def __str__(self) -> str:
        entries = f"{self.pattern.nnz:,} of {self.pattern.shape[0] * self.pattern.shape[1]:,} entries can be non-zero"
        lines = [f"{self.name}: {self.what}", f"{entries} ({100 * self.pattern.density:.3g} %)", ""]
        width = max([len("method"), *(len(candidate.method) for candidate in self.candidates)])
        lines.append(f"  {'method':<{width}}  as derived  in a kernel")
        for candidate in self.candidates:
            mark = "  ← chosen" if candidate.method == self.chosen else ""
            counts = f"{counted(candidate.derived):>10}  {counted(candidate.simplified):>11}"
            lines.append(f"  {candidate.method:<{width}}  {counts}{mark}")
        return "\n".join([*lines, "", f"chosen: {self.chosen}, {self.reason}"])

    __repr__ = __str__


def counted(number: int | None) -> str:
    return "–" if number is None else f"{number:,}"


REASONS = {
    "gradient": "one adjoint sweep; it takes at most a few times the operations of the function",
    "jacobian": "the fewest operations in a kernel",
    "hessian": "the fewest operations in a kernel",
}


def explain(formula: Formula, pattern: Pattern) -> Explanation:
    """Every method for a derivative, with exact counts of operations; see `Function.explain`."""
    derivation = formula.derivation
    if derivation is None or derivation.kind not in METHODS:
        raise ArgumentError(
            f"explain tells how a gradient, Jacobian or Hessian was made, and {formula.name} is none; "
            f"try {formula.name}.jacobian().explain()"
        )
    of, made = derivation.of, formula
    if not derivation.asked:
        (made,) = economical(
            [formula],
            lambda trial: in_kernel(formula, trial[0].nodes),
            lambda trial: estimated(formula, trial[0].nodes),
        )
    assert made.derivation is not None  # it is a form of the formula
    chosen, reason = made.derivation.method, "as asked" if derivation.asked else REASONS[derivation.kind]
    found = methods_of(formula, derivation)
    if len(found) < 2 and not derivation.asked:
        reason = (
            f"a guess by the numbers of outputs and variables: more than {LARGE:,} operations are not tried in others"
        )
    found[chosen] = list(made.nodes)
    candidates = [
        Candidate(
            method,
            count_operations(of.graph, (*of.nodes, *nodes)),
            in_kernel(formula, nodes) if graph_cost(of.graph, nodes) <= LARGEST else None,
        )
        for method, nodes in found.items()
    ]
    size = f"{len(of.nodes):,} output{'s' if len(of.nodes) > 1 else ''}, {derivation.columns:,} variables"
    what = f"{derivation.kind} of {of.name}, {size}"
    return Explanation(formula.name, what, pattern, tuple(candidates), chosen, reason)


def in_kernel(formula: Formula, nodes: Sequence[int]) -> int:
    """Operations of the values and these entries together, simplified as compiling does it."""
    graph, roots, keep = in_place(formula, nodes)
    return count_operations(graph, simplify(graph, roots, keep=keep))


def in_place(formula: Formula, nodes: Sequence[int]) -> tuple[Graph, list[int], list[int]]:
    """The graph, the values and these entries, and what of it a kernel keeps as it is."""
    graph, keep = formula.graph, formula.primal
    values = formula.derivation.of.nodes if formula.derivation else ()
    expanded = expand(graph, [*keep, *values, *nodes])
    return graph, expanded[len(keep) :], expanded[: len(keep)]


def estimated(formula: Formula, nodes: Sequence[int]) -> int:
    """About what `in_kernel` will count."""
    graph, roots, keep = in_place(formula, nodes)
    return estimate(graph, roots, keep=keep)


def methods_of(formula: Formula, derivation: Derivation) -> dict[str, list[int]]:
    """The entries by each method, in its variant of the smallest graph; none for a function that is too large."""
    of = derivation.of
    graph, block = of.graph, derivation.columns**2
    if len(graph.reach(of.nodes)) > LARGE or graph_cost(graph, formula.nodes) > LARGEST:
        return {}
    if derivation.kind != "hessian" or len(of.nodes) == 1:
        return smallest(formula, [(way.method, placed(formula, derivation, way)) for way in every_way(derivation)])
    found: dict[str, list[int]] = {}
    for output, root in enumerate(of.nodes):  # a Hessian per output, each by every method
        part = [
            (way.method, dense(way, derivation.columns, block, graph.constant(0)))
            for way in every_way(derivation, root)
        ]
        for method, nodes in smallest(formula, part).items():
            if output == 0 or method in found:
                found.setdefault(method, []).extend(nodes)
    return {method: nodes for method, nodes in found.items() if len(nodes) == len(formula.nodes)}


def smallest(formula: Formula, ways: Sequence[tuple[str, list[int] | None]]) -> dict[str, list[int]]:
    best: dict[str, tuple[int, list[int]]] = {}
    for method, nodes in ways:
        if nodes is not None:
            cost = graph_cost(formula.graph, nodes)
            if method not in best or cost < best[method][0]:
                best[method] = cost, nodes
    return {method: nodes for method, (_, nodes) in best.items()}
