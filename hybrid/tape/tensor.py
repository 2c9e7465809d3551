"""`Tensor`: an array that remembers how it was computed.

A tensor is a handle on NumPy data (`_data`) and on its place in the recorded graph (`_edge`): the `Node` that made it,
the `Leaf` that collects its gradient, or None when it does not require one. Everything rarer, such as being a view,
having been changed in place, or retaining a gradient, lives in an optional `_Extra`, so that an ordinary tensor stays
three pointers wide. Results without axes keep their data as an immutable NumPy scalar, several times faster than an
array without axes, until someone needs their memory.
"""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hybrid.errors import InputTypeError
from hybrid.tape.node import OUTPUT, Leaf, Node

__all__ = ["Tensor", "as_tensor", "from_numpy", "tensor"]


class _Extra:
    """What only some tensors have.

    base: the tensor this one is a view of; None for one that is no view.
    counter: how often the memory was changed in place, in a list shared with detached tensors (kept by the base).
    seen: the base's version at which this view's edge was right.
    origin: for a detached tensor, the node that made the memory; weak, so that the graph is not kept alive.
    leaf: where the gradient is kept (for leaves, and for tensors that retain it).
    """

    __slots__ = ("base", "counter", "leaf", "origin", "seen")

    def __init__(self) -> None:
        self.base: Tensor | None = None
        self.counter: list[int] | None = None
        self.seen = 0
        self.origin: weakref.ref[Node] | None = None
        self.leaf: Leaf | None = None


class Size(int):
    """A number of elements that can be called for the shape: NumPy's `size` and PyTorch's `size()` in one."""

    shape: tuple[int, ...]

    def __call__(self, dim: int | None = None) -> Any:
        return self.shape if dim is None else self.shape[dim]


class Tensor:
    """A float32 or float64 array (or an integer or boolean one, without gradients) on the tape.

    Make one with `tensor`, `from_numpy`, `zeros` and their like. `data`, `shape`, `dtype`, `ndim`, `size`, `T`,
    indexing, operators, the methods of NumPy arrays and of PyTorch tensors, and NumPy's own functions work on it and
    record what they do.
    """

    __slots__ = ("__weakref__", "_data", "_edge", "_extra")
    __array_priority__ = 1000.0

    def __init__(self, data: Any, edge: Node | Leaf | None = None) -> None:
        self._data = data
        self._edge = edge
        self._extra: _Extra | None = None

    if TYPE_CHECKING:  # attached by hybrid.tape.methods, from the tables that define them

        def __getattr__(self, name: str) -> Any: ...
        def __neg__(self) -> Tensor: ...
        def __abs__(self) -> Tensor: ...
        def __add__(self, other: Any) -> Tensor: ...
        def __radd__(self, other: Any) -> Tensor: ...
        def __sub__(self, other: Any) -> Tensor: ...
        def __rsub__(self, other: Any) -> Tensor: ...
        def __mul__(self, other: Any) -> Tensor: ...
        def __rmul__(self, other: Any) -> Tensor: ...
        def __truediv__(self, other: Any) -> Tensor: ...
        def __rtruediv__(self, other: Any) -> Tensor: ...
        def __pow__(self, other: Any) -> Tensor: ...
        def __rpow__(self, other: Any) -> Tensor: ...
        def __mod__(self, other: Any) -> Tensor: ...
        def __rmod__(self, other: Any) -> Tensor: ...
        def __matmul__(self, other: Any) -> Tensor: ...
        def __rmatmul__(self, other: Any) -> Tensor: ...
        def __lt__(self, other: Any) -> Tensor: ...
        def __le__(self, other: Any) -> Tensor: ...
        def __gt__(self, other: Any) -> Tensor: ...
        def __ge__(self, other: Any) -> Tensor: ...
        def __getitem__(self, index: Any) -> Tensor: ...
        def __setitem__(self, index: Any, value: Any) -> None: ...

    # data ------------------------------------------------------------------------------------------------------------
    @property
    def shape(self) -> tuple[int, ...]:
        return self._data.shape  # type: ignore[no-any-return]

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._data.dtype  # type: ignore[no-any-return]

    @property
    def ndim(self) -> int:
        return self._data.ndim  # type: ignore[no-any-return]

    @property
    def size(self) -> Size:
        """The number of elements, as in NumPy; called, as `t.size()` or `t.size(0)`, the shape or a part of it."""
        size = Size(self._data.size)
        size.shape = self._data.shape
        return size

    @property
    def data(self) -> Tensor:
        """The same memory without history; a change through it is not seen by version checks (as in PyTorch)."""
        return Tensor(memory(self))

    @data.setter
    def data(self, value: Any) -> None:
        values = np.asarray(value._data if isinstance(value, Tensor) else value)
        self._data = values

    def numpy(self) -> np.ndarray[Any, Any]:
        """The data, sharing memory. RuntimeError for a tensor that requires grad: use `t.detach().numpy()`."""
        if self._edge is not None:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
        return memory(self)  # type: ignore[no-any-return]

    def item(self) -> Any:
        """The only element as a Python number. ValueError when there is not exactly one."""
        if self._data.size != 1:
            raise ValueError(f"only a tensor with one element can be converted to a number, got shape {self.shape}")
        return self._data.item()

    def tolist(self) -> Any:
        return self._data.tolist()

    def numel(self) -> int:
        return self._data.size  # type: ignore[no-any-return]

    def dim(self) -> int:
        return self._data.ndim  # type: ignore[no-any-return]

    def is_floating_point(self) -> bool:
        return self._data.dtype.kind == "f"  # type: ignore[no-any-return]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        if self._edge is not None:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
        return np.array(memory(self), dtype=dtype, copy=copy)

    def __len__(self) -> int:
        if self._data.ndim == 0:
            raise TypeError("len() of a 0-d tensor")
        return len(self._data)

    def __iter__(self) -> Iterator[Tensor]:
        if self._data.ndim == 0:
            raise TypeError("iteration over a 0-d tensor")
        return iter([self[i] for i in range(len(self._data))])

    def __bool__(self) -> bool:
        if self._data.size != 1:
            raise ValueError(f"the truth value of a tensor of shape {self.shape} is ambiguous: use all() or any()")
        return bool(self._data)

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if self._data.dtype.kind not in "iu":
            raise TypeError(f"only integer tensors can be used as an index, got {self.dtype}")
        return int(self.item())

    __hash__ = object.__hash__

    def __format__(self, spec: str) -> str:
        return format(self._data.item(), spec) if self._data.ndim == 0 else format(str(self), spec)

    def __repr__(self) -> str:
        body = np.array2string(np.asarray(self._data), separator=", ", prefix="tensor(", floatmode="maxprec")
        notes = [] if self.dtype in (np.float64, np.int64, np.bool_) else [f"dtype={self.dtype}"]
        if isinstance(self._edge, Leaf):
            notes.append("requires_grad=True")
        elif self.grad_fn is not None:
            notes.append(f"grad_fn={self.grad_fn!r}")
        return f"tensor({', '.join([body, *notes])})"

    # history ---------------------------------------------------------------------------------------------------------
    @property
    def requires_grad(self) -> bool:
        return current_edge(self) is not None

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        edge = current_edge(self)
        if isinstance(edge, Node):
            if not value:
                raise RuntimeError(
                    "you can only change requires_grad flags of leaf variables. If you want to use a computed variable "
                    "in a subgraph that doesn't require differentiation use var_no_grad = var.detach()."
                )
            return
        if not value:
            self._edge = None
        elif edge is None:
            if self.dtype.kind != "f":
                raise RuntimeError(f"only Tensors of floating point dtype can require gradients, got {self.dtype}")
            memory(self)
            extra = extra_of(self)
            if extra.leaf is None:
                extra.leaf = Leaf(self.shape, self.dtype)
            self._edge = extra.leaf

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Set `requires_grad` in place and return the tensor. RuntimeError on a tensor that is not a leaf."""
        self.requires_grad = requires_grad
        return self

    @property
    def is_leaf(self) -> bool:
        return not isinstance(current_edge(self), Node)

    @property
    def grad_fn(self) -> Node | None:
        """The node that made this tensor, None for leaves."""
        edge = current_edge(self)
        if not isinstance(edge, Node):
            return None
        return edge.edges[0] if edge.rule is OUTPUT else edge

    @property
    def output_nr(self) -> int:
        edge = current_edge(self)
        return edge.args if isinstance(edge, Node) and edge.rule is OUTPUT else 0

    @property
    def grad(self) -> Tensor | None:
        """The accumulated gradient of a leaf (or of a tensor after `retain_grad()`), None before any `backward`."""
        leaf = self._extra.leaf if self._extra is not None else None
        if leaf is not None:
            return leaf.grad  # type: ignore[no-any-return]
        if isinstance(self._edge, Node):
            warnings.warn(
                "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. Its .grad attribute "
                "won't "
                "be populated during backward(). If you indeed want the .grad field to be populated for a non-leaf "
                "Tensor, use .retain_grad() on the non-leaf Tensor.",
                UserWarning,
                stacklevel=2,
            )
        return None

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None:
            value = as_tensor(value)
            if value.shape != self.shape:
                raise RuntimeError(
                    f"assigned grad has data of a different size: got shape {value.shape}, expected {self.shape}"
                )
            if value.dtype != self.dtype:
                raise RuntimeError(
                    f"assigned grad has data of a different type: got {value.dtype}, expected {self.dtype}"
                )
        extra = extra_of(self)
        if extra.leaf is None:
            extra.leaf = Leaf(self.shape, self.dtype)
        extra.leaf.grad = value

    def detach(self) -> Tensor:
        """The same memory without history. Changing it in place is seen by the version checks of this tensor."""
        result = Tensor(memory(self))
        extra, own = extra_of(root_of(self)), extra_of(result)
        own.counter = extra.counter = extra.counter or [0]
        made_by = root_of(self)._edge
        own.origin = weakref.ref(made_by) if isinstance(made_by, Node) else extra.origin
        return result

    def detach_(self) -> Tensor:
        """Forget the history in place. RuntimeError for views."""
        if self._extra is not None and self._extra.base is not None:
            raise RuntimeError("Can't detach views in-place. Use detach() instead.")
        self._edge = None
        return self

    @property
    def _version(self) -> int:
        return version_of(self)

    @property
    def _base(self) -> Tensor | None:
        return None if self._extra is None else self._extra.base

    def _is_view(self) -> bool:
        return self._base is not None


Edge = Node | Leaf | None
rebuild_view_edge: list[Callable[[Tensor, Tensor], Edge]] = []  # filled by hybrid.tape.inplace, which knows the rule
stack_nested: list[Callable[[Any], Tensor]] = []  # filled by hybrid.tape.shape, which knows how to join


def extra_of(t: Tensor) -> _Extra:
    extra = t._extra
    if extra is None:
        extra = t._extra = _Extra()
    return extra


def memory(t: Tensor) -> Any:
    """The data as an array whose memory can be shared: a scalar result becomes an array without axes on first need."""
    data = t._data
    if not isinstance(data, np.ndarray):
        data = t._data = np.array(data)
    return data


def root_of(t: Tensor) -> Tensor:
    """The tensor that owns the memory of `t`."""
    extra = t._extra
    return t if extra is None or extra.base is None else extra.base


def version_of(t: Tensor) -> int:
    """How often the memory of `t` was changed in place."""
    extra = root_of(t)._extra
    return 0 if extra is None or extra.counter is None else extra.counter[0]


def share(t: Tensor, data: Any, edge: Edge = None) -> Tensor:
    """A tensor whose `data` is a view of the memory of `t`."""
    result = Tensor(data, edge)
    extra = result._extra = _Extra()
    extra.base = root_of(t)
    extra.seen = version_of(t)
    return result


def current_edge(t: Tensor) -> Edge:
    """The edge of `t`; a view whose base was changed in place gets a new one that reads the changed base."""
    extra = t._extra
    if extra is None or extra.base is None:
        return t._edge
    version = version_of(t)
    if extra.seen != version:
        extra.seen = version
        if extra.base._edge is not None:
            t._edge = rebuild_view_edge[0](t, extra.base)
    return t._edge


def check_data(data: Any, what: str = "tensor") -> Any:
    """`data` when it is real numbers or booleans; InputTypeError otherwise."""
    kind = data.dtype.kind
    if kind not in "fiub":
        raise InputTypeError(f"{what} takes real floating-point, integer or boolean data, got {data.dtype}")
    return data


def tensor(data: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A new tensor with a copy of `data`: numbers, nested sequences, arrays or tensors.

    Floating-point data keep their type, Python floats become float64. InputTypeError for text, complex numbers or
    objects; RuntimeError when integers are to require gradients.
    """
    if isinstance(data, Tensor):
        data = data._data
    elif isinstance(data, Sequence) and not isinstance(data, str):
        data = _plain(data)
    result = Tensor(check_data(np.array(data, dtype=dtype)))
    return result.requires_grad_() if requires_grad else result


def _plain(data: Any) -> Any:
    if isinstance(data, Tensor):
        return data._data
    return [_plain(entry) for entry in data] if isinstance(data, (list, tuple)) else data


def from_numpy(array: np.ndarray[Any, Any]) -> Tensor:
    """A tensor that shares the memory of `array`: a change of either is a change of both."""
    if not isinstance(array, np.ndarray):
        raise InputTypeError(
            f"from_numpy takes a NumPy array, got {type(array).__name__}; use tensor() to copy other data"
        )
    return Tensor(check_data(array, "from_numpy"))


def as_tensor(value: Any, dtype: Any = None) -> Tensor:
    """`value` itself when it is a tensor, otherwise a constant tensor that shares its memory where NumPy can.

    Tensors in nested lists and tuples are stacked, so that they keep their history.
    """
    if isinstance(value, Sequence) and not isinstance(value, str):
        value = stack_nested[0](value) if _holds_history(value) else _plain(value)
    if isinstance(value, Tensor):
        return value if dtype is None or value.dtype == dtype else value.to(dtype)
    return Tensor(check_data(np.asarray(value, dtype=dtype), "an operation on tensors"))


def _holds_history(value: Any) -> bool:
    if isinstance(value, Tensor):
        return value.requires_grad
    return isinstance(value, (list, tuple)) and any(map(_holds_history, value))
