"""Straight-line programs → vectorised native code. Knows nothing of symbols or derivatives and is useful alone.

The stages, in order:

    program.py      what to compute: instructions, arguments, results; plain data
    contract.py     passes on the program: dead instructions go, products are fused into sums
    schedule.py     the order of the instructions: few values alive
    body.py         the program as vector IR, cut into parts where it is long
    vector_math/    exp, log, sin … as vector IR
    layout.py, moves.py, driver.py
                    the loop over points: blocks, rows, transposes, streaming stores
    reduction.py, accumulate.py, reducer.py
                    reductions over the points instead of a result for each
    blocks/         programs mapped over index spaces of any length, with indices, sums, reductions and recurrences
    emit.py         all of it as one LLVM module for one target (target.py)
    rare.py         what seldom runs as modules that programs share
    threaded.py     a long program as a table that compiled steps walk through
    jit.py, cache.py
                    LLVM module → native code in this process; objects kept on disk
    binding.py, threads.py
                    native code → NumPy ufunc or gufunc; large batches over threads
    call.py, bound.py, callbacks.py
                    native code → builtin for one point, for fixed arrays; C function for other libraries
    export/         native code → files: `export.export` writes objects, libraries, headers, C source

    >>> x_squared = Program("square", (Array("x"),), (Array("r"),), [("load", 0, 0), ("mul", 0, 0)], ((1,),))
    >>> make_ufunc(compile(x_squared))([1.0, 2.0, 3.0])
    array([1., 4., 9.])
"""

import importlib
from typing import TYPE_CHECKING, Any

from codegen.program import INSTRUCTIONS, Array, Instruction, Program

if TYPE_CHECKING:
    from codegen import export
    from codegen.binding import make_ufunc, shorten
    from codegen.bound import bind, overlap, overlaps_itself
    from codegen.call import make_function
    from codegen.callbacks import callback
    from codegen.jit import Compiled, compile
    from codegen.quick import attempt
    from codegen.target import Target, host
    from codegen.threads import run

__all__ = [
    "INSTRUCTIONS",
    "Array",
    "Compiled",
    "Instruction",
    "Program",
    "Target",
    "attempt",
    "bind",
    "callback",
    "compile",
    "export",
    "host",
    "make_function",
    "make_ufunc",
    "overlap",
    "overlaps_itself",
    "run",
    "shorten",
]

# Names that bring LLVM with them, and the module each is in: loaded when first asked for, since writing a program down
# needs none of it.
DEFERRED = {
    "Compiled": "codegen.jit",
    "Target": "codegen.target",
    "attempt": "codegen.quick",
    "bind": "codegen.bound",
    "callback": "codegen.callbacks",
    "compile": "codegen.jit",
    "export": "codegen.export",
    "host": "codegen.target",
    "make_function": "codegen.call",
    "make_ufunc": "codegen.binding",
    "overlap": "codegen.bound",
    "overlaps_itself": "codegen.bound",
    "run": "codegen.threads",
    "shorten": "codegen.binding",
}


def __getattr__(name: str) -> Any:
    if name not in DEFERRED:
        raise AttributeError(f"module 'codegen' has no attribute {name!r}")
    module = importlib.import_module(DEFERRED[name])
    value = module if name == "export" else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *DEFERRED})
