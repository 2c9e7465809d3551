"""Names of inputs and outputs as HTML and as plain text: `sigma` is σ, element 0 of `q` is q with the subscript 1.

The reading is that of the LaTeX, so that a name looks alike in the formulas, on the sliders and in the pictures.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from html import escape

import numpy as np

from hybrid.definition import Argument
from hybrid.printing.naming import LETTERS, read_name

MARKS = {"dot": "\u0307", "ddot": "\u0308", "bar": "\u0304", "hat": "\u0302", "tilde": "\u0303", "vec": "\u20d7"}
COMMAND = re.compile(r"\\(\w+?)(?:\{(.*)\})?")
SHORT = 24  # letters of a name that are shown


@dataclass(frozen=True)
class Label:
    """A name: `html` to be put into a page, `text` for attributes and screen readers, both safe as they are."""

    html: str
    text: str


def label(name: str, index: Sequence[int] = ()) -> Label:
    """How an input, an output or one element of it is written; elements are counted from 1, as in the formulas."""
    body, subscripts = read(name)
    counted = [str(i + 1) for i in index]
    below = [*subscripts, *counted]
    spoken = escape(shortened(name)) + (f"[{', '.join(counted)}]" if counted else "")
    return Label(body + (f"<sub>{','.join(below)}</sub>" if below else ""), spoken)


@lru_cache(maxsize=256)
def read(name: str) -> tuple[str, tuple[str, ...]]:
    """A name as markup, and the subscripts it has; a name that reads as no mathematics is set as code."""
    reading = read_name(name)
    base = plain(reading.base) if reading is not None else None
    below = [plain(text) for text in reading.subscripts] if reading is not None else []
    if reading is None or base is None or len(name) > SHORT or None in below:
        return f"<code>{escape(shortened(name))}</code>", ()
    letter = escape(base) + "".join(MARKS[accent.removeprefix("\\")] for accent in reading.accents)
    return (f"<i>{letter}</i>" if len(base) == 1 else letter), tuple(escape(text) for text in below if text)


def shortened(name: str) -> str:
    return name if len(name) <= SHORT else f"{name[: SHORT - 1]}…"


def plain(latex: str) -> str | None:
    """A letter or word without its command; None if it is neither."""
    if "\\" not in latex:
        return latex
    match = COMMAND.fullmatch(latex)
    if match is None:
        return None
    return match[2] if match[2] and "\\" not in match[2] else LETTERS.get(match[1])


def element_labels(argument: Argument) -> list[Label]:
    """A label for every element of an argument, in C order."""
    return [label(argument.name, index) for index in np.ndindex(argument.shape)]


def output_labels(name: str, shape: Sequence[int]) -> list[Label]:
    """A label for every output of a function, in C order."""
    return [label(name, index) for index in np.ndindex(*shape)]
