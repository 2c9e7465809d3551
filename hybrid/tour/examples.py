"""The two examples of the tour, read from files a user can open: `examples/black_scholes.py`, `examples/panda.py`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from types import ModuleType
from typing import Any

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from hybrid.compiling import compile
from hybrid.definition import Argument, SymPySource
from hybrid.function import Function
from hybrid.kernel import Kernel
from hybrid.loading import examples, import_file
from hybrid.sympy_writer import to_sympy

Arrays = Sequence[NDArray[np.float64]]


@dataclass(frozen=True)
class Example:
    """What is told about an example, and what to take from its file.

    unit: what a point is. fewer: how many times fewer points than asked for, because its outputs are larger. functions:
    the user's function first, then its derivatives. points: the name of the generator of points. at: one point to show
    numbers at, with a caption.
    """

    title: str
    about: str
    file: str
    unit: str
    fewer: int
    name: str
    functions: Callable[[ModuleType], tuple[Function, ...]]
    points: str
    at: tuple[Any, ...]
    caption: str

    def load(self) -> Subject:
        module = import_file(examples() / self.file)
        start = time.perf_counter()
        functions = self.functions(module)
        return Subject(self, functions, getattr(module, self.points), time.perf_counter() - start)


@dataclass(frozen=True)
class Subject:
    """A loaded example. `seconds` is what differentiating took."""

    example: Example
    functions: tuple[Function, ...]
    inputs: Callable[[int], Arrays]
    seconds: float

    @cached_property
    def simplified(self) -> tuple[Function, ...]:
        """Each function by itself with fewer operations: what is printed."""
        return tuple(function.simplify() for function in self.functions)

    def compile(self) -> Kernel:
        return compile(*self.functions, name=self.example.name)

    @property
    def arguments(self) -> list[Argument]:
        """All arguments, each once, in order of appearance."""
        found = {argument.name: argument for function in self.functions for argument in function.arguments}
        return list(found.values())

    def symbols(self) -> list[Any]:
        """SymPy's symbol of every argument element, in order."""
        source = self.functions[0].source
        if isinstance(source, SymPySource):
            return [symbol for symbols in source.symbols for symbol in symbols]
        return [sp.Symbol(f"{a.name}_{i}", real=True) for a in self.arguments for i in range(a.size)]

    def expressions(self) -> list[Any]:
        """All outputs as SymPy has them: derived by SymPy itself where the function came from there."""
        symbols = self.symbols()
        source = self.functions[0].source
        if isinstance(source, SymPySource):
            (value,) = source.expressions
            gradient = [sp.diff(value, symbol) for symbol in symbols]
            upper = {(i, j): sp.diff(gradient[i], symbols[j]) for j in range(len(symbols)) for i in range(j + 1)}
            pairs = product(range(len(symbols)), repeat=2)
            return [value, *gradient, *(upper[min(pair), max(pair)] for pair in pairs)]
        outputs: list[Any] = []
        for simple in self.simplified:
            own = {a.name: a.nodes for a in simple.arguments}
            names = [node for a in self.arguments for node in own.get(a.name, (None,) * a.size)]
            written = {node: symbol for node, symbol in zip(names, symbols, strict=True) if node is not None}
            outputs += to_sympy(simple.graph, simple.nodes, written)
        return outputs


def black_scholes(module: ModuleType) -> tuple[Function, ...]:
    call: Function = module.call
    return call, call.gradient(), call.hessian()


def panda(module: ModuleType) -> tuple[Function, ...]:
    pose: Function = module.pose
    return pose, pose.jacobian(), module.miss.hessian(wrt="q")


EXAMPLES = (
    Example(
        title="Black–Scholes",
        about="The price of a call option with its 5 first and 25 second derivatives, written in SymPy.",
        file="black_scholes.py",
        unit="contracts",
        fewer=1,
        name="black_scholes",
        functions=black_scholes,
        points="contracts",
        at=(100.0, 100.0, 1.0, 0.05, 0.2),
        caption="at S = K = 100, one year, r = 5 %, σ = 20 %",
    ),
    Example(
        title="Franka Emika Panda",
        about="Where a 7-joint arm puts its hand, the Jacobian, and the Hessian of the squared miss; plain NumPy.",
        file="panda.py",
        unit="postures",
        fewer=10,
        name="panda",
        functions=panda,
        points="postures",
        at=((0.0, -0.785, 0.0, -2.356, 0.0, 1.571, 0.785), (0.5, 0.2, 0.4)),
        caption="in the ready posture",
    ),
)
