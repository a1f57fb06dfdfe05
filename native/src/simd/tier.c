/* The tier's table of kernels. */
#include "simd.h"

const struct engram_kernels TIER(kernels) = {
    .below = &engram_scalar_kernels,
    .hash = TIER(hash),
    .gather = TIER(gather),
    .project = TIER(project),
    .nan_free = TIER(nan_free),
    .gate = TIER(gate),
    .conv = TIER(conv),
};
