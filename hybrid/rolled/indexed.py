"""SymPy sums over indexed arrays → blocks: what `hybrid.Function` makes of `Sum` and `IndexedBase` that are large.

A sum becomes a block over its indices. Its body, in which every `x[i + 1]` is a read and every inner sum is what an
earlier block gives, is converted by the reader that all SymPy expressions go through.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import sympy as sp
from numpy.typing import NDArray
from sympy.tensor.indexed import IndexException

from hybrid.definition import SymPySource
from hybrid.errors import ArgumentError, InputTypeError, ShapeError, UnsupportedError
from hybrid.evaluate import evaluate
from hybrid.graph import Graph
from hybrid.rolled import functions, maps
from hybrid.rolled.array import RolledArray, as_kind, lift
from hybrid.rolled.maps import Map, Shape
from hybrid.rolled.model import STORE, Access, Block, Model, Write
from hybrid.rolled.trace import FLAT, Rolled
from hybrid.sympy_bridge import argument_names, check_symbol, convert_output, read_outputs, unknown_symbols_message
from hybrid.sympy_reader import Reader

Input = tuple[str | None, Any, Any]  # a given name, an IndexedBase or a symbol, and its shape, or its data
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class IndexedSource(SymPySource):
    """What a rolled function of SymPy sums was made from: the inputs with their shapes, and the outputs as given."""

    inputs: tuple[Input, ...] = ()
    outputs: Any = None

    def with_data(self, new: Mapping[str, Any], name: str) -> Rolled:
        """The same sums over other shapes and data, by the inputs' names. Raises ArgumentError for other names."""
        names = labels(self.inputs)
        if strange := [key for key in new if key not in names]:
            raise ArgumentError(f"{name} has neither data nor an argument {strange[0]!r}; it has {', '.join(names)}")
        inputs = [
            (given, base, checked_shape(base, new[label]) if label in new else known)
            for label, (given, base, known) in zip(names, self.inputs, strict=True)
        ]
        return define(inputs, self.outputs, name)


# --- inputs -----------------------------------------------------------------------------------------------------------
def read_inputs(inputs: Any) -> list[Input] | None:
    """Inputs of which one at least is an IndexedBase and the others scalar symbols; None for any others.

    An array is `(base, shape)`, or `(base, data)` with an array of numbers, or a base of a known shape by itself.
    """
    if isinstance(inputs, Mapping):
        items = [(name, *pair(value)) for name, value in inputs.items()]
    elif isinstance(inputs, list | tuple | sp.Tuple):
        items = [
            (item[0], *pair(item[1])) if isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str)
            else (None, *pair(item))
            for item in inputs
        ]  # fmt: skip
    else:
        items = [(None, *pair(inputs))]
    if not any(isinstance(base, sp.IndexedBase) for _, base, _ in items):
        return None
    if not all(isinstance(base, sp.IndexedBase | sp.Symbol) for _, base, _ in items):
        return None
    return items


def pair(item: Any) -> tuple[Any, Any]:
    if isinstance(item, tuple | sp.Tuple) and len(item) == 2 and isinstance(item[0], sp.IndexedBase):
        return item[0], checked_shape(item[0], item[1])
    if isinstance(item, sp.IndexedBase):
        return item, item.shape
    return item, ()


def checked_shape(base: Any, given: Any) -> Any:
    """A shape, or data as an array of numbers."""
    if isinstance(given, int | np.integer | sp.Integer) and not isinstance(given, bool):
        given = (int(given),)
    if isinstance(given, tuple | sp.Tuple) and all(isinstance(n, int | np.integer | sp.Integer) for n in given):
        if not given or any(n < 1 for n in given):
            raise ShapeError(f"the input {base} needs a shape of positive lengths, got {given}")
        return tuple(int(n) for n in given)
    try:
        data = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        data = np.zeros(())
    if not data.size or not data.ndim:
        raise InputTypeError(
            f"the input {base} takes a shape such as 1000 or (20, 3), or an array of numbers as data, got {given!r}"
        )
    return data


def labels(inputs: Sequence[Input]) -> list[str]:
    return argument_names([(name, (2,), [sp.Symbol(str(base))]) for name, base, _ in inputs])


def lengths_of(inputs: Sequence[Input]) -> dict[Any, Any]:
    """The numbers that symbols in shapes stand for. Raises ShapeError where shapes contradict each other."""
    known: dict[Any, Any] = {}
    for _, base, given in inputs:
        if not isinstance(base, sp.IndexedBase) or base.shape is None or given is base.shape:
            continue
        shape = np.shape(given) if isinstance(given, np.ndarray) else given
        if len(shape) != len(base.shape):
            raise ShapeError(f"the input {base} has {len(base.shape)} axes, {base.shape}, but was given shape {shape}")
        for length, number in zip(base.shape, shape, strict=True):
            rest = sp.sympify(length).xreplace(known)
            free = sorted(rest.free_symbols, key=str)
            found = sp.solve(rest - number, free[0]) if len(free) == 1 else []
            if found and found[0].is_Integer:
                known[free[0]] = found[0]
            elif rest != number:
                raise ShapeError(
                    f"the input {base} has the shape {base.shape}, which cannot be {shape}"
                    + (f" with {', '.join(f'{k} = {v}' for k, v in known.items())}" if known else "")
                )
    return known


def concrete(inputs: Sequence[Input]) -> tuple[list[Input], dict[Any, Any]]:
    """The inputs with numbers as shapes, and what is to be put into the outputs for symbolic lengths and bases."""
    numbers = lengths_of(inputs)
    replaced: dict[Any, Any] = dict(numbers)
    made: list[Input] = []
    for name, base, given in inputs:
        if not isinstance(base, sp.IndexedBase):
            made.append((name, base, ()))
            continue
        shape = np.shape(given) if isinstance(given, np.ndarray) else given
        shape = None if shape is None else tuple(sp.sympify(length).xreplace(numbers) for length in shape)
        if shape is None or not all(length.is_Integer for length in shape):
            raise ShapeError(
                f"the input {base} is an IndexedBase of shape {base.shape}; give it a concrete one: "
                f"sp.IndexedBase({str(base.label)!r}, shape=(3,)), or the pair ({base}, 3)"
            )
        plain = tuple(int(length) for length in shape)
        known = sp.IndexedBase(base.label, shape=plain)
        if base != known:
            replaced[base] = known
        made.append((name, known, given if isinstance(given, np.ndarray) else plain))
    return made, replaced


def put_in(outputs: Any, replaced: Mapping[Any, Any]) -> tuple[Shape, list[Any]]:
    """Shape and expressions of the outputs, symbolic lengths replaced."""
    try:
        shape, expressions = read_outputs(outputs)
        return shape, [expression.xreplace(dict(replaced)) for expression in expressions]
    except IndexException as error:
        raise ShapeError(f"an array is read with another number of indices than it has axes: {error}") from None


# --- the door ---------------------------------------------------------------------------------------------------------
def rolled_or_none(inputs: Any, outputs: Any, name: str, rolled: bool | None) -> Rolled | None:
    """A rolled function of SymPy sums, or None where `hybrid.sympy_bridge.define` is to write it out.

    rolled: True or False as asked for; None rolls what would be large when written out, or has data.
    """
    read = None if isinstance(inputs, str | np.ndarray | sp.MatrixBase) else read_inputs(inputs)
    if read is None:
        if rolled:
            raise UnsupportedError(
                "rolled=True needs inputs that are scalar symbols and sympy.IndexedBase arrays, such as "
                "(sp.IndexedBase('x'), 1000)"
            )
        return None
    if rolled is None:
        made, replaced = concrete(read)
        _, expressions = put_in(outputs, replaced)
        data = any(isinstance(given, np.ndarray) for _, _, given in made)
        rolled = data or sum(map(written_out, expressions)) > FLAT
    return define(read, outputs, name) if rolled else None


def flat_form(inputs: Any, outputs: Any) -> tuple[Any, Any]:
    """Inputs and outputs as `hybrid.sympy_bridge.define` takes them: pairs of bases and shapes made into bases."""
    read = None if isinstance(inputs, str | np.ndarray | sp.MatrixBase) else read_inputs(inputs)
    if read is None:
        return inputs, outputs
    if any(isinstance(given, np.ndarray) for _, _, given in read):
        raise UnsupportedError("data for an IndexedBase need a rolled function; leave rolled=False away")
    made, replaced = concrete(read)
    if not replaced:
        return [item if name is None else (name, item) for name, item, _ in made], outputs
    shape, expressions = put_in(outputs, replaced)
    listed: Any = expressions[0]
    if shape:
        listed = np.empty(shape, dtype=object)
        listed.reshape(-1)[:] = expressions
    return [item if name is None else (name, item) for name, item, _ in made], listed


def written_out(expression: Any) -> int:
    """About how many operations an expression takes when its sums are written out; 0 if it has none."""
    total = 0
    for found in expression.atoms(sp.Sum):
        sizes = [high - low + 1 for _, low, high in found.limits]
        if all(length.is_Integer for length in sizes):
            total += abs(prod(int(length) for length in sizes)) * (1 + int(sp.count_ops(found.function)))
        else:
            total += 1
    return total


def define(inputs: Sequence[Input], outputs: Any, name: str) -> Rolled:
    """A rolled function of SymPy sums.

    Raises ShapeError for lengths that are unknown or contradict each other, and for reads outside of an array,
    ArgumentError for symbols that are no inputs, UnsupportedError for limits that depend on another index, products
    over an index, and what SymPy objects cannot be converted.
    """
    made, replaced = concrete(inputs)
    shape, expressions = put_in(outputs, replaced)
    names = labels(made)
    sums = Sums(Model())
    arguments = []
    for label, (_, base, given) in zip(names, made, strict=True):
        if isinstance(base, sp.Symbol):
            check_symbol(base)
        if base in sums.held:
            raise ArgumentError(f"the inputs hold {base} twice; every input may appear once: remove one")
        if isinstance(given, np.ndarray):
            sums.data[base] = given
            sums.held[base] = lift(sums.model, given)
            continue
        buffer = sums.model.argument(label, given)
        sums.held[base] = RolledArray(
            sums.model, sums.model.read(buffer.number, maps.identity(buffer.shape)), buffer.shape
        )
        arguments.append((label, buffer.number))
    if not arguments:
        raise ArgumentError("a function needs at least one input that is not data, got none")
    results = [sums.value(expression, ()) for expression in expressions]
    if shape == ():
        output = sums.model.stored(results[0].node, (), ()).number
    else:
        output = sums.model.buffer(shape).number
        for place, result in enumerate(results):
            sums.model.add(Block((), (result.node,), (Write(Access(output, Map(place, ())), STORE),)))
    source = IndexedSource((), (), tuple(inputs), outputs)
    return Rolled(sums.model, tuple(arguments), output, shape, source, name)


@dataclass(frozen=True)
class Index:
    """An index of a sum, and the numbers it takes."""

    symbol: Any
    low: int
    length: int


class Sums:
    """The conversion of expressions with sums onto one model; `held` has each input by its base or symbol."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.held: dict[Any, RolledArray] = {}
        self.data: dict[Any, NDArray[np.float64]] = {}
        self.done: dict[tuple[Any, tuple[Index, ...]], RolledArray] = {}

    def value(self, expression: Any, indices: tuple[Index, ...]) -> RolledArray:
        """An expression at every combination of the indices, an array with an axis for each of them."""
        space = tuple(index.length for index in indices)
        leaves: dict[Any, Any] = {}  # what stands for each part in the template
        nodes: dict[Any, int] = {}
        for part in outermost(expression):
            array = self.part(part, indices, space)
            if array.shape != space:
                array = array.broadcast_to(space)
            stand = leaves[part] = sp.Dummy(str(part.func.__name__), real=True)
            nodes[stand] = array.node
        for symbol, array in self.held.items():
            if isinstance(symbol, sp.Symbol):
                nodes[symbol] = array.broadcast_to(space).node
        for axis, index in enumerate(indices):
            if index.symbol in expression.free_symbols:
                nodes[index.symbol] = lift(self.model, self.counted(indices, axis) * 1.0).broadcast_to(space).node
        reader = Reader(self.model.graph, nodes)
        node = convert_output(reader, expression.xreplace(leaves))
        if reader.unknown:
            known = dict.fromkeys(self.held, 0)
            raise ArgumentError(unknown_symbols_message(reader.unknown, known))
        return as_kind(RolledArray(self.model, node, space), "real")

    def part(self, part: Any, indices: tuple[Index, ...], space: Shape) -> RolledArray:
        """A sum, or an element of an array, at every combination of the indices."""
        if isinstance(part, sp.Product):
            raise UnsupportedError(
                f"the product over {part.limits[-1][0]} cannot stay rolled; write it as exp of a Sum of logarithms, or "
                "ask for rolled=False"
            )
        if isinstance(part, sp.Sum):
            return self.sum(part, indices)
        array = self.held.get(part.base)
        if array is None:
            known = ", ".join(str(base) for base in self.held)
            raise ArgumentError(f"the outputs use the array {part.base}, which is not among the inputs ({known})")
        if len(part.indices) != array.ndim:
            raise ShapeError(f"{part} has {len(part.indices)} indices, but {part.base} has shape {array.shape}")
        places = tuple(self.places(part, axis, array.shape[axis], indices) for axis in range(array.ndim))
        return array[tuple(np.broadcast_to(place, space) for place in places) if space else tuple(map(int, places))]

    def sum(self, part: Any, indices: tuple[Index, ...]) -> RolledArray:
        """A sum, by a block over its own indices and those around it that it depends on."""
        outer = tuple(index for index in indices if index.symbol in part.free_symbols)
        sign, own = 1, []
        for symbol, low, high in reversed(part.limits):
            if not (low.is_Integer and high.is_Integer):
                raise UnsupportedError(limits_message(part, symbol, low, high, indices))
            first, length = int(low), int(high) - int(low) + 1
            if length < 0:  # [Karr, Summation in finite terms, 1981], as in SymPy
                sign, first, length = -sign, int(high) + 1, -length
            own.append(Index(symbol, first, length))
        if any(index.length == 0 for index in own):
            return lift(self.model, 0.0).broadcast_to(tuple(index.length for index in indices))
        key = (part, outer)
        if key not in self.done:
            inside = tuple(index for index in outer if all(index.symbol != other.symbol for other in own))
            terms = self.value(part.function, (*inside, *own))
            axes = tuple(range(len(inside), len(inside) + len(own)))
            total = functions.sum_of(self.model, terms, axes)
            self.done[key] = total if sign > 0 else -total
        total = self.done[key]
        order = [index in outer for index in indices]
        view = tuple(slice(None) if present else None for present in order)
        return total[view] if indices and not all(order) else total

    def counted(self, indices: tuple[Index, ...], axis: int) -> Integers:
        """The numbers of an index along its axis."""
        shape = [1] * len(indices)
        shape[axis] = indices[axis].length
        return np.arange(indices[axis].low, indices[axis].low + indices[axis].length).reshape(shape)

    def places(self, part: Any, axis: int, length: int, indices: tuple[Index, ...]) -> Integers:
        """Where a read is along one axis of its array, checked to be whole numbers inside."""
        index = part.indices[axis]
        numbers = self.numbers(index, part, indices)
        found: Integers = np.rint(numbers).astype(np.int64)
        if not np.all(np.abs(numbers - found) < 1e-6):
            raise ShapeError(f"the index {index} of {part} is not always a whole number")
        if found.min() < 0 or found.max() >= length:
            ranges = ", ".join(f"{i.symbol} = {i.low} … {i.low + i.length - 1}" for i in indices)
            raise ShapeError(
                f"{part} is read at {found.min()} … {found.max()}{f' for {ranges}' if ranges else ''}, but {part.base} "
                f"has elements 0 … {length - 1} along that axis; SymPy's sums include their upper limit"
            )
        return found

    def numbers(self, index: Any, part: Any, indices: tuple[Index, ...]) -> NDArray[np.float64]:
        """The values of an index expression, which may read data."""
        graph, leaves, values = Graph(), {}, {}
        for axis, one in enumerate(indices):
            leaves[one.symbol] = graph.variables_of(str(one.symbol), [()])[0]
            values[leaves[one.symbol]] = self.counted(indices, axis).astype(np.float64)
        stands: dict[Any, Any] = {}
        for inner in outermost(index):
            data = self.data.get(getattr(inner, "base", None))
            if data is None:
                raise UnsupportedError(f"the index of {part} depends on {inner}, which is no data")
            at = tuple(self.places(inner, axis, data.shape[axis], indices) for axis in range(data.ndim))
            stands[inner] = sp.Dummy(integer=True)
            leaves[stands[inner]] = graph.variables_of(f"data{len(stands)}", [()])[0]
            values[leaves[stands[inner]]] = data[at]
        reader = Reader(graph, leaves)
        node = reader.convert(index.xreplace(stands))
        if reader.unknown:
            raise UnsupportedError(
                f"the index of {part} depends on {', '.join(map(str, reader.unknown))}; it must follow from the "
                "indices of the sums around it, numbers and data"
            )
        return np.asarray(evaluate(graph, [node], values)[0], dtype=np.float64)


def outermost(expression: Any) -> list[Any]:
    """The sums, products and elements of arrays in an expression that are in no other such part, each once."""
    found: dict[Any, None] = {}
    visited: set[Any] = set()
    stack = [expression]
    while stack:
        part = stack.pop()
        if part in visited:
            continue
        visited.add(part)
        if isinstance(part, sp.Sum | sp.Product | sp.Indexed):
            found[part] = None
        else:
            stack.extend(part.args)
    return list(found)


def limits_message(part: Any, symbol: Any, low: Any, high: Any, indices: tuple[Index, ...]) -> str:
    around = {index.symbol for index in indices} | {limit[0] for limit in part.limits}
    free = (low.free_symbols | high.free_symbols) & around
    what = f"the limits of the sum over {symbol} are {low} and {high}"
    if free:
        return (
            f"{what}, which depend on another index; rolled sums are over whole ranges: sum over all {symbol} a "
            f"Piecewise((term, condition), (0, True))"
        )
    length = min(map(str, high.free_symbols), default="n")
    return (
        f"{what}, not whole numbers; a length that is a symbol gets its value from an input: "
        f"(sp.IndexedBase('x', shape=({length},)), 1000)"
    )
