"""The independent witness: the user's original function and its derivatives on the numeric tape.

The original SymPy expressions are walked, or the original Python function is called, with tensors of the tape; every
derivative is then the tape's own reverse mode, nested along the derivation of the checked function. No rule of the
symbolic side is used. [jvp by reverse over reverse: Townsend, A new trick for calculating Jacobian vector products,
2017]
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.definition import Formula, PythonSource, SymPySource
from hybrid.errors import UnsupportedError
from hybrid.operations import ORDERED
from hybrid.replay import Algebra, replay_graph, replay_python, replay_sympy
from hybrid.tape.autograd import grad
from hybrid.tape.elementwise import ELEMENTWISE
from hybrid.tape.mode import no_grad
from hybrid.tape.reductions import amax, amin
from hybrid.tape.shape import broadcast_to, stack
from hybrid.tape.special_functions import steep_tanh
from hybrid.tape.tensor import Tensor, tensor

Vectors = Sequence[NDArray[Any]]  # weights along each axis of a result; their outer product weights its entries
Request = tuple[Formula, Vectors | None]
ROWS_AT_ONCE = 128  # adjoints carried through one sweep
LANE_ELEMENTS = 64  # arguments with more elements than this go to a Python function as whole arrays


def _on_tape(operation: Callable[..., Any]) -> Callable[..., Any]:
    def apply(*operands: Any) -> Any:
        if not any(isinstance(operand, Tensor) for operand in operands):
            operands = (tensor(operands[0]), *operands[1:])
        return operation(*operands)

    return apply


def _number(value: Any) -> Any:
    if isinstance(value, bool):
        return value
    try:
        return float(value)
    except OverflowError:  # an integer beyond the range
        return math.inf if value > 0 else -math.inf


def _truth(mask: Any) -> bool:
    values = np.asarray(mask.detach() if isinstance(mask, Tensor) else mask)
    if values.size == 0 or bool(values.all()) != bool(values.any()):
        raise UnsupportedError("the points of the check take different branches of a Python condition")
    return bool(values.all())


def _extreme(reduced: Callable[..., Any]) -> Callable[[Sequence[Any]], Any]:
    """Of several values at once, so that all that are equal share its derivative."""

    def apply(values: Sequence[Any]) -> Any:
        shape = np.broadcast_shapes(*[np.shape(value) for value in values])
        parts = [value if isinstance(value, Tensor) else tensor(value) for value in values]
        return reduced(stack([broadcast_to(part, shape) for part in parts]), 0)

    return apply


TAPE = Algebra(
    {name: _on_tape(operation) for name, operation in ELEMENTWISE.items()}
    | {name: ELEMENTWISE[name] for name in ORDERED}
    | {"tanh": _on_tape(steep_tanh)},
    _number,
    _truth,
    {"minimum": _extreme(amin), "maximum": _extreme(amax)},
)


def root_of(formula: Formula) -> Formula:
    """The user's own function at the start of a chain of derivations."""
    while formula.derivation is not None:
        formula = formula.derivation.of
    return formula


def order_of(formula: Formula) -> int:
    """How many times the user's function is differentiated."""
    order = 0
    while formula.derivation is not None:
        order += 2 if formula.derivation.kind in ("hessian", "hvp") else 1
        formula = formula.derivation.of
    return order


def axes_of(formula: Formula) -> list[int]:
    """The sizes of the axes that `Vectors` weight: the user's outputs, then one per derivative axis; C order.

    Those of a sparse derivative are those of the dense one.
    """
    derivation = formula.derivation
    if derivation is None:
        return [prod(formula.shape)]
    columns, outer = derivation.columns, output_axes(derivation.of)
    if derivation.kind in ("gradient", "jacobian"):
        return [*outer, columns]
    if derivation.kind == "hessian":
        return [*outer, columns, columns]
    return outer if derivation.kind == "jvp" else [columns]


def output_axes(formula: Formula) -> list[int]:
    """As `axes_of` for what is differentiated further: the entries of a sparse derivative are one axis."""
    return axes_of(formula) if places_of(formula) is None else [len(formula.nodes)]


def places_of(formula: Formula) -> NDArray[np.intp] | None:
    """Where the entries of a sparse derivative are in the dense one; None for any other formula."""
    pattern = formula.derivation.pattern if formula.derivation is not None else None
    return None if pattern is None else pattern.rows * pattern.shape[1] + pattern.columns


@dataclass
class Recording:
    """One run of a user's function. A *part* is a tensor of shape `batch` + some elements of a result, in C order."""

    batch: tuple[int, ...]
    leaves: Mapping[str, list[Any]]
    outputs: list[Any]
    known: dict[tuple[int, tuple[int, ...]], tuple[bool, list[Any]]] = field(default_factory=dict)

    def parts(self, formula: Formula, create: bool) -> list[Any]:
        """All entries of a formula; with `create` they can be differentiated again."""
        derivation = formula.derivation
        if derivation is None:
            return self.outputs
        of, leaves = derivation.of, self._wrt(formula)
        if derivation.kind in ("gradient", "jacobian"):
            return self._slopes(formula, create)
        if derivation.kind == "hessian":
            rows, result = self._slopes(formula, True), list[Any]()
            for start in range(0, len(rows), len(leaves)):
                result += self._jacobian(rows[start : start + len(leaves)], leaves, create)
            return result
        inner = self._outputs(of)
        match derivation.kind:
            case "jvp":
                return self._jvp(inner, leaves, self._extra(formula), create)
            case "vjp":
                return self._pull(inner, self._seeds(formula, inner), leaves, create)
            case "hvp":
                return self._pull(self._slopes(formula, True), self._extra(formula), leaves, create)
        raise UnsupportedError(f"the check does not know the derivative {derivation.kind!r}")

    def _slopes(self, formula: Formula, create: bool) -> list[Any]:
        """The Jacobian of what a formula was derived from; value, gradient and Hessian share it."""
        derivation = formula.derivation
        assert derivation is not None  # callers have looked
        key = (id(derivation.of), derivation.wrt)
        known = self.known.get(key)
        if known is None or (create and not known[0]):
            parts = self._jacobian(self._outputs(derivation.of), self._wrt(formula), create)
            known = self.known[key] = (create, parts)
        return known[1]

    def _outputs(self, formula: Formula) -> list[Any]:
        """What is differentiated further: all parts, or those that a sparse derivative has."""
        parts, places = self.parts(formula, True), places_of(formula)
        if places is None:
            return parts
        if self.batch:
            return [parts[place] for place in places]
        starts = np.cumsum([0, *(part.size for part in parts)])
        holders = np.searchsorted(starts, places, side="right") - 1
        return [parts[h].reshape(-1)[int(place - starts[h])] for h, place in zip(holders, places, strict=True)]

    def contracted(self, formula: Formula, vectors: Vectors) -> list[Any]:
        """Σ of the entries weighted along every axis but the last: the entries of a row, or a combination of rows."""
        derivation = formula.derivation
        if derivation is None:
            return self.outputs
        leaves = self._wrt(formula)
        match derivation.kind:
            case "gradient" | "jacobian":
                return self._slope(self._scalar(derivation.of, vectors), leaves, False)
            case "hessian":
                slope = self._slope(self._scalar(derivation.of, vectors[:-1]), leaves, True)
                return self._slope(self._dot(slope, vectors[-1]), leaves, False)
            case _:
                return self.parts(formula, False)

    def _scalar(self, formula: Formula, vectors: Vectors) -> Any:
        """The entries weighted along every axis: one number per point."""
        derivation = formula.derivation
        if derivation is None:
            return self._dot(self.outputs, vectors[0])
        if derivation.pattern is not None:
            return self._dot(self._outputs(formula), vectors[-1])
        leaves = self._wrt(formula)
        match derivation.kind:
            case "gradient" | "jacobian":
                return self._dot(self._slope(self._scalar(derivation.of, vectors[:-1]), leaves, True), vectors[-1])
            case "hessian":
                slope = self._slope(self._scalar(derivation.of, vectors[:-2]), leaves, True)
                return self._dot(self._slope(self._dot(slope, vectors[-2]), leaves, True), vectors[-1])
            case "jvp":
                slope = self._slope(self._scalar(derivation.of, vectors), leaves, True)
                return self._inner(slope, self._extra(formula))
            case _:
                return self._dot(self.parts(formula, True), vectors[-1])

    # --- building blocks ----------------------------------------------------------------------------------------------
    def _wrt(self, formula: Formula) -> list[Any]:
        derivation = formula.derivation
        assert derivation is not None  # callers have looked
        return [leaf for position in derivation.wrt for leaf in self.leaves[derivation.of.arguments[position].name]]

    def _extra(self, formula: Formula) -> list[Any]:
        """The leaves of the arguments that a derivative adds: directions or cotangents."""
        assert formula.derivation is not None  # callers have looked
        added = formula.arguments[len(formula.derivation.of.arguments) :]
        return [leaf for argument in added for leaf in self.leaves[argument.name]]

    def _seeds(self, formula: Formula, parts: Sequence[Any]) -> list[Any]:
        """The cotangent argument cut into the shapes of the parts."""
        extra = self._extra(formula)
        if len(extra) == len(parts):
            return [e.reshape(part.shape) if e.shape != part.shape else e for e, part in zip(extra, parts, strict=True)]
        flat, seeds, start = extra[0].reshape(-1), [], 0
        for part in parts:
            stop = start + part.size
            seeds.append(flat[start:stop].reshape(part.shape))
            start = stop
        return seeds

    def _ones(self, parts: Sequence[Any]) -> list[Any]:
        return [tensor(np.ones(part.shape)) for part in parts]

    def _pull(self, parts: Sequence[Any], seeds: Sequence[Any], leaves: list[Any], create: bool) -> list[Any]:
        """Σ seed·∂part/∂leaf for each leaf; zeros where nothing depends on it."""
        pairs = [(part, seed) for part, seed in zip(parts, seeds, strict=True) if part.requires_grad]
        if not pairs:
            return [_zeros(leaf.shape) for leaf in leaves]
        found = grad(
            [part for part, _ in pairs],
            leaves,
            grad_outputs=[seed for _, seed in pairs],
            retain_graph=True,
            create_graph=create,
            allow_unused=True,
        )
        return [_zeros(leaf.shape) if g is None else g for g, leaf in zip(found, leaves, strict=True)]

    def _slope(self, scalar: Any, leaves: list[Any], create: bool) -> list[Any]:
        return self._pull([scalar], self._ones([scalar]), leaves, create)

    def _jacobian(self, parts: Sequence[Any], leaves: list[Any], create: bool) -> list[Any]:
        """Rows in order, each as one part per leaf; many rows share a sweep."""
        together = ROWS_AT_ONCE if self.batch else 1
        rows: list[Any] = []
        for start in range(0, len(parts), together):
            group = parts[start : start + together]
            sizes = [part.size // prod(self.batch) for part in group]
            for first in range(0, sum(sizes), ROWS_AT_ONCE):
                count = min(ROWS_AT_ONCE, sum(sizes) - first)
                rows += self._rows(group, sizes, first, count, leaves, create)
        return rows

    def _rows(
        self, parts: Sequence[Any], sizes: Sequence[int], first: int, count: int, leaves: list[Any], create: bool
    ) -> list[Any]:
        """`count` rows from row `first` of some parts, by one sweep with one adjoint per row.

        An unused output has adjoint zero there, which a singular partial would turn into NaN: then row by row.
        """
        seeds, at = [], 0
        for part, size in zip(parts, sizes, strict=True):
            seed = np.zeros((count, size))
            own = np.arange(max(first, at), min(first + count, at + size))
            seed[own - first, own - at] = 1.0
            seeds.append(_spread(seed, part.shape, self.batch))
            at += size
        pairs = [(part, seed) for part, seed in zip(parts, seeds, strict=True) if part.requires_grad]
        if not pairs:
            return [_zeros(leaf.shape) for _ in range(count) for leaf in leaves]
        if count > 1:
            options = {"retain_graph": True, "create_graph": create, "allow_unused": True, "is_grads_batched": True}
            weights = [tensor(seed) for _, seed in pairs]
            found = grad([part for part, _ in pairs], leaves, grad_outputs=weights, **options)
            if all(g is None or np.isfinite(_data(g)).all() for g in found):
                return [
                    _zeros(leaf.shape) if g is None else g[row]
                    for row in range(count)
                    for g, leaf in zip(found, leaves, strict=True)
                ]
        rows: list[Any] = []
        for row in range(count):
            used = [(part, tensor(seed[row])) for part, seed in pairs if seed[row].any()]
            rows += self._pull([part for part, _ in used], [seed for _, seed in used], leaves, create)
        return rows

    def _jvp(self, parts: Sequence[Any], leaves: list[Any], directions: Sequence[Any], create: bool) -> list[Any]:
        """J·v as the derivative of Jᵀ·u by u, which is linear in u."""
        dummies = [tensor(np.ones(part.shape), requires_grad=True) for part in parts]
        pulled = self._pull(parts, dummies, leaves, True)
        return self._pull(pulled, directions, dummies, create)

    def _dot(self, parts: Sequence[Any], weights: NDArray[Any]) -> Any:
        """Weighted sum over all elements; parts without weight are left out, so that their NaN stays where it is."""
        total: Any = _zeros(self.batch)
        start = 0
        for part in parts:
            size = part.size // prod(self.batch)
            own = weights[start : start + size]
            start += size
            if not own.any():
                continue
            if self.batch:
                total = total + part * float(own[0])
            elif np.count_nonzero(own) == 1:
                place = int(np.flatnonzero(own)[0])
                total = total + part.reshape(-1)[place] * float(own[place])
            else:
                total = total + (part * tensor(own.reshape(part.shape))).sum()
        return total

    def _inner(self, parts: Sequence[Any], others: Sequence[Any]) -> Any:
        total: Any = _zeros(self.batch)
        for part, other in zip(parts, others, strict=True):
            product = part * other
            total = total + (product if self.batch else product.sum())
        return total


def _data(part: Any) -> NDArray[Any]:
    return np.asarray(part.detach())


def _zeros(shape: tuple[int, ...]) -> Any:
    return tensor(np.zeros(shape))


def _spread(seed: NDArray[Any], shape: tuple[int, ...], batch: tuple[int, ...]) -> NDArray[Any]:
    """Seeds of shape (rows, elements) as (rows,) + the part's shape; every point of a batch has the same."""
    if batch:
        return np.broadcast_to(seed, (len(seed), *batch)).copy()
    return seed.reshape(len(seed), *shape)


@dataclass
class Witness:
    """Runs one user's function on the tape at given points, and answers for the formulas derived from it.

    `lanes` is how: all points at once, one tensor per element (SymPy, small Python functions), or point by point with
    whole arrays. `source` names what ran: "SymPy expressions", "Python function", or "graph" where neither could;
    `operations` is the size of the function.
    """

    root: Formula
    lanes: bool = True
    source: str = ""
    operations: int = field(init=False)

    def __post_init__(self) -> None:
        self.operations = len(self.root.graph.reach(self.root.nodes))
        is_python = isinstance(self.root.source, PythonSource)
        self.source = self.source or ("Python function" if is_python else "SymPy expressions")
        if is_python and sum(argument.size for argument in self.root.arguments) > LANE_ELEMENTS:
            self.lanes = False

    def values(self, arrays: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        """The function's own values, shape (points, outputs), without recording."""
        with no_grad():
            return np.concatenate([_collect(run.outputs, run.batch) for run in self.recordings(arrays)])

    def answers(self, requests: Sequence[Request], arrays: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """For each request an array of shape (points, entries).

        A request is a formula and either None, for all its entries, or weights for all its axes but the last, for what
        is left when those are summed away.
        """
        order = sorted(range(len(requests)), key=lambda r: -order_of(requests[r][0]))
        found: list[list[NDArray[Any]]] = [[] for _ in requests]
        for run in self.recordings(arrays):
            for number in order:
                formula, vectors = requests[number]
                parts = run.parts(formula, False) if vectors is None else run.contracted(formula, vectors)
                found[number].append(_collect(parts, run.batch))
        return [np.concatenate(pieces) for pieces in found]

    def recordings(self, arrays: Mapping[str, NDArray[Any]]) -> Iterator[Recording]:
        """One recording for all points, or one per point."""
        points = len(next(iter(arrays.values())))
        if self.lanes:
            leaves = {name: _lanes(array) for name, array in arrays.items()}
            yield Recording((points,), leaves, self._outputs(leaves, (points,)))
            return
        for point in range(points):
            leaves = {name: [tensor(array[point], requires_grad=True)] for name, array in arrays.items()}
            yield Recording((), leaves, self._outputs(leaves, ()))

    def _outputs(self, leaves: Mapping[str, list[Any]], batch: tuple[int, ...]) -> list[Any]:
        root = self.root
        given = [leaves[argument.name] for argument in root.arguments]
        if not self.lanes:
            results = _parts_of(root.source.function(*[parts[0] for parts in given]))  # type: ignore[union-attr]  # Python
        elif self.source == "graph":
            places = {
                n: leaf
                for a, own in zip(root.arguments, given, strict=True)
                for n, leaf in zip(a.nodes, own, strict=True)
            }
            results = replay_graph(root.graph, root.nodes, places, TAPE)
        elif isinstance(root.source, SymPySource):
            results = replay_sympy(root.source, given, TAPE)
        else:
            results = replay_python(root.source, [argument.shape for argument in root.arguments], given, TAPE)
        return [_as_part(result, batch) for result in results]


def _lanes(array: NDArray[Any]) -> list[Any]:
    """One tensor of all points per element of an argument, in C order."""
    flat = array.reshape(len(array), -1)
    return [tensor(np.ascontiguousarray(flat[:, element]), requires_grad=True) for element in range(flat.shape[1])]


def _parts_of(result: Any) -> list[Any]:
    if isinstance(result, list | tuple):
        return [part for entry in result for part in _parts_of(entry)]
    if isinstance(result, np.ndarray) and result.dtype == object:
        return [part for entry in result.ravel() for part in _parts_of(entry)]
    return [result]


def _as_part(result: Any, batch: tuple[int, ...]) -> Any:
    """An output as a float64 tensor with the batch axis, also where it is a constant."""
    if isinstance(result, Tensor) and result.shape[: len(batch)] == batch and result.dtype == np.float64:
        return result
    part = result if isinstance(result, Tensor) else tensor(np.asarray(result, dtype=np.float64))
    return part + _zeros(batch) if batch else part * 1.0


def _collect(parts: Sequence[Any], batch: tuple[int, ...]) -> NDArray[Any]:
    """The entries of all parts as an array of shape (points, entries)."""
    points = prod(batch)
    return np.concatenate([_data(part).reshape(points, -1) for part in parts], axis=1)
