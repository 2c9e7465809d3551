"""One large call of a ufunc as several smaller ones, side by side."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from math import prod
from typing import Any

import numpy as np

# Numbers read and written per thread below which splitting costs more than it gains (a hand-over takes some 50 µs).
WORTH = 1 << 17
# Points of a batch that is never split, whatever a point costs.
SMALL = 256


def default_threads() -> int:
    """The environment variable HYBRID_NUM_THREADS, else the number of processors this process may use."""
    text = os.environ.get("HYBRID_NUM_THREADS", "")
    if not text:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"HYBRID_NUM_THREADS must be a positive integer, got {text!r}")
    return int(text)


def run(
    ufunc: np.ufunc,
    arrays: Sequence[Any],
    out: Sequence[np.ndarray | None] | None = None,
    threads: int | None = None,
) -> tuple[np.ndarray, ...]:
    """`ufunc(*arrays, out=out)` as a tuple of arrays, a large batch split over `threads`.

    Each thread takes a run of the longest batch axis; the numbers are those of one thread, bit for bit. `ufunc` is one
    of `make_ufunc` (fixed core dimensions). A `threads` of None means `default_threads()`. Operands
    that overlap in memory are left to one thread, since NumPy copies them as a whole.
    """
    if threads is not None and threads < 1:
        raise ValueError(f"threads must be at least 1, got {threads}")
    if threads != 1 and len(arrays) == ufunc.nin and not _is_small(arrays):
        inputs = [np.asarray(array) for array in arrays]
        outputs = (None,) * ufunc.nout if out is None else tuple(out)
        cores = core_shapes(ufunc)
        batch = _batch(inputs, cores)
        work = prod(batch) * sum(map(prod, cores))
        if work >= 2 * WORTH and len(outputs) == ufunc.nout and _separate(inputs, outputs):
            threads = min(threads or default_threads(), work // WORTH, max(batch, default=0))
            if threads > 1:
                return _split(ufunc, inputs, outputs, cores, batch, threads)
    result = ufunc(*arrays) if out is None else ufunc(*arrays, out=tuple(out))
    return result if isinstance(result, tuple) else (result,)


def _is_small(arrays: Sequence[Any]) -> bool:
    """Whether even an outer product of the arguments is a small batch: the quick way out for single points."""
    points = 1
    for array in arrays:
        kind = type(array)
        if kind is np.ndarray:
            points *= array.size
        elif kind is not float and kind is not np.float64 and kind is not int:
            return False
    return points < SMALL


def _batch(inputs: list[np.ndarray], cores: tuple[tuple[int, ...], ...]) -> tuple[int, ...]:
    """The batch shape; () if the shapes do not fit, which is left to NumPy to say."""
    shapes = {array.shape[: array.ndim - len(core)] for array, core in zip(inputs, cores, strict=False)}
    shapes.discard(())
    if len(shapes) <= 1:
        return shapes.pop() if shapes else ()
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        return ()


def core_shapes(ufunc: np.ufunc) -> tuple[tuple[int, ...], ...]:
    """The fixed core shape of every operand: () for a plain ufunc."""
    return ((),) * ufunc.nargs if ufunc.signature is None else _parse(ufunc.signature)


@cache
def _parse(signature: str) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(int(n) for n in re.findall(r"\d+", core)) for core in re.findall(r"\(([^)]*)\)", signature))


def _separate(inputs: list[np.ndarray], outputs: tuple[np.ndarray | None, ...]) -> bool:
    given = [array for array in outputs if array is not None]
    return not any(
        np.may_share_memory(array, other) for index, array in enumerate(given) for other in [*inputs, *given[:index]]
    )


def _split(
    ufunc: np.ufunc,
    inputs: list[np.ndarray],
    outputs: tuple[np.ndarray | None, ...],
    cores: tuple[tuple[int, ...], ...],
    batch: tuple[int, ...],
    threads: int,
) -> tuple[np.ndarray, ...]:
    results = []
    types = ufunc.resolve_dtypes(tuple(array.dtype for array in inputs) + (None,) * ufunc.nout)[ufunc.nin :]
    for given, core, dtype in zip(outputs, cores[ufunc.nin :], types, strict=True):
        if given is not None and given.shape != batch + core:
            raise ValueError(f"{ufunc.__name__}: an out array has shape {given.shape}, expected {batch + core}")
        results.append(np.empty(batch + core, dtype) if given is None else given)
    axis = max(range(len(batch)), key=lambda k: batch[k])
    # Runs start at multiples of 64 points, so that no two threads write the same cache line of an aligned array.
    step = -(-batch[axis] // threads)
    step = -(-step // 64) * 64 if step > 64 else step
    starts = range(0, batch[axis], step)
    from_end = len(batch) - axis

    def part(array: np.ndarray, core: tuple[int, ...], start: int) -> np.ndarray:
        place = array.ndim - len(core) - from_end
        if place < 0 or array.shape[place] == 1:
            return array
        return array[(slice(None),) * place + (slice(start, start + step),)]

    def work(start: int) -> None:
        pieces = [part(array, core, start) for array, core in zip([*inputs, *results], cores, strict=True)]
        ufunc(*pieces[: ufunc.nin], out=tuple(pieces[ufunc.nin :]))

    pending = [pool().submit(work, start) for start in starts[1:]]
    work(starts[0])
    for future in pending:
        future.result()
    return tuple(results)


@cache
def pool() -> ThreadPoolExecutor:
    """The threads of this process, as many as the machine has processors."""
    return ThreadPoolExecutor(max_workers=max(1, (os.cpu_count() or 1)), thread_name_prefix="codegen")


# The threads of a pool do not survive a fork.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=pool.cache_clear)
