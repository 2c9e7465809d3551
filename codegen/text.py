"""Writing LLVM IR as text: one function at a time, with structured loops and branches."""

from __future__ import annotations

import ctypes
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager


def real(number: float, kind: str = "double") -> str:
    """A constant of LLVM's type `kind` in its exact hexadecimal form; a float is written as the double it equals."""
    return "0x" + struct.pack(">d", rounded(number, kind)).hex().upper()


def rounded(number: float, kind: str) -> float:
    """A number as LLVM's type `kind` holds it."""
    return ctypes.c_float(number).value if kind == "float" else number


def alignment(kind: str) -> int:
    """What memory that holds values of LLVM's type `kind` is aligned to at least, in bytes."""
    return 4 if "float" in kind or kind == "i32" else 8


class Function:
    """The text of one function under construction.

    `let` names a value after what it computes; `loop` and `when` open blocks and close them when their `with` ends.
    """

    def __init__(self, header: str) -> None:
        self.lines = [f"{header} {{", "entry:"]
        self.block = "entry"
        self._count = 0
        self._done: list[str] = []

    @property
    def name(self) -> str:
        """The function's own name, without the @."""
        return self.lines[0].split("@", 1)[1].split("(", 1)[0]

    def calls(self) -> set[str]:
        """The names of the functions it calls."""
        return set(re.findall(r"call [^@\n]*@([\w.]+)", "\n".join(self.lines)))

    def declaration(self) -> str:
        """A line that declares it in another module."""
        return self.lines[0].replace("define internal", "declare", 1).removesuffix(" {") + "\n"

    def with_linkage(self, linkage: str) -> str:
        """Its text with another linkage than the internal one it was written with."""
        return str(self).replace("define internal", f"define {linkage}", 1)

    def unique(self, name: str) -> str:
        self._count += 1
        return f"{name}.{self._count}"

    def let(self, name: str, text: str) -> str:
        """Append `%name.N = text` and return `%name.N`."""
        value = f"%{self.unique(name)}"
        self.lines.append(f"  {value} = {text}")
        return value

    def do(self, text: str) -> None:
        """Append an instruction that has no value."""
        self.lines.append(f"  {text}")

    def start(self, label: str) -> None:
        self.lines.append(f"{label}:")
        self.block = label

    def at(self, pointer: str, offset: str | int, unit: str = "i8") -> str:
        """The address `offset` units after `pointer`."""
        if offset in (0, "0"):
            return pointer
        return self.let("at", f"getelementptr {unit}, ptr {pointer}, i64 {offset}")

    def load(self, name: str, kind: str, pointer: str, align: int = 0) -> str:
        return self.let(name, f"load {kind}, ptr {pointer}, align {align or alignment(kind)}")

    def store(self, kind: str, value: str, pointer: str, align: int = 0, suffix: str = "") -> None:
        self.do(f"store {kind} {value}, ptr {pointer}, align {align or alignment(kind)}{suffix}")

    @contextmanager
    def loop(self, name: str, start: str | int, stop: str | int, step: str | int = 1) -> Iterator[str]:
        """`for name in range(start, stop, step)` over i64 with a positive step; yields the counter."""
        head, body, done = self.unique(f"{name}.head"), self.unique(f"{name}.body"), self.unique(f"{name}.done")
        counter, following = f"%{self.unique(name)}", f"%{self.unique(name + '.next')}"
        before = self.block
        self.do(f"br label %{head}")
        self.start(head)
        phi = len(self.lines)
        self.lines.append("")
        more = self.let("more", f"icmp slt i64 {counter}, {stop}")
        self.do(f"br i1 {more}, label %{body}, label %{done}")
        self.start(body)
        self._done.append(done)
        yield counter
        self._done.pop()
        self.do(f"{following} = add i64 {counter}, {step}")
        self.do(f"br label %{head}")
        self.lines[phi] = f"  {counter} = phi i64 [ {start}, %{before} ], [ {following}, %{self.block} ]"
        self.start(done)

    def leave_if(self, condition: str) -> None:
        """Leave the innermost loop if the i1 `condition` holds."""
        on = self.unique("on")
        self.do(f"br i1 {condition}, label %{self._done[-1]}, label %{on}")
        self.start(on)

    @contextmanager
    def when(self, condition: str) -> Iterator[None]:
        """Run the body only if the i1 `condition` holds; values made inside are not visible after it."""
        body, done = self.unique("then"), self.unique("after")
        self.do(f"br i1 {condition}, label %{body}, label %{done}")
        self.start(body)
        yield
        self.do(f"br label %{done}")
        self.start(done)

    @contextmanager
    def early_return(self, condition: str) -> Iterator[None]:
        """Run the body, which must end in `ret`, if `condition` holds; go on after it otherwise."""
        body, done = self.unique("then"), self.unique("after")
        self.do(f"br i1 {condition}, label %{body}, label %{done}")
        self.start(body)
        yield
        self.start(done)

    def __str__(self) -> str:
        return "\n".join([*self.lines, "}", ""])
