"""What computes: processor, vector width, threads, and the versions of what matters."""

from __future__ import annotations

import platform
import re
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from codegen.target import NAMED, host
from codegen.threads import default_threads
from hybrid import __version__

PACKAGES = ("numpy", "sympy", "llvmlite", "scipy")


@dataclass(frozen=True)
class Machine:
    """This machine and installation; `lanes` is float64 numbers in one vector register."""

    version: str
    python: str
    system: str
    processor: str
    cpu: str
    triple: str
    lanes: int
    fma: bool
    threads: int
    targets: tuple[str, ...]
    packages: dict[str, str]

    @property
    def summary(self) -> str:
        """One line."""
        threads = f"{self.threads} thread{'s' * (self.threads > 1)}"
        return f"Python {self.python}   {self.processor}, {threads}, {self.lanes} numbers per vector"

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def machine() -> Machine:
    target = host()
    return Machine(
        version=__version__,
        python=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}",
        processor=processor(),
        cpu=target.cpu,
        triple=target.triple,
        lanes=target.width,
        fma=target.fma,
        threads=default_threads(),
        targets=("host", *NAMED),
        packages={name: version for name in PACKAGES if (version := installed(name))},
    )


def processor() -> str:
    """The processor's name as the system gives it."""
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1].strip() if found else platform.processor() or platform.machine()


def installed(package: str) -> str:
    """The version of an installed package, or nothing."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
