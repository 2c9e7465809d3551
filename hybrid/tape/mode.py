"""Whether operations are recorded, per thread and per asynchronous task; and NumPy without its warnings."""

from __future__ import annotations

import contextvars
from contextlib import ContextDecorator
from types import TracebackType
from typing import Any

import numpy as np

_recording: contextvars.ContextVar[bool] = contextvars.ContextVar("hybrid.tape recording", default=True)
is_grad_enabled = _recording.get

_quiet = contextvars.copy_context()
_quiet.run(np.seterr, all="ignore")
# `quietly().run(f, x)` is f(x) with every floating-point warning off. NumPy keeps its error state in a context
# variable, so entering a prepared context does what `np.errstate` does at a fifth of its cost. A context cannot be
# entered twice; the copy, which is O(1), makes this safe between threads.
quietly = _quiet.copy


class set_grad_enabled(ContextDecorator):
    """Turn recording on or off: at once when called, and until the end of the block when used with `with`.

    Also a decorator: `@set_grad_enabled(False)`.
    """

    def __init__(self, mode: bool) -> None:
        self._mode = bool(mode)
        self._outside = [_recording.get()]
        _recording.set(self._mode)

    def __call__(self, function: Any) -> Any:
        _recording.set(self._outside.pop())  # used as a decorator: nothing changes until the function runs
        mode = self._mode

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with _Recording(mode):
                return function(*args, **kwargs)

        return _like(wrapped, function)

    def __enter__(self) -> None:
        if not self._outside:
            self._outside.append(_recording.get())
        _recording.set(self._mode)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        _recording.set(self._outside.pop())


class _Recording:
    """A block with recording set to `mode`; may be entered again while it is open."""

    def __init__(self, mode: bool) -> None:
        self._mode = mode
        self._outside: list[bool] = []

    def __enter__(self) -> None:
        self._outside.append(_recording.get())
        _recording.set(self._mode)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        _recording.set(self._outside.pop())


def _like(wrapped: Any, function: Any) -> Any:
    for name in ("__module__", "__name__", "__qualname__", "__doc__"):
        setattr(wrapped, name, getattr(function, name, None))
    wrapped.__wrapped__ = function
    return wrapped


class _ModeDecorator(_Recording):
    _default: bool

    def __init__(self) -> None:
        super().__init__(self._default)

    def __new__(cls, function: Any = None) -> Any:
        instance = super().__new__(cls)
        if function is None:
            return instance
        instance.__init__()  # type: ignore[misc]  # `@no_grad` without parentheses
        return instance(function)

    def __call__(self, function: Any) -> Any:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return _like(wrapped, function)


class no_grad(_ModeDecorator):
    """Nothing is recorded in this block, or in the function it decorates; results do not require gradients."""

    _default = False


class enable_grad(_ModeDecorator):
    """Recording is on in this block, or in the function it decorates, even inside `no_grad`."""

    _default = True
