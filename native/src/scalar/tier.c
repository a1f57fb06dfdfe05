/* The scalar tier: the truth that the vector tiers are held to, and their fallback. */
#include "../kernels.h"

const struct engram_kernels engram_scalar_kernels = {
    .hash = engram_scalar_hash,
    .gather = engram_scalar_gather,
    .project = engram_scalar_project,
    .nan_free = engram_scalar_nan_free,
    .gate = engram_scalar_gate,
    .conv = engram_scalar_conv,
};
