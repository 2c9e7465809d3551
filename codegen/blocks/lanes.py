"""Moving lanes between vectors and memory that is not contiguous, as LLVM IR."""

from __future__ import annotations

from collections.abc import Callable, Sequence

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


def integers(f: Function, width: int, pointer: str, step: str, wide: bool, mask: str = "") -> str:
    """Elements of an index, `step` apart, as a vector of i64; with a mask those of its lanes, 0 in the others."""
    kind = "i64" if wide else "i32"
    if step == "1":
        x = load(f, width, kind, pointer, mask)
    else:
        x = gather(f, width, kind, pointer, steps(f, width, step), mask)
    if wide:
        return x
    return f.let("index", f"sext {vector(width, 'i32')} {x} to {vector(width, 'i64')}")


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


def vector(width: int, kind: str) -> str:
    return kind if width == 1 else f"<{width} x {kind}>"


def between(f: Function, width: int, start: str, stop: str) -> str:
    """The mask of the lanes from `start` on, up to before `stop`."""
    below = live(f, width, stop)
    if start == "0":
        return below
    kind = vector(width, "i64")
    above = f.let("above", f"icmp sge {kind} {lane_numbers(width)}, {splat_integer(f, width, start)}")
    return f.let("between", f"and {vector(width, 'i1')} {below}, {above}")


_SHORT = {"double": "f64", "float": "f32"}
_BYTES = {"double": 8, "i64": 8, "float": 4, "i32": 4}


def _only(f: Function, mask: str, kind: str, load: Callable[[], str]) -> str:
    """What a single lane loads, 0 if it is masked out."""
    (value,) = either(f, mask, lambda: [load()], lambda: [ZERO[kind]], kind) if mask else [load()]
    return value


ZERO = {"double": "0.0", "float": "0.0", "i64": "0", "i32": "0"}


def load(f: Function, width: int, kind: str, pointer: str, mask: str = "") -> str:
    """A vector from memory; with a mask the lanes it has, 0 in the others."""
    if width == 1:
        return _only(f, mask, kind, lambda: f.load("x", kind, pointer))
    whole = vector(width, kind)
    if not mask:
        return f.load("x", whole, pointer, _BYTES[kind])
    name = f"@llvm.masked.load.v{width}{_SHORT.get(kind, kind)}.p0"
    lanes = f"<{width} x i1> {mask}, {whole} zeroinitializer"
    return f.let("x", f"call {whole} {name}(ptr {pointer}, i32 {_BYTES[kind]}, {lanes})")


def _every(f: Function, width: int, kind: str, base: str, places: str, mask: str) -> str:
    """The addresses, alignment and mask of a gather or scatter."""
    every = places if places != "0" else "zeroinitializer"
    pointers = f.let("places", f"getelementptr {kind}, ptr {base}, <{width} x i64> {every}")
    return f"<{width} x ptr> {pointers}, i32 {_BYTES[kind]}, <{width} x i1> {mask or 'splat (i1 true)'}"


def gather(f: Function, width: int, kind: str, base: str, places: str, mask: str = "") -> str:
    """The elements at a vector of places after an address; with a mask its lanes, 0 in the others."""
    if width == 1:
        return _only(f, mask, kind, lambda: f.load("x", kind, f.at(base, places, kind)))
    whole = vector(width, kind)
    name = f"@llvm.masked.gather.v{width}{_SHORT.get(kind, kind)}.v{width}p0"
    return f.let("x", f"call {whole} {name}({_every(f, width, kind, base, places, mask)}, {whole} zeroinitializer)")


def gather_at(f: Function, width: int, kind: str, base: str, index: str, wide: bool) -> str:
    """The elements after an address that the integers in a row at `index` say: number by number, as processors do.

    Their own instructions for this take longer than so many loads.
    """
    places = [integer(f, index, str(lane), wide) for lane in range(width)]
    numbers = [f.load("x", kind, f.at(base, place, kind)) for place in places]
    if width == 1:
        return numbers[0]
    value, whole = "poison", vector(width, kind)
    for lane, x in enumerate(numbers):
        value = f.let("x", f"insertelement {whole} {value}, {kind} {x}, i32 {lane}")
    return value


def scatter_at(f: Function, width: int, kind: str, base: str, index: str, wide: bool, value: str) -> None:
    """A vector to the elements after an address that the integers in a row at `index` say, all different."""
    for lane in range(width):
        place = integer(f, index, str(lane), wide)
        x = value
        if width > 1:
            x = f.let("x", f"extractelement {vector(width, kind)} {value}, i32 {lane}")
        f.store(kind, x, f.at(base, place, kind))


def store(f: Function, width: int, kind: str, pointer: str, value: str, mask: str = "") -> None:
    """A vector to memory, or the lanes of a mask."""
    if mask and width > 1:
        name = f"@llvm.masked.store.v{width}{_SHORT.get(kind, kind)}.p0"
        lanes = f"<{width} x i1> {mask}"
        f.do(f"call void {name}({vector(width, kind)} {value}, ptr {pointer}, i32 {_BYTES[kind]}, {lanes})")
    elif mask:
        with f.when(mask):
            f.store(kind, value, pointer)
    else:
        f.store(vector(width, kind), value, pointer, _BYTES[kind])


def scatter(f: Function, width: int, kind: str, base: str, places: str, value: str, mask: str = "") -> None:
    """A vector to a vector of places after an address, all different; or the lanes of a mask."""
    if width == 1:
        store(f, width, kind, f.at(base, places, kind), value, mask)
        return
    name = f"@llvm.masked.scatter.v{width}{_SHORT.get(kind, kind)}.v{width}p0"
    f.do(f"call void {name}({vector(width, kind)} {value}, {_every(f, width, kind, base, places, mask)})")


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
