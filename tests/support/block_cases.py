"""Blocks for tests: small bodies, and native code held up against NumPy's meaning."""

from __future__ import annotations

import dataclasses

import numpy as np

from codegen import Array, Program, host
from codegen.blocks import compile_blocks, interpret

WIDTHS = [width for width in (1, 2, 4, 8) if width <= host().width]


def program(arguments, results, body, outputs, name="b"):
    return Program(
        name,
        tuple(Array(a) for a in arguments.split()),
        tuple(Array(r) for r in results.split()),
        body,
        tuple((value,) for value in outputs),
    )


def agree(blocks, sizes, arrays, *, width=None, threads=1, rtol=1e-12, code=None):
    """Run natively and by NumPy; gives the native outputs."""
    target = host() if width is None else dataclasses.replace(host(), width=width)
    code = code or compile_blocks(blocks, target=target)
    bound = code.bind({b.name: arrays[b.name] for b in blocks.of_kind("data", "index")}, sizes)
    found = bound.run(arrays, threads=threads)
    expected = interpret(blocks, sizes, arrays)
    for buffer, array in zip(bound.outputs, found, strict=True):
        kept = ~np.isnan(expected[buffer.name]) if buffer.name not in blocks.added_to else slice(None)
        scale = np.abs(expected[buffer.name][kept]).max(initial=1)
        np.testing.assert_allclose(
            array[kept], expected[buffer.name][kept], rtol=rtol, atol=rtol * scale, err_msg=buffer.name
        )
    return found


LENGTHS = (0, 1, 2, 7, 8, 9, 31, 2047, 2048, 2049, 2056, 5000)
# x·y + z, x - y, exp of the latter
SMALL = program(
    "x y z",
    "p d e",
    [("load", 0, 0), ("load", 1, 0), ("load", 2, 0), ("mul", 0, 1), ("add", 3, 2), ("sub", 0, 1), ("exp", 5)],
    (4, 5, 6),
)
