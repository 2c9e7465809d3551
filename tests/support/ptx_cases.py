"""Programs and points for tests of kernels on graphics processors, and what they must give."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.special import logsumexp

from codegen import INSTRUCTIONS, Array, Program, compile, host, make_ufunc
from codegen.export import Details, Reduction, export
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


def written(
    folder: Path,
    program: Program,
    target: str | Target = "nvptx-sm_75",
    element: str = "float64",
    reduction: Reduction | None = None,
) -> str:
    machine = GPUS[target].with_element(element) if isinstance(target, str) else target
    return export(program, folder, "f", ["ptx"], machine, details=Details(reduction=reduction))[0].read_text()


# Sums, means, maxima and log-sum-exps of numbers, products and arguments; a is meant to be the same for all points.
MIXED = Program(
    "f",
    (Array("a", (2,)), Array("x", (3,)), Array("y")),
    (Array("r", (2,)), Array("m"), Array("l", (2,)), Array("c", (2,)), Array("s", (2, 2))),
    [
        ("load", 0, 0),
        ("load", 1, 0),
        ("mul", 0, 1),
        ("load", 2, 0),
        ("exp", 0),
        ("load", 1, 2),
        ("mul", 4, 5),
        ("add", 6, 3),
        ("sin", 7),
        ("load", 0, 1),
        ("const", 0.1),
        ("add", 3, 10),
    ],
    ((2, 7), (8,), (7, 1), (9, 10), (11, 11, 3, 8)),
)
KINDS = ("sum", "max", "logsumexp", "mean", "sum")


def exact(kind: str, rows: np.ndarray) -> np.ndarray:
    """Rows (n, …) of finite numbers reduced, rounded once to float64."""
    flat = rows.astype(np.float64).reshape(len(rows), -1)
    if kind == "max":
        found = flat.max(axis=0, initial=-np.inf)
    elif kind == "logsumexp":
        found = logsumexp(flat.astype(np.longdouble), axis=0) if len(rows) else np.full(flat.shape[1], -np.inf)
    else:
        found = np.array([math.fsum(column) for column in flat.T])
        with np.errstate(invalid="ignore"):
            found = found / len(rows) if kind == "mean" else found
    return found.reshape(rows.shape[1:]).astype(np.float64)


def close(kind: str, made: np.ndarray, rows: np.ndarray) -> bool:
    """Whether a reduction of finite rows is what it must be: of sums, the exact one rounded, or its neighbour."""
    right, size = exact(kind, rows), np.finfo(made.dtype)
    error = np.abs(made.astype(np.float64) - right)
    if kind == "max":
        return bool((error == 0).all())
    total = np.abs(rows.astype(np.float64)).sum(axis=0) / (len(rows) if kind == "mean" else 1)
    # one rounding, and what compensation leaves of all the others
    allowed = {"logsumexp": 4 * size.eps * np.maximum(1, np.abs(right))}.get(
        kind, size.eps * np.abs(right) + len(rows) * size.eps**2 * total
    )
    return bool((error <= allowed).all())


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
