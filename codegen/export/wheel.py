"""A wheel from the files of a Python project, with the standard library alone; the same files give the same bytes.

This file is also the build backend (PEP 517) of every exported package, as it stands: pip runs it there, and needs to
download nothing to do so.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import re
import tarfile
import tomllib
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Config = Mapping[str, Any] | None


# --- the hooks of PEP 517 ---------------------------------------------------------------------------------------------
def build_wheel(wheel_directory: str, config_settings: Config = None, metadata_directory: str | None = None) -> str:
    name, content = wheel(project_files())
    Path(wheel_directory, name).write_bytes(content)
    return name


def build_editable(wheel_directory: str, config_settings: Config = None, metadata_directory: str | None = None) -> str:
    files = project_files()
    package = tomllib.loads(files["pyproject.toml"].decode())["tool"]["backend"]["package"]
    name, content = wheel(files, {f"_{package}.pth": f"{Path.cwd()}\n".encode()})
    Path(wheel_directory, name).write_bytes(content)
    return name


def build_sdist(sdist_directory: str, config_settings: Config = None) -> str:
    files = project_files()
    project = tomllib.loads(files["pyproject.toml"].decode())["project"]
    stem = f"{project['name'].replace('-', '_')}-{project['version']}"
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, content in {**files, "PKG-INFO": metadata(project, files)}.items():
            member = tarfile.TarInfo(f"{stem}/{path}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    Path(sdist_directory, f"{stem}.tar.gz").write_bytes(gzip.compress(target.getvalue(), mtime=0))
    return f"{stem}.tar.gz"


def project_files() -> dict[str, bytes]:
    """The files of the project in the current folder that belong to it."""
    names = ["pyproject.toml", "README.md", "backend.py"]
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))
    folders = [project["tool"]["backend"]["package"], "tests"]
    found = [path.as_posix() for folder in folders for path in sorted(Path(folder).glob("*")) if path.is_file()]
    return {name: Path(name).read_bytes() for name in [*names, *found] if not name.endswith(".pyc")}


# --- files → files ----------------------------------------------------------------------------------------------------
def wheel(files: Mapping[str, bytes], instead: Mapping[str, bytes] | None = None) -> tuple[str, bytes]:
    """The name and the content of the wheel of a project, whose files include pyproject.toml.

    instead: what it installs in place of the package.
    """
    configuration = tomllib.loads(files["pyproject.toml"].decode())
    project, own = configuration["project"], configuration["tool"]["backend"]
    stem = f"{project['name'].replace('-', '_')}-{project['version']}"
    info, tag = f"{stem}.dist-info", own["tag"]
    content = {path: data for path, data in sorted(files.items()) if path.startswith(own["package"] + "/")}
    content = content if instead is None else dict(instead)
    content[f"{info}/METADATA"] = metadata(project, files)
    python, abi, platforms = tag.split("-")
    tags = "".join(f"Tag: {python}-{abi}-{platform}\n" for platform in platforms.split("."))
    content[f"{info}/WHEEL"] = f"Wheel-Version: 1.0\nGenerator: backend\nRoot-Is-Purelib: false\n{tags}".encode()
    record = [f"{path},sha256={digest(data)},{len(data)}\n" for path, data in content.items()]
    content[f"{info}/RECORD"] = "".join([*record, f"{info}/RECORD,,\n"]).encode()
    target = io.BytesIO()
    # Stored, not compressed: how well zlib does differs between its versions.
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for path, data in content.items():
            entry = zipfile.ZipInfo(path)  # of 1980: no date of this day
            entry.create_system = 3
            entry.external_attr = (0o755 if re.search(r"\.(so|dylib|dll)$", path) else 0o644) << 16
            archive.writestr(entry, data)
    return f"{stem}-{tag}.whl", target.getvalue()


def metadata(project: Mapping[str, Any], files: Mapping[str, bytes]) -> bytes:
    lines = [
        "Metadata-Version: 2.1",
        f"Name: {project['name']}",
        f"Version: {project['version']}",
        f"Summary: {project['description']}",
        f"Requires-Python: {project['requires-python']}",
        *(f"Requires-Dist: {requirement}" for requirement in project["dependencies"]),
        "Description-Content-Type: text/markdown",
        "",
        files["README.md"].decode(),
    ]
    return "\n".join(lines).encode()


def digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
