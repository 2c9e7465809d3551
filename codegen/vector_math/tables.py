"""Looking up small tables: by permutation of registers on AVX-512, by loads elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

from codegen.vector_math.ir import FLOAT64, Body, Integer, Vector


def look_up(index: Integer, symbol: str, table: Sequence[float], columns: int) -> list[Vector]:
    """Row index modulo the number of rows, a power of two up to twice the lanes of 512 bits; table in row order."""
    rows = len(table) // columns
    body = index.body
    if body.module.native512:
        return [permute(index, [table[row * columns + column] for row in range(rows)]) for column in range(columns)]
    scalar = body.module.format.real
    kind = f"[{len(table)} x {scalar}]"
    entries = ", ".join(f"{scalar} {body.scalar(number)}" for number in table)
    body.module.define(
        symbol, lambda: f"{symbol}{body.module.suffix} = internal unnamed_addr constant {kind} [{entries}]\n"
    )
    found: list[list[str]] = []
    for lane in body.lanes((index & (rows - 1)) * columns):
        start = body.append(
            f"getelementptr {scalar}, ptr {symbol}{body.module.suffix}, {body.module.format.integer} {lane}"
        )
        found.append([load(body, scalar, start, column) for column in range(columns)])
    return [body.from_lanes(Vector, [numbers[column] for numbers in found]) for column in range(columns)]


def load(body: Body, scalar: str, start: str, column: int) -> str:
    pointer = body.append(f"getelementptr {scalar}, ptr {start}, i32 {column}") if column else start
    return body.append(f"load {scalar}, ptr {pointer}, align {body.module.format.bits // 8}")


def permute(index: Integer, entries: Sequence[float]) -> Vector:
    """entries[index modulo their number]: from one register, or from two."""
    body, lanes = index.body, index.body.module.width
    typ, scalar = body.module.type_of(Vector), body.module.format.real
    wide = body.module.format == FLOAT64
    repeated = list(entries) * max(1, lanes // len(entries))
    halves = [repeated[start : start + lanes] for start in range(0, len(repeated), lanes)]
    registers = [f"{typ} <" + ", ".join(f"{scalar} {body.scalar(number)}" for number in half) + ">" for half in halves]
    operand = f"{index.type} {index.text}"
    if len(registers) == 1:
        name, operands = f"permvar.{'df' if wide else 'sf'}.512", [registers[0], operand]
    else:
        name, operands = f"vpermi2var.{'pd' if wide else 'ps'}.512", [registers[0], operand, registers[1]]
    return Vector(body, body.append(f"call {typ} @llvm.x86.avx512.{name}({', '.join(operands)})"))
