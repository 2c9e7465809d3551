"""A small expression graph as a picture: inputs above, results below, one level per depth.

Levels are by the longest way from an input; edges that skip levels get a bend in each; the order within a level is
found by sweeps over the means of the neighbours, the places by least squares with a smallest distance.
[K. Sugiyama, S. Tagawa, M. Toda, "Methods for visual understanding of hierarchical system structures", 1981]
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from html import escape

from hybrid import operations as ops
from hybrid.function import Function
from hybrid.graph import Graph, float_value
from hybrid.operations import CONSTANT, VARIABLE, NamedConstant
from hybrid.report.labels import label
from hybrid.report.pictures import text

MOST_NODES = 150
SWEEPS = 12
LEVEL = 62.0  # from level to level
GAP = 16.0  # between nodes of a level
BEND = 10.0  # width of a bend
HIGH = 28.0  # of a node

SIGNS = {
    ops.add: "+", ops.sub: "−", ops.mul: "×", ops.div: "÷", ops.neg: "−", ops.pow: "^", ops.sqrt: "√", ops.cbrt: "∛",
    ops.lt: "<", ops.le: "≤", ops.gt: ">", ops.ge: "≥", ops.eq: "=", ops.ne: "≠", ops.logical_and: "∧",
    ops.logical_or: "∨", ops.logical_not: "¬", ops.abs_: "|·|", ops.where: "select",
}  # fmt: skip
INFIX = (ops.add, ops.sub, ops.mul, ops.div, ops.lt, ops.le, ops.gt, ops.ge, ops.eq, ops.ne)


@dataclass
class Node:
    """A box of the picture, or a bend of an edge (without content)."""

    content: str
    kind: str
    width: float
    level: int = 0
    x: float = 0.0
    above: list[int] = field(default_factory=list)
    below: list[int] = field(default_factory=list)


def draw(function: Function) -> str | None:
    """The graph of a function as SVG; None if it has more nodes than a picture can show."""
    found = function.graph.reach(function.nodes)
    if len(found) > MOST_NODES:
        return None
    nodes, edges = boxes(function, found)
    assign_levels(nodes, edges)
    routes = bend(nodes, edges)
    levels = ordered(nodes)
    place(nodes, levels)
    return picture(nodes, routes, len(levels), function.name)


# --- what is drawn ----------------------------------------------------------------------------------------------------
def boxes(function: Function, found: Sequence[int]) -> tuple[list[Node], list[tuple[int, int]]]:
    """Nodes without the constants, which are written into the operations that take them, and the edges."""
    graph, place, nodes, edges = function.graph, dict[int, int](), list[Node](), list[tuple[int, int]]()
    results, fixed = set(function.nodes), dict[int, str]()
    for number in found:
        op = graph.ops[number]
        if op is not VARIABLE and all(arg in fixed for arg in graph.args[number]):
            fixed[number] = written(graph, number, fixed)
            if number not in results:
                continue
        args = [arg for arg in graph.args[number] if arg in place]
        content, kind = describe(graph, number, fixed), "operation"
        if op is VARIABLE:
            kind = "input"
        place[number] = len(nodes)
        nodes.append(Node(content, kind, max(30.0, 13 + 8.0 * visible(content))))
        edges += [(place[arg], place[number]) for arg in dict.fromkeys(args)]
    for output, number in enumerate(function.nodes):
        index = unravel(output, function.shape)
        content = label(function.name, index).html
        nodes.append(Node(content, "result", max(30.0, 13 + 8.0 * visible(content))))
        edges.append((place[number], len(nodes) - 1))
    return nodes, edges


def unravel(position: int, shape: Sequence[int]) -> tuple[int, ...]:
    index = []
    for length in reversed(shape):
        position, place = divmod(position, length)
        index.append(place)
    return tuple(reversed(index))


def visible(content: str) -> int:
    """Characters of markup that are seen."""
    inside, count = False, 0
    for character in content.replace("&lt;", "<<").replace("&gt;", ">>"):
        inside = (inside or character == "<") and character != ">"
        count += not inside and character != ">"
    return max(count, 1)


def number_text(value: object) -> str:
    if isinstance(value, NamedConstant):
        return {"pi": "π", "E": "e"}.get(value.name, value.name)
    if isinstance(value, Fraction):
        return f"{value.numerator}/{value.denominator}".replace("-", "−")
    if isinstance(value, bool):
        return str(value).lower()
    return f"{float_value(value):.6g}".replace("-", "−")  # type: ignore[arg-type]  # leaves of constants are numbers


def written(graph: Graph, number: int, fixed: Mapping[int, str]) -> str:
    """A part without variables as plain text: `2`, `√2`, `π ÷ 4`."""
    op, args = graph.ops[number], [fixed[arg] for arg in graph.args[number]]
    if op is CONSTANT:
        return number_text(graph.leaves[number])
    sign = SIGNS.get(op, op.name)
    if op in INFIX:
        return "(" + f" {sign} ".join(args) + ")"
    return f"{sign}{args[0]}" if len(args) == 1 and not sign.isalpha() else f"{sign}({', '.join(args)})"


def describe(graph: Graph, number: int, fixed: Mapping[int, str]) -> str:
    """An operation with the constants it takes: `2 ×`, `^ 3`, `sin`."""
    op, args = graph.ops[number], graph.args[number]
    if op is VARIABLE:
        variable = graph.leaves[number]
        return label(variable.name, variable.index).html
    if number in fixed:
        return escape(fixed[number])
    constants = [fixed.get(arg, "") for arg in args]
    sign = escape(SIGNS.get(op, op.name))
    if op is ops.pow and constants[1]:
        return f"( )<sup>{escape(constants[1])}</sup>"
    if op in INFIX and any(constants):
        others = escape(f" {SIGNS[op]} ".join(text for text in constants if text))
        return f"{others} {sign}" if constants[0] else f"{sign} {others}"
    inside = ", ".join(text or "·" for text in constants)
    return f"{sign}({escape(inside)})" if any(constants) else sign


# --- layout -----------------------------------------------------------------------------------------------------------
def assign_levels(nodes: Sequence[Node], edges: Sequence[tuple[int, int]]) -> None:
    """Edges come in the order of evaluation, so one pass finds the longest ways."""
    for above, below in edges:
        nodes[below].level = max(nodes[below].level, nodes[above].level + 1)
    last = max((node.level for node in nodes if node.kind == "result"), default=0)
    for node in nodes:
        if node.kind == "result":
            node.level = last


def bend(nodes: list[Node], edges: Sequence[tuple[int, int]]) -> list[list[int]]:
    """Every edge as a chain of nodes, one on each level it crosses."""
    routes = []
    for above, below in edges:
        route = [above]
        for level in range(nodes[above].level + 1, nodes[below].level):
            nodes.append(Node("", "bend", BEND, level))
            route.append(len(nodes) - 1)
        route.append(below)
        for first, second in itertools.pairwise(route):
            nodes[first].below.append(second)
            nodes[second].above.append(first)
        routes.append(route)
    return routes


def ordered(nodes: Sequence[Node]) -> list[list[int]]:
    """The levels, each in an order with few crossings; inputs and results keep theirs."""
    levels: list[list[int]] = [[] for _ in range(1 + max(node.level for node in nodes))]
    for number, node in enumerate(nodes):
        levels[node.level].append(number)
    best, least = [list(level) for level in levels], crossings(nodes, levels)
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        for level in levels if down else levels[::-1]:
            rank = {number: place for row in levels for place, number in enumerate(row)}
            around = {n: nodes[n].above if down else nodes[n].below for n in level}
            mean = {n: sum(rank[m] for m in near) / len(near) if near else rank[n] for n, near in around.items()}
            level.sort(key=lambda n: mean[n])
        if (count := crossings(nodes, levels)) < least:
            best, least = [list(level) for level in levels], count
    return best


def crossings(nodes: Sequence[Node], levels: Sequence[Sequence[int]]) -> int:
    total = 0
    for upper, lower in itertools.pairwise(levels):
        rank = {number: place for place, number in enumerate(lower)}
        ends = [rank[below] for number in upper for below in sorted(nodes[number].below, key=rank.__getitem__)]
        seen: list[int] = []
        for end in ends:
            total += sum(other > end for other in seen)
            seen.append(end)
    return total


def place(nodes: Sequence[Node], levels: Sequence[Sequence[int]]) -> None:
    """Every node near the mean of its neighbours, none nearer than it may be to the next."""
    for level in levels:
        spread(nodes, level, dict.fromkeys(level, 0.0))
    for sweep in range(SWEEPS):
        for level in levels if sweep % 2 == 0 else levels[::-1]:
            wanted = {}
            for number in level:
                node = nodes[number]
                near = node.above if sweep % 2 == 0 else node.below
                near = near or node.below or node.above
                wanted[number] = sum(nodes[m].x for m in near) / len(near) if near else node.x
            spread(nodes, level, wanted)
    left = min((node.x - node.width / 2 for node in nodes), default=0.0)
    for node in nodes:
        node.x -= left - 8


def spread(nodes: Sequence[Node], level: Sequence[int], wanted: Mapping[int, float]) -> None:
    """Least squares under smallest distances, by pooling neighbours that would be too near."""
    offsets, at = [], 0.0
    for number in level:
        half = nodes[number].width / 2
        offsets.append(at + half)
        at += nodes[number].width + GAP
    pools: list[list[float]] = []  # mean and count
    for number, offset in zip(level, offsets, strict=True):
        pools.append([wanted[number] - offset, 1.0])
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            mean, count = pools.pop()
            both = pools[-1][1] + count
            pools[-1] = [(pools[-1][0] * pools[-1][1] + mean * count) / both, both]
    shifts = [mean for mean, count in pools for _ in range(int(count))]
    for number, offset, shift in zip(level, offsets, shifts, strict=True):
        nodes[number].x = offset + shift


# --- drawing ----------------------------------------------------------------------------------------------------------
def picture(nodes: Sequence[Node], routes: Sequence[Sequence[int]], levels: int, name: str) -> str:
    width = max(node.x + node.width / 2 for node in nodes) + 8
    height = LEVEL * (levels - 1) + HIGH + 20
    lines = "".join(curve(nodes, route) for route in routes)
    body = f'<path class="edge" d="{lines}"/>'
    for node in nodes:
        if node.kind != "bend":
            y = 10 + HIGH / 2 + LEVEL * node.level
            body += (
                f'<rect class="node {node.kind}" x="{node.x - node.width / 2:.5g}" y="{y - HIGH / 2:.5g}" '
                f'width="{node.width:.4g}" height="{HIGH:g}" rx="{HIGH / 2:g}"/>'
            )
            content = node.content.replace("<sup>", '<tspan class="sub" dy="-5">').replace("</sup>", "</tspan>")
            body += text(node.x, y + 5, content, "caption")
    count = sum(node.kind != "bend" for node in nodes)
    spoken = f"Expression graph of {name}: {count} nodes on {levels} levels, inputs above, results below"
    return (
        f'<svg id="graph-picture" class="graph" role="img" aria-label="{escape(spoken)}" '
        f'viewBox="0 0 {width:.5g} {height:.5g}" data-width="{width:.5g}" data-height="{height:.5g}" '
        f'style="height:min({1.2 * height:.4g}px, 36rem, 75vh)">{body}</svg>'
    )


def curve(nodes: Sequence[Node], route: Sequence[int]) -> str:
    """A smooth line through the bends, upright where it leaves and arrives."""
    points = [(nodes[n].x, 10 + HIGH / 2 + LEVEL * nodes[n].level) for n in route]
    points[0] = (points[0][0], points[0][1] + HIGH / 2)
    points[-1] = (points[-1][0], points[-1][1] - HIGH / 2)
    path = f"M{points[0][0]:.5g} {points[0][1]:.5g}"
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        middle = (y0 + y1) / 2
        path += f"C{x0:.5g} {middle:.5g} {x1:.5g} {middle:.5g} {x1:.5g} {y1:.5g}"
    return path
