"""Plots: what is drawn where, on which axes, and what is refused."""

import sys

import numpy as np
import pytest
import sympy as sp

import hybrid as hy
from hybrid.errors import ArgumentError, InputTypeError

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("agg")
plt = pytest.importorskip("matplotlib.pyplot")

x, y = hy.symbols("x y")


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def saddle():
    return hy.Function([x, y], x**2 - y**2 + 3 * x, name="saddle")


def colours(ax):
    return [line.get_color() for line in ax.lines]


def test_axes_are_taken_and_returned() -> None:
    _, ax = plt.subplots()
    kernel = hy.compile(saddle(), saddle().gradient())
    assert saddle().plot_sparsity(ax=ax) is ax
    assert saddle().plot_contours(ax=ax) is ax
    assert kernel.plot_errors(ax=ax) is ax
    assert kernel.certificate.plot(ax=ax) is ax
    assert plt.get_fignums() == [ax.figure.number]
    new = saddle().plot_sparsity()
    assert new.figure is not ax.figure
    new.figure.canvas.draw()
    with pytest.raises(InputTypeError, match="ax must be matplotlib Axes, got str"):
        saddle().plot_sparsity("left")


def test_squares_stand_where_entries_are() -> None:
    @hy.function(x=(4,))
    def f(x):
        return np.stack([x[0] * x[3], x[1]])

    ax = f.plot_sparsity()
    (drawn,) = ax.collections
    centres = sorted(tuple(np.round(path.vertices[:4].mean(axis=0)).astype(int)) for path in drawn.get_paths())
    assert centres == [(0, 0), (1, 1), (3, 0)]  # column, row
    assert ax.get_title() == "f_jacobian: 3 of 2 × 4 (37.5 %)"
    assert ax.get_ylim() == (1.5, -0.5)
    assert f.jacobian().plot_sparsity().get_title() == ax.get_title()


def test_large_patterns_are_points() -> None:
    @hy.function(x=(300,))
    def f(x):
        return np.sum(x[1:] * x[:-1])

    (points,) = f.plot_sparsity().lines
    assert len(points.get_xdata()) == 598
    np.testing.assert_array_equal(np.abs(points.get_xdata() - points.get_ydata()), 1)


def test_rolled_functions_and_their_derivatives_are_shown_alike() -> None:
    @hy.function(rolled=True, x=(50,))
    def f(x):
        return np.sum(x[1:] ** 2 * x[:-1])

    title = "f_hessian: 147 of 50 × 50 (5.88 %)"
    assert f.plot_sparsity().get_title() == f.hessian(sparse=True).plot_sparsity().get_title() == title


def test_arrows_point_uphill_and_ellipses_follow_the_eigenvectors() -> None:
    f = hy.Function([x, y], 50 * x**2 + 2 * y**2, name="bowl")
    ax = f.plot_contours([(-1, 1), (-1, 1)], arrows=4, ellipses=1)
    (arrows,) = [c for c in ax.collections if type(c).__name__ == "Quiver"]
    at = arrows.get_offsets()
    slope = np.stack([100 * at[:, 0], 4 * at[:, 1]], axis=1)
    np.testing.assert_allclose(
        np.stack([arrows.U, arrows.V], axis=1), slope / np.linalg.norm(slope, axis=1)[:, None], atol=1e-12
    )
    (ring,) = ax.lines
    assert np.ptp(ring.get_ydata()) / np.ptp(ring.get_xdata()) == pytest.approx(5)  # √(100/4)
    assert ax.get_xlim() == (-1, 1)


def test_the_colour_of_an_ellipse_is_the_kind_of_point() -> None:
    kinds = {}
    for name, body in (("up", x**2 + y**2), ("down", -(x**2) - y**2), ("saddle", x**2 - y**2)):
        kinds[name] = set(colours(hy.Function([x, y], body).plot_contours(ellipses=2)))
    assert [len(found) for found in kinds.values()] == [1, 1, 1]
    assert len(set.union(*kinds.values())) == 3


def test_what_is_asked_for_is_drawn() -> None:
    ax = saddle().plot_contours(gradient=False, hessian=False, levels=[-2.0, 0.0, 2.0])
    assert ax.lines[:] == []
    assert "Quiver" not in [type(c).__name__ for c in ax.collections]


def test_functions_that_are_not_finite_everywhere_and_planes() -> None:
    hy.Function([x, y], sp.log(x) * y).plot_contours([(-1, 1), (-1, 1)]).figure.canvas.draw()
    hy.Function([x, y], 2 * x - y).plot_contours().figure.canvas.draw()
    hy.Function([x, y], sp.Integer(2)).plot_contours().figure.canvas.draw()


def test_two_of_more_variables() -> None:
    @hy.function(q=(3,), k=())
    def f(q, k):
        return k * np.sum(q**2)

    ax = f.plot_contours({"q[2]": (0, 1), "k": (1, 2)}, at={"q": [1.0, 2.0, 0.0]})
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("q[2]", "k")


def test_contours_that_cannot_be() -> None:
    f = hy.Function([x, y, sp.Symbol("z")], x * y * sp.Symbol("z"))
    for function, options, message in (
        (f, {}, "contours need two variables, and f has x, y, z: name two"),
        (f, {"ranges": {"x": (0, 1), "y": (0, 1)}}, "at= must give z"),
        (f, {"ranges": {"x": (0, 1), "w": (0, 1)}}, "ranges names 'w'; f has x, y, z"),
        (f, {"ranges": {"x": (0, 1), "y": (1, 1)}, "at": {"z": 1}}, "finite low < high for y"),
        (f, {"ranges": {"x": (0, 1), "y": (0, 1)}, "at": {"z": [1, 2]}}, r"at for z needs shape \(\), got \(2,\)"),
        (f, {"ranges": {"x": (0, 1), "y": (0, 1)}, "at": {"u": 1}}, "at names 'u'"),
        (saddle().gradient(), {}, r"scalar function, but saddle_gradient has shape \(2,\)"),
        (hy.Function([x, y], sp.log(-1 - x**2 - y**2)), {}, "not finite anywhere"),
    ):
        with pytest.raises(ArgumentError, match=message):
            function.plot_contours(**options)


def test_errors_are_those_of_the_comparison() -> None:
    f = hy.Function([x, y], sp.exp(x * y) + sp.sin(x), name="f")
    kernel = hy.compile(f, f.hessian())
    ax = kernel.plot_errors(points=20, seed=3)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["f", "f_hessian"]
    value, hessian = ax.lines[:2]
    assert len(value.get_xdata()) >= 20
    assert len(hessian.get_xdata()) > 2 * len(value.get_xdata())
    assert 0 < max(hessian.get_ydata()) < 64
    with pytest.raises(ArgumentError, match="points must be a positive number, got 0"):
        kernel.plot_errors(points=0)


def test_the_bars_of_a_certificate_hold_every_comparison() -> None:
    certificate = hy.compile(saddle(), saddle().hessian()).certificate
    ax = certificate.plot()
    assert sum(bar.get_height() for bar in ax.patches) == certificate.entries


def test_without_matplotlib_it_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"hybrid\[plot\]"):
        saddle().plot_sparsity()
