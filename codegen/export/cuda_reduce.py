"""The part of `NAME_cuda.h` and `NAME_cuda.c` that reduces results over points; empty of a kernel that does not."""

from __future__ import annotations

from codegen.export.gpu_lanes import FAN, Lanes
from codegen.export.interface import Interface

PROTOTYPES = """\
/* Reduces n points from and into host memory, arrays as for @NAME@_reduce. Allocates memory on the GPU when it is first
   called, or called for more points, which @NAME@_cuda_close gives back. 0, or the driver's error. */
int @NAME@_cuda_reduce(@BATCH@);

/* Launches the reduction of n points whose numbers lie on the GPU: per argument its device address and the distances
   between points, unless it is the same for all, and between elements; per result its address and the distance between
   elements. Does not wait, unless memory is allocated or the last reduction was in another stream. 0, or the driver's
   error. */
int @NAME@_cuda_launch_reduce(@REDUCE@);

"""

MEMBERS = """\
    void *accumulate, *combine, *finish, *lane_stream;
    uint64_t lanes;
    size_t lane_bytes;
"""

FIND = """\
        if (status == 0)
            status = codegen_failed(gpu, "cuModuleGetFunction",
                                    gpu->function(&gpu->accumulate, gpu->module, "@NAME@_accumulate"));
        if (status == 0)
            status = codegen_failed(gpu, "cuModuleGetFunction",
                                    gpu->function(&gpu->combine, gpu->module, "@NAME@_combine"));
        if (status == 0)
            status = codegen_failed(gpu, "cuModuleGetFunction",
                                    gpu->function(&gpu->finish, gpu->module, "@NAME@_finish"));
"""

GIVE_BACK = """\
        if (codegen_gpu->lanes)
            codegen_gpu->give_back(codegen_gpu->lanes);
"""

SOURCE = """\

/* Memory for some lanes, which nothing launched before still uses; the context is current. */
static int codegen_room(@NAME@_cuda *gpu, void *stream, int64_t lanes)
{
    size_t bytes = (size_t)lanes * CODEGEN_WORDS * @NUMBER@;
    int status = 0;
    if (gpu->lanes && (stream != gpu->lane_stream || bytes > gpu->lane_bytes))
        status = codegen_failed(gpu, "cuCtxSynchronize", gpu->synchronise());
    if (status == 0 && bytes > gpu->lane_bytes) {
        if (gpu->lanes)
            status = codegen_failed(gpu, "cuMemFree", gpu->give_back(gpu->lanes));
        gpu->lanes = 0;
        gpu->lane_bytes = 0;
        if (status == 0)
            status = codegen_failed(gpu, "cuMemAlloc", gpu->allocate(&gpu->lanes, bytes));
        if (status)
            gpu->lanes = 0;
        else
            gpu->lane_bytes = bytes;
    }
    gpu->lane_stream = stream;
    return status;
}

/* The kernels of a reduction; given and made are their parameters from the fourth on. The context is current. */
static int codegen_reduce(@NAME@_cuda *gpu, void *stream, int64_t n, void **given, void **made)
{
    void *words[3 + CODEGEN_GIVEN + CODEGEN_MADE];
    int64_t lanes, now;
    int k, status;
    if (n < 0)
        n = 0;
    lanes = n < 1 ? 1 : n < CODEGEN_LANES ? n : CODEGEN_LANES;
    status = codegen_room(gpu, stream, lanes);
    words[0] = &n;
    words[1] = &lanes;
    words[2] = &gpu->lanes;
    for (k = 0; k < CODEGEN_GIVEN; k++)
        words[3 + k] = given[k];
    if (status == 0)
        status = codegen_run(gpu, gpu->accumulate, stream, lanes, words);
    words[0] = &now;
    for (now = lanes; now > 1 && status == 0; now = (now + CODEGEN_FAN - 1) / CODEGEN_FAN)
        status = codegen_run(gpu, gpu->combine, stream, (now + CODEGEN_FAN - 1) / CODEGEN_FAN * CODEGEN_WORDS, words);
    words[0] = &n;
    for (k = 0; k < CODEGEN_MADE; k++)
        words[3 + k] = made[k];
    if (status == 0)
        status = codegen_run(gpu, gpu->finish, stream, @LARGEST@, words);
    return status;
}

/* Host arrays there and results back; the context is current. */
static int codegen_copied_reduce(@NAME@_cuda *gpu, int64_t n, const void *const *given, void *const *made,
                                 uint64_t *places)
{
    static const char codegen_shared[] = {@SHARED@};
    int64_t one = 1, sizes[CODEGEN_OPERANDS + 1];
    void *words[CODEGEN_GIVEN + CODEGEN_MADE], **next = words;
    int k, status;
    for (k = 0; k < CODEGEN_OPERANDS; k++) {
        size_t bytes = codegen_bytes[k] * (codegen_shared[k] ? 1 : (size_t)n);
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
        *next++ = &places[k];
        if (!codegen_shared[k])
            *next++ = &sizes[k];
        *next++ = &one;
    }
    status = codegen_reduce(gpu, NULL, n, words, words + CODEGEN_GIVEN);
    if (status == 0)
        status = codegen_failed(gpu, "cuCtxSynchronize", gpu->synchronise());
    for (k = CODEGEN_ARGUMENTS; k < CODEGEN_OPERANDS && status == 0; k++) {
        if (codegen_bytes[k])
            status = codegen_failed(gpu, "cuMemcpyDtoH",
                                    gpu->to_host(made[k - CODEGEN_ARGUMENTS], places[k], codegen_bytes[k]));
    }
    return status;
}

int @NAME@_cuda_reduce(@BATCH@)
{
    const void *codegen_given[CODEGEN_ARGUMENTS + 1];
    void *codegen_made[CODEGEN_OPERANDS - CODEGEN_ARGUMENTS + 1], *codegen_ignored = NULL;
    uint64_t codegen_places[CODEGEN_OPERANDS + 1];
    int codegen_k, codegen_status;
@GIVEN@
    memset(codegen_places, 0, sizeof codegen_places);
    if (n < 0)
        n = 0;
    codegen_status = codegen_failed(codegen_gpu, "cuCtxPushCurrent", codegen_gpu->push(codegen_gpu->context));
    if (codegen_status)
        return codegen_status;
    codegen_status = codegen_copied_reduce(codegen_gpu, n, codegen_given, codegen_made, codegen_places);
    for (codegen_k = 0; codegen_k < CODEGEN_OPERANDS; codegen_k++) {
        if (codegen_places[codegen_k])
            codegen_gpu->give_back(codegen_places[codegen_k]);
    }
    codegen_gpu->pop(&codegen_ignored);
    return codegen_status;
}

int @NAME@_cuda_launch_reduce(@REDUCE@)
{
    void *codegen_words[] = {@REDUCE_WORDS@}, *codegen_ignored = NULL;
    int codegen_status = codegen_failed(codegen_gpu, "cuCtxPushCurrent", codegen_gpu->push(codegen_gpu->context));
    if (codegen_status)
        return codegen_status;
    codegen_status = codegen_reduce(codegen_gpu, codegen_stream, n, codegen_words, codegen_words + CODEGEN_GIVEN);
    codegen_gpu->pop(&codegen_ignored);
    return codegen_status;
}
"""


def reduce_pieces(interface: Interface) -> dict[str, str]:
    """What stands for the words of the templates that are about reductions."""
    names = ("REDUCE_PROTOTYPES", "REDUCE_MEMBERS", "REDUCE_FIND", "REDUCE_GIVE_BACK", "REDUCE_SOURCE")
    if interface.reduction is None:
        return dict.fromkeys(names, "")
    found = dict(zip(names, (PROTOTYPES, MEMBERS, FIND, GIVE_BACK, SOURCE), strict=True))
    lanes, count = Lanes.of(interface), len(interface.program.arguments)
    shared = [k in interface.reduction.shared or k >= count for k in range(len(interface.parameters))]
    steps = [
        [p.name, *([] if same else [f"{p.name}_point"]), f"{p.name}_element"]
        for p, same in zip(interface.parameters, shared, strict=True)
    ]
    numbers = {
        "CODEGEN_LANES": lanes.lanes,
        "CODEGEN_WORDS": lanes.words,
        "CODEGEN_FAN": FAN,
        "CODEGEN_GIVEN": sum(map(len, steps[:count])),
        "CODEGEN_MADE": sum(map(len, steps[count:])),
    }
    found["REDUCE_SOURCE"] = (
        "\n" + "\n".join(f"#define {name} {number}" for name, number in numbers.items()) + "\n" + SOURCE
    )
    places = [", ".join([f"uint64_t {name}", *(f"int64_t {step}" for step in rest)]) for name, *rest in steps]
    head = [f"{interface.name}_cuda *codegen_gpu", "void *codegen_stream", "int64_t n"]
    return found | {
        "REDUCE": ",\n    ".join([*head, *places]),
        "REDUCE_WORDS": ", ".join(f"&{word}" for words in steps for word in words),
        "SHARED": ", ".join(str(int(same)) for same in shared),
        "NUMBER": "4" if interface.element == "float32" else "8",
        "LARGEST": str(max(1, *(array.size for array in interface.program.results))),
    }
