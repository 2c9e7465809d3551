"""Routines: native code does what the same Python function does, and what it cannot do is refused by name."""

from __future__ import annotations

import numpy as np
import pytest

from codegen.routine import Ints, Library, Record

LIMIT = 7


class Heap(Record):
    items: Ints
    count: int
    pushes: int

    def __init__(self, room: int) -> None:
        self.items = np.zeros(room, np.int64)
        self.count = self.pushes = 0


def triangle(n: int) -> int:
    """Loops with every kind of jump."""
    s = 0
    for i in range(n):
        if (i & 1 == 1 and i != 5) or i == 4:
            continue
        if not i < 40 or s > 10_000:
            break
        s += i if i > LIMIT else -i
    k = n
    while True:
        k -= 3
        if k == 2:
            pass
        elif k < -LIMIT:
            return s ^ k
        else:
            s = s * 3 - (k >> 1) + (k << 2) | ~k & 1


def push(heap: Heap, value: int) -> int:
    place = heap.count
    heap.count = heap.count + 1
    heap.pushes += 1
    items = heap.items
    while place > 0 and items[(place - 1) >> 1] > value:
        items[place] = items[(place - 1) >> 1]
        place = (place - 1) >> 1
    items[place] = value
    return place


def pop(heap: Heap) -> int:
    least = heap.items[0]
    heap.count -= 1
    value = heap.items[heap.count]
    place = 0
    while 2 * place + 1 < heap.count:
        child = 2 * place + 1
        if child + 1 < heap.count and heap.items[child + 1] < heap.items[child]:
            child += 1
        if heap.items[child] >= value:
            break
        heap.items[place] = heap.items[child]
        place = child
    heap.items[place] = value
    return least


def sort(heap: Heap, values: Ints, count: int) -> int:
    for i in range(count):
        push(heap, values[i])
    for i in range(count - 1, -1, -1):
        values[i] = pop(heap)
    return triangle(count)


LIBRARY = Library([triangle, push, pop, sort])


@pytest.mark.parametrize("n", [0, 1, 2, 5, 6, 41, 100])
def test_jumps_and_arithmetic(n: int) -> None:
    def wrapped(value: int) -> int:
        return (value + (1 << 63)) % (1 << 64) - (1 << 63)

    assert LIBRARY(triangle, n) == wrapped(triangle(n))


def test_records_and_arrays() -> None:
    values = np.random.default_rng(0).integers(-100, 100, 57)
    native, python = values.copy(), values.copy()
    first, second = Heap(57), Heap(57)
    assert LIBRARY(sort, first, native, 57) == sort(second, python, 57)
    assert native.tolist() == python.tolist() == sorted(values.tolist(), reverse=True)
    assert (first.count, first.pushes) == (second.count, second.pushes) == (0, 57)
    assert first.items.tolist() == second.items.tolist()


def floating(x: int) -> int:
    return x / 2


def comprehension(x: int) -> int:
    return [x][0]


def unknown(x: int) -> int:
    return missing + x  # noqa: F821 (that is the point)


def untyped(x) -> int:
    return x


def mixed(x: Ints) -> int:
    x = 1
    return x + 1


def generator(x: int) -> int:
    for i in [x]:
        return i
    return 0


@pytest.mark.parametrize("routine", [floating, comprehension, unknown, untyped, mixed, generator])
def test_what_a_routine_cannot_have(routine) -> None:
    with pytest.raises(TypeError, match=f"routine {routine.__name__}, line [0-9]+: "):
        assert Library([routine]).ir
