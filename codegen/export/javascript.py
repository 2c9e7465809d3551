"""A WebAssembly module for people who write JavaScript: an ES module that loads and calls it, and TypeScript types.

`NAME.mjs` needs `NAME.wasm` beside it, or its bytes, and nothing else; it runs in browsers, Node, Deno and workers.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from codegen.export.bundle import Build, Files
from codegen.export.interface import Interface
from codegen.export.parameters import Parameter

ARRAYS = {"float64": "Float64Array", "float32": "Float32Array"}
# Words that no parameter of a function may be called.
RESERVED = """
    arguments await break case catch class const continue debugger default delete do else enum eval export extends false
    finally for function if implements import in instanceof interface let new null package private protected public
    return static super switch this throw true try typeof var void while with yield any boolean number string symbol
    type undefined never unknown object
"""
WORDS = frozenset(RESERVED.split())

CODE = """\
// %(name)s: generated code, %(element)s. Values are those of %(name)s.h; documentation: description below.

const Numbers = %(array)s;

/** Arguments and results in order: name, shape, number of elements, and of sparse results where the values stand. */
export const description = %(description)s;

/**
 * The kernel, ready to be called.
 * @param source the module: its bytes, a URL, a Response, or a WebAssembly.Module; by default the file beside this one.
 */
export async function load(source = new URL("./%(name)s.wasm", import.meta.url)) {
    const compiled = source instanceof WebAssembly.Module;
    const module = compiled ? source : await WebAssembly.compile(await bytesOf(source));
    return new Kernel((await WebAssembly.instantiate(module)).exports);
}

async function bytesOf(source) {
    if (source instanceof ArrayBuffer || ArrayBuffer.isView(source)) return source;
    if (typeof Response !== "undefined" && source instanceof Response) return source.arrayBuffer();
    const url = new URL(source, import.meta.url);
    if (url.protocol === "file:") return (await import("node:fs/promises")).readFile(url);
    const response = await fetch(url);
    if (!response.ok)
        throw new Error(`%(name)s: ${url} could not be loaded: ${response.status} ${response.statusText}`);
    return response.arrayBuffer();
}

class Kernel {
    #exports;

    constructor(exports) {
        this.#exports = exports;
        this.description = description;
    }

    /** One point: a number for each scalar argument, the elements in C order for each array. Results likewise. */
    point(...values) {
        const rows = checked(values, true);
        return this.#run(1, rows, (places) => this.#exports["%(name)s"](...places), 1)
            .map((result, k) => (description.results[k].shape.length ? result : result[0]));
    }

    /**
     * Many points: each argument holds the elements of all points, one after the other, or those of one point, which
     * all points share. Results hold the elements of all points, one after the other.
     */
    batch(...values) {
        const rows = checked(values, false);
        const count = Math.max(1, ...rows.map((row, k) => row.length / description.arguments[k].size || 0));
        rows.forEach((row, k) => {
            const { name, size } = description.arguments[k];
            if (row.length !== size && row.length !== count * size)
                throw new RangeError(
                    `%(name)s: ${name} has ${row.length} numbers; ${count} points take ${count * size}`);
        });
        const steps = [...description.arguments, ...description.results].map(({ size }, k) =>
            [BigInt(k < rows.length && rows[k].length === size ? 0 : size), 1n]);
        const call = this.#exports["%(name)s_strided"];
        return this.#run(count, rows,
            (places) => call(BigInt(count), ...places.flatMap((place, k) => [place, ...steps[k]])), count);
    }
%(reduce)s
    #run(count, rows, call, each) {
        const { memory, __heap_base: heap } = this.#exports, width = Numbers.BYTES_PER_ELEMENT;
        const sizes = [...rows.map((row) => row.length), ...description.results.map(({ size }) => size * each)];
        const places = [];
        let end = Math.ceil(heap.value / 64) * 64;
        for (const size of sizes) {
            places.push(end);
            end += Math.ceil((size * width) / 64) * 64;
        }
        const short = end - memory.buffer.byteLength;
        if (short > 0) memory.grow(Math.ceil(short / 65536)); // throws RangeError beyond 4 GiB
        rows.forEach((row, k) => new Numbers(memory.buffer, places[k], row.length).set(row));
        call(places);
        return sizes.slice(rows.length)
            .map((size, k) => new Numbers(memory.buffer, places[rows.length + k], size).slice());
    }
}

function checked(values, single) {
    const wanted = description.arguments;
    if (values.length !== wanted.length) {
        const names = wanted.map(({ name }) => name).join(", ");
        throw new TypeError(`%(name)s takes ${wanted.length} arguments (${names}), got ${values.length}`);
    }
    return values.map((value, k) => {
        const row = typeof value === "number" ? [value] : Array.isArray(value) ? value.flat(Infinity) : value;
        if (row === null || typeof row !== "object" || typeof row.length !== "number")
            throw new TypeError(`%(name)s: ${wanted[k].name} must be a number or an array of numbers, got ${value}`);
        const { name, size } = wanted[k];
        if (single ? row.length !== size : row.length %% (size || 1))
            throw new RangeError(`%(name)s: ${name} has ${row.length} numbers; a point has ${size}`);
        return row;
    });
}
"""

REDUCE = """
    /** All points reduced (%(kinds)s): arguments as for batch, but %(shared)s. Results are those of one point. */
    reduce(...values) {
        const rows = checked(values, false), shared = new Set(%(places)s);
        const counts = rows.map((row, k) => (shared.has(k) ? 0 : row.length / (description.arguments[k].size || 1)));
        const count = Math.max(0, ...counts);
        rows.forEach((row, k) => {
            const { name, size } = description.arguments[k], points = shared.has(k) ? 1 : count;
            if (row.length !== points * size)
                throw new RangeError(`%(name)s: ${name} has ${row.length} numbers; here it takes ${points * size}`);
        });
        return this.#run(count, rows, (places) => this.#exports["%(name)s_reduce"](BigInt(count), ...places), 1)
            .map((result, k) => (description.results[k].shape.length ? result : result[0]));
    }
"""

TYPES = """\
// %(name)s: generated code, %(element)s.

/** Elements in C order, nested or not. */
export type Elements = ArrayLike<number> | ReadonlyArray<ArrayLike<number> | ReadonlyArray<unknown>>;

export interface Sparsity {
    readonly shape: readonly [number, number];
    readonly rows: readonly number[];
    readonly columns: readonly number[];
}

export interface Parameter {
    readonly name: string;
    readonly shape: readonly number[];
    readonly size: number;
    readonly sparsity?: Sparsity;
}

export interface Description {
    readonly name: string;
    readonly element: "%(element)s";
    readonly arguments: readonly Parameter[];
    readonly results: readonly Parameter[];
}

export declare const description: Description;

export interface Kernel {
    readonly description: Description;
    /** One point. */
    point(%(arguments)s): [%(results)s];
    /** Many points, one after the other; an argument of one point is shared by all. */
    batch(%(batches)s): [%(arrays)s];
%(reduce)s}

/** The kernel, ready to be called; by default from the module beside this file. */
export declare function load(
    source?: string | URL | Response | BufferSource | WebAssembly.Module,
): Promise<Kernel>;
"""


def javascript(build: Build) -> Files:
    """`NAME.mjs` and `NAME.d.mts`."""
    interface = build.interface
    return {f"{build.name}.mjs": code(interface).encode(), f"{build.name}.d.mts": types(interface).encode()}


def code(interface: Interface) -> str:
    name, reduction = interface.name, interface.reduction
    reduce = ""
    if reduction is not None:
        arguments, _ = split(interface)
        shared = [arguments[k].name for k in sorted(reduction.shared)]
        reduce = REDUCE % {
            "name": name,
            "kinds": ", ".join(reduction.kinds),
            "shared": f"those of one point for {', '.join(shared)}" if shared else "each of all points",
            "places": json.dumps(sorted(reduction.shared)),
        }
    filled = {
        "name": name,
        "element": interface.element,
        "array": ARRAYS[interface.element],
        "description": json.dumps(description(interface), indent=4),
        "reduce": reduce,
    }
    return CODE % filled


def description(interface: Interface) -> dict[str, object]:
    arguments, results = split(interface)
    return {
        "name": interface.name,
        "element": interface.element,
        "arguments": [described(interface, parameter) for parameter in arguments],
        "results": [described(interface, parameter) for parameter in results],
    }


def described(interface: Interface, parameter: Parameter) -> dict[str, object]:
    array = parameter.array
    told: dict[str, object] = {"name": array.name, "shape": list(array.shape), "size": array.size}
    pattern = interface.patterns.get(parameter.name) if parameter.is_result else None
    if pattern is not None:
        told["sparsity"] = {"shape": pattern.shape, "rows": pattern.rows, "columns": pattern.columns}
    return told


def split(interface: Interface) -> tuple[list[Parameter], list[Parameter]]:
    return (
        [parameter for parameter in interface.parameters if not parameter.is_result],
        [parameter for parameter in interface.parameters if parameter.is_result],
    )


def types(interface: Interface) -> str:
    array = ARRAYS[interface.element]
    arguments, results = split(interface)

    def listed(parameters: Sequence[Parameter], scalar: str, other: str) -> str:
        return ", ".join(f"{safe(p.name)}: {other if p.array.shape else scalar}" for p in parameters)

    one, many = listed(arguments, "number", "Elements"), listed(arguments, "number | Elements", "Elements")
    told, rows = listed(results, "number", array), listed(results, array, array)
    reduce = f"    /** All points reduced. */\n    reduce({many}): [{told}];\n" if interface.reduction else ""
    return TYPES % {
        "name": interface.name,
        "element": interface.element,
        "arguments": one,
        "results": told,
        "batches": many,
        "arrays": rows,
        "reduce": reduce,
    }


def safe(name: str) -> str:
    return f"{name}_" if name in WORDS else name
