"""Nests → native code in this process: made once per text, kept on disk, linked with what all blocks share."""

from __future__ import annotations

import functools
import hashlib
import time
import weakref
from dataclasses import replace

import llvmlite
import llvmlite.binding as llvm

from codegen import cache
from codegen.blocks.emit import emit_nest
from codegen.blocks.nest import Nest
from codegen.blocks.stages import emit_finish, emit_finish_exponential, emit_shared
from codegen.external import External
from codegen.jit import link
from codegen.program import Program
from codegen.target import Target

# Part of the name of cached objects: to be raised when `optimised` changes.
PIPELINE = "blocks 1"


def symbol(nest: Nest, body: Program, element: str) -> str:
    """A name that two nests share only if they are the same code."""
    text = repr((nest, body.body, body.outputs, [external.symbol for external in body.externals], element))
    return f"hy.nest.{hashlib.sha256(text.encode()).hexdigest()[:20]}"


def optimised(ir: str, machine: llvm.TargetMachine) -> llvm.ModuleRef:
    """Parse IR, inline the vector functions, and keep what is in memory of a function's own in registers."""
    module = llvm.parse_assembly(ir)
    module.verify()
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=1))
    passes = llvm.create_new_module_pass_manager()
    passes.add_always_inliner_pass()
    passes.add_sroa_pass()
    passes.add_dead_code_elimination_pass()
    passes.run(module, builder)
    return module


@functools.lru_cache(maxsize=256)
def object_of(ir: str, target: Target, quick: bool) -> bytes:
    """The object file of a module."""
    name = cache.key(ir, repr(target), f"{llvmlite.__version__} {llvm.llvm_version_info} {PIPELINE} {quick}")
    code = cache.load(name)
    if code is None:
        machine = target.machine(opt=0 if quick else 2)
        code = bytes(machine.emit_object(optimised(ir, machine)))
        cache.store(name, code)
    return code


def assembly(ir: str, target: Target) -> str:
    machine = target.machine()
    return str(machine.emit_assembly(optimised(ir, machine)))


@functools.cache
def shared_objects(target: Target, reducing: frozenset[int]) -> tuple[bytes, ...]:
    """What all blocks share, and what nests of some widths do that reduce their lane axis."""
    objects = [object_of(emit_shared(target), target, False)]
    for width in sorted(reducing):
        narrow = replace(target, width=width)
        objects.append(object_of(emit_finish(narrow), target, False))
        objects.append(object_of(emit_finish_exponential(narrow), target, True))
    return tuple(objects)


class Linked:
    """Nests as native code. Addresses are valid as long as this object lives. seconds: to emit, to make, to link."""

    def __init__(self, nests: dict[str, tuple[Nest, Program]], target: Target, quick: bool) -> None:
        start = time.perf_counter()
        self.target, self.quick = target, quick
        self.modules = {name: emit_nest(nest, body, target, name) for name, (nest, body) in nests.items()}
        emitted = time.perf_counter()
        objects = [object_of(ir, target, quick) for ir in self.modules.values()]
        reducing = frozenset(nest.width for nest, _ in nests.values() if nest.lane_reduced)
        objects += shared_objects(target, reducing)
        made = time.perf_counter()
        externals: dict[str, External] = {e.symbol: e for _, body in nests.values() for e in body.externals}
        self._engine = link(objects, target, list(externals.values()))
        self.seconds = {"emit": emitted - start, "generate": made - emitted, "link": time.perf_counter() - made}

    @property
    def key(self) -> tuple[tuple[str, ...], Target, bool]:
        return tuple(self.modules), self.target, self.quick

    def address(self, name: str) -> int:
        return int(self._engine.get_function_address(name))


_known: weakref.WeakValueDictionary[tuple[tuple[str, ...], Target, bool], Linked] = weakref.WeakValueDictionary()


def linked(nests: dict[str, tuple[Nest, Program]], target: Target, quick: bool) -> Linked:
    """Nests by `symbol` as native code; the same object as long as one that was made before is in use."""
    externals = any(body.externals for _, body in nests.values())
    found = None if externals else _known.get((tuple(nests), target, quick))
    if found is None:
        found = Linked(nests, target, quick)
        if not externals:
            _known[found.key] = found
    return found
