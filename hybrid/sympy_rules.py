"""What each class of SymPy node means on the graph: a row of the table, a formula over terms, or a rule of its own.

Most classes stand in the table of operations or in `FUNCTIONS` (a formula over terms). A class with structure of its
own has a rule in `RULES`, which gives a `Plan` and may hand back another expression to convert in its place. Nothing is
simplified; symbols are real numbers, so `re`, `conjugate` and the like of them are themselves.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, NamedTuple

import sympy as sp
from sympy.codegen import cfunctions
from sympy.core.function import AppliedUndef
from sympy.functions.elementary.piecewise import ExprCondPair

from hybrid import operations as ops
from hybrid.complex_parts import parts_beyond
from hybrid.errors import InputTypeError, UnsupportedError
from hybrid.graph import Graph, Term, extreme
from hybrid.operations import MASK, NAMED_CONSTANTS, OPERATIONS, PI
from hybrid.special_values import ORDER_LIMITS
from hybrid.sympy_functions import CLASSES
from hybrid.sympy_walk import contains, describe, postorder

NAN, INFINITY = float("nan"), float("inf")
LARGEST_GAMMA = 160  # Γ overflows beyond 171.6
FALLING_FACTORIAL_LIMIT = 64  # binomial(n, k) is a polynomial in n up to this k


class Plan(NamedTuple):
    """What a SymPy node becomes: `combine`, called with the terms of `children`."""

    children: Sequence[Any]
    combine: Callable[..., Any]


class SurvivingImaginary(Exception):
    """An imaginary unit was met where a real number is needed."""


@dataclass
class Context:
    """Where nodes go, the variable nodes of the input symbols, and the symbols met that are no inputs.

    `substituted` holds the identities of subexpressions of a sum's body that are rewritten by SymPy for each index.
    `imaginary` says that an imaginary unit was met, so that `re`, `im` and `Abs` look for it in their arguments.
    """

    graph: Graph
    leaves: Mapping[Any, int]
    unknown: dict[Any, None] = field(default_factory=dict)
    substituted: frozenset[int] = frozenset()
    imaginary: bool = False
    entries: dict[Any, Any] = field(default_factory=dict)  # of matrix expressions, see sympy_matrices

    def leaf(self, expression: Any) -> Plan:
        """An input; anything else that looks like one is collected as unknown."""
        node = self.leaves.get(expression)
        if node is None:
            self.unknown[expression] = None
            return self.number(NAN)
        return Plan((), lambda: Term(self.graph, node))

    def number(self, value: Any) -> Plan:
        return Plan((), lambda: self.graph.lift(value))


Rule = Callable[[Context, Any], Plan]


def real_form(expression: Any) -> Any:
    """The real part of an expression in which i cancels, as another expression; symbols are real numbers.

    Raises InputTypeError if the imaginary part is not zero for sure.
    """
    real, imaginary = parts(expression)
    if sp.simplify(imaginary) != 0:
        raise InputTypeError(
            f"the expression is complex: its imaginary part is {describe(imaginary)}; outputs are real, "
            "so give sp.re(...) and sp.im(...) as two outputs"
        )
    return real


def parts(expression: Any) -> tuple[Any, Any]:
    """Real and imaginary part, with every symbol taken as a real number."""
    symbols = {s: sp.Dummy(s.name, real=True) for s in expression.free_symbols if s.is_real is not True}
    back = {dummy: symbol for symbol, dummy in symbols.items()}
    real, imaginary = expression.xreplace(symbols).as_real_imag()
    return real.xreplace(back), imaginary.xreplace(back)


def apply_formula(expression: Any, formula: Callable[..., Any], *terms: Term) -> Any:
    """Call a table row or a formula on terms; a truth value as a number, or the reverse, is refused."""
    operands = getattr(formula, "operands", ())
    for index, term in enumerate(terms):
        wanted = operands[index] if index < len(operands) else ops.REAL
        if term.graph.kind(term.node) != wanted:
            have, use = ("a number", "sp.Ne(x, 0)") if wanted == MASK else ("a truth value", "sp.Piecewise")
            raise UnsupportedError(
                f"{type(expression).__name__} got {have} as its argument {index + 1} in {describe(expression)}; "
                f"use {use} to turn it into what is needed"
            )
    return formula(*terms)


def refuse(expression: Any) -> Plan:
    """Raise the error for a SymPy node without a meaning here."""
    name = type(expression).__name__
    hint = next((REFUSED[c] for c in type(expression).__mro__ if c in REFUSED), None)
    if hint is None:
        hint = "rewrite it through elementary functions (expr.rewrite(...), expr.doit()) or write it out"
    raise UnsupportedError(f"SymPy's {name} is not supported here, got {describe(expression)}; {hint}")


def structure_rule(cls: type) -> Rule | None:
    """The rule of a class or of its nearest base; a class with a formula or a refusal of its own has none."""
    if cls not in STRUCTURE:
        base = next((base for base in cls.__mro__ if base in RULES or base in FUNCTIONS or base in REFUSED), None)
        STRUCTURE[cls] = RULES.get(base)
    return STRUCTURE[cls]


def instead(expression: Any) -> Plan:
    """Convert another expression in place of this one."""
    return Plan((sp.sympify(expression),), lambda term: term)


# --- sums, products and powers ----------------------------------------------------------------------------------------
def opposite(term: Term) -> Term | None:
    """−term where that costs nothing: a negation, a negative number, or a product that starts with one."""
    graph, node = term.graph, term.node
    op, args = graph.ops[node], graph.args[node]
    value = term.constant
    if value is not None:
        return graph.lift(-value) if isinstance(value, int | float | Fraction) and value < 0 else None
    if op is ops.neg:
        return Term(graph, args[0])
    if op is ops.mul or op is ops.div:
        first = opposite(Term(graph, args[0]))
        return None if first is None else op(first, *(Term(graph, arg) for arg in args[1:]))
    return None


def combine_sum(*terms: Term) -> Term:
    """a + b − c − d as (a + b) − (c + d): SymPy has no subtraction, and a sum has no order to keep."""
    plus, minus = [], []
    for term in terms:
        less = opposite(term)
        if less is None:
            plus.append(term)
        else:
            minus.append(less)
    if not minus:
        return total(plus)
    if not plus:
        keep = next((i for i, term in enumerate(terms) if term.graph.ops[term.node] is not ops.neg), None)
        if keep is None:
            return -total(minus)
        plus.append(terms[keep])
        del minus[keep]
        if not minus:
            return plus[0]
    return total(plus) - total(minus)


def total(terms: Sequence[Term]) -> Term:
    return terms[0] if len(terms) == 1 else ops.add(*terms)


def product(terms: Sequence[Term]) -> Term:
    return terms[0] if len(terms) == 1 else ops.mul(*terms)


def power(base: Term, exponent: Fraction) -> Any:
    """base**exponent for a positive rational exponent."""
    if exponent == 1:
        return base
    return ops.sqrt(base) if exponent == ops.HALF else ops.pow(base, exponent)


def power_of_terms(base: Term, exponent: Term) -> Any:
    """A general power; a rational exponent is written as a root, a reciprocal or both."""
    value = exponent.constant
    if isinstance(value, bool) or not isinstance(value, int | Fraction) or value == 0:
        return ops.pow(base, exponent)
    return power(base, Fraction(value)) if value > 0 else 1 / power(base, -Fraction(value))


def rule_sum(context: Context, expression: Any) -> Plan:
    return Plan(expression.args, combine_sum)


def is_denominator(factor: Any) -> bool:
    return isinstance(factor, sp.Pow) and bool(factor.exp.is_Rational) and bool(factor.exp.is_negative)


def rule_product(context: Context, expression: Any) -> Plan:
    """a·b·c⁻¹·d⁻² as (a·b)/(c·d²), −1·a as −a; a rational coefficient splits only if there is a denominator."""
    above: list[Any] = []
    below: list[Any] = []
    exponents: list[Fraction] = []
    coefficient: int | Fraction = 1
    plain = True
    for factor in expression.args:
        if factor.is_Rational:
            coefficient *= int(factor.p) if factor.is_Integer else Fraction(int(factor.p), int(factor.q))
            plain = False
        elif is_denominator(factor) and id(factor) not in context.substituted:
            below.append(factor.base)
            exponents.append(Fraction(int(-factor.exp.p), int(factor.exp.q)))
        else:
            above.append(factor)
    if plain and not below and len(above) > 1:
        return Plan(above, ops.mul)

    def combine(*terms: Term) -> Term:
        graph = context.graph
        numerator, denominator = list(terms[: len(above)]), list(map(power, terms[len(above) :], exponents))
        size: Any = abs(coefficient)
        if denominator:
            if size.denominator != 1:
                denominator.insert(0, graph.lift(size.denominator))
            size = size.numerator
        negate = coefficient < 0 and (size == 1 or not numerator)
        if size != 1 or not numerator:
            numerator.insert(0, graph.lift(size if negate or coefficient >= 0 else -size))
        result = product(numerator)
        if denominator:
            result = result / product(denominator)
        return -result if negate else result

    return Plan((*above, *below), combine)


def rule_power(context: Context, expression: Any) -> Plan:
    base, exponent = expression.args
    if base is sp.S.Exp1:
        return Plan((exponent,), ops.exp)
    return Plan((base, exponent), power_of_terms)


def rule_extreme(op: ops.Operation) -> Rule:
    """Min and Max of any number of arguments."""

    def rule(context: Context, expression: Any) -> Plan:
        def combine(*terms: Term) -> Term:
            def build(*values: Term) -> Term:
                return Term(context.graph, extreme(context.graph, op, [value.node for value in values]))

            result: Term = apply_formula(expression, build, *terms)
            return result

        return Plan(expression.args, combine)

    return rule


# --- selections and truth values --------------------------------------------------------------------------------------
def rule_piecewise(context: Context, expression: Any) -> Plan:
    """The first piece whose condition holds; NaN where none does, as are the derivatives by what the pieces need."""
    children = [part for pair in expression.args for part in pair.args]

    def combine(*terms: Term) -> Term:
        result = context.graph.lift(NAN)
        if terms[-1].constant is not True and all(context.graph.kind(term.node) != MASK for term in terms[::2]):
            result = total(terms[::2]) * NAN  # depends on what the pieces do: its derivatives are NaN too
        for i in reversed(range(0, len(terms), 2)):
            value, condition = terms[i], terms[i + 1]
            if condition.constant is True:
                result = value
            elif condition.constant is not False:
                result = apply_formula(expression, ops.where, condition, value, result)
        return result

    return Plan(children, combine)


def rule_equality(context: Context, expression: Any) -> Plan:
    """Eq and Ne of numbers, and of truth values."""
    row = ops.eq if isinstance(expression, sp.Eq) else ops.ne

    def combine(x: Term, y: Term) -> Any:
        if context.graph.kind(x.node) == MASK and context.graph.kind(y.node) == MASK:
            differ = ops.logical_xor(x, y)
            return differ if row is ops.ne else ops.logical_not(differ)
        return apply_formula(expression, row, x, y)

    return Plan(expression.args, combine)


def rule_contains(context: Context, expression: Any) -> Plan:
    element, region = expression.args
    return instead(region.as_relational(element))


# --- things carried out -----------------------------------------------------------------------------------------------
def rule_doit(context: Context, expression: Any) -> Plan:
    """Derivatives and substitutions are carried out by SymPy; what stays undone is refused by name."""
    try:
        done = expression.doit()
    except RecursionError:
        raise UnsupportedError(
            f"SymPy cannot carry out this {type(expression).__name__}: the expression is nested too deeply; "
            "differentiate the Function instead (f.gradient(), f.jacobian())"
        ) from None
    return refuse(expression) if isinstance(done, type(expression)) else instead(done)


def rule_rewrite(*targets: Any) -> Rule:
    def rule(context: Context, expression: Any) -> Plan:
        new = expression.rewrite(*targets)
        return refuse(expression) if isinstance(new, type(expression)) else instead(new)

    return rule


def rule_polygamma(context: Context, expression: Any) -> Plan:
    order, x = expression.args
    if not (order.is_Integer and order >= 0):
        raise UnsupportedError(f"polygamma needs a non-negative integer order, got {describe(order)}; give a number")
    if order == 0:
        return Plan((x,), ops.digamma)
    return Plan((order, x), ops.polygamma)


def rule_order(row: ops.Operation) -> Rule:
    """Bessel functions: of one integer order."""

    def rule(context: Context, expression: Any) -> Plan:
        order, x = expression.args
        low, high = ORDER_LIMITS[row.name]
        if not (order.is_Integer and low <= order <= high):
            raise UnsupportedError(
                f"{type(expression).__name__} needs an integer order from {low} to {high}, got {describe(order)}; "
                "give such a number, or make its value an input"
            )
        return Plan((order, x), row)

    return rule


def rule_lambert(context: Context, expression: Any) -> Plan:
    x, *branch = expression.args
    if branch and branch[0] != 0:
        raise UnsupportedError(
            f"LambertW on the branch {describe(branch[0])} is not supported here, only the principal one; make its "
            "value an input and add the equation"
        )
    return Plan((x,), ops.lambertw)


def rule_binomial(context: Context, expression: Any) -> Plan:
    """n(n−1)…(n−k+1)/k! for a small integer k, else by gamma functions."""
    n, k = expression.args
    if k.is_Integer and 0 <= k <= FALLING_FACTORIAL_LIMIT:
        count = int(k)

        def falling(x: Term) -> Any:
            if count == 0:
                return 1
            return product([x, *(x - i for i in range(1, count))]) / int(sp.factorial(count))

        return Plan((n,), falling)
    return Plan((n, k), binomial)


def instead_of_part(expression: Any, part: Any) -> Plan:
    """Convert the real or imaginary part that SymPy found, unless that is the question again."""
    if any(isinstance(node, sp.re | sp.im) for node in postorder(part)):
        raise UnsupportedError(
            f"SymPy cannot split {describe(expression.args[0])} into real and imaginary part; write the "
            f"{type(expression).__name__} of it out in real numbers"
        )
    return instead(part)


def rule_real_part(context: Context, expression: Any) -> Plan:
    (x,) = expression.args
    if context.imaginary and contains(x, sp.I):
        return instead_of_part(expression, parts(x)[0])
    beyond = parts_beyond(x)
    return instead(x if beyond is None else beyond[0])


def rule_imaginary_part(context: Context, expression: Any) -> Plan:
    (x,) = expression.args
    if context.imaginary and contains(x, sp.I):
        return instead_of_part(expression, parts(x)[1])
    beyond = parts_beyond(x)
    return context.number(0) if beyond is None else instead(beyond[1])


def rule_abs(context: Context, expression: Any) -> Plan:
    (x,) = expression.args
    if context.imaginary and contains(x, sp.I):
        real, imaginary = parts(x)
        return Plan((real, imaginary), ops.hypot)
    if isinstance(x, sp.Pow) and not x.exp.is_integer:
        return instead(sp.Abs(x.base, evaluate=False) ** x.exp)  # also where the base is negative
    return Plan((x,), ops.abs_)


def rule_argument(context: Context, expression: Any) -> Plan:
    (x,) = expression.args
    if not (context.imaginary and contains(x, sp.I)):
        return Plan((x,), lambda term: ops.where(ops.lt(term, 0), PI, 0))
    real, imaginary = parts(x)
    return Plan((imaginary, real), ops.atan2)


def rule_same(context: Context, expression: Any) -> Plan:
    """Conjugate, adjoint, transpose of a real number; UnevaluatedExpr."""
    return instead(expression.args[0])


def rule_imaginary(context: Context, expression: Any) -> Plan:
    raise SurvivingImaginary


def rule_float(context: Context, expression: Any) -> Plan:
    try:
        return context.number(float(expression))
    except OverflowError:
        return context.number(INFINITY if expression > 0 else -INFINITY)


def rule_infinite(value: float) -> Rule:
    return lambda context, expression: context.number(value)


def rule_named_constant(context: Context, expression: Any) -> Plan:
    constant = next((c for c in NAMED_CONSTANTS if c.sympy is expression), None)
    return context.number(float(expression.evalf(20)) if constant is None else constant)


def rising(x: Term, k: Term) -> Any:
    """Γ(x + k)/Γ(x); through logarithms where Γ(x + k) of positive numbers would overflow."""
    by_logarithm = ops.exp(ops.loggamma(k) - ops.betaln(x, k))
    return ops.where(overflowing(x, k, x + k), by_logarithm, ops.gamma(x + k) / ops.gamma(x))


def overflowing(x: Term, y: Term, total: Term) -> Any:
    """Whether x and y are positive and Γ(total) of their sum is near the largest float."""
    return ops.logical_and(ops.logical_and(ops.gt(x, 0), ops.gt(y, 0)), ops.gt(total, LARGEST_GAMMA))


def binomial(n: Term, k: Term) -> Any:
    """Γ(n+1)/(Γ(k+1) Γ(n−k+1)); through logarithms, 1/((n + 1) B(n−k+1, k+1)), where Γ(n+1) would overflow."""
    rest, chosen = n - k + 1, k + 1
    by_logarithm = ops.exp(-ops.betaln(rest, chosen)) / (n + 1)
    plain = ops.gamma(n + 1) / (ops.gamma(chosen) * ops.gamma(rest))
    return ops.where(overflowing(rest, chosen, n + 1), by_logarithm, plain)


def exclusive(*terms: Term) -> Term:
    return functools.reduce(ops.logical_xor, terms)


def conjunction(*terms: Term) -> Term:
    return functools.reduce(ops.logical_and, terms)


def disjunction(*terms: Term) -> Term:
    return functools.reduce(ops.logical_or, terms)


def equivalent(*terms: Term) -> Term:
    pairs = itertools.pairwise(terms)
    return conjunction(*(ops.logical_not(ops.logical_xor(x, y)) for x, y in pairs))


def logic(formula: Callable[..., Any]) -> Rule:
    """A rule for a Boolean function of any number of truth values."""

    def rule(context: Context, expression: Any) -> Plan:
        def combine(*terms: Term) -> Any:
            for term in terms:
                apply_formula(expression, ops.logical_not, term)  # refuses a number
            return formula(*terms)

        return Plan(expression.args, combine)

    return rule


FUNCTIONS: dict[Any, Callable[..., Any]] = {
    **{row.sympy: row for row in OPERATIONS.values() if row.sympy is not None and not row.variadic},
    **{cls: row for row, cls in CLASSES.items()},
    sp.sec: lambda x: 1 / ops.cos(x),
    sp.csc: lambda x: 1 / ops.sin(x),
    sp.cot: lambda x: 1 / ops.tan(x),
    sp.asec: lambda x: ops.acos(1 / x),
    sp.acsc: lambda x: ops.asin(1 / x),
    sp.acot: lambda x: ops.atan(1 / x),
    sp.csch: lambda x: 1 / ops.sinh(x),
    sp.coth: lambda x: 1 / ops.tanh(x),
    sp.asech: lambda x: ops.acosh(1 / x),
    sp.acsch: lambda x: ops.asinh(1 / x),
    sp.acoth: lambda x: ops.atanh(1 / x),
    sp.frac: lambda x: x - ops.floor(x),
    sp.erf2: lambda x, y: ops.erf(y) - ops.erf(x),
    sp.factorial: lambda n: ops.gamma(n + 1),
    sp.RisingFactorial: rising,
    sp.FallingFactorial: lambda x, k: rising(x - k + 1, k),
    sp.trigamma: lambda x: ops.polygamma(1, x),
    sp.KroneckerDelta: lambda i, j: ops.where(ops.eq(i, j), 1, 0),
    cfunctions.fma: lambda x, y, z: x * y + z,
}

RULES: dict[Any, Rule] = {
    sp.Symbol: Context.leaf,
    sp.Indexed: Context.leaf,
    sp.Integer: lambda context, e: context.number(int(e)),
    sp.Rational: lambda context, e: context.number(Fraction(int(e.p), int(e.q))),
    sp.Float: rule_float,
    sp.core.numbers.NumberSymbol: rule_named_constant,
    sp.core.numbers.NaN: rule_infinite(NAN),
    sp.core.numbers.Infinity: rule_infinite(INFINITY),
    sp.core.numbers.NegativeInfinity: rule_infinite(-INFINITY),
    sp.core.numbers.ImaginaryUnit: rule_imaginary,
    sp.logic.boolalg.BooleanTrue: lambda context, e: context.number(True),
    sp.logic.boolalg.BooleanFalse: lambda context, e: context.number(False),
    sp.Add: rule_sum,
    sp.Mul: rule_product,
    sp.Pow: rule_power,
    sp.Min: rule_extreme(ops.minimum),
    sp.Max: rule_extreme(ops.maximum),
    sp.Piecewise: rule_piecewise,
    sp.Eq: rule_equality,
    sp.Ne: rule_equality,
    sp.And: logic(conjunction),
    sp.Or: logic(disjunction),
    sp.Xor: logic(exclusive),
    sp.Equivalent: logic(equivalent),
    sp.Implies: logic(lambda x, y: ops.logical_or(ops.logical_not(x), y)),
    sp.ITE: logic(
        lambda c, x, y: ops.logical_or(ops.logical_and(c, x), ops.logical_and(ops.logical_not(c), y)),
    ),
    sp.Contains: rule_contains,
    sp.Derivative: rule_doit,
    sp.Subs: rule_doit,
    sp.polygamma: rule_polygamma,
    sp.besselj: rule_order(ops.jv),
    sp.besseli: rule_order(ops.iv),
    sp.jn: rule_order(ops.spherical_jn),
    CLASSES[ops.erfc_ratio]: rule_order(ops.erfc_ratio),
    sp.LambertW: rule_lambert,
    sp.binomial: rule_binomial,
    sp.factorial2: rule_rewrite(sp.gamma),
    sp.catalan: rule_rewrite(sp.gamma),
    sp.SingularityFunction: rule_rewrite(sp.Piecewise),
    sp.re: rule_real_part,
    sp.im: rule_imaginary_part,
    sp.Abs: rule_abs,
    sp.arg: rule_argument,
    sp.conjugate: rule_same,
    sp.adjoint: rule_same,
    sp.transpose: rule_same,
    sp.UnevaluatedExpr: rule_same,
}

STRUCTURE: dict[type, Rule | None] = {}  # what `structure_rule` found

REFUSED: dict[Any, str] = {
    sp.core.numbers.ComplexInfinity: "it is a division by zero: check the expression where it was built",
    sp.Integral: "integrate first (expr.doit()), or sum over quadrature points",
    sp.Limit: "take the limit first (expr.doit())",
    sp.Order: "drop it with expr.removeO()",
    sp.DiracDelta: "the derivative of a step counts as zero here: leave the term out",
    sp.Lambda: "call it on its symbols first: fn(x)",
    sp.erfi: "it has no real row yet: use a series, or sp.erf where the argument allows",
    sp.Derivative: "it stays undone: the function inside is undefined; replace it by an expression or a symbol",
    sp.Subs: "it stays undone: the function inside is undefined; replace it by an expression or a symbol",
    AppliedUndef: "it is an undefined function: replace it by a symbol first, expr.subs(f(t), sp.Symbol('f'))",
    ExprCondPair: "it belongs inside a Piecewise",
}
