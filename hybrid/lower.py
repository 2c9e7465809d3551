"""Graph to program: the last step before code, where every cost of a node is decided and constants are rounded once.

Signs travel with values (a product of negated factors needs no negation), subexpressions without variables are folded
through their NumPy meaning, powers become products and roots, and divisions by a divisor that is used more than once
share one reciprocal. Equal instructions are emitted once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from codegen.program import FREE, Array, Program
from hybrid import operations as ops
from hybrid.composite import expand
from hybrid.definition import Argument
from hybrid.errors import ArgumentError
from hybrid.graph import Graph, float_value
from hybrid.lower_special import FORMULAS, ORDERED, write
from hybrid.operations import CONSTANT, VARIABLE, NamedConstant
from hybrid.signs import Body, Outputs, absorb_signs, carried, live, negate_factors

LARGEST_CHAIN = 32  # x**n by products up to here: at most 8 multiplications; beyond, `pow` is more accurate and as fast
COMMUTATIVE = frozenset({"add", "mul"})  # x∘y and y∘x have the same bits and are computed once
LONGEST_RUN = 8  # longer sums are added in runs of so many, and those in pairs: error grows with log n, as does latency


@dataclass(frozen=True)
class Result:
    """What a program computes: a name, the shape per point, and the node of each element in C order."""

    name: str
    shape: tuple[int, ...]
    nodes: tuple[int, ...]


@dataclass(slots=True)
class Signed:
    """A value number and whether it must be negated."""

    value: int
    negative: bool = False


def exponent_of(value: Any) -> Any:
    """A constant exponent as int or Fraction where it is an integer or a half-integer, else None."""
    if type(value) is int:
        return value if abs(value) <= LARGEST_CHAIN else None
    if isinstance(value, bool | NamedConstant) or value is None:
        return None
    if isinstance(value, float):
        if not np.isfinite(value) or not (2 * value).is_integer():
            return None
        value = Fraction(value)
    doubled = 2 * value
    if doubled.denominator != 1 or abs(value) > LARGEST_CHAIN:
        return None
    return int(value) if value.denominator == 1 else value


@dataclass
class Lowering:
    """One pass over the needed nodes; `values` maps a node to its signed value in `body`."""

    graph: Graph
    arguments: Sequence[Argument]
    body: list[tuple[Any, ...]] = field(default_factory=list)
    emitted: dict[object, int] = field(default_factory=dict)
    values: dict[int, Signed] = field(default_factory=dict)
    folded: dict[int, Any] = field(default_factory=dict)
    uses: dict[int, int] = field(default_factory=dict)

    def emit(self, *instruction: Any) -> int:
        """The value number of an instruction, emitted if it is new."""
        key: object = instruction
        if instruction[0] == "const":
            key = (*instruction, math.copysign(1, instruction[1]))
        elif instruction[0] in COMMUTATIVE and instruction[2] < instruction[1]:
            key = (instruction[0], instruction[2], instruction[1])
        number = self.emitted.get(key)
        if number is None:
            number = self.emitted[key] = len(self.body)
            self.body.append(instruction)
        return number

    def const(self, value: Any) -> int:
        if isinstance(value, bool | np.bool_):
            return self.emit("true" if value else "false")
        return self.emit("const", float(value))

    def run(self, results: Sequence[Result]) -> None:
        roots = [node for result in results for node in result.nodes]
        places = {n: (a, e) for a, argument in enumerate(self.arguments) for e, n in enumerate(argument.nodes)}
        graph_ops, leaves = self.graph.ops, self.graph.leaves
        needed = self.graph.reach(roots)
        self.fold(needed)
        if self.folded.keys() <= leaves.keys():  # nothing but constants: nothing is needed by them only
            needed = [node for node in needed if node not in self.folded]
        else:
            needed = self.graph.reach_below(roots, self.folded)
        self.uses = self.graph.uses(needed, roots)
        for node in needed:
            op = graph_ops[node]
            if op is VARIABLE:
                if node not in places:
                    raise ArgumentError(f"variable {self.graph.leaves[node]} is no argument of the compiled functions")
                self.values[node] = Signed(self.emit("load", *places[node]))
            else:
                self.values[node] = self.lower(node)

    def fold(self, nodes: Sequence[int]) -> None:
        """Values of the subexpressions without variables, by the rows' own NumPy meaning."""
        folded, graph_ops, graph_args = self.folded, self.graph.ops, self.graph.args
        with np.errstate(all="ignore"):
            for node in nodes:
                op, args = graph_ops[node], graph_args[node]
                if op is CONSTANT:
                    folded[node] = float_value(self.graph.leaves[node])
                elif op is VARIABLE or (args and args[0] not in folded):
                    continue
                elif all(arg in folded for arg in args):
                    folded[node] = op.numpy(*[folded[arg] for arg in args])
                elif op is ops.where:
                    chosen = args[1] if folded[args[0]] else args[2]
                    if chosen in folded:
                        folded[node] = folded[chosen]

    def signed(self, node: int) -> Signed:
        known = self.values.get(node)
        if known is not None:
            return known
        if node in self.folded:
            value = self.folded[node]
            negative = not isinstance(value, bool | np.bool_) and np.signbit(value) and not np.isnan(value)
            self.values[node] = Signed(self.const(-value), True) if negative else Signed(self.const(value))
        return self.values[node]

    def plain(self, node: int) -> int:
        """The value of a node with its sign applied."""
        if node in self.folded:
            return self.const(self.folded[node])
        value = self.values[node]
        return self.negate(value.value) if value.negative else value.value

    def negate(self, value: int) -> int:
        """−value. In a product or quotient with a constant the constant is negated: as cheap, and often for nothing."""
        name, *operands = self.body[value]
        if name in ("mul", "div"):
            for position, operand in enumerate(operands):
                if self.body[operand][0] == "const":
                    operands[position] = self.const(-self.body[operand][1])
                    return self.emit(name, *operands)
        return self.emit("neg", value)

    def lower(self, node: int) -> Signed:
        op, args = self.graph.ops[node], self.graph.args[node]
        rule = RULES.get(op)
        if rule is not None:
            return rule(self, node, args)
        if op.instruction is None:
            raise ValueError(f"operation {op.name!r} has no instruction and no lowering rule")
        return Signed(self.emit(op.instruction, *[self.plain(arg) for arg in args]))

    # --- sums ---------------------------------------------------------------------------------------------------------
    def lower_add(self, node: int, args: tuple[int, ...]) -> Signed:
        terms = [self.signed(arg) for arg in args]
        positive = [t.value for t in terms if not t.negative]
        negative = [t.value for t in terms if t.negative]
        if not positive:
            return Signed(self.sum(negative), True)
        if len(terms) <= LONGEST_RUN:
            total = self.sum(positive)
            for value in negative:
                total = self.emit("sub", total, value)
            return Signed(total)
        total = self.sum(positive)
        return Signed(self.emit("sub", total, self.sum(negative)) if negative else total)

    def sum(self, values: Sequence[int]) -> int:
        if len(values) > LONGEST_RUN:
            layer = [self.sum(values[at : at + LONGEST_RUN]) for at in range(0, len(values), LONGEST_RUN)]
            while len(layer) > 1:
                pairs = [self.emit("add", a, b) for a, b in zip(layer[::2], layer[1::2], strict=False)]
                layer = pairs + layer[len(layer) & ~1 :]
            return layer[0]
        total = values[0]
        for value in values[1:]:
            total = self.emit("add", total, value)
        return total

    def lower_sub(self, node: int, args: tuple[int, ...]) -> Signed:
        left, right = self.signed(args[0]), self.signed(args[1])
        if not left.negative:
            return Signed(self.emit("add" if right.negative else "sub", left.value, right.value))
        if right.negative:  # (−x) − (−y) is y − x, bit for bit
            return Signed(self.emit("sub", right.value, left.value))
        return Signed(self.emit("sub", self.emit("neg", left.value), right.value))

    def lower_neg(self, node: int, args: tuple[int, ...]) -> Signed:
        value = self.signed(args[0])
        return Signed(value.value, not value.negative)

    # --- products -----------------------------------------------------------------------------------------------------
    def lower_mul(self, node: int, args: tuple[int, ...]) -> Signed:
        negative = False
        above: list[int] = []
        below: list[int] = []
        for arg in args:
            divisor = self.divisor(arg)
            if divisor is not None:
                below.append(divisor.value)
                negative ^= divisor.negative
                continue
            factor = self.signed(arg)
            negative ^= factor.negative
            if self.body[factor.value] != ("const", 1.0):
                above.append(factor.value)
        if not below:
            return Signed(self.product(above), negative)
        top = self.product(above)
        return Signed(self.emit("div", top, self.product(below)), negative)

    def divisor(self, node: int) -> Signed | None:
        """What to divide by for a factor that is a reciprocal used only here."""
        if self.graph.ops[node] is not ops.pow or self.uses.get(node, 0) > 1 or node in self.folded:
            return None
        base, power = self.graph.args[node]
        exponent = exponent_of(self.folded.get(power))
        if exponent is None or exponent >= 0 or base in self.folded:
            return None
        return self.power(base, -exponent)

    def product(self, values: Sequence[int]) -> int:
        if not values:
            return self.const(1.0)
        total = values[0]
        for value in values[1:]:
            total = self.emit("mul", total, value)
        return total

    def lower_div(self, node: int, args: tuple[int, ...]) -> Signed:
        left, right = self.signed(args[0]), self.signed(args[1])
        if self.body[right.value] == ("const", 1.0):
            return Signed(left.value, left.negative ^ right.negative)
        return Signed(self.emit("div", left.value, right.value), left.negative ^ right.negative)

    # --- powers -------------------------------------------------------------------------------------------------------
    def lower_pow(self, node: int, args: tuple[int, ...]) -> Signed:
        exponent = exponent_of(self.folded.get(args[1]))
        if exponent is None:
            return Signed(self.emit("pow", self.plain(args[0]), self.plain(args[1])))
        if exponent < 0:
            below = self.power(args[0], -exponent)
            return Signed(self.emit("div", self.const(1.0), below.value), below.negative)
        return self.power(args[0], exponent)

    def power(self, node: int, exponent: Any) -> Signed:
        """x**n for a non-negative integer or half-integer n."""
        if isinstance(exponent, Fraction):
            root = self.emit("sqrt", self.plain(node))
            whole = int(exponent)
            if not whole:
                return Signed(root)
            return Signed(self.emit("mul", self.integer_power(self.plain(node), whole), root))
        base = self.signed(node)
        return Signed(self.integer_power(base.value, exponent), base.negative and exponent % 2 == 1)

    def integer_power(self, value: int, exponent: int) -> int:
        if exponent == 0:
            return self.const(1.0)
        if exponent == 1:
            return value
        half = self.integer_power(value, exponent // 2)
        square = self.emit("mul", half, half)
        return self.emit("mul", square, value) if exponent % 2 else square

    # --- selection ----------------------------------------------------------------------------------------------------
    def lower_where(self, node: int, args: tuple[int, ...]) -> Signed:
        if args[0] in self.folded:
            return self.signed(args[1] if self.folded[args[0]] else args[2])
        chosen, other = self.signed(args[1]), self.signed(args[2])
        if chosen.negative and other.negative:
            return Signed(self.emit("select", self.plain(args[0]), chosen.value, other.value), True)
        return Signed(self.emit("select", self.plain(args[0]), self.plain(args[1]), self.plain(args[2])))

    def lower_heaviside(self, node: int, args: tuple[int, ...]) -> Signed:
        x, zero = self.plain(args[0]), self.const(0.0)
        at_zero = self.emit("select", self.emit("eq", x, zero), self.plain(args[1]), x)  # NaN stays NaN
        above = self.emit("select", self.emit("gt", x, zero), self.const(1.0), at_zero)
        return Signed(self.emit("select", self.emit("lt", x, zero), zero, above))

    # --- special functions --------------------------------------------------------------------------------------------
    def lower_formula(self, node: int, args: tuple[int, ...]) -> Signed:
        return Signed(write(self.emit, self.graph.ops[node], [self.plain(arg) for arg in args]))

    def lower_ordered(self, node: int, args: tuple[int, ...]) -> Signed:
        op, (order, x) = self.graph.ops[node], args
        if order not in self.folded:
            raise ArgumentError(f"{op.name} needs a constant integer order, got an expression; give a number")
        return Signed(write(self.emit, op, [self.plain(x)], self.folded[order]))


RULES: dict[ops.Operation, Callable[[Lowering, int, tuple[int, ...]], Signed]] = {
    ops.add: Lowering.lower_add,
    ops.sub: Lowering.lower_sub,
    ops.neg: Lowering.lower_neg,
    ops.mul: Lowering.lower_mul,
    ops.div: Lowering.lower_div,
    ops.pow: Lowering.lower_pow,
    ops.where: Lowering.lower_where,
    ops.heaviside: Lowering.lower_heaviside,
    **dict.fromkeys(FORMULAS, Lowering.lower_formula),
    **dict.fromkeys(ORDERED, Lowering.lower_ordered),
}


def lower(
    graph: Graph,
    arguments: Sequence[Argument],
    results: Sequence[Result],
    name: str = "f",
    names: Mapping[int, str] | None = None,
) -> Program:
    """The program that computes the results from the arguments.

    names : of nodes, for the values that compute them; of one whose negative is computed instead, `minus_` and it.

    Raises ArgumentError when a result depends on a variable that is no element of the arguments.
    """
    lowering = Lowering(graph, arguments)
    results = [Result(result.name, result.shape, tuple(expand(graph, result.nodes))) for result in results]
    lowering.run(results)
    outputs = tuple(tuple(lowering.plain(node) for node in result.nodes) for result in results)
    body, outputs = finish(lowering.body, outputs)
    wanted = [(called, lowering.values[n]) for n, called in (names or {}).items() if n in lowering.values]
    called = carried(lowering.body, body, [(c, signed.value, signed.negative) for c, signed in wanted])
    return Program(
        name,
        tuple(Array(argument.name, argument.shape) for argument in arguments),
        tuple(Array(result.name, result.shape) for result in results),
        body,
        outputs,
        externals_of(graph, [node for result in results for node in result.nodes]),
        called,
    )


def externals_of(graph: Graph, roots: Sequence[int]) -> tuple[Any, ...]:
    """The functions of somebody else's that the roots need."""
    found = (graph.ops[node].external for node in graph.reach(roots))
    return tuple(dict.fromkeys(external[0] for external in found if external is not None))


def count_operations(graph: Graph, roots: Sequence[int]) -> int:
    """Operations of one joint evaluation of the roots, masks left out: what `lower` would make of them."""
    numbers = tuple(expand(graph, [root for root in roots if graph.kind(root) == ops.REAL]))
    variables = tuple(graph.variables(numbers))
    lowering = Lowering(graph, [Argument("x", (len(variables),), variables)])
    lowering.run([Result("y", (len(numbers),), numbers)])
    body, _ = finish(lowering.body, (tuple(lowering.plain(node) for node in numbers),))
    return sum(1 for instruction in body if instruction[0] not in FREE)


def finish(body: Body, outputs: Outputs) -> tuple[Body, Outputs]:
    """The program without what no output needs, signs in their cheapest places."""
    body, outputs = live(body, outputs)
    changed, outputs = negate_factors(*absorb_signs(body, outputs))
    return (body, outputs) if changed is body else live(changed, outputs)
