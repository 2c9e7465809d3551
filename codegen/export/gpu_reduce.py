"""Kernels that reduce the results of a program over its points on a graphics processor, as LLVM IR.

Point i belongs to lane i mod the number of lanes, which depends on the program and the number of points alone. A lane
takes its points in in their order, whichever thread computes it, and lanes are added up by a fixed tree. So the bits
depend neither on the grid, nor on the stream, nor on the processor. Nothing is atomic.

- `NAME_accumulate(n, lanes, state, …)` computes points into lanes: per argument its address, the distance between
  points unless it is the same for all, and the distance between elements.
- `NAME_combine(now, lanes, state)` adds `now` lanes up to ceil(now / FAN); launched until one is left.
- `NAME_finish(n, lanes, state, …)` writes what the first lane stands for: per result its address and the distance
  between elements.

Word w of lane k is number w·lanes + k of `state`, so that neighbouring threads read neighbouring numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

from codegen.body import WHOLE, Body
from codegen.contract import prune
from codegen.emit import contracted
from codegen.export.gpu_lanes import EMPTY, FAN, REGISTERS, Algebra, Lanes, Term
from codegen.export.gpu_point import Machine, PointPart, attributes, body_of, thread
from codegen.export.interface import Interface
from codegen.program import Array, Program
from codegen.reduction import uniform_part
from codegen.target import Target
from codegen.text import Function

# Numbers that are the same at all points, and that a thread reads or computes once and keeps; if there are more, each
# point reads or computes them.
KEPT = 32
# Instructions of all tiles together, each of which computes what it needs; of more, all are accumulated in memory.
REPEATED = 3 * WHOLE
POINT = "hy.lane.point"

Step = Callable[[str, list[str]], list[str]]


@dataclass(frozen=True)
class Tile:
    """Elements that are accumulated together, what is computed of shared arguments first, and the rest of each point.

    `rest` has one result, of the elements, and what `first` computes as a further argument.
    """

    numbers: list[int]
    first: Program | None
    rest: Program


class InPart(PointPart):
    """A point as part of a function: `points` are the addresses of its arguments, `made` its results by element."""

    def __init__(self, body: Body, f: Function, points: Sequence[str]) -> None:
        super().__init__(body, "")
        self.f, self.points = f, list(points)
        self.made: dict[int, str] = {}
        # Numbers of arguments that are there already.
        self.known: dict[tuple[int, int], str] = {}

    def base(self, operand: int) -> str:
        return self.points[operand]

    def load(self, number: int, argument: int, element: int) -> str:
        if (argument, element) in self.known:
            return self.known[argument, element]
        return super().load(number, argument, element)

    def store(self, number: int, value: str) -> None:
        for _, element in self.targets.get(number, ()):
            self.take(element, value)

    def take(self, element: int, value: str) -> None:
        self.made[element] = value


class LanePart(InPart):
    """A point whose results go into a lane: into words in registers, `now`, by number."""

    def __init__(self, body: Body, f: Function, points: Sequence[str], terms: Sequence[Term], algebra: Algebra) -> None:
        super().__init__(body, f, points)
        self.terms, self.algebra = terms, algebra
        self.now: dict[int, str] = {}

    def take(self, element: int, value: str) -> None:
        term = self.terms[element]
        after = self.algebra.add(self.f, term.kind, [self.word(k) for k in term.words], value)
        for k, word in zip(term.words, after, strict=True):
            self.keep(k, word)

    def word(self, k: int) -> str:
        return self.now[k]

    def keep(self, k: int, value: str) -> None:
        self.now[k] = value


class MemoryPart(LanePart):
    """The same, with the words of the lane in memory: at `%state`, `%lanes` numbers apart."""

    def address(self, k: int) -> str:
        distance = self.f.let("far", f"mul i64 %lanes, {k}") if k else 0
        return self.f.at("%state", distance, self.body.scalar)

    def word(self, k: int) -> str:
        return self.f.load("word", self.body.scalar, self.address(k))

    def keep(self, k: int, value: str) -> None:
        self.f.store(self.body.scalar, value, self.address(k))


class GpuReduction:
    """Writes the kernels of one reduction. Raises ValueError where no argument varies; `called` as in `Algebra`."""

    def __init__(self, interface: Interface, target: Target, machine: Machine) -> None:
        if interface.reduction is None:
            raise AssertionError("an interface without a reduction has no kernels for it")
        self.interface, self.target, self.machine = interface, target, machine
        self.shared = interface.reduction.shared
        self.count = len(interface.program.arguments)
        if not set(range(self.count)) - self.shared:
            raise ValueError(f"{interface.name}: all arguments are shared, so there is nothing to reduce over")
        self.scalar = target.scalar
        self.lanes, self.algebra = Lanes.of(interface), Algebra(target.scalar)
        every = tuple(chain.from_iterable(interface.program.outputs))
        self.program = contracted(self._only(interface.program, every), target)
        self.called: set[str] = set()

    @staticmethod
    def _only(program: Program, values: tuple[int, ...]) -> Program:
        """The program of some values, as one result."""
        result = Array("values", (len(values),))
        return Program(program.name, program.arguments, (result,), program.body, (values,), program.externals)

    def functions(self) -> list[Function]:
        """All that is called but elementary functions."""
        tiles = self._tiles()
        made = [
            self._combine(),
            self._finish(),
            *(self._accumulate_in_memory() if tiles is None else [self._accumulate(tiles)]),
        ]
        self.called |= self.algebra.called
        return made

    def _tiles(self) -> list[Tile] | None:
        """What is accumulated together: as much as there are registers for. None if that repeats too much."""
        found, length = [], 0
        for numbers in self.lanes.tiles(REGISTERS * 4 // self.target.bytes):
            program = prune(self._only(self.program, tuple(self.program.outputs[0][k] for k in numbers)))
            first, rest = uniform_part(program, self.shared)
            if first is not None and self._kept(program) + first.results[0].size > KEPT:
                first, rest = None, program
            found.append(Tile(numbers, first, rest))
            length += len(rest.body)
            if len(rest.body) > WHOLE or (length > REPEATED and len(found) > 1):
                return None
        return found

    def _kept(self, program: Program) -> int:
        return len({step for step in program.body if step[0] == "load" and step[1] in self.shared})

    # --- points into lanes --------------------------------------------------------------------------------------------
    def _head(self, name: str, words: str, operands: Sequence[int]) -> tuple[Function, list[str]]:
        """A kernel over some operands: its function, and their addresses."""
        each = []
        for k in operands:
            point = f"i64 %p{k}, " if k < self.count and k not in self.shared else ""
            each.append(f"ptr addrspace(1) {attributes(self.interface, k)} %b{k}, {point}i64 %e{k}")
        head = ", ".join([words, "ptr addrspace(1) noalias %states", *each])
        f = Function(f"define {self.machine.convention} void @{self.interface.name}_{name}({head}) #0")
        f.do("%state = addrspacecast ptr addrspace(1) %states to ptr")
        return f, [f.let("base", f"addrspacecast ptr addrspace(1) %b{k} to ptr") for k in operands]

    def _start(self) -> tuple[Function, list[str], str, str]:
        """`NAME_accumulate` until a thread knows its first lane. Of no points, what is said of none goes to lane 0."""
        f, bases = self._head("accumulate", "i64 %n, i64 %lanes", range(self.count))
        with f.early_return(f.let("none", "icmp slt i64 %n, 1")):
            self._begin(f, "%state", "%lanes")
            f.do("ret void")
        return f, bases, *thread(f, self.target)

    def _begin(self, f: Function, state: str, lanes: str) -> None:
        """A lane without points."""
        for kind, empty in EMPTY.items():
            start, width = self.lanes.starts[kind], len(empty)
            if not self.lanes.counts[kind]:
                continue
            with f.loop("word", start, start + width * self.lanes.counts[kind], width) as word:
                for k, value in enumerate(empty):
                    number = f.let("word", f"add i64 {word}, {k}")
                    at = f.at(state, f.let("far", f"mul i64 {number}, {lanes}"), self.scalar)
                    f.store(self.scalar, self.algebra.number(value), at)

    def _moved(self, f: Function, bases: Sequence[str], i: str) -> list[str]:
        """The addresses of the arguments at point i."""
        distances = [0 if k in self.shared else f.let("distance", f"mul i64 {i}, %p{k}") for k in range(self.count)]
        return [f.at(base, distance, self.scalar) for base, distance in zip(bases, distances, strict=True)]

    def _accumulate(self, tiles: Sequence[Tile]) -> Function:
        """With the words of a lane in registers, those of one tile after the other."""
        f, bases, lane, threads = self._start()
        for tile in tiles:
            self._tile(f, tile, bases, lane, threads)
        f.do("ret void")
        return f

    def _tile(self, f: Function, tile: Tile, bases: Sequence[str], lane: str, threads: str) -> None:
        terms = [self.lanes.terms[k] for k in tile.numbers]
        part = LanePart(body_of(tile.rest, self.target), f, bases, terms, self.algebra)
        if tile.first is not None:
            uniform = InPart(body_of(tile.first, self.target), f, bases)
            uniform.compute()
            part.known = {(self.count, element): value for element, value in uniform.made.items()}
            self.called |= set(uniform.body.called)
        if self._kept(part.program) <= KEPT:
            for step in dict.fromkeys(step for step in part.program.body if step[0] == "load"):
                if step[1] in self.shared:
                    part.known[step[1], step[2]] = part.load(0, step[1], step[2])
        numbers = [k for term in terms for k in term.words]

        def point(i: str, words: list[str]) -> list[str]:
            part.points = self._moved(f, bases, i)
            part.now = dict(zip(numbers, words, strict=True))
            part.compute()
            return [part.now[k] for k in numbers]

        with f.loop("lane", lane, "%lanes", threads) as own:
            starts = [self.algebra.number(value) for term in terms for value in EMPTY[term.kind]]
            for k, word in zip(numbers, self._folded(f, own, "%n", "%lanes", starts, point), strict=True):
                self._keep(f, own, str(k), word)
        self.called |= set(part.body.called)

    def _accumulate_in_memory(self) -> list[Function]:
        """With the words of a lane where they end up. The point is a function, so that nobody keeps them elsewhere."""
        each = [f"ptr {attributes(self.interface, k)} %a{k}, i64 %e{k}" for k in range(self.count)]
        head = ", ".join([*each, "ptr noalias %state", "i64 %lanes"])
        inside = Function(f"define internal void @{POINT}({head}) noinline nounwind")
        body = body_of(self.program, self.target)
        MemoryPart(body, inside, [f"%a{k}" for k in range(self.count)], self.lanes.terms, self.algebra).write()
        f, bases, lane, threads = self._start()
        with f.loop("lane", lane, "%lanes", threads) as own:
            at = f.at("%state", own, self.scalar)
            self._begin(f, at, "%lanes")
            with f.loop("i", own, "%n", "%lanes") as i:
                arguments = [f"ptr {place}, i64 %e{k}" for k, place in enumerate(self._moved(f, bases, i))]
                f.do(f"call void @{POINT}({', '.join([*arguments, f'ptr {at}', 'i64 %lanes'])})")
        f.do("ret void")
        self.called |= set(body.called)
        return [inside, f]

    def _folded(self, f: Function, start: str, stop: str, step: str, words: Sequence[str], take: Step) -> list[str]:
        """`for i in range(start, stop, step): words = take(i, words)`; the words after it."""
        head, inside, done = (f.unique(f"fold.{name}") for name in ("head", "body", "done"))
        before, i = f.block, f"%{f.unique('i')}"
        phis = [f"%{f.unique('word')}" for _ in words]
        f.do(f"br label %{head}")
        f.start(head)
        at = len(f.lines)
        f.lines += [""] * (1 + len(phis))
        f.do(f"br i1 {f.let('more', f'icmp slt i64 {i}, {stop}')}, label %{inside}, label %{done}")
        f.start(inside)
        after = take(i, phis)
        following = f.let("next", f"add i64 {i}, {step}")
        f.do(f"br label %{head}")
        f.lines[at] = f"  {i} = phi i64 [ {start}, %{before} ], [ {following}, %{f.block} ]"
        for place, (phi, first, last) in enumerate(zip(phis, words, after, strict=True), at + 1):
            f.lines[place] = f"  {phi} = phi {self.scalar} [ {first}, %{before} ], [ {last}, %{f.block} ]"
        f.start(done)
        return phis

    # --- lanes into one -----------------------------------------------------------------------------------------------
    def _at(self, f: Function, lane: str, word: str) -> str:
        far = f.let("far", f"mul i64 {word}, %lanes")
        return f.at("%state", f.let("number", f"add i64 {far}, {lane}"), self.scalar)

    def _keep(self, f: Function, lane: str, word: str, value: str) -> None:
        f.store(self.scalar, value, self._at(f, lane, word))

    def _read(self, f: Function, lane: str, first: str, count: int) -> list[str]:
        words = [f.let("word", f"add i64 {first}, {k}") for k in range(count)]
        return [f.load("x", self.scalar, self._at(f, lane, word)) for word in words]

    def _combine(self) -> Function:
        """`NAME_combine`: of one element, a thread adds up lanes that lie as far apart as there are groups."""
        f, _ = self._head("combine", "i64 %now, i64 %lanes", [])
        first, threads = thread(f, self.target)
        groups = f.let("groups", f"udiv i64 {f.let('up', f'add i64 %now, {FAN - 1}')}, {FAN}")
        for kind, empty in EMPTY.items():
            count, width = self.lanes.counts[kind], len(empty)
            if not count:
                continue
            every = f.let("every", f"mul i64 {groups}, {count}")
            with f.loop("own", first, every, threads) as own:
                number = f.let("element", f"udiv i64 {own}, {groups}")
                lane = f.let("lane", f"sub i64 {own}, {f.let('before', f'mul i64 {number}, {groups}')}")
                word = f.let("word", f"mul i64 {number}, {width}")
                word = f.let("word", f"add i64 {word}, {self.lanes.starts[kind]}")

                def take(other: str, words: list[str], kind: str = kind, word: str = word) -> list[str]:
                    return self.algebra.merge(f, kind, words, self._read(f, other, word, len(EMPTY[kind])))

                start = self._read(f, lane, word, width)
                second = f.let("second", f"add i64 {lane}, {groups}")
                for k, value in enumerate(self._folded(f, second, "%now", groups, start, take)):
                    self._keep(f, lane, f.let("word", f"add i64 {word}, {k}"), value)
        f.do("ret void")
        return f

    def _finish(self) -> Function:
        """`NAME_finish`: the numbers of the first lane, and means divided."""
        results = range(self.count, len(self.interface.parameters))
        f, bases = self._head("finish", "i64 %n, i64 %lanes", results)
        first, threads = thread(f, self.target)
        at = 0
        rows = zip(self.lanes.asked, self.lanes.kinds, self.lanes.sizes, strict=True)
        for k, base, (asked, kind, size) in zip(results, bases, rows, strict=True):
            if not size:
                continue
            start, at = self.lanes.terms[at].first, at + size
            with f.loop("element", first, size, threads) as element:
                word = f.let("word", f"mul i64 {element}, {len(EMPTY[kind])}")
                word = f.let("word", f"add i64 {word}, {start}")
                value = self.algebra.value(f, kind, self._read(f, "0", word, len(EMPTY[kind])))
                if asked == "mean":
                    count = f.let("count", f"sitofp i64 %n to {self.scalar}")
                    value = f.let("mean", f"fdiv {self.scalar} {value}, {count}")
                distance = f.let("distance", f"mul i64 {element}, %e{k}")
                f.store(self.scalar, value, f.at(base, distance, self.scalar))
        f.do("ret void")
        return f
