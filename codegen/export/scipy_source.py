"""C functions that SciPy's LowLevelCallable takes: `double f(int n, double *x)`, for integrals (docs/interfaces.md)."""

from __future__ import annotations

from codegen.export.bundle import Build
from codegen.export.c_source import point, support
from codegen.export.derived import cut_down, words_of
from codegen.export.header import EXPORTED, EXPORTED_END, RESTRICT


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
    texts, needed = [], []
    for wanted in numbers:
        symbol = f"{name}_scipy_{words[wanted.name]}"
        part = cut_down(build, f"codegen_{symbol}", [wanted])
        if part is not None:
            needed += support(part.program)
            texts += [f"{text}\n" for text in point(part, part.program, f"static {part.prototypes()['']}")]
        given = [*_places(build), "&codegen_value"]
        texts += [
            f"CODEGEN_EXPORT double {symbol}(int n, double *x)",
            "{",
            "    double codegen_value;",
            *([] if total else ["    (void)x;"]),
            f"    if (n != {total})",
            "        return NAN;",
            f"    {name if part is None else part.name}({', '.join(given)});",
            "    return codegen_value;",
            "}",
            "",
        ]
    head = [
        f"/* {name}: generated code for SciPy's LowLevelCallable, over the functions of {name}.h. */",
        "#include <math.h>",
        "",
        RESTRICT,
        EXPORTED,
        f"{build.interface.prototypes_on_one_line()[name]};",
        "",
    ]
    return "\n".join([*head, *dict.fromkeys(needed), *texts, EXPORTED_END])


def _places(build: Build) -> list[str]:
    """Where each argument begins in x."""
    found, at = [], 0
    for p in build.interface.parameters:
        if not p.is_result:
            found.append(f"x + {at}")
            at += p.array.size
    return found
