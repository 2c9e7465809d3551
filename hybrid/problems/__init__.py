"""Optimisation problems: exact sparse derivatives from plain code, handed to Ipopt and SciPy."""

from hybrid.problems.problem import Problem
from hybrid.problems.reading import Constraint
from hybrid.problems.result import Iteration, Result

__all__ = ["Constraint", "Iteration", "Problem", "Result"]
