"""The corpus printed and read back: LaTeX, plain text, MathML, Python and SymPy mean the same numbers.

The readers know nothing of the printers. The normal suite reads LaTeX of all values, a part of the rest; `--long` reads
everything, gradients too, and has KaTeX and pdflatex set all of it.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import latex_reader
import mathml_reader
import numpy as np
import pytest
import sympy_reader
import text_reader
from corpus import Line, read
from katex_strict import refused

from hybrid.evaluate import evaluate
from hybrid.function import Function
from hybrid.loading import import_file
from hybrid.parse import define
from hybrid.python_code import python_code

LINES = read()
ALL = range(len(LINES))
SAMPLE = range(3, 1000, 43)  # all families: 43 and their number have no common factor
GREEK = {"mu": ("\\mu", "μ"), "sigma": ("\\sigma", "σ")}
TOLERANCE = 1e-9


def function_of(line: Line, name: str = "f") -> Function:
    return Function.from_definition(define(line.expression, dict.fromkeys(line.variables, ()), name))


def latex_names(point: Mapping[str, float]) -> dict[str, Any]:
    """How each variable must look, by rules written here: x12 is x with subscript 12, Greek letters are letters."""
    found = {}
    for name, value in point.items():
        letters, digits = re.fullmatch(r"([a-zA-Z]+)(\d*)", name).groups()
        written = GREEK.get(letters, (letters,))[0]
        found[f"{written}_{{{digits}}}" if digits else written] = np.float64(value)
    return found


def text_names(point: Mapping[str, float]) -> dict[str, Any]:
    return {GREEK.get(name, ("", name))[1]: np.float64(value) for name, value in point.items()}


def mathml_names(point: Mapping[str, float]) -> dict[str, Any]:
    return {re.sub(r"(\D)(\d)", r"\1_\2", name): value for name, value in text_names(point).items()}


def from_latex(f: Function, point: Mapping[str, float]) -> Any:
    return latex_reader.read(f.latex(limit=None), latex_names(point))


def from_text(f: Function, point: Mapping[str, float]) -> Any:
    return text_reader.read(f.text(limit=None), text_names(point))


def from_mathml(f: Function, point: Mapping[str, float]) -> Any:
    return mathml_reader.read(f.mathml(limit=None), mathml_names(point))


def from_sympy(f: Function, point: Mapping[str, float]) -> Any:
    expressions = f.sympy()
    symbols = {name: np.float64(value) for name, value in point.items()}
    return [sympy_reader.read(e, symbols) for e in ([expressions] if f.shape == () else expressions)]


def differences(function: Function, line: Line, form: str, got: Any) -> list[str]:
    """What was read that is not what the graph means, beside the largest value that the computation goes through."""
    point = line.points[0]
    values = {a.nodes[0]: np.float64(point[a.name]) for a in function.arguments}
    nodes = function.graph.reach(function.nodes)
    with np.errstate(all="ignore"):
        through = np.abs(np.array(evaluate(function.graph, nodes, values), dtype=float))
        expected = np.array(evaluate(function.graph, function.nodes, values), dtype=float)
    scale = max(1.0, float(np.max(through[np.isfinite(through)], initial=1.0)))
    found = np.ravel(np.array(got, dtype=float))
    wrong = ~np.isclose(found, expected, rtol=TOLERANCE, atol=1e-13 * scale, equal_nan=True)
    return [f"{form} of {line.expression}: read {got}, means {expected}"] if np.any(wrong) else []


def check(reader: Any, numbers: Iterable[int], derived: bool = False) -> None:
    failures: list[str] = []
    for number in numbers:
        line = LINES[number]
        f = function_of(line)
        f = f.gradient() if derived else f
        with np.errstate(all="ignore"):
            got = reader(f, line.points[0])
        failures += differences(f, line, reader.__name__, got)
    assert not failures, f"{len(failures)} differences\n" + "\n".join(failures[:5])


READERS = (from_latex, from_text, from_mathml, from_sympy)
# What the normal suite reads: families alternate by five, so steps of six see all of them.
NORMAL = {from_latex: ALL, from_text: range(1, 1000, 6), from_mathml: range(2, 1000, 6), from_sympy: SAMPLE}


@pytest.mark.parametrize("reader", READERS)
def test_values_are_read_back(reader: Any) -> None:
    check(reader, NORMAL[reader])


@pytest.mark.long
@pytest.mark.parametrize("reader", READERS)
def test_every_value_is_read_back(reader: Any) -> None:
    check(reader, ALL)


@pytest.mark.parametrize("reader", READERS)
def test_gradients_of_a_sample_are_read_back(reader: Any) -> None:
    check(reader, SAMPLE, derived=True)


@pytest.mark.long
@pytest.mark.parametrize("reader", READERS)
def test_every_gradient_is_read_back(reader: Any) -> None:
    check(reader, ALL, derived=True)


def run_python(numbers: Iterable[int], derived: bool, folder: Path) -> None:
    """All functions as one module, which is imported as users would."""
    functions, sources = {}, []
    for number in numbers:
        f = function_of(LINES[number], f"f{number}")
        functions[number] = f = f.gradient() if derived else f
        sources.append(python_code(f.program()))
    path = folder / "written.py"
    path.write_text("\n".join(sources))
    module = import_file(path)
    failures: list[str] = []
    for number, f in functions.items():
        point = LINES[number].points[0]
        with np.errstate(all="ignore"):
            got = getattr(module, f.name)(*[np.float64(point[a.name]) for a in f.arguments])
        failures += differences(f, LINES[number], "Python", got)
    assert not failures, f"{len(failures)} differences\n" + "\n".join(failures[:5])


@pytest.mark.parametrize("derived", [False, True])
def test_python_means_the_same(derived: bool, tmp_path: Path) -> None:
    run_python(SAMPLE if derived else range(0, 1000, 6), derived, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("derived", [False, True])
def test_all_python_means_the_same(derived: bool, tmp_path: Path) -> None:
    run_python(ALL, derived, tmp_path)


# --- typesetting ------------------------------------------------------------------------------------------------------
def strings(numbers: Iterable[int]) -> list[str]:
    """LaTeX of values, gradients and Hessians, with and without a where block."""
    found = []
    for number in numbers:
        f = function_of(LINES[number])
        gradient = f.gradient()
        found += [f.latex(), gradient.latex(), gradient.latex(form="entries", where=True)]
        if LINES[number].operations() < 100 and len(f.arguments) < 6:
            found += [f.hessian().latex(), f.latex(where=False)]
    return found


def test_katex_reads_values_and_derivatives_of_a_sample() -> None:
    assert refused(strings(SAMPLE)) == []


@pytest.mark.long
def test_katex_reads_values_and_derivatives_of_all() -> None:
    assert refused(strings(ALL)) == []


PREAMBLE = r"""\documentclass{article}
\usepackage{amsmath,amssymb}
\usepackage[paperwidth=200cm,paperheight=300cm,margin=1cm]{geometry}
\allowdisplaybreaks
\begin{document}
"""


def compiled(parts: Iterable[str], folder: Path) -> str:
    """What pdflatex says of displayed formulas that is an error. Skips the test without pdflatex."""
    if shutil.which("pdflatex") is None:
        pytest.skip("needs pdflatex")
    body = "\n\n".join(f"\\[{part}\\]" for part in parts)
    (folder / "all.tex").write_text(f"{PREAMBLE}{body}\n\\end{{document}}\n")
    done = subprocess.run(
        ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "all.tex"],
        cwd=folder, capture_output=True, text=True, errors="replace", check=False,
    )  # fmt: skip
    return "" if done.returncode == 0 else done.stdout[-3000:]


@pytest.mark.long
@pytest.mark.parametrize("start", range(0, 1000, 100))
def test_pdflatex_sets_values_and_derivatives_of_all(start: int, tmp_path: Path) -> None:
    assert compiled(strings(range(start, start + 100)), tmp_path) == ""
