"""A kernel as files: what `Kernel.export` does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike

from codegen.export import export as write
from codegen.target import find
from hybrid.arguments import element_of
from hybrid.errors import UnsupportedError
from hybrid.kernel import Kernel


def export(
    kernel: Kernel,
    folder: str | Path,
    name: str | None = None,
    formats: Sequence[str] = ("so", "h"),
    target: str | None = None,
    dtype: DTypeLike = np.float64,
) -> list[Path]:
    """Write the files; see `Kernel.export`."""
    program = kernel.program
    python = [external.name for external in program.externals if external.c is None]
    if python:
        raise UnsupportedError(
            f"{kernel.name} calls {python[0]}, Python code of this process, which no file can hold; "
            f"hybrid.elementary(..., c=...) makes a function that exported code can call"
        )
    if name is not None:
        program = replace(program, name=name)
    machine = find(kernel.compiled.target if target is None else target).with_element(element_of(dtype))
    return write(program, folder, program.name, formats, machine)
