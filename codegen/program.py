"""The straight-line program that hands a function from the mathematics to the code generator.

A program is plain data. Value number `i` is made by `body[i]`, which reads only earlier values:

    ("load", argument, element)   one element (C order) of one argument, at the current point
    ("const", number)             a float64 constant
    (name, *values)               an instruction of `INSTRUCTIONS`, or of one of the program's `externals`

`outputs[r][e]` is the value stored in element `e` (C order) of result `r`. `names` says what some values are called
where the program is written out; native code ignores it. The body is a template: a kernel maps it over the points of a
batch.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import Any

from codegen.external import External

REAL, MASK = "real", "mask"


@dataclass(frozen=True)
class Instruction:
    """One row of the instruction set: operand kinds, result kind, and what one execution counts as."""

    name: str
    operands: tuple[str, ...]
    result: str = REAL
    operations: int = 1


def _rows(names: str, operands: tuple[str, ...], result: str = REAL) -> dict[str, Instruction]:
    return {name: Instruction(name, operands, result) for name in names.split()}


# `mod` is Python's (sign of the divisor), `fmod` is C's; `rint` rounds half to even; `sign` keeps NaN and gives +0 at
# ±0; `polygamma`'s first operand is its order and must be a constant; minimum and maximum propagate NaN.
INSTRUCTIONS: dict[str, Instruction] = (
    _rows("add sub mul div minimum maximum copysign pow atan2 hypot mod fmod polygamma", (REAL, REAL))
    | _rows("neg abs sign sqrt cbrt floor ceil trunc rint", (REAL,))
    | _rows("exp exp2 expm1 log log2 log10 log1p", (REAL,))
    | _rows("sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh", (REAL,))
    | _rows("erf erfc gamma loggamma digamma", (REAL,))
    | _rows("fma", (REAL, REAL, REAL))
    | _rows("lt le gt ge eq ne", (REAL, REAL), MASK)
    | _rows("and or xor", (MASK, MASK), MASK)
    | _rows("not", (MASK,), MASK)
    | _rows("true false", (), MASK)
    | _rows("select", (MASK, REAL, REAL))
    | _rows("select_mask", (MASK, MASK, MASK), MASK)
)

MAX_OPERANDS = 64  # arguments and results that one NumPy ufunc can have: NPY_MAXARGS of NumPy 2
IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9_]*")  # what a value may be called
FREE = frozenset({"load", "const", "true", "false"})  # what does not count as an operation


@dataclass(frozen=True)
class Array:
    """An argument or a result: its name and its shape per point."""

    name: str
    shape: tuple[int, ...] = ()

    @property
    def size(self) -> int:
        return prod(self.shape)


@dataclass(frozen=True)
class Program:
    """A named straight-line program; see the module docstring for the meaning of `body` and `outputs`.

    Raises ValueError when an instruction is unknown, reads a later value, mixes numbers and masks, an output has
    the wrong number of elements, or `names` holds no identifiers, one twice, or that of no value.
    """

    name: str
    arguments: tuple[Array, ...]
    results: tuple[Array, ...]
    body: list[tuple[Any, ...]] = field(repr=False)
    outputs: tuple[tuple[int, ...], ...] = field(repr=False)
    externals: tuple[External, ...] = ()
    names: Mapping[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        kinds: list[str] = []
        for number, instruction in enumerate(self.body):
            row = INSTRUCTIONS.get(instruction[0])
            # The usual case in few steps: programs may have millions of instructions.
            if row is not None and len(instruction) == len(row.operands) + 1:
                for operand, kind in zip(instruction[1:], row.operands, strict=True):
                    if not 0 <= operand < number or kinds[operand] != kind:
                        break
                else:
                    kinds.append(row.result)
                    continue
            name, *operands = instruction
            kinds.append(self._kind(number, name, operands, kinds))
        for result, values in zip(self.results, self.outputs, strict=True):
            if len(values) != result.size:
                raise ValueError(f"{self.name}: result {result.name} of shape {result.shape} got {len(values)} values")
            for value in values:
                if not 0 <= value < len(kinds) or kinds[value] != REAL:
                    raise ValueError(f"{self.name}: result {result.name} stores %{value}, which is not a number")
        for value, called in self.names.items():
            if not (0 <= value < len(kinds) and IDENTIFIER.fullmatch(called)):
                raise ValueError(f"{self.name}: name {called!r} of %{value} is no identifier, or that of no value")
        if len(set(self.names.values())) < len(self.names):
            raise ValueError(f"{self.name}: two values have the same name; give each its own")

    def _kind(self, number: int, name: str, operands: list[Any], kinds: list[str]) -> str:
        if name == "const":
            return REAL
        if name == "load":
            argument, element = operands
            if not (0 <= argument < len(self.arguments) and 0 <= element < self.arguments[argument].size):
                raise ValueError(f"{self.name}: %{number} loads element {element} of argument {argument}")
            return REAL
        row = self.row(name)
        if row is None:
            raise ValueError(
                f"{self.name}: %{number} has unknown instruction {name!r}; known: {', '.join(INSTRUCTIONS)}"
            )
        if len(operands) != len(row.operands):
            raise ValueError(f"{self.name}: %{number} {name} takes {len(row.operands)} operands, got {len(operands)}")
        for operand, kind in zip(operands, row.operands, strict=True):
            if not 0 <= operand < number or kinds[operand] != kind:
                raise ValueError(f"{self.name}: %{number} {name} reads %{operand}, which is no earlier {kind} value")
        return row.result

    def row(self, name: str) -> Instruction | None:
        """The instruction of that name."""
        row = INSTRUCTIONS.get(name)
        if row is None and (entry := self.calls.get(name)) is not None:
            return Instruction(name, (REAL,) * entry[0].arguments)
        return row

    @cached_property
    def calls(self) -> dict[str, tuple[External, int]]:
        """The external and the place of its result, by instruction."""
        found: dict[str, tuple[External, int]] = {}
        for external in self.externals:
            for place, name in enumerate(external.instructions):
                if found.setdefault(name, (external, place))[0] != external:
                    raise ValueError(f"{self.name}: two external functions are called {external.name!r}; rename one")
        return found

    def rewritten(
        self, body: list[tuple[Any, ...]], outputs: tuple[tuple[int, ...], ...], names: Mapping[int, str] | None = None
    ) -> Program:
        """The program with another body, as a pass makes it: not validated, which takes longer than most passes."""
        program = object.__new__(Program)
        fields = {"name": self.name, "arguments": self.arguments, "results": self.results, "externals": self.externals}
        for name, value in (fields | {"body": body, "outputs": outputs, "names": names or {}}).items():
            object.__setattr__(program, name, value)
        return program

    @property
    def operations(self) -> int:
        """Instructions executed per point; loads, constants and stores are free, every other instruction is one."""
        return sum(count for name, count in self.counts().items() if name not in FREE)

    def counts(self) -> Counter[str]:
        """How often each instruction occurs."""
        return Counter(instruction[0] for instruction in self.body)

    def __str__(self) -> str:
        arguments = ", ".join(f"{a.name}{list(a.shape)}" if a.shape else a.name for a in self.arguments)
        lines = [f"program {self.name}({arguments})"]
        for number, (name, *operands) in enumerate(self.body):
            if name == "load":
                text = f"{self.arguments[operands[0]].name}[{operands[1]}]"
            elif name == "const":
                text = repr(operands[0])
            else:
                text = f"{name} " + ", ".join(f"%{operand}" for operand in operands)
            called = f"  # {self.names[number]}" if number in self.names else ""
            lines.append(f"  %{number} = {text}{called}")
        for result, values in zip(self.results, self.outputs, strict=True):
            lines.append(f"  {result.name}{list(result.shape)} <- " + ", ".join(f"%{value}" for value in values))
        return "\n".join(lines)
