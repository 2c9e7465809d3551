"""SymPy's matrix expressions, entry by entry: products are sums of products, inverses are systems of equations.

Only what an entry needs is converted, and each entry once. `A⁻¹ b` is one system, `A⁻¹` one per column, all with the
same factors; determinants come from the factors too. Nothing is expanded into cofactors beyond 3×3.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import sympy as sp
from sympy.matrices.expressions.hadamard import HadamardPower
from sympy.matrices.expressions.matexpr import MatrixElement
from sympy.matrices.expressions.slice import MatrixSlice

from hybrid.graph import Term
from hybrid.sympy_rules import RULES, Context, Plan, combine_sum, instead, power_of_terms, product, refuse
from hybrid.systems import COFACTORS, factorise, linear_system, small_determinant

Entry = Callable[[Context, Any, int, int], Plan]


def entry(context: Context, matrix: Any, i: int, j: int) -> Any:
    """One entry as a SymPy expression, always the same object for the same entry."""
    while True:
        if isinstance(matrix, sp.Transpose):
            matrix, i, j = matrix.arg, j, i
        elif isinstance(matrix, MatrixSlice):
            i, j = (int(part[0]) + k * int(part[2]) for part, k in ((matrix.rowslice, i), (matrix.colslice, j)))
            matrix = matrix.parent
        elif isinstance(matrix, sp.BlockMatrix):
            matrix, i, j = block(matrix, i, j)
        else:
            break
    if isinstance(matrix, sp.Identity):
        return sp.S.One if i == j else sp.S.Zero
    if isinstance(matrix, sp.ZeroMatrix):
        return sp.S.Zero
    key = (matrix, i, j)
    if key not in context.entries:
        explicit = isinstance(matrix, sp.MatrixBase)
        context.entries[key] = matrix[i, j] if explicit else MatrixElement(matrix, sp.Integer(i), sp.Integer(j))
    return context.entries[key]


def block(matrix: Any, i: int, j: int) -> tuple[Any, int, int]:
    """The block that holds an entry, and the entry's place in it."""
    places = []
    for sizes, place in ((matrix.rowblocksizes, i), (matrix.colblocksizes, j)):
        number = 0
        while place >= int(sizes[number]):
            place -= int(sizes[number])
            number += 1
        places.append((number, place))
    (row, i), (column, j) = places
    return matrix.blocks[row, column], i, j


def square_entries(context: Context, matrix: Any, expression: Any) -> tuple[int, list[Any]]:
    rows, columns = map(sp.sympify, matrix.shape)
    if not rows.is_Integer or rows != columns:
        refuse(expression)
    n = int(rows)
    return n, [entry(context, matrix, i, j) for i in range(n) for j in range(n)]


def rule_matrix_element(context: Context, expression: Any) -> Plan:
    parent = expression.parent
    if expression in context.leaves or isinstance(parent, sp.MatrixSymbol):
        return context.leaf(expression)
    if not (expression.i.is_Integer and expression.j.is_Integer):
        return refuse(expression)
    i, j = int(expression.i), int(expression.j)
    rule = next((ENTRIES[cls] for cls in type(parent).__mro__ if cls in ENTRIES), None)
    if rule is not None:
        return rule(context, parent, i, j)
    other = entry(context, parent, i, j)
    return instead(other if other is not expression and other != expression else parent.as_explicit()[i, j])


def sum_entry(context: Context, matrix: Any, i: int, j: int) -> Plan:
    terms = [part for part in (entry(context, arg, i, j) for arg in matrix.args) if part is not sp.S.Zero]
    return Plan(terms, combine_sum) if terms else context.number(0)


def product_entry(context: Context, matrix: Any, i: int, j: int) -> Plan:
    coefficient, factors = matrix.as_coeff_matrices()
    if not factors:
        return instead(coefficient)
    first, others = factors[0], factors[1:]
    if coefficient is not sp.S.One:
        inner = entry(context, joined(factors), i, j)
        return Plan((coefficient, inner), lambda x, y: product([x, y]))
    rest = joined(others)
    if isinstance(first, sp.Inverse):
        return solved_entry(context, first.arg, [entry(context, rest, k, j) for k in range(int(first.shape[0]))], i)
    pairs = [(entry(context, first, i, k), entry(context, rest, k, j)) for k in range(int(first.shape[1]))]
    pairs = [pair for pair in pairs if sp.S.Zero not in pair]
    if not pairs:
        return context.number(0)

    def combine(*terms: Term) -> Term:
        one, other = terms[: len(pairs)], terms[len(pairs) :]
        return combine_sum(*(times(x, y) for x, y in zip(one, other, strict=True)))

    return Plan((*(x for x, _ in pairs), *(y for _, y in pairs)), combine)


def times(x: Term, y: Term) -> Term:
    if x.constant == 1:
        return y
    return x if y.constant == 1 else product([x, y])


def joined(factors: Sequence[Any]) -> Any:
    return factors[0] if len(factors) == 1 else sp.MatMul(*factors, evaluate=False)


def solved_entry(context: Context, matrix: Any, right: Sequence[Any], i: int) -> Plan:
    """Entry i of the solution of a system."""
    n, entries = square_entries(context, matrix, matrix)

    def combine(*terms: Term) -> Term:
        nodes = linear_system(n).nodes(context.graph, tuple(term.node for term in terms))
        return Term(context.graph, nodes[i])

    return Plan((*entries, *right), combine)


def inverse_entry(context: Context, matrix: Any, i: int, j: int) -> Plan:
    unit = [sp.S.One if k == j else sp.S.Zero for k in range(int(matrix.shape[0]))]
    return solved_entry(context, matrix.arg, unit, i)


def power_entry(context: Context, matrix: Any, i: int, j: int) -> Plan:
    base, exponent = matrix.base, matrix.exp
    if not exponent.is_Integer:
        return refuse(matrix)
    if exponent == 0:
        return context.number(int(i == j))
    if exponent < 0:
        return inverse_entry(context, sp.Inverse(whole_power(base, -int(exponent))), i, j)
    half = int(exponent) // 2
    if not half:
        return instead(entry(context, base, i, j))
    factors = [whole_power(base, half), whole_power(base, int(exponent) - half)]
    return product_entry(context, joined(factors), i, j)


def whole_power(base: Any, exponent: int) -> Any:
    return base if exponent == 1 else sp.MatPow(base, sp.Integer(exponent))


def hadamard_entry(context: Context, matrix: Any, i: int, j: int) -> Plan:
    return Plan([entry(context, arg, i, j) for arg in matrix.args], lambda *terms: product(terms))


def hadamard_power_entry(context: Context, matrix: Any, i: int, j: int) -> Plan:
    return Plan((entry(context, matrix.base, i, j), matrix.exp), power_of_terms)


ENTRIES: dict[type, Entry] = {
    sp.MatAdd: sum_entry,
    sp.MatMul: product_entry,
    sp.Inverse: inverse_entry,
    sp.MatPow: power_entry,
    sp.HadamardProduct: hadamard_entry,
    HadamardPower: hadamard_power_entry,
}


def rule_trace(context: Context, expression: Any) -> Plan:
    n, entries = square_entries(context, expression.arg, expression)
    return Plan(entries[:: n + 1], combine_sum)


def rule_determinant(context: Context, expression: Any) -> Plan:
    n, entries = square_entries(context, expression.arg, expression)

    def combine(*terms: Term) -> Term:
        graph = context.graph
        rows = [[term.node for term in terms[row * n : (row + 1) * n]] for row in range(n)]
        node = small_determinant(graph, rows) if n <= COFACTORS else factorise(graph, rows).determinant()
        return Term(graph, node)

    return Plan(entries, combine)


RULES.update({MatrixElement: rule_matrix_element, sp.Trace: rule_trace, sp.Determinant: rule_determinant})
