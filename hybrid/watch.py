"""A time budget for simplification: a bar on a terminal, and an interrupt that keeps what was reached.

Passes hand their loops to `over`. There, between two nodes, the budget is looked at and an interrupt from the keyboard
is honoured, so that a graph is never left half changed.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from types import FrameType, TracebackType
from typing import Any

from hybrid.deferred import Deferred

rich_console = Deferred("rich.console")
rich_progress = Deferred("rich.progress")

VISIBLE_AFTER = 2.0  # seconds before a bar is shown
STRIDE = 512  # nodes between two looks at the clock


class OutOfTime(Exception):
    """The budget is spent, or the user pressed Ctrl-C."""


@dataclass
class Watch:
    """How long to go on. `rounds` (0: the caller decides) and `worthwhile` say how hard to try."""

    rounds: int = 0
    worthwhile: float = 0.98  # a further round is made only if the last one took at least 2 % off

    def over(self, nodes: Sequence[int]) -> Sequence[int] | Iterator[int]:
        """The nodes, one after the other. Raises OutOfTime in between."""
        return nodes

    def round(self, number: int, operations: float) -> None:
        """A round begins, from this many operations."""


UNWATCHED = Watch()


@dataclass
class Budget(Watch, AbstractContextManager["Budget"]):
    """At most `seconds`, from entering on; Ctrl-C ends it early when it is used in the main thread."""

    seconds: float = 1.0
    rounds: int = 1000
    worthwhile: float = 0.9999
    interrupted: bool = False
    started: float = 0.0
    before: float = 0
    title: str = "simplify"
    bar: Any = None
    task: Any = None
    previous: Any = None
    visible: bool = field(default_factory=lambda: sys.stderr.isatty())

    def __enter__(self) -> Budget:
        self.started = time.monotonic()
        if threading.current_thread() is threading.main_thread():
            self.previous = signal.signal(signal.SIGINT, self.interrupt)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.previous is not None:
            signal.signal(signal.SIGINT, self.previous)
        if self.bar is not None:
            self.bar.stop()

    def interrupt(self, number: int, frame: FrameType | None) -> None:
        self.interrupted = True

    def check(self) -> None:
        elapsed = time.monotonic() - self.started
        if self.interrupted or elapsed >= self.seconds:
            raise OutOfTime
        if self.bar is None and self.visible and elapsed > VISIBLE_AFTER:
            self.show()
        if self.bar is not None:
            self.bar.update(self.task, completed=elapsed)

    def show(self) -> None:
        columns = [rich_progress.TextColumn("{task.description}"), rich_progress.BarColumn()]
        console = rich_console.Console(stderr=True)
        self.bar = rich_progress.Progress(*columns, rich_progress.TimeElapsedColumn(), console=console, transient=True)
        self.task = self.bar.add_task(self.title, total=self.seconds)
        self.bar.start()

    def over(self, nodes: Sequence[int]) -> Iterator[int]:
        for start in range(0, len(nodes), STRIDE):
            self.check()
            yield from nodes[start : start + STRIDE]

    def round(self, number: int, operations: float) -> None:
        self.before = self.before or operations
        self.title = f"simplify: {self.before:.0f} → {operations:.0f} operations"
        self.check()
        if self.bar is not None:
            self.bar.update(self.task, description=self.title)


def watch(seconds: float | None) -> AbstractContextManager[Watch]:
    """The budget of `seconds`, or none."""
    return nullcontext(UNWATCHED) if seconds is None else Budget(seconds=seconds)
