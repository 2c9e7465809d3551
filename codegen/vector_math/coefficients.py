"""Written by derive.py; do not edit. Floats in hexadecimal, ascending powers."""

from __future__ import annotations


def _floats(text: str) -> tuple[float, ...]:
    return tuple(map(float.fromhex, text.split()))


# ln 2 = hi + lo
LN2 = _floats("""
    0x1.62e42fefa4000p-1
    -0x1.8432a1b0e2634p-43
""")

# ln 2 = hi + lo, both full
LN2_FULL = _floats("""
    0x1.62e42fefa39efp-1
    0x1.abc9e3b39803fp-56
""")

# exp(r) = 1 + r + r² Q(r), |r| <= ln 2 / 16; relative; error 2.9e-18
EXP = _floats("""
    0x1.000000000010dp-1
    0x1.555555555511ep-3
    0x1.55555547fa9adp-5
    0x1.111111263dc11p-7
    0x1.6c1cc233552e3p-10
    0x1.a0161da2738dfp-13
""")

# 2^(i/8) = hi + lo, i = 0 … 7
EXP_TABLE = _floats("""
    0x1.0000000000000p+0
    0x0.0p+0
    0x1.172b83c7d517bp+0
    -0x1.19041b9d78a76p-55
    0x1.306fe0a31b715p+0
    0x1.6f46ad23182e4p-55
    0x1.4bfdad5362a27p+0
    0x1.d4397afec42e2p-56
    0x1.6a09e667f3bcdp+0
    -0x1.bdd3413b26456p-54
    0x1.8ace5422aa0dbp+0
    0x1.6e9f156864b27p-54
    0x1.ae89f995ad3adp+0
    0x1.7a1cd345dcc81p-54
    0x1.d5818dcfba487p+0
    0x1.2ed02d75b3707p-55
""")

# exp(r) - 1 = r + r²/2 + r³ Q(r), r in [-0.2515, 0.443]; relative; error 3.1e-19
EXPM1 = _floats("""
    0x1.5555555555551p-3
    0x1.5555555555554p-5
    0x1.11111111132f2p-7
    0x1.6c16c16c0697dp-10
    0x1.a01a018b04c29p-13
    0x1.a01a02dd3e75bp-16
    0x1.71de8bbca7cf0p-19
    0x1.27ddc49989458p-22
    0x1.adbab571dad40p-26
    0x1.393748a1a5128p-29
""")

# exp(r) - 1 = r + r²/2 + r³ Q(r), |r| <= ln 2 / 2; relative; error 3.1e-19
TANH = _floats("""
    0x1.5555555555559p-3
    0x1.555555555554ap-5
    0x1.111111110f64dp-7
    0x1.6c16c16c1c09ap-10
    0x1.a01a01b007ec8p-13
    0x1.a01a01874cadbp-16
    0x1.71ddf802b5a5bp-19
    0x1.27e5216cc9510p-22
    0x1.af5f43bc7c005p-26
    0x1.1f04d0ec1c34cp-29
""")

# sinh(r) = r + r z S(z), z = r², |r| <= ln 2 / 2; relative; error 2.7e-19
SINH = _floats("""
    0x1.5555555555559p-3
    0x1.111111110f652p-7
    0x1.a01a01b005485p-13
    0x1.71ddf809dc0a2p-19
    0x1.af5f3736a9fa2p-26
""")

# cosh(r) = 1 + z C(z), z = r², |r| <= ln 2 / 2; relative; error 3.4e-18
COSH = _floats("""
    0x1.000000000000bp-1
    0x1.555555555025cp-5
    0x1.6c16c1854186cp-10
    0x1.a0199782c96ecp-16
    0x1.28af85b489de8p-22
""")

# log((1 + s)/(1 - s)) = 2 s + s z R(z), z = s² and 1 + f = (1 + s)/(1 - s) in [√½, √2]; relative; error 1.2e-18
LOG = _floats("""
    0x1.5555555555592p-1
    0x1.999999997ff0fp-2
    0x1.24924941e251bp-2
    0x1.c71c52133837fp-3
    0x1.74663d34dbe79p-3
    0x1.39a1e050af8e1p-3
    0x1.2f041b622807bp-3
""")

# 16 rows c, hi, lo with hi + lo = log of 1/c
LOG_TABLE = _floats("""
    0x1.0000000000000p+0
    0x0.0p+0
    0x0.0p+0
    0x1.e000000000000p-1
    0x1.08598b59e0000p-4
    0x1.d034451fecdfbp-43
    0x1.c800000000000p-1
    0x1.da72763840000p-4
    0x1.1a89401fa7173p-42
    0x1.b000000000000p-1
    0x1.5bf406b540000p-3
    0x1.ed8fdc149767ep-42
    0x1.9800000000000p-1
    0x1.d1037f2650000p-3
    0x1.79ed606292424p-41
    0x1.8800000000000p-1
    0x1.1178e82280000p-2
    -0x1.b8421cc74be04p-42
    0x1.7000000000000p-1
    0x1.522ae07388000p-2
    0x1.1ebe708164c76p-41
    0x1.6000000000000p-1
    0x1.7fafa3bd80000p-2
    0x1.51bede6fdb533p-42
    0x1.5800000000000p+0
    -0x1.2e8e2bae10000p-2
    -0x1.d309c2cc91a85p-42
    0x1.4800000000000p+0
    -0x1.fb9186d5e0000p-3
    -0x1.f1546aaa3361cp-42
    0x1.3800000000000p+0
    -0x1.9525a9cf40000p-3
    -0x1.5ad1d904c1d4ep-41
    0x1.3000000000000p+0
    -0x1.5ff3070a80000p-3
    0x1.b0b0de3077d7ep-41
    0x1.2800000000000p+0
    -0x1.29552f8200000p-3
    0x1.5b967f4471dfcp-44
    0x1.1800000000000p+0
    -0x1.6f0d28ae60000p-4
    0x1.2968c836cc8c2p-41
    0x1.1000000000000p+0
    -0x1.f0a30c0100000p-5
    -0x1.62a6617cc9717p-41
    0x1.0800000000000p+0
    -0x1.f829b0e780000p-6
    -0x1.980267c7e09e4p-45
""")

# 16 rows c, hi, lo with hi + lo = log2 of 1/c
LOG2_TABLE = _floats("""
    0x1.0000000000000p+0
    0x0.0p+0
    0x0.0p+0
    0x1.e000000000000p-1
    0x1.7d60496d00000p-4
    -0x1.12ce6312ebb82p-42
    0x1.c800000000000p-1
    0x1.563dc2a000000p-3
    -0x1.4d37cde37c86bp-41
    0x1.b000000000000p-1
    0x1.f5fd8a9060000p-3
    0x1.f1a4847f7b278p-42
    0x1.9800000000000p-1
    0x1.4f6fbb2cf0000p-2
    -0x1.d33c38d8bd28dp-41
    0x1.8800000000000p-1
    0x1.8a8980abf8000p-2
    0x1.e9933354dbf17p-41
    0x1.7000000000000p-1
    0x1.e7df5fe538000p-2
    0x1.5669df6a2b592p-43
    0x1.6000000000000p-1
    0x1.14c560fe68000p-1
    0x1.5f101c141e670p-42
    0x1.5800000000000p+0
    -0x1.b47ebf7388000p-2
    -0x1.50520a377c7ecp-45
    0x1.4800000000000p+0
    -0x1.6e221cd9d0000p-2
    -0x1.9bcaf1aa4168ap-43
    0x1.3800000000000p+0
    -0x1.24407ab0e0000p-2
    -0x1.ce60916e52e91p-44
    0x1.3000000000000p+0
    -0x1.fbc16b9020000p-3
    -0x1.a0288ea36662ap-41
    0x1.2800000000000p+0
    -0x1.acf5e2db50000p-3
    0x1.36c101ee13440p-43
    0x1.1800000000000p+0
    -0x1.08c588cda0000p-3
    -0x1.e78e589ef1bf4p-41
    0x1.1000000000000p+0
    -0x1.663f6faca0000p-4
    0x1.d9d3066758fb4p-41
    0x1.0800000000000p+0
    -0x1.6bad375900000p-5
    0x1.0278cec9f90f7p-41
""")

# 16 rows c, hi, lo with hi + lo = log10 of 1/c
LOG10_TABLE = _floats("""
    0x1.0000000000000p+0
    0x0.0p+0
    0x0.0p+0
    0x1.e000000000000p-1
    0x1.cb38fccd80000p-6
    0x1.7fb6d2d6528c7p-43
    0x1.c800000000000p-1
    0x1.9c197abf00000p-5
    0x1.badcf3d6e4566p-46
    0x1.b000000000000p-1
    0x1.2e3a740b80000p-4
    -0x1.ffc5aef53f2edp-42
    0x1.9800000000000p-1
    0x1.93e7de0fc0000p-4
    0x1.f3fc5e5fcd7d1p-43
    0x1.8800000000000p-1
    0x1.db11ed7660000p-4
    0x1.57e865b878377p-41
    0x1.7000000000000p-1
    0x1.25ba8215b0000p-3
    -0x1.007bf2d8bf07ap-44
    0x1.6000000000000p-1
    0x1.4d43f82760000p-3
    -0x1.6df3565d4338dp-41
    0x1.5800000000000p+0
    -0x1.06cbd67a70000p-3
    0x1.e24d5d39d7814p-42
    0x1.4800000000000p+0
    -0x1.b8de4d3ac0000p-4
    0x1.84d01446d00b8p-41
    0x1.3800000000000p+0
    -0x1.5fe80488a0000p-4
    -0x1.e9f9524a9818cp-41
    0x1.3000000000000p+0
    -0x1.31b3055c40000p-4
    -0x1.c46006d082e6dp-42
    0x1.2800000000000p+0
    -0x1.02428c1f00000p-4
    -0x1.002bd4d785792p-41
    0x1.1800000000000p+0
    -0x1.3ed1199a40000p-5
    -0x1.e425037527d74p-41
    0x1.1000000000000p+0
    -0x1.af5f92b000000p-6
    -0x1.cc1f4dbc14db5p-43
    0x1.0800000000000p+0
    -0x1.b5e908eb00000p-7
    -0x1.37900f974ff1bp-43
""")

# log(1 + r) = r - r²/2 + r³ P(r), |r| <= 0.0345; relative; error 1.0e-21
LOG_PAIR = _floats("""
    0x1.5555555555555p-2
    -0x1.fffffffffffffp-3
    0x1.999999999a7c5p-3
    -0x1.5555555556b3bp-3
    0x1.2492491fdabcbp-3
    -0x1.ffffffee8fc2ap-4
    0x1.c71c682fc1ca8p-4
    -0x1.9999ad917e2a2p-4
    0x1.750d27a4fb70bp-4
    -0x1.55d66a51e7c03p-4
""")

# log2(1 + r) = r / ln 2 + r² P(r), |r| <= 0.0345; relative; error 2.5e-17
LOG2 = _floats("""
    -0x1.71547652b82dbp-1
    0x1.ec709dc3a0384p-2
    -0x1.715476538555bp-2
    0x1.2776c51069a84p-2
    -0x1.ec7089d00d7ccp-3
    0x1.a6173db85d4b4p-3
    -0x1.71af91a775cc9p-3
    0x1.48f8883036353p-3
    -0x1.3bf548239527fp-4
""")

# log10(1 + r) = r / ln 10 + r² P(r), |r| <= 0.0345; relative; error 2.5e-17
LOG10 = _floats("""
    -0x1.bcb7b1526e4e3p-3
    0x1.287a7636f4316p-3
    -0x1.bcb7b153690cep-4
    0x1.63c62776df5f7p-4
    -0x1.287a6a0f5f1a2p-4
    0x1.fc3f79a2b736ap-5
    -0x1.bd2681422510bp-5
    0x1.8c1ec402252efp-5
    -0x1.797a04797b8e3p-6
""")

# cbrt: addend of the first guess; error 0.034
CBRT_GUESS = _floats("""
    0x1.54fbc33800000p+30
""")

# (1 - e)^(-1/3), |e| <= 0.125; error 2.4e-07
CBRT = _floats("""
    0x1.00000074914cap+0
    0x1.5552cabaa079bp-2
    0x1.c710a209af1e8p-3
    0x1.67090fc5adac2p-3
    0x1.2d4d4c4120363p-3
""")

# erf(x) = x + x P(z - 0.72), z = x² <= 1.2²; relative to erf(x); error 3.1e-18
ERF_SMALL = _floats("""
    -0x1.7bbe048064cb1p-4
    -0x1.fd39701e4128ap-3
    0x1.17bdbed0fa20cp-4
    -0x1.fb26030133950p-7
    0x1.7e41e3ae95a29p-9
    -0x1.e9b2896296030p-12
    0x1.0fe96bba8ff00p-14
    -0x1.0a1ad4f6d07a9p-17
    0x1.d12e742a06283p-21
    -0x1.6f2929f9d4ba8p-24
    0x1.08160b82c317ep-27
    -0x1.5cfb76336d702p-31
    0x1.ad4d251a0b510p-35
    -0x1.d93dfb67387bfp-39
""")

# erf(x) = x + x P(z - 0.36), z = x² <= 0.85²; relative to erfc(x); error 9.7e-19
ERFC_SMALL = _floats("""
    0x1.a5301d786cdf6p-8
    -0x1.37ba3c5097ce3p-2
    0x1.66757515ca26ep-4
    -0x1.4d5e98e2973a0p-6
    0x1.fecc4354a481ap-9
    -0x1.4ade8744d2dadp-11
    0x1.72731286a79bep-14
    -0x1.6cca6a10512c2p-17
    0x1.406689fd8a250p-20
    -0x1.fbc88c5eb8d73p-24
    0x1.6ef6e26120cdfp-27
    -0x1.d920c3075affep-31
""")

# erf(x) = 1 - e^(-x²) t Q(t - 0.17), t = 1/(x + 3.0), 1.2 <= x <= 5.95; relative; error 8.3e-20
ERF_LARGE = _floats("""
    0x1.1787a2ce04437p+0
    0x1.5c6f153e17d14p+2
    0x1.5ede24fc2cf23p+4
    0x1.149916e641134p+6
    0x1.3cbf9de262739p+7
    0x1.9e8df3ff90f46p+7
    -0x1.32a8fa03d3162p+6
    -0x1.b457945765404p+9
    -0x1.a16802da793e3p+9
    0x1.758f25d204451p+11
    0x1.95f15699e131ep+12
    -0x1.1af0bb36883d3p+14
""")

# erfc(x) = e^(-x²) c (1 + t Q(t))/(x + 0.4375), t = (x - k)/(x + k), k = 3.5, 0.85 <= x <= 27.3, c in two parts;
# relative; error 3.6e-18
ERFC_LARGE = _floats("""
    0x1.39126f3a6ad70p-1
    -0x1.713d809721d69p-55
    -0x1.5bd461f711903p-4
    -0x1.09ea293b8233fp-5
    0x1.8a2b274a92660p-4
    -0x1.a9012ae5b035ap-4
    0x1.39b4b070b0608p-4
    -0x1.5543a751f2987p-5
    0x1.06fb9907894bbp-6
    -0x1.c756f1af3d44cp-9
    -0x1.22192f105653bp-12
    0x1.ef802a3fbe036p-12
    -0x1.9ec005c0de96cp-14
    -0x1.30e214026b3e8p-15
    0x1.4fa9e9d51609dp-16
    0x1.1323340fe7321p-19
    -0x1.a831ad3c7609bp-19
    -0x1.290fddf4196a5p-25
    0x1.0a6fd43c42c3ep-21
    -0x1.07ee6fbd2df9cp-25
    -0x1.21cf63abd63e1p-24
    0x1.fd0170b30feb0p-27
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
    0x1.34413509f8000p-2
    -0x1.80433b83b532ap-44
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
    -0x1.24924924537e1p-3
    0x1.c71c71aaf73c5p-4
    -0x1.745d138fd9369p-4
    0x1.3b1360b4ef839p-4
    -0x1.110c711b3b8d0p-4
    0x1.e182d38c70e61p-5
    -0x1.ac72883ed49a2p-5
    0x1.77fb52c5c54dap-5
    -0x1.301aa49ab38d2p-5
    0x1.83a0298573183p-6
    -0x1.123034017a3eep-7
""")

# asin(s) = s + s z A(z), z = s², |s| <= 1/2; relative; error 9.5e-19
ASIN = _floats("""
    0x1.5555555555577p-3
    0x1.333333332e133p-4
    0x1.6db6db721247ap-5
    0x1.f1c71a9500984p-6
    0x1.6e8bdede9f067p-6
    0x1.1c49f07c0d48bp-6
    0x1.ca1f8a59a5b17p-7
    0x1.7585a434c1d8ap-7
    0x1.613bf0cfb96d0p-7
    0x1.e5ff19c093accp-9
    0x1.63996d0337021p-6
    -0x1.57f910c12165cp-6
    0x1.0b45510a6ad9cp-5
""")

# asinh(y) = y + y z P(z), z = y², y <= 1/2; relative; error 3.8e-20
ASINH = _floats("""
    -0x1.5555555555554p-3
    0x1.3333333333001p-4
    -0x1.6db6db6d8b23cp-5
    0x1.f1c71c5ec258cp-6
    -0x1.6e8ba073b0e19p-6
    0x1.1c4e90620010bp-6
    -0x1.c993a1fa22d18p-7
    0x1.7a4ac4234280cp-7
    -0x1.3e263fb2a0080p-7
    0x1.0a0c992627653p-7
    -0x1.9e2aff4e79b54p-8
    0x1.00c3b47a72918p-8
    -0x1.649f59c0ffc38p-10
""")

# acosh(1 + d) = √(2 d) (1 + d P(d)), d <= 1/2; relative; error 3.9e-20
ACOSH = _floats("""
    -0x1.5555555555554p-4
    0x1.3333333333002p-6
    -0x1.6db6db6d8b372p-8
    0x1.f1c71c5ecba58p-10
    -0x1.6e8ba074e4976p-11
    0x1.1c4e907a48c34p-12
    -0x1.c993a47894539p-14
    0x1.7a4ada2626180p-15
    -0x1.3e26c346b38eap-16
    0x1.0a0ea6da19aacp-17
    -0x1.9e35805827068p-19
    0x1.00d341144cd73p-20
    -0x1.64c7e0cc13909p-23
""")

# atanh(s) = s + s z P(z), z = s², s <= 1/3; relative; error 3.8e-20
ATANH = _floats("""
    0x1.5555555555556p-2
    0x1.999999999965ep-3
    0x1.24924924b9e98p-3
    0x1.c71c71a9edf26p-4
    0x1.745d1d65af5e6p-4
    0x1.3b12e4de0b94dp-4
    0x1.112257f450cb0p-4
    0x1.dff5ae255387cp-5
    0x1.c0f5ece4ff936p-5
    0x1.20365661b2bd7p-5
    0x1.4fe599a728a89p-4
""")

# sin(r) = r + r z S(z), z = r², |r| <= π/4; relative; error 3.8e-18
SIN = _floats("""
    -0x1.5555555555548p-3
    0x1.111111110f75cp-7
    -0x1.a01a019bf1faap-13
    0x1.71de355ee0d2ep-19
    -0x1.ae5e54557f8d2p-26
    0x1.5d8e2d0135478p-33
""")

# cos(r) = 1 - z/2 + z² C(z), z = r², |r| <= π/4; relative; error 5.7e-20
COS = _floats("""
    0x1.555555555554bp-5
    -0x1.6c16c16c15017p-10
    0x1.a01a019c8f617p-16
    -0x1.27e4f7f1b860cp-22
    0x1.1ee9dbe33d80fp-29
    -0x1.8fa68b123a492p-37
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
    -0x1.6c16c16c10b1ap-9
    0x1.a01a015edfae0p-11
    -0x1.3813330bfd0b0p-11
    0x1.b92154fd5084cp-11
    -0x1.ee7883cbea496p-10
    0x1.46b18a59da76dp-8
""")

# ψ(w) = ln w - 1/(2 w) - v D(v), v = 1/w², w >= 8; absolute; error 3.4e-20
DIGAMMA = _floats("""
    0x1.5555555555549p-4
    -0x1.11111110e8b40p-7
    0x1.0410405217e3ep-8
    -0x1.111056d5d3dc1p-8
    0x1.f013443ec5343p-8
    -0x1.515a1c64f089ep-6
    0x1.f84de64a09125p-5
""")

# ln Γ(2 + t) = t (1 + t) P(t), |t| <= 1/2; relative; error 1.4e-17
LOGGAMMA = _floats("""
    0x1.b0ee6072093cep-2
    -0x1.9ae6509ea10a0p-4
    0x1.0e0c9df2934d6p-5
    -0x1.95ce223a9c552p-7
    0x1.47974853d4079p-8
    -0x1.145121fa179b7p-9
    0x1.dfebcf4c68a30p-11
    -0x1.a96a3f902c3e8p-12
    0x1.7ed74aff6a3dep-13
    -0x1.5c86da5e70758p-14
    0x1.402aa3f4adab8p-15
    -0x1.284a786aa94b9p-16
    0x1.145f2c9afd2f4p-17
    -0x1.02c231ec99e6dp-18
    0x1.d617bf016e3c6p-20
    -0x1.b95665d53bbc3p-21
    0x1.1809f03344bb3p-21
    -0x1.0e02f39e26e39p-22
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
