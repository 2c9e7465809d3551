"""The tour: two real functions taken through every stage, shown in a terminal.

examples.py   what the two are: functions, points, the kernel
race.py       the kernel beside NumPy on the same outputs, in one run
screen.py     how it looks
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codegen.export import Interface, LinkerNotFound, write_whole
from hybrid.kernel import Kernel
from hybrid.tour.examples import EXAMPLES, Example, Subject
from hybrid.tour.race import Race, race
from hybrid.tour.screen import Screen

__all__ = ["Settings", "tour"]

FORMATS = ("so", "h", "o", "ll")
QUICK = 10  # --quick: this many times fewer points


@dataclass(frozen=True)
class Settings:
    """points: contracts of the first example (the second takes a tenth); output: folder for the files, None for a new
    one in the current folder or, where that cannot be written to, in the folder for temporary files."""

    points: int = 1_000_000
    output: Path | None = None
    quick: bool = False


def tour(screen: Screen, settings: Settings) -> dict[str, Any]:
    """Take both examples through all stages, showing each as it is done; returns the figures as plain data."""
    start = time.perf_counter()
    folder = fresh_folder() if settings.output is None else settings.output
    folder.mkdir(parents=True, exist_ok=True)
    points = settings.points // QUICK if settings.quick else settings.points
    screen.opening()
    figures = [visit(example, screen, max(1, points // example.fewer), folder) for example in EXAMPLES]
    seconds = time.perf_counter() - start
    screen.closing(folder, seconds)
    return {"examples": figures, "folder": str(folder), "seconds": seconds}


def visit(example: Example, screen: Screen, points: int, folder: Path) -> dict[str, Any]:
    """One example, all stages."""
    screen.title(example)
    subject = example.load()
    screen.function(subject)
    kernel, compiling = timed(subject.compile)
    screen.derivatives(subject, kernel(*example.at)[-1])
    screen.operations(subject, kernel)
    screen.compiling({"differentiate": subject.seconds, **stages(kernel)}, subject.seconds + compiling)
    inputs = subject.inputs(points)
    with screen.waiting(f"comparing with NumPy on {points:,} {example.unit}"):
        outcome = race(kernel, subject.expressions(), subject.symbols(), inputs)
    screen.race(example, outcome)
    screen.certificate(kernel)
    files, problem = export(kernel, subject, folder)
    screen.files(files, problem, Interface(kernel.program).prototypes()["_batch"])
    return figures(subject, kernel, outcome, files)


def stages(kernel: Kernel) -> dict[str, float]:
    """Seconds by stage; says so where the native code came from the cache on disk."""
    kept = "generate" not in kernel.compiled.seconds
    return {f"{name} (kept)" if kept and name == "native code" else name: s for name, s in kernel.seconds.items()}


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    start = time.perf_counter()
    return work(), time.perf_counter() - start


def export(kernel: Kernel, subject: Subject, folder: Path) -> tuple[list[Path], str]:
    """The files written, and what was missing to write all of them."""
    problem = ""
    try:
        kernel.export(folder, formats=FORMATS)
    except LinkerNotFound as error:  # all other files are written
        problem = str(error)
    for function in subject.simplified:
        write_whole(folder / f"{function.name}.tex", f"{function.latex(style='align')}\n".encode())
    names = [f"{kernel.name}.{suffix}" for suffix in ("so", "dylib", "dll", "h", "o", "ll")]
    names += [f"{function.name}.tex" for function in subject.functions]
    return [folder / name for name in names if (folder / name).is_file()], problem


def fresh_folder() -> Path:
    """A new folder `hybrid-tour`, `hybrid-tour-2`, … here; in the folder for temporary files if here is read-only."""
    number = 1
    while True:
        folder = Path.cwd() / (f"hybrid-tour-{number}" if number > 1 else "hybrid-tour")
        try:
            folder.mkdir()
            return folder
        except FileExistsError:
            number += 1
        except OSError:
            return Path(tempfile.mkdtemp(prefix="hybrid-tour-"))


def figures(subject: Subject, kernel: Kernel, outcome: Race, files: list[Path]) -> dict[str, Any]:
    certificate = kernel.certificate
    return {
        "example": subject.example.file,
        "operations": {"before": kernel.operations_before, "after": kernel.operations},
        "seconds": {"differentiate": subject.seconds, **stages(kernel)},
        "race": [
            {
                "name": r.name,
                "points": r.points,
                "ns_per_point": r.nanoseconds,
                "points_per_second": 1e9 / r.nanoseconds,
            }
            for r in outcome.results
        ],
        "difference_from_numpy": outcome.difference,
        "certificate": None if certificate is None else certificate.to_dict(),
        "files": [str(path) for path in files],
    }
