"""Certificates: right kernels pass, whatever their derivatives, and the options and odd ends of the check."""

import json
import time
from itertools import pairwise

import numpy as np
import pytest
import sympy as sp
from numpy_kernels import black_scholes, reference, tampered

import hybrid as hy
from hybrid.errors import ArgumentError, VerificationError
from hybrid.verify import Subject, verify

x, y, z = hy.symbols("x y z")


# --- right kernels ----------------------------------------------------------------------------------------------------
def test_certificate_of_a_compiled_kernel_reads_well():
    f = black_scholes()
    certificate = hy.compile(f, f.gradient(), f.hessian()).certificate
    assert certificate.passed
    assert certificate.points == 16
    assert certificate.entries == (certificate.points + certificate.special) * 31
    assert certificate.max_ulp < 16
    text = str(certificate)
    for expected in ("✓ price verified", "price_gradient", "5×5", "every entry", "SymPy expressions", "S="):
        assert expected in text
    assert json.loads(json.dumps(certificate.to_dict()))["results"][2]["shape"] == [5, 5]
    assert "price_hessian" in certificate._repr_html_()


def test_black_scholes_is_checked_in_the_blink_of_an_eye():
    f = black_scholes()
    kernel = hy.compile(f, f.gradient(), f.hessian(), verify=False)
    subject = Subject(kernel.name, kernel.arguments, kernel.formulas, kernel)
    times = []
    for _ in range(3):
        start = time.process_time()
        verify(subject)
        times.append(time.process_time() - start)
    assert min(times) < 0.2


def test_same_seed_same_certificate():
    f = black_scholes()
    first, second = (verify(reference(f, f.hessian()), seed=5).to_dict() for _ in range(2))
    first.pop("seconds"), second.pop("seconds")
    assert first == second
    assert verify(reference(f, f.hessian()), seed=6).where != first["where"]


F = hy.Function([x, y], [x * y, sp.sin(x) * y**2, sp.exp(x / y)], name="F")
f3 = hy.Function([x, y, z], sp.exp(x * y) * sp.sin(z) + x / z, name="f3")
q23 = sp.symarray("q", (2, 3))
array_function = hy.Function([("q", q23)], sum((v**3 for v in q23.ravel()), sp.sin(q23[0, 1] * q23[1, 2])), name="a")


@hy.function(q=(7,), p=())
def energy(q, p):
    return np.sum(np.log(q) ** 2) * p


@hy.function(a=(2, 2))
def matrices(a):
    return a @ a.T + np.exp(a)


@hy.function(u=(3,), v=(3,))
def switches(u, v):
    return np.where(u > v, np.sin(u) * v, np.maximum(u, v) ** 2)


@hy.function(u=(3,), v=(3,))
def norms(u, v):
    return np.linalg.norm(u - v) + np.dot(u, v) + np.mean(u)


@hy.function(u=(70,))
def long_vector(u):
    return np.sum(np.exp(-(u**2)) * u[::-1]) + np.prod(np.cos(u))


def panda(q):
    """Flange position of the Franka Emika Panda from its published DH parameters (a, d, α)."""
    rows = [
        (0, 0.333, 0),
        (0, 0, -1),
        (0, 0.316, 1),
        (0.0825, 0, 1),
        (-0.0825, 0.384, -1),
        (0, 0, 1),
        (0.088, 0.107, 1),
    ]
    pose = np.eye(4)
    for angle, (a, d, quarter) in zip(q, rows, strict=True):
        c, s, ca, sa = np.cos(angle), np.sin(angle), 1 - abs(quarter), quarter
        pose = pose @ np.array(
            [[c, -s, 0, a], [s * ca, c * ca, -sa, -d * sa], [s * sa, c * sa, ca, d * ca], [0, 0, 0, 1]]
        )
    return pose[:3, 3]


arm = hy.function(q=(7,))(panda)

RIGHT = {
    "value and Jacobian": lambda: (F, F.jacobian()),
    "Hessian of a vector": lambda: (F.hessian(),),
    "jvp": lambda: (F.jvp(),),
    "vjp": lambda: (F.vjp(),),
    "hvp": lambda: (f3.hvp(),),
    "third derivatives": lambda: (f3.hessian().jacobian(),),
    "jvp of the gradient": lambda: (f3.gradient().jvp(),),
    "vjp of the Jacobian": lambda: (F.jacobian().vjp(),),
    "Jacobian of hvp": lambda: (f3.hvp().jacobian(),),
    "jvp of jvp": lambda: (F.jvp().jvp(),),
    "gradient of jvp": lambda: (f3.jvp().gradient(),),
    "hvp of jvp": lambda: (f3.jvp().hvp(),),
    "some variables": lambda: (f3.gradient(wrt=[z]), f3.hessian(wrt=[x, z])),
    "simplified": lambda: (F.simplify(), F.jacobian().simplify()),
    "array of symbols": lambda: (array_function, array_function.gradient(), array_function.hessian()),
    "two functions": lambda: (hy.Function([x], sp.sin(x), name="a"), hy.Function([x, y], x * y, name="b").hessian()),
    "constant output": lambda: (c := hy.Function([x, y], [2, x], name="c"), c.jacobian(), c.hessian()),
    "traced": lambda: (energy, energy.gradient(), energy.hessian(wrt="q")),
    "matrices": lambda: (matrices, matrices.jacobian(), matrices.vjp(), matrices.jvp()),
    "switches": lambda: (switches, switches.jacobian()),
    "norms": lambda: (norms, norms.gradient(), norms.hessian()),
    "robot arm": lambda: (arm, arm.jacobian()),
    "long vector": lambda: (long_vector, long_vector.gradient()),
}


@pytest.mark.parametrize("name", RIGHT)
def test_right_results_pass(name):
    certificate = verify(reference(*RIGHT[name]()))
    assert certificate.passed
    assert certificate.max_ulp < 40
    assert not certificate.notes


def test_large_derivatives_are_projected_and_sampled():
    certificate = verify(reference(long_vector.hessian()))
    assert certificate.method == "projections and sampled rows"


ILL_CONDITIONED = [
    1 - sp.cos(x),
    (1 + x) - sp.exp(sp.log(1 + x)),
    sp.Add(sp.Add(1, x, evaluate=False), -1, evaluate=False),
    sp.log(1 + x) / x,
    (sp.exp(x) - 1) / x,
    (x**20 - y**20) / (x - y),
    (x - 1) ** 7 - sp.expand((x - 1) ** 7),
    sp.sqrt(x**2 + 1) - x,
    x**40 * y**-30,
    sp.tanh(20 * x) + sp.erf(10 * x),
    sp.sin(1e5 * x),
    sp.exp(-50 * x**2) * sp.cosh(30 * x),
    sp.gamma(8 * x) / sp.gamma(8 * x + 1),
    sp.loggamma(x) + sp.digamma(x),
    sp.atan2(sp.sin(x), sp.cos(x)) - x,
    sp.Mod(7 * x, 1) + sp.floor(3 * y),
    sp.Piecewise((sp.log(x), x > 0), (sp.sqrt(-x), x < -1), (x**2, True)),
    sp.Piecewise((x, x < 3), (1e3 * y, sp.And(x > 3, x < sp.Float(3.1))), (x * y, True)),
    sp.Max(x, y, z) * sp.Min(x, y, z) + sp.Abs(x - y),
    sp.Heaviside(x - y) * x**2 + sp.sign(y) * y,
    sum(sp.sin(k * x) / k for k in range(1, 60)),
]


@pytest.mark.parametrize("expression", ILL_CONDITIONED, ids=str)
def test_ill_conditioned_functions_pass(expression):
    f = hy.Function([x, y, z], expression)
    assert verify(reference(f, f.gradient(), f.hessian())).passed


UNARY = [
    *(
        getattr(sp, n)
        for n in [
            "exp",
            "log",
            "sin",
            "cos",
            "tan",
            "asin",
            "acos",
            "atan",
            "sinh",
            "cosh",
            "tanh",
            "asinh",
            "acosh",
            "atanh",
            "erf",
            "erfc",
        ]
    ),
    *(sp.gamma, sp.loggamma, sp.digamma, sp.Abs, sp.sign, sp.floor, sp.ceiling, sp.sqrt, sp.cbrt, sp.Heaviside, sp.sec),
    *(hy.expm1, hy.log1p, hy.exp2, hy.log2, hy.log10),
    *(lambda a: a**2, lambda a: a**7, lambda a: 1 / a, lambda a: a**-2, lambda a: 1 - sp.cos(a)),
    *(lambda a: sp.exp(-(a**2)), lambda a: a ** sp.Rational(3, 2), lambda a: (1 + a) - 1, sp.frac),
]
BINARY = [
    *(lambda a, b: a + b, lambda a, b: a - b, lambda a, b: a * b, lambda a, b: a / b, sp.Max, sp.Min, sp.atan2, sp.Mod),
    *(lambda a, b: sp.Piecewise((a, a < b), (b**2, True)), hy.hypot),
    lambda a, b: sp.Piecewise((a, sp.And(a < b, b > 0)), (a * b, a > 1), (sp.sin(b), True)),
]


def random_expression(rng, depth):
    if depth == 0 or rng.random() < 0.1:
        return rng.choice([x, y, z, x, y, z, sp.Integer(2), sp.pi, sp.Rational(1, 3), sp.Float(0.37)])
    if rng.random() < 0.5:
        return rng.choice(UNARY)(random_expression(rng, depth - 1))
    return rng.choice(BINARY)(random_expression(rng, depth - 1), random_expression(rng, depth - 1))


def random_functions(first, last):
    for seed in range(first, last):
        rng = np.random.default_rng(seed)
        try:
            expression = sp.sympify(random_expression(rng, 2 + seed % 3))
        except Exception:  # SymPy itself fails on some combinations, in many ways
            continue
        bad = expression.has(sp.I, sp.zoo, sp.nan, sp.oo) or not isinstance(expression, sp.Expr)
        if not bad and expression.free_symbols:
            yield hy.Function([x, y, z], expression), expression


def test_no_false_alarm_on_random_functions():
    tried = 0
    for f, expression in random_functions(0, 150):
        tried += 1
        try:
            verify(reference(f, f.gradient(), f.hessian()))
        except VerificationError as error:
            pytest.fail(f"{expression}\n{error}")
    assert tried >= 100


@pytest.mark.long
def test_no_false_alarm_on_many_random_functions():
    for f, expression in random_functions(1000, 3000):
        try:
            verify(reference(f, f.gradient(), f.hessian()))
        except VerificationError as error:
            pytest.fail(f"{expression}\n{error}")


# --- options and odd functions ----------------------------------------------------------------------------------------
def test_own_points():
    f = hy.Function([x, ("q", sp.symarray("q", 2))], x * sp.Symbol("q_0") + sp.Symbol("q_1"), name="f")
    certificate = verify(reference(f), points={"x": [1.0, 2.0], "q": np.ones((2, 2))})
    assert certificate.points == 2
    assert certificate.special == 0
    with pytest.raises(ArgumentError, match=r"one array for each of x, q, got x"):
        verify(reference(f), points={"x": [1.0]})
    with pytest.raises(ArgumentError, match=r"points for q need shape \(points,\) \+ \(2,\), got \(2, 3\)"):
        verify(reference(f), points={"x": [1.0, 2.0], "q": np.ones((2, 3))})
    with pytest.raises(ArgumentError, match="same number of points"):
        verify(reference(f), points={"x": [1.0], "q": np.ones((2, 2))})


def test_arguments_must_fit_the_formulas():
    f = hy.Function([x, y], x * y)
    with pytest.raises(ArgumentError, match="needs an argument y"):
        Subject("f", f.arguments[:1], (f,), lambda: ())


def test_a_kernel_of_the_wrong_shape_is_named():
    f = hy.Function([x], [x, x**2], name="pair")
    subject = tampered(reference(f), lambda arrays, results: [results[0][:, :1]])
    with pytest.raises(VerificationError, match="pair of shape"):
        verify(subject)


def test_nowhere_finite_is_said():
    f = hy.Function([x], sp.acosh(sp.sin(x) - 2))
    certificate = verify(reference(f, f.gradient()))
    assert any("no point was found" in note for note in certificate.notes)
    assert "note" in str(certificate)


def test_narrow_domains_are_found():
    names = sp.symbols("v0:12")
    expression = sum(sp.log(b - a) for a, b in pairwise(names[:5])) + sum(sp.acosh(v) for v in names[5:])
    f = hy.Function(list(names), expression)
    certificate = verify(reference(f, f.gradient()))
    assert not certificate.notes
    assert certificate.points >= 4


def test_a_function_that_refuses_single_elements_runs_point_by_point():
    def refuses(u):
        if type(u).__name__ == "LaneArray":
            raise TypeError("no object arrays here")
        return np.sum(u * u)

    f = hy.function(u=(4,))(refuses)
    certificate = verify(reference(f, f.gradient(), f.hessian()))
    assert "point by point" in certificate.witness
    assert not certificate.notes


def test_a_function_that_refuses_tensors_is_checked_through_its_graph():
    calls = []

    def once(u):
        calls.append(u)
        if len(calls) > 1:
            raise RuntimeError("traced twice")
        return np.sum(u * u)

    f = hy.function(u=(4,))(once)
    certificate = verify(reference(f, f.gradient()))
    assert certificate.passed
    assert "traced twice" in certificate.notes[0]
    with pytest.raises(VerificationError, match="graph"):
        verify(tampered(reference(f), lambda arrays, results: [results[0] * (1 + 1e-10)]))


def test_long_sums_and_deep_chains():
    @hy.function(u=(1000,))
    def long_sum(u):
        return np.sum(np.sin(u) * u)

    assert verify(reference(long_sum, long_sum.gradient())).passed

    @hy.function(u=())
    def deep(u):
        for _ in range(1000):
            u = np.sin(u) + 0.1
        return u

    assert verify(reference(deep, deep.gradient())).passed


def test_where_roundings_decide_everything_nothing_is_wrong():
    @hy.function(x=())
    def henon(x):
        y = 0.1
        for _ in range(300):
            x, y = 1 - 1.4 * x * x + y, 0.3 * x
        return x

    certificate = hy.compile(henon, henon.gradient()).certificate
    assert certificate.passed
    assert certificate.undecided > 0
