"""The LLVM IR of a program for graphics processors: a function of one point, and a kernel over a batch.

The body is that of every other machine, in vectors of one number, so that with a fused multiply-add the bits are those
of a host with one. Each thread computes points a grid apart; where the numbers of a point lie is told by two distances
per array, between points and between elements, so that arrays of structures and structures of arrays both work.
"""

from __future__ import annotations

import re

import llvmlite.binding as llvm

from codegen.body import WHOLE
from codegen.emit import functions_called, triple_line
from codegen.export.gpu_point import MACHINES, Machine, PointPart, attributes, body_of, thread
from codegen.export.gpu_reduce import GpuReduction
from codegen.export.interface import Interface
from codegen.jit import optimise
from codegen.target import Target
from codegen.text import Function

# Bytes of arguments that a kernel can have on every architecture.
PARAMETERS = 4096
POINT = "hy.point"


def gpu_ir(interface: Interface, target: Target) -> str:
    """IR text of `@NAME`, a device function of one point, and of `@NAME_batch`, a kernel.

    `NAME(x…, r…)` takes a pointer per array, whose elements lie side by side in C order. `NAME_batch(n, x, x_point,
    x_element, …)` takes the number of points, and per array its address and two distances counted in numbers, as
    `NAME_strided` of `docs/abi.md` does. Results must not overlap arguments. If the results are reduced, the kernels of
    gpu_reduce.py as well.

    Raises ValueError for a program that calls external functions, which no graphics processor has, or that has more
    arrays than a kernel can be told of, or that has nothing to reduce over.
    """
    program = interface.program
    if program.externals:
        names = ", ".join(external.c_name for external in program.externals)
        raise ValueError(f"{program.name} calls {names}, which {target.triple} does not have: write it without")
    count = len(interface.parameters)
    if 8 + 24 * count > PARAMETERS:
        most = (PARAMETERS - 8) // 24
        raise ValueError(f"{program.name} has {count} arguments and results; a kernel can have {most}: join some")
    if program.name == "WARP_SZ":
        raise ValueError("PTX has a constant called WARP_SZ: take another name")
    machine = MACHINES[target.arch]
    body = body_of(program, target)
    # Two functions call it: a long one is not written twice.
    kind = "alwaysinline nounwind" if len(body.pieces.parts[0]) <= WHOLE else "noinline nounwind"
    head = ", ".join(f"ptr {attributes(interface, k)} %a{k}, i64 %e{k}" for k in range(count))
    point = PointPart(body, f"define internal void @{POINT}({head}) {kind}").write()
    kernels = [_function(interface), _kernel(interface, target, machine)]
    if interface.reduction is not None:
        reducing = GpuReduction(interface, target, machine)
        kernels += reducing.functions()
        body.called.update(dict.fromkeys(reducing.called - set(body.called), 0))
    text = [str(point), functions_called(body).replace(" #0 {", " {"), *map(str, kernels)]
    end = f"attributes #0 = {{ nounwind {machine.attributes} }}\n"
    return tables_moved("\n".join([triple_line(target), *text, end]), machine.tables)


def _function(interface: Interface) -> Function:
    """`@NAME`: one point whose elements lie side by side."""
    count = len(interface.parameters)
    head = ", ".join(f"ptr {attributes(interface, k)} %a{k}" for k in range(count))
    f = Function(f"define void @{interface.name}({head}) nounwind")
    f.do(f"call void @{POINT}({', '.join(f'ptr %a{k}, i64 1' for k in range(count))})")
    f.do("ret void")
    return f


def _kernel(interface: Interface, target: Target, machine: Machine) -> Function:
    """`@NAME_batch`: points n apart by the number of threads, from each thread's own number on."""
    count = len(interface.parameters)
    each = [f"ptr addrspace(1) {attributes(interface, k)} %b{k}, i64 %p{k}, i64 %e{k}" for k in range(count)]
    f = Function(f"define {machine.convention} void @{interface.name}_batch({', '.join(['i64 %n', *each])}) #0")
    bases = [f.let("base", f"addrspacecast ptr addrspace(1) %b{k} to ptr") for k in range(count)]
    first, step = thread(f, target)
    with f.loop("i", first, "%n", step) as i:
        places = []
        for k, base in enumerate(bases):
            distance = f.let("distance", f"mul i64 {i}, %p{k}")
            places.append(f.let("a", f"getelementptr {target.scalar}, ptr {base}, i64 {distance}"))
        f.do(f"call void @{POINT}({', '.join(f'ptr {place}, i64 %e{k}' for k, place in enumerate(places))})")
    f.do("ret void")
    return f


_TABLE = re.compile(r"^(@[\w.]+) = internal unnamed_addr constant ", re.MULTILINE)


def tables_moved(text: str, space: int) -> str:
    """IR text with its constant tables in an address space, and each use of them cast to a plain pointer."""
    names = _TABLE.findall(text)
    text = _TABLE.sub(rf"\1 = internal unnamed_addr addrspace({space}) constant ", text)
    for name in names:
        use = rf"ptr {re.escape(name)}(?![\w.])"
        text = re.sub(use, f"ptr addrspacecast (ptr addrspace({space}) {name} to ptr)", text)
    return text


def gpu_module(ir: str, machine: llvm.TargetMachine, target: Target) -> llvm.ModuleRef:
    """The optimised module. NVIDIA's part of LLVM finds address spaces when it makes code; AMD's needs to be asked."""
    if target.arch == "nvptx64":
        return optimise(ir, machine)
    module = llvm.parse_assembly(ir)
    module.data_layout = str(machine.target_data)
    passes = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=1))
    passes.getModulePassManager().run(module, passes)
    return module


_EXTERN = re.compile(r"^\s*\.extern\s+\.func\s+(?:\([^)]*\)\s*)?([\w$]+)", re.MULTILINE)


def undefined_in_ptx(text: str) -> tuple[str, ...]:
    """Names of the functions that PTX text declares and does not define, sorted."""
    return tuple(sorted(set(_EXTERN.findall(text))))
