"""A robot arm beside other tools: `python tests/bench/bench_panda.py [--rounds R] [--jax]`.

Kinematics: 12 entries of the pose, its 12×7 Jacobian, the 21 of 28 distinct entries of the Hessian of the squared
distance that are not zero by structure. Inverse dynamics: 7 torques and their 7×14 Jacobian by angles and speeds. At
1,000 points, which fit in the cache, and at 100,000. One line per tool: ns per point on one core (least processor time
of interleaved runs), ratio to this kernel, operations. This kernel writes C-ordered arrays, and points last.

Peers: `np.copyto` of the outputs; CasADi's graph as C over 8 points at a time, and CasADi's own C, by gcc -O3; heyoka;
JAX with `--jax`, which takes minutes to compile.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[variable] = "1"
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import numpy as np  # noqa: E402 - after the environment
from peers import Case, gather, measure, numbers, scalar_c, show, values, vector_c  # noqa: E402

import hybrid as hy  # noqa: E402
from hybrid.loading import examples, import_file  # noqa: E402

# Turning the last joint does not move the hand: 21 of the 28 distinct entries of the Hessian can be non-zero.
TURNING = 6

PANDA = import_file(examples() / "panda.py")
DYNAMICS = import_file(examples() / "inverse_dynamics.py")


@dataclass(frozen=True)
class Task:
    """What is computed: this kernel, its arguments, and the function as plain NumPy with what is to be derived."""

    name: str
    kernel: Any
    points: Callable[[int], Sequence[np.ndarray]]
    sizes: tuple[int, ...]
    outputs: int
    derive: Callable[[Any, Sequence[Any]], list[Any]]
    jax: Callable[..., Any]


def tasks() -> list[Task]:
    pose, miss, tau = PANDA.pose, PANDA.miss, DYNAMICS.tau
    curvature = miss.hessian(wrt="q", sparse=True, triangle="lower")
    kinematics = hy.compile(pose, pose.jacobian(), curvature, name="panda")
    dynamics = hy.compile(tau, tau.jacobian(wrt=["q", "qd"]), name="panda_dynamics")

    def pose_and_slopes(tool: Tool, x: Sequence[Any]) -> list[Any]:
        q, target = x[:7], x[7:]
        place = PANDA.forward_kinematics(tool.array(q))
        distance = sum((place[:, 3] - tool.array(target)) ** 2)
        return [*values(place), *tool.jacobian(values(place), q), *tool.triangle(distance.value, q)]

    def torques_and_slopes(tool: Tool, x: Sequence[Any]) -> list[Any]:
        torques = values(DYNAMICS.inverse_dynamics(*[tool.array(x[k : k + 7]) for k in (0, 7, 14)]))
        return [*torques, *tool.jacobian(torques, x[:14])]

    return [
        Task("kinematics", kinematics, PANDA.postures, (7, 3), 12 + 84 + 21, pose_and_slopes, jax_kinematics),
        Task("inverse dynamics", dynamics, DYNAMICS.motions, (7, 7, 7), 7 + 98, torques_and_slopes, jax_dynamics),
    ]


class Tool:
    """Another tool's expressions: arrays of its symbols, derivatives of its expressions."""

    def __init__(self, module: Any) -> None:
        self.module = module

    def array(self, symbols: Sequence[Any]) -> np.ndarray:
        return numbers(symbols, self.module)


class CasADi(Tool):
    def _dense(self, matrix: Any) -> list[Any]:
        return [matrix[i, j] for i in range(matrix.shape[0]) for j in range(matrix.shape[1])]

    def jacobian(self, outputs: Sequence[Any], x: Sequence[Any]) -> list[Any]:
        c = self.module
        return self._dense(c.jacobian(c.vertcat(*outputs), c.vertcat(*x)))

    def triangle(self, scalar: Any, x: Sequence[Any]) -> list[Any]:
        full, _ = self.module.hessian(scalar, self.module.vertcat(*x))
        return [full[i, j] for i in range(TURNING) for j in range(i + 1)]


class Heyoka(Tool):
    def jacobian(self, outputs: Sequence[Any], x: Sequence[Any]) -> list[Any]:
        expressions = [self._expression(output) for output in outputs]
        tensors = self.module.diff_tensors(expressions, diff_args=list(x), diff_order=1)
        return [entry for row in tensors.jacobian for entry in row]

    def _expression(self, output: Any) -> Any:
        return self.module.expression(output) if isinstance(output, float) else output

    def triangle(self, scalar: Any, x: Sequence[Any]) -> list[Any]:
        tensors = self.module.diff_tensors([scalar], diff_args=list(x), diff_order=2)
        full = tensors.hessian(0)
        return [full[i][j] for i in range(TURNING) for j in range(i + 1)]


def jax_kinematics(q: Any, target: Any) -> Any:
    import jax
    import jax.numpy as jnp

    def pose(q: Any) -> Any:
        return _with(jnp, PANDA.forward_kinematics, q)

    def miss(q: Any) -> Any:
        return jnp.sum((pose(q)[:, 3] - target) ** 2)

    return pose(q), jax.jacfwd(pose)(q), jax.hessian(miss)(q)


def jax_dynamics(q: Any, qd: Any, qdd: Any) -> Any:
    import jax
    import jax.numpy as jnp

    def torques(q: Any, qd: Any) -> Any:
        return _with(jnp, DYNAMICS.inverse_dynamics, q, qd, qdd)

    return torques(q, qd), jax.jacfwd(torques, argnums=(0, 1))(q, qd)


def _with(module: Any, function: Callable[..., Any], *args: Any) -> Any:
    """The example's function with another module in the place of NumPy."""
    before, function.__globals__["np"] = function.__globals__["np"], module
    try:
        return function(*args)
    finally:
        function.__globals__["np"] = before


# --- the tools --------------------------------------------------------------------------------------------------------
def compare(task: Task, points: int, rounds: int, jax_too: bool, casadi_function: Any, heyoka_function: Any) -> None:
    x = task.points(points)
    out = [np.array(result) for result in task.kernel(*x, threads=1)]
    kept = [array.copy() for array in out]
    table = np.ascontiguousarray(np.concatenate(x, axis=1))
    columns = np.ascontiguousarray(table.T)
    rows = np.empty((task.outputs, points))
    flat = np.concatenate([array.reshape(points, -1) for array in kept], axis=1)

    def agree(name: str, found: np.ndarray) -> None:
        apart = np.abs(found - flat).max() / np.abs(flat).max()
        if not apart < 1e-10:
            raise AssertionError(f"{name} differs from this kernel by {apart:.1e}")

    def this_kernel() -> Case:
        return Case("this kernel", lambda: task.kernel(*x, out=out, threads=1), task.kernel.operations)

    def points_last() -> Case:
        last = [np.moveaxis(np.empty((*array.shape[1:], points)), -1, 0) for array in kept]
        return Case("this kernel, points last", lambda: task.kernel(*x, out=last, threads=1), task.kernel.operations)

    def copying() -> Case:
        return Case("np.copyto", lambda: [np.copyto(a, b) for a, b in zip(out, kept, strict=True)])

    def c_over_8_points() -> Case:
        run = vector_c(casadi_function())
        run(columns, rows)
        agree("C over 8 points", rows.T)
        count = casadi_function().n_instructions() - task.outputs - table.shape[1]
        return Case("CasADi's graph as C over 8 points", lambda: run(columns, rows), count)

    def c_of_casadi() -> Case:
        run = scalar_c(casadi_function())
        results = np.empty((points, task.outputs))
        run(table, results)
        agree("CasADi's C", results)
        return Case("CasADi's C", lambda: run(table, results))

    def heyoka_cfunc() -> Case:
        function = heyoka_function()
        function(columns, outputs=rows)
        agree("heyoka", rows.T)
        return Case("heyoka, cfunc", lambda: function(columns, outputs=rows))

    def jax_vmap() -> Case:
        import jax

        jax.config.update("jax_enable_x64", True)
        every = jax.jit(jax.vmap(task.jax))
        return Case("JAX, jit(vmap)", lambda: jax.block_until_ready(every(*x)))

    tools = [
        this_kernel,
        points_last,
        copying,
        c_over_8_points,
        c_of_casadi,
        heyoka_cfunc,
        *([jax_vmap] if jax_too else []),
    ]
    cases = gather(tools)
    show(f"{task.name}, {points:,} points", cases, measure(cases, points, rounds), "this kernel")


def casadi_of(task: Task) -> Any:
    import casadi

    symbols = [casadi.SX.sym(f"x{k}") for k in range(sum(task.sizes))]
    outputs = task.derive(CasADi(casadi), symbols)
    return casadi.Function(
        "peer_graph", [casadi.vertcat(*symbols)], [casadi.densify(casadi.vertcat(*outputs))], {"cse": True}
    )


def heyoka_of(task: Task) -> Any:
    import heyoka

    symbols = heyoka.make_vars(*[f"x{k}" for k in range(sum(task.sizes))])
    outputs = task.derive(Heyoka(heyoka), symbols)
    return heyoka.cfunc([heyoka.expression(o) if isinstance(o, float) else o for o in outputs], symbols)


def once(make: Callable[[], Any]) -> Callable[[], Any]:
    found: list[Any] = []

    def get() -> Any:
        if not found:
            found.append(make())
        return found[0]

    return get


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--jax", action="store_true")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    for task in tasks():
        casadi_function, heyoka_function = once(lambda t=task: casadi_of(t)), once(lambda t=task: heyoka_of(t))
        for points in (1_000, 100_000):
            compare(task, points, options.rounds, options.jax, casadi_function, heyoka_function)


if __name__ == "__main__":
    main()
