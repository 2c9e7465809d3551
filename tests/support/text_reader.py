"""Reads plain text of functions by Python's grammar, which it follows up to spelling, and gives its values."""

import ast
import operator
import re

import numpy as np

from hybrid.operations import NAMED_CONSTANTS, OPERATIONS

SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
SPELLINGS = {"·": "*", "^": "**", "≤": "<=", "≥": ">=", "≠": "!=", " = ": " == ", "∧": "and", "∨": "or", "¬": "not ",
             "∞": "inf", "⌊": "floor(", "⌋": ")", "⌈": "ceil(", "⌉": ")"}  # fmt: skip
BINARY = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: np.divide, ast.Pow: np.power}
COMPARE = {ast.Lt: np.less, ast.LtE: np.less_equal, ast.Gt: np.greater, ast.GtE: np.greater_equal, ast.Eq: np.equal,
           ast.NotEq: np.not_equal}  # fmt: skip
FUNCTIONS = {name: op.numpy for name, op in OPERATIONS.items()} | {"min": np.minimum, "max": np.maximum}
CONSTANTS = {"π": np.pi, "e": np.e, "inf": np.inf}
CONSTANTS |= {{"EulerGamma": "γ", "GoldenRatio": "φ"}.get(c.name, c.name): c.value for c in NAMED_CONSTANTS[2:]}


def pythonic(text):
    text = re.sub("([⁰¹²³⁴⁵⁶⁷⁸⁹]+)", lambda match: "**" + match[1].translate(SUPERSCRIPTS), text)
    text = re.sub(r"√([\w.]+(?:\[[\d, ]+\])?)", r"sqrt(\1)", text).replace("√(", "sqrt(")
    for written, meant in SPELLINGS.items():
        text = text.replace(written, meant)
    return text


def value(node, symbols):
    """The value of a Python expression tree; nothing is ever executed."""
    match node:
        case ast.Constant(number):
            return np.float64(number)
        case ast.Name(name):
            return symbols[name] if name in symbols else CONSTANTS[name]
        case ast.Subscript():
            return symbols[ast.unparse(node).replace("(", "").replace(")", "")]
        case ast.BinOp(left, op, right):
            return BINARY[type(op)](value(left, symbols), value(right, symbols))
        case ast.UnaryOp(ast.USub(), operand):
            return -value(operand, symbols)
        case ast.UnaryOp(ast.Not(), operand):
            return not value(operand, symbols)
        case ast.Compare(left, [op], [right]):
            return COMPARE[type(op)](value(left, symbols), value(right, symbols))
        case ast.BoolOp(op, operands):
            return (all if isinstance(op, ast.And) else any)([value(operand, symbols) for operand in operands])
        case ast.IfExp(test, body, otherwise):
            return value(body if value(test, symbols) else otherwise, symbols)
        case ast.Call(ast.Name(name), args):
            values = [value(arg, symbols) for arg in args]
            return FUNCTIONS[name].reduce(values) if name in ("min", "max") else FUNCTIONS[name](*values)
    raise ValueError(ast.dump(node))


def read(text, symbols):
    """The values of all outputs, in order."""
    lines = text.splitlines()
    start = next((i for i, line in enumerate(lines) if line.startswith("where ")), len(lines))
    symbols = dict(symbols)
    for line in lines[start:]:
        name, _, expression = line.removeprefix("where").strip().partition(" = ")
        symbols[name] = value(ast.parse(pythonic(expression), mode="eval").body, symbols)
    outputs = [line.partition(" = ")[2] for line in lines[:start]]
    return [value(ast.parse(pythonic(output), mode="eval").body, symbols) for output in outputs]
