"""Written by derive.py; do not edit. Floats in hexadecimal, ascending powers."""

from __future__ import annotations


def _floats(text: str) -> tuple[float, ...]:
    return tuple(map(float.fromhex, text.split()))


# ln 2 = hi + lo
LN2 = _floats("""
    0x1.62e4000000000p-1
    0x1.7f7d1c0000000p-20
""")

# ln 2 = hi + lo, both full
LN2_FULL = _floats("""
    0x1.62e4300000000p-1
    -0x1.05c6100000000p-29
""")

# exp(r) = 1 + r + r² Q(r), |r| <= ln 2 / 2; relative; error 3.1e-09
EXP = _floats("""
    0x1.fffffc0000000p-2
    0x1.5554920000000p-3
    0x1.5558ac0000000p-5
    0x1.1239880000000p-7
    0x1.6a51bc0000000p-10
""")

# exp(r) - 1 = r + r²/2 + r³ Q(r), r in [-0.2515, 0.443]; relative; error 3.4e-10
EXPM1 = _floats("""
    0x1.55555a0000000p-3
    0x1.5555680000000p-5
    0x1.1103ee0000000p-7
    0x1.6c4a8a0000000p-10
    0x1.c290ca0000000p-13
""")

# exp(r) - 1 = r + r²/2 + r³ Q(r), |r| <= ln 2 / 2; relative; error 4.6e-10
TANH = _floats("""
    0x1.5555540000000p-3
    0x1.5554f20000000p-5
    0x1.1113060000000p-7
    0x1.6d41240000000p-10
    0x1.9e0c740000000p-13
""")

# sinh(r) = r + r z S(z), z = r², |r| <= ln 2 / 2; relative; error 5.3e-11
SINH = _floats("""
    0x1.5555560000000p-3
    0x1.110fe20000000p-7
    0x1.a28f140000000p-13
""")

# cosh(r) = 1 + z C(z), z = r², |r| <= ln 2 / 2; relative; error 1.0e-10
COSH = _floats("""
    0x1.0000000000000p-1
    0x1.5554e40000000p-5
    0x1.6d515c0000000p-10
""")

# log((1 + s)/(1 - s)) = 2 s + s z R(z), z = s² and 1 + f = (1 + s)/(1 - s) in [√½, √2]; relative; error 8.1e-10
LOG = _floats("""
    0x1.55557a0000000p-1
    0x1.995ed60000000p-2
    0x1.31e0880000000p-2
""")

# log((1 + s)/(1 - s)) = 2 s + s z (2/3, in two parts, + z R(z)), z = s²; relative; error 8.5e-12
LOG_PAIR = _floats("""
    0x1.5555560000000p-1
    -0x1.5555560000000p-26
    0x1.999a000000000p-2
    0x1.2452800000000p-2
    0x1.dfa1100000000p-3
""")

# cbrt: addend of the first guess; error 0.034
CBRT_GUESS = _floats("""
    0x1.5288c40000000p+22
""")

# (1 - e)^(-1/3), |e| <= 0.125; error 8.6e-05
CBRT = _floats("""
    0x1.fffed20000000p-1
    0x1.576d700000000p-2
    0x1.ccf4ee0000000p-3
""")

# erf(x) = x + x P(z - 0.72), z = x² <= 1.2²; relative to erf(x); error 2.2e-09
ERF_SMALL = _floats("""
    -0x1.7bbe040000000p-4
    -0x1.fd39700000000p-3
    0x1.17bdbe0000000p-4
    -0x1.fb26120000000p-7
    0x1.7e3c380000000p-9
    -0x1.e9aa980000000p-12
    0x1.1323e00000000p-14
    -0x1.0cd11a0000000p-17
""")

# erf(x) = x + x P(z - 0.36), z = x² <= 0.85²; relative to erfc(x); error 5.5e-10
ERFC_SMALL = _floats("""
    0x1.a5301e0000000p-8
    -0x1.37ba3c0000000p-2
    0x1.66756c0000000p-4
    -0x1.4d5f0c0000000p-6
    0x1.feee3a0000000p-9
    -0x1.4b21140000000p-11
    0x1.5649f40000000p-14
""")

# erf(x) = 1 - e^(-x²) t Q(t - 0.17), t = 1/(x + 3.0), 1.2 <= x <= 3.95; relative; error 1.1e-09
ERF_LARGE = _floats("""
    0x1.1789080000000p+0
    0x1.5c3f580000000p+2
    0x1.613b720000000p+4
    0x1.064f340000000p+6
    0x1.9157240000000p+7
""")

# erfc(x) = e^(-x²) c (1 + t Q(t))/(x + 0.4375), t = (x - k)/(x + k), k = 3.5, 0.85 <= x <= 10.2, c in two parts;
# relative; error 2.7e-09
ERFC_LARGE = _floats("""
    0x1.3912700000000p-1
    -0x1.8b2a520000000p-26
    -0x1.5bd46a0000000p-4
    -0x1.09ea720000000p-5
    0x1.8a2d2a0000000p-4
    -0x1.a8fc440000000p-4
    0x1.3995360000000p-4
    -0x1.55b62e0000000p-5
    0x1.09cbc20000000p-6
    -0x1.a460a60000000p-9
    -0x1.46cb440000000p-11
""")

# 1/ln 2 = hi + lo
LOG2_E = _floats("""
    0x1.7154760000000p+0
    0x1.4ae0c00000000p-26
""")

# 1/ln 10 = hi + lo
LOG10_E = _floats("""
    0x1.bcb7b20000000p-2
    -0x1.5b235e0000000p-27
""")

# log10(2) = hi + lo, hi short
LOG10_2 = _floats("""
    0x1.3440000000000p-2
    0x1.3509f80000000p-18
""")

# π/2 in three parts, the second short
HALF_PI = _floats("""
    0x1.921fb40000000p+0
    0x1.4440000000000p-24
    0x1.68c2340000000p-39
""")

# π/2 in four parts, the first three short
HALF_PI_SHORT = _floats("""
    0x1.9220000000000p+0
    -0x1.2ae0000000000p-18
    -0x1.dea0000000000p-31
    0x1.1846980000000p-44
""")

# π/2 = hi + lo
HALF_PI_PAIR = _floats("""
    0x1.921fb60000000p+0
    -0x1.777a5c0000000p-25
""")

# π/4 = hi + lo
QUARTER_PI_PAIR = _floats("""
    0x1.921fb60000000p-1
    -0x1.777a5c0000000p-26
""")

# atan(t) = t + t z A(z), z = t², |t| <= 1/2; relative; error 2.8e-10
ATAN = _floats("""
    -0x1.5555520000000p-2
    0x1.9997440000000p-3
    -0x1.24502c0000000p-3
    0x1.c071d80000000p-4
    -0x1.480a080000000p-4
    0x1.3fc97e0000000p-5
""")

# asin(s) = s + s z A(z), z = s², |s| <= 1/2; relative; error 4.9e-09
ASIN = _floats("""
    0x1.5555c80000000p-3
    0x1.3302060000000p-4
    0x1.747b7a0000000p-5
    0x1.8c40ae0000000p-6
    0x1.595a860000000p-5
""")

# asinh(y) = y + y z P(z), z = y², y <= 1/2; relative; error 1.3e-09
ASINH = _floats("""
    -0x1.5555360000000p-3
    0x1.3324fa0000000p-4
    -0x1.6b97120000000p-5
    0x1.cd737c0000000p-6
    -0x1.b188f60000000p-7
""")

# acosh(1 + d) = √(2 d) (1 + d P(d)), d <= 1/2; relative; error 6.2e-11
ACOSH = _floats("""
    -0x1.5555540000000p-4
    0x1.33323a0000000p-6
    -0x1.6d7eba0000000p-8
    0x1.ec11a80000000p-10
    -0x1.487c9c0000000p-11
    0x1.2f4d2a0000000p-13
""")

# atanh(s) = s + s z P(z), z = s², s <= 1/3; relative; error 4.5e-09
ATANH = _floats("""
    0x1.5555020000000p-2
    0x1.99d1d60000000p-3
    0x1.1ebf260000000p-3
    0x1.1ed15e0000000p-3
""")

# sin(r) = r + r z S(z), z = r², |r| <= π/4; relative; error 4.0e-09
SIN = _floats("""
    -0x1.5555460000000p-3
    0x1.1107780000000p-7
    -0x1.9953fc0000000p-13
""")

# cos(r) = 1 - z/2 + z² C(z), z = r², |r| <= π/4; relative; error 1.2e-10
COS = _floats("""
    0x1.55554a0000000p-5
    -0x1.6c0c2a0000000p-10
    0x1.99e9100000000p-16
""")
