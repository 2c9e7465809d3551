"""A static archive of one object file, in the format of GNU ar, or of BSD's where the target is Apple's."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from codegen.target import Target

MAGIC = b"!<arch>\n"


def archive(object_code: bytes, symbols: Sequence[str], target: Target) -> bytes:
    """`NAME.a` as bytes: the index of the symbols, then the object. No date, owner or path is in it."""
    if "apple" in target.triple:
        return _bsd(object_code, [f"_{symbol}" for symbol in symbols])
    names = b"".join(symbol.encode() + b"\0" for symbol in symbols)
    index_size = 4 + 4 * len(symbols) + len(names)
    first_member = 8 + 60 + index_size + index_size % 2
    # A name of more than 15 characters goes into a table of its own; a short fixed one does as well.
    index = struct.pack(f">{1 + len(symbols)}I", len(symbols), *[first_member] * len(symbols)) + names
    return MAGIC + _member("/", index) + _member("kernel.o/", object_code)


def _member(name: str, content: bytes) -> bytes:
    head = f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n"
    return head.encode() + content + (b"\n" if len(content) % 2 else b"")


def _bsd(object_code: bytes, symbols: Sequence[str]) -> bytes:
    """Names stand before the contents, which begin at multiples of eight."""
    names, places = b"", []
    for symbol in sorted(symbols):
        places.append(len(names))
        names += symbol.encode() + b"\0"
    names += b"\0" * (-len(names) % 8)
    size = 4 + 8 * len(places) + 4 + len(names)
    size += -size % 8
    first_member = len(MAGIC) + 60 + 20 + size
    index = struct.pack("<I", 8 * len(places)) + b"".join(struct.pack("<II", at, first_member) for at in places)
    index += struct.pack("<I", len(names)) + names
    return MAGIC + _long("__.SYMDEF SORTED", 20, index.ljust(size, b"\0")) + _long("kernel.o", 12, object_code)


def _long(name: str, room: int, content: bytes) -> bytes:
    """A member whose name takes `room` bytes in front of its content, filled up to a multiple of eight."""
    content += b"\0" * (-len(content) % 8)
    return _member(f"#1/{room}", name.encode().ljust(room, b"\0") + content)
