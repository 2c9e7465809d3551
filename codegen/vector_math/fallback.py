"""Functions without a vector version yet: the C library, lane by lane."""

from __future__ import annotations

from collections.abc import Callable

from codegen.vector_math.ir import Vector


def c_library(symbol: str) -> Callable[..., Vector]:
    """A builder that calls `double symbol(double, …)` once per lane."""

    def build(*arguments: Vector) -> Vector:
        body = arguments[0].body
        scalar = body.module.format.real
        name = symbol if scalar == "double" else symbol + "f"
        parameters = ", ".join([scalar] * len(arguments))
        body.module.define(
            f"@{name}", lambda: f"declare {scalar} @{name}({parameters}) nounwind willreturn memory(none)\n"
        )
        results = []
        for lane in zip(*(body.lanes(argument) for argument in arguments), strict=True):
            operands = ", ".join(f"{scalar} {text}" for text in lane)
            results.append(body.append(f"call {scalar} @{name}({operands})"))
        return body.from_lanes(Vector, results)

    return build
