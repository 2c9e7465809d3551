"""Rolled functions compiled together: one run of native blocks per model, checked before it is returned."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import ArrayLike, NDArray

from codegen import blocks as native
from codegen.target import Target
from hybrid.arguments import as_array, bind_arguments, check_threads
from hybrid.compose import composable
from hybrid.deferred import Deferred
from hybrid.errors import ArgumentError, ShapeError, UnsupportedError, VerificationError
from hybrid.rolled import check
from hybrid.rolled.formula import RolledArgument, RolledFormula
from hybrid.rolled.maps import Shape
from hybrid.rolled.plan import Plan, plan

if TYPE_CHECKING:
    from hybrid.certificate import Certificate


again = Deferred("hybrid.rolled.again")
files = Deferred("hybrid.rolled.files")


@dataclass(frozen=True)
class Run:
    """The functions of one model: their plan, its native code bound to the model's data, and which results they are."""

    plan: Plan
    bound: Any
    inputs: tuple[tuple[str, int], ...]
    places: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class RolledKernel:
    """Compiled rolled functions, called together: arrays in, one array per function out.

    Each argument has the shape it was declared with, or a batch of such; batches broadcast. Results are float64, of
    shape batch + the function's, a NumPy float for a scalar of one point.
    """

    formulas: tuple[RolledFormula, ...]
    arguments: tuple[RolledArgument, ...]
    runs: tuple[Run, ...] = field(repr=False)
    name: str
    seconds: dict[str, float] = field(repr=False)
    certificate: Certificate | None = None
    rules: str = "real"

    def __call__(
        self,
        *args: ArrayLike,
        out: NDArray[Any] | Sequence[NDArray[Any]] | None = None,
        threads: int | None = None,
        **named: ArrayLike,
    ) -> Any:
        """Evaluate.

        args, named : one array per argument, in order or by name.
        out : float64 arrays of the results' shapes to write into, each point of them C-contiguous.
        threads : how many share the points of a batch, or the instances of one; the numbers do not depend on it.

        Returns one array, or a tuple with one per function. Raises ArgumentError, ShapeError and InputTypeError as
        `hybrid.Kernel` does.
        """
        check_threads(self.name, threads)
        if any(map(composable, (*args, *named.values()))):
            raise UnsupportedError(
                f"{self.name} is a rolled kernel, which is neither traced nor recorded: call the function itself with "
                "tensors or traced arrays"
            )
        values = bind_arguments(self.name, self.arguments, args, named)
        arrays = [as_array(self.name, a, value) for a, value in zip(self.arguments, values, strict=True)]
        batches = [array.shape[: array.ndim - len(a.shape)] for a, array in zip(self.arguments, arrays, strict=True)]
        try:
            batch = np.broadcast_shapes(*batches)
        except ValueError as error:
            raise ShapeError(
                f"{self.name}: batches of shapes {', '.join(map(str, batches))} do not broadcast"
            ) from error
        given = self._outputs(out, batch)
        if batch:
            return self._batch(arrays, batch, given, threads)
        results = self._point(arrays, None if given is None else [a.reshape(-1) for a in given], threads)
        found = tuple(r.reshape(f.shape)[()] for r, f in zip(results, self.formulas, strict=True))
        return found[0] if len(found) == 1 else found

    def __getattr__(self, name: str) -> Any:
        if name in ("program", "ufunc", "point", "address", "batch_address", "low_level_callable", "latex"):
            raise UnsupportedError(
                f"{self.name} is a rolled kernel and has no {name}: trace its functions with "
                "hybrid.function(rolled=False, ...), or compile large expressions with tier='quick'"
            )
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _outputs(self, out: Any, batch: Shape = ()) -> list[NDArray[Any]] | None:
        """The arrays given to write into, checked."""
        if out is None:
            return None
        listed = [out] if isinstance(out, np.ndarray) else list(out)
        if len(listed) != len(self.formulas):
            raise ArgumentError(f"{self.name}: out= needs {len(self.formulas)} arrays, got {len(listed)}")
        for array, formula in zip(listed, self.formulas, strict=True):
            wanted = batch + formula.shape
            if array.shape != wanted:
                raise ShapeError(f"{self.name}: out= for {formula.name} has shape {array.shape}, not {wanted}")
            if array.dtype != np.float64 or not in_a_row(array, len(batch)) or not array.flags.writeable:
                raise ArgumentError(f"{self.name}: out= for {formula.name} must be C-contiguous, writable float64")
        return listed

    def _point(
        self, arrays: Sequence[NDArray[Any]], out: list[NDArray[Any]] | None, threads: int | None
    ) -> list[NDArray[np.float64]]:
        flat = {
            argument.name: np.ascontiguousarray(array, dtype=np.float64).reshape(-1)
            for argument, array in zip(self.arguments, arrays, strict=True)
        }
        results = out or [np.empty(prod(formula.shape)) for formula in self.formulas]
        self._run(flat, results, threads)
        return results

    def _run(self, flat: Mapping[str, NDArray[Any]], results: Any, threads: int | None) -> None:
        for run in self.runs:
            outputs = {f"b{self.formulas[place].output}": results[place] for place in run.places}
            inputs = {f"b{buffer}": flat[name] for name, buffer in run.inputs}
            run.bound.run(inputs, outputs, threads=threads)
            for place in run.places:  # a function that was given twice
                held = outputs[f"b{self.formulas[place].output}"]
                if held is not results[place]:
                    results[place][:] = held

    def _batch(
        self,
        arrays: Sequence[NDArray[Any]],
        batch: Shape,
        out: list[NDArray[Any]] | None,
        threads: int | None,
    ) -> Any:
        flat = {}
        for argument, array in zip(self.arguments, arrays, strict=True):
            own = array.ndim - len(argument.shape)
            plain = np.require(array, np.float64, ["A"])
            plain = plain if in_a_row(plain, own) else np.ascontiguousarray(plain)
            flat[argument.name] = flattened(np.broadcast_to(plain, (*batch, *argument.shape)), len(batch))
        results = out or [np.empty((*batch, *formula.shape)) for formula in self.formulas]
        for run in self.runs:
            held = {f"b{buffer}": flat[name] for name, buffer in run.inputs}
            inputs = [held[buffer.name] for buffer in run.bound.inputs]
            first = {f"b{self.formulas[place].output}": results[place] for place in reversed(run.places)}
            outputs = [flattened(first[buffer.name], len(batch)) for buffer in run.bound.outputs]
            try:
                native.run_batch(run.bound, inputs, outputs, batch, threads)
            except ValueError as error:
                raise ArgumentError(str(error)) from None
            for place in run.places:  # a function that was given twice
                if (one := first[f"b{self.formulas[place].output}"]) is not results[place]:
                    results[place][...] = one
        return results[0] if len(results) == 1 else tuple(results)

    def with_data(self, verify: bool = True, **new: Any) -> RolledKernel:
        """The kernel of the same functions with other data and shapes, without compiling: see `Function.with_data`."""
        return compile_rolled(again.with_data(self.formulas, new), self.name, verify, self.rules)

    def bind(
        self,
        inputs: Mapping[str, NDArray[Any]] | Sequence[NDArray[Any]],
        outputs: NDArray[Any] | Sequence[NDArray[Any]] | None = None,
    ) -> Callable[[], Any]:
        """A function of no arguments that evaluates the kernel on fixed arrays, as `hybrid.Kernel.bind`.

        Arrays are C-contiguous float64, of batch + the declared shapes. Each call reads `inputs` as they are
        and overwrites `outputs`, which it returns. Raises ArgumentError and ShapeError for arrays that do not fit.
        """
        values = inputs if isinstance(inputs, Mapping) else dict(zip(self._names, inputs, strict=False))
        arrays = [np.asarray(values[name]) for name in self._names if name in values]
        if len(arrays) != len(self.arguments):
            raise ArgumentError(f"{self.name}: bind needs an array for each of {', '.join(self._names)}")
        for argument, array in zip(self.arguments, arrays, strict=True):
            if array.shape[max(0, array.ndim - len(argument.shape)) :] != argument.shape:
                raise ShapeError(f"{self.name}: {argument.name} has shape {argument.shape}, got {array.shape}")
            if array.dtype != np.float64 or not array.flags.c_contiguous:
                raise ArgumentError(
                    f"{self.name}: bind needs C-contiguous float64 arrays, not {argument.name} as it is"
                )
        batches = [array.shape[: array.ndim - len(a.shape)] for a, array in zip(self.arguments, arrays, strict=True)]
        try:
            batch = np.broadcast_shapes(*batches)
        except ValueError as error:
            raise ShapeError(
                f"{self.name}: batches of shapes {', '.join(map(str, batches))} do not broadcast"
            ) from error
        made = [np.empty(batch + formula.shape) for formula in self.formulas]
        listed = made if outputs is None else [outputs] if isinstance(outputs, np.ndarray) else list(outputs)
        self._outputs(listed, batch)
        if batch:
            return functools.partial(self._batch, arrays, batch, listed, None)
        flat = {a.name: array.reshape(-1) for a, array in zip(self.arguments, arrays, strict=True)}
        results = [array.reshape(-1) for array in listed]
        whole: Any = listed[0] if len(listed) == 1 else tuple(listed)
        parts = []
        for run in self.runs:
            held = {f"b{buffer}": flat[name] for name, buffer in run.inputs}
            held |= {f"b{self.formulas[place].output}": results[place] for place in run.places}
            if len({self.formulas[place].output for place in run.places}) < len(run.places):
                return self._repeated(flat, results, whole)
            inputs = [held[buffer.name] for buffer in run.bound.inputs]
            parts.append(native.Part(run.bound, inputs, [held[buffer.name] for buffer in run.bound.outputs]))
        try:
            return native.fixed(self.name, parts, [*arrays, *listed], whole)
        except ValueError as error:
            raise ArgumentError(str(error)) from None

    def _repeated(self, flat: Mapping[str, NDArray[Any]], results: Any, whole: Any) -> Callable[[], Any]:
        """As `bind`, of a function that was given twice."""

        def step() -> Any:
            self._run(flat, results, None)
            return whole

        return step

    def export(
        self,
        folder: str | Path,
        name: str | None = None,
        formats: str | Sequence[str] = ("so", "h"),
        target: str | Target | None = None,
        optimise: str = "speed",
    ) -> list[Path]:
        """Write the kernel to files that need no Python, as `hybrid.Kernel.export`: loops and tables, not statements.

        formats : of "o", "h", "ll", "bc", "s", "a", "c", "so", "cmake", "pc"; others are refused by name.
        target, optimise : as for `hybrid.Kernel.export`.

        Lengths, data and indices are those of this kernel. Raises ValueError for other formats, and
        codegen.export.LinkerNotFound as `hybrid.Kernel.export` does.
        """
        written: list[Path] = files.export(self, folder, name, formats, target, optimise)
        return written

    @property
    def _names(self) -> list[str]:
        return [argument.name for argument in self.arguments]

    @property
    def operations(self) -> int:
        """Operations of one call: those of each template times its instances."""
        return sum(count * times for run in self.runs for _, count, times in run.plan.operations)

    @property
    def templates(self) -> list[tuple[str, int, int]]:
        """Per template: its name, its operations per instance, its number of instances."""
        return [entry for run in self.runs for entry in run.plan.operations]

    def explain(self) -> str:
        """What is computed: every template with its index space, reads, writes and operations."""
        lines = [repr(self)]
        for run in self.runs:
            lines += [f"{name}: {count} operations × {times:,}" for name, count, times in run.plan.operations]
            lines.append(str(run.plan.form))
        return "\n".join(lines)

    def __repr__(self) -> str:
        arguments = ", ".join(f"{a.name}{list(a.shape)}" if a.shape else a.name for a in self.arguments)
        results = ", ".join(f"{f.name}{list(f.shape)}" if f.shape else f.name for f in self.formulas)
        checked = "unchecked" if self.certificate is None else "verified"
        count = len(self.templates)
        return (
            f"<RolledKernel {self.name}({arguments}) -> {results}: {count} template{'s' * (count != 1)}, "
            f"{self.operations:,} operations, {checked}>"
        )


def in_a_row(array: NDArray[Any], batch: int) -> bool:
    """Whether the elements of each point lie in a row, in C order; the first `batch` axes are those of the batch."""
    return not array.size or bool(array[(0,) * batch].flags.c_contiguous)


def flattened(array: NDArray[Any], batch: int) -> NDArray[Any]:
    """The same memory with one axis in the place of those behind a batch."""
    shape = (*array.shape[:batch], prod(array.shape[batch:]))
    return as_strided(array, shape, (*array.strides[:batch], array.itemsize))


def check_options(element: str, reduce: object, shared: Sequence[str]) -> None:
    """Raise ArgumentError for what does not go with rolled functions."""
    if element != "float64":
        raise ArgumentError("rolled functions compute in float64; leave dtype= away")
    if reduce is not None or shared:
        raise ArgumentError("reduce= and shared= do not go with rolled functions: reduce in the function itself")


def compile_rolled(
    functions: Sequence[RolledFormula], name: str | None = None, verify: bool = True, rules: str = "real"
) -> RolledKernel:
    """One kernel for several rolled functions; those derived from one function share reads and subexpressions.

    Raises VerificationError when native code and the numeric tape disagree, ArgumentError where two functions have an
    argument of one name and two shapes.
    """
    title = name or functions[0].name
    start = time.perf_counter()
    arguments = merged_arguments(functions)
    seconds: dict[str, float] = {}
    runs = []
    models = list(dict.fromkeys(function.model for function in functions))
    for number, model in enumerate(models):
        places = tuple(place for place, function in enumerate(functions) if function.model is model)
        own = [functions[place] for place in places]
        inputs = tuple(dict.fromkeys((a.name, a.buffer) for function in own for a in function.rolled_arguments))
        primal = [function.output for function in own if function.origin is None]
        short = title if len(models) == 1 else f"{title}_{number}"
        made = plan(model, [function.output for function in own], primal, short, rules)
        used = tuple((argument, buffer) for argument, buffer in inputs if f"b{buffer}" in made.form.by_name)
        seconds["plan"] = seconds.get("plan", 0.0) + time.perf_counter() - start
        start = time.perf_counter()
        bound = native.compile_blocks(made.form).bind(arrays=made.arrays)
        seconds["native code"] = seconds.get("native code", 0.0) + time.perf_counter() - start
        runs.append(Run(made, bound, used, places))
    kernel = RolledKernel(tuple(functions), arguments, tuple(runs), title, seconds, rules=rules)
    if not verify:
        return kernel
    certificate = check.verify(title, arguments, functions, kernel)
    seconds["verify"] = certificate.seconds
    object.__setattr__(kernel, "certificate", certificate)
    if not certificate.passed:
        raise VerificationError(f"{title} and the numeric tape disagree\n{certificate}", certificate)
    return kernel


def merged_arguments(functions: Sequence[RolledFormula]) -> tuple[RolledArgument, ...]:
    found: dict[str, RolledArgument] = {}
    for function in functions:
        for argument in function.rolled_arguments:
            known = found.setdefault(argument.name, argument)
            if known.shape != argument.shape:
                raise ArgumentError(
                    f"argument {argument.name!r} has shape {known.shape} in one function and {argument.shape} in "
                    f"{function.name}; rename one of them"
                )
    return tuple(found.values())
