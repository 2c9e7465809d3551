"""PTX text as C, instruction by instruction after NVIDIA's description of PTX: kernels for a GPU, run without one.

Registers are arrays of bits, every operation of floating point is one of C's, rounded to nearest and never fused with
another. What the text uses and is not described here is an error.
"""

from __future__ import annotations

import re

PRELUDE = r"""
#include <math.h>
#include <stdint.h>
#include <string.h>
int sim_tid, sim_ctaid, sim_ntid, sim_nctaid;
typedef unsigned char byte;
struct simulated { const char *name; void (*thread)(byte *, byte **); };
static inline double D(uint64_t b) { double x; memcpy(&x, &b, 8); return x; }
static inline float F(uint32_t b) { float x; memcpy(&x, &b, 4); return x; }
static inline uint64_t BD(double x) { uint64_t b; memcpy(&b, &x, 8); return b; }
static inline uint32_t BF(float x) { uint32_t b; memcpy(&b, &x, 4); return b; }
static inline uint64_t L64(const byte *p) { uint64_t b; memcpy(&b, p, 8); return b; }
static inline uint32_t L32(const byte *p) { uint32_t b; memcpy(&b, p, 4); return b; }
static inline void S64(byte *p, uint64_t b) { memcpy(p, &b, 8); }
static inline void S32(byte *p, uint32_t b) { memcpy(p, &b, 4); }
/* A NaN gives way to a number, and -0 is below +0. */
#define LEAST(a, b) (isnan(a) ? (b) : isnan(b) ? (a) : (a) == (b) ? (signbit(a) ? (a) : (b)) : (a) < (b) ? (a) : (b))
#define MOST(a, b) (isnan(a) ? (b) : isnan(b) ? (a) : (a) == (b) ? (signbit(a) ? (b) : (a)) : (a) > (b) ? (a) : (b))
"""

# Over operands as numbers of the type: {0}, {1}, {2}. Of copysign, the first operand gives the sign.
REAL = {
    "add.rn": "{0} + {1}",
    "sub.rn": "{0} - {1}",
    "mul.rn": "{0} * {1}",
    "div.rn": "{0} / {1}",
    "rcp.rn": "1 / {0}",
    "fma.rn": "fma{f}({0}, {1}, {2})",
    "sqrt.rn": "sqrt{f}({0})",
    "neg": "-{0}",
    "abs": "fabs{f}({0})",
    "copysign": "copysign{f}({1}, {0})",
    "min": "LEAST({0}, {1})",
    "max": "MOST({0}, {1})",
}
# Over operands as unsigned integers of the type, of {w} bits.
WHOLE = {
    "add": "{0} + {1}",
    "sub": "{0} - {1}",
    "mul.lo": "{0} * {1}",
    "mad.lo": "{0} * {1} + {2}",
    "div": "{0} / {1}",
    "rem": "{0} % {1}",
    "neg": "0 - {0}",
    "and": "{0} & {1}",
    "or": "{0} | {1}",
    "xor": "{0} ^ {1}",
    "not": "~{0}",
    "mov": "{0}",
    "cvta.global": "{0}",  # addresses of global memory are the same wherever an address is asked for
    "shl": "({1} < {w} ? {0} << {1} : 0)",
    "shr": "({1} < {w} ? {0} >> {1} : 0)",
    "bfe": "({0} >> {1}) & ((1ull << {2}) - 1)",
}
COMPARE = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
ROUND = {"rzi": "trunc", "rpi": "ceil", "rmi": "floor", "rni": "rint"}
REGISTERS = {"pred": "int", "b32": "uint32_t", "b64": "uint64_t"}


def ptx_in_c(text: str) -> str:
    """C source of one thread of each kernel, found by its name in `simulated`, and of the numbers of the thread."""
    tables, functions = [], []
    for align, name, size, numbers in re.findall(
        r"^\.global \.align (\d+) \.b8 ([\w$]+)\[(\d+)\] = \{([^}]*)\};", text, re.MULTILINE
    ):
        tables.append(f"static const byte {name}[{size}] __attribute__((aligned({align}))) = {{{numbers}}};")
    pattern = r"^(?:\.visible )?\.(func|entry)\s*(?:\(([^()]*)\))?\s*([\w$]+)\s*\(([^)]*)\)\s*\n\{\n(.*?)^\}$"
    found = re.findall(pattern, text, re.MULTILINE | re.DOTALL)
    heads = [f"static void {name}(byte *func_retval0, byte **args)" for _, _, name, _, _ in found]
    for head, (_, _, _, parameters, body) in zip(heads, found, strict=True):
        names = re.findall(r"([\w$]+)\s*(?:,|$)", parameters.strip())
        places = {name: f"args[{k}]" for k, name in enumerate(names)}
        lines = [translated(line.split("//")[0].strip(), places) for line in joined(body)]
        functions.append("\n".join([head, "{", "(void)func_retval0; (void)args;", *lines, "}"]))
    entries = [name for kind, _, name, _, _ in found if kind == "entry"]
    rows = "".join(f'{{"{name}", {name}}}, ' for name in entries)
    last = f"const struct simulated simulated[] = {{{rows}{{0, 0}}}};"
    return "\n".join([PRELUDE, *tables, *(f"{head};" for head in heads), *functions, last, ""])


def joined(body: str) -> list[str]:
    """Statements one a line: those over several lines end in a semicolon."""
    return re.sub(r"\n(?=\s*(?:\(|\w[\w$]*,\s*\n|[\w$]+\s*\)|\)))", " ", body).splitlines()


def place(text: str, places: dict[str, str]) -> str:
    """What a bracket points at, as an address in C."""
    base, _, offset = text.strip("[]").partition("+")
    start = f"(byte *)(uintptr_t){operand(base, 'b64')}" if base.startswith("%") else places.get(base, base)
    return f"({start} + {offset or 0})"


def operand(text: str, kind: str) -> str:
    """An operand as bits."""
    if register := re.fullmatch(r"%(rd|r|p)(\d+)", text):
        return f"{register[1]}[{register[2]}]"
    if special := re.fullmatch(r"%(tid|ctaid|ntid|nctaid)\.x", text):
        return f"(uint32_t)sim_{special[1]}"
    if re.fullmatch(r"0[df][0-9A-F]+", text):
        return f"0x{text[2:]}ull"
    if re.fullmatch(r"-?\d+", text):
        return f"(({'uint64_t' if kind.endswith('64') else 'uint32_t'}){text}ll)"
    if re.fullmatch(r"[A-Za-z][\w$]*", text):
        return f"(uint64_t)(uintptr_t){text}"
    raise ValueError(f"operand {text!r}")


def translated(line: str, places: dict[str, str]) -> str:
    """A line of a function as C."""
    if not line or line in "{}":
        return line
    if label := re.fullmatch(r"\$(\w+):", line):
        return f"{label[1]}:;"
    if declared := re.fullmatch(r"\.reg \.(\w+)\s+%(\w+)<(\d+)>;", line):
        return f"{REGISTERS[declared[1]]} {declared[2]}[{declared[3]}];"
    if room := re.fullmatch(r"\.param (?:\.align \d+ )?\.b(\d+)\s+(\w+)(?:\[(\d+)\])?;", line):
        return f"byte {room[2]}[{int(room[1]) // 8 * int(room[3] or 1)}];"
    condition = ""
    if guard := re.match(r"@(!?)%p(\d+)\s+", line):
        condition, line = f"if ({guard[1]}p[{guard[2]}]) ", line[guard.end() :]
    if called := re.fullmatch(r"call\.uni\s+(?:\((\w+)\),\s*)?([\w$]+),\s*\(([^)]*)\);", line):
        given = called[3] if called[3].strip() else "0"
        return f"{condition}{{ byte *given[] = {{{given}}}; {called[2]}({called[1] or 0}, given); }}"
    words = re.fullmatch(r"([\w.]+)(?:\s+(.*))?;", line)
    if words is None:
        raise ValueError(f"line {line!r}")
    operands = re.findall(r"\{[^}]*\}|\[[^\]]*\]|[^,\s]+", words[2] or "")
    return condition + "{ " + instruction(words[1], operands, places) + " }"


def instruction(name: str, operands: list[str], places: dict[str, str]) -> str:
    base, *modifiers = name.split(".")
    if base == "ret":
        return "return;"
    if base == "bra":
        return f"goto {operands[0].removeprefix('$')};"
    kind = modifiers[-1]
    if base in ("ld", "st"):
        return moved(base, kind, operands, places)
    target = operand(operands[0], kind)
    bits = [operand(text, kind) for text in operands[1:]]
    if base == "selp":
        return f"{target} = {bits[2]} ? {bits[0]} : {bits[1]};"
    if base == "setp":
        return f"{target} = {compared(modifiers, bits)};"
    if base == "cvt":
        return f"{target} = {converted(modifiers, bits[0])};"
    if (base, *modifiers) == ("mul", "wide", "u32"):
        return f"{target} = (uint64_t){bits[0]} * {bits[1]};"
    operation = ".".join([base, *modifiers[:-1]])
    if kind in ("f64", "f32"):
        read, write, f = ("D", "BD", "") if kind == "f64" else ("F", "BF", "f")
        numbers = [f"{read}({text})" for text in bits]
        return f"{target} = {write}({REAL[operation].format(*numbers, f=f)});"
    if kind == "pred":
        return f"{target} = {'!' + bits[0] if base == 'not' else WHOLE[operation].format(*bits)};"
    width = int(kind[1:])
    if base == "shr" and kind[0] == "s":
        raise ValueError(f"instruction {name}")
    whole = [f"(uint{width}_t)({text})" for text in bits]
    return f"{target} = {WHOLE[operation].format(*whole, w=width)};"


def moved(base: str, kind: str, operands: list[str], places: dict[str, str]) -> str:
    width = int(kind[1:])
    registers, memory = operands if base == "ld" else operands[::-1]
    address = place(memory, places)
    each = [operand(text.strip(), kind) for text in registers.strip("{}").split(",")]
    if base == "ld":
        return " ".join(f"{text} = L{width}({address} + {k * width // 8});" for k, text in enumerate(each))
    return " ".join(f"S{width}({address} + {k * width // 8}, {text});" for k, text in enumerate(each))


def compared(modifiers: list[str], bits: list[str]) -> str:
    comparison, kind = modifiers
    if kind[0] == "f":
        a, b = (f"{'D' if kind == 'f64' else 'F'}({text})" for text in bits)
        unordered = f"isunordered({a}, {b})"
        if comparison in ("nan", "num"):
            return unordered if comparison == "nan" else f"!{unordered}"
        plain = comparison if comparison in COMPARE else comparison.removesuffix("u")
        ordered = f"{a} {COMPARE[plain]} {b}"
        return f"{unordered} || {ordered}" if plain != comparison else f"!{unordered} && {ordered}"
    sign = "int" if kind[0] == "s" else "uint"
    a, b = (f"({sign}{kind[1:]}_t)({text})" for text in bits)
    return f"{a} {COMPARE[comparison]} {b}"


def converted(modifiers: list[str], bits: str) -> str:
    *how, target, source = modifiers
    if target[0] == "f" and source == target and how[0] in ROUND:
        return f"BD({ROUND[how[0]]}(D({bits})))" if target == "f64" else f"BF({ROUND[how[0]]}f(F({bits})))"
    if (target, source) == ("f64", "f32"):
        return f"BD((double)F({bits}))"
    if (*how, target, source) == ("rn", "f32", "f64"):
        return f"BF((float)D({bits}))"
    if target[0] == "f" and how == ["rn"]:
        number = f"({'int' if source[0] == 's' else 'uint'}{source[1:]}_t)({bits})"
        return f"BD((double){number})" if target == "f64" else f"BF((float){number})"
    if not how and target[0] in "us" and source[0] in "us":
        return f"({'int' if source[0] == 's' else 'uint'}{source[1:]}_t)({bits})"
    raise ValueError(f"conversion {modifiers}")
