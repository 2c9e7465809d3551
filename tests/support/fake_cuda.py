"""A CUDA driver for machines without a GPU: a kernel's own IR as host code, run thread by thread of the grid.

What differs from the code for the GPU is LLVM's back end: the IR is the same text, with the four numbers of a thread
read from variables. The library has the driver's functions under their names; device memory is host memory, and what is
allocated, retained or pushed and not given back is counted.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from codegen.export.gpu import gpu_ir
from codegen.export.interface import Interface
from codegen.jit import optimise
from codegen.program import Program
from codegen.target import GPUS, host

NUMBERS = ("tid", "ctaid", "ntid", "nctaid")

DRIVER = r"""
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
extern int sim_tid, sim_ctaid, sim_ntid, sim_nctaid;
void simulate(void **parameters);
static int live, pushed, retained, failing, modules;
static const char *entry = "@ENTRY@";

int fake_live(void) { return live + pushed + retained + modules; }
void fake_fail(int which) { failing = which; }
int cuInit(unsigned flags) { return flags ? 1 : 0; }
int cuDeviceGet(int *device, int number) { *device = 7; return number == 0 ? 0 : 101; }
int cuDeviceGetAttribute(int *value, int attribute, int device)
{
    *value = 1;
    return attribute == 16 && device == 7 ? 0 : 1;
}
int cuDevicePrimaryCtxRetain(void **context, int device) { *context = &live; retained++; return device == 7 ? 0 : 101; }
int cuDevicePrimaryCtxRelease_v2(int device) { retained--; return device == 7 ? 0 : 101; }
int cuCtxPushCurrent_v2(void *context) { pushed++; return context == &live ? 0 : 201; }
int cuCtxPopCurrent_v2(void **context) { *context = &live; return pushed-- > 0 ? 0 : 201; }
int cuCtxSynchronize(void) { return pushed ? 0 : 201; }
int cuModuleLoadData(void **module, const void *text)
{
    *module = &modules;
    if (!pushed || !strstr((const char *)text, ".entry") || !strstr((const char *)text, entry) || failing == 1)
        return 218;
    modules++;
    return 0;
}
int cuModuleUnload(void *module) { modules--; return pushed && module == &modules ? 0 : 400; }
int cuModuleGetFunction(void **function, void *module, const char *name)
{
    *function = &failing;
    return module == &modules && !strcmp(name, entry) ? 0 : 500;
}
int cuMemAlloc_v2(uint64_t *address, size_t size)
{
    if (!pushed || !size || failing == 2)
        return 2;
    *address = (uint64_t)(uintptr_t)malloc(size);
    live++;
    return 0;
}
int cuMemFree_v2(uint64_t address) { free((void *)(uintptr_t)address); live--; return pushed ? 0 : 201; }
int cuMemcpyHtoD_v2(uint64_t to, const void *from, size_t size)
{
    memcpy((void *)(uintptr_t)to, from, size);
    return pushed ? 0 : 201;
}
int cuMemcpyDtoH_v2(void *to, uint64_t from, size_t size)
{
    memcpy(to, (const void *)(uintptr_t)from, size);
    return pushed ? 0 : 201;
}
int cuLaunchKernel(void *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                   unsigned shared, void *stream, void **parameters, void **extra)
{
    if (!pushed || function != &failing || gy * gz * by * bz != 1 || shared || extra || gx < 1 || gx > 32 || bx > 1024)
        return 1;
    if (failing == 3)
        return 701;
    (void)stream;
    sim_nctaid = (int)gx;
    sim_ntid = (int)bx;
    /* The last threads come first: none may depend on the others. */
    for (sim_ctaid = (int)gx - 1; sim_ctaid >= 0; sim_ctaid--)
        for (sim_tid = (int)bx - 1; sim_tid >= 0; sim_tid--)
            simulate(parameters);
    return 0;
}
int cuGetErrorString(int status, const char **text)
{
    *text = status == 2 ? "out of memory" : "something else";
    return 0;
}
"""


def simulated_ir(program: Program, element: str) -> str:
    """The IR of the kernel for a GPU, over variables for the number of the thread, and `@simulate(parameters)`."""
    target = GPUS["nvptx-sm_80"].with_element(element)
    text = gpu_ir(Interface(program, element), target)
    assert text.count("ptx_kernel") == 1
    text = text.replace(target.triple, host().triple).replace("define ptx_kernel void", "define void")
    text, count = re.subn(r"@llvm\.nvvm\.read\.ptx\.sreg\.(\w+)\.x\(\)", r"@sim.\1()", text)
    assert count == len(NUMBERS)
    for name in NUMBERS:
        text += f"@sim_{name} = global i32 0\n"
        text += f"define internal i32 @sim.{name}() {{\n  %v = load i32, ptr @sim_{name}\n  ret i32 %v\n}}\n"
    kinds = ["i64", *["ptr addrspace(1)", "i64", "i64"] * (len(program.arguments) + len(program.results))]
    lines = []
    for k, kind in enumerate(kinds):
        lines += [
            f"  %p{k} = getelementptr ptr, ptr %parameters, i64 {k}",
            f"  %q{k} = load ptr, ptr %p{k}",
            f"  %v{k} = load {kind}, ptr %q{k}",
        ]
    given = ", ".join(f"{kind} %v{k}" for k, kind in enumerate(kinds))
    lines += [f"  call void @{program.name}_batch({given})", "  ret void"]
    return text + "\n".join(["define void @simulate(ptr %parameters) {", *lines, "}", ""])


def fake_driver(folder: Path, program: Program, element: str = "float64") -> Path:
    """Makes `libcuda.so.1` in a folder, for this one program; skips the test without a C compiler or off Linux."""
    compiler = shutil.which("gcc") or shutil.which("clang")
    if compiler is None or "linux" not in host().triple:
        pytest.skip("needs gcc on Linux")
    folder.mkdir(parents=True, exist_ok=True)
    machine = host().machine()
    module = optimise(simulated_ir(program, element), machine)
    (folder / "kernel.o").write_bytes(machine.emit_object(module))
    (folder / "driver.c").write_text(DRIVER.replace("@ENTRY@", f"{program.name}_batch"), encoding="utf-8")
    command = [compiler, "-std=c99", "-Wall", "-Werror", "-O1", "-shared", "-fPIC", "driver.c", "kernel.o", "-lm"]
    subprocess.run([*command, "-o", "libcuda.so.1"], cwd=folder, check=True, timeout=120)
    return folder / "libcuda.so.1"
