"""What notebooks show: well-formed HTML and LaTeX of functions, kernels, certificates and patterns."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest
from printed import black_scholes, function

import hybrid as hy
from hybrid.errors import ArgumentError
from hybrid.printing.pictures import braille, coarse, rules, svg
from hybrid.sparsity import Pattern


def tridiagonal(n):
    return Pattern.of({(i, j) for i in range(n) for j in range(max(i - 1, 0), min(i + 2, n))}, (n, n))


def parsed(markup):
    return ET.fromstring(markup)


def test_functions():
    f = black_scholes()
    assert f._repr_latex_() == f"$\\displaystyle {f.latex()}$"
    root = parsed(f.hessian()._repr_html_())
    assert len(list(root.iter("{http://www.w3.org/1998/Math/MathML}math"))) == 1
    large = function(lambda x: sum(x[i] * x[i + 1] for i in range(39)), x=(40,)).hessian()
    assert len(list(parsed(large._repr_html_()).iter("{http://www.w3.org/2000/svg}svg"))) == 1


def test_kernels_and_certificates():
    x, y = hy.symbols("x y")
    f = hy.Function([x, y], x * hy.sin(y), name="f")
    kernel = hy.compile(f, f.gradient())
    root = parsed(kernel._repr_html_())
    assert len(list(root.iter("details"))) == 2
    assert len(list(root.iter("table"))) == 1
    assert "verified" in "".join(root.itertext())
    assert kernel._repr_latex_().count(r"$\displaystyle") == 2
    parsed(kernel.certificate._repr_html_())
    unchecked = hy.compile(f, verify=False)
    assert "not checked" in "".join(parsed(unchecked._repr_html_()).itertext())


def test_rolled_functions_show_their_text():
    @hy.function(rolled=True, x=(50,))
    def f(x):
        return np.sum(x**2)

    assert f._repr_html_ is None
    assert f._repr_latex_().startswith(r"$\displaystyle")


def test_patterns():
    pattern = tridiagonal(6)
    assert pattern.picture().splitlines() == ["│⠻⣦⡀│", "│⠀⠈⠛│"]
    assert tridiagonal(1000).picture(most=6).splitlines() == ["│⠻⣦⡀│", "│⠀⠈⠛│"]
    with pytest.raises(ArgumentError, match="most must be a positive number of dots, got 0"):
        pattern.picture(0)
    root = parsed(pattern._repr_html_())
    picture = next(root.iter("{http://www.w3.org/2000/svg}svg"))
    assert picture[0].text == "6 × 6 matrix, 16 entries can be non-zero"


def dots(text):
    """The points of braille text as places."""
    bits = [(0, 0, 1), (1, 0, 2), (2, 0, 4), (0, 1, 8), (1, 1, 16), (2, 1, 32), (3, 0, 64), (3, 1, 128)]
    return {
        (4 * line + r, 2 * column + c)
        for line, characters in enumerate(text.splitlines())
        for column, character in enumerate(characters.strip("│"))
        for r, c, bit in bits
        if (ord(character) - 0x2800) & bit
    }


@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (40, 2), (129, 128), (1, 1000), (5000, 300)])
def test_pictures_are_the_pattern(shape):
    random = np.random.default_rng(0)
    present = random.random(shape) < min(0.3, 500 / shape[0] / shape[1])
    present[0, 0] = True
    pattern = Pattern.dense(present)
    picture = coarse(pattern, 128)
    assert max(picture.shape) <= 128
    assert dots(braille(pattern)) == set(map(tuple, np.argwhere(picture).tolist()))
    if max(shape) <= 128:
        assert np.array_equal(picture, present)
    assert picture.sum() <= pattern.nnz
    assert rules(pattern, most=16).count("rlap") <= 16 * 8
    parsed(svg(pattern))


def test_empty_patterns():
    empty = Pattern.of((), (0, 3))
    assert braille(empty) == "(0 × 3)"
    parsed(empty._repr_html_())
    assert braille(Pattern.of((), (3, 3))) == "│⠀⠀│"
