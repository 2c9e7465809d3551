"""A bundle of exported files against its manifest, and its library against the functions it was made from.

The files are compared by the hashes of the manifest. The library is then loaded, if it is made for a machine like this
one, and checked as a kernel is before it is returned: against the original functions on the numeric tape.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from codegen.export.python_package import requires
from codegen.export.standalone import Kernel as Library
from codegen.target import Target, host, system_of
from hybrid import single, verify
from hybrid.certificate import Certificate
from hybrid.compiling import compile
from hybrid.definition import Formula
from hybrid.errors import ArgumentError, HybridError, VerificationError
from hybrid.function import Function
from hybrid.together import merge

SCHEMA = 1
GOOD, CHANGED, MISSING, UNREADABLE = "as exported", "changed", "missing", "unreadable"
LIBRARIES = (".so", ".dylib", ".dll")


@dataclass(frozen=True)
class Checked:
    """What a check found. `ran` tells whether the library was run, `reason` why it was not or what is wrong with it."""

    bundle: Path
    files: Mapping[str, str]
    ran: bool = False
    reason: str = ""
    agrees: bool = True
    certificate: Certificate | None = None
    stored: Mapping[str, Any] | None = field(default=None, repr=False)

    @property
    def passed(self) -> bool:
        return self.agrees and all(state == GOOD for state in self.files.values())

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "bundle": str(self.bundle),
            "passed": self.passed,
            "files": dict(self.files),
            "ran": self.ran,
            "reason": self.reason,
            "certificate": None if self.certificate is None else self.certificate.to_dict(),
            "stored": None if self.stored is None else dict(self.stored),
        }


def check_bundle(bundle: Path, functions: Sequence[Function] = ()) -> Checked:
    """Check the bundle of a manifest, or of a folder that holds one.

    `functions` are those the bundle was made from, without derivatives; without any, files are compared with their
    hashes only. Raises ArgumentError for what is no manifest, and for functions that are not those of the bundle.
    """
    path = manifest_path(bundle)
    manifest = read_manifest(path)
    files = {entry["name"]: file_state(path.parent, entry) for entry in manifest["files"]}
    stored = manifest["certificate"]
    formulas = rebuilt(manifest, functions) if functions else ()
    if not functions:
        return Checked(path, files, reason="no source was given to compare with", stored=stored)
    library = next((name for name in files if name.endswith(LIBRARIES)), None)
    if library is None:
        return Checked(path, files, reason="the bundle has no shared library", stored=stored)
    if files[library] != GOOD:
        return Checked(path, files, reason=f"{library} is {files[library]}, so it was not loaded", stored=stored)
    target = manifest["target"]
    arch, system = target["triple"].partition("-")[0], system_of(target["triple"])
    if (arch, system) != (host().arch, system_of(host().triple)):
        reason = f"the library is for {target['triple']}; this machine is {host().triple}"
        return Checked(path, files, reason=reason, stored=stored)
    try:
        run = Library("", described(manifest), path.parent / library)
    except ImportError as error:
        return Checked(path, files, reason=str(error), stored=stored)
    try:
        certificate = compared(run, formulas, manifest["element"])
    except VerificationError as error:
        found = error.certificate if isinstance(error.certificate, Certificate) else None
        return Checked(path, files, True, disagreement(run.name, str(error)), False, found, stored)
    return Checked(path, files, True, "", True, certificate, stored)


def disagreement(name: str, message: str) -> str:
    """What the check of a kernel tells of one that is wrong, in words for a library."""
    evidence = [line for line in message.splitlines()[1:] if line.startswith("  ")]
    return "\n".join([f"the library {name} does not compute the source:", *evidence])


# --- files ------------------------------------------------------------------------------------------------------------
def manifest_path(bundle: Path) -> Path:
    if bundle.is_file():
        return bundle
    found = sorted(bundle.glob("*.manifest.json")) if bundle.is_dir() else []
    if len(found) != 1:
        what = "has no manifest" if not found else f"has {len(found)} manifests: {', '.join(p.name for p in found)}"
        what = what if bundle.exists() else "does not exist"
        raise ArgumentError(f"{bundle} {what}; give the file NAME.manifest.json of the bundle, or its folder")
    return found[0]


def read_manifest(path: Path) -> dict[str, Any]:
    """Raises ArgumentError for anything that is no manifest of this schema."""
    try:
        manifest = json.loads(path.read_bytes())
    except OSError as error:
        raise ArgumentError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ArgumentError(f"{path} is no manifest: it is not JSON; give NAME.manifest.json or its folder") from error
    if not isinstance(manifest, dict) or not isinstance(manifest.get("schema"), int):
        raise ArgumentError(f"{path} is no manifest of an export: it has no schema")
    if manifest["schema"] != SCHEMA:
        raise ArgumentError(
            f"{path} has schema {manifest['schema']}, this version reads {SCHEMA}; use the version that made it"
        )
    try:
        for entry in manifest["files"]:
            whole = PurePosixPath(entry["name"])
            if whole.is_absolute() or ".." in whole.parts or not isinstance(entry["sha256"], str):
                raise ValueError(f"the file {entry['name']!r} is not in the bundle")
        for key in ("arguments", "results"):
            for item in manifest[key]:
                _ = (item["name"], [int(n) for n in item["shape"]])
        _ = (manifest["name"], manifest["element"], manifest["target"]["triple"], manifest["certificate"])
    except (KeyError, TypeError, ValueError) as error:
        raise ArgumentError(f"{path} is no whole manifest: {type(error).__name__}: {error}") from error
    return manifest


def file_state(folder: Path, entry: Mapping[str, Any]) -> str:
    path = folder / entry["name"]
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return MISSING
    except OSError:
        return UNREADABLE
    return GOOD if hashlib.sha256(content).hexdigest() == entry["sha256"] else CHANGED


# --- functions --------------------------------------------------------------------------------------------------------
def rebuilt(manifest: Mapping[str, Any], functions: Sequence[Function]) -> tuple[Formula, ...]:
    """The formulas of the results, derived again. Raises ArgumentError where they are not those of the bundle."""
    by_name = {function.name: function for function in functions}
    wanted = list(dict.fromkeys(result.get("function", result["name"]) for result in manifest["results"]))
    if len(wanted) == len(functions) == 1:
        by_name = {wanted[0]: functions[0]}
    formulas: list[Formula] = []
    for result in manifest["results"]:
        name = result.get("function", result["name"])
        if name not in by_name:
            raise ArgumentError(
                f"the bundle was made from {', '.join(wanted)}; the source given is {', '.join(by_name)}"
            )
        formula = by_name[name]
        for step in result.get("derivatives", ()):
            formula = derived(formula, step)
        shape = tuple(result["shape"])
        if formula.shape != shape and formula.nodes:
            raise ArgumentError(f"{result['name']} has shape {shape} in the bundle, but {formula.shape} in the source")
        formulas.append(formula)
    inside = {item["name"]: tuple(item["shape"]) for item in manifest["arguments"]}
    outside = {argument.name: argument.shape for argument in merge(formulas)[1] if argument.size}
    if inside != outside:
        raise ArgumentError(f"the bundle has the arguments {inside}, the source has {outside}")
    return tuple(formulas)


def derived(function: Function, step: Mapping[str, Any]) -> Function:
    kind, by, sparse = step["kind"], list(step["by"]), step.get("sparse")
    if kind not in ("gradient", "jacobian", "hessian", "jvp", "vjp", "hvp"):
        raise ArgumentError(f"{function.name}: a derivative of kind {kind!r} cannot be made again here")
    if sparse is None:
        made: Function = getattr(function, kind)(by)
    elif kind == "hessian":
        made = function.hessian(by, sparse=True, triangle=sparse)
    else:
        made = function.jacobian(by, sparse=True)
    return made


def described(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What calling the library needs of its manifest."""
    target = manifest["target"]
    machine = Target(target["triple"], target["cpu"], target["features"])
    return {
        "name": manifest["name"],
        "element": manifest["element"],
        "arguments": manifest["arguments"],
        "results": manifest["results"],
        "sparsity": {},
        "reductions": [],
        "shared": [],
        "operations": manifest["operations"]["total"],
        "certificate": manifest["certificate"],
        "triple": target["triple"],
        "requires": requires(machine),
    }


def compared(run: Library, formulas: Sequence[Formula], element: str) -> Certificate:
    """The certificate of a library. Raises VerificationError where it is wrong."""
    _, arguments, _, _ = merge(formulas)
    names = [operand.name for operand in run.arguments]
    several = len(run.results) > 1

    def evaluate(*arrays: Any) -> tuple[Any, ...]:
        given = dict(zip([argument.name for argument in arguments], arrays, strict=True))
        found = run(*(given[name] for name in names), threads=1)
        values = iter(found if several else (found,))
        return tuple(
            next(values) if formula.nodes else np.empty((len(arrays[0]), *formula.shape)) for formula in formulas
        )

    subject = verify.Subject(run.name, arguments, tuple(formulas), evaluate)
    if element == "float64":
        return verify.verify(subject)
    reference = compile(*formulas)
    wide = verify.Subject(run.name, arguments, tuple(formulas), lambda *arrays: values_of(reference(*arrays)))
    note = single.check(wide, evaluate, wide.evaluate)
    certificate = reference.certificate
    if certificate is None:
        raise HybridError(f"{run.name}: the reference was not checked")
    return Certificate(**{**certificate.__dict__, "name": run.name, "notes": (*certificate.notes, note)})


def values_of(found: Any) -> tuple[Any, ...]:
    return found if isinstance(found, tuple) else (found,)
