"""The C interface of CasADi's external functions, over the functions of one point (docs/interfaces.md).

After CasADi's user guide, chapter 5, "Generating C-code" and "Importing external functions": a function `f` has the
symbols f, f_n_in, f_sparsity_in …; its Jacobian is `jac_f`, which takes the inputs and outputs of f and gives a block
for each output and input.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from codegen.export.bundle import Build
from codegen.export.c_source import point, support
from codegen.export.derived import Block, Differentiated, Second, column_major, cut_down, functions, second, words_of
from codegen.export.header import EXPORTED, EXPORTED_END, RESTRICT, plain
from codegen.export.interface import Interface, Pattern
from codegen.export.parameters import Parameter

# What CasADi does not accept as the name of an input or output.
KEYWORDS = frozenset({"null", "jac", "hess"})


@dataclass(frozen=True)
class Matrix:
    """A sparse or dense matrix as CasADi has it, and where its values stand among those of a parameter.

    columns: per column the rows that have values, or None if all have. places: in the order of columns.
    """

    rows: int
    columns: int
    pattern: tuple[tuple[int, ...], ...] | None
    places: tuple[int, ...] = ()

    @property
    def is_direct(self) -> bool:
        """Whether the values of the parameter are those of the matrix as they are."""
        return self.places == tuple(range(len(self.places)))

    def sparsity(self) -> list[int]:
        """Compressed columns; a dense matrix is 1 after its extents."""
        if self.pattern is None:
            return [self.rows, self.columns, 1]
        starts = [0]
        for rows in self.pattern:
            starts.append(starts[-1] + len(rows))
        return [self.rows, self.columns, *starts, *(row for rows in self.pattern for row in rows)]


def _extents(shape: Sequence[int]) -> tuple[int, int]:
    """Numbers are 1 x 1, vectors and what has more than two axes columns."""
    if len(shape) == 2:
        return shape[0], shape[1]
    size = 1
    for extent in shape:
        size *= extent
    return size, 1


def _dense(parameter: Parameter) -> Matrix:
    shape = parameter.array.shape
    return Matrix(*_extents(shape), None, tuple(column_major(shape)))


def _sparse(pattern: Pattern) -> Matrix:
    rows: list[list[int]] = [[] for _ in range(pattern.shape[1])]
    for k in pattern.by_column:
        rows[pattern.columns[k]].append(pattern.rows[k])
    return Matrix(*pattern.shape, tuple(map(tuple, rows)), pattern.by_column)


def _nothing(rows: int, columns: int) -> Matrix:
    return Matrix(rows, columns, ((),) * columns)


def _jacobian(block: Block, function: Parameter, argument: Parameter) -> Matrix:
    """The block with rows and columns in CasADi's order of the elements."""
    rows, columns = column_major(function.array.shape), column_major(argument.array.shape)
    known = block.places()
    found = [[(k, known[row, column]) for k, row in enumerate(rows) if (row, column) in known] for column in columns]
    return _by_columns(len(rows), found)


@dataclass(frozen=True)
class Output:
    name: str
    matrix: Matrix
    result: Parameter


@dataclass(frozen=True)
class External:
    """One function of CasADi's: all have the arguments of the kernel, the Jacobian has more inputs, not read."""

    name: str
    about: str
    inputs: tuple[tuple[str, Matrix], ...]
    outputs: tuple[Output, ...]


def casadi_source(build: Build) -> str:
    """The text of `NAME_casadi.c`, C99 and C++, to be compiled and linked with what else holds the functions.

    Raises ValueError for numbers other than float64, and for a name that CasADi does not accept.
    """
    interface, name = build.interface, build.name
    if build.element != "float64":
        raise ValueError(f"{name}: CasADi's interface has numbers of type float64, got {build.element}")
    if "__" in name or name.endswith("_") or name.startswith("_"):
        raise ValueError(f"{name}: CasADi takes no name with a _ at either end or two together; export another name")
    externals = _externals(build)
    tables = _Tables()
    parts = [part for external in externals if (part := _part(build, external)) is not None]
    texts = [_function(build, external, tables) for external in externals]
    missing = [f.function.name for f in functions(build) if not f.is_complete]
    prototype = interface.prototypes_on_one_line()[name]
    lines = [
        f"/* {name}: generated code for CasADi, over the functions of {name}.h. It has",
        *[f" *   {external.name}: {external.about}" for external in externals],
        *(
            [f" * and no jac_{name}_casadi, for lack of all derivatives of {plain(', '.join(missing))}"]
            if missing
            else []
        ),
        " * with matrices in the order of columns. */",
        "",
        *(["#include <math.h>", "", RESTRICT] if parts else []),
        EXPORTED,
        f"{prototype};",
        "",
        *dict.fromkeys(text for part in parts for text in support(part.program)),
        *[f"{text}\n" for part in parts for text in point(part, part.program, f"static {part.prototypes()['']}")],
        *tables.lines,
        "",
        *[text for word, text in HELPERS.items() if any(word in function for function in texts)],
        *texts,
        EXPORTED_END,
    ]
    return "\n".join(lines)


def _externals(build: Build) -> list[External]:
    interface, name = build.interface, build.name
    arguments = [p for p in interface.parameters if not p.is_result]
    results = [p for p in interface.parameters if p.is_result]
    words = words_of(interface.parameters, KEYWORDS)
    inputs = tuple((words[p.name], _dense(p)) for p in arguments)

    def output(p: Parameter) -> Output:
        pattern = interface.patterns.get(p.name)
        return Output(words[p.name], _dense(p) if pattern is None else _sparse(pattern), p)

    heads = functions(build)
    own = tuple(output(head.function) for head in heads)
    found = [
        External(f"{name}_casadi", "the functions of the kernel", inputs, own),
        External(f"{name}_casadi_all", "all results", inputs, tuple(map(output, results))),
    ]
    if heads and arguments and all(head.is_complete for head in heads):
        blocks = _blocks(heads, arguments, words)
        unread = tuple(
            (f"out_{words[head.function.name]}", _nothing(*_extents(head.function.array.shape))) for head in heads
        )
        jacobian = External(f"jac_{name}_casadi", "their Jacobian", inputs + unread, blocks)
        found.append(jacobian)
        seconds = [second(build, head.function) for head in heads]
        if all(seconds):
            found.append(_second(jacobian, heads, arguments, [twice for twice in seconds if twice is not None]))
    return found


def _second(
    jacobian: External, heads: Sequence[Differentiated], arguments: Sequence[Parameter], seconds: Sequence[Second]
) -> External:
    """The Jacobian of the Jacobian: the outputs of that are columns of numbers here."""
    outputs, unread = [], []
    blocks = iter(jacobian.outputs)
    for head, twice in zip(heads, seconds, strict=True):
        for k, by in enumerate(arguments):
            first = next(blocks)
            rows = head.function.array.size * by.array.size
            unread.append((f"out_{first.name}", _nothing(first.matrix.rows, first.matrix.columns)))
            for (word, matrix), argument in zip(
                jacobian.inputs, [*enumerate(arguments), *[None] * len(heads)], strict=True
            ):
                made = (
                    _nothing(rows, matrix.rows * matrix.columns)
                    if argument is None
                    else _twice(twice, head.function, (k, by), argument)
                )
                outputs.append(Output(f"jac_{first.name}_{word}", made, twice.result))
    about = "the Jacobian of that"
    return External(f"jac_{jacobian.name}", about, (*jacobian.inputs, *unread), tuple(outputs))


def _twice(second: Second, function: Parameter, first: tuple[int, Parameter], last: tuple[int, Parameter]) -> Matrix:
    rows = [
        (element, first[0], column)
        for column in column_major(first[1].array.shape)
        for element in column_major(function.array.shape)
    ]
    columns = [(last[0], column) for column in column_major(last[1].array.shape)]
    known = second.places
    found = [
        [(k, known[*row, *column]) for k, row in enumerate(rows) if (*row, *column) in known] for column in columns
    ]
    return _by_columns(len(rows), found)


def _by_columns(rows: int, found: Sequence[Sequence[tuple[int, int]]]) -> Matrix:
    """From the rows and places of each column."""
    pattern = tuple(tuple(row for row, _ in entries) for entries in found)
    is_dense = all(len(entries) == rows for entries in found)
    places = tuple(place for entries in found for _, place in entries)
    return Matrix(rows, len(found), None if is_dense else pattern, places)


def _blocks(
    heads: Sequence[Differentiated], arguments: Sequence[Parameter], words: dict[str, str]
) -> tuple[Output, ...]:
    return tuple(
        Output(
            f"jac_{words[head.function.name]}_{words[argument.name]}",
            _jacobian(block, head.function, argument),
            block.result,
        )
        for head in heads
        for block, argument in zip(head.jacobian(), arguments, strict=True)
    )


class _Tables:
    """Constant arrays of a file, each written once."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.known: dict[tuple[str, tuple[int, ...]], str] = {}

    def name(self, kind: str, values: Sequence[int]) -> str:
        key = (kind, tuple(values))
        if key not in self.known:
            self.known[key] = f"codegen_t{len(self.known)}"
            numbers = ", ".join(map(str, values)) or "0"
            self.lines.append(f"static const {kind} {self.known[key]}[{max(1, len(values))}] = {{{numbers}}};")
        return self.known[key]

    def places(self, matrix: Matrix) -> str:
        return "0" if matrix.is_direct else self.name("int", matrix.places)


HELPERS = {
    "codegen_read": """\
/* An input in the order of the kernel: as given if it has that order, else copied to w; zeros if there is none. */
static const double *codegen_read(const double *given, const int *places, double *w, int size)
{
    int k;
    if (given && !places)
        return given;
    for (k = 0; k < size; k++)
        w[places ? places[k] : k] = given ? given[k] : 0;
    return w;
}
""",
    "codegen_write": """\
/* An output, if it is wanted, from the values of the kernel. */
static void codegen_write(double *wanted, const int *places, const double *values, int size)
{
    int k;
    if (wanted)
        for (k = 0; k < size; k++)
            wanted[k] = values[places ? places[k] : k];
}
""",
}


def _wanted(build: Build, external: External) -> list[Parameter]:
    """The results of the kernel that its outputs are made from."""
    read = {output.result.name for output in external.outputs if output.matrix.places}
    return [p for p in build.interface.parameters if p.is_result and p.name in read]


def _part(build: Build, external: External) -> Interface | None:
    """The kernel cut down to the wanted results, a static function of the file; None if these are all or none."""
    return cut_down(build, f"codegen_{external.name}", _wanted(build, external))


def _function(build: Build, external: External, tables: _Tables) -> str:
    wanted, part = _wanted(build, external), _part(build, external)
    arguments = [p for p in build.interface.parameters if not p.is_result]
    parameters = [*arguments, *wanted] if wanted else []
    offsets, total = {}, 0
    for p in parameters:
        offsets[p.name] = total
        total += p.array.size
    direct: dict[str, int] = {}
    for k, output in enumerate(external.outputs):
        if output.matrix.is_direct and len(output.matrix.places) == output.result.array.size:
            direct.setdefault(output.result.name, k)
    before, given, after = [], [], []
    for k, p in enumerate(parameters):
        room = f"w + {offsets[p.name]}"
        if p.is_result:
            own = direct.get(p.name)
            place = room if own is None else f"res[{own}] ? res[{own}] : {room}"
            before.append(f"    double *const codegen_{k} = {place};")
        else:
            places = tables.places(external.inputs[k][1])
            before.append(
                f"    const double *const codegen_{k} = codegen_read(arg[{k}], {places}, {room}, {p.array.size});"
            )
        given.append(f"codegen_{k}")
    for k, output in enumerate(external.outputs):
        if output.matrix.places and direct.get(output.result.name) != k:
            places, at = tables.places(output.matrix), parameters.index(output.result)
            after.append(f"    codegen_write(res[{k}], {places}, codegen_{at}, {len(output.matrix.places)});")
    unused = [
        word for word, text in (("arg", "arg["), ("res", "res["), ("w", "w +")) if text not in "".join(before + after)
    ]
    name = external.name
    return "\n".join(
        [
            f"CODEGEN_EXPORT int {name}(const double **arg, double **res, long long *iw, double *w, int mem)",
            "{",
            *before,
            *(f"    (void){word};" for word in [*unused, "iw", "mem"]),
            *([f"    {part.name if part else build.name}({', '.join(given)});"] if wanted else []),
            *after,
            "    return 0;",
            "}",
            "",
            *_queries(external, total, tables),
        ]
    )


def _queries(external: External, room: int, tables: _Tables) -> list[str]:
    name, count_in, count_out = external.name, len(external.inputs), len(external.outputs)
    sizes = (("arg", count_in), ("res", count_out), ("iw", 0), ("w", room))
    work = "\n".join(f"    if ({word})\n        *{word} = {size};" for word, size in sizes)
    in_names, in_matrices = [word for word, _ in external.inputs], [matrix for _, matrix in external.inputs]
    out_names, out_matrices = [o.name for o in external.outputs], [o.matrix for o in external.outputs]
    return [
        f"CODEGEN_EXPORT long long {name}_n_in(void) {{ return {count_in}; }}",
        f"CODEGEN_EXPORT long long {name}_n_out(void) {{ return {count_out}; }}",
        f"CODEGEN_EXPORT double {name}_default_in(long long k) {{ (void)k; return 0; }}",
        _choice(f"const char *{name}_name_in", [f'"{word}"' for word in in_names]),
        _choice(f"const char *{name}_name_out", [f'"{word}"' for word in out_names]),
        _choice(f"const long long *{name}_sparsity_in", [tables.name("long long", m.sparsity()) for m in in_matrices]),
        _choice(
            f"const long long *{name}_sparsity_out", [tables.name("long long", m.sparsity()) for m in out_matrices]
        ),
        f"CODEGEN_EXPORT int {name}_work(long long *arg, long long *res, long long *iw, long long *w)",
        f"{{\n{work}\n    return 0;\n}}",
        f"CODEGEN_EXPORT void {name}_incref(void) {{ }}",
        f"CODEGEN_EXPORT void {name}_decref(void) {{ }}",
        f"CODEGEN_EXPORT int {name}_checkout(void) {{ return 0; }}",
        f"CODEGEN_EXPORT void {name}_release(int mem) {{ (void)mem; }}",
        f"CODEGEN_EXPORT int {name}_alloc_mem(void) {{ return 0; }}",
        f"CODEGEN_EXPORT int {name}_init_mem(int mem) {{ (void)mem; return 0; }}",
        f"CODEGEN_EXPORT void {name}_free_mem(int mem) {{ (void)mem; }}",
        "",
    ]


def _choice(head: str, values: Sequence[str]) -> str:
    """A function of a number: one of the values, or null."""
    cases = "".join(f"    if (k == {k})\n        return {value};\n" for k, value in enumerate(values))
    return f"CODEGEN_EXPORT {head}(long long k)\n{{\n{cases or '    (void)k;' + chr(10)}    return 0;\n}}"
