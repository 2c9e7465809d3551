"""Rolled code as files: the bundle of `codegen.export.export`, with loops and tables in the place of a program."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import llvmlite.binding as llvm

from codegen.blocks.native import optimised
from codegen.export.bundle import Build, Details
from codegen.export.formats import FORMATS
from codegen.export.rolled_interface import Outline, Rolled, RolledInterface
from codegen.export.rolled_library import RolledLibrary
from codegen.export.rolled_source import rolled_source
from codegen.export.write import check_request, write_bundle
from codegen.target import Target, find

# What is made of rolled code. The others pass single points or strided elements, or run where there is no library.
ROLLED_FORMATS = ("o", "h", "ll", "bc", "s", "a", "c", "so", "cmake", "pc")


@dataclass(frozen=True)
class Room:
    """What the manifest says of a call: the vectors, words of room, and whether that comes from malloc."""

    target: Target
    scratch: int
    on_heap: bool


@dataclass(frozen=True)
class RolledBuild(Build):
    """What the formats are made from."""

    rolled: Rolled = field(kw_only=True)

    @cached_property
    def interface(self) -> RolledInterface:
        return RolledInterface(self.program, self.element, self.details.sparsity, rolled=self.rolled)

    @cached_property
    def source(self) -> str:
        return rolled_source(self.interface, self.version)

    @cached_property
    def library(self) -> RolledLibrary:
        target = self.target
        if self.is_small:
            target = replace(target, width=8 // target.bytes)
        return RolledLibrary(self.interface, target, self.version)

    @cached_property
    def layout(self) -> Room:  # type: ignore[override]  # as much of it as the manifest reads
        return Room(self.library.target, -(-self.library.memory // 8), self.library.on_heap)

    @cached_property
    def ir(self) -> str:
        return str(self.library.module())

    @cached_property
    def machine(self) -> llvm.TargetMachine:
        return self.target.machine(opt=2)

    @cached_property
    def module(self) -> llvm.ModuleRef:
        return optimised(self.ir, self.machine)


def export_rolled(
    rolled: Rolled,
    folder: str | os.PathLike[str],
    name: str | None = None,
    formats: Iterable[str] = ("o", "h"),
    target: Target | str | None = None,
    *,
    optimise: str = "speed",
    details: Details | None = None,
) -> list[Path]:
    """As `codegen.export.export`, of rolled code.

    Raises ValueError, besides, for formats that are not made of it and targets without a C library.
    """
    name = rolled.name if name is None else name
    wanted, machine = check_request(name, formats, target, optimise)
    if others := [fmt for fmt in wanted if fmt not in ROLLED_FORMATS]:
        raise ValueError(
            f"rolled code is not exported as {others[0]!r} ({FORMATS[others[0]].about}); there are "
            f"{', '.join(ROLLED_FORMATS)}, and all formats for functions that are written out (rolled=False)"
        )
    if not machine.has_library and set(wanted) - {"c", "h"}:
        raise ValueError(f"rolled code is not compiled for {machine.triple}; its C source ('c') is for any machine")
    element = {run.blocks.element for run in rolled.runs} or {"float64"}
    machine = find(machine).with_element(element.pop())
    own = rolled.exported(name)
    build = RolledBuild(Outline(own), machine, optimise, details or Details(), tuple(wanted), rolled=own)
    return write_bundle(build, folder, wanted)
