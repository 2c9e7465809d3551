"""The manifest of a bundle: what the files are and what the functions in them expect, as JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import llvmlite
import llvmlite.binding as llvm

from codegen.export.bundle import Build, Files
from codegen.export.header import ABI_VERSION, parameters

# Raised when the meaning of an entry changes; new entries do not raise it.
SCHEMA = 1


def manifest_file(build: Build) -> str:
    return f"{build.name}.manifest.json"


def manifest(build: Build, files: Mapping[str, Files]) -> bytes:
    """The manifest of the files that each format made, by format."""
    entries = [
        {"name": name, "format": fmt, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for fmt, made in files.items()
        for name, content in made.items()
    ]
    program, target = build.program, build.target
    described: dict[str, Any] = {
        "schema": SCHEMA,
        "abi": ABI_VERSION,
        "name": build.name,
        "element": build.element,
        "optimise": build.optimise,
        "functions": [build.name, f"{build.name}_batch", f"{build.name}_loop"],
        "arguments": [],
        "results": [],
        "operations": {"total": program.operations},
        "target": {"triple": target.triple, "cpu": target.cpu, "features": target.features, "lanes": target.width},
        "versions": {
            **build.details.versions,
            "llvmlite": llvmlite.__version__,
            "llvm": ".".join(map(str, llvm.llvm_version_info)),
        },
        "certificate": build.details.certificate,
        "files": entries,
    }
    for parameter in parameters(program, build.element):
        entry = {
            "name": parameter.array.name,
            "parameter": parameter.name,
            "shape": list(parameter.array.shape),
            "size": parameter.array.size,
        }
        described["results" if parameter.is_result else "arguments"].append(entry)
    return (json.dumps(described, indent=2, ensure_ascii=True, allow_nan=False) + "\n").encode()
