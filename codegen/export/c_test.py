"""A C program that calls exported functions at stored points and compares with stored values."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from codegen.export.c_expressions import number
from codegen.export.interface import ABI_VERSION, Interface
from codegen.export.parameters import Parameter
from codegen.jit import compile
from codegen.program import Program
from codegen.target import host

POINTS = 5
# Relative to the largest number of the result at the point. Compilers and libraries differ by some units in the last
# place, which cancellation makes larger.
TOLERANCE = {"float64": 1e-9, "float32": 1e-3}

Arrays = list[NDArray[np.float64]]


@dataclass(frozen=True)
class Stored:
    """Arguments and results at the stored points, arrays (points, size)."""

    arguments: Arrays
    results: Arrays


def stored(program: Program, element: str, points: Sequence[Sequence[Sequence[float]]] | None) -> Stored:
    """What the program gives here at fixed points, without fused multiply-adds: the same bits on every machine.

    Raises ValueError for points that are not those of the program, or a function of somebody else's without address.
    """
    arguments = spread(program) if points is None else _given(program, points)
    missing = [external.name for external in program.externals if external.address is None]
    if missing:
        raise ValueError(f"{program.name} calls {missing[0]}, which does not run here: a test needs its values")
    return computed(program, element, [array.astype(element).astype(float) for array in arguments])


def computed(program: Program, element: str, arguments: Arrays) -> Stored:
    """The program at points, arrays (points, size)."""
    compiled = compile(program, replace(host(), fma=False).with_element(element))
    given = [np.ascontiguousarray(array.astype(element)) for array in arguments]
    count = len(given[0]) if given else POINTS
    results = [np.empty((count, array.size), element) for array in program.results]
    pointers = [ctypes.c_void_p(array.ctypes.data) for array in [*given, *results]]
    call = ctypes.CFUNCTYPE(None, ctypes.c_int64, *[ctypes.c_void_p] * len(pointers))
    call(compiled.address(f"{compiled.symbol}_batch"))(count, *pointers)
    return Stored(arguments, [array.astype(float) for array in results])


def spread(program: Program) -> Arrays:
    """Points between 0.1 and 0.9, whose coordinates are multiples of the golden ratio without their whole part."""
    found, at = [], 1
    for array in program.arguments:
        ks = at + np.arange(POINTS * array.size)
        found.append(np.round(0.1 + 0.8 * (ks * 0.618033988749895 % 1.0), 3).reshape(POINTS, array.size))
        at += POINTS * array.size
    return found


def _given(program: Program, points: Sequence[Sequence[Sequence[float]]]) -> Arrays:
    columns = [np.array([point[k] for point in points], float) for k in range(len(program.arguments))]
    for array, column in zip(program.arguments, columns, strict=True):
        if column.shape != (len(points), array.size) or not len(points):
            raise ValueError(f"{program.name}: test points of {array.name} have shape {column.shape}")
    return columns


def reduced(interface: Interface, rows: Stored) -> list[NDArray[np.float64]]:
    """What `NAME_reduce` gives for the stored rows, added exactly."""
    kinds = () if interface.reduction is None else interface.reduction.kinds
    found = []
    for kind, table in zip(kinds, rows.results, strict=True):
        found.append(np.array([_reduce(kind, column) for column in table.T.tolist()]))
    return found


def _reduce(kind: str, column: list[float]) -> float:
    if not all(map(math.isfinite, column)):
        return math.nan  # compared with nothing
    if kind == "max":
        return max(column)
    if kind == "logsumexp":
        top = max(column)
        return top + math.log(math.fsum(math.exp(x - top) for x in column))
    total = math.fsum(column)
    return total if kind == "sum" else total / len(column)


def c_test(interface: Interface, program: Program, points: Sequence[Sequence[Sequence[float]]] | None) -> str:
    """The text of `NAME_test.c`: returns 0 if everything agrees, else says what does not and returns 1."""
    rows = stored(program, interface.element, points)
    count = len(rows.results[0]) if rows.results else POINTS
    name, kind = interface.name, "float" if interface.element == "float32" else "double"
    arguments = interface.parameters[: len(program.arguments)]
    results = interface.parameters[len(program.arguments) :]
    lines = [
        f"/* Calls {name} at {count} stored points and compares: returns 0 if it agrees with the stored values. */",
        f'#include "{name}.h"',
        "#include <math.h>",
        "#include <stdio.h>",
        "",
        f"#define CODEGEN_POINTS {count}",
        f"typedef {kind} codegen_number;",
        "",
    ]
    suffix = "f" if kind == "float" else ""
    for parameter, table in zip([*arguments, *results], [*rows.arguments, *rows.results], strict=True):
        numbers = ", ".join(_literal(float(x), suffix) for x in table.ravel()) or "0"
        size = f"CODEGEN_POINTS * {max(1, parameter.array.size)}"
        word = "want" if parameter.is_result else "in"
        lines.append(f"static const codegen_number codegen_{word}_{parameter.name}[{size}] = {{{numbers}}};")
        if parameter.is_result:
            lines.append(f"static codegen_number codegen_got_{parameter.name}[{size}];")
        lines.append(f"static codegen_number codegen_by_element_{parameter.name}[{size}];")
    lines += ["", COMPARE.replace("TOLERANCE", repr(TOLERANCE[interface.element])), MAIN_HEAD]
    lines += _numbers(interface)
    lines += [*_one_by_one(interface), *_together(interface), *_by_element(interface)]
    if interface.reduction is not None:
        shared = interface.reduction.shared
        same = [np.repeat(a[:1], count, axis=0) if k in shared else a for k, a in enumerate(rows.arguments)]
        lines += _reduction(interface, computed(program, interface.element, same), suffix)
    lines += [
        "    (void)i;",
        "    (void)e;",
        '    printf(wrong ? "FAILED\\n" : "ok\\n");',
        "    return wrong != 0;",
        "}",
        "",
    ]
    return "\n".join(lines)


def _literal(value: float, suffix: str) -> str:
    text = number(value)
    return (
        text
        if value != value or math.isinf(value)
        else f"{text[:-1]}{suffix})"
        if text.endswith(")")
        else text + suffix
    )


COMPARE = """\
static double codegen_size(double x)
{
    return x < 0 ? -x : x;
}

static int codegen_apart(
    const char *name, const codegen_number *got, const codegen_number *want, int64_t points, int64_t size)
{
    int64_t i, e;
    for (i = 0; i < points; i++) {
        double largest = 0;
        for (e = 0; e < size; e++) {
            const double x = codegen_size((double)want[i * size + e]);
            if (x - x == 0 && x > largest)
                largest = x;
        }
        for (e = 0; e < size; e++) {
            const double x = (double)got[i * size + e], y = (double)want[i * size + e];
            if (x == y || (x != x && y != y))
                continue;
            if (!(codegen_size(x - y) <= TOLERANCE * largest)) {
                printf("%s: point %d, element %d is %.17g, not %.17g\\n", name, (int)i, (int)e, x, y);
                return 1;
            }
        }
    }
    return 0;
}
"""
MAIN_HEAD = """\
int main(void)
{
    int wrong = 0;
    int64_t i, e;\
"""


def _numbers(interface: Interface) -> list[str]:
    """The query functions tell what the header says."""
    name, upper = interface.name, interface.name.upper()
    lines = [
        f"    wrong |= {name}_abi_version() != {upper}_ABI_VERSION || {upper}_ABI_VERSION != {ABI_VERSION};",
        f"    wrong |= {name}_arguments() != {upper}_ARGUMENTS || {name}_results() != {upper}_RESULTS;",
        f"    wrong |= {name}_parameter(-1) != 0 || {name}_shape({len(interface.parameters)}) != 0;",
    ]
    for k, parameter in enumerate(interface.parameters):
        if parameter.is_result and (pattern := interface.patterns.get(parameter.name)) is not None:
            nnz = f"{upper}_NNZ_{parameter.name}"
            lines.append(f"    wrong |= {name}_sparsity({k}) == 0 || {name}_sparsity({k})[2] != {nnz};")
            last = f"{name}_{parameter.name}_row_starts[{pattern.shape[0]}]"
            lines.append(f"    wrong |= {last} != {nnz};")
        else:
            lines.append(f"    wrong |= {name}_sparsity({k}) != 0;")
    return [*lines, "    if (wrong)", '        printf("the query functions and the header disagree\\n");']


def _compared(interface: Interface, points: str = "CODEGEN_POINTS", what: str = "") -> list[str]:
    results = [p for p in interface.parameters if p.is_result]
    return [
        f'    wrong |= codegen_apart("{interface.name}{what} {p.name}", codegen_got_{p.name}, codegen_want_{p.name}, '
        f"{points}, {p.array.size});"
        for p in results
    ]


def _place(p: Parameter) -> str:
    return f"codegen_{'got' if p.is_result else 'in'}_{p.name}"


def _one_by_one(interface: Interface) -> list[str]:
    names = ", ".join(f"{_place(p)} + {p.array.size} * i" for p in interface.parameters)
    loop = f"    for (i = 0; i < CODEGEN_POINTS; i++)\n        {interface.name}({names});"
    return [loop, *_compared(interface), *_cleared(interface)]


def _cleared(interface: Interface) -> list[str]:
    return [
        f"    for (i = 0; i < CODEGEN_POINTS * {p.array.size}; i++)\n        codegen_got_{p.name}[i] = -1;"
        for p in interface.parameters
        if p.is_result
    ]


def _together(interface: Interface) -> list[str]:
    names = ", ".join(["CODEGEN_POINTS", *map(_place, interface.parameters)])
    return [f"    {interface.name}_batch({names});", *_compared(interface, what="_batch"), *_cleared(interface)]


def _by_element(interface: Interface) -> list[str]:
    """Structures of arrays: the points of an element stand side by side."""
    lines: list[str] = []
    after: list[str] = []
    for p in interface.parameters:
        loops = f"    for (i = 0; i < CODEGEN_POINTS; i++)\n        for (e = 0; e < {p.array.size}; e++)\n            "
        here = f"codegen_by_element_{p.name}[e * CODEGEN_POINTS + i]"
        there = f"{_place(p)}[i * {p.array.size} + e]"
        (after if p.is_result else lines).append(
            f"{loops}{there} = {here};" if p.is_result else f"{loops}{here} = {there};"
        )
    names = ", ".join(f"codegen_by_element_{p.name}, 1, CODEGEN_POINTS" for p in interface.parameters)
    call = f"    {interface.name}_strided({', '.join(filter(None, ['CODEGEN_POINTS', names]))});"
    return [*lines, call, *after, *_compared(interface, what="_strided"), *_cleared(interface)]


def _reduction(interface: Interface, rows: Stored, suffix: str) -> list[str]:
    """All stored rows reduced to one; of a shared argument, its first point counts."""
    results = [p for p in interface.parameters if p.is_result]
    count = len(rows.results[0])
    lines = [f"    {interface.name}_reduce({', '.join([str(count), *map(_place, interface.parameters)])});"]
    for p, values in zip(results, reduced(interface, rows), strict=True):
        numbers = ", ".join(_literal(float(x), suffix) for x in values) or "0"
        lines.append(f"    {{\n        static const codegen_number codegen_sum[] = {{{numbers}}};")
        finite = " && ".join(f"codegen_sum[{k}] == codegen_sum[{k}]" for k in range(p.array.size)) or "0"
        lines.append(
            f'        if ({finite})\n            wrong |= codegen_apart("{interface.name}_reduce {p.name}", '
            f"codegen_got_{p.name}, codegen_sum, 1, {p.array.size});\n    }}"
        )
    return lines
