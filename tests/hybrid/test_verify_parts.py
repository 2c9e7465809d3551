"""The parts of the check on their own: what each algebra means, the arbiter, measured rounding, sampling."""

import math

import mpmath
import numpy as np
import pytest
import sympy as sp

import hybrid as hy
from hybrid import operations as ops
from hybrid import tape
from hybrid.arbiter import DIGITS, Arbiter, precise, unit_vectors
from hybrid.errors import UnsupportedError
from hybrid.recording import Recording
from hybrid.replay import (
    ANY_ARGUMENTS,
    ONE_ARGUMENT,
    ORDERED,
    SPELLED_OUT,
    TWO_ARGUMENTS,
    UFUNCS,
    Algebra,
    replay_python,
    replay_sympy,
)
from hybrid.rounding import ULP, rounding_spread
from hybrid.sampling import Sampler
from hybrid.witness import TAPE

x, y, z = hy.symbols("x y z")
ROWS = [row for row in ops.OPERATIONS.values() if row not in (ops.VARIABLE, ops.CONSTANT)]
EDGES = (0.0, 1.0, -1.0, 0.5, 2.5, -2.5, 3.0)


def samples(row):
    """Arguments inside the domain of a row, and edges where it has a value."""
    rng = np.random.default_rng(1)
    domain = row.domain or (ops.LINE, ops.LINE)
    for _ in range(20):
        point = [rng.uniform(max(low, -3.0), min(high, 4.0)) for low, high in domain]
        yield point
    yield from ([edge] * len(domain) for edge in EDGES)


def operands(row, point):
    masks = row.operands or (ops.REAL,) * len(point)
    args = [bool(v > 0.5) if kind == ops.MASK else v for v, kind in zip(point, masks, strict=True)]
    return [1, *args[1:]] if row.ordered else args


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_row_means_the_same_in_multiple_precision_and_on_the_tape(row):
    _, algebra = precise(DIGITS)
    for point in samples(row):
        args = operands(row, point)
        with np.errstate(all="ignore"):
            expected = row.numpy(*(np.asarray(arg)[()] for arg in args))
        on_tape = TAPE.operations[row.name](*args)
        assert np.array_equal(np.asarray(on_tape.detach()), expected, equal_nan=True)
        if not row.ordered:
            args = [algebra.number(arg) for arg in args]
        found = algebra.operations[row.name](*args)
        if np.isfinite(expected):
            assert float(found) == pytest.approx(float(expected), rel=1e-13, abs=1e-13), (row.name, point)


def test_every_sympy_class_of_the_table_can_be_replayed():
    known = {
        *ONE_ARGUMENT,
        *TWO_ARGUMENTS,
        *ANY_ARGUMENTS,
        *SPELLED_OUT,
        *ORDERED,
        sp.Pow,
        sp.polygamma,
        sp.Piecewise,
        sp.digamma,
    }
    missing = [row.name for row in ROWS if row.sympy is not None and row.sympy not in known]
    assert not missing


@pytest.mark.parametrize("name", UFUNCS)
def test_ufuncs_have_the_meaning_of_their_row(name):
    ufunc, row = getattr(np, name), ops.OPERATIONS[UFUNCS[name]]
    takes_masks = name.startswith("bitwise") or name == "invert"
    args = ([True, False] if takes_masks else [0.75, 2.5])[: ufunc.nin]
    with np.errstate(all="ignore"):
        assert np.array_equal(ufunc(*args), row.numpy(*args), equal_nan=True)


def test_spelled_out_functions_have_the_right_value():
    _, algebra = precise(DIGITS)
    for kind in SPELLED_OUT:
        if kind in (sp.Sum, sp.Product, sp.Derivative, sp.Subs):
            continue
        arity = 2 if kind in (sp.erf2, sp.beta) else 1
        at = [sp.Rational(17, 10), sp.Rational(3, 4)] if kind is not sp.asech else [sp.Rational(1, 3)]
        expression = kind(*[x, y][:arity])
        source = hy.Function([x, y], expression).source
        (value,) = replay_sympy(source, [[algebra.number(float(v))] for v in (at * 2)[:2]], algebra)
        exact = expression.subs(dict(zip([x, y], [sp.Float(float(v), 40) for v in (at * 2)[:2]], strict=True)))
        assert float(value) == pytest.approx(float(exact.rewrite(sp.erf).evalf(30)), rel=1e-14)


def test_sums_and_derivatives_in_sympy_are_carried_out():
    k = sp.Symbol("k", integer=True)
    expression = sp.Sum(x**k, (k, 0, 3)) + sp.Derivative(sp.sin(x) * y, x)
    (value,) = replay_sympy(hy.Function([x, y], expression).source, [[2.0], [3.0]], TAPE)
    assert float(value) == pytest.approx(15 + 3 * math.cos(2))


def test_a_python_function_sees_ordinary_arrays():
    def body(a, b):
        assert a.shape == (2, 3)
        rows = [np.stack([a[0], a[1] * b]).T, np.concatenate([a, a]).reshape(3, 4)[:, :2]]
        total = sum(np.einsum("ij,ij->", row, row) for row in rows)
        clipped = np.clip(a, 0.0, 1.0).max() + np.square(a).mean() + (a**2).cumsum()[-1]
        return total + clipped + np.where(a > b, a, -a).sum() + np.linalg.norm(a) + np.outer(a[0], a[1]).trace()

    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(2, 3)), 0.7
    _, algebra = precise(DIGITS)
    source = hy.function(a=(2, 3), b=())(lambda a, b: a[0, 0] + b).source
    source = type(source)(body)
    (value,) = replay_python(source, [(2, 3), ()], [list(map(algebra.number, a.ravel())), [algebra.number(b)]], algebra)
    assert float(value) == pytest.approx(float(body(a, b)), rel=1e-14)


def test_the_witness_keeps_the_digits_of_a_flat_tanh():
    """1 − tanh² has none left at 19: a witness that computes it so would accuse kernels that are right."""
    t = tape.tensor(np.array([0.0, 1.0, 19.0, -30.0, 100.0]), requires_grad=True)
    value = TAPE.operations["tanh"](t)
    (slope,) = tape.grad(value.sum(), t, create_graph=True)
    (curvature,) = tape.grad(slope.sum(), t)
    assert (value.detach().numpy() == np.tanh(t.detach().numpy())).all()
    for at, first, second in zip(t.tolist(), slope.tolist(), curvature.tolist(), strict=True):
        assert first == pytest.approx(float(mpmath.sech(at) ** 2), rel=1e-14)
        assert second == pytest.approx(float(-2 * mpmath.tanh(at) * mpmath.sech(at) ** 2), rel=1e-14)


def test_a_recording_does_what_the_function_does_and_only_what_is_wanted():
    calls = []

    def body(a, b):
        calls.append(1)
        return np.concatenate([[a[0] * b], np.exp(a[1:]), np.where(a > b, a, 2.0)])

    source = hy.function(a=(3,), b=())(lambda a, b: a[0] + b).source
    source = type(source)(body)
    recording = Recording(source, [(3,), ()])
    point = [0.5, -0.25, 2.0, 0.125]
    for digits in (30, 60):
        _, algebra = precise(digits)
        values = recording.run(range(6), list(map(algebra.number, point)), algebra)
        assert [float(value) for value in values] == pytest.approx(body(np.array(point[:3]), point[3]).tolist())
    done = []
    counted = Algebra(
        {
            name: (lambda *x, name=name: done.append(name) or algebra.operations[name](*x))
            for name in algebra.operations
        },
        algebra.number,
        bool,
    )
    recording.run([1], list(map(algebra.number, point)), counted)
    assert done == ["exp"]
    assert len(calls) == 3
    with pytest.raises(UnsupportedError, match="what a comparison gives is not known"):
        Recording(type(source)(lambda a, b: a if b > 0 else -a), [(3,), ()])


# --- the arbiter ------------------------------------------------------------------------------------------------------
def arbitrate(formula, point, entry=0, size=1.0):
    arrays = {name: np.array(value) for name, value in point.items()}
    return Arbiter(formula).verdict(arrays, unit_vectors(formula, entry), size)


f = hy.Function([x, y], sp.exp(x * y) + sp.sin(x) / y, name="f")
POINT = {"x": 0.7, "y": 1.3}
EXPECTED = sp.exp(x * y) + sp.sin(x) / y


def exact(expression):
    return float(expression.subs({x: sp.Rational(7, 10), y: sp.Rational(13, 10)}).evalf(30))


def test_the_arbiter_knows_values_and_derivatives_to_all_digits():
    cases = [
        (f, 0, EXPECTED),
        (f.gradient(), 1, EXPECTED.diff(y)),
        (f.hessian(), 1, EXPECTED.diff(x, y)),
        (f.hessian(), 3, EXPECTED.diff(y, 2)),
        (f.hessian().jacobian(), 2, EXPECTED.diff(x, y, x)),
        (hy.Function([x, y], [x * y, EXPECTED]).jacobian(), 3, EXPECTED.diff(y)),
    ]
    for formula, entry, expression in cases:
        verdict = arbitrate(formula, POINT, entry)
        assert verdict.value == pytest.approx(exact(expression), rel=1e-15)
        assert len(verdict.text) > 20


def test_the_arbiter_follows_directions_and_cotangents():
    point = POINT | {"x_dot": 0.3, "y_dot": -2.0}
    slope = 0.3 * exact(EXPECTED.diff(x)) - 2.0 * exact(EXPECTED.diff(y))
    assert arbitrate(f.jvp(), point).value == pytest.approx(slope, rel=1e-15)
    curve = 0.3 * exact(EXPECTED.diff(x, x)) - 2.0 * exact(EXPECTED.diff(x, y))
    assert arbitrate(f.hvp(), point, 0).value == pytest.approx(curve, rel=1e-15)
    pulled = arbitrate(f.vjp(), POINT | {"f_bar": 4.0}, 1)
    assert pulled.value == pytest.approx(4 * exact(EXPECTED.diff(y)), rel=1e-15)


@pytest.mark.parametrize(
    ("expression", "at"),
    [(sp.sign(x), 0.0), (sp.Heaviside(x), 0.0), (sp.floor(x), 2.0), (sp.sqrt(x), 0.0), (sp.log(x), -1.0), (1 / x, 0.0)],
    ids=str,
)
def test_the_arbiter_has_no_verdict_where_there_is_no_derivative(expression, at):
    assert arbitrate(hy.Function([x], expression).gradient(), {"x": at}).value is None


def test_the_arbiter_takes_more_digits_where_it_must():
    cancels = hy.Function([x], sp.asin(sp.cos(sp.erfc(x)))).gradient()
    expected = 2 / math.sqrt(math.pi) * math.exp(-(8.1**2))
    assert arbitrate(cancels, {"x": 8.1}, size=1e-29).value == pytest.approx(expected, rel=1e-13)
    g = hy.Function([x], sp.exp(-300 * x)).gradient()
    assert arbitrate(g, {"x": 1.0}, size=1e-128).value == pytest.approx(-300 * math.exp(-300), rel=1e-13)


# --- rounding ---------------------------------------------------------------------------------------------------------
def spread_of(expression, at, regular=True):
    g = hy.Function([x, y], expression)
    values = {
        node: np.array([value]) for argument, value in zip(g.arguments, at, strict=True) for node in argument.nodes
    }
    value, spread = rounding_spread(g.graph, g.nodes, values, np.array([regular]), np.random.default_rng(0))
    return float(value[0, 0]), float(spread[0, 0])


def test_rounding_of_what_cancels_is_seen():
    value, spread = spread_of(1 - sp.cos(x), (1e-4, 1.0))
    assert value == pytest.approx(5e-9)
    assert 0.1 * ULP < spread < 3 * ULP


def test_rounding_follows_the_condition():
    _, spread = spread_of(sp.sin(x), (1e6, 1.0))
    assert 1e4 * ULP < spread < 2e6 * ULP
    value, spread = spread_of(x * y, (1.5, 2.5))
    assert 0 < spread < 4 * ULP * value


def test_exact_steps_and_ties_have_no_rounding():
    assert spread_of(sp.Max(x, y), (1.0, 1.0), regular=False)[1] == 0
    assert spread_of(sp.Max(x - y, 0), (1.0, 1.0), regular=False)[1] == 0
    assert spread_of(sp.sign(x) + sp.floor(y), (0.0, 2.0), regular=False)[1] <= 3 * ULP * 2


def test_a_switch_within_rounding_cannot_be_judged():
    _, spread = spread_of(sp.floor(3 * (x / 3) * y), (1.0, 1.0))
    assert spread == 1.0


# --- sampling ---------------------------------------------------------------------------------------------------------
def sampler_of(g):
    columns, at = {}, 0
    for argument in g.arguments:
        columns[argument.name] = range(at, at + argument.size)
        at += argument.size
    return Sampler([g], columns, at, np.random.default_rng(0))


def test_sampled_points_see_every_branch():
    pieces = sp.Piecewise((x, x < 3), (x**2, x < sp.Float(3.01)), (y, sp.And(x > 5, y < -0.5)), (sp.Abs(x - y), True))
    table = sampler_of(hy.Function([x, y], pieces)).sample(16)
    first, second = table.T
    assert (first < 3).any()
    assert ((first >= 3) & (first < 3.01)).any()
    assert ((first > 5) & (second < -0.5)).any()
    assert ((first > 3.01) & (first > second)).any()


def test_special_points_hold_ties_and_switching_values():
    sampler = sampler_of(hy.Function([x, y], sp.Piecewise((x, x < 3), (y, True))))
    rows = sampler.special(sampler.sample(4)).tolist()
    for row in ([0.0, 0.0], [-1.0, -1.0], [1.0, 1.0], [3.0, 3.0]):
        assert row in rows
