"""Inverse dynamics of the 7-joint Franka Emika Panda arm: the recursive Newton–Euler algorithm as plain NumPy.

The joint torques that a motion needs, and how they change with joint angles and speeds: what linearising controllers
and trajectory optimisers evaluate at every step.

The algorithm is that of J. Y. S. Luh, M. W. Walker and R. P. C. Paul, "On-line computational scheme for mechanical
manipulators", 1980, in the frames of J. J. Craig, "Introduction to Robotics", chapter 6. Lengths and twists of the
links are those of the example `panda.py`. Masses, centres and inertias are those identified by C. Gaz, M. Cognetti, A.
Oliva, P. Robuffo Giordano and A. De Luca, "Dynamic identification of the Franka Emika Panda robot with retrieval of
feasible parameters using penalty-based optimization", IEEE Robotics and Automation Letters 4(4), 2019. The arm carries
no hand; friction is left out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

import hybrid as hy

# One row per joint: a (m), d (m), and the twist alpha in quarter turns, which is exact.
PARAMETERS = (
    (0.0, 0.333, 0),
    (0.0, 0.0, -1),
    (0.0, 0.316, 1),
    (0.0825, 0.0, 1),
    (-0.0825, 0.384, -1),
    (0.0, 0.0, 1),
    (0.088, 0.0, 1),
)
# One row per link: mass (kg), and the centre of mass (m) in the frame of the link.
MASSES = (4.970684, 0.646926, 3.228604, 3.587895, 1.225946, 1.666555, 0.735522)
CENTRES = (
    (0.003875, 0.002081, -0.04762),
    (-0.003141, -0.02872, 0.003495),
    (0.027518, 0.039252, -0.066502),
    (-0.05317, 0.104419, 0.027454),
    (-0.011953, 0.041065, -0.038437),
    (0.060149, -0.014117, -0.010517),
    (0.010517, -0.004252, 0.061597),
)
# Inertia about the centre of mass (kg m²), in the axes of the link's frame: xx, xy, xz, yy, yz, zz.
INERTIAS = (
    (0.70337, -0.000139, 0.006772, 0.70661, 0.019169, 0.009117),
    (0.007962, -0.003925, 0.010254, 0.02811, 0.000704, 0.025995),
    (0.037242, -0.004761, -0.011396, 0.036155, -0.012805, 0.01083),
    (0.025853, 0.007796, -0.001332, 0.019552, 0.008641, 0.028323),
    (0.035549, -0.002117, -0.004037, 0.029474, 0.000229, 0.008627),
    (0.001964, 0.000109, -0.001158, 0.004354, 0.000341, 0.005433),
    (0.012516, -0.000428, -0.001196, 0.010027, -0.000741, 0.004815),
)
GRAVITY = 9.81  # m/s²

# Limits of the joints in radians, and of their speeds in radians per second.
LOWER = np.array([-2.8973, -1.7628, -2.8973, -3.0718, -2.8973, -0.0175, -2.8973])
UPPER = np.array([2.8973, 1.7628, 2.8973, -0.0698, 2.8973, 3.7525, 2.8973])
FASTEST = np.array([2.175, 2.175, 2.175, 2.175, 2.61, 2.61, 2.61])


def rotation(angle: Any, quarter_turns: int) -> Any:
    """The 3×3 rotation from a joint's frame to the one before it: by alpha about x, then by `angle` about z."""
    ca, sa = (1, 0) if quarter_turns == 0 else (0, quarter_turns)
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0], [s * ca, c * ca, -sa], [s * sa, c * sa, ca]])


def offset(a: float, d: float, quarter_turns: int) -> Any:
    """Where a joint's frame begins, seen from the one before it."""
    ca, sa = (1, 0) if quarter_turns == 0 else (0, quarter_turns)
    return np.array([a, -d * sa, d * ca])


def inverse_dynamics(q: Any, qd: Any, qdd: Any) -> Any:
    """Torques (7,) in N m of the joints at the angles q, the speeds qd and the accelerations qdd, in radians and s."""
    z = np.array([0, 0, 1])
    turn, spin, force, moment = [], np.zeros(3), [], []
    acceleration = np.array([0, 0, GRAVITY])  # that of the base: falling upwards is what weight feels like
    angular = np.zeros(3)
    for joint, (a, d, quarter_turns) in enumerate(PARAMETERS):
        back = rotation(q[joint], quarter_turns).T
        p = offset(a, d, quarter_turns)
        acceleration = back @ (np.cross(angular, p) + np.cross(spin, np.cross(spin, p)) + acceleration)
        carried = back @ spin
        angular = back @ angular + np.cross(carried, z * qd[joint]) + z * qdd[joint]
        spin = carried + z * qd[joint]
        centre, inertia = np.array(CENTRES[joint]), tensor(INERTIAS[joint])
        at_centre = np.cross(angular, centre) + np.cross(spin, np.cross(spin, centre)) + acceleration
        turn.append(back.T)
        force.append(MASSES[joint] * at_centre)
        moment.append(inertia @ angular + np.cross(spin, inertia @ spin))
    torques = []
    f, n = force[-1], moment[-1] + np.cross(np.array(CENTRES[-1]), force[-1])
    for joint in reversed(range(len(PARAMETERS))):
        torques.append(n[2])
        if joint:
            a, d, quarter_turns = PARAMETERS[joint]
            passed = turn[joint] @ f
            n = turn[joint] @ n + np.cross(offset(a, d, quarter_turns), passed)
            n = n + moment[joint - 1] + np.cross(np.array(CENTRES[joint - 1]), force[joint - 1])
            f = passed + force[joint - 1]
    return np.stack(torques[::-1])


def tensor(six: tuple[float, ...]) -> Any:
    """The symmetric 3×3 matrix of its six numbers."""
    xx, xy, xz, yy, yz, zz = six
    return np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])


@hy.function(q=(7,), qd=(7,), qdd=(7,))
def tau(q: Any, qd: Any, qdd: Any) -> Any:
    """Joint torques, (7,)."""
    return inverse_dynamics(q, qd, qdd)


# Compiling keeps a user's values as they are written; `simplify` drops the products with the zeros of the rotations.
tau = tau.simplify()


def motions(count: int, seed: int = 7) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Angles and speeds within the limits and accelerations up to 10 rad/s², each of shape (count, 7)."""
    random = np.random.default_rng(seed)
    speeds, accelerations = random.uniform(-FASTEST, FASTEST, (count, 7)), random.uniform(-10, 10, (count, 7))
    return random.uniform(LOWER, UPPER, (count, 7)), speeds, accelerations


if __name__ == "__main__":
    kernel = hy.compile(tau, tau.jacobian(wrt=["q", "qd"]), name="panda_dynamics")
    torques, slopes = kernel(*motions(100_000))
    print(kernel.certificate)
    print(f"torques {torques.shape}, their derivatives by angles and speeds {slopes.shape}")
    print(f"{kernel.operations:,} operations per point")
