"""Bound blocks at many points: a native loop over a batch of any strides, points or instances shared by threads."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codegen.blocks.code import WORTH, Bound, Frame
from codegen.bound import overlap, overlaps_itself
from codegen.threads import default_threads, pool

Reals = NDArray[Any]


def run_batch(
    bound: Bound,
    inputs: Sequence[Reals],
    outputs: Sequence[Reals],
    batch: tuple[int, ...],
    threads: int | None = None,
) -> None:
    """Compute the outputs of every point of a batch.

    inputs, outputs: an array per buffer, in order, of the element type and of shape batch + (length,): each point in a
    row, the points at any strides (zero for inputs that are the same at several points). threads: how many share the
    points, or of few large ones the instances; the bits are the same for any number.
    Raises ValueError for arrays that do not fit, or outputs that overlap.
    """
    if threads is not None and threads < 1:
        raise ValueError(f"threads must be at least 1, got {threads}")
    arrays = [*inputs, *outputs]
    _check(bound, arrays, batch, len(inputs))
    points, total = prod(batch), sum(bound.weights)
    if not points:
        return
    wanted = threads or (default_threads() if points * total >= 2 * WORTH else 1)
    if wanted > points and bound.work >= 2 * WORTH:
        for point in np.ndindex(*batch):
            bound.run([a[point] for a in inputs], [a[point] for a in outputs], threads=wanted)
        return
    parts = max(1, min(wanted, points, points * total // WORTH if threads is None else points))
    cuts = [points * part // parts for part in range(parts + 1)]
    frames = [bound.take_frame() for _ in range(parts)]
    tables = [_table(bound, frame, arrays, batch) for frame in frames]
    run = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)(bound.native.address("hy.points"))
    pending = [pool().submit(run, tables[part], cuts[part], cuts[part + 1]) for part in range(1, parts)]
    run(tables[0], cuts[0], cuts[1])
    for future in pending:
        future.result()
    for frame in frames:
        bound.give_frame(frame)


def _table(bound: Bound, frame: Frame, arrays: Sequence[Reals], batch: tuple[int, ...]) -> Any:
    """What `@hy.points` reads."""
    here = ctypes.addressof(frame.words)
    rows: list[int] = []
    words = 0
    for array, places in zip(arrays, bound.places, strict=True):
        for place, offset in places:
            rows += [here + 8 * place, array.ctypes.data + offset, *array.strides[: len(batch)]]
            words += 1
    table = [here, bound.stages, len(batch), words, *batch, *rows]
    return (ctypes.c_int64 * len(table))(*table)


def _check(bound: Bound, arrays: Sequence[Reals], batch: tuple[int, ...], count: int) -> None:
    name, dtype = bound.code.blocks.name, np.dtype(bound.code.blocks.element)
    buffers = [*bound.inputs, *bound.outputs]
    if len(arrays) != len(buffers) or count != len(bound.inputs):
        raise ValueError(f"{name} takes {len(bound.inputs)} inputs and {len(bound.outputs)} outputs")
    for number, (buffer, array) in enumerate(zip(buffers, arrays, strict=True)):
        wanted = (*batch, bound.lengths[buffer.name])
        if array.dtype != dtype or array.shape != wanted or not array.flags.aligned:
            raise ValueError(
                f"{name}: {buffer.name} must be an aligned {dtype} array of shape {wanted}, got {array.dtype} of "
                f"{array.shape}"
            )
        if array.size and array.shape[-1] > 1 and array.strides[-1] != array.itemsize:
            raise ValueError(f"{name}: the numbers of a point of {buffer.name} must lie in a row, not {array.strides}")
        if number < count:
            continue
        if not array.flags.writeable or overlaps_itself(array):
            raise ValueError(f"{name}: the output {buffer.name} cannot be written: it is read-only or overlaps itself")
        others = [other for place, other in enumerate(arrays[:number])]
        if any(overlap(array, other) for other in others):
            raise ValueError(f"{name}: the output {buffer.name} shares memory with another array; it must be apart")
