"""Colourings of sparsity patterns: which columns, or rows, of a sparse matrix can be computed together.

All are greedy. Columns are taken in order, or largest degree first, and each gets the smallest colour that no conflict
forbids. [Gebremedhin, Manne & Pothen, What color is your Jacobian?, SIAM Review 47 (2005); star and acyclic colouring:
Gebremedhin, Tarafdar, Manne & Pothen, New acyclic and star coloring algorithms, SIAM J. Sci. Comput. 29 (2007).]
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.intp]


def grouped(keys: Integers, values: Integers, count: int) -> tuple[Integers, Integers]:
    """Values by key: `order[start[k]:start[k + 1]]` are the values of key k, ascending."""
    order = np.lexsort((values, keys))
    start = np.zeros(count + 1, dtype=np.intp)
    np.cumsum(np.bincount(keys, minlength=count), out=start[1:])
    return start, values[order]


@dataclass(frozen=True)
class Bipartite:
    """Rows and columns of a matrix as lists of neighbours."""

    rows: tuple[tuple[int, ...], ...]  # per row its columns
    columns: tuple[tuple[int, ...], ...]  # per column its rows

    @classmethod
    def of(cls, shape: tuple[int, int], rows: Integers, columns: Integers) -> Bipartite:
        return cls(lists(rows, columns, shape[0]), lists(columns, rows, shape[1]))


def lists(keys: Integers, values: Integers, count: int) -> tuple[tuple[int, ...], ...]:
    start, found = grouped(keys, values, count)
    listed = found.tolist()
    return tuple(tuple(listed[start[k] : start[k + 1]]) for k in range(count))


def smallest_free(forbidden: Iterable[int]) -> int:
    taken = set(forbidden)
    colour = 0
    while colour in taken:
        colour += 1
    return colour


def largest_first(neighbours: Sequence[Sequence[int]]) -> list[int]:
    return sorted(range(len(neighbours)), key=lambda vertex: -len(neighbours[vertex]))


def distance_two(graph: Bipartite) -> Integers:
    """A colour per column: columns of one colour have no row in common. The better of two greedy orders."""
    degree = [sum(len(graph.rows[row]) for row in rows) for rows in graph.columns]
    orders = [range(len(degree)), sorted(range(len(degree)), key=lambda column: -degree[column])]
    found = [distance_two_in(graph, order) for order in orders]
    return min(found, key=colours)


def distance_two_in(graph: Bipartite, order: Iterable[int]) -> Integers:
    colour = np.full(len(graph.columns), -1, dtype=np.intp)
    taken: list[set[int]] = [set() for _ in graph.rows]  # the colours each row has met
    for column in order:
        rows = graph.columns[column]
        chosen = 0
        while any(chosen in taken[row] for row in rows):
            chosen += 1
        for row in rows:
            taken[row].add(chosen)
        colour[column] = chosen
    return colour


def colours(colouring: Integers) -> int:
    """How many colours a colouring has."""
    return int(colouring.max(initial=-1)) + 1


def adjacency(rows: Integers, columns: Integers, count: int) -> tuple[tuple[int, ...], ...]:
    """The graph of a symmetric pattern, of which one triangle may be given: per vertex its neighbours, no loops."""
    off = rows != columns
    both = np.unique(
        np.concatenate([rows[off] * count + columns[off], columns[off] * count + rows[off]]).astype(np.int64)
    )
    return lists((both // max(count, 1)).astype(np.intp), (both % max(count, 1)).astype(np.intp), count)


def star(neighbours: Sequence[Sequence[int]]) -> Integers:
    """A star colouring of a graph: neighbours differ, and no path of four vertices has two colours only.

    Then every entry of a symmetric matrix of this pattern can be read off the sums of its columns of one colour.
    """
    colour = [-1] * len(neighbours)
    for vertex in largest_first(neighbours):
        forbidden = set()
        met: dict[int, int] = {}
        for near in neighbours[vertex]:
            if colour[near] >= 0:
                forbidden.add(colour[near])
                met[colour[near]] = met.get(colour[near], 0) + 1
        for near in neighbours[vertex]:
            shade = colour[near]
            for far in neighbours[near]:
                if far == vertex or colour[far] < 0:
                    continue
                # vertex – near – far: far's colour closes a path of two colours if near, or far, has another such end
                if shade < 0 or met[shade] > 1 or any(colour[end] == shade for end in neighbours[far] if end != near):
                    forbidden.add(colour[far])
        colour[vertex] = smallest_free(forbidden)
    return np.array(colour, dtype=np.intp)


class Forest:
    """Disjoint sets of edges, one per tree of two colours."""

    def __init__(self) -> None:
        self.parent: dict[tuple[int, int], tuple[int, int]] = {}

    def find(self, item: tuple[int, int]) -> tuple[int, int]:
        root = item
        while self.parent.setdefault(root, root) != root:
            root = self.parent[root]
        while self.parent[item] != root:
            self.parent[item], item = root, self.parent[item]
        return root

    def join(self, first: tuple[int, int], second: tuple[int, int]) -> None:
        self.parent[self.find(first)] = self.find(second)


def acyclic(neighbours: Sequence[Sequence[int]]) -> Integers:
    """An acyclic colouring of a graph: neighbours differ, and every cycle has three colours or more.

    Then the entries of a symmetric matrix of this pattern follow from the sums of its columns of one colour by
    substitution along trees; it takes no more colours than a star colouring, often fewer.
    """
    colour = [-1] * len(neighbours)
    forest = Forest()
    for vertex in largest_first(neighbours):
        forbidden = {colour[near] for near in neighbours[vertex] if colour[near] >= 0}
        trees: dict[tuple[int, tuple[int, int]], int] = {}
        for near in neighbours[vertex]:
            if colour[near] < 0:
                continue
            for far in neighbours[near]:
                if far == vertex or colour[far] < 0 or colour[far] in forbidden:
                    continue
                tree = (colour[far], forest.find(edge(near, far)))
                if trees.setdefault(tree, near) != near:
                    forbidden.add(colour[far])  # two neighbours hang on one tree of these two colours
        colour[vertex] = smallest_free(forbidden)
        grow(forest, neighbours, colour, vertex)
    return np.array(colour, dtype=np.intp)


def grow(forest: Forest, neighbours: Sequence[Sequence[int]], colour: Sequence[int], vertex: int) -> None:
    """Enter the edges of a vertex that has just been coloured into the trees of two colours."""
    first: dict[int, int] = {}
    for near in neighbours[vertex]:
        if colour[near] < 0:
            continue
        new = edge(vertex, near)
        forest.find(new)
        if (other := first.setdefault(colour[near], near)) != near:
            forest.join(new, edge(vertex, other))
        for far in neighbours[near]:
            if far != vertex and colour[far] == colour[vertex]:
                forest.join(new, edge(near, far))


def edge(first: int, second: int) -> tuple[int, int]:
    return (first, second) if first < second else (second, first)
