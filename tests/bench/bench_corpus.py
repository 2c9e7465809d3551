"""Operations for value and gradient over the corpus, beside SymPy: `python tests/bench/bench_corpus.py`.

1,000 expressions of 5 to 500 operations (tests/corpus). Per expression the operations of value and gradient together:

    as written     this graph's derivatives before any algebra
    compile        what `hy.compile(f, f.gradient())` runs: values as written, derivatives simplified
    simplified     the joint simplification of value and gradient
    SymPy          `sympy.cse` of the value and of its `sympy.diff` by every variable, its default settings

SymPy's result is counted twice: as `sympy.count_ops` does, where x**7 is one operation, and as this project counts
programs, where it is four multiplications. Ratios are means over the expressions. `--sample N` takes N of them,
`--json FILE` writes the figures. SymPy takes most of the time, some minutes for all; expressions
that it does not finish in 20 seconds are counted and left out.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import sympy as sp

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from corpus import Line, read, value_of

import hybrid as hy
from hybrid.function import Function
from hybrid.parse import define
from hybrid.simplify import REAL, operations, simplify

PATIENCE = 20


class SymPyFunctions:
    """SymPy's names for the functions of the corpus."""

    exp, log, sqrt, sin, cos, tan, atan, erf = sp.exp, sp.log, sp.sqrt, sp.sin, sp.cos, sp.tan, sp.atan, sp.erf
    sinh, cosh, tanh, asinh = sp.sinh, sp.cosh, sp.tanh, sp.asinh
    log1p = staticmethod(lambda x: sp.log(1 + x))
    expm1 = staticmethod(lambda x: sp.exp(x) - 1)


@dataclass(frozen=True)
class Count:
    """Operations of one expression, and seconds."""

    family: str
    written: int
    compiled: int
    simplified: int
    sympy: int
    sympy_program: int
    seconds: float
    sympy_seconds: float


def count(line: Line) -> Count | None:
    """The figures of one expression; None where SymPy does not finish in PATIENCE seconds."""
    start = time.perf_counter()
    f = Function.from_definition(define(line.expression, dict.fromkeys(line.variables, ()), "f"))
    graph, gradient = f.graph, f.gradient()
    roots = [*f.nodes, *gradient.nodes]
    written = operations(graph, roots)
    simplified = operations(graph, simplify(graph, roots, REAL))
    seconds = time.perf_counter() - start
    compiled = operations(graph, simplify(graph, roots, REAL, keep=f.nodes))
    start = time.perf_counter()
    try:
        signal.alarm(PATIENCE)
        names, reduced = by_sympy(line)
    except TimeoutError:
        return None
    finally:
        signal.alarm(0)
    sympy_seconds = time.perf_counter() - start
    sympy = sum(int(sp.count_ops(e)) for _, e in names) + sum(int(sp.count_ops(e)) for e in reduced)
    return Count(line.family, written, compiled, simplified, sympy, as_program(names, reduced), seconds, sympy_seconds)


def by_sympy(line: Line) -> tuple[list[tuple[Any, Any]], list[Any]]:
    symbols = {name: sp.Symbol(name) for name in line.variables}
    value = value_of(line.tree, {**symbols, "E": sp.E, "pi": sp.pi}, sp.sympify, SymPyFunctions)
    names, reduced = sp.cse([value, *(sp.diff(value, symbol) for symbol in symbols.values())])
    return names, reduced


def as_program(names: Sequence[tuple[Any, Any]], reduced: Sequence[Any]) -> int:
    """SymPy's assignments one by one as instructions of this project: none is shared beyond what SymPy names."""
    total = 0
    for expression in [*(expression for _, expression in names), *reduced]:
        symbols = sorted(expression.free_symbols, key=str)
        if symbols:
            f = hy.Function(symbols, expression)
            total += operations(f.graph, f.nodes)
    return total


def give_up(signum: int, frame: Any) -> None:
    raise TimeoutError


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sample", type=int, default=1000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    signal.signal(signal.SIGALRM, give_up)
    lines = random.Random(1).sample(read(), options.sample)
    counts = [one for line in lines if (one := count(line)) is not None]
    groups: dict[str, list[Count]] = defaultdict(list)
    for one in counts:
        groups[one.family].append(one)
    print(f"SymPy did not finish {len(lines) - len(counts)} of {len(lines)} expressions in {PATIENCE} s each")
    print("mean operations of value + gradient; then mean ratios to SymPy's count_ops, and to its program")
    print(f"{'':<14}{'n':>5}{'written':>9}{'compile':>9}{'simplified':>12}{'SymPy':>8}{'program':>9}"
          f"{'compile':>10}{'simplified':>12}{'program':>9}{'worst':>7}{'time':>8}")  # fmt: skip
    for name, group in [*groups.items(), ("all", counts)]:
        means = [mean(getattr(c, key) for c in group) for key in
                 ("written", "compiled", "simplified", "sympy", "sympy_program")]  # fmt: skip
        ratios = [c.simplified / max(1, c.sympy) for c in group]
        compiled = mean(c.compiled / max(1, c.sympy) for c in group)
        program = mean(c.simplified / max(1, c.sympy_program) for c in group)
        faster = sum(c.sympy_seconds for c in group) / sum(c.seconds for c in group)
        print(f"{name:<14}{len(group):>5}{means[0]:>9.1f}{means[1]:>9.1f}{means[2]:>12.1f}{means[3]:>8.1f}{means[4]:>9.1f}"
              f"{compiled:>10.3f}{mean(ratios):>12.3f}{program:>9.3f}{max(ratios):>7.2f}{faster:>7.0f}×")  # fmt: skip
    if options.json:
        options.json.write_text(json.dumps([asdict(one) for one in counts]))


if __name__ == "__main__":
    main()
