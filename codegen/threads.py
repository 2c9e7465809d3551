"""One large call of a ufunc as several smaller ones, side by side."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np

# Numbers read and written per thread below which splitting costs more than it gains (a hand-over takes some 50 µs).
WORTH = 1 << 17


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
    of `make_ufunc` (float64 in and out, fixed core dimensions). A `threads` of None means `default_threads()`. Operands
    that overlap in memory are left to one thread, since NumPy copies them as a whole.
    """
    threads = default_threads() if threads is None else threads
    if threads < 1:
        raise ValueError(f"threads must be at least 1, got {threads}")
    inputs = [np.asarray(array) for array in arrays]
    outputs: list[np.ndarray | None] = list(out) if out is not None else [None] * ufunc.nout
    cores = core_shapes(ufunc)
    if threads > 1 and len(inputs) == ufunc.nin and len(outputs) == ufunc.nout:
        ranks = [array.ndim - len(core) for array, core in zip(inputs, cores, strict=False)]
        if min(ranks, default=0) >= 0:
            batches = [array.shape[:rank] for array, rank in zip(inputs, ranks, strict=True)]
            batch = np.broadcast_shapes(*batches)
            work = int(np.prod(batch)) * sum(int(np.prod(core)) for core in cores)
            threads = min(threads, work // WORTH, max(batch, default=0))
            if threads > 1 and _separate(inputs, outputs):
                return _split(ufunc, inputs, outputs, cores, batch, threads)
    result = ufunc(*inputs, out=tuple(outputs)) if any(o is not None for o in outputs) else ufunc(*inputs)
    return result if isinstance(result, tuple) else (result,)


def core_shapes(ufunc: np.ufunc) -> tuple[tuple[int, ...], ...]:
    """The fixed core shape of every operand: () for a plain ufunc."""
    return ((),) * ufunc.nargs if ufunc.signature is None else _parse(ufunc.signature)


@cache
def _parse(signature: str) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(int(n) for n in re.findall(r"\d+", core)) for core in re.findall(r"\(([^)]*)\)", signature))


def _separate(inputs: list[np.ndarray], outputs: list[np.ndarray | None]) -> bool:
    given = [array for array in outputs if array is not None]
    return not any(
        np.may_share_memory(array, other) for index, array in enumerate(given) for other in [*inputs, *given[:index]]
    )


def _split(
    ufunc: np.ufunc,
    inputs: list[np.ndarray],
    outputs: list[np.ndarray | None],
    cores: tuple[tuple[int, ...], ...],
    batch: tuple[int, ...],
    threads: int,
) -> tuple[np.ndarray, ...]:
    results = []
    for given, core in zip(outputs, cores[ufunc.nin :], strict=True):
        if given is not None and given.shape != batch + core:
            raise ValueError(f"{ufunc.__name__}: an out array has shape {given.shape}, expected {batch + core}")
        results.append(np.empty(batch + core) if given is None else given)
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

    pending = [_pool().submit(work, start) for start in starts[1:]]
    work(starts[0])
    for future in pending:
        future.result()
    return tuple(results)


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=max(1, (os.cpu_count() or 1)), thread_name_prefix="codegen")


# The threads of a pool do not survive a fork.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)
