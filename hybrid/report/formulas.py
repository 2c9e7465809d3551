"""A formula on the page: MathML to read, LaTeX to copy."""

from __future__ import annotations

from dataclasses import dataclass

from hybrid.function import Function

MOST_LETTERS = 400_000  # of the MathML of one formula; a longer one is shown as LaTeX


@dataclass(frozen=True)
class Formula:
    """A titled formula; `mathml` is empty where it is shown as LaTeX."""

    title: str
    shape: str
    latex: str
    mathml: str


def formula(title: str, function: Function, shape: str) -> Formula:
    markup = function.mathml()
    return Formula(title, shape, function.latex(), markup if len(markup) <= MOST_LETTERS else "")
