"""A Function called on something other than numbers: inside a traced function, or on tensors of the numeric tape."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np

from hybrid.composite import expand
from hybrid.deferred import Deferred
from hybrid.definition import Formula, PythonSource
from hybrid.graph import Graph, float_value
from hybrid.operations import CONSTANT

trace = Deferred("hybrid.trace")


def composable(value: Any) -> bool:
    """Whether a value brings its own meaning of the elementary operations, as symbolic arrays and tensors do."""
    return hasattr(type(value), "__hybrid_elementwise__")


def compose(formula: Formula, values: Sequence[Any]) -> Any:
    """The formula of the values, one of which at least is composable.

    On symbolic arrays its graph is copied in. On anything else the user's Python function is run again; of a SymPy or
    derived function the operations of the graph are, one after the other.
    """
    if any(isinstance(value, trace.SymbolicArray) for value in values):
        return trace.inline(formula.arguments, formula.graph, formula.nodes, formula.shape, values)
    if formula.derivation is None and isinstance(formula.source, PythonSource):
        return formula.source.function(*values)
    return replay(formula, values)


def replay(formula: Formula, values: Sequence[Any]) -> Any:
    """The nodes of the formula's graph over composable values, each of its argument's shape."""
    graph = formula.graph
    carrier = next(value for value in values if composable(value))
    apply: Callable[..., Any] = type(carrier).__hybrid_elementwise__
    known: dict[int, Any] = {}
    for argument, value in zip(formula.arguments, values, strict=True):
        for index, node in zip(np.ndindex(*argument.shape), argument.nodes, strict=True):
            known[node] = value[index] if argument.shape else value
    roots = expand(graph, formula.nodes)
    carry_out(graph, roots, known, carrier, apply)
    results = [known[node] for node in roots]
    if not formula.shape:
        return results[0]
    whole = [result if composable(result) else carrier_like(apply, carrier, result) for result in results]
    return np.stack(whole).reshape(formula.shape)


def carry_out(
    graph: Graph, roots: Sequence[int], known: dict[int, Any], carrier: Any, apply: Callable[..., Any]
) -> None:
    """Find what the roots need from the `known` nodes: plain numbers by NumPy, all else by the carrier's operations."""
    for node in graph.reach_below(roots, known):
        op = graph.ops[node]
        if op is CONSTANT:
            known[node] = float_value(graph.leaves[node])
            continue
        args = [known[arg] for arg in graph.args[node]]
        if not any(map(composable, args)):
            known[node] = op.numpy(*args)
        elif op.variadic:
            known[node] = reduce(lambda x, y, name=op.name: apply(carrier, name, x, y), args)  # type: ignore[misc]  # a bound default
        else:
            known[node] = apply(carrier, op.name, *args)


def carrier_like(apply: Callable[..., Any], carrier: Any, number: Any) -> Any:
    """A plain number as a scalar of the carrier's kind, so that it can be stacked with others."""
    scalar = carrier.reshape(-1)[0] if getattr(carrier, "ndim", 0) else carrier
    return apply(scalar, "select", np.bool_(False), scalar, number)
