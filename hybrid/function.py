"""`Function`: the one object users hold. Its derivatives are again Functions, so everything composes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial, update_wrapper
from math import prod
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from codegen.program import Program
from hybrid import sympy_bridge
from hybrid.arguments import bind_arguments
from hybrid.choice import Explanation, alternatives, explain
from hybrid.compiling import compile
from hybrid.compose import composable, compose
from hybrid.deferred import Deferred
from hybrid.definition import Argument, Definition, Derivation, Formula, SymPySource
from hybrid.differentiate import ONE, forward
from hybrid.errors import ArgumentError, ShapeError, UnsupportedError
from hybrid.graph import uncollected
from hybrid.kernel import Kernel
from hybrid.large import reverse
from hybrid.lower import Result, lower
from hybrid.methods import GRADIENTS, HESSIANS, JACOBIANS, derive
from hybrid.simplify import REAL, RULE_SETS, Rules, simplify
from hybrid.sparsity import Pattern, Triangle, Triplets, entries_in_order
from hybrid.watch import watch

typeset = Deferred("hybrid.printing.latex")
several = Deferred("hybrid.printing.several")
markup_language = Deferred("hybrid.printing.mathml")
notebook = Deferred("hybrid.printing.notebook")
trace = Deferred("hybrid.trace")
rolled_trace = Deferred("hybrid.rolled.trace")
rolled_again = Deferred("hybrid.rolled.again")
rolled_function = Deferred("hybrid.rolled.function")
rolled_sums = Deferred("hybrid.rolled.indexed")
sheet = Deferred("hybrid.report")
plots = Deferred("hybrid.plots")
LARGEST_FLAT = 20_000  # nodes from which on a function that was traced element by element is searched for loops
Wrt = Any  # a symbol, an argument name, or a sequence of them


class Function(Formula):
    """A mathematical function of named array arguments, differentiable to any order.

    Parameters
    ----------
    inputs : sequence of SymPy symbols, of arrays or matrices of symbols, or of `(name, array of symbols)` pairs.
        Each is one argument; a symbol has shape `()`, an array its own shape.
    outputs : a SymPy expression (shape `()`), a list or NumPy object array of them (its shape), or a `sympy.Matrix`
        (shape `(m, n)`; a column matrix is a vector of shape `(m,)`).
        A `sympy.IndexedBase` is an array of its shape; `(base, shape)` says which, also for symbols in the base's shape
        and in limits of sums, and `(base, numbers)` makes it data.
    name : what the function is called in LaTeX, kernels and exported headers.
    rolled : whether sums over elements of IndexedBases stay rolled (`docs/rolled.md`); by default what is large.

    Raises ArgumentError for duplicate inputs or a free symbol that is no input, InputTypeError for text or complex
    data, UnsupportedError (naming the node) for SymPy objects without a real elementary meaning.

    Shapes of derivatives: by one argument of shape `s`, with output shape `o`: gradient `s`, Jacobian `o + s`,
    Hessian `o + s + s`. By several arguments, they are flattened in order into one axis of length n.
    Calling the function compiles it on first use; see `hybrid.compile` for joint kernels.
    """

    def __new__(cls, inputs: Any = None, outputs: Any = None, name: str = "f", rolled: bool | None = None) -> Function:
        if cls is Function and outputs is not None and (rolled or (rolled is None and sympy_bridge.has_arrays(inputs))):
            kept = rolled_sums.rolled_or_none(inputs, outputs, check_name(name), rolled)
            if kept is not None:
                made: Function = rolled_function.RolledFunction.make(kept)
                return made
        return super().__new__(cls)

    def __init__(self, inputs: Any, outputs: Any, name: str = "f", rolled: bool | None = None) -> None:
        if sympy_bridge.has_arrays(inputs):
            inputs, outputs = rolled_sums.flat_form(inputs, outputs)
        self._set(sympy_bridge.define(inputs, outputs, check_name(name)))

    def _set(
        self,
        definition: Definition,
        derivation: Derivation | None = None,
        primal: tuple[int, ...] | None = None,
    ) -> None:
        self.graph = definition.graph
        self.arguments = definition.arguments
        self.nodes = definition.nodes
        self.shape = definition.shape
        self.source = definition.source
        self.name = definition.name
        self.derivation = derivation
        self.primal = definition.nodes if primal is None else primal

    def __getstate__(self) -> dict[str, Any]:
        # Native code is made anew where it is needed; the code that was traced is in the source.
        state = {name: value for name, value in self.__dict__.items() if name not in ("kernel", "__wrapped__")}
        return state | {"traced": "__wrapped__" in self.__dict__}

    def __setstate__(self, state: dict[str, Any]) -> None:
        if state.pop("traced"):
            self.__wrapped__ = state["source"].function
        self.__dict__.update(state)

    @classmethod
    def from_definition(cls, definition: Definition) -> Function:
        function = cls.__new__(cls)
        function._set(definition)
        return function

    def _derived(
        self,
        derivation: Derivation,
        nodes: Sequence[int],
        shape: tuple[int, ...],
        arguments: tuple[Argument, ...] | None = None,
    ) -> Function:
        function = Function.__new__(Function)
        name = f"{self.name}_{derivation.kind}"
        definition = Definition(self.graph, arguments or self.arguments, tuple(nodes), shape, self.source, name)
        function._set(definition, derivation, primal=self.primal)
        return function

    # --- derivatives --------------------------------------------------------------------------------------------------
    def gradient(self, wrt: Wrt = None, method: str = "auto") -> Function:
        """The exact gradient of a scalar function. Shape: that of the argument, or (n,) for several.

        `wrt` names arguments (symbols or names); default all. `method` is "reverse", "forward", "cross-country" or
        "auto", which is "reverse": one adjoint sweep. Raises ShapeError if the output is not a scalar.
        """
        self._require_scalar("gradient")
        positions = self._positions(wrt)
        variables = self._variables(positions)
        with self.graph.lock:
            how = derive(GRADIENTS, "reverse" if method == "auto" else method, "", self.graph, self.nodes, variables)
            nodes = self._dense(how.entries, 1, len(variables))
        made = Derivation("gradient", self, positions, None, how.method, method != "auto")
        return self._derived(made, nodes, self._axis(positions))

    def jacobian(self, wrt: Wrt = None, method: str = "auto", sparse: bool = False) -> Function:
        """The exact Jacobian. Shape: output shape + argument shape (or + (n,) for several arguments).

        `method` is "forward" (a tangent sweep per variable, over what depends on it), "reverse" (an adjoint sweep per
        output), "cross-country" (elimination in an order that pays), "coloured" (tangent sweeps for columns without a
        common row) or "auto": the sweep that makes the smaller graph, and in a kernel whichever of all takes the fewest
        operations; `explain` shows the counts. With `sparse`, the outputs are the entries that can be non-zero, shape
        (nnz,), in the order of `pattern`: a matrix with one row per output (C order) and one column per variable.
        """
        positions = self._positions(wrt)
        variables = self._variables(positions)
        guess = "reverse" if len(set(self.nodes)) <= len(variables) else "forward"
        with self.graph.lock:
            how = derive(JACOBIANS, method, guess, self.graph, self.nodes, variables)
        made = Derivation("jacobian", self, positions, None, how.method, method != "auto")
        if sparse:
            return self._sparse(made, how.entries, (self.size, len(variables)))
        return self._derived(
            made, self._dense(how.entries, self.size, len(variables)), self.shape + self._axis(positions)
        )

    def hessian(
        self, wrt: Wrt = None, method: str = "auto", sparse: bool = False, triangle: Triangle = "full"
    ) -> Function:
        """The exact Hessian. Shape: output shape + argument shape twice (or + (n, n) for several arguments).

        Only one triangle is derived, the other is the same expressions. `method` is "reverse" or "forward" (over
        reverse), "chain" (the chain rule of second order through the function's bottleneck, where it has one),
        "cross-country", "coloured" (of a star colouring), "edge-pushing" (each entry once, natively: the choice for
        functions of thousands of operations) or "auto", as for `jacobian`.

        With `sparse`, the outputs are the entries that can be non-zero, shape (nnz,), in the order of `pattern`, a
        matrix n × n; `triangle="lower"` leaves out those above the diagonal. The function must then be a scalar.
        """
        positions = self._positions(wrt)
        variables = self._variables(positions)
        self._check_sparse(sparse, triangle)
        with self.graph.lock:
            found = [derive(HESSIANS, method, "reverse", self.graph, [root], variables) for root in self.nodes]
        methods = ", ".join(dict.fromkeys(how.method for how in found))
        made = Derivation("hessian", self, positions, None, methods, method != "auto")
        if sparse:
            return self._sparse(made, found[0].entries, (len(variables), len(variables)), triangle)
        nodes = [node for how in found for node in self._dense(how.entries, len(variables), len(variables))]
        axis = self._axis(positions)
        return self._derived(made, nodes, self.shape + axis + axis)

    def jvp(self, wrt: Wrt = None) -> Function:
        """Jacobian times vector: an extra argument `<name>_dot` per argument carries the direction.

        Shape: that of the output.
        """
        positions = self._positions(wrt)
        with self.graph.lock:
            tangents = self._twins(positions)
            seeds = self._seeds(positions, tangents)
            order = self.graph.reach(self.nodes)
            found = forward(self.graph, order, seeds)
            zero = self.graph.constant(0)
            nodes = [found.get(node, zero) for node in self.nodes]
        return self._derived(Derivation("jvp", self, positions), nodes, self.shape, self.arguments + tangents)

    def vjp(self, wrt: Wrt = None) -> Function:
        """Vector times Jacobian: an extra argument `<function>_bar` of the output's shape carries the cotangent.

        Shape: that of the argument, or (n,) for several.
        """
        positions = self._positions(wrt)
        variables = self._variables(positions)
        with self.graph.lock:
            cotangent = self._new_argument(f"{self.name}_bar", self.shape)
            seeds = list(zip(self.nodes, cotangent.nodes, strict=True))
            adjoints = reverse(self.graph, seeds, frozenset(variables))
            zero = self.graph.constant(0)
        nodes = [adjoints.get(variable, zero) for variable in variables]
        return self._derived(
            Derivation("vjp", self, positions), nodes, self._axis(positions), (*self.arguments, cotangent)
        )

    def hvp(self, wrt: Wrt = None) -> Function:
        """Hessian times vector of a scalar function, without the Hessian: `<name>_dot` carries the direction.

        Shape: that of the argument, or (n,) for several. Raises ShapeError if the output is not a scalar.
        """
        self._require_scalar("hvp")
        positions = self._positions(wrt)
        variables = self._variables(positions)
        with self.graph.lock:
            tangents = self._twins(positions)
            seeds = self._seeds(positions, tangents)
            adjoints = reverse(self.graph, [(self.nodes[0], ONE)], frozenset(variables))
            found = forward(self.graph, self.graph.reach(adjoints.values()), seeds)
            zero = self.graph.constant(0)
            nodes = [found.get(adjoints.get(v, zero), zero) for v in variables]
        return self._derived(
            Derivation("hvp", self, positions), nodes, self._axis(positions), self.arguments + tangents
        )

    # --- algebra and views --------------------------------------------------------------------------------------------
    def simplify(self, rules: Rules | str = REAL, budget: float | None = None) -> Function:
        """The same function with fewer operations, equal for finite reals wherever this one is defined.

        Returns itself unchanged where nothing is gained: the operation count never grows. `budget` is a time in
        seconds: it is used up as long as anything is gained, the result reached by then is kept, also on Ctrl-C, and
        after two seconds a terminal shows a bar. Raises ArgumentError for a budget that is not positive.

        `rules` are "real", "bitwise" or "accurate": the last takes the forms of the smallest measured errors, such as
        2 sin²(x/2) for 1 − cos x, which may take more operations. Derive from what it returns.
        """
        if isinstance(rules, str):
            if rules not in RULE_SETS:
                raise ArgumentError(f"rules must be one of {', '.join(map(repr, RULE_SETS))}, got {rules!r}")
            rules = RULE_SETS[rules]
        if budget is not None and not budget > 0:
            raise ArgumentError(f"budget must be a positive number of seconds, or None for no limit, got {budget!r}")
        with self.graph.lock, watch(budget) as watched:
            nodes = simplify(self.graph, self.nodes, rules, watch=watched)
        function = Function.__new__(Function)
        definition = Definition(self.graph, self.arguments, tuple(nodes), self.shape, self.source, self.name)
        derivation = self.derivation and replace(self.derivation, asked=True)  # compiled as it is, by no other method
        function._set(definition, derivation, primal=() if derivation else tuple(nodes))
        return function

    def roll(self) -> Function:
        """The same function as templates over index spaces, where its expression repeats (`hybrid.rolled`).

        Large functions are rolled when they are compiled or traced; this does it, or says that little repeats, by
        raising UnsupportedError.
        """
        found: Function | None = rolled_again.found_in(self) if self.derivation is None else None
        if found is None:
            raise UnsupportedError(f"{self.name} has too little that repeats, or is a derivative: roll what it is of")
        return found

    def sympy(self) -> Any:
        """Back to SymPy: an expression for shape (), a column Matrix for (n,), a Matrix for (m, n), else an Array."""
        return sympy_bridge.shaped(sympy_bridge.to_sympy(self.graph, self.nodes, self._symbols()), self.shape)

    def latex(self, **options: Any) -> str:
        """LaTeX, with repeated subexpressions named once; the options are those of `hybrid.printing.latex.latex`."""
        text: str = typeset.latex(self, **options)
        return text

    def mathml(self, **options: Any) -> str:
        """Presentation MathML for web pages; the options are those of `hybrid.printing.mathml.mathml`."""
        markup: str = markup_language.mathml(self, **options)
        return markup

    def text(self, **options: Any) -> str:
        """Plain Unicode text, a line for each output; the options are those of `hybrid.printing.text.text`."""
        text: str = typeset.text(self, **options)
        return text

    def _repr_latex_(self) -> str:
        text: str = notebook.function_latex(self)
        return text

    def _repr_html_(self) -> str:
        markup: str = notebook.function_html(self)
        return markup

    def report(self, path: str | PathLike[str], **options: Any) -> Path:
        """Write the derivative sheet, one HTML page that needs no network; returns its path.

        It shows the function, its gradient or Jacobian and its Hessian as formulas, their structure and cost, the
        certificate of their kernel, speed measured here, the generated code, and a live panel in which the kernel runs
        as WebAssembly. Needs Jinja2 (`pip install 'hybrid[report]'`); ImportError says so.

        Parameters
        ----------
        path : of the page.
        wrt : arguments to differentiate by, as for `gradient`; default all.
        at : where the live panel starts: a number or an array of the argument's shape by name. Default: a point where
            everything is finite, the same every time.
        ranges : between which values inputs move: a pair (low, high) by name, each a number or an array. Default:
            around the start, as far as the function is finite.
        speed : measure how long calls take, some 10 ms each; without it the page is the same on every run.

        The file appears whole, by rename. Raises ArgumentError for `at` and `ranges` that do not fit, and
        VerificationError where the kernel does not deserve a certificate.
        """
        written: Path = sheet.report(self, path, **options)
        return written

    def plot_sparsity(self, ax: Any = None) -> Any:
        """Plot where this derivative can be non-zero (of a function: its Hessian, or Jacobian if it has a shape).

        Returns the matplotlib Axes, those of `ax` or of a new figure. Needs `pip install 'hybrid[plot]'`.
        """
        return plots.plot_sparsity(self, ax)

    def plot_contours(self, *args: Any, **options: Any) -> Any:
        """Plot contours of a scalar function of two variables, its gradient field, and its Hessian as ellipses.

        The options are those of `hybrid.plots.plot_contours`: ranges, at, ax, levels, … Returns the matplotlib Axes.
        """
        return plots.plot_contours(self, *args, **options)

    def operations(self) -> int:
        """How many operations one evaluation takes (loads, stores and constants are free)."""
        return self.program().operations

    def program(self, named: bool = False) -> Program:
        """The straight-line program of this function as it stands, before the algebra that `compile` adds.

        named : values that `latex` names have these names in the program, and in code written from it.
        """
        names = several.part_names([self]) if named else None
        return lower(self.graph, self.arguments, [Result(self.name, self.shape, self.nodes)], self.name, names)

    @property
    def size(self) -> int:
        return prod(self.shape)

    def explain(self) -> Explanation:
        """How this derivative was made: what every method would take, and which is chosen. Prints as a table.

        Raises ArgumentError for a function that is no gradient, Jacobian or Hessian.
        """
        with self.graph.lock:
            return explain(self, self.pattern)

    def forms(self) -> list[Function]:
        with self.graph.lock:
            return [self._in_form(method, nodes) for method, nodes in alternatives(self)]

    def _in_form(self, method: str, nodes: Sequence[int]) -> Function:
        function = Function.__new__(Function)
        definition = Definition(self.graph, self.arguments, tuple(nodes), self.shape, self.source, self.name)
        function._set(definition, self.derivation and replace(self.derivation, method=method), self.primal)
        return function

    @cached_property
    def pattern(self) -> Pattern:
        """Which entries can be non-zero, as a matrix.

        A gradient or Jacobian has one row per output and one column per variable, a Hessian of a scalar is n × n. Any
        other function is a matrix if it has two axes, else one column.
        """
        if self.derivation is not None and self.derivation.pattern is not None:
            return self.derivation.pattern
        columns = self.shape[1] if len(self.shape) == 2 else 1
        if self.derivation is not None and self.derivation.kind in ("gradient", "jacobian", "hessian"):
            columns = self.derivation.columns
        zero = self.graph.constant(0)
        present = np.fromiter((node != zero for node in self.nodes), dtype=bool, count=len(self.nodes))
        return Pattern.dense(present.reshape(-1, columns))

    @property
    def sparsity(self) -> Any:
        """`pattern` as a boolean `scipy.sparse.csr_array`. Raises ImportError where SciPy is missing."""
        return self.pattern.csr(np.ones(self.pattern.nnz)).astype(bool)

    def __str__(self) -> str:
        text: str = typeset.text(self)
        return text

    def __repr__(self) -> str:
        arguments = ", ".join(f"{a.name}{a.shape}" if a.shape else a.name for a in self.arguments)
        return f"<Function {self.name}({arguments}) -> {self.shape}>"

    # --- evaluation ---------------------------------------------------------------------------------------------------
    def __call__(self, *args: Any, **named: Any) -> Any:
        """Evaluate on numbers or arrays of shape batch + argument shape; compiled and verified on first use.

        Called on symbolic arrays, inside a function that is being traced, it becomes part of that function. Called on
        tensors of the numeric tape it is recorded there, by its original source.
        """
        kernel = self.__dict__.get("kernel")
        if kernel is not None and not named:
            short = kernel.__dict__.get("short")
            if short is not None:
                result = short(*args)
                if result is not NotImplemented:
                    return result
        if any(map(composable, args)) or any(map(composable, named.values())):
            return compose(self, bind_arguments(self.name, self.arguments, args, named))
        return self.kernel(*args, **named)

    @cached_property
    def kernel(self) -> Kernel:
        """The compiled kernel of this function alone."""
        return compile(self)

    # --- helpers ------------------------------------------------------------------------------------------------------
    def _require_scalar(self, what: str) -> None:
        if self.shape != ():
            raise ShapeError(
                f"{what} needs a scalar function, but {self.name} has output shape {self.shape}; "
                f"use jacobian() or vjp() instead"
            )

    def _positions(self, wrt: Wrt) -> tuple[int, ...]:
        """Argument positions from symbols, names or a sequence of them."""
        if wrt is None:
            return tuple(range(len(self.arguments)))
        single = isinstance(wrt, str) or not isinstance(wrt, list | tuple)
        names = {argument.name: position for position, argument in enumerate(self.arguments)}
        positions = []
        for item in [wrt] if single else wrt:
            name = item if isinstance(item, str) else getattr(item, "name", str(item))
            if name not in names:
                raise ArgumentError(
                    f"{self.name} has no argument {name!r} to differentiate by; it has {', '.join(names)}"
                )
            positions.append(names[name])
        if len(set(positions)) != len(positions) or not positions:
            raise ArgumentError(f"wrt={wrt!r} must name at least one argument of {self.name}, each once")
        return tuple(positions)

    def _variables(self, positions: Sequence[int]) -> list[int]:
        return [node for position in positions for node in self.arguments[position].nodes]

    def _axis(self, positions: Sequence[int]) -> tuple[int, ...]:
        if len(positions) == 1:
            return self.arguments[positions[0]].shape
        return (sum(self.arguments[position].size for position in positions),)

    def _dense(self, entries: Mapping[tuple[int, int], int], rows: int, columns: int) -> list[int]:
        nodes = [self.graph.constant(0)] * (rows * columns)
        if isinstance(entries, Triplets):
            all_nodes = np.array(nodes)
            all_nodes[entries.rows * columns + entries.columns] = entries.nodes
            listed: list[int] = all_nodes.tolist()
            return listed
        for (row, column), node in entries.items():
            nodes[row * columns + column] = node
        return nodes

    def _check_sparse(self, sparse: bool, triangle: str) -> None:
        if triangle not in ("full", "lower"):
            raise ArgumentError(f"triangle must be 'full' or 'lower', got {triangle!r}")
        if triangle == "lower" and not sparse:
            raise ArgumentError("triangle='lower' goes with sparse=True; a dense Hessian has both triangles")
        if sparse and self.shape != ():
            raise ShapeError(
                f"a sparse Hessian is that of a scalar function, but {self.name} has output shape {self.shape}; "
                f"use hybrid.lagrangian for a weighted sum of outputs, or jacobian(sparse=True)"
            )

    def _sparse(
        self,
        made: Derivation,
        entries: Mapping[tuple[int, int], int],
        shape: tuple[int, int],
        triangle: Triangle = "full",
    ) -> Function:
        pattern, nodes = entries_in_order(entries, shape, triangle, self.graph.constant(0))
        return self._derived(replace(made, pattern=pattern), nodes, (pattern.nnz,))

    def _new_argument(self, name: str, shape: tuple[int, ...]) -> Argument:
        taken = {argument.name for argument in self.arguments}
        while name in taken:
            name += "_"
        indices = list(np.ndindex(*shape)) if shape else [()]
        return Argument(name, shape, tuple(self.graph.variable(name, index) for index in indices))

    def _twins(self, positions: Sequence[int]) -> tuple[Argument, ...]:
        return tuple(self._new_argument(f"{self.arguments[p].name}_dot", self.arguments[p].shape) for p in positions)

    def _seeds(self, positions: Sequence[int], tangents: Sequence[Argument]) -> dict[int, int]:
        return {
            node: twin
            for position, tangent in zip(positions, tangents, strict=True)
            for node, twin in zip(self.arguments[position].nodes, tangent.nodes, strict=True)
        }

    def _symbols(self) -> dict[int, Any]:
        """The user's own SymPy symbols for the variable nodes, where the function came from SymPy."""
        if not isinstance(self.source, SymPySource):
            return {}
        return {
            node: symbol
            for argument, symbols in zip(self.arguments, self.source.symbols, strict=False)
            for node, symbol in zip(argument.nodes, symbols, strict=True)
        }


def function(rolled: Any = None, **shapes: Any) -> Callable[[Callable[..., Any]], Function]:
    """Decorator: turn plain Python over NumPy into a Function; `shapes` gives each argument's shape, `()` for a scalar.

    The body runs once on symbolic arrays; it may use arithmetic, NumPy's functions, indexing, `np.where` and ordinary
    Python control flow on shapes and constants. Raises ArgumentError for an argument without a shape or a shape without
    an argument, UnsupportedError naming a NumPy function that has no symbolic meaning.

    An array in the place of a shape is data: the parameter is that array, and `with_data` of a rolled function or
    kernel replaces it.

    rolled : whether sums and maps over arrays stay rolled (`hybrid.rolled`), so that nothing but sparsity patterns
        depends on how long arrays are: True, False, or None to decide by cost, which rolls what is large.
    """
    if isinstance(rolled, tuple | list):  # the shape of an argument of that name
        shapes, rolled = {"rolled": rolled, **shapes}, None

    data = {name: value for name, value in shapes.items() if isinstance(value, np.ndarray)}
    shapes = {name: shape for name, shape in shapes.items() if name not in data}

    def decorate(code: Callable[..., Any]) -> Function:
        name = check_name(getattr(code, "__name__", "f").replace("<lambda>", "f"))
        body = partial(code, **data) if data else code
        kept = None if rolled is False else rolled_trace.rolled_or_none(body, shapes, name, rolled)
        if kept is not None:
            result: Function = rolled_function.RolledFunction.make(kept)
        else:
            result = Function.from_definition(trace.define(body, shapes, name))
            if rolled is None and len(result.graph) > LARGEST_FLAT:
                with uncollected():
                    result = rolled_again.found_in(result) or result
        update_wrapper(result, code, assigned=("__module__", "__doc__"), updated=())
        return result

    return decorate


def check_name(name: Any) -> str:
    """A function's name must also serve in C: an ASCII identifier. Raises ArgumentError otherwise."""
    if not isinstance(name, str) or not name.isidentifier() or not name.isascii():
        raise ArgumentError(f"name={name!r} must be an ASCII identifier such as 'f' or 'black_scholes'")
    return name
