"""Kernels for the tests of verification: graphs and programs run in NumPy, and ways to spoil them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import sympy as sp

import hybrid as hy
from codegen.program import Program
from hybrid import operations as ops
from hybrid.evaluate import evaluate
from hybrid.kernel import Kernel
from hybrid.together import merge
from hybrid.verify import Subject

MEANING = {row.instruction: row.numpy for row in ops.OPERATIONS.values() if row.instruction}


def reference(*formulas: Any) -> Subject:
    """The graphs of the formulas, evaluated in NumPy, as if they were a compiled kernel."""
    graph, arguments, roots, _ = merge(formulas)

    def run(*arrays):
        points = len(arrays[0])
        values = {
            node: array.reshape(points, -1)[:, element]
            for argument, array in zip(arguments, arrays, strict=True)
            for element, node in enumerate(argument.nodes)
        }
        flat = iter([np.broadcast_to(value, points) for value in evaluate(graph, roots, values)])
        return tuple(np.stack([next(flat) for _ in f.nodes], axis=1).reshape(points, *f.shape).copy() for f in formulas)

    return Subject(formulas[0].name, arguments, formulas, run)


def tampered(subject: Subject, change: Callable) -> Subject:
    """The subject with its results changed: `change(arrays, results)` returns the wrong results."""

    def run(*arrays):
        return tuple(change(arrays, [result.copy() for result in subject.evaluate(*arrays)]))

    return Subject(subject.name, subject.arguments, subject.formulas, run)


def interpreted(kernel: Kernel, program: Program) -> Subject:
    """A program run in NumPy, instruction by instruction."""

    def run(*arrays):
        points = len(arrays[0])
        flat = [array.reshape(points, -1) for array in arrays]
        values = []
        with np.errstate(all="ignore"):
            for name, *operands in program.body:
                if name == "load":
                    values.append(flat[operands[0]][:, operands[1]])
                elif name == "const":
                    values.append(np.float64(operands[0]))
                elif name == "fma":
                    values.append(values[operands[0]] * values[operands[1]] + values[operands[2]])
                else:
                    values.append(MEANING[name](*[values[operand] for operand in operands]))
        return [
            np.stack([np.broadcast_to(values[v], points) for v in row], axis=1).reshape(points, *result.shape)
            for result, row in zip(program.results, program.outputs, strict=True)
        ]

    return Subject(kernel.name, kernel.arguments, kernel.formulas, run)


@contextmanager
def planted(row: ops.Operation, **fields: Any) -> Iterator[None]:
    """A row of the table of operations with some of its fields changed, until the block ends."""
    before = {name: getattr(row, name) for name in fields}
    for name, value in fields.items():
        object.__setattr__(row, name, value)  # rows are frozen
    try:
        yield
    finally:
        for name, value in before.items():
            object.__setattr__(row, name, value)


def black_scholes() -> hy.Function:
    s, k, t, r, v = hy.symbols("S K T r sigma")

    def phi(a):
        return (1 + sp.erf(a / sp.sqrt(2))) / 2

    d1 = (sp.log(s / k) + (r + v**2 / 2) * t) / (v * sp.sqrt(t))
    price = s * phi(d1) - k * sp.exp(-r * t) * phi(d1 - v * sp.sqrt(t))
    return hy.Function([s, k, t, r, v], price, name="price")
