"""The site: `sphinx-build -W docs build/site`. Pages are Markdown; the reference comes from docstrings."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import hybrid

project = "hybrid"
copyright = "the authors of hybrid, MIT licence"  # the name is Sphinx's
version = release = hybrid.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.mathjax", "sphinx_copybutton"]
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_fence_as_directive = ["math"]
myst_heading_anchors = 3
# Links to files of the repository that are no pages of the site.
suppress_warnings = ["myst.xref_missing"]

html_theme = "furo"
html_title = "hybrid"
html_theme_options = {"navigation_with_keys": True}
copybutton_exclude = ".linenos, .gp, .go"
default_role = "code"
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": False}
smartquotes = False
nitpicky = False

CODE = re.compile(r"(`+[^`]+`+)")
SPECIAL = re.compile(r"([*|\\]|(?<=\w)_(?!\w))")


def plain(text: str) -> str:
    """Prose as reStructuredText: `code` stays code, nothing else is markup."""
    parts = CODE.split(text)
    for place, part in enumerate(parts):
        if not part.startswith("`"):
            parts[place] = SPECIAL.sub(r"\\\1", part)
            continue
        after = parts[place + 1][:1] if place + 1 < len(parts) else ""
        parts[place] = "``" + part.strip("`") + "``" + ("\\ " if after.isalnum() else "")
    return "".join(parts)


def paragraphs(text: str) -> list[str]:
    """What is indented less than the line before begins a new paragraph, as it does to a reader."""
    spaced: list[str] = []
    for line in text.split("\n"):
        depth = len(line) - len(line.lstrip())
        if spaced and line.strip() and spaced[-1].strip() and depth < len(spaced[-1]) - len(spaced[-1].lstrip()):
            spaced.append("")
        spaced.append(line)
    return spaced


def parameters(lines: list[str]) -> list[str]:
    """Entries `names : meaning`, with what is indented below them, as fields."""
    fields: list[str] = []
    for line in plain("\n".join(lines)).split("\n"):
        names, colon, meaning = line.partition(" : ")
        fields.append(f":param {names}: {meaning}" if colon and not line.startswith(" ") else line)
    return fields


def written(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Docstrings are prose, with a list under `Parameters` that ends at the first empty line."""
    if any(line.lstrip().startswith(">>>") for line in lines):
        return
    if "Parameters" not in lines:
        lines[:] = paragraphs(plain("\n".join(lines)))
        return
    start = lines.index("Parameters")
    stop = lines.index("", start) if "" in lines[start:] else len(lines)
    before, after = (paragraphs(plain("\n".join(part))) for part in (lines[:start], lines[stop:]))
    lines[:] = [*before, "", *parameters(lines[start + 2 : stop]), "", *after]


def setup(app: Any) -> None:
    app.connect("autodoc-process-docstring", written)
