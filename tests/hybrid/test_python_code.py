"""Stand-alone Python source: imported as a file, it gives the numbers of the NumPy meaning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sympy as sp

import hybrid as hy
from codegen.program import INSTRUCTIONS, Array, Program
from hybrid.evaluate import evaluate
from hybrid.loading import import_file
from hybrid.operations import OPERATIONS
from hybrid.parse import define
from hybrid.python_code import CALLS, INFIX, python_code

POINTS = 5


def imported(function: hy.Function, folder: Path) -> Any:
    path = folder / f"written_{function.name}.py"
    path.write_text(python_code(function.program()))
    return getattr(import_file(path), function.name)


def check(function: hy.Function, folder: Path, low: float = 0.2, high: float = 0.8) -> None:
    random = np.random.default_rng(0)
    arrays = [random.uniform(low, high, (POINTS, *argument.shape)) for argument in function.arguments]
    values = {
        node: array.reshape(POINTS, -1)[:, column]
        for argument, array in zip(function.arguments, arrays, strict=True)
        for column, node in enumerate(argument.nodes)
    }
    meaning = np.stack(np.broadcast_arrays(*evaluate(function.graph, function.nodes, values)), axis=-1)
    with np.errstate(all="ignore"):
        result = np.broadcast_to(imported(function, folder)(*arrays), (POINTS, *function.shape))
    np.testing.assert_allclose(result.reshape(meaning.shape), meaning, rtol=1e-13, err_msg=function.name)


def test_every_instruction_is_written() -> None:
    assert set(INSTRUCTIONS) <= set(INFIX) | set(CALLS)


def test_every_row_of_the_table(tmp_path) -> None:
    for name, row in OPERATIONS.items():
        if row.result != "real" or not row.arity or row.ordered:
            continue
        above = 1.1 if row.domain[0][0] == 1.0 else 0.2  # acosh

        def body(x: Any, y: Any, row: Any = row) -> Any:
            operands = [x < y, x, y] if row.operands[0] == "mask" else [x, y][: row.arity]
            return x.__hybrid_elementwise__(row.name, *operands) + 0 * y

        f = hy.function(x=(), y=())(body)
        f.name = f"row_{name}"
        check(f, tmp_path, above, above + 0.6)


EXPRESSIONS = {
    "polygamma": lambda x, q: hy.polygamma(2, x) + hy.digamma(q[0]),
    "order": lambda x, q: (x - (q[0] - q[1])) / (x / (q[0] / q[1])) * (q[2] * (x / q[0])) - (-x) + -(x + 1),
    "masks": lambda x, q: np.where((x < q[0]) & ~(q[1] >= q[2]) | (q[0] != x), np.where(x == q[0], 1.0, x), q[2]),
    "constants": lambda x, q: x * np.inf + np.where(x > 0, -2.5, np.nan) - 3,
    "vector": lambda x, q: np.stack([x * q[0], q[1], 0 * x + 1]),
    "matrix": lambda x, q: np.stack([np.sin(q), np.cos(q) * x]),
    "temporaries": lambda x, q: sum(np.sin(x * k + q[0]) * np.cos(q[1] * k) for k in range(1, 8)) ** 2,
}


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_expressions(name: str, tmp_path) -> None:
    f = hy.function(x=(), q=(3,))(EXPRESSIONS[name])
    f.name = name
    check(f, tmp_path)


def test_derivatives(tmp_path) -> None:
    @hy.function(q=(2, 2), p=())
    def energy(q: Any, p: Any) -> Any:
        return np.sum(np.log(q) ** 2) * p + hy.erf(p) * q[1, 0]

    for f in (energy.gradient(), energy.hessian().simplify(), energy.jvp(), energy.hvp(wrt="q")):
        check(f, tmp_path)


def test_reads_well() -> None:
    x, y = hy.symbols("x y")
    f = hy.Function([x, y], x * y - hy.sin(x) / (x + y), name="f")
    assert python_code(f.program()) == (
        'import numpy as np\n\n\ndef f(x, y):\n    """5 operations. Returns f of shape (...)."""\n'
        "    return x * y - np.sin(x) / (x + y)\n"
    )


def test_temporaries_do_not_meet_arguments(tmp_path) -> None:
    t0, t1 = hy.symbols("t0 t1")
    shared = hy.sin(t0 + t1)
    check(hy.Function([t0, t1], shared * t0 + shared / t1, name="clash"), tmp_path)


def test_several_results_come_as_a_tuple(tmp_path) -> None:
    program = Program(
        "two", (Array("x"),), (Array("a"), Array("b", (2,))), [("load", 0, 0), ("neg", 0)], ((0,), (0, 1))
    )
    path = tmp_path / "two.py"
    path.write_text(python_code(program))
    a, b = import_file(path).two(np.array([1.0, 2.0]))
    np.testing.assert_array_equal(a, [1, 2])
    np.testing.assert_array_equal(b, [[1, -1], [2, -2]])


def test_names_that_python_or_the_module_has(tmp_path) -> None:
    text = "lambda*np + special**2 + θ*class"
    function = hy.Function.from_definition(define(text, {}, "names"))
    check(function, tmp_path)
    assert "def names(lambda_, np_, special_, θ, class_):" in python_code(function.program())
    f = hy.Function(sp.symbols("f a b"), sp.Symbol("f") * 2, name="f")
    assert "def f(f_, a, b):" in python_code(f.program())
