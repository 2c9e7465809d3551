"""The ES module that loads a WebAssembly module: points and batches from JavaScript, in Node and in a browser."""

from __future__ import annotations

import http.server
import json
import shutil
import subprocess
import tempfile
import threading
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from codegen.export import Details, Interface, Pattern, Reduction, export
from codegen.export.javascript import types
from codegen.program import Array, Program
from codegen.target import host


def tool(*names: str) -> str:
    for name in names:
        if path := shutil.which(name):
            return path
    pytest.skip(f"none of {', '.join(names)} is installed")


def node(folder: Path, code: str, *arguments: object) -> str:
    (folder / "run.mjs").write_text(code)
    command = [tool("node", "nodejs"), "run.mjs", *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def plain() -> Program:
    """A scalar and a vector argument; a scalar, a vector and a sparse result: x·q0 + e^x, [x q], [q1, x]."""
    body = [("load", 0, 0), ("load", 1, 0), ("load", 1, 1), ("mul", 0, 1), ("exp", 0), ("add", 3, 4), ("mul", 0, 2)]
    results = (Array("value"), Array("rows", (2,)), Array("entries", (2,)))
    return Program("f", (Array("x"), Array("q", (2,))), results, body, ((5,), (3, 6), (2, 0)))


def details(**fields: object) -> Details:
    return Details(sparsity={"entries": Pattern((2, 3), (0, 1), (2, 0))}, **fields)


CALLS = """\
import { load, description } from "./f.mjs";
import { readFile } from "node:fs/promises";
const f = await load();
const [value, rows, entries] = f.point(0.5, [2, -1]);
const batch = f.batch(Float64Array.of(0.5, 1, 2), [2, -1]);
const both = f.batch([0.5, 1], [[2, -1], [3, 4]]);
const wide = f.batch(new Float64Array(300000).fill(0.5), [2, -1]);
const again = await load(await readFile("f.wasm"));
const errors = [];
for (const bad of [() => f.point(1), () => f.point(1, [2]), () => f.point("1", [2, 3]),
                   () => f.batch([1, 2], [1, 2, 3]), () => f.batch([1, 2], [1, 2, 3, 4, 5, 6])]) {
    try { bad(); errors.push("none"); } catch (error) { errors.push(`${error.name}: ${error.message}`); }
}
console.log(JSON.stringify({ value, rows: [...rows], entries: [...entries], batch: batch.map((a) => [...a]),
    both: both.map((a) => [...a]), wide: [wide[0].length, new Set(wide[0]).size], kind: rows.constructor.name,
    again: again.point(0.5, [2, -1])[0], errors, description }));
"""


@pytest.mark.parametrize("element", ["float64", "float32"])
def test_the_loader_calls_points_and_batches(element, tmp_path) -> None:
    target = host().with_element(element)
    export(plain(), tmp_path, "f", ["wasm", "js"], target, details=details())
    told = json.loads(node(tmp_path, CALLS))
    close = partial(np.testing.assert_allclose, rtol=1e-15 if element == "float64" else 1e-6)
    exp = np.exp([0.5, 1.0, 2.0])
    close(told["value"], 1 + exp[0])
    close(told["rows"], [1, -0.5])
    close(told["entries"], [-1, 0.5])
    close(told["batch"][0], np.add([1, 2, 4], exp))
    close(told["batch"][1], [1, -0.5, 2, -1, 4, -2])
    close(told["both"][0], np.add([1, 3], exp[:2]))
    close(told["both"][2], [-1, 0.5, 4, 1])
    assert told["wide"] == [300_000, 1]
    assert told["kind"] == ("Float64Array" if element == "float64" else "Float32Array")
    assert told["again"] == told["value"]
    assert told["errors"] == [
        "TypeError: f takes 2 arguments (x, q), got 1",
        "RangeError: f: q has 1 numbers; a point has 2",
        "TypeError: f: x must be a number or an array of numbers, got 1",
        "RangeError: f: q has 3 numbers; a point has 2",
        "RangeError: f: x has 2 numbers; 3 points take 3",
    ]
    assert told["description"]["results"][2] == {
        "name": "entries", "shape": [2], "size": 2, "sparsity": {"shape": [2, 3], "rows": [0, 1], "columns": [2, 0]},
    }  # fmt: skip


def test_reductions(tmp_path) -> None:
    reduction = Reduction(("sum", "mean", "max"), frozenset({1}))
    export(plain(), tmp_path, "f", ["wasm", "js"], details=details(reduction=reduction))
    code = 'import { load } from "./f.mjs"; const f = await load();'
    code += "console.log(JSON.stringify(f.reduce([0.5, 1, 2], [2, -1]).map((r) => r.length ? [...r] : r)));"
    value, rows, entries = json.loads(node(tmp_path, code))
    np.testing.assert_allclose(value, 7 + np.exp([0.5, 1, 2]).sum(), rtol=1e-15)
    np.testing.assert_allclose(rows, [7 / 3, -3.5 / 3], rtol=1e-15)
    assert entries == [-1, 2]


def test_in_a_browser(tmp_path) -> None:
    browser = tool("chromium", "chromium-browser", "google-chrome")
    export(plain(), tmp_path, "f", ["wasm", "js"], details=details())
    (tmp_path / "page.html").write_text(
        "<!doctype html><title>f</title><body><pre id=out>waiting</pre><script type=module>"
        'import { load } from "./f.mjs"; const f = await load();'
        "const told = f.point(0.5, [2, -1]).map((r) => Array.from([r].flat()));"
        'document.getElementById("out").textContent = JSON.stringify(told);'
        "</script>"
    )

    class Quiet(http.server.SimpleHTTPRequestHandler):
        extensions_map: ClassVar = {**http.server.SimpleHTTPRequestHandler.extensions_map, ".mjs": "text/javascript"}

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    try:
        with tempfile.TemporaryDirectory() as profile:
            done = subprocess.run(
                [browser, *flags.split(), "--disable-component-update", "--disable-sync", f"--user-data-dir={profile}",
                 "--virtual-time-budget=20000", "--dump-dom", f"http://127.0.0.1:{server.server_port}/page.html"],
                capture_output=True, text=True, timeout=120, check=False,
            )  # fmt: skip
    finally:
        server.shutdown()
        server.server_close()
    assert f"[[{1 + np.exp(0.5)}]," in done.stdout, done.stdout


def test_types_are_typescript(tmp_path) -> None:
    text = types(Interface(plain(), "float64"))
    assert "point(x: number, q: Elements): [value: number, rows: Float64Array, entries: Float64Array];" in text
    words = Program("f", (Array("in"),), (Array("function"),), [("load", 0, 0)], ((0,),))
    assert "point(in_: number): [function_: number];" in types(Interface(words, "float32"))
    if compiler := shutil.which("tsc"):
        (tmp_path / "f.d.mts").write_text(text)
        subprocess.run([compiler, "--noEmit", "--strict", "--lib", "es2022,dom", tmp_path / "f.d.mts"], check=True)
