"""Reductions over the points of a call as native code: compiled, run over threads, and put together from chunks."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from numpy.typing import NDArray

from codegen.accumulate import Accumulation
from codegen.body import Body, cut, part_head
from codegen.contract import contract
from codegen.driver import RUN, description, table
from codegen.emit import PARTS_PER_MODULE, declared, ending, functions_called, symbol, triple_line
from codegen.jit import Compiled, compile, driver_objects, generate, link
from codegen.place import HEADER
from codegen.program import Program
from codegen.reduction import CHUNK, KINDS, Plan, ReductionLayout, plan, uniform_part
from codegen.target import Target, host
from codegen.threads import default_threads, pool

Reals = NDArray[np.float64]

# Instructions (times points) per thread below which sharing costs more than it gains: some tenth of a millisecond.
WORTH = 1 << 20


@dataclass(eq=False)
class Reducer:
    """A program reduced over points, for one choice of the arguments that are the same at all of them.

    Made by `compile_reduction`. `seconds` is compile time by phase.
    """

    program: Program
    kinds: tuple[str, ...]
    plan: Plan
    layout: ReductionLayout
    uniform: Compiled | None
    modules: tuple[str, ...] = field(repr=False)
    seconds: dict[str, float]
    _engine: llvm.ExecutionEngine = field(repr=False)

    def __call__(self, arrays: Sequence[Reals], threads: int | None = None) -> list[Reals]:
        """`results(partials(arrays, threads))`."""
        return self.results(self.partials(arrays, threads))

    def partials(self, arrays: Sequence[Reals], threads: int | None = None) -> Reals:
        """What each `CHUNK` of points leaves, one row per chunk. Rows of further points may be put behind them.

        arrays: one float64 array per argument of the program, of the argument's shape if it is shared, else of shape
        (n,) + the argument's, at least one of them; n may be 0. Strides are free.
        """
        numbers = range(len(self.program.arguments))
        n = next(len(arrays[k]) for k in numbers if k not in self.plan.shared)
        operands = [
            np.require(array, np.float64, ["A", "C"] if k in self.plan.shared else ["A"])
            for k, array in enumerate(arrays)
        ]
        if self.uniform is not None:
            operands.append(self._uniform(operands))
        chunks = -(-n // CHUNK)
        partials = np.empty((chunks, self.layout.partial))
        worth = 1 + n * len(self.layout.program.body) // WORTH
        threads = min(threads or default_threads(), chunks, worth)
        cuts = [chunks * part // max(threads, 1) for part in range(threads + 1)]
        runs = [(first, last) for first, last in pairwise(cuts) if last > first]
        pending = [pool().submit(self._run, operands, n, first, last, partials) for first, last in runs[1:]]
        if runs:
            self._run(operands, n, *runs[0], partials)
        for future in pending:
            future.result()
        return partials

    def _uniform(self, operands: Sequence[Reals]) -> Reals:
        """What depends on shared arguments alone."""
        assert self.uniform is not None  # the caller has looked
        table = np.empty(self.layout.program.arguments[-1].size)
        unread = np.zeros(max(argument.size for argument in self.program.arguments))
        inputs = [array if k in self.plan.shared else unread for k, array in enumerate(operands)]
        prototype = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * (len(inputs) + 1))
        prototype(self.uniform.address(self.uniform.symbol))(*[array.ctypes.data for array in [*inputs, table]])
        return table

    def _run(self, operands: Sequence[Reals], n: int, first: int, last: int, partials: Reals) -> None:
        """Chunks `first` to `last`, into their rows of `partials`."""
        scratch = np.empty(self.layout.scratch + 8)
        aligned = scratch.ctypes.data + 63 & -64
        args = (ctypes.c_void_p * len(operands))(*[array.ctypes.data for array in operands])
        steps = [0 if k in self.plan.shared else array.strides[0] for k, array in enumerate(operands)]
        core = [
            stride for k, array in enumerate(operands) for stride in array.strides[0 if k in self.plan.shared else 1 :]
        ]
        # One step more, for the factors: to the driver they are a result.
        every = (ctypes.c_int64 * (len(steps) + 1 + len(core)))(*steps, 0, *core)
        self._function(first, last, n, args, every, aligned, partials[first:].ctypes.data)

    @cached_property
    def _function(self) -> Any:
        kinds = [ctypes.c_int64] * 3 + [ctypes.c_void_p] * 4
        address = self._engine.get_function_address(f"{symbol(self.program.name)}_reduce")
        return ctypes.CFUNCTYPE(None, *kinds)(address)

    def results(self, partials: Reals) -> list[Reals]:
        """Chunks put together, in their order.

        Per result an array of the result's shape: for "sum" two numbers on a further last axis, whose sum is the result
        to more than float64's precision. Of no points a sum is 0, a log-sum-exp and a maximum −inf.
        """
        layout, width = self.layout, self.layout.target.width
        sums, maxima, exponentials = layout.sums, layout.maxima, layout.exponentials
        cuts = [2 * sums, 2 * sums + width * maxima]
        by_kind: dict[str, Reals] = {}
        if sums:
            by_kind["sum"] = _add_up(partials[:, : cuts[0]].reshape(len(partials), sums, 2))
        if maxima:
            lanes = partials[:, cuts[0] : cuts[1]].reshape(len(partials), maxima, width)
            by_kind["max"] = lanes.max(axis=(0, 2), initial=-np.inf)
        if exponentials:
            by_kind["logsumexp"] = _log_sum(partials[:, cuts[1] :].reshape(len(partials), exponentials, 3, width))
        # Terms of all results are kept by kind, in order: each result is a run of its kind's.
        at = dict.fromkeys(KINDS, 0)
        results = []
        for array, kind in zip(self.program.results, self.kinds, strict=True):
            start = at[kind]
            at[kind] += array.size
            found = by_kind[kind][start : start + array.size]
            results.append(found.reshape(array.shape + found.shape[1:]))
        return results


def compile_reduction(
    program: Program, kinds: Sequence[str], shared: Sequence[int] = (), target: Target | None = None
) -> Reducer:
    """Native code that reduces each result of `program` over the points of a call, by one of `KINDS` per result.

    The arguments whose numbers are in `shared` are the same at every point. Raises ValueError for an unknown kind, and
    if no argument is left that varies, or an argument or result is empty.
    """
    target = target or host()
    if target.element != "float64":
        raise ValueError(f"{program.name}: reductions are computed in float64, got a target of {target.element}")
    if not set(range(len(program.arguments))) - set(shared):
        raise ValueError(f"{program.name}: all arguments are shared, so there is nothing to reduce over")
    if any(array.size == 0 for array in (*program.arguments, *program.results)):
        raise ValueError(f"{program.name}: arguments and results of a reduction must not be empty")
    seconds: dict[str, float] = {}
    contracted = contract(program) if target.fma else program
    first, rest = uniform_part(contracted, shared)
    every_shared = [*shared, *([len(program.arguments)] if first is not None else [])]
    planned = plan(rest, kinds, every_shared, fma=target.fma)
    layout, modules = emit_reduction(planned, target)
    objects = [generate(module, target, seconds) for module in modules]
    engine = link([*driver_objects(target), *objects], target, program.externals)
    uniform = None if first is None else compile(first, target)
    return Reducer(program, tuple(kinds), planned, layout, uniform, tuple(modules), seconds, engine)


def emit_reduction(planned: Plan, target: Target) -> tuple[ReductionLayout, list[str]]:
    """The layout of a reduction and its LLVM modules, which need the driver's; several if it is long."""
    program = planned.body
    pieces = cut(program)
    layout = planned.layout(target, pieces.spills)
    body = Body(layout, pieces)
    count = len(pieces.parts)
    start = [triple_line(target), *declared(body), table("hy.description", _description(layout, count))]
    functions = Accumulation(body, planned, layout).functions(symbol(program.name))
    texts = [*start, *map(str, functions)]
    own = range(count if count <= PARTS_PER_MODULE else 0)
    texts += [str(body.part(index)) for index in own]
    texts += [f"declare {part_head(index, '')}\n" for index in range(len(own), count)]
    texts += [f"declare {RUN}\ndeclare void @hy.copy(ptr noalias, ptr noalias, i64)\n"]
    modules = ["\n".join([*texts, functions_called(body), ending(target)])]
    for part in range(len(own), count, PARTS_PER_MODULE):
        body.called.clear()
        numbers = range(part, min(count, part + PARTS_PER_MODULE))
        parts = [str(body.part(index, "dso_local")) for index in numbers]
        modules.append(
            "\n".join([triple_line(target), *declared(body), *parts, functions_called(body), ending(target)])
        )
    return layout, modules


def _description(layout: ReductionLayout, parts: int) -> list[int]:
    """As for a kernel, but without results: none leave the rows."""
    words = description(layout, parts > 1)
    words[HEADER.index("operands")] = len(layout.inputs)
    words[HEADER.index("outputs")] = 0
    return words


def _add_up(partials: Reals) -> Reals:
    """(chunks, k, 2) high and low parts → (k, 2), by halves, in double-double arithmetic."""
    if not len(partials):
        return np.zeros(partials.shape[1:])
    high, low = partials[..., 0], partials[..., 1]
    with np.errstate(all="ignore"):
        while len(high) > 1:
            even = len(high) & ~1
            a, b = high[:even:2], high[1:even:2]
            total = a + b
            part = total - a
            error = (a - (total - part)) + (b - part) + (low[:even:2] + low[1:even:2])
            high, low = np.concatenate([total, high[even:]]), np.concatenate([error, low[even:]])
    # Where the sum is infinite or NaN the error is NaN, and means nothing.
    return np.stack([high[0], np.where(np.isfinite(high[0]), low[0], 0.0)], axis=-1)


def _log_sum(partials: Reals) -> Reals:
    """(chunks, k, 3, lanes) of largest, high, low → (k,) logarithms."""
    largest, high, low = np.moveaxis(partials, 2, 0)
    with np.errstate(all="ignore"):
        top = largest.max(axis=(0, 2), initial=-np.inf)
        shift = np.where(np.isfinite(top), top, 0.0)
        weights = np.exp(largest - shift[:, None])
        parts = np.stack([high * weights, np.where(np.isfinite(high), low, 0.0) * weights], axis=-1)
        lanes = np.moveaxis(parts, 2, 1)
        total = _add_up(lanes.reshape(parts.shape[0] * parts.shape[2], parts.shape[1], 2)).sum(axis=-1)
        logarithms: Reals = np.log(total) + shift
    return logarithms
