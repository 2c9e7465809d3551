"""A planar quadrotor flies to a point: direct collocation, any number of time steps.

States (x, z, pitch and their rates) and thrusts at every step are variables; the dynamics become equations between
neighbouring steps by the trapezoidal rule [Betts, Practical Methods for Optimal Control, 2nd ed., 2010, 4.5]; the model
is that of R. Tedrake, Underactuated Robotics, chapter 3. The Jacobian has a handful of entries per step, whatever the
number of steps.

    python -m hybrid.examples.trajectory [STEPS]
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np

import hybrid as hy

MASS, INERTIA, ARM, GRAVITY = 0.486, 0.00383, 0.25, 9.81  # kg, kg m², m, m/s²
DURATION = 2.0  # seconds
BEGIN, END = np.zeros(6), np.array([2.0, 1.0, 0.0, 0.0, 0.0, 0.0])
STRONGEST = 2 * MASS * GRAVITY  # of one rotor, in newtons


def rates(state: Any, thrust: Any) -> Any:
    """Time derivatives of the states at every step, shape (steps, 6)."""
    pitch, speeds = state[:, 2], state[:, 3:]
    total = (thrust[:, 0] + thrust[:, 1]) / MASS
    turning = ARM * (thrust[:, 0] - thrust[:, 1]) / INERTIA
    return np.concatenate(
        [speeds, np.stack([-total * np.sin(pitch), total * np.cos(pitch) - GRAVITY, turning], axis=1)], axis=1
    )


def problem(steps: int, **options: Any) -> hy.Problem:
    """Least effort ∫ (u − hover)² dt from BEGIN to END; the state at either end is fixed by bounds."""
    step, hover = DURATION / steps, MASS * GRAVITY / 2

    def effort(thrust: Any) -> Any:
        square = np.sum((thrust - hover) ** 2, axis=1)
        return step * (np.sum(square) - 0.5 * (square[0] + square[-1]))

    def defects(state: Any, thrust: Any) -> Any:
        rate = rates(state, thrust)
        return state[1:] - state[:-1] - 0.5 * step * (rate[1:] + rate[:-1])

    low, high = np.full((2, steps + 1, 6), [[[-np.inf]], [[np.inf]]])
    for side in (low, high):
        side[0], side[-1] = BEGIN, END
    variables = {"state": (steps + 1, 6), "thrust": (steps + 1, 2)}
    bounds = {"state": (low, high), "thrust": (0, STRONGEST)}
    return hy.Problem(variables, effort, [(defects, 0, 0)], bounds, name="quadrotor", **options)


def start(steps: int) -> dict[str, Any]:
    """A straight line at constant thrust."""
    path = np.linspace(0, 1, steps + 1)[:, None]
    return {"state": BEGIN + path * (END - BEGIN), "thrust": np.full((steps + 1, 2), MASS * GRAVITY / 2)}


def main(steps: int = 50) -> None:
    begin = time.perf_counter()
    flight = problem(steps)
    calls = flight.callbacks()
    point = flight.start_at(start(steps), None)
    calls.jacobian(point), calls.hessian(point, np.ones(6 * steps), 1.0)
    print(flight, "verified" if all(c.passed for c in flight.certificates()) else "not verified")
    print(f"Jacobian {flight.jacobian_pattern}, Hessian {flight.hessian_pattern}")
    print(f"first derivatives after {time.perf_counter() - begin:.3f} s")
    try:
        print(flight.solve(start(steps)))
    except hy.UnsupportedError as error:
        print(f"not solved: {error}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
