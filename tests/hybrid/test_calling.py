"""Kernels are called as NumPy's own ufuncs are, and in the other ways that leave NumPy out."""

import ctypes
import itertools

import numpy as np
import pytest
import sympy as sp

import hybrid as hy

x, y, z = hy.symbols("x y z")
f = hy.Function([x, y, z], sp.exp(x * y) + sp.sin(z) * x, name="f")


@hy.function(q=(3,), t=())
def g(q, t):
    return np.sin(q) * t + q[0] * q


@pytest.fixture(scope="module")
def plain():
    return hy.compile(f)


@pytest.fixture(scope="module")
def kernel():
    return hy.compile(f, f.gradient())


@pytest.fixture(scope="module")
def arrays():
    return hy.compile(g)


def numpy_f(x, y, z, **options):
    return np.frompyfunc(lambda x, y, z: f.kernel.point(x, y, z), 3, 1)(x, y, z, **options)


def test_where(plain, kernel, arrays):
    a, b, c = np.random.default_rng(0).uniform(-1, 1, (3, 4, 5))
    mask = a > 0
    value, gradient = kernel(a, b, c)
    outs = np.full((4, 5), 7.0), np.full((4, 5, 3), 7.0)
    assert kernel(a, b, c, where=mask, out=outs)[1] is outs[1]
    assert np.array_equal(outs[0], np.where(mask, value, 7.0))
    assert np.array_equal(outs[1], np.where(mask[..., None], gradient, 7.0))
    assert np.array_equal(plain(a, b, c, where=mask[:, :1], out=np.ones((4, 5))), np.where(mask[:, :1], value, 1.0))
    assert np.array_equal(plain(a, b, c, where=mask)[mask], value[mask])
    assert plain(a[0, 0], b[0, 0], c[0, 0], where=mask).shape == (4, 5)  # the mask broadcasts, as in NumPy
    q = np.random.default_rng(1).uniform(-1, 1, (5, 3))
    assert np.array_equal(
        arrays(q, 2.0, where=[True, False] * 2 + [True], out=np.zeros((5, 3)))[[0, 2, 4]], arrays(q, 2.0)[[0, 2, 4]]
    )
    with pytest.raises(hy.InputTypeError, match="where= takes booleans, got int64"):
        plain(a, b, c, where=np.ones((4, 5), int))
    with pytest.raises(hy.ShapeError, match=r"shape \(5,\), expected \(4, 5\)"):
        plain(a[0], b[0], c[0], where=mask, out=np.zeros(5))


def test_dtype_and_casting(plain, kernel):
    a = np.linspace(0, 1, 5)
    for dtype in (np.float16, np.float32, "f8", np.longdouble):
        assert plain(a, a, a, dtype=dtype).dtype == dtype
    for dtype in (complex, int, bool, object, "U3"):
        with pytest.raises(hy.InputTypeError, match="dtype must be a real floating-point type"):
            plain(a, a, a, dtype=dtype)
    with pytest.raises(hy.InputTypeError, match="'float33' is no type of NumPy"):
        plain(a, a, a, dtype="float33")
    out = np.zeros(5, np.float32)
    assert plain(a, a, a, out=out) is out
    assert np.array_equal(out, plain(a, a, a).astype(np.float32))
    with pytest.raises(hy.InputTypeError, match="under casting 'safe', such as a float64 array, got float32"):
        plain(a, a, a, out=out, casting="safe")
    with pytest.raises(
        hy.InputTypeError, match="argument y of type int64 is not cast to float64 under casting 'equiv'"
    ):
        plain(a, a.astype(int), a, casting="equiv")
    assert np.array_equal(plain(a, a.astype(int), a, casting="safe"), plain(a, a.astype(int), a))
    with pytest.raises(hy.InputTypeError, match="complex"):
        plain(a, a, a, out=np.zeros(5, complex))
    with pytest.raises(hy.ArgumentError, match="casting must be one of 'no', 'equiv'"):
        plain(a, a, a, casting="maybe")


def test_the_same_memory_twice_in_out(kernel):
    a = np.linspace(0, 1, 5)
    both = hy.compile(f, hy.Function([x, y, z], x + y + z, name="s"))
    out = np.zeros(5)
    for pair in ((out, out), (out, out[::-1]), (out[:], out[:])):
        with pytest.raises(hy.ArgumentError, match="out= for s shares memory with another array of out="):
            both(a, a, a, out=pair)
    whole = np.zeros((5, 2))
    columns = both(a, a, a, out=(whole[:, 0], whole[:, 1]))  # side by side is not the same
    assert np.array_equal(whole[:, 1], 3 * a)
    assert columns[0].base is whole
    b = a.copy()
    assert np.array_equal(both(b, b, b, out=(b, out))[0], both(a, a, a)[0])  # an argument may be a result


def test_axes(arrays):
    q = np.random.default_rng(0).uniform(-1, 1, (4, 3, 5))
    expected = arrays(np.moveaxis(q, 1, -1), 2.0)
    assert np.array_equal(arrays(q, 2.0, axes=[1, (), -1]), expected)
    assert np.array_equal(arrays(q, 2.0, axes=[(1,), ()]), expected)
    assert np.array_equal(arrays(q, 2.0, axes=[(1,), (), (0,)]), np.moveaxis(expected, -1, 0))
    assert np.array_equal(arrays(q, 2.0, axes=[(1,), (), (0,)]), arrays.ufunc(q, 2.0, axes=[(1,), (), (0,)]))
    out = np.zeros((3, 4, 5))
    assert arrays(q, 2.0, axes=[(1,), (), (0,)], out=out) is out
    assert np.array_equal(out, np.moveaxis(expected, -1, 0))
    with pytest.raises(hy.ArgumentError, match=r"a tuple of axes per operand, \[1, 0, 1\]"):
        arrays(q, 2.0, axes=[(0, 1), ()])
    with pytest.raises(hy.ShapeError, match="do not fit an array"):
        arrays(q, 2.0, axes=[(7,), ()])


@pytest.mark.parametrize("axes", [5, "a", [None], [(0,), ("a",)], [(1.5,), ()], [(0,)]])
def test_axes_that_are_none(arrays, axes):
    with pytest.raises(hy.ArgumentError, match=r"a tuple of axes per operand, .* a whole number"):
        arrays(np.ones((2, 3)), 1.0, axes=axes)


@pytest.mark.parametrize("threads", ["a", 2.5, True, 0, -1, [1]])
def test_threads_are_a_positive_whole_number(plain, threads):
    for kernel in (plain, hy.compile(f, reduce="sum", verify=False)):
        with pytest.raises(hy.ArgumentError, match="threads must be at least 1, a whole number"):
            kernel(np.ones(3), 1.0, 2.0, threads=threads)


def test_results_are_cast_as_the_caller_allows(plain, kernel):
    a = np.linspace(0, 4, 5)
    value, gradient = kernel(a, 1.0, 1.0)
    whole = np.zeros(5, np.int64)
    results = kernel(a, 1.0, 1.0, out=(whole, None), casting="unsafe")
    assert results[0] is whole
    assert np.array_equal(whole, value.astype(np.int64))
    assert np.array_equal(results[1], gradient)
    tall = np.zeros((3, 5), np.int8)
    assert np.array_equal(plain(a, 1.0, 1.0, out=tall, casting="unsafe"), np.tile(value.astype(np.int8), (3, 1)))
    plain(np.full(5, np.nan), 1.0, 1.0, out=whole, casting="unsafe")  # without a warning
    with pytest.raises(hy.ShapeError, match=r"expected \(5,\)"):
        plain(a, 1.0, 1.0, out=np.zeros((5, 3), int), casting="unsafe")


def test_outputs_that_overlap_themselves(plain, arrays):
    a = np.linspace(0, 1, 4)
    view = np.lib.stride_tricks.as_strided
    for out in (view(np.zeros(1), (4,), (0,)), view(np.zeros(8), (4,), (4,))):
        with pytest.raises(hy.ArgumentError, match="several elements at one place"):
            plain(a, a, a, out=out)
    with pytest.raises(hy.ArgumentError, match="overlaps itself"):
        plain.bind([a, a, a], view(np.zeros(1), (4,), (0,)))
    # three points of strides that lie between each other, but nowhere on each other
    out = view(np.zeros(12), (2, 3), (40, 24))
    assert np.array_equal(plain(a[:2, None], a[:3], 0.5, out=out), plain(a[:2, None], a[:3], 0.5))
    assert plain(a[:0], a[:0], a[:0], out=np.zeros((4, 0)).T[:, 0]).size == 0


def test_point_says_how_it_takes_arrays():
    @hy.function(A=(2, 2))
    def square(A):
        return A @ A

    point = hy.compile(square).point
    assert point([1.0, 2.0, 3.0, 4.0]) == (7.0, 10.0, 15.0, 22.0)
    for wrong in (np.asfortranarray([[1.0, 2.0], [3.0, 4.0]]), [[1.0, 2.0], [3.0, 4.0]], np.ones((2, 2), np.float32)):
        with pytest.raises(ValueError, match="C-contiguous buffer of float64, or its numbers in C order in a flat seq"):
            point(wrong)


class Units:
    """An array that decides itself what ufuncs do with it."""

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        return ufunc, method, inputs, options


class NoUfuncs:
    __array_ufunc__ = None


class Subclass(np.ndarray):
    pass


def test_subclasses_and_overrides(plain, kernel):
    unit, a = Units(), np.ones(3)
    assert plain(a, unit, 1.0) == (plain.ufunc, "__call__", (a, unit, 1.0), {"casting": "same_kind"})
    assert plain(1.0, y=unit, z=2.0, where=False)[3]["where"] is False
    assert plain(1.0, 1.0, 1.0, out=unit)[3]["out"] == (unit,)
    with pytest.raises(TypeError, match="NoUfuncs"):
        plain(1.0, NoUfuncs(), 1.0)
    assert type(plain(a.view(Subclass), a, a)) is np.ndarray
    assert type(plain.ufunc(a.view(Subclass), a, a)) is Subclass


def test_quick_and_general_way_agree(plain, kernel, arrays):
    values = (0.5, 2, np.float64(0.25), np.array(0.75), np.array([0.5, -1.0]), np.array([[0.25], [3.0]]))
    for triple in itertools.product(values, repeat=3):
        quick, general = kernel(*triple), kernel(*triple, threads=1)
        for one, other in zip(quick, general, strict=True):
            assert type(one) is type(other)
            assert np.array_equal(one, other)
    assert type(plain(0.5, 1.0, 2.0)) is np.float64
    assert plain(np.ones(3), np.ones((2, 1)), 1.0).shape == (2, 3)
    for wrong, words in (
        ((1.0, 2.0), "missing: z"),
        ((np.ones(2), np.ones(3), 1.0), "broadcast"),
        ((1.0, 10**400, 1.0), "argument y"),
        ((1.0, None, 1.0), "argument y"),
    ):
        with pytest.raises(hy.errors.HybridError, match=words):
            plain(*wrong)
    with pytest.raises(hy.ShapeError, match=r"expects q of shape \(..., 3\), got \(2,\)"):
        arrays(np.ones(2), 1.0)
    with pytest.raises(hy.ShapeError, match=r"expects q of shape \(..., 3\), got \(\)"):
        arrays(1.0, 1.0)


def test_more_operands_than_numpy_allows():
    many = hy.symbols(" ".join(f"v{i}" for i in range(70)))
    sums = hy.Function(list(many), sum(s**2 for s in many), name="sums")
    kernel = hy.compile(sums, sums.gradient())
    v = np.random.default_rng(0).uniform(-1, 1, (70, 4))
    value, gradient = kernel(*v)
    assert np.allclose(value, (v**2).sum(0))
    assert np.array_equal(gradient, 2 * v.T)
    assert kernel.point(*v[:, 0].tolist())[0] == value[0]
    mask = np.array([True, False, True, True])
    assert np.array_equal(kernel(*v, where=mask, out=(np.zeros(4), np.zeros((4, 70))))[1], 2 * v.T * mask[:, None])
    for refused in (lambda: kernel.address, lambda: kernel.bind(list(v)), lambda: kernel.low_level_callable()):
        with pytest.raises(hy.ArgumentError, match="70 arguments and 2 functions, which lie side by side"):
            refused()


def test_arguments_without_elements():
    @hy.function(q=(0,), t=())
    def empty(q, t):
        return np.sin(t) + np.sum(q)

    kernel = hy.compile(empty, empty.gradient(wrt="t"))
    value, slope = kernel(np.zeros((4, 0)), 0.5)
    assert np.array_equal(value, np.full(4, np.sin(0.5)))
    assert np.array_equal(slope, np.full(4, np.cos(0.5)))
    assert kernel(np.zeros((4, 1, 0)), np.zeros(3))[0].shape == (4, 3)
    assert empty.gradient(wrt="q")(np.zeros((4, 0)), 0.5).shape == (4, 0)
    with pytest.raises(hy.ShapeError, match=r"expects q of shape \(..., 0\), got \(4,\)"):
        kernel(np.zeros(4), 0.5)

    @hy.function(q=(2, 0))
    def nothing(q):
        return np.sum(q) + 3.0

    assert nothing(np.zeros((2, 0))) == 3.0
    assert np.array_equal(nothing(np.zeros((5, 2, 0))), np.full(5, 3.0))


def test_point(plain, kernel, arrays):
    value, gradient = kernel.point(0.3, 0.4, 0.5)
    assert value == plain(0.3, 0.4, 0.5)
    assert isinstance(value, float)
    assert gradient == tuple(kernel(0.3, 0.4, 0.5)[1].tolist())
    assert arrays.point(np.array([1.0, 2.0, 3.0]), 0.5) == tuple(arrays([1.0, 2.0, 3.0], 0.5).tolist())
    assert kernel.point is kernel.point
    with pytest.raises(TypeError, match="f takes 3 numbers, got 2"):
        kernel.point(1.0, 2.0)


def test_bind(kernel, arrays):
    a, b, c = np.random.default_rng(0).uniform(-1, 1, (3, 6))
    step = kernel.bind([a, b, c])
    for _ in range(3):
        value, gradient = step()
        expected = kernel(a, b, c)
        assert np.array_equal(value, expected[0])
        assert np.array_equal(gradient, expected[1])
        a += 0.125
    out = np.zeros((6, 3))
    step = arrays.bind({"t": np.array(2.0), "q": np.ones((6, 3))}, out)
    assert step() is out
    assert kernel.bind([a, b, c], (None, out))()[1] is out
    step()
    assert np.array_equal(out, arrays(np.ones((6, 3)), 2.0))
    refused = [
        (lambda: kernel.bind([a, b]), hy.ArgumentError, "missing: z"),
        (lambda: kernel.bind([a, b, 1.0]), hy.InputTypeError, "z is bound to a float64 array"),
        (lambda: kernel.bind([a, b, c[:4]]), hy.ShapeError, "broadcast"),
        (lambda: arrays.bind([a, b]), hy.ShapeError, r"array of shape \(..., 3\), got \(6,\)"),
        (lambda: kernel.bind([a, b, c], (a, out)), hy.ArgumentError, "overlaps"),
        (lambda: kernel.bind([a, b, c], out), hy.ArgumentError, "2 results, but out= holds 1"),
        (lambda: kernel.bind(None), hy.ArgumentError, "bind takes a list or a dict of arrays, got NoneType"),
        (lambda: kernel.bind([a, b, np.ma.array(c, mask=c > 0)]), hy.InputTypeError, "got MaskedArray of float64"),
    ]
    for call, kind, words in refused:
        with pytest.raises(kind, match=words):
            call()


def test_address(kernel):
    doubles = ctypes.POINTER(ctypes.c_double)
    function = ctypes.CFUNCTYPE(None, *[doubles] * 5)(kernel.address)
    numbers, value, gradient = (ctypes.c_double * 3)(0.3, 0.4, 0.5), (ctypes.c_double * 1)(), (ctypes.c_double * 3)()
    one, two, three = (ctypes.cast(ctypes.addressof(numbers) + 8 * k, doubles) for k in range(3))
    function(one, two, three, value, gradient)
    assert (value[0], tuple(gradient)) == kernel.point(0.3, 0.4, 0.5)
    batch = ctypes.CFUNCTYPE(None, ctypes.c_int64, *[ctypes.c_void_p] * 5)(kernel.batch_address)
    a, results = np.linspace(0, 1, 7), (np.zeros(7), np.zeros((7, 3)))
    batch(7, *[array.ctypes.data for array in (a, a, a, *results)])
    assert np.array_equal(results[1], kernel(a, a, a)[1])


def test_low_level_callables():
    integrate, ndimage = pytest.importorskip("scipy.integrate"), pytest.importorskip("scipy.ndimage")
    bell = hy.compile(hy.Function([x], sp.exp(-(x**2)), name="bell")).low_level_callable()
    assert integrate.quad(bell, -np.inf, np.inf)[0] == pytest.approx(np.sqrt(np.pi), rel=1e-12)
    plane = hy.compile(hy.Function([x, y, z], x * y**2 + z, name="plane"))
    assert integrate.nquad(plane.low_level_callable(), [[0, 1]] * 3)[0] == pytest.approx(1 / 6 + 0.5, rel=1e-12)
    line = plane.low_level_callable("double (double, void *)", parameters=[2.0, 3.0])
    assert integrate.quad(line, 0, 1)[0] == pytest.approx(5.0, rel=1e-12)
    assert integrate.quad(plane.low_level_callable(), 0, 1, args=(2.0, 3.0))[0] == pytest.approx(5.0, rel=1e-12)
    square = plane.low_level_callable(parameters=[3.0])
    assert integrate.nquad(square, [[0, 1], [0, 1]])[0] == pytest.approx(1 / 6 + 3, rel=1e-12)

    @hy.function(window=(9,), level=())
    def filtered(window, level):
        return np.sqrt(np.sum(window**2)) + level

    image = np.random.default_rng(0).uniform(0, 1, (7, 8))
    native = hy.compile(filtered).low_level_callable("int (double *, intptr_t, double *, void *)", [0.5])
    expected = ndimage.generic_filter(image, lambda w: np.sqrt(np.sum(w**2)) + 0.5, size=3)
    assert np.allclose(ndimage.generic_filter(image, native, size=3), expected, rtol=1e-14)
    with pytest.raises(RuntimeError):
        ndimage.generic_filter(image, native, size=5)  # 25 numbers for a window of 9
    for arguments, words in (
        ({"signature": "float (float)"}, "is not one of 'double"),
        ({"signature": "double (double)", "parameters": [1.0, 2.0]}, "parameters need a signature that ends in"),
        ({"parameters": [1.0] * 4}, "would give it -1"),
    ):
        with pytest.raises(hy.ArgumentError, match=words):
            plane.low_level_callable(**arguments)
    with pytest.raises(hy.ArgumentError, match=r"one float64 result of shape \(\)"):
        hy.compile(f.gradient()).low_level_callable()


def test_arguments_called_like_options():
    names = sp.symbols("where axes dtype out")
    odd = hy.Function(list(names), names[0] + 2 * names[1] + 3 * names[2] + 4 * names[3], name="odd")
    assert odd(1.0, 2.0, 3.0, 4.0) == 30.0
    assert odd(where=1.0, axes=2.0, dtype=3.0, out=4.0) == 30.0
    assert odd(1.0, 2.0, 3.0, out=np.array([4.0, 5.0])).tolist() == [30.0, 34.0]
    assert odd(where=np.array([True, False]), axes=1.0, dtype=1.0, out=1.0).tolist() == [10.0, 9.0]
