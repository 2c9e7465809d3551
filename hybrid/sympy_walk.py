"""Walks over SymPy expressions that do not recurse, and by identity: equality of deep trees recurses too."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def postorder(root: Any) -> Iterator[Any]:
    """Every distinct object in an expression, arguments before what uses them."""
    stack, seen = [(root, False)], set[int]()
    while stack:
        node, ready = stack.pop()
        if ready:
            yield node
        elif id(node) not in seen:
            seen.add(id(node))
            stack.append((node, True))
            stack.extend((arg, False) for arg in getattr(node, "args", ()))


def contains(expression: Any, part: Any) -> bool:
    """Whether an object occurs in an expression."""
    return any(node is part for node in postorder(expression))


def describe(expression: Any, limit: int = 40) -> str:
    """The expression as text if it is small, else its class and that it is large: printing SymPy trees recurses."""
    stack, count = [expression], 0
    while stack:
        count += 1
        if count > limit:
            return f"a large {type(expression).__name__} expression"
        stack.extend(getattr(stack.pop(), "args", ()))
    return str(expression)
