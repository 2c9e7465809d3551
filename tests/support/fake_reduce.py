"""Reductions of the text of a kernel, run without a GPU, and the points and rows they are compared on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from fake_cuda import fake_driver
from ptx_cases import expected, same_bits

from codegen import Program


def arrays(program: Program, n: int, element: str, shared: tuple[int, ...] = (), seed: int = 0) -> list[np.ndarray]:
    source = np.random.default_rng(seed)
    return [
        source.normal(size=a.shape if k in shared else (n, *a.shape)).astype(element)
        for k, a in enumerate(program.arguments)
    ]


def rows(program: Program, given: list[np.ndarray], n: int, element: str) -> list[np.ndarray]:
    """What the kernel on this machine gives for each point."""
    whole = [np.broadcast_to(x, (n, *a.shape)) for x, a in zip(given, program.arguments, strict=True)]
    made = expected(program, whole, element)
    made = made if len(program.results) > 1 else [np.array(made)]
    return made if n else [np.empty((0, *a.shape), element) for a in program.results]


RUN = """\
import importlib.util, json, sys
import numpy as np
spec = importlib.util.spec_from_file_location("f_cuda", sys.argv[1] + "/f_cuda.py")
f_cuda = importlib.util.module_from_spec(spec)
spec.loader.exec_module(f_cuda)
given = np.load(sys.argv[1] + "/given.npz")
made = {}
for threads, blocks in json.loads(sys.argv[2]):
    f_cuda.THREADS, f_cuda.BLOCKS = threads, blocks
    with f_cuda.load() as kernel:
        for case in sorted({name.split(".")[0] for name in given.files}):
            arrays = [given[f"{case}.{k}"] for k in range(len(kernel.arguments))]
            results = kernel.reduce(*arrays)
            results = [results] if len(kernel.results) == 1 else results
            for k, result in enumerate(results):
                made[f"{case}.{threads}.{blocks}.{k}"] = result
np.savez(sys.argv[1] + "/made.npz", **made)
"""


def simulated(
    folder: Path, cases: dict[str, list[np.ndarray]], grids: list[tuple[int, int]] | None = None
) -> dict[str, list[np.ndarray]]:
    """The reductions of each case by `f.ptx` of the folder, run without a GPU, of which every grid gives the bits."""
    fake_driver(folder)
    np.savez(folder / "given.npz", **{f"{case}.{k}": x for case, xs in cases.items() for k, x in enumerate(xs)})
    grids = grids or [(128, 32)]
    environment = os.environ | {"LD_LIBRARY_PATH": str(folder)}
    command = [sys.executable, "-c", RUN, str(folder), json.dumps(grids)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    made = np.load(folder / "made.npz")
    found = {}
    for case in cases:
        names = [name for name in made.files if name.startswith(f"{case}.")]
        every = [[made[name] for name in names if name.startswith(f"{case}.{t}.{b}.")] for t, b in grids]
        assert len(names) == len(every[0]) * len(grids)
        for other in every[1:]:
            assert all(same_bits(a, b) for a, b in zip(every[0], other, strict=True)), case
        found[case] = every[0]
    return found
