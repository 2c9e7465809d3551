"""Errors planted in partials, meanings, conventions, instructions, branches and lanes: each is caught and named."""

from fractions import Fraction

import numpy as np
import pytest
import sympy as sp
from numpy_kernels import black_scholes, interpreted, planted, reference, tampered

import hybrid as hy
from codegen.program import Program
from hybrid import operations as ops
from hybrid.certificate import Certificate
from hybrid.elementwise import apply
from hybrid.errors import VerificationError
from hybrid.verify import Subject, verify

x, y, z = hy.symbols("x y z")


def rejects(subject: Subject, **options) -> str:
    with pytest.raises(VerificationError) as caught:
        verify(subject, **options)
    certificate = caught.value.certificate
    assert isinstance(certificate, Certificate)
    assert not certificate.passed
    return str(caught.value)


# --- errors in the table of operations --------------------------------------------------------------------------------
def one_row(row):
    """The function that is just this row."""
    if row.ordered:
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
        if (row.ordered and place == 0) or (row, place) == (ops.heaviside, 1):
            continue  # an order that stands still; a slope at one point, the jump, where derivatives get no verdict
        if partial is not None:
            for name, mutate in MUTATIONS.items():
                changed = [*row.partials]
                changed[place] = mutate(partial)
                yield f"partial {place} {name}", changed
        elif row.operands[place] == ops.REAL:
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
WRONG = {
    "add": "sub", "sub": "add", "mul": "div", "div": "mul", "sqrt": "cbrt", "exp": "expm1", "log": "log1p",
    "erf": "erfc", "neg": "abs", "sin": "cos", "cos": "sin", "maximum": "minimum", "lt": "gt", "gt": "lt", "and": "xor",
}  # fmt: skip


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
    h = hy.Function([x, y, z], sp.exp(x * y) * sp.sin(z) + x / z, name="smooth")
    yield h, h.hessian()


@pytest.mark.parametrize("functions", list(program_functions()), ids=lambda functions: functions[0].name)
def test_every_wrong_instruction_is_caught(functions):
    kernel = hy.compile(*functions, verify=False)
    program = kernel.program
    assert verify(interpreted(kernel, program)).passed
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


@hy.function(u=(70,))
def long_vector(u):
    return np.sum(np.exp(-(u**2)) * u[::-1]) + np.prod(np.cos(u))


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
    expected = ["wave_gradient[", "(∂wave/∂", "x=", "kernel", "numeric tape", "multiple precision", "verify=False"]
    for part in [*expected, "rewriting, lowering or native code is at fault"]:
        assert part in message
    with planted(ops.cos, partials=[lambda out, a: -2 * ops.sin(a)]):
        g = hy.Function([x, y], sp.cos(x) * y)
        assert "differentiating is at fault" in rejects(reference(g, g.gradient()))
