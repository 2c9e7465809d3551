"""A compiled kernel as an operation of the numeric tape: forward runs the kernel, backward its compiled products.

The vector-Jacobian product is itself such an operation, compiled when it is first needed, so the tape differentiates
through a kernel to any order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hybrid.tape import KernelOperation

Group = tuple[Any, ...]  # Functions whose values are added up
Names = tuple[str, ...]  # the argument names that one input of the operation goes to


class Recorded(KernelOperation):
    """Results on the tape, each the sum of a group of Functions of the same arguments.

    `compile` makes one kernel of all the functions; `places` says, for each input, which of their arguments it is.
    """

    def __init__(
        self, name: str, places: Sequence[Names], groups: Sequence[Group], compile: Callable[..., Any]
    ) -> None:
        self.places = tuple(places)
        self.groups = tuple(groups)
        self.compile = compile
        self._kernel: Any = None
        self._vjp: Recorded | None = None
        super().__init__(self.run, None, name)

    @property
    def vjp(self) -> Recorded:
        if self._vjp is None:
            self._vjp = self.derive()
        return self._vjp

    @vjp.setter
    def vjp(self, value: object) -> None:
        pass

    def run(self, *arrays: Any) -> Any:
        if self._kernel is None:
            self._kernel = self.compile(*[function for group in self.groups for function in group])
        by_name = {name: array for names, array in zip(self.places, arrays, strict=True) for name in names}
        values = self._kernel(*[by_name[argument.name] for argument in self._kernel.arguments])
        values = iter(values if isinstance(values, tuple) else (values,))
        results = tuple(sum_of([next(values) for _ in group]) for group in self.groups)
        return results[0] if len(results) == 1 else results

    def derive(self) -> Recorded:
        """One adjoint per argument, from the arguments and one cotangent per result."""
        functions = [function for group in self.groups for function in group]
        groups = []
        for number, names in enumerate(self.places):
            group = []
            for function in functions:
                for name in names:
                    if any(argument.name == name for argument in function.arguments):
                        product = function.vjp(wrt=name)
                        product.name = f"{function.name}_by_{number}"  # cotangents are named after functions
                        group.append(product)
            groups.append(tuple(group))
        cotangents = [tuple(f"{function.name}_bar" for function in group) for group in self.groups]
        return Recorded(f"{self.title}Vjp", [*self.places, *cotangents], groups, self.compile)


def sum_of(values: Sequence[Any]) -> Any:
    total = values[0]
    for value in values[1:]:
        total = np.add(total, value)
    return total
