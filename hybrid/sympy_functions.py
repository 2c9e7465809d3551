"""SymPy functions for rows that SymPy has no class for and whose formula overflows or loses digits.

Written out, log Φ(−50) is log 0 and softplus(1000) is infinite. These classes keep the row's name through SymPy,
so that what is computed in the end is the row; SymPy itself differentiates and evaluates them by the formula.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import sympy as sp

from hybrid import operations as ops
from hybrid.operations import Operation


def _function(row: Operation, formula: Callable[..., Any], slopes: Sequence[Callable[..., Any]]) -> Any:
    """A real SymPy function of the row's name: `formula` is what it stands for, `slopes` its partial derivatives."""

    def fdiff(self: Any, argindex: int = 1) -> Any:
        return slopes[argindex - 1](*self.args)

    def evalf(self: Any, precision: int) -> Any:
        return formula(*self.args).evalf(max(15, int(precision * 0.30103)))

    def is_real(self: Any) -> Any:
        return True if all(arg.is_extended_real for arg in self.args) else None

    members = {"nargs": row.arity, "fdiff": fdiff, "_eval_evalf": evalf, "_eval_is_extended_real": is_real}
    return type(row.name, (sp.Function,), {**members, "__doc__": f"{row.name}, as hybrid.{row.name} makes it."})


expit: Any = _function(ops.expit, lambda x: 1 / (1 + sp.exp(-x)), [lambda x: expit(x) * expit(-x)])
logit = _function(ops.logit, lambda x: sp.log(x / (1 - x)), [lambda x: 1 / (x * (1 - x))])
softplus = _function(ops.softplus, lambda x: sp.log(1 + sp.exp(x)), [lambda x: expit(x)])
logaddexp = _function(
    ops.logaddexp,
    lambda x, y: sp.log(sp.exp(x) + sp.exp(y)),
    [lambda x, y: expit(x - y), lambda x, y: expit(y - x)],
)
erfcx: Any = _function(
    ops.erfcx, lambda x: sp.exp(x**2) * sp.erfc(x), [lambda x: 2 * x * erfcx(x) - 2 / sp.sqrt(sp.pi)]
)
log_ndtr = _function(
    ops.log_ndtr,
    lambda x: sp.log(sp.erfc(-x / sp.sqrt(2)) / 2),
    [lambda x: sp.sqrt(2 / sp.pi) / erfcx(-x / sp.sqrt(2))],
)

CLASSES: dict[Operation, Any] = {
    ops.expit: expit,
    ops.logit: logit,
    ops.softplus: softplus,
    ops.logaddexp: logaddexp,
    ops.erfcx: erfcx,
    ops.log_ndtr: log_ndtr,
}
