"""The documentation builds as a site, without a warning, and its reference has every public name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import hybrid

ROOT = Path(__file__).parents[1]
NOT_DESCRIBED = {"operations", "tape"}  # modules


def test_the_reference_has_every_public_name() -> None:
    text = (ROOT / "docs" / "reference.md").read_text()
    errors = {name for name in hybrid.__all__ if name.endswith("Error")}  # a whole module
    missing = {name for name in hybrid.__all__ if f" hybrid.{name}\n" not in text} - errors - NOT_DESCRIBED
    assert not missing


def test_the_site_builds_without_a_warning(tmp_path) -> None:
    for package in ("sphinx", "furo", "myst_parser", "sphinx_copybutton"):
        pytest.importorskip(package)
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-d", str(tmp_path / "trees")]
    done = subprocess.run(
        [*command, str(ROOT / "docs"), str(tmp_path / "site")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "site" / "reference.html").read_text()
    assert "The exact gradient of a scalar function" in page
    for name in ("tutorial", "conventions", "architecture"):
        assert (tmp_path / "site" / f"{name}.html").exists()
