"""The C parameters of a program: names that C and C++ accept, and types."""

from __future__ import annotations

import re
from dataclasses import dataclass

from codegen.emit import RESERVED
from codegen.program import Array, Program

C_TYPES = {"float64": "double", "float32": "float"}
# What follows a parameter's name where it is passed with its distances between points and between elements.
STEPS = ("_point", "_element")


@dataclass(frozen=True)
class Parameter:
    """An argument or result as a C parameter."""

    name: str
    array: Array
    is_result: bool
    element: str = "float64"

    @property
    def declaration(self) -> str:
        kind = self.type if self.is_result else f"const {self.type}"
        return f"{kind} *CODEGEN_RESTRICT {self.name}"

    @property
    def type(self) -> str:
        return C_TYPES[self.element]

    @property
    def shape(self) -> str:
        return "".join(f"[{n}]" for n in self.array.shape) or "scalar"


def parameters(program: Program, element: str = "float64") -> list[Parameter]:
    """C parameters in order, arguments first, with names that C accepts and that differ from each other."""
    taken = {
        program.name,
        "n",
        "k",
        "restrict",
        "inline",
        "NAN",
        "INFINITY",
        "NULL",
        "EOF",
        "errno",
        "int64_t",
        "uint64_t",
    } | RESERVED
    result = []
    for arrays, is_result in ((program.arguments, False), (program.results, True)):
        for array in arrays:
            base = re.sub(r"\W", "_", array.name, flags=re.ASCII)
            # Names that start with an underscore or are all capitals may be macros of the C library.
            # Those of the functions' own variables start with codegen_.
            if not base or not base[0].isalpha() or base.lower().startswith("codegen_"):
                base = f"x{base}"
            name, count = base, 0
            while {name, *(f"{name}{step}" for step in STEPS)} & taken:
                count += 1
                name = f"{base}_{count}"
            taken |= {name, *(f"{name}{step}" for step in STEPS)}
            result.append(Parameter(name, array, is_result, element))
    return result
