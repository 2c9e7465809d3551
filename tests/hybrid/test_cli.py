"""The command line: what it prints, where it writes, and how it fails."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from codegen.export import linker
from codegen.export.linker import LinkerNotFound
from hybrid import __version__
from hybrid.cli import main
from hybrid.commands.formulas import WRITERS
from hybrid.commands.shared import KINDS
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
    words = {"text": "=", "latex": "\\sin", "python": "def f", "mathml": "<math", "sympy": "sin(y)", "c": "void f"}
    assert words[format_] in text


def test_derive_leaves_derivatives_as_they_come_on_request() -> None:
    assert out("derive", "sin(x)**2 + cos(x)**2", "--as-derived") != out("derive", "sin(x)**2 + cos(x)**2")


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


def test_export_for_a_graphics_processor(folder) -> None:
    out("export", "x*y", "build", "--format", "ptx", "--target", "nvptx-sm_90")
    assert ".target sm_90" in Path("build/f.ptx").read_text()
    assert "nvptx-sm_90" in json.loads(out("info", "--json"))["targets"]
    result = run("export", "x*y", "other", "--target", "nvptx-sm_90")
    assert result.exit_code == 1
    assert "no format 'so' for nvptx64-nvidia-cuda; there are" in result.stderr


def test_export_as_json(folder) -> None:
    data = json.loads(out("export", "x*y", "build", "--format", "h", "--json"))
    assert data["files"] == ["build/f.h"]
    assert data["certificate"]["passed"]


def test_export_without_a_linker_says_what_to_install(folder, monkeypatch) -> None:
    def missing(target: object, **options: object) -> list[str]:
        raise LinkerNotFound("no linker here: install a C compiler.")

    monkeypatch.setattr(linker, "find_linker", missing)
    result = run("export", "x*y", "build")
    assert result.exit_code == 1
    assert "install a C compiler" in result.stderr
    assert Path("build/f.o").is_file()


def test_export_stops_where_the_check_fails(folder, monkeypatch) -> None:
    def wrong(*functions: object, **options: object) -> None:
        raise VerificationError("the kernel disagrees with the tape")

    monkeypatch.setattr("hybrid.commands.bundles.compile", wrong)
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
    assert "hybrid completion bash" in out("--help")
    assert out("completion", "bash").strip() == result.stdout.strip()


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
    ("derive", "model.py:enregy"): (1, "did you mean 'energy'"),
    ("derive", "model.py:Path"): (1, "has no 'Path'"),
    ("derive", "x", "--shape", "x=2", "--shape", "x=3"): (2, "two shapes"),
    ("derive", "model.py:energy", "--shape", "p=3"): (1, "--shape p: there is no name 'p'; the arguments are q"),
    ("export", "x*y", "x+y", "build", "--shape", "z=3"): (1, "no name 'z'"),
    ("export", "x*y", "build", "--shared", "x"): (2, "--shared goes with --reduce"),
    ("export", "x*y", "build", "--reduce", "sum", "--float32"): (2, "--float32 does not go with --reduce"),
    ("export", "x*y", "build", "--format", "python", "--name", "json"): (1, "another Python package"),
    ("export", "build"): (2, "Missing argument"),
    ("check", "nowhere"): (1, "does not exist"),
    ("check", "model.py"): (1, "is no manifest"),
    ("check", "package"): (1, "has no manifest"),
    ("completion",): (2, "Missing argument"),
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


USERS = {
    "import nothing_of_this_name\n": ("ModuleNotFoundError: No module named 'nothing_of_this_name'", "line 1"),
    "def g():\n    return 1 / 0\n\n\nf = g()\n": ("ZeroDivisionError: division by zero", "in g"),
    "f = (1 +\n": ("SyntaxError", "line 1"),
    "import sys\nsys.exit(3)\n": ("it ended Python", "__main__"),
}


@pytest.mark.parametrize("text", USERS, ids=lambda text: text[:12])
@pytest.mark.parametrize("source", ["broken.py:f", "broken:f"])
def test_an_error_inside_the_users_file_is_shown_where_it_is(folder, monkeypatch, text: str, source: str) -> None:
    monkeypatch.delitem(sys.modules, "broken", raising=False)
    Path("broken.py").write_text(text)
    result = run("derive", source)
    assert result.exit_code == 1
    assert "broken" in result.stderr
    for words in USERS[text]:
        assert words in result.stderr
    assert "hybrid/loading.py" not in result.stderr
    assert "importlib" not in result.stderr


def test_an_error_while_tracing_is_shown_where_it_is(folder) -> None:
    Path("model.py").write_text("import numpy as np\n\n\ndef f(q):\n    return {}['a'] + q\n")
    result = run("derive", "model.py:f", "--shape", "q=3")
    assert result.exit_code == 1
    assert "model.py:f fails when it is traced: KeyError: 'a'" in result.stderr
    assert "line 5, in f" in result.stderr


# --- text from elsewhere, output to files -----------------------------------------------------------------------------
def test_expressions_from_standard_input_and_files(folder) -> None:
    result = CliRunner().invoke(main, ["derive", "-", "--of", "value"], input="# a comment\na = x*y\na + 1\n")
    assert result.stdout == "f(x, y) = x·y + 1\n"
    Path("formula.txt").write_text("r = x**2\nsin(r)\n")
    assert out("derive", "@formula.txt") == "∂f/∂x = 2·x·cos(x²)\n"
    for source, words in (("@none.txt", "No such file"), ("@.", "Is a directory")):
        assert words in run("derive", source).stderr
    Path("bytes.txt").write_bytes(b"\xff\xfe")
    assert run("derive", "@bytes.txt").exit_code == 1


def test_output_to_a_file_is_whole_or_not_there(folder, monkeypatch) -> None:
    assert out("derive", "x*y", "-o", "made.txt") == ""
    assert Path("made.txt").read_text() == "∂f/∂x = y\n∂f/∂y = x\n"
    monkeypatch.setattr(os, "replace", full)
    result = run("latex", "x*y", "-o", "made.txt")
    assert result.exit_code == 1
    assert "No space left" in result.stderr
    assert Path("made.txt").read_text() == "∂f/∂x = y\n∂f/∂y = x\n"
    assert run("derive", "x*y", "-o", "none/made.txt").exit_code == 1
    assert sorted(p.name for p in folder.iterdir()) == ["made.txt", "model.py", "package"]


def full(*args: object) -> None:
    raise OSError(28, "No space left on device")


def test_a_full_disk_leaves_the_folder_as_it_was(folder, monkeypatch) -> None:
    out("export", "x*y", "build", "--format", "h")
    before = {path.name: path.read_bytes() for path in Path("build").iterdir()}
    replace, count = os.replace, iter(range(100))
    monkeypatch.setattr(os, "replace", lambda *args: full() if next(count) == 1 else replace(*args))
    result = run("export", "x*y+1", "build", "--format", "h", "--format", "c")
    assert result.exit_code == 1
    assert "No space left" in result.stderr
    assert {path.name: path.read_bytes() for path in Path("build").iterdir()} == before


@pytest.mark.skipif(sys.platform == "win32", reason="signals as on Unix")
def test_ctrl_c_leaves_nothing_half_written(folder) -> None:
    Path("slow.py").write_text(
        "import os, signal, hybrid as hy\nx = hy.symbols('x')\nf = hy.Function([x], x**2)\n"
        "os.kill(os.getpid(), signal.SIGINT)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-m", "hybrid", "export", "slow.py:f", "build"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 130
    assert done.stderr == "Interrupted: nothing was written.\n"
    assert not Path("build").exists()


# --- bundles ----------------------------------------------------------------------------------------------------------
def test_export_several_functions_and_kinds(folder) -> None:
    data = json.loads(
        out("export", "model.py:energy", "model.py:product", "build", "--of", "value", "--of", "hessian", "--sparse",
            "--name", "both", "--format", "h", "--json")
    )  # fmt: skip
    assert data["name"] == "both"
    manifest = json.loads(Path("build/both.manifest.json").read_text())
    assert [result["name"] for result in manifest["results"]] == [
        "energy", "energy_hessian", "product", "product_hessian",
    ]  # fmt: skip
    assert manifest["results"][1]["derivatives"] == [{"kind": "hessian", "by": ["q"], "sparse": "full"}]
    assert manifest["results"][3]["sparsity"]["nnz"] == 2


def test_expressions_of_one_bundle_have_names(folder) -> None:
    out("export", "x*y", "x+y", "build", "--format", "h")
    manifest = json.loads(Path("build/f.manifest.json").read_text())
    assert [result["name"] for result in manifest["results"]] == ["f", "g"]


def test_export_options(folder) -> None:
    out("export", "exp(x)", "build", "--float32", "--size", "--format", "h", "--target", "x86-64-v2")
    manifest = json.loads(Path("build/f.manifest.json").read_text())
    assert manifest["element"] == "float32"
    assert manifest["target"]["cpu"] == "x86-64-v2"
    assert manifest["target"]["optimise"] == "size"
    out("export", "(y-a*x)**2", "reduced", "--reduce", "sum", "--shared", "a", "--format", "h")
    manifest = json.loads(Path("reduced/f.manifest.json").read_text())
    assert manifest["results"][0]["reduction"] == "sum"
    assert {item["name"]: item["shared"] for item in manifest["arguments"]} == {"y": False, "a": True, "x": False}


def test_completion_knows_what_a_file_defines(folder) -> None:
    Path("model.py").write_text(MODEL + "\n1 / 0\n")  # it is not run
    complete = {"_HYBRID_COMPLETE": "bash_complete", "COMP_CWORD": "2"}
    for typed, expected in (
        ("model.py:e", ["model.py:energy"]),
        ("model.py:p", ["model.py:product", "model.py:plain"]),
    ):
        environment = complete | {"COMP_WORDS": f"hybrid derive {typed}"}
        result = CliRunner().invoke(main, prog_name="hybrid", env=environment)
        assert [line.partition(",")[2] for line in result.stdout.split()] == expected
    assert run("completion", "powershell").exit_code == 2


def test_json_has_the_keys_that_help_names(folder) -> None:
    made = {
        "derive": json.loads(out("derive", "x*y", "--json"))["function"],
        "export": json.loads(out("export", "x*y", "build", "--format", "h", "--json")),
        "check": json.loads(out("check", "build", "--json")),
        "info": json.loads(out("info", "--json")),
    }
    for command, data in made.items():
        text = " ".join(out(command, "--help").split())
        named = set(re.findall(r'"(\w+)"', text[text.index("--json:") :]))
        assert set(data) <= named, (command, set(data) - named)


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


def test_several_expressions_with_slices_have_names_of_their_own(folder) -> None:
    out("export", "sum(q[:2])", "p**2", "build", "--shape", "q=3", "--format", "h")
    manifest = json.loads(Path("build/f.manifest.json").read_text())
    assert [result["name"] for result in manifest["results"]] == ["f", "g"]
    assert [(item["name"], item["shape"]) for item in manifest["arguments"]] == [("q", [3]), ("p", [])]
