"""Elementary functions of a user's own: one row each, usable from SymPy, traced code, text, the tape and in kernels.

A function given by an expression is written out in kernels. Any other is called there, once per point: through the
address of compiled code if there is one, else back into Python. Its derivative is an expression, which may hold the
function itself and others.
"""

from __future__ import annotations

import ctypes
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from codegen.external import External
from hybrid import arbiter, parse, sympy_rules, trace, witness
from hybrid.callbacks import as_address, scalar_callback
from hybrid.composite import Composite, Nodes, Weights, times, weighted_sum
from hybrid.definition import Definition
from hybrid.differentiate import ONE, reverse
from hybrid.elementwise import apply
from hybrid.errors import ArgumentError, UnsupportedError
from hybrid.evaluate import evaluate
from hybrid.function import check_name
from hybrid.graph import Graph, Term
from hybrid.operations import LINE, OPERATIONS, REAL, Operation
from hybrid.symbolic_array import SymbolicArray, as_kind, lift
from hybrid.tape.elementwise import USER
from hybrid.tape.function import Function as TapeFunction
from hybrid.tape.tensor import Tensor, tensor

SAMPLES = 9  # points at which a definition is checked
STEP = 1e-5  # of the central differences that a declared derivative is compared with
AGREEMENT = 1e-4
NAMES: dict[str, int] = {}  # how often a name was defined: rows of the same name are told apart by a number


class Derivatives:
    """Declared partial derivatives, compared with central differences before they are first used.

    That is at the definition, unless they name the function itself, which Python does not know yet then.
    """

    def __init__(self, name: str, functions: Sequence[Callable[..., Any]]) -> None:
        self.name = name
        self.functions = functions
        self.pending: tuple[Callable[..., Any], Sequence[NDArray[Any]]] | None = None

    def __len__(self) -> int:
        return len(self.functions)

    def at(self, place: int, *args: Any) -> Any:
        """One of them, of anything that elementary functions take."""
        self.settle()
        return self.functions[place](*args)

    def node(self, graph: Graph, place: int, args: Nodes) -> int:
        arrays = [SymbolicArray(graph, np.array(arg, dtype=np.int64)) for arg in args]
        result = as_kind(lift(graph, self.at(place, *arrays)), REAL)
        return int(result.nodes.reshape(-1)[0])

    def settle(self) -> None:
        if self.pending is not None:
            values, points = self.pending
            self.pending = None
            self.compare(values, points)

    def compare(self, values: Callable[..., Any], points: Sequence[NDArray[Any]]) -> None:
        graph = Graph()
        variables = [graph.variable("x", (place,)) for place in range(len(points))]
        for place in range(len(self)):
            node = self.node(graph, place, tuple(variables))
            slope = np.broadcast_to(evaluate(graph, [node], dict(zip(variables, points, strict=True)))[0], (SAMPLES,))
            coarse, fine = (difference(values, points, place, step) for step in (STEP, STEP / 4))
            smooth = np.abs(coarse - fine) <= AGREEMENT * np.maximum(1, np.abs(fine))
            expected = np.where(smooth, fine, slope)
            compare(self.name, f"derivative= by argument {place + 1}", slope, expected, points, AGREEMENT)


class Elementary:
    """A function of one or more numbers; call it with numbers, arrays, traced arrays, tensors or SymPy expressions."""

    def __init__(self, name: str, row: Operation, cls: Any) -> None:
        self.name = self.__name__ = name
        self.row = row
        self.sympy = cls

    def __call__(self, *args: Any) -> Any:
        if len(args) != self.row.arity:
            raise TypeError(f"{self.name} takes {self.row.arity} arguments, got {len(args)}")
        return apply(self.row, *args)

    def __repr__(self) -> str:
        return f"<elementary function {self.name} of {self.row.arity} arguments>"


def elementary(
    name: str,
    *,
    expression: Callable[..., Any] | None = None,
    numpy: Callable[..., Any] | None = None,
    derivative: Callable[..., Any] | Derivatives | None = None,
    native: Any = None,
    c: str | None = None,
    latex: str | None = None,
    domain: tuple[float, float] | Sequence[tuple[float, float]] = LINE,
) -> Elementary:
    """A new elementary function of numbers.

    Parameters
    ----------
    name : an identifier that no function has yet; redefining one of your own is allowed.
    expression : its formula, as a function over NumPy, `hy.exp` and the like. Kernels then contain the formula.
    numpy : its values: float64 arrays of one shape in, an array of that shape out. Needed if there is no `expression`,
        unless `native` is given.
    derivative : its partial derivatives as expressions, one function of all arguments per argument (for one argument
        that function alone); they may use this function by the name it will be bound to. Left out, the derivative of
        the `expression` is taken; without either it cannot be differentiated.
    native : compiled code `double f(double, …)` for kernels to call: an address, a ctypes function, or a Numba cfunc.
        Without it kernels call `numpy` with one number at a time, which takes about a microsecond each.
    c : how exported C spells it: the name of a function, or an expression with {0}, {1} … for the arguments. Default
        the name. Objects and libraries refer to the C function.
    latex : with {0}, {1} … for the arguments; braces of LaTeX's own are doubled.
    domain : the open interval, or one per argument, on which it is finite and smooth: where the definition is checked.

    The definition is checked against itself at points of the domain: shapes and types, `native` against `numpy`, and
    every derivative against central differences. Raises ArgumentError where something does not fit, with the point.
    """
    check_name(name)
    if name in OPERATIONS or name in parse.ALIASES or name in parse.RESERVED:
        raise ArgumentError(f"{name!r} is a function of this package already; choose another name")
    formula = expression or numpy or native
    if formula is None:
        raise ArgumentError(f"{name}: give expression= (a formula) or numpy= (its values)")
    arity = count_arguments(name, expression or numpy, native)
    intervals = read_domain(name, domain, arity)
    values = numpy_meaning(expression, numpy, native)
    partials = read_derivatives(name, derivative, arity)
    NAMES[name] = NAMES.get(name, 0) + 1
    title = name if NAMES[name] == 1 else f"{name}_{NAMES[name]}"
    cls = sympy_class(name, title, arity, partials)
    shown = latex or standard_latex(name, arity)
    if expression is not None:
        row = Formula(title, trace_formula(name, expression, arity), values, partials, shown, cls).members[0]
    else:
        row = called_row(name, title, arity, values, partials, shown, cls, native, c)
    check(name, row, values, partials, native, intervals)
    result = Elementary(name, row, cls)
    enter(name, row, cls, result, partials)
    return result


# --- rows -------------------------------------------------------------------------------------------------------------
class Formula(Composite):
    """A function that kernels write out, with a derivative of its own or that of its formula."""

    def __init__(
        self,
        name: str,
        definition: Definition,
        values: Callable[..., Any],
        partials: Derivatives | None,
        latex: str,
        cls: Any,
    ) -> None:
        self.definition = definition
        self.meaning = values
        self.partials = partials
        self.shown = latex
        super().__init__(name, 1, len(definition.arguments))
        object.__setattr__(self.members[0], "sympy", cls)

    def latex(self, place: int) -> str:
        return self.shown

    def values(self, *args: Any) -> Sequence[Any]:
        return [self.meaning(*args)]

    def expand(self, graph: Graph, args: Nodes) -> Sequence[int]:
        own = [argument.nodes[0] for argument in self.definition.arguments]
        return graph.copy_from(self.definition.graph, self.definition.nodes, dict(zip(own, args, strict=True)))

    def slopes(self, graph: Graph, args: Nodes) -> list[int]:
        """The node of every partial derivative."""
        if self.partials is not None:
            return [self.partials.node(graph, place, args) for place in range(self.arity)]
        definition = self.definition
        own = [argument.nodes[0] for argument in definition.arguments]
        found = sweep(definition.graph, definition.nodes[0], own)
        return graph.copy_from(definition.graph, found, dict(zip(own, args, strict=True)))

    def pull(self, graph: Graph, args: Nodes, outs: Nodes, weights: Weights) -> Sequence[int | None]:
        weight = weights[0]
        return [None if weight is None else times(graph, weight, slope) for slope in self.slopes(graph, args)]

    def push(self, graph: Graph, args: Nodes, outs: Nodes, tangents: Weights) -> Sequence[int | None]:
        return [weighted_sum(graph, list(zip(self.slopes(graph, args), tangents, strict=True)))]


def sweep(graph: Graph, root: int, wanted: Sequence[int]) -> list[int]:
    found = reverse(graph, [(root, ONE)], frozenset(wanted))
    zero = graph.constant(0)
    return [found.get(node, zero) for node in wanted]


def called_row(
    name: str,
    title: str,
    arity: int,
    values: Callable[..., Any],
    partials: Derivatives | None,
    latex: str,
    cls: Any,
    native: Any,
    c: str | None,
) -> Operation:
    """A row whose instruction calls compiled code or Python."""
    keep, address = as_address(native) if native is not None else scalar_callback(values, arity)
    external = External(title, arity, address=address, c=c or name)

    def partial_of(place: int) -> Callable[..., Any]:
        def partial(out: Term, *terms: Term) -> Term:
            if partials is None:
                raise UnsupportedError(f"{name} was defined without derivative=, so it cannot be differentiated")
            return Term(out.graph, partials.node(out.graph, place, tuple(term.node for term in terms)))

        return partial

    return Operation(
        title,
        values,
        [partial_of(place) for place in range(arity)],
        latex,
        (LINE,) * arity,
        cls,
        external.instructions[0],
        external=(external, keep),
    )


# --- reading ----------------------------------------------------------------------------------------------------------
def count_arguments(name: str, function: Any, native: Any) -> int:
    if isinstance(function, np.ufunc):
        return function.nin
    if function is None:
        kinds = getattr(native, "argtypes", None) or getattr(getattr(native, "_sig", None), "args", None)
        if kinds:
            return len(kinds)
        raise ArgumentError(f"{name}: give numpy= too, which tells how many arguments it has")
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        raise ArgumentError(f"{name}: {function!r} does not tell how many arguments it has; use a lambda") from None
    count = sum(p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)
    if not count or any(p.kind is p.VAR_POSITIONAL for p in parameters):
        raise ArgumentError(f"{name}: the number of arguments must be fixed and at least one; use a lambda")
    return count


def read_domain(name: str, domain: Any, arity: int) -> list[tuple[float, float]]:
    pairs = [domain] if len(domain) == 2 and not isinstance(domain[0], tuple | list) else list(domain)
    pairs = pairs * arity if len(pairs) == 1 else pairs
    if len(pairs) != arity or any(len(pair) != 2 or not pair[0] < pair[1] for pair in pairs):
        raise ArgumentError(f"{name}: domain= must be an interval (low, high), or one per argument, got {domain!r}")
    return [(float(low), float(high)) for low, high in pairs]


def read_derivatives(name: str, derivative: Any, arity: int) -> Derivatives | None:
    if derivative is None:
        return None
    several = list(derivative) if isinstance(derivative, list | tuple) else [derivative]
    if len(several) != arity or not all(map(callable, several)):
        raise ArgumentError(f"{name}: derivative= needs {arity} functions, one per argument, got {derivative!r}")
    return Derivatives(name, several)


def numpy_meaning(expression: Any, numpy: Any, native: Any) -> Callable[..., Any]:
    if numpy is not None or expression is not None:
        function = numpy or expression

        def meaning(*args: Any) -> Any:
            with np.errstate(all="ignore"):
                return function(*(np.asarray(arg, dtype=np.float64)[()] for arg in args))

        return meaning
    compiled = native if callable(native) else getattr(native, "ctypes", None)
    if compiled is None:
        raise ArgumentError("an address alone gives no values in Python; give numpy= too")
    return np.vectorize(compiled, otypes=[np.float64])


def trace_formula(name: str, expression: Callable[..., Any], arity: int) -> Definition:
    names = [f"x{place}" for place in range(arity)]
    definition = trace.define(lambda **given: expression(*given.values()), dict.fromkeys(names, ()), name)
    if definition.shape != ():
        raise ArgumentError(f"{name}: expression= must give one number, it gave shape {definition.shape}")
    return definition


def standard_latex(name: str, arity: int) -> str:
    arguments = ", ".join("{" + str(place) + "}" for place in range(arity))
    return rf"\operatorname{{{{{name.replace('_', chr(92) + '_')}}}}}\left({arguments}\right)"


def sympy_class(name: str, title: str, arity: int, partials: Derivatives | None) -> Any:
    """A SymPy function of that name, real, with the declared derivative where there is one."""

    def fdiff(self: Any, argindex: int = 1) -> Any:
        if partials is None:
            return sp.Function.fdiff(self, argindex)
        return sp.sympify(partials.at(argindex - 1, *self.args))

    return type(name, (sp.Function,), {"nargs": arity, "is_real": True, "hybrid_row": title, "fdiff": fdiff})


# --- checking ---------------------------------------------------------------------------------------------------------
def sample(intervals: Sequence[tuple[float, float]]) -> list[NDArray[np.float64]]:
    """Points inside the domain, the same on every run."""
    random = np.random.default_rng(len(intervals))
    columns = []
    for low, high in intervals:
        below, above = max(low, -2.0 if high > -2 else high - 2), min(high, 2.0 if low < 2 else low + 2)
        columns.append(random.uniform(below + 0.02 * (above - below), above - 0.02 * (above - below), SAMPLES))
    return columns


def check(
    name: str,
    row: Operation,
    values: Callable[..., Any],
    partials: Derivatives | None,
    native: Any,
    intervals: Sequence[tuple[float, float]],
) -> None:
    points = sample(intervals)
    found = np.asarray(values(*points))
    if found.shape != (SAMPLES,) or found.dtype.kind not in "fiub":
        raise ArgumentError(
            f"{name}: numpy= must give real numbers of its arguments' shape ({SAMPLES},), got {found.dtype} of shape "
            f"{found.shape}; np.vectorize makes such a function of one for single numbers"
        )
    if not np.isfinite(found).any():
        raise ArgumentError(f"{name}: no finite value at {describe(points, 0)} or nearby; say where with domain=")
    if native is not None:
        compiled = np.array([callable_of(native, len(points))(*(float(x[k]) for x in points)) for k in range(SAMPLES)])
        compare(name, "native=", compiled, found, points, 1e-9)
    if partials is not None:
        try:
            partials.compare(values, points)
        except NameError:
            partials.pending = values, points


def difference(values: Callable[..., Any], points: Sequence[Any], place: int, step: float) -> Any:
    moved = [[x + sign * step if k == place else x for k, x in enumerate(points)] for sign in (1, -1)]
    return (np.asarray(values(*moved[0])) - np.asarray(values(*moved[1]))) / (2 * step)


def compare(name: str, what: str, got: Any, expected: Any, points: Sequence[Any], tolerance: float) -> None:
    finite = np.isfinite(expected)
    wrong = finite & ~(np.abs(got - expected) <= tolerance * np.maximum(1, np.abs(expected)))
    if wrong.any():
        k = int(wrong.argmax())
        raise ArgumentError(
            f"{name}: {what} does not fit: at {describe(points, k)} it gives {got[k]:.9g}, the values say "
            f"{expected[k]:.9g}"
        )


def describe(points: Sequence[Any], k: int) -> str:
    return ", ".join(f"{x[k]:.6g}" for x in points)


def callable_of(native: Any, arity: int) -> Callable[..., Any]:
    _, address = as_address(native)
    return ctypes.CFUNCTYPE(ctypes.c_double, *[ctypes.c_double] * arity)(address)


# --- everywhere else --------------------------------------------------------------------------------------------------
def enter(name: str, row: Operation, cls: Any, public: Elementary, partials: Derivatives | None) -> None:
    """Make a row known to SymPy's translation, the parser, the tape and the check."""
    sympy_rules.FUNCTIONS[cls] = row
    parse.FUNCTIONS[name] = parse.Call(public, row.arity, row.arity)
    on_tape = USER[row.name] = tape_rule(name, row, partials)
    operations: Any = witness.TAPE.operations
    operations[row.name] = on_tape
    arbiter.USER[row.name] = row


def tape_rule(name: str, row: Operation, partials: Derivatives | None) -> Callable[..., Any]:
    """The function on tensors: its values, and its declared derivative; a formula simply runs."""
    if row.composite is not None and partials is None:
        definition = row.composite[0].definition
        return lambda *args: definition.source.function(**{f"x{k}": arg for k, arg in enumerate(args)})

    class Rule(TapeFunction):
        @staticmethod
        def forward(ctx: Any, *args: Any) -> Any:
            ctx.save_for_backward(*args)
            return tensor(np.asarray(row.numpy(*(np.asarray(arg.detach()) for arg in args)), dtype=np.float64))

        @staticmethod
        def backward(ctx: Any, *grads: Any) -> Any:
            if partials is None:
                raise UnsupportedError(f"{name} was defined without derivative=, so it cannot be differentiated")
            return tuple(grads[0] * partials.at(place, *ctx.saved_tensors) for place in range(len(partials)))

    Rule.__name__ = name
    return lambda *args: Rule.apply(*(arg if isinstance(arg, Tensor) else tensor(float(arg)) for arg in args))
