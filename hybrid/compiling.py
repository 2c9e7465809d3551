"""`compile`: functions → one graph → one program → one native kernel, checked before it is returned."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast, overload

import numpy as np
from numpy.typing import DTypeLike, NDArray

import codegen
from hybrid.accurate_functions import accurate
from hybrid.arguments import element_of
from hybrid.deferred import Deferred
from hybrid.definition import Formula
from hybrid.errors import ArgumentError, UnsupportedError
from hybrid.graph import uncollected
from hybrid.kernel import Kernel
from hybrid.progress import Stages
from hybrid.together import LARGEST_FULL, check_functions, gathering, simplified_together, written

if TYPE_CHECKING:
    from hybrid.certificate import Certificate
    from hybrid.reduced import ReducedKernel

log = logging.getLogger(__name__)
verification = Deferred("hybrid.verify")
reduced = Deferred("hybrid.reduced")
rolled_kernel = Deferred("hybrid.rolled.kernel")
rolled_again = Deferred("hybrid.rolled.again")
single_precision = Deferred("hybrid.single")

TIERS = ("auto", "full", "quick")


@overload
def compile(
    *functions: Formula,
    name: str | None = ...,
    verify: bool = ...,
    rules: str = ...,
    dtype: DTypeLike = ...,
    tier: str = ...,
    reduce: None = ...,
) -> Kernel: ...


@overload
def compile(
    *functions: Formula,
    name: str | None = ...,
    verify: bool = ...,
    rules: str = ...,
    tier: str = ...,
    reduce: str | Sequence[str],
    shared: Sequence[str] = ...,
) -> ReducedKernel: ...


def compile(
    *functions: Formula,
    name: str | None = None,
    verify: bool = True,
    rules: str = "real",
    dtype: DTypeLike = np.float64,
    tier: str = "auto",
    reduce: str | Sequence[str] | None = None,
    shared: Sequence[str] = (),
) -> Kernel | ReducedKernel:
    """One verified native kernel for several functions; their common subexpressions are computed once.

    Parameters
    ----------
    functions : Functions (a function and its derivatives, say). Arguments are matched by name.
    name : the kernel's name, also its symbol in exported files; default the first function's.
    verify : check the kernel against the numeric tape on sampled points before returning it.
    rules : how derivatives are simplified: "real" (equal for finite reals wherever defined) or "bitwise" (every float64
        result keeps its bits). The values of user functions are computed as written in either case; call
        `Function.simplify` first to rewrite those too. "accurate": values in the forms of the smallest measured
        errors, at arguments from tiny to huge, and the derivatives of these; it may take more operations.
    dtype : float64, or float32 for a kernel that computes in float32 too, in twice as many lanes: its ufunc has a loop
        for each, and NumPy's rules choose. float32 arguments, with small integers and Python's numbers, give float32;
        one float64 argument makes it float64.
    tier : "full" for the fastest kernel: all simplification, LLVM's optimising code generator. "quick" for the first
        result soon: the rules "bitwise" alone, and threaded code, some 10 µs per node of the graph in all. "auto" is
        full for graphs of up to 20,000 nodes, and quick beyond.
    reduce : "sum", "mean", "max" or "logsumexp" over all axes of the batch, inside the kernel; or a list with one for
        each function. The result is a `ReducedKernel`, whose results have the functions' shapes, without a batch.
    shared : names of arguments that will be the same for every row, for a kernel that reduces: it is compiled and
        checked for this at once. Arguments without a batch are shared in any case.

    Raises VerificationError, with the certificate, when kernel and tape disagree; ArgumentError when two functions have
    an argument of the same name and different shapes.
    """
    with uncollected():
        return compiled_together(functions, name, verify, rules, dtype, tier, reduce, shared)


def compiled_together(
    functions: tuple[Formula, ...],
    name: str | None,
    verify: bool,
    rules: str,
    dtype: DTypeLike,
    tier: str,
    reduce: str | Sequence[str] | None,
    shared: Sequence[str],
) -> Kernel | ReducedKernel:
    """The stages of `compile`, in order."""
    check_functions(functions, rules)
    if rules == "accurate":
        functions, rules = tuple(accurate(function) for function in functions), "real"
    element = element_of(dtype)
    if any(function.rolled for function in functions):
        rolled_kernel.check_options(element, reduce, shared)
        return cast("Kernel", rolled_kernel.compile_rolled(rolled_again.all_rolled(functions), name, verify, rules))
    if element == "float32" and reduce is not None:
        raise ArgumentError("dtype=float32 does not go with reduce=: reductions add up in float64")
    if tier == "auto" and reduce is None and element == "float64":
        found = rolled_again.large_ones_rolled(functions, LARGEST_FULL)
        if found is not None:
            return cast("Kernel", rolled_kernel.compile_rolled(found, name, verify, rules))
    if tier not in TIERS:
        raise ArgumentError(f"tier must be one of {', '.join(map(repr, TIERS))}, got {tier!r}")
    reductions = None if reduce is None else reduced.reductions_of(functions, reduce)
    if reductions is None and shared:
        raise ArgumentError("shared= goes with reduce=: other kernels see at the call what is shared")
    if reductions is not None and (empty := [function.name for function in functions if not function.nodes]):
        raise ArgumentError(
            f"{empty[0]} has no entries that can be non-zero, so there is nothing to reduce; leave it out"
        )
    with Stages(f"hybrid.compile {name or functions[0].name}", "simplify", {}) as stages:
        tier, functions, simplified = simplified_together(functions, tier, rules)
        stages.finished("simplify", "lower")
        gathered = None if reductions is not None else gathering(functions, simplified[1])
        program = written(functions, simplified, gathered, name or functions[0].name)
        stages.finished("lower", "native code")
        arguments = simplified[1]
        made = "full" if tier == "full" else "soonest"
        if reductions is not None and program.externals:
            raise UnsupportedError(
                f"{program.name} calls {program.externals[0].name}, your code, which a kernel that reduces cannot; "
                f"compile it without reduce= and reduce its results with NumPy"
            )
        if reductions is not None:
            same = reduced.shared_of(arguments, shared)
            kernel = reduced.ReducedKernel(
                functions, arguments, program, stages.seconds, simplified, reductions, same, verify, rules
            )
            kernel.reducer(same)  # compiled and checked
            return cast("ReducedKernel", kernel)
        compiled = codegen.compile(program, tier=made)
        single = None
        if element == "float32":
            single = codegen.compile(program, codegen.host().with_element(element), tier=made)
        ufunc = codegen.make_ufunc(compiled if single is None else [compiled, single], short=False)
        stages.finished("native code", "verify")
        quick = gathered is None and all(function.nodes for function in functions)
        kernel = Kernel(
            functions, arguments, program, stages.seconds, simplified, compiled, ufunc, gathered, single, quick, rules
        )
        log.debug("%s\n%s", program, compiled.seconds)
        return checked(kernel) if verify else kernel


def checked(kernel: Kernel) -> Kernel:
    """The kernel with its certificate. Raises VerificationError when it does not deserve one."""
    start = time.perf_counter()

    def evaluate(*arrays: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        values = kernel(*arrays, threads=1)
        return values if isinstance(values, tuple) else (values,)

    certificate = verification.verify(verification.Subject(kernel.name, kernel.arguments, kernel.formulas, evaluate))
    if kernel.single is not None:
        subject = verification.Subject(kernel.name, kernel.arguments, kernel.formulas, evaluate)
        note = single_precision.check(subject, evaluate, evaluate)
        certificate = replace(certificate, notes=(*certificate.notes, note))
    kernel.seconds["verify"] = time.perf_counter() - start
    object.__setattr__(kernel, "certificate", certificate)
    return kernel


def compiled_again(
    functions: Sequence[Formula],
    name: str,
    rules: str,
    dtype: str,
    tier: str,
    machine: str,
    certificate: Certificate | None,
) -> Kernel:
    """A kernel that was pickled: compiled here, and checked again unless it was checked on such a machine."""
    kernel = compile(*functions, name=name, rules=rules, dtype=dtype, tier=tier, verify=False)
    if certificate is None:
        return kernel
    if repr(kernel.compiled.target) != machine:
        return checked(kernel)
    object.__setattr__(kernel, "certificate", certificate)
    return kernel


def reduced_again(
    functions: Sequence[Formula],
    options: dict[str, Any],
    verify: bool,
    machine: str,
    certificates: dict[frozenset[int], Certificate],
) -> ReducedKernel:
    """A reducing kernel that was pickled: compiled here, and checked again unless it was checked on such a machine."""
    kernel = cast("ReducedKernel", compile(*functions, **options, verify=False))
    object.__setattr__(kernel, "verify", verify)
    if repr(kernel.reducer(kernel.shared).layout.target) == machine:
        kernel.certificates.update(certificates)
    elif verify:
        kernel.reducers.clear()
        kernel.reducer(kernel.shared)
    return kernel
