"""Moving lanes between vectors and memory that is not contiguous, as LLVM IR."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from codegen.target import Target
from codegen.text import Function


def integer(f: Function, pointer: str, place: str, wide: bool) -> str:
    """An element of an index, as i64."""
    kind = "i64" if wide else "i32"
    x = f.load("index", kind, f.at(pointer, place, kind))
    return x if wide else f.let("index", f"sext i32 {x} to i64")


def plus(f: Function, *terms: str) -> str:
    total = "0"
    for term in terms:
        total = term if total == "0" else total if term == "0" else f.let("sum", f"add i64 {total}, {term}")
    return total


def times(f: Function, a: str, b: str) -> str:
    if "0" in (a, b):
        return "0"
    return a if b == "1" else b if a == "1" else f.let("product", f"mul i64 {a}, {b}")


def splat_integer(f: Function, width: int, value: str) -> str:
    if width == 1:
        return value
    one = f.let("one", f"insertelement <{width} x i64> poison, i64 {value}, i64 0")
    zeros = f"<{width} x i32> zeroinitializer"
    return f.let("all", f"shufflevector <{width} x i64> {one}, <{width} x i64> poison, {zeros}")


def lane_numbers(width: int) -> str:
    return "0" if width == 1 else "<" + ", ".join(f"i64 {number}" for number in range(width)) + ">"


def live(f: Function, width: int, count: str) -> str:
    """The mask of the first `count` lanes, which may be none or all."""
    kind = "i64" if width == 1 else f"<{width} x i64>"
    return f.let("live", f"icmp slt {kind} {lane_numbers(width)}, {splat_integer(f, width, count)}")


def integers(f: Function, width: int, pointer: str, place: str, step: str, wide: bool) -> str:
    """Elements of an index, `step` apart, as a vector of i64."""
    kind = "i64" if wide else "i32"
    if width == 1:
        return integer(f, pointer, place, wide)
    if step == "1":
        x = f.load("index", f"<{width} x {kind}>", f.at(pointer, place, kind), 8 if wide else 4)
        return x if wide else f.let("index", f"sext <{width} x i32> {x} to <{width} x i64>")
    vector = "poison"
    for number in range(width):
        x = integer(f, pointer, place, wide)
        vector = f.let("index", f"insertelement <{width} x i64> {vector}, i64 {x}, i32 {number}")
        place = plus(f, place, step)
    return vector


def plus_vectors(f: Function, width: int, a: str, b: str) -> str:
    """The sum of two vectors of i64, of which "0" is none."""
    if "0" in (a, b):
        return b if a == "0" else a
    return f.let("sum", f"add {'i64' if width == 1 else f'<{width} x i64>'} {a}, {b}")


def steps(f: Function, width: int, stride: str) -> str:
    """stride·lane; "0" if that is 0 everywhere."""
    if stride == "0" or width == 1:
        return "0"
    if stride == "1":
        return lane_numbers(width)
    return f.let("steps", f"mul <{width} x i64> {splat_integer(f, width, stride)}, {lane_numbers(width)}")


def _pointers(f: Function, target: Target, base: str, places: str) -> str:
    width = target.width
    every = places if places != "0" else "zeroinitializer"
    return f.let("places", f"getelementptr {target.scalar}, ptr {base}, <{width} x i64> {every}")


def gather(f: Function, target: Target, base: str, places: str) -> str:
    """The elements at a vector of places after an address."""
    width = target.width
    if width == 1:
        return f.load("x", target.scalar, f.at(base, places, target.scalar))
    suffix = f"v{width}f{8 * target.bytes}.v{width}p0"
    every = f"<{width} x ptr> {_pointers(f, target, base, places)}, i32 {target.bytes}, <{width} x i1> splat (i1 true)"
    return f.let("x", f"call {target.vector} @llvm.masked.gather.{suffix}({every}, {target.vector} poison)")


def scatter(f: Function, target: Target, base: str, places: str, value: str) -> None:
    """A vector to a vector of places after an address, all different."""
    width = target.width
    if width == 1:
        f.store(target.scalar, value, f.at(base, places, target.scalar))
        return
    suffix = f"v{width}f{8 * target.bytes}.v{width}p0"
    every = f"<{width} x ptr> {_pointers(f, target, base, places)}, i32 {target.bytes}, <{width} x i1> splat (i1 true)"
    f.do(f"call void @llvm.masked.scatter.{suffix}({target.vector} {value}, {every})")


def either(
    f: Function, condition: str, yes: Callable[[], Sequence[str]], no: Callable[[], Sequence[str]], kind: str
) -> list[str]:
    """`yes()` if the i1 holds, else `no()`: the values of type `kind` that either gives."""
    first, second, after = f.unique("yes"), f.unique("no"), f.unique("either")
    f.do(f"br i1 {condition}, label %{first}, label %{second}")
    f.start(first)
    made = yes()
    from_first = f.block
    f.do(f"br label %{after}")
    f.start(second)
    other = no()
    from_second = f.block
    f.do(f"br label %{after}")
    f.start(after)
    return [
        f.let("value", f"phi {kind} [ {a}, %{from_first} ], [ {b}, %{from_second} ]")
        for a, b in zip(made, other, strict=True)
    ]


def helpers(target: Target) -> list[Function]:
    """Functions for the lanes at the ends of an axis, which are not worth code of their own in each nest."""
    return [_tail(target), *(_tail_indexed(target, wide) for wide in (False, True)), _edge(target)] + [
        _edge_indexed(target, wide) for wide in (False, True)
    ]


def _lanes_in_memory(f: Function, target: Target) -> None:
    f.do(f"%lanes = alloca {target.vector}, align 64")
    f.store(target.vector, "zeroinitializer", "%lanes", 64)


def _take(f: Function, target: Target) -> None:
    f.do(f"ret {target.vector} {f.load('taken', target.vector, '%lanes', 64)}")


def _tail(target: Target) -> Function:
    """The first `count` lanes from elements `stride` apart, zero in the others."""
    f = Function(f"define internal {target.vector} @hy.tail.{target.width}(ptr %from, i64 %stride, i64 %count) #1")
    _lanes_in_memory(f, target)
    most = f.let("most", f"call i64 @llvm.smin.i64(i64 %count, i64 {target.width})")
    with f.loop("l", 0, most) as number:
        x = f.load("x", target.scalar, f.at("%from", times(f, number, "%stride"), target.scalar))
        f.store(target.scalar, x, f.at("%lanes", number, target.scalar))
    _take(f, target)
    return f


def _tail_indexed(target: Target, wide: bool) -> Function:
    """The same of elements scale·index + stride·lane, the index read `step` apart."""
    parameters = "ptr %from, ptr %index, i64 %step, i64 %scale, i64 %stride, i64 %count"
    f = Function(f"define internal {target.vector} @hy.tail{64 if wide else 32}.{target.width}({parameters}) #1")
    _lanes_in_memory(f, target)
    most = f.let("most", f"call i64 @llvm.smin.i64(i64 %count, i64 {target.width})")
    with f.loop("l", 0, most) as number:
        index = integer(f, "%index", times(f, number, "%step"), wide)
        place = plus(f, times(f, index, "%scale"), times(f, number, "%stride"))
        x = f.load("x", target.scalar, f.at("%from", place, target.scalar))
        f.store(target.scalar, x, f.at("%lanes", number, target.scalar))
    _take(f, target)
    return f


def _edge(target: Target) -> Function:
    """Lanes `start` to `stop` to elements `stride` apart; added to what is there if `add`."""
    parameters = f"ptr %to, {target.vector} %x, i64 %stride, i64 %start, i64 %stop, i1 %add"
    f = Function(f"define internal void @hy.edge.{target.width}({parameters}) #1")
    _lanes_in_memory(f, target)
    f.store(target.vector, "%x", "%lanes", 64)
    first = f.let("first", "call i64 @llvm.smax.i64(i64 %start, i64 0)")
    last = f.let("last", f"call i64 @llvm.smin.i64(i64 %stop, i64 {target.width})")
    with f.loop("l", first, last) as number:
        x = f.load("x", target.scalar, f.at("%lanes", number, target.scalar))
        to = f.at("%to", times(f, number, "%stride"), target.scalar)
        with f.when("%add"):
            old = f.load("old", target.scalar, to)
            f.store(target.scalar, f.let("sum", f"fadd {target.scalar} {old}, {x}"), to)
        with f.when(f.let("store", "xor i1 %add, true")):
            f.store(target.scalar, x, to)
    f.do("ret void")
    return f


def _edge_indexed(target: Target, wide: bool) -> Function:
    parameters = f"ptr %to, {target.vector} %x, ptr %index, i64 %step, i64 %scale, i64 %stride, i64 %count"
    f = Function(f"define internal void @hy.edge{64 if wide else 32}.{target.width}({parameters}) #1")
    _lanes_in_memory(f, target)
    f.store(target.vector, "%x", "%lanes", 64)
    most = f.let("most", f"call i64 @llvm.smin.i64(i64 %count, i64 {target.width})")
    with f.loop("l", 0, most) as number:
        index = integer(f, "%index", times(f, number, "%step"), wide)
        place = plus(f, times(f, index, "%scale"), times(f, number, "%stride"))
        x = f.load("x", target.scalar, f.at("%lanes", number, target.scalar))
        f.store(target.scalar, x, f.at("%to", place, target.scalar))
    f.do("ret void")
    return f
