"""Which entries of an output array are shown, and the LaTeX array they stand in: corners with dots, nested blocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

from hybrid.printing.captions import SWEEPS, Printable, derivation_of
from hybrid.printing.layout import Limit
from hybrid.printing.typeset import Piece

DELIMITERS = {
    "bmatrix": (r"\left[", r"\right]"),
    "pmatrix": (r"\left(", r"\right)"),
    "Bmatrix": (r"\left\{", r"\right\}"),
    "vmatrix": (r"\left|", r"\right|"),
    "Vmatrix": (r"\left\|", r"\right\|"),
    "matrix": (r"\left.", r"\right."),
}
MOST_COLUMNS = 10  # amsmath's matrices take no more; a wider one is an array
NESTED = 6  # rows and columns shown of a block of blocks

Shape = tuple[int, ...]


def pairs(shape: Shape) -> list[Shape]:
    """Axes in twos from the last: each pair is the rows and columns of one level of blocks."""
    start = len(shape) % 2
    return ([shape[:start]] if start else []) + [shape[i : i + 2] for i in range(start, len(shape), 2)]


def levels(function: Printable) -> list[Shape]:
    """Outermost first: blocks by output, then by argument, if the function is a derivative of an array."""
    shape: Shape = tuple(function.shape)
    derivation = derivation_of(function)
    if derivation is None or derivation.kind not in SWEEPS or len(shape) <= 2:
        return pairs(shape)
    outer: Shape = tuple(derivation.of.shape)
    inner = shape[len(outer) :]
    return [*pairs(outer), *pairs(inner)]


def corner(count: int, most: int) -> list[int | None]:
    """Indices shown of an axis; None stands for dots."""
    return list(range(count)) if count <= most else [*range(most - 2), None, count - 1]


@dataclass(frozen=True)
class Blocks:
    """An output array as nested matrices."""

    shapes: tuple[Shape, ...]
    limit: Limit

    @classmethod
    def of(cls, function: Printable, limit: Limit) -> Blocks:
        return cls(tuple(levels(function)), limit)

    @property
    def size(self) -> int:
        return prod(prod(shape) for shape in self.shapes)

    def axes(self, level: int, row: bool = False) -> tuple[list[int | None], list[int | None]]:
        """Rows and columns shown on a level; a vector is a column, or a row if asked."""
        shape = self.shapes[level]
        nested = len(self.shapes) > 1 and self.size > self.limit.rows * self.limit.columns
        most_rows, most_columns = (NESTED, NESTED) if nested else (self.limit.rows, self.limit.columns)
        rows, columns = shape if len(shape) == 2 else (1, shape[0]) if row else (shape[0], 1)
        return corner(rows, most_rows), corner(columns, most_columns)

    def shown(self) -> list[int]:
        """Flat positions of the entries shown, in reading order."""
        positions = [0]
        for level, shape in enumerate(self.shapes):
            rows, columns = self.axes(level)
            width = shape[-1] if len(shape) == 2 else 1
            inside = [r * width + c for r in rows if r is not None for c in columns if c is not None]
            positions = [p * prod(shape) + i for p in positions for i in inside]
        return positions

    def columns(self) -> int:
        """Entries side by side on the page."""
        return prod(len(self.axes(level)[1]) for level in range(len(self.shapes)))

    def set(self, entry: Callable[[int], Piece], matrix: str, row: bool) -> str:
        return self._level(0, 0, entry, matrix, row).full

    def _level(self, level: int, position: int, entry: Callable[[int], Piece], matrix: str, row: bool) -> Piece:
        if level == len(self.shapes):
            return entry(position)
        shape = self.shapes[level]
        size = r" \times ".join(map(str, shape))
        if not prod(shape):
            return Piece(rf"\left[\,\right]_{{{size}}}")
        rows, columns = self.axes(level, row)
        width = 1 if len(shape) == 1 and not row else shape[-1]
        start = position * prod(shape)
        grid = [
            [None if r is None or c is None else self._level(level + 1, start + r * width + c, entry, matrix, row)
             for c in columns]
            for r in rows
        ]  # fmt: skip
        text = environment(grid, matrix)
        cut = None in rows or None in columns
        return Piece(f"{text}_{{{size}}}" if cut else text, tall=True)


def end_of_row(cells: Sequence[Piece | None]) -> str:
    """Room between this row and the next: points for fractions, a low row for blocks, whose depth swallows points."""
    tall = [cell for cell in cells if cell is not None and cell.tall]
    if any(r"\begin{" in cell.text for cell in tall):
        return r" \\ \\[-0.7em] "
    return r" \\[6pt] " if tall else r" \\ "


def environment(grid: Sequence[Sequence[Piece | None]], matrix: str) -> str:
    """A matrix of pieces; None is a place of dots. Rows with fractions get room."""
    middle = next((r for r, row in enumerate(grid) if all(cell is None for cell in row)), None)
    column = next((c for c in range(len(grid[0])) if all(row[c] is None for row in grid)), None)
    lines = []
    for r, row in enumerate(grid):
        cells = [
            cell.full if cell is not None else r"\ddots" if (r, c) == (middle, column) else
            r"\vdots" if r == middle else r"\cdots"
            for c, cell in enumerate(row)
        ]  # fmt: skip
        lines.append(" & ".join(cells) + (end_of_row(row) if r + 1 < len(grid) else ""))
    body = "".join(lines)
    if len(grid[0]) <= MOST_COLUMNS:
        return rf"\begin{{{matrix}}} {body} \end{{{matrix}}}"
    left, right = DELIMITERS[matrix]
    return rf"{left}\begin{{array}}{{{'c' * len(grid[0])}}} {body} \end{{array}}{right}"
