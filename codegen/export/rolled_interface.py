"""What is exported of rolled code: its arguments and results, the blocks between them, and the functions around."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod
from typing import Any

from numpy.typing import NDArray

from codegen.blocks.form import Blocks
from codegen.export.interface import QUERIES, Interface, Pattern, signature
from codegen.export.patterns import runs
from codegen.external import External
from codegen.program import FREE, Array, Program

# Places of a pattern up to which the files have its index tables; of larger ones a function writes them.
LISTED = 4096


@dataclass(frozen=True, eq=False)
class Run:
    """Blocks with their data and index arrays. `places`: which parameter each input and output buffer is."""

    blocks: Blocks
    arrays: Mapping[str, NDArray[Any]]
    places: Mapping[str, int]


@dataclass(frozen=True, eq=False)
class Rolled:
    """Runs of blocks, one after the other, as one function of arrays.

    copies: pairs of parameters, of which the first becomes the same as the second when all has run.
    """

    name: str
    arguments: tuple[Array, ...]
    results: tuple[Array, ...]
    runs: tuple[Run, ...]
    copies: tuple[tuple[int, int], ...] = ()

    @property
    def externals(self) -> tuple[External, ...]:
        """The functions of somebody else's that are called."""
        every = [external for run in self.runs for block in run.blocks.blocks for external in block.body.externals]
        return tuple({external.symbol: external for external in every}.values())

    def exported(self, name: str) -> Rolled:
        """The same under another name, functions of somebody else's as files refer to them."""
        made = []
        for run in self.runs:
            blocks = []
            for block in run.blocks.blocks:
                externals = tuple(external.exported() for external in block.body.externals)
                blocks.append(replace(block, body=replace(block.body, externals=externals)) if externals else block)
            made.append(Run(replace(run.blocks, blocks=tuple(blocks)), run.arrays, run.places))
        return Rolled(name, self.arguments, self.results, tuple(made), self.copies)

    def counts(self) -> Counter[str]:
        """How often each instruction is executed in a call."""
        total: Counter[str] = Counter()
        for run in self.runs:
            for block in run.blocks.blocks:
                instances = prod(axis.value({}) for axis in block.axes)
                for instruction, count in block.body.counts().items():
                    total[instruction] += count * instances
        return total


class Outline(Program):
    """The name, arguments and results of rolled code, as a program without a body."""

    def __init__(self, rolled: Rolled) -> None:
        fields: dict[str, Any] = {"name": rolled.name, "arguments": rolled.arguments, "results": rolled.results}
        fields |= {"externals": rolled.externals, "tally": rolled.counts()}
        for name, value in (fields | {"body": [], "outputs": (), "names": {}}).items():
            object.__setattr__(self, name, value)

    def counts(self) -> Counter[str]:
        tally: Counter[str] = self.__dict__["tally"]
        return tally

    @property
    def operations(self) -> int:
        return sum(count for name, count in self.counts().items() if name not in FREE)


@dataclass(frozen=True)
class RolledInterface(Interface):
    """The functions of rolled code: one point, a batch, the patterns, and what callers may ask."""

    rolled: Rolled = field(kw_only=True)

    def listed(self, pattern: Pattern) -> bool:
        return pattern.nnz <= LISTED

    def prototypes(self) -> dict[str, str]:
        declarations = [parameter.declaration for parameter in self.parameters]
        found = {
            "": signature(f"void {self.name}", declarations),
            "_batch": signature(f"void {self.name}_batch", ["int64_t n", *declarations]),
        }
        for parameter in self.patterns:
            pointers = [f"int32_t *CODEGEN_RESTRICT {lines}" for lines in ("rows", "columns")]
            found[f"_{parameter}_pattern"] = signature(f"void {self.name}_{parameter}_pattern", pointers)
        return found | {suffix: text.format(name=self.name) for suffix, text in QUERIES.items()}

    @cached_property
    def written_patterns(self) -> dict[str, list[int]]:
        """What the functions that write patterns read, by parameter."""
        return {parameter: runs(pattern) for parameter, pattern in self.patterns.items()}
