"""Plots with matplotlib: where a derivative can be non-zero, contours with their derivatives, errors against the tape.

Every function returns the matplotlib Axes it drew on, and takes one with `ax=`; `plt.show()` is left to the caller.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.certificate import ULP_BINS, Certificate
from hybrid.comparison import element_names
from hybrid.compiling import compile
from hybrid.deferred import Deferred
from hybrid.errors import ArgumentError, InputTypeError
from hybrid.function import Function
from hybrid.kernel import Kernel
from hybrid.verify import Check, Subject

collections = Deferred("matplotlib.collections")

SQUARES = 200  # rows and columns up to which entries are squares
UP, DOWN, MIXED, LINE = "#1d5b99", "#a8481a", "#6f5a8e", "#24704f"
WIDE = 20.0  # ulp from which on errors are drawn on a logarithmic axis
Axes = Any
Range = tuple[float, float]


def axes(ax: Axes | None, size: tuple[float, float] = (6.0, 4.5)) -> Axes:
    """The axes given, or those of a new figure. Raises ImportError, with what to install, without matplotlib."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError("plots are drawn by matplotlib: pip install 'hybrid[plot]'") from error
    if ax is None:
        return plt.subplots(figsize=size, layout="constrained")[1]
    if not hasattr(ax, "plot"):
        raise InputTypeError(f"ax must be matplotlib Axes, got {type(ax).__name__}")
    return ax


def plot_sparsity(function: Function, ax: Axes | None = None) -> Axes:
    """Where a derivative can be non-zero, rows downwards; see `Function.plot_sparsity`."""
    shown = function
    rolled = getattr(function, "origin", None)  # how a rolled derivative came about
    if function.derivation is None and rolled is None:
        shown = function.jacobian(sparse=True) if function.shape else function.hessian(sparse=True)
    ax = axes(ax, (5.0, 5.0))
    pattern = shown.pattern
    rows, columns = pattern.shape
    if max(rows, columns) <= SQUARES:
        corner = np.array([[-0.45, -0.45], [0.45, -0.45], [0.45, 0.45], [-0.45, 0.45]])
        squares = np.stack([pattern.columns, pattern.rows], axis=1)[:, None] + corner
        ax.add_collection(collections.PolyCollection(squares, facecolor=UP, edgecolor="none"))
    else:
        ax.plot(pattern.columns, pattern.rows, ",", color=UP)
    ax.set(xlim=(-0.5, columns - 0.5), ylim=(rows - 0.5, -0.5), aspect="equal", xlabel="column", ylabel="row")
    ax.set_title(f"{shown.name}: {pattern.nnz:,} of {rows:,} × {columns:,} ({100 * pattern.density:.3g} %)")
    for axis in (ax.xaxis, ax.yaxis):
        axis.get_major_locator().set_params(integer=True)
    return ax


# --- contours ---------------------------------------------------------------------------------------------------------
def plot_contours(
    function: Function,
    ranges: Sequence[Range] | Mapping[str, Range] = ((-1.0, 1.0), (-1.0, 1.0)),
    *,
    at: Mapping[str, Any] | None = None,
    ax: Axes | None = None,
    levels: int | Sequence[float] = 14,
    gradient: bool = True,
    hessian: bool = True,
    points: int = 161,
    arrows: int = 13,
    ellipses: int = 6,
) -> Axes:
    """Contours of a scalar function of two variables, with its gradient and curvature.

    ranges : (low, high) for each of the two variables, in order; or by name, which also says which two of more, such as
        {"q[0]": (-1, 1), "q[2]": (0, 3)}.
    at : values of the other variables, an array or number for each argument by name.
    levels : how many contours, between which the function's values lie about equally often; or their values.
    gradient : draw arrows uphill, `arrows` in each direction, all of one length, the steeper the darker.
    hessian : draw `ellipses` in each direction: where the second-order term is equally large, with axes along the
        eigenvectors of the Hessian. Blue where the function curves up, brown where down, violet at saddles.
    points : of the grid for the contours, in each direction.

    Raises ArgumentError for a function with a shape, for variables and ranges that do not fit, and where nothing is
    finite; ImportError without matplotlib.
    """
    if function.shape != ():
        raise ArgumentError(f"contours are those of a scalar function, but {function.name} has shape {function.shape}")
    names, places, limits = two_variables(function, ranges)
    ax = axes(ax)
    kernel = compile(function, function.gradient(), function.hessian(), name=function.name)
    base = start(function, at or {}, names)

    def evaluate(x: NDArray[Any], y: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        table = np.broadcast_to(base, (*x.shape, len(base))).copy()
        table[..., places[0]], table[..., places[1]] = x, y
        sizes = [argument.size for argument in function.arguments]
        parts = np.split(table, np.cumsum(sizes)[:-1], axis=-1)
        arrays = [p.reshape(*x.shape, *a.shape) for p, a in zip(parts, function.arguments, strict=True)]
        value, slope, curvature = kernel(*arrays)
        n = len(base)
        slope, curvature = slope.reshape(*x.shape, n), curvature.reshape(*x.shape, n, n)
        return value, slope[..., places], curvature[..., places, :][..., places]

    x, y = mesh(limits, points)
    value = np.ma.masked_invalid(evaluate(x, y)[0])
    if value.count() == 0:
        raise ArgumentError(f"{function.name} is not finite anywhere in {limits}; give other ranges")
    ax.contourf(x, y, value, levels=contour_levels(value, levels), cmap="Blues", alpha=0.55, extend="both")
    lines = ax.contour(x, y, value, levels=contour_levels(value, levels), colors=UP, linewidths=0.7)
    ax.clabel(lines, lines.levels[::3], fontsize=7, fmt="%.3g")
    if gradient:
        x, y = mesh(limits, arrows, inside=True)
        draw_gradient(ax, x, y, evaluate(x, y)[1])
    if hessian:
        x, y = mesh(limits, ellipses, inside=True)
        draw_ellipses(ax, x, y, evaluate(x, y)[2], limits, ellipses)
    ax.set(xlim=limits[0], ylim=limits[1], xlabel=names[0], ylabel=names[1], title=function.name)
    return ax


def two_variables(
    function: Function, ranges: Sequence[Range] | Mapping[str, Range]
) -> tuple[list[str], list[int], list[Range]]:
    """Names, places among all elements, and ranges of the two variables."""
    names = [name for argument in function.arguments for name in element_names(argument)]
    if isinstance(ranges, Mapping):
        chosen = [str(name) for name in ranges]
        unknown = [name for name in chosen if name not in names]
        if unknown:
            raise ArgumentError(f"ranges names {unknown[0]!r}; {function.name} has {', '.join(names[:20])}")
        pairs = list(ranges.values())
    else:
        chosen, pairs = names, list(ranges)
    if len(chosen) != 2 or len(pairs) != 2:
        raise ArgumentError(
            f"contours need two variables, and {function.name} has {', '.join(names[:20])}: name two of them with "
            "ranges={'x': (low, high), …}, and give the others with at="
        )
    for name, pair in zip(chosen, pairs, strict=True):
        if np.shape(pair) != (2,) or not np.all(np.isfinite(pair)) or not pair[0] < pair[1]:
            raise ArgumentError(f"ranges needs finite low < high for {name}, got {pair!r}")
    return chosen, [names.index(name) for name in chosen], [(float(low), float(high)) for low, high in pairs]


def start(function: Function, at: Mapping[str, Any], chosen: Sequence[str]) -> NDArray[Any]:
    """All elements side by side: as given, and 0 for the two that vary."""
    given, parts = {str(name): value for name, value in at.items()}, [np.zeros(0)]
    known = [argument.name for argument in function.arguments]
    if unknown := [name for name in given if name not in known]:
        raise ArgumentError(f"at names {unknown[0]!r}; {function.name} has {', '.join(known)}")
    for argument in function.arguments:
        varied = sum(name.partition("[")[0] == argument.name for name in chosen)
        if argument.name not in given and varied < argument.size:
            raise ArgumentError(
                f"at= must give {argument.name}, which {function.name} needs besides {', '.join(chosen)}"
            )
        value = np.asarray(given.get(argument.name, 0.0), dtype=float)
        try:
            parts.append(np.broadcast_to(value, argument.shape).ravel())
        except ValueError:
            raise ArgumentError(f"at for {argument.name} needs shape {argument.shape}, got {value.shape}") from None
    return np.concatenate(parts)


def mesh(limits: Sequence[Range], count: int, inside: bool = False) -> tuple[NDArray[Any], NDArray[Any]]:
    """A grid of count × count points; `inside`: the centres of as many cells."""
    margin = 0.5 / count if inside else 0.0
    sides = [low + (high - low) * np.linspace(margin, 1 - margin, count) for low, high in limits]
    x, y = np.meshgrid(*sides)
    return x, y


def contour_levels(value: Any, levels: int | Sequence[float]) -> Any:
    """So many levels between which the values lie about equally often; or the levels given."""
    if not isinstance(levels, int):
        return np.sort(np.asarray(levels, dtype=float))
    found = np.unique(np.quantile(value.compressed(), np.linspace(0.01, 0.99, levels)))
    return found if len(found) > 1 else found[0] + np.array([-1.0, 0.0, 1.0]) * max(abs(found[0]), 1.0) * 1e-3


def draw_gradient(ax: Axes, x: NDArray[Any], y: NDArray[Any], slope: NDArray[Any]) -> None:
    """Arrows uphill, all of one length; the steeper, the darker."""
    size = np.hypot(slope[..., 0], slope[..., 1])
    good = np.isfinite(size) & (size > 0)
    if not good.any():
        return
    unit = slope[good] / size[good][:, None]
    strength = np.argsort(np.argsort(size[good])) / max(good.sum() - 1, 1)
    colours = np.zeros((good.sum(), 4))
    colours[:, 3] = 0.25 + 0.6 * strength
    ax.quiver(x[good], y[good], unit[:, 0], unit[:, 1], color=colours, angles="xy", scale=34, width=0.0022, pivot="mid")


def draw_ellipses(
    ax: Axes, x: NDArray[Any], y: NDArray[Any], curvature: NDArray[Any], limits: Sequence[Range], count: int
) -> None:
    """Where the second-order term of the function is as large: axes along the eigenvectors, as 1/√|eigenvalue|.

    In units of the ranges, so that they look alike in any. Blue where both eigenvalues are positive, brown where both
    are negative, violet where the signs differ; the long axis fits the cell.
    """
    widths = np.array([high - low for low, high in limits])
    for place in np.ndindex(x.shape):
        scaled = curvature[place] * np.outer(widths, widths)
        if not np.isfinite(scaled).all() or not scaled.any():
            continue
        values, vectors = np.linalg.eigh(scaled)
        sizes = np.maximum(np.abs(values), 1e-3 * np.abs(values).max())
        half = 0.42 / count * np.sqrt(sizes.min() / sizes)
        angles = np.linspace(0, 2 * np.pi, 61)
        ring = widths[:, None] * (vectors @ (half[:, None] * np.stack([np.cos(angles), np.sin(angles)])))
        colour = UP if values[0] > 0 else DOWN if values[1] < 0 else MIXED
        ax.plot(x[place] + ring[0], y[place] + ring[1], color=colour, linewidth=1.1)


# --- errors -----------------------------------------------------------------------------------------------------------
def plot_errors(kernel: Kernel, points: int = 64, seed: int = 0, ax: Axes | None = None) -> Axes:
    """Errors of a kernel against the numeric tape; see `Kernel.plot_errors`."""
    if points < 1:
        raise ArgumentError(f"points must be a positive number, got {points}")
    ax = axes(ax)

    def evaluate(*arrays: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        values = kernel(*arrays, threads=1)
        return values if isinstance(values, tuple) else (values,)

    check = Check(Subject(kernel.name, kernel.arguments, kernel.formulas, evaluate), seed)
    with np.errstate(all="ignore"):
        comparisons = check.compare(check.points(points))
    largest = 0.0
    for index, formula in enumerate(kernel.formulas):
        own = [c for c in comparisons if c.index == index]
        sizes = np.concatenate([np.abs(c.tape).ravel() for c in own])
        ulps = np.concatenate([c.ulps().ravel() for c in own])
        good = np.isfinite(sizes) & (sizes > 0)
        ax.plot(sizes[good], ulps[good], ".", markersize=3.5, alpha=0.5, label=formula.name)
        largest = max(largest, ulps[good].max(initial=0.0))
    ax.axhline(1.0, color="0.5", linewidth=0.8, linestyle=":")
    ax.set_xscale("log")
    if largest > WIDE:
        ax.set_yscale("symlog", linthresh=1.0)
    ax.set(xlabel="size of the number", ylabel="difference from the tape (ulp)", title=kernel.name)
    ax.legend(frameon=False, fontsize=8)
    return ax


def plot_certificate(certificate: Certificate, ax: Axes | None = None) -> Axes:
    """How many numbers differ from the tape by how much; see `Certificate.plot`."""
    ax = axes(ax)
    names = ["0", *("½" if edge == 0.5 else f"{edge:g}" for edge in ULP_BINS[1:]), f">{ULP_BINS[-1]:g}"]
    counts = [np.array(r.histogram or [0] * len(names)) for r in certificate.results]
    last = max((int(place) for count in counts for place in np.flatnonzero(count)), default=0)
    shown = max(last + 2, 5)
    places, below = np.arange(min(shown, len(names))), np.zeros(min(shown, len(names)))
    for finding, count in zip(certificate.results, counts, strict=True):
        ax.bar(places, count[: len(places)], bottom=below, width=0.8, label=finding.name)
        below += count[: len(places)]
    ax.set_xticks(places, names[: len(places)])
    ax.set(
        xlabel="difference from the tape, up to (ulp)",
        ylabel="numbers compared",
        title=certificate.headline().split(":")[0],
    )
    ax.legend(frameon=False, fontsize=8)
    return ax
