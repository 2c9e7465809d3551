"""What is shown while something takes long: nothing to a file, a line with the stage on a terminal, nothing after."""

import io
import sys
import time

import pytest

import hybrid as hy
from hybrid import progress
from hybrid.progress import Stages


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def at_terminal(monkeypatch) -> Terminal:
    """Called in the test itself: pytest takes standard error back between a fixture and its test."""
    monkeypatch.setattr(progress, "VISIBLE_AFTER", 0.01)
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    return terminal


def wait_for(condition) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_terminal_sees_the_stage_and_the_line_goes(monkeypatch) -> None:
    terminal = at_terminal(monkeypatch)
    with Stages("hybrid.compile [f]", "simplify", {}) as stages:
        wait_for(lambda: "hybrid.compile [f]: simplify" in terminal.getvalue())
        stages.finished("simplify", "lower")
        wait_for(lambda: "hybrid.compile [f]: lower" in terminal.getvalue())
        stages.finished("lower")
    assert set(stages.seconds) == {"simplify", "lower"}
    assert terminal.getvalue().endswith(("\x1b[2K", "\x1b[?25h"))


def test_the_line_goes_when_interrupted(monkeypatch) -> None:
    at_terminal(monkeypatch)
    stages = Stages("f", "simplify", {})

    def interrupted() -> None:
        with stages:
            wait_for(lambda: stages.bar is not None)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert stages.bar is None
    assert stages.timer is not None
    stages.timer.join(5)
    assert not stages.timer.is_alive()


def test_one_line_at_a_time(monkeypatch) -> None:
    at_terminal(monkeypatch)
    with Stages("outer", "a", {}) as outer:
        wait_for(lambda: outer.bar is not None)
        with Stages("inner", "b", {}) as inner:
            assert inner.timer is not None
            inner.timer.join(5)


def test_nothing_is_shown_elsewhere(capsys) -> None:
    (x,) = hy.symbols("x,")
    kernel = hy.compile(hy.Function([x], x**2))
    assert {"simplify", "lower", "native code", "verify"} <= set(kernel.seconds)
    assert capsys.readouterr().err == ""
