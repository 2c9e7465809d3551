"""Every row of the elementwise table: value, derivatives against multiple precision, kinks, special values."""

import mpmath
import numpy as np
import pytest

from codegen.program import INSTRUCTIONS
from hybrid import special, tape
from hybrid.errors import ArgumentError
from hybrid.operations import ORDERED
from hybrid.tape.elementwise import ELEMENTWISE, UFUNCS

RANDOM = np.random.default_rng(3)
INF, NAN = np.inf, np.nan

#         points, and the function in multiple precision
UNARY = {
    "neg": ((-3, 3), lambda x: -x), "positive": ((-3, 3), lambda x: x), "abs": ((-3, 3), abs),
    "sign": ((-3, 3), mpmath.sign), "square": ((-3, 3), lambda x: x * x), "reciprocal": ((0.3, 3), lambda x: 1 / x),
    "sqrt": ((0.1, 5), mpmath.sqrt), "rsqrt": ((0.1, 5), lambda x: 1 / mpmath.sqrt(x)), "cbrt": ((0.1, 5), mpmath.cbrt),
    "floor": ((-3, 3), mpmath.floor), "ceil": ((-3, 3), mpmath.ceil), "trunc": ((0.1, 3), mpmath.floor),
    "rint": ((-3, 3), mpmath.nint), "exp": ((-3, 3), mpmath.exp), "exp2": ((-3, 3), lambda x: mpmath.mpf(2) ** x),
    "expm1": ((-3, 3), mpmath.expm1), "log": ((0.1, 5), mpmath.log), "log2": ((0.1, 5), lambda x: mpmath.log(x, 2)),
    "log10": ((0.1, 5), mpmath.log10), "log1p": ((-0.8, 5), mpmath.log1p), "sin": ((-3, 3), mpmath.sin),
    "cos": ((-3, 3), mpmath.cos), "tan": ((-1.3, 1.3), mpmath.tan), "asin": ((-0.95, 0.95), mpmath.asin),
    "acos": ((-0.95, 0.95), mpmath.acos), "atan": ((-3, 3), mpmath.atan), "sinh": ((-3, 3), mpmath.sinh),
    "cosh": ((-3, 3), mpmath.cosh), "tanh": ((-2, 2), mpmath.tanh), "asinh": ((-3, 3), mpmath.asinh),
    "sech": ((-3, 3), mpmath.sech), "expit_slope": ((-3, 3), lambda x: mpmath.sech(x / 2) ** 2 / 4),
    "acosh": ((1.1, 5), mpmath.acosh), "atanh": ((-0.95, 0.95), mpmath.atanh), "erf": ((-2, 2), mpmath.erf),
    "erfc": ((-2, 2), mpmath.erfc), "gamma": ((0.2, 5), mpmath.gamma), "loggamma": ((0.2, 8), mpmath.loggamma),
    "digamma": ((0.2, 8), mpmath.digamma), "deg2rad": ((-3, 3), mpmath.radians), "rad2deg": ((-3, 3), mpmath.degrees),
    "sigmoid": ((-4, 4), lambda x: 1 / (1 + mpmath.exp(-x))),
    "softplus": ((-4, 4), lambda x: mpmath.log1p(mpmath.exp(x))),
    "logit": ((0.1, 0.9), lambda x: mpmath.log(x / (1 - x))), "silu": ((-4, 4), lambda x: x / (1 + mpmath.exp(-x))),
    "log_sigmoid": ((-4, 4), lambda x: -mpmath.log1p(mpmath.exp(-x))),
    "expit": ((-4, 4), lambda x: 1 / (1 + mpmath.exp(-x))), "erfinv": ((-0.9, 0.9), mpmath.erfinv),
    "erfcx": ((-1, 2), lambda x: mpmath.exp(x * x) * mpmath.erfc(x)), "ndtr": ((-3, 3), mpmath.ncdf),
    "log_ndtr": ((-3, 3), lambda x: mpmath.log(mpmath.ncdf(x))), "sinc": ((-3, 3), mpmath.sinc),
    "lambertw": ((-0.2, 3), lambda x: mpmath.lambertw(x).real),
}  # fmt: skip
BINARY = {
    "add": ((-3, 3), lambda x, y: x + y), "sub": ((-3, 3), lambda x, y: x - y), "mul": ((-3, 3), lambda x, y: x * y),
    "div": ((0.3, 3), lambda x, y: x / y), "pow": ((0.3, 3), lambda x, y: x**y), "atan2": ((0.3, 3), mpmath.atan2),
    "over_hypot": ((0.3, 3), lambda x, y: x / mpmath.hypot(x, y)),
    "hypot": ((0.3, 3), mpmath.hypot), "maximum": ((-3, 3), max), "minimum": ((-3, 3), min),
    "mod": ((0.3, 3), lambda x, y: x - y * mpmath.floor(x / y)), "fmod": ((0.3, 3), lambda x, y: mpmath.fmod(x, y)),
    "floor_divide": ((0.3, 3), lambda x, y: mpmath.floor(x / y)),
    "copysign": ((-3, 3), lambda x, y: abs(x) * mpmath.sign(y)),
    "heaviside": ((0.3, 3), lambda x, y: mpmath.mpf(1)), "fmax": ((-3, 3), max), "fmin": ((-3, 3), min),
    "xlogy": ((0.3, 3), lambda x, y: x * mpmath.log(y)), "beta": ((0.3, 3), mpmath.beta),
    "betaln": ((2.5, 6), lambda x, y: mpmath.log(mpmath.beta(x, y))),
    "logaddexp": ((-3, 3), lambda x, y: mpmath.log(mpmath.exp(x) + mpmath.exp(y))),
    "logaddexp2": ((-3, 3), lambda x, y: mpmath.log(mpmath.mpf(2) ** x + mpmath.mpf(2) ** y, 2)),
}  # fmt: skip
WITHOUT_DERIVATIVE = {
    "lt", "le", "gt", "ge", "eq", "ne", "and", "or", "xor", "not", "isnan", "isfinite", "isinf", "bitwise_and",
    "bitwise_or", "bitwise_xor", "invert", "signbit",
}  # fmt: skip


def test_every_row_is_tested():
    assert set(ELEMENTWISE) == set(UNARY) | set(BINARY) | WITHOUT_DERIVATIVE | ORDERED | {"select"}


def test_every_instruction_can_run_on_the_tape():
    assert set(INSTRUCTIONS) - {"fma", "true", "false", "select_mask"} <= set(ELEMENTWISE)


def agrees(value, exact, scale, allowed=8):
    """Within `allowed` ulp of the exact value, or of `scale` where rounding of the arguments alone moves it by more."""
    return abs(mpmath.mpf(float(value)) - exact) <= allowed * np.spacing(float(max(abs(exact), abs(scale), 1e-300)))


@pytest.mark.parametrize("name", UNARY)
def test_unary_values_and_three_derivatives(name):
    (low, high), reference = UNARY[name]
    points = RANDOM.uniform(low, high, 6)
    x = tape.tensor(points, requires_grad=True)
    levels = [ELEMENTWISE[name](x)]
    for _ in range(3):
        levels.append(
            tape.grad(levels[-1].sum(), x, create_graph=True)[0] if levels[-1].requires_grad else tape.zeros_like(x)
        )
    with mpmath.workdps(60):
        for k, point in enumerate(points.tolist()):
            exact = [mpmath.diff(reference, mpmath.mpf(point), n) for n in range(5)]
            for order, level in enumerate(levels):
                scale = abs(point * exact[order + 1]) + sum(map(abs, exact[: order + 1])) * (order > 0)
                assert agrees(level.tolist()[k], exact[order], scale, 8 + 8 * order), (
                    name,
                    order,
                    point,
                    level.tolist()[k],
                    exact[order],
                )


@pytest.mark.parametrize("name", BINARY)
def test_binary_values_and_two_derivatives(name):
    (low, high), reference = BINARY[name]
    a, b = RANDOM.uniform(low, high, (2, 6))
    x, y = tape.tensor(a, requires_grad=True), tape.tensor(b, requires_grad=True)
    value = ELEMENTWISE[name](x, y)
    first = tape.grad(value.sum(), (x, y), create_graph=True)
    second = [
        tape.grad(g.sum(), (x, y), retain_graph=True, allow_unused=True, materialize_grads=True)
        if g.requires_grad
        else None
        for g in first
    ]
    with mpmath.workdps(50):
        for k, point in enumerate(zip(a.tolist(), b.tolist(), strict=True)):
            at = tuple(map(mpmath.mpf, point))
            exact = {(i, j): mpmath.diff(reference, at, (i, j)) for i in range(3) for j in range(3 - i)}
            scale = 4 * max(map(abs, exact.values()))
            assert agrees(value.tolist()[k], exact[0, 0], 0)
            assert agrees(first[0].tolist()[k], exact[1, 0], scale), (name, point)
            assert agrees(first[1].tolist()[k], exact[0, 1], scale), (name, point)
            for row, orders in zip(second, (((2, 0), (1, 1)), ((1, 1), (0, 2))), strict=True):
                for part, order in zip(row or (), orders, strict=False):
                    assert agrees(part.tolist()[k], exact[order], scale), (name, point, order)


@pytest.mark.parametrize("order", [0, 1, 2, 3])
def test_polygamma(order):
    x = tape.tensor([0.3, 1.7, 6.0], requires_grad=True)
    value = tape.polygamma(order, x)
    (slope,) = tape.grad(value.sum(), x, create_graph=True)
    np.testing.assert_array_equal(value.detach().numpy(), special.polygamma(order, x.detach().numpy()))
    np.testing.assert_array_equal(slope.detach().numpy(), special.polygamma(order + 1, x.detach().numpy()))
    assert tape.polygamma(tape.tensor(float(order)), x).tolist() == value.tolist()
    for wrong in (-1, 0.5, [1, 2]):
        with pytest.raises(ArgumentError, match="one non-negative integer order"):
            tape.polygamma(wrong, x)


NUMPY_NAME = {
    "neg": "negative", "sub": "subtract", "mul": "multiply", "div": "divide", "asin": "arcsin", "acos": "arccos",
    "atan": "arctan", "asinh": "arcsinh", "acosh": "arccosh", "atanh": "arctanh", "atan2": "arctan2", "pow": "power",
}  # fmt: skip


@pytest.mark.parametrize("name", [n for n in (*UNARY, *BINARY) if hasattr(np, NUMPY_NAME.get(n, n)) and n != "sinc"])
def test_the_value_is_numpys(name):
    """Bit for bit, special values and both zeros included, and without a warning."""
    function = getattr(np, NUMPY_NAME.get(name, name))
    values = np.array([0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 5e-324, 1e308, INF, -INF, NAN])
    arguments = (values,) if name in UNARY else np.meshgrid(values, values)
    with np.errstate(all="ignore"):
        expected = function(*arguments)
    result = ELEMENTWISE[name](*[tape.tensor(a, requires_grad=True) for a in arguments])
    np.testing.assert_array_equal(result.detach().numpy(), expected)
    np.testing.assert_array_equal(np.signbit(result.detach().numpy()), np.signbit(expected))
    again = function(*[tape.tensor(a) for a in arguments])
    np.testing.assert_array_equal(again.numpy(), expected)
    for k, entry in enumerate(np.ravel(expected).tolist()):
        if name == "pow" and arguments[1].flat[k] == 0.5:
            continue  # NumPy takes the square root when the exponent is one number, which differs at -0 and -inf
        scalar = ELEMENTWISE[name](*[tape.tensor(np.ravel(a)[k]) for a in arguments]).item()
        assert np.isclose(scalar, entry, rtol=4e-16, atol=0, equal_nan=True), (name, k)


@pytest.mark.parametrize("name", [n for n in (*UNARY, *BINARY) if n not in ("bitwise_and",)])
def test_types_are_kept(name):
    arity = 1 if name in UNARY else 2
    low = (UNARY if arity == 1 else BINARY)[name][0][1]
    for dtype in (np.float32, np.float64, np.longdouble):
        inputs = [tape.tensor(np.full(3, low * f, dtype), requires_grad=True) for f in (0.9, 0.7)[:arity]]
        result = ELEMENTWISE[name](*inputs)
        assert result.dtype == dtype, (name, dtype)
        for g in tape.grad(result.sum(), inputs, allow_unused=True, materialize_grads=True):
            assert g.dtype == dtype, (name, dtype)
        assert ELEMENTWISE[name](*[t.detach()[0] for t in inputs]).dtype == dtype


def test_long_double_keeps_its_precision():
    if np.finfo(np.longdouble).eps == np.finfo(np.float64).eps:
        pytest.skip("long double is double on this platform")
    third = np.longdouble(1) / 3
    x = tape.tensor(np.array([third]), requires_grad=True)
    (g,) = tape.grad(x.exp().sum(), x)
    assert g.numpy()[0] == np.exp(third)
    assert g.numpy()[0] != np.float64(np.exp(third))


def test_numbers_do_not_decide_the_type():
    x = tape.tensor([1.0, 2.0], dtype=np.float32, requires_grad=True)
    for result in (
        x * 2,
        2.0 * x,
        x**2,
        2**x,
        x + 1,
        1 - x,
        x / 3,
        x % 2,
        tape.where(x > 1, x, 0.0),
        x.clip(0, 1.5),
        x.maximum(1.0),
    ):
        assert result.dtype == np.float32


KINKS = {
    "abs": ([0.0, -0.0], [0.0, 0.0]), "sign": ([0.0, -0.0, 2.0], [0.0, 0.0, 0.0]), "floor": ([1.0, -0.5], [0.0, 0.0]),
    "ceil": ([1.0, 0.5], [0.0, 0.0]), "trunc": ([1.0], [0.0]), "rint": ([0.5], [0.0]), "sqrt": ([0.0], [INF]),
    "log": ([0.0], [INF]), "cbrt": ([0.0], [INF]), "tanh": ([INF, -INF], [0.0, 0.0]), "exp": ([-INF], [0.0]),
    "erf": ([INF], [0.0]), "asin": ([1.0], [INF]),
}  # fmt: skip


@pytest.mark.parametrize("name", KINKS)
def test_conventions_at_kinks_of_one_argument(name):
    points, slopes = KINKS[name]
    x = tape.tensor(points, requires_grad=True)
    np.testing.assert_array_equal(tape.grad(ELEMENTWISE[name](x).sum(), x)[0].numpy(), slopes)


BINARY_KINKS = {
    "maximum": ([2.0, 2.0, -0.0, NAN, 1.0], [2.0, 1.0, 0.0, 1.0, NAN],
                [0.5, 1.0, 0.5, 1.0, 1.0], [0.5, 0.0, 0.5, 1.0, 1.0]),
    "minimum": ([2.0, 2.0, 1.0], [2.0, 1.0, INF], [0.5, 0.0, 1.0], [0.5, 1.0, 0.0]),
    "fmax": ([2.0, NAN, 1.0, NAN], [2.0, 1.0, NAN, NAN], [0.5, 0.0, 1.0, 1.0], [0.5, 1.0, 0.0, 1.0]),
    "fmin": ([2.0, NAN, 1.0, 3.0], [2.0, 1.0, NAN, 1.0], [0.5, 0.0, 1.0, 0.0], [0.5, 1.0, 0.0, 1.0]),
    "mod": ([5.5, -5.5, 4.0], [2.0, 2.0, 2.0], [1.0, 1.0, 1.0], [-2.0, 3.0, -2.0]),
    "fmod": ([5.5, -5.5], [2.0, 2.0], [1.0, 1.0], [-2.0, 2.0]),
    "pow": ([0.0, 0.0, 0.0, -2.0], [0.0, 1.0, 2.0, 2.0], [0.0, 1.0, 0.0, -4.0], [0.0, 0.0, 0.0, NAN]),
    "heaviside": ([0.0, 1.0], [0.5, 0.5], [0.0, 0.0], [1.0, 0.0]),
}  # fmt: skip


@pytest.mark.parametrize("name", BINARY_KINKS)
def test_conventions_at_kinks_of_two_arguments(name):
    a, b, slope_a, slope_b = BINARY_KINKS[name]
    x, y = tape.tensor(a, requires_grad=True), tape.tensor(b, requires_grad=True)
    got = tape.grad(ELEMENTWISE[name](x, y).sum(), (x, y))
    np.testing.assert_array_equal(got[0].numpy(), slope_a)
    np.testing.assert_array_equal(got[1].numpy(), slope_b)


@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_derivatives_of_integer_powers_at_zero(n):
    for exponent in (n, float(n), tape.tensor(float(n))):
        x = tape.tensor([0.0, -0.0, 2.0, -2.0], requires_grad=True)
        level = x**exponent
        for order in range(1, 4):
            if not level.requires_grad:
                break
            (level,) = tape.grad(level.sum(), x, create_graph=True)
            factor = float(np.prod(range(n - order + 1, n + 1))) if order <= n else 0.0
            expected = factor * np.array([0.0, 0.0, 2.0, -2.0]) ** max(n - order, 0)
            np.testing.assert_allclose(
                level.detach().numpy(), expected, rtol=1e-15, err_msg=f"{n} {order} {exponent!r}"
            )


def select(c, a, b):
    return tape.where(c, a, b)


# A singular branch that is not taken: the function, the point, and its derivatives of order 1, 2 and 3 there.
BRANCHES = {
    "square root": (lambda x: select(x > 0, tape.sqrt(x), x), -1.0, [1, 0, 0]),
    "square root at zero": (lambda x: select(x > 0, tape.sqrt(x), x**3), 0.0, [0, 0, 6]),
    "times a factor": (lambda x: select(x > 0, tape.sqrt(x) * x * 3, x**2), -1.0, [-2, 2, 0]),
    "logarithm of logarithm": (lambda x: select(x > 1, tape.log(tape.log(x)), x**2), 0.5, [1, 2, 0]),
    "reciprocal": (lambda x: select(x == 0, x**2, 1 / x), 0.0, [0, 2, 0]),
    "sinc": (lambda x: select(x == 0, 1 - x * x / 6, tape.sin(x) / x), 0.0, [0, -1 / 3, 0]),
    "maximum": (lambda x: tape.maximum(x**2, -1 / tape.sqrt(-x)), -0.0, [0, 2, 0]),
    "minimum": (lambda x: tape.minimum(x * x, 1 / x), 0.0, [0, 2, 0]),
    "clip": (lambda x: tape.clip(tape.log(x), -1.0, None) + x, 0.0, [1, 0, 0]),
    "relu": (lambda x: tape.relu(-1 / tape.sqrt(x)) + x * x, 0.0, [0, 2, 0]),
    "largest": (lambda x: tape.amax(tape.stack([x * x, tape.log(x)])), 0.0, [0, 2, 0]),
    "nested": (lambda x: select(x > 0, select(x > 1, tape.sqrt(x - 1), x * x), x), 0.5, [1, 2, 0]),
    "shape changes": (lambda x: select(x > 0, tape.sqrt(x.reshape(1, 1).expand(2, 3)).T.sum(), x**2), -1.0, [-2, 2, 0]),
    "power": (lambda x: select(x > 0, x**0.5, -x), -4.0, [-1, 0, 0]),
}  # fmt: skip


@pytest.mark.parametrize("name", BRANCHES)
def test_a_branch_not_taken_poisons_no_derivative(name):
    function, at, expected = BRANCHES[name]
    x = tape.tensor(at, requires_grad=True)
    level = function(x)
    for order, value in enumerate(expected, start=1):
        (level,) = tape.grad(level, x, create_graph=True) if level.requires_grad else (tape.zeros_like(x),)
        assert level.item() == pytest.approx(value, rel=1e-15), (name, order)


def test_a_branch_not_taken_poisons_no_jacobian_row():
    x = tape.tensor([-1.0, 0.0, 4.0])
    np.testing.assert_array_equal(
        tape.jacobian(lambda x: select(x > 0, tape.sqrt(x), 2 * x), x).numpy(), np.diag([2.0, 2.0, 0.25])
    )
    hessian = tape.hessian(lambda x: select(x > 0, tape.log(x), x * x).sum(), x).numpy()
    np.testing.assert_array_equal(hessian, np.diag([2.0, 2.0, -1 / 16]))


def test_an_invalid_point_is_invalid_there_and_nowhere_else():
    x = tape.tensor([-1.0, 0.0, 4.0], requires_grad=True)
    value = tape.sqrt(x)
    np.testing.assert_array_equal(value.detach().numpy(), [NAN, 0.0, 2.0])
    np.testing.assert_array_equal(tape.grad(value.sum(), x)[0].numpy(), [NAN, INF, 0.25])
    rows = tape.jacobian(tape.sqrt, x.detach()).numpy()
    off_diagonal = rows[~np.eye(3, dtype=bool)]
    np.testing.assert_array_equal(off_diagonal, 0.0)
    np.testing.assert_array_equal(np.diag(rows), [NAN, INF, 0.25])


def test_a_zero_that_is_a_number_is_left_to_arithmetic():
    """√x·√x at 0: the partials are 0 and ∞, their product is not known to be 0."""
    x = tape.tensor(0.0, requires_grad=True)
    assert np.isnan(tape.grad(tape.sqrt(x) * tape.sqrt(x), x)[0].item())


def test_comparisons_and_logic_give_booleans_without_gradient():
    x = tape.tensor([1.0, 2.0], requires_grad=True)
    for name in sorted(WITHOUT_DERIVATIVE - {"bitwise_and", "bitwise_or", "bitwise_xor", "invert"}):
        arguments = (x,) if name in ("not", "isnan", "isfinite", "isinf", "signbit") else (x, 1.5)
        result = ELEMENTWISE[name](*arguments)
        assert result.dtype == np.bool_
        assert not result.requires_grad
    assert ((x > 1) & (x < 3) | ~(x == 1)).tolist() == [False, True]


def test_scipy_functions_work_by_name():
    scipy_special = pytest.importorskip("scipy.special", reason="SciPy is not installed")
    x = tape.tensor([0.3, 0.6], requires_grad=True)
    for name in (
        "erf",
        "erfc",
        "gamma",
        "gammaln",
        "psi",
        "expit",
        "logit",
        "log1p",
        "expm1",
        "exp2",
        "cbrt",
        "log_expit",
    ):
        result = getattr(scipy_special, name)(x)
        assert result.requires_grad
        np.testing.assert_allclose(
            result.detach().numpy(), getattr(scipy_special, name)(x.detach().numpy()), rtol=1e-13
        )
        assert result.tolist() == UFUNCS[name](x).tolist()


def test_the_hook_for_other_modules_runs_an_operation_by_name():
    x = tape.tensor(0.5, requires_grad=True)
    assert x.__hybrid_elementwise__("erf", x).item() == tape.erf(x).item()
    assert x.__hybrid_elementwise__("pow", 2.0, x).item() == 2.0**0.5
    with pytest.raises(ValueError, match="'bessel' is no elementwise operation of the tape"):
        x.__hybrid_elementwise__("bessel", x)
