"""`RolledFunction`: a function over large arrays that stays rolled; its derivatives are rolled functions too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from hybrid.arguments import bind_arguments
from hybrid.colouring import colours
from hybrid.compose import composable
from hybrid.deferred import Deferred
from hybrid.definition import PythonSource, SymPySource
from hybrid.errors import ArgumentError, ShapeError, UnsupportedError
from hybrid.function import Function, Wrt, check_name
from hybrid.rolled import coloured, maps, sparse, tangent
from hybrid.rolled.adjoint import Adjoints, Flow, pull
from hybrid.rolled.evaluate import evaluate
from hybrid.rolled.formula import Origin, RolledArgument, RolledFormula
from hybrid.rolled.inline import Inlining
from hybrid.rolled.kernel import RolledKernel, compile_rolled
from hybrid.rolled.maps import Map, Shape
from hybrid.rolled.model import STORE, SUM, Access, Block, Model, Write
from hybrid.rolled.trace import Rolled
from hybrid.sparsity import Pattern, Triangle

typeset = Deferred("hybrid.rolled.latex")
again = Deferred("hybrid.rolled.again")
MOST_DENSE = 5_000  # variables up to which a dense Hessian or Jacobian is made


class RolledFunction(RolledFormula, Function):
    """A function of large arrays, kept as templates over index spaces; made by `hybrid.function`, never directly.

    It is used as any `Function`. Its arrays have the shapes it was declared with; a batch is evaluated point by point.
    What needs every element as an expression of its own (`sympy`, `simplify`, exported files) raises UnsupportedError:
    trace the function with `rolled=False` for that.
    """

    def __init__(self, *_: Any, **__: Any) -> None:
        """Nothing: `make` and `_of` set what there is, also where `Function(...)` gives a rolled function."""

    @classmethod
    def make(cls, rolled: Rolled) -> RolledFunction:
        arguments = tuple(
            RolledArgument(name, rolled.model.buffers[buffer].shape, buffer) for name, buffer in rolled.arguments
        )
        made = cls._of(rolled.model, arguments, rolled.output, rolled.shape, rolled.source, rolled.name)
        made.flat = rolled.flat
        return made

    @classmethod
    def _of(
        cls,
        model: Model,
        arguments: tuple[RolledArgument, ...],
        output: int,
        shape: Shape,
        source: PythonSource | SymPySource,
        name: str,
        origin: Origin | None = None,
        pattern: Pattern | None = None,
    ) -> RolledFunction:
        function = object.__new__(cls)  # not what the constructor of `Function` makes
        function.model, function.output, function.shape = model, output, shape
        function.arguments = arguments  # type: ignore[assignment]  # without a node for each element
        function.source, function.name, function.origin = source, check_name(name), origin
        function.fixed_pattern, function.derivation = pattern, None
        return function

    def __getattr__(self, name: str) -> Any:
        if name in ("graph", "nodes", "primal"):
            raise UnsupportedError(
                f"{self.name} is rolled: its {self.size:,} elements are not expressions of their own. For what needs "
                f"those, trace it with hybrid.function(rolled=False, ...)"
            )
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def _make(
        self,
        kind: str,
        wrt: tuple[int, ...],
        output: int,
        shape: Shape,
        arguments: tuple[RolledArgument, ...] = (),
        pattern: Pattern | None = None,
        method: str = "",
        why: str = "",
    ) -> RolledFunction:
        origin = Origin(kind, self, wrt, method, why)
        every = (*self.rolled_arguments, *arguments)
        name = f"{self.name}_{kind}"
        return self._of(self.model, every, output, shape, self.source, name, origin, pattern)

    # --- derivatives --------------------------------------------------------------------------------------------------
    def gradient(self, wrt: Wrt = None, method: str = "auto") -> RolledFunction:
        """The exact gradient of a scalar function, by one reverse sweep over the templates; shapes as in `Function`."""
        self._require_scalar("gradient")
        check_method(method, ("reverse",))
        return self._pulled("gradient", wrt, Flow((), self.model.number(1), Map(0, ())), ())

    def vjp(self, wrt: Wrt = None) -> RolledFunction:
        """Vector times Jacobian: an extra argument `<function>_bar` of the output's shape carries the cotangent."""
        cotangent = self._extra(f"{self.name}_bar", self.shape)
        node = self.model.read(cotangent.buffer, maps.identity(self.shape))
        return self._pulled("vjp", wrt, Flow(self.shape, node, maps.identity(self.shape)), (cotangent,))

    def _pulled(self, kind: str, wrt: Wrt, seed: Flow, arguments: tuple[RolledArgument, ...]) -> RolledFunction:
        positions = self._positions(wrt)
        buffers = [self.rolled_arguments[position].buffer for position in positions]
        adjoints = self._adjoints(buffers, seed)
        pull(adjoints, self.model.needed([self.output]))
        shape = self._axis(positions)
        output = adjoints.held(buffers[0]) if len(buffers) == 1 else self._joined(adjoints, buffers, shape)
        return self._make(kind, positions, output, shape, arguments, method="reverse")

    def _adjoints(self, buffers: Sequence[int], seed: Flow) -> Adjoints:
        adjoints = Adjoints(self.model, self.model.depending(buffers))
        adjoints.add(self.output, seed)
        return adjoints

    def _joined(self, adjoints: Adjoints, buffers: Sequence[int], shape: Shape) -> int:
        """The adjoints of several arguments, flattened into one axis."""
        made = self.model.buffer(shape)
        start = 0
        for buffer in buffers:
            size = self.model.buffers[buffer].size
            flows = adjoints.flows.get(buffer) or [Flow((size,), self.model.number(0), Map(0, (1,)))]
            for flow in flows:
                where = Map(flow.map.offset + start, flow.map.strides, flow.map.gather)
                self.model.add(Block(flow.space, (flow.node,), (Write(Access(made.number, where), SUM),)))
            start += size
        return made.number

    def jvp(self, wrt: Wrt = None) -> RolledFunction:
        """Jacobian times vector: an extra argument `<name>_dot` per argument carries the direction."""
        positions = self._positions(wrt)
        return self._pushed("jvp", self, positions)

    def hvp(self, wrt: Wrt = None) -> RolledFunction:
        """Hessian times vector of a scalar function, forward over reverse; `<name>_dot` carries the direction."""
        self._require_scalar("hvp")
        return self._pushed("hvp", self.gradient(wrt), self._positions(wrt))

    def _pushed(self, kind: str, of: RolledFunction, positions: tuple[int, ...]) -> RolledFunction:
        model = self.model
        twins = tuple(
            self._extra(f"{self.rolled_arguments[p].name}_dot", self.rolled_arguments[p].shape) for p in positions
        )
        seeds = {self.rolled_arguments[p].buffer: twin.buffer for p, twin in zip(positions, twins, strict=True)}
        tangents = tangent.push(model, model.needed([of.output]), seeds)
        output = tangents.get(of.output)
        if output is None:
            output = zeros(model, of.shape)
        return self._make(kind, positions, output, of.shape, twins, method="forward")

    def _extra(self, name: str, shape: Shape) -> RolledArgument:
        taken = {argument.name for argument in self.arguments}
        while name in taken:
            name += "_"
        return RolledArgument(name, shape, self.model.argument(name, shape).number)

    def jacobian(self, wrt: Wrt = None, method: str = "auto", sparse: bool = False) -> RolledFunction:
        """The exact Jacobian, each template differentiated once; shapes and `pattern` as in `Function.jacobian`.

        Raises UnsupportedError for one that is not sparse by structure, or that is dense and larger than 5,000 columns.
        """
        check_method(method, ("templates",))
        positions = self._positions(wrt)
        return self._by_terms("jacobian", positions, sparse, "full")

    def hessian(
        self, wrt: Wrt = None, method: str = "auto", sparse: bool = False, triangle: Triangle = "full"
    ) -> RolledFunction:
        """The exact Hessian of a scalar function, each template differentiated once; shapes as in `Function.hessian`.

        Raises UnsupportedError for one that is not sparse by structure, or that is dense and larger than 5,000².
        """
        self._require_scalar("hessian")
        self._check_sparse(sparse, triangle)
        check_method(method, ("templates",))
        positions = self._positions(wrt)
        return self._by_terms("hessian", positions, sparse, triangle)

    def _by_terms(self, kind: str, positions: tuple[int, ...], is_sparse: bool, triangle: Triangle) -> RolledFunction:
        model = self.model
        buffers = [self.rolled_arguments[position].buffer for position in positions]
        offsets, columns = sparse.sizes(model, buffers)
        rows = columns if kind == "hessian" else self.size
        if not is_sparse and max(rows, columns) > MOST_DENSE:
            raise UnsupportedError(
                f"a dense {kind} of {self.name} would have {rows:,} × {columns:,} entries; ask for sparse=True, or for "
                f"products with vectors ({'hvp' if kind == 'hessian' else 'jvp, vjp'})"
            )
        try:
            terms = self._terms(kind, buffers, offsets, triangle)
        except sparse.NotSeparableError as reason:
            try:
                return self._by_colours(kind, positions, offsets, is_sparse, triangle, str(reason))
            except coloured.DenseError as dense:
                reason = sparse.NotSeparableError(f"{reason}, and {dense}")
            raise UnsupportedError(
                f"the {kind} of {self.name} is not sparse by structure: {reason}; use "
                f"{'hvp' if kind == 'hessian' else 'jvp or vjp'}, which take any number of stages"
            ) from None
        axis = self._axis(positions)
        if not is_sparse:
            output = sparse.dense(model, terms, (rows, columns))
            shape = (axis if kind == "hessian" else self.shape) + axis
            return self._make(kind, positions, output, shape, method="templates")
        pattern, output = sparse.assemble(model, terms, (rows, columns), triangle)
        return self._make(kind, positions, output, (pattern.nnz,), pattern=pattern, method="templates")

    def _by_colours(
        self,
        kind: str,
        positions: tuple[int, ...],
        offsets: dict[int, int],
        is_sparse: bool,
        triangle: Triangle,
        why: str,
    ) -> RolledFunction:
        """A derivative from products with vectors. Raises DenseError where these would be many."""
        model, names = self.model, [self.rolled_arguments[position].name for position in positions]
        columns = sum(self.rolled_arguments[position].size for position in positions)
        of = self.gradient(names) if kind == "hessian" else self
        pattern = coloured.dependence(model, of.output, offsets, columns, model.buffers[of.output].size)
        coloured.worth_it(pattern)
        if kind == "hessian":
            colour, swept = pattern.colour_star(), "forward over reverse"
            pattern, places = coloured.hessian_places(pattern, colour, triangle)
        else:
            across, down = pattern.colour_columns(), pattern.colour_rows()
            by_rows = colours(down) < colours(across)
            colour, swept = (down, "reverse") if by_rows else (across, "forward")
            other = pattern.columns if by_rows else pattern.rows
            places = colour[pattern.rows if by_rows else pattern.columns] * pattern.shape[1 if by_rows else 0] + other
        coloured.few_enough(colours(colour), len(colour))
        if swept == "reverse":
            product = self.vjp(names)
            seeds = {product.rolled_arguments[-1].buffer: 0}
        else:
            product = of.jvp(names)
            twins = product.rolled_arguments[len(of.arguments) :]
            seeds = {twin.buffer: start for twin, start in zip(twins, offsets.values(), strict=True)}
        given = coloured.directions(model, colour, seeds)
        products = coloured.for_all(model, product.output, given, colours(colour))
        told = f"{why}; {colours(colour)} colours, {swept}"
        if not is_sparse:
            axis = self._axis(positions)
            output = coloured.spread(model, products, places, pattern)
            shape = (axis if kind == "hessian" else self.shape) + axis
            return self._make(kind, positions, output, shape, method="coloured", why=told)
        output = coloured.picked(model, products, places)
        return self._make(kind, positions, output, (pattern.nnz,), pattern=pattern, method="coloured", why=told)

    def _terms(
        self, kind: str, buffers: Sequence[int], offsets: dict[int, int], triangle: Triangle
    ) -> list[sparse.Term]:
        model = self.model
        blocks = [model.blocks[number] for number in model.needed([self.output])]
        try:
            return self._terms_of(blocks, kind, buffers, offsets, triangle)
        except sparse.NotSeparableError:
            inlined = Inlining(model, model.depending(buffers)).run(blocks)
            if inlined == blocks:
                raise
        return self._terms_of(inlined, kind, buffers, offsets, triangle)

    def _terms_of(
        self, blocks: list[Block], kind: str, buffers: Sequence[int], offsets: dict[int, int], triangle: Triangle
    ) -> list[sparse.Term]:
        model = self.model
        if kind == "hessian":
            adjoints = self._adjoints(buffers, Flow((), model.number(1), Map(0, ())))
            adjoints.thorough = True
            return sparse.hessian_terms(adjoints, blocks, offsets, triangle)
        weights = model.argument("weights", self.shape)
        node = model.read(weights.number, maps.identity(self.shape))
        adjoints = self._adjoints(buffers, Flow(self.shape, node, maps.identity(self.shape)))
        adjoints.thorough = True
        return sparse.jacobian_terms(adjoints, blocks, weights.number, offsets)

    # --- views --------------------------------------------------------------------------------------------------------
    @property
    def pattern(self) -> Pattern:
        """Which entries of a sparse derivative can be non-zero. Raises UnsupportedError for other functions."""
        if self.fixed_pattern is None:
            raise UnsupportedError(f"{self.name} is rolled and has no pattern; derivatives with sparse=True have one")
        return self.fixed_pattern

    def operations(self) -> int:
        """How many operations one evaluation takes: those of each template, times its instances."""
        return self.kernel.operations

    def explain(self) -> RolledExplanation:  # type: ignore[override]  # of its own kind
        """How this function was made, and what each template takes, per instance and in total. Prints as a table.

        Compiles the function if it is not.
        """
        origin = self.origin
        counts = [(name, count, times) for run in self.kernel.runs for name, count, times in run.plan.operations]
        return RolledExplanation(
            self.name,
            "" if origin is None else f"{origin.kind} of {origin.of.name}",
            self.fixed_pattern,
            "" if origin is None else origin.method,
            "" if origin is None else origin.why,
            tuple(counts),
        )

    def with_data(self, **new: Any) -> RolledFunction:
        """The same function with other arrays for its data, of any length, and other shapes for its arguments.

        Code that was compiled is used again. Data are what `hybrid.function` got arrays for. Raises ArgumentError for
        another name.
        """
        (made,) = again.with_data([self], new)
        return made  # type: ignore[no-any-return]  # of a module that is loaded late

    def latex(self, **options: Any) -> str:
        r"""LaTeX that keeps sums and indices: \sum over index spaces, cases where ranges differ; elements count from 1.

        Raises ArgumentError for options, which are those of functions that are written out.
        """
        if options:
            raise ArgumentError(f"latex of a rolled function has no options, got {', '.join(options)}")
        text: str = typeset.latex(self)
        return text

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.latex()}$"

    def __str__(self) -> str:
        blocks = [self.model.blocks[number] for number in self.model.needed([self.output])]
        return "\n".join([repr(self), *(described(self.model, block) for block in blocks)])

    _repr_html_ = None  # type: ignore[assignment]  # notebooks show the LaTeX

    def __repr__(self) -> str:
        arguments = ", ".join(f"{a.name}{a.shape}" if a.shape else a.name for a in self.arguments)
        blocks = self.model.needed([self.output])
        return f"<Function {self.name}({arguments}) -> {self.shape}, rolled: {len(blocks)} templates>"

    # --- evaluation ---------------------------------------------------------------------------------------------------
    def __call__(self, *args: Any, **named: Any) -> Any:
        """Evaluate; compiled and verified on first use. In traced code and on tensors, the user's code runs again."""
        if any(map(composable, args)) or any(map(composable, named.values())):
            if self.origin is not None:
                raise UnsupportedError(
                    f"{self.name} is a rolled derivative: it takes numbers and cannot become part of another function; "
                    f"derive from a function that contains {self.origin.of.name} instead"
                )
            return self.by_source(bind_arguments(self.name, self.arguments, args, named))
        return self.kernel(*args, **named)

    def reference(self, *args: Any, **named: Any) -> Any:
        """The value by NumPy, block by block: slow, and what native code is compared with."""
        values = bind_arguments(self.name, self.arguments, args, named)
        held = {a.buffer: np.asarray(v, np.float64) for a, v in zip(self.rolled_arguments, values, strict=True)}
        (result,) = evaluate(self.model, [self.output], held)
        return result.reshape(self.shape)[()]

    @cached_property
    def kernel(self) -> RolledKernel:  # type: ignore[override]  # of its own kind
        """The compiled kernel of this function alone."""
        return compile_rolled((self,))


def described(model: Model, block: Block) -> str:
    """A block in a line: its space, what it reads and writes."""
    space = " × ".join(f"{length:,}" for length in block.space) or "once"
    scan = ", one after the other along the first axis" if block.carries else ""
    kinds = ", ".join(dict.fromkeys(write.combine for write in block.writes))
    return f"  {space}{scan}: {len(model.reads(block.roots))} reads, {len(block.writes)} results ({kinds})"


@dataclass(frozen=True)
class RolledExplanation:
    """How a rolled function was derived: `method` is "templates" (each differentiated once), "coloured" (products with
    vectors, as `why` tells), "reverse" or "forward". `counts`: per template its name, operations and instances."""

    name: str
    what: str
    pattern: Pattern | None
    method: str
    why: str
    counts: tuple[tuple[str, int, int], ...]

    @property
    def operations(self) -> int:
        """Of one evaluation."""
        return sum(count * times for _, count, times in self.counts)

    def __str__(self) -> str:
        lines = [f"{self.name}: {self.what}" if self.what else self.name]
        if self.pattern is not None:
            rows, columns = self.pattern.shape
            share = f"{100 * self.pattern.density:.3g} %"
            lines.append(f"{self.pattern.nnz:,} of {rows:,} × {columns:,} entries can be non-zero ({share})")
        if self.method:
            lines.append(f"method: {self.method}" + (f" ({self.why})" if self.why else ""))
        width = max([len("template"), *(len(name) for name, _, _ in self.counts)])
        lines += ["", f"  {'template':<{width}}  operations      instances          total"]
        lines += [f"  {name:<{width}}  {n:>10,}  {times:>13,}  {n * times:>13,}" for name, n, times in self.counts]
        return "\n".join([*lines, f"  {'in all':<{width}}  {'':>10}  {'':>13}  {self.operations:>13,}"])

    __repr__ = __str__


def check_method(method: str, allowed: tuple[str, ...]) -> None:
    if method != "auto" and method not in allowed:
        raise ArgumentError(f"method must be 'auto' or one of {sorted(allowed)} for a rolled function, got {method!r}")


def zeros(model: Model, shape: Shape) -> int:
    made = model.buffer(shape)
    write = Write(Access(made.number, maps.identity(shape)), STORE)
    model.add(Block(shape, (model.number(0),), (write,)))
    return made.number


__all__ = ["RolledFunction", "ShapeError"]
