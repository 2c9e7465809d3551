"""Reads presentation MathML as a screen reader does, knowing nothing of the printer, and gives its value.

Invisible operators decide: factors need an invisible times or a dot between them, arguments follow an invisible
function application. The value of a symbol is found by its text: `x_1`, `A_1,2`, `v˙_1`.
"""

import operator
import xml.etree.ElementTree as ET

import numpy as np

from hybrid import special, special_values
from hybrid.operations import NAMED_CONSTANTS

SPACE = "{http://www.w3.org/1998/Math/MathML}"
TIMES, APPLY = "\u2062", "\u2061"
FUNCTIONS = {
    "sin": np.sin, "cos": np.cos, "tan": np.tan, "arcsin": np.arcsin, "arccos": np.arccos, "arctan": np.arctan,
    "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh, "log": np.log, "exp": np.exp, "Γ": special.gamma,
    "ψ": special.digamma, "Φ": special_values.ndtr, "θ": lambda x: np.heaviside(x, 0.5),
    "min": lambda *x: np.minimum.reduce(x), "max": lambda *x: np.maximum.reduce(x),
    "hypot": np.hypot, "logaddexp": np.logaddexp, "atan2": np.arctan2, "fmod": np.fmod, "copysign": np.copysign,
    "expm1": np.expm1, "log1p": np.log1p, "asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh,
    "erf": special.erf, "erfc": special.erfc, "B": special_values.beta, "W": special_values.lambertw,
    "betaln": special_values.betaln, "sign": np.sign, "trunc": np.trunc, "round": np.rint,
    **{name: getattr(special_values, name) for name in ("erfcx", "erfinv", "expit", "logit", "softplus", "sinc")},
    "sech": special_values.sech,
}  # fmt: skip
ORDERED = {
    "r": special_values.erfc_ratio,
    "J": special_values.jv,
    "I": special_values.iv,
    "j": special_values.spherical_jn,
}
AROUND = {"(": lambda x: x, "⌊": np.floor, "⌈": np.ceil, "|": np.abs}
CLOSES = {"(": ")", "⌊": "⌋", "⌈": "⌉", "|": "|"}
RELATIONS = {"<": np.less, "≤": np.less_equal, ">": np.greater, "≥": np.greater_equal, "=": np.equal,
             "≠": np.not_equal}  # fmt: skip
LOGIC = {"∧": np.logical_and, "∨": np.logical_or, "⊻": np.logical_xor}
CONSTANTS = {"π": np.pi, "e": np.e, "∞": np.inf, "NaN": np.nan, "true": np.True_, "false": np.False_}
CONSTANTS |= {"γ": NAMED_CONSTANTS[2].value, "G": NAMED_CONSTANTS[3].value, "φ": NAMED_CONSTANTS[4].value}


def tag(element):
    assert element.tag.startswith(SPACE), element.tag
    return element.tag.removeprefix(SPACE)


def key(element):
    """The text a symbol is known by."""
    match tag(element):
        case "mi" | "mn" | "mtext" | "mo":
            return element.text
        case "mrow":
            return "".join(map(key, element))
        case "msub":
            return f"{key(element[0])}_{key(element[1])}"
        case "mover":
            return key(element[0]) + element[1].text
    raise ValueError(ET.tostring(element))


class Row:
    """Recursive descent over the elements of a row."""

    def __init__(self, elements, symbols):
        self.elements = [part for element in elements for part in flat(element)]
        self.at = 0
        self.symbols = symbols

    @property
    def op(self):
        """The operator that comes next, or None."""
        if self.at == len(self.elements):
            return None
        element = self.elements[self.at]
        return element.text if tag(element) == "mo" else None

    def accept(self, text):
        if self.op != text:
            return False
        self.at += 1
        return True

    def take(self):
        self.at += 1
        return self.elements[self.at - 1]

    def everything(self):
        value = self.logic()
        assert self.at == len(self.elements), [ET.tostring(e) for e in self.elements[self.at :]]
        return value

    def logic(self):
        value = self.relation()
        chain = {self.op} & LOGIC.keys()
        while self.op in chain:
            value = LOGIC[self.take().text](value, self.relation())
        return value

    def relation(self):
        if self.accept("¬"):
            return np.logical_not(self.factor())
        value = self.infix()
        return RELATIONS[self.take().text](value, self.infix()) if self.op in RELATIONS else value

    def infix(self):
        value = self.sum()
        return np.mod(value, self.sum()) if self.accept("mod") else value

    def sum(self):
        value = -self.product() if self.accept("−") else self.product()
        while self.op in ("+", "−"):
            change = operator.add if self.take().text == "+" else operator.sub
            value = change(value, self.product())
        return value

    def product(self):
        value = self.factor()
        while self.op in (TIMES, "⋅", "×"):
            self.take()
            value = value * self.factor()
        return np.divide(value, self.factor()) if self.accept("/") else value

    def factor(self):
        element = self.take()
        if self.op == APPLY:
            return self.applied(element)
        return value(element, self.symbols)

    def applied(self, element):
        exponent = None
        if tag(element) == "msup" and key(element[0]) != "ψ":
            element, exponent = element
        meaning = self.function(element)
        self.accept(APPLY)
        if self.elements[self.at + 1 :][:1] and tag(self.elements[self.at + 1]) == "mo" and self.op is None:
            next_op = self.elements[self.at + 1].text
            if next_op == APPLY:  # log Γ(x)
                inner = {"Γ": special.loggamma, "Φ": special_values.log_ndtr}[key(self.elements[self.at])]
                assert meaning is np.log
                self.at += 2
                meaning = inner
        argument = self.take()
        outer = None
        if tag(argument) == "msup" and tag(argument[0]) == "mrow" and argument[0][0].text == "(":
            argument, outer = argument  # Γ(x)²: the fences are the function's
        given = arguments(argument, self.symbols)
        result = meaning(*given)
        for power in (exponent, outer):
            if power is not None:
                power = value(power, self.symbols)
                assert power > 1 or outer is not None, "a negative power of a function means its inverse"
                result = np.power(result, power)
        return result

    def function(self, element):
        if tag(element) == "msub":
            name, order = key(element[0]), int(key(element[1]))
            if name == "log":
                return {2: np.log2, 10: np.log10}[order]
            return lambda x: ORDERED[name](order, x)
        if tag(element) == "msup":
            order = int(key(element[1]).strip("()"))
            return lambda x: special.polygamma(order, x)
        return FUNCTIONS[key(element)]


def flat(element):
    """The parts of rows that only group; a row between fences stays one."""
    if tag(element) == "mspace":
        return []
    if tag(element) != "mrow" or fenced(element):
        return [element]
    return [part for child in element for part in flat(child)]


def fenced(element):
    return len(element) > 0 and element[0].tag == f"{SPACE}mo" and element[0].get("fence") == "true"


def arguments(element, symbols):
    """The values between parentheses and commas, or that of one argument without."""
    if tag(element) != "mrow" or not fenced(element) or element[0].text != "(":
        return [value(element, symbols)]
    assert element[-1].text == ")"
    groups = [[]]
    for part in (part for child in element[1:-1] for part in flat(child)):
        if tag(part) == "mo" and part.text == ",":
            groups.append([])
        else:
            groups[-1].append(part)
    return [Row(group, symbols).everything() for group in groups]


def value(element, symbols):
    match tag(element):
        case "mn":
            return np.float64(element.text)
        case "mi" | "msub" | "mover" | "mtext":
            name = key(element)
            return symbols[name] if name in symbols else CONSTANTS[name]
        case "mfrac":
            return np.divide(value(element[0], symbols), value(element[1], symbols))
        case "msqrt":
            return np.sqrt(Row(element, symbols).everything())
        case "mroot":
            index = int(element[1].text)
            inside = value(element[0], symbols)
            return np.cbrt(inside) if index == 3 else np.power(inside, 1 / index)
        case "msup":
            base, exponent = element
            if key_or_none(base) == "e" and "e" not in symbols:
                return np.exp(value(exponent, symbols))
            return np.power(value(base, symbols), value(exponent, symbols))
        case "mrow" if fenced(element):
            return delimited(element, symbols)
        case "mrow":
            return Row(element, symbols).everything()
        case "mtable":
            return np.array([[value(cell[0], symbols) for cell in row] for row in element])
    raise ValueError(ET.tostring(element))


def key_or_none(element):
    return element.text if tag(element) == "mi" else None


def delimited(element, symbols):
    if element[0].text == "{":
        return cases(element[1], symbols)
    if tag(element[1]) == "mtable":
        return value(element[1], symbols)
    assert element[-1].text == CLOSES[element[0].text]
    return AROUND[element[0].text](Row(element[1:-1], symbols).everything())


def cases(table, symbols):
    result = None
    for row in reversed(table):
        branch = value(row[0][0], symbols)
        parts = flat(row[1][0])
        words = parts[0].text.replace("\N{NO-BREAK SPACE}", " ")
        if words == "otherwise":
            result = branch
        else:
            assert words == "if "
            result = np.where(Row(parts[1:], symbols).everything(), branch, result)
    return result


def read(text, symbols):
    """The value of a printed function: its definitions in order, then the expression or matrix."""
    root = ET.fromstring(text)
    assert tag(root) == "math"
    for element in list(root.iter(f"{SPACE}msubsup")):  # x with a subscript, to a power
        base, below, above = element
        symbol = ET.Element(f"{SPACE}msub")
        symbol.extend([base, below])
        element.tag = f"{SPACE}msup"
        element[:] = [symbol, above]
    body = root[0]
    symbols = dict(symbols)
    if tag(body) != "mtable":
        parts = flat(body)
        equals = next(i for i, part in enumerate(parts) if part.text == "=" and tag(part) == "mo")
        return Row(parts[equals + 1 :], symbols).everything()
    lines = []
    for row in body:
        parts = [part for cell in row for element in cell for part in flat(element)]
        parts = [part for part in parts if part.text != "where\N{NO-BREAK SPACE}" and part.text != "where"]
        if any(tag(part) == "mo" and part.text == "=" for part in parts):
            lines.append(parts)
        else:
            lines[-1] += parts  # a sum that goes on
    for line in lines[1:]:
        for definition in split(line):
            name = key(definition[0])
            assert name not in symbols, f"{name} is taken"
            assert definition[1].text == "="
            symbols[name] = Row(definition[2:], symbols).everything()
    equals = next(i for i, part in enumerate(lines[0]) if tag(part) == "mo" and part.text == "=")
    return Row(lines[0][equals + 1 :], symbols).everything()


def split(line):
    """The definitions on one line, which commas separate."""
    groups = [[]]
    for part in line:
        if tag(part) == "mo" and part.text == ",":
            groups.append([])
        else:
            groups[-1].append(part)
    return groups
