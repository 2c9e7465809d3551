"""Operands with Python operators that write LLVM IR text, so that a vector function reads like its mathematics.

A `Body` is one IR function being written. `Vector` (floating point), `Integer` (same number of bits) and `Mask` (one
bit per lane) are its values; an operator appends one instruction and gives the new value. Width 1 writes plain scalars.
No fast-math flag is ever written, so every width gives the same bits.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from math import log
from typing import Any, TypeVar

AnyValue = TypeVar("AnyValue", bound="Value")


@dataclass(frozen=True)
class Format:
    """A binary floating-point format: its IR type, bits in all, bits of the stored fraction, exponent bias."""

    real: str
    bits: int
    fraction_bits: int
    bias: int

    @property
    def integer(self) -> str:
        return f"i{self.bits}"

    @property
    def sign(self) -> int:
        """The top bit."""
        return 1 << (self.bits - 1)

    @property
    def least_normal(self) -> float:
        return 2.0 ** (1 - self.bias)

    @property
    def overflow(self) -> float:
        """A little above the x from which on e^x is infinite."""
        return (self.bias + 1.2) * log(2)

    @property
    def underflow(self) -> float:
        """A little below the x up to which e^x is 0."""
        return -(self.bias + self.fraction_bits + 1.2) * log(2)

    def pick(self, wide: float, narrow: float) -> float:
        """The first for float64, the second for float32."""
        return wide if self.bits == 64 else narrow


FLOAT64 = Format("double", 64, 52, 1023)
FLOAT32 = Format("float", 32, 23, 127)


@dataclass
class Module:
    """IR text under construction for one lane count: definitions by symbol, each written once.

    avx512: the target has x86's AVX-512F; whole 512-bit vectors use its instructions where they give the same bits.
    Every symbol gets `suffix`, so that float64 functions can stand beside the float32 ones that call them.
    """

    width: int
    fma: bool
    format: Format = FLOAT64
    definitions: dict[str, str] = field(default_factory=dict)
    avx512: bool = False
    suffix: str = ""

    @property
    def native512(self) -> bool:
        return self.avx512 and self.width * self.format.bits == 512

    def wide(self) -> Module:
        """Float64 at half the lanes (at as many up to two), writing to the same definitions, with the suffix .f64."""
        width = self.width // 2 if self.width >= 4 else self.width
        return Module(width, self.fma, FLOAT64, self.definitions, self.avx512, ".f64")

    def define(self, symbol: str, write: Callable[[], str]) -> None:
        """Add a definition unless the symbol is already there; `write` may add further ones."""
        symbol += self.suffix
        if symbol not in self.definitions:
            self.definitions[symbol] = ""
            self.definitions[symbol] = write()

    def type_of(self, kind: type[Value]) -> str:
        scalar = {Vector: self.format.real, Integer: self.format.integer, Mask: "i1"}[kind]
        return scalar if self.width == 1 else f"<{self.width} x {scalar}>"


class Body:
    """The instructions of one IR function under construction."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.lines: list[str] = []
        self.block = "entry"
        self._counter = 0

    def fresh(self, stem: str = "") -> str:
        self._counter += 1
        return f"{stem or 'v'}{self._counter}"

    def append(self, instruction: str) -> str:
        """Append an instruction with a result; gives the result's name."""
        name = "%" + self.fresh()
        self.lines.append(f"  {name} = {instruction}")
        return name

    def start_block(self, label: str) -> None:
        self.lines.append(f"{label}:")
        self.block = label

    def intrinsic(self, name: str, *arguments: Vector) -> Vector:
        """Call an element-wise LLVM intrinsic."""
        module, typ = self.module, self.module.type_of(Vector)
        lanes = "" if module.width == 1 else f"v{module.width}"
        operands = ", ".join(f"{typ} {argument.text}" for argument in arguments)
        return Vector(self, self.append(f"call {typ} @llvm.{name}.{lanes}f{module.format.bits}({operands})"))

    def avx512(self, name: str, *operands: Value | int) -> Vector:
        """Call `@llvm.x86.avx512.mask.<name>`, all lanes, in the current rounding mode; an `int` is immediate."""
        module, typ = self.module, self.module.type_of(Vector)
        suffix = "pd.512" if module.format == FLOAT64 else "ps.512"
        texts = [f"i32 {o}" if isinstance(o, int) else f"{o.type} {o.text}" for o in operands]
        # what masked lanes would be, the mask, the rounding mode
        rest = [] if name == "fixupimm" else [f"{typ} zeroinitializer"]
        texts += [*rest, f"i{module.width} -1", "i32 4"]
        return Vector(self, self.append(f"call {typ} @llvm.x86.avx512.mask.{name}.{suffix}({', '.join(texts)})"))

    def scalar(self, number: float) -> str:
        """How IR writes a number of the format."""
        if self.module.format == FLOAT32:
            (number,) = struct.unpack("<f", struct.pack("<f", number))
        (pattern,) = struct.unpack("<Q", struct.pack("<d", number))
        return f"0x{pattern:016X}"

    def real(self, number: float) -> Vector:
        return Vector(self, self._splat(self.module.format.real, self.scalar(number)))

    def integer(self, number: int) -> Integer:
        return Integer(self, self._splat(self.module.format.integer, str(number)))

    def _splat(self, scalar: str, text: str) -> str:
        return text if self.module.width == 1 else f"splat ({scalar} {text})"

    def lanes(self, value: Value) -> list[str]:
        """The scalars of a value, lane by lane."""
        if self.module.width == 1:
            return [value.text]
        return [
            self.append(f"extractelement {value.type} {value.text}, i32 {lane}") for lane in range(self.module.width)
        ]

    def from_lanes(self, kind: type[AnyValue], scalars: Sequence[str]) -> AnyValue:
        """The inverse of `lanes`."""
        if self.module.width == 1:
            return kind(self, scalars[0])
        typ = self.module.type_of(kind)
        scalar = typ.split(" x ")[1].rstrip(">")
        text = "poison"
        for lane, element in enumerate(scalars):
            text = self.append(f"insertelement {typ} {text}, {scalar} {element}, i32 {lane}")
        return kind(self, text)

    def call(self, symbol: str, *arguments: Vector, results: int = 1) -> tuple[Vector, ...]:
        """Call a defined function of this lane count that gives `results` vectors."""
        typ = self.module.type_of(Vector)
        result_type = typ if results == 1 else "{ " + ", ".join([typ] * results) + " }"
        operands = ", ".join(f"{typ} {argument.text}" for argument in arguments)
        text = self.append(f"call {result_type} {symbol}{self.module.suffix}({operands})")
        if results == 1:
            return (Vector(self, text),)
        return tuple(Vector(self, self.append(f"extractvalue {result_type} {text}, {i}")) for i in range(results))


@dataclass(frozen=True, eq=False)
class Value:
    """One IR value, all lanes; `text` is how an instruction names it."""

    body: Body
    text: str

    @property
    def type(self) -> str:
        return self.body.module.type_of(type(self))

    def _operation(self, opcode: str, other: Value) -> str:
        return self.body.append(f"{opcode} {self.type} {self.text}, {other.text}")


class Mask(Value):
    """One truth value per lane."""

    def __and__(self, other: Mask) -> Mask:
        return Mask(self.body, self._operation("and", other))

    def __or__(self, other: Mask) -> Mask:
        return Mask(self.body, self._operation("or", other))

    def __xor__(self, other: Mask) -> Mask:
        return Mask(self.body, self._operation("xor", other))

    def __invert__(self) -> Mask:
        true = "true" if self.body.module.width == 1 else "splat (i1 true)"
        return Mask(self.body, self.body.append(f"xor {self.type} {self.text}, {true}"))

    def any(self) -> str:
        """An IR i1: whether any lane is true."""
        if self.body.module.width == 1:
            return self.text
        return self.body.append(f"call i1 @llvm.vector.reduce.or.v{self.body.module.width}i1({self.type} {self.text})")


class Integer(Value):
    """An unsigned integer per lane, as wide as the floating-point format; shifts are logical."""

    def _with(self, opcode: str, other: Integer | int) -> Integer:
        operand = self.body.integer(other) if isinstance(other, int) else other
        return Integer(self.body, self._operation(opcode, operand))

    def __add__(self, other: Integer | int) -> Integer:
        return self._with("add", other)

    def __sub__(self, other: Integer | int) -> Integer:
        return self._with("sub", other)

    def __mul__(self, other: Integer | int) -> Integer:
        return self._with("mul", other)

    def __and__(self, other: Integer | int) -> Integer:
        return self._with("and", other)

    def __or__(self, other: Integer | int) -> Integer:
        return self._with("or", other)

    def __xor__(self, other: Integer | int) -> Integer:
        return self._with("xor", other)

    def __lshift__(self, other: Integer | int) -> Integer:
        return self._with("shl", other)

    def __rshift__(self, other: Integer | int) -> Integer:
        return self._with("lshr", other)

    def equals(self, other: Integer | int) -> Mask:
        operand = self.body.integer(other) if isinstance(other, int) else other
        return Mask(self.body, self._operation("icmp eq", operand))

    def __rsub__(self, other: int) -> Integer:
        return self.body.integer(other) - self

    def is_negative(self) -> Mask:
        """Whether the top bit is set."""
        return Mask(self.body, self._operation("icmp slt", self.body.integer(0)))

    def signed_real(self) -> Vector:
        """The value, read as a signed integer, converted to floating point: slow before AVX-512, for cold code."""
        return Vector(
            self.body, self.body.append(f"sitofp {self.type} {self.text} to {self.body.module.type_of(Vector)}")
        )

    @property
    def real(self) -> Vector:
        """The same bits read as floating point."""
        return Vector(
            self.body, self.body.append(f"bitcast {self.type} {self.text} to {self.body.module.type_of(Vector)}")
        )


class Vector(Value):
    """A floating-point number per lane. Comparisons are ordered (false for NaN), `differs` is true for NaN."""

    def _coerce(self, other: Vector | float) -> Vector:
        return other if isinstance(other, Vector) else self.body.real(other)

    def _with(self, opcode: str, other: Vector | float) -> Vector:
        return Vector(self.body, self._operation(opcode, self._coerce(other)))

    def _compare(self, predicate: str, other: Vector | float) -> Mask:
        return Mask(self.body, self._operation(f"fcmp {predicate}", self._coerce(other)))

    def __add__(self, other: Vector | float) -> Vector:
        return self._with("fadd", other)

    def __sub__(self, other: Vector | float) -> Vector:
        return self._with("fsub", other)

    def __mul__(self, other: Vector | float) -> Vector:
        return self._with("fmul", other)

    def __truediv__(self, other: Vector | float) -> Vector:
        return self._with("fdiv", other)

    def __radd__(self, other: float) -> Vector:
        return self._coerce(other) + self

    def __rsub__(self, other: float) -> Vector:
        return self._coerce(other) - self

    def __rmul__(self, other: float) -> Vector:
        return self._coerce(other) * self

    def __rtruediv__(self, other: float) -> Vector:
        return self._coerce(other) / self

    def __neg__(self) -> Vector:
        return Vector(self.body, self.body.append(f"fneg {self.type} {self.text}"))

    def __abs__(self) -> Vector:
        return self.body.intrinsic("fabs", self)

    def __lt__(self, other: Vector | float) -> Mask:
        return self._compare("olt", other)

    def __le__(self, other: Vector | float) -> Mask:
        return self._compare("ole", other)

    def __gt__(self, other: Vector | float) -> Mask:
        return self._compare("ogt", other)

    def __ge__(self, other: Vector | float) -> Mask:
        return self._compare("oge", other)

    def equals(self, other: Vector | float) -> Mask:
        return self._compare("oeq", other)

    def differs(self, other: Vector | float) -> Mask:
        return self._compare("une", other)

    def is_nan(self) -> Mask:
        return self._compare("uno", self)

    @property
    def bits(self) -> Integer:
        """The same bits read as an integer."""
        return Integer(
            self.body, self.body.append(f"bitcast {self.type} {self.text} to {self.body.module.type_of(Integer)}")
        )


def fma(a: Vector | float, b: Vector | float, c: Vector | float) -> Vector:
    """a·b + c, rounded once where the target has the instruction, else twice (never the C library's slow exact one)."""
    body = next(operand.body for operand in (a, b, c) if isinstance(operand, Vector))
    x, y, z = (operand if isinstance(operand, Vector) else body.real(operand) for operand in (a, b, c))
    return body.intrinsic("fma", x, y, z) if body.module.fma else x * y + z


def select(mask: Mask, then: Vector | float, otherwise: Vector | float) -> Vector:
    """`then` in the lanes where the mask is true, `otherwise` elsewhere."""
    body = mask.body
    a, b = (operand if isinstance(operand, Vector) else body.real(operand) for operand in (then, otherwise))
    return Vector(body, body.append(f"select {mask.type} {mask.text}, {a.type} {a.text}, {b.type} {b.text}"))


def sqrt(x: Vector) -> Vector:
    return x.body.intrinsic("sqrt", x)


def copysign(magnitude: Vector | float, sign: Vector) -> Vector:
    return sign.body.intrinsic("copysign", sign._coerce(magnitude), sign)


def with_sign(magnitude: Vector, x: Vector) -> Vector:
    """`magnitude`, which has the sign of x or is +0, with the sign bit of x set: keeps -0.0."""
    return (magnitude.bits | (x.bits & x.body.module.format.sign)).real


def at_most(x: Vector, bound: Vector | float) -> Vector:
    """min(x, bound), keeping a NaN of x: one `minpd`."""
    return select(x > bound, bound, x)


def at_least(x: Vector, bound: Vector | float) -> Vector:
    """max(x, bound), keeping a NaN of x: one `maxpd`."""
    return select(x < bound, bound, x)


def rare(mask: Mask, symbol: str, arguments: Iterable[Vector], usual: Sequence[Vector]) -> tuple[Vector, ...]:
    """`usual`, or, when any lane of the mask is true, what the cold function `symbol` makes of the arguments and
    `usual`.

    The function must give `usual` back unchanged in every lane where the mask is false, so that a lane's bits never
    depend on the others.
    """
    body = mask.body
    condition, before = mask.any(), body.block
    cold, rest = body.fresh("rare"), body.fresh("rest")
    body.lines.append(f"  br i1 {condition}, label %{cold}, label %{rest}")
    body.start_block(cold)
    changed = body.call(symbol, *arguments, *usual, results=len(usual))
    body.lines.append(f"  br label %{rest}")
    body.start_block(rest)
    pairs = zip(changed, usual, strict=True)
    return tuple(
        Vector(body, body.append(f"phi {new.type} [ {new.text}, %{cold} ], [ {old.text}, %{before} ]"))
        for new, old in pairs
    )


def write_function(
    module: Module,
    symbol: str,
    arity: int,
    build: Callable[..., Any],
    attributes: str = "alwaysinline nounwind",
) -> str:
    """The IR text of `define internal T symbol(T, …)`, its body written by `build`; a tuple becomes a struct."""
    body, typ = Body(module), module.type_of(Vector)
    results = build(*(Vector(body, f"%x{i}") for i in range(arity)))
    if isinstance(results, Vector):
        result_type, text = typ, results.text
    else:
        result_type, text = "{ " + ", ".join([typ] * len(results)) + " }", "poison"
        for index, result in enumerate(results):
            text = body.append(f"insertvalue {result_type} {text}, {typ} {result.text}, {index}")
    parameters = ", ".join(f"{typ} %x{i}" for i in range(arity))
    head = f"define internal {result_type} {symbol}{module.suffix}({parameters}) {attributes} {{"
    return "\n".join([head, "entry:", *body.lines, f"  ret {result_type} {text}", "}", ""])
