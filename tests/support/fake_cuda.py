"""A CUDA driver for machines without a GPU: it runs the text of a kernel thread by thread of the grid.

The library has the driver's functions under their names; device memory is host memory, and what is allocated, retained
or pushed and not given back is counted.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ptx_in_c import ptx_in_c

DRIVER = r"""
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
extern int sim_tid, sim_ctaid, sim_ntid, sim_nctaid;
/* The kernels of the text, by name; the last has none. */
extern const struct simulated { const char *name; void (*thread)(void *, void **); } simulated[];
/* failing: 1 the module, 2 memory, 3 launches; from 10 on, the so-many-th launch or allocation that follows. */
static int live, pushed, retained, failing, modules, steps, processors = 1;

int fake_live(void) { return live + pushed + retained + modules; }
void fake_fail(int which) { failing = which; steps = 0; }
void fake_processors(int count) { processors = count; }
static int fails(int which) { return failing == which || (failing >= 10 && ++steps == failing - 9); }
int cuInit(unsigned flags) { return flags ? 1 : 0; }
int cuDeviceGet(int *device, int number) { *device = 7; return number == 0 ? 0 : 101; }
int cuDeviceGetAttribute(int *value, int attribute, int device)
{
    *value = processors;
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
    if (!pushed || !strstr((const char *)text, ".entry") || !strstr((const char *)text, simulated->name) ||
        failing == 1)
        return 218;
    modules++;
    return 0;
}
int cuModuleUnload(void *module) { modules--; return pushed && module == &modules ? 0 : 400; }
int cuModuleGetFunction(void **function, void *module, const char *name)
{
    int k = 0;
    while (simulated[k].name && strcmp(simulated[k].name, name))
        k++;
    *function = (void *)&simulated[k];
    return module == &modules && simulated[k].name ? 0 : 500;
}
int cuMemAlloc_v2(uint64_t *address, size_t size)
{
    if (!pushed || !size || fails(2))
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
    const struct simulated *kernel = function;
    if (!pushed || gy * gz * by * bz != 1 || shared || extra || gx < 1 || (int)gx > 32 * processors || bx > 1024)
        return 1;
    if (fails(3))
        return 701;
    (void)stream;
    sim_nctaid = (int)gx;
    sim_ntid = (int)bx;
    /* The last threads come first: none may depend on the others. */
    for (sim_ctaid = (int)gx - 1; sim_ctaid >= 0; sim_ctaid--)
        for (sim_tid = (int)bx - 1; sim_tid >= 0; sim_tid--)
            kernel->thread(NULL, parameters);
    return 0;
}
int cuGetErrorString(int status, const char **text)
{
    *text = status == 2 ? "out of memory" : "something else";
    return 0;
}
"""


def fake_driver(folder: Path) -> None:
    """Makes `libcuda.so.1` for the `f.ptx` of a folder; skips the test without a C compiler or off Linux."""
    compiler = shutil.which("gcc") or shutil.which("clang")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("needs gcc on Linux")
    (folder / "threads.c").write_text(ptx_in_c((folder / "f.ptx").read_text(encoding="utf-8")), encoding="utf-8")
    (folder / "driver.c").write_text(DRIVER, encoding="utf-8")
    command = [compiler, "-std=gnu99", "-O0", "-ffp-contract=off", "-fno-builtin", "-shared", "-fPIC"]
    built = [*command, "driver.c", "threads.c", "-lm", "-o", "libcuda.so.1"]
    subprocess.run(built, cwd=folder, check=True, timeout=120)
