"""Object files kept on disk between processes.

An entry is named by a hash of everything its bytes depend on (IR, target, versions, pass pipeline), carries a hash of
its content that is checked before use, and appears by rename, so that any number of processes may share the folder. A
folder that others could write to is not used: entries are native code.

The environment variable HYBRID_CACHE names the folder, or switches the cache off ("off" or "0"). By default it is
`hybrid/objects` in the user's cache folder. A cache that cannot be read or written is the same as none.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import sys
import tempfile
from functools import cache
from pathlib import Path

# Bytes kept at most; beyond, the entries unused for longest go until three quarters are left.
LIMIT = 256 << 20
# Entries written between two checks of the limit.
CHECK_EVERY = 64

_MAGIC = b"codegen-object-1"
_DIGEST = hashlib.sha256().digest_size


def key(*parts: str) -> str:
    """The name of an entry that depends on `parts` and nothing else."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode()
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()


def load(name: str) -> bytes | None:
    """The content of an entry; None if it is missing. A damaged one is removed."""
    place = folder()
    if place is None:
        return None
    path = place / f"{name}.o"
    try:
        data = path.read_bytes()
        head, digest, content = data[: len(_MAGIC)], data[len(_MAGIC) :][:_DIGEST], data[len(_MAGIC) + _DIGEST :]
        if head == _MAGIC and digest == _checksum(name, content):
            os.utime(path)
            return content
        path.unlink()
    except OSError:
        pass
    return None


def store(name: str, content: bytes) -> None:
    """Keep an entry, if there is a cache."""
    place = folder()
    if place is None:
        return
    with contextlib.suppress(OSError):
        handle, temporary = tempfile.mkstemp(dir=place, prefix="new-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(_MAGIC + _checksum(name, content) + content)
            os.replace(temporary, place / f"{name}.o")
        except OSError:
            os.unlink(temporary)
            raise
        _written.append(name)
        if len(_written) % CHECK_EVERY == 1:
            trim(place)


_written: list[str] = []


def trim(folder: Path, limit: int = LIMIT) -> None:
    """Remove the entries unused for longest if all together exceed `limit` bytes."""
    entries = []
    for path in folder.iterdir():
        with contextlib.suppress(OSError):
            status = path.stat()
            entries.append((status.st_mtime, status.st_size, path))
    total = sum(size for _, size, _ in entries)
    if total <= limit:
        return
    for _, size, path in sorted(entries):
        with contextlib.suppress(OSError):
            path.unlink()
        total -= size
        if total <= limit * 3 // 4:
            return


def _checksum(name: str, content: bytes) -> bytes:
    return hashlib.sha256(name.encode() + content).digest()


def folder() -> Path | None:
    """The folder of the cache; None if it is switched off or cannot be used."""
    setting = os.environ.get("HYBRID_CACHE", "")
    return None if setting.lower() in ("off", "0") else _private(setting)


@cache
def _private(setting: str) -> Path | None:
    """The cache folder, made if need be; None if it cannot be, or if others may write to it."""
    folder = Path(setting) if setting else _user_cache() / "hybrid" / "objects"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.stat()
    except (OSError, RuntimeError):
        return None
    if hasattr(os, "getuid") and (status.st_uid != os.getuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)):
        return None
    return folder


def _user_cache() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
