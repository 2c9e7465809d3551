"""The loop around a program's body: how points get from memory into vectors and results back.

A call maps the body over n points in blocks of B points. The inputs of a block become *rows* (one row per element of
an argument, B consecutive points each) in a scratch area that fits the first-level cache; the body turns rows into
rows, a vector at a time; result rows go to memory. Scalars that are contiguous over the points are read and written in
place, without a row. Every path, tails and single points included, runs the same body on full vectors: a partial
vector is padded by repeating its last point, and only live lanes are stored, so results never depend on the path.

Result rows leave by the cheapest of four ways, chosen once per call: in place; transposed in registers straight into
C-ordered points; put together in a staging area and then copied, past the cache when the call's output would not fit
in it (streams.py); or element by element for arbitrary strides.

All this is the same for every program of a target: what differs is read from a table of numbers, the *description*,
so that a process generates the driver's code once.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from math import prod

from codegen import environment, moves
from codegen.layout import Layout
from codegen.place import (
    ARRAY,
    BASE,
    CONTIGUOUS,
    FIELDS,
    HEADER,
    LEFT,
    NEXT,
    OFFSETS,
    SCALAR,
    SOURCE,
    STEP,
    STREAMED,
    UNUSED,
    Place,
    header,
    header_place,
)
from codegen.streams import streams
from codegen.target import Target
from codegen.text import Function, rounded


def description(layout: Layout, by_row: bool) -> list[int]:
    """What @hy.run must know about a program."""
    words: dict[str, int] = {
        "inputs": len(layout.inputs),
        "operands": len(layout.operands),
        "block": layout.block,
        "outputs": sum(operand.size for operand in layout.outputs),
        "cache": layout.target.cache,
        "places": layout.places,
        "table": layout.table,
        # Several parts run one after the other over a block, so none may overwrite what a later one reads.
        "by_row": int(by_row),
        "scalars": int(all(operand.scalar for operand in layout.operands)),
    }
    shapes = len(HEADER) + len(FIELDS) * len(layout.operands)
    fields: list[int] = []
    extents: list[int] = []
    for operand in layout.operands:
        shape = operand.array.shape
        kind = UNUSED if not operand.used else SCALAR if operand.scalar else ARRAY
        fields += [operand.size, kind, operand.row * layout.row_words, len(shape), shapes + len(extents)]
        fields += [layout.first_stride(operand), layout.offsets(operand), layout.staging(operand)]
        extents += shape
    constants = []
    for row, value in constant_rows(layout):
        constants += [row * layout.row_words, bits(value, layout.target)]
    words["constants"], words["first"] = len(constants), shapes + len(extents)
    return [words[name] for name in HEADER] + fields + extents + constants


def bits(value: float, target: Target) -> int:
    """A word whose first bytes in memory are the number, in the element type."""
    if target.element == "float32":
        return int(struct.unpack("<I", struct.pack("<f", rounded(value, "float")))[0])
    return int(struct.unpack("<q", struct.pack("<d", value))[0])


def constant_rows(layout: Layout) -> list[tuple[int, float]]:
    """Rows of array results that hold a constant: filled once per call instead of once per vector."""
    body, rows = layout.program.body, []
    for operand, values in zip(layout.outputs, layout.program.outputs, strict=True):
        if not operand.scalar:
            rows += [
                (operand.row + element, float(body[value][1]))
                for element, value in enumerate(values)
                if body[value][0] == "const"
            ]
    return rows


def entries(layout: Layout, symbol: str, parts: int, linkage: str, by_row: bool = False) -> list[str]:
    """LLVM IR of `@SYMBOL_loop`, `@SYMBOL_batch` and `@SYMBOL` around the body's functions `@hy.part.0` …"""
    body = Function(f"define {linkage} {BODY} #0")
    for part in range(parts):
        body.do(f"call void @hy.part.{part}(ptr %rows, ptr %table, i64 %from, i64 %to)")
    body.do("ret void")
    loop = Function(f"define void @{symbol}_loop(ptr %args, ptr %dimensions, ptr %steps, ptr %data) #0")
    loop.do(f"call void @hy.enter(i64 {loop.load('n', 'i64', '%dimensions')}, ptr %args, ptr %steps)")
    loop.do("ret void")
    tables = table("hy.description", description(layout, parts > 1 or by_row))
    tables += table("hy.steps", _contiguous_steps(layout))
    heap = f"declare noalias ptr @malloc({layout.target.word})\ndeclare void @free(ptr)\n" if layout.on_heap else ""
    batch, point = _contiguous(layout, f"{symbol}_batch", "%n"), _contiguous(layout, symbol, "1")
    return [tables, heap, *map(str, [body, _enter(layout), loop, batch, point])]


def table(name: str, words: list[int]) -> str:
    """LLVM IR of a constant array of 64-bit words."""
    elements = ", ".join(f"i64 {word}" for word in words)
    return f"@{name} = private unnamed_addr constant [{len(words)} x i64] [{elements}], align 16\n"


def _contiguous_steps(layout: Layout) -> list[int]:
    """The steps of a gufunc inner loop over C-ordered arrays `(n,) + shape`."""
    size = layout.target.bytes
    steps = [size * operand.size for operand in layout.operands]
    for operand in layout.operands:
        shape = operand.array.shape
        steps += [size * prod(shape[axis + 1 :]) for axis in range(len(shape))]
    return steps


def _enter(layout: Layout) -> Function:
    """A call in the standard floating-point environment. Null steps mean one point of contiguous arrays."""
    f = Function("define internal void @hy.enter(i64 %n, ptr %args, ptr %steps) #1")
    word = layout.target.word
    environment.allocate(f, layout.target)
    if not layout.on_heap:
        f.do(f"%scratch = alloca [{layout.scratch} x i64], align 64")
    with f.early_return(f.let("empty", "icmp slt i64 %n, 1")):
        f.do("ret void")
    if layout.on_heap:
        f.do(f"%heap = call ptr @malloc({word} {8 * layout.scratch + 64})")
        with f.when(f.let("failed", "icmp eq ptr %heap, null")):
            f.do("call void @llvm.trap()")
        f.do(f"%scratch = call ptr @llvm.ptrmask.p0.{word}(ptr {f.at('%heap', 63)}, {word} -64)")
    environment.begin(f, layout.target)
    single = f.let("single", "icmp eq ptr %steps, null")
    with f.when(single):
        f.do("call void @hy.point(ptr @hy.description, ptr @hy.body, ptr %scratch, ptr %args)")
    with f.when(f.let("many", f"xor i1 {single}, true")):
        f.do("call void @hy.run(ptr @hy.description, ptr @hy.body, ptr %scratch, i64 %n, ptr %args, ptr %steps)")
    environment.end(f, layout.target, flags=True)
    if layout.on_heap:
        f.do("call void @free(ptr %heap)")
    f.do("ret void")
    return f


def _contiguous(layout: Layout, name: str, n: str) -> Function:
    """An entry with one address per array, each `(n,) + shape` in C order."""
    first = len(layout.inputs)
    pointers = [f"%{'x' if k < first else 'r'}{k if k < first else k - first}" for k in range(len(layout.operands))]
    parameters = (["i64 %n"] if n == "%n" else []) + [f"ptr {pointer}" for pointer in pointers]
    f = Function(f"define void @{name}({', '.join(parameters)}) #0")
    f.do(f"%args = alloca [{max(1, len(pointers))} x ptr], align 16")
    for number, pointer in enumerate(pointers):
        f.store("ptr", pointer, f.at("%args", number, "ptr"))
    f.do(f"call void @hy.enter(i64 {n}, ptr %args, ptr {'null' if n == '1' else '@hy.steps'})")
    f.do("ret void")
    return f


BODY = "void @hy.body(ptr %rows, ptr %table, i64 %from, i64 %to)"
RUN = "void @hy.run(ptr %description, ptr %body, ptr %scratch, i64 %n, ptr %args, ptr %steps)"


# What runs for every block and is worth LLVM's full effort. The rest runs once per call, or only walks over operands:
# optimising it as well takes the driver from 40 to 68 ms, and gains 60 ns per call and 1 % on long batches.
PER_BLOCK = frozenset(
    f"hy.{name}"
    for name in (
        "copy",
        "gather_row",
        "scatter_row",
        "fill",
        "tiles_in",
        "tiles_out",
        "scatter",
        "before",
        "after",
        "lines",
        "flush",
        "drip",
        "point",
    )
)


def driver(target: Target) -> list[Function]:
    """`@hy.run` and its helpers, the same for every program of a target."""
    return [
        moves.copy(target),
        moves.gather_row(target),
        moves.scatter_row(target),
        moves.fill(target),
        moves.tiles_in(target),
        moves.tiles_out(target),
        moves.gather(target),
        moves.scatter(target),
        moves.offsets(target),
        *streams(target),
        _open(target),
        _before(target),
        _after(target),
        _point(target),
        _run(target),
    ]


def _open(target: Target) -> Function:
    """Before the first block: an operand's address, step and element layout; rows that never change are filled."""
    f = Function(
        "define internal void @hy.open(ptr %description, ptr %scratch, i64 %number, ptr %args, ptr %steps, i64 %n, "
        "i64 %lanes, i1 %stream) #0"
    )
    place = Place(f, "%number")
    base = f.load("base", "ptr", f.at("%args", "%number", "ptr"))
    given = f.load("given", "i64", f.at("%steps", "%number", "i64"))
    size = place.field("size")
    # A single point is as good as contiguous points, whatever step came with it.
    single = f.let("single", "icmp eq i64 %n, 1")
    step = f.let("step", f"select i1 {single}, i64 {f.let('dense', f'mul i64 {size}, {target.bytes}')}, i64 {given}")
    place.set("ptr", BASE, base)
    place.set("i64", STEP, step)
    offsets = f.at("%scratch", place.field("offsets"), "i64")
    place.set("ptr", OFFSETS, offsets)
    place.set("i64", CONTIGUOUS, "1")
    with f.when(place.is_kind(ARRAY)):
        shape = f.at("%description", place.field("shape"), "i64")
        strides = f.at("%steps", place.field("strides"), "i64")
        arguments = f"ptr {offsets}, ptr {shape}, ptr {strides}, i64 {place.field('rank')}, i64 {size}"
        place.set("i64", CONTIGUOUS, f.let("contiguous", f"call i64 @hy.offsets({arguments})"))
    is_input = f.let("is_input", f"icmp slt i64 %number, {header(f, 'inputs')}")
    _open_stream(f, target, place, is_input, base, step)
    same = f.let("same", f"and i1 {is_input}, {f.let('still', f'icmp eq i64 {step}, 0')}")
    with f.when(f.let("scalar", f"and i1 {same}, {place.is_kind(SCALAR)}")):
        f.do(f"call void @hy.fill(ptr {place.row()}, {target.scalar} {f.load('x', target.scalar, base)}, i64 %lanes)")
    with f.when(f.let("array", f"and i1 {same}, {place.is_kind(ARRAY)}")):
        _gather(f, place, base, "%lanes", "0")
    f.do("ret void")
    return f


def _open_stream(f: Function, target: Target, place: Place, is_input: str, base: str, step: str) -> None:
    """A result is streamed if the call streams and its points are whole, contiguous and aligned."""
    aligned = f.let("aligned", f"and i64 {f.let('address', f'ptrtoint ptr {base} to i64')}, {target.bytes - 1}")
    point = f.let("point", f"mul i64 {place.field('size')}, {target.bytes}")
    conditions = [
        f.let("is_output", f"xor i1 {is_input}, true"),
        f.let("used", f"icmp ne i64 {place.field('kind')}, {UNUSED}"),
        f.let("aligned", f"icmp eq i64 {aligned}, 0"),
        f.let("dense", f"icmp eq i64 {step}, {point}"),
        place.is_set(CONTIGUOUS),
    ]
    streamed = "%stream"
    for condition in conditions:
        streamed = f.let("streamed", f"and i1 {streamed}, {condition}")
    place.set("i64", STREAMED, f.let("flag", f"zext i1 {streamed} to i64"))
    place.set("ptr", NEXT, base)
    place.set("ptr", SOURCE, f.at("%scratch", place.field("staging"), "i64"))
    place.set("i64", LEFT, "0")


def _gather(f: Function, place: Place, base: str, count: str, step: str) -> None:
    offsets = place.get("ptr", OFFSETS, "offsets")
    contiguous = place.is_set(CONTIGUOUS)
    f.do(
        f"call void @hy.gather(ptr {place.row()}, ptr {base}, i64 {step}, ptr {offsets}, i64 {place.field('size')}, "
        f"i64 {count}, i64 {header(f, 'block')}, i1 {contiguous})"
    )


def _before(target: Target) -> Function:
    """Before the body: bring a block of an argument, or say where a block of a scalar result goes."""
    f = Function(
        "define internal void @hy.before(ptr %description, ptr %scratch, i64 %number, i64 %start, i64 %count, "
        "i1 %partial, i1 %by_row) #0"
    )
    place = Place(f, "%number")
    step = place.get("i64", STEP, "step")
    address = f.at(place.get("ptr", BASE, "base"), f.let("offset", f"mul i64 %start, {step}"))
    is_input = f.let("is_input", f"icmp slt i64 %number, {header(f, 'inputs')}")
    is_scalar = place.is_kind(SCALAR)
    dense = f.let("dense", f"icmp eq i64 {step}, {target.bytes}")
    varies = f.let("varies", f"icmp ne i64 {step}, 0")
    by_row = f.let("by_row", f"or i1 %by_row, {place.is_set(STREAMED)}")
    through_row = f.let("through_row", f"select i1 {is_input}, i1 %partial, i1 {by_row}")
    direct = f.let("direct", f"and i1 {dense}, {f.let('free', f'xor i1 {through_row}, true')}")
    block = f.let("block", f"select i1 {direct}, ptr {address}, ptr {place.row()}")
    f.store("ptr", block, f.at(header_place(f, "table"), "%number", "i64"))
    moving = f.let("moving", f"and i1 {is_input}, {varies}")
    row_needed = f.let("row_needed", f"and i1 {moving}, {f.let('indirect', f'xor i1 {direct}, true')}")
    with f.when(f.let("scalar", f"and i1 {row_needed}, {is_scalar}")):
        f.do(f"call void @hy.gather_row(ptr {place.row()}, ptr {address}, i64 {step}, i64 %count)")
    with f.when(f.let("array", f"and i1 {moving}, {place.is_kind(ARRAY)}")):
        _gather(f, place, address, "%count", step)
    f.do("ret void")
    return f


def _after(target: Target) -> Function:
    """After the body: take a block of a result to memory."""
    f = Function(
        "define internal void @hy.after(ptr %description, ptr %scratch, i64 %number, i64 %start, i64 %count, "
        "i1 %by_row, i1 %stream) #0"
    )
    place = Place(f, "%number")
    with f.early_return(place.is_set(STREAMED)):
        f.do("call void @hy.append(ptr %description, ptr %scratch, i64 %number, i64 %count)")
        f.do("ret void")
    step = place.get("i64", STEP, "step")
    to = f.at(place.get("ptr", BASE, "base"), f.let("offset", f"mul i64 %start, {step}"))
    in_row = f.let("in_row", f"or i1 {f.let('strided', f'icmp ne i64 {step}, {target.bytes}')}, %by_row")
    with f.when(f.let("scalar", f"and i1 {in_row}, {place.is_kind(SCALAR)}")):
        f.do(f"call void @hy.scatter_row(ptr {to}, i64 {step}, ptr {place.row()}, i64 %count)")
    with f.when(place.is_kind(ARRAY)):
        offsets, staging = place.get("ptr", OFFSETS, "offsets"), f.at("%scratch", place.field("staging"), "i64")
        f.do(
            f"call void @hy.scatter(ptr {to}, i64 {step}, ptr {place.row()}, ptr {offsets}, "
            f"i64 {place.field('size')}, i64 %count, i64 {header(f, 'block')}, "
            f"i1 {place.is_set(CONTIGUOUS)}, ptr {staging}, i1 %stream)"
        )
    f.do("ret void")
    return f


POINT = "void @hy.point(ptr %description, ptr %body, ptr %scratch, ptr %args)"


def _point(target: Target) -> Function:
    """One point whose arrays are contiguous, by the shortest way: every lane holds it, the first is taken."""
    f = Function(f"define internal {POINT} #1")
    table, block = header_place(f, "table"), header(f, "block")
    inputs, operands = header(f, "inputs"), header(f, "operands")
    with f.loop("number", 0, operands) as number:
        place = Place(f, number)
        f.store("ptr", place.row(), f.at(table, number, "i64"))
        is_input = f.let("is_input", f"icmp slt i64 {number}, {inputs}")
        used = f.let("used", f"icmp ne i64 {place.field('kind')}, {UNUSED}")
        with f.when(f.let("read", f"and i1 {is_input}, {used}")):
            base, row = f.load("base", "ptr", f.at("%args", number, "ptr")), place.row()
            with f.loop("e", 0, place.field("size")) as e:
                x = moves.splat(f, target, f.load("x", target.scalar, f.at(base, e, target.scalar)))
                f.store(target.vector, x, f.at(row, f.let("place", f"mul i64 {e}, {block}"), target.scalar))
    _constants(f, target, lambda row, value: f.store(target.scalar, value, row))
    f.do(f"call void %body(ptr %scratch, ptr {table}, i64 0, i64 {target.width})")
    with f.loop("number", inputs, operands) as number:
        place = Place(f, number)
        base, row = f.load("base", "ptr", f.at("%args", number, "ptr")), place.row()
        with f.loop("e", 0, place.field("size")) as e:
            x = f.load("x", target.scalar, f.at(row, f.let("place", f"mul i64 {e}, {block}"), target.scalar))
            f.store(target.scalar, x, f.at(base, e, target.scalar))
    f.do("ret void")
    return f


def _constants(f: Function, target: Target, put: Callable[[str, str], None]) -> None:
    """Have `put(row, value)` write what is done with each row of an array result that holds a constant."""
    constants = f.at("%description", header(f, "first"), "i64")
    with f.loop("constant", 0, header(f, "constants"), 2) as constant:
        row = f.at("%scratch", f.load("row", "i64", f.at(constants, constant, "i64")), "i64")
        put(row, f.load("value", target.scalar, f.at(f.at(constants, constant, "i64"), 1, "i64")))


def _points_to_line(f: Function, target: Target, stream: str, inputs: str, operands: str) -> str:
    """Points of the first block: of a streaming call few enough that the rows of results go on at whole cache lines."""
    f.store("i64", header(f, "block"), "%first")
    with f.when(stream), f.loop("number", inputs, operands) as number:
        place = Place(f, number)
        step = place.get("i64", STEP, "step")
        apart = f.let(
            "apart", f"and i1 {place.is_kind(ARRAY)}, {f.let('dense', f'icmp eq i64 {step}, {target.bytes}')}"
        )
        address = f.let("address", f"ptrtoint ptr {place.get('ptr', BASE, 'base')} to i64")
        to_line = f.let("to_line", f"and i64 {f.let('negative', f'sub i64 0, {address}')}, {64 - target.bytes}")
        with f.when(f.let("off", f"and i1 {apart}, {f.let('ahead', f'icmp ne i64 {to_line}, 0')}")):
            f.store("i64", f.let("points", f"udiv i64 {to_line}, {target.bytes}"), "%first")
    return f.load("first", "i64", "%first")


def _run(target: Target) -> Function:
    """All blocks of a call: rows in, body, rows out. `args` and `steps` are those of a NumPy gufunc inner loop."""
    f = Function(f"define internal {RUN} #1")
    f.do("%first = alloca i64, align 8")
    width = target.width
    # A point of scalars alone is dense, whatever the steps.
    single = f.let("single", "icmp eq i64 %n, 1")
    scalars = f.let("scalars", f"icmp ne i64 {header(f, 'scalars')}, 0")
    with f.early_return(f.let("point", f"and i1 {single}, {scalars}")):
        f.do("call void @hy.point(ptr %description, ptr %body, ptr %scratch, ptr %args)")
        f.do("ret void")
    inputs, operands, block = header(f, "inputs"), header(f, "operands"), header(f, "block")
    written = f.let("numbers", f"mul i64 %n, {header(f, 'outputs')}")
    written = f.let("bytes", f"mul i64 {written}, {target.bytes}")
    stream = f.let("stream", f"icmp ugt i64 {written}, {header(f, 'cache')}")
    lanes = f.let("lanes", f"and i64 {f.let('up', f'add i64 %n, {width - 1}')}, {-width}")
    lanes = f.let("lanes", f"call i64 @llvm.smin.i64(i64 {lanes}, i64 {block})")
    with f.loop("number", 0, operands) as number:
        arguments = f"i64 {number}, ptr %args, ptr %steps, i64 %n, i64 {lanes}, i1 {stream}"
        f.do(f"call void @hy.open(ptr %description, ptr %scratch, {arguments})")
    _constants(
        f, target, lambda row, value: f.do(f"call void @hy.fill(ptr {row}, {target.scalar} {value}, i64 {lanes})")
    )
    table = header_place(f, "table")
    always = f.let("always", f"icmp ne i64 {header(f, 'by_row')}, 0")
    # Cache lines that one vector of points fills, rounded up, and one more to be sure to keep pace.
    numbers = f.let("numbers", f"mul i64 {header(f, 'outputs')}, {width}")
    lines = f.let("lines", f"add i64 {f.let('whole', f'udiv i64 {numbers}, {target.line}')}, 2")
    first = _points_to_line(f, target, stream, inputs, operands)
    with f.loop("start", 0, "%n", "%count") as start:
        left = f.let("left", f"sub i64 %n, {start}")
        start_at = f.let("block", f"select i1 {f.let('is_first', f'icmp eq i64 {start}, 0')}, i64 {first}, i64 {block}")
        most = f.let("most", f"call i64 @llvm.smin.i64(i64 {left}, i64 {start_at})")
        partial = f.let("partial", f"icmp slt i64 {most}, {width}")
        # What is no multiple of the width is left to a last block of less than one vector.
        f.do(f"%count = select i1 {partial}, i64 {most}, i64 {f.let('whole', f'and i64 {most}, {-width}')}")
        padded = f.let("padded", f"select i1 {partial}, i64 {width}, i64 %count")
        by_row = f.let("by_row", f"or i1 {partial}, {always}")
        common = f"i64 {start}, i64 %count"
        with f.loop("number", 0, operands) as number:
            arguments = f"i64 {number}, {common}, i1 {partial}, i1 {by_row}"
            f.do(f"call void @hy.before(ptr %description, ptr %scratch, {arguments})")
        # A streaming call writes the block before this one between the vectors of this one.
        step = f.let("step", f"select i1 {stream}, i64 {width}, i64 {padded}")
        with f.loop("v", 0, padded, step) as v:
            f.do(f"call void %body(ptr %scratch, ptr {table}, i64 {v}, i64 {f.let('to', f'add i64 {v}, {step}')})")
            with f.when(stream):
                f.do(f"call void @hy.drip(ptr %description, ptr %scratch, i64 {lines})")
        with f.loop("number", inputs, operands) as number:
            arguments = f"i64 {number}, {common}, i1 {by_row}, i1 {stream}"
            f.do(f"call void @hy.after(ptr %description, ptr %scratch, {arguments})")
    with f.when(stream):
        with f.loop("number", inputs, operands) as number:
            f.do(f"call void @hy.finish(ptr %description, ptr %scratch, i64 {number})")
        if target.is_x86:
            f.do("call void @llvm.x86.sse.sfence()")
    f.do("ret void")
    return f
