"""Operations of derivatives in one table: ours, and those of every peer that is installed, each at its best.

    python tests/bench/bench_operations.py

One line per case and tool. Everything is counted, nothing timed. The peers differentiate the functions of the examples,
which are run on their expressions; zeros and ones of the formulas are given to them as exact numbers. An operation is a
binary one, a negation or an elementary function; loads, stores and constants are free.
"""

from __future__ import annotations

import argparse
import inspect
import json
import operator
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "examples")]

import black_scholes  # noqa: E402 - the paths come first
import inverse_dynamics  # noqa: E402
import panda  # noqa: E402

import hybrid as hy  # noqa: E402
from hybrid.replay import Algebra, replay_python, replay_sympy  # noqa: E402


@dataclass(frozen=True)
class Case:
    """Functions, each with how it is differentiated: "", "jacobian" or "hessian", by which arguments."""

    name: str
    parts: tuple[tuple[hy.Function, str, tuple[str, ...]], ...]

    def arguments(self) -> dict[str, tuple[int, ...]]:
        return {argument.name: argument.shape for function, _, _ in self.parts for argument in function.arguments}


CALL = black_scholes.call
CASES = (
    Case("Black-Scholes: value, gradient, Hessian", ((CALL, "", ()), (CALL, "jacobian", tuple(
        a.name for a in CALL.arguments)), (CALL, "hessian", tuple(a.name for a in CALL.arguments)))),
    Case("Panda: pose, its Jacobian, Hessian of squared distance", (
        (panda.pose, "", ()), (panda.pose, "jacobian", ("q",)), (panda.miss, "hessian", ("q",)))),
    Case("Panda: torques, derivatives by angles and speeds", (
        (inverse_dynamics.tau, "", ()), (inverse_dynamics.tau, "jacobian", ("q", "qd")))),
)  # fmt: skip


@dataclass(frozen=True)
class Line:
    case: str
    tool: str
    operations: int
    against_ours: float


# --- ours -------------------------------------------------------------------------------------------------------------
def ours(case: Case) -> int:
    functions = []
    for function, kind, wrt in case.parts:
        if kind == "jacobian" and function.shape == ():
            functions.append(function.gradient())
        else:
            functions.append(getattr(function, kind)(wrt=list(wrt)) if kind else function)
    return int(hy.compile(*functions, verify=False).operations)


# --- peers: their expressions of a function, their derivatives --------------------------------------------------------
def exact(number: Any) -> Any:
    value = float(number)
    return int(value) if value.is_integer() else value


@dataclass(frozen=True)
class Peer:
    """A tool's symbols, elementary functions, first derivatives, and count of a list of expressions."""

    name: str
    symbol: Callable[[str], Any]
    functions: dict[str, Callable[..., Any]]
    number: Callable[[Any], Any]
    differentiate: Callable[[Sequence[Any], Sequence[Any]], list[list[Any]]]
    count: Callable[[Sequence[Any], Sequence[Any]], int]
    hessian: Callable[[Any, Sequence[Any]], list[list[Any]]] | None = None  # its own, where it has one

    def algebra(self) -> Algebra:
        arithmetic = {"add": operator.add, "sub": operator.sub, "mul": operator.mul, "div": operator.truediv,
                      "neg": operator.neg, "pow": operator.pow}  # fmt: skip
        return Algebra(arithmetic | self.functions, self.number, bool)

    def operations(self, case: Case) -> int:
        symbols = {
            name: [self.symbol(f"{name}_{k}") for k in range(int(np.prod(shape)))]
            for name, shape in case.arguments().items()
        }
        outputs: list[Any] = []
        for function, kind, wrt in case.parts:
            given = [symbols[argument.name] for argument in function.arguments]
            variables = [symbol for name in wrt for symbol in symbols[name]]
            outputs += self.derived(self.values(function, given), kind, variables)
        return self.count([symbol for own in symbols.values() for symbol in own], outputs)

    def values(self, function: hy.Function, given: Sequence[Sequence[Any]]) -> list[Any]:
        if hasattr(function.source, "expressions"):
            return replay_sympy(function.source, given, self.algebra())
        shapes = [argument.shape for argument in function.arguments]
        return replay_python(function.source, shapes, given, self.algebra())

    def derived(self, values: list[Any], kind: str, variables: Sequence[Any]) -> list[Any]:
        if not kind:
            return values
        if kind == "jacobian":
            return [entry for row in self.differentiate(values, variables) for entry in row]
        if self.hessian is not None:
            second = self.hessian(values[0], variables)
        else:
            second = self.differentiate(self.differentiate(values, variables)[0], variables)
        return [second[row][column] for row in range(len(variables)) for column in range(row + 1)]


def casadi_peer() -> Iterator[Peer]:
    import casadi

    warnings.simplefilter("ignore", FutureWarning)
    free = {casadi.OP_INPUT, casadi.OP_OUTPUT, casadi.OP_CONST}
    names = {name: getattr(casadi, name) for name in ("exp", "log", "sin", "cos", "sqrt", "erf")}

    def sweep(forward: bool) -> Callable[[Sequence[Any], Sequence[Any]], list[list[Any]]]:
        def differentiate(values: Sequence[Any], variables: Sequence[Any]) -> list[list[Any]]:
            y, x = casadi.vertcat(*values), casadi.vertcat(*variables)
            if forward:
                found = casadi.jtimes(y, x, casadi.SX.eye(len(variables)))
            else:
                found = casadi.jtimes(y, x, casadi.SX.eye(len(values)), True).T
            return [[found[i, j] for j in range(len(variables))] for i in range(len(values))]

        return differentiate

    def own(values: Sequence[Any], variables: Sequence[Any]) -> list[list[Any]]:
        found = casadi.jacobian(casadi.vertcat(*values), casadi.vertcat(*variables))
        return [[found[i, j] for j in range(len(variables))] for i in range(len(values))]

    def count(symbols: Sequence[Any], outputs: Sequence[Any]) -> int:
        least = None
        for cse in (True, False):
            f = casadi.Function("f", [casadi.vertcat(*symbols)], [casadi.vertcat(*outputs)], {"cse": cse})
            number = sum(f.instruction_id(k) not in free for k in range(f.n_instructions()))
            least = number if least is None else min(least, number)
        assert least is not None
        return least

    for differentiate in (own, sweep(True), sweep(False)):
        yield Peer(
            f"CasADi {casadi.__version__}", casadi.SX.sym, names, lambda n: casadi.SX(float(n)), differentiate, count
        )


def heyoka_peer() -> Iterator[Peer]:
    import heyoka

    names = {name: getattr(heyoka, name) for name in ("exp", "log", "sin", "cos", "sqrt", "erf")}

    def differentiate(values: Sequence[Any], variables: Sequence[Any]) -> list[list[Any]]:
        tensors = heyoka.diff_tensors(list(values), diff_args=list(variables), diff_order=1)
        return [list(row) for row in tensors.jacobian] if len(values) > 1 else [list(tensors.gradient)]

    def hessian(value: Any, variables: Sequence[Any]) -> list[list[Any]]:
        tensors = heyoka.diff_tensors([value], diff_args=list(variables), diff_order=2)
        return [list(row) for row in tensors.hessian(0)]

    def count(symbols: Sequence[Any], outputs: Sequence[Any]) -> int:
        return min(
            steps(heyoka.cfunc(list(outputs), list(symbols), compact_mode=c).dc, symbols, outputs)
            for c in (False, True)
        )

    def steps(decomposition: Sequence[Any], symbols: Sequence[Any], outputs: Sequence[Any]) -> int:
        """Operations of a decomposition; in compact mode its steps are small programs, composite|sum(prod(…), …)(…)."""
        inner = [str(step) for step in decomposition[len(symbols) : len(decomposition) - len(outputs)]]
        return sum(
            step.partition(")(")[0].count("(")
            if step.startswith("composite|")
            else max(1, step.count(" + ") + step.count(" * "))
            for step in inner
        )

    for second in (None, hessian):
        yield Peer(
            f"heyoka {heyoka.__version__}",
            lambda name: heyoka.make_vars(name),
            names,
            lambda number: heyoka.expression(float(number)),
            differentiate,
            count,
            second,
        )


def symengine_peer() -> Iterator[Peer]:
    import symengine

    names = {name: getattr(symengine, name) for name in ("exp", "log", "sin", "cos", "sqrt", "erf")}

    def count(symbols: Sequence[Any], outputs: Sequence[Any]) -> int:
        named, reduced = symengine.cse(list(outputs))
        return int(sum(symengine.count_ops(e) for e in [*(e for _, e in named), *reduced]))

    yield Peer(
        f"SymEngine {symengine.__version__}, cse",
        symengine.Symbol,
        names,
        lambda number: symengine.sympify(exact(number)),
        lambda values, variables: [[symengine.diff(value, x) for x in variables] for value in values],
        count,
    )


def wrenfold_peer() -> Iterator[Peer]:
    import wrenfold
    from wrenfold import sym

    names = {name: getattr(sym, name) for name in ("exp", "log", "sin", "cos", "sqrt")}

    def number(value: Any) -> Any:
        given = exact(value)
        return sym.integer(given) if isinstance(given, int) else sym.float_constant(given)

    def count(symbols: Sequence[Any], outputs: Sequence[Any]) -> int:
        """By its own count, which it writes into the code it makes."""

        def body(**given: Any) -> Any:
            pairs = [(symbol, given[f"a{k}"]) for k, symbol in enumerate(symbols)]
            return [wrenfold.OutputArg(sym.subs(sym.vector(*outputs), pairs), "out")]

        names = [f"a{k}" for k in range(len(symbols))]
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        body.__signature__ = inspect.Signature([inspect.Parameter(name, kind) for name in names])  # type: ignore[attr-defined]
        body.__annotations__ = dict.fromkeys(names, wrenfold.FloatScalar)
        code = wrenfold.generate_function(body, wrenfold.CppGenerator())
        found = re.search(r"// total: (\d+)", code)
        assert found, "wrenfold writes its count into a comment"
        return int(found[1])

    def differentiate(values: Sequence[Any], variables: Sequence[Any]) -> list[list[Any]]:
        return [[value.diff(x) for x in variables] for value in values]

    yield Peer(f"wrenfold {wrenfold.__version__}", sym.symbol, names, number, differentiate, count)


def sympy_peer() -> Iterator[Peer]:
    import sympy

    names = {name: getattr(sympy, name) for name in ("exp", "log", "sin", "cos", "sqrt", "erf")}

    def count(symbols: Sequence[Any], outputs: Sequence[Any]) -> int:
        named, reduced = sympy.cse(list(outputs))
        return int(sum(sympy.count_ops(e) for e in [*(e for _, e in named), *reduced]))

    yield Peer(
        f"SymPy {sympy.__version__}, cse",
        sympy.Symbol,
        names,
        lambda number: sympy.sympify(exact(number)),
        lambda values, variables: [[sympy.diff(value, x) for x in variables] for value in values],
        count,
    )


PEERS = (heyoka_peer, casadi_peer, wrenfold_peer, symengine_peer, sympy_peer)


# --- the table --------------------------------------------------------------------------------------------------------
def peers() -> Iterator[Peer]:
    for tool in PEERS:
        try:
            yield from tool()
        except ImportError as error:
            print(f"left out: {tool.__name__}, {error}", file=sys.stderr)


def measure(case: Case, slow: bool) -> list[Line]:
    own = ours(case)
    best: dict[str, int] = {}
    for peer in peers():
        if case.name.startswith("Panda") and peer.name.startswith("SymPy") and not slow:
            continue  # does not come to an end in minutes
        if "erf" not in peer.functions and case.name.startswith("Black"):
            continue
        number = peer.operations(case)
        best[peer.name] = min(number, best.get(peer.name, number))
    found = [Line(case.name, "hybrid", own, 1.0), *(Line(case.name, tool, n, n / own) for tool, n in best.items())]
    return sorted(found, key=lambda line: line.operations)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--slow", action="store_true", help="also SymPy on the arm, which takes very long")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    lines: list[Line] = []
    for case in CASES:
        found = measure(case, options.slow)
        lines += found
        print(f"{case.name:<60}{'operations':>12}{'× ours':>9}")
        for line in found:
            print(f"    {line.tool:<56}{line.operations:>12,}{line.against_ours:>9.2f}")
    if options.json:
        options.json.write_text(json.dumps([asdict(line) for line in lines], indent=2))


if __name__ == "__main__":
    main()
