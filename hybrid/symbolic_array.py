"""`SymbolicArray`: what a traced function computes with instead of NumPy arrays.

An array of graph nodes, kept as a NumPy array of integers: indexing, slicing, reshaping, views and writing through them
are NumPy's own, done on the integers. Arithmetic makes one node per element. NumPy's ufuncs and functions reach
here through its protocols and are looked up in `UFUNCS` and `FUNCTIONS`, which the modules `trace_ufuncs`,
`trace_functions` and `trace_linalg` fill.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from hybrid import operations as ops
from hybrid.errors import InputTypeError, ShapeError, UnsupportedError
from hybrid.graph import Graph, exact_number
from hybrid.operations import MASK, OPERATIONS, REAL, Operation

Nodes = NDArray[np.int64]

UFUNCS: dict[np.ufunc, Callable[..., Any]] = {}
UFUNC_METHODS: dict[tuple[np.ufunc, str], Callable[..., Any]] = {}
SPECIAL_UFUNCS: dict[str, Callable[..., Any]] = {}  # by the __name__ of a SciPy ufunc
FUNCTIONS: dict[Any, Callable[..., Any]] = {}  # NumPy functions that are not ufuncs
MANY = 5_000  # elements from which on nodes are made natively
HINTS: dict[str, str] = {}  # what to use instead of a NumPy function that is not supported


# Methods of arrays that are the NumPy function of that name.
METHODS = frozenset(
    {
        "sum",
        "prod",
        "mean",
        "var",
        "std",
        "min",
        "max",
        "ptp",
        "any",
        "all",
        "cumsum",
        "cumprod",
        "dot",
        "clip",
        "round",
    }
    | {"round", "trace", "swapaxes", "squeeze", "repeat", "take", "diagonal", "conj", "conjugate", "compress", "choose"}
    | {"argmax", "argmin", "argsort", "sort", "nonzero", "searchsorted"}
)


class Unknown(np.lib.mixins.NDArrayOperatorsMixin):
    """Operators of arrays whose elements are not known yet; what would need a number raises an error."""

    __slots__ = ()
    __array_priority__ = 1000.0
    __hash__ = None  # type: ignore[assignment]  # as for NumPy arrays: == is elementwise

    # --- what needs a number ------------------------------------------------------------------------------------------
    def __bool__(self) -> bool:
        needs_number(
            "the truth value of a traced array is not known yet, so Python's if, and, or, not, min, max and sorted "
            "cannot use it; write np.where(condition, a, b), & | ~, np.minimum, np.maximum. An array made by "
            "np.array([...]) of traced values compares element by element in Python: make it with np.stack([...])"
        )

    def __float__(self) -> float:
        needs_number(
            "a traced value is no number yet: instead of math.sin(x) write np.sin(x) (and so on); instead of "
            "out = np.zeros(3); out[0] = x write np.stack([x, ...]) or out = np.zeros_like(q) from a traced array q; "
            "instead of np.array([...], dtype=float) leave the dtype away"
        )

    def __int__(self) -> int:
        needs_number("int() of a traced value: it is no number yet; use np.trunc(x) and keep the result an array")

    def __index__(self) -> int:
        needs_number(
            "a traced value cannot be an index, a length or a count: it is no number yet; give it a default value"
        )

    def __complex__(self) -> complex:
        needs_number("complex() of a traced value: complex numbers are not supported; use two real arrays")

    def __contains__(self, item: Any) -> bool:
        needs_number("`in` needs numbers, but this array is traced; write np.any(x == item)")

    # --- operators: NumPy's mixin calls the ufuncs --------------------------------------------------------------------
    def __eq__(self: Any, other: Any) -> Any:
        return NotImplemented if other is None or isinstance(other, str) else np.equal(self, other)

    def __ne__(self: Any, other: Any) -> Any:
        return NotImplemented if other is None or isinstance(other, str) else np.not_equal(self, other)

    def __round__(self: Any, digits: int | None = None) -> Any:
        return self.round(digits or 0)

    def __floor__(self: Any) -> Any:
        return np.floor(self)

    def __ceil__(self: Any) -> Any:
        return np.ceil(self)

    def __trunc__(self: Any) -> Any:
        return np.trunc(self)


def _short(ufunc: np.ufunc, op: Operation, swapped: bool = False) -> Callable[[Any, Any], Any]:
    """An arithmetic operator: two numbers without axes become a node at once, anything else goes through the ufunc."""

    def operate(self: Any, other: Any) -> Any:
        if not self.nodes.ndim and self.kind == REAL:
            kind, node = type(other), None
            if kind is SymbolicArray:
                if not other.nodes.ndim and other.kind == REAL and other.graph is self.graph:
                    node = int(other.nodes)
            elif kind is float or kind is int:
                node = constant_node(self.graph, other)
            if node is not None:
                args = (node, int(self.nodes)) if swapped else (int(self.nodes), node)
                return SymbolicArray(self.graph, np.array(self.graph.add_node(op, args), dtype=np.int64))
        if getattr(other, "__array_ufunc__", self) is None:
            return NotImplemented
        return ufunc(other, self) if swapped else ufunc(self, other)

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
            return SymbolicArray(self.graph, np.asarray(self.nodes[index]), self.kind)
        if contains_symbolic(index):
            raise UnsupportedError(
                "indexing with traced values: the shape or choice would depend on numbers that are not known yet; "
                "use np.where(mask, x, 0) to select by value"
            )
        return self.like(self.nodes[index])

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
        return SymbolicArray(graph, np.array(graph.add_node(op, args), dtype=np.int64), op.result)
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


# --- NumPy's functions ------------------------------------------------------------------------------------------------
def by_rule(
    rules: Mapping[Any, Callable[..., Any]], owner: Any, function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[Any, Any]:
    """What a NumPy function gives by its rule on the owner of traced values, and its `out=`; refused if it has none."""
    rule = rules.get(function)
    if rule is None:
        refuse_function(f"{getattr(function, '__module__', 'numpy')}.{function.__name__}", None)
    given = {key: value for key, value in kwargs.items() if not is_default(key, value)}
    out = given.pop("out", None)
    try:
        return rule(owner, *args, **given), out
    except TypeError as error:
        if "unexpected keyword" not in str(error):
            raise
        refuse_function(function.__name__, given)


# --- errors -----------------------------------------------------------------------------------------------------------
def needs_number(message: str) -> NoReturn:
    raise InputTypeError(message)


def is_default(key: str, value: Any) -> bool:
    """Keyword arguments that change nothing here."""
    if key == "dtype":
        return value is None or value is float or value == np.float64
    if key == "where":
        return value is True or value is np._NoValue
    if key in ("casting", "order", "subok"):
        return True
    return value is np._NoValue


def refuse_function(name: str, kwargs: dict[str, Any] | None) -> NoReturn:
    full_name = name if "." in name and name.startswith(("numpy", "scipy")) else f"numpy.{name}"
    short = full_name.rsplit(".", maxsplit=1)[-1]
    if kwargs:
        raise UnsupportedError(
            f"{full_name} with {', '.join(f'{key}=' for key in kwargs)} is not supported in a traced function; "
            f"{HINTS.get('where', '') if 'where' in kwargs else 'leave the keyword away or write it out'}"
        )
    hint = HINTS.get(short, "write it with arithmetic, np.where, np.sum and indexing")
    raise UnsupportedError(f"{full_name} is not supported in a traced function; {hint}")


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
