"""`verify`: a compiled kernel against an independent witness, before anybody uses it.

The witness is the user's original function on the numeric tape. Every entry of every result (or random combinations and
sampled rows, where there are very many) is compared at sampled and at special points. How much two correct evaluations
may differ is measured, not guessed: the function's graph is evaluated with randomly disturbed roundings. What differs
by more is decided by difference quotients of the function's values in multiple precision, without derivative rules.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.arbiter import Arbiter, Verdict
from hybrid.certificate import ULP_BINS, Certificate, Finding
from hybrid.comparison import Comparison, Outcome, contract, describe_point, judge
from hybrid.definition import Argument, Formula
from hybrid.errors import ArgumentError, VerificationError
from hybrid.rounding import ULP, rounding_spread
from hybrid.sampling import Points, Sampler
from hybrid.witness import Request, Witness, axes_of, order_of, root_of

LANES = 8  # every point is tried in this many positions of a vector
REPEATED = 20_000  # entries × points that are tried in every lane
FULL_BUDGET = 40_000  # tape operations for all entries of a formula; beyond, projections
LARGE = 20_000  # nodes of a function that is run no more often than needed
MOST_ENTRIES = 4_000_000  # entries × points held at once
ARBITRATION_BUDGET = 400_000  # operations in multiple precision
SAMPLED_ROWS = 3
RANDOM_PROJECTIONS = 2


@dataclass(frozen=True)
class Subject:
    """What is checked.

    `evaluate` takes one array per argument, of shape (points,) + argument shape, in the order of `arguments`, and
    returns one array of shape (points,) + formula shape per formula. The formulas' arguments are found by name.
    """

    name: str
    arguments: tuple[Argument, ...]
    formulas: tuple[Formula, ...]
    evaluate: Callable[..., Sequence[NDArray[Any]]]

    def __post_init__(self) -> None:
        shapes = {argument.name: argument.shape for argument in self.arguments}
        for formula in self.formulas:
            for argument in formula.arguments:
                if shapes.get(argument.name) != argument.shape:
                    raise ArgumentError(
                        f"{self.name}: {formula.name} needs an argument {argument.name} of shape {argument.shape}, "
                        f"the kernel's arguments are {shapes}"
                    )


def verify(subject: Subject, *, points: int | Mapping[str, Any] | None = None, seed: int = 0) -> Certificate:
    """Compare a kernel with the numeric tape and certify it.

    `points` is how many points to sample (default: what the size of the function affords, 2 to 16), or your own points:
    one array of shape (points,) + argument shape per argument name. Sampling and projections are the same for the same
    `seed`. Raises VerificationError, with the evidence and the certificate, when the kernel is wrong, ArgumentError for
    points that do not fit.
    """
    check = Check(subject, seed)
    with np.errstate(all="ignore"):
        chosen = check.points(points)
        return check.certify(chosen, check.compare(chosen))


@dataclass
class Check:
    """One run of `verify`: points, comparisons and the verdicts of the arbiter."""

    subject: Subject
    seed: int
    start: float = field(default_factory=time.perf_counter)
    rng: np.random.Generator = field(init=False)
    columns: dict[str, range] = field(init=False)
    witnesses: dict[int, Witness] = field(init=False)
    arbitrated: dict[int, int] = field(default_factory=dict)
    primal: list[NDArray[Any]] = field(default_factory=list)
    undecided: int = 0
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.columns, at = {}, 0
        for argument in self.subject.arguments:
            self.columns[argument.name] = range(at, at + argument.size)
            at += argument.size
        roots = [root_of(formula) for formula in self.subject.formulas]
        self.witnesses = {id(root.source): Witness(root) for root in roots}

    def witness(self, formula: Formula) -> Witness:
        return self.witnesses[id(root_of(formula).source)]

    def arrays(self, table: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Arguments by name, from points that have all elements side by side."""
        return {
            argument.name: np.ascontiguousarray(table[:, self.columns[argument.name]]).reshape(
                len(table), *argument.shape
            )
            for argument in self.subject.arguments
        }

    # --- points -------------------------------------------------------------------------------------------------------
    def points(self, wanted: int | Mapping[str, Any] | None) -> Points:
        if isinstance(wanted, Mapping):
            return self.given(wanted)
        elements = sum(argument.size for argument in self.subject.arguments)
        sampler = Sampler([w.root for w in self.witnesses.values()], self.columns, elements, self.rng)
        table = sampler.sample(self.affordable() if wanted is None else wanted)
        overlooked = table[:0]
        if sum(witness.operations for witness in self.witnesses.values()) < LARGE:
            overlooked = self.overlooked(sampler)
        table = np.concatenate([table, overlooked])
        if not sampler.found and not len(overlooked):
            self.notes.append("no point was found where the function is finite: pass points= with some of yours")
        special = sampler.special(table)
        return Points(np.concatenate([table, special]), len(special))

    def affordable(self) -> int:
        """How many ordinary points a check of this size affords."""
        entries = sum(prod(formula.shape) for formula in self.subject.formulas)
        nodes = sum(witness.operations for witness in self.witnesses.values())
        most, work = (16, 400_000) if all(w.lanes for w in self.witnesses.values()) else (8, 40_000)
        return max(2, min(most, MOST_ENTRIES // max(entries, 1), work // max(nodes, 1)))

    def overlooked(self, sampler: Sampler) -> NDArray[Any]:
        """Candidates where the user's function is finite although its graph is not."""
        table = sampler.draw(16 if all(w.lanes for w in self.witnesses.values()) else 2)
        finite = np.ones(len(table), dtype=bool)
        for witness in self.witnesses.values():
            finite &= np.isfinite(self.values(witness, table)).all(axis=1)
        return table[finite & (sampler.quality(table)[0] < 1)]

    def values(self, witness: Witness, table: NDArray[Any]) -> NDArray[Any]:
        """The user's function on the tape, without derivatives."""
        return self.attempt(witness, lambda: [witness.values(self.arrays(table))], len(table))[0]

    def attempt(self, witness: Witness, run: Callable[[], list[NDArray[Any]]], points: int) -> list[NDArray[Any]]:
        """Run the witness: point by point, then through the graph, where the source cannot take all points at once.

        The first of the arrays that `run` gives are the values of the user's function.
        """
        root = witness.root
        while True:
            try:
                results = run()
                if results[0].shape == (points, len(root.nodes)):
                    return results
                reason = f"it gave {results[0].shape[1]} numbers instead of {len(root.nodes)}"
            except Exception as error:  # a user's function may refuse tensors in any way
                reason = f"{type(error).__name__}: {error}"
            if witness.source == "graph":
                raise VerificationError(
                    f"{self.subject.name} cannot be checked: the tape cannot run {root.name}: {reason}"
                )
            if witness.source == "Python function" and witness.lanes:
                witness.lanes = False
            else:
                witness.source, witness.lanes = "graph", True
                self.notes.append(f"the tape ran the graph of {root.name}, as it could not run the source ({reason})")

    def given(self, wanted: Mapping[str, Any]) -> Points:
        names = [argument.name for argument in self.subject.arguments]
        if set(wanted) != set(names):
            raise ArgumentError(f"points= needs one array for each of {', '.join(names)}, got {', '.join(wanted)}")
        blocks = []
        for argument in self.subject.arguments:
            array = np.asarray(wanted[argument.name], dtype=np.float64)
            if array.ndim == 0 or array.shape[1:] != argument.shape:
                raise ArgumentError(
                    f"points for {argument.name} need shape (points,) + {argument.shape}, got {array.shape}"
                )
            blocks.append(array.reshape(len(array), -1))
        if len({len(block) for block in blocks}) > 1 or not blocks or not len(blocks[0]):
            raise ArgumentError("points= needs the same number of points, at least one, for every argument")
        return Points(np.concatenate(blocks, axis=1), 0)

    # --- comparing ----------------------------------------------------------------------------------------------------
    def compare(self, points: Points) -> list[Comparison]:
        copies = self.kernel(points)
        requests = self.requests(copies)
        arrays = self.arrays(points.values)
        tapes: dict[int, NDArray[Any]] = {}
        for key, witness in self.witnesses.items():
            own = [n for n, (_, (formula, _)) in enumerate(requests) if id(root_of(formula).source) == key]
            asked: list[Request] = [(witness.root, None), *(requests[n][1] for n in own)]
            primal, *answers = self.attempt(witness, partial(witness.answers, asked, arrays), len(points.values))
            self.primal.append(primal)
            tapes.update(zip(own, answers, strict=True))
        spreads = self.spreads(points)
        comparisons = []
        for number, (index, (formula, vectors)) in enumerate(requests):
            tape = tapes[number]
            reference, spread = spreads[index]
            if vectors is not None:
                size = contract(np.abs(reference), formula, vectors, absolute=True)
                spread = contract(spread, formula, vectors, absolute=True) + ULP * np.where(np.isfinite(size), size, 0)
            else:
                spread = contract(spread, formula, None)
            kernel = farthest(contract(copies[index], formula, vectors), tape)
            comparisons.append(
                Comparison(
                    index,
                    formula,
                    vectors,
                    kernel,
                    tape,
                    contract(reference, formula, vectors),
                    spread,
                    self.witness(formula).operations,
                )
            )
        return comparisons

    def kernel(self, points: Points) -> list[NDArray[Any]]:
        """The kernel's results, shape (copies, points, entries): as a batch, in every lane, and single points."""
        table = points.values
        count = len(table)
        entries = sum(prod(formula.shape) for formula in self.subject.formulas)
        shifts = range(LANES if entries * count <= REPEATED else 2)
        batch = np.concatenate([np.roll(table, shift, axis=0) for shift in shifts] + [table[: 1 + count // 2]])
        results = []
        singles = [self.evaluate(table[p : p + 1]) for p in range(min(count, 2))]
        for index, flat in enumerate(self.evaluate(batch)):
            copies = [np.roll(flat[shift * count : (shift + 1) * count], -shift, axis=0) for shift in shifts]
            last = copies[0].copy()
            last[: 1 + count // 2] = flat[len(shifts) * count :]
            once = copies[0].copy()
            for place, single in enumerate(singles):
                once[place] = single[index][0]
            results.append(np.stack([*copies, last, once]))
        return results

    def evaluate(self, table: NDArray[Any]) -> list[NDArray[Any]]:
        """The kernel at some points, each result as (points, entries)."""
        results = self.subject.evaluate(*self.arrays(table).values())
        flat = []
        for formula, result in zip(self.subject.formulas, results, strict=True):
            expected = (len(table), *formula.shape)
            array = np.asarray(result, dtype=np.float64)
            if array.shape != expected:
                raise VerificationError(
                    f"{self.subject.name}: the kernel gave {formula.name} of shape {array.shape} instead of {expected}"
                )
            flat.append(array.reshape(len(table), -1))
        return flat

    def requests(self, copies: Sequence[NDArray[Any]]) -> list[tuple[int, Request]]:
        """All entries of each formula where that is affordable, else random combinations and sampled rows."""
        found: list[tuple[int, Request]] = []
        for index, formula in enumerate(self.subject.formulas):
            axes = axes_of(formula)
            kind = formula.derivation.kind if formula.derivation else ""
            sweeps = prod(axes[:-1]) if kind in ("gradient", "jacobian", "hessian") else 1
            work = self.witness(formula).operations * (1 if self.witness(formula).lanes else 8)
            if sweeps == 1 or work * (3 ** order_of(formula) + sweeps) <= FULL_BUDGET:
                found.append((index, (formula, None)))
                continue
            sizes = row_sizes(formula, copies[index][0, 0]).reshape(axes[:-1])
            for number in range(RANDOM_PROJECTIONS):
                found.append((index, (formula, self.combination(sizes, balanced=number > 0))))
            for _ in range(SAMPLED_ROWS):
                row = [np.zeros(size) for size in axes[:-1]]
                for vector in row:
                    vector[self.rng.integers(0, len(vector))] = 1.0
                found.append((index, (formula, row)))
        return found

    def combination(self, sizes: NDArray[Any], balanced: bool) -> list[NDArray[Any]]:
        """Random weights along every axis but the last; `balanced` makes small rows count as much as large ones."""
        vectors = []
        for axis in range(sizes.ndim):
            count = sizes.shape[axis]
            weights = self.rng.choice([-1.0, 1.0], count) * self.rng.uniform(0.5, 1.0, count)
            if balanced:
                size = sizes.max(axis=tuple(a for a in range(sizes.ndim) if a != axis))
                weights = weights / np.where(size > 0, size, 1.0)
            vectors.append(weights)
        return vectors

    def spreads(self, points: Points) -> list[tuple[NDArray[Any], NDArray[Any]]]:
        """Per formula what its graph gives and how much rounding may change it, both (points, entries)."""
        table = points.values
        results: list[Any] = [None] * len(self.subject.formulas)
        graphs = {id(formula.graph): formula.graph for formula in self.subject.formulas}
        for key, graph in graphs.items():
            own = [i for i, formula in enumerate(self.subject.formulas) if id(formula.graph) == key]
            roots = [node for i in own for node in self.subject.formulas[i].nodes]
            values = {
                node: table[:, column]
                for i in own
                for argument in self.subject.formulas[i].arguments
                for node, column in zip(argument.nodes, self.columns[argument.name], strict=True)
            }
            reference, spread = rounding_spread(graph, roots, values, points.regular, self.rng)
            at = 0
            for i in own:
                size = len(self.subject.formulas[i].nodes)
                results[i] = reference[:, at : at + size], spread[:, at : at + size]
                at += size
        return results

    # --- judging ------------------------------------------------------------------------------------------------------
    def certify(self, points: Points, comparisons: Sequence[Comparison]) -> Certificate:
        """The certificate, once the arbiter has decided what kernel and tape do not agree on."""
        self.undecided = sum(comparison.beyond_rounding() for comparison in comparisons)
        disputes = []
        for dispute in disputes_of(points, comparisons):
            comparison, point, _ = dispute
            if points.regular[point] or comparison.formula.derivation is None or self.is_smooth(comparisons, point):
                disputes.append(dispute)
            else:
                self.undecided += 1  # derivatives of something that is infinite or undefined
        left = ARBITRATION_BUDGET
        arbiters: dict[int, Arbiter] = {}
        for rank, (comparison, point, number) in enumerate(disputes):
            if left < 0 and rank >= 3:
                self.notes.append(f"{len(disputes) - rank} more differences like the {rank} decided were left open")
                break
            left -= comparison.operations * 2 ** (order_of(comparison.formula) + 1)
            disputed = np.abs([comparison.kernel[point, number], comparison.tape[point, number]])
            size = float(np.min(disputed, initial=1.0, where=(disputed > 0) & np.isfinite(disputed)))
            if comparison.index not in arbiters:
                arbiters[comparison.index] = Arbiter(comparison.formula)
            verdict = arbiters[comparison.index].verdict(self.at(points, point), comparison.weights(number), size)
            match judge(comparison, point, number, verdict, bool(points.regular[point])):
                case Outcome.PASSED:
                    comparison.settle(point, number, verdict.value)
                    self.arbitrated[comparison.index] = self.arbitrated.get(comparison.index, 0) + 1
                case Outcome.UNDECIDED:
                    self.undecided += 1
                case Outcome.WRONG:
                    message = self.accusation(points, comparison, point, number, verdict, len(disputes))
                    raise VerificationError(message, self.certificate(points, comparisons, passed=False))
        return self.certificate(points, comparisons, passed=True)

    def is_smooth(self, comparisons: Sequence[Comparison], point: int) -> bool:
        """Whether the tape finds everything finite at a special point: values and derivatives."""
        values = [*self.primal, *(comparison.tape for comparison in comparisons)]
        return all(bool(np.isfinite(value[point]).all()) for value in values)

    def at(self, points: Points, point: int) -> dict[str, NDArray[Any]]:
        return {name: array[0] for name, array in self.arrays(points.values[point : point + 1]).items()}

    def accusation(
        self, points: Points, comparison: Comparison, point: int, number: int, verdict: Verdict, disputes: int
    ) -> str:
        witness = self.witness(comparison.formula)
        return (
            f"{self.subject.name}: the compiled kernel is wrong and was not returned.\n"
            f"  entry               {comparison.label(number)}\n"
            f"  point               {describe_point(self.at(points, point))}\n"
            f"  kernel              {float(comparison.kernel[point, number])!r}\n"
            f"  numeric tape        {float(comparison.tape[point, number])!r}  ({witness.source})\n"
            f"  multiple precision  {verdict.text}\n"
            f"  graph in NumPy      {float(comparison.reference[point, number])!r}"
            f"  (so {self.suspect(comparison, point, number)})\n"
            f"  may differ by       {comparison.tolerance(comparison.tape)[point, number]:.1e}\n"
            f"{disputes} compared numbers differ. "
            f"Please report the function and this text. hybrid.compile(..., rules='bitwise') compiles without "
            f"rewriting; verify=False returns the kernel unchecked."
        )

    def suspect(self, comparison: Comparison, point: int, number: int) -> str:
        """Which half of the pipeline made the error, by whether the graph before rewriting has it too."""
        graph, tape = comparison.reference[point, number], comparison.tape[point, number]
        with np.errstate(invalid="ignore"):
            agrees = abs(graph - tape) <= comparison.tolerance(tape)[point, number]
        if agrees or graph == tape:
            return "rewriting, lowering or native code is at fault"
        made = "reading or tracing" if comparison.formula.derivation is None else "differentiating"
        return f"{made} is at fault"

    def certificate(self, points: Points, comparisons: Sequence[Comparison], passed: bool) -> Certificate:
        findings, worst = [], (-1.0, "")
        for index, formula in enumerate(self.subject.formulas):
            own = [comparison for comparison in comparisons if comparison.index == index]
            peak = max((self.peak(points, comparison) for comparison in own), key=lambda found: found[0])
            worst = max(worst, peak, key=lambda found: found[0])
            findings.append(
                Finding(
                    formula.name,
                    formula.shape,
                    "every entry" if own[0].vectors is None else "projections and sampled rows",
                    sum(comparison.tape.size for comparison in own),
                    peak[0],
                    float(max(comparison.relative().max(initial=0.0) for comparison in own)),
                    peak[1],
                    self.arbitrated.get(index, 0),
                    counted(own),
                )
            )
        methods = dict.fromkeys(finding.method for finding in findings)
        return Certificate(
            name=self.subject.name,
            passed=passed,
            points=len(points.values) - points.special,
            special=points.special,
            entries=sum(finding.entries for finding in findings),
            max_ulp=worst[0],
            max_relative=max(finding.max_relative for finding in findings),
            where=worst[1],
            results=tuple(findings),
            method=", ".join(methods),
            arbitrated=sum(self.arbitrated.values()),
            undecided=self.undecided,
            witness=", ".join(dict.fromkeys(self.described(w) for w in self.witnesses.values())),
            seed=self.seed,
            seconds=time.perf_counter() - self.start,
            notes=tuple(self.notes),
        )

    def described(self, witness: Witness) -> str:
        how = "all points at once" if witness.lanes else "point by point"
        return f"{witness.source} of {witness.root.name} on the numeric reverse-mode tape, {how}"

    def peak(self, points: Points, comparison: Comparison) -> tuple[float, str]:
        """The largest difference in ulp, and where."""
        ulps = comparison.ulps()
        if not ulps.size:
            return 0.0, "no entry"
        point, number = (int(place) for place in np.unravel_index(ulps.argmax(), ulps.shape))
        return float(ulps[point, number]), f"{comparison.label(number)} at {describe_point(self.at(points, point))}"


def counted(comparisons: Sequence[Comparison]) -> tuple[int, ...]:
    """How many differences are in each bin of `ULP_BINS`, and beyond the last."""
    ulps = np.concatenate([c.ulps()[np.isfinite(c.tape) & np.isfinite(c.kernel)] for c in comparisons])
    bins = np.searchsorted(ULP_BINS, ulps, side="left")
    return tuple(np.bincount(bins, minlength=len(ULP_BINS) + 1).tolist())


def disputes_of(points: Points, comparisons: Sequence[Comparison]) -> list[tuple[Comparison, int, int]]:
    """Differences beyond tolerance as (comparison, point, number), in the order in which to decide them.

    Ordinary points and large differences come first, but one of every number before the second of any.
    """
    found = []
    for comparison in comparisons:
        excess = comparison.excess()
        for point, number in zip(*np.nonzero(excess > 1), strict=True):
            found.append((not points.regular[point], -excess[point, number], comparison, int(point), int(number)))
    found.sort(key=lambda dispute: dispute[:2])
    times: dict[tuple[int, int], int] = {}
    ranked = []
    for _, _, comparison, point, number in found:
        key = (id(comparison), number)
        times[key] = times.get(key, 0) + 1
        ranked.append((times[key], comparison, point, number))
    ranked.sort(key=lambda dispute: dispute[0])
    return [dispute[1:] for dispute in ranked]


def row_sizes(formula: Formula, entries: NDArray[Any]) -> NDArray[Any]:
    """The largest finite entry of each row of a derivative, from all its entries at one point."""
    axes = axes_of(formula)
    sizes = np.abs(np.where(np.isfinite(entries), entries, 0.0))
    pattern = formula.derivation.pattern if formula.derivation is not None else None
    if pattern is None:
        return np.asarray(sizes.reshape(-1, axes[-1]).max(axis=-1, initial=0.0))
    full, places = pattern.full()
    largest = np.zeros(full.shape[0])
    np.maximum.at(largest, full.rows, sizes[places])
    return largest


def farthest(copies: NDArray[Any], tape: NDArray[Any]) -> NDArray[Any]:
    """Of several copies of the same numbers the ones that differ most from the tape."""
    with np.errstate(invalid="ignore"):
        distance = np.abs(copies - tape)
    same = (copies == tape) | (np.isnan(copies) & np.isnan(tape))
    distance[np.isnan(distance)] = np.inf
    distance[same] = 0.0
    chosen: NDArray[Any] = np.take_along_axis(copies, distance.argmax(axis=0)[None], axis=0)[0]
    return chosen
