"""Program → LLVM IR text for one target: its body in vectors (body.py) and the loop around it (driver.py)."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass

from codegen import vector_math
from codegen.body import Body, Cut, cut, part_head
from codegen.contract import contract, prune
from codegen.driver import PER_BLOCK, POINT, RUN, driver, entries
from codegen.layout import Layout
from codegen.program import Program
from codegen.rare import separate
from codegen.schedule import schedule
from codegen.target import Target
from codegen.threaded import STEPS, Thread, start, step

# Calls of vector functions up to which these are inlined.
INLINED_CALLS = 60
# Parts of a long body per module: between modules a compilation can be interrupted, and its memory is freed.
PARTS_PER_MODULE = 32

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
clearerr fclose feof ferror fflush fgetc fgetpos fgets fopen fprintf fputc fputs fread freopen fscanf fseek fsetpos
ftell fwrite getc getchar gets perror printf putc putchar puts remove rename rewind scanf setbuf setvbuf snprintf
sprintf sscanf tmpfile tmpnam ungetc vfprintf vfscanf vprintf vscanf vsnprintf vsprintf vsscanf
abs atexit atof atoi atol atoll bsearch div getenv labs ldiv llabs lldiv mblen mbstowcs mbtowc qsort rand srand strtod
strtof strtol strtold strtoll strtoul strtoull system wcstombs wctomb quick_exit at_quick_exit aligned_alloc
memchr strcat strchr strcmp strcoll strcpy strcspn strerror strlen strncat strncmp strncpy strpbrk strrchr strspn strstr
strtok strxfrm strdup index rindex bcmp bcopy bzero
asctime clock ctime difftime gmtime localtime mktime strftime time raise signal longjmp setjmp assert
isalnum isalpha isblank iscntrl isdigit isgraph islower isprint ispunct isspace isupper isxdigit tolower toupper
read write open close exp10 pow10 pipe fork wait kill sleep link unlink
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
    layout, pieces = lay_out(program, target)
    text = program_text(Body(layout, pieces), symbol(program.name), "internal")
    return "\n".join([*text, *map(str, driver(target)), ending(target)])


def lay_out(program: Program, target: Target) -> tuple[Layout, Cut]:
    """The program as it is emitted, where its data lives, and its parts."""
    program = schedule(contracted(program, target))
    pieces = cut(program)
    return Layout(program, target, pieces.spills), pieces


def contracted(program: Program, target: Target) -> Program:
    """Without dead instructions, and with products fused into sums where the target can."""
    return contract(program) if target.fma else prune(program)


def emit_driver(target: Target) -> tuple[str, str]:
    """The part of `emit` that is the same for every program of a target, with `@hy.run`.

    Two modules that need each other: what runs for every block of points, and what runs once per call.
    """
    functions = driver(target)
    modules = []
    for per_block in (True, False):
        inside = [function for function in functions if (function.name in PER_BLOCK) == per_block]
        called = {name for function in inside for name in function.calls()}
        outside = [function for function in functions if function not in inside and function.name in called]
        text = [function.with_linkage("dso_local") for function in inside]
        declarations = [function.declaration() for function in outside]
        modules.append("\n".join([triple_line(target), *text, *declarations, ending(target)]))
    return modules[0], modules[1]


@dataclass(frozen=True)
class Modules:
    """The modules of a program, which need `emit_driver`'s, and those it shares with other programs of its target."""

    own: list[str]
    shared: list[str]


def emit_program(program: Program, target: Target) -> Modules:
    """The part of `emit` that belongs to the program: several modules if it is long."""
    return emit_modules(*lay_out(program, target))


def emit_modules(layout: Layout, pieces: Cut) -> Modules:
    """`emit_program` for a program that is laid out."""
    program, target = layout.program, layout.target
    body = Body(layout, pieces)
    count = len(pieces.parts)
    needs = f"declare {RUN}\ndeclare {POINT}\n"
    if count <= PARTS_PER_MODULE:
        *texts, functions = program_text(body, symbol(program.name), "dso_local")
        functions, rare = separate(functions)
        return Modules(["\n".join([*texts, functions, needs, ending(target)])], _shared(rare, target))
    declarations = [f"declare {part_head(index, '')}\n" for index in range(count)]
    start = [triple_line(target), *entries(layout, symbol(program.name), count, "dso_local"), *declarations]
    own = ["\n".join([*start, needs, ending(target)])]
    shared: dict[str, None] = {}
    for first in range(0, count, PARTS_PER_MODULE):
        body.called.clear()
        numbers = range(first, min(count, first + PARTS_PER_MODULE))
        parts = [str(body.part(index, "dso_local")) for index in numbers]
        functions, rare = separate(functions_called(body))
        own.append("\n".join([triple_line(target), *declared(body), *parts, functions, ending(target)]))
        shared |= dict.fromkeys(_shared(rare, target))
    return Modules(own, list(shared))


def emit_threaded(thread: Thread) -> Modules:
    """A program as threaded code: a module of its own that holds addresses of this process, and the steps it uses."""
    target, program = thread.layout.target, thread.layout.program
    text = entries(thread.layout, symbol(program.name), 1, "dso_local", by_row=True)
    needs = f"declare {RUN}\ndeclare {POINT}\n"
    own = "\n".join([triple_line(target), *text, start(thread), needs, ending(target)])
    shared: dict[str, None] = {}
    for name in thread.steps:
        shared |= dict.fromkeys(step_modules(name, target))
    return Modules([own], list(shared))


@functools.cache
def step_modules(name: str, target: Target) -> tuple[str, ...]:
    """The modules of one step of threaded code."""
    text, called = step(name, target)
    functions, rare = separate(vector_functions(frozenset(called), target, True)) if called else ("", ())
    table = f"{STEPS} = external dso_local constant [0 x ptr]\n" if STEPS in text else ""
    return ("\n".join([triple_line(target), table, text, functions, ending(target)]), *_shared(rare, target))


def _shared(texts: Iterable[str], target: Target) -> list[str]:
    return ["\n".join([triple_line(target), text, ending(target)]) for text in texts]


def program_text(body: Body, name: str, linkage: str, inline: bool | None = None) -> list[str]:
    """The entries with the given linkage of `@hy.body`, the parts, and the vector functions they call.

    inline: whether these are inlined; by default unless there are many calls.
    """
    count = len(body.pieces.parts)
    parts = [str(body.part(index)) for index in range(count)]
    target = body.layout.target
    start = [triple_line(target), *declared(body), *entries(body.layout, name, count, linkage)]
    return [*start, *parts, functions_called(body, inline)]


def declared(body: Body) -> list[str]:
    """What a module with parts of a body needs to call the program's external functions."""
    return [external.declaration() for external in body.layout.program.externals]


def triple_line(target: Target) -> str:
    return f'target triple = "{target.triple}"\n'


def ending(target: Target, attributes: str = "") -> str:
    """What every module ends with: the attributes and metadata that functions refer to; `attributes` of all of them."""
    # Microsoft's linker wants this symbol of every object that computes; elsewhere nobody defines it.
    used = "@_fltused = weak dso_local global i32 0\n" if target.triple.endswith("windows-msvc") else ""
    return (
        f"{used}attributes #0 = {{ nounwind {attributes} {target.attributes} }}\n"
        f"attributes #1 = {{ nounwind noinline {attributes} {target.attributes} }}\n"
        "!0 = !{i32 1}\n"
    )


def functions_called(body: Body, inline: bool | None = None) -> str:
    """What the parts written so far call: inlined, unless there are many calls."""
    few = sum(body.called.values()) <= INLINED_CALLS
    return vector_functions(frozenset(body.called), body.layout.target, few if inline is None else inline)


@functools.lru_cache(maxsize=64)
def vector_functions(names: frozenset[str], target: Target, inline: bool) -> str:
    """IR text of vector functions; writing it takes longer than the rest of a small program."""
    text = vector_math.define(
        names, width=target.width, fma=target.fma, dtype=target.element, avx512=target.avx512, inline=inline
    )
    # Their attributes say nothing of the vector width, which a function that is not inlined needs to know.
    return re.sub(r"^(define internal .*) \{$", r"\1 #0 {", text, flags=re.MULTILINE)
