"""`derive` and `latex`: derivatives to read and to paste."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from codegen.export.c_source import c_source
from codegen.export.interface import Interface
from hybrid.commands.shared import (
    Shapes,
    derivatives,
    emit,
    emit_json,
    json_option,
    kind_option,
    name_option,
    output_option,
    read,
    shape_option,
    shown,
    source_argument,
    wrt_option,
)
from hybrid.errors import UnsupportedError
from hybrid.function import Function
from hybrid.progress import Stages
from hybrid.python_code import python_code


def c_code(function: Function) -> str:
    """The function as C99, with the entry points that docs/abi.md describes."""
    python = [external.name for external in function.program().externals if external.c is None]
    if python:
        raise UnsupportedError(f"{function.name} calls {python[0]}, Python code of this process, which C has not")
    return c_source(Interface(replace(function.program(named=True), name=function.name)))


WRITERS: dict[str, Callable[[Function], str]] = {
    "text": str,
    "latex": Function.latex,
    "mathml": Function.mathml,
    "sympy": lambda function: str(function.sympy()),
    "python": lambda function: python_code(function.program(named=True)),
    "c": c_code,
}


@click.command()
@source_argument
@kind_option(None)
@wrt_option
@shape_option
@name_option
@click.option(
    "--format",
    "format_",
    type=click.Choice(list(WRITERS)),
    default="text",
    show_default=True,
    help="How derivatives are written: Unicode text, LaTeX, MathML, SymPy, NumPy code, C99.",
)
@click.option("--as-derived", is_flag=True, help="Leave derivatives as they come, without simplification.")
@output_option
@json_option
def derive(
    source: str,
    kinds: Sequence[str],
    wrt: Sequence[str],
    shapes: Shapes,
    name: str | None,
    format_: str,
    as_derived: bool,
    output: Path | None,
    as_json: bool,
) -> None:
    """Write derivatives of SOURCE as text, formulas or code.

    \b
    hybrid derive "exp(x*y) + sin(x)"
    hybrid derive "r = hypot(x, y); r*exp(-r)" --of hessian --format sympy
    hybrid derive "sum(log(q)**2)" --shape q=7 --of hessian --format latex
    hybrid derive model.py:energy --of jacobian --wrt q --format python -o energy_jacobian.py
    echo "x**3" | hybrid derive - --of value --of gradient --json

    With --json: "function" and "derivatives", each with "name", "arguments" (name to shape), "shape", "operations",
    "text", "latex", "mathml", "sympy" and "python".
    """
    function = read(source, shapes, name)
    with Stages(f"hybrid derive {function.name}", "differentiate", {}) as stages:
        derived = derivatives(function, kinds, wrt)
        stages.finished("differentiate", "simplify")
        derived = [simplified(item, as_derived) for item in derived]
    if as_json:
        emit_json({"function": describe(function), "derivatives": [describe(d) for d in derived]}, output)
        return
    with shown(ValueError):  # a name that C reserves
        emit("\n\n".join(WRITERS[format_](item).rstrip("\n") for item in derived), output)


@click.command()
@source_argument
@kind_option("value")
@wrt_option
@shape_option
@name_option
@click.option(
    "--style",
    type=click.Choice(["plain", "equation", "align"]),
    default="plain",
    show_default=True,
    help="For use between dollars, or a numbered environment.",
)
@click.option("--entries", is_flag=True, help="One equation per entry instead of a matrix.")
@click.option("--partial", is_flag=True, help="Name a derivative by its partials instead of ∇f, J, ∇²f.")
@click.option("--document", is_flag=True, help="A whole document that LaTeX can compile.")
@output_option
def latex(
    source: str,
    kinds: Sequence[str],
    wrt: Sequence[str],
    shapes: Shapes,
    name: str | None,
    style: str,
    entries: bool,
    partial: bool,
    document: bool,
    output: Path | None,
) -> None:
    """Write SOURCE and its derivatives as LaTeX.

    \b
    hybrid latex "exp(-x**2)/sqrt(pi)"
    hybrid latex "x*y*sin(z)" --of value --of hessian --document -o f.tex
    """
    function = read(source, shapes, name)
    numbered = "align" if document and style == "plain" else style
    form, lhs = "entries" if entries else "matrix", "partial" if partial else True
    parts = [
        simplified(item, False).latex(style=numbered, form=form, lhs=lhs) for item in derivatives(function, kinds, wrt)
    ]
    emit(DOCUMENT % "\n\n".join(parts) if document else "\n\n".join(parts), output)


DOCUMENT = r"""\documentclass{article}
\usepackage{amsmath,amssymb}
\allowdisplaybreaks
\begin{document}
%s
\end{document}"""


def simplified(function: Function, as_derived: bool) -> Function:
    return function if as_derived else function.simplify()


def describe(function: Function) -> dict[str, Any]:
    """A function as plain data."""
    return {
        "name": function.name,
        "arguments": {argument.name: list(argument.shape) for argument in function.arguments},
        "shape": list(function.shape),
        "operations": function.operations(),
        "text": str(function),
        "latex": function.latex(),
        "mathml": function.mathml(),
        "sympy": str(function.sympy()),
        "python": python_code(function.program(named=True)),
    }
