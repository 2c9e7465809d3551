"""A program as C99 source that needs nothing but libm; C++ compiles it too."""

from __future__ import annotations

import math

from codegen.contract import prune
from codegen.export.header import Parameter, header, parameters, prototypes
from codegen.external import groups
from codegen.program import INSTRUCTIONS, MASK, Program

# Instructions that C has no function for. The sums for digamma and polygamma are those of Abramowitz and Stegun,
# 6.3.18 and 6.4.11, after raising the argument by the recurrences 6.3.5 and 6.4.6.
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
        shift = -3.14159265358979324 / tan(3.14159265358979324 * (x - floor(x)));
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
    double factorial = 1, sum = 0, term, tail;
    int k, n = (int)order;
    if (n == 0)
        return codegen_digamma(x);
    if (x <= 0 && x == floor(x))
        return n % 2 ? INFINITY : NAN;
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


def c_source(program: Program, element: str = "float64") -> str:
    """The text of `NAME.c`: the declarations of the header, then the three functions, point by point.

    Products and sums are left to the compiler as they are; gcc and clang with -std=c99 round each, so the last bits may
    differ from a kernel that fuses them. With `element` float32 numbers are read and written as float, but computed in
    double.
    """
    program = prune(program)
    point, batch = prototypes(program, element)
    used = program.counts()
    if "polygamma" in used:
        used["digamma"] += 1
    pieces = [
        header(program, element).rstrip(),
        "#include <math.h>",
        *[text for name, text in HELPERS.items() if name in used],
        *[external.prototype() for external in program.externals if not external.is_expression],
        f"{point}\n{{\n{_body(program)}}}",
        f"{batch}\n{{\n{_batch(program)}}}",
        _loop(program, element),
    ]
    return "\n\n".join(pieces) + "\n"


def number(value: float) -> str:
    """A float64 as a C expression."""
    if math.isnan(value):
        return "NAN"
    if math.isinf(value):
        return "INFINITY" if value > 0 else "(-INFINITY)"
    return repr(value) if math.copysign(1, value) > 0 else f"({value!r})"


def _body(program: Program) -> str:
    arrays = parameters(program)
    lines: list[str] = []
    values: list[str] = []
    together = groups(program.calls, program.body)
    for index, (name, *operands) in enumerate(program.body):
        if name == "const":
            values.append(number(float(operands[0])))
            continue
        if name == "load":
            expression = _element(arrays[operands[0]], operands[1])
        elif index in together:
            expression = _external(program, index, [values[operand] for operand in operands], together[index], lines)
        else:
            expression = EXPRESSIONS[name].format(*[values[operand] for operand in operands])
        kind = "int" if name in INSTRUCTIONS and INSTRUCTIONS[name].result == MASK else "double"
        values.append(f"codegen_{index}")
        lines.append(f"    const {kind} codegen_{index} = {expression};\n")
    for parameter, elements in zip(arrays[len(program.arguments) :], program.outputs, strict=True):
        for element, value in enumerate(elements):
            lines.append(f"    {_element(parameter, element)} = {values[value]};\n")
    loaded = {instruction[1] for instruction in program.body if instruction[0] == "load"}
    for index, parameter in enumerate(arrays[: len(program.arguments)]):
        if index not in loaded:
            lines.append(f"    (void){parameter.name};\n")
    return "".join(lines)


def _external(program: Program, index: int, given: list[str], together: dict[int, int], lines: list[str]) -> str:
    """A call of somebody else's function, written before the first of its results that is used."""
    external, place = program.calls[program.body[index][0]]
    if external.is_expression:
        return f"({external.c})".format(*given)
    if external.results == 1:
        return f"{external.c_name}({', '.join(given)})"
    first = min(together.values())
    if index == first:
        lines.append(f"    double codegen_r{first}[{external.results}];\n")
        lines.append(f"    const double codegen_a{first}[] = {{{', '.join(given)}}};\n")
        lines.append(f"    {external.c_name}(codegen_a{first}, codegen_r{first});\n")
    return f"codegen_r{first}[{place}]"


def _element(parameter: Parameter, element: int) -> str:
    return f"{parameter.name}[{element}]"


def _batch(program: Program) -> str:
    calls = []
    for parameter in parameters(program):
        size = parameter.array.size
        calls.append(f"{parameter.name} + {size} * codegen_i" if size > 1 else f"{parameter.name} + codegen_i")
    return (
        "    int64_t codegen_i;\n"
        "    for (codegen_i = 0; codegen_i < n; codegen_i++)\n"
        f"        {program.name}({', '.join(calls)});\n"
    )


def _loop(program: Program, element_type: str) -> str:
    """The strided loop: elements are gathered into and scattered from small arrays on the stack."""
    arrays = parameters(program, element_type)
    lines = [
        f"void {program.name}_loop(char **args, const int64_t *dimensions, const int64_t *steps, void *data)\n{{\n",
        "    int64_t codegen_i;\n",
    ]
    for parameter in arrays:
        lines.append(f"    {parameter.type} {parameter.name}[{max(1, parameter.array.size)}];\n")
    lines += ["    (void)data;\n", "    for (codegen_i = 0; codegen_i < dimensions[0]; codegen_i++) {\n"]
    call = f"        {program.name}({', '.join(parameter.name for parameter in arrays)});\n"
    stride = len(arrays)
    gathered, scattered = [], []
    for index, parameter in enumerate(arrays):
        shape = parameter.array.shape
        for element in range(parameter.array.size):
            offset, rest = [f"codegen_i * steps[{index}]"], element
            for axis in reversed(range(len(shape))):
                rest, digit = divmod(rest, shape[axis])
                if digit:
                    offset.append(f"{digit} * steps[{stride + axis}]")
            place = f"(args[{index}] + {' + '.join(offset)})"
            if parameter.is_result:
                scattered.append(f"        *({parameter.type} *){place} = {parameter.name}[{element}];\n")
            else:
                gathered.append(f"        {parameter.name}[{element}] = *(const {parameter.type} *){place};\n")
        stride += len(shape)
    return "".join([*lines, *gathered, call, *scattered, "    }\n}"])
