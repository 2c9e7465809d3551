"""Functions defined once, in SymPy or plain NumPy; exact derivatives as expressions; verified native kernels.

The stages, in order:

    sympy_bridge.py, trace.py    SymPy expressions or a Python function → one shared expression graph (graph.py)
    operations.py                what is known about each elementary operation, one row each
    differentiate.py             gradient, Jacobian, Hessian and their products with vectors, on the graph
    simplify.py                  fewer operations for the same values
    lower.py, compiling.py       graph → program → (package codegen) → vectorised native kernel, kernel.py
    reduced.py                   kernels that add up, or otherwise reduce, their results over the batch
    verify.py                    kernel against the independent numeric tape (tape/): the certificate
    printing/                    LaTeX, MathML and text of functions and derivative matrices
    function.py                  `Function`, the object that carries a user through all of it

    >>> import hybrid as hy, sympy as sp
    >>> x, y = hy.symbols("x y")
    >>> f = hy.Function([x, y], sp.exp(x * y) + sp.sin(x))
    >>> f.gradient()(0.0, 2.0)
    array([3., 0.])
"""

import importlib
from typing import TYPE_CHECKING, Any

from hybrid import operations
from hybrid.compiling import compile
from hybrid.elementwise import *  # noqa: F403 - the elementwise functions are listed once, in elementwise.__all__
from hybrid.errors import ArgumentError, HybridError, InputTypeError, ShapeError, UnsupportedError, VerificationError
from hybrid.function import Function, function
from hybrid.implicit import implicit
from hybrid.kernel import Kernel
from hybrid.lagrangian import lagrangian
from hybrid.sparsity import Pattern
from hybrid.sympy_bridge import symbols

if TYPE_CHECKING:
    from hybrid import tape
    from hybrid.certificate import Certificate
    from hybrid.named_targets import targets
    from hybrid.opaque_functions import opaque
    from hybrid.problems import Constraint, Problem
    from hybrid.reduced import ReducedKernel
    from hybrid.rolled.combinators import logsumexp, map_over, scan, scatter_add, sum_over
    from hybrid.user_functions import elementary

__version__ = "0.1.0"

__all__ = [
    "ArgumentError",
    "Certificate",
    "Constraint",
    "Function",
    "HybridError",
    "InputTypeError",
    "Kernel",
    "Pattern",
    "Problem",
    "ReducedKernel",
    "ShapeError",
    "UnsupportedError",
    "VerificationError",
    "compile",
    "elementary",
    "function",
    "implicit",
    "lagrangian",
    "logsumexp",
    "map_over",
    "opaque",
    "operations",
    "scan",
    "scatter_add",
    "sum_over",
    "symbols",
    "tape",
    "targets",
]

DEFERRED = {
    "tape": "hybrid.tape",
    "elementary": "hybrid.user_functions",
    "opaque": "hybrid.opaque_functions",
    "Certificate": "hybrid.certificate",
    "Constraint": "hybrid.problems",
    "Problem": "hybrid.problems",
    "targets": "hybrid.named_targets",
    "logsumexp": "hybrid.rolled.combinators",
    "map_over": "hybrid.rolled.combinators",
    "scan": "hybrid.rolled.combinators",
    "scatter_add": "hybrid.rolled.combinators",
    "sum_over": "hybrid.rolled.combinators",
    "ReducedKernel": "hybrid.reduced",
}


def __getattr__(name: str) -> Any:
    """The public names that are loaded when they are first asked for."""
    if name not in DEFERRED:
        raise AttributeError(f"module 'hybrid' has no attribute {name!r}")
    module = importlib.import_module(DEFERRED[name])
    return module if name == "tape" else getattr(module, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *DEFERRED})
