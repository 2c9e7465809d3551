"""C functions that SciPy's LowLevelCallable takes: `double f(int n, double *x)`, for integrals (docs/interfaces.md)."""

from __future__ import annotations

from codegen.export.bundle import Build
from codegen.export.derived import words_of


def scipy_source(build: Build) -> str:
    """The text of `NAME_scipy.c`, C99 and C++: `NAME_scipy_R` for each result R that is one number.

    x holds the elements of all arguments, one after the other; of another n the value is NaN. Raises ValueError if no
    result is one number, and for numbers other than float64.
    """
    name, parameters = build.name, build.interface.parameters
    if build.element != "float64":
        raise ValueError(f"{name}: SciPy's callbacks have numbers of type float64, got {build.element}")
    numbers = [p for p in parameters if p.is_result and p.array.size == 1]
    if not numbers:
        raise ValueError(f"{name}: SciPy integrates numbers, and no result of the kernel is one number")
    total = sum(p.array.size for p in parameters if not p.is_result)
    words = words_of([p for p in parameters if p.is_result])
    texts = []
    for wanted in numbers:
        rooms, given, at = [], [], 0
        for k, p in enumerate(parameters):
            if p.is_result:
                rooms.append(f"    double codegen_{k}[{max(1, p.array.size)}];")
                given.append(f"codegen_{k}")
            else:
                given.append(f"x + {at}")
                at += p.array.size
        idle = [] if total else ["    (void)x;"]
        texts += [
            f"CODEGEN_EXPORT double {name}_scipy_{words[wanted.name]}(int n, double *x)",
            "{",
            *rooms,
            *idle,
            f"    if (n != {total})",
            "        return NAN;",
            f"    {name}({', '.join(given)});",
            f"    return codegen_{parameters.index(wanted)}[0];",
            "}",
            "",
        ]
    head = [
        f"/* {name}: generated code for SciPy's LowLevelCallable, over the functions of {name}.h. */",
        "#include <math.h>",
        "",
        "#ifndef CODEGEN_EXPORT",
        "#define CODEGEN_EXPORT",
        "#endif",
        "",
        "#ifdef __cplusplus",
        'extern "C" {',
        "#endif",
        "",
        f"{build.interface.prototypes_on_one_line()[name]};",
        "",
    ]
    return "\n".join([*head, *texts, "#ifdef __cplusplus", "}", "#endif", ""])
