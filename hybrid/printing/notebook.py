"""How functions, kernels and patterns show themselves in notebooks: HTML with MathML, LaTeX, and plain text.

HTML is for notebooks in a browser and needs no script there; LaTeX is what notebooks become when printed.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from hybrid.definition import Formula
from hybrid.printing.latex import latex
from hybrid.printing.mathml import mathml
from hybrid.printing.matrices import pattern_of
from hybrid.printing.pictures import svg
from hybrid.sparsity import Pattern

if TYPE_CHECKING:
    from hybrid.compiled import CompiledFunctions

WIDE = "overflow-x: auto"
SPARSE = 0.5  # density up to which a picture says more than the matrix
SMALL = 16  # rows and columns of a matrix that is shown in full


def function_html(function: Formula) -> str:
    """The formula, and the picture of a derivative that is large and sparse."""
    shown = f'<div style="{WIDE}">{mathml(function)}</div>'
    pattern = pattern_of(function)
    if pattern is None or max(pattern.shape) <= SMALL or pattern.density > SPARSE:
        return shown
    return f"<div>{shown}{pattern_html(pattern)}</div>"


def function_latex(function: Formula) -> str:
    return f"$\\displaystyle {latex(function)}$"


def kernel_html(kernel: CompiledFunctions) -> str:
    """One line that says what the kernel is, its functions to unfold, and its certificate as a table."""
    formulas = "".join(
        f"<details><summary><code>{escape(f.name)}</code> {shape_of(f.shape)}</summary>{function_html(f)}</details>"
        for f in kernel.formulas
    )
    certificate = kernel.certificate
    checked = "<p>not checked</p>" if certificate is None else certificate._repr_html_()
    return f"<div><p><code>{escape(repr(kernel))}</code></p>{formulas}{checked}</div>"


def kernel_latex(functions: Sequence[Formula]) -> str:
    return "\n\n".join(map(function_latex, functions))


def pattern_html(pattern: Pattern) -> str:
    """The pattern as a picture that fits the line, and its size in words."""
    return (
        f'<figure style="margin: 0.5em 0; max-width: 100%">{svg(pattern)}'
        f"<figcaption>{escape(repr(pattern).strip('<>'))}</figcaption></figure>"
    )


def shape_of(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape)) if shape else "scalar"
