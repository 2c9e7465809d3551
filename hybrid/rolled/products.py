"""Contractions of rolled arrays: `@`, `einsum` and the like are products over named axes, and a reduction."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from hybrid import operations as ops
from hybrid.errors import ShapeError, UnsupportedError
from hybrid.operations import REAL
from hybrid.rolled import maps
from hybrid.rolled.array import RolledArray, as_kind, lift, pointwise
from hybrid.rolled.functions import implements, sum_of
from hybrid.rolled.model import Model
from hybrid.symbolic_array import SymbolicArray, elementwise


@implements(np.einsum)
def einsum(model: Model, subscripts: Any, *operands: Any, optimize: Any = True) -> Any:
    if not isinstance(subscripts, str):
        raise UnsupportedError("np.einsum takes its subscripts as text in a traced function, such as 'ij,j->i'")
    arrays = [as_kind(lift(model, operand), REAL) for operand in operands]
    terms, _, result = subscripts.replace(" ", "").partition("->")
    names = terms.split(",")
    if len(names) != len(arrays):
        raise ValueError(f"np.einsum got {len(arrays)} operands for {subscripts!r}")
    names, hidden = without_ellipsis(names, arrays)
    if "->" not in subscripts:
        letters = sorted("".join(terms.split(",")).replace(".", ""))
        result = ("..." if "..." in terms else "") + "".join(x for x in letters if letters.count(x) == 1)
    return contraction(model, names, arrays, result.replace("...", hidden))


def without_ellipsis(names: Sequence[str], arrays: Sequence[RolledArray]) -> tuple[list[str], str]:
    """Subscripts with letters in the place of dots."""
    spare = [chr(code) for code in range(192, 192 + 32)]
    counts = [array.ndim - len(name.replace("...", "")) for name, array in zip(names, arrays, strict=True)]
    longest = max((count for name, count in zip(names, counts, strict=True) if "..." in name), default=0)
    hidden = "".join(spare[:longest])
    done = [
        name.replace("...", hidden[longest - count :]) if "..." in name else name
        for name, count in zip(names, counts, strict=True)
    ]
    for name, array in zip(done, arrays, strict=True):
        if len(name) != array.ndim:
            raise ValueError(f"np.einsum subscripts {name!r} do not fit an operand of shape {array.shape}")
    return done, hidden


def contraction(model: Model, names: Sequence[str], arrays: Sequence[RolledArray], result: str) -> RolledArray:
    """The product of arrays with named axes, summed over the names that are not in the result."""
    lengths: dict[str, int] = {}
    for name, array in zip(names, arrays, strict=True):
        for letter, length in zip(name, array.shape, strict=True):
            if lengths.setdefault(letter, length) == 1:
                lengths[letter] = length
            elif length not in (1, lengths[letter]):
                raise ValueError(f"axes named {letter!r} have lengths {lengths[letter]} and {length}")
    if missing := [letter for letter in result if letter not in lengths]:
        raise ValueError(f"the result of np.einsum has an axis {missing[0]!r} that no operand has")
    letters = result + "".join(letter for letter in lengths if letter not in result)
    shape = tuple(lengths[letter] for letter in letters)
    factors = []
    for name, array in zip(names, arrays, strict=True):
        axes = tuple(
            maps.unit(letters.index(letter) if length != 1 else None, lengths[letter], len(shape))
            for letter, length in zip(name, array.shape, strict=True)
        )
        factors.append(array.viewed(axes, shape))
    product = factors[0] if len(factors) == 1 else pointwise(multiply_all, *factors)
    return sum_of(model, product, tuple(range(len(result), len(letters)))) if len(letters) > len(result) else product


def multiply_all(*parts: SymbolicArray) -> SymbolicArray:
    return functools.reduce(functools.partial(elementwise, ops.mul), parts)


@implements(np.matmul)
def matmul(model: Model, x: Any, y: Any) -> Any:
    first, second = as_kind(lift(model, x), REAL), as_kind(lift(model, y), REAL)
    if not first.ndim or not second.ndim:
        raise ValueError("@ needs arrays with at least one axis; use * with a scalar")
    rows = "a" if first.ndim > 1 else ""
    columns = "c" if second.ndim > 1 else ""
    if first.shape[-1] != second.shape[-2 if columns else -1]:
        raise ValueError(f"@ cannot multiply shapes {first.shape} and {second.shape}")
    return einsum(model, f"...{rows}b,...b{columns}->...{rows}{columns}", first, second)


@implements(np.dot)
def dot(model: Model, x: Any, y: Any) -> Any:
    first, second = lift(model, x), lift(model, y)
    if not first.ndim or not second.ndim:
        return first * second
    return np.tensordot(first, second, (-1, max(second.ndim - 2, 0)))


implements(np.inner)(
    lambda model, x, y: np.tensordot(lift(model, x), lift(model, y), (-1, -1)) if np.ndim(x) and np.ndim(y) else x * y
)
implements(np.vdot)(lambda model, x, y: sum_of(model, lift(model, x).reshape(-1) * lift(model, y).reshape(-1)))


@implements(np.vecdot)
def vecdot(model: Model, x: Any, y: Any, axis: int = -1) -> Any:
    first, second = lift(model, x), lift(model, y)
    if not first.ndim or not second.ndim or first.shape[axis] != second.shape[axis]:
        raise ShapeError(f"vecdot of shapes {first.shape} and {second.shape}: it takes equally long vectors")
    return sum_of(model, first * second, axis)


@implements(np.outer)
def outer(model: Model, x: Any, y: Any) -> Any:
    return lift(model, x).reshape(-1, 1) * lift(model, y).reshape(1, -1)


@implements(np.tensordot)
def tensordot(model: Model, x: Any, y: Any, axes: Any = 2) -> Any:
    first, second = as_kind(lift(model, x), REAL), as_kind(lift(model, y), REAL)
    if isinstance(axes, int):
        left, right = list(range(first.ndim - axes, first.ndim)), list(range(axes))
    else:
        left, right = ([part] if isinstance(part, int) else list(part) for part in axes)
    left = [normalize_axis_index(axis, first.ndim) for axis in left]
    right = [normalize_axis_index(axis, second.ndim) for axis in right]
    names = [chr(ord("a") + number) for number in range(first.ndim)]
    others = [chr(ord("A") + number) for number in range(second.ndim)]
    for one, other in zip(left, right, strict=True):
        others[other] = names[one]
        if first.shape[one] != second.shape[other]:
            raise ValueError(f"shapes {first.shape} and {second.shape} do not fit along axes {axes}")
    result = [name for number, name in enumerate(names) if number not in left]
    result += [name for number, name in enumerate(others) if number not in right]
    return contraction(model, ["".join(names), "".join(others)], [first, second], "".join(result))
