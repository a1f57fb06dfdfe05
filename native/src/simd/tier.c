/* The tier's table of kernels. */
#include "simd.h"

const struct engram_kernels TIER(kernels) = {
    .hash = TIER(hash),
    .gather = TIER(gather),
    .project = TIER(project),
    .nan_free = TIER(nan_free),
    .gate_sums = TIER(gate_sums),
    .gate_apply = TIER(gate_apply),
    .conv_norm = TIER(conv_norm),
    .conv_taps = TIER(conv_taps),
};
