"""What is exported together: a program for a target, the files made from it, and how they reach a folder as one set."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm

from codegen.emit import emit
from codegen.export.header import header
from codegen.export.linker import link_shared, shared_suffix
from codegen.jit import optimise
from codegen.program import Program
from codegen.target import Target

OPTIMISE = ("speed", "size")


@dataclass(frozen=True)
class Pattern:
    """Where the elements of a result of shape (nnz,) stand in a matrix: sorted by row, then by column."""

    shape: tuple[int, int]
    rows: tuple[int, ...]
    columns: tuple[int, ...]
    triangle: str = "full"


@dataclass(frozen=True)
class Details:
    """What a bundle says about its functions and the code generator does not know: plain data, for the manifest.

    certificate: how the functions were checked. sparsity: patterns by the name of the result. versions: of whoever made
    the program.
    """

    certificate: Mapping[str, Any] | None = None
    sparsity: Mapping[str, Pattern] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Build:
    """What the formats are made from. Code is made once, when a format first asks for it.

    program: under the name of the export, which is a C identifier. optimise: one of `OPTIMISE`.
    """

    program: Program
    target: Target
    optimise: str = "speed"
    details: Details = Details()

    @property
    def name(self) -> str:
        """The prefix of all symbols, and the stem of all files."""
        return self.program.name

    @property
    def element(self) -> str:
        """The type of all numbers, "float64" or "float32"."""
        return self.target.element

    @cached_property
    def header(self) -> str:
        return header(self.program, self.element)

    @cached_property
    def ir(self) -> str:
        """LLVM IR before optimisation."""
        return emit(self.program, self.target)

    @cached_property
    def machine(self) -> llvm.TargetMachine:
        return self.target.machine()

    @cached_property
    def module(self) -> llvm.ModuleRef:
        """The optimised module."""
        return optimise(self.ir, self.machine)

    # Making code changes a module, so each time it is a copy.
    @cached_property
    def object_code(self) -> bytes:
        return bytes(self.machine.emit_object(self.module.clone()))

    @cached_property
    def assembly(self) -> str:
        return str(self.machine.emit_assembly(self.module.clone()))

    @cached_property
    def shared_library(self) -> bytes:
        """Raises LinkerNotFound."""
        return link_shared(self.object_code, self.name, self.target)

    @property
    def library_file(self) -> str:
        """The name of the file of the shared library."""
        return f"{self.name}{shared_suffix(self.target)}"

    def on(self, target: Target) -> Build:
        """The same program for another target, in the same number type."""
        return replace(self, target=target.with_element(self.element))


# The files of one format: names, relative to the folder of the bundle and with / between folders, and their contents.
Files = Mapping[str, bytes]


@dataclass(frozen=True)
class Format:
    """One row of the table of formats: what a reader of the documentation sees, and what makes the files."""

    about: str
    make: Callable[[Build], Files]


def one(about: str, suffix: str, content: Callable[[Build], bytes | str]) -> Format:
    """A format of one file, `NAME` and the suffix; text is written as UTF-8."""

    def make(build: Build) -> Files:
        made = content(build)
        return {f"{build.name}{suffix}": made.encode() if isinstance(made, str) else made}

    return Format(about, make)


def is_executable(name: str) -> bool:
    return name.endswith((".so", ".dylib", ".dll"))


def write_set(folder: Path, files: Files) -> None:
    """Write files aside and rename them into place together. If anything fails, the folder is as it was."""
    made = [path for path in [folder, *folder.parents] if not path.exists()]
    for name in files:
        above = (folder / name).parent
        made += [path for path in [above, *above.parents] if not path.exists() and path not in made]
    mark = secrets.token_hex(8)
    aside, old, placed = {}, {}, []
    try:
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            aside[path] = path.with_name(f".{path.name}-{mark}")
            _write_new(aside[path], content, executable=is_executable(name))
        for path in aside:
            if path.exists():
                kept = path.with_name(f".{path.name}-{mark}-old")
                shutil.copy2(path, kept)
                old[path] = kept
        for path, temporary in aside.items():
            os.replace(temporary, path)
            placed.append(path)
    except BaseException:
        for path in placed:
            if path in old:
                os.replace(old[path], path)
            else:
                path.unlink()
        for path in aside.values():
            path.unlink(missing_ok=True)
        for path in sorted(made, key=lambda path: -len(path.parts)):
            if path.is_dir() and not any(path.iterdir()):
                path.rmdir()
        raise
    finally:
        for path in old.values():
            path.unlink(missing_ok=True)


def write_whole(path: Path, content: bytes, *, executable: bool = False) -> None:
    """Write a file aside and rename it into place."""
    temporary = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    try:
        _write_new(temporary, content, executable=executable)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _write_new(path: Path, content: bytes, *, executable: bool) -> None:
    # Not by tempfile, whose files only the owner may read: these get what the umask allows.
    mode = 0o777 if executable else 0o666
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
