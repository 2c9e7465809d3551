"""The LLVM IR of a program for graphics processors: a function of one point, and a kernel over a batch.

The body is that of every other machine, in vectors of one number, so that with a fused multiply-add the bits are those
of a host with one. Each thread computes points a grid apart; where the numbers of a point lie is told by two distances
per array, between points and between elements, so that arrays of structures and structures of arrays both work.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import llvmlite.binding as llvm

from codegen.body import WHOLE, Body, Cut, Part
from codegen.emit import contracted, functions_called, triple_line
from codegen.export.interface import Interface
from codegen.jit import optimise
from codegen.layout import Layout
from codegen.schedule import schedule
from codegen.target import Target
from codegen.text import Function

# Threads of a block that AMD kernels have registers for; beyond, the maker's compiler would have to spill.
THREADS = 256
# Bytes of arguments that a kernel can have on every architecture.
PARAMETERS = 4096
POINT = "hy.point"


@dataclass(frozen=True)
class Machine:
    """What differs between makers: the convention and attributes of kernels, and the address space of tables."""

    convention: str
    tables: int
    attributes: str


MACHINES = {
    "nvptx64": Machine("ptx_kernel", 1, ""),
    "amdgcn": Machine("amdgpu_kernel", 4, f'"amdgpu-flat-work-group-size"="1,{THREADS}"'),
}


class PointPart(Part):
    """The whole body for one point, read and written where it lies."""

    def __init__(self, body: Body, head: str) -> None:
        super().__init__(body, 0, "internal")
        self.f = Function(head)
        self.targets: dict[int, list[tuple[int, int]]] = {}
        for result, values in enumerate(self.program.outputs):
            for element, value in enumerate(values):
                place = len(self.program.arguments) + result
                self.targets.setdefault(value, []).append((place, element))

    def write(self) -> Function:
        for number in self.targets:
            if self.program.body[number][0] in ("load", "const"):
                self.store(number, self.read(number))
        for number in self.body.pieces.parts[0]:
            if number not in self.values:
                self.define(number)
            self.store(number, self.values[number])
        self.f.do("ret void")
        return self.f

    def place(self, operand: int, element: int) -> str:
        """The address of an element of an argument or result."""
        if not element:
            return f"%a{operand}"
        distance = f"%e{operand}" if element == 1 else self.f.let("far", f"mul i64 %e{operand}, {element}")
        return self.f.at(f"%a{operand}", distance, self.body.scalar)

    def load(self, number: int, argument: int, element: int) -> str:
        return self.f.load(f"x{argument}.{element}", self.body.scalar, self.place(argument, element))

    def store(self, number: int, value: str) -> None:
        for operand, element in self.targets.get(number, ()):
            self.f.store(self.body.scalar, value, self.place(operand, element))


def gpu_ir(interface: Interface, target: Target) -> str:
    """IR text of `@NAME`, a device function of one point, and of `@NAME_batch`, a kernel.

    `NAME(x…, r…)` takes a pointer per array, whose elements lie side by side in C order. `NAME_batch(n, x, x_point,
    x_element, …)` takes the number of points, and per array its address and two distances counted in numbers, as
    `NAME_strided` of `docs/abi.md` does. Results must not overlap arguments.

    Raises ValueError for a program that calls external functions, which no graphics processor has, or that has more
    arrays than a kernel can be told of.
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
    layout = Layout(schedule(contracted(program, target)), target, 0)
    numbers = [k for k, step in enumerate(layout.program.body) if step[0] not in ("load", "const")]
    body = Body(layout, Cut([numbers], {}, 0))
    # Two functions call it: a long one is not written twice.
    kind = "alwaysinline nounwind" if len(numbers) <= WHOLE else "noinline nounwind"
    head = ", ".join(f"ptr {_attributes(interface, k)} %a{k}, i64 %e{k}" for k in range(count))
    point = PointPart(body, f"define internal void @{POINT}({head}) {kind}").write()
    functions = functions_called(body).replace(" #0 {", " {")
    text = [str(point), functions, str(_function(interface)), str(_kernel(interface, target, machine))]
    end = f"attributes #0 = {{ nounwind {machine.attributes} }}\n"
    return tables_moved("\n".join([triple_line(target), *text, end]), machine.tables)


def _attributes(interface: Interface, place: int) -> str:
    return "noalias writeonly" if interface.parameters[place].is_result else "noalias readonly"


def _function(interface: Interface) -> Function:
    """`@NAME`: one point whose elements lie side by side."""
    count = len(interface.parameters)
    head = ", ".join(f"ptr {_attributes(interface, k)} %a{k}" for k in range(count))
    f = Function(f"define void @{interface.name}({head}) nounwind")
    f.do(f"call void @{POINT}({', '.join(f'ptr %a{k}, i64 1' for k in range(count))})")
    f.do("ret void")
    return f


def _kernel(interface: Interface, target: Target, machine: Machine) -> Function:
    """`@NAME_batch`: points n apart by the number of threads, from each thread's own number on."""
    count = len(interface.parameters)
    each = [f"ptr addrspace(1) {_attributes(interface, k)} %b{k}, i64 %p{k}, i64 %e{k}" for k in range(count)]
    f = Function(f"define {machine.convention} void @{interface.name}_batch({', '.join(['i64 %n', *each])}) #0")
    bases = [f.let("base", f"addrspacecast ptr addrspace(1) %b{k} to ptr") for k in range(count)]
    first, step = (_cuda_thread if target.arch == "nvptx64" else _amd_thread)(f)
    with f.loop("i", first, "%n", step) as i:
        places = []
        for k, base in enumerate(bases):
            distance = f.let("distance", f"mul i64 {i}, %p{k}")
            places.append(f.let("a", f"getelementptr {target.scalar}, ptr {base}, i64 {distance}"))
        f.do(f"call void @{POINT}({', '.join(f'ptr {place}, i64 %e{k}' for k, place in enumerate(places))})")
    f.do("ret void")
    return f


def _cuda_thread(f: Function) -> tuple[str, str]:
    """The number of this thread in the grid, and how many there are."""
    words = {
        name: f.let(name, f"zext i32 {f.let(name, f'call i32 @llvm.nvvm.read.ptx.sreg.{name}.x()')} to i64")
        for name in ("tid", "ctaid", "ntid", "nctaid")
    }
    before = f.let("before", f"mul i64 {words['ctaid']}, {words['ntid']}")
    first = f.let("first", f"add i64 {before}, {words['tid']}")
    return first, f.let("threads", f"mul i64 {words['nctaid']}, {words['ntid']}")


def _amd_thread(f: Function) -> tuple[str, str]:
    """The same from the packet that launched the kernel: workgroup_size_x at byte 4, grid_size_x at byte 12."""
    packet = f.let("packet", "call ptr addrspace(4) @llvm.amdgcn.dispatch.ptr()")
    found = {}
    for name, kind, byte in (("size", "i16", 4), ("grid", "i32", 12)):
        place = f.let(name, f"getelementptr i8, ptr addrspace(4) {packet}, i64 {byte}")
        found[name] = f.let(name, f"load {kind}, ptr addrspace(4) {place}, align {2 if kind == 'i16' else 4}")
        found[name] = f.let(name, f"zext {kind} {found[name]} to i64")
    item = f.let("item", f"zext i32 {f.let('item', 'call i32 @llvm.amdgcn.workitem.id.x()')} to i64")
    group = f.let("group", f"zext i32 {f.let('group', 'call i32 @llvm.amdgcn.workgroup.id.x()')} to i64")
    before = f.let("before", f"mul i64 {group}, {found['size']}")
    return f.let("first", f"add i64 {before}, {item}"), found["grid"]


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
