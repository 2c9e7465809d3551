"""What all blocks share as native code: running stages one after the other, zeroing, segmented sums."""

from __future__ import annotations

from collections.abc import Callable

from codegen import environment
from codegen.blocks.accumulators import finisher
from codegen.blocks.form import REDUCTIONS
from codegen.blocks.lanes import ZERO, either, gather, gather_at, integers, live, load, plus, scatter, store, times
from codegen.body import Body, Cut
from codegen.emit import ending, functions_called, triple_line
from codegen.layout import Layout
from codegen.program import Program
from codegen.target import Target
from codegen.text import Function

# Elements that a chunk of zeroing takes, and slices that a chunk of segmented sums takes.
FILLED, SLICES = 8192, 256
# Words of a stage: the address of its code, of its table, the first chunk and the one behind the last.
STAGE = 4


# Words of a table that `@hy.finish` reads: four, and so many for each reduction.
FINISH_HEAD, FINISH = 4, 4
# Words of a table that `@hy.points` reads before the lengths of axes.
POINTS_HEAD = 4


def emit_shared(target: Target, *, library: bool = False) -> str:
    """The module with `@hy.stages`, `@hy.points`, `@hy.fill` and `@hy.sums`.

    library: without `@hy.points`, and with nothing that would call a C library.
    """
    functions = [_stages(target), *([] if library else [_points()]), _fill(target, library), _sums(target)]
    return "\n".join([triple_line(target), *map(str, functions), ending(target)])


def emit_finish(target: Target) -> str:
    """The module with `@hy.finish.WIDTH`, for reductions over the lane axis of nests of a width."""
    body = _no_body(target)
    exponential, *others = (finisher(body, kind) for kind in ("logsumexp", "sum", "max"))
    functions = [*map(str, others), _finish(target), exponential.declaration()]
    return "\n".join([triple_line(target), *map(str, functions), ending(target)])


def emit_finish_exponential(target: Target) -> str:
    """The module with `@hy.finish.logsumexp.WIDTH`, which is worth less of LLVM's time."""
    body = _no_body(target)
    text = finisher(body, "logsumexp").with_linkage("dso_local")
    return "\n".join([triple_line(target), text, functions_called(body), ending(target)])


def _no_body(target: Target) -> Body:
    return Body(Layout(Program("finish", (), (), [], ()), target, 0), Cut([[]], {}, 0))


def _finish(target: Target) -> Function:
    """What the chunks of instances `first` to `last` of the outer axes left goes where it belongs.

    The table: partials, chunks per instance, numbers per chunk, number of reductions; for each its kind, whether to
    add, its buffer, and the positions in it by instance.
    """
    f = Function(f"define dso_local void @hy.finish.{target.width}(ptr %table, i64 %first, i64 %last) #1")
    scalar = target.scalar
    partials = f.load("partials", "ptr", "%table")
    chunks, step, count = (f.load("word", "i64", f.at("%table", word, "i64")) for word in (1, 2, 3))
    f.do(f"%value = alloca {scalar}, align 8")
    with f.loop("kept", "%first", "%last") as kept, f.loop("r", 0, count) as number:
        first = f.at(partials, times(f, times(f, kept, chunks), step), scalar)
        here = f.at(first, times(f, number, str(2 * target.width)), scalar)
        row = f.at(f.at("%table", FINISH_HEAD, "i64"), times(f, number, str(FINISH)), "i64")
        kind, add = f.load("kind", "i64", row), f.load("add", "i64", f.at(row, 1, "i64"))
        for place, name in enumerate(REDUCTIONS):
            with f.when(f.let("is", f"icmp eq i64 {kind}, {place}")):
                arguments = f"ptr {here}, i64 {chunks}, i64 {step}"
                f.store(
                    scalar, f.let("value", f"call {scalar} @hy.finish.{name}.{target.width}({arguments})"), "%value"
                )
        buffer, places = f.load("buffer", "ptr", f.at(row, 2, "i64")), f.load("places", "ptr", f.at(row, 3, "i64"))
        to = f.at(buffer, f.load("place", "i64", f.at(places, kept, "i64")), scalar)
        value = f.load("value", scalar, "%value")
        sum_ = f.let("sum", f"fadd {scalar} {f.load('old', scalar, to)}, {value}")
        adding = f.let("adding", f"icmp ne i64 {add}, 0")
        f.store(scalar, f.let("value", f"select i1 {adding}, {scalar} {sum_}, {scalar} {value}"), to)
    f.do("ret void")
    return f


def _stages(target: Target) -> Function:
    """`count` stages, one after the other, in the standard floating-point environment."""
    f = Function("define dso_local void @hy.stages(ptr %stages, i64 %count) #1")
    environment.allocate(f, target)
    environment.begin(f, target)
    with f.loop("s", 0, "%count") as s:
        at = f.at("%stages", times(f, s, str(STAGE)), "i64")
        code, table = f.load("code", "ptr", at), f.load("table", "ptr", f.at(at, 1, "i64"))
        first, last = f.load("first", "i64", f.at(at, 2, "i64")), f.load("last", "i64", f.at(at, 3, "i64"))
        f.do(f"call void {code}(ptr {table}, i64 {first}, i64 {last})")
    environment.end(f, target, flags=True)
    f.do("ret void")
    return f


def _points() -> Function:
    """The stages at points `first` to `last` of a batch, one after the other.

    The table: the stages, how many, the axes of the batch, how many words depend on the point, the lengths of the axes,
    and for each such word its address, its value at the first point, and its step along each axis.
    """
    f = Function("define dso_local void @hy.points(ptr %table, i64 %first, i64 %last) #1")
    stages, count = f.load("stages", "ptr", "%table"), f.load("count", "i64", f.at("%table", 1, "i64"))
    axes, words = (f.load("number", "i64", f.at("%table", word, "i64")) for word in (2, 3))
    lengths = f.at("%table", POINTS_HEAD, "i64")
    rows, row = f.at(lengths, axes, "i64"), plus(f, axes, "2")
    f.do("%rest = alloca i64, align 8")
    f.do("%value = alloca i64, align 8")
    with f.loop("point", "%first", "%last") as point:
        with f.loop("word", 0, words) as word:
            at = f.at(rows, times(f, word, row), "i64")
            f.store("i64", f.load("value", "i64", f.at(at, 1, "i64")), "%value")
            f.store("i64", point, "%rest")
            with f.loop("axis", 0, axes) as number:  # from the last axis to the first
                axis = f.let("axis", f"sub i64 {plus(f, axes, '-1')}, {number}")
                length, rest = f.load("length", "i64", f.at(lengths, axis, "i64")), f.load("rest", "i64", "%rest")
                step = f.load("step", "i64", f.at(f.at(at, 2, "i64"), axis, "i64"))
                along = times(f, f.let("along", f"urem i64 {rest}, {length}"), step)
                f.store("i64", plus(f, f.load("value", "i64", "%value"), along), "%value")
                f.store("i64", f.let("rest", f"udiv i64 {rest}, {length}"), "%rest")
            f.store("i64", f.load("value", "i64", "%value"), f.load("place", "ptr", at))
        f.do(f"call void @hy.stages(ptr {stages}, i64 {count})")
    f.do("ret void")
    return f


def _fill(target: Target, library: bool) -> Function:
    """Zeros; the table holds the buffer, the first element and the one behind the last."""
    f = Function("define dso_local void @hy.fill(ptr %table, i64 %first, i64 %last) #1")
    base = f.load("base", "ptr", "%table")
    start, stop = f.load("start", "i64", f.at("%table", 1, "i64")), f.load("stop", "i64", f.at("%table", 2, "i64"))
    begin = plus(f, start, times(f, "%first", str(FILLED)))
    end = plus(f, start, times(f, "%last", str(FILLED)))
    end = f.let("end", f"call i64 @llvm.smin.i64(i64 {end}, i64 {stop})")
    if library:
        whole = f.let("whole", f"sub i64 {end}, {target.width - 1}")
        f.do("%done = alloca i64, align 8")
        f.store("i64", begin, "%done")
        with f.loop("at", begin, whole, target.width) as at:
            f.store(target.vector, "zeroinitializer", f.at(base, at, target.scalar), target.bytes)
            f.store("i64", plus(f, at, str(target.width)), "%done")
        with f.loop("at", f.load("done", "i64", "%done"), end) as at:
            f.store(target.scalar, ZERO[target.scalar], f.at(base, at, target.scalar))
        f.do("ret void")
        return f
    size = f.let("size", f"mul i64 {f.let('count', f'sub i64 {end}, {begin}')}, {target.bytes}")
    f.do(f"call void @llvm.memset.p0.i64(ptr {f.at(base, begin, target.scalar)}, i8 0, i64 {size}, i1 false)")
    f.do("ret void")
    return f


def _sums(target: Target) -> Function:
    """Segmented sums (segments.py). The table: source, result, starts, terms, rows, whether to add, order or null."""
    f = Function("define dso_local void @hy.sums(ptr %table, i64 %first, i64 %last) #1")
    width, vector, scalar = target.width, target.vector, target.scalar
    names = ("source", "into", "starts", "terms")
    source, into, starts, terms = (f.load(name, "ptr", f.at("%table", word, "i64")) for word, name in enumerate(names))
    rows = f.load("rows", "i64", f.at("%table", 4, "i64"))
    add = f.let("add", f"icmp ne i64 {f.load('add', 'i64', f.at('%table', 5, 'i64'))}, 0")
    order = f.load("order", "ptr", f.at("%table", 6, "i64"))
    f.do(f"%sum = alloca {vector}, align 64")
    slices = f.let("slices", f"sdiv i64 {plus(f, rows, str(width - 1))}, {width}")
    end = f.let("end", f"call i64 @llvm.smin.i64(i64 {slices}, i64 {times(f, '%last', str(SLICES))})")
    with f.loop("slice", times(f, "%first", str(SLICES)), end) as number:
        from_ = f.load("from", "i64", f.at(starts, number, "i64"))
        to = f.load("to", "i64", f.at(f.at(starts, number, "i64"), 1, "i64"))
        f.store(vector, "zeroinitializer", "%sum", 64)
        with f.loop("t", from_, to) as t:
            at = f.at(terms, times(f, t, str(width)), "i32")
            x = gather_at(f, width, scalar, source, at, False)
            f.store(vector, f.let("sum", f"fadd {vector} {f.load('sum', vector, '%sum', 64)}, {x}"), "%sum", 64)
        row = times(f, number, str(width))
        _end(f, target, into, row, f.let("left", f"sub i64 {rows}, {row}"), add, order)
    f.do("ret void")
    return f


def _end(f: Function, target: Target, into: str, row: str, left: str, add: str, order: str) -> None:
    """Store a slice of sums, or the part of it that there is: in a row, or where `order` says."""
    width, scalar, kind = target.width, target.scalar, target.vector
    total = f.load("sum", kind, "%sum", 64)
    plain = f.let("plain", f"icmp eq ptr {order}, null")
    whole = f.let("whole", f"icmp sge i64 {left}, {width}")
    here = f.at(into, row, scalar)

    def put(mask: str) -> list[str]:
        _put(
            f,
            target,
            total,
            add,
            lambda: load(f, width, scalar, here, mask),
            lambda x: store(f, width, scalar, here, x, mask),
        )
        return []

    def scattered() -> list[str]:
        mask = live(f, width, left)
        places = integers(f, width, f.at(order, row, "i32"), "1", False, mask)
        _put(
            f,
            target,
            total,
            add,
            lambda: gather(f, width, scalar, into, places, mask),
            lambda x: scatter(f, width, scalar, into, places, x, mask),
        )
        return []

    def in_a_row() -> list[str]:
        return either(f, whole, lambda: put(""), lambda: put(live(f, width, left)), "i64")

    either(f, plain, in_a_row, scattered, "i64")


def _put(f: Function, target: Target, total: str, add: str, old: Callable[[], str], put: Callable[[str], None]) -> None:
    """`total`, or what is there and `total` if the i1 `add` holds."""
    kind = target.vector
    (sum_,) = either(f, add, lambda: [f.let("both", f"fadd {kind} {old()}, {total}")], lambda: [total], kind)
    put(sum_)
