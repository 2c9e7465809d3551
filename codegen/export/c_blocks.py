"""Blocks as plain loops in C: one nest for each, its body written once, tables only for what is not even."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codegen.blocks.concrete import Concrete, Target, Where, positions
from codegen.blocks.lay import parted
from codegen.contract import prune
from codegen.export.c_expressions import EXPRESSIONS, external_call, number
from codegen.external import groups
from codegen.program import INSTRUCTIONS, MASK, Program

Ints = NDArray[Any]

# Pieces, of which each index rises evenly, up to which a block is written as a loop over them.
PIECES = 64

# Sums carry the rounding errors of their additions along [Knuth, The Art of Computer Programming 2, 4.2.2].
SUM = """\
static void codegen_sum(double *total, double *rest, double x)
{
    const double sum = *total + x, part = sum - *total;
    *rest += (*total - (sum - part)) + (x - part);
    *total = sum;
}"""
LARGER = "static double codegen_larger(double a, double b) { return a != a || a > b ? a : b; }"
LOGSUMEXP = """\
static void codegen_logsumexp(double *largest, double *total, double x)
{
    const double size = fabs(x - *largest), weight = x == *largest ? 1 : exp(-size);
    *total = x > *largest ? *total * weight + 1 : *total + weight;
    *largest = x > *largest ? x : *largest;
}"""
HELPERS = {"sum": SUM, "max": LARGER, "logsumexp": LOGSUMEXP}


class BlockWriter:
    """Writes blocks into the function of one point.

    buffers: the C names of arrays; types: their C types. taken: names that mean something else. counters: the names of
    the counters of four axes and of pieces. What it needs besides: `tables` (names and contents by key), `helpers`.
    """

    def __init__(
        self,
        buffers: Mapping[str, str],
        indices: Mapping[str, Ints],
        taken: set[str],
        prefix: str,
        types: Mapping[str, str],
        counters: Sequence[str],
    ) -> None:
        self.buffers, self.indices, self.types = buffers, indices, types
        self.taken, self.prefix = {*taken, *counters}, prefix
        self.tables: dict[str, tuple[str, Ints]] = {}  # what they are known by; their names and contents
        self.helpers: set[str] = set()
        self.lines: list[str] = []
        self.depth = 1
        *self.axes, self.piece = counters

    def free(self, name: str) -> str:
        """A name that nothing else in the function has."""
        while name in self.taken:
            name = f"{name}_"
        self.taken.add(name)
        return name

    def write(self, text: str) -> None:
        self.lines.append(f"{'    ' * self.depth}{text}\n")

    @contextmanager
    def loop(self, counter: str, stop: str | int, start: str | int = 0, *, down: bool = False) -> Iterator[None]:
        if down:
            self.write(f"for ({counter} = {stop}; {counter}-- > {start};) {{")
        else:
            self.write(f"for ({counter} = {start}; {counter} < {stop}; {counter}++) {{")
        self.depth += 1
        yield
        self.depth -= 1
        self.write("}")

    def uneven(self, block: Concrete) -> bool:
        """Whether a block over one axis would need tables as long as that."""
        return _Nest(self, block).pieces is None

    def block(self, block: Concrete) -> None:
        if 0 in block.lengths and not any(write.reduction for write in block.writes):
            return
        for part in parted(block):
            self.write(f"/* {block.name}: {' x '.join(map(str, block.lengths)) or 'one'} */")
            _Nest(self, part).write()

    def table(self, name: str, values: Ints) -> str:
        """The C name of a constant array of integers; equal ones are one."""
        wide = values.size and max(abs(int(values.min())), abs(int(values.max()))) >= 1 << 31
        array = np.ascontiguousarray(values, np.int64 if wide else np.int32)
        key = f"{array.dtype} {array.tobytes().hex() if array.size < 64 else hash(array.tobytes())}"
        known = self.tables.get(key)
        if known is not None and np.array_equal(known[1], array):
            return known[0]
        called = f"{self.prefix}_{name}"
        self.tables[key if known is None else f"{key} {called}"] = called, array
        return called


class _Nest:
    """One block on its way to loops."""

    def __init__(self, writer: BlockWriter, block: Concrete) -> None:
        self.writer, self.block = writer, block
        self.axes = writer.axes
        self.reduced = next((write.reduced for write in block.writes if write.reduced), ())
        self.pieces = self.evenly()

    # --- where elements are -------------------------------------------------------------------------------------------
    def evenly(self) -> tuple[Ints, dict[Where, tuple[Ints, Ints]]] | None:
        """Where each piece of the axis starts, and for each place with an index its first element and step there."""
        block = self.block
        places = [*block.reads, *(write.where for write in block.writes)]
        gathered = {where for where in places if where.index is not None}
        if len(block.lengths) != 1 or block.scan is not None or not gathered or block.lengths[0] < 3:
            return None
        (length,) = block.lengths
        values = {
            where: np.broadcast_to(positions(where, block.lengths, self.writer.indices), (length,))
            for where in gathered
        }
        # A piece ends where any step differs from the one before.
        breaks = np.zeros(length - 2, dtype=bool)
        for one in values.values():
            steps = np.diff(one)
            breaks |= steps[1:] != steps[:-1]
        starts, at = [0], 0
        changes = np.flatnonzero(breaks) + 2  # the first instance that goes on differently
        while True:
            later = changes[changes > at + 1]  # two instances are always even
            if not len(later):
                break
            at = int(later[0])
            starts.append(at)
            if len(starts) > PIECES:
                return None
        ends = [*starts[1:], length]
        first = np.array(starts)
        second = np.minimum(first + 1, np.array(ends) - 1)
        return np.array([*starts, length]), {
            where: (one[first], one[second] - one[first]) for where, one in values.items()
        }

    def element(self, where: Where) -> str:
        """The element of a place as a C expression."""
        if self.pieces is not None and where in self.pieces[1]:
            first, step = self.pieces[1][where]
            return self.by_piece(first, step)
        at = affine(where.offset, where.strides, self.axes)
        if where.index is None:
            return at
        values = self.writer.indices[where.index]
        name = self.writer.table(where.index, values)
        inside = affine(where.index_offset, where.index_strides, self.axes)
        scaled = f"{where.scale} * {name}[{inside}]" if where.scale != 1 else f"{name}[{inside}]"
        return scaled if at == "0" else f"{scaled} + {at}" if not at.startswith("-") else f"{scaled} - {at[1:]}"

    def by_piece(self, first: Ints, step: Ints) -> str:
        """base + step * i, with the base and step of the piece, or what is the same for all pieces."""
        assert self.pieces is not None
        base = first - step * self.pieces[0][:-1]
        axis, piece = self.axes[0], self.writer.piece
        start = (
            str(base[0])
            if (base == base[0]).all()
            else f"{self.writer.table(f'b{len(self.writer.tables)}', base)}[{piece}]"
        )
        if (step == step[0]).all():
            return affine_from(start, int(step[0]), axis)
        return f"{start} + {self.writer.table(f's{len(self.writer.tables)}', step)}[{piece}] * {axis}"

    def read(self, where: Where) -> str:
        if not where.buffer:
            return f"(double)({affine(where.offset, where.strides, self.axes)})"
        return f"{self.writer.buffers[where.buffer]}[{self.element(where)}]"

    # --- loops --------------------------------------------------------------------------------------------------------
    def write(self) -> None:
        block, writer = self.block, self.writer
        inner = [axis for axis in range(len(block.lengths)) if axis in self.reduced or axis == block.scan]
        outer = [axis for axis in range(len(block.lengths)) if axis not in inner]
        if not outer:
            writer.write("{")
            writer.depth += 1
        if self.pieces is not None:
            self.write_pieces(inner)
        else:
            self.loops(outer, lambda: self.middle(inner))
        if not outer:
            writer.depth -= 1
            writer.write("}")

    def write_pieces(self, inner: list[int]) -> None:
        writer, axis = self.writer, self.axes[0]
        assert self.pieces is not None
        starts = writer.table(f"p{len(writer.tables)}", self.pieces[0])

        def piecewise(run: Any) -> None:
            with (
                writer.loop(writer.piece, len(self.pieces[0]) - 1 if self.pieces else 0),
                writer.loop(axis, f"{starts}[{writer.piece} + 1]", f"{starts}[{writer.piece}]"),
            ):
                run()

        if inner:
            self.middle([], piecewise)
        else:
            piecewise(lambda: self.middle([]))

    def loops(self, axes: Sequence[int], inside: Any) -> None:
        if not axes:
            inside()
            return
        axis = axes[0]
        down = axis == self.block.scan and self.block.reverse
        with self.writer.loop(self.axes[axis], self.block.lengths[axis], down=down):
            self.loops(axes[1:], inside)

    def middle(self, inner: list[int], around: Any = None) -> None:
        """What happens once for the outer axes: reductions begin and end, carries start."""
        block, writer = self.block, self.writer
        held = {write: self.begin(write) for write in block.writes if write.reduction}
        carries = [writer.free(f"carry{k}") for k in range(len(block.carries))]
        for name, start in zip(carries, block.carries, strict=True):
            writer.write(f"double {name} = {self.read(start)};")

        def body() -> None:
            self.body(carries, held)

        if around is not None:
            around(body)
        else:
            self.loops(inner, body)
        for write, names in held.items():
            self.end(write, names)

    def begin(self, write: Target) -> tuple[str, str]:
        writer, kind = self.writer, write.reduction or ""
        writer.helpers.add(kind)
        names = writer.free(f"{kind}{write.result}"), writer.free(f"rest{write.result}")
        start = "0" if kind == "sum" else "-INFINITY"
        writer.write(f"double {names[0]} = {start}{'' if kind == 'max' else f', {names[1]} = 0'};")
        return names

    def end(self, write: Target, names: tuple[str, str]) -> None:
        first, second = names
        if write.reduction == "sum":
            value = f"({first} - {first} == 0 ? {first} + {second} : {first})"
        elif write.reduction == "max":
            value = first
        else:
            value = f"({first} + log({second}))"
        self.put(write, value)

    def put(self, write: Target, value: str) -> None:
        sign = "+=" if write.kind == "add" else "="
        cast = "(float)" if self.writer.types.get(write.where.buffer) == "float" else ""
        self.writer.write(
            f"{self.writer.buffers[write.where.buffer]}[{self.element(write.where)}] {sign} {cast}{value};"
        )

    # --- the body -----------------------------------------------------------------------------------------------------
    def body(self, carries: Sequence[str], held: Mapping[Target, tuple[str, str]]) -> None:
        block, writer = self.block, self.writer
        program = prune(block.body)
        values = _Values(self, program, carries)
        for write in block.writes:
            value = values.value(program.outputs[write.result][0])
            if write not in held:
                self.put(write, value)
            elif write.reduction == "max":
                writer.write(f"{held[write][0]} = codegen_larger({held[write][0]}, {value});")
            else:
                first, second = held[write]
                writer.write(f"codegen_{write.reduction}(&{first}, &{second}, {value});")
        count = len(program.outputs) - len(carries)
        new = [values.value(output) for (output,) in program.outputs[count:]]
        for name, value in zip(carries, values.apart(carries, new), strict=True):
            if name != value:
                writer.write(f"{name} = {value};")


class _Values:
    """The values of a body, each written where it is first needed."""

    def __init__(self, nest: _Nest, program: Program, carries: Sequence[str]) -> None:
        self.nest, self.program, self.carries = nest, program, carries
        self.together = groups(program.calls, program.body)
        self.names: dict[int, str] = {}
        self.rooms: set[int] = set()
        self.prefix = (
            "t" if not any(name[:1] == "t" and name[1:].isdigit() for name in nest.writer.taken) else "codegen_"
        )

    def value(self, wanted: int) -> str:
        """The C name of a value; what it depends on is written first, without recursion."""
        stack = [wanted]
        while stack:
            number_of = stack[-1]
            if number_of in self.names:
                stack.pop()
                continue
            name, *operands = self.program.body[number_of]
            if name not in ("const", "load"):
                missing = [operand for operand in operands if operand not in self.names]
                if missing:
                    stack += reversed(missing)
                    continue
            stack.pop()
            self.define(number_of, name, operands)
        return self.names[wanted]

    def define(self, number_of: int, name: str, operands: Sequence[Any]) -> None:
        block, writer = self.nest.block, self.nest.writer
        if name == "const":
            self.names[number_of] = number(float(operands[0]))
            return
        if name == "load" and operands[0] >= len(block.reads):
            self.names[number_of] = self.carries[operands[0] - len(block.reads)]
            return
        if name == "load":
            text = self.nest.read(block.reads[operands[0]])
        elif number_of in self.together:
            text = self.external(number_of, [self.names[operand] for operand in operands])
        else:
            text = EXPRESSIONS[name].format(*[self.names[operand] for operand in operands])
        row = INSTRUCTIONS.get(name)
        kind = "int" if row is not None and row.result == MASK else "double"
        called = self.names[number_of] = f"{self.prefix}{number_of}"
        writer.write(f"const {kind} {called} = {text};")

    def external(self, number_of: int, given: Sequence[str]) -> str:
        def write(first: int, lines: Sequence[str]) -> None:
            if first not in self.rooms:
                self.rooms.add(first)
                for line in lines:
                    self.nest.writer.write(line)

        return external_call(self.program, self.together, number_of, given, write)

    def apart(self, carries: Sequence[str], new: Sequence[str]) -> list[str]:
        """New values of carries, of which none is another carry that changes before it is read."""
        made = []
        for place, value in enumerate(new):
            if value in carries and value != carries[place]:
                kept = self.nest.writer.free(f"kept{place}")
                self.nest.writer.write(f"const double {kept} = {value};")
                value = kept
            made.append(value)
        return made


def affine(offset: int, strides: Sequence[int], axes: Sequence[str]) -> str:
    """offset + Σ stride·axis as C."""
    text = ""
    for stride, axis in zip(strides, axes, strict=False):
        if stride:
            term = axis if abs(stride) == 1 else f"{abs(stride)} * {axis}"
            sign = ("-" if stride < 0 else "") if not text else (" - " if stride < 0 else " + ")
            text += sign + term
    if not text:
        return str(offset)
    return text if not offset else f"{text} {'-' if offset < 0 else '+'} {abs(offset)}"


def affine_from(start: str, step: int, axis: str) -> str:
    if start.lstrip("-").isdigit():
        return affine(int(start), [step], [axis])
    return (
        f"{start} + {affine(0, [step], [axis])}"
        if step > 0
        else start
        if not step
        else f"{start} - {affine(0, [-step], [axis])}"
    )
