"""WebAssembly: modules linked here run in Node and give the kernel's bits."""

import dataclasses
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from codegen import INSTRUCTIONS, Array, Program, compile, host, make_ufunc
from codegen.export import Build, Details, Reduction, export, wasm_module
from codegen.export.wasm_link import link
from codegen.export.wasm_object import Reader, signed, unsigned
from codegen.target import NAMED

NAMES = "add sub mul div exp log sin cos sqrt select minimum"
ARGUMENTS = (Array("x"), Array("double"), Array("q w", (3,)))
RESULTS = (Array("value"), Array("x", (2, 3)))

NODE = """\
const fs = require("fs"), data = JSON.parse(fs.readFileSync("data.json"));
const wasm = new WebAssembly.Instance(new WebAssembly.Module(fs.readFileSync("f.wasm"))).exports;
wasm.memory.grow(4);
const Numbers = data.bytes == 8 ? Float64Array : Float32Array;
const Bits = data.bytes == 8 ? BigInt64Array : Int32Array;
let free = (wasm.__heap_base.value + 63) & ~63;
function put(numbers) {
    const place = free;
    new Numbers(wasm.memory.buffer, place, numbers.length).set(numbers.map(Number));
    free += (data.bytes * numbers.length + 63) & ~63;
    return place;
}
const places = [...data.arguments, ...data.results.map((size) => new Array(size).fill(-9))].map(put);
function print(points) {
    data.results.forEach((size, k) => {
        const result = new Bits(wasm.memory.buffer, places[data.arguments.length + k], size * points / data.points);
        console.log(Array.from(result, String).join(" "));
    });
}
wasm.f(...places);
print(1);
wasm.f_batch(BigInt(data.points), ...places);
print(data.points);
"""


@pytest.fixture(scope="session")
def node():
    path = shutil.which("node") or shutil.which("nodejs")
    if path is None:
        pytest.skip("no node")
    return path


def in_node(node, folder, module: bytes, arguments, program, dtype=np.float64) -> list[np.ndarray]:
    """Results of the first point, then of all points, as the module computes them."""
    points = len(arguments[0])
    sizes = [points * array.size for array in program.results]
    texts = [[repr(float(number)).replace("inf", "Infinity") for number in array.ravel()] for array in arguments]
    width = np.dtype(dtype).itemsize
    data = {"points": points, "arguments": texts, "results": sizes, "bytes": width}
    (folder / "data.json").write_text(json.dumps(data))
    (folder / "f.wasm").write_bytes(module)
    (folder / "run.js").write_text(NODE)
    done = subprocess.run([node, "run.js"], cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return [np.array(line.split(), f"i{width}").view(dtype) for line in done.stdout.splitlines()]


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    bits = f"i{a.dtype.itemsize}"
    return bool((np.where(np.isnan(a), 0, a).view(bits) == np.where(np.isnan(b), 0, b).view(bits)).all())


def kernel_of(program, element="float64"):
    """The kernel for vectors of 128 bits without fused multiply-add, which WebAssembly has not."""
    return make_ufunc(compile(program, dataclasses.replace(host(), width=2, fma=False).with_element(element)))


def compared(found, kernel, arguments, dtype=np.float64):
    """Whether what Node printed has the bits of the kernel, for one point and for all."""
    results = kernel(*[array.astype(dtype) for array in arguments])
    results = results if isinstance(results, tuple) else (results,)
    expected = [result[:1].ravel() for result in results] + [result.ravel() for result in results]
    return len(found) == len(expected) and all(same_bits(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("element", ["float64", "float32"])
def test_random_programs_have_the_bits_of_the_kernel(element, node, tmp_path, programs, sample):
    program = dataclasses.replace(programs(90, 11, NAMES, ARGUMENTS, RESULTS), name="f")
    arguments = [array.astype(element) for array in sample(program, (11,), 0)]
    found = in_node(node, tmp_path, wasm_module(program, element), arguments, program, np.dtype(element))
    assert compared(found, kernel_of(program, element), arguments, np.dtype(element))


def every_instruction() -> Program:
    body: list[tuple] = [("load", 0, 0), ("load", 1, 2), ("load", 1, 5), ("lt", 0, 1), ("gt", 1, 2)]
    outputs = []
    for name, row in INSTRUCTIONS.items():
        if name == "fma":
            continue
        reals, masks = iter([0, 1, 2]), iter([3, 4, 3])
        operands = [next(masks) if kind == "mask" else next(reals) for kind in row.operands]
        if name == "polygamma":
            body.append(("const", 3.0))
            operands = [len(body) - 1, 0]
        body.append((name, *operands))
        if row.result == "mask":
            body.append(("select", len(body) - 1, 0, 1))
        outputs.append(len(body) - 1)
    return Program("f", (Array("x"), Array("A", (2, 3))), (Array("r", (len(outputs),)),), body, (tuple(outputs),))


def test_every_instruction_has_the_bits_of_the_kernel(node, tmp_path):
    """Arguments of all sizes, so that tables, rare cases and signs are met."""
    program = every_instruction()
    source = np.random.default_rng(2)
    edges = [0.0, -0.0, np.inf, -np.inf, 5e-324, 1e300, -1e-300]
    x = np.concatenate([edges, source.normal(size=60) * 10.0 ** source.integers(-3, 5, 60)])
    a = source.normal(size=(len(x), 2, 3)) * 10.0 ** source.integers(-2, 3, (len(x), 1, 1))
    found = in_node(node, tmp_path, wasm_module(program), [x, a], program)
    assert compared(found, kernel_of(program), [x, a])


def test_a_long_program_of_many_parts(node, tmp_path, programs, sample):
    program = dataclasses.replace(programs(6000, 5, "add sub mul div exp sin", ARGUMENTS, RESULTS), name="f")
    arguments = sample(program, (5,), 0)
    found = in_node(node, tmp_path, wasm_module(program), arguments, program)
    assert compared(found, kernel_of(program), arguments)


def test_the_format_is_the_module_and_the_same_each_time(tmp_path, programs):
    program = programs(90, 11, NAMES, ARGUMENTS, RESULTS)
    (path,) = export(program, tmp_path, "f", ["wasm"])
    module = path.read_bytes()
    assert module == wasm_module(dataclasses.replace(program, name="f"))
    assert b"reloc" not in module
    assert b"linking" not in module
    assert b"env" not in module


REDUCED = """\
const wasm = new WebAssembly.Instance(new WebAssembly.Module(require("fs").readFileSync("f.wasm"))).exports;
wasm.memory.grow(1);
const start = wasm.__heap_base.value, numbers = new Float64Array(wasm.memory.buffer, start, 102);
for (let i = 0; i < 100; i++)
    numbers[i] = i / 8;
numbers[100] = 3;
wasm.f_reduce(100n, start, start + 800, start + 808);
console.log(numbers[101]);
"""


def test_reductions(node, tmp_path):
    """Of 3·x over 100 points, exact in float64: the sum is 3·(99·100/2)/8."""
    body = [("load", 0, 0), ("load", 1, 0), ("mul", 0, 1)]
    program = Program("f", (Array("x"), Array("k")), (Array("r"),), body, ((2,),))
    details = Details(reduction=Reduction(("sum",), frozenset({1})))
    export(program, tmp_path, "f", ["wasm"], details=details)
    (tmp_path / "run.js").write_text(REDUCED)
    done = subprocess.run([node, "run.js"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    assert float(done.stdout) == 3 * 4950 / 8


def test_modules_are_no_larger_than_those_of_a_linker(tmp_path, programs):
    pytest.importorskip("ziglang")
    code = Build(dataclasses.replace(programs(500, 3, NAMES), name="f"), NAMED["wasm32"]).object_code
    (tmp_path / "f.o").write_bytes(code)
    options = ["--no-entry", "--strip-all", "--export=f", "--export=f_batch", "--export=__heap_base"]
    command = [sys.executable, "-m", "ziglang", "wasm-ld", *options, "f.o", "-o", "f.wasm"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=120)
    assert len(link(code, ["f", "f_batch"], 1 << 20)) <= (tmp_path / "f.wasm").stat().st_size


def test_only_what_is_reached_is_linked():
    square = Program("f", (Array("x"),), (Array("r"),), [("load", 0, 0), ("mul", 0, 0)], ((1,),))
    code = Build(square, NAMED["wasm32"]).object_code
    point, both = link(code, ["f"], 1 << 16), link(code, ["f", "f_batch"], 1 << 16)
    assert len(point) < len(both) < len(code)


def test_what_cannot_be_linked_is_named():
    square = Program("f", (Array("x"),), (Array("r"),), [("load", 0, 0), ("mul", 0, 0)], ((1,),))
    code = Build(square, NAMED["wasm32"]).object_code
    with pytest.raises(ValueError, match="no function 'g' to export"):
        link(code, ["g"], 0)
    with pytest.raises(ValueError, match="not WebAssembly"):
        link(Build(square, NAMED["x86-64"]).object_code, ["f"], 0)
    for length in range(9, len(code), 97):
        try:
            link(code[:length], ["f"], 0)
        except ValueError:
            continue
        pytest.fail(f"an object cut after {length} bytes was linked")
    fma = Program("f", (Array("x"),), (Array("r"),), [("load", 0, 0), ("fma", 0, 0, 0)], ((1,),))
    with pytest.raises(ValueError, match="f needs fma of the C library"):
        wasm_module(fma)


@pytest.mark.parametrize("number", [0, 1, 63, 64, 127, 128, 300, 1 << 20, (1 << 31) - 1, (1 << 32) - 1])
def test_numbers_of_variable_length(number):
    assert Reader(unsigned(number)).unsigned() == number
    for value in (number, -number):
        encoded = signed(value)
        assert Reader(encoded).signed() == value
        assert len(encoded) <= 5
