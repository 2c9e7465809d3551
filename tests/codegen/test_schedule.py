"""Reordering keeps every bit and no more values alive."""

import dataclasses

import numpy as np
import pytest

from codegen import Array, Program, compile, schedule
from codegen.contract import prune


def most_alive(program: Program) -> int:
    """The largest number of computed values that are still to be read."""
    last: dict[int, int] = {}
    for number, (name, *operands) in enumerate(program.body):
        if name not in ("load", "const"):
            last |= dict.fromkeys(operands, number)
    ends: dict[int, list[int]] = {}
    for value, number in last.items():
        ends.setdefault(number, []).append(value)
    alive = most = 0
    for number, (name, *_) in enumerate(program.body):
        alive += name not in ("load", "const") and number in last
        alive -= sum(program.body[value][0] not in ("load", "const") for value in ends.get(number, ()))
        most = max(most, alive)
    return most


@pytest.mark.parametrize("seed", range(8))
def test_the_same_values(seed, programs, sample, meaning):
    program = prune(programs(400, seed, reach=200))
    moved = schedule.schedule(program)
    assert dataclasses.replace(moved) == moved  # which validates it
    assert moved.counts() == program.counts()
    arguments = sample(program, (9,), seed)
    for a, b in zip(meaning(moved, *arguments), meaning(program, *arguments), strict=True):
        assert ((a == b) | np.isnan(a) & np.isnan(b)).all()
    assert schedule.schedule(moved).counts() == program.counts()


def test_sums_made_breadth_first_are_made_one_by_one():
    """x₀² + x₁² + … with all squares first: as many live values as terms; one by one, two."""
    n = 200
    code: list[tuple] = [("load", 0, k) for k in range(n)] + [("mul", k, k) for k in range(n)]
    total = n
    for k in range(1, n):
        code.append(("add", total, n + k))
        total = len(code) - 1
    program = Program("squares", (Array("x", (n,)),), (Array("r"),), code, ((total,),))
    assert most_alive(program) == n
    assert most_alive(schedule.schedule(program)) == 2


def test_long_programs_stay_as_they_are(programs, monkeypatch):
    program = programs(100, 1)
    monkeypatch.setattr(schedule, "LONGEST", 99)
    assert schedule.schedule(program) is program


def test_spills_are_counted():
    """A short program has registers enough; one that keeps a hundred values to the end has not."""
    few = Program("few", (Array("x"),), (Array("r"),), [("load", 0, 0), ("mul", 0, 0)], ((1,),))
    body = [("load", 0, 0), ("sqrt", 0)]
    body += [("add", k, 1) for k in range(1, 100)]
    start = len(body) - 1
    for k in range(2, 100):
        body.append(("mul", len(body) - 1 if k > 2 else start, k))
    many = Program("many", (Array("x"),), (Array("r"),), body, ((len(body) - 1,),))
    assert compile(few).spills() == (0, 0)
    stored, loaded = compile(many).spills()
    assert stored > 30
    assert loaded > 30
