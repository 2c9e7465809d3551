"""The ways to a derivative, by name, each with its variants, and which of them takes the fewest operations.

The question is answered twice. When a function is derived, sweeps are compared by the size of their graphs, at once.
When it is compiled, its alternatives are tried together with everything else that goes into the kernel (choice.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from hybrid import differentiate
from hybrid.bottleneck import Jacobian, bottleneck, hessian_chain
from hybrid.coloured import hessian_coloured, jacobian_coloured
from hybrid.cost import graph_cost
from hybrid.differentiate import Entries, hessian_forward, hessian_reverse, jacobian_forward
from hybrid.elimination import VARIANTS, hessian_eliminated, jacobian_eliminated
from hybrid.errors import ArgumentError
from hybrid.graph import Graph
from hybrid.large import hessian_pushed, is_large, jacobian_reverse

# graph, outputs, variables → entries; None where the method does not apply
Build = Callable[[Graph, Sequence[int], Sequence[int]], Mapping[tuple[int, int], int] | None]
Methods = Mapping[str, Sequence[Build]]

WORK, SMALL = 50_000, 300  # nodes times variables, and nodes, beyond which the sweeps of second order are native
LARGE = 4_000  # nodes of a function or a derivative beyond which the guess is taken, and nothing compared with it


@dataclass(frozen=True)
class Way:
    """One way to a derivative: its method and its entries."""

    method: str
    entries: Mapping[tuple[int, int], int]


def of_scalar(build: Callable[..., Mapping[tuple[int, int], int] | None], *options: object) -> Build:
    """A way to the Hessian of one output as one that takes a list of outputs."""
    return lambda graph, roots, wrt: build(graph, roots[0], wrt, *options)


def eliminated(backwards: bool, least: int) -> Build:
    return lambda graph, roots, wrt: jacobian_eliminated(graph, roots, wrt, backwards, least)


def chain(rows: Jacobian, *variant: object) -> Build:
    """The chain rule through a bottleneck whose own derivatives are eliminated."""

    def second(graph: Graph, root: int, wrt: Sequence[int]) -> Entries:
        return hessian_eliminated(graph, root, wrt, *variant)  # type: ignore[arg-type]  # a variant is of the right types

    def build(graph: Graph, roots: Sequence[int], wrt: Sequence[int]) -> Entries | None:
        narrow = bottleneck(graph, roots[0], wrt)
        return hessian_chain(graph, roots[0], wrt, (rows,), (second,)) if narrow else None

    return build


TRIANGLES = tuple((*variant, lower) for variant in VARIANTS[:3] for lower in (True, False))
JACOBIANS: Methods = {
    "forward": [jacobian_forward],
    "reverse": [jacobian_reverse],
    "cross-country": [eliminated(*variant) for variant in VARIANTS],
    "coloured": [jacobian_coloured],
}
HESSIANS: Methods = {
    "forward": [of_scalar(hessian_forward)],
    "reverse": [of_scalar(hessian_reverse)],
    "chain": [
        of_scalar(hessian_chain),
        *(chain(differentiate.jacobian_reverse, *variant) for variant in TRIANGLES[:4]),
    ],
    "cross-country": [of_scalar(hessian_eliminated, *variant) for variant in TRIANGLES],
    "coloured": [of_scalar(hessian_coloured)],
    "edge-pushing": [of_scalar(hessian_pushed)],
}
GRADIENTS: Methods = {name: JACOBIANS[name] for name in ("forward", "reverse", "cross-country")}
NATIVE = "edge-pushing"  # the method for what is large; small functions do not wait for native code to be made
AT_ONCE = ("forward", "reverse")  # compared when a function is derived


def derive(methods: Methods, method: str, guess: str, graph: Graph, roots: Sequence[int], wrt: Sequence[int]) -> Way:
    """A derivative by `method`; "auto" is the cheapest of those made at once.

    Raises ArgumentError for a method that is not there.
    """
    size = min(LARGE, max(SMALL, WORK // max(len(wrt), 1)))
    if method == "auto" and NATIVE in methods and is_large(graph, roots, size):
        entries = methods[NATIVE][0](graph, roots, wrt)
        if entries is not None:
            return Way(NATIVE, entries)
        guess = "forward"  # over what depends on each variable, which is little where the Hessian is sparse
    if method == "auto":
        first = Way(guess, methods[guess][0](graph, roots, wrt) or {})
        if len(graph.reach(first.entries.values())) > LARGE:
            return first
        others = [(name, methods[name][0]) for name in AT_ONCE if name in methods and name != guess]
    elif method in methods:
        first, others = None, [(method, build) for build in methods[method]]
    else:
        raise ArgumentError(f"method must be 'auto' or one of {sorted(methods)}, got {method!r}")
    found = [] if first is None else [first]
    found += [Way(name, entries) for name, build in others if (entries := build(graph, roots, wrt)) is not None]
    if not found:
        raise ArgumentError(
            f"method {method!r} does not follow where, minimum, maximum or Piecewise that depend on the variables; "
            "use method='auto'"
        )
    return found[0] if len(found) == 1 else min(found, key=lambda way: graph_cost(graph, way.entries.values()))


def ways(methods: Methods, graph: Graph, roots: Sequence[int], wrt: Sequence[int]) -> Iterator[Way]:
    """All variants of the methods, each of different entries once."""
    seen: set[tuple[str, frozenset[tuple[tuple[int, int], int]]]] = set()
    for method, builds in methods.items():
        for build in builds if method != NATIVE else ():
            entries = build(graph, roots, wrt)
            if entries is not None and (key := (method, frozenset(entries.items()))) not in seen:
                seen.add(key)
                yield Way(method, entries)
