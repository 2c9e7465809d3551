"""The graph itself: depth, memory, freeing, order of the sweep, and independence of the symbolic side."""

import ast
import gc
import pathlib
import tracemalloc
import weakref

import numpy as np
import pytest

from hybrid import tape

FOLDER = pathlib.Path(tape.__file__).parent
ALLOWED = ("numpy", "hybrid.tape", "hybrid.errors", "hybrid.special", "hybrid.special_values")
STANDARD = {
    "__future__",
    "builtins",
    "collections",
    "heapq",
    "contextlib",
    "contextvars",
    "functools",
    "itertools",
    "math",
    "operator",
    "types",
    "typing",
    "warnings",
    "weakref",
}


def imports_of(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: relative import"
            yield from ([node.module] if node.module != "hybrid" else [f"hybrid.{alias.name}" for alias in node.names])


@pytest.mark.parametrize("path", [*sorted(FOLDER.glob("*.py")), FOLDER.parent / "special.py"], ids=lambda p: p.name)
def test_the_tape_knows_nothing_of_the_symbolic_side(path):
    for name in imports_of(path):
        assert name.split(".")[0] in STANDARD or any(name == a or name.startswith(a + ".") for a in ALLOWED), (
            path.name,
            name,
        )


def chain(count, step):
    x = tape.tensor(0.5, requires_grad=True)
    y = x
    for _ in range(count):
        y = step(y)
    return x, y


STEPS = {
    "sin": tape.sin,
    "times number": lambda y: y * 1.0001,
    "squared": lambda y: y * y,
    "tanh": tape.tanh,
    "plus": lambda y: y + 0.1,
}


@pytest.mark.parametrize("name", STEPS)
def test_memory_per_node(name):
    """At most 400 bytes a node beyond the data, while recording and during the sweep."""
    count = 5_000
    tracemalloc.start()
    try:
        x, y = chain(count, STEPS[name])
        recorded = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        y.backward()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert recorded / count < 350
    assert peak / count < 400
    assert x.grad is not None


@pytest.mark.parametrize("count", [100_000, pytest.param(1_000_000, marks=pytest.mark.long)])
def test_deep_graphs_need_no_recursion(count):
    x, y = chain(count, lambda t: -t)
    y.backward()
    assert x.grad.item() == 1.0


def test_second_derivatives_of_deep_chains():
    x, y = chain(20_000, lambda t: t * 1.00001)
    (g,) = tape.grad(y * y, x, create_graph=True)
    assert tape.grad(g, x)[0].item() == pytest.approx(2 * 1.00001**40_000, rel=1e-9)


def test_a_graph_is_freed_with_its_outputs():
    gc.collect()
    gc.disable()
    try:
        x = tape.tensor(np.arange(1.0, 7).reshape(2, 3), requires_grad=True)
        m = x @ x.T + np.eye(2)
        values, vectors = tape.eigh(m)
        y = (values.sum() + tape.einsum("ij,ij", vectors, vectors) + tape.solve(m, x).sum() + x.exp()[0].max()).tanh()
        y = y * 1.0
        y[...] = y * 2
        y.register_hook(lambda g: g)
        y.retain_grad()
        (g,) = tape.grad(y, x, create_graph=True)
        tape.jacobian(lambda t: t.exp() * t, x)
        tape.hessian(lambda t: (t**3).sum(), x)
        alive = [weakref.ref(t) for t in (m, values, y, g, y.grad_fn, g.grad_fn)]
        g.sum().backward()
        del m, values, vectors, y, g
        assert [r() for r in alive] == [None] * len(alive)
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_the_pass_frees_what_it_has_used():
    x = tape.tensor(np.ones(3), requires_grad=True)
    middle = x.exp()
    array = weakref.ref(middle._data)
    total = (middle * middle).sum()
    del middle
    assert array() is not None
    total.backward()
    assert array() is None


def test_a_detached_tensor_keeps_no_graph_alive():
    x = tape.tensor([1.0, 2.0], requires_grad=True)
    y = x.exp()
    node = weakref.ref(y.grad_fn)
    kept = y.detach()
    del y
    assert node() is None
    assert kept.tolist() == np.exp([1.0, 2.0]).tolist()


def test_grad_holds_no_adjoint_longer_than_needed():
    x = tape.tensor(np.ones(100_000), requires_grad=True)
    y = x
    for _ in range(20):
        y = y + 1.0
    tracemalloc.start()
    try:
        tape.grad((y * y).sum(), x)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 6 * x._data.nbytes


def test_a_node_is_visited_once_and_after_all_its_users():
    x = tape.tensor(2.0, requires_grad=True)
    visits = []
    y = x * 3
    y.register_hook(lambda g: visits.append(g.item()))
    z = y
    for _ in range(10):
        z = z + y * z
    z.backward()
    assert len(visits) == 1


def test_wide_and_diamond_graphs():
    x = tape.tensor(1.0, requires_grad=True)
    y = x
    for _ in range(60):
        y = y + y
    y.backward()
    assert x.grad.item() == 2.0**60
    x.grad = None
    total = tape.stack([x * k for k in range(1000)]).sum()
    total.backward()
    assert x.grad.item() == 999 * 1000 / 2


def test_random_programs_agree_with_differences_in_every_mode():
    """Gradient against differences, and Hessian against differences of the gradient."""
    random = np.random.default_rng(5)
    unary = [
        tape.sin,
        tape.tanh,
        tape.exp,
        tape.atan,
        tape.erf,
        tape.sigmoid,
        lambda t: t * t,
        lambda t: t.cumsum(0),
        lambda t: t[::-1] * 2,
    ]
    binary = [
        tape.add,
        tape.mul,
        tape.sub,
        tape.hypot,
        tape.maximum,
        lambda a, b: a / (1 + b * b),
        lambda a, b: tape.where(a > b, a, b * b),
    ]

    def program(plan):
        def function(x):
            values = [x * 0.5, tape.cos(x)]
            for kind, i, j, k in plan:
                if kind:
                    values.append(unary[k % len(unary)](values[i % len(values)]) * 0.7)
                else:
                    values.append(binary[k % len(binary)](values[i % len(values)], values[j % len(values)]))
            return tape.tanh(sum(values[-3:])).sum()

        return function

    for trial in range(25):
        plan = random.integers(0, [2, 50, 50, 50], (12, 4)).tolist()
        x = tape.tensor(random.uniform(0.2, 1.0, 3), requires_grad=True)
        assert tape.gradcheck(program(plan), x), (trial, plan)
        assert tape.gradgradcheck(program(plan), x, atol=1e-4), (trial, plan)
