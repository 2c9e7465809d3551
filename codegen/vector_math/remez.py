"""Minimax polynomials with coefficients that are floating-point numbers, in multiple precision.

Remez's exchange on a dense Chebyshev grid [Cheney, Introduction to Approximation Theory, ch. 3], then the
coefficients are rounded one by one from the lowest power up, the rest being fitted again each time, so that a later
coefficient makes good the rounding of an earlier one [idea: Brisebarre and Chevillard, Efficient polynomial
L∞-approximations, 2007].
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from mpmath import mp, mpf

Function = Callable[[mpf], mpf]
DIGITS = 60
GRID_PER_TERM = 24
EXCHANGES = 20


class Problem:
    """min over c of max over [a, b] of |weight(x)·(f(x) − Σ c_j x^powers[j])|, on a grid of Chebyshev points."""

    def __init__(self, f: Function, interval: tuple[mpf, mpf], powers: list[int], weight: Function) -> None:
        a, b = mpf(interval[0]), mpf(interval[1])
        count = GRID_PER_TERM * (len(powers) + 1)
        self.points = [(a + b) / 2 - (b - a) / 2 * mp.cos(mp.pi * i / (count - 1)) for i in range(count)]
        self.values = [f(x) for x in self.points]
        self.weights = [weight(x) for x in self.points]
        self.powers = powers

    def errors(self, coefficients: list[mpf]) -> list[mpf]:
        terms = list(zip(coefficients, self.powers, strict=True))
        return [
            w * (v - mp.fsum(c * x**p for c, p in terms))
            for x, v, w in zip(self.points, self.values, self.weights, strict=True)
        ]

    def solve(self) -> tuple[list[mpf], mpf]:
        """Coefficients and the largest weighted error, by exchange until the error is level within 0.1 %."""
        size = len(self.powers) + 1
        reference = [round((i + 0.5) * len(self.points) / size - 0.5) for i in range(size)]
        best: tuple[list[mpf], mpf] = ([], mp.inf)
        for _ in range(EXCHANGES):
            coefficients, level = self._level(reference)
            errors = self.errors(coefficients)
            largest = max(abs(e) for e in errors)
            if largest < best[1]:
                best = coefficients, largest
            if largest <= abs(level) * mpf("1.001"):
                break
            reference = self._exchange(errors, size)
            if not reference:
                break
        return best

    def _level(self, reference: list[int]) -> tuple[list[mpf], mpf]:
        matrix = mp.matrix(len(reference))
        right = mp.matrix(len(reference), 1)
        for row, i in enumerate(reference):
            for column, power in enumerate(self.powers):
                matrix[row, column] = self.weights[i] * self.points[i] ** power
            matrix[row, len(self.powers)] = (-1) ** row
            right[row] = self.weights[i] * self.values[i]
        solution = mp.lu_solve(matrix, right)
        return list(solution[:-1]), solution[len(self.powers)]

    @staticmethod
    def _exchange(errors: list[mpf], size: int) -> list[int]:
        """The largest error of each run of equal sign; of too many runs, the least go, in neighbouring pairs inside."""
        runs: list[int] = []
        for i, error in enumerate(errors):
            if runs and (errors[runs[-1]] > 0) == (error > 0):
                if abs(error) > abs(errors[runs[-1]]):
                    runs[-1] = i
            else:
                runs.append(i)
        while len(runs) > size + 1:
            pairs = [max(abs(errors[i]), abs(errors[j])) for i, j in pairwise(runs)]
            least = pairs.index(min(pairs))
            del runs[least : least + 2]
        if len(runs) > size:
            runs.pop(0 if abs(errors[runs[0]]) < abs(errors[runs[-1]]) else -1)
        return runs if len(runs) == size else []


def minimax(
    f: Function,
    interval: tuple[float, float],
    powers: list[int],
    weight: Function = lambda x: mpf(1),
    bits: int = 53,
) -> tuple[list[float], float]:
    """Coefficients rounded to `bits` bits, one per power (ascending), and the weighted error they reach."""
    with mp.workdps(DIGITS):
        problem = Problem(f, interval, list(powers), weight)
        exact, _ = problem.solve()
        rounded = round_one_by_one(problem, exact, bits)
        return [float(c) for c in rounded], float(max(abs(e) for e in problem.errors(rounded)))


def round_one_by_one(problem: Problem, exact: list[mpf], bits: int) -> list[mpf]:
    """Rounded coefficients whose polynomial stays near the exact one's."""
    powers = problem.powers
    squares = [w * w for w in problem.weights]
    # least squares among polynomials needs the moments of the weight only
    moments = [
        mp.fsum(w * x**p for w, x in zip(squares, problem.points, strict=True)) for p in range(2 * max(powers) + 1)
    ]
    rounded: list[mpf] = []
    for first in range(len(powers)):
        free = powers[first:]
        matrix, right = mp.matrix(len(free)), mp.matrix(len(free), 1)
        for i, p in enumerate(free):
            for j, q in enumerate(free):
                matrix[i, j] = moments[p + q]
            right[i] = mp.fsum((c - r) * moments[p + q] for c, r, q in zip(exact, rounded, powers, strict=False))
        moved = exact[first] + mp.lu_solve(matrix, right)[0]
        with mp.workprec(bits):
            rounded.append(+moved)
    return rounded
