"""Runs one vector function over arrays, in this process: for tests, benchmarks and derivations."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable

import llvmlite.binding as llvm
import numpy as np
from numpy.typing import NDArray

from codegen.vector_math import FUNCTIONS, define
from codegen.vector_math.ir import FORMATS

Array = NDArray[np.floating]


def loop(name: str, width: int, dtype: str = "float64") -> str:
    """IR of `void @loop_NAME(i64 n, ptr x0, …, ptr r0, …)` over contiguous arrays, n a positive multiple of the
    width."""
    row = FUNCTIONS[name.partition(".")[0]]
    arity = 1 if name.startswith("polygamma.") else row.arity
    scalar = FORMATS[dtype].real
    typ = scalar if width == 1 else f"<{width} x {scalar}>"
    result = typ if row.results == 1 else "{ " + ", ".join([typ] * row.results) + " }"
    pointers = [f"%x{i}" for i in range(arity)] + [f"%r{i}" for i in range(row.results)]
    lines = [
        f"define void @loop_{name}(i64 %n, {', '.join(f'ptr noalias {p}' for p in pointers)}) {{",
        "entry:\n  br label %body",
        "body:\n  %i = phi i64 [ 0, %entry ], [ %next, %body.end ]",
    ]
    for p in pointers:
        lines.append(f"  %p.{p[1:]} = getelementptr {scalar}, ptr {p}, i64 %i")
    for i in range(arity):
        lines.append(f"  %a{i} = load {typ}, ptr %p.x{i}, align {FORMATS[dtype].bits // 8}")
    lines.append(f"  %y = call {result} @hy.{name}({', '.join(f'{typ} %a{i}' for i in range(arity))})")
    for i in range(row.results):
        value = "%y"
        if row.results > 1:
            value = f"%y{i}"
            lines.append(f"  {value} = extractvalue {result} %y, {i}")
        lines.append(f"  store {typ} {value}, ptr %p.r{i}, align {FORMATS[dtype].bits // 8}")
    lines += [
        "  br label %body.end\nbody.end:",
        f"  %next = add i64 %i, {width}",
        "  %more = icmp ult i64 %next, %n",
        "  br i1 %more, label %body, label %done",
        "done:\n  ret void\n}\n",
    ]
    return "\n".join(lines)


class Trial:
    """Compiled array loops of some vector functions; `trial(name, x, …)` gives the result array (or the arrays)."""

    def __init__(
        self, names: Iterable[str], width: int, *, fma: bool, dtype: str = "float64", cpu: str | None = None
    ) -> None:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        self.width, self.dtype = width, np.dtype(dtype)
        names = list(names)
        self.ir = define(names, width=width, fma=fma, dtype=dtype) + "".join(loop(name, width, dtype) for name in names)
        module = llvm.parse_assembly(self.ir)
        module.verify()
        target = llvm.Target.from_default_triple()
        features = llvm.get_host_cpu_features().flatten() if cpu is None else ""
        machine = target.create_target_machine(cpu=cpu or llvm.get_host_cpu_name(), features=features, opt=3, jit=True)
        options = llvm.create_pipeline_tuning_options(speed_level=2)
        passes = llvm.create_pass_builder(machine, options)
        passes.getModulePassManager().run(module, passes)
        self.assembly = machine.emit_assembly(module)
        self._engine = llvm.create_mcjit_compiler(module, machine)
        self._engine.finalize_object()

    def function(self, name: str) -> Callable[..., None]:
        """The native loop: takes n and the addresses of arguments and results."""
        row = FUNCTIONS[name.partition(".")[0]]
        arity = 1 if name.startswith("polygamma.") else row.arity
        pointers = [ctypes.c_void_p] * (arity + row.results)
        prototype = ctypes.CFUNCTYPE(None, ctypes.c_int64, *pointers)
        return prototype(self._engine.get_function_address(f"loop_{name}"))

    def __call__(self, name: str, *arguments: Array) -> Array | tuple[Array, ...]:
        size = arguments[0].size
        padded = -(-size // self.width) * self.width
        inputs = [np.resize(np.ascontiguousarray(a, dtype=self.dtype), padded) for a in arguments]
        outputs = [np.empty(padded, dtype=self.dtype) for _ in range(FUNCTIONS[name.partition(".")[0]].results)]
        self.function(name)(padded, *(a.ctypes.data for a in [*inputs, *outputs]))
        shaped = tuple(output[:size].reshape(arguments[0].shape) for output in outputs)
        return shaped[0] if len(shaped) == 1 else shaped
