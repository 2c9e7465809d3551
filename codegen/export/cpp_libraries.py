"""C++ headers for Eigen (matrices, sparse maps) and Ceres (cost functions) over the C functions of an export."""

from __future__ import annotations

from math import prod

from codegen.export.bundle import Build
from codegen.export.cpp_wrapper import checked_name
from codegen.export.derived import Block, Differentiated, functions
from codegen.export.parameters import Parameter


def _wrapped(name: str, library: str, about: str, headers: list[str], lines: list[str]) -> str:
    guard = f"CODEGEN_{name.upper()}_{library.upper()}_HPP"
    return "\n".join(
        [
            f"/* {name}: generated code. {about} */",
            f"#ifndef {guard}",
            f"#define {guard}",
            "",
            f'#include "{name}.h"',
            "",
            *(f"#include <{header}>" for header in headers),
            "",
            f"namespace {name}_{library} {{",
            "",
            *lines,
            f"}} // namespace {name}_{library}",
            "",
            "#endif",
            "",
        ]
    )


# --- Eigen ------------------------------------------------------------------------------------------------------------
def eigen_header(build: Build) -> str:
    """The text of `NAME_eigen.hpp`: matrices of fixed sizes, and maps without copies, in namespace `NAME_eigen`."""
    name, interface = checked_name(build), build.interface
    arguments = [p for p in interface.parameters if not p.is_result]
    results = [p for p in interface.parameters if p.is_result]
    given = ",\n    ".join(f"const {_matrix(p)} &{p.name}" for p in arguments)
    places = [_data(p, "") for p in arguments] + [_data(p, "codegen_results.") for p in results]
    lines = [
        *(f"using {p.name}_matrix = {_matrix(p)};" for p in interface.parameters if p.array.shape),
        "",
        "/* The results of one point; of a sparse one its values, which map_… makes a matrix of. */",
        "struct Results {",
        *(f"    {_matrix(p)} {p.name};" for p in results),
        "};",
        "",
        f"inline Results evaluate({chr(10) + '    ' if given else ''}{given})",
        "{",
        f"    ::{name}_eigen::Results codegen_results;",
        f"    ::{name}({', '.join(places)});",
        "    return codegen_results;",
        "}",
        "",
        "/* Numbers in memory as a matrix, without a copy: a point of an argument or result of the C functions. */",
    ]
    for p in interface.parameters:
        pattern = interface.patterns.get(p.name)
        if pattern is not None:
            kind = f"::Eigen::Map<const ::Eigen::SparseMatrix<{p.type}, ::Eigen::RowMajor, ::std::int32_t>>"
            sizes = ", ".join(f"{name.upper()}_{word}_{p.name}" for word in ("ROWS", "COLUMNS", "NNZ"))
            tables = f"::{name}_{p.name}_row_starts, ::{name}_{p.name}_columns"
            lines += _map(kind, p, f"const {p.type}", f"{sizes}, {tables}, codegen_values")
        elif p.array.shape:
            kind = f"::Eigen::Map<{'' if p.is_result else 'const '}{_matrix(p)}>"
            lines += _map(kind, p, f"{'' if p.is_result else 'const '}{p.type}", "codegen_values")
    about = f"Eigen's matrices over the functions of {name}.h."
    return _wrapped(name, "eigen", about, ["Eigen/Core", "Eigen/SparseCore", "cstdint"], lines)


def _map(kind: str, p: Parameter, item: str, inside: str) -> list[str]:
    return [f"inline {kind} map_{p.name}({item} *codegen_values)", "{", f"    return {kind}({inside});", "}", ""]


def _matrix(p: Parameter) -> str:
    """Numbers are themselves; vectors, and arrays of more than two axes, columns."""
    shape = p.array.shape
    if not shape:
        return p.type
    if len(shape) != 2 or shape[1] == 1:
        return f"::Eigen::Matrix<{p.type}, {prod(shape)}, 1>"
    return f"::Eigen::Matrix<{p.type}, {shape[0]}, {shape[1]}, ::Eigen::RowMajor>"


def _data(p: Parameter, prefix: str) -> str:
    return f"{prefix}{p.name}.data()" if p.array.shape else f"&{prefix}{p.name}"


# --- Ceres ------------------------------------------------------------------------------------------------------------
def ceres_header(build: Build) -> str:
    """The text of `NAME_ceres.hpp`: a cost function for each function whose Jacobian the kernel holds.

    Raises ValueError if there is none, and for numbers other than float64.
    """
    name = checked_name(build)
    if build.element != "float64":
        raise ValueError(f"{name}: Ceres has numbers of type float64, got {build.element}")
    found = [f for f in functions(build) if f.is_complete and f.blocks and all(_sizes(build)) and f.function.array.size]
    if not found:
        raise ValueError(
            f"{name}: Ceres needs a function together with its derivatives by all arguments: compile f, f.jacobian()"
        )
    lines = [line for f in found for line in _cost(build, f)]
    about = f"Cost functions of Ceres over the functions of {name}.h: a parameter block for each argument."
    return _wrapped(name, "ceres", about, ["ceres/sized_cost_function.h", "cmath"], lines)


def _sizes(build: Build) -> list[int]:
    return [p.array.size for p in build.interface.parameters if not p.is_result]


def _cost(build: Build, f: Differentiated) -> list[str]:
    parameters, count = build.interface.parameters, f.function.array.size
    sizes = _sizes(build)
    rooms, given = [], []
    for k, p in enumerate(parameters):
        if not p.is_result:
            given.append(f"parameters[{k}]")
        elif p is f.function:
            given.append("residuals")
        else:
            rooms.append(f"        double codegen_{k}[{max(1, p.array.size)}];")
            given.append(f"codegen_{k}")
    copies = []
    for k, block in enumerate(f.jacobian()):
        copies += _copied(block, k, parameters.index(block.result), count, sizes[k])
    word = f"{f.function.name}_cost"
    return [
        f"/* Residuals {f.function.name}; a point outside the domain is no success. */",
        f"class {word} final : public ::ceres::SizedCostFunction<{', '.join(map(str, [count, *sizes]))}> {{",
        "  public:",
        "    bool Evaluate(double const *const *parameters, double *residuals, double **jacobians) const override",
        "    {",
        *rooms,
        f"        ::{build.name}({', '.join(given)});",
        "        if (jacobians) {",
        *copies,
        "        }",
        f"        for (int k = 0; k < {count}; k++)",
        "            if (!::std::isfinite(residuals[k]))",
        "                return false;",
        "        return true;",
        "    }",
        "};",
        "",
    ]


def _copied(block: Block, k: int, result: int, rows: int, columns: int) -> list[str]:
    """Ceres wants a dense block, row by row; or none, if the block is kept constant."""
    head = f"            if (double *const codegen_to = jacobians[{k}]) {{"
    places = block.places()
    if block.pattern is None:
        source = f"codegen_{result}[r * {block.all_columns} + c + {block.columns.start}]"
        body = [
            f"                for (int r = 0; r < {rows}; r++)",
            f"                    for (int c = 0; c < {columns}; c++)",
            f"                        codegen_to[r * {columns} + c] = {source};",
        ]
    else:
        body = [f"                for (int c = 0; c < {rows * columns}; c++)", "                    codegen_to[c] = 0;"]
        if places:
            to = ", ".join(str(row * columns + column) for row, column in places)
            body += [
                f"                static constexpr int codegen_at[] = {{{to}}};",
                f"                static constexpr int codegen_of[] = {{{', '.join(map(str, places.values()))}}};",
                f"                for (int c = 0; c < {len(places)}; c++)",
                f"                    codegen_to[codegen_at[c]] = codegen_{result}[codegen_of[c]];",
            ]
    return [head, *body, "            }"]
