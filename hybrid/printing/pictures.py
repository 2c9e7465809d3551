"""Sparsity as pictures: of braille dots in text, of rules in LaTeX, of rectangles in HTML.

A large pattern is drawn coarsely: a point of the picture is set if anything under it can be non-zero.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from hybrid.sparsity import Pattern

BRAILLE = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])  # the dots of U+2800, by row and column
DOTS = 64  # points of a picture along its longer side
SIDE = 96.0  # points of typography along the longer side in LaTeX

Run = tuple[int, int, int]  # a row, the first column and how many


def coarse(pattern: Pattern, most: int) -> NDArray[np.bool_]:
    """The pattern as a picture of at most `most` points along either side; as it is where it is not larger."""
    height, width = pattern.shape
    step = max(1.0, max(height, width) / most)
    picture = np.zeros((int(np.ceil(height / step)), int(np.ceil(width / step))), dtype=bool)
    picture[(pattern.rows / step).astype(int), (pattern.columns / step).astype(int)] = True
    return picture


def braille(pattern: Pattern, most: int = 2 * DOTS) -> str:
    """Lines of braille characters, each 4 × 2 points; an empty pattern is a line that says so."""
    if 0 in pattern.shape:
        return f"({pattern.shape[0]} × {pattern.shape[1]})"
    picture = coarse(pattern, most)
    height, width = (-(-picture.shape[0] // 4) * 4, -(-picture.shape[1] // 2) * 2)
    padded = np.zeros((height, width), dtype=int)
    padded[: picture.shape[0], : picture.shape[1]] = picture
    cells = (padded.reshape(height // 4, 4, width // 2, 2) * BRAILLE[None, :, None, :]).sum(axis=(1, 3))
    return "\n".join("│" + "".join(chr(0x2800 + int(dots)) for dots in line) + "│" for line in cells)


def runs(picture: NDArray[np.bool_]) -> Iterator[Run]:
    """What is set, as runs along the rows."""
    edges = np.diff(np.pad(picture.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    starts, ends = np.argwhere(edges == 1), np.argwhere(edges == -1)
    for (row, start), (_, end) in zip(starts.tolist(), ends.tolist(), strict=True):
        yield row, start, end - start


def rules(pattern: Pattern, most: int = DOTS) -> str:
    r"""The pattern as LaTeX that needs no package and that KaTeX sets too: a framed cell with a \rule for each run.

    Each rule is lowered to its row, in a box without a width, so that the next begins at the left edge again.
    """
    picture = coarse(pattern, most)
    unit = SIDE / max(picture.shape)
    drawn = "".join(
        # all below the line: KaTeX raises what is above it twice in a box without a width
        rf"\rlap{{\kern{start * unit:.4g}pt\rule[{-(row + 1) * unit:.4g}pt]{{{count * unit:.4g}pt}}{{{unit:.4g}pt}}}}"
        for row, start, count in runs(picture)
    )
    height, width = (count * unit for count in picture.shape)
    strut = rf"\rule[{-height - 6:.4g}pt]{{0pt}}{{{height:.4g}pt}}\kern{width:.4g}pt"
    return rf"\begin{{array}}{{|c|}} \hline {drawn}{strut} \\ \hline \end{{array}}"


def svg(pattern: Pattern, most: int = 4 * DOTS) -> str:
    """The pattern as an SVG element in the colour of the text, with a title for screen readers."""
    picture = coarse(pattern, most)
    height, width = picture.shape
    label = f"{pattern.shape[0]} × {pattern.shape[1]} matrix, {pattern.nnz:,} entries can be non-zero"
    path = "".join(f"M{start} {row}h{count}v1h-{count}z" for row, start, count in runs(picture))
    scale = 240 / max(height, width, 1)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="-0.5 -0.5 {width + 1} {height + 1}" '
        f'width="{(width + 1) * scale:.4g}" height="{(height + 1) * scale:.4g}"><title>{label}</title>'
        f'<rect x="0" y="0" width="{width}" height="{height}" fill="none" stroke="currentColor" '
        f'stroke-width="{0.6 / scale:.3g}"/><path fill="currentColor" d="{path}"/></svg>'
    )
