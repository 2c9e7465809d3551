"""Programs of the machine, such as compilers, that tests make use of."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest


def tool(*names: str) -> str:
    """The path of the first that is there; skips the test where none is."""
    path = next((found for name in names if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip(f"no {names[0]}")
    return path


def run(*command: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None, limit: int = 120) -> str:
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=cwd, env=env, capture_output=True, text=True, timeout=limit, check=False)
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
    return done.stdout
