"""The live panel: the kernel as WebAssembly, where it starts, and between which values each input moves."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codegen.program import Program
from hybrid.cost import graph_cost
from hybrid.errors import ArgumentError
from hybrid.lower import Result, lower
from hybrid.report.emitted import SYMBOL, webassembly
from hybrid.report.labels import Label
from hybrid.report.study import Study
from hybrid.sampling import Sampler

MOST_CONTROLS = 24
MOST_NUMBERS = 3_000  # entries of a derivative that a browser shows as they change
MOST_OPERATIONS = 6_000  # of a kernel in a page
WIDE = 129  # points at which a range is tried
Table = NDArray[np.float64]


@dataclass(frozen=True)
class Control:
    """An input that can be moved: its place among all elements, its name, where it starts and its range."""

    place: int
    label: Label
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Panel:
    """What the panel needs; without `data` there is none, for the `reason`."""

    start: tuple[NDArray[Any], ...]
    controls: tuple[Control, ...]
    data: dict[str, Any] | None
    reason: str = ""


def panel(study: Study, at: Mapping[str, Any] | None, ranges: Mapping[str, Any] | None) -> Panel:
    """Start, ranges and code. Raises ArgumentError for names and shapes that do not fit the function."""
    given = elements(study, at or {}, "at")
    pairs = {name: sides_of(name, pair) for name, pair in (ranges or {}).items()}
    sides = [elements(study, {name: pair[side] for name, pair in pairs.items()}, "ranges") for side in (0, 1)]
    limits = np.stack(sides, axis=1)
    start = np.where(np.isnan(given), within(chosen(study), limits), given)
    first = dict.fromkeys([*study.variables, *range(len(start))])
    places = sorted(list(first)[:MOST_CONTROLS])
    controls = tuple(
        Control(
            place,
            study.inputs[place],
            float(start[place]),
            *span(study, start, place, limits[place], bool(np.isnan(given[place]))),
        )
        for place in places
    )
    arrays = split(study, start)
    program, second = in_a_page(study)
    if program is None:
        cost = graph_cost(study.first.graph, study.first.nodes)
        reason = f"its first derivative alone takes {cost:,} operations; a page holds up to {MOST_OPERATIONS:,}"
        return Panel(arrays, controls, None, reason)
    try:
        code = webassembly(program)
    except (RuntimeError, ValueError) as error:
        return Panel(arrays, controls, None, str(error).removesuffix("."))
    return Panel(arrays, controls, described(study, program, second, start, controls, code))


# --- the code ---------------------------------------------------------------------------------------------------------
def in_a_page(study: Study) -> tuple[Program | None, bool]:
    """The program that goes into the page, and whether it has the second derivative."""
    fits = study.second is not None and len(study.second.nodes) <= MOST_NUMBERS
    if fits and study.kernel.operations <= MOST_OPERATIONS:
        return study.kernel.program, True
    if len(study.first.nodes) > MOST_NUMBERS or graph_cost(study.first.graph, study.first.nodes) > MOST_OPERATIONS:
        return None, False
    if study.second is None and study.kernel.operations <= MOST_OPERATIONS:
        return study.kernel.program, False
    results = [Result(f.name, f.shape, f.nodes) for f in (study.function, study.first)]
    return lower(study.function.graph, study.function.arguments, results, study.function.name), False


def described(
    study: Study, program: Program, second: bool, start: Table, controls: Sequence[Control], code: bytes
) -> dict[str, Any]:
    """Plain data for the script. Results lie one after the other: values, first derivatives, second ones."""
    outputs, columns = study.function.size, len(study.variables)
    data: dict[str, Any] = {
        "name": study.function.name,
        "symbol": SYMBOL,
        "wasm": base64.b64encode(code).decode(),
        "arguments": [argument.size for argument in program.arguments],
        "results": [result.size for result in program.results],
        "start": [float(x) if math.isfinite(x) else 0.0 for x in start],
        "controls": [
            {"place": c.place, "html": c.label.html, "text": c.label.text, "low": c.low, "high": c.high}
            for c in controls
        ],
        "variables": study.variables,
        "columns": [{"html": study.inputs[i].html, "text": study.inputs[i].text} for i in study.variables],
        "outputs": [{"html": label.html, "text": label.text} for label in study.outputs],
        "first": places(study.first, outputs * columns),
        "second": places(study.second, outputs * columns**2) if second and study.second is not None else None,
        "scalar": study.function.shape == (),
    }
    return data


def places(derived: Any, size: int) -> dict[str, Any]:
    """Where the entries of a derivative are in its dense form, flat in C order; None where they are all there."""
    pattern = derived.derivation.pattern
    flat = None if pattern is None else (pattern.rows * pattern.shape[1] + pattern.columns).tolist()
    return {"size": size, "places": flat}


# --- where it starts --------------------------------------------------------------------------------------------------
def sides_of(name: str, pair: Any) -> tuple[Any, Any]:
    try:
        low, high = pair
    except (TypeError, ValueError):
        raise ArgumentError(f"ranges needs a pair (low, high) for {name}, got {pair!r}") from None
    low, high = np.broadcast_arrays(np.asarray(low, dtype=float), np.asarray(high, dtype=float))
    if not np.all(low < high) or not np.all(np.isfinite([low, high])):
        raise ArgumentError(f"ranges needs finite low < high for {name}, got {pair!r}")
    return low, high


def elements(study: Study, given: Mapping[str, Any], option: str) -> Table:
    """One number for each element of the arguments, NaN where nothing is given."""
    known = {argument.name: argument for argument in study.function.arguments}
    named = {str(name): value for name, value in given.items()}
    if unknown := [name for name in named if name not in known]:
        raise ArgumentError(f"{option} names {unknown[0]!r}; {study.function.name} has {', '.join(known)}")
    parts = [np.zeros(0)]
    for name, argument in known.items():
        try:
            value = np.asarray(named.get(name, np.nan), dtype=float)
            parts.append(np.broadcast_to(value, argument.shape).ravel())
        except (TypeError, ValueError):
            raise ArgumentError(
                f"{option} for {name} needs one number or an array of shape {argument.shape}, got {named[name]!r}"
            ) from None
    found = np.concatenate(parts)
    if np.isinf(found).any():
        raise ArgumentError(f"{option} needs finite numbers, got an infinite one")
    return found


def split(study: Study, start: Table) -> tuple[NDArray[Any], ...]:
    """One array per argument, of its shape."""
    ends_at = np.cumsum([argument.size for argument in study.function.arguments])[:-1]
    parts = np.split(start, ends_at)
    return tuple(part.reshape(a.shape) for part, a in zip(parts, study.function.arguments, strict=True))


def values(study: Study, table: Table, everything: bool = True) -> Table:
    """The results at some points, (points, numbers): of all formulas, or of the function itself."""
    batch = []
    at = 0
    for argument in study.function.arguments:
        batch.append(np.ascontiguousarray(table[:, at : at + argument.size]).reshape(len(table), *argument.shape))
        at += argument.size
    results = study.kernel(*batch)
    shown = results if everything else results[:1]
    return np.concatenate([np.reshape(result, (len(table), -1)) for result in shown], axis=1)


def chosen(study: Study) -> Table:
    """A point where everything is finite, of few digits: the same one every time."""
    columns, at = {}, 0
    for argument in study.function.arguments:
        columns[argument.name] = range(at, at + argument.size)
        at += argument.size
    with np.errstate(all="ignore"):
        sample = Sampler([study.function], columns, at, np.random.default_rng(0)).sample(4)
        candidates: list[Table] = [rounded(row) for row in sample] + list(sample)
        for row in candidates:
            if np.isfinite(values(study, row[None])).all():
                return row
    return candidates[0] if candidates else np.zeros(at)


def within(start: Table, limits: Table) -> Table:
    """The start where it is between the limits; elsewhere a place off their middle, where little is symmetric."""
    low, high = limits.T
    outside = (start < low) | (start > high)
    return np.where(outside, rounded(low + 0.6 * (high - low)), start)


def rounded(row: Table) -> Table:
    return np.array([float(f"{value:.2g}") for value in row])


def span(study: Study, start: Table, place: int, limits: Table, free: bool) -> tuple[float, float]:
    """Between which values an input moves: as given, else around where it starts, as far as the function is finite."""
    if not np.isnan(limits).any():
        return float(limits[0]), float(limits[1])
    value = start[place] if math.isfinite(start[place]) else 0.0
    size = abs(value) or 1.0
    if free:
        size = max(size, 1.0)
    step = nice(size / 2)
    low, high = step * math.floor((value - 2 * size) / step), step * math.ceil((value + 2 * size) / step)
    table = np.repeat(start[None], WIDE, axis=0)
    table[:, place] = np.linspace(low, high, WIDE)
    with np.errstate(all="ignore"):
        finite = np.all(np.isfinite(values(study, table, everything=False)), axis=1).tolist()
    first = last = int(np.abs(table[:, place] - value).argmin())
    if all(finite) or not finite[first]:
        return float(f"{low:.6g}"), float(f"{high:.6g}")
    while first > 0 and finite[first - 1]:
        first -= 1
    while last < WIDE - 1 and finite[last + 1]:
        last += 1
    low, high = min(table[first, place], value), max(table[last, place], value)
    return (float(f"{low:.4g}"), float(f"{high:.4g}")) if low < high else (value - 1, value + 1)


def nice(size: float) -> float:
    """1, 2 or 5 times a power of ten, at most `size`."""
    power = 10.0 ** math.floor(math.log10(size))
    return float(power * max(factor for factor in (1, 2, 5) if factor * power <= size * (1 + 1e-9)))
