"""Reference meaning of programs, and random programs, for the tests of codegen."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from scipy import special

from codegen import INSTRUCTIONS, Array, Program

MEANING: dict[str, Callable] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "minimum": np.minimum,
    "maximum": np.maximum,
    "copysign": np.copysign,
    "pow": np.power,
    "atan2": np.arctan2,
    "hypot": np.hypot,
    "mod": np.mod,
    "fmod": np.fmod,
    "polygamma": lambda n, x: special.polygamma(np.int64(n), x),
    "neg": np.negative,
    "abs": np.abs,
    "sign": np.sign,
    "sqrt": np.sqrt,
    "cbrt": np.cbrt,
    "floor": np.floor,
    "ceil": np.ceil,
    "trunc": np.trunc,
    "rint": np.rint,
    "exp": np.exp,
    "exp2": np.exp2,
    "expm1": np.expm1,
    "log": np.log,
    "log2": np.log2,
    "log10": np.log10,
    "log1p": np.log1p,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
    "erf": special.erf,
    "erfc": special.erfc,
    "gamma": special.gamma,
    "loggamma": special.gammaln,
    "digamma": special.digamma,
    "fma": lambda a, b, c: a * b + c,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "eq": np.equal,
    "ne": np.not_equal,
    "and": np.logical_and,
    "or": np.logical_or,
    "xor": np.logical_xor,
    "not": np.logical_not,
    "true": lambda: np.True_,
    "false": lambda: np.False_,
    "select": np.where,
    "select_mask": np.where,
}
assert set(MEANING) == set(INSTRUCTIONS), set(MEANING) ^ set(INSTRUCTIONS)


def reference(program: Program, *arrays: np.ndarray, dtype: type = float) -> list[np.ndarray]:
    """What a program means, by NumPy computing in `dtype`: arrays `batch + shape` per argument, and per result."""
    flat = [
        np.asarray(array, dtype).reshape(*np.shape(array)[: np.ndim(array) - len(argument.shape)], -1)
        for array, argument in zip(arrays, program.arguments, strict=True)
    ]
    batch = np.broadcast_shapes(*(array.shape[:-1] for array in flat))
    values: list[np.ndarray] = []
    with np.errstate(all="ignore"):
        for name, *operands in program.body:
            if name == "const":
                values.append(np.dtype(dtype).type(operands[0]))
            elif name == "load":
                values.append(flat[operands[0]][..., operands[1]])
            else:
                values.append(MEANING[name](*[values[operand] for operand in operands]))
    results = []
    for array, elements in zip(program.results, program.outputs, strict=True):
        stacked = np.stack([np.broadcast_to(values[value], batch) for value in elements], axis=-1)
        results.append(np.array(stacked, dtype).reshape(batch + array.shape))
    return results


ARITHMETIC = "add sub mul div neg abs sign minimum maximum copysign floor ceil trunc rint sqrt select fma"
COMPARISONS = "lt le gt ge eq ne"
LOGIC = "and or xor not select_mask true false"


def random_program(
    length: int,
    seed: int,
    names: str = ARITHMETIC,
    arguments: Sequence[Array] = (Array("x"), Array("y"), Array("q", (3,))),
    results: Sequence[Array] = (Array("r"), Array("J", (2, 3))),
    *,
    reach: int = 50,
) -> Program:
    """A program of `length` random instructions over recent values, its last values as results."""
    source = random.Random(seed)
    body: list[tuple] = [("load", k, e) for k, array in enumerate(arguments) for e in range(array.size)]
    reals = list(range(len(body)))
    masks: list[int] = []
    for constant in (0.5, -0.0, 3.0):
        reals.append(len(body))
        body.append(("const", constant))
    while len(body) < length:
        kind = source.random()
        if not masks or kind < 0.08:
            name = source.choice(COMPARISONS.split())
        elif kind < 0.12:
            name = source.choice(LOGIC.split())
        else:
            name = source.choice(names.split())
        row = INSTRUCTIONS[name]
        operands = [source.choice((masks if k == "mask" else reals)[-reach:]) for k in row.operands]
        (masks if row.result == "mask" else reals).append(len(body))
        body.append((name, *operands))
    outputs, recent = [], reals[-sum(array.size for array in results) * 2 :]
    for array in results:
        outputs.append(tuple(source.choice(recent) for _ in range(array.size)))
    return Program(f"random_{seed}", tuple(arguments), tuple(results), body, tuple(outputs))


@pytest.fixture
def sample() -> Callable[[Program, tuple[int, ...], int], list[np.ndarray]]:
    """Random arguments of a program for a batch shape: `sample(program, batch, seed)`."""

    def draw(program: Program, batch: tuple[int, ...], seed: int = 0) -> list[np.ndarray]:
        source = np.random.default_rng(seed)
        return [source.normal(size=batch + array.shape) for array in program.arguments]

    return draw


@pytest.fixture
def programs() -> Callable[..., Program]:
    return random_program


@pytest.fixture
def meaning() -> Callable[..., list[np.ndarray]]:
    return reference
