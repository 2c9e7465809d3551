"""The table of elementary operations: everything mathematics knows about each, in one row.

A row gives the NumPy meaning, the partial derivatives (from the result and the arguments), the interval of every
argument on which the operation is real and smooth, the LaTeX, the SymPy class and the instruction it lowers to.
Evaluation, differentiation, translation, printing, lowering and the tests all read the row; a new elementary function
is one row and no other edit. The numeric tape has its own rules and does not read this table.

Partials work on anything that has Python's operators (terms of a graph); an operation is called on terms to build one.
Conventions at kinks are PyTorch's: |x|'(0) = 0, a tie of maximum or minimum splits evenly, sign' = floor' = 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import sympy as sp
from sympy.codegen import cfunctions

from hybrid import special, special_values

REAL, MASK = "real", "mask"
HALF = Fraction(1, 2)

Interval = tuple[float, float]
LINE: Interval = (-math.inf, math.inf)
POSITIVE: Interval = (0.0, math.inf)
NONZERO: Interval = (0.0, math.inf)  # sampled on one side of the singular point
UNIT: Interval = (-1.0, 1.0)
ABOVE_ONE: Interval = (1.0, math.inf)


@dataclass(frozen=True)
class NamedConstant:
    """A mathematical constant kept exact until a kernel rounds it once."""

    name: str
    value: float
    latex: str
    sympy: Any


PI = NamedConstant("pi", math.pi, r"\pi", sp.pi)
E = NamedConstant("E", math.e, "e", sp.E)
NAMED_CONSTANTS: tuple[NamedConstant, ...] = (
    PI,
    E,
    NamedConstant("EulerGamma", 0.5772156649015329, r"\gamma", sp.EulerGamma),
    NamedConstant("Catalan", 0.915965594177219, "G", sp.Catalan),
    NamedConstant("GoldenRatio", (1 + math.sqrt(5)) / 2, r"\varphi", sp.GoldenRatio),
)


@dataclass(frozen=True, eq=False)
class Operation:
    """One elementary operation.

    `partials` holds one function `(out, *args) -> d out / d arg` per argument (None where the derivative is zero), or,
    for an operation of any number of arguments, one function that returns them all. `guards` holds, per argument, the
    condition under which the argument decides the result (None: always): where it is false neither value nor derivative
    of that argument matters, however singular. `instruction` is the code generator's name for it; None means that
    lowering has a rule of its own. `composite` is set for one of several results that are found together: what they
    belong to and their place in it (see `hybrid.composite`). `external` is the function of somebody else's that the
    instruction calls, and what must stay alive for it.
    """

    name: str
    numpy: Callable[..., Any]
    partials: Sequence[Callable[..., Any] | None] | Callable[..., Any]
    latex: str
    domain: tuple[Interval, ...] = (LINE,)
    sympy: Any = None
    instruction: str | None = None
    guards: tuple[Callable[..., Any] | None, ...] | None = None
    operands: tuple[str, ...] = ()
    result: str = REAL
    variadic: bool = False
    composite: tuple[Any, int] | None = None
    external: tuple[Any, Any] | None = None

    def __post_init__(self) -> None:
        if not self.operands and not self.variadic:
            object.__setattr__(self, "operands", (REAL,) * len(self.domain))
        if self.variadic:
            return
        partials = self.partials
        if self.result == REAL and self.composite is None and (callable(partials) or len(partials) != self.arity):
            raise ValueError(f"operation {self.name!r} needs {self.arity} partials, one per argument")
        if self.guards is not None and len(self.guards) != self.arity:
            raise ValueError(f"operation {self.name!r} has {len(self.guards)} guards for {self.arity} arguments")
        if len(self.domain) != self.arity:
            raise ValueError(f"operation {self.name!r} has {len(self.domain)} domains for {self.arity} arguments")
        self.latex.format(*(f"{{x_{i}}}" for i in range(self.arity)))

    @property
    def arity(self) -> int:
        return len(self.operands)

    def __call__(self, *args: Any) -> Any:
        """Build a node of this operation on the graph of the first argument that has one."""
        for arg in args:
            if hasattr(arg, "graph"):
                return arg.graph.apply(self, *args)
        raise TypeError(f"{self.name} needs at least one term of a graph, got {args!r}")

    def __repr__(self) -> str:
        return f"<operation {self.name}>"

    @property
    def ordered(self) -> bool:
        """Whether the first argument is an order, a constant integer."""
        return self.name in ORDERED

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        # A row is what the table of the process that reads it has under its name: rows hold functions without names.
        name = {smallest: "smallest", largest: "largest"}.get(self, self.name)
        return (row_named, (name,)) if self.composite is None else (member_of, self.composite)


def row_named(name: str) -> Operation:
    """The row of a name, for pickles."""
    if name in ("smallest", "largest"):
        return smallest if name == "smallest" else largest
    if name not in OPERATIONS:
        raise ValueError(f"this version has no operation {name!r}: it was pickled by another one")
    return OPERATIONS[name]


def member_of(composite: Any, place: int) -> Operation:
    """One result of a composite operation, for pickles."""
    member: Operation = composite.members[place]
    return member


OPERATIONS: dict[str, Operation] = {}
ORDERED = frozenset({"polygamma", "erfc_ratio", "jv", "iv", "spherical_jn"})


def op(name: str, numpy: Callable[..., Any], partials: Any, latex: str, domain: Any = LINE, **fields: Any) -> Operation:
    """Enter a row into the table; refuses a second row of the same name."""
    if name in OPERATIONS:
        raise ValueError(f"operation {name!r} is defined twice")
    intervals = (domain,) if domain and isinstance(domain[0], float) else tuple(domain)
    row = Operation(name, numpy, partials, latex, intervals, **fields)
    OPERATIONS[name] = row
    return row


def product_partials(out: Any, *args: Any) -> list[Any]:
    """d(a·b·…·z)/d each factor, without division: prefix products times suffix products, 3(k − 2) operations."""
    count = len(args)
    if count == 1:
        return [1]
    prefix, suffix = [args[0]], [args[-1]]
    for i in range(1, count - 1):
        prefix.append(prefix[-1] * args[i])
        suffix.append(args[count - 1 - i] * suffix[-1])
    inner = [prefix[i - 1] * suffix[count - 2 - i] for i in range(1, count - 1)]
    return [suffix[-1], *inner, prefix[-1]]


def power_base_partial(out: Any, x: Any, y: Any) -> Any:
    """y·x^(y−1); zero at x = y = 0."""
    exponent = y.constant
    if exponent is None:
        return where(logical_and(eq(x, 0), eq(y, 0)), 0, y * x ** (y - 1))
    if isinstance(exponent, NamedConstant):  # not 0, so nothing to select
        return y * x ** (y - 1)
    if exponent == 0:
        return 0
    if exponent == 1:
        return 1
    if exponent == HALF:
        return HALF / out
    return exponent * x if exponent == 2 else exponent * x ** (exponent - 1)


def power_exponent_partial(out: Any, x: Any, y: Any) -> Any:
    """x^y·log x; at x = 0 zero for y ≥ 0 (PyTorch's convention)."""
    return where(logical_and(eq(x, 0), ge(y, 0)), 0, out * log(x))


def over_square(part: Any, x: Any, y: Any) -> Any:
    """part/(x² + y²), 0 where x² + y² is 0 (PyTorch's convention)."""
    square = x * x + y * y
    return where(eq(square, 0), 0, part / square)


def tied(term: Any) -> Any:
    """How many of the values that an extreme is taken of are equal to it; 1 for a value that is no extreme itself."""
    row = term.graph.ops[term.node]
    if row not in (smallest, largest):
        return 1
    x, y = (type(term)(term.graph, arg) for arg in term.graph.args[term.node])
    ahead = lt(x, y) if row is smallest else gt(x, y)
    here, there = tied(x), tied(y)
    return where(eq(x, y), here + there, here if here is there else where(ahead, here, there))


def tied_share(mine: Any, other: Any) -> Any:
    """Of the derivative of an extreme of several values: each of those that are equal gets the same."""
    here, there = tied(mine), tied(other)
    return where(eq(mine, other), HALF if here is there else here / (here + there), 1)


def along(out: Any, x: Any, y: Any) -> Any:
    """d(x/h)/dx = y²/h³ with h = √(x² + y²); 0 at the origin."""
    other, size = over_hypot(y, x), hypot(x, y)
    return where(eq(size, 0), 0, other * other / size)


def across(out: Any, x: Any, y: Any) -> Any:
    """d(x/h)/dy = −xy/h³; 0 at the origin."""
    size = hypot(x, y)
    return where(eq(size, 0), 0, -(out * over_hypot(y, x)) / size)


def xlogy_partial(out: Any, x: Any, y: Any) -> Any:
    """log y; 0 at x = 0 and y ≤ 0 (PyTorch's convention)."""
    return where(logical_and(eq(x, 0), le(y, 0)), 0, log(y))


def erfc_ratio_partial(out: Any, n: Any, x: Any) -> Any:
    """r_0 r_1, and r_n (n r_n − (n + 1) r_(n+1)): from I_n′ = −2(n + 1) I_(n+1) and r_n = 2n I_n/I_(n−1) for the scaled
    repeated integrals I_n of erfc [DLMF 7.18.7, 7.18.9]; for negative x from r_1 = r_0 − 2x, n r_n = 2/r_(n−1) − 2x."""
    order = n.constant
    if order == 0:
        return out * erfc_ratio(1, x)
    left = erfc_ratio(0, x) * erfc_ratio(1, x) - 2
    for k in range(2, order + 1):
        left = Fraction(-2, k) * (1 + left / erfc_ratio(k - 1, x) ** 2)
    return where(gt(x, 0), out * (order * out - (order + 1) * erfc_ratio(order + 1, x)), left)


def bessel_partial(out: Any, n: Any, x: Any) -> Any:
    """(J_(n−1) − J_(n+1))/2, −J_1 for n = 0 [DLMF 10.6.1, 10.6.3]."""
    order = n.constant
    return -jv(1, x) if order == 0 else HALF * (jv(order - 1, x) - jv(order + 1, x))


def modified_bessel_partial(out: Any, n: Any, x: Any) -> Any:
    """(I_(n−1) + I_(n+1))/2, I_1 for n = 0 [DLMF 10.29.1, 10.29.3]."""
    order = n.constant
    return iv(1, x) if order == 0 else HALF * (iv(order - 1, x) + iv(order + 1, x))


def spherical_bessel_partial(out: Any, n: Any, x: Any) -> Any:
    """(n j_(n−1) − (n + 1) j_(n+1))/(2n + 1), which needs no division by x [DLMF 10.51.2]."""
    order = n.constant
    if order == 0:
        return -spherical_jn(1, x)
    return (order * spherical_jn(order - 1, x) - (order + 1) * spherical_jn(order + 1, x)) / (2 * order + 1)


# --- leaves -----------------------------------------------------------------------------------------------------------
VARIABLE: Operation = op("variable", lambda: None, (), "", (), variadic=True)
CONSTANT: Operation = op("constant", lambda: None, (), "", (), variadic=True)

# --- arithmetic: sums and products take any number of arguments -------------------------------------------------------
add: Operation = op("add", lambda *xs: sum(xs[1:], xs[0]), lambda out, *xs: [1] * len(xs), "", (), sympy=sp.Add,
         instruction="add", variadic=True)  # fmt: skip
mul: Operation = op("mul", lambda *xs: math.prod(xs[1:], start=xs[0]), product_partials, "", (), sympy=sp.Mul,
         instruction="mul", variadic=True)  # fmt: skip
# fmt: off
sub: Operation = op("sub", np.subtract, [lambda out, x, y: 1, lambda out, x, y: -1], "{0} - {1}", (LINE, LINE), instruction="sub")
div: Operation = op("div", np.divide, [lambda out, x, y: 1 / y, lambda out, x, y: -(out / y)], r"\frac{{{0}}}{{{1}}}",
         (LINE, NONZERO), instruction="div")
neg: Operation = op("neg", np.negative, [lambda out, x: -1], "-{0}", instruction="neg")
pow: Operation = op("pow", np.power, [power_base_partial, power_exponent_partial], "{{{0}}}^{{{1}}}", (POSITIVE, LINE),
         sympy=sp.Pow, instruction="pow")
sqrt: Operation = op("sqrt", np.sqrt, [lambda out, x: HALF / out], r"\sqrt{{{0}}}", POSITIVE, sympy=cfunctions.Sqrt,
          instruction="sqrt")
cbrt: Operation = op("cbrt", np.cbrt, [lambda out, x: 1 / (3 * (out * out))], r"\sqrt[3]{{{0}}}", NONZERO, sympy=cfunctions.Cbrt,
          instruction="cbrt")
hypot: Operation = op("hypot", np.hypot, [lambda out, x, y: over_hypot(x, y), lambda out, x, y: over_hypot(y, x)],
           r"\operatorname{{hypot}}\left({0}, {1}\right)", (LINE, NONZERO), sympy=cfunctions.hypot, instruction="hypot")
over_hypot: Operation = op("over_hypot", special_values.over_hypot, [along, across], r"\frac{{{0}}}{{\operatorname{{hypot}}\left({0}, {1}\right)}}",
               (LINE, NONZERO))

# --- exponentials and logarithms --------------------------------------------------------------------------------------
exp: Operation = op("exp", np.exp, [lambda out, x: out], r"e^{{{0}}}", sympy=sp.exp, instruction="exp")
exp2: Operation = op("exp2", np.exp2, [lambda out, x: out * log(x.graph.lift(2))], r"2^{{{0}}}", sympy=cfunctions.exp2,
          instruction="exp2")
expm1: Operation = op("expm1", np.expm1, [lambda out, x: exp(x)], r"\operatorname{{expm1}} {0}", sympy=cfunctions.expm1,
           instruction="expm1")
log: Operation = op("log", np.log, [lambda out, x: 1 / x], r"\log {0}", POSITIVE, sympy=sp.log, instruction="log")
log2: Operation = op("log2", np.log2, [lambda out, x: 1 / (x * log(x.graph.lift(2)))], r"\log_{{2}} {0}", POSITIVE,
          sympy=cfunctions.log2, instruction="log2")
log10: Operation = op("log10", np.log10, [lambda out, x: 1 / (x * log(x.graph.lift(10)))], r"\log_{{10}} {0}", POSITIVE,
           sympy=cfunctions.log10, instruction="log10")
log1p: Operation = op("log1p", np.log1p, [lambda out, x: 1 / (1 + x)], r"\operatorname{{log1p}} {0}", (-1.0, math.inf),
           sympy=cfunctions.log1p, instruction="log1p")

# --- trigonometric and hyperbolic -------------------------------------------------------------------------------------
sin: Operation = op("sin", np.sin, [lambda out, x: cos(x)], r"\sin {0}", sympy=sp.sin, instruction="sin")
cos: Operation = op("cos", np.cos, [lambda out, x: -sin(x)], r"\cos {0}", sympy=sp.cos, instruction="cos")
tan: Operation = op("tan", np.tan, [lambda out, x: 1 + out * out], r"\tan {0}", (-math.pi / 2, math.pi / 2), sympy=sp.tan,
         instruction="tan")
asin: Operation = op("asin", np.arcsin, [lambda out, x: 1 / sqrt(1 - x * x)], r"\arcsin {0}", UNIT, sympy=sp.asin,
          instruction="asin")
acos: Operation = op("acos", np.arccos, [lambda out, x: -(1 / sqrt(1 - x * x))], r"\arccos {0}", UNIT, sympy=sp.acos,
          instruction="acos")
atan: Operation = op("atan", np.arctan, [lambda out, x: 1 / (1 + x * x)], r"\arctan {0}", sympy=sp.atan, instruction="atan")
atan2: Operation = op("atan2", np.arctan2, [lambda out, y, x: over_square(x, x, y), lambda out, y, x: -over_square(y, x, y)],
           r"\operatorname{{atan2}}\left({0}, {1}\right)", (LINE, NONZERO), sympy=sp.atan2, instruction="atan2")
sinh: Operation = op("sinh", np.sinh, [lambda out, x: cosh(x)], r"\sinh {0}", sympy=sp.sinh, instruction="sinh")
cosh: Operation = op("cosh", np.cosh, [lambda out, x: sinh(x)], r"\cosh {0}", sympy=sp.cosh, instruction="cosh")
tanh: Operation = op("tanh", np.tanh, [lambda out, x: sech(x) ** 2], r"\tanh {0}", sympy=sp.tanh, instruction="tanh")
sech: Operation = op("sech", special_values.sech, [lambda out, x: -(out * tanh(x))], r"\operatorname{{sech}} {0}", sympy=sp.sech)
asinh: Operation = op("asinh", np.arcsinh, [lambda out, x: 1 / sqrt(1 + x * x)], r"\operatorname{{asinh}} {0}", sympy=sp.asinh,
           instruction="asinh")
acosh: Operation = op("acosh", np.arccosh, [lambda out, x: 1 / sqrt(x * x - 1)], r"\operatorname{{acosh}} {0}", ABOVE_ONE,
           sympy=sp.acosh, instruction="acosh")
atanh: Operation = op("atanh", np.arctanh, [lambda out, x: 1 / (1 - x * x)], r"\operatorname{{atanh}} {0}", UNIT, sympy=sp.atanh,
           instruction="atanh")

# --- error and gamma functions ----------------------------------------------------------------------------------------
erf: Operation = op("erf", special.erf, [lambda out, x: 2 * exp(-(x * x)) / sqrt(x.graph.lift(PI))],
         r"\operatorname{{erf}} {0}", sympy=sp.erf, instruction="erf")
erfc: Operation = op("erfc", special.erfc, [lambda out, x: -(2 * exp(-(x * x)) / sqrt(x.graph.lift(PI)))],
          r"\operatorname{{erfc}} {0}", sympy=sp.erfc, instruction="erfc")
gamma: Operation = op("gamma", special.gamma, [lambda out, x: out * digamma(x)], r"\Gamma\left({0}\right)", POSITIVE,
           sympy=sp.gamma, instruction="gamma")
loggamma: Operation = op("loggamma", special.loggamma, [lambda out, x: digamma(x)], r"\log\Gamma\left({0}\right)", POSITIVE,
              sympy=sp.loggamma, instruction="loggamma")
digamma: Operation = op("digamma", special.digamma, [lambda out, x: polygamma(1, x)], r"\psi\left({0}\right)", POSITIVE,
             sympy=sp.digamma, instruction="digamma")
polygamma: Operation = op("polygamma", special.polygamma, [None, lambda out, n, x: polygamma(n.constant + 1, x)],
               r"\psi^{{\left({0}\right)}}\left({1}\right)", ((1.0, 5.0), POSITIVE), sympy=sp.polygamma,
               instruction="polygamma")

# --- logistic, normal, Lambert, beta and Bessel functions: lowered by the formulas of special_formulas.py -------------
erfcx: Operation = op("erfcx", special_values.erfcx, [lambda out, x: -(out * erfc_ratio(1, x))],
           r"\operatorname{{erfcx}} {0}", sympy=None)
erfinv: Operation = op("erfinv", special_values.erfinv, [lambda out, x: sqrt(x.graph.lift(PI)) / 2 * exp(out * out)],
            r"\operatorname{{erfinv}} {0}", UNIT, sympy=sp.erfinv)
ndtr: Operation = op("ndtr", special_values.ndtr, [lambda out, x: exp(-HALF * (x * x)) / sqrt(2 * x.graph.lift(PI))],
          r"\Phi\left({0}\right)", sympy=None)
log_ndtr: Operation = op("log_ndtr", special_values.log_ndtr,
              [lambda out, x: erfc_ratio(0, x * -sqrt(x.graph.lift(HALF))) * sqrt(x.graph.lift(HALF))], r"\log\Phi\left({0}\right)", sympy=None)
erfc_ratio: Operation = op("erfc_ratio", special_values.erfc_ratio, [None, erfc_ratio_partial], r"\operatorname{{r}}_{{{0}}}\left({1}\right)", ((0.0, 5.0), LINE))
logaddexp: Operation = op("logaddexp", np.logaddexp, [lambda out, x, y: expit(x - y), lambda out, x, y: expit(y - x)],
               r"\operatorname{{logaddexp}}\left({0}, {1}\right)", (LINE, LINE), sympy=None)
expit: Operation = op("expit", special_values.expit, [lambda out, x: expit_slope(x)], r"\operatorname{{expit}} {0}",
           sympy=None)
expit_slope: Operation = op("expit_slope", special_values.expit_slope, [lambda out, x: -(out * tanh(HALF * x))],
                 r"\frac{{1}}{{2 + 2 \cosh\left({0}\right)}}")
logit: Operation = op("logit", special_values.logit, [lambda out, x: 1 / x / (1 - x)], r"\operatorname{{logit}} {0}",
           (0.0, 1.0), sympy=None)
softplus: Operation = op("softplus", special_values.softplus, [lambda out, x: expit(x)],
              r"\operatorname{{softplus}} {0}", sympy=None)
xlogy: Operation = op("xlogy", special_values.xlogy, [xlogy_partial, lambda out, x, y: x / y],
           r"{0} \log {1}", (LINE, POSITIVE), sympy=None)
sinc: Operation = op("sinc", special_values.sinc, [lambda out, x: -spherical_jn(1, x)],
          r"\operatorname{{sinc}} {0}", sympy=sp.sinc)
lambertw: Operation = op("lambertw", special_values.lambertw, [lambda out, x: exp(-out) / (1 + out)],
              r"\operatorname{{W}}\left({0}\right)", (-math.exp(-1), math.inf), sympy=sp.LambertW)
beta: Operation = op("beta", special_values.beta, [lambda out, x, y: out * (digamma(x) - digamma(x + y)),
          lambda out, x, y: out * (digamma(y) - digamma(x + y))], r"\operatorname{{B}}\left({0}, {1}\right)",
          (POSITIVE, POSITIVE), sympy=sp.beta)
betaln: Operation = op("betaln", special_values.betaln, [lambda out, x, y: digamma(x) - digamma(x + y),
            lambda out, x, y: digamma(y) - digamma(x + y)], r"\operatorname{{betaln}}\left({0}, {1}\right)",
            (POSITIVE, POSITIVE), sympy=None)
jv: Operation = op("jv", special_values.jv, [None, bessel_partial], r"\operatorname{{J}}_{{{0}}}\left({1}\right)", ((0.0, 5.0), LINE),
        sympy=sp.besselj)
iv: Operation = op("iv", special_values.iv, [None, modified_bessel_partial], r"\operatorname{{I}}_{{{0}}}\left({1}\right)",
        ((0.0, 5.0), LINE), sympy=sp.besseli)
spherical_jn: Operation = op("spherical_jn", special_values.spherical_jn, [None, spherical_bessel_partial],
                  r"\operatorname{{j}}_{{{0}}}\left({1}\right)", ((0.0, 5.0), LINE), sympy=sp.jn)

# --- kinks and steps: the guards say which argument decides -----------------------------------------------------------
abs_: Operation = op("abs", np.abs, [lambda out, x: sign(x)], r"\left|{0}\right|", NONZERO, sympy=sp.Abs, instruction="abs")
sign: Operation = op("sign", np.sign, [None], r"\operatorname{{sign}} {0}", NONZERO, sympy=sp.sign, instruction="sign")
minimum: Operation = op("minimum", np.minimum,
             [lambda out, x, y: where(eq(x, y), HALF, 1), lambda out, x, y: where(eq(x, y), HALF, 1)],
             r"\min\left({0}, {1}\right)", (LINE, LINE), instruction="minimum",
             guards=(lambda x, y: le(x, y), lambda x, y: logical_not(lt(x, y))))
maximum: Operation = op("maximum", np.maximum,
             [lambda out, x, y: where(eq(x, y), HALF, 1), lambda out, x, y: where(eq(x, y), HALF, 1)],
             r"\max\left({0}, {1}\right)", (LINE, LINE), instruction="maximum",
             guards=(lambda x, y: ge(x, y), lambda x, y: logical_not(gt(x, y))))
# The extremes of several values, a tree of these two: told apart from nested `minimum`, where ties split pair by pair.
smallest: Operation = replace(minimum, partials=(lambda out, x, y: tied_share(x, y), lambda out, x, y: tied_share(y, x)))
largest: Operation = replace(maximum, partials=(lambda out, x, y: tied_share(x, y), lambda out, x, y: tied_share(y, x)))
floor: Operation = op("floor", np.floor, [None], r"\left\lfloor {0} \right\rfloor", sympy=sp.floor, instruction="floor")
ceil: Operation = op("ceil", np.ceil, [None], r"\left\lceil {0} \right\rceil", sympy=sp.ceiling, instruction="ceil")
trunc: Operation = op("trunc", np.trunc, [None], r"\operatorname{{trunc}} {0}", instruction="trunc")
rint: Operation = op("rint", np.rint, [None], r"\operatorname{{round}} {0}", instruction="rint")
mod: Operation = op("mod", np.mod, [lambda out, x, y: 1, lambda out, x, y: -floor(x / y)], r"{0} \bmod {1}", (LINE, NONZERO),
         sympy=sp.Mod, instruction="mod")
fmod: Operation = op("fmod", np.fmod, [lambda out, x, y: 1, lambda out, x, y: -trunc(x / y)],
          r"\operatorname{{fmod}}\left({0}, {1}\right)", (LINE, NONZERO), instruction="fmod")
copysign: Operation = op("copysign", np.copysign, [lambda out, x, y: sign(x) * copysign(1, y), None],
              r"\operatorname{{copysign}}\left({0}, {1}\right)", (NONZERO, NONZERO), instruction="copysign")
heaviside: Operation = op("heaviside", np.heaviside, [None, lambda out, x, at_zero: where(eq(x, 0), 1, 0)], r"\theta\left({0}\right)", (NONZERO, LINE), sympy=sp.Heaviside)

# --- comparison, logic, selection -------------------------------------------------------------------------------------
_compare: dict[str, Any] = {"domain": (LINE, LINE), "result": MASK}
lt: Operation = op("lt", np.less, (), "{0} < {1}", sympy=sp.StrictLessThan, instruction="lt", **_compare)
le: Operation = op("le", np.less_equal, (), r"{0} \leq {1}", sympy=sp.LessThan, instruction="le", **_compare)
gt: Operation = op("gt", np.greater, (), "{0} > {1}", sympy=sp.StrictGreaterThan, instruction="gt", **_compare)
ge: Operation = op("ge", np.greater_equal, (), r"{0} \geq {1}", sympy=sp.GreaterThan, instruction="ge", **_compare)
eq: Operation = op("eq", np.equal, (), "{0} = {1}", sympy=sp.Eq, instruction="eq", **_compare)
ne: Operation = op("ne", np.not_equal, (), r"{0} \neq {1}", sympy=sp.Ne, instruction="ne", **_compare)
_logic: dict[str, Any] = {"domain": (LINE, LINE), "result": MASK, "operands": (MASK, MASK)}
logical_and: Operation = op("and", np.logical_and, (), r"{0} \wedge {1}", sympy=sp.And, instruction="and", **_logic)
logical_or: Operation = op("or", np.logical_or, (), r"{0} \vee {1}", sympy=sp.Or, instruction="or", **_logic)
logical_xor: Operation = op("xor", np.logical_xor, (), r"{0} \veebar {1}", sympy=sp.Xor, instruction="xor", **_logic)
logical_not: Operation = op("not", np.logical_not, (), r"\neg {0}", LINE, sympy=sp.Not, instruction="not", operands=(MASK,),
                 result=MASK)
where: Operation = op("select", np.where, [None, lambda out, c, x, y: 1, lambda out, c, x, y: 1],
           r"\begin{{cases}} {1} & {0} \\ {2} & \text{{otherwise}} \end{{cases}}", (LINE, LINE, LINE),
           instruction="select", operands=(MASK, REAL, REAL),
           guards=(None, lambda c, x, y: c, lambda c, x, y: logical_not(c)))
# fmt: on
