"""Results written past the cache, a few cache lines at a time while the next points are computed.

A call whose results would not fit in the cache gains nothing from putting them there, and pays for reading each line
before it is overwritten. So whole lines go to memory by non-temporal stores. These wait in a queue in front of memory:
written in one go at the end of a block they would stall everything behind them. Each streamed result therefore has a
staging area, where a block's points are put together in order; the lines of one block leave between the vectors of
the next, and what does not fill a line waits for the next block.
"""

from __future__ import annotations

from codegen import moves
from codegen.place import ARRAY, LEFT, NEXT, SCALAR, SOURCE, STREAMED, Place, header
from codegen.target import Target
from codegen.text import Function


def streams(target: Target) -> list[Function]:
    return [_lines(target), _flush(target), _drip(), _append(target), _finish(target)]


def _lines(target: Target) -> Function:
    """`count` cache lines past the cache; the destination is aligned to lines."""
    f = Function("define internal void @hy.lines(ptr noalias %to, ptr noalias %from, i64 %count) #0")
    width, vector, line_size = target.width, target.vector, target.line
    with f.loop("line", 0, f.let("numbers", f"mul i64 %count, {line_size}"), line_size) as line:
        to, source = f.at("%to", line, target.scalar), f.at("%from", line, target.scalar)
        values = [f.load("v", vector, f.at(source, lane, target.scalar)) for lane in range(0, line_size, width)]
        for lane, value in zip(range(0, line_size, width), values, strict=True):
            # A single number has no such store everywhere; only targets without vectors are that narrow.
            suffix = ", !nontemporal !0" if width > 1 else ""
            f.store(vector, value, f.at(to, lane, target.scalar), target.bytes * width, suffix)
    f.do("ret void")
    return f


def _flush(target: Target) -> Function:
    """Write at most `most` of an operand's waiting lines; returns how many."""
    f = Function("define internal i64 @hy.flush(ptr %description, ptr %scratch, i64 %number, i64 %most) #0")
    place = Place(f, "%number")
    left, to, source = place.get("i64", LEFT, "left"), place.get("ptr", NEXT, "to"), place.get("ptr", SOURCE, "from")
    waiting = f.let("waiting", f"sdiv i64 {left}, {target.line}")
    count = f.let("count", f"call i64 @llvm.smin.i64(i64 {waiting}, i64 %most)")
    f.do(f"call void @hy.lines(ptr {to}, ptr {source}, i64 {count})")
    _advance(f, target, place, to, source, left, f.let("numbers", f"mul i64 {count}, {target.line}"))
    f.do(f"ret i64 {count}")
    return f


def _advance(f: Function, target: Target, place: Place, to: str, source: str, left: str, count: str) -> None:
    place.set("ptr", NEXT, f.at(to, count, target.scalar))
    place.set("ptr", SOURCE, f.at(source, count, target.scalar))
    place.set("i64", LEFT, f.let("left", f"sub i64 {left}, {count}"))


def _drip() -> Function:
    """Write `budget` of the lines waiting in all results."""
    f = Function("define internal void @hy.drip(ptr %description, ptr %scratch, i64 %budget) #0")
    f.do("%rest = alloca i64, align 8")
    f.store("i64", "%budget", "%rest")
    with f.loop("number", header(f, "inputs"), header(f, "operands")) as number:
        with f.when(Place(f, number).is_set(STREAMED)):
            rest = f.load("rest", "i64", "%rest")
            done = f.let("done", f"call i64 @hy.flush(ptr %description, ptr %scratch, i64 {number}, i64 {rest})")
            f.store("i64", f.let("rest", f"sub i64 {rest}, {done}"), "%rest")
        f.leave_if(f.let("spent", f"icmp eq i64 {f.load('rest', 'i64', '%rest')}, 0"))
    f.do("ret void")
    return f


def _append(target: Target) -> Function:
    """After the body: put a block of a result behind what is waiting of it, whose whole lines are written first."""
    f = Function("define internal void @hy.append(ptr %description, ptr %scratch, i64 %number, i64 %count) #0")
    place = Place(f, "%number")
    f.let("lines", f"call i64 @hy.flush(ptr %description, ptr %scratch, i64 %number, i64 {1 << 60})")
    staging = f.at("%scratch", place.field("staging"), "i64")
    left = place.get("i64", LEFT, "left")
    moves.copy_scalars(f, target, staging, place.get("ptr", SOURCE, "from"), "0", left)
    behind = f.at(staging, left, target.scalar)
    size = place.field("size")
    with f.when(place.is_kind(SCALAR)):
        f.do(f"call void @hy.copy(ptr {behind}, ptr {place.row()}, i64 %count)")
    with f.when(place.is_kind(ARRAY)):
        step, lanes = f.let("step", f"mul i64 {size}, {target.bytes}"), moves.rounded_up(f, target)
        arguments = f"ptr {behind}, i64 {step}, ptr {place.row()}, i64 {size}, i64 {lanes}, i64 {header(f, 'block')}"
        f.do(f"call void @hy.tiles_out({arguments})")
    left = f.let("left", f"add i64 {left}, {f.let('new', f'mul i64 {size}, %count')}")
    # What comes before the first whole line of the result is written through the cache, once per call.
    to = place.get("ptr", NEXT, "to")
    address = f.let("address", f"ptrtoint ptr {to} to i64")
    to_line = f.let("to_line", f"and i64 {f.let('negative', f'sub i64 0, {address}')}, {64 - 1}")
    ahead = f.let(
        "ahead", f"call i64 @llvm.smin.i64(i64 {f.let('numbers', f'udiv i64 {to_line}, {target.bytes}')}, i64 {left})"
    )
    moves.copy_scalars(f, target, to, staging, "0", ahead)
    _advance(f, target, place, to, staging, left, ahead)
    f.do("ret void")
    return f


def _finish(target: Target) -> Function:
    """At the end of a call: write all that waits of an operand."""
    f = Function("define internal void @hy.finish(ptr %description, ptr %scratch, i64 %number) #0")
    place = Place(f, "%number")
    with f.when(place.is_set(STREAMED)):
        f.let("lines", f"call i64 @hy.flush(ptr %description, ptr %scratch, i64 %number, i64 {1 << 60})")
        to, source = place.get("ptr", NEXT, "to"), place.get("ptr", SOURCE, "from")
        moves.copy_scalars(f, target, to, source, "0", place.get("i64", LEFT, "left"))
    f.do("ret void")
    return f
