"""C source that runs an exported kernel on an NVIDIA GPU through the CUDA driver, which it loads when asked to."""

from __future__ import annotations

from codegen.export.cuda_launch import BLOCKS, MULTIPROCESSORS, THREADS
from codegen.export.cuda_reduce import reduce_pieces
from codegen.export.header import RESTRICT
from codegen.export.interface import Interface

HEADER = """\
/* @NAME@ on an NVIDIA GPU. Needs no CUDA toolkit: the driver is loaded by @NAME@_cuda_open. */
#ifndef CODEGEN_@UPPER@_CUDA_H
#define CODEGEN_@UPPER@_CUDA_H

#include <stddef.h>
#include <stdint.h>

@RESTRICT@
#ifdef __cplusplus
extern "C" {
#endif

/* The kernel on one GPU; not for two threads at once. */
typedef struct @NAME@_cuda @NAME@_cuda;

/* The kernel on GPU number `device`. NULL if there is no driver or no such GPU; then `message`, of `room` bytes, says
   why. */
@NAME@_cuda *@NAME@_cuda_open(int device, char *message, size_t room);

/* Computes n points from and into host memory, arrays as for @NAME@_batch: (n, elements) in C order. 0, or the
   driver's error. */
int @NAME@_cuda_batch(@BATCH@);

/* Launches n points whose numbers lie on the GPU: per array its device address and the distances between points and
   between elements, in numbers. A structure of arrays, with distances 1 and n, is read fastest. `stream` is a CUstream
   or NULL. Does not wait. Results must not overlap arguments. 0, or the driver's error. */
int @NAME@_cuda_launch(@LAUNCH@);

@REDUCE_PROTOTYPES@/* Why the last call failed. */
const char *@NAME@_cuda_message(const @NAME@_cuda *codegen_gpu);

void @NAME@_cuda_close(@NAME@_cuda *codegen_gpu);

#ifdef __CUDACC__
/* One point, for kernels of your own: nvcc -dc @NAME@.ptx -o @NAME@.o, then nvcc -rdc=true yours.cu @NAME@.o. */
__device__ void @NAME@(@POINT@);
#endif

#ifdef __cplusplus
}
#endif

#endif /* CODEGEN_@UPPER@_CUDA_H */
"""

SOURCE = """\
/* @NAME@ on an NVIDIA GPU; see @NAME@_cuda.h. On Linux link with -ldl where the C library is older than glibc 2.34. */
#include "@NAME@_cuda.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef _WIN32
#include <windows.h>
#define CODEGEN_DRIVER "nvcuda.dll"
static void *codegen_load(void) { return (void *)LoadLibraryA(CODEGEN_DRIVER); }
static void codegen_unload(void *library) { FreeLibrary((HMODULE)library); }
static int codegen_symbol(void *library, const char *name, void *place)
{
    FARPROC found = GetProcAddress((HMODULE)library, name);
    memcpy(place, &found, sizeof found);
    return found != NULL;
}
#else
#include <dlfcn.h>
#define CODEGEN_DRIVER "libcuda.so.1"
static void *codegen_load(void) { return dlopen(CODEGEN_DRIVER, RTLD_NOW); }
static void codegen_unload(void *library) { dlclose(library); }
static int codegen_symbol(void *library, const char *name, void *place)
{
    void *found = dlsym(library, name);
    memcpy(place, &found, sizeof found);
    return found != NULL;
}
#endif

#define CODEGEN_OPERANDS @OPERANDS@
#define CODEGEN_ARGUMENTS @ARGUMENTS@
#define CODEGEN_THREADS @THREADS@

static const char *const codegen_ptx[] = {
@PTX@
};

/* Bytes of a point of each array, at least one entry. */
static const size_t codegen_bytes[] = {@BYTES@};
static const int64_t codegen_sizes[] = {@SIZES@};

struct @NAME@_cuda {
    void *library, *context, *module, *kernel;
    int device, retained;
    int64_t most;
    char message[256];
@REDUCE_MEMBERS@    int (*init)(unsigned);
    int (*device_get)(int *, int);
    int (*device_attribute)(int *, int, int);
    int (*retain)(void **, int);
    int (*release)(int);
    int (*push)(void *);
    int (*pop)(void **);
    int (*load)(void **, const void *);
    int (*unload)(void *);
    int (*function)(void **, void *, const char *);
    int (*allocate)(uint64_t *, size_t);
    int (*give_back)(uint64_t);
    int (*to_device)(uint64_t, const void *, size_t);
    int (*to_host)(void *, uint64_t, size_t);
    int (*launch)(void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void *, void **,
                  void **);
    int (*synchronise)(void);
    int (*describe)(int, const char **);
};

static int codegen_failed(@NAME@_cuda *gpu, const char *what, int status)
{
    const char *text = NULL;
    if (status == 0)
        return 0;
    gpu->describe(status, &text);
    snprintf(gpu->message, sizeof gpu->message, "%s: %.180s (CUDA error %d)", what, text ? text : "unknown", status);
    return status;
}

static int codegen_find(@NAME@_cuda *gpu)
{
    struct {
        const char *name;
        void *place;
    } wanted[17];
    size_t count = 0, k;
@WANTED@
    for (k = 0; k < count; k++) {
        if (!codegen_symbol(gpu->library, wanted[k].name, wanted[k].place)) {
            snprintf(gpu->message, sizeof gpu->message, "%s has no %s: a driver for CUDA 7 or later is needed",
                     CODEGEN_DRIVER, wanted[k].name);
            return -1;
        }
    }
    return 0;
}

static char *codegen_text(void)
{
    size_t lines = sizeof codegen_ptx / sizeof *codegen_ptx, size = 1, k;
    char *text, *end;
    for (k = 0; k < lines; k++)
        size += strlen(codegen_ptx[k]);
    text = end = (char *)malloc(size);
    if (text == NULL)
        return NULL;
    for (k = 0; k < lines; k++) {
        size_t length = strlen(codegen_ptx[k]);
        memcpy(end, codegen_ptx[k], length);
        end += length;
    }
    *end = 0;
    return text;
}

static int codegen_start(@NAME@_cuda *gpu, int device)
{
    void *ignored = NULL;
    char *text;
    int status, count = 1;
    gpu->library = codegen_load();
    if (gpu->library == NULL) {
        snprintf(gpu->message, sizeof gpu->message,
                 "no CUDA driver: %s cannot be loaded; it comes with NVIDIA's driver for the GPU", CODEGEN_DRIVER);
        return -1;
    }
    if (codegen_find(gpu) || codegen_failed(gpu, "cuInit", gpu->init(0)) ||
        codegen_failed(gpu, "cuDeviceGet", gpu->device_get(&gpu->device, device)) ||
        codegen_failed(gpu, "cuDeviceGetAttribute", gpu->device_attribute(&count, @MULTIPROCESSORS@, gpu->device)) ||
        codegen_failed(gpu, "cuDevicePrimaryCtxRetain", gpu->retain(&gpu->context, gpu->device)))
        return -1;
    gpu->retained = 1;
    gpu->most = @BLOCKS@ * (int64_t)(count > 0 ? count : 1);
    text = codegen_text();
    if (text == NULL) {
        snprintf(gpu->message, sizeof gpu->message, "no memory for the text of the kernel");
        return -1;
    }
    status = codegen_failed(gpu, "cuCtxPushCurrent", gpu->push(gpu->context));
    if (status == 0) {
        status = codegen_failed(gpu, "cuModuleLoadData", gpu->load(&gpu->module, text));
        if (status == 0)
            status =
                codegen_failed(gpu, "cuModuleGetFunction", gpu->function(&gpu->kernel, gpu->module, "@NAME@_batch"));
@REDUCE_FIND@        gpu->pop(&ignored);
    }
    free(text);
    return status;
}

@NAME@_cuda *@NAME@_cuda_open(int device, char *message, size_t room)
{
    @NAME@_cuda *gpu = (@NAME@_cuda *)calloc(1, sizeof *gpu);
    if (message != NULL && room > 0)
        message[0] = 0;
    if (gpu == NULL) {
        if (message != NULL && room > 0)
            snprintf(message, room, "no memory");
        return NULL;
    }
    if (codegen_start(gpu, device)) {
        if (message != NULL && room > 0)
            snprintf(message, room, "%s", gpu->message);
        @NAME@_cuda_close(gpu);
        return NULL;
    }
    return gpu;
}

void @NAME@_cuda_close(@NAME@_cuda *codegen_gpu)
{
    void *ignored = NULL;
    if (codegen_gpu == NULL)
        return;
    if (codegen_gpu->module != NULL && codegen_gpu->push(codegen_gpu->context) == 0) {
@REDUCE_GIVE_BACK@        codegen_gpu->unload(codegen_gpu->module);
        codegen_gpu->pop(&ignored);
    }
    if (codegen_gpu->retained)
        codegen_gpu->release(codegen_gpu->device);
    if (codegen_gpu->library != NULL)
        codegen_unload(codegen_gpu->library);
    free(codegen_gpu);
}

const char *@NAME@_cuda_message(const @NAME@_cuda *codegen_gpu)
{
    return codegen_gpu->message;
}

/* A kernel, for up to so many threads; the context is current. */
static int codegen_run(@NAME@_cuda *gpu, void *kernel, void *stream, int64_t threads, void **arguments)
{
    int64_t blocks = threads / CODEGEN_THREADS + (threads % CODEGEN_THREADS != 0);
    if (blocks > gpu->most)
        blocks = gpu->most;
    return codegen_failed(
        gpu, "cuLaunchKernel",
        gpu->launch(kernel, (unsigned)blocks, 1, 1, CODEGEN_THREADS, 1, 1, 0, stream, arguments, NULL));
}

static int codegen_launch(@NAME@_cuda *gpu, void *stream, int64_t n, void **arguments)
{
    void *ignored = NULL;
    int status;
    if (n <= 0)
        return 0;
    status = codegen_failed(gpu, "cuCtxPushCurrent", gpu->push(gpu->context));
    if (status)
        return status;
    status = codegen_run(gpu, gpu->kernel, stream, n, arguments);
    gpu->pop(&ignored);
    return status;
}

/* Host arrays there and back; the context is current. */
static int codegen_copied(@NAME@_cuda *gpu, int64_t n, const void *const *given, void *const *made, uint64_t *places)
{
    int64_t one = 1, sizes[CODEGEN_OPERANDS + 1];
    void *arguments[1 + 3 * CODEGEN_OPERANDS];
    int k, status;
    arguments[0] = &n;
    for (k = 0; k < CODEGEN_OPERANDS; k++) {
        size_t bytes = codegen_bytes[k] * (size_t)n;
        sizes[k] = codegen_sizes[k];
        if (bytes) {
            status = codegen_failed(gpu, "cuMemAlloc", gpu->allocate(&places[k], bytes));
            if (status)
                return status;
        }
        if (bytes && k < CODEGEN_ARGUMENTS) {
            status = codegen_failed(gpu, "cuMemcpyHtoD", gpu->to_device(places[k], given[k], bytes));
            if (status)
                return status;
        }
        arguments[1 + 3 * k] = &places[k];
        arguments[2 + 3 * k] = &sizes[k];
        arguments[3 + 3 * k] = &one;
    }
    status = codegen_launch(gpu, NULL, n, arguments);
    if (status == 0)
        status = codegen_failed(gpu, "cuCtxSynchronize", gpu->synchronise());
    for (k = CODEGEN_ARGUMENTS; k < CODEGEN_OPERANDS && status == 0; k++) {
        size_t bytes = codegen_bytes[k] * (size_t)n;
        if (bytes)
            status =
                codegen_failed(gpu, "cuMemcpyDtoH", gpu->to_host(made[k - CODEGEN_ARGUMENTS], places[k], bytes));
    }
    return status;
}

int @NAME@_cuda_batch(@BATCH@)
{
    const void *codegen_given[CODEGEN_ARGUMENTS + 1];
    void *codegen_made[CODEGEN_OPERANDS - CODEGEN_ARGUMENTS + 1], *codegen_ignored = NULL;
    uint64_t codegen_places[CODEGEN_OPERANDS + 1];
    int codegen_k, codegen_status;
@GIVEN@
    codegen_given[CODEGEN_ARGUMENTS] = NULL;
    codegen_made[CODEGEN_OPERANDS - CODEGEN_ARGUMENTS] = NULL;
    memset(codegen_places, 0, sizeof codegen_places);
    if (n <= 0)
        return 0;
    codegen_status = codegen_failed(codegen_gpu, "cuCtxPushCurrent", codegen_gpu->push(codegen_gpu->context));
    if (codegen_status)
        return codegen_status;
    codegen_status = codegen_copied(codegen_gpu, n, codegen_given, codegen_made, codegen_places);
    for (codegen_k = 0; codegen_k < CODEGEN_OPERANDS; codegen_k++) {
        if (codegen_places[codegen_k])
            codegen_gpu->give_back(codegen_places[codegen_k]);
    }
    codegen_gpu->pop(&codegen_ignored);
    return codegen_status;
}

int @NAME@_cuda_launch(@LAUNCH@)
{
    void *codegen_words[] = {@WORDS@};
    return codegen_launch(codegen_gpu, codegen_stream, n, codegen_words);
}
@REDUCE_SOURCE@"""

# Members of the structure, and the driver's functions they hold.
MEMBERS = {
    "init": "cuInit",
    "device_get": "cuDeviceGet",
    "device_attribute": "cuDeviceGetAttribute",
    "retain": "cuDevicePrimaryCtxRetain",
    "release": "cuDevicePrimaryCtxRelease_v2",
    "push": "cuCtxPushCurrent_v2",
    "pop": "cuCtxPopCurrent_v2",
    "load": "cuModuleLoadData",
    "unload": "cuModuleUnload",
    "function": "cuModuleGetFunction",
    "allocate": "cuMemAlloc_v2",
    "give_back": "cuMemFree_v2",
    "to_device": "cuMemcpyHtoD_v2",
    "to_host": "cuMemcpyDtoH_v2",
    "launch": "cuLaunchKernel",
    "synchronise": "cuCtxSynchronize",
    "describe": "cuGetErrorString",
}


def cuda_header(interface: Interface) -> str:
    """The text of `NAME_cuda.h`, for C99, C++ and CUDA C++."""
    return _filled(HEADER, interface, RESTRICT=RESTRICT)


def cuda_source(interface: Interface, ptx: str) -> str:
    """The text of `NAME_cuda.c`, which holds the PTX line by line."""
    given = []
    for k, parameter in enumerate(interface.parameters):
        arguments = len(interface.program.arguments)
        where = f"codegen_made[{k - arguments}]" if parameter.is_result else f"codegen_given[{k}]"
        given.append(f"    {where} = {parameter.name};")
    width = 4 if interface.element == "float32" else 8
    sizes = [parameter.array.size for parameter in interface.parameters] or [0]
    steps = [f"&{p.name}{step}" for p in interface.parameters for step in ("", "_point", "_element")]
    return _filled(
        SOURCE,
        interface,
        OPERANDS=str(len(interface.parameters)),
        ARGUMENTS=str(len(interface.program.arguments)),
        THREADS=str(THREADS),
        BLOCKS=str(BLOCKS),
        MULTIPROCESSORS=str(MULTIPROCESSORS),
        PTX=",\n".join(_pieces(ptx)),
        BYTES=", ".join(str(width * size) for size in sizes),
        SIZES=", ".join(map(str, sizes)),
        WANTED="\n".join(
            f'    wanted[count].name = "{name}", wanted[count++].place = (void *)&gpu->{member};'
            for member, name in MEMBERS.items()
        ),
        GIVEN="\n".join(given),
        WORDS=", ".join(["&n", *steps]),
    )


def _pieces(ptx: str) -> list[str]:
    """String literals of at most 500 characters, which is what every C99 compiler takes."""
    pieces = []
    for line in ptx.splitlines(keepends=True):
        for start in range(0, len(line), 500):
            piece = line[start : start + 500].replace("\\", "\\\\").replace('"', '\\"')
            pieces.append('"' + piece.replace("\t", "\\t").replace("\n", "\\n") + '"')
    return pieces


def _filled(template: str, interface: Interface, **words: str) -> str:
    name = interface.name
    declared = [parameter.declaration for parameter in interface.parameters]
    handle = f"{name}_cuda *codegen_gpu"
    places = [f"uint64_t {p.name}, int64_t {p.name}_point, int64_t {p.name}_element" for p in interface.parameters]
    words |= {
        "NAME": name,
        "UPPER": name.upper(),
        "BATCH": ",\n    ".join([handle, "int64_t n", *declared]),
        "LAUNCH": ",\n    ".join([handle, "void *codegen_stream", "int64_t n", *places]),
        "POINT": ", ".join(declared) or "void",
    }
    for word, text in [*reduce_pieces(interface).items(), *words.items()]:
        template = template.replace(f"@{word}@", text)
    return template
