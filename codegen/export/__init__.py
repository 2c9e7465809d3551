"""Native code → files: objects, libraries, headers, IR, C source.

`export(program, "build", "f", ["so", "h"])` writes `build/f.so`, `build/f.h` and `build/f.manifest.json`. The functions
in the files, their arguments and layouts are described in the header (header.py) and the manifest (manifest.py);
linking is left to the system (linker.py). What there is to write is a table, formats.py; how files reach a folder as
one set, bundle.py. The same program, name, formats and target give the same bytes on any machine that has the same
versions.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from codegen.emit import symbol
from codegen.export.bundle import OPTIMISE, Build, Details, Files, Format, check_writable, write_set, write_whole
from codegen.export.formats import FORMATS, wasm_module
from codegen.export.interface import Interface, Pattern, Reduction
from codegen.export.linker import LinkerNotFound
from codegen.export.manifest import manifest, manifest_file
from codegen.program import Program
from codegen.target import Target, find

__all__ = [
    "FORMATS",
    "Build",
    "Details",
    "Files",
    "Format",
    "Interface",
    "LinkerNotFound",
    "Pattern",
    "Reduction",
    "check_writable",
    "export",
    "wasm_module",
    "write_whole",
]

# What is written where a format that needs a linker finds none.
WITHOUT_LINKER = ("o", "a", "h")


def export(
    program: Program,
    folder: str | os.PathLike[str],
    name: str | None = None,
    formats: Iterable[str] = ("o", "h"),
    target: Target | str | None = None,
    *,
    optimise: str = "speed",
    details: Details | None = None,
) -> list[Path]:
    """Write the files of each format into `folder`; returns their paths, in the order of `formats`.

    formats: names from `FORMATS`, whose rows say what each is. The manifest, `NAME.manifest.json`, is written in any
    case and not among the paths. target: as for `compile`; of text formats only its element type matters. name: a C
    identifier, by default that of the program. details: for the manifest.

    Either all files appear, by rename, or on any error the folder is as it was. Raises ValueError for a name that C
    cannot use or a format not known. Where nothing here can link what is asked for, the other files and those of
    `WITHOUT_LINKER` are written and LinkerNotFound raised.
    """
    name = program.name if name is None else name
    if symbol(name) != name:
        raise ValueError(
            f"export name {name!r} cannot be a C function: take a C identifier that is no keyword and no function of "
            "the C library"
        )
    wanted = list(dict.fromkeys(formats))
    unknown = [fmt for fmt in wanted if fmt not in FORMATS]
    if unknown:
        raise ValueError(f"unknown export format {unknown[0]!r}; known: {', '.join(FORMATS)}")
    machine = find(target)
    if others := [fmt for fmt in wanted if not FORMATS[fmt].serves(machine)]:
        possible = ", ".join(fmt for fmt, row in FORMATS.items() if row.serves(machine))
        raise ValueError(f"there is no format {others[0]!r} for {machine.triple}; there are {possible}")
    if optimise not in OPTIMISE:
        raise ValueError(f"optimise must be one of {', '.join(OPTIMISE)}, got {optimise!r}")
    externals = tuple(external.exported() for external in program.externals)
    named = replace(program, name=name, externals=externals)
    build = Build(named, machine, optimise, details or Details(), tuple(wanted), program)
    files, missing = made(build, wanted)
    every = {path: content for group in files.values() for path, content in group.items()}
    folder = Path(folder)
    write_set(folder, every | {manifest_file(build): manifest(build, files)})
    if missing is not None:
        written = ", ".join(str(folder / path) for path in every)
        raise LinkerNotFound(f"{missing} Written without it: {written}")
    return [folder / path for fmt in wanted for path in files[fmt]]


def made(build: Build, wanted: Iterable[str]) -> tuple[dict[str, Files], LinkerNotFound | None]:
    """The files of each format; without a linker those that need none, and why."""
    files: dict[str, Files] = {}
    missing: LinkerNotFound | None = None
    for fmt in wanted:
        try:
            files[fmt] = FORMATS[fmt].make(build)
        except LinkerNotFound as error:
            missing = error
    if missing is not None:
        for fmt in WITHOUT_LINKER:
            if fmt not in files:
                files[fmt] = FORMATS[fmt].make(build)
    return files, missing
