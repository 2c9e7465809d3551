"""Instructions as C expressions, and what C has no function for."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from codegen.program import INSTRUCTIONS, Program

# Instructions that C has no function for. The sums for digamma and polygamma are those of Abramowitz and Stegun,
# 6.3.18 and 6.4.11, after raising the argument by the recurrences 6.3.5 and 6.4.6; left of zero by the reflections
# 6.3.7 and 6.4.7, in which the derivative of a polynomial p(cot) is -(1 + cot²) p'(cot).
HELPERS: dict[str, str] = {
    "minimum": "static double codegen_minimum(double a, double b) { return a != a ? a : a < b ? a : b; }",
    "maximum": "static double codegen_maximum(double a, double b) { return a != a ? a : a > b ? a : b; }",
    "sign": "static double codegen_sign(double a) { return a > 0 ? 1 : a < 0 ? -1 : a == 0 ? 0 : a; }",
    "mod": """\
static double codegen_mod(double a, double b)
{
    double r = fmod(a, b);
    if (r == 0)
        return copysign(0, b);
    return (r < 0) != (b < 0) && r == r ? r + b : r;
}""",
    "digamma": """\
static double codegen_digamma(double x)
{
    double shift = 0, s;
    if (x <= 0) {
        if (x == floor(x))
            return x == 0 ? copysign(INFINITY, -x) : NAN;
        shift = -3.14159265358979324 / tan(3.14159265358979324 * (x - floor(x + 0.5)));
        x = 1 - x;
    }
    for (; x < 10; x += 1)
        shift -= 1 / x;
    if (x == INFINITY)
        return x;
    s = 1 / (x * x);
    s *= 1. / 12 - s * (1. / 120 - s * (1. / 252 - s * (1. / 240 - s * (1. / 132 - s * (691. / 32760 - s / 12)))));
    return shift + log(x) - 0.5 / x - s;
}""",
    "polygamma": """\
static double codegen_polygamma(double order, double x)
{
    static const double B[] = {1. / 6, -1. / 30, 1. / 42, -1. / 30, 5. / 66, -691. / 2730, 7. / 6, -3617. / 510};
    double factorial = 1, sum = 0, term, tail, c, p[24] = {0, 1}, q[24];
    int j, k, n = (int)order;
    if (n == 0)
        return codegen_digamma(x);
    if (x == 0)
        return n % 2 ? INFINITY : copysign(INFINITY, -x);
    if (x < 0) {
        if (x == floor(x))
            return n % 2 && x > -INFINITY ? INFINITY : NAN;
        c = x - floor(x + 0.5);
        if (fabs(c) > 0.25)
            c = copysign(tan(3.14159265358979324 * (0.5 - fabs(c))), c);
        else
            c = 1 / tan(3.14159265358979324 * c);
        for (k = 0; k < n; k++) {
            for (j = 0; j <= k; j++)
                q[j] = -(j + 1) * p[j + 1];
            for (j = 0; j <= k + 2; j++)
                p[j] = (j <= k ? q[j] : 0) + (j >= 2 ? q[j - 2] : 0);
        }
        for (sum = p[n + 1], k = n; k >= 0; k--)
            sum = sum * c + p[k];
        return (n % 2 ? -1 : 1) * codegen_polygamma(order, 1 - x) - pow(3.14159265358979324, n + 1) * sum;
    }
    for (k = 2; k < n; k++)
        factorial *= k;
    for (; x < 20 + n; x += 1)
        sum += factorial * n * pow(x, -(n + 1));
    tail = factorial * pow(x, -n) * (1 + n / (2 * x));
    term = factorial * n * pow(x, -(n + 2)) * (n + 1) / 2;
    for (k = 1; k <= 8; k++) {
        tail += B[k - 1] * term;
        term *= (n + 2. * k) * (n + 2. * k + 1) / ((2. * k + 1) * (2. * k + 2) * x * x);
    }
    return (n % 2 ? 1 : -1) * (sum + tail);
}""",
}


def _call(function: str, instruction: str) -> str:
    operands = ", ".join("{" + str(k) + "}" for k in range(len(INSTRUCTIONS[instruction].operands)))
    return f"{function}({operands})"


# Instructions as C expressions; {0}, {1} … are values.
_LIBRARY = """
copysign sqrt cbrt floor ceil trunc rint exp exp2 expm1 log log2 log10 log1p sin cos tan asin acos atan sinh cosh tanh
asinh acosh atanh erf erfc pow atan2 hypot fmod fma
"""
EXPRESSIONS: dict[str, str] = {
    "add": "{0} + {1}",
    "sub": "{0} - {1}",
    "mul": "{0} * {1}",
    "div": "{0} / {1}",
    "neg": "-{0}",
    "abs": "fabs({0})",
    "gamma": "tgamma({0})",
    "loggamma": "lgamma({0})",
    "lt": "{0} < {1}",
    "le": "{0} <= {1}",
    "gt": "{0} > {1}",
    "ge": "{0} >= {1}",
    "eq": "{0} == {1}",
    "ne": "{0} != {1}",
    "and": "{0} & {1}",
    "or": "{0} | {1}",
    "xor": "{0} ^ {1}",
    "not": "!{0}",
    "true": "1",
    "false": "0",
    "select": "{0} ? {1} : {2}",
    "select_mask": "{0} ? {1} : {2}",
}
EXPRESSIONS |= {name: _call(name, name) for name in _LIBRARY.split()}
EXPRESSIONS |= {name: _call(f"codegen_{name}", name) for name in HELPERS}
if set(EXPRESSIONS) != set(INSTRUCTIONS):
    raise ValueError(f"C source lacks or has too many instructions: {set(EXPRESSIONS) ^ set(INSTRUCTIONS)}")


def number(value: float) -> str:
    """A float64 as a C expression."""
    if math.isnan(value):
        return "NAN"
    if math.isinf(value):
        return "INFINITY" if value > 0 else "(-INFINITY)"
    return repr(value) if math.copysign(1, value) > 0 else f"({value!r})"


def external_call(
    program: Program,
    together: Mapping[int, Mapping[int, int]],
    number_of: int,
    given: Sequence[str],
    write: Callable[[int, Sequence[str]], None],
) -> str:
    """A call of somebody else's function, or where its result of this number is kept.

    Of a function with several results the call stands before the first of these that is used: `write` is told that
    one's number and the lines, and is to write them once. `together` holds the results of each such call by number.
    """
    external, place = program.calls[program.body[number_of][0]]
    if external.is_expression:
        return f"({external.c})".format(*given)
    if external.results == 1:
        return f"{external.c_name}({', '.join(given)})"
    first = min(together[number_of].values())
    lines = [
        f"double codegen_r{first}[{external.results}];",
        f"const double codegen_a{first}[] = {{{', '.join(given)}}};",
        f"{external.c_name}(codegen_a{first}, codegen_r{first});",
    ]
    write(first, lines)
    return f"codegen_r{first}[{place}]"
