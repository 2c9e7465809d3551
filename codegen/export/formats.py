"""The table of formats: one row each."""

from __future__ import annotations

from pathlib import Path

from codegen.export.archive import archive
from codegen.export.build_files import cmake, pkg_config
from codegen.export.bundle import Build, Files, Format, one
from codegen.export.c_test import c_test
from codegen.export.casadi_interface import casadi_source
from codegen.export.cpp_libraries import ceres_header, eigen_header
from codegen.export.cpp_wrapper import cpp_wrapper
from codegen.export.cuda_source import cuda_header, cuda_source
from codegen.export.fortran import fortran_module
from codegen.export.javascript import javascript
from codegen.export.linker import link_shared
from codegen.export.python_package import python_project, python_wheel
from codegen.export.scipy_source import scipy_source
from codegen.export.wasm_link import link
from codegen.program import Program
from codegen.target import NAMED, host

# Bytes of stack of a WebAssembly module: more than kernels take.
WASM_STACK = 1 << 20

# Graphics processors, by architecture.
NVIDIA, AMD = "nvptx64", "amdgcn"

# Formats of C source that shared libraries of the same bundle hold as well.
WITHIN = {"casadi": casadi_source, "scipy": scipy_source}


def _shared_library(build: Build) -> Files:
    sources = {f"{build.name}_{fmt}.c": write(build) for fmt, write in WITHIN.items() if fmt in build.formats}
    if not sources:
        return {build.library_file: build.shared_library}
    return {build.library_file: link_shared(build.object_code, build.name, build.target, sources)}


def _wasm(build: Build) -> bytes:
    exports = [build.name, f"{build.name}_batch", f"{build.name}_strided"]
    if build.interface.reduction is not None:
        exports.append(f"{build.name}_reduce")
    return link(build.on(NAMED["wasm32"]).object_code, exports, WASM_STACK)


def wasm_module(program: Program, element: str = "float64") -> bytes:
    """A WebAssembly module (128-bit SIMD) that imports nothing, made without any linker.

    It exports `NAME`, the function of one point, `NAME_batch` and `NAME_strided`, those of n points, `memory`, and
    `__heap_base`, from where on memory is free. element: "float64" or "float32". Raises ValueError for a program that
    calls functions of somebody else's, or of a C library.
    """
    return _wasm(Build(program, host().with_element(element)))


def _ptx(build: Build) -> Files:
    """PTX and what launches it; unless the target is one of NVIDIA's, for the oldest of them."""
    launcher = (Path(__file__).parent / "cuda_launch.py").read_text(encoding="utf-8")
    files = {
        ".ptx": build.gpu.assembly,
        "_cuda.h": cuda_header(build.interface),
        "_cuda.c": cuda_source(build.interface, build.gpu.assembly),
        "_cuda.py": launcher,
    }
    return {f"{build.name}{suffix}": text.encode() for suffix, text in files.items()}


def _archive(build: Build) -> bytes:
    return archive(build.object_code, build.symbols, build.target)


def _test(build: Build) -> str:
    return c_test(build.interface, build.original or build.program, build.details.points())


FORMATS: dict[str, Format] = {
    "o": one("relocatable object", ".o", lambda build: build.object_code, gpus=(AMD,)),
    "h": one("C header", ".h", lambda build: build.header, everywhere=True),
    "ll": one("LLVM IR before optimisation", ".ll", lambda build: build.ir, gpus=(NVIDIA, AMD)),
    "bc": one(
        "LLVM bitcode after optimisation", ".bc", lambda build: bytes(build.module.as_bitcode()), gpus=(NVIDIA, AMD)
    ),
    "s": one("assembly", ".s", lambda build: build.assembly, gpus=(NVIDIA, AMD)),
    "ptx": Format("PTX for NVIDIA GPUs, of sm_70 unless told, with launchers in C and Python", _ptx, gpus=(NVIDIA,)),
    "a": one("static archive", ".a", _archive),
    "c": one("C99 source, which is C++ too", ".c", lambda build: build.source, everywhere=True),
    "wasm": one("WebAssembly module, whatever the target", ".wasm", _wasm, everywhere=True),
    "js": Format("ES module that loads the WebAssembly module, and its TypeScript types", javascript, everywhere=True),
    "python": Format("stand-alone Python package that needs NumPy alone: NAME-python/", python_project),
    "whl": Format("wheel of that package, for pip install", python_wheel),
    "so": Format("shared library (.dylib, .dll by target)", _shared_library),
    "test": one("C program that checks stored values", "_test.c", _test, everywhere=True),
    "hpp": one("C++17 header over the C header", ".hpp", cpp_wrapper, everywhere=True),
    "eigen": one("C++ header for Eigen", "_eigen.hpp", eigen_header, everywhere=True),
    "ceres": one("C++ header with cost functions of Ceres", "_ceres.hpp", ceres_header, everywhere=True),
    "f90": one("Fortran module, by iso_c_binding", ".f90", fortran_module, everywhere=True),
    "casadi": one("C source of CasADi's interface", "_casadi.c", casadi_source, everywhere=True),
    "scipy": one("C source for SciPy's LowLevelCallable", "_scipy.c", scipy_source, everywhere=True),
    "cmake": Format("CMake package of the bundle", cmake),
    "pc": one("pkg-config module of the bundle", ".pc", pkg_config),
}
