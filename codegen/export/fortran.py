"""A Fortran 2003 module with interfaces to the functions of an export, by iso_c_binding."""

from __future__ import annotations

from collections.abc import Sequence

from codegen.export.bundle import Build
from codegen.export.parameters import STEPS, Parameter

# Of Fortran, where names do not differ by case.
LONGEST = 63
NUMBERS = {"float64": "c_double", "float32": "c_float"}


def fortran_module(build: Build) -> str:
    """The text of `NAME.f90`: module `NAME_fortran`.

    Arrays have their extents in reverse, as Fortran's first index is the fastest: element [i][j] of C is (j+1, i+1).
    Raises ValueError for a name that is too long for Fortran.
    """
    name, interface = build.name, build.interface
    if name.startswith("_") or len(name) + len("_abi_version") > LONGEST:
        raise ValueError(f"{name}: a name in Fortran starts with a letter and has {LONGEST} characters; export another")
    names = _dummies(name, interface.parameters)
    number = NUMBERS[build.element]
    whole = [(dummy, p, _extents(p)) for dummy, p in zip(names, interface.parameters, strict=True)]
    points = [(dummy, p, [*extents, "*"]) for dummy, p, extents in whole]
    any_place = [(dummy, p, ["*"]) for dummy, p, _ in whole]
    lines = [
        f"! {name}: generated code. Interfaces to the functions of {name}.h.",
        "! Arrays have their extents in reverse: element [i][j] of C is (j+1, i+1).",
        f"module {name}_fortran",
        f"  use, intrinsic :: iso_c_binding, only: c_int64_t, c_ptr, {number}",
        "  implicit none",
        "  public",
        *(
            f"  integer, parameter :: {name}_size_{k} = {p.array.size} ! {dummy}"
            for k, (dummy, p, _) in enumerate(whole, start=1)
        ),
        "  interface",
        *_routine(name, "", whole, number, counted=False),
        *_routine(name, "_batch", points, number),
        *_routine(name, "_strided", any_place, number, strided=True),
    ]
    reduction = interface.reduction
    if reduction is not None:
        single = [p.is_result or k in reduction.shared for k, p in enumerate(interface.parameters)]
        reduced = [one if alone else many for one, many, alone in zip(whole, points, single, strict=True)]
        lines += _routine(name, "_reduce", reduced, number)
    for suffix in ("_abi_version", "_arguments", "_results"):
        lines += _query(name, suffix, "integer(c_int64_t)")
    for suffix in ("_parameter", "_shape", "_sparsity"):
        lines += _query(name, suffix, "type(c_ptr)", numbered=True)
    return "\n".join([*lines, "  end interface", f"end module {name}_fortran", ""])


def _extents(p: Parameter) -> list[str]:
    return [str(extent) for extent in reversed(p.array.shape)]


def _dummies(name: str, parameters: Sequence[Parameter]) -> list[str]:
    """Names of dummy arguments, which Fortran tells apart without regard to case."""
    taken = {name.lower(), "n", "k", "c_double", "c_float", "c_int64_t", "c_ptr"}
    found = []
    for position, p in enumerate(parameters, start=1):
        dummy = p.name if len(p.name) + 16 <= LONGEST else f"parameter_{position}"
        base, count = dummy, 1
        while {dummy.lower(), *(f"{dummy}{step}".lower() for step in STEPS)} & taken:
            count += 1
            dummy = f"{base}_{count}"
        taken |= {dummy.lower(), *(f"{dummy}{step}".lower() for step in STEPS)}
        found.append(dummy)
    return found


def _routine(
    name: str,
    suffix: str,
    given: Sequence[tuple[str, Parameter, Sequence[str]]],
    number: str,
    *,
    counted: bool = True,
    strided: bool = False,
) -> list[str]:
    """The interface of a subroutine: a count of points, then an array per parameter, with its distances."""
    listed = ["n"] if counted else []
    declared = ["integer(c_int64_t), value :: n"] if counted else []
    for dummy, p, extents in given:
        steps = [f"{dummy}{step}" for step in STEPS] if strided else []
        listed.append(", ".join([dummy, *steps]))
        inside = f"({', '.join(extents)})" if extents else ""
        # What strided calls leave between the elements keeps its values.
        intent = "in" if not p.is_result else "inout" if strided else "out"
        declared.append(f"real({number}), intent({intent}) :: {dummy}{inside}")
        declared += [f"integer(c_int64_t), value :: {step}" for step in steps]
    arguments = ", &\n        ".join(listed)
    broken = f"&\n        {arguments}" if listed else ""
    imported = [*([number] if given else []), *(["c_int64_t"] if counted else [])]
    return [
        f"    subroutine {name}{suffix}({broken}) &",
        f'        bind(c, name="{name}{suffix}")',
        *([f"      import :: {', '.join(imported)}"] if imported else []),
        *(f"      {line}" for line in declared),
        f"    end subroutine {name}{suffix}",
    ]


def _query(name: str, suffix: str, kind: str, *, numbered: bool = False) -> list[str]:
    imported = sorted({"c_int64_t"} | ({"c_ptr"} if "c_ptr" in kind else set()))
    return [
        f"    function {name}{suffix}({'k' if numbered else ''}) result(answer) &",
        f'        bind(c, name="{name}{suffix}")',
        f"      import :: {', '.join(imported)}",
        *(["      integer(c_int64_t), value :: k"] if numbered else []),
        f"      {kind} :: answer",
        f"    end function {name}{suffix}",
    ]
