"""Forms of a node that may be more accurate than the one it is written in: the identities, found by structure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from math import isqrt
from typing import Any

from hybrid import operations as ops
from hybrid.graph import Graph, Term
from hybrid.operations import HALF, Operation
from hybrid.rewrite import Rewriter, rational

LARGEST_SUM = 24  # terms; in longer sums no pairs are looked for

Form = tuple[int, Sequence[int]]  # the node, and the nodes that it and what it stands for are computed from
Rule = Callable[[Term], Any]

# 1 − g(u), and g(u) + 1.
FROM_ONE: dict[Operation, Rule] = {
    ops.cos: lambda u: 2 * ops.sin(HALF * u) ** 2,
    ops.cosh: lambda u: -2 * sinh_of_half(u) ** 2,
    ops.exp: lambda u: -ops.expm1(u),
    ops.erf: lambda u: ops.erfc(u),
    ops.erfc: lambda u: ops.erf(u),
    ops.ndtr: lambda u: ops.ndtr(-u),
    ops.expit: lambda u: ops.expit(-u),
}
TO_ONE: dict[Operation, Rule] = {
    ops.cos: lambda u: 2 * ops.cos(HALF * u) ** 2,
    ops.erf: lambda u: ops.erfc(-u),
    ops.expm1: lambda u: ops.exp(u),
}
# 1 − g(u)².
SQUARE_FROM_ONE: dict[Operation, Rule] = {
    ops.sin: lambda u: ops.cos(u) ** 2,
    ops.cos: lambda u: ops.sin(u) ** 2,
    ops.tanh: lambda u: ops.sech(u) ** 2,
    ops.sech: lambda u: ops.tanh(u) ** 2,
    ops.cosh: lambda u: -(ops.sinh(u) ** 2),
}
# g(u) − g(v).
DIFFERENCES: dict[Operation, Callable[[Term, Term, Term], Any]] = {
    ops.exp: lambda u, v, less: ops.exp(v) * ops.expm1(less),
    ops.log: lambda u, v, less: ops.log(u / v),
    ops.cos: lambda u, v, less: -2 * ops.sin(HALF * (u + v)) * ops.sin(HALF * less),
    ops.sin: lambda u, v, less: 2 * ops.cos(HALF * (u + v)) * ops.sin(HALF * less),
    ops.sqrt: lambda u, v, less: less / (ops.sqrt(u) + ops.sqrt(v)),
    ops.atan: lambda u, v, less: ops.atan2(less, 1 + u * v),
}
# log g(u).
LOGARITHMS: dict[Operation, Rule] = {
    ops.gamma: lambda u: ops.loggamma(u),
    ops.ndtr: lambda u: ops.log_ndtr(u),
    ops.expit: lambda u: -ops.softplus(-u),
    ops.exp: lambda u: u,
    ops.cosh: lambda u: ops.log1p(2 * sinh_of_half(u) ** 2),
}


def sinh_of_half(u: Term) -> Any:
    return ops.sinh(HALF * u)


class Forms:
    """Other forms of nodes of a graph, each with the nodes that it has in common with what it stands for."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.rewriter = Rewriter(graph)
        self.one = graph.constant(1)

    def term(self, node: int) -> Term:
        return Term(self.graph, node)

    def of(self, node: int) -> Iterator[Form]:
        for form, operands in self.found(node):
            yield form, [base for operand in operands for base in self.factors(operand)]

    def found(self, node: int) -> Iterator[Form]:
        op = self.graph.ops[node]
        if op in (ops.add, ops.sub, ops.neg):
            yield from self.of_sum(node)
        elif op is ops.log or op is ops.log1p:
            yield from self.of_logarithm(node)
        elif op is ops.sqrt or (op is ops.pow and self.rewriter.number(self.graph.args[node][1]) in (HALF, 0.5)):
            yield from self.of_root(node)
        elif op is ops.div or (op is ops.pow and self.rewriter.number(self.graph.args[node][1]) == -1):
            yield from self.of_quotient(node)
        elif op is ops.mul:
            yield from self.of_product(node)

    # --- reading ------------------------------------------------------------------------------------------------------
    def terms(self, node: int) -> dict[int, Any]:
        """The terms of a sum, sums in it opened: monomial to coefficient, the constant under the node 1."""
        found: dict[int, Any] = {}
        stack: list[tuple[int, Any]] = [(node, 1)]
        while stack:
            part, scale = stack.pop()
            opened = self.rewriter.open_sum(part)
            if opened is not None:
                stack += [(arg, scale * c) for arg, c in opened]
            elif self.graph.ops[part] is ops.neg:
                stack.append((self.graph.args[part][0], -scale))
            else:
                c, monomial = self.monomial(part)
                found[monomial] = found.get(monomial, 0) + scale * c
        return {monomial: c for monomial, c in found.items() if c != 0}

    def monomial(self, node: int) -> tuple[Any, int]:
        """A coefficient and the product of the other factors in normal form."""
        coefficient, factors = self.rewriter.gather([(node, 1, True)], 1)
        return coefficient, self.rewriter.build_product(1, factors)

    def factors(self, node: int) -> dict[int, Any]:
        return self.rewriter.gather([(node, 1, True)], 1)[1]

    def sum(self, terms: dict[int, Any]) -> int:
        return self.rewriter.sum((monomial, c, False) for monomial, c in terms.items())

    def difference(self, u: int, v: int) -> int:
        """u − v, terms that are in both gone."""
        terms = self.terms(u)
        for monomial, c in self.terms(v).items():
            terms[monomial] = terms.get(monomial, 0) - c
        return self.sum({monomial: c for monomial, c in terms.items() if c != 0})

    def beneath_difference(self, u: int, v: int) -> list[int]:
        """The nodes that u, v and their difference are computed from: themselves, unless they have terms in common."""
        theirs, others = self.terms(u), self.terms(v)
        return [u, v] if theirs.keys().isdisjoint(others) else [*theirs, *others]

    def built(self, result: Any) -> int:
        return result.node if isinstance(result, Term) else self.graph.lift(result).node

    # --- sums ---------------------------------------------------------------------------------------------------------
    def of_sum(self, node: int) -> Iterator[Form]:
        terms = self.terms(node)
        if not 1 < len(terms) <= LARGEST_SUM:
            return
        for monomial, coefficient in terms.items():
            for found, gone, operands in self.pairs(terms, monomial, coefficient):
                rest = {m: c for m, c in terms.items() if m not in (monomial, gone)}
                form = found if not rest else self.graph.add_node(ops.add, (self.sum(rest), found))
                yield form, [*operands, *rest]

    def pairs(self, terms: dict[int, Any], monomial: int, coefficient: Any) -> Iterator[tuple[int, int, list[int]]]:
        """What a term and another one (the second result) are together, and from what."""
        factors = self.factors(monomial)
        for base, exponent in factors.items():
            others = {b: e for b, e in factors.items() if b != base}
            rest = self.rewriter.build_product(1, others)
            op, args = self.graph.ops[base], self.graph.args[base]
            found = None
            if terms.get(rest) == -coefficient:
                found = self.from_one(op, args, base, exponent)
            elif terms.get(rest) == coefficient and exponent == 1 and op in TO_ONE:
                found = -self.term(self.built(TO_ONE[op](self.term(args[0]))))
            if found is not None:
                named = (op in FROM_ONE or op in TO_ONE) if exponent == 1 else exponent == 2 and op in SQUARE_FROM_ONE
                inside = base if exponent != 1 or named else args[0]
                common = list(args) if named else [*args[1:], *self.beneath_difference(inside, self.one)]
                whole = self.rewriter.product([(rest, 1, False), (self.built(found), 1, False)], -coefficient)
                yield whole, rest, [*common, *others]
            yield from self.with_twin(terms, monomial, coefficient, base, exponent, others)

    def from_one(self, op: Operation, args: Sequence[int], base: int, exponent: Any) -> Any:
        """1 − base**exponent."""
        if exponent == 1 and op in FROM_ONE:
            return FROM_ONE[op](self.term(args[0]))
        if exponent == 2:
            if op in SQUARE_FROM_ONE:
                return SQUARE_FROM_ONE[op](self.term(args[0]))
            return (1 - self.term(base)) * (1 + self.term(base))
        if exponent == HALF:
            return self.term(self.difference(self.one, base)) / (1 + ops.sqrt(self.term(base)))
        if exponent == 1 and op is not ops.pow:
            return None
        base, power = (args[0], self.term(args[1])) if exponent == 1 else (base, self.graph.lift(exponent))
        return -ops.expm1(power * ops.log1p(self.term(self.difference(base, self.one))))

    def with_twin(
        self, terms: dict[int, Any], monomial: int, coefficient: Any, base: int, exponent: Any, others: dict[int, Any]
    ) -> Iterator[tuple[int, int, list[int]]]:
        """A difference of two values of one function, and of two powers."""
        op = self.graph.ops[base]
        for other, c in terms.items():
            if other <= monomial or c != -coefficient:
                continue
            theirs = self.factors(other)
            for twin, power in theirs.items():
                if power != exponent or {b: e for b, e in theirs.items() if b != twin} != others:
                    continue
                found = self.of_two(op, base, twin, exponent)
                if found is None:
                    continue
                parts = [(self.built(found), 1, False), *((b, e, False) for b, e in others.items())]
                u, v = (self.graph.args[n][0] if exponent == 1 else n for n in (base, twin))
                common = self.beneath_difference(u, v)
                yield self.rewriter.product(parts, coefficient), other, [*common, *others]

    def of_two(self, op: Operation, base: int, twin: int, exponent: Any) -> Any:
        """base**exponent − twin**exponent."""
        u, v = self.term(base), self.term(twin)
        if exponent == 1:
            if self.graph.ops[twin] is not op or op not in DIFFERENCES:
                return None
            u, v = (self.term(self.graph.args[n][0]) for n in (base, twin))
            return DIFFERENCES[op](u, v, self.term(self.difference(u.node, v.node)))
        less = self.term(self.difference(base, twin))
        if exponent == 2:
            return less * (u + v)
        if exponent == HALF:
            return less / (ops.sqrt(u) + ops.sqrt(v))
        if exponent == -1:
            return -(less / (u * v))
        return None

    # --- logarithms ---------------------------------------------------------------------------------------------------
    def of_logarithm(self, node: int) -> Iterator[Form]:
        """log(1 + u), log Σ c_k e^(a_k), and logarithms of functions that have one of their own."""
        [inside] = self.graph.args[node]
        plus_one = self.graph.ops[node] is ops.log1p
        terms = self.terms(inside)
        if plus_one:
            terms[self.one] = terms.get(self.one, 0) + 1
        exponents = self.exponents(terms)
        if exponents is not None and len(exponents) > 1:
            total = exponents[0]
            for exponent in exponents[1:]:
                total = self.added(total, exponent)
            yield total.node, self.beneath(terms)
        if not plus_one and terms.get(self.one) == 1 and len(terms) > 1:
            rest = {m: c for m, c in terms.items() if m != self.one}
            yield ops.log1p(self.term(self.sum(rest))).node, list(rest)
        op, args = self.graph.ops[inside], self.graph.args[inside]
        if not plus_one and op in LOGARITHMS:
            yield self.built(LOGARITHMS[op](self.term(args[0]))), list(args)
        if not plus_one and len(terms) == 1:
            [(monomial, c)] = terms.items()
            base = self.factors(monomial)
            if c == HALF and self.graph.ops[monomial] is ops.erfc:
                [u] = self.graph.args[monomial]
                yield ops.log_ndtr(self.term(u) * -ops.sqrt(self.graph.lift(2))).node, [u]
            elif c == 1 and len(base) == 2 and sorted(base.values()) == [-1, 1]:
                above, below = sorted(base, key=lambda b: -base[b])
                if self.difference(self.one, below) == above:
                    yield ops.logit(self.term(above)).node, [above]
                less = self.term(self.difference(above, below))
                yield ops.log1p(less / self.term(below)).node, [above, below]
                yield (ops.log(self.term(above)) - ops.log(self.term(below))).node, [above, below]

    def exponents(self, terms: dict[int, Any]) -> list[Term] | None:
        """a_k + log c_k of Σ c_k e^(a_k), None if it is something else."""
        found = []
        for monomial, c in terms.items():
            if not c > 0:
                return None
            parts = [] if c == 1 else [self.logarithm(c)]
            if monomial != self.one:
                for base, power in self.factors(monomial).items():
                    if self.graph.ops[base] is not ops.exp:
                        return None
                    parts.append(power * self.term(self.graph.args[base][0]))
            found.append(sum(parts[1:], parts[0]) if parts else self.graph.lift(0))
        return found if any(m != self.one for m in terms) else None

    def logarithm(self, number: Any) -> Term:
        value: Term = self.graph.lift(0) if number == 1 else ops.log(self.graph.lift(number))
        return value

    def added(self, first: Term, second: Term) -> Term:
        """log(e^a + e^b)."""
        if first.constant == 0 or second.constant == 0:
            row: Term = ops.softplus(second if first.constant == 0 else first)
            return row
        both: Term = ops.logaddexp(first, second)
        return both

    def beneath(self, terms: dict[int, Any]) -> list[int]:
        bases = [base for monomial in terms if monomial != self.one for base in self.factors(monomial)]
        return [self.graph.args[base][0] for base in bases]

    # --- roots --------------------------------------------------------------------------------------------------------
    def of_root(self, node: int) -> Iterator[Form]:
        """√(x² + y² + …), constants that are squares among the terms."""
        inside = self.graph.args[node][0]
        terms = self.terms(inside)
        if not 1 < len(terms) <= LARGEST_SUM:
            return
        sides = [self.root_of(monomial, c) for monomial, c in terms.items()]
        if any(side is None for side in sides):
            return
        total: Any = sides[0]
        for side in sides[1:]:
            total = ops.hypot(total, side)
        bases = [base for monomial in terms if monomial != self.one for base in self.factors(monomial)]
        if bases:
            yield self.built(total), bases

    def root_of(self, monomial: int, coefficient: Any) -> Any:
        """The root of a term that is a square; None if it is none."""
        if not rational(coefficient) or coefficient <= 0:
            return None
        factors = {} if monomial == self.one else self.factors(monomial)
        if any(not isinstance(power, int) or power % 2 for power in factors.values()):
            return None
        value = Fraction(coefficient)
        roots = isqrt(value.numerator), isqrt(value.denominator)
        exact = roots[0] ** 2 == value.numerator and roots[1] ** 2 == value.denominator
        scale: Any = Fraction(*roots) if exact else ops.sqrt(self.graph.lift(coefficient))
        if not factors:
            return self.graph.lift(scale) if exact else scale
        side = self.term(self.rewriter.build_product(1, {base: power // 2 for base, power in factors.items()}))
        return side if exact and scale == 1 else scale * side

    # --- quotients and products ---------------------------------------------------------------------------------------
    def of_quotient(self, node: int) -> Iterator[Form]:
        """Logistic functions, 1/(1 + e^u) and e^a/(e^a + e^b + …), and tanh from exponentials."""
        args = self.graph.args[node]
        above, below = (args[0], args[1]) if self.graph.ops[node] is ops.div else (self.one, args[0])
        below_terms, above_terms = self.terms(below), self.terms(above)
        exponents = self.exponents(below_terms)
        if exponents is None or len(exponents) < 2:
            return
        operands = self.beneath(below_terms)
        if len(above_terms) == 1:
            single = self.exponents(above_terms)
            if single is not None or above_terms.keys() == {self.one}:
                share = single[0] if single else self.logarithm(above_terms[self.one])
                yield from self.logistic(share, exponents, [*operands, *self.beneath(above_terms)])
            elif len(exponents) == 2 and below_terms.get(self.one) == 1:
                inside = next(e for e in exponents if e.constant != 0)
                yield (self.term(above) * ops.expit(-inside)).node, [above, *operands]
        if len(below_terms) == 2 == len(above_terms):
            yield from self.hyperbolic(above_terms, below_terms, operands)

    def logistic(self, share: Term, exponents: Sequence[Term], operands: Sequence[int]) -> Iterator[Form]:
        others = [e for e in exponents if e.node != share.node]
        if len(others) == len(exponents):
            return
        total = others[0]
        for exponent in others[1:]:
            total = self.added(total, exponent)
        yield ops.expit(self.term(self.difference(share.node, total.node))).node, operands

    def hyperbolic(self, above: dict[int, Any], below: dict[int, Any], operands: Sequence[int]) -> Iterator[Form]:
        """(e^a − e^b)/(e^a + e^b) = tanh((a − b)/2)."""
        if above.keys() != below.keys() or sorted(above.values()) != [-1, 1] or set(below.values()) != {1}:
            return
        first, second = sorted(above, key=lambda m: -above[m])
        [u], [v] = (self.exponents({monomial: 1}) or [self.graph.lift(0)] for monomial in (first, second))
        half = self.rewriter.product([(self.difference(u.node, v.node), 1, True)], HALF)
        yield ops.tanh(self.term(half)).node, operands

    def of_product(self, node: int) -> Iterator[Form]:
        """e^(u²) erfc u = erfcx u."""
        coefficient, factors = self.rewriter.gather([(node, 1, True)], 1)
        for base, power in factors.items():
            if self.graph.ops[base] is not ops.erfc or power != 1:
                continue
            [u] = self.graph.args[base]
            square = self.rewriter.product([(u, 2, True)])
            for other, exponent in factors.items():
                if self.graph.ops[other] is not ops.exp or exponent != 1:
                    continue
                [w] = self.graph.args[other]
                if self.rewriter.product([(w, 1, True)]) == square:
                    rest = {b: e for b, e in factors.items() if b not in (base, other)}
                    scaled = ops.erfcx(self.term(u)).node
                    parts = [(scaled, 1, False), *((b, e, False) for b, e in rest.items())]
                    yield self.rewriter.product(parts, coefficient), [u, *rest]
