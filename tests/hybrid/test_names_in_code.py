"""Parts that LaTeX names have the same names, and the same values, in C and Python."""

from __future__ import annotations

import ctypes
import pickle
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from latex_reader import definitions
from printed import black_scholes

import hybrid as hy
from codegen.export import FORMATS, Build
from codegen.program import Array, Program
from codegen.target import host
from hybrid.loading import examples, import_file
from hybrid.python_code import python_code

FLAGS = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-Wshadow"]
POINTS = {"S": 1.1, "K": 0.9, "T": 0.7, "r": 0.05, "sigma": 0.3}
GREEK = {"sigma": r"\sigma"}


def panda():
    return import_file(examples() / "panda.py").pose.jacobian()


def c_of(kernel: hy.Kernel, folder: Path) -> str:
    kernel.export(folder, formats=["c"], name="made")
    return (folder / "made.c").read_text()


def values_in_c(source: str, folder: Path, inputs: list[np.ndarray], results: int) -> dict[str, float]:
    """What gcc's code of the source holds in each value that has a name, at one point."""
    compiler = shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no gcc")
    point = re.compile(r"    const double ((?:minus_)?[a-z]+\d+) = .*;\n")
    names = point.findall(source)
    told = point.sub(lambda m: f"{m[0]}    seen[{names.index(m[1])}] = {m[1]};\n", source)
    (folder / "told.c").write_text(f"extern double seen[];\ndouble seen[{max(1, len(names))}];\n{told}")
    for file in ("made", "told"):
        words = [compiler, *FLAGS, "-shared", "-fPIC", "-o", f"{file}.so", f"{file}.c", "-lm"]
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    library = ctypes.CDLL(str(folder / "told.so"))
    pointers = [(ctypes.c_double * 64)(*x.ravel()) for x in inputs] + [
        (ctypes.c_double * 400)() for _ in range(results)
    ]
    library.made(*pointers)
    return dict(zip(names, (ctypes.c_double * len(names)).in_dll(library, "seen"), strict=True))


def printed_parts(text: str, symbols: dict[str, float]) -> dict[str, float]:
    _, found = definitions(text, symbols)
    return {re.sub(r"_\{(\d+)\}", r"\1", name): value for name, value in found.items() if name not in symbols}


@pytest.mark.parametrize("case", ["price", "Hessian", "arm"])
def test_c_has_the_names_of_latex(case: str, tmp_path: Path) -> None:
    if case == "arm":
        f, q = panda().simplify(), np.linspace(-1.0, 1.3, 7)
        inputs, symbols = [q], {f"q_{{{k + 1}}}": value for k, value in enumerate(q)}
    else:
        f = black_scholes() if case == "price" else black_scholes().hessian()
        while (simpler := f.simplify()).operations() < f.operations():
            f = simpler  # so that compiling it finds nothing more
        inputs = [np.array(POINTS[argument.name]) for argument in f.arguments]
        symbols = {GREEK.get(name, name): value for name, value in POINTS.items()}
    kernel = hy.compile(f)
    assert kernel.latex() == f.latex()
    parts = printed_parts(f.latex(), symbols)
    seen = values_in_c(c_of(kernel, tmp_path), tmp_path, inputs, 1)
    assert len(parts) > {"price": 0, "Hessian": 10, "arm": 50}[case]
    for name, value in parts.items():
        got = seen[name] if name in seen else -seen[f"minus_{name}"]
        assert got == pytest.approx(value, rel=1e-9, abs=1e-12), name
    assert len(seen) == len(parts)


def test_functions_together_have_one_list_of_parts(tmp_path: Path) -> None:
    f = black_scholes()
    kernel = hy.compile(f, f.gradient(), f.hessian())
    text = kernel.latex()
    assert text.count(r"\text{where}") == 1
    assert [text.count(rf"\nabla{power} C(") for power in ("", "^{2}")] == [1, 1]
    where = text[text.index(r"\text{where}") :]
    parts = printed_parts("y &= 1 \\\\\n" + where.replace(r"\end{aligned}", ""), {
        GREEK.get(name, name): value for name, value in POINTS.items()
    })  # fmt: skip
    inputs = [np.array(POINTS[argument.name]) for argument in kernel.arguments]
    seen = values_in_c(c_of(kernel, tmp_path), tmp_path, inputs, 3)
    assert len(parts) > 10
    for name, value in parts.items():
        assert (seen[name] if name in seen else -seen[f"minus_{name}"]) == pytest.approx(value, rel=1e-9), name


def test_native_code_does_not_depend_on_names() -> None:
    program = black_scholes().hessian().simplify().program()
    named = black_scholes().hessian().simplify().program(named=True)
    assert (named.body, named.outputs) == (program.body, program.outputs)
    assert named.names
    assert not program.names
    assert pickle.loads(pickle.dumps(named)).names == named.names
    assert all(f"  # {name}\n" in str(named) for name in named.names.values())


def test_python_has_the_names() -> None:
    f = black_scholes().hessian().simplify()
    program = f.program(named=True)
    source = python_code(program)
    assert all(re.search(rf"^    {name} = ", source, re.M) for name in program.names.values())
    space: dict = {}
    exec(source, space)  # what it is for
    inputs = [POINTS[argument.name] for argument in f.arguments]
    np.testing.assert_allclose(space[program.name](*inputs), f(*inputs), rtol=1e-12)


BODY = [("load", 0, 0), ("sin", 0), ("cos", 1), ("sqrt", 2), ("exp", 3)]


def program(names: dict[int, str], argument: str = "x") -> Program:
    return Program("f", (Array(argument),), (Array("r"),), BODY, ((4,),), names=names)


@pytest.mark.parametrize("names", [{1: "a b"}, {1: ""}, {1: "1a"}, {9: "t1"}, {-1: "t1"}, {1: "t1", 2: "t1"}])
def test_names_are_identifiers_of_values(names: dict[int, str]) -> None:
    with pytest.raises(ValueError, match="name"):
        program(names)


def test_names_that_c_or_python_have_are_not_used() -> None:

    given = program({1: "while", 2: "sin", 3: "t_point", 4: "np"}, "t")
    (made,) = FORMATS["c"].make(Build(given, host())).values()
    found = re.findall(r"const double (\w+) = ", made.decode())
    assert found == ["codegen_0", "codegen_1", "codegen_2", "codegen_3", "np"]
    source = python_code(given)
    compile(source, "f.py", "exec")
    assert "while =" not in source
    assert "np =" not in source
