"""Run a user's original function over any kind of number: tensors of the numeric tape, or multiple precision.

An `Algebra` says what the operation names of the table mean for its numbers. SymPy expressions are walked node by node;
Python functions run on object arrays of `Lane`, each of which holds one number of the algebra (for the tape, the values
of one element at all points at once). Nothing here reads the symbolic side's graph, translation or derivatives.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial, reduce
from typing import Any

import numpy as np
import sympy as sp
from sympy.codegen import cfunctions
from sympy.functions.elementary.piecewise import ExprCondPair
from sympy.matrices.expressions.matexpr import MatrixElement

from hybrid.composite import expand
from hybrid.definition import PythonSource, SymPySource
from hybrid.errors import UnsupportedError
from hybrid.replay_matrices import Matrices
from hybrid.sympy_functions import CLASSES


@dataclass(frozen=True)
class Algebra:
    """Numbers of one kind: what each operation does to them, how a constant becomes one, and when a mask is decided.

    `number` takes int, Fraction, float, bool or a SymPy NumberSymbol. `truth` turns a mask into a Python bool or raises
    UnsupportedError.
    """

    operations: Mapping[str, Callable[..., Any]]
    number: Callable[[Any], Any]
    truth: Callable[[Any], bool]
    of_many: Mapping[str, Callable[[Sequence[Any]], Any]] = field(default_factory=dict)

    def fold(self, name: str, values: Sequence[Any]) -> Any:
        """A sum, product, minimum, … of several values: from the left, unless `of_many` says how."""
        if name in self.of_many and len(values) > 2:
            return self.of_many[name](values)
        return reduce(self.operations[name], values)


# --- SymPy expressions ------------------------------------------------------------------------------------------------
SAME_IN_SYMPY = "exp log sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh erf erfc gamma loggamma sign floor"
ONE_ARGUMENT: dict[Any, str] = {getattr(sp, name): name for name in SAME_IN_SYMPY.split()} | {
    sp.Abs: "abs",
    sp.ceiling: "ceil",
    sp.Not: "not",
    sp.erfinv: "erfinv",
    sp.sinc: "sinc",
    sp.LambertW: "lambertw",
    cfunctions.exp2: "exp2",
    cfunctions.expm1: "expm1",
    cfunctions.log2: "log2",
    cfunctions.log10: "log10",
    cfunctions.log1p: "log1p",
    cfunctions.Sqrt: "sqrt",
    cfunctions.Cbrt: "cbrt",
    **{cls: row.name for row, cls in CLASSES.items() if row.arity == 1},
}
TWO_ARGUMENTS: dict[Any, str] = {
    **{cls: row.name for row, cls in CLASSES.items() if row.arity == 2 and not row.ordered},
    sp.atan2: "atan2",
    sp.beta: "beta",
    sp.Mod: "mod",
    sp.Heaviside: "heaviside",
    cfunctions.hypot: "hypot",
    sp.StrictLessThan: "lt",
    sp.LessThan: "le",
    sp.StrictGreaterThan: "gt",
    sp.GreaterThan: "ge",
    sp.Eq: "eq",
    sp.Ne: "ne",
}
ANY_ARGUMENTS: dict[Any, str] = {
    sp.Add: "add",
    sp.Mul: "mul",
    sp.Max: "maximum",
    sp.Min: "minimum",
    sp.And: "and",
    sp.Or: "or",
    sp.Xor: "xor",
}
ORDERED: dict[Any, str] = {
    **{cls: row.name for row, cls in CLASSES.items() if row.ordered},
    sp.besselj: "jv",
    sp.besseli: "iv",
    sp.jn: "spherical_jn",
}
# Classes that are carried out or spelled out in SymPy first; `None` means `doit`.
SPELLED_OUT: dict[Any, Callable[..., Any] | None] = {
    sp.sec: lambda x: 1 / sp.cos(x),
    sp.csc: lambda x: 1 / sp.sin(x),
    sp.cot: lambda x: 1 / sp.tan(x),
    sp.sech: lambda x: 1 / sp.cosh(x),
    sp.csch: lambda x: 1 / sp.sinh(x),
    sp.coth: lambda x: 1 / sp.tanh(x),
    sp.asec: lambda x: sp.acos(1 / x),
    sp.acsc: lambda x: sp.asin(1 / x),
    sp.acot: lambda x: sp.atan(1 / x),
    sp.asech: lambda x: sp.acosh(1 / x),
    sp.acsch: lambda x: sp.asinh(1 / x),
    sp.acoth: lambda x: sp.atanh(1 / x),
    sp.frac: lambda x: x - sp.floor(x),
    sp.erf2: lambda x, y: sp.erf(y) - sp.erf(x),
    sp.factorial: lambda n: sp.gamma(n + 1),
    sp.Sum: None,
    sp.Product: None,
    sp.Derivative: None,
    sp.Subs: None,
}


def replay_sympy(
    source: SymPySource, values: Sequence[Sequence[Any]], algebra: Algebra, wanted: Sequence[int] | None = None
) -> list[Any]:
    """The outputs (or only the `wanted` ones) of a SymPy function at the given value of every argument element.

    Raises UnsupportedError for a SymPy node without an entry in the tables of this module.
    """
    leaves = {
        symbol: value
        for symbols, elements in zip(source.symbols, values, strict=True)
        for symbol, value in zip(symbols, elements, strict=True)
    }
    walk = SymPyWalk(leaves, algebra)
    chosen = source.expressions if wanted is None else [source.expressions[i] for i in wanted]
    return [walk.value(sp.sympify(expression)) for expression in chosen]


class SymPyWalk:
    """Values of SymPy nodes, each found once; a stack of our own, because expressions may be deep."""

    def __init__(self, leaves: Mapping[Any, Any], algebra: Algebra) -> None:
        self.leaves = leaves
        self.algebra = algebra
        # Keyed by identity, because comparing deep SymPy trees recurses; `alive` keeps identities from being reused.
        self.known: dict[int, Any] = {}
        self.alive: list[Any] = []
        self.matrices = Matrices(algebra.operations, self.value)

    def value(self, root: Any) -> Any:
        known, stack, written = self.known, [root], dict[int, Any]()
        self.alive.append(root)
        while stack:
            node = stack[-1]
            key = id(node)
            if key in known:
                stack.pop()
                continue
            if node.func in SPELLED_OUT:
                if key not in written:
                    written[key] = self._written(node)
                    stack.append(written[key])
                else:
                    known[key] = known[id(written[key])]
                continue
            is_leaf = not node.args or isinstance(node, MatrixElement | sp.Indexed | sp.Trace | sp.Determinant)
            missing = [] if is_leaf else [arg for arg in node.args if id(arg) not in known]
            if missing:
                stack.extend(missing)
            else:
                known[key] = self._leaf(node) if is_leaf else self._apply(node)
        return known[id(root)]

    def _written(self, node: Any) -> Any:
        spell = SPELLED_OUT[node.func]
        written = node.doit() if spell is None else spell(*node.args)
        if written.func is node.func:
            raise UnsupportedError(f"the check cannot carry out the SymPy node {node.func.__name__}")
        self.alive.append(written)
        return written

    def _leaf(self, node: Any) -> Any:
        number = self.algebra.number
        if node in self.leaves:
            return self.leaves[node]
        if isinstance(node, MatrixElement) and not isinstance(node.parent, sp.MatrixSymbol):
            return self.matrices.rows(node.parent)[int(node.i)][int(node.j)]
        if isinstance(node, sp.Determinant):
            return self.matrices.determinant(self.matrices.rows(node.arg))
        if isinstance(node, sp.Trace):
            rows = self.matrices.rows(node.arg)
            return self.algebra.fold("add", [row[i] for i, row in enumerate(rows)])
        if node in (sp.true, sp.false):
            return number(bool(node))
        if node.is_Rational:
            return number(int(node.p) if node.q == 1 else Fraction(int(node.p), int(node.q)))
        if node.is_Float or node in (sp.oo, -sp.oo, sp.nan):
            return number(float(node))
        if node.is_NumberSymbol:
            return number(node)
        raise UnsupportedError(f"the check has no value for {node!r}, which is no argument and no real number")

    def _apply(self, node: Any) -> Any:
        algebra, kind = self.algebra, node.func
        if kind is ExprCondPair:
            return None  # its parts are read by the Piecewise itself
        args = [self.known[id(arg)] for arg in node.args]
        if kind in ANY_ARGUMENTS:
            return algebra.fold(ANY_ARGUMENTS[kind], args)
        if kind is sp.Pow:
            return self._power(node, args)
        if kind in ONE_ARGUMENT:
            return algebra.operations[ONE_ARGUMENT[kind]](args[0])
        if hasattr(kind, "hybrid_row"):  # a function of the user's own
            return algebra.operations[kind.hybrid_row](*args)
        if kind in TWO_ARGUMENTS:
            return algebra.operations[TWO_ARGUMENTS[kind]](*args)
        if kind is sp.Piecewise:
            return self._piecewise(node)
        if kind is sp.ITE:
            return algebra.operations["select"](*args)
        if kind is sp.polygamma:
            order = int(node.args[0])
            if order == 0:
                return algebra.operations["digamma"](args[1])
            return algebra.operations["polygamma"](order, args[1])
        if kind in ORDERED:
            return algebra.operations[ORDERED[kind]](int(node.args[0]), args[1])
        raise UnsupportedError(f"the check has no meaning for the SymPy node {kind.__name__}")

    def _power(self, node: Any, args: Sequence[Any]) -> Any:
        algebra = self.algebra
        base, exponent = node.args
        if base is sp.E:
            return algebra.operations["exp"](args[1])
        if exponent in (sp.S.Half, -sp.S.Half):
            root = algebra.operations["sqrt"](args[0])
            return root if exponent is sp.S.Half else algebra.operations["div"](algebra.number(1), root)
        if exponent is sp.S.NegativeOne:
            return algebra.operations["div"](algebra.number(1), args[0])
        return algebra.operations["pow"](*args)

    def _piecewise(self, node: Any) -> Any:
        """Branches from the last to the first; NaN where no condition holds."""
        pairs = [pair.args for pair in node.args]
        result = self.algebra.number(float("nan"))
        if pairs[-1][1] is not sp.true:  # no default: outside, the derivatives of all pieces are NaN too
            pieces = [self.known[id(expression)] for expression, _ in pairs]
            result = self.algebra.operations["mul"](self.algebra.fold("add", pieces), result)
        for expression, condition in reversed(pairs):
            taken = self.known[id(expression)]
            if condition is sp.true:
                result = taken
            else:
                result = self.algebra.operations["select"](self.known[id(condition)], taken, result)
        return result


# --- the graph, where the source cannot be run ------------------------------------------------------------------------
def replay_graph(graph: Any, roots: Sequence[int], values: Mapping[int, Any], algebra: Algebra) -> list[Any]:
    """The nodes of a function's graph from the values of its variable nodes: a last resort that checks less."""
    known: dict[int, Any] = dict(values)
    roots = expand(graph, roots)
    for node in graph.reach(roots):
        if node in known:
            continue
        name = graph.ops[node].name
        if name == "constant":
            number = graph.leaves[node]
            known[node] = algebra.number(getattr(number, "sympy", number))
        else:
            args = [known[arg] for arg in graph.args[node]]
            known[node] = algebra.fold(name, args) if graph.ops[node].variadic else algebra.operations[name](*args)
    return [known[root] for root in roots]


# --- Python functions -------------------------------------------------------------------------------------------------
SAME_IN_NUMPY = (
    "sqrt cbrt hypot exp exp2 expm1 log log2 log10 log1p sin cos tan sinh cosh tanh maximum minimum sign floor ceil "
    "trunc rint fmod copysign heaviside logaddexp"
)
# NumPy's name of a ufunc -> the table's name of the operation.
UFUNCS: dict[str, str] = {name: name for name in SAME_IN_NUMPY.split()} | {
    "add": "add",
    "subtract": "sub",
    "multiply": "mul",
    "divide": "div",
    "true_divide": "div",
    "negative": "neg",
    "power": "pow",
    "float_power": "pow",
    "absolute": "abs",
    "fabs": "abs",
    "remainder": "mod",
    "arcsin": "asin",
    "arccos": "acos",
    "arctan": "atan",
    "arctan2": "atan2",
    "arcsinh": "asinh",
    "arccosh": "acosh",
    "arctanh": "atanh",
    "less": "lt",
    "less_equal": "le",
    "greater": "gt",
    "greater_equal": "ge",
    "equal": "eq",
    "not_equal": "ne",
    "logical_and": "and",
    "logical_or": "or",
    "logical_xor": "xor",
    "logical_not": "not",
    "bitwise_and": "and",
    "bitwise_or": "or",
    "bitwise_xor": "xor",
    "invert": "not",
}


def _operator(name: str) -> Callable[[Any, Any], Any]:
    def operate(self: Lane, other: Any) -> Any:
        return NotImplemented if isinstance(other, np.ndarray) else _scalar(self.algebra, name, self, other)

    return operate


def _reflected(name: str) -> Callable[[Any, Any], Any]:
    def operate(self: Lane, other: Any) -> Any:
        return NotImplemented if isinstance(other, np.ndarray) else _scalar(self.algebra, name, other, self)

    return operate


class Lane:
    """One number of an algebra, opaque to NumPy: object arrays of it are ordinary arrays to a user's function."""

    __slots__ = ("algebra", "value")

    def __init__(self, value: Any, algebra: Algebra) -> None:
        self.value = value
        self.algebra = algebra

    __add__, __radd__ = _operator("add"), _reflected("add")
    __sub__, __rsub__ = _operator("sub"), _reflected("sub")
    __mul__, __rmul__ = _operator("mul"), _reflected("mul")
    __truediv__, __rtruediv__ = _operator("div"), _reflected("div")
    __mod__, __rmod__ = _operator("mod"), _reflected("mod")
    __pow__, __rpow__ = _operator("pow"), _reflected("pow")
    __and__, __rand__ = _operator("and"), _reflected("and")
    __or__, __ror__ = _operator("or"), _reflected("or")
    __xor__, __rxor__ = _operator("xor"), _reflected("xor")
    __lt__, __le__, __gt__, __ge__ = _operator("lt"), _operator("le"), _operator("gt"), _operator("ge")
    __eq__, __ne__ = _operator("eq"), _operator("ne")
    __hash__ = object.__hash__

    def __neg__(self) -> Lane:
        return _scalar(self.algebra, "neg", self)

    def __pos__(self) -> Lane:
        return self

    def __abs__(self) -> Lane:
        return _scalar(self.algebra, "abs", self)

    def __invert__(self) -> Lane:
        return _scalar(self.algebra, "not", self)

    def __bool__(self) -> bool:
        return self.algebra.truth(self.value)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return _apply_ufunc(self.algebra, ufunc, method, inputs, kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return _apply_function(self.algebra, function, args, kwargs)

    def __hybrid_elementwise__(self, name: str, *args: Any) -> Any:
        return _apply_named(self.algebra, name, args)

    def __getattr__(self, name: str) -> Any:
        # NumPy's loops over arrays of objects call `element.exp()`, `element.arctan2(other)`, …
        if name in UFUNCS and not name.startswith("__"):
            return lambda *others: _scalar(self.algebra, UFUNCS[name], self, *others)
        raise AttributeError(f"an element of the checked function has no attribute {name!r}")


def _scalar(algebra: Algebra, name: str, *operands: Any) -> Lane:
    values = [o.value if isinstance(o, Lane) else algebra.number(_plain_number(o)) for o in operands]
    return Lane(algebra.operations[name](*values), algebra)


def _plain_number(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, bool | int | float | Fraction):
        return value
    raise UnsupportedError(f"the check met {value!r} where the function should have a real number")


class LaneArray(np.ndarray[Any, Any]):
    """An object array of `Lane`: NumPy does the indexing and the shapes, the algebra does the arithmetic."""

    algebra: Algebra

    def __array_finalize__(self, other: Any) -> None:
        if other is not None:
            self.algebra = getattr(other, "algebra", None)  # type: ignore[assignment]  # set by `lanes` for new arrays

    def __array_ufunc__(self, ufunc: np.ufunc, method: Any, *inputs: Any, **kwargs: Any) -> Any:
        return _apply_ufunc(self.algebra, ufunc, method, inputs, kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return _apply_function(self.algebra, function, args, kwargs)

    def __hybrid_elementwise__(self, name: str, *args: Any) -> Any:
        return _apply_named(self.algebra, name, args)


def _apply_named(algebra: Algebra, name: str, args: Sequence[Any]) -> Any:
    """An elementary function of `hybrid.elementwise`."""
    elementwise = np.frompyfunc(lambda *operands: _scalar(algebra, name, *operands), len(args), 1)
    return _lane_array(elementwise(*[_objects(arg) for arg in args]), algebra)


def _apply_ufunc(algebra: Algebra, ufunc: np.ufunc, method: str, inputs: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    if method == "__call__" and not kwargs and not any(isinstance(x, np.ndarray | list | tuple) for x in inputs):
        name = UFUNCS.get(ufunc.__name__)
        if name is not None:
            return _scalar(algebra, name, *inputs)
    plain = [_objects(x) for x in inputs]
    outputs = kwargs.pop("out", None)
    if ufunc is np.matmul:
        result = np.matmul(*plain, **kwargs)
    elif ufunc is np.square:
        result = _apply_ufunc(algebra, np.multiply, method, [inputs[0], inputs[0]], kwargs)
    elif ufunc is np.reciprocal:
        result = _apply_ufunc(algebra, np.divide, method, [1, inputs[0]], kwargs)
    elif ufunc is np.positive:
        result = plain[0]
    else:
        name = UFUNCS.get(ufunc.__name__)
        if name is None:
            raise UnsupportedError(f"the check has no meaning for numpy.{ufunc.__name__}")
        elementwise = np.frompyfunc(lambda *operands: _scalar(algebra, name, *operands), ufunc.nin, 1)
        reduce_axes = partial(_reduce, algebra, name, elementwise)
        apply = reduce_axes if method == "reduce" else getattr(elementwise, method)
        result = apply(*plain, **kwargs)
    if outputs is not None:
        np.asarray(outputs[0])[...] = result
        return outputs[0]
    return _lane_array(result, algebra)


def _reduce(
    algebra: Algebra,
    name: str,
    elementwise: Any,
    array: Any,
    axis: Any = 0,
    dtype: Any = None,
    keepdims: bool = False,
    where: Any = True,
    **kwargs: Any,
) -> Any:
    """A sum, product, minimum or maximum over any axes: one after the other, or of all values at once."""
    axes = range(array.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    places = sorted((a % array.ndim for a in axes), reverse=True)
    if name in algebra.of_many and where is True and not kwargs:
        shape = [1 if a in places else length for a, length in enumerate(array.shape)]
        several = math.prod(array.shape[a] for a in places)
        groups = np.moveaxis(array, places, range(len(places))).reshape(several, -1)
        result = np.empty(groups.shape[1], dtype=object)
        for column in range(groups.shape[1]):
            values = [o.value if isinstance(o, Lane) else algebra.number(o) for o in groups[:, column]]
            result[column] = Lane(algebra.fold(name, values), algebra)
        return result.reshape(shape) if keepdims else result.reshape(np.delete(shape, places))[()]
    for one in places:
        array = elementwise.reduce(array, axis=one, keepdims=keepdims, where=where, **kwargs)
    return array


def _apply_function(algebra: Algebra, function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """NumPy's functions that compare or average are spelled out; all others only move elements, add and multiply."""
    if function is np.where and len(args) == 3:
        select = np.frompyfunc(lambda *operands: _scalar(algebra, "select", *operands), 3, 1)
        return _lane_array(select(*[_objects(x) for x in args]), algebra)
    if function is np.clip and not kwargs and len(args) == 3:
        x, low, high = args
        return np.where(x < low, low, np.where(x > high, high, x))  # at a bound the slope is 1
    if function is np.mean:
        array = _objects(args[0])
        total = np.sum(_lane_array(array, algebra), *args[1:], **kwargs)
        return total / (array.size // max(np.size(total), 1))
    if function is np.linalg.norm and not kwargs and len(args) == 1:
        array = _lane_array(_objects(args[0]).ravel(), algebra)
        return np.sqrt(np.sum(array * array))
    lowered = [_lane_array(_objects(arg), algebra) if isinstance(arg, Lane) else arg for arg in args]
    return np.ndarray.__array_function__(
        _lane_array(np.empty(0, dtype=object), algebra), function, (LaneArray,), tuple(lowered), kwargs
    )


def _objects(x: Any) -> Any:
    """Operands as plain object arrays (a Lane as an array without axes), so that NumPy's own loops run on them."""
    if isinstance(x, Lane):
        array = np.empty((), dtype=object)
        array[()] = x
        return array
    return np.asarray(x, dtype=object) if isinstance(x, np.ndarray | list | tuple) else x


def _lane_array(result: Any, algebra: Algebra) -> Any:
    if not isinstance(result, np.ndarray):
        return result
    array = np.asarray(result, dtype=object).view(LaneArray)
    array.algebra = algebra
    return array


def lanes(values: Sequence[Any], shape: tuple[int, ...], algebra: Algebra) -> Any:
    """An argument for a user's function: a Lane for shape (), else an object array of them in C order."""
    if shape == ():
        return Lane(values[0], algebra)
    array = np.empty(len(values), dtype=object)
    array[:] = [Lane(value, algebra) for value in values]
    return _lane_array(array.reshape(shape), algebra)


def replay_python(
    source: PythonSource, shapes: Sequence[tuple[int, ...]], values: Sequence[Sequence[Any]], algebra: Algebra
) -> list[Any]:
    """The outputs, in C order, of a user's Python function at the given value of every argument element.

    Raises whatever the function raises where it does something that single numbers of the algebra cannot answer.
    """
    result = source.function(*[lanes(v, shape, algebra) for v, shape in zip(values, shapes, strict=True)])
    return [
        element.value if isinstance(element, Lane) else algebra.number(_plain_number(element))
        for element in _elements(result)
    ]


def _elements(result: Any) -> list[Any]:
    if isinstance(result, list | tuple):
        return [element for part in result for element in _elements(part)]
    return list(result.ravel()) if isinstance(result, np.ndarray) else [result]
