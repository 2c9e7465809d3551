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


def _function(row: Operation, formula: Callable[..., Any], slopes: Sequence[Callable[..., Any] | None]) -> Any:
    """A real SymPy function of the row's name: `formula` is what it stands for, `slopes` its partial derivatives."""

    def fdiff(self: Any, argindex: int = 1) -> Any:
        slope = slopes[argindex - 1]
        if slope is None:
            raise sp.function.ArgumentIndexError(self, argindex)
        return slope(*self.args)

    def evalf(self: Any, precision: int) -> Any:
        return formula(*self.args).evalf(max(15, int(precision * 0.30103)))

    def is_real(self: Any) -> Any:
        return True if all(arg.is_extended_real for arg in self.args) else None

    members = {"nargs": row.arity, "fdiff": fdiff, "_eval_evalf": evalf, "_eval_is_extended_real": is_real}
    return type(row.name, (sp.Function,), {**members, "__doc__": f"{row.name}, as hybrid.{row.name} makes it."})


expit: Any = _function(ops.expit, lambda x: 1 / (1 + sp.exp(-x)), [lambda x: expit_slope(x)])
expit_slope: Any = _function(
    ops.expit_slope, lambda x: 1 / (2 + 2 * sp.cosh(x)), [lambda x: -expit_slope(x) * sp.tanh(x / 2)]
)
logit = _function(ops.logit, lambda x: sp.log(x / (1 - x)), [lambda x: 1 / (x * (1 - x))])
softplus = _function(ops.softplus, lambda x: sp.log(1 + sp.exp(x)), [lambda x: expit(x)])
logaddexp = _function(
    ops.logaddexp,
    lambda x, y: sp.log(sp.exp(x) + sp.exp(y)),
    [lambda x, y: expit(x - y), lambda x, y: expit(y - x)],
)
erfcx: Any = _function(ops.erfcx, lambda x: sp.exp(x**2) * sp.erfc(x), [lambda x: -erfcx(x) * erfc_ratio(1, x)])


def erfc_ratio_formula(n: Any, x: Any) -> Any:
    if n <= 1:
        return 2 / (sp.sqrt(sp.pi) * sp.exp(x**2) * sp.erfc(x, evaluate=False)) - (2 * x if n == 1 else 0)
    return 2 * (1 / erfc_ratio_formula(n - 1, x) - x) / n


def _erfc_ratio_slope(n: Any, x: Any) -> Any:
    if n == 0:
        return erfc_ratio(0, x) * erfc_ratio(1, x)
    return erfc_ratio(n, x) * (n * erfc_ratio(n, x) - (n + 1) * erfc_ratio(n + 1, x))


erfc_ratio: Any = _function(ops.erfc_ratio, erfc_ratio_formula, [None, _erfc_ratio_slope])
log_ndtr = _function(
    ops.log_ndtr,
    lambda x: sp.log(sp.erfc(-x / sp.sqrt(2)) / 2),
    [lambda x: erfc_ratio(0, -x / sp.sqrt(2)) / sp.sqrt(2)],
)

CLASSES: dict[Operation, Any] = {
    ops.expit: expit,
    ops.expit_slope: expit_slope,
    ops.logit: logit,
    ops.softplus: softplus,
    ops.logaddexp: logaddexp,
    ops.erfcx: erfcx,
    ops.log_ndtr: log_ndtr,
    ops.erfc_ratio: erfc_ratio,
}
