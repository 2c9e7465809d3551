"""Pictures as SVG text: where a matrix can be non-zero, how far a kernel was from the tape, how long a call takes.

Colours are classes of the style sheet, so that a picture follows the page into the dark and onto paper.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

import numpy as np

from hybrid.certificate import ULP_BINS, Certificate
from hybrid.report.labels import Label
from hybrid.report.speed import Timing, duration
from hybrid.sparsity import Pattern

EXACT = 120  # rows and columns up to which every entry is a square of its own
BLOCKS = 96  # rows and columns of the picture of a larger matrix
SHADES = 4
LABELLED = 16  # rows and columns up to which they are named
WIDE = 340.0  # of a picture of a matrix


def svg(width: float, height: float, name: str, body: str, kind: str = "matrix-picture") -> str:
    """A picture with a name for those who do not see it; it shrinks with the page and never grows."""
    return (
        f'<svg class="figure {kind}" role="img" aria-label="{escape(name)}" viewBox="0 0 {width:g} {height:g}" '
        f'style="max-width:{width:g}px">{body}</svg>'
    )


def text(x: float, y: float, content: str, style: str = "", anchor: str = "middle") -> str:
    """`content` is markup of labels: subscripts are set by shifting them."""
    content = content.replace("<sub>", '<tspan class="sub" dy="3">').replace("</sub>", "</tspan>")
    content = content.replace("<i>", '<tspan class="letter">').replace("</i>", "</tspan>")
    content = content.replace("<code>", '<tspan class="mono">').replace("</code>", "</tspan>")
    return f'<text x="{x:.4g}" y="{y:.4g}" class="{style}" text-anchor="{anchor}">{content}</text>'


def sparsity(pattern: Pattern, name: str, rows: Sequence[Label] = (), columns: Sequence[Label] = ()) -> str:
    """The pattern as squares; of a large one, blocks that are the darker the more of their entries are there."""
    height, width = pattern.shape
    if max(height, width) > EXACT:
        return blocks(pattern, name)
    named = max(height, width) <= LABELLED
    cell = min(24.0 if named else 14.0, WIDE / max(height, width, 1))
    left = 16.0 + 6.2 * max((len(label.text) for label in rows), default=0) if named and rows else 1.0
    top = 22.0 if named and columns else 1.0
    gap = 0.08 * cell if cell > 4 else 0.0
    side = cell - 2 * gap
    squares = "".join(
        f"M{left + column * cell + gap:.5g} {top + row * cell + gap:.5g}h{side:.4g}v{side:.4g}h{-side:.4g}z"
        for row, column in zip(pattern.rows.tolist(), pattern.columns.tolist(), strict=True)
    )
    body = frame(left, top, width * cell, height * cell) + f'<path class="entries" d="{squares}"/>'
    if named:
        for column, label in enumerate(columns):
            body += text(left + (column + 0.5) * cell, top - 8, label.html, "tick")
        for row, label in enumerate(rows):
            body += text(left - 6, top + (row + 0.5) * cell + 4, label.html, "tick", "end")
    return svg(left + width * cell + 1, top + height * cell + 1, name, body)


def frame(x: float, y: float, width: float, height: float) -> str:
    return f'<rect class="frame" x="{x:g}" y="{y:g}" width="{width:.5g}" height="{height:.5g}"/>'


def blocks(pattern: Pattern, name: str) -> str:
    height, width = pattern.shape
    size = max(height, width)
    across = max(1, round(BLOCKS * width / size)), max(1, round(BLOCKS * height / size))
    counts = np.zeros((across[1], across[0]))
    np.add.at(counts, (pattern.rows * across[1] // height, pattern.columns * across[0] // width), 1)
    shade = np.ceil(SHADES * np.sqrt(counts / max(counts.max(), 1))).astype(int)
    cell = WIDE / BLOCKS
    body = frame(1, 1, across[0] * cell, across[1] * cell)
    for level in range(1, SHADES + 1):
        here = zip(*np.nonzero(shade == level), strict=True)
        squares = "".join(f"M{1 + c * cell:.5g} {1 + r * cell:.5g}h{cell:.4g}v{cell:.4g}h{-cell:.4g}z" for r, c in here)
        if squares:
            body += f'<path class="entries" fill-opacity="{level / SHADES:g}" d="{squares}"/>'
    return svg(across[0] * cell + 2, across[1] * cell + 2, name, body)


# --- errors -----------------------------------------------------------------------------------------------------------
def bin_names() -> list[str]:
    """`0`, `½`, `1`, `2`, …: the upper end of each bin."""
    names = ["0", *("½" if edge == 0.5 else f"{edge:g}" for edge in ULP_BINS[1:])]
    return [*names, f">{ULP_BINS[-1]:g}"]


def histogram(certificate: Certificate) -> str:
    """How many comparisons differ by how many ulp, all results together."""
    counts = np.array([finding.histogram for finding in certificate.results if finding.histogram]).sum(axis=0)
    last = max((place for place, count in enumerate(counts) if count), default=0)
    shown = max(last + 2, 6)
    counts, names = counts[:shown], bin_names()[:shown]
    total, top = int(counts.sum()), int(counts.max())
    width, height, left, bottom = 520.0, 224.0, 16.0, 170.0
    step = (width - 2 * left) / len(counts)
    body = ""
    for place, (count, bin_name) in enumerate(zip(counts, names, strict=True)):
        x, tall = left + place * step, 130 * math.sqrt(count / top) if top else 0.0
        tall = max(tall, 1.5) if count else 0.0
        body += (
            f'<rect class="bar" x="{x + 3:.5g}" y="{bottom - tall:.5g}" width="{step - 6:.4g}" height="{tall:.4g}"/>'
        )
        body += text(x + step / 2, bottom + 18, bin_name, "tick")
        if count:
            body += text(x + step / 2, bottom - tall - 6, f"{count:,}", "tick strong")
    body += f'<path class="axis" d="M{left} {bottom}H{width - left}"/>'
    body += text(width / 2, height - 8, "difference from the tape in ulp, up to", "tick")
    spoken = ", ".join(f"{name}: {count:,}" for name, count in zip(names, counts, strict=True) if count)
    return svg(width, height, f"Histogram of {total:,} differences in ulp. Up to {spoken}", body, "histogram")


# --- speed ------------------------------------------------------------------------------------------------------------
def speeds(rows: Sequence[Timing]) -> str:
    """Medians with their quartiles on a logarithmic axis of time per point."""
    low = math.floor(math.log10(min(row.low for row in rows)))
    high = math.ceil(math.log10(max(row.high for row in rows)) + 1e-9)
    width, left, right, line = 620.0, 232.0, 24.0, 34.0
    bottom = 14 + line * len(rows)

    def x(seconds: float) -> float:
        return left + (width - left - right) * (math.log10(seconds) - low) / max(high - low, 1)

    body = ""
    for power in range(low, high + 1):
        body += f'<path class="grid" d="M{x(10.0**power):.5g} 8V{bottom}"/>'
        body += text(x(10.0**power), bottom + 18, duration(10.0**power * (1 + 1e-9)), "tick")
    for place, row in enumerate(rows):
        y = 8 + line * (place + 0.5)
        body += text(left - 14, y + 4, escape(row.what), "tick strong", "end")
        body += f'<path class="whisker" d="M{x(row.low):.5g} {y}H{x(row.high):.5g}"/>'
        body += f'<circle class="dot" cx="{x(row.median):.5g}" cy="{y}" r="4.5"/>'
    spoken = "; ".join(f"{row.what}: {duration(row.median)} per point" for row in rows)
    return svg(width, bottom + 26, f"Time per point. {spoken}", body, "speeds")
