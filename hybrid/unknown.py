"""What traced values of every kind share: operators, NumPy's functions by rule, what is refused and in which words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import numpy as np

from hybrid.errors import InputTypeError, UnsupportedError

HINTS: dict[str, str] = {}  # what to use instead of a NumPy function that is not supported


# Methods of arrays that are the NumPy function of that name.
METHODS = frozenset(
    {
        "sum",
        "prod",
        "mean",
        "var",
        "std",
        "min",
        "max",
        "ptp",
        "any",
        "all",
        "cumsum",
        "cumprod",
        "dot",
        "clip",
        "round",
    }
    | {"round", "trace", "swapaxes", "squeeze", "repeat", "take", "diagonal", "conj", "conjugate", "compress", "choose"}
    | {"argmax", "argmin", "argsort", "sort", "nonzero", "searchsorted"}
)


class Unknown(np.lib.mixins.NDArrayOperatorsMixin):
    """Operators of arrays whose elements are not known yet; what would need a number raises an error."""

    __slots__ = ()
    __array_priority__ = 1000.0
    __hash__ = None  # type: ignore[assignment]  # as for NumPy arrays: == is elementwise

    # --- what needs a number ------------------------------------------------------------------------------------------
    def __bool__(self) -> bool:
        needs_number(
            "the truth value of a traced array is not known yet, so Python's if, and, or, not, min, max and sorted "
            "cannot use it; write np.where(condition, a, b), & | ~, np.minimum, np.maximum. An array made by "
            "np.array([...]) of traced values compares element by element in Python: make it with np.stack([...])"
        )

    def __float__(self) -> float:
        needs_number(
            "a traced value is no number yet: instead of math.sin(x) write np.sin(x) (and so on); instead of "
            "out = np.zeros(3); out[0] = x write np.stack([x, ...]) or out = np.zeros_like(q) from a traced array q; "
            "instead of np.array([...], dtype=float) leave the dtype away"
        )

    def __int__(self) -> int:
        needs_number("int() of a traced value: it is no number yet; use np.trunc(x) and keep the result an array")

    def __index__(self) -> int:
        needs_number(
            "a traced value cannot be an index, a length or a count: it is no number yet; give it a default value"
        )

    def __complex__(self) -> complex:
        needs_number("complex() of a traced value: complex numbers are not supported; use two real arrays")

    def __contains__(self, item: Any) -> bool:
        needs_number("`in` needs numbers, but this array is traced; write np.any(x == item)")

    # --- operators: NumPy's mixin calls the ufuncs --------------------------------------------------------------------
    def __eq__(self: Any, other: Any) -> Any:
        return NotImplemented if other is None or isinstance(other, str) else np.equal(self, other)

    def __ne__(self: Any, other: Any) -> Any:
        return NotImplemented if other is None or isinstance(other, str) else np.not_equal(self, other)

    def __round__(self: Any, digits: int | None = None) -> Any:
        return self.round(digits or 0)

    def __floor__(self: Any) -> Any:
        return np.floor(self)

    def __ceil__(self: Any) -> Any:
        return np.ceil(self)

    def __trunc__(self: Any) -> Any:
        return np.trunc(self)


# --- NumPy's functions ------------------------------------------------------------------------------------------------
def by_rule(
    rules: Mapping[Any, Callable[..., Any]], owner: Any, function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[Any, Any]:
    """What a NumPy function gives by its rule on the owner of traced values, and its `out=`; refused if it has none."""
    rule = rules.get(function)
    if rule is None:
        refuse_function(f"{getattr(function, '__module__', 'numpy')}.{function.__name__}", None)
    given = {key: value for key, value in kwargs.items() if not is_default(key, value)}
    out = given.pop("out", None)
    try:
        return rule(owner, *args, **given), out
    except TypeError as error:
        if "unexpected keyword" not in str(error):
            raise
        refuse_function(function.__name__, given)


# --- errors -----------------------------------------------------------------------------------------------------------
def needs_number(message: str) -> NoReturn:
    raise InputTypeError(message)


def is_default(key: str, value: Any) -> bool:
    """Keyword arguments that change nothing here."""
    if key == "dtype":
        return value is None or value is float or value == np.float64
    if key == "where":
        return value is True or value is np._NoValue
    if key in ("casting", "order", "subok"):
        return True
    return value is np._NoValue


def refuse_function(name: str, kwargs: dict[str, Any] | None) -> NoReturn:
    full_name = name if "." in name and name.startswith(("numpy", "scipy")) else f"numpy.{name}"
    short = full_name.rsplit(".", maxsplit=1)[-1]
    if kwargs:
        raise UnsupportedError(
            f"{full_name} with {', '.join(f'{key}=' for key in kwargs)} is not supported in a traced function; "
            f"{HINTS.get('where', '') if 'where' in kwargs else 'leave the keyword away or write it out'}"
        )
    hint = HINTS.get(short, "write it with arithmetic, np.where, np.sum and indexing")
    raise UnsupportedError(f"{full_name} is not supported in a traced function; {hint}")
