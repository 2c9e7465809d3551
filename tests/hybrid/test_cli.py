"""The command line: what it prints, where it writes, and how it fails."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from codegen.export import linker
from codegen.export.linker import LinkerNotFound
from hybrid import __version__
from hybrid.cli import KINDS, WRITERS, main
from hybrid.errors import VerificationError

MODEL = """
import numpy as np
import hybrid as hy

x, y = hy.symbols("x y")
product = hy.Function([x, y], x * y, name="product")
number = 3


@hy.function(q=(3,))
def energy(q):
    return np.sum(np.log(q) ** 2)


def plain(q, scale):
    return scale * np.sum(q * q)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    (tmp_path / "model.py").write_text(MODEL)
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "inner.py").write_text(MODEL)
    monkeypatch.chdir(tmp_path)
    for name in ("model", "package", "package.inner"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, catch_exceptions=False)


def out(*arguments: str) -> str:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


# --- derive -----------------------------------------------------------------------------------------------------------
def test_derive_writes_the_gradient_of_an_expression() -> None:
    assert out("derive", "x*y + sin(x)") == "∂f/∂x = y + cos(x)\n∂f/∂y = x\n"


def test_derive_takes_the_jacobian_of_several_outputs() -> None:
    assert "∂f[1]/∂x = y" in out("derive", "[x, x*y]")


def test_derive_by_one_argument_several_orders_and_a_name() -> None:
    text = out("derive", "x**3*y", "--wrt", "x", "--of", "value", "--of", "hessian", "--name", "g")
    assert text == "g(x, y) = x³·y\n\n∂²g/∂x² = 6·x·y\n"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("format_", WRITERS)
def test_derive_every_kind_in_every_format(kind: str, format_: str) -> None:
    text = out("derive", "x**2*sin(y)", "--of", kind, "--format", format_)
    assert {"text": "=", "latex": "\\sin", "python": "def f"}[format_] in text


def test_derive_leaves_derivatives_as_they_come_on_request() -> None:
    assert out("derive", "x*x*x", "--as-derived") != out("derive", "x*x*x")


@pytest.mark.parametrize("source", ["model.py:energy", "./model.py:energy", "model:energy", "package.inner:energy"])
def test_derive_from_a_file_or_module(folder, source: str) -> None:
    assert "∂energy/∂q[2] = 2·log(q[2])/q[2]" in out("derive", source)


def test_derive_a_plain_python_function_with_shapes(folder) -> None:
    assert "∂plain/∂q[3] = 2·q[3]·scale" in out(
        "derive", "model.py:plain", "--shape", "q=4", "--shape", "scale=", "--wrt", "q"
    )


def test_derive_as_json(folder) -> None:
    data = json.loads(out("derive", "model.py:product", "--of", "hessian", "--json"))
    assert data["function"]["arguments"] == {"x": [], "y": []}
    assert data["derivatives"][0]["shape"] == [2, 2]
    assert "def product_hessian" in data["derivatives"][0]["python"]


# --- latex ------------------------------------------------------------------------------------------------------------
def test_latex_writes_the_function_itself() -> None:
    assert out("latex", "x/y") == "f(x, y) = \\frac{x}{y}\n"


def test_latex_options() -> None:
    assert r"\begin{align}" in out("latex", "x/y", "--style", "align")
    assert r"\frac{\partial f}{\partial x}" in out("latex", "x/y", "--of", "gradient", "--entries")
    assert r"\frac{\partial f}{\partial (x, y)}" in out("latex", "x/y", "--of", "gradient", "--partial")


def test_latex_writes_a_whole_document() -> None:
    text = out("latex", "x/y", "--of", "value", "--of", "hessian", "--document")
    assert text.startswith(r"\documentclass")
    assert text.count(r"\begin{align}") == 2


# --- export -----------------------------------------------------------------------------------------------------------
def test_export_writes_files_and_names_them(folder) -> None:
    text = out(
        "export", "model.py:energy", "build", "--of", "value", "--of", "gradient", "--format", "o", "--format", "h"
    )
    assert text.split() == ["build/energy.o", "build/energy.h"]
    header = Path("build/energy.h").read_text()
    assert "energy_gradient" in header
    assert sorted(path.name for path in Path("build").iterdir()) == [
        "energy.h",
        "energy.manifest.json",
        "energy.o",
    ]


def test_export_for_another_machine(folder) -> None:
    out("export", "x*y", "build", "--format", "o", "--target", "aarch64")
    assert Path("build/f.o").read_bytes()[18] == 0xB7  # the ELF header's machine field: AArch64


def test_export_as_json(folder) -> None:
    data = json.loads(out("export", "x*y", "build", "--format", "h", "--json"))
    assert data["files"] == ["build/f.h"]
    assert data["certificate"]["passed"]


def test_export_without_a_linker_says_what_to_install(folder, monkeypatch) -> None:
    def missing(target: object) -> list[str]:
        raise LinkerNotFound("no linker here: install a C compiler.")

    monkeypatch.setattr(linker, "find_linker", missing)
    result = run("export", "x*y", "build")
    assert result.exit_code == 1
    assert "install a C compiler" in result.stderr
    assert Path("build/f.o").is_file()


def test_export_stops_where_the_check_fails(folder, monkeypatch) -> None:
    def wrong(*functions: object, **options: object) -> None:
        raise VerificationError("the kernel disagrees with the tape")

    monkeypatch.setattr("hybrid.cli.compile", wrong)
    result = run("export", "x*y", "build")
    assert result.exit_code == 1
    assert not Path("build").exists()


# --- info, help, errors -----------------------------------------------------------------------------------------------
def test_info() -> None:
    data = json.loads(out("info", "--json"))
    assert data["version"] == __version__
    assert data["lanes"] >= 1
    text = out("info")
    for part in (data["cpu"], data["triple"], "aarch64", f"numpy {data['packages']['numpy']}"):
        assert part in text


def test_completion_as_the_help_says() -> None:
    result = CliRunner().invoke(main, prog_name="hybrid", env={"_HYBRID_COMPLETE": "bash_source"})
    assert "complete -o nosort -F _hybrid_completion hybrid" in result.stdout
    assert "_HYBRID_COMPLETE=bash_source" in out("--help")


def test_version() -> None:
    assert out("--version") == f"hybrid {__version__}\n"


@pytest.mark.parametrize("command", ["", *main.commands])
def test_help_says_what_every_option_does(command: str) -> None:
    text = out(*filter(None, [command]), "--help")
    assert "Usage: " in text
    options = main.commands[command].params if command else main.params
    for option in options:
        assert option.param_type_name == "argument" or getattr(option, "help", None), option.name


FAILURES = {
    ("derive", "foo(x)"): (1, "there is no function 'foo'"),
    ("derive", "x +"): (1, "no expression"),
    ("derive", "missing.py:f"): (1, "there is no file missing.py"),
    ("derive", "missing_module:f"): (1, "there is no module 'missing_module'"),
    ("derive", "model.py:nothing"): (1, "the Functions there: product, energy"),
    ("derive", "model.py:number"): (1, "is of type int"),
    ("derive", "model.py:plain"): (1, "--shape"),
    ("derive", "model.py:energy", "--name", "g"): (2, "--name is for expressions"),
    ("derive", "x*y", "--wrt", "z"): (1, "no argument 'z'"),
    ("derive", "[x, y]", "--of", "gradient"): (1, "needs a scalar function"),
    ("derive", "x", "--of", "nothing"): (2, "Invalid value"),
    ("derive", "x", "--shape", "x"): (2, "is no shape"),
    ("derive", "x", "--shape", "x=0"): (2, "is no shape"),
    ("derive", "x", "--shape", "y=3"): (1, "no name 'y'"),
    ("derive", "x", "--name", "no name"): (1, "ASCII identifier"),
    ("derive", "a @ b"): (1, "cannot be computed"),
    ("derive", "q[5]", "--shape", "q=3"): (1, "cannot be computed"),
    ("export", "x*y", "build", "--name", "double"): (1, "cannot be a C function"),
    ("export", "x*y", "model.py/build"): (1, "model.py"),
    ("tour", "--output", "model.py/build"): (1, "model.py"),
    ("derive",): (2, "Missing argument"),
    ("nothing",): (2, "No such command"),
    ("export", "x", "build", "--format", "exe"): (2, "Invalid value"),
}


@pytest.mark.parametrize("arguments", FAILURES, ids=" ".join)
def test_failures_are_one_message_and_an_exit_code(folder, arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    code, message = FAILURES[arguments]
    assert result.exit_code == code
    assert message in result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr


def test_a_file_may_define_classes(folder) -> None:
    """Dataclasses with postponed annotations look their module up by name."""
    Path("classes.py").write_text(
        "from __future__ import annotations\nfrom dataclasses import dataclass\nimport hybrid as hy\n\n"
        "@dataclass\nclass Spring:\n    stiffness: float = 3.0\n\n"
        "x = hy.symbols('x')\nf = hy.Function([x], Spring().stiffness * x**2)\n"
    )
    assert out("derive", "classes.py:f") == "∂f/∂x = 6·x\n"


def test_an_error_inside_the_users_file_is_shown_as_it_is(folder) -> None:
    Path("broken.py").write_text("import nothing_of_this_name\n")
    with pytest.raises(ModuleNotFoundError, match="nothing_of_this_name"):
        run("derive", "broken.py:f")


def test_runs_as_a_module_and_as_a_command() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-m", "hybrid", "derive", "x**2"], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stdout == "∂f/∂x = 2·x\n"
    installed = shutil.which("hybrid", path=str(Path(sys.executable).parent))
    if installed is not None:
        assert subprocess.run([installed, "--version"], capture_output=True, text=True, check=True).stdout.startswith(
            "hybrid"
        )
