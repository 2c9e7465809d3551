"""Random expressions for the agreement tests: fixed seeds, every operation of the table, domains respected."""

from __future__ import annotations

import numpy as np

from hybrid import operations as ops
from hybrid.graph import Graph, Term

UNARY = ["exp", "log", "sqrt", "sin", "cos", "tan", "tanh", "atan", "asinh", "erf", "erfc", "log1p", "expm1", "cbrt",
         "abs", "sinh", "cosh", "gamma", "loggamma", "log2", "exp2"]  # fmt: skip
POSITIVE_ONLY = {"log", "sqrt", "gamma", "loggamma", "log1p", "log2", "cbrt", "abs"}
SCALED = {"exp", "sinh", "cosh", "expm1", "exp2", "tan"}


class Maker:
    """Grows one graph of random terms over `count` variables."""

    def __init__(self, seed: int, count: int = 3) -> None:
        self.rng = np.random.default_rng(seed)
        self.graph = Graph()
        self.variables = [Term(self.graph, self.graph.variable(f"x{i}")) for i in range(count)]

    def grow(self, operations: int) -> Term:
        terms = list(self.variables)
        for _ in range(operations):
            terms.append(self.step(terms))
        unused = terms[-4:]
        return self.graph.apply(ops.add, *unused)

    def pick(self, terms: list[Term]) -> Term:
        recent = terms[-6:] if self.rng.random() < 0.6 else terms
        return recent[self.rng.integers(len(recent))]

    def step(self, terms: list[Term]) -> Term:
        x, y = self.pick(terms), self.pick(terms)
        kind = self.rng.random()
        if kind < 0.40:
            return self.unary(x)
        choice = self.rng.integers(9)
        if choice == 0:
            return x + y
        if choice == 1:
            return x - y
        if choice == 2:
            return ops.sin(x) * y
        if choice == 3:
            return x / (y * y + 1)
        if choice == 4:
            return ops.tanh(x) ** int(self.rng.integers(2, 5))
        if choice == 5:
            return ops.maximum(x, y)
        if choice == 6:
            return ops.where(ops.gt(x, y), ops.sin(x), y)
        if choice == 7:
            return ops.hypot(x, y + 3)
        return ops.atan2(x, y * y + 1)

    def unary(self, x: Term) -> Term:
        name = UNARY[self.rng.integers(len(UNARY))]
        if name in POSITIVE_ONLY:
            x = ops.tanh(x) + 2
        elif name in SCALED:
            x = ops.sin(x)
        return ops.OPERATIONS[name](x)


def points(seed: int, count: int, number: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.uniform(0.2, 1.8, number) * rng.choice([-1.0, 1.0], number) for _ in range(count)]
