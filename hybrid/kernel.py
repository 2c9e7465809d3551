"""`compile`: functions → one graph → one program → one native kernel, checked before it is returned."""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, overload

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

import codegen
from codegen.program import MAX_OPERANDS
from codegen.target import find
from hybrid import calling
from hybrid.arguments import bind_arguments
from hybrid.choice import economical
from hybrid.compose import composable
from hybrid.composite import expand
from hybrid.deferred import Deferred
from hybrid.definition import Argument, Formula
from hybrid.errors import ArgumentError, InputTypeError, UnsupportedError
from hybrid.graph import Graph
from hybrid.lower import Result, lower
from hybrid.progress import Stages
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
single_precision = Deferred("hybrid.single")

FLOATS = (calling.DOUBLE, calling.SINGLE)
TIERS = ("auto", "full", "quick")
LARGEST_FULL = 20_000  # nodes of a graph up to which compiling takes all the time it needs
WARM = 3  # small calls after which a kernel is taken to be called often
SMALL = 256  # points of a batch that goes to the ufunc at once


@dataclass(frozen=True, eq=False)
class Kernel:
    """Compiled functions, called together: arrays in, one array per function out.

    Each argument is one array (or number) of shape `batch + argument shape`; batches broadcast as in NumPy, and each
    result has shape `batch + output shape`, float64 (`compile` says when float32). A point outside the domain gives
    NaN at that point only.
    """

    formulas: tuple[Formula, ...]
    arguments: tuple[Argument, ...]
    program: codegen.Program
    compiled: codegen.Compiled
    loop: np.ufunc = field(repr=False)
    seconds: dict[str, float]
    gathered: calling.Gathered | None = None
    single: codegen.Compiled | None = None
    quick: bool = False
    rules: str = "real"
    certificate: Certificate | None = field(default=None)

    @property
    def name(self) -> str:
        return self.program.name

    @property
    def operations(self) -> int:
        """Operations per point for all results together; `operations_before` counts them before simplification."""
        return self.program.operations

    @cached_property
    def operations_before(self) -> int:
        """Operations per point of the functions as they stand, common subexpressions shared."""
        return operations_shared(self.formulas)

    def __call__(
        self,
        *args: ArrayLike,
        out: NDArray[Any] | Sequence[NDArray[Any] | None] | None = None,
        dtype: DTypeLike | None = None,
        threads: int | None = None,
        where: ArrayLike = True,
        casting: calling.Casting = "same_kind",
        axes: Sequence[Any] | None = None,
        **named: ArrayLike,
    ) -> Any:
        """Evaluate at one point or many.

        Parameters
        ----------
        args, named : one number or array of shape batch + argument shape per argument, in order or by name.
        out : array(s) of shape batch + output shape to write into, of a type that results are cast to.
        dtype : type of the results, a real floating-point type; computing is in float64, or, of a kernel compiled with
            `dtype=float32`, in the type asked for.
        threads : how many threads share a large batch; default HYBRID_NUM_THREADS, else the processors available. The
            numbers do not depend on it.
        where : booleans that broadcast with the batch; where false, results keep what was in `out`.
        casting : NumPy's name of what conversions of arguments and results are allowed.
        axes : the axes of each operand that hold its own shape, as for a gufunc: a tuple per argument, and per result.

        Tensors of the numeric tape are accepted too: the call is then recorded, and differentiated through the compiled
        vector–Jacobian product. Objects with an `__array_ufunc__` of their own (lazy arrays, units) get the ufunc.

        Returns one array (a NumPy float for a single number), or a tuple with one per function.
        Raises ArgumentError for missing, unknown or surplus arguments, ShapeError for shapes that do not fit,
        InputTypeError for complex or non-numeric data.
        """
        default = where is True and out is None and dtype is None and threads is None and axes is None
        if default and not named and self.quick and casting == "same_kind":
            short = self.__dict__.get("short")
            if short is not None:
                result = short(*args)
                if result is not NotImplemented:
                    return result
            points = 1 if len(args) == len(self.arguments) else SMALL
            for value in args:
                kind = type(value)
                if kind is np.ndarray and value.dtype in FLOATS:  # type: ignore[union-attr]  # an array
                    points *= value.size  # type: ignore[union-attr]  # an array
                elif kind is not float and kind is not int:
                    break
            else:
                if points < SMALL:
                    try:
                        self._warm()
                        return self.loop(*args)
                    except (ValueError, TypeError, OverflowError):  # told below, by name of the argument
                        pass
        options = calling.Options(out, dtype, threads, where, casting, axes)
        if not default or casting != "same_kind":
            options, named = calling.own_names(self.arguments, options, named)
        if any(map(composable, args)) or any(map(composable, named.values())):
            if options != calling.Options(threads=threads):
                raise ArgumentError(f"{self.name}: out=, dtype= and the like do not go with tensors")
            return self.recorded(*bind_arguments(self.name, self.arguments, args, named))
        return calling.call(self, bind_arguments(self.name, self.arguments, args, named), options)

    @cached_property
    def ufunc(self) -> np.ufunc:
        """The kernel as a NumPy ufunc, or gufunc where an argument or a result has a shape."""
        codegen.shorten(self.loop)
        return self.loop

    def _warm(self) -> None:
        """Called for small batches: from the third on, single points take the short way, whose code is loaded then."""
        calls = self.__dict__["calls"] = self.__dict__.get("calls", 0) + 1
        if calls == WARM:
            self.__dict__["short"] = codegen.attempt(self.compiled)

    # --- other ways to call it ----------------------------------------------------------------------------------------
    @cached_property
    def point(self) -> Callable[..., Any]:
        """A function for one point: numbers in, numbers out, with the bits of a call of the kernel.

        It takes one value per argument, by position: a number, or for an array argument its elements in C order as a
        C-contiguous buffer of float64 or a flat sequence of numbers. It returns one float, or a flat tuple of floats in
        C order for a result with a shape, or a tuple of these for several functions. Computing is in float64.
        Raises TypeError for what is no real number, ValueError for another number of elements.
        """
        return calling.point(self)

    def bind(
        self,
        inputs: Sequence[NDArray[Any]] | Mapping[str, NDArray[Any]],
        outputs: Sequence[NDArray[Any]] | NDArray[Any] | None = None,
    ) -> Callable[[], Any]:
        """A function of no arguments that evaluates the kernel on fixed arrays, for the inner loop of a solver.

        Everything is checked and looked up here; the function reads `inputs` as they are when it is called, writes
        `outputs` and returns them: one array, or a tuple with one per function. Arrays are float64 (or all float32, for
        a kernel compiled with `dtype=float32`), of shape batch + argument shape and batch + output shape; `outputs` are
        made if not given. They are kept alive. The function runs on the calling thread.
        Raises InputTypeError for arrays of another type, ShapeError for shapes and strides that do not fit,
        ArgumentError for arrays that overlap or cannot be written; the function raises ValueError if an array has been
        resized since.
        """
        return calling.bind(self, inputs, outputs)

    @property
    def address(self) -> int:
        """The address of the C function that evaluates one point, valid as long as the kernel lives.

        `void f(const double *x0, …, double *r0, …)`: a pointer per argument and per function, each to its elements in C
        order. It neither keeps state nor allocates what it does not free, and may run in several threads at once.
        Raises ArgumentError for a kernel whose operands lie side by side.
        """
        calling.separate(self, "address")
        return self.compiled.address(self.compiled.symbol)

    @property
    def batch_address(self) -> int:
        """The address of `void f_batch(int64_t n, const double *x0, …, double *r0, …)`: n points, one after the other.

        As for `address`; each pointer is to n times the elements of a point.
        """
        calling.separate(self, "batch_address")
        return self.compiled.address(f"{self.compiled.symbol}_batch")

    def low_level_callable(self, signature: str | None = None, parameters: ArrayLike | None = None) -> Any:
        """A `scipy.LowLevelCallable`, which SciPy calls without Python: `quad`, `nquad`, `ndimage.generic_filter` …

        signature : "double (double)", "double (int, double *)", the same with a last `void *`, or that of image
            filters, "int (double *, intptr_t, double *, void *)"; by default one of the first that fits. SciPy gives
            the elements of the arguments in order.
        parameters : numbers for the last elements of the arguments, fixed here and passed as the `void *`.

        Raises ArgumentError for another signature, more than one function, or one with a shape; ImportError without
        SciPy.
        """
        return calling.low_level_callable(self, signature, parameters)

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

    @cached_property
    def spills(self) -> tuple[int, int]:
        """How many registers the native code stores on the stack and loads back per vector of points, counted in it."""
        return self.compiled.spills()

    def export(
        self,
        folder: str | Path,
        name: str | None = None,
        formats: Sequence[str] = ("so", "h"),
        target: str | None = None,
        dtype: DTypeLike = np.float64,
    ) -> list[Path]:
        """Write the kernel to files that need no Python: "o", "so", "h", "ll", … (see `codegen.export`).

        The header states argument order, shapes and layout. With `dtype=float32` all numbers in the files are float32,
        which only a kernel compiled with it has been checked for. Files are written aside and then renamed. Raises
        codegen.export.LinkerNotFound, after writing what needs no linker, where no linker is found for "so".
        """
        program = self.program
        python = [external.name for external in program.externals if external.c is None]
        if python:
            raise UnsupportedError(
                f"{self.name} calls {python[0]}, Python code of this process, which no file can hold; "
                f"hybrid.elementary(..., c=...) makes a function that exported code can call"
            )
        if name is not None:
            program = replace(program, name=name)
        machine = find(self.compiled.target if target is None else target).with_element(element_of(dtype, None))
        written: list[Path] = files.export(program, folder, program.name, formats, machine)
        return written

    def __reduce__(self) -> tuple[Any, ...]:
        dtype = "float64" if self.single is None else "float32"
        machine = repr(self.compiled.target)
        tier = "full" if self.compiled.tier == "full" else "quick"
        return compiled_again, (self.formulas, self.name, self.rules, dtype, tier, machine, self.certificate)

    def __copy__(self) -> Kernel:
        return self

    def __deepcopy__(self, memo: Any) -> Kernel:
        return self

    def __repr__(self) -> str:
        arguments = ", ".join(f"{a.name}{list(a.shape)}" if a.shape else a.name for a in self.arguments)
        results = ", ".join(f"{r.name}{list(r.shape)}" if r.shape else r.name for r in self.program.results)
        checked = "unchecked" if self.certificate is None else "verified"
        return f"<Kernel {self.name}({arguments}) -> {results}: {self.operations} operations, {checked}>"


@overload
def compile(
    *functions: Formula,
    name: str | None = ...,
    verify: bool = ...,
    rules: str = ...,
    dtype: DTypeLike = ...,
    tier: str = ...,
    reduce: None = ...,
) -> Kernel: ...


@overload
def compile(
    *functions: Formula,
    name: str | None = ...,
    verify: bool = ...,
    rules: str = ...,
    tier: str = ...,
    reduce: str | Sequence[str],
    shared: Sequence[str] = ...,
) -> ReducedKernel: ...


def compile(
    *functions: Formula,
    name: str | None = None,
    verify: bool = True,
    rules: str = "real",
    dtype: DTypeLike = np.float64,
    tier: str = "auto",
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
    dtype : float64, or float32 for a kernel that computes in float32 too, in twice as many lanes: its ufunc has a loop
        for each, and NumPy's rules choose. float32 arguments, with small integers and Python's numbers, give float32;
        one float64 argument makes it float64.
    tier : "full" for the fastest kernel: all simplification, LLVM's optimising code generator. "quick" for the first
        result soon: the rules "bitwise" alone, and threaded code, some 10 µs per node of the graph in all. "auto" is
        full for graphs of up to 20,000 nodes, and quick beyond.
    reduce : "sum", "mean", "max" or "logsumexp" over all axes of the batch, inside the kernel; or a list with one for
        each function. The result is a `ReducedKernel`, whose results have the functions' shapes, without a batch.
    shared : names of arguments that will be the same for every row, for a kernel that reduces: it is compiled and
        checked for this at once. Arguments without a batch are shared in any case.

    Raises VerificationError, with the certificate, when kernel and tape disagree; ArgumentError when two functions have
    an argument of the same name and different shapes.
    """
    with uncollected():
        return compiled_together(functions, name, verify, rules, dtype, tier, reduce, shared)


@contextmanager
def uncollected() -> Iterator[None]:
    """Without garbage collection: the data of passes has no cycles, and walking over it takes a sixth of their time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def compiled_together(
    functions: tuple[Formula, ...],
    name: str | None,
    verify: bool,
    rules: str,
    dtype: DTypeLike,
    tier: str,
    reduce: str | Sequence[str] | None,
    shared: Sequence[str],
) -> Kernel | ReducedKernel:
    """The stages of `compile`, in order."""
    check_functions(functions, rules)
    element = element_of(dtype, reduce)
    if tier not in TIERS:
        raise ArgumentError(f"tier must be one of {', '.join(map(repr, TIERS))}, got {tier!r}")
    reductions = None if reduce is None else reduced.reductions_of(functions, reduce)
    if reductions is None and shared:
        raise ArgumentError("shared= goes with reduce=: other kernels see at the call what is shared")
    if reductions is not None and (empty := [function.name for function in functions if not function.nodes]):
        raise ArgumentError(
            f"{empty[0]} has no entries that can be non-zero, so there is nothing to reduce; leave it out"
        )
    with Stages(f"hybrid.compile {name or functions[0].name}", "simplify", {}) as stages:
        tier, functions, simplified = simplified_together(functions, tier, rules)
        stages.finished("simplify", "lower")
        gathered = None if reductions is not None else gathering(functions, simplified[1])
        program = written(functions, simplified, gathered, name or functions[0].name)
        stages.finished("lower", "native code")
        arguments = simplified[1]
        made = "full" if tier == "full" else "quick" if program.externals else "threaded"
        if reductions is not None and program.externals:
            raise UnsupportedError(
                f"{program.name} calls {program.externals[0].name}, your code, which a kernel that reduces cannot; "
                f"compile it without reduce= and reduce its results with NumPy"
            )
        if reductions is not None:
            same = reduced.shared_of(arguments, shared)
            kernel = reduced.ReducedKernel(functions, arguments, program, reductions, same, stages.seconds, verify)
            kernel.reducer(same)  # compiled and checked
            return cast("ReducedKernel", kernel)
        compiled = codegen.compile(program, tier=made)
        single = None
        if element == "float32":
            single = codegen.compile(program, codegen.host().with_element(element), tier=made)
        ufunc = codegen.make_ufunc(compiled if single is None else [compiled, single], short=False)
        stages.finished("native code", "verify")
        quick = gathered is None and all(function.nodes for function in functions)
        kernel = Kernel(functions, arguments, program, compiled, ufunc, stages.seconds, gathered, single, quick, rules)
        log.debug("%s\n%s", program, compiled.seconds)
        return checked(kernel) if verify else kernel


Parts = tuple[Graph, tuple[Argument, ...], list[int]]  # of functions on one graph: it, their arguments, all outputs


def simplified_together(
    functions: tuple[Formula, ...], tier: str, rules: str
) -> tuple[str, tuple[Formula, ...], Parts]:
    """The tier to compile in, the functions in their cheapest forms, and these on one graph, simplified."""
    graph, _, roots, _ = merge(functions)
    if tier == "auto":
        tier = "quick" if len(graph.reach(roots)) > LARGEST_FULL else "full"
    together = Together(rules if tier == "full" else "bitwise")
    if tier == "full":
        functions = economical(functions, lambda trial: together(trial).operations)
    return tier, functions, together(functions).parts


def written(
    functions: Sequence[Formula], parts: Parts, gathered: calling.Gathered | None, name: str
) -> codegen.Program:
    """The program of simplified functions; where NumPy allows fewer operands, they are gathered into arrays."""
    graph, arguments, roots = parts
    results, at = [], 0
    for function, unique in zip(functions, unique_names(functions), strict=True):
        own = tuple(roots[at : at + len(function.nodes)])
        # C has no empty arrays: one zero stands for a result without entries, such as the Hessian of a plane
        results.append(Result(unique, function.shape, own) if own else Result(unique, (1,), (graph.constant(0),)))
        at += len(function.nodes)
    if gathered is not None and gathered.arguments:
        nodes = sum((a.nodes for a in arguments), ()) or (graph.variable("nothing"),)
        arguments = (Argument("arguments", (len(nodes),), nodes),)
    if gathered is not None and gathered.results:
        results = [Result("results", (len(roots),), tuple(roots))]
    return lower(graph, arguments, results, name)


def operations_shared(functions: Sequence[Formula]) -> int:
    """Operations of one joint evaluation of functions as they stand."""
    graph, _, roots, _ = merge(functions)
    return operations(graph, roots)


@dataclass(frozen=True)
class Simplified:
    """Several functions on one graph: it, their arguments, the simplified nodes of all outputs; and what they cost."""

    parts: Parts

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


def gathering(functions: Sequence[Formula], arguments: Sequence[Argument]) -> calling.Gathered | None:
    """What to put side by side so that a ufunc can have it: at most `MAX_OPERANDS` operands, none without numbers."""
    results = len(functions) >= MAX_OPERANDS
    operands = len(arguments) + (1 if results else len(functions))
    side_by_side = operands > MAX_OPERANDS or not arguments or not all(argument.size for argument in arguments)
    return calling.Gathered(side_by_side, results) if side_by_side or results else None


def checked(kernel: Kernel) -> Kernel:
    """The kernel with its certificate. Raises VerificationError when it does not deserve one."""
    start = time.perf_counter()

    def evaluate(*arrays: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        values = kernel(*arrays, threads=1)
        return values if isinstance(values, tuple) else (values,)

    certificate = verification.verify(verification.Subject(kernel.name, kernel.arguments, kernel.formulas, evaluate))
    if kernel.single is not None:
        subject = verification.Subject(kernel.name, kernel.arguments, kernel.formulas, evaluate)
        note = single_precision.check(subject, evaluate, evaluate)
        certificate = replace(certificate, notes=(*certificate.notes, note))
    kernel.seconds["verify"] = time.perf_counter() - start
    object.__setattr__(kernel, "certificate", certificate)
    return kernel


def compiled_again(
    functions: Sequence[Formula],
    name: str,
    rules: str,
    dtype: str,
    tier: str,
    machine: str,
    certificate: Certificate | None,
) -> Kernel:
    """A kernel that was pickled: compiled here, and checked again unless it was checked on such a machine."""
    kernel = compile(*functions, name=name, rules=rules, dtype=dtype, tier=tier, verify=False)
    if certificate is None:
        return kernel
    if repr(kernel.compiled.target) != machine:
        return checked(kernel)
    object.__setattr__(kernel, "certificate", certificate)
    return kernel


def element_of(dtype: DTypeLike, reduce: object) -> str:
    """The type to compile for beside float64. Raises InputTypeError for any other than float32 and float64."""
    found: np.dtype[Any] = np.dtype(dtype)
    if found not in (calling.SINGLE, calling.DOUBLE):
        raise InputTypeError(
            f"dtype must be float64 or float32, got {found}; kernels compute with real numbers in these"
        )
    if found == calling.SINGLE and reduce is not None:
        raise ArgumentError("dtype=float32 does not go with reduce=: reductions add up in float64")
    return str(found)


def check_functions(functions: Sequence[Any], rules: str) -> None:
    if not functions:
        raise ArgumentError("compile needs at least one Function, got none")
    for function in functions:
        if not isinstance(function, Formula):
            raise InputTypeError(
                f"compile takes Functions, got {function!r} of type {type(function).__name__}; "
                f"make one with hybrid.Function(inputs, outputs) or @hybrid.function"
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
