"""Graph nodes → SymPy expressions, without recursion.

Expressions of ordinary size go through SymPy's constructors, so they look as if the user had typed them. Deep or large
ones, through which those constructors would recurse or search again and again, are put together unevaluated.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import sympy as sp
from sympy.functions.elementary.piecewise import ExprCondPair

from hybrid import operations as ops
from hybrid.composite import expand
from hybrid.graph import Graph, Number, Variable
from hybrid.operations import CONSTANT, OPERATIONS, VARIABLE, NamedConstant, Operation
from hybrid.sympy_functions import CLASSES, erfc_ratio_formula

# Beyond any of these SymPy's constructors, which walk expressions as trees again and again, are avoided.
DEEP = 12  # levels; SymPy 1.14 takes hours over some functions of functions 20 deep
LARGE = 5_000  # nodes and arguments in all
HEAVY = 150  # nodes of an expression as a tree, where a shared part counts each time it is used
HALF = sp.Rational(1, 2)


def joined_name(variable: Variable) -> str:
    return "_".join([variable.name, *map(str, variable.index)])


def symbols_for(variables: Sequence[Variable]) -> list[Any]:
    """Real SymPy symbols of variables: x for a scalar, q_3 or m_0_1 for an element of an array.

    An element whose name would meet another variable's is written q[3].
    """
    count = Counter(map(joined_name, variables))
    names = (
        str(variable) if variable.index and count[joined_name(variable)] > 1 else joined_name(variable)
        for variable in variables
    )
    return [sp.Symbol(name, real=True) for name in names]


def sympy_number(value: Number | bool) -> Any:
    """A stored constant as a SymPy number: exact ones stay exact, floats keep their 53 bits."""
    if isinstance(value, NamedConstant):
        return value.sympy
    if isinstance(value, bool):
        return sp.true if value else sp.false
    if isinstance(value, Fraction):
        return sp.Rational(value.numerator, value.denominator)
    return sp.sympify(value)  # an int or a float, nan and infinities included


def select(condition: Any, value: Any, otherwise: Any) -> Any:
    """A Piecewise as it stands: SymPy's own evaluation searches its conditions for contradictions."""
    if isinstance(otherwise, sp.Piecewise):
        return unevaluated(sp.Piecewise, unevaluated(ExprCondPair, value, condition), *otherwise.args)
    return plain_select(condition, value, otherwise)


def extreme(cls: Any) -> Callable[..., Any]:
    """Min or Max, flat and as it stands: SymPy would compare the arguments pair by pair."""

    def build(x: Any, y: Any) -> Any:
        parts = [part for arg in (x, y) for part in (arg.args if isinstance(arg, cls) else (arg,))]
        return cls(*parts, evaluate=False)

    return build


def relation(cls: Any) -> Callable[..., Any]:
    def build(x: Any, y: Any) -> Any:
        return cls(x, y, evaluate=False)

    return build


def truncated(x: Any) -> Any:
    return sp.sign(x) * sp.floor(sp.Abs(x))


def rounded(x: Any) -> Any:
    """To the nearest integer, ties to even; written so that float64 arithmetic keeps it exact, and as it stands."""
    below = unevaluated(sp.floor, x)
    rest = unevaluated(sp.Add, x, negative(below))
    odd = unevaluated(sp.Eq, unevaluated(sp.Mod, below, sp.Integer(2)), sp.S.One)
    tie = unevaluated(sp.And, unevaluated(sp.Eq, rest, HALF), odd)
    up = unevaluated(sp.Or, unevaluated(sp.StrictGreaterThan, rest, HALF), tie)
    return unevaluated(sp.Add, below, plain_select(up, sp.S.One, sp.S.Zero))


def polygamma(order: Any, x: Any) -> Any:
    return sp.polygamma(order, x)


def unit_part(x: Any, y: Any) -> Any:
    size = sp.sqrt(x**2 + y**2)
    return select(relation(sp.Eq)(size, sp.S.Zero), sp.S.Zero, x / size)


def over_root_two(x: Any) -> Any:
    """SymPy would turn erfc(−x) into 2 − erfc(x), which cancels."""
    return sp.erfc(-x / sp.sqrt(2), evaluate=False) / 2


SPECIAL: dict[Operation, Callable[..., Any]] = {
    ops.over_hypot: unit_part,
    ops.erfcx: lambda x: sp.exp(x**2) * sp.erfc(x),
    ops.ndtr: over_root_two,
    ops.log_ndtr: lambda x: sp.log(over_root_two(x)),
    ops.expit: lambda x: 1 / (1 + sp.exp(-x)),
    ops.erfc_ratio: erfc_ratio_formula,
    ops.logaddexp: lambda x, y: sp.log(sp.exp(x) + sp.exp(y)),
    ops.expit_slope: lambda x: 1 / (2 + 2 * sp.cosh(x)),
    ops.logit: lambda x: sp.log(x / (1 - x)),
    ops.softplus: lambda x: sp.log(1 + sp.exp(x)),
    ops.xlogy: lambda x, y: select(relation(sp.Eq)(x, 0), sp.S.Zero, x * sp.log(y)),
    ops.betaln: lambda x, y: sp.loggamma(x) + sp.loggamma(y) - sp.loggamma(x + y),
}

# Rows whose SymPy form is a formula rather than the class of the row. The formulas are exact for real numbers.
FORMULAS: dict[Operation, Callable[..., Any]] = {
    ops.sub: lambda x, y: x - y,
    ops.div: lambda x, y: x / y,
    ops.neg: lambda x: -x,
    ops.sqrt: sp.sqrt,
    ops.cbrt: lambda x: sp.sign(x) * sp.Abs(x) ** sp.Rational(1, 3),
    ops.hypot: lambda x, y: sp.sqrt(x**2 + y**2),
    ops.digamma: sp.digamma,
    **SPECIAL,
    ops.polygamma: polygamma,
    **dict.fromkeys((ops.minimum, ops.smallest), extreme(sp.Min)),
    **dict.fromkeys((ops.maximum, ops.largest), extreme(sp.Max)),
    ops.trunc: truncated,
    ops.rint: rounded,
    ops.fmod: lambda x, y: sp.sign(x) * sp.Mod(sp.Abs(x), sp.Abs(y)),
    ops.copysign: lambda x, y: sp.Abs(x) * plain_select(relation(sp.Lt)(y, 0), sp.S.NegativeOne, sp.S.One),
    ops.where: select,
    **{op: relation(op.sympy) for op in (ops.lt, ops.le, ops.gt, ops.ge, ops.eq, ops.ne)},
}


def unevaluated(cls: Any, *args: Any) -> Any:
    """A SymPy node as it stands; SymPy's own constructors ask about every argument, through all that is below it."""
    node = sp.Basic.__new__(cls, *args)
    if cls in (sp.Add, sp.Mul, sp.Pow):
        node.is_commutative = True  # these classes keep it as a field; everything here stands for real numbers
    return node


def negative(x: Any) -> Any:
    return unevaluated(sp.Mul, sp.S.NegativeOne, x)


def plain_select(condition: Any, value: Any, otherwise: Any) -> Any:
    pairs = [unevaluated(ExprCondPair, value, condition)]
    if otherwise is not sp.nan:
        pairs.append(unevaluated(ExprCondPair, otherwise, sp.true))
    return unevaluated(sp.Piecewise, *pairs)


def at_most(x: Any, y: Any) -> Any:
    return plain_select(unevaluated(sp.LessThan, x, y), x, y)


def at_least(x: Any, y: Any) -> Any:
    return plain_select(unevaluated(sp.GreaterThan, x, y), x, y)


def deep_truncated(x: Any) -> Any:
    return unevaluated(sp.Mul, unevaluated(sp.sign, x), unevaluated(sp.floor, unevaluated(sp.Abs, x)))


def deep_xor(x: Any, y: Any) -> Any:
    only_x = unevaluated(sp.And, x, unevaluated(sp.Not, y))
    return unevaluated(sp.Or, only_x, unevaluated(sp.And, unevaluated(sp.Not, x), y))


def deep_hypot(x: Any, y: Any) -> Any:
    squares = unevaluated(sp.Add, unevaluated(sp.Pow, x, sp.Integer(2)), unevaluated(sp.Pow, y, sp.Integer(2)))
    return unevaluated(sp.Pow, squares, HALF)


def deep_over_hypot(x: Any, y: Any) -> Any:
    size = deep_hypot(x, y)
    return plain_select(unevaluated(sp.Eq, size, sp.S.Zero), sp.S.Zero, over(x, size))


def deep_fmod(x: Any, y: Any) -> Any:
    size = unevaluated(sp.Mod, unevaluated(sp.Abs, x), unevaluated(sp.Abs, y))
    return unevaluated(sp.Mul, unevaluated(sp.sign, x), size)


def deep_copysign(x: Any, y: Any) -> Any:
    below = unevaluated(sp.StrictLessThan, y, sp.S.Zero)
    return unevaluated(sp.Mul, unevaluated(sp.Abs, x), plain_select(below, sp.S.NegativeOne, sp.S.One))


def plus(*terms: Any) -> Any:
    return unevaluated(sp.Add, *terms)


def over(x: Any, y: Any) -> Any:
    return unevaluated(sp.Mul, x, unevaluated(sp.Pow, y, sp.S.NegativeOne))


def deep_normal(x: Any) -> Any:
    return over(unevaluated(sp.erfc, negative(over(x, sp.sqrt(2)))), sp.Integer(2))


def deep_erfcx(x: Any) -> Any:
    power = unevaluated(sp.exp, unevaluated(sp.Pow, x, sp.Integer(2)))
    return unevaluated(sp.Mul, power, unevaluated(sp.erfc, x))


def deep_erfc_ratio(n: Any, x: Any) -> Any:
    if n > 1:
        rest = plus(over(sp.S.One, deep_erfc_ratio(n - 1, x)), negative(x))
        return unevaluated(sp.Mul, sp.Rational(2, n), rest)
    first = over(sp.Integer(2), unevaluated(sp.Mul, sp.sqrt(sp.pi), deep_erfcx(x)))
    return first if n == 0 else plus(first, unevaluated(sp.Mul, sp.Integer(-2), x))


def deep_xlogy(x: Any, y: Any) -> Any:
    return plain_select(unevaluated(sp.Eq, x, sp.S.Zero), sp.S.Zero, unevaluated(sp.Mul, x, unevaluated(sp.log, y)))


def deep_betaln(x: Any, y: Any) -> Any:
    both = unevaluated(sp.loggamma, plus(x, y))
    return plus(unevaluated(sp.loggamma, x), unevaluated(sp.loggamma, y), negative(both))


DEEP_FORMULAS: dict[Operation, Callable[..., Any]] = {
    ops.ndtr: deep_normal,
    ops.log_ndtr: lambda x: unevaluated(sp.log, deep_normal(x)),
    ops.erfcx: deep_erfcx,
    ops.expit: lambda x: over(sp.S.One, plus(sp.S.One, unevaluated(sp.exp, negative(x)))),
    ops.erfc_ratio: deep_erfc_ratio,
    ops.logaddexp: lambda x, y: unevaluated(sp.log, plus(unevaluated(sp.exp, x), unevaluated(sp.exp, y))),
    ops.expit_slope: lambda x: over(
        sp.S.One, plus(sp.Integer(2), unevaluated(sp.Mul, sp.Integer(2), unevaluated(sp.cosh, x)))
    ),
    ops.softplus: lambda x: unevaluated(sp.log, plus(sp.S.One, unevaluated(sp.exp, x))),
    ops.logit: lambda x: unevaluated(sp.log, over(x, plus(sp.S.One, negative(x)))),
    ops.xlogy: deep_xlogy,
    ops.betaln: deep_betaln,
    ops.sub: lambda x, y: unevaluated(sp.Add, x, negative(y)),
    ops.div: lambda x, y: unevaluated(sp.Mul, x, unevaluated(sp.Pow, y, sp.S.NegativeOne)),
    ops.neg: negative,
    ops.sqrt: lambda x: unevaluated(sp.Pow, x, HALF),
    ops.cbrt: lambda x: unevaluated(
        sp.Mul, unevaluated(sp.sign, x), unevaluated(sp.Pow, unevaluated(sp.Abs, x), sp.Rational(1, 3))
    ),
    ops.hypot: deep_hypot,
    ops.over_hypot: deep_over_hypot,
    ops.digamma: lambda x: unevaluated(sp.polygamma, sp.S.Zero, x),
    **dict.fromkeys((ops.minimum, ops.smallest), at_most),
    **dict.fromkeys((ops.maximum, ops.largest), at_least),
    ops.trunc: deep_truncated,
    ops.rint: rounded,
    ops.logical_xor: deep_xor,
    ops.fmod: deep_fmod,
    ops.copysign: deep_copysign,
    ops.where: plain_select,
}


def shallow_form(op: Operation) -> Callable[..., Any]:
    form: Callable[..., Any] = FORMULAS.get(op, op.sympy)
    return form


def deep_form(op: Operation) -> Callable[..., Any]:
    return DEEP_FORMULAS.get(op, functools.partial(unevaluated, op.sympy))


WRITTEN = (*OPERATIONS.values(), ops.smallest, ops.largest)
SHALLOW_FORMS = {op: shallow_form(op) for op in WRITTEN if op not in (CONSTANT, VARIABLE)}
DEEP_FORMS = {op: deep_form(op) for op in SHALLOW_FORMS}
if missing := [op.name for op, form in SHALLOW_FORMS.items() if form is None]:
    raise ValueError(f"operations without a SymPy class or formula: {', '.join(missing)}")


def sympy_expression(op: Operation, *args: Any) -> Any:
    """One operation of the table on SymPy expressions, evaluated as SymPy does by itself."""
    return (CLASSES.get(op) or SHALLOW_FORMS.get(op, op.sympy))(*args)


def is_heavy(expression: Any) -> bool:
    """Whether an expression has more than HEAVY nodes as a tree: SymPy may have multiplied it out."""
    stack, count = [expression], 0
    while stack and count <= HEAVY:
        count += 1
        stack.extend(stack.pop().args)
    return count > HEAVY


def build(op: Operation, plain: bool, *args: Any) -> Any:
    if op not in SHALLOW_FORMS:
        return (op.sympy or sp.Function(op.name, real=True))(*args)
    if not plain:
        try:
            return SHALLOW_FORMS.get(op, op.sympy)(*args)
        except Exception:  # SymPy 1.14 fails with an AssertionError on floor of some Piecewise, and not only there
            return DEEP_FORMS[op](*args)
    return DEEP_FORMS[op](*args)


def to_sympy(graph: Graph, roots: Sequence[int], symbols: Mapping[int, Any] | None = None) -> list[Any]:
    """SymPy expressions of the roots; a truth value becomes a Boolean expression.

    `symbols` gives the expression to write for variable nodes (for instance the user's own symbols). Others become real
    symbols: `x` for a scalar, `q_3` for element 3 of an array. Shared subexpressions are shared objects.
    """
    roots = expand(graph, roots, every=False)
    nodes = graph.reach(roots)
    variables = [node for node in nodes if graph.ops[node] is VARIABLE]
    names = dict(zip(variables, symbols_for([graph.leaves[node] for node in variables]), strict=True))
    names.update(symbols or {})
    large = sum(1 + len(graph.args[node]) for node in nodes) > LARGE
    known: dict[int, Any] = {}
    depth: dict[int, int] = {}
    heavy: set[int] = set()
    for node in nodes:
        op, args = graph.ops[node], graph.args[node]
        depth[node] = 1 + max((depth[arg] for arg in args), default=0)
        if op is CONSTANT:
            known[node] = sympy_number(graph.leaves[node])
        elif op is VARIABLE:
            known[node] = names[node]
        else:
            plain = large or depth[node] > DEEP or not heavy.isdisjoint(args)
            known[node] = build(op, plain, *(known[arg] for arg in args))
            if plain or is_heavy(known[node]):
                heavy.add(node)
            hash(known[node])  # kept by SymPy: computed from the leaves up it needs no recursion
    return [known[root] for root in roots]
