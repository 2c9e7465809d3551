r"""LaTeX of rolled functions: sums keep their \sum and indices; a chained gradient is its cases.

Elements are counted from 1, as in mathematics. Tables of indices that are not affine are called a, b, c, …: x_{a_i}.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod

from hybrid.deferred import Deferred
from hybrid.definition import Argument, Definition, PythonSource
from hybrid.function import Function
from hybrid.graph import Graph
from hybrid.operations import add
from hybrid.rolled import maps
from hybrid.rolled.adjoint import digits
from hybrid.rolled.formula import RolledFormula
from hybrid.rolled.maps import Map, Shape
from hybrid.rolled.model import LOGSUMEXP, MAX, SUM, Block, Model, Write
from hybrid.simplify import simplify

typeset = Deferred("hybrid.printing.latex")
INDICES = ("i", "j", "k", "l", "m", "n")
TABLES = "abcdeghpqrst"
COMBINED = {SUM: r"\sum", MAX: r"\max", LOGSUMEXP: r"\log\sum"}
MOST_CASES = 5


class Notation:
    """Names of buffers and tables in one text."""

    def __init__(self, formula: RolledFormula) -> None:
        self.model: Model = formula.model
        self.names = {argument.buffer: argument.name for argument in formula.rolled_arguments}
        self.tables: dict[int, str] = {}
        self.formula = formula

    def buffer(self, number: int) -> str:
        if number not in self.names:
            data = self.model.buffers[number].value is not None
            self.names[number] = f"{'c' if data else 'v'}_{{({len(self.names)})}}"
        return self.names[number]

    def table(self, number: int) -> str:
        return self.tables.setdefault(number, TABLES[len(self.tables) % len(TABLES)] + "'" * (len(self.tables) // 12))

    def element(self, buffer: int, where: Map, space: Shape) -> str:
        """x_{i+1, j}: the element that an instance reads or writes."""
        held = self.model.buffers[buffer]
        name = self.buffer(buffer)
        if held.size == 1:
            return name
        base = name if "_" not in name else rf"{{{name}}}"
        view = digits(where, space, held.shape) if where.gather is None else None
        if view is None or len(held.shape) == 1:
            return f"{base}_{{{self.position(where)}}}"
        axes = [self.position(Map(axis.offset, tuple(map(int, axis.strides)))) for axis in view]
        return f"{base}_{{{', '.join(axes)}}}"

    def position(self, where: Map) -> str:
        """A position, counted from 1, in indices counted from 1."""
        constant = where.offset - sum(where.strides) + (where.gather is None)  # tables count from 1 as well
        parts = [
            ("" if stride == 1 else "-" if stride == -1 else str(stride)) + INDICES[axis]
            for axis, stride in enumerate(where.strides)
            if stride
        ]
        if where.gather is not None:
            shape = self.model.tables[where.gather].shape
            letters = "".join(INDICES[axis] for axis, length in enumerate(shape) if length != 1)
            parts.append(f"{self.table(where.gather)}_{{{letters}}}")
        text = "+".join(parts).replace("+-", "-")
        if not text:
            return str(constant)
        return text if not constant else f"{text}{constant:+d}"

    def entry(self, where: Map, space: Shape) -> str:
        """The row and column of an entry of a sparse derivative."""
        pattern = self.formula.fixed_pattern
        assert pattern is not None  # seen to by the caller
        slots = self.model.tables.positions(where, space)
        still = (0,) * len(space)
        places = [self.model.tables.map(0, still, index[slots]) for index in (pattern.rows, pattern.columns)]
        return f"{self.buffer(self.formula.output)}_{{{', '.join(map(self.position, places))}}}"

    def before(self, block: Block, variable: int) -> str:
        """What a carry is: the element stored at the step before."""
        carry = next(carry for carry in block.carries if carry.variable == variable)
        for node, write in zip(block.nodes, block.writes, strict=True):
            if node == carry.following:
                where = write.to.map
                earlier = Map(where.offset - where.strides[0], where.strides, where.gather)
                return self.element(write.to.buffer, earlier, block.space)
        return "s"

    def expression(self, node: int, space: Shape, block: Block | None = None) -> str:
        """A template, with its reads as indexed elements."""
        graph, names = Graph(), dict[str, str]()
        mapping, arguments = {}, []
        for number, read in enumerate(self.model.graph.variables([node])):
            title = f"z{number}"
            access = self.model.accesses.get(read)
            if access is not None:
                names[title] = self.element(access.buffer, access.map, space)
            elif block is not None:
                names[title] = self.before(block, read)
            mapping[read] = graph.variable(title)
            arguments.append(Argument(title, (), (mapping[read],)))
        (copied,) = graph.copy_from(self.model.graph, [node], mapping)
        plain = Function.from_definition(Definition(graph, tuple(arguments), (copied,), (), PythonSource(len), "z"))
        text: str = typeset.latex(plain, lhs=False, symbol_names=names, where=False, width=None)
        return text


def latex(formula: RolledFormula) -> str:
    """The equations of a rolled function, the last that of its output, as the rows of an `aligned` environment."""
    notation = Notation(formula)
    model = formula.model
    left = left_side(formula)
    numbers = model.needed([formula.output])
    last = [number for number in numbers if formula.output in {w.to.buffer for w in model.blocks[number].writes}]
    rows = [row for number in numbers if number not in last for row in block_rows(notation, model.blocks[number])]
    final = [model.blocks[number] for number in last]
    notation.names[formula.output] = left
    cases = case_row(notation, final, left)
    rows += [cases] if cases else [row for block in final for row in block_rows(notation, block)]
    if len(rows) == 1:
        return rows[0].replace("&", "", 1)
    return "\\begin{aligned}\n" + " \\\\\n".join(rows) + "\n\\end{aligned}"


def left_side(formula: RolledFormula) -> str:
    names = ", ".join(argument.name for argument in formula.rolled_arguments)
    if formula.origin is None:
        return rf"\mathrm{{{formula.name}}}({names})" if len(formula.name) > 1 else f"{formula.name}({names})"
    of = formula.origin.of.name
    title = of if len(of) == 1 else rf"\mathrm{{{of}}}"
    signs = {"gradient": rf"\nabla {title}", "hessian": rf"\nabla^2 {title}", "jacobian": f"J_{{{title}}}"}
    other = rf"{title}^{{\mathrm{{{formula.origin.kind}}}}}"
    return "\\left(" + signs.get(formula.origin.kind, other) + "\\right)"


def ranges(space: Sequence[int], axes: Sequence[int]) -> str:
    return r",\; ".join(rf"{INDICES[axis]} = 1, \ldots, {space[axis]}" for axis in axes)


def block_rows(notation: Notation, block: Block) -> list[str]:
    """One equation for each result of a block."""
    return [result_row(notation, block, node, write) for node, write in zip(block.nodes, block.writes, strict=True)]


def result_row(notation: Notation, block: Block, node: int, write: Write) -> str:
    space, where = block.space, write.to.map
    table = None if where.gather is None else notation.model.tables[where.gather]
    still = [
        axis
        for axis, stride in enumerate(where.strides)
        if stride == 0 and (table is None or table.shape[axis] == 1) and space[axis] != 1
    ]
    moving = [axis for axis, length in enumerate(space) if axis not in still and length != 1]
    sparse = notation.formula.fixed_pattern is not None and write.to.buffer == notation.formula.output
    target = notation.entry(where, space) if sparse else notation.element(write.to.buffer, where, space)
    body = notation.expression(node, space, block)
    if write.combine in COMBINED and still:
        below = "".join(rf"{COMBINED[write.combine]}_{{{INDICES[a]}=1}}^{{{space[a]}}} " for a in still)
        body = rf"{below}{'e^' if write.combine == LOGSUMEXP else ''}{{{body}}}"
    several = len(notation.model.writers[write.to.buffer]) > 1 or (table is not None and write.combine == SUM)
    sign = r"\mathrel{+}=" if several and write.combine == SUM else "="
    return f"{target} &{sign} {body}" + (rf", \quad {ranges(space, moving)}" if moving else "")


def case_row(notation: Notation, blocks: Sequence[Block], left: str) -> str | None:
    """An output that templates add to at shifted places, as one expression for each range of elements."""
    model = notation.model
    pieces: list[tuple[int, int, int]] = []
    for block in blocks:
        for node, write in zip(block.nodes, block.writes, strict=True):
            where = write.to.map
            if block.carries or len(block.space) != 1 or where.gather is not None or where.strides != (1,):
                return None
            pieces.append((where.offset, where.offset + block.space[0], node))
    size = prod(model.buffers[blocks[0].writes[0].to.buffer].shape) if blocks else 0
    cuts = sorted({0, size, *(low for low, _, _ in pieces), *(high for _, high, _ in pieces)})
    if len(pieces) < 2 or len(cuts) - 1 > MOST_CASES:
        return None
    rows = []
    for low, high in pairwise(cuts):
        moved = [shifted(model, node, start, size) for start, end, node in pieces if start <= low and high <= end]
        text = "0"
        if moved:
            node = moved[0] if len(moved) == 1 else model.graph.add_node(add, tuple(moved))
            text = notation.expression(simplify(model.graph, [node])[0], (size,))
        when = f"i = {low + 1}" if high == low + 1 else rf"{low + 1} \leq i \leq {high}"
        rows.append(f"{text} & {when}")
    return f"{left}_{{i}} &= \\begin{{cases}} " + r" \\ ".join(rows) + r" \end{cases}"


def shifted(model: Model, node: int, start: int, size: int) -> int:
    """A template whose instance i is the one that writes element i."""
    (moved,) = model.viewed([node], (maps.unit(0, size, 1, -start),), 1)
    return moved
