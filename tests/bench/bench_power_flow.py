"""AC optimal power flow: `python tests/bench/bench_power_flow.py [CASE.m ...]`, beside CasADi's SX.

Per case: time from arrays to the first Jacobian and Lagrangian Hessian (model, derivatives, code), then one evaluation
of both (entries of the sparse matrices), minima of interleaved runs on one thread; then Ipopt's objective beside the
published one where Ipopt is installed. Without arguments, the cases that come with the example; larger ones of PGLib
are given as files.
"""

from __future__ import annotations

import functools
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
import power_flow

# Objectives of AC-OPF in $/h, PGLib-OPF v23.07, typical operating conditions, from its baseline table.
PUBLISHED = {
    "pglib_opf_case3_lmbd": 5.8126e3,
    "pglib_opf_case5_pjm": 1.7552e4,
    "pglib_opf_case14_ieee": 2.1781e3,
    "pglib_opf_case30_ieee": 8.2085e3,
    "pglib_opf_case118_ieee": 9.7214e4,
    "pglib_opf_case300_ieee": 5.6522e5,
    "pglib_opf_case1354_pegase": 1.2588e6,
    "pglib_opf_case2869_pegase": 2.4628e6,
}
RUNS = 7


class Ours:
    def __init__(self, grid: power_flow.Grid) -> None:
        self.problem = power_flow.problem(grid, verify=False)
        self.calls = self.problem.callbacks()
        self.point = self.problem.start_at(power_flow.start(grid), None)
        self.weights = np.linspace(-1, 1, len(self.problem.constraint_limits[0]))
        self.evaluate(self.point)

    def evaluate(self, x: Any) -> tuple[Any, Any]:
        return self.calls.jacobian(x), self.calls.hessian(x, self.weights, 1.0)

    def dense(self, x: Any) -> tuple[Any, Any]:
        jacobian, hessian = self.evaluate(x)
        full, places = self.problem.hessian_pattern.full()
        return self.problem.jacobian_pattern.csr(jacobian).toarray(), full.csr(hessian[places]).toarray()


class CasADi:
    """The same equations on SX, evaluated by CasADi's virtual machine."""

    def __init__(self, grid: power_flow.Grid, weights: Any) -> None:
        import casadi as ca

        buses, generators = len(grid.load), len(grid.generator)
        x = ca.SX.sym("x", 2 * buses + 2 * generators)
        angle, voltage = x[:buses], x[buses : 2 * buses]
        p, q = x[2 * buses : 2 * buses + generators], x[2 * buses + generators :]
        first, second = (list(map(int, end)) for end in grid.ends.T)
        g, b, charging = (ca.DM(column) for column in grid.admittance.T)
        real, imaginary = (ca.DM(column) for column in grid.tap.T)
        square = real**2 + imaginary**2
        v, w, difference = voltage[first], voltage[second], angle[first] - angle[second]
        cosine, sine = v * w * ca.cos(difference), v * w * ca.sin(difference)
        a, c = (-g * real + b * imaginary) / square, (-b * real - g * imaginary) / square
        d, e = (-g * real - b * imaginary) / square, (-b * real + g * imaginary) / square
        flows = (
            g / square * v**2 + a * cosine + c * sine,
            -(b + charging) / square * v**2 - c * cosine + a * sine,
            g * w**2 + d * cosine - e * sine,
            -(b + charging) * w**2 - e * cosine - d * sine,
        )
        at = [*first, *second, *map(int, grid.generator)]
        incidence = ca.DM(ca.Sparsity.triplet(buses, len(at), at, list(range(len(at)))), 1.0)
        incidence = ca.DM.triplet(at, list(range(len(at))), ca.DM.ones(len(at)), buses, len(at))
        active = incidence @ ca.vertcat(flows[0], flows[2], -p) + grid.load[:, 0] + grid.shunt[:, 0] * voltage**2
        reactive = incidence @ ca.vertcat(flows[1], flows[3], -q) + grid.load[:, 1] - grid.shunt[:, 1] * voltage**2
        limited = list(map(int, np.flatnonzero(np.isfinite(grid.rating))))
        ratings = (
            [(flows[0] ** 2 + flows[1] ** 2)[limited], (flows[2] ** 2 + flows[3] ** 2)[limited]] if limited else []
        )
        reference = angle[list(map(int, grid.reference))]
        constraints = ca.vertcat(active, reactive, *ratings, difference, reference)
        c0, c1, c2 = (ca.DM(column) for column in grid.cost.T)
        cost = ca.sum1(c0 + c1 * p + c2 * p**2)
        multipliers, factor = ca.SX.sym("l", constraints.shape[0]), ca.SX.sym("s")
        hessian = ca.triu(ca.hessian(factor * cost + ca.dot(multipliers, constraints), x)[0])
        self.function = ca.Function("f", [x, multipliers, factor], [ca.jacobian(constraints, x), hessian])
        self.weights = weights
        # As a solver calls it: fixed arrays in and out.
        self.arrays = [np.zeros(x.shape[0]), np.array(weights), np.ones(1)]
        self.out = [np.zeros(self.function.nnz_out(i)) for i in range(2)]
        self.buffer, self.trigger = self.function.buffer()
        for place, array in enumerate(self.arrays):
            self.buffer.set_arg(place, memoryview(array))
        for place, array in enumerate(self.out):
            self.buffer.set_res(place, memoryview(array))

    def evaluate(self, x: Any) -> Any:
        self.arrays[0][:] = x
        self.trigger()
        return self.out

    def dense(self, x: Any) -> tuple[Any, Any]:
        jacobian, upper = (np.array(part.full()) for part in self.function(x, self.weights, 1.0))
        return jacobian, upper + np.triu(upper, 1).T


def least(work: Any, runs: int) -> float:
    times = []
    for _ in range(runs):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return min(times)


def comparison(ours: Ours, peer: CasADi | None) -> str:
    if peer is None:
        return f"  J + H {least(lambda: ours.evaluate(ours.point), 20) * 1e6:8.1f} µs"
    if len(ours.point) < 1000:
        point = ours.point + 0.01
        for mine, theirs in zip(ours.dense(point), peer.dense(point), strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-9)
    repeat = max(1, int(2e4 / len(ours.point)))
    times = np.full(2, np.inf)
    for step in range(RUNS * repeat):
        point = ours.point + 1e-9 * step  # a new one each time: nothing is looked up
        for place, side in enumerate((ours, peer)):
            times[place] = min(times[place], least(functools.partial(side.evaluate, point), 1))
    return f"  J + H {times[0] * 1e6:8.1f} µs: {times[1] / times[0]:4.1f} × as fast as CasADi's {times[1] * 1e6:.1f} µs"


def main(paths: list[str]) -> None:
    for path in paths or sorted(map(str, power_flow.CASES.glob("*.m")), key=len):
        grid = power_flow.read_case(path)
        begin = time.perf_counter()
        ours = Ours(grid)
        built = time.perf_counter() - begin
        line = f"{grid.name:28s} {len(ours.point):6d} variables  ready {built:7.3f} s"
        try:
            begin = time.perf_counter()
            peer = CasADi(grid, ours.weights)
            peer.evaluate(ours.point)
            peer_built = time.perf_counter() - begin
        except ImportError:
            peer = None
        line += comparison(ours, peer)
        if peer is not None:
            line += f", ready in {built / peer_built:.2f} × its {peer_built:.2f} s"
        try:
            result = ours.problem.solve(power_flow.start(grid))
            published = PUBLISHED.get(grid.name)
            apart = f", {abs(result.objective / published - 1):.1e} from the published" if published else ""
            line += (
                f"  Ipopt {result.objective:.6g} $/h in {result.iterations} iterations, {result.seconds:.2f} s{apart}"
            )
        except power_flow.hy.UnsupportedError:
            pass
        print(line, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
