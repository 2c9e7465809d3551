"""The derivative sheet: a function, its derivatives, their kernel and how well it was checked, on one HTML page.

The stages: `study.py` derives, compiles and checks; `panel.py` makes the part that runs in the page; `speed.py`
measures; `formulas.py`, `pictures.py` and `expression_graph.py` draw; `page.py` puts it together.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from codegen.export import check_writable, write_whole
from hybrid.function import Function
from hybrid.report.page import page
from hybrid.report.panel import panel
from hybrid.report.speed import measure
from hybrid.report.study import study

__all__ = ["report"]


def report(
    function: Function,
    path: str | os.PathLike[str],
    *,
    wrt: Any = None,
    at: Mapping[str, Any] | None = None,
    ranges: Mapping[str, Any] | None = None,
    speed: bool = True,
) -> Path:
    """Write the sheet of a function; see `Function.report`."""
    target = Path(path)
    check_writable(target)
    found = study(function, wrt)
    live = panel(found, at, ranges)
    timings = measure(found.kernel, live.start) if speed else None
    write_whole(target, page(found, live, timings).encode("utf-8"))
    return target
