"""Accumulating the factors of a reduction, and the loop over chunks and groups around it, as LLVM IR (reduction.py)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from codegen import environment
from codegen.body import Body
from codegen.driver import BODY
from codegen.moves import splat
from codegen.reduction import CHUNK, GROUP, Factor, Plan, ReductionLayout, Term, tiles
from codegen.text import Function

HEAD = "i64 %first, i64 %last, i64 %n, ptr %args, ptr %steps, ptr %scratch, ptr %partials"


class Accumulation:
    """Writes the functions of one reduction around the parts of its body."""

    def __init__(self, body: Body, plan: Plan, layout: ReductionLayout) -> None:
        self.body, self.plan, self.layout = body, plan, layout
        self.target = layout.target
        self.width, self.vector, self.mask = self.target.width, self.target.vector, body.mask
        self.sums, self.maxima, self.exponentials = (plan.terms[kind] for kind in ("sum", "max", "logsumexp"))
        # Registers of accumulators: what is left of all are those for factors.
        self.most = 24 if self.width == 8 else 12 if self.target.is_aarch64 else 10

    def functions(self, symbol: str) -> list[Function]:
        """`@SYMBOL_reduce` and what it needs, but for the parts of the body."""
        return [
            self._block("full", masked=False),
            self._block("tail", masked=True),
            self._accumulate("full", masked=False),
            self._accumulate("tail", masked=True),
            self._begin(),
            self._flush(),
            self._finish(),
            self._entry(symbol),
        ]

    # --- places -------------------------------------------------------------------------------------------------------
    def _word(self, f: Function, word: int) -> str:
        return f.at("%scratch", word, "i64")

    def _vector(self, f: Function, name: str, address: str) -> str:
        return f.load(name, self.vector, address, 8 * self.width)

    def _keep(self, f: Function, value: str, address: str) -> None:
        f.store(self.vector, value, address, 8 * self.width)

    def _group(self, kind: str, number: int) -> int:
        """The word of a group's accumulator."""
        start = {"sum": 0, "max": len(self.sums), "logsumexp": len(self.sums) + len(self.maxima)}[kind]
        return self.layout.group + self.width * (start + number * (2 if kind == "logsumexp" else 1))

    # --- blocks of points ---------------------------------------------------------------------------------------------
    def _block(self, name: str, *, masked: bool) -> Function:
        f = Function(f"define internal {BODY.replace('hy.body', f'hy.reduce.{name}')} #1")
        for part in range(len(self.body.pieces.parts)):
            f.do(f"call void @hy.part.{part}(ptr %rows, ptr %table, i64 %from, i64 %to)")
        f.do(f"call void @hy.accumulate.{name}(ptr %rows, ptr %table, i64 %from, i64 %to)")
        f.do("ret void")
        return f

    def _accumulate(self, name: str, *, masked: bool) -> Function:
        """Phase two of a block. If masked, of a last vector, of which only some lanes count."""
        f = Function(f"define internal {BODY.replace('hy.body', f'hy.accumulate.{name}')} #1")
        f.do("%scratch = getelementptr i8, ptr %rows, i64 0")
        live = self._live_lanes(f) if masked else None
        for kind, terms in (("sum", self.sums), ("max", self.maxima)):
            for tile in tiles(terms, self.most):
                self._tile(f, kind, [terms[number] for number in tile], tile, live)
        for number, term in enumerate(self.exponentials):
            self._log_sum_exp(f, number, term, live)
        f.do("ret void")
        return f

    def _live_lanes(self, f: Function) -> str:
        live = f.load("live", "i64", self._word(f, self.layout.live))
        if self.width == 1:
            return f.let("mask", f"icmp slt i64 0, {live}")
        integers = f"<{self.width} x i64>"
        one = f.let("one", f"insertelement {integers} poison, i64 {live}, i64 0")
        zeros = f"<{self.width} x i32> zeroinitializer"
        every = f.let("all", f"shufflevector {integers} {one}, {integers} poison, {zeros}")
        lanes = ", ".join(f"i64 {lane}" for lane in range(self.width))
        return f.let("mask", f"icmp slt {integers} <{lanes}>, {every}")

    def _tile(self, f: Function, kind: str, terms: Sequence[Term], numbers: Sequence[int], live: str | None) -> None:
        """Some accumulators over all vectors of a block, in registers."""
        addresses = [self._word(f, self._group(kind, number)) for number in numbers]
        starts = [self._vector(f, "before", address) for address in addresses]

        def step(i: str, accumulators: list[str]) -> list[str]:
            read = self._reader(f, i)
            after = []
            for term, now in zip(terms, accumulators, strict=True):
                new = self._add(f, term, now, read) if kind == "sum" else self._larger(f, now, read(term.factors[0]))
                after.append(self._choose(f, live, new, now))
            return after

        for value, address in zip(self._over_vectors(f, starts, step), addresses, strict=True):
            self._keep(f, value, address)

    def _over_vectors(self, f: Function, starts: list[str], step: Callable[[str, list[str]], list[str]]) -> list[str]:
        """`for i in range(from, to, width): values = step(i, values)`, at least once; returns the last values."""
        head, done, before = f.unique("vectors.head"), f.unique("vectors.done"), f.block
        i = f"%{f.unique('i')}"
        phis = [f"%{f.unique('acc')}" for _ in starts]
        f.do(f"br label %{head}")
        f.start(head)
        at = len(f.lines)
        f.lines += [""] * (1 + len(phis))
        values = step(i, phis)
        following = f.let("next", f"add i64 {i}, {self.width}")
        f.do(f"br i1 {f.let('more', f'icmp slt i64 {following}, %to')}, label %{head}, label %{done}")
        f.lines[at] = f"  {i} = phi i64 [ %from, %{before} ], [ {following}, %{head} ]"
        for place, (phi, start, value) in enumerate(zip(phis, starts, values, strict=True), at + 1):
            f.lines[place] = f"  {phi} = phi {self.vector} [ {start}, %{before} ], [ {value}, %{head} ]"
        f.start(done)
        return values

    def _reader(self, f: Function, i: str) -> Callable[[Factor], str]:
        """Reads factors at vector `i` of the block, each once."""
        known: dict[Factor, str] = {}
        here = f.at("%rows", i, "double")
        first = self.layout.outputs[0].row

        def row(number: int) -> str:
            return self._vector(f, "x", f.at(here, number * self.layout.block, "double"))

        def read(factor: Factor) -> str:
            match factor:
                case ("row", number):
                    return row(first + number)
                case ("const", number):
                    return self.body.number(float(number))
            _, argument, element = factor
            operand = self.layout.inputs[argument]
            if argument in self.layout.shared:
                base = f.load("base", "ptr", f.at("%rows", self.layout.pointers + argument, "i64"))
                return splat(f, self.target, f.load("x", "double", f.at(base, element, "double")))
            if operand.scalar:
                base = f.load("base", "ptr", f.at("%table", argument, "i64"))
                return f.load("x", self.vector, f.at(base, i, "double"))
            return row(operand.row + element)

        def once(factor: Factor) -> str:
            if factor not in known:
                known[factor] = read(factor)
            return known[factor]

        return once

    def _add(self, f: Function, term: Term, now: str, read: Callable[[Factor], str]) -> str:
        values = [read(factor) for factor in term.factors]
        if len(values) == 1:
            return f.let("sum", f"fadd {self.vector} {now}, {values[0]}")
        if self.target.fma:
            operands = ", ".join(f"{self.vector} {value}" for value in [*values, now])
            return f.let("sum", f"call {self.vector} @llvm.fma.{self.body.suffix}({operands})")
        product = f.let("product", f"fmul {self.vector} {values[0]}, {values[1]}")
        return f.let("sum", f"fadd {self.vector} {now}, {product}")

    def _choose(self, f: Function, live: str | None, new: str, old: str) -> str:
        if live is None:
            return new
        return f.let("live", f"select {self.mask} {live}, {self.vector} {new}, {self.vector} {old}")

    # --- maxima and exponentials --------------------------------------------------------------------------------------
    def _larger(self, f: Function, a: str, b: str) -> str:
        """The larger, or NaN if either is."""
        larger = f.let("larger", f"fcmp ogt {self.vector} {b}, {a}")
        nan = f.let("nan", f"fcmp uno {self.vector} {b}, {b}")
        take = f.let("take", f"or {self.mask} {larger}, {nan}")
        best = f.let("best", f"select {self.mask} {take}, {self.vector} {b}, {self.vector} {a}")
        stays = f.let("stays", f"fcmp uno {self.vector} {a}, {a}")
        return f.let("max", f"select {self.mask} {stays}, {self.vector} {a}, {self.vector} {best}")

    def _shift(self, f: Function, largest: str) -> str:
        """What to subtract before exp: the largest number, or 0 where that is not finite."""
        size = f.let("size", f"call {self.vector} @llvm.fabs.{self.body.suffix}({self.vector} {largest})")
        infinity = self.body.number(float("inf"))
        finite = f.let("finite", f"fcmp olt {self.vector} {size}, {infinity}")
        return f.let("shift", f"select {self.mask} {finite}, {self.vector} {largest}, {self.vector} zeroinitializer")

    def _exp(self, f: Function, x: str, shift: str) -> str:
        self.body.called["exp"] += 1
        difference = f.let("x", f"fsub {self.vector} {x}, {shift}")
        return f.let("exp", f"call {self.vector} @hy.exp({self.vector} {difference})")

    def _log_sum_exp(self, f: Function, number: int, term: Term, live: str | None) -> None:
        """The largest number of the block, then the exponentials of what all are below it."""
        at_largest = self._word(f, self._group("logsumexp", number))
        at_sum = f.at(at_largest, self.width, "double")
        lowest = self.body.number(float("-inf"))

        def value(i: str) -> str:
            return self._choose(f, live, self._reader(f, i)(term.factors[0]), lowest)

        before = self._vector(f, "largest", at_largest)
        (largest,) = self._over_vectors(f, [before], lambda i, now: [self._larger(f, now[0], value(i))])
        shift = self._shift(f, largest)
        scaled = f.let("scaled", f"fmul {self.vector} {self._vector(f, 's', at_sum)}, {self._exp(f, before, shift)}")

        def step(i: str, now: list[str]) -> list[str]:
            return [f.let("sum", f"fadd {self.vector} {now[0]}, {self._exp(f, value(i), shift)}")]

        (total,) = self._over_vectors(f, [scaled], step)
        self._keep(f, largest, at_largest)
        self._keep(f, total, at_sum)

    # --- groups and chunks --------------------------------------------------------------------------------------------
    def _clear(self, f: Function, word: int, vectors: int, value: float) -> None:
        start = self._word(f, word)
        with f.loop("clear", 0, vectors * self.width, self.width) as k:
            self._keep(f, self.body.number(value), f.at(start, k, "double"))

    def _begin(self) -> Function:
        """All accumulators as they are before the first point of a chunk."""
        f = Function("define internal void @hy.reduce.begin(ptr %scratch) #0")
        layout, infinity = self.layout, float("inf")
        self._clear(f, layout.group, len(self.sums), 0.0)
        self._clear(f, self._group("max", 0), len(self.maxima), -infinity)
        self._clear(f, self._group("logsumexp", 0), 2 * len(self.exponentials), 0.0)
        self._clear(f, layout.chunk, 2 * len(self.sums) + 3 * len(self.exponentials), 0.0)
        for number in range(len(self.exponentials)):
            lowest = self.body.number(-infinity)
            self._keep(f, lowest, self._word(f, self._group("logsumexp", number)))
            self._keep(f, lowest, self._word(f, self._kept_exponential(number)))
        f.do("ret void")
        return f

    def _kept_exponential(self, number: int) -> int:
        return self.layout.chunk + self.width * (2 * len(self.sums) + 3 * number)

    def _flush(self) -> Function:
        """A group is added to its chunk, and begins anew. Maxima need no groups."""
        f = Function("define internal void @hy.reduce.flush(ptr %scratch) #0")
        group, chunk = self._word(f, self.layout.group), self._word(f, self.layout.chunk)
        with f.loop("k", 0, len(self.sums) * self.width, self.width) as k:
            at = f.at(group, k, "double")
            high = f.at(chunk, f.let("twice", f"shl i64 {k}, 1"), "double")
            self._compensate(f, self._vector(f, "new", at), high, f.at(high, self.width, "double"))
            self._keep(f, "zeroinitializer", at)
        for number in range(len(self.exponentials)):
            self._flush_exponential(f, number)
        f.do("ret void")
        return f

    def _compensate(self, f: Function, new: str, at_high: str, at_low: str) -> None:
        """high + low += new, with the rounding error of high [Knuth, The Art of Computer Programming 2, 4.2.2]."""
        high, low = self._vector(f, "high", at_high), self._vector(f, "low", at_low)
        total, error = two_sum(f, self.vector, high, new)
        self._keep(f, total, at_high)
        self._keep(f, f.let("low", f"fadd {self.vector} {low}, {error}"), at_low)

    def _flush_exponential(self, f: Function, number: int) -> None:
        at_largest, at_kept = self._group("logsumexp", number), self._kept_exponential(number)
        places = [self._word(f, at_largest), self._word(f, at_largest + self.width)]
        kept = [self._word(f, at_kept + k * self.width) for k in range(3)]
        new, old = self._vector(f, "new", places[0]), self._vector(f, "old", kept[0])
        largest = self._larger(f, old, new)
        shift = self._shift(f, largest)
        factor = self._exp(f, old, shift)
        for at in kept[1:]:
            self._keep(f, f.let("scaled", f"fmul {self.vector} {self._vector(f, 's', at)}, {factor}"), at)
        scaled = f.let("scaled", f"fmul {self.vector} {self._vector(f, 's', places[1])}, {self._exp(f, new, shift)}")
        self._compensate(f, scaled, kept[1], kept[2])
        self._keep(f, largest, kept[0])
        self._keep(f, self.body.number(float("-inf")), places[0])
        self._keep(f, "zeroinitializer", places[1])

    def _finish(self) -> Function:
        """What a chunk leaves: of sums the lanes added up, of the rest the lanes."""
        f = Function("define internal void @hy.reduce.finish(ptr %scratch, ptr %partial) #0")
        for variable in ("%high", "%low"):
            f.do(f"{variable} = alloca double, align 8")
        chunk, width = self._word(f, self.layout.chunk), self.width
        with f.loop("k", 0, 2 * len(self.sums), 2) as k:
            lanes = f.at(chunk, f.let("first", f"mul i64 {k}, {width}"), "double")
            for variable in ("%high", "%low"):
                f.store("double", "0.0", variable)
            with f.loop("lane", 0, width) as lane:
                at = f.at(lanes, lane, "double")
                total, error = two_sum(f, "double", f.load("h", "double", "%high"), f.load("x", "double", at))
                rest = f.let("rest", f"fadd double {error}, {f.load('l', 'double', f.at(at, width, 'double'))}")
                f.store("double", total, "%high")
                f.store("double", f.let("low", f"fadd double {f.load('l', 'double', '%low')}, {rest}"), "%low")
            at = f.at("%partial", k, "double")
            f.store("double", f.load("h", "double", "%high"), at)
            f.store("double", f.load("l", "double", "%low"), f.at(at, 1, "double"))
        rest = f.at("%partial", 2 * len(self.sums), "double")
        self._copy(f, rest, self._word(f, self._group("max", 0)), width * len(self.maxima))
        rest = f.at(rest, width * len(self.maxima), "double")
        kept = self._word(f, self._kept_exponential(0))
        self._copy(f, rest, kept, 3 * width * len(self.exponentials))
        f.do("ret void")
        return f

    def _copy(self, f: Function, to: str, source: str, count: int) -> None:
        f.do(f"call void @hy.copy(ptr {to}, ptr {source}, i64 {count})")

    def _entry(self, symbol: str) -> Function:
        """Chunks `first` to `last` of n points; `args` and `steps` as in a gufunc's loop, with one dummy result."""
        f = Function(f"define void @{symbol}_reduce({HEAD}) #1")
        layout, width, inputs = self.layout, self.width, len(self.layout.inputs)
        environment.allocate(f, self.target)
        f.do(f"%here = alloca [{inputs + 1} x ptr], align 16")
        environment.begin(f, self.target)
        for number in sorted(layout.shared):
            f.store("ptr", f.load("base", "ptr", f.at("%args", number, "ptr")), self._word(f, layout.pointers + number))
        with f.loop("chunk", "%first", "%last") as chunk:
            f.do("call void @hy.reduce.begin(ptr %scratch)")
            start = f.let("start", f"mul i64 {chunk}, {CHUNK}")
            left = f.let("left", f"sub i64 %n, {start}")
            count = f.let("count", f"call i64 @llvm.smin.i64(i64 {left}, i64 {CHUNK})")
            whole = f.let("whole", f"and i64 {count}, {-width}")
            with f.loop("group", 0, whole, GROUP * width) as group:
                rest = f.let("rest", f"sub i64 {whole}, {group}")
                points = f.let("points", f"call i64 @llvm.smin.i64(i64 {rest}, i64 {GROUP * width})")
                self._run(f, "full", f.let("at", f"add i64 {start}, {group}"), points)
            remaining = f.let("remaining", f"sub i64 {count}, {whole}")
            with f.when(f.let("partial", f"icmp sgt i64 {remaining}, 0")):
                f.store("i64", remaining, self._word(f, layout.live))
                self._run(f, "tail", f.let("at", f"add i64 {start}, {whole}"), remaining)
            offset = f.let("offset", f"mul i64 {f.let('mine', f'sub i64 {chunk}, %first')}, {layout.partial}")
            f.do(f"call void @hy.reduce.finish(ptr %scratch, ptr {f.at('%partials', offset, 'double')})")
        environment.end(f, self.target, flags=True)
        f.do("ret void")
        return f

    def _run(self, f: Function, name: str, start: str, count: str) -> None:
        """A group of points, which is then added to the chunk."""
        for number in range(len(self.layout.inputs)):
            base = f.load("base", "ptr", f.at("%args", number, "ptr"))
            step = f.load("step", "i64", f.at("%steps", number, "i64"))
            f.store("ptr", f.at(base, f.let("offset", f"mul i64 {start}, {step}")), f.at("%here", number, "ptr"))
        arguments = f"ptr @hy.reduce.{name}, ptr %scratch, i64 {count}, ptr %here, ptr %steps"
        f.do(f"call void @hy.run(ptr @hy.description, {arguments})")
        f.do("call void @hy.reduce.flush(ptr %scratch)")


def two_sum(f: Function, kind: str, a: str, b: str) -> tuple[str, str]:
    """a + b rounded, and what rounding took away."""
    total = f.let("total", f"fadd {kind} {a}, {b}")
    part = f.let("part", f"fsub {kind} {total}, {a}")
    rest = f.let("rest", f"fsub {kind} {total}, {part}")
    lost = f.let("lost", f"fsub {kind} {a}, {rest}")
    other = f.let("other", f"fsub {kind} {b}, {part}")
    return total, f.let("error", f"fadd {kind} {lost}, {other}")
