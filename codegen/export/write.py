"""A request for files checked, and a bundle written."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from codegen.emit import symbol
from codegen.export.bundle import OPTIMISE, Build, Files, write_set
from codegen.export.formats import FORMATS
from codegen.export.linker import LinkerNotFound
from codegen.export.manifest import manifest, manifest_file
from codegen.target import Target, find

# What is written where a format that needs a linker finds none.
WITHOUT_LINKER = ("o", "a", "h")


def check_request(
    name: str, formats: Iterable[str], target: Target | str | None, optimise: str
) -> tuple[list[str], Target]:
    """The formats, each once, and the machine. Raises ValueError for what `export` refuses."""
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
    return wanted, machine


def write_bundle(build: Build, folder: str | os.PathLike[str], wanted: Iterable[str]) -> list[Path]:
    """Make all files of a build and write them; raises LinkerNotFound as `export` does."""
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
