"""`RolledArray`: what a function computes with while it is traced without writing its elements out.

An array is a template over an index space: the space is its shape, behind the axes of a loop (`hy.scan`) if it is made
in one. Elementwise operations are the rules of `symbolic_array.UFUNCS`, applied once, to the template. Moving elements
changes how the template reads. Reductions, and what cannot be read through an index map, become blocks of the model.
"""

from __future__ import annotations

import functools
import math
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from hybrid.errors import ShapeError, UnsupportedError
from hybrid.operations import MASK, OPERATIONS, REAL, Operation
from hybrid.rolled import maps
from hybrid.rolled.maps import Axis, Shape, View
from hybrid.rolled.model import Model
from hybrid.symbolic_array import (
    SPECIAL_UFUNCS,
    UFUNCS,
    SymbolicArray,
    elementwise,
)
from hybrid.symbolic_array import as_kind as scalar_kind
from hybrid.symbolic_array import lift as scalar
from hybrid.unknown import HINTS, METHODS, Unknown, by_rule, is_default, refuse_function

FUNCTIONS: dict[Any, Callable[..., Any]] = {}  # NumPy functions, by rules on rolled arrays
UFUNC_METHODS: dict[tuple[np.ufunc, str], Callable[..., Any]] = {}
MOST_PICKED = 1_000  # single elements of arrays, beyond which a function is a loop over them
SMALL_CONSTANT = 1  # elements up to which an array of numbers is written into the template


class ElementwiseError(UnsupportedError):
    """A function takes arrays apart, element by element."""


class RolledArray(Unknown):
    """An array whose elements are one expression, read at different places; behaves as a NumPy array of its shape."""

    __slots__ = ("__weakref__", "base", "kind", "loop", "model", "node", "shape", "views")
    takes_rows = True  # of functions of a user's own, where tensors take the name

    def __init__(self, model: Model, node: int, shape: Shape, loop: Shape = (), kind: str = REAL) -> None:
        self.model = model
        self.node = node
        self.shape = shape
        self.loop = loop
        self.kind = kind
        self.base: RolledArray | None = None
        self.views: list[weakref.ref[RolledArray]] = []

    # --- shape and data -----------------------------------------------------------------------------------------------
    @property
    def space(self) -> Shape:
        return self.loop + self.shape

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(bool if self.kind == MASK else float)

    @property
    def T(self) -> RolledArray:
        return self.transpose()

    @property
    def mT(self) -> RolledArray:
        return self.swapaxes(-1, -2)

    @property
    def real(self) -> RolledArray:
        return self

    @property
    def flat(self) -> Iterator[RolledArray]:
        return iter(self.reshape(-1))

    def like(self, node: int, shape: Shape) -> RolledArray:
        return RolledArray(self.model, node, shape, self.loop, self.kind)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of a traced value without axes")
        return self.shape[0]

    def __iter__(self) -> Iterator[RolledArray]:
        if not self.shape:
            raise TypeError("iteration over a traced value without axes")
        return (self[number] for number in range(len(self)))

    def __repr__(self) -> str:
        return f"<rolled array of shape {self.shape}{', truth values' if self.kind == MASK else ''}>"

    def __getattr__(self, name: str) -> Any:
        function: Any = None if name.startswith("_") else getattr(np, name, None)
        if name not in METHODS and not isinstance(function, np.ufunc):
            hint = HINTS.get(name, f"use NumPy functions that have it, such as np.{name}(x), or write it out")
            raise AttributeError(f"a traced array has no attribute {name!r}; {hint}")
        return functools.partial(function, self)

    # --- views --------------------------------------------------------------------------------------------------------
    def viewed(self, view: View, shape: Shape) -> RolledArray:
        """The same template seen through a view of its axes; those of the loop stay."""
        rank, depth = len(self.loop) + len(shape), len(self.loop)
        outer = [maps.unit(number, length, rank) for number, length in enumerate(self.loop)]
        inner = [Axis(axis.offset, (0,) * depth + axis.strides, lead(axis.gather, depth)) for axis in view]
        whole = (*outer, *inner)
        if self.model.carried([self.node]) and not maps.spreads(whole, self.space, self.loop + shape):
            raise UnsupportedError(
                "inside hy.scan the elements of a carried array cannot be moved, picked out or mixed: give the step a "
                "tuple of arrays, one for each component"
            )
        (node,) = self.model.viewed([self.node], whole, rank)
        return self.like(node, shape)

    def __getitem__(self, index: Any) -> RolledArray:
        items = index if isinstance(index, tuple) else (index,)
        if any(isinstance(item, Unknown) for item in items):
            raise UnsupportedError(
                "indexing with traced values: the shape or choice would depend on numbers that are not known yet; "
                "use np.where(mask, x, 0) to select by value"
            )
        view, shape = maps.indexed(self.shape, index)
        if not shape and self.shape and not self.loop:
            self.model.picked += 1
            if self.model.picked > MOST_PICKED:
                raise ElementwiseError(
                    f"more than {MOST_PICKED:,} single elements were picked out of arrays: a loop over elements stays "
                    "rolled when it is written over whole arrays, or as hy.sum_over(lambda i: ..., n)"
                )
        made = self.viewed(view, shape)
        if not any(isinstance(item, np.ndarray | list) for item in items) and shape:
            self._share(made)
        return made

    def _share(self, view: RolledArray) -> None:
        """A view that NumPy would make of the same memory: neither may be changed in place while both live."""
        view.base = self
        self.views = [other for other in self.views if other() is not None]
        self.views.append(weakref.ref(view))

    def broadcast_to(self, shape: Shape) -> RolledArray:
        if shape == self.shape:
            return self
        np.broadcast_shapes(self.shape, shape)
        return self.viewed(maps.broadcast(self.shape, shape), shape)

    def transpose(self, *axes: Any) -> RolledArray:
        order = axes[0] if len(axes) == 1 and not isinstance(axes[0], int | np.integer) else axes or None
        order = tuple(reversed(range(self.ndim))) if order is None else tuple(order)
        places = [normalize_axis_index(int(axis), self.ndim) for axis in order]
        if sorted(places) != list(range(self.ndim)):
            raise ValueError(f"axes {order} do not fit an array of shape {self.shape}")
        made = self.viewed(maps.transposed(self.shape, places), tuple(self.shape[axis] for axis in places))
        self._share(made)
        return made

    def swapaxes(self, first: int, second: int) -> RolledArray:
        order = list(range(self.ndim))
        order[first], order[second] = order[second], order[first]
        return self.transpose(*order)

    def reshape(self, *shape: Any, order: Any = "C") -> RolledArray:
        wanted = shape[0] if len(shape) == 1 else shape
        wanted = (wanted,) if isinstance(wanted, int | np.integer) else tuple(wanted)
        if order not in ("C", "A", "K"):
            return self.transpose().reshape(tuple(reversed(wanted))).transpose()
        new = completed(self.size, tuple(map(int, wanted)), self.shape)
        if new == self.shape:
            return self
        view = maps.split(self.shape, new)
        if view is None:
            view = maps.merged(self.shape, new, [self.model.accesses[n].map for n in self._reads()], len(self.loop))
        if view is not None:
            return self.viewed(view, new)
        self._outside("reshape")
        held = self.model.stored(self.model.as_real(self.node), self.space)
        return RolledArray(self.model, self.model.read(held.number, maps.identity(new)), new)

    def _reads(self) -> list[int]:
        return self.model.reads([self.node])

    def _outside(self, what: str) -> None:
        if self.loop:
            raise UnsupportedError(f"{what} inside hy.scan: do it before the scan, on whole arrays, or after it")

    def moved(self, places: Any) -> RolledArray:
        """The elements at flat positions (C order), in an array of the shape of `places`."""
        places = np.asarray(places, dtype=np.int64)
        return self.viewed(maps.gathered(self.shape, places), places.shape)

    def ravel(self, order: Any = "C") -> RolledArray:
        return self.reshape(-1, order=order)

    def flatten(self, order: Any = "C") -> RolledArray:
        return self.reshape(-1, order=order).copy()

    def copy(self, order: Any = "C") -> RolledArray:
        return self.like(self.node, self.shape)

    def astype(self, dtype: Any, **kwargs: Any) -> RolledArray:
        wanted = np.dtype(dtype)
        if wanted == np.float64:
            return as_kind(self, REAL).copy()
        if wanted.kind == "b":
            return as_kind(self, MASK).copy()
        raise UnsupportedError(
            f"astype({wanted}) of a traced array: values are float64; use np.trunc or np.floor for whole numbers"
        )

    def item(self, *index: Any) -> RolledArray:
        if not index and self.size != 1:
            raise ValueError(f"item() needs an array with one element, got shape {self.shape}; give an index")
        return self[index] if index else self.reshape(())

    # --- in place -----------------------------------------------------------------------------------------------------
    def become(self, other: RolledArray) -> None:
        """Change in place into another array of the same shape."""
        if self.base is not None or any(view() is not None for view in self.views):
            raise UnsupportedError(
                "an array that shares elements with another (a slice of it, or one it was sliced from) is changed in "
                "place: write into a copy, or build the result with np.concatenate"
            )
        if other.shape != self.shape:
            raise ShapeError(f"an in-place operation cannot change the shape {self.shape} into {other.shape}")
        access = self.model.accesses.get(self.node)
        if access is not None and self.model.buffers[access.buffer].is_argument:
            raise UnsupportedError(
                "an argument of a traced function cannot be changed in place: write into a copy, x = x.copy()"
            )
        self.node, self.kind, self.loop = other.node, other.kind, other.loop

    # --- NumPy's protocols --------------------------------------------------------------------------------------------
    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        out = kwargs.pop("out", None)
        kwargs = {key: value for key, value in kwargs.items() if not is_default(key, value)}
        if method != "__call__":
            rule = UFUNC_METHODS.get((ufunc, method))
            if rule is None:
                refuse_function(f"{ufunc.__name__}.{method}", None)
            return stored_in(out, rule(self.model, *inputs, **kwargs))
        if ufunc is np.matmul:
            return stored_in(out, FUNCTIONS[np.matmul](self.model, *inputs))
        row = UFUNCS.get(ufunc) or SPECIAL_UFUNCS.get(ufunc.__name__)
        if row is None or kwargs:
            refuse_function(ufunc.__name__, kwargs if row else None)
        return stored_in(out, pointwise(row, *(lift(self.model, value) for value in inputs)))

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        result, out = by_rule(FUNCTIONS, self.model, function, args, kwargs)
        return stored_in(out, result)

    def __hybrid_elementwise__(self, row: str | Operation, *args: Any) -> RolledArray:
        op = row if isinstance(row, Operation) else OPERATIONS[row]
        made: RolledArray = pointwise(functools.partial(elementwise, op), *(lift(self.model, arg) for arg in args))
        return made


def lead(table: Any, depth: int) -> Any:
    return table if table is None or not depth else table.reshape((1,) * depth + table.shape)


def stored_in(out: Any, result: Any) -> Any:
    target = out[0] if isinstance(out, tuple) else out
    if target is None:
        return result
    if not isinstance(target, RolledArray):
        raise UnsupportedError(
            f"the result is traced and cannot be stored in a plain NumPy array of shape {np.shape(target)} (by an "
            "in-place operation or out=): write x = x + y instead of x += y"
        )
    target.become(result)
    return target


def completed(size: int, shape: Shape, old: Shape) -> Shape:
    """A shape with -1 filled in. Raises ValueError where it does not fit."""
    open_places = [place for place, length in enumerate(shape) if length == -1]
    known = math.prod(length for length in shape if length != -1)
    if len(open_places) == 1 and known and size % known == 0:
        place = open_places[0]
        return (*shape[:place], size // known, *shape[place + 1 :])
    if open_places or known != size:
        raise ValueError(f"cannot reshape an array of shape {old} into shape {shape}")
    return shape


# --- from numbers and lists -------------------------------------------------------------------------------------------
def lift(model: Model, value: Any) -> RolledArray:
    """A rolled array from one, or from numbers, arrays of numbers and nested lists of either."""
    if isinstance(value, RolledArray):
        if value.model is not model:
            raise ValueError(
                "a traced value was kept and used outside of the function that made it; return it, or pass numbers"
            )
        return value
    if isinstance(value, SymbolicArray):
        raise ValueError("a traced value of one function was used in another that is being traced; pass it as argument")
    if isinstance(value, list | tuple) and any(map(has_rolled, value)):
        made: RolledArray = FUNCTIONS[np.stack](model, list(value))
        return made
    array = np.asarray(value)
    if array.dtype == object and any(map(has_rolled, array.flat)):
        parts = FUNCTIONS[np.stack](model, list(array.flat))
        return parts.reshape(array.shape + parts.shape[1:])  # type: ignore[no-any-return]  # of the rule above
    if array.size <= SMALL_CONSTANT or array.dtype.kind not in "fiub":
        one = scalar(model.graph, value if not array.ndim else array.reshape(-1)[0] if array.size else array)
        return RolledArray(model, int(one.nodes), array.shape, kind=one.kind)
    first = array.flat[0]
    if first == first and bool((array == first).all()) and not (first == 0 and np.signbit(array).any()):
        return RolledArray(model, int(scalar(model.graph, first).nodes), array.shape, kind=kind_of(array))
    held = model.data(array)
    numbers = RolledArray(model, model.read(held.number, maps.identity(array.shape)), array.shape)
    return as_kind(numbers, MASK) if array.dtype == bool else numbers


def kind_of(array: Any) -> str:
    return MASK if array.dtype == bool else REAL


def has_rolled(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(map(has_rolled, value))
    if isinstance(value, np.ndarray):
        return value.dtype == object and any(map(has_rolled, value.flat))
    return isinstance(value, RolledArray)


def as_kind(array: RolledArray, kind: str) -> RolledArray:
    if array.kind == kind:
        return array
    made: RolledArray = pointwise(lambda x: scalar_kind(x, kind), array)
    return made


# --- elementwise ------------------------------------------------------------------------------------------------------
def aligned(arrays: Sequence[RolledArray], shape: Shape | None = None) -> tuple[list[RolledArray], Shape, Shape]:
    """Arrays broadcast to one space; its loop and shape."""
    common = np.broadcast_shapes(*(array.shape for array in arrays)) if shape is None else shape
    loops = {array.loop for array in arrays if array.loop}
    if len(loops) > 1:
        raise UnsupportedError("a value of one hy.scan was used inside of another; nested scans are not supported")
    loop = loops.pop() if loops else ()
    return [entered(array, loop).broadcast_to(common) for array in arrays], loop, common


def entered(array: RolledArray, loop: Shape) -> RolledArray:
    """An array made before a loop, as the loop sees it: the same at every step."""
    if array.loop == loop:
        return array
    rank, depth = len(loop) + array.ndim, len(loop)
    view = tuple(maps.unit(depth + axis, length, rank) for axis, length in enumerate(array.shape))
    (node,) = array.model.viewed([array.node], view, rank)
    return RolledArray(array.model, node, array.shape, loop, array.kind)


def pointwise(rule: Callable[..., Any], *arrays: RolledArray) -> Any:
    """A rule for symbolic arrays, applied once to the templates of arrays that broadcast."""
    spread, loop, shape = aligned(arrays)
    model = arrays[0].model
    result = rule(*(SymbolicArray(model.graph, np.array(a.node, dtype=np.int64), a.kind) for a in spread))
    return wrapped(model, result, loop, shape)


def wrapped(model: Model, result: Any, loop: Shape, shape: Shape) -> Any:
    if isinstance(result, tuple):
        return tuple(wrapped(model, part, loop, shape) for part in result)
    if not isinstance(result, SymbolicArray):
        result = scalar(model.graph, result)
    return RolledArray(model, int(result.nodes), shape, loop, result.kind)
