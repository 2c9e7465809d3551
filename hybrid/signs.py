"""What is done to a program last: dead instructions go, and signs move to where they cost least.

Negations are moved into constants of what they negate: −(x·(2·y)) is x·(−2·y), bit for bit, one operation less.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import copysign
from typing import Any

Body = list[tuple[Any, ...]]
Outputs = tuple[tuple[int, ...], ...]
LEAVES = frozenset({"load", "const"})  # instructions whose operands are no values


def absorb_signs(body: Body, outputs: Outputs) -> tuple[Body, Outputs]:
    """The program without the negations of products that hold a constant and have no other user."""
    uses = [0] * len(body)
    for name, *operands in body:
        if name not in LEAVES:
            for operand in operands:
                uses[operand] += 1
    for values in outputs:
        for value in values:
            uses[value] += 1
    absorbed: dict[int, tuple[int, int]] = {}  # negation -> the product in which a constant changes sign, and where
    flipped: set[tuple[int, int]] = set()
    for number, (name, *operands) in enumerate(body):
        if name == "neg" and uses[number] and (place := constant_below(body, uses, operands[0])) is not None:
            absorbed[number] = place
            flipped.add(place)
    return rebuild(body, outputs, absorbed, flipped) if absorbed else (body, outputs)


def constant_below(body: Body, uses: list[int], value: int) -> tuple[int, int] | None:
    """A product or quotient with a constant operand, reached from `value` through products used once."""
    stack = [value]
    while stack:
        top = stack.pop()
        name, *operands = body[top]
        if name not in ("mul", "div") or uses[top] != 1:
            continue
        for position, operand in enumerate(operands):
            if body[operand][0] == "const":
                return top, position
        stack += operands
    return None


def rebuild(
    body: Body, outputs: Outputs, absorbed: dict[int, tuple[int, int]], flipped: set[tuple[int, int]]
) -> tuple[Body, Outputs]:
    new: list[int] = []
    made: Body = []
    for number, (name, *operands) in enumerate(body):
        if number in absorbed:
            new.append(new[operands[0]])
            continue
        if name not in LEAVES:
            operands = [new[operand] for operand in operands]
            for position in (0, 1):
                if (number, position) in flipped:
                    made.append(("const", -body[body[number][1 + position]][1]))
                    operands[position] = len(made) - 1
        new.append(len(made))
        made.append((name, *operands))
    return made, tuple(tuple(new[value] for value in values) for values in outputs)


def negate_factors(body: Body, outputs: Outputs) -> tuple[Body, Outputs]:
    """−(a·b) as (−a)·b where several negated products that are used nowhere else share the factor a.

    Every entry of −u vᵀ would otherwise be a product and a negation. The bits stay the same.
    """
    uses = Counter(operand for name, *operands in body if name not in LEAVES for operand in operands)
    for values in outputs:
        uses.update(values)
    products = {
        number: body[instruction[1]][1:]
        for number, instruction in enumerate(body)
        if instruction[0] == "neg" and body[instruction[1]][0] == "mul" and uses[instruction[1]] == 1
    }
    shared = Counter(factor for factors in products.values() for factor in set(factors))
    available = {instruction[1] for instruction in body if instruction[0] == "neg"}
    chosen: dict[int, int] = {}
    for number, factors in products.items():
        best = max(factors, key=lambda factor: (factor in available, shared[factor]))
        if best in available or shared[best] > 1:
            chosen[number] = best
    counts = Counter(chosen.values())
    chosen = {number: f for number, f in chosen.items() if f in available or counts[f] > 1}
    if not chosen:
        return body, outputs
    new: list[int] = []
    negated: dict[int, int] = {}
    written: list[tuple[Any, ...]] = []
    for number, (name, *operands) in enumerate(body):
        operands = operands if name in LEAVES else [new[operand] for operand in operands]
        if number in chosen:
            factor = chosen[number]
            first, second = products[number]
            other = second if first == factor else first
            if factor not in negated:
                negated[factor] = len(written)
                written.append(("neg", new[factor]))
            written.append(("mul", negated[factor], new[other]))
        elif name == "neg" and body[number][1] in negated:
            new.append(negated[body[number][1]])
            continue
        else:
            written.append((name, *operands))
            if name == "neg":
                negated[body[number][1]] = len(written) - 1
        new.append(len(written) - 1)
    return written, tuple(tuple(new[value] for value in values) for values in outputs)


def live(body: Body, outputs: Outputs) -> tuple[Body, Outputs]:
    """The program without instructions that no output needs."""
    needed = bytearray(len(body))
    for values in outputs:
        for value in values:
            needed[value] = 1
    for number in range(len(body) - 1, -1, -1):
        if needed[number]:
            instruction = body[number]
            if instruction[0] not in LEAVES:
                for value in instruction[1:]:
                    needed[value] = 1
    new = [0] * len(body)
    kept: list[tuple[Any, ...]] = []
    for number, instruction in enumerate(body):
        if needed[number]:
            new[number] = len(kept)
            if instruction[0] not in LEAVES:
                instruction = (instruction[0], *[new[value] for value in instruction[1:]])
            kept.append(instruction)
    return kept, tuple(tuple(new[value] for value in values) for values in outputs)


def carried(before: Body, after: Body, names: Sequence[tuple[str, int, bool]]) -> dict[int, str]:
    """The names of values before the passes of this module, by the values after them.

    names : a name, the value, and whether it is that value's negative. What is only there with the other sign is called
    `minus_` and the name; what is not there any more has none, and of several names of one value the first stays.
    """
    if not names:
        return {}
    known: dict[tuple[Any, ...], int] = {}
    old, new = signed_keys(before, known), signed_keys(after, known)
    places = {key: number for number, key in reversed(list(enumerate(new))) if after[number][0] not in LEAVES}
    found: dict[int, str] = {}
    for name, value, negative in names:
        key, sign = old[value]
        for called, place in ((name, (key, sign ^ negative)), (f"minus_{name}", (key, not sign ^ negative))):
            if place in places and places[place] not in found:
                found[places[place]] = called
                break
    return found


def signed_keys(body: Body, known: dict[tuple[Any, ...], int]) -> list[tuple[int, bool]]:
    """By value: a number that values which are equal but for their sign share, and whether it is the negative."""
    keys: list[tuple[int, bool]] = []
    for name, *operands in body:
        negative, key = False, (name, *operands)
        if name == "const" and operands[0] == operands[0]:
            negative = copysign(1, operands[0]) < 0
            key = (name, abs(operands[0]))
        elif name == "neg":
            keys.append((keys[operands[0]][0], not keys[operands[0]][1]))
            continue
        elif name in ("mul", "div"):
            pairs = [keys[operand] for operand in operands]
            negative = pairs[0][1] ^ pairs[1][1]
            numbers = [pair[0] for pair in pairs]
            key = (name, *(sorted(numbers) if name == "mul" else numbers))
        elif name not in LEAVES:
            key = (name, *(keys[operand] for operand in operands))
        keys.append((known.setdefault(key, len(known)), negative))
    return keys
