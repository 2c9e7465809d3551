"""`SymbolicArray`: what a traced function computes with instead of NumPy arrays.

An array of graph nodes, kept as a NumPy array of integers: indexing, slicing, reshaping, views and writing through them
are NumPy's own, done on the integers. Arithmetic makes one node per element. NumPy's ufuncs and functions reach
here through its protocols and are looked up in `UFUNCS` and `FUNCTIONS`, which the modules `trace_ufuncs`,
`trace_functions` and `trace_linalg` fill.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid import operations as ops
from hybrid.errors import InputTypeError, ShapeError, UnsupportedError
from hybrid.graph import Graph, exact_number
from hybrid.operations import MASK, OPERATIONS, REAL, Operation
from hybrid.unknown import HINTS, METHODS, Unknown, by_rule, is_default, refuse_function

Nodes = NDArray[np.int64]

UFUNCS: dict[np.ufunc, Callable[..., Any]] = {}
UFUNC_METHODS: dict[tuple[np.ufunc, str], Callable[..., Any]] = {}
SPECIAL_UFUNCS: dict[str, Callable[..., Any]] = {}  # by the __name__ of a SciPy ufunc
FUNCTIONS: dict[Any, Callable[..., Any]] = {}  # NumPy functions that are not ufuncs
MANY = 5_000  # elements from which on nodes are made natively


def _short(ufunc: np.ufunc, op: Operation, swapped: bool = False) -> Callable[[Any, Any], Any]:
    """An arithmetic operator of arrays: two numbers without axes become a node at once."""

    def operate(self: Any, other: Any) -> Any:
        if not self.nodes.ndim and self.kind == REAL:
            kind, node = type(other), None
            if kind is SymbolicScalar or kind is SymbolicArray:
                if not other.nodes.ndim and other.kind == REAL and other.graph is self.graph:
                    node = int(other.nodes)
            elif kind is float or kind is int:
                node = self.graph.number(other)
            if node is not None:
                args = (node, int(self.nodes)) if swapped else (int(self.nodes), node)
                return SymbolicScalar(self.graph, self.graph.add_node(op, args))
        if getattr(other, "__array_ufunc__", self) is None:
            return NotImplemented
        return ufunc(other, self) if swapped else ufunc(self, other)

    return operate


def _shortest(op: Operation, otherwise: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """An arithmetic operator of numbers, which loops over elements carry out very often."""

    def operate(self: Any, other: Any) -> Any:
        graph, kind = self.graph, type(other)
        if kind is SymbolicScalar and other.graph is graph:
            return SymbolicScalar(graph, graph.add_node(op, (self.node, other.node)))
        if kind is int or kind is float:
            return SymbolicScalar(graph, graph.add_node(op, (self.node, graph.number(other))))
        return otherwise(self, other)

    return operate


def _shortest_swapped(op: Operation, otherwise: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def operate(self: Any, other: Any) -> Any:
        if type(other) is int or type(other) is float:
            graph = self.graph
            return SymbolicScalar(graph, graph.add_node(op, (graph.number(other), self.node)))
        return otherwise(self, other)

    return operate


class SymbolicArray(Unknown):
    """An array whose elements are expressions: float64 values, or truth values, that are not known yet.

    Behaves as a NumPy array of its shape; an array without axes behaves as a NumPy scalar. What would need a number
    (`if`, `float()`, `math.sin`, boolean indexing) raises an error that names what to use instead.
    """

    __slots__ = ("graph", "kind", "nodes")

    def __init__(self, graph: Graph, nodes: Nodes, kind: str = REAL) -> None:
        self.graph = graph
        self.nodes = nodes
        self.kind = kind

    # --- shape and data -----------------------------------------------------------------------------------------------
    @property
    def shape(self) -> tuple[int, ...]:
        return self.nodes.shape

    @property
    def ndim(self) -> int:
        return self.nodes.ndim

    @property
    def size(self) -> int:
        return self.nodes.size

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(bool if self.kind == MASK else float)

    @property
    def T(self) -> SymbolicArray:
        return self.like(self.nodes.T)

    @property
    def mT(self) -> SymbolicArray:
        return self.like(self.nodes.mT)

    @property
    def real(self) -> SymbolicArray:
        return self

    @property
    def imag(self) -> SymbolicArray:
        return full(self.graph, self.shape, 0)

    @property
    def flat(self) -> Iterator[SymbolicArray]:
        return iter(self.like(self.nodes.reshape(-1)))

    def like(self, nodes: Any) -> SymbolicArray:
        """Other nodes of the same graph and kind."""
        return SymbolicArray(self.graph, np.asarray(nodes, dtype=np.int64), self.kind)

    def __len__(self) -> int:
        if not self.nodes.ndim:
            raise TypeError("len() of a traced value without axes")
        return len(self.nodes)

    def __iter__(self) -> Iterator[SymbolicArray]:
        if not self.nodes.ndim:
            raise TypeError("iteration over a traced value without axes")
        if self.nodes.ndim == 1 and self.kind == REAL:
            return (SymbolicScalar(self.graph, node) for node in self.nodes.tolist())
        return (self.like(part) for part in self.nodes)

    def __repr__(self) -> str:
        return f"<symbolic array of shape {self.shape}{', truth values' if self.kind == MASK else ''}>"

    def __copy__(self) -> SymbolicArray:
        return self.copy()

    def __deepcopy__(self, memo: Any) -> SymbolicArray:
        return self.copy()

    # --- indexing -----------------------------------------------------------------------------------------------------
    def __getitem__(self, index: Any) -> SymbolicArray:
        if type(index) is int:
            if self.nodes.ndim == 1 and self.kind == REAL:
                return SymbolicScalar(self.graph, self.nodes.item(index))
            return SymbolicArray(self.graph, np.asarray(self.nodes[index]), self.kind)
        if contains_symbolic(index):
            raise UnsupportedError(
                "indexing with traced values: the shape or choice would depend on numbers that are not known yet; "
                "use np.where(mask, x, 0) to select by value"
            )
        nodes = self.nodes[index]
        if type(nodes) is np.int64 and self.kind == REAL:
            return SymbolicScalar(self.graph, int(nodes))
        return self.like(nodes)

    def __setitem__(self, index: Any, value: Any) -> None:
        if not self.nodes.flags.writeable:
            raise UnsupportedError(
                "an argument of a traced function cannot be changed in place: write into a copy, x = x.copy()"
            )
        new = as_kind(lift(self.graph, value), self.kind)
        if isinstance(index, SymbolicArray):
            self._set_where(index, new)
        elif contains_symbolic(index):
            raise UnsupportedError("assigning at traced indices is not supported; use np.where(mask, new, old)")
        else:
            self.nodes[index] = new.nodes

    def _set_where(self, mask: SymbolicArray, new: SymbolicArray) -> None:
        """`x[mask] = value` for a mask of x's shape and one value, as a selection per element."""
        if mask.kind != MASK or mask.shape != self.shape or new.size != 1:
            raise UnsupportedError(
                f"x[mask] = value needs a traced mask of x's shape {self.shape} and one value, got a mask of shape "
                f"{mask.shape} and values of shape {new.shape}; use x = np.where(mask, values, x)"
            )
        self.nodes[...] = select(mask, self.like(new.nodes.reshape(())), self).nodes

    # --- NumPy's protocols --------------------------------------------------------------------------------------------
    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        out = kwargs.pop("out", None)
        kwargs = {key: value for key, value in kwargs.items() if not is_default(key, value)}
        if method == "__call__":
            rule = UFUNCS.get(ufunc) or SPECIAL_UFUNCS.get(ufunc.__name__)
        else:
            rule = UFUNC_METHODS.get((ufunc, method))
        if rule is None or (method == "__call__" and kwargs):
            name = ufunc.__name__ if method == "__call__" else f"{ufunc.__name__}.{method}"
            refuse_function(name, kwargs if rule else None)
        graph = self.graph
        result = rule(*(lift(graph, value) for value in inputs), **kwargs)
        return result if out is None else store(out, result)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        result, out = by_rule(FUNCTIONS, self.graph, function, args, kwargs)
        return result if out is None else store(out, result)

    def __hybrid_elementwise__(self, row: str | Operation, *args: Any) -> SymbolicArray:
        """A row, or that of some name, on arrays and numbers that broadcast."""
        op = row if isinstance(row, Operation) else OPERATIONS[row]
        return elementwise(op, *(lift(self.graph, arg) for arg in args))

    def __getattr__(self, name: str) -> Any:
        # Methods that are NumPy functions of the array. NumPy's loops over arrays of objects, such as
        # np.array([x * y, x]), also call element.exp(), a.arctan2(b), …
        function: Any = None if name.startswith("_") else getattr(np, name, None)
        if name not in METHODS and not isinstance(function, np.ufunc):
            hint = HINTS.get(name, f"use NumPy functions that have it, such as np.{name}(x), or write it out")
            raise AttributeError(f"a traced array has no attribute {name!r}; {hint}")
        return functools.partial(function, self)

    # --- in place -----------------------------------------------------------------------------------------------------
    def __iadd__(self, other: Any) -> Any:
        return self._in_place(self + other)

    def __isub__(self, other: Any) -> Any:
        return self._in_place(self - other)

    def __imul__(self, other: Any) -> Any:
        return self._in_place(self * other)

    def __itruediv__(self, other: Any) -> Any:
        return self._in_place(self / other)

    def __ipow__(self, other: Any) -> Any:
        return self._in_place(self**other)

    def __iand__(self, other: Any) -> Any:
        return self._in_place(self & other)

    def __ior__(self, other: Any) -> Any:
        return self._in_place(self | other)

    def _in_place(self, result: Any) -> Any:
        """`x += y` changes the memory of x, and so its views; a value without axes is rebound, as a number is."""
        if not self.ndim:
            return result
        self.write(result)
        return self

    def write(self, result: SymbolicArray) -> None:
        if result.shape != self.shape:
            raise ShapeError(f"an in-place operation cannot change the shape {self.shape} into {result.shape}")
        self[...] = result

    # --- methods of arrays --------------------------------------------------------------------------------------------
    def reshape(self, *shape: Any, order: Any = "C") -> SymbolicArray:
        return self.like(self.nodes.reshape(*shape, order=order))

    def ravel(self, order: Any = "C") -> SymbolicArray:
        return self.like(self.nodes.ravel(order))

    def flatten(self, order: Any = "C") -> SymbolicArray:
        return self.like(self.nodes.flatten(order))

    def transpose(self, *axes: Any) -> SymbolicArray:
        return self.like(self.nodes.transpose(*axes))

    def copy(self, order: Any = "C") -> SymbolicArray:
        return self.like(self.nodes.copy(order))

    def fill(self, value: Any) -> None:
        self[...] = value

    def astype(self, dtype: Any, **kwargs: Any) -> SymbolicArray:
        """To float64 (truth values become 0 and 1) or to bool (x != 0); other types have no meaning here."""
        wanted = np.dtype(dtype)
        if wanted.kind in "O" or wanted == np.float64:
            return as_kind(self, REAL).copy()
        if wanted.kind == "b":
            return as_kind(self, MASK).copy()
        raise UnsupportedError(
            f"astype({wanted}) of a traced array: values are float64; use np.trunc or np.floor for whole numbers, and "
            "choose the precision when compiling (dtype=)"
        )

    def item(self, *index: Any) -> SymbolicArray:
        if not index and self.size != 1:
            raise ValueError(f"item() needs an array with one element, got shape {self.shape}; give an index")
        return self.like(self.nodes.item(*index))

    # --- operators: two values without axes take a short way, for code that loops over elements ---------------------
    __add__ = _short(np.add, ops.add)
    __sub__ = _short(np.subtract, ops.sub)
    __mul__ = _short(np.multiply, ops.mul)
    __truediv__ = _short(np.true_divide, ops.div)
    __pow__ = _short(np.power, ops.pow)
    __radd__ = _short(np.add, ops.add, swapped=True)
    __rsub__ = _short(np.subtract, ops.sub, swapped=True)
    __rmul__ = _short(np.multiply, ops.mul, swapped=True)
    __rtruediv__ = _short(np.true_divide, ops.div, swapped=True)

    def tolist(self) -> Any:
        return [part.tolist() for part in self] if self.ndim else self


class SymbolicScalar(SymbolicArray):
    """A number that is an expression, by itself: as NumPy's scalars, it shares no memory with an array."""

    __slots__ = ("node",)
    kind = REAL

    def __init__(self, graph: Graph, node: int) -> None:
        self.graph = graph
        self.node = node

    @property
    def nodes(self) -> Nodes:  # type: ignore[override]  # made when it is asked for
        return np.array(self.node, dtype=np.int64)

    @property
    def shape(self) -> tuple[int, ...]:
        return ()

    @property
    def ndim(self) -> int:
        return 0

    @property
    def size(self) -> int:
        return 1

    def __setitem__(self, index: Any, value: Any) -> None:
        array = SymbolicArray(self.graph, self.nodes)
        array[index] = value
        self.node = int(array.nodes)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        op = ROWS_OF_ONE.get(ufunc)
        if op is not None and method == "__call__" and not kwargs:
            return SymbolicScalar(self.graph, self.graph.add_node(op, (self.node,)))
        return super().__array_ufunc__(ufunc, method, *inputs, **kwargs)

    __add__ = _shortest(ops.add, SymbolicArray.__add__)
    __sub__ = _shortest(ops.sub, SymbolicArray.__sub__)
    __mul__ = _shortest(ops.mul, SymbolicArray.__mul__)
    __truediv__ = _shortest(ops.div, SymbolicArray.__truediv__)
    __pow__ = _shortest(ops.pow, SymbolicArray.__pow__)
    __radd__ = _shortest_swapped(ops.add, SymbolicArray.__radd__)
    __rsub__ = _shortest_swapped(ops.sub, SymbolicArray.__rsub__)
    __rmul__ = _shortest_swapped(ops.mul, SymbolicArray.__rmul__)
    __rtruediv__ = _shortest_swapped(ops.div, SymbolicArray.__rtruediv__)
    __rpow__ = _shortest_swapped(ops.pow, SymbolicArray.__rpow__)

    def __neg__(self) -> SymbolicArray:
        return SymbolicScalar(self.graph, self.graph.add_node(ops.neg, (self.node,)))


# ufuncs of one number that are rows of the table
ROWS_OF_ONE: dict[Any, Operation] = {
    op.numpy: op
    for op in OPERATIONS.values()
    if isinstance(op.numpy, np.ufunc) and op.operands == (REAL,) and op.result == REAL
}


# --- from numbers and lists -------------------------------------------------------------------------------------------
def lift(graph: Graph, value: Any) -> SymbolicArray:
    """A symbolic array from one, or from numbers, arrays and nested lists of either.

    Raises InputTypeError for text, complex numbers and other objects, ValueError for traced values of another function.
    """
    if isinstance(value, SymbolicArray):
        if value.graph is not graph:
            raise ValueError(
                "a traced value was kept and used outside of the function that made it; return it, or pass numbers"
            )
        return value
    if isinstance(value, list | tuple):
        if not contains_symbolic(value):
            return lift(graph, np.asarray(value))
        return stack(graph, [lift(graph, item) for item in value])
    if isinstance(value, np.ndarray):
        if value.dtype == object:
            parts = [lift(graph, item) for item in value.flat]
            return stack(graph, parts).reshape(value.shape + (parts[0].shape if parts else ()))
        nodes = [constant_node(graph, number) for number in value.reshape(-1).tolist()]
        kind = MASK if value.dtype == bool else REAL
        return SymbolicArray(graph, np.array(nodes, dtype=np.int64).reshape(value.shape), kind)
    kind = MASK if isinstance(value, bool | np.bool_) else REAL
    return SymbolicArray(graph, np.array(constant_node(graph, value), dtype=np.int64), kind)


def constant_node(graph: Graph, value: Any) -> int:
    try:
        return graph.constant(exact_number(value))
    except InputTypeError:
        raise InputTypeError(
            f"a traced function works with real numbers and arrays of them, got {value!r} of type "
            f"{type(value).__name__}; SymPy expressions go to hy.Function([symbols], expression), complex numbers into "
            "two real arrays"
        ) from None


def full(graph: Graph, shape: Any, value: Any) -> SymbolicArray:
    one = lift(graph, value)
    return SymbolicArray(graph, np.broadcast_to(one.nodes, shape).copy(), one.kind)


def contains_symbolic(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(map(contains_symbolic, value))
    if isinstance(value, np.ndarray):
        return value.dtype == object and any(map(contains_symbolic, value.flat))
    return isinstance(value, SymbolicArray)


def stack(graph: Graph, parts: Sequence[SymbolicArray]) -> SymbolicArray:
    """Along a new first axis; truth values among numbers become numbers."""
    shapes = dict.fromkeys(part.shape for part in parts)
    if len(shapes) > 1:
        raise ShapeError(
            f"a list of traced values needs items of one shape, got {', '.join(map(str, shapes))}; "
            "use np.broadcast_to or np.concatenate"
        )
    parts, kind = common_kind(parts)
    nodes = np.array([part.nodes for part in parts], dtype=np.int64)
    return SymbolicArray(graph, nodes, kind)


def common_kind(parts: Sequence[SymbolicArray]) -> tuple[list[SymbolicArray], str]:
    kind = MASK if parts and all(part.kind == MASK for part in parts) else REAL
    return [as_kind(part, kind) for part in parts], kind


def as_kind(array: SymbolicArray, kind: str) -> SymbolicArray:
    """Numbers as truth values (x != 0), or truth values as 1 and 0."""
    if array.kind == kind:
        return array
    zero = lift(array.graph, 0)
    if kind == MASK:
        return elementwise(ops.ne, array, zero)
    return elementwise(ops.where, array, lift(array.graph, 1), zero)


# --- elementwise ------------------------------------------------------------------------------------------------------
def elementwise(op: Operation, *operands: SymbolicArray) -> SymbolicArray:
    """One node of `op` per element; operands broadcast and become the kinds the operation takes."""
    wanted = op.operands or (REAL,) * len(operands)
    graph = operands[0].graph
    if not any(operand.nodes.ndim for operand in operands):
        args = tuple(int(as_kind(operand, kind).nodes) for operand, kind in zip(operands, wanted, strict=True))
        node = graph.add_node(op, args)
        if op.result == REAL:
            return SymbolicScalar(graph, node)
        return SymbolicArray(graph, np.array(node, dtype=np.int64), op.result)
    arrays = np.broadcast_arrays(
        *(as_kind(operand, kind).nodes for operand, kind in zip(operands, wanted, strict=True))
    )
    if arrays[0].size >= MANY:
        nodes = graph.add_many(op, [array.reshape(-1) for array in arrays])
        return SymbolicArray(graph, nodes.reshape(arrays[0].shape), op.result)
    add_node = graph.add_node
    columns = [array.reshape(-1).tolist() for array in arrays]
    nodes = np.array([add_node(op, args) for args in zip(*columns, strict=True)], dtype=np.int64)
    return SymbolicArray(graph, nodes.reshape(arrays[0].shape), op.result)


def select(condition: SymbolicArray, yes: SymbolicArray, no: SymbolicArray) -> SymbolicArray:
    """np.where; of two arrays of truth values it is one again."""
    if yes.kind == MASK and no.kind == MASK:
        c = as_kind(condition, MASK)
        chosen = elementwise(ops.logical_and, c, yes)
        return elementwise(ops.logical_or, chosen, elementwise(ops.logical_and, elementwise(ops.logical_not, c), no))
    return elementwise(ops.where, condition, yes, no)


def store(out: Any, result: Any) -> Any:
    """What `out=` asks for, if the array can hold traced values."""
    target = out[0] if isinstance(out, tuple) else out
    if target is None:
        return result
    if not isinstance(target, SymbolicArray):
        raise InputTypeError(
            f"the result is traced and cannot be stored in a plain NumPy array of shape {np.shape(target)} (by an "
            "in-place operation or out=): write x = x + y instead of x += y, or start from np.zeros_like(q) of a "
            "traced array q"
        )
    target.write(result)
    return target
