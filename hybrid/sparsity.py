"""Sparsity: where a derivative can be non-zero, its values as matrices of SciPy, and colourings of its pattern.

NumPy alone is needed for patterns, values and colourings; SciPy only to make its matrices.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hybrid import colouring
from hybrid.colouring import Bipartite, Integers
from hybrid.deferred import Deferred
from hybrid.errors import ArgumentError, ShapeError

pictures, notebook = Deferred("hybrid.printing.pictures"), Deferred("hybrid.printing.notebook")
Triangle = Literal["full", "lower"]


@dataclass(frozen=True, eq=False)
class Pattern:
    """Where a matrix of `shape` (rows, columns) can be non-zero: entry k is at `rows[k]`, `columns[k]`.

    The entries are sorted by row, then by column, and occur once, so that values in this order are the data of a CSR
    matrix. `triangle` is "lower" for a symmetric matrix of which the entries on and below the diagonal are kept.
    The index arrays are read-only: all matrices of one pattern share them.
    """

    shape: tuple[int, int]
    rows: Integers
    columns: Integers
    triangle: Triangle = field(default="full")

    def __post_init__(self) -> None:
        rows, columns = np.array(self.rows, dtype=np.intp), np.array(self.columns, dtype=np.intp)
        if rows.ndim != 1 or rows.shape != columns.shape:
            raise ShapeError(f"a pattern needs two vectors of one length, got shapes {rows.shape} and {columns.shape}")
        for name, index, size in (("rows", rows, self.shape[0]), ("columns", columns, self.shape[1])):
            if len(index) and (index.min() < 0 or index.max() >= size):
                raise ArgumentError(
                    f"{name} of a pattern of shape {self.shape} must be in 0 … {size - 1}, "
                    f"got {index.min()} … {index.max()}"
                )
        key = rows * self.shape[1] + columns
        if np.any(np.diff(key) <= 0):
            raise ArgumentError("the entries of a pattern must be sorted by row, then by column, each once")
        for name, index in (("rows", rows), ("columns", columns)):
            index.flags.writeable = False
            object.__setattr__(self, name, index)

    @classmethod
    def of(cls, places: Iterable[tuple[int, int]], shape: tuple[int, int]) -> Pattern:
        """The pattern of some places (row, column), in any order."""
        found = np.array(sorted(set(places)), dtype=np.intp).reshape(-1, 2)
        return cls(shape, found[:, 0], found[:, 1])

    @classmethod
    def dense(cls, present: ArrayLike) -> Pattern:
        """The pattern of the entries of a two-dimensional array that are not zero."""
        array = np.asarray(present)
        if array.ndim != 2:
            raise ShapeError(f"a pattern is that of a matrix, got an array of shape {array.shape}")
        rows, columns = np.nonzero(array)
        return cls((array.shape[0], array.shape[1]), rows, columns)

    @property
    def nnz(self) -> int:
        """How many entries can be non-zero."""
        return len(self.rows)

    @property
    def density(self) -> float:
        """The share of the entries that can be non-zero."""
        return self.nnz / max(self.shape[0] * self.shape[1], 1)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Pattern)
            and self.shape == other.shape
            and self.triangle == other.triangle
            and np.array_equal(self.rows, other.rows)
            and np.array_equal(self.columns, other.columns)
        )

    def __hash__(self) -> int:
        return hash((self.shape, self.triangle, self.rows.tobytes(), self.columns.tobytes()))

    def __repr__(self) -> str:
        what = ", lower triangle" if self.triangle == "lower" else ""
        return f"<Pattern {self.shape[0]} × {self.shape[1]}, {self.nnz} entries ({100 * self.density:.3g} %){what}>"

    def picture(self, most: int = 128) -> str:
        """The pattern in braille dots, at most `most` of them along a side: coarser than the matrix where it is larger.

        Raises ArgumentError for `most` below 1.
        """
        if most < 1:
            raise ArgumentError(f"most must be a positive number of dots, got {most!r}")
        text: str = pictures.braille(self, most)
        return text

    def _repr_html_(self) -> str:
        markup: str = notebook.pattern_html(self)
        return markup

    # --- matrices -----------------------------------------------------------------------------------------------------
    def array(self, values: ArrayLike) -> NDArray[np.float64]:
        """Values of shape batch + (nnz,) as a dense array of shape batch + `shape`; a triangle stays a triangle."""
        numbers = self._values(values)
        result = np.zeros((*numbers.shape[:-1], *self.shape))
        result[..., self.rows, self.columns] = numbers
        return result

    def csr(self, values: ArrayLike) -> Any:
        """A `scipy.sparse.csr_array` of values (nnz,); for a batch + (nnz,) a nested list of them.

        The index arrays are shared, not copied. Raises ImportError where SciPy is missing.
        """
        sparse = scipy_sparse("Pattern.csr")
        return self._each(values, lambda data: canonical(sparse.csr_array, data, self._csr, self.shape))

    def csc(self, values: ArrayLike) -> Any:
        """A `scipy.sparse.csc_array` of values (nnz,); as `csr`. The values are put into the order of columns."""
        sparse = scipy_sparse("Pattern.csc")
        order, index = self._csc
        return self._each(values, lambda data: canonical(sparse.csc_array, data[order], index, self.shape))

    def coo(self, values: ArrayLike) -> Any:
        """A `scipy.sparse.coo_array` of values (nnz,); as `csr`."""
        sparse = scipy_sparse("Pattern.coo")

        def make(data: NDArray[Any]) -> Any:
            matrix = sparse.coo_array((data, (self.rows, self.columns)), shape=self.shape)
            matrix.has_canonical_format = True
            return matrix

        return self._each(values, make)

    def update(self, matrix: Any, values: ArrayLike) -> None:
        """Write new values (nnz,) into a matrix that `csr`, `csc` or `coo` made; its structure stays as it is.

        Raises ArgumentError for a matrix of another format or number of entries.
        """
        numbers = self._values(values)
        kind = getattr(matrix, "format", None)
        if kind not in ("csr", "csc", "coo") or matrix.shape != self.shape or matrix.data.shape != (self.nnz,):
            raise ArgumentError(f"update needs a CSR, CSC or COO matrix made by this {self!r}, got {matrix!r}")
        if numbers.ndim != 1:
            raise ShapeError(f"one matrix takes values of shape ({self.nnz},), got {numbers.shape}")
        matrix.data[:] = numbers[self._csc[0]] if kind == "csc" else numbers

    def _each(self, values: ArrayLike, make: Any) -> Any:
        numbers = self._values(values)
        if numbers.ndim == 1:
            return make(numbers)
        return [self._each(row, make) for row in numbers]

    def _values(self, values: ArrayLike) -> NDArray[np.float64]:
        numbers = np.asarray(values, dtype=np.float64)
        if numbers.ndim == 0 or numbers.shape[-1] != self.nnz:
            raise ShapeError(f"values of {self!r} have shape (..., {self.nnz}), got {numbers.shape}")
        return numbers

    @cached_property
    def _csr(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Column indices and row starts, as SciPy keeps them."""
        start = np.searchsorted(self.rows, np.arange(self.shape[0] + 1))
        return self._compact(self.columns), self._compact(start)

    @cached_property
    def _csc(self) -> tuple[Integers, tuple[NDArray[Any], NDArray[Any]]]:
        """The order of the entries by column; row indices and column starts, as SciPy keeps them."""
        order = np.lexsort((self.rows, self.columns)).astype(np.intp)
        start = np.searchsorted(self.columns[order], np.arange(self.shape[1] + 1))
        return order, (self._compact(self.rows[order]), self._compact(start))

    def _compact(self, index: NDArray[Any]) -> NDArray[Any]:
        largest = max(self.nnz, *self.shape)
        small = index.astype(np.int32 if largest <= np.iinfo(np.int32).max else np.int64)
        small.flags.writeable = False
        return small

    # --- other patterns -----------------------------------------------------------------------------------------------
    @property
    def transposed(self) -> Pattern:
        """The pattern of the transpose; the values go along in the order `csc` takes them."""
        order = self._csc[0]
        return Pattern((self.shape[1], self.shape[0]), self.columns[order], self.rows[order])

    def lower(self) -> tuple[Pattern, Integers]:
        """The entries on and below the diagonal of a symmetric matrix, and where their values are among these."""
        places = np.flatnonzero(self.columns <= self.rows)
        return Pattern(self.shape, self.rows[places], self.columns[places], "lower"), places

    def full(self) -> tuple[Pattern, Integers]:
        """Both triangles of a symmetric matrix kept as one, and where each of their values is among these.

        `full, places = pattern.full()` then gives `full.csr(values[..., places])`.
        """
        places = np.arange(self.nnz)
        if self.triangle == "full":
            return self, places
        off = np.flatnonzero(self.rows != self.columns)
        rows = np.concatenate([self.rows, self.columns[off]])
        columns = np.concatenate([self.columns, self.rows[off]])
        order = np.lexsort((columns, rows))
        return Pattern(self.shape, rows[order], columns[order]), np.concatenate([places, off])[order]

    # --- colourings ---------------------------------------------------------------------------------------------------
    def colour_columns(self) -> Integers:
        """A colour per column, from 0: columns of one colour have no row in common (a distance-2 colouring).

        One product of the matrix with the sum of the unit vectors of a colour then holds all entries of its columns.
        """
        return colouring.distance_two(Bipartite.of(self.shape, self.rows, self.columns))

    def colour_rows(self) -> Integers:
        """A colour per row: rows of one colour have no column in common."""
        return self.transposed.colour_columns()

    def colour_star(self) -> Integers:
        """A colour per column of a symmetric pattern, such that every entry can be read off a sum of columns.

        Entry (i, j) is entry i of the sum of the columns of j's colour, or entry j of the sum of those of i's.

        Raises ShapeError for a pattern that is not square.
        """
        return colouring.star(self._neighbours("colour_star"))

    def colour_acyclic(self) -> Integers:
        """A colour per column of a symmetric pattern, from which the entries follow by substitution; fewer colours."""
        return colouring.acyclic(self._neighbours("colour_acyclic"))

    def _neighbours(self, name: str) -> tuple[tuple[int, ...], ...]:
        if self.shape[0] != self.shape[1]:
            raise ShapeError(f"{name} needs the pattern of a symmetric matrix, got shape {self.shape}")
        return colouring.adjacency(self.rows, self.columns, self.shape[0])


def canonical(kind: Any, data: NDArray[Any], index: tuple[NDArray[Any], NDArray[Any]], shape: tuple[int, int]) -> Any:
    matrix = kind((data, *index), shape=shape)
    matrix.has_canonical_format = True
    return matrix


def scipy_sparse(what: str) -> Any:
    """SciPy's module of sparse matrices. Raises ImportError, with what to install, where it is missing."""
    try:
        from scipy import sparse
    except ImportError as error:
        raise ImportError(
            f"{what} makes a matrix of SciPy, which is not installed: pip install 'hybrid[scipy]'; "
            f"pattern.rows, pattern.columns and pattern.array(values) need NumPy only"
        ) from error
    return sparse


class Triplets(Mapping[tuple[int, int], int]):
    """The entries of a very large sparse matrix: a mapping from places to nodes without a Python object for each."""

    def __init__(self, rows: Integers, columns: Integers, nodes: NDArray[np.int64]) -> None:
        self.rows, self.columns, self.nodes = rows, columns, nodes

    @cached_property
    def _mapping(self) -> dict[tuple[int, int], int]:
        places = zip(self.rows.tolist(), self.columns.tolist(), strict=True)
        return dict(zip(places, self.nodes.tolist(), strict=True))

    def __getitem__(self, place: tuple[int, int]) -> int:
        return self._mapping[place]

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(self._mapping)

    def __len__(self) -> int:
        return len(self.nodes)


def entries_in_order(
    entries: Mapping[tuple[int, int], int], shape: tuple[int, int], triangle: Triangle, zero: int
) -> tuple[Pattern, list[int]]:
    """The pattern of the entries that are not the node `zero`, and their nodes in its order."""
    count = len(entries)
    if isinstance(entries, Triplets):
        rows, columns, nodes = entries.rows, entries.columns, entries.nodes
    else:
        places = np.fromiter((index for place in entries for index in place), dtype=np.intp, count=2 * count)
        rows, columns = places[::2], places[1::2]
        nodes = np.fromiter(entries.values(), dtype=np.int64, count=count)
    kept = nodes != zero
    if triangle == "lower":
        kept &= columns <= rows
    kept_at = np.flatnonzero(kept)
    order = kept_at[np.lexsort((columns[kept_at], rows[kept_at]))]
    return Pattern(shape, rows[order], columns[order], triangle), nodes[order].tolist()
