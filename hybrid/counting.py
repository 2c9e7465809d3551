"""Operations of many forms of one expression: what is lowered for one form is there for the next."""

from __future__ import annotations

from collections.abc import Sequence

from codegen.program import FREE
from hybrid import operations as ops
from hybrid.graph import Graph
from hybrid.lower import Lowering, Signed, count_operations, finish
from hybrid.operations import REAL, VARIABLE
from hybrid.signs import LEAVES

LARGEST = 50_000  # nodes; of more, every form is counted by itself


class Counting:
    """Counts operations of forms on `graph` as `count_operations` does.

    All forms are lowered into one program, whose instructions are emitted once, and each form needs some of them. What
    a node is lowered to follows from what its arguments are, and from which reciprocals are used in one product alone.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.lowering = Lowering(graph, [])
        self.folded: set[int] = set()  # nodes that were looked at for being constant
        self.made: dict[tuple[int, ...], Signed] = {}

    def count(self, roots: Sequence[int], order: Sequence[int]) -> int:
        """Operations of one joint evaluation of the roots, which need the nodes of `order`; masks left out."""
        graph_ops = self.graph.ops
        if len(order) > LARGEST or any(graph_ops[node].composite is not None for node in order):
            return count_operations(self.graph, roots)
        numbers = [root for root in roots if self.graph.kind(root) == REAL]
        if len(numbers) < len(roots):
            order = self.graph.reach(numbers)
        outputs = self.lowered(numbers, order)
        return self.needed_for(outputs)

    def lowered(self, roots: Sequence[int], order: Sequence[int]) -> tuple[int, ...]:
        """The values of the roots in the common program."""
        graph, lowering, made = self.graph, self.lowering, self.made
        graph_ops, graph_args = graph.ops, graph.args
        new = [node for node in order if node not in self.folded]
        self.folded.update(new)
        lowering.fold(new)
        folded = lowering.folded
        if any(graph_args[node] for node in order if node in folded):
            needed = graph.reach_below(roots, folded)
        else:
            needed = [node for node in order if node not in folded]
        uses = lowering.uses = graph.uses(needed, roots)
        values = lowering.values = {}
        for node in needed:
            op = graph_ops[node]
            if op is VARIABLE:
                values[node] = Signed(lowering.emit("load", 0, node))
                continue
            key = [node]
            for arg in graph_args[node]:
                if arg in folded:
                    continue
                value = values[arg]
                number = 2 * value.value + value.negative
                lone = op is ops.mul and graph_ops[arg] is ops.pow and uses[arg] < 2
                key.append(~number if lone else number)
            known = tuple(key)
            found = made.get(known)
            if found is None:
                found = made[known] = lowering.lower(node)
            values[node] = found
        return tuple([lowering.plain(root) for root in roots])

    def needed_for(self, outputs: tuple[int, ...]) -> int:
        body, seen, stack, signs = self.lowering.body, set[int](), list(outputs), False
        while stack:
            value = stack.pop()
            if value not in seen:
                seen.add(value)
                instruction = body[value]
                if instruction[0] not in LEAVES:
                    stack += instruction[1:]
                    signs = signs or instruction[0] == "neg"
        if not signs:
            return sum(1 for value in seen if body[value][0] not in FREE)
        place = {value: number for number, value in enumerate(sorted(seen))}
        own = [
            (body[value][0], *(place[operand] for operand in body[value][1:]))
            if body[value][0] not in LEAVES
            else body[value]
            for value in place
        ]
        finished, _ = finish(own, (tuple(place[value] for value in outputs),))
        return sum(1 for instruction in finished if instruction[0] not in FREE)
