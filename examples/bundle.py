"""Bundle adjustment: where cameras stood and points are, from where the points were seen.

The residuals of N. Snavely's camera model, as in the problems of S. Agarwal, N. Snavely, S. Seitz and R. Szeliski,
"Bundle adjustment in the large", ECCV 2010: nine numbers per camera (rotation as an axis times its angle, translation,
focal length and two distortion coefficients), three per point. The Jacobian has 24 entries per observation.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import hybrid as hy


def rotated(axis: Any, point: Any) -> Any:
    """Rodrigues' formula for rows of axis·angle and points, shape (n, 3)."""
    square = np.sum(axis**2, axis=1)
    turning = square > 1e-20
    angle = np.sqrt(np.where(turning, square, 1.0))
    k = axis / angle[:, None]
    cosine, sine = np.cos(angle)[:, None], np.sin(angle)[:, None]
    across = np.stack(
        [
            k[:, 1] * point[:, 2] - k[:, 2] * point[:, 1],
            k[:, 2] * point[:, 0] - k[:, 0] * point[:, 2],
            k[:, 0] * point[:, 1] - k[:, 1] * point[:, 0],
        ],
        axis=1,
    )
    along = np.sum(k * point, axis=1)[:, None]
    return np.where(turning[:, None], point * cosine + across * sine + k * along * (1 - cosine), point)


def projected(camera: Any, point: Any) -> Any:
    """Where points appear in the images, shape (n, 2); camera rows have shape (n, 9)."""
    seen = rotated(camera[:, :3], point) + camera[:, 3:6]
    flat = -seen[:, :2] / seen[:, 2:]
    square = np.sum(flat**2, axis=1)
    distortion = 1 + square * (camera[:, 7] + square * camera[:, 8])
    return flat * (camera[:, 6] * distortion)[:, None]


@dataclass(frozen=True)
class Scene:
    """Which camera saw which point, and where."""

    cameras: NDArray[np.float64]
    points: NDArray[np.float64]
    camera: NDArray[np.int64]
    point: NDArray[np.int64]
    seen: NDArray[np.float64]

    def residuals(self) -> Callable[[Any, Any], Any]:
        def residuals(cameras: Any, points: Any) -> Any:
            return projected(cameras[self.camera], points[self.point]) - self.seen

        return residuals

    def function(self) -> hy.Function:
        return hy.function(cameras=self.cameras.shape, points=self.points.shape)(self.residuals())


def scene(cameras: int, points: int, each: int, seed: int = 0) -> Scene:
    """Cameras on a circle around a cloud of points; each point is seen by `each` of them, with noise."""
    rng = np.random.default_rng(seed)
    angles = np.linspace(0, 2 * np.pi, cameras, endpoint=False)
    rows = np.zeros((cameras, 9))
    rows[:, 1], rows[:, 5] = angles, -5.0
    rows[:, 6], rows[:, 7], rows[:, 8] = 500.0, -0.05, 0.01
    cloud = rng.normal(0, 0.7, (points, 3))
    camera = np.concatenate([rng.choice(cameras, each, replace=False) for _ in range(points)]).astype(np.int64)
    point = np.repeat(np.arange(points), each)
    seen = projected(rows[camera], cloud[point]) + rng.normal(0, 0.5, (len(point), 2))
    return Scene(rows, cloud, camera, point, seen)


def main(cameras: int = 6, points: int = 40, each: int = 3) -> None:
    given = scene(cameras, points, each)
    begin = time.perf_counter()
    residuals = given.function()
    jacobian = residuals.jacobian(sparse=True)
    kernel = hy.compile(residuals, jacobian, tier="quick")
    value, _ = kernel(given.cameras, given.points)
    print(f"{len(given.point)} observations, mean error {np.abs(value).mean():.3f} pixels, Jacobian {jacobian.pattern}")
    print(f"ready after {time.perf_counter() - begin:.3f} s; {str(kernel.certificate).splitlines()[0]}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
