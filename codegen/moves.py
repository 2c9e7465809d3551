"""Moving points between memory and rows, as LLVM IR: copies, gathers, scatters and register transposes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from codegen.target import Target
from codegen.text import Function


def copy(target: Target) -> Function:
    """`count` numbers from one place to another."""
    f = Function("define internal void @hy.copy(ptr noalias %to, ptr noalias %from, i64 %count) #0")
    whole = f.let("whole", f"and i64 %count, {-target.width}")
    with f.loop("i", 0, whole, target.width) as i:
        f.store(
            target.vector, f.load("v", target.vector, f.at("%from", i, target.scalar)), f.at("%to", i, target.scalar)
        )
    copy_scalars(f, target, "%to", "%from", whole, "%count")
    f.do("ret void")
    return f


def copy_scalars(f: Function, target: Target, to: str, source: str, start: str, stop: str) -> None:
    with f.loop("one", start, stop) as one:
        f.store(
            target.scalar, f.load("x", target.scalar, f.at(source, one, target.scalar)), f.at(to, one, target.scalar)
        )


def gather_row(target: Target) -> Function:
    """`count` numbers, `step` bytes apart, into a row; the last is repeated up to a whole vector."""
    f = Function("define internal void @hy.gather_row(ptr noalias %row, ptr noalias %from, i64 %step, i64 %count) #0")
    contiguous = f.let("contiguous", f"icmp eq i64 %step, {target.bytes}")
    with f.when(contiguous):
        f.do("call void @hy.copy(ptr %row, ptr %from, i64 %count)")
    strided = f.let("strided", f"select i1 {contiguous}, i64 0, i64 %count")
    with f.loop("p", 0, strided) as p:
        x = f.load("x", target.scalar, f.at("%from", f.let("offset", f"mul i64 {p}, %step")))
        f.store(target.scalar, x, f.at("%row", p, target.scalar))
    last = f.load("last", target.scalar, f.at("%row", f.let("final", "sub i64 %count, 1"), target.scalar))
    with f.loop("pad", "%count", rounded_up(f, target)) as p:
        f.store(target.scalar, last, f.at("%row", p, target.scalar))
    f.do("ret void")
    return f


def rounded_up(f: Function, target: Target) -> str:
    width = target.width
    return f.let("rounded", f"and i64 {f.let('up', f'add i64 %count, {width - 1}')}, {-width}")


def scatter_row(target: Target) -> Function:
    """`count` numbers of a row to places `step` bytes apart."""
    f = Function("define internal void @hy.scatter_row(ptr noalias %to, i64 %step, ptr noalias %row, i64 %count) #0")
    with f.early_return(f.let("contiguous", f"icmp eq i64 %step, {target.bytes}")):
        f.do("call void @hy.copy(ptr %to, ptr %row, i64 %count)")
        f.do("ret void")
    with f.loop("p", 0, "%count") as p:
        x = f.load("x", target.scalar, f.at("%row", p, target.scalar))
        f.store(target.scalar, x, f.at("%to", f.let("offset", f"mul i64 {p}, %step")))
    f.do("ret void")
    return f


def fill(target: Target) -> Function:
    f = Function(f"define internal void @hy.fill(ptr noalias %row, {target.scalar} %x, i64 %count) #0")
    value = splat(f, target, "%x")
    with f.loop("p", 0, "%count", target.width) as p:
        f.store(target.vector, value, f.at("%row", p, target.scalar))
    f.do("ret void")
    return f


def splat(f: Function, target: Target, value: str) -> str:
    """A vector whose lanes all hold the number `value`."""
    width, vector = target.width, target.vector
    if width == 1:
        return value
    one = f.let("one", f"insertelement {vector} poison, {target.scalar} {value}, i64 0")
    return f.let("all", f"shufflevector {vector} {one}, {vector} poison, <{width} x i32> zeroinitializer")


def offsets(target: Target) -> Function:
    """Byte offsets of an array's elements in C order, from its core strides; 1 if they are contiguous, else 0.

    The offsets of contiguous elements are not written: nothing reads them.
    """
    f = Function(
        "define internal i64 @hy.offsets(ptr noalias %offsets, ptr noalias %shape, ptr noalias %strides, "
        "i64 %rank, i64 %size) #0"
    )
    # Kept in memory: what little time this takes is not worth the phis.
    for variable in ("%rest", "%sum", "%expected", "%misses"):
        f.do(f"{variable} = alloca i64, align 8")
    f.store("i64", str(target.bytes), "%expected")
    f.store("i64", "0", "%misses")
    axes = f.let("axes", "add i64 %rank, 1")
    with f.loop("k", 1, axes) as k:
        extent, stride = _axis(f, k)
        expected = f.load("expected", "i64", "%expected")
        misses = f.let("misses", f"icmp ne i64 {stride}, {expected}")
        # The stride of an axis of one element is never used, and NumPy gives it any value.
        counts = f.let("counts", f"and i1 {misses}, {f.let('long', f'icmp ne i64 {extent}, 1')}")
        before = f.load("before", "i64", "%misses")
        f.store("i64", f.let("total", f"add i64 {before}, {f.let('miss', f'zext i1 {counts} to i64')}"), "%misses")
        f.store("i64", f.let("next", f"mul i64 {expected}, {extent}"), "%expected")
    with f.early_return(f.let("contiguous", f"icmp eq i64 {f.load('misses', 'i64', '%misses')}, 0")):
        f.do("ret i64 1")
    with f.loop("e", 0, "%size") as e:
        # Mixed-radix digits of the element number, last axis first.
        f.store("i64", e, "%rest")
        f.store("i64", "0", "%sum")
        with f.loop("k", 1, axes) as k:
            extent, stride = _axis(f, k)
            rest = f.load("left", "i64", "%rest")
            digit = f.let("digit", f"urem i64 {rest}, {extent}")
            f.store("i64", f.let("quotient", f"udiv i64 {rest}, {extent}"), "%rest")
            part = f.let("part", f"mul i64 {digit}, {stride}")
            f.store("i64", f.let("total", f"add i64 {f.load('before', 'i64', '%sum')}, {part}"), "%sum")
        f.store("i64", f.load("offset", "i64", "%sum"), f.at("%offsets", e, "i64"))
    f.do("ret i64 0")
    return f


def _axis(f: Function, from_last: str) -> tuple[str, str]:
    axis = f.let("axis", f"sub i64 %rank, {from_last}")
    extent = f.load("extent", "i64", f.at("%shape", axis, "i64"))
    return extent, f.load("stride", "i64", f.at("%strides", axis, "i64"))


def transpose(f: Function, target: Target, rows: list[str]) -> list[str]:
    """The W × W transpose of W vectors, by log2(W) rounds of shuffles; halves first, which loads can absorb."""
    width, vector = target.width, target.vector
    distance = width // 2
    while distance:
        low = [lane if not lane & distance else width + lane - distance for lane in range(width)]
        high = [lane + distance if not lane & distance else width + lane for lane in range(width)]
        for i in range(width):
            if not i & distance:
                a, b = rows[i], rows[i + distance]
                rows[i] = f.let("lo", f"shufflevector {vector} {a}, {vector} {b}, {_mask(low)}")
                rows[i + distance] = f.let("hi", f"shufflevector {vector} {a}, {vector} {b}, {_mask(high)}")
        distance //= 2
    return rows


def _mask(lanes: list[int]) -> str:
    return f"<{len(lanes)} x i32> <{', '.join(f'i32 {lane}' for lane in lanes)}>"


def tiles_in(target: Target) -> Function:
    """Whole vectors of points whose elements are contiguous (at least W of them) into rows."""
    f = Function(
        "define internal void @hy.tiles_in(ptr noalias %rows, ptr noalias %from, i64 %step, i64 %size, "
        "i64 %count, i64 %block) #0"
    )
    with _tiles(f, target) as (p, e):
        point = f.at(f.at("%from", f.let("offset", f"mul i64 {p}, %step")), e, target.scalar)
        values = []
        for lane in range(target.width):
            values.append(f.load("x", target.vector, f.at(point, f.let("lane", f"mul i64 %step, {lane}"))))
        row = _row_address(f, target, e, p)
        for lane, value in enumerate(transpose(f, target, values)):
            f.store(target.vector, value, f.at(row, f.let("lane", f"mul i64 %block, {lane}"), target.scalar))
    f.do("ret void")
    return f


def tiles_out(target: Target) -> Function:
    """Rows into whole vectors of points whose elements are contiguous.

    With fewer than W elements a point is written a vector wide, its excess overwritten by the next point, so the
    caller leaves W numbers of room after the last.
    """
    f = Function(
        "define internal void @hy.tiles_out(ptr noalias %to, i64 %step, ptr noalias %rows, i64 %size, "
        "i64 %count, i64 %block) #0"
    )
    with _tiles(f, target) as (p, e):
        row = _row_address(f, target, e, p)
        values = []
        for lane in range(target.width):
            values.append(
                f.load("x", target.vector, f.at(row, f.let("lane", f"mul i64 %block, {lane}"), target.scalar))
            )
        point = f.at(f.at("%to", f.let("offset", f"mul i64 {p}, %step")), e, target.scalar)
        for lane, value in enumerate(transpose(f, target, values)):
            f.store(target.vector, value, f.at(point, f.let("lane", f"mul i64 %step, {lane}")))
    f.do("ret void")
    return f


@contextmanager
def _tiles(f: Function, target: Target) -> Iterator[tuple[str, str]]:
    """Loop over the W × W tiles of `count` points by `size` elements; a point's last tile overlaps the one before."""
    width = target.width
    overlap = f.let("overlap", f"sub i64 %size, {width}")
    last = f.let("last", f"call i64 @llvm.smax.i64(i64 {overlap}, i64 0)")
    with f.loop("p", 0, "%count", width) as p, f.loop("tile", 0, "%size", width) as tile:
        e = f.let("e", f"call i64 @llvm.smin.i64(i64 {tile}, i64 {last})")
        yield p, e


def _row_address(f: Function, target: Target, element: str, point: str) -> str:
    row = f.at("%rows", f.let("row", f"mul i64 {element}, %block"), target.scalar)
    return f.at(row, point, target.scalar)


def _element_offset(f: Function, target: Target, element: str) -> str:
    with_strides = f.load("offset", "i64", f.at("%offsets", element, "i64"))
    without = f.let("next_to", f"mul i64 {element}, {target.bytes}")
    return f.let("offset", f"select i1 %contiguous, i64 {without}, i64 {with_strides}")


def gather(target: Target) -> Function:
    """`count` points of an array argument into its rows."""
    f = Function(
        "define internal void @hy.gather(ptr %rows, ptr %from, i64 %step, ptr %offsets, i64 %size, i64 %count, "
        "i64 %block, i1 %contiguous) #0"
    )
    width = target.width
    enough = f.let(
        "enough", f"icmp sge i64 {f.let('least', 'call i64 @llvm.smin.i64(i64 %size, i64 %count)')}, {width}"
    )
    with f.early_return(f.let("tiled", f"and i1 {enough}, %contiguous")):
        f.do("call void @hy.tiles_in(ptr %rows, ptr %from, i64 %step, i64 %size, i64 %count, i64 %block)")
        f.do("ret void")
    with f.loop("e", 0, "%size") as e:
        start = f.at("%from", _element_offset(f, target, e))
        row = _row_address(f, target, e, "0")
        f.do(f"call void @hy.gather_row(ptr {row}, ptr {start}, i64 %step, i64 %count)")
    f.do("ret void")
    return f


def scatter(target: Target) -> Function:
    """`count` points of an array result from its rows to memory, by the cheapest way its layout there allows."""
    f = Function(
        "define internal void @hy.scatter(ptr %to, i64 %step, ptr %rows, ptr %offsets, i64 %size, i64 %count, "
        "i64 %block, i1 %contiguous, ptr %staging, i1 %stream) #0"
    )
    width = target.width
    bytes_per_point = f.let("bytes", f"mul i64 %size, {target.bytes}")
    packed = f.let("packed", f"and i1 %contiguous, {f.let('dense', f'icmp eq i64 %step, {bytes_per_point}')}")
    enough = f.let(
        "enough", f"icmp sge i64 {f.let('least', 'call i64 @llvm.smin.i64(i64 %size, i64 %count)')}, {width}"
    )
    with f.early_return(f.let("tiled", f"and i1 {enough}, %contiguous")):
        f.do("call void @hy.tiles_out(ptr %to, i64 %step, ptr %rows, i64 %size, i64 %count, i64 %block)")
        f.do("ret void")
    with f.early_return(packed):
        lanes = rounded_up(f, target)
        f.do(
            f"call void @hy.tiles_out(ptr %staging, i64 {bytes_per_point}, ptr %rows, i64 %size, i64 {lanes}, "
            "i64 %block)"
        )
        total = f.let("total", "mul i64 %size, %count")
        f.do(f"call void @hy.copy(ptr %to, ptr %staging, i64 {total})")
        f.do("ret void")
    # Rows of whole cache lines go past the cache where the call does.
    parts = f.let("parts", f"urem i64 %count, {target.line}")
    next_to = f.let("next_to", f"icmp eq i64 %step, {target.bytes}")
    lines = f.let("lines", f"and i1 {next_to}, {f.let('whole', f'icmp eq i64 {parts}, 0')}")
    lines = f.let("lines", f"and i1 %stream, {lines}")
    count = f.let("count", f"udiv i64 %count, {target.line}")
    with f.loop("e", 0, "%size") as e:
        start = f.at("%to", _element_offset(f, target, e))
        row = _row_address(f, target, e, "0")
        odd = f.let("odd", f"and i64 {f.let('address', f'ptrtoint ptr {start} to i64')}, 63")
        past = f.let("past", f"and i1 {lines}, {f.let('aligned', f'icmp eq i64 {odd}, 0')}")
        with f.when(past):
            f.do(f"call void @hy.lines(ptr {start}, ptr {row}, i64 {count})")
        with f.when(f.let("through", f"xor i1 {past}, true")):
            f.do(f"call void @hy.scatter_row(ptr {start}, i64 %step, ptr {row}, i64 %count)")
    f.do("ret void")
    return f
