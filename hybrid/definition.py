"""What a function is before anything is derived from it: arguments, outputs on a graph, and the user's own source."""

from __future__ import annotations

import importlib
import pickle
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

from hybrid.graph import Graph
from hybrid.sparsity import Pattern


@dataclass(frozen=True)
class Argument:
    """An argument of a function: its name, its shape per point, and the variable node of each element in C order."""

    name: str
    shape: tuple[int, ...]
    nodes: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.nodes) != prod(self.shape):
            raise ValueError(f"argument {self.name!r} of shape {self.shape} has {len(self.nodes)} variables")

    @property
    def size(self) -> int:
        return len(self.nodes)


@dataclass(frozen=True)
class SymPySource:
    """The SymPy expressions a function was made from, in C order, and the SymPy symbol of every argument element."""

    expressions: tuple[Any, ...] = field(repr=False)  # printing deep SymPy trees recurses
    symbols: tuple[tuple[Any, ...], ...]


@dataclass(frozen=True)
class PythonSource:
    """The Python function that was traced; it runs unchanged on NumPy arrays and on tensors of the numeric tape.

    It is pickled like any function, by its place in its module, also where the decorator has put the Function there.
    """

    function: Callable[..., Any]

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        module, path = getattr(self.function, "__module__", None), getattr(self.function, "__qualname__", "")
        # What a program defines itself is not found in other processes; cloudpickle, if in use, sends it as it is.
        sent = module == "__main__" and "cloudpickle" in sys.modules
        holder = found(module, path) if module and not sent else None
        source = getattr(holder, "source", None)
        if isinstance(source, PythonSource) and source.function is self.function:
            return source_at, (module, path)
        return PythonSource, (findable(self.function, path or "this function"),)


def findable(code: Callable[..., Any], name: str) -> Callable[..., Any]:
    """Code that is to be pickled. Raises pickle.PicklingError for what pickle cannot find by its name."""
    path = getattr(code, "__qualname__", "")
    if ("<lambda>" in path or "<locals>" in path) and "cloudpickle" not in sys.modules:
        what = "a lambda" if path.endswith("<lambda>") else "a function inside another"
        raise pickle.PicklingError(
            f"{name} runs Python code that pickle cannot find by name, {what}: define it with def at the top of a "
            f"module, or pickle with the package cloudpickle"
        )
    return code


def found(module: str, path: str) -> Any:
    """What a module has at a path of names; None if nothing."""
    place: Any = sys.modules.get(module)
    for name in path.split("."):
        place = getattr(place, name, None)
    return place


def source_at(module: str, path: str) -> PythonSource:
    """The source of the Function at a path in a module, for pickles."""
    importlib.import_module(module)
    source = getattr(found(module, path), "source", None)
    if not isinstance(source, PythonSource):
        raise ImportError(f"{module} has no Function {path}, from whose code a pickled one was made")
    return source


@dataclass(frozen=True)
class Definition:
    """Arguments, output nodes in C order with their shape, and where they came from."""

    graph: Graph
    arguments: tuple[Argument, ...]
    nodes: tuple[int, ...]
    shape: tuple[int, ...]
    source: SymPySource | PythonSource
    name: str = "f"


@dataclass(frozen=True)
class Derivation:
    """How a function was derived: `kind` of derivative of the function `of`, by the arguments at positions `wrt`.

    With a `pattern`, its outputs are the entries of the pattern only, in order. `method` is how its entries were found,
    and `asked` whether by the user's choice.
    """

    kind: str
    of: Formula
    wrt: tuple[int, ...]
    pattern: Pattern | None = None
    method: str = ""
    asked: bool = False

    @property
    def columns(self) -> int:
        """How many variables it differentiates by."""
        return sum(self.of.arguments[position].size for position in self.wrt)


class Formula:
    """The data of a function, without what can be done with it: what printing, compiling and checking read.

    `primal` holds the nodes whose rounding the user chose (the values as written); compiling keeps them bit for bit.
    """

    graph: Graph
    arguments: tuple[Argument, ...]
    nodes: tuple[int, ...]
    shape: tuple[int, ...]
    source: SymPySource | PythonSource
    name: str
    derivation: Derivation | None
    primal: tuple[int, ...]
    rolled: bool = False  # whether it is kept as templates over arrays (`hybrid.rolled`), without a node per output

    def forms(self) -> Sequence[Formula]:
        """The same formula as other methods derive it, the cheapest first; compiling takes the one that fits best."""
        return ()
