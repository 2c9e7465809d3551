"""Program → LLVM IR text for one target: its body in vectors (body.py) and the loop around it (driver.py)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from codegen import vector_math
from codegen.body import Body, Cut, cut
from codegen.contract import contract, prune
from codegen.driver import RUN, driver, entries
from codegen.layout import Layout
from codegen.program import Program
from codegen.schedule import schedule
from codegen.target import Target

# Calls of vector functions up to which these are inlined.
INLINED_CALLS = 60

# Names a symbol must not take: C and C++ keywords, and what LLVM or vector_math may call in the C library.
_TAKEN = """
alignas alignof and and_eq asm auto bitand bitor bool break case catch char class compl const constexpr const_cast
continue decltype default delete do double dynamic_cast else enum explicit export extern false float for friend goto if
inline int long mutable namespace new noexcept not not_eq nullptr operator or or_eq private protected public register
reinterpret_cast restrict return short signed sizeof static static_assert static_cast struct switch template this
thread_local throw true try typedef typeid typename union unsigned using virtual void volatile wchar_t while xor xor_eq
main malloc calloc realloc free memcpy memmove memset memcmp abort exit
acos acosh asin asinh atan atan2 atanh cbrt ceil copysign cos cosh erf erfc exp exp10 exp2 expm1 fabs fdim floor fma
fmax fmin fmod frexp hypot ilogb j0 j1 jn ldexp lgamma llrint llround log log10 log1p log2 logb lrint lround modf nan
nearbyint nextafter nexttoward pow remainder remquo rint round roundeven scalbln scalbn signgam sin sincos sinh sqrt
tan tanh tgamma trunc y0 y1 yn gamma drem significand finite isinf isnan
"""
RESERVED = frozenset(_TAKEN.split())


def symbol(name: str) -> str:
    """The linkage name of a program: `name` itself where it is a C identifier that no library or keyword owns."""
    clean = re.sub(r"\W", "_", name, flags=re.ASCII)
    if not clean or clean[0].isdigit() or {clean, f"{clean}_loop", f"{clean}_batch"} & RESERVED:
        clean = f"kernel_{clean}"
    return clean


def emit(program: Program, target: Target) -> str:
    """LLVM IR text defining, for `s = symbol(program.name)`:

    `void @s_loop(ptr args, ptr dimensions, ptr steps, ptr data)`: a NumPy gufunc inner loop;
    `void @s_batch(i64 n, ptr x…, ptr r…)`: n points, arrays `(n,) + shape` in C order;
    `void @s(ptr x…, ptr r…)`: one point. All give the same bits.
    """
    return "\n".join([emit_program(program, target, external=False), driver(target), ending(target)])


def lay_out(program: Program, target: Target) -> tuple[Layout, Cut]:
    """The program as it is emitted, where its data lives, and its parts."""
    program = schedule(contract(program) if target.fma else prune(program))
    pieces = cut(program)
    return Layout(program, target, pieces.spills), pieces


def emit_driver(target: Target) -> str:
    """The part of `emit` that is the same for every program of a target, as a module of its own with `@hy.run`."""
    return "\n".join([f'target triple = "{target.triple}"\n', driver(target, "dso_local"), ending(target)])


def emit_program(program: Program, target: Target, *, external: bool = True) -> str:
    """The part of `emit` that belongs to the program: with `external`, a module that needs `emit_driver`'s."""
    layout, pieces = lay_out(program, target)
    body = Body(layout, pieces)
    parts = [str(body.part(index)) for index in range(len(pieces.parts))]
    text = [
        f'target triple = "{target.triple}"\n',
        *entries(layout, symbol(program.name), len(parts), "dso_local" if external else "internal"),
        *parts,
        _vector_functions(body.called, target, inline=sum(body.called.values()) <= INLINED_CALLS),
    ]
    if external:
        text += [f"declare {RUN}\n", ending(target)]
    return "\n".join(text)


def ending(target: Target) -> str:
    """What every module ends with: the attributes and metadata that functions refer to."""
    return (
        f"attributes #0 = {{ nounwind {target.attributes} }}\n"
        f"attributes #1 = {{ nounwind noinline {target.attributes} }}\n"
        "!0 = !{i32 1}\n"
    )


def _vector_functions(names: Iterable[str], target: Target, *, inline: bool) -> str:
    text = vector_math.define(names, width=target.width, fma=target.fma, inline=inline)
    # Their attributes say nothing of the vector width, which a function that is not inlined needs to know.
    return re.sub(r"^(define internal .*) \{$", r"\1 #0 {", text, flags=re.MULTILINE)
