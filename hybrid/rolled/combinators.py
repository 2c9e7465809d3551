"""Sums, maps, scatters and recurrences stated directly; one source for arrays, traced arrays and tensors.

    hy.sum_over(term, n)                Σ term(i) over i < n, or over index arrays that are walked together
    hy.map_over(term, index, …)         term at each index
    hy.scatter_add(n, index, values)    n sums: values[k] is added to element index[k]
    hy.scan(step, start, xs)            a recurrence: what the carry is after each step
    hy.logsumexp(x, axis)               log Σ exp, without overflow

On NumPy arrays they compute; in a function that is traced rolled they become one block each; traced flat, or on tensors
of the numeric tape, they are written out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from hybrid.deferred import Deferred
from hybrid.errors import ArgumentError, InputTypeError, ShapeError, UnsupportedError
from hybrid.operations import REAL
from hybrid.rolled import functions, maps
from hybrid.rolled.array import FUNCTIONS, UFUNC_METHODS, RolledArray, aligned, as_kind, entered, lift
from hybrid.rolled.maps import Map
from hybrid.rolled.model import STORE, SUM, Access, Block, Carry, Model, Write
from hybrid.symbolic_array import SymbolicArray

tape = Deferred("hybrid.tape")
Array = Any
__all__ = ["logsumexp", "map_over", "scan", "scatter_add", "sum_over"]


def is_tensor(value: Any) -> bool:
    return hasattr(value, "requires_grad")


# --- sums and maps ----------------------------------------------------------------------------------------------------
def map_over(template: Callable[..., Any], *indices: Any) -> Array:
    """The template at each index: `template(i, j, …)` where arrays are read as `x[i]`, `x[i + 1]`, `v[j]`, …

    indices : arrays of whole numbers of one shape, walked together; a number n stands for 0, 1, …, n − 1. The template
        gets them as they are, once, and is written for one index: arithmetic, functions and `x[i]`.

    Raises InputTypeError for indices that are no whole numbers, ShapeError for shapes that differ.
    """
    return template(*index_arrays("map_over", indices))


def sum_over(template: Callable[..., Any], *indices: Any) -> Array:
    """The sum of a template over indices, as for `map_over`: a scalar if it gives a number for each.

    >>> import numpy as np
    >>> x = np.arange(5.0)
    >>> float(sum_over(lambda i: (x[i + 1] - x[i]) ** 2, 4))
    4.0
    """
    return np.sum(map_over(template, *indices), axis=0)


def index_arrays(name: str, indices: Sequence[Any]) -> list[Any]:
    if not indices:
        raise ArgumentError(f"hy.{name} needs at least one index array, or how many indices there are")
    arrays = [np.arange(index) if isinstance(index, int | np.integer) else np.asarray(index) for index in indices]
    for array in arrays:
        if array.dtype.kind not in "iu" or array.ndim != 1:
            raise InputTypeError(
                f"hy.{name} takes vectors of whole numbers as indices, got {array.dtype} of shape {array.shape}"
            )
    if len({array.shape for array in arrays}) > 1:
        raise ShapeError(f"hy.{name} walks index arrays together; their lengths are {[len(a) for a in arrays]}")
    return arrays


# --- scatter ----------------------------------------------------------------------------------------------------------
def scatter_add(n: int, index: Any, values: Any) -> Array:
    """An array of length n along its first axis in which values[k] has been added to element index[k].

    index : whole numbers in 0 … n − 1, an array of the shape that `values` begins with. values : any further axes stay.
    Returns an array of shape (n,) + the further axes. Elements that no index names are 0.

    Raises InputTypeError for an index that is no whole number, ShapeError for shapes that do not fit, IndexError for an
    index outside.
    """
    places = np.asarray(index)
    if places.dtype.kind not in "iu":
        raise InputTypeError(f"hy.scatter_add takes whole numbers as index, got an array of {places.dtype}")
    shape = tuple(np.shape(values))
    if shape[: places.ndim] != places.shape:
        raise ShapeError(f"hy.scatter_add: values of shape {shape} do not begin with the index's shape {places.shape}")
    if places.size and (places.min() < 0 or places.max() >= n):
        raise IndexError(f"hy.scatter_add: an index from {places.min()} to {places.max()} is outside of 0 … {n - 1}")
    if isinstance(values, RolledArray):
        return scatter_rolled(int(n), places.astype(np.int64), values)
    rest = shape[places.ndim :]
    if isinstance(values, SymbolicArray):
        return scatter_symbolic(int(n), places.reshape(-1), values.reshape((places.size, *rest)))
    if is_tensor(values):
        flat = values.reshape(places.size, *rest)
        spread = np.broadcast_to(places.reshape((-1,) + (1,) * len(rest)), (places.size, *rest))
        zero = tape.zeros((n, *rest), dtype=values.dtype)
        return zero.scatter_add(0, tape.tensor(np.array(spread, dtype=np.int64)), flat)
    numbers = np.asarray(values, dtype=np.float64)
    result = np.zeros((n, *rest))
    np.add.at(result, places, numbers)
    return result


def scatter_rolled(n: int, places: Any, values: RolledArray) -> RolledArray:
    model = values.model
    values = as_kind(values, REAL)
    if values.loop:
        raise UnsupportedError("hy.scatter_add inside hy.scan: do it before the scan or after it")
    rest = values.shape[places.ndim :]
    strides = maps.contiguous((n, *rest))
    step = maps.full_strides((n, *rest))[0]
    table = (places * step).reshape(places.shape + (1,) * len(rest))
    where = model.tables.map(0, (0,) * places.ndim + strides[1:], table)
    held = model.reduced(values.node, values.shape, where, SUM, (n, *rest))
    return RolledArray(model, model.read(held.number, maps.identity((n, *rest))), (n, *rest))


def scatter_symbolic(n: int, places: Any, values: SymbolicArray) -> Any:
    groups: list[list[int]] = [[] for _ in range(n)]
    for number, place in enumerate(places.tolist()):
        groups[place].append(number)
    zero = np.zeros_like(values[0])
    return np.stack([np.sum(values[group], axis=0) if group else zero for group in groups])


def bincount(model: Model, index: Any, weights: Any = None, minlength: int = 0) -> Any:
    places = np.asarray(index)
    return scatter_add(max(int(minlength), int(places.max(initial=-1)) + 1), places, lift(model, weights))


def add_at(model: Model, target: Any, index: Any, values: Any) -> None:
    """np.add.at on a traced array."""
    if not isinstance(target, RolledArray):
        raise UnsupportedError("np.add.at into a plain array of numbers: use hy.scatter_add(n, index, values)")
    places = np.asarray(index)
    spread = lift(model, values).broadcast_to(places.shape + target.shape[1:])
    target.become(target + scatter_add(len(target), places, spread))


FUNCTIONS[np.bincount] = bincount
UFUNC_METHODS[np.add, "at"] = add_at


# --- log-sum-exp ------------------------------------------------------------------------------------------------------
def logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Array:
    """log Σ exp(x) along axes (all by default), without overflow; −∞ where all elements are −∞."""
    if isinstance(x, RolledArray):
        return functions.log_sum_exp(x.model, x, axis, keepdims)
    if is_tensor(x):
        return tape.logsumexp(x, tuple(range(x.ndim)) if axis is None else axis, keepdims)
    array = x if isinstance(x, SymbolicArray) else np.asarray(x, dtype=np.float64)
    largest = np.max(array, axis=axis, keepdims=True)
    with np.errstate(all="ignore"):
        shift = np.where(np.isfinite(largest), largest, 0.0)
        total = np.log(np.sum(np.exp(array - shift), axis=axis, keepdims=True)) + shift
    return total if keepdims else np.squeeze(total, axis) if axis is not None else total.reshape(())[()]


# --- scan -------------------------------------------------------------------------------------------------------------
def scan(
    step: Callable[..., Any], start: Any, xs: Any = None, *, length: int | None = None, reverse: bool = False
) -> Array:
    """A recurrence of first order: carry₀ = start, carryₖ₊₁ = step(carryₖ, xs[k]); returns what each step gives.

    step : called with the carry and an element of xs, both tuples if `start` and `xs` are; with the carry alone if
        there is no xs. Returns the next carry. Other arrays that it uses are the same at every step.
    start : a number or array, or a tuple of these: components that step mixes are given one by one, since the elements
        of one array are carried independently of each other.
    xs : an array, whose first axis is walked along, or a tuple of these. length : how many steps, without xs.
    reverse : from the last element of xs to the first.

    Returns an array of shape (steps,) + that of the carry, or a tuple of these; entry k is the carry after the step
    that took xs[k]. Raises ArgumentError for no steps, ShapeError where a carry changes its shape.
    """
    several, paired = isinstance(start, tuple), isinstance(xs, tuple)
    carries = list(start) if several else [start]
    series = list(xs) if paired else [] if xs is None else [xs]
    counts = {np.shape(one)[0] if np.ndim(one) else -1 for one in series} or {length}
    if len(counts) != 1 or not isinstance(count := next(iter(counts)), int | np.integer) or count < 1:
        raise ArgumentError(
            "hy.scan needs xs with first axes of one length, at least 1, or length=; got "
            + (f"shapes {[np.shape(one) for one in series]}" if series else f"length={length!r}")
        )
    if length is not None and series and length != count:
        raise ArgumentError(f"hy.scan got length={length} and xs of {count} elements; leave length= away")

    def once(state: Sequence[Any], elements: Sequence[Any]) -> list[Any]:
        first = tuple(state) if several else state[0]
        result = step(first, tuple(elements) if paired else elements[0]) if series else step(first)
        if several != isinstance(result, tuple) or (several and len(result) != len(carries)):
            wanted = f"a tuple of {len(carries)}" if several else "one array"
            raise ArgumentError(f"hy.scan: step must return the next carry, {wanted}, got {result!r}")
        return list(result) if several else [result]

    outside = captured_model([*carries, *series], step)
    if outside is not None:
        results = scan_rolled(outside, once, carries, series, int(count), reverse)
    else:
        results = scan_plain(once, carries, series, int(count), reverse)
    return tuple(results) if several else results[0]


def captured_model(values: Sequence[Any], step: Callable[..., Any]) -> Model | None:
    """The model of the first rolled array among some values or what a function closes over."""
    cells = [cell.cell_contents for cell in getattr(step, "__closure__", None) or () if is_filled(cell)]
    for value in [*values, *cells]:
        if isinstance(value, RolledArray):
            return value.model
    return None


def is_filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018  # empty cells raise
    except ValueError:
        return False
    return True


def scan_plain(
    once: Callable[..., list[Any]], carries: list[Any], series: list[Any], count: int, reverse: bool
) -> list[Any]:
    order = range(count - 1, -1, -1) if reverse else range(count)
    state, kept = carries, []
    for k in order:
        state = once(state, [one[k] for one in series])
        kept.append(state)
    if reverse:
        kept.reverse()
    shapes = [np.broadcast_shapes(*(np.shape(state[place]) for state in kept)) for place in range(len(carries))]
    results = []
    for place, shape in enumerate(shapes):
        parts = [state[place] for state in kept]
        if any(np.shape(part) != shape for part in parts):
            raise ShapeError(f"hy.scan: a carry changed its shape to {shape}; give start that shape")
        whole = next((part for part in parts if isinstance(part, SymbolicArray) or is_tensor(part)), None)
        if whole is not None and is_tensor(whole):
            parts = [part if is_tensor(part) else tape.tensor(np.asarray(part, dtype=np.float64)) for part in parts]
        results.append(np.stack(parts) if whole is not None else np.array(parts, dtype=np.float64))
    return results


def scan_rolled(
    model: Model, once: Callable[..., list[Any]], carries: list[Any], series: list[Any], count: int, reverse: bool
) -> list[RolledArray]:
    starts = [as_kind(lift(model, carry), REAL) for carry in carries]
    rows = [as_kind(lift(model, one), REAL) for one in series]
    if any(array.loop for array in (*starts, *rows)):
        raise UnsupportedError("hy.scan inside hy.scan: write the inner recurrence out, or make it one scan")
    loop = (count,)
    elements = [RolledArray(model, walked(one, reverse).node, one.shape[1:], loop) for one in rows]
    shapes = [start.shape for start in starts]
    for _ in range(2):  # a carry may take the shape of what is added to it
        variables = [model.carry() for _ in starts]
        state = [RolledArray(model, v, shape, loop) for v, shape in zip(variables, shapes, strict=True)]
        results = [as_kind(lift(model, result), REAL) for result in once(state, elements)]
        common = np.broadcast_shapes(*(result.shape for result in results), *shapes)
        if all(shape == common for shape in shapes):
            break
        shapes = [common] * len(shapes)
    else:
        raise ShapeError(f"hy.scan: the carries have shapes {shapes}, their next values {[r.shape for r in results]}")
    spread = aligned([*results, state[0]], common)[0][: len(results)]
    nodes = tuple(entered(result, loop).node for result in spread)
    space = loop + common
    held = [model.buffer(space) for _ in nodes]
    made = tuple(
        Carry(variable, started(start.broadcast_to(common), loop), node)
        for variable, start, node in zip(variables, starts, nodes, strict=True)
    )
    writes = tuple(Write(Access(buffer.number, maps.identity(space)), STORE) for buffer in held)
    model.add(Block(space, nodes, writes, made))
    return [
        walked(RolledArray(model, model.read(buffer.number, maps.identity(space)), space), reverse) for buffer in held
    ]


def walked(array: RolledArray, reverse: bool) -> RolledArray:
    return array[::-1] if reverse else array


def started(start: RolledArray, loop: tuple[int, ...]) -> Access:
    """Where a carry starts, read over the space of the scan."""
    model, rank = start.model, len(loop) + start.ndim
    value = model.constant(start.node)
    if value is not None:
        number = float(getattr(value, "value", value))  # a named constant has one
        return Access(model.data(np.array([number])).number, Map(0, (0,) * rank))
    if start.node not in model.accesses:
        held = model.stored(start.node, start.shape)
        start = RolledArray(model, model.read(held.number, maps.identity(start.shape)), start.shape)
    return model.accesses[entered(start, loop).node]


def running(combine: Callable[[Any, Any], Any], first: float) -> Callable[..., Any]:
    """np.cumsum and the like."""

    def rule(model: Model, array: Any, axis: int | None = None) -> Any:
        rolled = as_kind(lift(model, array), REAL)
        rolled = rolled.reshape(-1) if axis is None else rolled
        place = normalize_axis_index(axis or 0, rolled.ndim)
        series = FUNCTIONS[np.moveaxis](model, rolled, place, 0) if place else rolled
        if len(series) == 1:
            return rolled
        begin = lift(model, first).broadcast_to(series.shape[1:])
        result = scan(combine, begin, series)
        return np.moveaxis(result, 0, place) if place else result

    return rule


def accumulates(rule: Callable[..., Any]) -> Callable[..., Any]:
    return lambda model, array, axis=0: rule(model, array, axis)


for function, ufunc, combine, first in (
    (np.cumsum, np.add, lambda total, x: total + x, 0.0),
    (np.cumprod, np.multiply, lambda total, x: total * x, 1.0),
    (None, np.maximum, np.maximum, -np.inf),
    (None, np.minimum, np.minimum, np.inf),
):
    FUNCTIONS[function or ufunc.accumulate] = running(combine, first)
    UFUNC_METHODS[ufunc, "accumulate"] = accumulates(running(combine, first))
