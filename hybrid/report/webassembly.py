"""A program as WebAssembly, or why there is none."""

from __future__ import annotations

from dataclasses import replace

from codegen.export import FORMATS, Build
from codegen.program import Program
from codegen.target import host

SYMBOL = "kernel"  # the name of the function in the module


def module(program: Program) -> bytes:
    """The module that exports its memory and the program's function, under the name `SYMBOL`.

    Raises ValueError for a program that calls functions of somebody else, LinkerNotFound where nothing can link.
    """
    if program.externals:
        raise ValueError(f"{program.name} calls {program.externals[0].name}, code that is not in the kernel")
    made = FORMATS["wasm"].make(Build(replace(program, name=SYMBOL), host()))
    return made[f"{SYMBOL}.wasm"]
