"""A C++17 header over the C functions of an export: arrays instead of pointers, checked lengths, tables of patterns."""

from __future__ import annotations

from codegen.export.bundle import Build
from codegen.export.header import plain
from codegen.export.interface import Interface
from codegen.export.parameters import Parameter

VIEWS = """\
#ifndef CODEGEN_VIEWS
#define CODEGEN_VIEWS
namespace codegen {

/* Numbers side by side: of anything with std::data and std::size, or a pointer and how many there are. */
template <class T>
struct Span {
    T *data;
    ::std::size_t size;

    constexpr Span(T *first, ::std::size_t count) noexcept : data(first), size(count) {}

    template <class Other, class = ::std::enable_if_t<::std::is_convertible_v<Other (*)[], T (*)[]>>>
    constexpr Span(const Span<Other> &other) noexcept : data(other.data), size(other.size)
    {
    }

    template <
        class Container,
        class Item = ::std::remove_pointer_t<decltype(::std::data(::std::declval<Container &>()))>,
        class = ::std::enable_if_t<::std::is_convertible_v<Item (*)[], T (*)[]>>>
    constexpr Span(Container &&container) noexcept : data(::std::data(container)), size(::std::size(container))
    {
    }
};

/* Numbers at any distances: element e of point i is data[i * point + e * element]. */
template <class T>
struct Strided {
    T *data;
    ::std::int64_t point, element;

    constexpr Strided(T *first, ::std::int64_t of_points, ::std::int64_t of_elements) noexcept
        : data(first), point(of_points), element(of_elements)
    {
    }

    template <class Other, class = ::std::enable_if_t<::std::is_convertible_v<Other (*)[], T (*)[]>>>
    constexpr Strided(const Strided<Other> &other) noexcept
        : data(other.data), point(other.point), element(other.element)
    {
    }
};

/* Points one after the other, with so many numbers each. */
template <class T>
constexpr Strided<T> by_point(T *first, ::std::int64_t size) noexcept
{
    return {first, size, 1};
}

/* Elements one after the other, with n numbers each: a structure of arrays. */
template <class T>
constexpr Strided<T> by_element(T *first, ::std::int64_t n) noexcept
{
    return {first, 1, n};
}

/* The same point every time; for arguments. */
template <class T>
constexpr Strided<T> same(T *first) noexcept
{
    return {first, 0, 1};
}

/* Where the values of a sparse result stand: tables of NAME.h. */
struct Sparsity {
    ::std::int64_t rows, columns, nnz;
    const ::std::int32_t *row, *column, *row_starts, *column_starts, *by_column, *by_column_rows;
};

template <class T>
void require(const Span<T> &span, ::std::int64_t points, ::std::size_t size, const char *message)
{
    if (points > 0 && span.size / (size ? size : 1) < static_cast<::std::size_t>(points) && size)
        throw ::std::length_error(message);
}

} // namespace codegen
#endif
"""


def checked_name(build: Build) -> str:
    """The name of the export, if C++ has room for it beside the namespaces used. Raises ValueError."""
    if build.name in ("codegen", "std", "Eigen", "ceres"):
        raise ValueError(f"{build.name} is a namespace of C++: export under another name")
    return build.name


def cpp_wrapper(build: Build) -> str:
    """The text of `NAME.hpp`, in namespace `NAME_cpp`; it includes `NAME.h`, and what that declares is linked."""
    name, interface = checked_name(build), build.interface
    space = f"{name}_cpp"
    arguments = [p for p in interface.parameters if not p.is_result]
    results = [p for p in interface.parameters if p.is_result]
    lines = [
        f"/* {name}: generated code. C++17 over the functions of {name}.h; nothing allocates unless it throws. */",
        f"#ifndef CODEGEN_{name.upper()}_HPP",
        f"#define CODEGEN_{name.upper()}_HPP",
        "",
        f'#include "{name}.h"',
        "",
        *(f"#include <{header}>" for header in HEADERS),
        "",
        VIEWS,
        f"namespace {space} {{",
        "",
        *(f"inline constexpr ::std::size_t size_{p.name} = {p.array.size};" for p in interface.parameters),
        "",
        "/* The results of one point, elements in C order. */",
        "struct Results {",
        *(f"    {array_type(p)} {p.name};{_note(p)}" for p in results),
        "};",
        "",
        "/* One point. */",
        _joined("inline Results evaluate(", [f"const {array_type(p)} &{p.name}" for p in arguments], ") noexcept"),
        "{",
        f"    ::{space}::Results codegen_results;",
        f"    ::{name}({', '.join([*map(_pointer, arguments), *(_pointer(p, 'codegen_results.') for p in results)])});",
        "    return codegen_results;",
        "}",
        "",
        "/* n points, every array with n as its first index. Throws std::length_error for one that is too short. */",
        *_spans(interface, "batch", frozenset()),
        "/* n points at any distances. */",
        _joined(
            "inline void strided(",
            ["::std::int64_t n", *(f"::codegen::Strided<{_item(p)}> {p.name}" for p in interface.parameters)],
            ") noexcept",
        ),
        "{",
        f"    ::{name}_strided({', '.join(['n', *map(_steps, interface.parameters)])});",
        "}",
        "",
    ]
    if interface.reduction is not None:
        lines.append("/* n points reduced to one; arguments that are the same for all points hold one. */")
        shared = {p.name for k, p in enumerate(arguments) if k in interface.reduction.shared}
        lines += _spans(interface, "reduce", frozenset(shared | {p.name for p in results}))
    for p in interface.patterns:
        lines += _sparsity(name, p)
    return "\n".join([*lines, f"}} // namespace {space}", "", "#endif", ""])


HEADERS = ("array", "cstddef", "cstdint", "iterator", "stdexcept", "type_traits", "utility")


def array_type(p: Parameter) -> str:
    """Of a number, itself."""
    return f"::std::array<{p.type}, {p.array.size}>" if p.array.shape else p.type


def _note(p: Parameter) -> str:
    notes = [*([plain(p.array.name)] if p.array.name != p.name else []), *([p.shape] if len(p.array.shape) > 1 else [])]
    return f" /* {', '.join(notes)} */" if notes else ""


def _pointer(p: Parameter, prefix: str = "") -> str:
    return f"{prefix}{p.name}.data()" if p.array.shape else f"&{prefix}{p.name}"


def _item(p: Parameter) -> str:
    return p.type if p.is_result else f"const {p.type}"


def _steps(p: Parameter) -> str:
    return f"{p.name}.data, {p.name}.point, {p.name}.element"


def _joined(head: str, parts: list[str], tail: str) -> str:
    inside = ",\n    ".join(parts)
    return f"{head}\n    {inside}{tail}" if inside else f"{head}{tail}"


def _spans(interface: Interface, word: str, single: frozenset[str]) -> list[str]:
    """A function that takes spans and checks their lengths; single: parameters that hold one point."""
    parameters = interface.parameters
    checks = [
        f"    ::codegen::require({p.name}, {'1' if p.name in single else 'n'}, {p.array.size}, "
        f'"{interface.name}: {p.name} is too short");'
        for p in parameters
    ]
    given = ["::std::int64_t n", *(f"::codegen::Span<{_item(p)}> {p.name}" for p in parameters)]
    return [
        _joined(f"inline void {word}(", given, ")"),
        "{",
        *checks,
        f"    ::{interface.name}_{word}({', '.join(['n', *(f'{p.name}.data' for p in parameters)])});",
        "}",
        "",
    ]


def _sparsity(name: str, p: str) -> list[str]:
    upper = name.upper()
    tables = ("rows", "columns", "row_starts", "column_starts", "by_column", "by_column_rows")
    numbers = [f"{upper}_{word}_{p}" for word in ("ROWS", "COLUMNS", "NNZ")]
    given = ",\n        ".join([", ".join(numbers), *(f"::{name}_{p}_{table}" for table in tables)])
    return [f"inline ::codegen::Sparsity sparsity_{p}() noexcept", "{", f"    return {{\n        {given}}};", "}", ""]
