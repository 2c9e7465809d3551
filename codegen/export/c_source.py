"""A program as C99 source that needs nothing but libm; C++ compiles it too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

from codegen.body import Cut, cut
from codegen.contract import prune
from codegen.emit import RESERVED
from codegen.export.c_expressions import EXPRESSIONS, HELPERS, external_call, number
from codegen.export.c_reduce import HELPER, c_reduce
from codegen.export.header import header
from codegen.export.interface import ABI_VERSION, QUERIES, Interface
from codegen.export.parameters import STEPS, Parameter
from codegen.external import groups
from codegen.program import INSTRUCTIONS, MASK, Array, Program
from codegen.vector_math import MAX_ORDER


def c_source(interface: Interface, version: str = "") -> str:
    """The text of `NAME.c`: the declarations of the header, then the functions, point by point.

    Products and sums are left to the compiler as they are; gcc and clang with -std=c99 round each, so the last bits may
    differ from a kernel that fuses them. With element float32 numbers are read and written as float, but computed in
    double. A long program is several functions, as compilers take more than twice the time for twice the length.
    """
    program = prune(interface.program)
    prototypes = interface.prototypes()
    pieces = [
        header(interface).rstrip(),
        "#include <math.h>",
        *support(program),
        *index_tables(interface),
        *point(interface, program, prototypes[""]),
        f"{prototypes['_batch']}\n{{\n{_batch(interface)}}}",
        f"{prototypes['_strided']}\n{{\n{_strided(interface)}}}",
        f"{prototypes['_loop']}\n{{\n{_loop(interface)}}}",
    ]
    if interface.reduction is not None:
        if set(interface.reduction.kinds) & {"sum", "mean"}:
            pieces.append(HELPER)
        pieces.append(f"{prototypes['_reduce']}\n{{\n{c_reduce(interface)}}}")
    pieces += queries(interface, version)
    return "\n\n".join(pieces) + "\n"


def support(program: Program) -> list[str]:
    """What the functions of a point need before them: what C has no function for, and functions of somebody else's."""
    used = program.counts()
    if "polygamma" in used:
        _check_orders(program)
        used["digamma"] += 1
    helpers = [text for name, text in HELPERS.items() if name in used]
    return [*helpers, *(external.prototype() for external in program.externals if not external.is_expression)]


def _check_orders(program: Program) -> None:
    """Raises ValueError for a polygamma whose order is no constant that its C has room for."""
    for name, *operands in program.body:
        if name == "polygamma":
            kind, *order = program.body[operands[0]]
            if kind != "const" or order[0] not in range(MAX_ORDER + 1):
                raise ValueError(
                    f"{program.name}: polygamma needs a constant order 0, 1 … {MAX_ORDER}, got {kind} {order}"
                )


# --- one point --------------------------------------------------------------------------------------------------------
def point(interface: Interface, program: Program, prototype: str) -> list[str]:
    """The function of one point, after those of its parts if it is long. program: that of the interface, pruned."""
    flat = _scalars(program)
    pieces = cut(flat)
    loaded = {instruction[1] for instruction in program.body if instruction[0] == "load"}
    arguments = interface.parameters[: len(program.arguments)]
    unused = "".join(f"    (void){p.name};\n" for k, p in enumerate(arguments) if k not in loaded)
    if len(pieces.parts) == 1:
        return [f"{prototype}\n{{\n{_part(interface, flat, pieces, 0)}{unused}}}"]
    declarations = [parameter.declaration for parameter in interface.parameters]
    names = [parameter.name for parameter in interface.parameters]
    inside = ",\n    ".join([*declarations, "double *CODEGEN_RESTRICT codegen_kept"])
    texts, calls = [], []
    for index in range(len(pieces.parts)):
        text = _part(interface, flat, pieces, index)
        idle = [name for name in [*names, "codegen_kept"] if f"{name}[" not in text]
        text += "".join(f"    (void){name};\n" for name in idle)
        texts.append(f"static void codegen_{interface.name}_{index}(\n    {inside})\n{{\n{text}}}")
        calls.append(f"    codegen_{interface.name}_{index}({', '.join([*names, 'codegen_kept'])});\n")
    room = f"    double codegen_kept[{max(1, pieces.spills)}];\n"
    return [*texts, f"{prototype}\n{{\n{room}{''.join(calls)}}}"]


def _scalars(program: Program) -> Program:
    """The same with a result for each number, so that what later parts read is kept in rows of its own."""
    values = [value for elements in program.outputs for value in elements]
    made = object.__new__(Program)
    fields = {
        "name": program.name,
        "arguments": program.arguments,
        "externals": program.externals,
        "names": program.names,
    }
    fields |= {"results": tuple(Array(f"r{k}") for k in range(len(values))), "body": program.body}
    for name, entry in (fields | {"outputs": tuple((value,) for value in values)}).items():
        object.__setattr__(made, name, entry)
    return made


def named_for_c(interface: Interface, program: Program) -> dict[int, str]:
    """What values are called in C: by their names, except where these mean something else in the file."""
    taken = {interface.name, "n", "k", *RESERVED, *(external.c_name for external in program.externals)}
    for parameter in interface.parameters:
        taken |= {parameter.name, *(f"{parameter.name}{step}" for step in STEPS)}
    return {
        value: name
        for value, name in program.names.items()
        if name not in taken and not name.startswith(("codegen_", f"{interface.name}_")) and not name.isupper()
    }


class _Part:
    """Writes one part of the function of a point."""

    def __init__(self, interface: Interface, program: Program, pieces: Cut) -> None:
        self.interface, self.program, self.pieces = interface, program, pieces
        self.together = groups(program.calls, program.body)
        self.lines: list[str] = []
        self.names: dict[int, str] = {}
        self.called = named_for_c(interface, program)

    def value(self, number_of: int) -> str:
        """The C name of a value; arguments and kept values are read where a part first needs them."""
        known = self.names.get(number_of)
        if known is not None:
            return known
        name, *operands = self.program.body[number_of]
        if name == "const":
            self.names[number_of] = number(float(operands[0]))
        elif name == "load":
            parameter = self.interface.parameters[operands[0]]
            self.define(number_of, f"{parameter.name}[{operands[1]}]")
        elif self.is_mask(number_of):
            self.define(number_of, f"codegen_kept[{self.pieces.rows[number_of]}] != 0")
        else:
            self.define(number_of, f"codegen_kept[{self.pieces.rows[number_of]}]")
        return self.names[number_of]

    def is_mask(self, number_of: int) -> bool:
        row = INSTRUCTIONS.get(self.program.body[number_of][0])
        return row is not None and row.result == MASK

    def define(self, number_of: int, expression: str) -> None:
        called = self.names[number_of] = self.called.get(number_of, f"codegen_{number_of}")
        kind = "int" if self.is_mask(number_of) else "double"
        self.lines.append(f"    const {kind} {called} = {expression};\n")

    def instruction(self, number_of: int) -> None:
        name, *operands = self.program.body[number_of]
        given = [self.value(operand) for operand in operands]
        if number_of in self.together:
            self.define(number_of, self.external(number_of, given))
        else:
            self.define(number_of, EXPRESSIONS[name].format(*given))
        row = self.pieces.rows.get(number_of)
        if row is not None:
            self.lines.append(f"    codegen_kept[{row}] = {self.names[number_of]};\n")

    def external(self, number_of: int, given: Sequence[str]) -> str:
        def write(first: int, lines: Sequence[str]) -> None:
            if f"    {lines[0]}\n" not in self.lines:
                self.lines += [f"    {line}\n" for line in lines]

        return external_call(self.program, self.together, number_of, given, write)


def _part(interface: Interface, program: Program, pieces: Cut, index: int) -> str:
    part = _Part(interface, program, pieces)
    own = pieces.parts[index]
    for number_of in own:
        part.instruction(number_of)
    mine = set(own)
    places = [
        (parameter, element)
        for parameter in interface.parameters[len(program.arguments) :]
        for element in range(parameter.array.size)
    ]
    for (parameter, element), (value,) in zip(places, program.outputs, strict=True):
        plain = program.body[value][0] in ("load", "const")
        if value in mine or (plain and index == 0):
            result = part.value(value)
            cast = "" if parameter.type == "double" else f"({parameter.type})"
            part.lines.append(f"    {parameter.name}[{element}] = {cast}{result};\n")
    return "".join(part.lines)


# --- many points ------------------------------------------------------------------------------------------------------
def _batch(interface: Interface) -> str:
    calls = []
    for parameter in interface.parameters:
        size = parameter.array.size
        calls.append(f"{parameter.name} + {size} * codegen_i" if size != 1 else f"{parameter.name} + codegen_i")
    return (
        "    int64_t codegen_i;\n"
        "    for (codegen_i = 0; codegen_i < n; codegen_i++)\n"
        f"        {interface.name}({', '.join(calls)});\n"
    )


def _strided(interface: Interface) -> str:
    """Points are gathered into and scattered from small arrays on the stack."""
    lines = ["    int64_t codegen_i, codegen_e;\n", *_rooms(interface), "    (void)codegen_e;\n"]
    lines.append("    for (codegen_i = 0; codegen_i < n; codegen_i++) {\n")
    before: list[str] = []
    after: list[str] = []
    for p in interface.parameters:
        place = f"{p.name}[codegen_i * {p.name}_point + codegen_e * {p.name}_element]"
        own = f"codegen_of_{p.name}[codegen_e]"
        loop = f"        for (codegen_e = 0; codegen_e < {p.array.size}; codegen_e++)\n"
        (after if p.is_result else before).append(
            f"{loop}            {place} = {own};\n" if p.is_result else f"{loop}            {own} = {place};\n"
        )
    return "".join([*lines, *before, _own_call(interface), *after, "    }\n"])


def _rooms(interface: Interface) -> list[str]:
    return [f"    {p.type} codegen_of_{p.name}[{max(1, p.array.size)}];\n" for p in interface.parameters]


def _own_call(interface: Interface) -> str:
    names = ", ".join(f"codegen_of_{parameter.name}" for parameter in interface.parameters)
    return f"        {interface.name}({names});\n"


def _loop(interface: Interface) -> str:
    """The strided loop over addresses and byte distances, as NumPy calls it."""
    most = max((len(p.array.shape) for p in interface.parameters), default=0)
    counters = ", ".join(["codegen_i", *(f"codegen_{axis}" for axis in range(most))])
    lines = [f"    int64_t {counters};\n", *_rooms(interface), "    (void)data;\n"]
    if not interface.parameters:
        lines.append("    (void)args;\n    (void)steps;\n")
    lines.append("    for (codegen_i = 0; codegen_i < dimensions[0]; codegen_i++) {\n")
    before: list[str] = []
    after: list[str] = []
    stride = len(interface.parameters)
    for index, p in enumerate(interface.parameters):
        (after if p.is_result else before).append("".join(_axes(p, index, stride)))
        stride += len(p.array.shape)
    return "".join([*lines, *before, _own_call(interface), *after, "    }\n"])


def _axes(p: Parameter, index: int, stride: int) -> Iterator[str]:
    """Loops over the axes of an array, from the place that its strides say to its own array or back."""
    shape = p.array.shape
    offset, element = [f"codegen_i * steps[{index}]"], []
    indent = " " * 8
    for axis, extent in enumerate(shape):
        counter = f"codegen_{axis}"
        yield f"{indent}for ({counter} = 0; {counter} < {extent}; {counter}++)\n"
        indent += "    "
        offset.append(f"{counter} * steps[{stride + axis}]")
        apart = prod(shape[axis + 1 :])
        element.append(f"{apart} * {counter}" if apart != 1 else counter)
    own = f"codegen_of_{p.name}[{' + '.join(element) or '0'}]"
    place = f"(args[{index}] + {' + '.join(offset)})"
    if p.array.size == 0:
        yield f"{indent};\n"
    elif p.is_result:
        yield f"{indent}*({p.type} *)(void *){place} = {own};\n"
    else:
        yield f"{indent}{own} = *(const {p.type} *)(const void *){place};\n"


# --- tables and queries -----------------------------------------------------------------------------------------------
def index_tables(interface: Interface) -> list[str]:
    """The index tables of sparse results."""
    return [
        f"const int32_t {symbol}[{max(1, len(values))}] = {{{', '.join(map(str, values)) or '0'}}};"
        for symbol, values in interface.tables.items()
    ]


def queries(interface: Interface, version: str) -> list[str]:
    """The query functions."""
    name, program = interface.name, interface.program
    numbers = {"_abi_version": ABI_VERSION, "_arguments": len(program.arguments), "_results": len(program.results)}
    text = version.replace("\\", "/").replace('"', "'")
    bodies = {suffix: f"    return {value};\n" for suffix, value in numbers.items()}
    bodies["_version"] = f'    return "{text}";\n'
    names = ", ".join(f'"{parameter.name}"' for parameter in interface.parameters)
    count = len(interface.parameters)
    bodies["_parameter"] = (
        f"    static const char *const codegen_names[] = {{{names or '0'}}};\n"
        f"    return k >= 0 && k < {count} ? codegen_names[k] : 0;\n"
    )
    bodies["_shape"] = _lookup(interface.shapes())
    bodies["_sparsity"] = _lookup(interface.sparsities())
    return [f"{QUERIES[suffix].format(name=name)}\n{{\n{bodies[suffix]}}}" for suffix in QUERIES]


def _lookup(entries: Sequence[Sequence[int]]) -> str:
    """Entry k of a table of all of them, or null."""
    starts: list[int] = []
    values: list[int] = []
    for entry in entries:
        starts.append(len(values) if entry else -1)
        values += entry
    if not values:
        return "    (void)k;\n    return 0;\n"
    return (
        f"    static const int64_t codegen_table[] = {{{', '.join(map(str, values))}}};\n"
        f"    static const int64_t codegen_starts[] = {{{', '.join(map(str, starts))}}};\n"
        f"    return k >= 0 && k < {len(starts)} && codegen_starts[k] >= 0 ? codegen_table + codegen_starts[k] : 0;\n"
    )
