"""Rolled code as C99 source: plain loops over arrays, tables only for data and for indices that are not even."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from codegen.blocks.concrete import concrete
from codegen.export.c_blocks import HELPERS, BlockWriter
from codegen.export.c_expressions import number
from codegen.export.c_source import index_tables, queries, support
from codegen.export.header import header
from codegen.export.parameters import C_TYPES
from codegen.export.periods import folded
from codegen.export.rolled_interface import RolledInterface, Run

# Bytes of what is kept between loops that a call takes from the stack; more comes from malloc.
STACK = 64 << 10
PER_LINE = 12

PATTERN = """\
/* Rows and columns of a pattern from its runs: entries, repetitions, step of rows; then rows, columns, their steps. */
static void codegen_pattern(const int32_t *runs, int32_t *rows, int32_t *columns)
{
    int32_t left, again, e;
    for (left = *runs++; left > 0; left--) {
        const int32_t entries = runs[0], times = runs[1], step = runs[2];
        const int32_t *const row = runs + 3, *const column = row + entries, *const steps = column + entries;
        for (again = 0; again < times; again++)
            for (e = 0; e < entries; e++) {
                *rows++ = row[e] + again * step;
                *columns++ = column[e] + again * steps[e];
            }
        runs = steps + entries;
    }
}"""


def rolled_source(interface: RolledInterface, version: str = "") -> str:
    """The text of `NAME.c`; it agrees with the compiled kernel to rounding."""
    rolled, prototypes = interface.rolled, interface.prototypes()
    point = _Point(interface)
    body = point.write()
    bodies = [block.body for run in rolled.runs for block in run.blocks.blocks]
    helpers = dict.fromkeys(text for program in bodies for text in support(program))
    batch = ", ".join(f"{p.name} + {p.array.size} * codegen_i" for p in interface.parameters)
    pieces = [
        header(interface).rstrip(),
        "\n".join(["#include <math.h>", *(["#include <stdlib.h>"] if point.allocates else [])]),
        *helpers,
        *(HELPERS[kind] for kind in ("sum", "max", "logsumexp") if kind in point.helpers),
        *index_tables(interface),
        *point.tables,
        f"{prototypes['']}\n{{\n{body}}}",
        f"{prototypes['_batch']}\n{{\n    int64_t codegen_i;\n    for (codegen_i = 0; codegen_i < n; codegen_i++)\n"
        f"        {interface.name}({batch});\n}}",
    ]
    if interface.patterns:
        pieces.append(PATTERN)
    for parameter, words in interface.written_patterns.items():
        table = integers("int32_t", "codegen_runs", np.array(words), indent="    ")
        prototype = prototypes[f"_{parameter}_pattern"]
        pieces.append(f"{prototype}\n{{\n    {table}\n    codegen_pattern(codegen_runs, rows, columns);\n}}")
    return "\n\n".join([*pieces, *queries(interface, version)]) + "\n"


class _Point:
    """The function of one point: room for what is kept between loops, then the loops of every block."""

    def __init__(self, interface: RolledInterface) -> None:
        self.interface = interface
        self.number = C_TYPES[interface.element]
        self.helpers: set[str] = set()
        self.tables: list[str] = []
        self.allocates = False
        parameters = {parameter.name for parameter in interface.parameters}
        self.taken = parameters | {interface.name} | {external.c_name for external in interface.rolled.externals}
        self.counters = [name if name not in self.taken else f"codegen_{name}" for name in (*"ijkl", "piece")]

    def write(self) -> str:
        interface = self.interface
        texts, room = [], 0
        for place, run in enumerate(interface.rolled.runs):
            text, size = self.run(run, f"{place}" if len(interface.rolled.runs) > 1 else "")
            texts.append(text)
            room = max(room, size)
        self.allocates = room * 8 > STACK
        lines = []
        if self.allocates:
            lines += [
                f"    {self.number} *const codegen_work = ({self.number} *)malloc({room} * sizeof({self.number}));\n",
                "    if (!codegen_work)\n        abort();\n",
            ]
        elif room:
            lines.append(f"    {self.number} codegen_work[{room}];\n")
        text = "".join(texts)
        for to, source in interface.rolled.copies:
            one, other = interface.parameters[to], interface.parameters[source]
            i = self.counters[0]
            text += f"    for ({i} = 0; {i} < {one.array.size}; {i}++)\n        {one.name}[{i}] = {other.name}[{i}];\n"
        if used := [name for name in self.counters if f"for ({name} = " in text]:
            lines.insert(0, f"    int64_t {', '.join(used)};\n")
        unused = [p.name for p in interface.parameters if f"{p.name}[" not in text]
        end = "    free(codegen_work);\n" if self.allocates else ""
        return "".join([*lines, text, end, *(f"    (void){name};\n" for name in unused)])

    def run(self, run: Run, suffix: str) -> tuple[str, int]:
        """The loops of some blocks, and how many numbers they keep in between."""
        interface, blocks = self.interface, run.blocks
        indices = {buffer.name: _integers(run.arrays[buffer.name]) for buffer in blocks.of_kind("index")}
        names: dict[str, str] = {}
        room = 0
        starts = []
        for buffer in blocks.buffers:
            length = buffer.length.value({})
            if buffer.name in run.places:
                names[buffer.name] = interface.parameters[run.places[buffer.name]].name
            elif buffer.kind == "work":
                names[buffer.name] = f"work{suffix}_{buffer.name}"
                starts.append(f"    {self.number} *const {names[buffer.name]} = codegen_work + {room};\n")
                room += length
            elif buffer.kind == "data":
                names[buffer.name] = f"{interface.name}_data{suffix}_{buffer.name}"
        types = dict.fromkeys(names, self.number)
        taken = self.taken | set(names.values())
        writer = BlockWriter(names, indices, taken, f"{interface.name}_index{suffix}", types, self.counters)
        for buffer in blocks.buffers:
            if buffer.name in blocks.added_to and (length := buffer.length.value({})):
                axis = writer.axes[0]
                writer.write(f"for ({axis} = 0; {axis} < {length}; {axis}++)")
                writer.write(f"    {names[buffer.name]}[{axis}] = 0;")
        for block in concrete(blocks, {}, indices):
            writer.block(folded(block, indices) if writer.uneven(block) else block)
        text = "".join(writer.lines)
        for buffer in blocks.of_kind("data"):
            if f"{names[buffer.name]}[" in text:
                self.tables.append(reals(self.number, names[buffer.name], run.arrays[buffer.name]))
        for name, array in writer.tables.values():
            self.tables.append(integers("int64_t" if array.dtype == np.int64 else "int32_t", name, array))
        self.helpers |= writer.helpers
        kept = [line for line in starts if f"{line.split('const ')[1].split(' ')[0]}[" in text]
        return (f"    {{\n{''.join(kept)}{text}    }}\n" if kept else text), room


def _integers(array: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(array).reshape(-1).astype(np.int64)


def integers(kind: str, name: str, values: NDArray[Any], indent: str = "") -> str:
    return _constant(kind, name, list(map(str, values.reshape(-1).tolist())), indent)


def reals(kind: str, name: str, values: NDArray[Any]) -> str:
    return _constant(kind, name, [number(float(value)) for value in values.reshape(-1).tolist()], "")


def _constant(kind: str, name: str, texts: list[str], indent: str) -> str:
    lines = [", ".join(texts[start : start + PER_LINE]) for start in range(0, len(texts), PER_LINE)]
    inside = f",\n{indent}    ".join(lines) or "0"
    return f"static const {kind} {name}[{max(1, len(texts))}] = {{\n{indent}    {inside}\n{indent}}};"
