"""Common factors of the terms of a sum, and sub-products and sub-sums that several nodes share.

Both are greedy. Factoring is multivariate Horner: the factor that most terms share goes first. Sharing repeatedly names
the pair of operands that occurs together most often [Breuer, Generation of Optimal Code for Expressions via
Factorization, CACM 12 (1969)].
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any

from hybrid import operations as ops
from hybrid.graph import Graph
from hybrid.operations import VARIABLE, Operation
from hybrid.rewrite import Coefficient, Rewriter, rational, reduced
from hybrid.watch import UNWATCHED, Watch

WIDEST_PAIRED = 16  # operands of one node beyond which its pairs are not counted (they grow with the square)
WIDEST_FACTORED = 512
LARGEST_OPENED = 64  # a power beyond counts as one factor


def factor_sums(
    graph: Graph, roots: Sequence[int], kept: frozenset[int], watch: Watch = UNWATCHED, variables_last: bool = False
) -> list[int]:
    """Every sum with the factors its terms share pulled out, bottom up.

    Powers of variables may wait until no other factor is left: p²·(x + y) + q²·(x + 1) keeps what the chain rule made,
    where x first would take p² and q² apart.
    """
    order = graph.reach(roots)
    rewriter = Rewriter(graph, kept, graph.uses(order, roots))
    new: dict[int, int] = {}
    for node in watch.over(order):
        op, args = graph.ops[node], graph.args[node]
        if node in kept or not args:
            new[node] = node
            continue
        targets = tuple(new[arg] for arg in args)
        if op is ops.add and len(args) <= WIDEST_FACTORED:
            fixed = [
                target for arg, target in zip(args, targets, strict=True) if rewriter.shared(arg) or target in kept
            ]
            loose = [
                target
                for arg, target in zip(args, targets, strict=True)
                if not (rewriter.shared(arg) or target in kept)
            ]
            new[node] = Factoring(rewriter, variables_last).run(loose, fixed)
        else:
            new[node] = graph.add_node(op, targets)
        rewriter.stands_for(new[node], node)
    return [new[root] for root in roots]


Atoms = Counter[int]  # the factors of a term: a power x**3 counts as x three times, x**-2 as 1/x twice


class Factoring:
    """Pulls common factors out of one sum. Terms that are needed elsewhere anyway cost nothing here and are left."""

    def __init__(self, rewriter: Rewriter, variables_last: bool = False) -> None:
        self.r = rewriter
        self.variables_last = variables_last
        self.graph = rewriter.graph

    def run(self, loose: Sequence[int], fixed: Sequence[int]) -> int:
        terms = [self.atoms(node) for node in loose]
        return self.factor(terms, list(fixed))

    def atoms(self, node: int) -> tuple[Coefficient, Atoms]:
        coefficient, factors = self.r.gather([(node, 1, True)], 1)
        atoms: Atoms = Counter()
        for base, exponent in factors.items():
            for atom in self.r.power_atoms(base, exponent):
                self.add_atom(atoms, atom)
        return coefficient, atoms

    def add_atom(self, atoms: Atoms, atom: int) -> None:
        power = self.r.open_power(atom) if self.graph.ops[atom] is ops.pow else None
        if power is not None and isinstance(power[1], int) and abs(power[1]) <= LARGEST_OPENED:
            atoms[self.r.power(power[0], 1 if power[1] > 0 else -1)] += abs(power[1])
        else:
            atoms[atom] += 1

    def factor(self, terms: list[tuple[Coefficient, Atoms]], fixed: list[int]) -> int:
        """The sum of the terms (and of the nodes in `fixed`), factored."""
        while True:
            found = self.best(terms)
            if found is None:
                break
            group = [term for term in terms if found in term[1]]
            terms = [term for term in terms if found not in term[1]]
            common = group[0][1].copy()
            for _, atoms in group[1:]:
                common &= atoms
            scale = self.common_scale([coefficient for coefficient, _ in group])
            inner = [
                (reduced(Fraction(c) / scale if rational(c) and rational(scale) else c / scale), atoms - common)
                for c, atoms in group
            ]
            total = self.factor(inner, [])
            coefficient, more = self.atoms(total)
            for atom, count in more.items():
                common[atom] += count
            terms.append((reduced(coefficient * scale), common))
            if not fixed and len(terms) == 1:
                break
        return self.finish(terms, fixed)

    def best(self, terms: Sequence[tuple[Coefficient, Atoms]]) -> int | None:
        """The factor shared by the most terms; ties go to the one whose terms share most besides."""
        count: Counter[int] = Counter()
        for _, atoms in terms:
            count.update(atoms.keys())
        candidates = [(number, atom) for atom, number in count.items() if number > 1]
        if not candidates:
            return None
        if self.variables_last:
            candidates = [pair for pair in candidates if not self.of_variable(pair[1])] or candidates
        most = max(number for number, _ in candidates)
        finalists = sorted(atom for number, atom in candidates if number == most)
        return max(finalists[:8], key=lambda atom: (self.common_size(terms, atom), -atom))

    def of_variable(self, atom: int) -> bool:
        base = self.graph.args[atom][0] if self.graph.ops[atom] is ops.pow else atom
        return self.graph.ops[base] is VARIABLE

    @staticmethod
    def common_size(terms: Sequence[tuple[Coefficient, Atoms]], atom: int) -> int:
        group = [atoms for _, atoms in terms if atom in atoms]
        common = group[0].copy()
        for atoms in group[1:]:
            common &= atoms
        return sum(common.values())

    @staticmethod
    def common_scale(coefficients: Sequence[Coefficient]) -> Coefficient:
        """A number to pull out: the magnitude all coefficients share, with the sign most of them have."""
        size: Any = abs(coefficients[0])
        sign = -1 if sum(1 if c > 0 else -1 for c in coefficients) < 0 else 1
        return sign * size if all(abs(c) == size for c in coefficients) else sign

    def finish(self, terms: Sequence[tuple[Coefficient, Atoms]], fixed: Sequence[int]) -> int:
        scale: Coefficient = 1
        if not fixed and len(terms) > 1:
            scale = self.common_scale([coefficient for coefficient, _ in terms])
            if rational(scale) and all(rational(c) for c, _ in terms):
                terms = [(reduced(Fraction(c) / scale), atoms) for c, atoms in terms]
            else:
                scale = 1
        nodes: list[tuple[int, Any, bool]] = [(node, 1, False) for node in fixed]
        nodes += [(self.term(c, atoms), 1, False) for c, atoms in terms]
        total = self.r.sum(nodes)
        return total if scale == 1 else self.r.product([(total, 1, False)], scale)

    def term(self, coefficient: Coefficient, atoms: Atoms) -> int:
        return self.r.product([(atom, count, False) for atom, count in atoms.items()], coefficient)


# --- shared pairs -----------------------------------------------------------------------------------------------------
Item = tuple[int, int]  # operand node, and for sums its sign


def share_pairs(graph: Graph, roots: Sequence[int], kept: frozenset[int], watch: Watch = UNWATCHED) -> list[int]:
    """Name the pairs of operands that several products, then several sums, have in common."""
    for op in (ops.mul, ops.add):
        roots = Pairing(graph, op, kept).run(roots, watch)
    return list(roots)


class Pairing:
    """Greedy extraction of the most frequent operand pair among all n-ary nodes of one operation."""

    def __init__(self, graph: Graph, op: Operation, kept: frozenset[int]) -> None:
        self.graph = graph
        self.op = op
        self.kept = kept
        self.r = Rewriter(graph, kept)
        self.items: dict[int, set[Item]] = {}
        self.owners: dict[tuple[Item, Item], set[int]] = defaultdict(set)

    def run(self, roots: Sequence[int], watch: Watch = UNWATCHED) -> list[int]:
        order = self.graph.reach(roots)
        for node in watch.over(order):
            if (
                self.graph.ops[node] is self.op
                and len(self.graph.args[node]) <= WIDEST_PAIRED
                and node not in self.kept
            ):
                items = self.read(node)
                if items is not None:
                    self.items[node] = items
                    self.count(node, items)
        made = self.extract()
        return self.rebuild(order, roots, made)

    def read(self, node: int) -> set[Item] | None:
        """Operands as distinct items; None where one occurs twice (normal forms have none)."""
        args = self.graph.args[node]
        if self.op is ops.mul:
            items = {(arg, 1) for arg in args if self.r.number(arg) not in (1, -1)}
            expected = sum(1 for arg in args if self.r.number(arg) not in (1, -1))
        else:
            items = set()
            for arg in args:
                coefficient, monomial = self.r.split(arg)
                if coefficient < 0:
                    items.add((self.r.scaled(monomial, -coefficient), -1))
                else:
                    items.add((arg, 1))
            expected = len(args)
        return items if len(items) == expected else None

    def key(self, first: Item, second: Item) -> tuple[Item, Item]:
        """A pair in a fixed order, its first sign positive."""
        if second < first:
            first, second = second, first
        return ((first[0], 1), (second[0], first[1] * second[1]))

    def count(self, node: int, items: Iterable[Item]) -> None:
        listed = sorted(items)
        for i, first in enumerate(listed):
            for second in listed[i + 1 :]:
                self.owners[self.key(first, second)].add(node)

    def extract(self) -> dict[tuple[Item, Item], int]:
        """Replace pairs by stand-ins (negative numbers) until no pair occurs twice; the definitions, in order."""
        heap = [(-len(nodes), pair) for pair, nodes in self.owners.items() if len(nodes) > 1]
        heapq.heapify(heap)
        made: dict[tuple[Item, Item], int] = {}
        while heap:
            size, pair = heapq.heappop(heap)
            nodes = self.owners.get(pair, set())
            if len(nodes) != -size:
                if len(nodes) > 1:
                    heapq.heappush(heap, (-len(nodes), pair))
                continue
            stand_in = made[pair] = -1 - len(made)
            grown: set[tuple[Item, Item]] = set()
            for node in sorted(nodes):
                grown |= self.replace(node, pair, stand_in)
            for other in grown:
                if len(self.owners[other]) > 1:
                    heapq.heappush(heap, (-len(self.owners[other]), other))
        return made

    def replace(self, node: int, pair: tuple[Item, Item], stand_in: int) -> set[tuple[Item, Item]]:
        items = self.items[node]
        (first, _), (second, relative) = pair
        sign = 1 if (first, 1) in items else -1
        gone = {(first, sign), (second, sign * relative)}
        for old in sorted(items):
            for other in gone:
                if old != other:
                    owners = self.owners.get(self.key(old, other))
                    if owners is not None:
                        owners.discard(node)
        items -= gone
        new = (stand_in, sign if self.op is ops.add else 1)
        grown = set()
        for old in items:
            pair_key = self.key(old, new)
            self.owners[pair_key].add(node)
            grown.add(pair_key)
        items.add(new)
        return grown

    def rebuild(self, order: Sequence[int], roots: Sequence[int], made: dict[tuple[Item, Item], int]) -> list[int]:
        definition = {stand_in: pair for pair, stand_in in made.items()}
        new: dict[int, int] = {}
        resolved: dict[int, int] = {}
        for node in order:
            op, args = self.graph.ops[node], self.graph.args[node]
            if node in self.kept or not args:
                new[node] = node
            elif node in self.items and any(item[0] < 0 for item in self.items[node]):
                new[node] = self.combine(node, new, resolved, definition)
            else:
                new[node] = self.graph.add_node(op, tuple(new[arg] for arg in args))
        return [new[root] for root in roots]

    def combine(self, node: int, new: dict[int, int], resolved: dict[int, int], definition: dict[int, Any]) -> int:
        operands = [self.resolve(item, new, resolved, definition) for item in sorted(self.items[node])]
        if self.op is ops.mul:
            unit = [arg for arg in self.graph.args[node] if self.r.number(arg) == -1]
            operands = [new.get(arg, arg) for arg in unit] + operands
        return operands[0] if len(operands) == 1 else self.graph.add_node(self.op, tuple(operands))

    def resolve(self, item: Item, new: dict[int, int], resolved: dict[int, int], definition: dict[int, Any]) -> int:
        stack = [item[0]]
        while stack:
            top = stack[-1]
            if top >= 0 or top in resolved:
                stack.pop()
                continue
            pair = definition[top]
            waiting = [part for part, _ in pair if part < 0 and part not in resolved]
            if waiting:
                stack += waiting
                continue
            operands = tuple(self.signed(part, sign, new, resolved) for part, sign in pair)
            resolved[top] = self.graph.add_node(self.op, operands)
            stack.pop()
        return self.signed(item[0], item[1], new, resolved)

    def signed(self, part: int, sign: int, new: dict[int, int], resolved: dict[int, int]) -> int:
        node = resolved[part] if part < 0 else self.current(part, new)
        return node if sign > 0 else self.r.scaled(node, -1)

    def current(self, node: int, new: dict[int, int]) -> int:
        """The rewritten form of an operand, also of one that `read` made by stripping a sign."""
        if node in new:
            return new[node]
        built = (
            self.graph.add_node(self.graph.ops[node], tuple(self.current(arg, new) for arg in self.graph.args[node]))
            if self.graph.args[node]
            else node
        )
        new[node] = built
        return built
