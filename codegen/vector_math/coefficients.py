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

# exp(r) = 1 + r + r² Q(r), |r| <= ln 2 / 2; relative; error 3.8e-18
EXP = _floats("""
    0x1.000000000000ap-1
    0x1.55555555554fcp-3
    0x1.55555555506a2p-5
    0x1.1111111127233p-7
    0x1.6c16c1847f573p-10
    0x1.a01a012dd457bp-13
    0x1.a01999444ea8bp-16
    0x1.71df1d2688251p-19
    0x1.28ae1805fb5d7p-22
    0x1.ad8ce4505d1c1p-26
""")

# exp(r) - 1 = r + r²/2 + r³ Q(r), r in [-0.2515, 0.443]; relative; error 3.2e-19
EXPM1 = _floats("""
    0x1.5555555555551p-3
    0x1.5555555555553p-5
    0x1.11111111132f7p-7
    0x1.6c16c16c0716cp-10
    0x1.a01a018afc470p-13
    0x1.a01a02dadd3edp-16
    0x1.71de8bf783b82p-19
    0x1.27ddc7594b1b1p-22
    0x1.adb9c705b26b1p-26
    0x1.393e359e8092fp-29
""")

# sinh(r) = r + r z S(z), z = r², |r| <= ln 2 / 2; relative; error 2.7e-19
SINH = _floats("""
    0x1.5555555555559p-3
    0x1.111111110f652p-7
    0x1.a01a01b005423p-13
    0x1.71ddf80a01b98p-19
    0x1.af5f36cba5416p-26
""")

# cosh(r) = 1 + z C(z), z = r², |r| <= ln 2 / 2; relative; error 3.4e-18
COSH = _floats("""
    0x1.000000000000bp-1
    0x1.555555555025cp-5
    0x1.6c16c185416edp-10
    0x1.a019978354847p-16
    0x1.28af84f45d848p-22
""")

# log((1 + s)/(1 - s)) = 2 s + s z R(z), z = s² and 1 + f = (1 + s)/(1 - s) in [√½, √2]; relative; error 1.2e-18
LOG = _floats("""
    0x1.5555555555592p-1
    0x1.999999997ff23p-2
    0x1.24924941e0c65p-2
    0x1.c71c5214aa321p-3
    0x1.74663ce2a0b8dp-3
    0x1.39a1e90c2cf6cp-3
    0x1.2f03c01b78893p-3
""")

# log((1 + s)/(1 - s)) = 2 s + s z (2/3, in two parts, + z R(z)), z = s²; relative; error 7.7e-23
LOG_PAIR = _floats("""
    0x1.5555555555555p-1
    0x1.5555555555555p-55
    0x1.9999999999996p-2
    0x1.2492492492f4ap-2
    0x1.c71c71c597c00p-3
    0x1.745d1828b23d9p-3
    0x1.3b1364f6afd47p-3
    0x1.1120685c7c758p-3
    0x1.de3e80111a762p-4
    0x1.eabd2b754880ep-4
""")

# cbrt: addend of the first guess; error 0.034
CBRT_GUESS = _floats("""
    0x1.54fbc33800000p+30
""")

# (1 - e)^(-1/3), |e| <= 0.125; error 2.4e-07
CBRT = _floats("""
    0x1.0000007462f35p+0
    0x1.5552caf9511e8p-2
    0x1.c710a6e0258e9p-3
    0x1.6708dd200bdafp-3
    0x1.2d4c24d6d77c0p-3
""")

# erf(x) = x + x P(z - 0.72), z = x² <= 1.2²; relative; error 3.1e-18
ERF_SMALL = _floats("""
    -0x1.7bbe048064cb1p-4
    -0x1.fd39701e4128ap-3
    0x1.17bdbed0fa20cp-4
    -0x1.fb26030133950p-7
    0x1.7e41e3ae95a28p-9
    -0x1.e9b2896296019p-12
    0x1.0fe96bba9010cp-14
    -0x1.0a1ad4f6d30e0p-17
    0x1.d12e7429ac71bp-21
    -0x1.6f2929f3701f2p-24
    0x1.08160bb5056eap-27
    -0x1.5cfb7cd7ebd02p-31
    0x1.ad4cfd737ed00p-35
    -0x1.d9390b6c8505ap-39
""")

# erf(x) = 1 - e^(-x²) t Q(t - 0.17), t = 1/(x + 3.0), 1.2 <= x <= 5.95; relative; error 8.3e-20
ERF_LARGE = _floats("""
    0x1.1787a2ce04437p+0
    0x1.5c6f153e17d14p+2
    0x1.5ede24fc2cf26p+4
    0x1.149916e641045p+6
    0x1.3cbf9de2662c5p+7
    0x1.9e8df3fe8fbc1p+7
    -0x1.32a8f9af9ca94p+6
    -0x1.b457956fa478ap+9
    -0x1.a167f0321619ep+9
    0x1.758ef4737d4cdp+11
    0x1.95f1ea85214d4p+12
    -0x1.1af11b28b1a23p+14
""")

# erf(x) = x + x P(z), z = x² <= 1/4; relative to erfc(x); error 1.7e-18
ERFC_SMALL = _floats("""
    0x1.06eba8214db67p-3
    -0x1.812746b037922p-2
    0x1.ce2f21a035458p-4
    -0x1.b82ce30be5d4ap-6
    0x1.565bcb4989988p-8
    -0x1.c02d25e3067e5p-11
    0x1.f9881a1759986p-14
    -0x1.f1be76bb8549ap-17
    0x1.88484e187edfep-20
""")

# erfc(x) = e^(-x²) c (1 + t Q(t))/(x + 0.4375), t = (x - k)/(x + k), k = 3.5, 0.5 <= x <= 27.3, c in two parts; relative; error 7.6e-19
ERFC_LARGE = _floats("""
    0x1.39126f3a6ad70p-1
    -0x1.713d809721d69p-55
    -0x1.5bd461f711908p-4
    -0x1.09ea293b822dep-5
    0x1.8a2b274a929b8p-4
    -0x1.a9012ae5b15f3p-4
    0x1.39b4b070a6b2fp-4
    -0x1.5543a751a1da4p-5
    0x1.06fb990a99b60p-6
    -0x1.c756f206fae3cp-9
    -0x1.2219373276ec0p-12
    0x1.ef8045a62f767p-12
    -0x1.9ebf43e1a986cp-14
    -0x1.30e74e9f54fc9p-15
    0x1.4f9fef298cff0p-16
    0x1.146098ffcd7e9p-19
    -0x1.a7b9deb807f25p-19
    -0x1.df7e41b7df69bp-25
    0x1.0ae8b87f7c74fp-21
    -0x1.f46b6bc42a7cap-29
    -0x1.4ab3c3866b4b5p-24
    0x1.027268fe01d57p-33
    0x1.27552b2ad6d01p-27
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
    0x1.99999999990dap-3
    -0x1.24924924537eap-3
    0x1.c71c71aaf7959p-4
    -0x1.745d138fe52d7p-4
    0x1.3b1360b5dc5edp-4
    -0x1.110c7127041b7p-4
    0x1.e182d456db59bp-5
    -0x1.ac728ce35858bp-5
    0x1.77fb652b4aceap-5
    -0x1.301ad3a7893bfp-5
    0x1.83a0b5b3d7052p-6
    -0x1.1230ecad3bc88p-7
""")

# asin(s) = s + s z A(z), z = s², |s| <= 1/2; relative; error 9.5e-19
ASIN = _floats("""
    0x1.5555555555577p-3
    0x1.333333332e133p-4
    0x1.6db6db7212472p-5
    0x1.f1c71a95004b6p-6
    0x1.6e8bdedebcf39p-6
    0x1.1c49f0786e4a5p-6
    0x1.ca1f8acfc7c57p-7
    0x1.75859fa6cb603p-7
    0x1.613c0d703d53cp-7
    0x1.e5fd4c17944c5p-9
    0x1.6399fd8317b9ap-6
    -0x1.57f9dd2a7fdd3p-6
    0x1.0b458f5a44e33p-5
""")

# sin(r) = r + r z S(z), z = r², |r| <= π/4; relative; error 3.8e-18
SIN = _floats("""
    -0x1.5555555555548p-3
    0x1.111111110f75dp-7
    -0x1.a01a019bf229cp-13
    0x1.71de355f105c8p-19
    -0x1.ae5e547d50b53p-26
    0x1.5d8e38dfee82cp-33
""")

# cos(r) = 1 - z/2 + z² C(z), z = r², |r| <= π/4; relative; error 5.7e-20
COS = _floats("""
    0x1.555555555554bp-5
    -0x1.6c16c16c15018p-10
    0x1.a01a019c8f897p-16
    -0x1.27e4f7f1dc5fbp-22
    0x1.1ee9dbff0b941p-29
    -0x1.8fa69ab4d207bp-37
""")

# π = hi + lo
PI_PAIR = _floats("""
    0x1.921fb54442d18p+1
    0x1.1a62633145c07p-53
""")

# ln(2 π)/2 = hi + lo
HALF_LOG_TWO_PI = _floats("""
    0x1.d67f1c864beb5p-1
    -0x1.65b5a1b7ff5dfp-55
""")

# ln Γ(w) = (w - 1/2) ln w - w + ln(2 π)/2 + S(v)/w, v = 1/w², w >= 8; absolute; error 3.9e-20
STIRLING = _floats("""
    0x1.5555555555555p-4
    -0x1.6c16c16c10b17p-9
    0x1.a01a015ede2d7p-11
    -0x1.3813330ac7fa7p-11
    0x1.b9215482331f7p-11
    -0x1.ee7877d005c58p-10
    0x1.46b150773a390p-8
""")

# ψ(w) = ln w - 1/(2 w) - v D(v), v = 1/w², w >= 8; absolute; error 3.4e-20
DIGAMMA = _floats("""
    0x1.5555555555549p-4
    -0x1.11111110e8b3fp-7
    0x1.0410405218924p-8
    -0x1.111056d711d2cp-8
    0x1.f01344fb49cfcp-8
    -0x1.515a2829cafc3p-6
    0x1.f84e6e3e6f1e8p-5
""")

# ln Γ(2 + t) = t (1 + t) P(t), |t| <= 1/2; relative; error 1.4e-17
LOGGAMMA = _floats("""
    0x1.b0ee6072093cep-2
    -0x1.9ae6509ea10a0p-4
    0x1.0e0c9df2934d6p-5
    -0x1.95ce223a9c552p-7
    0x1.47974853d406ap-8
    -0x1.145121fa179aap-9
    0x1.dfebcf4c6a9cfp-11
    -0x1.a96a3f902c7c1p-12
    0x1.7ed74afeadfc7p-13
    -0x1.5c86da5e575dfp-14
    0x1.402aa415eefb8p-15
    -0x1.284a7874ff4dep-16
    0x1.145f2993cd335p-17
    -0x1.02c23064ea03cp-18
    0x1.d618055160b18p-20
    -0x1.b9569597c0b89p-21
    0x1.18094f4293b4ep-21
    -0x1.0e026eab8a00dp-22
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
