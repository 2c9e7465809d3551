"""What a solver found, and what it tells on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Iteration:
    """One iteration: the objective and the largest violation of constraints; None where a solver does not tell."""

    number: int
    objective: float
    infeasibility: float | None = None
    optimality: float | None = None

    def __str__(self) -> str:
        parts = [f"{self.number:5d}  objective {self.objective:.10g}"]
        for label, value in (("infeasibility", self.infeasibility), ("optimality", self.optimality)):
            if value is not None:
                parts.append(f"{label} {value:.2e}")
        return "  ".join(parts)


@dataclass(frozen=True)
class Result:
    """The point a solver ended at.

    `x` holds all variables in one vector, `values` each by name in its shape, `constraints` the constraint functions at
    that point in the order they were given. `multipliers` are those of obj_factor · f + λᵀg as Ipopt defines them
    (λ > 0 at an upper limit), `lower_multipliers` and `upper_multipliers` those of the bounds; None where the
    solver has none. A result may be given to `solve(warm=...)`.
    """

    x: Vector
    values: Mapping[str, Any]
    objective: float
    constraints: Vector
    success: bool
    status: str
    message: str
    solver: str
    iterations: int
    evaluations: Mapping[str, int]
    seconds: float
    seconds_in_functions: float
    infeasibility: float
    multipliers: Vector | None = None
    lower_multipliers: Vector | None = None
    upper_multipliers: Vector | None = None
    history: tuple[Iteration, ...] = field(default=(), repr=False)

    def __getitem__(self, name: str) -> Any:
        """The value of a variable."""
        return self.values[str(name)]

    def __str__(self) -> str:
        counts = ", ".join(f"{count} {name}" for name, count in self.evaluations.items())
        return "\n".join(
            [
                f"{'✓' if self.success else '✗'} {self.solver}: {self.message}",
                f"  objective      {self.objective:.12g}",
                f"  infeasibility  {self.infeasibility:.2e}",
                f"  iterations     {self.iterations}; {counts}",
                f"  time           {self.seconds:.3f} s, of it {self.seconds_in_functions:.3f} s in functions",
            ]
        )
