"""How far float64 values of expressions are from the exact ones, measured at many points at once.

The exact value is taken to be that in the widest floating-point type of the machine: on x86 its 64 bits of mantissa
leave 2**-11 of what float64 loses, whatever the condition of the expression. Functions that NumPy has in float64 only
are continued from the nearest float64 argument along their slope; their own rounding is then not seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid import operations as ops
from hybrid.evaluate import node_value
from hybrid.graph import Graph
from hybrid.lower import exponent_of
from hybrid.operations import CONSTANT, MASK, VARIABLE, NamedConstant
from hybrid.points import signs

WIDE = np.longdouble
ULP = 2.0**-53
MEASURABLE = np.finfo(WIDE).nmant >= 63  # where longdouble is float64, nothing can be seen with it
TINY = 1e-290  # smaller values lose digits to underflow in any form
USUAL = 0.25  # of the values are smaller than what is taken for their usual size
STEP = 2.0**-20  # of the difference quotient along which a function is continued
TAME, WILD = 256, 48  # sampled points: of size 0.3 to 2, and from 1e-4 to 1e4
SEED = 21
# How much larger errors may look before a form counts as worse: two equally good forms differ by about as much.
TYPICAL, HIGH, LARGEST, FAR = 1.25, 1.5, 3.0, 4.0

Values = NDArray[Any]


@dataclass(frozen=True)
class Errors:
    """Of one value over the sampled points, in ulp: the typical error (geometric mean of error + 1, less 1), what nine
    of ten are below, and the largest, where points near a zero of the value are measured by its usual size."""

    typical: float
    high: float
    largest: float


def wide_values(
    graph: Graph,
    nodes: Sequence[int],
    samples: Mapping[int, NDArray[np.float64]],
    known: dict[int, Any] | None = None,
) -> dict[int, Any]:
    """Values of `nodes`, which are in evaluation order and hold all that they need, in the widest type.

    Values that are `known` are not computed again; new ones are added to them.
    """
    known = {} if known is None else known
    with np.errstate(all="ignore"):
        for node in nodes:
            if node in known:
                continue
            op = graph.ops[node]
            if op is CONSTANT:
                known[node] = wide_constant(graph.leaves[node])
            elif op is VARIABLE:
                known[node] = samples[node].astype(WIDE)
            else:
                args = [known[arg] for arg in graph.args[node]]
                value = op.numpy(*args)
                if op.result != MASK and np.asarray(value).dtype != WIDE:
                    value = continued(op.numpy, args)
                known[node] = value
    return known


def wide_constant(value: Any) -> Any:
    if isinstance(value, bool):
        return np.bool_(value)
    if isinstance(value, NamedConstant):
        return WIDE(str(value.sympy.evalf(25)))
    if hasattr(value, "numerator") and not isinstance(value, float):
        return wide_integer(value.numerator) / wide_integer(value.denominator)
    return WIDE(value)


def wide_integer(value: int) -> Any:
    return WIDE(str(value))


def continued(function: Any, args: Sequence[Any]) -> Any:
    """A float64 function at wide arguments: from the nearest float64 ones along the slope."""
    near = [np.asarray(arg, dtype=np.float64) if np.asarray(arg).dtype == WIDE else arg for arg in args]
    total = np.asarray(function(*near)).astype(WIDE)
    for place, (arg, at) in enumerate(zip(args, near, strict=True)):
        if np.asarray(arg).dtype != WIDE or np.ndim(arg) == 0:
            continue
        step = np.maximum(np.abs(at), TINY) * STEP
        above, below = [*near], [*near]
        above[place], below[place] = at + step, at - step
        slope = (np.asarray(function(*above)) - np.asarray(function(*below))) / (2 * step)
        shift = (arg - at) * slope
        total = total + np.where(np.isfinite(shift), shift, 0)
    return total


def kernel_values(graph: Graph, roots: Sequence[int], samples: Mapping[int, Any]) -> list[Any]:
    """Float64 values of the roots as kernels compute them: whole powers by products, negative terms subtracted last."""
    known: dict[int, Any] = {}
    with np.errstate(all="ignore"):
        for node in graph.reach(roots):
            op, args = graph.ops[node], graph.args[node]
            if (
                op is ops.pow
                and graph.is_constant(args[1])
                and (exponent := exponent_of(graph.leaves[args[1]])) is not None
            ):
                known[node] = chain(known[args[0]], exponent)
            elif op is ops.add:
                terms = sorted(args, key=lambda arg: is_negative(graph, arg))
                known[node] = op.numpy(*[known[arg] for arg in terms])
            else:
                known[node] = node_value(graph, node, known, samples)
    return [known[root] for root in roots]


def chain(base: Any, exponent: Any) -> Any:
    if exponent < 0:
        return 1 / chain(base, -exponent)
    whole = int(exponent)
    value = np.sqrt(base) if exponent != whole else None
    factors: Any = base if whole else None
    for bit in bin(whole)[3:]:
        factors = factors * factors if bit == "0" else factors * factors * base
    parts = [part for part in (factors, value) if part is not None]
    return parts[0] if len(parts) == 1 else parts[0] * parts[1] if parts else np.float64(1.0)


def is_negative(graph: Graph, node: int) -> bool:
    """Whether a term has a minus in front that kernels take out of it."""
    op, args = graph.ops[node], graph.args[node]
    if op is ops.neg:
        return True
    first = graph.leaves.get(args[0]) if op is ops.mul else None
    return isinstance(first, int | float | Fraction) and first < 0


def measured(
    graph: Graph, exact: Sequence[Values], roots: Sequence[int], samples: Mapping[int, Any]
) -> list[tuple[Errors, Errors]]:
    """The errors of the roots against the exact values of what they stand for, at tame points and at wild ones."""
    found = []
    with np.errstate(all="ignore"):
        for value, true in zip(kernel_values(graph, roots, samples), exact, strict=True):
            size = np.abs(true)
            seen = np.isfinite(true) & (size > TINY) & np.isfinite(value)
            error = (np.abs(value - true) / ULP).astype(np.float64)
            size = size.astype(np.float64)
            near, far = seen[:TAME], seen[TAME:]
            found.append((summary(error[:TAME][near], size[:TAME][near]), summary(error[TAME:][far], size[TAME:][far])))
    return found


def summary(error: NDArray[np.float64], size: NDArray[np.float64]) -> Errors:
    if not error.size:
        return Errors(0.0, 0.0, 0.0)
    relative = error / size
    typical = np.expm1(np.mean(np.log1p(relative)))
    usual = np.maximum(size, quantile(size, USUAL))
    return Errors(float(typical), quantile(relative, 0.9), float(np.max(error / usual)))


def quantile(values: NDArray[np.float64], q: float) -> float:
    """NumPy's, between the two nearest values in proportion, without what it takes to allow for everything else."""
    place = q * (values.size - 1)
    low = int(place)
    around = np.partition(values, [low, min(low + 1, values.size - 1)])
    first, last = around[low], around[min(low + 1, values.size - 1)]
    return float(first + (last - first) * (place - low))


class Yardstick:
    """The errors of some expressions as they were given, which other forms of them may not exceed."""

    def __init__(self, graph: Graph, roots: Sequence[int], seed: int = SEED) -> None:
        self.graph, self.roots, self.seed = graph, list(roots), seed
        order = graph.reach(roots)
        variables = [node for node in order if graph.ops[node] is VARIABLE]
        self.samples = dict(zip(variables, sample(len(variables), seed), strict=True))
        known = wide_values(graph, order, self.samples)
        distinct = list(dict.fromkeys(roots))
        exact = {root: np.broadcast_to(np.asarray(known[root], dtype=WIDE), TAME + WILD) for root in distinct}
        given = dict(zip(distinct, measured(graph, list(exact.values()), distinct, self.samples), strict=True))
        self.exact, self.given = [exact[root] for root in roots], [given[root] for root in roots]

    def worse(self, form: Sequence[int], slack: float = 1.0) -> set[int]:
        """The places of the roots that are less accurate in this form than as they were given.

        What looks so at one sample is judged again by another: of many roots some always do. With a `slack` of 2
        errors may be larger by twice of what they may otherwise.
        """
        changed = [place for place, (old, new) in enumerate(zip(self.roots, form, strict=True)) if old != new]
        suspects = self.exceeding(form, slack) if changed else set()
        if not suspects or self.seed != SEED:
            return suspects
        places = sorted(suspects)
        again = Yardstick(self.graph, [self.roots[place] for place in places], SEED + 1)
        return {places[at] for at in again.exceeding([form[place] for place in places], slack)}

    def exceeding(self, form: Sequence[int], slack: float) -> set[int]:
        """The places of the roots that are less accurate in this form, of those that it changes."""
        by_pair: dict[tuple[int, int], list[int]] = {}
        for place, pair in enumerate(zip(self.roots, form, strict=True)):
            if pair[0] != pair[1]:
                by_pair.setdefault(pair, []).append(place)
        firsts = [places[0] for places in by_pair.values()]
        exact, new = [self.exact[place] for place in firsts], [form[place] for place in firsts]
        errors = measured(self.graph, exact, new, self.samples)
        worse = [exceeds(one, self.given[place], slack) for one, place in zip(errors, firsts, strict=True)]
        return {place for places, is_worse in zip(by_pair.values(), worse, strict=True) if is_worse for place in places}


def exceeds(new: tuple[Errors, Errors], old: tuple[Errors, Errors], slack: float) -> bool:
    (near, far), (near_before, far_before) = new, old
    return (
        near.typical + 1 > (1 + slack * (TYPICAL - 1)) * (near_before.typical + 1)
        or near.high > slack * HIGH * max(near_before.high, 2.0)
        or near.largest > slack * LARGEST * max(near_before.largest, 3.0)
        or far.high > FAR * max(far_before.high, 4.0)
    )


def sample(count: int, seed: int) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    tame = np.exp(rng.uniform(-1.2, 0.7, (count, TAME))) * signs(rng, count, TAME)
    wild = 10.0 ** rng.uniform(-4, 4, (count, WILD)) * signs(rng, count, WILD)
    return np.concatenate([tame, wild], axis=1)
