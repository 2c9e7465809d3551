"""How the driver's code finds its way: the description of a program, and the state of its operands during a call."""

from __future__ import annotations

from codegen.layout import PLACE
from codegen.text import Function

# The description, in words: this header, then per operand `FIELDS`, then shapes, then (row offset, bits) per constant.
HEADER = (
    "inputs",
    "operands",
    "block",
    "outputs",
    "cache",
    "places",
    "table",
    "by_row",
    "scalars",
    "constants",
    "first",
)
FIELDS = ("size", "kind", "row", "rank", "shape", "strides", "offsets", "staging")
# Kinds of operands: the body does not touch it; it is one number per point; it is an array per point.
UNUSED, SCALAR, ARRAY = range(3)


class Place:
    """An operand as the driver's code sees it: its fields in the description, its state in the scratch area."""

    def __init__(self, f: Function, number: str) -> None:
        self.f, self.number = f, number
        first = f.let("field", f"add i64 {f.let('record', f'mul i64 {number}, {len(FIELDS)}')}, {len(HEADER)}")
        self.fields = f.at("%description", first, "i64")
        self.state = f.at(header_place(f, "places"), f.let("state", f"mul i64 {number}, {PLACE}"), "i64")

    def field(self, name: str) -> str:
        return self.f.load(name, "i64", self.f.at(self.fields, FIELDS.index(name), "i64"))

    def is_kind(self, kind: int) -> str:
        return self.f.let("is", f"icmp eq i64 {self.field('kind')}, {kind}")

    def row(self) -> str:
        return self.f.at("%scratch", self.field("row"), "i64")

    def get(self, kind: str, index: int, name: str) -> str:
        return self.f.load(name, kind, self.f.at(self.state, index, "i64"))

    def set(self, kind: str, index: int, value: str) -> None:
        self.f.store(kind, value, self.f.at(self.state, index, "i64"))

    def is_set(self, index: int) -> str:
        return self.f.let("is", f"icmp ne i64 {self.get('i64', index, 'flag')}, 0")


# State of an operand: its address and byte step over points; the address of its element offsets, and whether elements
# are contiguous (1 or 0); whether it is streamed, and then where the next line goes, where it comes from, and how many
# numbers are left there.
BASE, STEP, OFFSETS, CONTIGUOUS, STREAMED, NEXT, SOURCE, LEFT = range(PLACE)


def header(f: Function, name: str) -> str:
    """A word of the description's header."""
    return f.load(name, "i64", f.at("%description", HEADER.index(name), "i64"))


def header_place(f: Function, name: str) -> str:
    """The address in the scratch area that a word of the header gives."""
    return f.at("%scratch", header(f, name), "i64")
