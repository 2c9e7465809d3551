"""Exported files, used as their users use them: compiled against, linked and run."""

import ctypes
import dataclasses
import subprocess
from pathlib import Path

import llvmlite.binding as llvm
import numpy as np
import pytest
from programs import run, tool

from codegen import INSTRUCTIONS, Array, Program, compile, host, make_ufunc
from codegen.export import FORMATS, Interface, LinkerNotFound, export, linker
from codegen.export.c_source import c_source
from codegen.target import NAMED

NAMES = "add sub mul div exp log sin cos sqrt select minimum"
ARGUMENTS = (Array("x"), Array("double"), Array("q w", (3,)))
RESULTS = (Array("value"), Array("x", (2, 3)))
WARNINGS = ["-Wall", "-Wextra", "-Werror", "-pedantic"]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return tmp_path_factory.mktemp("bundle")


@pytest.fixture
def program(programs):
    return programs(90, 11, NAMES, ARGUMENTS, RESULTS)


@pytest.fixture
def exported(bundle, program):
    if not (bundle / "f.h").exists():
        export(program, bundle, "f", ["o", "so", "h", "a", "c", "ll", "bc", "s"])
    return bundle


CALLER = """\
#include "f.h"
#include <stdio.h>
#include <stdlib.h>
#define N 11
int main(void)
{
    static double x[N], y[N], q[N][F_SIZE_q_w], value[N], J[N][F_SIZE_x_1];
    int i, j;
    if (F_ABI_VERSION != 1 || F_ARGUMENTS != 3 || F_RESULTS != 2)
        return 1;
    for (i = 0; i < N; i++) {
        if (scanf("%lf %lf %lf %lf %lf", x + i, y + i, q[i], q[i] + 1, q[i] + 2) != 5)
            return 2;
    }
    f_batch(N, x, y, q[0], value, J[0]);
    for (i = 0; i < N; i++) {
        double value_1, J_1[F_SIZE_x_1];
        f(x + i, y + i, q[i], &value_1, J_1);
        printf("%a", value[i]);
        for (j = 0; j < F_SIZE_x_1; j++)
            printf(" %a", J[i][j]);
        printf(" %a", value_1);
        for (j = 0; j < F_SIZE_x_1; j++)
            printf(" %a", J_1[j]);
        printf("\\n");
    }
    return 0;
}
"""


def call(executable: Path, sample, program) -> tuple[list[np.ndarray], np.ndarray]:
    """Arguments of 11 points, and what the C program printed for them: batch results, then those of single points."""
    arguments = [np.abs(array) for array in sample(program, (11,), 3)]
    rows = np.column_stack([array.reshape(11, -1) for array in arguments])
    text = "\n".join(" ".join(number.hex() for number in row) for row in rows.tolist())
    done = subprocess.run([executable], input=text, capture_output=True, text=True, timeout=60, check=True)
    return arguments, np.array([[float.fromhex(word) for word in line.split()] for line in done.stdout.splitlines()])


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    return (np.where(np.isnan(a), 0, a).view(np.int64) == np.where(np.isnan(b), 0, b).view(np.int64)).all()


@pytest.mark.parametrize("language", ["c", "c++"])
@pytest.mark.parametrize("linkage", ["so", "a", "o"])
def test_a_c_program_gets_the_bits_of_the_kernel(language, linkage, exported, tmp_path, sample, program):
    compiler = tool("gcc", "clang") if language == "c" else tool("g++", "clang++")
    source, executable = tmp_path / "caller.c", tmp_path / "caller"
    source.write_text(CALLER)
    arguments = ["-x", language, source, "-x", "none", exported / f"f.{linkage}", f"-Wl,-rpath,{exported}", "-lm"]
    run(compiler, *WARNINGS, "-I", exported, *arguments, "-o", executable)
    arguments, printed = call(executable, sample, program)
    value, jacobian = make_ufunc(compile(program))(*arguments)
    expected = np.column_stack([value, jacobian.reshape(11, -1)])
    assert same_bits(printed[:, :7], expected)
    assert same_bits(printed[:, 7:], expected)


CALLER_FLOAT = """\
#include "f.h"
#include <stdio.h>
int main(void)
{
    static float x[3] = {0.25f, 2, 7}, y[3] = {1, 2, 3}, q[9] = {1, 2, 3, 4, 5, 6, 7, 8, 9}, value[3], J[18];
    int i;
    f_batch(3, x, y, q, value, J);
    for (i = 0; i < 3; i++)
        printf("%a ", value[i]);
    for (i = 0; i < 18; i++)
        printf("%a ", J[i]);
    return 0;
}
"""


@pytest.mark.parametrize("fmt", ["o", "so", "c"])
def test_float32_in_c(fmt, tmp_path, program):
    target = host().with_element("float32")
    export(program, tmp_path, "f", [fmt, "h"], target)
    source, executable = tmp_path / "caller.c", tmp_path / "caller"
    source.write_text(CALLER_FLOAT)
    command = [tool("gcc", "clang"), "-std=c99", *WARNINGS, "-I", tmp_path, source, tmp_path / f"f.{fmt}"]
    run(*command, f"-Wl,-rpath,{tmp_path}", "-lm", "-o", executable)
    printed = np.array([float.fromhex(word) for word in run(executable).split()], np.float32)
    arguments = [np.float32([0.25, 2, 7]), np.float32([1, 2, 3]), np.arange(1, 10, dtype=np.float32).reshape(3, 3)]
    value, jacobian = make_ufunc(compile(program, target))(*arguments)
    expected = np.concatenate([value, jacobian.ravel()])
    if fmt == "c":
        np.testing.assert_allclose(printed, expected, rtol=1e-4, equal_nan=True)
    else:
        np.testing.assert_array_equal(printed, expected)


def test_c_source_agrees_with_the_kernel(exported, tmp_path, sample, program):
    compiler = tool("gcc", "clang")
    source, executable = tmp_path / "caller.c", tmp_path / "caller"
    source.write_text(CALLER)
    run(compiler, "-std=c99", *WARNINGS, "-I", exported, source, exported / "f.c", "-lm", "-o", executable)
    arguments, printed = call(executable, sample, program)
    value, jacobian = make_ufunc(compile(program))(*arguments)
    expected = np.column_stack([value, jacobian.reshape(11, -1)])
    np.testing.assert_allclose(printed, np.hstack([expected, expected]), rtol=1e-9)


@pytest.mark.parametrize("language", ["c", "c++"])
def test_c_source_of_every_instruction(language, tmp_path, meaning):
    """One program with every instruction: no warning, right numbers, through the strided loop."""
    compiler = tool("gcc", "clang") if language == "c" else tool("g++", "clang++")
    body: list[tuple] = [("load", 0, 0), ("load", 1, 2), ("load", 1, 5), ("lt", 0, 1), ("gt", 1, 2), ("const", 1.0)]
    body += [("const", number) for number in (float("inf"), float("-inf"), float("nan"), -0.0, 5e-324)]
    outputs = list(range(6, 11))
    for name, row in INSTRUCTIONS.items():
        reals, masks = iter([0, 1, 2]), iter([3, 4, 3])
        operands = [next(masks) if kind == "mask" else next(reals) for kind in row.operands]
        if name == "polygamma":
            operands = [5, 0]
        if name == "acosh":
            operands = [2]
        body.append((name, *operands))
        if row.result == "mask":
            body.append(("select", len(body) - 1, 0, 1))
        outputs.append(len(body) - 1)
    arguments = (Array("x"), Array("A", (2, 3)), Array("unused"))
    program = Program("every", arguments, (Array("r", (len(outputs),)),), body, (tuple(outputs),))
    source, library = tmp_path / "every.c", tmp_path / "every.so"
    source.write_text(c_source(Interface(program)))
    standard = ["-std=c99"] if language == "c" else []
    run(compiler, "-x", language, *standard, *WARNINGS, "-O1", "-shared", "-fPIC", source, "-lm", "-o", library)
    x = np.array([0.3, 0.8])
    a = np.random.default_rng(1).uniform(0.2, 0.9, (2, 3, 2)).swapaxes(1, 2)
    a[:, 1, 2] += 1
    result = np.zeros((2, len(outputs)))[:, ::-1]
    pointers = (ctypes.c_void_p * 4)(x.ctypes.data, a.ctypes.data, 0, result.ctypes.data)
    steps = (ctypes.c_ssize_t * 7)(x.strides[0], a.strides[0], 0, result.strides[0], *a.strides[1:], result.strides[1])
    # The argument that nothing uses is still read by the strided loop: it must be there.
    pointers[2] = x.ctypes.data
    ctypes.CDLL(str(library)).every_loop(pointers, (ctypes.c_ssize_t * 1)(2), steps, None)
    (expected,) = meaning(program, x, a, x)
    np.testing.assert_allclose(result, expected, rtol=1e-13)


def test_the_library_needs_no_more_than_libm(exported, program):
    symbols = run(tool("nm"), "-D", exported / "f.so").split("\n")
    defined = {line.split()[-1] for line in symbols if " T " in line}
    assert defined == set(Interface(dataclasses.replace(program, name="f")).functions)
    allowed = {"malloc", "free", "erf", "erfc", "tgamma", "lgamma"}
    assert {line.split()[-1].split("@")[0] for line in symbols if " U " in line} <= allowed


@pytest.mark.parametrize("fmt", ["o", "so", "h", "a", "c", "ll", "bc", "s"])
def test_same_bytes_again_without_traces_of_this_machine(fmt, exported, tmp_path, program):
    (path,) = export(program, tmp_path / "deeper" / "folder", "f", [fmt])
    content = path.read_bytes()
    assert content == (exported / path.name).read_bytes()
    for trace in (str(Path(__file__).parents[2]), str(Path.home()), str(tmp_path), "/tmp"):
        assert trace.encode() not in content
    assert sorted(entry.name for entry in path.parent.iterdir()) == sorted([path.name, "f.manifest.json"])


def test_ir_and_bitcode_are_valid(exported):
    assert "f_batch" in str(llvm.parse_bitcode((exported / "f.bc").read_bytes()))
    llvm.parse_assembly((exported / "f.ll").read_text()).verify()


@pytest.mark.parametrize("target", NAMED)
def test_objects_for_other_machines(target, tmp_path, program):
    o, h, s = export(program, tmp_path, "f", ["o", "h", "s"], target)
    windows = b"\x64\xaa" if target.startswith("aarch64") else b"\x64\x86"
    magic = {"windows": windows, "apple": b"\xcf\xfa\xed\xfe", "wasm": b"\0asm", "linux": b"\x7fELF"}
    expected = next(start for system, start in magic.items() if system in NAMED[target].triple)
    assert o.read_bytes().startswith(expected)
    assert "f_batch" in s.read_text()
    assert h.exists()


def test_without_a_linker_the_rest_is_written(tmp_path, program, monkeypatch):
    monkeypatch.setattr(linker.shutil, "which", lambda name: None)
    monkeypatch.setattr(linker.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(LinkerNotFound, match=r"install a C compiler.*ziglang.*f\.ll, .*f\.o, .*f\.a, .*f\.h"):
        export(program, tmp_path, "f", ["so", "ll"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f.a", "f.h", "f.ll", "f.manifest.json", "f.o"]


def test_linkers_by_target(monkeypatch):
    monkeypatch.setattr(linker.shutil, "which", lambda name: f"/bin/{name}" if name in ("cc", "ld.lld") else None)
    monkeypatch.setattr(linker.importlib.util, "find_spec", lambda name: object())
    assert linker.find_linker(host()) == ["/bin/cc"] or "linux" not in host().triple
    other = "riscv64" if host().arch != "riscv64" else "aarch64"
    assert linker.find_linker(NAMED[other]) == ["/bin/ld.lld"]
    assert linker.find_linker(NAMED["x86-64-windows"])[-2:] == ["-target", "x86_64-windows-gnu"]
    assert linker.find_linker(NAMED["aarch64-macos"])[-1] == "aarch64-macos"
    with pytest.raises(LinkerNotFound, match="wasm32"):
        linker.find_linker(NAMED["wasm32"])


def test_a_failing_linker_is_quoted(tmp_path, program, monkeypatch):
    failing = tmp_path / "cc"
    failing.write_text("#!/bin/sh\necho no such thing >&2\nexit 3\n")
    failing.chmod(0o755)
    monkeypatch.setattr(linker.shutil, "which", lambda name: str(failing))
    with pytest.raises(RuntimeError, match="no such thing"):
        export(program, tmp_path / "out", "f", ["so"])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["", "2f", "a b", "double", "exp", "printf", "größe", "f; int main", "mem-cpy"])
def test_names_that_c_cannot_use(name, tmp_path, program):
    with pytest.raises(ValueError, match="C identifier"):
        export(program, tmp_path, name)


def test_unknown_format(tmp_path, program):
    assert {"o", "h"} <= set(FORMATS)
    with pytest.raises(ValueError, match=r"'exe'.*known: o, h"):
        export(program, tmp_path, "f", ["o", "exe"])
    assert list(tmp_path.iterdir()) == []


def test_header_states_order_shapes_and_layout(exported):
    text = (exported / "f.h").read_text()
    assert "argument  q_w" in text
    assert "[3]  (q w)" in text
    assert "result    x_1       [2][3]  (x)" in text
    for words in ("C order", "all in bytes", "reentrant", 'extern "C"', "#ifndef CODEGEN_F_H"):
        assert words in text


def test_comments_cannot_be_left(tmp_path):
    program = Program("f", (Array("*/ int x; /*\n"),), (Array("r"),), [("load", 0, 0)], ((0,),))
    export(program, tmp_path, formats=["h", "c"])
    assert "*/ int" not in (tmp_path / "f.h").read_text()
    run(tool("gcc", "clang"), "-std=c99", *WARNINGS, "-fsyntax-only", tmp_path / "f.c")


@pytest.mark.parametrize("target", ["x86-64-v3", "aarch64", "x86-64-windows", "aarch64-macos"])
@pytest.mark.long
def test_ziglang_links_for_other_machines(target, tmp_path, program, monkeypatch):
    pytest.importorskip("ziglang")
    monkeypatch.setattr(linker.shutil, "which", lambda name: None)
    first, again = (export(program, tmp_path / folder, "f", ["so"], target)[0] for folder in "ab")
    assert first.read_bytes() == again.read_bytes()
    assert b"f_batch" in first.read_bytes()
