"""The sheet as one HTML page: what each part shows, and the template that sets it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from hybrid import __version__
from hybrid.certificate import Certificate
from hybrid.choice import Explanation
from hybrid.errors import UnsupportedError
from hybrid.function import Function
from hybrid.machine import machine
from hybrid.report import expression_graph, pictures
from hybrid.report.emitted import c_code
from hybrid.report.formulas import Formula, formula
from hybrid.report.panel import Panel
from hybrid.report.speed import Timing, duration
from hybrid.report.study import TRIED, Study, costs, hessian_pattern

MOST_LINES, MOST_LETTERS = 400, 40_000  # of code
MOST_WRITTEN = 30_000  # operations of which C is made for the page
MOST_ASSEMBLED = 5_000  # operations of which assembly is made anew for the page
FILES = ("sheet.css", "charts.css", "page.js", "matrices.js", "live.js")


@dataclass(frozen=True)
class Code:
    """A part of the generated code, and how long the whole is."""

    title: str
    text: str
    lines: int
    note: str = ""


def page(study: Study, panel: Panel, timings: Sequence[Timing] | None) -> str:
    """The whole page. Raises ImportError, with what to install, where Jinja2 is missing."""
    try:
        import jinja2
    except ImportError as error:
        raise ImportError("the sheet is set by Jinja2: pip install 'hybrid[report]'") from error
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("hybrid.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    text: str = environment.get_template("sheet.html").render(content(study, panel, timings))
    return text


def content(study: Study, panel: Panel, timings: Sequence[Timing] | None) -> dict[str, Any]:
    """Everything the template names."""
    function = study.function
    files = {name.replace(".", "_"): text_of(name) for name in FILES}
    return files | {
        "version": __version__,
        "name": function.name,
        "doc": (function.__dict__.get("__doc__") or "").strip().split("\n\n")[0],
        "summary": summary(study),
        "formulas": formulas(study),
        "panel": panel,
        "panel_json": script_safe(panel.data),
        "outputs": study.outputs,
        "patterns": patterns(study),
        "graph": expression_graph.draw(function),
        "graph_nodes": len(function.graph.reach(function.nodes)),
        "graph_most": expression_graph.MOST_NODES,
        "costs": costs(study),
        "operations": study.operations,
        "operations_before": study.operations_before,
        "explanations": [told(explanation) for explanation in study.explanations],
        "untold": study.untold,
        "tried": TRIED,
        "notes": study.notes,
        "certificate": study.certificate,
        "findings": findings(study.certificate),
        "histogram": pictures.histogram(study.certificate),
        "timings": [(t.what, *map(duration, (t.median, t.low, t.high)), rate(t)) for t in timings or ()],
        "speeds": pictures.speeds(timings) if timings else "",
        "machine": machine().summary,
        "codes": codes(study),
    }


def text_of(name: str) -> str:
    return resources.files("hybrid.report").joinpath("templates", name).read_text(encoding="utf-8")


def script_safe(data: Mapping[str, Any] | None) -> str:
    """JSON that no name in it can end, inside a script element."""
    return json.dumps(data, allow_nan=False).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def summary(study: Study) -> str:
    function = study.function
    inputs = sum(argument.size for argument in function.arguments)
    what = "scalar function" if function.shape == () else f"function with {function.size:,} outputs"
    if len(function.shape) > 1:
        what = f"{'×'.join(map(str, function.shape))} matrix function" if len(function.shape) == 2 else what
    return f"A {what} of {inputs:,} variable{'s' * (inputs != 1)}"


# --- formulas ---------------------------------------------------------------------------------------------------------
TITLES = {"gradient": "Gradient", "jacobian": "Jacobian", "hessian": "Hessian"}


def formulas(study: Study) -> list[Formula]:
    titles = ["Function", *(TITLES[f.derivation.kind] for f in study.formulas[1:] if f.derivation is not None)]
    return [
        formula(title, printed, shape_of(own))
        for title, printed, own in zip(titles, study.printed(), study.formulas, strict=True)
    ]


def shape_of(function: Function) -> str:
    pattern = function.derivation.pattern if function.derivation is not None else None
    shape = function.shape if pattern is None else pattern.shape
    text = " × ".join(f"{length:,}" for length in shape) if shape else "scalar"
    if pattern is not None:
        return f"{text}, the entries that can be non-zero by rows"
    return text if len(shape) != 1 else f"{text} {'entry' if shape == (1,) else 'entries'}"


def patterns(study: Study) -> list[tuple[str, str, str]]:
    """Title, picture and caption of each derivative that is a matrix."""
    columns = [study.inputs[place] for place in study.variables]
    found = []
    if study.function.shape != ():
        found.append(("Jacobian", study.first.pattern, study.outputs))
    if study.second is not None:
        title = "Hessian" if study.function.shape == () else "Hessians of all outputs, one upon the other"
        found.append((title, hessian_pattern(study.second), columns))
    rows = []
    for title, pattern, labels in found:
        size = f"{pattern.shape[0]:,} × {pattern.shape[1]:,}"
        entries = f"{pattern.nnz:,} {'entry' if pattern.nnz == 1 else 'entries'}"
        caption = f"{size}, {entries} can be non-zero ({100 * pattern.density:.3g} %)"
        rows.append((title, pictures.sparsity(pattern, f"{title}: {caption}", labels, columns), caption))
    return rows


# --- tables -----------------------------------------------------------------------------------------------------------
def told(explanation: Explanation) -> dict[str, Any]:
    counts = [
        (c.method, "–" if c.derived is None else f"{c.derived:,}", "–" if c.simplified is None else f"{c.simplified:,}")
        for c in explanation.candidates
    ]
    return {
        "what": explanation.what,
        "rows": [(*row, row[0] == explanation.chosen) for row in counts],
        "chosen": explanation.chosen,
        "reason": explanation.reason,
    }


def findings(certificate: Certificate) -> list[tuple[str, ...]]:
    return [
        (
            r.name,
            "×".join(map(str, r.shape)) or "scalar",
            f"{r.entries:,}",
            f"{r.max_ulp:.1f}" if r.max_ulp < 1000 else f"{r.max_ulp:.1e}",
            f"{r.max_relative:.1e}" if r.max_relative else "0",
            r.method,
        )
        for r in certificate.results
    ]


def rate(timing: Timing) -> str:
    """Points per second in words."""
    per_second = 1 / timing.median
    for scale, unit in ((1e9, " billion"), (1e6, " million"), (1e3, " thousand")):
        if per_second >= scale:
            return f"{per_second / scale:.3g}{unit}"
    return f"{per_second:.3g}"


# --- code -------------------------------------------------------------------------------------------------------------
def codes(study: Study) -> list[Code]:
    """C and assembly of the kernel: of long ones the beginning, of very long ones how to get them."""
    kernel, count = study.kernel, study.operations
    found = [left_out("C source", MOST_WRITTEN, 'kernel.export(folder, formats=["c"])')]
    if count <= MOST_WRITTEN:
        try:
            found = [cut("C source", c_code(kernel.program))]
        except (UnsupportedError, ValueError) as error:
            found = [Code("C source", "", 0, str(error))]
    if count > MOST_ASSEMBLED:
        return [*found, left_out("Assembly", MOST_ASSEMBLED, "kernel.assembly()")]
    return [*found, cut(f"Assembly for {kernel.compiled.target.cpu}", kernel.assembly())]


def left_out(title: str, most: int, instead: str) -> Code:
    return Code(title, "", 0, f"Not made for more than {most:,} operations; {instead} gives it.")


def cut(title: str, text: str) -> Code:
    lines = text.rstrip("\n").split("\n")
    shown = "\n".join(lines[:MOST_LINES])[:MOST_LETTERS]
    count = shown.count("\n") + 1
    note = f"The first {count:,} of {len(lines):,} lines." if len(shown) < len(text.rstrip()) else ""
    return Code(title, shown, len(lines), note)
