"""Files for build systems: a CMake package and a pkg-config module for whatever a bundle holds."""

from __future__ import annotations

from codegen.export.bundle import Build, Files
from codegen.export.interface import ABI_VERSION

# What a bundle offers to link, the best first, and what CMake calls it.
OFFERED = {"so": "SHARED", "a": "STATIC", "o": "OBJECT", "c": "SOURCE"}


def offered(build: Build) -> str:
    """The format that build systems link: the first of `OFFERED` in the bundle. Raises ValueError if there is none."""
    for fmt in OFFERED:
        if fmt in build.formats:
            return fmt
    raise ValueError(f"files for a build system need something to link beside them: one of {', '.join(OFFERED)}")


def linked_file(build: Build) -> str:
    fmt = offered(build)
    return build.library_file if fmt == "so" else f"{build.name}.{fmt}"


def needs_math(build: Build) -> bool:
    """Whether users must link the C library's mathematics themselves."""
    return offered(build) == "c" or (offered(build) != "so" and bool(build.library_calls))


def cmake(build: Build) -> Files:
    """`find_package(NAME)` gives the target `NAME::NAME`; the package version is that of the ABI."""
    name, kind = build.name, OFFERED[offered(build)]
    path = "${CMAKE_CURRENT_LIST_DIR}"
    head = [f"# The target {name}::{name}.", f"if(TARGET {name}::{name})", "  return()", "endif()"]
    if kind == "SOURCE":
        made = [
            f'add_library({name}_code STATIC "{path}/{name}.c")',
            f"set_target_properties({name}_code PROPERTIES POSITION_INDEPENDENT_CODE ON C_STANDARD 99)",
            f'target_include_directories({name}_code INTERFACE "{path}")',
            f"add_library({name}::{name} ALIAS {name}_code)",
        ]
        math = [f"target_link_libraries({name}_code INTERFACE m)"]
    else:
        place = "IMPORTED_OBJECTS" if kind == "OBJECT" else "IMPORTED_LOCATION"
        made = [
            f"add_library({name}::{name} {kind} IMPORTED)",
            f"set_target_properties({name}::{name} PROPERTIES",
            f'  {place} "{path}/{linked_file(build)}"',
            *(["  IMPORTED_NO_SONAME OFF"] if kind == "SHARED" else []),
            f'  INTERFACE_INCLUDE_DIRECTORIES "{path}")',
        ]
        math = [f"set_property(TARGET {name}::{name} APPEND PROPERTY INTERFACE_LINK_LIBRARIES m)"]
    if needs_math(build):
        made += ["if(UNIX)", *(f"  {line}" for line in math), "endif()"]
    version = [
        f'set(PACKAGE_VERSION "{ABI_VERSION}")',
        "if(PACKAGE_FIND_VERSION VERSION_EQUAL PACKAGE_VERSION)",
        "  set(PACKAGE_VERSION_COMPATIBLE TRUE)",
        "  set(PACKAGE_VERSION_EXACT TRUE)",
        "endif()",
    ]
    return {
        f"{name}Config.cmake": ("\n".join([*head, *made]) + "\n").encode(),
        f"{name}ConfigVersion.cmake": ("\n".join(version) + "\n").encode(),
    }


def pkg_config(build: Build) -> str:
    """`NAME.pc`, relative to its own place. Raises ValueError for a bundle of source alone."""
    fmt = offered(build)
    if fmt == "c":
        raise ValueError("pkg-config describes libraries: export 'so', 'a' or 'o' with it")
    libraries = [f"${{pcfiledir}}/{linked_file(build)}", *(["-lm"] if needs_math(build) else [])]
    return "\n".join(
        [
            f"Name: {build.name}",
            f"Description: generated code, {build.element}",
            f"Version: {ABI_VERSION}",
            "Cflags: -I${pcfiledir}",
            f"Libs: {' '.join(libraries)}",
            "",
        ]
    )
