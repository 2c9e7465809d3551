"""Straight-line programs → vectorised native code. Knows nothing of symbols or derivatives and is useful alone.

The stages, in order:

    program.py      what to compute: instructions, arguments, results; plain data
    contract.py     passes on the program: dead instructions go, products are fused into sums
    schedule.py     the order of the instructions: few values alive
    body.py         the program as vector IR, cut into parts where it is long
    vector_math/    exp, log, sin … as vector IR
    layout.py, moves.py, driver.py
                    the loop over points: blocks, rows, transposes, streaming stores
    emit.py         all of it as one LLVM module for one target (target.py)
    jit.py, cache.py
                    LLVM module → native code in this process; objects kept on disk
    binding.py, threads.py, call.py
                    native code → NumPy ufunc or gufunc, builtin; large batches over threads
    export/         native code → files: `export.export` writes objects, libraries, headers, C source

    >>> x_squared = Program("square", (Array("x"),), (Array("r"),), [("load", 0, 0), ("mul", 0, 0)], ((1,),))
    >>> make_ufunc(compile(x_squared))([1.0, 2.0, 3.0])
    array([1., 4., 9.])
"""

from codegen import export
from codegen.binding import make_ufunc
from codegen.call import make_function
from codegen.jit import Compiled, compile
from codegen.program import INSTRUCTIONS, Array, Instruction, Program
from codegen.target import Target, host
from codegen.threads import run

__all__ = [
    "INSTRUCTIONS",
    "Array",
    "Compiled",
    "Instruction",
    "Program",
    "Target",
    "compile",
    "export",
    "host",
    "make_function",
    "make_ufunc",
    "run",
]
