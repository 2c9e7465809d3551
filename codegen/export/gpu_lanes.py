"""What a lane of a reduction on a graphics processor holds, and how it takes a number in or another lane.

A sum is two words, high and low, whose sum it is: each addition's rounding error is added to the low one. A maximum is
a word. A log-sum-exp is three: the largest number so far, and the sum of the exponentials of what all are below it.
Rules for NaN and infinities are those of `reduce_library.py`: maxima are NaN if any number is, and where a sum is not
finite its error means nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf

from codegen.accumulate import two_sum
from codegen.export.interface import Interface
from codegen.text import Function, real

# Lanes of a reduction: as many as fit `ROOM` bytes, within limits. The same on every processor, so that bits are too.
MOST, LEAST = 1 << 16, 1 << 10
ROOM = 1 << 27
# Lanes that one thread adds up: 65,536 are one after three launches.
FAN = 64
# 32-bit registers of a thread for words of its lane: Black–Scholes takes 84, and 84 others. With 128 some spill.
REGISTERS = 96

EMPTY = {"sum": (0.0, 0.0), "max": (-inf,), "logsumexp": (-inf, 0.0, 0.0)}
# The bits of the exponent, all of which are set in infinities and NaN.
EXPONENT = {"double": 0x7FF << 52, "float": 0xFF << 23}


@dataclass(frozen=True)
class Term:
    """An element of a result: how it is reduced, and the first of its words."""

    kind: str
    first: int

    @property
    def words(self) -> range:
        return range(self.first, self.first + len(EMPTY[self.kind]))


@dataclass(frozen=True)
class Lanes:
    """Where the words of a lane are: those of all sums, then of all maxima, then of all log-sum-exps."""

    asked: tuple[str, ...]
    sizes: tuple[int, ...]

    @classmethod
    def of(cls, interface: Interface) -> Lanes:
        if interface.reduction is None:
            raise AssertionError("an interface without a reduction has no lanes")
        return cls(interface.reduction.kinds, tuple(array.size for array in interface.program.results))

    @cached_property
    def kinds(self) -> tuple[str, ...]:
        """By result; a mean is a sum until the end."""
        return tuple("sum" if kind == "mean" else kind for kind in self.asked)

    @cached_property
    def counts(self) -> dict[str, int]:
        return {
            kind: sum(size for of, size in zip(self.kinds, self.sizes, strict=True) if of == kind) for kind in EMPTY
        }

    @cached_property
    def starts(self) -> dict[str, int]:
        """The first word of each kind."""
        found, at = {}, 0
        for kind, empty in EMPTY.items():
            found[kind] = at
            at += len(empty) * self.counts[kind]
        return found

    @cached_property
    def terms(self) -> tuple[Term, ...]:
        """By element, through all results: how it is reduced, and its first word."""
        at, found = dict(self.starts), []
        for kind, size in zip(self.kinds, self.sizes, strict=True):
            for _ in range(size):
                found.append(Term(kind, at[kind]))
                at[kind] += len(EMPTY[kind])
        return tuple(found)

    def tiles(self, most: int) -> list[list[int]]:
        """Numbers of elements in order, in groups of about the same number of words, `most` or fewer."""
        count = max(1, -(-self.words // most))
        limit = min(most, -(-self.words // count) + max(map(len, EMPTY.values())) - 1)
        found: list[list[int]] = []
        left = 0
        for number, term in enumerate(self.terms):
            if len(EMPTY[term.kind]) > left:
                found.append([])
                left = limit
            left -= len(EMPTY[term.kind])
            found[-1].append(number)
        return found

    @property
    def words(self) -> int:
        return sum(len(empty) * self.counts[kind] for kind, empty in EMPTY.items())

    @cached_property
    def lanes(self) -> int:
        """A power of two, which depends on the number of words alone."""
        lanes = MOST
        while lanes > LEAST and 8 * lanes * self.words > ROOM:
            lanes //= 2
        return lanes


class Algebra:
    """Writes the arithmetic on words into functions; `called` are the elementary functions it calls."""

    def __init__(self, scalar: str) -> None:
        self.scalar = scalar
        self.whole = "i64" if scalar == "double" else "i32"
        self.called: set[str] = set()

    def number(self, value: float) -> str:
        return real(value, self.scalar)

    # --- a number into a lane -----------------------------------------------------------------------------------------
    def add(self, f: Function, kind: str, words: Sequence[str], x: str) -> list[str]:
        """The words after one more number."""
        if kind == "sum":
            high, error = two_sum(f, self.scalar, words[0], x)
            return [high, f.let("low", f"fadd {self.scalar} {words[1]}, {error}")]
        if kind == "max":
            return [self.larger(f, words[0], x)]
        return self._add_exponential(f, words, x)

    def _add_exponential(self, f: Function, words: Sequence[str], x: str) -> list[str]:
        """One of two weights is the exponential of a distance; the other is 1, unless the largest is not finite."""
        largest, high, low = words
        scalar = self.scalar
        top = self.larger(f, largest, x)
        shift = self.finite_or(f, top, top, self.number(0.0))
        new = f.let("new", f"fcmp ogt {scalar} {x}, {largest}")
        smaller = f.let("smaller", f"select i1 {new}, {scalar} {largest}, {scalar} {x}")
        below = self._exp(f, smaller, shift)
        none = f.let("none", f"fcmp oeq {scalar} {top}, {self.number(-inf)}")
        beyond = f.let("beyond", f"select i1 {none}, {scalar} {self.number(0.0)}, {scalar} {top}")
        above = self.finite_or(f, top, self.number(1.0), beyond)
        weight = f.let("weight", f"select i1 {new}, {scalar} {below}, {scalar} {above}")
        term = f.let("term", f"select i1 {new}, {scalar} {above}, {scalar} {below}")
        return self._scaled_sum(f, top, [f.let("part", f"fmul {scalar} {w}, {weight}") for w in (high, low)], [term])

    def _scaled_sum(self, f: Function, top: str, a: Sequence[str], b: Sequence[str]) -> list[str]:
        high, error = two_sum(f, self.scalar, a[0], b[0])
        low = a[1]
        if len(b) > 1:
            low = f.let("low", f"fadd {self.scalar} {low}, {b[1]}")
        return [top, high, f.let("low", f"fadd {self.scalar} {low}, {error}")]

    # --- a lane into a lane -------------------------------------------------------------------------------------------
    def merge(self, f: Function, kind: str, a: Sequence[str], b: Sequence[str]) -> list[str]:
        """The words of the points of both."""
        if kind == "sum":
            high, error = two_sum(f, self.scalar, a[0], b[0])
            rest = f.let("rest", f"fadd {self.scalar} {error}, {b[1]}")
            return [high, f.let("low", f"fadd {self.scalar} {a[1]}, {rest}")]
        if kind == "max":
            return [self.larger(f, a[0], b[0])]
        top = self.larger(f, a[0], b[0])
        shift = self.finite_or(f, top, top, self.number(0.0))
        parts = []
        for largest, high, low in (a, b):
            weight = self._exp(f, largest, shift)
            kept = self.finite_or(f, high, low, self.number(0.0))
            parts.append([f.let("part", f"fmul {self.scalar} {w}, {weight}") for w in (high, kept)])
        return self._scaled_sum(f, top, *parts)

    # --- the end ------------------------------------------------------------------------------------------------------
    def value(self, f: Function, kind: str, words: Sequence[str]) -> str:
        """The number that a lane stands for."""
        if kind == "max":
            return words[0]
        *_, high, low = words
        kept = self.finite_or(f, high, low, self.number(0.0))
        total = f.let("total", f"fadd {self.scalar} {high}, {kept}")
        if kind == "sum":
            return total
        self.called.add("log")
        logarithm = f.let("log", f"call {self.scalar} @hy.log({self.scalar} {total})")
        shift = self.finite_or(f, words[0], words[0], self.number(0.0))
        return f.let("value", f"fadd {self.scalar} {logarithm}, {shift}")

    def larger(self, f: Function, a: str, b: str) -> str:
        """The larger of two numbers; NaN if either is."""
        more = f.let("more", f"fcmp ogt {self.scalar} {a}, {b}")
        best = f.let("best", f"select i1 {more}, {self.scalar} {a}, {self.scalar} {b}")
        nan = f.let("nan", f"fcmp uno {self.scalar} {a}, {a}")
        return f.let("larger", f"select i1 {nan}, {self.scalar} {a}, {self.scalar} {best}")

    def finite_or(self, f: Function, of: str, value: str, other: str) -> str:
        """`value` where `of` is finite, else `other`; by its bits, which no compiler takes for numbers."""
        exponent = EXPONENT[self.scalar]
        bits = f.let("bits", f"bitcast {self.scalar} {of} to {self.whole}")
        bits = f.let("exponent", f"and {self.whole} {bits}, {exponent}")
        finite = f.let("finite", f"icmp ne {self.whole} {bits}, {exponent}")
        return f.let("kept", f"select i1 {finite}, {self.scalar} {value}, {self.scalar} {other}")

    def _exp(self, f: Function, x: str, shift: str) -> str:
        self.called.add("exp")
        distance = f.let("distance", f"fsub {self.scalar} {x}, {shift}")
        return f.let("exp", f"call {self.scalar} @hy.exp({self.scalar} {distance})")
