"""Rolled code beside other tools: `python tests/bench/bench_blocks.py [--rounds R] [--only NAME]`.

Three sums written by hand as blocks: a chained Rosenbrock function (value, gradient, values of the tridiagonal sparse
Hessian; n = 10⁵), power flows on a random grid of 5,000 buses (gathered at both ends of 9,000 lines, injections and
their sum over buses, and the Jacobian's values), and a Gaussian mixture (N = 10,000, d = 10, K = 25; log-likelihood and
gradient). One line per tool: ns per instance on one core (least processor time of interleaved runs), ratio to this one.

Peers: NumPy by hand, JAX (reverse mode; three coloured products for the Hessian), Numba with loops by hand.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[variable] = "1"
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import numpy as np  # noqa: E402 - after the environment
from peers import Case, gather, measure, show  # noqa: E402

from codegen import Array, Program  # noqa: E402
from codegen.blocks import (  # noqa: E402
    Block,
    Blocks,
    Bound,
    Buffer,
    Write,
    add,
    affine,
    compile_blocks,
    gathered,
    reduce,
    size,
    store,
)

n = size("n")


class Writer:
    """Writes a program, and with it where its arguments come from and its results go."""

    def __init__(self) -> None:
        self.body: list[tuple[Any, ...]] = []
        self.known: dict[tuple[Any, ...], Number] = {}
        self.reads: list[Any] = []
        self.writes: list[Write] = []
        self.values: list[int] = []

    def do(self, *line: Any) -> Number:
        if line not in self.known:
            self.known[line] = Number(self, len(self.body))
            self.body.append(line)
        return self.known[line]

    def read(self, place: Any) -> Number:
        self.reads.append(place)
        return self.do("load", len(self.reads) - 1, 0)

    def write(self, write: Write, value: Number) -> None:
        self.writes.append(write)
        self.values.append(value.at)

    def block(self, name: str, *axes: Any) -> Block:
        arguments = tuple(Array(f"x{k}") for k in range(len(self.reads)))
        results = tuple(Array(f"r{k}") for k in range(len(self.writes)))
        program = Program(name, arguments, results, self.body, tuple((value,) for value in self.values))
        return Block(name, tuple(map(size, axes)), program, tuple(self.reads), tuple(self.writes))


class Number:
    def __init__(self, writer: Writer, at: int) -> None:
        self.writer, self.at = writer, at

    def of(self, name: str, *others: Any) -> Number:
        numbers = [self, *(x if isinstance(x, Number) else self.writer.do("const", float(x)) for x in others)]
        return self.writer.do(name, *(x.at for x in numbers))

    def __add__(self, other: Any) -> Number:
        return self.of("add", other)

    def __sub__(self, other: Any) -> Number:
        return self.of("sub", other)

    def __mul__(self, other: Any) -> Number:
        return self.of("mul", other)

    __radd__, __rmul__ = __add__, __mul__

    def __rsub__(self, other: Any) -> Number:
        return self.of("neg") + other


def together(blocks: Blocks, arrays: dict[str, np.ndarray], sizes: dict[str, int]) -> Bound:
    """Compiled and bound; the time it takes is printed."""
    start = time.perf_counter()
    bound = compile_blocks(blocks).bind(arrays, sizes)
    print(f"{blocks.name}: compiled and bound in {1e3 * (time.perf_counter() - start):.0f} ms")
    return bound


def agree(name: str, found: Sequence[Any], expected: Sequence[Any]) -> None:
    for one, other in zip(found, expected, strict=True):
        one, other = np.asarray(one).ravel(), np.asarray(other).ravel()
        apart = np.abs(one - other).max() / np.abs(other).max()
        if not apart < 1e-10:
            raise AssertionError(f"{name} differs from this code by {apart:.1e}")


# --- chained Rosenbrock -----------------------------------------------------------------------------------------------
def rosenbrock_blocks() -> Blocks:
    w = Writer()
    x, y = w.read(affine("x", 0, 1)), w.read(affine("x", 1, 1))
    d, e = y - x * x, 1 - x
    w.write(add(affine("f", 0, 0)), 100 * d * d + e * e)
    w.write(add(affine("g", 0, 1)), -400 * x * d - 2 * e)
    w.write(add(affine("g", 1, 1)), 200 * d)
    cross = -400 * x
    for place, value in enumerate((800 * (x * x) + (2 - 400 * d), cross, cross, w.do("const", 200.0))):
        w.write(add(affine("H", place, 3)), value)
    buffers = (
        Buffer("x", "input", n),
        Buffer("f", "output", size(1)),
        Buffer("g", "output", n),
        Buffer("H", "output", 3 * n - 2),
    )
    return Blocks("rosenbrock", buffers, (w.block("terms", n - 1),))


def rosenbrock(length: int) -> list[Case]:
    x = np.random.default_rng(0).normal(size=length)
    bound = together(rosenbrock_blocks(), {}, {"n": length})
    out = [np.empty(bound.lengths[buffer.name]) for buffer in bound.outputs]
    expected = bound.run([x], threads=1)

    def numpy_by_hand() -> Case:
        def run() -> list[Any]:
            a = x[:-1]
            square = a * a
            d = x[1:] - square
            e = 1 - a
            g = np.empty_like(x)
            np.multiply(a, d, out=g[:-1])
            g[:-1] *= -400
            g[:-1] -= 2 * e
            g[-1] = 0
            g[1:] += 200 * d
            H = np.empty(3 * len(x) - 2)
            H[:-1:3] = 800 * square + (2 - 400 * d)
            H[-1] = 0
            H[1::3] = H[2::3] = -400 * a
            H[3::3] += 200
            return [100 * np.dot(d, d) + np.dot(e, e), g, H]

        agree("NumPy", run(), expected)
        return Case("NumPy by hand", run)

    def jax_coloured() -> Case:
        import jax
        import jax.numpy as jnp

        jax.config.update("jax_enable_x64", True)

        def f(x: Any) -> Any:
            return jnp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)

        slope = jax.value_and_grad(f)
        colours = [jnp.asarray((np.arange(length) % 3 == c).astype(float)) for c in range(3)]
        rows = np.repeat(np.arange(length), 3)[1:-1]
        columns = (np.arange(3 * length) // 3 + np.arange(3 * length) % 3 - 1)[1:-1]
        where = jnp.asarray((columns % 3) * length + rows)

        @jax.jit
        def every(x: Any) -> Any:
            value, g = slope(x)
            products = jnp.concatenate([jax.jvp(jax.grad(f), (x,), (c,))[1] for c in colours])
            return value, g, products[where]

        given = jnp.asarray(x)
        agree("JAX", every(given), expected)
        return Case("JAX, Hessian by 3 coloured products", lambda: jax.block_until_ready(every(given)))

    def numba_loop() -> Case:
        import numba

        @numba.njit(fastmath=True)
        def every(x: Any, f: Any, g: Any, H: Any) -> None:
            total = 0.0
            g[:] = 0.0
            H[:] = 0.0
            for i in range(len(x) - 1):
                d, e = x[i + 1] - x[i] * x[i], 1 - x[i]
                total += 100 * d * d + e * e
                g[i] += -400 * x[i] * d - 2 * e
                g[i + 1] += 200 * d
                H[3 * i] += 800 * x[i] * x[i] + (2 - 400 * d)
                H[3 * i + 1] = H[3 * i + 2] = -400 * x[i]
                H[3 * i + 3] += 200
            f[0] = total

        made = [np.empty_like(part) for part in expected]
        every(x, *made)
        agree("Numba", made, expected)
        return Case("Numba, loop by hand", lambda: every(x, *made))

    def this_code() -> Case:
        return Case("this code", lambda: bound.run([x], out, 1), sum(bound.code.operations.values()))

    return gather([this_code, numpy_by_hand, jax_coloured, numba_loop])


# --- flows on a grid --------------------------------------------------------------------------------------------------
def flow_blocks() -> Blocks:
    """Per line: power in at both ends, p and q, summed over buses; the derivatives of p at one end by 4 numbers."""
    w, m = Writer(), size("m")
    first, second = affine("from", 0, 1), affine("to", 0, 1)
    v, u = w.read(gathered("v", first)), w.read(gathered("v", second))
    angle = w.read(gathered("a", first)) - w.read(gathered("a", second))
    G, B = w.read(affine("G", 0, 1)), w.read(affine("B", 0, 1))
    c, s = angle.of("cos"), angle.of("sin")
    both, gc, gs = v * u, G * c + B * s, G * s - B * c
    w.write(add(gathered("p", first)), G * v * v - both * gc)
    w.write(add(gathered("q", first)), -1 * B * v * v - both * gs)
    back, other = G * c - B * s, -1 * G * s - B * c
    w.write(add(gathered("p", second)), G * u * u - both * back)
    w.write(add(gathered("q", second)), -1 * B * u * u - both * other)
    slopes = (both * gs, -1 * both * gs, 2 * G * v - u * gc, -1 * v * gc)
    for k, slope in enumerate(slopes):
        w.write(add(gathered("J", affine("into", k, 4))), slope)
    buffers = (
        *(Buffer(name, "input", m) for name in ("v", "a")),
        *(Buffer(name, "data", n) for name in ("G", "B")),
        *(Buffer(name, "index", n) for name in ("from", "to")),
        Buffer("into", "index", 4 * n),
        *(Buffer(name, "output", m) for name in ("p", "q")),
        Buffer("J", "output", size("nnz")),
    )
    return Blocks("flows", buffers, (w.block("lines", n),))


def flows(lines: int) -> list[Case]:
    rng = np.random.default_rng(1)
    buses = lines * 5 // 9
    start = rng.integers(0, buses, lines)
    stop = (start + 1 + rng.integers(0, 40, lines)) % buses
    v, a = rng.uniform(0.95, 1.05, buses), rng.uniform(-0.5, 0.5, buses)
    G, B = rng.normal(size=lines), rng.normal(size=lines)
    # Rows are buses; by angles, then by voltages: where each of the four derivatives goes.
    rows = np.repeat(start, 4)
    columns = np.stack([start, stop, buses + start, buses + stop], axis=1).ravel()
    _, into = np.unique(rows * 2 * buses + columns, return_inverse=True)
    nonzeros = int(into.max()) + 1
    arrays = {"G": G, "B": B, "from": start, "to": stop, "into": into}
    arrays |= {name: arrays[name].astype(np.int32) for name in ("from", "to", "into")}
    bound = together(flow_blocks(), arrays, {"m": buses, "nnz": nonzeros})
    out = [np.empty(bound.lengths[buffer.name]) for buffer in bound.outputs]
    expected = bound.run([v, a], threads=1)

    def line(np: Any, v: Any, a: Any) -> Any:
        one, other = v[start], v[stop]
        angle = a[start] - a[stop]
        c, s = np.cos(angle), np.sin(angle)
        both, gc, gs = one * other, G * c + B * s, G * s - B * c
        ends = (
            G * one * one - both * gc,
            -B * one * one - both * gs,
            G * other * other - both * (G * c - B * s),
            -B * other * other + both * (G * s + B * c),
        )
        return ends, np.stack([both * gs, -both * gs, 2 * G * one - other * gc, -one * gc], 1).ravel()

    def numpy_by_hand() -> Case:
        def run() -> list[Any]:
            (p, q, back, other), slopes = line(np, v, a)
            found = [np.bincount(start, p, buses) + np.bincount(stop, back, buses)]
            found.append(np.bincount(start, q, buses) + np.bincount(stop, other, buses))
            return [*found, np.bincount(into, slopes, nonzeros)]

        agree("NumPy", run(), expected)
        return Case("NumPy by hand, bincount", run)

    def jax_by_hand() -> Case:
        import jax
        import jax.numpy as jnp

        jax.config.update("jax_enable_x64", True)

        @jax.jit
        def every(v: Any, a: Any) -> Any:
            (p, q, back, other), slopes = line(jnp, v, a)
            zero = jnp.zeros(buses)
            sums = zero.at[start].add(p).at[stop].add(back), zero.at[start].add(q).at[stop].add(other)
            return *sums, jnp.zeros(nonzeros).at[into].add(slopes)

        given = jnp.asarray(v), jnp.asarray(a)
        agree("JAX", every(*given), expected)
        return Case("JAX, derivatives by hand", lambda: jax.block_until_ready(every(*given)))

    def numba_loop() -> Case:
        import numba

        @numba.njit(fastmath=True)
        def every(v, a, start, stop, into, G, B, p, q, J):  # type: ignore[no-untyped-def]
            p[:] = 0.0
            q[:] = 0.0
            J[:] = 0.0
            for i in range(len(G)):
                one, other = v[start[i]], v[stop[i]]
                angle = a[start[i]] - a[stop[i]]
                c, s = np.cos(angle), np.sin(angle)
                both, gc, gs = one * other, G[i] * c + B[i] * s, G[i] * s - B[i] * c
                p[start[i]] += G[i] * one * one - both * gc
                q[start[i]] += -B[i] * one * one - both * gs
                p[stop[i]] += G[i] * other * other - both * (G[i] * c - B[i] * s)
                q[stop[i]] += -B[i] * other * other + both * (G[i] * s + B[i] * c)
                J[into[4 * i]] += both * gs
                J[into[4 * i + 1]] += -both * gs
                J[into[4 * i + 2]] += 2 * G[i] * one - other * gc
                J[into[4 * i + 3]] += -one * gc

        made = [np.empty_like(part) for part in expected]
        index = [arrays[name] for name in ("from", "to", "into")]
        every(v, a, *index, G, B, *made)
        agree("Numba", made, expected)
        return Case("Numba, loop by hand", lambda: every(v, a, *index, G, B, *made))

    def this_code() -> Case:
        return Case("this code", lambda: bound.run([v, a], out, 1), sum(bound.code.operations.values()))

    return gather([this_code, numpy_by_hand, jax_by_hand, numba_loop])


# --- Gaussian mixture -------------------------------------------------------------------------------------------------
D = 10


def mixture_blocks() -> Blocks:
    """log Σ_k exp(a_k + Σ q_k − ½ |Q_k (x − μ_k)|²) summed over x, where Q_k has exp(q_k) and L_k in its triangle.

    x is stored by coordinate, (d, N); parameters by mixture, a (K,), mu (K, d), q (K, d), L (K, d(d−1)/2).
    """
    k, lower = size("k"), D * (D - 1) // 2

    def exponent(w: Writer) -> tuple[Number, list[Number], list[Number]]:
        """What log-sum-exp is taken of; x − μ and Q (x − μ)."""
        x = [w.read(affine("x", n * i, 0, 1)) - w.read(affine("mu", i, D, 0)) for i in range(D)]
        scale = [w.read(affine("scale", i, D, 0)) for i in range(D)]
        rows, place = [], 0
        for i in range(D):
            row = scale[i] * x[i]
            for j in range(i):
                row = row + w.read(affine("L", place, lower, 0)) * x[j]
                place += 1
            rows.append(row)
        squares = rows[0] * rows[0]
        for row in rows[1:]:
            squares = squares + row * row
        return w.read(affine("b", 0, 1, 0)) - 0.5 * squares, x, rows

    scales = Writer()
    total = None
    for i in range(D):
        q = scales.read(affine("q", i, D))
        scales.write(store(affine("scale", i, D)), q.of("exp"))
        total = q if total is None else total + q
    assert total is not None
    scales.write(store(affine("b", 0, 1)), scales.read(affine("a", 0, 1)) + total)

    values = Writer()
    z, _, _ = exponent(values)
    values.write(store(affine("z", 0, n, 1)), z)
    values.write(reduce("logsumexp", affine("top", 0, 0, 1), 0), z)

    sums = Writer()
    sums.write(reduce("sum", affine("f", 0, 0), 0), sums.read(affine("top", 0, 1)))

    slopes = Writer()
    _, x, rows = exponent(slopes)
    weight = (slopes.read(affine("z", 0, n, 1)) - slopes.read(affine("top", 0, 0, 1))).of("exp")
    slopes.write(reduce("sum", affine("ga", 0, 1, 0), 1), weight)
    back = [weight * row for row in rows]
    place = 0
    for i in range(D):
        slopes.write(reduce("sum", affine("gs", i, D, 0), 1), back[i] * x[i])
        slopes.write(reduce("sum", affine("gx", i, D, 0), 1), back[i])
        for j in range(i):
            slopes.write(reduce("sum", affine("gl", place, lower, 0), 1), back[i] * x[j])
            place += 1

    rest = Writer()  # once per mixture: through exp(q), through μ, and signs
    ga = rest.read(affine("ga", 0, 1))
    rest.write(store(affine("ga_", 0, 1)), ga)
    scale = [rest.read(affine("scale", i, D)) for i in range(D)]
    gx = [rest.read(affine("gx", i, D)) for i in range(D)]
    through = [scale[i] * gx[i] for i in range(D)]
    place = 0
    for i in range(D):
        rest.write(store(affine("gq_", i, D)), ga - scale[i] * rest.read(affine("gs", i, D)))
        for j in range(i):
            through[j] = through[j] + rest.read(affine("L", place, lower)) * gx[i]
            rest.write(store(affine("gl_", place, lower)), -1 * rest.read(affine("gl", place, lower)))
            place += 1
    for i in range(D):
        rest.write(store(affine("gmu_", i, D)), through[i])

    lengths = {"a": k, "mu": D * k, "q": D * k, "L": lower * k}
    buffers = (
        Buffer("x", "data", D * n),
        *(Buffer(name, "input", length) for name, length in lengths.items()),
        *(Buffer(name, "work", D * k) for name in ("scale", "gs", "gx")),
        *(Buffer(name, "work", k) for name in ("b", "ga")),
        Buffer("gl", "work", lower * k),
        Buffer("z", "work", k * n),
        Buffer("top", "work", n),
        Buffer("f", "output", size(1)),
        *(
            Buffer(name, "output", length)
            for name, length in zip(("ga_", "gmu_", "gq_", "gl_"), lengths.values(), strict=True)
        ),
    )
    blocks = (
        scales.block("scales", k),
        values.block("values", k, n),
        sums.block("total", n),
        slopes.block("slopes", k, n),
        rest.block("parameters", k),
    )
    return Blocks("mixture", buffers, blocks)


def mixture(points: int) -> list[Case]:
    rng = np.random.default_rng(2)
    K, lower = 25, D * (D - 1) // 2
    x = rng.normal(size=(points, D))
    parameters = [
        rng.normal(size=K),
        rng.normal(size=(K, D)),
        rng.normal(size=(K, D)) / 3,
        rng.normal(size=(K, lower)) / 3,
    ]
    bound = together(mixture_blocks(), {"x": np.ascontiguousarray(x.T)}, {"n": points, "k": K})
    out = [np.empty(bound.lengths[buffer.name]) for buffer in bound.outputs]
    expected = bound.run(parameters, threads=1)
    i, j = np.tril_indices(D, -1)

    def value(np: Any, a: Any, mu: Any, Q: Any, q: Any, x: Any, top: Any) -> Any:
        rows = np.einsum("kij,nkj->nki", Q, x[:, None, :] - mu[None])
        return np.sum(top(a + np.sum(q, 1) - 0.5 * np.sum(rows * rows, 2)))

    def jax_reverse() -> Case:
        import jax
        import jax.numpy as jnp
        from jax.scipy.special import logsumexp

        jax.config.update("jax_enable_x64", True)

        def total(p: Any) -> Any:
            a, mu, q, L = p
            Q = jnp.zeros((K, D, D)).at[:, i, j].set(L) + jnp.eye(D) * jnp.exp(q)[:, :, None]
            return value(jnp, a, mu, Q, q, jnp.asarray(x), lambda z: logsumexp(z, axis=1))

        every = jax.jit(jax.value_and_grad(total))
        given = tuple(map(jnp.asarray, parameters))
        found, slopes = every(given)
        agree("JAX", [found, *slopes], expected)
        return Case("JAX, reverse mode", lambda: jax.block_until_ready(every(given)))

    def pytorch() -> Case:
        import torch

        torch.set_num_threads(1)
        leaves = [torch.tensor(part, requires_grad=True) for part in parameters]
        rows, where = torch.tensor(x), (torch.tensor(i), torch.tensor(j))

        def run() -> Any:
            a, mu, q, L = leaves
            Q = torch.diag_embed(torch.exp(q))
            Q = Q.index_put((torch.arange(K)[:, None], *where), L)
            y = torch.einsum("kij,nkj->nki", Q, rows[:, None, :] - mu[None])
            total = torch.logsumexp(a + q.sum(1) - 0.5 * (y * y).sum(2), 1).sum()
            return total, *torch.autograd.grad(total, leaves)

        agree("PyTorch", [part.detach().numpy() for part in run()], expected)
        return Case("PyTorch, reverse mode", run)

    def numpy_by_hand() -> Case:
        def run() -> list[Any]:
            a, mu, q, L = parameters
            Q = np.zeros((K, D, D))
            Q[:, i, j] = L
            Q[:, range(D), range(D)] = np.exp(q)
            z, kept = np.empty((points, K)), []
            for k in range(K):
                apart = x - mu[k]
                rows = apart @ Q[k].T
                kept.append((apart, rows))
                z[:, k] = a[k] + q[k].sum() - 0.5 * np.einsum("ni,ni->n", rows, rows)
            top = z.max(1)
            weights = np.exp(z - top[:, None])
            sums = weights.sum(1)
            weights /= sums[:, None]
            ga = weights.sum(0)
            gmu, gq, gl = np.empty((K, D)), np.empty((K, D)), np.empty((K, lower))
            for k, (apart, rows) in enumerate(kept):
                back = weights[:, k, None] * rows
                gQ = -(back.T @ apart)
                gmu[k] = back.sum(0) @ Q[k]
                gq[k] = ga[k] + gQ.diagonal() * np.exp(q[k])
                gl[k] = gQ[i, j]
            return [np.sum(top + np.log(sums)), ga, gmu, gq, gl]

        agree("NumPy", run(), expected)
        return Case("NumPy by hand, products of matrices", run)

    def this_code() -> Case:
        return Case("this code", lambda: bound.run(parameters, out, 1), sum(bound.code.operations.values()))

    return gather([this_code, numpy_by_hand, jax_reverse, pytorch])


CASES: dict[str, tuple[Callable[[int], list[Case]], int]] = {
    "rosenbrock": (rosenbrock, 100_000),
    "flows": (flows, 9_000),
    "mixture": (mixture, 10_000),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", choices=list(CASES))
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    for name, (cases, points) in CASES.items():
        if options.only in (None, name):
            every = cases(points)
            show(f"{name}, {points:,}", every, measure(every, points, options.rounds), "this code")


if __name__ == "__main__":
    main()
