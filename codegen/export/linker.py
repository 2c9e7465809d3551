"""Object file → shared library, with whatever linker the machine has."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from codegen.target import Target, host, system_of


class LinkerNotFound(RuntimeError):
    """Nothing on this machine can link for the target; the message names what to install."""


def shared_suffix(target: Target) -> str:
    """How shared libraries end on the target's system."""
    if "apple" in target.triple:
        return ".dylib"
    return ".dll" if "windows" in target.triple else ".so"


def link_shared(object_code: bytes, name: str, target: Target, sources: Mapping[str, str] | None = None) -> bytes:
    """The bytes of a shared library that holds the object. Nothing of this machine but its linker's work is in it.

    sources: C99 source files to compile into it, by name; these need a compiler, not a linker alone. Raises
    LinkerNotFound, or RuntimeError with the linker's own words if it fails.
    """
    sources = sources or {}
    command = find_linker(target, compiles=bool(sources))
    library = f"{name}{shared_suffix(target)}"
    return _link(command, library, object_code, _options(command, library, target), sources)


def _link(
    command: list[str], library: str, object_code: bytes, options: list[str], sources: Mapping[str, str]
) -> bytes:
    with tempfile.TemporaryDirectory(prefix="codegen-") as folder:
        (Path(folder) / "kernel.o").write_bytes(object_code)
        for file, text in sources.items():
            (Path(folder) / file).write_text(text, "utf-8", newline="\n")
        compiled = ["-std=c99", "-O2", "-fPIC", "-fno-ident", *sources] if sources else []
        arguments = [*command, "-o", library, "kernel.o", *compiled, *options]
        done = subprocess.run(arguments, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"linking {library} with {Path(command[0]).name} failed: {done.stderr.strip()}")
        return (Path(folder) / library).read_bytes()


def find_linker(target: Target, *, compiles: bool = False) -> list[str]:
    """The first words of a command that links a shared library for the target, and if need be compiles C for it."""
    native = system_of(target.triple) == system_of(host().triple) and target.arch == host().arch
    if native:
        for driver in ("cc", "gcc", "clang"):
            if path := shutil.which(driver):
                return [path]
    if system_of(target.triple) == "linux" and not compiles:
        for linker in ("ld.lld", "ld") if native else ("ld.lld",):
            if path := shutil.which(linker):
                return [path]
    if importlib.util.find_spec("ziglang") is not None:
        return [sys.executable, "-m", "ziglang", "cc", "-target", _zig_target(target)]
    raise LinkerNotFound(
        f"no linker for {target.triple} on this machine: install a C compiler (Debian: apt install gcc; macOS: "
        "xcode-select --install) or, for any target, the Python package ziglang (pip install ziglang)."
    )


def _zig_target(target: Target) -> str:
    arch = {"arm64": "aarch64"}.get(target.arch, target.arch)
    system = {"linux": "linux-gnu", "apple": "macos", "windows": "windows-gnu"}.get(system_of(target.triple))
    if system is None:
        raise LinkerNotFound(f"no shared libraries for {target.triple}; export 'o' and link it with the system's tools")
    return f"{arch}-{system}"


def _options(command: list[str], library: str, target: Target) -> list[str]:
    """What makes the result a shared library without a build identifier or start-up code of the machine's compiler."""
    if "apple" in target.triple:
        return ["-dynamiclib", f"-Wl,-install_name,@rpath/{library}"]
    if "windows" in target.triple:
        # No date in the file: each linker has its own word for it.
        return ["-shared", "-s", "-Wl,/Brepro" if "ziglang" in command else "-Wl,--no-insert-timestamp"]
    if Path(command[0]).name.startswith("ld"):
        return ["-shared", "-soname", library, "--build-id=none", "--hash-style=gnu", "-z", "noexecstack"]
    wanted = ["-soname," + library, "--build-id=none", "--as-needed", "-z,noexecstack"]
    return ["-shared", "-nostartfiles", *[f"-Wl,{option}" for option in wanted], "-lm"]
