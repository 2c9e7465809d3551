"""Programs mapped over index spaces whose lengths are known when arrays are bound: rolled code.

The stages, in order:

    form.py         what to compute, as plain data: buffers, blocks, reads, writes
    interpret.py    what that means, by NumPy
"""

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
    "Buffer",
    "Counter",
    "Length",
    "Place",
    "Read",
    "Size",
    "Write",
    "add",
    "affine",
    "counter",
    "gathered",
    "interpret",
    "reduce",
    "size",
    "store",
]
