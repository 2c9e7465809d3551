"""The recorded graph: nodes, the leaves that collect gradients, and adjoints with parts no result depends on.

A `Node` is one executed operation. It knows the nodes of its inputs (`edges`), what its rule needs from the forward
pass (`saved`), and nothing about the tensor it made: tensors own nodes, nodes own earlier nodes, so a graph is freed
with its outputs and never waits for the cycle collector.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

_LARGE = 1 << 13
next_order = itertools.count(0, -1).__next__


class Rare:
    """What only some nodes have.

    hooks: functions called with the adjoint of the result.
    versions: in-place version of each saved tensor when it was saved; None when all were zero.
    overwritten: the result's memory was changed in place after it was made.
    """

    __slots__ = ("hooks", "overwritten", "versions")

    def __init__(self) -> None:
        self.hooks: list[Callable[[Any], Any]] | None = None
        self.versions: tuple[int, ...] | None = None
        self.overwritten = False


class Node:
    """One recorded operation.

    edges: for each input the `Node` or `Leaf` its adjoint goes to, or None where no gradient is needed.
    saved: what the rule reads: input tensors, then the result's data; None where the rule does not need it. A tuple is
        freed by the sweep, which leaves None; the list `NOTHING` stays.
    args: the remaining parameters of the rule (axes, shapes, an index, …) by name; for elementwise operations with
        broadcasting the rank of the result and the shape of each input that differs from it.
    order: falls with every node made, so increasing order is an order for the reverse sweep.
    """

    __slots__ = ("__weakref__", "args", "edges", "order", "rare", "rule", "saved")

    def __init__(self, rule: Any, edges: tuple[Any, ...], saved: Any, args: Any = None) -> None:
        self.rule = rule
        self.edges = edges
        self.saved = saved
        self.args = args
        self.order = next_order()
        self.rare: Rare | None = None

    @property
    def hooks(self) -> list[Callable[[Any], Any]] | None:
        return None if self.rare is None else self.rare.hooks

    @hooks.setter
    def hooks(self, hooks: list[Callable[[Any], Any]] | None) -> None:
        self.rarely().hooks = hooks

    def rarely(self) -> Rare:
        if self.rare is None:
            self.rare = Rare()
        return self.rare

    def name(self) -> str:
        """`MulBackward` for a multiplication, and so on."""
        return f"{self.rule.title}Backward"

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        """The nodes this one sends adjoints to, each with the number of the output it stands for, as in PyTorch."""
        return tuple((edge, getattr(edge, "args", None) or 0) if _is_output(edge) else (edge, 0) for edge in self.edges)

    def __repr__(self) -> str:
        return f"<{self.name()}>"


def _is_output(edge: Any) -> bool:
    return type(edge) is Node and edge.rule is OUTPUT


class Leaf:
    """Where gradients of one leaf tensor (or of a tensor that retains its gradient) add up."""

    __slots__ = ("__weakref__", "dtype", "grad", "hooks", "shape")

    def __init__(self, shape: tuple[int, ...], dtype: Any) -> None:
        self.shape = shape
        self.dtype = dtype
        self.grad: Any = None
        self.hooks: list[Callable[[Any], Any]] | None = None

    def name(self) -> str:
        return "AccumulateGrad"

    def __repr__(self) -> str:
        return "<AccumulateGrad>"


class _OutputRule:
    """Marks a node that stands for one output of the operation in its only edge; `args` is the output's number."""

    title = "Output"
    elementwise = False
    selects = True  # the sweep sends it to the same place as other rules that need more than a pull


OUTPUT = _OutputRule()


def output_node(parent: Node, number: int) -> Node:
    return Node(OUTPUT, (parent,), None, number)


class Masked:
    """An adjoint together with where it is structurally zero: elements that no differentiated result depends on.

    `where`, `maximum` and their like give their untaken elements no part in the result. Their adjoint there is not
    a number that happens to be zero but the absence of any dependence, so it must stay zero when it meets an infinite
    or NaN partial further down (the square root of the branch that was not taken). Such an adjoint carries `dead`, a
    boolean array that broadcasts against `value` and is true at those elements; elementwise rules keep it and set
    their results to zero there. Numbers that merely are zero are left to IEEE arithmetic: the derivative of √x·√x at
    0 is NaN, not silently 0.
    """

    __slots__ = ("dead", "value")

    def __init__(self, value: Any, dead: Any) -> None:
        self.value = value
        self.dead = dead

    def __repr__(self) -> str:
        return f"Masked({self.value!r}, dead={self.dead!r})"


def sum_to(array: Any, shape: tuple[int, ...], lead: int) -> Any:
    """Sum `array`, of shape leading axes + a shape that `shape` was broadcast to, down to leading axes + `shape`."""
    extra = array.ndim - lead - len(shape)
    if lead == 0 and extra and type(array) is np.ndarray and array.size > _LARGE and array.dtype == np.float64:
        rows = array.reshape(-1, math.prod(array.shape[extra:]))
        if array.shape[extra:] == shape and rows.shape[1] < 256:  # NumPy is slow at summing many short rows
            return (np.ones(rows.shape[0]) @ rows).reshape(shape)
    axes = tuple(range(lead, lead + extra)) + tuple(
        lead + extra + i for i, n in enumerate(shape) if n == 1 and array.shape[lead + extra + i] != 1
    )
    if axes:
        array = array.sum(axis=axes, keepdims=True)
    if extra:
        array = array.reshape(array.shape[:lead] + array.shape[lead + extra :])
    return array


def all_to(dead: Any, shape: tuple[int, ...], lead: int) -> Any:
    """The mask that goes with `sum_to`: a sum is dead where all its terms are. `dead` has the full shape."""
    return sum_to((~dead).astype(np.intp), shape, lead) == 0
