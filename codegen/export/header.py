"""The C header of an exported program: prototypes, and all a caller must know about arguments and layout."""

from __future__ import annotations

import re
from dataclasses import dataclass

from codegen.emit import RESERVED
from codegen.program import Array, Program

# Raised when what the functions expect from their callers changes.
ABI_VERSION = 1
C_TYPES = {"float64": "double", "float32": "float"}


@dataclass(frozen=True)
class Parameter:
    """An argument or result as a C parameter."""

    name: str
    array: Array
    is_result: bool
    element: str = "float64"

    @property
    def declaration(self) -> str:
        kind = self.type if self.is_result else f"const {self.type}"
        return f"{kind} *CODEGEN_RESTRICT {self.name}"

    @property
    def type(self) -> str:
        return C_TYPES[self.element]

    @property
    def shape(self) -> str:
        return "".join(f"[{n}]" for n in self.array.shape) or "scalar"


def parameters(program: Program, element: str = "float64") -> list[Parameter]:
    """C parameters in order, arguments first, with names that C accepts and that differ from each other."""
    taken = {program.name, "n", "restrict", "inline", "NAN", "INFINITY", "NULL", "EOF", "errno"} | RESERVED
    result = []
    for arrays, is_result in ((program.arguments, False), (program.results, True)):
        for array in arrays:
            base = re.sub(r"\W", "_", array.name, flags=re.ASCII)
            # Names that start with an underscore or are all capitals may be macros of the C library.
            if not base or not base[0].isalpha():
                base = f"x{base}"
            name, count = base, 0
            while name in taken or name.startswith(("codegen_", "CODEGEN_")):
                count += 1
                name = f"{base}_{count}"
            taken.add(name)
            result.append(Parameter(name, array, is_result, element))
    return result


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


def prototypes(program: Program, element: str = "float64") -> tuple[str, str]:
    """The one-point function and the batch function, without the semicolon."""
    declarations = [parameter.declaration for parameter in parameters(program, element)]
    point = ",\n    ".join(declarations) or "void"
    batch = ",\n    ".join(["int64_t n", *declarations])
    return f"void {program.name}(\n    {point})", f"void {program.name}_batch(\n    {batch})"


def header(program: Program, element: str = "float64") -> str:
    """The text of `NAME.h`, for C99 and C++; `element` is the type of all numbers."""
    name, guard = program.name, f"CODEGEN_{program.name.upper()}_H"
    point, batch = prototypes(program, element)
    number = C_TYPES[element]
    upper = name.upper()
    lines = [
        f"/* {name}: generated code. All numbers are {element} ({number}).",
        " *",
        " * Parameters, in order, with their elements per point (C order, last index fastest):",
    ]
    width = max((len(parameter.name) for parameter in parameters(program)), default=0)
    for parameter in parameters(program):
        role = "result  " if parameter.is_result else "argument"
        original = f"  ({_comment(parameter.array.name)})" if parameter.array.name != parameter.name else ""
        lines.append(f" *   {role}  {parameter.name:<{width}}  {parameter.shape}{original}")
    lines += [
        " *",
        f" * {name} computes one point. {name}_batch computes n points: every array has n as its first index, so",
        f" * point i of an array with s elements a point starts s*i {number}s after its start. n <= 0 does nothing.",
        f" * {name}_loop is the same over arbitrary strides, all in bytes, as an inner loop of a NumPy gufunc:",
        " * args holds the addresses, dimensions[0] the number of points, steps the distance between points of each",
        " * array, followed by the distances along the axes of each array in turn; data is not used.",
        " *",
        f" * Results must overlap neither arguments nor each other. Pointers need the alignment of {number}, no more.",
        " * The functions are reentrant, keep no state, and leave the floating-point environment as they found it. A",
        " * point outside the domain gives NaN at that point.",
        " */",
        f"#ifndef {guard}",
        f"#define {guard}",
        "",
        "#include <stdint.h>",
        "",
        f"#define {upper}_ABI_VERSION {ABI_VERSION}",
        f"#define {upper}_ARGUMENTS {len(program.arguments)}",
        f"#define {upper}_RESULTS {len(program.results)}",
    ]
    for parameter in parameters(program):
        lines.append(f"#define {upper}_SIZE_{parameter.name} {parameter.array.size}")
    lines += ["", RESTRICT, "#ifdef __cplusplus", 'extern "C" {', "#endif", "", f"{point};", "", f"{batch};", ""]
    lines += [
        f"void {name}_loop(char **args, const int64_t *dimensions, const int64_t *steps, void *data);",
        "",
        "#ifdef __cplusplus",
        "}",
        "#endif",
        "",
        f"#endif /* {guard} */",
        "",
    ]
    return "\n".join(lines)


def _comment(text: str) -> str:
    """Text that cannot end a C comment or leave its line."""
    return re.sub(r"[^\x20-\x7e]", "?", text).replace("*/", "* /").replace("/*", "/ *").replace("\\", "/")
