"""Functions built node by node for the tests of printing."""

from fractions import Fraction

import numpy as np

from hybrid import operations as ops
from hybrid.definition import Argument, Definition, PythonSource
from hybrid.function import Function
from hybrid.graph import Graph, Term


def made(graph, arguments, nodes, shape, name="f"):
    return Function.from_definition(Definition(graph, tuple(arguments), tuple(nodes), shape, PythonSource(None), name))


def function(build, name="f", **shapes):
    """A function made by `build`, which gets terms (arrays of them) and returns a term or nested lists of terms."""
    graph = Graph()
    arguments, values = [], []
    for key, shape in shapes.items():
        nodes = tuple(graph.variable(key, index) for index in np.ndindex(*shape))
        arguments.append(Argument(key, shape, nodes))
        terms = np.array([Term(graph, node) for node in nodes], dtype=object).reshape(shape)
        values.append(terms if shape else terms.item())
    results = np.array(build(*values), dtype=object)
    return made(graph, arguments, [graph.lift(term).node for term in results.ravel()], results.shape, name)


def black_scholes():
    def price(S, K, T, r, sigma):
        def normal(d):
            return Fraction(1, 2) * (1 + ops.erf(d / ops.sqrt(S.graph.lift(2))))

        deviation = sigma * ops.sqrt(T)
        d1 = (ops.log(S / K) + (r + sigma**2 / 2) * T) / deviation
        return S * normal(d1) - K * ops.exp(-r * T) * normal(d1 - deviation)

    return function(price, name="C", S=(), K=(), T=(), r=(), sigma=())
