"""Kernels as files: what `Kernel.export` and `ReducedKernel.export` do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

import hybrid
from codegen.export import Details, Pattern, Reduction
from codegen.export import export as write
from codegen.program import Array, Program
from codegen.target import Target, find, portable
from hybrid.arguments import element_of
from hybrid.calling import Gathered
from hybrid.compiled import CompiledFunctions
from hybrid.errors import UnsupportedError
from hybrid.printing.several import part_names
from hybrid.sampling import Sampler
from hybrid.together import as_compiled, unique_names, written

POINTS = 5  # of the test program
DIGITS = 6  # of their coordinates


def export(
    kernel: CompiledFunctions,
    folder: str | Path,
    name: str | None = None,
    formats: str | Sequence[str] = ("so", "h"),
    target: str | Target | None = None,
    dtype: DTypeLike = np.float64,
    optimise: str = "speed",
    *,
    gathered: Gathered | None = None,
    reduction: Reduction | None = None,
) -> list[Path]:
    """Write the files; see `Kernel.export`."""
    wanted = [formats] if isinstance(formats, str) else list(formats)
    program = apart(kernel, gathered or Gathered(False, False))
    python = [external.name for external in program.externals if external.c is None]
    if python:
        raise UnsupportedError(
            f"{kernel.name} calls {python[0]}, Python code of this process, which no file can hold; "
            f"hybrid.elementary(..., c=...) makes a function that exported code can call"
        )
    if name is not None:
        program = replace(program, name=name)
    machine = (portable() if target is None else find(target)).with_element(element_of(dtype))
    said = details(kernel, program, reduction)
    return write(program, folder, program.name, wanted, machine, optimise=optimise, details=said)


def details(kernel: CompiledFunctions, program: Program, reduction: Reduction | None) -> Details:
    """What a bundle says about the functions: how they were checked, and where the entries of sparse ones stand."""
    patterns = {
        name: Pattern(p.shape, tuple(map(int, p.rows)), tuple(map(int, p.columns)), p.triangle)
        for name, formula in zip(unique_names(kernel.formulas), kernel.formulas, strict=True)
        if formula.derivation is not None and (p := formula.derivation.pattern) is not None and formula.nodes
    }
    return Details(
        certificate(kernel),
        patterns,
        reduction,
        {"hybrid": hybrid.__version__},
        lambda: points(kernel, [argument.name for argument in program.arguments]),
        {name: origin(formula) for name, formula in zip(unique_names(kernel.formulas), kernel.formulas, strict=True)},
    )


def origin(
    formula: Any,
    made_of: Callable[[Any], Any] = lambda formula: formula.derivation,
    pattern_of: Callable[[Any], Any] = lambda formula: formula.derivation.pattern,
) -> dict[str, Any]:
    """Which function a result is, and which derivatives were taken of it, one after the other; for `hybrid check`.

    made_of: how a formula was derived, or None. pattern_of: the pattern of a derived one, if it is sparse.
    """
    steps: list[dict[str, Any]] = []
    while (made := made_of(formula)) is not None:
        step: dict[str, Any] = {"kind": made.kind, "by": [made.of.arguments[k].name for k in made.wrt]}
        if (pattern := pattern_of(formula)) is not None:
            step["sparse"] = pattern.triangle
        steps.insert(0, step)
        formula = made.of
    return {"function": formula.name, "derivatives": steps}


def certificate(kernel: Any) -> dict[str, Any] | None:
    """The certificate as it goes into files: without the time it took, which is not the same twice."""
    if kernel.certificate is None:
        return None
    return {key: value for key, value in kernel.certificate.to_dict().items() if key != "seconds"}


def points(kernel: CompiledFunctions, names: Sequence[str]) -> list[list[list[float]]] | None:
    """Some at which the functions are finite, for the arguments named; None if none are found."""
    columns, elements = {}, 0
    for argument in kernel.arguments:
        columns[argument.name] = range(elements, elements + argument.size)
        elements += argument.size
    roots = [formula for formula in kernel.formulas if formula.nodes]
    if not elements or not roots or not set(names) <= set(columns):
        return None
    sampler = Sampler(roots, columns, elements, np.random.default_rng(0))
    with np.errstate(all="ignore"):
        table = sampler.sample(POINTS)[:POINTS].tolist()
    if not sampler.found or not table:
        return None
    return [[[float(f"{row[k]:.{DIGITS}g}") for k in columns[name]] for name in names] for row in table]


def with_names(kernel: CompiledFunctions, gathered: Gathered) -> Program:
    """The kernel's program, its values called as `kernel.latex()` calls them."""
    with kernel.parts[0].lock:
        names = part_names(as_compiled(kernel.formulas, kernel.parts))
        again = written(kernel.formulas, kernel.parts, gathered, kernel.name, names)
    same = repr(again.body) == repr(kernel.program.body)  # as text, since NaN differs from itself
    return replace(kernel.program, names=again.names) if same else kernel.program


def apart(kernel: CompiledFunctions, gathered: Gathered) -> Program:
    """The program with an operand per argument and function also where the kernel has them side by side for NumPy."""
    program = with_names(kernel, gathered)
    arguments, body, results, outputs = program.arguments, program.body, program.results, program.outputs
    if gathered.arguments and any(argument.size for argument in kernel.arguments):
        arguments = tuple(Array(argument.name, argument.shape) for argument in kernel.arguments if argument.size)
        places = [(k, element) for k, argument in enumerate(arguments) for element in range(argument.size)]
        body = [("load", *places[step[2]]) if step[0] == "load" else step for step in body]
    if gathered.results:
        named = zip(unique_names(kernel.formulas), kernel.formulas, strict=True)
        results = tuple(Array(name, formula.shape) for name, formula in named if formula.nodes)
        values = iter(outputs[0])
        outputs = tuple(tuple(islice(values, result.size)) for result in results)
    return replace(program, arguments=arguments, body=body, results=results, outputs=outputs)
