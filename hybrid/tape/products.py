"""Matrix products and contractions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from hybrid.errors import ArgumentError
from hybrid.tape.mode import quietly
from hybrid.tape.node import sum_to
from hybrid.tape.rule import Rule, record
from hybrid.tape.tensor import Tensor, as_tensor


def transposed(x: Any) -> Any:
    return x.swapaxes(-1, -2)


def _as_matrices(g: Any, x_rank: int, y_rank: int, rank: int) -> tuple[Any, int]:
    """The adjoint of x @ y with the axes NumPy drops for vectors put back, and the number of its leading axes."""
    lead = g.ndim - rank
    if y_rank == 1:
        g = g.reshape((*g.shape, 1))
    if x_rank == 1:
        g = g.reshape((*g.shape[:-1], 1, g.shape[-1]))
    return g, lead


def _matmul_x(g: Any, y: Any, x_shape: tuple[int, ...], rank: int) -> Any:
    g, lead = _as_matrices(g, len(x_shape), y.ndim, rank)
    y = y.reshape((-1, 1)) if y.ndim == 1 else y
    full = x_shape if len(x_shape) > 1 else (1, *x_shape)
    result = sum_to(g @ transposed(y), full, lead)
    return result if len(x_shape) > 1 else result.reshape(result.shape[:lead] + x_shape)


def _matmul_y(g: Any, x: Any, y_shape: tuple[int, ...], rank: int) -> Any:
    g, lead = _as_matrices(g, x.ndim, len(y_shape), rank)
    x = x.reshape((1, -1)) if x.ndim == 1 else x
    full = y_shape if len(y_shape) > 1 else (*y_shape, 1)
    if lead == 0 and len(full) == 2 and x.ndim > 2:  # one product instead of a batch of them and a sum
        x, g = x.reshape((-1, x.shape[-1])), g.reshape((-1, g.shape[-1]))
    result = sum_to(transposed(x) @ g, full, lead)
    return result if len(y_shape) > 1 else result.reshape(result.shape[:lead] + y_shape)


_MATMUL = Rule("Mm", "x y", _matmul_x, _matmul_y)


def matmul(x: Any, y: Any) -> Tensor:
    """The matrix product, with NumPy's meaning for vectors and for stacks of matrices."""
    x, y = as_tensor(x), as_tensor(y)
    data = quietly().run(np.matmul, x._data, y._data)
    return record(_MATMUL, (x, y), data, x_shape=x.shape, y_shape=y.shape, rank=data.ndim)


def dot(x: Any, y: Any) -> Tensor:
    """NumPy's dot: the inner product of vectors, the matrix product, or a product with a number."""
    x, y = as_tensor(x), as_tensor(y)
    if x.ndim == 0 or y.ndim == 0:
        return x * y  # type: ignore[no-any-return]
    return matmul(x, y) if y.ndim <= 2 else tensordot(x, y, ([-1], [-2]))


def inner(x: Any, y: Any) -> Tensor:
    """The sum of products over the last axes."""
    x, y = as_tensor(x), as_tensor(y)
    return x * y if x.ndim == 0 or y.ndim == 0 else tensordot(x, y, ([-1], [-1]))


def outer(x: Any, y: Any) -> Tensor:
    """All products of an element of x and one of y, both flattened."""
    return as_tensor(x).reshape(-1, 1) * as_tensor(y).reshape(1, -1)  # type: ignore[no-any-return]


def tensordot(x: Any, y: Any, axes: Any = 2) -> Tensor:
    """Contraction over pairs of axes, or over the last and first `axes` axes."""
    x, y = as_tensor(x), as_tensor(y)
    if isinstance(axes, (int, np.integer)):
        axes = (range(x.ndim - axes, x.ndim), range(axes))
    left, right = (
        [a % t.ndim for a in np.atleast_1d(part).tolist()]
        for t, part in zip((x, y), map(list, map(np.atleast_1d, axes)), strict=True)
    )
    free_x, free_y = ([a for a in range(t.ndim) if a not in part] for t, part in ((x, left), (y, right)))
    inner_size = math.prod([x.shape[a] for a in left])
    a = x.permute(*free_x, *left).reshape(math.prod([x.shape[i] for i in free_x]), inner_size)
    b = y.permute(*right, *free_y).reshape(inner_size, math.prod([y.shape[i] for i in free_y]))
    return matmul(a, b).reshape([x.shape[i] for i in free_x] + [y.shape[i] for i in free_y])  # type: ignore[no-any-return]


def _einsum_joint(
    g: Any, xs: Sequence[Any], terms: list[str], result: str, sizes: dict[str, int], needed: Any
) -> list[Any]:
    """The adjoint of one operand is the contraction of the adjoint of the result with the other operands."""
    lead = g.ndim - len(result)
    spare = [c for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" if c not in sizes][:lead]
    front = "".join(spare)
    adjoints: list[Any] = []
    for k, term in enumerate(terms):
        if not needed[k]:
            adjoints.append(None)
            continue
        others = [terms[i] for i in range(len(terms)) if i != k]
        known = set(result).union(*map(set, others))
        letters = "".join(dict.fromkeys(term))
        kept = "".join(c for c in letters if c in known)
        spec = ",".join([front + result, *others]) + "->" + front + kept
        a = einsum_any(spec, g, *[xs[i] for i in range(len(xs)) if i != k])
        shape = a.shape[:lead] + tuple([sizes[c] if c in kept else 1 for c in letters])
        a = np.broadcast_to(a.reshape(shape), a.shape[:lead] + tuple([sizes[c] for c in letters]))
        adjoints.append(a if letters == term else _spread_repeated(a, letters, term, lead, sizes))
    return adjoints


def _spread_repeated(a: Any, letters: str, term: str, lead: int, sizes: dict[str, int]) -> Any:
    """Put the adjoint of a diagonal (a letter occurring twice in a term) on that diagonal, with zeros elsewhere."""
    axes = [np.arange(sizes[c]).reshape([-1 if c == d else 1 for d in letters]) for c in letters]
    where = dict(zip(letters, axes, strict=True))
    shape = tuple([sizes[c] for c in term])
    selected = np.zeros(shape, dtype=bool)
    selected[tuple([where[c] for c in term])] = True
    grid = np.ix_(*[np.arange(sizes[c]) for c in term])
    source = tuple([grid[term.index(c)] for c in letters])
    return np.where(selected, a[(slice(None),) * lead + source] if lead == 0 else _pick_grid(a, source, lead), 0.0)


def _pick_grid(a: Any, source: tuple[Any, ...], lead: int) -> Any:
    flat = a.reshape((*a.shape[:lead], math.prod(a.shape[lead:])))
    return flat[..., np.ravel_multi_index(np.broadcast_arrays(*source), a.shape[lead:])]


_EINSUM = Rule("Einsum", "*xs", joint=_einsum_joint)


def einsum_any(spec: str, *operands: Any) -> Any:
    """Einsum of arrays, or of tensors when one of the operands is one."""
    return (einsum if any(isinstance(x, Tensor) for x in operands) else np.einsum)(spec, *operands)


def einsum(spec: str, *operands: Any) -> Tensor:
    """Einstein's summation, with NumPy's notation, the ellipsis included."""
    xs = [as_tensor(x) for x in operands]
    terms, result = _parse(spec, [x.ndim for x in xs])
    sizes: dict[str, int] = {}
    for term, x in zip(terms, xs, strict=True):
        for letter, n in zip(term, x.shape, strict=True):
            if sizes.setdefault(letter, n) != n and 1 not in (n, sizes[letter]):
                raise ArgumentError(f"einsum {spec!r}: index {letter} has sizes {sizes[letter]} and {n}")
            sizes[letter] = max(sizes[letter], n)
    whole = [
        x if x.shape == tuple(sizes[c] for c in term) else x.broadcast_to([sizes[c] for c in term])
        for x, term in zip(xs, terms, strict=True)
    ]
    data = quietly().run(np.einsum, ",".join(terms) + "->" + result, *[x._data for x in whole])
    needed = [x.requires_grad for x in whole]
    return record(_EINSUM, whole, data, terms=terms, result=result, sizes=sizes, needed=needed)


def _parse(spec: str, ranks: list[int]) -> tuple[list[str], str]:
    """The terms with letters in place of an ellipsis, and the result, in NumPy's alphabetical order when implied."""
    left, arrow, result = spec.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(ranks):
        raise ArgumentError(f"einsum {spec!r} has {len(terms)} terms for {len(ranks)} operands")
    spare = [c for c in "ZYXWVUTSRQPONMLKJIHGFEDCBAzyxwvutsrqponmlkjihgfedcba" if c not in spec]
    extra = [rank - len(term.replace("...", "")) for term, rank in zip(terms, ranks, strict=True)]
    for term, more in zip(terms, extra, strict=True):
        if (more and "..." not in term) or more < 0:
            raise ArgumentError(
                f"einsum {spec!r}: the term {term!r} does not have as many indices as its operand has axes"
            )
    dots = "".join(spare[: max([0, *[m for t, m in zip(terms, extra, strict=True) if "..." in t]])])[::-1]
    full = [t.replace("...", dots[len(dots) - m :]) for t, m in zip(terms, extra, strict=True)]
    if not arrow:
        letters = "".join(full)
        return full, dots + "".join(sorted(c for c in set(letters) if letters.count(c) == 1 and c not in dots))
    return full, result.replace("...", dots)
