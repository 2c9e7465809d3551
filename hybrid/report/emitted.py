"""Code of a program for the page: WebAssembly that runs in it, C to read."""

from __future__ import annotations

from dataclasses import replace

from codegen.export import FORMATS, Build
from codegen.program import Program
from codegen.target import host

SYMBOL = "kernel"  # the name of the function in a WebAssembly module


def webassembly(program: Program) -> bytes:
    """The module that exports its memory and the program's function, under the name `SYMBOL`.

    Raises ValueError for a program that calls functions of somebody else.
    """
    if program.externals:
        raise ValueError(f"{program.name} calls {program.externals[0].name}, code that is not in the kernel")
    return made(replace(program, name=SYMBOL), "wasm")


def c_code(program: Program) -> str:
    """The C source of a program."""
    return made(program, "c").decode()


def made(program: Program, fmt: str) -> bytes:
    """The one file of a format."""
    (content,) = FORMATS[fmt].make(Build(program, host())).values()
    return content
