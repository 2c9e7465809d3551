"""Relocatable WebAssembly objects, as LLVM writes them: sections, symbols and relocations as plain data.

The format is that of the WebAssembly tool conventions, Linking.md, version 2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

# Kinds of symbols.
FUNCTION, DATA, GLOBAL, SECTION, EVENT, TABLE = range(6)
_UNDEFINED, _EXPLICIT_NAME = 0x10, 0x40
# Relocations that are followed by an addend: addresses of data, offsets in code and in sections.
_WITH_ADDEND = frozenset({3, 4, 5, 8, 9, 11, 14, 15, 16, 17, 21, 22, 23, 25})
_TYPES, _IMPORTS, _FUNCTIONS, _CODE, _DATA = 1, 2, 3, 10, 11


@dataclass(frozen=True)
class Relocation:
    """A place in a function or in data that holds the number of a symbol; `at` counts from its beginning."""

    kind: int
    at: int
    index: int
    addend: int = 0


@dataclass(frozen=True)
class Piece:
    """The body of a function, without its length, or a segment of data."""

    content: bytes
    relocations: tuple[Relocation, ...]
    align: int = 1


@dataclass(frozen=True)
class Symbol:
    """A row of the symbol table. place: the number of the function, segment or global; offset: in data."""

    kind: int
    name: str
    is_defined: bool
    place: int = 0
    offset: int = 0


@dataclass
class WasmObject:
    """What a linker needs of an object. types: encoded function types; signatures: the type of each defined function.

    imported: names of the functions and of the globals that come from elsewhere; defined ones are numbered after them.
    """

    types: list[bytes] = field(default_factory=list)
    imported: dict[int, list[str]] = field(default_factory=lambda: {FUNCTION: [], GLOBAL: []})
    signatures: list[int] = field(default_factory=list)
    functions: list[Piece] = field(default_factory=list)
    segments: list[Piece] = field(default_factory=list)
    symbols: list[Symbol] = field(default_factory=list)


class Reader:
    """Numbers and names of a binary module, one after the other."""

    def __init__(self, content: bytes, at: int = 0, end: int | None = None) -> None:
        self.content, self.at = content, at
        self.end = len(content) if end is None else end

    def byte(self) -> int:
        return self.take(1)[0]

    def take(self, count: int) -> bytes:
        if count > self.end - self.at:
            raise ValueError(f"a WebAssembly object ends early: {count} bytes wanted at {self.at}, {self.end} there")
        self.at += count
        return self.content[self.at - count : self.at]

    def unsigned(self) -> int:
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def signed(self) -> int:
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value - (1 << shift) if byte & 0x40 else value

    def name(self) -> str:
        return self.take(self.unsigned()).decode()

    def rows(self, read: Callable[[Reader], None]) -> None:
        for _ in range(self.unsigned()):
            read(self)


def unsigned(value: int) -> bytes:
    """LEB128 of a number that is not negative."""
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def signed(value: int) -> bytes:
    """LEB128 of a number in two's complement."""
    found = bytearray()
    while not -64 <= value <= 63:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value & 0x7F])


def read_object(code: bytes) -> WasmObject:
    """Raises ValueError for what is no relocatable object of version 1, or holds what our code never does."""
    if code[:8] != b"\0asm\x01\0\0\0":
        raise ValueError(f"an object that begins with {code[:8]!r} is not WebAssembly")
    sections: list[tuple[int, int, int]] = []
    reader = Reader(code, 8)
    while reader.at < reader.end:
        kind, size = reader.byte(), reader.unsigned()
        sections.append((kind, reader.at, reader.at + size))
        reader.take(size)
    made = WasmObject()
    aligns: list[int] = []
    relocations: dict[int, list[Relocation]] = {}
    for kind, start, end in sections:
        inside = Reader(code, start, end)
        if kind == _TYPES:
            inside.rows(lambda reader: made.types.append(_function_type(reader)))
        elif kind == _IMPORTS:
            inside.rows(lambda reader: _import(reader, made))
        elif kind == _FUNCTIONS:
            inside.rows(lambda reader: made.signatures.append(reader.unsigned()))
        elif kind == 0:
            name = inside.name()
            if name == "linking":
                _linking(inside, made, aligns)
            elif name.startswith("reloc."):
                target = sections[inside.unsigned()]
                if target[0]:  # of code or data, not of a custom section
                    relocations[target[0]] = _relocations(inside)
    for kind, start, end in sections:
        inside = Reader(code, start, end)
        if kind == _CODE:
            made.functions = _pieces(inside, start, relocations.get(kind, []), _code_range, None)
        elif kind == _DATA:
            made.segments = _pieces(inside, start, relocations.get(kind, []), _data_range, aligns)
    return made


def _function_type(reader: Reader) -> bytes:
    start = reader.at
    if reader.byte() != 0x60:
        raise ValueError("a WebAssembly object has a type that is no function")
    reader.take(reader.unsigned())
    reader.take(reader.unsigned())
    return reader.content[start : reader.at]


def _import(reader: Reader, made: WasmObject) -> None:
    reader.name()
    name, kind = reader.name(), reader.byte()
    if kind == 0:
        reader.unsigned()
        made.imported[FUNCTION].append(name)
    elif kind == 3:  # a global: type, and whether it changes
        reader.take(2)
        made.imported[GLOBAL].append(name)
    else:  # a table, after its element type, or a memory
        reader.take(kind == 1)
        flags = reader.byte()
        for _ in range(1 + (flags & 1)):
            reader.unsigned()


def _linking(reader: Reader, made: WasmObject, aligns: list[int]) -> None:
    if (version := reader.unsigned()) != 2:
        raise ValueError(f"a WebAssembly object has linking data of version {version}, not 2")
    while reader.at < reader.end:
        kind, size = reader.byte(), reader.unsigned()
        inside = Reader(reader.content, reader.at, reader.at + size)
        reader.take(size)
        if kind == 5:  # segments: name, alignment, flags
            inside.rows(lambda row: aligns.append(_alignment(row)))
        elif kind == 8:
            inside.rows(lambda row: made.symbols.append(_symbol(row, made)))
        elif kind == 6:
            raise ValueError("a WebAssembly object has functions that run at start")


def _alignment(reader: Reader) -> int:
    """Of a segment of data: after its name, before its flags."""
    reader.name()
    power = reader.unsigned()
    reader.unsigned()
    return 1 << power


def _symbol(reader: Reader, made: WasmObject) -> Symbol:
    kind, flags = reader.byte(), reader.unsigned()
    is_defined = not flags & _UNDEFINED
    if kind == DATA:
        name = reader.name()
        if not is_defined:
            return Symbol(kind, name, False)
        place, offset, _ = reader.unsigned(), reader.unsigned(), reader.unsigned()
        return Symbol(kind, name, True, place, offset)
    place = reader.unsigned()
    if kind == SECTION:
        return Symbol(kind, "", True, place)
    if is_defined or flags & _EXPLICIT_NAME:
        return Symbol(kind, reader.name(), is_defined, place)
    return Symbol(kind, made.imported[kind][place] if kind in made.imported else "", False, place)


def _relocations(reader: Reader) -> list[Relocation]:
    found = []
    for _ in range(reader.unsigned()):
        kind, at, index = reader.byte(), reader.unsigned(), reader.unsigned()
        found.append(Relocation(kind, at, index, reader.signed() if kind in _WITH_ADDEND else 0))
    return sorted(found, key=lambda relocation: relocation.at)


def _code_range(reader: Reader) -> int:
    return reader.unsigned()


def _data_range(reader: Reader) -> int:
    if reader.unsigned():
        raise ValueError("a WebAssembly object has a segment of data without a place of its own")
    if reader.byte() != 0x41:
        raise ValueError("a WebAssembly object has a segment whose place is no constant")
    reader.signed()
    reader.byte()
    return reader.unsigned()


def _pieces(
    reader: Reader,
    start: int,
    relocations: list[Relocation],
    size_of: Callable[[Reader], int],
    aligns: list[int] | None,
) -> list[Piece]:
    found: list[Piece] = []
    waiting = iter([*relocations, Relocation(0, 1 << 62, 0)])
    following = next(waiting)
    for number in range(reader.unsigned()):
        size = size_of(reader)
        first = reader.at - start
        content = reader.take(size)
        own = []
        while following.at < first + size:
            own.append(Relocation(following.kind, following.at - first, following.index, following.addend))
            following = next(waiting)
        found.append(Piece(content, tuple(own), aligns[number] if aligns else 1))
    return found
