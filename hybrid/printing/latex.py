r"""LaTeX of functions and their derivative matrices.

`latex(f)` gives a string for mathematics mode: the left-hand side (f(x, y), \nabla f, J_f, \nabla^2 f), the expression
or matrix, and repeated parts named once below. The stages: which entries are shown (matrices.py), what is named and
which shape each expression has (layout.py), how it is set (typeset.py, latex_notation.py, naming.py), what stands on
the left (captions.py); the lines are put together here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hybrid import operations as ops
from hybrid.errors import ArgumentError
from hybrid.graph import Graph
from hybrid.operations import CONSTANT, NamedConstant
from hybrid.printing.captions import Printable, ancestry, entry_name, fraction_of_partials, signature, unravel
from hybrid.printing.forms import exact
from hybrid.printing.latex_notation import NUMBER_FORMATS, LaTeX, NumberFormat, as_fraction, thousands, visible_length
from hybrid.printing.layout import UNLIMITED, Layout, Limit, is_zero
from hybrid.printing.matrices import (
    DELIMITERS,
    Blocks,
    Heads,
    derivative_blocks,
    environment,
    matrix_heads,
    pattern_of,
    sparse_pattern,
)
from hybrid.printing.naming import LaTeXNames
from hybrid.printing.pictures import rules
from hybrid.printing.text import text
from hybrid.printing.typeset import Level, Piece, Typesetter

__all__ = ["Limit", "latex", "text"]

PAGE = 100  # symbols on a line: an entry of a matrix with n columns that is wider than PAGE/n gets a name
SHORT_DEFINITION = 44  # symbols; shorter ones share a line
DEFAULT_LIMIT = Limit()


STYLES = ("plain", "equation", "equation*", "align", "align*")
NUMBERED = ("equation", "align")


@dataclass(frozen=True)
class Setting:
    """How matrices are set: see the options of `latex`."""

    matrix: str
    row: bool
    zero: str
    labels: bool


@dataclass(frozen=True)
class Line:
    """An equation: left side (may be empty), and the right side in the parts between which it may break."""

    left: str
    right: tuple[str, ...]


def latex(
    function: Printable,
    *,
    lhs: bool | str = True,
    matrix: str = "bmatrix",
    form: str = "matrix",
    labels: bool = False,
    picture: bool | str = "auto",
    gradient: str = "column",
    symbol_names: Mapping[Any, str] | None = None,
    first_index: int = 1,
    style: str = "plain",
    label: str | None = None,
    number_format: NumberFormat = None,
    where: bool | str = "auto",
    width: int | None = 100,
    zero: str = "auto",
    limit: Limit | None = DEFAULT_LIMIT,
) -> str:
    r"""LaTeX of a function.

    lhs: True writes f(x, y), \nabla f, J_f or \nabla^2 f with arguments; "partial" writes a derivative as
        \partial (f_1, …) / \partial (x_1, …); False writes none; any other text is taken as it is.
    matrix: "bmatrix", "pmatrix", "Bmatrix", "vmatrix", "Vmatrix", "matrix"; "array" in brackets, "smallmatrix" for
        text, or "cases", with a brace on the left. Bars separate the parts that belong to different array arguments.
    form: "matrix"; "blocks", a derivative by several arguments as a matrix of partial derivatives, such as
        \partial f / \partial q, which are set one by one; or "entries": one equation per entry that is not a
        structural zero, named \partial f_i / \partial x_j.
    labels: a row of the variables above a matrix and a column of the outputs, or variables, beside it.
    picture: a picture of where entries can be non-zero, of rules; "auto" where a sparse matrix is shown in part.
    gradient: a vector is set as a "column" or a "row".
    symbol_names: LaTeX for names, elements ("q[0]") or SymPy symbols, taken as it is.
    first_index: what the first element of an array is called; 1, as in mathematics.
    style: "plain" (for use between dollars), a numbered "equation" or "align", which may have a `label`, or one of
        these without a number, "equation*" or "align*".
    number_format: digits for floats; "scientific" or "engineering" for a power of ten; "rational" for the simplest
        fraction that is the same float; or a function from a non-negative float to LaTeX. None prints the shortest
        decimal that reads back as the same float.
    where: "auto" names repeated parts where that shortens the whole, True names all that are not short, False none.
    width: symbols on a line before a sum breaks; None never breaks.
    zero: LaTeX of structural zeros in matrices; "auto" is 0, or a dot in a large sparse matrix.
    limit: how much is shown before parts are left out and counted; None shows everything.

    Raises ArgumentError for an option outside these.
    """
    check_choice("matrix", matrix, DELIMITERS)
    check_choice("form", form, ("matrix", "blocks", "entries"))
    check_choice("gradient", gradient, ("column", "row"))
    check_choice("style", style, STYLES)
    check_choice("where", where, (True, False, "auto"))
    check_choice("picture", picture, (True, False, "auto"))
    check_number_format(number_format)
    if matrix == "cases" and len(function.shape) != 1:
        raise ArgumentError(f'matrix="cases" is for vectors; {function.name} has shape {tuple(function.shape)}')
    if label is not None and style not in NUMBERED:
        raise ArgumentError(f'label is {label!r} without a numbered style: add style="equation" or style="align"')
    writer = Writer(function, symbol_names, first_index, number_format, where, limit or UNLIMITED)
    writer.look_at(form, labels)
    setting = Setting(matrix, gradient == "row", zero, labels)
    if form == "entries":
        lines = writer.entries()
    elif form == "blocks":
        lines = writer.by_argument(lhs, setting)
    else:
        lines = [writer.equation(lhs, setting)]
    definitions = writer.definitions()
    return assemble(lines, definitions, writer.notes(definitions, picture), style, label, width)


def check_number_format(value: object) -> None:
    if callable(value) or value is None or value in NUMBER_FORMATS or (type(value) is int and value > 0):
        return
    raise ArgumentError(
        f"number_format is {value!r}: expected a positive number of digits, "
        f"{', '.join(map(repr, NUMBER_FORMATS))}, or a function from a float to LaTeX"
    )


def check_choice(option: str, value: object, allowed: Iterable[object]) -> None:
    if not any(type(value) is type(choice) and value == choice for choice in allowed):
        choices = ", ".join(map(repr, allowed))
        raise ArgumentError(f"{option} is {value!r}: expected one of {choices}")


class Writer:
    """One function being printed."""

    def __init__(
        self,
        function: Printable,
        symbol_names: Mapping[Any, str] | None,
        first_index: int,
        number_format: NumberFormat,
        where: bool | str,
        limit: Limit,
    ) -> None:
        self.function = function
        self.graph = function.graph
        self.limit = limit
        self.number_format = number_format
        self.where = where
        self.blocks = Blocks.of(function, limit)
        arguments = [(argument.name, tuple(argument.shape)) for argument in function.arguments]
        constants = constants_used(self.graph, self.graph.reach(function.nodes))
        self.names = LaTeXNames(arguments, symbol_names, first_index, constants, [ancestry(function)[-1].name])

    def look_at(self, form: str, labels: bool) -> None:
        """Decides which entries are shown, in which matrices, and lays these out."""
        self.parts = derivative_blocks(self.function, self.names, labels) if form == "blocks" else None
        matrices = [self.blocks]
        if self.parts is not None:
            matrices = [self.blocks.part(part.rows, part.columns) for row in self.parts for part in row if part.own]
        if form == "entries" and sparse_pattern(self.function) is not None:  # not by way of all places of the matrix
            self.shown = list(range(min(len(self.function.nodes), self.limit.rows * self.limit.columns)))
        else:
            self.shown = list(dict.fromkeys(output for matrix in matrices for output in matrix.shown()))
        wide = max((matrix.columns() for matrix in matrices), default=1)
        longest = max(12, PAGE // wide) if self.function.shape and form != "entries" else None
        roots = [self.function.nodes[i] for i in self.shown]
        number = as_fraction if self.number_format == "rational" else exact
        self.layout = Layout(self.graph, roots, self.where, self.limit, longest, number)
        self.typesetter = Typesetter(self.layout, LaTeX(self.names, self.number_format))

    def equation(self, lhs: bool | str, setting: Setting) -> Line:
        left = self._left(lhs)
        if not self.function.shape:
            return Line(left, right_side(self.typesetter.entry(self.function.nodes[0])))
        return Line(left, (self._matrix(self.blocks, setting),))

    def _matrix(self, blocks: Blocks, setting: Setting, heads: Heads | None = None) -> str:
        """The entries of blocks, each by its name or written out."""
        cells = blocks.cells()
        zero = setting.zero
        if zero == "auto":
            zeros = cells - sum(not is_zero(self.graph, self.function.nodes[i]) for i in blocks.shown())
            zero = r"\cdot" if cells >= 25 and 2 * zeros > cells else "0"

        def entry(output: int) -> Piece:
            node = self.function.nodes[output]
            return Piece(zero) if is_zero(self.graph, node) else self.typesetter.entry(node)

        if setting.labels and heads is None:
            heads = matrix_heads(self.function, self.names)
        return blocks.set(entry, setting.matrix, setting.row, zero, heads)

    def by_argument(self, lhs: bool | str, setting: Setting) -> list[Line]:
        """The matrix of partial derivatives by each argument, then these; only one of two transposed ones is set."""
        if self.parts is None:
            return [self.equation(lhs, setting)]
        names = [[Piece(part.name, tall=True) for part in row] for row in self.parts]
        outer = environment(names, setting.matrix)
        lines = [Line(self._left(lhs), (outer,))]
        for part in (part for row in self.parts for part in row if part.own):
            blocks = self.blocks.part(part.rows, part.columns)
            if blocks.size == 1 and part.heads is None:
                output = blocks.output(0)
                entry = Piece("0") if output is None else self.typesetter.entry(self.function.nodes[output])
                lines.append(Line(part.name, right_side(entry)))
            else:
                lines.append(Line(part.name, (self._matrix(blocks, setting, part.heads),)))
        return lines

    def _left(self, lhs: bool | str) -> str:
        if lhs is True:
            return signature(self.function, self.names)
        if lhs == "partial":
            return fraction_of_partials(self.function, self.names)
        return lhs or ""

    def entries(self) -> list[Line]:
        """One equation per shown entry that is not a structural zero."""
        lines = []
        for output in self.shown:
            node = self.function.nodes[output]
            if not is_zero(self.graph, node):
                left = entry_name(self.function, unravel(output, self.function.shape), self.names)
                lines.append(Line(left, right_side(self.typesetter.entry(node))))
        return lines or [Line(signature(self.function, self.names), ("0",))]

    def definitions(self) -> list[Line]:
        """What the names stand for, in reading order; of very many the first and the last."""
        lines = []
        before = 0
        for number, node in self.layout.definitions(self.limit.definitions):
            if number > before + 1:
                lines.append(Line("", (r"\vdots",)))
            before = number
            lines.append(Line(self.names.temporary(number), right_side(self.typesetter.body(node))))
        return lines

    def notes(self, definitions: Sequence[Line], picture: bool | str) -> list[str]:
        """How big the whole is, if a part of it is left out, and a picture of a sparse matrix shown in part."""
        found = []
        pattern = pattern_of(self.function) if picture is True or (picture == "auto" and self.blocks.cut) else None
        if pattern is not None and pattern.nnz and (picture is True or 2 * pattern.density <= 1):
            count = f"{thousands(pattern.nnz)} of {thousands(pattern.shape[0] * pattern.shape[1])}"
            found.append(rf"\text{{{count} entries can be non-zero:}} \quad {rules(pattern)}")
        if len(definitions) > self.limit.definitions or self.layout.elided:
            count = thousands(self.layout.operations)
            shown = f", {thousands(len(self.layout.number))} parts named" if definitions else ""
            found.append(rf"\text{{({count} operations in all{shown})}}")
        return found


def constants_used(graph: Graph, nodes: Iterable[int]) -> list[str]:
    """LaTeX of the named constants among the nodes; e gives way to a variable of that name instead."""
    found = {graph.leaves[node] for node in nodes if graph.ops[node] is CONSTANT}
    return [leaf.latex for leaf in found if isinstance(leaf, NamedConstant) and leaf is not ops.E]


def right_side(piece: Piece) -> tuple[str, ...]:
    if piece.level in (Level.LOGIC, Level.RELATION):
        return (f"({piece.full})",)
    return piece.terms or (piece.full,)


# --- lines to LaTeX ---------------------------------------------------------------------------------------------------
def wrapped(parts: Sequence[str], width: int | None, used: int) -> list[str]:
    """The parts in as few lines as fit the width."""
    lines = [parts[0]]
    length = used + visible_length(parts[0])
    for part in parts[1:]:
        size = visible_length(part) + 1
        if width is not None and length + size > width:
            lines.append(part)
            length = used + size
        else:
            lines[-1] += " " + part
            length += size
    return lines


def aligned_rows(line: Line, width: int | None, prefix: str = "") -> list[str]:
    first, *rest = wrapped(line.right, width, min(visible_length(line.left), 20))
    equals = "&= " if line.left else "& "
    return [f"{prefix}{line.left} {equals}{first}".strip(), *(rf"&\quad {part}" for part in rest)]


def packed(definitions: Iterable[Line], most: int) -> list[Line]:
    """Short definitions that follow each other, on one line of `most` symbols."""
    lines: list[Line] = []
    used = 0
    for line in definitions:
        size = visible_length(line.left + "".join(line.right)) + 5
        short = line.left != "" and size <= SHORT_DEFINITION
        if short and lines and used + size <= most:
            before = lines[-1]
            lines[-1] = Line(before.left, (rf"{before.right[0]}, \quad {line.left} = {' '.join(line.right)}",))
            used += size
        else:
            lines.append(Line(line.left, (" ".join(line.right),) if short else line.right))
            used = size if short else most
    return lines


def assemble(
    lines: Sequence[Line],
    definitions: Sequence[Line],
    notes: Sequence[str],
    style: str,
    label: str | None,
    width: int | None,
) -> str:
    rows = [row for line in lines for row in aligned_rows(line, width)]
    plain = len(rows) == 1 and not definitions and not notes
    # All lines are aligned at their equals signs, so definitions begin as far right as the longest left side goes.
    indent = max(visible_length(r"\text{where}"), *(min(visible_length(line.left), 20) for line in lines)) + 4
    for i, line in enumerate(packed(definitions, max((width or PAGE) - indent, PAGE // 2))):
        rows += aligned_rows(line, width, r"\text{where} \quad " if i == 0 else "")
    rows += [f"& {note}" for note in notes]
    tag = rf"\label{{{label}}}" if label else ""
    if style == "align*":
        return environment_of(style, rows)
    if style == "align":
        first, *rest = rows
        return environment_of("align", [f"{first} {tag}".rstrip(), *(rf"{row} \notag" for row in rest)])
    body = rows[0].replace("&= ", "= ", 1).removeprefix("& ") if plain else environment_of("aligned", rows)
    return body if style == "plain" else "\n".join([rf"\begin{{{style}}}{tag}", body, rf"\end{{{style}}}"])


def environment_of(name: str, rows: Sequence[str]) -> str:
    ends = [*[r" \\" if r"\frac" not in row else r" \\[4pt]" for row in rows[:-1]], ""]
    body = "\n".join(row + end for row, end in zip(rows, ends, strict=True))
    return "\n".join([rf"\begin{{{name}}}", body, rf"\end{{{name}}}"])
