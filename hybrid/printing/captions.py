r"""Left-hand sides: f(x, y), \nabla f, J_f, \nabla^2 f, \partial f_i / \partial x_j, from how a function came about."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from hybrid.definition import Argument, Definition, Derivation, Formula
from hybrid.graph import Variable
from hybrid.printing.naming import LaTeXNames

LONG_LIST = 8  # a longer list shows its first entries and the last
SWEEPS = {"gradient": 1, "jacobian": 1, "hessian": 2}  # how many times each kind differentiates


Printable = Formula | Definition


def derivation_of(function: Printable) -> Derivation | None:
    return function.derivation if isinstance(function, Formula) else None


def ancestry(function: Printable) -> list[Printable]:
    """The function, the one it was derived from, and so on to the user's own."""
    line: list[Printable] = [function]
    while (derivation := derivation_of(line[-1])) is not None:
        line.append(derivation.of)
    return line


def listed(items: Sequence[str], separator: str = ", ") -> str:
    if len(items) > LONG_LIST:
        items = [*items[:3], r"\ldots", items[-1]]
    return separator.join(items)


def argument_list(arguments: Sequence[Argument], names: LaTeXNames) -> str:
    return listed([names.argument(argument.name, tuple(argument.shape)) for argument in arguments])


def wrt_list(derivation: Derivation, names: LaTeXNames) -> str:
    return argument_list([derivation.of.arguments[i] for i in derivation.wrt], names)


def is_partial(derivation: Derivation) -> bool:
    return len(derivation.wrt) < len(derivation.of.arguments)


def symbol(function: Printable, names: LaTeXNames) -> str:
    r"""A function without its arguments: f, \nabla f, J_{f}, \nabla^{2} f."""
    line = ancestry(function)
    text = names.function(line[-1].name)
    for derivation in filter(None, map(derivation_of, reversed(line))):
        below = f"_{{{wrt_list(derivation, names)}}}" if is_partial(derivation) else ""
        if derivation.kind == "gradient":
            text = rf"\nabla{below} {text}"
        elif derivation.kind == "jacobian":
            text = rf"\partial{below} {text}" if below else f"J_{{{text}}}"
        elif derivation.kind in ("hessian", "hvp"):
            text = rf"\nabla^{{2}}{below} {text}"
        elif derivation.kind == "jvp":
            text = rf"\mathrm{{D}} {text}"
        else:
            text = rf"J_{{{text}}}^{{\mathsf{{T}}}}"
    return text


def signature(function: Printable, names: LaTeXNames) -> str:
    r"""A function with its arguments; directions of jvp and hvp in brackets, the weights of vjp behind."""
    derivation = derivation_of(function)
    arguments = list(function.arguments)
    extra: list[Argument] = []
    if derivation is not None and derivation.kind in ("jvp", "vjp", "hvp"):
        count = len(derivation.of.arguments)
        arguments, extra = arguments[:count], arguments[count:]
    text = symbol(function, names)
    if arguments:
        text += f"({argument_list(arguments, names)})"
    if extra and derivation is not None:
        directions = argument_list(extra, names)
        text += rf" \, {directions}" if derivation.kind == "vjp" else f"[{directions}]"
    return text


def fraction_of_partials(function: Printable, names: LaTeXNames) -> str:
    r"""\partial (f_1, f_2)/\partial (x, y) of a gradient, Jacobian or Hessian; else the signature."""
    derivation = derivation_of(function)
    if derivation is None or derivation.kind not in SWEEPS:
        return signature(function, names)
    of = derivation.of
    text = symbol(of, names)
    order = "^{2}" if derivation.kind == "hessian" else ""
    if of.shape and derivation.kind == "jacobian" and derivation_of(of) is None:
        places = [place(index, names) for index in np.ndindex(*of.shape)] if prod(of.shape) < 1000 else []
        text = f"({listed([f'{text}_{{{at}}}' for at in places])})" if places else text
    below = wrt_list(derivation, names)
    below = below if len(derivation.wrt) == 1 else f"({below})"
    return rf"\frac{{\partial{order} {text}}}{{\partial {below}{order}}}"


def place(index: Sequence[int], names: LaTeXNames) -> str:
    return ",".join(str(i + names.first_index) for i in index)


def unravel(position: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(position, shape)) if shape else ()


def variable_at(wrt: Sequence[Argument], index: tuple[int, ...]) -> int:
    """The variable node that an index into the derivative's own axes stands for."""
    if len(wrt) == 1:
        argument = wrt[0]
        flat = int(np.ravel_multi_index(index, argument.shape)) if argument.shape else sum(index)
        return int(argument.nodes[flat])
    return element_at(wrt, index[0])


def element_at(wrt: Sequence[Argument], place: int) -> int:
    """The variable node at a place among the elements of all arguments side by side."""
    flat = place
    for argument in wrt:
        if flat < len(argument.nodes):
            return int(argument.nodes[flat])
        flat -= len(argument.nodes)
    raise IndexError(place)


def derivatives_of_entry(
    function: Printable, index: tuple[int, ...]
) -> tuple[Printable, tuple[int, ...], list[Variable]]:
    """The function an entry differentiates, which entry of it, and by what, in order: ∂²f_i/∂x∂y gives f, i, [x, y]."""
    variables: list[Variable] = []
    while (derivation := derivation_of(function)) is not None and derivation.kind in SWEEPS:
        of = derivation.of
        wrt = [of.arguments[i] for i in derivation.wrt]
        if derivation.pattern is not None:
            row, column = int(derivation.pattern.rows[index[-1]]), int(derivation.pattern.columns[index[-1]])
            variables.append(of.graph.leaves[element_at(wrt, column)])
            if derivation.kind == "hessian":
                variables.append(of.graph.leaves[element_at(wrt, row)])
            index = unravel(row, of.shape)
            function = of
            continue
        axes = (len(function.shape) - len(of.shape)) // SWEEPS[derivation.kind]
        for _ in range(SWEEPS[derivation.kind]):
            index, last = index[: len(index) - axes], index[len(index) - axes :]
            variables.append(of.graph.leaves[variable_at(wrt, last)])
        function = of
    return function, index, variables[::-1]


def entry_name(function: Printable, index: tuple[int, ...], names: LaTeXNames) -> str:
    r"""\frac{\partial f_i}{\partial x_j} for an entry of a derivative, f_{i,j} for any other function."""
    function, index, by = derivatives_of_entry(function, index)
    variables = [names.variable(variable) for variable in by]
    text = symbol(function, names)
    if index:
        text += f"_{{{place(index, names)}}}"
    if not variables:
        return text
    return partial(text, variables)


def partial(text: str, variables: Sequence[str]) -> str:
    r"""\frac{\partial^{2} f}{\partial x \, \partial y}, by the variables in order."""
    order = f"^{{{len(variables)}}}" if len(variables) > 1 else ""
    counted = {variable: variables.count(variable) for variable in variables}
    below = r" \, ".join(rf"\partial {name}" + (f"^{{{n}}}" if n > 1 else "") for name, n in counted.items())
    return rf"\frac{{\partial{order} {text}}}{{{below}}}"
