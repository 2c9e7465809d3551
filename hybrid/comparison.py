"""One comparison of kernel and tape: the numbers, how far apart they may be, and what each of them is called."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.arbiter import Verdict, unit_vectors
from hybrid.definition import Argument, Formula
from hybrid.rounding import ULP
from hybrid.sparsity import Pattern
from hybrid.witness import Vectors, axes_of, order_of, root_of

SPREADS = 16.0  # measured rounding spreads that two correct evaluations may be apart
FLOOR = 64.0  # ulp that they may be apart in any case
SLOPE = 8.0  # and one more for every so many operations of the function
TINY = 2.0**-1000  # below, results lose digits to underflow


@dataclass
class Comparison:
    """One request to the witness. Arrays have shape (points, numbers).

    `vectors` is None for all entries of the formula, else the weights of all axes but the last. `reference` is what the
    function's graph gives in NumPy, `spread` how much its rounding may change it; `operations` is the function's size.
    """

    index: int
    formula: Formula
    vectors: Vectors | None
    kernel: NDArray[Any]
    tape: NDArray[Any]
    reference: NDArray[Any]
    spread: NDArray[Any]
    operations: int = 0

    def tolerance(self, truth: Any) -> Any:
        """How far the kernel may be from a right answer of this size."""
        with np.errstate(invalid="ignore"):
            floor = (FLOOR + self.operations / SLOPE) * ULP
            return SPREADS * self.spread + floor * np.maximum(np.abs(truth), TINY)

    def excess(self) -> NDArray[Any]:
        """Difference over tolerance; infinite where one is finite, or infinite, and the other is not; 0 if equal."""
        with np.errstate(all="ignore"):
            ratio = np.abs(self.kernel - self.tape) / self.tolerance(self.tape)
        ratio = np.where(np.isnan(ratio), np.inf, ratio).astype(np.float64)
        ratio[np.isinf(self.spread)] = 0.0  # no evaluation can promise anything here
        equal = (self.kernel == self.tape) | (np.isnan(self.kernel) & np.isnan(self.tape))
        ratio[equal] = 0.0
        return ratio

    def beyond_rounding(self) -> int:
        return int(np.isinf(self.spread).sum())

    def ulps(self) -> NDArray[Any]:
        """Differences in ulp of the entry or of what cancels in it; 0 where either is not finite."""
        return self.differences(np.spacing)

    def relative(self) -> NDArray[Any]:
        """Differences relative to the entry or to what cancels in it; 0 where either is not finite."""
        return self.differences(np.abs)

    def differences(self, unit: Callable[[Any], Any]) -> NDArray[Any]:
        scale = np.maximum(np.abs(self.tape), self.spread / ULP)
        good = np.isfinite(self.tape) & np.isfinite(self.kernel) & np.isfinite(scale)
        result = np.zeros(scale.shape)
        result[good] = np.abs(self.kernel[good] - self.tape[good]) / unit(np.maximum(scale[good], TINY))
        return result

    def settle(self, point: int, number: int, value: float | None) -> None:
        """What multiple precision found takes the place of what the tape said, in the figures too."""
        if value is not None:
            self.tape[point, number] = value

    def weights(self, number: int) -> Vectors:
        """The weights of all axes that give one compared number."""
        if self.vectors is None:
            return unit_vectors(self.formula, number)
        last = np.zeros(axes_of(self.formula)[-1])
        last[number] = 1.0
        return [*self.vectors, last]

    def label(self, number: int) -> str:
        """What one compared number is, such as `f_hessian[0, 1] (∂²f/∂x∂y)`."""
        weights = self.weights(number)
        if any(np.count_nonzero(vector) > 1 for vector in weights):
            return f"a random combination of the rows of {self.formula.name}, column {number}"
        places = [int(np.flatnonzero(vector)[0]) for vector in weights]
        entry = int(np.ravel_multi_index(places, axes_of(self.formula)))
        pattern = self.formula.derivation.pattern if self.formula.derivation else None
        shape = self.formula.shape if pattern is None else pattern.shape
        index = ", ".join(str(i) for i in np.unravel_index(entry, shape)) if shape else ""
        name = f"{self.formula.name}[{index}]" if index else self.formula.name
        meaning = derivative_name(self.formula, places)
        return f"{name} ({meaning})" if meaning else name


class Outcome(Enum):
    """What the arbiter makes of a difference between kernel and tape."""

    WRONG = "the kernel is wrong"
    PASSED = "the kernel is right, the tape is off"
    UNDECIDED = "nobody can tell"


def judge(comparison: Comparison, point: int, number: int, verdict: Verdict, regular: bool) -> Outcome:
    """Decide a difference; `regular`: not at a special point, where derivatives may be a matter of convention."""
    kernel, tape = comparison.kernel[point, number], comparison.tape[point, number]
    order = order_of(comparison.formula)
    if verdict.value is not None and np.isfinite(kernel):
        allowed = comparison.tolerance(verdict.value)[point, number] + verdict.error
        return Outcome.WRONG if abs(kernel - verdict.value) > allowed else Outcome.PASSED
    if verdict.value is not None and np.isfinite(tape):
        return Outcome.WRONG
    if order == 0:  # values are computed as written: NaN, infinity and overflow are kept
        reference = comparison.reference[point, number]
        alike = np.isfinite(reference) == np.isfinite(tape) and np.isnan(reference) == np.isnan(tape)
        return Outcome.WRONG if alike else Outcome.UNDECIDED
    if verdict.value is not None or verdict.undefined:
        return Outcome.UNDECIDED
    reference, spread = comparison.reference[point, number], comparison.spread[point, number]
    if 0 < abs(reference) < spread:  # roundings decide all of it, as after many steps of a chaotic recurrence
        return Outcome.UNDECIDED
    # a kink: first derivatives keep the written conventions, higher ones have none
    return Outcome.WRONG if regular or (order == 1 and np.isfinite(tape)) else Outcome.UNDECIDED


def derivative_name(formula: Formula, places: Sequence[int]) -> str:
    """∂f[i]/∂x∂y of an entry; empty for values and for products with vectors."""
    variables: list[str] = []
    places = list(places)
    while formula.derivation is not None:
        derivation = formula.derivation
        if derivation.kind not in ("gradient", "jacobian", "hessian"):
            return ""
        names = [name for position in derivation.wrt for name in element_names(derivation.of.arguments[position])]
        for _ in range(2 if derivation.kind == "hessian" else 1):
            variables.insert(0, names[places.pop()])
        formula = derivation.of
        if formula.derivation is not None and formula.derivation.pattern is not None:
            pattern, entry = formula.derivation.pattern, places.pop()
            rows = np.unravel_index(pattern.rows[entry], axes_of(formula)[:-1])
            places += [*map(int, rows), int(pattern.columns[entry])]
    if not variables:
        return ""
    power = {1: "", 2: "²", 3: "³"}.get(len(variables), f"^{len(variables)}")
    root = root_of(formula)
    index = ", ".join(str(i) for i in np.unravel_index(places[0], root.shape)) if root.shape else ""
    name = f"{root.name}[{index}]" if index else root.name
    return f"∂{power}{name}/" + "".join(f"∂{variable}" for variable in variables)


def element_names(argument: Argument) -> list[str]:
    return [
        f"{argument.name}[{', '.join(map(str, index))}]" if index else argument.name
        for index in np.ndindex(argument.shape)
    ]


def describe_point(point: Mapping[str, NDArray[Any]], most: int = 12) -> str:
    """`x=0.5, q=[1.0, 2.0]`, with every digit; long arrays are cut."""
    texts = []
    for name, array in point.items():
        flat = [repr(float(x)) for x in np.ravel(array)]
        body = ", ".join(flat[:most]) + (", …" if len(flat) > most else "")
        texts.append(f"{name}=[{body}]" if np.ndim(array) else f"{name}={body}")
    return ", ".join(texts)


def contract(blocks: NDArray[Any], formula: Formula, vectors: Vectors | None, absolute: bool = False) -> NDArray[Any]:
    """Entries of shape (…, product of axes) weighted along all axes but the last; shape (…, last axis).

    A weight vector with one entry picks, so that NaN elsewhere does not matter. `absolute` uses the weights' sizes.
    The entries of a sparse derivative, shape (…, nnz), are put where they belong.
    """
    pattern = formula.derivation.pattern if formula.derivation is not None else None
    if pattern is not None:
        full, places = pattern.full()
        blocks = blocks[..., places]
        return full.array(blocks).reshape(*blocks.shape[:-1], -1) if vectors is None else (
            contract_sparse(blocks, full, reduce(np.multiply.outer, vectors).ravel(), absolute))  # fmt: skip
    if vectors is None:
        return blocks
    axes = axes_of(formula)
    lead = blocks.ndim - 1
    blocks = blocks.reshape(*blocks.shape[:-1], *axes)
    for vector in vectors:
        places = np.flatnonzero(vector)
        weights = np.abs(vector[places]) if absolute else vector[places]
        chosen = np.take(blocks, places, axis=lead)
        with np.errstate(invalid="ignore", over="ignore"):
            blocks = (
                np.tensordot(chosen, weights, axes=(lead, 0)) if len(places) > 1 else chosen.squeeze(lead) * weights[0]
            )
    return blocks


def contract_sparse(blocks: NDArray[Any], pattern: Pattern, weights: NDArray[Any], absolute: bool) -> NDArray[Any]:
    """The entries (…, nnz) of a pattern, their rows weighted and summed: (…, columns)."""
    chosen = np.flatnonzero(weights[pattern.rows])
    chosen = chosen[np.argsort(pattern.columns[chosen], kind="stable")]
    own = weights[pattern.rows[chosen]]
    with np.errstate(invalid="ignore", over="ignore"):
        terms = blocks[..., chosen] * (np.abs(own) if absolute else own)
        columns, starts = np.unique(pattern.columns[chosen], return_index=True)
        result = np.zeros((*blocks.shape[:-1], pattern.shape[1]))
        if len(columns):
            result[..., columns] = np.add.reduceat(terms, starts, axis=-1)
    return result
