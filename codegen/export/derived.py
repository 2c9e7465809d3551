"""Which results of an export are functions, and where the Jacobians of these stand among the other results.

Read from the origins of the results in the details of a bundle; used by the interfaces to other libraries.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

from codegen.contract import prune
from codegen.export.bundle import Build
from codegen.export.interface import Interface, Pattern
from codegen.export.parameters import Parameter


@dataclass(frozen=True)
class Block:
    """The derivatives of one function by one argument, as places in a result.

    columns: of all the result's columns (elements of the arguments that it was derived by), which are these. pattern:
    of a sparse result, that of all its columns.
    """

    result: Parameter
    columns: range
    all_columns: int
    pattern: Pattern | None = None

    def places(self) -> dict[tuple[int, int], int]:
        """By element of the function and element of the argument, both in C order: the number of the value."""
        if self.pattern is None:
            rows = self.result.array.size // self.all_columns
            width = len(self.columns)
            return {
                (row, column): row * self.all_columns + self.columns.start + column
                for row in range(rows)
                for column in range(width)
            }
        return {
            (row, column - self.columns.start): k
            for k, (row, column) in enumerate(zip(self.pattern.rows, self.pattern.columns, strict=True))
            if column in self.columns
        }

    @property
    def is_whole(self) -> bool:
        """Whether the values of the result are the block, row by row."""
        return self.pattern is None and len(self.columns) == self.all_columns


@dataclass(frozen=True)
class Differentiated:
    """A result that is a function, and what is known of its Jacobian: a block per argument, or None."""

    function: Parameter
    blocks: tuple[Block | None, ...]

    @property
    def is_complete(self) -> bool:
        return all(block is not None for block in self.blocks)

    def jacobian(self) -> list[Block]:
        """The blocks of a complete one."""
        return [block for block in self.blocks if block is not None]


def functions(build: Build) -> list[Differentiated]:
    """The results that are no derivatives of others, with the blocks of their Jacobians; all results if all are."""
    interface = build.interface
    arguments = [p for p in interface.parameters if not p.is_result]
    results = [p for p in interface.parameters if p.is_result]
    origins = [build.details.origins.get(p.array.name, {}) for p in results]
    heads = [p for p, origin in zip(results, origins, strict=True) if not origin.get("derivatives")]
    names = [origin.get("function") for origin in origins if not origin.get("derivatives")]
    found = []
    for head in heads or results:
        name = build.details.origins.get(head.array.name, {}).get("function")
        of_it = [] if name is None or names.count(name) != 1 else [
            (p, origin["derivatives"][0])
            for p, origin in zip(results, origins, strict=True)
            if origin.get("function") == name and _is_jacobian(origin["derivatives"])
        ]  # fmt: skip
        found.append(
            Differentiated(head, tuple(_block(build, head, arguments, k, of_it) for k in range(len(arguments))))
        )
    return found


def _is_jacobian(steps: Sequence[Mapping[str, Any]]) -> bool:
    return len(steps) == 1 and steps[0]["kind"] in ("jacobian", "gradient") and steps[0].get("sparse", "full") == "full"


def _block(
    build: Build,
    function: Parameter,
    arguments: Sequence[Parameter],
    k: int,
    of_it: Sequence[tuple[Parameter, Mapping[str, Any]]],
) -> Block | None:
    """The block by argument k: of a sparse result if there is one, else of the first that has it."""
    sizes = {p.array.name: p.array.size for p in arguments}
    name = arguments[k].array.name
    having = [
        (p, step["by"], "sparse" in step) for p, step in of_it if name in step["by"] and set(step["by"]) <= set(sizes)
    ]
    having.sort(key=lambda found: not found[2])
    if not having:
        return None
    result, by, sparse = having[0]
    start = sum(sizes[other] for other in by[: by.index(name)])
    whole = sum(sizes[other] for other in by)
    pattern = build.interface.sparsity.get(result.array.name)
    if sparse and pattern is None:  # a result that stands for no values
        pattern = Pattern((function.array.size, whole), (), ())
    return Block(result, range(start, start + sizes[name]), whole, pattern)


@dataclass(frozen=True)
class Second:
    """The second derivatives of a function by all arguments, in one result.

    places: numbers of the values, by element of the function, then argument and element of each derivative.
    """

    result: Parameter
    places: Mapping[tuple[int, int, int, int, int], int]


def second(build: Build, function: Parameter) -> Second | None:
    """From a Hessian, one triangle of it being enough, or the Jacobian of a dense Jacobian; None if there is none."""
    interface = build.interface
    arguments = [p for p in interface.parameters if not p.is_result]
    name = build.details.origins.get(function.array.name, {}).get("function")
    for p in interface.parameters:
        origin = build.details.origins.get(p.array.name, {}) if p.is_result else {}
        if name is None or origin.get("function") != name or (by := _twice(origin["derivatives"])) is None:
            continue
        columns = [_columns(arguments, names) for names in by]
        if any(len(found) != sum(a.array.size for a in arguments) for found in columns):
            continue
        pattern = interface.sparsity.get(p.array.name)
        first, last = columns
        if pattern is None and "sparse" in origin["derivatives"][-1]:
            entries = []  # a result that stands for no values
        elif pattern is None:
            entries = [divmod(k, len(last)) for k in range(p.array.size)]
        else:
            entries = list(zip(pattern.rows, pattern.columns, strict=True))
        places = {}
        for k, (row, column) in enumerate(entries):
            element, at = divmod(row, len(first))
            places[element, *first[at], *last[column]] = k
            if pattern is not None and pattern.triangle == "lower":
                places[element, *last[column], *first[at]] = k
        return Second(p, places)
    # A result without places is in no program.
    there = {p.array.name for p in interface.parameters}
    for other, origin in build.details.origins.items():
        if other not in there and name is not None and origin.get("function") == name:
            by = _twice(origin["derivatives"])
            if by is not None and all(set(names) >= {p.array.name for p in arguments} for names in by):
                return Second(function, {})
    return None


def _twice(steps: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[str]] | None:
    """The arguments of the first and of the second derivative."""
    kinds = [step["kind"] for step in steps]
    if kinds == ["hessian"]:
        return steps[0]["by"], steps[0]["by"]
    if len(kinds) == 2 and set(kinds) <= {"jacobian", "gradient"} and "sparse" not in steps[0]:
        return steps[0]["by"], steps[1]["by"]
    return None


def _columns(arguments: Sequence[Parameter], names: Sequence[str]) -> list[tuple[int, int]]:
    """Argument and element of each column of a derivative by these."""
    known = {a.array.name: (k, a.array.size) for k, a in enumerate(arguments)}
    return [(known[n][0], element) for n in names if n in known for element in range(known[n][1])]


def cut_down(build: Build, name: str, wanted: Sequence[Parameter]) -> Interface | None:
    """A function of that name which computes some of the results; None if these are all or none."""
    program, names = build.program, {p.array.name for p in wanted}
    if len(names) in (0, len(program.results)):
        return None
    keep = [k for k, array in enumerate(program.results) if array.name in names]
    results = tuple(program.results[k] for k in keep)
    outputs = tuple(program.outputs[k] for k in keep)
    return Interface(prune(replace(program, name=name, results=results, outputs=outputs)), build.element)


def words_of(parameters: Sequence[Parameter], taken: frozenset[str] = frozenset()) -> dict[str, str]:
    """Names to be seen from outside, by C parameter: the kernel's own as far as letters, digits and single underscores.

    They differ from each other and from those taken.
    """
    found: dict[str, str] = {}
    for parameter in parameters:
        base = "_".join(filter(None, re.sub(r"\W", "_", parameter.array.name, flags=re.ASCII).split("_")))
        if not base[:1].isalpha():
            base = f"x{base}"
        word, count = base, 0
        while word in taken or word in found.values():
            count += 1
            word = f"{base}_{count}"
        found[parameter.name] = word
    return found


def column_major(shape: Sequence[int]) -> list[int]:
    """The places in C order of the elements of a matrix in the order of columns; of anything else, 0, 1 …"""
    if len(shape) != 2:
        return list(range(prod(shape)))
    return [row * shape[1] + column for column in range(shape[1]) for row in range(shape[0])]
