"""A function as stand-alone Python source over NumPy: for reading, and for machines without this package.

The program of the function is written line by line. A value that is used once is written where it is used, unless the
line would become long; every other value gets a name, that of the program if it has one.
"""

from __future__ import annotations

import keyword
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from codegen.program import Array, Program
from hybrid.operations import OPERATIONS

LONG = 60  # characters above which a value that is used once gets a name too

# Binding strength as in Python's grammar: of the text, then what each operand needs to keep the order of evaluation.
ATOM, POWER, UNARY, PRODUCT, SUM, RELATION = 6, 5, 4, 3, 2, 1
INFIX: dict[str, tuple[str, int, tuple[int, ...]]] = {
    "add": ("{} + {}", SUM, (SUM, PRODUCT)),
    "sub": ("{} - {}", SUM, (SUM, PRODUCT)),
    "mul": ("{} * {}", PRODUCT, (PRODUCT, UNARY)),
    "div": ("{} / {}", PRODUCT, (PRODUCT, UNARY)),
    "neg": ("-{}", UNARY, (UNARY,)),
    "fma": ("{} * {} + {}", SUM, (PRODUCT, UNARY, PRODUCT)),
} | {
    name: ("{} " + sign + " {}", RELATION, (SUM, SUM))
    for name, sign in {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}.items()
}
SCIPY = {
    "erf": "erf",
    "erfc": "erfc",
    "gamma": "gamma",
    "loggamma": "gammaln",
    "digamma": "digamma",
    "polygamma": "polygamma",
}
CALLS = (
    {row.instruction: f"np.{row.numpy.__name__}" for row in OPERATIONS.values() if row.instruction is not None}
    | {name: f"special.{function}" for name, function in SCIPY.items()}
    | {"true": "np.True_", "false": "np.False_", "select_mask": "np.where", "pow": "np.power"}
)


@dataclass(frozen=True)
class Text:
    """Source of a value and how tightly it binds."""

    source: str
    level: int = ATOM

    def within(self, level: int) -> str:
        return self.source if self.level >= level else f"({self.source})"


def python_code(program: Program) -> str:
    """A module with one Python function, named as the program.

    Arguments are arrays of shape batch + argument shape that broadcast; it returns an array of shape batch + result
    shape, or a tuple of them. Needs NumPy, and SciPy where error or gamma functions occur.
    """
    program = named_for_python(program)
    lines, returned = Writer(program).write()
    needs_scipy = any(name in SCIPY for name, *_ in program.body)
    imports = ["import numpy as np", *(["from scipy import special"] if needs_scipy else [])]
    signature = ", ".join(argument.name for argument in program.arguments)
    takes = [f"{a.name} of shape (..., {', '.join(map(str, a.shape))})" for a in program.arguments if a.shape]
    gives = ", ".join(f"{r.name} of shape {shown(r)}" for r in program.results)
    head = f'    """{program.operations} operations. ' + (f"Takes {', '.join(takes)}. " if takes else "")
    body = [head + f'Returns {gives}."""', *(f"    {line}" for line in lines), f"    return {returned}"]
    return "\n".join([*imports, "", "", f"def {program.name}({signature}):", *body, ""])


def named_for_python(program: Program) -> Program:
    """The program with argument names that Python has, and that hide nothing the module uses."""
    taken = {"np", "special", program.name, *(external.c_name for external in program.externals)}
    arguments = []
    for argument in program.arguments:
        name = argument.name if argument.name.isidentifier() else re.sub(r"\W", "_", f"x{argument.name}")
        while keyword.iskeyword(name) or name in taken:
            name += "_"
        taken.add(name)
        arguments.append(Array(name, argument.shape))
    names = {value: name for value, name in program.names.items() if name not in taken and not keyword.iskeyword(name)}
    title = f"{program.name}_" if keyword.iskeyword(program.name) else program.name
    return replace(program, name=title, arguments=tuple(arguments), names=names)


def shown(array: Array) -> str:
    return f"(..., {', '.join(map(str, array.shape))})" if array.shape else "(...)"


class Writer:
    """One program being written."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.lines: list[str] = []
        self.texts: list[Text] = []
        self.uses = Counter(
            operand for name, *operands in program.body if name not in ("load", "const") for operand in operands
        )
        for values in program.outputs:
            self.uses.update(values)
        names = {argument.name for argument in program.arguments} | {program.name, *program.names.values()}
        self.stem = "t"
        while any(re.fullmatch(rf"{self.stem}\d+", name) for name in names):
            self.stem += "_"

    def write(self) -> tuple[list[str], str]:
        for number, (name, *operands) in enumerate(self.program.body):
            text = self.value(name, operands)
            long = self.uses[number] > 1 or len(text.source) > LONG
            if name not in ("load", "const") and (number in self.program.names or long):
                temporary = self.program.names.get(number, f"{self.stem}{len(self.lines)}")
                self.lines.append(f"{temporary} = {text.source}")
                text = Text(temporary)
            self.texts.append(text)
        results = [self.result(r, values) for r, values in zip(self.program.results, self.program.outputs, strict=True)]
        return self.lines, ", ".join(results)

    def value(self, name: str, operands: Sequence[int | float]) -> Text:
        if name == "load":
            argument = self.program.arguments[int(operands[0])]
            index = element(argument, int(operands[1]))
            return Text(f"{argument.name}[..., {index}]" if index else argument.name)
        if name == "const":
            return constant(float(operands[0]))
        texts = [self.texts[int(operand)] for operand in operands]
        if name in self.program.calls:  # a function that the reader has
            external, place = self.program.calls[name]
            call = f"{external.c_name}({', '.join(text.source for text in texts)})"
            return Text(call if external.results == 1 else f"{call}[{place}]")
        if name in INFIX:
            pattern, level, places = INFIX[name]
            return Text(pattern.format(*(t.within(p) for t, p in zip(texts, places, strict=True))), level)
        if name in ("true", "false"):
            return Text(CALLS[name])
        arguments = [text.source for text in texts]
        if name == "polygamma":  # SciPy's order is an integer
            arguments[0] = str(int(float(arguments[0])))
        return Text(f"{CALLS[name]}({', '.join(arguments)})")

    def result(self, result: Array, values: Sequence[int]) -> str:
        texts = [self.texts[value].source for value in values]
        if not result.shape:
            return texts[0] if len(self.program.results) == 1 else f"np.asarray({texts[0]})"
        stacked = f"np.stack(np.broadcast_arrays({', '.join(texts)}), axis=-1)"
        if len(result.shape) == 1:
            return stacked
        name = f"{self.stem}{len(self.lines)}"
        self.lines.append(f"{name} = {stacked}")
        return f"{name}.reshape({name}.shape[:-1] + {result.shape})"


def constant(value: float) -> Text:
    if value != value or value in (float("inf"), float("-inf")):
        return Text({"inf": "np.inf", "-inf": "-np.inf"}.get(str(value), "np.nan"), UNARY if value < 0 else ATOM)
    text = str(int(value)) if value.is_integer() and 0 < abs(value) < 1e6 else repr(value)
    return Text(text, UNARY if text.startswith("-") else ATOM)


def element(argument: Array, position: int) -> str:
    """The index of element `position` (C order), as written between brackets after the batch axes."""
    index: list[str] = []
    for length in reversed(argument.shape):
        position, place = divmod(position, length)
        index.insert(0, str(place))
    return ", ".join(index)
