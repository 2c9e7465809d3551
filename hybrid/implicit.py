"""Functions given by equations: y(x) with F(x, y) = 0, found by Newton's method inside the kernel.

The unknowns are a composite operation on the arguments. Its derivative is that of the implicit function theorem,
F_y dy = −F_x dx, written with the unknowns themselves: so the equations are solved once, and a derivative of any order
is an expression of their solution. [Krantz & Parks, The Implicit Function Theorem, 2002, 3.3]

Written out, it is a fixed number of Newton steps from a start that may depend on the arguments. Where the last step but
one has not become small, the result is NaN: at that point, and nowhere else. The last step then squares what is left.
With damping, a step that makes the sum of squares of the equations larger, or not a number, is taken back and tried at
a quarter of its length. [Dennis & Schnabel, Numerical Methods for Unconstrained Optimization and Nonlinear Equations,
1996, 6.3 and 6.5]
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from hybrid import operations as ops
from hybrid.compose import replay
from hybrid.composite import Composite, Nodes, Weights, is_number, negative
from hybrid.deferred import Deferred
from hybrid.definition import Argument, Definition, PythonSource
from hybrid.differentiate import forward, jacobian_reverse, reverse
from hybrid.errors import ArgumentError, InputTypeError, ShapeError
from hybrid.evaluate import evaluate
from hybrid.function import Function, check_name
from hybrid.graph import Graph, Term
from hybrid.systems import linear_system

trace = Deferred("hybrid.trace")
SHORTER, LONGER = 0.25, 4.0  # what a step that is taken back, or one that was good, makes of the length of the next
BELOW_ROUNDING = 2.0**-6  # a step of less than 2⁶ roundings of the unknown has settled: float32 does not reach 1e-9


Newton = Callable[[Sequence[Any]], tuple[Sequence[Any], Sequence[Any]]]


def squares(values: Sequence[Any]) -> Any:
    total = values[0] * values[0]
    for value in values[1:]:
        total = total + value * value
    return total


def shorter(where: Any, le: Any, length: Any) -> Any:
    """A length of at most 1."""
    if isinstance(length, float):
        return min(length, 1.0)
    return where(le(length, 1.0), length, 1.0)


class ImplicitSolution(Composite):
    """The unknowns of equations F = 0, as functions of the other arguments.

    `graph` holds the equations (`residual`), their start and their derivatives on the variable nodes `parameters` and
    `unknowns`; every use replaces those.
    """

    def __init__(
        self,
        name: str,
        graph: Graph,
        residual: Nodes,
        parameters: Nodes,
        unknowns: Nodes,
        start: Nodes,
        limits: tuple[int, float, float],
        damping: bool = False,
    ) -> None:
        self.graph = graph
        self.residual = residual
        self.parameters = parameters
        self.unknowns = unknowns
        self.start = start
        self.steps, self.relative, self.absolute = limits
        self.damping = damping
        zero, n = graph.constant(0), len(unknowns)
        entries = jacobian_reverse(graph, residual, unknowns)
        self.slopes = tuple(entries.get((row, column), zero) for row in range(n) for column in range(n))
        super().__init__(name, n, len(parameters))

    # --- Newton's method ----------------------------------------------------------------------------------------------
    def values(self, *args: Any) -> Sequence[Any]:
        given = dict(zip(self.parameters, np.broadcast_arrays(*args), strict=True))
        first = [np.asarray(part, dtype=np.float64) for part in evaluate(self.graph, self.start, given)]
        system = linear_system(len(first))

        def newton(y: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any]]:
            at = given | dict(zip(self.unknowns, y, strict=True))
            equations = evaluate(self.graph, (*self.slopes, *self.residual), at)
            return system.values(*equations), equations[len(self.slopes) :]

        with np.errstate(all="ignore"):
            y, at, change = self.iterate(first, newton, np.where, np.less_equal)
            small: Any = True
            for part, step, begin in zip(at, change, first, strict=True):
                size = np.maximum(np.abs(part), np.abs(begin))
                settled = np.abs(step) <= self.relative * size + self.absolute
                small = small & (settled | (size + np.abs(step) * BELOW_ROUNDING == size))
        return [np.where(small, part, np.nan) for part in y]

    def expand(self, graph: Graph, args: Nodes) -> Sequence[int]:
        known = dict(zip(self.parameters, args, strict=True))
        first = [Term(graph, node) for node in graph.copy_from(self.graph, self.start, known)]
        system = linear_system(len(first))

        def newton(y: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any]]:
            at = known | dict(zip(self.unknowns, [part.node for part in y], strict=True))
            equations = tuple(graph.copy_from(self.graph, (*self.slopes, *self.residual), at))
            steps, rest = system.nodes(graph, equations), equations[len(self.slopes) :]
            return [Term(graph, node) for node in steps], [Term(graph, node) for node in rest]

        y, at, change = self.iterate(first, newton, ops.where, ops.le)
        small: Any = None
        for part, step, begin in zip(at, change, first, strict=True):
            size = ops.maximum(ops.abs_(part), ops.abs_(begin))
            step_size = ops.abs_(step)
            settled = ops.le(step_size, size * self.relative + self.absolute)
            settled = ops.logical_or(settled, ops.eq(size + step_size * BELOW_ROUNDING, size))
            small = settled if small is None else ops.logical_and(small, settled)
        nan = graph.constant(float("nan"))
        return [graph.add_node(ops.where, (small.node, part.node, nan)) for part in y]

    def iterate(self, first: Sequence[Any], newton: Newton, where: Any, le: Any) -> tuple[Sequence[Any], ...]:
        """The unknowns after all steps, those before the last step, and the step to these; arrays and Terms alike.

        newton: the step and the equations at some unknowns. where, le: selection and comparison of what these are.
        """
        step, equations = newton(first)
        if not self.damping:
            y, at, before = first, first, first
            for number in range(self.steps):
                if number:
                    before, (step, _) = step, newton(y)
                y, at = [part - change for part, change in zip(y, step, strict=True)], y
            return y, at, before
        # A step is judged whole, at the iterate it starts from: a short one has not settled because it was shortened.
        y, change, length = first, [float("inf")] * len(first), 1.0
        size = squares(equations)
        for _ in range(self.steps - 1):
            trial = [part - length * move for part, move in zip(y, step, strict=True)]
            new, equations = newton(trial)
            new_size = squares(equations)
            better = le(new_size, size)
            y = [where(better, one, other) for one, other in zip(trial, y, strict=True)]
            change = [where(better, one, other) for one, other in zip(step, change, strict=True)]
            step = [where(better, one, other) for one, other in zip(new, step, strict=True)]
            size = where(better, new_size, size)
            length = where(better, shorter(where, le, length * LONGER), length * SHORTER)
        return [part - length * move for part, move in zip(y, step, strict=True)], y, change

    # --- derivatives --------------------------------------------------------------------------------------------------
    def at(self, graph: Graph, args: Nodes, outs: Nodes, nodes: Sequence[int], more: Any = None) -> list[int]:
        """Expressions of the template with arguments and solution put in."""
        mapping = dict(zip((*self.parameters, *self.unknowns), (*args, *outs), strict=True))
        return graph.copy_from(self.graph, nodes, mapping | (more or {}))

    def pull(self, graph: Graph, args: Nodes, outs: Nodes, weights: Weights) -> Sequence[int | None]:
        slopes = self.at(graph, args, outs, self.slopes)
        adjoint = linear_system(self.results, True).solve(graph, slopes, weights)
        seeds = {
            self.graph.variable("adjoint", (row,)): negative(graph, node)
            for row, node in enumerate(adjoint)
            if node is not None and not is_number(graph, node, 0)
        }
        roots = [(self.residual[self.graph.leaves[seed].index[0]], seed) for seed in seeds]
        found = reverse(self.graph, roots, frozenset(self.parameters))
        present = [place for place, parameter in enumerate(self.parameters) if parameter in found]
        nodes = self.at(graph, args, outs, [found[self.parameters[place]] for place in present], seeds)
        result: list[int | None] = [None] * self.arity
        for place, node in zip(present, nodes, strict=True):
            result[place] = node
        return result

    def push(self, graph: Graph, args: Nodes, outs: Nodes, tangents: Weights) -> Sequence[int | None]:
        seeds = {
            self.graph.variable("tangent", (place,)): node for place, node in enumerate(tangents) if node is not None
        }
        given = {self.parameters[self.graph.leaves[seed].index[0]]: seed for seed in seeds}
        found = forward(self.graph, self.graph.reach(self.residual), given)
        rows = [row for row, equation in enumerate(self.residual) if equation in found]
        nodes = self.at(graph, args, outs, [found[self.residual[row]] for row in rows], seeds)
        right: list[int | None] = [None] * self.results
        for row, node in zip(rows, nodes, strict=True):
            right[row] = negative(graph, node)
        return linear_system(self.results).solve(graph, self.at(graph, args, outs, self.slopes), right)


def implicit(
    residual: Function,
    unknowns: Any,
    *,
    start: Any,
    name: str | None = None,
    steps: int = 8,
    tolerance: float = 1e-9,
    absolute: float = 1e-14,
    damping: bool = False,
) -> Function:
    """The function y(x) defined by F(x, y) = 0.

    Parameters
    ----------
    residual : a Function with as many elements as the unknowns together; zero at the solution.
    unknowns : the arguments of it to solve for: a name or symbol, or a list of them.
    start : where Newton's method begins: a number, an array of the unknowns' shape, or an expression of the other
        arguments, given as a SymPy expression, a Function, or a Python function of them by name; for several unknowns a
        list with one of these each. Which of several solutions is found depends on it.
    name : of the result; `<residual>_solution` unless given.
    steps : how many Newton steps are made. Each costs one residual, one Jacobian by the unknowns and one linear system.
    damping : whether a step that makes the sum of squares of the equations larger is taken back and tried at a quarter
        of its length. It finds solutions from poor starts, where plain Newton steps run away, for some comparisons per
        step; give more `steps` with it, since those taken back count. Scale the equations so that they can be added up.
    tolerance, absolute : the last step but one must be at most `tolerance` times what it led to (or the start, if that
        is larger) plus `absolute`, or so small that rounding hides it, or the result is NaN at that point. The last
        step squares that error.

    Returns a Function of the other arguments, in their order. Its shape is that of the unknown; several unknowns are
    flattened into one axis. It differentiates to any order by the implicit function theorem, in kernels as in text.

    Raises ArgumentError for unknowns that are no arguments and for a start that needs them, ShapeError where there are
    not as many equations as unknowns or none depends on one, InputTypeError for a residual that is no Function.
    """
    title = check_name(name or f"{getattr(residual, 'name', 'f')}_solution")
    check_limits(residual, steps, tolerance, absolute, damping)
    chosen = residual._positions(unknowns)
    wanted = [residual.arguments[position] for position in chosen]
    given = tuple(a for position, a in enumerate(residual.arguments) if position not in chosen)
    if not given:
        raise ArgumentError(f"{title}: {residual.name} has no argument besides the unknowns; the solution is a number")
    graph = Graph()
    parameters, targets = ([copied(graph, argument) for argument in part] for part in (given, wanted))
    places = {
        old: new
        for argument, copy in zip((*given, *wanted), (*parameters, *targets), strict=True)
        for old, new in zip(argument.nodes, copy.nodes, strict=True)
    }
    equations = tuple(graph.copy_from(residual.graph, residual.nodes, places))
    y = tuple(node for target in targets for node in target.nodes)
    if len(equations) != len(y):
        raise ShapeError(f"{title}: {residual.name} has {len(equations)} elements for {len(y)} unknowns; give as many")
    x = tuple(node for parameter in parameters for node in parameter.nodes)
    begin = read_start(title, graph, residual, chosen, parameters, targets, start)
    solution = ImplicitSolution(
        title, graph, equations, x, y, begin, (int(steps), float(tolerance), float(absolute)), damping
    )
    check_slopes(title, residual, solution, targets)
    shape = wanted[0].shape if len(wanted) == 1 else (len(y),)
    return as_function(solution, parameters, shape, title)


def as_function(solution: Composite, parameters: Sequence[Argument], shape: tuple[int, ...], name: str) -> Function:
    """A Function whose outputs are the results of a composite operation."""
    graph = Graph()
    arguments = tuple(copied(graph, parameter) for parameter in parameters)
    nodes = solution.nodes(graph, tuple(node for argument in arguments for node in argument.nodes))
    again = PythonSource(Replayed(graph, arguments, nodes, shape))
    return Function.from_definition(Definition(graph, arguments, nodes, shape, again, name))


@dataclass(frozen=True)
class Replayed:
    """What stands for the source of such a function: its graph, run on whatever it is called with."""

    graph: Graph
    arguments: tuple[Argument, ...]
    nodes: Nodes
    shape: tuple[int, ...]

    def __call__(self, *values: Any) -> Any:
        whole: Any = self
        return replay(whole, values)


def copied(graph: Graph, argument: Argument) -> Argument:
    indices = np.ndindex(*argument.shape)
    return Argument(argument.name, argument.shape, tuple(graph.variable(argument.name, index) for index in indices))


# --- reading and checking ---------------------------------------------------------------------------------------------
def check_limits(residual: Any, steps: Any, tolerance: Any, absolute: Any, damping: Any) -> None:
    if not isinstance(residual, Function):
        raise InputTypeError(
            f"implicit needs a Function that is zero at the solution, got {residual!r}; "
            "make one with hybrid.Function(inputs, outputs) or @hybrid.function"
        )
    if isinstance(steps, bool) or not isinstance(steps, int) or not 2 <= steps <= 100:
        raise ArgumentError(f"steps= must be a whole number from 2 to 100, got {steps!r}")
    if not isinstance(damping, bool):
        raise ArgumentError(f"damping= must be True or False, got {damping!r}")
    for label, value in (("tolerance", tolerance), ("absolute", absolute)):
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < 1:
            raise ArgumentError(f"{label}= must be a number from 0 to below 1, got {value!r}")


def check_slopes(title: str, residual: Function, solution: ImplicitSolution, targets: Sequence[Argument]) -> None:
    n = solution.results
    labels = [str(solution.graph.leaves[node]) for target in targets for node in target.nodes]
    present = [not is_number(solution.graph, node, 0) for node in solution.slopes]
    for row in range(n):
        if not any(present[row * n : (row + 1) * n]):
            raise ShapeError(f"{title}: equation {row} of {residual.name} depends on none of {', '.join(labels)}")
    for column, label in enumerate(labels):
        if not any(present[column::n]):
            raise ShapeError(f"{title}: no equation of {residual.name} depends on {label}; nothing determines it")


def read_start(
    title: str,
    graph: Graph,
    residual: Function,
    chosen: Sequence[int],
    parameters: Sequence[Argument],
    targets: Sequence[Argument],
    start: Any,
) -> Nodes:
    """The node of every unknown's start, in terms of the parameters."""
    parts = list(start) if isinstance(start, list | tuple) and len(targets) > 1 else [start]
    if len(parts) != len(targets):
        raise ArgumentError(f"{title}: start= needs one item for each of the {len(targets)} unknowns, got {start!r}")
    nodes: list[int] = []
    for target, part in zip(targets, parts, strict=True):
        nodes += one_start(title, graph, residual, chosen, parameters, target, part)
    return tuple(nodes)


def one_start(
    title: str,
    graph: Graph,
    residual: Function,
    chosen: Sequence[int],
    parameters: Sequence[Argument],
    target: Argument,
    start: Any,
) -> list[int]:
    function = start_function(residual, chosen, parameters, start)
    if function is None:
        values = np.broadcast_to(np.asarray(start, dtype=np.float64), target.shape)
        return [graph.constant(float(value)) for value in values.reshape(-1)]
    shapes = {parameter.name: parameter for parameter in parameters}
    mapping: dict[int, int] = {}
    for argument in function.arguments:
        own = shapes.get(argument.name)
        if own is None or own.shape != argument.shape:
            raise ArgumentError(
                f"{title}: start= takes {argument.name} of shape {argument.shape}, which is none of the arguments "
                f"{', '.join(f'{p.name} {p.shape}' for p in parameters)}"
            )
        mapping.update(zip(argument.nodes, own.nodes, strict=True))
    if len(function.nodes) not in (1, target.size):
        raise ShapeError(f"{title}: start= has shape {function.shape}, but {target.name} has shape {target.shape}")
    nodes = graph.copy_from(function.graph, function.nodes, mapping)
    return nodes if len(nodes) == target.size else nodes * prod(target.shape)


def start_function(
    residual: Function, chosen: Sequence[int], parameters: Sequence[Argument], start: Any
) -> Function | None:
    """A start that depends on the arguments as a Function of them; None for numbers."""
    if isinstance(start, Function):
        return start
    if hasattr(start, "free_symbols"):
        symbols = getattr(residual.source, "symbols", None)
        if symbols is None:
            raise InputTypeError(f"start={start} is a SymPy expression, but {residual.name} is a traced function")
        kept = [
            (argument.name, np.array(own, dtype=object).reshape(argument.shape) if argument.shape else own[0])
            for position, (argument, own) in enumerate(zip(residual.arguments, symbols, strict=True))
            if position not in chosen
        ]
        return Function(kept, start, name="start")
    if callable(start):
        shapes = {parameter.name: parameter.shape for parameter in parameters}
        own: Callable[..., Any] = start
        return Function.from_definition(trace.define(own, shapes, "start"))
    return None
