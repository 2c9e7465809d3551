"""Functions in LaTeX over one where-block, and what its parts are called in code: the same names, from one layout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from codegen.program import IDENTIFIER
from hybrid.printing.captions import Printable, ancestry
from hybrid.printing.forms import exact
from hybrid.printing.latex import DEFAULT_LIMIT, Setting, Writer, assemble, check_number_format, constants_used, latex
from hybrid.printing.latex_notation import LaTeX, NumberFormat, as_fraction
from hybrid.printing.layout import UNLIMITED, Layout, Limit
from hybrid.printing.naming import LaTeXNames
from hybrid.printing.typeset import Typesetter


def latex_together(
    functions: Sequence[Printable],
    *,
    symbol_names: Mapping[Any, str] | None = None,
    first_index: int = 1,
    number_format: NumberFormat = None,
    where: bool | str = "auto",
    width: int | None = 100,
    limit: Limit | None = DEFAULT_LIMIT,
    **options: Any,
) -> str:
    """LaTeX of functions on one graph: an equation each, then the parts of all of them, named once.

    The options are those of `hybrid.printing.latex.latex`; `matrix`, `lhs` and the other ones only for one function.
    """
    common: dict[str, Any] = {"symbol_names": symbol_names, "first_index": first_index, "number_format": number_format}
    if len(functions) == 1:
        return latex(functions[0], **common, where=where, width=width, limit=limit, **options)
    if options:
        raise TypeError(f"latex of several functions takes no {', '.join(options)}: print the functions one by one")
    check_number_format(number_format)
    writers = laid_out(functions, **common, where=where, limit=limit)
    lines = [writer.equation(True, Setting("bmatrix", False, "auto", False)) for writer in writers]
    definitions = writers[0].definitions()
    notes = list(dict.fromkeys(note for writer in writers for note in writer.notes(definitions, "auto")))
    return assemble(lines, definitions, notes, "plain", None, width)


def part_names(functions: Sequence[Printable]) -> dict[int, str]:
    """What code calls the nodes that the where-block names: t1 for t_1, and so on; without what lies beyond a page."""
    writers = laid_out(functions)
    letter = writers[0].names.letter.removeprefix(r"\mathrm{").removesuffix("}")
    names = {node: f"{letter}{number}" for node, number in writers[0].layout.number.items()}
    return {node: name for node, name in names.items() if IDENTIFIER.fullmatch(name)}


def laid_out(
    functions: Sequence[Printable],
    symbol_names: Mapping[Any, str] | None = None,
    first_index: int = 1,
    number_format: NumberFormat = None,
    where: bool | str = "auto",
    limit: Limit | None = DEFAULT_LIMIT,
) -> list[Writer]:
    """A writer for each function, all with the same names and the same layout of the entries that are shown."""
    writers = [Writer(f, symbol_names, first_index, number_format, where, limit or UNLIMITED) for f in functions]
    if len(writers) > 1:
        arguments = {a.name: tuple(a.shape) for function in functions for a in function.arguments}
        graph = functions[0].graph
        constants = constants_used(graph, graph.reach([node for function in functions for node in function.nodes]))
        titles = [ancestry(function)[-1].name for function in functions]
        names = LaTeXNames(arguments.items(), symbol_names, first_index, constants, titles)
    for writer in writers:
        if len(writers) > 1:
            writer.names = names
        writer.look_at("matrix", False)
    if len(writers) > 1:
        roots = [writer.function.nodes[i] for writer in writers for i in writer.shown]
        longest = [w.layout.longest_root for w in writers if w.layout.longest_root is not None]
        number = as_fraction if number_format == "rational" else exact
        layout = Layout(graph, roots, where, limit or UNLIMITED, min(longest, default=None), number)
        for writer in writers:
            writer.layout, writer.typesetter = layout, Typesetter(layout, LaTeX(names, number_format))
    return writers
