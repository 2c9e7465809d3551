"""erf, erfc and the gamma family at 10⁷ points against 113-bit arithmetic, by gcc's libquadmath."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from codegen.target import host
from codegen.vector_math import FUNCTIONS
from codegen.vector_math.trial import Trial

POINTS, PART = 10**7, 10**6

# ψ and ψ' by the recurrence up to 30 and the asymptotic series [DLMF 5.11.2, 5.15.8]
SOURCE = """
#include <quadmath.h>
typedef __float128 quad;
static const quad bernoulli[] = {1/6.Q, -1/30.Q, 1/42.Q, -1/30.Q, 5/66.Q, -691/2730.Q, 7/6.Q, -3617/510.Q,
  43867/798.Q, -174611/330.Q, 854513/138.Q, -236364091/2730.Q, 8553103/6.Q};
static quad digammaq(quad x) {
  quad sum = 0, power = 1;
  for (; x < 30; x += 1) sum -= 1 / x;
  sum += logq(x) - 1 / (2 * x);
  for (int k = 1; k <= 13; k++) { power /= x * x; sum -= bernoulli[k - 1] / (2 * k) * power; }
  return sum;
}
static quad trigammaq(quad x) {
  quad sum = 0, power;
  for (; x < 30; x += 1) sum += 1 / (x * x);
  power = 1 / x;
  sum += power + power * power / 2;
  for (int k = 1; k <= 13; k++) { power /= x * x; sum += bernoulli[k - 1] * power; }
  return sum;
}
static quad one(quad x, quad y) { return 1; }
static quad of_loggamma(quad x, quad y) { return fabsq(x * digammaq(x) / y); }
static quad of_digamma(quad x, quad y) { return fabsq(x * trigammaq(x) / y); }
#define REFERENCE(name, function, condition) \\
void name(long n, const double *x, double *high, double *low, double *conditions) { \\
  for (long i = 0; i < n; i++) { \\
    quad y = function((quad)x[i]); \\
    high[i] = y; low[i] = y - (quad)high[i]; conditions[i] = condition(x[i], y); \\
  } \\
}
REFERENCE(erf_, erfq, one)
REFERENCE(erfc_, erfcq, one)
REFERENCE(gamma_, tgammaq, one)
REFERENCE(loggamma_, lgammaq, of_loggamma)
REFERENCE(digamma_, digammaq, of_digamma)
"""

Points = Callable[[np.random.Generator, int], np.ndarray]
RANGES: dict[str, list[Points]] = {
    "erf": [lambda rng, n: rng.uniform(-6, 6, n), lambda rng, n: rng.uniform(-1.5, 1.5, n)],
    "erfc": [lambda rng, n: rng.uniform(-6, 26.5, n), lambda rng, n: rng.uniform(-1, 2, n)],
    "gamma": [lambda rng, n: rng.uniform(-20, 171, n), lambda rng, n: rng.uniform(-3, 12, n)],
    # the first holds the worst: the sum of two logarithms just below 3/2
    "loggamma": [
        lambda rng, n: rng.uniform(1.46, 1.5, n),
        lambda rng, n: rng.uniform(0, 12, n),
        lambda rng, n: np.exp2(rng.uniform(-200, 900, n)),
    ],
    "digamma": [lambda rng, n: rng.uniform(0, 12, n), lambda rng, n: np.exp2(rng.uniform(-200, 900, n))],
}


@cache
def trials() -> list[Trial]:
    return [Trial(RANGES, width=2, fma=fma) for fma in sorted({host().fma, False})]


def reference(folder: Path) -> ctypes.CDLL:
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("needs gcc")
    (folder / "reference.c").write_text(SOURCE, encoding="utf-8")
    command = [compiler, "-O2", "-shared", "-fPIC", "reference.c", "-o", "reference.so", "-lquadmath"]
    made = subprocess.run(command, cwd=folder, capture_output=True, timeout=120, check=False)
    if made.returncode:
        pytest.skip(f"gcc makes nothing with libquadmath: {made.stderr.decode()[:200]}")
    return ctypes.CDLL(str(folder / "reference.so"))


def check(name: str, folder: Path, count: int) -> None:
    library, rng = reference(folder), np.random.default_rng(11)
    size = min(PART, count)
    for part in range(count // size):
        x = RANGES[name][part % len(RANGES[name])](rng, size)
        high, low, condition = np.empty((3, size))
        pointers = [ctypes.c_void_p(a.ctypes.data) for a in (x, high, low, condition)]
        getattr(library, f"{name}_")(ctypes.c_long(size), *pointers)
        normal = np.isfinite(high) & (np.abs(high) >= np.finfo(float).tiny)
        allowed = FUNCTIONS[name].ulp * (np.maximum(1, condition) if FUNCTIONS[name].conditioned else 1)
        for trial in trials():
            got = trial(name, x)
            with np.errstate(invalid="ignore"):
                errors = np.abs((got - high) - low) / np.spacing(np.abs(high)) / allowed
            worst = int(np.where(normal, errors, 0).argmax())
            assert errors[worst] <= 1, f"{name}({x[worst]!r}) = {got[worst]!r}: {errors[worst]:.3f} of what is allowed"
            assert np.isfinite(got[normal]).all()


@pytest.mark.parametrize("name", RANGES)
def test_against_113_bits(name: str, tmp_path: Path) -> None:
    check(name, tmp_path, 20_000)


@pytest.mark.long
@pytest.mark.parametrize("name", RANGES)
def test_ten_million_points_against_113_bits(name: str, tmp_path: Path) -> None:
    check(name, tmp_path, POINTS)
