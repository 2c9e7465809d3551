"""Derives every number in coefficients.py: `python -m codegen.vector_math.derive` rewrites that file (needs mpmath).

Each set is one function below: what is approximated, on which interval, with which weight. The header line of a set in
coefficients.py gives the error reached.
"""

from __future__ import annotations

import struct
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

from mpmath import mp, mpf

from codegen.vector_math.error_function import (
    ERF_CENTRE,
    ERF_END,
    ERF_MIDDLE,
    ERF_POLE,
    ERF_SPLIT,
    ERFC_END,
    ERFC_MIDDLE,
    ERFC_NEAR_POLE,
    ERFC_POLE,
    ERFC_SPLIT,
)
from codegen.vector_math.remez import DIGITS, minimax

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
def tanh() -> Numbers:
    limit = 0.3467
    return fitted(
        "exp(r) - 1 = r + r²/2 + r³ Q(r), |r| <= ln 2 / 2; relative",
        lambda r: (mp.expm1(r) - r - r**2 / 2) / r**3,
        (-limit, limit),
        list(range(9)),
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
def log_pair() -> Numbers:
    limit = 0.17158
    thirds, _ = parts(lambda: mpf(2) / 3, [53, 53], "")
    numbers, what = fitted(
        "log((1 + s)/(1 - s)) = 2 s + s z (2/3, in two parts, + z R(z)), z = s²; relative",
        lambda z: ((2 * mp.atanh(mp.sqrt(z)) / mp.sqrt(z) - 2) / z - mpf(2) / 3) / z,
        (1e-7, limit**2),
        list(range(8)),
        lambda z: z**2 / 2,
    )
    return thirds + numbers, what


@derived
def cbrt_guess() -> Numbers:
    """The addend B of B - (leading 32 bits)/3 that levels the largest relative errors of a^(-1/3)."""

    def errors(addend: float) -> list[float]:
        found = []
        for i in range(1, 3 * 256):
            a = 2.0 ** (i // 256) * (1 + (i % 256) / 256)
            top = struct.unpack("<q", struct.pack("<d", a))[0] >> 32
            guess = struct.unpack("<d", struct.pack("<q", round(addend - top / 3) << 32))[0]
            found.append(guess * a ** (1 / 3) - 1)
        return found

    low, high = float(0x54000000), float(0x56000000)
    for _ in range(40):
        middle = (low + high) / 2
        found = errors(middle)
        low, high = (low, middle) if max(found) > -min(found) else (middle, high)
    return [float(round(low))], f"cbrt: addend of the first guess; error {max(errors(low)):.3f}"


@derived
def cbrt() -> Numbers:
    return fitted(
        "(1 - e)^(-1/3), |e| <= 0.125",
        lambda e: (1 - e) ** (-mpf(1) / 3),
        (-0.125, 0.125),
        list(range(5)),
    )


def erf_ratio(what: str, limit: float, middle: float, terms: int, scale: Callable[[mpf], mpf]) -> Numbers:
    """P of erf(x) = x + x P(x² - middle) for x <= limit, with small error relative to `scale` of x."""

    def root(u: mpf) -> mpf:
        return mp.sqrt(u + middle)

    return fitted(
        f"erf(x) = x + x P(z - {middle}), z = x² <= {limit}²; relative to {what}",
        lambda u: mp.erf(root(u)) / root(u) - 1,
        (1e-8 - middle, limit**2 - middle),
        list(range(terms)),
        lambda u: root(u) / scale(root(u)),
    )


@derived
def erf_small() -> Numbers:
    return erf_ratio("erf(x)", ERF_SPLIT, ERF_MIDDLE, 14, mp.erf)


@derived
def erfc_small() -> Numbers:
    return erf_ratio("erfc(x)", ERFC_SPLIT, ERFC_MIDDLE, 12, mp.erfc)


def scaled_erfc(x: mpf) -> mpf:
    return mp.exp(x * x) * mp.erfc(x)


@derived
def erf_large() -> Numbers:
    def x(u: mpf) -> mpf:
        return 1 / (u + ERF_CENTRE) - ERF_POLE

    return fitted(
        f"erf(x) = 1 - e^(-x²) t Q(t - {ERF_CENTRE}), t = 1/(x + {ERF_POLE}), {ERF_SPLIT} <= x <= {ERF_END}; relative",
        lambda u: scaled_erfc(x(u)) / (u + ERF_CENTRE),
        (1 / (ERF_END + ERF_POLE) - ERF_CENTRE, 1 / (ERF_SPLIT + ERF_POLE) - ERF_CENTRE),
        list(range(12)),
        lambda u: (u + ERF_CENTRE) * mp.exp(-(x(u) ** 2)) / mp.erf(x(u)),
    )


@derived
def erfc_large() -> Numbers:
    def x(t: mpf) -> mpf:
        return ERFC_POLE * (1 + t) / (1 - t)

    def ends(y: float) -> float:
        return (y - ERFC_POLE) / (y + ERFC_POLE)

    def target(t: mpf) -> mpf:
        return scaled_erfc(x(t)) * (x(t) + ERFC_NEAR_POLE)

    with mp.workdps(DIGITS):
        centre = target(mpf(0))
    constant, _ = parts(lambda: target(mpf(0)), [53, 53], "")
    numbers, what = fitted(
        f"erfc(x) = e^(-x²) c (1 + t Q(t))/(x + {ERFC_NEAR_POLE}), t = (x - k)/(x + k), k = {ERFC_POLE}, "
        f"{ERFC_SPLIT} <= x <= {ERFC_END}, c in two parts; relative",
        lambda t: (target(t) / centre - 1) / t,
        (ends(ERFC_SPLIT), ends(ERFC_END)),
        list(range(20)),
        lambda t: abs(t) * centre / target(t),
    )
    return constant + numbers, what


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
def asinh() -> Numbers:
    return fitted(
        "asinh(y) = y + y z P(z), z = y², y <= 1/2; relative",
        lambda z: (mp.asinh(mp.sqrt(z)) / mp.sqrt(z) - 1) / z,
        (1e-9, 0.2501),
        list(range(13)),
        lambda z: z * mp.sqrt(z) / mp.asinh(mp.sqrt(z)),
    )


@derived
def acosh() -> Numbers:
    return fitted(
        "acosh(1 + d) = √(2 d) (1 + d P(d)), d <= 1/2; relative",
        lambda d: (mp.acosh(1 + d) / mp.sqrt(2 * d) - 1) / d,
        (1e-9, 0.5),
        list(range(13)),
        lambda d: d * mp.sqrt(2 * d) / mp.acosh(1 + d),
    )


@derived
def atanh() -> Numbers:
    return fitted(
        "atanh(s) = s + s z P(z), z = s², s <= 1/3; relative",
        lambda z: (mp.atanh(mp.sqrt(z)) / mp.sqrt(z) - 1) / z,
        (1e-9, 0.1112),
        list(range(11)),
        lambda z: z * mp.sqrt(z) / mp.atanh(mp.sqrt(z)),
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
def pi_pair() -> Numbers:
    return parts(lambda: +mp.pi, [53, 53], "π = hi + lo")


@derived
def half_log_two_pi() -> Numbers:
    return parts(lambda: mp.ln(2 * mp.pi) / 2, [53, 53], "ln(2 π)/2 = hi + lo")


def from_inverse_square(v: mpf) -> mpf:
    return 1 / mp.sqrt(v)


@derived
def stirling() -> Numbers:
    def rest(v: mpf) -> mpf:
        w = from_inverse_square(v)
        return (mp.loggamma(w) - ((w - mpf(1) / 2) * mp.ln(w) - w + mp.ln(2 * mp.pi) / 2)) * w

    return fitted(
        "ln Γ(w) = (w - 1/2) ln w - w + ln(2 π)/2 + S(v)/w, v = 1/w², w >= 8; absolute",
        rest,
        (1e-6, 1 / 64),
        list(range(7)),
        lambda v: mp.sqrt(v),
    )


@derived
def digamma() -> Numbers:
    def rest(v: mpf) -> mpf:
        w = from_inverse_square(v)
        return (mp.ln(w) - 1 / (2 * w) - mp.digamma(w)) / v

    return fitted(
        "ψ(w) = ln w - 1/(2 w) - v D(v), v = 1/w², w >= 8; absolute",
        rest,
        (1e-6, 1 / 64),
        list(range(7)),
        lambda v: v,
    )


@derived
def loggamma() -> Numbers:
    def base(t: mpf) -> mpf:
        return mp.loggamma(2 + t) / (t * (1 + t))

    return fitted(
        "ln Γ(2 + t) = t (1 + t) P(t), |t| <= 1/2; relative",
        base,
        (-0.5, 0.5),
        list(range(18)),
        lambda t: 1 / base(t),
    )


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
        lines += textwrap.wrap(what, 118, initial_indent="# ", subsequent_indent="# ")
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
