"""Forward kinematics of the 7-joint Franka Emika Panda arm, written as plain NumPy.

Denavit–Hartenberg parameters in Craig's convention as published by Franka Robotics, "Robot and interface
specifications: Denavit–Hartenberg parameters" in the documentation of the Franka Control Interface: lengths in metres,
angles in radians. The convention is that of J. J. Craig, "Introduction to Robotics", chapter 3.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

import hybrid as hy

# One row per joint and one for the flange: a (m), d (m), and the twist alpha in quarter turns, which is exact.
PARAMETERS = (
    (0.0, 0.333, 0),
    (0.0, 0.0, -1),
    (0.0, 0.316, 1),
    (0.0825, 0.0, 1),
    (-0.0825, 0.384, -1),
    (0.0, 0.0, 1),
    (0.088, 0.0, 1),
)
FLANGE = 0.107

# Limits of the joints in radians, from the same page.
LOWER = np.array([-2.8973, -1.7628, -2.8973, -3.0718, -2.8973, -0.0175, -2.8973])
UPPER = np.array([2.8973, 1.7628, 2.8973, -0.0698, 2.8973, 3.7525, 2.8973])


def link(angle: Any, a: float, d: float, quarter_turns: int) -> Any:
    """The 4×4 transform of a joint: turn by alpha about x, shift by a along x, turn by `angle` and shift by d along z.

    The cosine and sine of whole quarter turns are written as 0 and ±1, not as 6e-17.
    """
    ca, sa = (1, 0) if quarter_turns == 0 else (0, quarter_turns)
    c, s = np.cos(angle), np.sin(angle)
    return np.array(
        [
            [c, -s, 0, a],
            [s * ca, c * ca, -sa, -d * sa],
            [s * sa, c * sa, ca, d * ca],
            [0, 0, 0, 1],
        ]
    )


def forward_kinematics(q: Any) -> Any:
    """Rotation and position of the flange in the frame of the base, side by side: shape (3, 4), from 7 joint angles."""
    transform = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    for joint, (a, d, quarter_turns) in enumerate(PARAMETERS):
        transform = transform @ link(q[joint], a, d, quarter_turns)
    rotation, position = transform[:3, :3], transform[:3, 3]
    return np.column_stack([rotation, position + FLANGE * rotation[:, 2]])


@hy.function(q=(7,))
def pose(q: Any) -> Any:
    """Where the hand is and how it is turned: shape (3, 4)."""
    return forward_kinematics(q)


@hy.function(q=(7,), target=(3,))
def miss(q: Any, target: Any) -> Any:
    """Squared distance of the hand to a target, in m²: what inverse kinematics makes small."""
    return np.sum((forward_kinematics(q)[:, 3] - target) ** 2)


# Compiling keeps a user's values as they are written; `simplify` drops the products with the zeros of the rotations.
pose, miss = pose.simplify(), miss.simplify()


def postures(count: int, seed: int = 7) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Joint angles within the limits, (count, 7), and targets within reach in front of the arm, (count, 3)."""
    random = np.random.default_rng(seed)
    return random.uniform(LOWER, UPPER, (count, 7)), random.uniform([0.2, -0.4, 0.1], [0.7, 0.4, 0.8], (count, 3))


if __name__ == "__main__":
    kernel = hy.compile(pose, pose.jacobian(), miss.hessian(wrt="q"), name="panda")
    where, jacobian, curvature = kernel(*postures(100_000))
    print(kernel.certificate)
    print(f"pose {where.shape}, Jacobian {jacobian.shape}, Hessian {curvature.shape}")
