"""What a kernel is called with: values matched to its arguments, each made an array of numbers of the right shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from hybrid.errors import ArgumentError, InputTypeError, ShapeError


class Named(Protocol):
    """What matters of an argument here: its name and its shape."""

    @property
    def name(self) -> str: ...

    @property
    def shape(self) -> tuple[int, ...]: ...


def bind_arguments(
    function: str, arguments: Sequence[Named], args: Sequence[Any], named: Mapping[str, Any]
) -> list[Any]:
    """One value per argument, in order, from positional and named ones. Raises ArgumentError when they do not fit."""
    names = [argument.name for argument in arguments]
    expected = f"{function} takes {len(names)} arguments ({', '.join(names)})"
    if len(args) > len(names):
        raise ArgumentError(f"{expected}, got {len(args)}")
    if not named:
        if len(args) < len(names):
            raise ArgumentError(f"{expected}; missing: {', '.join(names[len(args) :])}")
        return list(args)
    unknown = [name for name in named if name not in names]
    twice = [name for name in named if name in names[: len(args)]]
    missing = [name for name in names[len(args) :] if name not in named]
    for problem, which in (("unknown", unknown), ("given twice", twice), ("missing", missing)):
        if which:
            raise ArgumentError(f"{expected}; {problem}: {', '.join(which)}")
    return [*args, *[named[name] for name in names[len(args) :]]]


def as_array(kernel: str, argument: Named, value: Any) -> NDArray[Any]:
    """A value as an array of shape batch + argument shape, of booleans, integers or floats of at most 64 bits.

    Raises ShapeError when the shape does not fit, InputTypeError for what is no real number, or is masked.
    """
    try:
        array: NDArray[Any] = np.asarray(value)
    except ValueError as error:
        raise ShapeError(f"{kernel}: argument {argument.name} is not one array: {error}") from error
    if array.dtype.kind not in "fiub":
        kind = "complex" if array.dtype.kind == "c" else f"of type {array.dtype}"
        raise InputTypeError(f"{kernel}: argument {argument.name} is {kind}; real numbers are expected")
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise InputTypeError(
            f"{kernel}: argument {argument.name} has masked elements; fill them first, x.filled(np.nan)"
        )
    if array.dtype.itemsize > 8:
        array = array.astype(np.float64)
    rank = len(argument.shape)
    if rank and (array.ndim < rank or array.shape[-rank:] != argument.shape):
        shape = ", ".join(["...", *map(str, argument.shape)])
        raise ShapeError(f"{kernel} expects {argument.name} of shape ({shape}), got {array.shape}")
    return array


def check_threads(kernel: str, threads: Any) -> None:
    """Raise ArgumentError unless `threads` is None or a positive whole number."""
    if threads is not None and (not isinstance(threads, int | np.integer) or threads is True or threads < 1):
        raise ArgumentError(
            f"{kernel}: threads must be at least 1, a whole number, or None for the default, got {threads!r}"
        )


def element_of(dtype: DTypeLike) -> str:
    """The name of a type that kernels compute in. Raises InputTypeError for any other than float32 and float64."""
    try:
        found: np.dtype[Any] = np.dtype(dtype)
    except TypeError as error:
        raise InputTypeError(f"dtype must be float64 or float32, got {dtype!r}: {error}") from error
    if found not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise InputTypeError(
            f"dtype must be float64 or float32, got {found}; kernels compute with real numbers in these"
        )
    return str(found)
