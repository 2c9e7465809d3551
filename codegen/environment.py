"""The floating-point environment around a body: computing never depends on the caller's, nor changes it.

Another library may have left the process rounding upward or flushing subnormals, and lanes that a select throws away
raise exception flags that no caller should see.
"""

from __future__ import annotations

from codegen.target import Target
from codegen.text import Function

# x86: all of MXCSR but its six sticky flags, and what is standard there. AArch64: FPCR is 0 where it is standard.
_CONTROL, _STANDARD = 0xFFC0, 0x1F80


def allocate(f: Function, target: Target) -> None:
    """Room for the caller's environment; for the start of a function."""
    if target.is_x86:
        f.do("%environment = alloca i32, align 4")
        f.do("%standard = alloca i32, align 4")


def begin(f: Function, target: Target) -> None:
    """Compute in the standard environment from here on."""
    if target.is_x86:
        f.do("call void @llvm.x86.sse.stmxcsr(ptr %environment)")
        now = f.load("environment", "i32", "%environment", 4)
        f.do(f"%odd = icmp ne i32 {f.let('control', f'and i32 {now}, {_CONTROL}')}, {_STANDARD}")
        with f.when("%odd"):
            f.store("i32", str(_STANDARD), "%standard", 4)
            f.do("call void @llvm.x86.sse.ldmxcsr(ptr %standard)")
    elif target.is_aarch64:
        f.do("%control = call i64 @llvm.aarch64.get.fpcr()")
        f.do("%flags = call i64 @llvm.aarch64.get.fpsr()")
        f.do("%odd = icmp ne i64 %control, 0")
        with f.when("%odd"):
            f.do("call void @llvm.aarch64.set.fpcr(i64 0)")


def end(f: Function, target: Target, *, flags: bool) -> None:
    """Back to the caller's environment; its exception flags too, if `flags`."""
    if target.is_x86:
        if flags:
            f.do("call void @llvm.x86.sse.ldmxcsr(ptr %environment)")
        else:
            with f.when("%odd"):
                f.do("call void @llvm.x86.sse.ldmxcsr(ptr %environment)")
    elif target.is_aarch64:
        if flags:
            f.do("call void @llvm.aarch64.set.fpsr(i64 %flags)")
        with f.when("%odd"):
            f.do("call void @llvm.aarch64.set.fpcr(i64 %control)")
