"""What computes: processor, vector width, threads, tools and cache at hand, and the versions of what matters."""

from __future__ import annotations

import contextlib
import platform
import re
import shutil
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from codegen import cache
from codegen.target import GPUS, NAMED, host
from codegen.threads import default_threads
from hybrid import __version__

PACKAGES = ("numpy", "sympy", "llvmlite", "scipy", "ziglang")
# Programs that exporting and its tests make use of: linkers and compilers, and what runs the results.
TOOLS = (
    "cc",
    "gcc",
    "clang",
    "ld.lld",
    "wasm-ld",
    "ptxas",
    "node",
    "cmake",
    "pkg-config",
    "qemu-aarch64",
    "qemu-riscv64",
)


@dataclass(frozen=True)
class Cache:
    """The folder of compiled objects: how many there are, and their bytes, of which at most `limit` are kept."""

    folder: str
    entries: int
    bytes: int
    limit: int

    @property
    def size(self) -> str:
        return f"{self.bytes / 2**20:.1f} of {self.limit / 2**20:.0f} MiB"


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
    features: tuple[str, ...]
    threads: int
    targets: tuple[str, ...]
    packages: dict[str, str]
    tools: dict[str, str]
    cache: Cache | None

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
        features=tuple(item[1:] for item in target.features.split(",") if item.startswith("+")),
        threads=default_threads(),
        targets=("portable", "host", *NAMED, *GPUS),
        packages={name: version for name in PACKAGES if (version := installed(name))},
        tools={name: path for name in TOOLS if (path := shutil.which(name))},
        cache=cached(),
    )


def cached() -> Cache | None:
    """The cache as it is; None if it is switched off or cannot be used."""
    folder = cache.folder()
    if folder is None:
        return None
    sizes = []
    for path in folder.glob("*.o"):
        with contextlib.suppress(OSError):
            sizes.append(path.stat().st_size)
    return Cache(str(folder), len(sizes), sum(sizes), cache.LIMIT)


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
