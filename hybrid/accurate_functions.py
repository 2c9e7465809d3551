"""Functions for kernels with `rules="accurate"`: each in its most accurate form, its derivatives those of that form."""

from __future__ import annotations

from typing import Any

from hybrid.definition import Formula
from hybrid.errors import ArgumentError
from hybrid.simplify import ACCURATE


def accurate(function: Formula) -> Formula:
    """The function with values in the forms of smallest measured error, or the same derivative of such a function.

    Raises ArgumentError for rolled functions and for derivatives that cannot be made again.
    """
    maker: Any = function
    derivation = function.derivation
    if function.rolled or not hasattr(maker, "simplify"):
        raise ArgumentError(f"rules='accurate' does not go with rolled functions such as {function.name}; use 'real'")
    if derivation is None:
        return maker.simplify(ACCURATE)  # type: ignore[no-any-return]  # a Function
    of: Any = accurate(derivation.of)
    options: dict[str, Any] = {"wrt": [of.arguments[position].name for position in derivation.wrt]}
    if derivation.asked and derivation.method:
        options["method"] = derivation.method
    if derivation.pattern is not None:
        options["sparse"] = True
        if derivation.kind == "hessian":
            options["triangle"] = derivation.pattern.triangle
    made = getattr(of, derivation.kind)(**options)
    made.name = function.name
    if made.shape != function.shape:
        raise ArgumentError(
            f"rules='accurate' cannot derive {function.name} again; derive it from f.simplify('accurate')"
        )
    return made  # type: ignore[no-any-return]  # a Function
