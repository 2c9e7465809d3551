"""Modules of our own that are loaded when they are first used, so that `import hybrid` stays quick.

Printing, checking and the tape are half of the package, and a program that loads a kernel from the cache and calls it
needs none of them.
"""

from __future__ import annotations

import importlib
from typing import Any


class Deferred:
    """Stands for a module; the first attribute that is asked for imports it."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(importlib.import_module(self._name), attribute)
