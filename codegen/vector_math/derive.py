"""Derives every number in coefficients.py: `python -m codegen.vector_math.derive` rewrites that file (needs mpmath).

Each set is one function below: what is approximated, on which interval, with which weight. The header line of a set in
coefficients.py gives the error reached.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from mpmath import mp, mpf

from codegen.vector_math.remez import minimax

Numbers = tuple[list[float], str]
SETS: dict[str, Callable[[], Numbers]] = {}
FILE = Path(__file__).with_name("coefficients.py")


def derived(function: Callable[[], Numbers]) -> Callable[[], Numbers]:
    SETS[function.__name__.upper()] = function
    return function


def parts(value: Callable[[], mpf], bits: list[int], what: str) -> Numbers:
    """A constant as a sum of floats of the given numbers of bits, each the rest rounded to nearest."""
    with mp.workdps(80):
        rest, found = value(), []
        for count in bits:
            with mp.workprec(count):
                part = +rest
            found.append(float(part))
            rest -= part
    return found, what


def fitted(what: str, *arguments: object, **options: object) -> Numbers:
    numbers, error = minimax(*arguments, **options)  # type: ignore[arg-type]
    return numbers, f"{what}; error {error:.1e}"


@derived
def ln2() -> Numbers:
    # 42 bits: n·hi is exact for the |n| < 2^11 of an exponent
    return parts(lambda: mp.ln(2), [42, 53], "ln 2 = hi + lo")


@derived
def ln2_full() -> Numbers:
    return parts(lambda: mp.ln(2), [53, 53], "ln 2 = hi + lo, both full")


@derived
def exp() -> Numbers:
    limit = 0.3467  # ln 2 / 2, and a little for the rounding of n
    return fitted(
        "exp(r) = 1 + r + r² Q(r), |r| <= ln 2 / 2; relative",
        lambda r: (mp.expm1(r) - r) / r**2,
        (-limit, limit),
        list(range(10)),
        lambda r: r**2 / mp.exp(r),
    )


@derived
def expm1() -> Numbers:
    return fitted(
        "exp(r) - 1 = r + r²/2 + r³ Q(r), r in [-0.2515, 0.443]; relative",
        lambda r: (mp.expm1(r) - r - r**2 / 2) / r**3,
        (-0.2515, 0.443),
        list(range(10)),
        lambda r: r**3 / mp.expm1(r),
    )


@derived
def sinh() -> Numbers:
    limit = 0.3467
    return fitted(
        "sinh(r) = r + r z S(z), z = r², |r| <= ln 2 / 2; relative",
        lambda z: (mp.sinh(mp.sqrt(z)) / mp.sqrt(z) - 1) / z,
        (1e-9, limit**2),
        list(range(5)),
        lambda z: z * mp.sqrt(z) / mp.sinh(mp.sqrt(z)),
    )


@derived
def cosh() -> Numbers:
    limit = 0.3467
    return fitted(
        "cosh(r) = 1 + z C(z), z = r², |r| <= ln 2 / 2; relative",
        lambda z: (mp.cosh(mp.sqrt(z)) - 1) / z,
        (1e-9, limit**2),
        list(range(5)),
        lambda z: z / mp.cosh(mp.sqrt(z)),
    )


@derived
def log() -> Numbers:
    limit = 0.17158  # (√2 − 1)/(√2 + 1)
    return fitted(
        "log((1 + s)/(1 - s)) = 2 s + s z R(z), z = s² and 1 + f = (1 + s)/(1 - s) in [√½, √2]; relative",
        lambda z: (2 * mp.atanh(mp.sqrt(z)) / mp.sqrt(z) - 2) / z,
        (1e-9, limit**2),
        list(range(7)),
        lambda z: z / 2,
    )


@derived
def log2_e() -> Numbers:
    return parts(lambda: 1 / mp.ln(2), [53, 53], "1/ln 2 = hi + lo")


@derived
def log10_e() -> Numbers:
    return parts(lambda: 1 / mp.ln(10), [53, 53], "1/ln 10 = hi + lo")


@derived
def log10_2() -> Numbers:
    return parts(lambda: mp.log10(2), [42, 53], "log10(2) = hi + lo, hi short")


@derived
def half_pi() -> Numbers:
    # 33 bits: n·part is exact for |n| < 2^20
    return parts(lambda: mp.pi / 2, [53, 33, 53], "π/2 in three parts, the second short")


@derived
def half_pi_short() -> Numbers:
    # 33 bits: n·part is exact for |n| < 2^20 without fused multiply-add
    return parts(lambda: mp.pi / 2, [33, 33, 33, 53], "π/2 in four parts, the first three short")


@derived
def half_pi_pair() -> Numbers:
    return parts(lambda: mp.pi / 2, [53, 53], "π/2 = hi + lo")


@derived
def quarter_pi_pair() -> Numbers:
    return parts(lambda: mp.pi / 4, [53, 53], "π/4 = hi + lo")


@derived
def atan() -> Numbers:
    return fitted(
        "atan(t) = t + t z A(z), z = t², |t| <= 1/2; relative",
        lambda z: (mp.atan(mp.sqrt(z)) / mp.sqrt(z) - 1) / z,
        (1e-9, 0.2501),
        list(range(13)),
        lambda z: z * mp.sqrt(z) / mp.atan(mp.sqrt(z)),
    )


@derived
def asin() -> Numbers:
    return fitted(
        "asin(s) = s + s z A(z), z = s², |s| <= 1/2; relative",
        lambda z: (mp.asin(mp.sqrt(z)) / mp.sqrt(z) - 1) / z,
        (1e-9, 0.25),
        list(range(13)),
        lambda z: z * mp.sqrt(z) / mp.asin(mp.sqrt(z)),
    )


@derived
def sin() -> Numbers:
    limit = 0.7855  # π/4
    return fitted(
        "sin(r) = r + r z S(z), z = r², |r| <= π/4; relative",
        lambda z: (mp.sin(mp.sqrt(z)) / mp.sqrt(z) - 1) / z,
        (1e-8, limit**2),
        list(range(6)),
        lambda z: z * mp.sqrt(z) / mp.sin(mp.sqrt(z)),
    )


@derived
def cos() -> Numbers:
    limit = 0.7855
    return fitted(
        "cos(r) = 1 - z/2 + z² C(z), z = r², |r| <= π/4; relative",
        lambda z: (mp.cos(mp.sqrt(z)) - 1 + z / 2) / z**2,
        (1e-4, limit**2),
        list(range(6)),
        lambda z: z**2 / mp.cos(mp.sqrt(z)),
    )


@derived
def bernoulli() -> Numbers:
    return [float(mp.bernoulli(2 * j)) for j in range(1, 11)], "Bernoulli numbers B_2, B_4, …, B_20"


def two_over_pi_words(count: int = 40) -> list[int]:
    """2/π in 32-bit digits, after two zero digits (see trigonometric.py)."""
    with mp.workdps(600):
        digits = int(mp.floor(2 / mp.pi * mpf(2) ** (32 * (count - 2))))
    return [0, 0, *((digits >> (32 * k)) & 0xFFFFFFFF for k in reversed(range(count - 2)))]


def text() -> str:
    """The whole of coefficients.py."""
    lines = ['"""Written by derive.py; do not edit. Floats in hexadecimal, ascending powers."""\n']
    lines.append("from __future__ import annotations\n\n")
    lines.append("def _floats(text: str) -> tuple[float, ...]:\n    return tuple(map(float.fromhex, text.split()))\n\n")
    for name, derivation in SETS.items():
        print(name, end=" ", flush=True, file=sys.stderr)
        numbers, what = derivation()
        print(what, file=sys.stderr)
        lines.append(f"# {what}")
        lines.append(f'{name} = _floats("""')
        lines += [f"    {number.hex()}" for number in numbers]
        lines.append('""")\n')
    lines.append("# 2/π in 32-bit digits after two zero digits")
    lines.append("TWO_OVER_PI = (")
    lines += [f"    0x{word:08X}," for word in two_over_pi_words()]
    lines.append(")")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
