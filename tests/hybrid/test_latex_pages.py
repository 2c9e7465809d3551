"""How much room printed derivatives take: beside SymPy, on a page, and as functions grow."""

import re
import shutil
import subprocess

import numpy as np
import pytest

import hybrid as hy
from hybrid.loading import examples, import_file

# len(sympy.latex(sympy.simplify(sympy.hessian(call, (S, K, T, r, sigma))))) of SymPy 1.14.0 for the function of
# examples/black_scholes.py, which takes it 17 s; 40,674 without simplify. Printed by
# `python tests/bench/bench_latex.py --black-scholes`.
SYMPY_BLACK_SCHOLES = 20_578

DOCUMENT = r"""\documentclass[10pt]{article}
\usepackage{amsmath,amssymb}
\usepackage[a4paper,margin=2cm]{geometry}
\begin{document}
\[%s\]
\end{document}
"""


def test_the_black_scholes_hessian_takes_a_third_of_sympys_symbols():
    call = import_file(examples() / "black_scholes.py").call
    hessian = call.hessian().simplify()
    printed = hessian.latex()
    assert r"\text{where}" in printed
    assert 3 * len(printed) <= SYMPY_BLACK_SCHOLES
    assert 3 * len(call.hessian().latex()) <= SYMPY_BLACK_SCHOLES  # as derived, too


def test_the_jacobian_of_the_arm_fits_a_page(tmp_path):
    if shutil.which("pdflatex") is None:
        pytest.skip("needs pdflatex")
    jacobian = import_file(examples() / "panda.py").pose.jacobian().simplify()
    (tmp_path / "page.tex").write_text(DOCUMENT % jacobian.latex())
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "page.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert re.search(r"Output written on page\.pdf \(1 page[,)]", done.stdout.replace("\n", ""))
    assert "Overfull" not in done.stdout


def test_what_is_shown_does_not_grow_with_the_graph():
    sizes = []
    for n in (1_000, 8_000):

        @hy.function(rolled=False, x=(n + 1,))
        def f(x):
            return np.sum(np.sin(x[:-1] * x[1:]) + x[:-1] ** 2 * np.exp(-x[1:] / 2))

        hessian = f.hessian(sparse=True)
        sizes.append([len(hessian.latex()), len(hessian.mathml()), len(hessian.text())])
        assert f"{len(hessian.nodes):,}".replace(",", r"\,") in hessian.latex()
    assert len(hessian.graph) > 100_000
    assert all(second < 1.05 * first for first, second in zip(*sizes, strict=True))
    assert max(sizes[1]) < 40_000
