"""What `compile` returns: functions as native code, called like a NumPy ufunc."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

import codegen
from hybrid import calling
from hybrid.arguments import bind_arguments
from hybrid.compiled import CompiledFunctions
from hybrid.compose import composable
from hybrid.deferred import Deferred
from hybrid.errors import ArgumentError

if TYPE_CHECKING:
    from hybrid.certificate import Certificate
    from hybrid.recorded import Recorded

recorded = Deferred("hybrid.recorded")
compiling = Deferred("hybrid.compiling")
exporting = Deferred("hybrid.exporting")
plots = Deferred("hybrid.plots")

FLOATS = (calling.DOUBLE, calling.SINGLE)
WARM = 3  # small calls after which a kernel is taken to be called often
SMALL = 256  # points of a batch that goes to the ufunc at once


@dataclass(frozen=True, eq=False, repr=False)
class Kernel(CompiledFunctions):
    """Compiled functions, called together: arrays in, one array per function out.

    Each argument is one array (or number) of shape `batch + argument shape`; batches broadcast as in NumPy, and each
    result has shape `batch + output shape`, float64 (`compile` says when float32). A point outside the domain gives
    NaN at that point only.
    """

    compiled: codegen.Compiled
    loop: np.ufunc
    gathered: calling.Gathered | None = None
    single: codegen.Compiled | None = None
    quick: bool = False
    rules: str = "real"
    certificate: Certificate | None = None

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
        operation: Recorded = recorded.Recorded(
            self.name, places, [(formula,) for formula in self.formulas], compiling.compile
        )
        return operation

    def ir(self) -> str:
        """The LLVM IR of the kernel, before LLVM's own passes."""
        return self.compiled.ir

    def assembly(self) -> str:
        """The native assembly of the kernel."""
        return self.compiled.assembly()

    def plot_errors(self, points: int = 64, seed: int = 0, ax: Any = None) -> Any:
        """Plot how far each result is from the numeric tape, in ulp, against its size, at freshly sampled points.

        Returns the matplotlib Axes, those of `ax` or of a new figure. Needs `pip install 'hybrid[plot]'`.
        """
        return plots.plot_errors(self, points, seed, ax)

    @cached_property
    def spills(self) -> tuple[int, int]:
        """How many registers the native code stores on the stack and loads back per vector of points, counted in it."""
        return self.compiled.spills()

    def export(
        self,
        folder: str | Path,
        name: str | None = None,
        formats: str | Sequence[str] = ("so", "h"),
        target: str | codegen.Target | None = None,
        dtype: DTypeLike = np.float64,
        optimise: str = "speed",
    ) -> list[Path]:
        """Write the kernel to files that need no Python: "so", "h", "c", "test" … (docs/export.md lists the formats).

        target : a name of `hybrid.targets()`, "native" for this very processor; by default "portable", that of machines
            like this one, so that the same kernel gives the same files everywhere.
        dtype : with float32, all numbers in the files are; only a kernel compiled with it has been checked for this.
        optimise : "speed", or "size" for small code that computes point by point.

        The header states argument order, shapes and layout; the manifest, `NAME.manifest.json`, says the same and more
        to programs. All files appear together, or on an error none. Raises codegen.export.LinkerNotFound, after writing
        what needs no linker, where no linker is found for "so".
        """
        written: list[Path] = exporting.export(
            self, folder, name, formats, target, dtype, optimise, gathered=self.gathered
        )
        return written

    def __reduce__(self) -> tuple[Any, ...]:
        dtype = "float64" if self.single is None else "float32"
        machine = repr(self.compiled.target)
        tier = "full" if self.compiled.tier == "full" else "quick"
        return compiling.compiled_again, (self.formulas, self.name, self.rules, dtype, tier, machine, self.certificate)
