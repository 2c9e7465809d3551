"""Rolled functions against the same functions written out, for every kind of derivative."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hybrid as hy
from codegen.blocks import native
from hybrid.evaluate import evaluate as hy_evaluate

random = np.random.default_rng(7)
n = 23
INDEX, OTHER = random.integers(0, n, 40), random.integers(0, n, 40)
DATA = random.normal(size=(5, n))
POINTS = random.normal(size=(3, 18))


def recurrence(x: Any, a: Any, start: Any) -> Any:
    first, second = hy.scan(lambda s, u: (s[0] + 0.1 * s[1] * u, s[1] - 0.1 * np.sin(s[0]) * a), (start * 2, 1.0), x)
    return np.sum(first * second)


def mixture(alpha: Any, mean: Any, q: Any) -> Any:
    z = np.exp(q)[:, :, None] * (POINTS[:, None, :] - mean[:, :, None])
    terms = alpha[:, None] - 0.5 * np.sum(z * z, axis=0) + np.sum(q, axis=0)[:, None]
    return np.sum(hy.logsumexp(terms, axis=0)) - POINTS.shape[1] * hy.logsumexp(alpha)


def in_place(x: Any) -> Any:
    total = np.zeros_like(x)
    total += x**2
    total *= 3
    return total[1:] * x[:-1]


def shifted(x: Any) -> Any:
    """A sum over neighbours of what was joined before: the template reads what another block stores."""
    padded = np.concatenate([x[:1], x, x[-1:]])
    return np.sum((padded[2:] - 2 * padded[1:-1] + padded[:-2]) ** 2)


CASES: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "rosenbrock": (lambda x: np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2), {"x": (n,)}),
    "linear": (lambda x: DATA @ x, {"x": (n,)}),
    "two sums": (lambda x, a: np.sum(np.sin(x) * a) + 3 * np.mean(x**2) - a**2, {"x": (n,), "a": ()}),
    "softmax": (lambda x: np.exp(x - np.max(x)) / np.sum(np.exp(x - np.max(x))), {"x": (n,)}),
    "gather": (lambda v: np.sum(v[INDEX] * np.cos(v[OTHER])), {"v": (n,)}),
    "gathered rows": (lambda v: v[INDEX] * np.cos(v[OTHER, ::-1]), {"v": (n, 3)}),
    "blocks": (lambda v, w: np.concatenate([v[1:] * w[:-1], w**2, v[::-2]]), {"v": (n,), "w": (n,)}),
    "columns": (lambda x: np.sum((DATA - x[:, None] * DATA**2) ** 2, axis=0), {"x": (5,)}),
    "network": (lambda w, v: np.sum((v @ np.tanh(w @ DATA[0])) ** 2), {"w": (5, n), "v": (3, 5)}),
    "outer": (lambda x, y: np.sum(np.outer(x, y) * np.sin(x)[:, None]), {"x": (18,), "y": (19,)}),
    "maxima": (lambda x: np.sum(np.max(x, axis=1) ** 2), {"x": (4, 20)}),
    "minima": (lambda x: np.min(x, axis=0), {"x": (19, 3)}),
    "log-sum-exp": (lambda x: np.sum(hy.logsumexp(x * DATA[0, :20, None], axis=1)), {"x": (20,)}),
    "branches": (lambda x: np.sum(np.where(x > 0, np.sqrt(x), x**3)), {"x": (n,)}),
    "stacked": (lambda x: np.stack([x[1:], x[:-1] ** 2]), {"x": (n,)}),
    "stack inside": (lambda x: np.sum(np.stack([x[1:], x[:-1]]) ** 3), {"x": (n,)}),
    "shifted": (shifted, {"x": (n,)}),
    "quadratic forms": (lambda x, q: np.einsum("ni,ij,nj->n", x, q, x), {"x": (12, 3), "q": (3, 3)}),
    "norms": (lambda x: np.linalg.norm(x.reshape(20, 3), axis=1), {"x": (60,)}),
    "transposed": (lambda x: np.sum((x.T.reshape(-1) * DATA.reshape(-1)) ** 2), {"x": (n, 5)}),
    "nested": (lambda x: np.exp(np.sum(x**2) / 10) * np.sum(np.sin(x)), {"x": (n,)}),
    "running sum": (lambda x: np.sum(np.sin(np.cumsum(x))), {"x": (n,)}),
    "running rows": (lambda x: np.cumsum(x * x, axis=1) * 2, {"x": (4, 9)}),
    "running product": (lambda x: np.cumprod(1 + x) ** 2, {"x": (n,)}),
    "recurrence": (recurrence, {"x": (n,), "a": (), "start": ()}),
    "backwards": (lambda x, a: hy.scan(lambda s, u: s / 2 + u * a, a, x, reverse=True), {"x": (9, 4), "a": (4,)}),
    "scatter": (lambda v, w: hy.scatter_add(n, INDEX, v[OTHER] * w) ** 2, {"v": (n,), "w": (40,)}),
    "balance": (
        lambda v, w: np.concatenate([hy.scatter_add(n, INDEX, v[OTHER] * np.sin(w)) - v, v[1:] * v[:-1]]),
        {"v": (n,), "w": (40,)},
    ),
    "scattered rows": (lambda v: hy.scatter_add(n, INDEX, v[OTHER] ** 2), {"v": (n, 2)}),
    "stated": (lambda x: hy.sum_over(lambda i: (x[i + 1] - x[i] ** 2) ** 2, n - 1), {"x": (n,)}),
    "mapped": (lambda x: hy.map_over(lambda i, j: x[i] * np.exp(x[j]), INDEX, OTHER), {"x": (n,)}),
    "mixture": (mixture, {"alpha": (4,), "mean": (3, 4), "q": (3, 4)}),
    "rolled over": (lambda x: np.sum(np.roll(x, 1) * x**2), {"x": (n,)}),
    "differences": (lambda x: np.diff(x, n=2) ** 2, {"x": (n,)}),
    "masked": (lambda x: np.sum(x[np.arange(n) % 3 == 0] ** 3), {"x": (n,)}),
    "spread": (lambda x: np.var(x) + np.std(x), {"x": (n,)}),
    "grid": (lambda u: np.sum((u[1:, 1:-1] - u[:-1, 1:-1]) ** 2 * u[1:, 2:]), {"u": (8, 7)}),
    "gram": (lambda u: (u.T @ u)[:, 0] * u[0], {"u": (20, 5)}),
    "table": (lambda u, v: (u[:, None] + v) ** 2, {"u": (18,), "v": (7,)}),
    "in place": (in_place, {"x": (n,)}),
    "padded": (lambda x: np.pad(x, 2)[1:-1] * 2.0, {"x": (n,)}),
    "clipped": (lambda x: np.clip(x, -0.5, DATA[0]) * np.sign(x), {"x": (n,)}),
    "identity": (lambda x: x, {"x": (n,)}),
    "without its argument": (lambda x: np.ones(5), {"x": (n,)}),
    "a list": (lambda x: [np.sum(x), x[0] * x[1], np.max(x)], {"x": (n,)}),
    "an exponent": (lambda x, p: np.sum(np.abs(x) ** p), {"x": (n,), "p": ()}),
    "methods": (lambda x: (x - x.mean(axis=0, keepdims=True)) / x.std(axis=0), {"x": (20, 3)}),
    "largest so far": (lambda x: np.maximum.accumulate(x), {"x": (n,)}),
    "products": (lambda x: np.prod(x, axis=0) + np.prod(x[:4], axis=1)[0], {"x": (20, 3)}),
    "recurrences of sums": (
        lambda x: np.cumsum(np.cumsum(x)) * hy.scan(lambda s, u: s * 0.9 + u, np.sum(x), x),
        {"x": (n,)},
    ),
    "distances": (lambda x: np.sum(np.sqrt(np.sum((x[:, None] - x) ** 2, axis=2) + 1)), {"x": (9, 3)}),
    "diagonal": (lambda x: np.diagonal(x) * x[0], {"x": (18, 18)}),
    "tiled": (lambda x: np.tile(x, 2) * np.repeat(x, 2), {"x": (n,)}),
}
STRUCTURE = "not sparse by structure"


def both(name: str) -> tuple[Any, Any, list[Any]]:
    """The function rolled and written out, and arguments."""
    body, shapes = CASES[name]
    rolled = hy.function(rolled=True, **shapes)(body)
    flat = hy.function(rolled=False, **shapes)(body)
    numbers = np.random.default_rng(len(name))
    return (
        rolled,
        flat,
        [numbers.uniform(0.1, 0.9, shape) * numbers.choice([-1, 1], shape) for shape in shapes.values()],
    )


def close(ours: Any, theirs: Any, what: str) -> None:
    scale = np.max(np.abs(theirs), initial=1e-30)
    np.testing.assert_allclose(ours / scale, theirs / scale, rtol=0, atol=2e-12, err_msg=what)


NATIVE = (
    "rosenbrock",
    "balance",
    "blocks",
    "recurrence",
    "mixture",
    "maxima",
    "log-sum-exp",
    "grid",
    "network",
    "in place",
    "methods",
    "largest so far",
    "an exponent",
)


@pytest.mark.parametrize("name", NATIVE)
def test_native(name: str) -> None:
    """Native code of a function and its derivatives together, which the numeric tape has checked."""
    rolled, _, arrays = both(name)
    derived = [rolled, rolled.vjp(), rolled.jvp()]
    derived += [rolled.gradient(), rolled.hvp()] if rolled.shape == () else []
    found = sparse_or_none(rolled.jacobian)
    derived += [found] if found is not None else []
    kernel = hy.compile(*derived)
    assert kernel.certificate.passed
    checked = len(kernel.certificate.results) + sum("unchecked" in note for note in kernel.certificate.notes)
    assert checked == len(derived)
    numbers = np.random.default_rng(3)
    extra = [numbers.normal(size=a.shape) for a in kernel.arguments[len(arrays) :]]
    named = {a.name: v for a, v in zip(kernel.arguments, [*arrays, *extra], strict=True)}
    results = kernel(**named)
    for function, result in zip(derived, results, strict=True):
        own = [named[a.name] for a in function.arguments]
        close(result, function.reference(*own), function.name)
    again = kernel(**named, threads=2)
    assert all(np.array_equal(one, other) for one, other in zip(results, again, strict=True))


@pytest.mark.parametrize("name", CASES)
def test_values_and_products(name: str) -> None:
    rolled, flat, arrays = both(name)
    close(rolled.reference(*arrays), value(flat, arrays), "value")
    jacobian = matrix(flat, arrays)
    numbers = np.random.default_rng(1)
    bar = numbers.normal(size=rolled.shape)
    dots = [numbers.normal(size=np.shape(array)) for array in arrays]
    direction = np.concatenate([np.ravel(dot) for dot in dots])
    close(np.ravel(rolled.vjp().reference(*arrays, bar)), np.ravel(bar) @ jacobian, "vjp")
    close(np.ravel(rolled.jvp().reference(*arrays, *dots)), jacobian @ direction, "jvp")
    if rolled.shape == ():
        close(np.ravel(rolled.gradient().reference(*arrays)), jacobian[0], "gradient")
        hessian = matrix(flat.gradient(), arrays)
        close(np.ravel(rolled.hvp().reference(*arrays, *dots)), hessian @ direction, "hvp")


@pytest.mark.parametrize("name", CASES)
def test_matrices(name: str) -> None:
    rolled, flat, arrays = both(name)
    jacobian = matrix(flat, arrays)
    ours = sparse_or_none(rolled.jacobian)
    if ours is not None:
        close(ours.pattern.array(ours.reference(*arrays)), jacobian, "jacobian")
        close(rolled.jacobian().reference(*arrays).reshape(jacobian.shape), jacobian, "dense jacobian")
    if rolled.shape != ():
        return
    hessian = matrix(flat.gradient(), arrays)
    lower = sparse_or_none(rolled.hessian, triangle="lower")
    if lower is None:
        return
    close(lower.pattern.array(lower.reference(*arrays)), np.tril(hessian), "lower hessian")
    full = rolled.hessian(sparse=True)
    close(full.pattern.array(full.reference(*arrays)), hessian, "full hessian")
    close(rolled.hessian().reference(*arrays).reshape(hessian.shape), hessian, "dense hessian")


def sparse_or_none(derivative: Any, **options: Any) -> Any:
    """A sparse derivative, or None where its structure is not sparse, which must be told."""
    try:
        return derivative(sparse=True, **options)
    except hy.UnsupportedError as error:
        if STRUCTURE not in str(error):
            raise
        return None


def value(flat: Any, arrays: list[Any]) -> Any:
    variables = {
        node: number
        for argument, array in zip(flat.arguments, arrays, strict=True)
        for node, number in zip(argument.nodes, np.ravel(array).tolist(), strict=True)
    }
    return np.array(hy_evaluate(flat.graph, flat.nodes, variables)).reshape(flat.shape)


def matrix(flat: Any, arrays: list[Any]) -> Any:
    """The dense Jacobian of a function that is written out, all arguments flattened."""
    jacobian = flat.jacobian()
    return value(jacobian, arrays).reshape(flat.size, -1)


@pytest.mark.parametrize("steps", [40, 9000])
def test_sparse_derivatives_through_joined_parts(steps: int) -> None:
    """Trapezoidal collocation of a pendulum: the dynamics are stacked, then read at two times each."""

    def defects(state: Any, push: Any) -> Any:
        rate = np.stack([state[:, 1], -np.sin(state[:, 0]) - 0.1 * state[:, 1] ** 3 + push], axis=1)
        return state[1:] - state[:-1] - 0.05 * (rate[1:] + rate[:-1])

    shapes: dict[str, Any] = {"state": (steps, 2), "push": (steps,)}
    rolled = hy.function(rolled=True, **shapes)(defects)
    flat = hy.function(rolled=False, **shapes)(defects)
    numbers = np.random.default_rng(5)
    arrays = [numbers.normal(size=shape) for shape in shapes.values()]
    jacobian = rolled.jacobian(sparse=True)
    assert jacobian.pattern.nnz == 2 * (steps - 1) * 5
    if steps > 40:  # beyond what NumPy handles in one piece
        assert hy.compile(rolled, jacobian).certificate.passed
        return
    close(jacobian.pattern.array(jacobian.reference(*arrays)), matrix(flat, arrays), "jacobian")
    weights = numbers.normal(size=rolled.shape)
    cost = hy.function(rolled=True, **shapes)(lambda state, push: np.sum(state[-1] ** 2) + np.sum(push**2))
    lagrangian = hy.lagrangian(cost, rolled)
    hessian = lagrangian.hessian(wrt=["state", "push"], sparse=True, triangle="lower")
    plain = hy.lagrangian(hy.function(rolled=False, **shapes)(cost.__wrapped__), flat)
    dense = plain.hessian(wrt=["state", "push"])
    point = [*arrays, 0.7, weights]
    close(hessian.pattern.array(hessian.reference(*point)), np.tril(value(dense, point)), "lagrangian")


def test_refusals_name_the_operation() -> None:
    big = hy.function(rolled=True, x=(3000,))
    with pytest.raises(hy.UnsupportedError, match=r"sort"):
        big(lambda x: np.sum(np.sort(x)))
    with pytest.raises(hy.UnsupportedError, match="indexing with traced values"):
        big(lambda x: x[x > 0])
    with pytest.raises(hy.UnsupportedError, match="in place"):
        big(lambda x: in_place_argument(x))
    with pytest.raises(hy.InputTypeError, match=r"np\.where"):
        big(lambda x: x if x[0] > 0 else -x)
    with pytest.raises(hy.UnsupportedError, match="picked out"):
        big(lambda x: hy.scan(lambda s, u: s[0] + u, np.zeros(2), x[:, None] * np.ones(2)))
    f = big(lambda x: np.sum(x**2))
    assert isinstance(f, hy.Function)
    with pytest.raises(hy.UnsupportedError, match="rolled=False"):
        f.sympy()
    with pytest.raises(hy.UnsupportedError, match="3,000"):
        big(lambda x: np.outer(x, x)).jacobian()
    with pytest.raises(hy.ArgumentError, match="missing: x"):
        f()
    with pytest.raises(hy.ShapeError, match=r"x of shape \(\.\.\., 3000\)"):
        f(np.ones(2999))
    symbol = hy.symbols("t")[0] if isinstance(hy.symbols("t"), tuple) else hy.symbols("t")
    with pytest.raises(hy.UnsupportedError, match="compile it by itself"):
        hy.compile(f, hy.Function([symbol], symbol**2, name="square"))


def in_place_argument(x: Any) -> Any:
    x += 1.0
    return x


def test_what_is_small_or_cannot_roll_is_written_out() -> None:
    assert not hy.function(x=(100,))(lambda x: np.sum(x**2)).rolled
    assert hy.function(x=(5000,))(lambda x: np.sum(np.sin(x) * x)).rolled
    assert not hy.function(x=(2500,))(lambda x: np.linalg.det(x[:4].reshape(2, 2))).rolled


def test_views_that_numpy_would_share_are_refused_in_place() -> None:
    def wrong(x: Any) -> Any:
        y = x * 2
        head = y[:5]
        y *= 3
        return head

    with pytest.raises(hy.UnsupportedError, match="shares elements"):
        hy.function(rolled=True, x=(50,))(wrong)


def test_batches_and_outputs() -> None:
    f = hy.function(rolled=True, x=(60,))(lambda x: np.sum(np.exp(x) * x))
    gradient = f.gradient()
    x = np.random.default_rng(0).normal(size=(2, 3, 60))
    assert f(x).shape == (2, 3)
    np.testing.assert_allclose(gradient(x), np.exp(x) * (1 + x), rtol=1e-14)
    out = np.empty(60)
    assert gradient.kernel(x[0, 0], out=out) is not None
    np.testing.assert_array_equal(out, gradient(x[0, 0]))
    with pytest.raises(hy.ShapeError, match="out="):
        gradient.kernel(x[0, 0], out=np.empty(61))


def test_kernels_of_rolled_and_small_functions_and_fixed_arrays() -> None:
    large = hy.function(rolled=True, x=(40,))(lambda x: np.sum(np.exp(x) * x))
    small = hy.function(rolled=False, x=(40,))(lambda x: np.stack([x[0] * x[1], np.sum(x)]))
    jacobian = small.jacobian(sparse=True)
    kernel = hy.compile(large, jacobian, small, tier="quick")
    x = np.random.default_rng(0).normal(size=40)
    step = kernel.bind({"x": x})
    first, entries, values = step()
    np.testing.assert_allclose(first, np.sum(np.exp(x) * x), rtol=1e-14)
    np.testing.assert_allclose(jacobian.pattern.array(entries), matrix(small, [x]))
    x *= 2
    assert step()[2] is values
    np.testing.assert_allclose(values, [x[0] * x[1], np.sum(x)], rtol=1e-14)
    with pytest.raises(hy.ShapeError, match="x has shape"):
        kernel.bind({"x": x[:3]})


def test_batches_broadcast_and_write_where_they_are_told() -> None:
    rng = np.random.default_rng(7)

    @hy.function(rolled=True, x=(30,), s=(), a=(4, 5))
    def f(x: Any, s: Any, a: Any) -> Any:
        return np.sum((x[1:] - x[:-1] ** 2) ** 2) * s + np.sum(a * a)

    kernel = hy.compile(f, f.gradient(wrt="x"), f.hessian(wrt="x", sparse=True), f)
    x, s, a = rng.normal(size=(7, 3, 30)), rng.normal(size=3), rng.normal(size=(7, 1, 5, 4)).swapaxes(-1, -2)
    results = kernel(x, s, a)
    for point in np.ndindex(7, 3):
        for whole, alone in zip(results, kernel(x[point], s[point[1]], a[point[0], 0]), strict=True):
            np.testing.assert_array_equal(whole[point], alone)
    out = tuple(np.empty((3, 7, *f.shape)).swapaxes(0, 1) for f in kernel.formulas)
    assert kernel(x, s, a, out=out, threads=3)[0] is out[0]
    step = kernel.bind([x, s, np.ascontiguousarray(a)])
    for one, two, three in zip(results, out, step(), strict=True):
        np.testing.assert_array_equal(one, two)
        np.testing.assert_array_equal(one, three)
    assert [array.shape for array in kernel(x[:, :0], 1.0, a)] == [(7, 0, *f.shape) for f in kernel.formulas]
    with pytest.raises(hy.ShapeError, match="do not broadcast"):
        kernel(x[0], s[:2], a[0, 0])
    with pytest.raises(hy.ArgumentError, match="shares memory"):
        kernel(x[0], 1.0, a[0, 0], out=(np.empty(3), x[0], np.empty((3, *kernel.formulas[2].shape)), np.empty(3)))


def test_data_are_replaced_without_compiling(monkeypatch: pytest.MonkeyPatch) -> None:
    def flows(v: Any, start: Any, end: Any, weight: Any) -> Any:
        flow = weight * np.sin(v[start] - v[end])
        return hy.scatter_add(len(v), start, flow) - hy.scatter_add(len(v), end, flow)

    numbers = np.random.default_rng(4)

    def grid(nodes: int, lines: int) -> dict[str, Any]:
        ends = numbers.integers(0, nodes, (2, lines))
        return {"v": (nodes,), "start": ends[0], "end": ends[1], "weight": numbers.normal(size=lines)}

    small, large = grid(60, 110), grid(90, 200)
    f = hy.function(rolled=True, **small)(flows)
    kernel = hy.compile(f, f.jacobian(sparse=True))
    f(np.zeros(60))
    monkeypatch.setattr(native, "optimised", None)  # LLVM's passes, without which nothing new can be compiled
    other = kernel.with_data(**large)
    assert other.certificate.passed
    v = numbers.normal(size=90)
    wanted = flows(v, large["start"], large["end"], large["weight"])
    np.testing.assert_allclose(other(v)[0], wanted, atol=1e-13)
    np.testing.assert_allclose(f.with_data(**large)(v), wanted, atol=1e-13)
    with pytest.raises(hy.ArgumentError, match="neither data nor an argument 'w'"):
        kernel.with_data(w=v)
    with pytest.raises(hy.UnsupportedError, match="in the place of shapes"):
        hy.function(rolled=True, x=(50,))(lambda x: np.sum(x)).with_data(x=(60,))


def test_few_parameters_on_much_data_stay_rolled():
    data = np.random.default_rng(0).normal(size=(2000, 300))

    @hy.function(w=(300,))
    def loss(w):
        return np.mean((data @ w) ** 2)

    assert loss.rolled
    w = np.linspace(-1, 1, 300)
    np.testing.assert_allclose(loss.gradient()(w), 2 / 2000 * data.T @ (data @ w), rtol=1e-11)


def test_what_a_rolled_kernel_has_not_is_said():
    @hy.function(rolled=True, x=(50,))
    def f(x):
        return np.sum(np.sin(x[1:] * x[:-1]))

    kernel = hy.compile(f)
    with pytest.raises(hy.UnsupportedError, match="is a rolled kernel and has no ufunc: trace its functions with"):
        kernel.ufunc  # noqa: B018 - that is what is tested
    with pytest.raises(hy.UnsupportedError, match="call the function itself with tensors"):
        kernel(hy.tape.tensor(np.ones(50), requires_grad=True))
    with pytest.raises(AttributeError, match="no attribute 'colour'"):
        kernel.colour  # noqa: B018 - that is what is tested
