"""Certificates of right kernels, and errors planted in wrong ones: each must be caught, with the place named."""

import json
import time
from collections.abc import Callable
from contextlib import contextmanager
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import sympy as sp

import hybrid as hy
from codegen.program import Array, Program
from hybrid import operations as ops
from hybrid.elementwise import apply
from hybrid.errors import ArgumentError, VerificationError
from hybrid.evaluate import evaluate
from hybrid.kernel import merge
from hybrid.verify import Certificate, Subject, verify

x, y, z = hy.symbols("x y z")


def reference(*formulas) -> Subject:
    """The graphs of the formulas, evaluated in NumPy, as if they were a compiled kernel."""
    graph, arguments, roots, _ = merge(formulas)

    def run(*arrays):
        points = len(arrays[0])
        values = {
            node: array.reshape(points, -1)[:, element]
            for argument, array in zip(arguments, arrays, strict=True)
            for element, node in enumerate(argument.nodes)
        }
        flat = iter([np.broadcast_to(value, points) for value in evaluate(graph, roots, values)])
        return tuple(np.stack([next(flat) for _ in f.nodes], axis=1).reshape(points, *f.shape).copy() for f in formulas)

    return Subject(formulas[0].name, arguments, formulas, run)


def tampered(subject: Subject, change: Callable) -> Subject:
    """The subject with its results changed: `change(arrays, results)` returns the wrong results."""

    def run(*arrays):
        return tuple(change(arrays, [result.copy() for result in subject.evaluate(*arrays)]))

    return Subject(subject.name, subject.arguments, subject.formulas, run)


def rejects(subject: Subject, **options) -> str:
    with pytest.raises(VerificationError) as caught:
        verify(subject, **options)
    certificate = caught.value.certificate
    assert isinstance(certificate, Certificate)
    assert not certificate.passed
    return str(caught.value)


def black_scholes():
    s, k, t, r, v = hy.symbols("S K T r sigma")

    def phi(a):
        return (1 + sp.erf(a / sp.sqrt(2))) / 2

    d1 = (sp.log(s / k) + (r + v**2 / 2) * t) / (v * sp.sqrt(t))
    price = s * phi(d1) - k * sp.exp(-r * t) * phi(d1 - v * sp.sqrt(t))
    return hy.Function([s, k, t, r, v], price, name="price")


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
        except (TypeError, ValueError):  # SymPy refuses some combinations of numbers
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


# --- errors in the table of operations --------------------------------------------------------------------------------
@contextmanager
def planted(row, **fields):
    before = {name: getattr(row, name) for name in fields}
    for name, value in fields.items():
        object.__setattr__(row, name, value)  # rows are frozen
    try:
        yield
    finally:
        for name, value in before.items():
            object.__setattr__(row, name, value)


def one_row(row):
    """The function that is just this row."""
    if row is ops.polygamma:
        return hy.function(a=())(lambda a: apply(row, 1, a))
    if row is ops.where:
        return hy.function(a=(), b=())(lambda a, b: apply(row, a < 0.5, a * a, b))
    if row.variadic:
        return hy.function(a=(), b=(), c=())(lambda a, b, c: a * b * c)
    if row is ops.heaviside:
        return hy.function(a=())(lambda a: apply(row, a, 0.5))
    if row.arity == 1:
        return hy.function(a=())(lambda a: apply(row, a))
    return hy.function(a=(), b=())(lambda a, b: apply(row, a, b))


# the partials of a sum are never multiplied out, so nothing can be planted there
LEFT_OUT = (ops.VARIABLE, ops.CONSTANT, ops.add)
DIFFERENTIABLE = [row for row in ops.OPERATIONS.values() if row.result == ops.REAL and row not in LEFT_OUT]
MUTATIONS = {
    "too large by a millionth": lambda partial: lambda out, *args: Fraction(1000001, 1000000) * partial(out, *args),
    "of the wrong sign": lambda partial: lambda out, *args: -1 * partial(out, *args),
    "dropped": lambda partial: None,
}


def mutants(row):
    """Wrong partials: (what is wrong, all partials with one of them changed)."""
    if row.variadic:
        yield "too large", lambda out, *args: [Fraction(1000001, 1000000) * p for p in row_partials[row](out, *args)]
        yield "all alike", lambda out, *args: [2 * row_partials[row](out, *args)[0]] * len(args)
        return
    for place, partial in enumerate(row.partials):
        if partial is not None:
            for name, mutate in MUTATIONS.items():
                changed = [*row.partials]
                changed[place] = mutate(partial)
                yield f"partial {place} {name}", changed
        elif row.operands[place] == ops.REAL and (row, place) not in ((ops.polygamma, 0), (ops.heaviside, 1)):
            changed = [*row.partials]
            changed[place] = lambda out, *args: 1
            yield f"partial {place} one instead of zero", changed


row_partials = {row: row.partials for row in DIFFERENTIABLE}


@pytest.mark.parametrize("row", DIFFERENTIABLE, ids=lambda row: row.name)
def test_a_wrong_partial_is_caught(row):
    f = one_row(row)
    assert verify(reference(f, f.gradient())).passed
    for name, partials in mutants(row):
        with planted(row, partials=partials):
            g = one_row(row)
            message = ""
            try:
                verify(reference(g, g.gradient()))
            except VerificationError as error:
                message = str(error)
        assert "_gradient[" in message or "_gradient (" in message, f"{row.name}: {name} was not caught"


@pytest.mark.parametrize("row", DIFFERENTIABLE, ids=lambda row: row.name)
def test_a_wrong_meaning_is_caught(row):
    meaning, place = row.numpy, 0 if row is ops.heaviside else -1
    wrong_meanings = {
        "off by a billionth": lambda *args: meaning(*args) * (1 + 1e-9),
        "undefined above 0.3": lambda *args: np.where(args[place] > 0.3, np.nan, meaning(*args)),
        "shifted": lambda *args: meaning(*args) + 1,
    }
    for name, numpy in wrong_meanings.items():
        f = one_row(row)
        with planted(row, numpy=numpy):
            try:
                verify(reference(f))
            except VerificationError:
                continue
        pytest.fail(f"{row.name} {name} was not caught")


CONVENTIONS = {
    "|x|'(0) is one": (ops.abs_, {"partials": [lambda out, a: ops.where(ops.ge(a, 0), 1, -1)]}),
    "a tie of maximum counts twice": (ops.maximum, {"partials": [lambda out, a, b: 1] * 2}),
    "a tie of maximum goes to the first": (
        ops.maximum,
        {"partials": [lambda out, a, b: 1] * 2, "guards": (ops.ge, ops.lt)},
    ),
    "minimum looks at the wrong side": (ops.minimum, {"guards": ops.maximum.guards}),
    "both branches of where count": (ops.where, {"guards": None}),
}


@pytest.mark.parametrize("name", CONVENTIONS)
def test_a_wrong_convention_is_caught(name):
    row, fields = CONVENTIONS[name]
    with planted(row, **fields):
        f = one_row(row)
        rejects(reference(f, f.gradient()))


def test_a_singular_branch_that_poisons_is_caught():
    f = hy.Function([x], sp.Piecewise((sp.log(x), x > 0), (x**2, True)))
    assert verify(reference(f, f.gradient(), f.hessian())).passed

    def poison(arrays, results):
        results[1][arrays[0] <= 0] = np.nan
        return results

    assert "kernel              nan" in rejects(tampered(reference(f, f.gradient()), poison))


# --- errors in the program --------------------------------------------------------------------------------------------
MEANING = {row.instruction: row.numpy for row in ops.OPERATIONS.values() if row.instruction}
WRONG = {
    "add": "sub", "sub": "add", "mul": "div", "div": "mul", "sqrt": "cbrt", "exp": "expm1", "log": "log1p",
    "erf": "erfc", "neg": "abs", "sin": "cos", "cos": "sin", "maximum": "minimum", "lt": "gt", "gt": "lt", "and": "xor",
}  # fmt: skip


def interpreted(kernel, program: Program) -> Subject:
    """A program run in NumPy, instruction by instruction."""

    def run(*arrays):
        points = len(arrays[0])
        flat = [array.reshape(points, -1) for array in arrays]
        values = []
        with np.errstate(all="ignore"):
            for name, *operands in program.body:
                if name == "load":
                    values.append(flat[operands[0]][:, operands[1]])
                elif name == "const":
                    values.append(np.float64(operands[0]))
                elif name == "fma":
                    values.append(values[operands[0]] * values[operands[1]] + values[operands[2]])
                else:
                    values.append(MEANING[name](*[values[operand] for operand in operands]))
        return [
            np.stack([np.broadcast_to(values[v], points) for v in row], axis=1).reshape(points, *result.shape)
            for result, row in zip(program.results, program.outputs, strict=True)
        ]

    return Subject(kernel.name, kernel.arguments, kernel.formulas, run)


def mutated_programs(program: Program):
    def with_instruction(number, *instruction):
        body = [*program.body]
        body[number] = instruction
        return Program(program.name, program.arguments, program.results, body, program.outputs)

    for number, (name, *operands) in enumerate(program.body):
        where = f"%{number} = {name} {operands}"
        if name == "const":
            yield (
                f"{where}: constant",
                with_instruction(number, "const", operands[0] * (1 + 1e-9) if operands[0] else 1e-9),
            )
        elif name == "load":
            argument = (operands[0] + 1) % len(program.arguments)
            yield f"{where}: argument", with_instruction(number, "load", argument, 0)
        else:
            if name in WRONG:
                yield f"{where}: instruction", with_instruction(number, WRONG[name], *operands)
            if name in ("sub", "div", "pow", "atan2") and operands[0] != operands[1]:
                yield f"{where}: operand order", with_instruction(number, name, *operands[::-1])
            if name == "select":
                yield f"{where}: branches", with_instruction(number, name, operands[0], operands[2], operands[1])


def program_functions():
    f = black_scholes()
    yield f, f.gradient()
    g = hy.Function([x, y], sp.Piecewise((x * sp.sin(y), x < y), (sp.Max(x, y) ** 3 - sp.cos(x), True)), name="pieces")
    yield g, g.gradient()
    yield f3, f3.hessian()


@pytest.mark.parametrize("functions", list(program_functions()), ids=lambda functions: functions[0].name)
def test_every_wrong_instruction_is_caught(functions):
    kernel = hy.compile(*functions, verify=False)
    program = kernel.program
    assert verify(interpreted(kernel, program)).passed
    assert isinstance(program.arguments[0], Array)
    tried = 0
    for what, mutant in mutated_programs(program):
        tried += 1
        try:
            verify(interpreted(kernel, mutant))
        except VerificationError:
            continue
        pytest.fail(f"not caught: {what}\n{program}")
    assert tried > 30


# --- errors in results ------------------------------------------------------------------------------------------------
def everywhere(change):
    return lambda arrays, results: [*results[:-1], change(results[-1])]


def only_where(condition, change):
    def apply_change(arrays, results):
        places = condition(arrays)
        results[-1][places] = change(results[-1][places])
        return results

    return apply_change


def wrong(result):
    return result * (1 + 1e-10)


def lane(number):
    return lambda arrays: np.arange(len(arrays[0])) % 8 == number


PLANTED = {
    "relative error 1e-10 everywhere": everywhere(wrong),
    "transposed": everywhere(lambda jacobian: np.swapaxes(jacobian, 1, 2)),
    "rows swapped": everywhere(lambda jacobian: jacobian[:, ::-1]),
    "one entry off": only_where(lambda arrays: (slice(None), 1, 0), wrong),
    "only for x > 1": only_where(lambda arrays: arrays[0] > 1, wrong),
    "only for x < 0": only_where(lambda arrays: arrays[0] < 0, wrong),
    "only for large x": only_where(lambda arrays: arrays[0] > 20, wrong),
    "only in one lane": only_where(lane(3), wrong),
    "only in the last lane": only_where(lane(7), wrong),
    "only in the last point": only_where(lambda arrays: np.arange(len(arrays[0])) == len(arrays[0]) - 1, wrong),
    "only for single points": only_where(lambda arrays: np.full(len(arrays[0]), len(arrays[0]) == 1), wrong),
    "NaN in one lane": only_where(lane(5), lambda result: result * np.nan),
    "zeros": everywhere(np.zeros_like),
    "NaN everywhere": everywhere(lambda jacobian: jacobian * np.nan),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_wrong_result_is_caught(name):
    g = hy.Function([x, y], [sp.sin(x) * y, sp.exp(x / 50) / (1 + y**2)], name="g")
    message = rejects(tampered(reference(g, g.jacobian()), PLANTED[name]))
    assert "g_jacobian[" in message


def test_an_error_in_one_branch_is_caught_however_narrow():
    g = hy.Function([x, y], sp.Piecewise((x * y, x < 3), (y**3, x < sp.Float(3.01)), (sp.sin(x), True)))
    narrow = only_where(lambda arrays: (arrays[0] >= 3) & (arrays[0] < 3.01), wrong)
    assert verify(reference(g, g.gradient())).passed
    rejects(tampered(reference(g, g.gradient()), narrow))


def test_a_wrong_row_of_a_large_matrix_is_caught():
    hessian = reference(long_vector.hessian())

    def one_row_wrong(arrays, results):
        results[0][:, 37] *= 1 + 1e-6
        return results

    assert "long_vector_hessian" in rejects(tampered(hessian, one_row_wrong), points=2)


def test_a_traced_function_is_checked_against_itself_and_not_its_trace():
    @hy.function(a=(3, 2))
    def columns(a):
        return np.sum(a * np.array([1.0, 2.0]), axis=0)

    swapped = everywhere(lambda result: result[:, ::-1])
    rejects(tampered(reference(columns), swapped))


def test_undefined_values_are_kept():
    f = hy.Function([x], sp.log(x))

    def finite(arrays, results):
        return [np.where(np.isnan(result), 0.0, result) for result in results]

    assert "nan" in rejects(tampered(reference(f), finite))


def test_the_message_says_what_where_and_what_next():
    f = hy.Function([x, y], sp.sin(x) * y, name="wave")
    message = rejects(tampered(reference(f, f.gradient()), everywhere(wrong)))
    for expected in (
        "wave_gradient[",
        "(∂wave/∂",
        "x=",
        "kernel",
        "numeric tape",
        "multiple precision",
        "verify=False",
    ):
        assert expected in message


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
    rejects(tampered(reference(f, f.gradient()), everywhere(wrong)))


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
