"""Printed LaTeX, read back by the conventions of mathematics with no knowledge of the printer, means the same numbers.

The reader is strict where a human reader would hesitate: a factor after a function written without parentheses, a
number before a fraction, or anything after a solidus is an error.
"""

import math
import re
from fractions import Fraction

import numpy as np
import pytest

from hybrid import operations as ops
from hybrid import special
from hybrid.definition import Argument, Definition, Derivation, Formula, PythonSource
from hybrid.differentiate import hessian_reverse, jacobian_reverse
from hybrid.evaluate import evaluate
from hybrid.graph import Graph, Term
from hybrid.latex import latex
from hybrid.operations import MASK, NAMED_CONSTANTS, OPERATIONS, VARIABLE
from hybrid.simplify import simplify

TOKEN = re.compile(r"\\[A-Za-z]+|\\.|\d+(?:\.\d+)?|[^\s]")
PREFIX = {
    r"\sin": np.sin, r"\cos": np.cos, r"\tan": np.tan,
    r"\arcsin": np.arcsin, r"\arccos": np.arccos, r"\arctan": np.arctan,
    r"\sinh": np.sinh, r"\cosh": np.cosh, r"\tanh": np.tanh, r"\log": np.log, r"\exp": np.exp, r"\Gamma": special.gamma,
    r"\min": np.minimum.reduce, r"\max": np.maximum.reduce, r"\psi": special.digamma,
    r"\theta": lambda x: np.heaviside(x, 0.5),
}  # fmt: skip
NAMED = {
    "hypot": np.hypot, "atan2": np.arctan2, "fmod": np.fmod, "copysign": np.copysign,
    "expm1": np.expm1, "log1p": np.log1p, "asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh,
    "erf": special.erf, "erfc": special.erfc,
    "sign": np.sign, "trunc": np.trunc, "round": np.rint,
}  # fmt: skip
RELATIONS = {"<": np.less, r"\leq": np.less_equal, ">": np.greater, r"\geq": np.greater_equal, "=": np.equal,
             r"\neq": np.not_equal}  # fmt: skip
LOGIC = {r"\wedge": np.logical_and, r"\vee": np.logical_or, r"\veebar": np.logical_xor}
ENDS = {
    ")",
    "}",
    "&",
    r"\\",
    ",",
    "+",
    "-",
    "/",
    r"\bmod",
    "]",
    r"\end",
    None,
    *RELATIONS,
    *LOGIC,
    r"\rfloor",
    r"\rceil",
    r"\rvert",
}


SPELLINGS = {r"\left|": r"\lvert ", r"\right|": r"\rvert ", r"\left": " ", r"\right": " ", r"\,": " ", r"\quad": " ",
             r"\\[6pt]": r"\\ ", r"\\[4pt]": r"\\ "}  # fmt: skip


class Reader:
    """Recursive descent over tokens; the values of symbols are found by their LaTeX."""

    def __init__(self, text, symbols):
        for written, meant in SPELLINGS.items():
            text = text.replace(written, meant)
        self.tokens = [*TOKEN.findall(text), None]
        self.at = 0
        self.symbols = symbols

    @property
    def token(self):
        return self.tokens[self.at]

    def take(self, expected=None):
        token = self.token
        if expected is not None and token != expected:
            raise ValueError(f"expected {expected} at {self.tokens[self.at : self.at + 12]}")
        self.at += 1
        return token

    def accept(self, token):
        if self.token == token:
            self.at += 1
            return True
        return False

    def everything(self):
        value = self.logic()
        self.take(None)
        assert self.at == len(self.tokens), self.tokens[self.at :]
        return value

    def logic(self):
        value = self.relation()
        chain = {self.token} & LOGIC.keys()
        while self.token in chain:  # a chain of one connective; mixing them needs parentheses
            value = LOGIC[self.take()](value, self.relation())
        return value

    def relation(self):
        if self.accept(r"\neg"):
            return np.logical_not(self.atom())
        value = self.infix()
        return RELATIONS[self.take()](value, self.infix()) if self.token in RELATIONS else value

    def infix(self):
        value = self.sum()
        return np.mod(value, self.sum()) if self.accept(r"\bmod") else value

    def sum(self):
        sign = -1.0 if self.accept("-") else 1.0
        value = sign * self.product() if sign < 0 else self.product()
        while self.token in ("+", "-"):
            value = value + self.product() if self.take() == "+" else value - self.product()
        return value

    def product(self):
        value, kind = self.factor()
        while self.token not in ENDS:
            dot = self.accept(r"\cdot")
            assert dot or not self.token[0].isdigit(), f"a number after a factor at {self.tokens[self.at - 2 :][:5]}"
            factor, next_kind = self.factor()
            allowed = next_kind or kind != "bare function"
            assert allowed, f"a factor after a bare function at {self.tokens[self.at - 4 :][:5]}"
            value, kind = value * factor, next_kind
        if self.accept("/"):
            below, _ = self.factor()
            assert self.token in ENDS, f"a factor after a solidus at {self.tokens[self.at - 2 :][:4]}"
            value = np.divide(value, below)
        return value

    def factor(self):
        """A power, and which kind of function if it is one: what follows a bare one could be taken for its argument."""
        if (self.token in PREFIX and self.token not in self.symbols) or self.token == r"\operatorname":
            return self.function()
        if self.token == "e" and "e" not in self.symbols:
            self.take()
            return np.exp(self.group() if self.accept("^") else np.float64(1)), ""
        base = self.atom()
        return (np.power(base, self.group()) if self.accept("^") else base), ""

    def function(self):
        name = self.take()
        meaning = NAMED["".join(self.raw())] if name == r"\operatorname" else PREFIX[name]
        if name == r"\log" and self.token == r"\Gamma":
            self.take()
            meaning = special.loggamma
        if name == r"\log" and self.accept("_"):
            meaning = {2: np.log2, 10: np.log10}[self.group()]
        exponent = None
        if self.accept("^"):
            exponent = self.group()
            if name == r"\psi":
                order, exponent = int(exponent), None
                meaning = lambda x: special.polygamma(order, x)  # noqa: E731
            else:
                assert exponent > 1, "a negative power of a function means its inverse"
        bare = self.token != "("
        args = [self.atom()] if bare else self.arguments()
        value = meaning(args) if name in (r"\min", r"\max") else meaning(*args)
        if exponent is None and not bare and self.accept("^"):
            exponent = self.group()
        return (np.power(value, exponent) if exponent is not None else value), "bare function" if bare else "function"

    def arguments(self):
        self.take("(")
        args = [self.logic()]
        while self.accept(","):
            args.append(self.logic())
        self.take(")")
        return args

    def raw(self):
        self.take("{")
        found = []
        while self.token != "}":
            found.append(self.take())
        self.take("}")
        return found

    def group(self):
        self.take("{")
        value = self.logic()
        self.take("}")
        return value

    def atom(self):
        token = self.token
        if token[0].isdigit():
            self.take()
            assert self.token != r"\frac", "a mixed number"
            return np.float64(token)
        if token in ("(", r"\lfloor", r"\lceil", r"\lvert"):
            return self.delimited()
        if token == r"\frac":
            self.take()
            return np.divide(self.group(), self.group())
        if token == r"\sqrt":
            self.take()
            index = 2
            if self.accept("["):
                index = int(self.take())
                self.take("]")
            value = self.group()
            return np.sqrt(value) if index == 2 else np.cbrt(value) if index == 3 else np.power(value, 1 / index)
        if token == r"\begin":
            return self.environment()
        return self.symbol()

    def delimited(self):
        opening = self.take()
        value = self.logic()
        self.take({"(": ")", r"\lfloor": r"\rfloor", r"\lceil": r"\rceil", r"\lvert": r"\rvert"}[opening])
        return {r"\lfloor": np.floor, r"\lceil": np.ceil, r"\lvert": np.abs}.get(opening, lambda x: x)(value)

    def symbol(self):
        name = self.take()
        if name in (r"\dot", r"\bar", r"\mathrm", r"\texttt", r"\text"):
            name += "{" + "".join(self.raw()) + "}"
        if self.accept("_"):
            name += "_{" + "".join(self.raw()) + "}"
        constants = {constant.latex: np.float64(constant.value) for constant in NAMED_CONSTANTS}
        constants |= {r"\infty": np.inf, r"\text{NaN}": np.nan, r"\text{true}": np.True_, r"\text{false}": np.False_}
        return self.symbols[name] if name in self.symbols else constants[name]

    def environment(self):
        self.take(r"\begin")
        kind = "".join(self.raw())
        rows = [[]]
        while self.token != r"\end":
            if self.accept("&"):
                continue
            if self.accept(r"\\"):
                rows.append([])
            elif self.accept(r"\text"):
                rows[-1].append(True if self.raw() == list("otherwise") else self.logic())
            else:
                rows[-1].append(self.logic())
        self.take(r"\end")
        self.raw()
        if kind != "cases":
            return np.array(rows)
        value = rows[-1][0]
        for branch, condition in reversed(rows[:-1]):
            value = np.where(condition, branch, value)
        return value


def read(text, symbols):
    """The value of printed LaTeX: its definitions in order, then the expression or matrix."""
    text = re.sub(r"\\(?:begin|end)\{aligned\}", "", text)
    text = re.sub(r"\\\\(?:\[4pt\])?\n&\\quad", " ", text).replace(r"\text{where} \quad", "")
    first, *rest = re.split(r"\\\\(?:\[4pt\])?\n", text.strip())
    symbols = dict(symbols)
    for row in rest:
        for definition in row.replace("&=", "=").split(r", \quad"):
            name, _, value = definition.partition("=")
            assert name.strip() not in symbols, f"{name} is taken"
            symbols[name.strip()] = Reader(value, symbols).everything()
    return Reader(first.replace("&=", "=", 1).partition("=")[2].strip(), symbols).everything()


# --- functions to print -----------------------------------------------------------------------------------------------
class Printed(Formula):
    def __init__(self, graph, arguments, nodes, shape, name="f", derivation=None):
        self.graph, self.arguments, self.nodes, self.shape, self.name = graph, arguments, tuple(nodes), shape, name
        self.source, self.derivation, self.primal = PythonSource(None), derivation, ()

    def derived(self, kind):
        wrt = [node for argument in self.arguments for node in argument.nodes]
        zero, n = self.graph.constant(0), len(wrt)
        if kind == "hessian":
            found = hessian_reverse(self.graph, self.nodes[0], wrt)
            nodes = [found.get((i, j), zero) for i in range(n) for j in range(n)]
        else:
            found = jacobian_reverse(self.graph, self.nodes, wrt)
            nodes = [found.get((i, j), zero) for i in range(len(self.nodes)) for j in range(n)]
        shape = (n, n) if kind == "hessian" else (*self.shape, n)
        everything = tuple(range(len(self.arguments)))
        return Printed(self.graph, self.arguments, nodes, shape, self.name, Derivation(kind, self, everything))

    def simplified(self):
        nodes = simplify(self.graph, self.nodes)
        return Printed(self.graph, self.arguments, nodes, self.shape, self.name, self.derivation)


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
        if op is ops.polygamma:
            operands[0] = graph.lift(attempt % 3 + 1)
        inner = op(*operands)
        if op.result == MASK:
            inner = ops.where(inner, variables[0], 2)
        for outer in (inner, -inner, inner**2, 1 / inner, variables[0] * inner * variables[1], ops.sin(inner) - inner):
            check(Printed(graph, arguments, (outer.node,), ()), random)


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
        return Printed(self.graph, self.arguments, nodes, () if outputs == 1 else (outputs,))


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
    return not any(near_a_jump(function.graph.ops[n], [at[arg] for arg in function.graph.args[n]]) for n in nodes)


def near_a_jump(op, args):
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
    return True


def test_random_expressions_are_read_back():
    assert sum(roundtrip(seed) for seed in range(500)) > 150


@pytest.mark.long
def test_many_random_expressions_are_read_back():
    assert sum(roundtrip(seed) for seed in range(500, 20_000)) > 5_000


def black_scholes():
    graph = Graph()
    arguments = tuple(Argument(name, (), (graph.variable(name),)) for name in ("S", "K", "T", "r", "sigma"))
    S, K, T, r, sigma = (Term(graph, argument.nodes[0]) for argument in arguments)
    deviation = sigma * ops.sqrt(T)
    d1 = (ops.log(S / K) + (r + sigma**2 / 2) * T) / deviation

    def normal(d):
        return Fraction(1, 2) * (1 + ops.erf(d / ops.sqrt(graph.lift(2))))

    price = S * normal(d1) - K * ops.exp(-r * T) * normal(d1 - deviation)
    return Printed(graph, arguments, (price.node,), (), "C")


@pytest.mark.parametrize("where", ["auto", True, False])
@pytest.mark.parametrize("simplified", [False, True])
def test_black_scholes_and_its_derivatives_are_read_back(where, simplified):
    price = black_scholes()
    for function in (price, price.derived("gradient"), price.derived("hessian")):
        NAMES.update({(name, ()): name for name in "SKTr"})
        check(function.simplified() if simplified else function, np.random.default_rng(1), where=where)


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
