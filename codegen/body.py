"""The straight-line body of a program as vector IR: one function, or several where it is long.

LLVM's time grows faster than the length of a function, so a long body is cut into parts. A value that is made in one
part and read in a later one passes through a row of its own, or through the result row it is stored in anyway.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from codegen.external import External, groups
from codegen.layout import Layout
from codegen.moves import splat
from codegen.program import INSTRUCTIONS, MASK, Program
from codegen.text import Function, real

# Instructions up to which a body stays whole (cutting one of 1,500 made it 15 % slower), and those of a part beyond.
# The inverse dynamics of a robot arm, 5,000 operations, take 190 ns in parts of 1,500, 170 of 2,500 and 158 of 3,600.
WHOLE = 4000
PART = 3600
# Instructions after which a shared number is read again instead of kept: it is an operand in memory either way, and a
# register held for long is one that is spilled.
KEPT = 48

_PLAIN = ("load", "const")

# Lowering of the instructions that are one LLVM instruction, over operands {0}, {1} …, vector type {V}, mask type {M}.
PATTERNS: dict[str, str] = {
    "add": "fadd {V} {0}, {1}",
    "sub": "fsub {V} {0}, {1}",
    "mul": "fmul {V} {0}, {1}",
    "div": "fdiv {V} {0}, {1}",
    "neg": "fneg {V} {0}",
    "abs": "call {V} @llvm.fabs.{S}({V} {0})",
    "sqrt": "call {V} @llvm.sqrt.{S}({V} {0})",
    "floor": "call {V} @llvm.floor.{S}({V} {0})",
    "ceil": "call {V} @llvm.ceil.{S}({V} {0})",
    "trunc": "call {V} @llvm.trunc.{S}({V} {0})",
    "rint": "call {V} @llvm.rint.{S}({V} {0})",
    "copysign": "call {V} @llvm.copysign.{S}({V} {0}, {V} {1})",
    "fma": "call {V} @llvm.fma.{S}({V} {0}, {V} {1}, {V} {2})",
    "lt": "fcmp olt {V} {0}, {1}",
    "le": "fcmp ole {V} {0}, {1}",
    "gt": "fcmp ogt {V} {0}, {1}",
    "ge": "fcmp oge {V} {0}, {1}",
    "eq": "fcmp oeq {V} {0}, {1}",
    "ne": "fcmp une {V} {0}, {1}",
    "and": "and {M} {0}, {1}",
    "or": "or {M} {0}, {1}",
    "xor": "xor {M} {0}, {1}",
    "not": "xor {M} {0}, {true}",
    "select": "select {M} {0}, {V} {1}, {V} {2}",
    "select_mask": "select {M} {0}, {M} {1}, {M} {2}",
}

# Instructions that some machines have no instruction for.
ROUNDING = ("floor", "ceil", "trunc", "rint")


@dataclass(frozen=True)
class Cut:
    """A body in parts: the values each part makes, and for values read by later parts the number of their spill row."""

    parts: list[list[int]]
    rows: dict[int, int]
    spills: int


def cut(program: Program) -> Cut:
    """Cut a long body after every `PART` instructions. A spill row is free again after the last part that reads it."""
    parts: list[list[int]] = [[]]
    limit = WHOLE if len(program.body) <= WHOLE else PART
    part_of = [0] * len(program.body)
    for number, instruction in enumerate(program.body):
        if instruction[0] not in _PLAIN:
            if len(parts[-1]) >= limit:
                parts.append([])
            part_of[number] = len(parts) - 1
            parts[-1].append(number)
    if len(parts) == 1:
        return Cut(parts, {}, 0)
    last_part = list(part_of)
    for number, (name, *operands) in enumerate(program.body):
        if name not in _PLAIN:
            for operand in operands:
                last_part[operand] = part_of[number]
    kept = {value for value in _array_elements(program) if program.body[value][0] not in _PLAIN}
    rows: dict[int, int] = {}
    free: list[int] = []
    expiring: list[list[int]] = [[] for _ in parts]
    spills = 0
    for index, numbers in enumerate(parts):
        for number in numbers:
            if last_part[number] > index and number not in kept:
                if not free:
                    free.append(spills)
                    spills += 1
                rows[number] = free.pop()
                expiring[last_part[number]].append(rows[number])
        free += expiring[index]
    return Cut(parts, rows, spills)


def _array_elements(program: Program) -> set[int]:
    return {
        value for array, values in zip(program.results, program.outputs, strict=True) if array.shape for value in values
    }


@dataclass
class Body:
    """Writes the parts of a body; `called` counts the calls of vector functions in those written so far."""

    layout: Layout
    pieces: Cut
    called: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        width, body = self.layout.target.width, self.layout.program.body
        self.scalar, self.vector = self.layout.target.scalar, self.layout.target.vector
        kind = f"f{8 * self.layout.target.bytes}"
        self.mask = f"<{width} x i1>" if width > 1 else "i1"
        self.suffix = f"v{width}{kind}" if width > 1 else kind
        words = {"{V}": self.vector, "{S}": self.suffix, "{M}": self.mask, "{true}": self.literal("true", "i1")}
        self.patterns = dict(PATTERNS)
        if not self.layout.target.rounds:
            self.patterns = {name: text for name, text in PATTERNS.items() if name not in ROUNDING}
        for word, replacement in words.items():
            self.patterns = {name: text.replace(word, replacement) for name, text in self.patterns.items()}
        # Where results go: rows of array results (constants are filled in once per call), places of scalar results.
        self.rows: dict[int, list[int]] = {}
        self.places: dict[int, list[int]] = {}
        for operand, values in zip(self.layout.outputs, self.layout.program.outputs, strict=True):
            for element, value in enumerate(values):
                if operand.scalar:
                    self.places.setdefault(value, []).append(operand.number)
                elif body[value][0] != "const":
                    self.rows.setdefault(value, []).append(operand.row + element)
        self.partners = sine_pairs(self.layout.program)
        self.external_calls = groups(self.layout.program.calls, self.layout.program.body)

    def literal(self, value: str, kind: str) -> str:
        return f"splat ({kind} {value})" if self.layout.target.width > 1 else value

    def number(self, value: float) -> str:
        """A constant in every lane."""
        return self.literal(real(value, self.scalar), self.scalar)

    def part(self, index: int, linkage: str = "internal") -> Function:
        """Part `index` as a loop over the vectors between two points of a block."""
        return Part(self, index, linkage).write()


def sine_pairs(program: Program) -> dict[int, int]:
    """Sines and cosines of the same operand, each with its partner."""
    by_operand: dict[int, dict[str, int]] = {}
    for number, (name, *operands) in enumerate(program.body):
        if name in ("sin", "cos"):
            by_operand.setdefault(operands[0], {})[name] = number
    pairs: dict[int, int] = {}
    for pair in by_operand.values():
        if len(pair) == 2:
            pairs |= {pair["sin"]: pair["cos"], pair["cos"]: pair["sin"]}
    return pairs


def part_head(index: int, linkage: str) -> str:
    """The declaration of a part."""
    parameters = "ptr noalias %rows, ptr noalias readonly %table, i64 %from, i64 %to"
    return f"{linkage} void @hy.part.{index}({parameters})".lstrip()


class Part:
    """One part while it is written: the IR name of each value seen, and the addresses of scalar operands it uses."""

    def __init__(self, body: Body, index: int, linkage: str) -> None:
        self.body, self.index = body, index
        self.program, self.layout = body.layout.program, body.layout
        self.f = Function(f"define {part_head(index, linkage)} #1")
        self.values: dict[int, str] = {}
        self.addresses: dict[int, str] = {}
        self.rooms: list[str] = []
        self.in_place: list[tuple[str, str]] = []
        # Addresses of shared arguments and the numbers read from them lately; `written` when these were last forgotten.
        self.bases: dict[int, str] = {}
        self.lately: dict[int, str] = {}
        self.pointers: dict[int, str] = {}
        self.written = 0

    def write(self) -> Function:
        f = self.f
        with f.loop("i", "%from", "%to", self.layout.target.width) as i:
            self.i, self.here = i, f.at("%rows", i, self.body.scalar)
            if self.index == 0:
                for number in {**self.body.rows, **self.body.places}:
                    if self.program.body[number][0] in _PLAIN:
                        self.store(number, self.read(number))
            for number in self.body.pieces.parts[self.index]:
                if number not in self.values:
                    self.define(number)
                    self.forget()
                self.store(number, self.values[number])
            # Results in place come last: an argument may be the same array.
            for value, address in self.in_place:
                f.store(self.body.vector, value, address)
        f.do("ret void")
        f.lines[2:2] = self.rooms
        words = [(address, "%table", operand) for operand, address in self.addresses.items()]
        words += [(address, "%rows", self.layout.pointers + operand) for operand, address in self.bases.items()]
        for address, area, word in words:
            f.lines[2:2] = [
                f"  {address}.place = getelementptr i64, ptr {area}, i64 {word}",
                f"  {address} = load ptr, ptr {address}.place, align 8",
            ]
        return f

    def forget(self) -> None:
        """From time to time, numbers of shared arguments are read anew, from an address that LLVM cannot recognise."""
        self.written += 1
        if self.bases and self.written % KEPT == 0:
            self.lately.clear()
            self.pointers.clear()

    def broadcast(self, number: int, argument: int, element: int) -> str:
        """An element of a shared argument in every lane."""
        if number not in self.lately:
            if argument not in self.pointers:
                base = self.bases.setdefault(argument, f"%base.{argument}")
                self.pointers[argument] = self.f.let("same", f'call ptr asm "", "=r,0"(ptr {base})')
            scalar = self.body.scalar
            x = self.f.load("x", scalar, self.f.at(self.pointers[argument], element, scalar))
            self.lately[number] = splat(self.f, self.layout.target, x)
        return self.lately[number]

    def address(self, operand: int) -> str:
        """Where the current vector of a scalar operand is."""
        base = self.addresses.setdefault(operand, f"%block.{operand}")
        return self.f.at(base, self.i, self.body.scalar)

    def row(self, row: int) -> str:
        return self.f.at(self.here, row * self.layout.block, self.body.scalar)

    @property
    def aligned(self) -> int:
        return self.layout.target.bytes * self.layout.target.width

    def spill_row(self, number: int) -> int | None:
        rows = self.body.pieces.rows
        return self.layout.first_spill + rows[number] if number in rows else None

    def read(self, number: int) -> str:
        """The IR name of a value; in each part, arguments and kept values are loaded at their first use."""
        if number not in self.values:
            name, *operands = self.program.body[number]
            if name == "load" and operands[0] in self.layout.shared:
                return self.broadcast(number, *operands)
            if name == "const":
                self.values[number] = self.body.number(float(operands[0]))
            elif name == "load":
                self.values[number] = self.load(number, *operands)
            else:
                self.values[number] = self.reload(number)
        return self.values[number]

    def load(self, number: int, argument: int, element: int) -> str:
        operand = self.layout.inputs[argument]
        name = f"{_clean(operand.array.name)}.{number}"
        if operand.scalar:
            return self.f.load(name, self.body.vector, self.address(argument))
        return self.f.load(name, self.body.vector, self.row(operand.row + element), self.aligned)

    def reload(self, number: int) -> str:
        spill = self.spill_row(number)
        address = self.row(self.body.rows[number][0] if spill is None else spill)
        value = self.f.load(f"kept.{number}", self.body.vector, address, self.aligned)
        if self.is_mask(number):
            return self.f.let(f"kept.{number}", f"fcmp one {self.body.vector} {value}, zeroinitializer")
        return value

    def is_mask(self, number: int) -> bool:
        row = INSTRUCTIONS.get(self.program.body[number][0])
        return row is not None and row.result == MASK

    def store(self, number: int, value: str) -> None:
        """Put a value wherever it is a result, and where later parts find it."""
        f, body = self.f, self.body
        for row in body.rows.get(number, ()):
            f.store(body.vector, value, self.row(row), self.aligned)
        for operand in body.places.get(number, ()):
            address = self.address(operand)
            if len(body.pieces.parts) == 1:
                self.in_place.append((value, address))
            else:
                f.store(body.vector, value, address)
        spill = self.spill_row(number)
        if spill is not None:
            if self.is_mask(number):
                one, zero = body.number(1.0), body.number(0.0)
                kinds = f"{body.mask} {value}, {body.vector} {one}, {body.vector} {zero}"
                value = f.let(f"keep.{number}", f"select {kinds}")
            f.store(body.vector, value, self.row(spill), self.aligned)

    def define(self, number: int) -> None:
        """Write the instruction that makes a value."""
        name, *operands = self.program.body[number]
        if name == "polygamma":
            self.values[number] = self.polygamma(number, *operands)
        elif number in self.body.partners:
            self.sine_and_cosine(number, operands[0])
        elif number in self.body.external_calls:
            self.call_external(number, [self.read(operand) for operand in operands])
        else:
            reads = [self.read(operand) for operand in operands]
            if name in self.body.patterns:
                self.values[number] = self.f.let(f"{name}.{number}", self.body.patterns[name].format(*reads))
            elif name in _COMPOSED:
                self.values[number] = _COMPOSED[name](self, number, *reads)
            else:
                self.values[number] = self.call(name, number, reads)

    def call(self, name: str, number: int, reads: list[str], kind: str | None = None) -> str:
        """Call the vector function `name`; one that vector_math lacks is refused there, by name."""
        self.body.called[name] += 1
        vector = self.body.vector
        arguments = ", ".join(f"{vector} {read}" for read in reads)
        return self.f.let(f"{name}.{number}", f"call {kind or vector} @hy.{name}({arguments})")

    def call_external(self, number: int, reads: list[str]) -> None:
        """Call a function of somebody else's once per lane; each part that needs a result calls it."""
        f, body = self.f, self.body
        external, _ = self.program.calls[self.program.body[number][0]]
        wanted = body.external_calls[number]
        target, vector = self.layout.target, body.vector
        narrow = target.scalar != "double"
        whole = dict.fromkeys(wanted, "poison")
        for lane in range(target.width):
            numbers = [self.lane(read, lane) for read in reads]
            if narrow:
                numbers = [f.let("wide", f"fpext {target.scalar} {x} to double") for x in numbers]
            for place, result in self.results_of(external, numbers, wanted).items():
                if narrow:
                    result = f.let("narrow", f"fptrunc double {result} to {target.scalar}")
                if target.width > 1:
                    into = f"insertelement {vector} {whole[place]}, {target.scalar} {result}, i32 {lane}"
                    result = f.let(external.name, into)
                whole[place] = result
        for place, other in wanted.items():
            self.values[other] = whole[place]

    def lane(self, value: str, lane: int) -> str:
        if self.layout.target.width == 1:
            return value
        return self.f.let("lane", f"extractelement {self.body.vector} {value}, i32 {lane}")

    def results_of(self, external: External, numbers: list[str], wanted: Iterable[int]) -> dict[int, str]:
        f = self.f
        if external.results == 1:
            arguments = ", ".join(f"double {x}" for x in numbers)
            return {0: f.let(external.name, f'call double @"{external.symbol}"({arguments})')}
        given, made = self.scratch(external.arguments), self.scratch(external.results)
        for place, x in enumerate(numbers):
            f.store("double", x, f.at(given, place, "double"))
        f.do(f'call void @"{external.symbol}"(ptr {given}, ptr {made})')
        return {place: f.load(external.name, "double", f.at(made, place, "double")) for place in wanted}

    def scratch(self, size: int) -> str:
        """Room for `size` numbers on the stack, made once per call of the part."""
        name = f"%{self.f.unique('scratch')}"
        self.rooms.append(f"  {name} = alloca double, i64 {size}, align 8")
        return name

    def polygamma(self, number: int, order: int, x: int) -> str:
        name, *value = self.program.body[order]
        if name != "const" or value[0] < 0 or value[0] != int(value[0]):
            raise ValueError(
                f"{self.program.name}: %{number} polygamma needs a constant order 0, 1, 2 …, got {name} {value}"
            )
        return self.call(f"polygamma.{int(value[0])}", number, [self.read(x)])

    def sine_and_cosine(self, number: int, x: int) -> None:
        """One call gives both; each part that needs either makes it, so the bits do not depend on the cut."""
        vector = self.body.vector
        kind = f"{{ {vector}, {vector} }}"
        both = self.call("sincos", number, [self.read(x)], kind)
        for value in (number, self.body.partners[number]):
            name = self.program.body[value][0]
            self.values[value] = self.f.let(f"{name}.{value}", f"extractvalue {kind} {both}, {int(name == 'cos')}")

    def choose(self, number: int, comparison: str, a: str, b: str) -> str:
        """`a comparison b ? a : b`, but `a` if that is NaN: NumPy's minimum and maximum."""
        f, mask, vector = self.f, self.body.mask, self.body.vector
        closer = f.let("closer", f"fcmp {comparison} {vector} {a}, {b}")
        best = f.let("best", f"select {mask} {closer}, {vector} {a}, {vector} {b}")
        nan = f.let("nan", f"fcmp uno {vector} {a}, {a}")
        name = self.program.body[number][0]
        return f.let(f"{name}.{number}", f"select {mask} {nan}, {vector} {a}, {vector} {best}")

    def sign(self, number: int, x: str) -> str:
        f, mask, vector = self.f, self.body.mask, self.body.vector
        one = f.let(
            "one",
            f"call {vector} @llvm.copysign.{self.body.suffix}({vector} {self.body.number(1.0)}, {vector} {x})",
        )
        nonzero = f.let("nonzero", f"fcmp one {vector} {x}, zeroinitializer")
        rest = f.let("rest", f"fadd {vector} {x}, zeroinitializer")  # −0 gives +0, as in NumPy; NaN stays
        return f.let(f"sign.{number}", f"select {mask} {nonzero}, {vector} {one}, {vector} {rest}")

    def whole(self, number: int, x: str) -> str:
        """floor, ceil, trunc or rint by additions, exactly: where a number has a fraction, 2^52 + |x| has none."""
        f, body, vector, mask = self.f, self.body, self.body.vector, self.body.mask
        name = self.program.body[number][0]
        large = body.number(2.0**52 if body.scalar == "double" else 2.0**23)
        size = f.let("size", f"call {vector} @llvm.fabs.{body.suffix}({vector} {x})")
        up = f.let("up", f"fadd {vector} {size}, {large}")
        nearest = f.let("nearest", f"fsub {vector} {up}, {large}")
        if name in ("floor", "ceil"):
            signs = f"{vector} {nearest}, {vector} {x}"
            nearest = f.let("nearest", f"call {vector} @llvm.copysign.{body.suffix}({signs})")
        if name != "rint":
            beyond, of = ("olt", x) if name == "ceil" else ("ogt", x if name == "floor" else size)
            wrong = f.let("wrong", f"fcmp {beyond} {vector} {nearest}, {of}")
            step = f.let("step", f"fadd {vector} {nearest}, {body.number(1.0 if name == 'ceil' else -1.0)}")
            nearest = f.let("nearest", f"select {mask} {wrong}, {vector} {step}, {vector} {nearest}")
        signs = f"{vector} {nearest}, {vector} {x}"
        signed = f.let("signed", f"call {vector} @llvm.copysign.{body.suffix}({signs})")
        fraction = f.let("fraction", f"fcmp olt {vector} {size}, {large}")
        return f.let(f"{name}.{number}", f"select {mask} {fraction}, {vector} {signed}, {vector} {x}")

    def truth(self, value: str) -> str:
        return self.body.literal(value, "i1")


# Lowering of the instructions that are a few LLVM instructions.
_COMPOSED: dict[str, Callable[..., str]] = {
    "minimum": lambda part, number, a, b: part.choose(number, "olt", a, b),
    "maximum": lambda part, number, a, b: part.choose(number, "ogt", a, b),
    "sign": lambda part, number, x: part.sign(number, x),
    **dict.fromkeys(ROUNDING, lambda part, number, x: part.whole(number, x)),
    "true": lambda part, number: part.truth("true"),
    "false": lambda part, number: part.truth("false"),
}


def _clean(name: str) -> str:
    return re.sub(r"^(?=[0-9]|$)", "x", re.sub(r"[^A-Za-z0-9_]", "_", name))
