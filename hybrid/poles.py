"""Where values have poles: the nodes whose vanishing makes a value infinite or undefined, read off the graph."""

from __future__ import annotations

from collections.abc import Sequence

from hybrid import operations as ops
from hybrid.graph import Graph
from hybrid.operations import CONSTANT
from hybrid.rewrite import Rewriter

NEVER_ZERO = frozenset({ops.exp, ops.exp2, ops.cosh, ops.sech, ops.gamma})
LOGARITHMS = frozenset({ops.log, ops.log2, ops.log10})


class Poles:
    """Of each node: what is divided by on the way to it, and what, if it vanished, would make one of these vanish."""

    def __init__(self, graph: Graph, order: Sequence[int]) -> None:
        self.graph = graph
        self.rewriter = Rewriter(graph)
        self.bits: dict[int, int] = {}
        self.order: list[int] = []
        self.divisors: dict[int, int] = {}
        self.covered: dict[int, int] = {}
        self.vanishing: dict[int, int] = {}
        self.extend(order)

    def extend(self, order: Sequence[int]) -> None:
        """More nodes, in evaluation order; those that are known already may be among them."""
        new = [node for node in order if node not in self.bits]
        self.bits |= {node: 1 << place for place, node in enumerate(new, len(self.order))}
        self.order += new
        for node in new:
            args = self.graph.args[node]
            vanishing = self.bits[node]
            for arg in self.vanish_with(node):
                vanishing |= self.vanishing[arg]
            self.vanishing[node] = vanishing
            divisors = covered = 0
            for arg in args:
                divisors |= self.divisors[arg]
                covered |= self.covered[arg]
            for divisor in self.own_divisors(node):
                divisors |= self.bits[divisor]
                covered |= self.vanishing[divisor]
            self.divisors[node], self.covered[node] = divisors, covered

    def vanish_with(self, node: int) -> Sequence[int]:
        """The arguments that, where they are zero, make a node zero."""
        op, args = self.graph.ops[node], self.graph.args[node]
        if op in (ops.mul, ops.sqrt, ops.neg):
            return args
        if op is ops.div:
            return args[:1]
        power = self.rewriter.open_power(node) if op is ops.pow else None
        return args[:1] if power is not None and power[1] > 0 else ()

    def own_divisors(self, node: int) -> Sequence[int]:
        op, args = self.graph.ops[node], self.graph.args[node]
        if op is ops.div:
            return args[1:]
        if op in LOGARITHMS:
            return args
        if op is ops.tan:
            cosine = self.graph.add_node(ops.cos, args)
            return [cosine] if cosine in self.bits else []
        power = self.rewriter.open_power(node) if op is ops.pow else None
        return args[:1] if power is not None and power[1] < 0 else ()

    def stays_finite(self, node: int, parts: Sequence[int], divisor: int | None = None) -> bool:
        """Whether parts, and dividing by `divisor`, bring no pole that a node does not have."""
        needed = 0
        for part in parts:
            needed |= self.divisors.get(part, 0)
        if divisor is not None:
            needed |= self.bits.get(divisor, 0)
        needed &= ~self.covered[node]
        while needed:
            lowest = needed & -needed
            needed ^= lowest
            if not self.harmless(self.order[lowest.bit_length() - 1], self.covered[node]):
                return False
        return True

    def harmless(self, divisor: int, covered: int) -> bool:
        """Whether a divisor vanishes only where something covered does."""
        stack = [divisor]
        while stack:
            node = stack.pop()
            op, args = self.graph.ops[node], self.graph.args[node]
            if self.bits[node] & covered or op in NEVER_ZERO or op is CONSTANT:
                continue
            if op is ops.div:
                stack.append(args[0])
            elif op in (ops.mul, ops.neg, ops.sqrt) or (op is ops.pow and self.graph.is_constant(args[1])):
                stack += args[:1] if op is ops.pow else args
            else:
                return False
        return True
