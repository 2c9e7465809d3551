"""The manifest of a bundle: what the files are and what the functions in them expect, as JSON (docs/export.md)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import llvmlite
import llvmlite.binding as llvm

from codegen.export.bundle import Build, Files
from codegen.export.gpu_lanes import FAN, Lanes
from codegen.export.interface import ABI_VERSION, Interface
from codegen.export.parameters import Parameter
from codegen.program import FREE

# Raised when the meaning of an entry changes; new entries do not raise it.
SCHEMA = 1


def manifest_file(build: Build) -> str:
    return f"{build.name}.manifest.json"


def manifest(build: Build, files: Mapping[str, Files]) -> bytes:
    """The manifest of the files that each format made, by format."""
    interface, details = build.interface, build.details
    described: dict[str, Any] = {
        "schema": SCHEMA,
        "abi": ABI_VERSION,
        "name": build.name,
        "element": build.element,
        "functions": interface.prototypes_on_one_line(),
        "arguments": [_described(interface, p) for p in interface.parameters if not p.is_result],
        "results": [
            _described(interface, p) | dict(details.origins.get(p.array.name, {}))
            for p in interface.parameters
            if p.is_result
        ],
        "operations": _operations(build),
        "target": _target(build),
        "calls": _calls(build),
        **_gpu(build),
        "versions": {
            **details.versions,
            "llvmlite": llvmlite.__version__,
            "llvm": ".".join(map(str, llvm.llvm_version_info)),
        },
        "certificate": None if details.certificate is None else dict(details.certificate),
        "files": [
            {"name": name, "format": fmt, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for fmt, made in files.items()
            for name, content in made.items()
        ],
    }
    return (json.dumps(described, indent=2, ensure_ascii=True, allow_nan=False) + "\n").encode()


def _described(interface: Interface, parameter: Parameter) -> dict[str, Any]:
    array = parameter.array
    found: dict[str, Any] = {"name": array.name, "parameter": parameter.name, "shape": list(array.shape)}
    found |= {"size": array.size, "order": "C"}
    reduction, position = interface.reduction, interface.parameters.index(parameter)
    if not parameter.is_result:
        return found | ({} if reduction is None else {"shared": position in reduction.shared})
    if reduction is not None:
        found["reduction"] = reduction.kinds[position - len(interface.program.arguments)]
    pattern = interface.patterns.get(parameter.name)
    if pattern is not None:
        tables = pattern.tables() if interface.listed(pattern) else {}
        listed = {name: list(values) for name, values in tables.items()}
        found["sparsity"] = {"shape": list(pattern.shape), "nnz": pattern.nnz, "triangle": pattern.triangle, **listed}
    return found


def _operations(build: Build) -> dict[str, Any]:
    counts = {name: count for name, count in sorted(build.program.counts().items()) if name not in FREE}
    return {"total": build.program.operations, "by_kind": counts}


def _target(build: Build) -> dict[str, Any]:
    target = build.target
    found: dict[str, Any] = {"triple": target.triple, "cpu": target.cpu, "features": target.features}
    if not target.is_gpu:
        found |= {"lanes": build.layout.target.width, "fused_multiply_add": target.fma, "optimise": build.optimise}
        # In float32 there is no native code that reduces.
        reducing = build.reducing if build.element == "float64" else None
        scratch = [layout.scratch for layout in (build.layout, reducing and reducing.layout) if layout]
        found |= {"scratch_bytes": 8 * max(scratch), "allocates": build.layout.on_heap}
    return found


def _gpu(build: Build) -> dict[str, Any]:
    """Of a bundle with code for a graphics processor: for which, and what its kernel and its function are called."""
    if "ptx" not in build.formats and not build.target.is_gpu:
        return {}
    target = build.gpu.target
    found: dict[str, Any] = {"triple": target.triple, "cpu": target.cpu}
    found |= {"kernel": f"{build.name}_batch", "function": build.name}
    if build.interface.reduction is not None:
        lanes = Lanes.of(build.interface)
        kernels = {name: f"{build.name}_{name}" for name in ("accumulate", "combine", "finish")}
        found["reduce"] = {**kernels, "lanes": lanes.lanes, "words": lanes.words, "fan": FAN}
    return {"gpu": found}


def _calls(build: Build) -> dict[str, Any] | None:
    """What native code for the target needs from elsewhere; of a bundle without any, nothing is known."""
    user = sorted({external.c_name for external in build.program.externals})
    native = {"o", "a", "so", "s", "bc", "ll"} | ({"ptx"} if build.target.is_gpu else set())
    if not set(build.formats) & native:
        return {"library": None, "user": user}
    return {"library": list(build.library_calls), "user": user}
