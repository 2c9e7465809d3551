"""The same derivatives of another form of a function: rolled instead of written out, or with other data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from hybrid.definition import Formula, PythonSource
from hybrid.errors import ArgumentError, UnsupportedError
from hybrid.rolled.flat import roll
from hybrid.rolled.function import RolledFunction
from hybrid.rolled.indexed import IndexedSource
from hybrid.rolled.trace import Rolled, define

Step = tuple[str, tuple[int, ...], bool, str]  # kind, positions of what it is by, whether sparse, which triangle


def history(function: Any) -> tuple[Any, list[Step]]:
    """The function that everything was derived from, and the derivations in order."""
    steps: list[Step] = []
    while True:
        made = function.origin if function.rolled else function.derivation
        if made is None:
            return function, steps[::-1]
        pattern = function.fixed_pattern if function.rolled else made.pattern
        steps.append((made.kind, made.wrt, pattern is not None, "full" if pattern is None else pattern.triangle))
        function = made.of


def derived(root: RolledFunction, steps: list[Step]) -> RolledFunction:
    """A rolled function derived by the same steps."""
    function = root
    for kind, positions, sparse, triangle in steps:
        wrt = [function.arguments[position].name for position in positions]
        if kind == "jacobian":
            function = function.jacobian(wrt, sparse=sparse)
        elif kind == "hessian":
            function = function.hessian(wrt, sparse=sparse, triangle="lower" if triangle == "lower" else "full")
        else:
            function = getattr(function, kind)(wrt)
    return function


def all_rolled(
    functions: tuple[Formula, ...], roll: Callable[[Any], RolledFunction | None] | None = None
) -> tuple[RolledFunction, ...]:
    """Functions of which some are written out, all rolled; those derived from one function stay together.

    roll: how a function that is written out is rolled; by default its Python code is traced again.
    Raises UnsupportedError for what cannot be rolled, or has other entries then.
    """
    roots: dict[int, RolledFunction] = {}
    result = []
    for function in functions:
        if isinstance(function, RolledFunction):
            result.append(function)
            continue
        root, steps = history(function)
        if id(root) not in roots:
            found = (roll or traced_again)(root)
            if found is None:
                raise refusal(root)
            roots[id(root)] = found
        made = derived(roots[id(root)], steps)
        same = made.fixed_pattern is None or made.fixed_pattern == function.derivation.pattern  # type: ignore[union-attr]  # it has one
        if made.shape != function.shape or not same:
            raise UnsupportedError(f"{function.name} has other entries when it is rolled; compile it by itself")
        result.append(made)
    return tuple(result)


def traced_again(root: Formula) -> RolledFunction:
    """A function that was written out, from the same Python code."""
    if not isinstance(root.source, PythonSource):
        raise refusal(root)
    shapes = {argument.name: argument.shape for argument in root.arguments}
    return RolledFunction.make(define(root.source.function, shapes, root.name))


def found_in(root: Formula) -> RolledFunction | None:
    """What repeats in a function that was written out, as templates; None where too little does."""
    known: RolledFunction | bool | None = root.__dict__.get("found", False)
    if isinstance(known, bool):
        with root.graph.lock:
            search = roll(root.graph, root.arguments, root.nodes, root.shape)
        known = None
        if search is not None:
            rolling, output = search
            pairs = zip(root.arguments, rolling.arguments, strict=True)
            arguments = tuple((argument.name, buffer.number) for argument, buffer in pairs)
            made = Rolled(rolling.model, arguments, output, root.shape, root.source, root.name, root)
            known = RolledFunction.make(made)
        root.__dict__["found"] = known
    return known


def large_ones_rolled(functions: tuple[Formula, ...], large: int) -> tuple[RolledFunction, ...] | None:
    """Functions that were written out, rolled, if those they come from are large and repeat enough; else None."""
    if all(len(function.graph) <= large for function in functions):
        return None
    roots = {id(root): root for root in (history(function)[0] for function in functions)}
    for root in roots.values():
        if len(root.graph.reach(root.nodes)) <= large // 4 or found_in(root) is None:
            return None
    try:
        return all_rolled(functions, found_in)
    except UnsupportedError:
        return None


def with_data(functions: Sequence[RolledFunction], new: Mapping[str, Any]) -> tuple[RolledFunction, ...]:
    """Functions with other data, and arguments of other shapes; those derived from one function stay together.

    Raises ArgumentError for a name that is neither data nor an argument, UnsupportedError for a function without data.
    """
    roots: dict[int, RolledFunction] = {}
    result = []
    for function in functions:
        root, steps = history(function)
        if id(root) not in roots:
            roots[id(root)] = retraced(root, new)
        result.append(derived(roots[id(root)], steps))
    return tuple(result)


def retraced(root: RolledFunction, new: Mapping[str, Any]) -> RolledFunction:
    if isinstance(root.source, IndexedSource):
        return RolledFunction.make(root.source.with_data(new, root.name))
    code = root.source.function if isinstance(root.source, PythonSource) else None
    if not isinstance(code, partial):
        raise UnsupportedError(
            f"{root.name} has no data that could be replaced; give arrays in the place of shapes to hybrid.function"
        )
    shapes: dict[str, Any] = {argument.name: argument.shape for argument in root.arguments}
    data = dict(code.keywords)
    for name, value in new.items():
        if name not in shapes and name not in data:
            known = ", ".join([*shapes, *data])
            raise ArgumentError(f"{root.name} has neither data nor an argument {name!r}; it has {known}")
        (shapes if name in shapes else data)[name] = value
    return RolledFunction.make(define(partial(code.func, **data), shapes, root.name))


def refusal(root: Formula) -> UnsupportedError:
    return UnsupportedError(
        f"{root.name} is not rolled, but other functions of the kernel are, and it has no Python code to trace again; "
        f"compile it by itself"
    )
