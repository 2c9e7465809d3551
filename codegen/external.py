"""Functions that a program calls and somebody else has compiled: their names and signatures, in LLVM IR and in C."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

PREFIX = "extern."


@dataclass(frozen=True)
class External:
    """A C function: `double f(double, …)`, or with several results `void f(const double *arguments, double *results)`.

    address: where it is in this process; None if it is only exported. c: how C source spells it: the name of a
    function, or for one result an expression with {0}, {1} … for the arguments. symbol: its linkage name.
    """

    name: str
    arguments: int
    results: int = 1
    address: int | None = None
    c: str | None = None
    symbol: str = ""

    def __post_init__(self) -> None:
        if not (self.name.isidentifier() and self.name.isascii()):
            raise ValueError(f"an external function needs a C identifier as its name, got {self.name!r}")
        if self.arguments < 1 or self.results < 1:
            raise ValueError(f"external {self.name}: {self.arguments} arguments, {self.results} results; at least one")
        if not self.symbol:
            object.__setattr__(self, "symbol", f"hy.extern.{self.name}")

    @property
    def instructions(self) -> list[str]:
        """The names of the instructions that give its results."""
        if self.results == 1:
            return [f"{PREFIX}{self.name}"]
        return [f"{PREFIX}{self.name}.{place}" for place in range(self.results)]

    @property
    def is_expression(self) -> bool:
        return self.c is not None and "{0}" in self.c

    @property
    def c_name(self) -> str:
        return self.c if self.c is not None and re.fullmatch(r"[A-Za-z_]\w*", self.c) else self.name

    def exported(self) -> External:
        """As files refer to it: by its C name."""
        return replace(self, symbol=self.c_name, address=None)

    def declaration(self) -> str:
        parameters = ", ".join(["double"] * self.arguments) if self.results == 1 else "ptr, ptr"
        return f'declare {"double" if self.results == 1 else "void"} @"{self.symbol}"({parameters}) nounwind\n'

    def prototype(self) -> str:
        """Its declaration in C."""
        if self.results > 1:
            return f"extern void {self.c_name}(const double *arguments, double *results);"
        return f"extern double {self.c_name}({', '.join(['double'] * self.arguments)});"


def groups(
    externals: Mapping[str, tuple[External, int]], body: Sequence[tuple[object, ...]]
) -> dict[int, dict[int, int]]:
    """For every instruction that calls an external, the numbers of those that the same call gives, by place."""
    if not externals:
        return {}
    calls: dict[tuple[object, ...], dict[int, int]] = {}
    found: dict[int, dict[int, int]] = {}
    for number, (name, *operands) in enumerate(body):
        entry = externals.get(str(name))
        if entry is not None:
            call = calls.setdefault((entry[0].name, *operands), {})
            call[entry[1]] = number
            found[number] = call
    return found
