"""Written by derive.py; do not edit. Floats in hexadecimal, ascending powers."""

from __future__ import annotations


def _floats(text: str) -> tuple[float, ...]:
    return tuple(map(float.fromhex, text.split()))


# ln 2 = hi + lo
LN2 = _floats("""
    0x1.62e42fefa3800p-1
    0x1.ef35793c76730p-45
""")

# ln 2 = hi + lo, both full
LN2_FULL = _floats("""
    0x1.62e42fefa39efp-1
    0x1.abc9e3b39803fp-56
""")

# exp(r) = 1 + r + r² Q(r), |r| <= ln 2 / 2; relative; error 6.7e-18
EXP = _floats("""
    0x1.000000000000ap-1
    0x1.5555555555502p-3
    0x1.5555555550738p-5
    0x1.1111111126f3dp-7
    0x1.6c16c184490aep-10
    0x1.a01a01254aeaep-13
    0x1.a01999ebd807ep-16
    0x1.71df3b9d59e3ap-19
    0x1.28ad85e3f00ebp-22
    0x1.ad5a98701e9dbp-26
""")

# exp(r) - 1 = r + r²/2 + r³ Q(r), r in [-0.2515, 0.443]; relative; error 3.4e-19
EXPM1 = _floats("""
    0x1.5555555555551p-3
    0x1.555555555553fp-5
    0x1.111111111348ap-7
    0x1.6c16c16c12578p-10
    0x1.a01a01894efcfp-13
    0x1.a01a02a422db8p-16
    0x1.71de9556eebe0p-19
    0x1.27ddf008eb52cp-22
    0x1.ad97bc2e0b4f6p-26
    0x1.3a6f9b6a7188ep-29
""")

# sinh(r) = r + r z S(z), z = r², |r| <= ln 2 / 2; relative; error 2.7e-19
SINH = _floats("""
    0x1.5555555555559p-3
    0x1.111111110f625p-7
    0x1.a01a01b02449bp-13
    0x1.71ddf7a0f7064p-19
    0x1.af601574b359ep-26
""")

# cosh(r) = 1 + z C(z), z = r², |r| <= ln 2 / 2; relative; error 3.4e-18
COSH = _floats("""
    0x1.000000000000bp-1
    0x1.555555555024ap-5
    0x1.6c16c185466c8p-10
    0x1.a01997752cf25p-16
    0x1.28af91e55efe9p-22
""")

# log((1 + s)/(1 - s)) = 2 s + s z R(z), z = s² and 1 + f = (1 + s)/(1 - s) in [√½, √2]; relative; error 1.2e-18
LOG = _floats("""
    0x1.5555555555592p-1
    0x1.999999997ff11p-2
    0x1.24924941e1ea7p-2
    0x1.c71c5213c19efp-3
    0x1.74663d0fee305p-3
    0x1.39a1e4bcec6f1p-3
    0x1.2f03e91a2f409p-3
""")

# 1/ln 2 = hi + lo
LOG2_E = _floats("""
    0x1.71547652b82fep+0
    0x1.777d0ffda0d24p-56
""")

# 1/ln 10 = hi + lo
LOG10_E = _floats("""
    0x1.bcb7b1526e50ep-2
    0x1.95355baaafad3p-57
""")

# log10(2) = hi + lo, hi short
LOG10_2 = _floats("""
    0x1.34413509f7800p-2
    0x1.fef311f12b358p-46
""")

# π/2 in three parts, the second short
HALF_PI = _floats("""
    0x1.921fb54442d18p+0
    0x1.1a62633100000p-54
    0x1.1701b839a2520p-88
""")

# π/2 in four parts, the first three short
HALF_PI_SHORT = _floats("""
    0x1.921fb54400000p+0
    0x1.0b4611a600000p-34
    0x1.3198a2e000000p-69
    0x1.b839a252049c1p-104
""")

# π/2 = hi + lo
HALF_PI_PAIR = _floats("""
    0x1.921fb54442d18p+0
    0x1.1a62633145c07p-54
""")

# π/4 = hi + lo
QUARTER_PI_PAIR = _floats("""
    0x1.921fb54442d18p-1
    0x1.1a62633145c07p-55
""")

# atan(t) = t + t z A(z), z = t², |t| <= 1/2; relative; error 2.2e-19
ATAN = _floats("""
    -0x1.5555555555552p-2
    0x1.99999999990d3p-3
    -0x1.2492492453494p-3
    0x1.c71c71aae2b9fp-4
    -0x1.745d138da45a2p-4
    0x1.3b13608edb0e6p-4
    -0x1.110c6f65a9d63p-4
    0x1.e182b8a669f66p-5
    -0x1.ac71f68652ad6p-5
    0x1.77f93bfcb0887p-5
    -0x1.3015ae64d5a68p-5
    0x1.839265cec0099p-6
    -0x1.121f45dfafe78p-7
""")

# asin(s) = s + s z A(z), z = s², |s| <= 1/2; relative; error 1.1e-18
ASIN = _floats("""
    0x1.5555555555577p-3
    0x1.333333332e130p-4
    0x1.6db6db7211959p-5
    0x1.f1c71a95b5982p-6
    0x1.6e8bdebd9e54bp-6
    0x1.1c49f39bc694ap-6
    0x1.ca1f306fe92a6p-7
    0x1.7588d63db0161p-7
    0x1.6129198bdd947p-7
    0x1.e71dc371686b6p-9
    0x1.6344d8ea9eb58p-6
    -0x1.5788ef3d87e03p-6
    0x1.0b25a16e1a18cp-5
""")

# sin(r) = r + r z S(z), z = r², |r| <= π/4; relative; error 3.8e-18
SIN = _floats("""
    -0x1.5555555555548p-3
    0x1.111111110f730p-7
    -0x1.a01a019beb48ap-13
    0x1.71de3559b4890p-19
    -0x1.ae5e513ae6ebap-26
    0x1.5d8d93373ac64p-33
""")

# cos(r) = 1 - z/2 + z² C(z), z = r², |r| <= π/4; relative; error 5.7e-20
COS = _floats("""
    0x1.555555555554bp-5
    -0x1.6c16c16c15013p-10
    0x1.a01a019c8ed1fp-16
    -0x1.27e4f7f143a51p-22
    0x1.1ee9db9109dc0p-29
    -0x1.8fa6609808e68p-37
""")

# Bernoulli numbers B_2, B_4, …, B_20
BERNOULLI = _floats("""
    0x1.5555555555555p-3
    -0x1.1111111111111p-5
    0x1.8618618618618p-6
    -0x1.1111111111111p-5
    0x1.364d9364d9365p-4
    -0x1.0330330330330p-2
    0x1.2aaaaaaaaaaabp+0
    -0x1.c5e5e5e5e5e5ep+2
    0x1.b7c4f8f13e3c5p+5
    -0x1.088fe72cfe72dp+9
""")

# 2/π in 32-bit digits after two zero digits
TWO_OVER_PI = (
    0x00000000,
    0x00000000,
    0xA2F9836E,
    0x4E441529,
    0xFC2757D1,
    0xF534DDC0,
    0xDB629599,
    0x3C439041,
    0xFE5163AB,
    0xDEBBC561,
    0xB7246E3A,
    0x424DD2E0,
    0x06492EEA,
    0x09D1921C,
    0xFE1DEB1C,
    0xB129A73E,
    0xE88235F5,
    0x2EBB4484,
    0xE99C7026,
    0xB45F7E41,
    0x3991D639,
    0x835339F4,
    0x9C845F8B,
    0xBDF9283B,
    0x1FF897FF,
    0xDE05980F,
    0xEF2F118B,
    0x5A0A6D1F,
    0x6D367ECF,
    0x27CB09B7,
    0x4F463F66,
    0x9E5FEA2D,
    0x7527BAC7,
    0xEBE5F17B,
    0x3D0739F7,
    0x8A5292EA,
    0x6BFB5FB1,
    0x1F8D5D08,
    0x56033046,
    0xFC7B6BAB,
)
