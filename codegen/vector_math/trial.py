"""Runs vector functions over arrays, in this process: for tests and benchmarks."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable
from dataclasses import replace

import llvmlite.binding as llvm
import numpy as np
from numpy.typing import NDArray

from codegen.target import Target, host
from codegen.vector_math import FUNCTIONS, define

Array = NDArray[np.floating]


def shape_of(name: str) -> tuple[int, int]:
    """How many arguments and results a function has; polygamma of one order ("polygamma.2") has one argument."""
    row = FUNCTIONS[name.partition(".")[0]]
    return (1 if "." in name else row.arity), row.results


SCALARS = {"float64": ("double", 8), "float32": ("float", 4)}


def lanes(target: Target, dtype: str) -> int:
    """As many float64 as the target's width says, twice as many float32 (but one for one)."""
    return target.width if dtype == "float64" or target.width == 1 else 2 * target.width


def loop(name: str, target: Target, dtype: str = "float64") -> str:
    """IR of `void @loop_NAME(i64 n, ptr x0, …, ptr r0, …)` over contiguous arrays, n a positive multiple of the
    width."""
    arity, results = shape_of(name)
    scalar, align = SCALARS[dtype]
    width = lanes(target, dtype)
    typ = scalar if width == 1 else f"<{width} x {scalar}>"
    result = typ if results == 1 else "{ " + ", ".join([typ] * results) + " }"
    pointers = [f"x{i}" for i in range(arity)] + [f"r{i}" for i in range(results)]
    parameters = ", ".join(f"ptr noalias %{p}" for p in pointers)
    lines = [
        f"define void @loop_{name}(i64 %times, i64 %n, {parameters}) {target.attributes} {{",
        "entry:\n  br label %again",
        "again:\n  %round = phi i64 [ 0, %entry ], [ %next.round, %done ]\n  br label %body",
        "body:\n  %i = phi i64 [ 0, %again ], [ %next, %end ]",
    ]
    lines += [f"  %p.{p} = getelementptr {scalar}, ptr %{p}, i64 %i" for p in pointers]
    lines += [f"  %a{i} = load {typ}, ptr %p.x{i}, align {align}" for i in range(arity)]
    lines.append(f"  %y = call {result} @hy.{name}({', '.join(f'{typ} %a{i}' for i in range(arity))})")
    if results == 1:
        lines.append(f"  store {typ} %y, ptr %p.r0, align {align}")
    else:
        for i in range(results):
            lines += [f"  %y{i} = extractvalue {result} %y, {i}", f"  store {typ} %y{i}, ptr %p.r{i}, align {align}"]
    lines += [
        "  br label %end\nend:",
        f"  %next = add i64 %i, {width}",
        "  %more = icmp ult i64 %next, %n",
        "  br i1 %more, label %body, label %done",
        "done:\n  %next.round = add i64 %round, 1",
        "  %another = icmp ult i64 %next.round, %times",
        "  br i1 %another, label %again, label %leave",
        "leave:\n  ret void\n}\n",
    ]
    return "\n".join(lines)


def ir_of(names: list[str], target: Target, dtype: str) -> str:
    """The functions and `loop` of each."""
    width = lanes(target, dtype)
    text = define(names, width=width, fma=target.fma, dtype=dtype, avx512=target.avx512)
    return text + "".join(loop(name, target, dtype) for name in names)


def optimised(ir: str, target: Target) -> tuple[llvm.ModuleRef, llvm.TargetMachine]:
    """The module at LLVM's -O2, and what turns it into code."""
    machine = target.machine(opt=3)
    module = llvm.parse_assembly(ir)
    module.verify()
    module.triple, module.data_layout = target.triple, str(machine.target_data)
    passes = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=2))
    passes.getModulePassManager().run(module, passes)
    return module, machine


def object_code(names: Iterable[str], target: Target, dtype: str = "float64") -> bytes:
    """A relocatable object file with the array loops of some functions, for any target."""
    module, machine = optimised(ir_of(list(names), target, dtype), target)
    return bytes(machine.emit_object(module))


class Trial:
    """Compiled array loops of some vector functions; `trial(name, x, …)` gives the result array, or a tuple of them.

    `width` and `fma` replace those of the target, by default this machine.
    """

    def __init__(
        self,
        names: Iterable[str],
        *,
        target: Target | None = None,
        width: int | None = None,
        fma: bool | None = None,
        dtype: str = "float64",
    ) -> None:
        base = target or host()
        self.target = replace(base, width=base.width if width is None else width, fma=base.fma if fma is None else fma)
        self.dtype = np.dtype(dtype)
        self.lanes = lanes(self.target, dtype)
        module, machine = optimised(ir_of(list(names), self.target, dtype), self.target)
        self.assembly = machine.emit_assembly(module)
        self._engine = llvm.create_mcjit_compiler(module, machine)
        self._engine.finalize_object()

    def function(self, name: str) -> Callable[..., None]:
        """The native loop: takes how often to run, n, and the addresses of the arguments and results."""
        pointers = [ctypes.c_void_p] * sum(shape_of(name))
        prototype = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64, *pointers)
        return prototype(self._engine.get_function_address(f"loop_{name}"))

    def __call__(self, name: str, *arguments: Array) -> Array | tuple[Array, ...]:
        size = arguments[0].size
        padded = -(-size // self.lanes) * self.lanes
        inputs = [np.resize(np.ascontiguousarray(a, dtype=self.dtype), padded) for a in arguments]
        outputs = [np.empty(padded, dtype=self.dtype) for _ in range(shape_of(name)[1])]
        self.function(name)(1, padded, *(a.ctypes.data for a in [*inputs, *outputs]))
        shaped = tuple(output[:size].reshape(arguments[0].shape) for output in outputs)
        return shaped[0] if len(shaped) == 1 else shaped
