"""The tour on a small book of contracts: every stage is shown, measured and written."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sympy as sp
from click.testing import CliRunner
from rich.console import Console

import hybrid as hy
from codegen.export import linker
from codegen.export.linker import LinkerNotFound
from hybrid import tour as tours
from hybrid.cli import main
from hybrid.loading import examples, import_file
from hybrid.tour import Settings, tour
from hybrid.tour.examples import EXAMPLES, Subject
from hybrid.tour.race import COPY, NUMPY, Race, Result, difference, numpy_function, race, scipy_special
from hybrid.tour.screen import Screen


@pytest.fixture(scope="module")
def toured(tmp_path_factory) -> tuple[str, dict[str, Any], Path]:
    """What is printed where nobody watches, the figures, and the folder."""
    folder = tmp_path_factory.mktemp("tour") / "files"
    text = io.StringIO()
    figures = tour(Screen(Console(file=text, highlight=False)), Settings(4_000, folder))
    return text.getvalue(), figures, folder


def test_shows_every_stage_of_both_examples(toured) -> None:
    text, _, _ = toured
    for label in ("function", "Hessian", "operations", "compiled", "speed", "certificate", "files", "in C"):
        assert len(re.findall(rf"^{label} +\S", text, re.MULTILINE)) == 2, label
    for part in ("Black–Scholes", "Franka Emika Panda", "∂call/∂S = ", r"\operatorname{erf}", "●●●●●●●", "verified"):
        assert part in text, part
    assert "void black_scholes_batch(" in text
    assert "contracts/s" in text


def test_is_plain_and_aligned_where_it_is_piped(toured) -> None:
    text, _, _ = toured
    assert "\x1b" not in text
    assert not [line for line in text.splitlines() if line != line.rstrip()]
    assert max(map(len, text.splitlines())) <= 120


def test_numbers_are_the_textbooks(toured) -> None:
    text, _, _ = toured
    assert (
        "0.01876" in text
    )  # gamma at S = K = 100, one year, 5 %, 20 %: Hull, "Options, Futures, and Other Derivatives"


def test_figures_are_complete_and_plain_data(toured) -> None:
    _, figures, folder = toured
    assert json.loads(json.dumps(figures)) == figures
    for example in figures["examples"]:
        assert example["operations"]["after"] <= example["operations"]["before"]
        assert {"differentiate", "simplify", "lower", "verify"} <= set(example["seconds"])
        assert {"native code", "native code (kept)"} & set(example["seconds"])
        assert {NUMPY, COPY, "this kernel, 1 thread"} <= {result["name"] for result in example["race"]}
        assert all(result["ns_per_point"] > 0 for result in example["race"])
        assert example["certificate"]["passed"]
        assert all(Path(path).parent == folder for path in example["files"])
    assert [example["race"][0]["points"] for example in figures["examples"]] == [4_000, 400]


def test_files_are_there_and_load(toured) -> None:
    _, figures, folder = toured
    written = {path.name for path in folder.iterdir() if not path.name.endswith(".manifest.json")}
    assert {"black_scholes.h", "black_scholes.ll", "call_hessian.tex", "panda.h", "pose_jacobian.tex"} <= written
    assert written == {Path(path).name for example in figures["examples"] for path in example["files"]}
    assert not [name for name in written if name.startswith(".")]


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler: cc")
def test_the_prototype_shown_compiles(toured, tmp_path) -> None:
    text, _, _ = toured
    prototypes = re.findall(r"(void \w+_batch\([^;]*;)", text)
    assert len(prototypes) == 2
    source = tmp_path / "prototypes.c"
    source.write_text("#include <stdint.h>\n" + "\n".join(prototypes))
    subprocess.run(["cc", "-Wall", "-Werror", "-c", source, "-o", tmp_path / "prototypes.o"], check=True)


def test_numpy_computes_the_same_outputs(toured) -> None:
    """What the kernel is compared with in speed, it is compared with in value."""
    _, figures, _ = toured
    for example in figures["examples"]:
        assert 0 < example["difference_from_numpy"] < 1e-12
    assert difference(np.array([[1.0, 5.0], [-4.0, 0.0]]), [np.array([1.0, -2.0]), 5.0]) == 1.0


def test_without_a_linker_the_tour_says_so_and_goes_on(tmp_path, monkeypatch) -> None:
    def missing(target: object, **options: object) -> list[str]:
        raise LinkerNotFound("no linker here: install a C compiler.")

    monkeypatch.setattr(linker, "find_linker", missing)
    x = hy.symbols("x")
    f = hy.Function([x], x**2, name="square")
    subject = Subject(EXAMPLES[0], (f,), lambda points: (np.ones(points),), 0.0)
    kernel = hy.compile(f)
    files, problem = tours.export(kernel, subject, tmp_path)
    assert {path.name for path in files} == {"square.h", "square.o", "square.ll", "square.tex"}
    text = io.StringIO()
    Screen(Console(file=text)).files(files, problem, "void square_batch()")
    assert "No shared library" in text.getvalue()
    assert "install a C compiler" in text.getvalue()


def test_colour_only_on_a_terminal_that_wants_it(monkeypatch) -> None:
    def drawn() -> str:
        text = io.StringIO()
        Screen(Console(file=text, force_terminal=True, highlight=False)).title(EXAMPLES[0])
        return text.getvalue()

    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    assert "\x1b[1;36m" in drawn()
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[1;36m" not in drawn()


def test_a_fresh_folder_never_meets_an_old_one(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert [tours.fresh_folder().name for _ in range(3)] == ["hybrid-tour", "hybrid-tour-2", "hybrid-tour-3"]


def test_the_command_hands_its_options_on(monkeypatch, tmp_path) -> None:
    taken: list[Settings] = []
    monkeypatch.setattr(
        "hybrid.commands.about.tour", lambda screen, settings: taken.append(settings) or {"examples": []}
    )
    result = CliRunner().invoke(main, ["tour", "--points", "7", "--quick", "--json", "--output", str(tmp_path)])
    assert taken == [Settings(7, tmp_path, quick=True)]
    assert json.loads(result.stdout) == {"examples": []}


def test_points_are_the_same_every_time_and_within_their_ranges() -> None:
    for example in EXAMPLES:
        make = example.load().inputs
        for one, two in zip(make(100), make(100), strict=True):
            np.testing.assert_array_equal(one, two)
    panda = import_file(examples() / "panda.py")
    q, _ = panda.postures(1000)
    assert (q >= panda.LOWER).all()
    assert (q <= panda.UPPER).all()


def test_the_hand_is_where_the_arm_puts_it() -> None:
    """All joints at zero: the published lengths add up along x and z, and the hand points down."""
    panda = import_file(examples() / "panda.py")
    pose = panda.pose(np.zeros(7))
    np.testing.assert_allclose(pose[:, :3], np.diag([1.0, -1.0, -1.0]), atol=1e-15)
    np.testing.assert_allclose(pose[:, 3], [0.088, 0.0, 0.333 + 0.316 + 0.384 - 0.107], atol=1e-15)


def test_a_race_is_run_by_all() -> None:
    x = hy.symbols("x")
    kernel = hy.compile(hy.Function([x], x**2))
    results = race(kernel, [x**2], [x], [np.linspace(0, 1, 100)]).results
    assert results[0].name == "this kernel, 1 thread"
    assert [result.name for result in results][-2:] == [NUMPY, COPY]


def test_without_scipy_numpy_has_the_functions_of_this_package(monkeypatch) -> None:
    x = sp.Symbol("x")
    points = np.linspace(-2, 2, 9)
    expected = numpy_function([x], [sp.erf(x) + sp.gamma(x + 3)])(points)
    monkeypatch.setitem(sys.modules, "scipy", None)
    assert scipy_special() == {}
    np.testing.assert_allclose(numpy_function([x], [sp.erf(x) + sp.gamma(x + 3)])(points), expected, rtol=1e-14)
    text = io.StringIO()
    Screen(Console(file=text)).race(EXAMPLES[0], Race((Result(NUMPY, 10, 1.0),), 1e-15))
    assert "SciPy is not installed" in " ".join(text.getvalue().split())
