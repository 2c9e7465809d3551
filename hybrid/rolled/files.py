"""Rolled kernels as files: what `RolledKernel.export` does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hybrid
from codegen.export import Details, Pattern, Rolled, Run, export_rolled
from codegen.program import Array
from codegen.target import Target, find, portable
from hybrid import exporting
from hybrid.errors import UnsupportedError
from hybrid.rolled.formula import RolledFormula
from hybrid.together import unique_names


def export(
    kernel: Any,
    folder: str | Path,
    name: str | None = None,
    formats: str | Sequence[str] = ("so", "h"),
    target: str | Target | None = None,
    optimise: str = "speed",
) -> list[Path]:
    """Write the files; see `RolledKernel.export`."""
    wanted = [formats] if isinstance(formats, str) else list(formats)
    rolled = described(kernel)
    python = [external.name for external in rolled.externals if external.c is None]
    if python:
        raise UnsupportedError(
            f"{kernel.name} calls {python[0]}, Python code of this process, which no file can hold; "
            f"hybrid.elementary(..., c=...) makes a function that exported code can call"
        )
    machine = portable() if target is None else find(target)
    return export_rolled(rolled, folder, name, wanted, machine, optimise=optimise, details=details(kernel))


def described(kernel: Any) -> Rolled:
    """The kernel as the code generator exports it."""
    names = unique_names(kernel.formulas)
    arguments = tuple(Array(argument.name, argument.shape) for argument in kernel.arguments)
    results = tuple(Array(name, formula.shape) for name, formula in zip(names, kernel.formulas, strict=True))
    numbers = {argument.name: number for number, argument in enumerate(arguments)}
    runs, copies = [], []
    for run in kernel.runs:
        places = {f"b{buffer}": numbers[argument] for argument, buffer in run.inputs}
        for place in run.places:
            buffer = f"b{kernel.formulas[place].output}"
            known = places.setdefault(buffer, len(arguments) + place)
            if known != len(arguments) + place:
                copies.append((len(arguments) + place, known))
        runs.append(Run(run.plan.form, run.plan.arrays, places))
    return Rolled(kernel.name, arguments, results, tuple(runs), tuple(copies))


def details(kernel: Any) -> Details:
    """What the manifest says of the functions."""
    names = unique_names(kernel.formulas)
    patterns = {
        name: Pattern(p.shape, tuple(p.rows.tolist()), tuple(p.columns.tolist()), p.triangle)
        for name, formula in zip(names, kernel.formulas, strict=True)
        if (p := formula.fixed_pattern) is not None
    }
    return Details(
        exporting.certificate(kernel),
        patterns,
        None,
        {"hybrid": hybrid.__version__},
        origins={name: origin(formula) for name, formula in zip(names, kernel.formulas, strict=True)},
    )


def origin(formula: RolledFormula) -> dict[str, Any]:
    return exporting.origin(formula, lambda each: each.origin, lambda each: each.fixed_pattern)
