"""A relocatable WebAssembly object → a module, without any linker: all that is needed is in that one object.

Only what the exported functions reach is kept. Memory begins with the stack, which grows down and so traps where it is
too small; constant data follows, and then free memory, from the exported global `__heap_base` on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from codegen.export.wasm_object import (
    DATA,
    FUNCTION,
    GLOBAL,
    Piece,
    Relocation,
    WasmObject,
    read_object,
    signed,
    unsigned,
)

PAGE = 1 << 16
_I32, _FUNCTION_REFERENCE, _CONSTANT, _END = 0x7F, 0x70, 0x41, 0x0B
# Relocations by what they ask for, and how it is written: in LEB128, signed or not, or in four bytes.
_FUNCTION_INDEX, _TYPE_INDEX, _GLOBAL_INDEX, _TABLE_NUMBER = (0, 26), (6,), (7, 13), (20,)
_TABLE_INDEX, _ADDRESS = (1, 2, 12), (3, 4, 5, 11)
_SIGNED, _FIXED = frozenset({1, 4, 11, 12}), frozenset({2, 5, 13, 26})


def link(object_code: bytes, exports: Iterable[str], stack: int) -> bytes:
    """A module that exports the functions named, `memory` and `__heap_base`, and imports nothing.

    stack: bytes for the stack, rounded up to 16. Raises ValueError for a function that the object lacks, or calls and
    does not define, and for relocations that code for one memory of 32-bit addresses has none of.
    """
    return _Linker(read_object(object_code), -stack % 16 + stack).module(list(exports))


@dataclass
class _Linker:
    source: WasmObject
    stack: int
    # New numbers, in the order in which things are first reached.
    functions: dict[int, int] = field(default_factory=dict)
    segments: dict[int, int] = field(default_factory=dict)  # addresses
    table: dict[int, int] = field(default_factory=dict)
    types: dict[int, int] = field(default_factory=dict)
    uses_table: bool = False
    # The values of globals, all 32-bit integers; the first is the stack pointer, the only one that changes.
    globals: list[int] = field(default_factory=list)
    named: dict[tuple[int, int], int] = field(default_factory=dict)

    def module(self, exports: Sequence[str]) -> bytes:
        by_name = {s.name: s.place for s in self.source.symbols if s.kind == FUNCTION and s.is_defined}
        for name in exports:
            if name not in by_name:
                raise ValueError(f"a WebAssembly object has no function {name!r} to export")
        self.globals.append(self.stack)
        end = self._reach([by_name[name] for name in exports])
        bodies = [self._relocated(self._function(number)) for number in self.functions]
        heap = -(-end // 16) * 16
        self.globals.append(heap)
        exported = [_named(name) + b"\0" + unsigned(self.functions[by_name[name]]) for name in exports]
        exported += [_named("memory") + b"\x02\0", _named("__heap_base") + b"\x03" + unsigned(len(self.globals) - 1)]
        data = self._data()
        sections = [
            (1, _vector(self.source.types[number] for number in self.types)),
            (3, _vector(unsigned(self.types[self._signature(number)]) for number in self.functions)),
            (4, self._table_section()),
            (5, _vector([b"\0" + unsigned(-(-heap // PAGE))])),
            (6, _vector(self._global(k) for k in range(len(self.globals)))),
            (7, _vector(exported)),
            (9, self._elements()),
            (10, _vector(unsigned(len(body)) + body for body in bodies)),
            (11, _vector([b"\0" + _constant(self.stack) + unsigned(len(data)) + data]) if data else b""),
        ]
        made = [bytes([kind]) + unsigned(len(content)) + content for kind, content in sections if content]
        return b"\0asm\x01\0\0\0" + b"".join(made)

    # --- what is reached ----------------------------------------------------------------------------------------------
    def _reach(self, roots: Sequence[int]) -> int:
        """Number everything that the functions need; returns where data ends."""
        end = self.stack
        waiting: list[tuple[int, int]] = [(FUNCTION, number) for number in reversed(roots)]
        seen: set[tuple[int, int]] = set()
        while waiting:
            item = waiting.pop()
            if item in seen:
                continue
            seen.add(item)
            kind, number = item
            if kind == FUNCTION:
                piece = self._function(number)
                self.functions[number] = len(self.functions)
                self.types.setdefault(self._signature(number), len(self.types))
            else:
                piece = self.source.segments[number]
                end = -(-end // piece.align) * piece.align
                self.segments[number] = end
                end += len(piece.content)
            waiting += reversed([place for relocation in piece.relocations for place in self._needs(relocation)])
        return end

    def _needs(self, relocation: Relocation) -> list[tuple[int, int]]:
        if relocation.kind in _TYPE_INDEX:
            self.types.setdefault(relocation.index, len(self.types))
            return []
        if relocation.kind in _TABLE_NUMBER:
            self.uses_table = True
            return []
        symbol = self.source.symbols[relocation.index]
        if symbol.kind == GLOBAL:
            return []
        if not symbol.is_defined:
            raise ValueError(f"a WebAssembly object needs {symbol.name!r}, which it does not define")
        if symbol.kind == FUNCTION and relocation.kind in (*_TABLE_INDEX, *_GLOBAL_INDEX):
            self.table.setdefault(symbol.place, 1 + len(self.table))  # 0 is no function
        return [(symbol.kind, symbol.place)]

    def _function(self, number: int) -> Piece:
        return self.source.functions[number - len(self.source.imported[FUNCTION])]

    def _signature(self, number: int) -> int:
        return self.source.signatures[number - len(self.source.imported[FUNCTION])]

    # --- relocations --------------------------------------------------------------------------------------------------
    def _relocated(self, piece: Piece) -> bytes:
        """The content with all numbers written, as short as they are."""
        parts, at = [], 0
        for relocation in piece.relocations:
            value = self._value(relocation)
            parts.append(piece.content[at : relocation.at])
            if relocation.kind in _FIXED:
                at = relocation.at + 4
                parts.append((value & 0xFFFFFFFF).to_bytes(4, "little"))
            else:
                at = relocation.at + 5  # objects leave room for any number
                parts.append(signed(value) if relocation.kind in _SIGNED else unsigned(value))
        return b"".join([*parts, piece.content[at:]])

    def _value(self, relocation: Relocation) -> int:
        kind, index = relocation.kind, relocation.index
        if kind in _TYPE_INDEX:
            return self.types[index]
        if kind in _TABLE_NUMBER:
            return 0
        symbol = self.source.symbols[index]
        if kind in _FUNCTION_INDEX:
            return self.functions[symbol.place]
        if kind in _TABLE_INDEX:
            return self.table[symbol.place]
        if kind in _ADDRESS and symbol.kind == DATA:
            return self.segments[symbol.place] + symbol.offset + relocation.addend
        if kind in _GLOBAL_INDEX:
            return self._global_number(index)
        raise ValueError(f"a WebAssembly object has a relocation of kind {kind}, which code for this target has not")

    def _global_number(self, index: int) -> int:
        """The global that a symbol stands for: the stack pointer, or a constant."""
        symbol = self.source.symbols[index]
        name = symbol.name
        if symbol.kind == GLOBAL and name == "__stack_pointer":
            return 0
        if symbol.kind == GLOBAL and name not in ("__memory_base", "__table_base"):
            raise ValueError(f"a WebAssembly object needs the global {name!r}, which nothing defines")
        key = (symbol.kind, index)
        if key not in self.named:
            # Code that may lie anywhere adds these bases; the module lies at 0.
            address = 0
            if symbol.kind == DATA:
                address = self.segments[symbol.place] + symbol.offset
            elif symbol.kind == FUNCTION:
                address = self.table[symbol.place]
            self.named[key] = len(self.globals)
            self.globals.append(address)
        return self.named[key]

    # --- sections -----------------------------------------------------------------------------------------------------
    def _data(self) -> bytes:
        content = bytearray()
        for number, address in self.segments.items():
            content += bytes(address - self.stack - len(content))
            piece = self.source.segments[number]
            if any(relocation.kind not in _FIXED for relocation in piece.relocations):
                raise ValueError("a WebAssembly object has data with numbers of variable length")
            content += self._relocated(piece)
        return bytes(content).rstrip(b"\0")  # memory is zero where nothing is put

    def _global(self, number: int) -> bytes:
        return bytes([_I32, number == 0]) + _constant(self.globals[number])

    def _table_section(self) -> bytes:
        if not self.uses_table:
            return b""
        size = unsigned(1 + len(self.table))
        return _vector([bytes([_FUNCTION_REFERENCE, 1]) + size + size])

    def _elements(self) -> bytes:
        if not (self.uses_table and self.table):
            return b""
        return _vector([b"\0" + _constant(1) + _vector(unsigned(self.functions[number]) for number in self.table)])


def _constant(value: int) -> bytes:
    return bytes([_CONSTANT]) + signed(value) + bytes([_END])


def _vector(items: Iterable[bytes]) -> bytes:
    rows = list(items)
    return unsigned(len(rows)) + b"".join(rows)


def _named(name: str) -> bytes:
    encoded = name.encode()
    return unsigned(len(encoded)) + encoded
