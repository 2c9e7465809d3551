"""What a sheet tells about a function: its derivatives, their kernel, and how they were made."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from hybrid import trace
from hybrid.certificate import Certificate
from hybrid.choice import Explanation
from hybrid.compiling import compile
from hybrid.cost import graph_cost
from hybrid.definition import PythonSource
from hybrid.errors import UnsupportedError
from hybrid.function import Function
from hybrid.kernel import Kernel
from hybrid.report.labels import Label, element_labels, output_labels
from hybrid.rolled.function import RolledFunction
from hybrid.sparsity import Pattern
from hybrid.together import LARGEST_FULL

DENSE = 40  # variables up to which the Hessian of a scalar is a dense matrix
MOST_ENTRIES = 4_000  # of a dense Jacobian, and of the Hessians of several outputs
MOST_ELEMENTS = 30_000  # inputs and outputs of a function
MOST_HESSIAN = 150_000  # operations of a Hessian that is compiled
SIMPLIFIED = 5_000  # operations up to which a derivative is simplified before it is printed
SMALL = 20_000  # operations of a kernel up to which its parts are counted
TRIED = 1_000  # operations up to which all methods are tried and told


@dataclass(frozen=True, eq=False)
class Study:
    """A function with its first and second derivative, compiled together.

    `second` is None where there are too many second derivatives to be of use on a page; `notes` says so.
    """

    function: Function
    first: Function
    second: Function | None
    kernel: Kernel
    explanations: tuple[Explanation, ...]
    notes: tuple[str, ...]

    @property
    def formulas(self) -> list[Function]:
        """The function and its derivatives, in the order of the kernel's results."""
        return [self.function, self.first, *([] if self.second is None else [self.second])]

    @property
    def certificate(self) -> Certificate:
        assert self.kernel.certificate is not None  # compiled with the check
        return self.kernel.certificate

    @cached_property
    def inputs(self) -> list[Label]:
        """One label per element of the kernel's arguments."""
        return [found for argument in self.kernel.arguments for found in element_labels(argument)]

    @cached_property
    def variables(self) -> list[int]:
        """The inputs that are differentiated by."""
        assert self.first.derivation is not None
        starts = np.cumsum([0, *(argument.size for argument in self.function.arguments)])
        return [i for position in self.first.derivation.wrt for i in range(starts[position], starts[position + 1])]

    @cached_property
    def outputs(self) -> list[Label]:
        return output_labels(self.function.name, self.function.shape)

    @property
    def is_small(self) -> bool:
        """Whether counting and printing everything takes little time."""
        return self.operations <= SMALL

    @cached_property
    def operations(self) -> int:
        """Of the kernel, for everything together."""
        return self.kernel.operations

    @cached_property
    def operations_before(self) -> int | None:
        """Of the formulas as derived, common parts shared; None where counting takes long."""
        return self.kernel.operations_before if self.is_small else None

    @property
    def untold(self) -> list[tuple[str, str]]:
        """The derivatives that are too large to try every method on, and the method each was made by."""
        told = {explanation.name for explanation in self.explanations}
        made = [formula for formula in self.kernel.formulas[1:] if formula.name not in told]
        return [(f.name, f.derivation.method) for f in made if f.derivation is not None and f.derivation.method]

    def printed(self) -> list[Function]:
        """The formulas as they are set: derivatives simplified, where that takes little time."""
        return [self.function, *(shortest(derived) for derived in self.formulas[1:])]


def study(function: Function, wrt: Any = None) -> Study:
    """Derive, compile and check; `wrt` as for `Function.jacobian`."""
    notes: list[str] = []
    function = unrolled(function)
    scalar = function.shape == ()
    first = function.gradient(wrt) if scalar else function.jacobian(wrt)
    if not scalar and len(first.nodes) > MOST_ENTRIES:
        first = function.jacobian(wrt, sparse=True)
    second = second_derivative(function, wrt, notes)
    formulas = [function, first] if second is None else [function, first, second]
    nodes = sum(len(formula.graph.reach(formula.nodes)) for formula in formulas)
    kernel = compile(*formulas, name=function.name, tier="quick" if nodes > LARGEST_FULL else "auto")  # never rolled
    explanations = [told for derived in formulas[1:] if (told := explained(derived)) is not None]
    return Study(function, first, second, kernel, tuple(explanations), tuple(notes))


def unrolled(function: Function) -> Function:
    """The function with every element an expression of its own: a rolled one is traced again.

    Raises UnsupportedError for a rolled derivative, and for what is too large to be unrolled.
    """
    if not isinstance(function, RolledFunction):
        return function
    size = function.size + sum(argument.size for argument in function.arguments)
    if function.origin is not None or size > MOST_ELEMENTS:
        raise UnsupportedError(
            f"the sheet of {function.name} would need each of its {size:,} elements as an expression: it shows "
            f"functions, not rolled derivatives, of up to {MOST_ELEMENTS:,} elements; take one with smaller arrays"
        )
    shapes = {argument.name: argument.shape for argument in function.arguments}
    source = function.source
    if not isinstance(source, PythonSource):
        raise UnsupportedError(
            f"the sheet of {function.name}: it was made of an expression; give that function instead"
        )
    body = source.function
    return Function.from_definition(trace.define(body, shapes, function.name))


def second_derivative(function: Function, wrt: Any, notes: list[str]) -> Function | None:
    """The Hessian as far as it fits on a page."""
    count = sum(function.arguments[position].size for position in function._positions(wrt))
    if function.shape != () and function.size * count**2 > MOST_ENTRIES:
        notes.append(
            f"The second derivatives of {function.size:,} outputs by {count:,} variables are left out: "
            f"{function.size * count**2:,} numbers. Take the Hessian of one output, or of a sum of them."
        )
        return None
    try:
        second = function.hessian(wrt, sparse=function.shape == () and count > DENSE)
    except UnsupportedError as error:
        notes.append(f"There is no second derivative: {error}")
        return None
    cost = graph_cost(second.graph, second.nodes)
    if cost > MOST_HESSIAN:
        notes.append(f"The Hessian takes {cost:,} operations and is left out; a Hessian–vector product takes fewer.")
        return None
    return second


def explained(derived: Function) -> Explanation | None:
    """How a derivative was made; None where nothing was tried, or its parts cannot be counted alone."""
    if graph_cost(derived.graph, derived.nodes) > TRIED:
        return None
    try:
        return derived.explain()
    except UnsupportedError:
        return None


def shortest(derived: Function) -> Function:
    return derived.simplify() if graph_cost(derived.graph, derived.nodes) <= SIMPLIFIED else derived


def hessian_pattern(second: Function) -> Pattern:
    """Where the Hessian of any output can be non-zero."""
    pattern = second.pattern
    assert second.derivation is not None
    columns = second.derivation.columns
    return Pattern.of(zip((pattern.rows % columns).tolist(), pattern.columns.tolist(), strict=True), (columns, columns))


def ratio(operations: int, base: int) -> str:
    """How many times the operations of the function."""
    return f"{operations / base:.2g}×" if base else "–"


def costs(study: Study) -> list[tuple[str, int, str]]:
    """Name, operations as derived, and times those of the function, for each formula by itself.

    Of a large kernel, for the function only: counting takes as long as making code.
    """
    counted = study.formulas if study.is_small else study.formulas[:1]
    counts = [formula.operations() for formula in counted]
    return [(f.name, count, ratio(count, counts[0])) for f, count in zip(counted, counts, strict=True)]
