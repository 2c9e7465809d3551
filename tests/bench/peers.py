"""What benchmarks of arms and networks share: other tools fed from plain NumPy code, C from CasADi's graphs, timing."""

from __future__ import annotations

import ctypes
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

FLAGS = ["-O3", "-march=native", "-ffast-math", "-mprefer-vector-width=512", "-fPIC", "-shared"]


@dataclass(frozen=True)
class Case:
    """A tool, what it runs on all points, and its operation count if known."""

    name: str
    run: Callable[[], object]
    operations: int | None = None


class Number:
    """A symbolic number of another tool, as NumPy's object arrays need it: arithmetic, cos, sin, tanh as methods."""

    def __init__(self, value: Any, tool: Any) -> None:
        self.value, self.tool = value, tool

    def _binary(self, other: Any, operation: Callable[[Any, Any], Any], swapped: bool = False) -> Number:
        value = other.value if isinstance(other, Number) else float(other)
        return Number(operation(value, self.value) if swapped else operation(self.value, value), self.tool)

    def __add__(self, other: Any) -> Number:
        return self if not isinstance(other, Number) and other == 0 else self._binary(other, lambda a, b: a + b)

    def __mul__(self, other: Any) -> Any:
        if not isinstance(other, Number) and other in (0, 1):
            return self if other == 1 else 0.0
        return self._binary(other, lambda a, b: a * b)

    def __sub__(self, other: Any) -> Number:
        return self if not isinstance(other, Number) and other == 0 else self._binary(other, lambda a, b: a - b)

    def __rsub__(self, other: Any) -> Number:
        return -self if other == 0 else self._binary(other, lambda a, b: a - b, swapped=True)

    __radd__, __rmul__ = __add__, __mul__

    def __pow__(self, power: int) -> Number:
        return self * self if power == 2 else Number(self.value**power, self.tool)

    def __neg__(self) -> Number:
        return Number(-self.value, self.tool)

    def cos(self) -> Number:
        return Number(self.tool.cos(self.value), self.tool)

    def sin(self) -> Number:
        return Number(self.tool.sin(self.value), self.tool)

    def tanh(self) -> Number:
        return Number(self.tool.tanh(self.value), self.tool)


def numbers(values: Sequence[Any], tool: Any) -> np.ndarray:
    """Symbols of a tool as an object array."""
    return np.array([Number(value, tool) for value in values], dtype=object)


def values(array: Any) -> list[Any]:
    """The tool's own expressions, in C order."""
    return [entry.value if isinstance(entry, Number) else float(entry) for entry in np.ravel(array)]


# --- C ----------------------------------------------------------------------------------------------------------------
BINARY = {"OP_ADD": "+", "OP_SUB": "-", "OP_MUL": "*", "OP_DIV": "/"}
CALLS = {"OP_SIN": "_ZGVeN8v_sin", "OP_COS": "_ZGVeN8v_cos", "OP_TANH": "_ZGVeN8v_tanh", "OP_EXP": "_ZGVeN8v_exp"}
CALLS |= {"OP_LOG": "_ZGVeN8v_log", "OP_ERF": "_ZGVeN8v_erf"}


def compiled(source: str) -> ctypes.CDLL:
    """C source as a loaded library. The folder stays until the process ends."""
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    (folder / "peer.c").write_text(source)
    library = folder / "peer.so"
    subprocess.run(["gcc", *FLAGS, "-o", str(library), str(folder / "peer.c"), "-lmvec", "-lm"], check=True)
    return ctypes.CDLL(str(library))


def vector_c(function: Any) -> Callable[[np.ndarray, np.ndarray], None]:
    """A CasADi function of scalars-in-one-vector as C over 8 points at a time, with the C library's vector functions.

    The result takes inputs (arguments, points) and outputs (results, points), points in multiples of 8, C-ordered.
    """
    import casadi

    names = {getattr(casadi, name): name for name in dir(casadi) if name.startswith("OP_")}
    lines, made = [], set()
    for k in range(function.n_instructions()):
        name = names[function.instruction_id(k)]
        inputs, outputs = function.instruction_input(k), function.instruction_output(k)
        match name:
            case "OP_INPUT":
                text = f"*(const v8*)(x + {inputs[1]}*n + i)"
            case "OP_OUTPUT":
                lines.append(f"*(v8*)(r + {outputs[1]}*n + i) = w{inputs[0]};")
                continue
            case "OP_CONST":
                text = f"(v8){{}} + {function.instruction_constant(k)!r}"
            case "OP_NEG":
                text = f"-w{inputs[0]}"
            case "OP_SQ":
                text = f"w{inputs[0]} * w{inputs[0]}"
            case "OP_TWICE":
                text = f"w{inputs[0]} + w{inputs[0]}"
            case "OP_INV":
                text = f"1.0 / w{inputs[0]}"
            case "OP_SQRT":
                text = f"(v8)_mm512_sqrt_pd((__m512d)w{inputs[0]})"
            case _ if name in BINARY:
                text = f"w{inputs[0]} {BINARY[name]} w{inputs[1]}"
            case _:
                text = f"{CALLS[name]}(w{inputs[0]})"
        made.add(outputs[0])
        lines.append(f"w{outputs[0]} = {text};")
    calls = "\n".join(f"v8 {call}(v8);" for call in CALLS.values())
    work = ", ".join(f"w{number}" for number in sorted(made))
    source = (
        "#include <immintrin.h>\ntypedef double v8 __attribute__((vector_size(64), aligned(8)));\n"
        f"{calls}\nvoid peer(const double *x, double *r, long n) {{ for (long i = 0; i < n; i += 8) {{\n v8 {work};\n "
        + "\n ".join(lines)
        + "\n}}\n"
    )
    library = compiled(source)

    def run(x: np.ndarray, r: np.ndarray) -> None:
        library.peer(ctypes.c_void_p(x.ctypes.data), ctypes.c_void_p(r.ctypes.data), ctypes.c_long(x.shape[1]))

    return run


def scalar_c(function: Any) -> Callable[[np.ndarray, np.ndarray], None]:
    """CasADi's own C of a function, called for every point of C-ordered arrays (points, …)."""
    source = function_source(function)
    name, work = function.name(), function.sz_w()
    rows, columns = function.size1_out(0), function.size1_in(0)
    loop = (
        f"\nvoid peer(const double *x, double *r, long n) {{ static double w[{max(work, 1)}];\n"
        f" for (long i = 0; i < n; i++) {{\n const double *in[1] = {{x + {columns}*i}};"
        f" double *out[1] = {{r + {rows}*i}};"
        f" {name}(in, out, 0, w, 0); }} }}\n"
    )
    library = compiled(source + loop)

    def run(x: np.ndarray, r: np.ndarray) -> None:
        library.peer(ctypes.c_void_p(x.ctypes.data), ctypes.c_void_p(r.ctypes.data), ctypes.c_long(len(x)))

    return run


def function_source(function: Any) -> str:
    import casadi

    generator = casadi.CodeGenerator("peer.c")
    generator.add(function)
    return str(generator.dump())


# --- measuring --------------------------------------------------------------------------------------------------------
def gather(tools: Sequence[Callable[[], Case]]) -> list[Case]:
    """The cases of the tools that are installed; the others are named."""
    cases = []
    for tool in tools:
        try:
            cases.append(tool())
        except (ImportError, OSError, subprocess.CalledProcessError) as error:
            print(f"left out: {tool.__name__}, {error}", file=sys.stderr)
    return cases


def measure(cases: Sequence[Case], points: int, rounds: int) -> dict[str, float]:
    """Least processor time of interleaved runs by name, in ns per point; each lasts some milliseconds."""
    repeats = {}
    for case in cases:
        case.run()
        start = time.process_time()
        case.run()
        repeats[case.name] = max(1, int(2e-3 / max(time.process_time() - start, 1e-7)))
    best = dict.fromkeys(repeats, float("inf"))
    for _ in range(rounds):
        for case in cases:
            start = time.process_time()
            for _ in range(repeats[case.name]):
                case.run()
            best[case.name] = min(best[case.name], (time.process_time() - start) / repeats[case.name])
    return {name: 1e9 * seconds / points for name, seconds in best.items()}


def show(title: str, cases: Sequence[Case], figures: dict[str, float], first: str) -> None:
    """One line per case: ns per point, and how much slower it is than `first`."""
    print(f"\n{title:<56}{'ns':>10}{'× ' + first:>16}{'operations':>12}")
    for case in cases:
        ns = figures[case.name]
        count = "" if case.operations is None else f"{case.operations:,}"
        print(f"{case.name:<56}{ns:>10.1f}{ns / figures[first]:>16.2f}{count:>12}")
