"""Kernels as PTX, assembled: `python tests/bench/bench_ptx.py`. Needs `ptxas` of the CUDA toolkit on the path, no GPU.

One line per function, number type and architecture: operations, registers of a thread, bytes of stack, bytes that are
spilled and read back, and of the kernel's machine code and tables; seconds that making the PTX and assembling it took.
With 64 registers a thread, a multiprocessor has half as many threads as it can, with 128 a quarter. `--arch sm_90`.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from bench_panda import DYNAMICS, PANDA

import hybrid as hy
from hybrid.loading import examples, import_file

MARKET = import_file(examples() / "black_scholes.py")


def black_scholes() -> Any:
    return hy.compile(MARKET.call, MARKET.call.gradient(), MARKET.call.hessian(), name="black_scholes")


def panda_kinematics() -> Any:
    return hy.compile(PANDA.pose, PANDA.pose.jacobian(), name="panda_jacobian")


def panda_dynamics() -> Any:
    return hy.compile(DYNAMICS.tau, name="panda_dynamics")


CASES: dict[str, Callable[[], Any]] = {
    case.__name__: case for case in (black_scholes, panda_kinematics, panda_dynamics)
}


def assembled(assembler: str, path: Path, arch: str) -> dict[str, int | float]:
    """What `ptxas -v` says of the kernel, and how long it took."""
    start = time.perf_counter()
    command = [assembler, "-v", "-arch", arch, str(path), "-o", str(path.with_suffix(".cubin"))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds = time.perf_counter() - start
    said = done.stderr + done.stdout
    kernel = said[said.index("Compiling entry function") :]
    found = {"seconds": seconds}
    patterns = {
        "registers": r"Used (\d+) registers",
        "stack": r"(\d+) bytes stack frame",
        "stores": r"(\d+) bytes spill stores",
        "loads": r"(\d+) bytes spill loads",
    }
    for word, pattern in patterns.items():
        match = re.search(pattern, kernel)
        if match is None:
            raise SystemExit(f"ptxas says nothing of {word}: {said}")
        found[word] = int(match[1])
    return found | {"bytes": path.with_suffix(".cubin").stat().st_size}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arch", nargs="*", default=["sm_75", "sm_80", "sm_90", "sm_120"])
    arguments = parser.parse_args()
    assembler = shutil.which("ptxas")
    if assembler is None:
        raise SystemExit("no ptxas on the path; it comes with the CUDA toolkit")
    heads = ("registers", "stack", "spill st", "spill ld", "bytes", "PTX s", "ptxas s")
    print(f"{'function':18} {'type':8} {'arch':7} {'ops':>6} " + " ".join(f"{head:>9}" for head in heads))
    for name, make in CASES.items():
        kernel = make()
        for dtype in (np.float64, np.float32):
            for arch in arguments.arch:
                with tempfile.TemporaryDirectory() as folder:
                    start = time.perf_counter()
                    path = kernel.export(folder, formats=["ptx"], target=f"nvptx-{arch}", dtype=dtype)[0]
                    made = time.perf_counter() - start
                    found = assembled(assembler, path, arch)
                numbers = [found[word] for word in ("registers", "stack", "stores", "loads", "bytes")]
                row = " ".join(f"{number:9}" for number in numbers)
                case = f"{name:18} {np.dtype(dtype).name:8} {arch:7} {kernel.program.operations:6}"
                print(f"{case} {row} {made:9.2f} {found['seconds']:9.2f}", flush=True)


if __name__ == "__main__":
    main()
