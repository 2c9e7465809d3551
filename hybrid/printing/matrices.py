"""Which entries of an output array are shown, and the LaTeX array they stand in: corners with dots, nested blocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import prod

import numpy as np

from hybrid.definition import Derivation
from hybrid.printing.captions import SWEEPS, Printable, derivation_of, partial, place, symbol, unravel
from hybrid.printing.layout import Limit, is_zero
from hybrid.printing.naming import LaTeXNames
from hybrid.printing.typeset import Piece
from hybrid.sparsity import Pattern

DELIMITERS = {
    "bmatrix": (r"\left[", r"\right]"),
    "pmatrix": (r"\left(", r"\right)"),
    "Bmatrix": (r"\left\{", r"\right\}"),
    "vmatrix": (r"\left|", r"\right|"),
    "Vmatrix": (r"\left\|", r"\right\|"),
    "matrix": (r"\left.", r"\right."),
    "array": (r"\left[", r"\right]"),
    "smallmatrix": (r"\left[", r"\right]"),
    "cases": (r"\left\{", r"\right."),
}
WRAPPED = ("array", "smallmatrix", "cases")  # between delimiters of our own
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


def same(position: int) -> int:
    return position


def output_of(pattern: Pattern) -> Callable[[int], int | None]:
    """The output at a place of a sparse matrix; of a lower triangle the upper one is its mirror image."""
    width = pattern.shape[1]
    flat = (pattern.rows * width + pattern.columns).tolist()
    known = dict(zip(flat, range(len(flat)), strict=True))
    if pattern.triangle == "full":
        return known.get

    def mirrored(position: int) -> int | None:
        row, column = divmod(position, width)
        return known.get(max(row, column) * width + min(row, column))

    return mirrored


def pattern_of(function: Printable) -> Pattern | None:
    """Where a derivative's entries can be non-zero, one row per output of what it differentiates; else None."""
    derivation = derivation_of(function)
    if derivation is None or derivation.kind not in SWEEPS:
        return None
    if derivation.pattern is not None:
        return derivation.pattern.full()[0]
    present = np.array([not is_zero(function.graph, node) for node in function.nodes], dtype=bool)
    return Pattern.dense(present.reshape(-1, max(derivation.columns, 1)))


def sparse_pattern(function: Printable) -> Pattern | None:
    """The pattern of a derivative whose outputs are the entries that can be non-zero."""
    derivation = derivation_of(function)
    return None if derivation is None else derivation.pattern


def boundaries(function: Printable) -> tuple[frozenset[int], frozenset[int]]:
    """Before which rows and columns of a derivative by several arguments another one begins; scalars stay together."""
    derivation = derivation_of(function)
    none: frozenset[int] = frozenset()
    if derivation is None or derivation.kind not in SWEEPS or len(derivation.wrt) < 2:
        return none, none
    sizes = [derivation.of.arguments[i].size for i in derivation.wrt]
    if max(sizes) < 2 or derivation.of.shape not in ((), derivation.of.shape[:1]):
        return none, none
    ends = frozenset(end for end, pair in zip(accumulate(sizes), pairwise(sizes), strict=False) if max(pair) > 1)
    if derivation.kind == "gradient":
        return ends, none
    return (ends if derivation.kind == "hessian" else none), ends


def shown_bars(axis: Sequence[int | None], bars: frozenset[int]) -> frozenset[int]:
    """The places, among the shown indices, that a bar stands before; of bars among dots the last one is shown."""
    found = set()
    for bar in bars:
        place = next((at for at, index in enumerate(axis) if index is not None and index >= bar), None)
        if place:
            found.add(place)
    return frozenset(found)


def corner(count: int, most: int) -> list[int | None]:
    """Indices shown of an axis; None stands for dots."""
    return list(range(count)) if count <= most else [*range(most - 2), None, count - 1]


@dataclass(frozen=True)
class Blocks:
    """An output array as nested matrices.

    `output` gives the output at a position of the array, None for a place a sparse matrix has no entry at; `bars` say
    before which rows and columns of the innermost matrices another argument begins.
    """

    shapes: tuple[Shape, ...]
    limit: Limit
    output: Callable[[int], int | None] = same
    bars: tuple[frozenset[int], frozenset[int]] = (frozenset(), frozenset())

    @classmethod
    def of(cls, function: Printable, limit: Limit) -> Blocks:
        pattern = sparse_pattern(function)
        if pattern is None:
            return cls(tuple(levels(function)), limit, bars=boundaries(function))
        return cls((pattern.shape,), limit, output_of(pattern), boundaries(function))

    def part(self, rows: range, columns: range) -> Blocks:
        """Some rows and columns of a matrix, as a matrix of its own."""
        width = self.shapes[0][1] if len(self.shapes[0]) == 2 else 1

        def output(position: int) -> int | None:
            row, column = divmod(position, len(columns))
            return self.output(rows[row] * width + columns[column])

        return Blocks(((len(rows), len(columns)),), self.limit, output)

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
        return [output for output in map(self.output, positions) if output is not None]

    def cells(self) -> int:
        """How many places of entries are shown, structural zeros of a sparse matrix included."""
        return prod(sum(i is not None for i in axis) for level in range(len(self.shapes)) for axis in self.axes(level))

    @property
    def cut(self) -> bool:
        """Whether dots stand for a part of the array."""
        return any(None in axis for level in range(len(self.shapes)) for axis in self.axes(level))

    def columns(self) -> int:
        """Entries side by side on the page."""
        return prod(len(self.axes(level)[1]) for level in range(len(self.shapes)))

    def set(self, entry: Callable[[int], Piece], matrix: str, row: bool, zero: str, heads: Heads | None = None) -> str:
        """LaTeX of the array; `heads` label the rows and columns of a single matrix instead of brackets."""

        def place(position: int) -> Piece:
            output = self.output(position)
            return Piece(zero) if output is None else entry(output)

        if heads is not None and len(self.shapes) == 1 and self.size:
            return self._labelled(place, heads)
        return self._level(0, 0, place, matrix, row).full

    def _labelled(self, place: Callable[[int], Piece], heads: Heads) -> str:
        rows, columns = self.axes(0)
        width = self.shapes[0][1] if len(self.shapes[0]) == 2 else 1
        row_bars, column_bars = (shown_bars(axis, bars) for axis, bars in zip((rows, columns), self.bars, strict=True))
        dotted: list[Piece | None] = [None] * len(columns)
        grid = [dotted if r is None else [None if c is None else place(r * width + c) for c in columns] for r in rows]
        head = [r"\cdots" if c is None else heads.column(c) for c in columns]
        lines = [" & ".join(["", *head]).strip() + r" \\ \hline "] if head != [""] else []
        for i, (r, cells) in enumerate(zip(rows, cells_of(grid), strict=True)):
            rule = r"\hline " if i in row_bars else ""
            side = r"\vdots" if r is None else heads.row(r)
            lines.append(f"{rule}{side} & " + " & ".join(cells) + (end_of_row(grid[i]) if i + 1 < len(rows) else ""))
        letters = "".join("|c" if c in column_bars else "c" for c in range(len(columns)))
        return rf"\begin{{array}}{{r|{letters}}} {''.join(lines)} \end{{array}}"

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
        inner = level == len(self.shapes) - 1
        row_bars, column_bars = self.bars if inner and not row else self.bars[::-1] if inner else (frozenset(),) * 2
        text = environment(grid, matrix, shown_bars(rows, row_bars), shown_bars(columns, column_bars))
        cut = None in rows or None in columns
        return Piece(f"{text}_{{{size}}}" if cut else text, tall=True)


def cells_of(grid: Sequence[Sequence[Piece | None]]) -> list[list[str]]:
    """The LaTeX of pieces, and dots in the directions in which they stand for something."""
    middle = next((r for r, row in enumerate(grid) if all(cell is None for cell in row)), None)
    column = next((c for c in range(len(grid[0])) if all(row[c] is None for row in grid)), None)
    return [
        [
            cell.full if cell is not None else r"\ddots" if (r, c) == (middle, column) else
            r"\vdots" if r == middle else r"\cdots"
            for c, cell in enumerate(row)
        ]
        for r, row in enumerate(grid)
    ]  # fmt: skip


def end_of_row(cells: Sequence[Piece | None]) -> str:
    """Room between this row and the next: points for fractions, a low row for blocks, whose depth swallows points."""
    tall = [cell for cell in cells if cell is not None and cell.tall]
    if any(r"\begin{" in cell.text for cell in tall):
        return r" \\ \\[-0.7em] "
    return r" \\[6pt] " if tall else r" \\ "


def environment(
    grid: Sequence[Sequence[Piece | None]],
    matrix: str,
    row_bars: frozenset[int] = frozenset(),
    column_bars: frozenset[int] = frozenset(),
) -> str:
    """A matrix of pieces; None is a place of dots. Rows with fractions get room, bars stand before rows and columns."""
    lines = []
    for r, (row, cells) in enumerate(zip(grid, cells_of(grid), strict=True)):
        rule = r"\hline " if r in row_bars else ""
        lines.append(rule + " & ".join(cells) + (end_of_row(row) if r + 1 < len(grid) else ""))
    body = "".join(lines)
    width = len(grid[0])
    if matrix not in WRAPPED and width <= MOST_COLUMNS and not row_bars and not column_bars:
        return rf"\begin{{{matrix}}} {body} \end{{{matrix}}}"
    left, right = DELIMITERS[matrix]
    if matrix == "smallmatrix" and not row_bars and not column_bars:
        return rf"{left}\begin{{smallmatrix}} {body} \end{{smallmatrix}}{right}"
    letter = "l" if matrix == "cases" else "c"
    columns = "".join(f"|{letter}" if c in column_bars else letter for c in range(width))
    return rf"{left}\begin{{array}}{{{columns}}} {body} \end{{array}}{right}"


# --- labels, and blocks by argument -----------------------------------------------------------------------------------
@dataclass(frozen=True)
class Heads:
    """Labels of the rows and columns of a matrix."""

    row: Callable[[int], str]
    column: Callable[[int], str]

    def part(self, rows: range, columns: range) -> Heads:
        return Heads(lambda r: self.row(rows[r]), lambda c: self.column(columns[c]))


def matrix_heads(function: Printable, names: LaTeXNames) -> Heads | None:
    """Variables along the sides a derivative was made by, outputs along the other; None if it is no matrix of these."""
    derivation = derivation_of(function)
    if derivation is None or derivation.kind not in SWEEPS:
        return None
    of = derivation.of
    if len(of.shape) > 1 or (of.shape and derivation.kind == "hessian"):
        return None
    nodes = [node for i in derivation.wrt for node in of.arguments[i].nodes]

    def variable(i: int) -> str:
        return names.variable(of.graph.leaves[nodes[i]])

    def output(i: int) -> str:
        return f"{symbol(of, names)}_{{{place(unravel(i, of.shape), names)}}}" if of.shape else symbol(of, names)

    if derivation.kind == "gradient":
        return Heads(variable, lambda _: "")
    return Heads(variable if derivation.kind == "hessian" else output, variable)


@dataclass(frozen=True)
class Part:
    """A block of a derivative matrix: its name, where it is, and whether it is set or the transpose of another."""

    name: str
    rows: range
    columns: range
    own: bool
    heads: Heads | None


def derivative_blocks(function: Printable, names: LaTeXNames, labels: bool) -> list[list[Part]] | None:
    """The blocks of a derivative by several arguments, one for each; None where there is nothing to take apart."""
    derivation = derivation_of(function)
    if derivation is None or derivation.kind not in SWEEPS or len(derivation.wrt) < 2:
        return None
    of = derivation.of
    heads = matrix_heads(function, names)
    if heads is None or not all(of.arguments[i].size for i in derivation.wrt):
        return None
    ends = [0, *accumulate(of.arguments[i].size for i in derivation.wrt)]
    spans = [range(a, b) for a, b in pairwise(ends)]
    arguments = [of.arguments[i] for i in derivation.wrt]
    written = [names.argument(a.name, tuple(a.shape)) for a in arguments]

    def made(name: str, rows: range, columns: range, own: bool = True) -> Part:
        return Part(name, rows, columns, own, heads.part(rows, columns) if labels else None)

    partials = [partial(symbol(of, names), [by]) for by in written]
    if derivation.kind == "gradient":
        return [[made(name, span, range(1))] for name, span in zip(partials, spans, strict=True)]
    if derivation.kind == "jacobian":
        outputs = range(prod(of.shape))
        return [[made(name, outputs, span) for name, span in zip(partials, spans, strict=True)]]
    return hessian_blocks(derivation, names, written, spans, made)


def hessian_blocks(
    derivation: Derivation, names: LaTeXNames, written: Sequence[str], spans: Sequence[range], made: Callable[..., Part]
) -> list[list[Part]]:
    lower = derivation.pattern is not None and derivation.pattern.triangle == "lower"
    rows = []
    for i, above in enumerate(written):
        row = []
        for j, beside in enumerate(written):
            own = i == j or (i > j if lower else i < j)
            name = partial(symbol(derivation.of, names), [above, beside] if own else [beside, above])
            scalars = len(spans[i]) == len(spans[j]) == 1
            text = name if own or scalars else rf"\left({name}\right)^{{\mathsf{{T}}}}"
            row.append(made(text, spans[i], spans[j], own))
        rows.append(row)
    return rows
