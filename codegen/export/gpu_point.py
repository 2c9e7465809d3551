"""One point of a program on a graphics processor, read and written where it lies, and the number of a thread."""

from __future__ import annotations

from dataclasses import dataclass

from codegen.body import Body, Cut, Part
from codegen.emit import contracted
from codegen.export.interface import Interface
from codegen.layout import Layout
from codegen.program import Program
from codegen.schedule import schedule
from codegen.target import Target
from codegen.text import Function

# Threads of a block that AMD kernels have registers for; beyond, the maker's compiler would have to spill.
THREADS = 256


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


def body_of(program: Program, target: Target) -> Body:
    """The body of a program in one piece."""
    layout = Layout(schedule(contracted(program, target)), target, 0)
    numbers = [k for k, step in enumerate(layout.program.body) if step[0] not in ("load", "const")]
    return Body(layout, Cut([numbers], {}, 0))


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
        self.compute()
        self.f.do("ret void")
        return self.f

    def compute(self) -> None:
        for number in self.targets:
            if self.program.body[number][0] in ("load", "const"):
                self.store(number, self.read(number))
        for number in self.body.pieces.parts[0]:
            if number not in self.values:
                self.define(number)
            self.store(number, self.values[number])

    def place(self, operand: int, element: int) -> str:
        """The address of an element of an argument or result."""
        if not element:
            return self.base(operand)
        distance = f"%e{operand}" if element == 1 else self.f.let("far", f"mul i64 %e{operand}, {element}")
        return self.f.at(self.base(operand), distance, self.body.scalar)

    def base(self, operand: int) -> str:
        """The address of its first element."""
        return f"%a{operand}"

    def load(self, number: int, argument: int, element: int) -> str:
        return self.f.load(f"x{argument}.{element}", self.body.scalar, self.place(argument, element))

    def store(self, number: int, value: str) -> None:
        for operand, element in self.targets.get(number, ()):
            self.f.store(self.body.scalar, value, self.place(operand, element))


def attributes(interface: Interface, place: int) -> str:
    """Of a pointer: results overlap nothing."""
    return "noalias writeonly" if interface.parameters[place].is_result else "noalias readonly"


def thread(f: Function, target: Target) -> tuple[str, str]:
    """The number of this thread in the grid, and how many there are."""
    return (_cuda_thread if target.arch == "nvptx64" else _amd_thread)(f)


def _cuda_thread(f: Function) -> tuple[str, str]:
    words = {
        name: f.let(name, f"zext i32 {f.let(name, f'call i32 @llvm.nvvm.read.ptx.sreg.{name}.x()')} to i64")
        for name in ("tid", "ctaid", "ntid", "nctaid")
    }
    before = f.let("before", f"mul i64 {words['ctaid']}, {words['ntid']}")
    first = f.let("first", f"add i64 {before}, {words['tid']}")
    return first, f.let("threads", f"mul i64 {words['nctaid']}, {words['ntid']}")


def _amd_thread(f: Function) -> tuple[str, str]:
    """From the packet that launched the kernel: workgroup_size_x at byte 4, grid_size_x at byte 12."""
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
