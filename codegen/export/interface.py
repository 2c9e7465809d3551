"""The functions of an exported file and what they expect: one description for header, C source, IR and manifest.

`docs/abi.md` is the same in words. Whoever changes what callers rely on raises `ABI_VERSION`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

from codegen.export.parameters import STEPS, Parameter, parameters
from codegen.program import Program

# Raised when what the functions expect from their callers changes.
ABI_VERSION = 1
# Reductions of the rows of a call to one; of a mean, the sum is divided by the number of rows.
REDUCTIONS = ("sum", "mean", "max", "logsumexp")


@dataclass(frozen=True)
class Pattern:
    """Where the elements of a result of shape (nnz,) stand in a matrix: sorted by row, then by column.

    Raises ValueError for places outside the shape, out of order, or twice.
    """

    shape: tuple[int, int]
    rows: tuple[int, ...]
    columns: tuple[int, ...]
    triangle: str = "full"

    def __post_init__(self) -> None:
        places = list(zip(self.rows, self.columns, strict=True))
        inside = all(0 <= row < self.shape[0] and 0 <= column < self.shape[1] for row, column in places)
        if not inside or any(a >= b for a, b in pairwise(places)):
            raise ValueError(f"a pattern of shape {self.shape} needs places inside it, by row and then by column")
        if max(self.shape, default=0) >= 1 << 31 or len(places) >= 1 << 31:
            raise ValueError(f"a pattern of shape {self.shape} with {len(places)} places is beyond 32-bit indices")

    @property
    def nnz(self) -> int:
        return len(self.rows)

    @cached_property
    def row_starts(self) -> tuple[int, ...]:
        """Of compressed rows: row k has the values from the k-th to the (k + 1)-th."""
        return _starts(self.rows, self.shape[0])

    @cached_property
    def by_column(self) -> tuple[int, ...]:
        """Numbers of the values in the order of compressed columns."""
        return tuple(sorted(range(self.nnz), key=lambda k: (self.columns[k], self.rows[k])))

    @cached_property
    def column_starts(self) -> tuple[int, ...]:
        return _starts(self.columns, self.shape[1])

    def tables(self) -> dict[str, tuple[int, ...]]:
        """The index tables of an exported file, by name."""
        return {
            "rows": self.rows,
            "columns": self.columns,
            "row_starts": self.row_starts,
            "column_starts": self.column_starts,
            "by_column": self.by_column,
            "by_column_rows": tuple(self.rows[k] for k in self.by_column),
        }


def _starts(lines: Sequence[int], count: int) -> tuple[int, ...]:
    counts = [0] * (count + 1)
    for line in lines:
        counts[line + 1] += 1
    for k in range(count):
        counts[k + 1] += counts[k]
    return tuple(counts)


@dataclass(frozen=True)
class Reduction:
    """That results are reduced over the rows of a call: by one of `REDUCTIONS` each; shared arguments are one row."""

    kinds: tuple[str, ...]
    shared: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        for kind in self.kinds:
            if kind not in REDUCTIONS:
                raise ValueError(f"a reduction must be one of {', '.join(REDUCTIONS)}, got {kind!r}")


@dataclass(frozen=True)
class Interface:
    """The functions and tables of one export. `element` is the type of all numbers."""

    program: Program
    element: str = "float64"
    sparsity: Mapping[str, Pattern] = field(default_factory=dict)
    reduction: Reduction | None = None

    def __post_init__(self) -> None:
        sizes = {result.name: result.size for result in self.program.results}
        for name, pattern in self.sparsity.items():
            if sizes.get(name) != pattern.nnz:
                raise ValueError(
                    f"{self.program.name}: a pattern of {pattern.nnz} places for {name!r}, of size {sizes.get(name)}"
                )
        if self.reduction is not None and len(self.reduction.kinds) != len(self.program.results):
            raise ValueError(f"{self.program.name}: {len(self.reduction.kinds)} reductions of {len(sizes)} results")

    @property
    def name(self) -> str:
        return self.program.name

    def listed(self, pattern: Pattern) -> bool:
        """Whether the places of a pattern stand in index tables."""
        return True

    @cached_property
    def parameters(self) -> list[Parameter]:
        return parameters(self.program, self.element)

    @cached_property
    def patterns(self) -> dict[str, Pattern]:
        """Patterns by C parameter, in order."""
        return {
            p.name: self.sparsity[p.array.name]
            for p in self.parameters
            if p.is_result and p.array.name in self.sparsity
        }

    def prototypes(self) -> dict[str, str]:
        """The functions in order: what follows the prefix, and the C prototype without its semicolon."""
        declarations = [parameter.declaration for parameter in self.parameters]
        strided = [
            ", ".join([parameter.declaration, *(f"int64_t {parameter.name}{step}" for step in STEPS)])
            for parameter in self.parameters
        ]
        found = {
            "": signature(f"void {self.name}", declarations),
            "_batch": signature(f"void {self.name}_batch", ["int64_t n", *declarations]),
            "_strided": signature(f"void {self.name}_strided", ["int64_t n", *strided]),
            "_loop": f"void {self.name}_loop(char **args, const int64_t *dimensions, const int64_t *steps, void *data)",
        }
        if self.reduction is not None:
            found["_reduce"] = signature(f"void {self.name}_reduce", ["int64_t n", *declarations])
        for suffix, prototype in QUERIES.items():
            found[suffix] = prototype.format(name=self.name)
        return found

    def prototypes_on_one_line(self) -> dict[str, str]:
        """The functions by symbol, with C prototypes that need nothing of the header."""
        plain = {
            suffix: " ".join(text.replace("CODEGEN_RESTRICT ", "").split())
            for suffix, text in self.prototypes().items()
        }
        return {f"{self.name}{suffix}": text.replace("( ", "(") for suffix, text in plain.items()}

    @property
    def functions(self) -> list[str]:
        """The symbols of the functions, in order."""
        return [f"{self.name}{suffix}" for suffix in self.prototypes()]

    @cached_property
    def tables(self) -> dict[str, tuple[int, ...]]:
        """The index tables of sparse results, 32-bit integers, by symbol."""
        return {
            f"{self.name}_{parameter}_{table}": values
            for parameter, pattern in self.patterns.items()
            if self.listed(pattern)
            for table, values in pattern.tables().items()
        }

    # --- what the query functions tell --------------------------------------------------------------------------------
    def shapes(self) -> list[list[int]]:
        """Per parameter: its rank, then its extents."""
        return [[len(parameter.array.shape), *parameter.array.shape] for parameter in self.parameters]

    def sparsities(self) -> list[list[int]]:
        """Per parameter: rows, columns, number of values, then the row and the column of each; nothing if dense."""
        found = []
        for parameter in self.parameters:
            pattern = self.patterns.get(parameter.name) if parameter.is_result else None
            listed = pattern is not None and self.listed(pattern)
            found.append(
                [] if pattern is None or not listed else [*pattern.shape, pattern.nnz, *pattern.rows, *pattern.columns]
            )
        return found


# The query functions, by what follows the prefix.
QUERIES = {
    "_abi_version": "int64_t {name}_abi_version(void)",
    "_version": "const char *{name}_version(void)",
    "_arguments": "int64_t {name}_arguments(void)",
    "_results": "int64_t {name}_results(void)",
    "_parameter": "const char *{name}_parameter(int64_t k)",
    "_shape": "const int64_t *{name}_shape(int64_t k)",
    "_sparsity": "const int64_t *{name}_sparsity(int64_t k)",
}


def signature(head: str, declarations: Sequence[str]) -> str:
    inside = ",\n    ".join(declarations)
    return f"{head}(\n    {inside})" if inside else f"{head}(void)"
