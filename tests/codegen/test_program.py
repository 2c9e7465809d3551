"""Programs as data: what is valid, what is counted, how they print."""

import pytest

from codegen import INSTRUCTIONS, Array, Program

X, R = (Array("x", (2,)),), (Array("r"),)


def test_a_program_prints_itself():
    body = [("load", 0, 1), ("const", 2.5), ("mul", 0, 1), ("lt", 0, 1), ("select", 3, 2, 0)]
    program = Program("f", X, R, body, ((4,),))
    assert str(program).splitlines() == [
        "program f(x[2])",
        "  %0 = x[1]",
        "  %1 = 2.5",
        "  %2 = mul %0, %1",
        "  %3 = lt %0, %1",
        "  %4 = select %3, %2, %0",
        "  r[] <- %4",
    ]
    assert program.operations == 3
    assert program.counts() == {"load": 1, "const": 1, "mul": 1, "lt": 1, "select": 1}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ([("load", 1, 0)], "loads element 0 of argument 1"),
        ([("load", 0, 2)], "loads element 2 of argument 0"),
        ([("load", 0, 0), ("besselj", 0)], "unknown instruction 'besselj'; known: add"),
        ([("load", 0, 0), ("add", 0)], "takes 2 operands, got 1"),
        ([("load", 0, 0), ("neg", 1)], "reads %1, which is no earlier real value"),
        ([("load", 0, 0), ("neg", -1)], "reads %-1"),
        ([("load", 0, 0), ("not", 0)], "no earlier mask value"),
        ([("true",), ("neg", 0)], "no earlier real value"),
        ([("true",)], "which is not a number"),
        ([], "which is not a number"),
    ],
)
def test_what_is_no_program(body, message):
    with pytest.raises(ValueError, match=message):
        Program("f", X, R, body, ((len(body) - 1,),))


def test_outputs_fit_the_results():
    with pytest.raises(ValueError, match=r"result r of shape \(\) got 2 values"):
        Program("f", X, R, [("load", 0, 0)], ((0, 0),))
    with pytest.raises(ValueError, match="shorter"):
        Program("f", X, R, [("load", 0, 0)], ())


def test_sizes():
    assert Array("a", (2, 3)).size == 6
    assert Array("a").size == 1
    assert all(row.name == name for name, row in INSTRUCTIONS.items())
