"""Native code → files: objects, libraries, headers, IR, C source.

`export(program, "build", "f", ["so", "h"])` writes `build/f.so` and `build/f.h`. The functions in the files, their
arguments and layouts are described in the header (header.py); linking is left to the system (linker.py). The same
program, name, formats and target give the same bytes on any machine that has the same versions.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import llvmlite.binding as llvm

from codegen.emit import emit, symbol
from codegen.export.archive import archive
from codegen.export.c_source import c_source
from codegen.export.header import header
from codegen.export.linker import LinkerNotFound, link_shared, link_wasm, shared_suffix
from codegen.jit import optimise
from codegen.program import Program
from codegen.target import NAMED, Target, find

__all__ = ["FORMATS", "LinkerNotFound", "export"]


@dataclass(frozen=True)
class Build:
    """What the formats are made from: each step is made once, when a format first asks for it."""

    program: Program
    target: Target

    def ir(self) -> str:
        return emit(self.program, self.target)

    def module(self) -> tuple[llvm.ModuleRef, llvm.TargetMachine]:
        machine = self.target.machine()
        return optimise(self.ir(), machine), machine

    def object_code(self) -> bytes:
        module, machine = self.module()
        return bytes(machine.emit_object(module))

    def assembly(self) -> bytes:
        module, machine = self.module()
        return str(machine.emit_assembly(module)).encode()

    def bitcode(self) -> bytes:
        return bytes(self.module()[0].as_bitcode())


# Format: what makes the content of the file. The suffix is the format, but for shared libraries, whose name the
# system of the target decides.
FORMATS: dict[str, Callable[[Build], bytes]] = {
    "o": Build.object_code,
    "h": lambda build: header(build.program, build.target.element).encode(),
    "ll": lambda build: build.ir().encode(),
    "bc": Build.bitcode,
    "s": Build.assembly,
    "a": lambda build: archive(build.object_code(), build.program.name, build.target),
    "c": lambda build: c_source(build.program, build.target.element).encode(),
    "wasm": lambda build: link_wasm(
        replace(build, target=NAMED["wasm32"].with_element(build.target.element)).object_code(), build.program.name
    ),
    "so": lambda build: link_shared(build.object_code(), build.program.name, build.target),
}


def export(
    program: Program,
    folder: str | os.PathLike[str],
    name: str | None = None,
    formats: Iterable[str] = ("o", "h"),
    target: Target | str | None = None,
) -> list[Path]:
    """Write `folder/name.<format>` for each format; returns the paths, in the order of `formats`.

    formats: "o" relocatable object, "so" shared library (.dylib, .dll by target), "a" static archive, "h" C header,
    "c" C99 source, "ll" LLVM IR before optimisation, "bc" bitcode and "s" assembly after it, "wasm" WebAssembly module.
    target: as for `compile`; of "c", "h" and "wasm" only its element type matters. name: a C identifier, by
    default that of the program.

    Files appear whole, by rename. Raises ValueError for a name that C cannot use or a format not known, and
    LinkerNotFound if "so" or "wasm" is asked for and nothing here can link it; the other files are written first.
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
    externals = tuple(external.exported() for external in program.externals)
    build = Build(replace(program, name=name, externals=externals), find(target))
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths, missing = {}, None
    for fmt in wanted:
        suffix = shared_suffix(build.target) if fmt == "so" else f".{fmt}"
        try:
            content = FORMATS[fmt](build)
        except LinkerNotFound as error:
            missing = error
            continue
        paths[fmt] = folder / f"{name}{suffix}"
        write_whole(paths[fmt], content, executable=fmt == "so")
    if missing is not None:
        for fmt in ("o", "h"):
            if fmt not in paths:
                write_whole(folder / f"{name}.{fmt}", FORMATS[fmt](build))
        raise LinkerNotFound(f"{missing} Written without it: {folder / name}.o and {folder / name}.h")
    return [paths[fmt] for fmt in wanted]


def write_whole(path: Path, content: bytes, *, executable: bool = False) -> None:
    """Write a file aside and rename it into place."""
    temporary = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    # Not by tempfile, whose files only the owner may read: these get what the umask allows.
    mode = 0o777 if executable else 0o666
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
