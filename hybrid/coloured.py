"""Derivatives by coloured sweeps: one tangent sweep for all columns that share no row.

The columns of a sparse Jacobian that have no row in common are found together [Curtis, Powell & Reid, On the estimation
of sparse Jacobian matrices, IMA J. Appl. Math. 13 (1974)]; a Hessian's come from fewer sweeps still, as every entry
stands in it twice [Coleman & Moré, Estimation of sparse Hessian matrices and graph coloring problems, Math. Prog. 28
(1984)]. On a graph the operations are those of a sparse forward sweep per column; what colours save is sweeps.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hybrid.colouring import Integers
from hybrid.differentiate import ONE, Entries, Partials, forward, reverse
from hybrid.graph import Graph
from hybrid.operations import REAL
from hybrid.sparsity import Pattern


def dependencies(graph: Graph, roots: Sequence[int], wrt: Sequence[int]) -> list[frozenset[int]]:
    """Per root the columns it depends on through real numbers, in time linear in the sizes of the sets met.

    A node's set is dropped after its last use, and shared where it is that of its only argument.
    """
    nothing: frozenset[int] = frozenset()
    order = graph.reach(roots)
    left = graph.uses(order, roots)
    sets = {variable: frozenset((column,)) for column, variable in enumerate(wrt)}
    for node in order:
        args = graph.args[node]
        if node not in sets and graph.ops[node].result == REAL:
            found = [sets[arg] for arg in dict.fromkeys(args) if sets.get(arg)]
            if found:
                sets[node] = found[0] if len(found) == 1 else nothing.union(*found)
        for arg in args:
            left[arg] -= 1
            if not left[arg]:
                sets.pop(arg, None)
    return [sets.get(root, nothing) for root in roots]


def dependency_pattern(graph: Graph, roots: Sequence[int], wrt: Sequence[int]) -> Pattern:
    """Which roots depend on which variables: every entry of the Jacobian that can be non-zero is in it."""
    columns = [np.fromiter(sorted(found), dtype=np.intp) for found in dependencies(graph, roots, wrt)]
    rows = np.repeat(np.arange(len(columns)), [len(found) for found in columns])
    return Pattern((len(roots), len(wrt)), rows, np.concatenate([*columns, np.zeros(0, dtype=np.intp)]))


def coloured_sweeps(graph: Graph, roots: Sequence[int], wrt: Sequence[int], colours: Integers) -> list[dict[int, int]]:
    """Per colour the tangents of the roots by root, all variables of the colour moving at once."""
    partials, order = Partials(graph), graph.reach(roots)
    wanted = set(roots)
    found = []
    for colour in range(int(colours.max(initial=-1)) + 1):
        seeds = {wrt[column]: ONE for column in np.flatnonzero(colours == colour).tolist()}
        tangents = forward(graph, order, seeds, partials)
        found.append({root: tangents[root] for root in wanted if root in tangents})
    return found


def jacobian_coloured(graph: Graph, roots: Sequence[int], wrt: Sequence[int]) -> Entries:
    """One tangent sweep per colour of the columns."""
    pattern = dependency_pattern(graph, roots, wrt)
    colours = pattern.colour_columns()
    sweeps = coloured_sweeps(graph, roots, wrt, colours)
    entries: Entries = {}
    for row, column in zip(pattern.rows.tolist(), pattern.columns.tolist(), strict=True):
        node = sweeps[colours[column]].get(roots[row])
        if node is not None:
            entries[row, column] = node
    return entries


def hessian_coloured(graph: Graph, root: int, wrt: Sequence[int]) -> Entries:
    """Tangent sweeps over the gradient, one per colour of a star colouring; each entry is read off directly."""
    gradient = reverse(graph, [(root, ONE)], set(wrt))
    zero = graph.constant(0)
    roots = [gradient.get(variable, zero) for variable in wrt]
    rows = dependencies(graph, roots, wrt)
    places = {
        place for row, columns in enumerate(rows) for column in columns for place in ((row, column), (column, row))
    }
    pattern = Pattern.of(places, (len(wrt), len(wrt)))
    colours = pattern.colour_star()
    sweeps = coloured_sweeps(graph, roots, wrt, colours)
    met: dict[tuple[int, int], int] = {}  # how many entries of a row have a colour
    for row, column in places:
        met[row, int(colours[column])] = met.get((row, int(colours[column])), 0) + 1
    entries: Entries = {}
    for row, column in zip(pattern.rows.tolist(), pattern.columns.tolist(), strict=True):
        if column > row:
            continue
        if met[row, int(colours[column])] > 1:
            row, column = column, row
        node = sweeps[colours[column]].get(roots[row])
        if node is not None:
            entries[row, column] = entries[column, row] = node
    return entries
