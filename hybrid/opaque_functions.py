"""Python code that cannot be traced, as a function like any other: kernels call back into it, point by point.

It differentiates by what the user declares, a Jacobian or a vector–Jacobian product, or by the numeric tape if it is a
`hy.tape.Function` or runs on tensors; then to any order, each derivative being Python code of the same kind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codegen.external import External
from hybrid import arbiter, witness
from hybrid.callbacks import array_callback, scalar_callback
from hybrid.composite import Composite, Nodes, Weights, upright, weighted_sum
from hybrid.definition import Argument, findable
from hybrid.errors import ArgumentError, ShapeError, UnsupportedError
from hybrid.function import Function, check_name
from hybrid.graph import Graph
from hybrid.implicit import as_function
from hybrid.tape.autograd import grad
from hybrid.tape.elementwise import USER
from hybrid.tape.function import Function as TapeFunction
from hybrid.tape.mode import enable_grad, no_grad
from hybrid.tape.tensor import Tensor, tensor

Shapes = Sequence[tuple[int, ...]]
Code = Callable[..., Any]  # arrays (or tensors) of the arguments' shapes → an array (or tensor)
STEP, AGREEMENT = 1e-6, 1e-4
RECENT = 64  # calls whose results are kept
NAMES: dict[str, int] = {}


class Opaque(Composite):
    """Python code as a composite operation on the elements of its arguments."""

    def __init__(self, name: str, shapes: Shapes, code: Code, results: int, slopes: Slopes) -> None:
        NAMES[name] = NAMES.get(name, 0) + 1
        title = name if NAMES[name] == 1 else f"{name}_{NAMES[name]}"
        self.shapes = [tuple(shape) for shape in shapes]
        self.code = code
        self.slopes = slopes
        self.recent: dict[bytes, NDArray[Any]] = {}
        super().__init__(title, results, sum(map(prod, self.shapes)))
        if results == 1:  # a single result is called with numbers
            keep, address = scalar_callback(lambda *args: self.one(np.array(args))[0], self.arity)
        else:
            keep, address = array_callback(self.one, self.arity, results)
        self.external = (External(title, self.arity, results, address), keep)
        for place, member in enumerate(self.members):
            rule = on_tape(self, place)
            operations: Any = witness.TAPE.operations
            operations[member.name] = USER[member.name] = rule
            arbiter.USER[member.name] = member

    def __reduce__(self) -> tuple[Any, ...]:
        return Opaque, (self.name, self.shapes, findable(self.code, self.name), self.results, self.slopes)

    def latex(self, place: int) -> str:
        if not isinstance(self.slopes, Entries):
            return super().latex(place)
        output, variable = divmod(place, self.arity)
        index = f"_{{{{{output + 1}}}}}" if self.results > self.arity else ""
        arguments = ", ".join("{" + str(k) + "}" for k in range(self.arity))
        name = upright(self.name.rpartition("_jacobian")[0])
        return rf"\partial_{{{{{variable + 1}}}}} {name}{index}\left({arguments}\right)"

    def split(self, flat: Any) -> list[Any]:
        """The arguments in their shapes from all their elements side by side."""
        parts, at = [], 0
        for shape in self.shapes:
            parts.append(flat[at : at + prod(shape)].reshape(shape))
            at += prod(shape)
        return parts

    def one(self, flat: NDArray[Any]) -> NDArray[Any]:
        """All results at one point."""
        with np.errstate(all="ignore"):
            return np.asarray(self.code(*self.split(flat)), dtype=np.float64).reshape(self.results)

    def values(self, *args: Any) -> Sequence[Any]:
        table = np.stack(np.broadcast_arrays(*args), axis=-1).astype(np.float64)
        key = table.tobytes()
        results = self.recent.get(key)
        if results is None:  # every result asks at the same points
            results = np.array([self.one(point) for point in table.reshape(-1, self.arity)])
            if len(self.recent) >= RECENT:
                self.recent.pop(next(iter(self.recent)))
            self.recent[key] = results
        return list(results.T.reshape(self.results, *table.shape[:-1]).copy())

    def expand(self, graph: Graph, args: Nodes) -> Sequence[int]:
        raise UnsupportedError(f"{self.name} is Python code and cannot be written out")

    def pull(self, graph: Graph, args: Nodes, outs: Nodes, weights: Weights) -> Sequence[int | None]:
        return self.slopes.pull(self, graph, args, weights)

    def push(self, graph: Graph, args: Nodes, outs: Nodes, tangents: Weights) -> Sequence[int | None]:
        rows = []
        for place in range(self.results):
            unit: list[int | None] = [None] * self.results
            unit[place] = graph.constant(1)
            rows.append(self.slopes.pull(self, graph, args, unit))
        return [weighted_sum(graph, list(zip(row, tangents, strict=True))) for row in rows]


class Slopes:
    """How an opaque function differentiates: not at all, unless it is one of the classes below."""

    def pull(self, of: Opaque, graph: Graph, args: Nodes, weights: Weights) -> Sequence[int | None]:
        raise UnsupportedError(
            f"{of.name} is Python code without a derivative; declare jacobian= or vjp=, or write it as a tape.Function"
        )

    def on_tape(self, of: Opaque, args: Sequence[Any], place: int, adjoint: Any) -> Sequence[Any]:
        raise UnsupportedError(f"{of.name} is Python code without a derivative")


class Entries(Slopes):
    """Of the partial derivatives of another function, which are not differentiated further."""


class ByJacobian(Slopes):
    """All partial derivatives, themselves an opaque function of the same arguments, in C order."""

    def __init__(self, jacobian: Opaque) -> None:
        self.jacobian = jacobian

    def pull(self, of: Opaque, graph: Graph, args: Nodes, weights: Weights) -> Sequence[int | None]:
        entries = self.jacobian.nodes(graph, args)
        return [weighted_sum(graph, list(zip(weights, entries[j :: of.arity], strict=True))) for j in range(of.arity)]

    def on_tape(self, of: Opaque, args: Sequence[Any], place: int, adjoint: Any) -> Sequence[Any]:
        names = [member.name for member in self.jacobian.members[place * of.arity : (place + 1) * of.arity]]
        return [adjoint * USER[name](*args) for name in names]


class ByProduct(Slopes):
    """The vector–Jacobian product: an opaque function of the arguments and the adjoints; made when it is needed."""

    def __init__(self, make: Callable[[Opaque], Opaque]) -> None:
        self.make = make
        self.made: Opaque | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return ByProduct, (self.make,)

    def product(self, of: Opaque) -> Opaque:
        if self.made is None:
            self.made = self.make(of)
        return self.made

    def pull(self, of: Opaque, graph: Graph, args: Nodes, weights: Weights) -> Sequence[int | None]:
        adjoints = tuple(graph.constant(0) if node is None else node for node in weights)
        return list(self.product(of).nodes(graph, (*args, *adjoints)))

    def on_tape(self, of: Opaque, args: Sequence[Any], place: int, adjoint: Any) -> Sequence[Any]:
        adjoints = [adjoint if k == place else adjoint * 0.0 for k in range(of.results)]
        return [USER[member.name](*args, *adjoints) for member in self.product(of).members]


def opaque(
    function: Any,
    shapes: Mapping[str, Any],
    *,
    jacobian: Code | None = None,
    vjp: Code | None = None,
    name: str | None = None,
    sample: Sequence[Any] | None = None,
) -> Function:
    """A Function whose values come from Python code that is called, not traced.

    Parameters
    ----------
    function : called with one float64 array per argument, for one point; returns an array or number. A subclass of
        `hy.tape.Function` is applied to tensors instead, and differentiated by its `backward`.
    shapes : per argument name its shape, () for a number.
    jacobian : all partial derivatives: same arguments, returns shape output shape + (n,), the n elements of all
        arguments side by side. Or `vjp` : arguments and one adjoint of the output's shape, returns an array per
        argument. Neither is differentiated further; a tape function is, to any order.
    sample : one array per argument where the function can be tried once; a half everywhere unless given.

    Kernels call back once per point, which takes some microseconds and Python's lock; an exception there gives NaN. It
    cannot be written out, so exported code refers to a C function `void name(const double *, double *)`.

    Raises ArgumentError where the function fails at the sample or its derivative disagrees with central differences
    there, ShapeError for a derivative of another shape.
    """
    title = check_name(name or getattr(function, "__name__", "f").replace("<lambda>", "f"))
    sizes = [(shape,) if isinstance(shape, int) else tuple(shape) for shape in shapes.values()]
    if not sizes or any(not isinstance(n, int) or n < 1 for shape in sizes for n in shape):
        raise ArgumentError(f"{title}: shapes= needs a shape per argument, such as {{'q': (3,)}}, got {shapes!r}")
    if jacobian is not None and vjp is not None:
        raise ArgumentError(f"{title}: give jacobian= or vjp=, not both")
    taped = isinstance(function, type) and issubclass(function, TapeFunction)
    run = function.apply if taped else function
    code = Untaped(run) if taped else run
    point = [np.full(shape, 0.5) for shape in sizes] if sample is None else [np.asarray(x, dtype=float) for x in sample]
    if [x.shape for x in point] != sizes:
        raise ShapeError(f"{title}: sample= has shapes {[x.shape for x in point]} for arguments of shapes {sizes}")
    try:
        value = np.asarray(code(*point), dtype=np.float64)
    except Exception as error:
        raise ArgumentError(f"{title} fails at the sample {point}: {error}; give sample= where it works") from error
    slopes = Slopes()
    if taped:
        slopes = ByProduct(partial(tape_product, run=run))
    elif vjp is not None:
        slopes = ByProduct(partial(declared_product, vjp=vjp, shape=value.shape))
    elif jacobian is not None:
        slopes = ByJacobian(Opaque(f"{title}_jacobian", sizes, jacobian, value.size * sum(map(prod, sizes)), Entries()))
    made = Opaque(title, sizes, code, value.size, slopes)
    check(title, made, point, jacobian, vjp, value)
    graph = Graph()
    parameters = [
        Argument(key, shape, tuple(graph.variable(key, index) for index in np.ndindex(*shape)))
        for key, shape in zip(shapes, sizes, strict=True)
    ]
    return as_function(made, parameters, value.shape, title)


@dataclass(frozen=True)
class Untaped:
    """Code on tensors as code on arrays."""

    run: Code

    def __call__(self, *arrays: Any) -> Any:
        with no_grad():
            return np.asarray(self.run(*(tensor(np.asarray(x)) for x in arrays)).detach())


@dataclass(frozen=True)
class TapeProduct:
    """The adjoints of the arguments, side by side, by the tape: the last thing given is the adjoint of the value."""

    run: Code

    def __call__(self, *given: Any) -> Any:
        with enable_grad():
            inputs = [x if x.requires_grad else x.detach().requires_grad_(True) for x in given[:-1]]
            value = self.run(*inputs)
            found = grad(
                [value], inputs, grad_outputs=[given[-1].reshape(value.shape)], create_graph=True, allow_unused=True
            )
            parts = [(x * 0.0 if g is None else g).reshape(-1) for g, x in zip(found, inputs, strict=True)]
            return np.concatenate(parts)


def tape_product(of: Opaque, run: Code) -> Opaque:
    """The vector–Jacobian product of code that runs on tensors, which is such code again."""
    product = TapeProduct(run)
    shapes = [*of.shapes, (of.results,)]
    return Opaque(f"{of.name}_vjp", shapes, Untaped(product), of.arity, ByProduct(partial(tape_product, run=product)))


@dataclass(frozen=True)
class DeclaredProduct:
    """What a user's vjp= gives, side by side."""

    vjp: Code
    shape: tuple[int, ...]
    several: bool

    def __call__(self, *given: Any) -> Any:
        found = self.vjp(*given[:-1], given[-1].reshape(self.shape))
        parts = found if isinstance(found, tuple | list) and self.several else [found]
        return np.concatenate([np.asarray(part, dtype=np.float64).reshape(-1) for part in parts])


def declared_product(of: Opaque, vjp: Code, shape: tuple[int, ...]) -> Opaque:
    product = DeclaredProduct(vjp, shape, len(of.shapes) > 1)
    return Opaque(f"{of.name}_vjp", [*of.shapes, (of.results,)], product, of.arity, Slopes())


def on_tape(of: Opaque, place: int) -> Callable[..., Any]:
    """One result on tensors of one element each (at all points of a check)."""

    class Rule(TapeFunction):
        @staticmethod
        def forward(ctx: Any, *args: Any) -> Any:
            ctx.save_for_backward(*args)
            return tensor(np.asarray(of.values(*(np.asarray(arg.detach()) for arg in args))[place]))

        @staticmethod
        def backward(ctx: Any, *grads: Any) -> Any:
            return tuple(of.slopes.on_tape(of, ctx.saved_tensors, place, grads[0]))

    Rule.__name__ = of.members[place].name
    return lambda *args: Rule.apply(*(arg if isinstance(arg, Tensor) else tensor(float(arg)) for arg in args))


def check(title: str, made: Opaque, point: Sequence[Any], jacobian: Any, vjp: Any, value: NDArray[Any]) -> None:
    if jacobian is None and vjp is None:
        return
    flat = np.concatenate([x.reshape(-1) for x in point])
    if jacobian is not None:
        declared = np.asarray(jacobian(*point), dtype=np.float64)
        expected = (*value.shape, flat.size)
        if declared.shape != expected:
            raise ShapeError(f"{title}: jacobian= must give shape {expected}, it gave {declared.shape}")
        rows = declared.reshape(value.size, flat.size)
    else:
        product = made.slopes.product(made)  # type: ignore[attr-defined]  # with vjp= they are a ByProduct
        rows = np.array([product.one(np.concatenate([flat, unit])) for unit in np.eye(value.size)])
    for column in range(flat.size):
        step = STEP * max(1.0, abs(flat[column])) * (np.arange(flat.size) == column)
        measured = (made.one(flat + step) - made.one(flat - step)) / (2 * step[column])
        wrong = ~(np.abs(rows[:, column] - measured) <= AGREEMENT * np.maximum(1, np.abs(measured)))
        if np.isfinite(measured).all() and wrong.any():
            row = int(wrong.argmax())
            raise ArgumentError(
                f"{title}: the declared derivative of result {row} by element {column} is {rows[row, column]:.9g} at "
                f"the sample, central differences give {measured[row]:.9g}"
            )
