"""Rare paths of vector functions as modules of their own: nothing is lost, and they are compiled once per process."""

import re

import numpy as np
import pytest

from codegen import Array, Program, compile, host, make_ufunc, vector_math
from codegen.emit import emit_program
from codegen.jit import shared_object
from codegen.rare import separate


def sine(name: str, factor: float) -> Program:
    body = [("load", 0, 0), ("const", factor), ("mul", 0, 1), ("sin", 2)]
    return Program(name, (Array("x"),), (Array("r"),), body, ((3,),))


@pytest.mark.parametrize(
    "names", [["exp"], ["sin"], ["sin", "tan"], sorted({*vector_math.FUNCTIONS} - {"polygamma"})], ids=len
)
def test_every_definition_is_in_one_module_or_several_as_internal(names) -> None:
    text = vector_math.define(names, width=4, fma=True)
    common, rare = separate(text)
    defined = re.findall(r"^define internal [^\n]*?(@[\w.]+)\(", text, re.MULTILINE)
    found = re.findall(r"^define [^\n]*?(@[\w.]+)\(", "\n".join([common, *rare]), re.MULTILINE)
    assert set(found) == set(defined)
    visible = re.findall(r"^define dso_local [^\n]*?(@[\w.]+)\(", "\n".join(rare), re.MULTILINE)
    assert len(visible) == len(set(visible)) == len(rare)
    assert "cold" not in re.sub(r"^declare .*$", "", common, flags=re.MULTILINE)


def test_two_programs_share_one_object_and_huge_arguments_are_still_right() -> None:
    first, second = (emit_program(sine(name, factor), host()) for name, factor in (("one", 1.0), ("two", 3.0)))
    assert first.shared == second.shared
    assert len(first.shared) == 1
    x = np.array([0.5, 1e6, 1e22, 1e300])
    make_ufunc(compile(sine("one", 1.0)))(x)
    known = shared_object.cache_info().currsize
    got = make_ufunc(compile(sine("two", 3.0)))(x)
    assert shared_object.cache_info().currsize == known
    np.testing.assert_allclose(got[:2], np.sin(3 * x[:2]), rtol=1e-15)
    np.testing.assert_allclose(got[2:], np.sin(3 * x[2:]), rtol=1e-14)
