"""What an object file needs from elsewhere: the undefined symbols of ELF, COFF, Mach-O and WebAssembly objects."""

from __future__ import annotations

import struct
from collections.abc import Iterator

# Symbols that linkers define themselves.
LINKER = frozenset({"_GLOBAL_OFFSET_TABLE_", "__stack_pointer", "__linear_memory", "__indirect_function_table"})


def undefined(code: bytes) -> tuple[str, ...]:
    """Names of the functions and data that an object file refers to and does not define, sorted, as C spells them.

    Raises ValueError for a file of another format.
    """
    if code.startswith(b"\x7fELF\x02\x01"):
        found = _elf(code)
    elif code.startswith(b"\xcf\xfa\xed\xfe"):
        found = (name.removeprefix("_") for name in _mach_o(code))
    elif code.startswith(b"\0asm"):
        found = _wasm(code)
    elif code[:2] in (b"\x64\x86", b"\x64\xaa"):
        found = _coff(code)
    else:
        raise ValueError(f"an object file that begins with {code[:4]!r} is of no known format")
    return tuple(sorted(set(found) - LINKER))


def _text(code: bytes, start: int) -> str:
    return code[start : code.index(b"\0", start)].decode()


def _elf(code: bytes) -> Iterator[str]:
    (headers,) = struct.unpack_from("<Q", code, 0x28)
    size, count = struct.unpack_from("<HH", code, 0x3A)
    sections = [struct.unpack_from("<IIQQQQIIQQ", code, headers + size * k) for k in range(count)]
    for section in sections:
        if section[1] != 2:  # a symbol table
            continue
        strings = sections[section[6]][4]
        for at in range(section[4], section[4] + section[5], 24):
            name, info, _, index = struct.unpack_from("<IBBH", code, at)
            if index == 0 and name and info >> 4:
                yield _text(code, strings + name)


def _coff(code: bytes) -> Iterator[str]:
    start, count = struct.unpack_from("<II", code, 8)
    strings = start + 18 * count
    k = 0
    while k < count:
        at = start + 18 * k
        zeros, place = struct.unpack_from("<II", code, at)
        value, section, _, kind, more = struct.unpack_from("<IhHBB", code, at + 8)
        if section == 0 and value == 0 and kind == 2:
            yield _text(code, strings + place) if zeros == 0 else code[at : at + 8].rstrip(b"\0").decode()
        k += 1 + more


def _mach_o(code: bytes) -> Iterator[str]:
    (commands,) = struct.unpack_from("<I", code, 16)
    at = 32
    for _ in range(commands):
        command, size = struct.unpack_from("<II", code, at)
        if command == 2:  # a symbol table
            symbols, count, strings, _ = struct.unpack_from("<IIII", code, at + 8)
            for k in range(count):
                name, kind, _, _, value = struct.unpack_from("<IBBHQ", code, symbols + 16 * k)
                if kind & 0x0F == 1 and value == 0:
                    yield _text(code, strings + name)
        at += size


def _wasm(code: bytes) -> Iterator[str]:
    at = 8
    while at < len(code):
        section = code[at]
        size, at = _leb(code, at + 1)
        if section == 2:
            yield from _wasm_imports(code, at)
        at += size


def _wasm_imports(code: bytes, at: int) -> Iterator[str]:
    count, at = _leb(code, at)
    for _ in range(count):
        length, at = _leb(code, at)
        at += length  # of the module
        length, at = _leb(code, at)
        name, kind = code[at : at + length].decode(), code[at + length]
        at += length + 1
        if kind == 0:  # a function
            yield name
            _, at = _leb(code, at)
        elif kind == 3:  # a global
            at += 2
        else:  # a table, after its element type, or a memory
            limits, at = _leb(code, at + (kind == 1))
            for _ in range(1 + (limits & 1)):
                _, at = _leb(code, at)


def _leb(code: bytes, at: int) -> tuple[int, int]:
    """An unsigned LEB128 number, and where it ends."""
    value = shift = 0
    while True:
        byte = code[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at
