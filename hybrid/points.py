"""Where expressions are tried: random points, the same on every run."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

POINTS = 24  # float64 sample points: nodes must agree at all of them where the one that goes is finite
EXTREME = 16  # further points, from tiny to huge: a node is not replaced by one that overflows where it does not
SPECIAL = 16  # further points of zeros and ones, where many formulas have a pole: roots that are finite there stay so
EVERY = POINTS + EXTREME + SPECIAL
SEED = 20


@lru_cache(maxsize=64)
def sample(count: int) -> NDArray[np.float64]:
    """Random values of `count` variables at POINTS points, EXTREME points of any size and SPECIAL ones of 0 and ±1.

    The first third of the first two is all positive, the others are of any sign. At a special
    point about half of the variables are 0 or ±1; at the first three all are 0, 1 and −1.
    """
    rng = np.random.default_rng(SEED)
    tame = np.exp(rng.uniform(-1.2, 0.7, (count, POINTS))) * signs(rng, count, POINTS)
    wild = 10.0 ** rng.uniform(-4, 4, (count, EXTREME)) * signs(rng, count, EXTREME)
    plain = rng.random((count, SPECIAL)) < 0.5
    special = np.where(plain, tame[:, :SPECIAL], rng.choice([0.0, 1.0, -1.0], (count, SPECIAL)))
    special[:, :3] = 0.0, 1.0, -1.0
    found = np.concatenate([tame, wild, special], axis=1)
    found.flags.writeable = False
    return found


def signs(rng: np.random.Generator, count: int, points: int) -> NDArray[np.float64]:
    chosen = rng.choice([-1.0, 1.0], (count, points))
    chosen[:, : points // 3] = 1.0
    return chosen
