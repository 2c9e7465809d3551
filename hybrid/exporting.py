"""A kernel as files: what `Kernel.export` does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

import hybrid
from codegen.export import Details, Pattern
from codegen.export import export as write
from codegen.program import Array, Program
from codegen.target import find
from hybrid.arguments import element_of
from hybrid.calling import Gathered
from hybrid.errors import UnsupportedError
from hybrid.kernel import Kernel
from hybrid.together import unique_names


def export(
    kernel: Kernel,
    folder: str | Path,
    name: str | None = None,
    formats: Sequence[str] = ("so", "h"),
    target: str | None = None,
    dtype: DTypeLike = np.float64,
    optimise: str = "speed",
) -> list[Path]:
    """Write the files; see `Kernel.export`."""
    program = apart(kernel)
    python = [external.name for external in program.externals if external.c is None]
    if python:
        raise UnsupportedError(
            f"{kernel.name} calls {python[0]}, Python code of this process, which no file can hold; "
            f"hybrid.elementary(..., c=...) makes a function that exported code can call"
        )
    if name is not None:
        program = replace(program, name=name)
    machine = find(kernel.compiled.target if target is None else target).with_element(element_of(dtype))
    return write(program, folder, program.name, formats, machine, optimise=optimise, details=details(kernel))


def details(kernel: Kernel) -> Details:
    """What a bundle says about the functions: how they were checked, and where the entries of sparse ones stand."""
    patterns = {
        name: Pattern(p.shape, tuple(map(int, p.rows)), tuple(map(int, p.columns)), p.triangle)
        for name, formula in zip(unique_names(kernel.formulas), kernel.formulas, strict=True)
        if formula.derivation is not None and (p := formula.derivation.pattern) is not None and formula.nodes
    }
    return Details(certificate(kernel), patterns, {"hybrid": hybrid.__version__})


def certificate(kernel: Kernel) -> dict[str, Any] | None:
    """The certificate as it goes into files: without the time it took, which is not the same twice."""
    if kernel.certificate is None:
        return None
    return {key: value for key, value in kernel.certificate.to_dict().items() if key != "seconds"}


def apart(kernel: Kernel) -> Program:
    """The program with an operand per argument and function also where the kernel has them side by side for NumPy."""
    program, gathered = kernel.program, kernel.gathered or Gathered(False, False)
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
