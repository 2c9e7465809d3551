"""Derives every number in coefficients.py and coefficients32.py: `python -m codegen.vector_math.derive` rewrites those
files (needs mpmath).

Each set is one function below: what is approximated, on which interval, with which weight, for both formats or float64
alone. The header line of a set in the files gives the error reached.
"""

from __future__ import annotations

import struct
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

from mpmath import mp, mpf

from codegen.vector_math.error_function import Cuts, cuts_of
from codegen.vector_math.ir import FLOAT32, FLOAT64, Format
from codegen.vector_math.remez import DIGITS, minimax

Numbers = tuple[list[float], str]
Item = TypeVar("Item")


@dataclass(frozen=True)
class Precision:
    """What differs between the files: the format, and the bits of a constant's leading part, whose products with the
    exponents of floats are exact."""

    file: Path
    format: Format
    short: int

    @property
    def full(self) -> int:
        return self.format.fraction_bits + 1

    @property
    def cuts(self) -> Cuts:
        return cuts_of(self.format)

    def pick(self, wide: Item, narrow: Item) -> Item:
        return wide if self.format == FLOAT64 else narrow


WIDE = Precision(Path(__file__).with_name("coefficients.py"), FLOAT64, 39)
NARROW = Precision(Path(__file__).with_name("coefficients32.py"), FLOAT32, 13)
Derivation = Callable[[Precision], Numbers]
SETS: dict[str, Derivation] = {}
ONLY_WIDE: set[str] = set()


def derived(function: Derivation) -> Derivation:
    SETS[function.__name__.upper()] = function
    return function


def derived_wide(function: Derivation) -> Derivation:
    """For functions that float32 has by way of float64."""
    ONLY_WIDE.add(function.__name__.upper())
    return derived(function)


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


def fitted(p: Precision, what: str, *arguments: object) -> Numbers:
    numbers, error = minimax(*arguments, bits=p.full)  # type: ignore[arg-type, misc]
    return numbers, f"{what}; error {error:.1e}"


@derived
def ln2(p: Precision) -> Numbers:
    # n·hi is exact for the |n| < 2^11 of an exponent (2^8 in float32), in eighths
    return parts(lambda: mp.ln(2), [p.short, p.full], "ln 2 = hi + lo")


@derived
def ln2_full(p: Precision) -> Numbers:
    return parts(lambda: mp.ln(2), [p.full, p.full], "ln 2 = hi + lo, both full")


@derived
def exp(p: Precision) -> Numbers:
    limit = 0.0434  # ln 2 / 16, and a little for the rounding of n
    return fitted(
        p,
        "exp(r) = 1 + r + r² Q(r), |r| <= ln 2 / 16; relative",
        lambda r: (mp.expm1(r) - r) / r**2,
        (-limit, limit),
        list(range(p.pick(6, 3))),
        lambda r: r**2 / mp.exp(r),
    )


@derived
def exp_table(p: Precision) -> Numbers:
    entries = [parts(lambda i=i: mpf(2) ** (mpf(i) / 8), [p.full, p.full], "")[0] for i in range(8)]  # type: ignore[misc]
    return [number for entry in entries for number in entry], "2^(i/8) = hi + lo, i = 0 … 7"


@derived
def expm1(p: Precision) -> Numbers:
    return fitted(
        p,
        "exp(r) - 1 = r + r²/2 + r³ Q(r), r in [-0.2515, 0.443]; relative",
        lambda r: (mp.expm1(r) - r - r**2 / 2) / r**3,
        (-0.2515, 0.443),
        list(range(p.pick(10, 5))),
        lambda r: r**3 / mp.expm1(r),
    )


@derived
def tanh(p: Precision) -> Numbers:
    limit = 0.3467
    return fitted(
        p,
        "exp(r) - 1 = r + r²/2 + r³ Q(r), |r| <= ln 2 / 2; relative",
        lambda r: (mp.expm1(r) - r - r**2 / 2) / r**3,
        (-limit, limit),
        list(range(p.pick(10, 5))),
        lambda r: r**3 / mp.expm1(r),
    )


@derived
def sinh(p: Precision) -> Numbers:
    limit = 0.3467
    return fitted(
        p,
        "sinh(r) = r + r z S(z), z = r², |r| <= ln 2 / 2; relative",
        lambda z: (mp.sinh(mp.sqrt(z)) / mp.sqrt(z) - 1) / z,
        (1e-9, limit**2),
        list(range(p.pick(5, 3))),
        lambda z: z * mp.sqrt(z) / mp.sinh(mp.sqrt(z)),
    )


@derived
def cosh(p: Precision) -> Numbers:
    limit = 0.3467
    return fitted(
        p,
        "cosh(r) = 1 + z C(z), z = r², |r| <= ln 2 / 2; relative",
        lambda z: (mp.cosh(mp.sqrt(z)) - 1) / z,
        (1e-9, limit**2),
        list(range(p.pick(5, 3))),
        lambda z: z / mp.cosh(mp.sqrt(z)),
    )


@derived
def log(p: Precision) -> Numbers:
    limit = 0.17158  # (√2 − 1)/(√2 + 1)
    return fitted(
        p,
        "log((1 + s)/(1 - s)) = 2 s + s z R(z), z = s² and 1 + f = (1 + s)/(1 - s) in [√½, √2]; relative",
        lambda z: (2 * mp.atanh(mp.sqrt(z)) / mp.sqrt(z) - 2) / z,
        (1e-9, limit**2),
        list(range(p.pick(7, 3))),
        lambda z: z / 2,
    )


TABLE_ROWS = 16


def near_inverse(row: int) -> Fraction:
    """c next to the inverse of the fractions m in [47/64, 47/32) whose leading four bits, rounded, are `row`, such that
    m c - 1 is always a float and small; 1 next to 1, so that the logarithm has no other part there."""
    if row == 0:
        return Fraction(1)
    steps, digits = (16, 0) if row < 8 else (32, 1)
    ends = [Fraction(16 + row, steps) + Fraction(side, 2 * steps) for side in (-1, 1)]

    def rest(c: Fraction) -> Fraction:
        return max(abs(c * end - 1) for end in ends)

    # m ends at fraction_bits, one further below 1, and c at its own last digit
    allowed = [c for c in (Fraction(k, 64) for k in range(32, 96)) if rest(c) * c.denominator < Fraction(2, 2**digits)]
    return min(allowed, key=rest)


def logarithms(p: Precision, base: int | None) -> Numbers:
    """Rows c, hi, lo: c near the inverse of the centre, hi + lo the logarithm of 1/c, hi + k log 2 without error."""
    found: list[float] = []
    for row in range(TABLE_ROWS):
        with mp.workdps(80):
            inverse = near_inverse(row)
            c = mpf(inverse.numerator) / inverse.denominator
            value = -(mp.ln(c) if base is None else mp.log(c, base))
            hi = mp.nint(mp.ldexp(value, p.short)) / mpf(2) ** p.short
        found += [float(c), float(hi), *parts(lambda v=value - hi: v, [p.full], "")[0]]  # type: ignore[misc]
    return found, f"16 rows c, hi, lo with hi + lo = log{'' if base is None else base} of 1/c"


@derived
def log_table(p: Precision) -> Numbers:
    return logarithms(p, None)


@derived
def log2_table(p: Precision) -> Numbers:
    return logarithms(p, 2)


@derived
def log10_table(p: Precision) -> Numbers:
    return logarithms(p, 10)


LARGEST_REST = 0.0345  # of m c - 1: half the distance of two centres, and the rounding of c


@derived
def log_pair(p: Precision) -> Numbers:
    return fitted(
        p,
        f"log(1 + r) = r - r²/2 + r³ P(r), |r| <= {LARGEST_REST}; relative",
        lambda r: (mp.log1p(r) - r + r**2 / 2) / r**3,
        (-LARGEST_REST, LARGEST_REST),
        list(range(p.pick(10, 5))),
        lambda r: r**3 / mp.log1p(r),
    )


def scaled_logarithm(p: Precision, base: int) -> Numbers:
    with mp.workdps(DIGITS):
        scale = mp.ln(base)
    return fitted(
        p,
        f"log{base}(1 + r) = r / ln {base} + r² P(r), |r| <= {LARGEST_REST}; relative",
        lambda r: (mp.log1p(r) - r) / r**2 / scale,
        (-LARGEST_REST, LARGEST_REST),
        list(range(p.pick(9, 5))),
        lambda r: r**2 / mp.log1p(r) * scale,
    )


@derived
def log2(p: Precision) -> Numbers:
    return scaled_logarithm(p, 2)


@derived
def log10(p: Precision) -> Numbers:
    return scaled_logarithm(p, 10)


@derived
def cbrt_guess(p: Precision) -> Numbers:
    """The addend B of B - (leading bits)/3 that levels the largest relative errors of a^(-1/3)."""
    real, integer, shift = p.pick("<d", "<f"), p.pick("<q", "<i"), p.pick(32, 8)

    def errors(addend: float) -> list[float]:
        found = []
        for i in range(1, 3 * 256):
            a = 2.0 ** (i // 256) * (1 + (i % 256) / 256)
            top = struct.unpack(integer, struct.pack(real, a))[0] >> shift
            guess = struct.unpack(real, struct.pack(integer, round(addend - top / 3) << shift))[0]
            found.append(guess * a ** (1 / 3) - 1)
        return found

    low, high = p.pick((float(0x54000000), float(0x56000000)), (float(0x540000), float(0x560000)))
    for _ in range(40):
        middle = (low + high) / 2
        found = errors(middle)
        low, high = (low, middle) if max(found) > -min(found) else (middle, high)
    return [float(round(low))], f"cbrt: addend of the first guess; error {max(errors(low)):.3f}"


@derived
def cbrt(p: Precision) -> Numbers:
    return fitted(
        p,
        "(1 - e)^(-1/3), |e| <= 0.125",
        lambda e: (1 - e) ** (-mpf(1) / 3),
        (-0.125, 0.125),
        list(range(p.pick(5, 3))),
    )


def erf_ratio(p: Precision, what: str, limit: float, middle: float, terms: int, scale: Callable[[mpf], mpf]) -> Numbers:
    """P of erf(x) = x + x P(x² - middle) for x <= limit, with small error relative to `scale` of x."""

    def root(u: mpf) -> mpf:
        return mp.sqrt(u + middle)

    return fitted(
        p,
        f"erf(x) = x + x P(z - {middle}), z = x² <= {limit}²; relative to {what}",
        lambda u: mp.erf(root(u)) / root(u) - 1,
        (1e-8 - middle, limit**2 - middle),
        list(range(terms)),
        lambda u: root(u) / scale(root(u)),
    )


@derived
def erf_small(p: Precision) -> Numbers:
    return erf_ratio(p, "erf(x)", p.cuts.erf, p.cuts.erf_middle, p.pick(14, 8), mp.erf)


@derived
def erfc_small(p: Precision) -> Numbers:
    return erf_ratio(p, "erfc(x)", p.cuts.erfc, p.cuts.erfc_middle, p.pick(12, 7), mp.erfc)


def scaled_erfc(x: mpf) -> mpf:
    return mp.exp(x * x) * mp.erfc(x)


@derived
def erf_large(p: Precision) -> Numbers:
    cuts = p.cuts

    def x(u: mpf) -> mpf:
        return 1 / (u + cuts.erf_centre) - cuts.erf_pole

    return fitted(
        p,
        f"erf(x) = 1 - e^(-x²) t Q(t - {cuts.erf_centre}), t = 1/(x + {cuts.erf_pole}), "
        f"{cuts.erf} <= x <= {cuts.erf_end}; relative",
        lambda u: scaled_erfc(x(u)) / (u + cuts.erf_centre),
        (1 / (cuts.erf_end + cuts.erf_pole) - cuts.erf_centre, 1 / (cuts.erf + cuts.erf_pole) - cuts.erf_centre),
        list(range(p.pick(12, 5))),
        lambda u: (u + cuts.erf_centre) * mp.exp(-(x(u) ** 2)) / mp.erf(x(u)),
    )


@derived
def erfc_large(p: Precision) -> Numbers:
    cuts = p.cuts

    def x(t: mpf) -> mpf:
        return cuts.erfc_pole * (1 + t) / (1 - t)

    def ends(y: float) -> float:
        return (y - cuts.erfc_pole) / (y + cuts.erfc_pole)

    def target(t: mpf) -> mpf:
        return scaled_erfc(x(t)) * (x(t) + cuts.erfc_near_pole)

    with mp.workdps(DIGITS):
        centre = target(mpf(0))
    constant, _ = parts(lambda: target(mpf(0)), [p.full, p.full], "")
    numbers, what = fitted(
        p,
        f"erfc(x) = e^(-x²) c (1 + t Q(t))/(x + {cuts.erfc_near_pole}), t = (x - k)/(x + k), k = {cuts.erfc_pole}, "
        f"{cuts.erfc} <= x <= {cuts.erfc_end}, c in two parts; relative",
        lambda t: (target(t) / centre - 1) / t,
        (ends(cuts.erfc), ends(cuts.erfc_end)),
        list(range(p.pick(20, 9))),
        lambda t: abs(t) * centre / target(t),
    )
    return constant + numbers, what


@derived
def log2_e(p: Precision) -> Numbers:
    return parts(lambda: 1 / mp.ln(2), [p.full, p.full], "1/ln 2 = hi + lo")


@derived
def log10_e(p: Precision) -> Numbers:
    return parts(lambda: 1 / mp.ln(10), [p.full, p.full], "1/ln 10 = hi + lo")


@derived
def log10_2(p: Precision) -> Numbers:
    return parts(lambda: mp.log10(2), [p.short, p.full], "log10(2) = hi + lo, hi short")


@derived
def half_pi(p: Precision) -> Numbers:
    # 33 bits: n·part is exact for |n| < 2^20; rounded down, so that all parts are positive and -0.0 is kept
    with mp.workdps(80):
        leading = mp.floor(mp.ldexp(mp.pi, p.full - 2)) / mpf(2) ** (p.full - 1)
    rest, _ = parts(lambda: mp.pi / 2 - leading, [p.pick(33, 12), p.full], "")
    return [float(leading), *rest], "π/2 in three parts, the second short"


@derived
def half_pi_short(p: Precision) -> Numbers:
    # 33 bits: n·part is exact for |n| < 2^20 without fused multiply-add
    return parts(lambda: mp.pi / 2, [p.pick(33, 12)] * 3 + [p.full], "π/2 in four parts, the first three short")


@derived
def half_pi_pair(p: Precision) -> Numbers:
    return parts(lambda: mp.pi / 2, [p.full, p.full], "π/2 = hi + lo")


@derived
def quarter_pi_pair(p: Precision) -> Numbers:
    return parts(lambda: mp.pi / 4, [p.full, p.full], "π/4 = hi + lo")


@derived
def atan(p: Precision) -> Numbers:
    return fitted(
        p,
        "atan(t) = t + t z A(z), z = t², |t| <= 1/2; relative",
        lambda z: (mp.atan(mp.sqrt(z)) / mp.sqrt(z) - 1) / z,
        (1e-9, 0.2501),
        list(range(p.pick(13, 6))),
        lambda z: z * mp.sqrt(z) / mp.atan(mp.sqrt(z)),
    )


@derived
def asin(p: Precision) -> Numbers:
    return fitted(
        p,
        "asin(s) = s + s z A(z), z = s², |s| <= 1/2; relative",
        lambda z: (mp.asin(mp.sqrt(z)) / mp.sqrt(z) - 1) / z,
        (1e-9, 0.25),
        list(range(p.pick(13, 5))),
        lambda z: z * mp.sqrt(z) / mp.asin(mp.sqrt(z)),
    )


@derived
def asinh(p: Precision) -> Numbers:
    return fitted(
        p,
        "asinh(y) = y + y z P(z), z = y², y <= 1/2; relative",
        lambda z: (mp.asinh(mp.sqrt(z)) / mp.sqrt(z) - 1) / z,
        (1e-9, 0.2501),
        list(range(p.pick(13, 5))),
        lambda z: z * mp.sqrt(z) / mp.asinh(mp.sqrt(z)),
    )


@derived
def acosh(p: Precision) -> Numbers:
    return fitted(
        p,
        "acosh(1 + d) = √(2 d) (1 + d P(d)), d <= 1/2; relative",
        lambda d: (mp.acosh(1 + d) / mp.sqrt(2 * d) - 1) / d,
        (1e-9, 0.5),
        list(range(p.pick(13, 6))),
        lambda d: d * mp.sqrt(2 * d) / mp.acosh(1 + d),
    )


@derived
def atanh(p: Precision) -> Numbers:
    return fitted(
        p,
        "atanh(s) = s + s z P(z), z = s², s <= 1/3; relative",
        lambda z: (mp.atanh(mp.sqrt(z)) / mp.sqrt(z) - 1) / z,
        (1e-9, 0.1112),
        list(range(p.pick(11, 4))),
        lambda z: z * mp.sqrt(z) / mp.atanh(mp.sqrt(z)),
    )


@derived
def sin(p: Precision) -> Numbers:
    limit = 0.7855  # π/4
    return fitted(
        p,
        "sin(r) = r + r z S(z), z = r², |r| <= π/4; relative",
        lambda z: (mp.sin(mp.sqrt(z)) / mp.sqrt(z) - 1) / z,
        (1e-8, limit**2),
        list(range(p.pick(6, 3))),
        lambda z: z * mp.sqrt(z) / mp.sin(mp.sqrt(z)),
    )


@derived
def cos(p: Precision) -> Numbers:
    limit = 0.7855
    return fitted(
        p,
        "cos(r) = 1 - z/2 + z² C(z), z = r², |r| <= π/4; relative",
        lambda z: (mp.cos(mp.sqrt(z)) - 1 + z / 2) / z**2,
        (1e-4, limit**2),
        list(range(p.pick(6, 3))),
        lambda z: z**2 / mp.cos(mp.sqrt(z)),
    )


@derived_wide
def pi_pair(p: Precision) -> Numbers:
    return parts(lambda: +mp.pi, [p.full, p.full], "π = hi + lo")


@derived_wide
def half_log_two_pi(p: Precision) -> Numbers:
    return parts(lambda: mp.ln(2 * mp.pi) / 2, [p.full, p.full], "ln(2 π)/2 = hi + lo")


def from_inverse_square(v: mpf) -> mpf:
    return 1 / mp.sqrt(v)


@derived_wide
def stirling(p: Precision) -> Numbers:
    def rest(v: mpf) -> mpf:
        w = from_inverse_square(v)
        return (mp.loggamma(w) - ((w - mpf(1) / 2) * mp.ln(w) - w + mp.ln(2 * mp.pi) / 2)) * w

    return fitted(
        p,
        "ln Γ(w) = (w - 1/2) ln w - w + ln(2 π)/2 + S(v)/w, v = 1/w², w >= 8; absolute",
        rest,
        (1e-6, 1 / 64),
        list(range(7)),
        lambda v: mp.sqrt(v),
    )


@derived_wide
def digamma(p: Precision) -> Numbers:
    def rest(v: mpf) -> mpf:
        w = from_inverse_square(v)
        return (mp.ln(w) - 1 / (2 * w) - mp.digamma(w)) / v

    return fitted(
        p,
        "ψ(w) = ln w - 1/(2 w) - v D(v), v = 1/w², w >= 8; absolute",
        rest,
        (1e-6, 1 / 64),
        list(range(7)),
        lambda v: v,
    )


@derived_wide
def loggamma(p: Precision) -> Numbers:
    def base(t: mpf) -> mpf:
        return mp.loggamma(2 + t) / (t * (1 + t))

    return fitted(
        p,
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


def text(p: Precision) -> str:
    """The whole of one file."""
    lines = ['"""Written by derive.py; do not edit. Floats in hexadecimal, ascending powers."""\n']
    lines.append("from __future__ import annotations\n\n")
    lines.append("def _floats(text: str) -> tuple[float, ...]:\n    return tuple(map(float.fromhex, text.split()))\n\n")
    for name, derivation in SETS.items():
        if name in ONLY_WIDE and p != WIDE:
            continue
        print(name, end=" ", flush=True, file=sys.stderr)
        numbers, what = derivation(p)
        print(what, file=sys.stderr)
        lines += textwrap.wrap(what, 118, initial_indent="# ", subsequent_indent="# ")
        lines.append(f'{name} = _floats("""')
        lines += [f"    {number.hex()}" for number in numbers]
        lines.append('""")\n')
    if p == WIDE:
        lines.append("# 2/π in 32-bit digits after two zero digits")
        lines.append("TWO_OVER_PI = (")
        lines += [f"    0x{word:08X}," for word in two_over_pi_words()]
        lines.append(")\n")
    lines[-1] = lines[-1].rstrip("\n")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    for precision in (WIDE, NARROW):
        precision.file.write_text(text(precision), encoding="utf-8")
