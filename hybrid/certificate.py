"""The certificate of a kernel: what was compared, how well it agreed, and where it agreed least."""

from __future__ import annotations

import html
import json
from dataclasses import asdict, dataclass
from typing import Any

from hybrid.deferred import Deferred

plots = Deferred("hybrid.plots")

COLUMNS = ("result", "shape", "compared", "max ulp", "max relative", "method")
ALIGN = "<<>>><"
ULP_BINS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)  # upper ends of the bins of `Finding.histogram`


@dataclass(frozen=True)
class Finding:
    """How one result of the kernel compared.

    `entries` counts comparisons (entries × points, or projections × points). `max_ulp` is the largest difference from
    the tape in units in the last place of the entry, or of the terms that cancel in it where those are larger;
    `max_relative` the largest difference relative to the entry itself, cancellation included. `where` says at which
    entry and inputs `max_ulp` occurred. `arbitrated` comparisons were decided in multiple precision. `histogram` counts
    the differences of finite numbers in ulp, by the bins that end at `ULP_BINS` and one for what is beyond.
    """

    name: str
    shape: tuple[int, ...]
    method: str
    entries: int
    max_ulp: float
    max_relative: float
    where: str
    arbitrated: int = 0
    histogram: tuple[int, ...] = ()


@dataclass(frozen=True)
class Certificate:
    """The outcome of `hybrid.verify.verify`. Print it; `to_dict()` is for JSON.

    `points` sampled points at which the function is finite and `special` chosen ones (zeros, ties, switching values);
    `entries`, `max_ulp`, `max_relative` and `where` as in `Finding`, over all results; `witness` says what ran on the
    tape; `undecided` counts the comparisons that rounding, a kink or a singular point leaves without a verdict.
    """

    name: str
    passed: bool
    points: int
    special: int
    entries: int
    max_ulp: float
    max_relative: float
    where: str
    results: tuple[Finding, ...]
    method: str
    arbitrated: int
    undecided: int
    witness: str
    seed: int
    seconds: float
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        rows = [COLUMNS]
        rows += [
            (r.name, _shape(r.shape), f"{r.entries:,}", _ulp(r.max_ulp), _small(r.max_relative), r.method)
            for r in self.results
        ]
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        lines = [f"{'✓' if self.passed else '✗'} {self.headline()}", ""]
        for number, row in enumerate(rows):
            cells = [f"{text:{align}{width}}" for text, align, width in zip(row, ALIGN, widths, strict=True)]
            lines.append("  " + "  ".join(cells).rstrip())
            if number == 0:
                lines.append("  " + "  ".join("─" * width for width in widths))
        lines += ["", *(f"  {name:<10} {text}" for name, text in self._details())]
        return "\n".join(lines)

    def headline(self) -> str:
        """One line: verdict, how much was compared, the largest error, and the time."""
        verdict = "verified" if self.passed else "WRONG"
        return (
            f"{self.name} {verdict}: {self.entries:,} numbers at {self.points + self.special} points against the tape, "
            f"largest error {_ulp(self.max_ulp)} ulp, {self.seconds:.2f} s"
        )

    def plot(self, ax: Any = None) -> Any:
        """Plot how many numbers differ from the tape by how many ulp; returns the matplotlib Axes.

        They are those of `ax` or of a new figure. Needs `pip install 'hybrid[plot]'`.
        """
        return plots.plot_certificate(self, ax)

    def _details(self) -> list[tuple[str, str]]:
        details = [
            ("points", f"{self.points} sampled, {self.special} special (zeros, ties, switches); seed {self.seed}")
        ]
        details.append(("worst", self.where))
        details.append(("witness", self.witness))
        if self.arbitrated:
            details.append(("arbiter", f"{self.arbitrated} comparisons decided in multiple precision"))
        if self.undecided:
            details.append(("undecided", f"{self.undecided} comparisons at kinks, singular points or beyond rounding"))
        return details + [("note", note) for note in self.notes]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; infinite errors become text."""
        return _plain(asdict(self))  # type: ignore[no-any-return]  # a dict goes in

    def to_json(self) -> str:
        """`to_dict()` as JSON text."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)

    def _repr_html_(self) -> str:
        colour = "#1a7f37" if self.passed else "#cf222e"
        head = "".join(
            f"<th>{name}</th>" for name in ("result", "shape", "compared", "max ulp", "max relative", "method")
        )
        body = "".join(
            f"<tr><td><code>{html.escape(r.name)}</code></td><td>{_shape(r.shape)}</td><td>{r.entries:,}</td>"
            f"<td>{_ulp(r.max_ulp)}</td><td>{_small(r.max_relative)}</td><td>{html.escape(r.method)}</td></tr>"
            for r in self.results
        )
        details = "".join(f"<li>{name}: {html.escape(text)}</li>" for name, text in self._details())
        return (
            f"<div><b style='color:{colour}'>{'✓' if self.passed else '✗'} {html.escape(self.headline())}</b>"
            f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table><ul>{details}</ul></div>"
        )


def _shape(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) if shape else "scalar"


def _ulp(value: float) -> str:
    return f"{value:.1f}" if value < 1000 else f"{value:.1e}"


def _small(value: float) -> str:
    return "0" if value == 0 else f"{value:.1e}"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, float) and not abs(value) < float("inf"):
        return str(value)
    return value
