"""Programs and points for tests of kernels on graphics processors, and what they must give."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from codegen import INSTRUCTIONS, Array, Program, compile, host, make_ufunc
from codegen.export import export
from codegen.target import GPUS, Target

SPECIAL = (0.0, -0.0, 1.0, -1.0, 0.5, 1e-320, 1e300, -1e5, np.inf, -np.inf, np.nan, 2.0**60, 3.7e22, 1e-10, 30.5, -2.5)


def every_instruction() -> Program:
    """A result for each instruction that gives a number, over three arguments."""
    body: list[tuple] = [("load", 0, 0), ("load", 1, 0), ("load", 2, 1), ("lt", 0, 1), ("const", 2.0)]
    outputs = []
    for name, row in INSTRUCTIONS.items():
        if row.result == "real":
            operands = {"select": (3, 1, 2), "polygamma": (4, 0)}.get(name, (0, 1, 2)[: len(row.operands)])
            outputs.append(len(body))
            body.append((name, *operands))
    results = (Array("first"), Array("rest", (len(outputs),)))
    arguments = (Array("x"), Array("y"), Array("z", (2,)))
    return Program("f", arguments, results, body, (outputs[:1], [*outputs[1:], 4]))


def written(folder: Path, program: Program, target: str | Target = "nvptx-sm_75", element: str = "float64") -> str:
    machine = GPUS[target].with_element(element) if isinstance(target, str) else target
    return export(program, folder, "f", ["ptx"], machine)[0].read_text()


def points(program: Program, n: int, element: str) -> list[np.ndarray]:
    source = np.random.default_rng(5)
    arrays = []
    for argument in program.arguments:
        array = source.normal(size=(n, *argument.shape)) * 10.0 ** source.integers(-4, 5, (n, *argument.shape))
        flat = array.reshape(-1)
        flat[::3] = source.choice(SPECIAL, flat[::3].shape)
        with np.errstate(over="ignore"):
            arrays.append(array.astype(element))
    return arrays


def expected(program: Program, arrays: list[np.ndarray], element: str) -> list[np.ndarray]:
    """What the kernel on this machine gives, with the fused multiply-adds that every GPU has."""
    return list(make_ufunc(compile(program, replace(host(), fma=True).with_element(element)))(*arrays))


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    kind = f"i{a.dtype.itemsize}"
    return a.dtype == b.dtype and bool((np.where(a != a, 0, a).view(kind) == np.where(b != b, 0, b).view(kind)).all())
