"""The data of a rolled function, without what can be done with it: what compiling and checking read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from hybrid.definition import Formula, PythonSource
from hybrid.errors import UnsupportedError
from hybrid.rolled.maps import Shape
from hybrid.rolled.model import Model
from hybrid.sparsity import Pattern
from hybrid.trace import read_signature


@dataclass(frozen=True)
class RolledArgument:
    """An argument of a rolled function: its name, its shape, and its buffer."""

    name: str
    shape: Shape
    buffer: int

    @property
    def size(self) -> int:
        return prod(self.shape)

    @property
    def nodes(self) -> tuple[int, ...]:
        raise UnsupportedError(
            f"{self.name} is an argument of a rolled function, whose elements are no expressions of their own: for "
            f"what needs those, trace the function with hybrid.function(rolled=False, ...)"
        )


@dataclass(frozen=True)
class Origin:
    """How a rolled function was derived: `kind` of derivative of `of`, by the arguments at positions `wrt`."""

    kind: str
    of: RolledFormula
    wrt: tuple[int, ...]
    method: str
    why: str = ""


class RolledFormula(Formula):
    """A model, the buffers of its arguments, and the buffer of its output."""

    rolled = True
    model: Model
    output: int
    origin: Origin | None
    fixed_pattern: Pattern | None
    flat: Formula | None = None  # the function, written out, that it was found in

    @property
    def rolled_arguments(self) -> tuple[RolledArgument, ...]:
        return self.arguments  # type: ignore[return-value]  # these have no node for each element

    def by_source(self, values: Sequence[Any]) -> Any:
        """The user's own code, run on values of any kind."""
        if not isinstance(self.source, PythonSource):
            raise UnsupportedError(
                f"{self.name} was made from SymPy expressions: it takes numbers here, not {values!r}"
            )
        shapes = {argument.name: argument.shape for argument in self.arguments}
        _, call = read_signature(self.source.function, shapes, self.name)
        return call({argument.name: value for argument, value in zip(self.arguments, values, strict=True)})
