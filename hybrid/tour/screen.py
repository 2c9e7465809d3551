"""How the tour looks: a narrow column of labels, and beside it what each stage made. Plain text where it is piped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console, RenderableType
from rich.segment import Segment, Segments
from rich.style import Style
from rich.table import Table
from rich.text import Text

from hybrid.function import Function
from hybrid.kernel import Kernel
from hybrid.machine import machine
from hybrid.printing.naming import TextNames
from hybrid.tour.examples import Example, Subject
from hybrid.tour.race import COPY, NUMPY, Race, scipy_special

WIDTH = 110
PIPED = 100  # columns where there is no terminal
LABELS = 12
FORMULAS = 9  # lines of text shown of a function; the whole is in the .tex file
ENTRIES = 4  # of a function with many outputs
ROUNDING = 1e-15  # shown as zero: what is left of terms that cancel


class Screen:
    """Writes the sections of the tour to a console, each as soon as it is known."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.width = min(WIDTH, console.width) if console.is_terminal else PIPED

    # --- frame --------------------------------------------------------------------------------------------------------
    def opening(self) -> None:
        found = machine()
        self.console.print()
        self.line(Text.assemble(("hybrid", "bold"), f" {found.version}   ", (found.summary, "dim")))

    def title(self, example: Example) -> None:
        self.console.print()
        self.console.print()
        self.line(Text.assemble((example.title, "bold cyan"), (f"   examples/{example.file}", "dim")))
        self.line(Text("─" * self.width, "dim"))
        self.line(Text(example.about))

    def closing(self, folder: Path, seconds: float) -> None:
        self.console.print()
        self.line(
            Text.assemble(
                ("The whole tour took ", "dim"), f"{seconds:.1f} s", ("; the files are in ", "dim"), str(folder)
            )
        )
        self.line(Text('Yours next: hybrid derive "exp(-x**2) * sin(y)"    hybrid export file.py:name build/', "dim"))

    def line(self, text: Text) -> None:
        self.console.print(text, soft_wrap=True)

    def section(self, label: str, *parts: RenderableType) -> None:
        """A label, and beside it the parts, one below the other; no line ends in blanks."""
        self.console.print()
        options = self.console.options.update(width=self.width - LABELS)
        margin = Segment(label.ljust(LABELS), Style(bold=True))
        for part in parts:
            for line in self.console.render_lines(part, options, pad=False):
                self.console.print(Segments([*stripped([margin, *line]), Segment.line()]), end="", soft_wrap=True)
                margin = Segment(" " * LABELS)

    # --- stages -------------------------------------------------------------------------------------------------------
    def function(self, subject: Subject) -> None:
        value = subject.simplified[0]
        if value.shape:
            self.section("function", *formulas(str(value), f"{value.name}.tex", ENTRIES))
        else:
            self.section("function", Text(str(value)))
            self.section("LaTeX", Text(value.latex(), "dim"))

    def derivatives(self, subject: Subject, numbers: NDArray[np.float64]) -> None:
        """The first derivatives as formulas, the second as numbers at one point."""
        _, first, second = subject.simplified
        if len(first.shape) == 1:
            self.section("gradient", *formulas(str(first), f"{first.name}.tex", FORMULAS))
        else:
            self.section("Jacobian", *pattern(first), *formulas(str(first), f"{first.name}.tex", ENTRIES))
        caption = Text(f"{shape(second)} entries, {distinct(second)} distinct; {subject.example.caption}:", "dim")
        written = TextNames([a.name for a in second.arguments])
        names = [written.variable(second.graph.leaves[node]) for a in second.arguments for node in a.nodes]
        self.section("Hessian", caption, matrix(numbers, names[: numbers.shape[-1]]))

    def operations(self, subject: Subject, kernel: Kernel) -> None:
        alone = [function.operations() for function in subject.functions]
        parts = "   ".join(f"{f.name} {n:,}" for f, n in zip(subject.functions, alone, strict=True))
        saved = f"{kernel.operations_before:,} shared in one kernel, {kernel.operations:,} after simplification"
        self.section(
            "operations",
            Text.assemble(f"{sum(alone):,} one by one   ", (f"({parts})", "dim")),
            Text.assemble(saved.rpartition(", ")[0] + ", ", (saved.rpartition(", ")[2], "bold")),
        )

    def compiling(self, stages: dict[str, float], total: float) -> None:
        first, *others = packed([f"{name} {duration(s)}" for name, s in stages.items()], self.width - LABELS - 14)
        head = Text.assemble("in ", (f"{duration(total):<11}", "bold"), first)
        rest = [Text(" " * 14 + line) for line in others]
        if any("(kept)" in name for name in stages):
            rest.append(Text(" " * 14 + "kept: the native code was made by an earlier run (HYBRID_CACHE)", "dim"))
        self.section("compiled", head, *rest)

    def waiting(self, what: str) -> AbstractContextManager[object]:
        """A line that is there while the work inside `with` goes on; nothing where there is no terminal."""
        return self.console.status(Text(f"{what} …", "dim"), spinner_style="dim", refresh_per_second=4)

    def race(self, example: Example, outcome: Race) -> None:
        results = outcome.results
        slow = next(result for result in results if result.name == NUMPY)
        table = columns("", f"million {example.unit}/s", "ns each", "beside NumPy")
        for result in results:
            style = "bold" if result.name.startswith("this kernel") else "dim" if result.name == COPY else ""
            ratio = f"{slow.nanoseconds / result.nanoseconds:.1f} ×" if result.name != COPY else ""
            rate = f"{1e3 / result.nanoseconds:.3g}"
            table.add_row(result.name, Text(rate), f"{result.nanoseconds:,.1f}", ratio, style=style)
        most = max(result.points for result in results)
        note = f"{most:,} {example.unit}, float64; the best of interleaved runs, time to write every output included."
        if slow.points < most:
            note += f" NumPy on {slow.points:,}: its temporaries for more would not fit into memory."
        note += f" Both agree to {outcome.difference:.0e} of the largest value of each output."
        if not scipy_special():
            note += " SciPy is not installed: NumPy's erf is a slower one of this package."
        self.section("speed", table, Text(note, "dim"))

    def certificate(self, kernel: Kernel) -> None:
        lines = str(kernel.certificate).splitlines()
        good = kernel.certificate is not None and kernel.certificate.passed
        head = Text.assemble((lines[0][:1], "bold green" if good else "bold red"), lines[0][1:])
        self.section("certificate", head, *(Text(line, "dim", no_wrap=True, overflow="ellipsis") for line in lines[1:]))

    def files(self, files: Sequence[Path], problem: str, prototype: str) -> None:
        table = Table.grid(padding=(0, 2, 0, 0))
        for path in files:
            bytes_ = Text(size(path.stat().st_size), "dim", justify="right")
            table.add_row(path.name, bytes_, Text(ABOUT[path.suffix], "dim"))
        self.section("files", table, *([Text(f"No shared library: {problem}", "yellow")] if problem else []))
        self.section("in C", Text(prototype.replace("CODEGEN_RESTRICT ", "") + ";"))


ABOUT = {
    ".so": "shared library",
    ".dylib": "shared library",
    ".dll": "shared library",
    ".h": "C header",
    ".o": "object file, to link",
    ".ll": "LLVM IR",
    ".tex": "LaTeX",
}


def formulas(text: str, file: str, most: int) -> list[Text]:
    """The first lines of a function's text, cut at the width; the whole is in `file`."""
    lines = text.splitlines()
    rows = [Text(line, no_wrap=True, overflow="ellipsis") for line in lines[:most]]
    if len(lines) > most:
        rows.append(Text(f"… {len(lines) - most} more lines in {file}", "dim"))
    return rows


def pattern(jacobian: Function) -> list[Text]:
    """Which entries can be non-zero: per output a run of dots, one per variable."""
    zero = jacobian.graph.constant(0)
    present = np.array([node != zero for node in jacobian.nodes]).reshape(jacobian.shape)
    caption = (
        f"{shape(jacobian)} entries, {int(present.sum())} not zero by structure; one run of dots per entry of the pose:"
    )
    runs = [["".join("●" if dot else "·" for dot in entry) for entry in row] for row in present]
    return [Text(caption, "dim"), *(Text("   ".join(row)) for row in runs)]


def matrix(numbers: NDArray[np.float64], names: Sequence[str]) -> Table:
    """Numbers in columns under the names of the variables."""
    table = columns("", *names)
    for name, row in zip(names, numbers, strict=True):
        table.add_row(Text(name, "dim"), *(f"{0.0 if abs(number) < ROUNDING else number:.4g}" for number in row))
    return table


def columns(first: str, *others: str) -> Table:
    """A table without lines: the first column to the left, the others to the right."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    table.add_column(first, no_wrap=True)
    for name in others:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def stripped(line: Sequence[Segment]) -> list[Segment]:
    """A rendered line without the blanks at its end."""
    segments = list(line)
    while segments and not segments[-1].text.strip():
        segments.pop()
    if segments:
        last = segments[-1]
        segments[-1] = Segment(last.text.rstrip(), last.style)
    return segments


def shape(function: Function) -> str:
    """An output shape as rows × columns: 3 × 4 × 7 is 12 × 7."""
    rows, columns = function.size // function.shape[-1], function.shape[-1]
    return f"{rows} × {columns}"


def distinct(function: Function) -> int:
    return len(set(function.nodes))


def packed(parts: Iterable[str], width: int) -> list[str]:
    """The parts on as few lines as hold them, three blanks between two."""
    lines = [""]
    for part in parts:
        longer = f"{lines[-1]}   {part}" if lines[-1] else part
        if len(longer) > width and lines[-1]:
            lines.append(part)
        else:
            lines[-1] = longer
    return lines


def duration(seconds: float) -> str:
    return f"{1e3 * seconds:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"


def size(count: int) -> str:
    return f"{count:,} bytes" if count < 10_000 else f"{count / 1024:,.0f} kB"
