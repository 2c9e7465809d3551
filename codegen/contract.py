"""Passes on a program before it becomes code: drop what no result needs, and fuse products into sums."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from codegen.program import Program

_PLAIN = ("load", "const")
Append = Callable[[tuple[Any, ...]], int]


def contract(program: Program) -> Program:
    """Make `fma` of every sum or difference that has a product used nowhere else; drop dead instructions.

    The choice depends on the program alone, so every width and back end with a fused multiply-add rounds alike.
    Of two products the second is fused: a running sum then keeps its running term as the addend.
    """
    uses = count_uses(program)
    live = [count > 0 for count in uses]
    fused: dict[int, tuple[int, int, int, bool, int]] = {}
    for number, (name, *operands) in enumerate(program.body):
        if live[number] and name in ("add", "sub"):
            for side in (1, 0):
                product = _product(program, uses, operands[side])
                if product is not None:
                    factors, negative, absorbed = product
                    fused[number] = (*factors, operands[1 - side], negative ^ (name == "sub" and side == 1), side)
                    for value in absorbed:
                        live[value] = False
                    break
    return _rebuild(program, live, lambda number, append, new: _fuse(program, fused, number, append, new), {})


def prune(program: Program) -> Program:
    """The program without the instructions that no result needs."""
    live = [count > 0 for count in count_uses(program)]
    return _rebuild(
        program,
        live,
        lambda number, append, new: append(_renumber(program.body[number], new)),
        {value: name for value, name in program.names.items() if live[value]},
    )


def count_uses(program: Program) -> list[int]:
    """How often each value is read by values that reach a result, results included."""
    uses = [0] * len(program.body)
    for values in program.outputs:
        for value in values:
            uses[value] += 1
    for number in range(len(program.body) - 1, -1, -1):
        if uses[number]:
            name, *operands = program.body[number]
            if name not in _PLAIN:
                for operand in operands:
                    uses[operand] += 1
    return uses


def _product(program: Program, uses: list[int], value: int) -> tuple[tuple[int, int], bool, list[int]] | None:
    """The factors of a product used once, whether it is negated, and the values that a fusion makes unnecessary."""
    absorbed, negative = [], False
    while uses[value] == 1 and program.body[value][0] == "neg":
        absorbed.append(value)
        negative = not negative
        value = program.body[value][1]
    name, *operands = program.body[value]
    if name != "mul" or uses[value] != 1:
        return None
    return (operands[0], operands[1]), negative, [*absorbed, value]


def _fuse(
    program: Program, fused: dict[int, tuple[int, int, int, bool, int]], number: int, append: Append, new: list[int]
) -> int:
    if number not in fused:
        return append(_renumber(program.body[number], new))
    a, b, addend, negative, side = fused[number]
    a, b, addend = new[a], new[b], new[addend]
    if negative:
        a = append(("neg", a))
    if program.body[number][0] == "sub" and side == 0:
        addend = append(("neg", addend))
    return append(("fma", a, b, addend))


def _renumber(instruction: tuple[Any, ...], new: list[int]) -> tuple[Any, ...]:
    if instruction[0] in _PLAIN:
        return instruction
    return (instruction[0], *[new[operand] for operand in instruction[1:]])


def _rebuild(
    program: Program, live: list[bool], build: Callable[[int, Append, list[int]], int], names: Mapping[int, str]
) -> Program:
    body: list[tuple[Any, ...]] = []

    def append(instruction: tuple[Any, ...]) -> int:
        body.append(instruction)
        return len(body) - 1

    new = [-1] * len(program.body)
    for number in range(len(program.body)):
        if live[number]:
            new[number] = build(number, append, new)
    outputs = tuple(tuple(new[value] for value in values) for values in program.outputs)
    return program.rewritten(body, outputs, {new[value]: name for value, name in names.items()})
