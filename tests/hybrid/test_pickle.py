"""Functions and kernels go through pickle, cloudpickle and copy, with what they share."""

import copy
import multiprocessing
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import sympy as sp

import hybrid as hy

x, y = hy.symbols("x y")
smooth = hy.Function([x, y], sp.exp(x * y) + sp.sin(x) * sp.pi + sp.Rational(1, 3), name="smooth")


@hy.function(q=(3,), t=())
def traced(q, t):
    """Documentation."""
    return np.where(q > 0, np.sin(q) * t, q**2).sum()


@hy.function(A=(2, 2), b=(2,))
def solved(A, b):
    return np.linalg.solve(A, b)


FUNCTIONS = [
    smooth,
    smooth.hessian(),
    traced,
    traced.gradient(),
    solved.jacobian(wrt="b"),
    traced.hessian(wrt="q").simplify(),
]
SAMPLES = {"x": 0.5, "y": 0.25, "q": [0.5, -1.0, 2.0], "t": 1.5, "A": [[2.0, 1.0], [1.0, 3.0]], "b": [1.0, 2.0]}


def values(function):
    return function(**{argument.name: SAMPLES[argument.name] for argument in function.arguments})


ways = [
    *[pytest.param(lambda f, n=n: pickle.loads(pickle.dumps(f, n)), id=f"protocol {n}") for n in (2, 4, 5)],
    pytest.param(copy.copy, id="copy"),
    pytest.param(copy.deepcopy, id="deepcopy"),
    pytest.param(lambda f: pytest.importorskip("cloudpickle").loads(pytest.importorskip("cloudpickle").dumps(f)),
                 id="cloudpickle"),
]  # fmt: skip


@pytest.mark.parametrize("way", ways)
@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.name)
def test_functions(function, way):
    again = way(function)
    assert again is not function
    assert (again.name, again.shape, again.nodes) == (function.name, function.shape, function.nodes)
    assert str(again) == str(function)
    assert np.array_equal(values(again), values(function))
    if again.shape == ():
        assert np.array_equal(values(again.gradient()), values(function.gradient()))
    assert again.program().operations == function.program().operations


def test_what_is_shared_stays_shared():
    f, g, H = pickle.loads(pickle.dumps((smooth, smooth.gradient(), smooth.hessian())))
    assert f.graph is g.graph is H.graph
    assert g.derivation.of is f
    size = len(f.graph)
    f.gradient()
    assert len(f.graph) == size  # its nodes are found again, not made anew
    kernel = hy.compile(f, g, H)
    assert kernel.operations == hy.compile(smooth, smooth.gradient(), smooth.hessian()).operations


def test_a_traced_function_keeps_its_code():
    again = pickle.loads(pickle.dumps(traced))
    assert again.source.function is traced.source.function
    assert again.__wrapped__ is traced.__wrapped__
    assert again.__doc__ == "Documentation."
    tensor = hy.tape.tensor([0.5, -1.0, 2.0], requires_grad=True)
    again(tensor, 1.5).backward()
    assert np.allclose(tensor.grad.numpy(), traced.gradient(wrt="q")(SAMPLES["q"], 1.5))


def test_local_code_is_for_cloudpickle_alone():
    cloudpickle = pytest.importorskip("cloudpickle")
    local = hy.function(q=(3,))(lambda q: np.sum(q**2))
    with pytest.raises((pickle.PicklingError, AttributeError), match=r"lambda"):
        pickle.dumps(local)
    again = cloudpickle.loads(cloudpickle.dumps(local.gradient()))
    assert again([1.0, 2.0, 3.0]).tolist() == [2.0, 4.0, 6.0]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_kernels(dtype):
    kernel = hy.compile(smooth, smooth.gradient(), name="both", rules="bitwise", dtype=dtype)
    again = pickle.loads(pickle.dumps(kernel))
    assert (again.name, again.rules, str(again.program)) == ("both", "bitwise", str(kernel.program))
    assert again.certificate == kernel.certificate
    assert again.ufunc.types == kernel.ufunc.types
    a = np.linspace(0, 1, 9, dtype=dtype)
    for one, other in zip(again(a, a), kernel(a, a), strict=True):
        assert np.array_equal(one, other)
    assert copy.copy(kernel) is kernel
    assert copy.deepcopy([kernel])[0] is kernel
    unchecked = hy.compile(smooth, verify=False)
    assert pickle.loads(pickle.dumps(unchecked)).certificate is None


def test_a_kernel_of_another_machine_is_checked_again():
    kernel = hy.compile(smooth)
    build, arguments = kernel.__reduce__()
    again = build(*arguments[:5], "another machine", kernel.certificate)
    assert again.certificate is not kernel.certificate
    assert again.certificate.passed


SCRIPT = """
import pickle, sys
kernel, function = pickle.load(open(sys.argv[1], "rb"))
print(kernel(0.5, 0.25)[0], function([0.5, -1.0, 2.0], 1.5))
"""


def test_another_process(tmp_path):
    kernel = hy.compile(smooth, smooth.gradient())
    path = tmp_path / "pickled"
    path.write_bytes(pickle.dumps((kernel, traced)))
    root = Path(hy.__file__).parents[1]
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(root), str(Path(__file__).parent)])}
    command = [sys.executable, "-c", SCRIPT, path]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert [float(word) for word in done.stdout.split()] == [kernel(0.5, 0.25)[0], traced(SAMPLES["q"], 1.5)]


def test_a_pool_of_processes():
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:  # what it calls is the library's: this file need not be found by another process
        got = pool.starmap_async(hy.Function.__call__, [(smooth, 0.5, 0.25)]).get(120)
    assert got == [smooth(0.5, 0.25)]


def add_squares(q):
    return np.array([np.sum(q**2), q[0]])


def slopes_of_squares(q):
    return np.array([[2 * q[0], 2 * q[1]], [1.0, 0.0]])


def product_of_squares(q, bar):
    return bar @ slopes_of_squares(q)


@pytest.mark.parametrize("how", [{"jacobian": slopes_of_squares}, {"vjp": product_of_squares}])
def test_opaque_functions_are_found_by_name(how):
    f = hy.opaque(add_squares, {"q": (2,)}, **how)
    again, slopes = pickle.loads(pickle.dumps((f, f.jacobian())))
    q = np.array([0.5, 2.0])
    assert np.array_equal(again(q), add_squares(q))
    assert np.allclose(slopes(q), slopes_of_squares(q))
    assert np.allclose(again.jacobian()(q), slopes_of_squares(q))


def test_code_without_a_name_is_refused_with_a_reason(monkeypatch):
    monkeypatch.delitem(sys.modules, "cloudpickle", raising=False)
    for function, what in (
        (
            hy.opaque(lambda q: q.sum(), {"q": (2,)}, name="total"),
            "total runs Python code .* a lambda: define it",
        ),
        (hy.function(q=(2,))(lambda q: q.sum()), "a lambda"),
    ):
        with pytest.raises(pickle.PicklingError, match=what):
            pickle.dumps(function)


def test_reducing_kernels():
    kernel = hy.compile(smooth, smooth.gradient(), reduce="sum", shared=["y"])
    again = pickle.loads(pickle.dumps(kernel))
    rows = np.linspace(0, 1, 1000)
    for one, other in zip(kernel(rows, 0.5), again(rows, 0.5), strict=True):
        assert np.array_equal(one, other)
    assert repr(again) == repr(kernel)
    assert again.certificate == kernel.certificate
    assert copy.deepcopy(kernel) is kernel
