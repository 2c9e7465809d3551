"""Reads LaTeX as mathematics is read, knowing nothing of the printer, and gives its value.

The reader is strict where a person would hesitate: a factor after a function written without parentheses, a number
before a fraction, or anything after a solidus is an error.
"""

import re

import numpy as np

from hybrid import special, special_values
from hybrid.operations import NAMED_CONSTANTS

TOKEN = re.compile(r"\\[A-Za-z]+|\\.|\d+(?:\.\d+)?|[^\s]")
PREFIX = {
    r"\sin": np.sin, r"\cos": np.cos, r"\tan": np.tan,
    r"\arcsin": np.arcsin, r"\arccos": np.arccos, r"\arctan": np.arctan,
    r"\sinh": np.sinh, r"\cosh": np.cosh, r"\tanh": np.tanh, r"\log": np.log, r"\exp": np.exp, r"\Gamma": special.gamma,
    r"\min": np.minimum.reduce, r"\max": np.maximum.reduce, r"\psi": special.digamma,
    r"\Phi": special_values.ndtr,
    r"\theta": lambda x: np.heaviside(x, 0.5),
}  # fmt: skip
ORDERED = {
    "r": special_values.erfc_ratio,
    "J": special_values.jv,
    "I": special_values.iv,
    "j": special_values.spherical_jn,
}
NAMED = {
    "hypot": np.hypot, "logaddexp": np.logaddexp, "atan2": np.arctan2, "fmod": np.fmod, "copysign": np.copysign,
    "expm1": np.expm1, "log1p": np.log1p, "asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh,
    "erf": special.erf, "erfc": special.erfc, "B": special_values.beta, "W": special_values.lambertw,
    **{name: getattr(special_values, name) for name in ("erfcx", "erfinv", "expit", "logit", "softplus", "sinc")},
    "sech": special_values.sech,
    "betaln": special_values.betaln,
    "sign": np.sign, "trunc": np.trunc, "round": np.rint,
}  # fmt: skip
RELATIONS = {"<": np.less, r"\leq": np.less_equal, ">": np.greater, r"\geq": np.greater_equal, "=": np.equal,
             r"\neq": np.not_equal}  # fmt: skip
LOGIC = {r"\wedge": np.logical_and, r"\vee": np.logical_or, r"\veebar": np.logical_xor}
CONSTANTS = {constant.latex: np.float64(constant.value) for constant in NAMED_CONSTANTS}
CONSTANTS |= {r"\infty": np.inf, r"\text{NaN}": np.nan, r"\text{true}": np.True_, r"\text{false}": np.False_}
ENDS = {
    ")",
    "}",
    "&",
    r"\\",
    ",",
    "+",
    "-",
    "/",
    r"\bmod",
    "]",
    r"\end",
    None,
    *RELATIONS,
    *LOGIC,
    r"\rfloor",
    r"\rceil",
    r"\rvert",
}


SPELLINGS = {r"\left|": r"\lvert ", r"\right|": r"\rvert ", r"\left": " ", r"\right": " ", r"\,": " ", r"\quad": " ",
             r"\\[6pt]": r"\\ ", r"\\ \\[-0.7em]": r"\\ ", r"\\[4pt]": r"\\ "}  # fmt: skip


class Reader:
    """Recursive descent over tokens; the values of symbols are found by their LaTeX."""

    def __init__(self, text, symbols):
        for written, meant in SPELLINGS.items():
            text = text.replace(written, meant)
        self.tokens = [*TOKEN.findall(text), None]
        self.at = 0
        self.symbols = symbols

    @property
    def token(self):
        return self.tokens[self.at]

    def take(self, expected=None):
        token = self.token
        if expected is not None and token != expected:
            raise ValueError(f"expected {expected} at {self.tokens[self.at : self.at + 12]}")
        self.at += 1
        return token

    def accept(self, token):
        if self.token == token:
            self.at += 1
            return True
        return False

    def everything(self):
        value = self.logic()
        self.take(None)
        assert self.at == len(self.tokens), self.tokens[self.at :]
        return value

    def logic(self):
        value = self.relation()
        chain = {self.token} & LOGIC.keys()
        while self.token in chain:  # a chain of one connective; mixing them needs parentheses
            value = LOGIC[self.take()](value, self.relation())
        return value

    def relation(self):
        if self.accept(r"\neg"):
            return np.logical_not(self.atom())
        value = self.infix()
        return RELATIONS[self.take()](value, self.infix()) if self.token in RELATIONS else value

    def infix(self):
        value = self.sum()
        return np.mod(value, self.sum()) if self.accept(r"\bmod") else value

    def sum(self):
        sign = -1.0 if self.accept("-") else 1.0
        value = sign * self.product() if sign < 0 else self.product()
        while self.token in ("+", "-"):
            value = value + self.product() if self.take() == "+" else value - self.product()
        return value

    def product(self):
        value, kind = self.factor()
        while self.token not in ENDS:
            dot = self.accept(r"\cdot") or self.accept(r"\times")
            assert dot or not self.token[0].isdigit(), f"a number after a factor at {self.tokens[self.at - 2 :][:5]}"
            factor, next_kind = self.factor()
            allowed = next_kind or kind != "bare function"
            assert allowed, f"a factor after a bare function at {self.tokens[self.at - 4 :][:5]}"
            value, kind = value * factor, next_kind
        if self.accept("/"):
            below, _ = self.factor()
            assert self.token in ENDS, f"a factor after a solidus at {self.tokens[self.at - 2 :][:4]}"
            value = np.divide(value, below)
        return value

    def factor(self):
        """A power, and which kind of function if it is one: what follows a bare one could be taken for its argument."""
        if (self.token in PREFIX and self.token not in self.symbols) or self.token == r"\operatorname":
            return self.function()
        if self.token == "e" and "e" not in self.symbols:
            self.take()
            return np.exp(self.group() if self.accept("^") else np.float64(1)), ""
        base = self.atom()
        return (np.power(base, self.group()) if self.accept("^") else base), ""

    def function(self):
        name = self.take()
        meaning = self.named() if name == r"\operatorname" else PREFIX[name]
        if name == r"\log" and self.token == r"\Gamma":
            self.take()
            meaning = special.loggamma
        if name == r"\log" and self.token == r"\Phi":
            self.take()
            meaning = special_values.log_ndtr
        if name == r"\log" and self.accept("_"):
            meaning = {2: np.log2, 10: np.log10}[self.group()]
        exponent = None
        if self.accept("^"):
            exponent = self.group()
            if name == r"\psi":
                order, exponent = int(exponent), None
                meaning = lambda x: special.polygamma(order, x)  # noqa: E731
            else:
                assert exponent > 1, "a negative power of a function means its inverse"
        bare = self.token != "("
        args = [self.atom()] if bare else self.arguments()
        value = meaning(args) if name in (r"\min", r"\max") else meaning(*args)
        if exponent is None and not bare and self.accept("^"):
            exponent = self.group()
        return (np.power(value, exponent) if exponent is not None else value), "bare function" if bare else "function"

    def named(self):
        name = "".join(self.raw())
        if name not in ORDERED:
            return NAMED[name]
        self.take("_")
        order = int(self.group())
        return lambda x: ORDERED[name](order, x)

    def arguments(self):
        self.take("(")
        args = [self.logic()]
        while self.accept(","):
            args.append(self.logic())
        self.take(")")
        return args

    def raw(self):
        self.take("{")
        found = []
        while self.token != "}":
            found.append(self.take())
        self.take("}")
        return found

    def group(self):
        self.take("{")
        value = self.logic()
        self.take("}")
        return value

    def atom(self):
        token = self.token
        if token[0].isdigit():
            self.take()
            assert self.token != r"\frac", "a mixed number"
            return np.float64(token)
        if token in ("(", r"\lfloor", r"\lceil", r"\lvert"):
            return self.delimited()
        if token == r"\frac":
            self.take()
            return np.divide(self.group(), self.group())
        if token == r"\sqrt":
            self.take()
            index = 2
            if self.accept("["):
                index = int(self.take())
                self.take("]")
            value = self.group()
            return np.sqrt(value) if index == 2 else np.cbrt(value) if index == 3 else np.power(value, 1 / index)
        if token == r"\begin":
            return self.environment()
        return self.symbol()

    def delimited(self):
        opening = self.take()
        value = self.logic()
        self.take({"(": ")", r"\lfloor": r"\rfloor", r"\lceil": r"\rceil", r"\lvert": r"\rvert"}[opening])
        return {r"\lfloor": np.floor, r"\lceil": np.ceil, r"\lvert": np.abs}.get(opening, lambda x: x)(value)

    def symbol(self):
        name = self.take()
        if name in (r"\dot", r"\bar", r"\mathrm", r"\texttt", r"\text"):
            name += "{" + "".join(self.raw()) + "}"
        if self.accept("_"):
            name += "_{" + "".join(self.raw()) + "}"
        return self.symbols[name] if name in self.symbols else CONSTANTS[name]

    def environment(self):
        self.take(r"\begin")
        kind = "".join(self.raw())
        rows = [[]]
        while self.token != r"\end":
            if self.accept("&"):
                continue
            if self.accept(r"\\"):
                rows.append([])
            elif self.accept(r"\text"):
                rows[-1].append(True if self.raw() == list("otherwise") else self.logic())
            else:
                rows[-1].append(self.logic())
        self.take(r"\end")
        self.raw()
        if kind != "cases":
            return np.array(rows)
        value = rows[-1][0]
        for branch, condition in reversed(rows[:-1]):
            value = np.where(condition, branch, value)
        return value


def read(text, symbols):
    """The value of printed LaTeX: its definitions in order, then the expression or matrix."""
    first, symbols = definitions(text, symbols)
    return Reader(first.replace("&=", "=", 1).partition("=")[2].strip(), symbols).everything()


def definitions(text, symbols):
    """The first equation of printed LaTeX as it is, and the symbols with the values of those defined below it."""
    text = re.sub(r"\\(?:begin|end)\{aligned\}", "", text)
    text = re.sub(r"\\\\(?:\[4pt\])?\n&\\quad", " ", text).replace(r"\text{where} \quad", "")
    first, *rest = re.split(r"\\\\(?:\[4pt\])?\n", text.strip())
    symbols = dict(symbols)
    for row in rest:
        for definition in row.replace("&=", "=").split(r", \quad"):
            name, _, value = definition.partition("=")
            assert name.strip() not in symbols, f"{name} is taken"
            symbols[name.strip()] = Reader(value, symbols).everything()
    return first, symbols
