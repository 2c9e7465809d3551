"""Kernels of rolled functions against the numeric tape, which runs the user's own code on whole arrays.

Large Jacobians and Hessians are compared by their products with random vectors, which every entry goes into.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid import tape
from hybrid.certificate import Certificate, Finding
from hybrid.compose import carry_out, composable
from hybrid.composite import expand
from hybrid.errors import HybridError
from hybrid.evaluate import evaluate
from hybrid.graph import Graph
from hybrid.rolled.formula import RolledArgument, RolledFormula
from hybrid.rolled.indexed import IndexedSource
from hybrid.rolled.model import STORE, SUM

MOST_EVALUATED = 200_000  # nodes
TOLERANCE = 1e-9  # of the largest number of a result, or of what its products add up
SEED = 20240229
RANGES = ((-1.0, 1.0), (0.2, 0.9), (1.1, 1.9))  # where points are sampled, in this order, until the function is finite


def verify(
    name: str,
    arguments: Sequence[RolledArgument],
    formulas: Sequence[RolledFormula],
    call: Callable[..., Any],
) -> Certificate:
    """Compare a kernel with the tape at one point; `call` takes one array per argument."""
    start = time.perf_counter()
    random = np.random.default_rng(SEED)
    found: list[Finding] = []
    notes: list[str] = []
    finite = False
    for low, high in RANGES:
        arrays = [random.uniform(low, high, argument.shape) for argument in arguments]
        results = call(*arrays)
        listed = results if len(formulas) > 1 else (results,)
        finite = all(np.isfinite(result).all() for result in listed)
        if finite:
            break
    if not finite:
        notes.append("no sampled point at which everything is finite: compared where it is")
    given = dict(zip([argument.name for argument in arguments], arrays, strict=True))
    for formula, result in zip(formulas, listed, strict=True):
        compared = compare(formula, np.asarray(result), given, random)
        if compared is None:
            notes.append(f"{formula.name} is unchecked: the tape has no such derivative, or cannot run the function")
        else:
            found.append(compared)
    worst = max((finding.max_relative for finding in found), default=0.0)
    where = max(found, key=lambda finding: finding.max_relative).where if found else ""
    return Certificate(
        name,
        worst <= TOLERANCE,
        1,
        0,
        sum(finding.entries for finding in found),
        max((finding.max_ulp for finding in found), default=0.0),
        worst,
        where,
        tuple(found),
        "products with random vectors",
        0,
        0,
        witness(formulas),
        SEED,
        time.perf_counter() - start,
        tuple(notes),
    )


def witness(formulas: Sequence[RolledFormula]) -> str:
    """What runs on the tape."""
    roots = []
    for formula in formulas:
        while formula.origin is not None:
            formula = formula.origin.of
        roots.append(formula)
    if any(isinstance(root.source, IndexedSource) for root in roots):
        return "templates of the sums, run on the numeric tape over all instances"
    if all(root.flat is None for root in roots):
        return "the Python function that was traced"
    return "templates, whose instances were compared node by node with the expression they were found in"


def compare(
    formula: RolledFormula, result: NDArray[Any], given: dict[str, NDArray[Any]], random: np.random.Generator
) -> Finding | None:
    """One result against the tape; None for what the tape has no counterpart of here."""
    chain, function = [], formula
    while function.origin is not None:
        chain.append(function.origin.kind)
        function = function.origin.of
    kinds = tuple(reversed(chain))
    names = [argument.name for argument in function.rolled_arguments]
    inputs = [tape.tensor(given[name], requires_grad=True) for name in names]
    outputs = witnessed(function, inputs)
    if outputs is None:
        if formula.origin is not None:
            return None
        return finding(formula, "value by NumPy", result, plain_value(function, given))
    wrt = [inputs[position] for position in (formula.origin.wrt if formula.origin else range(len(inputs)))]
    pair = products(formula, kinds, result, given, outputs, wrt, random, names)
    if pair is None:
        return None
    ours, theirs, how = pair
    return finding(formula, how, np.asarray(ours), np.asarray(theirs))


def witnessed(function: RolledFormula, inputs: Sequence[Any]) -> Any:
    """The output on the tape; None where it cannot run the user's code, or the code means something else there."""
    simple = all(
        not block.carries and all(write.combine in (STORE, SUM) for write in block.writes)
        for block in map(function.model.blocks.__getitem__, function.model.needed([function.output]))
    )
    if function.flat is not None or isinstance(function.source, IndexedSource):
        return by_templates(function, inputs)
    arrays = {a.name: value.detach().numpy() for a, value in zip(function.rolled_arguments, inputs, strict=True)}
    try:
        output = tape_output(function, inputs)
    except (HybridError, AttributeError, NotImplementedError, TypeError):
        return by_templates(function, inputs) if simple else None
    with np.errstate(all="ignore"):
        wanted = plain_value(function, arrays)
    same = np.allclose(output.detach().numpy(), wanted, rtol=1e-9, atol=1e-300, equal_nan=True)
    return output if same else by_templates(function, inputs) if simple else None


def plain_value(function: RolledFormula, given: dict[str, NDArray[Any]]) -> NDArray[Any]:
    """What the user's code gives by NumPy."""
    return np.asarray(function.by_source([given[a.name] for a in function.rolled_arguments]), dtype=np.float64)


def tape_output(function: RolledFormula, inputs: Sequence[Any]) -> Any:
    if function.flat is not None:  # element by element it would take long: whole templates, whose values are compared
        return by_templates(function, inputs)
    result = function.by_source(inputs)
    if isinstance(result, list | tuple):
        result = np.stack([part if hasattr(part, "requires_grad") else tape.tensor(part) for part in result])
    return result if hasattr(result, "requires_grad") else tape.tensor(np.asarray(result, dtype=np.float64))


def by_templates(function: RolledFormula, inputs: Sequence[Any]) -> Any:
    """The output of a function that was found in another, its templates run on the tape over all instances."""
    model = function.model
    held = {a.buffer: value.reshape(-1) for a, value in zip(function.rolled_arguments, inputs, strict=True)}
    for number in model.needed([function.output]):
        block = model.blocks[number]
        known: dict[int, Any] = {}
        for node in model.reads(block.nodes):
            access = model.accesses[node]
            data = model.buffers[access.buffer].value
            source = held[access.buffer] if data is None else tape.tensor(data.reshape(-1))
            known[node] = source[model.tables.positions(access.map, block.space).reshape(-1)]
        results = replayed(model.graph, block.nodes, known, block.instances)
        for write, result in zip(block.writes, results, strict=True):
            places = model.tables.positions(write.to.map, block.space).reshape(-1)
            size = model.buffers[write.to.buffer].size
            part = tape.zeros((size,), dtype=result.dtype).scatter_add(0, tape.tensor(np.array(places)), result)
            held[write.to.buffer] = part + held[write.to.buffer] if write.to.buffer in held else part
    return held[function.output].reshape(function.shape)


def replayed(graph: Graph, roots: Sequence[int], known: dict[int, Any], instances: int) -> list[Any]:
    """The nodes of a graph over tensors."""
    carrier = next(iter(known.values()), tape.zeros((instances,), dtype=np.float64))
    apply: Any = getattr(type(carrier), "__hybrid_elementwise__")  # noqa: B009  # of tensors
    carry_out(graph, roots, known, carrier, apply)
    results = [known[root] for root in roots]
    return [result if composable(result) else tape.tensor(np.full(instances, float(result))) for result in results]


def flat_value(function: RolledFormula, given: dict[str, NDArray[Any]]) -> NDArray[Any] | None:
    """The value of the expression that a function was found in, if that is not too large to evaluate by NumPy."""
    flat = function.flat
    if flat is None or len(flat.graph.reach(flat.nodes)) > MOST_EVALUATED:
        return None
    values = {
        node: number
        for argument in flat.arguments
        for node, number in zip(argument.nodes, given[argument.name].reshape(-1).tolist(), strict=True)
    }
    return np.array(evaluate(flat.graph, expand(flat.graph, list(flat.nodes)), values)).reshape(flat.shape)


def products(
    formula: RolledFormula,
    kinds: tuple[str, ...],
    result: NDArray[Any],
    given: dict[str, NDArray[Any]],
    output: Any,
    wrt: Sequence[Any],
    random: np.random.Generator,
    names: Sequence[str],
) -> tuple[Any, Any, str] | None:
    """Our numbers and those of the tape, and what they are."""
    origin = formula.origin
    if origin is None:
        written_out = flat_value(formula, given)
        return result, output.detach().numpy() if written_out is None else written_out, "value"
    root = origin.of
    directions = [given.get(f"{names[position]}_dot") for position in origin.wrt]
    if kinds == ("gradient",):
        return result.reshape(-1), joined(tape.grad(output.sum(), wrt, allow_unused=True), wrt), "gradient"
    if kinds == ("vjp",):
        weights = given[formula.rolled_arguments[-1].name]
        return result.reshape(-1), pulled(output, wrt, weights), "reverse"
    if kinds == ("jvp",):
        weights = random.standard_normal(root.shape)
        theirs = pulled(output, wrt, weights) @ flat(directions)
        return np.sum(weights * result), theirs, "projection"
    if kinds == ("jacobian",):
        weights = random.standard_normal(root.shape)
        ours = times(formula, result, weights.reshape(-1), True)
        return ours, pulled(output, wrt, weights), "row combination"
    if kinds == ("hessian",):
        vector = random.standard_normal(sum(part.size for part in wrt_sizes(formula)))
        return times(formula, result, vector, False), second(output, wrt, vector), "product with a vector"
    if kinds == ("hvp",):
        return result.reshape(-1), second(output, wrt, flat(directions)), "product with a vector"
    return None


def wrt_sizes(formula: RolledFormula) -> list[Any]:
    assert formula.origin is not None  # of derivatives only
    return [formula.origin.of.rolled_arguments[position] for position in formula.origin.wrt]


def times(formula: RolledFormula, values: NDArray[Any], vector: NDArray[Any], left: bool) -> NDArray[Any]:
    """A matrix times a vector, from the left or the right; a triangle stands for the symmetric matrix."""
    pattern = formula.fixed_pattern
    if pattern is None:
        columns = sum(part.size for part in wrt_sizes(formula))
        matrix = values.reshape(-1, columns)
        dense: NDArray[Any] = vector @ matrix if left else matrix @ vector
        return dense
    rows, columns_of = pattern.rows, pattern.columns
    if left:
        return np.bincount(columns_of, values * vector[rows], pattern.shape[1])
    product = np.bincount(rows, values * vector[columns_of], pattern.shape[0])
    if pattern.triangle == "lower":
        off = rows != columns_of
        product = product + np.bincount(columns_of[off], values[off] * vector[rows[off]], pattern.shape[0])
    return product


def flat(parts: Sequence[Any]) -> NDArray[Any]:
    return np.concatenate([np.ravel(part) for part in parts])


def joined(grads: Sequence[Any], like: Sequence[Any]) -> NDArray[Any]:
    pairs = zip(grads, like, strict=True)
    return flat([np.zeros(tensor.shape) if grad is None else grad.detach().numpy() for grad, tensor in pairs])


def pulled(output: Any, wrt: Sequence[Any], weights: NDArray[Any]) -> NDArray[Any]:
    total = (output * tape.tensor(weights)).sum()
    if not total.requires_grad:
        return np.zeros(sum(tensor.numel() for tensor in wrt))
    return joined(tape.grad(total, wrt, allow_unused=True), wrt)


def second(output: Any, wrt: Sequence[Any], vector: NDArray[Any]) -> NDArray[Any]:
    """The Hessian times a vector on the tape."""
    nothing = np.zeros(sum(tensor.numel() for tensor in wrt))
    if not output.requires_grad:
        return nothing
    grads = tape.grad(output, wrt, create_graph=True, allow_unused=True)
    total, start = None, 0
    for grad, tensor in zip(grads, wrt, strict=True):
        part = vector[start : start + tensor.numel()].reshape(tensor.shape)
        start += tensor.numel()
        if grad is not None and grad.requires_grad:
            term = (grad * tape.tensor(part)).sum()
            total = term if total is None else total + term
    if total is None or not total.requires_grad:
        return nothing
    return joined(tape.grad(total, wrt, allow_unused=True), wrt)


def finding(formula: RolledFormula, how: str, ours: NDArray[Any], theirs: NDArray[Any]) -> Finding:
    ours, theirs = ours.reshape(-1), theirs.reshape(-1)
    both = np.isfinite(ours) & np.isfinite(theirs)
    same = both | (np.isnan(ours) & np.isnan(theirs)) | (ours == theirs)
    scale = float(np.max(np.abs(theirs[both]), initial=0.0)) or 1.0
    error = np.zeros(len(ours))
    error[both] = np.abs(ours[both] - theirs[both]) / scale
    error[~same] = np.inf
    worst = int(np.argmax(error)) if len(error) else 0
    largest = float(error[worst]) if len(error) else 0.0
    ulp = largest / np.finfo(float).eps
    where = f"{formula.name}, entry {worst}: {ours[worst]!r} against {theirs[worst]!r}" if len(error) else ""
    return Finding(formula.name, formula.shape, how, len(ours), ulp, largest, where)
