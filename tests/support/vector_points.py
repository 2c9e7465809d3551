"""The vector functions under test, and points over their whole range."""

from __future__ import annotations

import numpy as np

from codegen.vector_math import FUNCTIONS

ORDERS = (1, 2, 5)
NAMES = [name for name in FUNCTIONS if name != "polygamma"] + [f"polygamma.{n}" for n in ORDERS]


def samples(arity: int, size: int, seed: int) -> list[np.ndarray]:
    """Points over the whole range: all magnitudes, subnormals, plain numbers, and the neighbourhoods where formulas
    change."""
    rng = np.random.default_rng(seed)

    def one() -> np.ndarray:
        sign = rng.choice([-1.0, 1.0], (6, size))
        near = rng.choice([0.25, 0.5, 1.0, 1.2, 1.5, 2.0, 8.0, np.sqrt(0.5), np.sqrt(2), np.log(2), np.pi], size)
        quarter = np.pi / 4 * rng.integers(1, 400, size)
        far = quarter * np.exp2(rng.integers(0, 900, size))
        return np.concatenate(
            [
                sign[0] * np.exp2(rng.uniform(-1074, 1024, size)),
                sign[1] * np.exp2(rng.uniform(-40, 12, size)),
                rng.uniform(-2.5, 2.5, 2 * size),
                rng.uniform(-40, 40, size),
                rng.uniform(-760, 760, size),
                sign[2] * near * (1 + np.exp2(rng.uniform(-53, -3, size))),
                sign[3] * near * (1 - np.exp2(rng.uniform(-53, -3, size))),
                sign[4] * rng.choice([quarter, far], axis=0),
                sign[5] * (rng.integers(0, 30, size) + np.exp2(rng.uniform(-40, -2, size))),
            ]
        )

    columns = [one() for _ in range(arity)]
    for column in columns[1:]:
        rng.shuffle(column)
    if arity == 2:
        # x, y of like size, and y = a/ln x, for pow
        close = columns[0] * rng.uniform(-4, 4, columns[0].size)
        with np.errstate(all="ignore"):
            moderate = rng.uniform(-760, 760, columns[0].size) / np.log(np.abs(columns[0]))
        columns = [np.tile(columns[0], 3), np.concatenate([columns[1], close, moderate])]
    finite = np.all([np.isfinite(c) for c in columns], axis=0)
    return [c[finite] for c in columns]


def quiet(bits: np.ndarray) -> np.ndarray:
    """The float32 numbers of some bits, every NaN the usual one: converting another kind is an invalid operation."""
    numbers = bits.view(np.float32)
    return np.where(np.isnan(numbers), np.float32(np.nan), numbers)


def narrow_samples(arity: int, size: int, seed: int) -> list[np.ndarray]:
    """Float32 numbers of all bit patterns, plain ones, and for two arguments pairs of like size and moderate powers."""
    rng = np.random.default_rng(seed)

    def any_bits() -> np.ndarray:
        return quiet(rng.integers(0, 2**32, size, dtype=np.uint32))

    columns = [np.concatenate([any_bits(), rng.uniform(-12, 12, size).astype(np.float32)]) for _ in range(arity)]
    if arity == 2:
        x = any_bits()
        with np.errstate(all="ignore"):
            y = [x * rng.uniform(-4, 4, size), rng.uniform(-110, 110, size) / np.log(np.abs(x))]
            columns = [
                np.concatenate([columns[0], x, np.abs(x)]),
                np.concatenate([columns[1], *y]).astype(np.float32),
            ]
    return columns
