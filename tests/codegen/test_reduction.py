"""Reductions over points: every kind, every shape of batch, every width, against exact sums; the same bits always."""

import dataclasses
import math

import numpy as np
import pytest
from scipy.special import logsumexp

from codegen import Array, Program, host
from codegen import body as body_module
from codegen.reducer import compile_reduction
from codegen.reduction import CHUNK, GROUP, Term, plan, tiles, uniform_part

# a·x, exp(a)·x + y; sin of the latter; the latter; a[1] and a constant, which are results as they are
MIXED = Program(
    "mixed",
    (Array("a", (2,)), Array("x", (3,)), Array("y")),
    (Array("r", (2,)), Array("m"), Array("l"), Array("c", (2,))),
    [
        ("load", 0, 0),
        ("load", 1, 0),
        ("mul", 0, 1),
        ("load", 2, 0),
        ("exp", 0),
        ("load", 1, 2),
        ("mul", 4, 5),
        ("add", 6, 3),
        ("sin", 7),
        ("load", 0, 1),
        ("const", 0.1),
    ],
    ((2, 7), (8,), (7,), (9, 10)),
)
KINDS = ("sum", "max", "logsumexp", "sum")


def arrays(n: int, shared: tuple[int, ...] = (), seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [
        rng.normal(size=array.shape if k in shared else (n, *array.shape)) for k, array in enumerate(MIXED.arguments)
    ]


def rows(n: int, given: list[np.ndarray]) -> list[np.ndarray]:
    a, x, y = (np.broadcast_to(g, (n, *array.shape)) for g, array in zip(given, MIXED.arguments, strict=True))
    longer = np.exp(a[:, 0]) * x[:, 2] + y
    return [a[:, 0] * x[:, 0], longer, np.sin(longer), longer, a[:, 1], np.full(n, 0.1)]


@pytest.mark.parametrize("shared", [(), (0,), (0, 1), (2,)])
@pytest.mark.parametrize("width", [1, 2, 4, 8])
def test_every_kind_at_every_width(width, shared):
    reducer = compile_reduction(MIXED, KINDS, shared, dataclasses.replace(host(), width=width))
    for n in (1, 3, 7, 8, 9, 64, GROUP * width - 1, GROUP * width + 1, CHUNK, 2 * CHUNK + 5):
        given = arrays(n, shared, n)
        sums, largest, exponential, constants = reducer(given, threads=1)
        values = rows(n, given)
        got = [*sums.sum(axis=-1), *constants.sum(axis=-1)]
        for total, row in zip(got, [values[0], values[1], values[4], values[5]], strict=True):
            assert abs(total - math.fsum(row)) <= GROUP * 2.0**-53 * math.fsum(abs(row))
        assert largest == pytest.approx(values[2].max(), rel=1e-15, abs=1e-15)
        assert exponential == pytest.approx(logsumexp(values[3]), rel=1e-14, abs=1e-14)


def test_no_points():
    sums, largest, exponential, _ = compile_reduction(MIXED, KINDS)(arrays(0))
    assert (sums == 0).all()
    assert largest == exponential == -np.inf


@pytest.mark.parametrize("n", [CHUNK - 1, 5 * CHUNK + 77])
def test_threads_strides_and_shared_arguments_keep_every_bit(n):
    base = arrays(n, (0,))
    every = [np.broadcast_to(base[0], (n, 2)).copy(), base[1], base[2]]
    wide = np.zeros((n, 3, 2))
    wide[..., 0] = base[1]
    reversed_y = base[2][::-1].copy()[::-1]
    expected = compile_reduction(MIXED, KINDS, (0,))(base, threads=1)
    varied = [
        compile_reduction(MIXED, KINDS, (0,))(base, threads=3),
        compile_reduction(MIXED, KINDS)(every),
        compile_reduction(MIXED, KINDS)([every[0], wide[..., 0], reversed_y]),
    ]
    for results in varied:
        for a, b in zip(results, expected, strict=True):
            assert a.tobytes() == b.tobytes()


SUM = Program("total", (Array("x"),), (Array("r"),), [("load", 0, 0)], ((0,),))


def test_a_long_sum_is_compensated():
    x = np.full(10**6, 0.1)
    x[1::2] = 1e10
    x[::1000] = -1e16
    ((high, low),) = compile_reduction(SUM, ["sum"])([x])
    assert abs(high + low - math.fsum(x)) <= GROUP * 2.0**-53 * math.fsum(abs(x))
    # Two large numbers that cancel and a million small ones, which plain addition loses.
    x = np.full(10**6, 0.1)
    x[0], x[-1] = 1e17, -1e17
    ((high, low),) = compile_reduction(SUM, ["sum"])([x])
    exact = math.fsum(x)
    assert abs(high + low - exact) < 10
    assert abs(np.cumsum(x)[-1] - exact) > 1e3


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 5, 517, CHUNK + 3])
def test_nan_and_infinity(odd, place):
    x = np.linspace(-1, 1, CHUNK + 9)
    x[place] = odd
    for kind, expected in (("sum", x.sum()), ("max", x.max()), ("logsumexp", logsumexp(x))):
        (got,) = compile_reduction(SUM, [kind])([x])
        got = got.sum() if kind == "sum" else got
        assert np.isnan(got) if np.isnan(expected) else got == pytest.approx(expected, rel=1e-15), kind


def test_opposite_infinities_and_log_sum_exp_of_nothing_but_zeros():
    ((high, low),) = compile_reduction(SUM, ["sum"])([np.array([np.inf, 1.0, -np.inf])])
    assert np.isnan(high + low)
    (nothing,) = compile_reduction(SUM, ["logsumexp"])([np.full(1000, -np.inf)])
    assert nothing == -np.inf
    (huge,) = compile_reduction(SUM, ["logsumexp"])([np.array([1e5, 1e5 - 1, -1e300])])
    assert huge == pytest.approx(1e5 + math.log1p(math.exp(-1)), rel=1e-15)


def test_a_long_body_is_cut(monkeypatch):
    monkeypatch.setattr(body_module, "WHOLE", 2)
    monkeypatch.setattr(body_module, "PART", 2)
    given = arrays(777)
    cut = compile_reduction(MIXED, KINDS)(given)
    monkeypatch.undo()
    for a, b in zip(cut, compile_reduction(MIXED, KINDS)(given), strict=True):
        assert a.tobytes() == b.tobytes()


def test_what_depends_on_shared_arguments_alone_is_computed_once():
    first, rest = uniform_part(MIXED, [0])
    assert first is not None
    assert [name for name, *_ in first.body if name != "load"] == ["exp"]
    assert rest.counts()["exp"] == 0
    assert rest.arguments[-1] == Array("uniform", (1,))
    assert uniform_part(MIXED, []) == (None, MIXED)


def test_uniform_masks_are_made_again():
    body = [("load", 0, 0), ("load", 1, 0), ("exp", 0), ("const", 1.0), ("gt", 2, 3), ("select", 4, 1, 3)]
    program = Program("masked", (Array("a"), Array("x")), (Array("r"),), body, ((5,),))
    x = np.arange(10.0)
    for a in (-1.0, 1.0):
        (pair,) = compile_reduction(program, ["sum"], [0])([np.array(a), x])
        assert pair.sum() == (x.sum() if a > 0 else 10)


def test_products_are_not_rounded_before_they_are_added():
    planned = plan(MIXED, KINDS, [], fma=True)
    assert [len(term.factors) for term in planned.terms["sum"]] == [2, 1, 1, 1]


def test_tiles_share_factors():
    terms = [Term((("row", i), ("row", 16 + j)), 16 * i + j) for i in range(16) for j in range(16)]
    found = tiles(terms, 24)
    assert sorted(number for tile in found for number in tile) == list(range(256))
    reads = sum(len({factor for number in tile for factor in terms[number].factors}) for tile in found)
    assert reads < 256 / 2  # each product alone reads two


def test_refusals():
    with pytest.raises(ValueError, match="one of sum, max, logsumexp, got 'median'"):
        compile_reduction(SUM, ["median"])
    with pytest.raises(ValueError, match="nothing to reduce over"):
        compile_reduction(SUM, ["sum"], [0])
