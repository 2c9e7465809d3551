"""Gives the value of SymPy expressions, part by part, by the meaning of their classes; knows nothing of the bridge."""

import numpy as np
import sympy as sp
from sympy.functions.elementary.piecewise import ExprCondPair

from hybrid import special

FUNCTIONS = {
    "sin": np.sin, "cos": np.cos, "tan": np.tan, "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh, "exp": np.exp,
    "sech": lambda x: 1 / np.cosh(x),
    "log": np.log, "asinh": np.arcsinh, "atan": np.arctan, "erf": special.erf, "Abs": np.abs, "sign": np.sign,
    "log1p": np.log1p, "expm1": np.expm1, "Sqrt": np.sqrt,
}  # fmt: skip
RELATIONS = {sp.Eq: np.equal, sp.Ne: np.not_equal, sp.Lt: np.less, sp.Le: np.less_equal, sp.Gt: np.greater,
             sp.Ge: np.greater_equal, sp.And: lambda *x: all(x), sp.Or: lambda *x: any(x),
             sp.Not: np.logical_not}  # fmt: skip


def read(expression, symbols):
    """The value of an expression; symbols by name."""
    known = {}
    stack = [expression]
    while stack:
        part = stack[-1]
        if part in known:
            stack.pop()
            continue
        missing = [arg for arg in part.args if arg not in known]
        if missing:
            stack += missing
            continue
        known[part] = value(part, [known[arg] for arg in part.args], symbols)
        stack.pop()
    return known[expression]


def value(part, args, symbols):
    if isinstance(part, sp.Symbol):
        return symbols[part.name]
    if part in (sp.true, sp.false):
        return bool(part)
    if isinstance(part, ExprCondPair):
        return args
    if isinstance(part, sp.Piecewise):
        return next((branch for branch, condition in args if condition), np.nan)
    if type(part) in RELATIONS:
        return RELATIONS[type(part)](*args)
    if not part.args:
        return np.float64(part)
    if part.is_Add:
        return sum(args)
    if part.is_Mul:
        return np.prod(args)
    if part.is_Pow:
        return np.power(*args)
    return FUNCTIONS[type(part).__name__](*args)
