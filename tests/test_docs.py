"""The documentation is true: its Python runs, prints what is shown, its commands work, its links lead somewhere.

Set UPDATE_GOLDENS=1 to write what is shown anew; review the difference.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
from click.testing import CliRunner

from codegen.export.linker import LinkerNotFound, find_linker
from codegen.target import host
from hybrid.cli import main

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHOWN = ("text", "math")  # what a block of Python printed, if it comes right after one
MARK = "--- end of a block"


@dataclass(frozen=True)
class Block:
    language: str
    text: str
    start: int  # where the text begins on the page
    line: int


def blocks(page: Path) -> list[Block]:
    text = page.read_text()
    return [Block(m[1], m[2], m.start(2), text[: m.start(2)].count("\n")) for m in FENCE.finditer(text)]


def script(page: Path) -> str:
    """All Python of a page as one program, each line at the number it has on the page; a mark is printed after each."""
    lines: list[str] = []
    for block in blocks(page):
        if block.language == "python":
            lines += [""] * (block.line - len(lines)) + block.text.splitlines() + [f"print({MARK!r})"]
    return "\n".join(lines) + "\n"


def shown(page: Path) -> dict[int, Block]:
    """What each block of Python, by number, is said to print: the block of text or formulas right after it."""
    pairs = pairwise([*blocks(page), Block("", "", 0, 0)])
    afters = [after for before, after in pairs if before.language == "python"]
    return {number: after for number, after in enumerate(afters) if after.language in SHOWN}


def skip_without_linker(page: Path) -> None:
    if "<!-- needs a linker -->" in page.read_text():
        try:
            find_linker(host())
        except LinkerNotFound as error:
            pytest.skip(str(error))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_on_the_page_runs_and_prints_what_is_shown(page: Path, tmp_path) -> None:
    if not any(block.language == "python" for block in blocks(page)):
        return
    skip_without_linker(page)
    program = tmp_path / f"{page.stem}.py"
    program.write_text(script(page))
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        [sys.executable, "-W", "error", program],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{page.name}, at the line numbers of the page:\n{done.stderr}"
    printed = done.stdout.split(f"{MARK}\n")
    if os.environ.get("UPDATE_GOLDENS"):
        update(page, printed)
    for number, block in shown(page).items():
        assert block.text == printed[number], f"{page.name}, line {block.line}"


def update(page: Path, printed: list[str]) -> None:
    text = page.read_text()
    for number, block in reversed(shown(page).items()):
        text = text[: block.start] + printed[number] + text[block.start + len(block.text) :]
    page.write_text(text)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_on_the_page_work(page: Path, tmp_path, monkeypatch) -> None:
    skip_without_linker(page)
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    for block, after in pairwise([*blocks(page), Block("", "", 0, 0)]):
        lines = [line for line in block.text.splitlines() if block.language == "bash" and line.startswith("hybrid ")]
        printed = "".join(output(line) for line in lines if not line.startswith("hybrid tour"))
        if lines and after.language == "text":
            assert printed == after.text


def output(line: str) -> str:
    result = CliRunner().invoke(main, shlex.split(line, comments=True)[1:])
    assert result.exit_code == 0, f"{line}\n{result.output}"
    return result.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "index.md").read_text()
    assert not [page.name for page in PAGES[1:] if page.name != "index.md" and f"({page.name})" not in index]


def test_the_readme_has_one_test_command_for_ci() -> None:
    found = re.findall(r"<!-- test command[^>]*-->\n```bash\n(.*)\n```", (ROOT / "README.md").read_text())
    assert found == ["python3 -m venv .venv && .venv/bin/pip install -q '.[test]' && .venv/bin/pytest"]


def test_examples_run(tmp_path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    for example in sorted((ROOT / "examples").glob("*.py")):
        done = subprocess.run(
            [sys.executable, "-W", "error", example],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "verified" in done.stdout
