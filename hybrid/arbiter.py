"""Arbitration: what a derivative is at one point, from nothing but values of the user's function in high precision.

No derivative rule takes part. Derivatives are central differences of step 10⁻¹² at a precision that leaves more than
20 correct digits; two steps must agree, or the point is a kink or a singularity and there is no verdict.
[Central differences: Abramowitz & Stegun, 25.3.23]
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import mpmath
import numpy as np
import sympy as sp
from numpy.typing import NDArray

from hybrid.definition import Formula, PythonSource, SymPySource
from hybrid.operations import Operation
from hybrid.precise_special import special_meanings
from hybrid.recording import Recording
from hybrid.replay import Algebra, replay_graph, replay_python, replay_sympy
from hybrid.witness import Vectors, axes_of, order_of, places_of

DIGITS = 50  # for values; derivatives of higher order get more, so that differences keep over 20 digits
STEP_EXPONENT = 12
AGREEMENT = 1e-14  # relative difference of two answers that still counts as one
MORE_DIGITS = (0, 100, 350)  # for functions that cancel or are tiny
SMALLEST = 1e-200  # numbers below are not told apart

Arguments = Mapping[str, Sequence[Any]]


def _real(function: Callable[..., Any], nan: Any) -> Callable[..., Any]:
    """The function with NaN where it is complex or has a pole."""

    def apply(*operands: Any) -> Any:
        try:
            result = function(*operands)
        except (ZeroDivisionError, ValueError, OverflowError):
            return nan
        if isinstance(result, bool):
            return result
        return nan if getattr(result, "imag", 0) != 0 else result.real

    return apply


def _functions(mp: Any) -> dict[str, Callable[..., Any]]:
    one, zero = mp.mpf(1), mp.mpf(0)

    def trunc(x: Any) -> Any:
        return mp.floor(x) if x >= 0 else mp.ceil(x)

    def power(x: Any, y: Any) -> Any:
        if mp.isnan(x) or mp.isnan(y):
            return mp.nan  # also to the power 0: the function is no longer real nearby
        return one if y == 0 else zero if x == 0 and y > 0 else mp.power(x, y)

    def extreme(pick: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        return lambda x, y: mp.nan if mp.isnan(x) or mp.isnan(y) else pick(x, y)

    return {
        "add": lambda x, y: x + y,
        "sub": lambda x, y: x - y,
        "mul": lambda x, y: x * y,
        "div": lambda x, y: x / y,
        "neg": lambda x: -x,
        "pow": power,
        "sqrt": mp.sqrt,
        "cbrt": lambda x: mp.sign(x) * mp.cbrt(abs(x)),
        "hypot": mp.hypot,
        "exp": mp.exp,
        "exp2": lambda x: mp.power(2, x),
        "expm1": mp.expm1,
        "log": mp.log,
        "log2": lambda x: mp.log(x) / mp.log(2),
        "log10": mp.log10,
        "log1p": lambda x: mp.log1p(x),
        "sin": mp.sin,
        "cos": mp.cos,
        "tan": mp.tan,
        "asin": mp.asin,
        "acos": mp.acos,
        "atan": mp.atan,
        "atan2": mp.atan2,
        "sinh": mp.sinh,
        "cosh": mp.cosh,
        "tanh": mp.tanh,
        "asinh": mp.asinh,
        "acosh": mp.acosh,
        "atanh": mp.atanh,
        "erf": mp.erf,
        "erfc": mp.erfc,
        "gamma": mp.gamma,
        "loggamma": lambda x: mp.loggamma(x) if x > 0 else mp.log(abs(mp.gamma(x))),
        "digamma": mp.digamma,
        "polygamma": lambda n, x: mp.psi(int(n), x),
        **special_meanings(mp),
        "abs": abs,
        "sign": mp.sign,
        "minimum": extreme(min),
        "maximum": extreme(max),
        "floor": mp.floor,
        "ceil": mp.ceil,
        "trunc": trunc,
        "rint": mp.nint,
        "mod": lambda x, y: x - y * mp.floor(x / y),
        "fmod": lambda x, y: x - y * trunc(x / y),
        "copysign": lambda x, y: -abs(x) if y < 0 else abs(x),
        "heaviside": lambda x, at_zero: one if x > 0 else zero if x < 0 else at_zero,
        "lt": lambda x, y: bool(x < y),
        "le": lambda x, y: bool(x <= y),
        "gt": lambda x, y: bool(x > y),
        "ge": lambda x, y: bool(x >= y),
        "eq": lambda x, y: bool(x == y),
        "ne": lambda x, y: bool(x != y),
        "and": lambda x, y: x and y,
        "or": lambda x, y: x or y,
        "xor": lambda x, y: x != y,
        "not": lambda x: not x,
        "select": lambda condition, x, y: x if condition else y,
    }


USER: dict[str, Operation] = {}  # functions of the user's own, which have float64 values only


def _rounded(mp: Any, row: Operation) -> Callable[..., Any]:
    return lambda *args: mp.mpf(float(row.numpy(*(float(arg) for arg in args))))


def precise(digits: int) -> tuple[Any, Algebra]:
    """A multiple-precision context of its own, and its algebra: real numbers only, NaN elsewhere."""
    return _precise(digits, len(USER))


@lru_cache(maxsize=32)
def _precise(digits: int, users: int) -> tuple[Any, Algebra]:
    mp = mpmath.MPContext()
    mp.dps = digits

    def number(value: Any) -> Any:
        if isinstance(value, bool):
            return value
        if isinstance(value, Fraction):
            return mp.mpf(value.numerator) / value.denominator
        if isinstance(value, sp.Basic):
            return mp.mpf(str(sp.N(value, digits + 10)))
        return mp.mpf(value)

    table = {name: _real(function, mp.nan) for name, function in _functions(mp).items()}
    table |= {name: _real(_rounded(mp, row), mp.nan) for name, row in USER.items()}
    table["select"] = lambda condition, x, y: x if condition else y  # the side not taken may be anything
    return mp, Algebra(table, number, bool)


@dataclass(frozen=True)
class Verdict:
    """A value in multiple precision and its error bound; None where it is `undefined` or differences do not settle."""

    value: float | None
    text: str
    error: float = 0.0
    undefined: bool = False


class Arbiter:
    """Values and difference quotients of one formula in multiple precision."""

    def __init__(self, formula: Formula) -> None:
        self.formula = formula
        self.order = order_of(formula)
        self.recordings: dict[int, Recording | None] = {}  # by the id of a source; None: it cannot be noted
        self.runs_source = True
        self.mp, self.algebra = precise(DIGITS)

    def verdict(self, point: Mapping[str, NDArray[Any]], vectors: Vectors, size: float = 1.0) -> Verdict:
        """The entry (or weighted sum of entries) of the formula at one point, to 12 digits of `size` or better.

        Two steps at two precisions must agree; where they do not, both are tried again with more digits.
        """
        base = DIGITS + (STEP_EXPONENT + 2) * self.order
        for more in MORE_DIGITS:
            first = self._answer(point, vectors, base + more, 1)
            last = self._answer(point, vectors, base + more + 25, 3)
            if not (self.mp.isfinite(first) and self.mp.isfinite(last)):
                return Verdict(None, "no finite value", undefined=True)
            # what cancels in the differences is of the size of the function's values, taken as up to 10^10
            error = abs(first - last) + self.mp.mpf(10) ** (10 + (STEP_EXPONENT + 1) * self.order - base - more)
            if error <= max(AGREEMENT * abs(last), 1e-12 * max(size, SMALLEST)):
                return Verdict(float(last), self.mp.nstr(last, 25), float(error))
        return Verdict(None, "differences do not settle (a kink or a singular point)")

    def _answer(self, point: Mapping[str, NDArray[Any]], vectors: Vectors, digits: int, divisor: int) -> Any:
        self.mp, self.algebra = precise(digits)
        args = {name: [self.mp.mpf(float(x)) for x in np.ravel(array)] for name, array in point.items()}
        return self._entry(self.formula, args, vectors, self.mp.mpf(10) ** -STEP_EXPONENT / divisor)

    def _entry(self, formula: Formula, args: Arguments, vectors: Vectors, step: Any) -> Any:
        derivation = formula.derivation
        if derivation is None:
            return self._weighted(formula, args, vectors[0])
        of = derivation.of
        wrt = [of.arguments[position].name for position in derivation.wrt]
        extra = [argument.name for argument in formula.arguments[len(of.arguments) :]]

        def along(weights: Any, inner: Callable[[Arguments], Any]) -> Callable[[Arguments], Any]:
            def quotient(at: Arguments) -> Any:
                return (inner(_moved(at, wrt, weights, step)) - inner(_moved(at, wrt, weights, -step))) / (2 * step)

            return quotient

        def direction() -> list[Any]:
            return [x for name in extra for x in args[name]]

        match derivation.kind:
            case "gradient" | "jacobian":
                return along(vectors[-1], lambda at: self._output(of, at, vectors[:-1], step))(args)
            case "hessian":
                slope = along(vectors[-1], lambda at: self._output(of, at, vectors[:-2], step))
                return along(vectors[-2], slope)(args)
            case "jvp":
                return along(direction(), lambda at: self._output(of, at, vectors, step))(args)
            case "hvp":
                slope = along(direction(), lambda at: self._entry(of, at, [np.ones(1)] * len(axes_of(of)), step))
                return along(vectors[-1], slope)(args)
            case _:
                bars = direction()
                return along(vectors[-1], lambda at: self._paired(of, at, bars, step))(args)

    def _output(self, of: Formula, args: Arguments, vectors: Vectors, step: Any) -> Any:
        """The weighted entries of what is differentiated further, which may be a sparse derivative."""
        places = places_of(of)
        if places is None:
            return self._entry(of, args, vectors, step)
        total = self.mp.mpf(0)
        for number in np.flatnonzero(vectors[-1]):
            entry = self._entry(of, args, unit_vectors(of, int(places[number])), step)
            total += self.mp.mpf(float(vectors[-1][number])) * entry
        return total

    def _paired(self, of: Formula, args: Arguments, bars: Sequence[Any], step: Any) -> Any:
        """Σ of the entries of `of` weighted by cotangents, which need not be an outer product."""
        if of.derivation is None:
            values = self._values(of, args, range(len(of.nodes)))
        else:
            places = places_of(of)
            entries = range(len(of.nodes)) if places is None else places
            values = [self._entry(of, args, unit_vectors(of, int(entry)), step) for entry in entries]
        return sum((bar * value for bar, value in zip(bars, values, strict=True)), self.mp.mpf(0))

    def _weighted(self, root: Formula, args: Arguments, weights: NDArray[Any]) -> Any:
        wanted = [int(i) for i in np.flatnonzero(weights)]
        values = self._values(root, args, wanted)
        return sum((self.mp.mpf(float(weights[i])) * v for i, v in zip(wanted, values, strict=True)), self.mp.mpf(0))

    def _values(self, root: Formula, args: Arguments, wanted: Sequence[int]) -> list[Any]:
        given = [args[argument.name] for argument in root.arguments]
        if self.runs_source:
            try:
                if isinstance(root.source, SymPySource):
                    return replay_sympy(root.source, given, self.algebra, wanted)
                if isinstance(root.source, PythonSource):
                    return self._replay(root, root.source, given, wanted)
            except Exception:  # a user's function may refuse such numbers in any way; the graph has the same values
                self.runs_source = False
        nodes = [node for argument in root.arguments for node in argument.nodes]
        places = dict(zip(nodes, [x for own in given for x in own], strict=True))
        return replay_graph(root.graph, [root.nodes[i] for i in wanted], places, self.algebra)

    def _replay(
        self, root: Formula, source: PythonSource, given: Sequence[Sequence[Any]], wanted: Sequence[int]
    ) -> list[Any]:
        shapes = [argument.shape for argument in root.arguments]
        if id(source) not in self.recordings:
            try:
                self.recordings[id(source)] = Recording(source, shapes)
            except Exception:  # a user's function may ask anything of its numbers, which are none while it is noted
                self.recordings[id(source)] = None
        recording = self.recordings[id(source)]
        if recording is not None:
            return recording.run(wanted, [x for own in given for x in own], self.algebra)
        values = replay_python(source, shapes, given, self.algebra)
        return [values[i] for i in wanted]


def _moved(args: Arguments, names: Sequence[str], weights: Any, step: Any) -> Arguments:
    """The arguments moved by `step` along a direction over the named ones."""
    moved = dict(args)
    at = 0
    for name in names:
        own = weights[at : at + len(args[name])]
        at += len(own)
        moved[name] = [x + step * w if w else x for x, w in zip(args[name], own, strict=True)]
    return moved


def unit_vectors(formula: Formula, entry: int) -> list[NDArray[Any]]:
    """Weights that pick one entry of a formula, counted in C order over its axes."""
    sizes = axes_of(formula)
    vectors = []
    for size, place in zip(sizes, np.unravel_index(entry, sizes), strict=True):
        vectors.append(np.zeros(size))
        vectors[-1][place] = 1.0
    return vectors
