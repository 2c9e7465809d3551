"""Kernels that reduce their results over the batch: `hybrid.compile(..., reduce="sum")`.

A loss is a sum over data, and so is its gradient. Such a kernel computes rows and adds them up as it goes, so that 10⁷
rows write one gradient and read the parameters once.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

import codegen
from codegen.program import Array
from codegen.reducer import Reducer, compile_reduction
from codegen.reduction import CHUNK, GROUP
from hybrid.arguments import as_array, bind_arguments, check_threads
from hybrid.certificate import Certificate
from hybrid.compiled import CompiledFunctions
from hybrid.compose import composable
from hybrid.deferred import Deferred
from hybrid.definition import Argument, Formula
from hybrid.errors import ArgumentError, ShapeError, VerificationError

verification = Deferred("hybrid.verify")
exporting = Deferred("hybrid.exporting")
compiling = Deferred("hybrid.compiling")

# What may be asked for, and what native code does for it.
REDUCTIONS = {"sum": "sum", "mean": "sum", "max": "max", "logsumexp": "logsumexp"}
ALLOWED = ", ".join(map(repr, REDUCTIONS))
OF_VALUES = ("max", "logsumexp")  # not of derivatives: the derivative of a maximum is no maximum of derivatives
GATHERED = 32 * CHUNK  # rows that are copied together where the batches of the arguments do not lie in one line
REPEATED = 2  # vectors of equal rows by which the check runs the body as well as the tail

Pattern = frozenset[int]
Reals = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class ReducedKernel(CompiledFunctions):
    """Compiled functions whose results are reduced over the batch: arrays in, one array of the function's shape out.

    An argument is a number or an array of shape `batch + argument shape`; batches broadcast, and every result element
    is reduced over all axes of the batch. Arguments without a batch (parameters) are the same for every row and are
    read where they are; which those are is seen at the call, and each choice is compiled and checked when it is first
    met. A sum of n rows errs by at most 64·2⁻⁵³·Σ|row|, whatever n is, and its bits depend neither on the threads nor
    on which arguments are shared, nor on how the batch is shaped or laid out in memory.
    """

    reductions: tuple[str, ...]
    shared: Pattern
    verify: bool
    rules: str
    reducers: dict[Pattern, Reducer] = field(default_factory=dict)
    certificates: dict[Pattern, Certificate] = field(default_factory=dict)

    @property
    def certificate(self) -> Certificate | None:
        """Of the kernel as it was returned; `certificates` has those of other choices of shared arguments."""
        return self.certificates.get(self.shared)

    def __call__(self, *args: ArrayLike, threads: int | None = None, **named: ArrayLike) -> Any:
        """Reduce over a batch.

        Parameters
        ----------
        args, named : one number or array of shape batch + argument shape per argument, in order or by name.
        threads : how many threads share a large batch; default HYBRID_NUM_THREADS, else the processors available. The
            numbers do not depend on it.

        Returns one array of the function's shape (a NumPy float for a single number), or a tuple with one per function.
        Of no rows a sum is 0, a mean NaN, a log-sum-exp −inf. A row that is NaN makes its results NaN.
        Raises ArgumentError for missing, unknown or surplus arguments and for the maximum of no rows, ShapeError for
        shapes that do not fit, InputTypeError for complex or non-numeric data.
        """
        if any(map(composable, args)) or any(map(composable, named.values())):
            raise ArgumentError(f"{self.name} reduces over a batch and takes arrays, not tensors or traces")
        check_threads(self.name, threads)
        values = bind_arguments(self.name, self.arguments, args, named)
        arrays = [
            as_array(self.name, a, v).astype(np.float64, copy=False)
            for a, v in zip(self.arguments, values, strict=True)
        ]
        try:
            batch = np.broadcast_shapes(*(self._batch(k, array) for k, array in enumerate(arrays)))
        except ValueError as error:
            raise ShapeError(f"{self.name}: the batches of the arguments do not broadcast: {error}") from error
        n = math.prod(batch)
        if n == 0 and "max" in self.reductions:
            raise ArgumentError(f"{self.name}: the maximum of no rows is not defined; the batch is {batch}")
        same = frozenset(k for k, array in enumerate(arrays) if self._is_shared(k, array))
        # One row, or rows that are all alike, are as good as any others.
        pattern = self.shared if n <= 1 or len(same) == len(arrays) else same
        results = self.reduce(pattern, arrays, batch, threads)
        return results[0] if len(results) == 1 else tuple(results)

    def _batch(self, k: int, array: Reals) -> tuple[int, ...]:
        return array.shape[: array.ndim - len(self.arguments[k].shape)]

    def _is_shared(self, k: int, array: Reals) -> bool:
        axes = zip(self._batch(k, array), array.strides, strict=False)
        return all(extent == 1 or stride == 0 for extent, stride in axes)

    def reduce(
        self, pattern: Pattern, arrays: Sequence[Reals], batch: tuple[int, ...], threads: int | None
    ) -> list[Any]:
        """The results, for a choice of shared arguments: checked arrays in, `batch` what their batches broadcast to."""
        reducer = self.reducer(pattern)
        n = math.prod(batch)
        columns = [self._column(k, array, batch, k in pattern) for k, array in enumerate(arrays)]
        scattered = [
            k for k, array in enumerate(columns) if k not in pattern and array.ndim > 1 + len(self.arguments[k].shape)
        ]
        if not scattered:
            partials = reducer.partials(columns, threads)
        else:
            pieces = [np.empty((0, reducer.layout.partial))]
            for start in range(0, n, GATHERED):
                rows = np.unravel_index(np.arange(start, min(n, start + GATHERED)), batch)
                piece = list(columns)
                for k, array in enumerate(columns):
                    if k not in pattern:
                        piece[k] = array[rows] if k in scattered else array[start : start + GATHERED]
                pieces.append(reducer.partials(piece, threads))
            partials = np.concatenate(pieces)
        return [
            _finished(kind, array, n) for kind, array in zip(self.reductions, reducer.results(partials), strict=True)
        ]

    def _column(self, k: int, array: Reals, batch: tuple[int, ...], shared: bool) -> Reals:
        """An argument with one batch axis, or none if it is shared; with the whole batch where that takes a copy."""
        core = self.arguments[k].shape
        if shared:
            return array[(0,) * (array.ndim - len(core))] if array.size else np.zeros(core)
        spread = np.broadcast_to(array, batch + core)
        step = _step(batch, spread.strides)
        if step is None:
            return spread
        strides = (step, *spread.strides[len(batch) :])
        return np.lib.stride_tricks.as_strided(spread, (math.prod(batch), *core), strides, writeable=False)

    def reducer(self, pattern: Pattern) -> Reducer:
        """Native code for a choice of shared arguments, compiled and checked when it is first asked for."""
        found = self.reducers.get(pattern)
        if found is None:
            start = time.perf_counter()
            kinds = [REDUCTIONS[reduction] for reduction in self.reductions]
            found = compile_reduction(self.program, kinds, sorted(pattern))
            self.seconds["native code"] = self.seconds.get("native code", 0.0) + time.perf_counter() - start
            self.reducers[pattern] = found
            if self.verify and pattern not in self.certificates:
                try:
                    self.certificates[pattern] = check(self, pattern)
                except BaseException:
                    del self.reducers[pattern]
                    raise
        return found

    def export(
        self,
        folder: str | Path,
        name: str | None = None,
        formats: str | Sequence[str] = ("so", "h"),
        target: str | codegen.Target | None = None,
        optimise: str = "speed",
        dtype: DTypeLike = np.float64,
    ) -> list[Path]:
        """Write the kernel to files that need no Python, as `Kernel.export` does.

        `NAME_reduce` reduces points, of which the arguments that `shared=` named when the kernel was compiled hold one;
        `NAME` and `NAME_batch` compute rows, before they are reduced. In float32 there are the formats that hold no
        native code of a processor, such as "ptx" and "c"; of others, ValueError.
        """
        kinds = exporting.Reduction(self.reductions, self.shared)
        written: list[Path] = exporting.export(
            self, folder, name, formats, target, dtype, optimise=optimise, reduction=kinds
        )
        return written

    def ir(self) -> str:
        """The LLVM IR of the kernel as it was returned, before LLVM's own passes."""
        return "\n".join(self.reducer(self.shared).modules)

    def __reduce__(self) -> tuple[Any, ...]:
        names = [self.arguments[k].name for k in sorted(self.shared)]
        machine = repr(self.reducer(self.shared).layout.target)
        options = {"name": self.name, "rules": self.rules, "reduce": list(self.reductions), "shared": names}
        return compiling.reduced_again, (self.formulas, options, self.verify, machine, self.certificates)

    def _results(self) -> list[tuple[str, Array]]:
        return list(zip(self.reductions, self.program.results, strict=True))


def _step(batch: tuple[int, ...], strides: tuple[int, ...]) -> int | None:
    """Bytes from one row to the next where the rows of a batch, in C order, lie in one line; else None."""
    step, rows = None, 1
    for extent, stride in zip(batch[::-1], strides[: len(batch)][::-1], strict=True):
        if extent == 1:
            continue
        if step is None:
            step = stride
        elif stride != step * rows:
            return None
        rows *= extent
    return step or 0


def _finished(kind: str, array: Reals, n: int) -> Any:
    """A result from what native code gives for it."""
    if kind not in ("sum", "mean"):
        return array[()]
    with np.errstate(all="ignore"):
        total = array.sum(axis=-1)
        return total[()] if kind == "sum" else np.divide(total, n)[()]


def reductions_of(functions: Sequence[Formula], reduce: str | Sequence[str]) -> tuple[str, ...]:
    """One reduction per function. Raises ArgumentError for one that is unknown, or has no meaning for its function."""
    if not isinstance(reduce, str | list | tuple):
        raise ArgumentError(f"reduce must be one of {ALLOWED}, or a list with one per function, got {reduce!r}")
    kinds = [reduce] * len(functions) if isinstance(reduce, str) else list(reduce)
    if len(kinds) != len(functions):
        raise ArgumentError(f"reduce= names {len(kinds)} reductions for {len(functions)} functions")
    for kind, function in zip(kinds, functions, strict=True):
        if not isinstance(kind, str) or kind not in REDUCTIONS:
            raise ArgumentError(f"reduce must be one of {ALLOWED}, or a list with one per function, got {kind!r}")
        if kind in OF_VALUES and function.derivation is not None:
            raise ArgumentError(
                f"reduce={kind!r} of {function.name} has no meaning: the {function.derivation.kind} of a {kind} is not "
                f"the {kind} of {function.derivation.kind}s; 'sum' and 'mean' are the reductions of derivatives"
            )
    return tuple(kinds)


def shared_of(arguments: Sequence[Argument], shared: Sequence[str] | str) -> Pattern:
    """Numbers of the arguments named. Raises ArgumentError for an unknown one, and if none is left that varies."""
    names = [argument.name for argument in arguments]
    if not isinstance(shared, str | list | tuple):
        raise ArgumentError(f"shared must be a list of argument names, got {shared!r}")
    wanted = [shared] if isinstance(shared, str) else list(shared)
    unknown = [name for name in wanted if name not in names]
    if unknown:
        raise ArgumentError(f"shared= names {', '.join(map(str, unknown))}; the arguments are {', '.join(names)}")
    if set(wanted) >= set(names):
        raise ArgumentError("shared= names every argument: at least one must vary over the batch")
    return frozenset(names.index(name) for name in wanted)


# --- the check --------------------------------------------------------------------------------------------------------
def check(kernel: ReducedKernel, pattern: Pattern) -> Certificate:
    """Every row against the tape, and reductions of many rows against those of one, added exactly.

    Raises VerificationError when either disagrees.
    """
    seen: list[list[Reals]] = []

    def evaluate(*arrays: Reals) -> list[Reals]:
        seen.append(list(arrays))
        rows = [_row(kernel, pattern, [array[p] for array in arrays]) for p in range(len(arrays[0]))]
        return [
            np.array(values).reshape(len(rows), *f.shape)
            for values, f in zip(zip(*rows, strict=True), kernel.formulas, strict=True)
        ]

    certificate: Certificate = verification.verify(
        verification.Subject(kernel.name, kernel.arguments, kernel.formulas, evaluate)
    )
    _check_many(kernel, pattern, seen[-1])
    return certificate


def _row(kernel: ReducedKernel, pattern: Pattern, values: Sequence[Reals]) -> list[Reals]:
    """The functions at one point: the reduction of one row or, where that is as exact, of some equal ones."""
    one = _repeated(kernel, pattern, values, 1)
    count = REPEATED * kernel.reducer(pattern).layout.target.width
    many = _repeated(kernel, pattern, values, count)
    results = []
    for kind, single, several in zip(kernel.reductions, one, many, strict=True):
        value = several / count if kind == "sum" else several
        exact = kind != "logsumexp" and bool(np.isfinite(several).all())
        results.append(np.asarray(value if exact else single))
    return results


def _repeated(kernel: ReducedKernel, pattern: Pattern, values: Sequence[Reals], count: int) -> list[Any]:
    arrays = [
        np.asarray(value) if k in pattern else np.repeat(np.asarray(value)[None], count, axis=0)
        for k, value in enumerate(values)
    ]
    return kernel.reduce(pattern, arrays, (count,), 1)


def _check_many(kernel: ReducedKernel, pattern: Pattern, points: Sequence[Reals]) -> None:
    """Rows of all chunks, groups and lanes against `math.fsum` of the rows."""
    first = [array[0] for array in points]
    rows = []
    for p in range(len(points[0])):
        row = [first[k] if k in pattern else array[p] for k, array in enumerate(points)]
        values = _repeated(kernel, pattern, row, 1)
        if all(np.isfinite(value).all() and np.abs(value).max(initial=0.0) < 1e290 for value in values):
            rows.append((row, values))
    if not rows:
        return
    n = CHUNK + 3 * GROUP + 13
    which = np.arange(n) * 7 % len(rows)
    arrays = [
        np.asarray(first[k]) if k in pattern else np.stack([row[k] for row, _ in rows])[which]
        for k in range(len(first))
    ]
    counts = np.bincount(which, minlength=len(rows))
    for number, (kind, result) in enumerate(
        zip(kernel.reductions, kernel.reduce(pattern, arrays, (n,), None), strict=True)
    ):
        table = np.stack([np.asarray(values[number]).ravel() for _, values in rows])
        for place, (got, column) in enumerate(zip(np.ravel(result), table.T, strict=True)):
            expected, tolerance = _expected(kind, column, counts, n)
            if not abs(got - expected) <= tolerance:
                raise VerificationError(
                    f"{kernel.name}: the compiled kernel is wrong and was not returned: the {kind} of element {place} "
                    f"of {kernel.formulas[number].name} over {n} rows is {got!r}, its rows give {expected!r}; "
                    f"please report the function and this text"
                )


def _expected(kind: str, column: Reals, counts: NDArray[Any], n: int) -> tuple[float, float]:
    """A reduction of rows with how often each occurs, and how far another may be from it."""
    if kind == "max":
        return float(column.max()), 0.0
    if kind == "logsumexp":
        top = float(column.max())
        total = math.fsum(count * math.exp(value - top) for count, value in zip(counts, column, strict=True))
        return math.log(total) + top, 1e-14 * (abs(top) + 16)
    # A row is a sum of its own when it stands alone, which may round once more than where products are added.
    size = math.fsum(float(count) * abs(float(value)) for count, value in zip(counts, column, strict=True))
    total = math.fsum(float(count) * float(value) for count, value in zip(counts, column, strict=True))
    error = (GROUP + 4) * 2.0**-53 * size
    return (total, error) if kind == "sum" else (total / n, error / n)
