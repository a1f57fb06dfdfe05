/* The tier's table of kernels. */
#include "project_fp8.h"

const struct engram_kernels TIER(kernels) = {
    .below = &engram_scalar_kernels,
    .hash = TIER(hash),
    .gather = TIER(gather),
    .project = TIER(project),
    .batch_scratch = TIER(batch_scratch),
    .project_batch = TIER(project_batch),
    .nan_free = TIER(nan_free),
    .gate = TIER(gate),
    .conv = TIER(conv),
};
