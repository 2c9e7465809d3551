"""`compile`: functions → one graph → one program → one native kernel, checked before it is returned."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, overload

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

import codegen
from codegen.program import MAX_OPERANDS
from hybrid.arguments import as_array, bind_arguments
from hybrid.choice import economical
from hybrid.compose import composable
from hybrid.composite import expand
from hybrid.deferred import Deferred
from hybrid.definition import Argument, Formula
from hybrid.errors import ArgumentError, InputTypeError, ShapeError
from hybrid.graph import Graph
from hybrid.lower import Result, lower
from hybrid.simplify import RULE_SETS, operations, simplify

if TYPE_CHECKING:
    from hybrid.certificate import Certificate
    from hybrid.recorded import Recorded
    from hybrid.reduced import ReducedKernel

log = logging.getLogger(__name__)
verification = Deferred("hybrid.verify")
recorded = Deferred("hybrid.recorded")
files = Deferred("codegen.export")
reduced = Deferred("hybrid.reduced")


@dataclass(frozen=True, eq=False)
class Kernel:
    """Compiled functions, called together: arrays in, one array per function out.

    Each argument is one array (or number) of shape `batch + argument shape`; batches broadcast as in NumPy, and each
    result has shape `batch + output shape`, float64. A point outside the domain gives NaN at that point only.
    """

    formulas: tuple[Formula, ...]
    arguments: tuple[Argument, ...]
    program: codegen.Program
    compiled: codegen.Compiled
    ufunc: np.ufunc
    operations_before: int
    seconds: dict[str, float]
    packed: bool = False
    certificate: Certificate | None = field(default=None)

    @property
    def name(self) -> str:
        return self.program.name

    @property
    def operations(self) -> int:
        """Operations per point for all results together; `operations_before` counts them before simplification."""
        return self.program.operations

    def __call__(
        self,
        *args: ArrayLike,
        out: NDArray[Any] | Sequence[NDArray[Any] | None] | None = None,
        dtype: DTypeLike | None = None,
        threads: int | None = None,
        **named: ArrayLike,
    ) -> Any:
        """Evaluate at one point or many.

        Parameters
        ----------
        args, named : one number or array of shape batch + argument shape per argument, in order or by name.
        out : array(s) of shape batch + output shape to write into.
        dtype : type of the results; computing is in float64.
        threads : how many threads share a large batch; default HYBRID_NUM_THREADS, else the processors available. The
            numbers do not depend on it.

        Tensors of the numeric tape are accepted too: the call is then recorded, and differentiated through the compiled
        vector–Jacobian product.

        Returns one array (a NumPy float for a single number), or a tuple with one per function.
        Raises ArgumentError for missing, unknown or surplus arguments, ShapeError for shapes that do not fit,
        InputTypeError for complex or non-numeric data.
        """
        if any(map(composable, args)) or any(map(composable, named.values())):
            if out is not None or dtype is not None:
                raise ArgumentError(f"{self.name}: out= and dtype= do not go with tensors")
            return self.recorded(*bind_arguments(self.name, self.arguments, args, named))
        arrays = [
            as_array(self.name, a, v)
            for a, v in zip(self.arguments, bind_arguments(self.name, self.arguments, args, named), strict=True)
        ]
        if threads is not None and threads < 1:
            raise ArgumentError(f"{self.name}: threads must be at least 1, got {threads}")
        if self.packed:
            arrays = [self._pack(arrays)]
        outputs = self._outputs(out)
        try:
            results = codegen.run(self.ufunc, arrays, outputs, threads)
        except ValueError as error:
            raise ShapeError(f"{self.name}: {error}") from error
        results = tuple(
            result if formula.nodes else result[..., :0].reshape(*result.shape[:-1], *formula.shape)
            for result, formula in zip(results, self.formulas, strict=True)
        )
        if dtype is not None:
            results = tuple(np.asarray(result).astype(dtype, copy=False)[()] for result in results)
        return results[0] if len(self.formulas) == 1 else results

    def _pack(self, arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
        """All arguments side by side on one last axis, for kernels with more operands than NumPy allows."""
        flat = [
            array.reshape((*array.shape[: array.ndim - len(argument.shape)], argument.size))
            for array, argument in zip(arrays, self.arguments, strict=True)
        ]
        try:
            batch = np.broadcast_shapes(*(array.shape[:-1] for array in flat))
        except ValueError as error:
            raise ShapeError(f"{self.name}: the batches of the arguments do not broadcast: {error}") from error
        return np.concatenate([np.broadcast_to(array, batch + array.shape[-1:]) for array in flat], axis=-1)

    def _outputs(self, out: Any) -> list[NDArray[Any] | None] | None:
        if out is None:
            return None
        outputs = list(out) if isinstance(out, tuple | list) else [out]
        if len(outputs) != len(self.formulas):
            raise ArgumentError(f"{self.name} has {len(self.formulas)} results, but out= holds {len(outputs)} arrays")
        for array, formula in zip(outputs, self.formulas, strict=True):
            if array is None:
                continue
            if not formula.nodes:
                raise ArgumentError(f"{self.name}: {formula.name} has no entries; pass None for it in out=")
            if not isinstance(array, np.ndarray) or array.dtype != np.float64:
                found = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
                raise InputTypeError(f"{self.name}: out= for {formula.name} must be a float64 array, got {found}")
            if not array.flags.writeable:
                raise ArgumentError(f"{self.name}: out= for {formula.name} is read-only")
            rank = len(formula.shape)
            if rank and array.shape[-rank:] != formula.shape:
                shape = ", ".join(["...", *map(str, formula.shape)])
                raise ShapeError(f"{self.name}: out= for {formula.name} needs shape ({shape}), got {array.shape}")
        return outputs

    @cached_property
    def recorded(self) -> Recorded:
        """The kernel as an operation of the numeric tape, whose derivatives are compiled on first use."""
        places = [(argument.name,) for argument in self.arguments]
        operation: Recorded = recorded.Recorded(self.name, places, [(formula,) for formula in self.formulas], compile)
        return operation

    def ir(self) -> str:
        """The LLVM IR of the kernel, before LLVM's own passes."""
        return self.compiled.ir

    def assembly(self) -> str:
        """The native assembly of the kernel."""
        return self.compiled.assembly()

    def export(
        self,
        folder: str | Path,
        name: str | None = None,
        formats: Sequence[str] = ("so", "h"),
        target: str | None = None,
    ) -> list[Path]:
        """Write the kernel to files that need no Python: "o", "so", "h", "ll", … (see `codegen.export`).

        The header states argument order, shapes and layout. Files are written aside and then renamed. Raises
        codegen.export.LinkerNotFound, after writing what needs no linker, where no linker is found for "so".
        """
        program = self.program
        if name is not None:
            program = codegen.Program(name, program.arguments, program.results, program.body, program.outputs)
        written: list[Path] = files.export(
            program, folder, program.name, formats, self.compiled.target if target is None else target
        )
        return written

    def __repr__(self) -> str:
        arguments = ", ".join(f"{a.name}{list(a.shape)}" if a.shape else a.name for a in self.arguments)
        results = ", ".join(f"{r.name}{list(r.shape)}" if r.shape else r.name for r in self.program.results)
        checked = "unchecked" if self.certificate is None else "verified"
        return f"<Kernel {self.name}({arguments}) -> {results}: {self.operations} operations, {checked}>"


@overload
def compile(
    *functions: Formula, name: str | None = ..., verify: bool = ..., rules: str = ..., reduce: None = ...
) -> Kernel: ...


@overload
def compile(
    *functions: Formula,
    name: str | None = ...,
    verify: bool = ...,
    rules: str = ...,
    reduce: str | Sequence[str],
    shared: Sequence[str] = ...,
) -> ReducedKernel: ...


def compile(
    *functions: Formula,
    name: str | None = None,
    verify: bool = True,
    rules: str = "real",
    reduce: str | Sequence[str] | None = None,
    shared: Sequence[str] = (),
) -> Kernel | ReducedKernel:
    """One verified native kernel for several functions; their common subexpressions are computed once.

    Parameters
    ----------
    functions : Functions (a function and its derivatives, say). Arguments are matched by name.
    name : the kernel's name, also its symbol in exported files; default the first function's.
    verify : check the kernel against the numeric tape on sampled points before returning it.
    rules : how derivatives are simplified: "real" (equal for finite reals wherever defined) or "bitwise" (every float64
        result keeps its bits). The values of user functions are computed as written in either case; call
        `Function.simplify` first to rewrite those too.
    reduce : "sum", "mean", "max" or "logsumexp" over all axes of the batch, inside the kernel; or a list with one for
        each function. The result is a `ReducedKernel`, whose results have the functions' shapes, without a batch.
    shared : names of arguments that will be the same for every row, for a kernel that reduces: it is compiled and
        checked for this at once. Arguments without a batch are shared in any case.

    Raises VerificationError, with the certificate, when kernel and tape disagree; ArgumentError when two functions have
    an argument of the same name and different shapes.
    """
    check_functions(functions, rules)
    reductions = None if reduce is None else reduced.reductions_of(functions, reduce)
    if reductions is None and shared:
        raise ArgumentError("shared= goes with reduce=: other kernels see at the call what is shared")
    seconds: dict[str, float] = {}
    clock = time.perf_counter()

    def lap(stage: str) -> None:
        nonlocal clock
        seconds[stage], clock = time.perf_counter() - clock, time.perf_counter()

    graph, arguments, roots, _ = merge(functions)
    before = operations(graph, roots)
    lap("merge")
    together = Together(rules)
    functions = economical(functions, lambda trial: together(trial).operations)
    lap("choose")
    graph, arguments, roots = together(functions).parts
    lap("simplify")
    results, at = [], 0
    for function, unique in zip(functions, unique_names(functions), strict=True):
        own = tuple(roots[at : at + len(function.nodes)])
        # C has no empty arrays: one zero stands for a result without entries, such as the Hessian of a plane
        results.append(Result(unique, function.shape, own) if own else Result(unique, (1,), (graph.constant(0),)))
        at += len(function.nodes)
    packed = reductions is None and len(arguments) + len(results) > MAX_OPERANDS
    taken = (Argument("arguments", (sum(a.size for a in arguments),), sum((a.nodes for a in arguments), ())),)
    program = lower(graph, taken if packed else arguments, results, name or functions[0].name)
    lap("lower")
    if reductions is not None:
        same = reduced.shared_of(arguments, shared)
        kernel = reduced.ReducedKernel(functions, arguments, program, reductions, same, before, seconds, verify)
        kernel.reducer(same)  # compiled and checked
        return cast("ReducedKernel", kernel)
    compiled = codegen.compile(program)
    ufunc = codegen.make_ufunc(compiled)
    lap("native code")
    kernel = Kernel(functions, arguments, program, compiled, ufunc, before, seconds, packed)
    log.debug("%s\n%s", program, compiled.seconds)
    return checked(kernel) if verify else kernel


@dataclass(frozen=True)
class Simplified:
    """Several functions on one graph: it, their arguments, the simplified nodes of all outputs; and what they cost."""

    parts: tuple[Graph, tuple[Argument, ...], list[int]]

    @cached_property
    def operations(self) -> int:
        graph, _, roots = self.parts
        return operations(graph, roots)


class Together:
    """Functions simplified together, each combination of forms once."""

    def __init__(self, rules: str) -> None:
        self.rules = RULE_SETS[rules]
        self.known: dict[tuple[tuple[int, ...], ...], Simplified] = {}

    def __call__(self, functions: Sequence[Formula]) -> Simplified:
        key = tuple(function.nodes for function in functions)
        if key not in self.known:
            graph, arguments, roots, keep = merge(functions)
            expanded = expand(graph, [*roots, *keep])
            roots, keep = expanded[: len(roots)], expanded[len(roots) :]
            self.known[key] = Simplified((graph, arguments, simplify(graph, roots, self.rules, keep)))
        return self.known[key]


def checked(kernel: Kernel) -> Kernel:
    """The kernel with its certificate. Raises VerificationError when it does not deserve one."""
    start = time.perf_counter()

    def evaluate(*arrays: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        values = kernel(*arrays, threads=1)
        return values if isinstance(values, tuple) else (values,)

    certificate = verification.verify(verification.Subject(kernel.name, kernel.arguments, kernel.formulas, evaluate))
    kernel.seconds["verify"] = time.perf_counter() - start
    object.__setattr__(kernel, "certificate", certificate)
    return kernel


def check_functions(functions: Sequence[Any], rules: str) -> None:
    if not functions:
        raise ArgumentError("compile needs at least one Function, got none")
    for function in functions:
        if not isinstance(function, Formula):
            raise InputTypeError(
                f"compile takes Functions, got {function!r} of type {type(function).__name__}; "
                f"make one with hybrid.Function(inputs, outputs) or @hybrid.function"
            )
    if len(functions) >= MAX_OPERANDS:
        raise ArgumentError(
            f"one kernel takes at most {MAX_OPERANDS - 1} functions, a limit of NumPy, got {len(functions)}; "
            f"stack the outputs into one array function"
        )
    if rules not in RULE_SETS:
        raise ArgumentError(f"rules must be one of {', '.join(map(repr, RULE_SETS))}, got {rules!r}")


def unique_names(functions: Sequence[Formula]) -> list[str]:
    names: list[str] = []
    for function in functions:
        name, number = function.name, 2
        while name in names:
            name, number = f"{function.name}_{number}", number + 1
        names.append(name)
    return names


def merge(functions: Sequence[Formula]) -> tuple[Graph, tuple[Argument, ...], list[int], list[int]]:
    """One graph for all: it, the arguments in order of appearance, all outputs, and the nodes to keep as written."""
    first = functions[0].graph
    graph = first if all(function.graph is first for function in functions) else Graph()
    arguments: dict[str, Argument] = {}
    roots: list[int] = []
    keep: list[int] = []
    for function in functions:
        for argument in function.arguments:
            known = arguments.get(argument.name)
            if known is None:
                nodes = graph.copy_from(function.graph, argument.nodes) if graph is not first else argument.nodes
                arguments[argument.name] = Argument(argument.name, argument.shape, tuple(nodes))
            elif known.shape != argument.shape:
                raise ArgumentError(
                    f"argument {argument.name!r} has shape {known.shape} in one function and {argument.shape} in "
                    f"{function.name}; rename one of them"
                )
        same = function.graph is graph
        roots += (
            function.nodes if same else graph.copy_from(function.graph, function.nodes, mapping(function, arguments))
        )
        keep += (
            function.primal if same else graph.copy_from(function.graph, function.primal, mapping(function, arguments))
        )
    return graph, tuple(arguments.values()), roots, keep


def mapping(function: Formula, arguments: dict[str, Argument]) -> dict[int, int]:
    """The function's own variables → the merged ones, by argument and position."""
    return {
        node: target
        for argument in function.arguments
        for node, target in zip(argument.nodes, arguments[argument.name].nodes, strict=True)
    }
