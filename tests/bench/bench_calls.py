"""What one call costs, three numbers to a gradient, beside other tools; float32 beside float64: `bench_calls.py`.

One line per way of calling: ns per call, the least of interleaved runs on one core, and the ratio to `np.square` of a
0-d array in the same run, which says how fast the machine is just now. Every tool evaluates the gradient of the same
function at one point, called as it is fastest and as it is usually called; all results are compared first. Tools that
are not installed are named and left out. The second table is throughput of value, gradient and Hessian in float32 and
float64: ns per point at 1,000 points (in cache) and 10⁶. `--rounds R`, `--json`.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import timeit
from collections.abc import Callable
from typing import Any

import numpy as np
import sympy as sp

import hybrid as hy

POINT = (0.3, 0.4, 0.5)
CALLS = 2_000

x, y, z = symbols = hy.symbols("x y z")
EXPRESSION = sp.exp(x * y) + sp.sin(z) * x / (1 + y**2)
GRADIENT = [sp.diff(EXPRESSION, symbol) for symbol in symbols]
Ways = dict[str, tuple[Callable[[], Any], Callable[[], Any]]]  # what is timed, and the gradient it leaves


def ours() -> Ways:
    f = hy.Function(list(symbols), EXPRESSION, name="f")
    gradient = f.gradient()
    kernel = hy.compile(gradient)
    parts = hy.compile(*[hy.Function(list(symbols), part, name=f"g{k}") for k, part in enumerate(GRADIENT)])
    point, ufunc, scalars = kernel.point, kernel.ufunc, parts.ufunc
    a, b, c = arrays = [np.array(number) for number in POINT]
    packed, out = kernel.bind(arrays), np.empty(3)
    r, s, t = outs = np.empty(()), np.empty(()), np.empty(())
    v, w, q = POINT
    return {
        "kernel.point, floats": (lambda: point(v, w, q), lambda: point(v, w, q)),
        "kernel.bind, arrays": (packed, packed),
        "ufunc, 0-d arrays, 3 results, out": (lambda: scalars(a, b, c, r, s, t), lambda: outs),
        "ufunc, 0-d arrays, 3 results": (lambda: scalars(a, b, c), lambda: scalars(a, b, c)),
        "gufunc, 0-d arrays, out": (lambda: ufunc(a, b, c, out), lambda: out),
        "gufunc, 0-d arrays": (lambda: ufunc(a, b, c), lambda: ufunc(a, b, c)),
        "kernel(floats)": (lambda: kernel(v, w, q), lambda: kernel(v, w, q)),
        "Function(floats)": (lambda: gradient(v, w, q), lambda: gradient(v, w, q)),
    }


def casadi(module: Any) -> Ways:
    X = module.SX.sym("X", 3)
    text = {"exp": module.exp, "sin": module.sin}
    value = sp.lambdify(symbols, EXPRESSION, [text])(X[0], X[1], X[2])
    function = module.Function("g", [X], [module.gradient(value, X)])
    buffer, trigger = function.buffer()
    given, result = np.array(POINT), np.zeros(3)
    buffer.set_arg(0, memoryview(given))
    buffer.set_res(0, memoryview(result))
    alive = function, buffer  # which `trigger` does not keep alive
    return {
        "CasADi, buffer": (trigger, lambda: alive and result),
        "CasADi, called": (lambda: function(given), lambda: np.array(function(given)).ravel()),
    }


def numba(module: Any) -> Ways:
    plain = sp.lambdify(symbols, tuple(GRADIENT), "math", cse=True)
    compiled = module.njit(plain)
    v, w, q = POINT
    return {
        "SymPy lambdify, math": (lambda: plain(v, w, q), lambda: plain(v, w, q)),
        "Numba": (lambda: compiled(v, w, q), lambda: compiled(v, w, q)),
    }


def heyoka(module: Any) -> Ways:
    v = module.make_vars("x", "y", "z")
    value = module.exp(v[0] * v[1]) + module.sin(v[2]) * v[0] / (1.0 + v[1] * v[1])
    gradient = module.diff_tensors([value], v).gradient
    function = module.cfunc(gradient, v)
    given, result = np.array(POINT), np.zeros(3)
    return {"heyoka, outputs": (lambda: function(given, outputs=result), lambda: result)}


def symengine(module: Any) -> Ways:
    names = [module.Symbol(str(symbol)) for symbol in symbols]
    replaced = dict(zip(symbols, sp.symbols("x y z"), strict=True))
    parts = [module.sympify(part.subs(replaced)) for part in GRADIENT]
    function = module.Lambdify(names, parts, backend="lambda", cse=True)  # the PyPI wheel has no LLVM
    given = np.array(POINT)
    return {"SymEngine": (lambda: function(given), lambda: function(given))}


def jax(module: Any) -> Ways:
    module.config.update("jax_enable_x64", True)
    jnp = importlib.import_module("jax.numpy")
    gradient = module.jit(module.grad(lambda x, y, z: jnp.exp(x * y) + jnp.sin(z) * x / (1 + y**2), argnums=(0, 1, 2)))
    given = [jnp.asarray(number) for number in POINT]
    return {"JAX": (lambda: gradient(*given)[2].block_until_ready(), lambda: gradient(*given))}


PEERS: dict[str, Callable[[Any], Ways]] = {
    "casadi": casadi, "numba": numba, "heyoka": heyoka, "symengine": symengine, "jax": jax
}  # fmt: skip


def gather() -> tuple[Ways, list[str]]:
    ways, missing = ours(), []
    expected = [float(part.subs(dict(zip(symbols, POINT, strict=True)))) for part in GRADIENT]
    for name, build in PEERS.items():
        try:
            module = importlib.import_module(name)
        except ImportError:
            missing.append(name)
            continue
        ways |= build(module)
    for name, (run, result) in ways.items():
        run()
        found = np.array([float(number) for number in result()])
        if not np.allclose(found, expected, rtol=1e-14):
            raise SystemExit(f"{name} gives {found}, not {expected}")
    return ways, missing


def least(runs: dict[str, Callable[[], Any]], calls: dict[str, int], rounds: int) -> dict[str, float]:
    """The least ns per call of each, runs of all taken in turn."""
    best = dict.fromkeys(runs, float("inf"))
    for _ in range(rounds):
        for name, run in runs.items():
            best[name] = min(best[name], timeit.timeit(run, number=calls[name]) / calls[name] * 1e9)
    return best


def single_calls(rounds: int) -> tuple[dict[str, float], list[str]]:
    ways, missing = gather()
    zero = np.array(0.3)
    runs: dict[str, Callable[[], Any]] = {"np.square, 0-d array": lambda: np.square(zero)}
    runs |= {name: way[0] for name, way in ways.items()}
    runs["a Python call alone"] = lambda: None
    return least(runs, dict.fromkeys(runs, CALLS), rounds), missing


def throughput(rounds: int) -> dict[str, tuple[float, float]]:
    """ns per point in float64 and in float32, by case."""
    S, K, T, r, sigma = hy.symbols("S K T r sigma", positive=True)
    v = sigma * sp.sqrt(T)
    d1 = (sp.log(S / K) + (r + sigma**2 / 2) * T) / v
    price = S * (1 + sp.erf(d1 / sp.sqrt(2))) / 2 - K * sp.exp(-r * T) * (1 + sp.erf((d1 - v) / sp.sqrt(2))) / 2
    functions = {
        "Black-Scholes": ([S, K, T, r, sigma], price, ([80, 90, 0.2, 0.01, 0.1], [120, 110, 2, 0.05, 0.5])),
        "arithmetic": ([x, y, z], (x * y - z) ** 2 / (1 + x**2 + y**2 * z**2), ([0.5] * 3, [2.0] * 3)),
    }
    found = {}
    for title, (inputs, expression, (low, high)) in functions.items():
        f = hy.Function(inputs, expression, name="f")
        kernel = hy.compile(f, f.gradient(), f.hessian(), dtype=np.float32)
        for points in (1_000, 1_000_000):
            wide = list(np.random.default_rng(0).uniform(low, high, (points, len(inputs))).T.copy())
            narrow = [array.astype(np.float32) for array in wide]
            runs = {}
            for name, arrays in (("float64", wide), ("float32", narrow)):
                outs = kernel(*arrays)
                runs[name] = lambda ufunc=kernel.ufunc, arrays=arrays, outs=outs: ufunc(*arrays, out=outs)
            best = least(runs, dict.fromkeys(runs, max(1, 20_000 // points)), rounds)
            found[f"{title}, {points:,} points"] = (best["float64"] / points, best["float32"] / points)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    calls, missing = single_calls(options.rounds)
    rates = throughput(max(5, options.rounds // 4))
    if options.json:
        json.dump({"calls": calls, "missing": missing, "throughput": rates}, sys.stdout, indent=2)
        return
    unit = calls["np.square, 0-d array"]
    print(f"{'one call: 3 numbers → gradient':<36}{'ns':>9}{'× np.square':>13}")
    for name, nanoseconds in calls.items():
        print(f"{name:<36}{nanoseconds:9.0f}{nanoseconds / unit:13.2f}")
    if missing:
        print("not installed:", ", ".join(missing))
    print(f"\n{'ns per point':<36}{'float64':>9}{'float32':>9}{'ratio':>9}")
    for name, (double, single) in rates.items():
        print(f"{name:<36}{double:9.2f}{single:9.2f}{double / single:9.2f}")


if __name__ == "__main__":
    main()
