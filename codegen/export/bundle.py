"""What is exported together: a program for a target, the files made from it, and how they reach a folder as one set."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm

from codegen.export.c_source import c_source
from codegen.export.gpu import gpu_ir, gpu_module, undefined_in_ptx
from codegen.export.header import header
from codegen.export.interface import Interface, Pattern, Reduction
from codegen.export.library import fitting, library_ir
from codegen.export.linker import link_shared, shared_suffix
from codegen.export.reduce_library import Reducing
from codegen.export.symbols import undefined
from codegen.jit import optimise
from codegen.layout import Layout
from codegen.program import Program
from codegen.target import GPUS, Target

# PTX for it runs on every later one as well: the driver translates it when it is loaded.
OLDEST_GPU = "nvptx-sm_70"
OPTIMISE = ("speed", "size")


# Seconds of LLVM's time are some 40 µs an instruction; beyond this length the generator's fast form is used.
LONG = 30_000


@dataclass(frozen=True)
class Details:
    """What a bundle says about its functions and the code generator does not know: plain data, for the manifest.

    certificate: how the functions were checked. sparsity: patterns by the name of the result. reduction: if the results
    are reduced over the rows of a call. origins: what each result is, by its name. versions: of whoever made the
    program. points: where the stored test compares,
    per point one flat sequence of numbers per argument; made when a format needs it.
    """

    certificate: Mapping[str, Any] | None = None
    sparsity: Mapping[str, Pattern] = field(default_factory=dict)
    reduction: Reduction | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    points: Callable[[], Sequence[Sequence[Sequence[float]]] | None] = lambda: None
    origins: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Build:
    """What the formats are made from. Code is made once, when a format first asks for it.

    program: under the name of the export, which is a C identifier; original: as it runs in this process. formats: all
    that are made together. optimise: one of `OPTIMISE`.
    """

    program: Program
    target: Target
    optimise: str = "speed"
    details: Details = Details()
    formats: tuple[str, ...] = ()
    original: Program | None = None

    @property
    def name(self) -> str:
        """The prefix of all symbols, and the stem of all files."""
        return self.program.name

    @property
    def element(self) -> str:
        """The type of all numbers, "float64" or "float32"."""
        return self.target.element

    @cached_property
    def interface(self) -> Interface:
        return Interface(self.program, self.element, self.details.sparsity, self.details.reduction)

    @property
    def version(self) -> str:
        """What made the files, as the library tells it: names and versions."""
        return ", ".join(f"{name} {version}" for name, version in self.details.versions.items()) or "codegen"

    @cached_property
    def header(self) -> str:
        return header(self.interface)

    @cached_property
    def source(self) -> str:
        """C99 source."""
        return c_source(self.interface, self.version)

    @property
    def is_small(self) -> bool:
        return self.optimise == "size"

    @cached_property
    def layout(self) -> Layout:
        """Where data lives during a call, and the target as its vectors are used."""
        return fitting(self.interface, self.target, size=self.is_small)

    @cached_property
    def reducing(self) -> Reducing | None:
        if self.interface.reduction is None:
            return None
        return Reducing(self.interface, self.target, size=self.is_small)

    @cached_property
    def ir(self) -> str:
        """LLVM IR before optimisation."""
        if self.target.is_gpu:
            return gpu_ir(self.interface, self.target)
        text = library_ir(self.interface, self.target, self.version, size=self.is_small)
        if self.reducing is None:
            return text
        module = llvm.parse_assembly(text)
        module.link_in(self.reducing.module())
        return str(module)

    @cached_property
    def machine(self) -> llvm.TargetMachine:
        return self.target.machine(opt=0 if len(self.program.body) >= LONG else 2)

    @cached_property
    def module(self) -> llvm.ModuleRef:
        """The optimised module."""
        if self.target.is_gpu:
            return gpu_module(self.ir, self.machine, self.target)
        return optimise(self.ir, self.machine)

    # Making code changes a module, so each time it is a copy.
    @cached_property
    def object_code(self) -> bytes:
        """Raises ValueError where it calls a C library that the target does not have, naming the operation."""
        made = bytes(self.machine.emit_object(self.module.clone()))
        self._without_library(self._calls(made))
        return made

    def _without_library(self, called: tuple[str, ...]) -> None:
        if called and not self.target.has_library:
            raise ValueError(
                f"{self.name} needs {', '.join(called)} of the C library, which {self.target.triple} does not have: "
                "write the function without it"
            )

    def _calls(self, code: bytes) -> tuple[str, ...]:
        own = {external.symbol for external in self.program.externals}
        return tuple(name for name in undefined(code) if name not in own)

    @cached_property
    def library_calls(self) -> tuple[str, ...]:
        """The functions of the C library that the object code calls."""
        if self.target.arch == "nvptx64":
            return undefined_in_ptx(self.assembly)
        return self._calls(self.object_code)

    @cached_property
    def assembly(self) -> str:
        """Assembly text, for NVIDIA's processors PTX. Raises ValueError as `object_code` does."""
        made = str(self.machine.emit_assembly(self.module.clone()))
        if self.target.arch == "nvptx64":
            self._without_library(undefined_in_ptx(made))
        return made

    @cached_property
    def shared_library(self) -> bytes:
        """Raises LinkerNotFound."""
        return link_shared(self.object_code, self.name, self.target)

    @property
    def library_file(self) -> str:
        """The name of the file of the shared library."""
        return f"{self.name}{shared_suffix(self.target)}"

    @property
    def symbols(self) -> list[str]:
        """What the object code defines for others."""
        return [*self.interface.functions, *self.interface.tables]

    def on(self, target: Target) -> Build:
        """The same program for another target, in the same number type."""
        return replace(self, target=target.with_element(self.element))

    @cached_property
    def gpu(self) -> Build:
        """The same program for a graphics processor: for the oldest of NVIDIA's, unless the target is one."""
        return self if self.target.is_gpu else self.on(GPUS[OLDEST_GPU])


# The files of one format: names, relative to the folder of the bundle and with / between folders, and their contents.
Files = Mapping[str, bytes]


@dataclass(frozen=True)
class Format:
    """One row of the table of formats: what a reader of the documentation sees, and what makes the files.

    everywhere: it is made whatever the target. gpus: architectures of graphics processors that it is made for as well.
    """

    about: str
    make: Callable[[Build], Files]
    everywhere: bool = False
    gpus: tuple[str, ...] = ()

    def serves(self, target: Target) -> bool:
        """Whether it is made for a target."""
        return self.everywhere or not target.is_gpu or target.arch in self.gpus


def one(
    about: str,
    suffix: str,
    content: Callable[[Build], bytes | str],
    *,
    everywhere: bool = False,
    gpus: tuple[str, ...] = (),
) -> Format:
    """A format of one file, `NAME` and the suffix; text is written as UTF-8."""

    def make(build: Build) -> Files:
        made = content(build)
        return {f"{build.name}{suffix}": made.encode() if isinstance(made, str) else made}

    return Format(about, make, everywhere, gpus)


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


def check_writable(path: Path) -> None:
    """Raise OSError, with the path that was given, for a folder or a file in a folder that does not exist."""
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "is a folder; name a file in it", str(path))
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "the folder to write into does not exist", str(path.parent))


def write_whole(path: Path, content: bytes, *, executable: bool = False) -> None:
    """Write a file aside and rename it into place. Raises OSError where it cannot be, as `check_writable` does."""
    check_writable(path)
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
