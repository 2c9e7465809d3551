"""The C header of an exported program: prototypes, and all a caller must know about arguments and layout."""

from __future__ import annotations

import re
import textwrap

from codegen.export.interface import ABI_VERSION, Interface
from codegen.export.parameters import C_TYPES, Parameter

RESTRICT = """\
#ifndef CODEGEN_RESTRICT
#if defined(__cplusplus)
#define CODEGEN_RESTRICT __restrict
#elif defined(__STDC_VERSION__) && __STDC_VERSION__ >= 199901L
#define CODEGEN_RESTRICT restrict
#else
#define CODEGEN_RESTRICT
#endif
#endif
"""
# Around functions that a shared library offers, in C and in C++.
EXPORTED = """\
#ifndef CODEGEN_EXPORT
#define CODEGEN_EXPORT
#endif

#ifdef __cplusplus
extern "C" {
#endif
"""
EXPORTED_END = """\
#ifdef __cplusplus
}
#endif
"""


def header(interface: Interface) -> str:
    """The text of `NAME.h`, for C99 and C++."""
    name = interface.name
    guard = f"CODEGEN_{name.upper()}_H"
    lines = [
        *_comment(interface),
        f"#ifndef {guard}",
        f"#define {guard}",
        "",
        "#include <stdint.h>",
        "",
        *_macros(interface),
        "",
        RESTRICT,
        "#ifdef __cplusplus",
        'extern "C" {',
        "#endif",
        "",
    ]
    for prototype in interface.prototypes().values():
        lines += [f"{prototype};", ""]
    for symbol, values in interface.tables.items():
        lines.append(f"extern const int32_t {symbol}[{max(1, len(values))}];")
    lines += ["", "#ifdef __cplusplus", "}", "#endif", "", f"#endif /* {guard} */", ""]
    return "\n".join(lines)


def _macros(interface: Interface) -> list[str]:
    upper, program = interface.name.upper(), interface.program
    lines = [
        f"#define {upper}_ABI_VERSION {ABI_VERSION}",
        f"#define {upper}_ARGUMENTS {len(program.arguments)}",
        f"#define {upper}_RESULTS {len(program.results)}",
    ]
    lines += [f"#define {upper}_SIZE_{p.name} {p.array.size}" for p in interface.parameters]
    for parameter, pattern in interface.patterns.items():
        for word, value in (("NNZ", pattern.nnz), ("ROWS", pattern.shape[0]), ("COLUMNS", pattern.shape[1])):
            lines.append(f"#define {upper}_{word}_{parameter} {value}")
    return lines


def _comment(interface: Interface) -> list[str]:
    name, number = interface.name, C_TYPES[interface.element]
    width = max((len(parameter.name) for parameter in interface.parameters), default=0)
    lines = [
        f"/* {name}: generated code. All numbers are {interface.element} ({number}).",
        " *",
        " * Parameters, in order, with their elements per point (C order, last index fastest):",
        *[f" *   {_described(interface, parameter, width)}" for parameter in interface.parameters],
    ]
    for paragraph in _paragraphs(interface):
        lines += [" *", *(f" * {line}" for line in textwrap.wrap(paragraph, 112))]
    return [*lines, " */"]


def _paragraphs(interface: Interface) -> list[str]:
    """What holds for callers."""
    name, number = interface.name, C_TYPES[interface.element]
    found = [
        f"{name} computes one point. {name}_batch computes n points: every array has n as its first index, so point i "
        f"of an array with s elements a point starts s*i {number}s after its start. n <= 0 does nothing.",
    ]
    if "_strided" in interface.prototypes():
        found += _strides(name, number)
    if interface.reduction is not None:
        results = interface.parameters[len(interface.program.arguments) :]
        kinds = ", ".join(f"{p.name} the {kind}" for p, kind in zip(results, interface.reduction.kinds, strict=True))
        found.append(
            f"{name}_reduce reads n points like {name}_batch, but for the arguments that are the same for all points, "
            f"which hold one, and writes one point of results: {kinds} over the points. Of no points a sum is 0, a "
            "mean NaN, a maximum and a log-sum-exp -inf."
        )
    if any(map(interface.listed, interface.patterns.values())):
        found.append(
            "Of a sparse result the values are those at (rows[i], columns[i]) of the tables below, by row and then by "
            "column. Compressed rows are row_starts with columns; compressed columns are column_starts with "
            "by_column_rows, where by_column[i] is the number of the value that comes i-th."
        )
    if writers := [f"{name}{suffix}" for suffix in interface.prototypes() if suffix.endswith("_pattern")]:
        found.append(
            f"{', '.join(writers)} writes the rows and the columns of all values of a sparse result, by row and then "
            "by column."
        )
    large = not all(map(interface.listed, interface.patterns.values()))
    unlisted = ", or too large to be listed" if large else ""
    found += [
        f"{name}_parameter(k), {name}_shape(k), {name}_sparsity(k) tell of parameter k its name; its rank and extents; "
        f"and its rows, columns, number of values, row and column indices. The last is null if it is dense{unlisted}, "
        f"all are null if there is no such parameter. {name}_abi_version() is that of the code, "
        f"{name.upper()}_ABI_VERSION that of this file.",
        f"Results must overlap neither arguments nor each other. Pointers need the alignment of {number}, no more. The "
        "functions are reentrant, keep no state, and leave the floating-point environment as they found it. A point "
        "outside the domain gives NaN at that point.",
    ]
    return found


def _strides(name: str, number: str) -> list[str]:
    return [
        f"{name}_strided is given, after each array, how many {number}s apart points and elements are: element e of "
        "point i is x[i*x_point + e*x_element], so x_point = 1, x_element = n is an array of n numbers per element, "
        "and x_point = 0 the same point every time.",
        f"{name}_loop is the same over arbitrary strides, all in bytes, as an inner loop of a NumPy gufunc: args holds "
        "the addresses, dimensions[0] the number of points, steps the distance between points of each array, followed "
        "by the distances along the axes of each array in turn; data is not used.",
    ]


def _described(interface: Interface, parameter: Parameter, width: int) -> str:
    role = "result  " if parameter.is_result else "argument"
    notes = []
    if parameter.array.name != parameter.name:
        notes.append(f"({plain(parameter.array.name)})")
    pattern = interface.patterns.get(parameter.name) if parameter.is_result else None
    if pattern is not None:
        notes.append(f"{pattern.nnz} values of a sparse {pattern.shape[0]} x {pattern.shape[1]} matrix")
    reduction = interface.reduction
    if reduction is not None and not parameter.is_result and interface.parameters.index(parameter) in reduction.shared:
        notes.append("the same for all points of a reduction")
    return "  ".join([f"{role}  {parameter.name:<{width}}  {parameter.shape}", *notes])


def plain(text: str) -> str:
    """Text that cannot end a C comment or leave its line."""
    return re.sub(r"[^\x20-\x7e]", "?", text).replace("*/", "* /").replace("/*", "/ *").replace("\\", "/")
