"""What a long computation is doing, on a terminal: a line with the stage and the time, after two seconds."""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType
from typing import Any

from hybrid.deferred import Deferred

rich_console = Deferred("rich.console")
rich_progress = Deferred("rich.progress")
rich_errors = Deferred("rich.errors")

VISIBLE_AFTER = 2.0  # seconds


class Stages:
    """Times the stages of a computation, and shows them where someone may be waiting at a terminal.

    `finished(stage)` ends a stage, `next` names the one that begins. The line goes to standard error, and is gone when
    the computation ends, also by an exception or Ctrl-C.
    """

    def __init__(self, title: str, first: str, seconds: dict[str, float]) -> None:
        self.title, self.stage, self.seconds = title, first, seconds
        self.clock = time.perf_counter()
        self.timer: threading.Timer | None = None
        self.bar: Any = None
        self.lock = threading.Lock()
        self.ended = False

    def __enter__(self) -> Stages:
        if sys.stderr is not None and sys.stderr.isatty():
            self.timer = threading.Timer(VISIBLE_AFTER, self._show)
            self.timer.daemon = True
            self.timer.start()
        return self

    def finished(self, stage: str, following: str = "") -> None:
        now = time.perf_counter()
        self.seconds[stage], self.clock = now - self.clock, now
        with self.lock:
            self.stage = following
            if self.bar is not None:
                self.bar.update(self.task, description=self._text())

    def _text(self) -> str:
        return f"{self.title}: {self.stage}"

    def _show(self) -> None:
        with self.lock:
            if self.ended:
                return
            columns = [
                rich_progress.SpinnerColumn(),
                rich_progress.TextColumn("{task.description}", markup=False),
                rich_progress.TimeElapsedColumn(),
            ]
            bar = rich_progress.Progress(*columns, console=rich_console.Console(stderr=True), transient=True)
            self.task = bar.add_task(self._text(), total=None)
            try:
                bar.start()
            except rich_errors.LiveError:  # another line is being shown, by the caller
                return
            self.bar = bar

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.timer is not None:
            self.timer.cancel()
        with self.lock:
            self.ended = True
            if self.bar is not None:
                self.bar.stop()
                self.bar = None
