"""Reducing the rows of a call in C: sums by compensated addition, maxima, log-sum-exp about the largest so far."""

from __future__ import annotations

from codegen.export.interface import Interface
from codegen.export.parameters import Parameter

# Knuth's exact sum of two numbers. Options such as -ffast-math take the compensation away.
HELPER = """\
static void codegen_add(double *high, double *low, double x)
{
    const double total = *high + x;
    const double part = total - *high;
    *low += (*high - (total - part)) + (x - part);
    *high = total;
}"""


def c_reduce(interface: Interface) -> str:
    """The body of `NAME_reduce`."""
    reduction = interface.reduction
    if reduction is None:
        raise AssertionError("a reduction is written of an interface that has one")
    parameters = interface.parameters
    arguments = [p for p in parameters if not p.is_result]
    results = [p for p in parameters if p.is_result]
    lines = ["    int64_t codegen_i, codegen_e;\n"]
    start, step, end = [], [], []
    for p, kind in zip(results, reduction.kinds, strict=True):
        size = max(1, p.array.size)
        lines.append(f"    {p.type} codegen_of_{p.name}[{size}];\n    double codegen_high_{p.name}[{size}];\n")
        if kind != "max":
            lines.append(f"    double codegen_low_{p.name}[{size}];\n")
        each = f"for (codegen_e = 0; codegen_e < {p.array.size}; codegen_e++)"
        first, more, last = _steps(p, kind)
        start.append(f"    {each} {{\n{first}    }}\n")
        step.append(f"        {each} {{\n{more}        }}\n")
        end.append(f"    {each} {{\n{last}    }}\n")
    calls = []
    for number, p in enumerate(arguments):
        size = p.array.size
        moving = f"{p.name} + {size} * codegen_i" if size != 1 else f"{p.name} + codegen_i"
        calls.append(p.name if number in reduction.shared else moving)
    calls += [f"codegen_of_{p.name}" for p in results]
    loop = "    for (codegen_i = 0; codegen_i < n; codegen_i++) {\n"
    return "".join([*lines, *start, loop, f"        {interface.name}({', '.join(calls)});\n", *step, "    }\n", *end])


def _steps(p: Parameter, kind: str) -> tuple[str, str, str]:
    """What is done with one element before the first row, with each, and after the last."""
    x, out = f"codegen_of_{p.name}[codegen_e]", f"{p.name}[codegen_e]"
    high, low = f"codegen_high_{p.name}[codegen_e]", f"codegen_low_{p.name}[codegen_e]"
    cast = "" if p.type == "double" else f"({p.type})"
    if kind == "max":
        return (
            f"        {high} = -INFINITY;\n",
            f"            if (!({high} >= {x}) && {high} == {high})\n                {high} = {x};\n",
            f"        {out} = {cast}{high};\n",
        )
    if kind == "logsumexp":
        return (
            f"        {high} = -INFINITY;\n        {low} = 0;\n",
            f"            if ({x} > {high}) {{\n"
            f"                {low} = {low} * exp({high} - {x}) + 1;\n                {high} = {x};\n"
            f"            }} else {{\n"
            f"                {low} += {x} == {high} ? 1 : exp({x} - {high});\n            }}\n",
            f"        {out} = {cast}({high} == -INFINITY && {low} == {low} ? -INFINITY : log({low}) + {high});\n",
        )
    total = f"({high} + ({high} - {high} == 0 ? {low} : 0))"
    return (
        f"        {high} = 0;\n        {low} = 0;\n",
        f"            codegen_add(&{high}, &{low}, {x});\n",
        f"        {out} = {cast}{total if kind == 'sum' else f'({total} / (double)n)'};\n",
    )
