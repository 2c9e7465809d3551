"""A static archive of one object file, in the format of GNU ar."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from codegen.target import Target


def archive(object_code: bytes, symbols: Sequence[str], target: Target) -> bytes:
    """`NAME.a` as bytes: the index of the symbols, then the object. No date, owner or path is in it.

    Raises ValueError for a Mach-O target, whose linker wants an index of its own.
    """
    if "apple" in target.triple:
        raise ValueError(f"no static archive for {target.triple}: export 'o' and run libtool -static on the object")
    names = b"".join(symbol.encode() + b"\0" for symbol in symbols)
    index_size = 4 + 4 * len(symbols) + len(names)
    first_member = 8 + 60 + index_size + index_size % 2
    # A name of more than 15 characters goes into a table of its own; a short fixed one does as well.
    index = struct.pack(f">{1 + len(symbols)}I", len(symbols), *[first_member] * len(symbols)) + names
    return b"!<arch>\n" + _member("/", index) + _member("kernel.o/", object_code)


def _member(name: str, content: bytes) -> bytes:
    head = f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n"
    return head.encode() + content + (b"\n" if len(content) % 2 else b"")
