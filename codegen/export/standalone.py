"""A compiled kernel, called as where it was made: arrays in, arrays out. Needs NumPy, and nothing of what made it.

This file is part of every exported package, as it stands. The native code is in the shared library beside it, and what
the library expects of its callers in kernel.json.
"""

from __future__ import annotations

import ctypes
import importlib
import inspect
import json
import os
import platform
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

# Numbers read and written per thread below which sharing a batch costs more than it gains.
WORTH = 1 << 17
# Points in a line from which a batch whose points do not lie in one line is computed line by line, instead of copied.
LINE = 256


class ShapeError(ValueError):
    """An array has a shape that the kernel does not take."""


class ArgumentError(ValueError):
    """An argument is missing, unknown, duplicated or has a value outside what is allowed."""


class InputTypeError(TypeError):
    """Data of a type that is not accepted: complex numbers, text, Python objects."""


class Operand:
    """An argument or a result: its name, and its shape per point."""

    def __init__(self, name: str, shape: Sequence[int]) -> None:
        self.name = name
        self.shape = tuple(shape)

    def __repr__(self) -> str:
        return f"{self.name}{list(self.shape)}" if self.shape else self.name

    @property
    def expected(self) -> str:
        return f"({', '.join(['...', *map(str, self.shape)])})"


class Pattern:
    """Where the values of a sparse result, of shape batch + (nnz,), stand in a matrix of `shape`.

    Entry k is at `rows[k]`, `columns[k]`, sorted by row, then by column. `triangle` is "lower" for a symmetric matrix
    of which the entries on and below the diagonal are there.
    """

    def __init__(self, shape: Sequence[int], rows: Sequence[int], columns: Sequence[int], triangle: str) -> None:
        self.shape = (shape[0], shape[1])
        self.rows, self.columns = np.array(rows, dtype=np.intp), np.array(columns, dtype=np.intp)
        self.triangle = triangle

    @property
    def nnz(self) -> int:
        return len(self.rows)

    def array(self, values: Any) -> Any:
        """Values of shape batch + (nnz,) as dense matrices of shape batch + `shape`; a triangle stays a triangle."""
        numbers = np.asarray(values)
        if numbers.shape[-1:] != (self.nnz,):
            raise ShapeError(f"this pattern takes values of shape (..., {self.nnz}), got {numbers.shape}")
        result = np.zeros((*numbers.shape[:-1], *self.shape), numbers.dtype)
        result[..., self.rows, self.columns] = numbers
        return result

    def csr(self, values: Any) -> Any:
        """Values of shape (nnz,) as a `scipy.sparse.csr_array`. Raises ImportError where SciPy is missing."""
        from scipy import sparse

        numbers = np.asarray(values)
        if numbers.shape != (self.nnz,):
            raise ShapeError(f"one matrix takes values of shape ({self.nnz},), got {numbers.shape}")
        starts = np.searchsorted(self.rows, np.arange(self.shape[0] + 1))
        return sparse.csr_array((numbers, self.columns, starts), shape=self.shape)

    def __repr__(self) -> str:
        what = ", lower triangle" if self.triangle == "lower" else ""
        return f"<Pattern {self.shape[0]} × {self.shape[1]}, {self.nnz} entries{what}>"


class Kernel:
    """Compiled functions, called together; one array per result.

    `arguments` and `results` tell names and shapes per point, `patterns` where the values of sparse results stand, by
    the name of the result; `operations` counts the operations per point; `certificate` says how the functions were
    checked where they were made; `described` is all of kernel.json.
    """

    def __init__(self, module: str, described: dict[str, Any], library: Path) -> None:
        self.__name__ = self.__qualname__ = self.name = described["name"]
        self.__module__ = module
        self.described = described
        self.dtype = np.dtype(described["element"])
        self.arguments = tuple(Operand(item["name"], item["shape"]) for item in described["arguments"])
        self.results = tuple(Operand(item["name"], item["shape"]) for item in described["results"])
        self.patterns = {
            name: Pattern(p["shape"], p["rows"], p["columns"], p["triangle"])
            for name, p in described["sparsity"].items()
        }
        self.reductions: tuple[str, ...] = tuple(described["reductions"])
        self.shared = frozenset(described["shared"])
        self.operations: int = described["operations"]
        self.certificate: dict[str, Any] | None = described["certificate"]
        self.__signature__ = signature(self.arguments)
        self.__doc__ = documentation(self)
        operands = (*self.arguments, *self.results)
        self._ranks = [len(operand.shape) for operand in operands]
        self._cores = [n for operand in operands for n in operand.shape]
        self._numbers = sum(prod(operand.shape) for operand in operands)
        self._steps = [prod(operand.shape) * self.dtype.itemsize for operand in operands]
        self._strides = [
            prod(operand.shape[axis + 1 :]) * self.dtype.itemsize
            for operand in operands
            for axis in range(len(operand.shape))
        ]
        self._loop = native(described, library, "_reduce" if self.reductions else "_loop", len(operands))

    def __call__(self, *args: Any, out: Any = None, threads: int | None = None, **named: Any) -> Any:
        """Evaluate at one point or many.

        Parameters
        ----------
        args, named : one number or array of shape batch + argument shape per argument, in order or by name.
        out : array(s) of shape batch + result shape to write into, of a type that results are cast to.
        threads : how many threads share a large batch; default HYBRID_NUM_THREADS, else the processors available. The
            numbers do not depend on it.

        Returns one array (a NumPy number for a single one), or a tuple with one per result. A point outside the domain
        gives NaN at that point only. A kernel that reduces takes neither out= nor several threads; its results have no
        batch, and its arguments `shared` are given without one.
        Raises ArgumentError for missing, unknown or surplus arguments, ShapeError for shapes that do not fit,
        InputTypeError for complex or non-numeric data.
        """
        if threads is not None and (not isinstance(threads, (int, np.integer)) or threads is True or threads < 1):
            raise ArgumentError(f"{self.name}: threads must be at least 1, a whole number, or None, got {threads!r}")
        arrays = [
            self._array(operand, value) for operand, value in zip(self.arguments, self._bound(args, named), strict=True)
        ]
        if self.reductions:
            if out is not None:
                raise ArgumentError(f"{self.name} reduces over a batch and takes no out=")
            return self._reduced(arrays)
        given = self._given(out)
        batch = self._batch(arrays, given)
        outputs = [
            array if array is not None and self._usable(array, arrays) else np.empty(batch + result.shape, self.dtype)
            for array, result in zip(given, self.results, strict=True)
        ]
        if prod(batch):
            self._run(arrays, outputs, batch, int(threads or default_threads()))
        found = []
        for wanted, computed in zip(given, outputs, strict=True):
            if wanted is not None and wanted is not computed:
                np.copyto(wanted, computed, casting="same_kind")
            found.append(computed[()] if wanted is None else wanted)
        return found[0] if len(found) == 1 else tuple(found)

    def __reduce__(self) -> tuple[Any, ...]:
        return kernel_of, (self.__module__, self.name)

    def __repr__(self) -> str:
        arguments, results = ", ".join(map(repr, self.arguments)), ", ".join(map(repr, self.results))
        return f"<Kernel {self.name}({arguments}) -> {results}: {self.operations} operations>"

    # --- what is given ------------------------------------------------------------------------------------------------
    def _bound(self, args: Sequence[Any], named: dict[str, Any]) -> list[Any]:
        names = [operand.name for operand in self.arguments]
        expected = f"{self.name} takes {len(names)} arguments ({', '.join(names)})"
        if len(args) > len(names):
            raise ArgumentError(f"{expected}, got {len(args)}")
        for problem, which in (
            ("unknown", [name for name in named if name not in names]),
            ("given twice", [name for name in named if name in names[: len(args)]]),
            ("missing", [name for name in names[len(args) :] if name not in named]),
        ):
            if which:
                raise ArgumentError(f"{expected}; {problem}: {', '.join(which)}")
        return [*args, *(named[name] for name in names[len(args) :])]

    def _array(self, operand: Operand, value: Any) -> Any:
        """A value as an array of the kernel's type, of shape batch + the operand's."""
        try:
            array = np.asarray(value)
        except ValueError as error:
            raise ShapeError(f"{self.name}: argument {operand.name} is not one array: {error}") from error
        if array.dtype.kind not in "fiub":
            kind = "complex" if array.dtype.kind == "c" else f"of type {array.dtype}"
            raise InputTypeError(f"{self.name}: argument {operand.name} is {kind}; real numbers are expected")
        if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
            raise InputTypeError(f"{self.name}: argument {operand.name} has masked elements; fill them first")
        self._check_shape(operand, array, "argument")
        array = array.astype(self.dtype, copy=False)
        return array if array.flags.aligned else array.copy()

    def _check_shape(self, operand: Operand, array: Any, what: str) -> None:
        rank = len(operand.shape)
        if rank and (array.ndim < rank or array.shape[-rank:] != operand.shape):
            if what == "argument":
                raise ShapeError(f"{self.name} expects {operand.name} of shape {operand.expected}, got {array.shape}")
            raise ShapeError(
                f"{self.name}: {what} for {operand.name} needs shape {operand.expected}, got {array.shape}"
            )

    def _given(self, out: Any) -> list[Any]:
        if out is None:
            return [None] * len(self.results)
        outputs = list(out) if isinstance(out, (tuple, list)) else [out]
        if len(outputs) != len(self.results):
            raise ArgumentError(f"{self.name} has {len(self.results)} results, but out= holds {len(outputs)} arrays")
        for number, (array, result) in enumerate(zip(outputs, self.results, strict=True)):
            if array is None:
                continue
            if not isinstance(array, np.ndarray) or not np.can_cast(self.dtype, array.dtype, "same_kind"):
                kind = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
                raise InputTypeError(
                    f"{self.name}: out= for {result.name} must be an array of {self.dtype} or another floating-point "
                    f"type, got {kind}"
                )
            if array.dtype.kind == "c":
                raise InputTypeError(f"{self.name}: out= for {result.name} is complex; results are real numbers")
            if not array.flags.writeable:
                raise ArgumentError(f"{self.name}: out= for {result.name} is read-only")
            if array.size and any(
                extent > 1 and stride == 0 for extent, stride in zip(array.shape, array.strides, strict=True)
            ):
                raise ArgumentError(f"{self.name}: out= for {result.name} has several elements at one place in memory")
            self._check_shape(result, array, "out=")
            if any(other is not None and overlap(array, other) for other in outputs[:number]):
                raise ArgumentError(f"{self.name}: out= for {result.name} shares memory with another array of out=")
        return outputs

    def _usable(self, array: Any, arrays: Sequence[Any]) -> bool:
        """Whether the library may write into an array: nothing is converted, and no argument is overwritten."""
        if array.dtype != self.dtype or not array.dtype.isnative or not array.flags.aligned:
            return False
        return not any(np.may_share_memory(array, other) for other in arrays)

    def _batch(self, arrays: Sequence[Any], given: Sequence[Any]) -> tuple[int, ...]:
        batches = [a.shape[: a.ndim - len(o.shape)] for o, a in zip(self.arguments, arrays, strict=True)]
        try:
            batch = np.broadcast_shapes(*batches)
        except ValueError as error:
            raise ShapeError(f"{self.name}: the batches of the arguments do not broadcast: {error}") from error
        wanted = [a.shape[: a.ndim - len(o.shape)] for o, a in zip(self.results, given, strict=True) if a is not None]
        try:
            whole = np.broadcast_shapes(batch, *wanted)
        except ValueError:
            whole = batch
        for result, array in zip(self.results, given, strict=True):
            if array is not None and array.shape != whole + result.shape:
                raise ShapeError(
                    f"{self.name}: the out= array for {result.name} has shape {array.shape}, expected "
                    f"{whole + result.shape}"
                )
        return tuple(whole)

    def _reduced(self, arrays: list[Any]) -> Any:
        """The results of a kernel that reduces over all axes of the batch."""
        for operand, array in zip(self.arguments, arrays, strict=True):
            if operand.name in self.shared and array.ndim > len(operand.shape):
                raise ShapeError(
                    f"{self.name}: {operand.name} is shared by all points: shape {operand.shape}, got {array.shape}"
                )
        batch = self._batch(arrays, [None] * len(self.results))
        points = prod(batch)
        if not points and "max" in self.reductions:
            raise ArgumentError(f"{self.name}: the maximum of no rows is not defined; the batch is {batch}")
        rows = [
            np.ascontiguousarray(a if o.name in self.shared else np.broadcast_to(a, batch + o.shape))
            for o, a in zip(self.arguments, arrays, strict=True)
        ]
        results = [np.empty(operand.shape, self.dtype) for operand in self.results]
        self._loop(points, *addresses([*rows, *results]))
        found = tuple(result[()] for result in results)
        return found[0] if len(found) == 1 else found

    # --- running ------------------------------------------------------------------------------------------------------
    def _run(self, arrays: Sequence[Any], outputs: Sequence[Any], batch: tuple[int, ...], threads: int) -> None:
        """Compute the outputs, arrays of the whole batch that do not overlap the arguments."""
        everything = [*arrays, *outputs]
        batches = [a.shape[: a.ndim - rank] for a, rank in zip(everything, self._ranks, strict=True)]
        if all(a.flags.c_contiguous for a in everything) and all(b in ((), batch) for b in batches):
            along = [step if b else 0 for step, b in zip(self._steps, batches, strict=True)]
            self._lines(prod(batch), along, self._strides, [addresses(everything)], threads)
            return
        spread = [np.broadcast_to(a, batch + o.shape) for a, o in zip(arrays, self.arguments, strict=True)]
        spread += outputs
        extents, axes = merged(batch, [array.strides[: len(batch)] for array in spread])
        inner = max(range(len(extents)), key=lambda k: extents[k], default=0)
        if len(extents) > 1 and extents[inner] < LINE:
            self._copied(spread[: len(arrays)], outputs, batch, threads)
            return
        strides = [s for a, rank in zip(spread, self._ranks, strict=True) for s in a.strides[a.ndim - rank :]]
        others = [k for k in range(len(extents)) if k != inner]
        bases = addresses(spread)
        starts = [
            [
                base + sum(axis[k] * i for k, i in zip(others, index, strict=True))
                for base, axis in zip(bases, axes, strict=True)
            ]
            for index in np.ndindex(*(extents[k] for k in others))
        ]
        n = extents[inner] if extents else 1
        self._lines(n, [axis[inner] if extents else 0 for axis in axes], strides, starts, threads)

    def _copied(self, spread: Sequence[Any], outputs: Sequence[Any], batch: tuple[int, ...], threads: int) -> None:
        """The same by way of arrays whose points lie in one line."""
        points = prod(batch)
        inputs = [
            np.ascontiguousarray(a).reshape(points, *o.shape) for a, o in zip(spread, self.arguments, strict=True)
        ]
        flat = [np.empty((points, *result.shape), self.dtype) for result in self.results]
        self._run(inputs, flat, (points,), threads)
        for output, values in zip(outputs, flat, strict=True):
            output[...] = values.reshape(output.shape)

    def _lines(
        self, n: int, along: Sequence[int], strides: Sequence[int], starts: Sequence[Sequence[int]], threads: int
    ) -> None:
        """Lines of n points: the distance between points and the address of the first point, per operand."""
        parts = max(1, min(threads, n * self._numbers // WORTH))
        size = -(-n // parts)
        size = -(-size // 64) * 64 if size > 64 else size
        steps = (ctypes.c_int64 * (len(along) + len(strides)))(*along, *strides)
        tasks = [
            (min(size, n - first), [start + first * step for start, step in zip(line, along, strict=True)])
            for line in starts
            for first in range(0, n, size)
        ]

        def call(task: tuple[int, list[int]]) -> None:
            points, places = task
            lengths = (ctypes.c_int64 * (1 + len(self._cores)))(points, *self._cores)
            self._loop((ctypes.c_void_p * len(places))(*places), lengths, steps, None)

        if parts == 1:
            for task in tasks:
                call(task)
        else:
            with ThreadPoolExecutor(parts) as pool:
                list(pool.map(call, tasks))


def addresses(arrays: Sequence[Any]) -> list[int]:
    return [array.__array_interface__["data"][0] for array in arrays]


def overlap(one: Any, other: Any) -> bool:
    """Whether two arrays have memory in common; of strided arrays whose answer takes long to find, that they may."""
    try:
        return bool(np.shares_memory(one, other, max_work=1000))  # type: ignore[arg-type]  # any int, says NumPy
    except np.exceptions.TooHardError:
        return True


def merged(batch: tuple[int, ...], steps: Sequence[tuple[int, ...]]) -> tuple[list[int], list[list[int]]]:
    """The axes of a batch with those made one that lie in one line in every array: extents, and strides per array."""
    extents: list[int] = []
    strides: list[list[int]] = [[] for _ in steps]
    for axis, extent in enumerate(batch):
        if extent == 1:
            continue
        if extents and all(known[-1] == extent * step[axis] for known, step in zip(strides, steps, strict=True)):
            extents[-1] *= extent
            for known, step in zip(strides, steps, strict=True):
                known[-1] = step[axis]
        else:
            extents.append(extent)
            for known, step in zip(strides, steps, strict=True):
                known.append(step[axis])
    return extents, strides


def default_threads() -> int:
    """The environment variable HYBRID_NUM_THREADS, else the number of processors this process may use."""
    text = os.environ.get("HYBRID_NUM_THREADS", "")
    if text.isdecimal() and int(text) > 0:
        return int(text)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


# --- the library ------------------------------------------------------------------------------------------------------
def load(module: str, folder: Path) -> Kernel:
    """The kernel that is described in a folder. Raises ImportError where its library cannot run."""
    described = json.loads((folder / "kernel.json").read_text(encoding="utf-8"))
    return Kernel(module, described, folder / described["library"])


def native(described: dict[str, Any], library: Path, suffix: str, operands: int) -> Any:
    """The function of the library that goes over points. Raises ImportError where it cannot run."""
    name, triple = described["name"], described["triple"]
    lacking = sorted(set(described["requires"]) - features()) if described["requires"] and features() else []
    if lacking:
        raise ImportError(
            f"{name} was compiled for a processor with {', '.join(lacking)}, which this one lacks; export it again for "
            f'another target, such as "x86-64-v2"'
        )
    try:
        loop = getattr(ctypes.CDLL(str(library)), f"{name}{suffix}")
    except OSError as error:
        raise ImportError(
            f"{name} was compiled for {triple}; this is {platform.system()} on {platform.machine()}: {error}"
        ) from error
    pointers = [ctypes.c_void_p]
    loop.argtypes = pointers * 4 if suffix == "_loop" else [ctypes.c_int64, *pointers * operands]
    loop.restype = None
    return loop


def features() -> frozenset[str]:
    """The names that Linux gives the abilities of an x86 processor; none elsewhere."""
    try:
        found = re.search(r"^flags\s*:(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        return frozenset()
    return frozenset(found[1].split()) if found else frozenset()


def kernel_of(module: str, name: str) -> Any:
    """A kernel by its name, for pickles."""
    return getattr(importlib.import_module(module), name)


# --- how it is shown --------------------------------------------------------------------------------------------------
def signature(arguments: Sequence[Operand]) -> inspect.Signature:
    kind = inspect.Parameter
    try:
        named = [kind(operand.name, kind.POSITIONAL_OR_KEYWORD) for operand in arguments]
        options = [kind(name, kind.KEYWORD_ONLY, default=None) for name in ("out", "threads")]
        return inspect.Signature([*named, *options])
    except ValueError:  # names that Python has for itself, or that come twice
        return inspect.Signature([kind("args", kind.VAR_POSITIONAL), kind("named", kind.VAR_KEYWORD)])


def documentation(kernel: Kernel) -> str:
    lines = [f"{kernel.name}: {kernel.operations} operations per point, in {kernel.dtype}.", "", "Arguments:"]
    lines += [f"    {operand.name} : shape {operand.expected}" for operand in kernel.arguments]
    lines += ["", "Results:"]
    for operand in kernel.results:
        sparse = f", the values of {kernel.patterns[operand.name]!r}" if operand.name in kernel.patterns else ""
        lines.append(f"    {operand.name} : shape {operand.expected}{sparse}")
    if kernel.reductions:
        lines += ["", f"Reduced over the batch: {', '.join(kernel.reductions)}. Shared: {', '.join(kernel.shared)}."]
    return "\n".join([*lines, "", "The leading axes are those of a batch, and broadcast. See `Kernel.__call__`.", ""])
