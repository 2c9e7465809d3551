"""Calling a kernel as a NumPy ufunc is called: what is given becomes arrays, what comes back what was asked for.

One point or a small batch of floats and float64 arrays takes the quick way in `Kernel.__call__`; this is the way of
everything else, with NumPy's `out`, `where`, `dtype`, `casting` and `axes`, and of kernels with more operands than
NumPy allows, whose arguments or results lie side by side in one array.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from math import prod
from operator import index
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

import codegen
from hybrid.arguments import as_array, bind_arguments, check_threads
from hybrid.definition import Argument, Formula
from hybrid.errors import ArgumentError, InputTypeError, ShapeError

Casting = Literal["no", "equiv", "safe", "same_kind", "unsafe"]
CASTINGS = ("no", "equiv", "safe", "same_kind", "unsafe")
SINGLE, DOUBLE = np.dtype(np.float32), np.dtype(np.float64)


@dataclass(frozen=True)
class Gathered:
    """Whether all arguments, and all results, lie side by side in one array of the program."""

    arguments: bool
    results: bool


class Callee(Protocol):
    """What is read of a kernel here."""

    @property
    def name(self) -> str: ...
    @property
    def formulas(self) -> tuple[Formula, ...]: ...
    @property
    def arguments(self) -> tuple[Argument, ...]: ...
    @property
    def compiled(self) -> codegen.Compiled: ...
    @property
    def single(self) -> codegen.Compiled | None: ...
    @property
    def ufunc(self) -> np.ufunc: ...
    @property
    def loop(self) -> np.ufunc: ...
    @property
    def gathered(self) -> Gathered | None: ...
    def __call__(self, *args: Any, **options: Any) -> Any: ...


@dataclass(frozen=True)
class Options:
    """What may be given with a call beside the arguments; see `Kernel.__call__`."""

    out: Any = None
    dtype: DTypeLike | None = None
    threads: int | None = None
    where: Any = True
    casting: Casting = "same_kind"
    axes: Any = None


OPTIONS = frozenset(field.name for field in fields(Options))


def own_names(arguments: Sequence[Argument], options: Options, named: dict[str, Any]) -> tuple[Options, dict[str, Any]]:
    """Options and arguments by name; what is called like an option but is an argument of the function is that."""
    for argument in arguments:
        if argument.name in OPTIONS and argument.name not in named:
            value, default = getattr(options, argument.name), getattr(Options(), argument.name)
            if value is not default:
                options, named = replace(options, **{argument.name: default}), named | {argument.name: value}
    return options, named


def call(kernel: Callee, values: Sequence[Any], options: Options) -> Any:
    """The results for one value per argument: one array, or a tuple of them."""
    name = kernel.name
    check_threads(name, options.threads)
    if options.casting not in CASTINGS:
        raise ArgumentError(f"{name}: casting must be one of {', '.join(map(repr, CASTINGS))}, got {options.casting!r}")
    dtype = _result_type(name, options.dtype)
    outputs = _outputs(kernel, options.out)
    if any(map(_overrides, [*values, *(outputs or ())])):
        return _overridden(kernel, values, options)
    mask = _mask(name, options.where)
    if options.axes is not None:
        values, outputs, restore = _moved(kernel, values, outputs, options.axes)
    arrays = [as_array(name, a, v) for a, v in zip(kernel.arguments, values, strict=True)]
    element = _element(kernel, values, arrays, dtype)
    for argument, value, array in zip(kernel.arguments, values, arrays, strict=True):
        if not isinstance(value, float | int) and not np.can_cast(array.dtype, element, options.casting):
            raise InputTypeError(
                f"{name}: argument {argument.name} of type {array.dtype} is not cast to {element} under casting "
                f"{options.casting!r}"
            )
    _check_outputs(kernel, outputs, element, options.casting)
    results = _run(kernel, [_converted(array, element) for array in arrays], outputs, options.threads, mask)
    if dtype is not None:
        results = tuple(
            result if given is not None else np.asarray(result).astype(dtype, copy=False)[()]
            for result, given in zip(results, outputs or [None] * len(results), strict=True)
        )
    if options.axes is not None:
        results = restore(results)
    return results[0] if len(kernel.formulas) == 1 else results


def _result_type(name: str, dtype: DTypeLike | None) -> np.dtype[Any] | None:
    if dtype is None:
        return None
    try:
        result: np.dtype[Any] = np.dtype(dtype)
    except TypeError as error:
        raise InputTypeError(f"{name}: dtype={dtype!r} is no type of NumPy: {error}") from error
    if result.kind != "f":
        raise InputTypeError(
            f"{name}: dtype must be a real floating-point type such as float64 or float32, got {result}; "
            f"results are real numbers"
        )
    return result


def _element(
    kernel: Callee, values: Sequence[Any], arrays: Sequence[NDArray[Any]], dtype: np.dtype[Any] | None
) -> np.dtype[Any]:
    """The type to compute in: NumPy's choice of loop. Python's numbers take the type of the arrays they meet."""
    if kernel.single is None:
        return DOUBLE
    if dtype is not None:
        return SINGLE if dtype.itemsize <= 4 else DOUBLE
    weak = [value if type(value) in (float, int) else array for value, array in zip(values, arrays, strict=True)]
    common = np.result_type(*weak) if weak else DOUBLE
    return SINGLE if np.can_cast(common, SINGLE, "safe") else DOUBLE


def _converted(array: NDArray[Any], element: np.dtype[Any]) -> NDArray[Any]:
    # NumPy converts whole numbers as it goes; what would choose another loop is converted here.
    if element == SINGLE or (array.dtype.kind == "f" and array.dtype != element):
        return array.astype(element)
    return array


def _mask(name: str, where: Any) -> NDArray[np.bool_] | None:
    if where is True or where is np.True_:
        return None
    mask = np.asarray(where)
    if mask.dtype != np.bool_:
        raise InputTypeError(f"{name}: where= takes booleans, got {mask.dtype}")
    return mask


# --- objects with an __array_ufunc__ of their own ---------------------------------------------------------------------
def _overrides(value: Any) -> bool:
    """Whether a value decides itself what a ufunc does with it: arrays of units, lazy and distributed arrays."""
    missing = object()
    found = getattr(type(value), "__array_ufunc__", missing)
    return found is not missing and found is not np.ndarray.__array_ufunc__


def _overridden(kernel: Callee, values: Sequence[Any], options: Options) -> Any:
    if kernel.gathered is not None:
        raise InputTypeError(
            f"{kernel.name} has more operands than a ufunc can; it takes plain arrays, not {_kinds(values)}"
        )
    keywords: dict[str, Any] = {"casting": options.casting}
    for key in ("out", "dtype", "axes"):
        if getattr(options, key) is not None:
            keywords[key] = getattr(options, key)
    if options.where is not True:
        keywords["where"] = options.where
    return kernel.ufunc(*values, **keywords)


def _kinds(values: Sequence[Any]) -> str:
    return ", ".join(sorted({type(value).__name__ for value in values}))


# --- axes= ------------------------------------------------------------------------------------------------------------
def _moved(kernel: Callee, values: Sequence[Any], outputs: Any, axes: Any) -> Any:
    """Values and outputs with their core axes last, and what puts those of results where they were asked for."""
    shapes = [argument.shape for argument in kernel.arguments] + [formula.shape for formula in kernel.formulas]
    inputs = len(kernel.arguments)
    try:
        given = [tuple(map(index, item if isinstance(item, tuple | list) else (item,))) for item in axes]
    except TypeError:
        given = []
    if len(given) == inputs:
        given += [tuple(range(-len(shape), 0)) for shape in shapes[inputs:]]
    if [len(item) for item in given] != [len(shape) for shape in shapes]:
        raise ArgumentError(
            f"{kernel.name}: axes= takes a tuple of axes per operand, {[len(shape) for shape in shapes]} of them, each "
            f"a whole number; got {axes!r}"
        )

    def last(array: Any, places: tuple[int, ...]) -> Any:
        try:
            return np.moveaxis(np.asanyarray(array), places, range(-len(places), 0)) if places else array
        except ValueError as error:
            raise ShapeError(f"{kernel.name}: axes={axes!r} do not fit an array of shape {np.shape(array)}") from error

    def restore(results: Sequence[Any]) -> tuple[Any, ...]:
        if outputs is not None and all(array is not None for array in outputs):
            return tuple(outputs)
        return tuple(
            np.moveaxis(result, range(-len(places), 0), places) if places else result
            for result, places in zip(results, given[inputs:], strict=True)
        )

    values = [last(value, places) for value, places in zip(values, given, strict=False)]
    moved = outputs and [
        None if array is None else last(array, places) for array, places in zip(outputs, given[inputs:], strict=True)
    ]
    return values, moved, restore


# --- out= -------------------------------------------------------------------------------------------------------------
def _outputs(kernel: Callee, out: Any) -> list[Any] | None:
    if out is None:
        return None
    outputs = list(out) if isinstance(out, tuple | list) else [out]
    if len(outputs) != len(kernel.formulas):
        raise ArgumentError(f"{kernel.name} has {len(kernel.formulas)} results, but out= holds {len(outputs)} arrays")
    return outputs


def _check_outputs(kernel: Callee, outputs: list[Any] | None, element: np.dtype[Any], casting: Casting) -> None:
    seen: list[NDArray[Any]] = []
    for array, formula in zip(outputs or (), kernel.formulas, strict=False):
        if array is None:
            continue
        if not isinstance(array, np.ndarray) or not np.can_cast(element, array.dtype, casting):
            found = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
            raise InputTypeError(
                f"{kernel.name}: out= for {formula.name} must be an array that {element} is cast to under casting "
                f"{casting!r}, such as a {element} array, got {found}"
            )
        if array.dtype.kind == "c":
            raise InputTypeError(f"{kernel.name}: out= for {formula.name} is complex; results are real numbers")
        if not array.flags.writeable:
            raise ArgumentError(f"{kernel.name}: out= for {formula.name} is read-only")
        rank = len(formula.shape)
        if rank and array.shape[-rank:] != formula.shape:
            shape = ", ".join(["...", *map(str, formula.shape)])
            raise ShapeError(f"{kernel.name}: out= for {formula.name} needs shape ({shape}), got {array.shape}")
        if codegen.overlaps_itself(array):
            raise ArgumentError(
                f"{kernel.name}: out= for {formula.name} has several elements at one place in memory (strides "
                f"{array.strides}); give an array whose elements are apart"
            )
        if any(codegen.overlap(array, other) for other in seen):
            raise ArgumentError(f"{kernel.name}: out= for {formula.name} shares memory with another array of out=")
        seen.append(array)


# --- running ----------------------------------------------------------------------------------------------------------
def _run(
    kernel: Callee,
    arrays: list[NDArray[Any]],
    outputs: list[Any] | None,
    threads: int | None,
    mask: NDArray[np.bool_] | None,
) -> tuple[Any, ...]:
    """One array per formula; where `mask` is false, what was there."""
    plain = kernel.gathered is None and mask is None and all(formula.nodes for formula in kernel.formulas)
    # NumPy converts results itself where that is no loss of kind; other casts that the caller allowed are done here.
    plain = plain and all(array is None or np.can_cast(SINGLE, array.dtype, "same_kind") for array in outputs or ())
    try:
        if plain:
            return codegen.run(kernel.loop, arrays, outputs, threads)
        if kernel.gathered is not None and kernel.gathered.arguments:
            arrays = [side_by_side(kernel.name, kernel.arguments, arrays)]
        results = _apart(kernel, codegen.run(kernel.loop, arrays, None, threads))
        if outputs is None and mask is None:
            return results
        return tuple(
            _placed(kernel.name, result, len(formula.shape), given, mask)
            for result, formula, given in zip(results, kernel.formulas, outputs or [None] * len(results), strict=True)
        )
    except ValueError as error:
        raise error if isinstance(error, ShapeError) else ShapeError(f"{kernel.name}: {error}") from error


def side_by_side(name: str, arguments: Sequence[Argument], arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """All arguments on one last axis, for kernels with more operands than NumPy allows, or without numbers to read."""
    flat = [
        array.reshape((*array.shape[: array.ndim - len(argument.shape)], argument.size))
        for array, argument in zip(arrays, arguments, strict=True)
    ]
    try:
        batch = np.broadcast_shapes(*(array.shape[:-1] for array in flat))
    except ValueError as error:
        raise ShapeError(f"{name}: the batches of the arguments do not broadcast: {error}") from error
    if not sum(argument.size for argument in arguments):
        return np.zeros((*batch, 1))
    return np.concatenate([np.broadcast_to(array, batch + array.shape[-1:]) for array in flat], axis=-1)


def _apart(kernel: Callee, results: tuple[Any, ...]) -> tuple[Any, ...]:
    """One array per formula, from the kernel's own results."""
    formulas = kernel.formulas
    if kernel.gathered is not None and kernel.gathered.results:
        whole, at, parts = results[0], 0, []
        for formula in formulas:
            size = prod(formula.shape)
            parts.append(whole[..., at : at + size].reshape((*whole.shape[:-1], *formula.shape))[()])
            at += size
        return tuple(parts)
    # One number stands for a result without entries.
    return tuple(
        result if formula.nodes else np.empty((*result.shape[:-1], *formula.shape), result.dtype)
        for result, formula in zip(results, formulas, strict=True)
    )


def _placed(name: str, result: Any, rank: int, given: Any, mask: NDArray[np.bool_] | None) -> Any:
    """A result in the array given for it, or a new one, where the mask allows."""
    allowed = np.array(True) if mask is None else mask
    core = result.shape[np.ndim(result) - rank :]
    batch = np.broadcast_shapes(result.shape[: np.ndim(result) - rank], allowed.shape)
    target = np.empty(batch + core, result.dtype) if given is None else given
    own = target.shape[: target.ndim - rank]
    if target.shape[target.ndim - rank :] != core or not _broadcasts(batch, own):
        raise ShapeError(f"{name}: an out= array has shape {target.shape}, expected {batch + core}")
    with np.errstate(invalid="ignore"):  # NaN as a whole number is what the machine makes of it, as everywhere in NumPy
        np.copyto(target, result, casting="unsafe", where=allowed.reshape((*allowed.shape, *(1,) * rank)))
    return target if given is not None else target[()]


def _broadcasts(batch: tuple[int, ...], to: tuple[int, ...]) -> bool:
    """Whether an array of one shape can be written into one of another."""
    try:
        return np.broadcast_shapes(batch, to) == to
    except ValueError:
        return False


# --- other ways to call -----------------------------------------------------------------------------------------------
def separate(kernel: Callee, what: str) -> None:
    """Refuse what needs one operand per argument and function of a kernel that has none."""
    if kernel.gathered is not None:
        raise ArgumentError(
            f"{kernel.name}: {what} needs an array per argument and function, but this kernel has "
            f"{len(kernel.arguments)} arguments and {len(kernel.formulas)} functions, which lie side by side; a ufunc "
            f"has at most 64 operands, none of them empty: gather scalars into an array argument"
        )


def point(kernel: Callee) -> Callable[..., Any]:
    """What `Kernel.point` is."""
    if kernel.gathered is None and all(formula.nodes for formula in kernel.formulas):
        function: Callable[..., Any] = codegen.make_function(kernel.compiled, f"{kernel.name} at one point")
        return function

    def evaluate(*values: Any) -> Any:
        arrays = [
            np.asarray(value, np.float64).reshape(argument.shape)
            for argument, value in zip(kernel.arguments, values, strict=True)
        ]
        results = kernel(*arrays)
        flat = [
            tuple(np.ravel(result).tolist()) if formula.shape else float(result)
            for result, formula in zip(
                results if len(kernel.formulas) > 1 else (results,), kernel.formulas, strict=True
            )
        ]
        return flat[0] if len(flat) == 1 else tuple(flat)

    return evaluate


def bind(kernel: Callee, inputs: Any, outputs: Any) -> Callable[[], Any]:
    """What `Kernel.bind` does."""
    separate(kernel, "bind")
    if isinstance(inputs, Mapping):
        arrays = bind_arguments(kernel.name, kernel.arguments, (), inputs)
    elif not isinstance(inputs, Sequence | np.ndarray) or isinstance(inputs, str):
        raise ArgumentError(f"{kernel.name}: bind takes a list or a dict of arrays, got {type(inputs).__name__}")
    else:
        given = [inputs] if isinstance(inputs, np.ndarray) else list(inputs)
        arrays = bind_arguments(kernel.name, kernel.arguments, given, {})
    single = kernel.single is not None and all(getattr(array, "dtype", None) == SINGLE for array in arrays)
    compiled = kernel.single if single and kernel.single is not None else kernel.compiled
    ranks = [len(argument.shape) for argument in kernel.arguments]
    wanted = _outputs(kernel, outputs) or [None] * len(kernel.formulas)
    try:
        batch = np.broadcast_shapes(
            *(np.shape(array)[: max(0, np.ndim(array) - rank)] for array, rank in zip(arrays, ranks, strict=True))
        )
        places: list[Any] = [
            np.zeros((*batch, *formula.shape), SINGLE if single else DOUBLE) if place is None else place
            for place, formula in zip(wanted, kernel.formulas, strict=True)
        ]
        function: Callable[[], Any] = codegen.bind(compiled, arrays, places, f"{kernel.name} on fixed arrays")
    except TypeError as error:
        raise InputTypeError(str(error)) from error
    except ValueError as error:
        wrong = "read-only" in str(error) or "overlaps" in str(error)
        raise (ArgumentError if wrong else ShapeError)(str(error)) from error
    return function


def low_level_callable(kernel: Callee, signature: str | None, parameters: Any) -> Any:
    """What `Kernel.low_level_callable` does."""
    try:
        from scipy import LowLevelCallable
    except ImportError as error:
        raise ImportError("low_level_callable needs SciPy: pip install 'hybrid[scipy]'") from error
    separate(kernel, "low_level_callable")
    try:
        fixed = np.array([] if parameters is None else parameters, np.float64).ravel()
    except (TypeError, ValueError) as error:
        raise InputTypeError(f"{kernel.name}: parameters are real numbers: {error}") from error
    numbers = sum(argument.size for argument in kernel.arguments) - len(fixed)
    if signature is None:
        first = "double (double" if numbers == 1 else "double (int, double *"
        signature = f"{first})" if parameters is None else f"{first}, void *)"
    if parameters is not None and "void *" not in signature:
        raise ArgumentError(f"{kernel.name}: parameters need a signature that ends in `void *`, got {signature!r}")
    try:
        function = codegen.callback(kernel.compiled, signature, numbers)
    except ValueError as error:
        raise ArgumentError(str(error)) from error
    data = ctypes.cast((ctypes.c_double * max(1, len(fixed)))(*fixed), ctypes.c_void_p)
    return LowLevelCallable(function, data) if "void *" in signature else LowLevelCallable(function)
