"""The table of formats: one row each."""

from __future__ import annotations

from codegen.export.archive import archive
from codegen.export.build_files import cmake, pkg_config
from codegen.export.bundle import Build, Files, Format, one
from codegen.export.c_test import c_test
from codegen.export.linker import link_wasm
from codegen.export.python_package import python_project, python_wheel
from codegen.target import NAMED


def _shared_library(build: Build) -> Files:
    return {build.library_file: build.shared_library}


def _wasm(build: Build) -> bytes:
    return link_wasm(build.on(NAMED["wasm32"]).object_code, build.name)


def _archive(build: Build) -> bytes:
    return archive(build.object_code, build.symbols, build.target)


def _test(build: Build) -> str:
    return c_test(build.interface, build.original or build.program, build.details.points())


FORMATS: dict[str, Format] = {
    "o": one("relocatable object", ".o", lambda build: build.object_code),
    "h": one("C header", ".h", lambda build: build.header, everywhere=True),
    "ll": one("LLVM IR before optimisation", ".ll", lambda build: build.ir),
    "bc": one("LLVM bitcode after optimisation", ".bc", lambda build: bytes(build.module.as_bitcode())),
    "s": one("assembly", ".s", lambda build: build.assembly),
    "a": one("static archive", ".a", _archive),
    "c": one("C99 source, which is C++ too", ".c", lambda build: build.source, everywhere=True),
    "wasm": one("WebAssembly module, whatever the target", ".wasm", _wasm, everywhere=True),
    "python": Format("stand-alone Python package that needs NumPy alone: NAME-python/", python_project),
    "whl": Format("wheel of that package, for pip install", python_wheel),
    "so": Format("shared library (.dylib, .dll by target)", _shared_library),
    "test": one("C program that checks stored values", "_test.c", _test, everywhere=True),
    "cmake": Format("CMake package of the bundle", cmake),
    "pc": one("pkg-config module of the bundle", ".pc", pkg_config),
}
