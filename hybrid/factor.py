"""Common factors of the terms of a sum, and sub-products and sub-sums that several nodes share.

Both are greedy. Factoring is multivariate Horner: the factor that most terms share goes first. Sharing repeatedly names
the pair of operands that occurs together most often [Breuer, Generation of Optimal Code for Expressions via
Factorization, CACM 12 (1969)].
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from hybrid import operations as ops
from hybrid.graph import Graph
from hybrid.known import Known
from hybrid.operations import VARIABLE, Operation
from hybrid.rewrite import Coefficient, Rewriter, rational, reduced
from hybrid.watch import UNWATCHED, Watch

WIDEST_PAIRED = 16  # operands of one node beyond which its pairs are not counted (they grow with the square)
WIDEST_FACTORED = 512
LARGEST_OPENED = 64  # a power beyond counts as one factor


def factor_sums(
    graph: Graph,
    roots: Sequence[int],
    kept: frozenset[int],
    watch: Watch = UNWATCHED,
    variables_last: bool = False,
    known: Known | None = None,
) -> list[int]:
    """Every sum with the factors its terms share pulled out, bottom up.

    Powers of variables may wait until no other factor is left: p²·(x + y) + q²·(x + 1) keeps what the chain rule made,
    where x first would take p² and q² apart.
    """
    known = known or Known(graph)
    order = known.reach(roots)
    rewriter = known.rewriter(kept, graph.uses(order, roots))
    factoring = Factoring(rewriter, variables_last)
    forms = known.of("factored, variables last" if variables_last else "factored", kept)
    graph_ops, graph_args = graph.ops, graph.args
    new: dict[int, int] = {}
    for node in watch.over(order):
        op, args = graph_ops[node], graph_args[node]
        if node in kept or not args:
            new[node] = node
            continue
        targets = tuple([new[arg] for arg in args])
        if op is ops.add and len(args) <= WIDEST_FACTORED:
            fixed: list[int] = []
            loose: list[int] = []
            for arg, target in zip(args, targets, strict=True):
                (fixed if rewriter.shared(arg) or target in kept else loose).append(target)
            key = tuple(loose), tuple(fixed)
            made = rewriter.recall(forms, key)
            if made is None:
                made = factoring.run(loose, fixed)
                rewriter.remember(forms, key, made)
        else:
            made = node if targets == args else graph.add_node(op, targets)
        new[node] = made
        rewriter.stands_for(made, node)
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
# An operand with its sign is one number, twice the node and 1 for plus; a pair of operands is one number too. Both are
# in the order of the nodes, also where these are stand-ins, negative numbers.
HALF = 1 << 40


def operand(node: int, sign: int) -> int:
    return 2 * node + (sign > 0)


def pair_of(first: int, second: int) -> int:
    """Two operands in a fixed order, the sign of the first positive."""
    if second < first:
        first, second = second, first
    if not first & 1:
        first, second = first + 1, second ^ 1
    return 2 * HALF * first + second


def parts_of(pair: int) -> tuple[int, int]:
    second = (pair + HALF) % (2 * HALF) - HALF
    return (pair - second) // (2 * HALF), second


def share_pairs(
    graph: Graph,
    roots: Sequence[int],
    kept: frozenset[int],
    watch: Watch = UNWATCHED,
    known: Known | None = None,
) -> list[int]:
    """Name the pairs of operands that several products, then several sums, have in common."""
    known = known or Known(graph)
    for op in (ops.mul, ops.add):
        roots = Pairing(known, op, kept).run(roots, watch)
    return list(roots)


class Pairing:
    """Greedy extraction of the most frequent operand pair among all n-ary nodes of one operation."""

    def __init__(self, known: Known, op: Operation, kept: frozenset[int]) -> None:
        self.known = known
        self.graph = known.graph
        self.op = op
        self.kept = kept
        self.r = known.rewriter(kept)
        self.operands: dict[int, set[int]] = {}
        self.often: dict[int, set[int]] = {}  # those of them that other nodes have too
        self.owners: dict[int, set[int]] = defaultdict(set)

    def run(self, roots: Sequence[int], watch: Watch = UNWATCHED) -> list[int]:
        order = self.known.reach(roots)
        ops_of, args_of = self.graph.ops, self.graph.args
        read = self.known.of("factors" if self.op is ops.mul else "terms", self.kept)
        lists: dict[int, tuple[int, ...]] = {}
        for node in watch.over(order):
            if ops_of[node] is self.op and len(args_of[node]) <= WIDEST_PAIRED and node not in self.kept:
                if node not in read:
                    read[node] = self.read(node)
                if read[node] is not None:
                    lists[node] = read[node]
        occurrences = Counter(item >> 1 for listed in lists.values() for item in listed)
        for node, listed in lists.items():
            often = [item for item in listed if occurrences[item >> 1] > 1]
            if len(often) > 1:
                self.operands[node], self.often[node] = set(listed), set(often)
                for i, first in enumerate(often):
                    for second in often[i + 1 :]:
                        self.owners[pair_of(first, second)].add(node)
        made = self.extract()
        return self.rebuild(order, roots, made) if made else list(roots)

    def read(self, node: int) -> tuple[int, ...] | None:
        """Distinct operands in order; None where one occurs twice (normal forms have none)."""
        args = self.graph.args[node]
        if self.op is ops.mul:
            found = [operand(arg, 1) for arg in args if self.r.number(arg) not in (1, -1)]
        else:
            found = []
            for arg in args:
                coefficient, monomial = self.r.split(arg)
                if coefficient < 0:
                    found.append(operand(self.r.scaled(monomial, -coefficient), -1))
                else:
                    found.append(operand(arg, 1))
        items = tuple(sorted(set(found)))
        return items if len(items) == len(found) else None

    def extract(self) -> dict[int, int]:
        """Replace pairs by stand-ins (negative numbers) until no pair occurs twice; the definitions, in order."""
        heap = [(-len(nodes), pair) for pair, nodes in self.owners.items() if len(nodes) > 1]
        heapq.heapify(heap)
        made: dict[int, int] = {}
        while heap:
            size, pair = heapq.heappop(heap)
            nodes = self.owners.get(pair, set())
            if len(nodes) != -size:
                if len(nodes) > 1:
                    heapq.heappush(heap, (-len(nodes), pair))
                continue
            stand_in = made[pair] = -1 - len(made)
            grown: set[int] = set()
            for node in sorted(nodes):
                grown |= self.replace(node, pair, stand_in)
            for other in grown:
                if len(self.owners[other]) > 1:
                    heapq.heappush(heap, (-len(self.owners[other]), other))
        return made

    def replace(self, node: int, pair: int, stand_in: int) -> set[int]:
        often = self.often[node]
        first, second = parts_of(pair)
        sign = 1 if first in often else -1
        gone = {first, second} if sign > 0 else {first ^ 1, second ^ 1}
        for old in often:
            for other in gone:
                if old != other:
                    owners = self.owners.get(pair_of(old, other))
                    if owners is not None:
                        owners.discard(node)
        often -= gone
        self.operands[node] -= gone
        new = operand(stand_in, sign if self.op is ops.add else 1)
        grown = set()
        for old in often:
            other = pair_of(old, new)
            self.owners[other].add(node)
            grown.add(other)
        often.add(new)
        self.operands[node].add(new)
        return grown

    def rebuild(self, order: Sequence[int], roots: Sequence[int], made: dict[int, int]) -> list[int]:
        definition = {stand_in: parts_of(pair) for pair, stand_in in made.items()}
        new: dict[int, int] = {}
        resolved: dict[int, int] = {}
        for node in order:
            op, args = self.graph.ops[node], self.graph.args[node]
            if node in self.kept or not args:
                new[node] = node
            elif node in self.operands and any(item < 0 for item in self.operands[node]):
                new[node] = self.combine(node, new, resolved, definition)
            else:
                targets = tuple([new[arg] for arg in args])
                new[node] = node if targets == args else self.graph.add_node(op, targets)
        return [new[root] for root in roots]

    def combine(
        self, node: int, new: dict[int, int], resolved: dict[int, int], definition: dict[int, tuple[int, int]]
    ) -> int:
        operands = [self.resolve(item, new, resolved, definition) for item in sorted(self.operands[node])]
        if self.op is ops.mul:
            unit = [arg for arg in self.graph.args[node] if self.r.number(arg) == -1]
            operands = [new.get(arg, arg) for arg in unit] + operands
        return operands[0] if len(operands) == 1 else self.graph.add_node(self.op, tuple(operands))

    def resolve(
        self, item: int, new: dict[int, int], resolved: dict[int, int], definition: dict[int, tuple[int, int]]
    ) -> int:
        stack = [item >> 1]
        while stack:
            top = stack[-1]
            if top >= 0 or top in resolved:
                stack.pop()
                continue
            pair = definition[top]
            waiting = [part >> 1 for part in pair if part < 0 and part >> 1 not in resolved]
            if waiting:
                stack += waiting
                continue
            resolved[top] = self.graph.add_node(self.op, tuple(self.signed(part, new, resolved) for part in pair))
            stack.pop()
        return self.signed(item, new, resolved)

    def signed(self, item: int, new: dict[int, int], resolved: dict[int, int]) -> int:
        part = item >> 1
        node = resolved[part] if part < 0 else self.current(part, new)
        return node if item & 1 else self.r.scaled(node, -1)

    def current(self, node: int, new: dict[int, int]) -> int:
        """The rewritten form of an operand, also of one that `read` made by stripping a sign."""
        if node in new:
            return new[node]
        args = self.graph.args[node]
        built = (
            self.graph.add_node(self.graph.ops[node], tuple(self.current(arg, new) for arg in args)) if args else node
        )
        new[node] = built
        return built
