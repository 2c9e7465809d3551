"""LLVM IR → native code in this process."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import llvmlite
import llvmlite.binding as llvm

from codegen import cache
from codegen.emit import contracted, emit, emit_driver, emit_modules, emit_program, emit_threaded, lay_out, symbol
from codegen.external import External
from codegen.layout import Layout
from codegen.program import Program
from codegen.target import Target, find, host
from codegen.threaded import Thread, thread

# How code is made. "full": LLVM's optimising code generator. "quick": its fast instruction selection, whose code is
# about 1.4 times slower and is made about 3 times faster. "threaded": a table of compiled steps (threaded.py), ready at
# once. "soonest" is threaded, but quick for programs with external functions, which threaded code calls none of. "auto"
# is full below `THREADED` instructions, where the full tier takes some two seconds; from there, soonest.
TIERS = ("auto", "full", "quick", "threaded", "soonest")
THREADED = 30_000
# Part of the name of cached objects: to be raised when `optimise` changes.
PIPELINE = 2


@dataclass(eq=False)
class Compiled:
    """A program as native code. Addresses stay valid as long as this object lives.

    seconds: time by phase ("emit", "look up", "optimise", "generate", "driver", "link"). objects: the program's
    relocatable object files, several for a long one; they need those of the driver and of rare paths. tier: "full",
    "quick" or "threaded". layout: where its data lives during a call.
    """

    program: Program
    target: Target
    objects: tuple[bytes, ...] = field(repr=False)
    seconds: dict[str, float]
    tier: str
    layout: Layout = field(repr=False)
    _engine: llvm.ExecutionEngine = field(repr=False)
    _table: Thread | None = field(default=None, repr=False)

    @property
    def symbol(self) -> str:
        """Linkage name of the program; its functions are this, and this with "_batch" and "_loop" after it."""
        return symbol(self.program.name)

    @functools.cached_property
    def ir(self) -> str:
        """The whole LLVM IR, before optimisation."""
        return emit(self.program, self.target)

    def address(self, name: str) -> int:
        """Address of one of the functions `codegen.emit.emit` defines, or that `add` added."""
        address = int(self._engine.get_function_address(name))
        if not address:
            known = [self.symbol, f"{self.symbol}_batch", f"{self.symbol}_loop"]
            raise KeyError(f"{self.program.name} has no function {name!r}; it has {', '.join(known)}")
        return address

    def add(self, ir: str) -> None:
        """Link one more module to this one; it may call `@hy.body`, and its functions must have names of their own."""
        self._engine.add_object_file(llvm.ObjectFileRef.from_data(generate(ir, self.target, {})))
        self._engine.finalize_object()

    def assembly(self) -> str:
        """The optimised native code of the program as assembly text, made anew at each call.

        Without what all programs share: the driver, and the rare paths of vector functions.
        """
        machine = self.target.machine()
        machine.set_asm_verbosity(True)
        modules = emit_program(self.program, self.target)
        return "".join(str(machine.emit_assembly(optimise(module, machine))) for module in modules.own)

    def spills(self) -> tuple[int, int]:
        """Registers that the native code puts on the stack for want of others, and takes from there, per vector.

        Counted in the comments of `assembly`, so they take as long. A result that stays in its row is no spill.
        """
        lines = self.assembly().splitlines()
        return sum("-byte Spill" in line for line in lines), sum("Reload" in line for line in lines)


def compile(program: Program, target: Target | str | None = None, *, tier: str = "auto") -> Compiled:
    """Native code of `program`, callable in this process. Every tier gives the same bits.

    tier: "full", "quick", "threaded", "soonest", or "auto": by the length of the program; see `TIERS`.
    Raises ValueError for another tier, or a target this machine cannot run; `codegen.export` writes files for those.
    """
    if tier not in TIERS:
        raise ValueError(f"tier must be one of {', '.join(TIERS)}, got {tier!r}")
    if tier == "auto":
        tier = "full" if len(program.body) < THREADED else "soonest"
    if tier == "soonest":
        tier = "quick" if program.externals else "threaded"
    if tier == "threaded" and program.externals:
        raise ValueError(f"{program.name} calls {program.externals[0].name}; threaded code calls no external functions")
    target = find(target)
    if target.arch != host().arch:
        raise ValueError(f"cannot run code for {target.triple} on {host().triple}; codegen.export writes it to files")
    seconds: dict[str, float] = {}
    table: Thread | None = None
    with _timed(seconds, "emit"):
        if tier == "threaded":
            table = thread(contracted(program, target), target)
            modules, layout = emit_threaded(table), table.layout
        else:
            layout, pieces = lay_out(program, target)
            modules = emit_modules(layout, pieces)
    quick = tier != "full"
    # A table's module names addresses of this process: it is never met again.
    objects = tuple(generate(module, target, seconds, quick=quick, keep=table is None) for module in modules.own)
    with _timed(seconds, "driver"):
        driver = (*driver_objects(target), *(shared_object(module, target) for module in modules.shared))
    with _timed(seconds, "link"):
        engine = link([*driver, *objects], target, program.externals)
    return Compiled(program, target, objects, seconds, tier, layout, engine, table)


def compile_ir(ir: str) -> llvm.ExecutionEngine:
    """Any LLVM IR as native code of this machine, by LLVM's standard passes; from the cache if it was made before."""
    target = host()
    name = cache.key(ir, repr(target), f"{llvmlite.__version__} {llvm.llvm_version_info} standard passes")
    code = cache.load(name)
    if code is None:
        machine = target.machine()
        module = llvm.parse_assembly(ir)
        builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=2))
        builder.getModulePassManager().run(module, builder)
        code = bytes(machine.emit_object(module))
        cache.store(name, code)
    return link([code], target)


@functools.cache
def driver_objects(target: Target) -> tuple[bytes, bytes]:
    """The object files of the driver, generated once per process and target."""
    per_block, per_call = emit_driver(target)
    return generate(per_block, target, {}), generate(per_call, target, {}, quick=True)


@functools.cache
def shared_object(ir: str, target: Target) -> bytes:
    """The object file of a rare path, generated once per process and target."""
    return generate(ir, target, {})


def generate(ir: str, target: Target, seconds: dict[str, float], *, quick: bool = False, keep: bool = True) -> bytes:
    """LLVM IR → relocatable object file, from the cache if it was made before and is worth keeping."""
    with _timed(seconds, "look up"):
        versions = f"{llvmlite.__version__} {llvm.llvm_version_info} {PIPELINE} {quick}"
        name = cache.key(ir, repr(target), versions)
        kept = cache.load(name) if keep else None
    if kept is not None:
        return kept
    machine = target.machine(opt=0 if quick else 2)
    with _timed(seconds, "optimise"):
        module = optimise(ir, machine)
    with _timed(seconds, "generate"):
        made = bytes(machine.emit_object(module))
    if keep:
        cache.store(name, made)
    return made


def optimise(ir: str, machine: llvm.TargetMachine) -> llvm.ModuleRef:
    """Parse IR and inline the vector functions.

    No more is done: the code is in vectors and straight lines already, and on value, gradient and Hessian of a
    Black-Scholes price LLVM's -O1 and -O2 pipelines gained nothing that could be measured, at twice the time.
    """
    module = llvm.parse_assembly(ir)
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=1))
    passes = llvm.create_new_module_pass_manager()
    passes.add_always_inliner_pass()
    passes.add_dead_code_elimination_pass()
    passes.run(module, builder)
    return module


def link(objects: list[bytes], target: Target, externals: Sequence[External] = ()) -> llvm.ExecutionEngine:
    """Load object files into this process. Raises ValueError for an external function that has no address here."""
    name_exceptions()
    for external in externals:
        if external.address is None:
            raise ValueError(f"the external function {external.name} has no address in this process")
        llvm.add_symbol(external.symbol, external.address)
    empty = llvm.parse_assembly(f'target triple = "{target.triple}"')
    engine = llvm.create_mcjit_compiler(empty, target.machine())
    for code in objects:
        engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return engine


@functools.cache
def name_exceptions() -> None:
    """Give native code Python's exceptions, under names of our own.

    CPython's names for them, PyExc_TypeError and the like, are those of pointers to the exceptions; Numba, in the same
    process, gives LLVM the exceptions themselves under these names.
    """
    for kind in (TypeError, ValueError):
        llvm.add_symbol(f"hy.{kind.__name__}", id(kind))


@contextmanager
def _timed(seconds: dict[str, float], phase: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[phase] = seconds.get(phase, 0.0) + time.perf_counter() - start
