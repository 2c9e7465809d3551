"""A user's Python function noted once, step by step, so that any of its outputs can be run again with any numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from hybrid.definition import PythonSource
from hybrid.errors import UnsupportedError
from hybrid.replay import Algebra, replay_python


class Recording:
    """What a user's function does with its numbers, noted once, to be done again with any numbers.

    Only the steps that the wanted outputs need are done: one output of a long function costs what it alone takes.
    Raises UnsupportedError where the function asks for the truth of a comparison.
    """

    def __init__(self, source: PythonSource, shapes: Sequence[tuple[int, ...]]) -> None:
        self.steps: list[tuple[str, Any]] = []  # an operation and the places of its operands; or a number
        sizes = [math.prod(shape) for shape in shapes]
        self.inputs = sum(sizes)
        places = iter(range(self.inputs))
        given = [[next(places) for _ in range(size)] for size in sizes]
        noted = Algebra(_Noting(self), lambda value: self._note("", value), self._undecided)
        self.outputs = replay_python(source, shapes, given, noted)
        self._needed: tuple[tuple[int, ...], list[int]] = ((), [])

    def _note(self, name: str, operands: Any) -> int:
        self.steps.append((name, operands))
        return self.inputs + len(self.steps) - 1

    def _undecided(self, mask: Any) -> bool:
        raise UnsupportedError("what a comparison gives is not known while a function is noted")

    def run(self, wanted: Sequence[int], values: Sequence[Any], algebra: Algebra) -> list[Any]:
        """Some of the outputs, in C order, from the value of every argument element."""
        roots = tuple(self.outputs[i] for i in wanted)
        if roots != self._needed[0]:
            self._needed = roots, self._reach(roots)
        known = dict(enumerate(values))
        for place in self._needed[1]:
            name, operands = self.steps[place - self.inputs]
            if name:
                known[place] = algebra.operations[name](*[known[operand] for operand in operands])
            else:
                known[place] = algebra.number(operands)
        return [known[root] for root in roots]

    def _reach(self, roots: Sequence[int]) -> list[int]:
        """The places of the steps that some places need, each after what it needs."""
        found = {root for root in roots if root >= self.inputs}
        stack = list(found)
        while stack:
            name, operands = self.steps[stack.pop() - self.inputs]
            new = {operand for operand in operands if operand >= self.inputs} - found if name else set()
            found |= new
            stack += new
        return sorted(found)


class _Noting(dict[str, Callable[..., Any]]):
    """Operations that note what they are asked to do."""

    def __init__(self, recording: Recording) -> None:
        super().__init__()
        self.recording = recording

    def __missing__(self, name: str) -> Callable[..., Any]:
        note = self[name] = lambda *operands: self.recording._note(name, operands)
        return note
