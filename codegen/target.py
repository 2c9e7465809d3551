"""Targets: triple, CPU, features and vector width. The only module that initialises LLVM."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import llvmlite.binding as llvm

# Outputs of one call larger than this are written around the cache when the host's own cache size is unknown.
DEFAULT_CACHE = 16 << 20

# Vector width of float64, by the first feature present; the widest registers come first.
_WIDTHS = (("avx512f", 8), ("avx", 4), ("sse2", 2), ("neon", 2), ("simd128", 2))

# Number types to compute in, and their bytes.
BYTES = {"float64": 8, "float32": 4}


@dataclass(frozen=True)
class Target:
    """A machine to generate code for.

    triple, cpu, features: LLVM's names ("x86_64-unknown-linux-gnu", "znver3", "+avx2,+fma").
    width: lanes of one vector, each a number of the type `element`, "float64" or "float32".
    fma: the machine has a fused multiply-add instruction.
    cache: bytes of last-level cache; a call with more output than this uses streaming stores.
    """

    triple: str
    cpu: str = ""
    features: str = ""
    width: int = 1
    fma: bool = False
    cache: int = DEFAULT_CACHE
    element: str = "float64"

    def __post_init__(self) -> None:
        if self.element not in BYTES:
            raise ValueError(f"target element must be one of {', '.join(BYTES)}, got {self.element!r}")
        if self.width * self.bytes not in (8, 16, 32, 64) and not (self.is_gpu and self.width == 1):
            widths = "1, 2, 4 or 8" if self.element == "float64" else "2, 4, 8 or 16"
            raise ValueError(f"target width must be {widths} {self.element} lanes, got {self.width}")
        if not re.fullmatch(r"[\w.-]+", self.triple):
            raise ValueError(f"target triple {self.triple!r} is not of the form arch-vendor-system")

    @property
    def arch(self) -> str:
        """The first part of the triple: "x86_64", "aarch64", "wasm32" …"""
        return self.triple.split("-", 1)[0]

    @property
    def is_x86(self) -> bool:
        return self.arch in ("x86_64", "i386", "i686")

    @property
    def is_aarch64(self) -> bool:
        return self.arch in ("aarch64", "arm64")

    @property
    def is_gpu(self) -> bool:
        """Whether it runs as many threads of one point each, and has kernels instead of functions that callers call."""
        return self.arch in ("nvptx64", "amdgcn")

    @property
    def has_library(self) -> bool:
        """Whether code for it can count on a C library."""
        return not self.is_gpu and not self.arch.startswith("wasm")

    @property
    def rounds(self) -> bool:
        """Whether it rounds to whole numbers by an instruction: x86 since SSE4.1; the C library is slow."""
        old = self.is_x86 and self.cpu in ("", "generic", "x86-64") and self.bytes * self.width <= 16
        return not old or "+sse4.1" in self.features

    @property
    def avx512(self) -> bool:
        """Whether vectors are those of x86's AVX-512."""
        return self.is_x86 and self.bytes * self.width == 64

    @property
    def word(self) -> str:
        """LLVM's type of a size in memory: C's size_t."""
        return "i32" if self.arch in ("wasm32", "i386", "i686") else "i64"

    @property
    def vector(self) -> str:
        """LLVM's type of one vector; a single lane is a plain number."""
        return f"<{self.width} x {self.scalar}>" if self.width > 1 else self.scalar

    @property
    def scalar(self) -> str:
        """LLVM's type of one lane."""
        return "float" if self.element == "float32" else "double"

    @property
    def bytes(self) -> int:
        """Bytes of one lane."""
        return BYTES[self.element]

    @property
    def line(self) -> int:
        """Numbers in a cache line."""
        return 64 // self.bytes

    def with_element(self, element: str) -> Target:
        """The same machine computing in "float64" or "float32", with vectors of as many bits; a GPU has one number."""
        if element not in BYTES:
            raise ValueError(f"element must be one of {', '.join(BYTES)}, got {element!r}")
        width = self.width if self.is_gpu else self.width * self.bytes // BYTES[element]
        return replace(self, element=element, width=width)

    @property
    def attributes(self) -> str:
        """LLVM function attributes that make the code generator use the whole vector width."""
        if not self.is_x86:
            return ""
        bits = max(128, 8 * self.bytes * self.width)
        return f'"prefer-vector-width"="{bits}" "min-legal-vector-width"="{bits}"'

    def machine(self, *, opt: int = 2) -> llvm.TargetMachine:
        """A fresh LLVM target machine making position-independent code; `opt` 0 to 3 is the code generator's effort."""
        initialise()
        return llvm.Target.from_triple(self.triple).create_target_machine(
            cpu=self.cpu, features=self.features, opt=opt, reloc="pic", codemodel="small"
        )


def _linux(arch: str, cpu: str, width: int, *, fma: bool, features: str = "") -> Target:
    return Target(f"{arch}-unknown-linux-gnu", cpu, features, width, fma)


# Named targets. A name may be given wherever a Target is expected.
NAMED: dict[str, Target] = {
    "x86-64": _linux("x86_64", "x86-64", 2, fma=False),
    "x86-64-v2": _linux("x86_64", "x86-64-v2", 2, fma=False),
    "x86-64-v3": _linux("x86_64", "x86-64-v3", 4, fma=True),
    "x86-64-v4": _linux("x86_64", "x86-64-v4", 8, fma=True),
    "aarch64": _linux("aarch64", "generic", 2, fma=True, features="+neon"),
    "riscv64": _linux("riscv64", "generic-rv64", 1, fma=True, features="+m,+a,+f,+d,+c"),
    "wasm32": Target("wasm32-unknown-unknown", "generic", "+simd128", 2, False),
    "aarch64-windows": Target("aarch64-pc-windows-msvc", "generic", "+neon", 2, True),
    "x86-64-windows": Target("x86_64-pc-windows-msvc", "x86-64-v3", "", 4, True),
    "x86-64-macos": Target("x86_64-apple-macosx11.0.0", "x86-64-v2", "", 2, False),
    "aarch64-macos": Target("arm64-apple-macosx11.0.0", "apple-m1", "", 2, True),
}

# Graphics processors, each thread of which computes one point.
GPUS: dict[str, Target] = {
    f"nvptx-{cpu}": Target("nvptx64-nvidia-cuda", cpu, "", 1, True)
    for cpu in ("sm_70", "sm_75", "sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120")
} | {
    f"amdgpu-{cpu}": Target("amdgcn-amd-amdhsa", cpu, "", 1, True)
    for cpu in ("gfx906", "gfx90a", "gfx942", "gfx1030", "gfx1100")
}


@cache
def initialise() -> None:
    """Register every LLVM target once; llvmlite before 0.45 also needs its core initialised."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    llvm.initialize_native_asmparser()


@cache
def host() -> Target:
    """The machine this process runs on, at its full vector width."""
    initialise()
    flags = dict(llvm.get_host_cpu_features())
    triple = llvm.get_process_triple()
    # Some systems (macOS, containers) report no features: AArch64 always has NEON, x86-64 always SSE2.
    flags.setdefault("neon" if re.match("aarch64|arm64", triple) else "sse2", True)
    width = next((lanes for feature, lanes in _WIDTHS if flags.get(feature)), 1)
    fma = bool(flags.get("fma")) or triple.startswith(("aarch64", "arm64", "riscv64"))
    features = ",".join(f"{'+' if on else '-'}{name}" for name, on in sorted(llvm.get_host_cpu_features().items()))
    return Target(triple, llvm.get_host_cpu_name(), features, width, fma, _last_level_cache())


def find(target: Target | str | None) -> Target:
    """The target meant by a name of `NAMED` or `GPUS`, by "portable", by "host" or None, or by a Target itself."""
    if isinstance(target, Target):
        return target
    if target == "portable":
        return portable()
    if target is None or target in ("host", "native"):
        return host()
    known = NAMED | GPUS
    if target not in known:
        raise ValueError(f"unknown target {target!r}; known: host, portable, {', '.join(known)}, or a codegen.Target")
    return known[target]


def portable() -> Target:
    """The named target for machines like this one: its system and architecture, not what this very processor has.

    Code for it needs what nearly all processors in use have: AVX2 and FMA on x86-64, NEON on AArch64.
    """
    here = host()
    names = {"x86_64": ("x86-64-v3", "x86-64-windows", "x86-64-macos"), "riscv64": ("riscv64",)}
    names["aarch64"] = names["arm64"] = ("aarch64", "aarch64-windows", "aarch64-macos")
    for name in names.get(here.arch, ()):
        if system_of(NAMED[name].triple) == system_of(here.triple):
            return NAMED[name]
    return here


def system_of(triple: str) -> str:
    """The operating system of a triple: "linux", "apple", "windows", "wasm" or "other"."""
    return next((system for system in ("linux", "apple", "windows", "wasm") if system in triple), "other")


def _last_level_cache() -> int:
    """Bytes of the host's largest data cache as Linux reports it, else `DEFAULT_CACHE`."""
    sizes = [0]
    for path in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size"):
        try:
            text = path.read_text().strip()
        except OSError:
            continue
        if match := re.fullmatch(r"(\d+)([KMG]?)", text):
            sizes.append(int(match[1]) << {"": 0, "K": 10, "M": 20, "G": 30}[match[2]])
    return max(sizes) or DEFAULT_CACHE
