"""Printed LaTeX and plain text, read back by readers that know nothing of the printer, mean the same numbers."""

import math
from fractions import Fraction

import numpy as np
import pytest
import text_reader
from latex_reader import Reader, read
from printed import black_scholes, made

from hybrid import operations as ops
from hybrid.definition import Argument, Definition, PythonSource
from hybrid.evaluate import evaluate
from hybrid.graph import Graph, Term
from hybrid.operations import MASK, NAMED_CONSTANTS, OPERATIONS, VARIABLE
from hybrid.printing.latex import latex
from hybrid.printing.text import text as plain

# how each name must look, written down independently of naming.py; `t` and `e` meet the printer's own names
NAMES = {
    ("x", ()): "x", ("y", ()): "y", ("sigma", ()): r"\sigma", ("x_1", ()): "x_{1}", ("rate", ()): r"\mathrm{rate}",
    ("q", (0,)): "q_{1}", ("q", (1,)): "q_{2}", ("v_dot", (0,)): r"\dot{v}_{1}", ("t", ()): "t",
    ("A", (0, 1)): "A_{1,2}",
}  # fmt: skip
SHAPES = {"q": (2,), "v_dot": (1,), "A": (2, 2)}


def arguments_of(graph):
    found = []
    for name in dict.fromkeys(name for name, _ in NAMES):
        shape = SHAPES.get(name, ())
        nodes = tuple(graph.variable(name, index) for index in np.ndindex(*shape))
        found.append(Argument(name, shape, nodes))
    return tuple(found)


def values_for(graph, random):
    return {node: random.uniform(0.2, 1.8) for node in range(len(graph)) if graph.ops[node] is VARIABLE}


def check(function, random, **options):
    values = values_for(function.graph, random)
    symbols = {}
    for node, value in values.items():
        leaf = function.graph.leaves[node]
        index = ",".join(str(i + 1) for i in leaf.index)
        symbols[NAMES.get((leaf.name, leaf.index), f"{leaf.name}_{{{index}}}")] = np.float64(value)
    expected = np.array(evaluate(function.graph, function.nodes, values)).reshape(function.shape)
    text = latex(function, limit=None, width=None, **options)
    with np.errstate(all="ignore"):
        got = read(text, symbols)
    got = np.reshape(got, function.shape)
    np.testing.assert_allclose(got, expected, rtol=1e-8, atol=1e-8 * scale(expected), err_msg=text)


def check_text(function, random, where):
    values = values_for(function.graph, random)
    printed = plain(function, where=where, limit=None)
    if "⊻" in printed or "|" in printed or " is 0" in printed or " are 0" in printed:
        return False  # bars and ⊻ have no place in Python's grammar; zeros are not written
    leaves = {node: function.graph.leaves[node] for node in values}
    symbols = {str(leaves[node]).replace("sigma", "σ"): np.float64(value) for node, value in values.items()}
    expected = np.array(evaluate(function.graph, function.nodes, values))
    with np.errstate(all="ignore"):
        got = text_reader.read(printed, symbols)
    np.testing.assert_allclose(got, expected, rtol=1e-8, atol=1e-8 * scale(expected), err_msg=printed)
    return True


def scale(values):
    finite = np.abs(values[np.isfinite(values)]) if np.shape(values) else np.abs(values)
    return float(np.max(finite, initial=1.0))


@pytest.mark.parametrize("name", [name for name, op in OPERATIONS.items() if not op.variadic])
def test_every_operation_is_read_back(name):
    op, graph = OPERATIONS[name], Graph()
    arguments = arguments_of(graph)
    variables = [Term(graph, argument.nodes[0]) for argument in arguments]
    random = np.random.default_rng(3)
    for attempt in range(6):
        operands = []
        for kind, (low, high) in zip(op.operands, op.domain, strict=True):
            x = variables[attempt]
            shift = low + 0.1 if low > -math.inf else 0
            operand = x if attempt < 2 and low <= 0 and high > 1.8 else ops.atan(x * variables[1]) * 0.5 + shift
            operands.append(ops.lt(x, variables[1]) if kind == MASK else operand)
        if op.ordered:
            operands[0] = graph.lift(attempt % 3 + 1)
        inner = op(*operands)
        if op.result == MASK:
            inner = ops.where(inner, variables[0], 2)
        for outer in (inner, -inner, inner**2, 1 / inner, variables[0] * inner * variables[1], ops.sin(inner) - inner):
            check(made(graph, arguments, (outer.node,), ()), random)


class Expressions:
    """Random expressions over all operations that are real on a wide domain."""

    UNARY = (ops.sin, ops.cos, ops.exp, ops.atan, ops.tanh, ops.erf, ops.abs_, ops.sqrt, ops.log, ops.cbrt, ops.floor,
             ops.ceil, ops.gamma, ops.log2, ops.exp2, ops.sign)  # fmt: skip
    NUMBERS = (0, 1, 2, 3, -1, -2, 10, Fraction(1, 2), Fraction(-2, 3), 0.5, -0.25, 1e-5, 2.5e-7, 3.0, *NAMED_CONSTANTS)

    def __init__(self, seed):
        self.random = np.random.default_rng(seed)
        self.graph = Graph()
        self.arguments = arguments_of(self.graph)
        leaves = [Term(self.graph, node) for argument in self.arguments for node in argument.nodes]
        numbers = [self.NUMBERS[i] for i in self.random.integers(0, len(self.NUMBERS), 6)]
        self.pool = leaves + [self.graph.lift(number) for number in numbers]

    def pick(self):
        recent = self.random.random() < 0.5
        return self.pool[self.random.integers(max(len(self.pool) - 6, 0) if recent else 0, len(self.pool))]

    def grow(self):
        choice = self.random.integers(0, 14)
        a, b, c = self.pick(), self.pick(), self.pick()
        if choice < 2:
            return self.graph.apply(ops.add, *[self.pick() for _ in range(self.random.integers(2, 5))])
        if choice < 5:
            return self.graph.apply(ops.mul, *[self.pick() for _ in range(self.random.integers(2, 5))])
        if choice < 6:
            return a - b
        if choice < 8:
            return a / b
        if choice < 9:
            return -a
        if choice < 10:
            exponents = [2, 3, -1, -2, Fraction(1, 2), Fraction(-1, 2), Fraction(3, 2), Fraction(1, 3), 0.5, 1, 0]
            return a ** exponents[self.random.integers(0, len(exponents))]
        if choice < 11:
            binary = [ops.pow, ops.minimum, ops.maximum, ops.hypot, ops.mod]
            return binary[self.random.integers(0, len(binary))](a, b)
        if choice < 12:
            return ops.where(self.mask(a, b, c), a, ops.where(ops.lt(b, c), b, c))
        return self.UNARY[self.random.integers(0, len(self.UNARY))](a)

    def mask(self, a, b, c):
        first, second = ops.lt(a, b), ops.ge(b, c)
        return [first, ops.logical_and(first, second), ops.logical_or(ops.logical_not(first), second),
                ops.logical_xor(first, second)][self.random.integers(0, 4)]  # fmt: skip

    def function(self, outputs=1):
        for _ in range(self.random.integers(3, 22)):
            self.pool.append(self.grow())
        nodes = tuple(term.node for term in self.pool[-outputs:])
        return made(self.graph, self.arguments, nodes, () if outputs == 1 else (outputs,))


def well_conditioned(function, random):
    """Whether every part is finite and stays where a last-bit change of the inputs leaves it.

    Printing reorders sums, writes √x·√x as x, and jumps may lie in wait.
    """
    values = values_for(function.graph, random)
    nearby = {node: value * (1 + 1e-13) for node, value in values.items()}
    nodes = function.graph.reach(function.nodes)
    here, there = (np.array(evaluate(function.graph, nodes, v), dtype=float) for v in (values, nearby))
    if not np.all(np.isfinite(here)) or not np.allclose(here, there, rtol=1e-9) or np.max(np.abs(here)) > 1e9:
        return False
    at = dict(zip(nodes, here, strict=True))
    return not any(delicate(function.graph.ops[n], at[n], [at[arg] for arg in function.graph.args[n]]) for n in nodes)


def delicate(op, result, args):
    """Whether rounding could show: a jump nearby, or terms that cancel."""
    if op in (ops.add, ops.sub):
        return abs(result) < 1e-5 * max(map(abs, args))
    if op in (ops.floor, ops.ceil, ops.sign):
        return abs(args[0] - round(args[0])) < 1e-9
    if op is ops.mod:
        return abs(args[0] / args[1] - round(args[0] / args[1])) < 1e-9
    return op in (ops.lt, ops.ge) and abs(args[0] - args[1]) < 1e-9


def roundtrip(seed):
    made = Expressions(seed)
    function = made.function(outputs=1 + seed % 3)
    if not well_conditioned(function, np.random.default_rng(seed)):
        return False
    for where in ("auto", True, False):
        check(function, np.random.default_rng(seed), where=where)
        check_text(function, np.random.default_rng(seed), where=where)
    return True


def test_random_expressions_are_read_back():
    assert sum(roundtrip(seed) for seed in range(500)) > 150


@pytest.mark.long
def test_many_random_expressions_are_read_back():
    assert sum(roundtrip(seed) for seed in range(500, 20_000)) > 5_000


@pytest.mark.parametrize("where", ["auto", True, False])
@pytest.mark.parametrize("simplified", [False, True])
def test_black_scholes_and_its_derivatives_are_read_back(where, simplified):
    price = black_scholes()
    for function in (price, price.gradient(), price.hessian()):
        NAMES.update({(name, ()): name for name in "SKTr"})
        check(function.simplify() if simplified else function, np.random.default_rng(1), where=where)


def test_the_reader_refuses_what_a_reader_could_take_two_ways():
    symbols = {"x": 2.0, "y": 3.0}
    for text in (r"\sin x y", r"2 \frac{1}{2}", "x / y x", r"x \wedge y \vee x", r"\sin^{-1} x", "x 2"):
        with pytest.raises((AssertionError, ValueError)):
            Reader(text, symbols).everything()
    assert Reader(r"\sin^{2} x \cos y + \frac{x}{2} e^{-x/y}", symbols).everything() == pytest.approx(
        math.sin(2) ** 2 * math.cos(3) + math.exp(-2 / 3)
    )


def test_a_definition_is_printable_too():
    graph = Graph()
    x = graph.variable("x")
    definition = Definition(graph, (Argument("x", (), (x,)),), (x,), (), PythonSource(None))
    assert latex(definition) == "f(x) = x"
