"""The machines that kernels can be exported for."""

from __future__ import annotations

from codegen.target import GPUS, NAMED, Target, host, portable


def targets() -> dict[str, Target]:
    """Machines by the name that `Kernel.export(target=…)` takes.

    "portable" is the row for machines like this one, "native" this very machine.
    """
    return {"portable": portable(), "native": host(), **NAMED, **GPUS}
