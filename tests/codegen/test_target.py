"""Targets: widths, names, and code that uses them."""

import dataclasses
import re

import pytest

from codegen import Array, Program, Target, host, layout
from codegen.emit import emit
from codegen.jit import optimise
from codegen.target import DEFAULT_CACHE, NAMED, find

CODE = [("load", 0, 0), ("load", 1, 0), ("mul", 0, 1), ("add", 2, 0), ("sqrt", 3), ("div", 4, 1)]
POLYNOMIAL = Program("f", (Array("x"), Array("y")), (Array("r"), Array("J", (3,))), CODE, ((5,), (3, 4, 5)))


def assembly(target: Target) -> str:
    machine = target.machine()
    return str(machine.emit_assembly(optimise(emit(POLYNOMIAL, target), machine)))


def test_host():
    assert host() is host()
    assert find(None) is find("host") is find("native") is host()
    assert host().width in (1, 2, 4, 8)
    assert host().cache >= 1 << 18
    assert find(host()) is host()


def test_unknown_names_and_widths():
    with pytest.raises(ValueError, match=r"unknown target 'vax'; known: host, portable, x86-64, .*aarch64"):
        find("vax")
    with pytest.raises(ValueError, match="1, 2, 4 or 8 float64 lanes, got 3"):
        dataclasses.replace(host(), width=3)
    with pytest.raises(ValueError, match="arch-vendor-system"):
        Target('x86_64"\nmodule asm "')


@pytest.mark.parametrize("name", NAMED)
def test_scratch_on_the_heap_everywhere(name, monkeypatch):
    monkeypatch.setattr(layout, "MAX_STACK", 0)
    assert "malloc" in assembly(NAMED[name])


@pytest.mark.parametrize(("name", "register"), [("x86-64", "xmm"), ("x86-64-v3", "ymm"), ("x86-64-v4", "zmm")])
def test_the_whole_vector_width_is_used(name, register):
    """Also on AVX-512, where LLVM keeps to half registers unless told otherwise."""
    text = assembly(NAMED[name])
    assert re.search(rf"sqrtpd\s.*%{register}", text)
    assert re.search(rf"divpd\s.*%{register}", text)
    assert NAMED[name].cache == DEFAULT_CACHE


@pytest.mark.parametrize("name", NAMED)
def test_fused_multiply_add_is_an_instruction_or_nothing(name):
    """Never a call of the C library's fma."""
    text = assembly(NAMED[name])
    assert not re.search(r"(call|bl|jal|tail|jmp|b)\s+_?fma\b", text)
    fused = re.search(r"vfn?m(add|sub)|fmla|fmadd|fmls", text) is not None
    assert fused == NAMED[name].fma


@pytest.mark.parametrize("name", ["x86-64-v3", "x86-64-v4"])
def test_streaming_stores(name):
    text = assembly(NAMED[name])
    assert "vmovnt" in text
    assert "sfence" in text


@pytest.mark.parametrize(
    ("name", "instruction"), [("x86-64", "ldmxcsr"), ("aarch64", "msr\tFPSR"), ("aarch64-macos", "msr\tFPSR")]
)
def test_the_floating_point_environment_is_put_back(name, instruction):
    assert instruction.lower() in assembly(NAMED[name]).lower()
