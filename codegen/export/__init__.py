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

from codegen.export.bundle import Build, Details, Files, Format, check_writable, write_whole
from codegen.export.formats import FORMATS, wasm_module
from codegen.export.interface import Interface, Pattern, Reduction
from codegen.export.linker import LinkerNotFound
from codegen.export.rolled_bundle import ROLLED_FORMATS, export_rolled
from codegen.export.rolled_interface import Rolled, Run
from codegen.export.write import check_request, made, write_bundle
from codegen.program import Program
from codegen.target import Target

__all__ = [
    "FORMATS",
    "ROLLED_FORMATS",
    "Build",
    "Details",
    "Files",
    "Format",
    "Interface",
    "LinkerNotFound",
    "Pattern",
    "Reduction",
    "Rolled",
    "Run",
    "check_writable",
    "export",
    "export_rolled",
    "made",
    "wasm_module",
    "write_whole",
]


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
    wanted, machine = check_request(name, formats, target, optimise)
    externals = tuple(external.exported() for external in program.externals)
    named = replace(program, name=name, externals=externals)
    build = Build(named, machine, optimise, details or Details(), tuple(wanted), program)
    return write_bundle(build, folder, wanted)
