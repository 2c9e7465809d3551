"""What every kind of kernel has: the functions, their program, what it costs, and how it is shown."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import codegen
from codegen.program import Array
from hybrid.deferred import Deferred
from hybrid.definition import Argument, Formula
from hybrid.together import Parts, as_compiled, operations_shared

if TYPE_CHECKING:
    from hybrid.certificate import Certificate

notebook = Deferred("hybrid.printing.notebook")
several = Deferred("hybrid.printing.several")


@dataclass(frozen=True, eq=False, repr=False)
class CompiledFunctions(ABC):
    """Functions compiled together. `seconds` is the time each stage took, `parts` the graph that was compiled."""

    formulas: tuple[Formula, ...]
    arguments: tuple[Argument, ...]
    program: codegen.Program
    seconds: dict[str, float]
    parts: Parts

    @property
    @abstractmethod
    def certificate(self) -> Certificate | None:
        """How well the kernel agrees with the numeric tape; None of one that was not checked."""

    @property
    def name(self) -> str:
        return self.program.name

    @property
    def operations(self) -> int:
        """Operations per point for all results together; `operations_before` counts them before simplification."""
        return self.program.operations

    @cached_property
    def operations_before(self) -> int:
        """Operations per point of the functions as they stand, common subexpressions shared."""
        return operations_shared(self.formulas)

    @abstractmethod
    def ir(self) -> str:
        """The LLVM IR of the kernel, before LLVM's own passes."""

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: Any) -> Self:
        return self

    def __repr__(self) -> str:
        results = [f"{kind} of {with_shape(r)}" if kind else with_shape(r) for kind, r in self._results()]
        unit = " a row" if any(kind for kind, _ in self._results()) else ""
        checked = "unchecked" if self.certificate is None else "verified"
        return (
            f"<{type(self).__name__} {self.name}({', '.join(map(with_shape, self.arguments))}) -> "
            f"{', '.join(results)}: {self.operations} operations{unit}, {checked}>"
        )

    def latex(self, **options: Any) -> str:
        """LaTeX of what the kernel computes: the simplified functions, and their common parts named once.

        The names are those in exported C. The options are those of `hybrid.printing.several.latex_together`.
        """
        with self.parts[0].lock:
            text: str = several.latex_together(as_compiled(self.formulas, self.parts), **options)
        return text

    def _repr_html_(self) -> str:
        markup: str = notebook.kernel_html(self)
        return markup

    def _repr_latex_(self) -> str:
        text: str = notebook.kernel_latex(self.formulas)
        return text

    def _results(self) -> list[tuple[str, Array]]:
        """The results, each with what reduces it over the batch, if anything does."""
        return [("", result) for result in self.program.results]


def with_shape(item: Argument | Array) -> str:
    return f"{item.name}{list(item.shape)}" if item.shape else item.name
