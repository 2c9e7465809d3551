"""Derivatives of very large functions: `python tests/bench/bench_size.py [--long]`.

Rosenbrock's function of n variables: deriving the gradient and the sparse Hessian, beside CasADi's SX (and at small n
SymPy's diff and cse, and SymEngine). Then every pass over random graphs of up to 10⁶ nodes. Times are processor time
of one thread, the least of several interleaved runs; both sides start from a finished expression. `--long` counts
operations at every size and runs the passes on 10⁶ nodes.
"""

from __future__ import annotations

import gc
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import hybrid as hy
from hybrid import operations as ops
from hybrid.evaluate import evaluate
from hybrid.function import Function
from hybrid.graph import Graph
from hybrid.large import hessian, native_reverse
from hybrid.lower import Result, count_operations, lower
from hybrid.simplify import BITWISE, simplify

LONG = "--long" in sys.argv
SYMPY_LIMIT = 120  # seconds of the clock


def rosenbrock(x: Any) -> Any:
    return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


class Best:
    """The least time of each name."""

    def __init__(self) -> None:
        self.times: dict[str, float] = {}

    def run(self, name: str, work: Callable[[], Any]) -> Any:
        gc.collect()
        gc.disable()
        start = time.process_time()
        result = work()
        seconds = time.process_time() - start
        gc.enable()
        self.times[name] = min(seconds, self.times.get(name, seconds))
        return result

    def __getitem__(self, name: str) -> float:
        return self.times[name]


# --- Rosenbrock -------------------------------------------------------------------------------------------------------
def casadi_operations(casadi: Any, inputs: Any, outputs: list[Any]) -> int:
    """Instructions of CasADi's virtual machine without loads, stores and constants."""
    function = casadi.Function("f", [inputs], outputs)
    free = {casadi.OP_INPUT, casadi.OP_OUTPUT, casadi.OP_CONST}
    return sum(1 for k in range(function.n_instructions()) if function.instruction_id(k) not in free)


def against_casadi(n: int, repeats: int) -> None:
    try:
        import casadi
    except ImportError:
        print("CasADi is not installed")
        return
    best = Best()
    for _ in range(repeats):
        f = best.run("trace", lambda: hy.function(x=(n,))(rosenbrock))
        gradient = best.run("gradient", f.gradient)
        both = best.run("again", lambda: hy.function(x=(n,))(rosenbrock))
        pair = best.run("both", lambda both=both: (both.gradient(), both.hessian(sparse=True, triangle="lower")))
        x = best.run("casadi symbols", lambda: casadi.SX.sym("x", n))
        y = best.run(
            "casadi build",
            lambda x=x: casadi.sum1(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2),
        )
        slope = best.run("casadi gradient", lambda x=x, y=y: casadi.gradient(y, x))
        curve = best.run("casadi both", lambda x=x, y=y: casadi.hessian(y, x))
    counts = ""
    if n <= 1_000 or LONG:
        own, joint = gradient.operations(), joint_operations(pair)
        peer = casadi_operations(casadi, x, [slope]), casadi_operations(casadi, x, [curve[1], casadi.tril(curve[0])])
        counts = f"; operations {own:,} and {joint:,}, CasADi {peer[0]:,} and {peer[1]:,}"
    print(
        f"Rosenbrock n = {n:,}: gradient {1e3 * best['gradient']:.2f} ms "
        f"({best['gradient'] / best['casadi gradient']:.2f}× CasADi's), gradient and sparse Hessian "
        f"{1e3 * best['both']:.2f} ms ({best['both'] / best['casadi both']:.2f}×), "
        f"{1e9 * best['both'] / len(pair[0].graph):.0f} ns a node; from NumPy code {1e3 * best['trace']:.1f} ms "
        f"({best['trace'] / (best['casadi symbols'] + best['casadi build']):.2f}×){counts}",
        flush=True,
    )


def joint_operations(functions: tuple[Function, ...]) -> int:
    return count_operations(functions[0].graph, [node for function in functions for node in function.nodes])


def against_sympy(n: int) -> None:
    """diff and cse in a process of their own, which may not finish."""
    import sympy as sp

    best = Best()
    x = sp.symbols(f"x:{n}", real=True)
    expression = sp.Add(*[100 * (x[i + 1] - x[i] ** 2) ** 2 + (1 - x[i]) ** 2 for i in range(n - 1)])
    for _ in range(3):
        f = hy.Function([("x", list(x))], expression)
        own = best.run("own", lambda f=f: (f.gradient(), f.hessian(sparse=True, triangle="lower")))
    try:
        import symengine

        sx = symengine.symbols(f"x:{n}")
        se = symengine.Add(*[100 * (sx[i + 1] - sx[i] ** 2) ** 2 + (1 - sx[i]) ** 2 for i in range(n - 1)])

        def derive() -> Any:
            rows = [symengine.diff(se, v) for v in sx]
            entries = [symengine.diff(rows[i], sx[j]) for i in range(n) for j in (i, i + 1) if j < n]
            return symengine.cse([*rows, *entries])

        for _ in range(2):
            best.run("symengine", derive)
        beside = f", SymEngine's diff and cse {best['symengine'] / best['own']:.0f}× as long"
    except ImportError:
        beside = ""
    peer = in_child("--sympy", n, SYMPY_LIMIT)
    slow = (
        f"not done after {SYMPY_LIMIT} s" if peer is None else f"{float(peer.split()[0]) / best['own']:,.0f}× as long"
    )
    print(
        f"Rosenbrock n = {n:,} from SymPy: gradient and sparse Hessian {1e3 * best['own']:.2f} ms "
        f"({joint_operations(own):,} operations){beside}, SymPy's diff and cse {slow}",
        flush=True,
    )


def sympy_child(n: int) -> None:
    import sympy as sp

    x = sp.symbols(f"x:{n}", real=True)
    f = sp.Add(*[100 * (x[i + 1] - x[i] ** 2) ** 2 + (1 - x[i]) ** 2 for i in range(n - 1)])
    start = time.process_time()
    rows = [sp.diff(f, v) for v in x]
    entries = [sp.diff(rows[i], x[j]) for i in range(n) for j in (i, i + 1) if j < n]  # told where the entries are
    sp.cse([*rows, *entries])
    print(time.process_time() - start)


def in_child(what: str, size: int, limit: float | None = None) -> str | None:
    command = [sys.executable, __file__, what, str(size), *sys.argv[1:]]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=limit, check=True).stdout
    except subprocess.TimeoutExpired:
        return None


# --- loops over elements ----------------------------------------------------------------------------------------------
def rosenbrock_loop(x: Any) -> Any:
    total = 0.0
    for i in range(len(x) - 1):
        total = total + 100 * (x[i + 1] - x[i] ** 2) ** 2 + (1 - x[i]) ** 2
    return total


def loops(n: int) -> None:
    """A plain loop over single elements: tracing it, and all the way to compiled derivatives."""
    best = Best()
    x = np.zeros(n)
    for _ in range(3):
        best.run("trace", lambda: hy.function(rolled=False, x=(n,))(rosenbrock_loop))

        def ready() -> Any:
            f = hy.function(x=(n,))(rosenbrock_loop)
            return hy.compile(f.gradient(), f.hessian(sparse=True, triangle="lower"))(x)

        best.run("ready", ready)
        try:
            import casadi
        except ImportError:
            continue
        s = casadi.SX.sym("x", n)
        sx = [s[i] for i in range(n)]
        best.run("casadi", lambda sx=sx: rosenbrock_loop(sx))
    beside = f" (CasADi's SX {1e6 * best['casadi'] / (8 * n):.2f})" if "casadi" in best.times else ""
    print(
        f"a loop over single elements, n = {n:,}: tracing {1e6 * best['trace'] / (8 * n):.2f} µs an operation{beside}; "
        f"to the first gradient and sparse Hessian of a compiled kernel {best['ready']:.2f} s",
        flush=True,
    )


# --- every pass -------------------------------------------------------------------------------------------------------
def random_graph(nodes: int, seed: int = 0) -> tuple[Graph, int]:
    """A sum over a random graph of + − · / sin exp tanh on 50 variables: about `nodes` nodes, made one by one."""
    rng = np.random.default_rng(seed)
    graph = Graph()
    made = [graph.variable("x", (i,)) for i in range(50)]
    kinds = rng.integers(0, 7, nodes).tolist()
    first, second = (rng.integers(1, 2_000, nodes).tolist() for _ in range(2))
    two = graph.constant(2)
    for kind, back, other in zip(kinds, first, second, strict=True):
        a, b = made[-min(back, len(made))], made[-min(other, len(made))]
        match kind:
            case 0 | 1:
                node = graph.add_node((ops.add, ops.sub)[kind], (a, b))
            case 2:
                node = graph.add_node(ops.mul, (a, b))
            case 3:
                node = graph.add_node(ops.div, (a, two))
            case _:
                node = graph.add_node((ops.sin, ops.tanh, ops.atan)[kind - 4], (a,))
        made.append(node)
    return graph, graph.add_node(ops.add, tuple(made[-100:]))


def passes_child(nodes: int) -> None:
    clock = time.process_time
    lines: list[tuple[str, float, int]] = []

    def timed(name: str, work: Callable[[], Any]) -> Any:
        start = clock()
        result = work()
        lines.append((name, clock() - start, peak_memory()))
        return result

    random_graph(2_000)
    native_reverse(*warm())
    base = peak_memory()
    graph, root = timed("build", lambda: random_graph(nodes))
    order = timed("reach", lambda: graph.reach([root]))
    variables = [node for node in order if graph.ops[node] is ops.VARIABLE]
    values = {node: np.float64(0.5) for node in variables}
    timed("evaluate", lambda: evaluate(graph, [root], values))
    simple = timed("simplify (bitwise)", lambda: simplify(graph, [root], BITWISE))
    adjoints = timed("gradient", lambda: native_reverse(graph, [(simple[0], -1)], np.array(variables)))
    gradient = adjoints[variables].tolist()
    made = len(graph.reach(gradient))
    names = [graph.leaves[node] for node in variables]
    timed("count", lambda: count_operations(graph, [root]))
    places = [hy.definition.Argument(f"x{v.index[0]}", (), (node,)) for v, node in zip(names, variables, strict=True)]
    timed("lower", lambda: lower(graph, places, [Result("y", (), (root,))]))
    definition = hy.definition.Definition(graph, tuple(places), (root,), (), hy.definition.PythonSource(len), "f")
    function = Function.from_definition(definition)
    timed("print", lambda: str(function))
    parts = ", ".join(f"{name} {1e6 * seconds / len(order):.2f}" for name, seconds, _ in lines)
    most = lines[-1][2] - base
    print(f"random graph of {len(order):,} nodes, µs a node: {parts}; gradient has {made:,} nodes; "
          f"memory {most / (len(order) + made):.0f} bytes a node made")  # fmt: skip


def peak_memory() -> int:
    """The most bytes this process has had in memory; 0 where the system does not say."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmHWM")), 0)


def warm() -> tuple[Graph, list[tuple[int, int]], np.ndarray]:
    graph = Graph()
    x = graph.variable("x")
    return graph, [(graph.add_node(ops.sin, (x,)), -1)], np.array([x])


def shapes(size: int) -> None:
    """A chain of one variable, and a sum of many products with one."""
    best = Best()
    for _ in range(2):
        graph = Graph()
        x = y = graph.variable("x")
        one = graph.constant(1)
        for _ in range(size):
            y = graph.add_node(ops.sin, (graph.add_node(ops.add, (y, one)),))
        best.run("deep gradient", lambda g=graph, x=x, y=y: native_reverse(g, [(y, -1)], np.array([x])))
        best.run("deep", lambda g=graph, x=x, y=y: hessian(g, y, [x]))
        wide = hy.function(x=(size,))(lambda x: np.sum(np.sin(x * x[0]) * x))
        best.run("wide gradient", wide.gradient)
        best.run("wide", lambda f=wide: f.hessian(sparse=True, triangle="lower"))
    for shape in ("deep", "wide"):
        print(
            f"{shape}, {size:,} steps: gradient {1e3 * best[f'{shape} gradient']:.1f} ms, "
            f"sparse Hessian {1e3 * best[shape]:.1f} ms",
            flush=True,
        )


def main() -> None:
    hy.function(x=(6_000,))(rosenbrock).hessian(sparse=True)  # native code is made once, or comes from the cache
    for n, repeats in ((1_000, 15), (10_000, 6), (100_000, 3)):
        against_casadi(n, repeats)
    for n in (1_000, 10_000, 100_000):
        loops(n)
    for n in (100, 300, 1_000):
        against_sympy(n)
    for size in (10_000, 100_000):
        shapes(size)
    for nodes in (10_000, 100_000, *((1_000_000,) if LONG else ())):
        print((in_child("--passes", nodes) or "").strip(), flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--sympy"]:
        sympy_child(int(sys.argv[2]))
    elif sys.argv[1:2] == ["--passes"]:
        passes_child(int(sys.argv[2]))
    else:
        main()
