"""Reductions inside a nest as LLVM IR: what is kept per lane, how it grows, and how lanes and chunks are put together.

A sum is kept as high + low: up to `RUN` vectors are added plainly, then to the pair with the rounding error of the
addition [Knuth, The Art of Computer Programming 2, 4.2.2]. A log-sum-exp is kept as its largest number m and
Σ exp(x − m), which each number changes with one exponential.
"""

from __future__ import annotations

from codegen.body import Body
from codegen.moves import splat
from codegen.target import Target
from codegen.text import Function, real


class Accumulators:
    """One reduction of a nest; what it keeps is in memory that LLVM turns into registers."""

    def __init__(self, f: Function, body: Body, kind: str, rooms: tuple[str, str, str]) -> None:
        self.f, self.body, self.kind = f, body, kind
        self.vector = body.vector
        self.run, self.high, self.low = rooms

    def _load(self, room: str) -> str:
        return self.f.load("kept", self.vector, room, 64)

    def _store(self, value: str, room: str) -> None:
        self.f.store(self.vector, value, room, 64)

    def clear(self) -> None:
        start = self.body.number(0.0 if self.kind == "sum" else float("-inf"))
        self._store(start, self.high)
        self._store(self.body.number(0.0), self.low)

    def begin_run(self) -> None:
        if self.kind == "sum":
            self._store(self.body.number(0.0), self.run)

    def add(self, x: str, live: str | None) -> None:
        """Take in a vector, or of it the lanes that are live."""
        f, vector = self.f, self.vector
        if live is not None:
            nothing = self.body.number(0.0 if self.kind == "sum" else float("-inf"))
            x = f.let("x", f"select {self.body.mask} {live}, {vector} {x}, {vector} {nothing}")
        if self.kind == "sum":
            self._store(f.let("sum", f"fadd {vector} {self._load(self.run)}, {x}"), self.run)
        elif self.kind == "max":
            self._store(self.larger(self._load(self.high), x), self.high)
        else:
            largest, total = merged(
                f, self.body, (self._load(self.high), self._load(self.low)), (x, self.body.number(1.0))
            )
            if live is not None:
                total = f.let("s", f"select {self.body.mask} {live}, {vector} {total}, {vector} {self._load(self.low)}")
            self._store(largest, self.high)
            self._store(total, self.low)

    def larger(self, a: str, b: str) -> str:
        """The larger, or NaN if either is."""
        f, vector, mask = self.f, self.vector, self.body.mask
        take = f.let("take", f"fcmp ugt {vector} {b}, {a}")
        stays = f.let("stays", f"fcmp ord {vector} {a}, {a}")
        both = f.let("both", f"and {mask} {take}, {stays}")
        return f.let("max", f"select {mask} {both}, {vector} {b}, {vector} {a}")

    def end_run(self) -> None:
        if self.kind == "sum":
            high, error = two_sum(self.f, self.vector, self._load(self.high), self._load(self.run))
            self._store(high, self.high)
            self._store(self.f.let("low", f"fadd {self.vector} {self._load(self.low)}, {error}"), self.low)

    def result(self) -> str:
        """The reduction in each lane."""
        high, low = self._load(self.high), self._load(self.low)
        if self.kind == "max":
            return high
        if self.kind == "sum":
            return together(self.f, self.body, high, low)
        return self.f.let("lse", f"fadd {self.vector} {high}, {function(self.f, self.body, 'log', low)}")

    def keep(self, pointer: str) -> None:
        """Store what a chunk leaves: two vectors."""
        self._store_unaligned(self._load(self.high), pointer)
        self._store_unaligned(self._load(self.low), self.f.at(pointer, self.body.layout.target.width, self.body.scalar))

    def _store_unaligned(self, value: str, pointer: str) -> None:
        self.f.store(self.vector, value, pointer)


def function(f: Function, body: Body, name: str, x: str) -> str:
    body.called[name] += 1
    return f.let(name, f"call {body.vector} @hy.{name}({body.vector} {x})")


def merged(f: Function, body: Body, a: tuple[str, str], b: tuple[str, str]) -> tuple[str, str]:
    """(m, s) of two of them: s belongs to exp(m). Equal m, infinite ones too, are added as they are."""
    vector, mask = body.vector, body.mask
    difference = f.let("d", f"fsub {vector} {a[0]}, {b[0]}")
    size = f.let("d", f"call {vector} @llvm.fabs.{body.suffix}({vector} {difference})")
    negative = f.let("d", f"fneg {vector} {size}")
    same = f.let("same", f"fcmp oeq {vector} {a[0]}, {b[0]}")
    zero = body.number(0.0)
    weight = function(f, body, "exp", f.let("d", f"select {mask} {same}, {vector} {zero}, {vector} {negative}"))
    second = f.let("second", f"fcmp ogt {vector} {b[0]}, {a[0]}")
    largest = f.let("m", f"select {mask} {second}, {vector} {b[0]}, {vector} {a[0]}")
    small = f.let("small", f"select {mask} {second}, {vector} {a[1]}, {vector} {b[1]}")
    big = f.let("big", f"select {mask} {second}, {vector} {b[1]}, {vector} {a[1]}")
    scaled = f.let("scaled", f"fmul {vector} {small}, {weight}")
    return largest, f.let("s", f"fadd {vector} {big}, {scaled}")


def two_sum(f: Function, kind: str, a: str, b: str) -> tuple[str, str]:
    """a + b and its rounding error."""
    total = f.let("high", f"fadd {kind} {a}, {b}")
    part = f.let("part", f"fsub {kind} {total}, {a}")
    rest = f.let("rest", f"fsub {kind} {total}, {part}")
    return total, f.let(
        "error", f"fadd {kind} {f.let('of', f'fsub {kind} {a}, {rest}')}, {f.let('of', f'fsub {kind} {b}, {part}')}"
    )


def together(f: Function, body: Body, high: str, low: str) -> str:
    """high + low; where high is infinite its error is NaN, and means nothing."""
    vector = body.vector
    size = f.let("size", f"call {vector} @llvm.fabs.{body.suffix}({vector} {high})")
    finite = f.let("finite", f"fcmp olt {vector} {size}, {body.number(float('inf'))}")
    total = f.let("total", f"fadd {vector} {high}, {low}")
    return f.let("sum", f"select {body.mask} {finite}, {vector} {total}, {vector} {high}")


def finisher(body: Body, kind: str) -> Function:
    """`@hy.finish.KIND.WIDTH(partials, chunks, step)`: what chunks left, `step` numbers apart, as one number."""
    target = body.layout.target
    scalar, width = target.scalar, target.width
    f = Function(f"define internal {scalar} @hy.finish.{kind}.{width}(ptr %partials, i64 %chunks, i64 %step) #1")
    rooms = ("%run", "%high", "%low")
    for room in rooms:
        f.do(f"{room} = alloca {body.vector}, align 64")
    kept = Accumulators(f, body, kind, rooms)
    kept.clear()
    with f.loop("chunk", 0, "%chunks") as chunk:
        at = f.at("%partials", f.let("at", f"mul i64 {chunk}, %step"), scalar)
        high, low = f.load("high", body.vector, at), f.load("low", body.vector, f.at(at, width, scalar))
        if kind == "sum":
            f.store(body.vector, high, "%run", 64)
            kept.end_run()
            old = f.load("low", body.vector, "%low", 64)
            f.store(body.vector, f.let("low", f"fadd {body.vector} {old}, {low}"), "%low", 64)
        elif kind == "max":
            kept.add(high, None)
        else:
            old_pair = (f.load("m", body.vector, "%high", 64), f.load("s", body.vector, "%low", 64))
            largest, total = merged(f, body, old_pair, (high, low))
            f.store(body.vector, largest, "%high", 64)
            f.store(body.vector, total, "%low", 64)
    f.do(f"ret {scalar} {_lanes(f, body, target, kind)}")
    return f


def _lanes(f: Function, body: Body, target: Target, kind: str) -> str:
    """The lanes of %high and %low as one number, the first to the last."""
    scalar = target.scalar
    f.do(f"%one = alloca {scalar}, align 8")
    f.do(f"%two = alloca {scalar}, align 8")
    infinity = real(float("-inf"), scalar)
    f.store(scalar, real(0.0, scalar) if kind == "sum" else infinity, "%one")
    f.store(scalar, real(0.0, scalar), "%two")
    with f.loop("l", 0, target.width) as number:
        high = f.load("high", scalar, f.at("%high", number, scalar))
        low = f.load("low", scalar, f.at("%low", number, scalar))
        now = f.load("now", scalar, "%one")
        if kind == "sum":
            total, error = two_sum(f, scalar, now, high)
            f.store(scalar, total, "%one")
            rest = f.let("rest", f"fadd {scalar} {f.load('rest', scalar, '%two')}, {low}")
            f.store(scalar, f.let("rest", f"fadd {scalar} {rest}, {error}"), "%two")
        else:
            take = f.let("take", f"fcmp ugt {scalar} {high}, {now}")
            stays = f.let("stays", f"fcmp ord {scalar} {now}, {now}")
            both = f.let("both", f"and i1 {take}, {stays}")
            f.store(scalar, f.let("max", f"select i1 {both}, {scalar} {high}, {scalar} {now}"), "%one")
    one = f.load("one", scalar, "%one")
    if kind == "max":
        return one
    if kind == "sum":
        whole = together(f, body, splat(f, target, one), splat(f, target, f.load("two", scalar, "%two")))
        return _first(f, target, whole)
    # Each lane's sum is brought to the largest of all.
    every = splat(f, target, one)
    pair = (f.load("m", body.vector, "%high", 64), f.load("s", body.vector, "%low", 64))
    _, scaled = merged(f, body, (every, body.number(0.0)), pair)
    f.store(body.vector, scaled, "%run", 64)
    with f.loop("l", 0, target.width) as number:
        x = f.load("x", scalar, f.at("%run", number, scalar))
        f.store(scalar, f.let("s", f"fadd {scalar} {f.load('s', scalar, '%two')}, {x}"), "%two")
    logarithm = function(f, body, "log", splat(f, target, f.load("s", scalar, "%two")))
    return f.let("lse", f"fadd {scalar} {one}, {_first(f, target, logarithm)}")


def _first(f: Function, target: Target, vector: str) -> str:
    return vector if target.width == 1 else f.let("first", f"extractelement {target.vector} {vector}, i32 0")
