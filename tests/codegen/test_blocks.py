"""Blocks: the form, what it refuses, and its meaning against NumPy code written by hand."""

import doctest

import block_cases
import numpy as np
import pytest
from scipy.special import logsumexp

from codegen.blocks import (
    Block,
    Blocks,
    Buffer,
    add,
    affine,
    counter,
    form,
    gathered,
    interpret,
    reduce,
    size,
    store,
)

n = size("n")


def program(name, arguments, results, body, outputs):
    return block_cases.program(arguments, results, body, outputs, name)


# f = 100 (y - x²)² + (1 - x)², its gradient, and its second derivatives xx, xy, yy
ROSENBROCK = program(
    "rosenbrock",
    "x y",
    "f fx fy hxx hxy hyx hyy",
    [
        ("load", 0, 0),
        ("load", 1, 0),
        ("mul", 0, 0),
        ("sub", 1, 2),
        ("const", 1.0),
        ("sub", 4, 0),
        ("const", 100.0),
        ("mul", 6, 3),
        ("mul", 7, 3),
        ("mul", 5, 5),
        ("add", 8, 9),  # f
        ("const", 200.0),
        ("mul", 11, 3),  # fy
        ("const", -2.0),
        ("mul", 13, 0),
        ("mul", 14, 12),
        ("mul", 13, 5),
        ("add", 15, 16),  # fx
        ("const", 800.0),
        ("mul", 18, 2),
        ("const", -2.0),
        ("mul", 20, 12),
        ("add", 19, 21),
        ("const", 2.0),
        ("add", 22, 23),  # hxx
        ("const", -400.0),
        ("mul", 25, 0),  # hxy
    ],
    (10, 17, 12, 24, 26, 26, 11),
)


def rosenbrock() -> Blocks:
    writes = [reduce("sum", affine("f", 0, 0), 0), add(affine("g", 0, 1)), add(affine("g", 1, 1))]
    writes += [add(affine("H", place, 3)) for place in range(4)]
    block = Block("terms", (n - 1,), ROSENBROCK, (affine("x", 0, 1), affine("x", 1, 1)), tuple(writes))
    buffers = (
        Buffer("x", "input", n),
        Buffer("f", "output", size(1)),
        Buffer("g", "output", n),
        Buffer("H", "output", 3 * n - 2),
    )
    return Blocks("rosenbrock", buffers, (block,))


def rosenbrock_by_hand(x):
    a, b = x[:-1], x[1:]
    d = b - a * a
    g = np.zeros_like(x)
    g[:-1] = -400 * a * d - 2 * (1 - a)
    g[1:] += 200 * d
    H = np.zeros(3 * len(x) - 2)
    H[:-1:3] = 800 * a * a - 400 * d + 2
    H[1::3] = H[2::3] = -400 * a
    H[3::3] += 200
    return np.sum(100 * d * d + (1 - a) ** 2), g, H


def test_sizes_are_polynomials():
    m = size("m")
    assert (n + 1) * (n - 1) - n * n == size(-1)
    assert n * m == m * n
    assert 2 * n - n - n == size(0)
    assert (size(0).constant, size(7).constant, n.constant, (n - n + 3).constant) == (0, 7, None, 3)
    assert (3 * n * m - 2 + m).value({"n": 5, "m": 2}) == 30
    assert str(3 * n - 2 - n * m) == "-m·n + 3n - 2"
    assert (n * m + 1).names == {"n", "m"}
    with pytest.raises(ValueError, match="identifier"):
        size("n+1")


def test_the_form_prints():
    assert not doctest.testmod(form).failed
    assert str(rosenbrock()) == (
        "blocks rosenbrock(n), float64\n"
        "  input x[n]\n"
        "  output f[1]\n"
        "  output g[n]\n"
        "  output H[3n - 2]\n"
        "  terms: i < n - 1\n"
        "    x = x[i]\n"
        "    y = x[i + 1]\n"
        "    f[0] <- sum over i of f\n"
        "    g[i] += fx\n"
        "    g[i + 1] += fy\n"
        "    H[3·i] += hxx\n"
        "    H[3·i + 1] += hxy\n"
        "    H[3·i + 2] += hyx\n"
        "    H[3·i + 3] += hyy"
    )


@pytest.mark.parametrize("length", [1, 2, 9])
def test_the_meaning_of_a_chained_sum(length):
    x = np.random.default_rng(0).normal(size=length)
    found = interpret(rosenbrock(), {"n": length}, {"x": x})
    for name, expected in zip("fgH", rosenbrock_by_hand(x), strict=True):
        np.testing.assert_allclose(found[name].squeeze(), expected, rtol=1e-13, atol=1e-13)


def test_the_meaning_of_every_read_and_write():
    m, k = size("m"), size("k")
    body = program(
        "b", "a v t", "p q s", [("load", 0, 0), ("load", 1, 0), ("load", 2, 0), ("mul", 0, 1), ("add", 3, 2)], (3, 4, 4)
    )
    reads = (affine("a", 0, k, 1), gathered("v", affine("at", 1, 1, 0), 2, 1), counter(0, 1, 10))
    writes = (add(gathered("total", affine("at", 0, 1, 0))), store(affine("turned", 0, 1, m)))
    buffers = (
        Buffer("a", "input", m * k),
        Buffer("v", "input", size(9)),
        Buffer("at", "index", m + 1),
        Buffer("total", "output", size(4)),
        Buffer("turned", "output", m * k),
        Buffer("row", "output", m),
    )
    every = Blocks(
        "every", buffers, (Block("b", (m, k), body, reads, (*writes, reduce("logsumexp", affine("row", 0, 1, 0), 1))),)
    )
    rng = np.random.default_rng(1)
    a, v, at = rng.normal(size=(3, 5)), rng.normal(size=9), np.array([3, 0, 3, 2], np.int32)
    found = interpret(every, {"m": 3, "k": 5}, {"a": a.ravel(), "v": v, "at": at})
    p = a * v[2 * at[1:] + 1][:, None]
    q = p + np.add.outer(np.arange(3), 10 * np.arange(5))
    np.testing.assert_allclose(found["total"], [p[1].sum(), 0, 0, p[0].sum() + p[2].sum()])
    np.testing.assert_allclose(found["turned"], q.T.ravel())
    np.testing.assert_allclose(found["row"], logsumexp(q, axis=1))


def recurrence(reverse: bool) -> Blocks:
    """y[i, t] = a[i, t]·y[i, t - 1] + b[t], with y[i, -1] = c[i]."""
    m = size("m")
    body = program(
        "r", "a b y", "s y", [("load", 0, 0), ("load", 1, 0), ("load", 2, 0), ("mul", 0, 2), ("add", 3, 1)], (4, 4)
    )
    block = Block(
        "r",
        (m, n),
        body,
        (affine("a", 0, n, 1), affine("b", 0, 0, 1)),
        (store(affine("y", 0, n, 1)),),
        (affine("c", 0, 1, 0),),
        1,
        reverse,
    )
    buffers = (
        Buffer("a", "input", m * n),
        Buffer("b", "data", n),
        Buffer("c", "input", m),
        Buffer("y", "output", m * n),
    )
    return Blocks("recurrence", buffers, (block,))


@pytest.mark.parametrize("reverse", [False, True])
def test_the_meaning_of_a_recurrence(reverse):
    rng = np.random.default_rng(2)
    a, b, c = rng.normal(size=(3, 4)), rng.normal(size=4), rng.normal(size=3)
    found = interpret(recurrence(reverse), {"m": 3, "n": 4}, {"a": a.ravel(), "b": b, "c": c})["y"].reshape(3, 4)
    y = c
    for t in reversed(range(4)) if reverse else range(4):
        y = a[:, t] * y + b[t]
        np.testing.assert_allclose(found[:, t], y)


COPY = program("copy", "x", "y", [("load", 0, 0)], (0,))


@pytest.mark.parametrize(
    ("reads", "writes", "more", "message"),
    [
        ([affine("z", 0, 1)], [store(affine("y", 0, 1))], {}, "there is no buffer 'z'"),
        ([affine("at", 0, 1)], [store(affine("y", 0, 1))], {}, "reads indices as numbers"),
        ([affine("x", 0)], [store(affine("y", 0, 1))], {}, "has 0 strides for 1 axes"),
        ([], [store(affine("y", 0, 1))], {}, "1 arguments, but 0 reads and 0 carries"),
        ([affine("x", 0, 1)], [], {}, "1 results, but 0 writes and 0 carries"),
        ([affine("x", 0, 1)], [store(affine("x", 0, 1))], {}, "it writes x, which is input"),
        ([affine("w", 0, 1)], [store(affine("w", 0, 1))], {}, "it reads and writes w"),
        ([affine("x", 0, 1)], [reduce("mean", affine("y", 0, 0), 0)], {}, "kind of a write must be one of"),
        ([affine("x", 0, 1)], [reduce("sum", affine("y", 0, 1), 0)], {}, "depends on an axis that it is reduced over"),
        ([affine("x", 0, 1)], [reduce("sum", affine("y", 0, 0), 1)], {}, "must be increasing and below 1"),
        ([affine("x", 0, 1)], [reduce("sum", affine("y", 0, 0))], {}, "at least one"),
        ([gathered("x", affine("x", 0, 1))], [store(affine("y", 0, 1))], {}, "x is a buffer of numbers"),
        ([affine("x", 0, 1)], [store(affine("y", 0, 1))], {"scan": 0}, "a scan axis needs carries"),
        ([], [store(affine("y", 0, 1))], {"scan": 0, "carries": (affine("x", 0, 1),)}, "1 results, but 1 writes and 1"),
    ],
)
def test_what_has_no_meaning_is_refused(reads, writes, more, message):
    buffers = (
        Buffer("x", "input", n),
        Buffer("at", "index", n),
        Buffer("y", "output", n),
        Buffer("w", "work", n),
    )
    with pytest.raises(ValueError, match=message):
        Blocks("b", buffers, (Block("copy", (n,), COPY, tuple(reads), tuple(writes), **more),))


def test_what_lies_outside_is_refused():
    buffers = (Buffer("x", "input", n), Buffer("y", "output", n))
    shifted = Blocks("b", buffers, (Block("copy", (n,), COPY, (affine("x", 1, 1),), (store(affine("y", 0, 1)),)),))
    with pytest.raises(IndexError, match=r"x\[i \+ 1\] reaches from element 1 to 3, outside \[0, 3\)"):
        interpret(shifted, {"n": 3}, {"x": np.zeros(3)})
