"""Programs mapped over index spaces whose lengths are known when arrays are bound: rolled code.

The stages, in order:

    form.py         what to compute, as plain data: buffers, blocks, reads, writes
    interpret.py    what that means, by NumPy
    concrete.py     with the sizes and indices of one binding: integers, checked
    lay.py, spread.py, segments.py, nest.py
                    loop nests, and segmented sums for what adds through an index
    emit.py, places.py, stores.py, lanes.py, accumulators.py, stages.py
                    these as LLVM IR
    records.py      all that as words
    native.py, code.py, batch.py, fixed.py
                    native code, called with arrays; at many points; on fixed arrays
"""

from codegen.blocks.batch import run_batch
from codegen.blocks.code import Bound, RolledCode, compile_blocks
from codegen.blocks.fixed import Part, fixed
from codegen.blocks.form import (
    Affine,
    Block,
    Blocks,
    Buffer,
    Counter,
    Length,
    Place,
    Read,
    Size,
    Write,
    add,
    affine,
    counter,
    gathered,
    reduce,
    size,
    store,
)
from codegen.blocks.interpret import interpret

__all__ = [
    "Affine",
    "Block",
    "Blocks",
    "Bound",
    "Buffer",
    "Counter",
    "Length",
    "Part",
    "Place",
    "Read",
    "RolledCode",
    "Size",
    "Write",
    "add",
    "affine",
    "compile_blocks",
    "counter",
    "fixed",
    "gathered",
    "interpret",
    "reduce",
    "run_batch",
    "size",
    "store",
]
