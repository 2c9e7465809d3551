"""Loops over integers, written in a small part of Python, as native code.

A routine is a Python function over integers, arrays of int64 (`Ints`) and records of them (`Record`): assignments,
`if`, `while`, `for … in range(…)`, arithmetic on integers, indexing, and calls of other routines. It is translated
from its syntax tree to LLVM IR, compiled when it is first called and kept in the object cache. The same function also
runs as it stands, which is how the translation is tested. Integers are 64 bits wide and wrap around; indices are not
checked and may not be negative.
"""

from __future__ import annotations

import ast
import ctypes
import functools
import importlib
import inspect
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

BINARY = {ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.BitAnd: "and", ast.BitOr: "or", ast.BitXor: "xor",
          ast.LShift: "shl", ast.RShift: "ashr"}  # fmt: skip
COMPARE = {ast.Eq: "eq", ast.NotEq: "ne", ast.Lt: "slt", ast.LtE: "sle", ast.Gt: "sgt", ast.GtE: "sge"}


class Record:
    """What routines share: attributes that are annotated `Ints` or `int` in the class body.

    Native code sees one array with the address of each array and the value of each integer; integers that a routine
    changed are read back after the call.
    """

    @classmethod
    def fields(cls) -> dict[str, bool]:
        """The fields in order, those of base classes first, and whether each is an array."""
        kinds = {
            name: kind for base in cls.__mro__[::-1] for name, kind in vars(base).get("__annotations__", {}).items()
        }
        return {name: kind not in (int, "int") for name, kind in kinds.items()}

    def pack(self) -> Ints:
        values = [getattr(self, name) for name in self.fields()]
        return np.array([v.ctypes.data if isinstance(v, np.ndarray) else v for v in values], dtype=np.int64)

    def unpack(self, packed: Ints) -> None:
        for (name, is_array), value in zip(self.fields().items(), packed.tolist(), strict=True):
            if not is_array:
                setattr(self, name, value)


class Library:
    """Routines that may call each other, compiled together.

    `library(routine, *arguments)` calls one natively: a record, integers, or contiguous int64 arrays.
    """

    def __init__(self, routines: Sequence[Callable[..., int]]) -> None:
        self.routines = {routine.__name__: routine for routine in routines}

    @functools.cached_property
    def ir(self) -> str:
        """The routines as LLVM IR, before optimisation."""
        return "\n".join(Translation(routine, self.routines).text() for routine in self.routines.values())

    @functools.cached_property
    def addresses(self) -> Callable[[str], int]:
        # LLVM is loaded when the first routine runs: most programs never need one
        engine = importlib.import_module("codegen.jit").compile_ir(self.ir)
        return functools.cache(lambda name: int(engine.get_function_address(f"routine.{name}")))

    def __call__(self, routine: Callable[..., int], *arguments: Record | Ints | int) -> int:
        packed = [argument.pack() if isinstance(argument, Record) else argument for argument in arguments]
        passed = [value.ctypes.data if isinstance(value, np.ndarray) else value for value in packed]
        result = int(prototype(len(passed))(self.addresses(routine.__name__))(*passed))
        for argument, values in zip(arguments, packed, strict=True):
            if isinstance(argument, Record) and isinstance(values, np.ndarray):
                argument.unpack(values)
        return result


@functools.cache
def prototype(count: int) -> Any:
    return ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * count)


class Translation:
    """One routine on its way to LLVM IR. Local variables live in memory; LLVM moves them into registers.

    Labels and temporaries have names with a dot, which no Python name has.
    """

    def __init__(self, routine: Callable[..., int], routines: dict[str, Callable[..., int]]) -> None:
        self.routine = routine
        self.routines = routines
        tree = ast.parse(textwrap.dedent(inspect.getsource(routine))).body[0]
        assert isinstance(tree, ast.FunctionDef)
        self.tree = tree
        self.types: dict[str, str] = {}  # of local variables: "i64" or "ptr"
        self.records: dict[str, dict[str, bool]] = {}
        self.lines: list[str] = []
        self.loops: list[tuple[str, str]] = []  # where `continue` and `break` go
        self.count = 0

    def refuse(self, node: ast.AST, what: str) -> TypeError:
        line = getattr(node, "lineno", 0)
        return TypeError(f"routine {self.routine.__name__}, line {line}: {what}: {ast.unparse(node)}")

    def text(self) -> str:
        parameters = []
        for argument in self.tree.args.args:
            kind = ast.unparse(argument.annotation) if argument.annotation else ""
            parameters.append(f"i64 %{argument.arg}.in")
            known = self.routine.__globals__.get(kind)
            if isinstance(known, type) and issubclass(known, Record):
                self.records[argument.arg] = known.fields()
                self.do(f"%{argument.arg}.record = inttoptr i64 %{argument.arg}.in to ptr")
            elif kind == "Ints":
                self.types[argument.arg] = "ptr"
                value = self.let(f"inttoptr i64 %{argument.arg}.in to ptr")
                self.do(f"store ptr {value}, ptr %{argument.arg}")
            elif kind == "int":
                self.types[argument.arg] = "i64"
                self.do(f"store i64 %{argument.arg}.in, ptr %{argument.arg}")
            else:
                raise self.refuse(argument, "a parameter must be annotated int, Ints or a Record")
        self.block(self.tree.body)
        self.do("ret i64 0")
        slots = [f"  %{name} = alloca {kind}" for name, kind in self.types.items()]
        head = f"define i64 @routine.{self.routine.__name__}({', '.join(parameters)}) {{"
        return "\n".join([head, *slots, *self.lines, "}"])

    # --- writing ------------------------------------------------------------------------------------------------------
    def do(self, line: str) -> None:
        self.lines.append("  " + line)

    def let(self, operation: str) -> str:
        self.count += 1
        self.do(f"%t.{self.count} = {operation}")
        return f"%t.{self.count}"

    def new_label(self) -> str:
        self.count += 1
        return f"L.{self.count}"

    def go(self, label: str) -> None:
        self.do(f"br label %{label}")

    def place(self, label: str) -> None:
        """Start a block here; what came before has jumped, or falls into it."""
        last = self.lines[-1].strip() if self.lines else ""
        if not last.startswith(("br ", "ret ")):
            self.go(label)
        self.lines.append(f"{label}:")

    # --- statements ---------------------------------------------------------------------------------------------------
    def block(self, statements: Sequence[ast.stmt]) -> None:
        for statement in statements:
            self.statement(statement)

    def statement(self, node: ast.stmt) -> None:
        match node:
            case ast.Assign(targets=[target], value=value):
                self.assign(target, *self.value(value))
            case ast.AugAssign(target=target, op=operator, value=value):
                reading = ast.parse(ast.unparse(target), mode="eval").body
                self.assign(target, *self.value(ast.BinOp(reading, operator, value)))
            case ast.If(test=test, body=body, orelse=otherwise):
                yes, no, end = self.new_label(), self.new_label(), self.new_label()
                self.branch(test, yes, no)
                self.place(yes)
                self.block(body)
                self.go(end)
                self.place(no)
                self.block(otherwise)
                self.place(end)
            case ast.While(test=test, body=body, orelse=[]):
                start, inside, end = self.new_label(), self.new_label(), self.new_label()
                self.place(start)
                self.branch(test, inside, end)
                self.place(inside)
                self.loops.append((start, end))
                self.block(body)
                self.loops.pop()
                self.go(start)
                self.place(end)
            case ast.For(target=ast.Name(id=name), iter=ast.Call(func=ast.Name(id="range")), orelse=[]):
                self.loop(node, name)
            case ast.Return(value=value) if value is not None:
                self.do(f"ret i64 {self.integer(value)}")
                self.place(self.new_label())
            case ast.Break() | ast.Continue():
                self.go(self.loops[-1][isinstance(node, ast.Break)])
                self.place(self.new_label())
            case ast.Expr(value=ast.Call() as call):
                self.value(call)
            case ast.Expr(value=ast.Constant()) | ast.Pass():
                pass
            case _:
                raise self.refuse(node, "a routine cannot have this statement")

    def loop(self, node: ast.For, name: str) -> None:
        """for name in range(…), with the bounds computed once; a step must be written as a number."""
        bounds = node.iter.args if isinstance(node.iter, ast.Call) else []
        step = ast.literal_eval(bounds[2]) if len(bounds) == 3 else 1
        first = self.integer(bounds[0]) if len(bounds) > 1 else "0"
        last = self.integer(bounds[1] if len(bounds) > 1 else bounds[0])
        start, inside, after, end = (self.new_label() for _ in range(4))
        self.types.setdefault(name, "i64")
        counter = f"{name}.{start}"
        self.types[counter] = "i64"
        self.do(f"store i64 {first}, ptr %{counter}")
        self.place(start)
        now = self.let(f"load i64, ptr %{counter}")
        test = self.let(f"icmp {'slt' if step > 0 else 'sgt'} i64 {now}, {last}")
        self.do(f"br i1 {test}, label %{inside}, label %{end}")
        self.place(inside)
        self.do(f"store i64 {now}, ptr %{name}")
        self.loops.append((after, end))
        self.block(node.body)
        self.loops.pop()
        self.place(after)
        following = self.let(f"add i64 {self.let(f'load i64, ptr %{counter}')}, {step}")
        self.do(f"store i64 {following}, ptr %{counter}")
        self.go(start)
        self.place(end)

    def assign(self, target: ast.expr, kind: str, value: str) -> None:
        match target:
            case ast.Name(id=name):
                if self.types.setdefault(name, kind) != kind:
                    raise self.refuse(target, "a name is either a number or an array")
                self.do(f"store {kind} {value}, ptr %{name}")
            case ast.Subscript(value=base, slice=index):
                self.do(f"store i64 {value}, ptr {self.element(base, index)}")
            case ast.Attribute(value=ast.Name(id=record), attr=field) if not self.records[record][field]:
                self.do(f"store i64 {value}, ptr {self.field(record, field)}")
            case _:
                raise self.refuse(target, "cannot assign to this")

    # --- expressions --------------------------------------------------------------------------------------------------
    def integer(self, node: ast.expr) -> str:
        kind, value = self.value(node)
        if kind != "i64":
            raise self.refuse(node, "expected a number")
        return value

    def value(self, node: ast.expr) -> tuple[str, str]:
        """The type and the LLVM value of an expression."""
        match node:
            case ast.Constant(value=int(number)):
                return "i64", str(int(number))
            case ast.Name(id=name):
                return self.name(node, name)
            case ast.Attribute(value=ast.Name(id=record), attr=field) if record in self.records:
                loaded = self.let(f"load i64, ptr {self.field(record, field)}")
                if self.records[record][field]:
                    return "ptr", self.let(f"inttoptr i64 {loaded} to ptr")
                return "i64", loaded
            case ast.Subscript(value=base, slice=index):
                return "i64", self.let(f"load i64, ptr {self.element(base, index)}")
            case ast.BinOp(left=left, op=operator, right=right) if type(operator) in BINARY:
                first = self.integer(left)
                return "i64", self.let(f"{BINARY[type(operator)]} i64 {first}, {self.integer(right)}")
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return "i64", self.let(f"sub i64 0, {self.integer(operand)}")
            case ast.UnaryOp(op=ast.Invert(), operand=operand):
                return "i64", self.let(f"xor i64 {self.integer(operand)}, -1")
            case ast.IfExp(test=test, body=body, orelse=otherwise):
                return "i64", self.choice(test, body, otherwise)
            case ast.Call(func=ast.Name(id=name), args=args) if name in self.routines:
                return "i64", self.call(name, args)
        raise self.refuse(node, "a routine cannot have this expression")

    def name(self, node: ast.expr, name: str) -> tuple[str, str]:
        if name in self.types:
            kind = self.types[name]
            return kind, self.let(f"load {kind}, ptr %{name}")
        known = self.routine.__globals__.get(name)
        if not isinstance(known, int):
            raise self.refuse(node, "neither a local variable nor an integer of the module")
        return "i64", str(int(known))

    def choice(self, test: ast.expr, body: ast.expr, otherwise: ast.expr) -> str:
        yes, no, end = self.new_label(), self.new_label(), self.new_label()
        self.types[f"choice.{end}"] = "i64"
        self.branch(test, yes, no)
        for label, part in ((yes, body), (no, otherwise)):
            self.place(label)
            self.do(f"store i64 {self.integer(part)}, ptr %choice.{end}")
            self.go(end)
        self.place(end)
        return self.let(f"load i64, ptr %choice.{end}")

    def call(self, name: str, args: Sequence[ast.expr]) -> str:
        passed = []
        for arg in args:
            if isinstance(arg, ast.Name) and arg.id in self.records:
                passed.append(f"i64 %{arg.id}.in")
                continue
            kind, value = self.value(arg)
            passed.append(f"i64 {value if kind == 'i64' else self.let(f'ptrtoint ptr {value} to i64')}")
        return self.let(f"call i64 @routine.{name}({', '.join(passed)})")

    def field(self, record: str, field: str) -> str:
        position = list(self.records[record]).index(field)
        return self.let(f"getelementptr inbounds i64, ptr %{record}.record, i64 {position}")

    def element(self, base: ast.expr, index: ast.expr) -> str:
        kind, array = self.value(base)
        if kind != "ptr":
            raise self.refuse(base, "expected an array")
        return self.let(f"getelementptr inbounds i64, ptr {array}, i64 {self.integer(index)}")

    def branch(self, test: ast.expr, yes: str, no: str) -> None:
        """Jump by a condition; `and`, `or` and `not` evaluate no more than Python does."""
        match test:
            case ast.BoolOp(op=operator, values=parts):
                for part in parts[:-1]:
                    after = self.new_label()
                    self.branch(part, *((after, no) if isinstance(operator, ast.And) else (yes, after)))
                    self.place(after)
                self.branch(parts[-1], yes, no)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                self.branch(operand, no, yes)
            case ast.Compare(left=left, ops=[operator], comparators=[right]) if type(operator) in COMPARE:
                first = self.integer(left)
                truth = self.let(f"icmp {COMPARE[type(operator)]} i64 {first}, {self.integer(right)}")
                self.do(f"br i1 {truth}, label %{yes}, label %{no}")
            case _:
                truth = self.let(f"icmp ne i64 {self.integer(test)}, 0")
                self.do(f"br i1 {truth}, label %{yes}, label %{no}")
