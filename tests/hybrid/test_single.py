"""float32 kernels: chosen as NumPy chooses loops, checked against the float64 code, exported."""

import dataclasses

import numpy as np
import pytest
import sympy as sp

import codegen
import hybrid as hy
from hybrid import compiling

x, y, z = hy.symbols("x y z")
f = hy.Function([x, y, z], sp.exp(x * y) + sp.sin(z) * x + x / 10, name="f")


@pytest.fixture(scope="module")
def kernel():
    return hy.compile(f, f.gradient(), f.hessian(), dtype=np.float32)


def test_numpy_chooses_the_type(kernel):
    assert kernel.ufunc.types == ["fff->fff", "ddd->ddd"]
    values = [np.linspace(0, 1, 4, dtype=kind) for kind in ("f2", "f4", "f8", "i1", "i4", "?")]
    values += [1.0, 2, True, np.float32(0.5), np.float64(0.5), np.int8(1), np.linspace(0, 1, 4)[:1]]
    for a in values:
        for b in values:
            expected = np.dtype(np.float32 if np.can_cast(np.result_type(a, b), np.float32) else np.float64)
            for results in (kernel(a, b, b), kernel(a, b, b, threads=1), kernel.ufunc(a, b, b)):
                assert {r.dtype for r in results} == {expected}, (a, b)
    a = np.linspace(0, 1, 4)
    assert kernel(a, a, a, dtype=np.float32)[0].dtype == np.float32
    single = [array.astype(np.float32) for array in (a, a, a)]
    assert np.array_equal(kernel(a, a, a, dtype="f4")[2], kernel(*single)[2])
    assert np.array_equal(kernel(*single, dtype=float)[2], kernel(*[s.astype(float) for s in single])[2])
    out = np.zeros(4, np.float32)
    assert kernel(*single, out=(out, None, None))[0] is out


def test_values_and_bits(kernel):
    arrays = np.random.default_rng(0).uniform(-1, 1, (3, 1000)).astype(np.float32)
    wide = kernel(*arrays.astype(float))
    for result, exact in zip(kernel(*arrays), wide, strict=True):
        assert np.allclose(result, exact, rtol=0, atol=2e-6)
    for result, exact in zip(kernel(*arrays, threads=3), kernel(*arrays, threads=1), strict=True):
        assert np.array_equal(result, exact)
    small = kernel(*arrays[:, 7])
    assert all(np.array_equal(one, many[7]) for one, many in zip(small, kernel(*arrays), strict=True))
    assert kernel.point(0.5, 0.25, 1.0)[0] == kernel(0.5, 0.25, 1.0)[0]  # floats are float64
    step = kernel.bind(list(arrays))
    assert all(r.dtype == np.float32 for r in step())
    assert np.array_equal(step()[2], kernel(*arrays)[2])
    with pytest.raises(hy.InputTypeError, match="y is bound to a float64 array"):
        kernel.bind([arrays[0].astype(float), arrays[1], arrays[2]])


def test_certificate(kernel):
    assert "float32 code within" in str(kernel.certificate)
    assert kernel.certificate.passed


@hy.function(q=(4,))
def hard(q):
    norm = np.sqrt(np.sum(q**2))
    return np.where(q > 0, np.log(np.abs(q) + 1.0), np.tanh(q)) / norm + np.expm1(q) * np.arctan2(q[0], q[1])


def test_many_operations_are_checked():
    kernel = hy.compile(hard, hard.jacobian(), dtype="float32")
    q = np.random.default_rng(1).uniform(-2, 2, (50, 4)).astype(np.float32)
    for found, exact in zip(kernel(q), kernel(q.astype(float)), strict=True):
        assert found.dtype == np.float32
        assert np.allclose(found, exact, rtol=2e-5, atol=2e-5)


def test_wrong_float32_code_is_found(monkeypatch):
    """An error of one part in a thousand in the float32 code alone."""
    honest = codegen.compile

    def planted(program, target=None, **options):
        if target is not None and target.element == "float32":
            body = [("const", 0.1001) if line == ("const", 0.1) else line for line in program.body]
            assert body != program.body
            program = dataclasses.replace(program, body=body)
        return honest(program, target, **options)

    monkeypatch.setattr(compiling.codegen, "compile", planted)
    slope = hy.Function([x], sp.sin(x) * 0.1 + x, name="slope")
    with pytest.raises(hy.VerificationError, match="float32 code of slope is wrong: entry 0"):
        hy.compile(slope, dtype=np.float32)


def test_what_is_refused():
    for dtype in (np.float16, np.longdouble, int, complex):
        with pytest.raises(hy.InputTypeError, match="dtype must be float64 or float32"):
            hy.compile(f, dtype=dtype)
    with pytest.raises(hy.ArgumentError, match="does not go with reduce="):
        hy.compile(f, dtype=np.float32, reduce="sum")


def test_export(kernel, tmp_path):
    kernel.export(tmp_path, formats=["o", "h"], dtype=np.float32)
    text = (tmp_path / "f.h").read_text()
    assert "All numbers are float32 (float)." in text
    assert "const float *" in text
    assert "double" not in text


@pytest.mark.parametrize("function", [hy.jv, hy.iv])
def test_bessel_functions_of_every_order(function):
    orders = (0, 1, 4, 9, 12)
    f = hy.Function([x], [function(n, x) for n in orders])
    points = np.linspace(-40, 40, 401, dtype=np.float32)
    single = hy.compile(f, dtype=np.float32)(points)
    wide = np.stack([function(n, points.astype(float)) for n in orders], axis=-1)
    scale = np.maximum(np.abs(wide), 0.1 * np.exp(np.abs(points) if function is hy.iv else 0.0 * points)[:, None])
    assert np.max(np.abs(single - wide) / scale) < 2e-5


def test_implicit_functions_settle_in_float32():
    @hy.function(E=(), M=(), e=())
    def kepler(E, M, e):
        return E - e * np.sin(E) - M

    solution = hy.implicit(kepler, "E", start=lambda M, e: M + e * np.sin(M))
    kernel = hy.compile(solution, solution.gradient(), dtype=np.float32)
    M, e = np.random.default_rng(0).uniform([[-3], [0]], [[3], [0.9]], (2, 2000)).astype(np.float32)
    (single, _), (wide, _) = kernel(M, e), kernel(M.astype(float), e.astype(float))
    assert np.max(np.abs(single - wide)) < 2e-5
