"""The Newton–Euler example against Lagrange's equations, which share nothing with its recursion."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import hybrid as hy
from hybrid.loading import import_file

arm = import_file(Path(__file__).parents[2] / "examples" / "inverse_dynamics.py")


def energy(q, qd, sign):
    """Kinetic plus `sign` times potential energy, from positions and rotations in the frame of the base."""
    total, rotation, origin = 0, np.eye(3), np.zeros(3)
    spin, speed = np.zeros(3), np.zeros(3)
    for joint, (a, d, turns) in enumerate(arm.PARAMETERS):
        step = rotation @ arm.offset(a, d, turns)
        speed, origin = speed + np.cross(spin, step), origin + step
        rotation = rotation @ arm.rotation(q[joint], turns)
        spin = spin + rotation[:, 2] * qd[joint]
        centre = rotation @ np.array(arm.CENTRES[joint])
        velocity = speed + np.cross(spin, centre)
        own = rotation.T @ spin
        total = total + (arm.MASSES[joint] * (velocity @ velocity) + own @ (arm.tensor(arm.INERTIAS[joint]) @ own)) / 2
        total = total + sign * arm.MASSES[joint] * arm.GRAVITY * (origin + centre)[2]
    return total


@pytest.fixture(scope="module")
def lagrangian():
    return hy.function(q=(7,), qd=(7,))(lambda q, qd: energy(q, qd, -1))


def test_torques_are_those_of_lagranges_equations(lagrangian) -> None:
    """τ = d/dt ∂L/∂q̇ − ∂L/∂q, with d/dt by the chain rule."""
    q, qd, qdd = arm.motions(5)
    slopes, curvature = lagrangian.gradient()(q, qd), lagrangian.hessian()(q, qd)
    by_angle, by_speed = curvature[:, 7:, :7], curvature[:, 7:, 7:]
    expected = np.einsum("nij,nj->ni", by_speed, qdd) + np.einsum("nij,nj->ni", by_angle, qd) - slopes[:, :7]
    np.testing.assert_allclose(arm.tau(q, qd, qdd), expected, rtol=1e-11, atol=1e-11)


def test_derivatives_against_central_differences() -> None:
    q, qd, qdd = arm.motions(3)
    slopes = arm.tau.jacobian(wrt=["q", "qd"])(q, qd, qdd)
    state, h = np.concatenate([q, qd], axis=1), 1e-6
    for column in range(14):
        step = h * np.eye(14)[column]
        up, down = state + step, state - step
        measured = arm.tau(up[:, :7], up[:, 7:], qdd) - arm.tau(down[:, :7], down[:, 7:], qdd)
        np.testing.assert_allclose(slopes[:, :, column], measured / (2 * h), rtol=1e-6, atol=1e-6)


def test_at_rest_the_torques_carry_the_weight() -> None:
    """Stretched upwards without motion, the first joint carries nothing."""
    torques = arm.tau(np.zeros(7), np.zeros(7), np.zeros(7))
    assert abs(torques[0]) < 1e-14
    moving = arm.tau(np.zeros(7), np.zeros(7), np.eye(7))
    np.testing.assert_allclose(moving - torques, (moving - torques).T, atol=1e-14)  # the mass matrix is symmetric
